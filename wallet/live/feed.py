"""The feed: follows the log, and asks the source what its new leaves tell.

Source  The sealer notifies once for each batch that it seals (`log.seal`), and leaves are gapless: whoever knows up to which
        index it has read misses nothing, however many notifications it missed. So a notification only saves waiting.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import psycopg
import sqlalchemy as sa

from wallet import db
from wallet.ledger.tables import event
from wallet.live.hub import Hub, Told
from wallet.log.tables import leaf

log = logging.getLogger("wallet.live")

CHANNEL: Final = "log_sealed"
"""As `log.seal` notifies (wallet/log/functions.sql)."""
LOOK_EVERY_S: Final = 1.0
"""Without a notification: for one that was lost with its connection."""
LEAVES: Final = 5_000
"""Read at a time: after the database was away there may be many."""
SEAL_S_MAX: Final = 3.0
"""An event that has no place after so long is not being sealed. The sealer works every 0.1 s."""
MISSED_MAX: Final = 50
"""What a stream that comes back is told at most: the newest. A counter shows the last one, and lists the others anew."""
TROUBLE_PAUSE_S: Final = 1.0


class Source(Protocol):
    """Who knows what leaves tell. Both read with a connection of the auditors' role."""

    def between(self, connection: sa.Connection, low: int, high: int, topics: Collection[UUID]) -> Sequence[Told]:
        """Return what leaves low to high (without high) tell of these topics, in order."""

    def missed(self, connection: sa.Connection, topic: UUID, low: int, high: int, limit: int) -> Sequence[Told]:
        """Return the newest of what leaves low to high (without high) tell of a topic, in order."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A look at the log: how long it is, the newest event, and whether the event asked about has its place."""

    size: int
    newest: UUID | None
    is_sealed: bool


class Feed:
    """Follows one log for one hub.

    Args:
        url: of the auditors' role.
        engine: the same, for questions.
        source: knows what leaves tell.
        hub: is handed what they tell.
        now: a steady clock, in seconds.
    """

    def __init__(
        self, url: str, engine: sa.Engine, source: Source, hub: Hub, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._engine = db.autocommitting(engine)
        self._source = source
        self._hub = hub
        self._now = now
        self._begun = False
        self._watched: tuple[UUID, float] | None = None

    async def follow(self) -> None:
        """Follow until cancelled. A database that is away is waited for, not died of."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, application_name="live-listen", connect_timeout=5
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    while True:
                        await self.look()
                        async for _ in connection.notifies(timeout=LOOK_EVERY_S, stop_after=1):
                            pass
            except (psycopg.Error, sa.exc.SQLAlchemyError, OSError) as fault:
                log.warning("the log cannot be followed: %s", type(fault).__name__)
                await asyncio.sleep(TROUBLE_PAUSE_S)

    async def look(self) -> None:
        """Read the log to its end and hand on what is new; the first time, only note where it ends."""
        watched = self._watched
        seen = await asyncio.to_thread(self._see, watched[0] if watched else None)
        if not self._begun or seen.size < self._hub.size:  # a log that is shorter than it was is another one
            self._begun = True
            self._hub.hand_on(seen.size, ())
        while self._hub.size < seen.size:
            low, high = self._hub.size, min(seen.size, self._hub.size + LEAVES)
            # Who joins while this is read begins at `low`, and needs it although nobody asked for its topic yet: so it is
            # asked again below, until nobody new has come.
            topics = self._hub.topics
            told = await asyncio.to_thread(self._between, low, high, topics)
            while late := self._hub.topics - topics:
                topics |= late
                told = [*told, *await asyncio.to_thread(self._between, low, high, late)]
            self._hub.hand_on(high, told)
        if self._is_sealed(seen):
            self._hub.heard()

    async def missed(self, topic: UUID, low: int, high: int) -> Sequence[Told]:
        """Return what a stream that has read up to `low` missed of its topic."""
        return await asyncio.to_thread(self._missed, topic, low, high)

    def _is_sealed(self, seen: _Seen) -> bool:
        """Say whether events get their places: one event is watched until it has its own, and then the newest."""
        if self._watched is None or seen.is_sealed:
            self._watched = (seen.newest, self._now()) if seen.newest else None
        return self._watched is None or self._now() - self._watched[1] < SEAL_S_MAX

    def _see(self, watched: UUID | None) -> _Seen:
        size = sa.select(sa.func.coalesce(sa.func.max(leaf.c.index) + 1, 0)).scalar_subquery()
        newest = sa.select(event.c.id).order_by(event.c.seq.desc()).limit(1).scalar_subquery()
        is_sealed = sa.exists().where(leaf.c.event == watched)
        with self._engine.connect() as connection:
            return _Seen(*connection.execute(sa.select(size, newest, is_sealed)).one())

    def _between(self, low: int, high: int, topics: Collection[UUID]) -> Sequence[Told]:
        if not topics:
            return ()
        with self._engine.connect() as connection:
            return self._source.between(connection, low, high, topics)

    def _missed(self, topic: UUID, low: int, high: int) -> Sequence[Told]:
        if low >= high:
            return ()
        with self._engine.connect() as connection:
            return self._source.missed(connection, topic, low, high, MISSED_MAX)
