"""Checkpoints: what the log promises about itself, signed by whichever of its keys is in force.

Words   A checkpoint says: the log of this origin has this many leaves and this root. Two of them that no consistency
        proof joins are a fork, and convict whoever signed both.
        A log's key has a last checkpoint when it is retired. It is in force for the sizes after its predecessor's last
        one up to its own: so old checkpoints go on verifying, and one forged later with a retired key does not.
Source  c2sp.org/tlog-checkpoint, c2sp.org/tlog-witness.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from wallet.log import merkle, note
from wallet.log.note import Note, Signed, Signer, VerifierKey

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_UNTIL: Final = "until"


class BadCheckpoint(ValueError):
    """A note's text is not a checkpoint, or not one of this log."""


class KeyNotInForce(BadCheckpoint):
    """The log's key that signed was retired before the log had this size, or was not its key yet."""


class OtherRoot(BadCheckpoint):
    """The root is not the one that the log ended with when the key was retired: a fork."""


class BadLogKeys(ValueError):
    """The keys of a log are not given as they should be."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root. Extensions are further lines that others' logs may have; ours has none."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be said in a checkpoint, and an empty tree with leaves in its root.

        Raises:
            BadCheckpoint.
        """
        if any(not line or "\n" in line for line in (self.origin, *self.extensions)):
            raise BadCheckpoint("a line of a checkpoint is empty, or is two")
        if not 0 <= self.size <= merkle.SIZE_MAX or len(self.root) != merkle.HASH_BYTES:
            raise BadCheckpoint("a checkpoint's size or root is out of range")
        if not self.size and self.root != merkle.EMPTY_ROOT:
            raise BadCheckpoint("the empty tree has another root")

    @property
    def text(self) -> str:
        """What is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, _b64(self.root), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note's text; of each checkpoint there is one spelling.

        Raises:
            BadCheckpoint: too few lines, an empty one, a size with leading zeros, a root that is no hash.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not _SIZE.fullmatch(lines[1]):
            raise BadCheckpoint("a checkpoint is an origin, a size and a root, a line each")
        try:
            read = cls(lines[0], int(lines[1]), b64decode(lines[2], validate=True), tuple(lines[3:]))
        except ValueError as fault:
            raise BadCheckpoint(str(fault)) from None
        if read.text != text:
            raise BadCheckpoint("the checkpoint is not spelled as it should be")
        return read


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint that the log's key in force has signed, the note it came in, and the witnesses who cosigned it."""

    checkpoint: Checkpoint
    note: Note
    witnesses: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class LogKey:
    """One key of a log, and the size and root it signed last; neither, for the key in force today."""

    key: VerifierKey
    last_size: int | None = None
    last_root: bytes = b""

    def __str__(self) -> str:
        return (
            str(self.key) if self.last_size is None else f"{self.key} {_UNTIL} {self.last_size} {_b64(self.last_root)}"
        )

    @classmethod
    def parse(cls, line: str) -> "LogKey":
        """Read `VKEY` or `VKEY until SIZE ROOT`.

        Raises:
            BadLogKeys, note.BadKey.
        """
        text, *retired = line.split(" ")
        key = VerifierKey.parse(text)
        if not retired:
            return cls(key)
        if len(retired) != 3 or retired[0] != _UNTIL:
            raise BadLogKeys("a log's key is VKEY, or VKEY until SIZE ROOT")
        try:
            last = Checkpoint.parse(f"{key.name}\n{retired[1]}\n{retired[2]}\n")
        except BadCheckpoint as fault:
            raise BadLogKeys(str(fault)) from None
        return cls(key, last.size, last.root)


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Every key that a log has had, oldest first. Whoever verifies has this from elsewhere than the log's operator."""

    keys: tuple[LogKey, ...]

    def __post_init__(self) -> None:
        """Refuse keys that do not follow each other: exactly one is in force for any size.

        Raises:
            BadLogKeys.
        """
        ends = [one.last_size for one in self.keys]
        if not ends or None in ends[:-1] or ends[-1] is not None:
            raise BadLogKeys("of a log's keys the last is in force, and every other one was retired")
        past = [one.last_size or 0 for one in self.keys[:-1]]
        if past != sorted(set(past)):
            raise BadLogKeys("a log's keys are not in the order in which they were retired")
        if len({one.key.name for one in self.keys}) > 1 or len({one.key.public for one in self.keys}) < len(self.keys):
            raise BadLogKeys("a log's keys all bear its origin as their name, and differ")
        if any(one.key.algorithm != note.ED25519 for one in self.keys):
            raise BadLogKeys("a cosigner's key is no log's key")

    @property
    def origin(self) -> str:
        """The log's name, which its keys bear and its checkpoints begin with."""
        return self.keys[-1].key.name

    @classmethod
    def parse(cls, text: str) -> "LogKeys":
        """Read a line for each key.

        Raises:
            BadLogKeys, note.BadKey.
        """
        return cls(tuple(LogKey.parse(line) for line in text.splitlines()))

    def __str__(self) -> str:
        return "".join(f"{one}\n" for one in self.keys)

    def in_force(self, size: int) -> LogKey:
        """Return the one key that may sign for a log of this size."""
        return next(one for one in self.keys if one.last_size is None or size <= one.last_size)

    def rotated(self, new: VerifierKey, last: Checkpoint) -> "LogKeys":
        """Retire the key in force with the last checkpoint that it signed. The next leaf should tell of it.

        Raises:
            BadLogKeys: the checkpoint is another log's, or no newer than the previous rotation.
        """
        if last.origin != self.origin:
            raise BadLogKeys("the last checkpoint is another log's")
        retired = replace(self.keys[-1], last_size=last.size, last_root=last.root)
        return LogKeys((*self.keys[:-1], retired, LogKey(new)))

    def sign(self, checkpoint: Checkpoint, signer: Signer) -> Note:
        """Sign a checkpoint of this log, and verify what the signer made of it.

        That the checkpoint is consistent with every earlier one is for the caller to know.

        Raises:
            BadCheckpoint: of another log, or with extensions, which nobody can audit.
            KeyNotInForce, OtherRoot.
            note.BadSignature, note.NotSigned: the signer is out of order.
        """
        if checkpoint.extensions:
            raise BadCheckpoint("our checkpoints have no extensions")
        if signer.key != self.in_force(checkpoint.size).key:
            raise KeyNotInForce("the signer's key is not in force at this size")
        signed = note.sign(checkpoint.text, signer)
        self.open(signed.encode())
        return signed

    def open(self, raw: bytes, witnesses: Sequence[VerifierKey] = ()) -> Opened:
        """Read a checkpoint and verify that the log signed it, with the key in force at its size.

        A checkpoint of before a rotation is as good as its key was. Whoever fears that the key was stolen also asks for
        a consistency proof from that checkpoint to a newer one.

        Args:
            raw: the whole note.
            witnesses: cosigners' keys that the caller knows; how many of them are enough is for the caller to say.

        Raises:
            note.BadNote: no note, not signed by the log at all, or a known key's signature does not hold.
            BadCheckpoint: signed, but no checkpoint, or of another log.
            KeyNotInForce: signed by another of the log's keys.
            OtherRoot: of the size at which a key was retired, with another root.
        """
        if any(one.algorithm != note.COSIGNATURE for one in witnesses):
            raise note.BadKey("a witness's key is a cosigner's")
        parsed = Note.parse(raw)
        signed = parsed.verified([*(one.key for one in self.keys), *witnesses])
        checkpoint = Checkpoint.parse(parsed.text)
        self._check(checkpoint, [one.by for one in signed])
        return Opened(checkpoint, parsed, tuple(one for one in signed if one.by in witnesses))

    def _check(self, checkpoint: Checkpoint, signed_by: Sequence[VerifierKey]) -> None:
        if checkpoint.origin != self.origin:
            raise BadCheckpoint("the checkpoint is another log's")
        expected = self.in_force(checkpoint.size)
        if not any(one.key in signed_by for one in self.keys):
            raise note.NotSigned("witnesses signed the checkpoint, the log did not")
        if expected.key not in signed_by:
            raise KeyNotInForce("the key that signed was not the log's at this size")
        if checkpoint.size == expected.last_size and checkpoint.root != expected.last_root:
            raise OtherRoot("the log ended with another root when this key was retired")


def _b64(value: bytes) -> str:
    return b64encode(value).decode()
