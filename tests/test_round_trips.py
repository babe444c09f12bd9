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

ROUND_TRIP = re.compile(r"(?:Parse )?Bind Describe Execute Sync |Query ")
"""One statement, prepared before or not, its parameters, and one wait for the answer."""

PREPARED = re.compile(r'^\s*""\s+"(\w+)"')
"""What a Bind carries first: its portal, and the prepared statement that it names, if it names one."""


class Wire:
    """What the application's connections send while they are listened to."""

    def __init__(self) -> None:
        self.logs: dict[Any, IO[str]] = {}

    def listen(self, dbapi_connection: Any, *_: object) -> None:
        """Trace a connection that is taken out of the pool."""
        if dbapi_connection not in self.logs:
            self.logs[dbapi_connection] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed when read
            dbapi_connection.pgconn.trace(self.logs[dbapi_connection].fileno())
            dbapi_connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)

    def messages(self) -> list[tuple[str, str]]:
        """Return what was sent: each message's name, and its text; of a Bind, the statement that it runs again."""
        told: list[tuple[str, str]] = []
        for connection, log in self.logs.items():
            connection.pgconn.untrace()
            known = dict(connection.execute("SELECT name, statement FROM pg_prepared_statements").fetchall())
            with log:
                log.seek(0)
                for name, text in SENT.findall(log.read()):
                    again = PREPARED.match(text) if name == "Bind" else None
                    told.append((name, known[again[1]] if again else text))
        return told


@contextlib.contextmanager
def statements(city: City) -> Iterator[list[str]]:
    """Collect every statement that is sent, and assert that nothing else is, and that each is one round trip.

    What is done in it was done before, so that a statement which is kept prepared is prepared.
    """
    assert city.app is not None
    engine, wire, found = city.app.extensions["wallet"].app, Wire(), list[str]()
    engines = (engine, db.autocommitting(engine))
    for one in engines:
        sa.event.listen(one, "checkout", wire.listen)
    try:
        yield found
    finally:
        for one in engines:
            sa.event.remove(one, "checkout", wire.listen)
        messages = wire.messages()
    assert ROUND_TRIP.sub("", "".join(f"{name} " for name, _ in messages)) == ""
    parsed = False
    for name, text in messages:
        if name in ("Parse", "Query") or (name == "Bind" and not parsed):
            found.append(text)
        parsed = name == "Parse"


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
        "BEGIN",
        "ledger.claim",
        "ledger.refuse",
        "COMMIT",
    ]
