"""The gate: who is calling, by signature or by session; and what every request and answer must carry.

Words   A door admits roles; it names them with `admits`, and a test finds a door that does not.
Source  RFC 9421 against the raw request target, because a framework's idea of the URL un-escapes %2F.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from flask import Response, current_app, g, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from wallet import clock, signing
from wallet.config import Config
from wallet.crypto import PublicKey
from wallet.identity import keys, roles, sessions
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.ledger.refusals import KeyDead, NotAdmitted
from wallet.signing import Message, Signed
from wallet.web import problems
from wallet.web.state import KEYS_REMEMBERED_MAX, me, now, state

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

ANYONE: Final = frozenset({"anyone"})
"""Said of a door that asks nobody who they are."""

READERS: Final = frozenset(Role)

SESSION_COOKIE: Final = "session"
DEVICE_COOKIE: Final = "device"

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_TARGET: Final = re.compile(r"/[\x21\x22\x24-\x7e]*")
"""Origin form: no absolute address, no space and no fragment, which the signature library would leave out of the base."""

_HEADERS: Final = [
    (name, "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}")
    for name in signing.HEADERS
]
"""Where WSGI keeps the headers that a signature is read from."""

View = TypeVar("View", bound=Callable[..., Any])


def admits(*admitted: Role | str) -> Callable[[View], View]:
    """Name the roles that a door admits; `admits("anyone")` is said aloud as well."""

    def mark(view: View) -> View:
        view.admits = frozenset(admitted)  # type: ignore[attr-defined]
        return view

    return mark


def admitted() -> frozenset[str]:
    """Return the roles that the door of this request admits."""
    view: Any = current_app.view_functions[request.endpoint or ""]
    return frozenset(str(role) for role in view.admits)


# ---- every request --------------------------------------------------------------------------------------------------


def enter() -> BaseResponse | None:
    """Read the clock, name the request, know who is signed in, and turn away forms sent from other sites."""
    g.now = clock.now()
    g.request_id = secrets.token_hex(8)
    if request.endpoint in (None, "static"):
        return None
    if request.path.startswith(("/v1/", "/log/", "/stripe/")):
        return None  # signed, or read with `caller`
    if request.method not in _SAFE:
        _same_origin()
    token = request.cookies.get(cookie(SESSION_COOKIE))
    if token:
        with state().app.begin() as unit:
            g.me = sessions.find(unit, token, now=g.now)
    wanted = admitted()
    if wanted == ANYONE:
        return None
    who = me()
    if who is None:
        if request.method in _SAFE:
            return redirect(f"/dang-nhap?next={quote(request.full_path.rstrip('?'))}")
        raise problems.SignedOut
    if who.role not in wanted:
        raise NotAdmitted
    return None


def leave(response: Response) -> Response:
    """Say of an answer what is its own; `protecting` adds what every answer carries."""
    headers = response.headers
    headers["X-Request-Id"] = g.get("request_id", "")
    who = me()
    if who is not None and who.role != Role.CITIZEN:
        headers["Content-Security-Policy"] = _POLICY
    if request.endpoint == "static":
        fresh = "public, max-age=31536000, immutable" if request.args.get("v") else "no-cache"
        headers["Cache-Control"] = fresh
    return response


_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_STRICT: Final = "; require-trusted-types-for 'script'; trusted-types 'none'"


def compiling(response: Response) -> Response:
    """Let this one page compile WebAssembly: the scan page, where a browser reads no codes by itself."""
    policy = _POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
    response.headers["Content-Security-Policy"] = policy + _STRICT
    return response


def connects(response: Response, origin: str) -> Response:
    """Let a page's scripts connect to one more origin of ours; everything else stays as strict as on any page."""
    policy = _POLICY.replace("connect-src 'self'", f"connect-src 'self' {origin}")
    response.headers["Content-Security-Policy"] = policy + _STRICT
    return response


def protection(config: Config) -> list[tuple[str, str]]:
    """Return the headers that protect every answer whose door says nothing else."""
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=()",
        "Content-Security-Policy": _POLICY + _STRICT,
        "Cache-Control": "no-store",
    }
    if config.public_origin.startswith("https:"):
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return list(headers.items())


def protecting(start_response: "StartResponse", headers: list[tuple[str, str]]) -> "StartResponse":
    """Put `headers` on an answer as it goes out, a mute 500 included, but for those that it has already.

    Here and not with Flask's own `headers`, which are checked and copied one by one, twice: a tenth of a signed request.
    """

    def start(status: str, own: list[tuple[str, str]], fault: Any = None, /) -> Any:
        said = {name for name, _ in own}
        return start_response(status, own + [header for header in headers if header[0] not in said], fault)

    return start


def _same_origin() -> None:
    """Refuse a form from elsewhere: browsers say with each POST where it comes from.

    Raises:
        problems.CrossSite.
    """
    origin = request.headers.get("Origin")
    if origin != state().config.public_origin:
        raise problems.CrossSite


# ---- cookies --------------------------------------------------------------------------------------------------------


def cookie(name: str) -> str:
    """Return a cookie's full name: `__Host-` binds it to this origin wherever TLS makes that possible."""
    return f"__Host-{name}" if _secure() else name


def set_cookie(response: BaseResponse, name: str, value: str, *, seconds: int | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send with a form."""
    response.set_cookie(cookie(name), value, max_age=seconds, path="/", secure=_secure(), httponly=True, samesite="Lax")


def drop_cookie(response: BaseResponse, name: str) -> None:
    """Delete a cookie."""
    response.delete_cookie(cookie(name), path="/", secure=_secure(), httponly=True, samesite="Lax")


def _secure() -> bool:
    return state().config.public_origin.startswith("https:")


# ---- who signed -----------------------------------------------------------------------------------------------------


def message() -> Message:
    """Return the request as it stood on the wire.

    Raises:
        problems.Unparseable: a target that is not in origin form.
    """
    environ = request.environ
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if not _TARGET.fullmatch(target):
        raise problems.Unparseable(param="target")
    headers = {name: environ[place] for name, place in _HEADERS if place in environ}
    return Message(environ["REQUEST_METHOD"], state().config.public_origin + target, headers)


def find_key(key_id: str) -> PublicKey | None:
    """Return a public key by its thumbprint, from memory where it was seen before."""
    remembered = state().keys
    key = remembered.get(key_id)
    if key is None:
        with state().app.connect() as connection:
            key = keys.public_key(connection, key_id)
        if key is not None:
            if len(remembered) >= KEYS_REMEMBERED_MAX:
                remembered.clear()
            remembered[key_id] = key
    return key


def signed(body: bytes | None, *, key: Callable[[str], PublicKey | None] = find_key) -> Signed:
    """Verify this request's signature: an order's with its body, a read's without."""
    return signing.verify(message(), key=key, body=body, now=now())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who reads: a holder, in one of the roles that the door admits."""

    holder: HolderId
    role: Role
    agency: HolderId | None


def caller() -> Caller:
    """Return who calls a reading door under /v1: by signature, or from a page by its session.

    Raises:
        signing's refusals, KeyDead, problems.SignedOut, NotAdmitted.
    """
    wanted = admitted()
    if "Signature-Input" in request.headers or "Signature" in request.headers:
        proof = signed(None)
        with state().app.connect() as connection:
            holder = keys.alive(connection, proof.key.id)
            if holder is None:
                raise KeyDead
            memberships = roles.of(connection, holder)
        for membership in memberships:
            if membership.role in wanted:
                return Caller(holder, membership.role, membership.agency)
        raise NotAdmitted
    token = request.cookies.get(cookie(SESSION_COOKIE))
    if token is None:
        raise signing.Missing
    with state().app.begin() as unit:
        who = sessions.find(unit, token, now=now())
    if who is None:
        raise problems.SignedOut
    if who.role not in wanted:
        raise NotAdmitted
    return Caller(who.holder, who.role, who.agency)
