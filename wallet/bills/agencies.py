"""Agencies: the holders that issue bills. What they are called and offer stands in the city's file."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from wallet.bills import tables
from wallet.identity import holders
from wallet.identity.roles import Role, grant
from wallet.ids import HolderId


def register(unit: sa.Connection, code: str, *, now: datetime) -> HolderId:
    """Make an agency of the city's file a holder, so that it can own accounts; once."""
    known = unit.execute(sa.select(tables.agency.c.holder).where(tables.agency.c.code == code)).scalar()
    if known is not None:
        return HolderId(known)
    holder = holders.register(unit, kind="agency", now=now)
    unit.execute(sa.insert(tables.agency).values(holder=holder, code=code))
    grant(unit, holder, Role.AGENCY, agency=holder, now=now)
    return holder


def code_of(connection: sa.Connection, agency: UUID) -> str:
    """Return the code of an agency in the city's file."""
    return str(connection.execute(sa.select(tables.agency.c.code).where(tables.agency.c.holder == agency)).scalar_one())


def codes(connection: sa.Connection) -> dict[UUID, str]:
    """Return the code of every agency by its holder."""
    return {row.holder: row.code for row in connection.execute(sa.select(tables.agency))}
