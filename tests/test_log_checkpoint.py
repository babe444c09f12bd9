"""Checkpoints: their spelling, the keys in force, and Go's word on the whole log. Attack rows 127 and 130."""

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tools
from wallet.log import merkle, note
from wallet.log.checkpoint import BadCheckpoint, BadLogKeys, Checkpoint, KeyNotInForce, LogKey, LogKeys, OtherRoot
from wallet.log.merkle import BUNDLES, Tile, TiledNodes, Tree
from wallet.log.note import FileSigner, Note, Signer, VerifierKey

ORIGIN = "hue.example/log"
FIRST, SECOND, THIRD, STRANGER = (FileSigner.of_seed(ORIGIN, bytes([number]) * 32) for number in range(1, 5))
WITNESS = FileSigner.of_seed("auditor.example/w1", bytes(32), note.COSIGNATURE)
KEYS = LogKeys((LogKey(FIRST.key),))


def at(size: int, root: bytes | None = None, origin: str = ORIGIN) -> Checkpoint:
    """A checkpoint of this size; its root is made up unless given."""
    made_up = merkle.leaf_hash(b"root of %d" % size) if size else merkle.EMPTY_ROOT
    return Checkpoint(origin, size, root or made_up)


def forged(checkpoint: Checkpoint, *signers: Signer) -> bytes:
    """Sign whatever it says with whichever key, past every check."""
    return note.sign(checkpoint.text, *signers).encode()


# -- spelling ---------------------------------------------------------------------------------------------------------

C2SP_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_the_specification_s_example_reads_back() -> None:
    read = Checkpoint.parse(C2SP_TEXT)
    assert (read.origin, read.size, read.root.hex()[:8]) == ("example.com/behind-the-sofa", 20_852_163, "0ac5186a")
    assert read.text == C2SP_TEXT


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(st.text("abc /+", min_size=1)))
def test_every_checkpoint_reads_back(size: int, root: bytes, extensions: list[str]) -> None:
    written = Checkpoint(ORIGIN, size, root, tuple(extensions))
    assert Checkpoint.parse(written.text) == written


HEAD, SIZE, HASH = C2SP_TEXT.splitlines()
BROKEN = {
    "empty": "",
    "two lines": f"{HEAD}\n{SIZE}\n",
    "no newline at the end": C2SP_TEXT[:-1],
    "no origin": f"\n{SIZE}\n{HASH}\n",
    "leading zero": f"{HEAD}\n0{SIZE}\n{HASH}\n",
    "zero twice": f"{HEAD}\n00\n{b64encode(merkle.EMPTY_ROOT).decode()}\n",
    "plus": f"{HEAD}\n+{SIZE}\n{HASH}\n",
    "minus": f"{HEAD}\n-1\n{HASH}\n",
    "no size": f"{HEAD}\n\n{HASH}\n",
    "space before the size": f"{HEAD}\n {SIZE}\n{HASH}\n",
    "underscore": f"{HEAD}\n20_852_163\n{HASH}\n",
    "other digits": f"{HEAD}\n٢٠\n{HASH}\n",
    "hexadecimal": f"{HEAD}\n0x10\n{HASH}\n",
    "too large": f"{HEAD}\n{2**63}\n{HASH}\n",
    "endless": f"{HEAD}\n{'9' * 5000}\n{HASH}\n",
    "CRLF": C2SP_TEXT.replace("\n", "\r\n"),
    "short root": f"{HEAD}\n{SIZE}\n{b64encode(bytes(31)).decode()}\n",
    "long root": f"{HEAD}\n{SIZE}\n{b64encode(bytes(33)).decode()}\n",
    "root in hexadecimal": f"{HEAD}\n{SIZE}\n{bytes(32).hex()}\n",
    "root with other last bits": f"{HEAD}\n{SIZE}\n{HASH[:-2]}J=\n",
    "root not base64": f"{HEAD}\n{SIZE}\n{'é' * 44}\n",
    "leaves in the empty tree": f"{HEAD}\n0\n{HASH}\n",
    "empty extension": f"{C2SP_TEXT}\n",
    "empty extension between": f"{C2SP_TEXT}a\n\nb\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Row 127. Signed all the same, because a log may be out of order and its signature in order."""
    with pytest.raises(BadCheckpoint):
        Checkpoint.parse(text)


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    for text in BROKEN.values():
        if text.endswith("\n") and "\r" not in text:
            with pytest.raises(BadCheckpoint):
                KEYS.open(note.sign(text.replace(HEAD, ORIGIN), FIRST).encode())


@pytest.mark.parametrize(
    "fields", [("", 1, HASH), ("a\nb", 1, HASH), (ORIGIN, -1, HASH), (ORIGIN, 2**63, HASH), (ORIGIN, 0, HASH)]
)
def test_what_cannot_be_said_is_not_made(fields: tuple[str, int, str]) -> None:
    with pytest.raises(BadCheckpoint):
        Checkpoint(fields[0], fields[1], b64decode(fields[2]))


def test_extension_lines_are_signed_and_kept_but_ours_has_none() -> None:
    """Row 127: a line slipped in under our signature breaks it; one that we signed is there to be seen."""
    signed = KEYS.sign(at(7), FIRST).encode()
    with pytest.raises(note.BadSignature):
        KEYS.open(signed.replace(b"\n\n", b"\nextension\n\n", 1))
    extended = replace(at(7), extensions=("extension",))
    assert KEYS.open(forged(extended, FIRST)).checkpoint.extensions == ("extension",)
    with pytest.raises(BadCheckpoint):
        KEYS.sign(extended, FIRST)


# -- signing and opening ----------------------------------------------------------------------------------------------


def test_a_signed_checkpoint_opens() -> None:
    signed = KEYS.sign(at(7), FIRST)
    opened = KEYS.open(signed.encode())
    assert (opened.checkpoint, opened.note, opened.witnesses) == (at(7), signed, ())
    assert KEYS.open(KEYS.sign(at(0), FIRST).encode()).checkpoint.size == 0


def test_a_checkpoint_of_another_log_is_refused() -> None:
    other = at(7, origin="hue.example/other")
    with pytest.raises(BadCheckpoint):
        KEYS.sign(other, FIRST)
    with pytest.raises(BadCheckpoint):
        KEYS.open(forged(other, FIRST))


def test_a_checkpoint_that_the_log_did_not_sign_is_refused() -> None:
    cosigned = Note(at(7).text, (note.cosign(at(7).text, WITNESS, time_s=5),)).encode()
    for raw in (forged(at(7), STRANGER), cosigned):
        with pytest.raises(note.NotSigned):
            KEYS.open(raw, [WITNESS.key])


def test_witnesses_are_told_with_their_time() -> None:
    signed = KEYS.sign(at(7), FIRST)
    cosigned = signed.add(note.cosign(at(7).text, WITNESS, time_s=1_795_304_099)).encode()
    (witness,) = KEYS.open(cosigned, [WITNESS.key]).witnesses
    assert (witness.by, witness.time_s) == (WITNESS.key, 1_795_304_099)
    assert KEYS.open(cosigned).witnesses == ()
    false = signed.add(note.cosign(at(8).text, WITNESS, time_s=1_795_304_099)).encode()
    with pytest.raises(note.BadSignature):
        KEYS.open(false, [WITNESS.key])
    with pytest.raises(note.BadKey):
        KEYS.open(cosigned, [FIRST.key])


@dataclass
class Hardware:
    """A signer that is no file: it may fail, and is asked for nothing but a signature over bytes."""

    key: VerifierKey
    inside: FileSigner
    asked: list[bytes] = field(default_factory=list)

    def sign(self, message: bytes) -> bytes:
        self.asked.append(message)
        return self.inside.sign(message)


def test_any_signer_will_do_and_a_broken_one_is_found_at_once() -> None:
    sound, broken = Hardware(FIRST.key, FIRST), Hardware(FIRST.key, STRANGER)
    assert KEYS.sign(at(7), sound) == KEYS.sign(at(7), FIRST)
    assert sound.asked == [at(7).text.encode()]
    with pytest.raises(note.BadSignature):
        KEYS.sign(at(7), broken)


# -- rotation: row 130 ------------------------------------------------------------------------------------------------

ROTATED = KEYS.rotated(SECOND.key, at(100))


def test_old_checkpoints_still_verify_after_a_rotation() -> None:
    for size in (0, 1, 99, 100):
        assert ROTATED.open(KEYS.sign(at(size), FIRST).encode()).checkpoint == at(size)
    assert ROTATED.open(ROTATED.sign(at(101), SECOND).encode()).checkpoint == at(101)


def test_a_retired_key_signs_nothing_more() -> None:
    for size in (101, 2**63 - 1):
        with pytest.raises(KeyNotInForce):
            ROTATED.open(forged(at(size), FIRST))
        with pytest.raises(KeyNotInForce):
            ROTATED.sign(at(size), FIRST)


def test_a_new_key_does_not_rewrite_what_was_before_it() -> None:
    for size in (1, 100):
        with pytest.raises(KeyNotInForce):
            ROTATED.open(forged(at(size), SECOND))
        with pytest.raises(KeyNotInForce):
            ROTATED.sign(at(size), SECOND)


def test_a_retired_key_s_last_root_cannot_be_exchanged() -> None:
    with pytest.raises(OtherRoot):
        ROTATED.open(forged(at(100, root=merkle.leaf_hash(b"another history")), FIRST))


def test_a_retired_key_s_signature_beside_the_new_one_does_no_harm() -> None:
    assert ROTATED.open(forged(at(101), FIRST, SECOND)).checkpoint == at(101)
    assert ROTATED.open(forged(at(100), FIRST, SECOND)).checkpoint == at(100)


def test_a_history_forged_below_a_rotation_does_not_lead_to_today() -> None:
    """A stolen old key can still sign a smaller tree; a consistency proof to any newer checkpoint finds it out."""
    entries = [b"%d" % number for number in range(120)]
    trees, forgeries = Tree(), Tree()
    for number in range(60):
        trees.append(entries[number])
        forgeries.append(b"forged" if number == 30 else entries[number])
    old_root, forged_root = trees.root(), forgeries.root()
    for entry in entries[60:]:
        trees.append(entry)
    nodes = TiledNodes(120, lambda tile: dict(trees.partial())[tile])
    proof = merkle.consistency_proof(nodes, 60, 120)
    merkle.check_consistency(60, old_root, 120, trees.root(), proof)
    assert ROTATED.open(forged(at(60, root=forged_root), FIRST)).checkpoint.root == forged_root
    with pytest.raises(merkle.BadProof):
        merkle.check_consistency(60, forged_root, 120, trees.root(), proof)


def test_a_log_s_keys_read_back() -> None:
    twice = ROTATED.rotated(THIRD.key, at(250))
    for keys in (KEYS, ROTATED, twice):
        assert LogKeys.parse(str(keys)) == keys
    assert str(KEYS) == f"{FIRST.key}\n"
    assert str(twice).splitlines()[1] == f"{SECOND.key} until 250 {b64encode(at(250).root).decode()}"
    assert [twice.in_force(size).key for size in (0, 100, 101, 250, 251)] == [
        one.key for one in (FIRST, FIRST, SECOND, SECOND, THIRD)
    ]


def test_keys_that_do_not_follow_each_other_are_refused() -> None:
    retired = ROTATED.keys[0]
    elsewhere = VerifierKey("hue.example/other", SECOND.key.public)
    for keys in (
        (),
        (retired,),
        (LogKey(FIRST.key), LogKey(SECOND.key)),
        (LogKey(SECOND.key), retired),
        (retired, LogKey(elsewhere)),
        (retired, LogKey(FIRST.key)),
        (retired, replace(retired, key=THIRD.key), LogKey(SECOND.key)),
        (LogKey(WITNESS.key),),
    ):
        with pytest.raises(BadLogKeys):
            LogKeys(keys)
    with pytest.raises(BadLogKeys):
        ROTATED.rotated(THIRD.key, at(100))
    with pytest.raises(BadLogKeys):
        KEYS.rotated(SECOND.key, at(100, origin="hue.example/other"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{FIRST.key} ",
        f"{FIRST.key} until 5",
        f"{FIRST.key} from 5 {HASH}",
        f"{FIRST.key} until 05 {HASH}\n{SECOND.key}",
        f"{FIRST.key} until 5 {HASH[:-4]}\n{SECOND.key}",
        f"{FIRST.key} until 5 {HASH}",
    ],
)
def test_keys_that_are_not_spelled_right_are_refused(text: str) -> None:
    with pytest.raises((BadLogKeys, note.BadKey)):
        LogKeys.parse(text)


# -- Go's word --------------------------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tools.go_program("logcheck"), *arguments], capture_output=True, text=True)


def text_of(hashes: Sequence[bytes]) -> list[str]:
    return [b64encode(one).decode() for one in hashes]


def write(folder: Path, tile: Tile, data: bytes) -> None:
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 70,000 entries as it lies on a web server, with a witness, and what we claim of it."""
    folder, tree, size, roots = tmp_path_factory.mktemp("log"), Tree(), 70_000, {}
    olds = (1, 2, 255, 256, 257, 4_096, 65_535, 65_536, 65_537, 69_999, 70_000)
    entries = [b"entry %d of Hu\xe1\xba\xbf" % number for number in range(size)]
    for number, entry in enumerate(entries, 1):
        for tile, data in tree.append(entry):
            write(folder, tile, data)
        if number in olds:
            roots[number] = tree.root()
    for tile, data in tree.partial():
        write(folder, tile, data)
    for tile in merkle.tiles(0, size):
        if tile.level == BUNDLES:
            write(folder, tile, merkle.pack(entries[tile.index * 256 : tile.index * 256 + tile.width]))
    signed = KEYS.sign(at(size, root=tree.root()), FIRST)
    cosigned = signed.add(note.cosign(signed.text, WITNESS, time_s=1_795_304_099))
    (folder / "checkpoint").write_bytes(cosigned.encode())
    nodes = TiledNodes(size, lambda tile: (folder / tile.path).read_bytes())
    claims = {
        "key": str(FIRST.key),
        "cosigner": str(WITNESS.key),
        "inclusion": [
            {"index": index, "proof": text_of(merkle.inclusion_proof(nodes, index, size))}
            for index in (0, 1, 255, 256, 40_000, 65_535, 65_536, 69_887, 69_888, 69_999)
        ],
        "consistency": [
            {"old": old, "root": text_of([roots[old]])[0], "proof": text_of(merkle.consistency_proof(nodes, old, size))}
            for old in olds
        ],
    }
    (folder / "claims.json").write_text(json.dumps(claims))
    return folder


def test_go_verifies_checkpoint_tiles_bundles_and_proofs(published: Path) -> None:
    said = run("verify", published)
    assert (said.returncode, said.stdout) == (0, "70000 entries, 10 inclusion and 11 consistency proofs hold\n")


@pytest.mark.parametrize(
    ("path", "old", "new", "complaint"),
    [
        ("checkpoint", b"\n70000\n", b"\n69999\n", "checkpoint: invalid signature"),
        ("checkpoint", "— auditor".encode(), "— another".encode(), "checkpoint: 1 of 2 keys signed"),
        ("tile/entries/005", b"entry 1300 ", b"entry 1301 ", "tiles: the bundles have another root"),
        ("tile/entries/273.p/112", b"entry 69999", b"entry 6999", "bundles: "),
        ("claims.json", b'{"index": 1,', b'{"index": 2,', "inclusion 2: "),
        ("claims.json", b'{"old": 255,', b'{"old": 254,', "consistency 254: "),
    ],
)
def test_go_finds_what_is_wrong(published: Path, path: str, old: bytes, new: bytes, complaint: str) -> None:
    """So that its silence above means something."""
    right = (published / path).read_bytes()
    assert right.count(old) == 1
    (published / path).write_bytes(right.replace(old, new))
    try:
        said = run("verify", published)
    finally:
        (published / path).write_bytes(right)
    assert said.returncode == 1
    assert said.stdout.startswith(complaint), said.stdout


@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]
)
def test_go_finds_a_tile_that_is_not_the_log_s(published: Path, path: str) -> None:
    right = (published / path).read_bytes()
    (published / path).write_bytes(bytes([right[0] ^ 1]) + right[1:])
    try:
        said = run("verify", published)
    finally:
        (published / path).write_bytes(right)
    assert (said.returncode, said.stdout) == (1, f"tiles: {path.replace('tile/', 'tile/8/')} is not the tree's\n")


@pytest.mark.parametrize("size", [1, 2, 7, 300])
def test_we_verify_what_go_made(size: int) -> None:
    made = json.loads(run("make", str(size)).stdout)
    signer = FileSigner.parse(made["signer_key"])
    keys = LogKeys.parse(made["verifier_key"])
    checkpoint = keys.open(made["checkpoint"].encode()).checkpoint
    assert keys.sign(checkpoint, signer).encode() == made["checkpoint"].encode()
    entries = [b"entry %d" % number for number in range(size)]
    assert checkpoint.size == size == len(made["inclusion"]) == len(made["consistency"])
    for one in made["inclusion"]:
        proof = [b64decode(text) for text in one["proof"]]
        merkle.check_inclusion(entries[one["index"]], one["index"], size, proof, checkpoint.root)
    for one in made["consistency"]:
        proof = [b64decode(text) for text in one["proof"]]
        merkle.check_consistency(one["old"], b64decode(one["root"]), size, checkpoint.root, proof)
