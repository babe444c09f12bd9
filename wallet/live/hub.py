"""The hub: who listens to what, and what they have not been told yet. Everything here runs in one event loop."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from wallet.live.ticket import Ticket
from wallet.refusal import Refusal

STREAMS_MAX: Final = 2_000
"""Of one process: four times what a city of five hundred counters needs."""
STREAMS_OF_HOLDER_MAX: Final = 8
"""Of one person: a few tills and tabs."""
WAITING_MAX: Final = 64
"""What a slow line may be behind; one that is further behind is hung up on, comes back, and reads it from the log."""
FRESH_S: Final = 3.0
"""Heard of the log within this long, what we know counts as the state of things."""


class Full(Refusal):
    """There are as many streams as there may be: of this process, or of this holder."""

    code = "live_full"
    status = 503
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of one leaf."""

    topic: UUID
    index: int
    kind: str
    data: Mapping[str, Any]


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """One stream: what it is still to be told, and the leaf with which its waiting list begins."""

    begins: int
    waiting: asyncio.Queue[Told] = field(default_factory=lambda: asyncio.Queue(WAITING_MAX))
    is_lost: bool = False


class Hub:
    """Hands on what is told.

    Args:
        now: a steady clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.size = 0
        """How many leaves of the log have been handed on."""
        self._now = now
        self._heard_at: float | None = None
        self._listeners: defaultdict[UUID, set[Listener]] = defaultdict(set)
        self._streams_of: Counter[UUID] = Counter()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing can have happened longer ago than FRESH_S that was not handed on."""
        return self._heard_at is not None and self._now() - self._heard_at < FRESH_S

    @property
    def topics(self) -> frozenset[UUID]:
        """What anybody listens to."""
        return frozenset(self._listeners)

    @contextmanager
    def joined(self, ticket: Ticket) -> Iterator[Listener]:
        """Listen to a topic for the length of the block.

        Raises:
            Full.
        """
        if self._streams_of.total() >= STREAMS_MAX or self._streams_of[ticket.holder] >= STREAMS_OF_HOLDER_MAX:
            raise Full
        listener = Listener(begins=self.size)
        self._listeners[ticket.topic].add(listener)
        self._streams_of[ticket.holder] += 1
        try:
            yield listener
        finally:
            self._leave(ticket, listener)

    def _leave(self, ticket: Ticket, listener: Listener) -> None:
        self._listeners[ticket.topic].discard(listener)
        if not self._listeners[ticket.topic]:
            del self._listeners[ticket.topic]
        self._streams_of[ticket.holder] -= 1
        if not self._streams_of[ticket.holder]:
            del self._streams_of[ticket.holder]

    def hand_on(self, size: int, told: Sequence[Told]) -> None:
        """Hand on what the leaves below `size` tell. No await in here: who joins has either all of it waiting, or none."""
        self.size = size
        for one in told:
            for listener in self._listeners.get(one.topic, ()):
                try:
                    listener.waiting.put_nowait(one)
                except asyncio.QueueFull:
                    listener.is_lost = True

    def heard(self) -> None:
        """Note that the log was read to its end just now, and is being sealed."""
        self._heard_at = self._now()
