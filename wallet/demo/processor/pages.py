"""The stand-in's pages: Checkout, 3-D Secure, and the dashboard from which a person plays bank and card holder.

Vietnamese first, English when the session says so. They stand on an address of their own: what is typed here never
reaches the wallet.
"""

from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from wallet import money
from wallet.demo.processor import books, faults, intents
from wallet.demo.processor.store import Thing
from wallet.demo.processor.wire import ApiError, missing
from wallet.demo.processor.world import World

_WORDS: Final = {
    "pay": ("Thanh toán", "Pay"),
    "link": ("Liên kết thẻ", "Link a card"),
    "number": ("Số thẻ", "Card number"),
    "expiry": ("Hết hạn (MM/YY)", "Expiry (MM/YY)"),
    "cvc": ("Mã CVC", "CVC"),
    "saved": ("Thẻ đã liên kết", "Linked card"),
    "back": ("Quay lại", "Go back"),
    "closed": ("Trang này đã đóng.", "This page is closed."),
    "demo": (
        (
            "Trang thử của bên xử lý thẻ giả lập. Đừng nhập thẻ thật. Thẻ thử: 4242 4242 4242 4242; "
            "cần xác thực: 4000 0027 6000 3184; bị từ chối: 4000 0000 0000 0002."
        ),
        (
            "Test page of a stand-in processor. Never enter a real card. Test cards: 4242 4242 4242 4242; "
            "3-D Secure: 4000 0027 6000 3184; declined: 4000 0000 0000 0002."
        ),
    ),
    "secure": (
        "Ngân hàng của quý vị hỏi: quý vị trả {} cho ví Tràng Tiền?",
        "Your bank asks: do you pay {} to Tràng Tiền?",
    ),
    "secure_link": (
        "Ngân hàng của quý vị hỏi: quý vị liên kết thẻ với ví Tràng Tiền?",
        "Your bank asks: do you link this card to Tràng Tiền?",
    ),
    "yes": ("Xác nhận", "Confirm"),
    "no": ("Từ chối", "Refuse"),
    "declined": ("Thẻ không được chấp nhận: {}. Xin thử thẻ khác.", "The card was declined: {}. Try another one."),
}

_STYLE: Final = (
    ":root{color-scheme:light dark}*{box-sizing:border-box}h1{font-size:1.5rem}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem}"
    "label{display:block;margin:.75rem 0}input,select,button{font:inherit;min-height:48px;width:100%;padding:0 .75rem}"
    "button{margin:.25rem 0;border:1px solid;border-radius:8px}button.first{background:#14532d;color:#fff}"
    "table{width:100%;border-collapse:collapse;margin:1rem 0}td{padding:.25rem;border-top:1px solid #8888}"
    ".wide{max-width:64rem}td form{display:inline}td button{width:auto}[role=alert]{border-left:4px solid;padding-left:1rem}"
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page, or with `to` a way to another address."""

    body: str = ""
    status: int = 200
    to: str = ""


def _words(locale: object) -> dict[str, str]:
    return {name: texts[1 if locale == "en" else 0] for name, texts in _WORDS.items()}


def _page(title: str, inner: str, *, locale: object = "vi", status: int = 200, wide: bool = False) -> Page:
    language = "en" if locale == "en" else "vi"
    return Page(
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<body{' class=wide' if wide else ''}><main><h1>{escape(title)}</h1>{inner}</main>",
        status,
    )


def answer(world: World, method: str, path: str, form: Thing) -> Page:
    """Answer a browser.

    Raises:
        ApiError: there is no such page, or what was pressed cannot be done.
    """
    match path.strip("/").split("/"):
        case [""] if method == "GET":
            return dashboard(world)
        case ["c", "pay", id]:
            return checkout(world, id, form if method == "POST" else None)
        case ["3ds", id]:
            return secure(world, id, form.get("answer") if method == "POST" else None)
        case ["dashboard", what, id] if method == "POST":
            with world.store.unit():
                books.resolve(world, what, id)
            return Page(to="/")
        case ["faults"] if method == "POST":
            faults.switch(
                world.store,
                kind=str(form.get("kind")),
                at=str(form.get("at", "")),
                times=int(form.get("times", 1)),
                value=float(form.get("value", 0)),
            )
            return Page(to="/")
    raise missing(path, "path")


# -- Checkout -------------------------------------------------------------------------------------------------------


def checkout(world: World, id: str, form: Thing | None) -> Page:
    """Show the page of a session, or try the card that was entered."""
    problem = ""
    with world.store.unit():
        session = intents.settle_session(world, intents.now_of(world, world.need(id, "checkout.session")))
    words = _words(session["locale"])
    if form is not None and session["status"] == "open":
        try:
            with world.store.unit():
                session = intents.enter_card(world, world.need(id, "checkout.session"), _card_of(form))
        except ApiError as error:
            problem = words["declined"].format(error.body["error"]["code"])
    if session["status"] == "complete":
        return Page(to=session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))
    if session["status"] == "expired":
        back = escape(session["cancel_url"] or session["success_url"])
        inner = f'<p>{words["closed"]}</p><p><a href="{back}">{words["back"]}</a></p>'
        return _page(words["pay"], inner, locale=session["locale"], status=410)
    intent = intents.intent_of(world, session)
    if intent and intent["next_action"]:
        return Page(to=intent["next_action"]["redirect_to_url"]["url"])
    if intent and (failed := intent.get("last_payment_error") or intent.get("last_setup_error")) and not problem:
        problem = words["declined"].format(failed["code"])
    return _page(*_checkout(world, session, words, problem), locale=session["locale"])


def _card_of(form: Thing) -> Thing:
    if form.get("saved"):
        return {"saved": form["saved"]}
    month, _, year = str(form.get("expiry", "")).replace(" ", "").partition("/")
    return {"number": form.get("number", ""), "exp_month": month, "exp_year": f"20{year}" if len(year) == 2 else year}


def _checkout(world: World, session: Thing, words: dict[str, str], problem: str) -> tuple[str, str]:
    title = words["link"]
    if session["mode"] == "payment":
        title = f"{session['_title']} {money.grouped(session['amount_total'])}"
    saved = [pm for pm in world.store.newest("payment_method") if session["customer"] and _is_of(pm, session)]
    options = "".join(
        f'<option value="{pm["id"]}">{pm["card"]["brand"]} •••• {pm["card"]["last4"]}</option>' for pm in saved
    )
    choice = f'<label>{words["saved"]}<select name="saved"><option value=""></option>{options}</select></label>'
    return title, (
        (f'<p role="alert">{escape(problem)}</p>' if problem else "")
        + '<form method="post">'
        + (choice if saved and session["mode"] == "payment" else "")
        + f'<label>{words["number"]}<input name="number" inputmode="numeric" autocomplete="cc-number"></label>'
        f'<label>{words["expiry"]}<input name="expiry" autocomplete="cc-exp"></label>'
        f'<label>{words["cvc"]}<input name="cvc" inputmode="numeric" autocomplete="cc-csc"></label>'
        f"<button>{words['pay'] if session['mode'] == 'payment' else words['link']}</button></form>"
        f'<p><a href="{escape(session["cancel_url"] or session["success_url"])}">{words["back"]}</a></p>'
        f"<p><small>{words['demo']}</small></p>"
    )


def _is_of(method: Thing, session: Thing) -> bool:
    return bool(method["customer"] == session["customer"])


# -- 3-D Secure -----------------------------------------------------------------------------------------------------


def secure(world: World, id: str, answered: str | None) -> Page:
    """Ask in the bank's name whether the person pays, or take the answer and lead back."""
    intent = world.store.get(id)
    if intent is None or intent["object"] not in ("payment_intent", "setup_intent"):
        raise missing(id)
    session = intents.session_with(world, id)
    locale = session["locale"] if session else intent["metadata"].get("locale", "vi")
    words = _words(locale)
    if answered is None and intent["status"] == "requires_action":
        return _page("3-D Secure", _question(intent, words), locale=locale)
    with world.store.unit():
        intent = world.need(id, intent["object"])
        if answered is not None and intent["object"] == "payment_intent":
            intents.end_secure(world, intent, passed=answered == "pass")
        elif answered is not None:
            intents.end_secure_setup(world, intent, passed=answered == "pass")
    if session:
        return Page(to=f"{world.base}/c/pay/{session['id']}")
    how = "succeeded" if intent["status"] == "succeeded" else "failed"
    return Page(to=_with(intent["_return_url"] or world.base, payment_intent=id, redirect_status=how))


def _question(intent: Thing, words: dict[str, str]) -> str:
    asks = words["secure_link"]
    if intent["object"] == "payment_intent":
        asks = words["secure"].format(money.grouped(intent["amount"]))
    return (
        f'<p>{asks}</p><form method="post"><button class="first" name="answer" value="pass">{words["yes"]}</button>'
        f'<button name="answer" value="fail">{words["no"]}</button></form>'
    )


def _with(url: str, **more: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *more.items()])))


# -- the dashboard --------------------------------------------------------------------------------------------------


def _button(what: str, id: str, text: str) -> str:
    return f'<form method="post" action="/dashboard/{what}/{id}"><button>{escape(text)}</button></form>'


def _row(thing: Thing, *buttons: str) -> str:
    amount, status = money.grouped(thing["amount"]), escape(str(thing["status"]))
    card = thing.get("payment_method_details", {}).get("card")
    what = f"{card['brand']} •••• {card['last4']}" if card else str(thing["object"])
    return f"<tr><td>{thing['id']}<td>{what}<td>{status}<td>{amount}<td>{' '.join(buttons)}"


def dashboard(world: World) -> Page:
    """Show what was charged, and let a person dispute it, decide disputes and pay out."""
    store = world.store
    rows = [_row(po, *_payout_buttons(po)) for po in store.newest("payout")]
    rows += [_row(du, *_dispute_buttons(du)) for du in store.newest("dispute")]
    rows += [
        _row(re, *([_button("end_refund", re["id"], "Kết thúc hoàn tiền")] if re["status"] == "pending" else []))
        for re in store.newest("refund")
    ]
    rows += [_row(ch, *_charge_buttons(ch)) for ch in store.newest("charge")]
    owed = money.grouped(books.balance(world)["available"][0]["amount"])
    options = "".join(f'<option value="{kind}">{kind}: {means}</option>' for kind, means in faults.EVERY.items())
    waiting = store.run("SELECT kind, at, times, value FROM fault ORDER BY number")
    listed = "".join(f"<li>{kind} {escape(at)} × {times} ({value:g} s)" for kind, at, times, value in waiting)
    inner = (
        f"<p>Còn phải trả cho ví: <strong>{owed}</strong></p>{_button('payout', 'all', 'Chi trả về ngân hàng')}"
        f"<table>{''.join(rows)}</table><h2>Sự cố</h2><ul>{listed}</ul>"
        f'<form method="post" action="/faults"><label>Loại<select name="kind">{options}</select></label>'
        '<label>Khớp với<input name="at" placeholder="POST /v1/payment_intents"></label>'
        '<label>Số lần<input name="times" value="1"></label><label>Giây<input name="value" value="0"></label>'
        "<button>Bật</button></form>"
    )
    return _page("Bên xử lý thẻ (giả lập)", inner, wide=True)


def _charge_buttons(charge: Thing) -> list[str]:
    if not charge["paid"] or charge["disputed"] or charge["refunded"]:
        return []
    return [_button("dispute", charge["id"], "Khiếu nại"), _button("inquiry", charge["id"], "Hỏi trước")]


def _dispute_buttons(dispute: Thing) -> list[str]:
    if dispute["status"] in ("won", "lost", "warning_closed"):
        return []
    return [_button("win", dispute["id"], "Ví thắng"), _button("lose", dispute["id"], "Ví thua")]


def _payout_buttons(payout: Thing) -> list[str]:
    if payout["status"] != "in_transit":
        return []
    return [_button("arrive", payout["id"], "Đã đến"), _button("bounce", payout["id"], "Bị trả lại")]
