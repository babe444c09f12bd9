"""http.signed_payment: signed bill payments a second through gunicorn, beside the same server's verify-only route.

Setting   Gunicorn, PostgreSQL and the senders share the machine. Durability on. Each payment is one signed order that
          pays one bill of two lines; payers and agencies are many, as in a city. Requests are signed beforehand.
"""

import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Literal
from uuid import UUID, uuid4

import sqlalchemy as sa

from bench.figures import Figure, against
from bench.load import Run, run
from wallet import canonical, clock, db, ids, ledger
from wallet import city as cities
from wallet.bills import agencies, issue
from wallet.client import Client
from wallet.config import Config
from wallet.crypto import PrivateKey
from wallet.events import Event
from wallet.identity import holders, keys, roles
from wallet.identity.roles import Role
from wallet.ids import EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Evidence, Plan, Posting, chart
from wallet.run import environment

PAYERS = 200
PAYMENTS = 4_000
WARMUP = 200


def measure(config: Config) -> list[Figure]:
    """Measure in a database that may be filled, and return the figures."""
    town = Town(config)
    bodies = town.bills_to_pay(PAYMENTS + WARMUP)
    town.close()
    with serving(config) as server:
        warm, rest = bodies[:WARMUP], bodies[WARMUP:]
        checked(run(config.port, [request(client, "/v1/bill-payments", body) for client, body in warm], expect=201))
        verify = [request(client, "/v1/verify", body) for client, body in rest]
        only_verified = checked(run(config.port, verify, expect=204))
        payments = [request(client, "/v1/bill-payments", body) for client, body in rest]
        paid = checked(run(config.port, payments, expect=201))
        assert server.poll() is None, "the server is still there"
    route = "verify-only route, same run"
    return [
        against("http.signed_payment", paid.per_second, "1/s", route, only_verified.per_second),
        against("http.signed_payment.p50", paid.percentile_ms(0.50), "ms", route, only_verified.percentile_ms(0.50)),
        against("http.signed_payment.p99", paid.percentile_ms(0.99), "ms", route, only_verified.percentile_ms(0.99)),
    ]


def request(client: Client, path: str, body: bytes) -> bytes:
    """Spell a signed request as it goes over the wire."""
    headers = client.headers("POST", path, body) | {
        "Host": client.origin.removeprefix("http://"),
        "Content-Length": str(len(body)),
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def checked(done: Run) -> Run:
    """Return the run if every request was answered as it should be."""
    if done.others:
        raise SystemExit(f"requests were not answered as they should: {done.others}")
    return done


@contextmanager
def serving(config: Config) -> Iterator["subprocess.Popen[bytes]"]:
    """Run gunicorn as `make run` does."""
    command = [sys.executable, "-m", "gunicorn", "--config", "python:wallet.run.gunicorn_conf", "wsgi:create_app()"]
    child = subprocess.Popen(command, env=environment.child_environ(config, os.environ))
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{config.port}/readyz", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit("the server did not start")
        yield child
    finally:
        child.terminate()
        child.wait(timeout=20)


class Town:
    """People, agencies and bills to measure with, made by the real verbs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.engine = db.engine(config.database_url, name="bench")
        self.city = cities.load(config.city_file)
        self.random = random.Random(20261121)
        now = clock.now()
        self.bank = db.unit(self.engine, lambda unit: holders.register(unit, kind="outside", now=now))

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def bills_to_pay(self, number: int) -> list[tuple[Client, bytes]]:
        """Make so many bills, two lines each, and an order that pays each one."""
        payers = [self.payer(index, number) for index in range(PAYERS)]
        offices = [self._office(code) for code in list(self.city.agencies)[:10]]
        orders = []
        for index in range(number):
            client = payers[index % PAYERS]
            seen = self._bill(client, *offices[index % len(offices)])
            orders.append((client, client.order("bill_payment", payer=client.account, bills=[seen])))
        db.unit(self.engine, lambda unit: ledger.fold(unit, accounts=100_000))
        return orders

    def payer(self, index: int, number: int) -> Client:
        """Make somebody with a key, and money for so many payments."""
        now, key = clock.now(), PrivateKey.generate()

        def work(unit: sa.Connection) -> tuple[HolderId, UUID]:
            holder = holders.register_person(unit, name=f"Người Thử {index}", phone=f"07{index:08d}", now=now)
            return holder, holders.open_wallet(unit, holder, now=now)

        holder, account = db.unit(self.engine, work)
        client = Client(origin=self.config.public_origin, key=key, holder=str(holder), account=str(account))
        order = keys.EnrolOrder(id=OrderId(uuid4()), key=key.public, label="bench", device="machine", code="")
        self._order(holder, "key_admit", lambda unit, claim: keys.admit(unit, claim.signer, order, now=now))
        with self.engine.connect() as connection:
            guarantee = connection.exec_driver_sql(
                "SELECT id FROM ledger.account WHERE code = %s", (chart.BANK_GUARANTEE,)
            ).scalar_one()
        entry = Entry(
            id=EntryId(ids.new()),
            kind="topup",
            effective_at=now,
            postings=(Posting(debit=guarantee, credit=account, amount=100_000 * number),),  # type: ignore[arg-type]
        )
        told = Event(type="topup.received", subject=account, entry=entry.id)
        plan = Plan(entries=(entry,), events=(told,), answer={})
        self._order(self.bank, "bank_line", lambda *_: plan, kind="outside_word")
        return client

    def _office(self, code: str) -> tuple[HolderId, str]:
        now = clock.now()

        def work(unit: sa.Connection) -> HolderId:
            agency = agencies.register(unit, code, now=now)
            phone = f"06{self.random.randrange(10**8):08d}"
            officer = holders.register_person(unit, name=f"Cán bộ {code}", phone=phone, now=now)
            roles.grant(unit, officer, Role.OFFICER, agency=agency, now=now)
            return officer

        return db.unit(self.engine, work), code

    def _bill(self, client: Client, officer: HolderId, agency: str) -> dict[str, str]:
        now = clock.now()
        today = clock.day_of(now)
        open_items = [
            (procedure, item)
            for procedure in self.city.procedures_of(agency)
            for item in procedure.items_on(today)
            if item.amount is None
        ] or [
            (procedure, item)
            for procedure in self.city.procedures_of(agency)
            for item in procedure.items_on(today)
            if item.amount
        ]
        procedure, item = self.random.choice(open_items)
        with self.engine.connect() as connection:
            person = holders.by_id(connection, UUID(client.holder))
        assert person is not None
        assert person.phone is not None
        amount = item.amount or 10_000
        area = self.city.agencies[agency].area or next(iter(self.city.areas))
        order = issue.BillOrder(
            id=OrderId(uuid4()),
            debtor_name=person.name,
            debtor_phone=person.phone,
            dossier=f"BENCH-{uuid4().hex[:12]}",
            procedure=procedure.code,
            due=today + timedelta(days=30),
            lines=tuple(
                issue.LineOrder(item=item.code, amount=amount, dia_ban=area)  # type: ignore[arg-type]
                for area in (area, area)
            ),
        )
        made: list[issue.Issued] = []

        def decide(unit: sa.Connection, claim: Claim) -> Plan:
            plan = issue.issue(unit, claim, order, city=self.city, now=now)
            made.append(plan.answer)
            return plan

        self._order(officer, "bill_issue", decide)
        return {"bill": str(made[-1].bill), "version": "1", "amount": str(made[-1].total)}

    def _order(
        self,
        signer: HolderId,
        order_kind: str,
        decide: Callable[[sa.Connection, Claim], Plan],
        *,
        kind: Literal["officer_order", "outside_word"] = "officer_order",
    ) -> None:
        id = OrderId(uuid4())
        content = canonical.dumps({"id": str(id), "kind": order_kind, "signer": str(signer)})
        evidence = Evidence(kind=kind, signer=signer, order_id=id, order_kind=order_kind, content=content)

        def work(unit: sa.Connection) -> None:
            unit.exec_driver_sql("SET LOCAL synchronous_commit = off")  # of the preparation only
            claim = Claim.of(evidence)
            ledger.claim(unit, evidence, claim)
            ledger.post(unit, claim, decide(unit, claim), status=201, body=b"{}")

        db.unit(self.engine, work)


def own_port(config: Config) -> Config:
    """Return the configuration with free ports of this machine, so that a running city is not disturbed."""
    with socket.socket() as probe, socket.socket() as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, live = probe.getsockname()[1], other.getsockname()[1]
    return replace(
        config,
        port=port,
        public_origin=f"http://localhost:{port}",
        live_port=live,
        live_origin=f"http://localhost:{live}",
    )
