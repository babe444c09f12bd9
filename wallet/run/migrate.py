"""Migrations: bring a database to the newest shape.

What    Runs alembic from here, without an alembic.ini, as the migrator turned owner; `python -m
        wallet.run.migrate` does it for the configured database.
Safety  One at a time, by advisory lock. Each migration is one transaction: an interrupted one leaves nothing.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import alembic.command
import alembic.config
import psycopg
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from wallet.config import ConfigError
from wallet.run.environment import city
from wallet.run.faults import Fault, one_line
from wallet.run.roles import OWNER

FOLDER: Final = Path(__file__).parents[2] / "migrations"

SCHEMA: Final = "migration"
"""Where alembic keeps which migration the database is at. Nobody may create in `public`."""

FUNCTIONS: Final = (
    "wallet/identity/functions.sql",
    "wallet/ledger/sql/ground.sql",
    "wallet/ledger/sql/claim.sql",
    "wallet/ledger/sql/balances.sql",
    "wallet/ledger/sql/post.sql",
    "wallet/ledger/sql/holds.sql",
    "wallet/ledger/sql/mandates.sql",
    "wallet/ledger/sql/periods.sql",
    "wallet/ledger/sql/guards.sql",
    "wallet/bills/functions.sql",
    "wallet/cards/functions.sql",
    "wallet/log/functions.sql",
    "market/functions.sql",
    "market/catalog/functions.sql",
)
"""Re-applied by every upgrade, in this order: functions and grants as they are today. A test finds one left
out."""

MIGRATION_LOCK: Final = 0x746D_6967
"""Advisory lock ("tmig") held while migrating."""


def settings() -> alembic.config.Config:
    """Return alembic's settings; also for tests that read the migrations."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config


def newest() -> str:
    """Return the number of the newest migration, such as 0007."""
    head = ScriptDirectory.from_config(settings()).get_current_head()
    assert head is not None, "there is no migration"
    return head


def upgrade(migrator_url: str, *, to: str = "head") -> list[str]:
    """Run every migration that the database has not seen, then apply the functions anew.

    Args:
        migrator_url: of a login that may SET ROLE wallet_owner.
        to: a migration's number, for tests.

    Returns:
        The numbers of the migrations that were run, in order.

    Raises:
        Fault: the server does not answer, or the login may not become the owner.
    """
    engine = sa.create_engine(
        migrator_url,
        poolclass=sa.NullPool,
        connect_args={"application_name": "migrate", "connect_timeout": 10},
    )
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.execute(sa.text(f"SET ROLE {OWNER}"))
            # For all schemas at once: named per schema, this has no effect on what PUBLIC gets by default.
            connection.execute(sa.text("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"))
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            connection.execute(sa.text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO wallet_app, wallet_audit"))
            connection.commit()
            config = settings()
            ran: list[str] = []
            config.attributes.update(connection=connection, ran=ran)
            alembic.command.upgrade(config, to)
            return ran
    except sa.exc.OperationalError as error:
        if isinstance(error.orig, psycopg.OperationalError) and error.orig.sqlstate is None:
            raise Fault(f"The database does not answer the migrator: {one_line(error.orig)}.") from error
        raise
    except sa.exc.ProgrammingError as error:
        if isinstance(error.orig, psycopg.errors.InsufficientPrivilege) and OWNER in str(error.orig):
            raise Fault(f"The migrator's login may not become {OWNER}: {one_line(error.orig)}.") from error
        raise
    finally:
        engine.dispose()


def main(say: Callable[[str], None] = print) -> int:
    """Migrate the configured database, or else the one in var/pg."""
    try:
        with city(os.environ, say=say) as config:
            if config.migrator_database_url is None:
                raise Fault("MIGRATOR_DATABASE_URL is not set.")
            ran = upgrade(config.migrator_database_url)
    except (Fault, ConfigError) as error:
        print(error, file=sys.stderr)
        return 1
    say(f"Migrated: {', '.join(ran)}." if ran else f"Nothing to migrate: the database is at {newest()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
