"""`make bench-growth`: the ledger with ten million postings beside the ledger with a hundred thousand.

Setting   Two databases of one server, filled alike by `bench.fill`, measured in turn, slice by slice. Filling the large
          one takes some ten minutes and some 15 GB; ARGS="--postings 1000000" is quicker.
"""

import argparse
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import psycopg
import sqlalchemy as sa

from bench import figures, fill, flush, ours
from bench.crew import Crew, Pace, compare
from bench.figures import Figure, against
from bench.fill import Payer
from bench.place import own_database
from wallet import accounts, clock, db
from wallet.config import Config, ConfigError
from wallet.ids import AccountId
from wallet.ledger import balances
from wallet.run.faults import Fault

GROUPS: Final = 16
READS: Final = 400
"""Reads of each kind, half of them on busy accounts."""
PAGE_ROWS: Final = 50
SAMPLE_EVERY_S: Final = 0.05
BYTES_OF_A_POSTING: Final = 1_600
BYTES_OF_A_WALLET: Final = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A filled city, ready to be measured."""

    config: Config
    url: str
    postings: int
    people: list[Payer]
    busy: list[UUID]
    """Accounts with the most postings, agencies' and wallets'."""

    @property
    def groups(self) -> list[tuple[list[Payer], list[UUID]]]:
        """Each client's own payers, busy and not, and whom they pay."""
        shares = [self.people[number::GROUPS] for number in range(GROUPS)]
        return [(share, [payer.account for payer in share]) for share in shares]


def filled(config: Config, url: str, *, wallets: int, postings: int, say: fill.Say) -> Filled:
    """Fill a database."""
    fill.city(url, wallets=wallets, postings=postings, say=say)
    people = fill.payers(url, wallets)
    close_days(url)
    busy = fill.agency_lines(url)[:10] + [payer.account for payer in people[:10]]
    return Filled(config=config, url=url, postings=postings, people=people, busy=busy)


def measure(small: Filled, large: Filled, pace: Pace, *, reads: int = READS) -> Iterator[Figure]:
    """Measure both and yield the figures of the large one beside the small one's."""
    flush.require_durable(large.config.database_url)
    peer = f"at {small.postings:,} postings"
    with ExitStack() as stack:
        for one in (small, large):
            stack.enter_context(ours.worker(one.config))
        for clients in (1, pace.clients):
            rates = _rates(small, large, clients, pace)
            yield against(f"growth.single_{clients}", rates[large.url], "1/s", peer, rates[small.url])
        tails = [_tail(one, pace) for one in (small, large)]
        yield against("growth.tail", tails[1], "s", peer, tails[0])
    for name, read in KINDS.items():
        times = [_times(one, read, reads) for one in (small, large)]
        for share in (0.50, 0.99):
            was, now = (_percentile(sorted(each), share) for each in times)
            yield against(f"growth.{name}.p{share * 100:.0f}", now, "ms", peer, was)


def _rates(small: Filled, large: Filled, clients: int, pace: Pace) -> dict[str, float]:
    crews = [Crew(one.url, clients, ours.transfers(one.config, one.groups)) for one in (small, large)]
    try:
        return compare(crews, pace)
    finally:
        for crew in crews:
            crew.close()


def _tail(city: Filled, pace: Pace) -> float:
    """Return how long the unfolded tail gets while all clients pay one account, in seconds of that traffic.

    A transfer leaves one delta, the payee's; so the tail's length over the rate is its age.
    """
    hot = city.busy[-1]
    groups = [([payer for payer in payers if payer.account != hot], [hot]) for payers, _ in city.groups]
    crew = Crew("tail", pace.clients, ours.transfers(city.config, groups))
    lengths: list[int] = []
    done = threading.Event()
    sampler = threading.Thread(target=_sample, args=(city.url, lengths, done))
    sampler.start()
    try:
        rates = [crew.slice(pace.seconds) for _ in range(pace.rounds)]
    finally:
        done.set()
        sampler.join()
        crew.close()
    return max(lengths) / statistics.median(rates)


def _sample(url: str, lengths: list[int], done: threading.Event) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        while True:
            row = admin.execute("SELECT count(*) FROM ledger.delta").fetchone()
            lengths.append(int(row[0]) if row else 0)
            if done.wait(SAMPLE_EVERY_S):
                return


CLOSED: Final = """
WITH day AS (
    SELECT generate_series(min(ledger.day_of(posted_at)), ledger.day_of(now()) - 1, INTERVAL '1 day')::date AS day
    FROM ledger.posting
), sealed AS (  -- each was closed ten minutes after its end, in the night
    SELECT d.day, ledger.day_start(d.day + 1) + INTERVAL '10 minutes' AS closed_at,
           (SELECT coalesce(max(p.seq), 0) FROM ledger.posting p
            WHERE p.posted_at <= ledger.day_start(d.day + 1) + INTERVAL '10 minutes') AS seq_at_close
    FROM day d
), authority AS (
    INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, digest)
    SELECT gen_random_uuid(), 'rule_run', '00000000-0000-7000-8000-000000000000', gen_random_uuid(), 'period_close', ''
    FROM sealed RETURNING id
)
INSERT INTO ledger.period (id, kind, starts, ends, mark, seq_at_close, closed_at, digest, authority)
SELECT gen_random_uuid(), 'day', s.day, s.day, lag(s.seq_at_close, 1, 0::bigint) OVER (ORDER BY s.day), s.seq_at_close,
       s.closed_at, '',
       (SELECT min(id::text)::uuid FROM authority)
FROM sealed s;

WITH side AS (
    SELECT p.debit AS account, p.amount, p.seq, ledger.day_of(p.effective_at) AS day FROM ledger.posting p
    UNION ALL SELECT p.credit, -p.amount, p.seq, ledger.day_of(p.effective_at) FROM ledger.posting p
), moved AS (
    SELECT s.account, s.day AS ends, sum(s.amount) AS effective, 0::numeric AS sequenced FROM side s GROUP BY 1, 2
    UNION ALL
    SELECT s.account, d.ends, 0, sum(s.amount) FROM side s
    JOIN (SELECT ends, lag(mark, 1, 0::bigint) OVER (ORDER BY ends) AS past, mark FROM ledger.period) AS d
      ON s.seq > d.past AND s.seq <= d.mark GROUP BY 1, 2
), daily AS (
    SELECT m.account, m.ends, sum(m.effective) AS effective, sum(m.sequenced) AS sequenced FROM moved m
    WHERE m.ends <= (SELECT max(ends) FROM ledger.period) GROUP BY 1, 2
)
INSERT INTO ledger.snapshot (account, ends, effective, sequenced)
SELECT d.account, d.ends, CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * sum(d.effective) OVER w,
       CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * sum(d.sequenced) OVER w
FROM daily d JOIN ledger.account a ON a.id = d.account
WINDOW w AS (PARTITION BY d.account ORDER BY d.ends);
ANALYZE ledger.snapshot, ledger.period;
"""
"""Close every day of the fill as the nights would have: too many to have the real verb live through them."""


def close_days(superuser_url: str) -> None:
    """Write the periods and snapshots that nightly closings leave behind."""
    with psycopg.connect(superuser_url) as admin:
        admin.execute("SET session_replication_role = replica; SET statement_timeout = 0")
        admin.execute(CLOSED)


Read = Callable[[sa.Connection, AccountId, random.Random, int], object]


def _statement_page(connection: sa.Connection, account: AccountId, luck: random.Random, top: int) -> object:
    """Read a page somewhere in the account's past: from a key that the whole book has reached."""
    return accounts.statement(connection, account, before=luck.randrange(1, top + 2), rows_max=PAGE_ROWS)


def _balance_as_of(connection: sa.Connection, account: AccountId, luck: random.Random, _top: int) -> object:
    """Read what an account came to at some instant of the last sixty days, as we know it today."""
    at = clock.now() - timedelta(seconds=luck.randrange(0, 60 * 86_400))
    return balances.as_of(connection, account, at, by="effective")


KINDS: Final[dict[str, Read]] = {"statement_page": _statement_page, "balance_as_of": _balance_as_of}


def _times(city: Filled, read: Read, reads: int) -> list[float]:
    """Return how long each read took, in milliseconds."""
    luck = random.Random(20261121)
    engine = db.engine(city.config.database_url, name="bench-read")
    times = []
    with engine.connect() as connection:
        top = connection.exec_driver_sql("SELECT max(seq) FROM ledger.posting").scalar_one()
        for number in range(reads):
            account = luck.choice(city.busy) if number % 2 else luck.choice(city.people).account
            began = time.perf_counter()
            read(connection, AccountId(account), luck, top)
            times.append(1000 * (time.perf_counter() - began))
            connection.rollback()
    engine.dispose()
    return times


def _percentile(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, int(share * len(times)))]


def main(argv: list[str]) -> int:
    """Fill, measure, report to var/bench-growth.json."""
    parser = argparse.ArgumentParser(prog="make bench-growth ARGS=…", description=__doc__)
    parser.add_argument("--postings", type=int, default=10_000_000, help="of the large city (default 10,000,000)")
    parser.add_argument("--small", type=int, default=100_000, help="postings of the small one (default 100,000)")
    parser.add_argument("--wallets", type=int, default=100_000, help="of both (default 100,000)")
    asked = parser.parse_args(argv)
    try:
        _require_room(asked.postings + asked.small, 2 * asked.wallets)
        with own_database("_small") as (little, little_url), own_database("_large") as (big, big_url):
            small = filled(little, little_url, wallets=asked.wallets, postings=asked.small, say=print)
            large = filled(big, big_url, wallets=asked.wallets, postings=asked.postings, say=_say)
            figures.report(list(measure(small, large, Pace(seconds=2.0))), figures.folder() / "bench-growth.json")
    except (Fault, ConfigError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _require_room(postings: int, wallets: int) -> None:
    needed = 2 * (
        postings * BYTES_OF_A_POSTING + wallets * BYTES_OF_A_WALLET
    )  # the log and the indexes as they are made
    figures.folder().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(figures.folder()).free
    if free < needed:
        raise Fault(f"{needed / 1e9:.0f} GB are needed in {figures.folder()} and {free / 1e9:.0f} are free.")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
