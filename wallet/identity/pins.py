"""PINs: six digits, argon2id, tries counted before they are checked, the guessable ones refused.

Source  OWASP ASVS 6.1.1 (a stranger must not lock a holder out), 6.2.4 (common secrets refused).
"""

import re
from datetime import datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import crypto, db, ledger
from wallet.events import Event
from wallet.identity import attempts, holders, tables
from wallet.ids import HolderId
from wallet.refusal import Refusal

_PIN = re.compile(r"[0-9]{6}")
_STRAIGHTS: Final = "0123456789012345", "9876543210987654"


class BadPin(Refusal):
    """Not six digits."""

    code = "pin_not_valid"
    status = 422
    stored = False


class TrivialPin(Refusal):
    """A PIN that anybody would try first."""

    code = "pin_trivial"
    status = 422
    stored = False


class WrongPin(Refusal):
    """Phone and PIN do not belong together; which of the two is not said."""

    code = "pin_wrong"
    status = 403
    stored = False


class HasPin(Refusal):
    """That phone has a wallet already."""

    code = "wallet_exists"
    status = 409
    stored = False


def acceptable(pin: str, *, phone: str) -> str:
    """Return the PIN, or refuse it.

    Raises:
        BadPin, TrivialPin: one digit repeated, a run up or down, a pattern of two or three repeated, a date of birth as
            ddmmyy or yymmdd, a year doubled, or the phone's own first or last six digits.
    """
    if not _PIN.fullmatch(pin):
        raise BadPin(param="pin")
    trivial = (
        any(pin in straight for straight in _STRAIGHTS)
        or pin == pin[:1] * 6
        or pin == pin[:2] * 3
        or pin == pin[:3] * 2
        or pin == "".join(digit * 2 for digit in pin[::2])
        or pin in (phone[:6], phone[-6:])
        or _is_date(pin[:2], pin[2:4])
        or _is_date(pin[4:], pin[2:4])
    )
    if trivial:
        raise TrivialPin(param="pin")
    return pin


def _is_date(day: str, month: str) -> bool:
    return 1 <= int(day) <= 31 and 1 <= int(month) <= 12


def set_first(unit: sa.Connection, holder: HolderId, hashed: str, *, now: datetime) -> None:
    """Set a holder's first PIN, from its hash (hashing takes long and stays outside the unit).

    Raises:
        HasPin.
    """
    done = unit.execute(
        insert(tables.pin).values(holder=holder, hash=hashed, set_at=now).on_conflict_do_nothing().returning(sa.true())
    ).scalar()
    if not done:
        raise HasPin
    ledger.tell(unit, Event(type="pin.set", subject=holder), actor=holder, at=now)


def check(database: sa.Engine, *, phone: str, pin: str, device: bytes, address: str, now: datetime) -> HolderId:
    """Check phone and PIN, and return whose they are; counted before checked, as long for nobody as for somebody.

    Args:
        database: the application's engine.
        phone: ten digits.
        pin: as typed.
        device: hash of the browser's own random token.
        address: the peer's network address.
        now: the door's clock.

    Raises:
        TooMany, WrongPin.
    """
    with database.connect() as connection:
        person = holders.by_phone(connection, phone)
        known = person is not None and _knows(connection, person.holder, device)
        hashed = person and _hash_of(connection, person.holder)
    subject = str(person.holder) if person else phone
    tries = [
        (attempts.PIN_BY_DEVICE, f"{subject}:{device.hex()}"),
        (attempts.PIN_BY_ADDRESS, address),
    ]
    if not known:
        tries += [(attempts.PIN_BY_STRANGERS, subject), (attempts.PIN_BY_ALL, "")]
    attempts.count(database, tries, now=now)
    matches = crypto.pin_matches(hashed or crypto.nobodys_pin(), pin)
    if person is None or hashed is None or not matches:
        raise WrongPin(param="pin")
    holder = person.holder

    def work(unit: sa.Connection) -> None:
        attempts.forget(unit, attempts.PIN_BY_DEVICE, f"{subject}:{device.hex()}")
        remember(unit, holder, device, now=now)

    db.unit(database, work)
    return holder


def remember(unit: sa.Connection, holder: HolderId, device: bytes, *, now: datetime) -> None:
    """Remember a browser that has signed in as this holder: strangers' tries no longer count against it."""
    table = tables.known_device
    unit.execute(
        insert(table)
        .values(holder=holder, device_hash=device, seen_at=now)
        .on_conflict_do_update(index_elements=[table.c.holder, table.c.device_hash], set_={"seen_at": now})
    )


def _knows(connection: sa.Connection, holder: UUID, device: bytes) -> bool:
    table = tables.known_device
    return (
        connection.execute(sa.select(sa.true()).where(table.c.holder == holder, table.c.device_hash == device)).scalar()
        or False
    )


def _hash_of(connection: sa.Connection, holder: UUID) -> str | None:
    return connection.execute(sa.select(tables.pin.c.hash).where(tables.pin.c.holder == holder)).scalar()
