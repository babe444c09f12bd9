"""The registry: who is paid at a point, by what stands in our books and never by what a code says about itself.

Words   An acceptance point is a stall, a till or a kiosk of a merchant, at one of its locations. Its sticker shows its
        serial. A point is open while it is not revoked and its merchant is approved; only an open point can be paid.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from market import tables
from wallet.ids import AccountId, HolderId
from wallet.refusal import Refusal

SERIAL_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's, as the table's CHECK has them: no I, L, O, U."""
SERIAL_CHARS: Final = 8

_MISREAD: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})


class StaffRole(StrEnum):
    """What somebody may do for a merchant. An owner: everything; a manager: all but staff; a cashier: the till."""

    OWNER = "owner"
    MANAGER = "manager"
    CASHIER = "cashier"


class PointNotFound(Refusal):
    """No acceptance point with that serial or id."""

    code = "point_not_found"
    status = 404


class PointClosed(Refusal):
    """The point was revoked, or its merchant is not, or no longer, admitted."""

    code = "point_closed"
    status = 409


class MerchantNotFound(Refusal):
    """No merchant with that id that the signer may act for."""

    code = "merchant_not_found"
    status = 404


class NotYours(Refusal):
    """The signer works for the merchant, but not in a role that may do this."""

    code = "merchant_role_too_low"
    status = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An acceptance point, where it stands and whose it is. `account` is None until the merchant is approved."""

    id: UUID
    serial: str
    name: str
    issued_at: datetime
    revoked_at: datetime | None
    sticker_version: int
    location: UUID
    place: str
    address: str
    area: str
    photo: str | None
    merchant: HolderId
    merchant_code: str
    merchant_name: str
    merchant_state: str
    category: str
    account: AccountId | None

    @property
    def open(self) -> bool:
        """Say whether it can be paid."""
        return self.revoked_at is None and self.merchant_state == "approved"

    def must_be_open(self) -> AccountId:
        """Return the account that it is paid into.

        Raises:
            PointClosed.
        """
        if not self.open or self.account is None:
            raise PointClosed(param="point", point=str(self.id))
        return self.account


def _points() -> sa.Select[Any]:
    point, location, merchant = tables.point.c, tables.location.c, tables.merchant.c
    return (
        sa.select(
            point.id,
            point.serial,
            point.name,
            point.issued_at,
            point.revoked_at,
            point.sticker_version,
            point.location,
            location.name.label("place"),
            location.address,
            location.area,
            location.photo,
            point.merchant,
            merchant.code.label("merchant_code"),
            merchant.name.label("merchant_name"),
            merchant.state.label("merchant_state"),
            merchant.category,
            merchant.account,
        )
        .join(tables.location, location.id == point.location)
        .join(tables.merchant, merchant.holder == point.merchant)
    )


def spell_serial(typed: str) -> str:
    """Return a serial as it is stored, however it was typed: I and L are 1, O is 0, hyphens and spaces do not count."""
    return typed.upper().translate(_MISREAD)


def point_by_serial(connection: sa.Connection, serial: str) -> Point | None:
    """Find a point by the serial on its sticker, as a person types it."""
    spelled = spell_serial(serial)
    if len(spelled) != SERIAL_CHARS or not set(spelled) <= set(SERIAL_LETTERS):
        return None
    return _one(connection, tables.point.c.serial == spelled)


def point_by_id(connection: sa.Connection, point: UUID, *, merchant: UUID | None = None) -> Point | None:
    """Find a point by its id; with `merchant`, as a code names both: one of another merchant is none."""
    found = _one(connection, tables.point.c.id == point)
    return found if found and merchant in (None, found.merchant) else None


def points_of(connection: sa.Connection, merchant: UUID, *, revoked: bool = False) -> list[Point]:
    """Return a merchant's points, oldest first; those that were revoked only if asked for."""
    query = _points().where(tables.point.c.merchant == merchant).order_by(tables.point.c.id)
    if not revoked:
        query = query.where(tables.point.c.revoked_at.is_(None))
    return [Point(**row._mapping) for row in connection.execute(query)]


def role_of(connection: sa.Connection, merchant: UUID, holder: UUID) -> StaffRole | None:
    """Return what somebody may do for a merchant now; a merchant's own machine does what a manager does."""
    if merchant == holder:
        return StaffRole.MANAGER
    staff = tables.staff.c
    query = sa.select(staff.role).where(staff.merchant == merchant, staff.holder == holder, staff.until.is_(None))
    role = connection.execute(query).scalar()
    return StaffRole(role) if role else None


def must(connection: sa.Connection, merchant: UUID, signer: UUID, *least: StaffRole) -> StaffRole:
    """Return what the signer may do for a merchant, if it is one of `least`, or anything where none is named.

    Raises:
        MerchantNotFound: nothing at all; NotYours: too little.
    """
    role = role_of(connection, merchant, signer)
    if role is None:
        raise MerchantNotFound(param="merchant")
    if least and role not in least:
        raise NotYours(param="merchant")
    return role


def _one(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Point | None:
    row = connection.execute(_points().where(where)).one_or_none()
    return Point(**row._mapping) if row else None
