"""A pretended acquirer in memory: does what the surface promises, and goes wrong when told to.

acquirer = Pretend()
acquirer.faults.append("lost")        # the next call is carried out, and its answer lost
acquirer.pay(payment)                 # the person passed the page
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from wallet import clock
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import (
    About,
    BalanceLine,
    Card,
    Charge,
    Dispute,
    DisputeState,
    Failure,
    LineKind,
    Linking,
    LinkingState,
    Notice,
    Payment,
    PaymentState,
    Payout,
    PayoutState,
    Refund,
    RefundState,
)
from wallet.money import Dong

FEE = 3_000
DISPUTE_FEE = 15_000


@dataclass(slots=True, kw_only=True)
class Pretend:
    """An acquirer whose whole state is these fields. `faults` are taken by the calls that change something, in turn:
    "lost": done, and the answer lost; "away": not done, and no answer; "busy"; "declined"; "rejected".
    """

    name: str = "stripe"
    live: bool = False
    origins: tuple[str, ...] = ("http://localhost:1",)
    amounts: tuple[Dong, Dong] = (Dong(10_000), Dong(100_000_000))
    keeps_cards: bool = True
    faults: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    customers: dict[UUID, str] = field(default_factory=dict)
    linkings: dict[str, Linking] = field(default_factory=dict)
    linked: dict[str, list[Card]] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    payouts_: dict[str, Payout] = field(default_factory=dict)
    lines: list[BalanceLine] = field(default_factory=list)
    told: list[Notice] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def _ref(self, prefix: str) -> str:
        return f"{prefix}_{id(self)}_{next(self._numbers)}"

    def _fault(self, call: str) -> str:
        self.calls.append(call)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "away":
            raise gate.InDoubt("no answer")
        if fault == "busy":
            raise gate.Busy("too many requests")
        if fault == "rejected":
            raise gate.Rejected("not_allowed", "no")
        return fault

    def _answered(self, fault: str) -> None:
        if fault == "lost":
            raise gate.InDoubt("the answer was lost")

    # -- what the wallet asks ------------------------------------------------------------------------------------

    def make_customer(self, *, id: UUID) -> str:
        return self.customers.setdefault(id, self._ref("cus"))

    def begin_linking(self, *, id, customer, back_to, given_up, locale="vi") -> Linking:
        fault = self._fault("begin_linking")
        made = Linking(
            id=id, ref=self._ref("cs"), state=LinkingState.OPEN, customer=customer, page=f"{self.origins[0]}/card"
        )
        self.linkings[made.ref] = made
        self._answered(fault)
        return made

    def linking(self, ref: str) -> Linking:
        if ref not in self.linkings:
            raise gate.Unknown("resource_missing")
        return self.linkings[ref]

    def cards(self, customer: str) -> tuple[Card, ...]:
        return tuple(self.linked.get(customer, ()))

    def forget_card(self, ref: str) -> None:
        self._fault("forget_card")

    def begin_payment(self, charge: Charge) -> Payment:
        fault = self._fault("begin_payment")
        made = Payment(
            id=charge.id,
            ref=self._ref("pi"),
            state=PaymentState.REQUIRES_ACTION,
            amount=charge.amount,
            currency="VND",
            received=0,
            refunded=0,
            live=self.live,
            customer=charge.customer,
            page=f"{self.origins[0]}/pay",
        )
        if fault == "declined":
            made = replace(
                made, state=PaymentState.FAILED, failure=Failure.FUNDS, failure_code="insufficient_funds", page=None
            )
        self.payments[made.ref] = made
        self._answered(fault)
        return made

    def payment(self, ref: str) -> Payment:
        if ref not in self.payments:
            raise gate.Unknown("resource_missing")
        return self.payments[ref]

    def find_payment(self, *, id: UUID, customer: str, since: datetime) -> Payment | None:
        self._fault("find_payment")
        return next((one for one in self.payments.values() if one.id == id), None)

    def cancel_payment(self, ref: str) -> Payment:
        self._fault("cancel_payment")
        one = self.payment(ref)
        if one.state != PaymentState.SUCCEEDED:
            self.payments[ref] = replace(one, state=PaymentState.CANCELLED, page=None)
        return self.payments[ref]

    def begin_refund(self, *, id: UUID, payment_ref: str, amount: Dong) -> Refund:
        fault = self._fault("begin_refund")
        paid = self.payments[payment_ref]
        same = next((one for one in self.refunds.values() if one.id == id), None)
        if same is None:
            if paid.refunded + amount > paid.received or paid.disputed:
                raise gate.Rejected("charge_already_refunded")
            self.payments[payment_ref] = replace(paid, refunded=paid.refunded + amount)
            same = Refund(
                id=id,
                ref=self._ref("re"),
                payment_ref=payment_ref,
                state=RefundState.PENDING,
                amount=amount,
                currency="VND",
            )
            self.refunds[same.ref] = same
            self._line(LineKind.REFUND, -amount, source=same.ref, payment=paid.id, refund=id)
        self._answered(fault)
        return same

    def refund(self, ref: str) -> Refund:
        return self.refunds[ref]

    def find_refund(self, *, id: UUID, payment_ref: str) -> Refund | None:
        self._fault("find_refund")
        return next((one for one in self.refunds.values() if one.id == id), None)

    def dispute(self, ref: str) -> Dispute:
        if ref not in self.disputes:
            raise gate.Unknown("resource_missing")
        return self.disputes[ref]

    def payout(self, ref: str) -> Payout:
        return self.payouts_[ref]

    def payouts(self, *, since: datetime) -> Iterator[Payout]:
        yield from self.payouts_.values()

    def balance_lines(self, *, since: datetime) -> Iterator[BalanceLine]:
        yield from self.lines

    def payout_lines(self, ref: str) -> Iterator[BalanceLine]:
        yield from ()

    def read_notice(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Notice:
        if headers.get("Stripe-Signature") != "good":
            raise gate.NotGenuine("signature")
        ref = json.loads(body)["id"]
        return next(one for one in self.told if one.ref == ref)

    def notices(self, *, since: datetime) -> Iterator[Notice]:
        yield from self.told

    # -- what the world does ----------------------------------------------------------------------------------------

    def of(self, id: UUID) -> Payment:
        return next(one for one in self.payments.values() if one.id == id)

    def link(self, linking: Linking | Any, *, last4: str = "4242", fingerprint: str = "") -> Card:
        """The person entered a card on the page."""
        one = self.linkings[linking.ref]
        card = Card(
            ref=self._ref("pm"),
            brand="visa",
            last4=last4,
            exp_month=12,
            exp_year=2030,
            fingerprint=fingerprint or last4,
        )
        self.linkings[one.ref] = replace(one, state=LinkingState.SUCCEEDED, page=None, card=card)
        self.linked.setdefault(one.customer, []).append(card)
        return card

    def pay(self, id: UUID, /, **unlike: Any) -> Payment:
        """The person passed the page, and the card paid."""
        one = self.of(id)
        card = Card(ref=self._ref("pm"), brand="visa", last4="4242", exp_month=12, exp_year=2030)
        paid = replace(one, state=PaymentState.SUCCEEDED, received=one.amount, page=None, card=card)
        self.payments[one.ref] = replace(paid, **unlike)
        self._line(LineKind.CHARGE, one.amount, fee=FEE, source=f"ch_{one.ref}", payment=id)
        return self.payments[one.ref]

    def decline(self, id: UUID, failure: Failure = Failure.AUTHENTICATION) -> None:
        one = self.of(id)
        self.payments[one.ref] = replace(one, state=PaymentState.FAILED, failure=failure, page=None)

    def end_refund(self, ref: str, state: RefundState) -> None:
        one = self.refunds[ref]
        self.refunds[ref] = replace(one, state=state)
        if state == RefundState.FAILED:
            self._line(LineKind.REFUND_FAILED, one.amount, source=ref, payment=None, refund=one.id)

    def deny(self, id: UUID, /, **unlike: Any) -> Dispute:
        """The card's holder denies the payment, and its bank takes the money."""
        paid = self.of(id)
        self.payments[paid.ref] = replace(paid, disputed=True)
        made = Dispute(
            ref=self._ref("dp"),
            payment_ref=paid.ref,
            payment=id,
            state=DisputeState.OPENED,
            amount=paid.amount,
            currency="VND",
            reason="fraudulent",
            evidence_due=clock.now() + timedelta(days=7),
            made_at=clock.now(),
        )
        self.disputes[made.ref] = replace(made, **unlike)
        self._line(LineKind.DISPUTE, -paid.amount, fee=DISPUTE_FEE, source=made.ref, payment=id)
        return self.disputes[made.ref]

    def end_dispute(self, ref: str, state: DisputeState) -> None:
        one = self.disputes[ref]
        self.disputes[ref] = replace(one, state=state)
        if state == DisputeState.WON:
            self._line(LineKind.DISPUTE_WON, one.amount, fee=-DISPUTE_FEE, source=ref, payment=one.payment)

    def pay_out(self) -> Payout:
        """All that is owed is sent to the bank."""
        amount = sum(line.net for line in self.lines)
        made = Payout(
            ref=self._ref("po"),
            state=PayoutState.IN_TRANSIT,
            amount=amount,
            currency="VND",
            made_at=clock.now(),
            arrives_at=clock.now() + timedelta(days=1),
        )
        self.payouts_[made.ref] = made
        self._line(LineKind.PAYOUT, -amount, source=made.ref)
        return made

    def end_payout(self, ref: str, state: PayoutState) -> None:
        one = self.payouts_[ref]
        self.payouts_[ref] = replace(one, state=state)
        if state == PayoutState.FAILED:
            self._line(LineKind.PAYOUT_FAILED, one.amount, source=ref)

    def tell(self, about: About, subject: str, **said: Any) -> Notice:
        """A notice as it will come to our door; returns it."""
        notice = Notice(
            ref=self._ref("evt"),
            about=about,
            kind=said.pop("kind", f"{about}.updated"),
            subject=subject,
            **{"id": None, "amount": None, "currency": None, "live": self.live, "account": None, "at": clock.now()}
            | said,
        )
        self.told.append(notice)
        return notice

    def _line(
        self,
        kind: LineKind,
        amount: int,
        *,
        source: str,
        fee: int = 0,
        payment: UUID | None = None,
        refund: UUID | None = None,
    ) -> None:
        self.lines.append(
            BalanceLine(
                ref=self._ref("txn"),
                kind=kind,
                raw_kind=str(kind),
                amount=amount,
                fee=fee,
                net=amount - fee,
                currency="VND",
                source=source,
                payment_ref=next((one.ref for one in self.payments.values() if one.id == payment), None),
                payment=payment,
                refund=refund,
                at=clock.now(),
                available_at=clock.now(),
            )
        )
