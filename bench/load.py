"""Load: processes that send prepared requests over loopback, one after the other each, and note how long each took.

A request is bytes made beforehand, signature included, so that the client costs the machine as little as can be.
"""

import contextlib
import multiprocessing
import re
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

SENDERS: Final = 4
"""Clients at a time: twice the workers, so that none of them waits for work."""

ANSWER_S_MAX: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run took: requests that were answered as expected, wall time, and each latency in seconds, sorted."""

    done: int
    seconds: float
    latencies: list[float]
    others: dict[int, int]

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return self.done / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the latencies in milliseconds."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def run(port: int, requests: list[bytes], *, expect: int, senders: int = SENDERS) -> Run:
    """Send every request once, from `senders` processes that begin together."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(senders + 1)
    pipes, processes = [], []
    for number in range(senders):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(port, requests[number::senders], start, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    start.wait()
    began = time.perf_counter()
    answers = [pipe.recv() for pipe in pipes]
    seconds = max(ended for _, _, ended in answers) - began
    for process in processes:
        process.join()
    latencies = sorted(latency for times, _, _ in answers for latency in times)
    statuses = [status for _, found, _ in answers for status in found]
    others: dict[int, int] = {}
    for status in statuses:
        if status != expect:
            others[status] = others.get(status, 0) + 1
    return Run(done=statuses.count(expect), seconds=seconds, latencies=latencies, others=others)


def _send(port: int, requests: list[bytes], start: "multiprocessing.synchronize.Barrier", answer: Connection) -> None:
    times, statuses = [], []
    with contextlib.closing(Sender(port)) as sender:
        start.wait()
        for request in requests:
            began = time.perf_counter()
            statuses.append(sender.send(request))
            times.append(time.perf_counter() - began)
    answer.send((times, statuses, time.perf_counter()))


class Sender:
    """One client: keeps its connection for as long as the server does.

    It reads an answer to the end that its head states and hangs up at once where it says so: a sync worker of gunicorn
    waits for that before it serves anybody else.
    """

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.connection: socket.socket | None = None

    def send(self, request: bytes) -> int:
        """Send one request and return the status of its answer."""
        if self.connection is None:
            self.connection = socket.socket()
            self.connection.settimeout(ANSWER_S_MAX)
            self.connection.connect(self.address)
        self.connection.sendall(request)
        answer = self.connection.recv(65536)
        while not _complete(answer):
            answer += self._more(self.connection)
        if b"\r\nConnection: close\r\n" in answer:
            self.close()
        return int(answer[9:12])

    def close(self) -> None:
        """Hang up, where that has not been done."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def _more(self, connection: socket.socket) -> bytes:
        part = connection.recv(65536)
        if not part:
            raise SystemExit("the server hung up in the middle of an answer")
        return part


def _complete(answer: bytes) -> bool:
    """Say whether an answer is there to its end: its head, and as many bytes as that states."""
    head, ended, body = answer.partition(b"\r\n\r\n")
    stated = _LENGTH.search(head)
    return bool(ended) and len(body) >= (int(stated[1]) if stated else 0)


_LENGTH: Final = re.compile(rb"\r\nContent-Length: (\d+)")
