"""A plan: what a verb has decided, before anything is written.

Words   A posting pairs one debit with one credit of equal amount, so an entry is balanced by construction.
Money   Whole đồng, 1 ≤ amount ≤ `money.AMOUNT_MAX`; at most POSTINGS_MAX postings in a plan.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wallet.events import Event
from wallet.ids import AccountId, EntryId
from wallet.money import AMOUNT_MAX, Dong

POSTINGS_MAX: Final = 256
"""A unit that locks and writes more than this belongs to a batch of several units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """So much from here to there: `debit` and `credit` in the accountant's sense."""

    debit: AccountId
    credit: AccountId
    amount: Dong

    def __post_init__(self) -> None:
        """Assert what the CHECK beneath asserts again: a bad posting is a bug of the verb."""
        assert 1 <= self.amount <= AMOUNT_MAX, "a posting moves a whole number of đồng, at least one"
        assert self.debit != self.credit, "a posting has two accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One balanced event, when it took effect in the world, and what it settles, if it settles something."""

    id: EntryId
    kind: str
    effective_at: datetime
    postings: tuple[Posting, ...]
    settles: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `ledger.execute` carries out in one call: entries, the events that tell of them, and the answer.

    `answer` is what the door's schema spells; it becomes the stored outcome.
    """

    answer: Any
    entries: tuple[Entry, ...] = ()
    events: tuple[Event, ...] = field(default=())

    def __post_init__(self) -> None:
        """Assert that the plan fits one unit and that whatever happens is told."""
        assert sum(len(entry.postings) for entry in self.entries) <= POSTINGS_MAX, "too many postings for one unit"
        assert self.events, "each change records an event"
        told = {event.entry for event in self.events}
        assert all(entry.id in told for entry in self.entries), "each entry is told by an event"
