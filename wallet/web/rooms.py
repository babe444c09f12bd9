"""The audit room and the operations room: trial balance now and then, events, closed periods, limits, recovery."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, render_template, request
from flask_babel import gettext as _

from wallet import clock, db, periods, recovery, rules
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.ledger import balances
from wallet.ledger.tables import chart, event
from wallet.refusal import Refusal
from wallet.web import fields, views
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
PERIOD_DAYS: Final = 31
"""How many closed days a page lists, with the months that ended on them."""


@door.get("/kiem-toan")
@admits(Role.AUDITOR)
def audit_balance() -> str | tuple[str, int]:
    """Show the trial balance to an auditor."""
    return _balance()


@door.get("/van-hanh")
@admits(Role.OPERATOR)
def operator_balance() -> str | tuple[str, int]:
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


@door.get("/kiem-toan/ky")
@admits(Role.AUDITOR)
def audit_periods() -> str:
    """Show the closed periods to an auditor, who closes none."""
    return _periods(closable=[])


@door.get("/van-hanh/ky")
@admits(Role.OPERATOR)
def operator_periods() -> str:
    """Show the closed periods to an operator, and which may be closed next."""
    yesterday = clock.day_of(now()) - timedelta(days=1)
    month = (clock.day_of(now()).replace(day=1) - timedelta(days=1)).replace(day=1)
    with state().audit.connect() as connection:
        wanted: tuple[tuple[periods.Kind, date], ...] = (("day", yesterday), ("month", month))
        closable = [
            {"kind": kind, "starts": starts, "ready": periods.readiness(connection, kind, starts, now=now())}
            for kind, starts in wanted
        ]
    return _periods(closable=closable)


@door.get("/van-hanh/quy-tac")
@admits(Role.OPERATOR)
def limit_rules() -> str:
    """Show every limit with what says so, and how sure we are of it."""
    vietnamese, today = locale() == "vi", clock.day_of(now())
    in_force = rules.limits_on(today)
    rows = [
        {
            "code": rule.code,
            "title": rule.title if vietnamese else rule.title_en,
            "window": rule.window,
            "uses": [name for use, name in rules.uses().items() if use in rule.uses],
            "only": rule.only,
            "effect": rule.effect,
            "value": rule.value,
            "since": rule.since,
            "state": "in force" if rule in in_force else "to come" if rule.since > today else "past",
            "source": rule.source_vi if vietnamese else rule.source,
            "confidence": rule.confidence_vi if vietnamese else rule.confidence,
        }
        for rule in rules.limits()
    ]
    return render_template("operator_rules.html", rules=rows)


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


def _balance() -> str | tuple[str, int]:
    """Show the trial balance now, or as it stood at an instant that the address names in the city's time."""
    given = {name: request.args.get(name, "") for name in ("day", "time", "by")}
    by: balances.By = "posted" if given["by"] == "posted" else "effective"
    at, wrong = _instant(given)
    with state().audit.connect() as connection:
        rows = balances.trial_balance_as_of(connection, at, by=by) if at else balances.trial_balance(connection)
    over = at is not None and not given["time"] and clock.day_of(at) < clock.day_of(now())
    whole_day = clock.day_of(at) if at and over else None
    page = render_template(
        "audit_balance.html", at=at, by=by, whole_day=whole_day, values=given, errors=wrong, **views.trial_balance(rows)
    )
    return (page, 400) if wrong else page


def _instant(given: Mapping[str, str]) -> tuple[datetime | None, dict[str, str]]:
    """Read an instant of the past, in the city's time: a day's end where no time is given, none where no day is; or say
    what is wrong with it.
    """
    if not given["day"]:
        return None, {"day": _("Xin chọn ngày.")} if given["time"] else {}
    try:
        on = fields.day(given["day"])
        since = datetime.strptime(given["time"], "%H:%M").time() if given["time"] else None  # noqa: DTZ007 - a time of day
    except ValueError:
        return None, {"day": _("Xin ghi ngày và giờ như 21/11/2026 10:05.")}
    if since is None:
        at = min(clock.day_bounds(on)[1] - timedelta(microseconds=1), now())
    else:
        at = datetime.combine(on, since, clock.CITY_TIME)
    if on > clock.day_of(now()) or at > now():
        return None, {"day": _("Xin chọn một thời điểm đã qua.")}
    return at, {}


def _periods(*, closable: list[dict[str, Any]]) -> str:
    try:
        before = fields.day(request.args["truoc"]) if request.args.get("truoc") else None
    except ValueError:
        raise Unparseable(param="truoc") from None
    with state().audit.connect() as connection:
        found = periods.sealed(connection, days_max=PERIOD_DAYS + 1, before=before)
        lines = connection.execute(sa.select(chart.c.code, chart.c.name, chart.c.name_en)).all()
    names = {row.code: row.name_en if locale() == "en" else row.name for row in lines}
    days: list[date] = sorted({one.ends for one in found}, reverse=True)
    following = days[PERIOD_DAYS - 1] if len(days) > PERIOD_DAYS else None
    shown = [one for one in found if following is None or one.ends >= following]
    return render_template(
        "audit_periods.html",
        periods=[_sealed(one, names) for one in shown],
        closable=closable,
        following=following,
    )


def _sealed(one: periods.Sealed, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": str(one.period),
        "kind": one.kind,
        "starts": one.starts,
        "ends": one.ends,
        "closed_at": one.closed_at,
        "digest": one.digest,
        "rows": [
            {"code": row.code, "name": names[row.code], "debit": row.debit, "credit": row.credit} for row in one.rows
        ],
        "total_debit": sum(row.debit for row in one.rows),
        "total_credit": sum(row.credit for row in one.rows),
    }


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
