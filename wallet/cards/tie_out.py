"""The tie-out: what an acquirer says that it owes us, line by line, against what our books say.

Words   A line is tied when the books hold exactly what it did. Otherwise it is explained, or it is a break: unexplained.
Money   Signed whole đồng. owed (the sum of the lines' `net`) − booked = the sum of all explained differences + unexplained; and
        unexplained is zero.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import sqlalchemy as sa

from wallet.cards.till import CLEARING
from wallet.ids import EntryId

Why = Literal["payout_on_its_way", "line_not_read", "under_way", "quarantined", "unexplained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the acquirer's account with what the books hold for it."""

    ref: str
    kind: str
    raw_kind: str
    source: str
    at: datetime
    amount: int
    fee: int
    net: int
    booked: int
    entries: tuple[EntryId, ...]
    why: Why | None

    @property
    def difference(self) -> int:
        """What the line says above the books."""
        return self.net - self.booked


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlined:
    """An entry for which no line was read."""

    entry: EntryId
    kind: str
    at: datetime
    amount: int
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class TieOut:
    """How an acquirer's account and our books stand to each other."""

    acquirer: str
    owed: int
    booked: int
    lines: tuple[Line, ...]
    unlined: tuple[Unlined, ...]

    @property
    def difference(self) -> int:
        """What the acquirer says above our books."""
        return self.owed - self.booked

    def because(self, why: Why) -> int:
        """What one cause makes of the difference."""
        lined = sum(line.difference for line in self.lines if line.why == why)
        return lined - sum(one.amount for one in self.unlined if one.why == why)

    @property
    def unexplained(self) -> int:
        """What remains of the difference; zero, or a person has to look."""
        return self.difference - sum(self.because(why) for why in EXPLAINED)

    @property
    def breaks(self) -> int:
        """How many lines and entries are unexplained, also where they come to zero together."""
        return sum(line.why == "unexplained" for line in self.lines) + sum(
            one.why == "unexplained" for one in self.unlined
        )


EXPLAINED: Final[tuple[Why, ...]] = ("payout_on_its_way", "line_not_read", "under_way", "quarantined")

ENTRIES: Final = """
    SELECT l.acquirer, l.ref, x.entry FROM cards.line l
    JOIN cards.payment p ON p.id = l.payment AND l.kind = 'charge'
    CROSS JOIN LATERAL (SELECT p.entry) AS x WHERE x.entry IS NOT NULL
    UNION ALL
    SELECT l.acquirer, l.ref, CASE l.kind WHEN 'refund' THEN r.entry ELSE r.failed_entry END FROM cards.line l
    JOIN cards.refund r ON r.id = l.refund OR r.ref = l.source WHERE l.kind IN ('refund', 'refund_failed')
    UNION ALL
    SELECT l.acquirer, l.ref, CASE l.kind WHEN 'dispute' THEN d.entry ELSE d.won_entry END FROM cards.line l
    JOIN cards.dispute d ON d.acquirer = l.acquirer AND d.ref = l.source WHERE l.kind IN ('dispute', 'dispute_won')
    UNION ALL
    SELECT l.acquirer, l.ref, CASE l.kind WHEN 'payout' THEN o.entry ELSE o.failed_entry END FROM cards.line l
    JOIN cards.payout o ON o.acquirer = l.acquirer AND o.ref = l.source WHERE l.kind IN ('payout', 'payout_failed')
    UNION ALL
    SELECT l.acquirer, l.ref, l.entry FROM cards.line l
"""
"""Which entries answer to which line: what caused it, and what booked its fee. Shared with the proof."""

_LINES: Final = f"""
    WITH answers AS ({ENTRIES}), moved AS (
        SELECT a.acquirer, a.ref, a.entry,
               sum(CASE WHEN g.debit = %(clearing)s THEN g.amount ELSE -g.amount END) AS amount
        FROM answers a JOIN ledger.posting g ON g.entry = a.entry AND %(clearing)s IN (g.debit, g.credit)
        GROUP BY a.acquirer, a.ref, a.entry
    )
    SELECT l.ref, l.kind, l.raw_kind, l.source, l.at, l.amount, l.fee, l.net,
           coalesce(sum(m.amount), 0)::bigint AS booked, coalesce(array_agg(m.entry) FILTER (WHERE m.entry IS NOT NULL), '{{}}') AS entries,
           CASE WHEN l.net = coalesce(sum(m.amount), 0) THEN NULL
                WHEN l.kind = 'payout' AND EXISTS (SELECT 1 FROM cards.payout o WHERE o.acquirer = l.acquirer AND o.ref = l.source
                                                   AND o.state IN ('pending', 'in_transit')) THEN 'payout_on_its_way'
                WHEN EXISTS (SELECT 1 FROM cards.quarantine q WHERE q.acquirer = l.acquirer AND q.resolved_at IS NULL
                             AND (q.subject = l.source OR q.payment = l.payment)) THEN 'quarantined'
                WHEN l.kind = 'charge' AND EXISTS (SELECT 1 FROM cards.payment p WHERE p.id = l.payment AND p.entry IS NULL
                                                   AND p.state IN ('created', 'requires_action', 'processing', 'in_doubt')) THEN 'under_way'
                ELSE 'unexplained' END AS why
    FROM cards.line l LEFT JOIN moved m ON m.acquirer = l.acquirer AND m.ref = l.ref
    WHERE l.acquirer = %(acquirer)s
    GROUP BY l.acquirer, l.ref ORDER BY l.at DESC, l.ref
"""  # noqa: S608 - a constant of ours

_UNLINED: Final = f"""
    SELECT e.id AS entry, e.kind, e.effective_at AS at,
           sum(CASE WHEN g.debit = %(clearing)s THEN g.amount ELSE -g.amount END)::bigint AS amount,
           CASE WHEN e.posted_at > %(lately)s THEN 'line_not_read' ELSE 'unexplained' END AS why
    FROM ledger.posting g JOIN ledger.entry e ON e.id = g.entry
    WHERE %(clearing)s IN (g.debit, g.credit)
      AND NOT EXISTS (SELECT 1 FROM ({ENTRIES}) AS a WHERE a.entry = e.id AND a.acquirer = %(acquirer)s)
    GROUP BY e.id ORDER BY e.effective_at DESC
"""  # noqa: S608 - a constant of ours


def read(connection: sa.Connection, acquirer: str, *, lately: datetime) -> TieOut:
    """Tie an acquirer's account out, in the connection's snapshot.

    Args:
        connection: any; in one snapshot if sums and lines shall agree.
        acquirer: its name.
        lately: entries since then may still wait for their lines to be read.
    """
    clearing, booked = connection.exec_driver_sql(
        "SELECT a.id, b.posted FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id"
        " WHERE a.code = %s AND a.holder IS NULL",
        (CLEARING[acquirer],),
    ).one()
    asked = {"acquirer": acquirer, "clearing": clearing, "lately": lately}
    lines = [
        Line(**{**row._mapping, "entries": tuple(row.entries)}) for row in connection.exec_driver_sql(_LINES, asked)
    ]
    unlined = [Unlined(**row._mapping) for row in connection.exec_driver_sql(_UNLINED, asked)]
    return TieOut(
        acquirer=acquirer,
        owed=sum(line.net for line in lines),
        booked=int(booked),
        lines=tuple(lines),
        unlined=tuple(unlined),
    )
