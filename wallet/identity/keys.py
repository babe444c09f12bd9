"""Keys: enrolled by proof of possession, approved by an older device, revoked for ever.

Words   A browser's key never leaves it; a machine's lies on a server. A pending key signs nothing yet.
        The first browser of a holder comes in by a one-time code; every further one waits for an older device.
        A machine's key has no screen to ask on, so it does not count as an older device for the first browser.
Source  RFC 7638 (a key's id is its thumbprint, so it can never name another key).
"""

import hmac
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import clock, crypto, states
from wallet.canonical import Json
from wallet.crypto import PublicKey
from wallet.events import Event
from wallet.identity import codes, holders, tables
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal

PENDING_MAX: Final = 5
"""Keys of a holder that may wait for approval at a time."""
PENDING_LIFE: Final = timedelta(days=1)
"""How long a key waits for approval; then it is as good as never enrolled."""
LABEL_CHARS_MAX: Final = 60
WELCOME_CHARS: Final = 8
WELCOME_LETTERS: Final = "ACDEFGHJKLMNPQRTUVWXY3479"
_WELCOME: Final = b"machine's welcome v1\0"
ENROL: Final = "enrol"
"""The purpose of the one-time code that lets a first browser in."""


class NotFound(Refusal):
    """No key of the caller's with that id."""

    code = "key_not_found"
    status = 404


class Enrolled(Refusal):
    """That key is enrolled already; a key is enrolled once in its life."""

    code = "key_enrolled"
    status = 409
    stored = False


class TooManyPending(Refusal):
    """Too many keys wait for approval."""

    code = "key_too_many_pending"
    status = 409
    stored = False


class NotPending(Refusal):
    """The key waits for no approval: it is active or revoked."""

    code = "key_not_pending"
    status = 409


class Revoked(Refusal):
    """The key is revoked already."""

    code = "key_revoked"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolOrder:
    """What the new key itself signed. `code` is empty where an older device shall approve."""

    id: OrderId
    key: PublicKey
    label: str
    device: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrder:
    """An order about a key: to approve or to revoke it."""

    id: OrderId
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as its holder sees it."""

    id: str
    holder: HolderId
    label: str
    device: str
    state: str
    enrolled_at: datetime
    revoked_at: datetime | None


def public_key(connection: sa.Connection, key_id: str) -> PublicKey | None:
    """Return the public key with an id, alive or not; whether it is alive is judged under lock, when it counts."""
    text = connection.execute(sa.select(tables.key.c.jwk).where(tables.key.c.id == key_id)).scalar()
    return crypto.public_key_of(text) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """When a key was enrolled, and whether it was its holder's first. Neither ever changes."""

    at: datetime
    first: bool


_ENROLMENTS: Final = (
    "SELECT k.enrolled_at, NOT EXISTS (SELECT 1 FROM identity.key o WHERE o.holder = k.holder"
    " AND (o.enrolled_at, o.id) < (k.enrolled_at, k.id)) AS first FROM identity.key k"
)


def enrolment(connection: sa.Connection, key_id: str) -> Enrolment | None:
    """Return when a key was enrolled."""
    row = connection.exec_driver_sql(_ENROLMENTS + " WHERE k.id = %s", (key_id,)).one_or_none()
    return Enrolment(at=row.enrolled_at, first=row.first) if row else None


def enrolments(connection: sa.Connection, holder: HolderId) -> list[Enrolment]:
    """Return when each of a holder's active keys was enrolled."""
    rows = connection.exec_driver_sql(_ENROLMENTS + " WHERE k.holder = %s AND k.state = 'active'", (holder,))
    return [Enrolment(at=row.enrolled_at, first=row.first) for row in rows]


def alive(connection: sa.Connection, key_id: str) -> HolderId | None:
    """Return the holder of an active key."""
    return connection.execute(
        sa.select(tables.key.c.holder).where(tables.key.c.id == key_id, tables.key.c.state == "active")
    ).scalar()


def of(connection: sa.Connection, holder: HolderId) -> list[Key]:
    """Return a holder's keys, newest first."""
    rows = connection.execute(
        sa.select(tables.key).where(tables.key.c.holder == holder).order_by(tables.key.c.enrolled_at.desc())
    )
    return [_key(row) for row in rows]


def by_id(connection: sa.Connection, key_id: str) -> Key | None:
    """Return a key."""
    row = connection.execute(sa.select(tables.key).where(tables.key.c.id == key_id)).one_or_none()
    return _key(row) if row else None


def has_device(connection: sa.Connection, holder: HolderId) -> bool:
    """Say whether a holder has an active browser, which then approves the next."""
    key = tables.key
    return (
        connection.execute(
            sa.select(sa.true())
            .where(key.c.holder == holder, key.c.state == "active", key.c.device == "browser")
            .limit(1)
        ).scalar()
        or False
    )


def enrol(unit: sa.Connection, claim: Claim, order: EnrolOrder, *, secret: bytes, now: datetime) -> Plan:
    """Enrol a key that has signed its own enrolment.

    The first browser with its one-time code is active at once; everything else waits for an older device.

    Args:
        unit: an open unit whose order is claimed.
        claim: whose order it is.
        order: the key and how it comes in.
        secret: the server's, under which one-time codes are hashed.
        now: the door's clock; the caller has counted the try of the code.

    Raises:
        Enrolled, TooManyPending, codes.WrongCode.
    """
    holder = claim.signer
    # One enrolment of a holder at a time: two "first" browsers at once would both be let in.
    unit.exec_driver_sql("SELECT identity.lock_holder(%s)", (holder,))
    first = order.device == "browser" and bool(order.code) and not has_device(unit, holder)
    if first:
        person = holders.by_id(unit, holder)
        if person is None or person.phone is None:
            raise codes.WrongCode(param="code")
        codes.verify(unit, secret=secret, purpose=ENROL, phone=person.phone, code=order.code, now=now)
    elif sum(waits(key, now) for key in of(unit, holder)) >= PENDING_MAX:
        raise TooManyPending
    return _add(unit, holder, order, "active" if first else "pending", now=now)


def admit(unit: sa.Connection, holder: HolderId, order: EnrolOrder, *, now: datetime) -> Plan:
    """Enrol a key as active on the word of whoever runs the service: a machine's, or the demo's."""
    return _add(unit, holder, order, "active", now=now)


def approve(unit: sa.Connection, claim: Claim, order: KeyOrder, *, now: datetime) -> Plan:
    """Let a pending key in, by an order that an active one signed.

    Raises:
        NotFound, NotPending.
    """
    return let_in(unit, claim.signer, order.key, now=now)


def let_in(unit: sa.Connection, holder: HolderId, key_id: str, *, now: datetime) -> Plan:
    """Let a holder's pending key in, on the word of whoever may speak for the holder: that is for the caller to judge.

    Raises:
        NotFound, NotPending.
    """
    key = _own(unit, holder, key_id)
    event = states.move(states.KEY, key.state, "active")
    if event is None or not waits(key, now):
        raise NotPending(param="key")
    unit.execute(sa.update(tables.key).where(tables.key.c.id == key.id).values(state="active"))
    return Plan(events=(Event(type=event, subject=key.id),), answer={"id": key.id, "state": "active"})


def revoke(unit: sa.Connection, claim: Claim, order: KeyOrder, *, now: datetime) -> Plan:
    """Revoke a key of the signer's, itself included. Nothing it signs counts from here on.

    Raises:
        NotFound, Revoked.
    """
    return shut_out(unit, claim.signer, order.key, now=now)


def shut_out(unit: sa.Connection, holder: HolderId, key_id: str, *, now: datetime) -> Plan:
    """Revoke a holder's key, on the word of whoever may speak for the holder: that is for the caller to judge.

    Raises:
        NotFound, Revoked.
    """
    key = _own(unit, holder, key_id)
    return Plan(events=(_revoke(unit, key, now=now),), answer={"id": key.id, "state": "revoked"})


def revoke_all(unit: sa.Connection, holder: HolderId, *, now: datetime) -> list[Event]:
    """Revoke every key of a holder who has lost their devices: what calls itself a machine may be the thief's."""
    unit.exec_driver_sql("SELECT identity.lock_holder(%s)", (holder,))
    keys = tables.key
    rows = unit.execute(
        sa.select(keys).where(keys.c.holder == holder, keys.c.state != "revoked").order_by(keys.c.id).with_for_update()
    ).all()
    return [_revoke(unit, _key(row), now=now) for row in rows]


def welcome(holder: HolderId, day: date, *, secret: bytes) -> str:
    """Return the code by which a machine of a holder's may offer its key on a day: who knows the holder's id alone may not.

    Args:
        holder: whose machine it would be.
        day: of the city's.
        secret: the service's own.
    """
    key = hmac.digest(secret, _WELCOME, "sha256")
    drawn = int.from_bytes(hmac.digest(key, holder.bytes + day.isoformat().encode(), "sha256"))
    letters = []
    for _ in range(WELCOME_CHARS):
        drawn, place = divmod(drawn, len(WELCOME_LETTERS))
        letters.append(WELCOME_LETTERS[place])
    return "".join(letters)


def is_welcome(code: str, holder: HolderId, *, secret: bytes, now: datetime) -> bool:
    """Say whether a code lets a machine offer its key: today's, or yesterday's."""
    today = clock.day_of(now)
    codes_ = [welcome(holder, day, secret=secret) for day in (today, today - timedelta(days=1))]
    return any(hmac.compare_digest(code.encode(), one.encode()) for one in codes_)


def _add(unit: sa.Connection, holder: HolderId, order: EnrolOrder, state: str, *, now: datetime) -> Plan:
    added = unit.execute(
        insert(tables.key)
        .values(
            id=order.key.id,
            holder=holder,
            jwk=crypto.jwk_text(order.key.jwk),
            label=order.label,
            device=order.device,
            state=state,
            enrolled_at=now,
        )
        .on_conflict_do_nothing()
        .returning(tables.key.c.id)
    ).scalar()
    if added is None:
        raise Enrolled(param="key")
    data: dict[str, Json] = {"device": order.device, "holder": str(holder), "jwk": dict(order.key.jwk), "state": state}
    return Plan(
        events=(Event(type="key.enrolled", subject=order.key.id, data=data),),
        answer={"id": order.key.id, "state": state},
    )


def _own(unit: sa.Connection, holder: HolderId, key_id: str) -> Key:
    row = unit.execute(
        sa.select(tables.key).where(tables.key.c.id == key_id, tables.key.c.holder == holder).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound(param="key")
    return _key(row)


def waits(key: Key, now: datetime) -> bool:
    """Say whether a key may still be let in."""
    return key.state == "pending" and now - key.enrolled_at <= PENDING_LIFE


def _revoke(unit: sa.Connection, key: Key, *, now: datetime) -> Event:
    event = states.move(states.KEY, key.state, "revoked")
    if event is None:
        raise Revoked(param="key")
    unit.execute(sa.update(tables.key).where(tables.key.c.id == key.id).values(state="revoked", revoked_at=now))
    return Event(type=event, subject=key.id)


def _key(row: Any) -> Key:
    return Key(
        id=row.id,
        holder=row.holder,
        label=row.label,
        device=row.device,
        state=row.state,
        enrolled_at=row.enrolled_at,
        revoked_at=row.revoked_at,
    )
