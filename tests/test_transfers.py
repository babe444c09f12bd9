"""Transfers: each no has a code and sentences of its own, and writes nothing but its outcome."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.attack import nothing_moved, refused
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet import clock, events, words
from wallet.ledger import chart

ACCEPTED: dict[words.Locale, str] = {"vi": "vi-VN,vi;q=0.9", "en": "en-GB,en;q=0.9"}
ABOVE_STEP_UP = 10_000_001


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A transfer that shall be refused, and what the refusal must name besides its code."""

    payer: Signer
    payee: Signer
    amount: int = 1
    facts: dict[str, str] = field(default_factory=dict)


def pair(city: City, *, available: int = 1_000) -> tuple[Signer, Signer]:
    return city.citizen(available=available), city.citizen("Trần Văn Bình")


def pay_fee(city: City, payer: Signer, amount: int) -> None:
    """A fee of the city: it counts in the month's limit and has no step-up threshold."""
    bill = city.bill(debtor=payer, amounts=[amount])
    reply = payer.act("/v1/bill-payments", "bill_payment", payer=payer.account, bills=[bill.seen])
    assert reply.status == 201, reply.body


def moved(city: City, which: str, kind: str) -> Attempt:
    payer, payee = pair(city, available=0 if kind == "close" else 1_000)
    reply = city.move(payer if which == "payer" else payee, kind)
    assert reply.status == 200, reply.body
    return Attempt(payer=payer, payee=payee, facts={"account": payer.account if which == "payer" else payee.account})


def to_oneself(city: City) -> Attempt:
    hoa = city.citizen(available=1_000)
    return Attempt(payer=hoa, payee=hoa, facts={"param": "payee"})


def zero(city: City) -> Attempt:
    payer, payee = pair(city)
    return Attempt(payer=payer, payee=payee, amount=0)


def from_anothers_wallet(city: City) -> Attempt:
    payer, payee = pair(city)
    victim = city.citizen("Lê Thị Cúc", available=1_000)
    return Attempt(payer=replace(payer, account=victim.account), payee=payee, facts={"param": "payer"})


def to_nobody(city: City) -> Attempt:
    payer, payee = pair(city)
    return Attempt(payer=payer, payee=replace(payee, account=str(uuid4())), facts={"param": "payee"})


def to_our_bank_account(city: City) -> Attempt:
    payer, payee = pair(city)
    return Attempt(payer=payer, payee=replace(payee, account=str(city.house(chart.BANK_GUARANTEE))))


def held_back(city: City) -> Attempt:
    payer, payee = pair(city)
    city.hold(payer, payee, 400)
    return Attempt(payer=payer, payee=payee, amount=601, facts={"account": payer.account})


def above_the_threshold_of_one(city: City) -> Attempt:
    payer, payee = pair(city, available=ABOVE_STEP_UP)
    facts = {"limit": "step_up_order", "cap": "10000000", "param": "amount"}
    return Attempt(payer=payer, payee=payee, amount=ABOVE_STEP_UP, facts=facts)


def above_the_threshold_of_a_day(city: City) -> Attempt:
    payer, payee = pair(city, available=30_000_000)
    assert [city.send(payer, payee, amount).status for amount in (10_000_000, 9_999_998)] == [201, 201]
    facts = {"limit": "step_up_day", "cap": "20000000", "used": "19999998", "remaining": "2"}
    return Attempt(payer=payer, payee=payee, amount=3, facts=facts | {"renews_at": renews(next_day)})


def above_the_limit_of_a_month(city: City) -> Attempt:
    payer, payee = pair(city, available=100_100_000)
    pay_fee(city, payer, 99_999_000)
    facts = {"limit": "general_month", "cap": "100000000", "used": "99999000", "remaining": "1000"}
    return Attempt(payer=payer, payee=payee, amount=1_001, facts=facts | {"renews_at": renews(next_month)})


def next_day(today: date) -> date:
    return today + timedelta(days=1)


def next_month(today: date) -> date:
    return (today.replace(day=1) + timedelta(days=31)).replace(day=1)


def renews(following: Callable[[date], date]) -> str:
    """The city's midnight that ends the period, spelled in UTC."""
    first = following(clock.day_of(clock.now()))
    return events.instant(datetime(first.year, first.month, first.day, tzinfo=clock.CITY_TIME))


REFUSED: dict[str, tuple[int, str, int, Callable[[City], Attempt]]] = {
    # what is tried: (status, code, outcomes stored, how it comes about)
    "a frozen payer": (403, "payer_frozen", 1, lambda city: moved(city, "payer", "freeze")),
    "a closed payer": (403, "payer_closed", 1, lambda city: moved(city, "payer", "close")),
    "a frozen payee": (409, "payee_frozen", 1, lambda city: moved(city, "payee", "freeze")),
    "a closed payee": (409, "payee_closed", 1, lambda city: moved(city, "payee", "close")),
    "to oneself": (422, "transfer_same_account", 1, to_oneself),
    "zero": (422, "order_invalid", 0, zero),
    "another's wallet": (404, "account_not_found", 1, from_anothers_wallet),
    "to nobody": (404, "payee_not_found", 1, to_nobody),
    "to our bank account": (404, "payee_not_found", 1, to_our_bank_account),
    "more than is available": (402, "insufficient_funds", 1, held_back),
    "above the threshold of one order": (403, "step_up_required", 1, above_the_threshold_of_one),
    "above the threshold of a day": (403, "step_up_required", 1, above_the_threshold_of_a_day),
    "above the limit of a month": (403, "limit_exceeded", 1, above_the_limit_of_a_month),
}


@pytest.mark.parametrize("locale", ACCEPTED)
@pytest.mark.parametrize("tried", REFUSED)
def test_a_transfer_that_may_not_be_is_refused_by_a_code_of_its_own(
    town: City, tried: str, locale: words.Locale
) -> None:
    """Rows 1, 37, 39, 43, 82: the three sentences in the caller's language, the facts, and nothing but an outcome."""
    status, code, outcomes, prepare = REFUSED[tried]
    attempt = prepare(town)
    with nothing_moved(town, outcomes=outcomes):
        reply = town.send(attempt.payer, attempt.payee, attempt.amount, **{"Accept-Language": ACCEPTED[locale]})
        document = refused(reply, status, code, locale=locale)
    assert {name: document.get(name) for name in attempt.facts} == attempt.facts


def test_no_two_refusals_of_a_transfer_say_the_same_thing() -> None:
    codes = {code for _, code, _, _ in REFUSED.values()}
    for locale in ACCEPTED:
        assert len({words.refusal(code, locale).title for code in codes}) == len(codes)


def test_what_is_exactly_at_a_limit_passes(town: City) -> None:
    """Row 39: caps are inclusive; the next đồng is the one that is refused."""
    payer, payee = pair(town, available=100_100_000)
    assert [town.send(payer, payee, 10_000_000).status for _ in range(2)] == [201, 201]
    refused(town.send(payer, payee, 1), 403, "step_up_required")
    pay_fee(town, payer, 80_000_000)
    refused(town.send(payer, payee, 1), 403, "limit_exceeded")
    assert (town.available(payer), town.available(payee)) == (100_000, 20_000_000)


def test_the_last_dong_can_be_sent(town: City) -> None:
    payer, payee = pair(town, available=7)
    assert town.send(payer, payee, 7).status == 201
    assert (town.available(payer), town.available(payee)) == (0, 7)


def test_a_refusal_sticks_also_when_its_cause_is_gone(town: City) -> None:
    """Row 43: the outcome of a refused order is its outcome for ever; a new order is a new chance."""
    payer, payee = pair(town)
    assert town.move(payee, "freeze").status == 200
    order = payer.order("transfer", payer=payer.account, payee=payee.account, amount="5", memo="")
    first = payer.send("POST", "/v1/transfers", order)
    refused(first, 409, "payee_frozen")
    assert town.move(payee, "thaw").status == 200
    again = payer.send("POST", "/v1/transfers", order)
    assert (again.status, again.body) == (first.status, first.body)
    assert town.send(payer, payee, 5).status == 201
    assert (town.available(payer), town.available(payee)) == (995, 5)


def test_a_transfer_is_one_entry_of_one_posting_told_by_one_event(town: City) -> None:
    payer, payee = pair(town)
    done = town.send(payer, payee, 12).json()
    with town.engine.connect() as connection:
        postings = connection.exec_driver_sql(
            "SELECT debit, credit, amount FROM ledger.posting WHERE entry = %s", (done["entry"],)
        ).all()
        told = connection.exec_driver_sql(
            "SELECT type, actor FROM ledger.event WHERE entry = %s", (done["entry"],)
        ).all()
    assert [tuple(row) for row in postings] == [(UUID(payer.account), UUID(payee.account), 12)]
    assert [tuple(row) for row in told] == [("transfer.sent", UUID(payer.holder))]


def test_the_books_prove_after_all_that_was_tried(town: City) -> None:
    assert town.differences() == []
