"""The citizen's pages: home, bills, the confirm sheet, the confirmation, history, paying for another, devices."""

import json
from collections import Counter
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from wallet import accounts, crypto, ids, words
from wallet.accounts import Account
from wallet.bills import find, pay, refusals
from wallet.bills.find import Bill
from wallet.bills.status import Status
from wallet.identity import keys
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.ledger.refusals import FrozenByOperator
from wallet.limits import PUBLIC_SERVICE
from wallet.refusal import Refusal
from wallet.web import views
from wallet.web.accounts import FreezeSchema, MovedSchema, MoveSchema, ThawSchema, cursor, spell_cursor
from wallet.web.act import session_acts
from wallet.web.bills import LookupOrderSchema, LookupSchema
from wallet.web.fields import uuid_or_none
from wallet.web.gate import admits, cookie
from wallet.web.people import ENROL_COOKIE, HOMES, form, new_order_id, send_enrol_code, signed_in
from wallet.web.problems import Unparseable, locale
from wallet.web.state import me, now, state

door = Blueprint("citizen", __name__)

RECENT_ROWS: Final = 5
HISTORY_ROWS: Final = 30
SHEETS: Final = (
    "/thanh-toan?",
    "/chuyen-tien/xac-nhan?",
    "/quet/xac-nhan?",
    "/ma-thanh-toan",
    "/nap-tien/xac-nhan?",
    "/thanh-toan-the?",
)
"""The confirm sheets, to which somebody without a key comes back with one."""


@door.get("/")
@admits("anyone")
def home() -> str | Response:
    """Show what is available and what is due; or the welcome, or the desk that is somebody's own home."""
    who = me()
    if who is None:
        return render_template("welcome.html")
    if who.role != Role.CITIZEN:
        return redirect(HOMES[who.role])
    with state().app.connect() as connection:
        account = my_wallet(connection)
        bills = find.open_of_debtor(connection, who.holder, now=now())
        rows = accounts.movements(connection, account.id, before=None, rows_max=RECENT_ROWS)
        due = sorted((one for one in bills if one.status.payable), key=lambda one: one.due)
        waived = [one for one in bills if one.status == Status.WAIVED]
        return render_template(
            "home.html",
            account=account,
            due=views.bills(connection, due, viewer=who.holder),
            waived=views.bills(connection, waived, viewer=who.holder),
            recent=views.history(connection, rows, holder=who.holder),
            enrol=not keys.has_device(connection, who.holder),
        )


@door.get("/khoan-nop/<bill>")
@admits(Role.CITIZEN)
def bill(bill: str) -> str:
    """Show a bill with its lines."""
    holder = signed_in()
    with state().app.connect() as connection:
        one = _visible(connection, [bill])[0]
        shown = views.bills(connection, [one], viewer=holder)[0]
        newer = find.visible(connection, [one.superseded_by], holder, now=now()) if one.superseded_by else []
        backs = views.given_back(connection, [one]).get(one.id, [])
    return render_template(
        "bill.html",
        bill=shown,
        can_pay=one.status.payable,
        backs=backs,
        history=views.bill_history(one, backs),
        superseded_by=str(newer[0].id) if newer else None,
    )


@door.get("/thanh-toan")
@admits(Role.CITIZEN)
def confirm() -> str | Response:
    """Show the confirm sheet: payee, amount, what remains; and what the browser is to sign."""
    chosen = list(dict.fromkeys(request.args.getlist("b")))
    if not chosen:
        return redirect("/")
    holder, problem = signed_in(), None
    with state().app.connect() as connection:
        account = my_wallet(connection)
        bills = _visible(connection, chosen[: pay.BILLS_MAX])
        shown = views.bills(connection, bills, viewer=holder)
        amounts: Counter[str] = Counter()
        for one in bills:
            amounts[state().city.uses.get(one.procedure, PUBLIC_SERVICE)] += one.total
        limits = views.limits(connection, holder, amounts)
    closed = next((one for one in bills if not one.status.payable), None)
    if closed is not None:
        told = words.refusal(f"bill_{closed.status}", locale())
        problem = {"title": told.title, "safe": told.safe, "next": told.next}
    total = sum(one.total for one in bills)
    sign = {
        "aud": state().config.public_origin,
        "signer": str(holder),
        "payer": str(account.id),
        "kind": "bill_payment",
        "bills": [{"bill": str(one.id), "version": str(one.version), "amount": str(one.total)} for one in bills],
        "confirm_url": "/xac-nhan/",
    }
    return render_template(
        "pay.html",
        bills=shown,
        limits=limits,
        total=total,
        account=account,
        notice=_("Mỗi lần trả nhiều nhất %(most)s khoản. Các khoản còn lại xin trả lần sau.", most=pay.BILLS_MAX)
        if len(chosen) > pay.BILLS_MAX
        else None,
        remains=account.available - total,
        short=closed is None and account.available < total,
        sign=None if closed else sign,
        by_card=f"/thanh-toan-the?b={bills[0].id}" if state().till and not closed and len(bills) == 1 else None,
        problem=problem,
    )


@door.get("/lich-su")
@admits(Role.CITIZEN)
def history() -> str:
    """Show what came in and went out, newest first, paged by key."""
    holder, before = signed_in(), cursor("statement")
    with state().app.connect() as connection:
        account = my_wallet(connection)
        rows = accounts.movements(
            connection, account.id, before=int(before) if before else None, rows_max=HISTORY_ROWS + 1
        )
        more = len(rows) > HISTORY_ROWS
        shown = views.history(connection, rows[:HISTORY_ROWS], holder=holder)
    following = spell_cursor("statement", str(rows[HISTORY_ROWS - 1].seq)) if more else None
    return render_template("history.html", rows=shown, next_cursor=following)


@door.get("/nop-thay")
@admits(Role.CITIZEN)
def ask_other() -> str:
    """Ask for another's bill: its code and the last digits of the debtor's phone."""
    return render_template("pay_other.html", values={}, errors={})


@door.post("/nop-thay")
@admits(Role.CITIZEN)
def find_other() -> Response | tuple[str, int]:
    """Let the payer in to another's bill. Guesses are counted before anything is looked up."""
    code, detail = request.form.get("code", ""), request.form.get("detail", "").strip()
    try:
        find.count_lookup(state().app, signed_in(), code, now=now())
        outcome = session_acts(
            LookupOrderSchema,
            {"code": code[:40] or "-", "detail": detail[:10] or "-"},
            find.let_in,
            LookupSchema,
            signer=signed_in(),
            id=OrderId(ids.new()),
        )
    except Refusal as refusal:
        return form("pay_other.html", refusal)
    return redirect(f"/thanh-toan?b={json.loads(outcome.body)['bill']}", 303)


@door.get("/thiet-bi")
@admits(Role.CITIZEN)
def devices() -> str:
    """Show keys and devices, what this browser needs to enrol its own, and the lock for an emergency."""
    return _devices_page()


@door.post("/thiet-bi/khoa-vi")
@admits(Role.CITIZEN)
def freeze() -> Response | tuple[str, int]:
    """Freeze the wallet of whoever is signed in, at once: no key is asked for, because it may be the key that was lost."""
    return _move(FreezeSchema)


@door.post("/thiet-bi/mo-khoa-vi")
@admits(Role.CITIZEN)
def thaw() -> Response | tuple[str, int]:
    """Thaw a wallet that its holder froze. What then leaves it is still signed by a key."""
    return _move(ThawSchema)


def _move(schema: type[MoveSchema]) -> Response | tuple[str, int]:
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    with state().app.connect() as connection:
        account = my_wallet(connection)
    outcome = session_acts(
        schema,
        {"account": str(account.id)},
        accounts.move,
        MovedSchema,
        signer=signed_in(),
        id=OrderId(id),
        at_once=True,
    )
    if outcome.status >= 400:
        return _devices_page(problem=json.loads(outcome.body)), outcome.status
    return redirect("/thiet-bi#khoa-vi", 303)


def _devices_page(**told: Any) -> str:
    holder = signed_in()
    with state().app.connect() as connection:
        wallet = my_wallet(connection)
        by_other = accounts.frozen_by_other(connection, wallet)
        has_device = keys.has_device(connection, holder)
        mine = keys.of(connection, holder)
    held = request.cookies.get(cookie(ENROL_COOKIE))
    enrol: dict[str, Any] = {
        "aud": state().config.public_origin,
        "holder": str(holder),
        "has_active_device": has_device,
        "code": None if has_device else held,
    }
    return render_template(
        "devices.html",
        keys=[
            {
                "id": one.id,
                "label": one.label,
                "state": one.state,
                "created_at": one.enrolled_at,
                "check_code": crypto.check_code(one.id),
                "kind": one.device,
            }
            for one in mine
        ],
        enrol_data=enrol,
        code_sent=request.args.get("ma") == "1",
        wallet_status="frozen by operator" if by_other else wallet.status,
        frozen_text=words.refusal(FrozenByOperator.code, locale()),
        order_id=new_order_id(),
        **told,
    )


@door.post("/thiet-bi/ma")
@admits(Role.CITIZEN)
def send_device_code() -> Response:
    """Send the code that lets a first browser in; whoever came from a confirm sheet finds the way back to it."""
    send_enrol_code(signed_in())
    wanted = request.form.get("next", "")
    back = {"next": wanted} if wanted.startswith(SHEETS) else {}
    return redirect(f"/thiet-bi?{urlencode({'ma': '1'} | back)}", 303)


def my_wallet(connection: Any) -> Account:
    """Return the wallet of the citizen who is signed in."""
    account = accounts.wallet_of(connection, signed_in())
    assert account is not None, "a citizen has a wallet"
    return account


def _visible(connection: Any, texts: list[str]) -> list[Bill]:
    """Return bills that this citizen may see, all of them or none.

    Raises:
        refusals.NotFound.
    """
    wanted = [id for id in map(uuid_or_none, texts) if id is not None]
    found = find.visible(connection, wanted, signed_in(), now=now())
    if len(found) < len(texts):
        raise refusals.NotFound(param="bill")
    return found
