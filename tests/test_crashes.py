"""Killed at a named point: a web worker, the worker, a backend, PostgreSQL itself; stopped, full, and out of connections.

Whoever asked goes on asking with the same bytes. Every order that was acknowledged is in the books exactly once, every
other one at most once, and the books prove.

Points  A victim is led to its point from outside: a session of the test's holds the lock that the statement needs next, or,
        for the point after a commit and before its answer, the commit waits for a standby that does not exist. Nothing of
        this is built into the service.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from tests import databases, history
from tests.attack import refused
from tests.conftest import LiveServer, serve
from tests.crowd import crowd, entered, evidence, person
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet import clock, db, jobs, ledger, periods
from wallet.client import Reply
from wallet.ledger import Claim
from wallet.run import environment, postgres
from wallet.run.postgres import Cluster

ROOT = Path(__file__).parents[1]
WAIT_S_MAX = 30
ROUND_S = 30.0
SOAK_S = float(os.environ.get("SOAK_S", "0"))
Session = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL of this module's own, to be killed."""
    made = Cluster(
        tmp_path_factory.mktemp("crash") / "pg",
        password=databases.passwords().superuser,
        settings={"shared_buffers": "32MB", "max_connections": "60"},
    )
    made.start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def made(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestDatabase]:
    with (
        databases.template(cluster) as template,
        databases.copy_of(template, "crash", server=cluster, folder=tmp_path_factory.mktemp("var")) as database,
    ):
        yield database


@dataclass(frozen=True, kw_only=True)
class Town:
    """A running service, and people who have something."""

    cluster: Cluster
    server: LiveServer
    city: City
    hoa: Signer
    binh: Signer

    def transfer(self, amount: int = 1) -> bytes:
        return self.hoa.order("transfer", payer=self.hoa.account, payee=self.binh.account, amount=str(amount), memo="")

    def proved(self) -> None:
        assert self.city.differences() == []


@pytest.fixture(scope="module")
def town(cluster: Cluster, made: TestDatabase) -> Iterator[Town]:
    with serve(made, workers=2) as server, City(made, origin=server.origin, in_process=False) as city:
        hoa, binh = city.citizen(available=10**6), city.citizen("Trần Văn Bình", available=10**6)
        hoa.seconds = binh.seconds = WAIT_S_MAX
        there = Town(cluster=cluster, server=server, city=city, hoa=hoa, binh=binh)
        sent = hoa.send("POST", "/v1/transfers", there.transfer())
        assert sent.status == 201, sent.body  # the limit counters are there to be locked
        yield there


# -- leading a victim to its point ------------------------------------------------------------------------------------


def until(what: str, found: Any) -> Any:
    """Wait until a question has an answer that is true, and return it."""
    deadline = time.monotonic() + WAIT_S_MAX
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def behind(watcher: Session, blocker: Session) -> tuple[int, int]:
    """The backend that waits for what the blocker holds: its process id, and the port of whom it serves."""
    question = """
        SELECT pid, client_port FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND pg_blocking_pids(pid) @> ARRAY[%s::int] ORDER BY query_start LIMIT 1
    """
    found: tuple[int, int] = until(
        "nobody came to the point", lambda: watcher.execute(question, [blocker.info.backend_pid]).fetchone()
    )
    return found


def process_on(port: int, candidates: list[int]) -> int:
    """Which of these processes has the connection that leaves from a port."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if int(line.split()[1].split(":")[1], 16) == port
    }
    for pid in candidates:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(file).removeprefix("socket:[").rstrip("]") in inodes:
                    return pid
    raise AssertionError("none of our processes has that connection")


def workers_of(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def killed(pid: int) -> None:
    """Kill a process of ours, and see it gone."""
    os.kill(pid, signal.SIGKILL)
    until("it is gone", lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def insist(signer: Signer, path: str, content: bytes, *, seconds: float = WAIT_S_MAX) -> Reply:
    """Send the same bytes until they are answered."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            reply = signer.send("POST", path, content)
            if reply.status != 503:
                return reply
        assert time.monotonic() < deadline, "the service came back"
        time.sleep(0.05)


@contextlib.contextmanager
def held(town: Town, lock: str, **given: Any) -> Iterator[tuple[Session, Session]]:
    """Hold a lock while the block runs; gives the holder and somebody to watch with."""
    with (
        contextlib.suppress(psycopg.OperationalError),  # where the block kills the server, their connections go too
        town.city.database.superuser() as watcher,
        town.city.database.superuser() as blocker,
        blocker.transaction(force_rollback=True),
    ):
        blocker.execute(lock, given)
        yield blocker, watcher


def stands_once(town: Town, content: bytes, reply: Reply, *, entries: int = 1) -> None:
    """The order is in the books with that answer, once, and whoever asks again is given the same bytes."""
    said = json.loads(content)
    question = """
        SELECT o.status, o.body, (SELECT count(*) FROM ledger.entry e WHERE e.authority = a.id),
               (SELECT count(*) FROM ledger.event v WHERE v.authority = a.id)
        FROM ledger.authority a JOIN ledger.outcome o ON o.authority = a.id WHERE (a.signer, a.order_id) = (%s, %s)
    """
    with town.city.database.superuser() as owner:
        rows = owner.execute(question, [said["signer"], said["id"]]).fetchall()
    assert [(row[0], bytes(row[1]), row[2], row[3]) for row in rows] == [(reply.status, reply.body, entries, 1)]


# -- a web worker -----------------------------------------------------------------------------------------------------

TWIN = """
    INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, key_id, digest)
    VALUES (%(other)s, 'signed_order', %(holder)s, %(order)s, 'transfer', %(key)s, '\\x00')
"""
POINTS = {
    "its twin is in flight": TWIN,
    "its key": "SELECT 1 FROM identity.key WHERE id = %(key)s FOR UPDATE",
    "the state of accounts": "SELECT pg_advisory_xact_lock(7201, 0)",
    "its day": "SELECT pg_advisory_xact_lock(7201, %(day)s)",
    "its limit counters": "SELECT 1 FROM ledger.usage WHERE holder = %(holder)s FOR UPDATE",
    "the payer's balance": "SELECT 1 FROM ledger.balance WHERE account = %(account)s FOR UPDATE",
}
"""What an order waits for, in the order in which it does, and who holds it meanwhile."""


def names(town: Town, content: bytes) -> dict[str, Any]:
    """What the locks of the points are about."""
    day = clock.day_of(clock.now())
    return {
        "other": uuid4(),
        "order": json.loads(content)["id"],
        "holder": town.hoa.holder,
        "account": town.hoa.account,
        "key": town.hoa.key.public.id,
        "day": (day - day.replace(year=2000, month=1, day=1)).days,
    }


@pytest.mark.parametrize("point", POINTS)
def test_a_web_worker_is_killed_while_its_order_waits(town: Town, point: str) -> None:
    """Row 105: the backend goes on without a client, or not; the client asks another worker; the order is done once."""
    content = town.transfer()
    with ThreadPoolExecutor(1) as threads:
        with held(town, POINTS[point], **names(town, content)) as (blocker, watcher):
            asked = threads.submit(insist, town.hoa, "/v1/transfers", content)
            _, port = behind(watcher, blocker)
            killed(process_on(port, workers_of(town.server.process.pid)))
        reply = asked.result(timeout=WAIT_S_MAX)
    assert reply.status == 201, reply.body
    stands_once(town, content, reply)
    town.proved()


def test_a_web_worker_is_killed_after_the_commit_and_before_the_answer(town: Town) -> None:
    """Row 105: it is stopped, its statement commits without it, and it dies with the answer in its socket."""
    content = town.transfer()
    done = "SELECT count(*) FROM ledger.authority WHERE order_id = %s"
    with town.city.database.superuser() as owner, ThreadPoolExecutor(1) as threads:
        with held(town, POINTS["the payer's balance"], **names(town, content)) as (blocker, watcher):
            asked = threads.submit(insist, town.hoa, "/v1/transfers", content)
            _, port = behind(watcher, blocker)
            victim = process_on(port, workers_of(town.server.process.pid))
            os.kill(victim, signal.SIGSTOP)
        order = [json.loads(content)["id"]]
        until("it is carried out without its client", lambda: owner.execute(done, order).fetchone() == (1,))
        assert not asked.done()
        killed(victim)
        reply = asked.result(timeout=WAIT_S_MAX)
    assert (reply.status, reply.headers.get("idempotent-replayed")) == (201, "true")
    stands_once(town, content, reply)
    town.proved()


# -- the worker -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def working(town: Town) -> Iterator[int]:
    """Have the worker run; gives its process id."""
    environ = environment.child_environ(town.server.config, os.environ)
    with (town.server.config.var_dir / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "wallet.run.worker"], cwd=ROOT, env=environ, stdout=log, stderr=log
        )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def worker_here(town: Town) -> Iterator[jobs.Worker]:
    """The worker's jobs in this process, one by one."""
    worker = jobs.Worker(town.server.config)
    try:
        yield worker
    finally:
        worker.database.dispose()


def killed_at(town: Town, lock: str, **given: Any) -> None:
    """Start the worker, lead it to a point, and kill it there."""
    with held(town, lock, **given) as (blocker, watcher), working(town) as pid:
        _, port = behind(watcher, blocker)
        assert process_on(port, [pid]) == pid
        killed(pid)


def test_the_worker_is_killed_while_it_folds(town: Town) -> None:
    """Row 105: the deltas are in the row or still to be folded, never both and never gone."""
    content = town.transfer(7)
    assert insist(town.hoa, "/v1/transfers", content).status == 201
    before = town.city.available(town.binh)
    killed_at(town, "SELECT 1 FROM ledger.delta WHERE account = %(account)s FOR UPDATE", account=town.binh.account)
    assert town.city.available(town.binh) == before
    town.proved()
    with worker_here(town) as worker:
        worker.fold_round()
        until("they are folded", lambda: town.city.count("ledger.delta") == 0 or worker.fold_round() < 0)
    assert town.city.available(town.binh) == before
    town.proved()


def test_the_worker_is_killed_while_a_hold_lapses(town: Town) -> None:
    """Rows 40 and 105."""
    lapses_at = clock.now() + timedelta(seconds=3)
    own = {"payer": town.hoa.account, "payee": town.binh.account, "amount": "9"}
    content = town.hoa.order("hold", **own, lapses_at=str(int(lapses_at.timestamp())))
    placed = town.hoa.send("POST", "/v1/holds", content)
    assert placed.status == 201, placed.body
    hold = placed.json()["hold"]
    until("its time is over", lambda: clock.now() > lapses_at)
    killed_at(town, "SELECT 1 FROM ledger.live_hold WHERE hold = %(hold)s FOR UPDATE", hold=hold)
    with worker_here(town) as worker:
        worker.lapse()
        until("it has lapsed", lambda: town.hoa.get(f"/v1/holds/{hold}").json()["state"] == "lapsed")
        assert worker.lapse() == 0
    assert town.hoa.get(f"/v1/holds/{hold}").json()["released"] == "9"
    town.proved()


def test_the_worker_is_killed_while_it_closes_the_day(town: Town) -> None:
    """Row 105: the day is closed once, and told of once, by whoever comes next."""
    now = clock.now()
    yesterday = clock.day_of(now) - timedelta(days=1)
    if now < clock.day_bounds(yesterday)[1] + periods.GRACE:
        # For ten minutes a night there is nothing to close, and the worker knows.
        with worker_here(town) as worker:
            worker.nightly()
        assert town.city.count("ledger.period") == 0
        return
    day = (yesterday - yesterday.replace(year=2000, month=1, day=1)).days
    killed_at(town, "SELECT pg_advisory_xact_lock_shared(7201, %(day)s)", day=day)
    with worker_here(town) as worker:
        worker.nightly()
        worker.nightly()
    with town.city.database.superuser() as owner:
        closed = owner.execute("SELECT count(*) FROM ledger.period WHERE kind = 'day' AND ends = %s", [yesterday])
        assert closed.fetchone() == (1,)
    town.proved()


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


def ready(cluster: Cluster) -> None:
    """Wait until the server takes connections again."""

    def answers() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(cluster.url(), connect_timeout=5).close()
            return True
        return False

    until("PostgreSQL is back", answers)


@contextlib.contextmanager
def at_lock(town: Town, lock: str) -> Iterator[int]:
    """Somebody's backend waits for this lock; gives its process id."""
    with held(town, lock, **names(town, town.transfer())) as (blocker, watcher):
        yield behind(watcher, blocker)[0]


@contextlib.contextmanager
def at_commit(town: Town, _lock: str) -> Iterator[int]:
    """Somebody's commit is on the disk, and nobody is told; gives the backend's process id."""
    with town.city.database.superuser() as owner:
        owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        owner.execute("SELECT pg_reload_conf()")
        question = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' LIMIT 1"
        yield until("nobody commits", lambda: owner.execute(question).fetchone())[0]
    ready(town.cluster)
    with town.city.database.superuser() as owner:
        owner.execute("ALTER SYSTEM RESET synchronous_standby_names")
        owner.execute("SELECT pg_reload_conf()")


def kill_backend(town: Town, backend: int) -> None:
    """Kill a backend, and wait until the server has cut everybody off for it: a moment longer it still lets people in."""
    with town.city.database.superuser() as bystander:
        os.kill(backend, signal.SIGKILL)

        def cut_off() -> bool:
            try:
                bystander.execute("SELECT")
            except psycopg.OperationalError:
                return True
            return False

        until("PostgreSQL has noticed", cut_off)


def stop_immediately(town: Town, _backend: int) -> None:
    town.cluster.stop("immediate")
    town.cluster.start()


def kill_postmaster(town: Town, _backend: int) -> None:
    postgres.crash(town.cluster)
    town.cluster.start()


ASSAULTS = [
    (at_lock, POINTS["the payer's balance"], kill_backend),
    (at_commit, "", kill_backend),
    (at_lock, POINTS["its limit counters"], stop_immediately),
    (at_commit, "", stop_immediately),
    (at_lock, POINTS["its day"], kill_postmaster),
    (at_commit, "", kill_postmaster),
]


def besieged(town: Town, folder: Path, *, seconds: float = 0.0) -> history.History:
    """Let clients ask while PostgreSQL is killed at each point, again and again for so long; hold their histories
    against the books.
    """
    before = history.books(town.city.audit)
    run = {
        "port": town.server.config.port,
        "url": town.server.config.database_url,
        "origin": town.server.origin,
        "folder": str(folder),
        "seed": folder.name,
        "people": [person(one) for one in (town.hoa, town.binh)],
        "casts": ["transfer", "transfer", "transfer place", "transfer capture void", "transfer refund reverse"],
        "amount_max": 50,
        "seconds": seconds + 10 * WAIT_S_MAX,
    }
    ends = time.monotonic() + seconds
    with crowd() as many:
        many.start(run)
        try:
            while True:
                for point, lock, assault in ASSAULTS:
                    with point(town, lock) as backend:
                        assault(town, backend)
                    ready(town.cluster)
                if time.monotonic() >= ends:
                    break
        finally:
            (folder / "stop").touch()
        many.finish()
    asked = history.read(folder)
    assert history.failures(asked) == []
    for engine in (town.city.audit, town.city.engine):
        engine.dispose()  # what they keep was cut off
    assert list(history.differences(asked, before, history.books(town.city.audit))) == []
    town.proved()
    return asked


def test_postgresql_is_killed_in_every_way_while_clients_go_on_asking(town: Town, tmp_path: Path) -> None:
    """Row 106: a backend, an immediate stop, the postmaster; each while it waits, and between a commit and its answer."""
    asked = besieged(town, tmp_path)
    assert all(one.answers for one in asked.values()), "in the end everybody is answered"
    assert sum(one.done for one in asked.values()) > len(ASSAULTS)
    assert sum(bool(one.lost) for one in asked.values()) >= len(ASSAULTS), "and many had to ask again"


@pytest.mark.soak
def test_postgresql_is_killed_again_and_again(town: Town, tmp_path: Path) -> None:
    """Row 106, for as long as one likes; proved after each round."""
    ends, number = time.monotonic() + SOAK_S, 0
    while time.monotonic() < ends:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        asked = besieged(town, folder, seconds=min(ROUND_S, ends - time.monotonic()))
        assert all(one.answers for one in asked.values())


# -- a disk that is full, or fails ------------------------------------------------------------------------------------


@pytest.mark.soak
def test_a_full_disk_is_busy_and_keeps_what_was_there(town: Town, tmp_path: Path) -> None:
    """Row 108: the orders' contents and the events lie on a disk of 16 MB, which is filled up and freed again."""
    disk = Path(tempfile.mkdtemp(prefix="disk-", dir=town.cluster.home.resolve()))
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("row 108 needs root, and the right to mount a small disk")
    try:
        place = disk / "tables"
        place.mkdir(mode=0o700)
        owner = town.cluster.data.stat()
        os.chown(place, owner.st_uid, owner.st_gid)
        move_tables(town, str(place))
        contents = [town.transfer() for _ in range(200)]
        with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        replies = [town.hoa.send("POST", "/v1/transfers", content) for content in contents]
        assert {reply.status for reply in replies} <= {201, 503}
        busy = [reply for reply in replies if reply.status == 503]
        assert busy
        refused(busy[0], 503, "service_busy")
        town.proved()
        (disk / "ballast").unlink()
        for content, first in zip(contents, replies, strict=True):
            reply = insist(town.hoa, "/v1/transfers", content)
            assert reply.status == 201
            assert first.status == 503 or first.body == reply.body
            stands_once(town, content, reply)
        town.proved()
    finally:
        move_tables(town, None)
        subprocess.run(["umount", disk], check=True)


def move_tables(town: Town, place: str | None) -> None:
    """Have what grows with every order on another disk, or back where everything is."""
    with town.city.database.superuser() as owner:
        if place:
            owner.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place))
        for table in ("ledger.event", "person.order_content"):
            owner.execute(f"ALTER TABLE {table} SET TABLESPACE {'small' if place else 'pg_default'}")
        if not place:
            owner.execute("DROP TABLESPACE small")


@pytest.mark.soak
def test_a_commit_that_the_disk_fails_is_not_acknowledged(town: Town) -> None:
    """Row 109: fdatasync of the log says EIO; PostgreSQL stops rather than pretend, and comes back with what is whole."""
    if shutil.which("strace") is None:
        pytest.skip("row 109 needs strace: apt install strace")
    content = town.transfer()
    with ThreadPoolExecutor(1) as threads, contextlib.ExitStack() as tracing:
        with held(town, POINTS["the payer's balance"], **names(town, content)) as (blocker, watcher):
            asked = threads.submit(insist, town.hoa, "/v1/transfers", content)
            backend, _ = behind(watcher, blocker)
            command = [
                "strace",
                "-p",
                str(backend),
                "-e",
                "trace=fdatasync,fsync",
                "-e",
                "inject=fdatasync,fsync:error=EIO",
            ]
            tracer = tracing.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
            assert tracer.stderr is not None
            if "attached" not in tracer.stderr.readline():
                pytest.skip("row 109 needs the right to trace a process")
        traced = tracer.stderr.read()
        ready(town.cluster)
        reply = asked.result(timeout=WAIT_S_MAX)
    assert "EIO" in traced
    assert reply.status == 201
    for engine in (town.city.audit, town.city.engine):
        engine.dispose()
    stands_once(town, content, reply)
    town.proved()


# -- a process that stands still --------------------------------------------------------------------------------------


def test_a_stopped_process_that_holds_locks_stops_nobody_else(town: Town) -> None:
    """Row 111: whoever needs what it holds is told "busy" within the lock's time; the others notice nothing."""
    first, second, other = (
        town.transfer(),
        town.transfer(),
        town.binh.order("transfer", payer=town.binh.account, payee=town.hoa.account, amount="1", memo=""),
    )
    with ThreadPoolExecutor(1) as threads:
        with held(town, POINTS["the payer's balance"], **names(town, first)) as (blocker, watcher):
            asked = threads.submit(insist, town.hoa, "/v1/transfers", first)
            stopped, _ = behind(watcher, blocker)
            os.kill(stopped, signal.SIGSTOP)
        try:
            assert town.binh.send("POST", "/v1/transfers", other).status == 201
            started = time.monotonic()
            busy = town.hoa.send("POST", "/v1/transfers", second)
            took = time.monotonic() - started
        finally:
            os.kill(stopped, signal.SIGCONT)
        refused(busy, 503, "service_busy")
        assert busy.headers["retry-after"] == "1"
        assert took > db.LOCK_TIMEOUT_MS / 1000 - 0.5
        assert asked.result(timeout=WAIT_S_MAX).status == 201
    reply = insist(town.hoa, "/v1/transfers", second)
    assert reply.status == 201
    stands_once(town, second, reply)
    town.proved()


@pytest.mark.soak
def test_a_unit_that_stands_still_is_cut_off_and_wrote_nothing(town: Town) -> None:
    """Row 111: after thirty seconds its locks are free; when it goes on it finds that its time is over."""
    own = {"payer": town.hoa.account, "payee": town.binh.account, "amount": "1", "memo": ""}
    content, other = town.hoa.order("transfer", **own), town.hoa.order("transfer", **own)
    said = evidence(town.hoa, "transfer", content)
    locked, freed = threading.Event(), threading.Event()

    def stand_still(unit: sa.Connection) -> None:
        claim = Claim.of(said)
        assert ledger.claim(unit, said, claim).state == "new"
        made = entered("transfer", ((town.hoa.account, town.binh.account, 1),))
        ledger.post(unit, claim, made, status=201, body=b"{}")
        locked.set()
        assert freed.wait(timeout=3 * WAIT_S_MAX)

    with ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(db.unit, town.city.engine, stand_still)
        assert locked.wait(timeout=WAIT_S_MAX)
        reply = insist(town.hoa, "/v1/transfers", other, seconds=2 * WAIT_S_MAX)
        freed.set()
        with pytest.raises(sa.exc.DBAPIError):
            stopped.result(timeout=WAIT_S_MAX)
    assert reply.status == 201
    again = insist(town.hoa, "/v1/transfers", content)
    assert (again.status, again.headers.get("idempotent-replayed")) == (201, None)
    stands_once(town, content, again)
    town.proved()


# -- no connection left -----------------------------------------------------------------------------------------------


def test_when_postgresql_takes_no_more_connections_the_answer_is_busy(town: Town) -> None:
    """Row 112: a problem document and no 500; with a free connection the same order is carried out."""
    content = town.transfer()
    with town.city.database.superuser() as owner, contextlib.ExitStack() as taken:
        fill(town, taken)
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN ('web', 'web-audit')"
        )
        fill(town, taken)
        for _ in range(3):
            refused(town.hoa.send("POST", "/v1/transfers", content), 503, "service_busy")
    reply = insist(town.hoa, "/v1/transfers", content)
    assert reply.status == 201
    stands_once(town, content, reply)


def fill(town: Town, taken: contextlib.ExitStack) -> None:
    """Take every connection that the application could have."""
    with contextlib.suppress(psycopg.OperationalError):
        for _ in range(100):
            taken.enter_context(contextlib.closing(psycopg.connect(town.server.config.database_url)))


def test_when_the_pool_is_empty_the_answer_is_busy(made: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 112."""
    with City(made) as city:
        assert city.app is not None
        hoa, binh = city.citizen(available=10), city.citizen("Trần Văn Bình")
        content = hoa.order("transfer", payer=hoa.account, payee=binh.account, amount="1", memo="")
        engine = city.app.extensions["wallet"].app
        monkeypatch.setattr(engine.pool, "_timeout", 0.1)
        with contextlib.ExitStack() as taken:
            for _ in range(2 * db.POOL_SIZE):
                taken.enter_context(engine.connect())
            refused(hoa.send("POST", "/v1/transfers", content), 503, "service_busy")
        assert hoa.send("POST", "/v1/transfers", content).status == 201


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (psycopg.errors.DiskFull, 503),
        (psycopg.errors.IoError, 503),
        (psycopg.errors.TooManyConnections, 503),
        (psycopg.errors.OutOfMemory, 503),
        (psycopg.errors.LockNotAvailable, 503),
        (psycopg.errors.QueryCanceled, 503),
        (psycopg.errors.IdleInTransactionSessionTimeout, 503),
        (psycopg.errors.AdminShutdown, 503),
        (psycopg.errors.CannotConnectNow, 503),
        (psycopg.errors.DeadlockDetected, 503),
        (psycopg.errors.SerializationFailure, 503),
        (psycopg.errors.UniqueViolation, 500),
        (psycopg.errors.CheckViolation, 500),
        (psycopg.errors.RaiseException, 500),
        (psycopg.errors.UndefinedColumn, 500),
    ],
)
def test_a_database_in_trouble_is_busy_and_a_bug_is_a_bug(
    trouble: City, monkeypatch: pytest.MonkeyPatch, fault: type[psycopg.Error], status: int
) -> None:
    """Rows 105 to 112: what a caller is told of each."""

    def fails(*_: Any, **__: Any) -> None:
        raise sa.exc.DBAPIError.instance("", {}, fault(""), psycopg.Error)

    hoa, binh = trouble.citizen(available=10), trouble.citizen("Trần Văn Bình")
    monkeypatch.setattr(ledger, "post_order", fails)
    own = {"payer": hoa.account, "payee": binh.account, "amount": "1", "memo": ""}
    reply = hoa.send("POST", "/v1/transfers", hoa.order("transfer", **own))
    refused(reply, status, "service_busy" if status == 503 else "internal_error")


@pytest.fixture(scope="module")
def trouble(made: TestDatabase) -> Iterator[City]:
    with City(made) as city:
        yield city
