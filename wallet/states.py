"""State machines as data: which moves are legal, and which event tells of each."""

from collections.abc import Mapping
from typing import Final

Moves = Mapping[tuple[str, str], str]
"""(from, to) -> the event's type."""

BILL: Final[Moves] = {
    ("issued", "cancelled"): "bill.cancelled",
    ("issued", "superseded"): "bill.superseded",
    ("waived", "cancelled"): "bill.cancelled",
    ("waived", "superseded"): "bill.superseded",
}
"""Paid is no state of its own: the ledger entry that settles a bill says so, and then no move is legal."""

KEY: Final[Moves] = {
    ("pending", "active"): "key.approved",
    ("pending", "revoked"): "key.revoked",
    ("active", "revoked"): "key.revoked",
}

HOLD: Final[Moves] = {
    ("held", "captured"): "hold.captured",
    ("held", "voided"): "hold.voided",
    ("held", "lapsed"): "hold.lapsed",
}
HOLD_CAPTURED: Final = HOLD["held", "captured"]
"""Told also of a capture in part, after which the hold is still held."""
HOLD_VOIDED: Final = HOLD["held", "voided"]
HOLD_LAPSED: Final = HOLD["held", "lapsed"]

ACCOUNT: Final[Moves] = {
    ("open", "frozen"): "account.frozen",
    ("frozen", "open"): "account.thawed",
    ("open", "closed"): "account.closed",
    ("frozen", "closed"): "account.closed",
}
"""Closed is the end."""


def move(moves: Moves, before: str, after: str) -> str | None:
    """Return the event's type of a legal move, or None."""
    return moves.get((before, after))
