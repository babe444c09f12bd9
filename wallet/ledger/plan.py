"""A plan: what a verb has decided, before anything is written.

Words   A posting pairs one debit with one credit of equal amount, so an entry is balanced by construction.
        A hold is a signed mandate: so much, for this payee, until then. A capture takes of it, by an entry.
Money   Whole đồng, 1 ≤ amount ≤ `money.AMOUNT_MAX`; at most POSTINGS_MAX postings in a plan.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from wallet.events import Event
from wallet.ids import AccountId, AuthorityId, EntryId, HoldId
from wallet.money import AMOUNT_MAX, Dong

POSTINGS_MAX: Final = 256
"""A unit that locks and writes more than this belongs to a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """So much from here to there: `debit` and `credit` in the accountant's sense.

    `of_line` is the line of the reversed or refunded entry that this gives back.
    """

    debit: AccountId
    credit: AccountId
    amount: Dong
    of_line: int | None = None

    def __post_init__(self) -> None:
        """Assert what the CHECK beneath asserts again: a bad posting is a bug of the verb."""
        assert 1 <= self.amount <= AMOUNT_MAX, "a posting moves a whole number of đồng, at least one"
        assert self.debit != self.credit, "a posting has two accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One balanced event, when it took effect in the world, and what it settles, undoes or gives back a part of."""

    id: EntryId
    kind: str
    effective_at: datetime
    postings: tuple[Posting, ...]
    settles: UUID | None = None
    reverses: EntryId | None = None
    refunds: EntryId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """So much of `account` set aside for `payee`, until it is captured, voided or lapses."""

    id: HoldId
    account: AccountId
    payee: AccountId
    amount: Dong
    lapses_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """An entry of this plan that takes of a hold; `final` releases what remains."""

    hold: HoldId
    entry: EntryId
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The rest of a hold given back to available."""

    hold: HoldId
    kind: Literal["void", "lapse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """A holder's word that whoever names `code` may charge `account` once, at most `cap`, until `lapses_at`.

    Nothing is set aside. The authority that signs it is its id; a charge is a plan `under` it.
    """

    account: AccountId
    cap: Dong
    lapses_at: datetime
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """An amount counted against a limit: in which bucket, of the period that starts on which day, up to which cap.

    `renews_at` is when that period ends: for the words of a refusal.
    """

    bucket: str
    starts: date
    amount: Dong
    cap: Dong
    renews_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An account frozen, thawed or closed."""

    account: AccountId
    status: Literal["open", "frozen", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A database function that locks and looks again at what a plan stands on, then calls `ledger.post_order`.

    It takes that function's arguments and `extra`, and refuses with "stale" when the plan has to be made anew.
    """

    function: str
    extra: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `ledger.post` carries out in one call: entries, what becomes of holds, the events that tell, and the answer.

    `answer` is what the door's schema spells; it becomes the stored outcome. `under` is the mandate that this charges.
    `guard` is for a plan that was decided without a lock and stands on more than the ledger's own.
    """

    answer: Any
    entries: tuple[Entry, ...] = ()
    events: tuple[Event, ...] = field(default=())
    limits: tuple[Count, ...] = ()
    holds: tuple[Hold, ...] = ()
    captures: tuple[Capture, ...] = ()
    releases: tuple[Release, ...] = ()
    mandates: tuple[Mandate, ...] = ()
    moves: tuple[Move, ...] = ()
    under: AuthorityId | None = None
    guard: Guard | None = None

    def __post_init__(self) -> None:
        """Assert that the plan fits one unit and that whatever happens is told."""
        assert sum(len(entry.postings) for entry in self.entries) <= POSTINGS_MAX, "too many postings for one unit"
        assert self.events, "each change records an event"
        told = {event.entry for event in self.events}
        assert all(entry.id in told for entry in self.entries), "each entry is told by an event"
