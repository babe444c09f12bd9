"""`make run` as a person has it: up, said where, stopped without a trace; and every fault one line."""

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import free_port
from wallet.config import Config
from wallet.demo.processor import standin
from wallet.log import keyring
from wallet.run import environment, welcome
from wallet.run.__main__ import is_ready
from wallet.run.supervisor import Child

ROOT = Path(__file__).parents[1]
UP_S_MAX = 240


def command_environ(var_dir: Path, **changes: str) -> dict[str, str]:
    ours = (
        *environment.URL_NAMES,
        "PORT",
        "LIVE_PORT",
        "LIVE_ORIGIN",
        "PUBLIC_ORIGIN",
        "DEMO",
        "SERVER_SECRET",
        "CITY_FILE",
    )
    env = {name: value for name, value in os.environ.items() if name not in ours}
    return {**env, "VAR_DIR": str(var_dir), "LIVE_PORT": str(free_port()), **changes}


def launch(var_dir: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher where it is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "wallet.run"],
        cwd=ROOT,
        env=command_environ(var_dir, **changes),
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_a_port_in_use_is_one_line_and_nothing_is_made(var_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line(launch(var_dir, PORT=str(port)), f"Port {port} is in use by another program")
        streams = launch(var_dir, PORT=str(free_port()), LIVE_PORT=str(port))
        assert_one_line(streams, f"Port {port} is in use by another program")
        assert "make run LIVE_PORT=" in streams.stderr
    assert list(var_dir.iterdir()) == []


def test_a_bad_port_is_one_line(var_dir):
    assert_one_line(launch(var_dir, PORT="80a"), "PORT must be a number")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DATABASE_URL": "1", "AUDIT_DATABASE_URL": "1"}, "set without MIGRATOR_DATABASE_URL"),
        ({"AUDIT_DATABASE_URL": "1"}, "AUDIT_DATABASE_URL set without DATABASE_URL and MIGRATOR_DATABASE_URL"),
        ({"MIGRATOR_DATABASE_URL": "1", "DATABASE_URL": "1"}, "set without AUDIT_DATABASE_URL"),
        ({"DATABASE_URL": "mysql://u:hidden@h/d"}, "DATABASE_URL must look like postgresql://"),
    ],
)
def test_a_half_set_configuration_is_one_line(var_dir, changes, words):
    assert_one_line(launch(var_dir, PORT=str(free_port()), **changes), words)


def test_an_unreachable_database_is_one_line(var_dir):
    nobody = f"postgresql://u:hidden@127.0.0.1:{free_port()}/city"
    done = launch(var_dir, PORT=str(free_port()), DATABASE_URL=nobody)
    assert_one_line(done, "Connection refused")
    three = dict.fromkeys(environment.URL_NAMES, nobody)
    assert_one_line(launch(var_dir, PORT=str(free_port()), **three), "DATABASE_URL: 127.0.0.1")


def test_a_role_that_may_not_create_roles_is_one_line(var_dir, database):
    done = launch(var_dir, PORT=str(free_port()), DATABASE_URL=database.config.database_url)
    assert_one_line(done, "may not create roles")


def test_a_city_file_with_a_fault_is_told_without_a_stack_trace(var_dir, fresh_database, tmp_path):
    (tmp_path / "city.toml").write_text("name = 1\n")
    three = {
        "DATABASE_URL": fresh_database.config.database_url,
        "AUDIT_DATABASE_URL": fresh_database.config.audit_database_url,
        "MIGRATOR_DATABASE_URL": fresh_database.config.migrator_database_url or "",
    }
    done = launch(var_dir, PORT=str(free_port()), CITY_FILE=str(tmp_path / "city.toml"), **three)
    assert done.returncode == 1
    assert "city.toml" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


class Launched:
    """One `python -m wallet.run`."""

    def __init__(self, var_dir: Path, port: int) -> None:
        self.port, self.live_port = port, free_port()
        self.log = var_dir.parent / f"launcher-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wallet.run"],
                cwd=ROOT,
                env=command_environ(var_dir, PORT=str(port), LIVE_PORT=str(self.live_port), DEMO_CITIZENS="40"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        self.wait_until_said("Ctrl-C stops everything")

    def wait_until_said(self, words: str) -> None:
        deadline = time.monotonic() + UP_S_MAX
        while words not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def said(self) -> str:
        return self.log.read_text()

    def wait(self) -> int:
        return self.process.wait(timeout=60)


def processes_of(var_dir: Path) -> list[str]:
    """Every living process with this VAR_DIR in its environment, and the database server on its data."""
    found = []
    data = str((var_dir / "pg").resolve() / "data")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if command and (f"VAR_DIR={var_dir}".encode() in environ or data in command):
            found.append(command)
    return found


def wait_until_none(var_dir: Path, *, timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while left := processes_of(var_dir):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.fixture
def a_city(var_dir):
    """VAR_DIR of a city that is removed afterwards, wherever its database was put."""
    yield var_dir
    subprocess.run(
        [sys.executable, "-m", "wallet.run.clean"],
        cwd=ROOT,
        env=command_environ(var_dir),
        check=True,
        capture_output=True,
    )
    assert [path.name for path in var_dir.iterdir()] == []


def child_pid(launched: Launched, words: str) -> int:
    for line in subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(launched.process.pid)], capture_output=True, text=True
    ).stdout.splitlines():
        if words in line:
            return int(line.split()[0])
    raise AssertionError(words)


@pytest.mark.skipif("not sys.platform.startswith('linux')", reason="looks into /proc")
def test_a_city_from_nothing_to_stopped_and_again(a_city):
    first = Launched(a_city, free_port())
    first.wait_until_up()
    said = first.said()
    assert f"http://localhost:{first.port}" in said
    assert re.search(r"citizen +0\d{9} +\d{6}", said)

    # what was written down is for its owner only
    demo = a_city / "demo.json"
    document = json.loads(demo.read_text())
    assert document["base_url"] == f"http://localhost:{first.port}"
    for file in (demo, a_city / "roles.json", a_city / "secret", a_city / "log.key", a_city / "processor.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    # no process but the launcher ever had the migrator's password
    words = json.loads((a_city / "roles.json").read_text())["embedded"]["migrator"]
    for child in ("create_app", "create_live", "wallet.run.worker", "wallet.run.sealer", "wallet.run.processor"):
        assert words not in Path(f"/proc/{child_pid(first, child)}/environ").read_text()

    # the stand-in processor answers, and web was told where
    base = standin.kept(a_city).base
    assert base in Path(f"/proc/{child_pid(first, 'create_app')}/environ").read_text()
    processor = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
    processor.request("GET", "/")
    assert processor.getresponse().status == 200
    processor.close()

    # it listens on this machine only, and so do the streams
    for port, path in ((first.port, "/readyz"), (first.live_port, "/healthz")):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 200
        connection.close()

    # the demo city's log is served, signed and growing
    connection = http.client.HTTPConnection("127.0.0.1", first.port, timeout=10)
    connection.request("GET", "/log/checkpoint")
    served = connection.getresponse().read()
    connection.close()
    assert keyring.keys(a_city).open(served).checkpoint.size > 300

    # a second launcher is told; a proof meanwhile uses the same database and leaves it up
    assert_one_line(launch(a_city, PORT=str(free_port())), "is already running (process")
    proof = [sys.executable, "-m", "wallet.run.environment", sys.executable, "-m", "market.prove"]
    prove = subprocess.run(proof, cwd=ROOT, env=command_environ(a_city), capture_output=True, text=True)
    assert prove.returncode == 0, prove.stdout + prove.stderr
    assert is_ready(first.port)

    # who dies is started again, and that is said
    os.kill(child_pid(first, "create_app"), signal.SIGKILL)
    os.kill(child_pid(first, "create_live"), signal.SIGKILL)
    first.wait_until_said("web ended with signal SIGKILL; it is started again")
    first.wait_until_said("live ended with signal SIGKILL; it is started again")
    deadline = time.monotonic() + 30
    while not is_ready(first.port):
        assert time.monotonic() < deadline, first.said()
        time.sleep(0.1)

    first.process.send_signal(signal.SIGINT)
    assert first.wait() == 0
    assert first.said().endswith("Stopped. The data are kept.\n")
    assert processes_of(a_city) == []

    # the proof also works while the city is down, and leaves it down
    prove = subprocess.run(proof, cwd=ROOT, env=command_environ(a_city), capture_output=True, text=True)
    assert prove.returncode == 0, prove.stdout + prove.stderr
    assert processes_of(a_city) == []

    # the same people again, at another address; nothing is loaded twice
    second = Launched(a_city, free_port())
    second.wait_until_up()
    assert "Loading the demo city" not in second.said()
    again = json.loads(demo.read_text())
    assert again["base_url"] == f"http://localhost:{second.port}"
    assert [one["holder"] for one in again["principals"]] == [one["holder"] for one in document["principals"]]

    # killed without a chance to tidy up, it leaves nothing running either
    second.process.kill()
    second.wait()
    wait_until_none(a_city)


def test_a_child_that_will_not_stop_is_killed_with_all_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr("wallet.run.supervisor.STOP_S_MAX", 0.3)
    script = "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"
    child = Child("stubborn", ["/bin/sh", "-c", script], dict(os.environ), tmp_path / "log")
    child.start()
    while not (tmp_path / "log").read_text().strip():
        time.sleep(0.01)
    grandchild = Path("/proc", (tmp_path / "log").read_text().strip())
    child.stop()
    assert child.process is None
    deadline = time.monotonic() + 5
    while grandchild.exists() and "\nState:\tZ" not in (grandchild / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_that_keeps_dying_is_started_again_with_longer_pauses(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("wallet.run.supervisor.time.monotonic", lambda: now[0])
    said: list[str] = []
    child = Child("weak", ["/bin/sh", "-c", "echo going down; exit 7"], dict(os.environ), tmp_path / "log")
    child.start()
    pauses = []
    for _ in range(7):
        assert child.process is not None
        child.process.wait()
        child.look(said.append)
        pauses.append(child.start_again_at - now[0])
        child.look(said.append)
        assert child.process is None, "not before its pause is over"
        now[0] = child.start_again_at
        child.look(said.append)
    assert child.process is not None
    child.process.wait()
    child.stop()
    assert pauses == [0.5, 1, 2, 5, 10, 30, 30]
    assert "weak ended with status 7; it is started again in 0.5 s" in said[0]
    assert child.last_words() == "\n".join(["going down"] * 8)


def test_a_child_gets_no_migrators_url(database):
    config = database.config
    given = environment.child_environ(config, {"MIGRATOR_DATABASE_URL": "secret", "HOME": "/home/x"})
    assert "MIGRATOR_DATABASE_URL" not in given
    assert given["HOME"] == "/home/x"
    assert Config.from_env(given).database_url == config.database_url


def test_the_welcome_names_those_who_have_a_pin(database, tmp_path):
    config = replace(database.config, var_dir=tmp_path)
    people = [
        {"role": "citizen", "phone": "0600000101", "pin": "482915", "name": "Trần Thị Ngọc Lan"},
        {"role": "agency", "phone": None, "pin": None, "name": "Machine"},
    ]
    (tmp_path / "demo.json").write_text(json.dumps({"principals": people}))
    text = welcome.text(config)
    assert "482915  Trần Thị Ngọc Lan" in text
    assert "Machine" not in text
    assert config.public_origin in text


def test_without_a_city_a_proof_says_what_makes_one(var_dir):
    done = subprocess.run(
        [sys.executable, "-m", "wallet.run.environment", "true"],
        cwd=ROOT,
        env=command_environ(var_dir),
        capture_output=True,
        text=True,
    )
    assert_one_line(done, "There is no city in")


def test_make_alone_prints_every_target():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert done.returncode == 0
    assert {"run", "test", "lint", "prove", "bench"} <= targets
    for target in targets:
        assert re.search(rf"^  {target} +\S", done.stdout, re.MULTILINE), target
