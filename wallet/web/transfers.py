"""POST /v1/transfers."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response
from marshmallow import fields

from wallet import text, transfers
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.transfers import TransferOrder
from wallet.web.act import act
from wallet.web.fields import AnswerSchema, DongField, IdField, InstantField, OrderSchema
from wallet.web.gate import admits
from wallet.web.openapi import described
from wallet.web.state import state

door = Blueprint("transfers", __name__)


class TransferOrderSchema(OrderSchema):
    """Move money from the signer's wallet to another."""

    kind_name = "transfer"

    payer = IdField(required=True, metadata={"description": "The signer's wallet account."})
    payee = IdField(required=True, metadata={"description": "The wallet account to be paid."})
    amount = DongField(required=True)
    memo = fields.String(load_default="", metadata={"description": "Up to 140 plain characters."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> TransferOrder:
        """Make the frozen order."""
        memo = text.plain(own["memo"], chars_max=transfers.MEMO_CHARS_MAX, param="memo", empty=True)
        return TransferOrder(id=id, payer=own["payer"], payee=own["payee"], amount=own["amount"], memo=memo)


class TransferSchema(AnswerSchema):
    """A transfer that was done."""

    order = IdField()
    entry = IdField()
    payer = IdField()
    payee = IdField()
    amount = DongField()
    effective_at = InstantField()


@door.post("/v1/transfers")
@admits(Role.CITIZEN)
@described(asks=TransferOrderSchema, answers=TransferSchema, status=201)
def send() -> Response:
    """Move money from one wallet to another, at once."""
    return act(TransferOrderSchema, partial(transfers.send, limits=state().limits), TransferSchema, at_once=True)
