"""What a bill is today: derived, never stored, from its state, its dates and the entry that settles it."""

from datetime import date
from enum import StrEnum


class Status(StrEnum):
    """A bill's status as people speak of it. Overdue is payable, expired is not."""

    DUE = "due"
    OVERDUE = "overdue"
    PAID = "paid"
    WAIVED = "waived"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"

    @property
    def payable(self) -> bool:
        """Whether money may still go to it."""
        return self in (Status.DUE, Status.OVERDUE)


def of(*, state: str, paid: bool, due: date, expires: date | None, today: date) -> Status:
    """Derive a bill's status.

    Args:
        state: as stored: issued, waived, cancelled or superseded.
        paid: whether a ledger entry settles it; that is stronger than any date.
        due: the last day to pay without being late.
        expires: the last day on which it can be paid at all; None: always.
        today: the city's calendar day.
    """
    if paid:
        return Status.PAID
    if state != "issued":
        return Status(state)
    if expires is not None and today > expires:
        return Status.EXPIRED
    return Status.OVERDUE if today > due else Status.DUE
