"""The same order again, many at once, and cut off in the middle: what was asked happens once or not at all."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests import burst
from tests.attack import books, forged, nothing_moved, refused
from tests.burst import Request
from tests.conftest import LiveServer, serve
from tests.databases import TestDatabase
from tests.make import STATION, WARD, City, Seen, Signer
from wallet import canonical, clock
from wallet.client import Reply
from wallet.crypto import PrivateKey
from wallet.ids import HolderId

PAY, SEND = "/v1/bill-payments", "/v1/transfers"


@dataclass(frozen=True, kw_only=True)
class Live:
    """The real service under gunicorn, and a city behind it that is made from outside."""

    server: LiveServer
    city: City

    def at_once(self, requests: list[Request], *, processes: int = 2) -> list[burst.Answer]:
        return burst.send(self.server.config.port, requests, processes=processes)


@pytest.fixture(scope="module")
def live(database: TestDatabase) -> Iterator[Live]:
    with serve(database, workers=3) as server, City(database, origin=server.origin, in_process=False) as city:
        yield Live(server=server, city=city)


def prepared(signer: Signer, path: str, content: bytes) -> Request:
    return ("POST", path, signer.headers("POST", path, content), content)


def transfer(payer: Signer, payee: Signer, amount: int) -> bytes:
    return payer.order("transfer", payer=payer.account, payee=payee.account, amount=str(amount), memo="")


def payment(payer: Signer, *bills: Seen, **more: str) -> bytes:
    return payer.order("bill_payment", payer=payer.account, bills=[bill.seen | more for bill in bills])


def codes(answers: list[burst.Answer]) -> Counter[int]:
    assert all(answers), "every request is answered"
    return Counter(answer[0] for answer in answers if answer)


# -- the same order -----------------------------------------------------------------------------------------


def test_the_same_bytes_again_get_the_stored_reply_and_one_posting(city: City) -> None:
    """Row 27: also with the very same headers, and signed by another key of the same holder."""
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
    content = transfer(hoa, binh, 60)
    headers = hoa.headers("POST", SEND, content)
    first = hoa.send_with("POST", SEND, content, headers)
    assert (first.status, first.headers.get("idempotent-replayed")) == (201, None)
    second = city.signer(holder(hoa), PrivateKey.generate_ed25519())
    city.enrol(second)
    with nothing_moved(city):
        for again in (
            hoa.send_with("POST", SEND, content, headers),
            hoa.send("POST", SEND, content),
            second.send("POST", SEND, content),
        ):
            assert (again.status, again.body) == (201, first.body)
            assert again.headers["idempotent-replayed"] == "true"
    assert (city.available(hoa), city.available(binh)) == (40, 60)


def holder(signer: Signer) -> HolderId:
    return HolderId(UUID(signer.holder))


@pytest.mark.parametrize("amount", [60, 101])
def test_fifty_of_one_order_at_once_are_one_outcome(live: Live, amount: int) -> None:
    """Row 29: from two processes of 25 connections each; also when the outcome is a refusal."""
    city = live.city
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
    content = transfer(hoa, binh, amount)
    before = books(city)
    answers = live.at_once([prepared(hoa, SEND, content) for _ in range(50)])
    status = 201 if amount <= 100 else 402
    assert set(answers) == {(status, answers[0][1])}  # type: ignore[index]
    after = books(city)
    assert after["ledger.outcome"] == before["ledger.outcome"] + 1
    assert after["ledger.entry"] == before["ledger.entry"] + (status == 201)
    assert after["ledger.event"] == before["ledger.event"] + (status == 201)
    assert city.available(hoa) == (40 if status == 201 else 100)


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        '""',
        "{id}",
        "'{id}'",
        '"{id}',
        '"{ID}"',
        '"{id}";a=1',
        '"{id}", "{id}"',
        '"\t{id}"',
        '"{id} "',
        "?1",
        "1",
        ":e30=:",
        "(a b)",
        '"' + "x" * 256 + '"',
        '"' + "0" * 36 + '"',
        '"{other}"',
        "ÿ",
        '"{{id}}"',
    ],
)
def test_an_idempotency_key_that_is_not_the_orders_id_is_refused(city: City, key: str | None) -> None:
    """Row 30: missing, empty, unquoted, in capitals, with parameters, twice, of another type, too long, another's."""
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
    content = transfer(hoa, binh, 1)
    id = canonical.loads(content)["id"]
    honest = hoa.headers("POST", SEND, content)
    if key is None:
        headers = {name: value for name, value in honest.items() if name != "Idempotency-Key"}
    else:
        spelled = key.replace("{id}", id).replace("{ID}", id.upper()).replace("{other}", str(uuid4()))
        headers = forged(hoa, "POST", SEND, content, headers={"Idempotency-Key": spelled})
    with nothing_moved(city):
        document = refused(hoa.send_with("POST", SEND, content, headers), 400, "request_malformed")
    assert document["param"] == "Idempotency-Key"


def test_one_id_of_two_holders_is_two_orders(city: City) -> None:
    """Row 31: nobody is answered with another's outcome, nor kept out by another's id."""
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình", available=100)
    id = str(uuid4())
    first, second = (
        canonical.dumps({**canonical.loads(transfer(payer, payee, 7)), "id": id})
        for payer, payee in ((hoa, binh), (binh, hoa))
    )
    mine, theirs = hoa.send("POST", SEND, first), binh.send("POST", SEND, second)
    assert (mine.status, theirs.status) == (201, 201)
    assert mine.body != theirs.body
    assert "idempotent-replayed" not in theirs.headers
    assert hoa.get(f"/v1/orders/{id}").json()["answer"]["payer"] == hoa.account
    assert binh.get(f"/v1/orders/{id}").json()["answer"]["payer"] == binh.account
    with nothing_moved(city):
        refused(binh.send("POST", SEND, first), 401, "signature_key")


def test_one_id_at_another_door_or_method_is_refused(city: City) -> None:
    """Row 32: whether the kind fits the door or not."""
    hoa, binh = city.citizen(available=50_000), city.citizen("Trần Văn Bình")
    bill = city.bill(debtor=hoa)
    content = transfer(hoa, binh, 7)
    assert hoa.send("POST", SEND, content).status == 201
    other = canonical.dumps({**canonical.loads(payment(hoa, bill)), "id": canonical.loads(content)["id"]})
    with nothing_moved(city):
        refused(hoa.send("POST", PAY, other), 422, "order_id_reused")
        refused(hoa.send("POST", PAY, content), 422, "order_invalid")
        for method in ("PUT", "PATCH", "DELETE"):
            refused(hoa.send(method, SEND, content), 405, "method_not_allowed")


@pytest.mark.parametrize("change", [{"amount": "8"}, {"memo": "khác"}, {"expires": None}, {"kind": None}])
def test_one_id_with_other_bytes_is_refused(city: City, change: dict[str, str | None]) -> None:
    """Rows 32 and 33: the ledger remembers an order's id for ever; no cache has to."""
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
    content = transfer(hoa, binh, 7)
    assert hoa.send("POST", SEND, content).status == 201
    whole = canonical.loads(content)
    new = {"expires": str(int(whole["expires"]) - 1), "kind": "transfer"}
    other = canonical.dumps({**whole, **{name: value or new[name] for name, value in change.items()}})
    if other == content:
        other = canonical.dumps({**whole, "payee": hoa.account})
    with nothing_moved(city):
        document = refused(hoa.send("POST", SEND, other), 422, "order_id_reused")
    assert document["param"] == "id"
    assert hoa.send("POST", SEND, content).status == 201


def test_after_a_stored_refusal_a_corrected_order_needs_a_new_id(city: City) -> None:
    """Row 35: a verb's refusal is an outcome. A malformed order left none, so its id is still free: nothing is lost."""
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
    refused(hoa.send("POST", SEND, transfer(hoa, hoa, 7)), 422, "transfer_same_account")
    wrong = transfer(hoa, hoa, 7)
    refused(hoa.send("POST", SEND, wrong), 422, "transfer_same_account")
    corrected = canonical.dumps({**canonical.loads(wrong), "payee": binh.account})
    with nothing_moved(city):
        refused(hoa.send("POST", SEND, corrected), 422, "order_id_reused")
    assert hoa.send("POST", SEND, transfer(hoa, binh, 7)).status == 201
    malformed = canonical.dumps({**canonical.loads(transfer(hoa, binh, 7)), "amount": "-7"})
    with nothing_moved(city):
        refused(hoa.send("POST", SEND, malformed), 422, "order_invalid")
    mended = canonical.dumps({**canonical.loads(malformed), "amount": "7"})
    assert hoa.send("POST", SEND, mended).status == 201
    assert city.available(binh) == 14


# -- windows ------------------------------------------------------------------------------------------------


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`wait(signer, days=2)`: the clock of the service and of the signer are so much later."""
    real = clock.now

    def later(signer: Signer, **how_long: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: real() + timedelta(**how_long))
        signer.clock_ahead_s = -timedelta(**how_long).total_seconds()

    return later


@pytest.mark.parametrize("available", [50_000, 0])
def test_an_outcome_is_told_again_after_the_orders_window_has_passed(
    city: City, wait: Callable[..., None], available: int
) -> None:
    """Row 33: also a refusal, and also years later."""
    hoa = city.citizen(available=available)
    content = payment(hoa, city.bill(debtor=hoa))
    first = hoa.send("POST", PAY, content)
    assert first.status == (201 if available else 402)
    for days in (1, 2, 1000):
        wait(hoa, days=days)
        with nothing_moved(city):
            again = hoa.send("POST", PAY, content)
        assert (again.status, again.body) == (first.status, first.body)


def test_an_order_that_lapsed_is_refused_for_ever(city: City, wait: Callable[..., None]) -> None:
    """Row 33: its signer may sign another without fear that the first is carried out after all."""
    hoa = city.citizen(available=50_000)
    bill = city.bill(debtor=hoa)
    content = payment(hoa, bill)
    wait(hoa, seconds=901)
    with nothing_moved(city, outcomes=1):
        refused(hoa.send("POST", PAY, content), 409, "order_lapsed")
    wait(hoa, seconds=0)
    with nothing_moved(city):
        refused(hoa.send("POST", PAY, content), 409, "order_lapsed")
    assert city.read_bill(bill).status == "due"
    assert hoa.send("POST", PAY, payment(hoa, bill)).status == 201


@pytest.mark.parametrize(
    ("created", "expires"),
    [(0, 0), (0, -1), (0, 86_401), (300, 900), (86_400, 86_500), (0, 10 * 365 * 86_400), (-100_000, 0)],
)
def test_an_orders_window_must_be_one(city: City, created: int, expires: int) -> None:
    """Row 57, of the order's own window: empty, backwards, longer than a day, in the future (well past the minute allowed,
    for the server reads its clock a little later than this test does).
    """
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
    now = int(time.time())
    window = {"created": str(now + created), "expires": str(now + expires)}
    content = canonical.dumps({**canonical.loads(transfer(hoa, binh, 7)), **window})
    with nothing_moved(city):
        refused(hoa.send("POST", SEND, content), 422, "order_window")


# -- crashes ------------------------------------------------------------------------------------------------


def workers_of(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def test_kill_9_in_the_middle_loses_nothing_and_doubles_nothing(fresh_database: TestDatabase) -> None:
    """Row 34: first a worker is killed while orders are in flight, then the whole service. What was acknowledged is in the
    books once; the rest is there once or not at all; the same bytes sent again make everything whole; the books prove.
    """
    with serve(fresh_database) as server, City(fresh_database, origin=server.origin, in_process=False) as city:
        port, binh = server.config.port, city.citizen("Trần Văn Bình")
        payers = [city.citizen(f"Hoa {number}", available=100) for number in range(4)]
        orders = [(payer, transfer(payer, binh, 1)) for payer in payers for _ in range(20)]
        before = city.count("ledger.entry")
        acknowledged: dict[int, burst.Answer] = {}
        for first, victim in ((0, workers_of(server.process.pid)[0]), (1, server.process.pid)):
            done, waiting = city.count("ledger.entry"), range(first, len(orders), 2)
            running = burst.start(port, [prepared(orders[number][0], SEND, orders[number][1]) for number in waiting])
            deadline = time.monotonic() + 30
            while city.count("ledger.entry") < done + 10:
                assert time.monotonic() < deadline, "nothing is being carried out"
            os.kill(victim, signal.SIGKILL)
            answers = zip(waiting, burst.finish(running), strict=True)
            acknowledged |= {number: answer for number, answer in answers if answer}
            assert {answer[0] for answer in acknowledged.values() if answer} == {201}
            assert len(acknowledged) <= city.count("ledger.entry") - before
        server.process.wait(timeout=10)
        with serve(fresh_database, port=port):
            again = burst.send(port, [prepared(payer, SEND, content) for payer, content in orders])
        assert codes(again) == {201: len(orders)}
        assert {number: again[number] for number in acknowledged} == acknowledged
        assert city.count("ledger.entry") == before + len(orders)
        assert [balance_of(city, one) for one in (binh, *payers)] == [len(orders), *[80] * 4]
        assert city.differences() == []


# -- at the same instant ------------------------------------------------------------------------------------


def test_two_devices_spend_the_last_balance_once(live: Live) -> None:
    """Row 37: ten wallets, each emptied twice at once, by two keys, through several processes."""
    city, binh = live.city, live.city.citizen("Trần Văn Bình")
    requests: list[Request] = []
    payers = [city.citizen(f"Hoa {number}", available=100) for number in range(10)]
    for payer in payers:
        second = city.signer(holder(payer), PrivateKey.generate())
        second.account = payer.account
        city.enrol(second)
        requests += [prepared(device, SEND, transfer(device, binh, 100)) for device in (payer, second)]
    answers = live.at_once(requests)
    for one, other in zip(answers[::2], answers[1::2], strict=True):
        assert codes([one, other]) == {201: 1, 402: 1}
    assert [balance_of(city, payer) for payer in payers] == [0] * 10
    assert balance_of(city, binh) == 1_000


def test_opposed_transfers_in_parallel_all_arrive(live: Live) -> None:
    """Row 38: A to B and B to A; no deadlock surfaces, and no đồng is made or lost."""
    city = live.city
    hoa, binh = city.citizen(available=1_000), city.citizen("Trần Văn Bình", available=1_000)
    requests = [
        prepared(payer, SEND, transfer(payer, payee, amount))
        for amount in range(1, 41)
        for payer, payee in ((hoa, binh), (binh, hoa))
    ]
    assert codes(live.at_once(requests)) == {201: 80}
    assert (balance_of(city, hoa), balance_of(city, binh)) == (1_000, 1_000)


def test_two_payers_at_one_instant_pay_a_bill_once(live: Live) -> None:
    """Row 42: the debtor and somebody who was let in; one is told that it is paid."""
    city = live.city
    hoa, binh = city.citizen(available=200_000), city.citizen("Trần Văn Bình", available=200_000)
    bills = [city.bill(debtor=hoa, amounts=[10_000]) for _ in range(6)]
    for bill in bills:
        assert http(binh, "/v1/bill-lookups", "bill_lookup", code=bill.code, detail=hoa.phone[-4:]).status == 201
    answers = live.at_once([prepared(who, PAY, payment(who, bill)) for bill in bills for who in (hoa, binh)])
    for one, other in zip(answers[::2], answers[1::2], strict=True):
        assert codes([one, other]) == {201: 1, 409: 1}
        assert b'"code":"bill_paid"' in next(answer[1] for answer in (one, other) if answer and answer[0] == 409)
    assert balance_of(city, hoa) + balance_of(city, binh) == 400_000 - 60_000


def test_payers_of_the_same_bills_in_another_order_wait_for_each_other(live: Live) -> None:
    """Rows 38 and 42: several bills in one order, named the other way round by the other payer; each set is paid once."""
    city = live.city
    hoa, binh = city.citizen(available=500_000), city.citizen("Trần Văn Bình", available=500_000)
    requests = []
    for _ in range(5):
        bills = [city.bill(debtor=hoa, amounts=[1_000], agency=agency) for agency in (WARD, STATION, WARD)]
        for bill in bills:
            assert http(binh, "/v1/bill-lookups", "bill_lookup", code=bill.code, detail=hoa.phone[-4:]).status == 201
        requests += [prepared(hoa, PAY, payment(hoa, *bills)), prepared(binh, PAY, payment(binh, *reversed(bills)))]
    answers = live.at_once(requests)
    for one, other in zip(answers[::2], answers[1::2], strict=True):
        assert codes([one, other]) == {201: 1, 409: 1}
    assert balance_of(city, hoa) + balance_of(city, binh) == 1_000_000 - 15_000


def test_a_bill_is_cancelled_or_paid_but_never_both(live: Live) -> None:
    """Rows 40 and 42: the agency cancels at the instant in which the citizen pays."""
    city, officer = live.city, live.city.officer(WARD)
    hoa = city.citizen(available=200_000)
    bills = [city.bill(debtor=hoa, amounts=[10_000]) for _ in range(8)]
    requests = []
    for bill in bills:
        order = officer.order("bill_cancel", bill=str(bill.id), reason="Lập nhầm")
        requests += [prepared(hoa, PAY, payment(hoa, bill)), prepared(officer, f"/v1/bills/{bill.id}/cancel", order)]
    answers = live.at_once(requests)
    for paid, cancelled, bill in zip(answers[::2], answers[1::2], bills, strict=True):
        assert codes([paid, cancelled]) == {201: 1, 409: 1}
        assert city.read_bill(bill).status == ("paid" if paid and paid[0] == 201 else "cancelled")
    assert city.differences() == []


def http(signer: Signer, path: str, kind: str, **own: str) -> Reply:
    return signer.act(path, kind, **own)


def balance_of(city: City, signer: Signer) -> int:
    with city.engine.connect() as connection:
        question = "SELECT posted FROM ledger.balance_now WHERE account = %s"
        return int(connection.exec_driver_sql(question, (UUID(signer.account),)).scalar_one())


# -- every state of a bill ----------------------------------------------------------------------------------


def made_so(city: City, hoa: Signer, state: str) -> Seen:
    """A bill of Hoa's in this state."""
    now = clock.now()
    if state == "waived":
        return city.bill(debtor=hoa, amounts=[0])
    if state == "expired":
        day = clock.day_of(now)
        then = now - timedelta(days=10)
        return city.bill(debtor=hoa, issued=then, due=day - timedelta(days=3), expires=day - timedelta(days=1))
    bill = city.bill(debtor=hoa)
    if state == "paid":
        assert hoa.send("POST", PAY, payment(hoa, bill)).status == 201
    if state == "cancelled":
        order = {"bill": str(bill.id), "reason": "Lập nhầm"}
        assert city.officer().act(f"/v1/bills/{bill.id}/cancel", "bill_cancel", **order).status == 201
    if state == "superseded":
        city.bill(debtor=hoa, amounts=[30_000], supersedes=bill.id)
    return bill


@pytest.mark.parametrize("state", ["waived", "expired", "paid", "cancelled", "superseded"])
def test_a_bill_that_is_not_payable_says_which_and_stops_the_whole_order(city: City, state: str) -> None:
    """Row 42: its own code, the bill named, and no other bill of the order is paid either."""
    hoa = city.citizen(available=500_000)
    bill, good = made_so(city, hoa, state), city.bill(debtor=hoa, agency=STATION)
    amount = str(bill.total or 1)
    for bills in ([bill], [good, bill], [bill, good]):
        seen = [one.seen | ({"amount": amount} if one is bill else {}) for one in bills]
        with nothing_moved(city, outcomes=1):
            reply = hoa.act(PAY, "bill_payment", payer=hoa.account, bills=seen)
            document = refused(reply, 409, f"bill_{state}")
        assert document["bill"] == str(bill.id)
    assert city.read_bill(good).status == "due"
    assert city.read_bill(bill).status == state


def test_an_overdue_bill_is_payable_until_the_last_instant_of_its_last_day(city: City) -> None:
    """Row 42: overdue is payable; expired begins with the city's next midnight."""
    hoa, now = city.citizen(available=50_000), clock.now()
    day, then = clock.day_of(now), now - timedelta(days=10)
    bill = city.bill(debtor=hoa, issued=then, due=day - timedelta(days=3), expires=day)
    assert city.read_bill(bill).status == "overdue"
    assert hoa.send("POST", PAY, payment(hoa, bill)).status == 201


@pytest.mark.parametrize("change", [{"amount": "19999"}, {"amount": "20001"}, {"amount": "1"}, {"version": "2"}])
def test_a_bill_is_never_paid_at_another_price_than_it_has(city: City, change: dict[str, str]) -> None:
    """Row 42: the refusal names today's amount and version; the signature over the old ones pays nothing."""
    hoa = city.citizen(available=50_000)
    bill = city.bill(debtor=hoa)
    content = payment(hoa, bill, **change)
    with nothing_moved(city, outcomes=1):
        document = refused(hoa.send("POST", PAY, content), 409, "bill_changed")
    assert (document["amount"], document["version"], document["bill"]) == ("20000", "1", str(bill.id))
    with nothing_moved(city):
        refused(hoa.send("POST", PAY, content), 409, "bill_changed")


def test_a_replaced_bill_is_paid_only_as_the_new_one(city: City) -> None:
    """Row 42: the price changed between the scan and the confirmation."""
    hoa = city.citizen(available=50_000)
    old = city.bill(debtor=hoa)
    content = payment(hoa, old)
    new = city.bill(debtor=hoa, amounts=[30_000], supersedes=old.id)
    assert (new.version, new.total) == (2, 30_000)
    with nothing_moved(city, outcomes=1):
        refused(hoa.send("POST", PAY, content), 409, "bill_superseded")
    with nothing_moved(city, outcomes=1):
        refused(hoa.send("POST", PAY, payment(hoa, new, amount="20000", version="1")), 409, "bill_changed")
    assert hoa.send("POST", PAY, payment(hoa, new)).status == 201
    assert city.differences() == []


def test_anothers_bill_is_not_there(city: City) -> None:
    """Rows 42 and 82: neither its state nor its amount is told to somebody who was not let in."""
    hoa, binh = city.citizen(available=100_000), city.citizen("Trần Văn Bình")
    for state in ("due", "paid", "cancelled", "waived"):
        bill = made_so(city, city.citizen("Lê Thị Cúc", available=50_000), state)
        with nothing_moved(city, outcomes=1):
            seen = bill.seen | {"amount": "1"}
            reply = hoa.act(PAY, "bill_payment", payer=hoa.account, bills=[seen])
            document = refused(reply, 404, "bill_not_found")
        assert set(document) & {"amount", "version"} == set()
    seen = city.bill(debtor=hoa).seen | {"bill": str(uuid4())}
    with nothing_moved(city, outcomes=1):
        refused(hoa.act(PAY, "bill_payment", payer=hoa.account, bills=[seen]), 404, "bill_not_found")
    assert city.available(binh) == 0


def test_bills_that_together_exceed_the_balance_are_all_left_unpaid(city: City) -> None:
    """All or nothing: also where each alone could be paid."""
    hoa = city.citizen(available=50_000)
    bills = [city.bill(debtor=hoa, agency=agency) for agency in (WARD, STATION, WARD)]
    with nothing_moved(city, outcomes=1):
        refused(hoa.send("POST", PAY, payment(hoa, *bills)), 402, "insufficient_funds")
    assert [city.read_bill(bill).status for bill in bills] == ["due"] * 3
    assert hoa.send("POST", PAY, payment(hoa, *bills[:2])).status == 201
    assert city.available(hoa) == 10_000


def test_a_bill_twice_in_one_order_or_too_many_are_refused(city: City) -> None:
    hoa = city.citizen(available=500_000)
    bill = city.bill(debtor=hoa)
    with nothing_moved(city):
        refused(hoa.send("POST", PAY, payment(hoa, bill, bill)), 422, "order_invalid")
        many = [bill.seen | {"bill": str(uuid4())} for _ in range(21)]
        for bills in ([], many):
            reply = hoa.act(PAY, "bill_payment", payer=hoa.account, bills=bills)
            refused(reply, 422, "order_invalid")


def test_a_twin_that_waits_gets_what_the_first_one_did(city: City) -> None:
    """Row 29: the claim itself waits; here the first is held open in the database until the twin stands behind it."""
    hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
    content = transfer(hoa, binh, 60)
    replies: list[Reply] = []
    with city.database.superuser() as watcher, city.database.superuser() as owner, owner.transaction():
        owner.execute("SELECT 1 FROM ledger.balance WHERE account = %s FOR UPDATE", [hoa.account])
        threads = [threading.Thread(target=lambda: replies.append(hoa.send("POST", SEND, content))) for _ in range(3)]
        for thread in threads:
            thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        deadline = time.monotonic() + 20
        while watcher.execute(waiting).fetchone() != (3,):
            assert time.monotonic() < deadline, "all three wait"
            time.sleep(0.01)
    for thread in threads:
        thread.join(timeout=20)
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert sorted(reply.headers.get("idempotent-replayed", "") for reply in replies) == ["", "true", "true"]
    assert (city.available(hoa), city.available(binh)) == (40, 60)
