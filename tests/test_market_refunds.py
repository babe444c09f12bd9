"""Refunds by merchants: capped, by whom they may be, back where the money came from; the proof of the market's books."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

import market.proof
from market import refunds, rules
from market.registry import StaffRole
from tests import selling
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.selling import Shop
from tests.test_mandates import a_code, signs
from tests.test_market_payments import as_owner, refused
from wallet import clock, prove
from wallet.client import Reply
from wallet.crypto import PrivateKey
from wallet.ids import EntryId, HolderId, OrderId

THRESHOLD = rules.threshold_on(rules.REFUND_SECOND_PERSON, clock.day_of(clock.now())).value


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


@pytest.fixture(scope="module")
def shop(city: City) -> Shop:
    return selling.shop(city)


@pytest.fixture(scope="module")
def hoa(city: City) -> Signer:
    return city.citizen("Nguyễn Thị Hồng Hoa", available=20_000_000)


@pytest.fixture(scope="module")
def cashier(shop: Shop) -> Signer:
    return shop.employ()


def paid(shop: Shop, payer: Signer, amount: int) -> str:
    """A payment's entry."""
    reply = shop.pay_sticker(payer, amount)
    assert reply.status == 201, reply.body
    return str(reply.json()["entry"])


def prepared(shop: Shop, by: Signer, entry: str, amount: int, *, pin: bool = True) -> Any:
    order = refunds.RequestOrder(
        id=OrderId(uuid4()),
        entry=EntryId(UUID(entry)),
        amount=amount,  # type: ignore[arg-type]
        reason="Khách trả hàng",
        pin=pin,
    )
    return shop.act("refund_request", lambda unit, claim: refunds.ask(unit, claim, order, now=clock.now()), by=by)


def test_a_refund_goes_back_where_the_money_came_from_and_its_payer_sees_it_with_a_date(
    shop: Shop, hoa: Signer, city: City
) -> None:
    before, own = shop.available(), city.available(hoa)
    entry = paid(shop, hoa, 50_000)
    reply = shop.refund(entry, 20_000)
    assert (reply.status, reply.json()["amount"]) == (201, "20000")
    assert (shop.available() - before, own - city.available(hoa)) == (30_000, 30_000)
    with city.engine.connect() as connection:
        (back,) = refunds.of_payer(connection, HolderId(UUID(hoa.holder)), payment=UUID(entry))
    assert (back.amount, back.paid, back.merchant_name) == (20_000, 50_000, shop.name)
    assert clock.day_of(back.at) == clock.day_of(clock.now())


def test_parts_never_come_to_more_than_was_paid(shop: Shop, hoa: Signer) -> None:
    """Row 40."""
    entry = paid(shop, hoa, 50_000)
    assert [shop.refund(entry, part).status for part in (30_000, 20_000)] == [201, 201]
    refused(shop.refund(entry, 1), 422, "refund_too_large")
    refused(shop.refund(paid(shop, hoa, 50_000), 50_001), 422, "refund_too_large")


def test_of_refunds_that_race_as_many_go_through_as_there_is_money_for(shop: Shop, hoa: Signer, city: City) -> None:
    entry, own = paid(shop, hoa, 50_000), city.available(hoa)
    start, replies = threading.Barrier(4), []

    def give_back() -> None:
        lines = [{"line": "1", "amount": "20000"}]
        start.wait()
        replies.append(shop.owner.act("/v1/refunds", "refund", entry=entry, lines=lines, reason="Hàng lỗi"))

    threads = [threading.Thread(target=give_back) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [201, 201, 422, 422], [reply.body for reply in replies]
    assert city.available(hoa) - own == 40_000


def test_a_merchant_cannot_give_back_what_it_no_longer_has(city: City) -> None:
    """There is no way out of a merchant's account yet but refunds: two payers, of whom one's entry is tampered with."""
    shop, payer = selling.shop(city, "Quán Mới"), city.citizen("Khách", available=10_000)
    entry = paid(shop, payer, 10_000)
    as_owner(city, "UPDATE ledger.balance SET posted = 0 WHERE account = %s", shop.account)
    as_owner(city, "DELETE FROM ledger.delta WHERE account = %s", shop.account)
    try:
        refused(shop.refund(entry, 10_000), 402, "insufficient_funds")
    finally:
        as_owner(city, "UPDATE ledger.balance SET posted = 10000 WHERE account = %s", shop.account)


def test_a_cashier_needs_their_pin_for_each_refund(shop: Shop, hoa: Signer, cashier: Signer) -> None:
    entry = paid(shop, hoa, 50_000)
    refused(shop.refund(entry, 10_000, by=cashier), 403, "refund_pin_wanted")
    with pytest.raises(refunds.PinWanted):
        prepared(shop, cashier, entry, 10_000, pin=False)
    assert prepared(shop, cashier, entry, 10_000).second is False
    refused(shop.refund(entry, 20_000, by=cashier), 403, "refund_pin_wanted")
    other = shop.employ(name="Thu Ngân Khác")
    refused(shop.refund(entry, 10_000, by=other), 403, "refund_pin_wanted")
    assert shop.refund(entry, 10_000, by=cashier).status == 201
    refused(shop.refund(entry, 10_000, by=cashier), 403, "refund_pin_wanted")


def test_from_the_threshold_on_a_second_person_orders_what_the_first_prepared(
    shop: Shop, hoa: Signer, cashier: Signer, city: City
) -> None:
    manager = shop.employ(StaffRole.MANAGER, "Trần Thị Quản Lý")
    entry = paid(shop, hoa, THRESHOLD + 500_000)
    refused(shop.refund(entry, THRESHOLD), 403, "refund_second_person_wanted")
    request = prepared(shop, shop.owner, entry, THRESHOLD)
    assert request.second is True
    refused(shop.refund(entry, THRESHOLD), 403, "refund_second_person_wanted")
    refused(shop.refund(entry, THRESHOLD, by=cashier), 403, "refund_second_person_wanted")
    assert shop.refund(entry, THRESHOLD, by=manager).status == 201
    refused(shop.refund(entry, 1), 403, "refund_second_person_wanted")
    with city.engine.connect() as connection:
        done = refunds.by_id(connection, request.request)
    assert done is not None
    assert (str(done.approved_by), done.state(clock.now())) == (manager.holder, "done")


def test_a_machine_is_no_second_person(shop: Shop, hoa: Signer, city: City) -> None:
    machine = city.signer(shop.merchant, PrivateKey.generate())
    city.enrol(machine)
    entry = paid(shop, hoa, THRESHOLD)
    prepared(shop, shop.owner, entry, THRESHOLD)
    refused(shop.refund(entry, THRESHOLD, by=machine), 403, "refund_second_person_wanted")
    assert shop.refund(entry, 1_000, by=machine).status == 201


def test_parts_below_the_threshold_come_to_it_together(shop: Shop, hoa: Signer) -> None:
    entry = paid(shop, hoa, THRESHOLD)
    assert shop.refund(entry, THRESHOLD - 1).status == 201
    refused(shop.refund(entry, 1), 403, "refund_second_person_wanted")


def test_a_withdrawn_request_warrants_nothing(shop: Shop, hoa: Signer, cashier: Signer) -> None:
    entry = paid(shop, hoa, 50_000)
    request = prepared(shop, cashier, entry, 5_000).request
    order = refunds.WithdrawOrder(id=OrderId(uuid4()), request=request)

    def withdrawn(by: Signer) -> None:
        shop.act("refund_withdraw", lambda unit, claim: refunds.withdraw(unit, claim, order, now=clock.now()), by=by)

    with pytest.raises(refunds.RequestNotFound):
        withdrawn(shop.employ(name="Người Khác"))
    withdrawn(cashier)
    refused(shop.refund(entry, 5_000, by=cashier), 403, "refund_pin_wanted")
    order = refunds.WithdrawOrder(id=OrderId(uuid4()), request=request)
    with pytest.raises(refunds.RequestClosed):
        withdrawn(cashier)


def test_nobody_else_gives_a_merchants_money_back(shop: Shop, hoa: Signer, city: City) -> None:
    """Row 85: another merchant's owner; the payer; a member who was let go."""
    entry, gone = paid(shop, hoa, 50_000), shop.employ(StaffRole.MANAGER)
    shop.appoint(gone, None)
    for stranger in (selling.shop(city, "Tiệm Bên Cạnh").owner, hoa, gone):
        refused(shop.refund(entry, 1_000, by=stranger), 404, "entry_not_found")
    lines = [{"line": "2", "amount": "1"}]
    reply = shop.owner.act("/v1/refunds", "refund", entry=entry, lines=lines, reason="Hàng lỗi")
    refused(reply, 404, "entry_not_found")
    reply = shop.owner.act("/v1/reversals", "reverse", entry=entry, reason="Hàng lỗi")
    refused(reply, 404, "entry_not_found")


def test_what_is_over_goes_back_with_one_order_and_is_then_resolved(shop: Shop, hoa: Signer) -> None:
    point = shop.issue_point("Quầy Thừa")
    invoice = shop.asks(45_000, point=point)
    entry = shop.pay_sticker(hoa, 54_000, point=point).json()["entry"]
    assert shop.refund(entry, 9_000).status == 201
    reply = shop.owner.act("/v1/payment-acceptances", "payment_accept", payment=entry)
    refused(reply, 409, "payment_nothing_open")
    assert shop.read(invoice)["state"] == "paid"


def test_the_same_refund_sent_again_is_answered_as_the_first_time(shop: Shop, hoa: Signer) -> None:
    entry = paid(shop, hoa, 50_000)
    order = shop.owner.order("refund", entry=entry, lines=[{"line": "1", "amount": "50000"}], reason="Hàng lỗi")
    replies: list[Reply] = [shop.owner.send("POST", "/v1/refunds", order) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].body == replies[1].body


def test_transfers_are_given_back_as_before(shop: Shop, hoa: Signer, city: City) -> None:
    binh = city.citizen("Trần Văn Bình")
    entry = city.send(hoa, binh, 10_000).json()["entry"]
    assert shop.refund(entry, 4_000, by=binh).status == 201
    assert city.available(binh) == 6_000


# -- the proof ------------------------------------------------------------------------------------------------


def codes(city: City) -> set[str]:
    with prove.snapshot(city.audit).connect() as connection:
        asked = [question for questions in market.proof.QUESTIONS for question in questions.items()]
        return {code for code, question in asked if connection.exec_driver_sql(question).first()}


def test_the_markets_books_prove(city: City) -> None:
    assert city.differences() == []


TAMPERED = {
    "invoice_settled_differs": "UPDATE market.invoice SET amount = amount + 1 WHERE id = %(settled)s",
    "invoice_untold": "UPDATE market.invoice SET amount = amount + 1 WHERE id = %(settled)s",
    "invoice_cancelled_and_paid":
        "UPDATE market.invoice SET cancelled_at = now(), cancelled_by = made_by WHERE id = %(settled)s",
    "merchant_payment_differs": "UPDATE market.payment SET amount = amount + 1 WHERE entry = %(entry)s",
    "merchant_payment_not_as_signed": "UPDATE market.payment SET point = %(other)s WHERE entry = %(entry)s",
    "match_differs": "UPDATE market.match SET how = 'exact' WHERE how = 'over'",
    "resolution_differs": "UPDATE market.resolution SET made = gen_random_uuid() WHERE how = 'excess_refunded'",
    "refund_request_differs": "UPDATE market.refund_request SET amount = amount + 1 WHERE refund IS NOT NULL",
    "refund_one_person": "UPDATE market.refund_request SET made_by = approved_by WHERE refund IS NOT NULL",
    "point_astray": "UPDATE market.point SET merchant = (SELECT m.holder FROM market.merchant m WHERE m.holder <> merchant"
                    " LIMIT 1) WHERE id = %(other)s",
    "merchant_state_differs": "UPDATE market.merchant SET state = 'suspended' WHERE holder = %(merchant)s",
    "merchant_account_differs":
        "UPDATE market.merchant SET account = gen_random_uuid() WHERE holder = %(merchant)s",
    "charge_not_as_signed": "UPDATE market.payment SET point = %(other)s WHERE entry = %(charged)s",
    "charge_by_stranger": "DELETE FROM identity.staff WHERE merchant = %(merchant)s",
    "merchant_one_officer": "UPDATE market.merchant_review r SET officer = (SELECT officer FROM market.merchant_review x"
                            " WHERE x.merchant = r.merchant AND x.to_state = 'reviewed') WHERE merchant = %(merchant)s",
}  # fmt: skip


def test_every_question_of_the_market_has_a_tampering_here() -> None:
    assert set(TAMPERED) == {code for questions in market.proof.QUESTIONS for code in questions}


def test_what_is_tampered_with_is_named(shop: Shop, hoa: Signer, city: City) -> None:
    """Each by the owner of the tables past their triggers, proved in a transaction that is then taken back."""
    settled = shop.asks(3_000)
    shop.pay(hoa, settled)
    code = a_code()
    signs(hoa, cap=1_000, code=code)
    charge = shop.owner.act("/v1/charges", "charge", point=str(shop.points[0]), amount="900", code=code, invoice="")
    said = {
        "charged": charge.json()["entry"],
        "settled": settled,
        "entry": paid(shop, hoa, 2_000),
        "other": shop.issue_point("Quầy Lạ"),
        "merchant": shop.merchant,
    }
    engine = sa.create_engine(city.database.owner_url)
    for code, statement in TAMPERED.items():
        question = next(questions[code] for questions in market.proof.QUESTIONS if code in questions)
        with engine.connect() as connection:
            connection.exec_driver_sql("SET session_replication_role = replica")
            assert connection.exec_driver_sql(statement, said).rowcount >= 1, code
            assert connection.exec_driver_sql(question).first(), code
            connection.rollback()
    engine.dispose()
    assert codes(city) == set()
