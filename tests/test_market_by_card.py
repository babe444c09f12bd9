"""Invoices paid by card: the merchant has the money when the card has paid, or the card gets it back."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from market import tally
from market.by_card import InvoiceTarget
from tests import databases, selling
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, words_of
from tests.pretend import Pretend
from tests.selling import Shop
from wallet import clock
from wallet.cards import asking, rounds
from wallet.cards.till import Till


@pytest.fixture(scope="module")
def acquirer() -> Pretend:
    return Pretend()


@pytest.fixture(scope="module")
def database(template, postgres, worker, tmp_path_factory) -> Iterator[TestDatabase]:
    """Of this file's own: what one acquirer knows no other does."""
    folder = tmp_path_factory.mktemp("var")
    with databases.copy_of(template, f"{worker}_by_card", server=postgres, folder=folder) as made:
        yield made


@pytest.fixture(scope="module")
def city(database: TestDatabase, acquirer: Pretend) -> Iterator[City]:
    with City(database) as made:
        known = made.service.extensions["wallet"]
        origin, targets = known.config.public_origin, {"invoice": InvoiceTarget()}
        till = Till(database=known.app, acquirer=acquirer, origin=origin, targets=targets)
        made.service.extensions["wallet"] = replace(known, till=till)
        yield made
        rounds.soon(till, now=clock.now())
        assert made.differences() == []


@pytest.fixture(scope="module")
def shop(city: City) -> Shop:
    return selling.shop(city)


@pytest.fixture(scope="module")
def hoa(city: City) -> Signer:
    return city.citizen("Nguyễn Thị Hoa", available=500_000)


def by_card(hoa: Signer, invoice: str, amount: int) -> UUID:
    said = {"purpose": "invoice", "target": invoice, "amount": str(amount), "card": ""}
    reply = hoa.act("/v1/card-payments", "card_payment", **said)
    assert reply.status == 201, reply.body
    return UUID(reply.json()["payment"])


def passed(city: City, acquirer: Pretend, payment: UUID) -> None:
    """The card has paid, and we have asked."""
    acquirer.pay(payment)
    asking.inquire(city.service.extensions["wallet"].till, payment, cause="notice", now=clock.now())


def backs(city: City, payment: UUID) -> list[tuple[str, int]]:
    with city.engine.connect() as connection:
        query = "SELECT cause, amount FROM cards.refund WHERE payment = %s"
        return [tuple(row) for row in connection.exec_driver_sql(query, (payment,))]


def test_an_invoice_paid_by_card_is_paid_and_its_merchant_sees_it(shop, hoa, city, acquirer):
    before, own = shop.available(), city.available(hoa)
    invoice = shop.asks(45_000)
    payment = by_card(hoa, invoice, 45_000)
    assert shop.read(invoice)["state"] == "new"
    passed(city, acquirer, payment)
    read = shop.read(invoice)
    assert (read["state"], read["paid"]) == ("paid", "45000")
    assert (shop.available() - before, city.available(hoa)) == (45_000, own)
    assert hoa.get(f"/v1/invoices/{invoice}").json()["state"] == "paid"


def test_an_invoice_paid_by_wallet_meanwhile_sends_the_cards_money_back(shop, hoa, city, acquirer):
    """Two tabs: paid once, the other gets its money back."""
    invoice = shop.asks(30_000)
    payment = by_card(hoa, invoice, 30_000)
    assert shop.pay(hoa, invoice).status == 201
    before = shop.available()
    passed(city, acquirer, payment)
    assert shop.available() == before
    assert backs(city, payment) == [("not_payable", 30_000)]


def test_an_invoice_is_paid_at_its_amount_and_once(shop, hoa, city, acquirer):
    invoice = shop.asks(30_000)
    said = {"purpose": "invoice", "target": invoice, "amount": "29000", "card": ""}
    reply = hoa.act("/v1/card-payments", "card_payment", **said)
    assert (reply.status, reply.json()["code"]) == (409, "card_price_changed")
    passed(city, acquirer, by_card(hoa, invoice, 30_000))
    reply = hoa.act("/v1/card-payments", "card_payment", **said | {"amount": "30000"})
    assert (reply.status, reply.json()["code"]) == (409, "invoice_paid")


def test_what_a_merchant_gives_back_of_a_card_payment_goes_to_that_card(shop, hoa, city, acquirer):
    invoice = shop.asks(40_000)
    payment = by_card(hoa, invoice, 40_000)
    passed(city, acquirer, payment)
    reply = shop.refund(shop.read(invoice)["entry"], 10_000)
    assert reply.status == 201, reply.body
    own = city.available(hoa)
    rounds.soon(city.service.extensions["wallet"].till, now=clock.now())
    assert backs(city, payment) == [("given_back", 10_000)]
    assert city.available(hoa) == own
    assert [one.amount for one in acquirer.refunds.values() if one.payment_ref == acquirer.of(payment).ref] == [10_000]


def test_the_scanned_sheet_offers_the_card_and_the_page_says_whom_it_paid(shop, hoa, city, acquirer):
    """The way by card from the scan to the code that is the same on the counter's screen."""
    visitor = Visitor(city).enter(hoa)
    invoice = shop.asks(55_000, memo="2 hộp mè xửng")
    number = shop.read(invoice)["number"]
    scanned = visitor.get(visitor.get(f"/quet/xac-nhan?hoa-don={number}").headers["Location"]).text
    assert f"/thanh-toan-the?cho=invoice&amp;b={invoice}" in scanned
    sheet = visitor.get(visitor.get(f"/thanh-toan-the?cho=invoice&b={invoice}").headers["Location"])
    shown = words_of(sheet)
    assert "Mè xửng Thiên Hương" in shown
    assert number in shown
    assert "2 hộp mè xửng" in shown
    assert "Tiền đi thẳng từ thẻ tới nơi bán" in shown
    said = {"purpose": "invoice", "target": invoice, "amount": "55000", "card": ""}
    order = hoa.act("/v1/card-payments", "card_payment", **said).json()
    passed(city, acquirer, UUID(order["payment"]))
    became = words_of(visitor.get(f"/the/lenh/{order['order']}"))
    assert "Đã trả xong 55.000" in became
    assert "Mè xửng Thiên Hương" in became
    secret = city.service.extensions["wallet"].config.server_secret
    assert tally.of(UUID(shop.read(invoice)["entry"]), secret=secret) in became


def test_a_sheet_of_an_invoice_that_nobody_can_pay_any_more_says_so(shop, hoa, city):
    visitor = Visitor(city).enter(hoa)
    invoice = shop.asks(20_000)
    number = shop.read(invoice)["number"]
    assert shop.pay(hoa, invoice).status == 201
    for sheet in (f"/quet/xac-nhan?hoa-don={number}", f"/thanh-toan-the?cho=invoice&b={invoice}"):
        page = visitor.get(visitor.get(sheet).headers["Location"])
        assert page.status_code == 409
        assert "Yêu cầu này đã có người trả" in words_of(page)
