"""The counter in a browser: the success sign and its sound come of a payment that was told, and of nothing else."""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from market import qr, takings
from market.qr.fields import Environment, MerchantFields
from tests import pages, selling
from tests.conftest import serve_live
from tests.logs import Log
from tests.make import Signer
from tests.pages import House
from tests.selling import Shop
from tests.test_pages_design import AXE, OVERFLOW, SIZES, SMALL_TARGETS, TARGET_PX, serious
from wallet import clock
from wallet.client import Reply
from wallet.run.postgres import Cluster

SEAL_S_MAX = 10

pytestmark = pytest.mark.browser


@dataclass(slots=True)
class Counter:
    """A counter that is served, its stream, and a customer."""

    house: House
    shop: Shop
    hoa: Signer
    live: "subprocess.Popen[bytes]"
    path: str

    def pays(self, amount: int) -> None:
        """A customer pays to the sticker."""
        self.done(self.shop.pay_sticker(self.hoa, amount))

    def done(self, reply: Reply) -> None:
        assert reply.status == 201, reply.body

    def sealed(self) -> None:
        """Wait until everything that has happened has its place in the log."""
        log, until = Log(self.house.city.database), time.monotonic() + SEAL_S_MAX
        while log.unsealed():
            assert time.monotonic() < until
            time.sleep(0.05)

    def opens(self, **options: Any) -> Page:
        """Open the counter in a fresh browser, and wait until it hears."""
        page = self.house.enters(self.shop.owner, path=self.path, **options)
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        return page


@pytest.fixture(scope="module")
def counter(
    template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Counter]:
    with pages.house(template, postgres, worker, tmp_path_factory.mktemp("counter"), browser) as house:
        shop, hoa = selling.shop(house.city), house.city.citizen(available=9_000_000)
        stop, sealer = threading.Event(), Log(house.city.database).sealer()
        sealing = threading.Thread(target=sealer.run, args=(stop,))
        sealing.start()
        try:
            with serve_live(house.city.config) as live:
                yield Counter(house, shop, hoa, live, f"/ban-hang/quay/{shop.points[0]}")
        finally:
            stop.set()
            sealing.join()


@pytest.fixture(scope="module")
def page(counter: Counter) -> Page:
    """A page whose browser signs for the owner, as a till does."""
    opened = counter.house.enters(counter.shop.owner, device=True, path=counter.path)
    expect(opened.locator("body")).to_have_attribute("data-state", "live")
    return opened


@pytest.fixture
def till(counter: Counter, page: Page) -> Iterator[Page]:
    """The one page of these tests, opened anew; what it asked for and nobody paid is taken back."""
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    yield page
    with counter.house.city.engine.connect() as connection:
        left = takings.waiting(connection, counter.shop.points[0], now=clock.now())
    for one in left:
        counter.shop.owner.act(f"/v1/invoices/{one.id}/cancel", "invoice_cancel", invoice=str(one.id))


@pytest.fixture
def till_of_its_own(counter: Counter) -> Iterator[Page]:
    """For a test that leaves the page useless to others."""
    opened = counter.opens()
    yield opened
    counter.live.send_signal(signal.SIGCONT)
    opened.context.close()


def spoken(page: Page) -> int:
    return int(page.locator("body").get_attribute("data-spoken") or 0)


def dong(amount: int) -> str:
    return f"{amount:,}".replace(",", ".") + "\u00a0₫"


def keys(page: Page, amount: int) -> str:
    """Key an amount and show its code, as a cashier does; return the invoice that this browser signed."""
    page.keyboard.type(str(amount))
    expect(page.locator("#amount")).to_have_text(dong(amount))
    page.locator("#ask").click()
    expect(page.locator("body")).to_have_attribute("data-view", "code")
    expect(page.locator("#code-amount")).to_have_text(dong(amount))
    found = re.search(r"/ma/([0-9a-f-]{36})\.svg$", page.locator("#code-image").get_attribute("src") or "")
    assert found
    return found[1]


def test_the_code_on_the_screen_is_read_by_a_camera_and_paid_to_green(counter: Counter, till: Page) -> None:
    invoice = keys(till, 35_000)
    till.wait_for_load_state("networkidle")
    picture = Image.open(BytesIO(till.locator(".code-box").screenshot()))
    (symbol,) = zxingcpp.read_barcodes(picture)
    read = qr.decode(symbol.text, environment=Environment.DEMO)
    assert not read.issues
    assert isinstance(read.fields, MerchantFields)
    assert read.fields.amount == 35_000
    till.reload()
    expect(till.locator("#code-amount")).to_have_text(dong(35_000))
    expect(till.locator("body")).to_have_attribute("data-state", "live")
    assert till.locator("#result-word").is_hidden()
    counter.done(counter.shop.pay(counter.hoa, invoice))
    expect(till.locator("#result-word")).to_have_text("ĐỦ")
    expect(till.locator("#result-amount")).to_have_text(dong(35_000))
    expect(till.locator("#told")).to_contain_text("ba mươi lăm nghìn đồng")
    assert len(till.locator("#result-tally").inner_text()) == 2
    assert spoken(till) == 1
    till.keyboard.press("Enter")  # "Xong" has the focus
    expect(till.locator("body")).to_have_attribute("data-view", "keypad")
    expect(till.locator(".taking").first).to_contain_text("ĐỦ")


def test_what_is_sold_is_tapped_and_stands_on_the_customers_sheet(counter: Counter, till: Page) -> None:
    shop = counter.shop
    sweets = shop.offers("Mè xửng dẻo", price=25_000, unit="pack")
    cake = shop.offers("Bánh bột lọc", price=3_000, unit="piece")
    shop.sells_out(shop.offers("Tôm chua", price=60_000, unit="jar"))
    till.reload()
    till.locator(".way[data-way=goods]").click()
    expect(till.locator("[data-product] .tile-name")).to_have_text(["Bánh bột lọc", "Mè xửng dẻo", "Tôm chua"])
    expect(till.locator(".tile-add").last).to_be_disabled()
    add = till.get_by_role("button", name="Mè xửng dẻo 25.000")
    fewer = till.get_by_role("button", name="Bớt một: Mè xửng dẻo")
    add.focus()
    for _ in range(3):
        till.keyboard.press("Enter")
    till.locator(f'[data-product="{cake}"] .tile-add').click()
    expect(till.locator("#amount")).to_have_text(dong(78_000))
    fewer.click()
    expect(till.locator("#amount")).to_have_text(dong(53_000))
    expect(till.locator("#picked")).to_have_text("2 × Mè xửng dẻo · 1 × Bánh bột lọc")
    shop.changes(cake, "Bánh bột lọc", version=1, price=4_000, unit="piece")
    till.locator("#ask").click()
    expect(till.locator("#problem-title")).to_contain_text("vừa thay đổi")
    expect(till.locator("#amount")).to_have_text(dong(54_000))
    till.locator("#ask").click()
    expect(till.locator("#code-amount")).to_have_text(dong(54_000))
    invoice = (till.locator("#code-image").get_attribute("src") or "").rpartition("/")[2].removesuffix(".svg")
    asked = shop.read(invoice)
    line = {"unit": "gói", "price": "25000", "count": "2", "amount": "50000"}
    assert asked["items"][0] == {"product": str(sweets), "name": "Mè xửng dẻo", **line}
    sheet = counter.house.enters(counter.hoa, path=f"/quet/xac-nhan?hoa-don={asked['number']}")
    expect(sheet.locator("#invoice li")).to_have_text(
        [f"Mè xửng dẻo 2 gói × {dong(25_000)}{dong(50_000)}", f"Bánh bột lọc 1 cái × {dong(4_000)}{dong(4_000)}"]
    )
    counter.done(shop.pay(counter.hoa, invoice))
    expect(till.locator("#result-word")).to_have_text("ĐỦ")
    till.locator("#done").click()
    expect(till.locator("#amount")).to_have_text(dong(0))


def test_too_little_is_amber_and_the_rest_is_asked_for_with_one_tap(counter: Counter, till: Page) -> None:
    keys(till, 35_000)
    counter.pays(30_000)
    expect(till.locator("#result-word")).to_have_text("THIẾU")
    expect(till.locator("#result-more")).to_have_text(f"Còn thiếu {dong(5_000)} so với {dong(35_000)}.")
    till.locator("#rest").click()
    expect(till.locator("#code-amount")).to_have_text(dong(5_000))
    counter.pays(5_000)
    expect(till.locator("#result-word")).to_have_text("ĐỦ")


def test_too_little_is_let_be_with_one_tap(counter: Counter, till: Page) -> None:
    invoice = keys(till, 35_000)
    counter.pays(34_000)
    expect(till.locator("#result-word")).to_have_text("THIẾU")
    till.locator("#accept").click()
    expect(till.locator("#result-more")).to_have_text(f"Đã chấp nhận {dong(34_000)}, không hỏi thêm {dong(1_000)}.")
    assert till.locator("#rest").is_hidden()
    assert counter.shop.read(invoice)["state"] == "paid"
    till.locator("#done").click()
    expect(till.locator(".taking").first.locator(".taking-said")).to_have_text("ĐÃ CHẤP NHẬN")


def test_too_much_is_blue_and_the_excess_given_back_with_one_tap(counter: Counter, till: Page) -> None:
    keys(till, 35_000)
    before = counter.house.city.available(counter.hoa)
    counter.pays(40_000)
    expect(till.locator("#result-word")).to_have_text("THỪA")
    till.locator("#excess").click()
    expect(till.locator("#result-more")).to_have_text(f"Đã hoàn {dong(5_000)} cho khách.")
    assert before - counter.house.city.available(counter.hoa) == 35_000


def test_of_two_codes_of_one_amount_the_cashier_picks(counter: Counter, till: Page) -> None:
    first = counter.shop.asks(18_000)
    keys(till, 18_000)
    counter.pays(18_000)
    expect(till.locator("#result-word")).to_have_text("ĐÃ NHẬN")
    expect(till.locator("#pick-from button")).to_have_count(2)
    till.locator("#pick-from button").first.click()
    expect(till.locator("#result-word")).to_have_text("ĐỦ")
    assert spoken(till) == 1, "it was said when it came"
    assert counter.shop.read(first)["state"] == "new"


def test_a_code_that_nobody_paid_is_taken_back(counter: Counter, till: Page) -> None:
    invoice = keys(till, 7_000)
    with till.expect_response("**/cancel"):
        till.locator("#drop").click()
    expect(till.locator("body")).to_have_attribute("data-view", "keypad")
    assert counter.shop.read(invoice)["state"] == "cancelled"


def test_the_words_are_played_clip_by_clip_and_again_on_demand(counter: Counter, till: Page) -> None:
    till.evaluate(
        "() => { const start = AudioBufferSourceNode.prototype.start;"
        " AudioBufferSourceNode.prototype.start = function (at) {"
        " (window.played ??= []).push([at, this.buffer.duration]);"
        " document.body.dataset.played = played.length; return start.call(this, at); }; }"
    )
    till.locator('[data-key="1"]').click()  # a touch lets sound begin
    expect(till.locator("body")).to_have_attribute("data-sound", "on")
    counter.pays(21_000)
    expect(till.locator("body")).to_have_attribute("data-played", "6")  # chuông, đã nhận, hai mươi, mốt, nghìn, đồng
    played = till.evaluate("played")
    assert all(after[0] >= before[0] + before[1] - 1e-6 for before, after in pairwise(played)), "one after the other"
    till.locator("#again").click()
    expect(till.locator("body")).to_have_attribute("data-played", "12")
    assert till.evaluate("played.slice(6).map(([, seconds]) => seconds)") == [seconds for _, seconds in played]


def test_offline_is_unconfirmed_and_never_a_success_and_what_was_missed_is_told_on_return(
    counter: Counter, till: Page
) -> None:
    invoice = keys(till, 35_000)
    till.context.set_offline(True)
    expect(till.locator("#unconfirmed")).to_be_visible()
    expect(till.locator("#unconfirmed")).to_contain_text("CHƯA XÁC NHẬN")
    counter.done(counter.shop.pay(counter.hoa, invoice))
    counter.pays(7_000)
    counter.sealed()
    expect(till.locator("#state-words")).to_have_text("Chưa xác nhận")
    assert till.locator("#result-word").is_hidden()
    assert spoken(till) == 0
    till.context.set_offline(False)
    expect(till.locator("#result-word")).to_have_text("ĐỦ")
    expect(till.locator("#unconfirmed")).to_be_hidden()
    expect(till.locator(".taking")).not_to_have_count(1)
    assert spoken(till) == 1, "what was waited for is said; what came while nobody stood here is listed"


def test_a_success_sign_goes_when_the_connection_does(counter: Counter, till: Page) -> None:
    """A screen that stayed green could be shown to the next cashier, or pointed at by the next customer."""
    counter.pays(1_000)
    expect(till.locator("#result-word")).to_be_visible()
    till.context.set_offline(True)
    expect(till.locator("#result-word")).to_be_hidden()
    expect(till.locator("#unconfirmed")).to_be_visible()
    till.context.set_offline(False)
    expect(till.locator("body")).to_have_attribute("data-state", "live")
    assert till.locator("#result-word").is_hidden(), "it is not shown anew"
    assert spoken(till) == 1


def test_nothing_is_said_twice_however_often_it_is_told(counter: Counter, till: Page) -> None:
    counter.pays(2_000)
    expect(till.locator("#result-amount")).to_have_text(dong(2_000))
    till.locator("#done").click()
    till.context.set_offline(True)
    till.context.set_offline(False)  # the stream begins again where it was, and the list is asked for as well
    expect(till.locator("body")).to_have_attribute("data-state", "live")
    counter.pays(3_000)
    expect(till.locator("#result-amount")).to_have_text(dong(3_000))
    assert spoken(till) == 2
    till.reload()
    expect(till.locator("body")).to_have_attribute("data-state", "live")
    assert spoken(till) == 0
    assert till.locator("#result-word").is_hidden()


def test_without_beats_the_page_asks_and_without_answers_it_says_so(counter: Counter, till_of_its_own: Page) -> None:
    """The process of streams hangs; the service itself still answers. Then that falls silent as well."""
    page = till_of_its_own
    page.clock.install()
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    counter.live.send_signal(signal.SIGSTOP)
    page.clock.run_for(6_000)
    expect(page.locator("body")).to_have_attribute("data-state", "polling")
    counter.shop.pay_sticker(counter.hoa, 4_000)
    page.clock.run_for(3_000)
    expect(page.locator("#result-amount")).to_have_text(dong(4_000))
    assert spoken(page) == 1
    page.route("**/thu", lambda route: route.abort())
    page.clock.run_for(10_000)
    expect(page.locator("body")).to_have_attribute("data-state", "unconfirmed")
    expect(page.locator("#unconfirmed")).to_be_visible()
    assert page.locator("#result-word").is_hidden()
    counter.live.send_signal(signal.SIGCONT)
    page.clock.run_for(3_000)
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    assert spoken(page) == 1, "the stream tells it too, and it is known"


def test_an_ended_session_is_said_and_confirms_nothing(counter: Counter, till_of_its_own: Page) -> None:
    page = till_of_its_own
    page.context.clear_cookies()
    page.context.set_offline(True)
    page.context.set_offline(False)
    expect(page.locator("#unconfirmed-signed-out")).to_be_visible()
    expect(page.locator("#state-words")).to_have_text("Đã hết phiên")


def test_the_keypad_is_worked_by_keys_and_by_thumb(till_of_its_own: Page) -> None:
    """In a browser without a key, which cannot ask for anything and says so."""
    page = till_of_its_own
    page.add_init_script(
        "WakeLock.prototype.request = async (what) => { document.body.dataset.awake = what; return {released: false}; }"
    )
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-awake", "screen")
    expect(page.locator("body")).to_have_attribute("data-view", "keypad")
    for stroke in ("3", "5", "0", "0", "0", "0", "Backspace"):
        page.keyboard.press(stroke)
    expect(page.locator("#amount")).to_have_text(dong(35_000))
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_disabled()
    for stroke in ("0", "4", "000", "back"):
        page.locator(f'[data-key="{stroke}"]').click()
    expect(page.locator("#amount")).to_have_text(dong(400))
    expect(page.locator("#no-key")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_be_visible()


# -- as it looks --------------------------------------------------------------------------------------------------------


def faults(page: Page) -> dict[str, list[str]]:
    """What is wrong with the view that is shown: at phones' and desks' sizes, at twice the text, in light and in dark."""
    found: dict[str, list[str]] = {}
    for name, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        found[f"overflow {name}"] = page.evaluate(OVERFLOW)
        found[f"small {name}"] = page.evaluate(SMALL_TARGETS, TARGET_PX)
    page.set_viewport_size({"width": 360, "height": 640})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    found["overflow 200 %"] = page.evaluate(OVERFLOW)
    page.evaluate("document.documentElement.style.fontSize = ''")
    for scheme, only in (("light", None), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found[f"axe {scheme}"] = serious(page, only)
    return {what: these for what, these in found.items() if these}


def test_every_view_fits_a_phone_and_a_screen_reader(counter: Counter, till_of_its_own: Page) -> None:
    page = till_of_its_own
    page.emulate_media(reduced_motion="reduce")  # no colour is measured on its way to another
    page.evaluate(AXE)
    assert faults(page) == {}, "the keypad, and what was taken"
    for n in range(12):
        counter.shop.offers(f"Bánh số {n}", price=5_000 * (n + 1))
    counter.shop.sells_out(counter.shop.offers("Trà cung đình Huế hộp thiếc loại thượng hạng", price=1_250_000))
    page.reload()
    page.evaluate(AXE)
    page.locator(".way[data-way=goods]").click()
    for n in (3, 11):
        page.get_by_role("button", name=f"Bánh số {n} ").click()
    page.locator("#goods-words").fill("tra CUNG dinh")
    expect(page.locator(".tile:visible")).to_have_count(1)
    page.locator("#goods-words").fill("")
    assert faults(page) == {}, "the tiles"
    counter.pays(1_205_015)
    expect(page.locator("#result-word")).to_be_visible()
    assert faults(page) == {}, "a result"
    page.context.set_offline(True)
    expect(page.locator("#unconfirmed")).to_be_visible()
    assert faults(page) == {}, "nothing is known"
