"""One citizen sends money to another on a phone: by code, with the reply lost, in two tabs, on the way back, on paper.

Row     88 of the register of attacks: a link that cannot pay.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests import pages
from tests.make import Signer
from tests.pages import House

pytestmark = pytest.mark.browser

SEND = "**/v1/transfers"
ASK = "**/v1/orders/**"
CHECKING = "Đang kiểm tra kết quả, xin đừng chuyển lại"


@pytest.fixture(scope="module")
def running(template, postgres, worker, tmp_path_factory, browser) -> Iterator[House]:
    with pages.house(template, postgres, worker, tmp_path_factory.mktemp("transfer"), browser) as made:
        yield made


@pytest.fixture
def house(running: House) -> Iterator[House]:
    yield running
    running.close()


@pytest.fixture
def hoa(house: House) -> Signer:
    return house.city.citizen("Nguyễn Thị Hoa", available=100_000)


@pytest.fixture
def minh(house: House) -> Signer:
    return house.city.citizen("Trần Quang Minh")


def lose_the_reply(route: Route) -> None:
    """Let the request reach the service, and cut the line before the answer."""
    route.fetch()
    route.abort()


def lose_the_request(route: Route) -> None:
    route.abort("connectionreset")


def fill(page: Page, to: str, amount: str, memo: str = "") -> None:
    """Fill the form and go on to the sheet."""
    page.goto("/chuyen-tien")
    page.get_by_label("Số điện thoại hoặc mã nhận tiền").fill(to)
    page.get_by_label("Số tiền").fill(amount)
    page.get_by_label("Lời nhắn (không bắt buộc)").fill(memo)
    page.get_by_role("button", name="Tiếp tục").click()


def open_sheet(page: Page, to: str, amount: str, memo: str = "") -> str:
    """Fill the form, wait until the sheet can sign, and return its order's id."""
    fill(page, to, amount, memo)
    page.wait_for_url("**/chuyen-tien/xac-nhan?**")
    pages.ready(page)
    found = re.search(r"order=([0-9a-f-]{36})", page.url)
    assert found
    return found[1]


def press(page: Page) -> None:
    page.locator("#pay-button").click()


def confirmed(page: Page) -> str:
    page.wait_for_url(re.compile("/xac-nhan/"))
    expect(page.locator("h1")).to_have_text("Xác nhận chuyển tiền")
    return urlsplit(page.url).path.rsplit("/", 1)[1]


def settled(page: Page) -> None:
    """Wait until this browser knows what came of everything it sent."""
    for _ in range(pages.WAIT_MS // 100):
        if not pages.pending(page):
            return
        page.wait_for_timeout(100)
    raise AssertionError("an order is still waiting for its outcome")


# -- the journey --------------------------------------------------------------------------------------------------


def test_one_shows_a_code_and_the_other_pays_it_though_the_reply_is_lost(
    house: House, hoa: Signer, minh: Signer
) -> None:
    # Minh makes a code and shows it.
    payee = house.enters(minh)
    payee.get_by_role("link", name="Nhận tiền").click()
    payee.get_by_role("button", name="Tạo mã nhận tiền").click()
    code = payee.locator("#code").inner_text()
    assert re.fullmatch(r"\d{3} \d{3} \d{3}", code)

    # Hoa types it as she reads it.
    payer = house.enters(hoa, device=True)
    payer.get_by_role("link", name="Chuyển tiền").click()
    order = open_sheet(payer, code, "1.250", "Tiền cơm trưa")
    expect(payer.locator("#payee-name")).to_have_text("T*** Q**** Minh")
    expect(payer.locator("#pay-total")).to_have_text("1.250\u00a0₫")
    expect(payer.locator("#pay-remains")).to_have_text("98.750\u00a0₫")
    expect(payer.locator("#memo")).to_have_text("Tiền cơm trưa")

    payer.route(SEND, lose_the_reply)
    payer.route(ASK, lose_the_request)
    press(payer)
    expect(payer.locator("#pay-checking-title")).to_have_text(CHECKING)
    assert [kept["id"] for kept in pages.pending(payer)] == [order]

    # The line is back; a reload shows what came of it and sends nothing again.
    payer.unroute_all()
    sent = pages.sent_orders(payer)
    payer.reload()
    assert confirmed(payer) == order
    shown = payer.locator("main").inner_text()
    for said in ("1.250\u00a0₫", "Một nghìn hai trăm năm mươi đồng", "T*** Q**** Minh", "Tiền cơm trưa"):
        assert said in shown
    settled(payer)
    expect(payer.locator("#pending")).to_be_hidden()
    assert sent == []
    assert house.payments_of(hoa) == 1
    assert (house.city.available(hoa), house.city.available(minh)) == (98_750, 1_250)

    # Both read what it was for.
    payer.goto("/lich-su")
    expect(payer.locator(f'a[href="/xac-nhan/{order}"]')).to_contain_text("Chuyển tiền tới T*** Q**** Minh")
    payee.goto("/lich-su")
    expect(payee.locator(".rows")).to_contain_text("Nhận tiền từ N***** T** Hoa")
    expect(payee.locator(".rows")).to_contain_text("Tiền cơm trưa")
    expect(payee.locator(".rows")).to_contain_text("+1.250\u00a0₫")
    payer.goto("/chuyen-tien")
    payer.get_by_role("link", name="T*** Q**** Minh").click()
    expect(payer.locator(".chosen")).to_contain_text("T*** Q**** Minh")
    assert house.city.differences() == []


def test_a_transfer_that_never_arrived_is_sent_once_after_a_reload(house: House, hoa: Signer, minh: Signer) -> None:
    page = house.enters(hoa, device=True)
    order = open_sheet(page, minh.phone, "20.000")
    page.route(SEND, lose_the_request)
    page.route(ASK, lose_the_request)
    press(page)
    expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
    page.unroute_all()
    sent = pages.sent_orders(page)
    page.reload()
    assert confirmed(page) == order
    assert sent == ["POST /v1/transfers"]
    assert house.payments_of(hoa) == 1


def test_home_tells_the_outcome_of_a_transfer_that_was_left_behind(house: House, hoa: Signer, minh: Signer) -> None:
    page = house.enters(hoa, device=True)
    open_sheet(page, minh.phone, "20.000")
    page.route(SEND, lose_the_reply)
    page.route(ASK, lose_the_request)
    press(page)
    expect(page.locator("#pay-checking-title")).to_have_text(CHECKING)
    page.goto("/")
    expect(page.locator("#pending")).to_contain_text(CHECKING)
    page.reload()
    page.unroute_all()
    expect(page.locator("#pending")).to_contain_text("Đã chuyển xong 20.000\u00a0₫.")
    page.get_by_role("link", name="Xem xác nhận chuyển tiền").click()
    confirmed(page)
    assert house.payments_of(hoa) == 1


# -- once, whatever somebody does ---------------------------------------------------------------------------------


def test_two_tabs_of_one_sheet_send_once(house: House, hoa: Signer, minh: Signer) -> None:
    """A bill can be paid once because it is a bill; a transfer only because its sheet has one order."""
    first = house.enters(hoa, device=True)
    order = open_sheet(first, minh.phone, "20.000")
    second = first.context.new_page()
    second.goto(first.url)
    pages.ready(second)
    held: list[Route] = []
    first.route(SEND, lambda route: held.append(route))
    with first.expect_request(SEND):
        press(first)
    press(second)
    expect(second.locator("#pay-checking")).to_be_visible()
    held.pop().continue_()
    assert (confirmed(first), confirmed(second)) == (order, order)
    assert house.payments_of(hoa) == 1


def test_the_way_back_and_the_same_address_again_send_nothing_more(house: House, hoa: Signer, minh: Signer) -> None:
    page = house.enters(hoa, device=True)
    order = open_sheet(page, minh.phone, "20.000")
    sheet = page.url
    press(page)
    confirmed(page)
    sent = pages.sent_orders(page)
    page.goto(sheet)
    assert confirmed(page) == order
    page.go_back()
    expect(page.locator("#pay-button:visible")).to_have_count(0)
    assert sent == []
    assert house.payments_of(hoa) == 1


def test_a_link_that_leads_to_the_sheet_never_sends_by_itself(house: House, hoa: Signer, minh: Signer) -> None:
    """Row 88: whatever the link says, a person presses the button."""
    page = house.enters(hoa, device=True)
    sent = pages.sent_orders(page)
    for extra in ("", "&pay=1&auto=1&confirm=yes", "#pay-button"):
        page.goto(f"/chuyen-tien/xac-nhan?payee={minh.account}&amount=20000{extra}")
        pages.ready(page)
        page.wait_for_load_state("networkidle")
    assert sent == []
    assert pages.pending(page) == []
    assert house.payments_of(hoa) == 0


def test_a_transfer_refused_after_the_sheet_was_shown_says_why_and_leads_back_to_the_form(
    house: House, hoa: Signer, minh: Signer
) -> None:
    page = house.enters(hoa, device=True)
    open_sheet(page, minh.phone, "80.000", "Tiền nhà")
    spent = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=minh.account, amount="50000", memo="")
    assert spent.status == 201
    press(page)
    expect(page.locator("#pay-refused-title")).to_have_text("Số dư khả dụng chưa đủ.")
    expect(page.locator("#pay-refused-safe")).to_contain_text("chưa bị trừ")
    page.get_by_role("link", name="Sửa lại lệnh").last.click()
    expect(page.locator(".chosen")).to_contain_text("T*** Q**** Minh")
    assert page.locator("#f-amount").input_value() == "80.000"
    assert page.locator("#f-memo").input_value() == "Tiền nhà"
    page.locator("#f-amount").fill("30.000")
    page.get_by_role("button", name="Tiếp tục").click()
    page.wait_for_url("**/chuyen-tien/xac-nhan?**")
    pages.ready(page)
    press(page)
    confirmed(page)
    assert house.city.available(minh) == 80_000


def test_somebody_without_a_key_makes_one_and_comes_back_to_the_sheet(house: House, hoa: Signer, minh: Signer) -> None:
    page = house.enters(hoa)
    fill(page, minh.phone, "20.000")
    expect(page.locator("#pay-unable-title")).to_have_text("Máy này chưa có khoá ký")
    expect(page.locator("#pay-unable-next")).to_contain_text("rồi chuyển tiền")
    sheet = page.url
    page.get_by_role("link", name="Tới mục Thiết bị").click()
    page.get_by_role("button", name="Gửi mã tới điện thoại").click()
    page.get_by_label("Mã 6 số").fill(house.code_for(hoa.phone))
    page.locator("#enrol-button").click()
    page.locator("[data-next]").click()
    page.wait_for_url(sheet)
    pages.ready(page)
    press(page)
    confirmed(page)
    assert house.payments_of(hoa) == 1


# -- small things ---------------------------------------------------------------------------------------------------


def test_an_amount_is_read_back_while_it_is_typed(house: House, hoa: Signer) -> None:
    page = house.enters(hoa, path="/chuyen-tien")
    amount, echo = page.get_by_label("Số tiền"), page.locator("#amount-read")
    for typed, read in (("1250000", "1.250.000\u00a0₫"), ("1.25", ""), ("1.250", "1.250\u00a0₫"), ("0", ""), ("x", "")):
        amount.fill(typed)
        expect(echo).to_have_text(read)


def test_phone_and_code_are_copied_at_a_touch_and_print_on_one_sheet(house: House, minh: Signer) -> None:
    page = house.enters(minh, path="/nhan-tien", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Tạo mã nhận tiền").click()
    code = page.locator("#code").inner_text().replace(" ", "")
    for name, copied in (("Chép Mã nhận tiền", code), ("Chép Số điện thoại", minh.phone)):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_text("Đã chép").first).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == copied
        expect(page.get_by_text("Đã chép")).to_have_count(0)
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


def test_a_renewed_code_takes_the_old_ones_place(house: House, hoa: Signer, minh: Signer) -> None:
    page = house.enters(minh, path="/nhan-tien")
    page.get_by_role("button", name="Tạo mã nhận tiền").click()
    old = page.locator("#code").inner_text()
    page.get_by_text("Đổi mã mới").click()
    page.get_by_role("button", name="Bỏ mã cũ, lấy mã mới").click()
    expect(page.locator("#code")).not_to_have_text(old)
    payer = house.enters(hoa)
    fill(payer, old, "5.000")
    expect(payer.locator("#e-to")).to_contain_text("Không tìm thấy ví của người nhận.")
    fill(payer, page.locator("#code").inner_text(), "5.000")
    expect(payer.locator("#payee-name")).to_have_text("T*** Q**** Minh")
