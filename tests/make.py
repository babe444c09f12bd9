"""Makers: people, agencies and bills in plain words, made by the real verbs and nothing else.

city = City(database)
hoa = city.citizen("Nguyễn Thị Hoa", available=500_000)
bill = city.bill(debtor=hoa, amounts=[20_000, 5_000])
reply = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
"""

import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self
from uuid import UUID, uuid4

import sqlalchemy as sa
from flask import Flask

import market.proof
import wsgi
from wallet import canonical, clock, crypto, db, ids, orders, periods, signing
from wallet import city as cities
from wallet import prove as proving
from wallet.bills import agencies, find, issue
from wallet.bills.find import Bill
from wallet.canonical import Json
from wallet.client import Client, Reply
from wallet.crypto import PrivateKey
from wallet.events import Event
from wallet.identity import holders, keys, pins, roles
from wallet.identity.roles import Role
from wallet.ids import AccountId, BillId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Evidence, Plan, Posting, chart
from wallet.money import Dong
from wallet.orders import Outcome
from wallet.refusal import Refusal

ROOT = Path(__file__).parents[1]
WARD, STATION = "H57.40", "H57.10"

_phones = itertools.count(random.SystemRandom().randrange(0, 10**7) * 10)


@dataclass(slots=True, kw_only=True)
class Signer(Client):
    """A client that speaks to the application in this process, or over HTTP when `app` is None."""

    app: Flask | None = None
    phone: str = ""
    name: str = ""

    def send(self, method: str, path: str, content: bytes | None) -> Reply:
        return self.send_with(method, path, content, self.headers(method, path, content))

    def send_with(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> Reply:
        """Send with these very headers, which a test may have spoilt."""
        if self.app is None:
            return Client.send(self, method, path, content)
        answer = self.app.test_client(use_cookies=False).open(
            path, method=method, data=content, headers=headers, base_url=self.origin
        )
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A bill that was made, and how a payer names it."""

    id: UUID
    code: str
    total: int
    version: int

    @property
    def seen(self) -> dict[str, str]:
        return {"bill": str(self.id), "version": str(self.version), "amount": str(self.total)}


class City:
    """A small city in a test's database."""

    def __init__(self, database: Any, *, origin: str | None = None, in_process: bool = True) -> None:
        self.database = database
        self.config = replace(database.config, city_file=ROOT / "city.toml", demo=True)
        if origin:
            self.config = replace(self.config, public_origin=origin)
        self.app = wsgi.create_app(self.config) if in_process else None
        self.engine = db.engine(self.config.database_url, name="tests")
        self.audit = db.engine(self.config.audit_database_url, name="tests-audit")
        self.city = cities.load(self.config.city_file)

    def close(self) -> None:
        """Close every connection."""
        engines = [self.engine, self.audit]
        if self.app is not None:
            engines += [self.app.extensions["wallet"].app, self.app.extensions["wallet"].audit]
        for engine in engines:
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- people --------------------------------------------------------------------------------------------

    def phone(self) -> str:
        return f"09{next(_phones) % 10**8:08d}"

    def person(self, name: str, role: Role, *, agency: HolderId | None = None, device: str = "machine") -> Signer:
        now, phone, key = clock.now(), self.phone(), PrivateKey.generate()

        def work(unit: sa.Connection) -> HolderId:
            holder = holders.register_person(unit, name=name, phone=phone, now=now)
            roles.grant(unit, holder, role, agency=agency, now=now)
            return holder

        holder = db.unit(self.engine, work)
        signer = self.signer(holder, key, name=name, phone=phone)
        self.enrol(signer, device=device)
        return signer

    def signer(self, holder: HolderId, key: PrivateKey, *, name: str = "", phone: str = "") -> Signer:
        origin = self.config.public_origin
        return Signer(origin=origin, key=key, holder=str(holder), app=self.app, phone=phone, name=name)

    def citizen(self, name: str = "Nguyễn Thị Hoa", *, available: int = 0, device: str = "machine") -> Signer:
        signer = self.person(name, Role.CITIZEN, device=device)
        holder = HolderId(UUID(signer.holder))
        account = db.unit(self.engine, lambda unit: holders.open_wallet(unit, holder, now=clock.now()))
        signer.account = str(account)
        if available:
            self.top_up(signer, available)
        return signer

    def with_pin(self, signer: Signer, pin: str = "284619") -> str:
        holder, hashed = HolderId(UUID(signer.holder)), crypto.hash_pin(pin)
        db.unit(self.engine, lambda unit: pins.set_first(unit, holder, hashed, now=clock.now()))
        return pin

    def agency(self, code: str = WARD) -> HolderId:
        return db.unit(self.engine, lambda unit: agencies.register(unit, code, now=clock.now()))

    def officer(self, code: str = WARD, name: str = "Lê Văn Cán") -> Signer:
        return self.person(name, Role.OFFICER, agency=self.agency(code))

    def machine(self, code: str = WARD) -> Signer:
        """The agency's own machine client."""
        agency, key = self.agency(code), PrivateKey.generate()
        signer = self.signer(agency, key)
        self.enrol(signer)
        return signer

    def enrol(self, signer: Signer, *, device: str = "machine") -> None:
        order = keys.EnrolOrder(id=OrderId(uuid4()), key=signer.key.public, label="Máy của tôi", device=device, code="")
        self.officer_order(
            HolderId(UUID(signer.holder)),
            "key_admit",
            lambda unit, claim: keys.admit(unit, claim.signer, order, now=clock.now()),
        )

    # -- money ---------------------------------------------------------------------------------------------

    def top_up(self, signer: Signer, amount: int, *, effective_at: datetime | None = None) -> EntryId:
        """Money from outside, on the word of the bank, which may say that it came earlier; returns its entry."""
        now = clock.now()
        entry_id = EntryId(ids.new())

        def register(unit: sa.Connection) -> HolderId:
            bank = holders.register(unit, kind="outside", now=now)
            roles.grant(unit, bank, Role.OPERATOR, now=now)
            return bank

        bank = db.unit(self.engine, register)
        guarantee = self.house(chart.BANK_GUARANTEE)

        def decide(unit: sa.Connection, claim: Claim) -> Plan:
            entry = Entry(
                id=entry_id,
                kind="topup",
                effective_at=effective_at or now,
                postings=(Posting(debit=guarantee, credit=AccountId(UUID(signer.account)), amount=Dong(amount)),),
            )
            told = Event(type="topup.received", subject=signer.account, entry=entry.id)
            return Plan(entries=(entry,), events=(told,), answer={})

        self.officer_order(bank, "bank_line", decide, kind="outside_word")
        return entry_id

    def send(self, payer: Signer, payee: Signer, amount: int, **headers: str) -> Reply:
        """A transfer, through its door."""
        order = payer.order("transfer", payer=payer.account, payee=payee.account, amount=str(amount), memo="")
        own = payer.headers("POST", "/v1/transfers", order)
        return payer.send_with("POST", "/v1/transfers", order, own | headers)

    def hold(self, payer: Signer, payee: Signer, amount: int, *, lapses_in_s: int = 3600) -> str:
        """Money set aside, through its door; returns the hold's id."""
        own = {"payer": payer.account, "payee": payee.account, "amount": str(amount)}
        reply = payer.act("/v1/holds", "hold", **own, lapses_at=str(int(time.time()) + lapses_in_s))
        assert reply.status == 201, reply.body
        return str(reply.json()["hold"])

    def capture(self, payee: Signer, hold: str, amount: int, *, final: bool = False) -> Reply:
        own = {"hold": hold, "amount": str(amount), "final": str(final).lower()}
        return payee.act(f"/v1/holds/{hold}/captures", "hold_capture", **own)

    def void(self, payee: Signer, hold: str) -> Reply:
        return payee.act(f"/v1/holds/{hold}/void", "hold_void", hold=hold)

    def move(self, signer: Signer, kind: str) -> Reply:
        """The holder's own wallet: `freeze`, `thaw` or `close`."""
        return signer.act(f"/v1/accounts/{signer.account}/{kind}", f"account_{kind}", account=signer.account)

    def operator(self) -> Signer:
        return self.person("Phan Văn Hành", Role.OPERATOR)

    def close_period(self, starts: date, *, kind: Literal["day", "month"] = "day") -> periods.Closed:
        """A period closed by an auditor's order.

        Raises:
            Refusal: what the verb refuses.
        """
        made: list[Plan] = []
        order = periods.CloseOrder(id=OrderId(uuid4()), kind=kind, starts=starts)

        def decide(unit: sa.Connection, claim: Claim) -> Plan:
            made.append(periods.close(unit, claim, order, now=clock.now()))
            return made[-1]

        auditor = self.person("Trần Thị Soát", Role.AUDITOR)
        self.officer_order(HolderId(UUID(auditor.holder)), "period_close", decide)
        closed = made[-1].answer
        assert isinstance(closed, periods.Closed)
        return closed

    def house(self, code: str) -> AccountId:
        with self.engine.connect() as connection:
            return connection.exec_driver_sql(  # type: ignore[no-any-return]
                "SELECT id FROM ledger.account WHERE code = %s AND holder IS NULL", (code,)
            ).scalar_one()

    def available(self, signer: Signer) -> int:
        reply = signer.get(f"/v1/accounts/{signer.account}")
        assert reply.status == 200, reply.body
        return int(reply.json()["available"])

    # -- bills ---------------------------------------------------------------------------------------------

    def bill(
        self,
        *,
        debtor: Signer,
        amounts: list[int] | None = None,
        agency: str = WARD,
        due: date | None = None,
        expires: date | None = None,
        issued: datetime | None = None,
        supersedes: UUID | None = None,
    ) -> Seen:
        """A bill of an agency of the city, with one line for each amount, on the first procedure that fits."""
        now = issued or clock.now()
        procedure = next(
            one
            for one in self.city.procedures_of(agency)
            if any(item.amount is None for item in one.items_on(now.date()))
        )
        item = next(item for item in procedure.items_on(now.date()) if item.amount is None)
        order = issue.BillOrder(
            id=OrderId(uuid4()),
            debtor_name=debtor.name,
            debtor_phone=debtor.phone,
            dossier=f"000.00.32.H57-261121-{random.randrange(10**6):06d}",
            procedure=procedure.code,
            due=due or clock.day_of(now) + timedelta(days=10),
            expires=expires,
            supersedes=BillId(supersedes) if supersedes else None,
            lines=tuple(
                issue.LineOrder(item=item.code, amount=Dong(amount), dia_ban=self.area(agency))
                for amount in (amounts if amounts is not None else [20_000])
            ),
        )
        officer = HolderId(UUID(self.officer(agency).holder))
        self.officer_order(
            officer, "bill_issue", lambda unit, claim: issue.issue(unit, claim, order, city=self.city, now=now)
        )
        with self.engine.connect() as connection:
            bills = find.of_debtor(connection, HolderId(UUID(debtor.holder)), now=now)
        made = max(bills, key=lambda one: one.id)
        return Seen(id=made.id, code=made.code, total=made.total, version=made.version)

    def read_bill(self, bill: Seen) -> Bill:
        with self.engine.connect() as connection:
            return find.by_ids(connection, [bill.id], now=clock.now())[0]

    def area(self, agency: str = WARD) -> str:
        """The area that an agency may book under."""
        return self.city.agencies[agency].area or next(iter(self.city.areas))

    # -- underneath ----------------------------------------------------------------------------------------

    def officer_order(
        self,
        signer: HolderId,
        order_kind: str,
        decide: Callable[[sa.Connection, Claim], Plan],
        *,
        kind: Any = "officer_order",
    ) -> None:
        order_id = OrderId(uuid4())
        content = canonical.dumps({"id": str(order_id), "kind": order_kind, "signer": str(signer)})
        evidence = Evidence(kind=kind, signer=signer, order_id=order_id, order_kind=order_kind, content=content)
        _, _, refusal = self.carry_out(evidence, decide, at_once=False)
        if refusal is not None:
            raise refusal

    @property
    def service(self) -> Flask:
        """The application, where it runs in this process."""
        assert self.app is not None, "this city is served elsewhere"
        return self.app

    def signed(
        self,
        signer: Signer,
        order_kind: str,
        decide: Callable[[sa.Connection, Claim], Plan],
        *,
        at_once: bool = True,
        said: Mapping[str, Json] | None = None,
        evidence: Evidence | None = None,
    ) -> Any:
        """Carry out a signed order past the doors: for verbs that have none, and for a clock or a plan of the test's own.

        Args:
            said: the order's own members; no door compares them with what the plan does, but the proof of the books does.
            evidence: of an order that was made before, to order it again.

        Returns:
            The plan's answer.

        Raises:
            Refusal: what was refused, and stored as the order's outcome.
        """
        evidence = evidence or self.evidence(signer, order_kind, **(said or {}))
        _, plan, refusal = self.carry_out(evidence, decide, at_once=at_once)
        if refusal is not None:
            raise refusal
        return plan.answer if plan else None

    def carry_out(
        self, evidence: Evidence, decide: Callable[[sa.Connection, Claim], Plan], *, at_once: bool
    ) -> tuple[Outcome, Plan | None, Refusal | None]:
        """Carry out an order as any role may; returns its outcome, and what was decided or refused on the way to it."""
        made: list[Plan] = []
        refused: list[Refusal] = []

        def deciding(unit: sa.Connection, claim: Claim) -> Plan:
            made.append(decide(unit, claim))
            return made[-1]

        def told(refusal: Refusal) -> bytes:
            refused.append(refusal)
            return canonical.dumps({"code": refusal.code})

        outcome = orders.carry_out(
            self.engine,
            evidence,
            admits=frozenset(str(role) for role in Role),
            decide=deciding,
            spell=lambda _: b"{}",
            spell_refusal=told,
            status=201,
            now=clock.now(),
            at_once=at_once,
        )
        return outcome, made[-1] if made else None, refused[-1] if refused else None

    def evidence(self, signer: Signer, order_kind: str, **own: Json) -> Evidence:
        """An order's bytes and a signature that covers them, as a gate hands them in."""
        content = signer.order(order_kind, **own)
        base = f'"content-digest": {signing.content_digest(content)}\n"@signature-params": ("content-digest")'.encode()
        return Evidence(
            kind="signed_order",
            signer=HolderId(UUID(signer.holder)),
            order_id=OrderId(UUID(json.loads(content)["id"])),
            order_kind=order_kind,
            content=content,
            key_id=signer.key.public.id,
            signature_base=base,
            signature=signer.key.sign(base),
        )

    def differences(self) -> list[Any]:
        """What `make prove` would name in this database."""
        with proving.snapshot(self.audit).connect() as connection:
            return list(proving.books(connection, more=market.proof.QUESTIONS))

    def count(self, table: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())
