"""Takings: what came in at an acceptance point, held against what was asked for. No balance: a cashier need not know it.

Words   A taking is a payment as its counter sees it. It is `exact`, `under` or `over` what was asked for at the till, or
        just `received` where nothing was, or where the cashier still has to say which invoice it answers.
Money   Whole đồng.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from market import speech, tally
from market.speech import Said
from market.tables import invoice, match, payment, resolution

RECENT_MAX: Final = 20
"""On a counter's list: a busy quarter of an hour."""
WAITING_MAX: Final = 6
"""As many as a cashier can pick from at a glance."""
TOTAL_OF: Final = timedelta(hours=24)

_asked = sa.func.coalesce(payment.c.invoice, match.c.invoice)

COLUMNS: Final = (
    payment.c.entry,
    payment.c.point,
    payment.c.amount,
    payment.c.at,
    invoice.c.id.label("invoice"),
    invoice.c.number,
    invoice.c.amount.label("asked"),
    match.c.how,
    resolution.c.how.label("resolved"),
)
FOUND: Final = (
    payment.outerjoin(match, match.c.payment == payment.c.entry)
    .outerjoin(invoice, invoice.c.id == _asked)
    .outerjoin(resolution, resolution.c.payment == payment.c.entry)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """A payment, and the invoice that it answers, if it is known to answer one. Amounts are whole đồng."""

    entry: UUID
    point: UUID
    amount: int
    at: datetime
    invoice: UUID | None
    number: str | None
    asked: int | None
    how: str | None
    """How it was matched: None where it pays its invoice by the ledger, or answers none."""
    resolved: str | None
    """What was done about it where it is not what was asked for: accepted, rest_asked, excess_refunded, attached."""

    @property
    def said(self) -> Said:
        """Say how it compares with what was asked for."""
        if self.asked is None:
            return "received"
        if self.amount == self.asked:
            return "exact"
        return "under" if self.amount < self.asked else "over"

    @property
    def difference(self) -> int:
        """Return by how much it is not what was asked for."""
        return 0 if self.asked is None else abs(self.amount - self.asked)

    @property
    def late(self) -> bool:
        """Say whether it came after its invoice had run out."""
        return self.how == "late"

    def told(self, secret: bytes) -> dict[str, Any]:
        """Spell it for a counter's page: amounts as decimal strings, its tally, and the clips that tell of it."""
        clips = speech.sentence(self.said, self.amount, self.difference)
        return {
            "entry": str(self.entry),
            "amount": str(self.amount),
            "at": self.at.isoformat(timespec="seconds"),
            "invoice": str(self.invoice) if self.invoice else None,
            "asked": None if self.asked is None else str(self.asked),
            "difference": str(self.difference),
            "said": self.said,
            "late": self.late,
            "resolved": self.resolved,
            "tally": tally.of(self.entry, secret=secret),
            "clips": clips,
            "words": speech.words_of(clips),
        }


def of_row(row: Any) -> Taking:
    """Make a taking of a row of COLUMNS."""
    return Taking(**{name: getattr(row, name) for name in Taking.__dataclass_fields__})


def recent(connection: sa.Connection, point: UUID) -> Sequence[Taking]:
    """Return what came in at a point last, newest first."""
    query = sa.select(*COLUMNS).select_from(FOUND).where(payment.c.point == point)
    newest = query.order_by(payment.c.at.desc(), payment.c.entry.desc()).limit(RECENT_MAX)
    return [of_row(row) for row in connection.execute(newest)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What came in at all points of a merchant, in whole đồng, and by how many payments."""

    amount: int
    count: int


def total(connection: sa.Connection, merchant: UUID, *, now: datetime) -> Total:
    """Return what came in over the last TOTAL_OF, for who may know it: the owner. Refunds are not taken off."""
    amount = sa.func.coalesce(sa.func.sum(payment.c.amount), 0).label("amount")
    query = sa.select(amount, sa.func.count().label("count")).where(
        payment.c.merchant == merchant, payment.c.at > now - TOTAL_OF
    )
    row = connection.execute(query).one()
    return Total(amount=int(row.amount), count=row[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An invoice that somebody may still pay. `amount` is whole đồng."""

    id: UUID
    amount: int
    made_at: datetime


def waiting(connection: sa.Connection, point: UUID, *, now: datetime) -> Sequence[Waiting]:
    """Return what is asked for at a point and not paid, newest first: what a payment to its sticker may be meant for."""
    is_paid = sa.exists().where(payment.c.invoice == invoice.c.id) | sa.exists().where(match.c.invoice == invoice.c.id)
    query = (
        sa.select(invoice.c.id, invoice.c.amount, invoice.c.made_at)
        .where(invoice.c.point == point, invoice.c.expires_at > now, invoice.c.cancelled_at.is_(None), ~is_paid)
        .order_by(invoice.c.made_at.desc())
        .limit(WAITING_MAX)
    )
    return [Waiting(**row._mapping) for row in connection.execute(query)]
