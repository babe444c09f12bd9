"""Periods: a day or a month closed for good, its trial balance sealed as an event; and what is done every night before.

Words   Closed: nothing takes effect in it any more. A later correction takes effect in the open period and names the entry
        that it corrects (`reverses`, `refunds`).
        The collection sweep moves at the bank what citizens paid to agencies: from the guarantee account, which covers
        wallets, to the collection account, which the law keeps apart.
Source  Circular 40/2024/TT-NHNN (guarantee account one đồng for each in a wallet, apart from money collected for others).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa

from wallet import clock, ids, ledger, orders
from wallet.events import Event
from wallet.ids import AccountId, EntryId, OrderId, PeriodId
from wallet.ledger import Claim, Entry, Plan, Posting, balances, chart
from wallet.money import Dong
from wallet.refusal import Refusal

GRACE: Final = timedelta(minutes=12)
"""How long after a period's end the rule closes it: two minutes more than the ledger asks, because the ledger asks by its
own clock, and a rule that it refused once has had its one run."""

Kind = Literal["day", "month"]


class ShapeWrong(Refusal):
    """A month starts on its first day."""

    code = "period_shape"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseOrder:
    """What an auditor or operator ordered: close the day, or the month, that starts then."""

    id: OrderId
    kind: Kind
    starts: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A period that was closed, with its trial balance in whole đồng and the digest of all balances at its end."""

    period: PeriodId
    kind: Kind
    starts: date
    ends: date
    digest: str
    rows: tuple[balances.Total, ...]


def close(unit: sa.Connection, claim: Claim, order: CloseOrder, *, now: datetime) -> Plan:  # noqa: ARG001 - as every verb
    """Close a period, and seal its trial balance as an event.

    Args:
        unit: an open unit whose order is claimed; it waits for every posting that has begun in the period.
        claim: whose order it is.
        order: the period.
        now: the door's clock; whether the period is over is judged by the database's.

    Raises:
        ShapeWrong; refusals.PeriodOpen: it is not over; refusals.PeriodClosed: it, or a later one, is closed.
    """
    ends = order.starts
    if order.kind == "month":
        if order.starts.day != 1:
            raise ShapeWrong(param="starts")
        ends = last_of_month(order.starts)
    period = PeriodId(ids.new())
    rows, digest = ledger.close_period(unit, claim, period=period, kind=order.kind, starts=order.starts, ends=ends)
    told = Event(
        type="period.closed",
        subject=period,
        data={
            "digest": digest.hex(),
            "ends": ends.isoformat(),
            "kind": order.kind,
            "starts": order.starts.isoformat(),
            "trial": [{"code": row.code, "credit": str(row.credit), "debit": str(row.debit)} for row in rows],
        },
    )
    done = Closed(period=period, kind=order.kind, starts=order.starts, ends=ends, digest=digest.hex(), rows=tuple(rows))
    return Plan(events=(told,), answer=done)


def last_of_month(day: date) -> date:
    """Return the last day of a day's month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A closed period as the books keep it: its trial balance in whole đồng, and the digest of all balances at its end."""

    period: PeriodId
    kind: Kind
    starts: date
    ends: date
    closed_at: datetime
    digest: str
    rows: tuple[balances.Total, ...]


def sealed(connection: sa.Connection, *, days_max: int, before: date | None = None) -> list[Sealed]:
    """Return the closed periods that end on the last `days_max` closed days before a day, newest first; a month stands
    before its last day, and the two are never on different pages.
    """
    found = connection.exec_driver_sql(
        """
        SELECT p.id AS period, p.kind, p.starts, p.ends, p.closed_at, encode(p.digest, 'hex') AS digest
        FROM ledger.period p
        WHERE p.ends IN (SELECT DISTINCT d.ends FROM ledger.period d WHERE d.ends < %s ORDER BY d.ends DESC LIMIT %s)
        ORDER BY p.ends DESC, p.kind DESC
        """,
        (before or date.max, days_max),
    ).all()
    totals: dict[PeriodId, list[balances.Total]] = {}
    for row in connection.exec_driver_sql(
        "SELECT period, code, debit, credit FROM ledger.trial WHERE period = ANY (%s) ORDER BY code",
        ([row.period for row in found],),
    ):
        total = balances.Total(code=row.code, debit=row.debit, credit=row.credit)
        totals.setdefault(row.period, []).append(total)
    return [Sealed(**row._mapping, rows=tuple(totals.get(row.period, ()))) for row in found]


Readiness = Literal["ready", "open", "closed", "passed"]


def readiness(connection: sa.Connection, kind: Kind, starts: date, *, now: datetime) -> Readiness:
    """Say whether a period can be closed: it is not over yet, it is closed, or a later one is, so that it never can be."""
    ends = starts if kind == "day" else last_of_month(starts)
    closed = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT 1 FROM ledger.period WHERE kind = %s AND starts = %s)", (kind, starts)
    ).scalar_one()
    if closed:
        return "closed"
    through = closed_through(connection)
    if through is not None and (through > ends or (through == ends and kind == "day")):
        return "passed"
    return "ready" if now >= clock.day_bounds(ends)[1] + GRACE else "open"


def closed_through(connection: sa.Connection, kind: Kind | None = None) -> date | None:
    """Return the last day that is closed; with a kind, by a period of that kind."""
    found: date | None = connection.exec_driver_sql(
        "SELECT max(ends) FROM ledger.period WHERE %(kind)s::text IS NULL OR kind = %(kind)s", {"kind": kind}
    ).scalar_one()
    return found


def nightly(database: sa.Engine, *, now: datetime) -> None:
    """Once a day is over: sweep what was collected, close the day and, after its last day, the month. Done twice, by two
    workers, or gone on with after a crash or a long rest, it closes each of them once. Books in which nothing was ever
    posted are not closed.
    """
    yesterday = clock.day_of(now) - timedelta(days=1)
    if now < clock.day_bounds(yesterday)[1] + GRACE:
        return
    with database.connect() as connection:
        began = connection.exec_driver_sql("SELECT 1 FROM ledger.entry LIMIT 1").first() is not None
        through, month_through = closed_through(connection), closed_through(connection, "month")
    if not began:
        return
    month_end = yesterday if yesterday == last_of_month(yesterday) else yesterday.replace(day=1) - timedelta(days=1)
    month_due = (month_through is None or month_through < month_end) and (through or yesterday) <= month_end
    if month_due and month_end < yesterday:  # nobody came on the month's first day
        _close_by_rule(database, "month", month_end.replace(day=1), now=now)
    if through is None or through < yesterday:
        sweep(database, yesterday, now=now)
        _close_by_rule(database, "day", yesterday, now=now)
    if month_due and month_end == yesterday:
        _close_by_rule(database, "month", month_end.replace(day=1), now=now)


def _close_by_rule(database: sa.Engine, kind: Kind, starts: date, *, now: datetime) -> None:
    def decide(unit: sa.Connection, claim: Claim) -> Plan:
        order = CloseOrder(id=OrderId(claim.authority), kind=kind, starts=starts)
        plan = close(unit, claim, order, now=now)
        return Plan(events=plan.events, answer={"period": str(plan.answer.period)})

    orders.run_rule(database, "period_close", f"{kind}:{starts}", decide=decide, now=now, at_once=False)


def sweep(database: sa.Engine, day: date, *, now: datetime) -> None:
    """Move what agencies are owed and the collection account does not hold yet, or hold too much of, once for a day."""

    def decide(connection: sa.Connection, _claim: Claim) -> Plan:
        totals = {row.code: row.posted for row in balances.trial_balance(connection)}
        missing = totals[chart.AGENCY] - totals[chart.BANK_COLLECTION]
        # What a card paid for an agency is with the card's processor until it pays out: wallets' cover is not lent for it.
        spare = totals[chart.BANK_GUARANTEE] - totals[chart.WALLET] - totals[chart.MERCHANT]
        missing = min(missing, max(0, spare))
        accounts = balances.house_accounts(connection)
        return _swept(day, missing, accounts[chart.BANK_COLLECTION], accounts[chart.BANK_GUARANTEE], now=now)

    orders.run_rule(database, "collection_sweep", day.isoformat(), decide=decide, now=now)


def _swept(day: date, missing: int, collection: AccountId, guarantee: AccountId, *, now: datetime) -> Plan:
    data: dict[str, Any] = {"amount": str(missing), "day": day.isoformat()}
    if missing == 0:
        told = Event(type="collection.swept", subject=day.isoformat(), data=data)
        return Plan(events=(told,), answer=data)
    debit, credit = (collection, guarantee) if missing > 0 else (guarantee, collection)
    entry = Entry(
        id=EntryId(ids.new()),
        kind="collection_sweep",
        effective_at=now,
        postings=(Posting(debit=debit, credit=credit, amount=Dong(abs(missing))),),
    )
    told = Event(type="collection.swept", subject=day.isoformat(), entry=entry.id, data=data)
    return Plan(entries=(entry,), events=(told,), answer={**data, "entry": str(entry.id)})
