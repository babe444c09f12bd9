"""What the demo city owes: the same everywhere, lawful by the city file, and of every fate."""

import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from wallet.city import City, load
from wallet.demo.bills import DemoPlan, PlannedBill, plan
from wallet.demo.people import citizens, principals

DAY = date(2026, 11, 21)


@pytest.fixture(scope="module")
def city() -> City:
    return load(Path(__file__).resolve().parent.parent / "city.toml")


@pytest.fixture(scope="module")
def planned(city: City) -> DemoPlan:
    return plan(city, citizens(city), principals(city), day=DAY)


def of(planned: DemoPlan, phone: str) -> list[PlannedBill]:
    return [bill for bill in planned.bills if bill.debtor == phone]


def test_the_same_day_gives_the_same_plan(city: City, planned: DemoPlan) -> None:
    assert plan(city, citizens(city), principals(city), day=DAY) == planned


def test_another_day_moves_the_dates_and_nothing_else(city: City, planned: DemoPlan) -> None:
    later = plan(city, citizens(city), principals(city), day=date(2026, 12, 24))

    assert [bill.total for bill in later.bills] == [bill.total for bill in planned.bills]
    assert all(
        after.due - before.due == date(2026, 12, 24) - DAY
        for before, after in zip(planned.bills, later.bills, strict=True)
    )


def test_another_seed_gives_another_plan(city: City, planned: DemoPlan) -> None:
    assert plan(city, citizens(city), principals(city), day=DAY, seed="another") != planned


def test_a_citizen_has_two_or_three_bills(city: City, planned: DemoPlan) -> None:
    counts = Counter(bill.debtor for bill in planned.bills)

    assert 2 <= len(planned.bills) / len(counts) <= 3
    assert len(counts) == len(citizens(city)) + 4


def test_every_fate_comes_up(planned: DemoPlan) -> None:
    fates = Counter(bill.fate for bill in planned.bills)

    assert fates["due"] > fates["overdue"] > fates["free"] > fates["expired"] > fates["paid"] >= 36


def test_dates_say_what_the_fate_says(planned: DemoPlan) -> None:
    for bill in planned.bills:
        over = bill.due < DAY
        lapsed = bill.expires is not None and bill.expires < DAY
        assert bill.issued <= DAY
        assert bill.issued <= bill.due
        assert bill.expires is None or bill.expires >= bill.due
        assert over == (bill.fate in ("overdue", "expired"))
        assert lapsed == (bill.fate == "expired")


def test_free_bills_are_zero_and_no_others(planned: DemoPlan) -> None:
    for bill in planned.bills:
        assert (bill.total == 0) == (bill.fate == "free")
        assert all((line.amount == 0) == (bill.fate == "free") for line in bill.lines)


def test_every_line_is_an_item_in_force_of_a_procedure_that_the_agency_offers(city: City, planned: DemoPlan) -> None:
    for bill in planned.bills:
        procedure = city.procedures[bill.procedure]
        items = {item.code: item for item in procedure.items_on(DAY)}
        assert bill.agency in procedure.agencies
        assert bill.lines
        for line in bill.lines:
            item = items[line.item]
            assert line.amount == item.amount or item.amount is None
            assert line.tieu_muc == item.tieu_muc
            assert line.chuong == city.agencies[bill.agency].chuong
            assert line.area in city.areas


def test_a_ward_books_under_its_own_area(city: City, planned: DemoPlan) -> None:
    for bill in planned.bills:
        area = city.agencies[bill.agency].area
        assert area is None or {line.area for line in bill.lines} == {area}


def test_no_dossier_code_comes_twice(planned: DemoPlan) -> None:
    dossiers = [bill.dossier for bill in planned.bills]

    assert len(set(dossiers)) == len(dossiers)
    assert all(re.fullmatch(r"000\.00\.[0-9]{2}\.H57-26[0-9]{4}-[0-9]{4}", dossier) for dossier in dossiers)


def test_named_citizens_have_bills_of_different_agencies_one_overdue_and_one_free(
    city: City, planned: DemoPlan
) -> None:
    for one in principals(city):
        if one.role == "citizen" and one.phone:
            owed = of(planned, one.phone)
            fates = Counter(bill.fate for bill in owed)
            assert 4 <= len(owed) <= 6
            assert len({bill.agency for bill in owed}) == len(owed)
            assert fates["overdue"] == fates["free"] == 1
            assert fates["due"] >= 1


def test_the_first_citizen_can_pay_everything_and_the_last_nothing(city: City, planned: DemoPlan) -> None:
    first, *_, last = (one.phone for one in principals(city) if one.role == "citizen")
    left = {opening.phone: opening.amount for opening in planned.openings}
    payable = {
        phone: [bill.total for bill in of(planned, phone or "") if bill.fate in ("due", "overdue")]
        for phone in (first, last)
    }
    paid = sum(bill.total for bill in of(planned, first or "") if bill.fate == "paid")

    assert sum(payable[first]) <= left[first or ""] - paid
    assert min(payable[last]) > left[last or ""]


def test_a_few_dozen_payments_each_have_the_money(planned: DemoPlan) -> None:
    opening = {one.phone: one.amount for one in planned.openings}
    totals = {bill.dossier: bill.total for bill in planned.bills}
    dossiers = [dossier for payment in planned.payments for dossier in payment.dossiers]

    assert 36 <= len(planned.payments) <= 60
    assert any(len(payment.dossiers) > 1 for payment in planned.payments)
    assert sorted(dossiers) == sorted(bill.dossier for bill in planned.bills if bill.fate == "paid")
    for payment in planned.payments:
        assert sum(totals[dossier] for dossier in payment.dossiers) < opening[payment.payer]


def test_late_interest_is_charged_on_overdue_bills_only(planned: DemoPlan) -> None:
    late = [bill for bill in planned.bills if any(line.tieu_muc in ("4272", "4911") for line in bill.lines)]

    assert late
    assert {bill.fate for bill in late} == {"overdue"}


def test_some_bills_have_two_lines_and_none_only_late_interest(planned: DemoPlan) -> None:
    assert sum(len(bill.lines) > 1 for bill in planned.bills) >= 50
    assert all(bill.lines[0].tieu_muc not in ("4272", "4911") for bill in planned.bills)
