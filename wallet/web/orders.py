"""GET /v1/orders/{id}: what came of an order, and the receipt that proves it."""

import json
from typing import Any
from uuid import UUID

from flask import Blueprint, Response
from marshmallow import fields

from wallet import canonical, lookup, receipts
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.web.fields import AnswerSchema, IdField, uuid_or_none
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.state import now, state

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


class SignedOrderSchema(AnswerSchema):
    """An order as its signer gave it. Bytes that are text stand as text, others in base64."""

    bytes = fields.String(metadata={"description": "The order's very bytes."})
    salt = fields.String(metadata={"description": "Base64. SHA-256(salt ‖ bytes) is the digest in the log."})
    signature_base = fields.String(metadata={"description": "What was signed, as RFC 9421 spells it."})
    signature = fields.String(metadata={"description": "Base64 of 64 bytes."})
    key = fields.Dict(keys=fields.String(), values=fields.String(), metadata={"description": "The public JWK."})


class LeafSchema(AnswerSchema):
    """An event, and its place in the log where it is sealed."""

    bytes = fields.String(metadata={"description": "The leaf's very bytes."})
    index = fields.String(metadata={"description": "Its leaf, from 0; in a receipt only."})
    proof = fields.List(fields.String(), metadata={"description": "Inclusion proof (RFC 6962) in base64; likewise."})


class ReceiptSchema(AnswerSchema):
    """A receipt; before the log has the events an acknowledgement, and of a refused order a refusal."""

    v = fields.String(metadata={"description": "1"})
    kind = fields.String(metadata={"description": "receipt, acknowledgement or refusal; only the first is a proof"})
    order = fields.Nested(SignedOrderSchema)
    enrolment = fields.List(fields.Nested(LeafSchema), metadata={"description": "What let the key in; of a receipt."})
    events = fields.List(fields.Nested(LeafSchema), metadata={"description": "All that the order caused."})
    checkpoint = fields.String(metadata={"description": "The log's signed note with its cosignatures; of a receipt."})
    statement = fields.String(metadata={"description": "What the log has signed instead; of the other two."})


@door.get("/v1/orders/<order>")
@admits(*Role)
@described(answers=OutcomeSchema)
def read(order: str) -> Response:
    """Read the outcome of one of the caller's orders; 404 says that it never arrived."""
    who = caller()
    with state().app.connect() as connection:
        outcome = lookup.outcome(connection, signer=who.holder, order=order_id(order))
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


@door.get("/v1/orders/<order>/receipt")
@admits(*Role)
@described(answers=ReceiptSchema)
def receipt(order: str) -> Response:
    """Take home the proof of one of the caller's signed orders; before it is sealed, the promise that it will be."""
    return receipt_of(caller().holder, order)


def receipt_of(holder: HolderId, order: str) -> Response:
    """Answer with the receipt of a holder's order, as `wallet.log.evidence` reads it."""
    with state().app.connect() as connection:
        content = receipts.of(connection, state().log, signer=holder, order=order_id(order), now=now())
    return Response(content, content_type="application/json")


def order_id(text: str) -> UUID:
    """Read an order's id in a path; what is none has never arrived.

    Raises:
        lookup.NotFound.
    """
    found = uuid_or_none(text)
    if found is None:
        raise lookup.NotFound(param="order")
    return found
