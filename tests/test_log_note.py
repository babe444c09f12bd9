"""Signed notes: c2sp.org/signed-note to the letter, cosignatures, and openssl's word. Attack row 127."""

import subprocess
import sys
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_is_valid_point

from tests import tools
from wallet import crypto
from wallet.log import note
from wallet.log.note import BadKey, BadNote, BadSignature, FileSigner, Note, NotSigned, Signature, VerifierKey

ROOT = Path(__file__).parents[1]
LOG = FileSigner.of_seed("hue.example/log", bytes(range(32)))
OTHER = FileSigner.of_seed("hue.example/log", bytes(range(1, 33)))
WITNESS = FileSigner.of_seed("auditor.example/w1", bytes(range(2, 34)), note.COSIGNATURE)
TEXT = "hue.example/log\n7\n3ZvkAyU+CIJXUN0QOjD4S3LqUuDXJ0KvnN7LgKLwWKE=\n"

# -- known answers ----------------------------------------------------------------------------------------------------

C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""

GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
"""From the documentation of golang.org/x/mod/sumdb/note; its keys are public."""


def test_the_specification_s_example_verifies() -> None:
    read = Note.parse(C2SP_NOTE.encode())
    assert [one.by for one in read.verified([VerifierKey.parse(C2SP_KEY)])] == [VerifierKey.parse(C2SP_KEY)]
    assert read.encode() == C2SP_NOTE.encode()


def test_go_s_example_key_makes_go_s_example_note() -> None:
    signer = FileSigner.parse(GO_SIGNER)
    assert str(signer.key) == GO_KEY
    assert signer.secret_text() == GO_SIGNER
    assert note.sign(GO_NOTE.partition("\n\n")[0] + "\n", signer).encode() == GO_NOTE.encode()


def test_openssl_verifies_the_plain_signature(tmp_path: Path) -> None:
    tools.OPENSSL.need()
    signed = note.sign(TEXT, LOG)
    spki = bytes.fromhex("302a300506032b6570032100") + LOG.key.public  # RFC 8410
    pem = f"-----BEGIN PUBLIC KEY-----\n{b64encode(spki).decode()}\n-----END PUBLIC KEY-----\n"
    (tmp_path / "key.pem").write_text(pem)
    (tmp_path / "signature").write_bytes(signed.signatures[0].signature)

    def verify(text: str) -> int:
        (tmp_path / "text").write_text(text)
        command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in text -sigfile signature"
        return subprocess.run(command.split(), cwd=tmp_path, capture_output=True).returncode

    assert verify(TEXT) == 0
    assert verify(TEXT.replace("7", "8", 1)) != 0


# -- signing and verifying --------------------------------------------------------------------------------------------


def test_what_is_signed_verifies_and_what_is_changed_does_not() -> None:
    signed = note.sign(TEXT, LOG)
    assert Note.parse(signed.encode()) == signed
    assert [one.by for one in signed.verified([LOG.key, WITNESS.key])] == [LOG.key]
    with pytest.raises(BadSignature):
        replace(signed, text=TEXT.replace("7", "8", 1)).verified([LOG.key])


@given(st.integers(0, 63), st.integers(0, 7))
def test_a_flipped_bit_breaks_the_signature(at: int, bit: int) -> None:
    signed = note.sign(TEXT, LOG)
    raw = bytearray(signed.signatures[0].signature)
    raw[at] ^= 1 << bit
    with pytest.raises(BadSignature):
        replace(signed, signatures=(replace(signed.signatures[0], signature=bytes(raw)),)).verified([LOG.key])


lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(one) for one in range(32)]))


@given(st.lists(lines, min_size=1).map(lambda texts: "".join(f"{text}\n" for text in texts)))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    signed = note.sign(text, LOG, OTHER)
    read = Note.parse(signed.encode())
    assert read == signed
    assert len(read.verified([LOG.key, OTHER.key])) == 2


def test_signatures_of_others_say_nothing() -> None:
    """Row 127: an unknown signer; the log's name with another key's id; the key's id with another name."""
    renamed = FileSigner.of_seed("hue.example/lọg", bytes(range(32)))
    assert OTHER.key.name == LOG.key.name
    assert OTHER.key.id != LOG.key.id
    for stranger in (OTHER, renamed):
        with pytest.raises(NotSigned):
            note.sign(TEXT, stranger).verified([LOG.key])
        signed = note.sign(TEXT, stranger, LOG)
        assert [one.by for one in signed.verified([LOG.key])] == [LOG.key]
    posing = Signature("auditor.example/log", LOG.key.id, note.sign(TEXT, LOG).signatures[0].signature)
    with pytest.raises(NotSigned):
        Note(TEXT, (posing,)).verified([LOG.key])


def test_one_false_signature_of_a_known_key_spoils_the_note() -> None:
    """Also behind a true one of the same key, and beside another known key's."""
    (true,) = note.sign(TEXT, LOG).signatures
    false = replace(true, signature=bytes(64))
    (others,) = note.sign(TEXT, OTHER).signatures
    for spoiled in ((false,), (true, false), (false, true), (others, false)):
        with pytest.raises(BadSignature):
            Note(TEXT, spoiled).verified([LOG.key, OTHER.key])
    assert len(Note(TEXT, (true, true)).verified([LOG.key])) == 1, "a key counts once"


@pytest.mark.parametrize("length", [1, 63, 65])
def test_a_signature_of_another_length_is_none(length: int) -> None:
    forged = Signature(LOG.key.name, LOG.key.id, bytes(length))
    with pytest.raises(BadSignature):
        Note.parse(Note(TEXT, (forged,)).encode()).verified([LOG.key])


def test_a_further_signature_takes_the_place_of_its_key_s_earlier_one() -> None:
    signed = note.sign(TEXT, LOG)
    early, late = (note.cosign(TEXT, WITNESS, time_s=time_s) for time_s in (100, 200))
    both = signed.add(early).add(late)
    assert both.signatures == (*signed.signatures, late)
    assert [one.time_s for one in both.verified([LOG.key, WITNESS.key])] == [None, 200]


# -- what is no note: row 127 -----------------------------------------------------------------------------------------

GOOD = note.sign(TEXT, LOG).encode()
LINE = note.sign(TEXT, LOG).signatures[0].line


def with_line(line: str) -> bytes:
    return (TEXT + "\n" + line).encode()


BROKEN = {
    "empty": b"",
    "CRLF": GOOD.replace(b"\n", b"\r\n"),
    "CRLF in one line": GOOD.replace(b"\n", b"\r\n", 1),
    "tab": GOOD.replace(b"7", b"\t7", 1),
    "NUL": GOOD.replace(b"7", b"\x007", 1),
    "not UTF-8": GOOD.replace(b"7", b"\xff", 1),
    "UTF-8 too long": GOOD.replace(b"7", b"\xc0\xb7", 1),
    "half a character": GOOD.replace(b"7", b"\xed\xa0\x80", 1),
    "byte order mark before a line": with_line("\ufeff" + LINE),
    "no signature": (TEXT + "\n").encode(),
    "no blank line": GOOD.replace(b"\n\n", b"\n"),
    "no newline at the end": GOOD[:-1],
    "blank line at the end": GOOD + b"\n",
    "a line of text among the signatures": GOOD + b"more\n",
    "no dash": with_line(LINE.removeprefix("— ")),
    "hyphen for a dash": with_line(LINE.replace("—", "-")),
    "no name": with_line("—  " + LINE.split(" ")[2]),
    "name with plus": with_line(LINE.replace("hue.", "hue+")),
    "name with a wide space": with_line(LINE.replace("hue.", "hue\u3000")),
    "two spaces": with_line(LINE.replace(" ", "  ")),
    "space at the end": with_line(LINE.replace("\n", " \n")),
    "not base64": with_line("— name !!!!!!!!\n"),
    "base64 without padding": with_line(LINE.replace("=", "")),
    "base64 with other last bits": with_line(f"— name {b64encode(bytes(5)).decode()[:-2]}B=\n"),
    "base64 of URLs": with_line("— name " + "_" * 96 + "\n"),
    "id without a signature": with_line(f"— name {b64encode(bytes(4)).decode()}\n"),
    "nothing to read": with_line("— name \n"),
    "seventeen signatures": with_line(LINE * 17),
    "endless": with_line(f"— name {b64encode(bytes(100_000)).decode()}\n"),
}


def test_the_note_that_is_broken_below_is_a_good_one() -> None:
    assert Note.parse(GOOD).verified([LOG.key])
    assert len(Note.parse(with_line(LINE * 16)).signatures) == 16


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    """As it is read, before any key is asked."""
    with pytest.raises(BadNote):
        Note.parse(raw)


@given(st.binary(max_size=60), st.integers(0, len(GOOD)))
def test_nothing_that_parses_has_a_second_spelling(noise: bytes, at: int) -> None:
    raw = GOOD[:at] + noise + GOOD[at:]
    try:
        read = Note.parse(raw)
    except BadNote:
        return
    assert read.encode() == raw


def test_an_unreadable_text_is_not_signed() -> None:
    for text in ("", "no newline", "two\r\n", "half \ud800\n"):
        with pytest.raises(BadNote):
            note.sign(text, LOG)


# -- keys -------------------------------------------------------------------------------------------------------------


def test_keys_read_back() -> None:
    for signer in (LOG, WITNESS, FileSigner.generate("x/y", note.COSIGNATURE)):
        assert VerifierKey.parse(str(signer.key)) == signer.key
        assert FileSigner.parse(signer.secret_text()) == signer
    assert FileSigner.generate("x/y") != FileSigner.generate("x/y")


def test_a_private_key_shows_itself_to_nobody() -> None:
    secret = LOG.secret_text()
    assert "seed" not in repr(LOG)
    assert repr(bytes(range(32))) not in repr(LOG)
    with pytest.raises(BadKey) as raised:
        FileSigner.parse(secret.replace("hue", "hoi"))
    assert secret.rpartition("+")[2] not in str(raised.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("hue", "hoi"),
        lambda text: text.replace("hue.", "hue "),
        lambda text: text.partition("+")[2],
        lambda text: "+" + text.partition("+")[2],
        lambda text: text.replace(LOG.key.id.hex(), LOG.key.id.hex().upper()),
        lambda text: text + "\n",
        lambda text: text[:-4],
        lambda text: text[:-1] + "é",
        lambda text: text + "AAAA",
        lambda text: text.replace("+A", "+C", 1),
        lambda _: "",
        lambda _: "name",
        lambda text: text.replace("hue", "h\udc80"),
    ],
)
def test_a_key_has_one_spelling(spoil) -> None:
    for text, kind in ((str(LOG.key), VerifierKey), (LOG.secret_text(), FileSigner)):
        assert spoil(text) != text
        with pytest.raises(BadKey):
            kind.parse(spoil(text))


def test_two_keys_of_one_name_and_id_are_not_both_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerifierKey, "id", b"same")
    with pytest.raises(BadKey):
        note.sign(TEXT, LOG).verified([LOG.key, OTHER.key])


def small_order_points() -> list[bytes]:
    """Both signs of every y whose point has an order dividing 8, in every spelling of 255 bits."""
    eighth = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
    field = 2**255 - 19
    spelled = (0, 1, field - 1, field, field + 1, eighth, field - eighth)
    return [(y | sign << 255).to_bytes(32, "little") for y in spelled for sign in (0, 1)]


@pytest.mark.parametrize("point", small_order_points(), ids=bytes.hex)
def test_a_key_of_small_order_is_no_key(point: bytes) -> None:
    assert not crypto_core_ed25519_is_valid_point(point)
    assert not crypto.ed25519_is_strong(point)
    with pytest.raises(BadKey):
        VerifierKey("hue.example/log", point)


def test_a_key_of_small_order_would_have_signed_anything() -> None:
    """The library alone takes it: with the key 01 00 … the hash of the message is multiplied by nothing."""
    weak = bytes([1]) + bytes(31)
    forged = bytes([1]) + bytes(63)
    key = Ed25519PublicKey.from_public_bytes(weak)
    for message in (b"anything", b"at all"):
        key.verify(forged, message)
        assert not crypto.ed25519_verifies(weak, forged, message)


@given(st.binary(min_size=32, max_size=32))
def test_every_key_that_is_made_is_strong(seed: bytes) -> None:
    public = crypto.ed25519_public(seed)
    assert crypto.ed25519_is_strong(public)
    assert crypto_core_ed25519_is_valid_point(public)
    assert crypto.ed25519_verifies(public, crypto.ed25519_sign(seed, b"m"), b"m")
    assert not crypto.ed25519_is_strong(public + b"\0")


# -- cosignatures -----------------------------------------------------------------------------------------------------


def test_a_cosignature_signs_its_time_and_the_whole_text() -> None:
    cosignature = note.cosign(TEXT, WITNESS, time_s=1_679_315_147)
    message = f"cosignature/v1\ntime 1679315147\n{TEXT}".encode()
    assert crypto.ed25519_verifies(WITNESS.key.public, cosignature.signature[8:], message)
    signed = note.sign(TEXT, LOG).add(cosignature)
    read = Note.parse(signed.encode()).verified([LOG.key, WITNESS.key])
    assert [(one.by, one.time_s) for one in read] == [(LOG.key, None), (WITNESS.key, 1_679_315_147)]


def test_a_cosignature_of_another_time_or_text_is_refused() -> None:
    cosignature = note.cosign(TEXT, WITNESS, time_s=1_679_315_147)
    for time_s in (0, 1_679_315_148, 2**63, 2**64 - 1):
        moved = replace(cosignature, signature=time_s.to_bytes(8, "big") + cosignature.signature[8:])
        with pytest.raises(BadSignature):
            Note(TEXT, (moved,)).verified([WITNESS.key])
    for signature in (cosignature.signature[8:], cosignature.signature[:7], cosignature.signature + b"\0"):
        with pytest.raises(BadSignature):
            Note(TEXT, (replace(cosignature, signature=signature),)).verified([WITNESS.key])
    with pytest.raises(BadSignature):
        Note(TEXT + "extension\n", (cosignature,)).verified([WITNESS.key])


@pytest.mark.parametrize("time_s", [-1, 0, 2**63])
def test_a_cosignature_has_a_time(time_s: int) -> None:
    with pytest.raises(BadSignature):
        note.cosign(TEXT, WITNESS, time_s=time_s)


def test_one_secret_under_both_algorithms_is_two_keys_that_do_not_stand_in_for_each_other() -> None:
    plain = FileSigner.of_seed(WITNESS.key.name, bytes(range(2, 34)))
    assert plain.key.public == WITNESS.key.public
    assert plain.key.id != WITNESS.key.id
    with pytest.raises(NotSigned):
        note.sign(TEXT, plain).verified([WITNESS.key])
    with pytest.raises(BadKey):
        note.sign(TEXT, WITNESS)
    with pytest.raises(BadKey):
        note.cosign(TEXT, plain, time_s=1)


# -- an auditor's laptop ----------------------------------------------------------------------------------------------


def test_verifying_needs_no_library_but_cryptography() -> None:
    """Every other package of the project is as good as not installed, and verifying works."""
    program = f"""
import sys, importlib.metadata as metadata
for name, packages in metadata.packages_distributions().items():
    if not {{"cryptography", "cffi", "pycparser"}} & set(packages):
        sys.modules.setdefault(name, None)
from wallet.log import checkpoint, merkle, note
keys = [note.VerifierKey.parse({str(LOG.key)!r})]
assert note.Note.parse({GOOD!r}).verified(keys)
print(*sorted(name for name, module in sys.modules.items() if module and name.startswith("wallet")))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "wallet", "wallet.crypto", "wallet.log", "wallet.log.checkpoint", "wallet.log.merkle", "wallet.log.note",
    ]  # fmt: skip


def test_the_example_key_is_what_the_specification_says_it_is() -> None:
    """name, newline, 0x01, key; SHA-256; four bytes."""
    name, id, encoded = C2SP_KEY.split("+", 2)
    assert VerifierKey(name, b64decode(encoded)[1:]).id.hex() == id
