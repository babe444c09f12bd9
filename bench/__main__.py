"""`make bench`: measure, print the figures, write them to `var/bench.json`. `ARGS="ledger"` measures that part only."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import catalog, counter, figures, http_payment, ledger, log, proving
from bench.crew import Pace
from bench.figures import Figure
from bench.peers import hordak
from bench.place import own_database, peers_database
from wallet.config import ConfigError
from wallet.run.faults import Fault


def main(argv: list[str]) -> int:
    """Run the parts that were asked for, each in a database of its own."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"{' or '.join(PARTS)}; all of them when none is named")
    asked = parser.parse_args(argv).parts or list(PARTS)
    if strangers := set(asked) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(strangers))}")
    found: list[Figure] = []
    try:
        for part in asked:
            print(f"measuring {part} …", flush=True)
            found += PARTS[part]()
    except (Fault, ConfigError) as fault:
        print(fault, file=sys.stderr)
        return 1
    figures.report(found, figures.folder() / "bench.json")
    return 0


def _http() -> list[Figure]:
    with own_database() as (config, _):
        return http_payment.measure(http_payment.own_port(config))


def _ledger() -> list[Figure]:
    with own_database() as (config, url), peers_database(url) as peers_url:
        python: Path | None = hordak.try_install(figures.folder() / "bench-venv")
        return ledger.measure(ledger.Place(config=config, url=url, peers_url=peers_url, hordak=python), Pace())


def _log() -> list[Figure]:
    with own_database() as (config, url):
        return log.measure(config, url, Pace())


def _counter() -> list[Figure]:
    with own_database() as (config, _):
        return counter.measure(http_payment.own_port(config), counter.Size())


PARTS: Final[dict[str, Callable[[], list[Figure]]]] = {
    "ledger": _ledger,
    "http": _http,
    "log": _log,
    "counter": _counter,
    "prove": proving.measure,
    "catalog": catalog.measure,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
