"""POST /v1/charges: a till takes what a customer's one-time code allows."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response
from marshmallow import fields

from market import charges
from market.charges import ChargeOrder
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.web.act import act
from wallet.web.fields import AnswerSchema, DongField, IdField, InstantField, Invalid, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.openapi import described
from wallet.web.state import now, state

door = Blueprint("market_charges", __name__)


class ChargeOrderSchema(OrderSchema):
    """Take an amount at a point by the code that a customer shows. The signer serves the point's merchant."""

    kind_name = "charge"

    point = IdField(required=True, metadata={"description": "The acceptance point."})
    amount = DongField(required=True)
    code = fields.String(
        required=True,
        metadata={"description": "The twelve digits that the customer shows.", "pattern": "^[0-9]{12}$"},
    )
    invoice = fields.String(
        load_default="",
        metadata={"description": "The invoice that this pays, of exactly this amount; empty for none."},
    )

    def make(self, id: OrderId, own: Mapping[str, Any]) -> ChargeOrder:
        """Make the frozen order.

        Raises:
            Invalid: the invoice is no id.
        """
        invoice = uuid_or_none(own["invoice"])
        if own["invoice"] and invoice is None:
            raise Invalid(param="invoice")
        return ChargeOrder(id=id, point=own["point"], amount=own["amount"], code=own["code"], invoice=invoice)


class ChargedSchema(AnswerSchema):
    """A charge that was made."""

    order = IdField()
    entry = IdField()
    point = IdField()
    invoice = IdField(metadata={"description": "The invoice that it paid, if any."})
    amount = DongField()
    mandate = IdField()
    effective_at = InstantField()


@door.post("/v1/charges")
@admits(Role.CITIZEN, Role.MERCHANT)
@described(asks=ChargeOrderSchema, answers=ChargedSchema, status=201)
def charge() -> Response:
    """Charge a customer who shows a one-time code: once, at most what they allowed, within its half minute."""
    return act(
        ChargeOrderSchema, partial(charges.charge, limits=state().limits), ChargedSchema, check=_known, at_once=True
    )


def _known(order: ChargeOrder, signer: HolderId) -> None:
    charges.count_unknown(state().app, order, signer, now=now())
