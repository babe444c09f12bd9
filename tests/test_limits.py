"""Limits: what counts where, in which calendar period of the city, exactly, and what its holder is shown."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.attack import nothing_moved, refused
from tests.databases import TestDatabase
from tests.make import City, Seen, Signer
from tests.races import all_at_once
from wallet import clock, events, limits, rules, transfers
from wallet.crypto import PrivateKey
from wallet.ids import AccountId, OrderId
from wallet.ledger import Claim, Plan
from wallet.ledger.refusals import LimitExceeded, StepUpRequired
from wallet.limits import Limits
from wallet.money import Dong
from wallet.transfers import TransferOrder

M = 1_000_000


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


def pair(city: City, available: int) -> tuple[Signer, Signer]:
    return city.citizen(available=available), city.citizen("Trần Văn Bình")


def counted(city: City, who: Signer) -> dict[str, int]:
    """What the books count against a holder in the present periods."""
    today = clock.day_of(clock.now())
    starts = {rule.code: limits.starts(rule, today) for rule in rules.limits_on(today)}
    with city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT bucket, starts, used FROM ledger.usage WHERE holder = %s", (who.holder,)
        )
        return {row.bucket: row.used for row in rows if starts[row.bucket] == row.starts}


def shown(who: Signer) -> dict[str, dict[str, Any]]:
    reply = who.get(f"/v1/accounts/{who.account}/limits")
    assert reply.status == 200, reply.body
    return {row["code"]: row for row in reply.json()["rows"]}


def bill(city: City, debtor: Signer, amount: int, *, use: str = "public_service") -> Seen:
    """A bill of the first procedure of a use that has an open item."""
    procedure = next(
        one
        for one in city.city.procedures.values()
        if one.use == use and any(item.amount is None for item in one.items)
    )
    others = {code: one for code, one in city.city.procedures.items() if one is procedure}
    whole = city.city
    city.city = replace(whole, procedures=others)
    try:
        return city.bill(debtor=debtor, amounts=[amount], agency=procedure.agencies[0])
    finally:
        city.city = whole


def pay(payer: Signer, *bills: Seen) -> Any:
    return payer.act("/v1/bill-payments", "bill_payment", payer=payer.account, bills=[one.seen for one in bills])


def second_device(city: City, who: Signer) -> Signer:
    """The same holder with a further key, enrolled a moment ago."""
    further = replace(who, key=PrivateKey.generate())
    city.enrol(further)
    return further


# -- what counts where --------------------------------------------------------------------------------------


def test_a_transfer_counts_in_the_month_and_in_the_day(town: City) -> None:
    hoa, binh = pair(town, 1_000)
    assert [town.send(hoa, binh, amount).status for amount in (100, 23)] == [201, 201]
    assert counted(town, hoa) == {"general_month": 123, "step_up_day": 123}
    assert counted(town, binh) == {}


def test_fees_count_in_the_bucket_of_their_procedure_and_in_no_day(town: City) -> None:
    """Two monthly buckets: a road fee is essential, a certificate is not; one payment can be of both."""
    hoa = town.citizen(available=1_000_000)
    paid = pay(hoa, bill(town, hoa, 20_000), bill(town, hoa, 30_000, use="road"))
    assert paid.status == 201, paid.body
    assert counted(town, hoa) == {"general_month": 20_000, "essential_month": 30_000}


def test_a_full_general_month_leaves_the_essential_one_open(town: City) -> None:
    hoa = town.citizen(available=150 * M)
    assert pay(hoa, bill(town, hoa, 100 * M)).status == 201
    with nothing_moved_but_bills(town):
        document = refused(pay(hoa, bill(town, hoa, 1_000)), 403, "limit_exceeded")
    assert (document["limit"], document["used"], document["remaining"]) == ("general_month", "100000000", "0")
    assert pay(hoa, bill(town, hoa, 40 * M, use="road")).status == 201


class nothing_moved_but_bills:  # noqa: N801 - reads as a sentence, like `nothing_moved`
    """A bill is issued inside, and nothing else happens to the money or to the limits."""

    def __init__(self, city: City) -> None:
        self.city = city

    def _read(self) -> Any:
        with self.city.engine.connect() as connection:
            return connection.exec_driver_sql(
                "SELECT (SELECT count(*) FROM ledger.posting), (SELECT md5(string_agg(u::text, ',' ORDER BY u::text))"
                " FROM ledger.usage u)"
            ).one()

    def __enter__(self) -> None:
        self.before = self._read()

    def __exit__(self, *_: object) -> None:
        assert self._read() == self.before


def test_a_fee_above_the_step_up_threshold_passes_and_a_transfer_does_not(town: City) -> None:
    hoa, binh = pair(town, 40 * M)
    assert pay(hoa, bill(town, hoa, 15 * M)).status == 201
    refused(town.send(hoa, binh, 15 * M), 403, "step_up_required")


def test_what_is_refused_counts_nothing(town: City) -> None:
    """Row 39: neither by a limit nor by anything that the ledger finds after it counted."""
    hoa, binh = pair(town, 1_000)
    assert town.send(hoa, binh, 10).status == 201
    with nothing_moved(town, outcomes=2):
        refused(town.send(hoa, binh, 991), 402, "insufficient_funds")
        refused(town.send(hoa, binh, 10 * M + 1), 403, "step_up_required")
    assert counted(town, hoa) == {"general_month": 10, "step_up_day": 10}


def test_a_retry_counts_once(town: City) -> None:
    hoa, binh = pair(town, 1_000)
    order = hoa.order("transfer", payer=hoa.account, payee=binh.account, amount="10", memo="")
    assert [hoa.send("POST", "/v1/transfers", order).status for _ in range(3)] == [201] * 3
    assert counted(town, hoa) == {"general_month": 10, "step_up_day": 10}


def test_a_refund_gives_nothing_back(town: City) -> None:
    hoa, binh = pair(town, 1_000)
    entry = town.send(hoa, binh, 400).json()["entry"]
    own = {"entry": entry, "lines": [{"line": "1", "amount": "400"}], "reason": "Nhầm"}
    assert binh.act("/v1/refunds", "refund", **own).status == 201
    assert counted(town, hoa) == {"general_month": 400, "step_up_day": 400}
    assert counted(town, binh) == {}


# -- in which period ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "day", "month", "day_ends", "month_ends"),
    [
        ("2026-11-21T16:59:59Z", "2026-11-21", "2026-11-01", "2026-11-21T17:00:00Z", "2026-11-30T17:00:00Z"),
        ("2026-11-21T17:00:00Z", "2026-11-22", "2026-11-01", "2026-11-22T17:00:00Z", "2026-11-30T17:00:00Z"),
        ("2026-11-30T16:59:59Z", "2026-11-30", "2026-11-01", "2026-11-30T17:00:00Z", "2026-11-30T17:00:00Z"),
        ("2026-11-30T17:00:00Z", "2026-12-01", "2026-12-01", "2026-12-01T17:00:00Z", "2026-12-31T17:00:00Z"),
        ("2026-12-31T17:00:00Z", "2027-01-01", "2027-01-01", "2027-01-01T17:00:00Z", "2027-01-31T17:00:00Z"),
        ("2028-02-29T12:00:00Z", "2028-02-29", "2028-02-01", "2028-02-29T17:00:00Z", "2028-02-29T17:00:00Z"),
    ],
)
def test_periods_are_those_of_the_citys_calendar(
    instant: str, day: str, month: str, day_ends: str, month_ends: str
) -> None:
    """The city's midnight is 17:00 UTC."""
    today = clock.day_of(datetime.fromisoformat(instant))
    by_window = {rule.window: rule for rule in rules.limits_on(date(2026, 11, 21))}
    assert limits.starts(by_window["day"], today).isoformat() == day
    assert limits.starts(by_window["month"], today).isoformat() == month
    assert limits.renews_at(by_window["day"], today) == datetime.fromisoformat(day_ends)
    assert limits.renews_at(by_window["month"], today) == datetime.fromisoformat(month_ends)


def at(city: City, payer: Signer, payee: Signer, amount: int, now: datetime, *, demo: bool = True) -> None:
    """A transfer whose limits are counted by a clock of the test's own; the books keep the database's.

    Raises:
        Refusal: what was refused.
    """
    order = TransferOrder(
        id=OrderId(UUID(int=0)),
        payer=AccountId(UUID(payer.account)),
        payee=AccountId(UUID(payee.account)),
        amount=Dong(amount),
    )

    def decide(unit: sa.Connection, claim: Claim) -> Plan:
        plan = transfers.send(unit, claim, order, limits=Limits(demo=demo), now=clock.now())
        return replace(plan, limits=Limits(demo=demo).counts(unit, claim, {limits.TRANSFER: amount}, now=now))

    said = {"payer": payer.account, "payee": payee.account, "amount": str(amount)}
    city.signed(payer, "transfer", decide, said=said)


def city_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock.CITY_TIME)


def test_at_midnight_the_day_begins_anew_and_the_month_goes_on(town: City) -> None:
    hoa, binh = pair(town, 90 * M)
    late, early = city_time("2026-11-20T23:59:59"), city_time("2026-11-21T00:00:00")
    for _ in range(2):
        at(town, hoa, binh, 10 * M, late)
    with pytest.raises(StepUpRequired) as found:
        at(town, hoa, binh, 1, late)
    assert found.value.facts["renews_at"] == events.instant(early)
    for _ in range(2):
        at(town, hoa, binh, 10 * M, early)
    with pytest.raises(StepUpRequired):
        at(town, hoa, binh, 1, early)


def test_with_the_month_both_begin_anew(town: City) -> None:
    hoa, binh = pair(town, 200 * M)
    for day in range(26, 31):
        for _ in range(2):
            at(town, hoa, binh, 10 * M, city_time(f"2026-11-{day}T12:00:00"))
    with pytest.raises(LimitExceeded) as found:
        at(town, hoa, binh, 1, city_time("2026-11-30T23:59:59"))
    first = city_time("2026-12-01T00:00:00")
    facts = {"limit": "general_month", "used": "100000000", "cap": "100000000", "remaining": "0"}
    assert found.value.facts == facts | {"renews_at": events.instant(first)}
    at(town, hoa, binh, 10 * M, first)


# -- what a new device may ----------------------------------------------------------------------------------


def test_a_new_device_has_a_low_limit_of_its_own_and_the_old_one_keeps_its(town: City) -> None:
    """Row 79: whoever has taken over an account does so from a new device."""
    hoa, binh = pair(town, 20 * M)
    phone = second_device(town, hoa)
    assert town.send(phone, binh, 5 * M).status == 201
    with nothing_moved(town, outcomes=1):
        document = refused(town.send(phone, binh, 1), 403, "limit_exceeded")
    assert (document["limit"], document["used"], document["cap"]) == ("new_device_day", "5000000", "5000000")
    assert town.send(hoa, binh, 6 * M).status == 201
    assert counted(town, hoa) == {"general_month": 11 * M, "step_up_day": 11 * M, "new_device_day": 5 * M}


def test_two_new_devices_share_the_limit(town: City) -> None:
    """Row 79: a thief who enrols a dozen keys has no dozen limits."""
    hoa, binh = pair(town, 20 * M)
    one, other = second_device(town, hoa), second_device(town, hoa)
    assert town.send(one, binh, 3 * M).status == 201
    refused(town.send(other, binh, 2 * M + 1), 403, "limit_exceeded")
    assert town.send(other, binh, 2 * M).status == 201


def test_fees_and_holds_count_for_a_new_device_too(town: City) -> None:
    hoa, binh = pair(town, 20 * M)
    phone = second_device(town, hoa)
    town.hold(phone, binh, 2 * M)
    assert pay(phone, bill(town, hoa, 2 * M)).status == 201
    refused(pay(phone, bill(town, hoa, 2 * M, use="road")), 403, "limit_exceeded")
    assert counted(town, hoa)["new_device_day"] == 4 * M


def test_a_device_is_new_for_a_day_and_a_demo_holders_first_is_not(town: City) -> None:
    hoa, binh = pair(town, 50 * M)
    enrolled = clock.now()
    at(town, hoa, binh, 6 * M, enrolled)
    with pytest.raises(LimitExceeded):
        at(town, hoa, binh, 6 * M, enrolled, demo=False)
    with pytest.raises(LimitExceeded):
        at(town, hoa, binh, 6 * M, enrolled + timedelta(hours=23), demo=False)
    at(town, hoa, binh, 6 * M, enrolled + limits.NEW_DEVICE, demo=False)


# -- what is shown ------------------------------------------------------------------------------------------


def test_a_holder_is_shown_each_limit_before_paying(town: City) -> None:
    hoa, binh = pair(town, 1_000)
    before = shown(hoa)
    assert set(before) == {"general_month", "essential_month", "step_up_order", "step_up_day"}
    assert {row["used"] for row in before.values()} == {"0"}
    assert town.send(hoa, binh, 250).status == 201
    after = shown(hoa)
    assert {code: (row["used"], row["remaining"]) for code, row in after.items()} == {
        "general_month": ("250", "99999750"),
        "essential_month": ("0", "300000000"),
        "step_up_order": ("0", "10000000"),
        "step_up_day": ("250", "19999750"),
    }
    assert after["step_up_order"]["renews_at"] is None
    assert after["general_month"]["source"].startswith("Circular 40/2024")


def test_what_is_shown_is_what_a_refusal_then_says(town: City) -> None:
    hoa, binh = pair(town, 40 * M)
    assert town.send(hoa, binh, 10 * M).status == 201
    assert town.send(hoa, binh, 4 * M).status == 201
    row = shown(hoa)["step_up_day"]
    document = refused(town.send(hoa, binh, int(row["remaining"]) + 1), 403, "step_up_required")
    assert {name: document[name] for name in ("cap", "used", "remaining", "renews_at")} == {
        name: row[name] for name in ("cap", "used", "remaining", "renews_at")
    }
    assert town.send(hoa, binh, int(row["remaining"])).status == 201


def test_the_limit_of_new_devices_is_shown_while_one_is_new(town: City) -> None:
    hoa, binh = pair(town, 1_000)
    assert "new_device_day" not in shown(hoa)
    phone = second_device(town, hoa)
    assert town.send(phone, binh, 7).status == 201
    assert shown(hoa)["new_device_day"]["used"] == "7"


def test_a_period_that_is_over_is_not_shown(town: City) -> None:
    hoa, binh = pair(town, 1_000)
    at(town, hoa, binh, 500, clock.now() - timedelta(days=40))
    assert {row["used"] for row in shown(hoa).values()} == {"0"}


def test_nobody_reads_anothers_limits(town: City) -> None:
    """Row 82."""
    hoa, mallory = pair(town, 5)
    refused(mallory.get(f"/v1/accounts/{hoa.account}/limits"), 404, "account_not_found")


def test_a_cap_that_was_lowered_below_what_is_used_leaves_nothing_and_never_less(
    town: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    hoa, binh = pair(town, 1_000)
    assert town.send(hoa, binh, 500).status == 201
    lowered = tuple(replace(rule, value=Dong(300)) if rule.code == "general_month" else rule for rule in in_force())
    monkeypatch.setattr(rules, "limits_on", lambda _day: lowered)
    assert shown(hoa)["general_month"]["remaining"] == "0"
    document = refused(town.send(hoa, binh, 1), 403, "limit_exceeded")
    assert (document["used"], document["cap"], document["remaining"]) == ("500", "300", "0")


def in_force() -> tuple[rules.LimitRule, ...]:
    return rules.limits_on(clock.day_of(clock.now()))


# -- exactly, also at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["transfers", "holds", "both"])
def test_orders_at_once_never_exceed_a_limit_together(town: City, kind: str) -> None:
    """Row 39: eight at once of 5 million each, under a threshold of 20: four pass, whichever they are."""
    hoa, binh = pair(town, 90 * M)
    sending: Callable[[], int] = partial(_status, partial(town.send, hoa, binh, 5 * M))
    holding: Callable[[], int] = partial(_status, partial(place, hoa, binh, 5 * M))
    works = {"transfers": [sending] * 8, "holds": [holding] * 8, "both": [sending, holding] * 4}[kind]
    assert sorted(all_at_once(works)) == [201] * 4 + [403] * 4
    assert counted(town, hoa) == {"general_month": 20 * M, "step_up_day": 20 * M}


def _status(work: Callable[[], Any]) -> int:
    return int(work().status)


def place(payer: Signer, payee: Signer, amount: int) -> Any:
    own = {"payer": payer.account, "payee": payee.account, "amount": str(amount)}
    return payer.act("/v1/holds", "hold", **own, lapses_at=str(int(clock.now().timestamp()) + 3600))


def test_a_void_at_the_same_time_makes_room_and_never_too_much(town: City) -> None:
    """Row 39: at the cap, a void and two transfers of what it releases: one of them passes, or none that came first."""
    hoa, binh = pair(town, 90 * M)
    hold = town.hold(hoa, binh, 10 * M)
    assert town.send(hoa, binh, 10 * M).status == 201
    works = [partial(town.void, binh, hold), *[partial(town.send, hoa, binh, 10 * M)] * 2]
    voided, *sent = all_at_once(works)
    passed = sum(reply.status == 201 for reply in sent)
    assert (voided.status, passed in (0, 1)) == (201, True)
    assert counted(town, hoa)["step_up_day"] == (10 + 10 * passed) * M


def test_the_books_prove_after_all_that_was_tried(town: City) -> None:
    assert town.differences() == []
