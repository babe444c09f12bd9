"""A citizen at a counter: scans what the till shows, pays it, is given some of it back; and shows it a one-time code.

Rows    87 and 88 of the register of attacks.
"""

import io
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator

import pytest
import segno
from playwright.sync_api import FilePayload, Page, expect

from market import codes, qr
from market.qr.fields import Initiation, MerchantFields, Service, VietQR
from tests import pages, selling
from tests.make import Signer
from tests.pages import House
from tests.selling import Shop

pytestmark = pytest.mark.browser

BANK = MerchantFields(
    initiation=Initiation.STATIC, vietqr=VietQR("970436", "0123456789", Service.ACCOUNT), currency="704", country="VN"
)


@pytest.fixture(scope="module")
def running(template, postgres, worker, tmp_path_factory, browser) -> Iterator[House]:
    with pages.house(template, postgres, worker, tmp_path_factory.mktemp("scan"), browser) as made:
        yield made


@pytest.fixture
def house(running: House) -> Iterator[House]:
    yield running
    running.close()


@pytest.fixture
def hoa(house: House) -> Signer:
    return house.city.citizen("Nguyễn Thị Hoa", available=100_000)


@pytest.fixture
def stall(house: House) -> Shop:
    return selling.shop(house.city, "Bún bò O Xuân")


def photo(text: str) -> FilePayload:
    """A picture of a symbol, as a gallery hands it over."""
    drawn = io.BytesIO()
    segno.make_qr(text, error="m").save(drawn, kind="png", scale=5, border=4)
    return FilePayload(name="ma.png", mimeType="image/png", buffer=drawn.getvalue())


def scan(page: Page, text: str) -> None:
    """Open the scan page and choose a picture with this code."""
    page.goto("/quet")
    expect(page.locator("body")).to_have_attribute("data-scan", "none")  # the machine that tests has no camera
    page.locator("#scan-photo").set_input_files([photo(text)])


def sent(page: Page) -> list[tuple[str, str]]:
    """A list that grows with what leaves this browser: method and address."""
    left: list[tuple[str, str]] = []
    page.context.on("request", lambda request: left.append((request.method, request.url)))
    return left


def test_a_citizen_scans_the_tills_code_and_pays_it(house: House, hoa: Signer, stall: Shop) -> None:
    asked = stall.invoice(35_000, memo="Một tô bún bò").json()
    text = stall.read(asked["invoice"])["qr"]
    page = house.enters(hoa, device=True)
    left = sent(page)
    page.get_by_role("link", name="Quét mã để trả tiền").click()
    scan(page, text)

    page.wait_for_url("**/quet/xac-nhan?**")
    pages.ready(page)
    expect(page.locator("#payee-name")).to_have_text("Bún bò O Xuân")
    expect(page.locator("#pay-total")).to_have_text("35.000\u00a0₫")
    expect(page.locator("#invoice")).to_contain_text("Một tô bún bò")
    expect(page.locator("#pay-remains")).to_have_text("65.000\u00a0₫")
    assert house.city.available(hoa) == 100_000, "nothing is paid by scanning"
    assert not [url for _, url in left if text[:20] in url], "what was scanned stands in no address"
    assert [url for _, url in left if url.endswith(".wasm") or "zxing_reader.wasm" in url], (
        "Chromium reads no codes here"
    )

    page.locator("#pay-button").click()
    order = pages.confirmed(page)
    expect(page.locator("#payee-name")).to_have_text("Bún bò O Xuân")
    expect(page.locator("#invoice")).to_have_text(asked["number"])
    assert (house.city.available(hoa), stall.available()) == (65_000, 35_000)
    assert stall.read(asked["invoice"])["state"] == "paid"

    # Some of it goes back: the citizen sees how much, from whom and on which day.
    entry = house.ask("SELECT entry FROM market.payment WHERE invoice = %s", asked["invoice"])[0][0]
    assert stall.refund(str(entry), 5_000).status == 201
    page.goto("/lich-su")
    back = page.locator(f'a[href="/xac-nhan/{order}"]', has_text="Được hoàn tiền từ Bún bò O Xuân")
    expect(back).to_contain_text("+5.000\u00a0₫")
    back.click()
    expect(page.locator("#backs")).to_have_text(re.compile(r"Đã hoàn ngày \d\d/\d\d/\d{4}\s*5\.000\u00a0₫"))


def test_a_sticker_asks_for_the_amount_and_shows_who_is_paid_by_the_registry(
    house: House, hoa: Signer, stall: Shop
) -> None:
    """Row 87: whatever name a code bears, ours is shown."""
    text = codes.of_point(stall.point, city=house.city.city.name, demo=True)
    named = qr.decode(text, environment=codes.environment(demo=True)).fields
    assert isinstance(named, MerchantFields)
    page = house.enters(hoa, device=True)
    scan(page, text)
    page.wait_for_url(f"**/quet/diem/{stall.point.serial}")
    expect(page.locator("#payee-name")).to_have_text("Bún bò O Xuân")
    for key in ("1", "2", "back", "5", "000"):
        page.locator(f'[data-key="{key}"]').click()
    expect(page.get_by_label("Số tiền")).to_have_value("15.000")
    page.get_by_role("button", name="Tiếp tục").click()
    pages.ready(page)
    page.locator("#pay-button").click()
    pages.confirmed(page)
    assert (house.city.available(hoa), stall.available()) == (85_000, 15_000)


def test_pictures_that_lead_nowhere_say_why(house: House, hoa: Signer) -> None:
    page = house.enters(hoa, path="/quet")
    expect(page.locator("body")).to_have_attribute("data-scan", "none")
    page.locator("#scan-photo").set_input_files([{"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"}])
    expect(page.locator("#scan-state")).to_have_text("Không mở được tệp này. Xin chọn một ảnh JPEG, PNG hoặc WebP.")
    blank = {
        "name": "x.svg",
        "mimeType": "image/png",
        "buffer": page.screenshot(clip={"x": 0, "y": 0, "width": 99, "height": 99}),
    }
    page.locator("#scan-photo").set_input_files([blank])
    expect(page.locator("body")).to_have_attribute("data-scan", "no_code")
    both = page.evaluate(
        """async ([one, other]) => {
            const canvas = document.createElement("canvas");
            const pen = canvas.getContext("2d");
            [canvas.width, canvas.height] = [900, 450];
            for (const [at, data] of [[0, one], [450, other]]) {
                const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
                pen.drawImage(await createImageBitmap(new Blob([bytes])), at, 0, 440, 440);
            }
            return canvas.toDataURL("image/png").split(",")[1];
        }""",
        [b64encode(photo(text)["buffer"]).decode() for text in ("https://a.example", "AB12CD34")],
    )
    page.locator("#scan-photo").set_input_files(
        [{"name": "two.png", "mimeType": "image/png", "buffer": b64decode(both)}]
    )
    expect(page.locator("body")).to_have_attribute("data-scan", "several_in_photo")


def test_a_camera_finds_a_code_and_is_closed_then(house: House, hoa: Signer, stall: Shop) -> None:
    """A camera of our own making: a canvas with the sticker on it, where the browser asks for one."""
    page = house.enters(hoa)
    page.context.add_init_script(CAMERA)
    page.goto("/quet")
    expect(page.locator("body")).to_have_attribute("data-scan", "looking")
    expect(page.locator("#scan-frame")).to_be_visible()
    page.evaluate(
        "async (data) => showToCamera(data)",
        b64encode(photo(codes.of_point(stall.point, city="Huế", demo=True))["buffer"]).decode(),
    )
    page.wait_for_url(f"**/quet/diem/{stall.point.serial}")


CAMERA = """
(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
    const pen = canvas.getContext("2d");
    setInterval(() => pen.fillRect(0, 0, 1, 1), 50);
    window.showToCamera = async (data) => {
        const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
        const picture = await createImageBitmap(new Blob([bytes]));
        pen.fillStyle = "#fff";
        pen.fillRect(0, 0, 640, 480);
        pen.drawImage(picture, 80, 0, 480, 480);
    };
    navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(20);
})();
"""


def test_a_code_that_the_browser_signs_is_charged_by_the_till_and_seen_by_both(
    house: House, hoa: Signer, stall: Shop
) -> None:
    page = house.enters(hoa, device=True, path="/ma-thanh-toan")
    orders = pages.sent_orders(page)
    page.locator('input[value="50000"]').check()
    page.get_by_role("button", name="Ký và hiện mã").click()
    digits = page.locator("#present-digits")
    expect(digits).to_have_text(re.compile(r"\d{4} \d{4} \d{4}"))
    page.wait_for_function("document.querySelector('#present-qr').naturalWidth > 0")
    code = digits.inner_text().replace(" ", "")
    till = pages.machine_of(stall.owner)
    own = {"point": str(stall.points[0]), "code": code, "invoice": ""}
    assert till.act("/v1/charges", "charge", amount="50001", **own).json()["code"] == "mandate_exceeded"
    assert till.act("/v1/charges", "charge", amount="42000", **own).status == 201
    pages.confirmed(page)
    expect(page.locator("#payee-name")).to_have_text("Bún bò O Xuân")
    expect(page.locator("#total")).to_have_text("42.000\u00a0₫")
    assert orders == ["POST /v1/mandates"], "one press, one signature"
    assert house.city.available(hoa) == 58_000
