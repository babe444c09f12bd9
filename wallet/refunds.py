"""Refunds and reversals: money given back where it came from, by whom it was paid to.

Words   A reversal undoes an entry whole, once; a refund gives back a part of one or more of its lines, as often as something
        remains. Both are entries of their own that name the one they undo, and are never undone themselves: taking money
        back out of a wallet needs its holder's order.
Money   Whole đồng, each line at most what remains of it, compared under the original entry's lock. A refund gives nothing
        back to the limits that the payment counted against.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import ids
from wallet.events import Event
from wallet.identity import roles
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Plan, Posting
from wallet.ledger.refusals import NotReversible, Refunded, RefundTooLarge, Reversed
from wallet.money import Dong
from wallet.refusal import Refusal

REASON_CHARS_MAX = 200

QUESTIONS: Final[dict[str, str]] = {
    "refund_not_as_signed": """
        SELECT a.id, 'entry, lines or amounts are not those of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.kind = 'signed_order' AND a.order_kind = 'refund'
          AND (SELECT jsonb_agg(jsonb_build_array(e.refunds::text, p.of_line::text, p.amount::text) ORDER BY p.of_line)
               FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id WHERE e.authority = a.id)
              IS DISTINCT FROM
              (SELECT jsonb_agg(jsonb_build_array(s.said ->> 'entry', l ->> 'line', l ->> 'amount')
                                ORDER BY (l ->> 'line')::int)
               FROM jsonb_array_elements(s.said -> 'lines') AS l)""",
    "reversal_not_as_signed": """
        SELECT a.id, 'the entry is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.kind = 'signed_order' AND a.order_kind = 'reverse'
          AND (SELECT jsonb_agg(e.reverses::text) FROM ledger.entry e WHERE e.authority = a.id)
              IS DISTINCT FROM jsonb_build_array(s.said ->> 'entry')""",
}
"""What the proof of the books asks about what undoes, as in `wallet.ledger.questions`; of a signed order, because what an
officer typed is no stronger evidence than the books are."""


class EntryNotFound(Refusal):
    """No entry with that id that paid the caller."""

    code = "entry_not_found"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class LineBack:
    """So much of a line of the entry."""

    line: int
    amount: Dong


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """What the payee ordered: give these parts back. The reason stays in the order's bytes."""

    id: OrderId
    entry: EntryId
    lines: tuple[LineBack, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseOrder:
    """What the payee ordered: undo this entry whole."""

    id: OrderId
    entry: EntryId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was given back, by which entry, of which."""

    order: OrderId
    entry: EntryId
    undoes: EntryId
    amount: Dong
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of an entry, what of it was given back already, and whose accounts it joins."""

    line: int
    debit: AccountId
    credit: AccountId
    amount: Dong
    given: int
    payer: HolderId | None
    payee: HolderId | None
    by_card: bool
    """Paid by a card: what is given back waits as card money until the processor sends it to that card."""

    @property
    def remains(self) -> int:
        """What can still be given back."""
        return self.amount - self.given


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry that undoes another, or is undone by it."""

    entry: EntryId
    how: Literal["reverses", "reversed_by", "refunds", "refunded_by"]


def refund(unit: sa.Connection, claim: Claim, order: RefundOrder, *, now: datetime) -> Plan:
    """Decide a refund: each named line back from its credit account to its debit account.

    Args:
        unit: read from without a lock; the ledger compares under the original's.
        claim: the payee's order, or its officer's.
        order: one or more lines, each at most once.
        now: aware UTC, read once at the door.

    Raises:
        EntryNotFound: none that paid the signer. RefundTooLarge, Reversed, NotReversible; then one of
            `ledger.refusals`: too little available, a frozen account.
    """
    return _back_of(_owned(unit, order.entry, claim), order, now=now)


def back(connection: sa.Connection, order: RefundOrder, *, now: datetime) -> Plan:
    """Decide a refund by somebody of whom the caller knows that they act for whom the entry paid.

    Raises:
        As `refund`.
    """
    return _back_of(_undoable(connection, order.entry, lines_of(connection, order.entry)), order, now=now)


def _back_of(owned: list[Line], order: RefundOrder, *, now: datetime) -> Plan:
    lines = {line.line: line for line in owned}
    postings = []
    for back in order.lines:
        line = lines.get(back.line)
        if line is None:
            raise EntryNotFound(param="lines")
        if back.amount > line.remains:
            raise RefundTooLarge(param="lines", entry=str(order.entry), line=str(line.line), remains=str(line.remains))
        postings.append(_back(line, back.amount))
    return _plan("refund", order.id, order.entry, tuple(postings), now=now)


def reverse(unit: sa.Connection, claim: Claim, order: ReverseOrder, *, now: datetime) -> Plan:
    """Decide a reversal: every line of the entry back, whole.

    Raises:
        EntryNotFound; Refunded: parts were given back already; Reversed, NotReversible; then one of `ledger.refusals`.
    """
    lines = _owned(unit, order.entry, claim)
    if any(line.given for line in lines):
        raise Refunded(param="entry", entry=str(order.entry))
    return _plan("reversal", order.id, order.entry, tuple(_back(line, line.amount) for line in lines), now=now)


def links(connection: sa.Connection, entry: EntryId) -> list[Link]:
    """Return what an entry undoes and what undoes it, oldest first: the link is seen from both ends."""
    rows = connection.exec_driver_sql(
        """
        SELECT coalesce(e.reverses, e.refunds) AS entry,
               CASE WHEN e.reverses IS NULL THEN 'refunds' ELSE 'reverses' END AS how, e.posted_at
        FROM ledger.entry e WHERE e.id = %(entry)s AND coalesce(e.reverses, e.refunds) IS NOT NULL
        UNION ALL
        SELECT e.id, 'reversed_by', e.posted_at FROM ledger.entry e WHERE e.reverses = %(entry)s
        UNION ALL
        SELECT e.id, 'refunded_by', e.posted_at FROM ledger.entry e WHERE e.refunds = %(entry)s
        ORDER BY posted_at, entry
        """,
        {"entry": entry},
    )
    return [Link(entry=row.entry, how=row.how) for row in rows]


_LINES = """
    SELECT p.line, p.debit, p.credit, p.amount, d.holder AS payer, c.holder AS payee, d.code = 'card_pending' AS by_card,
           (SELECT coalesce(sum(g.amount), 0) FROM ledger.entry r
            JOIN ledger.posting g ON g.entry = r.id AND g.of_line = p.line WHERE r.refunds = p.entry)::bigint AS given
    FROM ledger.posting p JOIN ledger.account d ON d.id = p.debit JOIN ledger.account c ON c.id = p.credit
    WHERE p.entry = %s ORDER BY p.line
"""


def lines_of(connection: sa.Connection, entry: EntryId) -> list[Line]:
    """Return an entry's lines with what of each was refunded."""
    return [Line(**row._mapping) for row in connection.exec_driver_sql(_LINES, (entry,))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """What one entry gave back of a bill's payment, in whole đồng, and by whose order; `whole` is a reversal."""

    bill: UUID
    entry: EntryId
    whole: bool
    amount: Dong
    effective_at: datetime
    signer: HolderId
    order: UUID


_BACK = """
    SELECT o.settles AS bill, e.id AS entry, e.reverses IS NOT NULL AS whole, sum(p.amount)::bigint AS amount,
           e.effective_at, u.signer, u.order_id AS "order"
    FROM ledger.entry o
    JOIN ledger.entry e ON e.refunds = o.id OR e.reverses = o.id
    JOIN ledger.posting p ON p.entry = e.id
    JOIN ledger.authority u ON u.id = e.authority
    WHERE o.settles = ANY (%s)
    GROUP BY o.settles, e.id, u.signer, u.order_id ORDER BY e.effective_at, e.id
"""


def settling(connection: sa.Connection, bill: UUID) -> EntryId | None:
    """Return the entry that paid a bill, if it is paid."""
    found: EntryId | None = connection.exec_driver_sql(
        "SELECT id FROM ledger.entry WHERE settles = %s", (bill,)
    ).scalar_one_or_none()
    return found


def of_bills(connection: sa.Connection, bills: Sequence[UUID]) -> dict[UUID, list[Back]]:
    """Return what was given back of each bill's payment, oldest first; nothing for a bill of which nothing was."""
    found: dict[UUID, list[Back]] = {}
    for row in connection.exec_driver_sql(_BACK, (list(bills),)):
        found.setdefault(row.bill, []).append(Back(**row._mapping))
    return found


def bills_of(connection: sa.Connection, entries: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return which bill's payment each of these refunds and reversals gave back, by entry."""
    rows = connection.exec_driver_sql(
        """
        SELECT e.id, o.settles FROM ledger.entry e JOIN ledger.entry o ON o.id = coalesce(e.refunds, e.reverses)
        WHERE e.id = ANY (%s) AND o.settles IS NOT NULL
        """,
        (list(entries),),
    )
    return {row.id: row.settles for row in rows}


def _owned(connection: sa.Connection, entry: EntryId, claim: Claim) -> list[Line]:
    """Return the lines of an entry that can still be undone and that paid whom the signer acts for."""
    lines = lines_of(connection, entry)
    acting: set[UUID | None] = {claim.signer}
    if claim.key_id is None:  # an officer acts for their office at the desk, not with a key of their own
        acting.add(roles.agency_of(connection, claim.signer) or claim.signer)
    if not lines or any(line.payee not in acting for line in lines):
        raise EntryNotFound(param="entry")
    return _undoable(connection, entry, lines)


def _undoable(connection: sa.Connection, entry: EntryId, lines: list[Line]) -> list[Line]:
    how = {link.how for link in links(connection, entry)}
    if how & {"reverses", "refunds"} or any(line.payer is None and not line.by_card for line in lines):
        raise NotReversible(param="entry", entry=str(entry))
    if "reversed_by" in how:
        raise Reversed(param="entry", entry=str(entry))
    return lines


def _back(line: Line, amount: Dong) -> Posting:
    return Posting(debit=line.credit, credit=line.debit, amount=amount, of_line=line.line)


def _plan(kind: str, order: OrderId, undone: EntryId, postings: tuple[Posting, ...], *, now: datetime) -> Plan:
    link: dict[str, Any] = {"reverses": undone} if kind == "reversal" else {"refunds": undone}
    entry = Entry(id=EntryId(ids.new()), kind=kind, effective_at=now, postings=postings, **link)
    told = Event(type=f"entry.{'reversed' if kind == 'reversal' else 'refunded'}", subject=undone, entry=entry.id)
    done = Undone(
        order=order,
        entry=entry.id,
        undoes=undone,
        amount=Dong(sum(posting.amount for posting in postings)),
        effective_at=now,
    )
    return Plan(entries=(entry,), events=(told,), answer=done)
