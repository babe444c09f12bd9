"""Quarantine: what an acquirer told that is unlike what we know. Nothing in it moves money; a person looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import ids, ledger
from wallet.cards import tables
from wallet.events import Event
from wallet.ids import HolderId
from wallet.refusal import Refusal

Reason = Literal[
    "unknown", "denied", "other_account", "wrong_mode", "amount_differs", "currency_differs", "id_differs", "state_differs"
]  # fmt: skip

LISTED_MAX: Final = 100


class NotFound(Refusal):
    """Nothing with that id waits in quarantine."""

    code = "card_quarantine_not_found"
    status = 404
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that is not believed."""

    id: UUID
    acquirer: str
    about: str
    subject: str
    notice: str | None
    payment: UUID | None
    reason: Reason
    said: dict[str, Any]
    at: datetime


def put(
    unit: sa.Connection,
    acquirer: str,
    reason: Reason,
    *,
    about: str,
    subject: str,
    said: Mapping[str, str],
    now: datetime,
    notice: str | None = None,
    payment: UUID | None = None,
) -> None:
    """Put something in quarantine and tell of it; what is there already for the same reason stays as it is."""
    table = tables.quarantine
    made = unit.execute(
        insert(table)
        .values(
            id=ids.new(),
            acquirer=acquirer,
            about=about,
            subject=subject,
            notice=notice,
            payment=payment,
            reason=reason,
            said=dict(said),
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(table.c.id)
    ).scalar()
    if made is not None:
        told = Event(type="card_notice.quarantined", subject=made, data={"about": about, "reason": reason})
        ledger.tell(unit, told, actor=None, at=now)


def waiting(connection: sa.Connection) -> list[Item]:
    """Return what nobody has resolved yet, oldest first."""
    query = _items().where(tables.quarantine.c.resolved_at.is_(None)).order_by(tables.quarantine.c.at)
    return [Item(**row._mapping) for row in connection.execute(query.limit(LISTED_MAX))]


def read(connection: sa.Connection, item: UUID) -> Item:
    """Return what waits under an id.

    Raises:
        NotFound.
    """
    table = tables.quarantine
    row = connection.execute(_items().where(table.c.id == item, table.c.resolved_at.is_(None))).one_or_none()
    if row is None:
        raise NotFound(param="item")
    return Item(**row._mapping)


def resolve(
    unit: sa.Connection, item: UUID, *, how: Literal["asked_again", "set_aside"], by: HolderId, now: datetime
) -> bool:
    """Take something out of quarantine, once, and tell who did."""
    table = tables.quarantine
    done = unit.execute(
        sa.update(table)
        .where(table.c.id == item, table.c.resolved_at.is_(None))
        .values(resolved_at=now, resolved_by=by, how=how)
    ).rowcount
    if done:
        ledger.tell(unit, Event(type="card_notice.resolved", subject=item, data={"how": how}), actor=by, at=now)
    return bool(done)


def _items() -> sa.Select[Any]:
    table = tables.quarantine
    return sa.select(*[column for column in table.c if column.name not in ("resolved_at", "resolved_by", "how")])
