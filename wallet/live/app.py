"""The ASGI application of the process of streams: one stream, and whether it is alive.

GET /live/stream?ticket=…[&after=INDEX]   text/event-stream
    event: beat   everything up to this id has been told
    event: …      what a leaf tells, its index as id
A page that comes back names the last id it has: with `after`, or as browsers do by themselves with Last-Event-ID.
"""

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

from wallet import clock, db, words
from wallet.config import Config
from wallet.ledger import guard
from wallet.live import ticket as tickets
from wallet.live.feed import Feed, Source
from wallet.live.hub import Hub, Listener, Told
from wallet.live.ticket import Ticket
from wallet.refusal import Refusal
from wallet.web.problems import PROBLEM_JSON, CrossSite, NoSuchPage, Unparseable

log = logging.getLogger("wallet.live")

BEAT_S: Final = 2.0
STREAM_S_MAX: Final = 600.0
"""After this long a stream ends, and its page asks for another ticket: who may no longer look is out by then."""
RETRY_MS: Final = 2_000

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_INDEX: Final = re.compile(r"[0-9]{1,18}")


class Live:
    """The application; one feed and one hub in one event loop.

    Args:
        config: the environment's.
        source: knows what leaves tell.

    Raises:
        guard.UnsafeRole: the database role could do more than read.
    """

    def __init__(self, config: Config, source: Source) -> None:
        self._config = config
        self._engine = db.engine(config.audit_database_url, name="live")
        try:
            with self._engine.connect() as connection:
                guard.check(connection, may_execute=False)
        finally:
            self._engine.dispose()  # a forked worker makes connections of its own
        self.hub = Hub()
        self.feed = Feed(config.audit_database_url, self._engine, source, self.hub)
        self._following: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["type"] != "http":
            return None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            if headers.get("origin", self._config.public_origin) != self._config.public_origin:
                raise CrossSite
            await self._route(scope, headers, receive, send)
        except Refusal as refusal:
            await self._refuse(refusal, send)
        return None

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._following = asyncio.create_task(self.feed.follow())
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._following:
                    self._following.cancel()
                self.close()
                return await send({"type": "lifespan.shutdown.complete"})

    async def _route(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            raise NoSuchPage
        if scope["path"] == "/healthz":
            return await _answer(send, 200, b'{"status":"alive"}\n', self._headers("application/json"))
        if scope["path"] != "/live/stream":
            raise NoSuchPage
        asked = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8)
        ticket = tickets.open(asked.get("ticket", [""])[0], secret=self._config.server_secret, now=clock.now())
        after = headers.get("last-event-id") or asked.get("after", [""])[0]
        if after and not _INDEX.fullmatch(after):
            raise Unparseable(param="after")
        return await self._stream(ticket, int(after) if after else None, receive, send)

    async def _stream(self, ticket: Ticket, after: int | None, receive: Receive, send: Send) -> None:
        with self.hub.joined(ticket) as listener:
            await send(_start(200, self._headers("text/event-stream; charset=utf-8")))
            tasks = [
                asyncio.ensure_future(self._speak(ticket, listener, after, send)),
                asyncio.ensure_future(_gone(receive)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                # The stream has begun: whatever ended it is told by hanging up, and the page comes back.
                for ended in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(ended, Exception) and not isinstance(ended, OSError):
                        log.error("a stream ended", exc_info=ended)
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _speak(self, ticket: Ticket, listener: Listener, after: int | None, send: Send) -> None:
        ends = asyncio.get_running_loop().time() + STREAM_S_MAX
        await _say(send, f"retry: {RETRY_MS}\n\n")
        if after is not None:
            for told in await self.feed.missed(ticket.topic, after + 1, listener.begins):
                await _say(send, _spelled(told))
        await self._beat(send)
        while asyncio.get_running_loop().time() < ends and not listener.is_lost:
            try:
                told = await asyncio.wait_for(listener.waiting.get(), BEAT_S)
            except TimeoutError:
                await self._beat(send)
            else:
                await _say(send, _spelled(told))

    async def _beat(self, send: Send) -> None:
        """Say up to where everything has been told; nothing waits, or it would have been told before."""
        if self.hub.is_fresh and self.hub.size:
            await _say(send, f"id: {self.hub.size - 1}\nevent: beat\ndata: {{}}\n\n")
        elif self.hub.is_fresh:
            await _say(send, "event: beat\ndata: {}\n\n")

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        text = words.refusal(refusal.code, "vi")
        problem = {
            "type": f"{self._config.public_origin}/docs#{refusal.code}",
            "title": text.title,
            "status": refusal.status,
            "code": refusal.code,
            "next": text.next,
        }
        body = json.dumps(problem, ensure_ascii=False).encode()
        await _answer(send, refusal.status, body, self._headers(PROBLEM_JSON))

    def _headers(self, kind: str = "text/plain") -> list[tuple[bytes, bytes]]:
        return [
            (b"content-type", kind.encode()),
            (b"cache-control", b"no-store"),
            (b"access-control-allow-origin", self._config.public_origin.encode()),
            (b"vary", b"Origin"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
            # A proxy that gathers an answer before it hands it on would hold back every event.
            (b"x-accel-buffering", b"no"),
        ]


def _spelled(told: Told) -> str:
    data = json.dumps(told.data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {told.index}\nevent: {told.kind}\ndata: {data}\n\n"


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send(_start(status, [*headers, (b"content-length", str(len(body)).encode())]))
    await send({"type": "http.response.body", "body": body})


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _gone(receive: Receive) -> None:
    """Return when the page has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
