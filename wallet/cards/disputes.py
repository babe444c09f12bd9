"""Disputes: a payment that its card's holder denies, and what its bank takes back from us.

Money   What a chargeback takes is our loss from the day it is opened, made good to the guarantee account out of our
        own money in the same entry; won, it comes back. Nothing is taken from anybody's wallet here: a balance is
        never negative, and whether the holder owes it is a person's question, not a rule's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import db, ids
from wallet.canonical import Json
from wallet.cards import payments, quarantine, tables
from wallet.cards.payments import Payment
from wallet.cards.till import CURRENCY, Till, book, clearing, house, word
from wallet.events import Event
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import DisputeState
from wallet.ids import EntryId
from wallet.ledger import Entry, Plan, Posting, chart
from wallet.money import Dong

_TAKES: Final = (DisputeState.OPENED, DisputeState.WON, DisputeState.LOST)
"""States by which the money was taken from us, won back or not."""
LISTED_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A chargeback as we know it."""

    id: UUID
    ref: str
    payment: UUID
    amount: Dong
    reason: str
    state: str
    evidence_due: datetime | None
    made_at: datetime
    entry: EntryId | None
    won_entry: EntryId | None


def listed(connection: sa.Connection) -> list[Dispute]:
    """Return the chargebacks, newest first."""
    query = _query().order_by(tables.dispute.c.made_at.desc()).limit(LISTED_MAX)
    return [Dispute(**row._mapping) for row in connection.execute(query)]


def of_payment(connection: sa.Connection, payment: UUID) -> list[Dispute]:
    """Return a payment's chargebacks, oldest first."""
    query = _query().where(tables.dispute.c.payment == payment).order_by(tables.dispute.c.made_at)
    return [Dispute(**row._mapping) for row in connection.execute(query)]


def standing(connection: sa.Connection, acquirer: str) -> list[str]:
    """Return the refs of chargebacks that are not decided."""
    table = tables.dispute
    query = sa.select(table.c.ref).where(table.c.acquirer == acquirer, table.c.state.in_(("told", "inquiry", "opened")))
    return list(connection.execute(query).scalars())


def record(till: Till, seen: gate.Dispute, *, cause: str, now: datetime) -> bool:
    """Record what the acquirer says of a chargeback; what it took and what came back is booked, each once.

    Returns:
        Whether it was believed; otherwise it is in quarantine.
    """

    def work(unit: sa.Connection) -> bool:
        paid = payments.of_ref(unit, till.name, ref=seen.payment_ref, id=seen.payment)
        unlike = _unlike(paid, seen)
        if unlike is not None or paid is None:
            said = {"amount": str(seen.amount), "currency": seen.currency, "payment": seen.payment_ref}
            known = paid.id if paid else None
            quarantine.put(
                unit,
                till.name,
                unlike or "unknown",
                said=said | {"state": seen.state},
                now=now,
                about="dispute",
                subject=seen.ref,
                payment=known,
            )
            return False
        ours = _kept(unit, till, seen, paid)
        if seen.state in _TAKES and ours.entry is None:
            _taken(unit, till, ours, now=now)
        if seen.state == DisputeState.WON and ours.won_entry is None:
            _won(unit, till, ours, now=now)
        if seen.state != ours.state:
            payments.move(unit, "dispute", ours.id, str(seen.state), cause=cause, now=now)
        return True

    return db.unit(till.database, work)


def _unlike(paid: Payment | None, seen: gate.Dispute) -> quarantine.Reason | None:
    if paid is None or paid.entry is None:
        return "unknown"
    if seen.currency != CURRENCY:
        return "currency_differs"
    return None if 1 <= seen.amount <= paid.amount else "amount_differs"


def _kept(unit: sa.Connection, till: Till, seen: gate.Dispute, paid: Payment) -> Dispute:
    """Return the chargeback's row, locked; made if it is new."""
    table = tables.dispute
    unit.execute(
        insert(table)
        .values(
            id=ids.new(),
            acquirer=till.name,
            ref=seen.ref,
            payment=paid.id,
            amount=seen.amount,
            reason=seen.reason,
            state="told",
            evidence_due=seen.evidence_due,
            made_at=seen.made_at,
        )
        .on_conflict_do_update(constraint="dispute_ref_once", set_={"evidence_due": seen.evidence_due})
    )
    mine = _query().where(table.c.acquirer == till.name, table.c.ref == seen.ref)
    return Dispute(**unit.execute(mine.with_for_update(key_share=True)).one()._mapping)


def _taken(unit: sa.Connection, till: Till, ours: Dispute, *, now: datetime) -> None:
    postings = (
        Posting(debit=house(unit, chart.DISPUTE_LOSS), credit=clearing(unit, till.name), amount=ours.amount),
        Posting(debit=house(unit, chart.BANK_GUARANTEE), credit=house(unit, chart.BANK_OPERATING), amount=ours.amount),
    )
    entry = _book(unit, till, ours, "card_dispute", "taken", postings, now=now)
    unit.execute(sa.update(tables.dispute).where(tables.dispute.c.id == ours.id).values(entry=entry))


def _won(unit: sa.Connection, till: Till, ours: Dispute, *, now: datetime) -> None:
    postings = (
        Posting(debit=clearing(unit, till.name), credit=house(unit, chart.DISPUTE_LOSS), amount=ours.amount),
        Posting(debit=house(unit, chart.BANK_OPERATING), credit=house(unit, chart.BANK_GUARANTEE), amount=ours.amount),
    )
    entry = _book(unit, till, ours, "card_dispute_won", "given_back", postings, now=now)
    unit.execute(sa.update(tables.dispute).where(tables.dispute.c.id == ours.id).values(won_entry=entry))


def _book(
    unit: sa.Connection,
    till: Till,
    ours: Dispute,
    kind: str,
    what: str,
    postings: tuple[Posting, ...],
    *,
    now: datetime,
) -> EntryId:
    entry = Entry(id=EntryId(ids.new()), kind=kind, effective_at=now, postings=postings)
    told = Event(type=f"card_dispute.{what}", subject=ours.id, entry=entry.id, data={"payment": str(ours.payment)})
    said: dict[str, Json] = {
        "amount": str(ours.amount),
        "dispute": ours.ref,
        "payment": str(ours.payment),
        "state": what,
    }
    plan = Plan(entries=(entry,), events=(told,), answer={"entry": str(entry.id)})
    first = book(unit, till, word(till, "card_dispute", f"{ours.ref}:{what}", said), plan, now=now)
    assert first, "a chargeback without an entry was never booked"
    return entry.id


def _query() -> sa.Select[Any]:
    return sa.select(*[column for column in tables.dispute.c if column.name != "acquirer"])
