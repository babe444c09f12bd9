"""What every door needs: configuration, engines, the city; and what a request has brought along."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, cast
from uuid import UUID

import sqlalchemy as sa
from flask import current_app, g

from wallet import refunds
from wallet.cards.till import NoCards, Till
from wallet.city import City
from wallet.config import Config
from wallet.crypto import PublicKey
from wallet.identity.sessions import SignedIn
from wallet.ledger import Claim, Plan
from wallet.limits import Limits
from wallet.log.checkpoint import LogKeys
from wallet.receipts import Log, NoLog


class Verb(Protocol):
    """A domain verb that decides an order."""

    def __call__(self, unit: sa.Connection, claim: Claim, order: Any, /, *, now: datetime) -> Plan:
        """Decide, inside the unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """What went back of a purchase, in whole đồng, and when."""

    at: datetime
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A payment to a merchant, as its payer sees it: who by the registry, where, of which invoice, and what went back.

    `order` is the payer's own, whose confirmation shows this; `tally` stands on the counter's screen too.
    """

    order: UUID
    merchant: str
    point: str
    place: str
    number: str | None
    memo: str
    tally: str
    backs: tuple[Back, ...]


Purchases = Callable[[sa.Connection, Collection[UUID]], Mapping[UUID, Purchase]]
"""Finds purchases by the entries that paid them, or that gave back a part of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Something that a card pays, as the pages of cards show it to whoever pays.

    `about` names a template that tells whom and what is paid, from `values`, with a stylesheet of its own if it has one;
    `sort`, `name` and `detail` say it in one line, `given_back` what it is called when it comes back. `by_wallet` is the
    address of the sheet that pays it from the wallet, `seen` of the page that says what has become of it. `tally` stands on
    the counter's screen too, once whoever is signed in has paid.
    """

    about: str
    values: Mapping[str, Any]
    sort: str
    name: str
    detail: str
    goes_to: str
    given_back: str
    by_wallet: str
    seen: str | None = None
    tally: str | None = None
    stylesheet: str | None = None


Shows = Callable[[sa.Connection, UUID], Shown | None]
"""Shows what a card pays, by its id; None where whoever is signed in may not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The application's own things, made once when it starts."""

    config: Config
    app: sa.Engine
    audit: sa.Engine
    city: City
    limits: Limits
    purchases: Purchases = lambda _connection, _entries: {}
    """What another package knows of payments to merchants; this one knows none."""
    refund: Verb = refunds.refund
    """Decides every refund: the wallet's own verb, or that of a wing which knows more whom an entry may have paid."""
    log: Log | None = None
    """The log that receipts are proved by; None where it has no key or place yet."""
    till: Till | None = None
    """The card processor, and what can be paid by card; None where the service takes no cards."""
    shows: Mapping[str, Shows] = field(default_factory=dict)
    """What shows a thing that can be paid by card, by purpose."""
    keys: dict[str, PublicKey] = field(default_factory=dict)
    """Public keys by thumbprint. A thumbprint names one key for ever, so an entry is never wrong; whether the key is
    still alive is asked of the database each time."""


KEYS_REMEMBERED_MAX = 50_000


def state() -> State:
    """Return the application's state."""
    return cast("State", current_app.extensions["wallet"])


def now() -> datetime:
    """Return the clock as it was read when this request came in."""
    return cast("datetime", g.now)


def me() -> SignedIn | None:
    """Return who is signed in on this page, if anybody."""
    return cast("SignedIn | None", g.get("me"))


def till() -> Till:
    """Return the till.

    Raises:
        NoCards: the service takes no cards.
    """
    found = state().till
    if found is None:
        raise NoCards
    return found


def log_keys() -> LogKeys | None:
    """Return the log's keys for a page to show; None where there is no log."""
    log = state().log
    try:
        return log.keys() if log else None
    except NoLog:
        return None
