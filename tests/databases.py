"""Databases for tests: a PostgreSQL of the tests' own, and in it copies of one that the real migrations
built.

Words   A run is one `pytest`, with all its workers. Its template is built once, by the same code that sets up
        a city: role bootstrap, then migrations. Every test database is a copy of it, made in some 50 ms.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql

from wallet import db
from wallet.config import Config
from wallet.run import migrate, roles
from wallet.run.postgres import Cluster

FOLDER = Path(__file__).parents[1] / "var" / "test"
"""The cluster outlives a run, so that initdb is run once a checkout. It is stopped when nobody tests any
more."""

RUN_VARIABLE = "TRANG_TIEN_TEST_RUN"
"""Process id of the pytest that started the run. It is in every database's name, so that a later run can tell
whether anybody still uses them."""

LOGINS = roles.Urls(migrator="tests_migrator", app="tests_app", audit="tests_audit")
SECRET = bytes(range(32))
PREFIX = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestDatabase:
    """One migrated database, and what a test may want of it."""

    __test__ = False

    config: Config
    app_engine: sa.Engine
    audit_engine: sa.Engine
    owner_url: str
    """Of the superuser, for tests that tamper."""

    def superuser(self) -> psycopg.Connection:
        """Connect as nobody in a city can; the caller closes."""
        return psycopg.connect(self.owner_url, autocommit=True)


def run_id() -> str:
    return os.environ[RUN_VARIABLE]


def passwords() -> roles.Passwords:
    """Return the cluster's passwords. The workers of a first run all come for them at once; one of them makes them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "roles.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return roles.passwords(FOLDER / "roles.json", "tests")


def cluster() -> Cluster:
    """Return the tests' cluster; `with cluster().using()` has it up."""
    return Cluster(FOLDER / "pg", password=passwords().superuser)


@contextlib.contextmanager
def template(server: Cluster) -> Iterator[str]:
    """Have this run's template: built by whichever worker comes first, the others wait for it."""
    name = f"{PREFIX}_{run_id()}_template"
    words = passwords()
    with open(FOLDER / "template.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(server.url(), autocommit=True) as admin:
            _drop_leftovers(admin)
            known = admin.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known != (True,):
                _drop(admin, name)
                urls = roles.bootstrap(server.url(name), words, logins=LOGINS)
                migrate.upgrade(urls.migrator)
                admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(name)))
    yield name


@contextlib.contextmanager
def copy_of(source: str, name: str, *, server: Cluster, folder: Path) -> Iterator[TestDatabase]:
    """Have a database of this run's own as a copy of `source`; dropped afterwards.

    Args:
        source: a template's name.
        name: what tells it from the run's others.
        server: the running cluster.
        folder: its VAR_DIR.
    """
    database = f"{PREFIX}_{run_id()}_{name}"
    words = passwords()
    with psycopg.connect(server.url(), autocommit=True) as admin:
        _drop(admin, database)
        roles.create_database(admin, database, template=source)
        roles.close(admin, database, LOGINS)
    url = server.url(database)
    config = Config(
        port=8000,
        public_origin="http://localhost:8000",
        database_url=roles.login_url(url, LOGINS.app, words.app),
        migrator_database_url=roles.login_url(url, LOGINS.migrator, words.migrator),
        audit_database_url=roles.login_url(url, LOGINS.audit, words.audit),
        var_dir=folder,
        city_file=Path(__file__).parents[1] / "city.toml",
        demo=True,
        server_secret=SECRET,
    )
    made = TestDatabase(
        config=config,
        app_engine=db.engine(config.database_url, name="tests"),
        audit_engine=db.engine(config.audit_database_url, name="tests-audit"),
        owner_url=url,
    )
    try:
        yield made
    finally:
        made.app_engine.dispose()
        made.audit_engine.dispose()
        with psycopg.connect(server.url(), autocommit=True) as admin:
            _drop(admin, database)


def drop_run(server: Cluster) -> None:
    """Drop what this run made."""
    with psycopg.connect(server.url(), autocommit=True) as admin:
        for name in _databases(admin):
            if name.split("_")[1] == run_id():
                _drop(admin, name)


def _drop_leftovers(admin: psycopg.Connection) -> None:
    """Drop the databases of runs that were killed."""
    for name in _databases(admin):
        pid = int(name.split("_")[1])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            _drop(admin, name)
        except PermissionError:
            continue


def _databases(admin: psycopg.Connection) -> list[str]:
    rows = admin.execute(r"SELECT datname FROM pg_database WHERE datname ~ '^run_[0-9]+_'").fetchall()
    return [row[0] for row in rows]


def _drop(admin: psycopg.Connection, name: str) -> None:
    identifier = sql.Identifier(name)
    if admin.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone() == (True,):
        admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(identifier))
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
