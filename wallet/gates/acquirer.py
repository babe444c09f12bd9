"""Acquirers: what the wallet asks of whoever takes cards for it, and what it is told, whichever company that is.

What    The one surface of every card gate. Callers hold an `Acquirer` and know nothing else; the international cards
        run over Stripe (`gates.cards`), the ATM cards of domestic banks over NAPAS, and neither changes a caller.
Words   `id` is always ours: made and committed before we ask, sent as the other side's idempotency key, and found
        again in everything that it tells of the thing. `ref` is always theirs. A page is a page of the acquirer's own
        where a person enters a card or confirms a payment: card data never reach our server. A notice is what the
        acquirer sends on its own; it is a reason to ask, never a reason to credit.
Money   What we ask for is whole đồng. What we are told is a number in the currency's smallest unit beside the
        currency's code in capitals: compare both with what was asked before believing either.
Rules   No method is called inside a unit (DESIGN decision 7). Each that changes something may be called again with the
        same id and the same values, and does it once; with other values it raises `KeyReused`. `InDoubt` is
        resolved by `find_payment` and `find_refund`, which only ask.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from wallet.money import Dong

CERTAIN_AFTER: Final = timedelta(minutes=10)
"""A request that the acquirer has not seen so long after it was sent will not reach it any more: from then on "there is
no such payment" is the truth. Before, it may still be on its way."""

# -- what can go wrong ----------------------------------------------------------------------------------------------


class AcquirerError(Exception):
    """The acquirer did not do what it was asked. Its text is for our log, never for a page."""


class InDoubt(AcquirerError):
    """No answer, or an answer that the acquirer itself does not stand by (a 5xx): it may be done or not. Ask."""


class Busy(AcquirerError):
    """Nothing was done: too many requests, or a twin with the same id is still under way. Ask again later."""


class Rejected(AcquirerError):
    """Nothing was done and nothing will be: the request cannot be carried out.

    Args:
        code: the acquirer's own word, for our log and the operator's list.
        text: its explanation.
    """

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code


class KeyReused(Rejected):
    """The same id was used before with other values. This is a bug of ours; nothing was done."""


class Unknown(Rejected):
    """The acquirer knows no such thing."""


class NotGenuine(AcquirerError):
    """A notice that the acquirer did not sign, signed too long ago, or that cannot be read. It has no effect."""


# -- cards ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as it may be shown and kept: never its number."""

    ref: str
    brand: str
    """In small letters, as the acquirer says it: visa, mastercard, jcb, napas …"""
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str = ""
    """The same for the same card however often it is linked; empty where the acquirer does not tell."""


class LinkingState(StrEnum):
    """Where a linking stands."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    """The page was closed or ran out; another linking may begin at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """A card being linked, on the acquirer's page."""

    id: UUID
    ref: str
    state: LinkingState
    customer: str
    page: str | None = None
    """Where to send the person; None when it is over."""
    card: Card | None = None


# -- payments -------------------------------------------------------------------------------------------------------


class PaymentState(StrEnum):
    """Where a payment stands at the acquirer. In doubt is no state of theirs: it is ours, for want of an answer."""

    CREATED = "created"
    REQUIRES_ACTION = "requires_action"
    """A person must do something on `page`: enter a card, or pass 3-D Secure."""
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Failure(StrEnum):
    """Why a card did not pay, as far as it helps the person. Anything else is `DECLINED`."""

    DECLINED = "declined"
    FUNDS = "funds"
    EXPIRED_CARD = "expired_card"
    WRONG_CODE = "wrong_code"
    AUTHENTICATION = "authentication"
    """3-D Secure was not passed."""
    LOST_OR_STOLEN = "lost_or_stolen"
    """For our eyes: a page says no more than `DECLINED`, as the card schemes ask."""
    LIMIT = "limit"
    TRY_AGAIN = "try_again"
    """The card's bank could not be reached; the same card may work in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What we ask a card to pay.

    `card` None: the person enters one on the acquirer's page, or chooses there among the customer's. `back_to` is where
    the page leads when it is done, `given_up` where when the person turns back; neither is proof of anything. `about`
    goes onto the acquirer's record, so nothing personal; `title` is shown on the page; `locale` is vi or en.
    `until` is when the page closes, 30 minutes to 24 hours ahead; it is kept with the id, because a repeated request must
    name the same instant.
    """

    id: UUID
    customer: str
    amount: Dong
    back_to: str
    given_up: str
    card: str | None = None
    keep_card: bool = False
    """With `card` None: link the card that is entered, for later."""
    about: Mapping[str, str] = field(default_factory=dict)
    title: str = "Tràng Tiền"
    until: datetime | None = None
    locale: str = "vi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What the acquirer says of a payment.

    `ref` may change once, when a page becomes a payment; the newest is the one to keep. `id` None: it is none of ours.
    """

    id: UUID | None
    ref: str
    state: PaymentState
    amount: int
    currency: str
    received: int
    """What was really taken from the card so far: equal to `amount` when it succeeded."""
    refunded: int
    live: bool
    """Real money; False in the acquirer's test mode."""
    customer: str | None = None
    page: str | None = None
    """Where to send the person when action is required."""
    card: Card | None = None
    """The card that paid, or failed to."""
    failure: Failure | None = None
    failure_code: str = ""
    """The acquirer's own word, for the operator."""
    disputed: bool = False


# -- after the payment ----------------------------------------------------------------------------------------------


class RefundState(StrEnum):
    """Where money on its way back to a card stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The card could not take it (closed, expired): the money is back with us, and owed otherwise."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """What the acquirer says of a refund."""

    id: UUID | None
    ref: str
    payment_ref: str
    state: RefundState
    amount: int
    currency: str
    failure_code: str = ""


class DisputeState(StrEnum):
    """Where a chargeback stands. Only OPENED and LOST have taken money from us; WON has given it back."""

    INQUIRY = "inquiry"
    """A bank asks before it disputes: nothing was taken yet."""
    CLOSED = "closed"
    """An inquiry that came to nothing."""
    OPENED = "opened"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A payment that its card's holder denies."""

    ref: str
    payment_ref: str
    payment: UUID | None
    state: DisputeState
    amount: int
    currency: str
    reason: str
    evidence_due: datetime | None
    made_at: datetime


class PayoutState(StrEnum):
    """Where money on its way from the acquirer to our bank stands."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Money that the acquirer sends to our bank."""

    ref: str
    state: PayoutState
    amount: int
    currency: str
    made_at: datetime
    arrives_at: datetime
    failure_code: str = ""


class LineKind(StrEnum):
    """What moved our balance at the acquirer."""

    CHARGE = "charge"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    """Taken for a chargeback; negative."""
    DISPUTE_WON = "dispute_won"
    """Given back; positive."""
    FEE = "fee"
    PAYOUT = "payout"
    PAYOUT_FAILED = "payout_failed"
    OTHER = "other"
    """Nothing that we know: a break, for a person to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLine:
    """One line of our account at the acquirer. `net` = `amount` − `fee` is what it did to the balance; all are signed.

    The sum of `net` over all lines is what the acquirer owes us.
    """

    ref: str
    kind: LineKind
    raw_kind: str
    amount: int
    fee: int
    net: int
    currency: str
    source: str
    """The ref of what caused it: a payment's charge, a refund, a dispute, a payout."""
    payment_ref: str | None
    """The ref of the payment that it belongs to, where there is one."""
    payment: UUID | None
    """Our id of that payment, where the line itself tells; a dispute's or a refund's may not."""
    refund: UUID | None
    """Our id of the refund, where it is one."""
    at: datetime
    available_at: datetime


# -- notices --------------------------------------------------------------------------------------------------------


class About(StrEnum):
    """What a notice is about: what is to be read again."""

    PAYMENT = "payment"
    LINKING = "linking"
    CARD = "card"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the acquirer told on its own, its origin verified: duplicate, late and out of order as it may be.

    `amount` and `currency` are what the notice says, for comparison with ours; None where it names none.
    """

    ref: str
    """Theirs, the same for each repetition: take each once."""
    about: About
    kind: str
    """The acquirer's own name of it, e.g. payment_intent.succeeded."""
    subject: str
    """The ref of what it is about: hand it to `payment`, `linking`, `refund`, `dispute` or `payout`."""
    id: UUID | None
    """Our id of the payment, linking or refund, if the notice names one; no proof that it is ours."""
    amount: int | None
    currency: str | None
    live: bool
    account: str | None
    """Whose it is, where it says that it is not ours: None is ours."""
    at: datetime


# -- the surface ----------------------------------------------------------------------------------------------------


class Acquirer(Protocol):
    """Whoever takes cards for us. Every method may raise `InDoubt`, `Busy` or `Rejected`."""

    @property
    def name(self) -> str:
        """Its short name in our books: stripe, napas."""

    @property
    def live(self) -> bool:
        """Whether it moves real money."""

    @property
    def origins(self) -> tuple[str, ...]:
        """Where its pages stand: the only other origins that a form of ours may lead to."""

    @property
    def amounts(self) -> tuple[Dong, Dong]:
        """The least and the most that one payment can be."""

    @property
    def keeps_cards(self) -> bool:
        """Whether cards can be linked for later; otherwise each payment goes over a page."""

    def make_customer(self, *, id: UUID) -> str:
        """Return the ref of the customer under which a holder's cards are kept. Nothing personal is sent."""

    def begin_linking(self, *, id: UUID, customer: str, back_to: str, given_up: str, locale: str = "vi") -> Linking:
        """Open a page on which a person enters a card, which its bank confirms, without paying."""

    def linking(self, ref: str) -> Linking:
        """Ask where a linking stands, with its card when it succeeded."""

    def cards(self, customer: str) -> tuple[Card, ...]:
        """Return the cards that are linked, newest first."""

    def forget_card(self, ref: str) -> None:
        """Let go of a linked card; one that is gone already is no error."""

    def begin_payment(self, charge: Charge) -> Payment:
        """Ask for a payment. A declined card is an answer (`FAILED`), no exception.

        Raises:
            InDoubt: the card may be charged. Never ask for another payment before `find_payment` has said no.
        """

    def payment(self, ref: str) -> Payment:
        """Ask where a payment stands.

        Raises:
            Unknown: the acquirer has no such payment.
        """

    def find_payment(self, *, id: UUID, customer: str, since: datetime) -> Payment | None:
        """Ask for a payment by our id, for when its answer was lost; None if it is not there.

        None is final only `CERTAIN_AFTER` the request: until then it may still be on its way.

        Args:
            since: when it was begun, or before: what is older is not looked at.
        """

    def cancel_payment(self, ref: str) -> Payment:
        """Give up a payment that has not been made yet, and its page; return where it now stands, paid perhaps."""

    def begin_refund(self, *, id: UUID, payment_ref: str, amount: Dong) -> Refund:
        """Send money back to the card that paid.

        Raises:
            Rejected: more than was paid and not yet sent back, or the payment is charged back.
        """

    def refund(self, ref: str) -> Refund:
        """Ask where a refund stands."""

    def find_refund(self, *, id: UUID, payment_ref: str) -> Refund | None:
        """Ask for a refund by our id, for when its answer was lost; None as for `find_payment`."""

    def dispute(self, ref: str) -> Dispute:
        """Ask where a chargeback stands."""

    def payout(self, ref: str) -> Payout:
        """Ask where a payout stands."""

    def payouts(self, *, since: datetime) -> Iterator[Payout]:
        """Yield the payouts made at `since` or later, oldest first."""

    def balance_lines(self, *, since: datetime) -> Iterator[BalanceLine]:
        """Yield the lines of our account made at `since` or later, oldest first. Take each ref once, and overlap."""

    def payout_lines(self, ref: str) -> Iterator[BalanceLine]:
        """Yield the lines that a payout pays, without the payout's own."""

    def read_notice(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Notice:
        """Read what somebody sent to our webhook, if the acquirer signed it lately. Touches no network.

        Args:
            body: as it came, byte for byte.
            headers: of the request; names in any case.
            now: the clock of the door.

        Raises:
            NotGenuine.
        """

    def notices(self, *, since: datetime) -> Iterator[Notice]:
        """Yield what was told since then, oldest first: for when our door was shut longer than they repeat."""
