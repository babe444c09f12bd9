"""The rooms' pages of cards: what is in quarantine or in doubt, with one tap to ask again; and the tie-out."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from wallet import db
from wallet.cards import asking, disputes, notices, owed, payments, quarantine, refunds, tie_out
from wallet.cards.owed import SettleOrder
from wallet.cards.till import CLEARING
from wallet.gates.acquirer import AcquirerError
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.web.act import session_acts
from wallet.web.fields import AnswerSchema, DongField, IdField, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import new_order_id, signed_in
from wallet.web.problems import Unparseable
from wallet.web.state import now, state, till

door = Blueprint("card_room", __name__)

LINES_SHOWN: Final = 200
LATELY: Final = timedelta(minutes=5)
"""So long an entry may wait for its line to be read before it is called a break."""
LISTED_MAX: Final = 100


class SettleOrderSchema(OrderSchema):
    """Give a refund that no card would take to its payer's wallet."""

    kind_name = "card_refund_settle"

    refund = IdField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> SettleOrder:
        """Make the frozen order."""
        return SettleOrder(id=id, refund=own["refund"])


class SettledSchema(AnswerSchema):
    """A refund that its payer's wallet has."""

    order = IdField()
    refund = IdField()
    entry = IdField()
    amount = DongField()


@door.get("/van-hanh/the")
@admits(Role.OPERATOR)
def waiting() -> str:
    """Show what is not believed, what is in doubt, and the chargebacks."""
    return render_template("operator_cards.html", **_page())


@door.post("/van-hanh/the/hoi")
@admits(Role.OPERATOR)
def ask_again() -> Response | tuple[str, int]:
    """Ask the processor about one of them, now. Nothing is charged by asking."""
    what, id = request.form.get("what", ""), uuid_or_none(request.form.get("id", ""))
    if id is None or what not in ("payment", "refund", "item"):
        raise Unparseable(param="what")
    try:
        _ask(what, id)
    except AcquirerError:
        told = {
            "title": _("Đơn vị xử lý thẻ chưa trả lời, hoặc không biết khoản này."),
            "safe": _("Sổ sách không thay đổi."),
            "next": _("Xin hỏi lại sau ít phút."),
        }
        return render_template("operator_cards.html", **_page(), problem=told), 503
    return redirect("/van-hanh/the", 303)


def _ask(what: str, id: UUID) -> None:
    if what == "payment":
        asking.inquire(till(), id, cause="operator", now=now())
    elif what == "refund":
        refunds.inquire(till(), id, cause="operator", now=now())
    else:
        notices.ask_again(till(), id, by=signed_in(), now=now())


@door.post("/van-hanh/the/gac-lai")
@admits(Role.OPERATOR)
def set_aside() -> Response:
    """Take something out of quarantine that is none of ours; nothing is credited by it."""
    id, by = uuid_or_none(request.form.get("id", "")), signed_in()
    if id is None:
        raise Unparseable(param="id")
    db.unit(state().app, lambda unit: quarantine.resolve(unit, id, how="set_aside", by=by, now=now()))
    return redirect("/van-hanh/the", 303)


@door.post("/van-hanh/the/vao-vi")
@admits(Role.OPERATOR)
def settle() -> Response | tuple[str, int]:
    """Give a refund that no card would take to its payer's wallet. The same form sent twice gives it once."""
    order = uuid_or_none(request.form.get("order_id", ""))
    if order is None:
        raise Unparseable(param="order_id")
    outcome = session_acts(
        SettleOrderSchema,
        {"refund": request.form.get("refund", "")},
        owed.settle,
        SettledSchema,
        signer=signed_in(),
        id=OrderId(order),
    )
    if outcome.status >= 400:
        return render_template("operator_cards.html", **_page(), problem=json.loads(outcome.body)), outcome.status
    return redirect("/van-hanh/the#owed-h", 303)


@door.get("/van-hanh/the/doi-soat")
@admits(Role.OPERATOR)
def operator_tie_out() -> str:
    """Show the tie-out to an operator."""
    return _tie_out()


@door.get("/kiem-toan/doi-soat-the")
@admits(Role.AUDITOR)
def audit_tie_out() -> str:
    """Show the tie-out to an auditor."""
    return _tie_out()


def _tie_out() -> str:
    whole = state().audit.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with whole.connect() as connection:
        ties = [tie_out.read(connection, acquirer, lately=now() - LATELY) for acquirer in CLEARING]
    whys = {
        "payout_on_its_way": _("Tiền đang chuyển về ngân hàng, chưa tới"),
        "line_not_read": _("Đã ghi sổ, chưa đọc tới dòng của đơn vị xử lý"),
        "under_way": _("Thẻ đã trả, đang hỏi lại trước khi ghi có"),
        "quarantined": _("Đang cách ly, chờ người xem"),
        "unexplained": _("Không giải thích được"),
    }
    return render_template("card_tie_out.html", ties=ties, whys=whys, explained=tie_out.EXPLAINED, shown=LINES_SHOWN)


def _page() -> dict[str, Any]:
    with state().app.connect() as connection:
        doubtful = payments.standing(connection, ("in_doubt", "processing"), rows_max=LISTED_MAX)
        back = [one for one in refunds.standing(connection, rows_max=LISTED_MAX) if one.state == "in_doubt"]
        return {
            "items": quarantine.waiting(connection),
            "doubtful": doubtful,
            "refunds": back,
            "owed": [(one, new_order_id()) for one in owed.listed(connection)],
            "disputes": disputes.listed(connection),
            "reasons": _reasons(),
        }


def _reasons() -> dict[str, str]:
    return {
        "unknown": _("Không phải khoản nào của chúng ta"),
        "denied": _("Đơn vị xử lý nói không có khoản này"),
        "other_account": _("Của tài khoản khác"),
        "wrong_mode": _("Sai chế độ thử hay thật"),
        "amount_differs": _("Số tiền khác lệnh đã ký"),
        "currency_differs": _("Loại tiền khác đồng Việt Nam"),
        "id_differs": _("Mã khác lệnh đã ký"),
        "state_differs": _("Tiền hoàn đã đi, tuy trước đó được báo là không đi"),
    }
