"""The operators' queue: products that people reported, decided one by one; and what is hidden."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request
from marshmallow import fields, validate
from werkzeug.wrappers import Response

from market.catalog import products, takedowns
from market.catalog.takedowns import DecisionOrder
from market.web import shown
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.refusal import Refusal
from wallet.web.act import session_acts
from wallet.web.fields import AnswerSchema, IdField, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import form, new_order_id, signed_in
from wallet.web.problems import Unparseable
from wallet.web.state import state

door = Blueprint("market_takedowns", __name__)


class DecisionSchema(OrderSchema):
    """Hide a product for a cause, or show it."""

    kind_name = "product_decision"

    product = IdField(required=True)
    hides = fields.String(required=True, validate=validate.OneOf(("0", "1")))
    cause = fields.String(required=True)
    reason = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> DecisionOrder:
        """Make the frozen order."""
        hides = own["hides"] == "1"
        return DecisionOrder(
            id=id,
            product=own["product"],
            hides=hides,
            cause=takedowns.cause(own["cause"]) if hides else "none",
            reason=takedowns.reason(own["reason"]),
        )


class DecidedSchema(AnswerSchema):
    """What was decided."""

    order = IdField()
    product = IdField()
    hidden = fields.Boolean()


@door.get("/van-hanh/san-pham")
@admits(Role.OPERATOR)
def queue() -> str:
    """Show what was reported and what is hidden; or, by an address that names it, any product."""
    query = request.args.get("q", "")[:100]
    with state().app.connect() as connection:
        waiting = takedowns.queue(connection)
        hidden = takedowns.hidden(connection)
        found = takedowns.search(connection, query) if query.strip() else []
    return render_template(
        "market/operator_products.html",
        waiting=[
            {
                "id": str(one.product),
                "name": one.name,
                "stall": one.merchant_name,
                "price": one.price,
                "unit": shown.unit(one.unit),
                "small": shown.photo(one.small),
                "reports": one.reports,
                "causes": [shown.causes()[cause] for cause in one.causes],
                "notes": one.notes,
                "since": one.since,
            }
            for one in waiting
        ],
        hidden=[
            {
                "id": str(one.product),
                "name": one.name,
                "stall": one.merchant_name,
                "cause": shown.causes()[one.cause],
                "reason": one.reason,
                "at": one.at,
            }
            for one in hidden
        ],
        found=[{"id": str(one.product), "name": one.name, "stall": one.merchant_name} for one in found],
        q=query,
        done=request.args.get("xong", ""),
    )


@door.get("/van-hanh/san-pham/<product>")
@admits(Role.OPERATOR)
def judge(product: str) -> str:
    """Show a product with what was decided about it, to be decided about."""
    return render_template("market/operator_product.html", **_context(product), values={}, errors={})


@door.post("/van-hanh/san-pham/<product>")
@admits(Role.OPERATOR)
def decide(product: str) -> Response | tuple[str, int]:
    """Hide it or show it, with a reason that its seller reads."""
    context = _context(product)
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    try:
        outcome = session_acts(
            DecisionSchema,
            {
                "product": context["product"]["id"],
                "hides": request.form.get("hides", ""),
                "cause": request.form.get("cause", "") if request.form.get("hides") == "1" else "none",
                "reason": request.form.get("reason", ""),
            },
            takedowns.decide,
            DecidedSchema,
            signer=signed_in(),
            id=OrderId(id),
        )
    except Refusal as refusal:
        return form("market/operator_product.html", refusal, **context)
    if outcome.status >= 400:
        told = json.loads(outcome.body)
        page = render_template(
            "market/operator_product.html", **context, values=request.form.to_dict(), errors={}, problem=told
        )
        return page, outcome.status
    return redirect(f"/van-hanh/san-pham?xong={context['product']['id']}", 303)


def _context(product: str) -> dict[str, Any]:
    """Say what the page shows of a product, whoever sells it and whether it is shown or not.

    Raises:
        products.NotFound.
    """
    id = uuid_or_none(product)
    with state().app.connect() as connection:
        row = products.one_of(connection, id) if id else None
        if row is None:
            raise products.NotFound(param="product")
        decided = takedowns.decisions(connection, row.id)
        stall = takedowns.seller(connection, row.id)
    causes = shown.causes()
    return {
        "product": {
            "id": str(row.id),
            "name": row.name,
            "description": row.description,
            "category": row.category,
            "price": row.price,
            "unit": shown.unit(row.unit),
            "photo": shown.photo(row.photo),
            "taken_down": row.taken_down,
            "stall": stall,
        },
        "causes": causes,
        "order_id": new_order_id(),
        "decisions": [
            {"hides": one.hides, "cause": causes.get(one.cause, ""), "reason": one.reason, "at": one.at}
            for one in decided
        ],
    }
