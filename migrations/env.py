"""What alembic runs for every upgrade. Started by `wallet.run.migrate`, which has become the owner and holds
the lock."""

from pathlib import Path

from alembic import context

from wallet.run.migrate import FUNCTIONS, SCHEMA

ROOT = Path(__file__).parents[1]


def upgrade() -> None:
    """Run what the database has not seen, each migration in its own transaction; then re-apply the
    functions."""
    connection = context.config.attributes["connection"]
    ran: list[str] = context.config.attributes["ran"]
    context.configure(
        connection=connection,
        version_table_schema=SCHEMA,
        transaction_per_migration=True,
        on_version_apply=lambda *, step, **_: ran.append(step.up_revision_id),
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()  # ends the read that found nothing to do
    with connection.begin():
        # Straight to the driver, which takes a file of many statements and no parameters as it stands.
        driver = connection.connection.driver_connection
        driver.execute(f"GRANT SELECT ON {SCHEMA}.alembic_version TO wallet_app, wallet_audit")
        for path in FUNCTIONS:
            driver.execute((ROOT / path).read_text())


upgrade()
