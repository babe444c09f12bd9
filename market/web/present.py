"""The code that a citizen shows at a till: signed in the browser with its cap, drawn here, gone after half a minute."""

from typing import Final

from flask import Blueprint, Response, render_template
from flask_babel import gettext as _

from market import scanned
from wallet import drawing, mandates
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.mandates import Standing
from wallet.money import Dong
from wallet.web.citizen import my_wallet
from wallet.web.fields import uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import signed_in
from wallet.web.state import now, state

door = Blueprint("market_present", __name__)

CAPS: Final = (Dong(50_000), Dong(200_000), Dong(500_000), Dong(2_000_000))
"""Breakfast, a market round, a family's meal, a day's shopping; the smallest is what is offered first."""


@door.get("/ma-thanh-toan")
@admits(Role.CITIZEN)
def show() -> str:
    """Ask for a cap, and show the code that the browser then signs."""
    with state().app.connect() as connection:
        account = my_wallet(connection)
    return render_template(
        "market/present.html",
        account=account,
        caps=CAPS,
        present={
            "aud": state().config.public_origin,
            "signer": str(signed_in()),
            "payer": str(account.id),
            "life_s": int(mandates.LIFE.total_seconds()),
            "words": {
                "signing": _("Đang ký trên máy của quý vị…"),
                "left": _("Còn {seconds} giây"),
                "over": _("Mã đã hết hạn. Muốn dùng tiếp, xin tạo mã mới."),
                "replaced": _("Máy khác của quý vị vừa tạo mã mới. Mã này không còn dùng được."),
                "no_reply": _("Chưa nhận được trả lời. Tiền chưa bị trừ; xin kiểm tra mạng rồi tạo mã mới."),
            },
        },
    )


@door.get("/ma-thanh-toan/<order>.svg")
@admits(Role.CITIZEN)
def draw(order: str) -> Response:
    """Draw the signed-in person's own code, while it lives."""
    found, code = _mine(order)
    if found.state(now()) != "live":
        raise mandates.NotFound(param="order")
    drawn = drawing.draw_file(f"{scanned.ONE_TIME_PREFIX}{code}")
    return Response(drawn, content_type="image/svg+xml; charset=utf-8")


def _mine(order: str) -> tuple[Standing, str]:
    id = uuid_or_none(order)
    if id is None:
        raise mandates.NotFound(param="order")
    with state().app.connect() as connection:
        found = mandates.read(connection, OrderId(id), holder=signed_in())
        return found, mandates.code_of(connection, found)
