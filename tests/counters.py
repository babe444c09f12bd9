"""Counters for tests: a merchant's acceptance point with its staff, and payments there as the ledger leaves them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from market import tables
from tests.make import City, Signer
from wallet import clock, db, ids
from wallet.events import Event, envelope
from wallet.identity import holders
from wallet.ids import EventId
from wallet.ledger.tables import event


@dataclass(frozen=True, slots=True)
class Counter:
    """A point, and the merchant whose it is."""

    id: UUID
    merchant: UUID
    path: str


class Stall:
    """Writes what the verbs of the market would have written, as the owner of the tables."""

    def __init__(self, city: City) -> None:
        self.city = city
        self._engine = sa.create_engine(
            "postgresql+psycopg://", creator=city.database.superuser, poolclass=sa.pool.NullPool
        )

    def _write(self, table: sa.Table, **values: Any) -> None:
        with self._engine.begin() as owner:
            owner.execute(sa.insert(table).values(**values))

    def counter(self, *, owner: Signer, cashier: Signer | None = None, name: str = "Quầy 1") -> Counter:
        """Make a merchant with one point, its owner and a cashier."""
        now = clock.now()
        merchant = db.unit(self.city.engine, lambda unit: holders.register(unit, kind="merchant", now=now))
        number = merchant.hex[-6:]
        self._write(
            tables.merchant, holder=merchant, code=f"me-xung-{number}", name="Mè xửng Thiên Hương",
            name_folded="me xung thien huong", category="5441", account=ids.new(), state="approved",
            applied_by=UUID(owner.holder), made_at=now,
        )  # fmt: skip
        for person, role in ((owner, "owner"), (cashier, "cashier")):
            if person is not None:
                self._write(tables.staff, merchant=merchant, holder=UUID(person.holder), role=role, since=now)
        location, point = ids.new(), ids.new()
        self._write(
            tables.location, id=location, merchant=merchant, name="Chợ Đông Ba", address="2 Trần Hưng Đạo", area="19816",
            hours={}, made_at=now,
        )  # fmt: skip
        serial = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[byte % 32] for byte in point.bytes[-8:])
        self._write(
            tables.point, id=point, location=location, merchant=merchant, serial=serial, name=name, issued_at=now
        )
        return Counter(point, merchant, f"/ban-hang/quay/{point}")

    def invoice(self, counter: Counter, amount: int, *, by: Signer) -> UUID:
        """Ask for an amount at a point."""
        made, now = ids.new(), clock.now()
        number = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[byte % 32] for byte in made.bytes[-10:])
        self._write(
            tables.invoice, id=made, merchant=counter.merchant, point=counter.id, number=number, amount=amount, memo="",
            made_by=UUID(by.holder), made_at=now, expires_at=now + timedelta(minutes=15),
        )  # fmt: skip
        return made

    def paid(
        self, counter: Counter, amount: int, *, invoice: UUID | None = None, how: str | None = None,
        at: datetime | None = None,
    ) -> UUID:  # fmt: skip
        """Write a payment with its event: of an invoice, or to the sticker and, with `how`, matched with the invoice."""
        entry = ids.new()
        self._write(
            tables.payment, entry=entry, merchant=counter.merchant, point=counter.id, payer=ids.new(), amount=amount,
            invoice=None if how else invoice, at=at or clock.now(), authority=ids.new(),
        )  # fmt: skip
        if how:
            self._write(tables.match, payment=entry, invoice=invoice, how=how)
        id, now = EventId(ids.new()), clock.now()
        told = Event(type="merchant.paid", subject=counter.id)
        self._write(
            event, id=id, type=told.type, subject=str(told.subject), entry=entry, at=now,
            bytes=envelope(told, id=id, at=now, actor=None),
        )  # fmt: skip
        return entry

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()
