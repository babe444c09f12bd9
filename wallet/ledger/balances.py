"""Balances over the whole book, now and as of any instant, by line of the chart. Reads only.

Words   effective: when the world did it · posted: when the database wrote it. A back-dated entry counts from its effective
        instant in the one reading, and from its posted instant in the other.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from wallet.ids import AccountId

By = Literal["effective", "posted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A line of the chart: what its accounts come to, on the side where it stands. Whole đồng."""

    code: str
    debit: int
    credit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A line of the chart with its names; `posted` is on its normal side, and may be negative. Whole đồng."""

    code: str
    name: str
    name_en: str
    normal: str
    posted: int

    @property
    def debit(self) -> int:
        """What stands on the debit side."""
        return abs(self.posted) if (self.normal == "debit") == (self.posted >= 0) else 0

    @property
    def credit(self) -> int:
        """What stands on the credit side."""
        return abs(self.posted) - self.debit


def trial_balance(connection: sa.Connection) -> list[TrialRow]:
    """Return the trial balance now: rows plus unfolded deltas, in one statement and so in one snapshot."""
    return _rows(
        connection.exec_driver_sql(
            """
            SELECT c.code, c.name, c.name_en, c.normal, s.posted::bigint AS posted
            FROM ledger.chart c
            CROSS JOIN LATERAL (SELECT coalesce(sum(b.posted), 0) AS posted
                                FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id
                                WHERE a.code = c.code) AS s
            ORDER BY c.normal DESC, c.code
            """
        )
    )


def trial_balance_as_of(connection: sa.Connection, at: datetime, *, by: By) -> list[TrialRow]:
    """Return the trial balance as of an instant, that instant included: from the snapshot of the last period that had ended
    by then, and the postings since.
    """
    # One of two constants: which instant counts, and from which.
    column, within = (
        ("effective", "p.effective_at >= base.after AND p.effective_at <= %(at)s")
        if by == "effective"
        else ("sequenced", "p.posted_at <= %(at)s")
    )
    return _rows(
        connection.exec_driver_sql(
            f"""
            WITH base AS (SELECT * FROM ledger.base_of(%(at)s)),
            before AS (
                SELECT DISTINCT ON (s.account) s.account, s.{column} AS amount FROM ledger.snapshot s, base
                WHERE s.ends <= base.ends ORDER BY s.account, s.ends DESC
            ), since AS (
                SELECT p.debit AS account, p.amount FROM ledger.posting p, base WHERE p.seq > base.mark AND {within}
                UNION ALL
                SELECT p.credit, -p.amount FROM ledger.posting p, base WHERE p.seq > base.mark AND {within}
            ), moved AS (
                SELECT a.code, sum(b.amount) AS amount
                FROM before b JOIN ledger.account a ON a.id = b.account GROUP BY a.code
                UNION ALL
                SELECT a.code, sum(CASE a.normal WHEN 'debit' THEN s.amount ELSE -s.amount END)
                FROM since s JOIN ledger.account a ON a.id = s.account GROUP BY a.code
            )
            SELECT c.code, c.name, c.name_en, c.normal, coalesce(sum(m.amount), 0)::bigint AS posted
            FROM ledger.chart c LEFT JOIN moved m ON m.code = c.code
            GROUP BY c.code ORDER BY c.normal DESC, c.code
            """,  # noqa: S608 - two constants of ours
            {"at": at},
        )
    )


def as_of(connection: sa.Connection, account: AccountId, at: datetime, *, by: By) -> int:
    """Return what an account had posted as of an instant, that instant included, in đồng on its normal side.

    Args:
        connection: any.
        account: one that exists.
        at: aware.
        by: "effective": all that had happened by then, as we know it today; "posted": the books as they stood then.
    """
    function = "posted_effective" if by == "effective" else "posted_recorded"
    return int(connection.exec_driver_sql(f"SELECT ledger.{function}(%s, %s)", (account, at)).scalar_one())


def house_accounts(connection: sa.Connection) -> dict[str, AccountId]:
    """Return the house's own accounts by their code in the chart."""
    rows = connection.exec_driver_sql("SELECT code, id FROM ledger.account WHERE holder IS NULL")
    return {row.code: AccountId(row.id) for row in rows}


def _rows(result: Any) -> list[TrialRow]:
    return [TrialRow(**row._mapping) for row in result]
