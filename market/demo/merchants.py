"""The demo's merchants: each applied for by its owner, reviewed by one operator and approved by the other, with its points.

Who     The first of them belongs to a citizen whom a visitor can sign in as, and another is its cashier; every other has an
        owner of its own, who signs in nowhere.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from market import merchants, points
from market.registry import StaffRole
from market.web import orders
from wallet import accounts, city
from wallet.demo import fixed, give
from wallet.demo.enter import Load, quick
from wallet.demo.people import owners, principals
from wallet.identity import holders, roles
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.ledger import Claim, Plan

FILE: Final = Path(__file__).with_name("merchants.toml")

OWNER: Final = "huong"
CASHIER: Final = "minh"
"""Principals: the owner of the first merchant, and who stands at its counters."""

OPERATORS: Final = ("tam", "bao")
"""Principals: who reviews, and who approves."""

_APPLY: Final = give.Door(
    asks=orders.ApplySchema(), answers=orders.MovedMerchantSchema(), role=Role.CITIZEN, path="/ban-hang/dang-ky"
)
_JUDGE: Final = give.Door(
    asks=orders.JudgeSchema(), answers=orders.MovedMerchantSchema(), role=Role.OPERATOR, path="/van-hanh/diem-ban"
)
_LOCATION: Final = give.Door(
    asks=orders.LocationSchema(), answers=orders.LocationKeptSchema(), role=Role.CITIZEN, path="/ban-hang/diem"
)
_POINT: Final = give.Door(
    asks=orders.PointSchema(), answers=orders.PointIssuedSchema(), role=Role.CITIZEN, path="/ban-hang/diem"
)
_STAFF: Final = give.Door(
    asks=orders.StaffSchema(), answers=orders.StaffChangedSchema(), role=Role.CITIZEN, path="/ban-hang/diem"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A merchant as the file describes it."""

    slug: str
    name: str
    category: str
    address: str
    area: str
    at: tuple[str, str]
    hours: Mapping[str, list[list[str]]]
    points: tuple[str, ...]


@cache
def shops() -> tuple[Shop, ...]:
    """Return the file's merchants, in its order."""
    said = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        Shop(
            slug=row["slug"],
            name=row["name"],
            category=row["category"],
            address=row["address"],
            area=row["area"],
            at=(row["at"][0], row["at"][1]),
            hours={str(day): said["hours"][row["hours"]] for day in range(1, 8)},
            points=tuple(row["points"]),
        )
        for row in said["merchant"]
    )


def enter(load: Load) -> None:
    """Enter every merchant of the file."""
    engine = quick(load.database_url)
    try:
        _Entering(load, engine).everything()
    finally:
        engine.dispose()


class _Entering:
    def __init__(self, load: Load, engine: sa.Engine) -> None:
        self._engine, self._now, self._origin = engine, load.begun.at, load.begun.origin
        here = city.load(load.city_file)
        self._areas = frozenset(here.areas)
        self._named = {one.slug: one for one in principals(here)}

    def everything(self) -> None:
        """Enter them one after another, as their owners and two operators would."""
        with self._engine.begin() as unit:
            own = self._person(unit, OWNER)
            self._person(unit, CASHIER)
            officers = [self._person(unit, slug) for slug in OPERATORS]
            others = [self._wallet(unit, name, phone) for name, phone in owners(len(shops()) - 1)]
        for shop, owner in zip(shops(), [own, *others], strict=True):
            self._shop(shop, owner, officers)

    def _person(self, unit: sa.Connection, slug: str) -> HolderId:
        """Find one of the named few, or register them where this is entered alone."""
        one = self._named[slug]
        assert one.phone is not None, "they all sign in"
        if one.role == "citizen":
            return self._wallet(unit, one.name, one.phone)
        holder = holders.debtor(unit, name=one.name, phone=one.phone, now=self._now)
        roles.grant(unit, holder, Role(one.role), now=self._now)
        return holder

    def _wallet(self, unit: sa.Connection, name: str, phone: str) -> HolderId:
        holder = holders.debtor(unit, name=name, phone=phone, now=self._now)
        if accounts.wallet_of(unit, holder) is None:
            holders.open_wallet(unit, holder, now=self._now)
        return holder

    def _shop(self, shop: Shop, owner: HolderId, officers: list[HolderId]) -> None:
        said = {"name": shop.name, "category": shop.category, "tax_id": "", "merchant": ""}
        applied = self._ordered(f"apply:{shop.slug}", owner, _APPLY, said, merchants.apply)
        merchant = applied["merchant"]
        for officer, to in zip(officers, ("reviewed", "approved"), strict=True):
            moved = {"merchant": merchant, "to": to, "reason": ""}
            self._ordered(f"{to}:{shop.slug}", officer, _JUDGE, moved, merchants.judge, kind="officer_order")
        place = {
            "merchant": merchant,
            "location": "",
            "name": f"Cửa hàng {shop.address}"[: points.NAME_CHARS_MAX],
            "address": shop.address,
            "area": shop.area,
            "hours": shop.hours,
            "closed_days": [],
            "lat": shop.at[0],
            "lon": shop.at[1],
        }
        keep = partial(points.keep_location, areas=self._areas)
        kept = self._ordered(f"place:{shop.slug}", owner, _LOCATION, place, keep)
        for number, name in enumerate(shop.points):
            own = {"location": kept["location"], "name": name}
            self._ordered(f"point:{shop.slug}:{number}", owner, _POINT, own, points.issue)
        if shop is shops()[0]:
            phone = self._named[CASHIER].phone
            hired = {"merchant": merchant, "phone": phone, "role": StaffRole.CASHIER.value}
            self._ordered(f"staff:{shop.slug}", owner, _STAFF, hired, merchants.staff)

    def _ordered(
        self,
        name: str,
        signer: HolderId,
        door: give.Door,
        own: Mapping[str, Any],
        verb: Any,
        *,
        kind: Any = "session_order",
    ) -> dict[str, Any]:
        order = give.Order(
            door=door,
            own=own,
            verb=partial(_at, verb, self._now),
            signer=signer,
            order=fixed.order_id(f"market:{name}"),
            origin=self._origin,
            now=self._now,
        )
        return give.ordered(self._engine, order, kind=kind)


def _at(verb: Any, now: datetime, unit: sa.Connection, claim: Claim, order: Any) -> Plan:
    plan: Plan = verb(unit, claim, order, now=now)
    return plan


def ids(connection: sa.Connection) -> dict[str, UUID]:
    """Return the holder of each of the file's merchants that was entered, by its slug."""
    names = {shop.name: shop.slug for shop in shops()}
    rows = connection.exec_driver_sql(
        "SELECT name, min(holder::text)::uuid AS holder FROM market.merchant WHERE name = ANY (%s) GROUP BY name",
        (list(names),),
    )
    return {names[row.name]: row.holder for row in rows}
