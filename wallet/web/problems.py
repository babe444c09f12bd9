"""Problems: refusals as RFC 9457 documents for machines and as a page for people; a bug is a mute 500.

Source  RFC 9457. `type` is stable: the code's own anchor in the documentation.
"""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Response, current_app, g, make_response, render_template, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from wallet import canonical, words
from wallet.ledger.refusals import NotAdmitted, PostingStopped
from wallet.refusal import Refusal
from wallet.web.state import me
from wallet.words import Locale

log = logging.getLogger("wallet")

PROBLEM_JSON = "application/problem+json"


class Unparseable(Refusal):
    """The request cannot be read: a header is missing or malformed."""

    code = "request_malformed"
    status = 400
    stored = False


class NoSuchPage(Refusal):
    """Nothing is here."""

    code = "not_found"
    status = 404
    stored = False


class WrongMethod(Refusal):
    """This place does not take that method."""

    code = "method_not_allowed"
    status = 405
    stored = False


class TooLarge(Refusal):
    """The body is larger than any order."""

    code = "body_too_large"
    status = 413
    stored = False


class WrongType(Refusal):
    """The body is not plain application/json."""

    code = "content_type"
    status = 415
    stored = False


class CrossSite(Refusal):
    """The form was sent from another site, or by something that does not say where from."""

    code = "cross_site"
    status = 403
    stored = False


class SignedOut(Refusal):
    """Nobody is signed in."""

    code = "signed_out"
    status = 401
    stored = False


class Busy(Refusal):
    """The database did not answer in time. Whether the order arrived is known once the same order is sent again."""

    code = "service_busy"
    status = 503
    stored = False


class Bug(Refusal):
    """Something we did not anticipate. It says nothing but its request id."""

    code = "internal_error"
    status = 500
    stored = False


_BY_STATUS: Mapping[int, type[Refusal]] = {
    400: Unparseable,
    404: NoSuchPage,
    405: WrongMethod,
    413: TooLarge,
    415: WrongType,
    431: TooLarge,
}


def document(refusal: Refusal, *, locale: Locale, origin: str, request_id: str) -> dict[str, Any]:
    """Spell a refusal as a problem document."""
    text = words.refusal(refusal.code, locale)
    body: dict[str, Any] = {
        "type": f"{origin}/docs#{refusal.code}",
        "title": text.title,
        "status": str(refusal.status),
        "code": refusal.code,
        "detail": text.title,
        "safe": text.safe,
        "next": text.next,
        "request_id": request_id,
    }
    if refusal.param:
        body["param"] = refusal.param
    return body | refusal.facts


def spell(refusal: Refusal) -> bytes:
    """Spell a refusal's problem document as the bytes that are answered, and stored where it sticks."""
    body = document(refusal, locale=locale(), origin=_origin(), request_id=g.request_id)
    return canonical.dumps(body).replace(
        f'"status":"{refusal.status}"'.encode(), f'"status":{refusal.status}'.encode()
    )  # RFC 9457's `status` is a number, the only one we spell


def locale() -> Locale:
    """Return the language of this request: the cookie of the pages, else Accept-Language, else Vietnamese."""
    chosen = request.cookies.get("locale")
    if chosen in words.LOCALES:
        return chosen
    return "en" if request.accept_languages.best_match(words.LOCALES, default="vi") == "en" else "vi"


def answer(refusal: Refusal) -> Response:
    """Answer a refusal: a problem document under /v1 and for machines, a page for people."""
    if refusal.status >= 500 or refusal.status == 429 or isinstance(refusal, NotAdmitted):
        who = me()
        log.warning(
            "refused",
            extra={"code": refusal.code, "status": refusal.status, "holder": str(who.holder) if who else ""},
        )
    if request.path.startswith(("/v1/", "/log/", "/stripe/", "/openapi.json", "/healthz", "/readyz")):
        response = Response(spell(refusal), refusal.status, content_type=PROBLEM_JSON)
    else:
        body = document(refusal, locale=locale(), origin=_origin(), request_id=g.request_id)
        body["status"] = refusal.status
        response = make_response(render_template("problem.html", problem=body), refusal.status)
    if "retry_after_s" in refusal.facts:
        response.headers["Retry-After"] = refusal.facts["retry_after_s"]
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = 'Signature tag="wallet-v1"'
    return response


def of_http(fault: HTTPException) -> Response:
    """Answer what Flask itself refuses (no such page, too large) in our own form."""
    if fault.response is not None or (fault.code or 500) < 400:
        return make_response(fault.get_response())
    kind = _BY_STATUS.get(fault.code or 500)
    response = answer(kind() if kind else Bug() if (fault.code or 500) >= 500 else Unparseable())
    if fault.code == 405 and (allowed := dict(fault.get_headers()).get("Allow")):
        response.headers["Allow"] = allowed
    return response


def of_database(fault: Exception) -> Response:
    """Answer a database that is away, full, ill or too busy: 503, and the log knows the rest; anything else is a bug.

    08 connection · 53 disk, memory or connections used up · 57 stopped or took too long · 58 its disk fails · 55P03 a lock
    not had in time · 25P03 a unit that stood still · 40 a race lost again and again.
    """
    states = ("08", "53", "57", "58", "55P03", "25P03", "40001", "40P01")
    state = getattr(getattr(fault, "orig", None), "sqlstate", None)
    if state == "TT001" and PostingStopped.code in str(fault):
        return answer(PostingStopped())
    lost = isinstance(fault, DBAPIError) and (fault.connection_invalidated or state is None)
    if isinstance(fault, PoolTimeout) or lost or (state or "").startswith(states):
        log.exception("database unavailable", extra={"sqlstate": state})
        return answer(Busy(retry_after_s="1"))
    return of_bug(fault)


def of_bug(fault: Exception) -> Response:
    """Answer a bug with nothing but its request id; the log has the rest."""
    log.error("bug", exc_info=fault)
    return answer(Bug())


def _origin() -> str:
    return str(current_app.extensions["wallet"].config.public_origin)
