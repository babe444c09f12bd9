"""POST /v1/charges: a till takes what a customer's one-time code allows; and the page on which a cashier does so."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template
from flask_babel import gettext as _
from marshmallow import fields

from market import charges, registry
from market.charges import ChargeOrder
from market.web import scan
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.web.act import act
from wallet.web.fields import AnswerSchema, DongField, IdField, InstantField, Invalid, OrderSchema, uuid_or_none
from wallet.web.gate import admits, compiling
from wallet.web.openapi import described
from wallet.web.people import signed_in
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


@door.get("/ban-hang/quay/<uuid:point>/ma-khach")
@admits(Role.CITIZEN)
def ask(point: UUID) -> Response:
    """Ask who works at a point for the amount, and let them scan what the customer shows."""
    who = signed_in()
    with state().app.connect() as connection:
        found = registry.point_by_id(connection, point)
        if found is None or registry.role_of(connection, found.merchant, who) is None:
            raise registry.PointNotFound(param="point")
    found.must_be_open()
    shown = render_template(
        "market/charge.html",
        point=found,
        scan=scan.script() | {"words": scan.script()["words"] | {"found": _("Đã đọc được mã.")}},
        charge={
            "aud": state().config.public_origin,
            "signer": str(who),
            "point": str(found.id),
            "words": {
                "no_amount": _("Xin nhập số tiền cần thu."),
                "no_code": _("Mã trả tiền của khách có 12 chữ số."),
                "sending": _("Đang gửi lệnh thu…"),
                "checking": _("Chưa nhận được trả lời, đang hỏi lại. Xin đừng thu lần nữa."),
                "offline": _("Máy đang mất mạng. Có mạng sẽ hỏi tiếp. Xin đừng thu lần nữa."),
            },
        },
    )
    return compiling(Response(shown, content_type="text/html; charset=utf-8"))
