"""The stand-in as an HTTP server on loopback, with the thread that delivers its events."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from wallet.demo.processor import pages
from wallet.demo.processor.api import Answer, Api
from wallet.demo.processor.deliver import deliver
from wallet.demo.processor.store import Store
from wallet.demo.processor.wire import ApiError
from wallet.demo.processor.world import World

LOOK_S: Final = 0.2
BODY_BYTES_MAX: Final = 1 << 20


def seconds() -> int:
    """Read the machine's clock."""
    return int(time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a processor listens, who may ask it, and whom it tells."""

    port: int
    api_key: str
    webhook_url: str
    webhook_secret: str
    file: Path | str


class Processor:
    """A processor that is up: its world, and its port once it listens."""

    def __init__(self, settings: Settings, *, clock: Callable[[], int] = seconds) -> None:
        self.settings = settings
        self.store = Store(settings.file)
        self.http = ThreadingHTTPServer(("127.0.0.1", settings.port), _Handler)
        self.http.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.world = World(self.store, clock, self.base)
        self.http.processor = self  # type: ignore[attr-defined]  # how a handler finds it
        self.api = Api(self.world)

    def deliver(self, *, now: float | None = None) -> int:
        """Deliver what is due; return how many events the webhook took."""
        settings = self.settings
        return deliver(self.world, url=settings.webhook_url, secret=settings.webhook_secret, now=now)

    def deliver_until(self, stop: threading.Event) -> None:
        """Deliver events as they come."""
        while not stop.wait(LOOK_S):
            self.deliver()

    def close(self) -> None:
        """Stop listening and put the file away."""
        self.http.server_close()
        self.store.close()


@contextmanager
def serving(settings: Settings, *, clock: Callable[[], int] = seconds) -> Iterator[Processor]:
    """Have a processor up while the block runs, for tests; events go out only when the block says `deliver`."""
    processor = Processor(settings, clock=clock)
    thread = threading.Thread(target=processor.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield processor
    finally:
        processor.http.shutdown()
        thread.join()
        processor.close()


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    disable_nagle_algorithm = True

    @property
    def _processor(self) -> Processor:
        processor = self.server.processor  # type: ignore[attr-defined]
        assert isinstance(processor, Processor)
        return processor

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""

    def do_GET(self) -> None:  # the library's name
        """Answer a GET."""
        self._answer("")

    def do_POST(self) -> None:
        """Answer a POST."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return
        self._answer(self.rfile.read(length).decode())

    do_DELETE = do_GET  # noqa: N815

    def _answer(self, body: str) -> None:
        target = urlsplit(self.path)
        form = f"{target.query}&{body}".strip("&")
        try:
            if target.path.startswith("/v1/"):
                self._send_api(self._api(target.path, form))
            else:
                page = pages.answer(self._processor.world, self.command, target.path, dict(parse_qsl(form)))
                self._send_page(page)
        except ApiError as error:  # of a page: the API tells its own
            self._send(error.status, "text/plain; charset=utf-8", str(error).encode())

    def _api(self, path: str, form: str) -> Answer:
        if self.headers.get("Authorization") != f"Bearer {self._processor.settings.api_key}":
            error = {"type": "invalid_request_error", "code": "api_key_invalid", "message": "Invalid API Key provided"}
            return Answer(401, {"error": error})
        return self._processor.api.answer(self.command, path, form, key=self.headers.get("Idempotency-Key"))

    def _send_api(self, answer: Answer) -> None:
        if not answer.status:
            self.close_connection = True
            return
        more = {"Idempotent-Replayed": "true"} if answer.replayed else {}
        self._send(answer.status, "application/json", json.dumps(answer.body, ensure_ascii=False).encode(), more)

    def _send_page(self, page: pages.Page) -> None:
        if page.to:
            self._send(303, "text/plain", b"", {"Location": page.to})
        else:
            self._send(page.status, "text/html; charset=utf-8", page.body.encode())

    def _send(self, status: int, kind: str, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
