"""Refunds and reversals: money back where it came from, by whom it was paid to, and never more than was paid."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.attack import nothing_moved, refused
from tests.databases import TestDatabase
from tests.make import STATION, WARD, City, Signer
from tests.races import all_at_once
from wallet import clock, ids, refunds
from wallet.client import Reply
from wallet.events import Event
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Plan, Posting
from wallet.ledger.refusals import NotReversible, Refunded, RefundTooLarge, Reversed
from wallet.money import Dong
from wallet.refunds import LineBack, RefundOrder, ReverseOrder

REASON = "Hồ sơ bị từ chối"


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


@dataclass(frozen=True, kw_only=True)
class Paid:
    """A bill of two lines, paid to the ward by its citizen."""

    entry: str
    hoa: Signer
    ward: Signer
    """The agency's own machine."""
    lines: tuple[int, ...] = (20_000, 5_000)


@pytest.fixture
def paid(town: City) -> Paid:
    return pay_bill(town)


def pay_bill(city: City, *, lines: tuple[int, ...] = (20_000, 5_000), agency: str = WARD) -> Paid:
    hoa = city.citizen(available=100_000)
    bill = city.bill(debtor=hoa, amounts=list(lines), agency=agency)
    reply = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
    assert reply.status == 201, reply.body
    return Paid(entry=reply.json()["bills"][0]["entry"], hoa=hoa, ward=city.machine(agency), lines=lines)


def give_back(who: Signer, entry: str, **lines: int) -> Reply:
    """`give_back(ward, entry, line1=500)`: a refund through its door."""
    back = [{"line": name.removeprefix("line"), "amount": str(amount)} for name, amount in lines.items()]
    return who.act("/v1/refunds", "refund", entry=entry, lines=back, reason=REASON)


def reverse(who: Signer, entry: str) -> Reply:
    return who.act("/v1/reversals", "reverse", entry=entry, reason=REASON)


def links(who: Signer, entry: str) -> list[tuple[str, str]]:
    reply = who.get(f"/v1/entries/{entry}/links")
    assert reply.status == 200, reply.body
    return [(link["how"], link["entry"]) for link in reply.json()["links"]]


def owed(city: City, entry: str) -> int:
    """What the agencies that an entry paid have posted, on all its lines' accounts together."""
    with city.engine.connect() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT coalesce(sum(posted), 0) FROM ledger.balance_now WHERE account IN"
                " (SELECT credit FROM ledger.posting WHERE entry = %s)",
                (entry,),
            ).scalar_one()
        )


# -- refunds ------------------------------------------------------------------------------------------------


def test_parts_are_given_back_line_by_line_until_nothing_remains(town: City, paid: Paid) -> None:
    """Row 40: localstripe gave back 1,049,999 of 50,000; each line here gives back what was paid on it, and stops."""
    before = owed(town, paid.entry)
    first = give_back(paid.ward, paid.entry, line1=15_000, line2=5_000)
    assert (first.status, first.json()["amount"], first.json()["undoes"]) == (201, "20000", paid.entry)
    with nothing_moved(town, outcomes=2):
        document = refused(give_back(paid.ward, paid.entry, line1=5_001), 422, "refund_too_large")
        refused(give_back(paid.ward, paid.entry, line1=1, line2=1), 422, "refund_too_large")
    assert (document["line"], document["remains"]) == ("1", "5000")
    assert give_back(paid.ward, paid.entry, line1=5_000).status == 201
    refused(give_back(paid.ward, paid.entry, line1=1), 422, "refund_too_large")
    assert (town.available(paid.hoa), owed(town, paid.entry)) == (100_000, before - 25_000)


def test_a_whole_refund_is_not_more_than_was_paid_though_another_line_has_room(town: City, paid: Paid) -> None:
    """Row 40: what remains is per line, never per entry."""
    with nothing_moved(town, outcomes=1):
        refused(give_back(paid.ward, paid.entry, line2=5_001), 422, "refund_too_large")


def test_refunds_at_once_give_back_together_at_most_what_was_paid(town: City, paid: Paid) -> None:
    """Row 40: five at once of 6,000 on a line of 20,000: three pass."""
    replies = all_at_once([partial(give_back, paid.ward, paid.entry, line1=6_000)] * 5)
    assert sorted(reply.status for reply in replies) == [201, 201, 201, 422, 422]
    assert town.available(paid.hoa) == 100_000 - 25_000 + 18_000


def test_a_refund_and_a_reversal_at_once_do_not_both_pass(town: City) -> None:
    """Row 40: of a refund, a reversal and another reversal one comes first; the others are told why not."""
    for _ in range(3):
        paid = pay_bill(town)
        works = [
            partial(give_back, paid.ward, paid.entry, line1=20_000),
            *[partial(reverse, paid.ward, paid.entry)] * 2,
        ]
        refund, *reversals = all_at_once(works)
        assert sorted(reply.status for reply in (refund, *reversals)) == [201, 409, 409]
        codes = {reply.json()["code"] for reply in (refund, *reversals) if reply.status == 409}
        assert codes <= {"entry_refunded", "entry_reversed"}
        assert town.available(paid.hoa) == (95_000 if refund.status == 201 else 100_000)


def test_a_person_gives_back_what_a_transfer_paid_them(town: City) -> None:
    hoa, binh = town.citizen(available=1_000), town.citizen("Trần Văn Bình")
    entry = town.send(hoa, binh, 400).json()["entry"]
    assert give_back(binh, entry, line1=150).status == 201
    assert (town.available(hoa), town.available(binh)) == (750, 250)
    assert town.send(binh, town.citizen("Lê Thị Cúc"), 200).status == 201
    with nothing_moved(town, outcomes=1):
        refused(give_back(binh, entry, line1=250), 402, "insufficient_funds")


def test_what_a_capture_took_is_given_back_like_any_payment(town: City) -> None:
    hoa, binh = town.citizen(available=1_000), town.citizen("Trần Văn Bình")
    hold = town.hold(hoa, binh, 600)
    entry = town.capture(binh, hold, 400, final=True).json()["entry"]
    assert give_back(binh, entry, line1=100).status == 201
    assert town.available(hoa) == 700
    assert links(binh, entry)[0][0] == "refunded_by"


@pytest.mark.parametrize(("state", "code"), [("freeze", "payee_frozen"), ("close", "payee_closed")])
def test_a_wallet_that_is_not_open_takes_nothing_back(town: City, state: str, code: str) -> None:
    """Row 43: then the money waits at its payee, and nothing is lost."""
    hoa, binh = town.citizen(available=400), town.citizen("Trần Văn Bình")
    entry = town.send(hoa, binh, 400).json()["entry"]
    assert town.move(hoa, state).status == 200
    with nothing_moved(town, outcomes=2):
        refused(give_back(binh, entry, line1=1), 409, code)
        refused(reverse(binh, entry), 409, code)


# -- reversals ----------------------------------------------------------------------------------------------


def test_a_reversal_undoes_an_entry_whole_and_once(town: City, paid: Paid) -> None:
    """Row 43: complete twice."""
    before = owed(town, paid.entry)
    done = reverse(paid.ward, paid.entry)
    assert (done.status, done.json()["amount"], done.json()["undoes"]) == (201, "25000", paid.entry)
    assert (town.available(paid.hoa), owed(town, paid.entry)) == (100_000, before - 25_000)
    with nothing_moved(town, outcomes=2):
        refused(reverse(paid.ward, paid.entry), 409, "entry_reversed")
        refused(give_back(paid.ward, paid.entry, line1=1), 409, "entry_reversed")


def test_what_was_refunded_in_part_is_not_reversed(town: City, paid: Paid) -> None:
    """Row 43."""
    assert give_back(paid.ward, paid.entry, line2=1).status == 201
    with nothing_moved(town, outcomes=1):
        refused(reverse(paid.ward, paid.entry), 409, "entry_refunded")
    assert give_back(paid.ward, paid.entry, line1=20_000, line2=4_999).status == 201


@pytest.mark.parametrize("undone", ["refund", "reversal"])
def test_what_undoes_is_not_undone(town: City, undone: str) -> None:
    """Row 43: whoever was given money back cannot be made to return it by the same way, nor return it so themselves."""
    hoa, binh = town.citizen(available=1_000), town.citizen("Trần Văn Bình")
    entry = town.send(hoa, binh, 400).json()["entry"]
    made = (give_back(binh, entry, line1=400) if undone == "refund" else reverse(binh, entry)).json()["entry"]
    with nothing_moved(town, outcomes=3):
        refused(give_back(hoa, made, line1=1), 409, "entry_not_reversible")
        refused(reverse(hoa, made), 409, "entry_not_reversible")
        refused(reverse(binh, made), 404, "entry_not_found")


def test_whoever_has_spent_the_money_cannot_give_it_back(town: City) -> None:
    """Never a negative balance."""
    hoa, binh = town.citizen(available=10), town.citizen("Trần Văn Bình")
    entry = town.send(hoa, binh, 10).json()["entry"]
    assert town.send(binh, town.citizen("Lê Thị Cúc"), 10).status == 201
    with nothing_moved(town, outcomes=1):
        refused(reverse(binh, entry), 402, "insufficient_funds")


def test_what_came_from_the_bank_is_not_given_back_to_it(town: City) -> None:
    """A top-up has no payer to whom its holder could return it: refused, not an error."""
    hoa = town.citizen()
    entry = str(town.top_up(hoa, 400))
    with nothing_moved(town, outcomes=2):
        refused(reverse(hoa, entry), 409, "entry_not_reversible")
        refused(give_back(hoa, entry, line1=1), 409, "entry_not_reversible")


# -- who ----------------------------------------------------------------------------------------------------


def test_nobody_but_whom_it_paid_gives_an_entry_back(town: City, paid: Paid) -> None:
    """Rows 82, 85: not its payer, not another agency, not a stranger; nor is said whether it exists."""
    station, mallory = town.machine(STATION), town.citizen("Trần Văn Ác")
    for who in (paid.hoa, station, mallory):
        for entry in (paid.entry, str(uuid4())):
            with nothing_moved(town, outcomes=2):
                refused(give_back(who, entry, line1=1), 404, "entry_not_found")
                refused(reverse(who, entry), 404, "entry_not_found")
    for who in (station, mallory):
        refused(who.get(f"/v1/entries/{paid.entry}/links"), 404, "entry_not_found")


def test_a_line_that_the_entry_has_not_is_not_given_back(town: City, paid: Paid) -> None:
    with nothing_moved(town, outcomes=1):
        refused(give_back(paid.ward, paid.entry, line3=1), 404, "entry_not_found")


def test_a_line_is_named_once_in_an_order(town: City, paid: Paid) -> None:
    """Row 40: not 20,000 twice in one order either."""
    twice = [{"line": "1", "amount": "20000"}] * 2
    with nothing_moved(town):
        reply = paid.ward.act("/v1/refunds", "refund", entry=paid.entry, lines=twice, reason=REASON)
        refused(reply, 422, "order_invalid")


def by_officer(city: City, officer: Signer, kind: str, entry: str, **lines: int) -> Any:
    """An officer's order past the doors, which have none for it yet.

    Raises:
        Refusal: what was refused.
    """
    id, of = OrderId(uuid4()), EntryId(UUID(entry))
    back = tuple(LineBack(line=int(name.removeprefix("line")), amount=Dong(n)) for name, n in lines.items())

    def decide(unit: sa.Connection, claim: Claim) -> Plan:
        if kind == "refund":
            order = RefundOrder(id=id, entry=of, lines=back, reason=REASON)
            return refunds.refund(unit, claim, order, now=clock.now())
        return refunds.reverse(unit, claim, ReverseOrder(id=id, entry=of, reason=REASON), now=clock.now())

    city.officer_order(HolderId(UUID(officer.holder)), kind, decide)


def test_an_officer_gives_back_for_their_agency_and_for_no_other(town: City, paid: Paid) -> None:
    """Row 85: by an officer's order, under the same caps."""
    officer, elsewhere = town.officer(WARD), town.officer(STATION)
    with nothing_moved(town, outcomes=2):
        for kind in ("refund", "reverse"):
            with pytest.raises(refunds.EntryNotFound):
                by_officer(town, elsewhere, kind, paid.entry, line1=1)
    by_officer(town, officer, "refund", paid.entry, line1=19_000)
    with nothing_moved(town, outcomes=2):
        with pytest.raises(RefundTooLarge):
            by_officer(town, officer, "refund", paid.entry, line1=1_001)
        with pytest.raises(Refunded):
            by_officer(town, officer, "reverse", paid.entry)
    assert town.available(paid.hoa) == 94_000


def test_an_officer_reverses_a_payment_to_their_agency(town: City, paid: Paid) -> None:
    by_officer(town, town.officer(WARD), "reverse", paid.entry)
    assert town.available(paid.hoa) == 100_000
    with pytest.raises(Reversed):
        by_officer(town, town.officer(WARD), "reverse", paid.entry)


# -- beneath the verb ---------------------------------------------------------------------------------------


def stale(
    city: City, who: Signer, kind: str, *, link: dict[str, EntryId], lines: list[tuple[int, int]], of: str
) -> None:
    """Post a reversal or refund as a verb would that had read nothing of what was given back before.

    Raises:
        Refusal: what the ledger found.
    """

    def decide(unit: sa.Connection, _claim: Claim) -> Plan:
        paid = {line.line: line for line in refunds.lines_of(unit, EntryId(UUID(of)))}
        entry = Entry(
            id=EntryId(ids.new()),
            kind="reversal" if "reverses" in link else "refund",
            effective_at=clock.now(),
            postings=tuple(
                Posting(debit=paid[n].credit, credit=paid[n].debit, amount=Dong(amount), of_line=n)
                for n, amount in lines
            ),
            **link,
        )
        told = Event(type=f"entry.{kind}", subject=of, entry=entry.id)
        return Plan(entries=(entry,), events=(told,), answer={})

    city.signed(who, kind, decide)


def test_the_ledger_itself_finds_what_a_plan_made_too_early_did_not_see(town: City, paid: Paid) -> None:
    """Rows 40, 43: reversed, refunded, too much, not to be undone: each compared again under the original's lock."""
    of = EntryId(UUID(paid.entry))
    assert give_back(paid.ward, paid.entry, line1=1).status == 201
    with pytest.raises(RefundTooLarge):
        stale(town, paid.ward, "refund", link={"refunds": of}, lines=[(1, 20_000)], of=paid.entry)
    with pytest.raises(Refunded):
        stale(town, paid.ward, "reverse", link={"reverses": of}, lines=[(1, 20_000), (2, 5_000)], of=paid.entry)
    other = pay_bill(town)
    undoing = reverse(other.ward, other.entry).json()["entry"]
    link = {"refunds": EntryId(UUID(other.entry))}
    with pytest.raises(Reversed):
        stale(town, other.ward, "refund", link=link, lines=[(1, 1)], of=other.entry)
    hoa, binh = town.citizen(available=9), town.citizen("Trần Văn Bình")
    sent = town.send(hoa, binh, 9).json()["entry"]
    undoing = reverse(binh, sent).json()["entry"]
    with pytest.raises(NotReversible):
        stale(town, hoa, "refund", link={"refunds": EntryId(UUID(undoing))}, lines=[(1, 1)], of=undoing)


def test_a_reversal_of_a_part_and_a_refund_of_another_line_are_errors_and_no_outcomes(town: City, paid: Paid) -> None:
    """Row 43, beneath the verb: a reversal undoes all of it, and each line goes back where it came from."""
    of = EntryId(UUID(paid.entry))
    for link, lines in (
        ({"reverses": of}, [(1, 20_000)]),
        ({"reverses": of}, [(1, 20_000), (2, 4_999)]),
        ({"refunds": of}, [(2, 5_000), (2, 1)]),
    ):
        kind = "reverse" if "reverses" in link else "refund"
        with nothing_moved(town, outcomes=kind == "refund"), pytest.raises((sa.exc.DBAPIError, RefundTooLarge)):
            stale(town, paid.ward, kind, link=link, lines=lines, of=paid.entry)


@pytest.mark.parametrize(("kind", "order_kind"), [("refund", "refund"), ("reversal", "reverse")])
def test_a_refund_or_reversal_that_names_no_entry_fits_nothing(town: City, kind: str, order_kind: str) -> None:
    """Row 43, beneath the verb: money back without what it gives back is taking money by another name."""
    hoa, binh = town.citizen(available=9), town.citizen("Trần Văn Bình")
    entry = Entry(
        id=EntryId(ids.new()),
        kind=kind,
        effective_at=clock.now(),
        postings=(Posting(debit=AccountId(UUID(hoa.account)), credit=AccountId(UUID(binh.account)), amount=Dong(9)),),
    )
    plan = Plan(entries=(entry,), events=(Event(type="entry.refunded", subject=entry.id, entry=entry.id),), answer={})
    with nothing_moved(town), pytest.raises(sa.exc.DBAPIError, match="no flow lets"):
        town.signed(hoa, order_kind, lambda *_: plan)


# -- links --------------------------------------------------------------------------------------------------


def test_links_are_seen_from_both_ends_by_payer_and_payee(town: City, paid: Paid) -> None:
    one, other = (give_back(paid.ward, paid.entry, line1=amount).json()["entry"] for amount in (10, 20))
    for who in (paid.hoa, paid.ward):
        assert links(who, paid.entry) == [("refunded_by", one), ("refunded_by", other)]
        assert links(who, one) == [("refunds", paid.entry)]
    whole = pay_bill(town)
    undoing = reverse(whole.ward, whole.entry).json()["entry"]
    for who in (whole.hoa, whole.ward):
        assert links(who, whole.entry) == [("reversed_by", undoing)]
        assert links(who, undoing) == [("reverses", whole.entry)]


def test_an_entrys_lines_say_what_remains_of_each(town: City, paid: Paid) -> None:
    assert give_back(paid.ward, paid.entry, line1=19_999).status == 201
    lines = paid.hoa.get(f"/v1/entries/{paid.entry}/links").json()["lines"]
    assert [(row["line"], row["amount"], row["given"], row["remains"]) for row in lines] == [
        ("1", "20000", "19999", "1"),
        ("2", "5000", "0", "5000"),
    ]


def test_the_books_prove_after_all_that_was_tried(town: City) -> None:
    assert town.differences() == []
