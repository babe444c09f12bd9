"""The counter: what a cashier has before them, from the amount keyed to the payment told.

Rules   Whoever works for the merchant may look; only the owner sees a day's total, and nobody a balance. The page is told of
        payments by a stream (`wallet.live`), and asks `takings` instead while that cannot be heard.
"""

import hashlib
import json
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, make_response, render_template, request
from flask_babel import gettext as _

from market import invoices, registry, speech, takings
from market.catalog import products, units
from market.registry import Point, PointNotFound, StaffRole
from market.web import tills
from wallet import drawing
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.live import ticket
from wallet.live.ticket import Ticket
from wallet.log.tables import leaf
from wallet.web import gate
from wallet.web.app import asset
from wallet.web.gate import admits
from wallet.web.people import signed_in
from wallet.web.state import now, state

door = Blueprint("market_counter", __name__, url_prefix="/ban-hang/quay")

GOODS_MAX: Final = 300
"""Tiles on a counter, far more than a stall sells; a department store's tills have a scanner."""


@door.get("/<uuid:point>")
@admits(Role.CITIZEN)
def show(point: UUID) -> Response:
    """Show the counter of a point to somebody who works there."""
    who = signed_in()
    with state().app.connect() as connection:
        found, role = _at(connection, point, who)
        # Read before the takings: what comes in between is told by the stream, and known by its entry if it was listed too.
        last = connection.execute(sa.select(sa.func.max(leaf.c.index))).scalar()
        listed = _listed(connection, found, role)
        sells = bool(products.on_sale(connection, found.merchant, rows_max=1))
    data = {
        "point": str(found.id),
        "merchant": str(found.merchant),
        "holder": str(who),
        "aud": state().config.public_origin,
        "here": request.path,
        "sales": _sales(found),
        "role": str(role),
        "items_max": invoices.ITEMS_MAX,
        "stream": _stream(found.id, who),
        "after": None if last is None else str(last),
        "clips": {name: asset(f"market/clips/{name}{speech.SUFFIX}") for name in speech.CLIPS},
        "listed": listed,
        "texts": _texts(),
    }
    page = make_response(
        render_template(
            "market/counter.html",
            point=found,
            role=str(role),
            data=data,
            sales=_sales(found),
            sells=sells,
            goods_max=GOODS_MAX,
        )
    )
    return gate.connects(page, state().config.live_origin)


@door.get("/<uuid:point>/thu")
@admits(Role.CITIZEN)
def listed(point: UUID) -> Response:
    """Return what came in last: what the page asks while it cannot hear its stream. Unchanged: 304."""
    with state().app.connect() as connection:
        found, role = _at(connection, point, signed_in())
        return _tagged(_listed(connection, found, role))


@door.get("/<uuid:point>/hang")
@admits(Role.CITIZEN)
def goods(point: UUID) -> Response:
    """Return what can be tapped instead of keyed, at today's prices. Unchanged: 304."""
    with state().app.connect() as connection:
        found, _role = _at(connection, point, signed_in())
        rows = products.on_sale(connection, found.merchant, rows_max=GOODS_MAX)
    return _tagged({"goods": [_tile(row) for row in rows]})


def _tile(row: Any) -> dict[str, Any]:
    """Spell a product for a tile; its words are the seller's, and a customer reads them as they are."""
    own = {"product": str(row.id), "name": row.name, "price": str(row.price), "unit": units.UNITS[row.unit].name}
    return own | {"sold_out": row.sold_out}


def _tagged(found: dict[str, Any]) -> Response:
    body = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    answer = Response(body, content_type="application/json")
    answer.set_etag(hashlib.sha256(body).hexdigest()[:32])
    answer.make_conditional(request)
    return answer


@door.post("/<uuid:point>/phieu")
@admits(Role.CITIZEN)
def leave(point: UUID) -> Response:
    """Give leave to open another stream, to somebody who still works there."""
    who = signed_in()
    with state().app.connect() as connection:
        found, _role = _at(connection, point, who)
    return jsonify(stream=_stream(found.id, who))


@door.get("/<uuid:point>/ma/<uuid:invoice>.svg")
@admits(Role.CITIZEN)
def symbol(point: UUID, invoice: UUID) -> Response:
    """Draw an invoice's QR code, while it can be paid."""
    with state().app.connect() as connection:
        found, _role = _at(connection, point, signed_in())
        asked = invoices.by_id(connection, invoice)
    if asked is None or asked.point != found.id:
        raise invoices.NotFound(param="invoice")
    asked.must_be_payable(now())
    return Response(drawing.draw_file(tills.code(asked, found)), content_type="image/svg+xml")


def _at(connection: sa.Connection, id: UUID, who: HolderId) -> tuple[Point, StaffRole]:
    """Return a point and what somebody is there.

    Raises:
        PointNotFound: it is none, or nothing of theirs; which of the two is not said.
    """
    point = registry.point_by_id(connection, id)
    role = registry.role_of(connection, point.merchant, who) if point else None
    if point is None or role is None:
        raise PointNotFound(param="point")
    return point, role


def _listed(connection: sa.Connection, point: Point, role: StaffRole) -> dict[str, Any]:
    secret = state().config.server_secret
    open_ = takings.waiting(connection, point.id, now=now())
    found: dict[str, Any] = {
        "takings": [one.told(secret) for one in takings.recent(connection, point.id)],
        "waiting": [
            {"invoice": str(one.id), "amount": str(one.amount), "at": one.made_at.isoformat(timespec="seconds")}
            for one in open_
        ],
    }
    if role is StaffRole.OWNER:
        total = takings.total(connection, point.merchant, now=now())
        found["total"] = {"amount": str(total.amount), "count": total.count}
    return found


def _stream(point: UUID, who: HolderId) -> str:
    config = state().config
    given = ticket.issue(Ticket(topic=point, holder=who), secret=config.server_secret, now=now())
    return f"{config.live_origin}/live/stream?ticket={given}"


def _sales(point: Point) -> str:
    return f"/ban-hang/diem/{point.merchant_code}"


def _texts() -> dict[str, str]:
    return {
        "exact": _("ĐỦ"),
        "under": _("THIẾU"),
        "over": _("THỪA"),
        "received": _("ĐÃ NHẬN"),
        "exact_more": _("Khách đã trả đủ."),
        "under_more": _("Còn thiếu {difference} so với {asked}."),
        "over_more": _("Thừa {difference} so với {asked}."),
        "received_more": _("Khách quét mã dán ở quầy và tự nhập số tiền."),
        "late_more": _("Tiền tới sau khi mã đã hết giờ."),
        "live": _("Đang theo dõi"),
        "polling": _("Theo dõi chậm"),
        "unconfirmed": _("Chưa xác nhận"),
        "signed_out": _("Đã hết phiên"),
        "sound_on": _("Tiếng đang bật"),
        "sound_off": _("Bật tiếng"),
        "today": _("{count} khoản"),
        "excess": _("Hoàn phần khách trả thừa"),
        "excess_done": _("Đã hoàn {difference} cho khách."),
        "accepted": _("ĐÃ CHẤP NHẬN"),
        "rest_asked": _("ĐÃ XIN THÊM"),
        "excess_refunded": _("ĐÃ HOÀN THỪA"),
        "attached": _("ĐÃ GẮN"),
        "accepted_more": _("Đã chấp nhận {amount}, không hỏi thêm {difference}."),
        "code": _("Mã {tally}"),
        "sold_out": _("Hết hàng"),
        "fewer": _("Bớt một: {name}"),
        "no_goods": _("Không lấy được danh sách hàng. Xin thử lại, hoặc nhập số tiền."),
        "items_many": _("Một mã thu tiền ghi tối đa {max} món khác nhau."),
        "changed": _("Giá hoặc hàng vừa thay đổi. Xin xem lại các món đã chọn."),
        "unsent": _("Chưa làm được: không liên lạc được hoặc máy này chưa có khoá ký."),
        "waiting": _("Đang chờ khách trả"),
        "expired": _("Mã đã hết giờ. Xin tạo mã khác."),
    }
