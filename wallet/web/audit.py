"""The audit room, looking something up: accounts and their statements, an entry with all it stands on, a name revealed."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, render_template, request
from marshmallow import fields
from werkzeug.wrappers import Response

from wallet import accounts, text
from wallet.accounts import StatementRow
from wallet.audit import entries, find, names
from wallet.audit.entries import NotFound
from wallet.audit.find import Held
from wallet.audit.names import REASON_CHARS_MAX, RevealOrder
from wallet.bills import agencies
from wallet.identity import attempts, holders
from wallet.identity.roles import Role
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger.tables import chart
from wallet.log.published import FOLDER, PublishedLog
from wallet.refusal import Refusal
from wallet.web.accounts import cursor, spell_cursor
from wallet.web.act import session_acts
from wallet.web.fields import AnswerSchema, IdField, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import form, new_order_id, signed_in
from wallet.web.problems import Unparseable, locale
from wallet.web.state import now, state

door = Blueprint("audit", __name__)

ROWS: Final = 50
QUERY_CHARS_MAX: Final = 60


class RevealOrderSchema(OrderSchema):
    """See a holder's name, with a reason."""

    kind_name = "name_reveal"

    holder = IdField(required=True)
    reason = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> RevealOrder:
        """Make the frozen order."""
        reason = text.plain(own["reason"], chars_max=REASON_CHARS_MAX, param="reason")
        return RevealOrder(id=id, holder=HolderId(own["holder"]), reason=reason)


class RevealSchema(AnswerSchema):
    """That a name may be shown; never the name."""

    order = IdField()
    holder = IdField()


# -- looking up -------------------------------------------------------------------------------------------------------


@door.get("/kiem-toan/tra-cuu")
@admits(Role.AUDITOR)
def look_up() -> str:
    """Find what an id or a code belongs to, or show the accounts of a line of the chart."""
    given = request.args.get("q", "")[:QUERY_CHARS_MAX]
    asked = "".join(char for char in given if char.isprintable()).strip()
    line = request.args.get("ma", "")
    with state().audit.connect() as connection:
        hits = find.hits(connection, id=uuid_or_none(asked.lower()), code=asked.upper()) if asked else []
        lines = connection.execute(sa.select(chart.c.code, chart.c.name, chart.c.name_en).order_by(chart.c.code)).all()
        named = {one.code: one.name_en if locale() == "en" else one.name for one in lines}
        line = line if line in named else ""
        listed = find.largest(connection, line) if line else []
        rows = shown_accounts(connection, listed)
    return render_template(
        "audit_find.html", q=asked, hits=hits, line=line, rows=rows, lines=named, rows_max=find.ACCOUNTS_MAX
    )


@door.get("/kiem-toan/tai-khoan/<id>")
@admits(Role.AUDITOR)
def account(id: str) -> str:
    """Show an account: what it has now, and every posting with the running balance, both ways through time."""
    before, after = cursor("statement"), _after()
    with state().audit.connect() as connection:
        found = find.account(connection, _id(id))
        if found is None:
            raise NotFound(param="account")
        rows, older, newer = _page(connection, AccountId(found.id), before, after)
        others = [one for one in (find.account(connection, row.counterparty) for row in rows) if one]
        about = {one["id"]: one for one in shown_accounts(connection, [found, *others])}
    return render_template(
        "audit_account.html",
        account=about[found.id],
        rows=[{"row": row, "other": about.get(row.counterparty)} for row in rows],
        older=spell_cursor("statement", str(older)) if older else None,
        newer=newer,
    )


def _page(
    connection: sa.Connection, account: AccountId, before: str | None, after: int | None
) -> tuple[list[StatementRow], int | None, int | None]:
    """Return a page of a statement, newest first, with the keys to go on from: to older postings and to newer ones."""
    if after is not None:
        rows = accounts.statement(connection, account, rows_max=ROWS + 1, after=after)
        more, rows = len(rows) > ROWS, rows[:ROWS][::-1]
        return rows, rows[-1].seq if rows else None, rows[0].seq if more else None
    rows = accounts.statement(connection, account, rows_max=ROWS + 1, before=int(before) if before else None)
    more, rows = len(rows) > ROWS, rows[:ROWS]
    return rows, rows[-1].seq if more else None, rows[0].seq if rows and before else None


def _after() -> int | None:
    """Read the key above which a page of newer postings begins.

    Raises:
        Unparseable.
    """
    given = request.args.get("sau", "")
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise Unparseable(param="sau")
    return int(given)


@door.get("/kiem-toan/but-toan/<id>")
@admits(Role.AUDITOR)
def entry(id: str) -> str:
    """Show an entry with its postings, its authority, the signature and key, its leaf and the proof; each checked now."""
    with state().audit.connect() as connection:
        found = entries.find(connection, EntryId(_id(id)), log=log())
        sides = {side.account: side for one in found.postings for side in (one.debit, one.credit)}
        held = [one for one in (find.account(connection, account) for account in sides) if one]
        about = {one["id"]: one for one in shown_accounts(connection, held)}
        signer = names.masked(connection, [found.word.signer]).get(found.word.signer)
        office = agencies.codes(connection).get(found.word.signer)
    agency = state().city.agencies.get(office) if office else None
    return render_template(
        "audit_entry.html",
        entry=found,
        about=about,
        signer_name=signer or (agency.name if agency else None),
        is_person=signer is not None,
        content=json.dumps(found.word.content, ensure_ascii=False, indent=2) if found.word.content else None,
        jwk=json.dumps(found.word.jwk) if found.word.jwk else None,
    )


def log() -> PublishedLog:
    """Return the log as this service has published it."""
    return PublishedLog(state().config.var_dir / FOLDER)


def shown_accounts(connection: sa.Connection, some: list[Held]) -> list[dict[str, Any]]:
    """Show accounts: a person's by the masked name, an agency's by its name and budget codes, the house's by the chart."""
    city, codes = state().city, agencies.codes(connection)
    masked = names.masked(connection, [one.holder for one in some if one.holder])
    lines = {row.code: row for row in connection.execute(sa.select(chart))}
    shown = []
    for one in some:
        agency = city.agencies.get(codes[one.holder]) if one.holder in codes else None
        line = lines[one.code]
        tieu_muc, area = city.tieu_muc.get(one.tieu_muc or ""), city.areas.get(one.dia_ban or "")
        shown.append(
            {
                "id": one.id,
                "code": one.code,
                "line": line.name_en if locale() == "en" else line.name,
                "holder": one.holder,
                "is_person": one.holder in masked,
                "name": masked.get(one.holder) if one.holder in masked else agency.name if agency else None,
                "budget": f"{one.chuong} · {one.tieu_muc} · {one.dia_ban}" if one.chuong else None,
                "tieu_muc_name": tieu_muc.name if tieu_muc else "",
                "area_name": area.name if area else "",
                "status": one.status,
                "normal": one.normal,
                "opened_at": one.opened_at,
                "posted": one.posted,
                "held": one.held,
            }
        )
    return shown


def _id(text_: str) -> UUID:
    found = uuid_or_none(text_)
    if found is None:
        raise NotFound
    return found


# -- a name -----------------------------------------------------------------------------------------------------------


@door.get("/kiem-toan/hien-ten")
@admits(Role.AUDITOR)
def ask_reveal() -> str:
    """Ask why a name shall be shown."""
    holder = _id(request.args.get("holder", ""))
    return render_template("audit_reveal.html", **_reveal_page(holder), errors={}, values={"order_id": new_order_id()})


@door.post("/kiem-toan/hien-ten")
@admits(Role.AUDITOR)
def reveal() -> Response | str | tuple[str, int]:
    """Tell that the name is shown, then show it, this once."""
    holder, id = _id(request.form.get("holder", "")), uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    page, again = _reveal_page(holder), {"order_id": new_order_id()}
    try:
        attempts.count(state().app, [(names.REVEALED, str(signed_in()))], now=now())
        outcome = session_acts(
            RevealOrderSchema,
            {"holder": str(holder), "reason": request.form.get("reason", "")},
            names.reveal,
            RevealSchema,
            signer=signed_in(),
            id=OrderId(id),
        )
        if outcome.replayed and outcome.status < 400:
            raise names.Revealed
    except Refusal as refusal:
        return form("audit_reveal.html", refusal, **page, values=request.form.to_dict() | again)
    if outcome.status >= 400:
        told = json.loads(outcome.body)
        return render_template("audit_reveal.html", **page, errors={}, values=again, problem=told), outcome.status
    with state().app.connect() as connection:
        person = holders.by_id(connection, holder)
    assert person is not None, "the verb has just seen them"
    return render_template("audit_reveal.html", **page, errors={}, values=again, revealed=person.name)


def _reveal_page(holder: UUID) -> dict[str, Any]:
    with state().audit.connect() as connection:
        masked = names.masked(connection, [holder]).get(holder)
    return {"holder": holder, "masked": masked, "back": _back()}


def _back() -> str | None:
    """Return the audit room's page to go back to, if the address names one."""
    wanted = request.values.get("ve", "")
    return wanted if wanted.startswith("/kiem-toan/") and wanted.isascii() and wanted.isprintable() else None
