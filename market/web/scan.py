"""The citizen's scan: a code by camera, photo or fingers, whom it leads to, how much, and the sheet that is signed.

Words   What was scanned comes in a form's body and goes no further: it stands in no address and no log. Whom it leads to is
        looked up, and from there on only our own serials and numbers are named.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, Response, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from market import codes, invoices, payments, registry, scanned, stickers, tally
from market.invoices import Invoice
from market.registry import Point
from market.scanned import OurInvoice, OurPoint, PersonCode, PersonPhone, Scanned, Typed
from market.stickers import Verdict
from market.web import explained
from wallet import lookup, money, payees
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.money import Dong
from wallet.refusal import Refusal
from wallet.web import views
from wallet.web.app import asset
from wallet.web.citizen import my_wallet
from wallet.web.fields import uuid_or_none
from wallet.web.gate import admits, compiling
from wallet.web.people import new_order_id, signed_in
from wallet.web.send import read_amount
from wallet.web.state import Shown, now, state

door = Blueprint("market_scan", __name__)

ZXING: Final = "vendor/zxing-wasm/reader/zxing_reader.wasm"


class AmountChanged(Refusal):
    """The code names another amount than the invoice that it stands for."""

    code = "scan_amount_changed"
    status = 409


class MerchantDiffers(Refusal):
    """The code names a point or an invoice of another merchant."""

    code = "scan_merchant_differs"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What somebody is about to sign: an invoice, or an amount to a point."""

    point: Point
    amount: Dong
    invoice: Invoice | None

    def address(self, **more: str) -> str:
        """Spell the confirm sheet's address."""
        own = (
            {"hoa-don": self.invoice.number}
            if self.invoice
            else {"diem": self.point.serial, "so-tien": str(self.amount)}
        )
        return f"/quet/xac-nhan?{urlencode(own | more)}"


@door.get("/quet")
@admits(Role.CITIZEN)
def look() -> Response:
    """Show the camera, and the ways without one."""
    return _page()


@door.post("/quet")
@admits(Role.CITIZEN)
def sort() -> BaseResponse:
    """Take what was scanned or typed, and lead to whom it pays or explain it. Nothing is paid by it."""
    text = request.form.get("text", "")
    if not text.strip():
        return _page(wrong=_("Xin quét hoặc nhập một mã."), status=422)
    found = scanned.sort(
        text, origin=state().config.public_origin, environment=codes.environment(demo=state().config.demo)
    )
    try:
        address = _leads_to(found)
    except Refusal as refusal:
        return _page(told=explained.refused(refusal), status=refusal.status)
    return redirect(address, 303) if address else _page(told=explained.explain(found))


@door.get("/quet/diem/<serial>")
@admits(Role.CITIZEN)
def ask_amount(serial: str) -> str:
    """Ask how much to pay at a point."""
    return _amount_page(_point(serial), request.args.get("so-tien", "")[:26], "")


@door.post("/quet/diem/<serial>")
@admits(Role.CITIZEN)
def take_amount(serial: str) -> BaseResponse | tuple[str, int]:
    """Read the amount and lead to the confirm sheet."""
    point, typed = _point(serial), request.form.get("so-tien", "")
    amount = read_amount(typed)
    if not amount:
        wrong = _("Xin nhập số tiền bằng chữ số, ví dụ 35.000.") if amount is None else _("Số tiền ít nhất là 1 ₫.")
        return _amount_page(point, typed[:26], wrong), 422
    return redirect(Sheet(point=point, amount=amount, invoice=None).address(order=new_order_id()), 303)


@door.get("/quet/xac-nhan")
@admits(Role.CITIZEN)
def confirm() -> str | BaseResponse:
    """Show the confirm sheet: who by our registry, how much, what remains; and what the browser is to sign."""
    with state().app.connect() as connection:
        sheet = _sheet(connection)
        if sheet is None:
            return redirect("/quet", 303)
        order = uuid_or_none(request.args.get("order", ""))
        if order is None:
            return redirect(sheet.address(order=new_order_id()), 303)
        if _decided(connection, OrderId(order)):
            return redirect(f"/xac-nhan/{order}", 303)
        if sheet.invoice:
            sheet.invoice.must_be_payable(now())
        account = my_wallet(connection)
        limits = views.limits(connection, signed_in(), {payments.PURCHASE: sheet.amount})
    kind, of = ("invoice_payment", sheet.invoice) if sheet.invoice else ("point_payment", sheet.point)
    fields = {
        "payer": str(account.id),
        "payee": str(sheet.point.must_be_open()),
        kind.partition("_")[0]: str(of.id),
        "amount": str(sheet.amount),
    }
    return render_template(
        "market/pay.html",
        point=sheet.point,
        area=state().city.areas.get(sheet.point.area),
        invoice=sheet.invoice,
        amount=sheet.amount,
        amount_words=money.in_words(sheet.amount),
        account=account,
        limits=limits,
        remains=account.available - sheet.amount,
        short=account.available < sheet.amount,
        by_card=f"/thanh-toan-the?{urlencode({'cho': 'invoice', 'b': str(sheet.invoice.id)})}"
        if sheet.invoice and state().till
        else None,
        edit_url="/quet" if sheet.invoice else f"/quet/diem/{sheet.point.serial}?so-tien={sheet.amount}",
        sign={
            "aud": state().config.public_origin,
            "signer": str(signed_in()),
            "kind": kind,
            "order": str(order),
            "path": f"/v1/{kind.replace('_', '-')}s",
            "fields": fields,
            "total": str(sheet.amount),
            "confirm_url": "/xac-nhan/",
        },
    )


def show_invoice(connection: sa.Connection, target: UUID) -> Shown | None:
    """Show an invoice that a card pays, to whoever has seen it."""
    invoice = invoices.by_id(connection, target)
    if invoice is None:
        return None
    point = registry.point_by_id(connection, invoice.point)
    assert point is not None, "an invoice stands at a point"
    return Shown(
        about="market/_paid_by_card.html",
        values={"point": point, "area": state().city.areas.get(point.area), "invoice": invoice},
        stylesheet="market/css/scan.css",
        sort=_("Hoá đơn"),
        name=point.merchant_name,
        detail=invoice.number,
        goes_to=_("Tiền đi thẳng từ thẻ tới nơi bán, không qua ví."),
        given_back=_("Nơi bán hoàn về thẻ"),
        by_wallet=Sheet(point=point, amount=invoice.amount, invoice=invoice).address(),
        tally=tally.of(invoice.entry, secret=state().config.server_secret)
        if invoice.entry and invoice.payer == signed_in()
        else None,
    )


# ---- whom a code leads to -------------------------------------------------------------------------------------------


def _leads_to(found: Scanned) -> str | None:
    """Return the address of the next page, or None where there is nobody to pay.

    Raises:
        registry's and invoices' refusals, MerchantDiffers, AmountChanged, those of `payees`.
    """
    match found:
        case OurPoint() | OurInvoice() | Typed():
            with state().app.connect() as connection:
                return _ours(connection, found)
        case PersonCode(digits):
            return _person(payees.by_code(state().app, digits, asker=signed_in(), now=now()))
        case PersonPhone(typed):
            return _person(payees.by_phone(state().app, typed, asker=signed_in(), now=now()))
        case _:
            return None


def _person(payee: payees.Payee) -> str:
    return f"/chuyen-tien?{urlencode({'payee': str(payee.account)})}"


def _ours(connection: sa.Connection, found: OurPoint | OurInvoice | Typed) -> str:
    match found:
        case OurPoint(merchant, id):
            point = registry.point_by_id(connection, id)
            if point is not None and point.merchant != merchant:
                raise MerchantDiffers(param="text")
            return _to_point(point)
        case OurInvoice():
            asked = invoices.by_number(connection, found.number, point=found.point)
            if asked is not None and asked.merchant != found.merchant:
                raise MerchantDiffers(param="text")
            if asked is not None and asked.amount != found.amount:
                raise AmountChanged(param="text")
            return _to_invoice(connection, asked)
        case Typed(letters, tag):
            spelled = registry.spell_serial(letters)
            if len(spelled) != registry.SERIAL_CHARS:
                return _to_invoice(connection, invoices.by_number(connection, spelled))
            point = registry.point_by_serial(connection, spelled)
            if point and tag and stickers.judge(point, tag, secret=state().config.server_secret) is not Verdict.GENUINE:
                return f"/q/{point.serial}?{urlencode({'t': tag})}"  # which says what is the matter with the sticker
            return _to_point(point)


def _to_point(point: Point | None) -> str:
    if point is None:
        raise registry.PointNotFound(param="text")
    point.must_be_open()
    return f"/quet/diem/{point.serial}"


def _to_invoice(connection: sa.Connection, invoice: Invoice | None) -> str:
    if invoice is None:
        raise invoices.NotFound(param="text")
    invoice.must_be_payable(now())
    point = registry.point_by_id(connection, invoice.point)
    assert point is not None, "an invoice stands at a point"
    point.must_be_open()
    return Sheet(point=point, amount=invoice.amount, invoice=invoice).address(order=new_order_id())


def _point(serial: str) -> Point:
    with state().app.connect() as connection:
        point = registry.point_by_serial(connection, serial)
    if point is None:
        raise registry.PointNotFound(param="serial")
    point.must_be_open()
    return point


def _sheet(connection: sa.Connection) -> Sheet | None:
    """Read what the address asks to sign; None where it makes no sense."""
    number, serial = request.args.get("hoa-don", ""), request.args.get("diem", "")
    if number:
        invoice = invoices.by_number(connection, number)
        if invoice is None:
            raise invoices.NotFound(param="hoa-don")
        point = registry.point_by_id(connection, invoice.point)
        assert point is not None, "an invoice stands at a point"
        return Sheet(point=point, amount=invoice.amount, invoice=invoice)
    point, amount = registry.point_by_serial(connection, serial), read_amount(request.args.get("so-tien", ""))
    return Sheet(point=point, amount=amount, invoice=None) if point and amount else None


def _decided(connection: sa.Connection, order: OrderId) -> bool:
    try:
        lookup.outcome(connection, signer=signed_in(), order=order)
    except lookup.NotFound:
        return False
    return True


# ---- pages ----------------------------------------------------------------------------------------------------------


def _page(*, told: explained.Explained | None = None, wrong: str = "", status: int = 200) -> Response:
    shown = render_template("market/scan.html", told=told, wrong=wrong, scan=script())
    return compiling(Response(shown, status, content_type="text/html; charset=utf-8"))


def script() -> dict[str, Any]:
    """Return what the scanning script needs: where its reader lies, and its words in the page's language."""
    return {
        "wasm": asset(ZXING),
        "words": {
            "starting": _("Đang mở máy ảnh… Nếu máy hỏi, xin cho phép."),
            "looking": _("Đưa mã QR vào trong khung."),
            "several": _("Có nhiều mã trong khung. Xin đưa máy lại gần một mã."),
            "found": _("Đã đọc được mã, đang tra sổ đăng ký…"),
            "stopped": _("Máy ảnh đã tắt."),
            "none": _("Máy này không có máy ảnh. Xin chọn ảnh hoặc nhập mã."),
            "refused": _("Trình duyệt không cho dùng máy ảnh. Xin cho phép trong cài đặt của trang, hoặc chọn ảnh."),
            "busy": _("Máy ảnh đang bận ở ứng dụng khác. Xin đóng ứng dụng ấy rồi thử lại."),
            "reading": _("Đang đọc ảnh trên máy của quý vị…"),
            "no_code": _("Không thấy mã QR trong ảnh. Xin chọn ảnh rõ hơn, hoặc nhập mã."),
            "several_in_photo": _("Ảnh có nhiều mã. Xin chụp hoặc cắt ảnh còn một mã."),
            "no_picture": _("Không mở được tệp này. Xin chọn một ảnh JPEG, PNG hoặc WebP."),
            "unreadable": _("Trình duyệt này chưa đọc được mã. Xin nhập mã bằng tay."),
        },
    }


def _amount_page(point: Point, typed: str, wrong: str) -> str:
    with state().app.connect() as connection:
        account = my_wallet(connection)
    if typed.isascii() and typed.isdigit():
        typed = f"{int(typed):,}".replace(",", ".")
    return render_template(
        "market/amount.html",
        point=point,
        area=state().city.areas.get(point.area),
        account=account,
        typed=typed,
        wrong=wrong,
    )
