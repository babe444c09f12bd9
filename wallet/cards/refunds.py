"""Refunds to the card that paid: what it paid was paid already, or its wallet is shut, or the payee gave it back.

Money   What goes back waits as card money on its way, so that nothing else can be done with it. It leaves when the acquirer
        says that it took the refund; what a card will not take is owed otherwise (`refunds_payable`).
Rule    A refund is asked for under our own id. When its answer is lost, it is looked for first; only a refund that
        the acquirer says it does not know is asked for again, under the same id.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import db, ids
from wallet.canonical import Json
from wallet.cards import payments, quarantine, tables
from wallet.cards.till import CURRENCY, Till, book, clearing, house, word
from wallet.events import Event
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import RefundState
from wallet.ids import AccountId, EntryId
from wallet.ledger import Entry, Plan, Posting, chart
from wallet.money import Dong

log = logging.getLogger("wallet.cards")

OPEN: Final = ("created", "in_doubt", "pending")
ANSWER_MAX: Final = timedelta(minutes=1)
_WENT: Final = (RefundState.PENDING, RefundState.SUCCEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund to a card as we know it; `payment_ref` is what the acquirer calls the payment."""

    id: UUID
    payment: UUID
    payment_ref: str | None
    amount: Dong
    cause: str
    state: str
    ref: str | None
    failure: str | None
    made_at: datetime
    called_at: datetime | None
    asked_at: datetime | None
    entry: EntryId | None
    settled_entry: EntryId | None


_GIVEN_BACK: Final = """
    SELECT e.id AS entry, p.id AS payment, sum(g.amount)::bigint AS amount
    FROM ledger.entry e
    JOIN ledger.entry o ON o.id = coalesce(e.refunds, e.reverses)
    JOIN ledger.entry r ON r.authority = o.authority AND r.kind = 'card_receipt'
    JOIN cards.payment p ON p.entry = r.id
    JOIN ledger.posting g ON g.entry = e.id
    WHERE NOT EXISTS (SELECT 1 FROM cards.refund x WHERE x.of_entry = e.id)
    GROUP BY e.id, p.id
"""


def take_up(unit: sa.Connection, *, now: datetime) -> int:
    """Take up what payees gave back of payments by card and nobody has sent to the card yet; returns how many."""
    found = unit.exec_driver_sql(_GIVEN_BACK).all()
    for row in found:
        unit.execute(
            insert(tables.refund)
            .values(
                id=ids.new(),
                payment=row.payment,
                amount=row.amount,
                cause="given_back",
                of_entry=row.entry,
                state="created",
                made_at=now,
            )
            .on_conflict_do_nothing(constraint="refund_of_entry_once")
        )
    return len(found)


def by_id(connection: sa.Connection, refund: UUID) -> Refund:
    """Return a refund that exists."""
    return _one(connection, _query().where(tables.refund.c.id == refund))


def of_payment(connection: sa.Connection, payment: UUID) -> list[Refund]:
    """Return what went back of a payment, or is to, oldest first."""
    query = _query().where(tables.refund.c.payment == payment).order_by(tables.refund.c.id)
    return [Refund(**row._mapping) for row in connection.execute(query)]


def of_ref(connection: sa.Connection, acquirer: str, *, ref: str, id: UUID | None) -> Refund | None:
    """Return the refund that an acquirer means: by its own ref, or else by our id as it tells it."""
    table = tables.refund
    meant = sa.or_(table.c.ref == ref, table.c.id == id) if id else table.c.ref == ref
    row = connection.execute(_query().where(meant, tables.payment.c.acquirer == acquirer)).first()
    return Refund(**row._mapping) if row else None


def standing(connection: sa.Connection, *, rows_max: int) -> list[Refund]:
    """Return refunds that are not over, first those that were not asked about the longest."""
    waited = sa.func.coalesce(tables.refund.c.asked_at, tables.refund.c.made_at)
    query = _query().where(tables.refund.c.state.in_(OPEN)).order_by(waited).limit(rows_max)
    return [Refund(**row._mapping) for row in connection.execute(query)]


def send(till: Till, refund: UUID, *, now: datetime) -> None:
    """Ask the acquirer for a refund, unless somebody is at it."""
    table = tables.refund
    mine = (
        sa.update(table)
        .where(table.c.id == refund, table.c.called_at.is_(None), table.c.state == "created")
        .values(called_at=now)
    )
    if not _unit(till, lambda unit: unit.execute(mine).rowcount):
        return
    with till.database.connect() as connection:
        ours = by_id(connection, refund)
    assert ours.payment_ref is not None, "a payment that was made has the acquirer's ref"
    try:
        seen = till.acquirer.begin_refund(id=ours.id, payment_ref=ours.payment_ref, amount=ours.amount)
    except gate.InDoubt as fault:
        log.warning("refund %s is in doubt: %s", refund, fault)
        doubt(till, refund, now=now)
    except gate.Busy:
        again = sa.update(table).where(table.c.id == refund, table.c.state == "created").values(called_at=None)
        _unit(till, lambda unit: unit.execute(again))
    except gate.Rejected as fault:
        log.warning("refund %s was rejected: %s", refund, fault)
        cause = fault.code[:60]
        _unit(till, lambda unit: _impossible(unit, till, refund, cause, now=now))
    else:
        record(till, refund, seen, cause="answer", now=now)


def doubt(till: Till, refund: UUID, *, now: datetime) -> None:
    """Put in doubt a refund whose answer was lost."""
    _unit(till, lambda unit: payments.move(unit, "refund", refund, "in_doubt", cause="no_answer", now=now))


def inquire(till: Till, refund: UUID, *, cause: str, now: datetime) -> None:
    """Ask where a refund stands; one in doubt that the acquirer does not know will be asked for again under the same id.

    Raises:
        AcquirerError.
    """
    with till.database.connect() as connection:
        ours = by_id(connection, refund)
    said = sa.update(tables.refund).where(tables.refund.c.id == refund).values(asked_at=now)
    _unit(till, lambda unit: unit.execute(said))
    if ours.ref is not None:
        record(till, refund, till.acquirer.refund(ours.ref), cause=cause, now=now)
        return
    assert ours.payment_ref is not None, "a payment that was made has the acquirer's ref"
    seen = till.acquirer.find_refund(id=ours.id, payment_ref=ours.payment_ref)
    if seen is not None:
        record(till, refund, seen, cause=cause, now=now)
    elif ours.state == "in_doubt":

        def again(unit: sa.Connection) -> None:
            if payments.move(unit, "refund", refund, "created", cause="never_came", now=now):
                unit.execute(sa.update(tables.refund).where(tables.refund.c.id == refund).values(called_at=None))

        _unit(till, again)


def record(till: Till, refund: UUID, seen: gate.Refund, *, cause: str, now: datetime) -> None:
    """Record what the acquirer says of a refund; what left is booked, and what came back is owed otherwise, each once."""

    def work(unit: sa.Connection) -> None:
        ours = _one(
            unit, _query().where(tables.refund.c.id == refund).with_for_update(of=tables.refund, key_share=True)
        )
        if (seen.amount, seen.currency) != (ours.amount, CURRENCY):
            reason: quarantine.Reason = "amount_differs" if seen.currency == CURRENCY else "currency_differs"
            said = {"amount": str(seen.amount), "currency": seen.currency, "state": seen.state}
            quarantine.put(
                unit, till.name, reason, said=said, now=now, about="refund", subject=seen.ref, payment=ours.payment
            )
            return
        if ours.state == "failed":
            # It is owed otherwise by now, and perhaps given: money that went all the same is for a person to look at.
            if seen.state in _WENT:
                said = {"amount": str(seen.amount), "state": seen.state}
                subject, payment = seen.ref, ours.payment
                quarantine.put(
                    unit,
                    till.name,
                    "state_differs",
                    said=said,
                    now=now,
                    about="refund",
                    subject=subject,
                    payment=payment,
                )
            return
        failure = seen.failure_code or ours.failure
        unit.execute(
            sa.update(tables.refund)
            .where(tables.refund.c.id == refund)
            .values(ref=seen.ref, failure=failure, asked_at=now)
        )
        if ours.entry is None:
            _left(unit, till, ours, now=now)
        if seen.state in _WENT and seen.state != ours.state:
            payments.move(unit, "refund", refund, str(seen.state), cause=cause, now=now)
        elif seen.state not in _WENT:
            owed = _owed(unit, till, ours, source=clearing(unit, till.name), now=now)
            payments.move(unit, "refund", refund, "failed", cause=cause, now=now, entry=owed)

    _unit(till, work)


def _left(unit: sa.Connection, till: Till, ours: Refund, *, now: datetime) -> None:
    """Book that the money left for the card."""
    waiting, owing = house(unit, chart.CARD_PENDING), clearing(unit, till.name)
    entry = _book(unit, till, ours, "card_refund", "left", debit=waiting, credit=owing, now=now)
    unit.execute(sa.update(tables.refund).where(tables.refund.c.id == ours.id).values(entry=entry))


def _owed(unit: sa.Connection, till: Till, ours: Refund, *, source: AccountId, now: datetime) -> EntryId:
    """Book that the card did not take the money, and that it is owed otherwise."""
    payable = house(unit, chart.REFUNDS_PAYABLE)
    return _book(unit, till, ours, "card_refund_failed", "failed", debit=source, credit=payable, now=now)


def _impossible(unit: sa.Connection, till: Till, refund: UUID, cause: str, *, now: datetime) -> None:
    """Book that the acquirer will not send the money back at all, and keep its word for why."""
    ours = by_id(unit, refund)
    unit.execute(sa.update(tables.refund).where(tables.refund.c.id == refund).values(failure=cause))
    owed = _owed(unit, till, ours, source=house(unit, chart.CARD_PENDING), now=now)
    moved = payments.move(unit, "refund", refund, "failed", cause=cause, now=now, entry=owed)
    assert moved, "only a refund that was just asked for is rejected"


def _book(
    unit: sa.Connection,
    till: Till,
    ours: Refund,
    kind: str,
    what: str,
    *,
    debit: AccountId,
    credit: AccountId,
    now: datetime,
) -> EntryId:
    posting = Posting(debit=debit, credit=credit, amount=ours.amount)
    entry = Entry(id=EntryId(ids.new()), kind=kind, effective_at=now, postings=(posting,))
    told = Event(type=f"card_refund.{what}", subject=ours.id, entry=entry.id, data={"payment": str(ours.payment)})
    said: dict[str, Json] = {"amount": str(ours.amount), "refund": str(ours.id), "state": what}
    plan = Plan(entries=(entry,), events=(told,), answer={"entry": str(entry.id)})
    first = book(unit, till, word(till, "card_refund", f"{ours.id}:{what}", said), plan, now=now)
    assert first, "a refund without an entry was never booked"
    return entry.id


def _query() -> sa.Select[Any]:
    table = tables.refund
    named = [c for c in table.c if c.name not in ("of_entry", "failed_entry")]
    return sa.select(*named, tables.payment.c.ref.label("payment_ref")).join(
        tables.payment, tables.payment.c.id == table.c.payment
    )


def _one(connection: sa.Connection, query: sa.Select[Any]) -> Refund:
    return Refund(**connection.execute(query).one()._mapping)


def _unit(till: Till, work: Callable[[sa.Connection], Any]) -> Any:
    return db.unit(till.database, work)
