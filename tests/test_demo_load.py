"""The demo city in the books: entered once, by the real verbs, and opening nothing outside the demo."""

import json
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.databases import TestDatabase
from tests.logs import Log, go
from wallet import accounts, clock, crypto, db, prove
from wallet.bills import find
from wallet.city import load as load_city
from wallet.config import ConfigError
from wallet.demo import enter, loading, marks
from wallet.demo.bills import plan
from wallet.demo.people import citizens, principals
from wallet.identity import holders, pins
from wallet.ids import HolderId

FEW = 60
"""Citizens in these tests: enough for every fate, quick enough for every run."""

COUNTED = (
    "identity.holder",
    "identity.role",
    "identity.key",
    "identity.pin",
    "person.person",
    "bills.agency",
    "bills.bill",
    "bills.bill_line",
    "ledger.account",
    "ledger.authority",
    "ledger.outcome",
    "ledger.entry",
    "ledger.posting",
    "ledger.event",
)


def load(database: TestDatabase, **changes: Any) -> list[str]:
    said: list[str] = []
    loading.load(config=replace(database.config, **changes), log=said.append, citizens=FEW)
    return said


def counts(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in COUNTED}


def value(engine: sa.Engine, query: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(query).scalar_one()


@pytest.fixture(scope="module")
def loaded(template, postgres, worker, tmp_path_factory) -> Iterator[TestDatabase]:
    from tests import databases

    folder = tmp_path_factory.mktemp("demo")
    with databases.copy_of(template, f"{worker}_demo", server=postgres, folder=folder) as made:
        load(made)
        yield made


@pytest.fixture(scope="module")
def papers(loaded: TestDatabase) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((loaded.config.var_dir / "demo.json").read_text())
    return read


def planned(database: TestDatabase):
    city = load_city(database.config.city_file)
    begun = marks.begun(database.app_engine, marks.Begun(at=clock.now(), origin=""))
    return plan(city, citizens(city, count=FEW), principals(city), day=clock.day_of(begun.at))


def test_every_planned_bill_is_issued_once(loaded: TestDatabase) -> None:
    with loaded.app_engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT dossier, total, due, expires, state FROM bills.bill").all()

    assert sorted((row.dossier, row.total, row.due, row.expires) for row in rows) == sorted(
        (bill.dossier, bill.total, bill.due, bill.expires) for bill in planned(loaded).bills
    )
    assert all((row.state == "waived") == (row.total == 0) for row in rows)


def test_the_bank_holds_what_wallets_and_agencies_have(loaded: TestDatabase) -> None:
    with loaded.app_engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT a.code, sum(b.posted)::bigint AS posted FROM ledger.account a"
            " JOIN ledger.balance_now b ON b.account = a.id GROUP BY a.code"
        ).all()
    posted = {row.code: row.posted for row in rows if row.posted}

    assert set(posted) == {"bank.guarantee", "wallet", "agency"}
    assert posted["bank.guarantee"] == posted["wallet"] + posted["agency"]
    assert posted["bank.guarantee"] == sum(opening.amount for opening in planned(loaded).openings)
    assert posted["agency"] == sum(bill.total for bill in planned(loaded).bills if bill.fate == "paid")


def test_the_books_are_proved(loaded: TestDatabase) -> None:
    with prove.snapshot(loaded.audit_engine).connect() as connection:
        assert list(prove.books(connection)) == []


def test_go_accepts_the_log_of_the_demo_city(loaded: TestDatabase) -> None:
    """Every event of the demo is a leaf, and golang.org/x/mod verifies checkpoint, bundles, tiles and proofs."""
    log = Log(loaded)
    log.seal()
    assert log.unsealed() == 0
    assert log.checkpoint().size > 300
    assert f"{log.checkpoint().size} entries" in go(log)


def test_money_came_in_by_the_banks_word_and_went_out_by_signed_orders(loaded: TestDatabase) -> None:
    with loaded.app_engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT a.kind, a.order_kind, e.kind AS entry FROM ledger.entry e"
            " JOIN ledger.authority a ON a.id = e.authority"
        ).all()
    kinds = Counter((row.kind, row.order_kind, row.entry) for row in rows)
    wanted = planned(loaded)

    assert kinds == {
        ("outside_word", "bank_line", "topup"): len(wanted.openings),
        ("signed_order", "bill_payment", "bill_payment"): sum(len(payment.dossiers) for payment in wanted.payments),
    }


def test_every_payment_is_truly_signed(loaded: TestDatabase) -> None:
    with loaded.app_engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT k.jwk, c.bytes, c.signature_base, c.signature FROM ledger.authority a"
            " JOIN identity.key k ON k.id = a.key_id JOIN person.order_content c ON c.authority = a.id"
        ).all()

    assert len(rows) == len(planned(loaded).payments)
    for row in rows:
        key = crypto.public_key_of(row.jwk)
        assert key.verifies(bytes(row.signature), bytes(row.signature_base))
        assert not key.verifies(bytes(row.signature), bytes(row.signature_base) + b" ")


def test_nothing_was_refused(loaded: TestDatabase) -> None:
    assert value(loaded.app_engine, "SELECT count(*) FROM ledger.outcome WHERE code IS NOT NULL") == 0


def test_named_citizens_see_what_was_planned_for_them(loaded: TestDatabase, papers: dict[str, Any]) -> None:
    wanted = planned(loaded)
    statuses = {
        "free": "waived",
        "due": "due",
        "overdue": "overdue",
        "expired": "expired",
        "paid": "paid",
    }
    for one in papers["principals"]:
        if one["role"] == "citizen":
            with loaded.app_engine.connect() as connection:
                seen = find.of_debtor(connection, HolderId(one["holder"]), now=clock.now())
                wallet = accounts.wallet_of(connection, HolderId(one["holder"]))
            mine = [bill for bill in wanted.bills if bill.debtor == one["phone"]]
            assert {bill.dossier: bill.status for bill in seen} == {bill.dossier: statuses[bill.fate] for bill in mine}
            assert wallet is not None
            assert str(wallet.id) == one["account"]


def test_only_the_named_few_have_pins_and_theirs_are_right(loaded: TestDatabase, papers: dict[str, Any]) -> None:
    with_pin = [one for one in papers["principals"] if one["pin"]]

    assert value(loaded.app_engine, "SELECT count(*) FROM identity.pin") == len(with_pin) == 9
    for one in with_pin:
        holder = pins.check(
            loaded.app_engine,
            phone=one["phone"],
            pin=one["pin"],
            device=bytes(32),
            address="127.0.0.1",
            now=clock.now(),
        )
        assert str(holder) == one["holder"]


def test_the_papers_are_for_this_user_only(loaded: TestDatabase) -> None:
    path = loaded.config.var_dir / "demo.json"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [name.name for name in path.parent.iterdir() if "demo" in name.name] == ["demo.json"]


def test_the_papers_name_keys_that_are_active_and_no_browsers(loaded: TestDatabase, papers: dict[str, Any]) -> None:
    """A browser's first sign-in must still enrol at once: a machine's key is no older device."""
    for one in papers["principals"]:
        key = crypto.PrivateKey.from_jwk(one["jwk"]).public
        with loaded.app_engine.connect() as connection:
            row = connection.execute(
                sa.text("SELECT holder, state, device FROM identity.key WHERE id = :id"), {"id": one["key"]}
            ).one()
        assert key.id == one["key"]
        assert (str(row.holder), row.state, row.device) == (one["holder"], "active", "machine")


def test_officers_and_machines_act_for_the_agency_of_the_papers(loaded: TestDatabase, papers: dict[str, Any]) -> None:
    serving = [one for one in papers["principals"] if one["agency"]]

    assert Counter(one["role"] for one in serving) == {"officer": 2, "agency": 2}
    for one in serving:
        with loaded.app_engine.connect() as connection:
            code = connection.execute(
                sa.text(
                    "SELECT a.code FROM identity.role r JOIN bills.agency a ON a.holder = r.agency"
                    " WHERE r.holder = :holder AND r.role = :role"
                ),
                {"holder": one["holder"], "role": one["role"]},
            ).scalar_one()
        assert code == one["agency"]


def test_a_second_load_does_nothing_but_write_the_new_address(loaded: TestDatabase) -> None:
    before = counts(loaded.app_engine)
    path = loaded.config.var_dir / "demo.json"
    old = json.loads(path.read_text())

    said = load(loaded, public_origin="http://localhost:8123", port=8123)

    new = json.loads(path.read_text())
    assert said == []
    assert counts(loaded.app_engine) == before
    assert (new["base_url"], new["principals"]) == ("http://localhost:8123", old["principals"])


class CutOff(Exception):
    """The power went."""


def test_a_load_that_was_cut_off_goes_on_without_doubling(
    loaded: TestDatabase, fresh_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off three times: among the openings, the bills and the payments; gone on with a day later, elsewhere."""
    yesterday = clock.now() - timedelta(days=1)
    for verb, calls in (("_open", 5), ("_issue", 7), ("_pay", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(clock, "now", lambda: yesterday)
            cut_at(patch, verb, calls)
            with pytest.raises(CutOff):
                load(fresh_database)
        assert not (fresh_database.config.var_dir / "demo.json").exists()
    load(fresh_database, public_origin="http://localhost:8123")

    assert counts(fresh_database.app_engine) == counts(loaded.app_engine)


def cut_at(patch: pytest.MonkeyPatch, verb: str, calls: int) -> None:
    whole = getattr(enter.Entering, verb)
    left = iter(range(calls))

    def until(self: enter.Entering, *args: Any) -> Any:
        if next(left, None) is None:
            raise CutOff
        return whole(self, *args)

    patch.setattr(enter.Entering, verb, until)


def test_outside_the_demo_nothing_is_loaded(fresh_database: TestDatabase) -> None:
    with pytest.raises(ConfigError, match="in the demo only"):
        load(fresh_database, demo=False)

    assert value(fresh_database.app_engine, "SELECT count(*) FROM identity.holder") == 0


def test_a_database_that_somebody_uses_is_left_alone(fresh_database: TestDatabase) -> None:
    db.unit(
        fresh_database.app_engine,
        lambda unit: holders.register_person(unit, name="Ai Đó", phone="0900000000", now=clock.now()),
    )

    with pytest.raises(ConfigError, match="somebody uses already"):
        load(fresh_database)

    assert value(fresh_database.app_engine, "SELECT count(*) FROM identity.holder") == 1


def test_a_real_service_refuses_a_database_of_the_demo(loaded: TestDatabase, fresh_database: TestDatabase) -> None:
    with pytest.raises(ConfigError, match="whose keys and PINs everybody knows"):
        loading.refuse(loaded.app_engine)

    loading.refuse(fresh_database.app_engine)


def test_faults_of_the_city_file_stop_the_load_before_it_begins(fresh_database: TestDatabase, tmp_path: Path) -> None:
    wrong = tmp_path / "city.toml"
    wrong.write_text("[city]\n")

    with pytest.raises(Exception, match="name is missing"):
        load(fresh_database, city_file=wrong)

    assert value(fresh_database.app_engine, "SELECT count(*) FROM identity.holder") == 0
