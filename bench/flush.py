"""A slower disk: every flush of the log takes a millisecond longer, durability stays on.

How     `commit_delay` makes whoever flushes sleep first, while it holds the lock that all committers wait for; with
        `commit_siblings = 0` it does so also when nobody else is about to commit. That is a slow disk as the server sees it:
        one flush at a time, and whoever comes meanwhile shares the next. Set for the given databases only, for sessions
        that begin afterwards; a running city in the same cluster does not notice.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import sql

from wallet.run.faults import Fault

DELAY_US: Final = 1_000
_SETTINGS: Final = {"commit_delay": DELAY_US, "commit_siblings": 0}
_DURABLE: Final = ("fsync", "synchronous_commit", "full_page_writes")


@contextmanager
def slowed(superuser_url: str, databases: Sequence[str]) -> Iterator[None]:
    """Have slow flushes in sessions that connect to these databases while the block runs."""
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        for database in databases:
            for name, value in _SETTINGS.items():
                _alter(admin, database, sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    try:
        yield
    finally:
        with psycopg.connect(superuser_url, autocommit=True) as admin:
            for database in databases:
                for name in _SETTINGS:
                    _alter(admin, database, sql.SQL("RESET {}").format(sql.Identifier(name)))


def require_durable(url: str) -> None:
    """Refuse to measure a server that may forget what it acknowledged.

    Raises:
        Fault: naming the setting.
    """
    with psycopg.connect(url) as connection:
        for name in _DURABLE:
            row = connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
            if row != ("on",):
                raise Fault(f"{name} is {row[0] if row else 'unknown'}: nothing is measured without durability.")


def count(superuser_url: str) -> int:
    """Return how often the server's sessions have flushed the log so far."""
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        row = admin.execute(
            "SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io"
            " WHERE object = 'wal' AND backend_type = 'client backend'"
        ).fetchone()
    return int(row[0]) if row else 0


def _alter(admin: psycopg.Connection, database: str, what: sql.Composed) -> None:
    admin.execute(sql.SQL("ALTER DATABASE {} {}").format(sql.Identifier(database), what))
