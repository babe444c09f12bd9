"""What the pages show: domain things turned into the words of the templates. No template asks the database."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from wallet import accounts, canonical, clock, lookup, money, refunds, text
from wallet.accounts import Movement
from wallet.bills import agencies, find
from wallet.bills.find import Bill
from wallet.cards import owed
from wallet.identity import holders
from wallet.ids import BillId, HolderId
from wallet.ledger import chart
from wallet.ledger.balances import TrialRow
from wallet.web.problems import locale
from wallet.web.state import Purchase, now, state

UNDOING: Final = ("refund", "reversal")
"""The kinds of entries that give money back."""

PURCHASE: Final = "merchant_payment"
"""The kind of an entry that pays a merchant."""


def bill(one: Bill, codes: dict[UUID, str], *, viewer: HolderId | None) -> dict[str, Any]:
    """Show a bill. A stranger, also one who may pay it, sees the debtor's name masked."""
    city = state().city
    procedure = city.procedures.get(one.procedure)
    agency = city.agencies.get(codes[one.agency])
    mine = viewer is not None and one.debtor == viewer
    desk = viewer is None
    return {
        "id": str(one.id),
        "code": one.code,
        "agency": agency.name if agency else codes[one.agency],
        "procedure": procedure.name if procedure else one.procedure,
        "dossier": one.dossier,
        "debtor_name": one.debtor_name if mine or desk else text.mask(one.debtor_name),
        "total": one.total,
        "due": one.due,
        "expires": one.expires,
        "status": str(one.status),
        "version": one.version,
        "lines": [line(each) for each in one.lines],
        "order_id": str(one.order) if one.order and (desk or one.payer == viewer) else None,
        "paid_at": one.paid_at,
        "mine": mine,
    }


def line(one: find.Line) -> dict[str, Any]:
    """Show a line with the names of its budget codes."""
    city = state().city
    tieu_muc, area = city.tieu_muc.get(one.tieu_muc), city.areas.get(one.dia_ban)
    return {
        "name": one.name,
        "amount": one.amount,
        "chuong": one.chuong,
        "tieu_muc": one.tieu_muc,
        "tieu_muc_name": tieu_muc.name if tieu_muc else "",
        "dia_ban": one.dia_ban,
        "area_name": area.name if area else "",
    }


def bills(connection: sa.Connection, some: list[Bill], *, viewer: HolderId | None) -> list[dict[str, Any]]:
    """Show several bills."""
    codes = agencies.codes(connection)
    return [bill(one, codes, viewer=viewer) for one in some]


def history(connection: sa.Connection, rows: list[Movement], *, holder: HolderId) -> list[dict[str, Any]]:
    """Show what entries did to an account: a bill by its procedure and agency, a transfer by the other's masked name and
    by its memo, which both sides may read.
    """
    city, codes = state().city, agencies.codes(connection)
    wanted = [row.settles for row in rows if row.settles]
    settled: dict[UUID, Bill] = {one.id: one for one in find.by_ids(connection, wanted, now=now())}
    owners = {row.counterparty: accounts.owner(connection, row.counterparty) for row in rows}
    names = holders.names(connection, {owner.holder for owner in owners.values() if owner and owner.holder})
    said = memos(connection, [(row.signer, row.order) for row in rows if row.kind == "transfer"])
    undone = refunds.bills_of(connection, [row.entry for row in rows if row.kind in UNDOING])
    given = {one.id: one for one in find.by_ids(connection, list(set(undone.values())), now=now())}
    bought = state().purchases(connection, [row.entry for row in rows if row.kind in (PURCHASE, *UNDOING)])
    undone = {entry: bill for entry, bill in undone.items() if BillId(bill) in given}  # others settled no bill
    shown = []
    for row in rows:
        if row.entry in bought:
            shown.append(_purchase(row, bought[row.entry]))
            continue
        paid, owner = settled.get(row.settles) if row.settles else None, owners[row.counterparty]
        if row.entry in undone:
            shown.append(_given_back(row, given[BillId(undone[row.entry])], codes, holder=holder))
            continue
        if paid:
            procedure, agency = city.procedures.get(paid.procedure), city.agencies.get(codes[paid.agency])
            title = procedure.name if procedure else paid.procedure
            counterparty = agency.name if agency else ""
        else:
            name = names.get(owner.holder) if owner and owner.holder else None
            title = _kind(row.kind, received=row.amount > 0)
            counterparty = name or "" if owner and owner.code == chart.MERCHANT else text.mask(name) if name else ""
        order = str(row.order) if row.signer == holder and (paid or row.kind == "transfer") else None
        shown.append(
            {
                "at": row.effective_at,
                "title": title,
                "city_wrote": paid is not None,
                "counterparty": counterparty,
                "memo": said.get((row.signer, row.order), ""),
                "amount": row.amount,
                "order_id": order,
            }
        )
    return shown


def _purchase(row: Movement, one: Purchase) -> dict[str, Any]:
    """Show what was paid to a merchant, or what came back of it, and the way to the payment's confirmation."""
    return {
        "at": row.effective_at,
        "title": _kind(row.kind, received=row.amount > 0),
        "city_wrote": False,
        "counterparty": one.merchant,
        "memo": one.memo if row.kind == PURCHASE else "",
        "amount": row.amount,
        "order_id": str(one.order) if row.amount < 0 or row.kind in UNDOING else None,
    }


def backs(one: Purchase) -> list[dict[str, Any]]:
    """Show what went back of a purchase, oldest first, each with its day."""
    return [{"day": clock.day_of(back.at), "amount": back.amount} for back in one.backs]


def _given_back(row: Movement, bill: Bill, codes: dict[UUID, str], *, holder: HolderId) -> dict[str, Any]:
    """Show money that an agency gave back: who, of which bill, and the way to the payment that it was part of."""
    city = state().city
    procedure, agency = city.procedures.get(bill.procedure), city.agencies.get(codes[bill.agency])
    return {
        "at": row.effective_at,
        "title": _kind(row.kind, received=row.amount > 0),
        "city_wrote": False,
        "counterparty": agency.name if agency else "",
        "memo": procedure.name if procedure else bill.procedure,
        "amount": row.amount,
        "order_id": str(bill.order) if bill.order and bill.payer == holder else None,
    }


def given_back(connection: sa.Connection, bills: Sequence[Bill]) -> dict[UUID, list[dict[str, Any]]]:
    """Show what was given back of each bill's payment, oldest first, with the reason: whoever sees the bill may read it."""
    found = refunds.of_bills(connection, [one.id for one in bills if one.paid_at is not None])
    orders = [(back.signer, back.order) for backs in found.values() for back in backs]
    spelled = lookup.contents(connection, orders) if orders else {}
    reasons = {order: str(canonical.loads(content).get("reason", "")) for order, content in spelled.items()}
    return {
        bill: [
            {
                "at": back.effective_at,
                "day": clock.day_of(back.effective_at),
                "amount": back.amount,
                "whole": back.whole,
                "reason": reasons.get((back.signer, back.order), ""),
            }
            for back in backs
        ]
        for bill, backs in found.items()
    }


def memos(connection: sa.Connection, orders: list[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], str]:
    """Return what payers wrote to payees, by signer and order id; nothing of what was shredded."""
    spelled = lookup.contents(connection, orders) if orders else {}
    told = {order: str(canonical.loads(content).get("memo", "")) for order, content in spelled.items()}
    return {order: " ".join(unicodedata.normalize("NFC", memo).split()) for order, memo in told.items()}


def trial_balance(rows: list[TrialRow]) -> dict[str, Any]:
    """Show a trial balance with what each side comes to."""
    english = locale() == "en"
    return {
        "rows": [
            {
                "code": row.code,
                "name": row.name_en if english else row.name,
                "normal": row.normal,
                "debit": row.debit,
                "credit": row.credit,
            }
            for row in rows
        ],
        "total_debit": sum(row.debit for row in rows),
        "total_credit": sum(row.credit for row in rows),
    }


def _kind(kind: str, *, received: bool) -> str:
    if kind == "transfer":
        return str(_("Nhận tiền từ") if received else _("Chuyển tiền tới"))
    if kind == "topup":
        return str(_("Nạp tiền"))
    if kind == "card_topup":
        return str(_("Nạp tiền bằng thẻ"))
    if kind == owed.KIND:
        return str(_("Tiền hoàn mà thẻ không nhận"))
    if kind in UNDOING:
        return str(_("Được hoàn tiền từ") if received else _("Hoàn tiền cho"))
    if kind in ("capture", PURCHASE):
        return str(_("Nhận tiền từ") if received else _("Trả tiền cho"))
    return kind


def bill_history(one: Bill, backs: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Show what happened to a bill, and what was given back of its payment."""
    steps = [{"at": one.issued_at, "text": _("Cơ quan lập khoản")}]
    if one.status == "waived":
        steps[0]["text"] = _("Cơ quan lập khoản, miễn phí")
    if one.paid_at is not None:
        steps.append({"at": one.paid_at, "text": _("Đã trả")})
    for back in backs:
        gave = _("Cơ quan hoàn %(sum)s", sum=money.grouped(back["amount"]))
        steps.append({"at": back["at"], "text": f"{gave}: {back['reason']}" if back["reason"] else gave})
    if one.closed_at is not None:
        closed = _("Cơ quan huỷ khoản") if one.status == "cancelled" else _("Cơ quan thay bằng khoản khác")
        steps.append({"at": one.closed_at, "text": f"{closed}: {one.close_reason}" if one.close_reason else closed})
    return steps


def limits(connection: sa.Connection, holder: HolderId, amounts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return what a confirm sheet shows of the limits that an order would count against; `over` where it would exceed one.

    Args:
        connection: any.
        holder: whose wallet pays.
        amounts: đồng by use, as `wallet.limits.Limits.counts` takes them.
    """
    rows = []
    for one in state().limits.standings(connection, holder, now=now()):
        asked = sum(amount for use, amount in amounts.items() if use in one.uses)
        if asked:
            title = one.title if locale() == "vi" else one.title_en
            rows.append(
                {
                    "title": title,
                    "remaining": one.remaining,
                    "cap": one.cap,
                    "renews_at": one.renews_at,
                    "over": asked > one.remaining,
                }
            )
    return rows
