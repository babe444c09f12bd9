"""The whole ledger against a small model: whatever is done in whatever order, it answers as the model says, and stays so.

How     Hypothesis makes up what people do: accounts opened, frozen, thawed and closed, money in (also back-dated),
        transfers, sales of several lines with a fee that nets in the same entry, batches, holds with their captures, voids
        and lapses, refunds and reversals, orders sent again, days closed, deltas folded. Each has one right answer: done,
        or one refusal. After every step the books are read whole and compared with the model and with themselves.
Time    Days pass by `tests.ages`, which moves all that happened into the past as superuser: the database's clock cannot be
        set. So holds come to their time, and days that were open when something was posted can be closed after it.
Sale    No flow of several lines and a fee is in the chart yet, so the test adds one to its own database: it is data.
Longer  `TRANG_TIEN_SOAK=1` asks for many more and longer stories.
"""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests import databases
from tests.ages import pass_days
from tests.make import City, Signer
from wallet import accounts, canonical, clock, db, holds, ids, ledger, refunds, transfers
from wallet.accounts import MoveOrder
from wallet.events import Event
from wallet.holds import CaptureOrder, HoldOrder, VoidOrder
from wallet.ids import AccountId, EntryId, HolderId, HoldId, OrderId
from wallet.ledger import BatchItem, Claim, Count, Entry, Evidence, Plan, Posting, chart
from wallet.limits import TRANSFER, Limits
from wallet.money import Dong
from wallet.refunds import LineBack, RefundOrder, ReverseOrder
from wallet.refusal import Refusal
from wallet.transfers import TransferOrder

SOAK = os.environ.get("TRANG_TIEN_SOAK") == "1"
EXAMPLES, STEPS = (400, 80) if SOAK else (10, 25)

PEOPLE_MAX = 4
FEE = "test.fee"
BUCKETS = ("general_month", "step_up_day")

ANYBODY = RECENT = st.integers(0, 11)
"""Which of those that there are, counted round."""
DAYS_BACK = st.integers(0, 6)
AMOUNTS = st.one_of(st.integers(1, 12), st.integers(1, 400))
"""Small ones, so that what is there is often just enough or just not; all of them far below every limit."""


# -- the model ----------------------------------------------------------------------------------------------

Who = str
Line = tuple[Who, Who, int]
"""debit, credit, amount; "bank" is the one account that money in comes from, "fee" our income."""


@dataclass
class Done:
    """An entry: when it took effect, its lines, whether its payee may undo it, and what of each line was given back."""

    at: datetime
    lines: list[Line]
    undoable: bool = True
    reversed: bool = False
    given: Counter[int] = field(default_factory=Counter)


@dataclass
class Held:
    """A hold: of whom, for whom, how much, until when, and what became of it."""

    payer: Who
    payee: Who
    amount: int
    lapses_at: datetime
    captured: int = 0
    released: int = 0
    state: str = "held"

    @property
    def rest(self) -> int:
        return self.amount - self.captured - self.released


class Model:
    """The books as a few lines of Python would keep them. Its methods answer with a refusal's code, or None."""

    def __init__(self) -> None:
        self.status: dict[Who, str] = {}
        self.frozen_by: dict[Who, str] = {}
        self.done: list[Done] = []
        self.holds: list[Held] = []
        self.used: Counter[Who] = Counter()
        self.closed_through = date.min

    def posted(self, who: Who, at: datetime | None = None) -> int:
        lines = [line for done in self.done if at is None or done.at <= at for line in done.lines]
        came = sum(amount for _, credit, amount in lines if credit == who)
        return came - sum(amount for debit, _, amount in lines if debit == who)

    def held(self, who: Who) -> int:
        return sum(hold.rest for hold in self.holds if hold.payer == who)

    def available(self, who: Who) -> int:
        return self.posted(who) - self.held(who)

    def post(self, done: Done, *, counts: int = 0, frees: int = 0) -> str | None:
        """Post an entry; `frees` of what its payer has held is taken in the same step."""
        net: Counter[Who] = Counter()
        for debit, credit, amount in done.lines:
            net[debit] -= amount
            net[credit] += amount
        payer = done.lines[0][0]
        if clock.day_of(done.at) <= self.closed_through:
            return "period_closed"
        shut = [who for who in net if net[who] >= 0 and who != payer and self.status.get(who, "open") != "open"]
        if shut:
            return f"payee_{self.status[shut[0]]}"
        if payer in self.status:
            if self.status[payer] != "open":
                return f"payer_{self.status[payer]}"
            if self.available(payer) + frees + net[payer] < 0:
                return "insufficient_funds"
        self.done.append(done)
        self.used[payer] += counts
        return None

    def hold(self, hold: Held) -> str | None:
        for side, who in (("payee", hold.payee), ("payer", hold.payer)):
            if self.status[who] != "open":
                return f"{side}_{self.status[who]}"
        if self.available(hold.payer) < hold.amount:
            return "insufficient_funds"
        self.holds.append(hold)
        self.used[hold.payer] += hold.amount
        return None

    def resolve(self, hold: Held, kind: str, now: datetime, amount: int = 0, *, final: bool = True) -> str | None:
        if hold.state != "held":
            return "hold_resolved"
        if kind != "lapsed" and now >= hold.lapses_at:
            return "hold_lapsed"
        if amount > hold.rest:
            return "hold_exceeded"
        if kind == "captured":
            refused = self.post(Done(now, [(hold.payer, hold.payee, amount)]), frees=amount)
            if refused:
                return refused
        hold.captured += amount
        if final or hold.rest == 0:
            self.used[hold.payer] -= hold.rest
            hold.released, hold.state = hold.rest, kind
        return None

    def undo(self, of: Done, lines: dict[int, int], now: datetime, *, whole: bool) -> str | None:
        if not of.undoable:
            return "entry_not_reversible"
        if of.reversed:
            return "entry_reversed"
        if whole and of.given:
            return "entry_refunded"
        if any(amount > of.lines[line - 1][2] - of.given[line] for line, amount in lines.items()):
            return "refund_too_large"
        back = [(of.lines[line - 1][1], of.lines[line - 1][0], amount) for line, amount in lines.items()]
        refused = self.post(Done(now, back, undoable=False))
        if refused is None:
            of.reversed = whole
            of.given.update({} if whole else lines)
        return refused

    def move(self, who: Who, status: str, by: str) -> str | None:
        was = self.status[who]
        if (was, status) not in {("open", "frozen"), ("frozen", "open"), ("open", "closed"), ("frozen", "closed")}:
            return "account_frozen_by_operator" if self.barred(who, status, by) else "account_state"
        if self.barred(who, status, by):
            return "account_frozen_by_operator"
        if status == "closed" and (self.posted(who), self.held(who)) != (0, 0):
            return "account_not_empty"
        self.status[who] = status
        if status == "frozen":
            self.frozen_by[who] = by
        return None

    def barred(self, who: Who, status: str, by: str) -> bool:
        """Whoever did not freeze it last does not thaw it, but for the operator."""
        return status == "open" and by == "holder" and self.frozen_by.get(who) == "operator"

    def close(self, day: date) -> str | None:
        if day <= self.closed_through:
            return "period_closed"
        self.closed_through = day
        return None

    def pass_day(self) -> None:
        for done in self.done:
            done.at -= timedelta(days=1)
        for hold in self.holds:
            hold.lapses_at -= timedelta(days=1)
        if self.closed_through > date.min:
            self.closed_through -= timedelta(days=1)


# -- the machine --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """An entry in the books, beside the model's."""

    id: EntryId
    done: Done


@dataclass(frozen=True)
class Placed:
    """A hold in the books, beside the model's."""

    id: HoldId
    held: Held


@dataclass(frozen=True)
class Reading:
    """What an account was seen to have posted at an instant of the database's clock: true for ever."""

    account: UUID
    at: datetime
    posted: int


class LedgerMachine(RuleBasedStateMachine):
    """A city, its model, and what was seen of its history so far."""

    def __init__(self, new_city: Callable[[contextlib.ExitStack], City]) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.city = new_city(self.stack)
        self.limits = Limits(demo=True)
        self.model = Model()
        self.signers: dict[Who, Signer] = {}
        self.operator = self.city.operator()
        self.accounts: dict[UUID, Who] = {self.city.house(chart.BANK_GUARANTEE): "bank", self.city.house(FEE): "fee"}
        self.ordered: list[tuple[Evidence, Callable[[sa.Connection, Claim], Plan]]] = []
        self.postings: list[tuple[Any, ...]] = []
        self.outcomes: dict[UUID, tuple[Any, ...]] = {}
        self.readings: list[Reading] = []
        self.entries: list[Made] = []
        self.placed: list[Placed] = []

    # -- what people do --

    @initialize()
    def a_story_begins(self) -> None:
        """Three people with money, of whom each has paid and set something aside for another."""
        people = [self.newcomer() for _ in range(3)]
        for who in people:
            self.come_in(who, 300, 5)
        for payer, payee in itertools.pairwise([*people, people[0]]):
            self.buy(payer, payee, [40, 30], 0)
            self.set_aside(payer, payee, 60, days=1)

    @precondition(lambda self: len(self.signers) < PEOPLE_MAX)
    @rule()
    def somebody_opens_a_wallet(self) -> None:
        self.newcomer()

    def newcomer(self) -> Who:
        who = f"person {len(self.signers) + 1}"
        self.signers[who] = self.city.citizen(who)
        self.accounts[UUID(self.signers[who].account)] = who
        self.model.status[who] = "open"
        return who

    @rule(who=ANYBODY, amount=AMOUNTS, days=DAYS_BACK)
    def money_comes_in(self, who: int, amount: int, days: int) -> None:
        """Back-dated by so many days, as a bank's word may be."""
        self.come_in(self.person(who), amount, days)

    def come_in(self, who: Who, amount: int, days: int) -> None:
        at = clock.now() - timedelta(days=days)
        done = Done(at, [("bank", who, amount)], undoable=False)
        entry = self.answered(
            self.model.post(done), lambda: self.city.top_up(self.signers[who], amount, effective_at=at)
        )
        self.made(entry, done)

    @rule(payer=ANYBODY, payee=ANYBODY, amount=AMOUNTS)
    def somebody_sends(self, payer: int, payee: int, amount: int) -> None:
        self.send(self.person(payer), self.person(payee), amount)

    def send(self, payer: Who, payee: Who, amount: int) -> None:
        now = clock.now()
        order = TransferOrder(id=order_id(), payer=self.of(payer), payee=self.of(payee), amount=Dong(amount))
        said = {"payer": str(order.payer), "payee": str(order.payee), "amount": str(amount)}
        done = Done(now, [(payer, payee, amount)])
        expected = "transfer_same_account" if payer == payee else self.model.post(done, counts=amount)
        answer = self.ordered_by(
            payer,
            "transfer",
            lambda u, c: transfers.send(u, c, order, limits=self.limits, now=now),
            expected,
            said=said,
        )
        self.made(answer and answer.entry, done)

    @rule(payer=ANYBODY, payee=ANYBODY, lines=st.lists(AMOUNTS, min_size=1, max_size=3), fee=st.integers(0, 5))
    def somebody_buys(self, payer: int, payee: int, lines: list[int], fee: int) -> None:
        """Several lines to one payee, who bears a fee out of them: netted in the same entry."""
        if self.person(payer) != self.person(payee):
            self.buy(self.person(payer), self.person(payee), lines, min(fee, sum(lines)))

    def buy(self, payer: Who, payee: Who, lines: list[int], fee: int) -> None:
        now = clock.now()
        posted = [(payer, payee, amount) for amount in lines] + ([(payee, "fee", fee)] if fee else [])
        done = Done(now, posted)
        entry = self.ordered_by(payer, "sale", lambda *_: self.sale(posted, now), self.model.post(done))
        self.made(None if fee else entry, done)  # whoever was paid by others too cannot undo all of it

    def sale(self, lines: list[Line], now: datetime) -> Plan:
        accounts_of = {who: AccountId(account) for account, who in self.accounts.items()}
        entry = Entry(
            id=EntryId(ids.new()),
            kind="sale",
            effective_at=now,
            postings=tuple(
                Posting(debit=accounts_of[debit], credit=accounts_of[credit], amount=Dong(amount))
                for debit, credit, amount in lines
            ),
        )
        told = Event(type="sale.paid", subject=entry.id, entry=entry.id)
        return Plan(entries=(entry,), events=(told,), answer=entry.id)

    @rule(payer=ANYBODY, items=st.lists(st.tuples(ANYBODY, AMOUNTS), min_size=1, max_size=4))
    def somebody_pays_many(self, payer: int, items: list[tuple[int, int]]) -> None:
        self.pay_many(self.person(payer), [(self.person(payee), amount) for payee, amount in items])

    def pay_many(self, payer: Who, items: list[tuple[Who, int]]) -> None:
        """The running total stops at the first that does not fit; whoever is not open is passed over."""
        now, running, outcome = clock.now(), 0, []
        status, available = self.model.status[payer], self.model.available(payer)
        for payee, amount in items:
            why = None if self.model.status[payee] == "open" else f"payee_{self.model.status[payee]}"
            why = "payee_unknown" if payee == payer else why
            running += amount if why is None else 0
            outcome.append("insufficient" if why is None and running > available else why)
        expected = None if status == "open" else f"payer_{status}"
        found = self.answered(expected, lambda: self.batch(payer, items, now))
        assert found is None or [why for _, why in found] == outcome
        for (payee, amount), (entry, why) in zip(items, found or (), strict=found is not None):
            if why is None:
                done = Done(now, [(payer, payee, amount)])
                assert self.model.post(done, counts=amount) is None
                self.made(entry, done)

    def batch(self, payer: Who, items: list[tuple[Who, int]], now: datetime) -> list[tuple[EntryId, str | None]]:
        evidence = self.city.evidence(self.signers[payer], "batch_transfer")

        def work(unit: sa.Connection) -> list[tuple[EntryId, str | None]]:
            claim = Claim.of(evidence)
            ledger.claim(unit, evidence, claim)
            limits = self.limits.counts(unit, claim, {TRANSFER: sum(amount for _, amount in items)}, now=now)
            found = ledger.post_batch(
                unit,
                claim,
                kind="batch_transfer",
                payer=self.of(payer),
                items=[BatchItem(payee=self.of(payee), amount=Dong(amount)) for payee, amount in items],
                limits=limits,
                effective_at=now,
            )
            paid = sum(amount for (_, amount), (_, why) in zip(items, found, strict=True) if why is None)
            counted: tuple[Count, ...] = tuple(replace(one, amount=Dong(paid)) for one in limits)
            ledger.conclude(unit, claim, status=201, body=canonical.dumps({}), counted=counted)
            return found

        return db.unit(self.city.engine, work)

    # -- holds --

    @rule(payer=ANYBODY, payee=ANYBODY, amount=AMOUNTS, days=st.integers(0, 2))
    def somebody_sets_aside(self, payer: int, payee: int, amount: int, days: int) -> None:
        self.set_aside(self.person(payer), self.person(payee), amount, days=days)

    def set_aside(self, payer: Who, payee: Who, amount: int, *, days: int) -> None:
        now = clock.now()
        hold = Held(payer, payee, amount, now + timedelta(days=days, hours=1))
        order = HoldOrder(
            id=order_id(), payer=self.of(payer), payee=self.of(payee), amount=Dong(amount), lapses_at=hold.lapses_at
        )
        expected = "transfer_same_account" if payer == payee else self.model.hold(hold)
        said = {"payer": str(order.payer), "payee": str(order.payee), "amount": str(amount)}
        said["lapses_at"] = f"{hold.lapses_at.timestamp():.6f}"
        answer = self.ordered_by(
            payer, "hold", lambda u, c: holds.place(u, c, order, limits=self.limits, now=now), expected, said=said
        )
        if answer:
            self.placed.append(Placed(answer.hold, hold))

    @rule(hold=RECENT, amount=AMOUNTS, rest=st.sampled_from([0, 0, 1]), final=st.booleans())
    def the_payee_captures(self, hold: int, amount: int, rest: int, final: bool) -> None:
        """An amount, or all that remains, or a đồng more than that."""
        chosen, now = self.hold(hold), clock.now()
        asked = chosen.held.rest + rest if amount > chosen.held.rest else amount
        order = CaptureOrder(id=order_id(), hold=chosen.id, amount=Dong(asked or amount), final=final)
        expected = self.model.resolve(chosen.held, "captured", now, order.amount, final=final)
        done = self.model.done[-1]
        said = {"hold": str(chosen.id), "amount": str(order.amount), "final": str(final).lower()}
        answer = self.ordered_by(
            chosen.held.payee, "hold_capture", lambda u, c: holds.capture(u, c, order, now=now), expected, said=said
        )
        self.made(answer and answer.entry, done)

    @rule(hold=RECENT)
    def the_payee_voids(self, hold: int) -> None:
        chosen, now = self.hold(hold), clock.now()
        order = VoidOrder(id=order_id(), hold=chosen.id)
        expected = self.model.resolve(chosen.held, "voided", now)
        said = {"hold": str(chosen.id)}
        self.ordered_by(
            chosen.held.payee, "hold_void", lambda u, c: holds.void(u, c, order, now=now), expected, said=said
        )

    @rule()
    def the_worker_lapses(self) -> None:
        now = clock.now()
        due = [hold for hold in self.model.holds if hold.state == "held" and hold.lapses_at <= now]
        for hold in due:
            assert self.model.resolve(hold, "lapsed", now) is None
        assert holds.lapse_due(self.city.engine, now=now) == len(due)

    # -- undoing --

    @rule(entry=RECENT)
    def the_payee_reverses(self, entry: int) -> None:
        chosen, now = self.entry(entry), clock.now()
        lines = {n: amount for n, (_, _, amount) in enumerate(chosen.done.lines, start=1)}
        order = ReverseOrder(id=order_id(), entry=chosen.id, reason="Nhầm")
        expected = self.model.undo(chosen.done, lines, now, whole=True)
        done, payee = self.model.done[-1], chosen.done.lines[0][1]
        said = {"entry": str(chosen.id)}
        answer = self.ordered_by(
            payee, "reverse", lambda u, c: refunds.reverse(u, c, order, now=now), expected, said=said
        )
        self.made(answer and answer.entry, done)

    @rule(entry=RECENT, line=st.integers(1, 3), amount=AMOUNTS, all_lines=st.booleans())
    def the_payee_refunds(self, entry: int, line: int, amount: int, all_lines: bool) -> None:
        """One line, or as much of each."""
        chosen, now = self.entry(entry), clock.now()
        count, payee = len(chosen.done.lines), chosen.done.lines[0][1]
        lines = dict.fromkeys(range(1, count + 1) if all_lines else [1 + (line - 1) % count], amount)
        back = tuple(LineBack(line=n, amount=Dong(part)) for n, part in lines.items())
        order = RefundOrder(id=order_id(), entry=chosen.id, lines=back, reason="Trả bớt")
        expected = self.model.undo(chosen.done, lines, now, whole=False)
        done = self.model.done[-1]
        said = {"entry": str(chosen.id), "lines": [{"line": str(n), "amount": str(part)} for n, part in lines.items()]}
        answer = self.ordered_by(
            payee, "refund", lambda u, c: refunds.refund(u, c, order, now=now), expected, said=said
        )
        self.made(answer and answer.entry, done)

    # -- accounts and time --

    @rule(who=ANYBODY, status=st.sampled_from(["frozen", "open"]), by=st.sampled_from(["holder", "operator"]))
    def an_account_is_moved(self, who: int, status: str, by: str) -> None:
        self.move(self.person(who), status, by)

    @rule(who=ANYBODY, empty=st.booleans(), by=st.sampled_from(["holder", "operator"]))
    def an_account_is_closed(self, who: int, empty: bool, by: str) -> None:
        """Emptied first, as people do who leave; or not, and then most are refused. Two stay open to the end."""
        leaver, others = self.person(who), [one for one, state in self.model.status.items() if state == "open"]
        if len(others) > 2 and empty and self.model.available(leaver) > 0:
            self.send(leaver, next(one for one in others if one != leaver), self.model.available(leaver))
        if len(others) > 2:
            self.move(leaver, "closed", by)

    def move(self, who: Who, status: Any, by: str) -> None:
        order = MoveOrder(id=order_id(), account=self.of(who), status=status)
        kind = {"frozen": "account_freeze", "open": "account_thaw", "closed": "account_close"}[status]
        expected = self.model.move(who, status, by)
        if by == "holder":
            said = {"account": str(order.account)}
            self.ordered_by(who, kind, lambda u, c: accounts.move(u, c, order, now=clock.now()), expected, said=said)
            return

        def decide(unit: sa.Connection, claim: Claim) -> Plan:
            return accounts.move_by_operator(unit, claim, order, now=clock.now())

        signer = HolderId(UUID(self.operator.holder))
        self.answered(expected, lambda: self.city.officer_order(signer, kind, decide))

    @rule(days=st.integers(2, 9))
    def a_day_is_closed(self, days: int) -> None:
        """Two days ago or earlier: yesterday may have ended a moment ago."""
        day = clock.day_of(clock.now()) - timedelta(days=days)
        self.answered(self.model.close(day), lambda: self.city.close_period(day))

    @rule(days=st.integers(1, 3))
    def days_pass(self, days: int) -> None:
        for _ in range(days):
            pass_days(self.city)
            self.model.pass_day()
        by = timedelta(days=days)
        self.readings = [replace(one, at=one.at - by) for one in self.readings]
        self.postings = [(*row[:-2], row[-2] - by, row[-1] - by) for row in self.postings]

    @rule(accounts=st.integers(1, 4))
    def the_folder_comes_by(self, accounts: int) -> None:
        db.unit(self.city.engine, lambda unit: ledger.fold(unit, accounts=accounts))

    @precondition(lambda self: self.ordered)
    @rule(number=st.integers(0, 99))
    def an_order_comes_again(self, number: int) -> None:
        """What came of it comes of it again, whatever would be decided today, and nothing else happens."""
        evidence, decide = self.ordered[number % len(self.ordered)]
        outcome, _, _ = self.city.carry_out(evidence, decide, at_once=True)
        with self.city.engine.connect() as connection:
            stored = connection.exec_driver_sql(
                "SELECT o.status, o.body FROM ledger.outcome o JOIN ledger.authority a ON a.id = o.authority"
                " WHERE a.signer = %s AND a.order_id = %s",
                (evidence.signer, evidence.order_id),
            ).one()
        assert (outcome.replayed, outcome.status, outcome.body) == (True, stored.status, stored.body)

    @rule(hours=st.integers(0, 24 * 12))
    def somebody_asks_what_there_was(self, hours: int) -> None:
        """By effective time, at an instant of the last twelve days, with all that was back-dated since."""
        at = clock.now() - timedelta(hours=hours)
        with self.city.engine.connect() as connection:
            found = {
                who: ledger.balances.as_of(connection, AccountId(account), at, by="effective")
                for account, who in self.accounts.items()
            }
        assert found == {who: self.on_its_side(who, self.model.posted(who, at)) for who in self.accounts.values()}

    # -- how it is asked, and what must be answered --

    def person(self, number: int) -> Who:
        return list(self.signers)[number % len(self.signers)]

    def entry(self, number: int) -> Made:
        """Counted from the newest."""
        return self.entries[-1 - number % len(self.entries)]

    def hold(self, number: int) -> Placed:
        """Counted from the newest."""
        return self.placed[-1 - number % len(self.placed)]

    def made(self, entry: EntryId | None, done: Done) -> None:
        if entry is not None:
            self.entries.append(Made(entry, done))

    def of(self, who: Who) -> AccountId:
        return AccountId(UUID(self.signers[who].account))

    def on_its_side(self, who: Who, posted: int) -> int:
        return -posted if who == "bank" else posted

    def ordered_by(
        self,
        who: Who,
        kind: str,
        decide: Callable[[sa.Connection, Claim], Plan],
        expected: str | None,
        *,
        said: dict[str, Any] | None = None,
    ) -> Any:
        """Carry out a signed order, compare what came of it, and keep it so that it can come again."""
        signer = self.signers[who]
        evidence = self.city.evidence(signer, kind, **(said or {}))
        answer = self.answered(expected, lambda: self.city.signed(signer, kind, decide, evidence=evidence))
        self.ordered.append((evidence, decide))
        return answer

    def answered(self, expected: str | None, work: Callable[[], Any]) -> Any:
        """Do it, and compare what came of it: None and an answer, or this refusal."""
        try:
            answer, code = work(), None
        except Refusal as refusal:
            answer, code = None, refusal.code
        event(f"answered {code or 'done'}")
        assert code == expected
        return answer

    # -- what must hold after every step --

    @invariant()
    def the_books_are_as_they_must_be(self) -> None:
        with self.city.engine.connect() as connection:
            now = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
            self.balances_hold(connection, now)
            self.history_is_unchanged(connection)
            self.holds_limits_and_periods_hold(connection)
            self.the_past_reads_as_it_did(connection)

    def balances_hold(self, connection: sa.Connection, now: datetime) -> None:
        rows = connection.exec_driver_sql(
            "SELECT a.id, a.normal, a.floor, a.status, b.posted, b.held,"
            " (SELECT coalesce(sum(CASE WHEN p.debit = a.id THEN p.amount ELSE -p.amount END), 0) FROM ledger.posting p"
            "  WHERE a.id IN (p.debit, p.credit))::bigint AS debited"
            " FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id"
        ).all()
        assert sum(row.posted for row in rows if row.normal == "debit") == sum(
            row.posted for row in rows if row.normal == "credit"
        )
        for row in rows:
            assert row.posted == (row.debited if row.normal == "debit" else -row.debited)
            assert row.floor is None or row.posted - row.held >= row.floor
            who = self.accounts.get(row.id)
            if who is None:
                assert (row.posted, row.held) == (0, 0)
                continue
            expected = (self.on_its_side(who, self.model.posted(who)), self.model.held(who))
            assert (row.posted, row.held, row.status) == (*expected, self.model.status.get(who, "open"))
            self.readings.append(Reading(row.id, now, row.posted))

    def history_is_unchanged(self, connection: sa.Connection) -> None:
        postings = connection.exec_driver_sql(
            "SELECT seq, entry, line, debit, credit, amount, of_line, effective_at, posted_at"
            " FROM ledger.posting ORDER BY seq"
        )
        found = [tuple(row) for row in postings]
        assert found[: len(self.postings)] == self.postings
        self.postings = found
        rows = connection.exec_driver_sql(
            "SELECT authority, status, code, body, entries, counted::text FROM ledger.outcome"
        )
        outcomes = {row.authority: tuple(row) for row in rows}
        assert outcomes | self.outcomes == outcomes
        self.outcomes = outcomes

    def holds_limits_and_periods_hold(self, connection: sa.Connection) -> None:
        states = Counter((h.payer, h.payee, h.amount, h.captured, h.released, h.state) for h in self.model.holds)
        rows = connection.exec_driver_sql(holds._STANDING)
        assert states == Counter(
            (self.accounts[r.payer], self.accounts[r.payee], r.amount, r.captured, r.released, r.state) for r in rows
        )
        used = connection.exec_driver_sql(
            "SELECT holder, bucket, sum(used)::bigint AS used FROM ledger.usage GROUP BY 1, 2"
        )
        found = {(str(row.holder), row.bucket): row.used for row in used if row.used}
        assert found == {
            (self.signers[who].holder, bucket): amount
            for (who, amount), bucket in itertools.product(self.model.used.items(), BUCKETS)
            if who in self.signers and amount
        }
        through = connection.exec_driver_sql("SELECT max(ends) FROM ledger.period").scalar_one()
        assert (through or date.min) == self.model.closed_through

    def the_past_reads_as_it_did(self, connection: sa.Connection) -> None:
        """By posted time: what the books said at an instant they say of that instant for ever."""
        came_to = connection.exec_driver_sql(
            "SELECT ledger.posted_recorded(x.account, x.at) FROM unnest(%s::uuid[], %s::timestamptz[]) WITH ORDINALITY"
            " AS x (account, at, n) ORDER BY x.n",
            ([one.account for one in self.readings], [one.at for one in self.readings]),
        ).scalars()
        assert list(came_to) == [one.posted for one in self.readings]

    def teardown(self) -> None:
        with self.stack:
            # The days that passed took a hold's end along, and not the bytes that were signed for it.
            assert [one for one in self.city.differences() if one.code != "hold_end_not_as_signed"] == []


def order_id() -> OrderId:
    return OrderId(uuid4())


SALE = f"""
    INSERT INTO ledger.chart (code, name, name_en, normal, floor, held_by)
    VALUES ('{FEE}', 'Phí thử nghiệm', 'Fees of a test', 'credit', NULL, 'house');
    INSERT INTO ledger.flow (kind, authority, order_kind, debit, credit, debit_of) VALUES
        ('sale', 'signed_order', 'sale', 'wallet', 'wallet', 'signer'),
        ('sale', 'signed_order', 'sale', 'wallet', '{FEE}', 'payee');
    SELECT ledger.open_account(gen_random_uuid(), '{FEE}', NULL, NULL, NULL, NULL);
"""


@pytest.fixture
def new_city(template: str, postgres: Any, worker: str, tmp_path: Path) -> Callable[[contextlib.ExitStack], City]:
    """Make a city in a database of its own: each story begins with empty books."""
    numbers = itertools.count(1)

    def make(stack: contextlib.ExitStack) -> City:
        name = f"{worker}_machine_{next(numbers)}"
        database = stack.enter_context(databases.copy_of(template, name, server=postgres, folder=tmp_path))
        with psycopg.connect(database.owner_url) as owner:
            owner.execute(SALE)
        return stack.enter_context(City(database, in_process=False))

    return make


def test_whatever_is_done_the_ledger_answers_as_the_model_and_stays_whole(
    new_city: Callable[[contextlib.ExitStack], City],
) -> None:
    """Rows 37 to 43, in any order."""
    run_state_machine_as_test(
        lambda: LedgerMachine(new_city),  # type: ignore[arg-type]  # any maker of machines will do
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, *((Phase.shrink,) if "SOAK_S" in os.environ else ())),
        ),
    )
