"""The officers' pages about merchants: who waits, each application with its history, and the step that an officer takes."""

from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from market import merchants, points, registry, stickers
from market.web import orders
from market.web.selling import ordered
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.web.fields import uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import new_order_id, page_begins, signed_in
from wallet.web.state import state

door = Blueprint("market_admitting", __name__)

ROWS: Final = 50

STATES: Final = ("applied", "reviewed", "approved", "suspended", "returned", "refused")


@door.get("/van-hanh/diem-ban")
@admits(Role.OPERATOR)
def queue() -> str:
    """Show merchants in a state, oldest first; those that wait for an officer before all."""
    wanted = request.args.get("trang-thai", "applied")
    chosen = wanted if wanted in STATES else "applied"
    words = request.args.get("q", "")[:100]
    after = page_begins("sau")
    with state().app.connect() as connection:
        rows = merchants.queue(connection, chosen, after=after, rows_max=ROWS + 1, words=words)
    return render_template(
        "market/admit_queue.html",
        rows=rows[:ROWS],
        more=str(rows[ROWS - 1].holder) if len(rows) > ROWS else None,
        chosen=chosen,
        q=words,
        states=STATES,
        categories=merchants.CATEGORIES,
    )


@door.get("/van-hanh/diem-ban/<merchant>")
@admits(Role.OPERATOR)
def show(merchant: str) -> str:
    """Show an application, what was done with it, and what may be done next."""
    with state().app.connect() as connection:
        return render_template("market/admit_merchant.html", **_page(connection, merchant), values={}, errors={})


@door.post("/van-hanh/diem-ban/<merchant>")
@admits(Role.OPERATOR)
def judge(merchant: str) -> Response | tuple[str, int]:
    """Take a step."""
    document = {
        "merchant": merchant,
        "to": request.form.get("to", ""),
        "reason": request.form.get("reason", ""),
    }
    came = ordered(orders.JudgeSchema, document, merchants.judge, orders.MovedMerchantSchema)
    if came.done:
        return redirect(f"/van-hanh/diem-ban/{merchant}", 303)
    with state().app.connect() as connection:
        return came.page("market/admit_merchant.html", **_page(connection, merchant))


def _page(connection: sa.Connection, merchant: str) -> dict[str, Any]:
    id = uuid_or_none(merchant)
    found = merchants.by_id(connection, id) if id else None
    if found is None:
        raise registry.MerchantNotFound(param="merchant")
    reviews = merchants.reviews(connection, found.holder)
    last = reviews[-1].officer if reviews else None
    second = {("reviewed", "approved"), ("reviewed", "refused"), ("suspended", "approved")}
    steps = [to for stood, to in merchants.MOVES if stood == found.state and to != "applied"]
    own = last == signed_in() or registry.role_of(connection, found.holder, signed_in()) is not None
    names = holders.names(connection, {one.officer for one in reviews} | {found.applied_by})
    return {
        "merchant": found,
        "category": merchants.CATEGORIES.get(found.category, (found.category, found.category)),
        "reviews": reviews,
        "names": names,
        "steps": [to for to in steps if not (own and (found.state, to) in second)],
        "waits_for_another": own and any((found.state, to) in second for to in steps),
        "locations": points.locations_of(connection, found.holder),
        "points": registry.points_of(connection, found.holder),
        "members": merchants.members(connection, found.holder),
        "areas": state().city.areas,
        "spaced": stickers.spaced,
        "order_id": new_order_id(),
    }
