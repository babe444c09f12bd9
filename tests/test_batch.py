"""Batches: many recipients from one account in one call, an outcome for each, and nothing that the payer has not."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.attack import nothing_moved
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.races import all_at_once
from wallet import canonical, clock, db, ledger
from wallet.ids import AccountId, EntryId
from wallet.ledger import BatchItem, Claim, Evidence, chart
from wallet.ledger.refusals import LimitExceeded, PayerClosed, PayerFrozen, PeriodClosed
from wallet.limits import TRANSFER, Limits
from wallet.money import Dong
from wallet.refusal import Refusal

Outcome = list[str | None]


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


def item(payee: Signer | str, amount: int) -> BatchItem:
    account = payee if isinstance(payee, str) else payee.account
    return BatchItem(payee=AccountId(UUID(account)), amount=Dong(amount))


def pay(
    city: City,
    payer: Signer,
    items: Sequence[BatchItem],
    *,
    account: str | None = None,
    at: datetime | None = None,
    order_kind: str = "batch_transfer",
    evidence: Evidence | None = None,
) -> tuple[list[EntryId], Outcome]:
    """A batch as its verb will one day make it: claimed, paid and concluded in one unit.

    Returns:
        For each item its entry, and why it was passed over.

    Raises:
        Refusal: for the batch as a whole.
    """
    evidence = evidence or city.evidence(payer, order_kind)
    now = clock.now()

    def work(unit: sa.Connection) -> list[tuple[EntryId, str | None]]:
        claim = Claim.of(evidence)
        assert ledger.claim(unit, evidence, claim).state == "new"
        whole = sum(one.amount for one in items)
        limits = Limits(demo=True).counts(unit, claim, {TRANSFER: whole}, now=now) if whole else ()
        limits = tuple(one for one in limits if one.bucket != "step_up_day")
        made = ledger.post_batch(
            unit,
            claim,
            kind="batch_transfer",
            payer=AccountId(UUID(account or payer.account)),
            items=items,
            limits=limits,
            effective_at=at or now,
        )
        paid = sum(one.amount for one, (_, why) in zip(items, made, strict=True) if why is None)
        counted = tuple(replace(one, amount=Dong(paid)) for one in limits)
        ledger.conclude(unit, claim, status=201, body=canonical.dumps({}), counted=counted)
        return made

    made = db.unit(city.engine, work)
    return [entry for entry, _ in made], [why for _, why in made]


def month_of(city: City, who: Signer) -> int:
    """What the books count in the holder's month."""
    with city.engine.connect() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT coalesce(sum(used), 0) FROM ledger.usage WHERE holder = %s AND bucket = 'general_month'",
                (who.holder,),
            ).scalar_one()
        )


def people(city: City, count: int) -> list[Signer]:
    return [city.citizen(f"Người Nhận {number}") for number in range(count)]


# -- each item its outcome ----------------------------------------------------------------------------------


def test_everybody_is_paid_by_an_entry_and_an_event_of_their_own(town: City) -> None:
    payer, payees = town.citizen(available=1_000), people(town, 3)
    entries, outcome = pay(town, payer, [item(payee, 100 + n) for n, payee in enumerate(payees)])
    assert outcome == [None] * 3
    assert [town.available(payee) for payee in payees] == [100, 101, 102]
    assert town.available(payer) == 1_000 - 303
    with town.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT e.id, p.credit, p.amount, v.type, o.entries FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id"
            " JOIN ledger.event v ON v.entry = e.id JOIN ledger.outcome o ON o.authority = e.authority"
            " WHERE e.id = ANY (%s) ORDER BY p.seq",
            (entries,),
        ).all()
    assert [(row.id, row.credit, row.amount) for row in rows] == [
        (entry, UUID(payee.account), 100 + n) for n, (entry, payee) in enumerate(zip(entries, payees, strict=True))
    ]
    assert {row.type for row in rows} == {"batch_transfer.paid"}
    assert all(row.entries == sorted(entries) for row in rows)


def test_items_are_paid_in_their_order_while_the_running_total_stays_within_what_is_available(town: City) -> None:
    """Row 37: the first that does not fit stops those behind it, also smaller ones; who is passed over pays nothing."""
    payer, payees = town.citizen(available=100), people(town, 4)
    _, outcome = pay(town, payer, [item(payee, amount) for payee, amount in zip(payees, (60, 40, 1, 1), strict=True)])
    assert outcome == [None, None, "insufficient", "insufficient"]
    assert [town.available(who) for who in (payer, *payees)] == [0, 60, 40, 0, 0]


def test_an_item_that_does_not_fit_stops_a_smaller_one_behind_it(town: City) -> None:
    payer, payees = town.citizen(available=100), people(town, 3)
    _, outcome = pay(town, payer, [item(payee, amount) for payee, amount in zip(payees, (60, 50, 10), strict=True)])
    assert outcome == [None, "insufficient", "insufficient"]
    assert town.available(payer) == 40


def test_what_is_held_is_not_paid_out(town: City) -> None:
    payer, payees = town.citizen(available=100), people(town, 2)
    town.hold(payer, payees[0], 70)
    _, outcome = pay(town, payer, [item(payees[0], 30), item(payees[1], 1)])
    assert outcome == [None, "insufficient"]


def test_deltas_not_yet_folded_are_there_to_be_paid_out(town: City) -> None:
    payer, payees, giver = town.citizen(), people(town, 1), town.citizen(available=50)
    assert town.send(giver, payer, 50).status == 201
    assert pay(town, payer, [item(payees[0], 50)])[1] == [None]


def test_whoever_cannot_be_paid_is_passed_over_and_costs_nothing(town: City) -> None:
    """Row 43: frozen, closed, unknown, no wallet, the payer itself; the running total goes on without them."""
    payer, (good, frozen, closed) = town.citizen(available=100), people(town, 3)
    assert (town.move(frozen, "freeze").status, town.move(closed, "close").status) == (200, 200)
    house = str(town.house(chart.BANK_GUARANTEE))
    shut: list[Signer | str] = [frozen, closed, str(uuid4()), house, payer.account]
    items = [item(payee, 40 if payee in shut else 50) for payee in (good, *shut, good)]
    _, outcome = pay(town, payer, items)
    assert outcome == [None, "payee_frozen", "payee_closed", *["payee_unknown"] * 3, None]
    assert (town.available(payer), town.available(good)) == (0, 100)


def test_one_payee_may_be_paid_many_times_in_a_batch(town: City) -> None:
    payer, (binh,) = town.citizen(available=100), people(town, 1)
    entries, outcome = pay(town, payer, [item(binh, 10)] * 3)
    assert (outcome, len(set(entries)), town.available(binh)) == ([None] * 3, 3, 30)


def test_a_batch_of_which_nothing_is_paid_is_an_outcome_without_entries(town: City) -> None:
    payer, payees = town.citizen(), people(town, 2)
    _, outcome = pay(town, payer, [item(payee, 5) for payee in payees])
    assert outcome == ["insufficient"] * 2
    assert month_of(town, payer) == 0
    with town.engine.connect() as connection:
        told = (
            connection.exec_driver_sql(
                "SELECT type FROM ledger.event WHERE actor = %s AND authority IS NOT NULL AND type LIKE 'batch%%'",
                (payer.holder,),
            )
            .scalars()
            .all()
        )
    assert told == ["batch_transfer.concluded"]


# -- limits -------------------------------------------------------------------------------------------------


def test_limits_count_what_was_paid_and_not_what_was_asked(town: City) -> None:
    """Row 39."""
    payer, (good, frozen) = town.citizen(available=100), people(town, 2)
    assert town.move(frozen, "freeze").status == 200
    pay(town, payer, [item(good, 60), item(frozen, 1_000), item(good, 60)])
    assert month_of(town, payer) == 60


def test_the_limit_is_asked_for_the_whole_batch(town: City) -> None:
    """Row 39: whoever orders more than may leave the wallet is refused as a whole; nothing is counted."""
    payer, payees = town.citizen(available=10_000_000), people(town, 11)
    asked = [replace_amount(item(payee, 1), 9_500_000) for payee in payees]
    with nothing_moved(town), pytest.raises(LimitExceeded) as found:
        pay_beyond_step_up(town, payer, asked)
    assert (found.value.facts["limit"], found.value.facts["remaining"]) == ("general_month", "100000000")


def replace_amount(one: BatchItem, amount: int) -> BatchItem:
    return replace(one, amount=Dong(amount))


def pay_beyond_step_up(city: City, payer: Signer, items: Sequence[BatchItem]) -> None:
    """The month's limit alone: a batch of this size would first ask for a stronger proof."""
    evidence, now = city.evidence(payer, "batch_transfer"), clock.now()

    def work(unit: sa.Connection) -> Any:
        claim = Claim.of(evidence)
        ledger.claim(unit, evidence, claim)
        one = Limits(demo=True).counts(unit, claim, {TRANSFER: 1}, now=now)
        whole = Dong(sum(part.amount for part in items))
        limits = tuple(replace(count, amount=whole) for count in one if count.bucket == "general_month")
        return ledger.post_batch(
            unit,
            claim,
            kind="batch_transfer",
            payer=AccountId(UUID(payer.account)),
            items=items,
            limits=limits,
            effective_at=now,
        )

    db.unit(city.engine, work)


# -- the batch as a whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("move", "refusal"), [("freeze", PayerFrozen), ("close", PayerClosed)])
def test_a_payer_that_is_not_open_pays_nobody(town: City, move: str, refusal: type[Refusal]) -> None:
    """Row 43."""
    payer, payees = town.citizen(), people(town, 1)
    assert town.move(payer, move).status == 200
    with nothing_moved(town), pytest.raises(refusal):
        pay(town, payer, [item(payees[0], 5)])


def test_nobody_pays_out_of_anothers_account_or_by_another_order(town: City) -> None:
    """Row 82, beneath the verb: an error, and nothing is stored."""
    payer, mallory = town.citizen(available=100), town.citizen("Trần Văn Ác")
    for who, kind in ((mallory, "batch_transfer"), (payer, "transfer")):
        with nothing_moved(town), pytest.raises(sa.exc.DBAPIError):
            pay(town, who, [item(mallory, 5)], account=payer.account, order_kind=kind)


def test_a_batch_of_a_closed_day_is_refused(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        payer, payees = city.citizen(available=100), people(city, 1)
        day = clock.day_of(clock.now()) - timedelta(days=2)
        city.close_period(day)
        with nothing_moved(city), pytest.raises(PeriodClosed):
            pay(city, payer, [item(payees[0], 5)], at=clock.day_bounds(day)[0])
        assert pay(city, payer, [item(payees[0], 5)])[1] == [None]


@pytest.mark.parametrize("days", [-1, 401])
def test_a_batch_takes_effect_neither_in_the_future_nor_long_ago(town: City, days: int) -> None:
    """As every entry: an error of the verb, and nothing is stored."""
    payer, payees = town.citizen(available=100), people(town, 1)
    with nothing_moved(town), pytest.raises(sa.exc.DBAPIError, match="neither in the future nor"):
        pay(town, payer, [item(payees[0], 5)], at=clock.now() - timedelta(days=days))


# -- many, and at once --------------------------------------------------------------------------------------


def test_a_thousand_items_are_paid_in_one_call(town: City) -> None:
    """Every seventh payee is frozen and the money ends before the list does; each item has its own answer."""
    payees = people(town, 7)
    assert town.move(payees[6], "freeze").status == 200
    payer = town.citizen(available=800 * 9)
    statements: list[str] = []
    listen = lambda *given: statements.append(given[2])  # noqa: E731 - (conn, cursor, statement, …)
    sa.event.listen(town.engine, "before_cursor_execute", listen)
    started = time.process_time()
    try:
        entries, outcome = pay(town, payer, [item(payees[n % 7], 9) for n in range(1_000)])
    finally:
        sa.event.remove(town.engine, "before_cursor_execute", listen)
    assert time.process_time() - started < 30
    assert sum("post_batch" in statement for statement in statements) == 1
    expected: Outcome = []
    left = 800 * 9
    for n in range(1_000):
        if n % 7 == 6:
            expected.append("payee_frozen")
        elif left >= 9:
            expected.append(None)
            left -= 9
        else:
            expected.append("insufficient")
    assert outcome == expected
    assert len(set(entries)) == 1_000
    assert (town.available(payer), sum(town.available(payee) for payee in payees)) == (0, 7_200)
    assert month_of(town, payer) == 7_200


def test_batches_and_transfers_at_once_never_take_more_than_there_is(town: City) -> None:
    """Row 37: three batches and three transfers of the same last money."""
    payer, payees = town.citizen(available=1_000), people(town, 2)
    works = [lambda: pay(town, payer, [item(payee, 200) for payee in payees]), lambda: town.send(payer, payees[0], 200)]
    found = all_at_once(works * 3)
    paid = sum(200 * one[1].count(None) if isinstance(one, tuple) else 200 * (one.status == 201) for one in found)
    assert paid == 1_000
    assert (town.available(payer), sum(map(town.available, payees))) == (0, 1_000)


def test_batches_against_each_other_do_not_lock_each_other_out(town: City) -> None:
    """Row 38: each pays the other's payer."""
    hoa, binh = town.citizen(available=1_000), town.citizen("Trần Văn Bình", available=1_000)
    works = [lambda: pay(town, hoa, [item(binh, 10)] * 20), lambda: pay(town, binh, [item(hoa, 10)] * 20)]
    found = all_at_once(works * 3)
    assert [one[1] for one in found] == [[None] * 20] * 6
    assert (town.available(hoa), town.available(binh)) == (1_000, 1_000)


def test_a_batch_is_paid_once_however_often_it_is_ordered(town: City) -> None:
    """Row 34: the claim finds it."""
    payer, payees = town.citizen(available=100), people(town, 1)
    evidence = town.evidence(payer, "batch_transfer")
    assert pay(town, payer, [item(payees[0], 5)], evidence=evidence)[1] == [None]
    with town.engine.begin() as unit:
        found = ledger.claim(unit, evidence, Claim.of(evidence))
    assert (found.state, found.status) == ("known", 201)
    assert town.available(payees[0]) == 5


def test_the_books_prove_after_all_that_was_tried(town: City) -> None:
    assert town.differences() == []
