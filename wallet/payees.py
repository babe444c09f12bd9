"""Payees: found by phone number or by payee code, shown by a masked name, before anybody signs a transfer to them.

Words   A payee code is what a holder shows instead of a phone number: eight random digits and a check digit. One is living
        per holder; a renewed one kills the old, and a dead code is never given out again, so that a printed one cannot
        come to lead to somebody else.
Safety  A phone that nobody has, a debtor on file without a wallet, an agency: all are answered alike, by one statement.
        A frozen wallet is found: the transfer itself says what is the matter, to its signer.
Source  Damm, H. M. (2004), "Total anti-symmetrische Quasigruppen": a check digit that finds every single wrong digit and
        every swap of two neighbours.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import text
from wallet.events import Event
from wallet.identity import attempts, holders
from wallet.identity.attempts import Limit
from wallet.identity.tables import payee_code, person
from wallet.ids import AccountId, HolderId, OrderId
from wallet.ledger import Claim, Plan, chart
from wallet.ledger.tables import account
from wallet.refusal import Refusal
from wallet.transfers import PayeeNotFound, SameAccount

CODE_DIGITS: Final = 9
_TYPED: Final = re.compile(r"[0-9]{9}")
_BETWEEN: Final = re.compile(r"[ .\u00a0-]")
"""What people put between digits when they write a code down."""

_DAMM: Final = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)

LOOKED_UP: Final = Limit("payee-lookup", 20, timedelta(hours=1))
"""Look-ups by one holder: enough to pay a wedding's helpers, and too few to walk through phone numbers."""
LOOKED_UP_IN_A_DAY: Final = Limit("payee-lookup-day", 60, timedelta(hours=24))
RENEWED: Final = Limit("payee-code", 5, timedelta(hours=24))
"""New codes of one holder: each uses up one of the 10^8 that there are."""

_TRIES_MAX: Final = 20
"""Draws for a code that nobody ever had; with a tenth of all codes used, 20 fail once in 10^20."""


class Mistyped(Refusal):
    """Not nine digits, or the check digit says that one of them is wrong."""

    code = "payee_code_mistyped"
    status = 422
    stored = False


class TooManyLookups(attempts.TooMany):
    """This holder has looked up too many payees for now."""

    code = "payee_lookups_too_many"
    status = 429
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Payee:
    """A wallet that can be paid, and as much of its holder's name as a stranger may see."""

    account: AccountId
    name_masked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeOrder:
    """What a holder ordered: a fresh payee code."""

    id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMade:
    """What was done. The code itself stays out of it: an outcome is kept for ever, a code is not."""

    order: OrderId


def check_digit(digits: str) -> str:
    """Return the Damm digit that follows these digits."""
    interim = "0"
    for digit in digits:
        interim = _DAMM[int(interim)][int(digit)]
    return interim


def read_code(typed: str) -> str:
    """Read a payee code however it is spaced, to its nine digits.

    Raises:
        Mistyped.
    """
    digits = _BETWEEN.sub("", typed)
    if not _TYPED.fullmatch(digits) or check_digit(digits) != "0":
        raise Mistyped(param="code")
    return digits


def by_phone(database: sa.Engine, typed: str, *, asker: HolderId, now: datetime) -> Payee:
    """Find whom a phone number pays. The try is counted and committed before anything is looked up.

    Raises:
        holders.BadPhone: said before the try is counted.
        TooManyLookups, PayeeNotFound, SameAccount.
    """
    return _found(database, person.c.phone == holders.phone_number(typed), asker=asker, now=now, param="phone")


def by_code(database: sa.Engine, typed: str, *, asker: HolderId, now: datetime) -> Payee:
    """Find whom a payee code pays. The try is counted and committed before anything is looked up.

    Raises:
        Mistyped: said before the try is counted.
        TooManyLookups, PayeeNotFound, SameAccount.
    """
    living = sa.select(payee_code.c.holder).where(
        payee_code.c.code == read_code(typed), payee_code.c.ended_at.is_(None)
    )
    return _found(database, person.c.holder.in_(living), asker=asker, now=now, param="code")


def by_account(connection: sa.Connection, id: AccountId, *, asker: HolderId) -> Payee:
    """Return the payee with an account that the caller came to know by a look-up, or by having paid it before.

    Not counted: an account's id has 74 random bits, so nobody gets one by trying.

    Raises:
        PayeeNotFound, SameAccount.
    """
    return _judged(connection.execute(_wallets().where(account.c.id == id)).one_or_none(), asker, param="payee")


def names(connection: sa.Connection, accounts: Iterable[AccountId]) -> dict[AccountId, str]:
    """Return the masked names of the holders of wallets, closed ones too: what was paid can always be told."""
    rows = connection.execute(_wallets(open_only=False).where(account.c.id.in_(set(accounts))))
    return {row.id: text.mask(row.name) for row in rows}


def code_of(connection: sa.Connection, holder: HolderId) -> str | None:
    """Return a holder's living payee code, if they have made one."""
    return connection.execute(
        sa.select(payee_code.c.code).where(payee_code.c.holder == holder, payee_code.c.ended_at.is_(None))
    ).scalar_one_or_none()


def count_renewal(database: sa.Engine, holder: HolderId, *, now: datetime) -> None:
    """Count a fresh code against its holder.

    Raises:
        attempts.TooMany.
    """
    attempts.count(database, [(RENEWED, str(holder))], now=now)


def renew(unit: sa.Connection, claim: Claim, order: CodeOrder, *, now: datetime) -> Plan:
    """Give the signer a fresh payee code; the one they had is dead from here on."""
    holder = claim.signer
    unit.exec_driver_sql("SELECT identity.lock_holder(%s)", (holder,))
    unit.execute(
        sa.update(payee_code).where(payee_code.c.holder == holder, payee_code.c.ended_at.is_(None)).values(ended_at=now)
    )
    for _ in range(_TRIES_MAX):
        drawn = f"{secrets.randbelow(10 ** (CODE_DIGITS - 1)):0{CODE_DIGITS - 1}d}"
        fresh = unit.execute(
            insert(payee_code)
            .values(code=drawn + check_digit(drawn), holder=holder, made_at=now)
            .on_conflict_do_nothing(index_elements=["code"])
            .returning(payee_code.c.code)
        ).scalar()
        if fresh:
            told = Event(type="payee_code.made", subject=holder)
            return Plan(events=(told,), answer=CodeMade(order=order.id))
    raise AssertionError("codes are used up")


def _found(database: sa.Engine, who: sa.ColumnElement[bool], *, asker: HolderId, now: datetime, param: str) -> Payee:
    try:
        attempts.count(database, [(LOOKED_UP, str(asker)), (LOOKED_UP_IN_A_DAY, str(asker))], now=now)
    except attempts.TooMany as over:
        raise TooManyLookups(param=param, **over.facts) from None
    with database.connect() as connection:
        return _judged(connection.execute(_wallets().where(who)).one_or_none(), asker, param=param)


def _wallets(*, open_only: bool = True) -> sa.Select[Any]:
    """Select wallets with their holders' names: one statement, so that every "not found" takes the same time."""
    query = sa.select(account.c.id, account.c.holder, person.c.name).join(person, person.c.holder == account.c.holder)
    query = query.where(account.c.code == chart.WALLET)
    return query.where(account.c.status != "closed") if open_only else query


def _judged(row: Any, asker: HolderId, *, param: str) -> Payee:
    if row is None:
        raise PayeeNotFound(param=param)
    if row.holder == asker:
        raise SameAccount(param=param)
    return Payee(account=AccountId(row.id), name_masked=text.mask(row.name))
