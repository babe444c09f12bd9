"""In force: the rules and tariffs that the service works by are told in the log when they change.

Why     They stand in files. Without a word in the log, whoever can write the files could charge or refuse by other rules
        for a day, put the files back, and leave no trace but the sums.
Words   A row is one limit or one item of a procedure, as the file has it, with its dates and its citation. Each change of a
        set is told by the rows that are new or other than before, and the names of those that are gone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final

import sqlalchemy as sa

from wallet import ledger, rules
from wallet.canonical import Json
from wallet.city import City
from wallet.events import Event

LOCK: Final = 0x696E_666F
"""Advisory lock ("info"): of several workers that start at once, one tells."""

EVENT_ROWS: Final = 50
"""Rows spelled in one event: some 20 kB of the 64 that an event may have."""


def limits() -> dict[str, Json]:
    """Return every limit there was or will be, by code and first day."""
    return {f"{one.code}:{one.since.isoformat()}": _row(one) for one in rules.limits()}


def tariffs(city: City) -> dict[str, Json]:
    """Return every item of every procedure, by their codes and first day."""
    return {
        f"{procedure.code}:{item.code}:{item.valid_from.isoformat()}": _row(item)
        for procedure in city.procedures.values()
        for item in procedure.items
    }


def tell_changes(unit: sa.Connection, city: City, *, now: datetime) -> int:
    """Tell what has changed since it was told last; returns in how many events.

    Args:
        unit: an open unit.
        city: the city as its file has it now.
        now: the process's clock.
    """
    unit.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    told = 0
    for subject, rows in (("limits", limits()), ("tariffs", tariffs(city))):
        for event in _changes(subject, rows, _told(unit, subject)):
            ledger.tell(unit, event, actor=None, at=now)
            told += 1
    return told


def _changes(subject: str, rows: Mapping[str, Json], told: Mapping[str, Json]) -> Iterator[Event]:
    other = [key for key, row in rows.items() if told.get(key) != row]
    gone = [key for key in told if key not in rows]
    for start in range(0, max(len(other), len(gone)), EVENT_ROWS):
        some = slice(start, start + EVENT_ROWS)
        data: dict[str, Json] = {"gone": gone[some], "rows": {key: rows[key] for key in other[some]}}
        yield Event(type="rules.changed", subject=subject, data=data)


def _told(unit: sa.Connection, subject: str) -> dict[str, Json]:
    """Return the rows that were in force when it was told last: every change since the first, one upon the other."""
    said = "SELECT bytes FROM ledger.event WHERE subject = %s AND type = 'rules.changed' ORDER BY seq"
    rows: dict[str, Json] = {}
    for (raw,) in unit.exec_driver_sql(said, (subject,)):
        data = json.loads(bytes(raw))["data"]
        rows |= data["rows"]
        rows = {key: row for key, row in rows.items() if key not in data["gone"]}
    return rows


def _row(one: Any) -> dict[str, Json]:
    return {field.name: _spelled(getattr(one, field.name)) for field in fields(one)}


def _spelled(value: object) -> Json:
    if isinstance(value, frozenset):
        return sorted(str(one) for one in value)
    return "" if value is None else value.isoformat() if isinstance(value, date) else str(value)
