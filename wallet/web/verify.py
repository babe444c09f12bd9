"""Verification for anybody: what became of a payment by its number, and a receipt checked in the visitor's own browser."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from wallet import confirmations
from wallet.bills import agencies, find
from wallet.confirmations import Shown
from wallet.identity import holders
from wallet.log import claims
from wallet.log.evidence import RECEIPT, VERDICTS
from wallet.web.gate import admits
from wallet.web.problems import locale
from wallet.web.state import log_keys, now, state

door = Blueprint("verify", __name__)


@door.get("/xac-minh")
@admits("anyone")
def ask() -> Response | str | tuple[str, int]:
    """Ask for a number, or for a receipt's file, which never leaves the browser."""
    typed = request.args.get("so", "").strip()
    if not typed:
        return _page()
    try:
        id = confirmations.read_number(typed)
    except confirmations.NumberNotFound as refusal:
        errors = {"so": _("Số xác nhận có 26 chữ và số. Xin so lại từng ký tự.")}
        return _page(values={"so": typed[:60]}, errors=errors), refusal.status
    return redirect(f"/xac-minh/{confirmations.number(id).replace('-', '')}", 303)


@door.get("/xac-minh/<number>")
@admits("anyone")
def show(number: str) -> str:
    """Show amount, agency, date and state of a payment, and nobody's name."""
    with state().app.connect() as connection:
        shown = confirmations.shown(connection, confirmations.read_number(number))
        return _page(found=_public(connection, shown, private=False))


@door.get("/xac-minh/<number>/<token>")
@admits("anyone")
def show_more(number: str, token: str) -> str:
    """Show the payer and the dossiers too, by the link that the payer gave out and has not ended."""
    id = confirmations.read_number(number)
    with state().app.connect() as connection:
        if not confirmations.opens(connection, id, token, secret=state().config.server_secret):
            raise confirmations.NumberNotFound(param="number")
        return _page(found=_public(connection, confirmations.shown(connection, id), private=True))


def _public(connection: sa.Connection, shown: Shown, *, private: bool) -> dict[str, Any]:
    """Return what the page says of a payment; names and dossiers only where a link opened it."""
    city, codes = state().city, agencies.codes(connection)
    person = holders.by_id(connection, shown.signer) if private else None
    lines = []
    for one in find.by_ids(connection, shown.bills, now=now()):
        agency, procedure = city.agencies.get(codes[one.agency]), city.procedures.get(one.procedure)
        line: dict[str, Any] = {"agency": agency.name if agency else codes[one.agency], "amount": one.total}
        if private:
            line |= {"dossier": one.dossier, "procedure": procedure.name if procedure else one.procedure}
        lines.append(line)
    lines += [
        {"agency": one.merchant, "amount": shown.amount, "procedure": one.point, "dossier": ""}
        for one in state().purchases(connection, shown.entries).values()
    ]
    return {
        "number": confirmations.number(shown.authority),
        "kind": shown.kind,
        "state": shown.state,
        "at": shown.at,
        "amount": shown.amount,
        "given_back": shown.given_back,
        "lines": lines,
        "private": private,
        "payer_name": person.name if person else "",
    }


def _page(**context: Any) -> str:
    """Render the page with what its script needs: the log's keys, and the words for each claim."""
    words = {one.code: one.says(locale()) for one in claims.CLAIMS}
    verdicts = {kind: said[locale()] for kind, said in VERDICTS.items()}
    check = {"keys": str(log_keys() or ""), "claims": words, "verdicts": verdicts, "proof": RECEIPT}
    return render_template("verify.html", **{"found": None, "values": {}, "errors": {}, "check": check} | context)
