"""Payments to merchants: of an invoice, once, at its amount; and to a point's sticker, of whatever the payer says.

Money   The payer's wallet is debited and the merchant's account credited with the same amount, in one entry. The order names
        the account that is paid and the amount, so what was signed cannot be turned to somebody else's good.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from market import invoices, registry, tables
from wallet import accounts, ids
from wallet.events import Event
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Guard, Plan, Posting
from wallet.limits import Limits
from wallet.money import Dong
from wallet.refusal import Refusal

MEMO_CHARS_MAX: Final = 140

KIND: Final = "merchant_payment"
"""Of every entry that pays a merchant."""

PURCHASE: Final = "purchase"
"""The use of money that goes to a merchant, for the limits."""


class InvoiceDiffers(Refusal):
    """The invoice is for another amount, or its payee is another, than the payer signed."""

    code = "invoice_differs"
    status = 409


class PayeeDiffers(Refusal):
    """The point's merchant is paid into another account than the payer signed."""

    code = "point_payee_differs"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePaymentOrder:
    """What a payer signed: this invoice, as it was seen."""

    id: OrderId
    payer: AccountId
    payee: AccountId
    invoice: UUID
    amount: Dong


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPaymentOrder:
    """What a payer signed: so much, at this point."""

    id: OrderId
    payer: AccountId
    payee: AccountId
    point: UUID
    amount: Dong
    memo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What was done. `invoice` is None of a payment to a sticker."""

    order: OrderId
    entry: EntryId
    merchant: HolderId
    point: UUID
    invoice: UUID | None
    payer: AccountId
    payee: AccountId
    amount: Dong
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment as the merchant sees it; who paid is nobody's business there. `given` is what went back of it."""

    entry: EntryId
    merchant: HolderId
    point: UUID
    point_name: str
    invoice: UUID | None
    amount: Dong
    given: int
    at: datetime
    matched: UUID | None
    how: str | None
    asked: int | None
    resolved: str | None

    @property
    def remains(self) -> int:
        """What can still be given back."""
        return self.amount - self.given


def pay_invoice(
    connection: sa.Connection, claim: Claim, order: InvoicePaymentOrder, *, limits: Limits, now: datetime
) -> Plan:
    """Decide the payment of an invoice, whole.

    Args:
        connection: read from without a lock; the plan's guard locks the invoice and asks for a new plan if it has changed.
        claim: the payer's order.
        order: amount and payee as they were seen.
        limits: in force.
        now: aware UTC, read once at the door.

    Raises:
        invoices.NotFound, Paid, Cancelled, Expired; InvoiceDiffers; registry.PointClosed; accounts.NotFound.
    """
    payer = accounts.payer(connection, order.payer, signer=claim.signer)
    invoice = invoices.by_id(connection, order.invoice)
    if invoice is None:
        raise invoices.NotFound(param="invoice")
    invoice.must_be_payable(now)
    point = registry.point_by_id(connection, invoice.point)
    assert point is not None, "an invoice is issued at a point"
    payee = point.must_be_open()
    if (order.amount, order.payee) != (invoice.amount, payee):
        facts = {"invoice": str(invoice.id), "amount": str(invoice.amount), "payee": str(payee)}
        raise InvoiceDiffers(param="amount" if order.amount != invoice.amount else "payee", **facts)
    entry = _entry(payer, payee, invoice.amount, settles=invoice.id, now=now)
    told = Event(type="invoice.paid", subject=invoice.id, entry=entry.id, data=_said(point))
    done = _done(order, entry, point, invoice=invoice.id, now=now)
    return Plan(
        entries=(entry,),
        events=(told,),
        answer=done,
        limits=limits.counts(connection, claim, {PURCHASE: order.amount}, now=now),
        guard=Guard(function="market.pay_invoice", extra=(invoice.id,)),
    )


def pay_point(
    connection: sa.Connection, claim: Claim, order: PointPaymentOrder, *, limits: Limits, now: datetime
) -> Plan:
    """Decide a payment to a point's sticker; it is matched with what the cashier has keyed as it is posted.

    Raises:
        registry.PointNotFound, PointClosed; PayeeDiffers; accounts.NotFound.
    """
    payer = accounts.payer(connection, order.payer, signer=claim.signer)
    point = registry.point_by_id(connection, order.point)
    if point is None:
        raise registry.PointNotFound(param="point")
    payee = point.must_be_open()
    if order.payee != payee:
        raise PayeeDiffers(param="payee", payee=str(payee))
    entry = _entry(payer, payee, order.amount, settles=None, now=now)
    told = Event(type="point.paid", subject=point.id, entry=entry.id, data=_said(point))
    return Plan(
        entries=(entry,),
        events=(told,),
        answer=_done(order, entry, point, invoice=None, now=now),
        limits=limits.counts(connection, claim, {PURCHASE: order.amount}, now=now),
        guard=Guard(function="market.pay_point", extra=(point.id,)),
    )


def _entry(payer: AccountId, payee: AccountId, amount: Dong, *, settles: UUID | None, now: datetime) -> Entry:
    return Entry(
        id=EntryId(ids.new()),
        kind=KIND,
        effective_at=now,
        settles=settles,
        postings=(Posting(debit=payer, credit=payee, amount=amount),),
    )


def _said(point: registry.Point) -> dict[str, Any]:
    return {"merchant": str(point.merchant), "point": str(point.id)}


def _done(
    order: InvoicePaymentOrder | PointPaymentOrder,
    entry: Entry,
    point: registry.Point,
    *,
    invoice: UUID | None,
    now: datetime,
) -> Paid:
    return Paid(
        order=order.id,
        entry=entry.id,
        merchant=point.merchant,
        point=point.id,
        invoice=invoice,
        payer=order.payer,
        payee=order.payee,
        amount=order.amount,
        effective_at=now,
    )


# -- reading ------------------------------------------------------------------------------------------------------------


_PAYMENTS: Final = """
    SELECT p.entry, p.merchant, p.point, t.name AS point_name, p.invoice, p.amount, p.at, m.invoice AS matched, m.how,
           i.amount AS asked, r.how AS resolved,
           (SELECT coalesce(sum(x.amount), 0) FROM ledger.entry b JOIN ledger.posting x ON x.entry = b.id
            WHERE b.refunds = p.entry)::bigint AS given
    FROM market.payment p JOIN market.point t ON t.id = p.point
    LEFT JOIN market.match m ON m.payment = p.entry
    LEFT JOIN market.invoice i ON i.id = coalesce(p.invoice, m.invoice)
    LEFT JOIN market.resolution r ON r.payment = p.entry
"""


def by_entry(connection: sa.Connection, entry: UUID) -> Payment | None:
    """Find a payment by the entry that brought it."""
    row = connection.exec_driver_sql(_PAYMENTS + " WHERE p.entry = %s", (entry,)).one_or_none()
    return Payment(**row._mapping) if row else None


def of_merchant(
    connection: sa.Connection,
    merchant: UUID,
    *,
    point: UUID | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
    rows_max: int = 30,
) -> list[Payment]:
    """Return what was paid to a merchant, newest first."""
    where = ["p.merchant = %(merchant)s"]
    asked: dict[str, Any] = {"merchant": merchant, "most": rows_max}
    for name, condition, value in (
        ("point", "p.point = %(point)s", point),
        ("since", "p.at >= %(since)s", since),
        ("before", "p.at < %(before)s", before),
    ):
        if value is not None:
            where.append(condition)
            asked[name] = value
    statement = f"{_PAYMENTS} WHERE {' AND '.join(where)} ORDER BY p.at DESC, p.entry LIMIT %(most)s"
    return [Payment(**row._mapping) for row in connection.exec_driver_sql(statement, asked)]


def merchant_of(connection: sa.Connection, entry: UUID) -> HolderId | None:
    """Return whom an entry paid, if it paid a merchant."""
    found: HolderId | None = connection.execute(
        sa.select(tables.payment.c.merchant).where(tables.payment.c.entry == entry)
    ).scalar()
    return found
