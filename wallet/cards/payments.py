"""Payments by card: ordered, begun, and moved from state to state.

Words   Open: the acquirer may still take the money. In doubt: it was asked, and its answer was lost.
Money   Whole đồng. A payment's amount never changes; what was taken is compared with it before it is believed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import accounts, ids, ledger, states
from wallet.cards import linked, tables
from wallet.cards.till import Till
from wallet.events import Event
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.ledger.refusals import PayeeClosed, PayeeFrozen
from wallet.limits import Limits
from wallet.money import Dong
from wallet.refusal import Refusal

TOPUP: Final = "topup"
"""The use of money that comes into a wallet from a card; also the purpose of such a payment."""
CARD: Final = "card"
"""The use of money that a card pays directly."""

PAGE_LIFE: Final = timedelta(minutes=35)
"""How long a payment waits for its person before it is given up: the half hour that a page has to be open, and time
to get there."""
OPEN_MAX: Final = 10
"""Payments of one holder that may be open at a time."""
OPEN: Final = ("created", "requires_action", "processing", "in_doubt")
LISTED_MAX: Final = 20


class AmountUnfit(Refusal):
    """Less than a card can pay at once, or more; `least` and `most` are whole đồng."""

    code = "card_amount"
    status = 422


class TooManyOpen(Refusal):
    """The holder has too many payments by card that are not finished."""

    code = "card_too_many_open"
    status = 409


class PriceChanged(Refusal):
    """What was to be paid costs another amount now; `amount` is whole đồng."""

    code = "card_price_changed"
    status = 409


class PaymentNotFound(Refusal):
    """The caller ordered no such payment by card."""

    code = "card_payment_not_found"
    status = 404
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpOrder:
    """What a holder signed: so much from a card into their own wallet. `card` None: one that is entered on the page."""

    id: OrderId
    payee: AccountId
    amount: Dong
    card: UUID | None
    locale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPaymentOrder:
    """What a holder signed: pay this bill or invoice by card, at this price."""

    id: OrderId
    purpose: Literal["bill", "invoice"]
    target: UUID
    amount: Dong
    card: UUID | None
    locale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A payment that was ordered; what becomes of it is read at its own address."""

    order: OrderId
    payment: UUID
    amount: Dong
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment by card as we know it."""

    id: UUID
    holder: HolderId
    order: OrderId
    purpose: str
    target: UUID
    amount: Dong
    acquirer: str
    card: UUID | None
    locale: str
    state: str
    ref: str | None
    page: str | None
    brand: str | None
    last4: str | None
    failure: str | None
    made_at: datetime
    expires_at: datetime
    called_at: datetime | None
    asked_at: datetime | None
    entry: EntryId | None

    @property
    def is_open(self) -> bool:
        """Whether the acquirer may still take the money in the ordinary course."""
        return self.state in OPEN


def top_up(unit: sa.Connection, claim: Claim, order: TopUpOrder, *, till: Till, limits: Limits, now: datetime) -> Plan:
    """Decide a top-up: it is begun, and counted against the limits of today; nothing has moved yet.

    Args:
        unit: an open unit whose order is claimed.
        claim: whose order it is.
        order: the amount in whole đồng, within what the acquirer takes.
        till: which acquirer.
        limits: in force.
        now: aware UTC, read once at the door.

    Raises:
        accounts.NotFound: no wallet of the signer's. PayeeFrozen, PayeeClosed: it takes no money. AmountUnfit, TooManyOpen,
            linked.NotFound, StepUpRequired, LimitExceeded.
    """
    wallet = accounts.read(unit, accounts.payer(unit, order.payee, signer=claim.signer), holder=claim.signer)
    if wallet.status != "open":
        raise (PayeeFrozen if wallet.status == "frozen" else PayeeClosed)(param="payee")
    counts = limits.counts(unit, claim, {TOPUP: order.amount}, now=now)
    begun = _begin(unit, claim, order, purpose=TOPUP, target=order.payee, till=till, now=now)
    return _plan(begun, TOPUP, order.payee, counts)


def pay(
    unit: sa.Connection, claim: Claim, order: CardPaymentOrder, *, till: Till, limits: Limits, now: datetime
) -> Plan:
    """Decide a payment by card of a bill or an invoice: it is begun; whether it is still payable is judged again, under its
    lock, when the card has paid.

    Raises:
        The target's refusals; PriceChanged; and as `top_up`.
    """
    price = till.targets[order.purpose].price(unit, order.target, holder=claim.signer, now=now)
    if price != order.amount:
        raise PriceChanged(param="amount", amount=str(price))
    counts = limits.counts(unit, claim, {CARD: order.amount}, now=now)
    begun = _begin(unit, claim, order, purpose=order.purpose, target=order.target, till=till, now=now)
    return _plan(begun, order.purpose, order.target, counts)


def _begin(
    unit: sa.Connection,
    claim: Claim,
    order: TopUpOrder | CardPaymentOrder,
    *,
    purpose: str,
    target: UUID,
    till: Till,
    now: datetime,
) -> Begun:
    least, most = till.acquirer.amounts
    if not least <= order.amount <= most:
        raise AmountUnfit(param="amount", least=str(least), most=str(most))
    card = linked.mine(unit, order.card, holder=claim.signer) if order.card else None
    table = tables.payment
    mine = table.c.holder == claim.signer
    if unit.execute(sa.select(sa.func.count()).where(mine, table.c.state.in_(OPEN))).scalar_one() >= OPEN_MAX:
        raise TooManyOpen
    begun = Begun(order=order.id, payment=ids.new(), amount=order.amount, expires_at=now + PAGE_LIFE)
    unit.execute(
        sa.insert(table).values(
            id=begun.payment,
            holder=claim.signer,
            order_id=order.id,
            authority=claim.authority,
            purpose=purpose,
            target=target,
            amount=order.amount,
            acquirer=till.name,
            card=order.card,
            brand=card.brand if card else None,
            last4=card.last4 if card else None,
            locale=order.locale,
            state="created",
            made_at=now,
            expires_at=begun.expires_at,
        )
    )
    return begun


def _plan(begun: Begun, purpose: str, target: UUID, counts: Any) -> Plan:
    told = Event(
        type="card_payment.ordered",
        subject=begun.payment,
        data={"amount": str(begun.amount), "purpose": purpose, "target": str(target)},
    )
    return Plan(events=(told,), limits=counts, answer=begun)


# -- read ---------------------------------------------------------------------------------------------------------------


def _query() -> sa.Select[Any]:
    table = tables.payment
    named = [column for column in table.c if column.name not in ("order_id", "authority")]
    return sa.select(table.c.order_id.label("order"), *named)


def by_id(connection: sa.Connection, payment: UUID) -> Payment:
    """Return a payment that exists."""
    row = connection.execute(_query().where(tables.payment.c.id == payment)).one()
    return Payment(**row._mapping)


def locked(unit: sa.Connection, payment: UUID) -> Payment:
    """Return a payment that exists, its row locked until the unit ends."""
    row = unit.execute(_query().where(tables.payment.c.id == payment).with_for_update(key_share=True)).one()
    return Payment(**row._mapping)


def of_order(connection: sa.Connection, order: UUID, *, holder: HolderId) -> Payment:
    """Return what a holder ordered.

    Raises:
        PaymentNotFound.
    """
    table = tables.payment
    row = connection.execute(_query().where(table.c.order_id == order, table.c.holder == holder)).one_or_none()
    if row is None:
        raise PaymentNotFound(param="order")
    return Payment(**row._mapping)


def of_ref(connection: sa.Connection, acquirer: str, *, ref: str, id: UUID | None) -> Payment | None:
    """Return the payment that an acquirer means: by its own ref, or else by our id as it tells it."""
    table = tables.payment
    mine = sa.or_(table.c.ref == ref, table.c.id == id) if id else table.c.ref == ref
    rows = connection.execute(_query().where(table.c.acquirer == acquirer, mine)).all()
    rows = [row for row in rows if row.ref == ref] or rows
    return Payment(**rows[0]._mapping) if rows else None


def has_paid(connection: sa.Connection, holder: HolderId, target: UUID) -> bool:
    """Say whether a card of a holder's has paid something, whether or not the money went back."""
    table = tables.payment.c
    paid = sa.exists().where(table.holder == holder, table.target == target, table.entry.is_not(None))
    return bool(connection.execute(sa.select(paid)).scalar_one())


def recent(connection: sa.Connection, holder: HolderId) -> list[Payment]:
    """Return a holder's payments by card, newest first."""
    mine = _query().where(tables.payment.c.holder == holder)
    rows = connection.execute(mine.order_by(tables.payment.c.id.desc()).limit(LISTED_MAX))
    return [Payment(**row._mapping) for row in rows]


def standing(connection: sa.Connection, states: tuple[str, ...], *, rows_max: int) -> list[Payment]:
    """Return payments in these states, first those that were not asked about the longest."""
    table = tables.payment
    waited = sa.func.coalesce(table.c.asked_at, table.c.made_at)
    query = _query().where(table.c.state.in_(states)).order_by(waited).limit(rows_max)
    return [Payment(**row._mapping) for row in connection.execute(query)]


# -- moved --------------------------------------------------------------------------------------------------------------

_TOLD: Final = {"payment": states.CARD_PAYMENT, "refund": states.CARD_REFUND, "dispute": states.CARD_DISPUTE}


def move(
    unit: sa.Connection,
    what: Literal["payment", "refund", "dispute"],
    subject: UUID,
    to: str,
    *,
    cause: str,
    now: datetime,
    entry: EntryId | None = None,
    actor: UUID | None = None,
) -> bool:
    """Move a payment, refund or dispute to another state and tell of it; returns False for a move that is not legal.

    Args:
        unit: an open unit.
        what: which of the three.
        subject: its id.
        to: the state; the one that it is in already is no move, and no legal one.
        cause: what made it move, in a word for the operator.
        now: the process's clock.
        entry: what brought a payment's money in, or what owes a failed refund otherwise.
        actor: whose doing it is; None: the service's own.
    """
    was: str | None = unit.exec_driver_sql(
        "SELECT cards.move(%s, %s, %s, %s, %s, %s)", (what, subject, to, cause, now, entry)
    ).scalar_one()
    if was is None:
        return False
    told = states.move(_TOLD[what], was, to)
    assert told is not None, "the table and the states agree on what is legal"
    ledger.tell(unit, Event(type=told, subject=subject, data={"was": was}), actor=actor, at=now)
    return True
