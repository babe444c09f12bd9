"""Roles: what a holder may do at the doors."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import ledger
from wallet.events import Event
from wallet.identity import tables
from wallet.ids import HolderId


class Role(StrEnum):
    """Who somebody is to the service. A holder usually has one."""

    CITIZEN = "citizen"
    OFFICER = "officer"
    AGENCY = "agency"
    MERCHANT = "merchant"
    """A merchant's own machine. Who works for a merchant is a citizen (see `identity.staff`)."""
    AUDITOR = "auditor"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Membership:
    """A holder's role, and for officers and machines the agency that they act for."""

    role: Role
    agency: HolderId | None


def of(connection: sa.Connection, holder: HolderId) -> list[Membership]:
    """Return a holder's roles, as a citizen first."""
    role = tables.role.c.role
    query = sa.select(role, tables.role.c.agency).where(tables.role.c.holder == holder)
    rows = connection.execute(query.order_by(role != Role.CITIZEN.value, role))
    return [Membership(Role(row.role), row.agency) for row in rows]


def agency_of(connection: sa.Connection, holder: HolderId) -> HolderId | None:
    """Return the agency that a holder acts for as officer or machine, if any."""
    return connection.execute(
        sa.select(tables.role.c.agency).where(tables.role.c.holder == holder, tables.role.c.agency.is_not(None))
    ).scalar()


def grant(unit: sa.Connection, holder: HolderId, role: Role, *, now: datetime, agency: HolderId | None = None) -> None:
    """Give a holder a role, and tell of it; giving it again changes nothing.

    Args:
        unit: an open unit.
        holder: who gets the role.
        role: what they may do.
        agency: whose officer or machine they become.
        now: the door's clock.
    """
    given = unit.execute(
        insert(tables.role)
        .values(holder=holder, role=role.value, agency=agency)
        .on_conflict_do_nothing()
        .returning(tables.role.c.holder)
    ).scalar()
    if given is not None:
        data = {"agency": str(agency or ""), "role": role.value}
        ledger.tell(unit, Event(type="role.granted", subject=holder, data=data), actor=None, at=now)
