"""Refunds by merchants: a part of a payment, or all of it, back to the wallet it came from.

Words   A request is a refund that somebody prepared. A cashier prepares with their PIN then orders it; from a threshold on
        (dated data, all refunds of a payment together) who orders is another person than who prepared, and no cashier.
Money   Whole đồng, at most what remains of the payment, compared under its lock. The merchant's account is debited: what it
        no longer has it cannot give back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import sqlalchemy as sa

from market import payments, registry, rules, tables
from market.matching import PaymentNotFound
from market.payments import Payment
from market.registry import StaffRole
from wallet import clock, ids
from wallet import refunds as giving_back
from wallet.events import Event
from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger import Claim, Guard, Plan
from wallet.ledger.refusals import RefundTooLarge
from wallet.money import Dong
from wallet.refunds import RefundOrder
from wallet.refusal import Refusal

REASON_CHARS_MAX: Final = giving_back.REASON_CHARS_MAX

LASTS: Final = timedelta(hours=24)
"""How long a prepared refund waits for whoever is to order it."""


class PinWanted(Refusal):
    """A cashier prepares a refund with their PIN before they order it."""

    code = "refund_pin_wanted"
    status = 403


class SecondPersonWanted(Refusal):
    """From this amount on one person prepares a refund and another, an owner or a manager, orders it."""

    code = "refund_second_person_wanted"
    status = 403


class RequestNotFound(Refusal):
    """No prepared refund of the signer's merchants with that id."""

    code = "refund_request_not_found"
    status = 404


class RequestClosed(Refusal):
    """The prepared refund was carried out, withdrawn, or its time is over."""

    code = "refund_request_closed"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOrder:
    """A refund to be prepared. `pin` says that its maker has just given their PIN; the PIN itself stands nowhere."""

    id: OrderId
    entry: EntryId
    amount: Dong
    reason: str
    pin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawOrder:
    """A prepared refund, not wanted any more."""

    id: OrderId
    request: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A refund that was prepared."""

    order: OrderId
    request: UUID
    entry: EntryId
    amount: Dong
    second: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A prepared refund that will not be."""

    order: OrderId
    request: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prepared refund as the merchant's people see it."""

    id: UUID
    merchant: HolderId
    entry: EntryId
    amount: Dong
    reason: str
    made_by: HolderId
    made_at: datetime
    expires_at: datetime
    pin: bool
    approved_by: HolderId | None
    refund: EntryId | None
    withdrawn_at: datetime | None

    def state(self, now: datetime) -> str:
        """Say where it stands: asked, done, withdrawn or expired."""
        if self.refund is not None:
            return "done"
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "expired" if now >= self.expires_at else "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """Money that a merchant gave back, as whom it came back to sees it."""

    refund: EntryId
    payment: EntryId
    merchant: HolderId
    merchant_name: str
    paid: Dong
    paid_at: datetime
    amount: Dong
    at: datetime


def refund(connection: sa.Connection, claim: Claim, order: RefundOrder, *, now: datetime) -> Plan:
    """Decide a refund: of a payment to a merchant, on the order of somebody who works there; any other, as the wallet does.

    Raises:
        wallet.refunds.EntryNotFound: none that paid the signer or a merchant of theirs; RefundTooLarge; PinWanted;
            SecondPersonWanted; then one of `ledger.refusals`: the merchant has too little available.
    """
    payment = payments.by_entry(connection, order.entry)
    if payment is None:
        return giving_back.refund(connection, claim, order, now=now)
    role = registry.role_of(connection, payment.merchant, claim.signer)
    if role is None:
        raise giving_back.EntryNotFound(param="entry")
    if len(order.lines) != 1 or order.lines[0].line != 1:
        raise giving_back.EntryNotFound(param="lines")
    amount = order.lines[0].amount
    if amount > payment.remains:
        raise RefundTooLarge(param="lines", entry=str(payment.entry), line="1", remains=str(payment.remains))
    request = _warranted(connection, payment, amount, claim, role, now=now)
    plan = giving_back.back(connection, order, now=now)
    extra = (payment.entry, request.id if request else None, payment.given)
    return Plan(
        entries=plan.entries,
        events=plan.events,
        answer=plan.answer,
        guard=Guard(function="market.refund", extra=extra),
    )


def order_of(request: Request, signer: HolderId) -> OrderId:
    """Return the id of the order by which a signer carries out a prepared refund: one, however often the page is shown."""
    return OrderId(uuid5(request.id, str(signer)))


def needs_second(payment: Payment, amount: int, *, now: datetime) -> bool:
    """Say whether this much more needs a second person: the sum of a payment's refunds counts, so parts do not help."""
    threshold = rules.threshold_on(rules.REFUND_SECOND_PERSON, clock.day_of(now))
    return payment.given + amount >= threshold.value


def _warranted(
    connection: sa.Connection, payment: Payment, amount: int, claim: Claim, role: StaffRole, *, now: datetime
) -> Request | None:
    """Return the prepared refund that this order carries out; None where its signer needs none.

    Raises:
        SecondPersonWanted, PinWanted.
    """
    open_ = [one for one in of_entry(connection, payment.entry) if one.state(now) == "asked" and one.amount == amount]
    if needs_second(payment, amount, now=now):
        others = [one for one in open_ if one.made_by != claim.signer]
        is_machine = claim.signer == payment.merchant
        if role is StaffRole.CASHIER or is_machine or not others:
            raise SecondPersonWanted(param="lines", entry=str(payment.entry))
        return others[0]
    if role is not StaffRole.CASHIER:
        return next(iter(open_), None)
    own = [one for one in open_ if one.made_by == claim.signer and one.pin]
    if not own:
        raise PinWanted(param="lines", entry=str(payment.entry))
    return own[0]


def ask(unit: sa.Connection, claim: Claim, order: RequestOrder, *, now: datetime) -> Plan:
    """Prepare a refund, on the order of somebody who works for the merchant that was paid.

    Raises:
        PaymentNotFound; RefundTooLarge; PinWanted: a cashier's, without their PIN.
    """
    payment = payments.by_entry(unit, order.entry)
    role = registry.role_of(unit, payment.merchant, claim.signer) if payment else None
    if payment is None or role is None:
        raise PaymentNotFound(param="entry")
    if role is StaffRole.CASHIER and not order.pin:
        raise PinWanted(param="pin")
    if order.amount > payment.remains:
        raise RefundTooLarge(param="amount", entry=str(payment.entry), line="1", remains=str(payment.remains))
    done = Requested(
        order=order.id,
        request=ids.new(),
        entry=payment.entry,
        amount=order.amount,
        second=needs_second(payment, order.amount, now=now),
        expires_at=now + LASTS,
    )
    unit.execute(
        sa.insert(tables.refund_request).values(
            id=done.request,
            merchant=payment.merchant,
            entry=payment.entry,
            amount=order.amount,
            reason=order.reason,
            made_by=claim.signer,
            made_at=now,
            expires_at=done.expires_at,
            pin=order.pin,
        )
    )
    data = {"entry": str(payment.entry), "amount": str(order.amount), "merchant": str(payment.merchant)}
    return Plan(events=(Event(type="refund.requested", subject=done.request, data=data),), answer=done)


def withdraw(unit: sa.Connection, claim: Claim, order: WithdrawOrder, *, now: datetime) -> Plan:
    """Withdraw a prepared refund: its maker, or an owner or a manager.

    Raises:
        RequestNotFound, RequestClosed.
    """
    unit.execute(
        sa.select(tables.refund_request.c.id).where(tables.refund_request.c.id == order.request).with_for_update()
    )
    request = by_id(unit, order.request)
    role = registry.role_of(unit, request.merchant, claim.signer) if request else None
    if request is None or role is None or (role is StaffRole.CASHIER and request.made_by != claim.signer):
        raise RequestNotFound(param="request")
    if request.state(now) != "asked":
        raise RequestClosed(param="request", state=request.state(now))
    unit.execute(
        sa.update(tables.refund_request).where(tables.refund_request.c.id == request.id).values(withdrawn_at=now)
    )
    told = Event(type="refund.withdrawn", subject=request.id, data={"merchant": str(request.merchant)})
    return Plan(events=(told,), answer=Withdrawn(order=order.id, request=request.id))


# -- reading ------------------------------------------------------------------------------------------------------------


def by_id(connection: sa.Connection, request: UUID) -> Request | None:
    """Find a prepared refund."""
    row = connection.execute(_requests().where(tables.refund_request.c.id == request)).one_or_none()
    return Request(**row._mapping) if row else None


def of_entry(connection: sa.Connection, entry: UUID) -> list[Request]:
    """Return the refunds prepared of a payment, oldest first."""
    request = tables.refund_request.c
    return [
        Request(**row._mapping)
        for row in connection.execute(_requests().where(request.entry == entry).order_by(request.id))
    ]


def asked(connection: sa.Connection, merchant: UUID, *, now: datetime, rows_max: int = 50) -> list[Request]:
    """Return a merchant's prepared refunds that wait for somebody, oldest first."""
    request = tables.refund_request.c
    query = (
        _requests()
        .where(
            request.merchant == merchant,
            request.refund.is_(None),
            request.withdrawn_at.is_(None),
            request.expires_at > now,
        )
        .order_by(request.id)
        .limit(rows_max)
    )
    return [Request(**row._mapping) for row in connection.execute(query)]


_GIVEN_BACK: Final = """
    SELECT e.id AS refund, p.entry AS payment, p.merchant, m.name AS merchant_name, p.amount AS paid, p.at AS paid_at,
           (SELECT sum(x.amount) FROM ledger.posting x WHERE x.entry = e.id)::bigint AS amount, e.effective_at AS at
    FROM market.payment p JOIN ledger.entry e ON e.refunds = p.entry JOIN market.merchant m ON m.holder = p.merchant
    WHERE p.payer = %(payer)s AND (%(payment)s::uuid IS NULL OR p.entry = %(payment)s)
    ORDER BY e.effective_at DESC, e.id LIMIT %(most)s
"""


def of_payer(
    connection: sa.Connection, payer: HolderId, *, payment: UUID | None = None, rows_max: int = 30
) -> list[GivenBack]:
    """Return what merchants gave back to somebody, newest first; of one payment only, where it is named."""
    rows = connection.exec_driver_sql(_GIVEN_BACK, {"payer": payer, "payment": payment, "most": rows_max})
    return [GivenBack(**row._mapping) for row in rows]


def _requests() -> sa.Select[Any]:
    request = tables.refund_request.c
    return sa.select(
        request.id,
        request.merchant,
        request.entry,
        request.amount,
        request.reason,
        request.made_by,
        request.made_at,
        request.expires_at,
        request.pin,
        request.approved_by,
        request.refund,
        request.withdrawn_at,
    )
