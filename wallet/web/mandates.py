"""POST /v1/mandates; GET /v1/mandates/{order}."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response
from marshmallow import fields

from wallet import mandates
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.mandates import MandateOrder
from wallet.web.act import act, answer
from wallet.web.fields import AnswerSchema, DongField, EpochField, IdField, InstantField, OrderSchema, uuid_or_none
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.state import now, state

door = Blueprint("mandates", __name__)


class MandateOrderSchema(OrderSchema):
    """Let whoever names a code charge the signer's wallet: once, at most the cap, for half a minute."""

    kind_name = "mandate"

    payer = IdField(required=True, metadata={"description": "The signer's wallet account."})
    cap = DongField(required=True, metadata={"description": "The most that may be charged, in whole đồng."})
    code = fields.String(
        required=True,
        metadata={
            "description": "Eleven digits drawn at random and their Damm check digit.",
            "pattern": "^[0-9]{12}$",
        },
    )
    lapses_at = EpochField(required=True, metadata={"description": "When it ends: within 30 seconds."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> MandateOrder:
        """Make the frozen order."""
        return MandateOrder(id=id, **own)


class SignedSchema(AnswerSchema):
    """A mandate that was taken. It can be charged until its half minute is over, or its holder signs a newer one."""

    order = IdField()
    mandate = IdField()
    payer = IdField()
    cap = DongField()


class MandateSchema(AnswerSchema):
    """A mandate as its holder sees it."""

    mandate = IdField()
    cap = DongField()
    lapses_at = InstantField()
    state = fields.String(metadata={"description": "live, charged, replaced or expired"})
    entry = IdField(metadata={"description": "What charged it."})
    amount = DongField(metadata={"description": "How much was charged, in whole đồng."})


@door.post("/v1/mandates")
@admits(Role.CITIZEN)
@described(asks=MandateOrderSchema, answers=SignedSchema, status=201)
def sign() -> Response:
    """Sign a one-time code for a till; the signer's older codes are dead from here on."""
    return act(MandateOrderSchema, mandates.sign, SignedSchema, at_once=True)


@door.get("/v1/mandates/<order>")
@admits(Role.CITIZEN)
@described(answers=MandateSchema)
def read(order: str) -> Response:
    """Read what became of a mandate of the caller's, by the order that signed it."""
    who, id = caller(), uuid_or_none(order)
    if id is None:
        raise mandates.NotFound(param="order")
    with state().app.connect() as connection:
        found = mandates.read(connection, OrderId(id), holder=who.holder)
    shown = {name: getattr(found, name) for name in ("mandate", "cap", "lapses_at", "entry", "amount")}
    return answer(MandateSchema, shown | {"state": found.state(now())})
