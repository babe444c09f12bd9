"""Matching: which keyed invoice a payment to a sticker answers, and what is done where the two differ.

Words   Exact, under, over; late: after the invoice had expired; attached: keyed after the money had come. The database
        matches as it posts where there is one candidate (`market.match_payment`); where there are two, the cashier picks.
        Resolved, each with one tap: under, by asking for the rest; over, by refunding the excess; or accepted as it is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from market import invoices, payments, registry, tables
from market.invoices import InvoiceOrder
from market.payments import Payment
from wallet.events import Event
from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.money import Dong
from wallet.refusal import Refusal

PICK_FROM: Final = timedelta(minutes=45)
"""How far back a cashier is offered invoices to pick from."""


class PaymentNotFound(Refusal):
    """No payment to a merchant that the signer works for."""

    code = "payment_not_found"
    status = 404


class Matched(Refusal):
    """The payment answers an invoice already."""

    code = "payment_matched"
    status = 409


class NothingOpen(Refusal):
    """Nothing about this payment is left to be settled in this way."""

    code = "payment_nothing_open"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOrder:
    """Which invoice a payment answers, as the cashier picked."""

    id: OrderId
    payment: EntryId
    invoice: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveOrder:
    """What shall be done about a payment that differs: ask for the rest of it, or let it be."""

    id: OrderId
    payment: EntryId


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """How a payment answers an invoice."""

    order: OrderId
    payment: EntryId
    invoice: UUID
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A payment that is let be."""

    order: OrderId
    payment: EntryId


def attach(unit: sa.Connection, claim: Claim, order: AttachOrder, *, now: datetime) -> Plan:  # noqa: ARG001 - a verb
    """Match a payment with an invoice, on the order of somebody who works there.

    Raises:
        PaymentNotFound; Matched; invoices.Paid, Cancelled.
    """
    how: str = unit.exec_driver_sql(
        "SELECT market.attach(%s, %s, %s)", (order.payment, order.invoice, claim.signer)
    ).scalar_one()
    refused: dict[str, type[Refusal]] = {
        "absent": PaymentNotFound,
        "matched": Matched,
        "settled": invoices.Paid,
        "cancelled": invoices.Cancelled,
    }
    if how in refused:
        raise refused[how](param="payment" if how in ("absent", "matched") else "invoice")
    told = Event(type="payment.attached", subject=order.payment, data={"invoice": str(order.invoice), "how": how})
    return Plan(events=(told,), answer=Attached(order=order.id, payment=order.payment, invoice=order.invoice, how=how))


def ask_rest(unit: sa.Connection, claim: Claim, order: ResolveOrder, *, now: datetime) -> Plan:
    """Issue an invoice for what a payment fell short of.

    Raises:
        PaymentNotFound; NothingOpen: it is not short, or was resolved already; registry.PointClosed.
    """
    payment = _open(unit, claim, order, "under")
    point = registry.point_by_id(unit, payment.point)
    assert point is not None, "a payment came to a point"
    point.must_be_open()
    assert payment.asked is not None, "it was matched"
    wanted = InvoiceOrder(id=order.id, point=point.id, amount=Dong(payment.asked - payment.amount))
    plan = invoices.insert(unit, wanted, point, claim.signer, rest_of=payment.matched, now=now)
    _resolve(unit, payment, "rest_asked", claim.signer, made=plan.answer.invoice, now=now)
    return plan


def accept(unit: sa.Connection, claim: Claim, order: ResolveOrder, *, now: datetime) -> Plan:
    """Let a payment be that came short, over or late.

    Raises:
        PaymentNotFound; NothingOpen.
    """
    payment = _open(unit, claim, order, "under", "over", "late")
    _resolve(unit, payment, "accepted", claim.signer, made=None, now=now)
    told = Event(type="payment.accepted", subject=payment.entry, data={"how": str(payment.how)})
    return Plan(events=(told,), answer=Accepted(order=order.id, payment=payment.entry))


def _open(unit: sa.Connection, claim: Claim, order: ResolveOrder, *hows: str) -> Payment:
    """Return a payment of the signer's merchants that differs in one of these ways and is not resolved."""
    payment = payments.by_entry(unit, order.payment)
    if payment is None or registry.role_of(unit, payment.merchant, claim.signer) is None:
        raise PaymentNotFound(param="payment")
    if payment.how not in hows or payment.resolved is not None:
        raise NothingOpen(param="payment", how=str(payment.how or ""))
    return payment


def _resolve(
    unit: sa.Connection, payment: Payment, how: str, signer: HolderId, *, made: UUID | None, now: datetime
) -> None:
    """Write what was done; a second of two at once breaks the table's key, runs again and finds it done."""
    unit.execute(sa.insert(tables.resolution).values(payment=payment.entry, how=how, made=made, by=signer, at=now))


def unmatched(connection: sa.Connection, point: UUID, *, since: datetime) -> list[Payment]:
    """Return the payments to a point's sticker since an instant that answer nothing, newest first."""
    point_ = registry.point_by_id(connection, point)
    if point_ is None:
        return []
    found = payments.of_merchant(connection, point_.merchant, point=point, since=since, rows_max=50)
    return [one for one in found if one.invoice is None and one.matched is None]
