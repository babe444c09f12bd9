"""Sessions: a random token in a cookie, its hash here; ended on the server, not only in the browser."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from wallet import crypto
from wallet.identity import tables
from wallet.identity.roles import Role
from wallet.ids import HolderId

IDLE: Final = timedelta(minutes=30)
LIFE: Final = timedelta(hours=12)
_SEEN_EVERY: Final = timedelta(minutes=1)
"""How exact `seen_at` is: reading a page need not write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Who is looking at the page."""

    holder: HolderId
    name: str
    role: Role
    agency: HolderId | None


def open(unit: sa.Connection, holder: HolderId, *, now: datetime) -> str:
    """Open a session and return its token, which is nowhere else; always a new one, so none can be fixed beforehand."""
    token = secrets.token_urlsafe(32)
    unit.execute(
        sa.insert(tables.session).values(token_hash=crypto.token_hash(token), holder=holder, opened_at=now, seen_at=now)
    )
    return token


def find(unit: sa.Connection, token: str, *, now: datetime) -> SignedIn | None:
    """Return who holds a session that is neither idle too long nor too old, and note that it was seen."""
    session, person, role = tables.session, tables.person, tables.role
    row = unit.execute(
        sa.select(session.c.token_hash, session.c.holder, session.c.seen_at, person.c.name, role.c.role, role.c.agency)
        .join(person, person.c.holder == session.c.holder)
        .join(role, role.c.holder == session.c.holder)
        .where(
            session.c.token_hash == crypto.token_hash(token),
            session.c.seen_at > now - IDLE,
            session.c.opened_at > now - LIFE,
        )
        .order_by(role.c.role != Role.CITIZEN.value, role.c.role)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    if now - row.seen_at > _SEEN_EVERY:
        unit.execute(sa.update(session).where(session.c.token_hash == row.token_hash).values(seen_at=now))
    return SignedIn(holder=row.holder, name=row.name, role=Role(row.role), agency=row.agency)


def close(unit: sa.Connection, token: str) -> None:
    """End a session."""
    unit.execute(sa.delete(tables.session).where(tables.session.c.token_hash == crypto.token_hash(token)))


def close_others_of_key(unit: sa.Connection, key_id: str, token: str) -> None:
    """End every session of a key's holder but the one with this token."""
    holder = sa.select(tables.key.c.holder).where(tables.key.c.id == key_id).scalar_subquery()
    unit.execute(
        sa.delete(tables.session).where(
            tables.session.c.holder == holder, tables.session.c.token_hash != crypto.token_hash(token)
        )
    )


def close_all(unit: sa.Connection, holder: HolderId) -> None:
    """End every session of a holder."""
    unit.execute(sa.delete(tables.session).where(tables.session.c.holder == holder))


def sweep(unit: sa.Connection, *, now: datetime) -> int:
    """Delete what has run out: sessions, one-time codes and attempt counters a day old. Returns how many rows."""
    session, code, attempt = tables.session, tables.one_time_code, tables.attempt
    day = now - timedelta(days=1)
    return sum(
        unit.execute(statement).rowcount
        for statement in (
            sa.delete(session).where(sa.or_(session.c.seen_at < now - IDLE, session.c.opened_at < now - LIFE)),
            sa.delete(code).where(code.c.sent_at < day),
            sa.delete(attempt).where(attempt.c.resets_at < day),
        )
    )
