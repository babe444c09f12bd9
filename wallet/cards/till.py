"""The till: what the verbs of cards that talk to an acquirer work with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID, uuid5

import sqlalchemy as sa

from wallet import canonical, ledger
from wallet.canonical import Json
from wallet.events import Event
from wallet.gates.acquirer import Acquirer
from wallet.identity import holders, tables
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Evidence, Plan, chart
from wallet.money import Dong
from wallet.refusal import Refusal

CLEARING: Final[Mapping[str, str]] = {"stripe": chart.STRIPE_CLEARING}
"""By acquirer's name, the line of the chart that says what it owes us. Another acquirer brings its line by migration."""

CURRENCY: Final = "VND"

_PARTIES: Final = UUID("6c4f6a0e-5f2c-5d7e-9d6a-1f0f2b7c9a31")
_WORDS: Final = UUID("d1f7a5c0-0f0a-5b43-8f5e-7a3c2d9e8b64")
_RECORDED: Final = 200


class NoCards(Refusal):
    """The service has no card processor."""

    code = "cards_unavailable"
    status = 503
    stored = False


class Due(NamedTuple):
    """What a target takes, as it stands under its lock: the entry that pays it and the event that tells so."""

    entry: Entry
    event: Event


class Target(Protocol):
    """Something that a card can pay directly: a bill, an invoice."""

    def price(self, connection: sa.Connection, target: UUID, *, holder: HolderId, now: datetime) -> Dong:
        """Return what it costs this holder now.

        Raises:
            Refusal: it cannot be paid, or not by them.
        """

    def settle(
        self, unit: sa.Connection, target: UUID, *, holder: HolderId, amount: Dong, source: AccountId, now: datetime
    ) -> Due | None:
        """Lock the target and return what pays it out of `source`; None if it is no longer to be paid at that price."""

    def keep(self, unit: sa.Connection, entry: EntryId, *, holder: HolderId) -> None:
        """Keep that this entry, posted in this unit, paid the target for `holder`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """The database, the acquirer, and what can be paid.

    `origin` is ours: where the acquirer's pages lead back to.
    """

    database: sa.Engine
    acquirer: Acquirer
    origin: str
    targets: Mapping[str, Target] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The acquirer's name in our books."""
        return self.acquirer.name

    @property
    def party(self) -> HolderId:
        """The acquirer as a holder: whose word it is."""
        return HolderId(uuid5(_PARTIES, self.name))


def house(unit: sa.Connection, code: str) -> AccountId:
    """Return the house's account of a line of the chart."""
    return ledger.open_account(unit, code)


def clearing(unit: sa.Connection, acquirer: str) -> AccountId:
    """Return the account of what an acquirer owes us."""
    return house(unit, CLEARING[acquirer])


def word(till: Till, kind: str, key: str, said: Mapping[str, Json]) -> Evidence:
    """Spell an acquirer's word: the same fact is always the same order with the same bytes, however often it is told.

    Args:
        till: whose word.
        kind: what kind of word it is: card_receipt, card_refund, card_dispute, card_line, card_payout.
        key: what it is about, unique among words of its kind.
        said: the fact, in strings; nothing that may change while it stays the same fact.
    """
    order = OrderId(uuid5(_WORDS, f"{till.name}:{kind}:{key}"))
    content = {**said, "acquirer": till.name, "id": str(order), "kind": kind, "signer": str(till.party), "v": "1"}
    return Evidence(
        kind="outside_word",
        signer=till.party,
        order_id=order,
        order_kind=kind,
        content=canonical.dumps(content),
    )


def book(unit: sa.Connection, till: Till, evidence: Evidence, plan: Plan, *, now: datetime) -> bool:
    """Carry out what follows from an acquirer's word, once; returns whether this was the time.

    Nothing is stored of a refusal: the unit goes back whole, and the word stays to be carried out.

    Raises:
        One of `ledger.refusals`.
    """
    _register(unit, till, now=now)
    claim = Claim.of(evidence)
    found = ledger.claim(unit, evidence, claim)
    if found.state != "new":
        assert found.state == "known", f"the same word has other bytes: {evidence.content!r}"
        return False
    ledger.post(unit, claim, plan, status=_RECORDED, body=canonical.dumps(plan.answer))
    return True


def _register(unit: sa.Connection, till: Till, *, now: datetime) -> None:
    known = unit.execute(sa.select(tables.holder.c.id).where(tables.holder.c.id == till.party)).scalar()
    if known is None:
        holders.register(unit, kind="outside", now=now, id=till.party)
