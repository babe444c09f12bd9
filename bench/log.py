"""log.*: how fast events are sealed and published, and what sealing costs those who pay meanwhile.

Setting   log.seal: a backlog of events, one sealer, all that it does until the checkpoint is on the disk, flushes included.
          log.payments_with_sealer: sixteen clients pay, in turn without the sealer and beside it, at its own pace; what the
          slices without it left behind is sealed before the clock runs.
"""

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

import psycopg

from bench import fill, flush, ours
from bench.crew import Crew, Pace, compare
from bench.figures import Figure, against
from wallet import db
from wallet.config import Config
from wallet.log import keyring
from wallet.log.published import PublishedLog
from wallet.log.sealer import INDEX_EVERY_S, PUBLISH_EVERY_S, Sealer

ACCOUNTS_OF_A_CLIENT: Final = 100
POSTINGS: Final = 100_000
"""Of the backlog; some 55,000 events."""

ORIGIN: Final = "bench.example/log"


def measure(config: Config, url: str, pace: Pace, *, postings: int = POSTINGS) -> list[Figure]:
    """Measure and return the figures.

    Args:
        config: of a migrated, empty database.
        url: the superuser's, of the same.
        pace: how long to measure payments.
        postings: about how many fill the backlog.
    """
    flush.require_durable(config.database_url)
    fill.city(url, wallets=pace.clients * ACCOUNTS_OF_A_CLIENT, postings=postings)
    with own_folder(config.var_dir) as var_dir:
        return [*_seal(config, url, var_dir), *_payments(config, url, var_dir, pace)]


def _seal(config: Config, url: str, var_dir: Path) -> Iterator[Figure]:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE ledger.event")
    with _sealer(config, var_dir) as sealer:
        began, cpu = time.perf_counter(), time.process_time()
        while sealer.seal():
            pass
        sealer.publish()
        took, own = time.perf_counter() - began, time.process_time() - cpu
        yield Figure(name="log.seal", value=round(sealer.size / took, 1), unit="events/s")
        yield Figure(name="log.seal.cpu", value=round(own / sealer.size * 1e6, 1), unit="µs/event")


def _payments(config: Config, url: str, var_dir: Path, pace: Pace) -> Iterator[Figure]:
    people = fill.payers(url, pace.clients * ACCOUNTS_OF_A_CLIENT)
    groups = [
        (own, [payer.account for payer in own])
        for own in (people[start :: pace.clients] for start in range(pace.clients))
    ]
    crew = Crew("without the sealer", pace.clients, ours.transfers(config, groups))
    beside = _Beside(crew, config, var_dir)
    try:
        rates = compare([crew, beside], pace)
    finally:
        beside.close()
        crew.close()
    yield against("log.payments_with_sealer", rates[beside.name], "1/s", crew.name, rates[crew.name])


class _Beside:
    """A crew with a sealer at work beside it, in a process of its own; between slices the sealer rests."""

    name = "with the sealer"

    def __init__(self, crew: Crew, config: Config, var_dir: Path) -> None:
        self._crew = crew
        context = multiprocessing.get_context("fork")
        self._works, self._rests, self._ends = context.Event(), context.Event(), context.Event()
        signs = (self._works, self._rests, self._ends)
        self._process = context.Process(target=_work, args=(config, var_dir, *signs), daemon=True)
        self._process.start()

    def slice(self, seconds: float) -> float:
        """Seal what is left over, then measure."""
        self._rests.clear()
        self._works.set()
        self._rests.wait()  # the backlog is sealed
        try:
            return self._crew.slice(seconds)
        finally:
            self._works.clear()

    def close(self) -> None:
        """End the sealer."""
        self._ends.set()
        self._works.set()
        self._process.join()


def _work(config: Config, var_dir: Path, works: Event, caught_up: Event, ends: Event) -> None:
    """Be the sealer's process: as `Sealer.run`, but that it rests when it is told to."""
    with _sealer(config, var_dir) as sealer:
        publish_at = 0.0
        while not ends.is_set():
            works.wait()
            if not sealer.seal():
                caught_up.set()
            if time.monotonic() >= publish_at:
                sealer.publish()
                publish_at = time.monotonic() + PUBLISH_EVERY_S
            ends.wait(INDEX_EVERY_S)


@contextmanager
def _sealer(config: Config, var_dir: Path) -> Iterator[Sealer]:
    keyring.make(var_dir, ORIGIN)
    engine = db.engine(config.database_url, name="bench-sealer")
    published = PublishedLog(keyring.folder(var_dir))
    sealer = Sealer(engine, published, keyring.keys(var_dir), keyring.signer(var_dir))
    try:
        sealer.start()
        yield sealer
    finally:
        sealer.close()
        engine.dispose()


@contextmanager
def own_folder(beside: Path) -> Iterator[Path]:
    """Have a VAR_DIR of the bench's own, on the same disk as the database."""
    beside.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-log-", dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
