"""Crews: client processes that post as fast as they can, one durable transaction after the other, slice by slice.

Why     Clients are processes of their own: threads of one Python would wait for each other and not for the ledger. What is
        compared is measured in turn, a short slice each, round after round, and the median slice counts: whatever else the
        machine does in between hits all of them alike.
Words   A subject is what is measured: our ledger, a peer, the disk. A crew is a subject made of client processes.
Imports Only the standard library's, because a peer's own virtual environment runs it too.
"""

import multiprocessing
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Final, Protocol

Post = Callable[[], object]
"""Posts once and returns when it is durable."""

Prepare = Callable[[int], AbstractContextManager[Post]]
"""Called in the process of client so-and-so: connects, and gives what that client does again and again."""

READY_S_MAX: Final = 60.0


class Subject(Protocol):
    """What can be measured for a slice of time."""

    name: str

    def slice(self, seconds: float) -> float:
        """Work for so long; return postings a second."""

    def close(self) -> None:
        """Let go of what was held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long to measure: so many rounds of slices of so many seconds, after a slice that is thrown away; and with how many
    clients, at most 16, where it is not one.
    """

    rounds: int = 5
    seconds: float = 1.0
    clients: int = 16


class ClientFailed(Exception):
    """A client process ended with an error; the message is its traceback."""


class Crew:
    """Clients that begin each slice together.

    Args:
        name: what is measured.
        clients: processes.
        prepare: gives each client its work, in its own process.
        postings: how many one call posts.
    """

    def __init__(self, name: str, clients: int, prepare: Prepare, *, postings: int = 1) -> None:
        self.name = name
        self.postings = postings
        context = multiprocessing.get_context("fork")
        self._start = context.Barrier(clients)
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for number in range(clients):
            ours, theirs = context.Pipe()
            inherited = [*self._pipes, ours]
            process = context.Process(
                target=_client, args=(number, prepare, self._start, theirs, inherited), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._answers()  # all are connected

    def slice(self, seconds: float) -> float:
        """Let all clients post for so long; return postings a second, each client's own count over its own time."""
        for pipe in self._pipes:
            pipe.send(seconds)
        return self.postings * sum(done / took for done, took in self._answers())

    def close(self) -> None:
        """End the clients."""
        for pipe in self._pipes:
            with suppress(OSError):  # one that failed is gone already
                pipe.send(None)
        for process in self._processes:
            process.join()

    def _answers(self) -> list[tuple[int, float]]:
        answers = []
        for pipe in self._pipes:
            try:
                answer = pipe.recv()
            except EOFError:
                raise ClientFailed(f"a client of {self.name} is gone") from None
            if isinstance(answer, str):
                raise ClientFailed(f"a client of {self.name} failed:\n{answer}")
            answers.append(answer)
        return answers


def compare(subjects: Sequence[Subject], pace: Pace) -> dict[str, float]:
    """Measure subjects in turn and return each one's median slice by name, in postings a second."""
    for subject in subjects:
        subject.slice(pace.seconds)  # caches, prepared statements, first pages
    slices: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for number in range(pace.rounds):
        # Every other round backwards, so that nobody always comes after the same one.
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            slices[subject.name].append(subject.slice(pace.seconds))
    return {name: statistics.median(rates) for name, rates in slices.items()}


def _client(
    number: int,
    prepare: Prepare,
    start: Barrier,
    pipe: "Connection[Any, Any]",
    inherited: "list[Connection[Any, Any]]",
) -> None:
    """Be a client: answer each number of seconds with how many calls were done and how long they took."""
    for other in inherited:
        other.close()  # so that the pipe ends when whoever measures is gone, however they went
    try:
        with prepare(number) as post:
            pipe.send((0, 1.0))
            while (seconds := pipe.recv()) is not None:
                start.wait(READY_S_MAX)
                pipe.send(_work(post, seconds))
    except EOFError:
        return  # whoever measured is gone
    except Exception:  # noqa: BLE001 - whatever it was, the crew tells it
        start.abort()
        pipe.send(traceback.format_exc())


def _work(post: Post, seconds: float) -> tuple[int, float]:
    done, began = 0, time.perf_counter()
    until = began + seconds
    while True:
        post()
        done += 1
        now = time.perf_counter()
        if now >= until:
            return done, now - began
