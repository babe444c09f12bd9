"""Merchants: two officers, legal moves only, who may do what, places and points; and the pages on which all that is done."""

import itertools
import re
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from market import hours, merchants, points, qr, registry, stickers
from market.qr.fields import Environment
from market.registry import StaffRole
from tests import selling
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, value_of, words_of
from tests.selling import Shop
from tests.test_paper import scanned, words
from wallet import clock, ids
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.refusal import Refusal

STATES = ("applied", "reviewed", "returned", "approved", "refused", "suspended")


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city
        assert city.differences() == []


@pytest.fixture(scope="module")
def shop(city: City) -> Shop:
    return selling.shop(city, "Mè xửng Cầu Gia Hội")


@pytest.fixture(scope="module")
def officers(city: City) -> list[Signer]:
    return [city.person(name, Role.OPERATOR) for name in ("Võ Thanh Tâm", "Trương Quốc Bảo", "Lê Thị Ba")]


def state_of(city: City, merchant: UUID) -> str:
    with city.engine.connect() as connection:
        found = merchants.by_id(connection, merchant)
    assert found is not None
    return found.state


# -- two officers ---------------------------------------------------------------------------------------------


def test_one_officer_reviews_and_another_approves_and_then_there_is_an_account(
    city: City, officers: list[Signer]
) -> None:
    applied = selling.apply(city, city.citizen("Chủ Mới"))
    with pytest.raises(merchants.IllegalMove):
        selling.judge(city, officers[0], applied.merchant, "approved")
    selling.judge(city, officers[0], applied.merchant, "reviewed")
    with pytest.raises(merchants.SameOfficer):
        selling.judge(city, officers[0], applied.merchant, "approved")
    with pytest.raises(merchants.SameOfficer):
        selling.judge(city, officers[0], applied.merchant, "refused", "Không đủ giấy tờ")
    assert state_of(city, applied.merchant) == "reviewed"
    selling.judge(city, officers[1], applied.merchant, "approved")
    with city.engine.connect() as connection:
        found = merchants.by_id(connection, applied.merchant)
        steps = [(one.from_state, one.to_state) for one in merchants.reviews(connection, applied.merchant)]
    assert found is not None
    assert (found.state, found.account is not None) == ("approved", True)
    assert steps == [("applied", "reviewed"), ("reviewed", "approved")]


def test_an_officer_who_works_for_the_merchant_judges_nothing_of_it(city: City) -> None:
    owner = city.citizen("Cán Bộ Kiêm Chủ")
    applied = selling.apply(city, owner)
    with pytest.raises(merchants.SameOfficer):
        selling.judge(city, owner, applied.merchant, "reviewed")


def test_a_returned_application_is_mended_by_its_owner_alone(city: City, officers: list[Signer]) -> None:
    owner = city.citizen("Chủ Sửa Đơn")
    applied = selling.apply(city, owner, "Tên Sai")
    selling.judge(city, officers[0], applied.merchant, "returned", "Tên chưa rõ")
    with pytest.raises(registry.MerchantNotFound):
        selling.apply(city, city.citizen("Người Lạ"), "Tên Khác", merchant=applied.merchant)
    mended = selling.apply(city, owner, "Tên Đúng", merchant=applied.merchant)
    assert (mended.state, mended.code) == ("applied", applied.code)
    with pytest.raises(merchants.IllegalMove):
        selling.apply(city, owner, "Tên Nữa", merchant=applied.merchant)
    with city.engine.connect() as connection:
        found = merchants.by_id(connection, applied.merchant)
    assert found is not None
    assert found.name == "Tên Đúng"


def test_suspension_takes_one_officer_and_lifting_it_another(city: City, officers: list[Signer]) -> None:
    shop = selling.shop(city, "Quán Tạm Ngưng")
    shop.judge(officers[0], "suspended", "Bị tố giác")
    assert not shop.point.open
    with pytest.raises(merchants.SameOfficer):
        shop.judge(officers[0], "approved")
    shop.judge(officers[1], "approved")
    assert shop.point.open


PATHS: dict[str, tuple[str, ...]] = {
    "applied": (),
    "reviewed": ("reviewed",),
    "returned": ("returned",),
    "approved": ("reviewed", "approved"),
    "refused": ("reviewed", "refused"),
    "suspended": ("reviewed", "approved", "suspended"),
}


@pytest.mark.parametrize("stood", STATES)
def test_every_move_that_is_not_legal_is_refused(city: City, officers: list[Signer], stood: str) -> None:
    """Row 43: the full matrix; the database refuses alike, whoever asks."""
    applied = selling.apply(city, city.citizen("Chủ Ma Trận"))
    for officer, to in zip(itertools.cycle(officers), PATHS[stood], strict=False):
        selling.judge(city, officer, applied.merchant, to, "Lý do")
    for to in set(STATES) - {"applied"}:
        if (stood, to) not in merchants.MOVES:
            with pytest.raises(merchants.IllegalMove):
                selling.judge(city, officers[2], applied.merchant, to, "Lý do")
    assert state_of(city, applied.merchant) == stood


def test_of_two_officers_who_judge_at_once_one_does(city: City, officers: list[Signer]) -> None:
    applied = selling.apply(city, city.citizen("Chủ Đua"))
    selling.judge(city, officers[0], applied.merchant, "reviewed")
    start, came = threading.Barrier(2), []

    def judging(officer: Signer, to: str) -> None:
        start.wait()
        try:
            selling.judge(city, officer, applied.merchant, to, "Lý do")
            came.append("done")
        except Refusal as refusal:
            came.append(refusal.code)

    threads = [
        threading.Thread(target=judging, args=one) for one in zip(officers[1:], ("approved", "refused"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == ["done", "merchant_state"]


# -- people, places, points -----------------------------------------------------------------------------------


def test_only_an_owner_appoints_and_one_owner_always_stays(shop: Shop, city: City) -> None:
    manager, other = shop.employ(StaffRole.MANAGER), city.citizen("Người Khác")
    order = merchants.StaffOrder(id=OrderId(uuid4()), merchant=shop.merchant, phone=other.phone, role=StaffRole.CASHIER)
    with pytest.raises(registry.NotYours):
        shop.act("merchant_staff", lambda unit, claim: merchants.staff(unit, claim, order, now=clock.now()), by=manager)
    with pytest.raises(registry.MerchantNotFound):
        shop.act("merchant_staff", lambda unit, claim: merchants.staff(unit, claim, order, now=clock.now()), by=other)
    for role in (None, StaffRole.MANAGER):
        with pytest.raises(merchants.LastOwner):
            shop.appoint(shop.owner, role)
    with pytest.raises(merchants.StaffUnknown):
        shop.appoint(city.person("Không Ví", Role.CITIZEN), StaffRole.CASHIER)
    with pytest.raises(merchants.StaffUnknown):
        shop.appoint(other, None)


@pytest.mark.parametrize(
    "week",
    [
        {"8": []},
        {"1": [["06:00"]]},
        {"1": [["25:00", "26:00"]]},
        {"1": [["11:00", "06:00"]]},
        {"1": [["06:00", "12:00"], ["11:00", "18:00"]]},
        {"1": [["6:00", "12:00"]]},
        {"1": [[f"0{n}:00", f"0{n}:30"] for n in range(5)]},
    ],
)
def test_hours_that_cannot_be_are_refused(week: Any) -> None:
    with pytest.raises(hours.HoursWrong):
        hours.check(week, param="hours")


def test_a_sticker_says_whether_we_printed_it(shop: Shop, city: City) -> None:
    secret, point = city.config.server_secret, shop.read_point(shop.issue_point("Quầy Tem"))
    first = stickers.tag(point, secret=secret)
    assert stickers.judge(point, first.lower(), secret=secret) is stickers.Verdict.GENUINE
    assert stickers.judge(point, first[:-1] + "0", secret=secret) in (
        stickers.Verdict.FALSE,
        stickers.Verdict.GENUINE if first.endswith("0") else stickers.Verdict.FALSE,
    )
    other = shop.read_point(shop.issue_point("Quầy Tem Khác"))
    assert stickers.judge(other, first, secret=secret) is stickers.Verdict.FALSE, "a tag is of one point"
    assert stickers.judge(point, first, secret=b"another city's secret, 32 bytes..") is stickers.Verdict.FALSE
    order = points.PointMoveOrder(id=OrderId(uuid4()), point=point.id)
    shop.act("point_reprint", lambda unit, claim: points.reprint(unit, claim, order, now=clock.now()))
    again = shop.read_point(point.id)
    assert stickers.judge(again, first, secret=secret) is stickers.Verdict.STALE
    assert stickers.judge(again, stickers.tag(again, secret=secret), secret=secret) is stickers.Verdict.GENUINE
    assert stickers.judge(again, "", secret=secret) is stickers.Verdict.NONE


# -- pages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(city: City, shop: Shop) -> Visitor:
    return Visitor(city).enter(shop.owner)


def sent(visitor: Visitor, path: str, **form: str) -> Any:
    return visitor.post(path, {"order_id": str(ids.new())} | form)


def test_from_the_application_to_the_first_counter_through_the_pages(city: City, officers: list[Signer]) -> None:
    person = city.citizen("Trần Thị Mới Bán")
    seller = Visitor(city).enter(person)
    assert "Quý vị chưa có điểm bán nào" in words_of(seller.get("/ban-hang"))
    wrong = sent(seller, "/ban-hang/dang-ky", name="Chè Cung Đình", category="0000", tax_id="")
    assert wrong.status_code == 422
    assert 'id="e-category"' in wrong.text
    wrong = sent(seller, "/ban-hang/dang-ky", name="Chè Cung Đình", category="5814", tax_id="123")
    assert 'id="e-tax_id"' in wrong.text
    assert value_of(wrong, "name") == "Chè Cung Đình"
    done = sent(seller, "/ban-hang/dang-ky", name="Chè Cung Đình", category="5814", tax_id="3300101234")
    assert done.status_code == 303
    home = done.headers["Location"]
    area = next(iter(city.city.areas))
    place = {"name": "Cửa hàng", "address": "1 Lê Lợi", "area": area, "hours_1": "7:00-11:30, 13:00-18:00"}
    bad = sent(seller, f"{home}/noi-ban", **place | {"hours_2": "18:00-07:00"})
    assert bad.status_code == 422
    kept = sent(seller, f"{home}/noi-ban", **place)
    assert kept.status_code == 303
    location = re.search(r'<option value="([0-9a-f-]{36})"', seller.get(home).text)
    assert location is not None
    issued = sent(seller, f"{home}/quay", location=location[1], name="Quầy 1")
    assert issued.status_code == 303
    assert "Mở quầy" not in words_of(seller.get(home)), "not before it is approved"
    assert seller.get(f"{home}/tem.pdf").status_code == 404

    with city.engine.connect() as connection:
        merchant = merchants.served_by(connection, UUID(person.holder))[0][0]
    address = f"/van-hanh/diem-ban/{merchant.holder}"
    first, second = (Visitor(city).enter(one) for one in officers[:2])
    assert "Chè Cung Đình" in words_of(first.get("/van-hanh/diem-ban?q=che+cung"))
    assert sent(first, address, to="returned", reason="").status_code == 422, "a reason is needed"
    assert sent(first, address, to="reviewed", reason="").status_code == 303
    page = words_of(first.get(address))
    assert "Bước tiếp theo là của một cán bộ khác" in page
    assert sent(first, address, to="approved", reason="").status_code == 409
    assert sent(second, address, to="approved", reason="").status_code == 303
    assert "Mở quầy" in words_of(seller.get(home))


def test_a_strangers_merchant_is_not_there(city: City, shop: Shop) -> None:
    """Row 82, on every page of a merchant."""
    stranger = Visitor(city).enter(city.citizen("Lê Thị Tò Mò"))
    entry = shop.pay_sticker(city.citizen("Khách", available=10_000), 10_000).json()["entry"]
    for path in (
        "",
        "/yeu-cau",
        "/khoan-thu",
        "/hoan",
        f"/hoan/{entry}",
        f"/hoan/ky/{uuid4()}",
        "/noi-ban",
        "/tem.pdf",
    ):
        assert stranger.get(f"/ban-hang/diem/{shop.code}{path}").status_code == 404, path
    assert stranger.get("/ban-hang/diem/khong-co").status_code == 404
    point = str(shop.points[0])
    assert sent(stranger, f"/ban-hang/diem/{shop.code}/quay/doi", move="revoke", point=point).status_code == 404
    assert sent(stranger, f"/ban-hang/diem/{shop.code}/quay", location=str(shop.location), name="X").status_code == 404
    assert shop.point.open
    assert stranger.get(f"/van-hanh/diem-ban/{shop.merchant}").status_code == 403


def test_an_owner_hires_and_lets_go_on_the_merchants_page(owner: Visitor, shop: Shop, city: City) -> None:
    path, person = f"/ban-hang/diem/{shop.code}", city.citizen("Phạm Thị Được Thuê")
    assert value_of(owner.get(path), "order_id", action=f"{path}/nhan-vien")
    assert "Chủ" in words_of(owner.get(path))
    assert sent(owner, f"{path}/nhan-vien", phone=person.phone, role="cashier").status_code == 303
    assert person.name in words_of(owner.get(path))
    assert shop.code in Visitor(city).enter(person).get("/ban-hang").text
    assert sent(owner, f"{path}/nhan-vien", phone=person.phone, role="").status_code == 303
    assert person.name not in words_of(owner.get(path))
    wrong = sent(owner, f"{path}/nhan-vien", phone="123", role="cashier")
    assert (wrong.status_code, 'id="e-phone"' in wrong.text) == (422, True)


def test_whoever_serves_is_one_tap_from_each_counter_that_is_open(city: City) -> None:
    shop = selling.shop(city, "Chè Hẻm")
    cashier = Visitor(city).enter(shop.employ())
    first, second = shop.points[0], shop.issue_point("Quầy 2")

    def counters() -> list[str]:
        return re.findall(r'href="/ban-hang/quay/([0-9a-f-]{36})"', cashier.get("/ban-hang").text)

    assert counters() == [str(first), str(second)]
    assert "Mở quầy Quầy 2, Cửa hàng chính" in words_of(cashier.get("/ban-hang"))
    revoke = points.PointMoveOrder(id=OrderId(uuid4()), point=first)
    shop.act("point_revoke", lambda unit, claim: points.revoke(unit, claim, revoke, now=clock.now()))
    assert counters() == [str(second)]
    shop.judge(city.person("Phan Văn Ngưng", Role.OPERATOR), "suspended", "Bị khiếu nại")
    assert counters() == []


def test_a_cashier_sees_no_staff_and_prints_no_stickers(city: City, shop: Shop) -> None:
    cashier = Visitor(city).enter(shop.employ())
    page = words_of(cashier.get(f"/ban-hang/diem/{shop.code}"))
    assert "Mở quầy" in page
    assert "Nhân viên" not in page
    assert cashier.get(f"/ban-hang/diem/{shop.code}/tem.pdf").status_code == 403
    point = str(shop.points[0])
    assert sent(cashier, f"/ban-hang/diem/{shop.code}/quay/doi", move="revoke", point=point).status_code in (403, 409)
    assert shop.point.open


def test_stickers_are_printed_with_name_place_serial_and_a_tag_that_the_page_knows(
    owner: Visitor, shop: Shop, city: City
) -> None:
    answer = owner.get(f"/ban-hang/diem/{shop.code}/tem.pdf?p={shop.points[0]}")
    assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
    point, said = shop.point, words(answer.data)
    for text in (shop.name, point.address, point.name, stickers.spaced(point.serial), "Kiểm tem này", "DỮ LIỆU MẪU"):
        assert text in said, text
    (code, checked) = sorted(scanned(answer.data))
    decoded: Any = qr.decode(code, environment=Environment.DEMO)
    assert (decoded.issues, decoded.fields.point.point, decoded.fields.point.merchant) == ((), point.id, shop.merchant)
    assert checked == stickers.address(point, origin=city.config.public_origin, secret=city.config.server_secret)
    address = stickers.address(point, origin="", secret=city.config.server_secret)
    anyone = Visitor(city)
    assert "Tem thật" in words_of(anyone.get(address))
    false = words_of(anyone.get(f"/q/{point.serial}?t=0000000000000000"))
    assert "Tem này không phải do chúng tôi in" in false
    assert shop.name in words_of(anyone.get(f"/q/{point.serial}"))
    spaced = anyone.get(f"/q/{stickers.spaced(point.serial).lower()}")
    assert (spaced.status_code, spaced.headers["Location"]) == (302, f"/q/{point.serial}")
    for wrong in ("00000000", "x", "%00", "a" * 500):
        assert anyone.get(f"/q/{wrong}").status_code == 404


def test_what_differs_is_settled_on_the_page_of_payments(owner: Visitor, shop: Shop, city: City) -> None:
    payer, point = city.citizen("Khách Trang", available=500_000), shop.issue_point("Quầy Trang")
    shop.asks(45_000, point=point)
    entry = shop.pay_sticker(payer, 40_000, point=point).json()["entry"]
    path = f"/ban-hang/diem/{shop.code}/khoan-thu"
    page = owner.get(path)
    assert "Xin trả thêm 5.000 ₫" in words_of(page).replace("\u00a0", " ")
    assert sent(owner, path, how="rest", payment=entry).status_code == 303
    assert sent(owner, path, how="rest", payment=entry).status_code == 409
    assert "5.000" in words_of(owner.get(f"/ban-hang/diem/{shop.code}/yeu-cau"))
    loose = shop.pay_sticker(payer, 7_000, point=quiet(shop)).json()["entry"]
    invoice = shop.asks(7_000, point=shop.points[-1])
    assert "Gắn với yêu cầu" in words_of(owner.get(path))
    assert sent(owner, path, how="attach", payment=loose, invoice=invoice).status_code == 303
    for form in ({"how": "steal"}, {"how": "accept", "payment": "x"}):
        assert sent(owner, path, **form).status_code in (400, 422)


def quiet(shop: Shop) -> UUID:
    return shop.issue_point(f"Quầy {len(shop.points) + 1}")


def test_a_page_that_begins_nowhere_is_400(owner: Visitor, shop: Shop, city: City, officers: list[Signer]) -> None:
    """Row 22."""
    for path in (f"/ban-hang/diem/{shop.code}/yeu-cau?truoc=x", "/ban-hang/san-pham?sau=1"):
        assert owner.get(path).status_code == 400
    assert Visitor(city).enter(officers[0]).get("/van-hanh/diem-ban?sau=-1").status_code == 400


def test_an_invoice_is_cancelled_on_its_page(owner: Visitor, shop: Shop) -> None:
    invoice = shop.asks(9_000)
    path = f"/ban-hang/diem/{shop.code}/yeu-cau"
    assert sent(owner, f"{path}/huy", invoice=invoice).status_code == 303
    assert sent(owner, f"{path}/huy", invoice=invoice).status_code == 409
    assert shop.read(invoice)["state"] == "cancelled"


def test_a_cashier_prepares_a_refund_by_pin_and_signs_it(city: City, shop: Shop) -> None:
    payer, cashier = city.citizen("Khách Hoàn", available=50_000), shop.employ(name="Nguyễn Thu Ngân")
    pin = city.with_pin(cashier)
    at_till = Visitor(city, device="d" * 30).enter(cashier)
    entry = shop.pay_sticker(payer, 50_000).json()["entry"]
    path = f"/ban-hang/diem/{shop.code}/hoan/{entry}"
    assert 'name="pin"' in at_till.get(path).text
    wrong = sent(at_till, path, amount="10.000", reason="Hàng lỗi", pin="000001")
    assert (wrong.status_code, 'id="e-pin"' in wrong.text) == (403, True)
    assert "000001" not in wrong.text
    assert sent(at_till, path, amount="", reason="Hàng lỗi", pin=pin).status_code == 422
    prepared = sent(at_till, path, amount="10.000", reason="Hàng lỗi", pin=pin)
    assert prepared.status_code == 303, prepared.text
    sheet = at_till.get(prepared.headers["Location"])
    assert 'id="sign-data"' in sheet.text
    other = Visitor(city).enter(shop.employ(name="Thu Ngân Hai")).get(prepared.headers["Location"])
    assert 'id="sign-data"' not in other.text
    order = re.search(r'"order": "([0-9a-f-]{36})"', sheet.text)
    assert order is not None
    lines = [{"line": "1", "amount": "10000"}]
    content = cashier.order("refund", id=order[1], entry=entry, lines=lines, reason="Hàng lỗi")
    assert cashier.send("POST", "/v1/refunds", content).status == 201
    assert "Đã hoàn xong" in words_of(at_till.get(prepared.headers["Location"]))
    assert city.available(payer) == 10_000


def test_no_pin_stands_in_what_was_ordered(city: City) -> None:
    with city.engine.connect() as connection:
        orders = connection.exec_driver_sql(
            "SELECT convert_from(c.bytes, 'UTF8') FROM person.order_content c JOIN ledger.authority a ON a.id = c.authority"
            " WHERE a.order_kind = 'refund_request'"
        ).scalars()
        assert not [said for said in orders if "284619" in said]


def test_a_withdrawn_refund_leaves_the_list(owner: Visitor, shop: Shop, city: City) -> None:
    payer = city.citizen("Khách Rút", available=50_000)
    entry = shop.pay_sticker(payer, 20_000).json()["entry"]
    prepared = sent(owner, f"/ban-hang/diem/{shop.code}/hoan/{entry}", amount="5000", reason="Trả hàng")
    id = prepared.headers["Location"].rpartition("/")[2]
    path = f"/ban-hang/diem/{shop.code}/hoan"
    assert id in owner.get(path).text
    assert sent(owner, f"{path}/rut", request=id).status_code == 303
    assert id not in owner.get(path).text


def test_names_from_people_are_shown_as_text(city: City) -> None:
    """Row 25: markup and templates in a name are letters."""
    seller = Visitor(city).enter(city.citizen("Chủ Chữ"))
    for name in ("<script>alert(1)</script>", "{{7*7}}", "Quán “Huế” & Cộng sự"):
        done = sent(seller, "/ban-hang/dang-ky", name=name, category="5999", tax_id="")
        assert done.status_code == 303
        page = seller.get(done.headers["Location"])
        assert "<script>alert" not in page.text
        assert name in words_of(page)
    hidden = sent(seller, "/ban-hang/dang-ky", name="Quán\u202eếuH", category="5999", tax_id="")
    assert hidden.status_code == 422


def test_a_holder_of_no_merchant_has_no_role(shop: Shop, city: City) -> None:
    with city.engine.connect() as connection:
        assert registry.role_of(connection, shop.merchant, uuid4()) is None
        assert registry.role_of(connection, shop.merchant, shop.merchant) is StaffRole.MANAGER
        assert merchants.served_by(connection, HolderId(uuid4())) == []
