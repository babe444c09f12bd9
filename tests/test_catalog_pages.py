"""The market's pages and its public API: what anybody sees, what a stall changes by forms, what an operator takes down."""

import html
import io
import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from PIL import Image

from market.catalog import sheet
from tests.make import City
from tests.pages import Visitor, error_at, value_of, words_of
from tests.stalls import Stall, Stalls
from wallet import clock
from wallet.identity.roles import Role

HEAD = ",".join(sheet.COLUMNS.values())


@pytest.fixture(scope="module")
def stalls(database):
    with City(database) as city:
        yield Stalls(city)


@pytest.fixture(scope="module")
def stall(stalls: Stalls) -> Stall:
    made = stalls.stall("Quầy mệ Tôn", area="19777")
    made.offers("Mè xửng sợi Tôn", price=27_000, unit="pack", description="Gói giấy dầu", gtin="4006381333931")
    return made


@pytest.fixture(scope="module")
def anybody(stalls) -> Visitor:
    return Visitor(stalls.city)


@pytest.fixture(scope="module")
def owner(stall) -> Visitor:
    return Visitor(stall.city).enter(stall.owner)


def photo(size=(800, 600), color=(120, 40, 90), **options) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "JPEG", **options)
    return out.getvalue()


def only(stall: Stall) -> UUID:
    with stall.city.engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT id FROM market.product WHERE merchant = %s ORDER BY id", (stall.holder,)
        )
        return UUID(str(row.scalars().first()))


# ---- who comes by ---------------------------------------------------------------------------------------------------


def test_a_newcomer_types_me_xung_and_finds_it_the_stall_and_its_price(anybody, stall):
    page = anybody.get("/cho?q=me+xung+soi")
    text = words_of(page)
    assert page.status_code == 200
    for wanted in ("Mè xửng sợi Tôn", "27.000 ₫", "/ gói", "Quầy mệ Tôn", "Đang mở"):
        assert wanted in text, wanted
    product = anybody.get(f"/cho/san-pham/{only(stall)}")
    for wanted in ("Mè xửng sợi Tôn", "27.000 ₫", "2 Trần Hưng Đạo", "Gói giấy dầu", "4006381333931"):
        assert wanted in words_of(product), wanted
    assert "Mè xửng sợi Tôn" in words_of(anybody.get(f"/cho/gian/{stall.code}"))


def test_what_is_not_there_says_so(anybody):
    assert "Chưa thấy món nào như vậy" in words_of(anybody.get("/cho?q=zzzzzz"))


def test_what_is_near_is_said_to_be_near(anybody):
    assert "Đây là những món gần nhất" in words_of(anybody.get("/cho?q=xugn+ton"))


@pytest.mark.parametrize(
    "path",
    [
        "/cho?sau=x",
        "/cho?sau=1.0.1.zz",
        *(
            f"/v1/catalog/products?{wrong}"
            for wrong in ("cursor=x", "rows=0", "rows=101", "rows=-1", "open=yes", "merchant=x")
        ),
    ],
)
def test_a_forged_page_or_an_unbounded_one_is_400(anybody, path):
    """Row 22."""
    assert anybody.get(path).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/cho/san-pham/00000000-0000-7000-8000-000000000001",
        "/cho/san-pham/x",
        "/cho/gian/khong-co",
        "/cho/anh/" + "a" * 64 + ".webp",
        "/cho/anh/../../etc/passwd",
        "/cho/anh/x.svg",
        "/sitemap/x.xml",
        "/v1/catalog/merchants/00000000-0000-7000-8000-000000000001",
    ],
)
def test_what_nobody_offers_is_404(anybody, path):
    assert anybody.get(path).status_code == 404


def test_a_name_cannot_end_the_script_that_machines_read(anybody, stalls):
    """Row 25: HTML and scripts in what sellers write."""
    evil = "</script><script>alert(1)</script> {{7*7}} \"'<!--"
    stall = stalls.stall("<b>Quầy</b> & 'tôi'")
    product = stall.offers(evil, description="<img src=x onerror=alert(1)>")
    for path in (f"/cho/san-pham/{product}", f"/cho/gian/{stall.code}", "/cho?q=alert"):
        text = anybody.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>Quầy" not in text
        assert "49" not in re.sub(r"\d{3,}", "", text) or "{{7*7}}" in text
    linked = re.search(
        r'<script type="application/ld\+json">(.*?)</script>', anybody.get(f"/cho/san-pham/{product}").text, re.DOTALL
    )
    assert linked is not None
    assert json.loads(linked[1])["name"] == evil


def test_machines_read_the_product_its_price_and_its_stall(anybody, stall):
    text = anybody.get(f"/cho/san-pham/{only(stall)}").text
    linked = json.loads(re.search(r"ld\+json\">(.*?)</script>", text, re.DOTALL)[1])  # type: ignore[index]
    assert (linked["@type"], linked["offers"]["@type"]) == ("Product", "Offer")
    assert (linked["offers"]["price"], linked["offers"]["priceCurrency"]) == (27_000, "VND")
    assert linked["offers"]["availability"].endswith("InStock")
    assert linked["gtin13"] == "4006381333931"
    assert linked["offers"]["seller"]["name"] == "Quầy mệ Tôn"
    text = anybody.get(f"/cho/gian/{stall.code}").text
    linked = json.loads(re.search(r"ld\+json\">(.*?)</script>", text, re.DOTALL)[1])  # type: ignore[index]
    assert linked["address"]["addressLocality"] == "Phường Vỹ Dạ"
    assert len(linked["openingHoursSpecification"]) == 7


def test_the_sitemap_leads_to_every_shown_product_and_no_hidden_one(anybody, stalls):
    stall = stalls.stall("Quầy trong sơ đồ")
    there, gone = stall.offers("Quạt sơ đồ"), stall.offers("Quạt ngừng bán")
    stall.archives(gone)
    index = anybody.get("/sitemap.xml")
    assert index.content_type.startswith("application/xml")
    parts = re.findall(r"<loc>http://localhost:8000(/[^<]+)</loc>", index.text)
    listed = "".join(anybody.get(part).text for part in parts)
    assert f"/cho/san-pham/{there}<" in listed
    assert f"/cho/gian/{stall.code}<" in listed
    assert str(gone) not in listed
    assert "Sitemap: http://localhost:8000/sitemap.xml" in anybody.get("/robots.txt").text


# ---- the API --------------------------------------------------------------------------------------------------------


def test_anybodys_program_searches_pages_and_asks_whether_it_still_holds(anybody, stall):
    for number in range(3):
        stall.offers(f"Quạt trúc chỉ {number}")
    first = anybody.get(f"/v1/catalog/products?q=quat+truc+chi&rows=2&merchant={stall.holder}")
    assert (len(first.json["rows"]), first.json["nearness"]) == (2, "exact")
    row = first.json["rows"][0]
    assert (row["price"], row["unit"], row["merchant_code"]) == ("25000", "pack", stall.code)
    assert row["places"][0]["open_until"] is not None
    rest = anybody.get(
        f"/v1/catalog/products?q=quat+truc+chi&rows=2&merchant={stall.holder}&cursor={first.json['next']}"
    )
    assert (len(rest.json["rows"]), rest.json["next"]) == (1, "")
    again = anybody.get(
        f"/v1/catalog/products?q=quat+truc+chi&rows=2&merchant={stall.holder}",
        **{"If-None-Match": first.headers["ETag"]},
    )
    assert (again.status_code, again.data) == (304, b"")
    assert "no-store" not in first.headers["Cache-Control"]
    one = anybody.get(f"/v1/catalog/merchants/{stall.holder}").json
    assert one == anybody.get(f"/v1/catalog/merchants/{stall.code}").json
    assert (one["name"], one["places"][0]["hours"]["1"]) == ("Quầy mệ Tôn", [["00:00", "24:00"]])


# ---- a stall's own pages --------------------------------------------------------------------------------------------


def test_an_owner_offers_a_product_with_a_photo_and_everybody_sees_it(owner, anybody, stall):
    asked = owner.get(f"/ban-hang/san-pham/moi?gian={stall.code}")
    form = {name: value_of(asked, name) for name in ("gian", "order_id", "product", "version")}
    form |= {
        "name": "Nón có ảnh",
        "price": "65.000 đ",
        "unit": "piece",
        "category": "thu-cong",
        "description": "Hai\r\ndòng",
    }
    sent = form | {"picture": (io.BytesIO(photo(comment=b"SECRET")), "../../x.svg")}
    done = owner.post("/ban-hang/san-pham", sent)
    assert done.status_code == 303, error_at(done, "name") or words_of(done)
    page = anybody.get(f"/cho/san-pham/{form['product']}")
    assert "65.000 ₫" in words_of(page)
    (address,) = set(re.findall(r'<img src="(/cho/anh/[0-9a-f]{64}\.webp)"', page.text))
    picture = anybody.get(address)
    assert picture.content_type == "image/webp"
    assert "immutable" in picture.headers["Cache-Control"]
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert b"SECRET" not in picture.data
    assert anybody.get(address, **{"If-None-Match": picture.headers["ETag"]}).status_code == 304
    again = owner.post("/ban-hang/san-pham", form | {"picture": (io.BytesIO(photo(comment=b"SECRET")), "a")})
    assert again.status_code == 303  # the same form again is the same order
    kept = owner.get(f"/ban-hang/san-pham/{form['product']}")
    form |= {"order_id": value_of(kept, "order_id", action="/ban-hang/san-pham"), "version": "1", "price": "70000"}
    assert owner.post("/ban-hang/san-pham", form).status_code == 303
    page = anybody.get(f"/cho/san-pham/{form['product']}")
    assert "70.000 ₫" in words_of(page)
    assert address in page.text
    prices = words_of(owner.get(f"/ban-hang/san-pham/{form['product']}"))
    assert "65.000 ₫" in prices
    assert "70.000 ₫" in prices


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("price", "1,5", "Giá này không đọc được"),
        ("name", "…", "không có chữ hay số"),
        ("gtin", "4006381333932", "Mã vạch này không đúng"),
        ("category", "la", "Không có loại hàng này"),
        ("unit", "thùng", "Không có đơn vị này"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(owner, stall, field, value, said):
    asked = owner.get(f"/ban-hang/san-pham/moi?gian={stall.code}")
    form = {name: value_of(asked, name) for name in ("gian", "order_id", "product", "version")}
    form |= {"name": "Nón thử", "price": "65000", "unit": "piece", "category": "thu-cong", field: value}
    answer = owner.post("/ban-hang/san-pham", form)
    assert answer.status_code == 422
    assert said in error_at(answer, field)
    if field != "name":
        assert value_of(answer, "name") == "Nón thử"


@pytest.mark.parametrize(
    "evil", [b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', b"<html>", b"GIF89a;"]
)
def test_a_picture_that_carries_a_script_is_refused_at_its_field(owner, stall, evil):
    asked = owner.get(f"/ban-hang/san-pham/moi?gian={stall.code}")
    form = {name: value_of(asked, name) for name in ("gian", "order_id", "product", "version")}
    form |= {"name": "Ảnh lạ", "price": "65000", "unit": "piece", "category": "thu-cong"}
    answer = owner.post("/ban-hang/san-pham", form | {"picture": (io.BytesIO(evil), "a.jpg", "image/jpeg")})
    assert answer.status_code == 422
    assert "không phải ảnh" in error_at(answer, "photo")


def test_a_body_beyond_any_photo_is_413(owner, stall):
    body, kind = bytes(11 * 1024 * 1024), "multipart/form-data; boundary=x"
    assert owner.post("/ban-hang/san-pham", body, **{"Content-Type": kind}).status_code == 413


def test_a_cashier_reports_what_is_sold_out_with_one_tap_and_edits_nothing(stall, anybody):
    cashier = Visitor(stall.city).enter(stall.employs("cashier"))
    product = stall.offers("Bánh ép Thuận An")
    page = cashier.get(f"/ban-hang/san-pham?gian={stall.code}")
    order = value_of(page, "order_id", action=f"/ban-hang/san-pham/{product}/het")
    assert cashier.post(f"/ban-hang/san-pham/{product}/het", {"order_id": order, "value": "1"}).status_code == 303
    assert "Hết hàng" in words_of(anybody.get(f"/cho/san-pham/{product}"))
    assert cashier.get(f"/ban-hang/san-pham/moi?gian={stall.code}").status_code == 403
    assert cashier.get(f"/ban-hang/nhap?gian={stall.code}").status_code == 403


def test_who_works_elsewhere_sees_and_changes_nothing_of_a_stall(stalls, stall):
    """Row 82: each address with another's ids."""
    stranger = Visitor(stalls.city).enter(stalls.stall("Quầy người khác").owner)
    nobody = Visitor(stalls.city).enter(stalls.city.citizen())
    product = only(stall)
    for visitor in (stranger, nobody):
        addresses = ("san-pham?gian", "nhap?gian", "san-pham/xuat.csv?gian")
        for path in (f"/ban-hang/san-pham/{product}", *(f"/ban-hang/{one}={stall.code}" for one in addresses)):
            assert visitor.get(path).status_code == 404, path
        form = {
            "gian": stall.code,
            "order_id": str(uuid4()),
            "product": str(product),
            "version": "1",
            "name": "Của tôi",
        }
        assert visitor.post("/ban-hang/san-pham", form).status_code == 404
        assert (
            visitor.post(f"/ban-hang/san-pham/{product}/het", {"order_id": str(uuid4()), "value": "1"}).status_code
            == 404
        )
        assert visitor.post("/ban-hang/nhap", {"gian": stall.code, "content": HEAD}).status_code == 404
    own = value_of(stranger.get("/ban-hang/san-pham/moi"), "gian")
    form = {"gian": own, "order_id": str(uuid4()), "product": str(product), "version": "1", "name": "Của tôi"}
    assert stranger.post("/ban-hang/san-pham", form).status_code == 404


def test_a_spreadsheet_is_looked_at_before_anything_is_written(owner, stall):
    before = stall.city.count("market.product")
    bad = f"{HEAD}\nN1,Kẹo tệp,Đặc sản Huế,hai chục,gói,,,\nN2,Kẹo tệp hai,Đặc sản Huế,20000,thùng,,,\n"
    answer = owner.post("/ban-hang/nhap/xem", {"gian": stall.code, "sheet": (io.BytesIO(bad.encode()), "a.csv")})
    text = words_of(answer)
    assert answer.status_code == 422
    for wanted in ("2 ô cần sửa", "Giá này không đọc được", "Không có đơn vị này"):
        assert wanted in text, wanted
    good = f'\ufeff{HEAD}\r\nN1,=Kẹo tệp,Đặc sản Huế,20.000,gói,,còn,"Hai\ndòng"\r\nN2,Kẹo tệp hai,banh,30000,hộp,,hết,\r\n'
    looked = owner.post("/ban-hang/nhap/xem", {"gian": stall.code, "sheet": (io.BytesIO(good.encode()), "a.csv")})
    assert looked.status_code == 200, words_of(looked)
    assert "Sẽ thêm 2, sửa 0, giữ nguyên 0." in words_of(looked)
    assert stall.city.count("market.product") == before
    form = {name: value_of(looked, name, action="/ban-hang/nhap") for name in ("gian", "order_id", "digest")}
    content = re.search(r'<textarea name="content"[^>]*>(.*?)</textarea>', looked.get_data(as_text=True), re.DOTALL)
    assert content is not None
    said = html.unescape(content[1])
    form["content"] = said
    changed = owner.post("/ban-hang/nhap", form | {"content": said.replace("20000", "2")})
    assert changed.status_code == 409
    assert stall.city.count("market.product") == before
    done = owner.post("/ban-hang/nhap", form)
    assert "Thêm 2, sửa 0, giữ nguyên 0." in words_of(done)
    assert stall.city.count("market.product") == before + 2
    again = owner.post("/ban-hang/nhap", form)
    assert "Thêm 2, sửa 0, giữ nguyên 0." in words_of(again)  # the same order: its stored outcome
    assert stall.city.count("market.product") == before + 2
    out = owner.get(f"/ban-hang/san-pham/xuat.csv?gian={stall.code}").get_data(as_text=True)
    assert "'=Kẹo tệp" in out


def test_a_file_that_is_no_spreadsheet_is_refused_at_its_field(owner, stall):
    for raw in (b"", b"PK\x03\x04\xff", "Tên,Giá\nA,1".encode()):
        answer = owner.post("/ban-hang/nhap/xem", {"gian": stall.code, "sheet": (io.BytesIO(raw), "a.csv")})
        assert answer.status_code == 422
        assert error_at(answer, "sheet")


def test_hours_are_set_on_the_phone_and_shown(stalls, anybody):
    stall = stalls.stall("Quầy giờ")
    keeper = Visitor(stalls.city).enter(stall.owner)
    address = f"/ban-hang/diem/{stall.code}/noi-ban"
    page = keeper.get(f"{address}?l={stall.locations[0]}")
    assert value_of(page, "hours_1") == "00:00-24:00"
    form = {name: value_of(page, name) for name in ("order_id", "location", "name", "address")} | {"area": "19777"}
    wrong = keeper.post(address, form | {"hours_2": "mở"})
    assert wrong.status_code == 422
    assert "Giờ mở cửa chưa đúng" in words_of(wrong)
    assert keeper.post(address, form | {"hours_7": "6-11, 17:00-1:00", "closed_days": "2027-02-10"}).status_code == 303
    assert "06:00-11:00, 17:00-01:00" in words_of(anybody.get(f"/cho/gian/{stall.code}"))
    assert value_of(keeper.get(f"{address}?l={stall.locations[0]}"), "hours_7") == "06:00-11:00, 17:00-01:00"


# ---- reports and takedowns ------------------------------------------------------------------------------------------


def test_a_reported_product_is_taken_down_with_a_reason_that_its_seller_reads(stalls, anybody):
    city, stall = stalls.city, stalls.stall("Quầy bị báo")
    product = stall.offers("Túi hiệu giá rẻ")
    citizen, keeper = Visitor(city).enter(city.citizen()), Visitor(city).enter(stall.owner)
    operator = Visitor(city).enter(city.person("Võ Thanh Tâm", Role.OPERATOR))
    page = citizen.get(f"/cho/san-pham/{product}")
    form = {"order_id": value_of(page, "order_id"), "cause": "counterfeit", "note": "Hiệu <b>giả</b>"}
    assert citizen.post(f"/cho/san-pham/{product}/bao", form | {"cause": ""}).status_code == 422
    assert citizen.post(f"/cho/san-pham/{product}/bao", form).status_code == 303
    own = {"order_id": value_of(page, "order_id"), "cause": "other", "note": ""}
    assert keeper.post(f"/cho/san-pham/{product}/bao", own | {"order_id": _fresh(citizen, product)}).status_code == 303
    queue = operator.get("/van-hanh/san-pham")
    assert "Túi hiệu giá rẻ" in words_of(queue)
    assert "1 người báo" in words_of(queue)  # the seller's own word does not count
    assert "<b>giả" not in queue.text
    asked = operator.get(f"/van-hanh/san-pham/{product}")
    decision = {
        "order_id": value_of(asked, "order_id"),
        "hides": "1",
        "cause": "counterfeit",
        "reason": "Không có giấy của hãng.",
    }
    assert error_at(operator.post(f"/van-hanh/san-pham/{product}", decision | {"reason": " "}), "reason")
    assert operator.post(f"/van-hanh/san-pham/{product}", decision).status_code == 303
    assert anybody.get(f"/cho/san-pham/{product}").status_code == 404
    assert stalls.names("tui hieu gia re") == []
    assert "Không có giấy của hãng." in words_of(keeper.get(f"/ban-hang/san-pham/{product}"))
    waiting, _, down = words_of(operator.get("/van-hanh/san-pham")).partition("Đang bị gỡ")
    assert ("Túi hiệu" in waiting, "Túi hiệu" in down) == (False, True)
    again = operator.get(f"/van-hanh/san-pham/{product}")
    back = {"order_id": value_of(again, "order_id"), "hides": "0", "reason": "Đã bổ sung giấy."}
    assert operator.post(f"/van-hanh/san-pham/{product}", back).status_code == 303
    assert anybody.get(f"/cho/san-pham/{product}").status_code == 200
    with city.engine.connect() as connection:
        told = connection.exec_driver_sql(
            "SELECT type FROM ledger.event WHERE subject = %s ORDER BY seq", (str(product),)
        )
        kinds = [row.type for row in told]
    assert kinds == ["product.offered", "product.priced", "product.reported", "product.taken_down", "product.put_back"]
    second = operator.post(
        f"/van-hanh/san-pham/{product}",
        back | {"order_id": value_of(operator.get(f"/van-hanh/san-pham/{product}"), "order_id")},
    )
    assert second.status_code == 409  # it is shown, and nobody has reported it since


def _fresh(visitor: Visitor, product: UUID) -> str:
    return value_of(visitor.get(f"/cho/san-pham/{product}"), "order_id") or ""


def test_only_operators_decide(stalls, stall):
    """Row 86."""
    city = stalls.city
    product = only(stall)
    for signer in (city.citizen(), city.officer(), city.person("Phan Đình Khôi", Role.AUDITOR)):
        visitor = Visitor(city).enter(signer)
        assert visitor.get("/van-hanh/san-pham").status_code == 403
        form = {"order_id": str(uuid4()), "hides": "1", "cause": "other", "reason": "x"}
        assert visitor.post(f"/van-hanh/san-pham/{product}", form).status_code == 403
    assert Visitor(city).get(f"/cho/san-pham/{product}").status_code == 200


def test_reports_of_one_person_are_counted(stalls, stall):
    """Row 23: floods."""
    visitor, product = Visitor(stalls.city).enter(stalls.city.citizen()), only(stall)
    codes = [
        visitor.post(
            f"/cho/san-pham/{product}/bao", {"order_id": _fresh(visitor, product), "cause": "other", "note": ""}
        ).status_code
        for _ in range(11)
    ]
    assert codes == [303] * 10 + [429]


def test_a_form_from_elsewhere_is_refused(owner, stall):
    form = {"gian": stall.code, "order_id": str(uuid4()), "product": str(uuid4())}
    assert owner.post("/ban-hang/san-pham", form, Origin="https://evil.example").status_code == 403


def test_the_clock_of_the_page_decides_what_is_open(stalls, monkeypatch):
    day = {str(each): [["06:00", "11:00"]] for each in range(1, 8)}
    stall = stalls.stall("Quầy buổi sáng", hours=day)
    stall.offers("Xôi sáng sớm")
    at = datetime(2026, 11, 23, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: at)
    anybody = Visitor(stalls.city)
    assert "Đang mở, đến 11:00" in words_of(anybody.get(f"/cho/gian/{stall.code}"))
    assert "Xôi sáng sớm" in words_of(anybody.get("/cho?q=xoi+sang+som&mo=1"))
    monkeypatch.setattr(clock, "now", lambda: at + timedelta(hours=4))
    assert "Đóng cửa, mở lại 06:00 ngày mai" in words_of(anybody.get(f"/cho/gian/{stall.code}"))
    assert "Xôi sáng sớm" not in words_of(anybody.get("/cho?q=xoi+sang+som&mo=1"))
