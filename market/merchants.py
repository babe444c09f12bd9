"""Merchants: from an application through two officers to being paid; and who works for them.

Words   Applied → reviewed → approved, or refused; returned to the applicant from either; approved → suspended and back. Who
        approves, refuses or reinstates is another officer than the one who moved it to where it stood: maker and checker.
        One officer alone suspends: what protects customers must not wait for a second signature.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

from market import registry, tables
from market.registry import MerchantNotFound, StaffRole, must
from wallet import accounts, ids, ledger, states, text
from wallet.events import Event
from wallet.identity import holders, roles
from wallet.identity import tables as identity
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan, chart
from wallet.refusal import Refusal

NAME_CHARS_MAX: Final = 80
REASON_CHARS_MAX: Final = 300

MOVES: Final[states.Moves] = {
    ("applied", "reviewed"): "merchant.reviewed",
    ("applied", "returned"): "merchant.returned",
    ("reviewed", "approved"): "merchant.approved",
    ("reviewed", "returned"): "merchant.returned",
    ("reviewed", "refused"): "merchant.refused",
    ("returned", "applied"): "merchant.applied",
    ("approved", "suspended"): "merchant.suspended",
    ("suspended", "approved"): "merchant.reinstated",
}
"""Every legal move and the event that tells it; the database's `market.move_merchant` holds the same."""

CATEGORIES: Final[Mapping[str, tuple[str, str]]] = {
    "5411": ("Tạp hoá, siêu thị", "Groceries"),
    "5422": ("Thịt, cá tươi sống", "Meat and fish"),
    "5441": ("Bánh kẹo, mè xửng", "Sweets"),
    "5462": ("Tiệm bánh", "Bakery"),
    "5499": ("Thực phẩm, đặc sản", "Food and specialities"),
    "5812": ("Quán ăn, nhà hàng", "Restaurant"),
    "5814": ("Ăn nhanh, giải khát", "Snacks and drinks"),
    "5651": ("Áo dài, quần áo", "Clothes"),
    "5691": ("May đo, vải vóc", "Tailor and cloth"),
    "5661": ("Giày dép", "Shoes"),
    "5712": ("Đồ gia dụng", "Household goods"),
    "5732": ("Điện máy", "Electronics"),
    "5912": ("Nhà thuốc", "Pharmacy"),
    "5942": ("Nhà sách", "Books"),
    "5947": ("Quà lưu niệm", "Gifts and souvenirs"),
    "5950": ("Gốm sứ, pháp lam", "Pottery and enamel"),
    "5970": ("Thủ công mỹ nghệ", "Arts and crafts"),
    "5992": ("Hoa tươi", "Flowers"),
    "7011": ("Khách sạn, nhà nghỉ", "Hotel"),
    "7230": ("Cắt tóc, làm đẹp", "Hair and beauty"),
    "7523": ("Bãi giữ xe", "Parking"),
    "7922": ("Vé tham quan, biểu diễn", "Tickets"),
    "4111": ("Thuyền, xe buýt", "Boats and buses"),
    "4121": ("Xích lô, taxi", "Cyclo and taxi"),
    "8011": ("Phòng khám", "Clinic"),
    "5999": ("Cửa hàng khác", "Other shop"),
}
"""Merchant category codes (ISO 18245) that a city's traders need, with their names."""

_TAX_ID: Final = re.compile(r"[0-9]{10}(-[0-9]{3})?|[0-9]{12}")
"""A company's or its branch's, or the personal number by which a household business is known since 2025."""


class IllegalMove(Refusal):
    """The merchant's application does not stand where this could be done."""

    code = "merchant_state"
    status = 409


class SameOfficer(Refusal):
    """The second officer must be another than the first, and none who works for the merchant."""

    code = "merchant_same_officer"
    status = 409


class CategoryUnknown(Refusal):
    """Not one of the categories."""

    code = "merchant_category"
    status = 422
    stored = False


class TaxIdWrong(Refusal):
    """Not a tax number: 10 digits, 10 and a branch's 3, or 12."""

    code = "merchant_tax_id"
    status = 422
    stored = False


class StaffUnknown(Refusal):
    """Nobody with that phone has a wallet here."""

    code = "merchant_staff_unknown"
    status = 404


class LastOwner(Refusal):
    """A merchant keeps one owner."""

    code = "merchant_last_owner"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOrder:
    """What an applicant asks: to sell under this name. With `merchant`, an application that was returned, mended."""

    id: OrderId
    name: str
    category: str
    tax_id: str
    merchant: HolderId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOrder:
    """What an officer orders of an application, or of a merchant."""

    id: OrderId
    merchant: HolderId
    to: Literal["reviewed", "returned", "approved", "refused", "suspended"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffOrder:
    """Who shall work for a merchant, by their phone; or, without a role, who no longer does."""

    id: OrderId
    merchant: HolderId
    phone: str
    role: StaffRole | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of a merchant."""

    order: OrderId
    merchant: HolderId
    code: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffChanged:
    """Who works for a merchant now, as what; empty: no longer."""

    order: OrderId
    merchant: HolderId
    holder: HolderId
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A merchant as its staff and the officers see it."""

    holder: HolderId
    code: str
    name: str
    tax_id: str | None
    category: str
    account: UUID | None
    state: str
    applied_by: HolderId
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Who works for a merchant."""

    holder: HolderId
    name: str
    phone: str
    role: StaffRole
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A move of a merchant: who made it, when and why."""

    from_state: str
    to_state: str
    officer: HolderId
    reason: str
    at: datetime


def apply(unit: sa.Connection, claim: Claim, order: ApplyOrder, *, now: datetime) -> Plan:
    """Take an application, or one that was returned and mended; the applicant becomes the owner.

    Raises:
        CategoryUnknown, TaxIdWrong; of a mended one MerchantNotFound, NotYours, IllegalMove.
    """
    if order.category not in CATEGORIES:
        raise CategoryUnknown(param="category")
    if order.tax_id and not _TAX_ID.fullmatch(order.tax_id):
        raise TaxIdWrong(param="tax_id")
    said = {
        "name": order.name,
        "name_folded": text.fold(order.name),
        "tax_id": order.tax_id or None,
        "category": order.category,
    }
    if order.merchant is not None:
        return _mend(unit, claim, order, said, now=now)
    merchant, code = holders.register(unit, kind="merchant", now=now), new_code(order.name)
    unit.execute(
        sa.insert(tables.merchant).values(
            holder=merchant, code=code, state="applied", applied_by=claim.signer, made_at=now, **said
        )
    )
    unit.execute(
        sa.insert(tables.staff).values(merchant=merchant, holder=claim.signer, role=StaffRole.OWNER.value, since=now)
    )
    told = Event(type="merchant.applied", subject=merchant, data={"code": code, "category": order.category})
    return Plan(events=(told,), answer=Moved(order=order.id, merchant=merchant, code=code, state="applied"))


def _mend(unit: sa.Connection, claim: Claim, order: ApplyOrder, said: dict[str, Any], *, now: datetime) -> Plan:
    assert order.merchant is not None, "asked by the caller"
    must(unit, order.merchant, claim.signer, StaffRole.OWNER)
    _move(unit, order.merchant, "applied", claim.signer, "", now=now)
    unit.execute(sa.update(tables.merchant).where(tables.merchant.c.holder == order.merchant).values(**said))
    found = by_id(unit, order.merchant)
    assert found is not None, "it was just moved"
    told = Event(type="merchant.applied", subject=order.merchant, data={"code": found.code, "category": order.category})
    answer = Moved(order=order.id, merchant=order.merchant, code=found.code, state="applied")
    return Plan(events=(told,), answer=answer)


def judge(unit: sa.Connection, claim: Claim, order: JudgeOrder, *, now: datetime) -> Plan:
    """Move an application or a merchant on an officer's order; approval opens the account it is paid into.

    Raises:
        MerchantNotFound, IllegalMove, SameOfficer.
    """
    merchant = by_id(unit, order.merchant)
    if merchant is None:
        raise MerchantNotFound(param="merchant")
    opened = order.to == "approved" and merchant.account is None
    account = ledger.open_account(unit, chart.MERCHANT, holder=merchant.holder) if opened else None
    stood = _move(unit, merchant.holder, order.to, claim.signer, order.reason, account=account, now=now)
    if opened:
        _name(unit, merchant)
        roles.grant(unit, merchant.holder, Role.MERCHANT, now=now)
    data = {"from": stood, **({"account": str(account)} if account else {})}
    told = Event(type=MOVES[stood, order.to], subject=merchant.holder, data=data)
    answer = Moved(order=order.id, merchant=merchant.holder, code=merchant.code, state=order.to)
    return Plan(events=(told,), answer=answer)


def _name(unit: sa.Connection, merchant: Merchant) -> None:
    """Keep the name it was approved under where every holder's name stands: whoever paid it reads whom they paid."""
    unit.execute(
        sa.insert(identity.person).values(
            holder=merchant.holder, name=merchant.name, name_folded=text.fold(merchant.name)
        )
    )


def _move(
    unit: sa.Connection,
    merchant: HolderId,
    to: str,
    officer: HolderId,
    reason: str,
    *,
    account: UUID | None = None,
    now: datetime,
) -> str:
    """Move a merchant by the one way there is; return where it stood.

    Raises:
        MerchantNotFound, IllegalMove, SameOfficer.
    """
    row = unit.exec_driver_sql(
        "SELECT stood, came FROM market.move_merchant(%s, %s, %s, %s, %s, %s, %s)",
        (ids.new(), merchant, to, officer, reason, now, account),
    ).one()
    if row.came == "absent":
        raise MerchantNotFound(param="merchant")
    if row.came == "illegal":
        raise IllegalMove(param="to", state=row.stood)
    if row.came == "same_officer":
        raise SameOfficer(param="to")
    return str(row.stood)


def staff(unit: sa.Connection, claim: Claim, order: StaffOrder, *, now: datetime) -> Plan:
    """Appoint somebody, change their role, or let them go; an owner's order.

    Raises:
        MerchantNotFound, NotYours, StaffUnknown, LastOwner, holders.BadPhone.
    """
    must(unit, order.merchant, claim.signer, StaffRole.OWNER)
    person = holders.by_phone(unit, holders.phone_number(order.phone))
    if person is None or accounts.wallet_of(unit, person.holder) is None:
        raise StaffUnknown(param="phone")
    _one_at_a_time(unit, order.merchant)
    serves = tables.staff.c
    had = registry.role_of(unit, order.merchant, person.holder)
    if had is None and order.role is None:
        raise StaffUnknown(param="phone")
    if had is StaffRole.OWNER and order.role is not StaffRole.OWNER and _owners(unit, order.merchant) == 1:
        raise LastOwner(param="phone")
    unit.execute(
        sa.update(tables.staff)
        .where(serves.merchant == order.merchant, serves.holder == person.holder, serves.until.is_(None))
        .values(until=now)
    )
    if order.role is not None:
        unit.execute(
            sa.insert(tables.staff).values(
                merchant=order.merchant, holder=person.holder, role=order.role.value, since=now
            )
        )
    role = order.role.value if order.role else ""
    data = {"holder": str(person.holder), "role": role}
    told = Event(type="merchant.staff_changed", subject=order.merchant, data=data)
    answer = StaffChanged(order=order.id, merchant=order.merchant, holder=person.holder, role=role)
    return Plan(events=(told,), answer=answer)


def _one_at_a_time(unit: sa.Connection, merchant: HolderId) -> None:
    """Lock a merchant's staff, so that two owners do not let each other go at once."""
    unit.exec_driver_sql("SELECT identity.lock_holder(%s)", (merchant,))


def _owners(connection: sa.Connection, merchant: HolderId) -> int:
    serves = tables.staff.c
    query = sa.select(sa.func.count()).where(
        serves.merchant == merchant, serves.role == StaffRole.OWNER.value, serves.until.is_(None)
    )
    return int(connection.execute(query).scalar_one())


def new_code(name: str) -> str:
    """Make the code of a merchant's public address: its name without accents, and four random letters.

    The letters keep a second "Quán Huế" apart, and tell nobody how many there are.
    """
    words = re.sub(r"[^a-z0-9]+", "-", text.fold(name)).strip("-")[:48].strip("-") or "quay"
    tail = "".join(secrets.choice("23456789abcdefghjkmnpqrstvwxyz") for _ in range(4))
    return f"{words}-{tail}"


# -- reading ------------------------------------------------------------------------------------------------------------


def by_id(connection: sa.Connection, merchant: UUID) -> Merchant | None:
    """Find a merchant by its holder's id."""
    return _one(connection, tables.merchant.c.holder == merchant)


def by_code(connection: sa.Connection, code: str) -> Merchant | None:
    """Find a merchant by the code of its public address."""
    return _one(connection, tables.merchant.c.code == code)


def served_by(connection: sa.Connection, holder: UUID) -> list[tuple[Merchant, StaffRole]]:
    """Return the merchants that somebody works for, and as what."""
    serves = tables.staff.c
    rows = connection.execute(
        sa.select(*_COLUMNS, serves.role)
        .join(tables.staff, serves.merchant == tables.merchant.c.holder)
        .where(serves.holder == holder, serves.until.is_(None))
        .order_by(tables.merchant.c.holder)
    )
    return [(Merchant(**{key.name: row._mapping[key] for key in _COLUMNS}), StaffRole(row.role)) for row in rows]


def queue(
    connection: sa.Connection, state: str, *, after: UUID | None = None, rows_max: int = 50, words: str = ""
) -> list[Merchant]:
    """Return merchants in a state, oldest first, paged by key; `words` of their names, without accents."""
    merchant = tables.merchant.c
    query = sa.select(*_COLUMNS).where(merchant.state == state).order_by(merchant.holder).limit(rows_max)
    if after is not None:
        query = query.where(merchant.holder > after)
    for word in text.fold(words).split():
        query = query.where(merchant.name_folded.contains(word, autoescape=True))
    return [Merchant(**row._mapping) for row in connection.execute(query)]


def reviews(connection: sa.Connection, merchant: UUID) -> list[Review]:
    """Return what officers did with a merchant, oldest first."""
    review = tables.merchant_review.c
    rows = connection.execute(
        sa.select(review.from_state, review.to_state, review.officer, review.reason, review.at)
        .where(review.merchant == merchant)
        .order_by(review.at, review.id)
    )
    return [Review(**row._mapping) for row in rows]


def members(connection: sa.Connection, merchant: UUID) -> list[Member]:
    """Return who works for a merchant."""
    serves, person = tables.staff.c, identity.person.c
    rows = connection.execute(
        sa.select(serves.holder, person.name, person.phone, serves.role, serves.since)
        .join(identity.person, person.holder == serves.holder)
        .where(serves.merchant == merchant, serves.until.is_(None))
        .order_by(serves.since, serves.holder)
    )
    return [Member(**{**row._mapping, "role": StaffRole(row.role)}) for row in rows]


_COLUMNS: Final = tuple(
    tables.merchant.c[name]
    for name in ("holder", "code", "name", "tax_id", "category", "account", "state", "applied_by", "made_at")
)


def _one(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Merchant | None:
    row = connection.execute(sa.select(*_COLUMNS).where(where)).one_or_none()
    return Merchant(**row._mapping) if row else None
