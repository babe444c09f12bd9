"""Periods: closed once, for good, with what is in them sealed; and what is done every night before."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.races import all_at_once, beside_waiting
from wallet import canonical, clock, ids, jobs, ledger, periods
from wallet.events import Event
from wallet.ids import AccountId, EntryId, HolderId
from wallet.ledger import Claim, Entry, Evidence, Plan, Posting, chart
from wallet.ledger.refusals import PeriodClosed, PeriodOpen
from wallet.limits import TRANSFER, Limits
from wallet.money import Dong
from wallet.periods import ShapeWrong
from wallet.refusal import Refusal


@pytest.fixture
def town(fresh_database: TestDatabase) -> Iterator[City]:
    """Books of this test's own: what is closed in them is closed for good."""
    with City(fresh_database) as city:
        yield city
        assert city.differences() == []


def days_ago(days: int) -> date:
    """A day of the city that is over for certain; yesterday may have ended a minute ago."""
    assert days >= 2
    return clock.day_of(clock.now()) - timedelta(days=days)


def noon(day: date) -> datetime:
    return clock.day_bounds(day)[0] + timedelta(hours=12)


def last_month(before: date | None = None) -> date:
    """The first day of the month before; of today's, one that ended more than a minute ago."""
    return ((before or days_ago(2)).replace(day=1) - timedelta(days=1)).replace(day=1)


def sealed(city: City, closed: periods.Closed) -> dict[str, tuple[int, int]]:
    with city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT code, debit, credit FROM ledger.trial WHERE period = %s", (closed.period,)
        )
        return {row.code: (row.debit, row.credit) for row in rows}


def recomputed(city: City, through: date) -> tuple[dict[str, tuple[int, int]], str]:
    """The trial balance at a day's end and the digest of all balances, by plain arithmetic over all postings."""
    end = clock.day_bounds(through)[1]
    with city.engine.connect() as connection:
        codes = {row.id: row.code for row in connection.exec_driver_sql("SELECT id, code FROM ledger.account")}
        normal = {row.code: row.normal for row in connection.exec_driver_sql("SELECT code, normal FROM ledger.chart")}
        postings = connection.exec_driver_sql("SELECT debit, credit, amount, effective_at FROM ledger.posting").all()
    debits: Counter[UUID] = Counter()
    for row in postings:
        if row.effective_at < end:
            debits[row.debit] += row.amount
            debits[row.credit] -= row.amount
    totals: Counter[str] = Counter()
    for account, amount in debits.items():
        totals[codes[account]] += amount
    on_side = {account: amount if normal[codes[account]] == "debit" else -amount for account, amount in debits.items()}
    spelled = ",".join(
        f"{account}:{amount}" for account, amount in sorted(on_side.items(), key=lambda one: str(one[0]))
    )
    trial = {code: (max(amount, 0), max(-amount, 0)) for code, amount in totals.items()}
    return trial, hashlib.sha256(spelled.encode()).hexdigest()


# -- when ---------------------------------------------------------------------------------------------------


def test_a_period_that_is_not_over_is_not_closed(town: City) -> None:
    today = clock.day_of(clock.now())
    for starts, kind in ((today, "day"), (today + timedelta(days=40), "day"), (today.replace(day=1), "month")):
        with pytest.raises(PeriodOpen):
            town.close_period(starts, kind=kind)  # type: ignore[arg-type]
    assert town.count("ledger.period") == 0


def test_a_period_is_closed_once(town: City) -> None:
    """Row 43: complete twice."""
    town.close_period(days_ago(2))
    with pytest.raises(PeriodClosed):
        town.close_period(days_ago(2))
    assert town.count("ledger.period") == 1


def test_closing_a_day_closes_every_day_before(town: City) -> None:
    town.close_period(days_ago(2))
    for day in (3, 40):
        with pytest.raises(PeriodClosed):
            town.close_period(days_ago(day))
    with pytest.raises(PeriodClosed):
        town.close_period(last_month(last_month()), kind="month")


def test_a_month_is_closed_after_its_last_day_and_before_the_next(town: City) -> None:
    """Row 43: with or without its days having been closed one by one, and once."""
    first, second = last_month(last_month()), last_month()
    town.top_up(town.citizen(), 70, effective_at=noon(first))
    last_day = town.close_period(periods.last_of_month(first))
    month = town.close_period(first, kind="month")
    assert (month.ends, month.digest, sealed(town, month)) == (last_day.ends, last_day.digest, sealed(town, last_day))
    whole = town.close_period(second, kind="month")
    assert sealed(town, whole) == recomputed(town, whole.ends)[0]
    for again in (first, second):
        with pytest.raises(PeriodClosed):
            town.close_period(again, kind="month")


@pytest.mark.parametrize("day", [2, 15, 28])
def test_a_month_starts_on_its_first_day(town: City, day: int) -> None:
    with pytest.raises(ShapeWrong):
        town.close_period(last_month().replace(day=day), kind="month")


@pytest.mark.parametrize(
    ("day", "last"), [("2026-02-01", "2026-02-28"), ("2028-02-11", "2028-02-29"), ("2026-12-31", "2026-12-31")]
)
def test_a_months_last_day_is_the_calendars(day: str, last: str) -> None:
    assert periods.last_of_month(date.fromisoformat(day)).isoformat() == last


def test_only_an_order_to_close_closes(town: City) -> None:
    """Row 43, beneath the verb."""
    hoa = town.citizen()

    def decide(unit: Any, claim: Claim) -> Plan:
        day = days_ago(2)
        ledger.close_period(unit, claim, period=ids.PeriodId(ids.new()), kind="day", starts=day, ends=day)
        raise AssertionError("it was closed")

    with pytest.raises(Exception, match="closed by an order to close it"):
        town.signed(hoa, "transfer", decide, at_once=False)
    assert town.count("ledger.period") == 0


# -- what is in it ------------------------------------------------------------------------------------------


def test_the_sealed_trial_is_what_the_postings_come_to(town: City) -> None:
    """Back-dated entries of several days, three closings: each seals what all earlier days come to, and it balances."""
    people = [town.citizen(), town.citizen("Trần Văn Bình"), town.citizen("Lê Thị Cúc")]
    for number, day in enumerate((9, 9, 7, 5, 4, 3, 2)):
        town.top_up(people[number % 3], 10**number, effective_at=noon(days_ago(day)))
    for day in (8, 7, 4):
        closed = town.close_period(days_ago(day))
        trial, digest = recomputed(town, closed.ends)
        assert (sealed(town, closed), closed.digest) == (trial, digest)
        assert {row.code: (row.debit, row.credit) for row in closed.rows} == trial
        assert sum(debit for debit, _ in trial.values()) == sum(credit for _, credit in trial.values()) > 0


def test_a_closing_is_told_with_its_trial_balance_and_digest(town: City) -> None:
    town.top_up(town.citizen(), 70, effective_at=noon(days_ago(4)))
    closed = town.close_period(days_ago(3))
    with town.engine.connect() as connection:
        raw = connection.exec_driver_sql(
            "SELECT bytes FROM ledger.event WHERE type = 'period.closed' AND subject = %s", (str(closed.period),)
        ).scalar_one()
    data: Any = canonical.loads(bytes(raw))["data"]
    assert (data["kind"], data["starts"], data["ends"]) == ("day", *[days_ago(3).isoformat()] * 2)
    assert data["digest"] == closed.digest
    assert data["trial"] == [
        {"code": "bank.guarantee", "credit": "0", "debit": "70"},
        {"code": "wallet", "credit": "70", "debit": "0"},
    ]


def test_an_empty_period_is_closed_empty(town: City) -> None:
    closed = town.close_period(days_ago(3))
    assert (closed.rows, closed.digest) == ((), hashlib.sha256(b"").hexdigest())


@pytest.mark.parametrize("off_us", [-1, 0])
def test_midnight_belongs_to_the_day_that_begins(town: City, off_us: int) -> None:
    """An entry effective in the last microsecond of a day is in it; one at midnight is not."""
    midnight = clock.day_bounds(days_ago(3))[1]
    town.top_up(town.citizen(), 70, effective_at=midnight + timedelta(microseconds=off_us))
    closed = town.close_period(days_ago(3))
    assert bool(closed.rows) is (off_us == -1)


# -- for good -----------------------------------------------------------------------------------------------


def test_nothing_takes_effect_in_a_closed_day_any_more(town: City) -> None:
    hoa, day = town.citizen(), days_ago(3)
    town.top_up(hoa, 5, effective_at=noon(day))
    town.close_period(day)
    begins, ends = clock.day_bounds(day)
    before = town.count("ledger.entry")
    for instant in (begins, noon(day), ends - timedelta(microseconds=1), begins - timedelta(days=30)):
        with pytest.raises(PeriodClosed) as found:
            town.top_up(hoa, 5, effective_at=instant)
        assert found.value.facts["day"] == clock.day_of(instant).isoformat()
    assert town.count("ledger.entry") == before
    town.top_up(hoa, 5, effective_at=ends)
    assert town.available(hoa) == 10


def test_a_correction_takes_effect_in_the_open_period_and_names_what_it_corrects(town: City) -> None:
    hoa, binh = town.citizen(available=50), town.citizen("Trần Văn Bình")
    day = days_ago(3)
    entry = EntryId(ids.new())
    town.top_up(hoa, 400, effective_at=noon(day))
    send_on(town, hoa, binh, 300, noon(day), entry=entry)
    closed = town.close_period(day)
    was = sealed(town, closed)
    done = binh.act("/v1/reversals", "reverse", entry=str(entry), reason="Nhầm người")
    assert done.status == 201, done.body
    assert datetime.fromisoformat(done.json()["effective_at"]) >= clock.day_bounds(day)[1]
    assert binh.get(f"/v1/entries/{done.json()['entry']}/links").json()["links"] == [
        {"entry": str(entry), "how": "reverses"}
    ]
    assert sealed(town, closed) == was == recomputed(town, day)[0]
    assert (town.available(hoa), town.available(binh)) == (450, 0)


def send_on(city: City, payer: Signer, payee: Signer, amount: int, at: datetime, *, entry: EntryId) -> None:
    """A transfer that took effect earlier: no door lets anybody say so, the ledger does.

    Raises:
        Refusal: what was refused.
    """
    said = {"payer": payer.account, "payee": payee.account, "amount": str(amount)}

    def decide(unit: sa.Connection, claim: Claim) -> Plan:
        counted = Limits(demo=True).counts(unit, claim, {TRANSFER: amount}, now=at)
        return replace(plan_of(payer, payee, amount, at, entry=entry), limits=counted)

    city.signed(payer, "transfer", decide, said=said)


def plan_of(payer: Signer, payee: Signer, amount: int, at: datetime, *, entry: EntryId | None = None) -> Plan:
    posting = Posting(debit=AccountId(UUID(payer.account)), credit=AccountId(UUID(payee.account)), amount=Dong(amount))
    made = Entry(id=entry or EntryId(ids.new()), kind="transfer", effective_at=at, postings=(posting,))
    told = Event(type="transfer.sent", subject=made.id, entry=made.id)
    return Plan(entries=(made,), events=(told,), answer={})


# -- at the same time ---------------------------------------------------------------------------------------


def evidence_of(city: City, payer: Signer, payee: Signer, amount: int) -> Evidence:
    return city.evidence(payer, "transfer", payer=payer.account, payee=payee.account, amount=str(amount))


def test_closing_waits_for_a_posting_in_flight(town: City) -> None:
    """Tried without the lock: sealed 0, actual 100."""
    hoa, binh, day = town.citizen(available=100), town.citizen("Trần Văn Bình"), days_ago(2)
    evidence = evidence_of(town, hoa, binh, 100)
    claim = Claim.of(evidence)
    with town.engine.begin() as unit:
        ledger.claim(unit, evidence, claim)
        counted = Limits(demo=True).counts(unit, claim, {TRANSFER: 100}, now=noon(day))
        ledger.post(unit, claim, replace(plan_of(hoa, binh, 100, noon(day)), limits=counted), status=201, body=b"{}")
        closing = beside_waiting(town, lambda: town.close_period(day))
    closed = closing.result()
    assert sealed(town, closed) == recomputed(town, day)[0] == {"wallet": (0, 0)}
    with town.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT account, effective FROM ledger.snapshot WHERE ends = %s", (day,))
        kept = {row.account: row.effective for row in rows}
    assert kept == {UUID(hoa.account): -100, UUID(binh.account): 100}


@pytest.mark.parametrize("days_before", [0, 5])
def test_a_posting_that_waited_for_the_closing_sees_it_closed(town: City, days_before: int) -> None:
    """Also one of an earlier day, which closing closes with it."""
    hoa, binh, day = town.citizen(available=100), town.citizen("Trần Văn Bình"), days_ago(2)
    order = periods.CloseOrder(id=ids.OrderId(ids.new()), kind="day", starts=day)
    evidence = auditors(town)
    claim = Claim.of(evidence)
    with town.engine.begin() as unit:
        ledger.claim(unit, evidence, claim)
        plan = periods.close(unit, claim, order, now=clock.now())
        ledger.post(unit, claim, plan, status=201, body=b"{}")
        at = noon(day - timedelta(days=days_before))
        posting = beside_waiting(town, lambda: send_on(town, hoa, binh, 100, at, entry=EntryId(ids.new())))
    assert isinstance(posting.result(), PeriodClosed)
    assert (town.available(hoa), town.available(binh)) == (100, 0)


def auditors(city: City) -> Evidence:
    """An auditor's order to close."""
    signer = HolderId(UUID(city.operator().holder))
    order = ids.OrderId(ids.new())
    content = canonical.dumps({"id": str(order), "kind": "period_close", "signer": str(signer)})
    return Evidence(kind="officer_order", signer=signer, order_id=order, order_kind="period_close", content=content)


def test_a_posting_of_an_open_day_does_not_wait_for_a_closing(town: City) -> None:
    """The city goes on paying while a day that is over is closed."""
    hoa, binh = town.citizen(available=100), town.citizen("Trần Văn Bình")
    order = periods.CloseOrder(id=ids.OrderId(ids.new()), kind="day", starts=days_ago(2))
    evidence = auditors(town)
    claim = Claim.of(evidence)
    with town.engine.begin() as unit:
        ledger.claim(unit, evidence, claim)
        ledger.post(unit, claim, periods.close(unit, claim, order, now=clock.now()), status=201, body=b"{}")
        assert town.send(hoa, binh, 5).status == 201


def test_two_closings_at_once_close_once(town: City) -> None:
    """Row 43."""

    def close() -> Any:
        try:
            return town.close_period(days_ago(2))
        except Refusal as refusal:
            return refusal

    found = all_at_once([close] * 3)
    assert sorted(type(one).__name__ for one in found) == ["Closed", "PeriodClosed", "PeriodClosed"]


# -- every night --------------------------------------------------------------------------------------------


def house(city: City) -> dict[str, int]:
    with city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT a.code, sum(b.posted)::bigint AS posted FROM ledger.account a"
            " JOIN ledger.balance_now b ON b.account = a.id GROUP BY a.code"
        )
        return {row.code: row.posted for row in rows}


def collected(city: City, amount: int) -> tuple[str, Signer]:
    """A fee paid to an agency; returns its entry and the agency's machine."""
    hoa = city.citizen(available=amount)
    bill = city.bill(debtor=hoa, amounts=[amount])
    reply = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
    assert reply.status == 201, reply.body
    return reply.json()["bills"][0]["entry"], city.machine()


def night_after(day: date) -> datetime:
    """A quarter past midnight."""
    return clock.day_bounds(day)[1] + timedelta(minutes=15)


def closed_days(city: City) -> list[tuple[str, date]]:
    with city.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT kind, starts FROM ledger.period ORDER BY ends, kind")
        return [(row.kind, row.starts) for row in rows]


def mid_month() -> date:
    """A day that is over, and not the last of its month."""
    return last_month().replace(day=14)


def test_the_nightly_run_sweeps_once_and_closes_the_day_once(town: City) -> None:
    collected(town, 40_000)
    for _ in range(3):
        periods.nightly(town.engine, now=night_after(mid_month()))
        found = house(town)
        assert (found[chart.BANK_COLLECTION], found[chart.AGENCY], found[chart.BANK_GUARANTEE]) == (40_000, 40_000, 0)
        assert closed_days(town) == [("day", mid_month())]
    assert town.count("ledger.event WHERE type = 'collection.swept'") == 1


def test_many_workers_at_once_sweep_and_close_once(town: City) -> None:
    collected(town, 40_000)
    found = all_at_once([partial(periods.nightly, town.engine, now=night_after(mid_month()))] * 4)
    assert found == [None] * 4
    assert (house(town)[chart.BANK_COLLECTION], closed_days(town)) == (40_000, [("day", mid_month())])
    assert town.count("ledger.entry WHERE kind = 'collection_sweep'") == 1


def test_what_was_refunded_since_is_swept_back_the_next_night(town: City) -> None:
    entry, ward = collected(town, 40_000)
    periods.nightly(town.engine, now=night_after(mid_month()))
    lines = [{"line": "1", "amount": "15000"}]
    assert ward.act("/v1/refunds", "refund", entry=entry, lines=lines, reason="Thừa").status == 201
    periods.nightly(town.engine, now=night_after(mid_month() + timedelta(days=1)))
    found = house(town)
    assert (found[chart.BANK_COLLECTION], found[chart.AGENCY], found[chart.BANK_GUARANTEE]) == (25_000, 25_000, 15_000)


def test_a_night_with_nothing_to_sweep_says_so_and_moves_nothing(town: City) -> None:
    town.citizen(available=5)
    periods.nightly(town.engine, now=night_after(mid_month()))
    assert town.count("ledger.event WHERE type = 'collection.swept'") == 1
    assert town.count("ledger.entry WHERE kind = 'collection_sweep'") == 0


def test_before_the_day_has_been_over_for_a_while_nothing_is_done(town: City) -> None:
    """Ten minutes: longer than any unit lives that read its clock before midnight."""
    collected(town, 40_000)
    periods.nightly(town.engine, now=clock.day_bounds(mid_month())[1] + periods.GRACE - timedelta(seconds=1))
    assert (closed_days(town), house(town)[chart.BANK_COLLECTION]) == ([], 0)
    periods.nightly(town.engine, now=clock.day_bounds(mid_month())[1] + periods.GRACE)
    assert closed_days(town) == [("day", mid_month())]


def test_books_in_which_nothing_was_posted_are_not_closed(town: City) -> None:
    periods.nightly(town.engine, now=night_after(mid_month()))
    assert closed_days(town) == []


def test_after_a_months_last_day_the_month_is_closed_too(town: City) -> None:
    town.citizen(available=5)
    last = periods.last_of_month(mid_month())
    for _ in range(2):
        periods.nightly(town.engine, now=night_after(last))
        assert closed_days(town) == [("day", last), ("month", last.replace(day=1))]


def test_a_night_that_was_cut_short_between_day_and_month_is_gone_on_with(town: City) -> None:
    """Row 105: killed after the day was closed; the next round closes the month."""
    town.citizen(available=5)
    last = periods.last_of_month(mid_month())
    town.close_period(last)
    periods.nightly(town.engine, now=night_after(last))
    assert closed_days(town) == [("day", last), ("month", last.replace(day=1))]


def test_after_a_rest_over_the_turn_of_a_month_that_month_is_closed_before_the_day(town: City) -> None:
    town.citizen(available=5)
    month = last_month(last_month())
    periods.nightly(town.engine, now=night_after(month.replace(day=20)))
    periods.nightly(town.engine, now=night_after(last_month().replace(day=3)))
    assert closed_days(town) == [
        ("day", month.replace(day=20)),
        ("month", month),
        ("day", last_month().replace(day=3)),
    ]


def test_the_worker_closes_yesterday_by_itself(town: City, monkeypatch: pytest.MonkeyPatch) -> None:
    collected(town, 40_000)
    worker, yesterday = jobs.Worker(town.config), mid_month()
    monkeypatch.setattr(clock, "now", lambda: night_after(yesterday))
    worker.nightly()
    worker.database.dispose()
    assert closed_days(town) == [("day", yesterday)]
