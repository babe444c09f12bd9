"""The clock: read once, at the door; and the one time zone in which the city's days begin.

Source  Vietnam keeps UTC+7 all year round, without summer time, since 1975.
"""

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

CITY_TIME: Final = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")


def now() -> datetime:
    """Read the clock: aware, UTC. Only doors and processes call this; everything below is given the instant."""
    return datetime.now(UTC)


def day_of(instant: datetime) -> date:
    """Return the city's calendar day of an instant."""
    return instant.astimezone(CITY_TIME).date()


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return the instants at which a day of the city begins and ends."""
    start = datetime.combine(day, time(), CITY_TIME)
    return start, start + timedelta(days=1)
