"""The load generator: it keeps a connection while it may, and takes nothing for an answer that is none."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.load import Sender, run


@contextlib.contextmanager
def server(*answers: list[bytes]) -> Iterator[tuple[int, list[int]]]:
    """Answer requests one after the other, each in these parts; say on which connection each one came."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []

    def serve() -> None:
        left, connections = list(answers), 0
        while left:
            line, _ = listener.accept()
            connections += 1
            with line:
                while left and line.recv(65_536):
                    parts = left.pop(0)
                    seen.append(connections)
                    for part in parts:
                        line.sendall(part)
                    if any(b"close" in part for part in parts) or not parts:
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        yield listener.getsockname()[1], seen
        thread.join(timeout=10)


def test_a_connection_is_kept_until_the_server_closes_it() -> None:
    keeps = [b"HTTP/1.1 201 CREATED\r\nContent-Length: 2\r\n\r\n{}"]
    closes = [b"HTTP/1.1 503 BUSY\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]
    with server(keeps, keeps, closes, keeps) as (port, seen), closing(Sender(port)) as sender:
        assert [sender.send(b"x") for _ in range(4)] == [201, 201, 503, 201]
    assert seen == [1, 1, 1, 2]


def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    whole = b"HTTP/1.1 201 CREATED\r\nContent-Length: 12\r\n\r\n" + b"a" * 12
    pieces = [whole[at : at + 7] for at in range(0, len(whole), 7)]
    nothing = [b"HTTP/1.1 204 NO CONTENT\r\n\r\n"]
    with server(pieces, nothing) as (port, _), closing(Sender(port)) as sender:
        assert [sender.send(b"x"), sender.send(b"x")] == [201, 204]


def test_a_server_that_hangs_up_is_no_answer() -> None:
    with server([]) as (port, _), closing(Sender(port)) as sender, pytest.raises(SystemExit):
        sender.send(b"x")


def test_a_run_counts_what_was_not_answered_as_expected() -> None:
    yes, no = [b"HTTP/1.1 201 CREATED\r\n\r\n"], [b"HTTP/1.1 409 CONFLICT\r\n\r\n"]
    with server(yes, no, yes) as (port, _):
        done = run(port, [b"x"] * 3, expect=201, senders=1)
    assert (done.done, done.others, len(done.latencies)) == (2, {409: 1}, 3)
