"""The worker: what is done in the background. Any number may run; each job locks what it touches.

Jobs    fold     keep the unfolded tail short: deltas move into their balance rows
        lapse    release the holds whose time is over
        cards    carry on with the card processor what is under way, and read its account; apart, because it may not answer
        nightly  sweep what was collected for agencies into its own bank account, then close the day
        rules    tell in the log which rules and tariffs the service works by, when they have changed
        sweep    delete sessions, codes and counters that have run out
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from wallet import city, clock, db, holds, inforce, ledger, periods
from wallet.cards import opening, rounds
from wallet.cards.till import Target
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
CARDS_EVERY_S: Final = 1.0
CARDS_ACCOUNT_EVERY_S: Final = 20.0
APART_ENDS_S_MAX: Final = 20.0
"""What talks to others ends with its call, which waits for no answer longer than this."""
SWEEP_EVERY_S: Final = 300.0
RULES_EVERY_S: Final = 3600.0
"""The files are read when the process starts; this is for a database that was away then."""
TROUBLE_PAUSE_S: Final = 2.0


class Worker:
    """Runs the jobs until it is told to stop."""

    def __init__(self, config: Config, payable: Mapping[str, Target] | None = None) -> None:
        """Connect.

        Args:
            config: the environment's.
            payable: what cards can pay of other packages, by purpose.
        """
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
        self._till = opening.of(config, self.database, more=payable)
        self._apart: tuple[tuple[float, Callable[[], object]], ...] = (
            ((CARDS_EVERY_S, self.cards_soon), (CARDS_ACCOUNT_EVERY_S, self.cards_later)) if self._till else ()
        )

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set. A database that is away is waited for, not died of."""
        faults: list[Exception] = []

        def work_apart() -> None:
            try:
                _loop(self._apart, stop)
            except Exception as fault:  # noqa: BLE001 - a bug ends the process, as it does in the other thread
                faults.append(fault)
                stop.set()

        apart = threading.Thread(target=work_apart, daemon=True)
        if self._apart:
            apart.start()
        _loop(self._jobs, stop)
        if self._apart:
            apart.join(APART_ENDS_S_MAX)
        if faults:
            raise faults[0]

    def cards_soon(self) -> None:
        """Carry on what is under way with the card processor."""
        if self._till:
            rounds.soon(self._till, now=clock.now())

    def cards_later(self) -> None:
        """Read our account at the card processor."""
        if self._till:
            rounds.later(self._till, now=clock.now())

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


def _loop(jobs: Sequence[tuple[float, Callable[[], object]]], stop: threading.Event) -> None:
    """Do each job every so often until `stop` is set."""
    due = [0.0] * len(jobs)
    while not stop.is_set():
        for number, (every, job) in enumerate(jobs):
            if stop.is_set() or time.monotonic() < due[number]:
                continue
            try:
                job()
                due[number] = time.monotonic() + every
            except (sa.exc.SQLAlchemyError, PostingStopped):
                log.exception("the database did not answer, or posting is stopped; trying again")
                due[number] = time.monotonic() + max(every, TROUBLE_PAUSE_S)
        stop.wait(max(0.0, min(due) - time.monotonic()))
