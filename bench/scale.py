"""`make demo-scale`: the demo city in var/pg with 5,000 merchants, 500 acceptance points and 100,000 products more.

What    For looking at pages and figures at size. The rows are made up and nobody ordered them; `make clean-data` removes
        them with the city.
"""

import argparse
import os
import sys
import time
from typing import Final

import wsgi
from bench import stalls
from wallet.config import ConfigError
from wallet.run import environment, migrate, roles
from wallet.run.faults import Fault

MERCHANTS: Final = 5_000
POINTS: Final = 500
PRODUCTS: Final = 100_000


def main(argv: list[str]) -> int:
    """Fill the city of this checkout."""
    parser = argparse.ArgumentParser(prog="make demo-scale ARGS=…", description=__doc__)
    parser.add_argument("--merchants", type=int, default=MERCHANTS)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--products", type=int, default=PRODUCTS)
    asked = parser.parse_args(argv)
    began = time.monotonic()
    try:
        if any(os.environ.get(variable, "").strip() for variable in environment.URL_NAMES):
            raise Fault("The demo is made large in var/pg only: unset DATABASE_URL and its kin.")
        with environment.city(os.environ) as config:
            assert config.migrator_database_url is not None, "the city in var/pg has a migrator"
            migrate.upgrade(config.migrator_database_url)
            wsgi.load_demo(
                config, log=print
            )  # nothing, where it is there; a city that others have filled takes no demo
            url = environment.embedded(os.environ).url(roles.database_of(config.database_url))
            stalls.fill(
                url,
                merchants=asked.merchants,
                points=asked.points,
                products=asked.products,
                say=lambda done: print(done),
            )
    except (Fault, ConfigError) as fault:
        print(fault, file=sys.stderr)
        return 1
    print(f"in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
