"""Recovery: a citizen has lost every device; an operator who has checked their identity lets them begin again.

What    Every key of theirs is revoked, their PIN, codes and sessions are gone; the wallet stays as it is. To open it again
        they need a one-time code to their phone and a ticket, which only the operator sees and hands over at the counter;
        then they set a new PIN, and the next browser enrols as the first.
Why     Without it a lost phone locks the money in. A code by text alone would make a stolen phone or SIM card worth a
        wallet (OWASP ASVS 7.5.1), so the ticket is the second thing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from wallet.events import Event
from wallet.identity import codes, holders, keys, roles, sessions, tables
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal

REASON_CHARS_MAX: Final = 300


TICKET: Final = "recover"
"""The purpose of the code that an operator hands over."""
TICKET_LIFE: Final = timedelta(days=1)


class NoWallet(Refusal):
    """No citizen has opened a wallet with that phone; an officer's way back is not this one."""

    code = "recovery_no_wallet"
    status = 404


class WrongTicket(Refusal):
    """Wrong, used, replaced, or older than a day."""

    code = "recovery_ticket_wrong"
    status = 403
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverOrder:
    """What an operator orders; the reason says how the person's identity was checked."""

    id: OrderId
    phone: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was done."""

    order: OrderId
    holder: HolderId
    keys: tuple[str, ...]


def recover(unit: sa.Connection, claim: Claim, order: RecoverOrder, *, now: datetime) -> Plan:
    """Revoke a citizen's keys, PIN, codes and sessions.

    Raises:
        NoWallet.
    """
    person = holders.by_phone(unit, order.phone)
    if person is None or not person.has_pin or {one.role for one in roles.of(unit, person.holder)} != {Role.CITIZEN}:
        raise NoWallet(param="phone")
    revoked = keys.revoke_all(unit, person.holder, now=now)
    codes.forget(unit, order.phone)
    unit.execute(sa.delete(tables.pin).where(tables.pin.c.holder == person.holder))
    unit.execute(sa.delete(tables.known_device).where(tables.known_device.c.holder == person.holder))
    sessions.close_all(unit, person.holder)
    told = Event(type="holder.recovered", subject=person.holder, data={"operator": str(claim.signer)})
    done = Recovered(order=order.id, holder=person.holder, keys=tuple(str(event.subject) for event in revoked))
    return Plan(events=(*revoked, told), answer=done)


def ticket(unit: sa.Connection, phone: str, *, secret: bytes, now: datetime) -> str:
    """Make the ticket that an operator hands over; the last one made is the only one that counts, for a day, once."""
    return codes.make(unit, secret=secret, purpose=TICKET, phone=phone, now=now)[1]


def needs_ticket(connection: sa.Connection, phone: str) -> bool:
    """Say whether a phone's wallet was opened before and its PIN is gone: then a text alone does not open it."""
    person = holders.by_phone(connection, phone)
    return person is not None and not person.has_pin and bool(roles.of(connection, person.holder))


def redeem(unit: sa.Connection, phone: str, typed: str, *, secret: bytes, now: datetime) -> None:
    """Use up the ticket of a phone. The caller has counted the try.

    Raises:
        WrongTicket.
    """
    try:
        codes.verify(unit, secret=secret, purpose=TICKET, phone=phone, code=typed, now=now, life=TICKET_LIFE)
    except codes.WrongCode:
        raise WrongTicket(param="ticket") from None
