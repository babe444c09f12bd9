"""Balances over the whole book: the trial balance, by line of the chart. Reads only."""

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A line of the chart: what its accounts come to, on the side where it stands. Whole đồng."""

    code: str
    name: str
    name_en: str
    normal: str
    debit: int
    credit: int


def trial_balance(connection: sa.Connection) -> list[TrialRow]:
    """Return the trial balance now: rows plus unfolded deltas, in one statement and so in one snapshot."""
    rows = connection.exec_driver_sql(
        """
        SELECT c.code, c.name, c.name_en, c.normal,
               (CASE WHEN (c.normal = 'debit') = (s.posted >= 0) THEN abs(s.posted) ELSE 0 END)::bigint AS debit,
               (CASE WHEN (c.normal = 'debit') = (s.posted >= 0) THEN 0 ELSE abs(s.posted) END)::bigint AS credit
        FROM ledger.chart c
        CROSS JOIN LATERAL (SELECT coalesce(sum(b.posted), 0) AS posted
                            FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id
                            WHERE a.code = c.code) AS s
        ORDER BY c.normal DESC, c.code
        """
    )
    return [TrialRow(**row._mapping) for row in rows]
