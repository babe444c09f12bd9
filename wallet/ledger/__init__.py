"""The ledger: double entry, balanced by construction, append-only; the only place that writes money.

Words   account, entry, posting, hold, authority, outcome, event, period: see the README's list.
"""

from wallet.ledger.plan import Capture, Count, Entry, Guard, Hold, Mandate, Move, Plan, Posting, Release
from wallet.ledger.refusals import Insufficient
from wallet.ledger.verbs import (
    BatchItem,
    Claim,
    Evidence,
    Found,
    claim,
    close_period,
    conclude,
    fold,
    open_account,
    post,
    post_batch,
    post_order,
    refuse,
    tell,
)

__all__ = [
    "BatchItem",
    "Capture",
    "Claim",
    "Count",
    "Entry",
    "Evidence",
    "Found",
    "Guard",
    "Hold",
    "Insufficient",
    "Mandate",
    "Move",
    "Plan",
    "Posting",
    "Release",
    "claim",
    "close_period",
    "conclude",
    "fold",
    "open_account",
    "post",
    "post_batch",
    "post_order",
    "refuse",
    "tell",
]
