"""Makers of the market: merchants approved by two officers, their places, points and invoices, by the real verbs.

shop = selling.shop(city)                       # an owner, one place, one point, approved
reply = shop.invoice(45_000)                    # through its door, signed by the cashier
paid = shop.pay(hoa, reply.json()["invoice"])
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from market import invoices, merchants, points, registry
from market.registry import Point, StaffRole
from tests.make import City, Signer
from wallet import clock
from wallet.client import Reply
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan

DAWN_TO_DUSK: points.Hours = {str(day): [["06:00", "18:00"]] for day in range(1, 8)}


def carried(city: City, signer: Signer, kind: str, decide: Callable[[sa.Connection, Claim], Plan]) -> Any:
    """Carry out an order given through a page, and return its answer."""
    made: list[Plan] = []

    def deciding(unit: sa.Connection, claim: Claim) -> Plan:
        made.append(decide(unit, claim))
        return made[-1]

    city.officer_order(HolderId(UUID(signer.holder)), kind, deciding, kind="session_order")
    return made[-1].answer


@dataclass(slots=True, kw_only=True)
class Shop:
    """A merchant with an owner, and what they do."""

    city: City
    owner: Signer
    merchant: HolderId
    code: str
    name: str
    location: UUID
    points: list[UUID] = field(default_factory=list)

    @property
    def point(self) -> Point:
        """The first of its points, as it stands now."""
        return self.read_point(self.points[0])

    def read_point(self, id: UUID) -> Point:
        with self.city.engine.connect() as connection:
            found = registry.point_by_id(connection, id)
        assert found is not None
        return found

    @property
    def account(self) -> str:
        return str(self.point.account)

    def available(self) -> int:
        with self.city.engine.connect() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT posted - held FROM ledger.balance_now WHERE account = %s", (self.account,)
                ).scalar_one()
            )

    def act(self, kind: str, decide: Callable[[sa.Connection, Claim], Plan], *, by: Signer | None = None) -> Any:
        return carried(self.city, by or self.owner, kind, decide)

    def issue_point(self, name: str = "Quầy 1") -> UUID:
        order = points.PointOrder(id=OrderId(uuid4()), location=self.location, name=name)
        issued = self.act("point", lambda unit, claim: points.issue(unit, claim, order, now=clock.now()))
        self.points.append(issued.point)
        return UUID(str(issued.point))

    def employ(self, role: StaffRole = StaffRole.CASHIER, name: str = "Nguyễn Thị Thu Ngân") -> Signer:
        """Somebody with a wallet and a key of their own, who works here from now on."""
        person = self.city.citizen(name)
        self.appoint(person, role)
        return person

    def appoint(self, person: Signer, role: StaffRole | None) -> None:
        order = merchants.StaffOrder(id=OrderId(uuid4()), merchant=self.merchant, phone=person.phone, role=role)
        self.act("merchant_staff", lambda unit, claim: merchants.staff(unit, claim, order, now=clock.now()))

    def judge(self, officer: Signer, to: Any, reason: str = "") -> Any:
        return judge(self.city, officer, self.merchant, to, reason)

    # -- the till, through its doors -----------------------------------------------------------------------

    def invoice(self, amount: int, *, by: Signer | None = None, point: UUID | None = None, **own: Any) -> Reply:
        said = {"point": str(point or self.points[0]), "amount": str(amount)} | own
        return (by or self.owner).act("/v1/invoices", "invoice", **said)

    def asks(self, amount: int, **own: Any) -> str:
        """Issue an invoice; return its id."""
        reply = self.invoice(amount, **own)
        assert reply.status == 201, reply.body
        return str(reply.json()["invoice"])

    def read(self, invoice: str) -> Any:
        reply = self.owner.get(f"/v1/invoices/{invoice}")
        assert reply.status == 200, reply.body
        return reply.json()

    def pay(self, payer: Signer, invoice: str, amount: int | None = None) -> Reply:
        return payer.act("/v1/invoice-payments", "invoice_payment", **self.paying(payer, invoice, amount))

    def paying(self, payer: Signer, invoice: str, amount: int | None = None) -> dict[str, Any]:
        with self.city.engine.connect() as connection:
            found = invoices.by_id(connection, UUID(invoice))
        assert found is not None
        own = {"payer": payer.account, "payee": self.account, "invoice": invoice}
        return own | {"amount": str(amount or found.amount)}

    def pay_sticker(self, payer: Signer, amount: int, *, point: UUID | None = None) -> Reply:
        own = {"payer": payer.account, "payee": self.account, "point": str(point or self.points[0])}
        return payer.act("/v1/point-payments", "point_payment", **own, amount=str(amount), memo="")

    def refund(self, entry: str, amount: int, *, by: Signer | None = None) -> Reply:
        lines = [{"line": "1", "amount": str(amount)}]
        return (by or self.owner).act("/v1/refunds", "refund", entry=entry, lines=lines, reason="Hàng lỗi")


def judge(city: City, officer: Signer, merchant: HolderId, to: Any, reason: str = "") -> Any:
    order = merchants.JudgeOrder(id=OrderId(uuid4()), merchant=merchant, to=to, reason=reason)
    return carried(
        city, officer, "merchant_judge", lambda unit, claim: merchants.judge(unit, claim, order, now=clock.now())
    )


def apply(city: City, owner: Signer, name: str = "Mè xửng Thiên Hương", **own: Any) -> Any:
    order = merchants.ApplyOrder(id=OrderId(uuid4()), name=name, **({"category": "5441", "tax_id": ""} | own))
    return carried(
        city, owner, "merchant_apply", lambda unit, claim: merchants.apply(unit, claim, order, now=clock.now())
    )


def shop(city: City, name: str = "Mè xửng Thiên Hương", *, owner: Signer | None = None) -> Shop:
    """A merchant that two officers approved, with one place and one point."""
    owner = owner or city.citizen("Hồ Thị Chủ")
    applied = apply(city, owner, name)
    for to in ("reviewed", "approved"):
        judge(city, city.person("Phan Văn Duyệt", Role.OPERATOR), applied.merchant, to)
    order = points.LocationOrder(
        id=OrderId(uuid4()),
        merchant=applied.merchant,
        name="Cửa hàng chính",
        address="20 Chi Lăng",
        area=next(iter(city.city.areas)),
        hours=DAWN_TO_DUSK,
    )
    areas = frozenset(city.city.areas)
    kept = carried(
        city,
        owner,
        "location",
        lambda unit, claim: points.keep_location(unit, claim, order, areas=areas, now=clock.now()),
    )
    made = Shop(city=city, owner=owner, merchant=applied.merchant, code=applied.code, name=name, location=kept.location)
    made.issue_point()
    return made
