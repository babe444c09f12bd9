"""The database: one metadata for all tables, engines, and the unit of work.

Words   A unit is our database transaction; `unit()` is the only begin and commit of a write.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

UNIT_TRIES: Final = 5
"""A deadlock, a serialisation failure or a lost race is answered by running the unit again; five in a row is a bug."""

_AGAIN = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    # Two units made the same thing at once (a holder of one phone, an account on first use, the payment of a bill). Run
    # again, the later one finds what the earlier one made and answers accordingly; a breach that stays is a bug.
    psycopg.errors.UniqueViolation,
)

LOCK_TIMEOUT_MS: Final = 5_000
"""A unit that waits longer than this for a lock gives up: a stopped process must not stop the city."""

STATEMENT_TIMEOUT_MS: Final = 15_000

POOL_SIZE: Final = 4
"""Connections a process keeps: a sync worker uses one, the reader of pages a second."""

_POOL: Final[dict[str, Any]] = {
    "pool_size": POOL_SIZE,
    "max_overflow": POOL_SIZE,
    "pool_timeout": 5,
    "pool_pre_ping": False,
    "pool_recycle": 1800,
    "hide_parameters": True,  # names and phones travel in them, and logs keep what is logged
}

_CONNECT_ARGS: Final[WeakKeyDictionary[sa.Engine, dict[str, Any]]] = WeakKeyDictionary()
_SIBLINGS: Final[WeakKeyDictionary[sa.Engine, sa.Engine]] = WeakKeyDictionary()

Result = TypeVar("Result")


def engine(url: str, *, name: str = "wallet") -> sa.Engine:
    """Connect lazily to `url` (postgresql://…), at READ COMMITTED, in UTC.

    Args:
        url: a role's own URL; nothing here knows which role.
        name: shown in pg_stat_activity.

    A pooler between us and the database: nothing here outlives a transaction but these options and the driver's prepared
    statements. PgBouncer in transaction mode needs 1.21 or newer with `max_prepared_statements` above 0 and
    `ignore_startup_parameters = options`; the options below then have to be given to the roles (ALTER ROLE … SET).
    """
    url = url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)
    options = (
        f"-c timezone=UTC -c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout={STATEMENT_TIMEOUT_MS}"
        " -c idle_in_transaction_session_timeout=30000 -c default_transaction_isolation=read\\ committed"
        " -c synchronous_commit=on"
    )
    connect_args = {"options": options, "application_name": name, "connect_timeout": 5}
    made = sa.create_engine(url, connect_args=connect_args, **_POOL)
    _CONNECT_ARGS[made] = connect_args
    return made


def unit(db: sa.Engine, work: Callable[[sa.Connection], Result]) -> Result:
    """Run `work` in one transaction and commit it; run it again when the database asks for that.

    Raises:
        Whatever `work` raises, after a rollback that leaves nothing behind.
    """

    def whole() -> Result:
        with db.begin() as connection:
            return work(connection)

    return _again(whole)


def rows(connection: sa.Connection, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Run a statement straight through the driver and return its rows.

    For the statements of the hot path: SQLAlchemy's cursor and result cost them more than the driver does. What the driver
    raises is raised as SQLAlchemy would have, so that nobody above need know.
    """
    driver: psycopg.Connection[tuple[Any, ...]] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        return driver.execute(statement, parameters, prepare=True).fetchall()
    except psycopg.Error as fault:
        if driver.closed:
            connection.invalidate(fault)
        raise DBAPIError.instance(statement, (), fault, psycopg.Error, hide_parameters=True) from fault


def planned_anew(connection: sa.Connection, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement that is planned for these very parameters and return its rows.

    For searches: prepared, PostgreSQL would after a few runs keep one plan for rare words and for common ones.
    """
    driver: psycopg.Connection[tuple[Any, ...]] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        return driver.execute(statement, parameters, prepare=False).fetchall()
    except psycopg.Error as fault:
        if driver.closed:
            connection.invalidate(fault)
        raise DBAPIError.instance(statement, (), fault, psycopg.Error, hide_parameters=True) from fault


def call(connection: sa.Connection, statement: str, parameters: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run a statement that returns one row, as `rows` does."""
    (row,) = rows(connection, statement, parameters)
    return row


def autocommitting(db: sa.Engine) -> sa.Engine:
    """Return the engine's sibling whose every statement is a transaction of its own, and its own pool: to switch a pooled
    connection to and fro takes longer than the statement.
    """
    sibling = _SIBLINGS.get(db)
    if sibling is None:
        sibling = _SIBLINGS[db] = sa.create_engine(
            db.url, isolation_level="AUTOCOMMIT", connect_args=_CONNECT_ARGS[db], **_POOL
        )
        sa.event.listen(db, "engine_disposed", lambda _: sibling.dispose())
    return sibling


def at_once(db: sa.Engine, work: Callable[[sa.Connection], Result]) -> Result:
    """Run `work`, whose one writing statement is a transaction of its own: the server begins and commits it, so a unit costs
    one round trip instead of three, and a process that is stopped in the middle holds no lock.

    What `work` reads before is read without a lock; its writing statement checks under lock whatever it stands on.

    Raises:
        Whatever `work` raises; a statement that fails leaves nothing behind.
    """

    def whole() -> Result:
        with autocommitting(db).connect() as connection:
            return work(connection)

    return _again(whole)


def _again(whole: Callable[[], Result]) -> Result:
    """Try again, a bounded number of times, after a deadlock, a serialisation failure or a lost race."""
    for left in reversed(range(UNIT_TRIES)):
        try:
            return whole()
        except DBAPIError as fault:
            if not isinstance(fault.orig, _AGAIN) or left == 0:
                raise
    raise AssertionError("unreachable: the last try returns or raises")
