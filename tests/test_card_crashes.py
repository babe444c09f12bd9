"""The card processor is killed in the middle of each step, for real, and started again: nothing is lost or doubled."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener
from uuid import UUID

import pytest

from tests.acquirers import NUMBERS
from tests.conftest import ROOT
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet import clock
from wallet.cards import linked, rounds, tie_out
from wallet.cards.bills import BillTarget
from wallet.cards.till import Till
from wallet.config import StripeKeys
from wallet.demo.processor import standin
from wallet.gates.cards import StripeCards
from wallet.ids import HolderId

KILLED = ("die_before", "die_within", "die_after")
STEPS = (
    "POST /v1/customers",
    "POST /v1/checkout/sessions",
    "GET /v1/checkout/sessions",
    "POST /v1/payment_intents",
    "GET /v1/payment_intents",
    "POST /v1/refunds",
    "GET /v1/refunds",
    "GET /v1/disputes",
    "GET /v1/balance_transactions",
    "GET /v1/payouts",
    "GET /v1/events",
)
"""Every request that the wallet makes of the processor on this way."""
UP_S_MAX = 20
AGEING = {
    "payment": ("made_at", "expires_at", "called_at", "asked_at"),
    "refund": ("made_at", "called_at", "asked_at"),
    "linking": ("made_at", "asked_at"),
}


class _Stays(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(kw_only=True)
class Killable:
    """The stand-in as a process of its own, which faults of its own kill as kill -9 does."""

    folder: Path
    known: standin.StandIn
    process: subprocess.Popen[bytes] | None = None
    died: int = 0
    """By its own fault, in the middle of a request."""

    def up(self) -> None:
        """Have it up: start it if it is not, and count it as killed if it was."""
        if self.process and self.process.poll() is None:
            return
        if self.process:
            assert self.process.returncode == -9, f"the processor ended by itself: {self.process.returncode}"
            self.died += 1
        env = {"PATH": os.environ["PATH"], "VAR_DIR": str(self.folder), "PUBLIC_ORIGIN": "http://127.0.0.1:1"}
        self.process = subprocess.Popen([sys.executable, "-m", "wallet.run.processor"], cwd=ROOT, env=env)
        deadline = time.monotonic() + UP_S_MAX
        while True:
            with contextlib.suppress(URLError):
                self.browse("/")
                return
            assert time.monotonic() < deadline, "the processor does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it between two requests, and have it up again."""
        self.up()
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None
        self.up()

    def browse(self, path: str, form: dict[str, str] | None = None) -> str:
        """Open a page or send its form; return where it leads."""
        url = path if path.startswith("http") else self.known.base + path
        request = Request(url, None if form is None else urlencode(form).encode())
        try:
            with build_opener(_Stays).open(request, timeout=5):
                return ""
        except URLError as answer:
            if getattr(answer, "code", None) != 303:
                raise
            return str(answer.headers["Location"])  # type: ignore[attr-defined]  # an HTTPError

    def enter(self, page: str, card: str) -> None:
        """A person enters a card and passes their bank's step; the processor is killed before each press."""
        self.kill()
        self.follow(self.browse(page, {"number": NUMBERS[card], "expiry": "12/30", "cvc": "123"}))

    def follow(self, to: str) -> None:
        while to.startswith(self.known.base):
            self.kill()
            to = self.browse(to, {"answer": "pass"} if "/3ds/" in to else None)

    def things(self, query: str) -> list[Any]:
        """Read its file as its owner could."""
        with contextlib.closing(sqlite3.connect(self.folder / standin.STATE)) as file:
            return file.execute(query).fetchall()


@dataclass(kw_only=True)
class Way:
    """A citizen's way with cards past a processor that is killed once at each step."""

    city: City
    till: Till
    processor: Killable

    def rounds_until(self, reached: Callable[[], bool]) -> None:
        """The worker goes its rounds, later each time; whoever finds the processor dead starts it again."""
        for minutes in (0.1, 0.2, 0.5, 2, 2, 2, 5, 5, 5):
            if reached():
                return
            self.age(timedelta(minutes=minutes))
            for round_ in (rounds.soon, rounds.later):
                self.processor.up()
                round_(self.till, now=clock.now())
        self.processor.up()
        assert reached()

    def age(self, by: timedelta) -> None:
        """Let everything that is waited for have waited longer."""
        with self.city.database.superuser() as owner:
            for table, columns in AGEING.items():
                moved = ", ".join(f"{column} = {column} - %(by)s" for column in columns)
                owner.execute(f"UPDATE cards.{table} SET {moved}", {"by": by})

    def tried(self, do: Callable[[], object]) -> None:
        """A person tries again what the processor did not answer."""
        for _ in range(5):
            self.processor.up()
            with contextlib.suppress(linked.Unreachable):
                do()
                return
        raise AssertionError("the processor never answered")

    def ordered(self, who: Signer, path: str, kind: str, **own: str) -> str:
        """Order until the person has something to do at the processor; what never came to be is ordered anew."""
        for _ in range(4):
            self.processor.up()
            reply = who.act(path, kind, **own)
            assert reply.status == 201, reply.body
            order = str(reply.json()["order"])
            self.rounds_until(lambda order=order: self.state(who, order) in ("requires_action", "cancelled"))  # type: ignore[misc]
            if self.state(who, order) == "requires_action":
                return order
        raise AssertionError("no order came through")

    def state(self, who: Signer, order: str) -> str:
        return str(who.get(f"/v1/card-payments/{order}").json()["state"])

    def page(self, who: Signer, order: str) -> str:
        return str(who.get(f"/v1/card-payments/{order}").json()["page"])

    def tied(self) -> tie_out.TieOut:
        with self.city.engine.connect() as connection:
            return tie_out.read(connection, "stripe", lately=clock.now())

    def one(self, query: str) -> object:
        with self.city.engine.connect() as connection:
            return connection.exec_driver_sql(query).scalar()


@pytest.fixture
def way(fresh_database: TestDatabase) -> Iterator[Way]:
    folder = fresh_database.config.var_dir
    known = standin.on_a_free_port(folder)
    keys = StripeKeys(api_key=known.api_key, webhook_secrets=(known.webhook_secret,), api_base=known.base)
    processor = Killable(folder=folder, known=known)
    processor.up()
    with City(fresh_database) as city:
        state = city.service.extensions["wallet"]
        till = Till(
            database=state.app,
            acquirer=StripeCards(keys),
            origin=state.config.public_origin,
            targets={"bill": BillTarget()},
        )
        city.service.extensions["wallet"] = replace(state, till=till)
        try:
            yield Way(city=city, till=till, processor=processor)
        finally:
            assert processor.process is not None
            processor.process.kill()
            processor.process.wait()


@pytest.mark.parametrize("killed", KILLED)
def test_a_processor_killed_in_the_middle_of_each_step_loses_and_doubles_nothing(way: Way, killed: str) -> None:
    processor, hoa = way.processor, way.city.citizen("Nguyễn Thị Hoa")
    holder = HolderId(UUID(hoa.holder))
    for step in STEPS:
        processor.browse("/faults", {"kind": killed, "at": step, "times": "1"})

    pages: list[str] = []

    def begin() -> None:
        pages.append(str(linked.begin(way.till, holder, locale="vi", now=clock.now()).page))

    way.tried(begin)
    processor.enter(pages[-1], "secure")
    way.rounds_until(lambda: len(hoa.get("/v1/cards").json()["rows"]) == 1)
    card = hoa.get("/v1/cards").json()["rows"][0]["id"]

    topup = way.ordered(hoa, "/v1/topups", "card_topup", payee=hoa.account, amount="900000", card=card)
    processor.follow(way.page(hoa, topup))
    way.rounds_until(lambda: way.state(hoa, topup) == "succeeded")
    assert way.city.available(hoa) == 900_000

    bill = way.city.bill(debtor=hoa, amounts=[20_000, 15_000])
    said = {"purpose": "bill", "target": str(bill.id), "amount": "35000", "card": ""}
    both = [way.ordered(hoa, "/v1/card-payments", "card_payment", **said) for _ in range(2)]
    for order in both:
        processor.enter(way.page(hoa, order), "good")
    way.rounds_until(lambda: all(way.state(hoa, order) == "succeeded" for order in both))
    assert way.city.read_bill(bill).status == "paid"
    way.rounds_until(lambda: way.one("SELECT count(*) FROM cards.refund WHERE state = 'succeeded'") == 1)

    (charge,) = processor.things(
        "SELECT id FROM thing WHERE object = 'charge' AND json_extract(body, '$.amount') = 900000"
    )
    processor.browse(f"/dashboard/dispute/{charge[0]}", {})
    processor.kill()
    way.rounds_until(lambda: way.one("SELECT state FROM cards.dispute") == "opened")
    (dispute,) = processor.things("SELECT id FROM thing WHERE object = 'dispute'")
    processor.browse(f"/dashboard/win/{dispute[0]}", {})
    way.rounds_until(lambda: way.one("SELECT state FROM cards.dispute") == "won")

    processor.browse("/dashboard/payout/all", {})
    processor.kill()
    (payout,) = processor.things("SELECT id FROM thing WHERE object = 'payout'")
    processor.browse(f"/dashboard/arrive/{payout[0]}", {})
    way.rounds_until(lambda: way.tied().difference == 0)

    assert processor.things("SELECT kind, at FROM fault") == []
    assert processor.died == len(STEPS)
    charged = processor.things(
        "SELECT count(*), sum(json_extract(body, '$.amount')) FROM thing WHERE object = 'charge'"
    )
    assert charged == [(3, 970_000)]
    refunded = processor.things(
        "SELECT count(*), sum(json_extract(body, '$.amount')) FROM thing WHERE object = 'refund'"
    )
    assert refunded == [(1, 35_000)]
    assert way.city.available(hoa) == 900_000
    assert (way.tied().unexplained, way.tied().breaks) == (0, 0)
    assert way.city.differences() == []
