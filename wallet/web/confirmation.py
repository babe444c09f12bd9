"""The confirmation of a payment: the page, its PDF, what proves it, and the link by which its holder shows it to others."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from marshmallow import fields, validate
from werkzeug.wrappers import Response

from wallet import confirmations, drawing, lookup, mandates, money, payees, words
from wallet.bills import find
from wallet.confirmations import LinkOrder
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.ids import AccountId, AuthorityId, HolderId, OrderId
from wallet.lookup import StoredOutcome
from wallet.web import paper, views
from wallet.web.act import session_acts
from wallet.web.fields import AnswerSchema, IdField, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.orders import order_id, receipt_of
from wallet.web.people import new_order_id, signed_in
from wallet.web.problems import Unparseable, locale
from wallet.web.state import log_keys, now, state

door = Blueprint("confirmation", __name__)

SHOWN: Final = ("bill_payment", "transfer", "invoice_payment", "point_payment", "mandate")
"""The kinds of orders whose signer has a confirmation; of a mandate once it was charged."""


class LinkOrderSchema(OrderSchema):
    """Make a fresh link to one of the signer's payments, or end the living one."""

    kind_name = "receipt_link"

    order = IdField(required=True)
    living = fields.String(required=True, validate=validate.OneOf(("true", "false")))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> LinkOrder:
        """Make the frozen order."""
        return LinkOrder(id=id, order=own["order"], living=own["living"] == "true")


class LinkDoneSchema(AnswerSchema):
    """A link was made or ended; it is shown to its holder only."""

    order = IdField()


@door.get("/xac-nhan/<order>")
@admits(Role.CITIZEN)
def show(order: str) -> str:
    """Show what came of an order: a page that reloads to the same, and prints on A5."""
    page = _page(signed_in(), order_id(order))
    if page["state"] == "done":
        page |= {"link": _link(page["authority"]), "link_order": new_order_id(), "has_log": log_keys() is not None}
    return render_template("confirmation.html", **page)


@door.get("/xac-nhan/<order>/lenh.json")
@admits(Role.CITIZEN)
def signed_order(order: str) -> Response:
    """Give the holder the very bytes that they signed."""
    with state().app.connect() as connection:
        content = lookup.content(connection, signer=signed_in(), order=order_id(order))
    return _file(Response(content, content_type="application/json"), f"lenh-{order}.json")


@door.get("/xac-nhan/<order>/bang-chung.json")
@admits(Role.CITIZEN)
def receipt(order: str) -> Response:
    """Give the holder the receipt, which verifies without this service."""
    return _file(receipt_of(signed_in(), order), f"bang-chung-{order}.json")


@door.get("/xac-nhan/<order>/xac-nhan.pdf")
@admits(Role.CITIZEN)
def pdf(order: str) -> Response:
    """Give the holder the confirmation as a PDF on A5. It carries no signature: its QR code leads to the proof."""
    page = _page(signed_in(), order_id(order))
    if page["state"] != "done":
        raise lookup.NotFound(param="order")
    made = paper.confirmation(page, city=state().city.name, demo=state().config.demo)
    return _file(Response(made, content_type="application/pdf"), f"xac-nhan-{order}.pdf")


@door.post("/xac-nhan/<order>/lien-ket")
@admits(Role.CITIZEN)
def make_link(order: str) -> Response:
    """Make a fresh link to this payment; one that was given out before is dead from here on."""
    return _order_link(order, living=True)


@door.post("/xac-nhan/<order>/lien-ket/huy")
@admits(Role.CITIZEN)
def end_link(order: str) -> Response:
    """End the living link to this payment."""
    return _order_link(order, living=False)


def _order_link(order: str, *, living: bool) -> Response:
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    document = {"order": str(order_id(order)), "living": "true" if living else "false"}
    outcome = session_acts(
        LinkOrderSchema, document, confirmations.link, LinkDoneSchema, signer=signed_in(), id=OrderId(id)
    )
    if outcome.status == lookup.NotFound.status:
        raise lookup.NotFound(param="order")
    return redirect(f"/xac-nhan/{order}#lien-ket", 303)


def _file(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def address(number: str, token: str = "") -> str:
    """Return the address of a payment's public page, or of the link that shows more."""
    return "/".join([state().config.public_origin, "xac-minh", number.replace("-", ""), *([token] if token else [])])


def _link(id: AuthorityId) -> str | None:
    with state().app.connect() as connection:
        token = confirmations.token(connection, id, secret=state().config.server_secret)
    return address(confirmations.number(id), token) if token else None


def _page(holder: HolderId, id: UUID) -> dict[str, Any]:
    """Return what the page and the PDF say of an order.

    Raises:
        lookup.NotFound: it is no payment.
    """
    with state().app.connect() as connection:
        try:
            outcome = lookup.outcome(connection, signer=holder, order=id)
        except lookup.NotFound:
            return {"order": {"id": str(id)}, "lines": [], "total": 0, "state": "unknown", "kind": ""}
        if outcome.kind not in SHOWN:
            raise lookup.NotFound(param="order")
        person = holders.by_id(connection, holder)
        about: dict[str, Any] = {
            "kind": outcome.kind,
            "order": {
                "id": str(outcome.order),
                "at": outcome.at,
                "payer_name": person.name if person else "",
                "payer_account": json.loads(outcome.body).get("payer"),
            },
        }
        if outcome.code is not None:
            return about | _refused(outcome.code)
        authority = _paying(connection, outcome, holder)
        number = confirmations.number(authority)
        shown = {"bill_payment": _bills_paid, "transfer": _transferred}.get(outcome.kind, _bought)
        return (
            about
            | shown(connection, outcome, holder)
            | {
                "authority": authority,
                "number": number,
                "address": address(number),
                "qr": drawing.draw(address(number)),
            }
        )


def _paying(connection: sa.Connection, outcome: StoredOutcome, holder: HolderId) -> AuthorityId:
    """Return what paid by an order: the order itself, or the one charge of a mandate.

    Raises:
        lookup.NotFound: a mandate that nobody has charged.
    """
    if outcome.kind == "mandate":
        charge = mandates.read(connection, outcome.order, holder=holder).charge
        if charge is None:
            raise lookup.NotFound(param="order")
        return charge
    authority = confirmations.authority_of(connection, signer=holder, order=outcome.order)
    assert authority is not None, "an order with an outcome is in the books"
    return authority


def _refused(code: str) -> dict[str, Any]:
    told = words.refusal(code, locale())
    problem = {"title": told.title, "safe": told.safe, "next": told.next}
    return {"lines": [], "total": 0, "state": "refused", "problem": problem}


def _bills_paid(connection: Any, outcome: StoredOutcome, holder: HolderId) -> dict[str, Any]:
    answered = json.loads(outcome.body)
    bills = find.by_ids(connection, [UUID(one["bill"]) for one in answered["bills"]], now=now())
    shown = views.bills(connection, bills, viewer=holder)
    backs = views.given_back(connection, bills)
    total = int(answered["total"])
    return {
        # Whoever has paid holds a proof for the debtor too: it names both in full.
        "lines": [
            one | {"amount": one["total"], "debtor_name": bill.debtor_name, "backs": backs.get(bill.id, [])}
            for one, bill in zip(shown, bills, strict=True)
        ],
        "total": total,
        "total_words": money.in_words(total),
        "state": "done",
    }


def _transferred(connection: Any, outcome: StoredOutcome, holder: HolderId) -> dict[str, Any]:
    answered = json.loads(outcome.body)
    payee, total = AccountId(UUID(answered["payee"])), int(answered["amount"])
    return {
        "payee_name": payees.names(connection, [payee]).get(payee, ""),
        "payee_account": str(payee),
        "lines": [],
        "memo": views.memos(connection, [(holder, outcome.order)]).get((holder, outcome.order), ""),
        "total": total,
        "total_words": money.in_words(total),
        "state": "done",
    }


def _bought(connection: Any, outcome: StoredOutcome, holder: HolderId) -> dict[str, Any]:
    """Show a payment to a merchant: who and where by the registry, and what came back of it, with its day."""
    paid = confirmations.shown(connection, _paying(connection, outcome, holder))
    bought = state().purchases(connection, paid.entries).get(paid.entries[0])
    return {
        "entry": paid.entries[0],
        "bought": bought,
        "backs": views.backs(bought) if bought else [],
        "charged": outcome.kind == "mandate",
        "total": paid.amount,
        "total_words": money.in_words(paid.amount),
        "state": "done",
    }
