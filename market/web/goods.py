"""A stall's own pages: its products, changed on the phone; a spreadsheet, looked at before it is imported."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, request
from marshmallow import fields, validate
from werkzeug.wrappers import Response

from market import merchants, photos, registry
from market.catalog import draft, gtin, products, sheet, takedowns, units
from market.catalog.draft import Draft
from market.catalog.products import ImportOrder, ProductOrder, StockOrder
from market.photos import Photo
from market.web import shown
from wallet import ids, text
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.orders import Outcome
from wallet.refusal import Refusal
from wallet.web.act import BODY_BYTES_MAX, session_acts
from wallet.web.fields import AnswerSchema, CountField, DongField, IdField, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import form, new_order_id, page_begins, sentence, signed_in
from wallet.web.problems import Unparseable
from wallet.web.state import state

door = Blueprint("market_goods", __name__)

ROWS: Final = 50
NEW: Final = "0"
"""The version of a product that is not there yet."""


class SheetChanged(Refusal):
    """The file that is confirmed is not the one that was looked at."""

    code = "sheet_changed"
    status = 409
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A merchant that somebody works for, and whether they may offer and change its products."""

    merchant: HolderId
    code: str
    name: str
    edits: bool


class ProductOrderSchema(OrderSchema):
    """Offer a product, or change one."""

    kind_name = "product_put"

    merchant = IdField(required=True)
    product = IdField(required=True)
    version = fields.String(required=True, validate=validate.Regexp(r"^(0|[1-9][0-9]{0,8})\Z"))
    sku = fields.String(required=True)
    name = fields.String(required=True)
    category = fields.String(required=True, validate=validate.Length(1, 40))
    price = DongField(required=True)
    unit = fields.String(required=True, validate=validate.OneOf(tuple(units.UNITS)))
    gtin = fields.String(required=True)
    sold_out = fields.String(required=True, validate=validate.OneOf(("0", "1")))
    description = fields.String(required=True)
    photo = fields.String(required=True, validate=validate.Regexp(r"^([0-9a-f]{64})?\Z"))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> ProductOrder:
        """Make the frozen order."""
        if own["price"] > draft.PRICE_MAX:
            raise draft.BadPrice(param="price")
        return ProductOrder(
            id=id,
            merchant=HolderId(own["merchant"]),
            product=own["product"],
            version=int(own["version"]),
            photo=own["photo"],
            draft=Draft(
                sku=text.plain(own["sku"], chars_max=draft.SKU_CHARS_MAX, param="sku", empty=True),
                name=draft.name(own["name"]),
                category=own["category"],
                price=own["price"],
                unit=own["unit"],
                gtin=gtin.read(own["gtin"]),
                sold_out=own["sold_out"] == "1",
                description=text.plain(
                    own["description"], chars_max=draft.DESCRIPTION_CHARS_MAX, param="description", empty=True
                ),
            ),
        )


class _StockSchema(OrderSchema):
    merchant = IdField(required=True)
    product = IdField(required=True)
    value = fields.String(required=True, validate=validate.OneOf(("0", "1")))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> StockOrder:
        """Make the frozen order."""
        return StockOrder(id=id, merchant=HolderId(own["merchant"]), product=own["product"], value=own["value"] == "1")


class SoldOutSchema(_StockSchema):
    """Say that a product is sold out, or there again."""

    kind_name = "product_sold_out"


class ArchiveSchema(_StockSchema):
    """Stop offering a product, or offer it again."""

    kind_name = "product_archive"


class DoneSchema(AnswerSchema):
    """A product that was changed."""

    order = IdField()
    product = IdField()
    version = CountField()


class ImportOrderSchema(OrderSchema):
    """Offer and change what a file says."""

    kind_name = "product_import"

    merchant = IdField(required=True)
    digest = fields.String(required=True, validate=validate.Regexp(r"^[0-9a-f]{64}\Z"))
    rows = CountField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> ImportOrder:
        """Make the frozen order."""
        return ImportOrder(id=id, merchant=HolderId(own["merchant"]), digest=own["digest"], rows=own["rows"])


class ImportedSchema(AnswerSchema):
    """What came of a file."""

    order = IdField()
    added = CountField()
    changed = CountField()
    same = CountField()


# -- products ---------------------------------------------------------------------------------------------------------


@door.get("/ban-hang/san-pham")
@admits(Role.CITIZEN)
def list_own() -> str:
    """Show a stall's products to who works there."""
    query, after = request.args.get("q", "")[:100], page_begins("sau")
    with state().app.connect() as connection:
        own, mine = _own(connection)
        rows = products.of_merchant(connection, own.merchant, query=query, after=after, rows_max=ROWS + 1)
    more, rows = len(rows) > ROWS, rows[:ROWS]
    return render_template(
        "market/own_products.html",
        own=_stall(own),
        stalls=[_stall(one) for one in mine],
        q=query,
        products=[_row(one) for one in rows],
        following=str(rows[-1].id) if more else "",
        done=request.args.get("xong", ""),
    )


@door.get("/ban-hang/san-pham/moi")
@admits(Role.CITIZEN)
def ask_new() -> str:
    """Ask what is offered anew."""
    with state().app.connect() as connection:
        own, _ = _own(connection)
        _must_edit(own)
        context = _form_context(connection, own, None)
    values = {"order_id": new_order_id(), "product": str(ids.new()), "version": NEW, "unit": "piece"}
    return render_template("market/own_product.html", **context, values=values, errors={})


@door.get("/ban-hang/san-pham/xuat.csv")
@admits(Role.CITIZEN)
def export() -> Response:
    """Give a stall's products as a spreadsheet that can be mended and sent back."""
    with state().app.connect() as connection:
        own, _ = _own(connection)
        drafts = products.drafts_of(connection, own.merchant)
        names = {one["code"]: one["name"] for one in shown.categories(connection)}
    lines = sheet.write(drafts, names=names)
    response = Response("".join(lines), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="san-pham-{own.code}.csv"'
    return response


@door.get("/ban-hang/san-pham/<product>")
@admits(Role.CITIZEN)
def ask_change(product: str) -> str:
    """Show a product to who works there, to be changed."""
    with state().app.connect() as connection:
        own, row = _own_product(connection, product)
        context = _form_context(connection, own, row)
    return render_template("market/own_product.html", **context, values=_values(row), errors={})


@door.post("/ban-hang/san-pham")
@admits(Role.CITIZEN)
def put() -> Response | tuple[str, int]:
    """Offer a product, or change one, with its picture."""
    request.max_content_length = photos.BYTES_MAX + BODY_BYTES_MAX
    given = request.form
    product = uuid_or_none(given.get("product", ""))
    if product is None:
        raise Unparseable(param="product")
    with state().app.connect() as connection:
        own, _ = _own(connection)
        row = products.one_of(connection, product)
        if row is not None and row.merchant != own.merchant:
            raise products.NotFound(param="product")
        context = _form_context(connection, own, row)
        known = draft.categories(connection)
    try:
        sent = _sent()
        outcome = session_acts(
            ProductOrderSchema,
            _document(own, product, row, sent, known),
            partial(products.put, sent=sent),
            DoneSchema,
            signer=signed_in(),
            id=_order_id(),
        )
    except Refusal as refusal:
        if refusal.param == "photo":  # a file is no field of the form
            context |= {"errors": {"photo": sentence(refusal)}, "problem": None}
        return form("market/own_product.html", refusal, **context)
    if outcome.status >= 400:
        return _refused("market/own_product.html", outcome, context)
    return redirect(f"/ban-hang/san-pham?gian={own.code}&xong={product}#p-{product}", 303)


@door.post("/ban-hang/san-pham/<product>/het")
@admits(Role.CITIZEN)
def set_sold_out(product: str) -> Response:
    """Say that nothing is left of a product, or that there is again."""
    return _switched(product, SoldOutSchema, products.set_sold_out)


@door.post("/ban-hang/san-pham/<product>/ngung")
@admits(Role.CITIZEN)
def set_archived(product: str) -> Response:
    """Stop offering a product, or offer it again."""
    return _switched(product, ArchiveSchema, products.set_archived)


def _switched(product: str, schema: type[_StockSchema], verb: Any) -> Response:
    with state().app.connect() as connection:
        own, row = _own_product(connection, product)
    outcome = session_acts(
        schema,
        {"merchant": str(own.merchant), "product": str(row.id), "value": request.form.get("value", "")},
        verb,
        DoneSchema,
        signer=signed_in(),
        id=_order_id(),
    )
    done = f"&xong={row.id}" if outcome.status < 400 else ""
    return redirect(f"/ban-hang/san-pham?gian={own.code}{done}#p-{row.id}", 303)


# -- a spreadsheet ----------------------------------------------------------------------------------------------------


@door.get("/ban-hang/nhap")
@admits(Role.CITIZEN)
def ask_sheet() -> str:
    """Ask for a spreadsheet."""
    with state().app.connect() as connection:
        own, _ = _own(connection)
        _must_edit(own)
        context = _sheet_context(connection, own)
    return render_template("market/own_import.html", **context, values={}, errors={})


@door.post("/ban-hang/nhap/xem")
@admits(Role.CITIZEN)
def look_at_sheet() -> str | tuple[str, int]:
    """Judge a spreadsheet and write nothing: each bad cell, or what importing it would do."""
    request.max_content_length = sheet.BYTES_MAX + BODY_BYTES_MAX
    with state().app.connect() as connection:
        own, _ = _own(connection)
        _must_edit(own)
        context = _sheet_context(connection, own)
        known = draft.categories(connection)
        try:
            handed = request.files.get("sheet")
            raw = handed.read(sheet.BYTES_MAX + 1) if handed else b""
            found = sheet.read(raw, known=known)
        except Refusal as refusal:
            return form(
                "market/own_import.html", refusal, **context, errors={"sheet": _sheet_fault(refusal)}, problem=None
            )
        counts = products.preview(connection, own.merchant, found.drafts)
    content = "".join(sheet.write(found.drafts, names={code: code for code in set(known.values())}))
    judged = {
        "rows": len(found.drafts),
        "faults": [_fault(one) for one in found.faults],
        **counts,
        "first": [_draft_row(one) for one in found.drafts[:10]],
        "content": content,
        "digest": hashlib.sha256(content.encode()).hexdigest(),
    }
    page = render_template(
        "market/own_import.html", **context, judged=judged, values={"order_id": new_order_id()}, errors={}
    )
    return (page, 422) if found.faults else page


@door.post("/ban-hang/nhap")
@admits(Role.CITIZEN)
def import_sheet() -> Response | tuple[str, int]:
    """Import the spreadsheet that was looked at, whole."""
    request.max_content_length = 4 * sheet.BYTES_MAX
    request.max_form_memory_size = 4 * sheet.BYTES_MAX
    with state().app.connect() as connection:
        own, _ = _own(connection)
        _must_edit(own)
        context = _sheet_context(connection, own)
        known = draft.categories(connection)
    content = request.form.get("content", "").replace("\r\n", "\n").replace("\n", "\r\n")  # as a form sends lines
    digest = hashlib.sha256(content.encode()).hexdigest()
    try:
        if digest != request.form.get("digest"):
            raise SheetChanged
        found = sheet.read(content.encode(), known=known)
        if found.faults:
            raise SheetChanged
        outcome = session_acts(
            ImportOrderSchema,
            {"merchant": str(own.merchant), "digest": digest, "rows": str(len(found.drafts))},
            partial(products.import_all, drafts=found.drafts),
            ImportedSchema,
            signer=signed_in(),
            id=_order_id(),
        )
    except Refusal as refusal:
        return form("market/own_import.html", refusal, **context, values={})
    if outcome.status >= 400:
        return _refused("market/own_import.html", outcome, context | {"values": {}})
    done = json.loads(outcome.body)
    return render_template("market/own_import.html", **context, done=done, values={}, errors={}), 200


# -- whose stall, and what its pages show -----------------------------------------------------------------------------


def _own(connection: sa.Connection) -> tuple[Own, list[Own]]:
    """Return the stall that the page is about, and all that who is signed in works for.

    Raises:
        registry.MerchantNotFound: none, or not the one that the address names.
    """
    mine = _all_own(connection)
    code = request.args.get("gian") or request.form.get("gian") or ""
    wanted = [one for one in mine if one.code == code] if code else mine
    if not wanted:
        raise registry.MerchantNotFound(param="gian")
    return wanted[0], mine


def _own_product(connection: sa.Connection, product: str) -> tuple[Own, Any]:
    """Return a product, and the stall that who is signed in works for and that sells it.

    Raises:
        products.NotFound: somebody else's is none.
    """
    id = uuid_or_none(product)
    row = products.one_of(connection, id) if id else None
    for own in _all_own(connection):
        if row is not None and own.merchant == row.merchant:
            return own, row
    raise products.NotFound(param="product")


def _all_own(connection: sa.Connection) -> list[Own]:
    return [
        Own(merchant=one.holder, code=one.code, name=one.name, edits=role in products.EDITORS)
        for one, role in merchants.served_by(connection, signed_in())
        if one.state != "refused"
    ]


def _must_edit(own: Own) -> None:
    if not own.edits:
        raise registry.NotYours(param="gian")


def _sent() -> tuple[Photo, Photo] | None:
    """Return the picture that came with the form, drawn anew; None where none did.

    Raises:
        photos.NotAPhoto, photos.PhotoTooLarge.
    """
    handed = request.files.get("picture")
    raw = handed.read(photos.BYTES_MAX + 1) if handed else b""
    return photos.read(raw) if raw else None


def _document(
    own: Own, product: UUID, row: Any | None, sent: tuple[Photo, Photo] | None, known: draft.Categories
) -> dict[str, str]:
    """Spell the form as an order's own members.

    Raises:
        Refusals of `draft.read`, at the field.
    """
    given = request.form
    kept = row.photo or "" if row is not None and not given.get("no_photo") else ""
    return {
        "merchant": str(own.merchant),
        "product": str(product),
        "version": given.get("version", NEW),
        "sku": draft.read("sku", given.get("sku", ""), known=known),
        "name": draft.name(given.get("name", "")),
        "category": draft.category(given.get("category", ""), known),
        "price": str(draft.price(given.get("price", ""))),
        "unit": draft.unit(given.get("unit", "")),
        "gtin": gtin.read(given.get("gtin", "")),
        "sold_out": "1" if given.get("sold_out") else "0",
        "description": draft.read("description", given.get("description", ""), known=known),
        "photo": sent[0].digest if sent else kept,
    }


def _order_id() -> OrderId:
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    return OrderId(id)


def _refused(template: str, outcome: Outcome, context: Mapping[str, Any]) -> tuple[str, int]:
    """Show a form again whose order was refused, with a fresh id: an outcome sticks to its order."""
    told = json.loads(outcome.body)
    values = request.form.to_dict() | {"order_id": new_order_id()}
    values.pop("content", None)
    page = render_template(template, **({"values": values, "errors": {}, "problem": told} | dict(context)))
    return page, outcome.status


def _stall(own: Own) -> dict[str, Any]:
    return {"code": own.code, "name": own.name, "edits": own.edits}


def _row(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "order_id": new_order_id(),
        "name": row.name,
        "sku": row.sku,
        "price": row.price,
        "unit": shown.unit(row.unit),
        "category": row.category,
        "small": shown.photo(row.small),
        "sold_out": row.sold_out,
        "archived": row.archived,
        "taken_down": row.taken_down,
    }


def _values(row: Any) -> dict[str, Any]:
    return {
        "order_id": new_order_id(),
        "product": str(row.id),
        "version": str(row.version),
        "sku": row.sku,
        "name": row.name,
        "category": row.category,
        "price": str(row.price),
        "unit": row.unit,
        "gtin": row.gtin or "",
        "sold_out": "1" if row.sold_out else "",
        "description": row.description,
    }


def _form_context(connection: sa.Connection, own: Own, row: Any | None) -> dict[str, Any]:
    """Say what the form shows beside its fields; an unsaved one is a new product's."""
    decided = takedowns.decisions(connection, row.id)[0] if row is not None and row.taken_down else None
    return {
        "own": _stall(own),
        "product": _row(row) | {"photo": shown.photo(row.photo)} if row is not None else None,
        "decided": {"cause": shown.causes()[decided.cause], "reason": decided.reason, "at": decided.at}
        if decided
        else None,
        "prices": [
            {"since": one.since, "price": one.price, "unit": shown.unit(one.unit)}
            for one in (products.prices(connection, row.id) if row is not None else ())
        ],
        "categories": shown.categories(connection),
        "units": [{"code": code, "name": shown.unit(code)} for code in units.UNITS],
    }


def _sheet_context(connection: sa.Connection, own: Own) -> dict[str, Any]:
    return {
        "own": _stall(own),
        "columns": list(sheet.COLUMNS.values()),
        "needed": [sheet.COLUMNS[name] for name in sheet.NEEDED],
        "categories": shown.categories(connection),
        "units": [units.UNITS[code].name for code in units.UNITS],
        "rows_max": sheet.ROWS_MAX,
    }


def _sheet_fault(refusal: Refusal) -> str:
    columns = refusal.facts.get("columns")
    return f"{sentence(refusal)} ({columns})" if columns else sentence(refusal)


def _fault(one: sheet.Fault) -> dict[str, Any]:
    return {"line": one.line, "column": one.column, "words": sentence(one.refusal), "code": one.refusal.code}


def _draft_row(one: Draft) -> dict[str, Any]:
    return {
        "sku": one.sku,
        "name": one.name,
        "price": one.price,
        "unit": shown.unit(one.unit),
        "sold_out": one.sold_out,
    }
