"""Attempts: counted before the check and committed on their own, so that a burst of a hundred is at most N checks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from wallet import db
from wallet.identity import tables
from wallet.refusal import Refusal


class TooMany(Refusal):
    """Too many attempts; try again later. The right answer would be refused as well."""

    code = "too_many_attempts"
    status = 429
    stored = False


SUBJECT_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Limit:
    """So many tries in a window."""

    name: str
    tries: int
    window: timedelta


PIN_BY_DEVICE: Final = Limit("pin-device", 5, timedelta(minutes=15))
"""Of one holder from one device: a stranger's tries lock the stranger's device, not the holder's."""
PIN_BY_STRANGERS: Final = Limit("pin-strangers", 15, timedelta(hours=1))
"""Of one holder from all devices that never signed in as that holder."""
PIN_BY_ADDRESS: Final = Limit("pin-address", 60, timedelta(minutes=15))
PIN_BY_ALL: Final = Limit("pin-all", 3000, timedelta(minutes=15))
CODE_SENT: Final = Limit("code-sent", 5, timedelta(hours=1))
"""One-time codes sent to one phone number."""
CODE_SENT_BY_ADDRESS: Final = Limit("code-sent-address", 40, timedelta(hours=1))
KEYS_OFFERED: Final = Limit("keys-offered", 20, timedelta(hours=1))
"""Enrolments in one holder's name."""
DEVICE_TOLD: Final = Limit("device-told", 5, timedelta(hours=1))
"""Messages to one phone that tell of a new device."""
CODE_TRIED: Final = Limit("code-tried", 5, timedelta(minutes=10))
LOOKUP_BY_BILL: Final = Limit("lookup-bill", 5, timedelta(hours=1))
"""Guesses at the debtor's detail of one bill by one holder: 10,000 possibilities, five an hour."""
LOOKUP_OF_BILL: Final = Limit("lookup-of-bill", 30, timedelta(hours=24))
"""The same by anybody at all: many accounts must not add up to the 10,000."""
LOOKUP_BY_HOLDER: Final = Limit("lookup-holder", 20, timedelta(hours=1))


def count(database: sa.Engine, tries: list[tuple[Limit, str]], *, now: datetime) -> None:
    """Count one try against each bucket, committed before anything is checked.

    Args:
        database: the application's engine.
        tries: the buckets from the narrowest to the broadest. Counting stops at the first that is over, so that one
            address or one holder who is refused anyhow cannot fill the buckets of everybody else.
        now: the door's clock.

    Raises:
        TooMany: a bucket is over; it names the seconds until it opens again.
    """

    def work(unit: sa.Connection) -> Limit | None:
        for limit, subject in tries:
            assert len(subject) <= SUBJECT_CHARS_MAX, "who counts bounds what is typed"
            counted = unit.exec_driver_sql(
                "SELECT identity.count_attempt(%s, %s, %s)", (f"{limit.name}:{subject}", now, limit.window)
            ).scalar_one()
            if counted > limit.tries:
                return limit
        return None

    over = db.unit(database, work)
    if over is not None:
        raise TooMany(retry_after_s=str(int(over.window.total_seconds())))


def forget(unit: sa.Connection, limit: Limit, subject: str) -> None:
    """Start a bucket anew after a success."""
    unit.execute(sa.delete(tables.attempt).where(tables.attempt.c.bucket == f"{limit.name}:{subject}"))
