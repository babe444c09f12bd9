"""What the leaves of the log tell the counters: each payment, once, to the streams of its acceptance point."""

from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa

from market import takings
from market.tables import payment
from wallet.ledger.tables import event
from wallet.live.hub import Told
from wallet.log.tables import leaf


class Counters:
    """The source of the counters' streams; a point's id is its topic.

    Args:
        secret: the service's own, for the tallies.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def between(self, connection: sa.Connection, low: int, high: int, topics: Collection[UUID]) -> Sequence[Told]:
        """Return the payments that leaves low to high (without high) tell of, in order."""
        query = _payments(low, high).where(payment.c.point.in_(topics)).order_by(leaf.c.index)
        return [self._told(row) for row in connection.execute(query)]

    def missed(self, connection: sa.Connection, topic: UUID, low: int, high: int, limit: int) -> Sequence[Told]:
        """Return the newest payments at a point that leaves low to high (without high) tell of, in order."""
        # By the point's own payments, of which there are few, and not by the leaves, of which there may be millions.
        query = _payments(low, high).where(payment.c.point == topic).order_by(payment.c.at.desc()).limit(limit)
        rows = sorted(connection.execute(query), key=lambda row: row.place)
        return [self._told(row) for row in rows]

    def _told(self, row: sa.Row[tuple[object, ...]]) -> Told:
        taking = takings.of_row(row)
        return Told(topic=taking.point, index=row.place, kind="paid", data=taking.told(self._secret))


def _payments(low: int, high: int) -> sa.Select[tuple[object, ...]]:
    found = takings.FOUND.join(event, event.c.entry == payment.c.entry).join(leaf, leaf.c.event == event.c.id)
    return (
        sa.select(*takings.COLUMNS, leaf.c.index.label("place"))
        .select_from(found)
        .where(leaf.c.index >= low, leaf.c.index < high)
    )
