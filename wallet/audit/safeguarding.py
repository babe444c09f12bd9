"""Safeguarding: for each đồng in a wallet, one in the guarantee account; now and by day, with its cause when it is short.

Words   Covered: what we owe to wallets and merchants. The margin is what the guarantee account holds above that; below zero
        it is short.
Source  Circular 40/2024/TT-NHNN: the guarantee account's balance is never below what all e-wallets of customers and of
        acceptance points come to.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from wallet import clock
from wallet.ledger import balances, chart

COVERED: Final = (chart.WALLET, chart.MERCHANT)
"""Lines of the chart that the guarantee account covers; merchants' come with acceptance."""

_MARGIN: Final = (chart.BANK_GUARANTEE, *COVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a kind of entry has added to the margin, or taken from it, since a day last ended without a shortage."""

    kind: str
    effect: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things stood at an instant, in whole đồng."""

    at: datetime
    guarantee: int
    covered: int
    collection: int
    agencies: int
    carried: int = 0
    """Where it is short: the margin at the end of the last day on which it was not; with the causes it makes the margin."""
    causes: tuple[Cause, ...] = ()

    @property
    def margin(self) -> int:
        """What the guarantee account holds above what it covers."""
        return self.guarantee - self.covered

    @property
    def is_short(self) -> bool:
        """Whether somebody's đồng has none to stand for it."""
        return self.margin < 0


def standing(connection: sa.Connection, *, now: datetime) -> Standing:
    """Return how things stand now, from the balances as they are."""
    return _standing({row.code: row.posted for row in balances.trial_balance(connection)}, at=now)


def report(connection: sa.Connection, *, first: date, last: date, now: datetime) -> list[Standing]:
    """Return how things stood at the end of each day, oldest first, today's as it stands; by when things took effect.

    Args:
        connection: of the audit role, in one snapshot if the days shall agree with each other.
        first: a day of the city.
        last: not after today.
        now: the door's clock.
    """
    began = clock.day_bounds(first)[0] - timedelta(microseconds=1)
    sums = Counter({row.code: row.posted for row in balances.trial_balance_as_of(connection, began, by="effective")})
    moved, effects = _moved(connection, first, last), _effects(connection, first, last)
    since: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    carried = _standing(sums, at=began).margin
    found = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        sums.update(moved.get(day, {}))
        for kind, effect, count in effects.get(day, ()):
            since[kind] += effect
            entries[kind] += count
        stood = _standing(sums, at=min(clock.day_bounds(day)[1] - timedelta(microseconds=1), now))
        if stood.is_short:
            causes = sorted((effect, kind) for kind, effect in since.items() if effect)
            told = tuple(Cause(kind=kind, effect=effect, entries=entries[kind]) for effect, kind in causes)
            stood = replace(stood, carried=carried, causes=told)
        else:
            since.clear()
            entries.clear()
            carried = stood.margin
        found.append(stood)
    return found


def _standing(posted: Mapping[str, int], *, at: datetime) -> Standing:
    return Standing(
        at=at,
        guarantee=posted.get(chart.BANK_GUARANTEE, 0),
        covered=sum(posted.get(code, 0) for code in COVERED),
        collection=posted.get(chart.BANK_COLLECTION, 0),
        agencies=posted.get(chart.AGENCY, 0),
    )


_WITHIN: Final = """
    FROM ledger.posting p
    CROSS JOIN ledger.base_of(%(start)s) AS base
    JOIN ledger.account d ON d.id = p.debit
    JOIN ledger.account c ON c.id = p.credit
    WHERE p.seq > base.mark AND p.effective_at >= %(start)s AND p.effective_at < %(end)s
"""
"""The postings that took effect in some days; those of closed periods before are passed over by the period's mark."""


def _moved(connection: sa.Connection, first: date, last: date) -> dict[date, dict[str, int]]:
    """Return what each line of the chart moved by on each day, on its normal side."""
    rows = connection.exec_driver_sql(
        f"""
        WITH within AS (SELECT ledger.day_of(p.effective_at) AS day, p.amount, d.code AS debit, d.normal AS debit_side,
                               c.code AS credit, c.normal AS credit_side {_WITHIN})
        SELECT x.day, x.code, sum(x.amount)::bigint AS amount FROM (
            SELECT day, debit AS code, CASE debit_side WHEN 'debit' THEN amount ELSE -amount END AS amount FROM within
            UNION ALL
            SELECT day, credit, CASE credit_side WHEN 'credit' THEN amount ELSE -amount END FROM within
        ) AS x GROUP BY x.day, x.code
        """,  # noqa: S608 - a constant of ours
        _bounds(first, last),
    )
    found: dict[date, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row.day, {})[row.code] = row.amount
    return found


def _effects(connection: sa.Connection, first: date, last: date) -> dict[date, list[tuple[str, int, int]]]:
    """Return what each kind of entry did to the margin on each day: a debit of a covered or covering account adds to it."""
    rows = connection.exec_driver_sql(
        f"""
        WITH within AS (SELECT ledger.day_of(p.effective_at) AS day, p.entry,
                               CASE WHEN d.code = ANY (%(margin)s) THEN p.amount ELSE 0 END
                               - CASE WHEN c.code = ANY (%(margin)s) THEN p.amount ELSE 0 END AS effect {_WITHIN})
        SELECT w.day, e.kind, sum(w.effect)::bigint AS effect, count(DISTINCT w.entry) AS entries
        FROM within w JOIN ledger.entry e ON e.id = w.entry
        WHERE w.effect <> 0 GROUP BY w.day, e.kind
        """,  # noqa: S608 - a constant of ours
        {**_bounds(first, last), "margin": list(_MARGIN)},
    )
    found: dict[date, list[tuple[str, int, int]]] = {}
    for row in rows:
        found.setdefault(row.day, []).append((row.kind, row.effect, row.entries))
    return found


def _bounds(first: date, last: date) -> dict[str, object]:
    return {"start": clock.day_bounds(first)[0], "end": clock.day_bounds(last)[1]}
