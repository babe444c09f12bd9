"""What is done to the log by hand: `python -m wallet.run.log COMMAND`, while the sealer is stopped.

make               make the log's first key; the demo's is made by itself
rotate             retire the key in force, and put a new one in force
rebuild            write every tile and bundle anew from the leaves
replay             after a restore: bring the leaves that were published, and events that were lost, back from the bundles
open               let posting begin again, once the log is whole
succeed ORIGIN     begin another log that names the last checkpoint of this one
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from wallet import clock, db, ledger, prove
from wallet.config import Config, ConfigError
from wallet.events import Event
from wallet.log import keyring
from wallet.log.checkpoint import BadCheckpoint, BadLogKeys, Checkpoint, LogKeys
from wallet.log.keyring import NoKey
from wallet.log.note import BadKey, BadNote, FileSigner
from wallet.log.published import CHECKPOINT, NotPublished, PublishedLog
from wallet.log.replay import Lost, NotReplayable, replay
from wallet.log.sealer import Contradicted, Sealer
from wallet.log.shelf import Shelf, Taken
from wallet.run.environment import city
from wallet.run.faults import Fault
from wallet.run.roles import OWNER

_LOST: Final = """\
{said} Of these, {count} events had been lost by the database: they are back in the log, listed in {file},
and what they tell of is not back in the books. Posting stays stopped. Recover the books to the end of their write-ahead log
if you can; else enter again what is listed. `make prove` names what is missing. Then: python -m wallet.run.log open"""


def last_checkpoint(config: Config) -> Checkpoint:
    """Return the checkpoint that was published last, verified.

    Raises:
        Fault: there is none.
        NoKey, BadNote, BadCheckpoint.
    """
    signed = PublishedLog(keyring.folder(config.var_dir)).checkpoint()
    if signed is None:
        raise Fault("Nothing has been published yet.")
    return keyring.keys(config.var_dir).open(signed).checkpoint


def tell_of_rotation(database: sa.Engine, keys: LogKeys) -> None:
    """Tell of the newest rotation in the log itself, once."""
    if len(keys.keys) == 1:
        return
    retired, new = keys.keys[-2:]
    told = Event(type="log.key_rotated", subject=str(new.key), data={"keys": str(keys), "retired": str(retired.key)})

    def work(unit: sa.Connection) -> None:
        known = "SELECT 1 FROM ledger.event WHERE subject = %s AND type = %s"
        if not unit.exec_driver_sql(known, (told.subject, told.type)).first():
            ledger.tell(unit, told, actor=None, at=clock.now())

    db.unit(database, work)


def make(config: Config, _: argparse.Namespace) -> str:
    """Make the first key."""
    made = keyring.make(config.var_dir, keyring.origin(config.public_origin))
    return f"The log's keys, to be given to auditors:\n{made}"


def rotate(config: Config, _: argparse.Namespace) -> str:
    """Put a new key in force."""
    rotated = keyring.rotate(config.var_dir, last_checkpoint(config))
    with _engine(config.database_url) as database:
        tell_of_rotation(database, rotated)
    return f"The log's keys, to be given to auditors in place of the former list:\n{rotated}"


def rebuild(config: Config, _: argparse.Namespace) -> str:
    """Write the tiles anew."""
    with _engine(config.database_url) as database:
        sealer = Sealer(
            database,
            PublishedLog(keyring.folder(config.var_dir)),
            keyring.keys(config.var_dir),
            keyring.signer(config.var_dir),
        )
        try:
            sealer.start(anew=True)
        finally:
            sealer.close()
    return f"The tiles of {sealer.size} leaves were written anew; every root is the one that was signed."


def bring_back(config: Config, _: argparse.Namespace) -> str:
    """Bring leaves back from the bundles. Posting begins again if no event had been lost with them."""
    last, published = last_checkpoint(config), PublishedLog(keyring.folder(config.var_dir))
    with _owner(config) as unit:
        found = replay(unit, published, last)
        data = {"from": str(found.had), "to": str(last.size), "events": str(len(found.lost))}
        ledger.tell(unit, Event(type="log.replayed", subject=last.origin, data=data), actor=None, at=clock.now())
        if not found.lost:
            _open(unit)
    said = f"{last.size - found.had} leaves were brought back."
    if not found.lost:
        return f"{said} No event was lost; posting is open."
    return _LOST.format(said=said, count=len(found.lost), file=_write_down(config, found.lost))


def reopen(config: Config, _: argparse.Namespace) -> str:
    """Let posting begin again.

    Raises:
        Fault: the log has published what the database has not.
    """
    last = last_checkpoint(config)
    with _owner(config) as unit:
        size = int(unit.exec_driver_sql("SELECT coalesce(max(index) + 1, 0) FROM log.leaf").scalar_one())
        if size < last.size:
            raise Fault(
                f"{last.size} leaves are published and the database has {size}: replay them, or succeed this log."
            )
        ledger.tell(unit, Event(type="log.posting_opened", subject=last.origin), actor=None, at=clock.now())
        _open(unit)
    return "Posting is open."


def succeed(config: Config, asked: argparse.Namespace) -> str:
    """Begin another log, whose first new leaf names the last checkpoint of this one. What can be refused is before a file of
    the former one is moved.
    """
    last = last_checkpoint(config)
    folder = keyring.folder(config.var_dir)
    lists = [path.read_text(encoding="utf-8") for path in folder.glob(f"{keyring.FORMER}/*/{keyring.KEYS}")]
    if asked.origin in {last.origin, *(LogKeys.parse(one).origin for one in lists)}:
        raise Fault(f"Another log has another origin than {asked.origin}: a witness would take it for a fork.")
    FileSigner.generate(asked.origin)  # a key that could not bear this name
    with _owner(config) as unit:
        _open(unit)
        former, made = _make_former(config, asked.origin)
        data = {"checkpoint": last.text, "key": str(made)}
        ledger.tell(unit, Event(type="log.succeeded", subject=last.origin, data=data), actor=None, at=clock.now())
    return f"The former log lies in {former}. Posting is open. The new log's keys, to be given to auditors:\n{made}"


def _make_former(config: Config, origin: str) -> tuple[Path, LogKeys]:
    """Put the log's files among those of former logs, and make the first key of the next one."""
    folder = keyring.folder(config.var_dir)
    former = folder / keyring.FORMER / str(len(list(folder.glob(f"{keyring.FORMER}/*"))) + 1)
    former.mkdir(parents=True)
    for name in (keyring.KEYS, "tile", CHECKPOINT):  # the keys first: without them nothing is signed any more
        with contextlib.suppress(FileNotFoundError):
            (folder / name).rename(former / name)
    with contextlib.suppress(FileNotFoundError):  # of a log that lost leaves, `prove` would name the loss for ever
        (config.var_dir / prove.PROVEN_CHECKPOINT).rename(former / prove.PROVEN_CHECKPOINT)
    return former, keyring.make(config.var_dir, origin)


COMMANDS: Final[dict[str, Callable[[Config, argparse.Namespace], str]]] = {
    "make": make,
    "rotate": rotate,
    "rebuild": rebuild,
    "replay": bring_back,
    "open": reopen,
    "succeed": succeed,
}


def _write_down(config: Config, lost: list[Lost]) -> Path:
    path = config.var_dir / "lost-events.ndjson"
    path.write_bytes(b"".join(one.entry + b"\n" for one in lost))
    path.chmod(0o600)
    return path


def _open(unit: sa.Connection) -> None:
    unit.exec_driver_sql("ALTER TABLE ledger.authority DISABLE TRIGGER posting_stopped")


@contextlib.contextmanager
def _engine(url: str) -> Iterator[sa.Engine]:
    engine = db.engine(url, name="log")
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _owner(config: Config) -> Iterator[sa.Connection]:
    """Have one transaction as the owner: what is done here, no process of the service may do."""
    if config.migrator_database_url is None:
        raise Fault("MIGRATOR_DATABASE_URL is not set.")
    with _engine(config.migrator_database_url) as engine, engine.begin() as unit:
        unit.exec_driver_sql(f"SET LOCAL ROLE {OWNER}")
        unit.exec_driver_sql("SET LOCAL statement_timeout = 0")
        yield unit


def main(arguments: list[str]) -> int:
    """Do one thing and say what was done; what a person can mend is one line."""
    parser = argparse.ArgumentParser(
        prog="python -m wallet.run.log", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("origin", nargs="?", help="of the log that succeeds this one")
    asked = parser.parse_args(arguments)
    if (asked.command == "succeed") != (asked.origin is not None):
        parser.error("`succeed` asks for an origin, and nothing else does")
    try:
        with city(os.environ, make=False) as config, Shelf(keyring.folder(config.var_dir)).alone():
            print(COMMANDS[asked.command](config, asked))
    except Taken:
        print("The sealer is at work: stop it first (Ctrl-C where `make run` runs).", file=sys.stderr)
        return 1
    except (
        Fault, ConfigError, NoKey, Contradicted, NotReplayable, NotPublished, BadLogKeys, BadKey, BadNote, BadCheckpoint,
    ) as fault:  # fmt: skip
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
