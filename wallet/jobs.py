"""The worker: what is done in the background. Any number may run; each job locks what it touches.

Jobs    fold    keep the unfolded tail short: deltas move into their balance rows
        sweep   delete sessions, codes and counters that have run out
"""

import logging
import threading
import time
from typing import Final

import sqlalchemy as sa

from wallet import clock, db, ledger
from wallet.config import Config
from wallet.identity import sessions
from wallet.ledger import guard

log = logging.getLogger("wallet.worker")

FOLD_EVERY_S: Final = 0.5
FOLD_ACCOUNTS: Final = 200
"""Accounts folded in one unit: short locks, and nothing that a payment would notice."""
SWEEP_EVERY_S: Final = 300.0


class Worker:
    """Runs the jobs until it is told to stop."""

    def __init__(self, config: Config) -> None:
        self.database = db.engine(config.database_url, name="worker")
        with self.database.connect() as connection:
            guard.check(connection, may_execute=True)

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set. A database that is away is waited for, not died of."""
        sweep_at = time.monotonic()
        while not stop.is_set():
            try:
                folded = db.unit(self.database, lambda unit: ledger.fold(unit, accounts=FOLD_ACCOUNTS))
                if time.monotonic() >= sweep_at:
                    db.unit(self.database, lambda unit: sessions.sweep(unit, now=clock.now()))
                    sweep_at = time.monotonic() + SWEEP_EVERY_S
                pause = 0.0 if folded and self._more() else FOLD_EVERY_S
            except sa.exc.SQLAlchemyError:
                log.exception("the database did not answer; trying again")
                pause = 2.0
            stop.wait(pause)

    def _more(self) -> bool:
        with self.database.connect() as connection:
            waiting = connection.exec_driver_sql(
                "SELECT count(*) FROM (SELECT 1 FROM ledger.delta LIMIT 5000) AS d"
            ).scalar_one()
        return int(waiting) >= 5000
