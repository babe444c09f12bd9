"""The hot path, counted on the wire: what a signed order costs the database in round trips.

libpq's own trace of the connection is read, so that nothing which is sent goes unseen: no BEGIN, no COMMIT, no SET.
"""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import IO, Any

import sqlalchemy as sa
from psycopg.pq import Trace

from tests.make import City, Signer
from wallet import clock, db

SENT = re.compile(r"^F\t\d+\t(\w+)\t?(.*)$", re.MULTILINE)
"""A message of the frontend: its name, and what it carries."""

PLAIN = ["Parse", "Bind", "Describe", "Execute", "Sync"]
"""One statement, its parameters, and one wait for the answer: a round trip. `Query` is one by itself."""


class Wire:
    """What the application's connections send while they are listened to."""

    def __init__(self) -> None:
        self.logs: dict[Any, IO[str]] = {}

    def listen(self, dbapi_connection: Any, *_: object) -> None:
        """Trace a connection that is taken out of the pool."""
        pgconn = dbapi_connection.pgconn
        if pgconn not in self.logs:
            self.logs[pgconn] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed when read
            pgconn.trace(self.logs[pgconn].fileno())
            pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)

    def messages(self) -> list[tuple[str, str]]:
        """Return what was sent: each message's name, and its text."""
        told: list[tuple[str, str]] = []
        for pgconn, log in self.logs.items():
            pgconn.untrace()
            with log:
                log.seek(0)
                told += SENT.findall(log.read())
        return told


@contextlib.contextmanager
def statements(city: City) -> Iterator[list[str]]:
    """Collect every statement that is sent, and assert that nothing else is, and that each is one round trip."""
    assert city.app is not None
    engine, wire, found = city.app.extensions["wallet"].app, Wire(), list[str]()
    engines = (engine, db.autocommitting(engine))
    for one in engines:
        one.dispose()  # a connection that has prepared a statement before would not name it again
        with one.connect():
            pass  # what a first connection asks about the server is no part of this
        sa.event.listen(one, "checkout", wire.listen)
    try:
        yield found
    finally:
        for one in engines:
            sa.event.remove(one, "checkout", wire.listen)
        messages = wire.messages()
    begun = [(name, text) for name, text in messages if name in ("Parse", "Query")]
    found += [text for _, text in begun]
    assert [name for name, _ in messages] == [
        each for name, _ in begun for each in (PLAIN if name == "Parse" else [name])
    ]


def shown(statement: str) -> str:
    """Name what a statement calls: `ledger.post_order`; or the statement itself, where it is a word such as COMMIT."""
    called = re.search(r"FROM ([a-z_]+\.[a-z_]+)\(|SELECT ([a-z_]+\.[a-z_]+)\(", statement)
    if called:
        return called[1] or called[2]
    return re.sub(r'^\W*"|"\W*.*$', "", statement)


def transfer(payer: Signer, payee: Signer, amount: str = "1") -> int:
    given = {"payer": payer.account, "payee": payee.account, "amount": amount, "memo": ""}
    return payer.act("/v1/transfers", "transfer", **given).status


def test_a_transfer_is_one_statement_and_nothing_else(city: City) -> None:
    """Whose accounts and key are known already: claim, limits, money, event and outcome are one round trip."""
    hoa, binh = city.citizen(available=100_000), city.citizen("Trần Văn Bình")
    assert transfer(hoa, binh) == 201
    with statements(city) as sent:
        assert transfer(hoa, binh) == 201
    assert [shown(one) for one in sent] == ["ledger.post_order"]


def test_a_transfer_asked_again_is_one_statement_as_well(city: City) -> None:
    hoa, binh = city.citizen(available=100_000), city.citizen("Trần Văn Bình")
    order = hoa.order("transfer", payer=hoa.account, payee=binh.account, amount="5", memo="")
    first = hoa.send("POST", "/v1/transfers", order)
    with statements(city) as sent:
        assert hoa.send("POST", "/v1/transfers", order).body == first.body
    assert [shown(one) for one in sent] == ["ledger.post_order"]


def test_a_bill_payment_is_one_plain_read_and_one_statement(city: City) -> None:
    """The read takes no lock; what it saw is looked at again under lock by the one that writes."""
    hoa = city.citizen(available=100_000)
    first, second = city.bill(debtor=hoa), city.bill(debtor=hoa, amounts=[1_000, 2_000])
    warm = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[first.seen])
    assert warm.status == 201, warm.body
    with statements(city) as sent:
        assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[second.seen]).status == 201
    assert [shown(one) for one in sent] == ["bills.read_bills", "bills.pay_order"]


def test_a_hold_is_one_statement(city: City) -> None:
    hoa, binh = city.citizen(available=100_000), city.citizen("Trần Văn Bình")
    assert transfer(hoa, binh) == 201
    lapses_at = str(int((clock.now() + timedelta(hours=1)).timestamp()))
    given = {"payer": hoa.account, "payee": binh.account, "amount": "5", "lapses_at": lapses_at}
    with statements(city) as sent:
        assert hoa.act("/v1/holds", "hold", **given).status == 201
    assert [shown(one) for one in sent] == ["ledger.post_order"]


def test_only_a_refusal_needs_a_unit_of_its_own(city: City) -> None:
    """The statement that was refused went back whole; the refusal is stored beside a claim of its own."""
    hoa, binh = city.citizen(available=100_000), city.citizen("Trần Văn Bình")
    assert transfer(hoa, binh) == 201
    with statements(city) as sent:
        assert transfer(hoa, binh, "100001") == 402
    assert [shown(one) for one in sent] == [
        "ledger.post_order",
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        "ledger.claim",
        "ledger.refuse",
        "COMMIT",
    ]
