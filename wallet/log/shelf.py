"""The shelf: how the log's files are written so that a crash, at any step, leaves what was published whole.

How     Every file is written aside, flushed and renamed. Tiles and bundles are on the disk, names and all, before the
        checkpoint that speaks of them takes its predecessor's place.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wallet.log.merkle import BUNDLES, TILE_LEVEL_MAX, TILE_LEVELS, TILE_WIDTH, Tile
from wallet.log.published import CHECKPOINT


class Taken(Exception):
    """Another process writes this log."""


class Shelf:
    """A folder that one process writes: tiles, bundles and the checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._dirty: set[Path] = set()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who writes while the block runs; a process that is killed lets go.

        The lock on the folder keeps out also a sealer that was stopped for so long that the database has forgotten it.

        Raises:
            Taken: somebody else is at it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "sealer.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Taken(f"another process writes {self.folder}") from None
            yield

    def put(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Write tiles and bundles; `sync` makes their names last."""
        for tile, data in tiles:
            self._write(self.folder / tile.path, data)

    def sync(self) -> None:
        """Have every name that was written since the last time survive a power cut."""
        for folder in sorted(self._dirty, key=lambda one: len(one.parts), reverse=True):
            _fsync(folder)
        self._dirty.clear()

    def publish(self, note: bytes, *, before_rename: Callable[[], None] = lambda: None) -> None:
        """Put a checkpoint in its predecessor's place. Whatever it speaks of was written and synced before."""
        assert not self._dirty, "tiles are synced before the checkpoint that speaks of them"
        self._write(self.folder / CHECKPOINT, note, before_rename=before_rename)
        self.sync()

    def tidy(self, old: Iterable[Tile], new: Iterable[Tile]) -> None:
        """Remove the partial tiles of the checkpoint before, which wider ones have replaced by now."""
        for tile in set(old) - set(new):
            path = self.folder / tile.path
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the wider one lies there as well
                path.parent.rmdir()

    def _write(self, path: Path, data: bytes, *, before_rename: Callable[[], None] = lambda: None) -> None:
        self._make(path.parent)
        aside = path.with_name(f".{path.name}.new")
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        before_rename()
        aside.replace(path)
        self._dirty.add(path.parent)

    def _make(self, folder: Path) -> None:
        """Make a folder and remember which folders have got a new name in them."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        self._dirty.add(folder.parent)


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def partial_at(size: int) -> list[Tile]:
    """Return the partial tiles and the partial bundle of a tree of `size`: those that a larger tree replaces."""
    found = []
    for level in range(BUNDLES, TILE_LEVEL_MAX + 1):
        full, width = divmod(size >> TILE_LEVELS * max(level, 0), TILE_WIDTH)
        found += [Tile(level, full, width)] if width else []
    return found
