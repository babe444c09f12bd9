"""What an operator does by a form: close a period; freeze or thaw somebody's wallet. Each is an order, with its reason."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from marshmallow import fields, validate
from werkzeug.wrappers import Response

from wallet import accounts, clock, periods, recovery, text
from wallet.accounts import Account, MoveOrder
from wallet.identity import holders
from wallet.identity.holders import Person
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.ledger import balances
from wallet.periods import CloseOrder, Kind
from wallet.refusal import Refusal
from wallet.web import views
from wallet.web.accounts import FreezeSchema, MovedSchema, MoveSchema, ThawSchema
from wallet.web.act import session_acts
from wallet.web.fields import AnswerSchema, DayField, IdField, OrderSchema, day, uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import form, new_order_id, signed_in
from wallet.web.problems import Unparseable
from wallet.web.state import now, state

door = Blueprint("operate", __name__)


class CloseOrderSchema(OrderSchema):
    """Close a day or a month for good."""

    kind_name = "period_close"

    period = fields.String(required=True, validate=validate.OneOf(("day", "month")))
    starts = DayField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> CloseOrder:
        """Make the frozen order."""
        return CloseOrder(id=id, kind=own["period"], starts=own["starts"])


class ClosedSchema(AnswerSchema):
    """The period that was closed, and the digest of all balances at its end."""

    period = IdField()
    kind = fields.String()
    starts = DayField()
    ends = DayField()
    digest = fields.String()


class _ReasonedSchema(MoveSchema):
    reason = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> MoveOrder:
        reason = text.plain(own["reason"], chars_max=recovery.REASON_CHARS_MAX, param="reason")
        return MoveOrder(id=id, account=own["account"], status=self.status, reason=reason)


class OperatorFreezeSchema(_ReasonedSchema, FreezeSchema):
    """Freeze somebody's wallet, with a reason."""


class OperatorThawSchema(_ReasonedSchema, ThawSchema):
    """Thaw somebody's wallet, whoever froze it, with a reason."""


# -- periods ----------------------------------------------------------------------------------------------------------


@door.get("/van-hanh/ky/khoa")
@admits(Role.OPERATOR)
def ask_closing() -> str:
    """Show what closing a period would seal, and ask once more."""
    kind, starts = _period(request.args)
    return render_template("operator_close.html", **_closing(kind, starts))


@door.post("/van-hanh/ky/khoa")
@admits(Role.OPERATOR)
def close_period() -> Response | tuple[str, int]:
    """Close it. The same form sent twice closes it once."""
    kind, starts = _period(request.form)
    try:
        outcome = session_acts(
            CloseOrderSchema,
            {"period": kind, "starts": starts.isoformat()},
            periods.close,
            ClosedSchema,
            signer=signed_in(),
            id=_order_id(),
        )
    except Refusal as refusal:
        return form("operator_close.html", refusal, **_closing(kind, starts))
    if outcome.status >= 400:
        told = json.loads(outcome.body)
        return render_template("operator_close.html", **_closing(kind, starts), problem=told), outcome.status
    return redirect(f"/van-hanh/ky#p-{json.loads(outcome.body)['period']}", 303)


def _period(given: Mapping[str, str]) -> tuple[Kind, date]:
    """Read which period is meant.

    Raises:
        Unparseable: no kind of period, or no day.
    """
    kind, starts = given.get("period", ""), given.get("starts", "")
    try:
        first = day(starts)
    except ValueError:
        raise Unparseable(param="starts") from None
    if kind == "day":
        return "day", first
    if kind == "month":
        return "month", first
    raise Unparseable(param="period")


def _closing(kind: Kind, starts: date) -> dict[str, Any]:
    """Say what the page shows of a period that may be closed: the trial balance as of its last instant."""
    ends = starts if kind == "day" else periods.last_of_month(starts)
    last = min(clock.day_bounds(ends)[1] - timedelta(microseconds=1), now())
    with state().audit.connect() as connection:
        ready = periods.readiness(connection, kind, starts, now=now())
        rows = balances.trial_balance_as_of(connection, last, by="effective")
    return {
        "kind": kind,
        "starts": starts,
        "ends": ends,
        "ready": ready,
        "order_id": new_order_id(),
        **views.trial_balance(rows),
    }


# -- wallets ----------------------------------------------------------------------------------------------------------


_MOVES: Final[Mapping[str, type[_ReasonedSchema]]] = {"freeze": OperatorFreezeSchema, "thaw": OperatorThawSchema}


@door.get("/van-hanh/khoa-vi")
@admits(Role.OPERATOR)
def ask_move() -> str:
    """Ask whose wallet shall be frozen or thawed, and why."""
    return render_template("operator_freeze.html", values={"order_id": new_order_id()}, errors={})


@door.post("/van-hanh/khoa-vi")
@admits(Role.OPERATOR)
def move() -> tuple[str, int]:
    """Freeze or thaw it. The operator types the phone and learns of its holder only what tells a mistyped number."""
    schema, id = _MOVES.get(request.form.get("move", "")), _order_id()
    if schema is None:
        raise Unparseable(param="move")
    again = {"order_id": new_order_id()}
    try:
        with state().app.connect() as connection:
            person, wallet = _wallet(connection, request.form.get("phone", ""))
        outcome = session_acts(
            schema,
            {"account": str(wallet.id), "reason": request.form.get("reason", "")},
            accounts.move_by_operator,
            MovedSchema,
            signer=signed_in(),
            id=id,
            at_once=True,
        )
    except Refusal as refusal:
        return form("operator_freeze.html", refusal, values=request.form.to_dict() | again)
    if outcome.status >= 400:
        values, told = request.form.to_dict() | again, json.loads(outcome.body)
        return render_template("operator_freeze.html", values=values, errors={}, problem=told), outcome.status
    done = {
        "status": schema.status,
        "name": text.mask(person.name),
        "phone": text.mask_phone(person.phone or ""),
    }
    return render_template("operator_freeze.html", values=again, errors={}, done=done), 200


def _wallet(connection: sa.Connection, typed: str) -> tuple[Person, Account]:
    """Return whose phone this is, and their wallet.

    Raises:
        holders.BadPhone; recovery.NoWallet.
    """
    person = holders.by_phone(connection, holders.phone_number(typed))
    wallet = accounts.wallet_of(connection, person.holder) if person else None
    if person is None or wallet is None:
        raise recovery.NoWallet(param="phone")
    return person, wallet


def _order_id() -> OrderId:
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    return OrderId(id)
