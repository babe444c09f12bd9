"""POST /v1/holds; GET /v1/holds/{id}, its captures and its void."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response
from marshmallow import fields

from wallet import holds
from wallet.holds import CaptureOrder, HoldOrder, VoidOrder
from wallet.identity.roles import Role
from wallet.ids import HolderId, HoldId, OrderId
from wallet.web.act import act, answer
from wallet.web.fields import AnswerSchema, DongField, EpochField, IdField, InstantField, OrderSchema, uuid_or_none
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.state import state

door = Blueprint("holds", __name__)


class HoldOrderSchema(OrderSchema):
    """Set money of the signer's wallet aside for a payee: a signed mandate with cap, payee and expiry."""

    kind_name = "hold"

    payer = IdField(required=True, metadata={"description": "The signer's wallet account."})
    payee = IdField(required=True, metadata={"description": "The wallet account that may capture."})
    amount = DongField(required=True)
    lapses_at = EpochField(required=True, metadata={"description": "When it lapses: within seven days."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> HoldOrder:
        """Make the frozen order."""
        return HoldOrder(id=id, **own)


class PlacedSchema(AnswerSchema):
    """A hold that was placed."""

    order = IdField()
    hold = IdField()
    payer = IdField()
    payee = IdField()
    amount = DongField()
    lapses_at = InstantField()


class CaptureOrderSchema(OrderSchema):
    """Take of a hold, as its payee."""

    kind_name = "hold_capture"

    hold = IdField(required=True)
    amount = DongField(required=True)
    final = fields.String(
        required=True,
        validate=lambda said: said in ("true", "false"),
        metadata={"description": "`true` releases what remains.", "enum": ["true", "false"]},
    )

    def make(self, id: OrderId, own: Mapping[str, Any]) -> CaptureOrder:
        """Make the frozen order."""
        return CaptureOrder(id=id, hold=own["hold"], amount=own["amount"], final=own["final"] == "true")


class CapturedSchema(AnswerSchema):
    """What was captured, and by which entry."""

    order = IdField()
    hold = IdField()
    entry = IdField()
    amount = DongField()
    final = fields.Boolean()
    effective_at = InstantField()


class VoidOrderSchema(OrderSchema):
    """Let go of a hold, as its payee."""

    kind_name = "hold_void"

    hold = IdField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> VoidOrder:
        """Make the frozen order."""
        return VoidOrder(id=id, **own)


class VoidedSchema(AnswerSchema):
    """A hold that was let go."""

    order = IdField()
    hold = IdField()


class HoldSchema(AnswerSchema):
    """A hold as its payer and its payee see it. remaining = amount − captured − released."""

    id = IdField()
    payer = IdField()
    payee = IdField()
    amount = DongField()
    captured = DongField(zero=True)
    released = DongField(zero=True)
    remaining = DongField(zero=True)
    state = fields.String(metadata={"description": "held, captured, voided or lapsed"})
    placed_at = InstantField()
    lapses_at = InstantField()


@door.post("/v1/holds")
@admits(Role.CITIZEN)
@described(asks=HoldOrderSchema, answers=PlacedSchema, status=201)
def place() -> Response:
    """Set money aside for a payee, until it is captured, voided or lapses."""
    return act(HoldOrderSchema, partial(holds.place, limits=state().limits), PlacedSchema, at_once=True)


@door.get("/v1/holds/<hold>")
@admits(Role.CITIZEN)
@described(answers=HoldSchema)
def read(hold: str) -> Response:
    """Read a hold of which the caller is the payer or the payee."""
    who = caller()
    with state().app.connect() as connection:
        found = holds.read(connection, HoldId(_id(hold)), holder=who.holder)
    return answer(HoldSchema, found)


@door.post("/v1/holds/<hold>/captures")
@admits(Role.CITIZEN)
@described(asks=CaptureOrderSchema, answers=CapturedSchema, status=201)
def capture(hold: str) -> Response:
    """Take of a hold: whole, or in parts as often as something remains."""
    return act(CaptureOrderSchema, holds.capture, CapturedSchema, check=partial(_same, hold), at_once=True)


@door.post("/v1/holds/<hold>/void")
@admits(Role.CITIZEN)
@described(asks=VoidOrderSchema, answers=VoidedSchema, status=201)
def void(hold: str) -> Response:
    """Let go of a hold: what remains is available to its payer again."""
    return act(VoidOrderSchema, holds.void, VoidedSchema, check=partial(_same, hold), at_once=True)


def _id(hold: str) -> HoldId:
    found = uuid_or_none(hold)
    if found is None:
        raise holds.NotFound(param="hold")
    return HoldId(found)


def _same(hold: str, order: CaptureOrder | VoidOrder, _signer: HolderId) -> None:
    """Refuse an order that names another hold than the address does."""
    if order.hold != _id(hold):
        raise holds.NotFound(param="hold")
