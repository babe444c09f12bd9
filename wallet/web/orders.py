"""GET /v1/orders/{id}: what came of an order."""

import json
from typing import Any

from flask import Blueprint, Response
from marshmallow import fields

from wallet import canonical, lookup
from wallet.identity.roles import Role
from wallet.web.fields import AnswerSchema, IdField, uuid_or_none
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.state import state

door = Blueprint("orders", __name__)


class OutcomeSchema(AnswerSchema):
    """The stored outcome of an order; the same order sent again is answered with the very bytes of `answer`."""

    id = IdField()
    kind = fields.String()
    state = fields.String(metadata={"description": "done or refused"})
    status = fields.String(metadata={"description": "HTTP status of the answer."})
    code = fields.String(metadata={"description": "The refusal's code; empty when done."})
    entries = fields.List(IdField())
    answer = fields.Dict(metadata={"description": "What was answered."})


@door.get("/v1/orders/<order>")
@admits(*Role)
@described(answers=OutcomeSchema)
def read(order: str) -> Response:
    """Read the outcome of one of the caller's orders; 404 says that it never arrived."""
    who = caller()
    found = uuid_or_none(order)
    if found is None:
        raise lookup.NotFound(param="order")
    with state().app.connect() as connection:
        outcome = lookup.outcome(connection, signer=who.holder, order=found)
    answered: Any = json.loads(outcome.body)
    body = {
        "id": str(outcome.order),
        "kind": outcome.kind,
        "state": "refused" if outcome.code else "done",
        "status": str(outcome.status),
        "code": outcome.code or "",
        "entries": [str(entry) for entry in outcome.entries],
        "answer": answered | {"status": str(outcome.status)} if outcome.code else answered,
    }
    return Response(canonical.dumps(body), content_type="application/json")
