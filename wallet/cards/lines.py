"""Lines and payouts: our account at an acquirer, read line by line, and what it sends to our bank.

Money   A line's `net` is what it did to what the acquirer owes us. What caused it (a charge, a refund, a chargeback,
        a payout) was booked by the word that told of it; a line's fee is booked when the line is read, as our expense, and
        made good to the guarantee account out of our own money in the same entry.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
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
from wallet.gates.acquirer import BalanceLine, LineKind, PayoutState
from wallet.ids import EntryId
from wallet.ledger import Entry, Plan, Posting, chart
from wallet.money import Dong

OVERLAP: Final = timedelta(days=2)
"""How far behind the newest line we know we read again: lines may appear late, and each is taken once."""
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_FAILED: Final = (PayoutState.FAILED, PayoutState.CANCELLED)


def read(till: Till, *, now: datetime) -> int:
    """Read the acquirer's lines from where we stand, and book their fees; returns how many were new.

    Raises:
        AcquirerError: what was read until then is kept.
    """
    with till.database.connect() as connection:
        newest = connection.execute(
            sa.select(sa.func.max(tables.line.c.at)).where(tables.line.c.acquirer == till.name)
        ).scalar()
    came = 0
    for line in till.acquirer.balance_lines(since=newest - OVERLAP if newest else _EPOCH):
        came += _unit(till, partial(_take, till=till, line=line, now=now))
    return came


def _take(unit: sa.Connection, *, till: Till, line: BalanceLine, now: datetime) -> int:
    """Keep a line, once, and book its fee."""
    if line.currency != CURRENCY:
        said = {"amount": str(line.amount), "currency": line.currency, "kind": line.raw_kind}
        quarantine.put(unit, till.name, "currency_differs", said=said, now=now, about="line", subject=line.ref)
        return 0
    table = tables.line
    kept = unit.execute(
        insert(table)
        .values(
            acquirer=till.name,
            ref=line.ref,
            kind=str(line.kind),
            raw_kind=line.raw_kind,
            amount=line.amount,
            fee=line.fee,
            net=line.net,
            source=line.source,
            payment=_paid(unit, till, line),
            refund=line.refund,
            at=line.at,
            available_at=line.available_at,
            read_at=now,
        )
        .on_conflict_do_nothing()
        .returning(table.c.ref)
    ).scalar()
    if kept is None:
        return 0
    fee = line.fee - (line.amount if line.kind == LineKind.FEE else 0)
    if fee:
        entry = _fee(unit, till, line, fee, now=now)
        unit.execute(sa.update(table).where(table.c.acquirer == till.name, table.c.ref == line.ref).values(entry=entry))
    return 1


def _paid(unit: sa.Connection, till: Till, line: BalanceLine) -> UUID | None:
    """Return our id of the payment that a line belongs to: as it tells itself, or by the acquirer's ref."""
    if line.payment is not None or line.payment_ref is None:
        return line.payment
    found = payments.of_ref(unit, till.name, ref=line.payment_ref, id=None)
    return found.id if found else None


def _fee(unit: sa.Connection, till: Till, line: BalanceLine, fee: int, *, now: datetime) -> EntryId:
    expense, owing = house(unit, chart.CARD_FEE), clearing(unit, till.name)
    guarantee, ours = house(unit, chart.BANK_GUARANTEE), house(unit, chart.BANK_OPERATING)
    amount = Dong(abs(fee))
    if fee > 0:
        kind, pairs = "card_fee", ((expense, owing), (guarantee, ours))
    else:
        kind, pairs = "card_fee_back", ((owing, expense), (ours, guarantee))
    postings = tuple(Posting(debit=debit, credit=credit, amount=amount) for debit, credit in pairs)
    said: dict[str, Json] = {"fee": str(fee), "line": line.ref}
    return _book(unit, till, kind, postings, word_kind="card_line", key=line.ref, said=said, now=now)


# -- payouts --------------------------------------------------------------------------------------------------------------


def read_payouts(till: Till, *, now: datetime) -> None:
    """Ask for the payouts that may have changed, and book those that have reached our bank, or have not.

    Raises:
        AcquirerError.
    """
    with till.database.connect() as connection:
        table = tables.payout
        waiting = sa.func.min(table.c.made_at).filter(table.c.state.in_(("pending", "in_transit")))
        oldest, newest = connection.execute(
            sa.select(waiting, sa.func.max(table.c.made_at)).where(table.c.acquirer == till.name)
        ).one()
    since = min(one for one in (oldest, newest) if one is not None) - OVERLAP if newest else _EPOCH
    for seen in till.acquirer.payouts(since=since):
        record_payout(till, seen, now=now)


def record_payout(till: Till, seen: gate.Payout, *, now: datetime) -> None:
    """Record what the acquirer says of a payout: paid, its money is with our bank; failed after that, it is not."""

    def work(unit: sa.Connection) -> None:
        if seen.currency != CURRENCY or seen.amount < 1:
            reason: quarantine.Reason = "currency_differs" if seen.currency != CURRENCY else "amount_differs"
            said = {"amount": str(seen.amount), "currency": seen.currency, "state": seen.state}
            quarantine.put(unit, till.name, reason, about="payout", subject=seen.ref, said=said, now=now)
            return
        table = tables.payout
        fresh = {"state": str(seen.state), "arrives_at": seen.arrives_at}
        ours = unit.execute(
            insert(table)
            .values(acquirer=till.name, ref=seen.ref, amount=seen.amount, made_at=seen.made_at, **fresh)
            .on_conflict_do_update(constraint="payout_pkey", set_=fresh)
            .returning(table.c.amount, table.c.entry, table.c.failed_entry)
        ).one()
        mine = sa.update(table).where(table.c.acquirer == till.name, table.c.ref == seen.ref)
        if seen.state in (PayoutState.PAID, *_FAILED) and ours.entry is None:
            # One that failed took our balance and gave it back, in two lines; so do the books.
            unit.execute(mine.values(entry=_payout(unit, till, seen.ref, ours.amount, failed=False, now=now)))
        if seen.state in _FAILED and ours.failed_entry is None:
            unit.execute(mine.values(failed_entry=_payout(unit, till, seen.ref, ours.amount, failed=True, now=now)))

    _unit(till, work)


def _payout(unit: sa.Connection, till: Till, ref: str, amount: int, *, failed: bool, now: datetime) -> EntryId:
    bank, owing = house(unit, chart.BANK_GUARANTEE), clearing(unit, till.name)
    debit, credit = (owing, bank) if failed else (bank, owing)
    kind, what = ("card_payout_failed", "failed") if failed else ("card_payout", "paid")
    postings = (Posting(debit=debit, credit=credit, amount=Dong(amount)),)
    said: dict[str, Json] = {"amount": str(amount), "payout": ref, "state": what}
    return _book(unit, till, kind, postings, word_kind="card_payout", key=f"{ref}:{what}", said=said, now=now)


def _book(
    unit: sa.Connection,
    till: Till,
    kind: str,
    postings: tuple[Posting, ...],
    *,
    word_kind: str,
    key: str,
    said: dict[str, Json],
    now: datetime,
) -> EntryId:
    entry = Entry(id=EntryId(ids.new()), kind=kind, effective_at=now, postings=postings)
    told = Event(type=f"{kind}.booked", subject=key, entry=entry.id)
    plan = Plan(entries=(entry,), events=(told,), answer={"entry": str(entry.id)})
    first = book(unit, till, word(till, word_kind, key, said), plan, now=now)
    assert first, "what has no entry was never booked"
    return entry.id


def _unit(till: Till, work: Callable[[sa.Connection], Any]) -> Any:
    return db.unit(till.database, work)
