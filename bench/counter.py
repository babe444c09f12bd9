"""counter.event and merchant.hot: how soon a counter hears of a payment, and what a busy merchant costs those who pay.

Setting   Gunicorn, PostgreSQL, the process of streams, the sealer, the worker and the senders share the machine, as in
          `make run`. Durability on. A payment is a signed order that pays a point's sticker; payers are many.
counter   Every counter has its stream open, each of another point and cashier. Payments come at a pace that a city on one
          such machine would see, at uneven intervals, each at a counter drawn by lot. The time is from the instant that the
          database gave the posting to the arrival of its event at the counter's end of the stream.
merchant  Every payment goes to one merchant, in turn with payments spread evenly over all the others.
"""

import asyncio
import multiprocessing
import os
import random
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa

from bench import http_payment
from bench.figures import Figure, against
from bench.http_payment import Town, checked, request
from bench.load import Sender, run
from bench.log import own_folder
from market import tables
from wallet import clock, db, ids, ledger
from wallet.client import Client
from wallet.config import Config
from wallet.identity import holders
from wallet.ids import AccountId
from wallet.ledger import chart
from wallet.live import ticket
from wallet.live.ticket import Ticket
from wallet.log import keyring
from wallet.run import environment

READY_S_MAX: Final = 30.0
EVENT_S_MAX: Final = 10.0
"""An event that has not come by then is lost, and the bench says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured: counters that are open, payments whose events are timed and how many a second, and payments of
    each slice and slices of each kind for the busy merchant.
    """

    counters: int = 500
    payers: int = 100
    events: int = 600
    pace: float = 20.0
    payments: int = 200
    rounds: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """A point, and the account that it is paid into."""

    point: UUID
    account: AccountId


def measure(config: Config, size: Size) -> list[Figure]:
    """Measure in a database that may be filled, and return the figures."""
    town = Town(config)
    hot, *tills = _tills(town, size.counters + 1)
    each = (size.events + size.payments * 2 * (size.rounds + 1)) // size.payers + 1
    payers = [town.payer(index, each) for index in range(size.payers)]
    town.close()
    # A log of its own too: in VAR_DIR lies the log of whatever city runs there.
    with own_folder(config.var_dir) as folder, _city(replace(config, var_dir=folder)) as streams:
        return [*_events(config, size, tills, payers, streams), *_hot(config, size, hot, tills, payers)]


# -- counter.event ------------------------------------------------------------------------------------------------------


def _events(config: Config, size: Size, tills: list[Till], payers: list[Client], streams: int) -> Iterator[Figure]:
    draw = random.Random(20261122)
    orders = [_paying(draw.choice(payers), draw.choice(tills), 1_000) for _ in range(size.events)]
    with _counters(config, tills) as counters:
        idle = _cpu_s(streams)
        time.sleep(1.0)
        idle = _cpu_s(streams) - idle
        with closing(Sender(config.port)) as sender:
            for order in orders:
                assert sender.send(order) == 201, "a payment was not done"
                time.sleep(draw.expovariate(size.pace))
        came = counters(size.events)
        memory = _memory_mb(streams)
    took = _took(config, came)
    yield Figure(name="counter.event.p50", value=round(_percentile(took, 0.50), 1), unit="ms")
    yield Figure(name="counter.event.p99", value=round(_percentile(took, 0.99), 1), unit="ms")
    yield Figure(name="counter.streams.memory", value=round(memory, 1), unit="MB")
    yield Figure(name="counter.streams.cpu", value=round(100 * idle, 1), unit="% idle")


def _took(config: Config, came: dict[UUID, float]) -> list[float]:
    """Return how long each event took, in milliseconds, sorted."""
    engine = db.engine(config.database_url, name="bench")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(tables.payment.c.entry, tables.payment.c.at))
        took = sorted(1000 * (came[row.entry] - row.at.timestamp()) for row in rows)
    engine.dispose()
    return took


def _percentile(found: list[float], share: float) -> float:
    return found[min(len(found) - 1, int(share * len(found)))]


@contextmanager
def _counters(config: Config, tills: list[Till]) -> "Iterator[_Heard]":
    """Have a stream open for every till, from a process of their own; the block begins when all of them hear."""
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_listen, args=(config, tills, theirs), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(READY_S_MAX), "the counters do not hear"
    assert ours.recv() == len(tills)
    yield partial(_heard, ours)
    process.terminate()
    process.join()


_Heard = partial[dict[UUID, float]]


def _heard(pipe: "Connection[object, object]", number: int) -> dict[UUID, float]:
    """Return when each entry's event came, once so many have."""
    pipe.send(number)
    assert pipe.poll(EVENT_S_MAX + 1), "the counters do not answer"
    found = pipe.recv()
    assert isinstance(found, dict)
    assert len(found) == number, f"of {number} events {len(found)} came"
    return found


def _listen(config: Config, tills: list[Till], pipe: "Connection[object, object]") -> None:
    """Be all the counters: open their streams, note when events come, and give that when it is asked for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * len(tills) + 100)), hard))
    asyncio.run(_listening(config, tills, pipe))


async def _listening(config: Config, tills: list[Till], pipe: "Connection[object, object]") -> None:
    came: dict[UUID, float] = {}
    beats = [asyncio.Event() for _ in tills]
    listening = [
        asyncio.create_task(_counter(config, till, beat, came)) for till, beat in zip(tills, beats, strict=True)
    ]
    await asyncio.gather(*(beat.wait() for beat in beats))
    pipe.send(len(listening))
    number = await asyncio.to_thread(pipe.recv)
    assert isinstance(number, int)
    until = time.monotonic() + EVENT_S_MAX
    while len(came) < number and time.monotonic() < until:  # noqa: ASYNC110 - nothing is measured any more
        await asyncio.sleep(0.05)
    pipe.send(came)
    await asyncio.gather(*listening)


async def _counter(config: Config, till: Till, beat: asyncio.Event, came: dict[UUID, float]) -> None:
    given = ticket.issue(Ticket(topic=till.point, holder=uuid4()), secret=config.server_secret, now=clock.now())
    reader, writer = await asyncio.open_connection("127.0.0.1", config.live_port)
    writer.write(
        f"GET /live/stream?ticket={given} HTTP/1.1\r\nHost: {config.live_origin.removeprefix('http://')}\r\n\r\n".encode()
    )
    async for line in reader:
        if line.startswith(b"event: beat"):
            beat.set()
        elif line.startswith(b"data: ") and (at := line.find(b'"entry":"')) >= 0:
            came[UUID(line[at + 9 : at + 45].decode())] = time.time()


# -- merchant.hot -------------------------------------------------------------------------------------------------------


def _hot(config: Config, size: Size, hot: Till, tills: list[Till], payers: list[Client]) -> Iterator[Figure]:
    draw = random.Random(20261123)

    def slice_of(to: list[Till]) -> float:
        orders = [
            _paying(payers[index % len(payers)], to[index % len(to)], 1_000 + draw.randrange(1_000))
            for index in range(size.payments)
        ]
        return checked(run(config.port, orders, expect=201)).per_second

    kinds = {"hot": [hot], "uniform": draw.sample(tills, len(tills))}
    slices: dict[str, list[float]] = {name: [] for name in kinds}
    for to in kinds.values():
        slice_of(to)  # thrown away: caches, prepared statements, first pages
    for number in range(size.rounds):
        for name in kinds if number % 2 == 0 else reversed(kinds):
            slices[name].append(slice_of(kinds[name]))
    found = {name: statistics.median(rates) for name, rates in slices.items()}
    yield against("merchant.hot", found["hot"], "1/s", f"spread over {len(tills)} merchants", found["uniform"])


def _paying(payer: Client, till: Till, amount: int) -> bytes:
    own = {"payer": payer.account, "payee": str(till.account), "point": str(till.point), "amount": str(amount)}
    return request(payer, "/v1/point-payments", payer.order("point_payment", **own, memo=""))


# -- the city -----------------------------------------------------------------------------------------------------------


def _tills(town: Town, number: int) -> list[Till]:
    """Make so many approved merchants with one point each: the rows alone, without the officers who approve them."""
    now, area = clock.now(), next(iter(town.city.areas))

    def work(unit: sa.Connection) -> list[Till]:
        owner = holders.register_person(unit, name="Chủ Tiệm", phone="0590000000", now=now)
        return [_till(unit, owner, area, index) for index in range(number)]

    def _till(unit: sa.Connection, owner: UUID, area: str, index: int) -> Till:
        merchant = holders.register(unit, kind="merchant", now=now)
        account = ledger.open_account(unit, chart.MERCHANT, holder=merchant)
        location, point = ids.new(), ids.new()
        unit.execute(
            sa.insert(tables.merchant).values(
                holder=merchant, code=f"tiem-{index}", name=f"Tiệm {index}", name_folded=f"tiem {index}", category="5411",
                account=account, state="approved", applied_by=owner, made_at=now,
            )
        )  # fmt: skip
        unit.execute(
            sa.insert(tables.location).values(
                id=location, merchant=merchant, name="Tiệm", address="Huế", area=area, hours={}, made_at=now
            )
        )
        unit.execute(
            sa.insert(tables.point).values(
                id=point, location=location, merchant=merchant, serial=f"{index:08d}", name="Quầy", issued_at=now
            )
        )
        return Till(point=point, account=account)

    return db.unit(town.engine, work)


@contextmanager
def _city(config: Config) -> Iterator[int]:
    """Run everything that `make run` does; yields the process id of who holds the streams."""
    keyring.make(config.var_dir, keyring.origin(config.public_origin))
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:wallet.run.live_conf", "wsgi:create_live()"]
    with ExitStack() as stack:
        stack.enter_context(http_payment.serving(config))
        for command in ([sys.executable, "-m", "wallet.run.sealer"], [sys.executable, "-m", "wallet.run.worker"]):
            stack.enter_context(_child(config, command))
        master = stack.enter_context(_child(config, gunicorn))
        yield _answering(config, master.pid)


@contextmanager
def _child(config: Config, command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    child = subprocess.Popen(command, env=environment.child_environ(config, os.environ))
    try:
        yield child
        assert child.poll() is None, f"{command[-1]} is still there"
    finally:
        child.terminate()
        child.wait(timeout=20)


def _answering(config: Config, master: int) -> int:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{config.live_port}/healthz", timeout=5):
                break
        except OSError:
            time.sleep(0.1)
    else:
        raise SystemExit("the process of streams did not start")
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(worker)


def _memory_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _cpu_s(process: int) -> float:
    """Return how much of a processor's time a process has had, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
