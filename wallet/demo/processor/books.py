"""The account at the processor: balance transactions, refunds, disputes and payouts.

Money   Fees are invented: 2,4 % and 2.500 ₫ for each charge, kept when it is refunded; 350.000 ₫ for each dispute.
"""

from typing import Any, Final

from wallet.demo.processor.cards import CARDS
from wallet.demo.processor.store import Thing
from wallet.demo.processor.wire import ApiError, missing, whole
from wallet.demo.processor.world import World

FEE_PER_MILLE: Final = 24
FEE_FIXED: Final = 2_500
DISPUTE_FEE: Final = 350_000

AVAILABLE_AFTER_S: Final = 2 * 86_400
EVIDENCE_S: Final = 7 * 86_400
ARRIVES_AFTER_S: Final = 86_400


def line(world: World, kind: str, amount: int, source: Thing, *, category: str = "", fee: int = 0) -> Thing:
    """Write one line of the account; the source names it."""
    return world.make(
        "balance_transaction",
        type=kind,
        reporting_category=category or kind,
        amount=amount,
        fee=fee,
        net=amount - fee,
        currency=source["currency"],
        source=source["id"],
        status="pending",
        available_on=world.clock() + AVAILABLE_AFTER_S,
        exchange_rate=None,
        fee_details=[{"amount": fee, "currency": source["currency"], "type": "stripe_fee"}] if fee else [],
        payout=None,
    )


def lines(world: World, params: Thing) -> Thing:
    """List the account's lines; `payout` narrows to what one payout pays, and itself."""
    return world.listing(
        "balance_transaction", params, url="/v1/balance_transactions", equal=("payout", "type", "source", "currency")
    )


def balance(world: World) -> Thing:
    """Return what the processor owes: all lines, payouts included."""
    owed = sum(each["net"] for each in world.store.newest("balance_transaction"))
    empty: list[Thing] = []
    return {
        "object": "balance",
        "livemode": False,
        "available": [{"amount": owed, "currency": "vnd", "source_types": {"card": owed}}],
        "pending": empty,
    }


# -- charges --------------------------------------------------------------------------------------------------------


def charge(world: World, intent: Thing, method: Thing, *, secured: bool) -> Thing:
    """Charge a card, for good or not; the caller says which by what the card does."""
    behaviour = CARDS[method["_number"]]
    made = world.make(
        "charge",
        amount=intent["amount"],
        amount_captured=0,
        amount_refunded=0,
        balance_transaction=None,
        captured=False,
        currency=intent["currency"],
        customer=intent["customer"],
        disputed=False,
        failure_code=None,
        failure_message=None,
        metadata=intent["metadata"],
        paid=False,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={
            "type": "card",
            "card": {**method["card"], "three_d_secure": {"result": "authenticated"} if secured else None},
        },
        refunded=False,
        status="failed",
    )
    if behaviour.decline:
        world.change(made, failure_code=behaviour.decline[0], failure_message="Your card was declined.")
        world.tell("charge.failed", made)
        return made
    fee = made["amount"] * FEE_PER_MILLE // 1000 + FEE_FIXED
    entry = line(world, "charge", made["amount"], made, fee=fee)
    taken = made["amount"]
    world.change(
        made, status="succeeded", paid=True, captured=True, amount_captured=taken, balance_transaction=entry["id"]
    )
    world.tell("charge.succeeded", made)
    return made


# -- refunds --------------------------------------------------------------------------------------------------------


def _charged(world: World, params: Thing) -> Thing:
    if "charge" in params:
        return world.need(params["charge"], "charge", param="charge")
    intent = world.need(params.get("payment_intent"), "payment_intent", param="payment_intent")
    found = world.store.get(str(intent["latest_charge"]))
    if found is None:
        raise ApiError(400, "payment_intent_unexpected_state", "This PaymentIntent has no successful charge to refund.")
    return found


def refund(world: World, params: Thing) -> Thing:
    """Send money of a charge back, never more than it took."""
    paid = _charged(world, params)
    if not paid["paid"]:
        raise ApiError(400, "charge_not_captured", "The charge has taken nothing.", param="charge")
    if paid["disputed"]:
        raise ApiError(400, "charge_disputed", f"Charge {paid['id']} has been charged back; cannot issue a refund.")
    left = paid["amount"] - paid["amount_refunded"]
    if left == 0:
        raise ApiError(400, "charge_already_refunded", f"Charge {paid['id']} has already been refunded.")
    amount = whole(params, "amount") if "amount" in params else left
    if amount > left:
        text = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise ApiError(400, "amount_too_large", text, param="amount")
    method = world.need(paid["payment_method"], "payment_method")
    how = CARDS[method["_number"]].refund
    made = world.make(
        "refund",
        amount=amount,
        balance_transaction=None,
        charge=paid["id"],
        currency=paid["currency"],
        failure_reason=None,
        metadata=params.get("metadata", {}),
        payment_intent=paid["payment_intent"],
        reason=params.get("reason"),
        status="succeeded" if how == "succeeded" else "pending",
        _ends=how,
    )
    world.change(made, balance_transaction=line(world, "refund", -amount, made)["id"])
    world.change(paid, amount_refunded=paid["amount_refunded"] + amount, refunded=left == amount)
    world.tell("refund.created", made)
    world.tell("charge.refunded", paid)
    return made


def end_refund(world: World, id: str) -> Thing:
    """Bring a pending refund to the end that its card has in store."""
    made = world.need(id, "refund")
    if made["status"] != "pending":
        return made
    if made["_ends"] == "failed":
        back = line(world, "refund_failure", made["amount"], made)
        world.change(
            made,
            status="failed",
            failure_reason="lost_or_stolen_card",
            failure_balance_transaction=back["id"],
        )
        paid = world.need(made["charge"], "charge")
        world.change(paid, amount_refunded=paid["amount_refunded"] - made["amount"], refunded=False)
        world.tell("refund.failed", made)
    else:
        world.change(made, status="succeeded")
        world.tell("refund.updated", made)
    return made


# -- disputes -------------------------------------------------------------------------------------------------------


def dispute(world: World, charge_id: str, *, reason: str = "fraudulent", inquiry: bool = False) -> Thing:
    """A card's holder denies a charge: what is left of it is taken from us at once, with a fee, unless it is an
    inquiry."""
    paid = world.need(charge_id, "charge")
    if paid["disputed"] or not paid["paid"] or paid["refunded"]:
        raise ApiError(400, "charge_disputed", f"Charge {charge_id} cannot be disputed.")
    amount = paid["amount"] - paid["amount_refunded"]
    made = world.make(
        "dispute",
        amount=amount,
        balance_transactions=[],
        charge=paid["id"],
        currency=paid["currency"],
        evidence={},
        evidence_details={"due_by": world.clock() + EVIDENCE_S, "has_evidence": False, "submission_count": 0},
        is_charge_refundable=inquiry,
        metadata={},
        payment_intent=paid["payment_intent"],
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
    )
    world.tell("charge.dispute.created", made)
    if not inquiry:
        world.change(paid, disputed=True)
        _withdraw(world, made)
    return made


def _withdraw(world: World, made: Thing) -> None:
    taken = line(world, "adjustment", -made["amount"], made, category="dispute", fee=DISPUTE_FEE)
    world.change(made, balance_transactions=[*made["balance_transactions"], taken])
    world.tell("charge.dispute.funds_withdrawn", made)


def answer_dispute(world: World, id: str, params: Thing) -> Thing:
    """Take evidence; with `submit` the bank looks at it."""
    made = world.need(id, "dispute")
    details = {**made["evidence_details"], "has_evidence": True}
    status = made["status"]
    if params.get("submit") == "true" and status.endswith("needs_response"):
        details["submission_count"] += 1
        status = status.replace("needs_response", "under_review")
    world.change(made, evidence=params.get("evidence", {}), evidence_details=details, status=status)
    world.tell("charge.dispute.updated", made)
    return made


def end_dispute(world: World, id: str, *, won: bool) -> Thing:
    """The bank has decided. Won: the amount comes back, the fee does not; lost: nothing moves any more."""
    made = world.need(id, "dispute")
    if made["status"] in ("won", "lost", "warning_closed"):
        raise ApiError(400, "dispute_closed", "This dispute is already closed.")
    if made["status"].startswith("warning"):
        world.change(made, status="warning_closed")
    elif won:
        back = line(world, "adjustment", made["amount"], made, category="dispute_reversal")
        world.change(made, status="won", balance_transactions=[*made["balance_transactions"], back])
        world.tell("charge.dispute.funds_reinstated", made)
    else:
        world.change(made, status="lost")
    world.tell("charge.dispute.closed", made)
    return made


# -- payouts --------------------------------------------------------------------------------------------------------


def pay_out(world: World, params: Thing) -> Thing:
    """Send everything that is owed to the bank account, and mark the lines that it pays.

    Raises:
        ApiError: nothing is owed.
    """
    unpaid = [each for each in world.store.newest("balance_transaction") if each["payout"] is None]
    amount = sum(each["net"] for each in unpaid)
    if amount <= 0:
        raise ApiError(400, "balance_insufficient", "There is nothing to be paid out.")
    if "amount" in params and whole(params, "amount") != amount:
        raise ApiError(400, "parameter_invalid", f"This stand-in pays out all of it: {amount}", param="amount")
    made = world.make(
        "payout",
        amount=amount,
        arrival_date=world.clock() + ARRIVES_AFTER_S,
        automatic=True,
        balance_transaction=None,
        currency="vnd",
        failure_balance_transaction=None,
        failure_code=None,
        metadata=params.get("metadata", {}),
        method="standard",
        reconciliation_status="completed",
        status="in_transit",
        type="bank_account",
    )
    own = line(world, "payout", -amount, made)
    for each in (*unpaid, own):
        world.change(each, payout=made["id"], status="available")
    world.change(made, balance_transaction=own["id"])
    world.tell("payout.created", made)
    return made


def end_payout(world: World, id: str, *, paid: bool) -> Thing:
    """The bank has taken the money, or has sent it back."""
    made = world.need(id, "payout")
    if made["status"] != "in_transit":
        raise ApiError(400, "payout_not_in_transit", "This payout has ended.")
    if paid:
        world.change(made, status="paid")
        world.tell("payout.paid", made)
        return made
    back = line(world, "payout_failure", made["amount"], made, category="payout_reversal")
    world.change(made, status="failed", failure_code="account_closed", failure_balance_transaction=back["id"])
    world.tell("payout.failed", made)
    return made


def resolve(world: World, what: str, id: str) -> Any:
    """Carry out what a person presses on the dashboard.

    Raises:
        ApiError: there is no such button.
    """
    buttons = {
        "dispute": lambda: dispute(world, id),
        "inquiry": lambda: dispute(world, id, inquiry=True),
        "win": lambda: end_dispute(world, id, won=True),
        "lose": lambda: end_dispute(world, id, won=False),
        "payout": lambda: pay_out(world, {}),
        "arrive": lambda: end_payout(world, id, paid=True),
        "bounce": lambda: end_payout(world, id, paid=False),
        "end_refund": lambda: end_refund(world, id),
    }
    if what not in buttons:
        raise missing(what, "what")
    return buttons[what]()
