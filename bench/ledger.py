"""ledger.*: postings a second through our Python face, beside peers on the same PostgreSQL in the same run.

Setting   One posting a durable transaction, from one client and from sixteen, each a process of its own, all on the machine
          of the server. The peers keep less: `bench.peers`. The worker folds meanwhile.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from bench import fill, flush, ours
from bench.crew import Crew, Pace, Subject, compare
from bench.figures import Figure, against
from bench.fill import Payer
from bench.peers import hordak, orm_ledger, pgbench
from wallet.config import Config
from wallet.run import roles
from wallet.run.faults import Fault

GROUPS: Final = 16
ACCOUNTS_OF_A_CLIENT: Final = 100
BATCH: Final = 1_000
ACCOUNTS: Final = GROUPS * ACCOUNTS_OF_A_CLIENT
OURS, ORM, HORDAK = "ours", "orm", "hordak"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to measure: our migrated, empty database, the peers' empty one, and the peer that may be missing."""

    config: Config
    url: str
    """The superuser's, of our database."""
    peers_url: str
    """The superuser's, of the peers' database."""
    hordak: Path | None
    """The Python that has django-hordak."""

    @property
    def databases(self) -> list[str]:
        """Both databases' names."""
        return [roles.database_of(self.url), roles.database_of(self.peers_url)]


def measure(place: Place, pace: Pace) -> list[Figure]:
    """Measure and return the figures.

    Raises:
        Fault: the server is not durable, or a slowed flush is none.
    """
    flush.require_durable(place.config.database_url)
    fill.city(place.url, wallets=ACCOUNTS, postings=0)
    people = fill.payers(place.url, ACCOUNTS)
    orm_ledger.prepare(place.peers_url, ACCOUNTS)
    pgbench.prepare(place.peers_url)
    with ExitStack() as stack:
        stack.enter_context(ours.worker(place.config))
        peer = None
        if place.hordak is not None:
            peer = hordak.Hordak(place.hordak, place.peers_url, ACCOUNTS)
            stack.callback(peer.close)
        return [
            *_singles(place, people, peer, pace),
            *_batch(place, people, pace),
            *_hot(place, people, pace),
        ]


def _singles(place: Place, people: list[Payer], peer: hordak.Hordak | None, pace: Pace) -> Iterator[Figure]:
    """ledger.single_1 and ledger.single_16, each client on accounts of its own."""
    for clients in (1, pace.clients):
        subjects: list[Subject] = [
            Crew(OURS, clients, ours.transfers(place.config, _own(people))),
            Crew(ORM, clients, orm_ledger.client(place.peers_url, _own_legs)),
            *([peer.crew(clients)] if peer else []),
            *([pgbench.SingleRows(place.peers_url, place.config.var_dir)] if clients == 1 else []),
        ]
        rates = _compared(subjects, pace)
        for other, rate in rates.items():
            if other != OURS:
                yield against(f"ledger.single_{clients}", rates[OURS], "1/s", other, rate)


def _batch(place: Place, people: list[Payer], pace: Pace) -> Iterator[Figure]:
    """ledger.batch_1000: one payer pays a thousand others in one call, an entry and an event for each."""
    payees = [payer.account for payer in people[1 : 1 + BATCH]]
    subjects: list[Subject] = [
        Crew(OURS, 1, ours.batches(place.config, people[0], payees), postings=len(payees)),
        pgbench.SingleRows(place.peers_url, place.config.var_dir),
    ]
    rates = _compared(subjects, pace)
    for other, rate in rates.items():
        if other != OURS:
            yield against(f"ledger.batch_{len(payees)}", rates[OURS], "postings/s", other, rate)


def _hot(place: Place, people: list[Payer], pace: Pace) -> Iterator[Figure]:
    """ledger.hot_16: everybody pays one merchant, who bears a fee; as the flush is, and slowed to a millisecond."""
    stalls, fees = ours.merchants(place.url)
    yield from _hot_now(place, people, stalls, fees, pace, f"ledger.hot_{pace.clients}")
    usual = _pgbench(place, pace, flushes=None)
    with flush.slowed(place.url, place.databases):
        counted: list[float] = []
        slow = _pgbench(place, pace, flushes=counted)
        if slow >= 1_000_000 / flush.DELAY_US:
            raise Fault(f"the flush was not slowed: {slow:.0f} commits/s of one client")
        yield against("flush_1ms.single_rows", slow, "1/s", "the flush as it is", usual)
        yield against("flush_1ms.flushes", counted[0], "1/s", "commits of one client", slow)
        yield from _hot_now(place, people, stalls, fees, pace, f"ledger.hot_{pace.clients}.flush_1ms")


def _hot_now(
    place: Place, people: list[Payer], stalls: dict[UUID, UUID], fees: UUID, pace: Pace, name: str
) -> Iterator[Figure]:
    hot = stalls[people[-1].account]
    own = [(payers, [stalls[account] for account in accounts]) for payers, accounts in _own(people)]
    one = [(payers, [hot]) for payers, _ in own]
    rates = _compared(
        [
            Crew("one payee", pace.clients, ours.payments(place.config, one, fees)),
            Crew("distinct payees", pace.clients, ours.payments(place.config, own, fees)),
            Crew("orm, one payee's row", pace.clients, orm_ledger.client(place.peers_url, _hot_legs)),
        ],
        pace,
    )
    mine = rates.pop("one payee")
    for other, rate in rates.items():
        yield against(name, mine, "1/s", other, rate)


def _pgbench(place: Place, pace: Pace, *, flushes: list[float] | None) -> float:
    """Return the commits a second of one client, and put the flushes a second into `flushes`."""
    rows = pgbench.SingleRows(place.peers_url, place.config.var_dir)
    began = flush.count(place.url)
    rate = rows.slice(pace.seconds)
    if flushes is not None:
        flushes.append((flush.count(place.url) - began) / max(1, round(pace.seconds)))
    rows.close()
    return rate


def _compared(subjects: Sequence[Subject], pace: Pace) -> dict[str, float]:
    try:
        return compare(subjects, pace)
    finally:
        for subject in subjects:
            subject.close()


def _own(people: list[Payer]) -> list[tuple[list[Payer], list[UUID]]]:
    """Give each client accounts that no other touches."""
    shares = [people[number * ACCOUNTS_OF_A_CLIENT :][:ACCOUNTS_OF_A_CLIENT] for number in range(GROUPS)]
    return [(share, [payer.account for payer in share]) for share in shares]


def _own_legs(luck: random.Random, client: int) -> dict[int, int]:
    first = client * ACCOUNTS_OF_A_CLIENT
    payer, payee = luck.sample(range(first, first + ACCOUNTS_OF_A_CLIENT), 2)
    amount = luck.randrange(1, ours.AMOUNT_MAX)
    return {payer: -amount, payee: amount}


def _hot_legs(luck: random.Random, client: int) -> dict[int, int]:
    first, hot = client * ACCOUNTS_OF_A_CLIENT, ACCOUNTS - 1
    payer = luck.randrange(first, first + ACCOUNTS_OF_A_CLIENT - 1)
    amount = luck.randrange(1, ours.AMOUNT_MAX)
    return {payer: -amount, hot: amount}
