"""The Merkle tree: RFC 6962's hashes and proofs, and the tiles of c2sp.org/tlog-tiles. Attack rows 125 and 126."""

import hashlib
import tracemalloc
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet.log import merkle
from wallet.log.merkle import BUNDLES, BadProof, BadTile, EntryTooLong, Tile, TiledNodes, Tree

SIZE_MAX = 300
"""Beyond one full tile, with room for every shape of a right edge."""


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1 to the letter: the definition that the rest is held against."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


class Listed:
    """Nodes of a list of leaves, each computed once."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._rows = [list(leaves)]
        while len(below := self._rows[-1]) > 1:
            self._rows.append([merkle.node_hash(*pair) for pair in zip(below[::2], below[1::2], strict=False)])

    def node(self, level: int, index: int) -> bytes:
        return self._rows[level][index]


ENTRIES = [b"entry %d" % number for number in range(SIZE_MAX)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
NODES = Listed(LEAVES)
ROOTS = [merkle.root(NODES, size) for size in range(SIZE_MAX + 1)]


# -- known answers: the vectors of certificate-transparency's merkletree tests ----------------------------------------

CT_ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CT_NODES = Listed([merkle.leaf_hash(entry) for entry in CT_ENTRIES])


def test_roots_are_those_of_certificate_transparency() -> None:
    assert [merkle.root(CT_NODES, size).hex() for size in range(9)] == CT_ROOTS


@pytest.mark.parametrize(("index", "size"), CT_INCLUSION)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int) -> None:
    proof = merkle.inclusion_proof(CT_NODES, index, size)
    assert [one.hex() for one in proof] == CT_INCLUSION[index, size]
    merkle.check_inclusion(CT_ENTRIES[index], index, size, proof, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), CT_CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(old: int, new: int) -> None:
    proof = merkle.consistency_proof(CT_NODES, old, new)
    assert [one.hex() for one in proof] == CT_CONSISTENCY[old, new]
    merkle.check_consistency(old, bytes.fromhex(CT_ROOTS[old]), new, bytes.fromhex(CT_ROOTS[new]), proof)


# -- every proof ------------------------------------------------------------------------------------------------------


def test_a_root_is_what_the_definition_says_at_every_size() -> None:
    assert [naive_root(LEAVES[:size]) for size in range(SIZE_MAX + 1)] == ROOTS


def test_every_leaf_of_every_tree_is_proved() -> None:
    for size in range(1, SIZE_MAX + 1):
        for index in range(size):
            proof = merkle.inclusion_proof(NODES, index, size)
            merkle.check_inclusion(ENTRIES[index], index, size, proof, ROOTS[size])


def test_every_tree_is_proved_to_begin_with_every_smaller_one() -> None:
    for new in range(SIZE_MAX + 1):
        for old in range(new + 1):
            merkle.check_consistency(old, ROOTS[old], new, ROOTS[new], merkle.consistency_proof(NODES, old, new))


def tampered(proof: list[bytes], data: st.DataObject) -> list[bytes]:
    """Change a proof in one way: a bit, a hash more, fewer, twice or in another place."""
    spare = st.sampled_from([*LEAVES[:20], *ROOTS[:20]])
    ways: list[Callable[[], list[bytes]]] = [lambda: [*proof, data.draw(spare)], lambda: [data.draw(spare), *proof]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(proof[at], "big") ^ 1 << bit).to_bytes(32, "big")
        ways += [
            lambda: [*proof[:at], flipped, *proof[at + 1 :]],
            lambda: [*proof[:at], *proof[at + 1 :]],
            lambda: [*proof[: at + 1], *proof[at:]],
            lambda: [*proof[:at], proof[at][:-1], *proof[at + 1 :]],
            lambda: [*proof[at + 1 :], *proof[: at + 1]],
        ]
    return data.draw(st.sampled_from(ways))()


@given(st.data(), st.integers(1, SIZE_MAX))
def test_an_altered_inclusion_proof_proves_nothing(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(NODES, index, size)
    altered = tampered(proof, data)
    if altered != proof:
        with pytest.raises(BadProof):
            merkle.check_inclusion(ENTRIES[index], index, size, altered, ROOTS[size])


@given(st.data(), st.integers(1, SIZE_MAX))
def test_an_inclusion_proof_is_of_one_entry_in_one_place_of_one_tree(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(NODES, index, size)
    other = data.draw(st.integers(0, SIZE_MAX - 1).filter(lambda number: number != index))
    for entry, place, tree in ((other, index, size), (index, other, size), (index, index, other + 1)):
        if (entry, place, tree) != (index, index, size):
            with pytest.raises(BadProof):
                merkle.check_inclusion(ENTRIES[entry], place, tree, proof, ROOTS[tree])


def test_a_proof_has_the_length_that_the_size_asks_for() -> None:
    """Else the proof and root of a smaller tree would pass for a larger one's, and the other way round."""
    for index, size, true_size in ((0, 4, 2), (0, 2, 4), (3, 4, 8), (6, 7, 8)):
        proof = merkle.inclusion_proof(NODES, index % true_size, true_size)
        with pytest.raises(BadProof):
            merkle.check_inclusion(ENTRIES[index], index, size, proof, ROOTS[true_size])
    for old, new, true_new in ((1, 4, 2), (1, 2, 4), (2, 8, 4), (2, 4, 8), (3, 4, 8)):
        proof = merkle.consistency_proof(NODES, old, true_new)
        with pytest.raises(BadProof):
            merkle.check_consistency(old, ROOTS[old], new, ROOTS[true_new], proof)


def test_a_proof_of_a_larger_tree_s_right_edge_is_none_of_a_smaller_one() -> None:
    """The right edge of 4 leaves has the shape of 2, and of 8 that of 4, with one more hash on its left."""
    with pytest.raises(BadProof, match="too long"):
        merkle.check_inclusion(ENTRIES[3], 1, 2, merkle.inclusion_proof(NODES, 3, 4), ROOTS[4])
    with pytest.raises(BadProof, match="too long"):
        merkle.check_consistency(3, ROOTS[7], 4, ROOTS[8], merkle.consistency_proof(NODES, 7, 8))


@given(st.data(), st.integers(1, SIZE_MAX))
def test_an_altered_consistency_proof_proves_nothing(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(0, new))
    proof = merkle.consistency_proof(NODES, old, new)
    altered = tampered(proof, data)
    if altered != proof:
        with pytest.raises(BadProof):
            merkle.check_consistency(old, ROOTS[old], new, ROOTS[new], altered)


@given(st.data(), st.integers(2, SIZE_MAX))
def test_a_rewritten_leaf_is_a_fork(data: st.DataObject, new: int) -> None:
    """Whatever is rewritten below the old size, no proof of the new tree leads to the old root."""
    old = data.draw(st.integers(1, new))
    at = data.draw(st.integers(0, old - 1))
    forged = Listed([*LEAVES[:at], merkle.leaf_hash(b"forged"), *LEAVES[at + 1 : new]])
    with pytest.raises(BadProof):
        merkle.check_consistency(
            old, ROOTS[old], new, merkle.root(forged, new), merkle.consistency_proof(forged, old, new)
        )


def test_a_shorter_tree_is_no_successor() -> None:
    with pytest.raises(BadProof):
        merkle.check_consistency(8, ROOTS[8], 7, ROOTS[7], [])
    with pytest.raises(BadProof):
        merkle.consistency_proof(NODES, 8, 7)


def test_two_roots_of_one_size_are_a_fork() -> None:
    with pytest.raises(BadProof):
        merkle.check_consistency(7, ROOTS[7], 7, ROOTS[6], [])
    with pytest.raises(BadProof):
        merkle.check_consistency(0, ROOTS[7], 0, ROOTS[7], [])
    with pytest.raises(BadProof):
        merkle.check_consistency(0, ROOTS[1], 7, ROOTS[7], [])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 2**63)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(BadProof):
        merkle.check_inclusion(b"", index, size, [], ROOTS[0])
    if size < 4:
        with pytest.raises(BadProof):
            merkle.inclusion_proof(NODES, index, size)


def test_hashes_of_other_lengths_cannot_be_slid_along_each_other() -> None:
    """One byte moved from one hash of a pair to the other would leave what is hashed as it was."""
    root = merkle.node_hash(LEAVES[0], LEAVES[1])
    merkle.check_consistency(1, LEAVES[0], 2, root, [LEAVES[1]])
    moved = [LEAVES[0] + LEAVES[1][:1], LEAVES[1][1:]]
    assert merkle.node_hash(*moved) == root
    with pytest.raises(BadProof):
        merkle.check_consistency(1, moved[0], 2, root, [moved[1]])


# -- attack rows 125 and 126 ------------------------------------------------------------------------------------------


def test_a_node_presented_as_an_entry_is_refused() -> None:
    """Row 125: without the byte before a leaf, the two hashes under a node would be an entry with the node's hash."""
    posing = LEAVES[0] + LEAVES[1]
    assert hashlib.sha256(b"\1" + posing).digest() == NODES.node(1, 0)
    for index, size in ((0, 1), (0, 2), (0, 4), (1, 4)):
        whole = merkle.inclusion_proof(NODES, 0, 4)
        for proof in (whole, whole[1:], []):
            with pytest.raises(BadProof):
                merkle.check_inclusion(posing, index, size, proof, ROOTS[4])
    assert merkle.leaf_hash(b"\1" + posing) != NODES.node(1, 0)


def test_an_entry_is_at_most_65535_bytes() -> None:
    """Row 126: more would not fit the length in a bundle, and the tree must not take what cannot be published."""
    longest, longer = bytes(65_535), bytes(65_536)
    assert merkle.unpack(merkle.pack([longest, b""]), 2) == [longest, b""]
    with pytest.raises(EntryTooLong):
        merkle.pack([longer])
    with pytest.raises(EntryTooLong):
        merkle.check_inclusion(longer, 0, 1, [], ROOTS[1])
    tree = Tree()
    tree.append(longest)
    root = tree.root()
    with pytest.raises(EntryTooLong):
        tree.append(longer)
    assert (tree.size, tree.root()) == (1, root)


# -- tiles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(1, 999, 17), "tile/1/999.p/17"),
        (Tile(63, 1_000, 255), "tile/63/x001/000.p/255"),
        (Tile(BUNDLES, 273, 112), "tile/entries/273.p/112"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(st.integers(BUNDLES, 63), st.integers(0, 2**63), st.integers(1, 256))
def test_every_path_reads_back(level: int, index: int, width: int) -> None:
    assert Tile.parse(Tile(level, index, width).path) == Tile(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/0", "tile/0/1000", "tile/0/x000/001", "tile/0/001/002",
        "tile/0/x001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p",
        "tile/0/../000", "/tile/0/000", "tile/0/000\n", "tile/0/٠٠٠", "tile/data/000", "tile/8/0/000", "", "checkpoint",
        "tile/0/" + "x001/" * 7 + "000",
    ],
)  # fmt: skip
def test_a_tile_has_no_other_path(path: str) -> None:
    with pytest.raises(BadTile):
        Tile.parse(path)


def test_the_tiles_of_70000_leaves_are_those_of_the_specification() -> None:
    listed = list(merkle.tiles(0, 70_000))
    count = {(level, width): 0 for level in range(-1, 3) for width in (256, 112, 17, 1)}
    for tile in listed:
        count[tile.level, tile.width] += 1
    assert {key: number for key, number in count.items() if number} == {
        (BUNDLES, 256): 273, (BUNDLES, 112): 1, (0, 256): 273, (0, 112): 1, (1, 256): 1, (1, 17): 1, (2, 1): 1,
    }  # fmt: skip
    assert set(merkle.tiles(0, 256)) == {Tile(BUNDLES, 0), Tile(0, 0), Tile(1, 0, 1)}
    assert not list(merkle.tiles(0, 0))


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=6).map(sorted))
def test_tiles_written_checkpoint_by_checkpoint_are_all_there_are(sizes: list[int]) -> None:
    written: set[Tile] = set()
    for old, new in zip([0, *sizes], sizes, strict=False):
        step = list(merkle.tiles(old, new))
        assert not written & set(step), "a tile is written once, full or at one width"
        written |= set(step)
    assert set(merkle.tiles(0, sizes[-1])) <= written
    assert {tile for tile in written if tile.width == 256} == {
        tile for tile in merkle.tiles(0, sizes[-1]) if tile.width == 256
    }


class Shelf(dict[Tile, bytes]):
    """Tiles as they lie on a disk; `publish` writes what a tree says, and holds it to what the list says."""

    def publish(self, tree: Tree, entries: Sequence[bytes]) -> None:
        old = tree.size
        new = dict(tile for entry in entries for tile in tree.append(entry))
        new |= tree.partial()
        assert {tile for tile in merkle.tiles(old, tree.size) if tile.level != BUNDLES} == set(new) - set(self)
        self.update(new)


@given(st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_a_tree_grown_in_steps_and_restarts_is_the_same_tree(steps: list[int]) -> None:
    shelf, tree = Shelf(), Tree()
    leaves: list[bytes] = []
    for step in steps:
        entries = [b"%d" % number for number in range(len(leaves), len(leaves) + step)]
        leaves += map(merkle.leaf_hash, entries)
        shelf.publish(tree, entries)
        assert tree.root() == naive_root(leaves)
        tree = Tree.resume(len(leaves), shelf.__getitem__)
        assert tree.root() == naive_root(leaves)


def test_proofs_read_from_tiles_are_those_of_the_leaves() -> None:
    """70,000 leaves reach level 2; proofs at the seams of tiles, and to a tree of before the partial tiles grew."""
    shelf, tree = Shelf(), Tree()
    entries = [b"%d" % number for number in range(70_000)]
    nodes = Listed([merkle.leaf_hash(entry) for entry in entries])
    shelf.publish(tree, entries[:65_793])
    before = tree.root()
    shelf.publish(tree, entries[65_793:])
    tiled = TiledNodes(70_000, shelf.__getitem__)
    assert tree.root() == merkle.root(nodes, 70_000) == merkle.root(tiled, 70_000)
    for index in (0, 1, 255, 256, 65_535, 65_536, 65_791, 65_792, 69_887, 69_888, 69_999):
        proof = merkle.inclusion_proof(tiled, index, 70_000)
        assert proof == merkle.inclusion_proof(nodes, index, 70_000)
        merkle.check_inclusion(entries[index], index, 70_000, proof, tree.root())
    for old in (1, 255, 256, 257, 65_535, 65_536, 65_793, 69_999, 70_000):
        proof = merkle.consistency_proof(tiled, old, 70_000)
        assert proof == merkle.consistency_proof(nodes, old, 70_000)
        merkle.check_consistency(old, merkle.root(nodes, old), 70_000, tree.root(), proof)
    assert merkle.root(TiledNodes(65_793, shelf.__getitem__), 65_793) == before


def test_a_wider_tile_stands_in_for_a_partial_one_that_is_gone() -> None:
    full = b"".join(LEAVES[:256])
    assert merkle.root(TiledNodes(200, lambda _: full), 200) == ROOTS[200]
    assert Tree.resume(200, lambda _: full).root() == ROOTS[200]


def test_a_tile_that_is_too_short_or_cut_is_refused() -> None:
    for cut in (0, 32, 199 * 32, 200 * 32 + 1):
        short = b"".join(LEAVES)[:cut]
        with pytest.raises(BadTile):
            merkle.root(TiledNodes(200, lambda _, short=short: short), 200)  # type: ignore[misc]
    with pytest.raises(BadTile):
        Tree.resume(200, lambda _: bytes(199 * 32))
    for level, index in ((0, 200), (3, 25), (8, 0), (0, 10**6)):
        with pytest.raises(BadTile):
            TiledNodes(200, lambda _: bytes(200 * 32)).node(level, index)


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_a_bundle_holds_its_entries_and_nothing_else(entries: list[bytes]) -> None:
    bundle = merkle.pack(entries)
    assert merkle.unpack(bundle, len(entries)) == entries
    for wrong, width in ((bundle, len(entries) + 1), (bundle + b"\0", len(entries)), (bundle[:-1], len(entries))):
        if wrong or width:
            with pytest.raises(BadTile):
                merkle.unpack(wrong, width)


def test_growing_takes_no_memory() -> None:
    """After forty thousand leaves a tree holds what it held after a thousand: a tile a level."""
    tree = Tree()
    entries = (b"%d" % number for number in range(40_000))
    for _ in range(1_000):
        tree.append(next(entries))
    tracemalloc.start()
    try:
        for entry in entries:
            tree.append(entry)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tree.size == 40_000
    assert peak_bytes < 200_000
