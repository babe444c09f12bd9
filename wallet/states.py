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


_ENDS: Final = ("failed", "cancelled", "in_doubt")
CARD_PAYMENT: Final[Moves] = {
    (was, to): f"card_payment.{to}"
    for was, reaches in {
        "created": ("requires_action", "processing", "succeeded", *_ENDS),
        "requires_action": ("processing", "succeeded", *_ENDS),
        "processing": ("requires_action", "succeeded", *_ENDS),
        "in_doubt": ("requires_action", "processing", "succeeded", "failed", "cancelled"),
        "failed": ("requires_action", "processing", "succeeded", "cancelled"),
        "cancelled": ("processing", "succeeded"),
    }.items()
    for to in reaches
}
"""A page may be tried again with another card, and what was given up may still be paid: the acquirer's word decides.
In doubt
is left by asking only, and succeeded never."""

CARD_REFUND: Final[Moves] = {
    **{("created", to): f"card_refund.{to}" for to in ("pending", "succeeded", "failed", "in_doubt")},
    **{("in_doubt", to): f"card_refund.{to}" for to in ("created", "pending", "succeeded", "failed")},
    **{("pending", to): f"card_refund.{to}" for to in ("succeeded", "failed")},
    ("succeeded", "failed"): "card_refund.failed",
}
"""From in doubt back to created: the acquirer said that it never came to be, so it is asked for again under the same id. A
card's bank may send back what had succeeded."""

CARD_DISPUTE: Final[Moves] = {
    **{("told", to): f"card_dispute.{to}" for to in ("inquiry", "closed", "opened", "won", "lost")},
    **{("inquiry", to): f"card_dispute.{to}" for to in ("closed", "opened", "won", "lost")},
    **{("opened", to): f"card_dispute.{to}" for to in ("won", "lost")},
    ("lost", "won"): "card_dispute.won",
}


def move(moves: Moves, before: str, after: str) -> str | None:
    """Return the event's type of a legal move, or None."""
    return moves.get((before, after))
