"""Send prepared requests all at once, from a process of its own: so that a test's clients are really apart.

    python -m tests.burst < {"port": 8000, "requests": [[method, path, headers, body], ...]} > [[status, body], ...]

One thread and one connection for each request; all start together. A reply that never came is null. Standard library
only, so that it starts quickly.
"""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

Request = tuple[str, str, dict[str, str], bytes]
Answer = tuple[int, bytes] | None


def start(port: int, requests: Sequence[Request]) -> "subprocess.Popen[bytes]":
    """Start a process that sends these requests at once."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.burst"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    given = {"port": port, "requests": [[*one[:3], one[3].decode()] for one in requests]}
    assert process.stdin is not None
    process.stdin.write(json.dumps(given).encode())
    process.stdin.close()
    return process


def finish(process: "subprocess.Popen[bytes]") -> list[Answer]:
    """Wait for its answers, in the order of the requests."""
    assert process.stdout is not None
    with process.stdout:
        told = process.stdout.read()
    assert process.wait(timeout=60) == 0
    return [(one[0], one[1].encode()) if one else None for one in json.loads(told)]


def send(port: int, requests: Sequence[Request], *, processes: int = 2) -> list[Answer]:
    """Send requests at once from several processes; return the answers in the order of the requests."""
    running = [start(port, requests[number::processes]) for number in range(processes)]
    answers: list[Answer] = [None] * len(requests)
    for number, process in enumerate(running):
        answers[number::processes] = finish(process)
    return answers


def main() -> None:
    """Read the requests, send them, write the answers."""
    given = json.load(sys.stdin)
    requests = given["requests"]
    answers: list[Any] = [None] * len(requests)
    gate = threading.Barrier(len(requests))

    def one(number: int) -> None:
        method, path, headers, body = requests[number]
        connection = http.client.HTTPConnection("127.0.0.1", given["port"], timeout=30)
        gate.wait()
        try:
            connection.request(method, path, body=body.encode(), headers=headers)
            reply = connection.getresponse()
            answers[number] = [reply.status, reply.read().decode()]
        except (OSError, http.client.HTTPException):
            answers[number] = None
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
