"""The migrations: numbered without gaps, equal to the tables the code uses, and safe to run again."""

import importlib
from pathlib import Path

import alembic.autogenerate
import psycopg
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql

from tests import databases
from wallet import db
from wallet.run import migrate, roles

ROOT = Path(__file__).parents[1]

# The one place that lists where tables are declared.
TABLES = (
    "market.catalog.tables",
    "market.tables",
    "wallet.bills.tables",
    "wallet.cards.tables",
    "wallet.identity.tables",
    "wallet.ledger.tables",
    "wallet.log.tables",
)


def revisions():
    """Oldest first."""
    return list(ScriptDirectory.from_config(migrate.settings()).walk_revisions())[::-1]


def test_migrations_are_numbered_without_gaps_and_follow_one_another():
    numbers = [revision.revision for revision in revisions()]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert [revision.down_revision for revision in revisions()] == [None, *numbers[:-1]]


def test_a_migrations_file_begins_with_its_number():
    files = sorted(path.name for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert [name[:5] for name in files] == [f"{revision.revision}_" for revision in revisions()]


def test_every_file_that_declares_tables_is_listed_here():
    declared = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("wallet", "market")
        for path in (ROOT / package).rglob("*.py")
        if "sa.Table(" in path.read_text()
    }
    assert declared == set(TABLES)


def test_every_sql_file_is_re_applied_by_an_upgrade():
    files = {
        str(path.relative_to(ROOT)) for package in ("wallet", "market") for path in (ROOT / package).rglob("*.sql")
    }
    assert files == set(migrate.FUNCTIONS)


def test_the_migrated_database_equals_the_tables_that_the_code_uses(database):
    for module in TABLES:
        importlib.import_module(module)
    engine = sa.create_engine(database.owner_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name not in (migrate.SCHEMA, "public", None),
                "compare_server_default": True,
                "compare_type": True,
            },
        )
        differences = alembic.autogenerate.compare_metadata(context, db.metadata)
        checks = _checks_of(connection)
    engine.dispose()
    assert differences == []
    write = postgresql.dialect().identifier_preparer
    # alembic does not look at CHECK constraints, so their names are compared here.
    assert checks == {
        (f"{table.schema}.{table.name}", write.format_constraint(constraint))
        for table in db.metadata.tables.values()
        for constraint in {*table.constraints, *(c for column in table.columns for c in column.constraints)}
        if isinstance(constraint, sa.CheckConstraint)
    }


def _checks_of(connection: sa.Connection) -> set[tuple[str, str]]:
    rows = connection.execute(
        sa.text("""
        SELECT n.nspname || '.' || t.relname, c.conname
        FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid =
        t.relnamespace WHERE c.contype = 'c' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        """)
    )
    return {(table, name) for table, name in rows}


def test_an_upgrade_of_an_upgraded_database_does_nothing_and_fails_nothing(fresh_database):
    assert migrate.upgrade(fresh_database.config.migrator_database_url) == []


def test_the_app_can_read_which_migration_the_database_is_at(database):
    with database.app_engine.connect() as connection:
        at = connection.execute(sa.text(f"SELECT version_num FROM {migrate.SCHEMA}.alembic_version")).scalar()
    assert at == migrate.newest()


def test_an_upgrade_that_fails_half_way_leaves_nothing_of_the_failed_migration(postgres, template, worker):
    """Row 114: migration interrupted half-way."""
    words = roles.passwords(ROOT / "var" / "test" / "roles.json", "tests")
    name = f"run_{databases.run_id()}_half_{worker}"
    urls = roles.bootstrap(postgres.url(name), words, logins=databases.LOGINS)
    with psycopg.connect(postgres.url(name), autocommit=True) as superuser:
        superuser.execute("CREATE SCHEMA ledger")  # in the way of the second migration
    with pytest.raises(sa.exc.ProgrammingError):
        migrate.upgrade(urls.migrator)
    with psycopg.connect(postgres.url(name), autocommit=True) as superuser:
        assert superuser.execute(f"SELECT version_num FROM {migrate.SCHEMA}.alembic_version").fetchall() == [("0001",)]
        superuser.execute("DROP SCHEMA ledger")
    assert migrate.upgrade(urls.migrator)[0] == "0002"
    with psycopg.connect(postgres.url(), autocommit=True) as superuser:
        superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
