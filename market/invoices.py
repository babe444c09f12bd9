"""Invoices: so much, asked for at a point, to be paid once.

Words   New → paid, expired or cancelled. Short: a payment to the sticker answered it with too little. Whether it is paid is
        not stored: the entry that settles it says so, or the match with a payment to the sticker.
Money   Whole đồng. An invoice's amount never changes: a cashier who mistyped cancels it and issues another.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from market import registry, tables
from wallet import ids
from wallet.events import Event
from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.money import Dong
from wallet.refusal import Refusal

MEMO_CHARS_MAX: Final = 140
ITEMS_MAX: Final = 60
ITEM_CHARS_MAX: Final = 120
"""As long as a product's name may be."""
NUMBER_CHARS: Final = 10
LASTS: Final = timedelta(minutes=15)
"""A customer at the counter has paid by then; one who has not is asked anew."""
LASTS_MAX: Final = timedelta(hours=24)


class State(StrEnum):
    """Where an invoice stands."""

    NEW = "new"
    PAID = "paid"
    SHORT = "short"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class NotFound(Refusal):
    """No invoice with that id that the caller may see."""

    code = "invoice_not_found"
    status = 404


class Paid(Refusal):
    """It is paid; nobody pays it twice."""

    code = "invoice_paid"
    status = 409


class Expired(Refusal):
    """Its time is over."""

    code = "invoice_expired"
    status = 409


class Cancelled(Refusal):
    """Its merchant has taken it back."""

    code = "invoice_cancelled"
    status = 409


class LifeWrong(Refusal):
    """An invoice lives for some minutes, and a day at most."""

    code = "invoice_life"
    status = 422


class ItemsWrong(Refusal):
    """The items do not come to the invoice's amount, or one is not its price times its count."""

    code = "invoice_items"
    status = 422
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of the till: so many of something at a price. `count` may be a part: 0.35 kg."""

    product: UUID | None
    name: str
    unit: str
    price: Dong
    count: Decimal
    amount: Dong


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceOrder:
    """What a cashier or a till asks for."""

    id: OrderId
    point: UUID
    amount: Dong
    memo: str = ""
    items: tuple[Item, ...] = ()
    lasts: timedelta = LASTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """An invoice taken back."""

    id: OrderId
    invoice: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An invoice as it was issued: its number stands in its code."""

    order: OrderId
    invoice: UUID
    number: str
    merchant: HolderId
    point: UUID
    amount: Dong
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledInvoice:
    """What was taken back."""

    order: OrderId
    invoice: UUID
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice, and what came of it. `entry` is the payment's; `paid` is what it brought."""

    id: UUID
    merchant: HolderId
    merchant_name: str
    point: UUID
    number: str
    amount: Dong
    memo: str
    items: list[dict[str, str]]
    made_by: HolderId
    made_at: datetime
    expires_at: datetime
    cancelled_at: datetime | None
    rest_of: UUID | None
    entry: EntryId | None
    how: str | None
    paid: int | None
    paid_at: datetime | None
    payer: HolderId | None
    resolved: str | None
    rest_paid: bool

    def state(self, now: datetime) -> State:
        """Say where it stands."""
        if self.entry is not None:
            is_short = self.how == "under" and self.resolved != "accepted" and not self.rest_paid
            return State.SHORT if is_short else State.PAID
        if self.cancelled_at is not None:
            return State.CANCELLED
        return State.EXPIRED if now >= self.expires_at else State.NEW

    def must_be_payable(self, now: datetime) -> None:
        """Refuse one that cannot be paid any more.

        Raises:
            Paid, Cancelled, Expired.
        """
        refused: dict[State, type[Refusal]] = {
            State.PAID: Paid,
            State.SHORT: Paid,
            State.CANCELLED: Cancelled,
            State.EXPIRED: Expired,
        }
        state = self.state(now)
        if state in refused:
            raise refused[state](param="invoice", invoice=str(self.id))


def issue(unit: sa.Connection, claim: Claim, order: InvoiceOrder, *, now: datetime) -> Plan:
    """Issue an invoice at a point, on the order of somebody who works there.

    Raises:
        registry.PointNotFound: none of the signer's merchants'; PointClosed; LifeWrong; ItemsWrong.
    """
    point = registry.point_by_id(unit, order.point)
    if point is None or registry.role_of(unit, point.merchant, claim.signer) is None:
        raise registry.PointNotFound(param="point")
    point.must_be_open()
    check_items(order.items, order.amount)
    return insert(unit, order, point, claim.signer, rest_of=None, now=now)


def insert(
    unit: sa.Connection,
    order: InvoiceOrder,
    point: registry.Point,
    signer: HolderId,
    *,
    rest_of: UUID | None,
    now: datetime,
) -> Plan:
    """Write an invoice that was decided.

    Raises:
        LifeWrong.
    """
    if not timedelta(0) < order.lasts <= LASTS_MAX:
        raise LifeWrong(param="lasts_s")
    done = Issued(
        order=order.id,
        invoice=ids.new(),
        number="".join(secrets.choice(registry.SERIAL_LETTERS) for _ in range(NUMBER_CHARS)),
        merchant=point.merchant,
        point=point.id,
        amount=order.amount,
        made_at=now,
        expires_at=now + order.lasts,
    )
    unit.execute(
        sa.insert(tables.invoice).values(
            id=done.invoice,
            merchant=done.merchant,
            point=done.point,
            number=done.number,
            amount=done.amount,
            memo=order.memo,
            items=[_spelled(item) for item in order.items],
            made_by=signer,
            made_at=done.made_at,
            expires_at=done.expires_at,
            rest_of=rest_of,
        )
    )
    data = {"merchant": str(done.merchant), "point": str(done.point), "amount": str(done.amount)}
    told = Event(
        type="invoice.issued", subject=done.invoice, data=data | ({"rest_of": str(rest_of)} if rest_of else {})
    )
    return Plan(events=(told,), answer=done)


def check_items(items: Sequence[Item], amount: Dong) -> None:
    """Refuse items that do not come to the amount: a customer who adds up the lines must find the sum.

    Raises:
        ItemsWrong.
    """
    for item in items:
        if (item.price * item.count).quantize(Decimal(1), ROUND_HALF_UP) != item.amount:
            raise ItemsWrong(param="items", item=item.name)
    if items and sum(item.amount for item in items) != amount:
        raise ItemsWrong(param="amount", items=str(sum(item.amount for item in items)))


def cancel(unit: sa.Connection, claim: Claim, order: CancelOrder, *, now: datetime) -> Plan:
    """Take an invoice back, on the order of somebody who works for its merchant.

    Raises:
        NotFound, Paid, Cancelled, Expired.
    """
    # Locked in a statement of its own: the one that reads must see a payment that was committed while we waited.
    unit.execute(sa.select(tables.invoice.c.id).where(tables.invoice.c.id == order.invoice).with_for_update())
    invoice = by_id(unit, order.invoice)
    if invoice is None or registry.role_of(unit, invoice.merchant, claim.signer) is None:
        raise NotFound(param="invoice")
    invoice.must_be_payable(now)
    unit.execute(
        sa.update(tables.invoice)
        .where(tables.invoice.c.id == invoice.id)
        .values(cancelled_at=now, cancelled_by=claim.signer)
    )
    told = Event(type="invoice.cancelled", subject=invoice.id, data={"merchant": str(invoice.merchant)})
    answer = CancelledInvoice(order=order.id, invoice=invoice.id, state=State.CANCELLED)
    return Plan(events=(told,), answer=answer)


def _spelled(item: Item) -> dict[str, str]:
    return {
        "product": str(item.product or ""),
        "name": item.name,
        "unit": item.unit,
        "price": str(item.price),
        "count": str(item.count),
        "amount": str(item.amount),
    }


# -- reading ------------------------------------------------------------------------------------------------------------


def by_id(connection: sa.Connection, invoice: UUID) -> Invoice | None:
    """Find an invoice, with what came of it."""
    return _one(connection, tables.invoice.c.id == invoice)


def by_number(connection: sa.Connection, number: str, *, point: UUID | None = None) -> Invoice | None:
    """Find an invoice by its number; with `point`, as its code names both: one at another point is none."""
    if not (number.isascii() and number.isalnum()):
        return None
    found = _one(connection, tables.invoice.c.number == number)
    return found if found and point in (None, found.point) else None


def visible(connection: sa.Connection, invoice: UUID, holder: HolderId) -> Invoice:
    """Return an invoice to who works for its merchant or has paid it.

    Raises:
        NotFound.
    """
    found = by_id(connection, invoice)
    if found is None or not (found.payer == holder or registry.role_of(connection, found.merchant, holder)):
        raise NotFound(param="invoice")
    return found


def of_merchant(
    connection: sa.Connection,
    merchant: UUID,
    *,
    point: UUID | None = None,
    before: UUID | None = None,
    rows_max: int = 30,
) -> list[Invoice]:
    """Return a merchant's invoices, newest first, paged by key."""
    invoice = tables.invoice.c
    query = _invoices().where(invoice.merchant == merchant).order_by(invoice.id.desc()).limit(rows_max)
    if point is not None:
        query = query.where(invoice.point == point)
    if before is not None:
        query = query.where(invoice.id < before)
    return [Invoice(**row._mapping) for row in connection.execute(query)]


def waiting(connection: sa.Connection, point: UUID, *, since: datetime) -> list[Invoice]:
    """Return a point's invoices made since an instant that nobody has paid or taken back, oldest first."""
    invoice = tables.invoice.c
    query = (
        _invoices()
        .where(
            invoice.point == point,
            invoice.made_at >= since,
            invoice.cancelled_at.is_(None),
            tables.payment.c.entry.is_(None),
        )
        .order_by(invoice.id)
    )
    return [Invoice(**row._mapping) for row in connection.execute(query)]


def _one(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Invoice | None:
    row = connection.execute(_invoices().where(where)).one_or_none()
    return Invoice(**row._mapping) if row else None


def _invoices() -> sa.Select[Any]:
    """Return the question for invoices: each with the one payment that settles it or was matched with it."""
    invoice, payment, match = tables.invoice.c, tables.payment.c, tables.match.c
    own = tables.payment.alias("own").c
    rest = tables.invoice.alias("rest").c
    rest_paid = sa.exists().where(
        rest.rest_of == invoice.id,
        sa.or_(
            sa.exists().where(tables.payment.alias("whole").c.invoice == rest.id),
            sa.exists().where(tables.match.alias("part").c.invoice == rest.id),
        ),
    )
    settling = sa.select(own.entry).where(own.invoice == invoice.id).scalar_subquery()
    return (
        sa.select(
            invoice.id,
            invoice.merchant,
            tables.merchant.c.name.label("merchant_name"),
            invoice.point,
            invoice.number,
            invoice.amount,
            invoice.memo,
            invoice["items"],
            invoice.made_by,
            invoice.made_at,
            invoice.expires_at,
            invoice.cancelled_at,
            invoice.rest_of,
            payment.entry,
            match.how,
            payment.amount.label("paid"),
            payment.at.label("paid_at"),
            payment.payer,
            tables.resolution.c.how.label("resolved"),
            rest_paid.label("rest_paid"),
        )
        .join(tables.merchant, tables.merchant.c.holder == invoice.merchant)
        .outerjoin(tables.match, match.invoice == invoice.id)
        .outerjoin(tables.payment, payment.entry == sa.func.coalesce(match.payment, settling))
        .outerjoin(tables.resolution, tables.resolution.c.payment == payment.entry)
    )
