"""/v1/catalog: what is offered, for anybody's program. Public, key-paged, with an ETag."""

from typing import Any, Final
from uuid import UUID

from flask import Blueprint, Response, request
from marshmallow import fields

from market.catalog import search
from market.catalog.search import Found, Key, Place, Stall, Wanted
from wallet.refusal import Refusal
from wallet.web.accounts import cursor, page_size, spell_cursor
from wallet.web.act import answer
from wallet.web.fields import AnswerSchema, DongField, IdField, InstantField, uuid_or_none
from wallet.web.gate import admits
from wallet.web.openapi import described
from wallet.web.problems import Unparseable
from wallet.web.state import now, state

door = Blueprint("market_catalog", __name__)

ROWS_DEFAULT: Final = 24
QUERY_CHARS_MAX: Final = 100
_CURSOR: Final = "catalog"
_FRESH: Final = "public, max-age=0, must-revalidate"
"""Anybody may keep it, and asks each time whether it still holds: a price that is told is today's."""


class StallNotFound(Refusal):
    """No approved merchant with that id or code."""

    code = "stall_not_found"
    status = 404
    stored = False


class SellsAtSchema(AnswerSchema):
    """Where a merchant sells, and whether it is open."""

    id = IdField()
    name = fields.String()
    address = fields.String()
    area = fields.String(metadata={"description": "Code of the ward or commune."})
    open_until = InstantField(allow_none=True, metadata={"description": "Null while it is shut."})


class PlaceSchema(SellsAtSchema):
    """Where a merchant sells, and when."""

    latitude = fields.String(allow_none=True, metadata={"description": "Degrees with six decimals."})
    longitude = fields.String(allow_none=True)
    hours = fields.Raw(
        metadata={"type": "object", "description": 'By day of the week from Monday: {"1": [["06:00", "18:00"]]}.'}
    )


class ProductSchema(AnswerSchema):
    """A product on offer."""

    id = IdField()
    name = fields.String()
    description = fields.String()
    category = fields.String()
    price = DongField(metadata={"description": "Whole đồng for one unit."})
    unit = fields.String()
    gtin = fields.String(allow_none=True)
    sold_out = fields.Boolean()
    photo = fields.String(allow_none=True, metadata={"description": "Address of the picture, which never changes."})
    url = fields.String()
    changed_at = InstantField()
    merchant = IdField()
    merchant_code = fields.String()
    merchant_name = fields.String()
    places = fields.List(fields.Nested(SellsAtSchema))


class ProductsSchema(AnswerSchema):
    """A page of products, the nearest to what was asked first."""

    rows = fields.List(fields.Nested(ProductSchema))
    nearness = fields.String(
        metadata={"description": "exact, begun, slip or loose: how the first row fits; newest without words."}
    )
    next = fields.String(metadata={"description": "Give it as `cursor` for the next page; empty on the last."})


class MerchantSchema(AnswerSchema):
    """An approved merchant and where it sells."""

    id = IdField()
    code = fields.String()
    name = fields.String()
    category = fields.String(metadata={"description": "Merchant category code, ISO 18245."})
    url = fields.String()
    places = fields.List(fields.Nested(PlaceSchema))


_NEARNESS: Final = {
    search.NEWEST: "newest",
    search.EXACT: "exact",
    search.BEGUN: "begun",
    search.SLIP: "slip",
    search.LOOSE: "loose",
}


@door.get("/v1/catalog/products")
@admits("anyone")
@described(
    answers=ProductsSchema,
    query={
        "q": "What is looked for; accents, case and one slip do not matter.",
        "category": "A category's code.",
        "area": "Code of a ward or commune.",
        "merchant": "A merchant's id.",
        "open": "now: only at places that are open now.",
        "rows": "1 to 100, default 24.",
        "cursor": "`next` of the page before.",
    },
)
def list_products() -> Response:
    """Search what is on offer, a page at a time."""
    rows_max, asked = page_size(ROWS_DEFAULT, search.ROWS_MAX), wanted()
    with state().app.connect() as connection:
        page = search.products(connection, asked, now=now(), after=_after(), rows_max=rows_max)
    told = {
        "rows": [product(one) for one in page.rows],
        "nearness": _NEARNESS[page.tier if asked.query else search.NEWEST],
        "next": spell_cursor(_CURSOR, page.next.spelled()) if page.next else "",
    }
    return public(answer(ProductsSchema, told))


@door.get("/v1/catalog/merchants/<merchant>")
@admits("anyone")
@described(answers=MerchantSchema)
def read_merchant(merchant: str) -> Response:
    """Read an approved merchant by its id or its code."""
    id = uuid_or_none(merchant)
    with state().app.connect() as connection:
        found = search.stall(connection, code=merchant[:60], id=id)
    if found is None:
        raise StallNotFound(param="merchant")
    return public(answer(MerchantSchema, _stall(found)))


def wanted() -> Wanted:
    """Read what is looked for from the address.

    Raises:
        Unparseable: a filter that no listing has.
    """
    given = request.args
    merchant: UUID | None = None
    if given.get("merchant"):
        merchant = uuid_or_none(given["merchant"])
        if merchant is None:
            raise Unparseable(param="merchant")
    if given.get("open", "") not in ("", "now"):
        raise Unparseable(param="open")
    return Wanted(
        query=given.get("q", "")[:QUERY_CHARS_MAX],
        category=given.get("category", "")[:40],
        area=given.get("area", "")[:10],
        merchant=merchant,
        open_now=given.get("open") == "now",
    )


def public(response: Response) -> Response:
    """Let anybody keep an answer and ask whether it still holds: 304 while it does."""
    response.headers["Cache-Control"] = _FRESH
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.add_etag()
    response.make_conditional(request)
    return response


def product(one: Found) -> dict[str, Any]:
    """Spell a product for the API."""
    origin = state().config.public_origin
    return {
        **{name: getattr(one, name) for name in _PLAIN},
        "photo": f"{origin}{photo(one.photo)}" if one.photo else None,
        "url": f"{origin}/cho/san-pham/{one.id}",
        "places": [_sells_at(place) for place in one.places],
    }


def photo(digest: str) -> str:
    """Return a photo's address, which its content decides and which so never changes."""
    return f"/cho/anh/{digest}.webp"


_PLAIN: Final = (
    "id", "name", "description", "category", "price", "unit", "gtin", "sold_out", "changed_at", "merchant", "merchant_code",
    "merchant_name",
)  # fmt: skip


def _stall(one: Stall) -> dict[str, Any]:
    return {
        "id": one.id,
        "code": one.code,
        "name": one.name,
        "category": one.category,
        "url": f"{state().config.public_origin}/cho/gian/{one.code}",
        "places": [_place(place) for place in one.places],
    }


def _sells_at(place: Place) -> dict[str, Any]:
    return {
        "id": place.id,
        "name": place.name,
        "address": place.address,
        "area": place.area,
        "open_until": place.hours.closes_at(now()) if place.hours else None,
    }


def _place(place: Place) -> dict[str, Any]:
    return _sells_at(place) | {
        "latitude": degrees(place.lat),
        "longitude": degrees(place.lon),
        "hours": place.hours.stored() if place.hours else {},
    }


def degrees(millionths: int | None) -> str | None:
    """Spell millionths of a degree as degrees."""
    if millionths is None:
        return None
    sign = "-" if millionths < 0 else ""
    return f"{sign}{abs(millionths) // 10**6}.{abs(millionths) % 10**6:06}"


def _after() -> Key | None:
    """Read the key that the page begins after.

    Raises:
        Unparseable.
    """
    spelled = cursor(_CURSOR)
    try:
        return Key.read(spelled) if spelled else None
    except search.BadKey:
        raise Unparseable(param="cursor") from None
