"""`make run`: a whole city on this machine, from nothing, and gone from memory with Ctrl-C.

What    Checks the port, has the database up, migrates it, loads the demo city once, starts web, live and worker,
        waits until the service answers, says where to look and who to sign in as, and keeps everything up
        until told to stop.
Rule    What a person can mend is one line and status 1. A stack trace means a bug.
"""

import contextlib
import errno
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wallet.config import Config, ConfigError, live_port_of, port_of
from wallet.demo.processor import standin
from wallet.run import environment, migrate, processor, welcome
from wallet.run.faults import Fault
from wallet.run.supervisor import Child, Stopped, StopSignals, supervise

READY_S_MAX: Final = 60
DEATHS_BEFORE_READY_MAX: Final = 3
"""A service that dies this often before it ever answered will not answer."""


def say(line: str) -> None:
    """Tell the person at the terminal."""
    print(line, flush=True)


def require_free_port(port: int, *, name: str = "PORT") -> None:
    """Check that we may listen on the port that the variable `name` says.

    Raises:
        Fault: another program has it, or it needs rights that we lack.
    """
    with socket.socket() as probe:
        # As gunicorn does: connections of a service that has just stopped are no hindrance, one that listens
        # is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Fault(
                    f"Port {port} is in use by another program (cổng {port} đang được dùng): "
                    f"stop that one, or choose another port: make run {name}={port + 2}"
                ) from None
            raise Fault(f"Port {port} cannot be used: {error.strerror}.") from None


def children_of(config: Config) -> list[Child]:
    """Return the city's processes, in the order in which they start."""
    environ = environment.child_environ(config, os.environ)
    gunicorn = [sys.executable, "-m", "gunicorn", "--config"]
    logs = config.var_dir / "log"
    children = [
        Child("web", [*gunicorn, "python:wallet.run.gunicorn_conf", "wsgi:create_app()"], environ, logs / "web.log"),
        Child("live", [*gunicorn, "python:wallet.run.live_conf", "wsgi:create_live()"], environ, logs / "live.log"),
        Child("worker", [sys.executable, "-m", "wallet.run.worker"], environ, logs / "worker.log"),
        # Stopped last: what the others told until they ended is sealed.
        Child("sealer", [sys.executable, "-m", "wallet.run.sealer"], environ, logs / "sealer.log"),
    ]
    if processor.is_used(config):
        apart = processor.child_environ(config, os.environ)
        command = [sys.executable, "-m", "wallet.run.processor"]
        children.insert(0, Child("processor", command, apart, logs / "processor.log"))
    return children


def load_demo(config: Config) -> None:
    """Load the demo city, unless it is there.

    Raises:
        Fault: the city file cannot be used; each of its faults is told. Or DEMO_CITIZENS is no number.
    """
    asked = os.environ.get("DEMO_CITIZENS", "").strip()
    if asked and not (asked.isascii() and asked.isdecimal()):
        raise Fault(f"DEMO_CITIZENS={asked} is not a number of people.")
    import wsgi  # with it comes the whole product; the faults before are told sooner without
    from wallet import city
    from wallet.demo.people import CITIZENS

    try:
        wsgi.load_demo(config, log=say, citizens=int(asked) if asked else CITIZENS)
    except city.CityError as error:
        raise Fault(str(error)) from error


def check_log(config: Config) -> None:
    """Have posting stopped before anybody can post, if the log has published what the database does not have.

    Raises:
        Fault: the log has no key.
    """
    from wallet.log.keyring import NoKey
    from wallet.log.sealer import Contradicted
    from wallet.log.shelf import Taken
    from wallet.run import sealer

    try:
        with sealer.of(config) as made:
            made.check()
    except NoKey as error:
        raise Fault(str(error)) from error
    except Taken:
        return  # a sealer that was started otherwise has looked
    except Contradicted as reason:
        say(f"\n  POSTING IS STOPPED (tạm dừng ghi sổ): {reason.code}: {reason}.")
        say("  What to do: python -m wallet.run.log --help\n")


def is_ready(port: int) -> bool:
    """Ask the service itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_ready(config: Config, children: list[Child], stop: StopSignals) -> None:
    """Wait until the service answers.

    Raises:
        Fault: it does not, with the last lines of its log.
        Stopped: somebody lost patience.
    """
    deadline = time.monotonic() + READY_S_MAX
    while not is_ready(config.port):
        if stop.event.wait(0.1):
            raise Stopped
        for child in children:
            child.look(say)
            if child.deaths >= DEATHS_BEFORE_READY_MAX or time.monotonic() > deadline:
                raise Fault(f"{child.name} does not come up. The end of {child.log}:\n{child.last_words()}")


@contextlib.contextmanager
def guarded(config: Config) -> Iterator[None]:
    """Have somebody left who puts the database away if we are killed."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "wallet.run.guard"],
        env={**os.environ, "VAR_DIR": str(config.var_dir)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        process_group=0,
    )
    assert guard.stdin is not None
    try:
        yield
    finally:
        guard.kill()
        guard.stdin.close()
        guard.wait()


def run(stop: StopSignals) -> None:
    """Bring the city up, and keep it up until told to stop."""
    require_free_port(port_of(os.environ))
    require_free_port(live_port_of(os.environ), name="LIVE_PORT")
    folder = environment.var_dir(os.environ)
    is_embedded = not any(os.environ.get(name, "").strip() for name in environment.URL_NAMES)
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment.sole_launcher(folder))
        if os.environ.get("DEMO", "1").strip() != "0":
            standin.on_a_free_port(folder, never=(port_of(os.environ), live_port_of(os.environ)))
        if is_embedded:
            say(f"Starting PostgreSQL in {folder / 'pg'} …")
        config = stack.enter_context(environment.city(os.environ, say=say))
        if is_embedded:
            stack.enter_context(guarded(config))
        assert config.migrator_database_url is not None, "every way to a city brings the migrator's URL"
        with stop.at_once():
            if ran := migrate.upgrade(config.migrator_database_url):
                say(f"Migrated to {ran[-1]}.")
            if config.demo:
                load_demo(config)
            check_log(config)
        children = children_of(config)
        try:
            for child in children:
                if stop.event.is_set():
                    raise Stopped
                child.start()
            wait_until_ready(config, children, stop)
            say(welcome.text(config))
            supervise(children, stop, say)
        finally:
            say("Stopping …")
            for child in children:
                child.stop(at_once=lambda: stop.hasty)


def main() -> int:
    """Run, and answer what a person can mend with one line."""
    stop = StopSignals()
    try:
        run(stop)
    except Stopped:
        pass
    except (Fault, ConfigError) as error:
        print(error, file=sys.stderr)
        return 1
    say("Stopped. The data are kept.")
    return 0


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.exit(main())
