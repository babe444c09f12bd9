"""Two things at the same time, in an order that a test decides: one holds its locks while the other comes and waits."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.make import City

WAIT_S_MAX = 10


class Beside:
    """Work on a thread of its own, begun at once; `result()` waits for it and hands out what it returned or raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._outcome: list[Any] = []
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as fault:  # noqa: BLE001 - handed on to whoever asks for the result
            self._outcome.append(fault)

    def result(self) -> Any:
        self._thread.join(timeout=WAIT_S_MAX)
        assert self._outcome, "it is still at it"
        return self._outcome[0]


def beside_waiting(city: City, work: Callable[[], Any], *, waiting: int = 1) -> Beside:
    """Begin work beside, and return once so many of the database's sessions wait for a lock."""
    begun = Beside(work)
    deadline = time.monotonic() + WAIT_S_MAX
    while waiting_for_locks(city) < waiting:
        assert not begun._outcome, f"it did not wait: {begun._outcome[0]!r}"
        assert time.monotonic() < deadline, "it did not come to the lock"
        time.sleep(0.01)
    return begun


def waiting_for_locks(city: City) -> int:
    with city.audit.connect() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE NOT l.granted AND a.datname = current_database()"
            ).scalar_one()
        )


def all_at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run them all, each on a thread of its own, begun together; return what each returned or raised."""
    gate = threading.Barrier(len(works))

    def gated(work: Callable[[], Any]) -> Any:
        gate.wait()
        return work()

    return [one.result() for one in [Beside(lambda work=work: gated(work)) for work in works]]  # type: ignore[misc]
