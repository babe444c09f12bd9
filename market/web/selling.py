"""The pages of a merchant's people: apply, places and points, stickers, staff, invoices, what came in, refunds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, Response, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from market import codes, invoices, matching, merchants, payments, points, refunds, registry, stickers
from market.hours import HoursWrong
from market.merchants import Merchant
from market.registry import StaffRole
from market.web import orders
from market.web.tills import (
    AcceptedSchema,
    AcceptOrderSchema,
    AttachedSchema,
    AttachOrderSchema,
    CancelledInvoiceSchema,
    InvoiceCancelSchema,
    IssuedInvoiceSchema,
    RestOrderSchema,
)
from wallet import money
from wallet.identity import attempts, holders, pins
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.refusal import Refusal
from wallet.web import paper
from wallet.web.act import session_acts
from wallet.web.fields import AnswerSchema, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import check_pin, new_order_id, page_begins, sentence, signed_in, told
from wallet.web.problems import Unparseable, locale
from wallet.web.send import read_amount
from wallet.web.state import Verb, now, state

door = Blueprint("market_selling", __name__)

ROWS: Final = 30
PICK_ROWS: Final = 20

_ABOVE_CASHIER: Final = (StaffRole.OWNER, StaffRole.MANAGER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What came of an order given by a form: its answer, or what to tell of its refusal and at which field."""

    answer: Mapping[str, Any] = field(default_factory=dict)
    problem: Mapping[str, Any] | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def done(self) -> bool:
        """Say whether it was carried out."""
        return self.status < 400

    def page(self, template: str, **context: Any) -> tuple[str, int]:
        """Show a page again, with what was refused."""
        values = {name: value for name, value in request.form.items() if "pin" not in name}
        shown = {"problem": self.problem, "errors": self.errors, "values": values} | context
        return render_template(template, **shown), self.status


def ordered(asks: type[OrderSchema], document: Mapping[str, Any], verb: Verb, answers: type[AnswerSchema]) -> Ordered:
    """Give the order of a form; the form's own id makes it one order however often it is sent."""
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    try:
        outcome = session_acts(asks, document, verb, answers, signer=signed_in(), id=OrderId(id))
    except Refusal as refusal:
        return refused(refusal)
    said = json.loads(outcome.body)
    if outcome.status < 400:
        return Ordered(answer=said)
    named = said.get("param") in request.form
    errors = {said["param"]: f"{said['title']} {said['next']}"} if named else {}
    return Ordered(problem=None if named else said, errors=errors, status=outcome.status)


def refused(refusal: Refusal) -> Ordered:
    """Return what to tell of a refusal that came before an order."""
    if refusal.param in request.form:
        return Ordered(errors={str(refusal.param): sentence(refusal)}, status=refusal.status)
    return Ordered(problem=told(refusal), status=refusal.status)


def mine(connection: sa.Connection, code: str, *least: StaffRole) -> tuple[Merchant, StaffRole]:
    """Return the merchant of an address, and what whoever is signed in may do for it.

    Raises:
        registry.MerchantNotFound, NotYours.
    """
    merchant = merchants.by_code(connection, code)
    if merchant is None:
        raise registry.MerchantNotFound(param="merchant")
    return merchant, registry.must(connection, merchant.holder, signed_in(), *least)


def categories() -> list[tuple[str, str]]:
    """Return the categories with their names in the page's language, by name."""
    place = 0 if locale() == "vi" else 1
    return sorted(((code, names[place]) for code, names in merchants.CATEGORIES.items()), key=lambda one: one[1])


# -- applying -----------------------------------------------------------------------------------------------------------


@door.get("/ban-hang")
@admits(Role.CITIZEN)
def home() -> str:
    """Show the merchants that somebody works for, each counter one tap away, or the way to become one."""
    with state().app.connect() as connection:
        served = merchants.served_by(connection, signed_in())
        counters = {
            merchant.holder: registry.points_of(connection, merchant.holder)
            for merchant, _role in served
            if merchant.state == "approved"
        }
    return render_template("market/selling_home.html", served=served, counters=counters)


@door.get("/ban-hang/dang-ky")
@admits(Role.CITIZEN)
def ask_apply() -> str:
    """Show the application, filled in where one was returned."""
    values: dict[str, Any] = {}
    if request.args.get("m"):
        with state().app.connect() as connection:
            merchant, _role = mine(connection, request.args["m"], StaffRole.OWNER)
        values = {
            "merchant": str(merchant.holder),
            "name": merchant.name,
            "category": merchant.category,
            "tax_id": merchant.tax_id,
        }
    return render_template(
        "market/selling_apply.html", values=values, errors={}, categories=categories(), order_id=new_order_id()
    )


@door.post("/ban-hang/dang-ky")
@admits(Role.CITIZEN)
def apply() -> BaseResponse | tuple[str, int]:
    """Take the application."""
    document = {name: request.form.get(name, "") for name in ("name", "category", "tax_id", "merchant")}
    came = ordered(orders.ApplySchema, document, merchants.apply, orders.MovedMerchantSchema)
    if not came.done:
        return came.page("market/selling_apply.html", categories=categories(), order_id=new_order_id())
    return redirect(f"/ban-hang/diem/{came.answer['code']}", 303)


# -- a merchant -----------------------------------------------------------------------------------------------------------


@door.get("/ban-hang/diem/<code>")
@admits(Role.CITIZEN)
def show(code: str) -> str:
    """Show a merchant: where its application stands, its places, points and people."""
    with state().app.connect() as connection:
        return render_template("market/selling_merchant.html", **_merchant_page(connection, code))


def _merchant_page(connection: sa.Connection, code: str) -> dict[str, Any]:
    merchant, role = mine(connection, code)
    above = role in _ABOVE_CASHIER
    return {
        "merchant": merchant,
        "duty": role,
        "roles": list(StaffRole),
        "reviews": merchants.reviews(connection, merchant.holder) if above else [],
        "locations": points.locations_of(connection, merchant.holder),
        "points": registry.points_of(connection, merchant.holder),
        "members": merchants.members(connection, merchant.holder) if above else [],
        "asked": len(refunds.asked(connection, merchant.holder, now=now())),
        "areas": state().city.areas,
        "spaced": stickers.spaced,
        "above": above,
        "order_id": new_order_id,
    }


def _again(came: Ordered, code: str, anchor: str) -> BaseResponse | tuple[str, int]:
    """Lead back to the merchant's page, or show it with what was refused."""
    if came.done:
        return redirect(f"/ban-hang/diem/{code}#{anchor}", 303)
    with state().app.connect() as connection:
        return came.page("market/selling_merchant.html", **_merchant_page(connection, code))


@door.post("/ban-hang/diem/<code>/nhan-vien")
@admits(Role.CITIZEN)
def staff(code: str) -> BaseResponse | tuple[str, int]:
    """Appoint somebody, change their role, or let them go."""
    with state().app.connect() as connection:
        merchant, _role = mine(connection, code, StaffRole.OWNER)
    document = {
        "merchant": str(merchant.holder),
        "phone": request.form.get("phone", ""),
        "role": request.form.get("role", ""),
    }
    came = ordered(orders.StaffSchema, document, merchants.staff, orders.StaffChangedSchema)
    return _again(came, code, "nhan-vien")


@door.get("/ban-hang/diem/<code>/noi-ban")
@admits(Role.CITIZEN)
def ask_location(code: str) -> str:
    """Show the form of a place: a new one, or one that is there."""
    with state().app.connect() as connection:
        merchant, _role = mine(connection, code, *_ABOVE_CASHIER)
        wanted = uuid_or_none(request.args.get("l", ""))
        place = points.location(connection, wanted) if wanted else None
    if wanted and (place is None or place.merchant != merchant.holder):
        raise points.LocationNotFound(param="location")
    values = {f"hours_{number}": "07:00-19:00" for number in range(1, 8)}
    if place is not None:
        values = {
            "location": str(place.id),
            "name": place.name,
            "address": place.address,
            "area": place.area,
            "lat": _degrees(place.lat),
            "lon": _degrees(place.lon),
            "closed_days": ", ".join(day.isoformat() for day in place.closed_days),
            **orders.spell_hours(place.hours),
        }
    return render_template("market/selling_location.html", values=values, errors={}, **_location_page(merchant))


@door.post("/ban-hang/diem/<code>/noi-ban")
@admits(Role.CITIZEN)
def keep_location(code: str) -> BaseResponse | tuple[str, int]:
    """Keep a place."""
    with state().app.connect() as connection:
        merchant, _role = mine(connection, code, *_ABOVE_CASHIER)
    given = request.form
    try:
        week = orders.read_hours(given)
    except HoursWrong as wrong:
        return refused(wrong).page("market/selling_location.html", **_location_page(merchant))
    document = {
        "merchant": str(merchant.holder),
        **{name: given.get(name, "") for name in ("location", "name", "address", "area", "lat", "lon")},
        "hours": week,
        "closed_days": [day.strip() for day in given.get("closed_days", "").split(",") if day.strip()],
    }
    verb = partial(points.keep_location, areas=frozenset(state().city.areas))
    came = ordered(orders.LocationSchema, document, verb, orders.LocationKeptSchema)
    if not came.done:
        return came.page("market/selling_location.html", **_location_page(merchant))
    return redirect(f"/ban-hang/diem/{code}#noi-ban", 303)


def _location_page(merchant: Merchant) -> dict[str, Any]:
    days = [_("Thứ Hai"), _("Thứ Ba"), _("Thứ Tư"), _("Thứ Năm"), _("Thứ Sáu"), _("Thứ Bảy"), _("Chủ Nhật")]
    return {
        "merchant": merchant,
        "areas": state().city.areas,
        "days": list(enumerate(days, start=1)),
        "order_id": new_order_id(),
    }


def _degrees(micro: int | None) -> str:
    return "" if micro is None else f"{micro / 1_000_000:.6f}".rstrip("0")


@door.post("/ban-hang/diem/<code>/quay")
@admits(Role.CITIZEN)
def issue_point(code: str) -> BaseResponse | tuple[str, int]:
    """Set up a point."""
    document = {name: request.form.get(name, "") for name in ("location", "name")}
    came = ordered(orders.PointSchema, document, points.issue, orders.PointIssuedSchema)
    return _again(came, code, "quay")


_POINT_MOVES: Final[Mapping[str, tuple[type[OrderSchema], Verb]]] = {
    "revoke": (orders.PointRevokeSchema, points.revoke),
    "replace": (orders.PointReplaceSchema, points.replace),
    "reprint": (orders.PointReprintSchema, points.reprint),
}


@door.post("/ban-hang/diem/<code>/quay/doi")
@admits(Role.CITIZEN)
def move_point(code: str) -> BaseResponse | tuple[str, int]:
    """Revoke a point, put another in its place, or make its stickers stale."""
    schema, verb = _POINT_MOVES.get(request.form.get("move", ""), (None, None))
    if schema is None or verb is None:
        raise Unparseable(param="move")
    came = ordered(schema, {"point": request.form.get("point", "")}, verb, orders.PointIssuedSchema)
    return _again(came, code, "quay")


@door.get("/ban-hang/diem/<code>/tem.pdf")
@admits(Role.CITIZEN)
def print_stickers(code: str) -> Response:
    """Write the stickers of a merchant's points, or of those that are named, as a PDF to print."""
    config = state().config
    wanted = {id for id in map(uuid_or_none, request.args.getlist("p")) if id}
    with state().app.connect() as connection:
        merchant, _role = mine(connection, code, *_ABOVE_CASHIER)
        found = [
            point
            for point in registry.points_of(connection, merchant.holder)
            if point.open and (not wanted or point.id in wanted)
        ]
    if not found:
        raise registry.PointNotFound(param="p")
    city = state().city.name
    sheets = [
        paper.Sticker(
            name=point.merchant_name,
            place=f"{point.address} · {point.name}",
            serial=stickers.spaced(point.serial),
            code=codes.of_point(point, city=city, demo=config.demo),
            check=stickers.address(point, origin=config.public_origin, secret=config.server_secret),
        )
        for point in found
    ]
    body = paper.stickers(sheets, city=city, demo=config.demo, at=now())
    response = Response(body, content_type="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="tem-{merchant.code}.pdf"'
    return response


# -- invoices and what came in --------------------------------------------------------------------------------------------


@door.get("/ban-hang/diem/<code>/yeu-cau")
@admits(Role.CITIZEN)
def list_invoices(code: str) -> str:
    """Show a merchant's invoices, newest first."""
    with state().app.connect() as connection:
        return render_template("market/selling_invoices.html", **_invoices_page(connection, code))


def _invoices_page(connection: sa.Connection, code: str) -> dict[str, Any]:
    merchant, role = mine(connection, code)
    before = page_begins("truoc")
    rows = invoices.of_merchant(connection, merchant.holder, before=before, rows_max=ROWS + 1)
    names = {point.id: point.name for point in registry.points_of(connection, merchant.holder, revoked=True)}
    return {
        "merchant": merchant,
        "duty": role,
        "rows": [(one, str(one.state(now())), names.get(one.point, "")) for one in rows[:ROWS]],
        "more": str(rows[ROWS - 1].id) if len(rows) > ROWS else None,
        "order_id": new_order_id,
    }


@door.post("/ban-hang/diem/<code>/yeu-cau/huy")
@admits(Role.CITIZEN)
def cancel_invoice(code: str) -> BaseResponse | tuple[str, int]:
    """Take an invoice back."""
    document = {"invoice": request.form.get("invoice", "")}
    came = ordered(InvoiceCancelSchema, document, invoices.cancel, CancelledInvoiceSchema)
    if came.done:
        return redirect(f"/ban-hang/diem/{code}/yeu-cau", 303)
    with state().app.connect() as connection:
        return came.page("market/selling_invoices.html", **_invoices_page(connection, code))


@door.get("/ban-hang/diem/<code>/khoan-thu")
@admits(Role.CITIZEN)
def list_payments(code: str) -> str:
    """Show what came in, newest first: what differs from what was keyed, and what can be done about it."""
    with state().app.connect() as connection:
        return render_template("market/selling_payments.html", **_payments_page(connection, code))


def _payments_page(connection: sa.Connection, code: str) -> dict[str, Any]:
    merchant, role = mine(connection, code)
    rows = payments.of_merchant(connection, merchant.holder, rows_max=ROWS)
    open_at = {one.point for one in rows if one.invoice is None and one.matched is None}
    since = now() - matching.PICK_FROM
    picks = {point: invoices.waiting(connection, point, since=since)[:PICK_ROWS] for point in open_at}
    return {
        "merchant": merchant,
        "duty": role,
        "rows": rows,
        "picks": picks,
        "order_id": new_order_id,
        "grouped": money.grouped,
    }


_DIFFERENCES: Final[Mapping[str, tuple[type[OrderSchema], Verb, type[AnswerSchema]]]] = {
    "attach": (AttachOrderSchema, matching.attach, AttachedSchema),
    "rest": (RestOrderSchema, matching.ask_rest, IssuedInvoiceSchema),
    "accept": (AcceptOrderSchema, matching.accept, AcceptedSchema),
}


@door.post("/ban-hang/diem/<code>/khoan-thu")
@admits(Role.CITIZEN)
def settle_difference(code: str) -> BaseResponse | tuple[str, int]:
    """Settle what differs with one tap: attach, ask for the rest, let it be."""
    schema, verb, answers = _DIFFERENCES.get(request.form.get("how", ""), (None, None, None))
    if schema is None or verb is None or answers is None:
        raise Unparseable(param="how")
    document = {"payment": request.form.get("payment", "")}
    if schema is AttachOrderSchema:
        document["invoice"] = request.form.get("invoice", "")
    came = ordered(schema, document, verb, answers)
    if came.done:
        return redirect(f"/ban-hang/diem/{code}/khoan-thu", 303)
    with state().app.connect() as connection:
        return came.page("market/selling_payments.html", **_payments_page(connection, code))


# -- refunds ----------------------------------------------------------------------------------------------------------------


@door.get("/ban-hang/diem/<code>/hoan")
@admits(Role.CITIZEN)
def list_refunds(code: str) -> str:
    """Show the refunds that were prepared and wait for somebody to sign them."""
    with state().app.connect() as connection:
        merchant, role = mine(connection, code)
        rows = refunds.asked(connection, merchant.holder, now=now())
        names = holders.names(connection, {one.made_by for one in rows})
        second = {one.id: _second(connection, one.entry, one.amount) for one in rows}
    return render_template(
        "market/selling_refunds.html",
        merchant=merchant,
        duty=role,
        rows=rows,
        names=names,
        second=second,
        order_id=new_order_id,
    )


def _second(connection: sa.Connection, entry: UUID, amount: int) -> bool:
    payment = payments.by_entry(connection, entry)
    return payment is not None and refunds.needs_second(payment, amount, now=now())


@door.get("/ban-hang/diem/<code>/hoan/<entry>")
@admits(Role.CITIZEN)
def ask_refund(code: str, entry: str) -> str:
    """Ask how much of a payment goes back, and why."""
    with state().app.connect() as connection:
        page = _refund_page(connection, code, entry)
    over = page["payment"].amount - (page["payment"].asked or page["payment"].amount)
    values = {"amount": money.grouped(max(over, 0))} if page["payment"].how == "over" else {}
    return render_template("market/selling_refund.html", values=values, errors={}, **page)


def _refund_page(connection: sa.Connection, code: str, entry: str) -> dict[str, Any]:
    merchant, role = mine(connection, code)
    found = uuid_or_none(entry)
    payment = payments.by_entry(connection, found) if found else None
    if payment is None or payment.merchant != merchant.holder:
        raise matching.PaymentNotFound(param="entry")
    return {
        "merchant": merchant,
        "duty": role,
        "payment": payment,
        "pin": role is StaffRole.CASHIER,
        "order_id": new_order_id(),
    }


@door.post("/ban-hang/diem/<code>/hoan/<entry>")
@admits(Role.CITIZEN)
def prepare_refund(code: str, entry: str) -> BaseResponse | tuple[str, int]:
    """Prepare a refund, by the PIN where a cashier does; lead to its signing, or to the list where it takes another."""
    with state().app.connect() as connection:
        page = _refund_page(connection, code, entry)
    amount = read_amount(request.form.get("amount", ""))
    if not amount:
        wrong = {"amount": _("Xin nhập số tiền hoàn, ít nhất 1 đồng.")}
        return Ordered(errors=wrong, status=422).page("market/selling_refund.html", **page)
    typed = request.form.get("pin", "")
    try:
        if page["pin"]:
            check_pin(signed_in(), typed)
    except (pins.WrongPin, attempts.TooMany) as refusal:
        return refused(refusal).page("market/selling_refund.html", **page)
    document = {
        "entry": str(page["payment"].entry),
        "amount": str(amount),
        "reason": request.form.get("reason", ""),
        "pin": "given" if page["pin"] else "none",
    }
    came = ordered(orders.RefundRequestSchema, document, refunds.ask, orders.RequestedSchema)
    if not came.done:
        return came.page("market/selling_refund.html", **page)
    if refunds.needs_second(page["payment"], amount, now=now()):
        return redirect(f"/ban-hang/diem/{code}/hoan", 303)
    return redirect(f"/ban-hang/diem/{code}/hoan/ky/{came.answer['request']}", 303)


@door.get("/ban-hang/diem/<code>/hoan/ky/<id>")
@admits(Role.CITIZEN)
def sign_refund(code: str, id: str) -> str:
    """Show a prepared refund once more, and what the browser is to sign."""
    with state().app.connect() as connection:
        merchant, role = mine(connection, code)
        found = uuid_or_none(id)
        one = refunds.by_id(connection, found) if found else None
        if one is None or one.merchant != merchant.holder:
            raise refunds.RequestNotFound(param="request")
        payment = payments.by_entry(connection, one.entry)
        made_by = holders.names(connection, {one.made_by}).get(one.made_by, "")
    assert payment is not None, "a refund is prepared of a payment"
    second = refunds.needs_second(payment, one.amount, now=now())
    own = one.made_by == signed_in()
    may = (role in _ABOVE_CASHIER and not own) if second else (role in _ABOVE_CASHIER or (own and one.pin))
    stands = one.state(now())
    return render_template(
        "market/selling_refund_sign.html",
        merchant=merchant,
        request_=one,
        payment=payment,
        made_by=made_by,
        second=second,
        stands=stands,
        may=may and stands == "asked",
        back=f"/ban-hang/diem/{code}/hoan",
        sign={
            "aud": state().config.public_origin,
            "signer": str(signed_in()),
            "kind": "refund",
            # One order for each prepared refund and signer: however often it is signed, it gives back once.
            "order": str(refunds.order_of(one, signed_in())),
            "path": "/v1/refunds",
            "fields": {
                "entry": str(one.entry),
                "lines": [{"line": "1", "amount": str(one.amount)}],
                "reason": one.reason,
            },
            "total": str(one.amount),
            "confirm_url": f"/ban-hang/diem/{code}/hoan/ky/{one.id}?lenh=",
        },
    )


@door.post("/ban-hang/diem/<code>/hoan/rut")
@admits(Role.CITIZEN)
def withdraw_refund(code: str) -> BaseResponse | tuple[str, int]:
    """Withdraw a prepared refund."""
    document = {"request": request.form.get("request", "")}
    came = ordered(orders.RefundWithdrawSchema, document, refunds.withdraw, orders.WithdrawnSchema)
    if not came.done:
        return _again(came, code, "hoan")
    return redirect(f"/ban-hang/diem/{code}/hoan", 303)
