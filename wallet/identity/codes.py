"""One-time codes: six digits to a phone, for one purpose, good for ten minutes and one use.

Source  OWASP ASVS 6.5: single use, short life, bound to what they are for.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa

from wallet import crypto
from wallet.identity import tables
from wallet.refusal import Refusal

LIFE: Final = timedelta(minutes=10)
DIGITS: Final = 6


class WrongCode(Refusal):
    """Wrong, used, or too old."""

    code = "one_time_code_wrong"
    status = 403
    stored = False


def make(unit: sa.Connection, *, secret: bytes, purpose: str, phone: str, now: datetime) -> tuple[UUID, str]:
    """Make a code for a phone and purpose; the last one made is the only one that counts. Returns its id and digits."""
    id, code = uuid4(), f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    unit.execute(
        sa.insert(tables.one_time_code).values(
            id=id, purpose=purpose, phone=phone, hash=crypto.code_hash(secret, purpose, phone, code), sent_at=now
        )
    )
    return id, code


def verify(
    unit: sa.Connection,
    *,
    secret: bytes,
    purpose: str,
    phone: str,
    code: str,
    now: datetime,
    id: UUID | None = None,
    life: timedelta = LIFE,
) -> UUID:
    """Use up the newest code of a phone and purpose if `code` is it. The caller has counted the try.

    Args:
        id: which errand asks, where one was begun: a code sent for another errand does not open this one, so nobody can
            lay a wait beside somebody else's and have them type the code.
        life: how long after sending the code counts.

    Returns:
        The errand's id from here on: a fresh one, so that an id known before the code was typed is worth nothing.

    Raises:
        WrongCode.
    """
    table = tables.one_time_code
    newest = unit.execute(
        sa.select(table)
        .where(table.c.phone == phone, table.c.purpose == purpose)
        .order_by(table.c.sent_at.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()
    if (
        newest is None
        or (id is not None and newest.id != id)
        or newest.verified_at is not None
        or now - newest.sent_at > life
        or not hmac.compare_digest(newest.hash, crypto.code_hash(secret, purpose, phone, code))
    ):
        raise WrongCode(param="code")
    fresh = uuid4()
    unit.execute(sa.update(table).where(table.c.id == newest.id).values(id=fresh, verified_at=now))
    return fresh


def phone_of(connection: sa.Connection, id: UUID, *, verified: bool, now: datetime) -> str | None:
    """Return the phone that a code was sent to, while its errand is still open; None when it is over."""
    table = tables.one_time_code
    row = connection.execute(sa.select(table).where(table.c.id == id, table.c.used_at.is_(None))).one_or_none()
    if row is None or (row.verified_at is not None) is not verified:
        return None
    return str(row.phone) if now - (row.verified_at or row.sent_at) <= LIFE else None


def forget(unit: sa.Connection, phone: str) -> None:
    """Make every code sent to a phone worthless."""
    unit.execute(sa.delete(tables.one_time_code).where(tables.one_time_code.c.phone == phone))


def use(unit: sa.Connection, id: UUID, *, now: datetime) -> str:
    """Close the errand of a verified code, once, and return its phone.

    Raises:
        WrongCode: not verified, used before, or too old.
    """
    table = tables.one_time_code
    phone = unit.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.used_at.is_(None), table.c.verified_at > now - LIFE)
        .values(used_at=now)
        .returning(table.c.phone)
    ).scalar()
    if phone is None:
        raise WrongCode(param="code")
    return str(phone)
