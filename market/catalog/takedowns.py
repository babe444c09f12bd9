"""Takedowns: what people report of a product, and what an officer decides: hide it for a cause, or show it.

Words   A report is somebody's word that something is wrong; it is open until an officer decides about the product later.
        A takedown hides a product at once, also from who knows its address. Its seller reads cause and reason, mends it and
        asks; an officer shows it again. Nothing is deleted: each decision stays, with who took it and why.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from market import registry
from market.catalog import products, tables, terms
from wallet import ids, text
from wallet.events import Event
from wallet.identity import attempts
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal

CAUSES: Final = ("forbidden", "counterfeit", "misleading", "price", "photo", "other")
REASON_CHARS_MAX: Final = 300
QUEUE_ROWS_MAX: Final = 50
REPORTS: Final = attempts.Limit("product-report", 10, timedelta(hours=24))
"""Of one person: who knows of an eleventh bad product calls the market's office."""


class AlreadySo(Refusal):
    """The product is hidden already, or shown already: somebody else was quicker."""

    code = "takedown_already"
    status = 409


class OwnProduct(Refusal):
    """Whoever works for the merchant neither reports its products nor judges them."""

    code = "takedown_own"
    status = 403


class UnknownCause(Refusal):
    """Not one of the causes."""

    code = "takedown_cause_unknown"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOrder:
    """What somebody says is wrong with a product."""

    id: OrderId
    product: UUID
    cause: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionOrder:
    """What an officer decides about a product, and why. `cause` is "none" of one that is shown."""

    id: OrderId
    product: UUID
    hides: bool
    cause: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What came of it."""

    order: OrderId
    product: UUID
    hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """That it was heard."""

    order: OrderId
    product: UUID


def cause(typed: str) -> str:
    """Read a cause.

    Raises:
        UnknownCause.
    """
    if typed not in CAUSES:
        raise UnknownCause(param="cause")
    return typed


def note(typed: str) -> str:
    """Read what somebody adds to a report; nothing will do.

    Raises:
        text.BadText.
    """
    return text.plain(typed, chars_max=REASON_CHARS_MAX, param="note", empty=True)


def reason(typed: str) -> str:
    """Read an officer's reason, which the seller will read.

    Raises:
        text.BadText.
    """
    return text.plain(typed, chars_max=REASON_CHARS_MAX, param="reason")


def count_report(database: sa.Engine, holder: HolderId, *, now: datetime) -> None:
    """Count one report, committed before it is written.

    Raises:
        attempts.TooMany.
    """
    attempts.count(database, [(REPORTS, str(holder))], now=now)


def report(unit: sa.Connection, claim: Claim, order: ReportOrder, *, now: datetime) -> Plan:
    """Take somebody's report of a product that is shown. The caller has counted it.

    Raises:
        products.NotFound, OwnProduct.
    """
    row = _locked(unit, order.product)
    if row.archived or row.taken_down or not row.merchant_open:
        raise products.NotFound(param="product")
    if registry.role_of(unit, row.merchant, claim.signer) is not None:
        raise OwnProduct
    unit.execute(
        sa.insert(tables.report).values(
            product=row.id, reporter=claim.signer, cause=order.cause, note=order.note, at=now
        )
    )
    told = Event(type="product.reported", subject=row.id, data={"cause": order.cause, "merchant": str(row.merchant)})
    return Plan(events=(told,), answer=Reported(order=order.id, product=row.id))


def decide(unit: sa.Connection, claim: Claim, order: DecisionOrder, *, now: datetime) -> Plan:
    """Hide a product, or show it; showing one that is shown answers its reports.

    Raises:
        products.NotFound, AlreadySo, OwnProduct.
    """
    row = _locked(unit, order.product)
    if registry.role_of(unit, row.merchant, claim.signer) is not None:
        raise OwnProduct
    if (row.taken_down and order.hides) or not (row.taken_down or order.hides or _open_reports(unit, row.id)):
        raise AlreadySo(param="product")
    unit.execute(
        sa.insert(tables.takedown).values(
            id=ids.new(),
            product=row.id,
            hides=order.hides,
            cause=order.cause,
            reason=order.reason,
            officer=claim.signer,
            at=now,
        )
    )
    kind = "product.taken_down" if order.hides else "product.put_back" if row.taken_down else "product.kept"
    told = Event(type=kind, subject=row.id, data={"cause": order.cause, "merchant": str(row.merchant)})
    return Plan(events=(told,), answer=Decided(order=order.id, product=row.id, hidden=order.hides))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A product with open reports: how many people, of what, since when, and the newest note."""

    product: UUID
    name: str
    merchant_code: str
    merchant_name: str
    price: int
    unit: str
    small: str | None
    reports: int
    causes: tuple[str, ...]
    notes: tuple[str, ...]
    since: datetime
    taken_down: bool


def queue(connection: sa.Connection, *, rows_max: int = QUEUE_ROWS_MAX) -> list[Waiting]:
    """Return the products with open reports, those of most people first, then the longest waiting."""
    rows = connection.exec_driver_sql(
        """
        WITH open AS (
            SELECT r.product, count(DISTINCT r.reporter) AS reports, array_agg(DISTINCT r.cause) AS causes,
                   min(r.at) AS since,
                   (array_agg(r.note ORDER BY r.at DESC) FILTER (WHERE r.note <> ''))[1:5] AS notes
            FROM market.report r
            LEFT JOIN LATERAL (SELECT max(t.at) AS at FROM market.takedown t WHERE t.product = r.product) AS d ON true
            WHERE d.at IS NULL OR r.at > d.at
            GROUP BY r.product
        )
        SELECT o.product, p.name, m.code AS merchant_code, m.name AS merchant_name, p.price, p.unit,
               p.small, o.reports, o.causes,
               coalesce(o.notes, '{}') AS notes, o.since, p.taken_down
        FROM open o JOIN market.product p ON p.id = o.product JOIN market.merchant m ON m.holder = p.merchant
        WHERE NOT p.archived ORDER BY o.reports DESC, o.since, o.product LIMIT %(rows)s
        """,
        {"rows": rows_max},
    )
    return [Waiting(**_tuples(row._mapping)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A product that is taken down, and why."""

    product: UUID
    name: str
    merchant_name: str
    cause: str
    reason: str
    at: datetime


def hidden(connection: sa.Connection, *, rows_max: int = QUEUE_ROWS_MAX) -> list[Hidden]:
    """Return what is taken down, the latest first."""
    rows = connection.exec_driver_sql(
        """
        SELECT p.id AS product, p.name, m.name AS merchant_name, t.cause, t.reason, t.at
        FROM market.product p JOIN market.merchant m ON m.holder = p.merchant
        JOIN LATERAL (SELECT * FROM market.takedown t WHERE t.product = p.id
                      ORDER BY t.at DESC, t.id DESC LIMIT 1) AS t ON true
        WHERE p.taken_down ORDER BY t.at DESC LIMIT %(rows)s
        """,
        {"rows": rows_max},
    )
    return [Hidden(**row._mapping) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a product, when and why."""

    hides: bool
    cause: str
    reason: str
    at: datetime


def decisions(connection: sa.Connection, product: UUID) -> list[Decision]:
    """Return what was decided about a product, the latest first."""
    row = tables.takedown.c
    query = sa.select(row.hides, row.cause, row.reason, row.at).where(row.product == product)
    return [Decision(**one._mapping) for one in connection.execute(query.order_by(row.at.desc(), row.id.desc()))]


def _tuples(row: sa.RowMapping) -> dict[str, Any]:
    return {str(name): tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def _open_reports(unit: sa.Connection, product: UUID) -> bool:
    reported, decided = tables.report.c, tables.takedown.c
    last = sa.select(sa.func.max(decided.at)).where(decided.product == product).scalar_subquery()
    query = sa.select(sa.true()).where(reported.product == product, sa.or_(last.is_(None), reported.at > last))
    return unit.execute(query.limit(1)).scalar() is not None


def _locked(unit: sa.Connection, product: UUID) -> Any:
    row = unit.execute(
        sa.select(tables.product).where(tables.product.c.id == product).with_for_update(key_share=True)
    ).one_or_none()
    if row is None:
        raise products.NotFound(param="product")
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A product by its name and its seller's."""

    product: UUID
    name: str
    merchant_name: str


def search(connection: sa.Connection, query: str, *, rows_max: int = 20) -> list[Named]:
    """Return products whose names have every word, shown or hidden: an officer looks for what somebody told of."""
    words = terms.asked(query)
    if not words:
        return []
    rows = connection.exec_driver_sql(
        """
        SELECT p.id AS product, p.name, m.name AS merchant_name
        FROM market.product p JOIN market.merchant m ON m.holder = p.merchant
        WHERE p.terms @> %(words)s ORDER BY p.words, p.id LIMIT %(rows)s
        """,
        {"words": words, "rows": rows_max},
    )
    return [Named(**row._mapping) for row in rows]


def seller(connection: sa.Connection, product: UUID) -> str:
    """Return the name of who sells a product."""
    return str(
        connection.exec_driver_sql(
            "SELECT m.name FROM market.product p JOIN market.merchant m ON m.holder = p.merchant WHERE p.id = %(id)s",
            {"id": product},
        ).scalar_one()
    )
