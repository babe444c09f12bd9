"""Exception lists: what an auditor looks at first. Each is a question to the books; a row in it is no fault by itself.

Words   `threshold` is in whole đồng. Night is from 23:00 to 05:00 in the city. Days are those on which entries were written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import clock

THRESHOLD: Final = 10_000_000
"""From here on a transfer needs step-up (Decision 2345/QĐ-NHNN: 10 million đồng); the auditor may ask for another."""

ROUND: Final = 1_000_000
"""Real prices are seldom whole millions."""

Subject = Literal["entry", "account", "holder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Something to look at: an entry, an account or a holder, and what it is about."""

    subject: Subject
    id: UUID
    at: datetime
    by: UUID | None
    amount: int | None
    kind: str
    other: UUID | None


_AMOUNTS: Final = """
    WITH written AS (
        SELECT e.*, u.signer, u.kind AS word, u.at AS ordered_at, u.key_id, sum(p.amount)::bigint AS amount,
               min(p.debit::text)::uuid AS payer, min(p.credit::text)::uuid AS payee
        FROM ledger.entry e JOIN ledger.authority u ON u.id = e.authority JOIN ledger.posting p ON p.entry = e.id
        WHERE e.posted_at >= %(start)s AND e.posted_at < %(end)s
        GROUP BY e.id, u.id
    )
"""


def _entries(condition: str, *, at: str = "posted_at", other: str = "coalesce(reverses, refunds)") -> str:
    return f"""{_AMOUNTS}
        SELECT 'entry' AS subject, id, {at} AS at, signer AS by, amount, kind, {other} AS other
        FROM written WHERE {condition}"""  # noqa: S608 - constants of ours


LISTS: Final[Mapping[str, str]] = {
    "reversed": _entries("reverses IS NOT NULL"),
    "refunded": _entries("refunds IS NOT NULL"),
    "large": _entries("amount >= %(threshold)s AND word <> 'rule_run'"),
    "split": _AMOUNTS  # noqa: S608 - a constant of ours
    + """
        SELECT 'account' AS subject, payer AS id, max(posted_at) AS at, min(signer::text)::uuid AS by,
               sum(amount)::bigint AS amount, count(*) || '×' AS kind, payee AS other
        FROM written WHERE kind = 'transfer' AND amount < %(threshold)s
        GROUP BY payer, payee, ledger.day_of(posted_at) HAVING count(*) >= 3 AND sum(amount) >= %(threshold)s""",
    "night": _entries(
        "word NOT IN ('rule_run', 'outside_word')"
        " AND (extract(hour FROM ordered_at AT TIME ZONE INTERVAL '7 hours') >= 23"
        " OR extract(hour FROM ordered_at AT TIME ZONE INTERVAL '7 hours') < 5)",
        at="ordered_at",
    ),
    "back_dated": _entries("ledger.day_of(effective_at) < ledger.day_of(posted_at)"),
    "round": _entries(f"mod(amount, {ROUND}) = 0 AND kind NOT IN ('topup', 'collection_sweep')"),
    "by_office": _entries("word IN ('officer_order', 'session_order')"),
    "new_key": _entries(
        f"amount >= {ROUND} AND EXISTS (SELECT 1 FROM identity.key k WHERE k.id = key_id"  # noqa: S608 - a number of ours
        " AND k.enrolled_at > ordered_at - INTERVAL '24 hours')"
    ),
    "frozen": """
        SELECT 'account' AS subject, m.account AS id, m.at, u.signer AS by, NULL::bigint AS amount,
               CASE WHEN u.signer = a.holder THEN 'by_holder' ELSE 'by_operator' END AS kind, NULL::uuid AS other
        FROM ledger.account_move m JOIN ledger.authority u ON u.id = m.authority JOIN ledger.account a ON a.id = m.account
        WHERE m.status = 'frozen' AND m.at >= %(start)s AND m.at < %(end)s""",
    "revealed": """
        SELECT 'holder' AS subject, v.subject::uuid AS id, v.at, v.actor AS by, NULL::bigint AS amount, v.type AS kind,
               NULL::uuid AS other
        FROM ledger.event v WHERE v.type = 'name.revealed' AND v.at >= %(start)s AND v.at < %(end)s""",
}
"""One question for each list. A row: what it is about, when, on whose word, how much, what kind, and what else it names."""


def rows(
    connection: sa.Connection,
    name: str,
    *,
    first: date,
    last: date,
    threshold: int = THRESHOLD,
    rows_max: int | None = None,
) -> Iterator[Row]:
    """Yield a list's rows, newest first.

    Args:
        connection: of the audit role.
        name: one of LISTS.
        first: a day of the city.
        last: a day of the city, included.
        threshold: what counts as large, in đồng.
        rows_max: at most so many; None: all.
    """
    asked = {**_asked(first, last, threshold), "rows": rows_max}
    found = connection.exec_driver_sql(
        f"SELECT x.* FROM ({LISTS[name]}) AS x ORDER BY x.at DESC, x.id LIMIT %(rows)s",  # noqa: S608 - constants of ours
        asked,
    )
    for row in found:
        yield Row(**row._mapping)


def counts(connection: sa.Connection, *, first: date, last: date, threshold: int = THRESHOLD) -> dict[str, int]:
    """Return how long each list is."""
    return {
        name: connection.exec_driver_sql(
            f"SELECT count(*) FROM ({question}) AS x",  # noqa: S608 - constants of ours
            _asked(first, last, threshold),
        ).scalar_one()
        for name, question in LISTS.items()
    }


def _asked(first: date, last: date, threshold: int) -> dict[str, Any]:
    return {"start": clock.day_bounds(first)[0], "end": clock.day_bounds(last)[1], "threshold": threshold}
