"""The pages of transfers: whom and how much, the confirm sheet, and what a payee shows to be paid.

Words   A sheet has its order's id from the start, in its address. However often it is opened, in however many tabs, it can
        move money once, and once it has come to an end it leads to its confirmation.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from wallet import accounts, lookup, money, payees, text, transfers
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.ids import AccountId, OrderId
from wallet.limits import TRANSFER
from wallet.money import Dong
from wallet.payees import Payee
from wallet.refusal import Refusal
from wallet.web import views
from wallet.web.act import session_acts
from wallet.web.citizen import my_wallet
from wallet.web.fields import Invalid, uuid_or_none
from wallet.web.gate import admits
from wallet.web.payees import CodeMadeSchema, CodeOrderSchema
from wallet.web.people import form, new_order_id, sentence, signed_in
from wallet.web.problems import Unparseable
from wallet.web.state import now, state

door = Blueprint("send", __name__)

RECENT_PAYEES: Final = 4
RECENT_ROWS: Final = 60
"""How far back the wallet's movements are looked through for people who were paid before."""

_GROUPED: Final = re.compile(
    r"([1-9][0-9]{0,2}([., \u00a0])[0-9]{3}(?:\2[0-9]{3})*|[0-9]+)[ \u00a0]?(?:₫|đ|đồng|vnd|vnđ)?"
)
"""An amount as people type it. A separator stands between groups of three, so that 1.25 is not read as 125."""

_CODE_SHAPED: Final = re.compile(r"(?:[0-9][ .\u00a0-]*){9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What somebody is about to sign."""

    payee: Payee
    amount: Dong
    memo: str

    def address(self, path: str, **more: str) -> str:
        """Spell a page's address that carries this draft."""
        own = {"payee": str(self.payee.account), "amount": str(self.amount), "memo": self.memo}
        return f"{path}?{urlencode(own | more)}"


class Faults(Exception):
    """Some fields of a draft are wrong; `errors` says of each what to do."""

    def __init__(self, errors: Mapping[str, str], status: int = Invalid.status) -> None:
        super().__init__(", ".join(errors))
        self.errors, self.status = errors, status


@door.get("/chuyen-tien")
@admits(Role.CITIZEN)
def ask() -> str:
    """Ask whom to pay, how much, and what for; filled in where the address already says it."""
    values = {name: request.args.get(name, "")[:200] for name in ("payee", "amount", "memo")}
    if values["amount"].isascii() and values["amount"].isdigit():
        values["amount"] = f"{int(values['amount']):,}".replace(",", ".")
    return _form(values, {})


@door.post("/chuyen-tien")
@admits(Role.CITIZEN)
def prepare() -> Response | tuple[str, int]:
    """Find the payee and lead to the confirm sheet. Nobody is looked up while another field is wrong."""
    values = {name: request.form.get(name, "") for name in ("to", "payee", "amount", "memo")}
    try:
        draft = _draft(values)
    except Faults as faults:
        return _form(values, faults.errors), faults.status
    return redirect(draft.address("/chuyen-tien/xac-nhan", order=new_order_id()), 303)


@door.get("/chuyen-tien/xac-nhan")
@admits(Role.CITIZEN)
def confirm() -> str | Response:
    """Show the confirm sheet: payee, amount, what remains; and what the browser is to sign."""
    given = {name: request.args.get(name, "") for name in ("payee", "amount", "memo")}
    try:
        draft = _draft(given, judge_funds=False)
    except Faults:
        return redirect(f"/chuyen-tien?{urlencode(given)}", 303)
    order = uuid_or_none(request.args.get("order", ""))
    if order is None:
        return redirect(draft.address("/chuyen-tien/xac-nhan", order=new_order_id()), 303)
    with state().app.connect() as connection:
        if _decided(connection, OrderId(order)):
            return redirect(f"/xac-nhan/{order}", 303)
        account = my_wallet(connection)
        limits = views.limits(connection, signed_in(), {TRANSFER: draft.amount})
    return render_template(
        "send_confirm.html",
        limits=limits,
        payee=draft.payee,
        amount=draft.amount,
        amount_words=money.in_words(draft.amount),
        memo=draft.memo,
        account=account,
        remains=account.available - draft.amount,
        short=account.available < draft.amount,
        edit_url=draft.address("/chuyen-tien"),
        sign={
            "aud": state().config.public_origin,
            "signer": str(signed_in()),
            "kind": "transfer",
            "order": str(order),
            "payer": str(account.id),
            "payee": str(draft.payee.account),
            "amount": str(draft.amount),
            "memo": draft.memo,
            "confirm_url": "/xac-nhan/",
        },
    )


@door.get("/nhan-tien")
@admits(Role.CITIZEN)
def receive() -> str:
    """Show what somebody who wants to pay needs: name, phone and payee code."""
    return render_template("receive.html", **_receive_page())


@door.post("/nhan-tien/ma")
@admits(Role.CITIZEN)
def renew_code() -> Response | tuple[str, int]:
    """Make the first payee code, or a fresh one in place of the old."""
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    try:
        payees.count_renewal(state().app, signed_in(), now=now())
        session_acts(CodeOrderSchema, {}, payees.renew, CodeMadeSchema, signer=signed_in(), id=OrderId(id))
    except Refusal as refusal:
        return form("receive.html", refusal, **_receive_page())
    return redirect("/nhan-tien", 303)


def read_amount(typed: str) -> Dong | None:
    """Read an amount as people type it: "1.250.000", "1 250 000 đ" and "1250000" are 1250000.

    Returns:
        The amount, zero included; None where it is none, such as "1.25", "-5" or more than the largest.
    """
    found = _GROUPED.fullmatch(typed.strip().lower())
    if found is None:
        return None
    try:
        return money.parse(re.sub(r"[., \u00a0]", "", found[1]))
    except ValueError:
        return None


def _draft(values: Mapping[str, str], *, judge_funds: bool = True) -> Draft:
    """Read a draft.

    Args:
        values: as typed; `payee`, an account that is known already, goes before `to`.
        judge_funds: False on the confirm sheet, which itself tells what is missing.

    Raises:
        Faults.
    """
    errors: dict[str, str] = {}
    amount = _amount(values["amount"], errors, judge_funds=judge_funds)
    memo = ""
    try:
        memo = text.plain(values["memo"], chars_max=transfers.MEMO_CHARS_MAX, param="memo", empty=True)
    except text.HiddenCharacter as refusal:
        errors["memo"] = sentence(refusal)
    except text.BadText:
        errors["memo"] = _("Lời nhắn dài quá %(most)s chữ. Xin viết ngắn lại.", most=transfers.MEMO_CHARS_MAX)
    find = _finder(values, errors)
    if errors or find is None:
        raise Faults(errors)
    try:
        payee = find()
    except Refusal as refusal:
        raise Faults({"to": sentence(refusal)}, refusal.status) from None
    return Draft(payee=payee, amount=amount, memo=memo)


def _amount(typed: str, errors: dict[str, str], *, judge_funds: bool) -> Dong:
    amount = read_amount(typed)
    if not typed.strip():
        errors["amount"] = _("Xin nhập số tiền.")
    elif amount is None:
        errors["amount"] = _("Xin nhập số tiền bằng chữ số, ví dụ 1.250.000.")
    elif amount == 0:
        errors["amount"] = _("Số tiền ít nhất là 1 ₫.")
    elif judge_funds:
        with state().app.connect() as connection:
            available = my_wallet(connection).available
        if available < amount:
            errors["amount"] = _("Số dư khả dụng chỉ có %(available)s.", available=money.grouped(available))
    return amount or Dong(0)


def _finder(values: Mapping[str, str], errors: dict[str, str]) -> Callable[[], Payee] | None:
    """Read who is meant, without asking the database yet."""
    asker, database, typed = signed_in(), state().app, values.get("to", "").strip()
    known = uuid_or_none(values["payee"])
    if known is not None:

        def by_account() -> Payee:
            with database.connect() as connection:
                return payees.by_account(connection, AccountId(known), asker=asker)

        return by_account
    try:
        if _CODE_SHAPED.fullmatch(typed):
            payees.read_code(typed)
            return lambda: payees.by_code(database, typed, asker=asker, now=now())
        holders.phone_number(typed)
        return lambda: payees.by_phone(database, typed, asker=asker, now=now())
    except payees.Mistyped as refusal:
        errors["to"] = sentence(refusal)
    except holders.BadPhone:
        errors["to"] = (
            _("Xin nhập số điện thoại 10 số hoặc mã nhận tiền 9 số.")
            if typed
            else _("Xin nhập số điện thoại hoặc mã nhận tiền của người nhận.")
        )
    return None


def _form(values: Mapping[str, str], errors: Mapping[str, str]) -> str:
    """Show the form, with a payee who is known already, or with those who were paid lately."""
    known = uuid_or_none(values.get("payee", ""))
    shown = dict(errors)
    with state().app.connect() as connection:
        account = my_wallet(connection)
        recent = [] if known else _recent(connection, account.id)
        payee = None
        if known is not None:
            try:
                payee = payees.by_account(connection, AccountId(known), asker=signed_in())
            except Refusal as refusal:
                shown["to"] = sentence(refusal)
    return render_template(
        "send.html",
        values=values,
        errors=shown,
        payee=payee,
        recent=recent,
        account=account,
        memo_chars_max=transfers.MEMO_CHARS_MAX,
    )


def _recent(connection: sa.Connection, account: AccountId) -> list[Payee]:
    """Return whom this wallet paid lately, each once, the latest first."""
    rows = accounts.movements(connection, account, before=None, rows_max=RECENT_ROWS)
    paid = list(dict.fromkeys(row.counterparty for row in rows if row.kind == "transfer" and row.amount < 0))
    names = payees.names(connection, paid[:RECENT_PAYEES])
    return [Payee(account=one, name_masked=names[one]) for one in paid[:RECENT_PAYEES] if one in names]


def _decided(connection: sa.Connection, order: OrderId) -> bool:
    try:
        lookup.outcome(connection, signer=signed_in(), order=order)
    except lookup.NotFound:
        return False
    return True


def _receive_page() -> dict[str, Any]:
    with state().app.connect() as connection:
        person = holders.by_id(connection, signed_in())
        code = payees.code_of(connection, signed_in())
    assert person is not None, "a citizen has a name"
    return {"person": person, "code": code, "order_id": new_order_id()}
