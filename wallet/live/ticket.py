"""Tickets: leave to open one stream, given by the service to a page that was let in, and read by the process of streams.

Safety  A ticket is short-lived and keyed; it names one topic and the holder it was given to. It stands in an address, where
        the log of no process of ours keeps it, and a copy opens nothing but the same stream until it runs out.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from wallet.refusal import Refusal

LIFE: Final = timedelta(seconds=60)
"""A page opens its stream at once; this is for a slow line."""

_PARTS: Final = 4
_PURPOSE: Final = b"live ticket v1\0"


class TicketRefused(Refusal):
    """The ticket is not one of ours, or has run out."""

    code = "live_ticket_refused"
    status = 401
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Leave for one holder to hear of one topic."""

    topic: UUID
    holder: UUID


def issue(ticket: Ticket, *, secret: bytes, now: datetime) -> str:
    """Spell a ticket that is good for LIFE from now."""
    said = f"{ticket.topic.hex}.{ticket.holder.hex}.{int((now + LIFE).timestamp())}"
    return f"{said}.{_mac(secret, said)}"


def open(text: str, *, secret: bytes, now: datetime) -> Ticket:
    """Read a ticket.

    Raises:
        TicketRefused: it is not ours, was changed, or has run out.
    """
    said, _, mac = text.rpartition(".")
    # Bytes, because letters beyond ASCII are compared in no constant time but by an exception.
    if text.count(".") != _PARTS - 1 or not hmac.compare_digest(mac.encode(), _mac(secret, said).encode()):
        raise TicketRefused(param="ticket")
    topic, holder, ends = said.split(".")  # what we have signed, we have spelled
    if int(ends) < now.timestamp():
        raise TicketRefused(param="ticket")
    return Ticket(topic=UUID(topic), holder=UUID(holder))


def _mac(secret: bytes, said: str) -> str:
    return hmac.digest(secret, _PURPOSE + said.encode(), "sha256").hex()
