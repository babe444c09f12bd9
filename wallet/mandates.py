"""Mandates: the code that a citizen shows at a till, and what its signature allows: one charge, at most so much, for 30 s.

Words   A mandate is signed before its payee is known, so nothing is set aside. Its code is twelve digits that the phone
        drew and signed with it; whoever names the code while it lives may charge the wallet once.
Safety  The newest code of a wallet ends the older ones. A charge is counted against the limits of who signed the mandate.
        Eleven digits are free (the twelfth checks): a guess finds one of a thousand living codes once in 10^8.
Money   Whole đồng.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa

from wallet import accounts, payees
from wallet.events import Event, instant
from wallet.ids import AccountId, AuthorityId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Mandate, Plan
from wallet.ledger.tables import account, authority, charge, mandate, posting
from wallet.money import Dong
from wallet.refusal import Refusal

CODE_DIGITS: Final = 12

LIFE: Final = timedelta(seconds=30)
"""Long enough to hold a phone to a till, too short to be carried away; the ledger ends it then by its own clock."""

CLOCK_SKEW: Final = timedelta(seconds=10)
"""How much further away a phone may put the end: its clock is corrected by ours, but a slow reply makes that inexact."""

QUESTIONS: Final[dict[str, str]] = {
    "mandate_not_as_signed": """
        SELECT a.id, 'account, cap, code or end is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        LEFT JOIN ledger.mandate m ON m.authority = a.id
        WHERE a.order_kind = 'mandate'
          AND ((m.account::text, m.cap::text, m.code)
               IS DISTINCT FROM (s.said ->> 'payer', s.said ->> 'cap', s.said ->> 'code')
               OR extract(epoch FROM m.lapses_at) > (s.said ->> 'lapses_at')::numeric)""",
}
"""What the proof of the books asks about mandates, as in `wallet.ledger.proof`."""


class NotFound(Refusal):
    """No mandate of the caller's with that id."""

    code = "mandate_not_found"
    status = 404


class LifeWrong(Refusal):
    """A mandate ends in the future, and within half a minute."""

    code = "mandate_life"
    status = 422


class Mistyped(Refusal):
    """Not twelve digits, or the check digit says that one of them is wrong."""

    code = "mandate_code_mistyped"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class MandateOrder:
    """What a holder signed: whoever names `code` before `lapses_at` may charge `payer` once, at most `cap`."""

    id: OrderId
    payer: AccountId
    cap: Dong
    code: str
    lapses_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A mandate that was taken. The code stays out of it: an outcome is kept for ever."""

    order: OrderId
    mandate: AuthorityId
    payer: AccountId
    cap: Dong


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A mandate as its holder and a till meet it. `entry` and `amount` (whole đồng) say what was charged."""

    mandate: AuthorityId
    holder: HolderId
    account: AccountId
    key_id: str
    cap: Dong
    lapses_at: datetime
    replaced: bool
    entry: EntryId | None
    amount: int | None
    charge: AuthorityId | None

    def state(self, now: datetime) -> Literal["charged", "replaced", "expired", "live"]:
        """Say how it stands; a charge goes before whatever came later."""
        if self.entry is not None:
            return "charged"
        if self.replaced:
            return "replaced"
        return "expired" if now >= self.lapses_at else "live"


def read_code(typed: str) -> str:
    """Read a code's twelve digits, without what people put between them.

    Raises:
        Mistyped.
    """
    digits = "".join(char for char in typed if char not in " .-\u00a0")
    if len(digits) != CODE_DIGITS or not (digits.isascii() and digits.isdigit()) or payees.check_digit(digits) != "0":
        raise Mistyped(param="code")
    return digits


def sign(unit: sa.Connection, claim: Claim, order: MandateOrder, *, now: datetime) -> Plan:
    """Decide a mandate: from now on, and for half a minute, its code can be charged once.

    Args:
        unit: read from without a lock, and only what never changes.
        claim: whose order it is.
        order: the cap in whole đồng, at least 1. Limits and funds are looked at when it is charged.
        now: aware UTC, read once at the door.

    Raises:
        Mistyped, LifeWrong, accounts.NotFound; then of `ledger.refusals`: MandateExpired, MandateCodeTaken, a frozen
        or closed wallet.
    """
    code = read_code(order.code)
    if not now < order.lapses_at <= now + LIFE + CLOCK_SKEW:
        raise LifeWrong(param="lapses_at")
    payer = accounts.payer(unit, order.payer, signer=claim.signer)
    told = Event(
        type="mandate.signed",
        subject=claim.authority,
        data={"account": str(payer), "cap": str(order.cap), "signed_until": instant(order.lapses_at)},
    )
    return Plan(
        mandates=(Mandate(account=payer, cap=order.cap, lapses_at=order.lapses_at, code=code),),
        events=(told,),
        answer=Signed(order=order.id, mandate=claim.authority, payer=payer, cap=order.cap),
    )


def by_code(connection: sa.Connection, code: str) -> Standing | None:
    """Return the mandate that a code once named, whatever became of it; None if nobody ever signed it."""
    return _one(connection, mandate.c.code == code)


def read(connection: sa.Connection, order: OrderId, *, holder: HolderId) -> Standing:
    """Return a holder's mandate by the order that signed it.

    Raises:
        NotFound: there is none, or it is somebody else's; which of the two is not said.
    """
    found = _one(connection, sa.and_(authority.c.order_id == order, authority.c.signer == holder))
    if found is None:
        raise NotFound(param="order")
    return found


def _one(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Standing | None:
    newer = mandate.alias("newer")
    taken = (
        sa.select(sa.func.sum(posting.c.amount))
        .where(posting.c.entry == charge.c.entry, posting.c.debit == mandate.c.account)
        .scalar_subquery()
    )
    row = connection.execute(
        sa.select(
            mandate.c.authority.label("mandate"), account.c.holder, mandate.c.account, authority.c.key_id,
            mandate.c.cap, mandate.c.lapses_at, charge.c.entry, taken.label("amount"),
            charge.c.authority.label("charge"),
            sa.exists(
                sa.select(newer.c.authority)
                .where(newer.c.account == mandate.c.account, newer.c.made_at > mandate.c.made_at)
            ).label("replaced"),
        )
        .join(authority, authority.c.id == mandate.c.authority)
        .join(account, account.c.id == mandate.c.account)
        .outerjoin(charge, charge.c.mandate == mandate.c.authority)
        .where(which)
    ).one_or_none()  # fmt: skip
    return Standing(**row._mapping) if row else None


def code_of(connection: sa.Connection, found: Standing) -> str:
    """Return the code of a mandate, for its holder's own eyes."""
    return str(connection.execute(sa.select(mandate.c.code).where(mandate.c.authority == found.mandate)).scalar_one())
