"""Replay: bring back from what was published the leaves that a restored database has forgotten.

What    The published bundles are verified against their signed checkpoint, and what the database has against the bundles.
        Then the missing leaves get their old places. An event that was forgotten too is brought back as it was told; what
        it tells of (an entry, an order, a holder) is not, because a log keeps what happened and not how to do it again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from wallet.log import merkle
from wallet.log.checkpoint import Checkpoint
from wallet.log.merkle import BUNDLES, TILE_WIDTH, Tile, Tree
from wallet.log.published import PublishedLog

CHUNK = 100 * TILE_WIDTH


class NotReplayable(Exception):
    """The bundles are not those of the checkpoint, or the database's leaves are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An event that the log knew and the database did not."""

    index: int
    entry: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many leaves the database had, and which events had been lost."""

    had: int
    lost: list[Lost]


def replay(unit: sa.Connection, published: PublishedLog, last: Checkpoint) -> Replayed:
    """Bring back every leaf up to the checkpoint.

    Args:
        unit: an open unit of the owner's.
        published: where the bundles lie.
        last: the checkpoint that was published last, verified.

    Raises:
        NotReplayable: nothing was written.
        published.NotPublished, merkle.BadTile: a bundle is missing or damaged.
    """
    had = int(unit.exec_driver_sql("SELECT coalesce(max(index) + 1, 0) FROM log.leaf").scalar_one())
    tree, lost = Tree(), list[Lost]()
    for start in range(0, last.size, CHUNK):
        entries = list(_bundled(published, start, min(start + CHUNK, last.size)))
        _compare(unit, start, entries[: max(0, had - start)])
        for entry in entries:
            tree.append(entry)
        lost += _restore(unit, list(enumerate(entries, start))[max(0, had - start) :])
    if tree.root() != last.root:
        raise NotReplayable("the bundles have another root than their checkpoint")
    return Replayed(had=had, lost=lost)


def _bundled(published: PublishedLog, low: int, high: int) -> Iterator[bytes]:
    for start in range(low, high, TILE_WIDTH):
        width = min(TILE_WIDTH, high - start)
        yield from merkle.unpack(published.tile(Tile(BUNDLES, start // TILE_WIDTH, width)), width)


def _compare(unit: sa.Connection, start: int, entries: list[bytes]) -> None:
    """Look that the database's own leaves are those that were published."""
    rows = unit.exec_driver_sql(
        "SELECT e.bytes FROM log.leaf l JOIN ledger.event e ON e.id = l.event"
        " WHERE l.index >= %s AND l.index < %s ORDER BY l.index",
        (start, start + len(entries)),
    )
    if [bytes(row.bytes) for row in rows] != entries:
        raise NotReplayable(f"the database's leaves from {start} on are not those that were published")


def _restore(unit: sa.Connection, missing: list[tuple[int, bytes]]) -> list[Lost]:
    if not missing:
        return []
    rows = [_row(index, entry) for index, entry in missing]
    known = unit.exec_driver_sql(
        "SELECT id, bytes FROM ledger.event WHERE id = ANY(%s)", ([row["id"] for row in rows],)
    )
    there = {row.id: bytes(row.bytes) for row in known}
    lost = []
    for row in rows:
        if row["id"] not in there:
            unit.exec_driver_sql(_EVENT, row)
            lost.append(Lost(index=row["index"], entry=row["bytes"]))
        elif there[row["id"]] != row["bytes"]:
            raise NotReplayable(f"event {row['id']} is not the one that was published as leaf {row['index']}")
        unit.exec_driver_sql("INSERT INTO log.leaf (index, event) VALUES (%(index)s, %(id)s)", row)
    return lost


_EVENT = """
INSERT INTO ledger.event (id, type, subject, actor, authority, entry, at, bytes)
VALUES (%(id)s, %(type)s, %(subject)s, %(actor)s, %(authority)s, %(entry)s, %(at)s, %(bytes)s)
"""


def _row(index: int, entry: bytes) -> dict[str, Any]:
    """Read an event's row out of its envelope, which says all of it."""
    said = json.loads(entry)
    data = said.get("data", {})
    return {
        "index": index,
        "bytes": entry,
        "id": UUID(said["id"]),
        "type": said["type"],
        "subject": said["subject"],
        "actor": UUID(said["actor"]) if said["actor"] else None,
        "authority": data.get("order", {}).get("authority"),
        "entry": data.get("entry", {}).get("id"),
        "at": datetime.fromisoformat(said["at"]),
    }
