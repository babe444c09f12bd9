"""Load: processes that send prepared requests over loopback, one after the other each, and note how long each took.

A request is bytes made beforehand, signature included, so that the client costs the machine as little as can be.
"""

import multiprocessing
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

SENDERS: Final = 4
"""Clients at a time: twice the workers, so that none of them waits for work."""


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
    start.wait()
    for request in requests:
        began = time.perf_counter()
        statuses.append(_one(port, request))
        times.append(time.perf_counter() - began)
    answer.send((times, statuses, time.perf_counter()))


def _one(port: int, request: bytes) -> int:
    """Send one request on a connection of its own and return the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return int(b"".join(parts).split(b" ", 2)[1])
