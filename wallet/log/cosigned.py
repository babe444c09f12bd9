"""Cosignatures handed in: which witnesses' count, and whether what they signed is what this log published."""

from pathlib import Path

import sqlalchemy as sa

from wallet.log import keyring, tables
from wallet.log.checkpoint import BadCheckpoint
from wallet.log.note import BadKey, BadNote, VerifierKey


class NotCosigned(ValueError):
    """What was handed in is no checkpoint that this log and a known witness have signed."""


class UnknownCheckpoint(ValueError):
    """The log signed a checkpoint of this size, but not this one; or has not recorded it yet. `forked` says which."""

    def __init__(self, size: int, *, forked: bool) -> None:
        super().__init__(f"{size} leaves: {'another root was published' if forked else 'not recorded yet'}")
        self.forked = forked


def witnesses(var_dir: Path) -> tuple[VerifierKey, ...]:
    """Read the keys of the witnesses whose cosignatures count: a line each in VAR_DIR/log/witnesses; without it, none.

    Raises:
        BadKey: a line is none.
    """
    path = keyring.folder(var_dir) / keyring.WITNESSES
    if not path.exists():
        return ()
    return tuple(VerifierKey.parse(line) for line in path.read_text(encoding="utf-8").split("\n") if line)


def accept(unit: sa.Connection, raw: bytes, var_dir: Path) -> list[str]:
    """Keep the cosignatures of a checkpoint that this log published; returns which witnesses'.

    Args:
        unit: an open unit.
        raw: the checkpoint's whole note, with the log's signature and a witness's under it.
        var_dir: where the log's keys and the witnesses' are.

    Raises:
        NotCosigned, UnknownCheckpoint: nothing was kept.
    """
    try:
        opened = keyring.keys(var_dir).open(raw, witnesses(var_dir))
    except (BadNote, BadCheckpoint, BadKey) as fault:
        raise NotCosigned(str(fault)) from fault
    if not opened.witnesses:
        raise NotCosigned("no witness that this log knows has signed")
    size, columns = opened.checkpoint.size, tables.checkpoint.c
    root = unit.execute(sa.select(columns.root).where(columns.size == size)).scalar()
    if root != opened.checkpoint.root:
        raise UnknownCheckpoint(size, forked=root is not None)
    lines = {(one.name, one.id): one.line.removesuffix("\n") for one in opened.note.signatures}
    for one in opened.witnesses:
        unit.exec_driver_sql("SELECT log.cosign(%s, %s, %s)", (size, one.by.name, lines[one.by.name, one.by.id]))
    return [one.by.name for one in opened.witnesses]
