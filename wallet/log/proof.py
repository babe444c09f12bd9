"""Proof of the log: every event has its leaf, and leaves, tiles, bundles and checkpoints say one and the same.

What    The leaves are walked in their order, from the first one or from a checkpoint that was proven before. Each leaf's
        hash is held against the published tiles, the root against every checkpoint on the way, and every checkpoint against
        the log's keys. What a rewritten log does not show by itself, a checkpoint shows that somebody saved.
Words   A finding is a code, the thing it is about, and what differs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from wallet.log import keyring, merkle
from wallet.log.checkpoint import BadCheckpoint, Checkpoint, LogKeys
from wallet.log.cosigned import witnesses
from wallet.log.merkle import BUNDLES, HASH_BYTES, TILE_WIDTH, Tile, Tree
from wallet.log.note import BadNote, Note, Signature, VerifierKey
from wallet.log.published import NotPublished, PublishedLog

Finding = tuple[str, str, str]

SEALED_WITHIN_S: Final = 60
"""An event older than this has its leaf: the sealer comes ten times a second, and no unit lives so long."""

PUBLISHED: Final = "the published checkpoint"

CHUNK: Final = 40 * TILE_WIDTH

QUESTIONS: Final = {
    "event_unsealed": f"""
        SELECT e.id, e.type FROM ledger.event e
        WHERE e.at < now() - interval '{SEALED_WITHIN_S} s' AND NOT EXISTS (SELECT 1 FROM log.leaf l WHERE l.event = e.id)
    """,  # noqa: S608 - a constant of ours
    "leaf_twice": "SELECT l.event, string_agg(l.index::text, ', ') FROM log.leaf l GROUP BY l.event HAVING count(*) > 1",
    "cosignature_orphan": """
        SELECT s.witness, s.size FROM log.cosignature s
        WHERE NOT EXISTS (SELECT 1 FROM log.checkpoint c WHERE c.size = s.size)
    """,
}
"""What the database alone can answer: subject and detail of each finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the log shows to everybody. Read before the database is: what was published then, the database has."""

    published: PublishedLog
    note: bytes | None
    keys: dict[str, LogKeys]
    """By origin: this log's, and those of the logs that it succeeded."""
    witnesses: tuple[VerifierKey, ...]

    @classmethod
    def read(cls, var_dir: Path) -> "Shown":
        """Read what is published below VAR_DIR.

        Raises:
            checkpoint.BadLogKeys, note.BadKey: a list of keys is damaged.
        """
        published = PublishedLog(keyring.folder(var_dir))
        lists = [published.folder / keyring.KEYS, *published.folder.glob(f"{keyring.FORMER}/*/{keyring.KEYS}")]
        keys = [LogKeys.parse(path.read_text(encoding="utf-8")) for path in lists if path.exists()]
        return cls(
            published=published,
            note=published.checkpoint(),
            keys={one.origin: one for one in keys},
            witnesses=witnesses(var_dir),
        )

    def opened(self, raw: bytes) -> Checkpoint:
        """Open a checkpoint with the keys of the log that it is of.

        Raises:
            BadNote, BadCheckpoint.
        """
        origin = Note.parse(raw).text.partition("\n")[0]
        if origin not in self.keys:
            raise BadCheckpoint(f"of a log whose keys are not known here: {origin}")
        return self.keys[origin].open(raw).checkpoint


def has_begun(connection: sa.Connection, shown: Shown) -> bool:
    """Say whether there is a log at all: a city that has only just been made has none."""
    question = "SELECT EXISTS (SELECT 1 FROM log.leaf) OR EXISTS (SELECT 1 FROM log.checkpoint)"
    return shown.note is not None or bool(connection.exec_driver_sql(question).scalar_one())


def log(
    connection: sa.Connection,
    shown: Shown,
    *,
    saved: Sequence[bytes] = (),
    since: Checkpoint | None = None,
) -> Iterator[Finding]:
    """Yield every finding; the connection's transaction is the snapshot that is proved.

    Args:
        connection: of the audit role.
        shown: what was published, read before the snapshot was taken.
        saved: checkpoints that the prover kept from earlier, or has from others.
        since: what an earlier proof has proven.
    """
    for code, question in QUESTIONS.items():
        for subject, detail in connection.exec_driver_sql(question):
            yield code, str(subject), str(detail)
    count = int(connection.exec_driver_sql("SELECT coalesce(max(index) + 1, 0) FROM log.leaf").scalar_one())
    given, found = _given(shown, saved)
    yield from found
    if since is not None:
        given.append(_Promise(since.size, since.root, "proven_checkpoint_differs", "what was proven"))
    yield from _ends(connection, count, given)
    yield from _walk(connection, shown, count, given, since)
    yield from _cosignatures(connection, shown, since.size if since else 0)


# ---- checkpoints ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Promise:
    """A size and root that somebody showed us as the log's."""

    size: int
    root: bytes
    code: str
    source: str


def _given(shown: Shown, saved: Sequence[bytes]) -> tuple[list[_Promise], list[Finding]]:
    """Open what was handed to us: the published checkpoint and saved ones."""
    notes = [("saved_checkpoint_differs", "a saved checkpoint", raw) for raw in saved]
    if shown.note is not None:
        notes.append(("checkpoint_root_differs", PUBLISHED, shown.note))
    promises, found = [], list[Finding]()
    for code, source, raw in notes:
        try:
            opened = shown.opened(raw)
            promises.append(_Promise(opened.size, opened.root, code, source))
        except (BadNote, BadCheckpoint) as fault:
            found.append(("checkpoint_unsigned", source, str(fault)))
    return promises, found


def _ends(connection: sa.Connection, count: int, given: Sequence[_Promise]) -> Iterator[Finding]:
    """Look for checkpoints beyond the last leaf, and for recorded ones that nobody is shown."""
    row = connection.exec_driver_sql(
        f"SELECT max(size) AS size, max(size) FILTER (WHERE sealed_at < now() - interval '{SEALED_WITHIN_S} s') AS old"  # noqa: S608
        " FROM log.checkpoint"
    ).one()
    recorded = [(row.size, f"checkpoint {row.size}")] if row.size else []
    for size, source in [*((one.size, one.source) for one in given), *recorded]:
        if size > count:
            yield "log_truncated", str(size), f"{source} speaks of {size} leaves, the database has {count}"
    shows = _published_size(given)
    if row.old is not None and shows < row.old:
        yield "checkpoint_unpublished", str(row.old), f"the newest one that is published has {shows} leaves"


def _published_size(given: Sequence[_Promise]) -> int:
    return max((one.size for one in given if one.source == PUBLISHED), default=0)


def _recorded(connection: sa.Connection, shown: Shown, low: int, high: int) -> Iterator[_Promise | Finding]:
    """Open the checkpoints of more than `low` and at most `high` leaves that the database keeps."""
    question = "SELECT size, root, note FROM log.checkpoint WHERE size > %s AND size <= %s ORDER BY size"
    for row in connection.exec_driver_sql(question, (low, high)).all():
        try:
            opened = shown.opened(bytes(row.note))
        except (BadNote, BadCheckpoint) as fault:
            yield "checkpoint_unsigned", str(row.size), str(fault)
            continue
        if (opened.size, opened.root) != (row.size, bytes(row.root)):
            yield "checkpoint_differs", str(row.size), f"its note is of {opened.size} leaves or has another root"
        yield _Promise(row.size, opened.root, "checkpoint_root_differs", f"checkpoint {row.size}")


def _cosignatures(connection: sa.Connection, shown: Shown, since: int) -> Iterator[Finding]:
    """Verify what the witnesses whose keys are known signed."""
    known = {one.name: one for one in shown.witnesses}
    for row in connection.exec_driver_sql(
        "SELECT s.size, s.witness, s.line, c.note FROM log.cosignature s JOIN log.checkpoint c ON c.size = s.size"
        " WHERE s.size >= %s",
        (since,),
        execution_options={"yield_per": 1000},
    ):
        if key := known.get(row.witness):
            try:
                key.signed_at(Note.parse(bytes(row.note)).text, Signature.parse(row.line).signature)
            except BadNote as fault:
                yield "cosignature_invalid", str(row.size), str(fault)


# ---- leaves ---------------------------------------------------------------------------------------------------------


class _Peaks:
    """The whole subtrees that a growing tree is made of: its root at any size, for a few hashes."""

    def __init__(self, size: int = 0, nodes: merkle.Nodes | None = None) -> None:
        self.size = size
        self._peaks: list[bytes] = []
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                assert nodes is not None, "a tree that is gone on with has nodes"
                self._peaks.append(nodes.node(level, (size >> level + 1) * 2))

    def append(self, leaf: bytes) -> None:
        carried, count = leaf, self.size
        while count & 1:
            carried, count = merkle.node_hash(self._peaks.pop(), carried), count >> 1
        self._peaks.append(carried)
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return merkle.EMPTY_ROOT
        whole = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            whole = merkle.node_hash(peak, whole)
        return whole


def _walk(
    connection: sa.Connection, shown: Shown, count: int, given: Sequence[_Promise], since: Checkpoint | None
) -> Iterator[Finding]:
    """Walk the leaves once, and hold each tile, bundle and checkpoint against them as it comes."""
    begun = since.size - since.size % TILE_WIDTH if since else 0
    try:
        walk = _Walk(shown.published, begun, _published_size(given))
    except (NotPublished, merkle.BadTile) as fault:
        yield "tile_missing", str(begun), str(fault)
        return
    for low in range(begun, count, CHUNK):
        high = min(low + CHUNK, count)
        due: dict[int, list[_Promise]] = {}
        for one in (*given, *_recorded(connection, shown, low, high)):
            if isinstance(one, _Promise):
                due.setdefault(one.size, []).append(one)
            else:
                yield one
        for index, event, entry in _leaves(connection, low, high):
            if index != walk.peaks.size:
                yield "leaf_gap", str(walk.peaks.size), f"the next leaf is {index}"
                return
            if entry is None:
                yield "leaf_orphan", str(index), str(event)
            yield from walk.step(entry or b"")
            for promise in due.get(walk.peaks.size, ()):
                if promise.root != walk.peaks.root():
                    yield promise.code, str(promise.size), f"the leaves have another root than {promise.source} says"


class _Walk:
    """The tree as it grows again, leaf by leaf, held against the tiles and bundles that are published."""

    def __init__(self, published: PublishedLog, begun: int, last: int) -> None:
        self.peaks = _Peaks(begun, published.nodes(begun))
        self._tree = Tree.resume(begun, published.tile)
        self._published = published
        self._last = last
        self._entries: list[bytes] = []

    def step(self, entry: bytes) -> Iterator[Finding]:
        leaf = merkle.leaf_hash(entry)
        self.peaks.append(leaf)
        tiles = self._tree.append_leaf(leaf)
        self._entries.append(entry)
        size, width = self.peaks.size, len(self._entries)
        if size == self._last:
            tiles += self._tree.partial()
        if size <= self._last:
            for tile, data in tiles:
                yield from _tile(self._published, tile, data)
            if width == TILE_WIDTH or size == self._last:
                yield from _bundle(self._published, Tile(BUNDLES, (size - 1) // TILE_WIDTH, width), self._entries)
        if width == TILE_WIDTH:
            self._entries = []


def _tile(published: PublishedLog, tile: Tile, data: bytes) -> Iterator[Finding]:
    """Hold a tile of the leaves against the published one, and name each leaf that differs."""
    try:
        shown = published.tile(tile)
    except NotPublished:
        yield "tile_missing", tile.path, "it is not published"
        return
    if shown == data:
        return
    if tile.level or len(shown) != len(data):
        yield "tile_differs", tile.path, "it is not the leaves' own"
        return
    for place in range(tile.width):
        hashes = slice(place * HASH_BYTES, (place + 1) * HASH_BYTES)
        if shown[hashes] != data[hashes]:
            yield "leaf_differs", str(tile.index * TILE_WIDTH + place), "the event is not the one that was published"


def _bundle(published: PublishedLog, bundle: Tile, entries: Sequence[bytes]) -> Iterator[Finding]:
    """Hold a bundle that auditors are given against the events."""
    try:
        if published.tile(bundle) != merkle.pack(entries):
            yield "bundle_differs", bundle.path, "it does not hold the events' bytes"
    except (NotPublished, merkle.BadTile) as fault:
        yield "bundle_missing", bundle.path, str(fault)


def _leaves(connection: sa.Connection, low: int, high: int) -> Iterator[tuple[int, Any, bytes | None]]:
    """Read leaves in their order, some thousands at a time: neither side need fit into memory."""
    for start in range(low, high, CHUNK):
        rows = connection.exec_driver_sql(
            "SELECT l.index AS place, l.event, e.bytes FROM log.leaf l LEFT JOIN ledger.event e ON e.id = l.event"
            " WHERE l.index >= %s AND l.index < %s ORDER BY l.index",
            (start, min(start + CHUNK, high)),
        ).all()
        for row in rows:
            yield row.place, row.event, None if row.bytes is None else bytes(row.bytes)
