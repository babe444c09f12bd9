"""Many processes at once: whatever they ask of the same few accounts, the books are what the histories say.

Each test lets eight processes loose on one database, keeps what each of them asked and was told, and afterwards holds the
histories against the books (tests/history.py) and proves the books. `make soak` does the same for as long as it is told.
"""

import contextlib
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from tests import databases, history
from tests.crowd import Crowd, crowd, evidence, person
from tests.databases import TestDatabase
from tests.history import Asked, Books, History, Means, Row
from tests.make import City, Signer
from wallet import accounts, canonical, clock, db, ledger, orders, transfers
from wallet.accounts import MoveOrder
from wallet.identity import holders, roles
from wallet.identity.roles import Role
from wallet.ids import AccountId, HolderId
from wallet.ledger import Claim, Evidence, Plan, chart
from wallet.limits import Limits
from wallet.money import Dong
from wallet.run.postgres import Cluster
from wallet.transfers import TransferOrder

ACTS = 30
"""Of each device, in each scenario of the suite."""
SECONDS_MAX = 30.0
SOAK_S = float(os.environ.get("SOAK_S", "0"))

PEOPLE = 4
AVAILABLE = 20_000


@dataclass(kw_only=True)
class Arena:
    """A database of this module's own, a few people in it, and a crowd to let loose on them."""

    city: City
    crowd: Crowd
    people: list[Any]
    bank: HolderId
    runs: int = 0

    def happened(self, folder: Path, *casts: str, people: int = PEOPLE, **more: Any) -> History:
        """Run a cast of eight, hold their histories against the books, and return them."""
        assert len(casts) == 8
        self.runs += 1
        before = history.books(self.city.audit)
        self.crowd.run(self.spelled(folder, casts, people=people, **more))
        asked = history.read(folder)
        assert history.failures(asked) == []
        assert list(history.differences(asked, before, history.books(self.city.audit))) == []
        assert self.city.differences() == []
        return asked

    def spelled(self, folder: Path, casts: tuple[str, ...], *, people: int, **more: Any) -> dict[str, Any]:
        """Spell a run."""
        return {
            "url": self.city.config.database_url,
            "origin": self.city.config.public_origin,
            "folder": str(folder),
            "seed": f"{folder.name}:{self.runs}:{os.getpid()}",
            "people": [person(one) for one in self.people[:people]],
            "bank": {**person(self.people[0]), "holder": str(self.bank)},
            "guarantee": str(self.city.house(chart.BANK_GUARANTEE)),
            "casts": casts,
            "amount_max": 500,
            "acts": ACTS,
            "seconds": SECONDS_MAX,
            **more,
        }


def register_bank(city: City) -> HolderId:
    """A bank whose word the books record."""

    def work(unit: Any) -> HolderId:
        now = clock.now()
        bank = holders.register(unit, kind="outside", now=now)
        roles.grant(unit, bank, Role.OPERATOR, now=now)
        return bank

    return db.unit(city.engine, work)


@contextlib.contextmanager
def arena_in(database: TestDatabase) -> Iterator[Arena]:
    with City(database, in_process=False) as city, crowd() as many:
        people = [city.citizen(f"Nguyễn Văn {name}", available=AVAILABLE) for name in "ABCD"]
        yield Arena(city=city, crowd=many, people=people, bank=register_bank(city))


@pytest.fixture(scope="module")
def arena(template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("var")
    with (
        databases.copy_of(template, f"{worker}_crowd", server=postgres, folder=folder) as made,
        arena_in(made) as there,
    ):
        yield there


def told(asked: History, kind: str = "") -> Counter[str]:
    """How many orders were done, and how many refused with which code."""
    return Counter("done" if one.done else one.refused or "?" for one in asked.values() if kind in ("", one.kind))


# -- the scenarios ----------------------------------------------------------------------------------------------------


def test_opposed_transfers_on_few_accounts_neither_lock_nor_lose(arena: Arena, tmp_path: Path) -> None:
    """Row 38: A to B and B to A at once, the very same order from several devices, and the folder among them."""
    asked = arena.happened(tmp_path, *["transfer transfer twin"] * 7, "fold transfer", people=3)
    assert told(asked)["done"] > 5
    assert any(len(one.answers) == 1 and one.done for one in asked.values())


def test_entries_of_many_postings_lock_in_one_order(arena: Arena, tmp_path: Path) -> None:
    asked = arena.happened(tmp_path, *["many batch transfer"] * 6, "many", "fold batch")
    assert told(asked, "batch_transfer")["done"] > 5


def test_of_two_who_spend_the_same_last_balance_one_succeeds(arena: Arena, tmp_path: Path) -> None:
    """Row 37."""
    asked = arena.happened(tmp_path, *["spend_all"] * 8, people=2)
    found = told(asked)
    assert found["done"] > 3
    assert found["insufficient_funds"] > 3


def test_a_hold_is_captured_voided_or_lapses_and_exactly_one_wins(arena: Arena, tmp_path: Path) -> None:
    """Rows 40 and 43: within its amount, and nothing more once it is over."""
    casts = [
        "place capture",
        "place capture void",
        "capture void",
        "capture",
        "void lapse",
        "lapse",
        "spend_all",
        "fold",
    ]
    asked: History = {}
    for attempt in range(3):  # on a busy machine whoever lapses may never get a turn: such a run says nothing of them
        folder = tmp_path / str(attempt)
        folder.mkdir()
        asked |= arena.happened(folder, *casts)
        with arena.city.engine.connect() as connection:
            lapses = "SELECT count(*) FROM ledger.resolution WHERE kind = 'lapse'"
            if connection.exec_driver_sql(lapses).scalar_one():
                break
    captured: dict[str, int] = defaultdict(int)
    ends: Counter[str] = Counter()
    for one in asked.values():
        for hold, kind, amount in one.means.resolves if one.done else ():
            captured[hold] += amount
            ends[hold] += kind == "void" or (b'"final":"True"' in next(iter(one.answers))[1])
    with arena.city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            """
            SELECT h.id::text, h.amount, count(*) FILTER (WHERE r.final) AS ends,
                   count(*) FILTER (WHERE r.kind = 'lapse') AS lapsed
            FROM ledger.hold h LEFT JOIN ledger.resolution r ON r.hold = h.id GROUP BY h.id
            """
        ).all()
    assert all(row.ends <= 1 and captured[row.id] <= row.amount for row in rows)
    assert all(ends[row.id] <= row.ends - row.lapsed for row in rows)
    assert any(row.lapsed for row in rows)
    assert told(asked, "hold_capture")["done"]
    assert told(asked, "hold_void")["done"]
    assert told(asked)["hold_resolved"] + told(asked)["hold_lapsed"]


def test_a_limit_is_never_exceeded_and_is_used_to_the_last_dong(arena: Arena, tmp_path: Path) -> None:
    """Row 39: what was refused would have exceeded it, what was done did not."""
    rich = [arena.city.citizen(f"Trần Thị {name}", available=10**9) for name in "XY"]
    poor = arena.people
    arena.people = rich
    try:
        asked = arena.happened(tmp_path, *["transfer"] * 8, people=2, amount_max=1_500_000)
    finally:
        arena.people = poor
    for one in rich:
        mine = [order for (signer, _), order in asked.items() if signer == one.holder]
        used = sum(order.means.postings[0][2] for order in mine if order.done)
        assert used <= 20_000_000
        with arena.city.engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT bucket, used FROM ledger.usage WHERE holder = %s", (UUID(one.holder),)
            ).all()
        assert {row.bucket: row.used for row in rows} == {"general_month": used, "step_up_day": used}
        refused = [order.means.postings[0][2] for order in mine if order.refused == "step_up_required"]
        assert refused
        assert min(refused) + used > 20_000_000


def test_what_is_counted_and_given_back_at_once_stays_exact(arena: Arena, tmp_path: Path) -> None:
    """Row 39: holds count against the same limits, and let go of them while others are counted."""
    rich = [arena.city.citizen(f"Phạm Thị {name}", available=10**9) for name in "XYZ"]
    poor = arena.people
    arena.people = rich
    try:
        casts = [
            "transfer place",
            "place void",
            "place void",
            "void",
            "lapse place",
            "capture void",
            "transfer",
            "place",
        ]
        asked = arena.happened(tmp_path, *casts, people=3, amount_max=3_000_000)
    finally:
        arena.people = poor
    found = told(asked)
    assert found["step_up_required"]
    assert told(asked, "hold_void")["done"]


def test_refunds_captures_and_reversals_never_give_back_more_than_was_paid(arena: Arena, tmp_path: Path) -> None:
    """Row 40."""
    casts = [
        "refund reverse",
        "refund",
        "reverse refund",
        "refund reverse",
        "transfer",
        "place capture",
        "transfer",
        "fold",
    ]
    found = told(arena.happened(tmp_path, *casts))
    assert found["done"] > 3
    assert found["refund_too_large"] + found["entry_reversed"] + found["entry_refunded"] > 5


def test_folding_never_loses_what_is_spent_meanwhile(arena: Arena, tmp_path: Path) -> None:
    asked = arena.happened(tmp_path, *["top_up"] * 3, *["spend_all transfer"] * 3, "fold", "fold", people=2)
    assert told(asked, "bank_line")["done"] > 5
    assert told(asked, "transfer")["done"] > 5


def test_nothing_takes_effect_in_a_day_that_is_being_closed(arena: Arena, tmp_path: Path) -> None:
    casts = ["close_day"] * 2 + ["top_up_late"] * 5 + ["top_up_late fold"]
    asked = arena.happened(tmp_path, *casts, days=30)
    assert told(asked, "period_close")["done"] > 0
    assert told(asked, "bank_line")["done"] > 5
    assert told(asked, "bank_line")["period_closed"] > 0


def test_nothing_reaches_an_account_that_is_being_closed(arena: Arena, tmp_path: Path) -> None:
    others = [person(arena.city.citizen(f"Lê Văn {number}")) for number in range(12)]
    casts = ["credit_other"] * 4 + ["close_other"] * 3 + ["freeze thaw thaw"]
    asked = arena.happened(tmp_path, *casts, others=others)
    assert told(asked, "account_close")["done"] > 0


def test_a_credit_that_waited_for_the_closing_of_its_payee_is_refused(arena: Arena) -> None:
    """The same without luck: the closing is held open until the credit stands behind it."""
    city, hoa = arena.city, arena.people[0]
    binh = city.citizen("Trần Văn Bình")
    closed, waiting = threading.Event(), threading.Event()
    closing = evidence(binh, "account_close", binh.order("account_close", account=binh.account))

    def close(unit: sa.Connection) -> None:
        claim = Claim.of(closing)
        assert ledger.claim(unit, closing, claim).state == "new"
        move = MoveOrder(id=closing.order_id, account=AccountId(UUID(binh.account)), status="closed")
        ledger.post(unit, claim, accounts.move(unit, claim, move, now=clock.now()), status=200, body=b"{}")
        closed.set()
        assert waiting.wait(timeout=20)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(db.unit, city.engine, close)
        assert closed.wait(timeout=20)
        second = threads.submit(sent, city, hoa, binh, 1)
        with city.database.superuser() as watcher:
            stands_behind(watcher, 1)
        waiting.set()
        first.result()
        assert second.result() == "payee_closed"
    assert city.differences() == []


# -- for as long as one likes -----------------------------------------------------------------------------------------

ROUND_S = 20.0
EVERYTHING = (
    "transfer transfer twin spend_all many batch place capture void refund reverse top_up credit_other",
    "transfer twin place place capture void lapse refund fold freeze thaw thaw thaw thaw thaw",
)


@pytest.mark.soak
def test_everything_at_once_again_and_again(
    template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each round in a database of its own, so that each is proved whole."""
    ends, done = time.monotonic() + SOAK_S, 0
    while time.monotonic() < ends:
        folder = tmp_path_factory.mktemp("round")
        with (
            databases.copy_of(template, f"{worker}_soak", server=postgres, folder=folder) as made,
            arena_in(made) as there,
        ):
            others = [person(there.city.citizen(f"Lê Văn {number}")) for number in range(12)]
            casts = [*EVERYTHING * 3, "top_up_late close_day fold", "top_up_late close_other lapse transfer"]
            more: dict[str, Any] = {
                "others": others,
                "days": 60,
                "acts": 0,
                "seconds": min(ROUND_S, max(1.0, ends - time.monotonic())),
            }
            done += told(there.happened(folder, *casts, **more))["done"]
    assert done > 10 * SOAK_S


def test_a_holders_thaw_never_undoes_a_freeze_of_the_operator(arena: Arena) -> None:
    """It was decided while the account was frozen by its holder, and is carried out when the operator has frozen it."""
    city, binh = arena.city, arena.city.citizen("Trần Văn Bình")
    operator = city.person("Phạm Văn Điều", Role.OPERATOR)
    decided, raced = threading.Event(), threading.Event()

    def move(who: Signer, kind: str, status: Any, *, verb: Any = accounts.move, slow: bool = False) -> str:
        how = "officer_order" if who is operator else "signed_order"
        said = evidence(who, kind, who.order(kind, account=binh.account), how=how)
        order = MoveOrder(id=said.order_id, account=AccountId(UUID(binh.account)), status=status)

        def decide(unit: sa.Connection, claim: Claim) -> Plan:
            plan: Plan = verb(unit, claim, order, now=clock.now())
            if slow:
                decided.set()
                assert raced.wait(timeout=20)
            return plan

        return outcome_of(city, said, decide)

    assert move(binh, "account_freeze", "frozen") == "done"
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(move, binh, "account_thaw", "open", slow=True)
        assert decided.wait(timeout=20)
        assert move(binh, "account_thaw", "open") == "done"
        assert move(operator, "account_freeze", "frozen", verb=accounts.move_by_operator) == "done"
        raced.set()
        assert first.result() == "account_frozen_by_operator"
    assert move(operator, "account_thaw", "open", verb=accounts.move_by_operator) == "done"
    assert city.differences() == []


def test_a_refusal_names_the_state_that_was_seen_not_the_one_it_is_in_by_now(arena: Arena) -> None:
    """A payee thawed between the look and the refusal was frozen when it was looked at."""
    with arena.city.database.superuser() as owner, pytest.raises(psycopg.Error) as refused:
        owner.execute("SELECT ledger.refuse_shut(%s, 'payee')", [arena.city.citizen("Lê Văn Tám").account])
    assert (refused.value.sqlstate, refused.value.diag.message_primary) == ("TT001", "payee_frozen")


def sent(city: City, payer: Signer, payee: Signer, amount: int) -> str:
    """Ask for a transfer; return "done" or the code of the refusal."""
    own = {"payer": payer.account, "payee": payee.account, "amount": str(amount), "memo": ""}
    said = evidence(payer, "transfer", payer.order("transfer", **own))
    order = TransferOrder(
        id=said.order_id,
        payer=AccountId(UUID(payer.account)),
        payee=AccountId(UUID(payee.account)),
        amount=Dong(amount),
    )
    return outcome_of(
        city,
        said,
        lambda unit, claim: transfers.send(unit, claim, order, limits=Limits(demo=True), now=clock.now()),
    )


def outcome_of(city: City, said: Evidence, decide: Callable[[sa.Connection, Claim], Plan]) -> str:
    """Carry an order out; return "done" or the code of the refusal."""
    outcome = orders.carry_out(
        city.engine,
        said,
        admits=frozenset({"citizen", "operator"}),
        decide=decide,
        spell=lambda _: b'{"code":"done"}',
        spell_refusal=lambda refusal: canonical.dumps({"code": refusal.code}),
        status=201,
        now=clock.now(),
        at_once=True,
    )
    return str(canonical.loads(outcome.body)["code"])


def stands_behind(watcher: psycopg.Connection[Any], count: int) -> None:
    """Wait until so many sessions of this database wait for a lock."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    deadline = time.monotonic() + 20
    while watcher.execute(question).fetchone() != (count,):
        assert time.monotonic() < deadline, "it waits"
        time.sleep(0.01)


# -- the checker itself -----------------------------------------------------------------------------------------------

HOA, BINH = "account-hoa", "account-binh"
KEY = ("hoa", "order")
PAID = Means(postings=((HOA, BINH, 5),))


def one_order(**changes: Any) -> History:
    """A history of one transfer that was acknowledged."""
    told = {"kind": "transfer", "content": b"{}", "means": PAID, "answers": {(201, b'{"done":"1"}')}}
    return {KEY: Asked(**{**told, **changes})}


def booked(**changes: Any) -> Row:
    kept = {"kind": "transfer", "status": 201, "code": None, "body": b'{"done":"1"}', "content": b"{}"}
    return Row(**{**kept, "means": PAID, "events": 1, **changes})


def stood(orders: dict[history.Key, Row], *, hoa: int = 95, binh: int = 5) -> Books:
    return Books(orders=orders, balances={HOA: (hoa, 0, "credit"), BINH: (binh, 0, "credit")})


BEFORE = stood({}, hoa=100, binh=0)
REFUSED = b'{"code":"insufficient_funds"}'


@pytest.mark.parametrize(
    ("asked", "after", "found"),
    [
        (one_order(), stood({KEY: booked()}), []),
        (one_order(answers=set()), stood({KEY: booked()}), []),
        (one_order(answers=set()), BEFORE, []),
        (one_order(), BEFORE, ["acknowledged and not in the books"]),
        ({}, stood({KEY: booked()}), ["in the books and never asked", "account", "account"]),
        (one_order(), stood({KEY: booked(body=b'{"done":"2"}')}), ["answered otherwise than stored"]),
        (
            one_order(answers={(201, b'{"done":"1"}'), (201, b'{"done":"2"}')}),
            stood({KEY: booked()}),
            ["answered otherwise than stored"],
        ),
        (one_order(), stood({KEY: booked(content=b"[]")}), ["other bytes than were asked"]),
        (
            one_order(),
            stood({KEY: booked(means=Means(postings=PAID.postings * 2))}, hoa=90, binh=10),
            ["carried out otherwise than asked", "account", "account"],
        ),
        (
            one_order(answers={(402, REFUSED)}),
            stood({KEY: booked(status=402, code="insufficient_funds", body=REFUSED)}, hoa=100, binh=0),
            ["refused, and wrote"],
        ),
        (one_order(), stood({KEY: booked()}, hoa=94), ["account"]),
    ],
    ids=["sound", "unknown and done", "unknown and not done", "lost", "nobody's", "other answer", "two answers",
         "other bytes", "doubled", "refused and done", "a đồng gone"],
)  # fmt: skip
def test_the_checker_names_what_is_wrong(asked: History, after: Books, found: list[str]) -> None:
    named = sorted(history.differences(asked, BEFORE, after))
    assert [one.split(":")[0].split(" account-")[0] for one in named] == sorted(found)
