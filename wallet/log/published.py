"""What the log has published: its checkpoint, its tiles and bundles as they lie in a folder, and the proofs made of them.

What    Reading, by whoever serves, proves or makes receipts. The sealer alone writes (`shelf`).
Words   A partial tile is replaced by a wider one of the same place: what was asked for is then the beginning of that one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from wallet.log import merkle, tables
from wallet.log.merkle import BUNDLES, HASH_BYTES, TILE_WIDTH, Tile, TiledNodes
from wallet.log.note import Note, Signature

FOLDER: Final = "log"
"""Below VAR_DIR."""

CHECKPOINT: Final = "checkpoint"


class NotPublished(Exception):
    """The folder has no such tile or bundle."""


class PublishedLog:
    """The log as it lies in a folder. Nothing is remembered: each call sees what is published by now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint(self) -> bytes | None:
        """Return the newest signed note, as it was published; None: nothing was published yet."""
        try:
            return (self.folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None

    def tile(self, tile: Tile) -> bytes:
        """Return a tile's hashes in one piece, or a bundle.

        Raises:
            NotPublished: neither it nor a wider one of its place is there.
            merkle.BadTile: a bundle is damaged.
        """
        try:
            return (self.folder / tile.path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return _beginning(tile, self._wider(tile))

    def nodes(self, size: int) -> TiledNodes:
        """Return the nodes of the tree of `size`, read from its tiles as they are asked for."""
        return TiledNodes(size, self.tile)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Prove that leaf `index` is in the tree of `size`, which was published.

        Raises:
            merkle.BadProof: there is no such leaf in it.
            NotPublished, merkle.BadTile.
        """
        return merkle.inclusion_proof(self.nodes(size), index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that the tree of size `new`, which was published, begins with the one of size `old`.

        Raises:
            merkle.BadProof: it is smaller.
            NotPublished, merkle.BadTile.
        """
        return merkle.consistency_proof(self.nodes(new), old, new)

    def _wider(self, tile: Tile) -> tuple[int, bytes]:
        """Return the full tile, or else the widest partial one that holds what was asked for, and its width."""
        full = Tile(tile.level, tile.index)
        partials = self.folder / f"{full.path}.p"
        names = [one.name for one in partials.iterdir()] if partials.is_dir() else []
        widths = [TILE_WIDTH, *sorted((int(name) for name in names if name.isdecimal()), reverse=True)]
        for width in widths:
            if width < tile.width:
                break
            try:
                return width, (self.folder / Tile(tile.level, tile.index, width).path).read_bytes()
            except FileNotFoundError:
                continue  # replaced by a wider one since we looked, or not full yet
        raise NotPublished(tile.path)


def _beginning(tile: Tile, wider: tuple[int, bytes]) -> bytes:
    """Cut a wider tile of the same place to what was asked for."""
    width, data = wider
    if tile.level == BUNDLES:
        return merkle.pack(merkle.unpack(data, width)[: tile.width])
    return data[: tile.width * HASH_BYTES]


def leaves(connection: sa.Connection, events: Sequence[UUID]) -> dict[UUID, int]:
    """Return the places of those events that have one by now."""
    event, index = tables.leaf.c.event, tables.leaf.c["index"]
    found = connection.execute(sa.select(event, index).where(event.in_(list(events))))
    return {row.event: int(row[1]) for row in found}


def cosigned(connection: sa.Connection, *, above: int = 0) -> bytes | None:
    """Return the newest checkpoint of more than `above` leaves that a witness has cosigned, with every cosignature of it;
    the newest one at all where none has been cosigned; None where none is large enough.
    """
    checkpoint, lines = tables.checkpoint.c, tables.cosignature.c
    is_cosigned = sa.exists().where(lines.size == checkpoint.size)
    newest = sa.select(checkpoint.size, checkpoint.note).where(checkpoint.size > above).order_by(checkpoint.size.desc())
    row = (
        connection.execute(newest.where(is_cosigned).limit(1)).one_or_none()
        or connection.execute(newest.limit(1)).one_or_none()
    )
    if row is None:
        return None
    said = connection.execute(sa.select(lines.line).where(lines.size == row.size).order_by(lines.at, lines.witness))
    return Note.parse(bytes(row.note)).add(*(Signature.parse(line) for line in said.scalars())).encode()
