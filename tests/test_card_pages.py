"""Cards at the doors and on the pages: ordered by a signature, followed honestly, watched by the rooms."""

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from tests import databases
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, value_of, words_of
from tests.pretend import Pretend
from wallet import clock, ids
from wallet.cards import asking, payments, rounds
from wallet.cards.bills import BillTarget
from wallet.cards.till import Till
from wallet.gates.acquirer import About, Failure


@pytest.fixture(scope="module")
def acquirer() -> Pretend:
    return Pretend()


@pytest.fixture(scope="module")
def database(template, postgres, worker, tmp_path_factory) -> Iterator[TestDatabase]:
    """Of this file's own: what one acquirer knows no other does."""
    folder = tmp_path_factory.mktemp("var")
    with databases.copy_of(template, f"{worker}_card_pages", server=postgres, folder=folder) as made:
        yield made


@pytest.fixture(scope="module")
def city(database: TestDatabase, acquirer: Pretend) -> Iterator[City]:
    with City(database) as made:
        known = made.service.extensions["wallet"]
        till = Till(
            database=known.app, acquirer=acquirer, origin=known.config.public_origin, targets={"bill": BillTarget()}
        )
        made.service.extensions["wallet"] = replace(known, till=till)
        yield made


@pytest.fixture
def hoa(city: City) -> Signer:
    return city.citizen("Nguyễn Thị Hoa", available=300_000)


@pytest.fixture
def visitor(city: City, hoa: Signer) -> Visitor:
    return Visitor(city).enter(hoa)


def till_of(city: City) -> Till:
    till: Till | None = city.service.extensions["wallet"].till
    assert till is not None
    return till


def order_topup(hoa: Signer, amount: int = 50_000, **changed: str):
    return hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount=str(amount), card="", **changed)


def stands(hoa: Signer, order: str) -> dict:
    reply = hoa.get(f"/v1/card-payments/{order}")
    assert reply.status == 200, reply.body
    found: dict = reply.json()
    return found


# -- the signed doors -------------------------------------------------------------------------------------------------


def test_a_signed_topup_is_ordered_once_and_its_retry_gets_the_same_bytes(city, hoa, acquirer):
    """Rows 27 and 34: the card is asked once, whatever is retried."""
    acquirer.calls.clear()
    order = hoa.order("card_topup", payee=hoa.account, amount="50000", card="")
    first, again = hoa.send("POST", "/v1/topups", order), hoa.send("POST", "/v1/topups", order)
    assert (first.status, again.status, first.body) == (201, 201, again.body)
    assert acquirer.calls.count("begin_payment") == 1
    found = stands(hoa, first.json()["order"])
    assert (found["state"], found["amount"], found["entry"]) == ("requires_action", "50000", None)
    assert found["page"].startswith("http")


def test_a_topup_of_anothers_wallet_or_with_anothers_card_is_refused(city, hoa):
    """Row 82."""
    stranger = city.citizen("Trần Văn Lạ")
    reply = hoa.act("/v1/topups", "card_topup", payee=stranger.account, amount="50000", card="")
    assert (reply.status, reply.json()["code"]) == (404, "account_not_found")
    reply = hoa.act("/v1/topups", "card_topup", payee=hoa.account, amount="50000", card=str(uuid4()))
    assert (reply.status, reply.json()["code"]) == (404, "card_not_found")
    order = order_topup(hoa).json()["order"]
    assert stranger.get(f"/v1/card-payments/{order}").status == 404


@pytest.mark.parametrize(
    ("own", "status"),
    [
        ({"amount": "50000.5"}, 422),
        ({"amount": "-1"}, 422),
        ({"amount": "1"}, 422),
        ({"currency": "usd"}, 422),
        ({"card": "4242424242424242"}, 422),
    ],
)
def test_an_order_that_is_no_topup_is_refused(hoa, own, status):
    """Rows 2, 11, 17: no currency to choose, no card number to take."""
    said = {"payee": hoa.account, "amount": "50000", "card": ""} | own
    assert hoa.act("/v1/topups", "card_topup", **said).status == status


def test_a_bill_is_paid_by_card_through_the_door(city, hoa, acquirer):
    bill = city.bill(debtor=hoa, amounts=[20_000])
    said = {"purpose": "bill", "target": str(bill.id), "amount": "20000", "card": ""}
    reply = hoa.act("/v1/card-payments", "card_payment", **said)
    assert reply.status == 201, reply.body
    payment = UUID(reply.json()["payment"])
    acquirer.pay(payment)
    rounds.soon(till_of(city), now=clock.now())
    asking.inquire(till_of(city), payment, cause="inquiry", now=clock.now())
    assert city.read_bill(bill).status == "paid"
    reply = hoa.act("/v1/card-payments", "card_payment", **said)
    assert (reply.status, reply.json()["code"]) == (409, "bill_paid")
    reply = hoa.act("/v1/card-payments", "card_payment", **said | {"purpose": "invoice"})
    assert reply.status == 422


def test_without_a_processor_there_are_no_cards(database, hoa):
    with City(database) as plain:
        assert plain.service.extensions["wallet"].till is None
        signer = plain.citizen("Lê Thị Không")
        order = signer.order("card_topup", payee=signer.account, amount="50000", card="")
        reply = signer.send("POST", "/v1/topups", order)
        assert (reply.status, reply.json()["code"]) == (503, "cards_unavailable")
        assert "/nap-tien" not in Visitor(plain).enter(signer).get("/").text


# -- what the processor tells -------------------------------------------------------------------------------------------


def tell(city: City, body: dict, *, signature: str = "good"):
    with city.service.test_client() as client:
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        return client.post("/stripe/events", data=json.dumps(body), headers=headers)


def test_a_notice_credits_what_was_read_again(city, hoa, acquirer):
    """Row 90."""
    payment = UUID(order_topup(hoa, 40_000).json()["payment"])
    paid = acquirer.pay(payment)
    notice = acquirer.tell(About.PAYMENT, paid.ref, id=payment, amount=40_000, currency="VND")
    before = city.available(hoa)
    assert [tell(city, {"id": notice.ref}).status_code for _ in range(3)] == [204, 204, 204]
    assert city.available(hoa) == before + 40_000


@pytest.mark.parametrize("signature", ["", "bad"])
def test_a_notice_that_is_not_genuine_has_no_effect(city, hoa, acquirer, signature):
    """Row 89."""
    payment = UUID(order_topup(hoa, 40_000).json()["payment"])
    acquirer.pay(payment)
    notice = acquirer.tell(About.PAYMENT, acquirer.of(payment).ref, id=payment)
    kept = city.count("cards.notice")
    answer = tell(city, {"id": notice.ref}, signature=signature)
    assert (answer.status_code, answer.json["code"]) == (400, "card_notice_not_genuine")
    assert city.count("cards.notice") == kept
    acquirer.told.clear()


def test_a_notice_of_a_megabyte_is_not_read(city):
    with city.service.test_client() as client:
        assert client.post("/stripe/events", data=b"x" * 1_000_000).status_code == 413


# -- the citizen's pages ------------------------------------------------------------------------------------------------


def test_a_card_is_linked_on_the_processors_page_and_removed_on_ours(city, visitor, acquirer, hoa):
    assert "Chưa có thẻ nào" in words_of(visitor.get("/the"))
    sent = visitor.post("/the/lien-ket", {})
    way = visitor.get(sent.headers["Location"])
    assert 'href="http://localhost:1/card"' in way.text
    linking = max(acquirer.linkings.values(), key=lambda one: one.id.int)
    acquirer.link(linking, last4="4444")
    from wallet.cards import linked

    linked.ask(till_of(city), linking.id, now=clock.now())
    assert "Thẻ đã được liên kết" in words_of(visitor.get(sent.headers["Location"]))
    page = visitor.get("/the")
    assert "Visa ···· 4444" in words_of(page)
    assert "Mặc định" in words_of(page)
    card = hoa.get("/v1/cards").json()["rows"][0]
    assert set(card) == {"id", "brand", "last4", "exp_month", "exp_year", "is_default"}
    assert "4444" in visitor.get("/nap-tien").text
    assert visitor.post(f"/the/{card['id']}/go", {}).status_code == 303
    assert hoa.get("/v1/cards").json()["rows"] == []


def test_somebody_elses_linking_and_card_are_not_there(city, visitor, acquirer):
    """Row 82."""
    other = Visitor(city).enter(city.citizen("Trần Văn Lạ"))
    way = other.post("/the/lien-ket", {}).headers["Location"]
    assert visitor.get(way).status_code == 404
    assert visitor.post(f"/the/{uuid4()}/go", {}).status_code == 404
    assert visitor.post(f"/the/{uuid4()}/mac-dinh", {}).status_code == 404


@pytest.mark.parametrize("typed", ["", "abc", "1", "100.000.001"])
def test_an_amount_that_no_card_can_pay_is_said_at_its_field(visitor, typed):
    reply = visitor.post("/nap-tien", {"amount": typed, "card": "moi"})
    assert reply.status_code == 422
    assert 'id="e-amount"' in reply.text


def test_a_topup_leads_to_a_sheet_whose_order_is_signed_once(visitor, hoa):
    sent = visitor.post("/nap-tien", {"amount": "200.000", "card": "moi"})
    place = sent.headers["Location"]
    sheet = visitor.get(place)
    order = parse_qs(urlsplit(place).query)["order"][0]
    assert f'"order": "{order}"' in sheet.text
    assert "Ký và nạp 200.000" in words_of(sheet)
    own = {"payee": hoa.account, "amount": "200000", "card": ""}
    content = hoa.order("card_topup", **own)
    body = json.loads(content) | {"id": order}
    from wallet import canonical

    assert hoa.send("POST", "/v1/topups", canonical.dumps(body)).status == 201
    assert visitor.get(place).headers["Location"] == f"/the/lenh/{order}"


def test_a_bill_offers_the_card_beside_the_wallet(city, visitor, hoa):
    bill = city.bill(debtor=hoa, amounts=[20_000])
    assert f"/thanh-toan-the?b={bill.id}" in visitor.get(f"/thanh-toan?b={bill.id}").text
    sheet = visitor.get(visitor.get(f"/thanh-toan-the?b={bill.id}").headers["Location"])
    assert "Kiểm tra rồi trả bằng thẻ" in words_of(sheet)
    assert '"path": "/v1/card-payments"' in sheet.text
    strangers = Visitor(city).enter(city.citizen("Trần Văn Lạ"))
    place = strangers.get(f"/thanh-toan-the?b={bill.id}").headers["Location"]
    assert strangers.get(place).status_code == 404
    assert visitor.get("/thanh-toan-the?cho=topup&b=1").headers["Location"] == "/"


STATES = {
    "requires_action": "Còn một bước: xác nhận trên trang thẻ",
    "in_doubt": "không bao giờ trừ thẻ lần nữa",
    "failed": "Thẻ không đủ tiền",
    "cancelled": "Lệnh đã huỷ",
    "succeeded": "Đã nạp 50.000",
}


@pytest.mark.parametrize("state", STATES)
def test_the_page_says_honestly_what_becomes_of_a_payment(city, visitor, hoa, acquirer, state):
    if state == "in_doubt":
        acquirer.faults.append("lost")
    order = order_topup(hoa).json()
    payment, till = UUID(order["payment"]), till_of(city)
    if state == "failed":
        acquirer.decline(payment, Failure.FUNDS)
    elif state == "succeeded":
        acquirer.pay(payment)
    if state in ("failed", "succeeded"):
        asking.inquire(till, payment, cause="inquiry", now=clock.now())
    elif state == "cancelled":
        asking.give_up(till, payment, now=clock.now())
    page = visitor.get(f"/the/lenh/{order['order']}")
    assert STATES[state] in words_of(page)
    assert f'data-state="{state}"' in page.text
    assert ("follow.js" in page.text) == (state in payments.OPEN)
    assert ("data-until" in page.text) == (state in ("requires_action", "in_doubt"))
    assert "Nạp tiền bằng thẻ" in words_of(visitor.get("/the"))


def test_a_lost_or_stolen_card_is_told_no_more_than_declined(city, visitor, hoa, acquirer):
    order = order_topup(hoa).json()
    acquirer.decline(UUID(order["payment"]), Failure.LOST_OR_STOLEN)
    asking.inquire(till_of(city), UUID(order["payment"]), cause="inquiry", now=clock.now())
    assert "Ngân hàng phát hành từ chối thẻ" in words_of(visitor.get(f"/the/lenh/{order['order']}"))


def test_the_history_names_a_topup_by_card(city, visitor, hoa, acquirer):
    payment = UUID(order_topup(hoa).json()["payment"])
    acquirer.pay(payment)
    asking.inquire(till_of(city), payment, cause="inquiry", now=clock.now())
    assert "Nạp tiền bằng thẻ" in words_of(visitor.get("/lich-su"))


# -- the rooms ----------------------------------------------------------------------------------------------------------


def test_an_operator_sees_what_is_in_doubt_and_asks_with_one_tap(city, hoa, acquirer):
    acquirer.faults.append("lost")
    payment = UUID(order_topup(hoa).json()["payment"])
    acquirer.pay(payment)
    room = Visitor(city).enter(city.operator())
    assert str(payment) in room.get("/van-hanh/the").text
    before, calls = city.available(hoa), acquirer.calls.count("begin_payment")
    assert room.post("/van-hanh/the/hoi", {"what": "payment", "id": str(payment)}).status_code == 303
    assert city.available(hoa) == before + 50_000
    assert acquirer.calls.count("begin_payment") == calls
    assert str(payment) not in room.get("/van-hanh/the").text


def test_an_operator_sees_why_something_is_in_quarantine_and_sets_it_aside(city, acquirer):
    notice = acquirer.tell(About.PAYMENT, "pi_nobodys", amount=1, currency="VND")
    assert tell(city, {"id": notice.ref}).status_code == 204
    room = Visitor(city).enter(city.operator())
    page = room.get("/van-hanh/the")
    assert "Không phải khoản nào của chúng ta" in words_of(page)
    assert "pi_nobodys" in page.text
    item = page.text.split('id="i-', 1)[1][:36]
    again = room.post("/van-hanh/the/hoi", {"what": "item", "id": item})
    assert again.status_code == 503
    assert room.post("/van-hanh/the/gac-lai", {"id": item}).status_code == 303
    assert "pi_nobodys" not in room.get("/van-hanh/the").text
    acquirer.told.clear()


def test_an_operator_gives_what_no_card_would_take_to_the_payers_wallet_once(city, visitor, hoa, acquirer):
    bill = city.bill(debtor=hoa, amounts=[20_000])
    said = {"purpose": "bill", "target": str(bill.id), "amount": "20000", "card": ""}
    orders = [hoa.act("/v1/card-payments", "card_payment", **said).json() for _ in range(2)]
    for order in orders:
        acquirer.pay(UUID(order["payment"]))
        asking.inquire(till_of(city), UUID(order["payment"]), cause="inquiry", now=clock.now())
    acquirer.faults.append("rejected")
    rounds.soon(till_of(city), now=clock.now())
    its_page = f"/the/lenh/{orders[1]['order']}"
    assert "Thẻ không nhận lại được tiền" in words_of(visitor.get(its_page))
    room, before = Visitor(city).enter(city.operator()), city.available(hoa)
    shown = room.get("/van-hanh/the")
    form = {name: value_of(shown, name, action="/van-hanh/the/vao-vi") for name in ("refund", "order_id")}
    assert [room.post("/van-hanh/the/vao-vi", form).status_code for _ in range(2)] == [303, 303]
    assert city.available(hoa) == before + 20_000
    assert "Không giữ khoản hoàn nào" in words_of(room.get("/van-hanh/the"))
    again = room.post("/van-hanh/the/vao-vi", form | {"order_id": str(ids.new())})
    assert again.status_code == 409
    assert "không còn chờ vào ví" in words_of(again)
    assert "Tiền đã vào ví" in words_of(visitor.get(its_page))
    assert "Tiền hoàn mà thẻ không nhận" in words_of(visitor.get("/lich-su"))
    assert room.post("/van-hanh/the/vao-vi", {"refund": form["refund"]}).status_code == 400
    assert visitor.post("/van-hanh/the/vao-vi", form).status_code == 403


def test_the_tie_out_is_shown_to_auditors_and_operators_and_nobody_else(city, hoa, visitor, acquirer):
    payment = UUID(order_topup(hoa).json()["payment"])
    acquirer.pay(payment)
    asking.inquire(till_of(city), payment, cause="inquiry", now=clock.now())
    rounds.soon(till_of(city), now=clock.now())
    rounds.later(till_of(city), now=clock.now())
    from wallet.identity.roles import Role

    auditor = Visitor(city).enter(city.person("Trần Thị Soát", Role.AUDITOR))
    operator = Visitor(city).enter(city.operator())
    for page in (auditor.get("/kiem-toan/doi-soat-the"), operator.get("/van-hanh/the/doi-soat")):
        assert page.status_code == 200
        assert 'id="unexplained">0' in page.text
        assert acquirer.lines[0].source in page.text
    assert visitor.get("/kiem-toan/doi-soat-the").status_code == 403


def test_the_audit_room_names_a_topup_by_card_as_the_cause_of_a_shortage(city, hoa, acquirer):
    """Until the processor pays out, there is a đồng in a wallet that the guarantee account does not hold yet."""
    payment = UUID(order_topup(hoa, 777_000).json()["payment"])
    acquirer.pay(payment)
    asking.inquire(till_of(city), payment, cause="inquiry", now=clock.now())
    from wallet.identity.roles import Role

    page = words_of(Visitor(city).enter(city.person("Trần Thị Soát", Role.AUDITOR)).get("/kiem-toan/bao-dam"))
    assert "Đang thiếu" in page
    assert "Nạp tiền bằng thẻ, đơn vị xử lý chưa chuyển về" in page
