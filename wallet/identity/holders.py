"""Holders: who owns accounts; a person, an agency, or an outside party whose word the books record.

Words   A holder without a PIN is known to us (somebody billed them) but has opened no wallet.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import ids, ledger, text
from wallet.events import Event
from wallet.identity import roles, tables
from wallet.identity.roles import Role
from wallet.ids import AccountId, HolderId
from wallet.ledger import chart
from wallet.refusal import Refusal

_PHONE = re.compile(r"0[0-9]{9}")
"""Vietnam's numbers are ten digits since 2018; +84 and 84 stand for the leading 0."""

PERSON: Final = "person"


class BadPhone(Refusal):
    """Not a Vietnamese phone number."""

    code = "phone_not_valid"
    status = 422
    stored = False


class NameDiffers(Refusal):
    """That phone belongs to somebody of another name: the bill would reach the wrong person."""

    code = "debtor_name_differs"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person as far as the service knows them."""

    holder: HolderId
    name: str
    phone: str | None
    has_pin: bool


def phone_number(text_: str) -> str:
    """Read a phone number however it is spaced, to its ten digits.

    Raises:
        BadPhone.
    """
    digits = re.sub(r"[ .\-()]", "", text_)
    digits = re.sub(r"^(\+84|84(?=[0-9]{9}$))", "0", digits)
    if not _PHONE.fullmatch(digits):
        raise BadPhone(param="phone")
    return digits


def by_phone(connection: sa.Connection, phone: str) -> Person | None:
    """Find the person with a phone number."""
    row = connection.execute(_people().where(tables.person.c.phone == phone)).one_or_none()
    return _person(row) if row else None


def by_id(connection: sa.Connection, holder: UUID) -> Person | None:
    """Find a person by holder id."""
    row = connection.execute(_people().where(tables.person.c.holder == holder)).one_or_none()
    return _person(row) if row else None


def names(connection: sa.Connection, holders: set[UUID]) -> dict[UUID, str]:
    """Return the names of people."""
    rows = connection.execute(
        sa.select(tables.person.c.holder, tables.person.c.name).where(tables.person.c.holder.in_(holders))
    )
    return {row.holder: row.name for row in rows}


def register(
    unit: sa.Connection,
    *,
    kind: Literal["person", "agency", "merchant", "outside"],
    now: datetime,
    id: UUID | None = None,
) -> HolderId:
    """Register a holder that nobody knew before, and tell of it."""
    holder = HolderId(id or ids.new())
    unit.execute(sa.insert(tables.holder).values(id=holder, kind=kind, opened_at=now))
    ledger.tell(unit, Event(type="holder.registered", subject=holder, data={"kind": kind}), actor=holder, at=now)
    return holder


def register_person(unit: sa.Connection, *, name: str, phone: str, now: datetime) -> HolderId:
    """Register a person by name and phone; they have no role and no wallet until they open one."""
    holder = register(unit, kind="person", now=now)
    unit.execute(sa.insert(tables.person).values(holder=holder, name=name, name_folded=text.fold(name), phone=phone))
    return holder


def debtor(unit: sa.Connection, *, name: str, phone: str, now: datetime) -> HolderId:
    """Find the person that a bill is for, or register them.

    Raises:
        NameDiffers: the phone belongs to a person of another name. Case does not count, accents do: An, Ân and Ấn are
            three people.
    """
    known = by_phone(unit, phone)
    if known is None:
        return register_person(unit, name=name, phone=phone, now=now)
    if known.name.casefold() != name.casefold():
        raise NameDiffers(param="debtor")
    return known.holder


def open_wallet(unit: sa.Connection, holder: HolderId, *, now: datetime) -> AccountId:
    """Make a holder a citizen with a wallet, and tell of it; a second call finds what the first made."""
    roles.grant(unit, holder, Role.CITIZEN, now=now)
    account = ledger.open_account(unit, chart.WALLET, holder=holder)
    ledger.tell(unit, Event(type="wallet.opened", subject=holder, data={"account": str(account)}), actor=holder, at=now)
    return account


def _people() -> sa.Select[Any]:
    person, pin = tables.person, tables.pin
    return sa.select(
        person.c.holder, person.c.name, person.c.phone, pin.c.holder.is_not(None).label("has_pin")
    ).outerjoin(pin, pin.c.holder == person.c.holder)


def _person(row: Any) -> Person:
    return Person(holder=row.holder, name=row.name, phone=row.phone, has_pin=row.has_pin)
