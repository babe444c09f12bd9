"""POST /v1/charges: a till takes what a customer's one-time code allows; and the pages on which a cashier does so."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask_babel import gettext as _
from marshmallow import fields

from market import charges, registry, scanned, tally
from market.charges import ChargeOrder
from market.registry import Point
from market.web import scan
from wallet import lookup, mandates, money
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.web.act import act
from wallet.web.fields import AnswerSchema, DongField, IdField, InstantField, Invalid, OrderSchema, uuid_or_none
from wallet.web.gate import admits, compiling
from wallet.web.openapi import described
from wallet.web.people import new_order_id, sentence, signed_in
from wallet.web.send import read_amount
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


# ---- the pages of a cashier: one that reads the code and signs nothing, one that signs and compiles nothing ----------


@door.get("/ban-hang/quay/<uuid:point>/ma-khach")
@admits(Role.CITIZEN)
def ask(point: UUID) -> Response:
    """Ask who works at a point for the amount, and let them scan what the customer shows."""
    return _ask(_mine(point), {}, {})


@door.post("/ban-hang/quay/<uuid:point>/ma-khach")
@admits(Role.CITIZEN)
def sheet(point: UUID) -> Response | str:
    """Show the cashier what to sign. Amount and code come in the form's body, and stand in no address."""
    found = _mine(point)
    values = {name: request.form.get(name, "") for name in ("so-tien", "text")}
    errors, amount, code = {}, read_amount(values["so-tien"]), values["text"].strip()
    if not amount:
        errors["so-tien"] = _("Xin nhập số tiền cần thu.")
    try:
        code = mandates.read_code(code.upper().removeprefix(scanned.ONE_TIME_PREFIX))
    except mandates.Mistyped as refusal:
        errors["text"] = sentence(refusal)
    if errors:
        return _ask(found, values, errors)
    here = f"/ban-hang/quay/{found.id}"
    return render_template(
        "market/charge.html",
        point=found,
        amount=amount,
        amount_words=money.in_words(amount or 0),
        edit_url=f"{here}/ma-khach",
        sign={
            "aud": state().config.public_origin,
            "signer": str(signed_in()),
            "kind": "charge",
            "order": str(new_order_id()),
            "path": "/v1/charges",
            "fields": {"point": str(found.id), "amount": str(amount), "code": code, "invoice": ""},
            "total": str(amount),
            "confirm_url": f"{here}/da-thu/",
        },
    )


@door.get("/ban-hang/quay/<uuid:point>/da-thu/<uuid:order>")
@admits(Role.CITIZEN)
def done(point: UUID, order: UUID) -> str:
    """Tell the cashier that their charge was made: by the books, not by the address."""
    found = _mine(point, closed=True)
    with state().app.connect() as connection:
        paid = charges.made(connection, OrderId(order), signer=signed_in(), point=found.id)
    if paid is None:
        raise lookup.NotFound(param="order")
    entry, amount = paid
    said = tally.of(entry, secret=state().config.server_secret)
    return render_template("market/charged.html", point=found, amount=amount, tally=said)


def _mine(point: UUID, *, closed: bool = False) -> Point:
    """Return a point at which the signed-in person works.

    Raises:
        registry.PointNotFound: none, or nobody's of theirs. PointClosed, unless a closed one will do.
    """
    with state().app.connect() as connection:
        found = registry.point_by_id(connection, point)
        if found is None or registry.role_of(connection, found.merchant, signed_in()) is None:
            raise registry.PointNotFound(param="point")
    if not closed:
        found.must_be_open()
    return found


def _ask(found: Point, values: Mapping[str, str], errors: Mapping[str, str]) -> Response:
    words = scan.script()
    words["words"] |= {"found": _("Đã đọc được mã.")}
    shown = render_template("market/charge_scan.html", point=found, values=values, errors=errors, scan=words)
    return compiling(Response(shown, 422 if errors else 200, content_type="text/html; charset=utf-8"))
