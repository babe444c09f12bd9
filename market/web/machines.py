"""The owner's page of a merchant's machines: how one enrols, which wait, which may sign."""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from marshmallow import fields, validate
from werkzeug.wrappers import Response as BaseResponse

from market import machines
from market.machines import MachineOrder
from market.registry import StaffRole
from market.web.selling import mine, ordered, refused
from wallet import clock, crypto
from wallet.identity import attempts, keys, pins
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.web.fields import IdField, OrderSchema
from wallet.web.gate import admits
from wallet.web.keys import KEY_ID, KeySchema
from wallet.web.people import check_pin, new_order_id, signed_in
from wallet.web.problems import Unparseable
from wallet.web.state import Verb, now, state

door = Blueprint("market_machines", __name__)


class _MachineSchema(OrderSchema):
    merchant = IdField(required=True)
    key = fields.String(required=True, validate=validate.Regexp(KEY_ID))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> MachineOrder:
        return MachineOrder(id=id, merchant=own["merchant"], key=own["key"])


class LetInSchema(_MachineSchema):
    """Let a merchant's machine in."""

    kind_name = "merchant_key_approve"


class ShutOutSchema(_MachineSchema):
    """Shut a merchant's machine out for ever."""

    kind_name = "merchant_key_revoke"


_MOVES: Final[Mapping[str, tuple[type[OrderSchema], Verb]]] = {
    "let_in": (LetInSchema, machines.let_in),
    "shut_out": (ShutOutSchema, machines.shut_out),
}


@door.get("/ban-hang/diem/<code>/may")
@admits(Role.CITIZEN)
def show(code: str) -> str:
    """Show the machines to the merchant's owner."""
    with state().app.connect() as connection:
        return render_template("market/selling_machines.html", **_page(connection, code))


@door.post("/ban-hang/diem/<code>/may")
@admits(Role.CITIZEN)
def move(code: str) -> BaseResponse | tuple[str, int]:
    """Let a machine in, or shut it out."""
    with state().app.connect() as connection:
        merchant, _role = mine(connection, code, StaffRole.OWNER)
    schema, verb = _MOVES.get(request.form.get("move", ""), (None, None))
    if schema is None or verb is None:
        raise Unparseable(param="move")
    document = {"merchant": str(merchant.holder), "key": request.form.get("key", "")}
    try:
        if verb is machines.let_in:
            check_pin(signed_in(), request.form.get("pin", ""))
        came = ordered(schema, document, verb, KeySchema)
    except (pins.WrongPin, attempts.TooMany) as refusal:
        came = refused(refusal)
    if came.done:
        return redirect(f"/ban-hang/diem/{code}/may", 303)
    with state().app.connect() as connection:
        return came.page("market/selling_machines.html", **_page(connection, code))


def _page(connection: sa.Connection, code: str) -> dict[str, Any]:
    merchant, role = mine(connection, code, StaffRole.OWNER)
    return {
        "merchant": merchant,
        "duty": role,
        "machines": [(key, crypto.check_code(key.id)) for key in machines.of(connection, merchant.holder, now=now())],
        "origin": state().config.public_origin,
        "code": keys.welcome(merchant.holder, clock.day_of(now()), secret=state().config.server_secret),
        "order_id": new_order_id,
    }
