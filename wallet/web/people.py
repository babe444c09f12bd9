"""Pages where people come in: open a wallet, sign in, sign out, choose a language."""

import json
import secrets
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, g, make_response, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from wallet import crypto, db, ids, recovery, text, words
from wallet.gates import sms
from wallet.identity import attempts, codes, holders, keys, pins, sessions
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.refusal import Refusal
from wallet.web import problems
from wallet.web.fields import uuid_or_none
from wallet.web.gate import DEVICE_COOKIE, SESSION_COOKIE, admits, cookie, drop_cookie, set_cookie
from wallet.web.problems import locale
from wallet.web.state import me, now, state

door = Blueprint("people", __name__)

OPEN: Final = "open"
OPENING_COOKIE: Final = "opening"
ENROL_COOKIE: Final = "enrol"
OPENING_S: Final = 1800
DEVICE_S: Final = 2 * 365 * 24 * 3600
RESEND_AFTER_S: Final = 60
MINUTES_SAID_MAX: Final = 120
"""A longer wait is told in hours."""

HOMES: Final = {Role.OFFICER: "/quay", Role.AUDITOR: "/kiem-toan", Role.OPERATOR: "/van-hanh"}


@door.get("/mo-vi")
@admits("anyone")
def ask_phone() -> str:
    """Ask for the phone number of a new wallet."""
    return render_template("open_phone.html", values={}, errors={})


@door.post("/mo-vi")
@admits("anyone")
def send_code() -> Response | tuple[str, int]:
    """Send a one-time code to that phone, whether or not somebody has it: a stranger learns nothing."""
    try:
        phone = holders.phone_number(request.form.get("phone", ""))
        id = _send(phone, OPEN)
    except Refusal as refusal:
        return form("open_phone.html", refusal)
    response = redirect("/mo-vi/ma", 303)
    set_cookie(response, OPENING_COOKIE, str(id), seconds=OPENING_S)
    return response


@door.get("/mo-vi/ma")
@admits("anyone")
def ask_code() -> str | Response:
    """Ask for the code."""
    phone = _opening(verified=False)
    if phone is None:
        return redirect("/mo-vi", 303)
    return render_template("open_code.html", **_code_page(phone), values={}, errors={})


@door.post("/mo-vi/ma")
@admits("anyone")
def check_code() -> Response | tuple[str, int]:
    """Check the code; tries are counted first."""
    phone = _opening(verified=False)
    if phone is None:
        return redirect("/mo-vi", 303)
    try:
        attempts.count(state().app, [(attempts.CODE_TRIED, f"{OPEN}:{phone}")], now=now())
        typed = request.form.get("code", "").strip()
        secret = state().config.server_secret
        id = db.unit(
            state().app,
            lambda unit: codes.verify(
                unit, secret=secret, purpose=OPEN, phone=phone, code=typed, now=now(), id=_opening_id()
            ),
        )
    except Refusal as refusal:
        return form("open_code.html", refusal, **_code_page(phone))
    response = redirect("/mo-vi/pin", 303)
    set_cookie(response, OPENING_COOKIE, str(id), seconds=OPENING_S)
    return response


@door.get("/mo-vi/pin")
@admits("anyone")
def ask_pin() -> str | Response:
    """Ask for name and PIN."""
    phone = _opening(verified=True)
    if phone is None:
        return redirect("/mo-vi", 303)
    return render_template("open_pin.html", **_pin_page(phone), values={}, errors={})


class PinsDiffer(Refusal):
    """The PIN was typed differently the second time."""

    code = "pins_differ"
    status = 422
    stored = False


@door.post("/mo-vi/pin")
@admits("anyone")
def open_wallet() -> Response | tuple[str, int]:
    """Open the wallet: holder, PIN, account and session in one unit; the first device may then enrol at once."""
    phone, id = _opening(verified=True), _opening_id()
    if phone is None or id is None:
        return redirect("/mo-vi", 303)
    page = _pin_page(phone)
    known = page["known_name"]
    try:
        if page["has_pin"]:
            raise pins.HasPin  # before a hash is computed for nothing
        attempts.count(state().app, [(attempts.CODE_TRIED, f"{recovery.TICKET}:{phone}")], now=now())
        name = known or text.plain(request.form.get("name", ""), chars_max=text.NAME_CHARS_MAX, param="name")
        pin = pins.acceptable(request.form.get("pin", ""), phone=phone)
        if request.form.get("pin2") != pin:
            raise PinsDiffer(param="pin2")
        hashed, device = crypto.hash_pin(pin), _device()

        def work(unit: Any) -> tuple[str, str]:
            codes.use(unit, id, now=now())
            if recovery.needs_ticket(unit, phone):
                ticket, secret = request.form.get("ticket", "").strip(), state().config.server_secret
                recovery.redeem(unit, phone, ticket, secret=secret, now=now())
            person = holders.by_phone(unit, phone)
            holder = person.holder if person else holders.register_person(unit, name=name, phone=phone, now=now())
            pins.set_first(unit, holder, hashed, now=now())
            holders.open_wallet(unit, holder, now=now())
            pins.remember(unit, holder, crypto.token_hash(device), now=now())
            secret = state().config.server_secret
            _, code = codes.make(unit, secret=secret, purpose=keys.ENROL, phone=phone, now=now())
            return sessions.open(unit, holder, now=now()), code

        token, code = db.unit(state().app, work)
    except Refusal as refusal:
        return form("open_pin.html", refusal, **page)
    response = redirect("/thiet-bi", 303)
    drop_cookie(response, OPENING_COOKIE)
    set_cookie(response, SESSION_COOKIE, token)
    set_cookie(response, DEVICE_COOKIE, device, seconds=DEVICE_S)
    set_cookie(response, ENROL_COOKIE, code, seconds=int(codes.LIFE.total_seconds()))
    return response


@door.get("/dang-nhap")
@admits("anyone")
def ask_sign_in() -> str:
    """Ask for phone and PIN."""
    return render_template("sign_in.html", **_sign_in_page(), values={}, errors={})


@door.post("/dang-nhap")
@admits("anyone")
def sign_in() -> Response | tuple[str, int]:
    """Check phone and PIN; open a new session, whatever session there was."""
    device = _device()
    try:
        holder = pins.check(
            state().app,
            phone=holders.phone_number(request.form.get("phone", "")),
            pin=request.form.get("pin", ""),
            device=crypto.token_hash(device),
            address=_address(),
            now=now(),
        )
    except Refusal as refusal:
        refused = make_response(form("sign_in.html", refusal, **_sign_in_page()))
        # The next try from here counts against this browser first, and not against everybody's.
        set_cookie(refused, DEVICE_COOKIE, device, seconds=DEVICE_S)
        return refused

    def work(unit: Any) -> tuple[str, Role]:
        token = sessions.open(unit, holder, now=now())
        who = sessions.find(unit, token, now=now())
        assert who is not None, "a session that was just opened is alive"
        return token, who.role

    token, role = db.unit(state().app, work)
    response = redirect(_safe_next(HOMES.get(role, "/")), 303)
    set_cookie(response, SESSION_COOKIE, token)
    set_cookie(response, DEVICE_COOKIE, device, seconds=DEVICE_S)
    return response


@door.post("/dang-xuat")
@admits("anyone")
def sign_out() -> Response:
    """End the session on the server; the cookie alone would be worth nothing."""
    token = request.cookies.get(cookie(SESSION_COOKIE))
    if token:
        db.unit(state().app, lambda unit: sessions.close(unit, token))
    response = redirect("/", 303)
    for name in (SESSION_COOKIE, OPENING_COOKIE, ENROL_COOKIE):
        drop_cookie(response, name)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@door.post("/ngon-ngu")
@admits("anyone")
def choose_language() -> Response:
    """Remember the language of the pages."""
    response = redirect(_safe_next("/"), 303)
    chosen = request.form.get("locale")
    if chosen in words.LOCALES:
        response.set_cookie("locale", chosen, max_age=DEVICE_S, path="/", samesite="Lax", httponly=True)
    return response


def form(template: str, refusal: Refusal, **context: Any) -> tuple[str, int]:
    """Show a form again with what was typed and what is wrong with it: at the field where it is one's, else on top."""
    told = _told(refusal)
    values = {name: value for name, value in request.form.items() if name and "pin" not in name}
    named = refusal.param in request.form
    problem = None if named else {"title": told.title, "safe": told.safe, "next": told.next}
    errors = {refusal.param: sentence(refusal)} if named else {}
    g.refused = refusal.code
    page = render_template(template, **{"values": values, "errors": errors, "problem": problem} | context)
    return page, refusal.status


def sentence(refusal: Refusal) -> str:
    """Say at a field what is wrong with it and what to do."""
    told = _told(refusal)
    return f"{told.title} {told.next}"


def told(refusal: Refusal) -> dict[str, str]:
    """Return what a page says of a refusal on top of a form."""
    said = _told(refusal)
    return {"title": said.title, "safe": said.safe, "next": said.next}


def check_pin(holder: HolderId, pin: str) -> None:
    """Ask who is signed in for their PIN once more, before something that a phone left lying about must not do.

    Raises:
        pins.WrongPin, attempts.TooMany: counted as at the door.
    """
    with state().app.connect() as connection:
        person = holders.by_id(connection, holder)
    if person is None or person.phone is None:
        raise pins.WrongPin(param="pin")
    device = crypto.token_hash(_device())
    pins.check(state().app, phone=person.phone, pin=pin, device=device, address=_address(), now=now())


def _told(refusal: Refusal) -> words.Text:
    told = words.refusal(refusal.code, locale())
    if "retry_after_s" not in refusal.facts:
        return told
    minutes = -(-int(refusal.facts["retry_after_s"]) // 60)
    if minutes > MINUTES_SAID_MAX:
        return replace(told, next=_("Xin đợi %(hours)s giờ rồi thử lại.", hours=-(-minutes // 60)))
    return replace(told, next=_("Xin đợi %(minutes)s phút rồi thử lại.", minutes=minutes))


def send_enrol_code(holder: HolderId) -> None:
    """Send the code that lets a holder's first browser in.

    Raises:
        attempts.TooMany, problems.NoSuchPage.
    """
    with state().app.connect() as connection:
        person = holders.by_id(connection, holder)
    if person is None or person.phone is None:
        raise problems.NoSuchPage
    _send(person.phone, keys.ENROL)


def _send(phone: str, purpose: str) -> UUID:
    """Count, make (commit), then send: the message leaves after the code is in the books."""
    tries = [
        (attempts.CODE_SENT_BY_ADDRESS, _address()),
        (attempts.CODE_SENT, f"{purpose}:{phone}"),
    ]
    attempts.count(state().app, tries, now=now())
    secret = state().config.server_secret
    id, code = db.unit(
        state().app, lambda unit: codes.make(unit, secret=secret, purpose=purpose, phone=phone, now=now())
    )
    sms.send(state().config, phone, sms.one_time_code(code, locale()), now=now())
    return id


def _address() -> str:
    """Return who asks, as the network knows them. A forwarded address is believed only of a proxy that is ours: without
    one, anybody may claim to be anywhere; behind one, the whole city would else be one address.
    """
    if state().config.trusted_proxy:
        return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()[:45]
    return request.remote_addr or ""


def _opening_id() -> UUID | None:
    return uuid_or_none(request.cookies.get(cookie(OPENING_COOKIE), ""))


def _opening(*, verified: bool) -> str | None:
    id = _opening_id()
    if id is None:
        return None
    with state().app.connect() as connection:
        return codes.phone_of(connection, id, verified=verified, now=now())


def _code_page(phone: str) -> dict[str, Any]:
    return {"phone_masked": text.mask_phone(phone), "resend_after_s": RESEND_AFTER_S}


def _pin_page(phone: str) -> dict[str, Any]:
    with state().app.connect() as connection:
        person = holders.by_phone(connection, phone)
        needs_ticket = recovery.needs_ticket(connection, phone)
    return {
        "known_name": person.name if person else None,
        "has_pin": person is not None and person.has_pin,
        "needs_ticket": needs_ticket,
    }


def _device() -> str:
    """Return this browser's own random token, kept in a cookie for two years."""
    held = request.cookies.get(cookie(DEVICE_COOKIE), "")
    return held if 20 <= len(held) <= 80 else secrets.token_urlsafe(32)


def _safe_next(otherwise: str) -> str:
    """Return where to go on, only within this site."""
    wanted = request.form.get("next") or request.args.get("next") or ""
    local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if local and not any(ord(char) < 33 for char in wanted) else otherwise


def _sign_in_page() -> dict[str, Any]:
    return {"demo_sign_ins": _demo_sign_ins(), "next": _safe_next("")}


def _demo_sign_ins() -> list[dict[str, str]]:
    """Return the demo's named people, so that a newcomer need not look for them; nothing outside the demo."""
    config = state().config
    file = config.var_dir / "demo.json"
    if not config.demo or not file.exists():
        return []
    return [one for one in json.loads(file.read_text())["principals"] if one.get("pin")]


def new_order_id() -> str:
    """Return a fresh order id for a form, so that the same form sent twice is one order."""
    return str(ids.new())


def page_begins(name: str) -> UUID | None:
    """Return after which row a page begins, from the address; None on the first page.

    Raises:
        problems.Unparseable: it names no row.
    """
    spelled = request.args.get(name, "")
    found = uuid_or_none(spelled)
    if spelled and found is None:
        raise problems.Unparseable(param=name)
    return found


def signed_in() -> HolderId:
    """Return who is signed in, on a page whose door has made sure of it."""
    who = me()
    assert who is not None, "the gate lets nobody else here"
    return who.holder
