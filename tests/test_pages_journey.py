"""The main journey on a phone, and everything that can go wrong on its way: lost replies, tabs, devices, clocks.

Rows    81 and 88 of the register of attacks: a key that cannot be taken out, a link that cannot pay.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests import pages
from tests.conftest import free_port
from tests.make import STATION, City, Signer
from tests.pages import CHECKING, House
from wallet import clock, lookup
from wallet.ids import HolderId

pytestmark = pytest.mark.browser

PAY = "**/v1/bill-payments"
ASK = "**/v1/orders/**"


@pytest.fixture(scope="module")
def running(template, postgres, worker, tmp_path_factory, browser) -> Iterator[House]:
    with pages.house(template, postgres, worker, tmp_path_factory.mktemp("journey"), browser) as made:
        yield made


@pytest.fixture
def house(running: House) -> Iterator[House]:
    yield running
    running.close()


def lose_the_reply(route: Route) -> None:
    """Let the request reach the service, and cut the line before the answer."""
    route.fetch()
    route.abort()


def lose_the_request(route: Route) -> None:
    route.abort("connectionreset")


def press(page: Page) -> None:
    page.locator("#pay-button").click()


def refusal_on(page: Page) -> list[str]:
    """Wait for the panel that says no, and return its three sentences."""
    expect(page.locator("#pay-refused")).to_be_visible()
    return [page.locator(f"#pay-refused-{part}").inner_text() for part in ("title", "safe", "next")]


# -- the journey ----------------------------------------------------------------------------------------------


def test_a_newcomer_opens_a_wallet_and_pays_two_agencies_though_the_reply_is_lost(house: House) -> None:
    lan = house.newcomer("Trần Thị Ngọc Lan")
    city = house.city
    ward = city.bill(debtor=lan, amounts=[20_000, 5_000])
    station = city.bill(debtor=lan, amounts=[110_000], agency=STATION)
    page = house.context().new_page()

    # Open a wallet by phone, code and PIN.
    page.goto("/")
    page.get_by_role("link", name="Mở ví").click()
    page.get_by_label("Số điện thoại").fill(lan.phone)
    page.get_by_role("button", name="Gửi mã").click()
    page.wait_for_url("**/mo-vi/ma")
    page.get_by_label("Mã 6 số").fill(house.code_for(lan.phone))
    page.get_by_role("button", name="Tiếp tục").click()
    page.wait_for_url("**/mo-vi/pin")
    assert page.get_by_label("Họ và tên").input_value() == "Trần Thị Ngọc Lan"
    page.get_by_label("Mã PIN 6 số").fill("284619")
    page.get_by_label("Nhập lại mã PIN").fill("284619")
    page.get_by_role("button", name="Mở ví").click()

    # The first device makes a key that never leaves it.
    page.wait_for_url("**/thiet-bi")
    page.get_by_role("button", name="Tạo khoá ký trên máy này").click()
    expect(page.get_by_text("Máy này ký được lệnh trả tiền.")).to_be_visible()
    assert page.evaluate(
        f"""async () => {{ {pages.OPEN_STORE} return (await all("keys")).map(({{ pair, state }}) => [
            state, pair.privateKey.extractable, pair.privateKey.algorithm.name, pair.privateKey.usages]); }}"""
    ) == [["active", False, "ECDSA", ["sign"]]]
    assert list(house.keys_of(lan).values()) == ["active"]

    # Money comes in; both bills are chosen at home and paid under one signature.
    [row] = house.ask("SELECT id FROM ledger.account WHERE holder = %s", UUID(lan.holder))
    lan.account = str(row.id)
    city.top_up(lan, 500_000)
    page.goto("/")
    expect(page.locator("#available")).to_have_text("500.000 ₫")
    for bill in (ward, station):
        page.locator(f'input[name="b"][value="{bill.id}"]').check()
    expect(page.locator("#choose-sum")).to_have_text("135.000 ₫")
    page.get_by_role("button", name="Trả các khoản đã chọn").click()
    pages.ready(page)
    expect(page.locator("#pay-remains")).to_have_text("365.000 ₫")
    page.route(PAY, lose_the_reply)
    page.route(ASK, lose_the_request)
    press(page)
    expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
    assert len(pages.pending(page)) == 1, "the order is kept until its outcome is known"

    # The line is back; a reload asks for the outcome and pays nothing again.
    page.unroute_all()
    sent = pages.sent_orders(page)
    page.reload()
    order = pages.confirmed(page)
    assert sent == []
    assert pages.pending(page) == []
    shown = page.locator("main").inner_text()
    assert "135.000\xa0₫" in shown
    assert "một trăm ba mươi lăm nghìn đồng" in shown.lower()
    page.reload()
    assert page.locator("main").inner_text() == shown

    # Paid once, each bill by one entry.
    assert house.payments_of(lan) == 2
    page.goto("/")
    expect(page.locator("#available")).to_have_text("365.000 ₫")
    expect(page.get_by_text("Quý vị không còn khoản nào phải nộp.")).to_be_visible()
    page.goto("/lich-su")
    expect(page.locator(f'a[href="/xac-nhan/{order}"]')).to_have_count(2)

    # The signed order can be had; sent again by the plain client it is answered with the stored bytes.
    page.goto(f"/xac-nhan/{order}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Tải lệnh đã ký").click()
    signed = download.value.path().read_bytes()
    city.enrol(lan)
    again = pages.machine_of(lan).send("POST", "/v1/bill-payments", signed)
    with city.engine.connect() as connection:
        kept = lookup.outcome(connection, signer=HolderId(UUID(lan.holder)), order=UUID(order))
    assert (again.status, again.body) == (201, kept.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert city.available(lan) == 365_000
    assert city.differences() == []


# -- the line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hoa(house: House) -> Signer:
    return house.city.citizen("Nguyễn Thị Hoa", available=100_000)


def test_a_request_that_never_arrived_is_sent_once_after_a_reload(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    page.route(PAY, lose_the_request)
    page.route(ASK, lose_the_request)
    press(page)
    expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
    [kept] = pages.pending(page)
    page.unroute_all()
    sent = pages.sent_orders(page)
    page.reload()
    assert pages.confirmed(page) == kept["id"]
    assert sent == ["POST /v1/bill-payments"]
    assert house.payments_of(hoa) == 1


def test_home_tells_the_outcome_of_an_order_that_was_left_behind(house: House, hoa: Signer) -> None:
    bill, other = house.city.bill(debtor=hoa), house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    page.route(PAY, lose_the_reply)
    page.route(ASK, lose_the_request)
    press(page)
    expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
    # The bill is paid already and gone from the list; a banner stands for it while nobody answers.
    page.goto("/")
    expect(page.locator("#pending")).to_contain_text(CHECKING)
    expect(page.locator(f'input[value="{other.id}"]')).to_be_enabled()
    page.reload()
    page.unroute_all()  # only now: a page that was asking already would have told it before the reload
    expect(page.locator("#pending")).to_contain_text("Đã trả xong 20.000 ₫.")
    page.get_by_role("link", name="Xem xác nhận thanh toán").click()
    pages.confirmed(page)
    assert house.payments_of(hoa) == 1


def test_a_bill_under_way_cannot_be_chosen_again(house: House, hoa: Signer) -> None:
    bill, other = house.city.bill(debtor=hoa), house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    page.route(PAY, lose_the_request)
    page.route(ASK, lose_the_request)
    press(page)
    expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
    page.goto("/")
    expect(page.locator(f'input[value="{bill.id}"]')).to_be_disabled()
    expect(page.locator(f'input[value="{other.id}"]')).to_be_enabled()
    page.goto(f"/khoan-nop/{bill.id}")
    expect(page.get_by_text("Khoản này đang được kiểm tra kết quả, xin đừng trả lại.")).to_be_visible()
    expect(page.locator("[data-pay]")).to_be_hidden()
    assert house.payments_of(hoa) == 0


def test_an_order_signed_without_a_network_is_paid_when_the_network_is_back(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    press(page)
    expect(page.locator("#pay-stage")).to_contain_text("Máy đang mất mạng.")
    assert house.payments_of(hoa) == 0
    page.context.set_offline(False)
    pages.confirmed(page)
    assert house.payments_of(hoa) == 1


def test_a_server_that_is_away_for_a_moment_changes_nothing(house: House, hoa: Signer) -> None:
    """A gateway's 502 and a busy service's 503 decide nothing: the page asks, and the order is paid once."""
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    faults = iter((502, 503))

    def away(route: Route) -> None:
        status = next(faults, None)
        if status:
            route.fulfill(status=status, content_type="text/html", body="<h1>Bad gateway</h1>")
        else:
            route.continue_()

    page.route(PAY, away)
    sent = pages.sent_orders(page)
    press(page)
    pages.confirmed(page)
    assert len(sent) == 3
    assert house.payments_of(hoa) == 1


def test_an_order_whose_time_passed_while_away_is_said_to_have_lapsed(
    database, browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, moved = free_port(), pages.MovedClock()
    monkeypatch.setattr(clock, "now", moved)
    with City(database, origin=f"http://localhost:{port}") as city, pages.house_here(city, browser, port) as here:
        hoa = city.citizen(available=100_000)
        bill = city.bill(debtor=hoa)
        page = here.enters(hoa, device=True, path=pages.sheet(bill))
        pages.ready(page)
        page.route(PAY, lose_the_request)
        page.route(ASK, lose_the_request)
        press(page)
        expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
        page.unroute_all()
        moved.ahead = timedelta(minutes=20)
        page.reload()
        assert refusal_on(page)[:2] == [
            "Lệnh đã quá thời hạn trước khi được thực hiện.",
            "Tiền của quý vị chưa bị trừ và lệnh này sẽ không bao giờ được thực hiện.",
        ]
        assert pages.pending(page) == []
        assert here.payments_of(hoa) == 0
        # The bill is still due, and a new order pays it. Back in the present: the database's clock has not moved along,
        # and takes no entry that has not happened yet.
        moved.ahead = timedelta()
        page.reload()
        pages.ready(page)
        press(page)
        pages.confirmed(page)
        assert here.payments_of(hoa) == 1


def test_a_session_that_ended_while_the_reply_was_lost_is_asked_for_again(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    page.route(PAY, lose_the_reply)
    page.context.clear_cookies(name="session")
    press(page)
    expect(page.locator("#pay-stage")).to_contain_text("Phiên đăng nhập đã hết.")
    expect(page.locator("#pay-sign-in")).to_be_visible()
    page.unroute_all()
    house.sign_in(page.context, hoa)
    page.goto("/")
    expect(page.locator("#pending")).to_contain_text("Đã trả xong 20.000 ₫.")
    assert house.payments_of(hoa) == 1


# -- tabs and links ---------------------------------------------------------------------------------------------


def test_two_tabs_that_press_pay_for_one_bill_pay_it_once(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    first = house.enters(hoa, device=True, path=pages.sheet(bill))
    second = first.context.new_page()
    second.goto(pages.sheet(bill))
    pages.ready(first)
    pages.ready(second)
    held: list[Route] = []
    first.route(PAY, lambda route: held.append(route))
    with first.expect_request(PAY):
        press(first)
    press(second)
    expect(second.locator("#pay-checking")).to_be_visible()
    held.pop().continue_()
    pages.confirmed(first)
    title, safe, _ = refusal_on(second)
    assert (title, safe) == ("Khoản này đã được nộp.", "Tiền của quý vị không bị trừ thêm lần nào.")
    assert house.payments_of(hoa) == 1


def test_a_link_that_leads_to_the_confirm_sheet_never_pays_by_itself(house: House, hoa: Signer) -> None:
    """Row 88: whatever the link says, a person presses the button."""
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True)
    sent = pages.sent_orders(page)
    for extra in ("", "&pay=1&auto=1&confirm=yes", "#pay-button"):
        page.goto(pages.sheet(bill) + extra)
        pages.ready(page)
        page.wait_for_load_state("networkidle")
    assert sent == []
    assert pages.pending(page) == []
    assert house.city.read_bill(bill).status == "due"


def test_back_from_the_confirmation_does_not_offer_to_pay_again(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True)
    page.locator(f'input[value="{bill.id}"]').check()
    page.get_by_role("button", name="Trả các khoản đã chọn").click()
    pages.ready(page)
    press(page)
    pages.confirmed(page)
    page.go_back()
    expect(page.locator("#pay-button")).to_have_count(0)
    page.goto(pages.sheet(bill))
    expect(page.locator("#problem")).to_contain_text("Khoản này đã được nộp.")
    expect(page.locator("#pay-button")).to_have_count(0)


# -- devices ------------------------------------------------------------------------------------------------------


def test_a_second_device_waits_until_the_first_approves_it_and_signs_no_more_once_revoked(
    house: House, hoa: Signer
) -> None:
    one, two = house.city.bill(debtor=hoa), house.city.bill(debtor=hoa)
    old = house.enters(hoa, device=True)
    new = house.enters(hoa, path="/thiet-bi")
    new.locator("#f-label").fill("Máy bàn ở nhà")
    new.locator("#enrol-button").click()
    expect(new.locator("#device-pending")).to_be_visible()
    code = new.locator("#device-check-code").inner_text()
    assert re.fullmatch(r"[0-9A-Z]{3}-[0-9A-Z]{3}", code)
    waiting = new.context.new_page()
    waiting.goto(pages.sheet(one))
    expect(waiting.locator("#pay-unable-title")).to_have_text("Máy này đang chờ quý vị duyệt")
    expect(waiting.locator("#pay-button")).to_be_hidden()
    waiting.close()

    old.goto("/thiet-bi")
    old.get_by_role("button", name="Duyệt Máy bàn ở nhà").click()
    expect(old.locator("#approve-dialog [data-code]")).to_have_text(code)
    expect(old.locator("#approve-dialog [data-device]")).to_have_text("Máy bàn ở nhà")
    old.get_by_role("button", name="Giống, duyệt").click()
    expect(old.locator("[data-key][data-state=active]")).to_have_count(3)  # both browsers, and the plain client's

    expect(new.locator("body")).to_have_attribute("data-device", "ready")
    pages.open_sheet(new, one)
    press(new)
    pages.confirmed(new)

    pages.open_sheet(new, two)
    old.get_by_role("button", name="Thu hồi Máy bàn ở nhà").click()
    old.locator("#revoke-dialog [data-yes]").click()
    expect(old.locator("[data-key][data-state=revoked]")).to_have_count(1)
    press(new)
    title, safe, following = refusal_on(new)
    assert title == "Khoá ký không còn dùng được, hoặc đang chờ duyệt."
    assert safe == "Tiền của quý vị chưa bị trừ."
    assert following
    assert house.payments_of(hoa) == 1
    assert sorted(house.keys_of(hoa).values()) == ["active", "revoked"]


def test_a_code_that_does_not_match_lets_no_device_in(house: House, hoa: Signer) -> None:
    old = house.enters(hoa, device=True)
    new = house.enters(hoa, path="/thiet-bi")
    new.locator("#enrol-button").click()
    expect(new.locator("#device-pending")).to_be_visible()
    old.goto("/thiet-bi")
    old.locator("[data-approve]").click()
    old.get_by_role("button", name="Không giống").click()
    expect(old.locator("#approve-dialog")).to_be_hidden()
    assert sorted(house.keys_of(hoa).values()) == ["active", "pending"]


def test_a_first_device_asks_the_phone_for_a_code_and_refuses_a_wrong_one(house: House, hoa: Signer) -> None:
    page = house.enters(hoa, path="/thiet-bi")
    page.get_by_role("button", name="Gửi mã tới điện thoại").click()
    page.wait_for_url("**/thiet-bi?ma=1")
    right = house.code_for(hoa.phone)
    page.get_by_label("Mã 6 số").fill("000000" if right != "000000" else "000001")
    page.locator("#enrol-button").click()
    expect(page.locator("#device-fault")).to_be_visible()
    assert house.keys_of(hoa) == {}
    page.get_by_label("Mã 6 số").fill(right)
    page.locator("#enrol-button").click()
    expect(page.locator("body")).to_have_attribute("data-device", "ready")
    assert list(house.keys_of(hoa).values()) == ["active"]


def test_a_device_whose_enrolment_lost_its_reply_is_enrolled_once(house: House, hoa: Signer) -> None:
    page = house.enters(hoa, path="/thiet-bi")
    page.get_by_role("button", name="Gửi mã tới điện thoại").click()
    page.wait_for_url("**/thiet-bi?ma=1")
    page.route("**/v1/keys", lose_the_reply, times=1)
    page.get_by_label("Mã 6 số").fill(house.code_for(hoa.phone))
    page.locator("#enrol-button").click()
    expect(page.locator("body")).to_have_attribute("data-device", "ready")
    assert list(house.keys_of(hoa).values()) == ["active"]


def test_a_shared_phone_signs_out_and_forgets_its_key(house: House, hoa: Signer) -> None:
    page = house.enters(hoa, device=True, path="/thiet-bi")
    [token] = [one["value"] for one in page.context.cookies() if one["name"] == "session"]
    page.get_by_role("button", name="Đăng xuất và quên khoá trên máy này").click()
    page.wait_for_url(f"{house.origin}/")
    expect(page.get_by_role("link", name="Mở ví")).to_be_visible()
    assert pages.stored(page, "keys") == []
    assert list(house.keys_of(hoa).values()) == ["revoked"]
    page.context.add_cookies([{"name": "session", "value": token, "url": house.origin}])
    page.goto("/lich-su")
    expect(page.locator("#f-pin")).to_be_visible()


def test_a_key_is_not_forgotten_while_an_outcome_is_unknown(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    page.route(PAY, lose_the_request)
    page.route(ASK, lose_the_request)
    press(page)
    expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
    page.goto("/thiet-bi")
    page.get_by_role("button", name="Đăng xuất và quên khoá trên máy này").click()
    expect(page.locator("#device-fault")).to_contain_text("Còn một lệnh trả tiền đang kiểm tra kết quả.")
    assert list(house.keys_of(hoa).values()) == ["active"]


# -- clocks ---------------------------------------------------------------------------------------------------------

WRONG_CLOCK = """(() => {
    const ahead = %d, Right = Date, began = performance.timeOrigin;
    globalThis.Date = class extends Right {
        constructor(...given) { given.length ? super(...given) : super(Right.now() + ahead); }
        static now() { return Right.now() + ahead; }
    };
    Object.defineProperty(performance, "timeOrigin", { value: began + ahead });
})()"""


def with_wrong_clock(context: BrowserContext, ahead_ms: int) -> Page:
    context.add_init_script(WRONG_CLOCK % ahead_ms)
    return context.new_page()


@pytest.mark.parametrize("ahead_ms", [3_600_000, -3_600_000], ids=["an hour ahead", "an hour behind"])
def test_a_phone_with_a_wrong_clock_pays_all_the_same(house: House, hoa: Signer, ahead_ms: int) -> None:
    bill = house.city.bill(debtor=hoa)
    context = house.context()
    house.sign_in(context, hoa)
    page = with_wrong_clock(context, ahead_ms)
    house.enrol(page, hoa)
    pages.open_sheet(page, bill)
    assert abs(page.evaluate("Date.now()") / 1000 - ahead_ms / 1000 - clock.now().timestamp()) < 60
    press(page)
    pages.confirmed(page)
    assert house.payments_of(hoa) == 1


# -- what is refused ------------------------------------------------------------------------------------------------


def test_a_bill_cancelled_meanwhile_is_refused_and_nothing_moves(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    officer = house.city.officer()
    cancelled = officer.act(f"/v1/bills/{bill.id}/cancel", "bill_cancel", bill=str(bill.id), reason="Lập nhầm hồ sơ")
    assert cancelled.status == 201, cancelled.body
    press(page)
    assert refusal_on(page) == [
        "Cơ quan đã huỷ khoản này.",
        "Tiền của quý vị chưa bị trừ.",
        "Quý vị không phải nộp khoản này nữa.",
    ]
    assert house.city.available(hoa) == 100_000
    page.goto(f"/khoan-nop/{bill.id}")
    expect(page.locator("main")).to_contain_text("Lập nhầm hồ sơ")
    expect(page.locator("[data-pay]")).to_have_count(0)


def test_a_bill_replaced_meanwhile_is_never_paid_at_the_old_price(house: House, hoa: Signer) -> None:
    old = house.city.bill(debtor=hoa, amounts=[20_000])
    page = house.enters(hoa, device=True, path=pages.sheet(old))
    pages.ready(page)
    new = house.city.bill(debtor=hoa, amounts=[30_000], supersedes=old.id)
    press(page)
    title, safe, _ = refusal_on(page)
    assert (title, safe) == ("Cơ quan đã thay khoản này bằng khoản khác.", "Tiền của quý vị chưa bị trừ.")
    page.goto(f"/khoan-nop/{old.id}")
    page.get_by_role("link", name="Xem khoản mới").click()
    page.wait_for_url(f"**/khoan-nop/{new.id}")
    assert house.city.available(hoa) == 100_000


def test_money_that_is_gone_meanwhile_is_refused_and_nothing_moves(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa, amounts=[90_000])
    page = house.enters(hoa, device=True, path=pages.sheet(bill))
    pages.ready(page)
    other = house.city.citizen("Lê Văn Bình")
    gone = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=other.account, amount="50000", memo="")
    assert gone.status == 201, gone.body
    press(page)
    title, safe, following = refusal_on(page)
    assert "không đủ" in title or "chưa đủ" in title
    assert safe == "Tiền của quý vị chưa bị trừ."
    assert following
    assert house.city.available(hoa) == 50_000
    page.goto(pages.sheet(bill))
    expect(page.locator("main")).to_contain_text("Số dư khả dụng chưa đủ.")
    expect(page.locator("main")).to_contain_text("40.000 ₫")
    expect(page.locator("#pay-button")).to_have_count(0)


def test_a_refused_order_has_a_page_that_says_so(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa, amounts=[900_000])
    refused = hoa.order("bill_payment", payer=hoa.account, bills=[bill.seen])
    reply = hoa.send("POST", "/v1/bill-payments", refused)
    assert reply.status == 402
    page = house.enters(hoa, path=f"/xac-nhan/{json.loads(refused)['id']}")
    expect(page.locator("h1")).to_have_text("Lệnh trả tiền không thực hiện được")
    expect(page.locator("main")).to_contain_text("Tiền của quý vị chưa bị trừ.")


# -- for another ----------------------------------------------------------------------------------------------------


def test_somebody_else_pays_by_code_and_four_digits_and_both_are_named(house: House, hoa: Signer) -> None:
    mother = house.newcomer("Phan Thị Hồng Nhung")
    bill = house.city.bill(debtor=mother, amounts=[45_000])
    page = house.enters(hoa, device=True, path="/nop-thay")
    wrong = f"{(int(mother.phone[-4:]) + 1) % 10_000:04d}"
    page.get_by_label("Mã khoản").fill(bill.code.lower().replace("-", " "))
    page.get_by_label("4 số cuối điện thoại").fill(wrong)
    page.get_by_role("button", name="Tìm khoản này").click()
    expect(page.locator("main")).to_contain_text("Không có khoản nào khớp với mã và 4 số cuối điện thoại này.")
    assert page.get_by_label("Mã khoản").input_value() == bill.code.lower().replace("-", " ")
    page.get_by_label("4 số cuối điện thoại").fill(mother.phone[-4:])
    page.get_by_role("button", name="Tìm khoản này").click()
    pages.ready(page)
    before = page.locator("main").inner_text()
    assert "P*** T** H*** Nhung" in before
    assert "Hồng" not in before
    press(page)
    pages.confirmed(page)
    shown = page.locator(".receipt").inner_text()
    assert "Nguyễn Thị Hoa" in shown
    assert "Phan Thị Hồng Nhung" in shown
    assert house.city.read_bill(bill).status == "paid"
    assert house.city.available(hoa) == 55_000


# -- where a page cannot sign ---------------------------------------------------------------------------------------


def test_an_address_that_is_not_the_services_own_says_which_one_signs(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    context = house.context()
    elsewhere = house.origin.replace("localhost", "127.0.0.1")
    house.sign_in(context, hoa, origin=elsewhere)
    page = context.new_page()
    page.goto(elsewhere + pages.sheet(bill))
    expect(page.locator("#pay-unable-title")).to_have_text("Quý vị đang mở bằng một địa chỉ khác")
    expect(page.locator("#pay-unable-next")).to_contain_text(house.origin)
    expect(page.locator("#pay-button")).to_be_hidden()
    page.goto(elsewhere + "/thiet-bi")
    expect(page.locator("#device-unable-next")).to_contain_text(house.origin)
    expect(page.locator("#enrol-button")).to_be_hidden()
    page.goto(elsewhere + "/")
    expect(page.locator("#device-call")).to_contain_text(house.origin)


CANNOT = {
    "an insecure connection": ("window", "isSecureContext", "false", "Trang này chưa ký được vì kết nối không an toàn"),
    "a browser without WebCrypto": ("Crypto.prototype", "subtle", "undefined", "Trình duyệt này quá cũ để ký"),
    "a browser that keeps nothing": ("window", "indexedDB", "undefined", "Trình duyệt không cho trang lưu khoá ký"),
}


@pytest.mark.parametrize("lacking", CANNOT)
def test_a_page_that_cannot_sign_says_why(house: House, hoa: Signer, lacking: str) -> None:
    owner, name, value, title = CANNOT[lacking]
    bill = house.city.bill(debtor=hoa)
    context = house.context()
    context.add_init_script(f"Object.defineProperty({owner}, '{name}', {{ get: () => {value} }})")
    house.sign_in(context, hoa)
    page = context.new_page()
    page.goto(pages.sheet(bill))
    expect(page.locator("#pay-unable-title")).to_have_text(title)
    expect(page.locator("#pay-unable-next")).not_to_be_empty()
    expect(page.locator("#pay-button")).to_be_hidden()
    page.goto("/thiet-bi")
    expect(page.locator("#device-unable-title")).to_have_text(title)


def test_a_browser_without_a_key_is_led_to_make_one_and_back(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, path=pages.sheet(bill))
    expect(page.locator("#pay-unable-title")).to_have_text("Máy này chưa có khoá ký")
    page.get_by_role("link", name="Tới mục Thiết bị").click()
    page.get_by_role("button", name="Gửi mã tới điện thoại").click()
    page.wait_for_url(re.compile("ma=1"))
    page.get_by_label("Mã 6 số").fill(house.code_for(hoa.phone))
    page.locator("#enrol-button").click()
    page.get_by_role("link", name="Tiếp tục trả tiền").click()
    page.wait_for_url(f"**{pages.sheet(bill)}")
    pages.ready(page)


def test_without_scripts_pages_that_sign_say_so_and_the_others_work(house: House, hoa: Signer) -> None:
    bill = house.city.bill(debtor=hoa)
    page = house.enters(hoa, java_script_enabled=False)
    page.locator(f'input[value="{bill.id}"]').check()
    page.get_by_role("button", name="Trả các khoản đã chọn").click()
    page.wait_for_url(f"**{pages.sheet(bill)}")
    said = page.locator("noscript .note-title")
    expect(said).to_have_text("Trang này cần JavaScript để ký.")
    expect(said).to_be_visible()
    expect(page.locator("#pay-button")).to_be_hidden()
    page.goto("/thiet-bi")
    expect(said).to_have_text("Trang này cần JavaScript để tạo khoá và ký.")
    expect(said).to_be_visible()
    expect(page.locator("#enrol-button")).to_be_hidden()
    page.goto("/lich-su")
    expect(page.locator("main")).to_contain_text("Nạp tiền")
    page.goto("/nop-thay")
    page.get_by_label("Mã khoản").fill(bill.code)
    page.get_by_label("4 số cuối điện thoại").fill(hoa.phone[-4:])
    page.get_by_role("button", name="Tìm khoản này").click()
    page.wait_for_url(re.compile("/thanh-toan"))
    page.goto("/thiet-bi")
    page.locator("noscript button").click()
    page.wait_for_url(f"{house.origin}/")
