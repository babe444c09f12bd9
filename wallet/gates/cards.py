"""Stripe: the card gate for international cards, and the only file that imports its SDK.

Money   VND has no smaller unit at Stripe (docs.stripe.com/currencies): 50.000 ₫ is sent as 50000, never as 5000000.
Rules   Our id is the idempotency key of the request that it stands for, and stands in the metadata of what comes of
        it, so that a payment whose answer was lost can be found by asking. Nothing is sent twice by the SDK itself:
        one try, and then the caller knows or asks. Pages are Stripe's Checkout, so no script of others and no card
        number ever meets our origin.
Source  docs.stripe.com/api as of the version that the pinned SDK names; docs.stripe.com/webhooks for signatures.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

import stripe
from stripe.params import PaymentIntentCreateParams
from stripe.params.checkout import SessionCreateParams, SessionCreateParamsPaymentIntentData

from wallet.config import Config, StripeKeys
from wallet.gates.acquirer import (
    About,
    BalanceLine,
    Busy,
    Card,
    Charge,
    Dispute,
    DisputeState,
    Failure,
    InDoubt,
    KeyReused,
    LineKind,
    Linking,
    LinkingState,
    NotGenuine,
    Notice,
    Payment,
    PaymentState,
    Payout,
    PayoutState,
    Refund,
    RefundState,
    Rejected,
    Unknown,
)
from wallet.money import Dong

CURRENCY: Final = "vnd"

AMOUNT_MIN: Final = Dong(15_000)
"""Stripe asks for the worth of US$ 0.50 at least, some 13.000 ₫; a margin for the exchange rate."""

AMOUNT_MAX: Final = Dong(99_999_999)
"""Stripe's amounts have at most eight digits."""

TIMEOUT_S: Final = 15
"""For one answer. A card's bank may take some seconds; who waits longer is told that we ask."""

TOLERANCE: Final = timedelta(seconds=300)
"""How far the time of a signature may be from ours, either way; Stripe signs each repetition anew."""

SKEW: Final = timedelta(minutes=5)
"""How far Stripe's clock may be behind ours, when we ask for what was made since an instant."""

PAGE_ORIGINS: Final = ("https://checkout.stripe.com", "https://hooks.stripe.com")

_PAYMENT: Final = {
    "requires_payment_method": PaymentState.CREATED,
    "requires_confirmation": PaymentState.CREATED,
    "requires_action": PaymentState.REQUIRES_ACTION,
    "processing": PaymentState.PROCESSING,
    "requires_capture": PaymentState.PROCESSING,
    "succeeded": PaymentState.SUCCEEDED,
    "canceled": PaymentState.CANCELLED,
}
_REFUND: Final = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.CANCELLED,
}
_DISPUTE: Final = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.CLOSED,
    "prevented": DisputeState.CLOSED,
    "needs_response": DisputeState.OPENED,
    "under_review": DisputeState.OPENED,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
}
_PAYOUT: Final = {
    "pending": PayoutState.PENDING,
    "in_transit": PayoutState.IN_TRANSIT,
    "paid": PayoutState.PAID,
    "failed": PayoutState.FAILED,
    "canceled": PayoutState.CANCELLED,
}
_LINE: Final = {
    "charge": LineKind.CHARGE,
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_FAILED,
    "dispute": LineKind.DISPUTE,
    "dispute_reversal": LineKind.DISPUTE_WON,
    "fee": LineKind.FEE,
    "payout": LineKind.PAYOUT,
    "payout_reversal": LineKind.PAYOUT_FAILED,
}
"""Stripe's reporting categories, made for books; its `type` calls a dispute an adjustment."""

_FAILURE: Final = {
    "insufficient_funds": Failure.FUNDS,
    "expired_card": Failure.EXPIRED_CARD,
    "incorrect_cvc": Failure.WRONG_CODE,
    "invalid_cvc": Failure.WRONG_CODE,
    "authentication_required": Failure.AUTHENTICATION,
    "payment_intent_authentication_failure": Failure.AUTHENTICATION,
    "lost_card": Failure.LOST_OR_STOLEN,
    "stolen_card": Failure.LOST_OR_STOLEN,
    "pickup_card": Failure.LOST_OR_STOLEN,
    "card_velocity_exceeded": Failure.LIMIT,
    "withdrawal_count_limit_exceeded": Failure.LIMIT,
    "processing_error": Failure.TRY_AGAIN,
    "issuer_not_available": Failure.TRY_AGAIN,
    "try_again_later": Failure.TRY_AGAIN,
    "reenter_transaction": Failure.TRY_AGAIN,
}

_ON_PAGE: Final = "page"
"""Metadata of a payment that a Checkout page has: there the person may try another card after a declined one."""

_Thing = TypeVar("_Thing")


def of(config: Config) -> "StripeCards | None":
    """Return the gate that the configuration names, or None: then this service takes no cards."""
    return StripeCards(config.stripe) if config.stripe else None


def minor(amount: Dong) -> int:
    """Return an amount in Stripe's smallest unit of VND, which is the đồng itself."""
    return int(amount)


class StripeCards:
    """Stripe as an `Acquirer`. One for a process; it may be used by many threads."""

    name = "stripe"
    amounts = (AMOUNT_MIN, AMOUNT_MAX)
    keeps_cards = True

    def __init__(self, keys: StripeKeys) -> None:
        stripe.enable_telemetry = False
        bases: Any = {"api": keys.api_base} if keys.api_base else None
        client = stripe.StripeClient(
            keys.api_key,
            base_addresses=bases,
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        )
        self._api = client.v1
        self._secrets = keys.webhook_secrets
        self.live = keys.live
        self.origins = (_origin(keys.api_base),) if keys.api_base else PAGE_ORIGINS

    # -- cards

    def make_customer(self, *, id: UUID) -> str:
        """Make the record under which a holder's cards are kept."""
        with _asking():
            return self._api.customers.create({"metadata": {"id": str(id)}}, {"idempotency_key": str(id)}).id

    def begin_linking(self, *, id: UUID, customer: str, back_to: str, given_up: str, locale: str = "vi") -> Linking:
        """Open a Checkout page in setup mode."""
        params: SessionCreateParams = {
            "mode": "setup",
            "allowed_payment_method_types": ["card"],
            "customer": customer,
            "client_reference_id": str(id),
            "setup_intent_data": {"metadata": {"id": str(id)}},
            "success_url": back_to,
            "cancel_url": given_up,
            "locale": _locale(locale),
        }
        with _asking():
            return self._linking(self._api.checkout.sessions.create(params, {"idempotency_key": str(id)}))

    def linking(self, ref: str) -> Linking:
        """Read the Checkout session again."""
        with _asking():
            return self._linking(
                self._api.checkout.sessions.retrieve(ref, {"expand": ["setup_intent", "setup_intent.payment_method"]})
            )

    def _linking(self, session: stripe.checkout.Session) -> Linking:
        states = {"open": LinkingState.OPEN, "complete": LinkingState.SUCCEEDED}
        state = states.get(session.status or "", LinkingState.CANCELLED)
        setup = session.setup_intent
        method = setup.payment_method if isinstance(setup, stripe.SetupIntent) else None
        return Linking(
            id=UUID(session.client_reference_id),
            ref=session.id,
            state=state,
            customer=_id_of(session.customer) or "",
            page=session.url if state is LinkingState.OPEN else None,
            card=_card(method)
            if isinstance(method, stripe.PaymentMethod) and state is LinkingState.SUCCEEDED
            else None,
        )

    def cards(self, customer: str) -> tuple[Card, ...]:
        """List the customer's cards."""
        with _asking():
            found = self._api.customers.payment_methods.list(customer, {"type": "card", "limit": 100})
            return tuple(_card(each) for each in found.auto_paging_iter())

    def forget_card(self, ref: str) -> None:
        """Detach a card; one that is detached already or unknown is gone, which is what was asked."""
        try:
            with _asking():
                self._api.payment_methods.detach(ref)
        except Unknown:
            return
        except Rejected:
            with _asking():
                if self._api.payment_methods.retrieve(ref).customer is not None:
                    raise

    # -- payments

    def begin_payment(self, charge: Charge) -> Payment:
        """Charge a linked card at once, or open a Checkout page."""
        if charge.card is None:
            return self._open_page(charge)
        params: PaymentIntentCreateParams = {
            "amount": minor(charge.amount),
            "currency": CURRENCY,
            "customer": charge.customer,
            "payment_method": charge.card,
            "allowed_payment_method_types": ["card"],
            "confirm": True,
            "return_url": charge.back_to,
            "metadata": {**charge.about, "id": str(charge.id), "locale": charge.locale},
            "expand": ["latest_charge"],
        }
        try:
            with _asking():
                made = self._api.payment_intents.create(params, {"idempotency_key": str(charge.id)})
                return self._payment(made)
        except Declined as declined:
            return self.payment(declined.ref)

    def _open_page(self, charge: Charge) -> Payment:
        data: SessionCreateParamsPaymentIntentData = {
            "metadata": {**charge.about, "id": str(charge.id), "locale": charge.locale, _ON_PAGE: "1"}
        }
        if charge.keep_card:
            data["setup_future_usage"] = "on_session"
        params: SessionCreateParams = {
            "mode": "payment",
            "allowed_payment_method_types": ["card"],
            "customer": charge.customer,
            "client_reference_id": str(charge.id),
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": CURRENCY,
                        "unit_amount": minor(charge.amount),
                        "product_data": {"name": charge.title},
                    },
                }
            ],
            "payment_intent_data": data,
            "success_url": charge.back_to,
            "cancel_url": charge.given_up,
            "locale": _locale(charge.locale),
        }
        if charge.until is not None:
            params["expires_at"] = int(charge.until.timestamp())
        with _asking():
            return self._of_session(self._api.checkout.sessions.create(params, {"idempotency_key": str(charge.id)}))

    def payment(self, ref: str) -> Payment:
        """Read a payment intent, or the Checkout session that has none yet."""
        with _asking():
            if ref.startswith("cs_"):
                return self._of_session(self._api.checkout.sessions.retrieve(ref))
            return self._payment(self._api.payment_intents.retrieve(ref, {"expand": ["latest_charge"]}))

    def _of_session(self, session: stripe.checkout.Session) -> Payment:
        intent = _id_of(session.payment_intent)
        is_open = session.status == "open"
        if intent and not is_open:
            return self._payment(self._api.payment_intents.retrieve(intent, {"expand": ["latest_charge"]}))
        return Payment(
            id=_uuid(session.client_reference_id),
            ref=session.id,
            state=PaymentState.REQUIRES_ACTION if is_open else PaymentState.CANCELLED,
            amount=session.amount_total or 0,
            currency=(session.currency or "").upper(),
            received=0,
            refunded=0,
            live=session.livemode,
            customer=_id_of(session.customer),
            page=session.url if is_open else None,
        )

    def _payment(self, intent: stripe.PaymentIntent) -> Payment:
        """Tell what an intent is. On a page, a declined card is not the end: the page says whether it is still open."""
        if _meta(intent, _ON_PAGE) and intent.status in ("requires_payment_method", "requires_action"):
            for session in self._api.checkout.sessions.list({"payment_intent": intent.id, "limit": 1}).data:
                if session.status == "open":
                    return self._of_session(session)
        return _payment(intent)

    def find_payment(self, *, id: UUID, customer: str, since: datetime) -> Payment | None:
        """Look through the customer's intents and pages since then for the one with our id."""
        after = {"gte": int((since - SKEW).timestamp())}
        with _asking():
            intents = self._api.payment_intents.list(
                {"customer": customer, "created": cast("Any", after), "limit": 100, "expand": ["data.latest_charge"]}
            )
            for intent in intents.auto_paging_iter():
                if _meta(intent, "id") == str(id):
                    return self._payment(intent)
            sessions = self._api.checkout.sessions.list(
                {"customer": customer, "created": cast("Any", after), "limit": 100}
            )
            for session in sessions.auto_paging_iter():
                if session.client_reference_id == str(id):
                    return self._of_session(session)
        return None

    def cancel_payment(self, ref: str) -> Payment:
        """Cancel an intent, or close its page; whatever came first is what is returned."""
        found = self.payment(ref)
        if found.state in (PaymentState.SUCCEEDED, PaymentState.CANCELLED, PaymentState.PROCESSING):
            return found
        try:
            with _asking():
                if found.ref.startswith("cs_"):
                    self._api.checkout.sessions.expire(found.ref)
                else:
                    self._api.payment_intents.cancel(found.ref)
        except Rejected:  # it has moved on while we asked: the answer below says where to
            pass
        return self.payment(found.ref)

    # -- after the payment

    def begin_refund(self, *, id: UUID, payment_ref: str, amount: Dong) -> Refund:
        """Refund a payment intent, in whole or in part."""
        with _asking():
            made = self._api.refunds.create(
                {"payment_intent": payment_ref, "amount": minor(amount), "metadata": {"id": str(id)}},
                {"idempotency_key": str(id)},
            )
        return _refund(made)

    def refund(self, ref: str) -> Refund:
        """Read a refund again."""
        with _asking():
            return _refund(self._api.refunds.retrieve(ref))

    def find_refund(self, *, id: UUID, payment_ref: str) -> Refund | None:
        """Look through the payment's refunds for the one with our id."""
        with _asking():
            for each in self._api.refunds.list({"payment_intent": payment_ref, "limit": 100}).auto_paging_iter():
                if _meta(each, "id") == str(id):
                    return _refund(each)
        return None

    def dispute(self, ref: str) -> Dispute:
        """Read a dispute again."""
        with _asking():
            found = self._api.disputes.retrieve(ref, {"expand": ["payment_intent"]})
        intent = found.payment_intent
        due = found.evidence_details.due_by
        return Dispute(
            ref=found.id,
            payment_ref=_id_of(intent) or "",
            payment=_uuid(_meta(intent, "id")) if isinstance(intent, stripe.PaymentIntent) else None,
            state=_known(_DISPUTE, found.status),
            amount=found.amount,
            currency=found.currency.upper(),
            reason=found.reason,
            evidence_due=_at(due) if due else None,
            made_at=_at(found.created),
        )

    def payout(self, ref: str) -> Payout:
        """Read a payout again."""
        with _asking():
            return _payout(self._api.payouts.retrieve(ref))

    def payouts(self, *, since: datetime) -> Iterator[Payout]:
        """List payouts since then."""
        with _asking():
            found = self._api.payouts.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
            newest_first = list(found.auto_paging_iter())
        return (_payout(each) for each in reversed(newest_first))

    def balance_lines(self, *, since: datetime) -> Iterator[BalanceLine]:
        """List balance transactions since then."""
        with _asking():
            found = self._api.balance_transactions.list(
                {"created": {"gte": int(since.timestamp())}, "limit": 100, "expand": ["data.source"]}
            )
            newest_first = list(found.auto_paging_iter())
        return (_line(each) for each in reversed(newest_first))

    def payout_lines(self, ref: str) -> Iterator[BalanceLine]:
        """List the balance transactions of one payout."""
        with _asking():
            found = self._api.balance_transactions.list({"payout": ref, "limit": 100, "expand": ["data.source"]})
            newest_first = list(found.auto_paging_iter())
        return (_line(each) for each in reversed(newest_first) if each.type != "payout")

    # -- notices

    def read_notice(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Notice:
        """Verify Stripe-Signature under any secret in force, by our clock, and read the event."""
        header = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), "")
        signed_at = re.findall(r"(?:^|,)t=([0-9]{1,12})(?=,|$)", header)
        if len(signed_at) != 1 or abs(now - _at(int(signed_at[0]))) > TOLERANCE:
            raise NotGenuine("no time of signing, or not lately")
        # The SDK's comparison takes ASCII alone, and anybody may send us anything.
        if not header.isascii() or not any(_signs(body, header, secret) for secret in self._secrets):
            raise NotGenuine("no signature under a secret in force")
        try:
            return _notice(json.loads(body))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotGenuine("signed, and no event") from error

    def notices(self, *, since: datetime) -> Iterator[Notice]:
        """List events since then; Stripe keeps them for 30 days."""
        with _asking():
            found = self._api.events.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
            newest_first = list(found.auto_paging_iter())
        return (_notice(each.to_dict()) for each in reversed(newest_first))


# -- reading Stripe's things ----------------------------------------------------------------------------------------


class Declined(Rejected):
    """A card was declined; the payment that says so exists. Never leaves this file."""

    def __init__(self, ref: str) -> None:
        super().__init__("declined")
        self.ref = ref


@contextmanager
def _asking() -> Iterator[None]:
    """Turn the SDK's errors into those of the surface."""
    try:
        yield
    except stripe.StripeError as error:
        raise _meaning(error) from error


def _meaning(error: stripe.StripeError) -> Exception:
    code, status = str(error.code or ""), error.http_status
    if status in (401, 403, 409, 429):
        return Busy(code or str(status))  # nothing was done; a key that is being changed is no word about a card
    # An APIError is an answer that is not of Stripe's shape, as a proxy gives one: its 404 says nothing of a payment.
    if isinstance(error, (stripe.APIConnectionError, stripe.APIError)) or status is None or status >= 500:
        return InDoubt(f"{type(error).__name__}: {status or 'no answer'}")
    if isinstance(error, stripe.IdempotencyError):
        return KeyReused(code or "idempotency_key_reused")
    if isinstance(error, stripe.CardError):
        tried = cast("dict[str, Any]", error.json_body or {}).get("error", {}).get("payment_intent")
        return Declined(tried["id"]) if tried else Rejected(code, error.user_message or "")
    if code == "resource_missing":
        return Unknown(code, error.user_message or "")
    return Rejected(code or type(error).__name__, error.user_message or "")


def _payment(intent: stripe.PaymentIntent) -> Payment:
    charge = intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None
    failed = intent.last_payment_error
    state = _known(_PAYMENT, intent.status)
    if intent.status == "requires_payment_method" and failed:
        state = PaymentState.FAILED
    action = intent.next_action
    page = action.redirect_to_url.url if action and action.redirect_to_url else None
    code = str(failed.decline_code or failed.code or "") if failed else ""
    return Payment(
        id=_uuid(_meta(intent, "id")),
        ref=intent.id,
        state=state,
        amount=intent.amount,
        currency=intent.currency.upper(),
        received=intent.amount_received,
        refunded=charge.amount_refunded if charge else 0,
        live=intent.livemode,
        customer=_id_of(intent.customer),
        page=page if state is PaymentState.REQUIRES_ACTION else None,
        card=_charged_card(charge),
        failure=_why(code) if state is PaymentState.FAILED else None,
        failure_code=code if state is PaymentState.FAILED else "",
        disputed=bool(charge and charge.disputed),
    )


def _why(code: str) -> Failure:
    return _FAILURE.get(code, Failure.DECLINED)


def _charged_card(charge: stripe.Charge | None) -> Card | None:
    details = charge.payment_method_details if charge else None
    if charge is None or details is None or details.card is None:
        return None
    return _shown(charge.payment_method or "", details.card)


def _card(method: stripe.PaymentMethod) -> Card:
    assert method.card is not None, "cards alone are listed"
    return _shown(method.id, method.card)


def _shown(ref: str, card: Any) -> Card:
    return Card(
        ref=ref,
        brand=str(card.brand or ""),
        last4=str(card.last4 or ""),
        exp_month=int(card.exp_month),
        exp_year=int(card.exp_year),
        fingerprint=str(card.fingerprint or ""),
    )


def _refund(found: stripe.Refund) -> Refund:
    return Refund(
        id=_uuid(_meta(found, "id")),
        ref=found.id,
        payment_ref=_id_of(found.payment_intent) or "",
        state=_known(_REFUND, found.status or ""),
        amount=found.amount,
        currency=found.currency.upper(),
        failure_code=getattr(found, "failure_reason", None) or "",
    )


def _payout(found: stripe.Payout) -> Payout:
    return Payout(
        ref=found.id,
        state=_known(_PAYOUT, found.status),
        amount=found.amount,
        currency=found.currency.upper(),
        made_at=_at(found.created),
        arrives_at=_at(found.arrival_date),
        failure_code=found.failure_code or "",
    )


def _line(found: stripe.BalanceTransaction) -> BalanceLine:
    source: Any = found.source
    is_whole = source is not None and not isinstance(source, str)
    ours = _uuid(_meta(source, "id")) if is_whole else None
    kind = _LINE.get(found.reporting_category, LineKind.OTHER)
    intent = getattr(source, "payment_intent", None) if is_whole else None
    return BalanceLine(
        ref=found.id,
        kind=kind,
        raw_kind=found.reporting_category,
        amount=found.amount,
        fee=found.fee,
        net=found.net,
        currency=found.currency.upper(),
        source=_id_of(source) or "",
        payment_ref=_id_of(intent),
        payment=ours if kind is LineKind.CHARGE else None,
        refund=ours if kind in (LineKind.REFUND, LineKind.REFUND_FAILED) else None,
        at=_at(found.created),
        available_at=_at(found.available_on),
    )


def _notice(event: Mapping[str, Any]) -> Notice:
    thing = event["data"]["object"]
    about, subject, ours = _about(thing)
    amount = thing.get("amount_total") if thing.get("object") == "checkout.session" else thing.get("amount")
    currency = thing.get("currency")
    return Notice(
        ref=str(event["id"]),
        about=about,
        kind=str(event["type"]),
        subject=subject,
        id=_uuid(ours),
        amount=amount if isinstance(amount, int) else None,
        currency=currency.upper() if isinstance(currency, str) else None,
        live=event["livemode"] is True,
        account=event.get("account"),
        at=_at(int(event["created"])),
    )


def _about(thing: Mapping[str, Any]) -> tuple[About, str, object]:
    """Tell what is to be read again: what it is, its ref, and our id if it names one."""
    object, ref = str(thing.get("object", "")), str(thing.get("id", ""))
    ours = (thing.get("metadata") or {}).get("id")
    if object == "payment_intent":
        return About.PAYMENT, ref, ours
    if object == "checkout.session":
        about = About.LINKING if thing.get("mode") == "setup" else About.PAYMENT
        return about, ref, thing.get("client_reference_id")
    if object == "charge" and thing.get("payment_intent"):
        return About.PAYMENT, str(thing["payment_intent"]), ours
    by_object = {
        "refund": About.REFUND,
        "dispute": About.DISPUTE,
        "payout": About.PAYOUT,
        "payment_method": About.CARD,
    }
    return by_object.get(object, About.OTHER), ref, ours if object == "refund" else None


def _signs(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None))
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False


# -- small things ---------------------------------------------------------------------------------------------------


def _known(table: Mapping[str, _Thing], word: str) -> _Thing:
    """Return what a word of Stripe's means.

    Raises:
        InDoubt: a word that the pinned version does not have; a person must look.
    """
    if word not in table:
        raise InDoubt(f"Stripe says {word!r}, which we do not know")
    return table[word]


def _meta(thing: Any, name: str) -> str | None:
    """Return one of the words that we had kept beside a thing of Stripe's."""
    words = thing.metadata if "metadata" in thing else None
    return str(words[name]) if words is not None and name in words else None


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text)) if text else None
    except ValueError:
        return None


def _id_of(thing: Any) -> str | None:
    return thing if thing is None or isinstance(thing, str) else str(thing.id)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _locale(locale: str) -> Any:
    return "en" if locale == "en" else "vi"


def _origin(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
