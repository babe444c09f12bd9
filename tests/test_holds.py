"""Holds: placed by a signed mandate, captured, voided or lapsed, at most once, and released in the same unit."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from tests.attack import nothing_moved, refused
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.races import all_at_once, beside_waiting
from wallet import clock, holds, jobs
from wallet.canonical import Json
from wallet.holds import CaptureOrder, HoldOrder
from wallet.ids import AccountId, HolderId, HoldId, OrderId
from wallet.ledger import Claim, Plan
from wallet.limits import Limits
from wallet.money import Dong


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


@pytest.fixture
def pair(town: City) -> tuple[Signer, Signer]:
    """A payer with 1,000 đồng and a payee with none."""
    return town.citizen(available=1_000), town.citizen("Trần Văn Bình")


def balances(city: City, who: Signer) -> tuple[int, int, int]:
    """posted, held, available."""
    read = who.get(f"/v1/accounts/{who.account}").json()
    return int(read["posted"]), int(read["held"]), int(read["available"])


def seen(who: Signer, hold: str) -> tuple[str, int, int, int]:
    """state, captured, released, remaining."""
    read = who.get(f"/v1/holds/{hold}").json()
    return read["state"], int(read["captured"]), int(read["released"]), int(read["remaining"])


SOON, AT_ONCE = 2.0, 0.25
"""Seconds until a hold lapses: one of which something is done before, and one that is only waited for."""


def short_hold(city: City, payer: Signer, payee: Signer, amount: int, *, seconds: float = SOON) -> str:
    """A hold that ends very soon, past the door, which takes whole seconds."""
    order = hold_order(payer, payee, amount, lapses_at=clock.now() + timedelta(seconds=seconds))

    def place(unit: sa.Connection, claim: Claim) -> Plan:
        return holds.place(unit, claim, order, limits=Limits(demo=True), now=clock.now())

    return str(city.signed(payer, "hold", place, said=said_of(order)).hold)


def said_of(order: HoldOrder) -> dict[str, Json]:
    """What the order's bytes say, the end to the microsecond."""
    return {
        "payer": str(order.payer),
        "payee": str(order.payee),
        "amount": str(order.amount),
        "lapses_at": f"{order.lapses_at.timestamp():.6f}",
    }


def hold_order(payer: Signer, payee: Signer, amount: int, *, lapses_at: datetime) -> HoldOrder:
    return HoldOrder(
        id=OrderId(uuid4()),
        payer=AccountId(UUID(payer.account)),
        payee=AccountId(UUID(payee.account)),
        amount=Dong(amount),
        lapses_at=lapses_at,
    )


def wait_for_its_time(city: City, hold: str) -> None:
    with city.engine.connect() as connection:
        left = connection.exec_driver_sql(
            "SELECT extract(epoch FROM lapses_at - clock_timestamp()) FROM ledger.hold WHERE id = %s", (hold,)
        ).scalar_one()
    time.sleep(max(0.0, float(left)) + 0.01)


def run_worker(city: City) -> int:
    """One round of the worker's job; returns how many holds lapsed."""
    worker = jobs.Worker(city.config)
    try:
        return worker.lapse()
    finally:
        worker.database.dispose()


def lapse_now(city: City, hold: str) -> None:
    wait_for_its_time(city, hold)
    assert run_worker(city) >= 1


# -- captured -----------------------------------------------------------------------------------------------


def test_a_hold_keeps_the_money_in_the_wallet_and_out_of_reach(town: City, pair: tuple[Signer, Signer]) -> None:
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)
    assert balances(town, hoa) == (1_000, 600, 400)
    assert balances(town, binh) == (0, 0, 0)
    assert seen(hoa, hold) == seen(binh, hold) == ("held", 0, 0, 600)
    refused(town.send(hoa, binh, 401), 402, "insufficient_funds")
    assert town.send(hoa, binh, 400).status == 201


def test_captures_take_up_to_the_total_and_not_a_dong_more(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 40: as often as something remains; the capture that takes the last of it resolves the hold."""
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)
    assert [town.capture(binh, hold, amount).status for amount in (100, 250)] == [201, 201]
    assert seen(binh, hold) == ("held", 350, 0, 250)
    with nothing_moved(town, outcomes=1):
        document = refused(town.capture(binh, hold, 251), 422, "hold_exceeded")
    assert document["remains"] == "250"
    last = town.capture(binh, hold, 250)
    assert (last.status, last.json()["final"]) == (201, False)
    assert seen(hoa, hold) == ("captured", 600, 0, 0)
    assert (balances(town, hoa), balances(town, binh)) == ((400, 0, 400), (600, 0, 600))
    refused(town.capture(binh, hold, 1), 409, "hold_resolved")


def test_the_final_capture_releases_the_rest_in_the_same_unit(town: City, pair: tuple[Signer, Signer]) -> None:
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)
    assert town.capture(binh, hold, 100).status == 201
    assert balances(town, hoa) == (900, 500, 400)
    assert town.capture(binh, hold, 200, final=True).status == 201
    assert seen(hoa, hold) == ("captured", 300, 300, 0)
    assert balances(town, hoa) == (700, 0, 700)


def test_a_whole_capture_is_one_entry_under_the_payers_mandate(town: City, pair: tuple[Signer, Signer]) -> None:
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)
    done = town.capture(binh, hold, 600, final=True).json()
    with town.engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT a.kind, a.signer, m.kind AS mandate, m.signer AS mandated_by FROM ledger.entry e"
            " JOIN ledger.authority a ON a.id = e.authority JOIN ledger.authority m ON m.id = a.under WHERE e.id = %s",
            (done["entry"],),
        ).one()
    assert tuple(row) == ("mandate", UUID(binh.holder), "signed_order", UUID(hoa.holder))


def test_several_holds_of_one_wallet_stand_beside_each_other(town: City, pair: tuple[Signer, Signer]) -> None:
    hoa, binh = pair
    cuc = town.citizen("Lê Thị Cúc")
    first, second = town.hold(hoa, binh, 500), town.hold(hoa, cuc, 500)
    assert balances(town, hoa) == (1_000, 1_000, 0)
    assert town.capture(cuc, second, 500).status == 201
    assert balances(town, hoa) == (500, 500, 0)
    assert town.void(binh, first).status == 201
    assert balances(town, hoa) == (500, 0, 500)


# -- voided -------------------------------------------------------------------------------------------------


def test_a_void_releases_what_remains(town: City, pair: tuple[Signer, Signer]) -> None:
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)
    assert town.capture(binh, hold, 100).status == 201
    assert town.void(binh, hold).status == 201
    assert seen(hoa, hold) == ("voided", 100, 500, 0)
    assert balances(town, hoa) == (900, 0, 900)


@pytest.mark.parametrize("kind", ["capture", "void"])
def test_nobody_but_the_payee_captures_or_voids(town: City, pair: tuple[Signer, Signer], kind: str) -> None:
    """Rows 43, 82: not its payer, who waits for the time they chose, and no stranger, who is not told that it exists."""
    hoa, binh = pair
    stranger, hold = town.citizen("Trần Văn Ác"), town.hold(hoa, binh, 600)
    for who in (hoa, stranger):
        with nothing_moved(town, outcomes=1):
            reply = town.void(who, hold) if kind == "void" else town.capture(who, hold, 1)
            refused(reply, 404, "hold_not_found")
    refused(stranger.get(f"/v1/holds/{hold}"), 404, "hold_not_found")
    assert seen(hoa, hold) == ("held", 0, 0, 600)


def test_the_ledger_itself_lets_nobody_but_the_payee_capture(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 43, beneath the verb: a capture by the payer under their own mandate is an error, and nothing is stored."""
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)

    def decide(unit: sa.Connection, claim: Claim) -> Plan:
        of_payee = Claim(
            **{name: getattr(claim, name) for name in claim.__slots__} | {"signer": HolderId(UUID(binh.holder))}
        )
        order = CaptureOrder(id=OrderId(uuid4()), hold=HoldId(UUID(hold)), amount=Dong(1), final=False)
        return holds.capture(unit, of_payee, order, now=clock.now())

    with nothing_moved(town), pytest.raises(sa.exc.DBAPIError, match="captured and voided by its payee"):
        town.signed(hoa, "hold_capture", decide)


def test_the_ledger_itself_lets_no_capture_take_of_anything_but_its_hold(
    town: City, pair: tuple[Signer, Signer]
) -> None:
    """Row 43, beneath the verb: an entry that calls itself a capture and captures no hold, or another's wallet's money."""
    hoa, binh = pair
    cuc, hold = town.citizen("Lê Thị Cúc", available=50), town.hold(hoa, binh, 600)
    order = CaptureOrder(id=OrderId(uuid4()), hold=HoldId(UUID(hold)), amount=Dong(5), final=False)

    def without_hold(unit: sa.Connection, claim: Claim) -> Plan:
        return replace(holds.capture(unit, claim, order, now=clock.now()), captures=())

    def of_another(unit: sa.Connection, claim: Claim) -> Plan:
        plan = holds.capture(unit, claim, order, now=clock.now())
        posting = replace(plan.entries[0].postings[0], debit=AccountId(UUID(cuc.account)))
        return replace(plan, entries=(replace(plan.entries[0], postings=(posting,)),))

    for decide in (without_hold, of_another):
        with (
            nothing_moved(town),
            pytest.raises(sa.exc.DBAPIError, match=r"no flow lets|captured and voided by its payee"),
        ):
            town.signed(binh, "hold_capture", decide)


# -- lapsed -------------------------------------------------------------------------------------------------


def test_a_hold_lapses_at_its_time_by_the_worker_and_gives_everything_back(
    town: City, pair: tuple[Signer, Signer]
) -> None:
    hoa, binh = pair
    hold = short_hold(town, hoa, binh, 600)
    assert town.capture(binh, hold, 100).status == 201
    run_worker(town)
    assert seen(hoa, hold) == ("held", 100, 0, 500)
    lapse_now(town, hold)
    assert seen(hoa, hold) == ("lapsed", 100, 500, 0)
    assert balances(town, hoa) == (900, 0, 900)


def test_after_its_time_a_hold_is_neither_captured_nor_voided_though_no_worker_came(
    town: City, pair: tuple[Signer, Signer]
) -> None:
    """Row 43: its time is its time; what remains stays held until the worker comes, and is nobody's to take."""
    hoa, binh = pair
    hold = short_hold(town, hoa, binh, 600, seconds=AT_ONCE)
    wait_for_its_time(town, hold)
    for attempt in (lambda: town.capture(binh, hold, 1), lambda: town.void(binh, hold)):
        with nothing_moved(town, outcomes=1):
            refused(attempt(), 409, "hold_lapsed")
    assert balances(town, hoa) == (1_000, 600, 400)
    assert run_worker(town) >= 1
    assert balances(town, hoa) == (1_000, 0, 1_000)


def test_many_workers_lapse_a_hold_once(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 43: one rule run, however many workers came."""
    run_worker(town)
    hoa, binh = pair
    hold = short_hold(town, hoa, binh, 600, seconds=AT_ONCE)
    wait_for_its_time(town, hold)
    lapsed = all_at_once([lambda: holds.lapse_due(town.engine, now=clock.now())] * 4)
    assert sum(lapsed) == 1
    assert holds.lapse_due(town.engine, now=clock.now()) == 0
    assert seen(hoa, hold) == ("lapsed", 0, 600, 0)
    assert balances(town, hoa) == (1_000, 0, 1_000)


def test_more_holds_than_one_round_takes_lapse_in_several(town: City) -> None:
    run_worker(town)
    hoa, binh = town.citizen(available=1_000), town.citizen("Trần Văn Bình")
    made = [short_hold(town, hoa, binh, 1, seconds=AT_ONCE) for _ in range(3)]
    wait_for_its_time(town, made[-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holds, "LAPSED_AT_ONCE", 2)
        assert [holds.lapse_due(town.engine, now=clock.now()) for _ in range(3)] == [2, 1, 0]


def test_a_frozen_payers_hold_still_lapses_and_voids(town: City, pair: tuple[Signer, Signer]) -> None:
    """Freezing keeps money in; a release takes none out."""
    hoa, binh = pair
    lapsing, voided = short_hold(town, hoa, binh, 100), town.hold(hoa, binh, 200)
    assert town.move(hoa, "freeze").status == 200
    with nothing_moved(town, outcomes=1):
        refused(town.capture(binh, voided, 1), 403, "payer_frozen")
    assert town.void(binh, voided).status == 201
    lapse_now(town, lapsing)
    assert balances(town, hoa) == (1_000, 0, 1_000)


def test_of_a_capture_and_a_lapse_at_the_deadline_exactly_one_wins(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 40: a capture that began in time is not done when the worker comes: the worker waits, and finds it captured."""
    hoa, binh = pair
    hold = short_hold(town, hoa, binh, 600)
    with psycopg.connect(town.database.owner_url) as first:
        # The lock that both race for, held until the time is over: the capture began before, so it is first in the queue.
        first.execute("SELECT 1 FROM ledger.live_hold WHERE hold = %s FOR UPDATE", [hold])
        capturing = beside_waiting(town, lambda: town.capture(binh, hold, 600))
        wait_for_its_time(town, hold)
        lapsing = beside_waiting(town, lambda: holds.lapse_due(town.engine, now=clock.now()), waiting=2)
    assert (capturing.result().status, lapsing.result()) == (201, 0)
    assert seen(hoa, hold) == ("captured", 600, 0, 0)
    assert (balances(town, hoa), balances(town, binh)) == ((400, 0, 400), (600, 0, 600))


# -- every move from every state ----------------------------------------------------------------------------

STATES = ("captured", "voided", "lapsed")


@pytest.mark.parametrize(("state", "kind"), [*product(STATES, ("capture", "void", "lapse"))])
def test_a_resolved_hold_is_not_resolved_again(town: City, pair: tuple[Signer, Signer], state: str, kind: str) -> None:
    """Row 43: nine illegal moves. A lapse of a resolved hold is what a late worker would try."""
    hoa, binh = pair
    hold = short_hold(town, hoa, binh, 600, seconds=AT_ONCE if state == "lapsed" else SOON)
    if state == "lapsed":
        lapse_now(town, hold)
    else:
        done = town.void(binh, hold) if state == "voided" else town.capture(binh, hold, 50, final=True)
        assert done.status == 201
    before = balances(town, hoa), seen(hoa, hold)
    assert before[1][0] == state
    if kind == "lapse":
        wait_for_its_time(town, hold)
        assert holds._lapse(town.engine, HoldId(UUID(hold)), now=clock.now()) is False
    else:
        with nothing_moved(town, outcomes=1):
            reply = town.void(binh, hold) if kind == "void" else town.capture(binh, hold, 1)
            refused(reply, 409, "hold_resolved")
    assert (balances(town, hoa), seen(hoa, hold)) == before


def test_a_lapse_before_its_time_is_an_error_and_no_outcome(town: City, pair: tuple[Signer, Signer]) -> None:
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)
    with nothing_moved(town), pytest.raises(sa.exc.DBAPIError, match="lapses by rule at its time"):
        holds._lapse(town.engine, HoldId(UUID(hold)), now=clock.now())


# -- placed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "code"), [(-5, "hold_life"), (0, "hold_life"), (7 * 86_400 + 60, "hold_life"), (7 * 86_400 - 60, None)]
)
def test_a_hold_ends_in_the_future_and_within_a_week(
    town: City, pair: tuple[Signer, Signer], seconds: int, code: str | None
) -> None:
    hoa, binh = pair
    own = {"payer": hoa.account, "payee": binh.account, "amount": "5", "lapses_at": str(int(time.time()) + seconds)}
    reply = hoa.act("/v1/holds", "hold", **own)
    assert reply.status == 201 if code is None else refused(reply, 422, code)["param"] == "lapses_at"


def placing(payer: Signer, payee_account: str, amount: int) -> Any:
    own = {"payer": payer.account, "payee": payee_account, "amount": str(amount)}
    return payer.act("/v1/holds", "hold", **own, lapses_at=str(int(time.time()) + 3600))


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("oneself", 422, "transfer_same_account"),
        ("nobody", 404, "payee_not_found"),
        ("too much", 402, "insufficient_funds"),
        ("payer frozen", 403, "payer_frozen"),
        ("payee frozen", 409, "payee_frozen"),
        ("payee closed", 409, "payee_closed"),
        ("above step-up", 403, "step_up_required"),
    ],
)
def test_a_hold_that_may_not_be_is_refused_like_the_transfer_that_it_would_become(
    town: City, pair: tuple[Signer, Signer], kind: str, status: int, code: str
) -> None:
    """Rows 37, 39, 43: a refused hold leaves nothing held."""
    hoa, binh = pair
    for side, move in (("payer", "freeze"), ("payee", "freeze"), ("payee", "close")):
        if kind == f"{side} {'frozen' if move == 'freeze' else 'closed'}":
            assert town.move(hoa if side == "payer" else binh, move).status == 200
    payee = {"oneself": hoa.account, "nobody": str(uuid4())}.get(kind, binh.account)
    amount = {"too much": 1_001, "above step-up": 10_000_001}.get(kind, 5)
    with nothing_moved(town, outcomes=1):
        refused(placing(hoa, payee, amount), status, code)


def test_a_hold_of_another_address_is_not_captured_or_voided(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 82: the order names one hold, the address another."""
    hoa, binh = pair
    one, other = town.hold(hoa, binh, 5), town.hold(hoa, binh, 6)
    with nothing_moved(town):
        refused(binh.act(f"/v1/holds/{other}/void", "hold_void", hold=one), 404, "hold_not_found")
        own = {"hold": one, "amount": "5", "final": "true"}
        refused(binh.act(f"/v1/holds/{other}/captures", "hold_capture", **own), 404, "hold_not_found")


# -- limits -------------------------------------------------------------------------------------------------


def used(city: City, who: Signer) -> dict[tuple[str, str], int]:
    """What the books count against a holder: by bucket and the day on which its period starts."""
    with city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT bucket, starts, used FROM ledger.usage WHERE holder = %s", (who.holder,)
        )
        return {(row.bucket, row.starts.isoformat()): row.used for row in rows}


def counted_by(city: City, who: Signer) -> dict[str, int]:
    return {bucket: amount for (bucket, _), amount in used(city, who).items()}


def test_a_hold_counts_when_it_is_placed_and_a_capture_counts_no_more(town: City, pair: tuple[Signer, Signer]) -> None:
    hoa, binh = pair
    hold = town.hold(hoa, binh, 600)
    assert counted_by(town, hoa) == {"general_month": 600, "step_up_day": 600}
    assert town.capture(binh, hold, 200).status == 201
    assert counted_by(town, hoa) == {"general_month": 600, "step_up_day": 600}
    assert town.capture(binh, hold, 300, final=True).status == 201
    assert counted_by(town, hoa) == {"general_month": 500, "step_up_day": 500}


@pytest.mark.parametrize("kind", ["void", "lapse"])
def test_what_a_void_or_a_lapse_releases_is_given_back_to_the_limits(
    town: City, pair: tuple[Signer, Signer], kind: str
) -> None:
    hoa, binh = pair
    hold = short_hold(town, hoa, binh, 600)
    assert town.capture(binh, hold, 100).status == 201
    if kind == "void":
        assert town.void(binh, hold).status == 201
    else:
        lapse_now(town, hold)
    assert counted_by(town, hoa) == {"general_month": 100, "step_up_day": 100}


@pytest.mark.parametrize("kind", ["final capture", "void", "lapse"])
def test_limits_are_given_back_in_the_period_in_which_the_hold_was_counted(
    town: City, pair: tuple[Signer, Signer], kind: str
) -> None:
    """Placed in the last minute of a day and of a month, and released in the next: the clock is the test's."""
    hoa, binh = pair
    last_month = clock.now().astimezone(clock.CITY_TIME).replace(day=1) - timedelta(days=1)

    order = hold_order(hoa, binh, 600, lapses_at=clock.now() + timedelta(seconds=SOON))

    def place(unit: sa.Connection, claim: Claim) -> Plan:
        plan = holds.place(unit, claim, order, limits=Limits(demo=True), now=clock.now())
        was = Limits(demo=True).counts(unit, claim, {"transfer": 600}, now=last_month)
        return replace(plan, limits=was)

    hold = str(town.signed(hoa, "hold", place, said=said_of(order)).hold)
    before = {
        ("general_month", last_month.date().replace(day=1).isoformat()): 600,
        ("step_up_day", last_month.date().isoformat()): 600,
    }
    assert used(town, hoa) == before
    assert town.send(hoa, binh, 30).status == 201
    today = clock.day_of(clock.now())
    since = {("general_month", today.replace(day=1).isoformat()): 30, ("step_up_day", today.isoformat()): 30}
    if kind == "lapse":
        lapse_now(town, hold)
    else:
        done = town.void(binh, hold) if kind == "void" else town.capture(binh, hold, 600 - 590, final=True)
        assert done.status == 201
    kept = 10 if kind == "final capture" else 0
    assert used(town, hoa) == dict.fromkeys(before, kept) | since


# -- at the same time ---------------------------------------------------------------------------------------


def test_captures_at_once_take_together_at_most_the_hold(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 40."""
    hoa, binh = pair
    hold = town.hold(hoa, binh, 1_000)
    replies = all_at_once([partial(town.capture, binh, hold, 300)] * 5)
    assert sorted(reply.status for reply in replies) == [201, 201, 201, 422, 422]
    assert seen(hoa, hold) == ("held", 900, 0, 100)


def test_holds_and_transfers_at_once_never_take_more_than_there_is(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 37: the same last money, held and sent."""
    hoa, binh = pair
    works = [lambda: placing(hoa, binh.account, 400), lambda: town.send(hoa, binh, 400)]
    replies = all_at_once(works * 2)
    assert sorted(reply.status for reply in replies) == [201, 201, 402, 402]
    posted, held, available = balances(town, hoa)
    assert (available, posted - held) == (200, 200)


def test_a_capture_and_a_void_at_once_resolve_the_hold_once(town: City, pair: tuple[Signer, Signer]) -> None:
    """Row 40: refund, capture and cancel race."""
    hoa, binh = pair
    for _ in range(3):
        hold = town.hold(hoa, binh, 100)
        replies = all_at_once([partial(town.capture, binh, hold, 100), partial(town.void, binh, hold)])
        assert sorted(reply.status for reply in replies) == [201, 409]
        assert seen(hoa, hold)[0] in ("captured", "voided")


def test_the_books_prove_after_all_that_was_tried(town: City) -> None:
    assert town.differences() == []
