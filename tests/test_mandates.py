"""Mandates: a citizen's one-time code, signed with its cap and its end; what a till may do with it is in test_charges."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests.attack import refused
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet import clock, mandates
from wallet.client import Reply
from wallet.payees import check_digit


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


def a_code(number: int | None = None) -> str:
    """Eleven digits, random unless they are given, and the one that checks them."""
    digits = f"{uuid4().int % 10**11 if number is None else number:011d}"
    return digits + check_digit(digits)


def signs(who: Signer, *, cap: int = 50_000, seconds: float = 25, code: str | None = None, **more: Any) -> Reply:
    """Sign a mandate, as the page does: to end so many seconds from now."""
    lapses_at = str(int((clock.now() + timedelta(seconds=seconds)).timestamp()))
    fields: dict[str, Any] = {"payer": who.account, "cap": str(cap), "code": code or a_code(), "lapses_at": lapses_at}
    return who.act("/v1/mandates", "mandate", **(fields | more))


def state(who: Signer, order: str) -> dict[str, Any]:
    read: dict[str, Any] = who.get(f"/v1/mandates/{order}").json()
    return read


def test_a_signed_mandate_lives_and_sets_nothing_aside(town: City) -> None:
    hoa = town.citizen(available=80_000)
    reply = signs(hoa, cap=50_000)
    assert reply.status == 201, reply.body
    seen = state(hoa, reply.json()["order"])
    assert (seen["state"], seen["cap"], seen["entry"]) == ("live", "50000", None)
    assert hoa.get(f"/v1/accounts/{hoa.account}").json()["available"] == "80000"
    assert "code" not in reply.json(), "an outcome is kept for ever"
    assert town.differences() == []


def test_a_mandate_ends_after_thirty_seconds_of_our_clock_whatever_the_phone_says(town: City) -> None:
    hoa = town.citizen()
    signs(hoa, seconds=38)
    with town.engine.connect() as connection:
        lives = connection.execute(
            sa.text("SELECT lapses_at - made_at FROM ledger.mandate WHERE account = :one"), {"one": hoa.account}
        ).scalar_one()
    assert lives == mandates.LIFE


@pytest.mark.parametrize("seconds", [-2, 60, 3600])
def test_a_mandate_ends_in_the_future_and_soon(town: City, seconds: int) -> None:
    refused(signs(town.citizen(), seconds=seconds), 422, "mandate_life")


@pytest.mark.parametrize("code", ["12345678901", "1234567890123", "12345678901a", "１２３４５６７８９０１２"])
def test_a_code_is_twelve_plain_digits(town: City, code: str) -> None:
    refused(signs(town.citizen(), code=code), 422, "mandate_code_mistyped")


def test_a_wrong_check_digit_is_found(town: City) -> None:
    code = a_code(48_217_309_156)
    refused(signs(town.citizen(), code=code[:11] + str((int(code[11]) + 1) % 10)), 422, "mandate_code_mistyped")


def test_a_code_that_was_once_somebodys_is_never_anothers(town: City) -> None:
    code = a_code()
    assert signs(town.citizen(), code=code).status == 201
    refused(signs(town.citizen(), code=code), 409, "mandate_code_taken")


def test_a_newer_mandate_ends_the_older(town: City) -> None:
    hoa = town.citizen()
    older, newer = (signs(hoa).json()["order"] for _ in range(2))
    assert (state(hoa, older)["state"], state(hoa, newer)["state"]) == ("replaced", "live")


def test_nobody_signs_a_mandate_on_anothers_wallet(town: City) -> None:
    """Row 82."""
    hoa, binh = town.citizen(), town.citizen("Trần Văn Bình")
    refused(signs(binh, payer=hoa.account), 404, "account_not_found")


def test_nobody_reads_anothers_mandate(town: City) -> None:
    """Row 82."""
    hoa, binh = town.citizen(), town.citizen("Trần Văn Bình")
    order = signs(hoa).json()["order"]
    refused(binh.get(f"/v1/mandates/{order}"), 404, "mandate_not_found")


def test_a_mandate_sent_twice_is_one(town: City) -> None:
    hoa = town.citizen()
    lapses_at = str(int((clock.now() + timedelta(seconds=20)).timestamp()))
    body = hoa.order("mandate", payer=hoa.account, cap="1000", code=a_code(), lapses_at=lapses_at)
    first, again = (hoa.send("POST", "/v1/mandates", body) for _ in range(2))
    assert (first.status, again.status, again.body) == (201, 201, first.body)


def test_a_frozen_wallet_signs_no_mandate(town: City) -> None:
    hoa = town.citizen()
    town.move(hoa, "freeze")
    refused(signs(hoa), 403, "payer_frozen")
