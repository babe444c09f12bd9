"""The Merkle tree: its hashes, its proofs, and the tiles it is published in.

Words   An entry is the bytes of one event; its leaf is the entry's hash. A node (level, index) is the hash over the
        2**level leaves that begin at leaf index * 2**level: only whole subtrees are nodes. A tile holds up to 256
        neighbouring nodes of one level out of eight; a bundle holds the entries under a tile of level 0. A tile of 256
        is full and never changes again; the last one of a level may be partial.
        A hash is 32 bytes, a size counts leaves.
Source  RFC 6962 section 2.1 (hashes, proofs), RFC 9162 section 2.1 (how to verify them), c2sp.org/tlog-tiles.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

HASH_BYTES: Final = 32
ENTRY_BYTES_MAX: Final = 65_535
"""A bundle gives an entry's length in two bytes."""

SIZE_MAX: Final = 2**63 - 1
"""Every reader of a log, Go's included, counts in signed 64 bits."""

TILE_LEVELS: Final = 8
TILE_WIDTH: Final = 2**TILE_LEVELS
TILE_LEVEL_MAX: Final = 63
BUNDLES: Final = -1
"""The level below level 0: the entries themselves."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

_TILES_REMEMBERED = 64
"""A proof reads a few tiles of each level; this many are half a megabyte."""

_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


class EntryTooLong(ValueError):
    """An entry is longer than a bundle can say."""


class BadProof(ValueError):
    """A proof does not prove what it is said to."""


class BadTile(ValueError):
    """A tile's path, a tile or a bundle is not what it should be."""


# ---- hashes ---------------------------------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry. The first byte keeps leaves and nodes apart, so that no node's hash is also some entry's.

    Raises:
        EntryTooLong.
    """
    _fits(entry)
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two neighbouring subtrees into the one above them."""
    return hashlib.sha256(b"\1" + left + right).digest()


def _fits(entry: bytes) -> None:
    if len(entry) > ENTRY_BYTES_MAX:
        raise EntryTooLong(f"an entry has at most {ENTRY_BYTES_MAX} bytes, not {len(entry)}")


class Nodes(Protocol):
    """Whatever knows the nodes of a tree: tiles, a database, a list in a test."""

    def node(self, level: int, index: int) -> bytes:
        """Return the hash over leaves index * 2**level to (index + 1) * 2**level, all of which exist."""
        ...


def root(nodes: Nodes, size: int) -> bytes:
    """Return the root of the tree of the first `size` leaves."""
    return _range_hash(nodes, 0, size) if size else EMPTY_ROOT


def _split(size: int) -> int:
    """Return the largest power of two below `size`: how many leaves RFC 6962 puts to the left."""
    return 1 << (size - 1).bit_length() - 1


def _range_hash(nodes: Nodes, low: int, high: int) -> bytes:
    """Hash leaves low to high, a range that RFC 6962 splits a tree into: its left parts are whole subtrees."""
    parts = []
    while low < high:
        level = (high - low).bit_length() - 1
        parts.append(nodes.node(level, low >> level))
        low += 1 << level
    whole = parts.pop()
    while parts:
        whole = node_hash(parts.pop(), whole)
    return whole


# ---- proofs ---------------------------------------------------------------------------------------------------------


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """Prove that leaf `index` is in the tree of `size`: the hash beside each step from the leaf up to the root."""
    if not 0 <= index < size:
        raise BadProof(f"there is no leaf {index} in a tree of {size}")
    proof, low, high = [], 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(_range_hash(nodes, middle, high))
            high = middle
        else:
            proof.append(_range_hash(nodes, low, middle))
            low = middle
    return proof[::-1]


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """Prove that the tree of size `new` begins with the one of size `old`: nothing to say if `old` is 0 or the same."""
    if not 0 <= old <= new:
        raise BadProof(f"a tree of {new} does not begin with one of {old}")
    proof, low, high = [], 0, new
    while 0 < old < high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_range_hash(nodes, middle, high))
            high = middle
        else:
            proof.append(_range_hash(nodes, low, middle))
            low = middle
    if low:  # else the old tree is itself a node of the new one, and the verifier has its root
        proof.append(_range_hash(nodes, low, high))
    return proof[::-1]


def check_inclusion(entry: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that `entry` is leaf `index` of the tree of `size` with this root.

    Raises:
        BadProof, EntryTooLong.
    """
    if not 0 <= index < size <= SIZE_MAX:
        raise BadProof(f"there is no leaf {index} in a tree of {size}")
    _only_hashes(*proof, root)
    at, last, computed = index, size - 1, leaf_hash(entry)
    for beside in proof:
        if not last:
            raise BadProof("the inclusion proof is too long")
        if at & 1 or at == last:
            computed = node_hash(beside, computed)
            at, last = _skip_lone(at, last)
        else:
            computed = node_hash(computed, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise BadProof("the inclusion proof is too short")
    if computed != root:
        raise BadProof("the inclusion proof leads to another root")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Verify that the tree of size `new` begins with the one of size `old`.

    Raises:
        BadProof: a fork, a shorter tree, or a proof of something else.
    """
    if not 0 <= old <= new <= SIZE_MAX:
        raise BadProof(f"a tree of {new} does not begin with one of {old}")
    _only_hashes(*proof, old_root, new_root)
    if (not old and old_root != EMPTY_ROOT) or (old == new and old_root != new_root):
        raise BadProof("the trees have one size and two roots")
    if not old or old == new:
        if proof:
            raise BadProof("the consistency proof should be empty")
        return
    _check_growth(old, old_root, new, new_root, proof)


def _check_growth(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.4.2, for 0 < old < new: rebuild both roots from the same hashes."""
    hashes = iter(proof if old & (old - 1) else [old_root, *proof])  # a whole subtree is its own first hash
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = next(hashes, b"")
    for beside in hashes:
        if not last:
            raise BadProof("the consistency proof is too long")
        if at & 1 or at == last:
            before, after = node_hash(beside, before), node_hash(beside, after)
            at, last = _skip_lone(at, last)
        else:
            after = node_hash(after, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise BadProof("the consistency proof is too short")
    if before != old_root:
        raise BadProof("the consistency proof leads to another old root")
    if after != new_root:
        raise BadProof("the consistency proof leads to another new root")


def _skip_lone(at: int, last: int) -> tuple[int, int]:
    """Rise over the levels at which the rightmost subtree has no neighbour."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _only_hashes(*hashes: bytes) -> None:
    """Of other lengths, two hashes side by side could be read in more than one way."""
    if any(len(one) != HASH_BYTES for one in hashes):
        raise BadProof(f"a hash has {HASH_BYTES} bytes")


# ---- tiles ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """Which tile: its level (BUNDLES, or 0 upwards), its index within the level, and how many it holds."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's address, such as `tile/0/x001/x234/067.p/8` or `tile/entries/000`."""
        level = "entries" if self.level == BUNDLES else str(self.level)
        rest, last = divmod(self.index, 1000)
        path = f"{last:03}"
        while rest:
            rest, last = divmod(rest, 1000)
            path = f"x{last:03}/{path}"
        return f"tile/{level}/{path}" + (f".p/{self.width}" if self.width < TILE_WIDTH else "")

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """Read a path; every tile has exactly one.

        Raises:
            BadTile.
        """
        if not (found := _PATH.fullmatch(path)):
            raise BadTile("no tile has such a path")
        level, index, width = found.groups()
        tile = cls(
            BUNDLES if level == "entries" else int(level),
            int(re.sub("[x/]", "", index)),
            int(width) if width else TILE_WIDTH,
        )
        if tile.path != path or not tile.width or tile.level > TILE_LEVEL_MAX:
            raise BadTile("no tile has such a path")
        return tile


def tiles(old: int, new: int) -> Iterator[Tile]:
    """Yield the tiles and bundles that a tree of size `new` has and one of size `old` had not, lowest level first.

    Of the partial tiles only those at `new` itself: a partial tile is published for a checkpoint, and replaced.
    """
    level = BUNDLES
    while had_now := _filled(level, old, new):
        had, now = had_now
        full = now // TILE_WIDTH
        yield from (Tile(level, index) for index in range(had // TILE_WIDTH, full))
        if now > had and now % TILE_WIDTH:
            yield Tile(level, full, now % TILE_WIDTH)
        level += 1


def _filled(level: int, *sizes: int) -> tuple[int, ...]:
    """Return how many hashes (or entries) a level holds at each size; nothing when it holds none at the last."""
    counts = tuple(size >> TILE_LEVELS * max(level, 0) for size in sizes)
    return counts if counts[-1] else ()


class TiledNodes:
    """The nodes of a tree of `size`, read from its tiles. Nobody vouches for them: a proof made of them is verified.

    Args:
        read: returns a tile's hashes in one piece; of a wider tile than was asked for, the first are taken, because a
            partial tile may be gone once the full one is there.
    """

    def __init__(self, size: int, read: Callable[[Tile], bytes]) -> None:
        self._size = size
        self._read = lru_cache(maxsize=_TILES_REMEMBERED)(read)

    def node(self, level: int, index: int) -> bytes:
        """Return a node, from the tile that holds it or the leaves of the subtree under it.

        Raises:
            BadTile: the tile is too short, or the node outside the tree.
        """
        tile_level, height = divmod(level, TILE_LEVELS)
        first = index << height
        tile_index, start = divmod(first, TILE_WIDTH)
        in_level = self._size >> TILE_LEVELS * tile_level
        width = min(TILE_WIDTH, in_level - tile_index * TILE_WIDTH)
        end = start + (1 << height)
        if end > width:
            raise BadTile(f"a tree of {self._size} has no node {index} at level {level}")
        data = self._read(Tile(tile_level, tile_index, width))
        if len(data) < width * HASH_BYTES or len(data) % HASH_BYTES:
            raise BadTile(f"{Tile(tile_level, tile_index, width).path} does not hold {width} hashes")
        return _subtree(data[start * HASH_BYTES : end * HASH_BYTES])


def _subtree(data: bytes | bytearray) -> bytes:
    """Hash a power of two of neighbouring nodes into the one above them all."""
    row = [bytes(data[at : at + HASH_BYTES]) for at in range(0, len(data), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


# ---- bundles --------------------------------------------------------------------------------------------------------


def pack(entries: Iterable[bytes]) -> bytes:
    """Write a bundle: each entry after its length.

    Raises:
        EntryTooLong.
    """
    parts = []
    for entry in entries:
        _fits(entry)
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def unpack(bundle: bytes, width: int) -> list[bytes]:
    """Read a bundle of exactly `width` entries.

    Raises:
        BadTile: cut off, or more or fewer entries than that.
    """
    entries, at = [], 0
    while at < len(bundle):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        entries.append(bundle[start:at])
    if at != len(bundle) or len(entries) != width:
        raise BadTile(f"the bundle does not hold {width} whole entries")
    return entries


# ---- growing --------------------------------------------------------------------------------------------------------


class Tree:
    """A tree that grows at its right edge, of which it remembers the unfinished tile of each level and no more."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytearray] = []

    @classmethod
    def resume(cls, size: int, read: Callable[[Tile], bytes]) -> "Tree":
        """Go on from the tiles of a tree of `size`. `root()` covers all that was read: compare it with the checkpoint.

        Raises:
            BadTile: a tile is too short.
        """
        tree = cls()
        tree.size, level = size, 0
        while filled := _filled(level, size):
            index, width = divmod(filled[0], TILE_WIDTH)
            data = read(Tile(level, index, width)) if width else b""
            if len(data) < width * HASH_BYTES:
                raise BadTile(f"{Tile(level, index, width).path} does not hold {width} hashes")
            tree._edge.append(bytearray(data[: width * HASH_BYTES]))
            level += 1
        return tree

    def append(self, entry: bytes) -> list[tuple[Tile, bytes]]:
        """Add an entry. Returns the hash tiles that it filled, lowest first: mostly none, for every 256th entry one.

        Raises:
            EntryTooLong: nothing was added.
        """
        return self.append_leaf(leaf_hash(entry))

    def append_leaf(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Add an entry of which the leaf is known already."""
        self.size += 1
        finished: list[tuple[Tile, bytes]] = []
        carried, level, count = leaf, 0, self.size
        while True:
            if level == len(self._edge):
                self._edge.append(bytearray())
            edge = self._edge[level]
            edge += carried
            if len(edge) < TILE_WIDTH * HASH_BYTES:
                return finished
            finished.append((Tile(level, count // TILE_WIDTH - 1), bytes(edge)))
            carried, level, count = _subtree(edge), level + 1, count // TILE_WIDTH
            edge.clear()

    def partial(self) -> list[tuple[Tile, bytes]]:
        """Return the partial hash tiles as they stand, to be published with a checkpoint of this size."""
        return [
            (Tile(level, self.size >> TILE_LEVELS * (level + 1), len(edge) // HASH_BYTES), bytes(edge))
            for level, edge in enumerate(self._edge)
            if edge
        ]

    def root(self) -> bytes:
        """Return the root as the tree stands. Every whole subtree that the root is made of lies on the edge."""
        return root(TiledNodes(self.size, lambda tile: bytes(self._edge[tile.level])), self.size)
