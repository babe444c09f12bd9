"""Bills issued by tariff, replaced, and cancelled.

Words   A bill of zero is waived at issue ("Miễn phí") and never falls due.
Money   A line's amount is a whole multiple of its item's tariff (pages, copies); where the tariff leaves the amount
        open, it is what the order says.
Source  Items, amounts, budget codes: the city's file, each row dated and cited.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from wallet import clock, ids, ledger, states, text
from wallet.bills import agencies, refusals, tables
from wallet.canonical import Json
from wallet.city import Agency, City, Procedure
from wallet.events import Event
from wallet.identity import holders, roles
from wallet.ids import AccountId, BillId, HolderId, OrderId
from wallet.ledger import Claim, Plan, chart
from wallet.money import AMOUNT_MAX, Dong

LINES_MAX: Final = 12
DOSSIER_CHARS_MAX: Final = 60
REASON_CHARS_MAX: Final = 300

_CODE_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No 0/O, 1/I/L or U: codes are read out over the counter and the telephone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOrder:
    """A line as ordered. Empty codes take what the city's file maps the item and the agency to."""

    item: str
    amount: Dong
    dia_ban: str
    chuong: str = ""
    tieu_muc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillOrder:
    """What an agency asks to be issued."""

    id: OrderId
    debtor_name: str
    debtor_phone: str
    dossier: str
    procedure: str
    due: date
    lines: tuple[LineOrder, ...]
    expires: date | None = None
    supersedes: BillId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """What an agency asks to be cancelled, and why."""

    id: OrderId
    bill: BillId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line with its budget codes, mapped."""

    item: str
    name: str
    amount: Dong
    chuong: str
    tieu_muc: str
    dia_ban: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What was done: the bill, and what a person needs to find it."""

    order: OrderId
    bill: BillId
    code: str
    state: str
    version: int
    total: Dong
    due: date


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledBill:
    """What was done."""

    order: OrderId
    bill: BillId
    state: str


def issue(unit: sa.Connection, claim: Claim, order: BillOrder, *, city: City, now: datetime) -> Plan:
    """Issue a bill, and replace another by it where the order says so.

    Args:
        unit: an open unit whose order is claimed.
        claim: whose order it is: an officer or a machine of an agency.
        order: what shall be issued.
        city: tariffs, agencies and budget codes.
        now: the door's clock.

    Raises:
        refusals.WrongDates, WrongProcedure, NotInTariff, Unmapped, TooLarge: nothing can be issued like this.
        refusals.NotFound, SupersedesOther, Paid, Cancelled, Superseded: the bill to be replaced.
        holders.NameDiffers: the phone is somebody else's.
    """
    agency, terms = _agency(unit, claim, city)
    today = clock.day_of(now)
    if order.due < today or (order.expires is not None and order.expires < order.due):
        raise refusals.WrongDates(param="due")
    procedure = city.procedures.get(order.procedure)
    if procedure is None or terms.code not in procedure.agencies:
        raise refusals.WrongProcedure(param="procedure")
    lines = [_line(line, procedure, terms, city, today) for line in order.lines]
    total = sum(line.amount for line in lines)
    if total > AMOUNT_MAX:
        raise refusals.TooLarge(param="lines")
    debtor = holders.debtor(unit, name=order.debtor_name, phone=order.debtor_phone, now=now)
    version, replaced = 1, []
    if order.supersedes is not None:
        old = _locked(unit, order.supersedes, agency, claim, now=now)
        if old.debtor != debtor:
            raise refusals.SupersedesOther(param="supersedes")
        version = old.version + 1
        replaced.append(_close(unit, old, "superseded", None, now=now))
    bill, code = BillId(ids.new()), _code()
    state = "issued" if total else "waived"
    _insert(unit, bill, code, agency, debtor, order, lines, total=total, version=version, state=state, now=now)
    data: dict[str, Json] = {
        "agency": terms.code,
        "code": code,
        "debtor": str(debtor),
        "due": order.due.isoformat(),
        "lines": [
            {
                "amount": str(line.amount),
                "chuong": line.chuong,
                "dia_ban": line.dia_ban,
                "item": line.item,
                "tieu_muc": line.tieu_muc,
            }
            for line in lines
        ],
        "procedure": order.procedure,
        "supersedes": str(order.supersedes or ""),
        "total": str(total),
        "version": str(version),
    }
    told = Event(type=f"bill.{state}", subject=bill, data=data)
    done = Issued(order=order.id, bill=bill, code=code, state=state, version=version, total=Dong(total), due=order.due)
    return Plan(events=(*replaced, told), answer=done)


def cancel(unit: sa.Connection, claim: Claim, order: CancelOrder, *, city: City, now: datetime) -> Plan:
    """Cancel a bill of the signer's agency that nobody has paid.

    Raises:
        refusals.NotFound, Paid, Cancelled, Superseded.
    """
    agency, _ = _agency(unit, claim, city)
    bill = _locked(unit, order.bill, agency, claim, now=now)
    event = _close(unit, bill, "cancelled", order.reason, now=now)
    return Plan(events=(event,), answer=CancelledBill(order=order.id, bill=order.bill, state="cancelled"))


def _agency(unit: sa.Connection, claim: Claim, city: City) -> tuple[HolderId, Agency]:
    """Return the agency that the signer acts for."""
    agency = roles.agency_of(unit, claim.signer)
    if agency is None:
        raise refusals.NotFound
    return agency, city.agencies[agencies.code_of(unit, agency)]


def _line(line: LineOrder, procedure: Procedure, agency: Agency, city: City, today: date) -> Line:
    """Map a line to the tariff and its budget codes, or refuse it."""
    item = next((item for item in procedure.items_on(today) if item.code == line.item), None)
    if item is None or (item.amount is not None and not _multiple(line.amount, item.amount)):
        raise refusals.NotInTariff(param="lines", item=line.item)
    chuong, tieu_muc = line.chuong or agency.chuong, line.tieu_muc or item.tieu_muc
    area = agency.area or line.dia_ban  # an agency of one ward books nothing under another
    if chuong != agency.chuong or tieu_muc != item.tieu_muc or line.dia_ban not in city.areas or line.dia_ban != area:
        raise refusals.Unmapped(param="lines", item=line.item)
    return Line(
        item=item.code,
        name=item.name,
        amount=line.amount,
        chuong=chuong,
        tieu_muc=tieu_muc,
        dia_ban=line.dia_ban,
    )


def _multiple(amount: int, tariff: int) -> bool:
    return amount == 0 if tariff == 0 else amount > 0 and amount % tariff == 0


def _locked(unit: sa.Connection, bill: BillId, agency: HolderId, claim: Claim, *, now: datetime) -> Any:
    """Lock a bill of this agency that is neither paid nor closed."""
    row = unit.exec_driver_sql("SELECT * FROM bills.lock_bills(%s, %s, %s)", ([bill], claim.signer, now)).one_or_none()
    if row is None or row.agency != agency:
        raise refusals.NotFound(param="bill")
    if row.settled_by is not None:
        raise refusals.Paid(param="bill")
    return row


_CLOSED: Final[dict[str, Callable[..., Exception]]] = {
    "cancelled": refusals.Cancelled,
    "superseded": refusals.Superseded,
}


def _close(unit: sa.Connection, bill: Any, state: str, reason: str | None, *, now: datetime) -> Event:
    """Move a locked bill to a closed state, if that move is legal, and return the event that tells of it."""
    event = states.move(states.BILL, bill.state, state)
    if event is None:
        raise _CLOSED[bill.state](param="bill")
    unit.execute(
        sa.update(tables.bill)
        .where(tables.bill.c.id == bill.id)
        .values(state=state, closed_at=now, close_reason=reason)
    )
    return Event(type=event, subject=bill.id, data={"version": str(bill.version)})


def _code() -> str:
    letters = "".join(secrets.choice(_CODE_ALPHABET) for _ in range(10))
    return f"{letters[:5]}-{letters[5:]}"


def _insert(
    unit: sa.Connection,
    bill: BillId,
    code: str,
    agency: HolderId,
    debtor: HolderId,
    order: BillOrder,
    lines: list[Line],
    *,
    total: int,
    version: int,
    state: str,
    now: datetime,
) -> None:
    accounts = _accounts(unit, agency, lines)
    unit.execute(
        sa.insert(tables.bill).values(
            id=bill,
            code=code,
            agency=agency,
            debtor=debtor,
            dossier=order.dossier,
            dossier_folded=text.fold_code(order.dossier),
            procedure=order.procedure,
            total=total,
            version=version,
            state=state,
            supersedes=order.supersedes,
            due=order.due,
            expires=order.expires,
            issued_at=now,
        )
    )
    unit.execute(
        sa.insert(tables.bill_line),
        [
            {
                "bill": bill,
                "line": number,
                "item": line.item,
                "name": line.name,
                "amount": line.amount,
                "chuong": line.chuong,
                "tieu_muc": line.tieu_muc,
                "dia_ban": line.dia_ban,
                "account": account,
            }
            for number, (line, account) in enumerate(zip(lines, accounts, strict=True), start=1)
        ],
    )


def _accounts(unit: sa.Connection, agency: UUID, lines: list[Line]) -> list[AccountId]:
    """Return the agency's account of each line's budget codes, opened on first use."""
    opened: dict[tuple[str, str, str], AccountId] = {}
    for line in lines:
        codes = (line.chuong, line.tieu_muc, line.dia_ban)
        if codes not in opened:
            opened[codes] = ledger.open_account(
                unit,
                chart.AGENCY,
                holder=HolderId(agency),
                chuong=line.chuong,
                tieu_muc=line.tieu_muc,
                dia_ban=line.dia_ban,
            )
    return [opened[line.chuong, line.tieu_muc, line.dia_ban] for line in lines]
