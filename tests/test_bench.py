"""The measurements: each runs for a moment and yields well-formed figures. How fast anything is asserts nothing here."""

import contextlib
import itertools
import json

import psycopg
import pytest

from bench import figures, fill, flush, growth, ledger, log
from bench.crew import ClientFailed, Crew, Pace, compare
from bench.peers import hordak, orm_ledger
from bench.place import peers_database
from wallet import prove
from wallet.ledger import proof
from wallet.run.faults import Fault

MOMENT = Pace(rounds=1, seconds=0.1, clients=3)

SIGNED_BY_NOBODY = {"key_missing"}
"""What measured orders differ by: keys and signatures are made up, because checking them is the door's work."""


def differences(database):
    with prove.snapshot(database.audit_engine).connect() as connection:
        return {found.code for found in prove.books(connection)}


def counting(calls):
    @contextlib.contextmanager
    def ready(number):
        yield lambda: calls.append(number)

    return ready


def failing(number):
    raise RuntimeError("no seat for me")


def test_a_crew_counts_every_posting_of_every_call():
    crew = Crew("counted", 2, counting([]), postings=1_000)
    rate = crew.slice(0.05)
    crew.close()
    alone = Crew("counted", 2, counting([]))
    assert rate > 10 * alone.slice(0.05)
    alone.close()


def test_a_client_that_fails_is_told_with_its_reason():
    with pytest.raises(ClientFailed, match="no seat for me"):
        Crew("failing", 1, failing)


def test_the_median_slice_counts_and_the_first_is_thrown_away():
    class Scripted:
        name = "scripted"

        def __init__(self):
            self.rates = itertools.chain([1_000_000.0], [5.0, 1.0, 3.0])

        def slice(self, seconds):
            return next(self.rates)

        def close(self):
            """Nothing is held."""

    assert compare([Scripted()], Pace(rounds=3, seconds=1.0)) == {"scripted": 3.0}


def test_a_filled_city_proves_clean_and_is_as_large_as_asked(fresh_database):
    fill.city(fresh_database.owner_url, wallets=50, postings=600)
    assert differences(fresh_database) == set()
    with fresh_database.audit_engine.connect() as connection:
        counts = proof.counts(connection)
    assert 500 < counts["posting"] - 50 < 700
    assert counts["event"] > counts["entry"] == counts["authority"] - 50
    assert len(fill.payers(fresh_database.owner_url, 7)) == 7


def test_filling_leaves_every_index_as_the_migrations_made_it(fresh_database):
    question = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'ledger' ORDER BY 1"
    with fresh_database.superuser() as admin:
        before = admin.execute(question).fetchall()
        fill.city(fresh_database.owner_url, wallets=3, postings=5)
        assert admin.execute(question).fetchall() == before


def test_the_ledger_is_measured_beside_its_peers_and_no_money_is_lost(fresh_database):
    with peers_database(fresh_database.owner_url) as peers_url:
        place = ledger.Place(
            config=fresh_database.config, url=fresh_database.owner_url, peers_url=peers_url, hordak=None
        )
        found = ledger.measure(place, MOMENT)
        with psycopg.connect(peers_url) as peers:
            ((money, below),) = peers.execute("SELECT sum(balance), min(balance) FROM orm.account")
            ((unbalanced,),) = peers.execute(
                "SELECT count(*) FROM (SELECT FROM orm.posting GROUP BY entry_id HAVING sum(amount) <> 0) AS x"
            )
    assert {(one.name, one.peer) for one in found} == {
        ("ledger.single_1", "orm"),
        ("ledger.single_1", "pgbench -c 1"),
        ("ledger.single_3", "orm"),
        ("ledger.batch_1000", "pgbench -c 1"),
        ("ledger.hot_3", "distinct payees"),
        ("ledger.hot_3", "orm, one payee's row"),
        ("flush_1ms.single_rows", "the flush as it is"),
        ("flush_1ms.flushes", "commits of one client"),
        ("ledger.hot_3.flush_1ms", "distinct payees"),
        ("ledger.hot_3.flush_1ms", "orm, one payee's row"),
    }
    assert all(one.value > 0 and one.peer_value and one.ratio for one in found)
    assert differences(fresh_database) == SIGNED_BY_NOBODY
    assert money == ledger.ACCOUNTS * orm_ledger.OPENING
    assert below >= 0
    assert unbalanced == 0


CLOSED_BY_HAND = {"authority_without_outcome", "period_late_entry", "period_trial_differs", "period_untold"}
"""The fill's days are closed by the superuser, without order, event or sealed trial: only what readings need is there."""


def test_sealing_is_measured_and_so_is_what_it_costs_those_who_pay(fresh_database):
    pace = Pace(rounds=1, seconds=0.3, clients=2)
    found = log.measure(fresh_database.config, fresh_database.owner_url, pace, postings=2_000)
    assert [one.name for one in found] == ["log.seal", "log.seal.cpu", "log.payments_with_sealer"]
    assert all(one.value > 0 for one in found)
    assert found[-1].ratio is not None
    assert list(fresh_database.config.var_dir.glob("bench-log-*")) == [], "it tidies up"


def test_growth_is_measured_on_two_sizes(fresh_database, another_database):
    small, large = (
        growth.filled(one.config, one.owner_url, wallets=60, postings=postings, say=lambda _: None)
        for one, postings in ((another_database, 100), (fresh_database, 300))
    )
    found = list(growth.measure(small, large, MOMENT, reads=4))
    assert [one.name for one in found] == [
        "growth.single_1",
        "growth.single_3",
        "growth.tail",
        "growth.statement_page.p50",
        "growth.statement_page.p99",
        "growth.balance_as_of.p50",
        "growth.balance_as_of.p99",
    ]
    assert all(one.peer == "at 100 postings" and one.value >= 0 for one in found)
    assert differences(fresh_database) == SIGNED_BY_NOBODY | CLOSED_BY_HAND


def test_a_slow_flush_is_only_that_databases_and_only_for_a_while(fresh_database):
    def seen():
        with psycopg.connect(fresh_database.config.database_url) as connection:
            settings = "SELECT current_setting('commit_delay'), current_setting('commit_siblings')"
            return connection.execute(settings).fetchone()

    usual = seen()
    with flush.slowed(fresh_database.owner_url, [fresh_database.owner_url.rpartition("/")[2]]):
        assert seen() == ("1000", "0")
    assert seen() == usual != ("1000", "0")


def test_nothing_is_measured_without_durability(fresh_database):
    careless = fresh_database.config.database_url + "?options=-c%20synchronous_commit%3Doff"
    with pytest.raises(Fault, match="synchronous_commit is off"):
        flush.require_durable(careless)


def test_a_run_without_hordak_goes_on_and_says_so_loudly(monkeypatch, capsys, tmp_path):
    def offline(folder):
        raise Fault("django-hordak cannot be installed: no network.")

    monkeypatch.setattr(hordak, "install", offline)
    assert hordak.try_install(tmp_path) is None
    assert "NO FIGURES OF django-hordak IN THIS RUN" in capsys.readouterr().err


def test_a_report_is_a_table_and_a_file_of_the_same_figures(tmp_path, capsys):
    figures.report([figures.against("ledger.single_1", 10.0, "1/s", "orm", 4.0)], tmp_path / "bench.json")
    (row,) = json.loads((tmp_path / "bench.json").read_text())
    assert row == {
        "name": "ledger.single_1", "value": 10.0, "unit": "1/s", "peer": "orm", "peer_value": 4.0, "ratio": 2.5,
    }  # fmt: skip
    assert "2.500" in capsys.readouterr().out
