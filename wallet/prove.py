"""Prove the books: `make prove`. Exits with 0 when nothing differs, else with 1 after naming each difference.

With `--incremental` it goes on from the closed period up to which the last clean proof has proven the books, kept in
`proven.json`. It reads as the audit role, which can write nothing, in one snapshot of the database.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from wallet import accounts, db, holds, refunds, transfers
from wallet.bills import proof as bills
from wallet.config import postgres_url
from wallet.identity import proof as identity
from wallet.ledger import proof
from wallet.ledger.proof import Base, Difference
from wallet.log import proof as log_proof
from wallet.log.checkpoint import Checkpoint
from wallet.log.proof import Shown

PROVEN_CHECKPOINT: Final = "proven.checkpoint"
"""The log's checkpoint that the last clean proof has proven: every later one holds the log against it."""


def books(connection: sa.Connection, *, since: Base | None = None) -> Iterator[Difference]:
    """Yield every difference in the books; the connection's transaction is the snapshot that is proved.

    Args:
        connection: of the audit role.
        since: what an earlier proof has proven; None: from the first posting.
    """
    yield from proof.ledger(connection, since=since)
    yield from proof.differences(connection, identity.QUESTIONS)
    for verbs in (transfers, holds, refunds, accounts):
        yield from proof.differences(connection, verbs.QUESTIONS)
    yield from proof.differences(connection, bills.QUESTIONS)


def log(
    connection: sa.Connection, shown: Shown, *, saved: Sequence[bytes] = (), since: Checkpoint | None = None
) -> Iterator[Difference]:
    """Yield every difference between the events, their leaves, and what the log shows to everybody.

    Args:
        connection: as for `books`.
        shown: what was published, read before the snapshot was taken.
        saved: checkpoints from earlier, or from others.
        since: what an earlier proof has proven; None: from the first leaf.
    """
    for code, subject, detail in log_proof.log(connection, shown, saved=saved, since=since):
        yield Difference(code, subject, detail)


def snapshot(engine: sa.Engine) -> sa.Engine:
    """Return the engine as `books` wants it: one read-only snapshot, and as long as it takes."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def remembered(path: Path) -> Base | None:
    """Read what the last clean proof left behind, if there is any."""
    if not path.exists():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    return Base(
        ends=date.fromisoformat(said["ends"]),
        mark=int(said["mark"]),
        closed_at=datetime.fromisoformat(said["closed_at"]),
        digest=said["digest"],
    )


def remember(path: Path, base: Base) -> None:
    """Keep what was proven, for an incremental proof to go on from. Whoever runs the proof keeps this file to themselves."""
    said = {
        "ends": base.ends.isoformat(),
        "mark": str(base.mark),
        "closed_at": base.closed_at.isoformat(),
        "digest": base.digest,
    }
    path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> int:
    """Prove the configured books and say so."""
    parser = argparse.ArgumentParser(prog="make prove", description="Recompute the books and name every difference.")
    parser.add_argument(
        "--incremental", action="store_true", help="go on from what the last clean proof has proven, if there is any"
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a checkpoint of the log that somebody saved"
    )
    asked = parser.parse_args(arguments)
    url = postgres_url("AUDIT_DATABASE_URL", os.environ.get("AUDIT_DATABASE_URL", ""))
    var_dir = Path(os.environ.get("VAR_DIR", "var"))
    file, checkpoint = var_dir / "proven.json", var_dir / PROVEN_CHECKPOINT
    since = remembered(file) if asked.incremental else None
    saved = [path.read_bytes() for path in (*asked.checkpoint, checkpoint) if path in asked.checkpoint or path.exists()]
    shown = Shown.read(var_dir)
    started, found = time.monotonic(), 0
    with snapshot(db.engine(url, name="prove")).connect() as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        for difference in books(connection, since=since):
            found += 1
            print(f"{difference.code}\t{difference.subject}\t{difference.detail}")
        has_log = log_proof.has_begun(connection, shown)
        if has_log:
            known = shown.opened(checkpoint.read_bytes()) if asked.incremental and checkpoint.exists() else None
            for difference in log(connection, shown, saved=saved, since=known):
                found += 1
                print(f"{difference.code}\t{difference.subject}\t{difference.detail}")
        counts, proven = proof.counts(connection), proof.base(connection)
    looked = ", ".join(f"{count} {name}" for name, count in counts.items()) + ("" if has_log else ", no log yet")
    if found:
        print(f"NOT PROVED: {found} differences in {looked}.", file=sys.stderr)
        return 1
    if proven is not None:
        remember(file, proven)
    if shown.note is not None:
        checkpoint.write_bytes(shown.note)
    whence = f"what was proven by {since.ends:%d/%m/%Y}" if since else "the first posting"
    print(f"Proved from {whence} in {time.monotonic() - started:.1f} s: {looked}; no difference.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
