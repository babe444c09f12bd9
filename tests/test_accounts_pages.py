"""A wallet frozen in an emergency by its holder: one button, seen at once on the home page, undone by the holder alone."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, value_of, words_of
from wallet import canonical, ids, lookup
from wallet.identity.roles import Role
from wallet.ids import HolderId

FREEZE, THAW = "/thiet-bi/khoa-vi", "/thiet-bi/mo-khoa-vi"


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    """One application for this module: making it takes longer than most tests here."""
    with City(database) as made:
        yield made


@pytest.fixture
def hoa(city: City) -> Signer:
    return city.citizen(available=70_000)


def press(visitor: Visitor, path: str) -> None:
    """Press the button of the devices page that goes there."""
    order = value_of(visitor.get("/thiet-bi"), "order_id", action=path)
    done = visitor.post(path, {"order_id": order})
    assert (done.status_code, done.location) == (303, "/thiet-bi#khoa-vi"), words_of(done)


def pays(city: City, hoa: Signer) -> str:
    """Try to pay a bill; return the code of the refusal, or nothing."""
    bill = city.bill(debtor=hoa)
    reply = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
    return "" if reply.status == 201 else str(reply.json()["code"])


def test_a_holder_freezes_the_wallet_sees_it_on_the_home_page_and_thaws_it(city: City, hoa: Signer) -> None:
    visitor = Visitor(city).enter(hoa)
    assert "Ví đang mở" in words_of(visitor.get("/thiet-bi"))
    assert "Ví đang tạm khoá" not in words_of(visitor.get("/"))
    press(visitor, FREEZE)
    assert "Ví đang tạm khoá" in words_of(visitor.get("/"))
    assert "Ví đang tạm khoá" in words_of(visitor.get("/thiet-bi"))
    assert pays(city, hoa) == "payer_frozen"
    press(visitor, THAW)
    assert "Ví đang tạm khoá" not in words_of(visitor.get("/"))
    assert pays(city, hoa) == ""
    assert city.differences() == []


def test_the_freeze_is_an_order_of_its_own_kept_word_for_word(city: City, hoa: Signer) -> None:
    visitor = Visitor(city).enter(hoa)
    order = value_of(visitor.get("/thiet-bi"), "order_id", action=FREEZE) or ""
    assert [visitor.post(FREEZE, {"order_id": order}).status_code for _ in range(2)] == [303, 303]
    with city.engine.connect() as connection:
        holder = HolderId(UUID(hoa.holder))
        said = canonical.loads(lookup.content(connection, signer=holder, order=UUID(order)))
        kinds = connection.exec_driver_sql(
            "SELECT u.kind FROM ledger.account_move m JOIN ledger.authority u ON u.id = m.authority WHERE m.account = %s",
            (UUID(hoa.account),),
        ).scalars()
        assert list(kinds) == ["session_order"], "the same form twice is one freeze"
    assert (said["kind"], said["account"]) == ("account_freeze", hoa.account)


def test_a_second_freeze_and_a_thaw_of_what_is_open_are_refused_in_words(city: City, hoa: Signer) -> None:
    visitor = Visitor(city).enter(hoa)
    refused = visitor.post(THAW, {"order_id": str(ids.new())})
    assert (refused.status_code, "Ví đã ở trạng thái đó" in words_of(refused)) == (409, True)
    press(visitor, FREEZE)
    refused = visitor.post(FREEZE, {"order_id": str(ids.new())})
    assert (refused.status_code, 'role="alert"' in refused.text) == (409, True)
    assert value_of(refused, "order_id", action=THAW), "the page shows the state that the wallet is in"
    assert visitor.post(FREEZE, {"order_id": "x"}).status_code == 400
    assert visitor.post(FREEZE, {}).status_code == 400


def test_a_freeze_reaches_only_the_wallet_of_whoever_is_signed_in(city: City, hoa: Signer) -> None:
    other = city.citizen("Trần Văn Bình", available=50_000)
    visitor = Visitor(city).enter(other)
    order = value_of(visitor.get("/thiet-bi"), "order_id", action=FREEZE)
    assert visitor.post(FREEZE, {"order_id": order, "account": hoa.account}).status_code == 303
    assert pays(city, hoa) == ""
    assert pays(city, other) == "payer_frozen"


def test_a_form_from_another_site_freezes_nothing(city: City, hoa: Signer) -> None:
    visitor = Visitor(city).enter(hoa)
    refused = visitor.post(FREEZE, {"order_id": str(ids.new())}, Origin="https://evil.example")
    assert refused.status_code == 403
    assert Visitor(city).post(FREEZE, {"order_id": str(ids.new())}).status_code == 401
    for other in (city.officer(), city.person("Vũ Minh Tâm", Role.OPERATOR), city.person("Kiểm", Role.AUDITOR)):
        assert Visitor(city).enter(other).post(FREEZE, {"order_id": str(ids.new())}).status_code == 403
    assert pays(city, hoa) == ""


def test_what_is_frozen_takes_no_money_either_and_its_sender_is_told(city: City, hoa: Signer) -> None:
    binh = city.citizen("Trần Văn Bình", available=50_000)
    press(Visitor(city).enter(hoa), FREEZE)
    sent = binh.act("/v1/transfers", "transfer", payer=binh.account, payee=hoa.account, amount="1000", memo="")
    assert (sent.status, sent.json()["code"]) == (409, "payee_frozen")
    assert city.available(binh) == 50_000
