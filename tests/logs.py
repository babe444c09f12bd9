"""Logs for tests: a sealer at work in a database and a folder, and what a stranger computes from what lies there."""

import base64
import contextlib
import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy as sa

from tests import tools
from tests.databases import TestDatabase
from wallet import clock, db, ids, ledger
from wallet.events import Event
from wallet.log import keyring, merkle
from wallet.log.checkpoint import Checkpoint
from wallet.log.merkle import BUNDLES, TILE_WIDTH, Tile
from wallet.log.published import PublishedLog
from wallet.log.sealer import Sealer
from wallet.log.shelf import Shelf

ORIGIN = "localhost:8000/log"


class Log:
    """One database's log in a VAR_DIR."""

    def __init__(self, database: TestDatabase, var_dir: Path | None = None) -> None:
        self.database = database
        self.var_dir = var_dir or database.config.var_dir
        self.keys = keyring.make(self.var_dir, ORIGIN)
        self.published = PublishedLog(keyring.folder(self.var_dir))

    def sealer(self, step: Callable[[str], None] = lambda _: None) -> Sealer:
        keys, signer = keyring.keys(self.var_dir), keyring.signer(self.var_dir)
        return Sealer(self.database.app_engine, self.published, keys, signer, step=step)

    @contextlib.contextmanager
    def sealing(self, *, anew: bool = False) -> Iterator[Sealer]:
        """A sealer that was started; the test seals and publishes."""
        sealer = self.sealer()
        try:
            sealer.start(anew=anew)
            yield sealer
        finally:
            sealer.close()

    def seal(self) -> Checkpoint | None:
        """Seal and publish everything, and let go."""
        with self.sealing() as sealer:
            sealer.seal()
            return sealer.publish()

    def tell(self, count: int = 1, *, ago: timedelta = timedelta()) -> list[UUID]:
        """Events of no consequence, each in a unit of its own or, where there are many, in one."""

        def work(unit: sa.Connection) -> list[UUID]:
            told = [Event(type="test.told", subject=ids.new(), data={"n": str(n)}) for n in range(count)]
            for one in told:
                ledger.tell(unit, one, actor=None, at=clock.now() - ago)
            return [UUID(str(one.subject)) for one in told]

        return db.unit(self.database.app_engine, work)

    def checkpoint(self) -> Checkpoint:
        raw = self.published.checkpoint()
        assert raw is not None, "something was published"
        return keyring.keys(self.var_dir).open(raw).checkpoint

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.database.superuser() as owner:
            return owner.execute(statement, parameters).fetchall()

    def entries(self) -> list[bytes]:
        """The events' bytes in their places, as the database has them."""
        rows = self.ask("SELECT l.index, e.bytes FROM log.leaf l JOIN ledger.event e ON e.id = l.event ORDER BY 1")
        assert [index for index, _ in rows] == list(range(len(rows))), "places are gapless"
        return [bytes(entry) for _, entry in rows]

    def unsealed(self) -> int:
        found = self.ask(
            "SELECT count(*) FROM ledger.event e WHERE NOT EXISTS (SELECT FROM log.leaf l WHERE l.event = e.id)"
        )
        return int(found[0][0])

    def bundled(self) -> list[bytes]:
        """The entries as they are published."""
        size = self.checkpoint().size
        entries = []
        for start in range(0, size, TILE_WIDTH):
            width = min(TILE_WIDTH, size - start)
            entries += merkle.unpack(self.published.tile(Tile(BUNDLES, start // TILE_WIDTH, width)), width)
        return entries

    def is_whole(self) -> bool:
        """Whether database, bundles, tiles and checkpoint say one and the same, by the definition of the tree."""
        entries, checkpoint = self.entries(), self.checkpoint()
        tree = merkle.Tree()
        tiles = dict[Tile, bytes]()
        for entry in entries[: checkpoint.size]:
            tiles |= dict(tree.append(entry))
        tiles |= dict(tree.partial())
        return (
            self.bundled() == entries[: checkpoint.size]
            and naive_root([merkle.leaf_hash(one) for one in entries[: checkpoint.size]]) == checkpoint.root
            and all((self.published.folder / tile.path).read_bytes() == data for tile, data in tiles.items())
        )


def forged(log: Log, folder: Path, entries: list[bytes]) -> PublishedLog:
    """A log of other entries, signed with the real key: what an operator can make who rewrites everything."""
    tree, shelf, bundle = merkle.Tree(), Shelf(folder), list[bytes]()
    for entry in entries:
        shelf.put(tree.append(entry))
        bundle.append(entry)
        if len(bundle) == TILE_WIDTH:
            shelf.put([(Tile(BUNDLES, tree.size // TILE_WIDTH - 1), merkle.pack(bundle))])
            bundle = []
    shelf.put(tree.partial())
    if bundle:
        shelf.put([(Tile(BUNDLES, tree.size // TILE_WIDTH, len(bundle)), merkle.pack(bundle))])
    shelf.sync()
    checkpoint = Checkpoint(log.keys.origin, tree.size, tree.root())
    shelf.publish(log.keys.sign(checkpoint, keyring.signer(log.var_dir)).encode())
    return PublishedLog(folder)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, to the letter."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def go(log: Log, *, olds: tuple[tuple[int, bytes], ...] = ()) -> str:
    """Have Go's own note and tlog verify the folder as it lies there, and every inclusion proof that we make."""
    size = log.checkpoint().size
    claims = {
        "key": str(log.keys.keys[-1].key),
        "inclusion": [
            {"index": index, "proof": [base64.b64encode(one).decode() for one in log.published.inclusion(index, size)]}
            for index in range(0, size, max(1, size // 60))
        ],
        "consistency": [
            {
                "old": old,
                "root": base64.b64encode(root).decode(),
                "proof": [base64.b64encode(one).decode() for one in log.published.consistency(old, size)],
            }
            for old, root in olds
        ],
    }
    (log.published.folder / "claims.json").write_text(json.dumps(claims))
    command = [str(tools.go_program("logcheck")), "verify", str(log.published.folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def waiting_for(holds: Callable[[], bool], *, seconds: float = 20, why: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, why or "it did not come about"
        time.sleep(0.02)


def raw_tell(connection: psycopg.Connection[Any]) -> UUID:
    """Tell an event in a transaction that the test holds open."""
    id = ids.new()
    connection.execute("SELECT ledger.tell(%s, 'test.held', 'x', NULL, now(), %s)", [id, f'{{"id":"{id}"}}'.encode()])
    return id
