"""Two windows: a till and a citizen's phone. What the till shows is scanned and paid, and the till turns green.

Also    a sticker by camera, pictures that lead nowhere, and a one-time code that the till charges.
Rows    87 and 88 of the register of attacks.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import pytest
import segno
from playwright.sync_api import Browser, FilePayload, Page, expect

from market import codes
from tests import pages, selling
from tests.conftest import serve_live
from tests.logs import Log
from tests.make import Signer
from tests.pages import House
from tests.selling import Shop
from wallet.log.sealer import Sealer
from wallet.run.postgres import Cluster

pytestmark = pytest.mark.browser


@dataclass(slots=True)
class Counter:
    """A stall with its till's window, a citizen with their phone's, and the sealer in the test's own hands."""

    house: House
    stall: Shop
    hoa: Signer
    sealer: Sealer
    till: Page
    phone: Page

    @property
    def sticker(self) -> str:
        return codes.of_point(self.stall.point, city=self.house.city.city.name, demo=True)


@pytest.fixture(scope="module")
def counter(
    template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Counter]:
    with pages.house(template, postgres, worker, tmp_path_factory.mktemp("scan"), browser) as house:
        stall = selling.shop(house.city, "Bún bò O Xuân")
        hoa = house.city.citizen("Nguyễn Thị Hoa", available=200_000)
        with serve_live(house.city.config), Log(house.city.database).sealing() as sealer:
            sealer.seal()
            path = f"/ban-hang/quay/{stall.points[0]}"
            till = house.enters(stall.owner, device=True, path=path, shape=pages.DESK)
            yield Counter(house, stall, hoa, sealer, till, house.enters(hoa, device=True))


@pytest.fixture
def phone(counter: Counter) -> Page:
    """The citizen's window, with the scan page open: the machine that tests has no camera."""
    counter.phone.goto("/quet")
    expect(counter.phone.locator("body")).to_have_attribute("data-scan", "none")
    return counter.phone


def photo(content: bytes) -> FilePayload:
    """A picture as a gallery hands it over."""
    return FilePayload(name="anh.png", mimeType="image/png", buffer=content)


def symbol(text: str) -> bytes:
    drawn = BytesIO()
    segno.make_qr(text, error="m").save(drawn, kind="png", scale=5, border=4)
    return drawn.getvalue()


def test_a_citizen_scans_the_tills_screen_and_pays_and_the_till_turns_green(counter: Counter, phone: Page) -> None:
    """The journey: from the amount that a cashier keys to the same two letters on both screens."""
    till, before = counter.till, counter.house.city.available(counter.hoa)
    till.keyboard.type("35000")
    till.locator("#ask").click()
    expect(till.locator("body")).to_have_attribute("data-view", "code")
    expect(till.locator("#code-image")).to_have_js_property("complete", True)

    left: list[str] = []
    phone.context.on("request", lambda request: left.append(f"{request.method} {request.url}"))
    phone.locator("#scan-photo").set_input_files([photo(till.locator(".code-box").screenshot())])
    phone.wait_for_url("**/quet/xac-nhan?**")
    pages.ready(phone)
    expect(phone.locator("#payee-name")).to_have_text("Bún bò O Xuân")
    expect(phone.locator("#pay-total")).to_have_text("35.000\u00a0₫")
    assert counter.house.city.available(counter.hoa) == before, "nothing is paid by scanning"
    assert [one for one in left if "zxing_reader.wasm" in one], "this browser reads no codes by itself"
    assert not [one for one in left if "vn.trangtien" in one], "what was scanned stands in no address"
    assert till.locator("#result-word").is_hidden()

    phone.locator("#pay-button").click()
    order = pages.confirmed(phone)
    counter.sealer.seal()
    expect(till.locator("#result-word")).to_have_text("ĐỦ")
    expect(till.locator("#result-amount")).to_have_text("35.000\u00a0₫")
    expect(till.locator("#result-tally")).to_have_text(phone.locator("#tally").inner_text())
    assert counter.house.city.available(counter.hoa) == before - 35_000
    till.keyboard.press("Enter")

    # Some of it goes back: the citizen sees how much, from whom and on which day.
    entry = counter.house.ask("SELECT entry FROM market.payment ORDER BY at DESC LIMIT 1")[0][0]
    assert counter.stall.refund(str(entry), 5_000).status == 201
    phone.goto("/lich-su")
    back = phone.locator(f'a[href="/xac-nhan/{order}"]', has_text="Được hoàn tiền từ Bún bò O Xuân")
    expect(back).to_contain_text("+5.000\u00a0₫")
    back.click()
    expect(phone.locator("#backs")).to_contain_text(re.compile(r"Đã hoàn ngày \d\d/\d\d/\d{4}\s*5\.000\u00a0₫"))


CAMERA = """
(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
    const pen = canvas.getContext("2d");
    setInterval(() => pen.fillRect(0, 0, 1, 1), 50);
    window.before = async (data) => {
        const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
        pen.fillStyle = "#fff";
        pen.fillRect(0, 0, 640, 480);
        pen.drawImage(await createImageBitmap(new Blob([bytes])), 80, 0, 480, 480);
    };
    navigator.mediaDevices.getUserMedia = async () => {
        if (window.fault) throw new DOMException("", window.fault);
        window.lens = canvas.captureStream(20);
        return window.lens;
    };
})();
"""


def test_a_camera_is_off_out_of_sight_says_why_it_is_not_on_and_finds_the_sticker(
    counter: Counter, phone: Page
) -> None:
    """A camera of the test's own making. Then the amount is keyed, and the till told of it."""
    page, body = phone.context.new_page(), "data-scan"
    page.add_init_script(CAMERA)
    page.goto("/quet")
    expect(page.locator("body")).to_have_attribute(body, "looking")
    expect(page.locator("#scan-frame")).to_be_visible()
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => window.away ?? true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    expect(page.locator("body")).to_have_attribute(body, "stopped")
    assert page.evaluate("lens.getTracks().every((track) => track.readyState === 'ended')")
    page.evaluate("window.away = false")
    for fault, stage in (("NotAllowedError", "refused"), ("NotReadableError", "busy"), ("", "looking")):
        page.evaluate("(fault) => { window.fault = fault; }", fault)
        page.get_by_role("button", name="Mở máy ảnh").click()
        expect(page.locator("body")).to_have_attribute(body, stage)
    page.evaluate("(data) => before(data)", b64encode(symbol(counter.sticker)).decode())
    page.wait_for_url(f"**/quet/diem/{counter.stall.point.serial}")
    expect(page.locator("#payee-name")).to_have_text("Bún bò O Xuân")
    for key in ("1", "2", "back", "5", "000"):
        page.locator(f'[data-key="{key}"]').click()
    expect(page.get_by_label("Số tiền")).to_have_value("15.000")
    page.get_by_role("button", name="Tiếp tục").click()
    pages.ready(page)
    page.locator("#pay-button").click()
    pages.confirmed(page)
    counter.sealer.seal()
    expect(counter.till.locator("#result-amount")).to_have_text("15.000\u00a0₫")
    counter.till.keyboard.press("Enter")
    page.close()


def test_pictures_that_lead_nowhere_say_why(phone: Page) -> None:
    choose = phone.locator("#scan-photo").set_input_files
    choose([photo(b"no picture")])
    expect(phone.locator("#scan-state")).to_have_text("Không mở được tệp này. Xin chọn một ảnh JPEG, PNG hoặc WebP.")
    choose([photo(phone.screenshot(clip={"x": 0, "y": 0, "width": 99, "height": 99}))])
    expect(phone.locator("body")).to_have_attribute("data-scan", "no_code")
    two = phone.evaluate(
        """async (pictures) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 900, height: 450 });
            const pen = canvas.getContext("2d");
            for (const [nth, data] of pictures.entries()) {
                const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
                pen.drawImage(await createImageBitmap(new Blob([bytes])), 450 * nth, 0, 440, 440);
            }
            return canvas.toDataURL("image/png").split(",")[1];
        }""",
        [b64encode(symbol(text)).decode() for text in ("https://a.example", "AB12CD34")],
    )
    choose([photo(b64decode(two))])
    expect(phone.locator("body")).to_have_attribute("data-scan", "several_in_photo")


def test_a_code_that_the_browser_signs_is_charged_by_the_till_and_seen_by_both(counter: Counter, phone: Page) -> None:
    before = counter.house.city.available(counter.hoa)
    phone.goto("/ma-thanh-toan")
    orders = pages.sent_orders(phone)
    phone.locator('input[value="50000"]').check()
    phone.get_by_role("button", name="Ký và hiện mã").click()
    expect(phone.locator("#present-digits")).to_have_text(re.compile(r"\d{4} \d{4} \d{4}"))
    expect(phone.locator("#present-qr")).to_have_js_property("complete", True)

    counter.till.locator("#scan-customer").click()
    till = counter.till
    for amount in ("50001", "42000"):
        till.get_by_label("Số tiền cần thu").fill(amount)
        till.locator("#scan-photo").set_input_files([photo(phone.locator("#present-qr").screenshot())])
        pages.ready(till)
        till.locator("#pay-button").click()
        if amount == "50001":
            expect(till.locator("#pay-refused-title")).to_have_text("Số tiền vượt mức mà khách đã cho phép với mã này.")
            till.locator("#pay-refused-edit").click()
    expect(till.locator("#charged-sum")).to_have_text("42.000\u00a0₫")
    assert pages.pending(till) == []
    pages.confirmed(phone)
    counter.sealer.seal()
    expect(phone.locator("#total")).to_have_text("42.000\u00a0₫")
    expect(till.locator("#tally")).to_have_text(phone.locator("#tally").inner_text())
    till.get_by_role("link", name="Về quầy").click()
    expect(till.locator("#takings li").first).to_contain_text("42.000\u00a0₫")
    assert orders == ["POST /v1/mandates"], "one press, one signature"
    assert counter.house.city.available(counter.hoa) == before - 42_000
