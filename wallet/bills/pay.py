"""Bills paid: several bills of several agencies under one signature, one entry each, all or nothing.

Money   The payer's wallet is debited, each agency's account of the line's budget codes is credited, line by line.
        The signed order carries the amount seen; a bill that changed since is never paid at the old price.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from wallet import accounts, clock, db, ids
from wallet.bills import refusals, status
from wallet.bills.status import Status
from wallet.events import Event
from wallet.ids import AccountId, BillId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Guard, Plan, Posting
from wallet.limits import PUBLIC_SERVICE, Limits
from wallet.money import Dong

BILLS_MAX: Final = 20
"""Bills in one order: a family's month. At some ten lines each it stays below the ledger's postings of a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillSeen:
    """A bill as the payer saw it."""

    bill: BillId
    version: int
    amount: Dong


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPaymentOrder:
    """What a payer signed."""

    id: OrderId
    payer: AccountId
    bills: tuple[BillSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPaid:
    """One bill of a payment, and the entry that settles it."""

    bill: BillId
    code: str
    entry: EntryId
    amount: Dong


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPayment:
    """What was done."""

    order: OrderId
    payer: AccountId
    total: Dong
    effective_at: datetime
    bills: tuple[BillPaid, ...]


def pay(
    unit: sa.Connection,
    claim: Claim,
    order: BillPaymentOrder,
    *,
    limits: Limits,
    uses: Mapping[str, str],
    now: datetime,
) -> Plan:
    """Decide a payment of bills: one entry per bill, one posting per line, all in one unit.

    Args:
        unit: read from without a lock; the plan's guard locks the bills and asks for a new plan if one has changed.
        claim: whose order it is.
        order: 1 to BILLS_MAX different bills, each with the amount and version seen.
        limits: in force.
        uses: by procedure, what a limit calls its payment; a procedure that is not named is a public service.
        now: aware UTC, read once at the door.

    Raises:
        refusals.NotFound, Cancelled, Superseded, Expired, Waived, Paid, Changed: for the first bill of the order
            that is at fault, naming it. accounts.NotFound: the payer is no wallet of the signer's.
    """
    payer = accounts.payer(unit, order.payer, signer=claim.signer)
    found = {row.id: row for row in _read(unit, [seen.bill for seen in order.bills], claim.signer, now)}
    entries, events, paid = [], [], []
    amounts: Counter[str] = Counter()
    for seen in order.bills:
        row = _payable(found.get(seen.bill), seen, claim, now=now)
        entry = Entry(
            id=EntryId(ids.new()),
            kind="bill_payment",
            effective_at=now,
            settles=row.id,
            postings=tuple(
                Posting(debit=payer, credit=account, amount=amount)
                for account, amount in zip(row.accounts, row.amounts, strict=True)
            ),
        )
        amounts[uses.get(row.procedure, PUBLIC_SERVICE)] += row.total
        entries.append(entry)
        events.append(Event(type="bill.paid", subject=row.id, entry=entry.id, data={"version": str(row.version)}))
        paid.append(BillPaid(bill=row.id, code=row.code, entry=entry.id, amount=row.total))
    done = BillPayment(
        order=order.id,
        payer=payer,
        total=Dong(sum(one.amount for one in paid)),
        effective_at=now,
        bills=tuple(paid),
    )
    return Plan(
        entries=tuple(entries),
        events=tuple(events),
        answer=done,
        limits=limits.counts(unit, claim, amounts, now=now),
        guard=Guard(function="bills.pay_order", extra=(sorted(seen.bill for seen in order.bills),)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a bill costs, and line by line where that goes."""

    bill: BillId
    code: str
    version: int
    total: Dong
    lines: tuple[tuple[AccountId, Dong], ...]


def quote(connection: sa.Connection, bill: BillId, *, holder: HolderId, now: datetime) -> Quote:
    """Return what a bill costs somebody who may pay it, read without a lock.

    Raises:
        refusals.NotFound, Cancelled, Superseded, Expired, Waived, Paid.
    """
    row = next(iter(_read(connection, [bill], holder, now)), None)
    return _quote(_payable_by(row, bill, holder, now=now))


def quote_locked(unit: sa.Connection, bill: BillId, *, now: datetime) -> Quote | None:
    """Lock a bill until the unit ends and return what it costs; None if it is no longer to be paid, by anybody."""
    (row,) = _read(unit, [bill], _NOBODY, now, function="lock_bills")
    return _quote(row) if _status(row, now=now).payable else None


_NOBODY: Final = HolderId(UUID(int=0))


def _quote(row: "_Bill") -> Quote:
    lines = tuple(zip(row.accounts, row.amounts, strict=True))
    return Quote(bill=row.id, code=row.code, version=row.version, total=row.total, lines=lines)


class _Bill(NamedTuple):
    """A row of `bills.read_bills`."""

    id: BillId
    code: str
    agency: HolderId
    debtor: HolderId | None
    dossier: str
    procedure: str
    total: Dong
    version: int
    state: str
    due: date
    expires: date | None
    settled_by: EntryId | None
    granted: bool
    accounts: list[AccountId]
    amounts: list[Dong]


def _read(
    connection: sa.Connection, bills: list[BillId], signer: HolderId, now: datetime, *, function: str = "read_bills"
) -> list[_Bill]:
    question = f"SELECT {', '.join(_Bill._fields)} FROM bills.{function}(%s::uuid[], %s, %s)"  # noqa: S608 - names of ours
    asked = "{" + ",".join(map(str, bills)) + "}"
    return [_Bill._make(row) for row in db.rows(connection, question, (asked, signer, now))]


_REFUSED: Final = {
    Status.PAID: refusals.Paid,
    Status.CANCELLED: refusals.Cancelled,
    Status.SUPERSEDED: refusals.Superseded,
    Status.EXPIRED: refusals.Expired,
    Status.WAIVED: refusals.Waived,
}


def _payable(row: _Bill | None, seen: BillSeen, claim: Claim, *, now: datetime) -> _Bill:
    """Return a bill, or refuse one that this signer may not pay, or not any more, or not at this price."""
    found = _payable_by(row, seen.bill, claim.signer, now=now)
    if (found.version, found.total) != (seen.version, seen.amount):
        facts = {"bill": str(seen.bill), "amount": str(found.total), "version": str(found.version)}
        raise refusals.Changed(param="bills", **facts)
    return found


def _payable_by(row: _Bill | None, bill: BillId, holder: HolderId, *, now: datetime) -> _Bill:
    facts = {"bill": str(bill)}
    if row is None or not (row.debtor == holder or row.granted):
        raise refusals.NotFound(param="bills", **facts)
    today = _status(row, now=now)
    if not today.payable:
        raise _REFUSED[today](param="bills", **facts)
    return row


def _status(row: _Bill, *, now: datetime) -> Status:
    return status.of(
        state=row.state,
        paid=row.settled_by is not None,
        due=row.due,
        expires=row.expires,
        today=clock.day_of(now),
    )
