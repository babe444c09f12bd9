"""The worker: what is done in the background. Any number may run; each job locks what it touches.

Jobs    fold     keep the unfolded tail short: deltas move into their balance rows
        lapse    release the holds whose time is over
        nightly  sweep what was collected for agencies into its own bank account, then close the day
        rules    tell in the log which rules and tariffs the service works by, when they have changed
        sweep    delete sessions, codes and counters that have run out
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from wallet import city, clock, db, holds, inforce, ledger, periods
from wallet.config import Config
from wallet.identity import sessions
from wallet.ledger import guard
from wallet.ledger.refusals import PostingStopped

log = logging.getLogger("wallet.worker")

FOLD_EVERY_S: Final = 0.5
FOLD_ACCOUNTS: Final = 200
"""Accounts folded in one unit: short locks, and nothing that a payment would notice."""
LAPSE_EVERY_S: Final = 1.0
NIGHTLY_EVERY_S: Final = 60.0
SWEEP_EVERY_S: Final = 300.0
RULES_EVERY_S: Final = 3600.0
"""The files are read when the process starts; this is for a database that was away then."""
TROUBLE_PAUSE_S: Final = 2.0


class Worker:
    """Runs the jobs until it is told to stop."""

    def __init__(self, config: Config) -> None:
        self.database = db.engine(config.database_url, name="worker")
        with self.database.connect() as connection:
            guard.check(connection, may_execute=True)
        self._city = city.load(config.city_file)
        self._folded_to: UUID | None = None
        self._jobs: tuple[tuple[float, Callable[[], object]], ...] = (
            (RULES_EVERY_S, self.tell_rules),
            (FOLD_EVERY_S, self.fold_round),
            (LAPSE_EVERY_S, self.lapse),
            (NIGHTLY_EVERY_S, self.nightly),
            (SWEEP_EVERY_S, self.sweep),
        )

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set. A database that is away is waited for, not died of."""
        due = [0.0] * len(self._jobs)
        while not stop.is_set():
            for number, (every, job) in enumerate(self._jobs):
                if stop.is_set() or time.monotonic() < due[number]:
                    continue
                try:
                    job()
                    due[number] = time.monotonic() + every
                except (sa.exc.SQLAlchemyError, PostingStopped):
                    log.exception("the database did not answer, or posting is stopped; trying again")
                    due[number] = time.monotonic() + max(every, TROUBLE_PAUSE_S)
            stop.wait(max(0.0, min(due) - time.monotonic()))

    def fold_round(self) -> int:
        """Fold every account that has deltas, a few at a time; returns how many deltas went."""
        went = 0
        while True:
            folded, self._folded_to = db.unit(
                self.database, lambda unit: ledger.fold(unit, after=self._folded_to, accounts=FOLD_ACCOUNTS)
            )
            went += folded
            if self._folded_to is None:
                return went

    def lapse(self) -> int:
        """Release the holds whose time is over; returns how many."""
        return holds.lapse_due(self.database, now=clock.now())

    def nightly(self) -> None:
        """Once the day is over: sweep the collections, close the day and, with the month's last day, the month."""
        periods.nightly(self.database, now=clock.now())

    def tell_rules(self) -> int:
        """Tell which rules and tariffs are new since it was told last; returns in how many events."""
        return db.unit(self.database, lambda unit: inforce.tell_changes(unit, self._city, now=clock.now()))

    def sweep(self) -> None:
        """Delete what has run out."""
        db.unit(self.database, lambda unit: sessions.sweep(unit, now=clock.now()))
