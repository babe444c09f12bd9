"""Owed: refunds that no card would take, and how an operator's order gives them to the wallet of whoever paid.

Money   Whole đồng, from `refunds_payable` to the payer's own wallet and nowhere else; each refund once.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from wallet import accounts, ids
from wallet.cards import tables
from wallet.cards.till import house
from wallet.events import Event
from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Plan, Posting, chart
from wallet.ledger.refusals import PayeeClosed, PayeeFrozen
from wallet.money import Dong
from wallet.refusal import Refusal

KIND: Final = "card_refund_settled"
LISTED_MAX: Final = 100


class Disputed(Refusal):
    """The card's holder denies the payment, and their bank has given the money back or may."""

    code = "card_refund_disputed"
    status = 409


class NotOwed(Refusal):
    """There is no such refund, a card may still take it, or it has been given to its payer."""

    code = "card_refund_not_owed"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleOrder:
    """What an operator orders: this refund into its payer's wallet."""

    id: OrderId
    refund: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A refund that its payer's wallet has."""

    order: OrderId
    refund: UUID
    entry: EntryId
    amount: Dong


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A refund that no card would take, and of what. `failure` is the acquirer's word for why; `disputed`: its card's holder
    denies the payment, and did not lose.
    """

    id: UUID
    payment: UUID
    holder: HolderId
    amount: Dong
    purpose: str
    last4: str | None
    failure: str | None
    made_at: datetime
    disputed: bool


def listed(connection: sa.Connection) -> list[Owed]:
    """Return what is owed to payers, the oldest first."""
    owed = _query().where(tables.refund.c.state == "failed", tables.refund.c.settled_entry.is_(None))
    rows = connection.execute(owed.order_by(tables.refund.c.made_at).limit(LISTED_MAX))
    return [Owed(**row._mapping) for row in rows]


def settle(unit: sa.Connection, _claim: Claim, order: SettleOrder, *, now: datetime) -> Plan:
    """Decide to give a refund that no card would take to the wallet of whoever paid.

    Args:
        unit: an open unit whose order is claimed.
        _claim: an operator's.
        order: which refund.
        now: aware UTC, read once at the door.

    Raises:
        NotOwed, Disputed. accounts.NotFound: the payer has no wallet. PayeeFrozen, PayeeClosed: it takes no money now.
    """
    table = tables.refund
    mine = _query().where(table.c.id == order.refund, table.c.state == "failed", table.c.settled_entry.is_(None))
    row = unit.execute(mine.with_for_update(of=table, key_share=True)).one_or_none()
    if row is None:
        raise NotOwed(param="refund")
    owed = Owed(**row._mapping)
    if owed.disputed:
        raise Disputed(param="refund")
    wallet = accounts.wallet_of(unit, owed.holder)
    if wallet is None:
        raise accounts.NotFound(param="refund")
    if wallet.status != "open":
        raise (PayeeFrozen if wallet.status == "frozen" else PayeeClosed)(param="refund")
    posting = Posting(debit=house(unit, chart.REFUNDS_PAYABLE), credit=wallet.id, amount=owed.amount)
    entry = Entry(id=EntryId(ids.new()), kind=KIND, effective_at=now, postings=(posting,))
    unit.execute(sa.update(table).where(table.c.id == owed.id).values(settled_entry=entry.id))
    told = Event(type="card_refund.settled", subject=owed.id, entry=entry.id, data={"payment": str(owed.payment)})
    answer = Settled(order=order.id, refund=owed.id, entry=entry.id, amount=owed.amount)
    return Plan(entries=(entry,), events=(told,), answer=answer)


def _query() -> sa.Select[Any]:
    refund, payment, dispute = tables.refund, tables.payment, tables.dispute
    over = ("closed", "won")
    disputed = sa.exists().where(dispute.c.payment == payment.c.id, dispute.c.state.not_in(over)).label("disputed")
    return sa.select(
        refund.c.id,
        refund.c.payment,
        payment.c.holder,
        refund.c.amount,
        payment.c.purpose,
        payment.c.last4,
        refund.c.failure,
        refund.c.made_at,
        disputed,
    ).join(payment, payment.c.id == refund.c.payment)
