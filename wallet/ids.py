"""Ids: every thing has a UUID of its own kind, made by whoever creates the thing and kept before it is sent.

Ours are version 7 (RFC 9562), so that rows made together lie together; a client's may be any random or
time-ordered UUID.
"""

import secrets
import time
from datetime import datetime
from typing import NewType
from uuid import UUID

HolderId = NewType("HolderId", UUID)
AccountId = NewType("AccountId", UUID)
OrderId = NewType("OrderId", UUID)
"""The client's own id of an order: unique for its signer, not for the world."""
AuthorityId = NewType("AuthorityId", UUID)
"""Our own id of what authorised an entry."""
EntryId = NewType("EntryId", UUID)
EventId = NewType("EventId", UUID)
HoldId = NewType("HoldId", UUID)
PeriodId = NewType("PeriodId", UUID)
BillId = NewType("BillId", UUID)


def new() -> UUID:
    """Make a version 7 UUID: 48 bits of Unix milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)


def parse(text: str) -> UUID:
    """Read a UUID in its one canonical form: lower case, with hyphens.

    Raises:
        ValueError: any other form that `uuid.UUID` would also have taken (braces, urn:, upper case).
    """
    value = UUID(text)
    if str(value) != text:
        raise ValueError("not a canonical UUID")
    return value


def epoch(instant: datetime) -> int:
    """Return whole seconds since 1970 of an aware instant."""
    return int(instant.timestamp())
