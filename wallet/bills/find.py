"""Bills found: a debtor's, an agency's, by dossier code or by the bill's own code. Reads only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import clock, text
from wallet.bills import status, tables
from wallet.bills.status import Status
from wallet.events import Event
from wallet.identity import attempts
from wallet.identity.tables import person
from wallet.ids import BillId, HolderId, OrderId
from wallet.ledger import Claim, Plan
from wallet.ledger.tables import authority, entry
from wallet.refusal import Refusal

PAGE_ROWS_MAX: Final = 100
GRANT_LIFE: Final = timedelta(days=1)
"""How long somebody who proved to know a bill may see and pay it: a day, so that a family can find the money."""
DETAIL_DIGITS: Final = 4


class WrongDetail(Refusal):
    """No bill with that code whose debtor's phone ends so; which of the two is not said."""

    code = "bill_lookup_failed"
    status = 404
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a bill."""

    name: str
    amount: int
    chuong: str
    tieu_muc: str
    dia_ban: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill as it is today. `order` and `paid_at` name what paid it, once it is paid; a stranger never sees `debtor`."""

    id: BillId
    code: str
    agency: HolderId
    debtor: HolderId | None
    debtor_name: str
    dossier: str
    procedure: str
    total: int
    version: int
    status: Status
    due: date
    expires: date | None
    issued_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    supersedes: BillId | None
    superseded_by: BillId | None
    lines: tuple[Line, ...]
    payer: HolderId | None
    order: OrderId | None
    paid_at: datetime | None


def of_debtor(
    connection: sa.Connection, debtor: HolderId, *, now: datetime, after: UUID | None = None, rows_max: int = 100
) -> list[Bill]:
    """Return a debtor's bills in the order of issue, `rows_max` of those after the key `after`."""
    bill = tables.bill
    query = _query().where(bill.c.debtor == debtor)
    if after is not None:
        query = query.where(bill.c.id > after)
    return _bills(connection, query.order_by(bill.c.id).limit(rows_max), now=now)


def open_of_debtor(connection: sa.Connection, debtor: HolderId, *, now: datetime, rows_max: int = 100) -> list[Bill]:
    """Return what a debtor still has before them: unpaid and waived bills, those due soonest first."""
    bill = tables.bill
    query = _query().where(bill.c.debtor == debtor, bill.c.state.in_(("issued", "waived")), entry.c.id.is_(None))
    return _bills(connection, query.order_by(bill.c.due, bill.c.id).limit(rows_max), now=now)


def of_agency(
    connection: sa.Connection, agency: HolderId, *, now: datetime, after: UUID | None = None, rows_max: int = 100
) -> list[Bill]:
    """Return an agency's bills in the order of issue, `rows_max` of those after the key `after`."""
    bill = tables.bill
    query = _query().where(bill.c.agency == agency)
    if after is not None:
        query = query.where(bill.c.id > after)
    return _bills(connection, query.order_by(bill.c.id).limit(rows_max), now=now)


def search(connection: sa.Connection, agency: HolderId, words: str, *, now: datetime, rows_max: int = 20) -> list[Bill]:
    """Find an agency's bills by any part of a dossier code, by a bill's code, or by words of the debtor's name.

    Accents, case, dots and hyphens do not count.
    """
    code, name = text.fold_code(words), text.fold(words)
    bill = tables.bill
    if not code:
        return []
    by_code = sa.or_(
        bill.c.dossier_folded.contains(code, autoescape=True),
        bill.c.code == bill_code(words),
    )
    by_name = [
        sa.literal(" ").concat(person.c.name_folded).contains(f" {word}", autoescape=True) for word in name.split()
    ]
    query = _query().where(bill.c.agency == agency, sa.or_(by_code, sa.and_(*by_name)))
    return _bills(connection, query.order_by(bill.c.id.desc()).limit(rows_max), now=now)


def by_ids(connection: sa.Connection, bills: Sequence[UUID], *, now: datetime) -> list[Bill]:
    """Return bills by id, in the order asked, without those that do not exist."""
    found = {bill.id: bill for bill in _bills(connection, _query().where(tables.bill.c.id.in_(bills)), now=now)}
    return [found[BillId(id)] for id in bills if id in found]


def visible(connection: sa.Connection, bills: Sequence[UUID], holder: HolderId, *, now: datetime) -> list[Bill]:
    """Return those bills that a citizen may see: their own, those they were let in to, and those they have paid."""
    granted = set(
        connection.execute(
            sa.select(tables.payer_grant.c.bill).where(
                tables.payer_grant.c.bill.in_(bills),
                tables.payer_grant.c.holder == holder,
                tables.payer_grant.c.until > now,
            )
        ).scalars()
    )
    return [
        bill
        for bill in by_ids(connection, bills, now=now)
        if bill.debtor == holder or bill.payer == holder or bill.id in granted
    ]


def bill_code(words: str) -> str:
    """Spell a typed bill code as it is stored: "ab2cd 34efg" → "AB2CD-34EFG"."""
    letters = re.sub(r"[^0-9A-Z]", "", words[:60].upper())
    return f"{letters[:5]}-{letters[5:10]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOrder:
    """What somebody knows of another's bill."""

    id: OrderId
    code: str
    detail: str


def count_lookup(database: sa.Engine, holder: HolderId, code: str, *, now: datetime) -> None:
    """Count one guess at a bill, committed before anything is looked up.

    Raises:
        attempts.TooMany: of this holder at this bill, of anybody at this bill, or of this holder at all.
    """
    spelled = bill_code(code)
    tries = [
        (attempts.LOOKUP_BY_BILL, f"{holder}:{spelled}"),
        (attempts.LOOKUP_BY_HOLDER, str(holder)),
        (attempts.LOOKUP_OF_BILL, spelled),
    ]
    attempts.count(database, tries, now=now)


def let_in(unit: sa.Connection, claim: Claim, order: LookupOrder, *, now: datetime) -> Plan:
    """Let somebody see and pay another's bill, who knows its code and the last digits of the debtor's phone.

    The caller has counted the guess.

    Raises:
        WrongDetail.
    """
    grant = tables.payer_grant
    row = unit.execute(
        sa.select(tables.bill.c.id, person.c.phone)
        .join(person, person.c.holder == tables.bill.c.debtor)
        .where(tables.bill.c.code == bill_code(order.code))
    ).one_or_none()
    if row is None or len(order.detail) != DETAIL_DIGITS or not (row.phone or "").endswith(order.detail):
        raise WrongDetail(param="detail")
    until = now + GRANT_LIFE
    unit.execute(
        insert(grant)
        .values(bill=row.id, holder=claim.signer, until=until)
        .on_conflict_do_update(index_elements=[grant.c.bill, grant.c.holder], set_={"until": until})
    )
    told = Event(type="bill.payer_let_in", subject=row.id, data={"payer": str(claim.signer)})
    return Plan(events=(told,), answer={"order": order.id, "bill": row.id})


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What came in under one budget line on one day, and what was given back on that day, of whichever day's payments."""

    chuong: str
    tieu_muc: str
    dia_ban: str
    count: int
    amount: int
    refunded: int

    @property
    def net(self) -> int:
        """What the day came to; negative where more was given back than came in."""
        return self.amount - self.refunded


def takings(connection: sa.Connection, agency: HolderId, day: date) -> list[Taking]:
    """Return an agency's takings of one of the city's days, by budget line, read from the ledger's postings."""
    start, end = clock.day_bounds(day)
    rows = connection.exec_driver_sql(
        """
        WITH own AS (
            SELECT a.id, a.chuong, a.tieu_muc, a.dia_ban FROM ledger.account a
            WHERE a.code = 'agency' AND a.holder = %(agency)s
        ), side AS (
            SELECT own.*, p.entry AS taken, p.amount, 0 AS refunded
            FROM own JOIN ledger.posting p ON p.credit = own.id JOIN ledger.entry e ON e.id = p.entry
            WHERE e.effective_at >= %(start)s AND e.effective_at < %(end)s
            UNION ALL
            SELECT own.*, NULL, 0, p.amount
            FROM own JOIN ledger.posting p ON p.debit = own.id JOIN ledger.entry e ON e.id = p.entry
            WHERE e.effective_at >= %(start)s AND e.effective_at < %(end)s
              AND (e.refunds IS NOT NULL OR e.reverses IS NOT NULL)
        )
        SELECT chuong, tieu_muc, dia_ban, count(DISTINCT taken) AS count, sum(amount)::bigint AS amount,
               sum(refunded)::bigint AS refunded
        FROM side GROUP BY chuong, tieu_muc, dia_ban ORDER BY chuong, tieu_muc, dia_ban
        """,
        {"agency": agency, "start": start, "end": end},
    )
    return [Taking(**row._mapping) for row in rows]


def bills_paid(connection: sa.Connection, agency: HolderId, day: date) -> int:
    """Return how many of an agency's bills were paid on one of the city's days."""
    start, end = clock.day_bounds(day)
    paid = (
        sa.select(sa.func.count())
        .select_from(entry.join(tables.bill, tables.bill.c.id == entry.c.settles))
        .where(tables.bill.c.agency == agency, entry.c.effective_at >= start, entry.c.effective_at < end)
    )
    return int(connection.execute(paid).scalar_one())


def _query() -> sa.Select[Any]:
    bill = tables.bill
    newer = bill.alias("newer")
    return (
        sa.select(
            bill,
            person.c.name.label("debtor_name"),
            newer.c.id.label("superseded_by"),
            entry.c.effective_at.label("paid_at"),
            authority.c.signer.label("payer"),
            authority.c.order_id.label("order"),
        )
        .outerjoin(person, person.c.holder == bill.c.debtor)
        .outerjoin(newer, newer.c.supersedes == bill.c.id)
        .outerjoin(entry, entry.c.settles == bill.c.id)
        .outerjoin(authority, authority.c.id == entry.c.authority)
    )


def _bills(connection: sa.Connection, query: sa.Select[Any], *, now: datetime) -> list[Bill]:
    """Read bills and their lines in two statements, however many there are."""
    rows = connection.execute(query).all()
    lines: dict[UUID, list[Line]] = {row.id: [] for row in rows}
    table = tables.bill_line
    for line in connection.execute(
        sa.select(table).where(table.c.bill.in_(list(lines))).order_by(table.c.bill, table.c.line)
    ):
        lines[line.bill].append(
            Line(
                name=line.name,
                amount=line.amount,
                chuong=line.chuong,
                tieu_muc=line.tieu_muc,
                dia_ban=line.dia_ban,
            )
        )
    today = clock.day_of(now)
    return [
        Bill(
            id=row.id,
            code=row.code,
            agency=row.agency,
            debtor=row.debtor,
            debtor_name=row.debtor_name or "",
            dossier=row.dossier,
            procedure=row.procedure,
            total=row.total,
            version=row.version,
            status=status.of(
                state=row.state, paid=row.order is not None, due=row.due, expires=row.expires, today=today
            ),
            due=row.due,
            expires=row.expires,
            issued_at=row.issued_at,
            closed_at=row.closed_at,
            close_reason=row.close_reason,
            supersedes=row.supersedes,
            superseded_by=row.superseded_by,
            lines=tuple(lines[row.id]),
            payer=row.payer,
            order=row.order,
            paid_at=row.paid_at,
        )
        for row in rows
    ]
