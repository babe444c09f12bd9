"""The signed API of tills and payers: POST /v1/invoices, GET and cancel; POST /v1/invoice-payments, /v1/point-payments; and
what a till does about a payment that differs: attach, ask for the rest, accept."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response
from marshmallow import ValidationError, fields, validate

from market import codes, invoices, matching, payments, registry
from market.invoices import CancelOrder, Invoice, InvoiceOrder, Item
from market.matching import AttachOrder, ResolveOrder
from market.payments import InvoicePaymentOrder, PointPaymentOrder
from wallet import text
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.web.act import act, answer
from wallet.web.fields import (
    AnswerSchema,
    CountField,
    DongField,
    IdField,
    InstantField,
    OrderSchema,
    SpelledField,
    Strict,
    uuid_or_none,
)
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.state import now, state

door = Blueprint("market_tills", __name__)

_COUNT_PLACES_MAX: Final = 3


class PartField(SpelledField):
    """How many: a decimal string with up to three places, such as "2" or "0.35"."""

    def read(self, text: str) -> Any:
        """Read a number above zero."""
        try:
            number = Decimal(text) if text.isascii() and text.replace(".", "", 1).isdigit() else Decimal(0)
        except InvalidOperation:
            number = Decimal(0)
        exponent = number.as_tuple().exponent
        if not 0 < number <= 100_000 or not isinstance(exponent, int) or -exponent > _COUNT_PLACES_MAX:
            raise ValidationError("not a count: above 0, up to three places")
        return number


class ItemSchema(Strict):
    """A line of the till."""

    product = fields.String(load_default="", metadata={"description": "The catalog's id, or empty."})
    name = fields.String(required=True, metadata={"description": "Up to 80 plain characters."})
    unit = fields.String(load_default="", metadata={"description": "Such as kg; up to 20 plain characters."})
    price = DongField(required=True)
    count = PartField(required=True, metadata={"description": "A decimal string with up to three places."})
    amount = DongField(required=True, metadata={"description": "Price times count, rounded half up to a đồng."})


class InvoiceOrderSchema(OrderSchema):
    """Ask for so much at a point."""

    kind_name = "invoice"

    point = IdField(required=True)
    amount = DongField(required=True)
    memo = fields.String(load_default="", metadata={"description": "Up to 140 plain characters."})
    items = fields.List(fields.Nested(ItemSchema), load_default=list, validate=validate.Length(max=invoices.ITEMS_MAX))
    lasts_s = CountField(load_default=None, metadata={"description": "Seconds until it expires; 900 if left out."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> InvoiceOrder:
        """Make the frozen order."""
        lasts = timedelta(seconds=own["lasts_s"]) if own["lasts_s"] else invoices.LASTS
        return InvoiceOrder(
            id=id,
            point=own["point"],
            amount=own["amount"],
            memo=text.plain(own["memo"], chars_max=invoices.MEMO_CHARS_MAX, param="memo", empty=True),
            items=tuple(_item(item) for item in own["items"]),
            lasts=lasts,
        )


def _item(said: Mapping[str, Any]) -> Item:
    return Item(
        product=uuid_or_none(said["product"]),
        name=text.plain(said["name"], chars_max=invoices.ITEM_CHARS_MAX, param="items"),
        unit=text.plain(said["unit"], chars_max=20, param="items", empty=True),
        price=said["price"],
        count=said["count"],
        amount=said["amount"],
    )


class InvoiceCancelSchema(OrderSchema):
    """Take an invoice back."""

    kind_name = "invoice_cancel"

    invoice = IdField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> CancelOrder:
        """Make the frozen order."""
        return CancelOrder(id=id, invoice=own["invoice"])


class IssuedInvoiceSchema(AnswerSchema):
    """An invoice as it was issued. `GET /v1/invoices/{id}` gives its code."""

    order = IdField()
    invoice = IdField()
    number = fields.String()
    merchant = IdField()
    point = IdField()
    amount = DongField()
    made_at = InstantField()
    expires_at = InstantField()


class CancelledInvoiceSchema(AnswerSchema):
    """An invoice that was taken back."""

    order = IdField()
    invoice = IdField()
    state = fields.String()


class InvoiceItemSchema(AnswerSchema):
    """A line of an invoice."""

    product = fields.String()
    name = fields.String()
    unit = fields.String()
    price = DongField()
    count = fields.String()
    amount = DongField()


class InvoiceSchema(AnswerSchema):
    """An invoice and where it stands."""

    invoice = IdField()
    number = fields.String()
    merchant = IdField()
    point = IdField()
    amount = DongField()
    memo = fields.String()
    items = fields.List(fields.Nested(InvoiceItemSchema))
    state = fields.String(metadata={"description": "new, paid, short, expired or cancelled"})
    made_at = InstantField()
    expires_at = InstantField()
    rest_of = IdField(allow_none=True, metadata={"description": "The invoice that was paid short."})
    entry = IdField(allow_none=True, metadata={"description": "The entry that paid it."})
    how = fields.String(allow_none=True, metadata={"description": "exact, under, over, late or attached; null: itself"})
    paid = DongField(allow_none=True)
    paid_at = InstantField(allow_none=True)
    qr = fields.String(metadata={"description": "The text of its QR code; empty when it can be paid no more."})


class InvoicePaymentOrderSchema(OrderSchema):
    """Pay an invoice, whole, from the signer's wallet."""

    kind_name = "invoice_payment"

    payer = IdField(required=True, metadata={"description": "The signer's wallet account."})
    payee = IdField(required=True, metadata={"description": "The merchant's account, as it was looked up."})
    invoice = IdField(required=True)
    amount = DongField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> InvoicePaymentOrder:
        """Make the frozen order."""
        return InvoicePaymentOrder(id=id, **own)


class PointPaymentOrderSchema(OrderSchema):
    """Pay any amount at a point, from the signer's wallet."""

    kind_name = "point_payment"

    payer = IdField(required=True, metadata={"description": "The signer's wallet account."})
    payee = IdField(required=True, metadata={"description": "The merchant's account, as it was looked up."})
    point = IdField(required=True)
    amount = DongField(required=True)
    memo = fields.String(load_default="", metadata={"description": "Up to 140 plain characters."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> PointPaymentOrder:
        """Make the frozen order."""
        memo = text.plain(own["memo"], chars_max=payments.MEMO_CHARS_MAX, param="memo", empty=True)
        return PointPaymentOrder(id=id, **{**own, "memo": memo})


class MerchantPaymentSchema(AnswerSchema):
    """A payment to a merchant that was done."""

    order = IdField()
    entry = IdField()
    merchant = IdField()
    point = IdField()
    invoice = IdField(allow_none=True)
    payer = IdField()
    payee = IdField()
    amount = DongField()
    effective_at = InstantField()


class AttachOrderSchema(OrderSchema):
    """Say which invoice a payment to a sticker answers."""

    kind_name = "payment_attach"

    payment = IdField(required=True, metadata={"description": "The payment's entry."})
    invoice = IdField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> AttachOrder:
        """Make the frozen order."""
        return AttachOrder(id=id, **own)


class AttachedSchema(AnswerSchema):
    """How a payment answers an invoice."""

    order = IdField()
    payment = IdField()
    invoice = IdField()
    how = fields.String()


class _ResolveSchema(OrderSchema):
    payment = IdField(required=True, metadata={"description": "The payment's entry."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> ResolveOrder:
        """Make the frozen order."""
        return ResolveOrder(id=id, **own)


class RestOrderSchema(_ResolveSchema):
    """Ask for the rest of a payment that came short."""

    kind_name = "payment_rest"


class AcceptOrderSchema(_ResolveSchema):
    """Let a payment be that came short, over or late."""

    kind_name = "payment_accept"


class AcceptedSchema(AnswerSchema):
    """A payment that is let be."""

    order = IdField()
    payment = IdField()


@door.post("/v1/invoices")
@admits(Role.CITIZEN, Role.MERCHANT)
@described(asks=InvoiceOrderSchema, answers=IssuedInvoiceSchema, status=201)
def issue() -> Response:
    """Issue an invoice at a point, as somebody who works there or as the merchant's machine."""
    return act(InvoiceOrderSchema, invoices.issue, IssuedInvoiceSchema)


@door.get("/v1/invoices/<invoice>")
@admits(Role.CITIZEN, Role.MERCHANT)
@described(answers=InvoiceSchema)
def read(invoice: str) -> Response:
    """Read an invoice, as its merchant or as who has paid it."""
    who, found = caller(), uuid_or_none(invoice)
    if found is None:
        raise invoices.NotFound(param="invoice")
    with state().app.connect() as connection:
        one = invoices.visible(connection, found, who.holder)
        point = registry.point_by_id(connection, one.point)
    assert point is not None, "an invoice is issued at a point"
    return answer(InvoiceSchema, shown(one, point))


def shown(one: Invoice, point: registry.Point) -> dict[str, Any]:
    """Return what is said of an invoice, its code included while it can be paid."""
    stands = one.state(now())
    payable = stands is invoices.State.NEW and point.open
    return {
        **{name: getattr(one, name) for name in Invoice.__slots__},
        "invoice": one.id,
        "state": str(stands),
        "qr": code(one, point) if payable else "",
    }


def code(one: Invoice, point: registry.Point) -> str:
    """Return the text of an invoice's QR code."""
    return codes.of_invoice(
        point, number=one.number, amount=one.amount, city=state().city.name, demo=state().config.demo
    )


@door.post("/v1/invoices/<invoice>/cancel")
@admits(Role.CITIZEN, Role.MERCHANT)
@described(asks=InvoiceCancelSchema, answers=CancelledInvoiceSchema)
def cancel(invoice: str) -> Response:
    """Take an invoice back that nobody has paid."""

    def check(order: CancelOrder, _: object) -> None:
        if str(order.invoice) != invoice:
            raise invoices.NotFound(param="invoice")

    return act(InvoiceCancelSchema, invoices.cancel, CancelledInvoiceSchema, status=200, check=check)


@door.post("/v1/invoice-payments")
@admits(Role.CITIZEN)
@described(asks=InvoicePaymentOrderSchema, answers=MerchantPaymentSchema, status=201)
def pay_invoice() -> Response:
    """Pay an invoice, once, at its amount."""
    verb = partial(payments.pay_invoice, limits=state().limits)
    return act(InvoicePaymentOrderSchema, verb, MerchantPaymentSchema, at_once=True)


@door.post("/v1/point-payments")
@admits(Role.CITIZEN)
@described(asks=PointPaymentOrderSchema, answers=MerchantPaymentSchema, status=201)
def pay_point() -> Response:
    """Pay what the payer says at a point; it is matched with what the cashier has keyed."""
    verb = partial(payments.pay_point, limits=state().limits)
    return act(PointPaymentOrderSchema, verb, MerchantPaymentSchema, at_once=True)


@door.post("/v1/payment-matches")
@admits(Role.CITIZEN, Role.MERCHANT)
@described(asks=AttachOrderSchema, answers=AttachedSchema, status=201)
def attach() -> Response:
    """Pick which invoice a payment to a sticker answers."""
    return act(AttachOrderSchema, matching.attach, AttachedSchema)


@door.post("/v1/payment-rests")
@admits(Role.CITIZEN, Role.MERCHANT)
@described(asks=RestOrderSchema, answers=IssuedInvoiceSchema, status=201)
def ask_rest() -> Response:
    """Issue an invoice for what a payment fell short of."""
    return act(RestOrderSchema, matching.ask_rest, IssuedInvoiceSchema)


@door.post("/v1/payment-acceptances")
@admits(Role.CITIZEN, Role.MERCHANT)
@described(asks=AcceptOrderSchema, answers=AcceptedSchema, status=201)
def accept() -> Response:
    """Let a payment be that came short, over or late."""
    return act(AcceptOrderSchema, matching.accept, AcceptedSchema)
