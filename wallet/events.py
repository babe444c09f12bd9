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
_INSTANT_CHARS: Final = len("2026-11-21T03:05:00.000000Z")


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


def halves(event: Event, *, id: EventId, actor: UUID | None, data: Mapping[str, Json] | None = None) -> tuple[str, str]:
    """Spell an event's bytes before and after its instant, which only the database knows: canonical order puts `at` second.

    Args:
        event: the draft.
        id: the event's own.
        actor: the holder who caused it; None: the service itself.
        data: particulars that the ledger adds to the draft's own.

    Raises:
        AssertionError: longer than a leaf may be, which is a bug of the verb.
    """
    head = f'{{"actor":"{actor or ""}","at":"'
    rest = canonical.dumps(
        {
            "data": {**event.data, **(data or {})},
            "id": str(id),
            "subject": str(event.subject),
            "type": event.type,
            "v": VERSION,
        }
    )
    assert len(head) + _INSTANT_CHARS + len(rest) <= BYTES_MAX, "an event fits a leaf"
    return head, '",' + rest[1:].decode()


def envelope(
    event: Event, *, id: EventId, at: datetime, actor: UUID | None, data: Mapping[str, Json] | None = None
) -> bytes:
    """Spell an event's bytes whole, for one that is recorded with an instant of the caller's."""
    head, tail = halves(event, id=id, actor=actor, data=data)
    return (head + instant(at) + tail).encode()
