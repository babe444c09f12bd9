"""Signed notes: a text, and under it the lines of those who signed it.

Words   A key is told by its name and its id, four bytes of a hash: enough to find a known key, never to trust one.
        A cosignature is a witness's signature with the time at which it had seen no larger tree of that log.
        `time_s` is POSIX seconds.
Source  c2sp.org/signed-note, c2sp.org/tlog-cosignature (v1, Ed25519), golang.org/x/mod/sumdb/note (signer keys).
"""

import hashlib
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from wallet import crypto

ED25519: Final = 1
COSIGNATURE: Final = 4
"""A key's algorithm, by the bytes that signed-note assigned: over the text itself, or a timestamped cosignature."""

SIGNATURES_MAX: Final = 16
"""As many as a reader must take; also a bound on the work that a stranger can give us."""

NOTE_BYTES_MAX: Final = 131_072
"""Sixteen post-quantum signatures of others still fit."""

TIME_S_MAX: Final = 2**63 - 1

_KEY_BYTES = 32
_TIME_BYTES = 8
_ID_BYTES = 4
_DASH = "— "
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""Control characters other than newline, and halves of characters, which UTF-8 cannot say."""


class BadKey(ValueError):
    """A verifier key or signer key is not spelled as one, or is too weak to be one."""


class BadNote(ValueError):
    """The bytes are not a note."""


class NotSigned(BadNote):
    """No key that we know has signed the note."""


class BadSignature(BadNote):
    """A line names a key that we know, and the key did not make it."""


# ---- keys -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name it signs under; spelled `name+id+base64`."""

    name: str
    public: bytes
    algorithm: int = ED25519

    def __post_init__(self) -> None:
        """Refuse what is no key.

        Raises:
            BadKey.
        """
        if not _is_name(self.name):
            raise BadKey("a key's name is not empty and has neither spaces nor a plus sign")
        if self.algorithm not in (ED25519, COSIGNATURE):
            raise BadKey("the key's algorithm is not one that we know")
        if not crypto.ed25519_is_strong(self.public):
            raise BadKey("not an Ed25519 key, or one of small order, which fits any signature")

    @property
    def id(self) -> bytes:
        """Four bytes that tell this key from others of its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._encoded).digest()[:_ID_BYTES]

    @property
    def _encoded(self) -> bytes:
        return bytes([self.algorithm]) + self.public

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_b64(self._encoded)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a verifier key; of each there is one spelling.

        Raises:
            BadKey.
        """
        name, _, rest = text.partition("+")
        encoded = _unb64(rest.partition("+")[2])
        if not encoded:
            raise BadKey("a verifier key is name+id+base64")
        key = cls(name, encoded[1:], encoded[0])
        if str(key) != text:
            raise BadKey("the verifier key's id is not its own, or not spelled so")
        return key

    def signed_at(self, text: str, signature: bytes) -> int | None:
        """Verify a signature over a note's text. Returns a cosignature's time in seconds, None for other keys.

        Raises:
            BadSignature.
        """
        time_s, message = None, text.encode()
        if self.algorithm == COSIGNATURE:
            time_s, signature = int.from_bytes(signature[:_TIME_BYTES], "big"), signature[_TIME_BYTES:]
            message = _cosigned(text, time_s)
        if not crypto.ed25519_verifies(self.public, signature, message):
            raise BadSignature(f"{self.name}+{self.id.hex()} did not sign this")
        return time_s


class Signer(Protocol):
    """Whoever can sign under a name: a key in a file, or one that never leaves its hardware (PKCS#11's CKM_EDDSA)."""

    @property
    def key(self) -> VerifierKey:
        """The public half, and with it the name."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the plain Ed25519 signature, 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A signer whose private key lies in a file, for the demo and for witnesses; spelled as Go's note package does."""

    key: VerifierKey
    _seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str, algorithm: int = ED25519) -> "FileSigner":
        """Make a new key."""
        return cls.of_seed(name, secrets.token_bytes(_KEY_BYTES), algorithm)

    @classmethod
    def of_seed(cls, name: str, seed: bytes, algorithm: int = ED25519) -> "FileSigner":
        """Make the key that belongs to 32 secret bytes."""
        return cls(VerifierKey(name, crypto.ed25519_public(seed), algorithm), seed)

    @classmethod
    def parse(cls, text: str) -> "FileSigner":
        """Read a signer key, `PRIVATE+KEY+name+id+base64`.

        Raises:
            BadKey: never with the key in its words.
        """
        parts = text.split("+", 4)
        encoded = _unb64(parts[-1])
        if len(parts) != 5 or len(encoded) != 1 + _KEY_BYTES:
            raise BadKey("a signer key is PRIVATE+KEY+name+id+base64")
        signer = cls.of_seed(parts[2], encoded[1:], encoded[0])
        if signer.secret_text() != text:
            raise BadKey("the signer key's id is not its own, or not spelled so")
        return signer

    def secret_text(self) -> str:
        """Spell the private key: whoever reads it can sign."""
        return f"PRIVATE+KEY+{self.key.name}+{self.key.id.hex()}+{_b64(bytes([self.key.algorithm]) + self._seed)}"

    def sign(self, message: bytes) -> bytes:
        """Return the plain Ed25519 signature, 64 bytes."""
        return crypto.ed25519_sign(self._seed, message)


# ---- notes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signature:
    """One line under a note: who says to have signed, and what they signed with. Nothing is verified yet."""

    name: str
    id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in the note, with its newline."""
        return f"{_DASH}{self.name} {_b64(self.id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> "Signature":
        """Read a line without its newline.

        Raises:
            BadNote.
        """
        name, _, text = line.removeprefix(_DASH).partition(" ")
        raw = _unb64(text)
        signature = cls(name, raw[:_ID_BYTES], raw[_ID_BYTES:])
        if not _is_name(name) or not signature.signature or signature.line != line + "\n":
            raise BadNote("a line under the note is no signature")
        return signature


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds: whose it is, and a cosignature's time."""

    by: VerifierKey
    time_s: int | None


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the lines under it, as parsed: believe `verified`, not the text."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a note; of each there is one spelling.

        Raises:
            BadNote: not UTF-8, a control character (CR too), no blank line, a line under it that is no signature, more
                than 16 of them, or none.
        """
        if len(raw) > NOTE_BYTES_MAX:
            raise BadNote("the note is too long")
        try:
            whole = raw.decode()
        except UnicodeDecodeError:
            raise BadNote("the note is not UTF-8") from None
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n") or _FORBIDDEN.search(whole):
            raise BadNote("a note is a text, a blank line and signatures, without control characters")
        if lines.count("\n") > SIGNATURES_MAX:
            raise BadNote(f"a note has at most {SIGNATURES_MAX} signatures")
        return cls(text + "\n", tuple(Signature.parse(line) for line in lines[:-1].split("\n")))

    def encode(self) -> bytes:
        """Write the note."""
        return "".join([self.text, "\n", *(one.line for one in self.signatures)]).encode()

    def verified(self, keys: Sequence[VerifierKey]) -> list[Signed]:
        """Verify each signature of a key that we know. Lines of others say nothing, whatever they call themselves.

        Returns:
            Each key that has signed, once, in the order of the lines.

        Raises:
            NotSigned: none of `keys` has.
            BadSignature: a line names one of `keys`, which did not make it; then nothing in the note counts.
        """
        known = {(key.name, key.id): key for key in keys}
        if len(known) < len(set(keys)):
            raise BadKey("two of the known keys have one name and one id")
        signed: dict[VerifierKey, Signed] = {}
        for one in self.signatures:
            if key := known.get((one.name, one.id)):
                signed.setdefault(key, Signed(key, key.signed_at(self.text, one.signature)))
        if not signed:
            raise NotSigned("no known key has signed the note")
        return list(signed.values())

    def add(self, *further: Signature) -> "Note":
        """Return the note with further signatures, each in the place of an earlier one by the same name and id."""
        merged = {(one.name, one.id): one for one in (*self.signatures, *further)}
        return replace(self, signatures=tuple(merged.values()))


def sign(text: str, *signers: Signer) -> Note:
    """Sign a text.

    Raises:
        BadKey: a cosigner's, which signs nothing but cosignatures.
        BadNote: the text does not end its last line, or has a control character.
    """
    if any(one.key.algorithm != ED25519 for one in signers):
        raise BadKey("a cosigner's key signs no note")
    if not text.endswith("\n") or _FORBIDDEN.search(text):
        raise BadNote("a note's text ends in a newline and has no control characters")
    lines = (Signature(one.key.name, one.key.id, one.sign(text.encode())) for one in signers)
    return Note(text, tuple(lines))


def cosign(text: str, signer: Signer, *, time_s: int) -> Signature:
    """Make a witness's cosignature of a checkpoint's text.

    Args:
        text: the whole text of a checkpoint that is consistent with all that the witness saw of that log before.
        signer: of a key that is made for cosigning, and never signs anything else.
        time_s: now.
    """
    if signer.key.algorithm != COSIGNATURE:
        raise BadKey("only a cosigner's key cosigns")
    signature = signer.sign(_cosigned(text, time_s))
    return Signature(signer.key.name, signer.key.id, time_s.to_bytes(_TIME_BYTES, "big") + signature)


def _cosigned(text: str, time_s: int) -> bytes:
    """Return what a cosigner signs: its first line can begin no checkpoint that a log's own key would have signed."""
    if not 0 < time_s <= TIME_S_MAX:
        raise BadSignature("a cosignature's time is out of range")
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _is_name(text: str) -> bool:
    return bool(text) and "+" not in text and not any(one.isspace() for one in text) and not _FORBIDDEN.search(text)


def _b64(value: bytes) -> str:
    return b64encode(value).decode()


def _unb64(text: str) -> bytes:
    """Read base64, or nothing from what is none; whoever calls compares with the one right spelling."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
