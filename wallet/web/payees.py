"""GET /v1/payees: whom a phone number or a payee code pays; and the order by which a holder gets a fresh code."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request
from marshmallow import fields

from wallet import payees
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.payees import CodeOrder
from wallet.web.act import answer
from wallet.web.fields import AnswerSchema, IdField, OrderSchema
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.problems import Unparseable
from wallet.web.state import now, state

door = Blueprint("payees", __name__)


class PayeeSchema(AnswerSchema):
    """A wallet that can be paid. Show the name to whoever is about to sign."""

    account = IdField(metadata={"description": "Give it as `payee` of a transfer."})
    name_masked = fields.String()


class CodeOrderSchema(OrderSchema):
    """Give the signer a fresh payee code."""

    kind_name = "payee_code_make"

    def make(self, id: OrderId, own: Mapping[str, Any]) -> CodeOrder:
        """Make the frozen order."""
        return CodeOrder(id=id)


class CodeMadeSchema(AnswerSchema):
    """A fresh payee code was made; it is shown to its holder only."""

    order = IdField()


@door.get("/v1/payees")
@admits(Role.CITIZEN)
@described(
    answers=PayeeSchema,
    query={"phone": "The payee's phone number; or", "code": "their payee code. One of the two."},
)
def find() -> Response:
    """Find a payee by phone number or payee code. Tries are counted and limited."""
    who = caller()
    by = {"phone": payees.by_phone, "code": payees.by_code}
    asked = [(name, typed) for name in by for typed in request.args.getlist(name)]
    if len(asked) != 1:
        raise Unparseable(param="phone")
    [(name, typed)] = asked
    return answer(PayeeSchema, by[name](state().app, typed, asker=who.holder, now=now()))
