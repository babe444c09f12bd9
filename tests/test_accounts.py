"""Accounts frozen, thawed and closed: every legal move by who may make it, every other one refused; and their readings."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.attack import nothing_moved, refused
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.races import all_at_once, beside_waiting
from wallet import accounts, clock, events, ledger, states, transfers
from wallet.accounts import MoveOrder
from wallet.canonical import Json
from wallet.ids import AccountId, HolderId, OrderId
from wallet.ledger import Claim, Plan, chart
from wallet.ledger.refusals import AccountIs, FrozenByOperator, PayeeClosed
from wallet.limits import Limits
from wallet.money import Dong
from wallet.transfers import TransferOrder

STATES = ("open", "frozen", "closed")
KIND_TO = {"frozen": "freeze", "open": "thaw", "closed": "close"}
LEGAL = set(states.ACCOUNT)


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city


def brought_to(city: City, state: str) -> Signer:
    """A citizen whose empty wallet is in a state."""
    hoa = city.citizen()
    if state != "open":
        assert city.move(hoa, KIND_TO[state]).status == 200
    return hoa


def account_of(who: Signer) -> AccountId:
    return AccountId(UUID(who.account))


def move_order(who: Signer, status: Any) -> MoveOrder:
    return MoveOrder(id=OrderId(uuid4()), account=account_of(who), status=status, reason="Công an yêu cầu")


def by_operator(city: City, who: Signer, status: str, *, operator: Signer | None = None) -> None:
    """An operator's order past the doors, which have none for it yet.

    Raises:
        Refusal: what was refused.
    """
    signer, order = HolderId(UUID((operator or city.operator()).holder)), move_order(who, status)

    def decide(unit: sa.Connection, claim: Claim) -> Plan:
        return accounts.move_by_operator(unit, claim, order, now=clock.now())

    city.officer_order(signer, f"account_{KIND_TO[status]}", decide)


@contextlib.contextmanager
def claimed(city: City, signer: Signer, kind: str, **own: Json) -> Iterator[tuple[sa.Connection, Claim]]:
    """A unit in which an order is claimed; what is posted inside is committed at the end."""
    evidence = city.evidence(signer, kind, **own)
    claim = Claim.of(evidence)
    with city.engine.begin() as unit:
        assert ledger.claim(unit, evidence, claim).state == "new"
        yield unit, claim


def status_of(city: City, who: Signer) -> str:
    return str(who.get(f"/v1/accounts/{who.account}").json()["status"])


def moves_of(city: City, who: Signer) -> list[tuple[str, str]]:
    with city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT was, status FROM ledger.account_move WHERE account = %s ORDER BY line", (who.account,)
        )
        return [(row.was, row.status) for row in rows]


# -- the whole matrix ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [*product(STATES, STATES)])
def test_a_holder_makes_every_legal_move_and_no_other(town: City, before: str, after: str) -> None:
    """Row 43: the full matrix; an illegal move is refused, and changes neither the account nor its history."""
    hoa = brought_to(town, before)
    made = moves_of(town, hoa)
    if (before, after) in LEGAL:
        reply = town.move(hoa, KIND_TO[after])
        assert (reply.status, reply.json()["status"]) == (200, after)
        assert (status_of(town, hoa), moves_of(town, hoa)) == (after, [*made, (before, after)])
    else:
        with nothing_moved(town, outcomes=1):
            refused(town.move(hoa, KIND_TO[after]), 409, "account_state")
        assert (status_of(town, hoa), moves_of(town, hoa)) == (before, made)


@pytest.mark.parametrize(("before", "after"), [*product(STATES, STATES)])
def test_an_operator_makes_every_legal_move_and_no_other(town: City, before: str, after: str) -> None:
    """Row 43."""
    hoa = brought_to(town, before)
    made, operator = moves_of(town, hoa), town.operator()
    if (before, after) in LEGAL:
        by_operator(town, hoa, after, operator=operator)
        assert (status_of(town, hoa), moves_of(town, hoa)) == (after, [*made, (before, after)])
    else:
        with nothing_moved(town, outcomes=1), pytest.raises(AccountIs):
            by_operator(town, hoa, after, operator=operator)
        assert (status_of(town, hoa), moves_of(town, hoa)) == (before, made)


@pytest.mark.parametrize(("before", "after"), sorted(set(product(STATES, STATES)) - LEGAL))
def test_the_ledger_itself_refuses_an_illegal_move_that_was_decided_before_another(
    town: City, before: str, after: str
) -> None:
    """Row 43: the verb reads without a lock; what changed meanwhile is found under it."""
    hoa = brought_to(town, before)
    move = ledger.Move(account=account_of(hoa), status=after)  # type: ignore[arg-type]
    told = events.Event(type="account.frozen", subject=UUID(hoa.account))
    with nothing_moved(town, outcomes=1), pytest.raises(AccountIs):
        town.signed(hoa, "account_freeze", lambda *_: Plan(moves=(move,), events=(told,), answer={}))


def test_every_move_is_told_by_the_event_that_the_table_of_states_names(town: City) -> None:
    hoa = town.citizen()
    for kind in ("freeze", "thaw", "freeze", "close"):
        assert town.move(hoa, kind).status == 200
    with town.engine.connect() as connection:
        told = connection.exec_driver_sql(
            "SELECT type FROM ledger.event WHERE subject = %s AND type LIKE 'account.%%' ORDER BY seq", (hoa.account,)
        ).scalars()
        types = [one for one in told if one in states.ACCOUNT.values()]
    assert types == ["account.frozen", "account.thawed", "account.frozen", "account.closed"]


# -- who may ------------------------------------------------------------------------------------------------


def test_what_an_operator_froze_its_holder_cannot_thaw(town: City) -> None:
    """A thief who has the phone does not undo what the hotline did."""
    hoa = town.citizen(available=100)
    by_operator(town, hoa, "frozen")
    with nothing_moved(town, outcomes=1):
        refused(town.move(hoa, "thaw"), 403, "account_frozen_by_operator")
    by_operator(town, hoa, "open")
    assert status_of(town, hoa) == "open"
    assert town.move(hoa, "freeze").status == 200
    assert town.move(hoa, "thaw").status == 200


def test_what_its_holder_froze_an_operator_can_thaw(town: City) -> None:
    hoa = brought_to(town, "frozen")
    by_operator(town, hoa, "open")
    assert status_of(town, hoa) == "open"


def test_a_thaw_decided_before_the_operator_froze_is_refused(town: City) -> None:
    """Row 43: holder's freeze, operator's thaw and freeze, then the holder's old thaw: who froze is looked at under lock."""
    hoa, operator = brought_to(town, "frozen"), town.operator()

    def late(unit: sa.Connection, claim: Claim) -> Plan:
        plan = accounts.move(unit, claim, move_order(hoa, "open"), now=clock.now())
        by_operator(town, hoa, "open", operator=operator)
        by_operator(town, hoa, "frozen", operator=operator)
        return plan

    with pytest.raises(FrozenByOperator):
        town.signed(hoa, "account_thaw", late)
    assert status_of(town, hoa) == "frozen"


def test_nobody_moves_anothers_account(town: City) -> None:
    """Row 82: not said whether it exists."""
    hoa, mallory = town.citizen(available=5), town.citizen("Trần Văn Ác")
    for kind, account in product(("freeze", "thaw", "close"), (hoa.account, str(uuid4()))):
        with nothing_moved(town, outcomes=1):
            reply = mallory.act(f"/v1/accounts/{account}/{kind}", f"account_{kind}", account=account)
            refused(reply, 404, "account_not_found")
    assert status_of(town, hoa) == "open"


def test_the_ledger_itself_lets_no_holder_move_anothers_account(town: City) -> None:
    """Row 82, beneath the verb: a plan that a bug made is no refusal but an error, and nothing is stored."""
    hoa, mallory = town.citizen(), town.citizen("Trần Văn Ác")
    plan = Plan(
        moves=(ledger.Move(account=account_of(hoa), status="frozen"),),
        events=(events.Event(type="account.frozen", subject=account_of(hoa)),),
        answer={},
    )
    with nothing_moved(town), pytest.raises(sa.exc.DBAPIError, match="a holder moves their own accounts"):
        town.signed(mallory, "account_freeze", lambda *_: plan)


def test_an_order_moves_the_account_that_it_names_and_its_address_too(town: City) -> None:
    """Row 82: an order for one account sent to another's address stores nothing."""
    hoa, binh = town.citizen(), town.citizen("Trần Văn Bình")
    with nothing_moved(town):
        reply = hoa.act(f"/v1/accounts/{binh.account}/freeze", "account_freeze", account=hoa.account)
        refused(reply, 404, "account_not_found")


def test_an_operator_moves_wallets_only(town: City) -> None:
    for account in (town.house(chart.BANK_GUARANTEE), uuid4()):
        with pytest.raises(accounts.NotFound):
            by_operator(town, replace(town.operator(), account=str(account)), "frozen")


# -- what a state means -------------------------------------------------------------------------------------


def test_money_or_a_hold_keeps_a_wallet_from_being_closed(town: City) -> None:
    """Row 43: also from frozen, also when all that is there is held."""
    hoa, binh = town.citizen(available=10), town.citizen("Trần Văn Bình")
    with nothing_moved(town, outcomes=1):
        document = refused(town.move(hoa, "close"), 409, "account_not_empty")
    assert (document["posted"], document["held"]) == ("10", "0")
    town.hold(hoa, binh, 10)
    document = refused(town.move(hoa, "close"), 409, "account_not_empty")
    assert (document["posted"], document["held"]) == ("10", "10")
    assert town.move(hoa, "freeze").status == 200
    refused(town.move(hoa, "close"), 409, "account_not_empty")


def test_deltas_not_yet_folded_keep_a_wallet_from_being_closed(town: City) -> None:
    """What was paid in a moment ago stands beside the balance row, and counts."""
    hoa, binh = town.citizen(), town.citizen("Trần Văn Bình", available=5)
    assert town.send(binh, hoa, 5).status == 201
    document = refused(town.move(hoa, "close"), 409, "account_not_empty")
    assert document["posted"] == "5"


def test_a_closed_wallet_stays_readable_and_empty_for_good(town: City) -> None:
    hoa, binh = town.citizen(available=5), town.citizen("Trần Văn Bình")
    assert town.send(hoa, binh, 5).status == 201
    assert town.move(hoa, "close").status == 200
    refused(town.send(binh, hoa, 1), 409, "payee_closed")
    with pytest.raises(PayeeClosed):
        town.top_up(hoa, 1)
    read = hoa.get(f"/v1/accounts/{hoa.account}").json()
    assert (read["status"], read["posted"], read["available"]) == ("closed", "0", "0")
    assert len(hoa.get(f"/v1/accounts/{hoa.account}/statement").json()["rows"]) == 2


# -- at the same time ---------------------------------------------------------------------------------------


def test_a_payment_that_saw_the_account_open_does_not_reach_it_closed(town: City) -> None:
    """Row 43: the account is closed, and that not yet committed, when the payment begins: it waits and is refused."""
    hoa, binh = town.citizen(available=50), town.citizen("Trần Văn Bình")
    with claimed(town, binh, "account_close", account=binh.account) as (unit, claim):
        plan = accounts.move(unit, claim, move_order(binh, "closed"), now=clock.now())
        ledger.post(unit, claim, plan, status=200, body=b"{}")
        paying = beside_waiting(town, lambda: town.send(hoa, binh, 7))
    refused(paying.result(), 409, "payee_closed")
    assert (status_of(town, binh), town.available(hoa)) == ("closed", 50)


def test_closing_waits_for_a_payment_in_flight_and_then_finds_the_money(town: City) -> None:
    """Row 43, the other way round."""
    hoa, binh = town.citizen(available=50), town.citizen("Trần Văn Bình")
    own = {"payer": hoa.account, "payee": binh.account, "amount": "7"}
    with claimed(town, hoa, "transfer", **own) as (unit, claim):
        order = TransferOrder(id=OrderId(uuid4()), payer=account_of(hoa), payee=account_of(binh), amount=Dong(7))
        plan = transfers.send(unit, claim, order, limits=Limits(demo=True), now=clock.now())
        ledger.post(unit, claim, plan, status=201, body=b"{}")
        closing = beside_waiting(town, lambda: town.move(binh, "close"))
    document = refused(closing.result(), 409, "account_not_empty")
    assert document["posted"] == "7"


def test_many_wallets_are_closed_at_once(town: City) -> None:
    """Row 38: each closing takes the accounts' lock alone, and none waits for another for ever."""
    people = [town.citizen() for _ in range(6)]
    replies = all_at_once([partial(town.move, who, "close") for who in people])
    assert [reply.status for reply in replies] == [200] * 6


def test_of_freezing_and_paying_at_once_either_may_be_first(town: City) -> None:
    """Row 43: a payer frozen, not yet committed: the payment waits for it and is refused."""
    hoa, binh = town.citizen(available=50), town.citizen("Trần Văn Bình")
    with claimed(town, hoa, "account_freeze", account=hoa.account) as (unit, claim):
        plan = accounts.move(unit, claim, move_order(hoa, "frozen"), now=clock.now())
        ledger.post(unit, claim, plan, status=200, body=b"{}")
        paying = beside_waiting(town, lambda: town.send(hoa, binh, 7))
    refused(paying.result(), 403, "payer_frozen")
    assert (town.available(hoa), town.available(binh)) == (50, 0)


def test_the_books_prove_after_all_that_was_tried(town: City) -> None:
    assert town.differences() == []
