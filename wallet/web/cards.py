"""/v1/topups, /v1/card-payments, /v1/cards, and the door at which a card processor tells what has happened."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, Response, request
from marshmallow import fields, validate
from sqlalchemy.exc import SQLAlchemyError

from wallet.cards import asking, linked, notices, payments, refunds
from wallet.cards.payments import CardPaymentOrder, TopUpOrder
from wallet.gates.acquirer import AcquirerError
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.ledger import Claim, Plan
from wallet.web.act import act, answer
from wallet.web.fields import (
    AnswerSchema,
    DongField,
    IdField,
    InstantField,
    Invalid,
    OrderSchema,
    uuid_or_none,
)
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.problems import TooLarge, locale
from wallet.web.state import now, state, till

door = Blueprint("cards", __name__)

log = logging.getLogger("wallet.cards")

NOTICE_BYTES_MAX: Final = 256 * 1024
"""An event of Stripe's carries its object whole; the largest stay far below."""


class _CardOrderSchema(OrderSchema):
    amount = DongField(required=True)
    card = fields.String(
        load_default="", metadata={"description": "A linked card's id; empty: one that is entered on the page."}
    )

    @staticmethod
    def card_of(own: Mapping[str, Any]) -> UUID | None:
        """Read which card.

        Raises:
            Invalid.
        """
        card = uuid_or_none(own["card"])
        if own["card"] and card is None:
            raise Invalid(param="card", errors="card: not a UUID in lower case")
        return card


class CardTopUpOrderSchema(_CardOrderSchema):
    """Bring money from a card into the signer's own wallet."""

    kind_name = "card_topup"

    payee = IdField(required=True, metadata={"description": "The signer's wallet account."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> TopUpOrder:
        """Make the frozen order."""
        card = self.card_of(own)
        return TopUpOrder(id=id, payee=own["payee"], amount=own["amount"], card=card, locale=locale())


class CardPaymentOrderSchema(_CardOrderSchema):
    """Pay a bill by card, at the price seen."""

    kind_name = "card_payment"

    purpose = fields.String(required=True, validate=validate.OneOf(("bill", "invoice")))
    target = IdField(required=True, metadata={"description": "The bill's or invoice's id."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> CardPaymentOrder:
        """Make the frozen order."""
        if own["purpose"] not in till().targets:
            raise Invalid(param="purpose", errors="purpose: not payable by card here")
        return CardPaymentOrder(
            id=id,
            purpose=own["purpose"],
            target=own["target"],
            amount=own["amount"],
            card=self.card_of(own),
            locale=locale(),
        )


class CardOrderBegunSchema(AnswerSchema):
    """A payment by card that was ordered; `GET /v1/card-payments/{order}` says what becomes of it."""

    order = IdField()
    payment = IdField()
    amount = DongField()
    expires_at = InstantField(metadata={"description": "When it is given up if the card has not paid."})


class CardRefundSchema(AnswerSchema):
    """Money on its way back to the card."""

    amount = DongField()
    cause = fields.String()
    state = fields.String()


class CardPaymentSchema(AnswerSchema):
    """A payment by card as it stands."""

    order = IdField()
    payment = IdField(attribute="id")
    purpose = fields.String()
    target = IdField()
    amount = DongField()
    state = fields.String(
        metadata={"description": "created, requires_action, processing, succeeded, failed, cancelled or in_doubt"}
    )
    page = fields.String(allow_none=True, metadata={"description": "Where the person has something to do."})
    failure = fields.String(allow_none=True)
    entry = IdField(allow_none=True, metadata={"description": "The entry that brought the money in."})
    expires_at = InstantField()
    refunds = fields.List(fields.Nested(CardRefundSchema))


class LinkedCardSchema(AnswerSchema):
    """A linked card: never its number."""

    id = IdField()
    brand = fields.String()
    last4 = fields.String()
    exp_month = fields.Integer()
    exp_year = fields.Integer()
    is_default = fields.Boolean()


class LinkedCardsSchema(AnswerSchema):
    """The caller's linked cards, the default first."""

    rows = fields.List(fields.Nested(LinkedCardSchema))


@door.post("/v1/topups")
@admits(Role.CITIZEN)
@described(asks=CardTopUpOrderSchema, answers=CardOrderBegunSchema, status=201)
def top_up() -> Response:
    """Order a top-up by card. What is answered is that it was ordered; the card is asked then."""
    return _begun(act(CardTopUpOrderSchema, _at_the_till(payments.top_up), CardOrderBegunSchema))


@door.post("/v1/card-payments")
@admits(Role.CITIZEN)
@described(asks=CardPaymentOrderSchema, answers=CardOrderBegunSchema, status=201)
def pay() -> Response:
    """Order a payment by card of a bill or an invoice. If it is paid otherwise meanwhile, the card gets its money back."""
    return _begun(act(CardPaymentOrderSchema, _at_the_till(payments.pay), CardOrderBegunSchema))


def _at_the_till(verb: Callable[..., Plan]) -> Callable[..., Plan]:
    """Look for the till only when the verb decides: who has not signed is not told whether there is one."""

    def decide(unit: sa.Connection, claim: Claim, order: Any, *, now: datetime) -> Plan:
        return verb(unit, claim, order, till=till(), limits=state().limits, now=now)

    return decide


@door.get("/v1/card-payments/<order>")
@admits(Role.CITIZEN)
@described(answers=CardPaymentSchema)
def read(order: str) -> Response:
    """Say where a payment by card of the caller's stands."""
    who, key = caller(), uuid_or_none(order)
    if key is None:
        raise payments.PaymentNotFound(param="order")
    with state().app.connect() as connection:
        found = payments.of_order(connection, key, holder=who.holder)
        back = refunds.of_payment(connection, found.id)
    shown = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return answer(CardPaymentSchema, shown | {"refunds": back})


@door.get("/v1/cards")
@admits(Role.CITIZEN)
@described(answers=LinkedCardsSchema)
def list_cards() -> Response:
    """List the caller's linked cards."""
    who = caller()
    with state().app.connect() as connection:
        return answer(LinkedCardsSchema, {"rows": linked.of(connection, who.holder)})


@door.post("/stripe/events")
@admits("anyone")
def tell() -> Response:
    """Take a notice of the card processor's: verified, kept, and then read again what it is about."""
    here = till()
    request.max_content_length = NOTICE_BYTES_MAX
    if (request.content_length or 0) > NOTICE_BYTES_MAX:
        raise TooLarge
    ref = notices.receive(here, request.get_data(cache=False), dict(request.headers), now=now())
    if ref is not None:
        try:
            notices.handle(here, ref, now=now())
        except (AcquirerError, SQLAlchemyError):
            log.exception("a notice is kept, and is handled by the worker")
    return Response(status=204)


def _begun(response: Response) -> Response:
    """Ask the card for what was ordered. The order is committed; what fails from here on is carried on by the worker."""
    if response.status_code == 201:
        begin(UUID(json.loads(response.get_data())["payment"]))
    return response


def begin(payment: UUID) -> None:
    """Ask for a payment that was ordered, if nobody has yet."""
    try:
        asking.start(till(), payment, now=now())
    except (AcquirerError, SQLAlchemyError):
        log.exception("a payment is ordered, and is begun by the worker")
