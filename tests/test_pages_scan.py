"""A citizen at a counter on a phone: scans what the till shows from a photo, pays it, and sees what came back.

Rows    82, 87 and 88 of the register of attacks.
"""

import io
from collections.abc import Iterator

import pytest
import segno
from playwright.sync_api import Page, expect

from market import qr
from tests import pages
from tests.make import Signer
from tests.pages import House

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def house(template, postgres, worker, tmp_path_factory, browser) -> Iterator[House]:
    with pages.house(template, postgres, worker, tmp_path_factory.mktemp("scan"), browser) as made:
        yield made


def picture(*texts: str) -> bytes:
    """A photo of the symbols of these texts, beside one another."""
    drawn = io.BytesIO()
    assert len(texts) == 1
    segno.make_qr(texts[0], error="m").save(drawn, kind="png", scale=6, border=4)
    return drawn.getvalue()


def upload(page: Page, content: bytes, name: str = "ma.png", kind: str = "image/png") -> None:
    page.locator("#scan-photo").set_input_files([{"name": name, "mimeType": kind, "buffer": content}])


def test_look(house: House) -> None:
    from tests.test_charges import a_stall
    hoa = house.city.citizen("Nguyễn Thị Hoa", available=100_000)
    stall = a_stall(house.city)
    page = house.enters(hoa, device=True)
    page.on("console", lambda m: print("CONSOLE", m.text))
    page.on("pageerror", lambda m: print("ERROR", m))
    page.screenshot(path="/tmp/S/home.png", full_page=True)
    page.get_by_role("link", name="Quét mã để trả tiền").click()
    expect(page.locator("body")).to_have_attribute("data-scan", "none")
    page.screenshot(path="/tmp/S/scan.png", full_page=True)
    bank = qr.encode(qr.MerchantFields(initiation=qr.fields.Initiation.STATIC, vietqr=qr.fields.VietQR("970436", "0123456789", qr.fields.Service.ACCOUNT), currency="704", country="VN"))
    upload(page, picture(bank))
    expect(page.locator("#told-h")).to_be_visible()
    page.screenshot(path="/tmp/S/bank.png", full_page=True)
    page.goto("/quet")
    upload(page, b"no picture")
    expect(page.locator("body")).to_have_attribute("data-scan", "no_picture")
    serial = house.ask("SELECT serial FROM market.point WHERE id = %s", stall.point)[0][0]
    page.get_by_label("Hoặc nhập mã").fill(serial.lower())
    page.get_by_role("button", name="Tiếp tục").click()
    for key in "35":
        page.locator(f'[data-key="{key}"]').click()
    page.locator('[data-key="000"]').click()
    page.screenshot(path="/tmp/S/amount.png", full_page=True)
    page.get_by_role("button", name="Tiếp tục").click()
    pages.ready(page)
    page.screenshot(path="/tmp/S/pay.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.screenshot(path="/tmp/S/pay-w.png", full_page=True)
    page.goto("/quet")
    expect(page.locator("body")).to_have_attribute("data-scan", "none")
    page.screenshot(path="/tmp/S/scan-w.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/ma-thanh-toan")
    page.screenshot(path="/tmp/S/present.png", full_page=True)
    page.get_by_role("button", name="Ký và hiện mã").click()
    expect(page.locator("#present-code")).to_be_visible()
    page.wait_for_timeout(1500)
    page.screenshot(path="/tmp/S/present2.png", full_page=True)
    code = page.locator("#present-digits").inner_text().replace(" ", "")
    from tests.test_charges import charges
    machine = pages.machine_of(stall.cashier)
    reply = machine.act("/v1/charges", "charge", point=stall.point, amount="35000", code=code, invoice="")
    assert reply.status == 201, reply.body
    page.wait_for_url("**/xac-nhan/**")
    page.screenshot(path="/tmp/S/confirm.png", full_page=True)
    page.goto("/lich-su")
    page.screenshot(path="/tmp/S/history.png", full_page=True)
