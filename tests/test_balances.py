"""Balances, statements and trial balances, now and as of any instant, against plain arithmetic over every posting.

The arithmetic reads all postings and knows nothing of snapshots, marks or deltas. Books are closed and aged (`tests.ages`),
so that what is read goes through snapshots whose marks are no longer zero.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests import databases
from tests.ages import pass_days
from tests.attack import refused
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet import accounts, clock, db, ledger
from wallet.ids import AccountId
from wallet.ledger import balances, chart
from wallet.ledger.balances import By

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Line:
    """A posting as the arithmetic sees it."""

    seq: int
    debit: UUID
    credit: UUID
    amount: int
    effective_at: datetime
    posted_at: datetime


class Arithmetic:
    """Every figure from the first posting, in Python."""

    def __init__(self, city: City) -> None:
        with city.engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT seq, debit, credit, amount, effective_at, posted_at FROM ledger.posting ORDER BY seq"
            )
            self.lines = [Line(*row) for row in rows]
            accounts_ = connection.exec_driver_sql("SELECT id, code, normal FROM ledger.account").all()
        self.code = {row.id: row.code for row in accounts_}
        self.sign = {row.id: 1 if row.normal == "debit" else -1 for row in accounts_}

    def moved(self, account: UUID, line: Line) -> int:
        side = (line.debit == account) - (line.credit == account)
        return self.sign[account] * side * line.amount

    def posted(self, account: UUID, at: datetime, by: By) -> int:
        return sum(
            self.moved(account, line)
            for line in self.lines
            if (line.effective_at if by == "effective" else line.posted_at) <= at
        )

    def trial(self, at: datetime, by: By) -> dict[str, int]:
        totals: dict[str, int] = {}
        for account, code in self.code.items():
            totals[code] = totals.get(code, 0) + self.posted(account, at, by)
        return totals

    def statement(self, account: UUID) -> list[tuple[int, int, int]]:
        """seq, amount and running balance of each posting of an account, oldest first."""
        running, rows = 0, []
        for line in self.lines:
            if account in (line.debit, line.credit):
                running += self.moved(account, line)
                rows.append((line.seq, self.moved(account, line), running))
        return rows

    def instants(self) -> list[datetime]:
        """Every instant at which something changes, and the microseconds beside it; and the midnights between."""
        changes = {at for line in self.lines for at in (line.effective_at, line.posted_at)}
        midnights = {clock.day_bounds(clock.day_of(at))[edge] for at in changes for edge in (0, 1)}
        now = clock.now()
        near = {at + off for at in changes | midnights for off in (-MICROSECOND, timedelta(), MICROSECOND)}
        return [*sorted(at for at in near if at <= now), now]


@dataclass(frozen=True, kw_only=True)
class History:
    """Books in which much has happened, on many days."""

    city: City
    people: list[Signer]


@pytest.fixture(scope="module")
def history(template: str, postgres: Any, worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Eleven days of top-ups, some back-dated, and transfers; closed three times on the way."""
    folder = tmp_path_factory.mktemp("balances")
    with (
        databases.copy_of(template, f"{worker}_balances", server=postgres, folder=folder) as database,
        City(database) as city,
    ):
        people = [city.citizen(), city.citizen("Trần Văn Bình"), city.citizen("Lê Thị Cúc")]
        dice = random.Random(41)
        for day in range(10):
            a_busy_day(city, people, dice)
            if day in (3, 6, 9):
                city.close_period(clock.day_of(clock.now()) - timedelta(days=2))
            pass_days(city)
        a_busy_day(city, people, dice)
        yield History(city=city, people=people)


def a_busy_day(city: City, people: list[Signer], dice: random.Random) -> None:
    """Three top-ups, one of them back-dated into yesterday or today's first minute, and three transfers; some folded."""
    begins = clock.day_bounds(clock.day_of(clock.now()))[0]
    for at in (None, begins, begins - timedelta(hours=dice.randrange(1, 20))):
        city.top_up(dice.choice(people), dice.randrange(1, 10_000) * 10, effective_at=at)
    for _ in range(3):
        payer, payee = dice.sample(people, 2)
        city.send(payer, payee, dice.randrange(1, 2_000))
    if dice.random() < 0.5:
        db.unit(city.engine, lambda unit: ledger.fold(unit, accounts=dice.randrange(1, 5)))


# -- as of --------------------------------------------------------------------------------------------------


def test_the_history_is_worth_asking(history: History) -> None:
    """Without marks that have moved, snapshots of several days and back-dated entries the other tests would prove little."""
    with history.city.engine.connect() as connection:
        marks = connection.exec_driver_sql("SELECT mark FROM ledger.period ORDER BY ends").scalars().all()
        late = connection.exec_driver_sql(
            "SELECT count(*) FROM ledger.posting WHERE ledger.day_of(effective_at) < ledger.day_of(posted_at)"
        ).scalar_one()
        snapshots = connection.exec_driver_sql("SELECT count(DISTINCT ends) FROM ledger.snapshot").scalar_one()
    assert len(marks) == 3
    assert 0 < marks[1] < marks[2]
    assert late >= 5
    assert snapshots >= 3
    assert history.city.differences() == []


@pytest.mark.parametrize("by", ["effective", "posted"])
def test_every_account_as_of_every_instant_is_what_its_postings_come_to(history: History, by: By) -> None:
    """In both readings, at the microsecond, across closed days and open ones."""
    sums = Arithmetic(history.city)
    asked = [(account, at) for account in sums.code for at in sums.instants()]
    function = "posted_effective" if by == "effective" else "posted_recorded"
    with history.city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT ledger.{function}(x.account, x.at) FROM unnest(%s::uuid[], %s::timestamptz[]) WITH ORDINALITY"
            " AS x (account, at, n) ORDER BY x.n",
            ([account for account, _ in asked], [at for _, at in asked]),
        ).scalars()
        found = [int(came_to) for came_to in rows]
    wrong = [(a, at, got) for (a, at), got in zip(asked, found, strict=True) if got != sums.posted(a, at, by)]
    assert wrong == []
    assert len(asked) > 500


@pytest.mark.parametrize("by", ["effective", "posted"])
def test_the_trial_balance_as_of_every_midnight_is_what_the_postings_come_to_and_balances(
    history: History, by: By
) -> None:
    sums = Arithmetic(history.city)
    instants = [at for at in sums.instants() if at.microsecond in (0, 1, 999_999)]
    with history.city.engine.connect() as connection:
        for at in instants:
            rows = balances.trial_balance_as_of(connection, at, by=by)
            expected = sums.trial(at, by)
            assert {row.code: row.posted for row in rows} == {row.code: expected.get(row.code, 0) for row in rows}
            assert sum(row.debit for row in rows) == sum(row.credit for row in rows)
    assert len(instants) > 20


def test_the_trial_balance_now_counts_what_is_not_folded_yet(history: History) -> None:
    sums = Arithmetic(history.city)
    with history.city.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM ledger.delta").scalar_one() > 0
        rows = balances.trial_balance(connection)
    expected = sums.trial(clock.now(), "posted")
    assert {row.code: row.posted for row in rows} == {row.code: expected.get(row.code, 0) for row in rows}


def test_before_the_first_posting_everything_is_zero(history: History) -> None:
    at = datetime.fromisoformat("2001-01-01T00:00:00Z")
    with history.city.engine.connect() as connection:
        for by in ("effective", "posted"):
            rows = balances.trial_balance_as_of(connection, at, by=by)
            assert {row.posted for row in rows} == {0}


def test_a_back_dated_entry_changes_the_past_of_the_world_and_not_of_the_books(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        hoa = city.citizen(available=100)
        account = AccountId(UUID(hoa.account))
        noted = clock.now()
        an_hour_ago = noted - timedelta(hours=1)

        def read(at: datetime, by: By) -> int:
            with city.engine.connect() as connection:
                return balances.as_of(connection, account, at, by=by)

        assert [read(at, by) for at in (an_hour_ago, noted) for by in ("effective", "posted")] == [0, 0, 100, 100]
        city.top_up(hoa, 7, effective_at=an_hour_ago)
        assert [read(at, by) for at in (an_hour_ago, noted) for by in ("effective", "posted")] == [7, 0, 107, 100]
        assert read(an_hour_ago - MICROSECOND, "effective") == 0
        assert [read(clock.now(), by) for by in ("effective", "posted")] == [107, 107]


def test_an_entry_after_the_closing_counts_beyond_the_snapshot_and_not_in_it(fresh_database: TestDatabase) -> None:
    """The day after the closed one has postings from before the closing and from after it."""
    with City(fresh_database) as city:
        hoa = city.citizen()
        account, day = AccountId(UUID(hoa.account)), clock.day_of(clock.now()) - timedelta(days=3)
        ends = clock.day_bounds(day)[1]
        city.top_up(hoa, 1, effective_at=ends - MICROSECOND)
        city.top_up(hoa, 10, effective_at=ends)
        city.close_period(day)
        city.top_up(hoa, 100, effective_at=ends)
        city.top_up(hoa, 1_000)
        with city.engine.connect() as connection:
            found = [
                balances.as_of(connection, account, at, by="effective")
                for at in (ends - MICROSECOND, ends, clock.now())
            ]
        assert found == [1, 111, 1_111]
        assert city.differences() == []


# -- statements ---------------------------------------------------------------------------------------------


def pages(read: Callable[[int | None], list[Any]], rows_max: int) -> list[Any]:
    """Read page after page until one is not full."""
    rows: list[Any] = []
    while True:
        page = read(rows[-1].seq if rows else None)
        rows += page
        if len(page) < rows_max:
            return rows


@pytest.mark.parametrize("rows_max", [1, 2, 7, 100])
def test_a_statement_is_every_posting_once_with_its_running_balance_in_both_directions(
    history: History, rows_max: int
) -> None:
    sums = Arithmetic(history.city)
    with history.city.engine.connect() as connection:
        for person in history.people:
            account = AccountId(UUID(person.account))
            expected = sums.statement(account)

            def newest(beyond: int | None, account: AccountId = account) -> list[Any]:
                return accounts.statement(connection, account, rows_max=rows_max, before=beyond)

            def oldest(beyond: int | None, account: AccountId = account) -> list[Any]:
                return accounts.statement(connection, account, rows_max=rows_max, after=beyond or 0)

            found = [(row.seq, row.amount, row.posted) for row in pages(oldest, rows_max)]
            assert found == expected
            assert [(row.seq, row.amount, row.posted) for row in pages(newest, rows_max)] == expected[::-1]
            assert len(expected) > 8


def test_a_house_accounts_statement_stands_on_its_debit_side(history: History) -> None:
    sums = Arithmetic(history.city)
    guarantee = history.city.house(chart.BANK_GUARANTEE)
    with history.city.engine.connect() as connection:
        rows = accounts.statement(connection, guarantee, rows_max=100)
    assert [(row.seq, row.amount, row.posted) for row in rows] == sums.statement(guarantee)[::-1]
    assert all(row.amount > 0 for row in rows)


def test_an_entry_with_several_lines_to_one_account_runs_line_by_line(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        hoa = city.citizen(available=100_000)
        bill = city.bill(debtor=hoa, amounts=[20_000, 5_000])
        assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
        rows = hoa.get(f"/v1/accounts/{hoa.account}/statement").json()["rows"]
        assert [(row["kind"], row["amount"], row["posted"]) for row in rows] == [
            ("bill_payment", "-5000", "75000"),
            ("bill_payment", "-20000", "80000"),
            ("topup", "100000", "100000"),
        ]


# -- through the doors --------------------------------------------------------------------------------------


def test_a_holder_pages_through_the_statement_by_opaque_cursors(history: History) -> None:
    hoa, sums = history.people[0], Arithmetic(history.city)
    expected = [(str(amount), str(posted)) for _, amount, posted in sums.statement(UUID(hoa.account))]
    for order, rows in (("oldest", expected), ("newest", expected[::-1])):
        found, cursor = [], ""
        for _ in range(len(rows)):
            page = hoa.get(f"/v1/accounts/{hoa.account}/statement?rows=3&order={order}&cursor={cursor}").json()
            found += [(row["amount"], row["posted"]) for row in page["rows"]]
            cursor = page["next"]
            if not cursor:
                break
        assert found == rows


def test_a_holder_reads_what_the_account_had_at_an_instant(history: History) -> None:
    hoa, sums = history.people[0], Arithmetic(history.city)
    at = clock.now().replace(microsecond=0) - timedelta(days=2, hours=5)
    for by in ("effective", "posted"):
        said = hoa.get(f"/v1/accounts/{hoa.account}/as-of?at={at:%Y-%m-%dT%H:%M:%S}Z&by={by}").json()
        assert said["posted"] == str(sums.posted(UUID(hoa.account), at, by))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "at=2026-11-21",
        "at=2026-11-21T00:00:00",
        "at=2026-11-21T00:00:00%2B07:00",
        "at=2026-02-30T00:00:00Z",
        "at=1999-12-31T00:00:00Z",
        "at=2099-01-01T00:00:00Z",
    ],
)
def test_an_instant_in_another_spelling_or_of_the_future_is_refused(history: History, query: str) -> None:
    hoa = history.people[0]
    refused(hoa.get(f"/v1/accounts/{hoa.account}/as-of?{query}"), 400, "instant_wrong")


def test_nobody_reads_anothers_statement_or_past(history: History) -> None:
    """Row 82."""
    hoa, mallory = history.people[0], history.city.citizen("Trần Văn Ác")
    for path in ("statement", "as-of?at=2026-01-01T00:00:00Z"):
        refused(mallory.get(f"/v1/accounts/{hoa.account}/{path}"), 404, "account_not_found")
