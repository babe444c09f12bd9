"""What a scan leads to, by the doors: the registry's payee, a refusal with its own sentence, or an explanation.

Rows    22, 25, 42, 82, 87 and 88 of the register of attacks.
"""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from market import codes, qr, stickers
from market.qr import tlv
from market.qr.fields import Initiation, MerchantFields, Service, VietQR
from tests import pages, selling
from tests.attack import nothing_moved
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, words_of
from tests.selling import Shop
from tests.test_mandates import a_code, signs
from wallet import words


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


@pytest.fixture(scope="module")
def stall(town: City) -> Shop:
    return selling.shop(town, "Bún bò O Xuân")


@pytest.fixture(scope="module")
def hoa(town: City) -> Signer:
    return town.citizen("Nguyễn Thị Hoa", available=100_000)


@pytest.fixture(scope="module")
def phone(town: City, hoa: Signer) -> Visitor:
    return Visitor(town).enter(hoa)


def scanned(phone: Visitor, text: str) -> TestResponse:
    with nothing_moved(phone.city):
        return phone.post("/quet", {"text": text})


def refused(reply: TestResponse, status: int, code: str) -> None:
    """Assert that the page says this refusal's three sentences, and that nothing was opened."""
    assert reply.status_code == status
    told, page = words.refusal(code, "vi"), words_of(reply)
    assert told.title in page
    assert told.safe in page
    assert told.next in page


def sticker(stall: Shop) -> str:
    return codes.of_point(stall.point, city="Huế", demo=True)


def forged(text: str, old: str, new: str) -> str:
    """A code that somebody changed, with a checksum that fits."""
    assert old in text
    changed = text.replace(old, new)[:-4]
    return changed + tlv.crc(changed)


# -- to whom it leads ------------------------------------------------------------------------------------------


def test_a_sticker_and_its_serial_and_its_address_lead_to_the_same_point(
    phone: Visitor, stall: Shop, town: City
) -> None:
    serial = stall.point.serial
    typed = (sticker(stall), serial, f" {serial[:4].lower()}-{serial[4:]} ", f"{town.config.public_origin}/q/{serial}")
    assert {scanned(phone, text).location for text in typed} == {f"/quet/diem/{serial}"}
    page = words_of(phone.get(f"/quet/diem/{serial}"))
    assert "Bún bò O Xuân" in page
    assert "20 Chi Lăng" in page


def test_a_stickers_address_is_followed_only_with_a_tag_of_ours(phone: Visitor, stall: Shop, town: City) -> None:
    """Row 87: a sticker that somebody else printed leads to the page that says so."""
    ours = stickers.address(stall.point, origin=town.config.public_origin, secret=town.config.server_secret)
    assert scanned(phone, ours).location == f"/quet/diem/{stall.point.serial}"
    false = scanned(phone, ours[:-1] + ("0" if ours[-1] != "0" else "1")).location
    page = phone.get(false)
    assert "Tem này không phải do chúng tôi in" in words_of(page)
    assert "pay-here" not in page.text
    assert "pay-here" in phone.get(ours.removeprefix(town.config.public_origin)).text


def test_an_invoice_leads_to_its_sheet_by_code_and_by_number(phone: Visitor, stall: Shop) -> None:
    asked = stall.invoice(35_000, memo="{{7*7}} <script>alert(1)</script>").json()
    for text in (stall.read(asked["invoice"])["qr"], asked["number"].lower()):
        reply = scanned(phone, text)
        assert reply.location.startswith(f"/quet/xac-nhan?hoa-don={asked['number']}&order=")
        shown = phone.get(reply.location)
        assert "{{7*7}} <script>alert(1)</script>" in words_of(shown), "row 25: shown as it was written"
        assert "<script>alert(1)" not in shown.text
        assert '"amount": "35000"' in shown.text


def test_a_persons_code_leads_to_a_transfer_by_their_account(phone: Visitor, town: City) -> None:
    minh = town.citizen("Trần Quang Minh")
    mine = Visitor(town).enter(minh)
    order = pages.value_of(mine.get("/nhan-tien"), "order_id", action="/nhan-tien/ma")
    mine.post("/nhan-tien/ma", {"order_id": order})
    with town.engine.connect() as connection:
        own = sa.text("SELECT code FROM identity.payee_code WHERE holder = :one AND ended_at IS NULL")
        code = connection.execute(own, {"one": minh.holder}).scalar_one()
    assert phone.post("/quet", {"text": code}).location == f"/chuyen-tien?payee={minh.account}"
    assert phone.post("/quet", {"text": minh.phone}).location == f"/chuyen-tien?payee={minh.account}"


# -- what is refused ---------------------------------------------------------------------------------------------


def test_a_changed_amount_is_refused_though_the_checksum_fits(phone: Visitor, stall: Shop) -> None:
    """Row 87."""
    text = stall.read(stall.asks(35_000))["qr"]
    refused(scanned(phone, forged(text, "540535000", "540595000")), 409, "scan_amount_changed")


def test_a_point_under_anothers_name_is_refused(phone: Visitor, stall: Shop, town: City) -> None:
    """Row 87: a sticker that joins one merchant to another's point."""
    other = selling.shop(town, "Chè hẻm")
    text = forged(sticker(stall), stall.merchant.hex, other.merchant.hex)
    refused(scanned(phone, text), 409, "scan_merchant_differs")
    asked = stall.read(stall.asks(20_000))["qr"]
    refused(scanned(phone, forged(asked, stall.merchant.hex, other.merchant.hex)), 409, "scan_merchant_differs")
    refused(scanned(phone, forged(asked, stall.points[0].hex, other.points[0].hex)), 404, "invoice_not_found")


def test_a_revoked_point_is_refused(phone: Visitor, town: City) -> None:
    """Row 87."""
    gone = selling.shop(town)
    text = sticker(gone)
    with town.engine.begin() as unit:
        unit.execute(sa.text("UPDATE market.point SET revoked_at = now() WHERE id = :one"), {"one": gone.points[0]})
    refused(scanned(phone, text), 409, "point_closed")
    refused(phone.get(f"/quet/diem/{gone.point.serial}"), 409, "point_closed")


def test_an_invoice_that_is_paid_cancelled_or_expired_is_refused(
    phone: Visitor, stall: Shop, town: City, hoa: Signer
) -> None:
    """Rows 42 and 87."""
    paid, gone, late = (stall.invoice(10_000).json() for _ in range(3))
    texts = [stall.read(one["invoice"])["qr"] for one in (paid, gone, late)]
    assert stall.pay(hoa, paid["invoice"]).status == 201
    assert stall.owner.act(
        f"/v1/invoices/{gone['invoice']}/cancel", "invoice_cancel", invoice=gone["invoice"]
    ).status in (200, 201)
    with town.database.superuser() as owner:
        owner.execute(
            "UPDATE market.invoice SET made_at = made_at - interval '1 day', expires_at = expires_at - interval '1 day'"
            " WHERE id = %s",
            [late["invoice"]],
        )
    for text, code in zip(texts, ("invoice_paid", "invoice_cancelled", "invoice_expired"), strict=True):
        refused(scanned(phone, text), 409, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [("ZZZZZZZZ", "point_not_found"), ("ZZZZZZZZZZ", "invoice_not_found"), ("123456780", "payee_code_mistyped")],
)
def test_what_nobody_registered_is_refused(phone: Visitor, text: str, code: str) -> None:
    refused(scanned(phone, text), 422 if "payee" in code else 404, code)


# -- what is explained -------------------------------------------------------------------------------------------


BANK = MerchantFields(
    initiation=Initiation.STATIC,
    vietqr=VietQR("970436", "0123456789", Service.ACCOUNT),
    currency="704",
    country="VN",
    mcc="5812",
    name="<B>VIETCOMBANK</B>",
    city="HUE",
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (qr.encode(BANK), "Đây là mã chuyển khoản ngân hàng (VietQR). Ví Tràng Tiền chưa trả được"),
        (qr.encode(BANK), "<B>VIETCOMBANK</B>"),
        (qr.encode(replace(BANK, vietqr=VietQR("970499", "1", Service.ACCOUNT))), "Chưa rõ (số nhận diện 970499)"),
        (qr.encode(replace(BANK, vietqr=VietQR("970406", "1", Service.ACCOUNT))), "(chưa kiểm chứng đủ)"),
        (qr.encode(BANK).replace("0123456789", "0123456780"), "Nội dung mã đã bị thay đổi."),
        ("00" * 2000, "Mã này quá dài, không phải mã thanh toán."),
        ("https://evil.example/x", "evil.example"),
        ("TRANGTIEN:482173091562", "Đây là mã trả tiền một lần của một người mua."),
        ("{{7*7}}", "Chúng tôi không nhận ra mã này."),
    ],
)
def test_other_codes_are_explained(phone: Visitor, text: str, says: str) -> None:
    reply = scanned(phone, text)
    assert reply.status_code == 200
    assert says in words_of(reply)
    assert "<B>" not in reply.text


def test_another_environments_sticker_is_told_as_such(phone: Visitor, stall: Shop) -> None:
    """Row 87: a real city's code in the demo."""
    text = codes.of_point(stall.point, city="Huế", demo=False)
    assert "Mã này thuộc một hệ thống khác." in words_of(scanned(phone, text))


# -- how it is asked -----------------------------------------------------------------------------------------------


def test_nothing_is_scanned_for_another_site_or_without_a_session(town: City, phone: Visitor, stall: Shop) -> None:
    """Row 88."""
    assert phone.post("/quet", {"text": sticker(stall)}, Origin="https://evil.example").status_code == 403
    assert Visitor(town).get("/quet").location.startswith("/dang-nhap")


def test_only_the_scan_page_may_compile(phone: Visitor) -> None:
    assert "script-src 'self' 'wasm-unsafe-eval';" in phone.get("/quet").headers["Content-Security-Policy"]
    for path in ("/", "/ma-thanh-toan", "/quet/xac-nhan"):
        assert "wasm-unsafe-eval" not in phone.get(path).headers["Content-Security-Policy"], path


def test_what_a_cashier_signs_stands_on_another_page_than_what_reads_the_code(
    phone: Visitor, town: City, stall: Shop
) -> None:
    """Row 82, and no script of others where something is signed."""
    path, code = f"/ban-hang/quay/{stall.points[0]}/ma-khach", a_code()
    till = Visitor(town).enter(stall.owner)
    assert "wasm-unsafe-eval" in till.get(path).headers["Content-Security-Policy"]
    sheet = till.post(path, {"so-tien": "42.000", "text": f"trangtien:{code}"})
    assert "wasm-unsafe-eval" not in sheet.headers["Content-Security-Policy"]
    assert f'"code": "{code}"' in sheet.text
    assert '"amount": "42000"' in sheet.text
    wrong = till.post(path, {"so-tien": "", "text": "123"})
    assert wrong.status_code == 422
    assert pages.error_at(wrong, "so-tien")
    assert pages.error_at(wrong, "text")
    assert phone.get(path).status_code == phone.post(path, {"so-tien": "1", "text": code}).status_code == 404
    assert till.get(f"/ban-hang/quay/{stall.points[0]}/da-thu/{uuid4()}").status_code == 404


def test_what_reads_codes_comes_from_here_and_as_what_it_is(phone: Visitor) -> None:
    with phone.get("/static/vendor/zxing-wasm/reader/zxing_reader.wasm") as reply:
        assert (reply.status_code, reply.content_type) == (200, "application/wasm")


@pytest.mark.parametrize("number", ["%00", "A%00BCDEFGHI", "%25", "ê" * 10])
def test_a_number_that_no_invoice_can_have_is_not_found(phone: Visitor, number: str) -> None:
    """Not an error of the database."""
    assert phone.get(f"/quet/xac-nhan?hoa-don={number}").status_code == 404


@pytest.mark.parametrize("typed", ["", "abc", "-5", "1.25", "0", "1e5", "٣٥", "9" * 20])
def test_an_amount_that_is_none_is_asked_for_again(phone: Visitor, stall: Shop, typed: str) -> None:
    reply = phone.post(f"/quet/diem/{stall.point.serial}", {"so-tien": typed})
    assert reply.status_code == 422
    assert pages.error_at(reply, "so-tien")


def test_a_sheet_that_was_signed_leads_to_its_confirmation(phone: Visitor, stall: Shop, hoa: Signer) -> None:
    sheet = f"/quet/xac-nhan?diem={stall.point.serial}&so-tien=5000"
    first = phone.get(sheet)
    assert first.location.startswith(f"{sheet}&order=")
    order = first.location.rpartition("=")[2]
    body = hoa.order(
        "point_payment", payer=hoa.account, payee=stall.account, point=str(stall.points[0]), amount="5000", memo=""
    )
    content = body.replace(body.split(b'"id":"')[1][:36], order.encode())
    assert hoa.send("POST", "/v1/point-payments", content).status == 201
    assert phone.get(first.location).location == f"/xac-nhan/{order}"
    page = words_of(phone.get(f"/xac-nhan/{order}"))
    assert "Trả cho Bún bò O Xuân" in page
    assert phone.get(f"/xac-nhan/{order}/xac-nhan.pdf").status_code == 200


def test_a_one_time_code_is_drawn_for_its_holder_alone_and_while_it_lives(
    town: City, phone: Visitor, hoa: Signer
) -> None:
    """Row 82."""
    order = signs(hoa).json()["order"]
    drawn = phone.get(f"/ma-thanh-toan/{order}.svg")
    assert (drawn.status_code, drawn.headers["Cache-Control"]) == (200, "no-store")
    assert Visitor(town).enter(town.citizen()).get(f"/ma-thanh-toan/{order}.svg").status_code == 404
    assert phone.get(f"/ma-thanh-toan/{uuid4()}.svg").status_code == 404
    assert phone.get(f"/xac-nhan/{order}").status_code == 404, "nobody has charged it"
    signs(hoa)
    assert phone.get(f"/ma-thanh-toan/{order}.svg").status_code == 404, "a newer one has ended it"
