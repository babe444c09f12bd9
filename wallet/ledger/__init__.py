"""The ledger: double entry, balanced by construction, append-only; the only place that writes money.

Words   account, entry, posting, authority, outcome, event: see the README's list.
"""

from wallet.ledger.plan import Entry, Plan, Posting
from wallet.ledger.verbs import Claim, Evidence, Insufficient, NotOpen, claim, execute, fold, open_account, refuse, tell

__all__ = [
    "Claim",
    "Entry",
    "Evidence",
    "Insufficient",
    "NotOpen",
    "Plan",
    "Posting",
    "claim",
    "execute",
    "fold",
    "open_account",
    "refuse",
    "tell",
]
