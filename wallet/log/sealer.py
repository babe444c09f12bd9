"""The sealer: gives every committed event its place in the log, and publishes what the log has come to.

Words   To seal is to give a place; a leaf is an event's bytes in its place. To publish is to put bundles, tiles and a signed
        checkpoint where everybody can read them.
Rules   One sealer, by a lock on the folder and one in the database. The places are committed first; then bundles and tiles
        are on the disk; then the checkpoint; then the database remembers it. What is published was committed before, so no
        crash can make a place be given twice. A restored database may lack what was published: then nothing is sealed, and
        posting is stopped, until somebody has brought the leaves back or begun another log.
Source  c2sp.org/tlog-tiles, c2sp.org/tlog-checkpoint.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from wallet import db
from wallet.log import merkle, shelf
from wallet.log.checkpoint import BadCheckpoint, Checkpoint, LogKeys
from wallet.log.merkle import BUNDLES, TILE_WIDTH, Tile, Tree
from wallet.log.note import BadNote, Signer
from wallet.log.published import NotPublished, PublishedLog
from wallet.log.shelf import Shelf, Taken
from wallet.log.unsealed import Unsealed

log = logging.getLogger("wallet.sealer")

INDEX_EVERY_S: Final = 0.1
PUBLISH_EVERY_S: Final = 1.0
BATCH: Final = 2_000
"""Leaves sealed by one statement: a fraction of a second, and some megabytes."""
BATCHES_MAX: Final = 10
"""Of one look: a flood of events must not keep a checkpoint from being published."""

TROUBLE_PAUSE_S: Final = 2.0
LOCK: Final = 0x7473_6561
"""Advisory lock ("tsea") of the one sealer."""

_MOVED_SQLSTATE: Final = "TT002"


class Contradicted(Exception):
    """The database is not what the log has published of it. Posting is stopped; `code` is stable."""

    code = "log_contradicted"


class Behind(Contradicted):
    """The log has published more leaves than the database has: it was restored, or is a replica that lagged."""

    code = "log_behind"


class Rewritten(Contradicted):
    """The leaves in the database have another root than the one that was signed."""

    code = "log_rewritten"


class Moved(Exception):
    """The database's log is not where this sealer left it: it looks again from the start."""


@dataclass(frozen=True, slots=True)
class _Promise:
    """A size and root that were signed."""

    size: int
    root: bytes


class Sealer:
    """One log's sealer: `run` does all of it; `start`, then `seal` and `publish` again and again, are its parts.

    Args:
        database: of a role that may call the log's functions.
        published: where to publish.
        keys: the log's keys.
        signer: of the key in force.
        step: told the name of each step that was completed, for tests that kill at it.
    """

    def __init__(
        self,
        database: sa.Engine,
        published: PublishedLog,
        keys: LogKeys,
        signer: Signer,
        *,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = db.autocommitting(database)
        self._published = published
        self._keys = keys
        self._signer = signer
        self._step = step
        self._shelf = Shelf(published.folder)
        self._tree = Tree()
        self._bundle: list[bytes] = []
        self._finished: list[tuple[Tile, bytes]] = []
        self._unsealed = Unsealed()
        self._published_size = 0
        self._recorded_size = 0
        self._connection: sa.Connection | None = None

    @property
    def size(self) -> int:
        """How many leaves have their places."""
        return self._tree.size

    def run(self, stop: threading.Event) -> None:
        """Seal and publish until `stop` is set. What is in the way is said and waited for; nothing is died of."""
        while not stop.is_set():
            try:
                with self._shelf.alone():
                    self._work(stop)
            except (Taken, Contradicted) as reason:
                log.error("%s: %s", getattr(reason, "code", "log_taken"), reason)
            except (Moved, sa.exc.SQLAlchemyError, OSError):
                log.exception("the sealer begins anew")
            finally:
                self.close()
            stop.wait(TROUBLE_PAUSE_S)

    def _work(self, stop: threading.Event) -> None:
        self.start()
        publish_at = 0.0
        while not stop.is_set():
            begun = time.monotonic()
            self.seal()
            if begun >= publish_at:
                self.publish()
                publish_at = begun + PUBLISH_EVERY_S
            stop.wait(max(0.0, begun + INDEX_EVERY_S - time.monotonic()))
        self.seal()
        self.publish()

    def check(self) -> None:
        """Hold what is published against the database, once, without sealing anything.

        Raises:
            Taken: a sealer is at work, which has done so.
            Behind, Rewritten, Contradicted: posting was stopped.
        """
        try:
            with self._shelf.alone():
                self.start()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the database, and of the lock in it."""
        if self._connection is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                self._ask("SELECT pg_advisory_unlock_all()")
            self._connection.invalidate()  # whatever became of it, no pool keeps the lock
            self._connection.close()
            self._connection = None

    # -- starting ----------------------------------------------------------------------------------------------------

    def start(self, *, anew: bool = False) -> None:
        """Take the lock, read what is published, and hold it against what is committed.

        Args:
            anew: write every tile and bundle again from the leaves, also those that need not be read to go on.

        Raises:
            Taken: another sealer works in this database.
            Behind, Rewritten: posting was stopped.
        """
        self._connection = self._database.connect()
        if not self._scalar("SELECT pg_try_advisory_lock(%s)", LOCK):
            raise Taken("another sealer works in this database")
        try:
            self._load(anew)
        except Contradicted:
            self._ask("SELECT log.stop_posting()")
            raise

    def _load(self, anew: bool) -> None:
        signed = self._published.checkpoint()
        last = self._last(signed)
        size = int(self._scalar("SELECT coalesce(max(index) + 1, 0) FROM log.leaf"))
        if last.size > size:
            raise Behind(f"{last.size} leaves are published, the database has {size}; posting is stopped")
        kept = self._ask("SELECT size, root, settled FROM log.checkpoint ORDER BY size DESC LIMIT 1")
        promises = {_Promise(last.size, last.root), *(_Promise(one.size, bytes(one.root)) for one in kept)}
        self._unsealed = Unsealed(kept[0].settled if kept else 0)
        self._published_size = last.size
        self._recorded_size = kept[0].size if kept else 0
        if anew:
            self._tree, self._bundle, self._finished = Tree(), [], []
        else:
            self._resume(last)
        self._grow(size, sorted(promises, key=lambda one: one.size))
        if signed and self._recorded_size < last.size:  # the last step was cut off
            self._record(last, signed)

    def _last(self, signed: bytes | None) -> Checkpoint:
        if signed is None:
            return Checkpoint(self._keys.origin, 0, merkle.EMPTY_ROOT)
        try:
            return self._keys.open(signed).checkpoint
        except (BadCheckpoint, BadNote) as fault:
            raise Contradicted(
                f"what is published is no checkpoint of this log: {fault}; posting is stopped"
            ) from fault

    def _resume(self, last: Checkpoint) -> None:
        """Go on from the published tiles; where they are damaged, every tile is written anew from the leaves."""
        self._bundle, self._finished = [], []
        try:
            self._tree = Tree.resume(last.size, self._published.tile)
            if self._tree.root() != last.root:
                raise merkle.BadTile("the tiles have another root than their checkpoint")
            if width := last.size % TILE_WIDTH:
                self._bundle = merkle.unpack(self._published.tile(Tile(BUNDLES, last.size // TILE_WIDTH, width)), width)
        except (NotPublished, merkle.BadTile) as fault:
            log.warning("the tiles are written anew: %s", fault)
            self._tree, self._bundle = Tree(), []

    def _grow(self, size: int, promises: Sequence[_Promise]) -> None:
        """Add the leaves that the database has and the tiles have not, and look that every promise is kept on the way."""
        for promise in promises:
            if promise.size < self._tree.size:
                continue
            self._add_up_to(promise.size)
            if self._tree.root() != promise.root:
                raise Rewritten(
                    f"the first {promise.size} leaves have another root than was signed; posting is stopped"
                )
            self._shelf.put(self._partial())  # they may be among what is written anew
            self._shelf.sync()
        self._add_up_to(size)

    def _add_up_to(self, size: int) -> None:
        while self._tree.size < size:
            for entry in self._entries(self._tree.size, min(size, self._tree.size + BATCH)):
                self._append(entry)
            self._shelve()

    def _entries(self, low: int, high: int) -> Iterator[bytes]:
        """Read the entries of leaves low to high.

        Raises:
            Rewritten: a leaf or its event is missing.
        """
        rows = self._ask(
            "SELECT l.index AS place, e.bytes FROM log.leaf l LEFT JOIN ledger.event e ON e.id = l.event"
            " WHERE l.index >= %s AND l.index < %s ORDER BY l.index",
            low,
            high,
        )
        if [row.place for row in rows] != list(range(low, high)) or any(row.bytes is None for row in rows):
            raise Rewritten(f"leaves are missing between {low} and {high}; posting is stopped")
        return (bytes(row.bytes) for row in rows)

    # -- sealing -----------------------------------------------------------------------------------------------------

    def seal(self) -> int:
        """Give a place to every event that can be seen and has none; returns to how many.

        Raises:
            Moved: the database has more or fewer leaves than this sealer gave.
        """
        horizon = self._ask("SELECT seq, writers FROM log.horizon()")[0]
        may_close = self._unsealed.watch(horizon.seq, horizon.writers)
        count = 0
        for _ in range(BATCHES_MAX):
            found = self._seal_batch()
            count += found
            if found < BATCH:
                if may_close:
                    self._unsealed.close()
                break
        return count

    def _seal_batch(self) -> int:
        try:
            rows = self._ask(
                "SELECT seq, bytes FROM log.seal(%s, %s::bigint[], %s::bigint[], %s)",
                self._tree.size,
                *self._unsealed.bounds,
                BATCH,
            )
        except sa.exc.DBAPIError as fault:
            if getattr(fault.orig, "sqlstate", None) == _MOVED_SQLSTATE:
                raise Moved(str(fault.orig)) from None
            raise
        if rows:
            self._step("sealed")
            for row in rows:
                self._append(bytes(row.bytes))
            self._unsealed.sealed(row.seq for row in rows)
            self._shelve()
        return len(rows)

    def _append(self, entry: bytes) -> None:
        self._bundle.append(entry)
        self._finished += self._tree.append(entry)
        if len(self._bundle) == TILE_WIDTH:
            index = self._tree.size // TILE_WIDTH - 1
            self._finished.append((Tile(BUNDLES, index), merkle.pack(self._bundle)))
            self._bundle = []

    def _shelve(self) -> None:
        """Write what is full: nothing speaks of it yet, and it will never change."""
        self._shelf.put(self._finished)
        self._finished = []

    # -- publishing --------------------------------------------------------------------------------------------------

    def publish(self) -> Checkpoint | None:
        """Publish a checkpoint of everything that has its place; None when nothing has come since the last one."""
        size = self._tree.size
        if size == self._published_size:
            return None
        partial = self._partial()
        self._shelf.put(partial)
        self._step("written")
        self._shelf.sync()
        self._step("synced")
        checkpoint = Checkpoint(self._keys.origin, size, self._tree.root())
        signed = self._keys.sign(checkpoint, self._signer).encode()
        self._shelf.publish(signed, before_rename=lambda: self._step("signed"))
        self._step("published")
        self._record(checkpoint, signed)
        self._step("recorded")
        self._shelf.tidy(shelf.partial_at(self._published_size), [tile for tile, _ in partial])
        self._published_size = size
        return checkpoint

    def _partial(self) -> list[tuple[Tile, bytes]]:
        bundle = Tile(BUNDLES, self._tree.size // TILE_WIDTH, len(self._bundle))
        return [*self._tree.partial(), *([(bundle, merkle.pack(self._bundle))] if self._bundle else [])]

    def _record(self, checkpoint: Checkpoint, signed: bytes) -> None:
        self._ask(
            "SELECT log.publish(%s, %s, %s, %s)", checkpoint.size, checkpoint.root, signed, self._unsealed.settled
        )
        self._recorded_size = checkpoint.size

    # -- the database ------------------------------------------------------------------------------------------------

    def _ask(self, statement: str, *parameters: Any) -> Sequence[Any]:
        assert self._connection is not None, "the sealer was started"
        return self._connection.exec_driver_sql(statement, parameters).all()

    def _scalar(self, statement: str, *parameters: Any) -> Any:
        return self._ask(statement, *parameters)[0][0]
