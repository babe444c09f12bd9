"""What came in for the State budget, by agency, chương, tiểu mục and địa bàn: read from the ledger's postings alone.

Money   Whole đồng. Taken and given back count by when they took effect; owed is what the account has posted now.
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import sqlalchemy as sa

from wallet import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One account of an agency over some days."""

    account: UUID
    agency: UUID
    chuong: str
    tieu_muc: str
    dia_ban: str
    entries: int
    taken: int
    given_back: int
    remitted: int
    owed: int

    @property
    def net(self) -> int:
        """What the days came to; negative where more was given back than came in."""
        return self.taken - self.given_back


def lines(connection: sa.Connection, *, first: date, last: date) -> list[BudgetLine]:
    """Return every budget line that moved in some days, or that something is owed on, by agency and budget codes."""
    rows = connection.exec_driver_sql(
        """
        WITH base AS (SELECT * FROM ledger.base_of(%(start)s)),
        side AS (
            SELECT a.id, p.entry AS taken_by, p.amount AS taken, 0::bigint AS given_back, 0::bigint AS remitted
            FROM ledger.account a CROSS JOIN base JOIN ledger.posting p ON p.credit = a.id AND p.seq > base.mark
            WHERE a.code = 'agency' AND p.effective_at >= %(start)s AND p.effective_at < %(end)s
            UNION ALL
            SELECT a.id, NULL, 0, CASE WHEN e.refunds IS NULL AND e.reverses IS NULL THEN 0 ELSE p.amount END,
                   CASE WHEN e.refunds IS NULL AND e.reverses IS NULL THEN p.amount ELSE 0 END
            FROM ledger.account a CROSS JOIN base JOIN ledger.posting p ON p.debit = a.id AND p.seq > base.mark
            JOIN ledger.entry e ON e.id = p.entry
            WHERE a.code = 'agency' AND p.effective_at >= %(start)s AND p.effective_at < %(end)s
        ), summed AS (
            SELECT id, count(DISTINCT taken_by) AS entries, sum(taken)::bigint AS taken,
                   sum(given_back)::bigint AS given_back, sum(remitted)::bigint AS remitted
            FROM side GROUP BY id
        )
        SELECT a.id AS account, a.holder AS agency, a.chuong, a.tieu_muc, a.dia_ban, coalesce(s.entries, 0) AS entries,
               coalesce(s.taken, 0) AS taken, coalesce(s.given_back, 0) AS given_back, coalesce(s.remitted, 0) AS remitted,
               b.posted AS owed
        FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id LEFT JOIN summed s ON s.id = a.id
        WHERE a.code = 'agency' AND (s.id IS NOT NULL OR b.posted <> 0)
        ORDER BY a.holder, a.chuong, a.tieu_muc, a.dia_ban
        """,
        {"start": clock.day_bounds(first)[0], "end": clock.day_bounds(last)[1]},
    )
    return [BudgetLine(**row._mapping) for row in rows]
