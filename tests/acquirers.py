"""Both acquirers behind one bench: what the contract tests and the gate's own do to them.

`StripeBench` is the real SDK against the stand-in over HTTP; `DomesticBench` is the double of `tests.domestic`.
"""

import contextlib
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.domestic import Domestic
from wallet.config import StripeKeys
from wallet.demo.processor import books, deliver, faults
from wallet.demo.processor.server import Processor, Settings, serving
from wallet.gates.acquirer import Acquirer
from wallet.gates.cards import StripeCards

KEY, SECRET = "sk_test_of_the_tests", "whsec_of_the_tests_0123456789"

NUMBERS = {
    "good": "4242 4242 4242 4242",
    "mastercard": "5555555555554444",
    "secure": "4000002760003184",
    "secure_declined": "4000008400001629",
    "declined": "4000000000000002",
    "declines_later": "4000000000000341",
    "funds": "4000000000009995",
    "lost": "4000000000009987",
    "expired": "4000000000000069",
    "cvc": "4000000000000127",
    "limit": "4000000000006975",
    "again": "4000000000000119",
    "disputes": "4000000000000259",
    "refund_fails": "4000000000005126",
    "refund_later": "4000000000007726",
}


class Clock:
    """The processor's clock: stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = 1_763_780_400

    def __call__(self) -> int:
        return self.at


class StripeBench:
    """The gate for Stripe, the stand-in behind it, and hands to play the person and the bank."""

    def __init__(self, processor: Processor, clock: Clock) -> None:
        self.processor, self.clock, self.world = processor, clock, processor.world
        self.keys = StripeKeys(api_key=KEY, webhook_secrets=(SECRET,), api_base=processor.base)
        self.acquirer: Acquirer = StripeCards(self.keys)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.at, UTC)

    def browse(self, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Open a page or send its form; return status, body and where it leads."""
        target = urlsplit(url)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=5)
        with contextlib.closing(connection):
            if form is None:
                connection.request("GET", target.path)
            else:
                connection.request("POST", target.path, urlencode(form))
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.getheader("Location") or ""

    def enter(self, page: str, card: str, *, answer: str = "pass") -> str:
        """A person enters a card, answers the bank, and follows until the page leads away or stays; return where to."""
        number = NUMBERS[card]
        _, _, to = self.browse(page, {"number": number, "expiry": "12/30", "cvc": "123"})
        return self.follow(to, answer=answer)

    def follow(self, to: str, *, answer: str = "pass") -> str:
        while to.startswith(self.processor.base):
            form = {"answer": answer} if "/3ds/" in to else None
            _, _, to = self.browse(to, form)
        return to

    def fault(self, kind: str, at: str = "POST ", **values: Any) -> None:
        faults.switch(self.world.store, kind=kind, at=at, **values)

    def _charge(self, payment_ref: str) -> str:
        intent = self.world.need(payment_ref, "payment_intent")
        return str(intent["latest_charge"])

    def raise_dispute(self, payment_ref: str) -> str:
        with self.world.store.unit():
            return str(books.dispute(self.world, self._charge(payment_ref))["id"])

    def decide(self, ref: str, *, won: bool) -> None:
        with self.world.store.unit():
            books.end_dispute(self.world, ref, won=won)

    def pay_out(self) -> str:
        with self.world.store.unit():
            return str(books.pay_out(self.world, {})["id"])

    def arrive(self, ref: str) -> None:
        with self.world.store.unit():
            books.end_payout(self.world, ref, paid=True)

    def owed(self) -> int:
        return int(books.balance(self.world)["available"][0]["amount"])

    def sent(self) -> list[tuple[bytes, dict[str, str]]]:
        """Return each event as it would be delivered now, oldest first."""
        bodies = [json.dumps(event, ensure_ascii=False).encode() for event in self.world.store.newest("event")]
        return [(body, {"Stripe-Signature": deliver.signature(body, SECRET, self.clock.at)}) for body in bodies[::-1]]


class DomesticBench:
    """The second acquirer; hands and acquirer are one thing in memory."""

    def __init__(self) -> None:
        self.it = Domestic()
        self.acquirer: Acquirer = self.it

    @property
    def now(self) -> datetime:
        return self.it.now

    def enter(self, page: str, card: str) -> None:
        self.it.enter(page, card)

    def fault(self, kind: str, at: str = "") -> None:
        self.it.fault = kind

    def owed(self) -> int:
        return sum(line.net for line, _ in self.it.lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.it, name)


Bench = StripeBench | DomesticBench


@contextlib.contextmanager
def stripe_bench(*, webhook_url: str = "http://127.0.0.1:1/") -> Iterator[StripeBench]:
    """Have the stand-in up, in memory, with a clock that stands still."""
    clock = Clock()
    settings = Settings(port=0, api_key=KEY, webhook_url=webhook_url, webhook_secret=SECRET, file=":memory:")
    with serving(settings, clock=clock) as processor:
        yield StripeBench(processor, clock)
