"""Our stand-in against `localstripe`, which others wrote: on the paths that both have, the gate must see the same.

Where they differ, Stripe's documentation decides; decision 0058 lists it.
"""

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import stripe

from tests.acquirers import KEY, SECRET, stripe_bench
from tests.conftest import free_port
from tests.test_processor import Sink
from wallet.config import StripeKeys
from wallet.gates.acquirer import NotGenuine, RefundState
from wallet.gates.cards import StripeCards
from wallet.money import Dong

UP_S_MAX = 30
RUN = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda _: None  # else it writes into the machine's /tmp
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink().serving() as made:
        yield made


@pytest.fixture(scope="module")
def theirs() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", RUN, str(port)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + UP_S_MAX
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class Told:
    """What one server says in one walk through the paths that both have."""

    def __init__(self, base: str, refund_id: UUID) -> None:
        self.gate = StripeCards(StripeKeys(api_key=KEY, webhook_secrets=(SECRET,), api_base=base))
        api = stripe.StripeClient(KEY, base_addresses={"api": base}, max_network_retries=0).v1
        customer = self.gate.make_customer(id=uuid4())

        def card(number: str) -> str:
            entered: Any = {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
            made = api.payment_methods.create({"type": "card", "card": entered})
            self.method = api.payment_methods.attach(made.id, {"customer": customer})
            return made.id

        def intent(method: str, *, confirm: bool) -> stripe.PaymentIntent:
            more: Any = {"confirm": True} if confirm else {}
            asked: Any = {"amount": 50_000, "currency": "vnd", "customer": customer, "payment_method": method, **more}
            return api.payment_intents.create(asked)

        good = card("4242424242424242")
        self.intent = intent(good, confirm=True)
        self.intent = api.payment_intents.retrieve(self.intent.id, {"expand": ["latest_charge"]})
        with pytest.raises(stripe.CardError) as declined:
            intent(card("4000000000000341"), confirm=True)
        self.decline = declined.value.code
        self.refund = self.gate.begin_refund(id=refund_id, payment_ref=self.intent.id, amount=Dong(20_000))
        assert self.gate.find_refund(id=refund_id, payment_ref=self.intent.id) == self.refund
        waiting = intent(good, confirm=False)
        self.before = waiting.status
        self.after = api.payment_intents.cancel(waiting.id).status
        self.gate.forget_card(good)
        self.detached = api.payment_methods.retrieve(good).customer
        self.lines = [(line.type, line.amount, line.net + line.fee) for line in api.balance_transactions.list().data]
        self.kinds = {notice.kind for notice in self.gate.notices(since=datetime.now(UTC) - timedelta(minutes=1))}


def same_shape(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Name each member that both have and whose JSON is of two types."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            bad
            for name in ours.keys() & theirs.keys()
            for bad in same_shape(ours[name], theirs[name], f"{path}.{name}")
        ]
    if ours is None or theirs is None or type(ours) is type(theirs):
        return []
    return [f"{path}: {type(ours).__name__}, {type(theirs).__name__}"]


def test_both_stand_ins_say_the_same_where_both_say_anything(theirs: str) -> None:
    id = uuid4()
    with stripe_bench() as bench:
        bench.clock.at = int(time.time())
        a, b = Told(bench.processor.base, id), Told(theirs, id)
    assert a.decline == b.decline == "card_declined"
    assert (
        (a.before, a.after, a.detached)
        == (b.before, b.after, b.detached)
        == ("requires_confirmation", "canceled", None)
    )
    assert replace(a.refund, ref="", payment_ref="") == replace(b.refund, ref="", payment_ref="")
    assert (a.refund.id, a.refund.state, a.refund.currency) == (id, RefundState.SUCCEEDED, "VND")
    assert sorted(a.lines) == sorted(b.lines)
    assert b.kinds & a.kinds >= {"payment_intent.succeeded", "payment_intent.payment_failed", "customer.created"}
    assert same_shape(a.intent.to_dict(), b.intent.to_dict()) == []
    assert same_shape(a.method.to_dict(), b.method.to_dict()) == []


def test_an_event_that_others_signed_is_genuine(theirs: str, sink: Sink) -> None:
    """The signature's form is not our invention on both sides."""
    form = f"url={sink.url}&secret={SECRET}"
    connection = http.client.HTTPConnection(theirs.removeprefix("http://"), timeout=5)
    connection.request("POST", "/_config/webhooks/ours", form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert connection.getresponse().status == 200
    connection.close()
    gate = StripeCards(StripeKeys(api_key=KEY, webhook_secrets=(SECRET,), api_base=theirs))
    gate.make_customer(id=uuid4())
    assert sink.came.wait(UP_S_MAX)
    body, headers = sink.got[0]
    notice = gate.read_notice(body, headers, now=datetime.now(UTC))
    assert (notice.kind.split(".")[0], notice.live, notice.account) == ("customer", False, None)
    with pytest.raises(NotGenuine):
        gate.read_notice(body.replace(b"customer", b"Customer"), headers, now=datetime.now(UTC))
