"""`make bench`: measure, print the figures, write them to `var/bench.json`."""

import os
import sys
from pathlib import Path
from uuid import uuid4

import psycopg

from bench import figures, http_payment
from wallet.run import environment, migrate
from wallet.run.faults import Fault


def main() -> int:
    """Run every bench in a database of its own beside the demo city's, and drop it afterwards."""
    name = f"bench_{uuid4().hex[:8]}"
    if any(os.environ.get(variable, "").strip() for variable in environment.URL_NAMES):
        print("make bench works in a database of its own in var/pg: unset DATABASE_URL and its kin.", file=sys.stderr)
        return 1
    try:
        with environment.city(os.environ, database=name) as config:
            assert config.migrator_database_url is not None, "the bench makes its own database"
            migrate.upgrade(config.migrator_database_url)
            try:
                found = http_payment.measure(http_payment.own_port(config))
            finally:
                _drop(name)
    except Fault as fault:
        print(fault, file=sys.stderr)
        return 1
    figures.report(found, Path(os.environ.get("VAR_DIR", "var")) / "bench.json")
    return 0


def _drop(name: str) -> None:
    """Drop the bench's database."""
    with psycopg.connect(environment.embedded(os.environ).url(), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


if __name__ == "__main__":
    raise SystemExit(main())
