"""Recovery: a person has lost every device; an operator who has checked their identity lets them begin again.

What    Every browser key of theirs is revoked, their PIN and sessions are gone; the wallet stays as it is. They open it
        again with a one-time code to their phone, set a new PIN, and the next browser enrols as the first.
Why     Without it a lost phone locks the money in. It asks for a second person, because a code by text alone would make
        a stolen SIM card worth a wallet (OWASP ASVS 7.5.1).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from wallet.events import Event
from wallet.identity import holders, keys, sessions, tables
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal

REASON_CHARS_MAX: Final = 300


class NoWallet(Refusal):
    """Nobody has opened a wallet with that phone."""

    code = "recovery_no_wallet"
    status = 404


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
    """Revoke a person's browser keys, PIN and sessions.

    Raises:
        NoWallet.
    """
    person = holders.by_phone(unit, order.phone)
    if person is None or not person.has_pin:
        raise NoWallet(param="phone")
    revoked = keys.revoke_browsers(unit, person.holder, now=now)
    unit.execute(sa.delete(tables.pin).where(tables.pin.c.holder == person.holder))
    unit.execute(sa.delete(tables.known_device).where(tables.known_device.c.holder == person.holder))
    sessions.close_all(unit, person.holder)
    told = Event(type="holder.recovered", subject=person.holder, data={"operator": str(claim.signer)})
    done = Recovered(order=order.id, holder=person.holder, keys=tuple(str(event.subject) for event in revoked))
    return Plan(events=(*revoked, told), answer=done)
