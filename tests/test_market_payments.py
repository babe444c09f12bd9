"""Invoices and stickers: paid once, as signed, by one payer; what differs is seen and settled with one tap."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from market import codes, invoices, payments, qr
from market.qr.fields import Environment, Kind
from market.registry import StaffRole
from tests import selling
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.selling import Shop
from wallet import clock, db
from wallet.client import Reply
from wallet.ids import AccountId, HolderId, OrderId
from wallet.limits import Limits


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city
        assert city.differences() == []


@pytest.fixture(scope="module")
def shop(city: City) -> Shop:
    return selling.shop(city)


@pytest.fixture(scope="module")
def hoa(city: City) -> Signer:
    return city.citizen("Nguyễn Thị Hồng Hoa", available=9_000_000)


def refused(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.json()["code"]) == (status, code), reply.body


# -- invoices -----------------------------------------------------------------------------------------------


def test_an_invoice_is_paid_once_and_the_merchant_has_its_amount(shop: Shop, hoa: Signer, city: City) -> None:
    before, own = shop.available(), city.available(hoa)
    invoice = shop.asks(45_000, memo="Bàn 4")
    assert shop.read(invoice)["state"] == "new"
    paid = shop.pay(hoa, invoice)
    assert paid.status == 201, paid.body
    told = paid.json()
    assert (told["amount"], told["invoice"], told["merchant"]) == ("45000", invoice, str(shop.merchant))
    assert (shop.available() - before, own - city.available(hoa)) == (45_000, 45_000)
    read = shop.read(invoice)
    assert (read["state"], read["entry"], read["paid"], read["how"], read["qr"]) == (
        "paid", told["entry"], "45000", None, "",
    )  # fmt: skip
    assert hoa.get(f"/v1/invoices/{invoice}").json()["state"] == "paid", "who has paid it may read it"


def test_a_paid_invoice_refuses_a_second_payer_who_keeps_the_money(shop: Shop, hoa: Signer, city: City) -> None:
    binh = city.citizen("Trần Văn Bình", available=100_000)
    invoice = shop.asks(30_000)
    assert shop.pay(hoa, invoice).status == 201
    refused(shop.pay(binh, invoice), 409, "invoice_paid")
    refused(shop.pay(hoa, invoice), 409, "invoice_paid")
    assert city.available(binh) == 100_000


def test_of_two_customers_who_pay_one_invoice_at_the_same_instant_exactly_one_does(shop: Shop, city: City) -> None:
    payers = [city.citizen(f"Khách Số {n}", available=50_000) for n in range(4)]
    before = shop.available()
    invoice = shop.asks(50_000)
    start = threading.Barrier(len(payers))
    replies: list[Reply] = []

    def paying(payer: Signer) -> None:
        own = shop.paying(payer, invoice)
        start.wait()
        replies.append(payer.act("/v1/invoice-payments", "invoice_payment", **own))

    threads = [threading.Thread(target=paying, args=(payer,)) for payer in payers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
    assert {reply.json()["code"] for reply in replies if reply.status == 409} == {"invoice_paid"}
    assert sorted(city.available(payer) for payer in payers) == [0, 50_000, 50_000, 50_000]
    assert shop.available() - before == 50_000


def test_the_same_order_sent_again_is_answered_as_the_first_time(shop: Shop, hoa: Signer) -> None:
    order = hoa.order("invoice_payment", **shop.paying(hoa, shop.asks(12_000)))
    first = hoa.send("POST", "/v1/invoice-payments", order)
    again = hoa.send("POST", "/v1/invoice-payments", order)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["idempotent-replayed"] == "true"


def test_an_order_over_another_amount_or_payee_than_the_invoices_is_refused(
    shop: Shop, hoa: Signer, city: City
) -> None:
    """Row 42: the amount was changed between the scan and the signature."""
    invoice, own = shop.asks(45_000), city.available(hoa)
    for amount in (1, 44_999, 450_000):
        refused(shop.pay(hoa, invoice, amount), 409, "invoice_differs")
    other = selling.shop(city, "Quán Khác")
    changed = shop.paying(hoa, invoice) | {"payee": other.account}
    refused(hoa.act("/v1/invoice-payments", "invoice_payment", **changed), 409, "invoice_differs")
    assert city.available(hoa) == own
    assert shop.read(invoice)["state"] == "new"


def test_nobody_can_change_what_an_invoice_asks_for(shop: Shop, city: City) -> None:
    """Not the program either: the application's role has no right to."""
    invoice = shop.asks(45_000)
    for change in ("amount = 1", "payment = NULL", "merchant = id", "expires_at = now()", "items = '[]'"):
        with pytest.raises(sa.exc.ProgrammingError), city.engine.begin() as unit:
            unit.exec_driver_sql(f"UPDATE market.invoice SET {change} WHERE id = %s", (invoice,))
    assert shop.read(invoice)["amount"] == "45000"


def test_an_expired_or_cancelled_invoice_is_not_paid(shop: Shop, hoa: Signer, city: City) -> None:
    cancelled = shop.asks(10_000)
    reply = shop.owner.act(f"/v1/invoices/{cancelled}/cancel", "invoice_cancel", invoice=cancelled)
    assert (reply.status, reply.json()["state"]) == (200, "cancelled")
    refused(shop.pay(hoa, cancelled), 409, "invoice_cancelled")
    brief = shop.asks(10_000, lasts_s="1")
    order = payments.InvoicePaymentOrder(
        id=OrderId(uuid4()),
        payer=AccountId(UUID(hoa.account)),
        payee=AccountId(UUID(shop.account)),
        invoice=UUID(brief),
        amount=10_000,  # type: ignore[arg-type]
    )
    later = clock.now() + timedelta(seconds=2)
    with pytest.raises(invoices.Expired):
        city.signed(
            hoa,
            "invoice_payment",
            lambda unit, claim: payments.pay_invoice(unit, claim, order, limits=Limits(demo=True), now=later),
        )


def test_an_invoice_that_was_paid_is_not_cancelled_and_one_that_was_cancelled_not_again(
    shop: Shop, hoa: Signer
) -> None:
    paid, gone = shop.asks(10_000), shop.asks(10_000)
    shop.pay(hoa, paid)
    refused(shop.owner.act(f"/v1/invoices/{paid}/cancel", "invoice_cancel", invoice=paid), 409, "invoice_paid")
    for status in (200, 409):
        reply = shop.owner.act(f"/v1/invoices/{gone}/cancel", "invoice_cancel", invoice=gone)
        assert reply.status == status
    refused(
        shop.owner.act(f"/v1/invoices/{gone}/cancel", "invoice_cancel", invoice=shop.asks(1)), 404, "invoice_not_found"
    )


def test_paying_and_cancelling_at_once_ends_in_one_of_both(shop: Shop, city: City) -> None:
    """Row 40, for invoices."""
    payer = city.citizen("Khách Vội", available=100_000)
    invoice, replies = shop.asks(20_000), {}
    own = shop.paying(payer, invoice)
    start = threading.Barrier(2)

    def run(name: str, signer: Signer, path: str, kind: str, said: dict[str, str]) -> None:
        start.wait()
        replies[name] = signer.act(path, kind, **said)

    threads = [
        threading.Thread(target=run, args=("pay", payer, "/v1/invoice-payments", "invoice_payment", own)),
        threading.Thread(
            target=run,
            args=("cancel", shop.owner, f"/v1/invoices/{invoice}/cancel", "invoice_cancel", {"invoice": invoice}),
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (replies["pay"].status, replies["cancel"].status) in ((201, 409), (409, 200))
    assert city.available(payer) == (80_000 if replies["pay"].status == 201 else 100_000)


def test_items_come_to_the_amount_or_nothing_is_issued(shop: Shop) -> None:
    def item(**own: str) -> dict[str, str]:
        return {"name": "Mè xửng", "unit": "kg", "price": "90000", "count": "0.35", "amount": "31500"} | own

    reply = shop.invoice(31_500, items=[item()])
    assert reply.status == 201
    assert shop.read(reply.json()["invoice"])["items"][0]["count"] == "0.35"
    refused(shop.invoice(31_500, items=[item(amount="31499")]), 422, "invoice_items")
    refused(shop.invoice(99_999, items=[item()]), 422, "invoice_items")
    for count in ("0", "-1", "1e3", "NaN", "0.0001", "٣", ""):
        refused(shop.invoice(31_500, items=[item(count=count)]), 422, "order_invalid")
    refused(shop.invoice(31_500, items=[item()] * 61), 422, "order_invalid")
    refused(shop.invoice(31_500, lasts_s="86401"), 422, "invoice_life")


def test_who_works_elsewhere_neither_issues_nor_reads_nor_cancels(shop: Shop, hoa: Signer, city: City) -> None:
    """Row 82: an id of another merchant's is not there."""
    other = selling.shop(city, "Bún bò Mụ Rơi")
    invoice = shop.asks(10_000)
    refused(shop.invoice(10_000, by=other.owner), 404, "point_not_found")
    refused(shop.invoice(10_000, by=hoa), 404, "point_not_found")
    for stranger in (other.owner, city.citizen("Lê Thị Lạ")):
        assert stranger.get(f"/v1/invoices/{invoice}").status == 404
        reply = stranger.act(f"/v1/invoices/{invoice}/cancel", "invoice_cancel", invoice=invoice)
        refused(reply, 404, "invoice_not_found")
    assert shop.owner.get("/v1/invoices/1").status == 404


def test_a_cashier_who_was_let_go_issues_nothing_any_more(shop: Shop) -> None:
    cashier = shop.employ()
    assert shop.invoice(5_000, by=cashier).status == 201
    shop.appoint(cashier, None)
    refused(shop.invoice(5_000, by=cashier), 404, "point_not_found")


def test_a_merchants_own_machine_issues_and_reads(shop: Shop, city: City) -> None:
    from wallet.crypto import PrivateKey

    machine = city.signer(shop.merchant, PrivateKey.generate())
    city.enrol(machine)
    invoice = shop.asks(8_000, by=machine)
    assert machine.get(f"/v1/invoices/{invoice}").json()["state"] == "new"
    refused(machine.act("/v1/transfers", "transfer", payer=shop.account, payee=shop.owner.account, amount="1"), 403,
            "role_not_admitted")  # fmt: skip


# -- codes --------------------------------------------------------------------------------------------------


def test_codes_read_back_to_the_point_and_the_invoice(shop: Shop) -> None:
    read = shop.read(shop.asks(45_000))
    sticker = codes.of_point(shop.point, city="Huế", demo=True)
    for text, kind, amount in ((read["qr"], Kind.INVOICE, 45_000), (sticker, Kind.POINT, None)):
        decoded = qr.decode(text, environment=Environment.DEMO)
        assert decoded.issues == ()
        said: Any = decoded.fields
        assert (said.point.kind, said.amount) == (kind, amount)
        assert (said.point.merchant, said.point.point) == (shop.merchant, shop.points[0])
        assert said.vietqr.bin == "999999", "no real bank's"
        assert qr.decode(text).refused, "a demo's code is refused outside the demo (row 87)"


# -- stickers and what the cashier keyed ----------------------------------------------------------------------


def matched(city: City, reply: Reply) -> tuple[str | None, str | None]:
    """How a payment was matched, and with which invoice."""
    assert reply.status == 201, reply.body
    with city.engine.connect() as connection:
        found = payments.by_entry(connection, UUID(reply.json()["entry"]))
    assert found is not None
    return found.how, str(found.matched) if found.matched else None


def quiet(shop: Shop) -> UUID:
    """A point at which nothing was keyed yet."""
    return shop.issue_point(f"Quầy {len(shop.points) + 1}")


@pytest.mark.parametrize(("paid", "how"), [(45_000, "exact"), (40_000, "under"), (54_000, "over")])
def test_what_was_paid_to_a_sticker_is_held_against_what_was_keyed(
    shop: Shop, hoa: Signer, city: City, paid: int, how: str
) -> None:
    point = quiet(shop)
    invoice = shop.asks(45_000, point=point)
    assert matched(city, shop.pay_sticker(hoa, paid, point=point)) == (how, invoice)
    read = shop.read(invoice)
    assert (read["state"], read["how"], read["paid"]) == ("short" if how == "under" else "paid", how, str(paid))
    refused(shop.pay(hoa, invoice), 409, "invoice_paid")


def test_a_payment_that_nobody_keyed_answers_nothing_until_the_cashier_attaches_it(
    shop: Shop, hoa: Signer, city: City
) -> None:
    point = quiet(shop)
    paid = shop.pay_sticker(hoa, 20_000, point=point)
    assert matched(city, paid) == (None, None)
    entry, invoice = paid.json()["entry"], shop.asks(20_000, point=point)
    stranger = selling.shop(city, "Người Lạ").owner
    refused(stranger.act("/v1/payment-matches", "payment_attach", payment=entry, invoice=invoice), 404,
            "payment_not_found")  # fmt: skip
    reply = shop.owner.act("/v1/payment-matches", "payment_attach", payment=entry, invoice=invoice)
    assert (reply.status, reply.json()["how"]) == (201, "attached")
    again = shop.owner.act("/v1/payment-matches", "payment_attach", payment=entry, invoice=shop.asks(1))
    refused(again, 409, "payment_matched")


def test_of_two_candidates_the_cashier_picks(shop: Shop, hoa: Signer, city: City) -> None:
    point = quiet(shop)
    first, second = shop.asks(45_000, point=point), shop.asks(45_000, point=point)
    paid = shop.pay_sticker(hoa, 45_000, point=point)
    assert matched(city, paid) == (None, None)
    entry = paid.json()["entry"]
    reply = shop.owner.act("/v1/payment-matches", "payment_attach", payment=entry, invoice=second)
    assert reply.json()["how"] == "exact"
    assert [shop.read(one)["state"] for one in (first, second)] == ["new", "paid"]
    assert matched(city, shop.pay_sticker(hoa, 45_000, point=point)) == ("exact", first), "one was left"


def test_the_same_amount_goes_before_another(shop: Shop, hoa: Signer, city: City) -> None:
    point = quiet(shop)
    shop.asks(60_000, point=point)
    wanted = shop.asks(45_000, point=point)
    assert matched(city, shop.pay_sticker(hoa, 45_000, point=point)) == ("exact", wanted)


def test_two_who_pay_one_sticker_at_once_do_not_both_answer_one_invoice(shop: Shop, city: City) -> None:
    point = quiet(shop)
    invoice = shop.asks(15_000, point=point)
    payers = [city.citizen(f"Khách Tem {n}", available=15_000) for n in range(3)]
    start, replies = threading.Barrier(len(payers)), []
    account = shop.account

    def paying(payer: Signer) -> None:
        own = {"payer": payer.account, "payee": account, "point": str(point), "amount": "15000", "memo": ""}
        start.wait()
        replies.append(payer.act("/v1/point-payments", "point_payment", **own))

    threads = [threading.Thread(target=paying, args=(payer,)) for payer in payers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(matched(city, reply)[1]) for reply in replies) == sorted(["None", "None", invoice])


def test_what_comes_after_the_invoices_time_is_late(shop: Shop, hoa: Signer, city: City) -> None:
    point = quiet(shop)
    invoice = shop.asks(45_000, point=point)
    with db.autocommitting(city.engine).connect() as connection, pytest.raises(sa.exc.ProgrammingError):
        connection.exec_driver_sql("UPDATE market.invoice SET expires_at = now() WHERE id = %s", (invoice,))
    as_owner(city, "UPDATE market.invoice SET made_at = made_at - interval '20 minutes',"
                   " expires_at = now() - interval '1 minute' WHERE id = %s", invoice)  # fmt: skip
    refused(shop.pay(hoa, invoice), 409, "invoice_expired")
    assert matched(city, shop.pay_sticker(hoa, 45_000, point=point)) == ("late", invoice)
    assert shop.read(invoice)["state"] == "paid"


def test_an_amount_that_has_just_expired_goes_before_another_that_is_live(shop: Shop, hoa: Signer, city: City) -> None:
    point = quiet(shop)
    old = shop.asks(45_000, point=point)
    as_owner(city, "UPDATE market.invoice SET made_at = made_at - interval '20 minutes',"
                   " expires_at = now() - interval '1 minute' WHERE id = %s", old)  # fmt: skip
    live = shop.asks(99_000, point=point)
    assert matched(city, shop.pay_sticker(hoa, 45_000, point=point)) == ("late", old)
    assert shop.read(live)["state"] == "new"


def as_owner(city: City, statement: str, *parameters: object) -> None:
    """What time or a fault does, for which nobody of ours has the right."""
    engine = sa.create_engine(city.database.owner_url)
    with engine.begin() as unit:
        unit.exec_driver_sql(statement, parameters)
    engine.dispose()


def test_a_payment_that_came_short_is_answered_by_asking_for_the_rest(shop: Shop, hoa: Signer, city: City) -> None:
    point = quiet(shop)
    invoice = shop.asks(45_000, point=point)
    entry = shop.pay_sticker(hoa, 40_000, point=point).json()["entry"]
    reply = shop.owner.act("/v1/payment-rests", "payment_rest", payment=entry)
    assert (reply.status, reply.json()["amount"]) == (201, "5000")
    rest = reply.json()["invoice"]
    assert shop.read(rest)["rest_of"] == invoice
    assert shop.read(invoice)["state"] == "short", "asked for is not yet paid"
    refused(shop.owner.act("/v1/payment-rests", "payment_rest", payment=entry), 409, "payment_nothing_open")
    assert shop.pay(hoa, rest).status == 201
    assert [shop.read(one)["state"] for one in (invoice, rest)] == ["paid", "paid"]


def test_what_differs_may_be_let_be_and_what_is_exact_needs_nothing(shop: Shop, hoa: Signer) -> None:
    point = quiet(shop)
    short = shop.asks(45_000, point=point)
    entry = shop.pay_sticker(hoa, 44_000, point=point).json()["entry"]
    assert shop.owner.act("/v1/payment-acceptances", "payment_accept", payment=entry).status == 201
    assert shop.read(short)["state"] == "paid"
    shop.asks(45_000, point=point)
    exact = shop.pay_sticker(hoa, 45_000, point=point).json()["entry"]
    for path, kind in (("/v1/payment-acceptances", "payment_accept"), ("/v1/payment-rests", "payment_rest")):
        refused(shop.owner.act(path, kind, payment=exact), 409, "payment_nothing_open")


def test_a_sticker_of_a_revoked_point_or_of_a_suspended_merchant_is_not_paid(hoa: Signer, city: City) -> None:
    from market import points as places
    from wallet.identity.roles import Role

    shop = selling.shop(city, "Quán Tạm")
    old = quiet(shop)
    order = places.PointMoveOrder(id=OrderId(uuid4()), point=old)
    new = shop.act("point_replace", lambda unit, claim: places.replace(unit, claim, order, now=clock.now())).point
    own = city.available(hoa)
    refused(shop.pay_sticker(hoa, 10_000, point=old), 409, "point_closed")
    invoice = shop.asks(10_000, point=new)
    assert shop.pay_sticker(hoa, 1_000, point=new).status == 201
    shop.judge(city.person("Cán Bộ Ba", Role.OPERATOR), "suspended", "Bị tố giác")
    refused(shop.pay_sticker(hoa, 10_000, point=new), 409, "point_closed")
    refused(shop.invoice(1, point=new), 409, "point_closed")
    refused(shop.pay(hoa, invoice), 409, "invoice_paid")
    assert own - city.available(hoa) == 1_000


def test_a_payment_to_another_payee_than_the_points_is_refused(shop: Shop, hoa: Signer, city: City) -> None:
    """Row 87: whoever is paid stands in our registry, and in the signed order."""
    own = {"payer": hoa.account, "payee": hoa.account, "point": str(shop.points[0]), "amount": "1000", "memo": ""}
    refused(hoa.act("/v1/point-payments", "point_payment", **own), 409, "point_payee_differs")
    own |= {"payee": shop.account, "point": str(uuid4())}
    refused(hoa.act("/v1/point-payments", "point_payment", **own), 404, "point_not_found")
    binh = city.citizen("Trần Nghèo", available=100)
    refused(shop.pay_sticker(binh, 10_000), 402, "insufficient_funds")
    assert city.available(binh) == 100


def test_a_merchant_is_named_in_the_payers_history(shop: Shop, city: City) -> None:
    from wallet import accounts
    from wallet.web import views

    payer = city.citizen("Đặng Thị Đọc", available=50_000)
    shop.pay(payer, shop.asks(7_000))
    assert city.app is not None
    with city.app.test_request_context("/"), city.engine.connect() as connection:
        from flask import g

        g.now = clock.now()
        rows = accounts.movements(connection, AccountId(UUID(payer.account)), before=None, rows_max=5)
        shown = views.history(connection, rows, holder=HolderId(UUID(payer.holder)))
    assert (shown[0]["counterparty"], shown[0]["amount"], shown[0]["title"]) == (shop.name, -7_000, "Trả tiền cho")


def test_owners_managers_and_cashiers_all_issue(shop: Shop) -> None:
    for role in StaffRole:
        assert shop.invoice(1_000, by=shop.employ(role)).status == 201
