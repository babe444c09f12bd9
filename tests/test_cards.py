"""The gate for Stripe: the real SDK against the stand-in, over HTTP."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import stripe

from tests.acquirers import KEY, SECRET, StripeBench, stripe_bench
from tests.test_acquirer import charge
from wallet.config import StripeKeys
from wallet.demo.processor.deliver import signature
from wallet.gates.acquirer import (
    About,
    Busy,
    Card,
    Failure,
    InDoubt,
    KeyReused,
    LinkingState,
    NotGenuine,
    Notice,
    Payment,
    PaymentState,
    RefundState,
    Rejected,
)
from wallet.gates.cards import StripeCards, minor
from wallet.money import Dong

BACK, AWAY = "http://localhost:8000/xong?a=1", "http://localhost:8000/thoi"


@pytest.fixture(scope="module")
def processor() -> Iterator[StripeBench]:
    with stripe_bench() as made:
        yield made


@pytest.fixture
def bench(processor: StripeBench) -> StripeBench:
    processor.clock.at += 86_400  # each test has a day of its own
    return processor


def linked(bench: StripeBench, card: str) -> Card:
    customer = bench.acquirer.make_customer(id=uuid4())
    begun = bench.acquirer.begin_linking(id=uuid4(), customer=customer, back_to=BACK, given_up=AWAY)
    assert begun.page is not None
    assert bench.enter(begun.page, card) == BACK
    found = bench.acquirer.linking(begun.ref)
    assert (found.state, found.page, found.id) == (LinkingState.SUCCEEDED, None, begun.id)
    assert found.card is not None
    return found.card


def pay(bench: StripeBench, card: str, amount: int = 50_000, **changes) -> Payment:
    held = linked(bench, card)
    customer = bench.world.need(held.ref, "payment_method")["customer"]
    return bench.acquirer.begin_payment(charge(bench, amount, customer=customer, card=held.ref, **changes))


# -- money ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [15_000, 50_000, 1_234_567, 99_999_999])
def test_dong_have_no_smaller_unit_at_stripe(bench: StripeBench, amount: int) -> None:
    """Row 18: 50.000 ₫ is 50000 on the wire, never 5000000."""
    assert minor(Dong(amount)) == amount
    asked = charge(bench, amount)
    begun = bench.acquirer.begin_payment(asked)
    on_the_wire = bench.world.need(begun.ref, "checkout.session")
    assert (on_the_wire["amount_total"], on_the_wire["currency"]) == (amount, "vnd")


# -- linking --------------------------------------------------------------------------------------------------------


def test_a_card_is_linked_listed_and_forgotten(bench: StripeBench) -> None:
    card = linked(bench, "mastercard")
    assert (card.brand, card.last4, card.exp_month, card.exp_year) == ("mastercard", "4444", 12, 2030)
    customer = bench.world.need(card.ref, "payment_method")["customer"]
    assert bench.acquirer.cards(customer) == (card,)
    bench.acquirer.forget_card(card.ref)
    assert bench.acquirer.cards(customer) == ()
    bench.acquirer.forget_card(card.ref)
    bench.acquirer.forget_card("pm_never")


def test_the_same_card_linked_twice_has_one_fingerprint(bench: StripeBench) -> None:
    assert linked(bench, "good").fingerprint == linked(bench, "good").fingerprint != linked(bench, "secure").fingerprint


def test_no_answer_shows_a_cards_number(bench: StripeBench) -> None:
    card = linked(bench, "good")
    shown = bench.processor.api.answer("GET", f"/v1/payment_methods/{card.ref}", "").body
    assert "4242424242424242" not in json.dumps(shown)
    assert not [
        name for event in bench.world.store.newest("event") for name in event["data"]["object"] if name[0] == "_"
    ]
    assert b"4242424242424242" not in b"".join(body for body, _ in bench.sent())


def test_a_linking_that_was_refused_leaves_no_card(bench: StripeBench) -> None:
    customer = bench.acquirer.make_customer(id=uuid4())
    begun = bench.acquirer.begin_linking(id=uuid4(), customer=customer, back_to=BACK, given_up=AWAY)
    assert begun.page is not None
    assert bench.enter(begun.page, "declined") == ""
    assert bench.enter(begun.page, "secure", answer="fail") == ""
    assert bench.acquirer.linking(begun.ref).state is LinkingState.OPEN
    assert bench.acquirer.cards(customer) == ()
    bench.clock.at += 86_400
    assert bench.acquirer.linking(begun.ref).state is LinkingState.CANCELLED


def test_a_card_entered_for_a_payment_may_be_kept(bench: StripeBench) -> None:
    asked = charge(bench, keep_card=True)
    page = bench.acquirer.begin_payment(asked).page
    assert page is not None
    bench.enter(page, "good")
    assert [card.last4 for card in bench.acquirer.cards(asked.customer)] == ["4242"]


# -- paying ---------------------------------------------------------------------------------------------------------


def test_a_linked_card_pays_at_once(bench: StripeBench) -> None:
    done = pay(bench, "good")
    assert (done.state, done.received, done.page) == (PaymentState.SUCCEEDED, 50_000, None)
    assert done.card is not None
    assert done.card.last4 == "4242"


@pytest.mark.parametrize(
    ("card", "answer", "state", "failure"),
    [
        ("secure", "pass", PaymentState.SUCCEEDED, None),
        ("secure", "fail", PaymentState.FAILED, Failure.AUTHENTICATION),
        ("secure_declined", "pass", PaymentState.FAILED, Failure.DECLINED),
    ],
)
def test_three_d_secure_leads_back_with_no_proof_and_the_processor_says_how_it_ended(
    bench: StripeBench, card: str, answer: str, state: PaymentState, failure: Failure | None
) -> None:
    begun = pay(bench, card, back_to=BACK)
    assert begun.state is PaymentState.REQUIRES_ACTION
    assert begun.page is not None
    assert begun.page.startswith(bench.acquirer.origins)
    to = bench.follow(begun.page, answer=answer)
    assert to.startswith(f"{BACK}&payment_intent={begun.ref}")
    done = bench.acquirer.payment(begun.ref)
    assert (done.state, done.failure, done.page) == (state, failure, None)
    assert done.received == (50_000 if state is PaymentState.SUCCEEDED else 0)


def test_a_browser_closed_in_three_d_secure_blocks_nothing(bench: StripeBench) -> None:
    begun = pay(bench, "secure")
    assert begun.page is not None
    assert bench.acquirer.cancel_payment(begun.ref).state is PaymentState.CANCELLED
    bench.follow(begun.page)
    assert bench.acquirer.payment(begun.ref).state is PaymentState.CANCELLED


def test_an_answer_to_three_d_secure_counts_once(bench: StripeBench) -> None:
    begun = pay(bench, "secure")
    assert begun.page is not None
    bench.follow(begun.page, answer="pass")
    bench.follow(begun.page, answer="pass")
    bench.follow(begun.page, answer="fail")
    assert bench.acquirer.payment(begun.ref).received == 50_000
    assert len(list(bench.acquirer.balance_lines(since=bench.now))) == 1


def test_a_declined_linked_card_is_an_answer(bench: StripeBench) -> None:
    done = pay(bench, "declines_later")
    assert (done.state, done.failure, done.failure_code) == (
        PaymentState.FAILED,
        Failure.DECLINED,
        "generic_decline",
    )
    assert done.received == 0


@pytest.mark.parametrize(
    ("card", "failure"),
    [
        ("funds", Failure.FUNDS),
        ("lost", Failure.LOST_OR_STOLEN),
        ("expired", Failure.EXPIRED_CARD),
        ("cvc", Failure.WRONG_CODE),
        ("limit", Failure.LIMIT),
        ("again", Failure.TRY_AGAIN),
        ("declined", Failure.DECLINED),
    ],
)
def test_a_decline_is_told_in_words_that_help(bench: StripeBench, card: str, failure: Failure) -> None:
    asked = charge(bench)
    begun = bench.acquirer.begin_payment(asked)
    assert begun.page is not None
    bench.enter(begun.page, card)
    bench.acquirer.cancel_payment(begun.ref)
    (intent,) = [each for each in bench.world.store.newest("payment_intent") if each["customer"] == asked.customer]
    bench.world.change(intent, status="requires_payment_method")
    assert bench.acquirer.payment(intent["id"]).failure is failure


def test_a_declined_card_on_a_page_is_not_the_end_whichever_ref_is_asked(bench: StripeBench) -> None:
    """Its event names the intent, which alone looks as if it had failed."""
    begun = bench.acquirer.begin_payment(charge(bench))
    assert begun.page is not None
    bench.enter(begun.page, "declined")
    (told,) = [n for n in bench.acquirer.notices(since=bench.now) if n.kind == "payment_intent.payment_failed"]
    assert told.subject != begun.ref
    asked = bench.acquirer.payment(told.subject)
    assert (asked.state, asked.page, asked.failure) == (PaymentState.REQUIRES_ACTION, begun.page, None)
    assert bench.acquirer.cancel_payment(told.subject).state is PaymentState.CANCELLED


def test_a_page_closes_at_its_time(bench: StripeBench) -> None:
    begun = bench.acquirer.begin_payment(charge(bench, until=bench.now + timedelta(minutes=30)))
    assert begun.page is not None
    bench.clock.at += 1_800
    bench.enter(begun.page, "good")
    assert bench.acquirer.payment(begun.ref).state is PaymentState.CANCELLED


def test_a_card_of_another_customer_is_refused(bench: StripeBench) -> None:
    with pytest.raises(Rejected):
        bench.acquirer.begin_payment(charge(bench, card=linked(bench, "good").ref))


# -- doubt ----------------------------------------------------------------------------------------------------------


def in_doubt(bench: StripeBench, fault: str, **values) -> tuple[UUID, str]:
    held = linked(bench, "good")
    customer = str(bench.world.need(held.ref, "payment_method")["customer"])
    id = uuid4()
    bench.fault(fault, "POST /v1/payment_intents", **values)
    with pytest.raises(InDoubt):
        bench.acquirer.begin_payment(charge(bench, id=id, customer=customer, card=held.ref))
    return id, customer


@pytest.mark.parametrize("fault", ["lose_reply", "error_after"])
def test_a_charge_whose_answer_was_lost_is_found_and_was_made_once(bench: StripeBench, fault: str) -> None:
    """Rows 36 and 97: succeeded, and answered with nothing or with 500."""
    id, customer = in_doubt(bench, fault)
    found = bench.acquirer.find_payment(id=id, customer=customer, since=bench.now)
    assert found is not None
    assert (found.state, found.received) == (PaymentState.SUCCEEDED, 50_000)
    assert len(list(bench.acquirer.balance_lines(since=bench.now))) == 1


@pytest.mark.parametrize("fault", ["lose_request", "error_before"])
def test_a_charge_that_never_arrived_is_not_found(bench: StripeBench, fault: str) -> None:
    id, customer = in_doubt(bench, fault)
    assert bench.acquirer.find_payment(id=id, customer=customer, since=bench.now) is None
    assert list(bench.acquirer.balance_lines(since=bench.now)) == []


def test_an_answer_that_comes_too_late_is_in_doubt(bench: StripeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallet.gates.cards.TIMEOUT_S", 0.05)
    bench.acquirer = StripeCards(bench.keys)
    id, customer = in_doubt(bench, "hang", value=0.2)
    monkeypatch.undo()
    bench.acquirer = StripeCards(bench.keys)
    assert bench.acquirer.find_payment(id=id, customer=customer, since=bench.now) is not None


def test_a_processor_that_is_down_is_in_doubt(bench: StripeBench) -> None:
    away = StripeCards(StripeKeys(api_key=KEY, webhook_secrets=(SECRET,), api_base="http://127.0.0.1:1"))
    with pytest.raises(InDoubt):
        away.begin_payment(charge(bench))


def test_a_page_that_is_none_of_stripes_is_no_word_of_stripes(bench: StripeBench) -> None:
    """A proxy's 404 must not be read as "there is no such payment"."""
    keys = StripeKeys(api_key=KEY, webhook_secrets=(SECRET,), api_base=f"{bench.processor.base}/elsewhere")
    with pytest.raises(InDoubt):
        StripeCards(keys).payment("pi_1")
    with pytest.raises(InDoubt):
        StripeCards(keys).find_payment(id=uuid4(), customer="cus_1", since=bench.now)


def test_a_repeated_id_gets_the_answer_it_had_even_a_bad_one(bench: StripeBench) -> None:
    """Stripe keeps the result of a key, 500s too: repeating is no way out of doubt, asking is."""
    held = linked(bench, "good")
    customer = bench.world.need(held.ref, "payment_method")["customer"]
    asked = charge(bench, customer=customer, card=held.ref)
    bench.fault("error_after", "POST /v1/payment_intents")
    for _ in range(2):
        with pytest.raises(InDoubt):
            bench.acquirer.begin_payment(asked)
    assert len(list(bench.acquirer.balance_lines(since=bench.now))) == 1


def test_an_id_is_forgotten_after_a_day_and_so_doubt_is_never_resolved_by_repeating(bench: StripeBench) -> None:
    """Row 97: the key reused after 24 h is a new charge."""
    held = linked(bench, "good")
    customer = bench.world.need(held.ref, "payment_method")["customer"]
    asked, begun_at = charge(bench, customer=customer, card=held.ref), bench.now
    first = bench.acquirer.begin_payment(asked)
    assert bench.acquirer.begin_payment(asked) == first
    bench.clock.at += 86_400
    found = bench.acquirer.find_payment(id=asked.id, customer=customer, since=begun_at)
    assert found == first
    assert bench.acquirer.begin_payment(asked).ref != first.ref


def test_too_many_requests_did_nothing(bench: StripeBench) -> None:
    bench.fault("rate_limit")
    with pytest.raises(Busy):
        bench.acquirer.make_customer(id=uuid4())


def test_a_key_under_way_is_busy(bench: StripeBench) -> None:
    id = uuid4()
    with bench.processor.api._alone(str(id)), pytest.raises(Busy):
        bench.acquirer.make_customer(id=id)
    assert bench.acquirer.make_customer(id=id).startswith("cus_")


def test_one_id_for_two_purposes_is_a_bug_of_ours(bench: StripeBench) -> None:
    id = uuid4()
    customer = bench.acquirer.make_customer(id=id)
    with pytest.raises(KeyReused):
        bench.acquirer.begin_linking(id=id, customer=customer, back_to=BACK, given_up=AWAY)


def test_a_wrong_key_says_nothing_about_a_card(bench: StripeBench) -> None:
    """Nothing was done, and it is asked again: a key that is being changed must not end a refund for good."""
    stranger = StripeCards(
        StripeKeys(api_key="sk_test_other", webhook_secrets=(SECRET,), api_base=bench.processor.base)
    )
    with pytest.raises(Busy):
        stranger.make_customer(id=uuid4())


def test_a_parameter_that_the_version_does_not_know_is_refused_by_the_stand_in(bench: StripeBench) -> None:
    """Silence would hide it until the first real card: `payment_method_types` went with the version Endive."""
    form = "amount=50000&currency=vnd&payment_method_types[]=card"
    answer = bench.processor.api.answer("POST", "/v1/payment_intents", form)
    assert (answer.status, answer.body["error"]["code"]) == (400, "parameter_unknown")


# -- refunds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "state", "lines"), [("refund_fails", RefundState.FAILED, 3), ("refund_later", RefundState.SUCCEEDED, 2)]
)
def test_a_refund_may_end_later_and_otherwise(bench: StripeBench, card: str, state: RefundState, lines: int) -> None:
    done = pay(bench, card)
    made = bench.acquirer.begin_refund(id=uuid4(), payment_ref=done.ref, amount=Dong(50_000))
    assert made.state is RefundState.PENDING
    bench.browse(f"{bench.processor.base}/dashboard/end_refund/{made.ref}", {})
    ended = bench.acquirer.refund(made.ref)
    assert ended.state is state
    assert bool(ended.failure_code) is (state is RefundState.FAILED)
    assert len(list(bench.acquirer.balance_lines(since=bench.now))) == lines


# -- notices --------------------------------------------------------------------------------------------------------

EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "created": 1_763_780_400,
    "livemode": False,
    "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 50_000, "currency": "vnd", "metadata": {}}},
}
SECOND = "whsec_the_one_that_follows_0123"


def read(bench: StripeBench, event: dict, **changes) -> Notice:
    body = json.dumps({**event, **changes}).encode()
    headers = {"stripe-signature": signature(body, SECRET, bench.clock.at)}
    return bench.acquirer.read_notice(body, headers, now=bench.now)


def headers_of(body: bytes, at: int) -> dict[str, str]:
    good, v1 = signature(body, SECRET, at), signature(body, SECRET, at).split("v1=")[1]
    other = signature(body, SECOND, at).split("v1=")[1]
    return {
        "no header": "",
        "no time": f"v1={v1}",
        "no signature": f"t={at}",
        "v0 only": f"t={at},v0={v1}",
        "wrong secret": signature(body, SECOND, at),
        "two wrong": f"t={at},v1={other},v1={other}",
        "two times": f"t={at},t={at - 1},v1={v1}",
        "no number": f"t=now,v1={v1}",
        "negative": f"t=-{at},v1={v1}",
        "old": signature(body, SECRET, at - 301),
        "ahead": signature(body, SECRET, at + 301),
        "another time": good.replace(str(at), str(at - 1)),
        "not ascii": f"t={at},v1=é{v1}",
    }


BODY = json.dumps(EVENT).encode()


@pytest.mark.parametrize("name", headers_of(BODY, 0))
def test_a_signature_that_is_not_ours_to_believe(bench: StripeBench, name: str) -> None:
    """Row 89, each on its own; the good one passes."""
    bad = headers_of(BODY, bench.clock.at)[name]
    with pytest.raises(NotGenuine):
        bench.acquirer.read_notice(BODY, {"Stripe-Signature": bad}, now=bench.now)
    good = {"STRIPE-SIGNATURE": signature(BODY, SECRET, bench.clock.at - 299)}
    assert bench.acquirer.read_notice(BODY, good, now=bench.now).ref == "evt_1"


def test_the_sdk_itself_agrees_on_what_is_genuine(bench: StripeBench) -> None:
    for body, headers in bench.sent()[:3]:
        assert stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], SECRET)


def test_secrets_rotate_with_an_overlap(bench: StripeBench) -> None:
    """Row 96: two signatures while one secret follows the other; the old one alone is refused afterwards."""
    both = StripeCards(StripeKeys(api_key=KEY, webhook_secrets=(SECRET, SECOND), api_base=bench.processor.base))
    after = StripeCards(StripeKeys(api_key=KEY, webhook_secrets=(SECOND,), api_base=bench.processor.base))
    at = bench.clock.at
    old, new = signature(BODY, SECRET, at), signature(BODY, SECOND, at)
    for header in (old, new, f"{old},{new.split(',')[1]}"):
        assert both.read_notice(BODY, {"Stripe-Signature": header}, now=bench.now).ref == "evt_1"
    assert after.read_notice(BODY, {"Stripe-Signature": f"{old},{new.split(',')[1]}"}, now=bench.now).ref == "evt_1"
    with pytest.raises(NotGenuine):
        after.read_notice(BODY, {"Stripe-Signature": old}, now=bench.now)


def test_mode_account_amount_and_currency_are_told_as_they_stand(bench: StripeBench) -> None:
    """Rows 90 and 91: the caller decides, so it must be told."""
    assert read(bench, EVENT, livemode=True).live
    assert read(bench, EVENT, account="acct_other").account == "acct_other"
    thing = {**EVENT["data"]["object"], "amount": 1, "currency": "usd", "metadata": {"id": "no-uuid"}}
    told = read(bench, EVENT, data={"object": thing})
    assert (told.amount, told.currency, told.id, told.account) == (1, "USD", None, None)


@pytest.mark.parametrize(
    ("thing", "about", "subject"),
    [
        ({"object": "payment_intent", "id": "pi_1"}, About.PAYMENT, "pi_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, About.PAYMENT, "pi_1"),
        ({"object": "checkout.session", "id": "cs_1", "mode": "payment"}, About.PAYMENT, "cs_1"),
        ({"object": "checkout.session", "id": "cs_1", "mode": "setup"}, About.LINKING, "cs_1"),
        ({"object": "refund", "id": "re_1"}, About.REFUND, "re_1"),
        ({"object": "dispute", "id": "du_1"}, About.DISPUTE, "du_1"),
        ({"object": "payout", "id": "po_1"}, About.PAYOUT, "po_1"),
        ({"object": "payment_method", "id": "pm_1"}, About.CARD, "pm_1"),
        ({"object": "invoice", "id": "in_1"}, About.OTHER, "in_1"),
    ],
)
def test_each_event_says_what_to_read_again(bench: StripeBench, thing: dict, about: About, subject: str) -> None:
    told = read(bench, EVENT, data={"object": thing})
    assert (told.about, told.subject) == (about, subject)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"x"', b"null", b'{"data":{"object":[]},"type":"x","id":"y"}'])
def test_signed_nonsense_is_refused(bench: StripeBench, body: bytes) -> None:
    header = {"Stripe-Signature": signature(body, SECRET, bench.clock.at)}
    with pytest.raises(NotGenuine):
        bench.acquirer.read_notice(body, header, now=bench.now)


def test_a_live_gate_shows_stripes_own_pages() -> None:
    real = StripeCards(StripeKeys(api_key="sk_live_x", webhook_secrets=(SECRET,)))
    assert (real.live, real.origins) == (True, ("https://checkout.stripe.com", "https://hooks.stripe.com"))


def test_a_dispute_that_comes_at_once_is_told(bench: StripeBench) -> None:
    done = pay(bench, "disputes")
    (told,) = [n for n in bench.acquirer.notices(since=bench.now) if n.kind == "charge.dispute.created"]
    dispute = bench.acquirer.dispute(told.subject)
    assert (dispute.payment, dispute.payment_ref) == (done.id, done.ref)
    assert isinstance(dispute.made_at, datetime)
