"""Stalls: approved merchants with places, staff and products in plain words, made by the real verbs.

stall = Stalls(city).stall("Quầy cô Bé", area="19789")
product = stall.offers("Mè xửng dẻo 200 g", price=25_000)
"""

import hashlib
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from market import tables
from market.catalog import products, search
from market.catalog.draft import Draft
from market.catalog.products import ImportOrder, ProductOrder, StockOrder
from tests.make import City, Signer
from wallet import canonical, clock, db, ids, ledger, text
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.identity.tables import staff
from wallet.ids import HolderId, OrderId
from wallet.ledger import Evidence, Plan, chart
from wallet.money import Dong

_numbers = itertools.count(random.SystemRandom().randrange(0, 10**6) * 1000)

ALL_DAY = {str(day): [["00:00", "24:00"]] for day in range(1, 8)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A merchant, and who works there."""

    city: City
    holder: HolderId
    code: str
    name: str
    owner: Signer
    locations: list[UUID] = field(default_factory=list)

    def employs(self, role: str, name: str = "Trần Văn Phụ") -> Signer:
        helper = self.city.person(name, Role.CITIZEN)
        _employ(self.city, self.holder, helper, role)
        return helper

    def offers(self, name: str, **own: Any) -> UUID:
        """Offer a product and return its id."""
        product = ids.new()
        self.puts(name, product=product, **own)
        return product

    def puts(
        self,
        name: str,
        *,
        product: UUID,
        version: int = 0,
        by: Signer | None = None,
        photo: str = "",
        sent: Any = None,
        **own: Any,
    ) -> Plan:
        order = ProductOrder(
            id=OrderId(ids.new()),
            merchant=self.holder,
            product=product,
            version=version,
            photo=photo,
            draft=draft(name, **own),
        )
        return self.acts("product_put", partial(products.put, sent=sent), order, by=by)

    def sells_out(self, product: UUID, *, by: Signer | None = None, left: bool = False) -> Plan:
        order = StockOrder(id=OrderId(ids.new()), merchant=self.holder, product=product, value=not left)
        return self.acts("product_stock", products.set_sold_out, order, by=by)

    def archives(self, product: UUID, *, by: Signer | None = None) -> Plan:
        order = StockOrder(id=OrderId(ids.new()), merchant=self.holder, product=product, value=True)
        return self.acts("product_archive", products.set_archived, order, by=by)

    def imports(self, drafts: list[Draft], *, by: Signer | None = None) -> Plan:
        digest = hashlib.sha256(repr(drafts).encode()).hexdigest()
        order = ImportOrder(id=OrderId(ids.new()), merchant=self.holder, digest=digest, rows=len(drafts))
        return self.acts("product_import", partial(products.import_all, drafts=drafts), order, by=by)

    def acts(self, kind: str, verb: Any, order: Any, *, by: Signer | None = None, now: datetime | None = None) -> Plan:
        return acts(self.city, by or self.owner, kind, verb, order, now=now)


@dataclass(frozen=True, slots=True)
class Stalls:
    """The makers of one city."""

    city: City

    def stall(
        self,
        name: str = "Quầy cô Bé",
        *,
        area: str = "19789",
        hours: Mapping[str, Any] = ALL_DAY,
        closed: tuple[date, ...] = (),
        approved: bool = True,
    ) -> Stall:
        owner = self.city.person("Phan Thị Bé", Role.CITIZEN)
        code = f"{text.fold(name).replace(' ', '-')}-{next(_numbers)}"

        def work(unit: sa.Connection) -> tuple[HolderId, UUID]:
            now = clock.now()
            merchant = holders.register(unit, kind="merchant", now=now)
            unit.execute(
                sa.insert(tables.merchant).values(
                    holder=merchant,
                    code=code,
                    name=name,
                    name_folded=text.fold(name),
                    category="5499",
                    state="applied",
                    applied_by=UUID(owner.holder),
                    made_at=now,
                )
            )
            place = ids.new()
            unit.execute(
                sa.insert(tables.location).values(
                    id=place,
                    merchant=merchant,
                    name=name,
                    address="2 Trần Hưng Đạo",
                    area=area,
                    hours=dict(hours),
                    closed_days=list(closed),
                    made_at=now,
                )
            )
            return merchant, place

        holder, place = db.unit(self.city.engine, work)
        _employ(self.city, holder, owner, "owner")
        made = Stall(city=self.city, holder=holder, code=code, name=name, owner=owner, locations=[place])
        if approved:
            self.move(made, "reviewed")
            self.move(made, "approved")
        return made

    def move(self, stall: Stall, to: str) -> None:
        """Move a merchant to another state, by an officer of its own each time."""
        officer = self.city.operator()

        def work(unit: sa.Connection) -> str:
            account = ledger.open_account(unit, chart.MERCHANT, holder=stall.holder) if to == "approved" else None
            return str(
                unit.exec_driver_sql(
                    "SELECT came FROM market.move_merchant(%s, %s, %s, %s, %s, %s, %s)",
                    (ids.new(), stall.holder, to, UUID(officer.holder), "đủ giấy tờ", clock.now(), account),
                ).scalar_one()
            )

        assert db.unit(self.city.engine, work) == "moved"

    def names(self, query: str, **wanted: Any) -> list[str]:
        """Search as a newcomer does; the names in their order."""
        now = wanted.pop("now", clock.now())
        with self.city.engine.connect() as connection:
            page = search.products(connection, search.Wanted(query=query, **wanted), now=now)
        return [one.name for one in page.rows]


def draft(name: str, **own: Any) -> Draft:
    whole = Draft(
        sku="", name=name, category="dac-san", price=Dong(25_000), unit="pack", gtin="", sold_out=False, description=""
    )
    return replace(whole, **own)


def acts(city: City, signer: Signer, kind: str, verb: Any, order: Any, *, now: datetime | None = None) -> Plan:
    """Carry out an order as a page gives it; its refusal is raised."""
    who = HolderId(UUID(signer.holder))
    content = canonical.dumps({"id": str(order.id), "kind": kind, "signer": signer.holder})
    evidence = Evidence(kind="session_order", signer=who, order_id=order.id, order_kind=kind, content=content)
    at = now or clock.now()
    _, plan, refusal = city.carry_out(evidence, lambda unit, claim: verb(unit, claim, order, now=at), at_once=False)
    if refusal is not None:
        raise refusal
    assert plan is not None
    return plan


def _employ(city: City, merchant: HolderId, person: Signer, role: str) -> None:
    with city.engine.begin() as unit:
        unit.execute(
            sa.insert(staff).values(merchant=merchant, holder=UUID(person.holder), role=role, since=clock.now())
        )
