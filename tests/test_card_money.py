"""Cards: booked by the acquirer's own word, once, whatever is lost, late, doubled or unlike what was ordered."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.make import City, Seen, Signer
from tests.pretend import DISPUTE_FEE, FEE, Pretend
from wallet import clock, db, ids, states
from wallet import refunds as given_back
from wallet.cards import (
    asking,
    disputes,
    lines,
    linked,
    notices,
    owed,
    payments,
    quarantine,
    refunds,
    rounds,
    settling,
    tables,
    tie_out,
)
from wallet.cards.bills import BillTarget
from wallet.cards.payments import CardPaymentOrder, Payment, TopUpOrder
from wallet.cards.till import Till
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import About, DisputeState, Failure, PaymentState, PayoutState, RefundState
from wallet.ids import AccountId, BillId, EntryId, HolderId, OrderId
from wallet.ledger import Entry, Plan, Posting, chart
from wallet.ledger.refusals import LimitExceeded, NotReversible, PayeeFrozen, StepUpRequired
from wallet.limits import Limits
from wallet.money import Dong

LATER = timedelta(minutes=11)
"""Past every wait: an answer's, a payment that never came, a page's life is longer."""


AGEING = {
    "payment": ("made_at", "expires_at", "called_at", "asked_at"),
    "refund": ("made_at", "called_at", "asked_at"),
    "linking": ("made_at", "asked_at"),
}


class Counter:
    """A till with its pretended acquirer, and hands to order at it."""

    def __init__(self, city: City) -> None:
        self.city, self.acquirer = city, Pretend()
        self.owner = sa.create_engine(city.database.owner_url)
        self.till = Till(
            database=city.engine, acquirer=self.acquirer, origin="http://localhost:8000", targets={"bill": BillTarget()}
        )
        self.limits = Limits(demo=True)

    def order_topup(self, who: Signer, amount: int = 50_000, *, card: UUID | None = None) -> UUID:
        """Ordered and committed; the acquirer was not asked yet."""

        def decide(unit, claim):
            order = TopUpOrder(
                id=OrderId(UUID(int=0)), payee=AccountId(UUID(who.account)), amount=Dong(amount), card=card, locale="vi"
            )
            order = replace(order, id=_order_of(unit, claim))
            return payments.top_up(unit, claim, order, till=self.till, limits=self.limits, now=clock.now())

        said = {"payee": who.account, "amount": str(amount)}
        return UUID(str(self.city.signed(who, "card_topup", decide, at_once=False, said=said).payment))

    def order_bill(self, who: Signer, bill: Seen) -> UUID:
        def decide(unit, claim):
            order = CardPaymentOrder(
                id=_order_of(unit, claim),
                purpose="bill",
                target=bill.id,
                amount=Dong(bill.total),
                card=None,
                locale="vi",
            )
            return payments.pay(unit, claim, order, till=self.till, limits=self.limits, now=clock.now())

        said = {"target": str(bill.id), "amount": str(bill.total)}
        return UUID(str(self.city.signed(who, "card_payment", decide, at_once=False, said=said).payment))

    def top_up(self, who: Signer, amount: int = 50_000) -> UUID:
        """Ordered, asked for, paid on the page, and recorded."""
        payment = self.order_topup(who, amount)
        asking.start(self.till, payment, now=clock.now())
        self.acquirer.pay(payment)
        asking.inquire(self.till, payment, cause="inquiry", now=clock.now())
        return payment

    def pay_bill(self, who: Signer, bill: Seen) -> UUID:
        payment = self.order_bill(who, bill)
        asking.start(self.till, payment, now=clock.now())
        self.acquirer.pay(payment)
        asking.inquire(self.till, payment, cause="inquiry", now=clock.now())
        return payment

    def read(self, payment: UUID) -> Payment:
        with self.city.engine.connect() as connection:
            return payments.by_id(connection, payment)

    def state(self, payment: UUID) -> str:
        return self.read(payment).state

    def refunds(self, payment: UUID) -> list[refunds.Refund]:
        with self.city.engine.connect() as connection:
            return refunds.of_payment(connection, payment)

    def rounds(self, *, after: timedelta = timedelta(0)) -> None:
        """A round of the worker, so much later: what is under way is made that much older, for entries take effect now."""
        if after:
            self.age(after)
        rounds.soon(self.till, now=clock.now())
        rounds.later(self.till, now=clock.now())

    def age(self, by: timedelta) -> None:
        with self.owner.begin() as unit:
            for table, columns in AGEING.items():
                set_ = ", ".join(f"{column} = {column} - %(by)s" for column in columns)
                unit.exec_driver_sql(f"UPDATE cards.{table} SET {set_}", {"by": by})

    def tie_out(self) -> tie_out.TieOut:
        with self.city.engine.connect() as connection:
            return tie_out.read(connection, "stripe", lately=clock.now() - timedelta(minutes=5))

    def posted(self, code: str) -> int:
        with self.city.engine.connect() as connection:
            query = "SELECT posted FROM ledger.balance_now WHERE account = %s"
            return int(connection.exec_driver_sql(query, (self.city.house(code),)).scalar_one())

    def quarantined(self) -> list[tuple[str, str]]:
        with self.city.engine.connect() as connection:
            return [(one.about, one.reason) for one in quarantine.waiting(connection)]

    def heard(self, notice: Any) -> None:
        """A notice came to the door and is handled."""
        notices.keep(self.till, notice, now=clock.now())
        notices.handle(self.till, notice.ref, now=clock.now())


def _order_of(unit: sa.Connection, claim: Any) -> OrderId:
    query = "SELECT order_id FROM ledger.authority WHERE id = %s"
    return OrderId(unit.exec_driver_sql(query, (claim.authority,)).scalar_one())


@pytest.fixture(scope="module")
def counter(template, postgres, worker, tmp_path_factory) -> Iterator[Counter]:
    """One city for this file: its clearing account is tied out at the end of each test."""
    from tests import databases

    with (
        databases.copy_of(template, f"{worker}_cards", server=postgres, folder=tmp_path_factory.mktemp("var")) as made,
        City(made, in_process=False) as city,
    ):
        made_in = Counter(city)
        yield made_in
        made_in.rounds(after=LATER)
        assert made_in.city.differences() == []  # after all that these tests did
        made_in.owner.dispose()


@pytest.fixture(scope="module")
def hoa(counter: Counter) -> Signer:
    return counter.city.citizen("Nguyễn Thị Hoa")


@pytest.fixture(autouse=True)
def _books(counter: Counter) -> Iterator[None]:
    """After each test what the acquirer owes us is tied out, and after the last the books are proved."""
    counter.acquirer.faults.clear()
    yield
    counter.rounds(after=timedelta(minutes=1))
    tied = counter.tie_out()
    assert (tied.unexplained, tied.breaks) == (0, 0)


def balance(counter: Counter, who: Signer) -> int:
    with counter.city.engine.connect() as connection:
        query = "SELECT posted FROM ledger.balance_now WHERE account = %s"
        return int(connection.exec_driver_sql(query, (who.account,)).scalar_one())


# -- top-ups --------------------------------------------------------------------------------------------------------


def test_a_topup_credits_the_wallet_when_the_acquirer_says_that_it_has_the_money(counter, hoa):
    before = balance(counter, hoa)
    payment = counter.order_topup(hoa, 50_000)
    asking.start(counter.till, payment, now=clock.now())
    assert counter.state(payment) == "requires_action"
    assert counter.read(payment).page
    assert balance(counter, hoa) == before
    counter.acquirer.pay(payment)
    asking.inquire(counter.till, payment, cause="inquiry", now=clock.now())
    paid = counter.read(payment)
    assert (paid.state, paid.last4, paid.page) == ("succeeded", "4242", None)
    assert balance(counter, hoa) == before + 50_000


def test_a_topup_told_many_times_is_credited_once(counter, hoa):
    """Row 90: duplicate and out of order."""
    before = balance(counter, hoa)
    payment = counter.top_up(hoa, 20_000)
    ref = counter.read(payment).ref
    for kind in ("payment_intent.succeeded", "payment_intent.created", "payment_intent.processing"):
        notice = counter.acquirer.tell(About.PAYMENT, ref, id=payment, amount=20_000, currency="VND", kind=kind)
        counter.heard(notice)
        counter.heard(notice)
    counter.rounds(after=LATER)
    assert balance(counter, hoa) == before + 20_000
    assert counter.state(payment) == "succeeded"


def test_an_answer_that_is_lost_is_asked_for_and_the_card_never_charged_again(counter, hoa):
    """Row 97: the charge succeeded, its reply was lost."""
    before = balance(counter, hoa)
    payment = counter.order_topup(hoa)
    counter.acquirer.faults.append("lost")
    counter.acquirer.calls.clear()
    asking.start(counter.till, payment, now=clock.now())
    assert counter.state(payment) == "in_doubt"
    asking.start(counter.till, payment, now=clock.now())
    counter.acquirer.pay(payment)
    counter.rounds(after=timedelta(seconds=30))
    assert counter.state(payment) == "succeeded"
    assert balance(counter, hoa) == before + 50_000
    assert counter.acquirer.calls.count("begin_payment") == 1


def test_a_payment_that_never_reached_the_acquirer_ends_by_asking_and_gives_back_its_limit(counter):
    lan = counter.city.citizen("Trần Thị Lan")
    payment = counter.order_topup(lan, 5_000_000)
    counter.acquirer.faults.append("away")
    asking.start(counter.till, payment, now=clock.now())
    assert used(counter, lan, "step_up_day") == 5_000_000
    counter.rounds(after=timedelta(minutes=1))
    assert counter.state(payment) == "in_doubt"  # it may still be on its way
    counter.rounds(after=LATER)
    assert counter.state(payment) == "cancelled"
    assert used(counter, lan, "step_up_day") == 0
    assert counter.acquirer.calls.count("begin_payment") >= 1


def used(counter: Counter, who: Signer, bucket: str) -> int:
    with counter.city.engine.connect() as connection:
        query = "SELECT coalesce(sum(used), 0) FROM ledger.usage WHERE holder = %s AND bucket = %s"
        return int(connection.exec_driver_sql(query, (who.holder, bucket)).scalar_one())


def test_a_process_that_ended_before_it_asked_is_taken_over_and_after_it_asked_is_not(counter, hoa):
    """Row 105, at both points: nothing is lost, nothing doubled."""
    unasked, asked = counter.order_topup(hoa, 10_000), counter.order_topup(hoa, 11_000)
    assert asking._take(counter.till, asked, now=clock.now())  # and then it was killed
    counter.acquirer.calls.clear()
    counter.rounds(after=timedelta(seconds=6))
    assert counter.state(unasked) == "requires_action"
    assert counter.state(asked) == "created"
    counter.rounds(after=timedelta(minutes=2))
    assert counter.state(asked) == "in_doubt"
    counter.rounds(after=LATER)
    assert counter.state(asked) == "cancelled"
    assert counter.acquirer.calls.count("begin_payment") == 1


def test_a_busy_acquirer_is_asked_again_because_it_has_done_nothing(counter, hoa):
    payment = counter.order_topup(hoa, 12_000)
    counter.acquirer.faults.append("busy")
    asking.start(counter.till, payment, now=clock.now())
    assert counter.state(payment) == "created"
    asking.start(counter.till, payment, now=clock.now())
    assert counter.state(payment) == "requires_action"


@pytest.mark.parametrize("fault", ["declined", "rejected"])
def test_a_card_that_does_not_pay_moves_nothing(counter, hoa, fault):
    before = balance(counter, hoa)
    payment = counter.order_topup(hoa)
    counter.acquirer.faults.append(fault)
    asking.start(counter.till, payment, now=clock.now())
    assert counter.state(payment) == "failed"
    assert balance(counter, hoa) == before


def test_an_abandoned_page_is_given_up_and_blocks_nothing(counter, hoa):
    payment = counter.order_topup(hoa)
    asking.start(counter.till, payment, now=clock.now())
    counter.rounds(after=payments.PAGE_LIFE + timedelta(seconds=1))
    assert counter.state(payment) == "cancelled"


def test_a_topup_that_succeeds_late_after_a_retry_is_credited_once_as_well(counter, hoa):
    before = balance(counter, hoa)
    late = counter.order_topup(hoa, 30_000)
    asking.start(counter.till, late, now=clock.now())
    counter.acquirer.decline(late)
    asking.inquire(counter.till, late, cause="inquiry", now=clock.now())
    assert (counter.state(late), counter.read(late).failure) == ("failed", Failure.AUTHENTICATION)
    counter.top_up(hoa, 30_000)
    paid = counter.acquirer.pay(late)
    notice = counter.acquirer.tell(About.PAYMENT, paid.ref, id=late, amount=30_000, currency="VND")
    counter.heard(replace(notice, at=clock.now() - timedelta(days=3)))  # row 90: delayed for days
    counter.heard(notice)
    assert counter.state(late) == "succeeded"
    assert balance(counter, hoa) == before + 60_000


def test_money_for_a_wallet_that_was_shut_meanwhile_goes_back_to_the_card(counter):
    minh = counter.city.citizen("Lê Văn Minh")
    payment = counter.order_topup(minh)
    asking.start(counter.till, payment, now=clock.now())
    freeze(counter, minh)
    counter.acquirer.pay(payment)
    asking.inquire(counter.till, payment, cause="inquiry", now=clock.now())
    assert counter.state(payment) == "succeeded"
    assert balance(counter, minh) == 0
    (back,) = counter.refunds(payment)
    assert (back.cause, back.amount, back.state) == ("wallet_shut", 50_000, "created")
    counter.rounds()
    assert counter.refunds(payment)[0].state == "pending"
    with pytest.raises(PayeeFrozen):
        counter.order_topup(minh)


def freeze(counter: Counter, who: Signer) -> None:
    from wallet import accounts

    order = accounts.MoveOrder(id=OrderId(UUID(int=1)), account=AccountId(UUID(who.account)), status="frozen")
    counter.city.signed(
        who,
        "account_freeze",
        lambda unit, claim: accounts.move(unit, claim, order, now=clock.now()),
        said={"account": who.account},
    )


def test_a_wallet_shut_between_the_look_and_the_posting_is_seen_by_the_ledger(counter, monkeypatch):
    an = counter.city.citizen("Phan Thị An")
    payment = counter.order_topup(an)
    asking.start(counter.till, payment, now=clock.now())
    counter.acquirer.pay(payment)
    freeze(counter, an)
    real = settling._credited

    def before_the_freeze(unit, till, ours, source, *, now):
        monkeypatch.setattr(settling, "_credited", real)
        posting = Posting(debit=source, credit=AccountId(ours.target), amount=ours.amount)
        entry = Entry(id=EntryId(UUID(int=7)), kind="card_topup", effective_at=now, postings=(posting,))
        told = settling._received(ours, entry.id)
        return Plan(entries=(entry,), events=(told,), answer={})

    monkeypatch.setattr(settling, "_credited", before_the_freeze)
    asking.inquire(counter.till, payment, cause="inquiry", now=clock.now())
    assert [one.cause for one in counter.refunds(payment)] == ["wallet_shut"]


# -- limits ---------------------------------------------------------------------------------------------------------


def test_the_limits_apply_to_topups_as_to_transfers(counter):
    """vietnam.md, section 1: Decision 2345."""
    kim = counter.city.citizen("Đỗ Thị Kim")
    with pytest.raises(StepUpRequired):
        counter.order_topup(kim, 10_000_001)
    counter.order_topup(kim, 10_000_000)
    counter.order_topup(kim, 10_000_000)
    with pytest.raises(StepUpRequired):
        counter.order_topup(kim, 10_000)


def test_a_new_devices_limit_covers_what_cards_pay(counter):
    counter.limits = Limits(demo=False)
    try:
        with pytest.raises(LimitExceeded):
            counter.order_topup(counter.city.citizen("Võ Văn Tân"), 5_000_001)
    finally:
        counter.limits = Limits(demo=True)


@pytest.mark.parametrize("amount", [1, 9_999, 100_000_001])
def test_an_amount_that_no_card_can_pay_is_refused(counter, hoa, amount):
    """Row 18 beside it: VND has no smaller unit, so these are đồng."""
    with pytest.raises((payments.AmountUnfit, StepUpRequired)):
        counter.order_topup(hoa, amount)


def test_nobody_has_more_than_ten_payments_open(counter):
    bich = counter.city.citizen("Hồ Thị Bích")
    for _ in range(payments.OPEN_MAX):
        counter.order_topup(bich, 10_000)
    with pytest.raises(payments.TooManyOpen):
        counter.order_topup(bich, 10_000)


# -- bills ----------------------------------------------------------------------------------------------------------


def test_a_bill_paid_by_card_reaches_its_agency_and_no_wallet(counter, hoa):
    before, bill = balance(counter, hoa), counter.city.bill(debtor=hoa, amounts=[20_000, 5_000])
    payment = counter.pay_bill(hoa, bill)
    assert counter.state(payment) == "succeeded"
    assert counter.city.read_bill(bill).status == "paid"
    assert balance(counter, hoa) == before
    assert counter.posted(chart.CARD_PENDING) == 0
    assert counter.refunds(payment) == []


def test_two_cards_on_one_bill_pay_it_once_and_the_other_gets_its_money_back(counter, hoa):
    bill = counter.city.bill(debtor=hoa, amounts=[20_000])
    first, second = counter.order_bill(hoa, bill), counter.order_bill(hoa, bill)
    for payment in (first, second):
        asking.start(counter.till, payment, now=clock.now())
        counter.acquirer.pay(payment)
    for payment in (second, first):
        asking.inquire(counter.till, payment, cause="notice", now=clock.now())
    assert counter.refunds(second) == []
    (back,) = counter.refunds(first)
    assert (back.cause, back.amount) == ("not_payable", 20_000)
    assert counter.posted(chart.CARD_PENDING) == 20_000
    counter.rounds()
    (back,) = counter.refunds(first)
    counter.acquirer.end_refund(back.ref, RefundState.SUCCEEDED)
    counter.rounds(after=timedelta(minutes=5))
    assert counter.refunds(first)[0].state == "succeeded"
    assert counter.posted(chart.CARD_PENDING) == 0


def test_a_wallet_and_a_card_on_one_bill_pay_it_once(counter):
    """Two tabs: one pays by wallet while the other waits in 3-D Secure."""
    binh = counter.city.citizen("Ngô Văn Bình", available=100_000)
    bill = counter.city.bill(debtor=binh, amounts=[20_000])
    payment = counter.order_bill(binh, bill)
    asking.start(counter.till, payment, now=clock.now())
    by_wallet(counter, binh, bill)
    counter.acquirer.pay(payment)
    asking.inquire(counter.till, payment, cause="notice", now=clock.now())
    assert balance(counter, binh) == 80_000
    assert [one.cause for one in counter.refunds(payment)] == ["not_payable"]


def by_wallet(counter: Counter, who: Signer, bill: Seen) -> None:
    from wallet.bills import pay

    seen = pay.BillSeen(bill=BillId(bill.id), version=bill.version, amount=Dong(bill.total))
    order = pay.BillPaymentOrder(id=OrderId(UUID(int=2)), payer=AccountId(UUID(who.account)), bills=(seen,))
    counter.city.signed(
        who,
        "bill_payment",
        lambda unit, claim: pay.pay(unit, claim, order, limits=counter.limits, uses={}, now=clock.now()),
        said={"payer": who.account, "bills": [bill.seen]},
    )


def test_a_bill_is_paid_at_its_price_or_not_at_all(counter, hoa):
    """Row 42: the amount changed between the look and the order."""
    bill = counter.city.bill(debtor=hoa, amounts=[20_000])
    with pytest.raises(payments.PriceChanged):
        counter.order_bill(hoa, replace(bill, total=19_000))


def test_what_an_agency_gives_back_of_a_card_payment_goes_to_that_card(counter, hoa):
    bill = counter.city.bill(debtor=hoa, amounts=[20_000, 5_000])
    payment = counter.pay_bill(hoa, bill)
    give_back(counter, bill, line=1, amount=7_000)
    assert counter.posted(chart.CARD_PENDING) == 7_000
    counter.rounds()
    (back,) = counter.refunds(payment)
    assert (back.cause, back.amount, back.state) == ("given_back", 7_000, "pending")
    assert counter.posted(chart.CARD_PENDING) == 0


def give_back(counter: Counter, bill: Seen, *, line: int, amount: int) -> None:
    from tests.make import WARD

    with counter.city.engine.connect() as connection:
        entry = given_back.settling(connection, bill.id)
    assert entry is not None
    back = given_back.LineBack(line=line, amount=Dong(amount))
    order = given_back.RefundOrder(id=OrderId(UUID(int=3)), entry=entry, lines=(back,), reason="Nộp thừa")
    officer = HolderId(UUID(counter.city.officer(WARD).holder))
    counter.city.officer_order(
        officer, "refund", lambda unit, claim: given_back.refund(unit, claim, order, now=clock.now())
    )


def test_a_topup_is_not_undone_as_a_payment_is(counter, hoa):
    entry = counter.read(counter.top_up(hoa, 10_000)).entry
    order = given_back.ReverseOrder(id=OrderId(UUID(int=4)), entry=entry, reason="Nhầm")
    with pytest.raises(NotReversible):
        counter.city.signed(hoa, "reverse", lambda unit, claim: given_back.reverse(unit, claim, order, now=clock.now()))


# -- refunds --------------------------------------------------------------------------------------------------------


def test_a_refund_whose_answer_was_lost_is_looked_for_and_sent_once(counter, hoa):
    payment = _owed_back(counter, hoa)
    counter.acquirer.faults.append("lost")
    counter.rounds()
    assert counter.refunds(payment)[0].state == "in_doubt"
    counter.rounds(after=timedelta(minutes=2))
    assert counter.refunds(payment)[0].state == "pending"
    assert sum(one.payment_ref == counter.read(payment).ref for one in counter.acquirer.refunds.values()) == 1


def test_a_refund_that_never_arrived_is_sent_again_under_its_own_id(counter, hoa):
    payment = _owed_back(counter, hoa)
    counter.acquirer.faults.append("away")
    counter.rounds()
    counter.rounds(after=timedelta(minutes=2))
    assert counter.refunds(payment)[0].state == "created"
    counter.rounds(after=timedelta(minutes=3))
    assert counter.refunds(payment)[0].state == "pending"


def test_a_refund_that_the_card_does_not_take_is_owed_otherwise(counter, hoa):
    payment, before = _owed_back(counter, hoa), counter.posted(chart.REFUNDS_PAYABLE)
    counter.rounds()
    (back,) = counter.refunds(payment)
    counter.acquirer.end_refund(back.ref, RefundState.SUCCEEDED)
    counter.rounds(after=timedelta(minutes=1))
    counter.acquirer.end_refund(back.ref, RefundState.FAILED)
    counter.heard(counter.acquirer.tell(About.REFUND, back.ref, id=back.id))
    assert counter.refunds(payment)[0].state == "failed"
    assert counter.posted(chart.REFUNDS_PAYABLE) == before + 20_000


def test_a_refund_that_the_acquirer_will_not_make_is_owed_otherwise(counter, hoa):
    payment, before = _owed_back(counter, hoa), counter.posted(chart.REFUNDS_PAYABLE)
    counter.acquirer.faults.append("rejected")
    counter.rounds()
    assert counter.refunds(payment)[0].state == "failed"
    assert counter.posted(chart.REFUNDS_PAYABLE) == before + 20_000
    assert counter.posted(chart.CARD_PENDING) == 0


def _settle(counter: Counter, officer: Signer, refund: UUID) -> None:
    order = owed.SettleOrder(id=OrderId(ids.new()), refund=refund)

    def deciding(unit, claim):
        return owed.settle(unit, claim, order, now=clock.now())

    counter.city.officer_order(HolderId(UUID(officer.holder)), "card_refund_settle", deciding)


def test_what_no_card_takes_is_given_to_the_payers_wallet_once(counter, hoa):
    payment, held = _owed_back(counter, hoa), counter.posted(chart.REFUNDS_PAYABLE)
    counter.acquirer.faults.append("rejected")
    counter.rounds()
    (back,) = counter.refunds(payment)
    operator, before = counter.city.operator(), balance(counter, hoa)
    _settle(counter, operator, back.id)
    assert balance(counter, hoa) == before + 20_000
    assert counter.posted(chart.REFUNDS_PAYABLE) == held
    with counter.city.engine.connect() as connection:
        assert back.id not in {one.id for one in owed.listed(connection)}
    with pytest.raises(owed.NotOwed):
        _settle(counter, operator, back.id)
    assert balance(counter, hoa) == before + 20_000


def _refused_by_the_card(counter: Counter, who: Signer) -> tuple[UUID, UUID]:
    """A payment whose refund no card takes, and that refund."""
    payment = _owed_back(counter, who)
    counter.acquirer.faults.append("rejected")
    counter.rounds()
    (back,) = counter.refunds(payment)
    assert (back.state, back.failure) == ("failed", "not_allowed")
    return payment, back.id


def test_what_the_bank_paid_back_or_may_goes_to_no_wallet_as_well(counter, hoa):
    """A chargeback is when a refund is refused: with a stolen card it would be paid out twice."""
    payment, back = _refused_by_the_card(counter, hoa)
    denied = counter.acquirer.deny(payment)
    disputes.record(counter.till, denied, cause="notice", now=clock.now())
    operator, before = counter.city.operator(), balance(counter, hoa)
    with pytest.raises(owed.Disputed):
        _settle(counter, operator, back)
    with counter.city.engine.connect() as connection:
        assert {one.id: one.disputed for one in owed.listed(connection)}[back]
    counter.acquirer.end_dispute(denied.ref, DisputeState.WON)
    counter.rounds()
    _settle(counter, operator, back)
    assert balance(counter, hoa) == before + 20_000


def test_a_payer_whose_wallet_is_shut_is_still_owed(counter):
    mai = counter.city.citizen("Hồ Thị Mai")
    _payment, back = _refused_by_the_card(counter, mai)
    with counter.owner.begin() as owner:
        shut = "UPDATE ledger.account SET status = %s WHERE id = %s"
        owner.exec_driver_sql(shut, ("frozen", mai.account))
    operator = counter.city.operator()
    with pytest.raises(PayeeFrozen):
        _settle(counter, operator, back)
    with counter.city.engine.connect() as connection:
        assert back in {one.id for one in owed.listed(connection)}
    with counter.owner.begin() as owner:
        owner.exec_driver_sql(shut, ("open", mai.account))
    _settle(counter, operator, back)
    assert balance(counter, mai) == 20_000


def test_a_refund_that_went_after_all_is_looked_at_and_booked_no_more(counter, hoa):
    payment = _owed_back(counter, hoa)
    counter.rounds()
    (back,) = counter.refunds(payment)
    counter.acquirer.end_refund(back.ref, RefundState.FAILED)
    counter.heard(counter.acquirer.tell(About.REFUND, back.ref, id=back.id))
    held = counter.posted(chart.REFUNDS_PAYABLE), counter.posted(chart.CARD_PENDING)
    counter.acquirer.end_refund(back.ref, RefundState.SUCCEEDED)
    refunds.inquire(counter.till, back.id, cause="operator", now=clock.now())
    assert "state_differs" in {reason for _about, reason in counter.quarantined()}
    assert held == (counter.posted(chart.REFUNDS_PAYABLE), counter.posted(chart.CARD_PENDING))
    assert counter.refunds(payment)[0].state == "failed"
    by = HolderId(UUID(counter.city.operator().holder))

    def set_aside(unit: sa.Connection) -> None:
        for item in quarantine.waiting(unit):
            quarantine.resolve(unit, item.id, how="set_aside", by=by, now=clock.now())

    db.unit(counter.city.engine, set_aside)


def test_a_refund_that_a_card_may_still_take_is_given_to_no_wallet(counter, hoa):
    payment = _owed_back(counter, hoa)
    (back,) = counter.refunds(payment)
    with pytest.raises(owed.NotOwed):
        _settle(counter, counter.city.operator(), back.id)
    with pytest.raises(owed.NotOwed):
        _settle(counter, counter.city.operator(), ids.new())


def _owed_back(counter: Counter, who: Signer) -> UUID:
    """A card payment of a bill that another card had paid."""
    bill = counter.city.bill(debtor=who, amounts=[20_000])
    second = counter.order_bill(who, bill)
    counter.pay_bill(who, bill)
    asking.start(counter.till, second, now=clock.now())
    counter.acquirer.pay(second)
    asking.inquire(counter.till, second, cause="inquiry", now=clock.now())
    return second


# -- quarantine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unlike", "reason"),
    [
        ({"amount": 5_000_000, "received": 5_000_000}, "amount_differs"),
        ({"received": 49_999}, "amount_differs"),
        ({"currency": "USD"}, "currency_differs"),
        ({"live": True}, "wrong_mode"),
        ({"id": None}, "id_differs"),
    ],
)
def test_what_is_unlike_the_order_is_quarantined_and_not_credited(counter, hoa, unlike, reason):
    """Rows 17, 18 and 91. The first is what a hundredfold error would look like."""
    before = balance(counter, hoa)
    payment = counter.order_topup(hoa)
    asking.start(counter.till, payment, now=clock.now())
    honest = counter.acquirer.of(payment)
    counter.acquirer.pay(payment, **unlike)
    asking.inquire(counter.till, payment, cause="notice", now=clock.now())
    assert ("payment", reason) in counter.quarantined()
    assert balance(counter, hoa) == before
    counter.acquirer.payments[honest.ref] = replace(honest, state=PaymentState.SUCCEEDED, received=50_000, page=None)
    with counter.city.engine.connect() as connection:
        (item,) = [one for one in quarantine.waiting(connection) if one.payment == payment]
    operator = HolderId(UUID(counter.city.operator().holder))
    assert notices.ask_again(counter.till, item.id, by=operator, now=clock.now())
    assert counter.state(payment) == "succeeded"
    assert balance(counter, hoa) == before + 50_000
    assert counter.quarantined() == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"amount": 5_000}, "amount_differs"),
        ({"amount": 50_000, "currency": "EUR"}, "currency_differs"),
        ({"live": True}, "wrong_mode"),
        ({"account": "acct_other"}, "other_account"),
    ],
)
def test_a_notice_unlike_ours_is_quarantined_before_anything_is_asked(counter, hoa, said, reason):
    """Rows 90 and 91."""
    payment = counter.order_topup(hoa)
    asking.start(counter.till, payment, now=clock.now())
    counter.acquirer.pay(payment)
    counter.heard(counter.acquirer.tell(About.PAYMENT, counter.read(payment).ref, id=payment, **said))
    assert counter.state(payment) == "requires_action"
    assert ("payment", reason) in counter.quarantined()
    set_aside(counter)
    counter.acquirer.told.clear()


def set_aside(counter: Counter) -> None:
    operator = HolderId(UUID(counter.city.operator().holder))
    with counter.city.engine.connect() as connection:
        items = quarantine.waiting(connection)
    for item in items:
        work: dict[str, Any] = {"how": "set_aside", "by": operator, "now": clock.now()}
        db.unit(counter.city.engine, partial(quarantine.resolve, item=item.id, **work))


def test_a_notice_of_a_payment_that_the_acquirer_denies_credits_nothing(counter, hoa):
    """Row 92: forged, or of somebody else's."""
    payment = counter.order_topup(hoa)
    asking.start(counter.till, payment, now=clock.now())
    counter.heard(counter.acquirer.tell(About.PAYMENT, "pi_invented", id=payment, amount=50_000, currency="VND"))
    counter.heard(counter.acquirer.tell(About.PAYMENT, "pi_nobodys", amount=1, currency="VND"))
    counter.heard(counter.acquirer.tell(About.DISPUTE, "dp_nobodys"))
    assert {("payment", "denied"), ("payment", "unknown"), ("dispute", "denied")} <= set(counter.quarantined())
    assert counter.state(payment) == "requires_action"
    set_aside(counter)
    counter.acquirer.told.clear()


def test_a_notice_that_cannot_be_handled_now_is_handled_by_a_later_round(counter, hoa, monkeypatch):
    payment = counter.order_topup(hoa)
    asking.start(counter.till, payment, now=clock.now())
    counter.acquirer.pay(payment)
    notice = counter.acquirer.tell(About.PAYMENT, counter.read(payment).ref, id=payment)
    notices.keep(counter.till, notice, now=clock.now())
    away = counter.acquirer.__class__.payment
    monkeypatch.setattr(counter.acquirer.__class__, "payment", lambda *_: (_ for _ in ()).throw(gate.InDoubt("-")))
    rounds.soon(counter.till, now=clock.now())
    assert counter.state(payment) == "requires_action"
    monkeypatch.setattr(counter.acquirer.__class__, "payment", away)
    rounds.soon(counter.till, now=clock.now())
    assert counter.state(payment) == "succeeded"


def test_what_was_told_while_our_door_was_shut_is_asked_for(counter, hoa):
    payment = counter.top_up(hoa, 10_000)
    denied = counter.acquirer.deny(payment)
    counter.acquirer.tell(About.DISPUTE, denied.ref)
    rounds.later(counter.till, now=clock.now())
    rounds.soon(counter.till, now=clock.now())
    with counter.city.engine.connect() as connection:
        assert [one.state for one in disputes.of_payment(connection, payment)] == ["opened"]


# -- disputes, lines, payouts ---------------------------------------------------------------------------------------


def test_a_chargeback_is_our_loss_and_made_good_to_the_guarantee_account(counter, hoa):
    payment, before = counter.top_up(hoa, 40_000), balance(counter, hoa)
    loss, guarantee = counter.posted(chart.DISPUTE_LOSS), counter.posted(chart.BANK_GUARANTEE)
    denied = counter.acquirer.deny(payment)
    disputes.record(counter.till, denied, cause="notice", now=clock.now())
    disputes.record(counter.till, denied, cause="notice", now=clock.now())
    assert counter.posted(chart.DISPUTE_LOSS) == loss + 40_000
    assert counter.posted(chart.BANK_GUARANTEE) == guarantee + 40_000
    assert balance(counter, hoa) == before
    counter.acquirer.end_dispute(denied.ref, DisputeState.LOST)
    rounds.later(counter.till, now=clock.now())
    assert counter.posted(chart.DISPUTE_LOSS) == loss + 40_000


def test_a_chargeback_won_gives_back_what_it_took_and_its_fee(counter, hoa):
    payment = counter.top_up(hoa, 40_000)
    lines.read(counter.till, now=clock.now())
    loss, fees = counter.posted(chart.DISPUTE_LOSS), counter.posted(chart.CARD_FEE)
    denied = counter.acquirer.deny(payment)
    rounds.later(counter.till, now=clock.now())
    disputes.record(counter.till, denied, cause="notice", now=clock.now())
    assert counter.posted(chart.CARD_FEE) == fees + DISPUTE_FEE
    counter.acquirer.end_dispute(denied.ref, DisputeState.WON)
    rounds.later(counter.till, now=clock.now())
    assert (counter.posted(chart.DISPUTE_LOSS), counter.posted(chart.CARD_FEE)) == (loss, fees)


def test_a_chargeback_of_more_than_was_paid_is_quarantined(counter, hoa):
    payment = counter.top_up(hoa, 40_000)
    denied = replace(counter.acquirer.deny(payment), amount=40_001)
    assert not disputes.record(counter.till, denied, cause="notice", now=clock.now())
    assert ("dispute", "amount_differs") in counter.quarantined()
    set_aside(counter)
    disputes.record(counter.till, counter.acquirer.dispute(denied.ref), cause="notice", now=clock.now())


def test_each_line_is_taken_once_and_its_fee_is_borne_by_us(counter, hoa):
    lines.read(counter.till, now=clock.now())
    fees, operating = counter.posted(chart.CARD_FEE), counter.posted(chart.BANK_OPERATING)
    counter.top_up(hoa, 10_000)
    assert lines.read(counter.till, now=clock.now()) == 1
    assert lines.read(counter.till, now=clock.now()) == 0
    assert counter.posted(chart.CARD_FEE) == fees + FEE
    assert counter.posted(chart.BANK_OPERATING) == operating - FEE


def test_what_the_acquirer_owes_ties_out_before_during_and_after_a_payout(counter, hoa):
    counter.top_up(hoa, 60_000)
    assert counter.tie_out().because("line_not_read") == -60_000
    counter.rounds()
    before = counter.tie_out()
    assert (before.difference, before.owed) == (0, counter.posted(chart.STRIPE_CLEARING))
    guarantee = counter.posted(chart.BANK_GUARANTEE)
    sent = counter.acquirer.pay_out()
    counter.rounds()
    during = counter.tie_out()
    assert (during.difference, during.because("payout_on_its_way"), during.unexplained) == (
        -sent.amount,
        -sent.amount,
        0,
    )
    counter.acquirer.end_payout(sent.ref, PayoutState.PAID)
    counter.heard(counter.acquirer.tell(About.PAYOUT, sent.ref))
    after = counter.tie_out()
    assert (after.difference, after.owed, counter.posted(chart.STRIPE_CLEARING)) == (0, 0, 0)
    assert counter.posted(chart.BANK_GUARANTEE) == guarantee + sent.amount
    counter.acquirer.end_payout(sent.ref, PayoutState.FAILED)
    counter.rounds()
    assert counter.posted(chart.BANK_GUARANTEE) == guarantee


def test_a_line_that_the_books_know_nothing_of_is_a_break(counter, hoa):
    """And is named as one: the difference is shown, not swallowed."""
    from wallet.gates.acquirer import LineKind

    counter.acquirer._line(LineKind.OTHER, -777, source="adj_1")
    lines.read(counter.till, now=clock.now())
    tied = counter.tie_out()
    assert (tied.unexplained, tied.breaks) == (-777, 1)
    counter.acquirer._line(LineKind.OTHER, 777, source="adj_2")
    lines.read(counter.till, now=clock.now())
    assert (counter.tie_out().unexplained, counter.tie_out().breaks) == (0, 2)
    with counter.owner.begin() as unit:  # what a later issue's workbench will do by an order
        unit.exec_driver_sql("DELETE FROM cards.line WHERE kind = 'other'")
    counter.acquirer.lines = [line for line in counter.acquirer.lines if line.kind != LineKind.OTHER]


# -- linked cards ---------------------------------------------------------------------------------------------------


def test_a_card_is_linked_chosen_and_removed(counter, hoa):
    holder = HolderId(UUID(hoa.holder))
    first = _link(counter, holder, "4242")
    second = _link(counter, holder, "5555")
    assert [(one.last4, one.is_default) for one in _cards(counter, holder)] == [("4242", True), ("5555", False)]
    db.unit(counter.city.engine, lambda unit: linked.make_default(unit, second, holder=holder, now=clock.now()))
    assert [(one.last4, one.is_default) for one in _cards(counter, holder)] == [("5555", True), ("4242", False)]
    payment = counter.order_topup(hoa, 10_000, card=second)
    assert counter.read(payment).last4 == "5555"
    linked.remove(counter.till, second, holder=holder, now=clock.now())
    assert [one.last4 for one in _cards(counter, holder)] == ["4242"]
    with pytest.raises(linked.NotFound):
        counter.order_topup(hoa, 10_000, card=second)
    stranger = counter.city.citizen("Trần Văn Lạ")
    with pytest.raises(linked.NotFound):  # row 82
        counter.order_topup(stranger, 10_000, card=first)
    with pytest.raises(linked.NotFound):
        linked.remove(counter.till, first, holder=HolderId(UUID(stranger.holder)), now=clock.now())


def test_the_same_card_linked_again_takes_the_place_of_the_older_link(counter):
    holder = HolderId(UUID(counter.city.citizen("Mai Thị Hạnh").holder))
    _link(counter, holder, "4242")
    _link(counter, holder, "4242")
    assert [(one.last4, one.is_default) for one in _cards(counter, holder)] == [("4242", True)]


def test_a_linking_that_was_abandoned_or_unanswered_blocks_no_other(counter):
    holder = HolderId(UUID(counter.city.citizen("Bùi Thị Đào").holder))
    counter.acquirer.faults.append("lost")
    with pytest.raises(linked.Unreachable):
        linked.begin(counter.till, holder, locale="vi", now=clock.now())
    linked.begin(counter.till, holder, locale="vi", now=clock.now())
    counter.age(timedelta(hours=2))
    rounds.soon(counter.till, now=clock.now())
    _link(counter, holder, "1111")
    assert [one.last4 for one in _cards(counter, holder)] == ["1111"]


def _link(counter: Counter, holder: HolderId, last4: str) -> UUID:
    linking = linked.begin(counter.till, holder, locale="vi", now=clock.now())
    assert linking.page is not None
    counter.acquirer.link(linking, last4=last4)
    linked.ask(counter.till, linking.id, now=clock.now())
    linked.ask(counter.till, linking.id, now=clock.now())
    return next(one.id for one in _cards(counter, holder) if one.last4 == last4)


def _cards(counter: Counter, holder: HolderId) -> list[linked.Card]:
    with counter.city.engine.connect() as connection:
        return linked.of(connection, holder)


# -- states ---------------------------------------------------------------------------------------------------------


def test_every_move_is_legal_in_the_database_exactly_if_the_states_say_so(counter):
    """Row 43: the full matrix, for each of the three machines."""
    machines = {
        "payment": (states.CARD_PAYMENT, tables.payment),
        "refund": (states.CARD_REFUND, tables.refund),
        "dispute": (states.CARD_DISPUTE, tables.dispute),
    }
    with counter.owner.connect() as connection:
        for what, (moves, _) in machines.items():
            known = {state for pair in moves for state in pair}
            for was, to in itertools.product(known, known):
                put = (UUID(int=9), 1, what, was, to, "test", clock.now())
                with connection.begin() as unit:
                    try:
                        connection.exec_driver_sql("INSERT INTO cards.move VALUES (%s, %s, %s, %s, %s, %s, %s)", put)
                        legal = True
                    except sa.exc.IntegrityError:
                        legal = False
                    unit.rollback()
                assert legal == ((was, to) in moves), (what, was, to)


def test_what_succeeded_moves_nowhere(counter, hoa):
    payment = counter.top_up(hoa, 10_000)

    def moved(unit: sa.Connection) -> bool:
        return payments.move(unit, "payment", payment, "failed", cause="test", now=clock.now())

    assert not db.unit(counter.city.engine, moved)
    assert counter.state(payment) == "succeeded"


# -- the proof ------------------------------------------------------------------------------------------------------

PAYMENT = "(SELECT id FROM cards.payment WHERE state = 'succeeded' AND purpose = 'topup' ORDER BY made_at DESC LIMIT 1)"
WORD = "(SELECT authority FROM ledger.entry WHERE kind = 'card_topup' ORDER BY posted_at DESC LIMIT 1)"
DEEDS = {
    "card_receipt_unasked": f"UPDATE cards.payment SET entry = NULL, state = 'failed' WHERE id = {PAYMENT}",
    "card_payment_differs": f"UPDATE cards.payment SET amount = amount + 1 WHERE id = {PAYMENT}",
    "card_payment_not_as_said": f"UPDATE ledger.authority SET order_kind = 'bank_line' WHERE id = {WORD}",
    "card_payment_twice": f"""
        INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, digest)
        SELECT gen_random_uuid(), kind, signer, gen_random_uuid(), order_kind, digest
        FROM ledger.authority WHERE id = {WORD};
        INSERT INTO person.order_content (authority, salt, bytes)
        SELECT (SELECT id FROM ledger.authority ORDER BY at DESC, id LIMIT 1), salt, bytes FROM person.order_content
        WHERE authority = {WORD}""",
    "card_payment_not_as_signed": f"UPDATE cards.payment SET target = gen_random_uuid() WHERE id = {PAYMENT}",
    "card_state_differs": "UPDATE cards.refund SET state = 'created' WHERE state = 'pending'",
    "card_move_untold": f"DELETE FROM ledger.event WHERE subject = {PAYMENT}::text AND type = 'card_payment.succeeded'",
    "card_pending_differs": "UPDATE cards.refund SET entry = NULL WHERE state = 'pending'",
    "card_refund_differs": "UPDATE cards.refund SET amount = amount - 1 WHERE entry IS NOT NULL",
    "card_refund_settled_differs": """
        UPDATE cards.payment SET holder = (SELECT holder FROM ledger.account WHERE code = 'agency' LIMIT 1)
        WHERE id IN (SELECT payment FROM cards.refund WHERE settled_entry IS NOT NULL)""",
    "card_owed_differs": "UPDATE cards.refund SET settled_entry = NULL WHERE settled_entry IS NOT NULL",
    "card_refund_too_much": "UPDATE cards.refund SET amount = 1000000000",
    "card_dispute_differs": "UPDATE cards.dispute SET amount = amount - 1",
    "card_line_fee_differs": "UPDATE cards.line SET fee = fee + 1, net = net - 1 WHERE fee > 0",
    "card_payout_differs": "UPDATE cards.payout SET amount = amount + 1",
    "card_word_unkept": "UPDATE cards.line SET entry = NULL WHERE fee > 0",
}


@pytest.mark.parametrize("code", DEEDS)
def test_the_proof_names_what_was_tampered_with(counter, hoa, code):
    """Rows 116 to 118, of cards."""
    from wallet.cards import proof
    from wallet.ledger.proof import differences

    if code == next(iter(DEEDS)):
        _something_of_each(counter, hoa)
    with counter.owner.connect() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        assert {one.code for one in differences(connection, proof.QUESTIONS)} == set()
        connection.exec_driver_sql(DEEDS[code])
        assert code in {one.code for one in differences(connection, proof.QUESTIONS)}
        connection.rollback()


def _something_of_each(counter: Counter, who: Signer) -> None:
    disputes.record(counter.till, counter.acquirer.deny(counter.top_up(who, 15_000)), cause="notice", now=clock.now())
    failed = _owed_back(counter, who)
    counter.acquirer.faults.append("rejected")
    counter.rounds()
    _settle(counter, counter.city.operator(), counter.refunds(failed)[0].id)
    _owed_back(counter, who)
    counter.top_up(who, 90_000)
    counter.rounds()
    counter.acquirer.end_payout(counter.acquirer.pay_out().ref, PayoutState.PAID)
    counter.rounds()


def test_every_question_about_cards_is_provoked_by_a_deed():
    from wallet.cards import proof

    assert set(DEEDS) == set(proof.QUESTIONS)
