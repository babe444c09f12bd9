"""The log's own keys on this machine: the secret one, and the list of all that there have been.

What    VAR_DIR/log.key is the private key, for its owner only; VAR_DIR/log/keys is the list that auditors are given.
        Whoever keeps the key in hardware gives the sealer another `note.Signer`; nothing else here changes.
Rule    Rotating is written in an order that a crash cannot spoil: the new key, then the list that puts it in force, then the
        new key in the old one's place. A key in force that waits under its other name is found and put there.
"""

import os
from pathlib import Path
from typing import Final

from wallet.log.checkpoint import Checkpoint, LogKey, LogKeys
from wallet.log.note import FileSigner
from wallet.log.published import FOLDER

PRIVATE: Final = "log.key"
KEYS: Final = "keys"
FORMER: Final = "former"
"""Beside the list: the logs that this one succeeded, by number, each with its own."""
WITNESSES: Final = "witnesses"
"""Beside the list: the verifier keys of the witnesses whose cosignatures the service collects, a line each."""


class NoKey(Exception):
    """The log has no key here, or not the one that is in force. Its text is one line for whoever runs the service."""


def folder(var_dir: Path) -> Path:
    """Return where the log is published below VAR_DIR."""
    return var_dir / FOLDER


def keys(var_dir: Path) -> LogKeys:
    """Read the list of the log's keys.

    Raises:
        NoKey: there is none.
        checkpoint.BadLogKeys, note.BadKey: it is damaged.
    """
    try:
        return LogKeys.parse((folder(var_dir) / KEYS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoKey(
            f"{folder(var_dir) / KEYS} is missing: `python -m wallet.run.log make` makes the log's key."
        ) from None


def signer(var_dir: Path) -> FileSigner:
    """Read the private key that is in force, and put it in its place if a rotation was cut short.

    Raises:
        NoKey, checkpoint.BadLogKeys, note.BadKey.
    """
    in_force = keys(var_dir).keys[-1].key
    for path in (var_dir / PRIVATE, _waiting(var_dir)):
        if path.exists():
            found = FileSigner.parse(path.read_text(encoding="utf-8").strip())
            if found.key == in_force:
                path.replace(var_dir / PRIVATE)
                return found
    raise NoKey(f"{var_dir / PRIVATE} is not the key in force, {in_force}.")


def origin(public_origin: str) -> str:
    """Return what a new log is called: its public host and path, without a scheme, as logs are."""
    return f"{public_origin.partition('://')[2]}/{FOLDER}"


def make(var_dir: Path, origin: str) -> LogKeys:
    """Make a log's first key, unless there is one; returns the list.

    Args:
        var_dir: VAR_DIR.
        origin: the log's name for ever: its public host and path, such as `wallet.hue.example/log`.
    """
    if (folder(var_dir) / KEYS).exists():
        return keys(var_dir)
    fresh = FileSigner.generate(origin)
    made = LogKeys((LogKey(fresh.key),))
    _write(var_dir / PRIVATE, fresh.secret_text(), mode=0o600)
    _write(folder(var_dir) / KEYS, str(made), mode=0o644)
    return made


def rotate(var_dir: Path, last: Checkpoint) -> LogKeys:
    """Retire the key in force with the last checkpoint that it signed, and put a new one in force; returns the list.

    Nothing may be published meanwhile. The next leaf should tell of it, and auditors are given the new list.

    Raises:
        NoKey; checkpoint.BadLogKeys: another log's checkpoint, or nothing was published since the last rotation.
    """
    signer(var_dir)  # also finishes a rotation that was cut short
    fresh = FileSigner.generate(keys(var_dir).origin)
    rotated = keys(var_dir).rotated(fresh.key, last)
    _write(_waiting(var_dir), fresh.secret_text(), mode=0o600)
    _write(folder(var_dir) / KEYS, str(rotated), mode=0o644)
    signer(var_dir)
    return rotated


def _waiting(var_dir: Path) -> Path:
    return var_dir / f"{PRIVATE}.next"


def _write(path: Path, text: str, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
