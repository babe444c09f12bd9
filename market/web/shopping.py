"""The market for whoever comes by: search, a stall, a product, their pictures; and what search engines read."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any, Final
from xml.sax.saxutils import escape

from flask import Blueprint, Response, redirect, render_template, request
from marshmallow import fields
from werkzeug.wrappers import Response as BaseResponse

from market import photos, registry
from market.catalog import products, search, takedowns, units
from market.catalog.search import Found, Key, Place, Stall, Wanted
from market.catalog.takedowns import ReportOrder
from market.web import shown
from market.web.catalog import QUERY_CHARS_MAX, StallNotFound, degrees
from wallet.identity.roles import Role
from wallet.ids import OrderId
from wallet.refusal import Refusal
from wallet.web.act import session_acts
from wallet.web.fields import AnswerSchema, IdField, OrderSchema, uuid_or_none
from wallet.web.gate import admits
from wallet.web.people import form, new_order_id, signed_in
from wallet.web.problems import NoSuchPage, Unparseable
from wallet.web.state import me, now, state

door = Blueprint("market_shopping", __name__)

ROWS: Final = 24
SITEMAP_ROWS: Final = 5_000
STALLS_IN_SITEMAP: Final = 20_000

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FOREVER: Final = "public, max-age=31536000, immutable"
_XML: Final = "application/xml; charset=utf-8"


class ReportOrderSchema(OrderSchema):
    """Say that something is wrong with a product."""

    kind_name = "product_report"

    product = IdField(required=True)
    cause = fields.String(required=True)
    note = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> ReportOrder:
        """Make the frozen order."""
        return ReportOrder(
            id=id, product=own["product"], cause=takedowns.cause(own["cause"]), note=takedowns.note(own["note"])
        )


class ReportedSchema(AnswerSchema):
    """That it was heard."""

    order = IdField()
    product = IdField()


# -- pages ------------------------------------------------------------------------------------------------------------


@door.get("/cho")
@admits("anyone")
def market() -> str:
    """Show the market: what is looked for, or the newest and the categories to look in."""
    asked, after = _wanted(), _after()
    with state().app.connect() as connection:
        page = search.products(connection, asked, now=now(), after=after, rows_max=ROWS)
        found = {
            **_page(page, asked),
            "stalls": search.stalls(connection, asked.query) if after is None else [],
            "near": asked.query != "" and page.tier in (search.SLIP, search.LOOSE),
        }
        return render_template(
            "market/market.html", **found, categories=shown.categories(connection), areas=shown.areas()
        )


@door.get("/cho/gian/<code>")
@admits("anyone")
def stall(code: str) -> str:
    """Show a stall: where and when it is open, and what it sells."""
    after = _after()
    with state().app.connect() as connection:
        found = search.stall(connection, code=code[:60])
        if found is None:
            raise StallNotFound
        asked = replace(_wanted(), merchant=found.id, area="", open_now=False)
        page = search.products(connection, asked, now=now(), after=after, rows_max=ROWS)
    return render_template(
        "market/stall.html",
        **_page(page, asked),
        stall={"name": found.name, "code": found.code, "places": [shown.place(one) for one in found.places]},
        linked=_linked_stall(found),
    )


@door.get("/cho/san-pham/<product>")
@admits("anyone")
def read(product: str) -> str:
    """Show a product, who sells it, where and when."""
    return render_template("market/product.html", **_product_context(_found(product)), errors={})


@door.post("/cho/san-pham/<product>/bao")
@admits(Role.CITIZEN)
def report(product: str) -> BaseResponse | tuple[str, int]:
    """Take what somebody says is wrong with a product."""
    found, holder = _found(product), signed_in()
    id = uuid_or_none(request.form.get("order_id", ""))
    if id is None:
        raise Unparseable(param="order_id")
    try:
        takedowns.count_report(state().app, holder, now=now())
        outcome = session_acts(
            ReportOrderSchema,
            {
                "product": str(found.id),
                "cause": request.form.get("cause", ""),
                "note": request.form.get("note", ""),
            },
            takedowns.report,
            ReportedSchema,
            signer=holder,
            id=OrderId(id),
        )
    except Refusal as refusal:
        return form("market/product.html", refusal, **_product_context(found), reporting=True)
    told = "bao=1" if outcome.status < 400 else "bao=0"
    return redirect(f"/cho/san-pham/{found.id}?{told}#bao", 303)


@door.get("/cho/anh/<name>")
@admits("anyone")
def picture(name: str) -> Response:
    """Give a picture. Its address is the hash of its bytes, so that it may be kept for ever."""
    digest = name.removesuffix(".webp")
    if not _DIGEST.fullmatch(digest) or not name.endswith(".webp"):
        raise NoSuchPage
    with state().app.connect() as connection:
        found = photos.find(connection, digest)
    if found is None:
        raise NoSuchPage
    media, content = found
    response = Response(content, content_type=media)
    response.headers["Cache-Control"] = _FOREVER
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.set_etag(digest)
    response.make_conditional(request)
    return response


# -- for search engines -----------------------------------------------------------------------------------------------


@door.get("/robots.txt")
@admits("anyone")
def robots() -> Response:
    """Tell search engines that the market is theirs to read, and nothing else."""
    lines = ("User-agent: *", "Allow: /cho", "Disallow: /", f"Sitemap: {state().config.public_origin}/sitemap.xml", "")
    return _listed(Response("\n".join(lines), content_type="text/plain; charset=utf-8"))


@door.get("/sitemap.xml")
@admits("anyone")
def sitemap() -> Response:
    """List the parts of the market's list of pages."""
    with state().app.connect() as connection:
        parts = search.sitemap_parts(connection, rows_max=SITEMAP_ROWS)
    addresses = ["/sitemap/gian.xml", *(f"/sitemap/{part}.xml" for part in parts)]
    places = "".join(f"<sitemap><loc>{_address(path)}</loc></sitemap>" for path in addresses)
    return _listed(Response(_xml("sitemapindex", places), content_type=_XML))


@door.get("/sitemap/<part>.xml")
@admits("anyone")
def sitemap_part(part: str) -> Response:
    """List the stalls, or some thousands of products, with when each changed."""
    with state().app.connect() as connection:
        if part == "gian":
            codes = search.stall_codes(connection, rows_max=STALLS_IN_SITEMAP)
            pages = [("/cho", ""), *((f"/cho/gian/{code}", "") for code in codes)]
        else:
            start = uuid_or_none(part)
            if start is None:
                raise NoSuchPage
            rows = search.sitemap(connection, start=start, rows_max=SITEMAP_ROWS)
            pages = [(f"/cho/san-pham/{id}", at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")) for id, at in rows]
    places = "".join(
        f"<url><loc>{_address(path)}</loc>{f'<lastmod>{at}</lastmod>' if at else ''}</url>" for path, at in pages
    )
    return _listed(Response(_xml("urlset", places), content_type=_XML))


def _xml(root: str, inner: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{inner}</{root}>\n'


def _address(path: str) -> str:
    return escape(state().config.public_origin + path)


def _listed(response: Response) -> Response:
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


# -- what the pages show ----------------------------------------------------------------------------------------------


def _wanted() -> Wanted:
    """Read what is looked for from the page's address. A filter of nobody's finds nothing."""
    given = request.args
    return Wanted(
        query=given.get("q", "")[:QUERY_CHARS_MAX].strip(),
        category=given.get("loai", "")[:40],
        area=given.get("noi", "")[:10],
        open_now=given.get("mo") == "1",
    )


def _after() -> Key | None:
    """Read where the page before ended.

    Raises:
        Unparseable.
    """
    spelled = request.args.get("sau", "")
    try:
        return Key.read(spelled) if spelled else None
    except search.BadKey:
        raise Unparseable(param="sau") from None


def _page(page: search.Page, asked: Wanted) -> dict[str, Any]:
    return {
        "products": [shown.product(one) for one in page.rows],
        "following": page.next.spelled() if page.next else "",
        "asked": {"q": asked.query, "loai": asked.category, "noi": asked.area, "mo": "1" if asked.open_now else ""},
        "first": "sau" not in request.args,
    }


def _found(product: str) -> Found:
    """Return a product that is shown.

    Raises:
        products.NotFound.
    """
    id = uuid_or_none(product)
    with state().app.connect() as connection:
        found = search.product(connection, id) if id else None
    if found is None:
        raise products.NotFound(param="product")
    return found


def _product_context(found: Found) -> dict[str, Any]:
    who = me()
    with state().app.connect() as connection:
        names = {one["code"]: one["name"] for one in shown.categories(connection)}
        mine = who is not None and registry.role_of(connection, found.merchant, who.holder) is not None
    return {
        "product": shown.product(found),
        "category": names[found.category],
        "places": [shown.place(one) for one in found.places],
        "mine": mine,
        "causes": shown.causes(),
        "reported": request.args.get("bao"),
        "linked": _linked_product(found, names[found.category]),
        "values": {"order_id": new_order_id()},
    }


# -- JSON-LD (schema.org); the template spells it so that no name can end the script ----------------------------------


def _linked_product(one: Found, category: str) -> dict[str, Any]:
    origin, unit = state().config.public_origin, units.UNITS[one.unit]
    price: dict[str, Any] = {
        "@type": "UnitPriceSpecification",
        "price": one.price,
        "priceCurrency": "VND",
        "unitText": unit.name,
    }
    if unit.machine:
        price["unitCode"] = unit.machine
    linked: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": one.name,
        "category": category,
        "url": f"{origin}/cho/san-pham/{one.id}",
        "offers": {
            "@type": "Offer",
            "url": f"{origin}/cho/san-pham/{one.id}",
            "price": one.price,
            "priceCurrency": "VND",
            "priceSpecification": price,
            "availability": f"https://schema.org/{'SoldOut' if one.sold_out else 'InStock'}",
            "seller": {
                "@type": "Store",
                "name": one.merchant_name,
                "url": f"{origin}/cho/gian/{one.merchant_code}",
            },
        },
    }
    if one.description:
        linked["description"] = one.description
    if one.gtin:
        linked[f"gtin{len(one.gtin)}"] = one.gtin
    if one.photo:
        linked["image"] = origin + shown.photo(one.photo)
    return linked


def _linked_stall(one: Stall) -> list[dict[str, Any]]:
    origin = state().config.public_origin
    return [
        {
            "@context": "https://schema.org",
            "@type": "Store",
            "name": one.name,
            "url": f"{origin}/cho/gian/{one.code}",
            **_linked_place(place),
        }
        for place in one.places
    ]


def _linked_place(one: Place) -> dict[str, Any]:
    linked: dict[str, Any] = {
        "address": {
            "@type": "PostalAddress",
            "streetAddress": one.address,
            "addressLocality": shown.area(one.area),
            "addressRegion": state().city.name,
            "addressCountry": "VN",
        }
    }
    if one.lat is not None:
        linked["geo"] = {"@type": "GeoCoordinates", "latitude": degrees(one.lat), "longitude": degrees(one.lon)}
    if one.hours:
        linked["openingHoursSpecification"] = [
            {
                "@type": "OpeningHoursSpecification",
                "dayOfWeek": f"https://schema.org/{day}",
                "opens": f"{begins // 60:02}:{begins % 60:02}",
                "closes": f"{ends // 60 % 24:02}:{ends % 60:02}",
            }
            for day, spans in zip(shown.DAY_NAMES_EN, one.hours.week, strict=True)
            for begins, ends in spans
        ]
    return linked
