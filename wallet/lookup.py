"""Look-ups: what came of an order, and the order itself, word for word, for whoever signed it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger.tables import authority, order_content
from wallet.ledger.tables import outcome as outcomes
from wallet.refusal import Refusal


class NotFound(Refusal):
    """No order of the caller's with that id has arrived."""

    code = "order_not_found"
    status = 404
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutcome:
    """An order's outcome as it is stored, and when the order was claimed."""

    order: OrderId
    kind: str
    at: datetime
    status: int
    code: str | None
    body: bytes
    entries: tuple[EntryId, ...]


def outcome(connection: sa.Connection, *, signer: HolderId, order: UUID) -> StoredOutcome:
    """Return the outcome of a signer's order.

    Raises:
        NotFound.
    """
    row = connection.execute(
        sa.select(
            authority.c.order_id, authority.c.order_kind, authority.c.at, outcomes.c.status, outcomes.c.code,
            outcomes.c.body, outcomes.c.entries,
        )
        .join(outcomes, outcomes.c.authority == authority.c.id)
        .where(authority.c.signer == signer, authority.c.order_id == order)
    ).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound(param="order")
    return StoredOutcome(
        order=row.order_id,
        kind=row.order_kind,
        at=row.at,
        status=row.status,
        code=row.code,
        body=row.body,
        entries=tuple(row.entries),
    )


def content(connection: sa.Connection, *, signer: HolderId, order: UUID) -> bytes:
    """Return the bytes that the signer signed.

    Raises:
        NotFound: never arrived, or shredded.
    """
    found = contents(connection, [(signer, order)])
    if not found:
        raise NotFound(param="order")
    return found[signer, order]


def contents(connection: sa.Connection, orders: Collection[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], bytes]:
    """Return the bytes of several orders, each named by its signer and id; those that were shredded are left out.

    The caller shows them to whoever is a party to each.
    """
    rows = connection.execute(
        sa.select(authority.c.signer, authority.c.order_id, order_content.c.bytes)
        .join(authority, authority.c.id == order_content.c.authority)
        .where(sa.tuple_(authority.c.signer, authority.c.order_id).in_(list(orders)))
    )
    return {(row.signer, row.order_id): bytes(row.bytes) for row in rows}
