"""What every test can have: databases, a running service, a browser; and what none may: the network.

Fixtures
    database        a migrated database of this worker's own, shared by its tests; make what you need in it
    fresh_database  a migrated database of this test's own; `another_database` is one more
    var_dir         a folder of this test's own, as VAR_DIR
    live_server     the real service under gunicorn, on a free port, with a fresh database
    browser         Chromium; `page` a phone-sized page of it
"""

import contextlib
import functools
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import hypothesis
import pytest

from tests import chromium, databases
from tests.databases import TestDatabase
from tests.make import City
from wallet.config import Config
from wallet.run import environment
from wallet.run.postgres import Cluster

ROOT = Path(__file__).parents[1]
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "", None})
SERVICE_READY_S_MAX = 60

os.environ.setdefault(databases.RUN_VARIABLE, str(os.getpid()))

# A slow machine is no failure. What must pass before a change lands tries the same examples each time; `make soak` finds new
# ones.
hypothesis.settings.register_profile("tests", deadline=None, print_blob=True, derandomize="SOAK_S" not in os.environ)
hypothesis.settings.load_profile("tests")


# -- the long files first, so that no worker is left alone with one at the end -------------------------------------------


LONG = (
    "test_pages_design.py",
    "test_run_launcher.py",
    "test_proof.py",
    "test_pages_transfer.py",
    "test_pages_journey.py",
    "test_crashes.py",
    "test_concurrency.py",
    "test_ledger_machine.py",
    "test_demo_load.py",
    "test_bench.py",
    "test_receipts.py",
    "test_log_witness.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONG)))


# -- a skip is a failure where nobody reads the output ------------------------------------------------------


_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if _skipped and os.environ.get("CI") == "true" and not is_worker and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped:
        is_failure = os.environ.get("CI") == "true"
        terminalreporter.section(f"{len(_skipped)} SKIPPED{', which fails under CI=true' if is_failure else ''}")
        for nodeid in _skipped:
            terminalreporter.line(nodeid)


# -- no network but loopback --------------------------------------------------------------------------------


class NetworkClosed(AssertionError):
    """A test tried to reach another machine."""


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    patch = pytest.MonkeyPatch()

    def guarded(name: str) -> None:
        real = getattr(socket.socket, name)

        @functools.wraps(real)
        def method(self: socket.socket, *args):
            address = args[-1]
            if self.family != socket.AF_UNIX and address[0] not in LOOPBACK:
                raise NetworkClosed(f"tests reach loopback only, not {address}")
            return real(self, *args)

        patch.setattr(socket.socket, name, method)

    for name in ("connect", "connect_ex", "sendto"):
        guarded(name)
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        if (host.decode() if isinstance(host, bytes) else host) not in LOOPBACK:
            raise NetworkClosed(f"tests resolve loopback only, not {host!r}")
        return resolve(host, *args, **kwargs)

    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


# -- databases ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """The tests' own PostgreSQL, up; stopped by the last worker to leave."""
    with databases.cluster().using() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Cluster) -> Iterator[str]:
    """The name of the database that the real bootstrap and the real migrations built."""
    with databases.template(postgres) as name:
        yield name


@pytest.fixture(scope="session")
def worker() -> str:
    """What tells this xdist worker from the others."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def database(
    template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestDatabase]:
    with databases.copy_of(template, worker, server=postgres, folder=tmp_path_factory.mktemp("var")) as made:
        yield made


_numbers = itertools.count(1)


@pytest.fixture
def fresh_database(template: str, postgres: Cluster, worker: str, var_dir: Path) -> Iterator[TestDatabase]:
    with databases.copy_of(template, f"{worker}_{next(_numbers)}", server=postgres, folder=var_dir) as made:
        yield made


@pytest.fixture
def another_database(template: str, postgres: Cluster, worker: str, var_dir: Path) -> Iterator[TestDatabase]:
    """Return one more, for a test that compares two."""
    with databases.copy_of(template, f"{worker}_{next(_numbers)}", server=postgres, folder=var_dir) as made:
        yield made


@pytest.fixture
def var_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "var"
    folder.mkdir()
    return folder


@pytest.fixture
def city(database: TestDatabase) -> Iterator[City]:
    """A small city in this worker's database; what a test makes in it stays there beside the others'."""
    with City(database) as made:
        yield made


# -- the service --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveServer:
    """The real service under gunicorn."""

    origin: str
    database: TestDatabase
    config: Config
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serve(database: TestDatabase, *, workers: int = 2, port: int | None = None, **changes: str) -> Iterator[LiveServer]:
    """Run the service on a free port against `database`.

    Args:
        database: whose VAR_DIR becomes the service's.
        workers: gunicorn's processes.
        port: of a service that was killed, so that its clients' orders still name it.
        changes: environment variables on top.
    """
    port = port or free_port()
    origin = f"http://localhost:{port}"
    live_port = free_port()
    config = replace(
        database.config,
        port=port,
        public_origin=origin,
        live_port=live_port,
        live_origin=f"http://localhost:{live_port}",
    )
    log = config.var_dir / f"web-{port}.log"
    child = {**environment.child_environ(config, os.environ), "WEB_CONCURRENCY": str(workers), **changes}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "python:wallet.run.gunicorn_conf",
        "wsgi:create_app()",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=child, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + SERVICE_READY_S_MAX
        while True:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{origin}/readyz", timeout=5) as answer,
            ):
                if answer.status == 200:
                    break
            assert process.poll() is None, f"the service ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"the service is not ready:\n{log.read_text()}"
            time.sleep(0.05)
        yield LiveServer(origin=origin, database=database, config=config, process=process, log=log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def serve_live(config: Config) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the process of streams beside a service, on its LIVE_PORT."""
    command = [sys.executable, "-m", "gunicorn", "--config", "python:wallet.run.live_conf", "wsgi:create_live()"]
    log = config.var_dir / f"live-{config.live_port}.log"
    with log.open("wb") as output:
        child = environment.child_environ(config, os.environ)
        process = subprocess.Popen(
            command, cwd=ROOT, env=child, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + SERVICE_READY_S_MAX
        while True:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://localhost:{config.live_port}/healthz", timeout=5),
            ):
                break
            assert process.poll() is None, f"the process of streams ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"the process of streams is not ready:\n{log.read_text()}"
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)  # a test may have stopped it
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def live_server(fresh_database: TestDatabase) -> Iterator[LiveServer]:
    with serve(fresh_database) as server:
        yield server


@pytest.fixture
def serving() -> Callable[..., contextlib.AbstractContextManager[LiveServer]]:
    """`with serving(database, workers=1) as server:` for tests that start the service more than once."""
    return serve


# -- the browser --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser():
    """Chromium, with nothing to say to anybody but this machine."""
    executable = chromium.find()
    if executable is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    quiet = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-sync",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ]
    # Chromium's own sandbox does not work for root; the pages are ours.
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(executable), args=[*quiet, *as_root])
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    """A page of a phone's size, in Vietnamese, without cookies or storage of another test."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh", has_touch=True
    )
    opened = context.new_page()
    yield opened
    context.close()
