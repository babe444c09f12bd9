"""Cards, intents and Checkout sessions: from a card that a person enters to money that it pays."""

import hashlib
from typing import Final

from wallet.demo.processor import books
from wallet.demo.processor.cards import CARDS, known
from wallet.demo.processor.store import Thing
from wallet.demo.processor.wire import ApiError, whole, wrong
from wallet.demo.processor.world import World

CURRENCIES: Final = frozenset({"vnd", "usd", "jpy"})
SESSION_S: Final = 86_400
SESSION_S_MIN: Final = 1_800
AMOUNT_MAX: Final = 99_999_999
"""Amounts have at most eight digits."""
AMOUNT_MIN: Final = {"vnd": 13_000, "usd": 50, "jpy": 50}

OVER: Final = ("succeeded", "canceled")

# -- cards ----------------------------------------------------------------------------------------------------------


def make_method(world: World, card: Thing) -> Thing:
    """Keep a card as a payment method; its number is for the stand-in alone and is shown by no answer.

    Raises:
        ApiError: the number is no test card's, or its date is no date.
    """
    number = "".join(str(card.get("number", "")).split())
    test = known(number)
    if test is None:
        raise ApiError(402, "incorrect_number", "Your card number is incorrect.", kind="card_error", param="number")
    month, year = whole(card, "exp_month"), whole(card, "exp_year")
    if month > 12 or year < 2020:
        raise ApiError(402, "invalid_expiry_year", "Your card's date is invalid.", kind="card_error", param="exp_year")
    return world.make(
        "payment_method",
        type="card",
        customer=None,
        billing_details={},
        metadata={},
        allow_redisplay="unspecified",
        card={
            "brand": test.brand,
            "country": "VN",
            "exp_month": month,
            "exp_year": year,
            "fingerprint": hashlib.sha256(number.encode()).hexdigest()[:16],
            "funding": "credit",
            "last4": number[-4:],
        },
        _number=number,
    )


def attach(world: World, method: Thing, customer: str) -> Thing:
    """Link a payment method to a customer."""
    world.need(customer, "customer", param="customer")
    world.change(method, customer=customer)
    world.tell("payment_method.attached", method)
    return method


def detach(world: World, id: str) -> Thing:
    """Let go of a payment method."""
    method = world.need(id, "payment_method")
    if method["customer"] is None:
        text = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise ApiError(400, "payment_method_not_attached", text)
    world.change(method, customer=None)
    world.tell("payment_method.detached", method)
    return method


# -- payment intents ------------------------------------------------------------------------------------------------


def _currency(params: Thing) -> str:
    currency = str(params.get("currency", ""))
    if currency.lower() not in CURRENCIES:
        raise wrong("currency", f"Invalid currency: {currency}")
    return currency.lower()


def make_intent(world: World, params: Thing) -> Thing:
    """Make a payment intent, and confirm it if the request says so."""
    amount, currency = whole(params, "amount"), _currency(params)
    if amount < AMOUNT_MIN[currency]:
        raise ApiError(400, "amount_too_small", "Amount must convert to at least 50 cents.", param="amount")
    if amount > AMOUNT_MAX:
        raise ApiError(400, "amount_too_large", f"Amount must be no more than {AMOUNT_MAX}", param="amount")
    if customer := params.get("customer"):
        world.need(customer, "customer", param="customer")
    intent = world.make(
        "payment_intent",
        amount=amount,
        amount_capturable=0,
        amount_received=0,
        cancellation_reason=None,
        canceled_at=None,
        capture_method="automatic",
        client_secret="never_shown",  # noqa: S106  # nobody confirms from a browser here
        confirmation_method="automatic",
        currency=currency,
        customer=customer,
        description=params.get("description"),
        last_payment_error=None,
        latest_charge=None,
        metadata=params.get("metadata", {}),
        next_action=None,
        payment_method=params.get("payment_method"),
        payment_method_types=params.get("allowed_payment_method_types", ["card"]),
        setup_future_usage=params.get("setup_future_usage"),
        status="requires_confirmation" if params.get("payment_method") else "requires_payment_method",
        _return_url=params.get("return_url"),
    )
    world.tell("payment_intent.created", intent)
    return confirm(world, intent, params) if params.get("confirm") == "true" else intent


def confirm(world: World, intent: Thing, params: Thing) -> Thing:
    """Try a card for an intent: charge it, ask for 3-D Secure, or be declined.

    Raises:
        ApiError: the intent is over, or its card cannot be used. A declined card raises only at the API's own door.
    """
    if intent["status"] in (*OVER, "processing"):
        text = f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}."
        raise ApiError(400, "payment_intent_unexpected_state", text)
    method = world.need(params.get("payment_method", intent["payment_method"]), "payment_method")
    if intent["customer"] and method["customer"] not in (None, intent["customer"]):
        raise wrong("payment_method", "The payment method belongs to another customer.")
    back = params.get("return_url", intent["_return_url"])
    world.change(intent, payment_method=method["id"], _return_url=back)
    if CARDS[method["_number"]].secure:
        url = f"{world.base}/3ds/{intent['id']}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": back}}
        world.change(intent, status="requires_action", next_action=action)
        world.tell("payment_intent.requires_action", intent)
        return intent
    return _charge(world, intent, method, secured=False)


def _charge(world: World, intent: Thing, method: Thing, *, secured: bool) -> Thing:
    made = books.charge(world, intent, method, secured=secured)
    world.change(intent, latest_charge=made["id"], next_action=None)
    if not made["paid"]:
        code, why = CARDS[method["_number"]].decline or ("card_declined", "generic_decline")
        return _failed(world, intent, method, code, why)
    world.change(intent, status="succeeded", amount_received=intent["amount"], last_payment_error=None)
    world.tell("payment_intent.succeeded", intent)
    if intent["setup_future_usage"] and intent["customer"] and not method["customer"]:
        attach(world, method, intent["customer"])
    if CARDS[method["_number"]].disputes:
        books.dispute(world, made["id"])
    return intent


def _failed(world: World, intent: Thing, method: Thing, code: str, why: str) -> Thing:
    shown = {key: value for key, value in method.items() if not key.startswith("_")}
    error = {"type": "card_error", "code": code, "decline_code": why, "message": code, "payment_method": shown}
    world.change(
        intent, status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error
    )
    world.tell("payment_intent.payment_failed", intent)
    return intent


def end_secure(world: World, intent: Thing, *, passed: bool) -> Thing:
    """The person has passed 3-D Secure or not. A second answer changes nothing."""
    if intent["status"] != "requires_action":
        return intent
    method = world.need(intent["payment_method"], "payment_method")
    if not passed:
        code = "payment_intent_authentication_failure"
        return _failed(world, intent, method, code, "authentication_required")
    return _charge(world, intent, method, secured=True)


def cancel(world: World, id: str) -> Thing:
    """Give up an intent that has not paid.

    Raises:
        ApiError: it is over, or a Checkout session has it.
    """
    intent = world.need(id, "payment_intent")
    if intent["status"] in (*OVER, "processing"):
        text = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise ApiError(400, "payment_intent_unexpected_state", text)
    if (session := session_with(world, id)) and session["status"] == "open":
        raise ApiError(400, "payment_intent_unexpected_state", "Expire the Checkout Session that has it instead.")
    return _cancelled(world, intent)


def _cancelled(world: World, intent: Thing) -> Thing:
    world.change(intent, status="canceled", canceled_at=world.clock(), next_action=None)
    world.tell("payment_intent.canceled", intent)
    return intent


# -- Checkout -------------------------------------------------------------------------------------------------------


def make_session(world: World, params: Thing) -> Thing:
    """Open a page on which a person enters a card, to pay or to link it."""
    mode = params.get("mode")
    if mode not in ("payment", "setup"):
        raise wrong("mode", "This stand-in knows payment and setup.")
    if "success_url" not in params:
        raise ApiError(400, "parameter_missing", "Missing required param: success_url.", param="success_url")
    if customer := params.get("customer"):
        world.need(customer, "customer", param="customer")
    lasts = whole(params, "expires_at") - world.clock() if "expires_at" in params else SESSION_S
    if not SESSION_S_MIN <= lasts <= SESSION_S:
        raise wrong("expires_at", "The timestamp must be between 30 minutes and 24 hours from now.")
    session = world.make(
        "checkout.session",
        amount_total=_total(params) if mode == "payment" else None,
        cancel_url=params.get("cancel_url"),
        client_reference_id=params.get("client_reference_id"),
        currency=_session_currency(params, mode),
        customer=customer,
        expires_at=world.clock() + lasts,
        locale=params.get("locale"),
        metadata=params.get("metadata", {}),
        mode=mode,
        payment_intent=None,  # Checkout makes it when a card is entered
        payment_method_types=["card"],
        payment_status="unpaid" if mode == "payment" else "no_payment_required",
        setup_intent=None,
        status="open",
        success_url=params["success_url"],
        ui_mode="hosted_page",
        _intent_data=params.get("payment_intent_data", params.get("setup_intent_data", {})),
        _title=_title(params),
    )
    if mode == "setup":
        setup = world.make(
            "setup_intent",
            customer=customer,
            last_setup_error=None,
            metadata=session["_intent_data"].get("metadata", {}),
            next_action=None,
            payment_method=None,
            payment_method_types=["card"],
            status="requires_payment_method",
            usage="off_session",
        )
        world.change(session, setup_intent=setup["id"])
    return world.change(session, url=f"{world.base}/c/pay/{session['id']}")


def _items(params: Thing) -> list[Thing]:
    items = params.get("line_items")
    if not isinstance(items, list) or not items:
        raise ApiError(400, "parameter_missing", "Missing required param: line_items.", param="line_items")
    return items


def _total(params: Thing) -> int:
    total = sum(whole(each.get("price_data", {}), "unit_amount") * whole(each, "quantity") for each in _items(params))
    currency = _session_currency(params, "payment") or ""
    if not AMOUNT_MIN[currency] <= total <= AMOUNT_MAX:
        code = "amount_too_small" if total < AMOUNT_MIN[currency] else "amount_too_large"
        raise ApiError(400, code, f"The total is {total}", param="line_items")
    return total


def _session_currency(params: Thing, mode: str) -> str | None:
    return _currency(_items(params)[0].get("price_data", {})) if mode == "payment" else None


def _title(params: Thing) -> str:
    items = params.get("line_items") or [{}]
    return str(items[0].get("price_data", {}).get("product_data", {}).get("name", ""))


def now_of(world: World, session: Thing) -> Thing:
    """Return a session as it is now: one whose time is over expires when somebody looks."""
    if session["status"] == "open" and session["expires_at"] <= world.clock():
        return expire(world, session["id"])
    return session


def expire_overdue(world: World) -> None:
    """Close every page whose time is over."""
    for session in world.store.newest("checkout.session"):
        now_of(world, session)


def expire(world: World, id: str) -> Thing:
    """Close a page that is still open.

    Raises:
        ApiError: it is not.
    """
    session = world.need(id, "checkout.session")
    if session["status"] != "open":
        text = f"Only Checkout Sessions with a status in ['open'] can be expired: it is {session['status']}."
        raise ApiError(400, "checkout_session_not_open", text)
    world.change(session, status="expired", url=None)
    for name, kind in (("payment_intent", "payment_intent"), ("setup_intent", "setup_intent")):
        if session[name] and (intent := world.need(session[name], kind))["status"] not in OVER:
            if kind == "payment_intent":
                _cancelled(world, intent)
            else:
                world.change(intent, status="canceled")
    world.tell("checkout.session.expired", session)
    return session


def enter_card(world: World, session: Thing, card: Thing) -> Thing:
    """A person enters a card on the page: try it. The session shows whether that was the end of it.

    Raises:
        ApiError: the card cannot even be tried.
    """
    if session["status"] != "open":
        raise ApiError(400, "checkout_session_not_open", "This page is closed.")
    method = world.need(card["saved"], "payment_method") if card.get("saved") else make_method(world, card)
    if session["mode"] == "setup":
        return _set_up(world, session, method)
    if session["payment_intent"]:
        intent = world.need(session["payment_intent"], "payment_intent")
    else:
        data = session["_intent_data"]
        values = {"amount": str(session["amount_total"]), "currency": session["currency"], **data}
        intent = make_intent(world, {**values, "customer": session["customer"]})
        world.change(session, payment_intent=intent["id"])
    confirm(world, intent, {"payment_method": method["id"], "return_url": f"{world.base}/c/pay/{session['id']}"})
    return settle_session(world, session)


def settle_session(world: World, session: Thing) -> Thing:
    """Close the page if its intent is over."""
    intent = intent_of(world, session)
    if intent and session["status"] == "open" and intent["status"] == "succeeded":
        status = "paid" if session["mode"] == "payment" else session["payment_status"]
        world.change(session, status="complete", payment_status=status, url=None)
        world.tell("checkout.session.completed", session)
    return session


def intent_of(world: World, session: Thing) -> Thing | None:
    """Return the intent of a session, if there is one yet."""
    kind = "payment_intent" if session["mode"] == "payment" else "setup_intent"
    return world.need(session[kind], kind) if session[kind] else None


def session_with(world: World, intent_id: str) -> Thing | None:
    """Return the session that has an intent."""
    for session in world.store.newest("checkout.session"):
        if intent_id in (session["payment_intent"], session["setup_intent"]):
            return session
    return None


def _set_up(world: World, session: Thing, method: Thing) -> Thing:
    setup = world.need(session["setup_intent"], "setup_intent")
    test = CARDS[method["_number"]]
    if not test.links:
        code, why = test.decline or ("card_declined", "generic_decline")
        world.change(setup, last_setup_error={"type": "card_error", "code": code, "decline_code": why})
        world.tell("setup_intent.setup_failed", setup)
    elif test.secure:
        url = f"{world.base}/3ds/{setup['id']}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}}
        world.change(setup, status="requires_action", payment_method=method["id"], next_action=action)
    else:
        _linked(world, setup, method)
    return settle_session(world, session)


def _linked(world: World, setup: Thing, method: Thing) -> None:
    world.change(setup, status="succeeded", payment_method=method["id"], next_action=None, last_setup_error=None)
    if setup["customer"]:
        attach(world, method, setup["customer"])
    world.tell("setup_intent.succeeded", setup)


def end_secure_setup(world: World, setup: Thing, *, passed: bool) -> None:
    """The person has passed 3-D Secure for a card to be linked, or not."""
    if setup["status"] != "requires_action":
        return
    if passed:
        _linked(world, setup, world.need(setup["payment_method"], "payment_method"))
        return
    error = {"type": "card_error", "code": "setup_intent_authentication_failure", "message": "not authenticated"}
    world.change(setup, status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=error)
    world.tell("setup_intent.setup_failed", setup)
