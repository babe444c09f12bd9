"""The agency desk: find a bill, issue one by tariff, cancel it with a reason, see the day's takings."""

import csv
import io
import json
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from wallet import clock, money, refunds, text, words
from wallet.bills import agencies, find, issue, refusals
from wallet.bills.find import Bill, Taking
from wallet.city import Procedure
from wallet.exports import tables
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger.refusals import RefundTooLarge
from wallet.refusal import Refusal
from wallet.web import fields, views
from wallet.web.act import session_acts
from wallet.web.bills import BillOrderSchema, CancelledSchema, CancelOrderSchema, IssuedSchema
from wallet.web.fields import uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import new_order_id, signed_in
from wallet.web.problems import Unparseable, locale
from wallet.web.refunds import RefundOrderSchema, UndoneSchema
from wallet.web.state import me, now, state

door = Blueprint("desk", __name__)


@door.get("/quay")
@admits(Role.OFFICER)
def home() -> str:
    """Find a bill by dossier code, bill code or name, without accents; and see today at a glance."""
    words_ = request.args.get("q", "")[:100]
    with state().app.connect() as connection:
        found = find.search(connection, _agency(), words_, now=now()) if words_.strip() else []
        shown = views.bills(connection, found, viewer=None)
        if "HX-Request" in request.headers:
            return render_template("_desk_found.html", found=shown, q=words_)
        takings = find.takings(connection, _agency(), clock.day_of(now()))
        paid = find.bills_paid(connection, _agency(), clock.day_of(now()))
        code = agencies.code_of(connection, _agency())
    today = {"count": paid, "net": sum(one.net for one in takings), "refunded": sum(one.refunded for one in takings)}
    return render_template("desk_home.html", agency=state().city.agencies[code], q=words_, found=shown, today=today)


@door.get("/quay/lap")
@admits(Role.OFFICER)
def ask_bill() -> str:
    """Show the form by which a bill is issued; filled from the bill that shall be replaced, where one is named."""
    values: dict[str, Any] = {"order_id": new_order_id(), "area": _own_area()}
    old = _own(request.args["supersedes"]) if request.args.get("supersedes") else None
    if old is not None:
        values |= {
            "supersedes": str(old.id),
            "debtor_name": old.debtor_name,
            "debtor_phone": _phone_of(old),
            "dossier": old.dossier,
            "procedure": old.procedure,
            "due": old.due.isoformat(),
            "area": old.lines[0].dia_ban,
        }
    return render_template("desk_issue.html", values=values, errors={}, **_issue_page())


@door.get("/quay/lap/dong")
@admits(Role.OFFICER)
def lines() -> str:
    """Show the lines of a procedure, for the form."""
    return render_template("_desk_lines.html", values={}, errors={}, **_issue_page())


@door.post("/quay/lap")
@admits(Role.OFFICER)
def issue_bill() -> Response | tuple[str, int]:
    """Issue the bill; the same form sent twice is one bill."""
    given = request.form
    id = uuid_or_none(given.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    amounts = dict(zip(given.getlist("item_code[]"), given.getlist("amount[]"), strict=False))
    document = {
        "debtor": {"name": given.get("debtor_name", ""), "phone": given.get("debtor_phone", "")},
        "dossier": given.get("dossier", ""),
        "procedure": given.get("procedure", ""),
        "due": given.get("due", ""),
        "expires_on": given.get("expires", ""),
        "supersedes": given.get("supersedes", ""),
        "lines": [
            {"item": item, "amount": _typed(amount), "chuong": "", "tieu_muc": "", "dia_ban": given.get("area", "")}
            for item, amount in amounts.items()
            if amount.strip()
        ],
    }
    missing = _missing(given, has_lines=bool(document["lines"]))
    if missing:
        page = _form_again(given.to_dict() | {"order_id": new_order_id(), "amounts": amounts}, missing)
        return page, fields.Invalid.status
    try:
        verb = partial(issue.issue, city=state().city)
        outcome = session_acts(BillOrderSchema, document, verb, IssuedSchema, signer=signed_in(), id=OrderId(id))
    except Refusal as refusal:
        return _again(refusal, amounts)
    answered = json.loads(outcome.body)
    if outcome.status >= 400:
        return _again(_Told(answered), amounts)
    return redirect(f"/quay/khoan/{answered['bill']}", 303)


@door.get("/quay/khoan/<bill>")
@admits(Role.OFFICER)
def bill(bill: str) -> str:
    """Show one of the agency's bills."""
    return _bill_page(_own(bill))


@door.post("/quay/khoan/<bill>/huy")
@admits(Role.OFFICER)
def cancel(bill: str) -> Response | tuple[str, int]:
    """Cancel it, with a reason."""
    one, id = _own(bill), uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    reason = request.form.get("reason", "")
    try:
        outcome = session_acts(
            CancelOrderSchema,
            {"bill": str(one.id), "reason": reason},
            partial(issue.cancel, city=state().city),
            CancelledSchema,
            signer=signed_in(),
            id=OrderId(id),
        )
    except Refusal as refusal:
        told = words.refusal(refusal.code, locale())
        return _bill_page(
            one, errors={"reason": f"{told.title} {told.next}"}, values={"reason": reason}
        ), refusal.status
    if outcome.status >= 400:
        refused = json.loads(outcome.body)
        return _bill_page(_own(bill), problem=refused), outcome.status
    return redirect(f"/quay/khoan/{one.id}", 303)


@door.post("/quay/khoan/<bill>/hoan")
@admits(Role.OFFICER)
def refund(bill: str) -> Response | tuple[str, int]:
    """Give parts of a paid bill's lines back to the wallet that paid, with a reason. The same form sent twice gives once."""
    one, id = _own(bill), uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    entry, lines = _paid_lines(one)
    typed = {str(line.line): request.form.get(f"amount-{line.line}", "") for line in lines}
    back = [{"line": line, "amount": _typed(amount)} for line, amount in typed.items() if amount.strip()]
    if not back:
        missing = {"refund": _("Xin nhập số tiền hoàn của ít nhất một dòng.")}
        return _bill_page(one, errors=missing, values=request.form.to_dict()), fields.Invalid.status
    document = {"entry": str(entry), "lines": back, "reason": request.form.get("reason", "")}
    try:
        outcome = session_acts(
            RefundOrderSchema,
            document,
            refunds.refund,
            UndoneSchema,
            signer=signed_in(),
            id=OrderId(id),
            at_once=True,
        )
    except Refusal as refusal:
        wrong, problem = _wrong_refund(refusal, back)
        return _bill_page(one, errors=wrong, problem=problem, values=request.form.to_dict()), refusal.status
    if outcome.status >= 400:
        told = json.loads(outcome.body)
        wrong = _too_large(told) if told["code"] == RefundTooLarge.code else {}
        problem = None if wrong else told
        return _bill_page(one, errors=wrong, problem=problem, values=request.form.to_dict()), outcome.status
    return redirect(f"/quay/khoan/{one.id}#hoan", 303)


def _paid_lines(one: Bill) -> tuple[EntryId, list[refunds.Line]]:
    """Return the entry that paid a bill, and its lines.

    Raises:
        refunds.EntryNotFound: it is not paid.
    """
    with state().app.connect() as connection:
        entry = refunds.settling(connection, one.id)
        if entry is None:
            raise refunds.EntryNotFound(param="bill")
        return entry, refunds.lines_of(connection, entry)


def _wrong_refund(refusal: Refusal, back: list[dict[str, str]]) -> tuple[dict[str, str], dict[str, str] | None]:
    """Say beside the field, or else on top, what is wrong with a refund that was not read as one."""
    told = words.refusal(refusal.code, locale())
    where = (refusal.param or "").split(".")
    if where[0] == "reason":
        return {"reason": f"{told.title} {told.next}"}, None
    if where[0] == "lines" and len(where) > 1:
        return {f"amount-{back[int(where[1])]['line']}": _("Xin nhập số đồng nguyên, từ 1 tới phần còn lại.")}, None
    return {}, {"title": told.title, "safe": told.safe, "next": told.next}


def _too_large(told: Mapping[str, str]) -> dict[str, str]:
    left = money.grouped(int(told["remains"]))
    return {f"amount-{told['line']}": _("Dòng này chỉ còn hoàn được %(sum)s.", sum=left)}


@door.get("/quay/hom-nay")
@admits(Role.OFFICER)
def today() -> str:
    """Show a day's takings by budget line."""
    day, rows = _takings()
    return render_template(
        "desk_today.html",
        day=day,
        rows=[_taking(row) for row in rows],
        total=sum(row.amount for row in rows),
        refunded=sum(row.refunded for row in rows),
        net=sum(row.net for row in rows),
    )


@door.get("/quay/hom-nay.csv")
@admits(Role.OFFICER)
def today_csv() -> Response:
    """Give a day's takings as CSV that no spreadsheet takes for a formula."""
    day, rows = _takings()
    out = io.StringIO()
    writer = csv.writer(out)
    heads = ["ngay", "chuong", "tieu_muc", "ten_tieu_muc", "dia_ban", "ten_dia_ban", "so_khoan", "so_tien"]
    writer.writerow([*heads, "so_tien_hoan", "con_lai"])
    for row in map(_taking, rows):
        cells = [row[name] for name in ("chuong", "tieu_muc", "tieu_muc_name", "dia_ban", "area_name")]
        sums = [row[name] for name in ("count", "amount", "refunded", "net")]
        writer.writerow([day.isoformat(), *map(tables.defused, cells), *sums])
    response = Response("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="thu-{day.isoformat()}.csv"'
    return response


class _Told(Refusal):
    """A refusal that was stored, told again from its document."""

    status = 409

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(param=told.get("param"))
        self.code = told["code"]  # type: ignore[misc]
        self.status = int(told["status"])  # type: ignore[misc]


def _again(refusal: Refusal, amounts: dict[str, str]) -> tuple[str, int]:
    """Show the form again, with a fresh order id: the refused one has its outcome."""
    moved = {
        "debtor": "debtor_name" if isinstance(refusal, text.BadText) else "debtor_phone",
        "phone": "debtor_phone",
        "expires_on": "expires",
        "supersedes": None,
        "dia_ban": "area",
    }
    refusal.param = moved.get(refusal.param or "", refusal.param)
    values = request.form.to_dict() | {"order_id": new_order_id(), "amounts": amounts}
    told = words.refusal(refusal.code, locale())
    wrong = refusal.param and (refusal.param in request.form or refusal.param == "lines")
    page = render_template(
        "desk_issue.html",
        values=values,
        errors={refusal.param: f"{told.title} {told.next}"} if wrong else {},
        problem=None if wrong else {"title": told.title, "safe": told.safe, "next": told.next},
        **_issue_page(),
    )
    return page, refusal.status


def _missing(given: Mapping[str, str], *, has_lines: bool) -> dict[str, str]:
    """Say of every field that was left empty what to put there; the rest is judged when the order is read."""
    asked = {
        "procedure": _("Xin chọn thủ tục."),
        "debtor_name": _("Xin nhập họ tên người phải nộp."),
        "debtor_phone": _("Xin nhập số điện thoại người phải nộp."),
        "dossier": _("Xin nhập mã hồ sơ."),
        "due": _("Xin chọn hạn nộp."),
    }
    missing = {name: text for name, text in asked.items() if not given.get(name, "").strip()}
    if not has_lines and "procedure" not in missing:
        missing["lines"] = _("Xin nhập số tiền của ít nhất một dòng.")
    return missing


def _form_again(values: dict[str, Any], errors: dict[str, str]) -> str:
    return render_template("desk_issue.html", values=values, errors=errors, problem=None, **_issue_page())


def _typed(amount: str) -> str:
    """Read an amount as people type it: "1.250.000" and "1 250 000" are 1250000."""
    return "".join(char for char in amount if char not in " .\u00a0₫")


def _issue_page() -> dict[str, Any]:
    city = state().city
    with state().app.connect() as connection:
        code = agencies.code_of(connection, _agency())
    procedures = [_procedure(one) for one in city.procedures_of(code)]
    own = city.agencies[code].area  # an agency of one ward books nothing under another, so it is offered no other
    areas = [{"code": area.code, "name": area.name} for area in city.areas.values() if own in (None, area.code)]
    return {"procedures": procedures, "areas": areas}


def _procedure(one: Procedure) -> dict[str, Any]:
    tieu_muc = state().city.tieu_muc
    items = [
        {
            "code": item.code,
            "name": item.name,
            "amount": item.amount,
            "tieu_muc": item.tieu_muc,
            "tieu_muc_name": tieu_muc[item.tieu_muc].name,
        }
        for item in one.items_on(clock.day_of(now()))
    ]
    return {"code": one.code, "name": one.name, "items": items}


def _takings() -> tuple[date, list[Taking]]:
    text = request.args.get("ngay", "")
    try:
        day = fields.day(text) if text else clock.day_of(now())
    except ValueError:
        raise Unparseable(param="ngay") from None
    with state().app.connect() as connection:
        return day, find.takings(connection, _agency(), day)


def _taking(row: Taking) -> dict[str, Any]:
    named = views.line(
        find.Line(name="", amount=row.amount, chuong=row.chuong, tieu_muc=row.tieu_muc, dia_ban=row.dia_ban)
    )
    return named | {"count": row.count, "refunded": row.refunded, "net": row.net}


def _own(text: str) -> Bill:
    """Return a bill of the officer's agency.

    Raises:
        refusals.NotFound: another agency's, or none.
    """
    id = uuid_or_none(text)
    with state().app.connect() as connection:
        found = find.by_ids(connection, [id], now=now()) if id else []
    if not found or found[0].agency != _agency():
        raise refusals.NotFound(param="bill")
    return found[0]


def _bill_page(one: Bill, **told: Any) -> str:
    with state().app.connect() as connection:
        shown = views.bills(connection, [one], viewer=None)[0]
        backs = views.given_back(connection, [one]).get(one.id, [])
        entry = refunds.settling(connection, one.id)
        lines = _refundable(one, refunds.lines_of(connection, entry)) if entry else []
    if any(back["whole"] for back in backs):
        lines = []
    context = {"errors": {}, "values": {}, "problem": None} | told
    return render_template(
        "desk_bill.html",
        bill=shown,
        can_cancel=one.closed_at is None and one.paid_at is None,
        backs=backs,
        refundable=lines if any(line["remains"] for line in lines) else [],
        history=views.bill_history(one, backs),
        order_id=new_order_id(),
        **context,
    )


def _refundable(one: Bill, lines: list[refunds.Line]) -> list[dict[str, Any]]:
    """Show the lines of a bill's payment with what remains of each: they are the bill's own that cost anything."""
    named = [line.name for line in one.lines if line.amount > 0]
    return [
        {"line": line.line, "name": name, "amount": line.amount, "given": line.given, "remains": line.remains}
        for line, name in zip(lines, named, strict=True)
    ]


def _phone_of(bill: Bill) -> str:
    """Return the phone that the agency itself gave for a bill's debtor."""
    with state().app.connect() as connection:
        person = holders.by_id(connection, bill.debtor) if bill.debtor else None
    return (person.phone if person else None) or ""


def _own_area() -> str | None:
    """Return the ward or commune that the agency serves, where it serves one only: the likeliest area of its bills."""
    with state().app.connect() as connection:
        code = agencies.code_of(connection, _agency())
    return state().city.agencies[code].area


def _agency() -> HolderId:
    who = me()
    assert who is not None, "the gate lets nobody else here"
    assert who.agency is not None, "an officer has an agency"
    return who.agency
