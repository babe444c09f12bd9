"""Linked cards: a holder as the acquirer knows them, a card being linked on the acquirer's page, and the cards that are.

Safety  Of a card we keep brand, last four digits and expiry; its number never reaches us.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import db, ids, ledger
from wallet.cards import tables
from wallet.cards.till import Till
from wallet.events import Event
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import LinkingState
from wallet.ids import HolderId
from wallet.refusal import Refusal

CARDS_MAX: Final = 10
LINKING_LIFE: Final = timedelta(hours=1)
"""How long a linking is asked about; a page of the acquirer's lives no longer for us."""


class NotFound(Refusal):
    """The caller has linked no such card."""

    code = "card_not_found"
    status = 404


class TooMany(Refusal):
    """The holder has linked as many cards as one may."""

    code = "card_too_many"
    status = 409
    stored = False


class NotLinkable(Refusal):
    """This processor keeps no cards: each payment goes over its page."""

    code = "card_not_linkable"
    status = 409
    stored = False


class Unreachable(Refusal):
    """The processor did not answer; nothing was linked or unlinked that we know of."""

    code = "card_processor_unreachable"
    status = 503
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A linked card as its holder sees it."""

    id: UUID
    holder: HolderId
    ref: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    linked_at: datetime
    is_default: bool

    def expired(self, *, now: datetime) -> bool:
        """Whether its last month is over."""
        return (self.exp_year, self.exp_month) < (now.year, now.month)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """A card on its way to be linked."""

    id: UUID
    holder: HolderId
    state: str
    ref: str | None
    page: str | None
    made_at: datetime


# -- the holder -----------------------------------------------------------------------------------------------------------


def customer(till: Till, holder: HolderId, *, now: datetime) -> str:
    """Return what the acquirer calls a holder, made known to it once.

    Raises:
        AcquirerError: it did not answer, or refused; asked again, it makes the same customer.
    """
    table = tables.customer
    mine = (table.c.holder == holder, table.c.acquirer == till.name)

    def begin(unit: sa.Connection) -> Any:
        unit.execute(
            insert(table)
            .values(holder=holder, acquirer=till.name, id=ids.new(), made_at=now)
            .on_conflict_do_nothing(constraint="customer_pkey")
        )
        return unit.execute(sa.select(table.c.id, table.c.ref).where(*mine)).one()

    known = db.unit(till.database, begin)
    if known.ref is not None:
        return str(known.ref)
    ref = till.acquirer.make_customer(id=known.id)
    db.unit(till.database, lambda unit: unit.execute(sa.update(table).where(*mine).values(ref=ref)))
    return ref


def customer_ref(connection: sa.Connection, acquirer: str, holder: HolderId) -> str | None:
    """Return what the acquirer calls a holder, if it knows them."""
    table = tables.customer
    return connection.execute(
        sa.select(table.c.ref).where(table.c.holder == holder, table.c.acquirer == acquirer)
    ).scalar_one_or_none()


# -- linked -----------------------------------------------------------------------------------------------------------


def _cards() -> sa.Select[Any]:
    table = tables.card
    named = [column for column in table.c if column.name not in ("acquirer", "fingerprint", "removed_at")]
    return sa.select(*named).where(table.c.removed_at.is_(None))


def of(connection: sa.Connection, holder: HolderId) -> list[Card]:
    """Return a holder's linked cards, the default first, then the newest."""
    table = tables.card
    query = _cards().where(table.c.holder == holder).order_by(table.c.is_default.desc(), table.c.id.desc())
    return [Card(**row._mapping) for row in connection.execute(query)]


def mine(connection: sa.Connection, card: UUID, *, holder: HolderId) -> Card:
    """Return a linked card of the holder's.

    Raises:
        NotFound.
    """
    table = tables.card
    row = connection.execute(_cards().where(table.c.id == card, table.c.holder == holder)).one_or_none()
    if row is None:
        raise NotFound(param="card")
    return Card(**row._mapping)


def make_default(unit: sa.Connection, card: UUID, *, holder: HolderId, now: datetime) -> None:
    """Make a card the one that is chosen unless another is.

    Raises:
        NotFound.
    """
    table = tables.card
    chosen = mine(unit, card, holder=holder)
    if chosen.is_default:
        return
    unit.execute(sa.update(table).where(table.c.holder == holder, table.c.is_default).values(is_default=False))
    unit.execute(sa.update(table).where(table.c.id == card).values(is_default=True))
    ledger.tell(unit, Event(type="card.made_default", subject=card), actor=holder, at=now)


def remove(till: Till, card: UUID, *, holder: HolderId, now: datetime) -> None:
    """Let go of a card: at once with us, then at the acquirer. What it has paid stays paid, and can be refunded to it.

    Raises:
        NotFound.
    """
    table = tables.card

    def work(unit: sa.Connection) -> Card:
        gone = mine(unit, card, holder=holder)
        unit.execute(sa.update(table).where(table.c.id == card).values(removed_at=now, is_default=False))
        ledger.tell(unit, Event(type="card.removed", subject=card), actor=holder, at=now)
        return gone

    gone = db.unit(till.database, work)
    try:
        till.acquirer.forget_card(gone.ref)
    except gate.AcquirerError:
        return  # nobody can choose it here any more; the acquirer's copy is of no use without our account


# -- being linked -----------------------------------------------------------------------------------------------------


def begin(till: Till, holder: HolderId, *, locale: str, now: datetime) -> Linking:
    """Begin to link a card: the acquirer opens a page for it.

    Raises:
        NotLinkable, TooMany, Unreachable.
    """
    if not till.acquirer.keeps_cards:
        raise NotLinkable
    with till.database.connect() as connection:
        if len(of(connection, holder)) >= CARDS_MAX:
            raise TooMany
    id = ids.new()
    db.unit(
        till.database,
        lambda unit: unit.execute(
            sa.insert(tables.linking).values(id=id, holder=holder, acquirer=till.name, state="created", made_at=now)
        ),
    )
    back = f"{till.origin}/the/lien-ket/{id}"
    try:
        ref = customer(till, holder, now=now)
        seen = till.acquirer.begin_linking(id=id, customer=ref, back_to=back, given_up=back, locale=locale)
    except gate.AcquirerError as fault:
        raise Unreachable from fault
    return record(till, id, seen, now=now)


def reading(connection: sa.Connection, linking: UUID, *, holder: HolderId | None = None) -> Linking:
    """Return a linking; of `holder` only, where one is named.

    Raises:
        NotFound.
    """
    table = tables.linking
    query = sa.select(table.c.id, table.c.holder, table.c.state, table.c.ref, table.c.page, table.c.made_at).where(
        table.c.id == linking
    )
    row = connection.execute(query if holder is None else query.where(table.c.holder == holder)).one_or_none()
    if row is None:
        raise NotFound(param="linking")
    return Linking(**row._mapping)


def ask(till: Till, linking: UUID, *, now: datetime) -> None:
    """Ask where a linking stands and record it.

    Raises:
        AcquirerError.
    """
    with till.database.connect() as connection:
        one = reading(connection, linking)
    if one.ref is not None and one.state == "open":
        record(till, one.id, till.acquirer.linking(one.ref), now=now)


def record(till: Till, linking: UUID, seen: gate.Linking, *, now: datetime) -> Linking:
    """Record what the acquirer says of a linking; a card that it names is linked, once."""
    state = {LinkingState.OPEN: "open", LinkingState.SUCCEEDED: "succeeded", LinkingState.CANCELLED: "cancelled"}

    def work(unit: sa.Connection) -> Linking:
        table = tables.linking
        held = unit.execute(
            sa.select(table.c.holder, table.c.state).where(table.c.id == linking).with_for_update(key_share=True)
        ).one()
        if held.state in ("created", "open"):
            unit.execute(
                sa.update(table)
                .where(table.c.id == linking)
                .values(ref=seen.ref, page=seen.page, state=state[seen.state], asked_at=now)
            )
            if seen.state == LinkingState.SUCCEEDED and seen.card is not None:
                add(unit, till.name, HolderId(held.holder), seen.card, now=now)
        return reading(unit, linking)

    return db.unit(till.database, work)


def add(unit: sa.Connection, acquirer: str, holder: HolderId, seen: gate.Card, *, now: datetime) -> None:
    """Keep a card that the acquirer has linked, and tell of it; the first becomes the default. A card of the same
    fingerprint takes the place of the older link.
    """
    table = tables.card
    others = of(unit, holder)
    if any(one.ref == seen.ref for one in others):
        return
    if seen.fingerprint:
        twin = sa.update(table).where(
            table.c.holder == holder, table.c.fingerprint == seen.fingerprint, table.c.removed_at.is_(None)
        )
        unit.execute(twin.values(removed_at=now, is_default=False))
    has_default = any(one.is_default for one in of(unit, holder))
    made = unit.execute(
        insert(table)
        .values(
            id=ids.new(),
            holder=holder,
            acquirer=acquirer,
            ref=seen.ref,
            brand=seen.brand,
            last4=seen.last4,
            exp_month=seen.exp_month,
            exp_year=seen.exp_year,
            fingerprint=seen.fingerprint,
            linked_at=now,
            is_default=not has_default,
        )
        .on_conflict_do_nothing(constraint="card_ref_once")
        .returning(table.c.id)
    ).scalar()
    if made is not None:
        data = {"brand": seen.brand, "last4": seen.last4}
        ledger.tell(unit, Event(type="card.linked", subject=made, data=data), actor=holder, at=now)


def due(connection: sa.Connection, *, before: datetime, rows_max: int) -> list[UUID]:
    """Return linkings that are open and were not asked about since `before`."""
    table = tables.linking
    query = sa.select(table.c.id).where(
        table.c.state == "open", sa.func.coalesce(table.c.asked_at, table.c.made_at) < before
    )
    return list(connection.execute(query.order_by(table.c.made_at).limit(rows_max)).scalars())


def give_up(unit: sa.Connection, *, now: datetime) -> int:
    """Give up linkings whose time is over; returns how many. They block nothing."""
    table = tables.linking
    late = sa.update(table).where(table.c.state.in_(("created", "open")), table.c.made_at < now - LINKING_LIFE)
    return unit.execute(late.values(state="cancelled", page=None)).rowcount
