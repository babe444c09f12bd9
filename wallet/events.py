"""Events: what happened, told once, in the same unit as what it tells.

Words   An event's bytes are decided here and now: `{v, id, type, at, subject, actor, data}` in canonical JSON, at most
        BYTES_MAX. They are stored as they are hashed and never spelled again. `v` never changes its meaning.
        `data` carries ids, postings and amounts; names, phones and memos never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from wallet import canonical
from wallet.canonical import Json
from wallet.ids import EntryId, EventId

VERSION: Final = "1"
BYTES_MAX: Final = 65_535
"""tlog-tiles gives a leaf's length in two bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as a verb drafts it: what kind, about what, which entry it tells of, and its particulars."""

    type: str
    subject: UUID | str
    entry: EntryId | None = None
    data: Mapping[str, Json] = field(default_factory=dict)


def instant(at: datetime) -> str:
    """Spell an instant in UTC to the microsecond: 2026-11-21T03:05:00.000000Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def envelope(
    event: Event, *, id: EventId, at: datetime, actor: UUID | None, data: Mapping[str, Json] | None = None
) -> bytes:
    """Spell an event's bytes.

    Args:
        event: the draft.
        id: the event's own.
        at: the database's clock of the unit that records it.
        actor: the holder who caused it; None: the service itself.
        data: particulars that the ledger adds to the draft's own.

    Raises:
        AssertionError: longer than a leaf may be, which is a bug of the verb.
    """
    spelled = canonical.dumps(
        {
            "v": VERSION,
            "id": str(id),
            "type": event.type,
            "at": instant(at),
            "subject": str(event.subject),
            "actor": str(actor) if actor else "",
            "data": {**event.data, **(data or {})},
        }
    )
    assert len(spelled) <= BYTES_MAX, "an event fits a leaf"
    return spelled
