"""Prove the books: `make prove`. Exits with 0 when nothing differs, else with 1 after naming each difference.

How     Everything reads one snapshot of the database, as the audit role, which can write nothing. The questions are asked of
        the database; what is stored word for word (orders, signatures, events) is walked over, by a process for each
        processor where there is much of it. Nothing is kept in memory but the differences.

With `--incremental` it goes on from the closed period up to which the last clean proof has proven the books, kept in
`proven.json`.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Final, TextIO

import sqlalchemy as sa

from wallet import accounts, db, holds, mandates, refunds, transfers
from wallet.bills import proof as bills
from wallet.cards import proof as cards
from wallet.config import postgres_url
from wallet.identity import proof as identity
from wallet.ledger import proof
from wallet.ledger.proof import Base, Difference, Part
from wallet.log import proof as log_proof
from wallet.log.checkpoint import Checkpoint
from wallet.log.proof import Shown
from wallet.log.visible import visible

PROVEN_CHECKPOINT: Final = "proven.checkpoint"
"""The log's checkpoint that the last clean proof has proven: every later one holds the log against it."""


Questions = dict[str, str]
"""By the code of a difference, the question that finds such."""


def books(
    connection: sa.Connection, *, since: Base | None = None, more: Sequence[Questions] = ()
) -> Iterator[Difference]:
    """Yield every difference in the books; the connection's transaction is the snapshot that is proved.

    Args:
        connection: of the audit role.
        since: what an earlier proof has proven; None: from the first posting.
        more: what other packages ask of their own tables.
    """
    yield from _asked(connection, since, more)
    yield from proof.contents(connection, since=since)


def _asked(connection: sa.Connection, since: Base | None, more: Sequence[Questions]) -> Iterator[Difference]:
    """Yield what the database itself can tell."""
    yield from proof.ledger(connection, since=since)
    yield from proof.differences(connection, identity.QUESTIONS)
    for verbs in (transfers, holds, mandates, refunds, accounts):
        yield from proof.differences(connection, verbs.QUESTIONS)
    for questions in (bills.QUESTIONS, cards.QUESTIONS, *more):
        yield from proof.differences(connection, questions)


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


ALONE_BELOW: Final = 20_000
"""Orders and events that one process walks over in the time in which others would start."""

BAR_EVERY_S: Final = 0.2
_BAR_WIDTH: Final = 30


class _Walked:
    """How many rows all processes have walked over."""

    def __init__(self) -> None:
        self.count = _SPAWN.Value("q", 0)

    def tick(self, rows: int) -> None:
        with self.count:
            self.count.value += rows


_SPAWN: Final = multiprocessing.get_context("spawn")
"""Not a fork: a database connection must not be in two processes."""

_walked: _Walked | None = None
"""Of a process that walks over a part: set once, as it starts."""


def _start(walked: _Walked) -> None:
    global _walked
    _walked = walked


def _part(url: str, snapshot_id: str, since: Base | None, part: Part) -> list[Difference]:
    """Walk over a part of what is stored word for word, in the snapshot of the process that asks."""
    assert _walked is not None, "set as this process started"
    with snapshot(db.engine(url, name=f"prove-{part.number}")).connect() as connection:
        connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot_id}'")
        connection.exec_driver_sql("SET statement_timeout = 0")
        return list(proof.contents(connection, since=since, part=part, tick=_walked.tick))


def at_once(
    connection: sa.Connection,
    url: str,
    *,
    since: Base | None,
    processes: int,
    bar: "Bar",
    more: Sequence[Questions] = (),
) -> Iterator[Difference]:
    """Yield what `books` yields, the walk divided among processes.

    Args:
        connection: of the audit role, in the snapshot that is proved, which has to stay as long as this is read from.
        url: of the audit role.
        since: as in `books`.
        processes: how many.
        bar: shown meanwhile.
        more: as in `books`.
    """
    connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")  # it waits for the others
    id = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    with (
        bar.drawn(),
        ProcessPoolExecutor(processes, _SPAWN, initializer=_start, initargs=(bar.walked,)) as pool,
    ):
        parts = [pool.submit(_part, url, id, since, Part(number, processes)) for number in range(processes)]
        yield from _asked(connection, since, more)
        for part in parts:
            yield from part.result()


class Bar:
    """How far the walk is, on a terminal; silent elsewhere."""

    def __init__(self, rows: int, *, to: TextIO) -> None:
        self.walked = _Walked()
        self._rows, self._to, self._begun = max(1, rows), to, time.monotonic()

    @contextlib.contextmanager
    def drawn(self) -> Iterator[None]:
        """Draw it every now and then, whatever else is waited for: the database's own questions take minutes."""
        done = threading.Event()

        def draw() -> None:
            while not done.wait(BAR_EVERY_S):
                self.show()

        thread = threading.Thread(target=draw, daemon=True)
        if self._to.isatty():
            thread.start()
        try:
            yield
        finally:
            done.set()
            if thread.is_alive():
                thread.join()
            self.clear()

    def show(self) -> None:
        """Draw it, over where it was drawn before."""
        share = min(1.0, self.walked.count.value / self._rows)
        filled = "█" * round(share * _BAR_WIDTH)
        seconds = time.monotonic() - self._begun
        self._to.write(f"\r{filled:░<{_BAR_WIDTH}} {share:4.0%} of {self._rows:,} orders and events, {seconds:.0f} s ")
        self._to.flush()

    def clear(self) -> None:
        """Leave the line empty for what is to be said."""
        if self._to.isatty():
            self._to.write("\r\033[K")


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


def tell(difference: Difference) -> None:
    """Say a difference on one line, whatever a tamperer wrote into the database."""
    print(difference.code, visible(str(difference.subject)), visible(difference.detail), sep="\t")


def main(arguments: Sequence[str] = tuple(sys.argv[1:]), *, more: Sequence[Questions] = ()) -> int:
    """Prove the configured books and say so; `more` is what other packages ask."""
    parser = argparse.ArgumentParser(prog="make prove", description="Recompute the books and name every difference.")
    parser.add_argument(
        "--incremental", action="store_true", help="go on from what the last clean proof has proven, if there is any"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="that walk over the orders and events (%(default)s)"
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a checkpoint of the log that somebody saved"
    )
    asked = parser.parse_args(arguments)
    url = postgres_url("AUDIT_DATABASE_URL", os.environ.get("AUDIT_DATABASE_URL", ""))
    var_dir = Path(os.environ.get("VAR_DIR", "var"))
    file, checkpoint = var_dir / "proven.json", var_dir / PROVEN_CHECKPOINT
    since = remembered(file) if asked.incremental else None
    try:
        saved = [path.read_bytes() for path in asked.checkpoint]
    except OSError as fault:
        parser.error(f"{fault.filename}: {fault.strerror}")
    saved += [checkpoint.read_bytes()] if checkpoint.exists() else []
    shown = Shown.read(var_dir)
    started, found = time.monotonic(), 0
    with snapshot(db.engine(url, name="prove")).connect() as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        rows, processes = sum(proof.counts(connection)[one] for one in ("authority", "event")), asked.processes
        bar = Bar(rows, to=sys.stderr)
        differences = (
            at_once(connection, url, since=since, processes=processes, bar=bar, more=more)
            if processes > 1 and rows >= ALONE_BELOW
            else books(connection, since=since, more=more)
        )
        for difference in differences:
            found += 1
            bar.clear()
            tell(difference)
        has_log = log_proof.has_begun(connection, shown)
        if has_log:
            known = shown.opened(checkpoint.read_bytes()) if asked.incremental and checkpoint.exists() else None
            for difference in log(connection, shown, saved=saved, since=known):
                found += 1
                tell(difference)
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
