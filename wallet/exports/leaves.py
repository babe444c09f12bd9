"""The log's leaves as lines of JSON: the bytes of each event as they were hashed, its place, and the proof of it.

How     The first line is the checkpoint that every proof leads to. A line for each leaf follows:
        {"index": 5, "event": "<the event's bytes as text>", "proof": ["<base64>", …]}. Without proofs (in a bundle, where
        all leaves are) the root is computed from the leaves themselves, which proves more and takes less.
Source  RFC 6962 section 2.1; c2sp.org/tlog-checkpoint.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from wallet.exports.books import Books
from wallet.log import merkle, note
from wallet.log.checkpoint import Checkpoint

_NODES_REMEMBERED = 4_096
"""Neighbouring leaves share all but the lowest nodes of their proofs: to remember these makes a proof some 20 hashes."""


class Log(Protocol):
    """The published log, as far as an export reads it."""

    def checkpoint(self) -> bytes | None:
        """Return the newest signed note; None before the first."""
        ...

    def nodes(self, size: int) -> merkle.Nodes:
        """Return the nodes of the tree of a size."""
        ...


class _Remembering:
    """Nodes that are read once while they are near."""

    def __init__(self, nodes: merkle.Nodes) -> None:
        self.node = lru_cache(maxsize=_NODES_REMEMBERED)(nodes.node)


@dataclass(frozen=True, slots=True)
class Promise:
    """What the log had promised when it was asked: a checkpoint, the note that it came in, and the tree of its size."""

    checkpoint: Checkpoint
    note: str
    nodes: merkle.Nodes


def promised(log: Log) -> Promise | None:
    """Return the log's newest promise; None while there is none. Its signature is for the reader to verify.

    Ask before the snapshot is taken that the promise is exported with: a leaf is committed before it is promised, so then
    every promised leaf is in the snapshot, however quickly others follow.
    """
    raw = log.checkpoint()
    if raw is None:
        return None
    checkpoint = Checkpoint.parse(note.Note.parse(raw).text)
    return Promise(checkpoint, raw.decode(), log.nodes(checkpoint.size))


def ndjson(
    books: Books, promise: Promise | None, *, proofs: bool, first: int = 0, end: int | None = None
) -> Iterator[str]:
    """Yield leaves from `first` up to, and without, `end`, as far as the promise goes; nothing where there is none.

    Args:
        books: the snapshot, taken after the promise was asked for.
        promise: the log's.
        proofs: whether each leaf comes with its inclusion proof.
        first: an index.
        end: an index.
    """
    if promise is None:
        return
    checkpoint, nodes = promise.checkpoint, _Remembering(promise.nodes)
    yield _line(
        {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": _b64(checkpoint.root),
            "checkpoint": promise.note,
        }
    )
    end = checkpoint.size if end is None else min(end, checkpoint.size)
    for row in books.stream(
        "SELECT l.index, v.bytes FROM log.leaf l JOIN ledger.event v ON v.id = l.event"
        " WHERE l.index >= %(first)s AND l.index < %(end)s ORDER BY l.index",
        {"first": first, "end": end},
    ):
        leaf: dict[str, object] = {"index": row.index, "event": bytes(row.bytes).decode()}
        if proofs:
            leaf["proof"] = [_b64(one) for one in merkle.inclusion_proof(nodes, row.index, checkpoint.size)]
        yield _line(leaf)


def _line(said: object) -> str:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"


def _b64(value: bytes) -> str:
    return b64encode(value).decode()
