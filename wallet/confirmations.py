"""Confirmations: what the printed number of a payment shows to anybody, and a holder's link to more.

Words   A number is printed on a payment's confirmation and leads to its public page, which names amount, agency, date and
        state. A link adds the payer and the dossier for whoever holds it; its holder makes it, and can end it.
Safety  A number has 74 random bits, a link's token 128: nobody gets one by trying. The token is made from the server's
        secret and never stored, so that a reader of the database cannot open it.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import lookup
from wallet.events import Event
from wallet.identity.tables import receipt_link
from wallet.ids import AuthorityId, HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.ledger.tables import authority, entry, outcome, posting
from wallet.refusal import Refusal

PURCHASES: Final = ("invoice_payment", "point_payment", "charge")
"""Those that pay a merchant. A charge is the till's order, under a mandate of the payer's."""

PAYMENTS: Final = ("bill_payment", "transfer", *PURCHASES)
"""The kinds of orders that have a confirmation, and so a public page."""

_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that looks like a digit or like another letter."""
_READ_AS: Final = str.maketrans("ILO", "110", " -.\u00a0")
_NUMBER_CHARS: Final = 26
_GROUP_CHARS: Final = 5
_TOKEN_BYTES: Final = 16


class NumberNotFound(Refusal):
    """No payment has that number, or the link to it is not a living one; which of the two is not said."""

    code = "receipt_not_found"
    status = 404
    stored = False


# ---- the number on a confirmation, and what it shows ----------------------------------------------------------------


def number(id: UUID) -> str:
    """Spell the number of a confirmation: its authority's id in groups of five letters that cannot be mistaken."""
    letters = "".join(_LETTERS[id.int >> 5 * place & 31] for place in reversed(range(_NUMBER_CHARS)))
    groups = [letters[at : at + _GROUP_CHARS] for at in range(0, _NUMBER_CHARS - 1, _GROUP_CHARS)]
    return "-".join(groups) + letters[-1]


def read_number(typed: str) -> AuthorityId:
    """Read a number however it is spaced or typed: O as 0, I and L as 1.

    Raises:
        NumberNotFound.
    """
    letters = typed[: 4 * _NUMBER_CHARS].upper().translate(_READ_AS)
    value = 0
    for letter in letters:
        if (digit := _LETTERS.find(letter)) < 0:
            raise NumberNotFound(param="number")
        value = value << 5 | digit
    if len(letters) != _NUMBER_CHARS or value >> 128:
        raise NumberNotFound(param="number")
    return AuthorityId(UUID(int=value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A payment that was done, as anybody may know it who has its number. Amounts are whole đồng."""

    authority: AuthorityId
    signer: HolderId
    order: OrderId
    kind: str
    at: datetime
    amount: int
    given_back: int
    bills: tuple[UUID, ...]
    entries: tuple[UUID, ...]

    @property
    def state(self) -> Literal["paid", "partly_refunded", "refunded"]:
        """Say what became of the money since."""
        if not self.given_back:
            return "paid"
        return "refunded" if self.given_back == self.amount else "partly_refunded"


def shown(connection: sa.Connection, id: AuthorityId) -> Shown:
    """Return a payment by its authority.

    Raises:
        NumberNotFound: there is none, it was refused, or it is no payment.
    """
    back = entry.alias("back")
    given = (
        sa.select(sa.func.coalesce(sa.func.sum(posting.c.amount), 0))
        .join(back, back.c.id == posting.c.entry)
        .where(sa.or_(back.c.refunds == entry.c.id, back.c.reverses == entry.c.id))
        .scalar_subquery()
    )
    paid = sa.select(sa.func.sum(posting.c.amount)).where(posting.c.entry == entry.c.id).scalar_subquery()
    rows = connection.execute(
        sa.select(
            authority.c.signer, authority.c.order_id, authority.c.order_kind, entry.c.id, entry.c.effective_at,
            entry.c.settles,
            paid.label("paid"), given.label("given"),
        )
        .join(entry, entry.c.authority == authority.c.id)
        .join(outcome, outcome.c.authority == authority.c.id)
        .where(authority.c.id == id, authority.c.order_kind.in_(PAYMENTS))
        .order_by(sa.func.array_position(outcome.c.entries, entry.c.id))
    ).all()  # fmt: skip
    if not rows:
        raise NumberNotFound(param="number")
    return Shown(
        authority=id,
        signer=rows[0].signer,
        order=rows[0].order_id,
        kind=rows[0].order_kind,
        at=rows[0].effective_at,
        amount=sum(int(row.paid) for row in rows),
        given_back=sum(int(row.given) for row in rows),
        bills=tuple(row.settles for row in rows if row.settles and row.order_kind == "bill_payment"),
        entries=tuple(row.id for row in rows),
    )


def authority_of(connection: sa.Connection, *, signer: HolderId, order: UUID) -> AuthorityId | None:
    """Return what a signer's order is known by in the books."""
    found: AuthorityId | None = connection.execute(
        sa.select(authority.c.id).where(authority.c.signer == signer, authority.c.order_id == order)
    ).scalar_one_or_none()
    return found


# ---- the link that shows more ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOrder:
    """What a holder ordered: make a link to their payment, or end the one there is. `order` is the payment's."""

    id: OrderId
    order: OrderId
    living: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDone:
    """What was done. The link itself stays out of it: an outcome is kept for ever, a link is not."""

    order: OrderId
    living: bool


def link(unit: sa.Connection, claim: Claim, order: LinkOrder, *, now: datetime) -> Plan:
    """Make a fresh link to a payment of the signer's, or end the living one; an earlier link is dead either way.

    Raises:
        lookup.NotFound: no payment of the signer's.
    """
    table = receipt_link
    found = authority_of(unit, signer=claim.signer, order=order.order)
    try:
        if found is None:
            raise NumberNotFound
        if shown(unit, found).kind == "charge":  # whose order it is has not paid it
            raise NumberNotFound
    except NumberNotFound:
        raise lookup.NotFound(param="order") from None
    fresh = {"made_at": now, "ended_at": None if order.living else now}
    unit.execute(
        insert(table)
        .values(authority=found, serial=1, **fresh)
        .on_conflict_do_update(index_elements=[table.c.authority], set_={"serial": table.c.serial + 1, **fresh})
    )
    told = Event(type=f"receipt_link.{'made' if order.living else 'ended'}", subject=found)
    return Plan(events=(told,), answer=LinkDone(order=order.id, living=order.living))


def token(connection: sa.Connection, id: AuthorityId, *, secret: bytes) -> str | None:
    """Return the living link's token; None where there is none."""
    table = receipt_link
    serial = connection.execute(
        sa.select(table.c.serial).where(table.c.authority == id, table.c.ended_at.is_(None))
    ).scalar_one_or_none()
    return None if serial is None else _token(secret, id, serial)


def opens(connection: sa.Connection, id: AuthorityId, given: str, *, secret: bytes) -> bool:
    """Say whether a token is the living link's, in the same time whichever character is wrong and if there is no link."""
    living = token(connection, id, secret=secret)
    matches = hmac.compare_digest((living or _token(secret, id, 0)).encode(), given.encode(errors="replace"))
    return matches and living is not None


def _token(secret: bytes, id: AuthorityId, serial: int) -> str:
    made = hmac.new(secret, f"receipt-link\0{id}\0{serial}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(made[:_TOKEN_BYTES]).rstrip(b"=").decode()
