"""The proof of the books: clean books prove, and each kind of tampering is named by its code.

Each test tampers as the superuser, in a transaction in which no trigger stands guard, proves there, and rolls back.
"""

import functools
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from tests import databases, selling
from tests.databases import TestDatabase
from tests.make import STATION, City, Seen, Signer
from tests.test_mandates import a_code, signs
from wallet import accounts, clock, db, holds, ids, mandates, periods, prove, refunds, transfers
from wallet.bills import proof as bills
from wallet.crypto import PrivateKey
from wallet.events import Event
from wallet.identity import holders, roles
from wallet.identity import proof as identity
from wallet.identity.roles import Role
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger import Entry, Plan, Posting, chart, proof, questions
from wallet.ledger.proof import Base
from wallet.money import Dong
from wallet.run.postgres import Cluster

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Story:
    """A small city's books in which every kind of thing has happened: enough for each question to have an answer."""

    database: TestDatabase
    root: sa.Engine
    hoa: Signer
    binh: Signer
    cuc: Signer
    paid: Seen
    due: Seen
    cancelled: Seen
    orders: dict[str, str]
    """Ids of orders, by what they were for."""
    holds: dict[str, str]
    """Ids of holds, by what became of them."""


CLOSED_AFTER = timedelta(days=1, minutes=15)
"""A day can be closed ten minutes after its end: so long ago it was surely a day that can be."""


@pytest.fixture(scope="module")
def story(template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("proof")
    with (
        databases.copy_of(template, f"{worker}_proof", server=postgres, folder=folder) as database,
        City(database) as city,
    ):
        hoa, binh, cuc = city.citizen(), city.citizen("Trần Văn Bình", available=100), city.citizen("Lê Thị Cúc")
        days_closed(city, hoa)
        city.top_up(hoa, 500_000)
        paid, due, cancelled = (city.bill(debtor=hoa, amounts=[20_000, 5_000]) for _ in range(3))
        other = city.bill(debtor=hoa, agency=STATION)
        order = {"bill": str(cancelled.id), "reason": "Lập nhầm"}
        assert city.officer().act(f"/v1/bills/{cancelled.id}/cancel", "bill_cancel", **order).status == 201
        payment = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[paid.seen, other.seen])
        given = {"payer": hoa.account, "payee": binh.account, "amount": "7", "memo": "cảm ơn"}
        transfer = hoa.act("/v1/transfers", "transfer", **given)
        refused = binh.act(
            "/v1/transfers", "transfer", **given | {"payer": binh.account, "payee": hoa.account, "amount": "999"}
        )
        assert (payment.status, transfer.status, refused.status) == (201, 201, 402)
        orders = {"transfer": transfer.json()["order"], "payment": payment.json()["order"]}
        orders |= undone(hoa, binh)
        orders |= frozen_and_closed(city, binh)
        orders |= charged(city)
        resolved = held(city, hoa, binh)
        machine = city.signer(HolderId(UUID(hoa.holder)), PrivateKey.generate())
        enrolment = machine.order("key_enrol", key=dict(machine.key.public.jwk), label="Máy", device="machine", code="")
        assert machine.send("POST", "/v1/keys", enrolment).status == 201
        root = db.engine(database.owner_url)
        yield Story(
            database=database,
            root=root,
            hoa=hoa,
            binh=binh,
            cuc=cuc,
            paid=paid,
            due=due,
            cancelled=cancelled,
            orders=orders,
            holds=resolved,
        )
        root.dispose()


def days_closed(city: City, hoa: Signer) -> None:
    """Two days were closed, each with an entry in it: the first one long ago, so that the second has a mark."""
    operator = HolderId(UUID(city.person("Võ Thanh Tâm", Role.OPERATOR).holder))
    last = clock.day_of(clock.now() - CLOSED_AFTER)
    for day in (last - timedelta(days=3), last):
        noon = clock.day_bounds(day)[0] + timedelta(hours=12)
        received(city, hoa, 50_000, noon)
        order = periods.CloseOrder(id=OrderId(uuid4()), kind="day", starts=day)
        decide = functools.partial(periods.close, order=order, now=clock.now())
        city.officer_order(operator, "period_close", decide)
        if day != last:
            long_ago(city, noon)


def received(city: City, who: Signer, amount: int, at: datetime) -> None:
    """The bank's word of money that came on a day gone by."""
    bank = db.unit(city.engine, lambda unit: holders.register(unit, kind="outside", now=clock.now()))
    db.unit(city.engine, lambda unit: roles.grant(unit, bank, Role.OPERATOR, now=clock.now()))
    posting = Posting(debit=city.house(chart.BANK_GUARANTEE), credit=AccountId(UUID(who.account)), amount=Dong(amount))
    entry = Entry(id=EntryId(ids.new()), kind="topup", effective_at=at, postings=(posting,))
    told = Event(type="topup.received", subject=who.account, entry=entry.id)
    plan = Plan(entries=(entry,), events=(told,), answer={})
    city.officer_order(bank, "bank_line", lambda _unit, _claim: plan, kind="outside_word")


def long_ago(city: City, noon: datetime) -> None:
    """What is in the books until now was written on its own day: no test can wait for days."""
    with psycopg.connect(city.database.owner_url) as owner:
        owner.execute("SET session_replication_role = replica")
        for table in ("entry", "posting"):
            owner.execute(f"UPDATE ledger.{table} SET posted_at = %s WHERE effective_at = %s", [noon, noon])
        owner.execute("UPDATE ledger.period SET closed_at = %s", [noon + timedelta(days=1)])


def undone(hoa: Signer, binh: Signer) -> dict[str, str]:
    """A transfer of which a part was given back, twice, and one that was reversed."""
    given = {"payer": hoa.account, "payee": binh.account, "memo": ""}
    wide, short = (hoa.act("/v1/transfers", "transfer", **given, amount=amount).json() for amount in ("70", "40"))
    back = {"entry": wide["entry"], "reason": "Thừa"}
    first, second = (
        binh.act("/v1/refunds", "refund", **back, lines=[{"line": "1", "amount": amount}]) for amount in ("20", "30")
    )
    whole = binh.act("/v1/reversals", "reverse", entry=short["entry"], reason="Nhầm người")
    assert (first.status, second.status, whole.status) == (201, 201, 201), whole.body
    return {"refund": first.json()["order"], "reversal": whole.json()["order"]}


def frozen_and_closed(city: City, binh: Signer) -> dict[str, str]:
    """A wallet that was frozen and thawed, and one that was closed."""
    gone = city.citizen("Đỗ Thị Mận")
    moves = (("freeze", binh), ("thaw", binh), ("close", gone))
    done = {
        what: who.act(f"/v1/accounts/{who.account}/{what}", f"account_{what}", account=who.account)
        for what, who in moves
    }
    assert {what: reply.status for what, reply in done.items()} == dict.fromkeys(done, 200)
    return {what: reply.json()["order"] for what, reply in done.items()}


def charged(city: City) -> dict[str, str]:
    """A one-time code that a till has charged, and one that nobody has yet."""
    who, stall = city.citizen("Tôn Nữ Thị Ninh", available=1_000), selling.shop(city)
    code = a_code()
    assert signs(who, cap=500, code=code).status == 201
    till = {"point": str(stall.points[0]), "amount": "300", "code": code, "invoice": ""}
    charge = stall.owner.act("/v1/charges", "charge", **till)
    live = signs(who, cap=500)
    assert (charge.status, live.status) == (201, 201)
    return {"charge": charge.json()["order"], "mandate_live": live.json()["order"]}


LAPSING_S = 2


def held(city: City, hoa: Signer, binh: Signer) -> dict[str, str]:
    """Holds of 100 đồng: one as it was placed, and one of each thing that becomes of them."""

    def placed(lives_s: int = 3600) -> str:
        lapses_at = str(int(clock.now().timestamp()) + lives_s)
        given = {"payer": hoa.account, "payee": binh.account, "amount": "100", "lapses_at": lapses_at}
        return str(hoa.act("/v1/holds", "hold", **given).json()["hold"])

    def captured(hold: str, amount: str, final: str) -> int:
        return binh.act(f"/v1/holds/{hold}/captures", "hold_capture", hold=hold, amount=amount, final=final).status

    made = {name: placed() for name in ("live", "part", "whole", "rest", "voided")} | {"lapsed": placed(LAPSING_S)}
    done = [
        captured(made["part"], "30", "false"),
        captured(made["whole"], "100", "false"),
        captured(made["rest"], "30", "false"),
        captured(made["rest"], "30", "true"),
        binh.act(f"/v1/holds/{made['voided']}/void", "hold_void", hold=made["voided"]).status,
    ]
    assert done == [201] * 5
    deadline = time.monotonic() + LAPSING_S + 10
    while holds.lapse_due(city.engine, now=clock.now()) == 0:
        assert time.monotonic() < deadline, "a hold whose time is over lapses"
        time.sleep(0.1)
    return made


class Tampering:
    """A superuser at work, without any guard; nothing of it stays."""

    def __init__(self, story: Story, connection: sa.Connection) -> None:
        self.connection = connection
        self.names: dict[str, Any] = {
            "hoa": story.hoa.account,
            "binh": story.binh.account,
            "cuc": story.cuc.account,
            "hoa_holder": story.hoa.holder,
            "binh_holder": story.binh.holder,
            "hoa_key": story.hoa.key.public.id,
            "binh_key": story.binh.key.public.id,
            "paid": story.paid.id,
            "due": story.due.id,
            "cancelled": story.cancelled.id,
            "new": uuid4(),
            "nobody": uuid4(),
        } | {f"hold_{name}": hold for name, hold in story.holds.items()}
        for name, order in story.orders.items():
            self.names[name] = self.one("SELECT id FROM ledger.authority WHERE order_id = %(id)s", id=order)
        self.names["refused"] = self.one("SELECT authority FROM ledger.outcome WHERE code = 'insufficient_funds'")
        for name, order in (("entry", "transfer"), ("refunding", "refund"), ("reversing", "reversal")):
            self.names[name] = self.one(f"SELECT id FROM ledger.entry WHERE authority = %({order})s")
        self.names["refunded"] = self.one("SELECT refunds FROM ledger.entry WHERE id = %(refunding)s")
        self.names["reversed"] = self.one("SELECT reverses FROM ledger.entry WHERE id = %(reversing)s")
        self.names["guarantee"] = self.one("SELECT id FROM ledger.account WHERE code = 'bank.guarantee'")
        self.names["closed"] = self.one("SELECT id FROM ledger.account WHERE status = 'closed'")
        self.names["period"] = self.one("SELECT id FROM ledger.period ORDER BY ends DESC LIMIT 1")

    def one(self, statement: str, **more: Any) -> Any:
        return self.connection.exec_driver_sql(statement, {**self.names, **more}).scalar_one()

    def run(self, *statements: str, **more: Any) -> None:
        for statement in statements:
            done = self.connection.exec_driver_sql(statement, {**self.names, **more})
            assert done.rowcount != 0, f"it changed nothing: {statement}"

    def codes(self, *, since: Base | None = None) -> set[str]:
        return {difference.code for difference in prove.books(self.connection, since=since)}


@pytest.fixture
def tamper(story: Story) -> Iterator[Tampering]:
    with story.root.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        yield Tampering(story, connection)
        transaction.rollback()


def test_clean_books_prove(story: Story) -> None:
    with prove.snapshot(story.database.audit_engine).connect() as connection:
        assert list(prove.books(connection)) == []


def test_the_story_has_something_for_every_question(tamper: Tampering) -> None:
    """What never happened cannot be proved wrong."""
    assert tamper.one("SELECT array_agg(DISTINCT kind ORDER BY kind) FROM ledger.resolution") == [
        "capture",
        "lapse",
        "void",
    ]
    assert tamper.one("SELECT count(*) FROM ledger.resolution WHERE NOT final AND captured > 0") == 2
    assert tamper.one("SELECT count(*) FROM ledger.resolution WHERE kind = 'capture' AND released > 0") == 1
    assert tamper.one("SELECT count(*) FROM ledger.live_hold") == 2
    assert tamper.one("SELECT array_agg(DISTINCT kind ORDER BY kind) FROM ledger.entry") == [
        "bill_payment",
        "capture",
        "merchant_payment",
        "refund",
        "reversal",
        "topup",
        "transfer",
    ]
    assert tamper.one("SELECT array_agg(status ORDER BY status) FROM ledger.account_move") == [
        "closed",
        "frozen",
        "open",
    ]
    # The first day closed has its entry before its mark, the second one after it.
    assert tamper.one(
        "SELECT array_agg(ARRAY[effective, sequenced] ORDER BY ends) FROM ledger.snapshot WHERE account = %(hoa)s"
    ) == [[50_000, 0], [100_000, 50_000]]
    assert tamper.one("SELECT count(*) FROM ledger.usage WHERE holder = %(hoa_holder)s") >= 2


def test_folding_changes_nothing_that_is_proved(tamper: Tampering) -> None:
    tamper.run("SELECT ledger.fold(NULL, 1000)")
    assert tamper.one("SELECT count(*) FROM ledger.delta") == 0
    assert tamper.codes() == set()


def test_a_shredded_order_is_no_difference(tamper: Tampering) -> None:
    """A person's data may be erased; the ledger keeps a salted hash."""
    tamper.run("DELETE FROM person.order_content WHERE authority = %(payment)s")
    assert tamper.codes() == set()


SET_EVENT = "UPDATE ledger.event SET bytes = convert_to({}, 'UTF8') WHERE entry = %(entry)s"
TEXT = "convert_from(bytes, 'UTF8')"
SET_ORDER = "UPDATE person.order_content SET bytes = convert_to({}, 'UTF8') WHERE authority = %(transfer)s"
SET_HOLD_EVENT = (
    "UPDATE ledger.event SET bytes = convert_to({told}, 'UTF8')"
    " WHERE subject = %({hold})s::text AND type = 'hold.placed'"
)
NEW_ENTRY = (
    "INSERT INTO ledger.entry (id, authority, kind, effective_at, posted_at)"
    " VALUES (%(new)s, %(transfer)s, 'transfer', '2020-01-01Z', '2020-01-01Z')"
)
NEW_POSTING = (
    "INSERT INTO ledger.posting (entry, line, debit, credit, amount, effective_at, posted_at)"
    " VALUES (%(new)s, 1, %(hoa)s, %(binh)s, 1000, '2020-01-01Z', '2020-01-01Z')"
)
NEW_AUTHORITY = (
    "INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, digest)"
    " VALUES (%(new)s, 'officer_order', %(hoa_holder)s, %(new)s, 'transfer', '')"
)

DEED = tuple[tuple[str, ...], set[str]]

DEEDS: dict[str, DEED] = {
    # -- amounts and balances
    "the amount of a posting is changed (row 116)": (
        ("UPDATE ledger.posting SET amount = amount + 1 WHERE entry = %(entry)s",),
        {"transfer_uncounted", "balance_differs", "event_entry_differs", "transfer_not_as_signed"},
    ),
    "an amount is changed everywhere but in what was signed (row 116)": (
        (
            "UPDATE ledger.posting SET amount = 8 WHERE entry = %(entry)s",
            "UPDATE ledger.balance SET posted = posted - 1 WHERE account = %(hoa)s",
            "UPDATE ledger.balance SET posted = posted + 1 WHERE account = %(binh)s",
            SET_EVENT.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),
        ),
        {"transfer_uncounted", "transfer_not_as_signed"},
    ),
    "the payee is changed everywhere but in what was signed": (
        (
            "UPDATE ledger.posting SET credit = %(guarantee)s, debit = %(hoa)s WHERE entry = %(entry)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(binh)s, -7), (%(guarantee)s, -7)",
            SET_EVENT.format(f"replace({TEXT}, %(binh)s, %(guarantee)s::text)"),
        ),
        {"posting_without_flow", "transfer_not_as_signed"},
    ),
    "two postings that cancel out are deleted (row 117)": (
        ("DELETE FROM ledger.posting WHERE entry = %(entry)s",),
        {"balance_differs", "entry_empty", "event_entry_differs", "transfer_not_as_signed"},
    ),
    "a back-dated, balanced entry is slipped in (row 118)": (
        (NEW_ENTRY, NEW_POSTING),
        {"balance_differs", "entry_unnamed", "entry_untold", "snapshot_differs", "transfer_not_as_signed"},
    ),
    "an entry is slipped in with balances, outcome and event of its own (row 118)": (
        (
            NEW_ENTRY,
            NEW_POSTING,
            "UPDATE ledger.balance SET posted = posted - 1000 WHERE account = %(hoa)s",
            "UPDATE ledger.balance SET posted = posted + 1000 WHERE account = %(binh)s",
            "UPDATE ledger.outcome SET entries = entries || %(new)s WHERE authority = %(transfer)s",
            "UPDATE ledger.event SET entry = %(new)s WHERE entry = %(entry)s",
        ),
        {"entry_untold", "event_entry_differs", "snapshot_differs", "transfer_not_as_signed"},
    ),
    "a stored balance is changed": (
        ("UPDATE ledger.balance SET posted = posted + 1 WHERE account = %(hoa)s",),
        {"balance_differs", "trial_balance_differs"},
    ),
    "two stored balances are changed alike": (
        ("UPDATE ledger.balance SET posted = posted + 1 WHERE account IN (%(hoa)s, %(guarantee)s)",),
        {"balance_differs"},
    ),
    "a balance row is deleted": (
        ("DELETE FROM ledger.balance WHERE account = %(hoa)s",),
        {"balance_differs", "trial_balance_differs", "delta_orphan"},
    ),
    "a delta is deleted": (
        ("DELETE FROM ledger.delta WHERE account = %(binh)s",),
        {"balance_differs", "trial_balance_differs"},
    ),
    "a delta belongs to nobody": (
        ("INSERT INTO ledger.delta (account, amount) VALUES (%(nobody)s, 5)",),
        {"delta_orphan"},
    ),
    "a wallet is below its floor": (
        (
            "ALTER TABLE ledger.balance DROP CONSTRAINT balance_floor_check",
            "UPDATE ledger.balance SET posted = -1 WHERE account = %(hoa)s",
        ),
        {"balance_differs", "floor_broken", "trial_balance_differs"},
    ),
    "a wallet's floor is lowered": (
        ("UPDATE ledger.account SET floor = -1000000 WHERE id = %(hoa)s",),
        {"floor_differs"},
    ),
    "the floor under the CHECK is lifted": (
        ("UPDATE ledger.balance SET floor = NULL WHERE account = %(hoa)s",),
        {"floor_differs"},
    ),
    "an account changes sides": (
        ("UPDATE ledger.account SET normal = 'debit' WHERE id = %(hoa)s",),
        {"balance_differs", "floor_differs", "snapshot_differs", "trial_balance_differs"},
    ),
    "money is held without a hold": (
        ("UPDATE ledger.balance SET held = 1 WHERE account = %(hoa)s",),
        {"held_differs"},
    ),
    "a posting names an account that is none": (
        ("UPDATE ledger.posting SET credit = %(nobody)s WHERE entry = %(entry)s",),
        {"balance_differs", "event_entry_differs", "posting_orphan", "transfer_not_as_signed"},
    ),
    "a posting is left without its entry": (
        ("UPDATE ledger.posting SET entry = %(nobody)s WHERE entry = %(entry)s",),
        {"entry_empty", "event_entry_differs", "posting_orphan", "transfer_not_as_signed"},
    ),
    "a posting of nothing": (
        (
            "ALTER TABLE ledger.posting DROP CONSTRAINT posting_amount_check",
            "UPDATE ledger.posting SET amount = 0 WHERE entry = %(entry)s",
        ),
        {"transfer_uncounted", "balance_differs", "event_entry_differs", "posting_unsound", "transfer_not_as_signed"},
    ),
    # -- authorities and outcomes
    "an entry loses its authority": (
        ("UPDATE ledger.entry SET authority = %(nobody)s WHERE id = %(entry)s",),
        {"entry_without_authority", "entry_unnamed", "outcome_entry_missing", "transfer_not_as_signed"},
    ),
    "an entry moves to another's authority": (
        ("UPDATE ledger.entry SET authority = %(payment)s WHERE id = %(entry)s",),
        {
            "bill_payment_uncounted",
            "entry_unnamed",
            "outcome_entry_missing",
            "bill_payment_not_as_signed",
            "transfer_not_as_signed",
            "posting_without_flow",
        },
    ),
    "an outcome is deleted": (
        ("DELETE FROM ledger.outcome WHERE authority = %(transfer)s",),
        {"authority_without_outcome", "entry_unnamed", "limit_usage_differs"},
    ),
    "a transfer is said to have come to nothing": (
        ("INSERT INTO ledger.uncounted (authority) VALUES (%(transfer)s)",),
        {"limit_usage_differs", "uncounted_came_to_something"},
    ),
    "an outcome names no entry": (
        ("UPDATE ledger.outcome SET entries = '{{}}' WHERE authority = %(transfer)s",),
        {"entry_unnamed"},
    ),
    "an outcome names an entry that is not there": (
        ("UPDATE ledger.outcome SET entries = entries || %(nobody)s WHERE authority = %(transfer)s",),
        {"outcome_entry_missing"},
    ),
    "something done is made a refusal": (
        ("UPDATE ledger.outcome SET code = 'insufficient_funds', entries = '{{}}' WHERE authority = %(transfer)s",),
        {"entry_unnamed", "refusal_wrote"},
    ),
    "a refusal is made something done": (
        ("UPDATE ledger.outcome SET code = NULL WHERE authority = %(refused)s",),
        {"authority_untold", "transfer_not_as_signed"},
    ),
    "an outcome is left without its order": (
        ("UPDATE ledger.outcome SET authority = %(nobody)s WHERE authority = %(refused)s",),
        {"authority_without_outcome", "outcome_orphan"},
    ),
    "an order's words are left without their order": (
        ("UPDATE person.order_content SET authority = %(nobody)s WHERE authority = %(refused)s",),
        {"content_orphan"},
    ),
    "an authority nobody gave": (
        (NEW_AUTHORITY,),
        {"authority_without_outcome"},
    ),
    "a signed order is passed off as an outside word": (
        ("UPDATE ledger.authority SET kind = 'outside_word', key_id = NULL WHERE id = %(transfer)s",),
        {"outside_word_by_insider", "posting_without_flow"},
    ),
    "a signed order is passed off as an officer's": (
        ("UPDATE ledger.authority SET kind = 'officer_order', key_id = NULL WHERE id = %(transfer)s",),
        {"posting_without_flow"},
    ),
    # -- flows and instants
    "a transfer is passed off as money from the bank": (
        ("UPDATE ledger.entry SET kind = 'topup' WHERE id = %(entry)s",),
        {"event_entry_differs", "posting_without_flow"},
    ),
    "another's money is drawn by an order of one's own": (
        (
            "UPDATE ledger.posting SET debit = %(cuc)s WHERE entry = %(entry)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(hoa)s, 7)",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(cuc)s, -7)",
            SET_EVENT.format(f"replace({TEXT}, %(hoa)s, %(cuc)s)"),
        ),
        {"floor_broken", "posting_without_flow", "transfer_not_as_signed"},
    ),
    "a flow is lifted from the chart": (
        ("DELETE FROM ledger.flow WHERE kind = 'bill_payment'",),
        {"posting_without_flow"},
    ),
    "a posting is dated otherwise than its entry": (
        ("UPDATE ledger.posting SET effective_at = effective_at - interval '1 hour' WHERE entry = %(entry)s",),
        {"posting_instant_differs"},
    ),
    "a posting is written as of another instant than its entry": (
        ("UPDATE ledger.posting SET posted_at = posted_at + interval '1 second' WHERE entry = %(entry)s",),
        {"posting_instant_differs"},
    ),
    "an entry is dated otherwise than it was told": (
        (
            "UPDATE ledger.entry SET effective_at = effective_at - interval '1 minute' WHERE id = %(entry)s",
            "UPDATE ledger.posting SET effective_at = effective_at - interval '1 minute' WHERE entry = %(entry)s",
        ),
        {"event_entry_differs"},
    ),
    # -- holds
    "what is held is given free without a word": (
        ("UPDATE ledger.balance SET held = held - 100 WHERE account = %(hoa)s",),
        {"held_differs"},
    ),
    "a hold is made smaller": (
        ("UPDATE ledger.hold SET amount = 50 WHERE id = %(hold_live)s",),
        {"hold_uncounted", "held_differs", "hold_not_as_signed", "hold_untold"},
    ),
    "a hold is made smaller than what was captured of it": (
        (
            "UPDATE ledger.hold SET amount = 20 WHERE id = %(hold_part)s",
            "UPDATE ledger.balance SET held = held - 80 WHERE account = %(hoa)s",
            SET_HOLD_EVENT.format(hold="hold_part", told=f'replace({TEXT}, \'"amount":"100"\', \'"amount":"20"\')'),
        ),
        {"hold_uncounted", "hold_exceeded", "hold_not_as_signed"},
    ),
    "a hold is led to another payee": (
        ("UPDATE ledger.hold SET payee = %(cuc)s WHERE id = %(hold_part)s",),
        {"hold_not_as_signed", "hold_untold", "posting_without_flow", "resolution_unlawful"},
    ),
    "a hold is changed everywhere but in what was signed": (
        (
            "UPDATE ledger.hold SET amount = 200 WHERE id = %(hold_live)s",
            "UPDATE ledger.balance SET held = held + 100 WHERE account = %(hoa)s",
            SET_HOLD_EVENT.format(hold="hold_live", told=f'replace({TEXT}, \'"amount":"100"\', \'"amount":"200"\')'),
        ),
        {"hold_uncounted", "hold_not_as_signed"},
    ),
    "a capture is changed everywhere but in what was signed": (
        (
            (
                f'UPDATE ledger.event SET bytes = convert_to(replace({TEXT}, \'"amount":"30"\', \'"amount":"20"\'),'
                " 'UTF8') WHERE entry = (SELECT entry FROM ledger.resolution WHERE hold = %(hold_part)s)"
            ),
            (
                "UPDATE ledger.posting SET amount = 20"
                " WHERE entry = (SELECT entry FROM ledger.resolution WHERE hold = %(hold_part)s)"
            ),
            "UPDATE ledger.resolution SET captured = 20 WHERE hold = %(hold_part)s",
            "UPDATE ledger.balance SET posted = posted + 10, held = held + 10 WHERE account = %(hoa)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(binh)s, -10)",
        ),
        {"capture_not_as_signed"},
    ),
    "a void is led to another hold than was signed": (
        (
            "UPDATE ledger.resolution SET hold = %(hold_live)s WHERE hold = %(hold_voided)s",
            "DELETE FROM ledger.live_hold WHERE hold = %(hold_live)s",
            "INSERT INTO ledger.live_hold SELECT id, lapses_at FROM ledger.hold WHERE id = %(hold_voided)s",
            (
                "UPDATE ledger.event SET subject = %(hold_live)s::text,"
                f" bytes = convert_to(replace({TEXT}, %(hold_voided)s::text, %(hold_live)s::text), 'UTF8')"
                " WHERE subject = %(hold_voided)s::text AND type = 'hold.voided'"
            ),
        ),
        {"void_not_as_signed"},
    ),
    "a hold's end is changed everywhere but in what was signed": (
        (
            "UPDATE ledger.hold SET lapses_at = lapses_at + interval '1 day' WHERE id = %(hold_live)s",
            "UPDATE ledger.live_hold SET lapses_at = lapses_at + interval '1 day' WHERE hold = %(hold_live)s",
            (
                "UPDATE ledger.event v SET bytes = convert_to(regexp_replace(convert_from(v.bytes, 'UTF8'),"
                ' \'"lapses_at":"[^"]*"\', \'"lapses_at":"\' || to_char(h.lapses_at AT TIME ZONE \'UTC\','
                " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || '\"'), 'UTF8')"
                " FROM ledger.hold h WHERE v.subject = h.id::text AND v.type = 'hold.placed' AND h.id = %(hold_live)s"
            ),
        ),
        {"hold_end_not_as_signed"},
    ),
    "a hold is forgotten by the working set": (
        ("DELETE FROM ledger.live_hold WHERE hold = %(hold_live)s",),
        {"hold_live_differs"},
    ),
    "a resolved hold comes back to the working set": (
        ("INSERT INTO ledger.live_hold (hold, lapses_at) VALUES (%(hold_whole)s, now())",),
        {"hold_live_differs"},
    ),
    "a hold without its holder's word": (
        ("UPDATE ledger.hold SET authority = %(transfer)s WHERE id = %(hold_live)s",),
        {"hold_end_not_as_signed", "hold_not_as_signed", "hold_unsigned", "hold_untold"},
    ),
    "a hold on another's wallet": (
        (
            "UPDATE ledger.hold SET account = %(cuc)s WHERE id = %(hold_voided)s",
            SET_HOLD_EVENT.format(hold="hold_voided", told=f"replace({TEXT}, %(hoa)s, %(cuc)s)"),
        ),
        {"hold_not_as_signed", "hold_unsigned"},
    ),
    "a hold appears from nowhere": (
        (
            (
                "INSERT INTO ledger.hold (id, authority, account, payee, amount, lapses_at)"
                " SELECT %(new)s, authority, account, payee, amount, lapses_at FROM ledger.hold WHERE id = %(hold_live)s"
            ),
            "INSERT INTO ledger.live_hold SELECT id, lapses_at FROM ledger.hold WHERE id = %(new)s",
            "UPDATE ledger.balance SET held = held + 100 WHERE account = %(hoa)s",
        ),
        {"hold_not_as_signed", "hold_untold"},
    ),
    "a hold is made to last longer": (
        ("UPDATE ledger.hold SET lapses_at = lapses_at + interval '1 day' WHERE id = %(hold_live)s",),
        {
            "hold_end_not_as_signed",
            "hold_live_differs",
            "hold_untold",
        },
    ),
    "a hold's time is over at another instant than was said": (
        ("UPDATE ledger.live_hold SET lapses_at = now() WHERE hold = %(hold_live)s",),
        {"hold_live_differs"},
    ),
    "a capture is made larger": (
        ("UPDATE ledger.resolution SET captured = captured + 1 WHERE hold = %(hold_part)s",),
        {"capture_differs", "capture_not_as_signed", "held_differs"},
    ),
    "a hold's end is rewritten": (
        ("UPDATE ledger.resolution SET released = released - 1 WHERE hold = %(hold_voided)s",),
        {"held_differs", "hold_exceeded", "limit_usage_differs"},
    ),
    "a capture's row is deleted": (
        ("DELETE FROM ledger.resolution WHERE hold = %(hold_whole)s",),
        {"capture_differs", "capture_not_as_signed", "held_differs", "hold_live_differs", "posting_without_flow"},
    ),
    "a capture is passed off as a void": (
        (
            (
                "UPDATE ledger.resolution SET kind = 'void', entry = NULL, captured = 0, released = 100"
                " WHERE hold = %(hold_whole)s"
            ),
        ),
        {
            "capture_differs",
            "capture_not_as_signed",
            "hold_untold",
            "limit_usage_differs",
            "posting_without_flow",
            "resolution_unlawful",
        },
    ),
    "a void is passed off as a lapse": (
        ("UPDATE ledger.resolution SET kind = 'lapse' WHERE hold = %(hold_voided)s",),
        {"hold_untold", "resolution_unlawful", "void_not_as_signed"},
    ),
    "a lapse is dated before its time": (
        ("UPDATE ledger.resolution SET at = at - interval '1 minute' WHERE hold = %(hold_lapsed)s",),
        {"resolution_unlawful"},
    ),
    "a capture is dated after its time": (
        ("UPDATE ledger.resolution SET at = at + interval '1 day' WHERE hold = %(hold_whole)s",),
        {"resolution_unlawful"},
    ),
    "a capture draws on another mandate": (
        (
            (
                "UPDATE ledger.authority SET under = (SELECT authority FROM ledger.hold WHERE id = %(hold_live)s)"
                " WHERE id = (SELECT authority FROM ledger.resolution WHERE hold = %(hold_whole)s)"
            ),
        ),
        {"resolution_unlawful"},
    ),
    # -- mandates
    "a mandate's cap is raised": (
        ("UPDATE ledger.mandate SET cap = cap + 1 WHERE authority = %(mandate_live)s",),
        {"mandate_not_as_signed", "mandate_untold"},
    ),
    "a mandate is passed off as another's": (
        ("UPDATE ledger.mandate SET account = %(binh)s WHERE authority = %(mandate_live)s",),
        {"mandate_not_as_signed", "mandate_unsigned", "mandate_untold"},
    ),
    "a charge is dated after its time": (
        ("UPDATE ledger.charge SET at = at + interval '1 minute' WHERE authority = %(charge)s",),
        {"charge_unlawful"},
    ),
    "a charge's row is deleted": (
        ("DELETE FROM ledger.charge WHERE authority = %(charge)s",),
        {"charge_differs", "posting_without_flow"},
    ),
    # -- reversals and refunds
    "a refund forgets what it gave back": (
        ("UPDATE ledger.entry SET refunds = NULL WHERE id = %(refunding)s",),
        {"event_entry_differs", "refund_not_as_signed", "undoing_unlinked"},
    ),
    "a refund is passed off as one of another entry": (
        ("UPDATE ledger.entry SET refunds = %(reversed)s WHERE id = %(refunding)s",),
        {"event_entry_differs", "refund_not_as_signed", "undone_too_much"},
    ),
    "a refund is refunded": (
        ("UPDATE ledger.entry SET refunds = %(reversing)s WHERE id = %(refunding)s",),
        {"event_entry_differs", "refund_not_as_signed", "undoing_not_mirrored", "undoing_unlinked"},
    ),
    "a refund goes to another": (
        (
            "UPDATE ledger.posting SET credit = %(cuc)s WHERE entry = %(refunding)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(hoa)s, -20), (%(cuc)s, 20)",
            (
                "UPDATE ledger.event SET bytes = convert_to(replace("
                f"{TEXT}, %(hoa)s, %(cuc)s), 'UTF8') WHERE entry = %(refunding)s"
            ),
        ),
        {"undoing_not_mirrored"},
    ),
    "a refund gives back of another line": (
        ("UPDATE ledger.posting SET of_line = 2 WHERE entry = %(refunding)s",),
        {"refund_not_as_signed", "undoing_not_mirrored"},
    ),
    "more is given back than was paid": (
        (
            "UPDATE ledger.posting SET amount = 50 WHERE entry = %(refunding)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(hoa)s, 30), (%(binh)s, -30)",
            (
                "UPDATE ledger.event SET bytes = convert_to(replace("
                f'{TEXT}, \'"amount":"20"\', \'"amount":"50"\'), \'UTF8\') WHERE entry = %(refunding)s'
            ),
        ),
        {"refund_not_as_signed", "undone_too_much"},
    ),
    "an entry is refunded besides being reversed": (
        (
            "UPDATE ledger.entry SET refunds = %(reversed)s WHERE id = %(refunding)s",
            "UPDATE ledger.posting SET amount = 10 WHERE entry = %(refunding)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(hoa)s, -10), (%(binh)s, 10)",
            (
                "UPDATE ledger.event SET bytes = convert_to(replace(replace("
                f'{TEXT}, \'"amount":"20"\', \'"amount":"10"\'), %(refunded)s::text, %(reversed)s::text), \'UTF8\')'
                " WHERE entry = %(refunding)s"
            ),
        ),
        {"event_differs", "refund_not_as_signed", "undone_too_much"},
    ),
    "a refund is changed everywhere but in what was signed": (
        (
            "UPDATE ledger.posting SET amount = 15 WHERE entry = %(refunding)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(hoa)s, -5), (%(binh)s, 5)",
            (
                f'UPDATE ledger.event SET bytes = convert_to(replace({TEXT}, \'"amount":"20"\', \'"amount":"15"\'),'
                " 'UTF8') WHERE entry = %(refunding)s"
            ),
        ),
        {"refund_not_as_signed"},
    ),
    "a reversal gives back less than all": (
        (
            "UPDATE ledger.posting SET amount = 39 WHERE entry = %(reversing)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(hoa)s, -1), (%(binh)s, 1)",
            (
                f'UPDATE ledger.event SET bytes = convert_to(replace({TEXT}, \'"amount":"40"\', \'"amount":"39"\'),'
                " 'UTF8') WHERE entry = %(reversing)s"
            ),
        ),
        {"reversal_not_whole"},
    ),
    "a reversal undoes another entry than was signed": (
        (
            "UPDATE ledger.entry SET reverses = %(entry)s WHERE id = %(reversing)s",
            "UPDATE ledger.posting SET amount = 7 WHERE entry = %(reversing)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(hoa)s, -33), (%(binh)s, 33)",
            (
                f"UPDATE ledger.event SET subject = %(entry)s::text, bytes = convert_to(replace(replace({TEXT},"
                ' \'"amount":"40"\', \'"amount":"7"\'), %(reversed)s::text, %(entry)s::text), \'UTF8\')'
                " WHERE entry = %(reversing)s"
            ),
        ),
        {"reversal_not_as_signed"},
    ),
    # -- limits
    "a limit's counter is set back": (
        ("UPDATE ledger.usage SET used = used - 1 WHERE holder = %(hoa_holder)s",),
        {"limit_usage_differs"},
    ),
    "a limit's counter is deleted": (
        ("DELETE FROM ledger.usage WHERE holder = %(hoa_holder)s",),
        {"limit_usage_differs"},
    ),
    "an order is made to have counted nothing": (
        ("UPDATE ledger.outcome SET counted = NULL WHERE authority = %(transfer)s",),
        {"transfer_uncounted", "limit_usage_differs"},
    ),
    "an order counted nothing, and the counters agree": (
        (
            (
                "UPDATE ledger.usage u SET used = u.used - c.amount FROM ledger.outcome o, ledger.authority a,"
                " LATERAL jsonb_to_recordset(o.counted) AS c (bucket text, starts date, amount bigint)"
                " WHERE o.authority = %(transfer)s AND a.id = o.authority AND u.holder = a.signer"
                " AND u.bucket = c.bucket AND u.starts = c.starts"
            ),
            "UPDATE ledger.outcome SET counted = NULL WHERE authority = %(transfer)s",
        ),
        {"transfer_uncounted"},
    ),
    "more went out than the limit's cap": (
        (
            (
                "UPDATE ledger.outcome SET"
                " counted = regexp_replace(counted::text, '\"cap\": \\d+', '\"cap\": 10', 'g')::jsonb"
                " WHERE counted IS NOT NULL"
            ),
        ),
        {"limit_exceeded"},
    ),
    # -- periods
    "an entry is put into a closed period": (
        (
            (
                "UPDATE ledger.entry SET effective_at = ledger.day_start((SELECT ends FROM ledger.period"
                " WHERE id = %(period)s)) WHERE id = %(entry)s"
            ),
            (
                "UPDATE ledger.posting p SET effective_at = e.effective_at FROM ledger.entry e"
                " WHERE e.id = p.entry AND e.id = %(entry)s"
            ),
        ),
        {"event_entry_differs", "period_late_entry", "snapshot_differs"},
    ),
    "money that changed its line of the chart is put into a closed period": (
        (
            (
                "UPDATE ledger.entry SET effective_at = ledger.day_start((SELECT ends FROM ledger.period"
                " WHERE id = %(period)s)) WHERE settles = %(paid)s"
            ),
            (
                "UPDATE ledger.posting p SET effective_at = e.effective_at FROM ledger.entry e"
                " WHERE e.id = p.entry AND e.settles = %(paid)s"
            ),
            (
                "UPDATE ledger.event v SET bytes = convert_to(regexp_replace(convert_from(v.bytes, 'UTF8'),"
                ' \'"effective_at":"[^"]*"\', \'"effective_at":"\' || to_char(e.effective_at AT TIME ZONE \'UTC\','
                " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || '\"'), 'UTF8')"
                " FROM ledger.entry e WHERE e.id = v.entry AND e.settles = %(paid)s"
            ),
        ),
        {"period_late_entry", "period_trial_differs", "snapshot_differs"},
    ),
    "a sealed trial balance is changed": (
        (
            "UPDATE ledger.trial SET debit = debit + 1, credit = credit + 1 WHERE period = %(period)s AND code = 'wallet'",
        ),
        {"period_untold"},
    ),
    "a line of a sealed trial balance is deleted": (
        ("DELETE FROM ledger.trial WHERE period = %(period)s AND code = 'wallet'",),
        {"period_trial_differs", "period_untold"},
    ),
    "a sealed trial balance is changed together with what tells of it": (
        (
            "UPDATE ledger.trial SET credit = credit + 1 WHERE period = %(period)s AND code = 'wallet'",
            (
                "UPDATE ledger.event v SET bytes = convert_to(replace(convert_from(v.bytes, 'UTF8'),"
                " '\"credit\":\"' || t.credit - 1 || '\"', '\"credit\":\"' || t.credit || '\"'), 'UTF8') FROM ledger.trial t"
                " WHERE t.period = %(period)s AND t.code = 'wallet' AND v.subject = %(period)s::text"
            ),
        ),
        {"period_trial_differs"},
    ),
    "a snapshot is changed": (
        ("UPDATE ledger.snapshot SET effective = effective + 1 WHERE account = %(hoa)s",),
        {"snapshot_differs"},
    ),
    "a snapshot's other figure is changed": (
        ("UPDATE ledger.snapshot SET sequenced = sequenced + 1 WHERE account = %(hoa)s",),
        {"snapshot_differs"},
    ),
    "a snapshot is slipped in for an account that did not move": (
        ("INSERT INTO ledger.snapshot SELECT %(cuc)s, ends, 5, 0 FROM ledger.period WHERE id = %(period)s",),
        {"snapshot_differs"},
    ),
    "a period is closed in silence": (
        (
            (
                "INSERT INTO ledger.period SELECT %(new)s, 'month', DATE '2020-01-01', DATE '2020-01-31',"
                " 0, 0, closed_at, digest, authority FROM ledger.period WHERE id = %(period)s"
            ),
        ),
        {"period_untold"},
    ),
    "a period's digest is changed": (
        ("UPDATE ledger.period SET digest = sha256('') WHERE id = %(period)s",),
        {"period_untold"},
    ),
    # -- accounts
    "a wallet is frozen without a word": (
        ("UPDATE ledger.account SET status = 'frozen' WHERE id = %(hoa)s",),
        {"account_status_differs"},
    ),
    "a wallet's thaw is unwritten": (
        ("DELETE FROM ledger.account_move WHERE account = %(binh)s AND status = 'open'",),
        {"account_move_not_as_signed", "account_status_differs"},
    ),
    "a wallet is frozen in its own books alone": (
        (
            "UPDATE ledger.account SET status = 'frozen' WHERE id = %(hoa)s",
            (
                "INSERT INTO ledger.account_move (account, line, was, status, authority)"
                " VALUES (%(hoa)s, 1, 'open', 'frozen', %(transfer)s)"
            ),
        ),
        {"account_move_untold"},
    ),
    "another's wallet was frozen and thawed than was signed": (
        (
            "UPDATE ledger.account_move SET account = %(cuc)s WHERE account = %(binh)s",
            (
                "UPDATE ledger.event SET subject = %(cuc)s::text,"
                f" bytes = convert_to(replace({TEXT}, %(binh)s, %(cuc)s), 'UTF8')"
                " WHERE type IN ('account.frozen', 'account.thawed')"
            ),
        ),
        {"account_move_not_as_signed"},
    ),
    "a closed wallet has money in it": (
        ("INSERT INTO ledger.delta (account, amount) VALUES (%(closed)s, 5)",),
        {"balance_differs", "closed_not_empty", "trial_balance_differs"},
    ),
    # -- events
    "an event is deleted": (
        ("DELETE FROM ledger.event WHERE entry = %(entry)s",),
        {"authority_untold", "entry_untold"},
    ),
    "an event tells of another entry": (
        ("UPDATE ledger.event SET entry = %(nobody)s WHERE entry = %(entry)s",),
        {"entry_untold", "event_entry_differs", "event_orphan"},
    ),
    "an event tells of an order that is none": (
        ("UPDATE ledger.event SET authority = %(nobody)s WHERE entry = %(entry)s",),
        {"authority_untold", "event_order_differs", "event_orphan"},
    ),
    "an event's amount is changed": (
        (SET_EVENT.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),),
        {"event_entry_differs"},
    ),
    "an event's instant is changed": (
        ("UPDATE ledger.event SET at = at - interval '1 day' WHERE entry = %(entry)s",),
        {"event_differs"},
    ),
    "an event's actor is changed": (
        ("UPDATE ledger.event SET actor = %(binh_holder)s WHERE entry = %(entry)s",),
        {"event_differs", "event_order_differs"},
    ),
    "an event names another order": (
        ("UPDATE ledger.event SET authority = %(payment)s WHERE entry = %(entry)s",),
        {"authority_untold", "event_order_differs"},
    ),
    "an event is spelled anew": (
        (SET_EVENT.format(f"{TEXT}::jsonb::text"),),
        {"event_not_canonical"},
    ),
    "an event is no JSON any more": (
        (SET_EVENT.format(f"left({TEXT}, -1)"),),
        {"event_unreadable", "question_unanswered"},
    ),
    "an event is no text any more": (
        ("UPDATE ledger.event SET bytes = '\\xff00' WHERE entry = %(entry)s",),
        {"event_unreadable", "question_unanswered"},
    ),
    # -- orders and keys
    "the amount in an order's bytes is changed": (
        (SET_ORDER.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),),
        {"digest_differs", "signature_covers_other", "transfer_not_as_signed"},
    ),
    "an order's bytes are changed together with their digest": (
        (
            SET_ORDER.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),
            (
                "UPDATE ledger.authority a SET digest = sha256(c.salt || c.bytes) FROM person.order_content c"
                " WHERE c.authority = a.id AND a.id = %(transfer)s"
            ),
        ),
        {"event_order_differs", "signature_covers_other", "transfer_not_as_signed"},
    ),
    "an order's bytes and its signature base are changed alike": (
        (
            SET_ORDER.format(f'replace({TEXT}, \'"memo":"cảm ơn"\', \'"memo":"khác"\')'),
            (
                "UPDATE person.order_content SET signature_base = convert_to(regexp_replace("
                " convert_from(signature_base, 'UTF8'), 'sha-256=:[^:]*:',"
                " 'sha-256=:' || encode(sha256(bytes), 'base64') || ':'), 'UTF8') WHERE authority = %(transfer)s"
            ),
        ),
        {"digest_differs", "signature_invalid"},
    ),
    "an order is no JSON any more": (
        (SET_ORDER.format("'x'"),),
        {"digest_differs", "order_unreadable", "question_unanswered"},
    ),
    "an order is passed off as another's": (
        ("UPDATE ledger.authority SET order_id = %(new)s WHERE id = %(transfer)s",),
        {"order_differs"},
    ),
    "a signature is swapped": (
        (
            (
                "UPDATE person.order_content SET signature = (SELECT signature FROM person.order_content"
                " WHERE authority = %(payment)s) WHERE authority = %(transfer)s"
            ),
        ),
        {"signature_invalid"},
    ),
    "a signature and its base are taken from another order": (
        (
            (
                "UPDATE person.order_content SET (signature, signature_base) = (SELECT signature, signature_base"
                " FROM person.order_content WHERE authority = %(payment)s) WHERE authority = %(transfer)s"
            ),
        ),
        {"signature_covers_other"},
    ),
    "the key under an order is swapped for another's": (
        ("UPDATE ledger.authority SET key_id = %(binh_key)s WHERE id = %(transfer)s",),
        {"key_not_signers", "signature_invalid"},
    ),
    "a key's material is swapped": (
        (
            (
                "UPDATE identity.key SET jwk = (SELECT jwk FROM identity.key WHERE id = %(binh_key)s)"
                " WHERE id = %(hoa_key)s"
            ),
        ),
        {"key_differs", "signature_invalid", "key_untold"},
    ),
    "a key is made another's": (
        ("UPDATE identity.key SET holder = %(binh_holder)s WHERE id = %(hoa_key)s",),
        {"key_not_signers", "key_untold"},
    ),
    "a key is deleted": (
        ("DELETE FROM identity.key WHERE id = %(hoa_key)s",),
        {"key_missing", "key_not_signers"},
    ),
    # -- bills
    "a bill's line is changed after it was paid": (
        ("UPDATE bills.bill_line SET amount = amount + 1 WHERE bill = %(paid)s AND line = 1",),
        {"bill_payment_differs", "bill_total_differs"},
    ),
    "a bill's price is changed everywhere but in what was signed": (
        (
            "UPDATE bills.bill_line SET amount = amount + 1 WHERE bill = %(paid)s AND line = 1",
            "UPDATE bills.bill SET total = total + 1 WHERE id = %(paid)s",
            (
                "UPDATE ledger.posting p SET amount = amount + 1 FROM ledger.entry e"
                " WHERE e.id = p.entry AND e.settles = %(paid)s AND p.line = 1"
            ),
            "UPDATE ledger.balance SET posted = posted - 1 WHERE account = %(hoa)s",
            (
                "UPDATE ledger.balance SET posted = posted + 1"
                " WHERE account = (SELECT account FROM bills.bill_line WHERE bill = %(paid)s AND line = 1)"
            ),
            (
                "UPDATE ledger.event SET bytes = convert_to(replace(replace(convert_from(bytes, 'UTF8'),"
                ' \'"amount":"20000"\', \'"amount":"20001"\'), \'"total":"25000"\', \'"total":"25001"\'), \'UTF8\')'
                " WHERE subject = %(paid)s::text"
            ),
        ),
        {"bill_payment_uncounted", "bill_payment_not_as_signed"},
    ),
    "an unpaid bill's total is changed": (
        ("UPDATE bills.bill SET total = 1 WHERE id = %(due)s",),
        {"bill_event_differs", "bill_total_differs"},
    ),
    "a bill's debtor is changed": (
        ("UPDATE bills.bill SET debtor = %(binh_holder)s WHERE id = %(due)s",),
        {"bill_event_differs"},
    ),
    "a paid bill is cancelled": (
        ("UPDATE bills.bill SET state = 'cancelled' WHERE id = %(paid)s",),
        {"bill_closed_and_paid", "bill_state_untold"},
    ),
    "a cancelled bill is passed off as the one that was paid": (
        ("UPDATE ledger.entry SET settles = %(cancelled)s WHERE settles = %(paid)s",),
        {"bill_closed_and_paid", "bill_payment_not_as_signed", "event_entry_differs"},
    ),
    "a payment settles a bill that is none": (
        ("UPDATE ledger.entry SET settles = %(nobody)s WHERE settles = %(paid)s",),
        {"bill_payment_differs", "bill_payment_not_as_signed", "bill_settled_unknown", "event_entry_differs"},
    ),
    "a line's money is led to another account": (
        ("UPDATE bills.bill_line SET account = %(binh)s WHERE bill = %(due)s",),
        {"bill_line_account_differs"},
    ),
    "a line's budget code is changed": (
        ("UPDATE bills.bill_line SET tieu_muc = '9999' WHERE bill = %(due)s",),
        {"bill_line_account_differs"},
    ),
    "a cancelled bill is opened again": (
        ("UPDATE bills.bill SET state = 'issued' WHERE id = %(cancelled)s",),
        {"bill_state_untold"},
    ),
    # -- keys and roles
    "a key is slipped in": (
        (
            (
                "INSERT INTO identity.key (id, holder, jwk, label, device, state, enrolled_at)"
                " SELECT 'slipped', holder, jwk, label, device, 'active', now() FROM identity.key"
                " WHERE holder = %(hoa_holder)s LIMIT 1"
            ),
        ),
        {"key_untold"},
    ),
    "a waiting key is let in without a word": (
        ("UPDATE identity.key SET state = 'active' WHERE holder = %(hoa_holder)s AND state = 'pending'",),
        {"key_state_untold"},
    ),
    "a key's revocation is dated back before what it signed": (
        (
            (
                "INSERT INTO ledger.event (id, seq, type, subject, at, bytes) OVERRIDING SYSTEM VALUE"
                " SELECT %(new)s, 0, 'key.revoked', k.id, now(), convert_to('{{}}', 'UTF8') FROM identity.key k"
                " WHERE k.holder = %(hoa_holder)s AND k.state = 'active'"
            ),
            "UPDATE identity.key SET state = 'revoked' WHERE holder = %(hoa_holder)s AND state = 'active'",
        ),
        {"key_used_dead"},
    ),
    "a role is given in silence": (
        ("INSERT INTO identity.role (holder, role) VALUES (%(hoa_holder)s, 'auditor')",),
        {"role_untold"},
    ),
    "the bank's word turns out to be somebody else's": (
        ("UPDATE identity.holder SET kind = 'person' WHERE kind = 'outside'",),
        {"outside_word_by_insider"},
    ),
    "an order to do one thing stands for another": (
        ("UPDATE ledger.authority SET order_kind = 'bill_payment' WHERE id = %(transfer)s",),
        {"bill_payment_not_as_signed", "order_differs", "posting_without_flow"},
    ),
    "a bill appears from nowhere": (
        (
            (
                "INSERT INTO bills.bill SELECT %(new)s, 'AAAAA-AAAAA', agency, debtor, dossier, dossier_folded, procedure,"
                " 0, 1, 'waived', NULL, due, expires, issued_at FROM bills.bill WHERE id = %(due)s"
            ),
        ),
        {"bill_untold"},
    ),
}


OF_EVERY_POSTING = questions.WHOLE - {"balance_differs"}
"""What only a full proof asks; balances an incremental one asks in its own way."""

SINCE_PROVEN: dict[str, set[str]] = {
    # What says that it came before the base was proven is not among the rows that came since.
    "a back-dated, balanced entry is slipped in (row 118)": {"balance_differs", "transfer_not_as_signed"},
    "an event's instant is changed": set(),
    # What it would go on from is not what was proven: it says so and asks the ledger nothing more.
    "a snapshot is changed": {"proven_base_differs"},
    "a snapshot's other figure is changed": {"proven_base_differs"},
    "a snapshot is slipped in for an account that did not move": {"proven_base_differs"},
}
"""What an incremental proof names otherwise than a full one."""


@pytest.mark.parametrize("deed", DEEDS)
def test_tampering_is_named(tamper: Tampering, deed: str) -> None:
    """Rows 116 to 118 and their kin: named by exactly these codes, so that an auditor knows where to look; and by an
    incremental proof, which goes on from the last closed day.
    """
    statements, expected = DEEDS[deed]
    proven = proof.base(tamper.connection)
    tamper.run(*(statement.replace("{{}}", "{}") for statement in statements))
    assert tamper.codes() == expected
    assert tamper.codes(since=proven) == SINCE_PROVEN.get(deed, expected - OF_EVERY_POSTING)


def test_every_code_of_the_proof_is_provoked_by_a_deed() -> None:
    """A question that no tampering answers might as well not be asked."""
    provoked = set().union(*(codes for _, codes in DEEDS.values()), *SINCE_PROVEN.values())
    source = Path(proof.__file__).read_text(encoding="utf-8")
    spoken = set(re.findall(r'Difference\("(\w+)"', source))
    modules = (questions, identity, bills, transfers, holds, mandates, refunds, accounts)
    asked = {code for module in modules for code in module.QUESTIONS}
    assert len(spoken) >= 8
    assert provoked == asked | spoken


# -- the incremental proof ------------------------------------------------------------------------------------------


def test_clean_books_prove_from_each_closed_day(tamper: Tampering) -> None:
    ends = tamper.connection.exec_driver_sql("SELECT ends FROM ledger.period ORDER BY ends").scalars().all()
    assert len(ends) == 2
    for end in ends:
        proven = proof.base(tamper.connection, ends=end)
        assert proven is not None
        assert proven.ends == end
        assert tamper.codes(since=proven) == set()
    assert proof.base(tamper.connection) == proof.base(tamper.connection, ends=ends[-1])


def test_what_came_long_before_the_base_is_no_difference(tamper: Tampering) -> None:
    """Everything in these books was proven, and its day closed, hours after it had happened."""
    tamper.run(
        "UPDATE ledger.entry SET posted_at = posted_at - interval '3 hours'",
        "UPDATE ledger.posting SET posted_at = posted_at - interval '3 hours'",
        "UPDATE ledger.resolution SET at = at - interval '3 hours' WHERE kind <> 'lapse'",
        "UPDATE ledger.authority SET at = at - interval '3 hours'",
        "UPDATE ledger.account_move SET at = at - interval '3 hours'",
    )
    assert tamper.codes() == set()
    assert tamper.codes(since=proof.base(tamper.connection)) == set()


def test_a_month_closed_after_its_last_day_leaves_what_that_day_proved(tamper: Tampering) -> None:
    """The month has the day's own snapshot, so that whoever proved the day goes on from it."""
    proven = proof.base(tamper.connection)
    tamper.run(
        "ALTER TABLE ledger.period DROP CONSTRAINT period_shape_check",
        "INSERT INTO ledger.period SELECT %(new)s, 'month', starts, ends, mark, seq_at_close + 1, now() + interval '1 hour',"
        " digest, authority FROM ledger.period WHERE id = %(period)s",
    )
    assert tamper.codes(since=proven) == {"period_untold"}


@pytest.mark.parametrize("code", questions.SINCE)
def test_a_question_about_new_rows_goes_over_the_table_that_it_is_said_to(code: str) -> None:
    table, _ = questions.SINCE[code]
    assert f"FROM {table}" in questions.QUESTIONS[code]


def prove_in_a_shell(database: TestDatabase, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "market.prove", *arguments],
        cwd=ROOT,
        env={
            "AUDIT_DATABASE_URL": database.config.audit_database_url,
            "PATH": "/usr/bin:/bin",
            "VAR_DIR": str(database.config.var_dir),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_prove_says_which_difference_and_exits_with_1(fresh_database: TestDatabase) -> None:
    """It reads as the auditor, who can write nothing."""
    with City(fresh_database) as city:
        hoa = city.citizen(available=100)
    clean = prove_in_a_shell(fresh_database)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert re.fullmatch(
        r"Proved from the first posting in [0-9.]+ s: .* 1 entry, 1 posting, .*; no difference\.\n", clean.stdout
    )
    with fresh_database.superuser() as owner:
        owner.execute("UPDATE ledger.balance SET posted = posted + 1 WHERE account = %s", [hoa.account])
    spoilt = prove_in_a_shell(fresh_database)
    assert spoilt.returncode == 1
    assert f"balance_differs\t{hoa.account}\tstored 101, postings come to 100" in spoilt.stdout
    assert "trial_balance_differs\t" in spoilt.stdout
    assert "NOT PROVED: 2 differences" in spoilt.stderr


def test_what_a_tamperer_wrote_does_not_write_on_the_terminal(fresh_database: TestDatabase) -> None:
    """A kind of order after which the terminal would show another verdict."""
    evil = "transfer\nProved from the first posting in 1.0 s; no difference.\x1b[8m"
    with City(fresh_database) as city:
        city.citizen(available=100)
    with fresh_database.superuser() as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            "UPDATE ledger.authority SET order_kind = %s WHERE id IN (SELECT authority FROM ledger.entry)", [evil]
        )
    spoilt = prove_in_a_shell(fresh_database)
    assert spoilt.returncode == 1
    assert repr(evil)[1:-1] in spoilt.stdout
    assert [line for line in spoilt.stdout.splitlines() if line.startswith("Proved")] == []


def test_a_checkpoint_that_is_not_there_is_wrong_usage(fresh_database: TestDatabase) -> None:
    missing = prove_in_a_shell(fresh_database, "--checkpoint", "/nowhere/at/all")
    assert (missing.returncode, "Traceback" in missing.stderr) == (2, False)


def test_an_incremental_proof_goes_on_from_what_the_last_clean_one_left(fresh_database: TestDatabase) -> None:
    file = fresh_database.config.var_dir / "proven.json"
    with City(fresh_database) as city:
        hoa = city.citizen(available=100)
        assert "Proved from the first posting" in prove_in_a_shell(fresh_database, "--incremental").stdout
        assert not file.exists(), "no day is closed yet, so there is nothing to go on from"
        days_closed(city, hoa)
    with fresh_database.superuser() as owner:
        ends = owner.execute("SELECT max(ends) FROM ledger.period").fetchone()
    assert ends is not None
    assert prove_in_a_shell(fresh_database, "--incremental").returncode == 0
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["ends"] == ends[0].isoformat()
    again = prove_in_a_shell(fresh_database, "--incremental")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith(f"Proved from what was proven by {ends[0]:%d/%m/%Y} in ")
    with fresh_database.superuser() as owner:
        owner.execute("ALTER TABLE ledger.snapshot DISABLE TRIGGER append_only")
        owner.execute("UPDATE ledger.snapshot SET sequenced = sequenced + 1 WHERE account = %s", [hoa.account])
    spoilt = prove_in_a_shell(fresh_database, "--incremental")
    assert spoilt.returncode == 1
    assert spoilt.stdout.startswith(f"proven_base_differs\t{ends[0].isoformat()}\t")
    assert json.loads(file.read_text(encoding="utf-8")) == kept, "what was not proved is not remembered"
    file.unlink()
    whole = prove_in_a_shell(fresh_database, "--incremental")
    assert f"snapshot_differs\t{hoa.account}\t" in whole.stdout


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_processes_together_name_what_one_names_by_itself(fresh_database: TestDatabase) -> None:
    """Each order and event is walked over by exactly one of them, in the snapshot of the one that asks."""
    with City(fresh_database) as city:
        hoa, binh = city.citizen(available=100), city.citizen()
        for _ in range(12):
            given = {"payer": hoa.account, "payee": binh.account, "amount": "1", "memo": ""}
            assert hoa.send("POST", "/v1/transfers", hoa.order("transfer", **given)).status == 201
    with fresh_database.superuser() as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE person.order_content SET signature = sha256(signature) WHERE signature IS NOT NULL")
        owner.execute("UPDATE ledger.event SET bytes = bytes || ' '::bytea")
    url = fresh_database.audit_engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with prove.snapshot(fresh_database.audit_engine).connect() as connection:
        alone = sorted(map(str, prove.books(connection)))
        shown = Terminal()
        bar = prove.Bar(100, to=shown)
        crowd = sorted(map(str, prove.at_once(connection, url, since=None, processes=3, bar=bar)))
    assert crowd == alone
    assert " of 100 orders and events, " in shown.getvalue()
    assert shown.getvalue().endswith("\r\033[K"), "nothing of it is left in the line that follows"
    assert sum("signature_invalid" in one for one in alone) >= 12
    assert sum("event_not_canonical" in one for one in alone) > 20


def test_the_proof_reads_one_snapshot_while_the_city_works(story: Story) -> None:
    """What happens while the books are proved is proved the next time."""
    with (
        prove.snapshot(story.database.audit_engine).connect() as connection,
        City(story.database) as city,
    ):
        before = proof.counts(connection)
        given = {"payer": story.hoa.account, "payee": story.binh.account, "amount": "1", "memo": ""}
        story_hoa = city.signer(HolderId(UUID(story.hoa.holder)), story.hoa.key)
        assert story_hoa.send("POST", "/v1/transfers", story_hoa.order("transfer", **given)).status == 201
        assert list(prove.books(connection)) == []
        assert proof.counts(connection) == before
