"""Places and acceptance points: where a merchant sells, and what hangs there to be scanned.

Words   A location is a shop or a pitch; a point is a stall, a till, a kiosk there, with its own static code. A sticker has a
        version: a reprint makes the older ones stale; one that was tampered with calls for a new point, because the code on
        the old one would go on being paid.
"""

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from market import hours, registry, tables
from market.registry import StaffRole, must
from wallet import ids
from wallet.events import Event
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal

NAME_CHARS_MAX: Final = 60
ADDRESS_CHARS_MAX: Final = 160
LOCATIONS_MAX: Final = 100
POINTS_MAX: Final = 500
"""Of one merchant: a chain's, not a mistake's."""

Hours = dict[str, list[list[str]]]
"""By day of the week from Monday ("1" to "7"), when it is open: [["06:00", "11:30"], ["13:00", "18:00"]]."""


class LocationNotFound(Refusal):
    """No place of the merchant's with that id."""

    code = "location_not_found"
    status = 404


class AreaUnknown(Refusal):
    """No ward or commune of this city."""

    code = "location_area"
    status = 422
    stored = False


class TooMany(Refusal):
    """More places or points than one merchant may have."""

    code = "merchant_points_too_many"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationOrder:
    """A place as its merchant describes it; with `location`, one that is there already, described anew.

    `lat` and `lon` are millionths of a degree.
    """

    id: OrderId
    merchant: HolderId
    name: str
    address: str
    area: str
    hours: Hours
    closed_days: tuple[date, ...] = ()
    lat: int | None = None
    lon: int | None = None
    location: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOrder:
    """A new point at a place."""

    id: OrderId
    location: UUID
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMoveOrder:
    """What shall become of a point: revoked for good; replaced by a new one; or its sticker printed anew."""

    id: OrderId
    point: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationKept:
    """A place as it stands now."""

    order: OrderId
    location: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PointIssued:
    """A point and the serial on its sticker."""

    order: OrderId
    point: UUID
    serial: str
    sticker_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place as everybody may see it."""

    id: UUID
    merchant: HolderId
    name: str
    address: str
    area: str
    lat: int | None
    lon: int | None
    photo: str | None
    hours: Hours
    closed_days: list[date]


def keep_location(
    unit: sa.Connection, claim: Claim, order: LocationOrder, *, areas: frozenset[str], now: datetime
) -> Plan:
    """Enter a place, or describe it anew; an owner's or a manager's order.

    Args:
        areas: the codes of the city's wards and communes.

    Raises:
        MerchantNotFound, NotYours, LocationNotFound, AreaUnknown, HoursWrong, TooMany.
    """
    must(unit, order.merchant, claim.signer, StaffRole.OWNER, StaffRole.MANAGER)
    if order.area not in areas:
        raise AreaUnknown(param="area")
    hours.check(order.hours, param="hours")
    said = {
        "name": order.name,
        "address": order.address,
        "area": order.area,
        "hours": order.hours,
        "closed_days": list(order.closed_days),
        "lat": order.lat,
        "lon": order.lon,
    }
    location, place = order.location, tables.location.c
    if location is None:
        if len(locations_of(unit, order.merchant)) >= LOCATIONS_MAX:
            raise TooMany(param="location")
        location = ids.new()
        unit.execute(sa.insert(tables.location).values(id=location, merchant=order.merchant, made_at=now, **said))
    elif not unit.execute(
        sa.update(tables.location).where(place.id == location, place.merchant == order.merchant).values(**said)
    ).rowcount:
        raise LocationNotFound(param="location")
    told = Event(type="location.kept", subject=location, data={"merchant": str(order.merchant), "area": order.area})
    return Plan(events=(told,), answer=LocationKept(order=order.id, location=location))


def issue(unit: sa.Connection, claim: Claim, order: PointOrder, *, now: datetime) -> Plan:
    """Set up a point; an owner's or a manager's order.

    Raises:
        LocationNotFound, NotYours, TooMany.
    """
    place = location(unit, order.location)
    if place is None or registry.role_of(unit, place.merchant, claim.signer) is None:
        raise LocationNotFound(param="location")
    must(unit, place.merchant, claim.signer, StaffRole.OWNER, StaffRole.MANAGER)
    if len(registry.points_of(unit, place.merchant)) >= POINTS_MAX:
        raise TooMany(param="location")
    point, serial = _insert(unit, place.id, place.merchant, order.name, replaces=None, now=now)
    told = Event(type="point.issued", subject=point, data={"merchant": str(place.merchant), "serial": serial})
    return Plan(events=(told,), answer=PointIssued(order=order.id, point=point, serial=serial, sticker_version=1))


def revoke(unit: sa.Connection, claim: Claim, order: PointMoveOrder, *, now: datetime) -> Plan:
    """Revoke a point for good: its code is no longer paid.

    Raises:
        registry.PointNotFound, PointClosed; NotYours.
    """
    point = _locked(unit, claim, order)
    _revoke(unit, point.id, now=now)
    told = Event(type="point.revoked", subject=point.id, data={"merchant": str(point.merchant)})
    answer = PointIssued(order=order.id, point=point.id, serial=point.serial, sticker_version=point.sticker_version)
    return Plan(events=(told,), answer=answer)


def replace(unit: sa.Connection, claim: Claim, order: PointMoveOrder, *, now: datetime) -> Plan:
    """Revoke a point and set up another in its place, with a serial and a code of its own.

    Raises:
        registry.PointNotFound, PointClosed; NotYours.
    """
    old = _locked(unit, claim, order)
    _revoke(unit, old.id, now=now)
    point, serial = _insert(unit, old.location, old.merchant, old.name, replaces=old.id, now=now)
    merchant = str(old.merchant)
    told = (
        Event(type="point.revoked", subject=old.id, data={"merchant": merchant}),
        Event(
            type="point.issued", subject=point, data={"merchant": merchant, "replaces": str(old.id), "serial": serial}
        ),
    )
    return Plan(events=told, answer=PointIssued(order=order.id, point=point, serial=serial, sticker_version=1))


def reprint(unit: sa.Connection, claim: Claim, order: PointMoveOrder, *, now: datetime) -> Plan:  # noqa: ARG001 - a verb
    """Make a point's stickers stale, so that only the next print is recognised; its code stays.

    Raises:
        registry.PointNotFound, PointClosed; NotYours.
    """
    old = _locked(unit, claim, order)
    version = old.sticker_version + 1
    unit.execute(sa.update(tables.point).where(tables.point.c.id == old.id).values(sticker_version=version))
    told = Event(type="point.reprinted", subject=old.id, data={"merchant": str(old.merchant), "version": str(version)})
    answer = PointIssued(order=order.id, point=old.id, serial=old.serial, sticker_version=version)
    return Plan(events=(told,), answer=answer)


def _locked(unit: sa.Connection, claim: Claim, order: PointMoveOrder) -> registry.Point:
    unit.execute(sa.select(tables.point.c.id).where(tables.point.c.id == order.point).with_for_update())
    point = registry.point_by_id(unit, order.point)
    if point is None or registry.role_of(unit, point.merchant, claim.signer) is None:
        raise registry.PointNotFound(param="point")
    must(unit, point.merchant, claim.signer, StaffRole.OWNER, StaffRole.MANAGER)
    if point.revoked_at is not None:
        raise registry.PointClosed(param="point", point=str(point.id))
    return point


def _revoke(unit: sa.Connection, point: UUID, *, now: datetime) -> None:
    unit.execute(sa.update(tables.point).where(tables.point.c.id == point).values(revoked_at=now))


def _insert(
    unit: sa.Connection, location: UUID, merchant: UUID, name: str, *, replaces: UUID | None, now: datetime
) -> tuple[UUID, str]:
    point = ids.new()
    serial = "".join(secrets.choice(registry.SERIAL_LETTERS) for _ in range(registry.SERIAL_CHARS))
    unit.execute(
        sa.insert(tables.point).values(
            id=point,
            location=location,
            merchant=merchant,
            serial=serial,
            name=name,
            issued_at=now,
            replaces=replaces,
        )
    )
    return point, serial


def location(connection: sa.Connection, id: UUID) -> Location | None:
    """Find a place by its id."""
    row = connection.execute(_locations().where(tables.location.c.id == id)).one_or_none()
    return Location(**row._mapping) if row else None


def locations_of(connection: sa.Connection, merchant: UUID) -> list[Location]:
    """Return a merchant's places, oldest first."""
    place = tables.location.c
    rows = connection.execute(_locations().where(place.merchant == merchant).order_by(place.id))
    return [Location(**row._mapping) for row in rows]


def _locations() -> "sa.Select[tuple[object, ...]]":
    place = tables.location.c
    return sa.select(
        place.id,
        place.merchant,
        place.name,
        place.address,
        place.area,
        place.lat,
        place.lon,
        place.photo,
        place.hours,
        place.closed_days,
    ).where(place.ended_at.is_(None))
