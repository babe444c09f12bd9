"""The agency desk: a bill issued by form, found, cancelled, replaced, refunded; the day's takings, on page and as CSV."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import expect
from sqlalchemy.exc import DBAPIError
from werkzeug.test import TestResponse

from tests import pages
from tests.conftest import free_port
from tests.databases import TestDatabase
from tests.make import STATION, WARD, City, Seen, Signer
from tests.pages import Visitor, error_at, value_of, words_of
from wallet import clock, ids, refunds
from wallet.bills import find
from wallet.city import Procedure
from wallet.events import Event
from wallet.exports.tables import defused
from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Plan, Posting
from wallet.money import Dong
from wallet.refunds import LineBack, RefundOrder


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    """One application for this module: making it takes longer than most tests here."""
    with City(database) as made:
        yield made


@pytest.fixture
def officer(city: City) -> Visitor:
    return Visitor(city).enter(city.officer())


@pytest.fixture
def hoa(city: City) -> Signer:
    return city.citizen(available=5_000_000)


def two_lines(city: City) -> Procedure:
    """A procedure of the ward whose tariff has two fixed items."""
    today = clock.day_of(clock.now())
    return next(
        one for one in city.city.procedures_of(WARD) if len([item for item in one.items_on(today) if item.amount]) >= 2
    )


def filled(officer: Visitor, debtor: Signer, **changes: Any) -> dict[str, Any]:
    """The form as the page gives it, filled in for two lines; `changes` spoil it."""
    city = officer.city
    procedure = two_lines(city)
    items = [item for item in procedure.items_on(clock.day_of(clock.now())) if item.amount][:2]
    opened = officer.get(f"/quay/lap?procedure={procedure.code}")
    assert value_of(opened, "procedure") == procedure.code
    return {
        "order_id": value_of(opened, "order_id"),
        "procedure": procedure.code,
        "item_code[]": [item.code for item in items],
        "amount[]": [f"{item.amount:,}".replace(",", ".") for item in items],
        "debtor_name": debtor.name,
        "debtor_phone": debtor.phone,
        "dossier": f"000.00.32.H57-261121-{debtor.phone[-6:]}",
        "area": choices(opened, "area")[0],
        "due": (clock.day_of(clock.now()) + timedelta(days=10)).isoformat(),
        "expires": "",
    } | changes


def choices(reply: TestResponse, name: str) -> list[str]:
    """Return what a select of a page offers, first what a browser sends when nobody touches it."""
    offered = re.search(rf'(?s)<select [^>]*name="{name}".*?</select>', reply.text)
    assert offered, name
    return re.findall(r'<option value="([^"]*)"', offered.group(0))


def issued(reply: TestResponse) -> str:
    """Return the path of the bill that a form led to."""
    assert reply.status_code == 303, words_of(reply)
    assert reply.location.startswith("/quay/khoan/")
    return reply.location


# -- issuing -------------------------------------------------------------------------------------------------


def test_an_officer_issues_a_bill_of_two_lines_and_the_citizen_sees_it(
    city: City, officer: Visitor, hoa: Signer
) -> None:
    form = filled(officer, hoa)
    path = issued(officer.post("/quay/lap", form))
    shown = words_of(officer.get(path))
    procedure = two_lines(city)
    total = sum(item.amount or 0 for item in procedure.items if item.code in form["item_code[]"])
    assert f"{total:,}".replace(",", ".") + " ₫" in shown.replace("\xa0", " ")
    for item in procedure.items:
        assert (item.name in shown) is (item.code in form["item_code[]"])
        assert item.tieu_muc in shown
    assert city.city.agencies[WARD].chuong in shown
    home = words_of(Visitor(city).enter(hoa).get("/"))
    assert procedure.name in home
    assert form["dossier"] in home
    assert city.differences() == []


def test_a_ward_is_offered_its_own_area_and_an_agency_of_the_city_every_one(city: City, officer: Visitor) -> None:
    assert choices(officer.get("/quay/lap"), "area") == [city.city.agencies[WARD].area]
    whole = Visitor(city).enter(city.officer(STATION))
    assert city.city.agencies[STATION].area is None
    assert choices(whole.get("/quay/lap"), "area") == list(city.city.areas)


def test_the_same_form_twice_is_one_bill(officer: Visitor, hoa: Signer) -> None:
    form = filled(officer, hoa)
    assert issued(officer.post("/quay/lap", form)) == issued(officer.post("/quay/lap", form))
    assert bills_of(officer.city, hoa) == 1


def test_the_same_form_changed_and_sent_again_is_no_second_bill(officer: Visitor, hoa: Signer) -> None:
    """Going back, changing a line and sending the form once more does not slip through as the first."""
    form = filled(officer, hoa)
    issued(officer.post("/quay/lap", form))
    changed = officer.post("/quay/lap", form | {"dossier": "000.00.32.H57-261121-9999"})
    assert 400 <= changed.status_code < 500
    assert bills_of(officer.city, hoa) == 1


def bills_of(city: City, debtor: Signer) -> int:
    with city.engine.connect() as connection:
        return len(find.of_debtor(connection, debtor.holder, now=clock.now()))  # type: ignore[arg-type]


BAD: dict[str, tuple[dict[str, Any], str | None]] = {
    "no name": ({"debtor_name": ""}, "debtor_name"),
    "a name with a direction mark": ({"debtor_name": "Hoa\u202eThị"}, "debtor_name"),
    "a name that is too long": ({"debtor_name": "Hoa " * 40}, "debtor_name"),
    "no phone": ({"debtor_phone": ""}, "debtor_phone"),
    "a short phone": ({"debtor_phone": "09123"}, "debtor_phone"),
    "no dossier": ({"dossier": " "}, "dossier"),
    "a dossier that is too long": ({"dossier": "0" * 61}, "dossier"),
    "no due date": ({"due": ""}, "due"),
    "a due date that is none": ({"due": "2026-02-30"}, "due"),
    "a due date in the past": ({"due": "2020-01-01"}, "due"),
    "a last day before the due date": ({"due": "2099-02-01", "expires": "2099-01-01"}, "due"),
    "a last day that is none": ({"expires": "31/12/2099"}, "expires"),
    "an area that is none": ({"area": "99999"}, None),
    "a procedure of nobody": ({"procedure": "0.000000"}, "procedure"),
    "no procedure": ({"procedure": ""}, "procedure"),
    "no line": ({"item_code[]": [], "amount[]": []}, None),
    "an amount of letters": ({"amount[]": ["mười nghìn", ""]}, None),
    "a negative amount": ({"amount[]": ["-50000", ""]}, None),
    "an amount with decimals": ({"amount[]": ["50000,5", ""]}, None),
    "an amount off the tariff": ({"amount[]": ["50001", ""]}, None),
    "an item of another procedure": ({"item_code[]": ["KHONGCO"], "amount[]": ["1000"]}, None),
    "an amount beyond reason": ({"amount[]": ["9" * 19, ""]}, None),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_form_with_a_fault_says_what_is_wrong_and_keeps_what_was_typed(
    officer: Visitor, hoa: Signer, fault: str
) -> None:
    changes, field = BAD[fault]
    form = filled(officer, hoa, **changes)
    reply = officer.post("/quay/lap", form)
    assert 400 <= reply.status_code < 500, words_of(reply)
    if field is None:
        said = re.search(r'(?s)class="wrong">(.*?)</p>|id="problem">(.*?)</div>\s*</div>', reply.text)
        assert said, words_of(reply)
        assert re.search(r"\w{3}", re.sub(r"<[^>]+>", "", said.group(0)))
    else:
        assert error_at(reply, field)
    for name in ("debtor_name", "debtor_phone", "dossier", "due", "expires"):
        assert value_of(reply, name) == form[name], name
    if form["procedure"] == two_lines(officer.city).code:
        for code, amount in zip(form["item_code[]"], form["amount[]"], strict=True):
            if code != "KHONGCO":
                assert amount in reply.text, code
    assert value_of(reply, "order_id") != form["order_id"], "the refused order has its outcome; the next is another"
    assert bills_of(officer.city, hoa) == 0


def test_a_form_mended_after_a_refusal_is_issued(officer: Visitor, hoa: Signer) -> None:
    form = filled(officer, hoa, due="2020-01-01")
    refused = officer.post("/quay/lap", form)
    mended = form | {"order_id": value_of(refused, "order_id"), "due": "2099-01-31"}
    issued(officer.post("/quay/lap", mended))
    assert bills_of(officer.city, hoa) == 1


def test_a_phone_of_somebody_else_is_refused_because_the_bill_would_reach_them(officer: Visitor, hoa: Signer) -> None:
    reply = officer.post("/quay/lap", filled(officer, hoa, debtor_name="Trần Văn Khác"))
    assert reply.status_code == 409
    assert error_at(reply, "debtor_phone")
    assert hoa.name not in reply.text, "whose phone it is stays with them"
    issued(officer.post("/quay/lap", filled(officer, hoa, debtor_name=hoa.name.upper())))


def test_a_bill_of_zero_is_waived_and_never_due(officer: Visitor, hoa: Signer) -> None:
    city = officer.city
    procedure = next(
        one
        for one in city.city.procedures_of(WARD)
        if any(item.amount in (0, None) for item in one.items_on(clock.day_of(clock.now())))
    )
    item = next(item for item in procedure.items_on(clock.day_of(clock.now())) if item.amount in (0, None))
    form = filled(officer, hoa) | {"procedure": procedure.code, "item_code[]": [item.code], "amount[]": ["0"]}
    path = issued(officer.post("/quay/lap", form))
    assert "Miễn phí" in words_of(officer.get(path))
    visitor = Visitor(city).enter(hoa)
    home = words_of(visitor.get("/"))
    assert "Được miễn phí" in home
    assert "Quý vị không còn khoản nào phải nộp." in home
    bill = path.rsplit("/", 1)[1]
    assert "Khoản này được miễn phí." in words_of(visitor.get(f"/khoan-nop/{bill}"))
    assert "Khoản này được miễn phí." in words_of(visitor.get(f"/thanh-toan?b={bill}"))


# -- finding -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelled",
    [
        "000.00.32.H57-261121-{}",
        "000 00 32 h57 261121 {}",
        "0000032h57261121{}",
        "000.00.32.H57-261121",
        "h57-261121-{}",
    ],
)
def test_a_bill_is_found_by_its_dossier_however_it_is_typed(officer: Visitor, hoa: Signer, spelled: str) -> None:
    form = filled(officer, hoa)
    issued(officer.post("/quay/lap", form))
    found = officer.get(f"/quay?q={spelled.format(hoa.phone[-6:])}")
    assert form["dossier"] in words_of(found)


def test_a_bill_is_found_by_name_without_accents_and_by_its_own_code(city: City, officer: Visitor) -> None:
    someone = city.citizen("Đặng Thị Quỳnh Như")
    bill = city.bill(debtor=someone)
    for typed in ("dang quynh", "QUYNH NHU", "Đặng Thị Quỳnh", bill.code, bill.code.lower().replace("-", "")):
        assert (
            f"/quay/khoan/{bill.id}"
            in officer.client.get("/quay", query_string={"q": typed}, base_url=officer.origin).text
        ), typed


@pytest.mark.parametrize("typed", ["", "   ", "%", "_", "'", "\\", "\x00", "đ" * 300, "<script>nonsense(77)</script>"])
def test_a_search_for_nonsense_finds_nothing_and_breaks_nothing(officer: Visitor, hoa: Signer, typed: str) -> None:
    issued(officer.post("/quay/lap", filled(officer, hoa)))
    reply = officer.client.get("/quay", query_string={"q": typed}, base_url=officer.origin)
    assert reply.status_code == 200
    assert "/quay/khoan/" not in reply.text
    assert "<script>nonsense" not in reply.text


def test_what_the_page_asks_for_while_one_types_is_the_table_alone(officer: Visitor, hoa: Signer) -> None:
    form = filled(officer, hoa)
    issued(officer.post("/quay/lap", form))
    part = officer.get(f"/quay?q={form['dossier']}", **{"HX-Request": "true"})
    assert form["dossier"] in part.text
    assert "<html" not in part.text


# -- cancelling and replacing ----------------------------------------------------------------------------------


def cancel(officer: Visitor, path: str, reason: str) -> TestResponse:
    order = value_of(officer.get(path), "order_id")
    return officer.post(f"{path}/huy", {"order_id": order, "reason": reason})


def test_a_bill_is_cancelled_with_a_reason_and_only_once(officer: Visitor, hoa: Signer) -> None:
    path = issued(officer.post("/quay/lap", filled(officer, hoa)))
    order = value_of(officer.get(path), "order_id")
    twice = [officer.post(f"{path}/huy", {"order_id": order, "reason": "Lập nhầm hồ sơ"}) for _ in range(2)]
    assert [reply.status_code for reply in twice] == [303, 303], "the same form sent twice is one cancellation"
    shown = words_of(officer.get(path))
    assert "Đã huỷ" in shown
    assert "Lập nhầm hồ sơ" in shown
    assert "Huỷ khoản này" not in shown
    other = officer.post(f"{path}/huy", {"order_id": str(ids.new()), "reason": "Lần nữa"})
    assert other.status_code == 409
    assert "Cơ quan đã huỷ khoản này." in words_of(other)
    assert "Lần nữa" not in words_of(officer.get(path))
    bill = path.rsplit("/", 1)[1]
    assert "Lập nhầm hồ sơ" in words_of(Visitor(officer.city).enter(hoa).get(f"/khoan-nop/{bill}"))


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301, "Lý do\u202e"])
def test_a_bill_is_not_cancelled_without_a_reason_that_can_be_read(officer: Visitor, hoa: Signer, reason: str) -> None:
    path = issued(officer.post("/quay/lap", filled(officer, hoa)))
    refused = cancel(officer, path, reason)
    assert refused.status_code == 422
    assert error_at(refused, "reason")
    assert "<details" in refused.text
    assert re.search(r'<details class="more"[^>]* open', refused.text), "the form with the fault is open"
    assert "Đã huỷ" not in words_of(officer.get(path))


def test_a_paid_bill_cannot_be_cancelled(city: City, officer: Visitor, hoa: Signer) -> None:
    bill = city.bill(debtor=hoa)
    assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
    path = f"/quay/khoan/{bill.id}"
    assert "Huỷ khoản" not in words_of(officer.get(path))
    refused = officer.post(f"{path}/huy", {"order_id": str(ids.new()), "reason": "Nhầm"})
    assert refused.status_code == 409
    assert "Khoản này đã được nộp." in words_of(refused)


def test_a_bill_is_replaced_by_another_that_is_its_second_version(officer: Visitor, hoa: Signer) -> None:
    old = issued(officer.post("/quay/lap", filled(officer, hoa)))
    bill = old.rsplit("/", 1)[1]
    opened = officer.get(f"/quay/lap?supersedes={bill}")
    assert value_of(opened, "debtor_name") == hoa.name
    assert value_of(opened, "supersedes") == bill
    form = filled(officer, hoa, supersedes=bill, order_id=value_of(opened, "order_id"))
    new = issued(officer.post("/quay/lap", form))
    assert "Đã thay bằng khoản khác" in words_of(officer.get(old))
    assert "Bản 2" in words_of(officer.get(new))
    visitor = Visitor(officer.city).enter(hoa)
    assert new.rsplit("/", 1)[1] in visitor.get(f"/khoan-nop/{bill}").text
    again = officer.post("/quay/lap", filled(officer, hoa, supersedes=bill))
    assert again.status_code == 409
    assert bills_of(officer.city, hoa) == 2


def test_the_replacement_form_brings_the_debtors_phone_along(officer: Visitor, hoa: Signer) -> None:
    """A replacement must be of the same debtor: typing the number again invites the one mistake that is refused."""
    bill = issued(officer.post("/quay/lap", filled(officer, hoa))).rsplit("/", 1)[1]
    assert value_of(officer.get(f"/quay/lap?supersedes={bill}"), "debtor_phone") == hoa.phone


def test_another_agencys_bill_does_not_exist_at_this_desk(city: City, officer: Visitor, hoa: Signer) -> None:
    bill = city.bill(debtor=hoa, agency=STATION)
    path = f"/quay/khoan/{bill.id}"
    assert officer.get(path).status_code == 404
    form = {"order_id": str(ids.new()), "reason": "Không phải của tôi"}
    assert officer.post(f"{path}/huy", form).status_code == 404
    assert officer.get(f"/quay/lap?supersedes={bill.id}").status_code == 404
    assert officer.post("/quay/lap", filled(officer, hoa, supersedes=str(bill.id))).status_code in (404, 409)
    assert "/quay/khoan/" not in officer.get(f"/quay?q={bill.code}").text
    for nonsense in ("nope", "00000000-0000-4000-8000-000000000009", "%00"):
        assert officer.get(f"/quay/khoan/{nonsense}").status_code == 404
    assert city.read_bill(bill).status == "due"


# -- refunds ------------------------------------------------------------------------------------------------------


def paid_bill(city: City, hoa: Signer, amounts: list[int], *, agency: str = WARD) -> tuple[Seen, str]:
    """Return a bill that was paid, and the entry that paid it."""
    bill = city.bill(debtor=hoa, amounts=amounts, agency=agency)
    done = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
    assert done.status == 201, done.body
    return bill, done.json()["bills"][0]["entry"]


def give_back(officer: Visitor, bill: Seen, amounts: dict[int, str], reason: str = "Thu trùng", **more: Any) -> Any:
    path = f"/quay/khoan/{bill.id}"
    form = {f"amount-{line}": amount for line, amount in amounts.items()} | {"reason": reason}
    order = value_of(officer.get(path), "order_id", action=f"{path}/hoan")
    return officer.post(f"{path}/hoan", {"order_id": order} | form | more)


def plain(reply: TestResponse) -> str:
    return words_of(reply).replace("\xa0", " ")


def test_an_officer_refunds_a_part_of_a_line_and_everybody_concerned_sees_it(
    city: City, officer: Visitor, hoa: Signer
) -> None:
    had = city.available(hoa)
    bill, _ = paid_bill(city, hoa, [20_000, 5_000])
    path = f"/quay/khoan/{bill.id}"
    assert "Đã trả 20.000 ₫, còn hoàn được 20.000 ₫" in plain(officer.get(path))
    done = give_back(officer, bill, {1: "12.000", 2: ""}, reason="Miễn giảm theo hộ nghèo")
    assert (done.status_code, done.location) == (303, f"{path}#hoan"), words_of(done)
    assert city.available(hoa) == had - 13_000
    today = clock.day_of(clock.now())
    shown = plain(officer.get(path))
    assert f"Đã hoàn ngày {today:%d/%m/%Y} 12.000 ₫" in shown
    assert "Đã trả 20.000 ₫, còn hoàn được 8.000 ₫" in shown
    assert "Cơ quan hoàn 12.000 ₫: Miễn giảm theo hộ nghèo" in shown
    mine = Visitor(city).enter(hoa)
    order = city.read_bill(bill).order
    for page in (f"/khoan-nop/{bill.id}", f"/xac-nhan/{order}"):
        assert f"Đã hoàn ngày {today:%d/%m/%Y} 12.000 ₫" in plain(mine.get(page)), page
    history = mine.get("/lich-su")
    agency = city.city.agencies[WARD].name
    assert f"Được hoàn tiền từ {agency}" in plain(history)
    assert "+12.000 ₫" in plain(history)
    assert history.text.count(f'href="/xac-nhan/{order}"') == 2, "payment and refund lead to the same confirmation"
    assert city.differences() == []


def test_the_same_refund_form_twice_gives_back_once(city: City, officer: Visitor, hoa: Signer) -> None:
    bill, _ = paid_bill(city, hoa, [20_000])
    path, before = f"/quay/khoan/{bill.id}", city.available(hoa)
    order = value_of(officer.get(path), "order_id", action=f"{path}/hoan")
    form = {"order_id": order, "amount-1": "7000", "reason": "Thu trùng"}
    assert [officer.post(f"{path}/hoan", form).status_code for _ in range(3)] == [303, 303, 303]
    assert city.available(hoa) == before + 7_000
    assert officer.post(f"{path}/hoan", form | {"amount-1": "9000"}).status_code == 422, "another order, the same id"
    assert city.available(hoa) == before + 7_000


def test_no_more_is_given_back_than_was_paid_however_often_it_is_asked(
    city: City, officer: Visitor, hoa: Signer
) -> None:
    """Row 43: a refund of what was given back already."""
    bill, _ = paid_bill(city, hoa, [20_000, 5_000])
    path, before = f"/quay/khoan/{bill.id}", city.available(hoa)
    late = value_of(officer.get(path), "order_id", action=f"{path}/hoan")  # a form that was open all the while
    too_much = give_back(officer, bill, {1: "20001"})
    assert (too_much.status_code, city.available(hoa)) == (422, before)
    assert "Dòng này chỉ còn hoàn được 20.000 ₫." in error_at(too_much, "amount-1").replace("\xa0", " ")
    assert value_of(too_much, "amount-1") == "20001"
    assert give_back(officer, bill, {1: "15000"}).status_code == 303
    second = give_back(officer, bill, {1: "15000", 2: "5000"})
    assert (second.status_code, city.available(hoa)) == (422, before + 15_000), "one line too much refuses the whole"
    assert "chỉ còn hoàn được 5.000 ₫" in error_at(second, "amount-1").replace("\xa0", " ")
    assert give_back(officer, bill, {1: "5000", 2: "5000"}).status_code == 303
    whole = officer.get(path)
    assert f"{path}/hoan" not in whole.text, "nothing remains, so nothing is offered"
    refused = officer.post(f"{path}/hoan", {"order_id": late, "amount-1": "1", "reason": "Thêm lần nữa"})
    assert (refused.status_code, city.available(hoa)) == (422, before + 25_000)
    assert city.differences() == []


@pytest.mark.parametrize(
    ("amounts", "reason", "field"),
    [
        ({1: ""}, "Thu trùng", "refund"),
        ({1: "0"}, "Thu trùng", "amount-1"),
        ({1: "-5"}, "Thu trùng", "amount-1"),
        ({1: "", 2: "năm nghìn"}, "Thu trùng", "amount-2"),
        ({1: "10,5"}, "Thu trùng", "amount-1"),
        ({1: "1000"}, " ", "reason"),
        ({1: "1000"}, "x" * 201, "reason"),
        ({1: "1000"}, "Lý do\u202e", "reason"),
        ({9: "1000"}, "Một dòng không có", "refund"),
    ],
)
def test_a_refund_with_a_fault_says_which_and_keeps_what_was_typed(
    city: City, officer: Visitor, hoa: Signer, amounts: dict[int, str], reason: str, field: str
) -> None:
    bill, _ = paid_bill(city, hoa, [20_000, 5_000])
    before = city.available(hoa)
    refused = give_back(officer, bill, amounts, reason)
    assert refused.status_code == 422
    if field == "refund":
        assert "Xin nhập số tiền hoàn của ít nhất một dòng." in words_of(refused)
    else:
        assert error_at(refused, field)
    assert re.search(r'<details class="more"[^>]* open', refused.text), "the form with the fault is open"
    for line in (1, 2):
        assert value_of(refused, f"amount-{line}") == amounts.get(line, "")
    assert city.available(hoa) == before


def test_an_officer_refunds_nothing_of_another_agencys(city: City, officer: Visitor, hoa: Signer) -> None:
    """Row 85: neither by the other's page, nor with its entry in a plan of their own."""
    bill, entry = paid_bill(city, hoa, [110_000], agency=STATION)
    before = city.available(hoa)
    path = f"/quay/khoan/{bill.id}"
    form = {"order_id": str(ids.new()), "amount-1": "110000", "reason": "Không phải của tôi"}
    assert officer.get(path).status_code == 404
    assert officer.post(f"{path}/hoan", form).status_code == 404
    ward = HolderId(UUID(city.officer(WARD).holder))
    asked = RefundOrder(
        id=OrderId(ids.new()),
        entry=EntryId(UUID(entry)),
        lines=(LineBack(line=1, amount=Dong(110_000)),),
        reason="Không phải của tôi",
    )
    with pytest.raises(refunds.EntryNotFound):
        city.officer_order(ward, "refund", lambda unit, claim: refunds.refund(unit, claim, asked, now=clock.now()))

    def around_the_verb(unit: Any, _claim: Claim) -> Plan:
        line = refunds.lines_of(unit, asked.entry)[0]
        back = Posting(debit=line.credit, credit=line.debit, amount=Dong(110_000), of_line=1)
        made = Entry(
            id=EntryId(ids.new()),
            kind="refund",
            effective_at=clock.now(),
            postings=(back,),
            refunds=asked.entry,
        )
        told = Event(type="entry.refunded", subject=asked.entry, entry=made.id)
        return Plan(entries=(made,), events=(told,), answer={})

    with pytest.raises(DBAPIError, match="no flow lets"):
        city.officer_order(ward, "refund", around_the_verb)
    station = Visitor(city).enter(city.officer(STATION))
    assert city.available(hoa) == before
    assert give_back(station, bill, {1: "110000"}).status_code == 303
    assert city.available(hoa) == before + 110_000


def test_a_bill_that_is_not_paid_has_nothing_to_refund(city: City, officer: Visitor, hoa: Signer) -> None:
    bill = city.bill(debtor=hoa)
    path = f"/quay/khoan/{bill.id}"
    assert f"{path}/hoan" not in officer.get(path).text
    form = {"order_id": str(ids.new()), "amount-1": "1000", "reason": "Chưa nộp"}
    assert officer.post(f"{path}/hoan", form).status_code == 404


def test_a_wallet_that_is_frozen_is_not_refunded_and_the_officer_is_told_why(
    city: City, officer: Visitor, hoa: Signer
) -> None:
    bill, _ = paid_bill(city, hoa, [20_000])
    assert hoa.act(f"/v1/accounts/{hoa.account}/freeze", "account_freeze", account=hoa.account).status == 200
    refused = give_back(officer, bill, {1: "20000"})
    assert (refused.status_code, "Ví của người nhận đang tạm khoá." in words_of(refused)) == (409, True)
    assert value_of(refused, "amount-1") == "20000"


def test_a_reversal_by_the_agencys_machine_leaves_nothing_to_refund_at_the_desk(
    city: City, officer: Visitor, hoa: Signer
) -> None:
    bill, entry = paid_bill(city, hoa, [20_000])
    machine = city.machine(WARD)
    done = machine.act("/v1/reversals", "reverse", entry=entry, reason="Thu nhầm cả khoản")
    assert done.status == 201, done.body
    path = f"/quay/khoan/{bill.id}"
    shown = officer.get(path)
    assert "Cơ quan hoàn 20.000 ₫: Thu nhầm cả khoản" in plain(shown)
    assert f"{path}/hoan" not in shown.text


# -- takings -----------------------------------------------------------------------------------------------------


def test_the_days_takings_are_shown_by_budget_line_and_given_as_csv(database: Any) -> None:
    with City(database) as city:
        hoa = city.citizen(available=1_000_000)
        officer = Visitor(city).enter(city.officer())
        station = Visitor(city).enter(city.officer(STATION))
        before = rows_of(officer)
        bill = city.bill(debtor=hoa, amounts=[20_000, 5_000])
        other = city.bill(debtor=hoa, amounts=[110_000], agency=STATION)
        paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen, other.seen])
        assert paid.status == 201, paid.body
        line = city.read_bill(bill).lines[0]
        key = (line.chuong, line.tieu_muc, line.dia_ban)
        assert rows_of(officer)[key] - before.get(key, 0) == 25_000
        page = words_of(officer.get("/quay/hom-nay")).replace("\xa0", " ")
        assert line.tieu_muc in page
        total = sum(rows_of(officer).values())
        assert f"{total:,}".replace(",", ".") + " ₫" in page
        assert 110_000 not in rows_of(officer).values() or key not in rows_of(station)
        home = words_of(officer.get("/quay")).replace("\xa0", " ")
        net = sum(int(row["con_lai"]) for row in table_of(officer))
        assert f"{net:,}".replace(",", ".") + " ₫" in home


def rows_of(officer: Visitor) -> dict[tuple[str, str, str], int]:
    """Return what came in under each budget line."""
    return {(row["chuong"], row["tieu_muc"], row["dia_ban"]): int(row["so_tien"]) for row in table_of(officer)}


def table_of(officer: Visitor) -> list[dict[str, str]]:
    """Read the CSV as a spreadsheet does."""
    reply = officer.get("/quay/hom-nay.csv")
    assert reply.content_type == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"].startswith("attachment")
    assert reply.text.startswith("\ufeff"), "else Excel takes Vietnamese for something else"
    return list(csv.DictReader(io.StringIO(reply.text.removeprefix("\ufeff"))))


def test_refunds_stand_beside_the_days_takings_and_never_in_them(fresh_database: Any) -> None:
    with City(fresh_database) as city:
        hoa = city.citizen(available=1_000_000)
        officer = Visitor(city).enter(city.officer())
        bill, _ = paid_bill(city, hoa, [20_000, 5_000])
        assert give_back(officer, bill, {1: "12000"}).status_code == 303
        assert give_back(officer, bill, {2: "1000"}).status_code == 303
        rows = table_of(officer)
        sums = {
            name: sum(int(row[name]) for row in rows) for name in ("so_khoan", "so_tien", "so_tien_hoan", "con_lai")
        }
        assert sums == {"so_khoan": 1, "so_tien": 25_000, "so_tien_hoan": 13_000, "con_lai": 12_000}
        page = plain(officer.get("/quay/hom-nay"))
        for sum_ in ("25.000 ₫", "13.000 ₫", "12.000 ₫"):
            assert sum_ in page
        home = plain(officer.get("/quay"))
        assert "12.000 ₫ 1 khoản đã nộp đã trừ 13.000 ₫ hoàn lại" in home


def test_a_day_without_takings_says_so_and_a_day_that_is_none_is_refused(officer: Visitor) -> None:
    assert "Ngày này chưa thu khoản nào." in words_of(officer.get("/quay/hom-nay?ngay=2020-01-02"))
    for nonsense in ("hôm qua", "2026-13-01", "20261121", "9999-99-99", "-1"):
        for path in ("/quay/hom-nay", "/quay/hom-nay.csv"):
            assert officer.get(f"{path}?ngay={nonsense}").status_code == 400, nonsense


@pytest.mark.parametrize(
    "text", ["=1+1", "+84", "-5", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://evil.example")']
)
def test_a_cell_that_would_be_a_formula_is_text(text: str) -> None:
    assert defused(text) == "'" + text
    assert defused(f"Phường {text}") == f"Phường {text}"
    assert defused("") == ""


# -- in a browser ------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_choosing_a_procedure_fills_in_its_lines_and_typing_finds_the_bill(database: Any, browser: Any) -> None:
    port = free_port()
    with City(database, origin=f"http://localhost:{port}") as city, pages.house_here(city, browser, port) as house:
        hoa, procedure = city.citizen(), two_lines(city)
        page = house.enters(city.officer(), path="/quay/lap", shape=pages.DESK)
        page.get_by_label("Thủ tục").select_option(procedure.code)
        expect(page.locator('#lines input[name="amount[]"]')).to_have_count(len(procedure.items))
        page.get_by_label("Họ và tên").fill(hoa.name)
        page.get_by_label("Số điện thoại").fill(hoa.phone)
        page.get_by_label("Mã hồ sơ").fill("000.00.32.H57-261121-Đ777")
        page.get_by_label("Hạn nộp").fill("2099-01-31")
        page.get_by_role("button", name="Lập khoản", exact=True).click()
        page.wait_for_url(re.compile("/quay/khoan/"))
        expect(page.locator("h1")).to_have_text(procedure.name)
        address = page.url
        page.goto("/quay")
        page.locator("#q").press_sequentially("h57 261121 d777")
        page.locator("#found").get_by_role("link").click()
        page.wait_for_url(address)
