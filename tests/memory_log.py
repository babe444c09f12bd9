"""A log in memory, for tests of what is proved by it: it seals all events of a database when it is told to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from wallet.log import merkle, note
from wallet.log.checkpoint import Checkpoint, LogKey, LogKeys
from wallet.log.note import FileSigner, Signature


class Nodes:
    """The nodes of a list of entries, each hashed anew: slow, and like nothing that the service does."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = entries

    def node(self, level: int, index: int) -> bytes:
        if level == 0:
            return merkle.leaf_hash(self.entries[index])
        return merkle.node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))


@dataclass
class MemoryLog:
    """A log of the events of one database, in the order in which they came."""

    key: FileSigner
    known: LogKeys
    entries: list[bytes] = field(default_factory=list)
    places: dict[UUID, int] = field(default_factory=dict)
    raw: bytes | None = None

    @classmethod
    def of(cls, origin: str) -> "MemoryLog":
        signer = FileSigner.generate(origin)
        return cls(signer, LogKeys((LogKey(signer.key),)))

    def seal(self, engine: sa.Engine, *cosigners: FileSigner, time_s: int = 1_795_300_000) -> None:
        """Give every event its place, and publish a checkpoint of them all."""
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT id, bytes FROM ledger.event ORDER BY seq").all()
        for row in rows:
            if row.id not in self.places:
                self.places[row.id] = len(self.entries)
                self.entries.append(bytes(row.bytes))
        self.publish(*cosigners, time_s=time_s)

    def publish(self, *cosigners: FileSigner, time_s: int = 1_795_300_000) -> None:
        root = merkle.root(Nodes(self.entries), len(self.entries))
        made = self.known.sign(Checkpoint(self.known.origin, len(self.entries), root), self.key)
        more: list[Signature] = [note.cosign(made.text, one, time_s=time_s) for one in cosigners]
        self.raw = made.add(*more).encode()

    # -- what a receipt asks -------------------------------------------------------------------------------

    def leaves(self, _: sa.Connection, events: Sequence[UUID], /) -> Mapping[UUID, int]:
        return {id: self.places[id] for id in events if id in self.places}

    def checkpoint(self, _: sa.Connection, above: int, /) -> bytes | None:
        size = Checkpoint.parse(note.Note.parse(self.raw).text).size if self.raw else 0
        return self.raw if size > above else None

    def inclusion(self, index: int, size: int, /) -> list[bytes]:
        return merkle.inclusion_proof(Nodes(self.entries[:size]), index, size)

    def keys(self) -> LogKeys:
        return self.known

    def signer(self) -> FileSigner:
        return self.key


def give(app: Flask, log: MemoryLog | None) -> None:
    """Let an application prove its receipts by this log."""
    app.extensions["wallet"] = replace(app.extensions["wallet"], log=log)
