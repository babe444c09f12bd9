"""The demo city entered through the real verbs, step by step; each step finds what an earlier load has done.

Authority   The bank's word brings the money (`outside_word`), a clerk or officer orders each bill
            (`officer_order`), the operator admits keys, and citizens pay by orders signed with their own.
Time        Nearly all of it goes into ordering some 2,200 bills, one unit each; a second process takes half.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from wallet import accounts, canonical, city, clock, crypto, db, ids, ledger
from wallet.bills import agencies, issue, pay, tables
from wallet.demo import fixed, give
from wallet.demo.bills import Opening, Payment, PlannedBill, plan
from wallet.demo.marks import Begun
from wallet.demo.people import CITIZENS, PHONE_PREFIX, Principal, citizens, clerks, principals
from wallet.events import Event
from wallet.identity import holders, keys, pins
from wallet.identity import tables as identity
from wallet.identity.keys import EnrolOrder
from wallet.identity.roles import Role, grant
from wallet.ids import EntryId, HolderId
from wallet.ledger import Claim, Entry, Evidence, Plan, Posting, chart
from wallet.limits import Limits
from wallet.money import Dong
from wallet.web.bills import BillOrderSchema, BillPaymentOrderSchema, BillPaymentSchema, IssuedSchema
from wallet.web.keys import KeyEnrolSchema, KeySchema

OPERATOR: Final = "tam"
"""The principal who admits the demo's keys."""

KEY_LABEL: Final = "Khoá mẫu"

DESK_OPENS: Final = time(8)
"""Bills of earlier days were ordered at this hour."""

_CLERK_NUMBERS: Final = 500
"""Clerks' phone numbers stand behind those of the named few and before the citizens'."""

OURS: Final = 0
HELPERS: Final = 1
"""The two shares of the bills, by whether the debtor's phone number is even or odd."""

_KEYS: Final = give.Door(asks=KeyEnrolSchema(), answers=KeySchema(), role=Role.OPERATOR, path="/v1/keys")
_BILLS: Final = give.Door(asks=BillOrderSchema(), answers=IssuedSchema(), role=Role.OFFICER, path="/v1/bills")
_PAYMENTS: Final = give.Door(
    asks=BillPaymentOrderSchema(), answers=BillPaymentSchema(), role=Role.CITIZEN, path="/v1/bill-payments"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load works on: the database, the city, and how it began. Passed to helping processes as it is."""

    database_url: str
    city_file: Path
    begun: Begun
    citizens: int = CITIZENS


class Entering:
    """One load of the demo city, in one process."""

    def __init__(self, load: Load) -> None:
        """Draw the city that is to be entered; nothing is written yet."""
        self._load = load
        self._engine = quick(load.database_url)
        self._city = city.load(load.city_file)
        self._origin = load.begun.origin
        self._now = load.begun.at
        self._named = principals(self._city)
        people = citizens(self._city, count=load.citizens)
        self._plan = plan(self._city, people, self._named, day=clock.day_of(self._now))
        self._slugs = {one.phone: one.slug for one in self._named if one.phone}
        self._names = {one.phone: one.name for one in people}
        self._names |= {one.phone: one.name for one in self._named if one.phone}

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def everything(self) -> None:
        """Enter it all: who serves, who lives here, what they have, owe and have paid."""
        with self._engine.begin() as unit:
            offices = {code: agencies.register(unit, code, now=self._now) for code in self._city.agencies}
        desks = self._desks(offices)
        self._bank_and_openings(self._plan.openings)
        with _helped(self._load, desks):
            named = {one.slug: self._principal(one, offices) for one in self._named}
            payers = {payment.payer: self._holder(payment.payer) for payment in self._plan.payments}
            self._keys(named, payers)
            self.bills(desks, share=OURS)
        for payment in self._plan.payments:
            self._pay(payment, payers[payment.payer])

    def bills(self, desks: Mapping[str, HolderId], *, share: int) -> None:
        """Have one share of the bills ordered, oldest first. A debtor's bills are all of one share."""
        for bill in sorted(self._plan.bills, key=lambda bill: (bill.issued, bill.dossier)):
            if int(bill.debtor) % 2 == share:
                self._issue(bill, desks[bill.agency])

    # -- who serves and who lives here --------------------------------------------------------------------

    def _desks(self, offices: Mapping[str, HolderId]) -> dict[str, HolderId]:
        """Register who orders the bills of each agency: its named officer, or else a clerk."""
        officers = {one.agency: one for one in self._named if one.role == "officer"}
        desks = {}
        for place, (code, name) in enumerate(clerks(self._city).items(), start=1):
            officer = officers.get(code)
            phone = officer.phone if officer else None
            with self._engine.begin() as unit:
                desks[code] = self._person(
                    unit,
                    officer.name if officer else name,
                    phone or f"{PHONE_PREFIX}{_CLERK_NUMBERS + place:06}",
                )
                grant(unit, desks[code], Role.OFFICER, agency=offices[code], now=self._now)
        return desks

    def _principal(self, one: Principal, offices: Mapping[str, HolderId]) -> HolderId:
        """Register one of the named few; a machine is its agency, a citizen's wallet comes with the money."""
        if one.phone is None:
            assert one.agency is not None, "who has no phone is an agency's machine"
            return offices[one.agency]
        with self._engine.connect() as connection:
            known = holders.by_phone(connection, one.phone)
        assert one.pin is not None, "who has a phone signs in"
        hashed = None if known and known.has_pin else crypto.hash_pin(pins.acceptable(one.pin, phone=one.phone))
        with self._engine.begin() as unit:
            holder = self._person(unit, one.name, one.phone)
            if one.role != "citizen":
                grant(unit, holder, Role(one.role), agency=offices[one.agency] if one.agency else None, now=self._now)
            if hashed:
                pins.set_first(unit, holder, hashed, now=self._now)
        return holder

    def _person(self, unit: sa.Connection, name: str, phone: str) -> HolderId:
        return holders.debtor(unit, name=name, phone=phone, now=self._now)

    def _holder(self, phone: str) -> HolderId:
        with self._engine.connect() as connection:
            person = holders.by_phone(connection, phone)
        assert person is not None, "whoever has money is registered"
        return person.holder

    # -- what they have -----------------------------------------------------------------------------------

    def _bank_and_openings(self, openings: Iterable[Opening]) -> None:
        """Open wallets, and enter a line of the bank's statement for each: so much came in for that phone."""
        bank = fixed.holder_id("bank")
        with self._engine.begin() as unit:
            if unit.execute(sa.select(identity.holder.c.id).where(identity.holder.c.id == bank)).scalar() is None:
                holders.register(unit, kind="outside", now=self._now, id=bank)
        for number, opening in enumerate(openings, start=1):
            with self._engine.begin() as unit:
                self._open(unit, bank, opening, number)

    def _open(self, unit: sa.Connection, bank: HolderId, opening: Opening, number: int) -> None:
        order_id = fixed.order_id(f"opening:{opening.phone}")
        line = {
            "v": "1",
            "amount": str(opening.amount),
            "id": str(order_id),
            "kind": "bank_line",
            "phone": opening.phone,
            "reference": f"DEMO-{number:06}",
            "signer": str(bank),
        }
        evidence = Evidence(
            kind="outside_word",
            signer=bank,
            order_id=order_id,
            order_kind="bank_line",
            content=canonical.dumps(line),
        )
        claim = Claim.of(evidence)
        if ledger.claim(unit, evidence, claim).state == "known":
            return
        holder = self._person(unit, self._names[opening.phone], opening.phone)
        wallet = holders.open_wallet(unit, holder, now=self._now)
        entry = Entry(
            id=EntryId(ids.new()),
            kind="topup",
            effective_at=self._now,
            postings=(
                Posting(
                    debit=ledger.open_account(unit, chart.BANK_GUARANTEE),
                    credit=wallet,
                    amount=Dong(opening.amount),
                ),
            ),
        )
        told = Event(type="topup.received", subject=wallet, entry=entry.id)
        done = canonical.dumps({"account": str(wallet), "amount": str(opening.amount), "entry": str(entry.id)})
        ledger.post(unit, claim, Plan(entries=(entry,), events=(told,), answer=None), status=201, body=done)

    # -- what they sign with, owe and have paid -------------------------------------------------------------

    def _keys(self, named: Mapping[str, HolderId], payers: Mapping[str, HolderId]) -> None:
        """Admit keys on the operator's word: those of the named few, and of the citizens who have paid."""
        admitted = dict(named)
        admitted |= {phone: holder for phone, holder in payers.items() if holder not in named.values()}
        for name, holder in admitted.items():
            key = fixed.key(name)
            order = give.Order(
                door=_KEYS,
                own={"code": "", "device": "machine", "key": dict(key.public.jwk), "label": KEY_LABEL},
                verb=partial(self._admit, holder),
                signer=named[OPERATOR],
                order=fixed.order_id(f"key:{name}"),
                origin=self._origin,
                now=self._now,
            )
            give.ordered(self._engine, order)

    def _admit(self, holder: HolderId, unit: sa.Connection, _: Claim, order: EnrolOrder) -> Plan:
        return keys.admit(unit, holder, order, now=self._now)

    def _issue(self, bill: PlannedBill, clerk: HolderId) -> None:
        """Have a bill ordered on its day."""
        own = {
            "debtor": {"name": self._names[bill.debtor], "phone": bill.debtor},
            "dossier": bill.dossier,
            "due": bill.due.isoformat(),
            "expires_on": bill.expires.isoformat() if bill.expires else "",
            "lines": [
                {
                    "amount": str(line.amount),
                    "chuong": line.chuong,
                    "dia_ban": line.area,
                    "item": line.item,
                    "tieu_muc": line.tieu_muc,
                }
                for line in bill.lines
            ],
            "procedure": bill.procedure,
            "supersedes": "",
        }
        at = self._at_desk(bill.issued)
        order = give.Order(
            door=_BILLS,
            own=own,
            verb=partial(issue.issue, city=self._city, now=at),
            signer=clerk,
            order=fixed.order_id(f"bill:{bill.dossier}"),
            origin=self._origin,
            now=at,
        )
        give.ordered(self._engine, order)

    def _pay(self, payment: Payment, holder: HolderId) -> None:
        """Have a citizen pay, by an order signed now; what an earlier load signed stands."""
        order_id, now = fixed.order_id(f"payment:{payment.payer}"), clock.now()
        if give.is_done(self._engine, holder, order_id):
            return
        with self._engine.connect() as connection:
            wallet = accounts.wallet_of(connection, holder)
            bill = tables.bill
            owed = connection.execute(
                sa.select(bill.c.id, bill.c.version, bill.c.total)
                .where(bill.c.debtor == holder, bill.c.dossier.in_(payment.dossiers))
                .order_by(bill.c.id)
            ).all()
        assert wallet is not None, "whoever pays has a wallet"
        seen = [{"amount": str(row.total), "bill": str(row.id), "version": str(row.version)} for row in owed]
        order = give.Order(
            door=_PAYMENTS,
            own={"bills": seen, "payer": str(wallet.id)},
            verb=partial(pay.pay, limits=Limits(demo=True), uses=self._city.uses, now=now),
            signer=holder,
            order=order_id,
            origin=self._origin,
            now=now,
        )
        key = fixed.key(self._slugs.get(payment.payer, payment.payer))
        give.signed(self._engine, order, key=key)

    def _at_desk(self, day: date) -> datetime:
        """Return when a bill of that day was ordered: never later than the load."""
        return min(datetime.combine(day, DESK_OPENS, clock.CITY_TIME), self._now)


@contextmanager
def _helped(load: Load, desks: Mapping[str, HolderId]) -> Iterator[None]:
    """Have a second process order its share of the bills while the block runs, and wait for it at the end."""
    task = {
        "database_url": load.database_url,
        "city_file": str(load.city_file.resolve()),
        "at": load.begun.at.isoformat(),
        "origin": load.begun.origin,
        "citizens": load.citizens,
        "desks": {code: str(holder) for code, holder in desks.items()},
    }
    command = [sys.executable, "-m", "wallet.demo.helper"]
    root = Path(__file__).parents[2]
    helper = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, text=True, encoding="utf-8")
    assert helper.stdin is not None, "it is a pipe"
    with helper.stdin as pipe:  # the URL holds a password; and when we die, the pipe's end tells the helper
        pipe.write(json.dumps(task) + "\n")
        pipe.flush()
        try:
            yield
            helper.wait()
        finally:
            helper.kill()  # after a fault of ours: the next load does what is left
            helper.wait()
    if helper.returncode != 0:
        raise RuntimeError(f"the process that orders half of the demo's bills ended with {helper.returncode}")


def quick(url: str) -> sa.Engine:
    """Connect without waiting for the disk at each commit: what a power cut takes, the next load makes."""
    engine = db.engine(url, name="demo")

    @sa.event.listens_for(engine, "connect")
    def no_waiting(connection: Any, _: object) -> None:
        connection.execute("SET synchronous_commit = off")
        connection.commit()

    return engine
