"""Sampling: some entries to look at, chosen by a seed and nothing else, so that anybody chooses the same ones again.

Words   The population is every entry written on some days that are over, of at least an amount: it never changes any more.
        By number: each entry is as likely as another. By money: each đồng is as likely as another, so large entries are
        likelier, and an entry above the interval is certain (monetary unit sampling, ISA 530 appendix 4).
How     By number, the entries with the smallest SHA-256("<seed>:<entry id>") are the sample. By money, the entries stand in
        the order of their ids; every total÷n-th đồng is hit, beginning with SHA-256("<seed>:start") mod (total÷n), read as a
        number from its first 8 bytes.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import clock

Method = Literal["number", "money"]

SIZE_MAX: Final = 200
SEED_CHARS_MAX: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is sampled from: the entries written from the first to the last day, of at least an amount in đồng."""

    first: date
    last: date
    least: int = 0
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An entry of a sample, and what it was chosen by: the rank's hash, or how many of the hit đồng are its."""

    entry: UUID
    kind: str
    posted_at: datetime
    signer: UUID
    amount: int
    rank: str
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample and the population that it is of."""

    count: int
    total: int
    interval: int
    start: int
    drawn: tuple[Drawn, ...]


_POPULATION: Final = """
    SELECT e.id, e.kind, e.posted_at, u.signer, sum(p.amount)::bigint AS amount
    FROM ledger.entry e JOIN ledger.authority u ON u.id = e.authority JOIN ledger.posting p ON p.entry = e.id
    WHERE e.posted_at >= %(start)s AND e.posted_at < %(end)s AND (%(kind)s::text IS NULL OR e.kind = %(kind)s)
    GROUP BY e.id, e.kind, e.posted_at, u.signer HAVING sum(p.amount) >= %(least)s
"""


def draw(connection: sa.Connection, frame: Frame, *, seed: str, size: int, method: Method) -> Sample:
    """Draw a sample of `size` entries, or of all that there are if they are fewer.

    Args:
        connection: of the audit role, in one snapshot.
        frame: days that are over; if one is not, the same seed may choose otherwise later.
        seed: any text; who wants to be believed lets somebody else name it.
        size: 1 to SIZE_MAX.
        method: by number or by money.
    """
    assert 1 <= size <= SIZE_MAX, "the door bounds the sample"
    asked = {
        "start": clock.day_bounds(frame.first)[0], "end": clock.day_bounds(frame.last)[1], "least": frame.least,
        "kind": frame.kind, "seed": seed, "size": size,
    }  # fmt: skip
    count, total = connection.exec_driver_sql(
        f"SELECT count(*), coalesce(sum(x.amount), 0)::bigint FROM ({_POPULATION}) AS x",  # noqa: S608 - a constant of ours
        asked,
    ).one()
    interval = max(total // size, 1)
    start = int.from_bytes(hashlib.sha256(f"{seed}:start".encode()).digest()[:8], "big") % interval
    query = _BY_NUMBER if method == "number" else _BY_MONEY
    rows = connection.exec_driver_sql(query, {**asked, "interval": interval, "first_hit": start})
    drawn = tuple(
        Drawn(
            entry=row.id,
            kind=row.kind,
            posted_at=row.posted_at,
            signer=row.signer,
            amount=row.amount,
            rank=hashlib.sha256(f"{seed}:{row.id}".encode()).hexdigest(),
            hits=row.hits,
        )
        for row in rows
    )
    return Sample(count=count, total=total, interval=interval, start=start, drawn=drawn)


_BY_NUMBER: Final = f"""
    SELECT x.*, 1 AS hits FROM ({_POPULATION}) AS x
    ORDER BY sha256(convert_to(%(seed)s::text || ':' || x.id::text, 'UTF8')) LIMIT %(size)s
"""  # noqa: S608 - a constant of ours
# The k-th hit is đồng first_hit + k × interval, counted from 0 over all entries; an entry has those that lie before
# `through` and not before what came to it.
_BY_MONEY: Final = f"""
    WITH ordered AS (SELECT x.*, sum(x.amount) OVER (ORDER BY x.id) AS through FROM ({_POPULATION}) AS x),
    hit AS (
        SELECT o.*,
               least(greatest(ceil((o.through - h.first) / h.every), 0), %(size)s)
               - least(greatest(ceil((o.through - o.amount - h.first) / h.every), 0), %(size)s) AS hits
        FROM ordered o CROSS JOIN (SELECT %(first_hit)s::numeric AS first, %(interval)s::numeric AS every) AS h
    )
    SELECT id, kind, posted_at, signer, amount, hits::integer AS hits FROM hit WHERE hits > 0 ORDER BY id
"""  # noqa: S608 - a constant of ours
