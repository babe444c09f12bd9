"""The whole story of a card over HTTP: the real SDK, the stand-in processor, its signed events, and the books at the end."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

import wsgi
from tests.acquirers import StripeBench, stripe_bench
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet import clock
from wallet.cards import linked, rounds, tie_out
from wallet.cards.bills import BillTarget
from wallet.cards.till import Till
from wallet.ids import HolderId


@dataclass(kw_only=True)
class Story:
    city: City
    bench: StripeBench
    till: Till
    heard: int = 0

    def tick(self, seconds: int = 5) -> None:
        """The processor's clock keeps up with ours."""
        self.bench.clock.at = max(self.bench.clock.at + seconds, int(clock.now().timestamp()))

    def hear(self, *, from_the_first: bool = False) -> None:
        """Every event that did not come to our door yet comes, the newest first; or every one that there was."""
        self.tick(0)
        sent = self.bench.sent()
        told, self.heard = sent[0 if from_the_first else self.heard :], len(sent)
        with self.city.service.test_client() as client:
            for body, headers in reversed(told):
                answer = client.post("/stripe/events", data=body, headers=headers)
                assert answer.status_code == 204, answer.text

    def page_of(self, who: Signer, order: str) -> str:
        return str(who.get(f"/v1/card-payments/{order}").json()["page"])

    def state_of(self, who: Signer, order: str) -> str:
        return str(who.get(f"/v1/card-payments/{order}").json()["state"])

    def rounds(self) -> None:
        rounds.soon(self.till, now=clock.now())
        rounds.later(self.till, now=clock.now())

    def tied(self) -> tie_out.TieOut:
        with self.city.engine.connect() as connection:
            return tie_out.read(connection, "stripe", lately=clock.now() - timedelta(minutes=5))


@pytest.fixture
def story(fresh_database: TestDatabase) -> Iterator[Story]:
    with stripe_bench() as bench, City(fresh_database) as city:
        known = city.service.extensions["wallet"]
        till = Till(
            database=known.app,
            acquirer=bench.acquirer,
            origin=known.config.public_origin,
            targets={"bill": BillTarget()},
        )
        city.service.extensions["wallet"] = replace(known, till=till)
        made = Story(city=city, bench=bench, till=till)
        made.tick()
        yield made
        made.rounds()
        tied = made.tied()
        assert (tied.unexplained, tied.breaks) == (0, 0)
        assert city.differences() == []


def test_a_card_is_linked_tops_up_pays_a_bill_is_given_back_to_charged_back_and_paid_out(story: Story) -> None:
    """Row 90 on the way: every event comes again and again, and out of order with what we asked."""
    hoa = story.city.citizen("Nguyễn Thị Hoa")
    holder = HolderId(UUID(hoa.holder))
    linking = linked.begin(story.till, holder, locale="vi", now=clock.now())
    assert linking.page is not None
    story.bench.enter(linking.page, "secure")
    story.hear()
    card = hoa.get("/v1/cards").json()["rows"][0]
    assert card["last4"] == "3184"

    topup = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="200000", card=card["id"]).json()["order"]
    assert story.state_of(hoa, topup) == "requires_action"
    story.bench.follow(story.page_of(hoa, topup))
    story.hear()
    assert story.state_of(hoa, topup) == "succeeded"
    assert story.city.available(hoa) == 200_000

    bill = story.city.bill(debtor=hoa, amounts=[20_000, 15_000])
    said = {"purpose": "bill", "target": str(bill.id), "amount": "35000", "card": ""}
    first = hoa.act("/v1/card-payments", "card_payment", **said).json()["order"]
    second = hoa.act("/v1/card-payments", "card_payment", **said).json()["order"]
    for order in (first, second):
        story.bench.enter(story.page_of(hoa, order), "good")
    story.hear()
    assert [story.state_of(hoa, order) for order in (first, second)] == ["succeeded", "succeeded"]
    assert story.city.read_bill(bill).status == "paid"
    story.rounds()
    backs = [hoa.get(f"/v1/card-payments/{order}").json()["refunds"] for order in (first, second)]
    assert sorted(len(back) for back in backs) == [0, 1]
    story.hear()

    ref = story.till.acquirer.find_payment(
        id=payment_of(story, topup), customer=customer_of(story, holder), since=clock.now() - timedelta(hours=1)
    )
    assert ref is not None
    dispute = story.bench.raise_dispute(ref.ref)
    story.hear()
    story.rounds()
    assert story.tied().difference == 0
    story.bench.decide(dispute, won=False)
    story.hear()
    assert story.city.available(hoa) == 200_000

    more = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="3000000", card="").json()["order"]
    story.bench.enter(story.page_of(hoa, more), "good")
    story.hear()
    story.bench.clock.at += 10 * 86_400
    payout = story.bench.pay_out()
    story.rounds()
    assert story.tied().because("payout_on_its_way") < 0
    story.bench.arrive(payout)
    story.rounds()
    assert story.tied().difference == 0
    story.bench.clock.at = int(clock.now().timestamp())
    story.hear(from_the_first=True)
    assert story.city.available(hoa) == 3_200_000


def payment_of(story: Story, order: str) -> UUID:
    with story.city.engine.connect() as connection:
        query = "SELECT id FROM cards.payment WHERE order_id = %s"
        return UUID(str(connection.exec_driver_sql(query, (order,)).scalar_one()))


def customer_of(story: Story, holder: HolderId) -> str:
    with story.city.engine.connect() as connection:
        found = linked.customer_ref(connection, "stripe", holder)
    assert found is not None
    return found


@pytest.mark.parametrize("fault", ["lose_reply", "error_after"])
def test_a_lost_reply_over_http_ends_credited_once(story: Story, fault: str) -> None:
    """Row 97: the charge succeeded and its reply was lost; the processor said 500 and then told of success."""
    hoa = story.city.citizen("Nguyễn Thị Hoa")
    linked.customer(story.till, HolderId(UUID(hoa.holder)), now=clock.now())
    story.bench.fault(fault, "POST /v1/checkout/sessions")
    order = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="60000", card="").json()["order"]
    assert story.state_of(hoa, order) == "in_doubt"
    age(story, timedelta(seconds=30))
    story.rounds()
    assert story.state_of(hoa, order) == "requires_action"
    story.bench.enter(story.page_of(hoa, order), "secure")
    story.hear()
    story.hear(from_the_first=True)
    assert story.city.available(hoa) == 60_000


def test_a_request_that_was_lost_over_http_ends_by_asking(story: Story) -> None:
    hoa = story.city.citizen("Nguyễn Thị Hoa")
    linked.customer(story.till, HolderId(UUID(hoa.holder)), now=clock.now())
    story.bench.fault("lose_request", "POST /v1/checkout/sessions")
    order = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="60000", card="").json()["order"]
    assert story.state_of(hoa, order) == "in_doubt"
    age(story, timedelta(minutes=11))
    story.rounds()
    assert story.state_of(hoa, order) == "cancelled"
    assert story.city.available(hoa) == 0


def test_a_browser_closed_in_3d_secure_moves_nothing_and_blocks_nothing(story: Story) -> None:
    hoa = story.city.citizen("Nguyễn Thị Hoa")
    order = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="60000", card="").json()["order"]
    page = story.page_of(hoa, order)
    story.bench.browse(page, {"number": "4000002760003184", "expiry": "12/30", "cvc": "123"})  # and there it ended
    story.hear()
    assert story.state_of(hoa, order) == "requires_action"
    age(story, timedelta(minutes=36))
    story.rounds()
    assert story.state_of(hoa, order) == "cancelled"
    again = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="60000", card="").json()["order"]
    story.bench.enter(story.page_of(hoa, again), "good")
    story.hear()
    assert story.city.available(hoa) == 60_000


def age(story: Story, by: timedelta) -> None:
    owner = sa.create_engine(story.city.database.owner_url)
    with owner.begin() as unit:
        columns = ("made_at", "expires_at", "called_at", "asked_at")
        set_ = ", ".join(f"{column} = {column} - %(by)s" for column in columns)
        unit.exec_driver_sql(f"UPDATE cards.payment SET {set_}", {"by": by})
    owner.dispose()


def test_the_worker_asks_for_what_nobody_told(story: Story) -> None:
    """Every event was lost: the worker asks, credits, and reads the processor's account; it stops when it is told."""
    hoa = story.city.citizen("Nguyễn Thị Hoa")
    order = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="60000", card="").json()["order"]
    story.bench.enter(story.page_of(hoa, order), "good")
    age(story, timedelta(seconds=30))
    worker = wsgi.create_worker(replace(story.city.config, stripe=story.bench.keys))
    stop = threading.Event()
    running = threading.Thread(target=worker.run, args=(stop,))
    running.start()
    try:
        deadline = time.monotonic() + 20
        while story.city.count("cards.line") == 0 or story.city.available(hoa) == 0:
            assert time.monotonic() < deadline, "the worker did not ask"
            time.sleep(0.1)
    finally:
        stop.set()
        running.join()
        worker.database.dispose()
    assert story.city.available(hoa) == 60_000
