"""Names: masked for an auditor, and whole only by an order that says why, once, and is told.

How     The audit role cannot read names at all: a function of the database's hands them out masked. To reveal one is an
        order of the auditor's, carried out with the application's role. Its reason lies with the order's words; the event
        says who asked and about whom. Neither holds the name.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from wallet.events import Event
from wallet.identity import holders
from wallet.identity.attempts import Limit
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.refusal import Refusal

REASON_CHARS_MAX: Final = 300

REVEALED: Final = Limit("name-revealed", 30, timedelta(hours=24))
"""Names that one auditor may see in a day: an examination needs some, nobody needs the list of people."""


class Nameless(Refusal):
    """That holder is no person whose name is known."""

    code = "reveal_nameless"
    status = 404


class Revealed(Refusal):
    """This form was carried out before, and the name was shown then."""

    code = "reveal_given"
    status = 409
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealOrder:
    """What an auditor orders: to see a holder's name, and why."""

    id: OrderId
    holder: HolderId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal:
    """That a name may be shown, to whoever asked, now. The name itself is in no outcome: outcomes stay for ever."""

    order: OrderId
    holder: HolderId


def masked(connection: sa.Connection, some: Collection[UUID]) -> dict[UUID, str]:
    """Return people's names as an auditor may see them; holders that are no persons are left out.

    Args:
        connection: of the audit role.
        some: holders.
    """
    rows = connection.exec_driver_sql("SELECT holder, name FROM identity.masked_names(%s)", (list(set(some)),))
    return {row.holder: row.name for row in rows}


def reveal(unit: sa.Connection, claim: Claim, order: RevealOrder, *, now: datetime) -> Plan:  # noqa: ARG001 - as every verb
    """Tell that a name is shown to an auditor. Whoever shows it reads it after this is in the books.

    Raises:
        Nameless.
    """
    if holders.by_id(unit, order.holder) is None:
        raise Nameless(param="holder")
    told = Event(type="name.revealed", subject=order.holder, data={"auditor": str(claim.signer)})
    return Plan(events=(told,), answer=Reveal(order=order.id, holder=order.holder))
