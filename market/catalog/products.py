"""Products: offered, changed, sold out and archived by who works for the merchant.

Words   A product's version counts its changes; whoever changes it names the version that they saw, so that two people at one
        stall do not undo each other's work unknowingly.
        An owner and a manager offer and change; a cashier says what is sold out.
Money   Whole đồng for one unit. Each price is a dated event: the database writes it down, and the log tells it.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from market import photos, registry
from market.catalog import tables, terms
from market.catalog.draft import Draft, UnknownCategory
from market.photos import Photo
from market.registry import StaffRole
from wallet import ids
from wallet.events import Event
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal

EDITORS: Final = (StaffRole.OWNER, StaffRole.MANAGER)
SELLERS: Final = tuple(StaffRole)

PRODUCTS_MAX: Final = 5_000
"""Of one merchant; far above a market hall's largest."""


class NotFound(Refusal):
    """No such product, or not one that the caller may see."""

    code = "product_not_found"
    status = 404


class SkuTaken(Refusal):
    """Another product of the merchant has this number already."""

    code = "product_sku_taken"
    status = 409


class Changed(Refusal):
    """Somebody else has changed the product meanwhile; `version` is today's."""

    code = "product_changed"
    status = 409


class TooMany(Refusal):
    """The merchant has as many products as one may have."""

    code = "product_too_many"
    status = 409


class NoPhoto(Refusal):
    """The photo that is named was never sent, or not to this product."""

    code = "product_photo_unknown"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductOrder:
    """A product as its seller wants it. `version`: the one they saw, 0 of a new one. `photo` names the picture; "": none."""

    id: OrderId
    merchant: HolderId
    product: UUID
    version: int
    photo: str
    draft: Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class StockOrder:
    """Whether there is any left of a product, or whether it is offered at all."""

    id: OrderId
    merchant: HolderId
    product: UUID
    value: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrder:
    """A file of products that its sender has seen judged: its SHA-256 and how many rows it has."""

    id: OrderId
    merchant: HolderId
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a change."""

    order: OrderId
    product: UUID
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of a file."""

    order: OrderId
    added: int
    changed: int
    same: int


def put(
    unit: sa.Connection, claim: Claim, order: ProductOrder, *, sent: tuple[Photo, Photo] | None = None, now: datetime
) -> Plan:
    """Offer a product, or change one.

    Args:
        sent: the picture that came with the order and its small one, drawn anew; None: it stays what it was.

    Raises:
        registry.MerchantNotFound, registry.NotYours, NotFound, Changed, SkuTaken, TooMany, NoPhoto, UnknownCategory.
    """
    registry.must(unit, order.merchant, claim.signer, *EDITORS)
    was = _locked(unit, order.merchant, order.product) if order.version else None
    if was is not None and was.version != order.version:
        raise Changed(version=str(was.version))
    if was is None:
        _room_for(unit, order.merchant, 1)
    draft = order.draft
    if not unit.execute(sa.select(tables.category.c.code).where(tables.category.c.code == draft.category)).first():
        raise UnknownCategory(param="category")
    sku = draft.sku or (was.sku if was else new_sku(order.product))
    _sku_free(unit, order.merchant, sku, order.product)
    photo, small = _photo(unit, order, was, sent, now)
    values = _values(draft, sku=sku, by=claim.signer, now=now) | {"photo": photo, "small": small}
    learn(unit, terms.plain(draft.name))
    if was is None:
        _insert(unit, [values | {"id": order.product, "merchant": order.merchant, "made_at": now, "version": 1}])
    else:
        _update(unit, order.product, values | {"version": was.version + 1, "archived": False})
    version = was.version + 1 if was else 1
    told = _told(order.merchant, order.product, values, was, version)
    return Plan(events=told, answer=Done(order=order.id, product=order.product, version=version))


def set_sold_out(unit: sa.Connection, claim: Claim, order: StockOrder, *, now: datetime) -> Plan:
    """Say that nothing is left of a product, or that there is again. Said twice it is the same.

    Raises:
        NotStaff, NotFound.
    """
    return _switch(unit, claim, order, "sold_out", SELLERS, now)


def set_archived(unit: sa.Connection, claim: Claim, order: StockOrder, *, now: datetime) -> Plan:
    """Stop offering a product, or offer it again. It and its prices stay on record.

    Raises:
        NotStaff, NotFound.
    """
    return _switch(unit, claim, order, "archived", EDITORS, now)


def import_all(
    unit: sa.Connection, claim: Claim, order: ImportOrder, *, drafts: Sequence[Draft], now: datetime
) -> Plan:
    """Offer and change a file's products by their numbers, all or nothing; those that are as the file says stay untouched.

    Raises:
        registry.MerchantNotFound, registry.NotYours, TooMany.
    """
    registry.must(unit, order.merchant, claim.signer, *EDITORS)
    known = _by_sku(unit, order.merchant, [one.sku for one in drafts], lock=True)
    fresh = [one for one in drafts if one.sku not in known]
    _room_for(unit, order.merchant, len(fresh))
    differ = [one for one in drafts if one.sku in known and differs(one, known[one.sku])]
    events: list[Event] = []
    rows = []
    for one in fresh:
        product = ids.new()
        values = _values(one, sku=one.sku, by=claim.signer, now=now)
        rows.append(values | {"id": product, "merchant": order.merchant, "made_at": now, "version": 1})
        events += _told(order.merchant, product, values, None, 1)
    changes = [(known[one.sku], _values(one, sku=one.sku, by=claim.signer, now=now)) for one in differ]
    learn(unit, {term for one in (*fresh, *differ) for term in terms.plain(one.name)})
    if rows:
        _insert(unit, [row | {"photo": None, "small": None} for row in rows])
    for was, values in changes:
        version = was.version + 1
        _update(unit, was.id, values | {"version": version, "archived": False})
        events += _told(order.merchant, was.id, values, was, version)
    counts = {"added": len(fresh), "changed": len(differ), "same": len(drafts) - len(fresh) - len(differ)}
    summary = {name: str(count) for name, count in counts.items()} | {"digest": order.digest}
    events.append(Event(type="product.imported", subject=order.merchant, data=summary))
    return Plan(events=tuple(events), answer=Imported(order=order.id, **counts))


def preview(connection: sa.Connection, merchant: HolderId, drafts: Sequence[Draft]) -> dict[str, int]:
    """Say what a file would do: how many it adds, changes and leaves as they are."""
    known = _by_sku(connection, merchant, [one.sku for one in drafts])
    added = sum(one.sku not in known for one in drafts)
    changed = sum(one.sku in known and differs(one, known[one.sku]) for one in drafts)
    return {"added": added, "changed": changed, "same": len(drafts) - added - changed}


def learn(unit: sa.Connection, words: Iterable[str]) -> None:
    """Learn terms that searches may hit; those that are known cost a look. In one order, so that two that learn the same
    wait for each other and never both.
    """
    rows = unit.exec_driver_sql(
        "INSERT INTO market.term (term) SELECT w FROM unnest(%s::text[]) AS w ORDER BY w"
        " ON CONFLICT DO NOTHING RETURNING term",
        (sorted(set(words)),),
    )
    keys = sorted((key, row.term) for row in rows for key in terms.keys(row.term))
    if keys:
        unit.exec_driver_sql(
            "INSERT INTO market.term_key (key, term) SELECT * FROM unnest(%s::text[], %s::text[])",
            ([key for key, _ in keys], [term for _, term in keys]),
        )


def differs(draft: Draft, row: Any) -> bool:
    """Say whether a draft says anything else than a stored product; an archived one is offered again by being in a file."""
    said = _said(draft)
    return row.archived or any(getattr(row, name) != value for name, value in said.items())


def new_sku(product: UUID) -> str:
    """Make a number for a product whose seller gave it none: eight letters that its id decides."""
    return "SP-" + base64.b32encode(product.bytes[-5:]).decode()


def _said(draft: Draft) -> dict[str, Any]:
    return {
        "name": draft.name,
        "category": draft.category,
        "price": draft.price,
        "unit": draft.unit,
        "gtin": draft.gtin or None,
        "sold_out": draft.sold_out,
        "description": draft.description,
    }


def _values(draft: Draft, *, sku: str, by: HolderId, now: datetime) -> dict[str, Any]:
    return _said(draft) | {
        "sku": sku,
        "words": len(terms.words(draft.name)),
        "terms": terms.terms(draft.name, category=draft.category, gtin=draft.gtin),
        "changed_at": now,
        "changed_by": by,
    }


def _told(merchant: UUID, product: UUID, values: dict[str, Any], was: Any | None, version: int) -> tuple[Event, ...]:
    """Tell of a change, and of its price where that is new. What the seller wrote is not told: it may be taken down."""
    place = {"merchant": str(merchant), "version": str(version)}
    told = [Event(type="product.changed" if was else "product.offered", subject=product, data=place)]
    if was is None or (was.price, was.unit) != (values["price"], values["unit"]):
        price = {"price": str(values["price"]), "unit": values["unit"], "was": str(was.price) if was else ""}
        told.append(Event(type="product.priced", subject=product, data=place | price))
    return tuple(told)


def _switch(
    unit: sa.Connection, claim: Claim, order: StockOrder, column: str, roles: tuple[StaffRole, ...], now: datetime
) -> Plan:
    registry.must(unit, order.merchant, claim.signer, *roles)
    was = _locked(unit, order.merchant, order.product)
    version = was.version + 1
    said = {column: order.value, "version": version, "changed_at": now, "changed_by": claim.signer}
    _update(unit, order.product, said)
    data = {"merchant": str(order.merchant), "version": str(version), column: "1" if order.value else "0"}
    told = Event(type="product.changed", subject=order.product, data=data)
    return Plan(events=(told,), answer=Done(order=order.id, product=order.product, version=version))


def _locked(unit: sa.Connection, merchant: UUID, product: UUID) -> Any:
    own = tables.product.c
    query = sa.select(tables.product).where(own.id == product, own.merchant == merchant)
    row = unit.execute(query.with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise NotFound(param="product")
    return row


def _by_sku(connection: sa.Connection, merchant: UUID, skus: list[str], *, lock: bool = False) -> dict[str, Any]:
    own = tables.product.c
    query = sa.select(tables.product).where(own.merchant == merchant, own.sku.in_(skus)).order_by(own.id)
    if lock:
        query = query.with_for_update(key_share=True)
    return {row.sku: row for row in connection.execute(query)}


def _sku_free(unit: sa.Connection, merchant: UUID, sku: str, product: UUID) -> None:
    own = tables.product.c
    taken = unit.execute(sa.select(own.id).where(own.merchant == merchant, own.sku == sku, own.id != product)).first()
    if taken:
        raise SkuTaken(param="sku")


def _room_for(unit: sa.Connection, merchant: UUID, more: int) -> None:
    own = tables.product.c
    has = unit.execute(sa.select(sa.func.count()).where(own.merchant == merchant)).scalar_one()
    if has + more > PRODUCTS_MAX:
        raise TooMany


def _photo(
    unit: sa.Connection, order: ProductOrder, was: Any | None, sent: tuple[Photo, Photo] | None, now: datetime
) -> tuple[str | None, str | None]:
    """Return the product's picture and its small one: the one that came, the one it has, or none."""
    if sent is not None and order.photo == sent[0].digest:
        for photo in sent:
            photos.keep(unit, photo, now=now)
        return sent[0].digest, sent[1].digest
    if not order.photo:
        return None, None
    if was is None or was.photo != order.photo:
        raise NoPhoto(param="photo")
    return was.photo, was.small


def _insert(unit: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """Insert products. That an id or a number is taken is seen before; a twin in flight makes the unit run again."""
    unit.execute(insert(tables.product), rows)


def _update(unit: sa.Connection, product: UUID, values: dict[str, Any]) -> None:
    unit.execute(sa.update(tables.product).where(tables.product.c.id == product).values(**values))


def of_merchant(
    connection: sa.Connection, merchant: UUID, *, query: str = "", after: UUID | None = None, rows_max: int = 50
) -> list[Any]:
    """Return a merchant's products as its staff sees them, hidden ones too: the newest first, or what a search finds."""
    own = tables.product.c
    wanted = sa.select(tables.product).where(own.merchant == merchant)
    for word in terms.asked(query):
        wanted = wanted.where(own.terms.overlap([word, terms.begun(word)]))
    if after is not None:
        wanted = wanted.where(own.id < after)
    return list(connection.execute(wanted.order_by(own.id.desc()).limit(rows_max)))


def on_sale(connection: sa.Connection, merchant: UUID, *, rows_max: int) -> list[Any]:
    """Return what a merchant sells now, as a customer may see it: what is left of it first, of that the newest."""
    own = tables.product.c
    query = sa.select(own.id, own.name, own.price, own.unit, own.sold_out).where(
        own.merchant == merchant, own.archived.is_(False), own.taken_down.is_(False), own.merchant_open
    )
    return list(connection.execute(query.order_by(own.sold_out, own.id.desc()).limit(rows_max)))


def one_of(connection: sa.Connection, product: UUID) -> Any | None:
    """Return a product as its staff sees it, or None."""
    return connection.execute(sa.select(tables.product).where(tables.product.c.id == product)).one_or_none()


def prices(connection: sa.Connection, product: UUID, *, rows_max: int = 20) -> list[Any]:
    """Return a product's prices, the latest first."""
    own = tables.price_change.c
    query = sa.select(tables.price_change).where(own.product == product).order_by(own.version.desc())
    return list(connection.execute(query.limit(rows_max)))


def drafts_of(connection: sa.Connection, merchant: UUID) -> list[Draft]:
    """Return what a merchant offers, as a file would say it, by its numbers."""
    own = tables.product.c
    query = sa.select(tables.product).where(own.merchant == merchant, own.archived.is_(False)).order_by(own.sku)
    return [
        Draft(
            sku=row.sku,
            name=row.name,
            category=row.category,
            price=row.price,
            unit=row.unit,
            gtin=row.gtin or "",
            sold_out=row.sold_out,
            description=row.description,
        )
        for row in connection.execute(query.limit(PRODUCTS_MAX))
    ]
