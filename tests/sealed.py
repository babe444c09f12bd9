"""A log for tests of its readers: every event of a database sealed in one go, its tree held in memory.

The real sealer is tested by its own; what reads a log must not care who sealed it.
"""

from dataclasses import dataclass, field

from tests.databases import TestDatabase
from wallet.log import merkle
from wallet.log.checkpoint import Checkpoint, LogKey, LogKeys
from wallet.log.merkle import Tile
from wallet.log.note import FileSigner

ORIGIN = "localhost:8000/log"

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS log;
CREATE TABLE IF NOT EXISTS log.leaf (index BIGINT PRIMARY KEY, event UUID UNIQUE NOT NULL);
GRANT USAGE ON SCHEMA log TO wallet_app, wallet_audit;
GRANT SELECT ON log.leaf TO wallet_app, wallet_audit;
"""


@dataclass(slots=True)
class SealedLog:
    """What the published log answers, from memory."""

    signer: FileSigner = field(default_factory=lambda: FileSigner.generate(ORIGIN))
    tree: merkle.Tree = field(default_factory=merkle.Tree)
    tiles: dict[Tile, bytes] = field(default_factory=dict)
    signed: bytes | None = None

    @property
    def keys(self) -> LogKeys:
        return LogKeys((LogKey(self.signer.key),))

    def checkpoint(self) -> bytes | None:
        return self.signed

    def nodes(self, size: int) -> merkle.TiledNodes:
        assert size <= self.tree.size
        return merkle.TiledNodes(size, self._read)

    def append(self, *entries: bytes) -> None:
        """Add leaves; `publish` promises them."""
        for entry in entries:
            self.tiles |= dict(self.tree.append(entry))

    def publish(self) -> Checkpoint:
        """Sign a checkpoint of the tree as it stands."""
        promised = Checkpoint(ORIGIN, self.tree.size, self.tree.root())
        self.signed = self.keys.sign(promised, self.signer).encode()
        return promised

    def _read(self, tile: Tile) -> bytes:
        full = self.tiles.get(Tile(tile.level, tile.index))
        if full is not None:
            return full
        return next(
            data for partial, data in self.tree.partial() if (partial.level, partial.index) == (tile.level, tile.index)
        )


def prepare(database: TestDatabase) -> None:
    """Make the log's table where no migration has made it."""
    with database.superuser() as owner:
        owner.execute(SCHEMA)


def seal(database: TestDatabase, log: SealedLog | None = None) -> SealedLog:
    """Give every event that has none a place in the log, and sign a checkpoint."""
    log = log or SealedLog()
    prepare(database)
    with database.superuser() as owner:
        waiting = owner.execute(
            "SELECT v.id, v.bytes FROM ledger.event v LEFT JOIN log.leaf l ON l.event = v.id"
            " WHERE l.event IS NULL ORDER BY v.seq"
        ).fetchall()
        for id, spelled in waiting:
            owner.execute("INSERT INTO log.leaf (index, event) VALUES (%s, %s)", (log.tree.size, id))
            log.append(bytes(spelled))
    log.publish()
    return log
