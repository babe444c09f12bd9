"""The confirmation as a PDF: read and scanned by programs of other make, and nothing in it is more than letters."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pypdf
import pytest
import zxingcpp
from flask import Flask
from pypdf.generic import ContentStream

from tests.databases import TestDatabase
from tests.make import City
from tests.test_attacks_amounts import Page
from wallet import money
from wallet.web import paper

ADDRESS = "http://localhost:8000/xac-minh/01M807V1WYFGZ9Q2M8X0A1B2C3"
ALPHABET = "aàáảãạăằắẳẵặâầấẩẫậbcdđeèéẻẽẹêềếểễệghiìíỉĩịklmnoòóỏõọôồốổỗộơờớởỡợpqrstuùúủũụưừứửữựvxyỳýỷỹỵ"
HOSTILE = "{{7*7}} {nb} <script>alert(1)</script> javascript:alert(1) **đậm** (\\) Tj /JS %%EOF"


def page_of(**changes: Any) -> dict[str, Any]:
    line = {
        "name": "Phí sao y",
        "amount": 1_001_005,
        "chuong": "825",
        "tieu_muc": "2716",
        "dia_ban": "19789",
        "tieu_muc_name": "Phí chứng thực",
        "area_name": "Phường Thuận Hóa",
    }
    bill = {
        "agency": "Ủy ban nhân dân phường Thuận Hóa", "procedure": "Chứng thực bản sao", "code": "AB2CD-34EFG",
        "dossier": "000.00.32.H57-261121-0001", "debtor_name": "Nguyễn Thị Hồng Hoa", "lines": [line],
        "amount": 1_001_005, "backs": [],
    }  # fmt: skip
    return {
        "kind": "bill_payment", "state": "done", "number": "01M80-7V1WY-FGZ9Q-2M8X0-A1B2C3", "address": ADDRESS,
        "order": {
            "id": "a211e946-18ee-4732-bf85-3242e00cec10", "at": datetime(2026, 11, 21, 3, 5, tzinfo=UTC),
            "payer_name": "Nguyễn Thị Hồng Hoa", "payer_account": "01a20076-689c-7f3e-aeac-3d223b3eef5f",
        },
        "total": 1_001_005, "total_words": money.in_words(1_001_005), "lines": [bill],
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def app(database: TestDatabase) -> Iterator[Flask]:
    with City(database) as city:
        assert city.app is not None
        yield city.app


def written(app: Flask, locale: str = "vi", **changes: Any) -> bytes:
    with app.test_request_context("/", headers={"Accept-Language": locale}):
        app.preprocess_request()
        return paper.confirmation(page_of(**changes), city="Thành phố Huế", demo=True)


def words(pdf: bytes) -> str:
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)
    return re.sub(r"\s+", " ", text)


def scanned(pdf: bytes) -> list[str]:
    """What a camera reads off the last sheet: its filled rectangles painted, eight pixels a millimetre."""
    page = pypdf.PdfReader(io.BytesIO(pdf)).pages[-1]
    scale = 8 * 25.4 / 72
    width, height = (int(float(side) * scale) for side in (page.mediabox.width, page.mediabox.height))
    image = bytearray([255]) * (width * height)
    assert page.get_contents() is not None
    for operands, operator in ContentStream(page.get_contents(), page.pdf).operations:
        if operator != b"re":
            continue
        x, y, w, h = (float(one) * scale for one in operands)
        low, high = sorted((height - y, height - y - h))
        for row in range(round(low), round(high)):
            image[row * width + round(x) : row * width + round(x + w)] = bytes(round(x + w) - round(x))
    found = zxingcpp.read_barcodes(memoryview(bytes(image)).cast("B", (height, width)))
    return [one.text for one in found]


def test_it_names_number_amount_in_figures_and_in_words_and_everything_that_was_paid(app: Flask) -> None:
    said = words(written(app))
    for shown in (
        "Xác nhận thanh toán", "21/11/2026 10:05", "1.001.005 ₫", "01M80-7V1WY-FGZ9Q-2M8X0-A1B2C3",
        "Một triệu không trăm linh một nghìn không trăm linh năm đồng", "Nguyễn Thị Hồng Hoa", "Chứng thực bản sao",
        "000.00.32.H57-261121-0001", "AB2CD-34EFG", "DỮ LIỆU MẪU",
        "Chương 825, tiểu mục 2716 Phí chứng thực, địa bàn Phường Thuận Hóa",
        "chưa phải là biên lai điện tử",
    ):  # fmt: skip
        assert shown in said, shown
    assert "Biên lai" not in said


def test_its_qr_code_leads_to_the_public_page(app: Flask) -> None:
    assert scanned(written(app)) == [ADDRESS]


def test_it_is_of_a5_and_goes_on_over_as_many_sheets_as_it_takes(app: Flask) -> None:
    one = page_of()["lines"][0]
    pdf = written(app, lines=[one] * 20)
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    assert {(round(float(p.mediabox.width)), round(float(p.mediabox.height))) for p in pages} == {(420, 595)}
    assert len(pages) > 1
    assert all("DỮ LIỆU MẪU" in page.extract_text() for page in pages)
    assert scanned(pdf) == [ADDRESS]
    assert len(pypdf.PdfReader(io.BytesIO(written(app))).pages) == 1


def test_every_letter_of_vietnamese_is_in_the_embedded_face(app: Flask) -> None:
    pdf = written(app, lines=[page_of()["lines"][0] | {"agency": ALPHABET, "procedure": ALPHABET.upper()}])
    said = words(pdf).replace(" ", "")
    assert ALPHABET in said
    assert ALPHABET.upper() in said
    pages: Any = pypdf.PdfReader(io.BytesIO(pdf)).pages
    fonts = [one.get_object() for page in pages for one in page["/Resources"]["/Font"].values()]
    descriptors = [one["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object() for one in fonts]
    assert all("/FontFile2" in one for one in descriptors)
    assert all("BeVietnamPro" in one["/FontName"] for one in descriptors)


def test_nothing_that_people_wrote_is_interpreted(app: Flask) -> None:
    """Rows 25 and 68: it is drawn letter by letter; no script, action, form, link, attachment or second revision."""
    bill = page_of()["lines"][0] | {"procedure": HOSTILE, "debtor_name": HOSTILE, "dossier": HOSTILE}
    pdf = written(app, lines=[bill])
    assert HOSTILE.replace(" ", "") in words(pdf).replace(" ", "")
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    root = reader.trailer["/Root"].get_object()
    forbidden = {"/AcroForm", "/Names", "/OpenAction", "/AA", "/JavaScript", "/EmbeddedFiles"}
    assert forbidden & (set(root) - {"/OpenAction"}) == set()  # type: ignore[call-overload]
    assert all("/Annots" not in page and "/AA" not in page for page in reader.pages)
    assert (pdf.count(b"%%EOF"), pdf.count(b"startxref")) == (1, 1)
    assert not re.search(rb"/(JS|JavaScript|Launch|URI|SubmitForm|EmbeddedFile)\b", pdf)


def test_a_transfer_names_the_payee_and_what_was_given_back_stands_on_a_bill(app: Flask) -> None:
    said = words(
        written(app, kind="transfer", lines=[], payee_name="T*** V** Bình", payee_account="x", memo="tiền chợ")
    )
    assert "Xác nhận chuyển tiền" in said
    assert "T*** V** Bình" in said
    assert "tiền chợ" in said
    back = page_of()["lines"][0] | {"backs": [{"day": date(2026, 11, 22), "amount": 4_000}]}
    assert "22/11/2026 4.000 ₫" in words(written(app, lines=[back]))


def test_it_is_written_in_the_readers_language(app: Flask) -> None:
    said = words(written(app, "en"))
    assert "Payment confirmation" in said
    assert "Quét mã" not in said


def test_the_same_payment_is_the_same_file(app: Flask) -> None:
    assert written(app) == written(app)


def test_it_is_downloaded_by_the_payer(database: TestDatabase) -> None:
    with City(database) as city:
        hoa = city.citizen(available=50_000)
        bill = city.bill(debtor=hoa)
        order = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).json()["order"]
        answer = Page(city, hoa).get(f"/xac-nhan/{order}/xac-nhan.pdf")
        assert (answer.status_code, answer.content_type) == (200, "application/pdf")
        assert "attachment" in answer.headers["Content-Disposition"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert order in words(answer.data)
        assert scanned(answer.data)[0].startswith(city.config.public_origin + "/xac-minh/")


def test_a_transfer_is_downloaded_too(database: TestDatabase) -> None:
    with City(database) as city:
        hoa, binh = city.citizen(available=50_000), city.citizen("Trần Văn Bình")
        said = {"payer": hoa.account, "payee": binh.account, "amount": "12345", "memo": "(tiền chợ) Tj <a href='x'>"}
        order = hoa.act("/v1/transfers", "transfer", **said).json()["order"]
        answer = Page(city, hoa).get(f"/xac-nhan/{order}/xac-nhan.pdf")
        assert (answer.status_code, answer.content_type) == (200, "application/pdf")
        told = words(answer.data)
        assert [one for one in (order, "Bình", "12.345", said["memo"]) if one not in told] == []
