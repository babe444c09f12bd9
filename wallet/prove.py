"""Prove the books: `make prove`. Exits with 0 when nothing differs, else with 1 after naming each difference.

It reads as the audit role, which can write nothing, in one snapshot of the database.
"""

import os
import sys
import time
from collections.abc import Iterator

import sqlalchemy as sa

from wallet import db, transfers
from wallet.bills import proof as bills
from wallet.config import postgres_url
from wallet.identity import proof as identity
from wallet.ledger import proof
from wallet.ledger.proof import Difference


def books(connection: sa.Connection) -> Iterator[Difference]:
    """Yield every difference in the books; the connection's transaction is the snapshot that is proved."""
    yield from proof.ledger(connection)
    yield from proof.differences(connection, identity.QUESTIONS)
    yield from proof.differences(connection, transfers.QUESTIONS)
    yield from proof.differences(connection, bills.QUESTIONS)


def snapshot(engine: sa.Engine) -> sa.Engine:
    """Return the engine as `books` wants it: one read-only snapshot, and as long as it takes."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def main() -> int:
    """Prove the configured books and say so."""
    url = postgres_url("AUDIT_DATABASE_URL", os.environ.get("AUDIT_DATABASE_URL", ""))
    started, found = time.monotonic(), 0
    with snapshot(db.engine(url, name="prove")).connect() as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        for difference in books(connection):
            found += 1
            print(f"{difference.code}\t{difference.subject}\t{difference.detail}")
        counts = proof.counts(connection)
    looked = ", ".join(f"{count} {name}" for name, count in counts.items())
    if found:
        print(f"NOT PROVED: {found} differences in {looked}.", file=sys.stderr)
        return 1
    print(f"Proved from the first posting in {time.monotonic() - started:.1f} s: {looked}; no difference.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
