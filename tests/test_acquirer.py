"""The contract of every card acquirer, held against two that have little in common."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.acquirers import Bench, DomesticBench, stripe_bench
from wallet.gates.acquirer import (
    About,
    Charge,
    DisputeState,
    InDoubt,
    KeyReused,
    LineKind,
    NotGenuine,
    Payment,
    PaymentState,
    PayoutState,
    RefundState,
    Rejected,
    Unknown,
)
from wallet.money import Dong


@pytest.fixture(params=["stripe", "napas"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "napas":
        yield DomesticBench()
        return
    with stripe_bench() as made:
        yield made


def charge(bench: Bench, amount: int = 50_000, **changes) -> Charge:
    customer = bench.acquirer.make_customer(id=uuid4())
    values = {"back_to": "http://localhost:8000/xong", "given_up": "http://localhost:8000/thoi"}
    return Charge(**{"id": uuid4(), "customer": customer, "amount": Dong(amount), **values, **changes})


def paid(bench: Bench, amount: int = 50_000) -> Payment:
    asked = charge(bench, amount)
    page = bench.acquirer.begin_payment(asked).page
    assert page is not None
    bench.enter(page, "good")
    found = bench.acquirer.find_payment(id=asked.id, customer=asked.customer, since=bench.now)
    assert found is not None
    assert found.state is PaymentState.SUCCEEDED
    return found


# -- payments -------------------------------------------------------------------------------------------------------


def test_a_payment_over_a_page_is_asked_done_and_read(bench: Bench) -> None:
    asked = charge(bench)
    begun = bench.acquirer.begin_payment(asked)
    assert (begun.id, begun.state, begun.received) == (asked.id, PaymentState.REQUIRES_ACTION, 0)
    assert begun.page is not None
    assert begun.page.startswith(bench.acquirer.origins)
    bench.enter(begun.page, "good")
    done = bench.acquirer.payment(begun.ref)
    assert (done.id, done.state, done.page, done.live) == (asked.id, PaymentState.SUCCEEDED, None, False)
    assert (done.amount, done.received, done.currency) == (50_000, 50_000, "VND")
    assert done.card is not None
    assert len(done.card.last4) == 4


def test_the_same_id_asks_once_and_with_other_values_not_at_all(bench: Bench) -> None:
    asked = charge(bench)
    first, second = bench.acquirer.begin_payment(asked), bench.acquirer.begin_payment(asked)
    assert first == second
    other = charge(bench, 60_000, id=asked.id, customer=asked.customer)
    with pytest.raises(KeyReused):
        bench.acquirer.begin_payment(other)
    assert bench.acquirer.payment(first.ref).amount == 50_000


def test_a_declined_card_leaves_the_page_open_for_another(bench: Bench) -> None:
    begun = bench.acquirer.begin_payment(charge(bench))
    assert begun.page is not None
    bench.enter(begun.page, "declined")
    assert bench.acquirer.payment(begun.ref).state is PaymentState.REQUIRES_ACTION
    bench.enter(begun.page, "good")
    assert bench.acquirer.payment(begun.ref).received == 50_000
    assert bench.owed() <= 50_000


def test_a_page_that_is_given_up_takes_no_card_any_more(bench: Bench) -> None:
    begun = bench.acquirer.begin_payment(charge(bench))
    assert begun.page is not None
    assert bench.acquirer.cancel_payment(begun.ref).state is PaymentState.CANCELLED
    bench.enter(begun.page, "good")
    found = bench.acquirer.payment(begun.ref)
    assert (found.state, found.received, found.page) == (PaymentState.CANCELLED, 0, None)


def test_giving_up_what_is_paid_already_tells_so(bench: Bench) -> None:
    done = paid(bench)
    assert bench.acquirer.cancel_payment(done.ref).state is PaymentState.SUCCEEDED


def test_a_page_opened_twice_pays_once(bench: Bench) -> None:
    begun = bench.acquirer.begin_payment(charge(bench))
    assert begun.page is not None
    bench.enter(begun.page, "good")
    bench.enter(begun.page, "good")
    assert bench.acquirer.payment(begun.ref).received == 50_000
    assert [line.kind for line in bench.acquirer.balance_lines(since=bench.now)] == [LineKind.CHARGE]


@pytest.mark.parametrize("fault", ["lose_reply", "error_after"])
def test_a_lost_answer_is_in_doubt_and_found_by_asking(bench: Bench, fault: str) -> None:
    """Row 97: it was done and nobody told us."""
    asked = charge(bench)
    bench.fault(fault)
    with pytest.raises(InDoubt):
        bench.acquirer.begin_payment(asked)
    found = bench.acquirer.find_payment(id=asked.id, customer=asked.customer, since=bench.now)
    assert found is not None
    assert (found.id, found.amount) == (asked.id, 50_000)
    assert bench.acquirer.payment(found.ref) == found


def test_a_lost_request_is_in_doubt_and_not_found(bench: Bench) -> None:
    asked = charge(bench)
    bench.fault("lose_request")
    with pytest.raises(InDoubt):
        bench.acquirer.begin_payment(asked)
    assert bench.acquirer.find_payment(id=asked.id, customer=asked.customer, since=bench.now) is None


def test_another_holders_payment_is_not_found_for_ours(bench: Bench) -> None:
    done = paid(bench)
    assert done.customer is not None
    assert bench.acquirer.find_payment(id=uuid4(), customer=done.customer, since=bench.now) is None


def test_an_amount_out_of_range_is_refused_and_nothing_is_made(bench: Bench) -> None:
    least, most = bench.acquirer.amounts
    for amount in (least // 2, most + 1):
        asked = charge(bench, amount)
        with pytest.raises(Rejected):
            bench.acquirer.begin_payment(asked)
        assert bench.acquirer.find_payment(id=asked.id, customer=asked.customer, since=bench.now) is None


def test_what_was_never_made_is_unknown(bench: Bench) -> None:
    for ref in ("pi_none", "cs_test_none"):
        with pytest.raises(Unknown):
            bench.acquirer.payment(ref)
    with pytest.raises(Unknown):
        bench.acquirer.refund("re_none")


# -- refunds --------------------------------------------------------------------------------------------------------


def test_refunds_are_capped_by_the_charge_and_each_id_sends_once(bench: Bench) -> None:
    done, first = paid(bench), uuid4()
    made = bench.acquirer.begin_refund(id=first, payment_ref=done.ref, amount=Dong(20_000))
    assert (made.id, made.amount, made.currency, made.payment_ref) == (first, 20_000, "VND", done.ref)
    assert bench.acquirer.begin_refund(id=first, payment_ref=done.ref, amount=Dong(20_000)) == made
    with pytest.raises(KeyReused):
        bench.acquirer.begin_refund(id=first, payment_ref=done.ref, amount=Dong(20_001))
    with pytest.raises(Rejected):
        bench.acquirer.begin_refund(id=uuid4(), payment_ref=done.ref, amount=Dong(30_001))
    bench.acquirer.begin_refund(id=uuid4(), payment_ref=done.ref, amount=Dong(30_000))
    with pytest.raises(Rejected):
        bench.acquirer.begin_refund(id=uuid4(), payment_ref=done.ref, amount=Dong(1_000))
    assert bench.acquirer.payment(done.ref).refunded == 50_000
    assert bench.acquirer.refund(made.ref).state is RefundState.SUCCEEDED


def test_a_refund_whose_answer_was_lost_is_found_by_asking(bench: Bench) -> None:
    done, id = paid(bench), uuid4()
    assert bench.acquirer.find_refund(id=id, payment_ref=done.ref) is None
    bench.fault("lose_reply")
    with pytest.raises(InDoubt):
        bench.acquirer.begin_refund(id=id, payment_ref=done.ref, amount=Dong(50_000))
    found = bench.acquirer.find_refund(id=id, payment_ref=done.ref)
    assert found is not None
    assert (found.id, found.amount) == (id, 50_000)
    assert bench.acquirer.payment(done.ref).refunded == 50_000


# -- disputes, lines and payouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_takes_the_money_and_gives_it_back_only_when_won(bench: Bench, won: bool) -> None:
    done = paid(bench)
    ref = bench.raise_dispute(done.ref)
    opened = bench.acquirer.dispute(ref)
    assert (opened.state, opened.payment, opened.payment_ref) == (DisputeState.OPENED, done.id, done.ref)
    assert (opened.amount, opened.currency) == (50_000, "VND")
    assert opened.evidence_due is not None
    assert opened.evidence_due > bench.now
    assert bench.acquirer.payment(done.ref).disputed
    with pytest.raises(Rejected):
        bench.acquirer.begin_refund(id=uuid4(), payment_ref=done.ref, amount=Dong(50_000))
    bench.decide(ref, won=won)
    assert bench.acquirer.dispute(ref).state is (DisputeState.WON if won else DisputeState.LOST)
    kinds = [line.kind for line in bench.acquirer.balance_lines(since=bench.now)]
    assert kinds == [LineKind.CHARGE, LineKind.DISPUTE] + [LineKind.DISPUTE_WON] * won


def test_the_lines_come_to_what_is_owed_and_name_our_ids(bench: Bench) -> None:
    done, refund = paid(bench, 400_000), uuid4()
    paid(bench, 70_000)
    bench.acquirer.begin_refund(id=refund, payment_ref=done.ref, amount=Dong(30_000))
    lines = list(bench.acquirer.balance_lines(since=bench.now))
    assert [(line.kind, line.amount) for line in lines] == [
        (LineKind.CHARGE, 400_000),
        (LineKind.CHARGE, 70_000),
        (LineKind.REFUND, -30_000),
    ]
    assert all(line.net == line.amount - line.fee and line.currency == "VND" for line in lines)
    assert sum(line.net for line in lines) == bench.owed()
    assert (lines[0].payment, lines[0].payment_ref, lines[2].refund) == (done.id, done.ref, refund)
    assert lines[2].payment_ref == done.ref
    assert len({line.ref for line in lines}) == 3


def test_a_payout_pays_its_lines_and_leaves_nothing_owed(bench: Bench) -> None:
    paid(bench, 400_000)
    paid(bench, 70_000)
    ref = bench.pay_out()
    sent = bench.acquirer.payout(ref)
    assert (sent.state, sent.currency) == (PayoutState.IN_TRANSIT, "VND")
    assert sent.amount == sum(line.net for line in bench.acquirer.payout_lines(ref)) > 0
    assert bench.owed() == 0
    assert sum(line.net for line in bench.acquirer.balance_lines(since=bench.now)) == 0
    bench.arrive(ref)
    assert bench.acquirer.payout(ref).state is PayoutState.PAID
    assert [each.ref for each in bench.acquirer.payouts(since=bench.now)] == [ref]


def test_lines_before_an_instant_are_left_out(bench: Bench) -> None:
    paid(bench)
    later = bench.now + timedelta(seconds=1)
    assert list(bench.acquirer.balance_lines(since=later)) == []
    assert list(bench.acquirer.notices(since=later)) == []


# -- notices --------------------------------------------------------------------------------------------------------


def test_a_notice_names_what_to_read_and_is_the_same_each_time(bench: Bench) -> None:
    done = paid(bench)
    sent = bench.sent()
    read = [bench.acquirer.read_notice(body, headers, now=bench.now) for body, headers in sent]
    ours = [notice for notice in read if notice.about is About.PAYMENT and notice.subject == done.ref]
    assert ours
    assert {(notice.id, notice.amount, notice.currency) for notice in ours} == {(done.id, 50_000, "VND")}
    assert not any(notice.live or notice.account for notice in read)
    assert [bench.acquirer.read_notice(body, headers, now=bench.now) for body, headers in sent] == read
    assert list(bench.acquirer.notices(since=bench.now)) == read


def test_a_changed_or_old_notice_is_not_genuine(bench: Bench) -> None:
    """Rows 89 and 92."""
    paid(bench)
    body, headers = bench.sent()[-1]
    changed = body.replace(b"50000", b"90000")
    assert changed != body
    for bad in (changed, body + b" ", body[:-1], b"", b"\xff\xfe"):
        with pytest.raises(NotGenuine):
            bench.acquirer.read_notice(bad, headers, now=bench.now)
    for away in (timedelta(hours=1), timedelta(hours=-1)):
        with pytest.raises(NotGenuine):
            bench.acquirer.read_notice(body, headers, now=bench.now + away)


def test_disputes_and_payouts_are_told(bench: Bench) -> None:
    dispute, _ = bench.raise_dispute(paid(bench).ref), paid(bench, 5_000_000)
    payout = bench.pay_out()
    told = {(notice.about, notice.subject) for notice in bench.acquirer.notices(since=bench.now)}
    assert (About.DISPUTE, dispute) in told
    assert (About.PAYOUT, payout) in told
