"""POST /v1/refunds, POST /v1/reversals; GET /v1/entries/{id}/links."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response
from marshmallow import ValidationError, fields, validate

from wallet import accounts, refunds, text
from wallet.identity.roles import Role
from wallet.ids import EntryId, OrderId
from wallet.refunds import LineBack, RefundOrder, ReverseOrder
from wallet.web.act import act, answer
from wallet.web.fields import (
    AnswerSchema,
    CountField,
    DongField,
    IdField,
    InstantField,
    OrderSchema,
    Strict,
    uuid_or_none,
)
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.state import state

door = Blueprint("refunds", __name__)

LINES_MAX = 50


class LineBackSchema(Strict):
    """So much of a line."""

    line = CountField(required=True, metadata={"description": "The line's number, from 1."})
    amount = DongField(required=True)


def _once(lines: list[dict[str, Any]]) -> None:
    if len({line["line"] for line in lines}) < len(lines):
        raise ValidationError("a line at most once")


class RefundOrderSchema(OrderSchema):
    """Give parts of an entry back to where they came from, as whom it paid."""

    kind_name = "refund"

    entry = IdField(required=True)
    lines = fields.List(fields.Nested(LineBackSchema), required=True, validate=[validate.Length(1, LINES_MAX), _once])
    reason = fields.String(required=True, metadata={"description": "Up to 200 plain characters."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> RefundOrder:
        """Make the frozen order."""
        lines = tuple(LineBack(**line) for line in own["lines"])
        return RefundOrder(id=id, entry=own["entry"], lines=lines, reason=_reason(own))


class ReverseOrderSchema(OrderSchema):
    """Undo an entry whole, as whom it paid."""

    kind_name = "reverse"

    entry = IdField(required=True)
    reason = fields.String(required=True, metadata={"description": "Up to 200 plain characters."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> ReverseOrder:
        """Make the frozen order."""
        return ReverseOrder(id=id, entry=own["entry"], reason=_reason(own))


class UndoneSchema(AnswerSchema):
    """What was given back, by which entry, of which."""

    order = IdField()
    entry = IdField()
    undoes = IdField()
    amount = DongField()
    effective_at = InstantField()


class LinkSchema(AnswerSchema):
    """An entry that undoes this one, or that this one undoes."""

    entry = IdField()
    how = fields.String(metadata={"description": "reverses, reversed_by, refunds or refunded_by"})


class EntryLineSchema(AnswerSchema):
    """A line of the entry, and what of it can still be given back."""

    line = CountField()
    debit = IdField()
    credit = IdField()
    amount = DongField()
    given = DongField(zero=True)
    remains = DongField(zero=True)


class LinksSchema(AnswerSchema):
    """An entry of the caller's: its lines, and what undid it or what it undoes."""

    entry = IdField()
    lines = fields.List(fields.Nested(EntryLineSchema))
    links = fields.List(fields.Nested(LinkSchema))


@door.post("/v1/refunds")
@admits(Role.CITIZEN, Role.AGENCY, Role.MERCHANT)
@described(asks=RefundOrderSchema, answers=UndoneSchema, status=201)
def refund() -> Response:
    """Give a part back, line by line, at most what remains of each."""
    return act(RefundOrderSchema, state().refund, UndoneSchema, at_once=True)


@door.post("/v1/reversals")
@admits(Role.CITIZEN, Role.AGENCY)
@described(asks=ReverseOrderSchema, answers=UndoneSchema, status=201)
def reverse() -> Response:
    """Undo an entry whole, once."""
    return act(ReverseOrderSchema, refunds.reverse, UndoneSchema, at_once=True)


@door.get("/v1/entries/<entry>/links")
@admits(Role.CITIZEN, Role.AGENCY)
@described(answers=LinksSchema)
def links(entry: str) -> Response:
    """Read an entry's lines and its links, as its payer or whom it paid."""
    who, found = caller(), uuid_or_none(entry)
    if found is None:
        raise refunds.EntryNotFound(param="entry")
    with state().app.connect() as connection:
        lines = refunds.lines_of(connection, EntryId(found))
        own = {account.id for account in accounts.of(connection, who.agency or who.holder)}
        if not any(own & {line.debit, line.credit} for line in lines):
            raise refunds.EntryNotFound(param="entry")
        shown = [line for line in lines if own & {line.debit, line.credit}]
        return answer(LinksSchema, {"entry": found, "lines": shown, "links": refunds.links(connection, EntryId(found))})


def _reason(own: Mapping[str, Any]) -> str:
    return text.plain(own["reason"], chars_max=refunds.REASON_CHARS_MAX, param="reason", empty=False)
