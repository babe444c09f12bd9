"""The stand-in processor: what it promises to whoever tests against it, killed at any step included."""

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from tests.acquirers import StripeBench, stripe_bench
from tests.test_acquirer import charge, paid
from wallet import clock
from wallet.config import Config, StripeKeys
from wallet.demo.processor import standin
from wallet.demo.processor.wire import ApiError, fields
from wallet.gates.acquirer import Charge, InDoubt, PaymentState
from wallet.gates.cards import StripeCards
from wallet.money import Dong
from wallet.run.__main__ import children_of

ROOT = Path(__file__).parents[1]
UP_S_MAX = 30


class Sink:
    """A webhook: keeps what it is told, and answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, dict[str, str]]] = []
        self.status = 200
        self.came = threading.Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.got.append((body, dict(self.headers)))
                self.send_response(sink.status)
                self.end_headers()
                sink.came.set()

            def log_message(self, format: str, *args: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/stripe/events"

    @contextlib.contextmanager
    def serving(self) -> Iterator["Sink"]:
        thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield self
        self.http.shutdown()
        self.http.server_close()

    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for body, _ in self.got]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink().serving() as made:
        yield made


@pytest.fixture
def bench(sink: Sink) -> Iterator[StripeBench]:
    with stripe_bench(webhook_url=sink.url) as made:
        yield made


# -- events ---------------------------------------------------------------------------------------------------------


def test_each_event_is_delivered_once_in_order_and_genuine(bench: StripeBench, sink: Sink) -> None:
    done = paid(bench)
    expected = [event["id"] for event in bench.world.store.newest("event")][::-1]
    assert bench.processor.deliver() == len(expected)
    assert bench.processor.deliver() == 0
    assert sink.ids() == expected
    read = [bench.acquirer.read_notice(body, headers, now=bench.now) for body, headers in sink.got]
    assert "payment_intent.succeeded" in [notice.kind for notice in read]
    assert done.id in [notice.id for notice in read]


def test_an_event_that_is_not_taken_comes_again_signed_anew(bench: StripeBench, sink: Sink) -> None:
    bench.acquirer.make_customer(id=uuid4())
    now, sink.status = time.time(), 500
    assert bench.processor.deliver(now=now) == 0
    assert bench.processor.deliver(now=now) == 0
    sink.status, bench.clock.at = 200, bench.clock.at + 3_600
    assert bench.processor.deliver(now=now + 1) == 1
    (first, before), (second, after) = sink.got
    assert first == second
    assert before["Stripe-Signature"] != after["Stripe-Signature"]
    assert bench.acquirer.read_notice(second, after, now=bench.now).kind == "customer.created"


def test_nobody_listening_loses_nothing(bench: StripeBench, sink: Sink) -> None:
    bench.acquirer.make_customer(id=uuid4())
    sink.http.socket.close()
    now = time.time()
    for tries in range(5):
        assert bench.processor.deliver(now=now + 4_000 * tries) == 0
    assert bench.world.store.run("SELECT done, tries FROM delivery") == [(0, 5)]


def test_events_come_twice_late_shuffled_or_never_on_command(bench: StripeBench, sink: Sink) -> None:
    """Row 90."""
    now = time.time()
    bench.fault("duplicate", "payment_intent.succeeded")
    bench.fault("late", "charge.succeeded", value=3 * 86_400)
    bench.fault("drop", "customer.created")
    bench.fault("shuffle", "")
    paid(bench)
    bench.processor.deliver(now=now)
    kinds = [json.loads(body)["type"] for body, _ in sink.got]
    assert kinds == [
        "checkout.session.completed",
        "payment_intent.succeeded",
        "payment_intent.succeeded",
        "payment_intent.created",
    ]
    assert len(set(sink.ids())) == 3
    bench.processor.deliver(now=now + 3 * 86_400)
    assert json.loads(sink.got[-1][0])["type"] == "charge.succeeded"


# -- the pages ------------------------------------------------------------------------------------------------------


def test_the_pages_say_what_they_are_in_both_languages(bench: StripeBench) -> None:
    for locale, words in (("vi", "Đừng nhập thẻ thật"), ("en", "Never enter a real card")):
        page = bench.acquirer.begin_payment(charge(bench, 1_250_000, locale=locale, title="Nạp <ví>")).page
        assert page is not None
        status, body, _ = bench.browse(page)
        assert status == 200
        assert words in body
        assert f'<html lang="{locale}">' in body
        assert "Nạp &lt;ví&gt; 1.250.000" in body
        assert "<script" not in body


def test_the_bank_names_the_amount_that_it_asks_about(bench: StripeBench) -> None:
    page = bench.acquirer.begin_payment(charge(bench, 1_250_000)).page
    assert page is not None
    _, _, to = bench.browse(page, {"number": "4000002760003184", "expiry": "12/30"})
    assert "1.250.000" in bench.browse(to)[1]


def test_a_card_that_is_none_is_told_on_the_page(bench: StripeBench) -> None:
    page = bench.acquirer.begin_payment(charge(bench)).page
    assert page is not None
    for form in ({"number": "4111", "expiry": "12/30"}, {"number": "4242424242424242", "expiry": "13/30"}, {}):
        status, body, _ = bench.browse(page, form)
        assert status == 200
        assert 'role="alert"' in body
    assert list(bench.world.store.newest("payment_intent")) == []


def test_the_dashboard_disputes_decides_and_pays_out(bench: StripeBench) -> None:
    base = bench.processor.base
    paid(bench, 900_000)
    paid(bench, 800_000)
    first, second = (each["id"] for each in bench.world.store.newest("charge"))
    for page in (first, second):
        assert f"/dashboard/dispute/{page}" in bench.browse(base)[1]
    assert bench.browse(f"{base}/dashboard/dispute/{first}", {})[2] == "/"
    assert bench.browse(f"{base}/dashboard/dispute/{first}", {})[0] == 400
    (dispute,) = bench.world.store.newest("dispute")
    bench.browse(f"{base}/dashboard/win/{dispute['id']}", {})
    bench.browse(f"{base}/dashboard/payout/all", {})
    (payout,) = bench.world.store.newest("payout")
    bench.browse(f"{base}/dashboard/bounce/{payout['id']}", {})
    assert bench.owed() == payout["amount"]
    assert bench.world.need(payout["id"], "payout")["status"] == "failed"
    assert bench.browse(f"{base}/dashboard/nothing/x", {})[0] == 404
    assert bench.browse(f"{base}/faults", {"kind": "rate_limit", "at": "POST /v1/refunds"})[0] == 303
    assert "rate_limit POST /v1/refunds" in bench.browse(base)[1]


def test_forms_nest_as_stripe_nests_them() -> None:
    form = "a[b]=1&a[c][d]=2&e[0][f]=3&e[1][f]=4&expand[]=x&expand[]=y&g="
    assert fields(form) == {
        "a": {"b": "1", "c": {"d": "2"}},
        "e": [{"f": "3"}, {"f": "4"}],
        "expand": ["x", "y"],
        "g": "",
    }
    with pytest.raises(ApiError):
        fields("a=1&a[b]=2")


# -- a process of its own -------------------------------------------------------------------------------------------


class Apart:
    """The stand-in as `make run` starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = standin.kept(folder)
        known = self.known
        self.acquirer = StripeCards(
            StripeKeys(api_key=known.api_key, webhook_secrets=(known.webhook_secret,), api_base=known.base)
        )
        self.start()

    def start(self) -> None:
        env = {"VAR_DIR": str(self.folder), "PUBLIC_ORIGIN": "http://127.0.0.1:1", "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen([sys.executable, "-m", "wallet.run.processor"], cwd=ROOT, env=env)
        deadline = time.monotonic() + UP_S_MAX
        while not self.answers():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def answers(self) -> bool:
        with contextlib.suppress(OSError), contextlib.closing(self._connection()) as connection:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        return False

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.known.port, timeout=5)

    def post(self, path: str, form: str) -> None:
        with contextlib.closing(self._connection()) as connection:
            connection.request("POST", path, form)
            connection.getresponse().read()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=10)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    made = Apart(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


def charge_of(customer: str, **changes) -> Charge:
    values = {"back_to": "http://localhost:1/a", "given_up": "http://localhost:1/b", "amount": Dong(50_000)}
    return Charge(**{"id": uuid4(), "customer": customer, **values, **changes})


def test_killed_at_each_step_it_has_done_all_or_nothing_and_remembers(apart: Apart) -> None:
    """Row 105, on the other side: before it commits, and after that and before it answers."""
    customer, begun_at = apart.acquirer.make_customer(id=uuid4()), clock.now()
    for kind, is_made in (("die_within", False), ("die_after", True)):
        asked = charge_of(customer)
        apart.post("/faults", f"kind={kind}&at=POST /v1/checkout")
        with pytest.raises(InDoubt):
            apart.acquirer.begin_payment(asked)
        assert apart.process.wait(timeout=10) == -signal.SIGKILL
        apart.start()
        found = apart.acquirer.find_payment(id=asked.id, customer=customer, since=begun_at)
        assert (found is not None) is is_made, kind
        again = apart.acquirer.begin_payment(asked)
        assert again.state is PaymentState.REQUIRES_ACTION
        assert found is None or found == again
    assert apart.stop() == 0


# -- whose it is ----------------------------------------------------------------------------------------------------


def test_its_keys_are_made_once_and_nobody_else_may_read_them(tmp_path: Path) -> None:
    first = standin.kept(tmp_path)
    assert standin.kept(tmp_path) == first
    assert stat.S_IMODE((tmp_path / standin.KEPT).stat().st_mode) == 0o600
    assert first.api_key.startswith("sk_test_")
    assert standin.kept(tmp_path / "other").api_key != first.api_key


def test_it_moves_when_another_program_has_its_port(tmp_path: Path) -> None:
    first = standin.kept(tmp_path)
    assert standin.on_a_free_port(tmp_path) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.port))
        taken.listen()
        moved = standin.on_a_free_port(tmp_path)
    assert moved.port != first.port
    assert (moved.api_key, moved.webhook_secret) == (first.api_key, first.webhook_secret)
    assert standin.kept(tmp_path) == moved
    assert standin.on_a_free_port(tmp_path, never=(moved.port,)).port != moved.port


def test_the_launcher_tells_it_no_secret_of_the_wallets(tmp_path: Path) -> None:
    known, url = standin.kept(tmp_path), "postgresql://app:secret@127.0.0.1/city"
    urls = {"DATABASE_URL": url, "AUDIT_DATABASE_URL": url}
    config = Config.from_env({"DEMO": "1", "VAR_DIR": str(tmp_path), **urls, **known.environ})
    keys = config.stripe
    assert keys is not None
    names = [child.name for child in children_of(config)]
    assert names == ["processor", "web", "live", "worker", "sealer"]
    env = children_of(config)[0].environ
    assert {"VAR_DIR", "PUBLIC_ORIGIN"} <= set(env) <= {*env} - {"SERVER_SECRET", "DATABASE_URL", "STRIPE_API_KEY"}
    told = children_of(config)[1].environ
    assert {name: told[name] for name in known.environ} == known.environ
    assert "processor" not in [child.name for child in children_of(replace(config, stripe=None))]
    elsewhere = replace(config, stripe=replace(keys, api_base="http://127.0.0.1:9"))
    assert "processor" not in [child.name for child in children_of(elsewhere)]
