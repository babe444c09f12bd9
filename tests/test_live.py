"""Live: a stream is told everything of its topic, once and in order, wherever it begins again; and nothing by itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from tests import databases
from tests.logs import Log
from wallet import clock, db, ledger
from wallet.events import Event
from wallet.ledger.guard import UnsafeRole
from wallet.ledger.tables import event
from wallet.live import app as live
from wallet.live import feed, hub, ticket
from wallet.live.app import Live
from wallet.live.hub import Full, Hub, Told
from wallet.live.ticket import LIFE, Ticket, TicketRefused
from wallet.log.tables import leaf
from wallet.run.postgres import Cluster

NOW = clock.now()
SECRET = b"s" * 32
ANSWER_S_MAX = 10


class Subjects:
    """A source for which each event's subject is its topic."""

    def between(self, connection: sa.Connection, low: int, high: int, topics: Collection[UUID]) -> Sequence[Told]:
        found = sa.select(leaf.c.index, event.c.subject).join(event, event.c.id == leaf.c.event)
        rows = connection.execute(
            found.where(
                leaf.c.index >= low, leaf.c.index < high, event.c.subject.in_([str(topic) for topic in topics])
            ).order_by(leaf.c.index)
        )
        return [Told(topic=UUID(subject), index=at, kind="told", data={"at": at}) for at, subject in rows]

    def missed(self, connection: sa.Connection, topic: UUID, low: int, high: int, limit: int) -> Sequence[Told]:
        return self.between(connection, low, high, [topic])[-limit:]


@pytest.fixture(scope="module")
def log(template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """One database for all of them: each has topics of its own, and counts leaves from where it finds the log."""
    folder = tmp_path_factory.mktemp("live")
    with databases.copy_of(template, f"{worker}_live", server=postgres, folder=folder) as made:
        yield Log(made)


def length(log: Log) -> int:
    """Seal everything, and return how many leaves there are."""
    log.seal()
    return int(log.ask("SELECT count(*) FROM log.leaf")[0][0])


@pytest.fixture
def service(log: Log) -> Iterator[Live]:
    made = Live(log.database.config, Subjects())
    yield made
    made.close()


def tell(log: Log, topic: UUID, count: int = 1) -> None:
    def work(unit: sa.Connection) -> None:
        for _ in range(count):
            ledger.tell(unit, Event(type="test.told", subject=topic), actor=None, at=clock.now())

    db.unit(log.database.app_engine, work)


@dataclass(slots=True)
class Stream:
    """A page's end of one stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    ended: bool = False
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.text += message["body"].decode()
            self.ended = not message.get("more_body")
        self.moved.set()

    async def receive(self) -> Any:
        await self.closed.wait()
        return {"type": "http.disconnect"}

    def heard(self, kind: str = "told") -> list[int]:
        """The ids of what was told, in order."""
        found = [dict(line.split(": ", 1) for line in one.splitlines()) for one in self.text.split("\n\n") if one]
        return [int(one["id"]) for one in found if one.get("event") == kind]

    async def until(self, is_there: Callable[[], bool]) -> None:
        async with asyncio.timeout(ANSWER_S_MAX):
            while not is_there():
                self.moved.clear()
                await self.moved.wait()


class Pages:
    """Pages before one service, in its event loop."""

    def __init__(self, service: Live) -> None:
        self.service = service
        self.open: list[tuple[Stream, asyncio.Task[None]]] = []

    async def opens(
        self, topic: UUID, *, after: int | None = None, query: str | None = None, headers: dict[str, str] | None = None
    ) -> Stream:
        stream = Stream()
        given = ticket.issue(
            Ticket(topic=topic, holder=uuid4()), secret=self.service._config.server_secret, now=clock.now()
        )
        if query is None:
            query = f"ticket={given}" + ("" if after is None else f"&after={after}")
        scope = {
            "type": "http", "method": "GET", "path": "/live/stream", "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }  # fmt: skip
        task = asyncio.create_task(self.service(scope, stream.receive, stream.send))
        self.open.append((stream, task))
        await stream.until(lambda: stream.status != 0)
        return stream

    async def close(self) -> None:
        for stream, task in self.open:
            stream.closed.set()
            async with asyncio.timeout(ANSWER_S_MAX):
                await task


def with_pages(service: Live, work: Callable[[Pages], Awaitable[None]]) -> None:
    async def whole() -> None:
        pages = Pages(service)
        try:
            await work(pages)
        finally:
            await pages.close()

    run(whole())


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run in a thread: in this one, Playwright's loop may be running for the browser tests of the same worker."""
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, work).result()


# -- what is told -----------------------------------------------------------------------------------------------------


def test_a_notification_of_the_sealer_reaches_the_stream_of_the_topic_and_no_other(log: Log, service: Live) -> None:
    mine, others, base = uuid4(), uuid4(), length(log)

    async def work(pages: Pages) -> None:
        following = asyncio.create_task(service.feed.follow())
        stream, other = await pages.opens(mine), await pages.opens(others)
        await stream.until(lambda: service.hub.is_fresh)
        tell(log, mine, 3)
        with log.sealing() as sealer:
            sealer.seal()
        await stream.until(lambda: len(stream.heard()) == 3)
        assert stream.heard() == [base, base + 1, base + 2]
        assert other.heard() == []
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    with_pages(service, work)


def test_the_sealer_notifies_once_for_a_batch_and_not_for_nothing(log: Log) -> None:
    log.tell(5)
    with (
        psycopg.connect(log.database.config.audit_database_url, autocommit=True) as ear,
        log.sealing() as sealer,
    ):
        ear.execute(f"LISTEN {feed.CHANNEL}")
        sealer.seal()
        sealer.seal()
        assert len(list(ear.notifies(timeout=0.2))) == 1


def test_a_stream_that_comes_back_is_told_what_it_missed_and_nothing_twice(log: Log, service: Live) -> None:
    topic, base = uuid4(), length(log)

    async def work(pages: Pages) -> None:
        tell(log, topic, 5)
        log.seal()
        await service.feed.look()
        assert (await pages.opens(topic)).heard() == [], "a new page is told of what comes, not of what was"
        stream = await pages.opens(topic, after=base + 1)
        again = await pages.opens(topic, after=0, headers={"last-event-id": str(base + 3)})
        tell(log, topic, 2)
        log.seal()
        await service.feed.look()
        await stream.until(lambda: len(stream.heard()) == 5)
        await again.until(lambda: len(again.heard()) == 3)
        assert stream.heard() == [base + n for n in (2, 3, 4, 5, 6)]
        assert again.heard() == [base + n for n in (4, 5, 6)], (
            "what the browser itself remembers counts more than the address"
        )

    with_pages(service, work)


def test_who_joins_while_the_log_is_read_misses_nothing(log: Log) -> None:
    """Between the question for what is new and its answer a page may come."""
    topic, base = uuid4(), length(log)
    joined: list[Stream] = []

    class Slow(Subjects):
        def between(self, connection: sa.Connection, low: int, high: int, topics: Collection[UUID]) -> Sequence[Told]:
            found = super().between(connection, low, high, topics)
            if not joined:
                joined.append(asyncio.run_coroutine_threadsafe(pages_now[0].opens(topic), loop[0]).result(5))
            return found

    service = Live(log.database.config, Slow())
    pages_now: list[Pages] = []
    loop: list[asyncio.AbstractEventLoop] = []

    async def work(pages: Pages) -> None:
        pages_now.append(pages)
        loop.append(asyncio.get_running_loop())
        await pages.opens(uuid4())  # somebody listens, or the source would not be asked
        await service.feed.look()
        tell(log, topic, 2)
        log.seal()
        await service.feed.look()
        (stream,) = joined
        await stream.until(lambda: len(stream.heard()) == 2)
        assert stream.heard() == [base, base + 1]

    with_pages(service, work)
    service.close()


def test_a_slow_page_is_hung_up_on_rather_than_kept_waiting_without_end(service: Live) -> None:
    topic = uuid4()

    async def work(pages: Pages) -> None:
        stream = await pages.opens(topic)
        told = [Told(topic=topic, index=n, kind="told", data={}) for n in range(hub.WAITING_MAX + 1)]
        service.hub.hand_on(len(told), told)
        await stream.until(lambda: stream.ended)

    with_pages(service, work)


def test_a_stream_ends_by_itself_so_that_its_page_asks_for_leave_again(
    service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAM_S_MAX", 0.0)

    async def work(pages: Pages) -> None:
        stream = await pages.opens(uuid4())
        await stream.until(lambda: stream.ended)

    with_pages(service, work)


# -- beats ------------------------------------------------------------------------------------------------------------


def test_a_beat_names_the_last_leaf_and_comes_only_while_the_log_is_read_and_sealed(
    log: Log, service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.01)

    async def work(pages: Pages) -> None:
        stream = await pages.opens(uuid4())
        await asyncio.sleep(0.03)
        assert "beat" not in stream.text, "nobody has looked at the log yet"
        log.tell(4)
        last = length(log) - 1
        await service.feed.look()
        await stream.until(lambda: bool(stream.heard("beat")))
        assert set(stream.heard("beat")) == {last}

    with_pages(service, work)


def test_a_log_that_is_not_sealed_any_more_is_no_fresh_one(log: Log) -> None:
    at = [0.0]
    audit = db.engine(log.database.config.audit_database_url)
    heard = Hub(now=lambda: at[0])
    following = feed.Feed(log.database.config.audit_database_url, audit, Subjects(), heard, now=lambda: at[0])

    def looks(seconds: float) -> bool:
        at[0] += seconds
        run(following.look())
        return heard.is_fresh

    assert looks(0)
    log.tell()
    assert looks(1), "it was told just now"
    assert looks(2)
    assert not looks(4), "the sealer had seven seconds for it"
    log.seal()
    assert looks(1)
    at[0] += hub.FRESH_S
    assert not heard.is_fresh, "nobody has looked since"
    audit.dispose()


# -- who may listen ---------------------------------------------------------------------------------------------------


def test_a_ticket_is_read_back_until_it_has_run_out() -> None:
    given = Ticket(topic=uuid4(), holder=uuid4())
    text = ticket.issue(given, secret=SECRET, now=NOW)
    assert ticket.open(text, secret=SECRET, now=NOW + LIFE - timedelta(seconds=1)) == given
    with pytest.raises(TicketRefused):
        ticket.open(text, secret=SECRET, now=NOW + LIFE + timedelta(seconds=1))


@pytest.mark.parametrize("change", ["topic", "holder", "time", "mac", "secret", "none", "letters", "five"])
def test_a_ticket_that_was_changed_opens_nothing(change: str) -> None:
    parts = ticket.issue(Ticket(topic=uuid4(), holder=uuid4()), secret=SECRET, now=NOW).split(".")
    place = {"topic": 0, "holder": 1, "time": 2, "mac": 3}.get(change)
    if place is not None:
        parts[place] = {2: str(int(parts[2]) + 600)}.get(place, parts[place][::-1])
    text = {"none": "", "letters": "ắ.ắ.ắ.ắ", "five": ".".join([*parts, "x"])}.get(change, ".".join(parts))
    with pytest.raises(TicketRefused):
        ticket.open(text, secret=b"t" * 32 if change == "secret" else SECRET, now=NOW)


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        ("", {}, 401, "live_ticket_refused"),
        ("ticket=a.b.c.d", {}, 401, "live_ticket_refused"),
        (None, {"origin": "https://elsewhere.example"}, 403, "cross_site"),
        (None, {"last-event-id": "1e9"}, 400, "request_malformed"),
        (None, {"last-event-id": "-1"}, 400, "request_malformed"),
    ],
)
def test_a_stream_is_refused_with_a_code(
    service: Live, query: str | None, headers: dict[str, str], status: int, code: str
) -> None:
    async def work(pages: Pages) -> None:
        stream = await pages.opens(uuid4(), query=query, headers=headers)
        assert stream.status == status
        assert json.loads(stream.text)["code"] == code
        assert stream.headers["access-control-allow-origin"] == service._config.public_origin

    with_pages(service, work)


def test_so_many_streams_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting, holder = Hub(), uuid4()
    monkeypatch.setattr(hub, "STREAMS_MAX", 3)
    monkeypatch.setattr(hub, "STREAMS_OF_HOLDER_MAX", 2)
    with meeting.joined(Ticket(topic=uuid4(), holder=holder)):
        with meeting.joined(Ticket(topic=uuid4(), holder=holder)):
            with pytest.raises(Full), meeting.joined(Ticket(topic=uuid4(), holder=holder)):
                pass
            with (
                meeting.joined(Ticket(topic=uuid4(), holder=uuid4())),
                pytest.raises(Full),
                meeting.joined(Ticket(topic=uuid4(), holder=uuid4())),
            ):
                pass
        with meeting.joined(Ticket(topic=uuid4(), holder=holder)):
            assert len(meeting.topics) == 2
    assert meeting.topics == frozenset()


def test_the_process_of_streams_refuses_a_role_that_could_post(log: Log) -> None:
    config = log.database.config
    with pytest.raises(UnsafeRole):
        Live(replace(config, audit_database_url=config.database_url), Subjects())
