"""The audit room and the operations room, as far as this slice furnishes them: trial balance, events, recovery."""

import json
from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, render_template, request

from wallet import db, recovery
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.ledger import balances
from wallet.ledger.tables import event
from wallet.refusal import Refusal
from wallet.web.accounts import cursor, spell_cursor
from wallet.web.act import session_acts
from wallet.web.fields import uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import form, new_order_id, signed_in
from wallet.web.problems import Unparseable, locale
from wallet.web.recovery import RecoveredSchema, RecoverOrderSchema
from wallet.web.state import now, state

door = Blueprint("rooms", __name__)


class TicketGiven(Refusal):
    """This form was carried out before, and its ticket was shown then."""

    code = "recovery_ticket_given"
    status = 409
    stored = False


EVENT_ROWS: Final = 50


@door.get("/kiem-toan")
@admits(Role.AUDITOR)
def audit_balance() -> str:
    """Show the trial balance to an auditor."""
    return _balance()


@door.get("/van-hanh")
@admits(Role.OPERATOR)
def operator_balance() -> str:
    """Show the trial balance to an operator."""
    return _balance()


@door.get("/kiem-toan/su-kien")
@admits(Role.AUDITOR)
def audit_events() -> str:
    """Show the events to an auditor."""
    return _events()


@door.get("/van-hanh/su-kien")
@admits(Role.OPERATOR)
def operator_events() -> str:
    """Show the events to an operator."""
    return _events()


@door.get("/van-hanh/khoi-phuc")
@admits(Role.OPERATOR)
def ask_recovery() -> str:
    """Ask whose lost devices shall be revoked, and how their identity was checked."""
    return render_template("operator_recover.html", values={"order_id": new_order_id()}, errors={})


@door.post("/van-hanh/khoi-phuc")
@admits(Role.OPERATOR)
def recover() -> tuple[str, int]:
    """Revoke a person's lost devices, PIN and sessions, by an operator's order with a reason."""
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    again = {"order_id": new_order_id()}
    try:
        phone = holders.phone_number(request.form.get("phone", ""))
        outcome = session_acts(
            RecoverOrderSchema,
            {"phone": phone, "reason": request.form.get("reason", "")},
            recovery.recover,
            RecoveredSchema,
            signer=signed_in(),
            id=OrderId(id),
        )
    except Refusal as refusal:
        values = request.form.to_dict() | again
        return form("operator_recover.html", refusal, values=values)
    if outcome.status >= 400:
        values, told = request.form.to_dict() | again, json.loads(outcome.body)
        return render_template("operator_recover.html", values=values, errors={}, problem=told), outcome.status
    if outcome.replayed:  # the form was sent again: the ticket that was handed over stays the one that counts
        return form("operator_recover.html", TicketGiven(), values=again)
    secret = state().config.server_secret
    ticket = db.unit(state().app, lambda unit: recovery.ticket(unit, phone, secret=secret, now=now()))
    return render_template("operator_recover.html", values=again, errors={}, ticket=ticket), 200


def _balance() -> str:
    with state().audit.connect() as connection:
        rows = balances.trial_balance(connection)
    return render_template(
        "audit_balance.html",
        rows=[
            {
                "code": row.code,
                "name": row.name_en if locale() == "en" else row.name,
                "normal": row.normal,
                "debit": row.debit,
                "credit": row.credit,
            }
            for row in rows
        ],
        total_debit=sum(row.debit for row in rows),
        total_credit=sum(row.credit for row in rows),
    )


def _events() -> str:
    before = cursor("statement")
    query = sa.select(event).order_by(event.c.seq.desc()).limit(EVENT_ROWS + 1)
    if before:
        query = query.where(event.c.seq < int(before))
    with state().audit.connect() as connection:
        rows = connection.execute(query).all()
    more = len(rows) > EVENT_ROWS
    rows = rows[:EVENT_ROWS]
    return render_template(
        "audit_events.html",
        events=[_event(row) for row in rows],
        next_cursor=spell_cursor("statement", str(rows[-1].seq)) if more else None,
    )


def _event(row: Any) -> dict[str, Any]:
    spelled = json.loads(row.bytes)
    return {
        "at": row.at,
        "type": row.type,
        "subject": row.subject,
        "actor": spelled["actor"],
        "data": spelled["data"],
    }
