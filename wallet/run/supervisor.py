"""Keeping processes up: start them, start again what died, stop them in order.

Words   A child is a process we started; its group is it and whatever it started. A child's own words go to a
        log.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

BACKOFF_S: Final = (0.5, 1, 2, 5, 10, 30)
"""Pauses before starting again a child that keeps dying; the last one repeats."""

STEADY_S: Final = 60
"""A child that lived this long starts with the shortest pause again."""

STOP_S_MAX: Final = 8
"""More than gunicorn's graceful_timeout. Who has not stopped by then is killed."""

LOG_BYTES_MAX: Final = 10_000_000
"""A log larger than this is put aside when its child starts; one older log is kept."""

LOOK_S: Final = 0.2


class Child:
    """One process that should be running.

    Args:
        name: for messages and the log's name.
        command: program and arguments.
        environ: its environment.
        log: where its output goes.
    """

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.environ = dict(environ)
        self.log = log
        self.deaths = 0
        self.started_at = 0.0
        self.start_again_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process in a group of its own, so that Ctrl-C at the terminal reaches only us."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env={**self.environ, "LAUNCHER_PID": str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.started_at = time.monotonic()

    def look(self, say: Callable[[str], None]) -> None:
        """Notice a death, or start again when the pause after one is over."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_again_at:
                self.start()
            return
        status = self.process.poll()
        if status is None:
            return
        self._end_group(signal.SIGKILL)  # what it started must not keep its port
        self.process = None
        self.deaths = 1 if now - self.started_at > STEADY_S else self.deaths + 1
        pause = BACKOFF_S[min(self.deaths, len(BACKOFF_S)) - 1]
        self.start_again_at = now + pause
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        say(f"{self.name} ended with {how}; it is started again in {pause:g} s (its log: {self.log})")

    def stop(self, *, at_once: Callable[[], bool] = lambda: False) -> None:
        """Ask the process to stop and wait; kill its group when it takes too long, or when `at_once` says
        so."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S_MAX
        while self.process.poll() is None and time.monotonic() < deadline and not at_once():
            time.sleep(0.02)
        self._end_group(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def last_words(self, lines: int = 15) -> str:
        """Return the end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _end_group(self, number: signal.Signals) -> None:
        assert self.process is not None
        # A group's number is not given away while one of its processes lives.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Stopped(Exception):
    """Somebody asked to stop before everything was up."""


class StopSignals:
    """Ctrl-C, SIGTERM and a closed terminal: the first asks for an orderly stop, a further one for haste."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.count = 0
        self._raises = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` says that a closed terminal is no reason to stop; a shell says the same of Ctrl-C with
            # `&`, but then Ctrl-C never comes, and whoever sends SIGINT means it.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, *_: object) -> None:
        self.count += 1
        self.event.set()
        if self._raises:
            raise Stopped

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal interrupt the block: work whose transaction simply ends.

        Raises:
            Stopped: the signal came, before the block or within.
        """
        if self.event.is_set():
            raise Stopped
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    @property
    def hasty(self) -> bool:
        """Whether somebody asked twice."""
        return self.count > 1


def supervise(children: Sequence[Child], stop: StopSignals, say: Callable[[str], None]) -> None:
    """Keep the children up until told to stop. They are left running: the caller stops them in its order."""
    while not stop.event.wait(LOOK_S):
        for child in children:
            child.look(say)
