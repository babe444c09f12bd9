"""The log's leaves as lines of JSON: the bytes of each event as they were hashed, its place, and the proof of it.

How     The first line is the checkpoint that every proof leads to. A line for each leaf follows:
        {"index": 5, "event": "<the event's bytes as text>", "proof": ["<base64>", …]}. Without proofs (in a bundle, where
        all leaves are) the root is computed from the leaves themselves, which proves more and takes less.
Source  RFC 6962 section 2.1; c2sp.org/tlog-checkpoint.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
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


def promised(log: Log) -> tuple[Checkpoint, str] | None:
    """Return the newest checkpoint and the note that it came in; None while there is none. Its signature is for the reader
    to verify.
    """
    raw = log.checkpoint()
    return (Checkpoint.parse(note.Note.parse(raw).text), raw.decode()) if raw else None


def ndjson(
    books: Books,
    log: Log,
    *,
    proofs: bool,
    first: int = 0,
    end: int | None = None,
    newest: tuple[Checkpoint, str] | None = None,
) -> Iterator[str]:
    """Yield leaves from `first` up to, and without, `end`, as far as the checkpoint goes; nothing while there is none.

    Args:
        books: the snapshot; leaves that were sealed before the checkpoint are in it, because it was read later.
        log: the published log.
        proofs: whether each leaf comes with its inclusion proof.
        first: an index.
        end: an index.
        newest: the checkpoint, where the caller has it already.
    """
    newest = newest or promised(log)
    if newest is None:
        return
    checkpoint, signed = newest
    nodes = _Remembering(log.nodes(checkpoint.size))
    head = {"origin": checkpoint.origin, "size": checkpoint.size, "root": _b64(checkpoint.root), "checkpoint": signed}
    yield _line(head)
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
