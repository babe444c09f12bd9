"""A second acquirer, shaped like the domestic switch for ATM cards and not like Stripe: the surface must fit both.

It differs wherever it can: no cards are kept, nobody is a customer, every payment goes over a page with a code by text
message, refs are order numbers that never change, what it sends is a form signed by a hash, and fees are one line a day.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from wallet.gates.acquirer import (
    About,
    BalanceLine,
    Card,
    Charge,
    Dispute,
    DisputeState,
    Failure,
    InDoubt,
    KeyReused,
    LineKind,
    Linking,
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

ORIGIN = "https://cong-thanh-toan.example"
FEE = 1_100
CARDS = {
    "good": None,
    "declined": Failure.DECLINED,
    "funds": Failure.FUNDS,
}


@dataclass
class Order:
    """One order number: what was asked, and what came of it."""

    charge: Charge
    payment: Payment
    made_at: datetime


@dataclass
class Domestic:
    """The switch, in memory; also what a person and its staff do."""

    secret: str = "bi-mat-chung"
    now: datetime = datetime(2026, 11, 22, 3, tzinfo=UTC)
    fault: str = ""
    orders: dict[str, Order] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    paid_out: dict[str, Payout] = field(default_factory=dict)
    lines: list[tuple[BalanceLine, str]] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)

    name = "napas"
    live = False
    origins = (ORIGIN,)
    amounts = (Dong(10_000), Dong(499_999_999))
    keeps_cards = False

    # -- the surface

    def make_customer(self, *, id: UUID) -> str:
        return str(id)

    def begin_linking(self, *, id: UUID, customer: str, back_to: str, given_up: str, locale: str = "vi") -> Linking:
        raise Rejected("not_offered")

    def linking(self, ref: str) -> Linking:
        raise Unknown("no_such_linking")

    def cards(self, customer: str) -> tuple[Card, ...]:
        return ()

    def forget_card(self, ref: str) -> None:
        return None

    def begin_payment(self, charge: Charge) -> Payment:
        fault, self.fault = self.fault, ""
        if fault == "lose_request":
            raise InDoubt("no answer")
        ref = f"NP{charge.id.hex[:16]}"
        if (known := self.orders.get(ref)) and known.charge != charge:
            raise KeyReused("order_exists")
        if not self.amounts[0] <= charge.amount <= self.amounts[1]:
            raise Rejected("amount")
        payment = Payment(
            id=charge.id,
            ref=ref,
            state=PaymentState.REQUIRES_ACTION,
            amount=charge.amount,
            currency="VND",
            received=0,
            refunded=0,
            live=False,
            customer=charge.customer,
            page=f"{ORIGIN}/the/{ref}",
        )
        order = self.orders.setdefault(ref, Order(charge, payment, self.now))
        if fault:
            raise InDoubt("no answer")
        return order.payment

    def payment(self, ref: str) -> Payment:
        return self._order(ref).payment

    def _order(self, ref: str) -> Order:
        if ref not in self.orders:
            raise Unknown("no_such_order")
        return self.orders[ref]

    def find_payment(self, *, id: UUID, customer: str, since: datetime) -> Payment | None:
        order = self.orders.get(f"NP{id.hex[:16]}")
        return order.payment if order and order.made_at >= since else None

    def cancel_payment(self, ref: str) -> Payment:
        if self._order(ref).payment.state is PaymentState.REQUIRES_ACTION:
            self._set(ref, state=PaymentState.CANCELLED, page=None)
        return self.payment(ref)

    def begin_refund(self, *, id: UUID, payment_ref: str, amount: Dong) -> Refund:
        fault, self.fault = self.fault, ""
        paid, ref = self.payment(payment_ref), f"HT{id.hex[:16]}"
        if ref in self.refunds:
            if self.refunds[ref].amount != amount:
                raise KeyReused("refund_exists")
            return self.refunds[ref]
        if paid.disputed or amount > paid.received - paid.refunded:
            raise Rejected("amount")
        made = Refund(
            id=id,
            ref=ref,
            payment_ref=payment_ref,
            state=RefundState.SUCCEEDED,
            amount=amount,
            currency="VND",
        )
        self.refunds[ref] = made
        self._set(payment_ref, refunded=paid.refunded + amount)
        self._line(LineKind.REFUND, -amount, ref, payment_ref, refund=id)
        if fault:
            raise InDoubt("no answer")
        return made

    def refund(self, ref: str) -> Refund:
        if ref not in self.refunds:
            raise Unknown("no_such_refund")
        return self.refunds[ref]

    def find_refund(self, *, id: UUID, payment_ref: str) -> Refund | None:
        return self.refunds.get(f"HT{id.hex[:16]}")

    def dispute(self, ref: str) -> Dispute:
        return self.disputes[ref]

    def payout(self, ref: str) -> Payout:
        return self.paid_out[ref]

    def payouts(self, *, since: datetime) -> Iterator[Payout]:
        return iter([each for each in self.paid_out.values() if each.made_at >= since])

    def balance_lines(self, *, since: datetime) -> Iterator[BalanceLine]:
        return iter([line for line, _ in self.lines if line.at >= since])

    def payout_lines(self, ref: str) -> Iterator[BalanceLine]:
        return iter([line for line, payout in self.lines if payout == ref and line.kind is not LineKind.PAYOUT])

    def read_notice(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Notice:
        told = dict(parse_qsl(body.decode("utf-8", "replace")))
        if told.pop("hash", None) != self._hash(told):
            raise NotGenuine("hash")
        notice = self._notice(told)
        if abs(now - datetime.fromtimestamp(int(told["sent"]), UTC)) > timedelta(minutes=15):
            raise NotGenuine("old")
        return notice

    def notices(self, *, since: datetime) -> Iterator[Notice]:
        return (self._notice(told) for told in self.told if int(told["at"]) >= since.timestamp())

    # -- inside

    def _set(self, ref: str, **values: Any) -> None:
        self.orders[ref].payment = replace(self.orders[ref].payment, **values)

    def _line(self, kind: LineKind, amount: int, source: str, order: str | None, *, refund: UUID | None = None) -> None:
        line = BalanceLine(
            ref=f"S{len(self.lines):06}",
            kind=kind,
            raw_kind=kind.value.upper(),
            amount=amount,
            fee=0,
            net=amount,
            currency="VND",
            source=source,
            payment_ref=order,
            payment=self.orders[order].charge.id if order and kind is LineKind.CHARGE else None,
            refund=refund,
            at=self.now,
            available_at=self.now,
        )
        self.lines.append((line, ""))

    def _tell(self, about: str, subject: str, id: UUID | None, amount: int) -> None:
        told = {"n": str(len(self.told)), "about": about, "subject": subject, "amount": str(amount), "currency": "VND"}
        self.told.append({**told, "id": str(id or ""), "at": str(int(self.now.timestamp()))})

    def _hash(self, told: Mapping[str, str]) -> str:
        return hashlib.sha256((self.secret + "|".join(told[name] for name in sorted(told))).encode()).hexdigest()

    def _notice(self, told: Mapping[str, str]) -> Notice:
        return Notice(
            ref=f"TB{told['n']}",
            about=About(told["about"]),
            kind=told["about"].upper(),
            subject=told["subject"],
            id=UUID(told["id"]) if told["id"] else None,
            amount=int(told["amount"]),
            currency=told["currency"],
            live=False,
            account=None,
            at=datetime.fromtimestamp(int(told["at"]), UTC),
        )

    # -- what a person and its staff do

    def enter(self, page: str, card: str) -> None:
        """Enter a card and its code on the page."""
        order = self.orders[page.rsplit("/", 1)[1]]
        ref, failure = order.payment.ref, CARDS[card]
        if order.payment.state is not PaymentState.REQUIRES_ACTION or failure is not None:
            return
        paid_by = Card(ref="", brand="napas", last4="4485", exp_month=1, exp_year=2030)
        amount = order.charge.amount
        self._set(ref, state=PaymentState.SUCCEEDED, received=amount, page=None, card=paid_by)
        self._line(LineKind.CHARGE, amount, ref, ref)
        self._tell("payment", ref, order.charge.id, amount)

    def raise_dispute(self, payment_ref: str) -> str:
        paid = self.payment(payment_ref)
        ref = f"TS{len(self.disputes)}"
        self.disputes[ref] = Dispute(
            ref=ref,
            payment_ref=payment_ref,
            payment=paid.id,
            state=DisputeState.OPENED,
            amount=paid.received - paid.refunded,
            currency="VND",
            reason="fraudulent",
            evidence_due=self.now + timedelta(days=10),
            made_at=self.now,
        )
        self._set(payment_ref, disputed=True)
        self._line(LineKind.DISPUTE, -self.disputes[ref].amount, ref, payment_ref)
        self._tell("dispute", ref, None, self.disputes[ref].amount)
        return ref

    def decide(self, ref: str, *, won: bool) -> None:
        found = self.disputes[ref]
        self.disputes[ref] = replace(found, state=DisputeState.WON if won else DisputeState.LOST)
        if won:
            self._line(LineKind.DISPUTE_WON, found.amount, ref, found.payment_ref)
        self._tell("dispute", ref, None, found.amount)

    def pay_out(self) -> str:
        self._line(LineKind.FEE, -FEE, "", None)
        amount = sum(line.net for line, payout in self.lines if not payout)
        ref = f"CT{len(self.paid_out)}"
        self.paid_out[ref] = Payout(
            ref=ref,
            state=PayoutState.IN_TRANSIT,
            amount=amount,
            currency="VND",
            made_at=self.now,
            arrives_at=self.now + timedelta(days=1),
        )
        self._line(LineKind.PAYOUT, -amount, ref, None)
        self.lines = [(line, payout or ref) for line, payout in self.lines]
        self._tell("payout", ref, None, amount)
        return ref

    def arrive(self, ref: str) -> None:
        self.paid_out[ref] = replace(self.paid_out[ref], state=PayoutState.PAID)
        self._tell("payout", ref, None, self.paid_out[ref].amount)

    def sent(self) -> list[tuple[bytes, dict[str, str]]]:
        """Return what it has sent so far, signed now."""
        forms = [{**told, "sent": str(int(self.now.timestamp()))} for told in self.told]
        return [(urlencode({**form, "hash": self._hash(form)}).encode(), {}) for form in forms]
