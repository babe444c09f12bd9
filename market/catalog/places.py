"""Places: when a merchant's location is open, as who works there says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa

from market import tables
from market.catalog import products
from market.hours import Hours
from wallet.events import Event
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal


class PlaceNotFound(Refusal):
    """No such location of this merchant."""

    code = "location_not_found"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursOrder:
    """The week of a location, and the days on which it is shut."""

    id: OrderId
    merchant: HolderId
    location: UUID
    hours: Hours


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursSet:
    """What came of it."""

    order: OrderId
    location: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A location as its merchant sees it."""

    id: UUID
    name: str
    address: str
    hours: Hours


def of_merchant(connection: sa.Connection, merchant: UUID) -> list[Location]:
    """Return a merchant's locations, oldest first."""
    own = tables.location.c
    query = sa.select(tables.location).where(own.merchant == merchant, own.ended_at.is_(None)).order_by(own.id)
    return [
        Location(id=row.id, name=row.name, address=row.address, hours=_hours(row.hours, row.closed_days))
        for row in connection.execute(query)
    ]


def set_hours(unit: sa.Connection, claim: Claim, order: HoursOrder, *, now: datetime) -> Plan:  # noqa: ARG001 - a verb's shape
    """Say when a location is open.

    Raises:
        products.NotStaff, PlaceNotFound.
    """
    products.require(unit, order.merchant, claim.signer, products.EDITORS)
    own = tables.location.c
    changed = unit.execute(
        sa.update(tables.location)
        .where(own.id == order.location, own.merchant == order.merchant, own.ended_at.is_(None))
        .values(hours=order.hours.stored(), closed_days=sorted(order.hours.closed))
        .returning(own.id)
    ).scalar()
    if changed is None:
        raise PlaceNotFound(param="location")
    week = {f"day_{day}": ", ".join("-".join(span) for span in spans) for day, spans in order.hours.stored().items()}
    told = Event(type="location.hours_set", subject=order.location, data={"merchant": str(order.merchant), **week})
    return Plan(events=(told,), answer=HoursSet(order=order.id, location=order.location))


def _hours(stored: Mapping[str, list[list[str]]], closed: list[date]) -> Hours:
    return Hours.of(stored, closed) or Hours(week=((),) * 7, closed=frozenset(closed or ()))
