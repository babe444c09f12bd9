"""Places to measure in: databases of the bench's own, beside the demo city's in var/pg, dropped afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import psycopg
from psycopg import sql

from wallet.config import Config
from wallet.run import environment, migrate, roles
from wallet.run.faults import Fault


@contextmanager
def own_database(suffix: str = "") -> Iterator[tuple[Config, str]]:
    """Have a migrated, empty database: its configuration and the superuser's URL of it.

    Raises:
        Fault: a database is configured; the bench measures in none of somebody's own.
    """
    if any(os.environ.get(variable, "").strip() for variable in environment.URL_NAMES):
        raise Fault("The bench works in databases of its own in var/pg: unset DATABASE_URL and its kin.")
    name = f"bench_{uuid4().hex[:8]}{suffix}"
    with environment.city(os.environ, database=name) as config:
        url = environment.embedded(os.environ).url(name)
        try:
            assert config.migrator_database_url is not None, "the bench makes its own database"
            migrate.upgrade(config.migrator_database_url)
            yield replace(config, stripe=None), url  # the demo's card processor is not up, and would be asked in vain
        finally:
            _drop(url, name)


@contextmanager
def peers_database(superuser_url: str) -> Iterator[str]:
    """Have an empty database for the peers beside another one; dropped afterwards. Yields its URL, the superuser's."""
    name = roles.database_of(superuser_url) + "_peers"
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        roles.create_database(admin, name)
    try:
        yield _beside(superuser_url, name)
    finally:
        with psycopg.connect(superuser_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _drop(url: str, name: str) -> None:
    """Drop a database and its logins."""
    logins = roles.login_names(name)
    with psycopg.connect(_beside(url, "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        for login in (logins.migrator, logins.app, logins.audit):
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(login)))


def _beside(url: str, name: str) -> str:
    return url.rpartition("/")[0] + "/" + name
