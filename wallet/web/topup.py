"""The citizen's pages of cards: linked cards, top-up, paying a bill or an invoice by card, and what becomes of a payment."""

from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from wallet import db, money
from wallet.bills import find
from wallet.cards import disputes, linked, payments, refunds
from wallet.cards.linked import Card
from wallet.cards.payments import CARD, TOPUP, Payment
from wallet.gates.acquirer import CERTAIN_AFTER, Failure
from wallet.identity.roles import Role
from wallet.money import Dong
from wallet.refusal import Refusal
from wallet.web import views
from wallet.web.citizen import my_wallet
from wallet.web.fields import uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import form, new_order_id, signed_in
from wallet.web.problems import locale
from wallet.web.send import read_amount
from wallet.web.state import Shown, now, state, till

door = Blueprint("topup", __name__)

OFFERED: Final = (50_000, 100_000, 200_000, 500_000)
"""Amounts that a tap fills in, in đồng."""
NEW_CARD: Final = "moi"


# -- linked cards -----------------------------------------------------------------------------------------------------


@door.get("/the")
@admits(Role.CITIZEN)
def cards() -> str:
    """Show the linked cards and the latest payments by card."""
    return render_template("cards.html", **_cards_page())


@door.post("/the/lien-ket")
@admits(Role.CITIZEN)
def link() -> Response | tuple[str, int]:
    """Begin to link a card; the way to the processor's page is on the next one."""
    try:
        made = linked.begin(till(), signed_in(), locale=locale(), now=now())
    except Refusal as refusal:
        return form("cards.html", refusal, **_cards_page())
    return redirect(f"/the/lien-ket/{made.id}", 303)


@door.get("/the/lien-ket/<linking>")
@admits(Role.CITIZEN)
def linking(linking: str) -> str | Response:
    """Show where a linking stands: the way to the processor's page, or back to the cards."""
    key = uuid_or_none(linking)
    if key is None:
        raise linked.NotFound(param="linking")
    with state().app.connect() as connection:
        one = linked.reading(connection, key, holder=signed_in())
    return render_template("card_linking.html", linking=one)


@door.post("/the/<card>/mac-dinh")
@admits(Role.CITIZEN)
def make_default(card: str) -> Response:
    """Make a card the default."""
    holder, key = signed_in(), _card_id(card)
    db.unit(state().app, lambda unit: linked.make_default(unit, key, holder=holder, now=now()))
    return redirect("/the", 303)


@door.post("/the/<card>/go")
@admits(Role.CITIZEN)
def remove(card: str) -> Response:
    """Remove a card."""
    linked.remove(till(), _card_id(card), holder=signed_in(), now=now())
    return redirect("/the", 303)


def _card_id(text: str) -> UUID:
    key = uuid_or_none(text)
    if key is None:
        raise linked.NotFound(param="card")
    return key


def _cards_page() -> dict[str, Any]:
    holder = signed_in()
    with state().app.connect() as connection:
        mine = linked.of(connection, holder)
        recent = payments.recent(connection, holder)
    return {
        "cards": [_card(one) for one in mine],
        "recent": [{"payment": one, "title": _title(one)} for one in recent],
        "may_link": till().acquirer.keeps_cards,
    }


def _card(one: Card) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "brand": one.brand,
        "last4": one.last4,
        "expiry": f"{one.exp_month:02d}/{one.exp_year}",
        "expired": one.expired(now=now()),
        "is_default": one.is_default,
    }


# -- top-up -----------------------------------------------------------------------------------------------------------


@door.get("/nap-tien")
@admits(Role.CITIZEN)
def ask() -> str:
    """Ask how much, and from which card."""
    values = {name: request.args.get(name, "")[:60] for name in ("amount", "card")}
    return render_template("topup.html", values=values, errors={}, **_topup_page())


@door.post("/nap-tien")
@admits(Role.CITIZEN)
def prepare() -> Response | tuple[str, int]:
    """Lead to the confirm sheet, unless the amount is none that a card can pay."""
    values = {name: request.form.get(name, "")[:60] for name in ("amount", "card")}
    amount = read_amount(values["amount"])
    wrong = _wrong(amount)
    if wrong is not None:
        return render_template("topup.html", values=values, errors={"amount": wrong}, **_topup_page()), 422
    given = {"amount": str(amount), "card": values["card"], "order": new_order_id()}
    return redirect(f"/nap-tien/xac-nhan?{urlencode(given)}", 303)


@door.get("/nap-tien/xac-nhan")
@admits(Role.CITIZEN)
def confirm() -> str | Response:
    """Show the confirm sheet of a top-up, and what the browser is to sign."""
    given = {name: request.args.get(name, "")[:60] for name in ("amount", "card")}
    amount, order = read_amount(given["amount"]), uuid_or_none(request.args.get("order", ""))
    if amount is None or order is None or _wrong(amount) is not None:
        return redirect(f"/nap-tien?{urlencode(given)}", 303)
    with state().app.connect() as connection:
        account = my_wallet(connection)
        if _ordered(connection, order):
            return redirect(f"/the/lenh/{order}", 303)
        chosen = _chosen(connection, given["card"])
        limits = views.limits(connection, signed_in(), {TOPUP: amount})
    fields = {"payee": str(account.id)}
    sign = _sign(order, "card_topup", "/v1/topups", chosen, amount, fields)
    return render_template(
        "topup_confirm.html",
        account=account,
        amount=amount,
        amount_words=money.in_words(amount),
        card=chosen,
        limits=limits,
        edit_url=f"/nap-tien?{urlencode(given)}",
        sign=sign,
    )


def _topup_page() -> dict[str, Any]:
    least, most = till().acquirer.amounts
    with state().app.connect() as connection:
        mine = linked.of(connection, signed_in())
        account = my_wallet(connection)
    return {"cards": [_card(one) for one in mine], "account": account, "least": least, "most": most, "offered": OFFERED}


def _wrong(amount: Dong | None) -> str | None:
    """Say what is wrong with an amount that somebody typed."""
    least, most = till().acquirer.amounts
    if amount is None:
        return str(_("Xin nhập số tiền bằng chữ số, ví dụ 1.250.000."))
    if not least <= amount <= most:
        bounds = {"least": money.grouped(least), "most": money.grouped(most)}
        return str(_("Mỗi lần bằng thẻ từ %(least)s tới %(most)s.", **bounds))
    return None


# -- a bill, or something else, by card -------------------------------------------------------------------------------


@door.get("/thanh-toan-the")
@admits(Role.CITIZEN)
def confirm_payment() -> str | Response:
    """Show the confirm sheet of what a card shall pay, and what the browser is to sign."""
    given = {name: request.args.get(name, "")[:60] for name in ("b", "cho", "card")}
    purpose, target = given["cho"] or "bill", uuid_or_none(given["b"])
    order = uuid_or_none(request.args.get("order", ""))
    if target is None or purpose not in till().targets:
        return redirect("/", 303)
    address = "/thanh-toan-the?" + urlencode({name: text for name, text in given.items() if text and name != "card"})
    if order is None:
        return redirect(f"{address}&{urlencode({'card': given['card'], 'order': new_order_id()})}", 303)
    holder = signed_in()
    with state().app.connect() as connection:
        if _ordered(connection, order):
            return redirect(f"/the/lenh/{order}", 303)
        shown = state().shows[purpose](connection, target)
        try:
            amount = till().targets[purpose].price(connection, target, holder=holder, now=now())
        except Refusal:
            if shown is None or shown.seen is None:
                raise
            return redirect(shown.seen, 303)
        assert shown is not None, "what may be paid may be seen"
        chosen, mine = _chosen(connection, given["card"]), linked.of(connection, holder)
        limits = views.limits(connection, holder, {CARD: amount})
    fields = {"purpose": purpose, "target": str(target)}
    return render_template(
        "pay_card.html",
        **shown.values,
        shown=shown,
        amount=amount,
        amount_words=money.in_words(amount),
        card=chosen,
        cards=[_card(one) for one in mine],
        limits=limits,
        unfit=_wrong(amount),
        address=f"{address}&order={order}",
        new_card=NEW_CARD,
        sign=_sign(order, "card_payment", "/v1/card-payments", chosen, amount, fields),
    )


def show_bill(connection: sa.Connection, target: UUID) -> Shown | None:
    """Show a bill that a card pays, to a citizen who may see it."""
    holder = signed_in()
    seen = find.visible(connection, [target], holder, now=now())
    if not seen and payments.has_paid(connection, holder, target):
        seen = find.by_ids(connection, [target], now=now())  # who paid for another keeps what shows it
    found = views.bills(connection, seen, viewer=holder)
    if not found:
        return None
    return Shown(
        about="_bill_line.html",
        values={"bill": found[0]},
        sort=_("Khoản phải nộp"),
        name=found[0]["procedure"],
        detail=found[0]["agency"],
        goes_to=_("Tiền đi thẳng từ thẻ tới cơ quan, không qua ví."),
        given_back=_("Cơ quan hoàn về thẻ"),
        by_wallet=f"/thanh-toan?b={target}",
        seen=f"/khoan-nop/{target}",
    )


def _chosen(connection: sa.Connection, wanted: str) -> dict[str, Any] | None:
    """Return the card that was chosen, or else the default; None where one is to be entered on the page."""
    if wanted == NEW_CARD:
        return None
    mine = linked.of(connection, signed_in())
    found = next((one for one in mine if str(one.id) == wanted), None)
    default = next((one for one in mine if one.is_default and not one.expired(now=now())), None)
    one = found or default
    return _card(one) if one else None


def _sign(
    order: UUID, kind: str, path: str, card: dict[str, Any] | None, amount: Dong, fields: dict[str, str]
) -> dict[str, Any]:
    return {
        "aud": state().config.public_origin,
        "signer": str(signed_in()),
        "kind": kind,
        "path": path,
        "order": str(order),
        "total": str(amount),
        "fields": fields | {"amount": str(amount), "card": card["id"] if card else ""},
        "confirm_url": "/the/lenh/",
    }


def _ordered(connection: sa.Connection, order: UUID) -> bool:
    try:
        payments.of_order(connection, order, holder=signed_in())
    except payments.PaymentNotFound:
        return False
    return True


# -- what becomes of a payment ----------------------------------------------------------------------------------------


@door.get("/the/lenh/<order>")
@admits(Role.CITIZEN)
def progress(order: str) -> str:
    """Show what becomes of a payment by card, honestly, and what to do next."""
    key = uuid_or_none(order)
    if key is None:
        raise payments.PaymentNotFound(param="order")
    holder = signed_in()
    with state().app.connect() as connection:
        one = payments.of_order(connection, key, holder=holder)
        back = refunds.of_payment(connection, one.id)
        denied = disputes.of_payment(connection, one.id)
        shows = state().shows.get(one.purpose)
        shown = shows(connection, one.target) if shows else None
    return render_template(
        "card_payment.html",
        payment=one,
        title=_title(one),
        shown=shown,
        again=f"/nap-tien?amount={one.amount}"
        if one.purpose == TOPUP
        else shown.seen or shown.by_wallet
        if shown
        else "/",
        backs=back,
        went_back=bool(back) and back[0].cause != "given_back",
        disputed=[each for each in denied if each.state in ("opened", "lost", "won")],
        why=_why(one.failure) if one.state == "failed" else None,
        certain_at=(one.called_at or one.made_at) + CERTAIN_AFTER,
    )


def _title(one: Payment) -> str:
    return str(
        {
            "topup": _("Nạp tiền bằng thẻ"),
            "bill": _("Trả khoản phải nộp bằng thẻ"),
            "invoice": _("Trả hoá đơn bằng thẻ"),
        }[one.purpose]
    )


def _why(failure: str | None) -> str:
    """Say why a card did not pay, as far as that helps; a lost or stolen card is told no more than declined."""
    reasons = {
        Failure.FUNDS: _("Thẻ không đủ tiền."),
        Failure.EXPIRED_CARD: _("Thẻ đã hết hạn."),
        Failure.WRONG_CODE: _("Mã bảo mật của thẻ không đúng."),
        Failure.AUTHENTICATION: _("Bước xác thực của ngân hàng chưa hoàn tất."),
        Failure.LIMIT: _("Thẻ đã chạm hạn mức của ngân hàng phát hành."),
        Failure.TRY_AGAIN: _("Ngân hàng phát hành thẻ tạm thời không trả lời."),
    }
    return str(reasons.get(Failure(failure) if failure else Failure.DECLINED, _("Ngân hàng phát hành từ chối thẻ.")))
