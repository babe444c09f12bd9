"""A day passes: everything in a test's books is moved into the past, as if it had all happened so much earlier.

How     The superuser shifts each instant that the books keep, with the guards that make them append-only asleep, and spells
        the events' bytes anew. The database's clock stays what it is; so what was today is yesterday, what was to lapse is
        due, a day that was open can be closed, and what was closed was closed long ago. Nothing but instants changes.
        A closed month cannot be shifted by days: only books in which no month was closed.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg

from tests.make import City
from wallet import canonical, events

SHIFTED: Final = {
    "authority": ("at",),
    "entry": ("effective_at", "posted_at"),
    "posting": ("effective_at", "posted_at"),
    "event": ("at",),
    "hold": ("placed_at", "lapses_at"),
    "live_hold": ("lapses_at",),
    "resolution": ("at",),
    "mandate": ("made_at", "lapses_at"),
    "charge": ("at",),
    "account": ("opened_at",),
    "account_move": ("at",),
    "period": ("closed_at",),
}
"""By table: its instants."""

FAR: Final = 100_000
"""Days: a detour, so that no row meets its neighbour of the day before on the way."""


def pass_days(city: City, days: int = 1) -> None:
    """Let so many days pass."""
    with psycopg.connect(city.database.owner_url) as owner:
        owner.execute("SET session_replication_role = replica")
        for table, columns in SHIFTED.items():
            sets = ", ".join(f"{column} = {column} - make_interval(days => %(days)s)" for column in columns)
            owner.execute(f"UPDATE ledger.{table} SET {sets}", {"days": days})
        for far in (-FAR, FAR - days):
            owner.execute("UPDATE ledger.snapshot SET ends = ends + %s", [far])
            owner.execute("UPDATE ledger.period SET starts = starts + %s, ends = ends + %s", [far, far])
        told = owner.execute("SELECT id, bytes FROM ledger.event").fetchall()
        with owner.cursor() as cursor:
            cursor.executemany(
                "UPDATE ledger.event SET bytes = %s WHERE id = %s",
                [(_shifted(bytes(raw), days), id) for id, raw in told],
            )


def _shifted(raw: bytes, days: int) -> bytes:
    said: Any = canonical.loads(raw)
    by = timedelta(days=days)
    said["at"] = _earlier(said["at"], by)
    for holder in (said["data"], said["data"].get("entry", {})):
        for name in ("effective_at", "lapses_at"):
            if name in holder:
                holder[name] = _earlier(holder[name], by)
    for name in ("starts", "ends"):
        if name in said["data"]:
            said["data"][name] = (date.fromisoformat(said["data"][name]) - by).isoformat()
    return canonical.dumps(said)


def _earlier(text: str, by: timedelta) -> str:
    return events.instant(datetime.fromisoformat(text).astimezone(UTC) - by)
