"""Hands for the tests of pages: a house with a running service, people in browsers, and what a browser saw.

with pages.house(template, postgres, worker, folder, browser) as house:
    hoa = house.city.citizen(available=500_000)
    page = house.enters(hoa, device=True)      # signed in, with a key of its own in this browser
"""

import contextlib
import functools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import argon2
import werkzeug.serving
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.test import TestResponse

from tests import databases
from tests.conftest import serve
from tests.make import City, Signer
from wallet import clock, crypto, db
from wallet.client import Client
from wallet.crypto import PrivateKey
from wallet.identity import codes, holders, keys, sessions
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.run.postgres import Cluster

PHONE: Any = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
DESK: Any = {"viewport": {"width": 1280, "height": 800}}

WAIT_MS = 15_000
"""How long a page may take on a machine that does much else besides."""

expect.set_options(timeout=WAIT_MS)

CHECKING = "Đang kiểm tra kết quả, xin đừng trả lại"
CONFIRMED = "Xác nhận thanh toán"

OPEN_STORE = """const opened = await new Promise((yes, no) => {
    const asked = indexedDB.open("wallet");
    asked.onsuccess = () => yes(asked.result);
    asked.onerror = () => no(asked.error);
});
const all = (store) => new Promise((yes, no) => {
    const asked = opened.transaction(store).objectStore(store).getAll();
    asked.onsuccess = () => yes(asked.result);
    asked.onerror = () => no(asked.error);
});"""


@dataclass(slots=True, kw_only=True)
class House:
    """A running service, the city in its database, and a browser before its door."""

    origin: str
    city: City
    browser: Browser
    opened: list[BrowserContext] = field(default_factory=list)

    # -- people in browsers --------------------------------------------------------------------------------

    def context(self, *, shape: Any = PHONE, **options: Any) -> BrowserContext:
        """Open a browser that nobody has used, in Vietnamese."""
        context = self.browser.new_context(
            **{"locale": "vi-VN", "timezone_id": "Asia/Ho_Chi_Minh", "base_url": self.origin} | shape | options
        )
        context.set_default_timeout(WAIT_MS)
        self.opened.append(context)
        return context

    def close(self) -> None:
        """Close every browser that was opened."""
        while self.opened:
            self.opened.pop().close()

    def session(self, signer: Signer) -> str:
        """Open a session for somebody, as a right PIN does, and return its token."""
        holder = HolderId(UUID(signer.holder))
        return db.unit(self.city.engine, lambda unit: sessions.open(unit, holder, now=clock.now()))

    def sign_in(self, context: BrowserContext, signer: Signer, *, origin: str | None = None) -> None:
        """Put somebody's session into a browser."""
        token = self.session(signer)
        context.add_cookies([{"name": "session", "value": token, "url": origin or self.origin, "httpOnly": True}])

    def enters(self, signer: Signer, *, device: bool = False, path: str = "/", **options: Any) -> Page:
        """Return a page of somebody who is signed in; with `device`, this browser signs for them."""
        context = self.context(**options)
        self.sign_in(context, signer)
        page = context.new_page()
        if device:
            self.enrol(page, signer)
        page.goto(path)
        return page

    def enrol(self, page: Page, signer: Signer) -> None:
        """Make and enrol the first key of a holder in this browser, on the page that does it."""

        def work(unit: Any) -> str:
            secret = self.city.config.server_secret
            return codes.make(unit, secret=secret, purpose=keys.ENROL, phone=signer.phone, now=clock.now())[1]

        code = db.unit(self.city.engine, work)
        page.context.add_cookies([{"name": "enrol", "value": code, "url": self.origin, "httpOnly": True}])
        page.goto("/thiet-bi")
        page.locator("#enrol-button").click()
        expect(page.locator("body")).to_have_attribute("data-device", "ready")

    # -- people ------------------------------------------------------------------------------------------------

    def newcomer(self, name: str) -> Signer:
        """Return somebody whom an agency knows and who has opened no wallet yet."""
        phone, now = self.city.phone(), clock.now()
        holder = db.unit(self.city.engine, lambda unit: holders.register_person(unit, name=name, phone=phone, now=now))
        return self.city.signer(holder, PrivateKey.generate(), name=name, phone=phone)

    def staff(self, role: Role, name: str) -> Signer:
        return self.city.person(name, role)

    def code_for(self, phone: str) -> str:
        """Return the newest one-time code in the outbox for a phone."""
        return code_in(self.city.config.var_dir, phone)

    # -- what the books say --------------------------------------------------------------------------------

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Ask the database."""
        with self.city.engine.connect() as connection:
            return list(connection.exec_driver_sql(query, values).all())

    def payments_of(self, signer: Signer) -> int:
        """Count the entries that took money out of somebody's wallet."""
        asked = "SELECT count(DISTINCT entry) FROM ledger.posting WHERE debit = %s"
        return int(self.ask(asked, UUID(signer.account))[0][0])

    def keys_of(self, signer: Signer) -> dict[str, str]:
        """Return the states of somebody's browser keys by key id."""
        asked = "SELECT id, state FROM identity.key WHERE holder = %s AND device = 'browser'"
        return {row.id: row.state for row in self.ask(asked, UUID(signer.holder))}


def code_in(var_dir: Path, phone: str) -> str:
    """Return the newest one-time code in an outbox for a phone."""
    newest = max((var_dir / "outbox").glob(f"*-{phone}.txt"))
    found = re.search(r"\b(\d{6})\b", newest.read_text(encoding="utf-8"))
    assert found, newest
    return found.group(1)


@contextlib.contextmanager
def house(template: str, postgres: Cluster, worker: str, folder: Path, browser: Browser) -> Iterator[House]:
    """Have a service of a module's own: gunicorn on a free port, a fresh database behind it."""
    name = f"{worker}_{folder.name}"
    with (
        databases.copy_of(template, name, server=postgres, folder=folder) as database,
        serve(database) as server,
        City(database, origin=server.origin, in_process=False) as city,
    ):
        city.config = replace(city.config, live_port=server.config.live_port, live_origin=server.config.live_origin)
        made = House(origin=server.origin, city=city, browser=browser)
        try:
            yield made
        finally:
            made.close()


@contextlib.contextmanager
def house_here(city: City, browser: Browser, port: int) -> Iterator[House]:
    """Serve `city`'s application from this process, so that a test can move its clock."""
    assert city.app is not None
    server = werkzeug.serving.make_server("127.0.0.1", port, city.app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made = House(origin=city.config.public_origin, city=city, browser=browser)
    try:
        yield made
    finally:
        made.close()
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(werkzeug.serving.WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


REAL_HASHER = crypto._pins()


@contextlib.contextmanager
def quick_hashes() -> Iterator[None]:
    """Hash PINs in this process without the 64 MiB and 50 ms that they cost on purpose; the running services do not."""
    quick, real = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1), crypto._pins
    crypto.nobodys_pin.cache_clear()
    crypto._pins = functools.lru_cache(lambda: quick)
    try:
        yield
    finally:
        crypto._pins = real
        crypto.nobodys_pin.cache_clear()


class MovedClock:
    """The service's clock of this process, set ahead at will."""

    def __init__(self) -> None:
        self.real, self.ahead = clock.now, timedelta()

    def __call__(self) -> datetime:
        return self.real() + self.ahead


# -- what a page does ---------------------------------------------------------------------------------------


def stored(page: Page, store: str) -> list[Any]:
    """Return what this browser keeps in one of its stores."""
    return page.evaluate(f"async () => {{ {OPEN_STORE} return await all('{store}'); }}")  # type: ignore[no-any-return]


def pending(page: Page) -> list[Any]:
    """Return the orders whose outcome this browser does not know."""
    return stored(page, "pending")


def ready(page: Page) -> None:
    """Wait until the confirm sheet can sign."""
    expect(page.locator("body")).to_have_attribute("data-pay", "ready")


def open_sheet(page: Page, *bills: Any) -> None:
    """Open the confirm sheet of these bills and wait until it can sign."""
    page.goto(sheet(*bills))
    ready(page)


def sheet(*bills: Any) -> str:
    return "/thanh-toan?" + "&".join(f"b={bill.id}" for bill in bills)


def confirmed(page: Page) -> str:
    """Wait for the confirmation and return its order's id."""
    page.wait_for_url(re.compile("/xac-nhan/"))
    expect(page.locator("h1")).to_have_text(CONFIRMED)
    return urlsplit(page.url).path.rsplit("/", 1)[1]


def sent_orders(page: Page) -> list[str]:
    """Return a list that grows with each signed order that leaves this browser, by method and path."""
    left: list[str] = []

    def note(request: Any) -> None:
        path = urlsplit(request.url).path
        if path.startswith("/v1/") and request.method != "GET":
            left.append(f"{request.method} {path}")

    page.context.on("request", note)
    return left


def machine_of(signer: Signer) -> Client:
    """Return the plain client of the same holder, with a key of its own."""
    return Client(origin=signer.origin, key=signer.key, holder=signer.holder, account=signer.account)


# -- pages without a browser --------------------------------------------------------------------------------


class Visitor:
    """Somebody at the pages without scripts: cookies are kept, forms say where they come from."""

    def __init__(self, city: City, *, device: str | None = None) -> None:
        assert city.app is not None
        self.city, self.origin = city, city.config.public_origin
        self.client = city.app.test_client()
        if device:
            self.client.set_cookie("device", device, domain=urlsplit(self.origin).hostname or "")

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, base_url=self.origin, headers=headers)

    def post(self, path: str, form: Any = None, **headers: str) -> TestResponse:
        sent = {"Origin": self.origin} | headers
        return self.client.post(path, data=form or {}, base_url=self.origin, headers=sent)

    def cookie(self, name: str) -> str | None:
        host = urlsplit(self.origin).hostname or ""
        held = self.client.get_cookie(name, domain=host)
        return held.value if held else None

    def sign_in(self, signer: Signer, pin: str) -> TestResponse:
        return self.post("/dang-nhap", {"phone": signer.phone, "pin": pin})

    def act(self, signer: Signer, path: str, kind: str, **own: Any) -> TestResponse:
        """Send an order that `signer` signs, with this visitor's cookies, as a page does."""
        content = signer.order(kind, **own)
        return self.client.post(path, data=content, base_url=self.origin, headers=signer.headers("POST", path, content))

    def enter(self, signer: Signer) -> "Visitor":
        """Be signed in as somebody, without a PIN."""
        holder = HolderId(UUID(signer.holder))
        token = db.unit(self.city.engine, lambda unit: sessions.open(unit, holder, now=clock.now()))
        self.client.set_cookie("session", token, domain=urlsplit(self.origin).hostname or "")
        return self


def words_of(reply: TestResponse) -> str:
    """Return a page's text as it is read: no tags, no scripts, single spaces."""
    text = re.sub(r"(?s)<(script|style|noscript)\b.*?</\1>|<[^>]+>", " ", reply.text)
    return " ".join(unescape(text).split())


def value_of(reply: TestResponse, name: str, *, action: str | None = None) -> str | None:
    """Return what an input of a page holds, or of its form with that action."""
    html = reply.text
    if action is not None:
        found = re.search(rf'(?s)<form\b[^>]*action="{re.escape(action)}".*?</form>', html)
        assert found, f"no form that goes to {action}"
        html = found.group(0)
    for tag in re.findall(r"(?s)<input\b[^>]*>", html):
        given = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        if unescape(given.get("name", "")) == name:
            return unescape(given.get("value", ""))
    return None


def error_at(reply: TestResponse, field: str) -> str:
    """Return the error that a page shows at a field, which must point to it for screen readers too."""
    shown = re.search(rf'(?s)id="e-{field}">(.*?)</p>', reply.text)
    assert shown, f"no error at {field}: {words_of(reply)}"
    control = re.search(rf'(?s)<(?:input|select|textarea) id="f-{field}"[^>]*>', reply.text)
    assert control, field
    assert 'aria-invalid="true"' in control.group(0)
    assert f"e-{field}" in control.group(0)
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", shown.group(1)).split()))
