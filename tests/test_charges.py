"""Charges: what a till takes by a customer's one-time code: once, at most the cap, in time, and by who serves the point."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests import selling
from tests.attack import nothing_moved, refused
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.races import all_at_once
from tests.selling import Shop
from tests.test_mandates import a_code, signs, state
from wallet.client import Reply


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


@pytest.fixture(scope="module")
def stall(town: City) -> Shop:
    return selling.shop(town, "Bún bò O Xuân")


def charges(stall: Shop, code: str, amount: int, *, by: Signer | None = None, **more: Any) -> Reply:
    who = by or stall.owner
    return who.act(
        "/v1/charges", "charge", point=str(stall.points[0]), amount=str(amount), code=code, **({"invoice": ""} | more)
    )


def shown(who: Signer, *, cap: int = 50_000, seconds: float = 25) -> str:
    """The code that somebody holds to the till."""
    code = a_code()
    assert signs(who, cap=cap, seconds=seconds, code=code).status == 201
    return code


def test_a_till_charges_a_customer_who_shows_a_code(town: City, stall: Shop) -> None:
    hoa, code = town.citizen(available=80_000), a_code()
    order = signs(hoa, cap=50_000, code=code).json()["order"]
    reply = charges(stall, code, 35_000)
    assert reply.status == 201, reply.body
    assert town.available(hoa) == 45_000
    seen = state(hoa, order)
    assert (seen["state"], seen["amount"], seen["entry"]) == ("charged", "35000", reply.json()["entry"])
    with town.engine.connect() as connection:
        row = connection.execute(
            sa.text("SELECT payer, point, amount FROM market.payment WHERE entry = :one"), {"one": seen["entry"]}
        ).one()
    assert tuple(row) == (UUID(hoa.holder), stall.points[0], 35_000)
    assert town.differences() == []


def test_a_code_is_good_for_once(town: City, stall: Shop) -> None:
    """Row 43: neither again at this till nor at another's."""
    hoa, other = town.citizen(available=80_000), selling.shop(town)
    code = shown(hoa)
    assert charges(stall, code, 10_000).status == 201
    with nothing_moved(town, outcomes=2):
        refused(charges(stall, code, 10_000), 409, "mandate_used")
        refused(charges(other, code, 10_000), 409, "mandate_used")
    assert town.available(hoa) == 70_000


def test_a_charge_sent_again_is_answered_and_charges_nothing(town: City, stall: Shop) -> None:
    """The reply was lost; the till sends the same bytes."""
    hoa = town.citizen(available=80_000)
    body = stall.owner.order("charge", point=str(stall.points[0]), amount="10000", code=shown(hoa), invoice="")
    first, again = (stall.owner.send("POST", "/v1/charges", body) for _ in range(2))
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert town.available(hoa) == 70_000


def test_more_than_the_cap_is_refused_and_the_code_stays_good(town: City, stall: Shop) -> None:
    hoa = town.citizen(available=80_000)
    code = shown(hoa, cap=20_000)
    with nothing_moved(town, outcomes=1):
        assert refused(charges(stall, code, 20_001), 422, "mandate_exceeded")["cap"] == "20000"
    assert charges(stall, code, 20_000).status == 201


def test_a_code_whose_time_is_over_is_refused(town: City, stall: Shop) -> None:
    hoa = town.citizen(available=80_000)
    code = shown(hoa)
    lapse(town, code)
    with nothing_moved(town, outcomes=1):
        refused(charges(stall, code, 10_000), 409, "mandate_expired")


def test_an_old_code_on_a_photo_is_refused_once_the_phone_shows_a_newer(town: City, stall: Shop) -> None:
    """A stolen code."""
    hoa = town.citizen(available=80_000)
    stolen, newer = shown(hoa), shown(hoa)
    with nothing_moved(town, outcomes=1):
        refused(charges(stall, stolen, 10_000), 409, "mandate_replaced")
    assert charges(stall, newer, 10_000).status == 201


def test_who_serves_no_till_charges_nobody(town: City, stall: Shop) -> None:
    """Rows 82 and 85: a stolen code is worth nothing to a citizen, nor at another merchant's point."""
    hoa, thief = town.citizen(available=80_000), town.citizen("Trần Văn Trộm")
    code, other = shown(hoa), selling.shop(town)
    with nothing_moved(town, outcomes=2):
        refused(charges(stall, code, 10_000, by=thief), 404, "point_not_found")
        refused(charges(stall, code, 10_000, by=other.owner), 404, "point_not_found")


def test_codes_that_nobody_signed_are_counted_against_the_till(town: City) -> None:
    stall = selling.shop(town)
    refused(charges(stall, a_code(), 10_000), 404, "mandate_not_found")
    refused(charges(stall, "123456789012", 10_000), 422, "mandate_code_mistyped")
    with town.engine.begin() as unit:
        unit.execute(
            sa.text("UPDATE identity.attempt SET count = 1000 WHERE bucket LIKE :one"),
            {"one": f"till-codes%{stall.owner.holder}%"},
        )
    refused(charges(stall, a_code(), 10_000), 429, "mandate_codes_too_many")


def test_a_charge_counts_against_the_customers_limits_and_not_the_cashiers(town: City, stall: Shop) -> None:
    hoa = town.citizen(available=80_000)
    assert charges(stall, shown(hoa), 30_000).status == 201
    used = "SELECT coalesce(max(used), 0) FROM ledger.usage WHERE holder = :one AND bucket = 'general_month'"
    with town.engine.connect() as connection:
        of = [connection.execute(sa.text(used), {"one": who.holder}).scalar_one() for who in (hoa, stall.owner)]
    assert of == [30_000, 0]


def test_too_little_money_and_a_frozen_wallet_refuse_the_charge(town: City, stall: Shop) -> None:
    hoa = town.citizen(available=10_000)
    code = shown(hoa)
    refused(charges(stall, code, 10_001), 402, "insufficient_funds")
    town.move(hoa, "freeze")
    refused(charges(stall, code, 5_000), 403, "payer_frozen")


def test_of_two_tills_with_one_code_exactly_one_charges(town: City, stall: Shop) -> None:
    hoa, other = town.citizen(available=80_000), selling.shop(town)
    code = shown(hoa)
    replies = all_at_once([lambda: charges(stall, code, 30_000), lambda: charges(other, code, 20_000)])
    assert sorted(reply.status for reply in replies) == [201, 409]
    assert next(reply.json()["code"] for reply in replies if reply.status == 409) == "mandate_used"
    assert town.differences() == []


def test_a_revoked_point_charges_nobody(town: City) -> None:
    stall, hoa = selling.shop(town), town.citizen(available=80_000)
    with town.engine.begin() as unit:
        unit.execute(sa.text("UPDATE market.point SET revoked_at = now() WHERE id = :one"), {"one": stall.points[0]})
    code = shown(hoa)
    with nothing_moved(town, outcomes=1):
        refused(charges(stall, code, 10_000), 409, "point_closed")


def test_a_charge_pays_the_invoice_that_it_names_and_no_other_amount(town: City, stall: Shop) -> None:
    hoa, invoice = town.citizen(available=80_000), stall.asks(45_000)
    code = shown(hoa)
    with nothing_moved(town, outcomes=1):
        refused(charges(stall, code, 44_000, invoice=invoice), 409, "invoice_differs")
    assert charges(stall, code, 45_000, invoice=invoice).status == 201
    assert stall.read(invoice)["state"] == "paid"
    refused(charges(stall, shown(hoa), 45_000, invoice=invoice), 409, "invoice_paid")
    assert town.differences() == []


def test_a_charge_answers_what_the_cashier_has_keyed(town: City) -> None:
    stall, hoa = selling.shop(town), town.citizen(available=80_000)
    invoice = stall.asks(45_000)
    assert charges(stall, shown(hoa), 45_000).status == 201
    assert stall.read(invoice)["state"] == "paid"


def test_what_was_charged_goes_back_to_the_customer(town: City, stall: Shop) -> None:
    hoa = town.citizen(available=80_000)
    entry = charges(stall, shown(hoa), 30_000).json()["entry"]
    assert stall.refund(entry, 10_000).status == 201
    assert town.available(hoa) == 60_000


def lapse(town: City, code: str) -> None:
    """Let a code's half minute be over, as only the owner of the books can."""
    owner = sa.create_engine(town.database.owner_url)
    with owner.begin() as unit:
        unit.execute(sa.text("ALTER TABLE ledger.mandate DISABLE TRIGGER append_only"))
        unit.execute(
            sa.text(
                "UPDATE ledger.mandate SET made_at = made_at - interval '1 minute',"
                " lapses_at = lapses_at - interval '1 minute' WHERE code = :one"
            ),
            {"one": code},
        )
        unit.execute(sa.text("ALTER TABLE ledger.mandate ENABLE TRIGGER append_only"))
    owner.dispose()
