"""OpenAPI 3.1 of the signed API, generated from the schemas that the doors use, and the page that shows it."""

import gzip
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeVar

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, current_app, jsonify, render_template, request
from marshmallow import Schema

from wallet import refusal, words
from wallet.web.gate import admits
from wallet.web.problems import locale
from wallet.web.state import state

door = Blueprint("openapi", __name__)

View = TypeVar("View", bound=Callable[..., Any])

VERSION: Final = "1.0.0"

DESCRIPTION: Final = """The signed API of a city's wallet. Whoever moves money signs the exact bytes of an order.

An order is one JSON object in RFC 8785 canonical form in which every scalar is a string. Its members are v, aud (this
service's origin), created, expires (seconds since 1970), id (a UUID that the client makes and keeps before it sends), kind,
signer, and the kind's own. A body that is not canonical is refused with 400, an unknown or invalid member with 422.

The request carries Content-Digest (RFC 9530, sha-256), Idempotency-Key: "<id>", and an RFC 9421 signature over @method,
@target-uri, content-type, content-digest and idempotency-key with created, expires (at most 300 s apart), keyid (RFC 7638
thumbprint), alg (ecdsa-p256-sha256 or ed25519) and tag="wallet-v1". A GET covers @method and @target-uri. There is one
signature, and both its headers are spelled as RFC 9651 serialises them.

The first executed outcome of an order, a refusal included, is stored and given to every retry byte for byte. A retry sends
the same body with freshly signed headers; the same id with other bytes is 422.

Refusals are problem documents (RFC 9457) with a stable code: what happened (title), is my money safe (safe),
what next (next).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a door takes and gives."""

    asks: type[Schema] | None = None
    answers: type[Schema] | None
    status: int = 200
    query: Mapping[str, str] = field(default_factory=dict)


def described(
    *,
    answers: type[Schema] | None,
    asks: type[Schema] | None = None,
    status: int = 200,
    query: Mapping[str, str] | None = None,
) -> Callable[[View], View]:
    """Say what a door takes and gives, for the specification."""

    def mark(view: View) -> View:
        view.described = Described(  # type: ignore[attr-defined]
            asks=asks, answers=answers, status=status, query=query or {}
        )
        return view

    return mark


def specification(app: Flask, origin: str) -> dict[str, Any]:
    """Generate the OpenAPI document of every described door."""
    spec = APISpec(
        title="Tràng Tiền",
        version=VERSION,
        openapi_version="3.1.0",
        info={"description": DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        servers=[{"url": origin}],
        tags=[{"name": "v1"}],
        plugins=[MarshmallowPlugin(schema_name_resolver=_name)],
    )
    spec.components.security_scheme(
        "signature",
        {
            "type": "apiKey",
            "in": "header",
            "name": "Signature",
            "description": "RFC 9421 with Signature-Input; see the introduction.",
        },
    )
    spec.components.schema("Problem", _problem())
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        about = getattr(view, "described", None)
        if about is None:
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            operation = _operation(view, about, rule.rule)
            spec.path(path=re.sub(r"<(\w+)>", r"{\1}", rule.rule), operations={method.lower(): operation})
    return spec.to_dict()


def _operation(view: Callable[..., Any], about: Described, rule: str) -> dict[str, Any]:
    summary = (inspect.getdoc(view) or "").split("\n")[0]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"<(\w+)>", rule)
    ] + [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in about.query.items()
    ]
    operation: dict[str, Any] = {
        "operationId": view.__name__
        if view.__module__.endswith("bills")
        else f"{view.__module__.rsplit('.', 1)[-1]}_{view.__name__}",
        "summary": summary,
        "description": "Admits: " + ", ".join(sorted(str(role) for role in view.admits)) + ".",  # type: ignore[attr-defined]
        "tags": ["v1"],
        "security": [{"signature": []}],
        "parameters": parameters,
        "responses": {
            str(about.status): _answer(about.answers),
            "default": {
                "description": "A refusal, or the mute report of a bug.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if about.asks is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": about.asks}},
        }
        for name, text in (
            ("Content-Digest", "sha-256 of the body, RFC 9530."),
            ("Idempotency-Key", "The order's id, quoted."),
            ("Signature-Input", "RFC 9421."),
        ):
            parameters.append(
                {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
            )
    return operation


def _answer(schema: type[Schema] | None) -> dict[str, Any]:
    if schema is None:
        return {"description": "Yes; there is nothing more to say."}
    summary = (inspect.getdoc(schema) or "").split("\n")[0]
    return {"description": summary, "content": {"application/json": {"schema": schema}}}


def _name(schema: type[Schema] | Schema) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")


def _problem() -> dict[str, Any]:
    codes = sorted(kind.code for kind in refusal.every())
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457. Further members name facts of the refusal, such as the bill or the account.",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {**text, "description": "What happened, in the caller's language."},
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": codes},
            "detail": text,
            "safe": {**text, "description": "Is my money safe?"},
            "next": {**text, "description": "What to do next."},
            "param": {**text, "description": "The field at fault."},
            "request_id": text,
        },
        "required": ["type", "title", "status", "code"],
    }


@lru_cache(maxsize=4)
def _cached(app: Flask, origin: str) -> dict[str, Any]:
    return specification(app, origin)


def _specification() -> dict[str, Any]:
    return _cached(current_app._get_current_object(), state().config.public_origin)  # type: ignore[attr-defined]


@door.get("/openapi.json")
@admits("anyone")
def openapi() -> Response:
    """The specification, for machines."""
    response = jsonify(_specification())
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@door.get("/docs")
@admits("anyone")
def docs() -> Response:
    """The specification, for people, with every refusal in both languages.

    Sent compressed to whoever takes it: it says the same to everybody, so that its length gives nothing away.
    """
    refusals = [
        {"code": kind.code, "status": kind.status, "text": words.refusal(kind.code, locale())}
        for kind in sorted(refusal.every(), key=lambda kind: kind.code)
    ]
    response = Response(render_template("docs.html", spec=_specification(), refusals=refusals))
    response.vary.add("Accept-Encoding")
    if request.accept_encodings.best_match(["gzip"]):
        response.set_data(gzip.compress(response.get_data(), mtime=0))
        response.content_encoding = "gzip"
    return response
