"""The sealer: a gapless place for every event, none twice, whatever is held open, killed or restored. Rows 44, 105, 119."""

import contextlib
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.databases import TestDatabase
from tests.logs import Log, raw_tell, waiting_for
from tests.make import City
from wallet import db
from wallet.jobs import Worker
from wallet.ledger.refusals import PostingStopped
from wallet.log import merkle, published, sealer
from wallet.log.merkle import TILE_WIDTH
from wallet.log.sealer import Behind, Contradicted, Moved, Rewritten
from wallet.log.shelf import Taken
from wallet.log.unsealed import SEQ_MAX, Unsealed

ROOT = Path(__file__).parents[1]
STEPS = ("sealed", "written", "synced", "signed", "published", "recorded")


@pytest.fixture
def log(fresh_database: TestDatabase) -> Log:
    return Log(fresh_database)


# -- order ------------------------------------------------------------------------------------------------------------


def test_every_event_gets_its_place_and_is_published(log: Log) -> None:
    log.tell(3)
    first = log.seal()
    assert first is not None
    assert first.size == 3
    log.tell(2 * TILE_WIDTH)
    second = log.seal()
    assert second is not None
    assert (second.size, log.unsealed()) == (3 + 2 * TILE_WIDTH, 0)
    assert log.is_whole()


def test_an_event_that_commits_after_later_ones_is_not_skipped(log: Log) -> None:
    """Row 44: its seq is lower than those of events that were sealed long before it could be seen."""
    url = log.database.config.database_url
    with log.sealing() as sealing, psycopg.connect(url) as slow:
        held = raw_tell(slow)
        log.tell(5)
        for _ in range(5):
            sealing.seal()
        sealing.publish()
        assert sealing.size == 5
        slow.commit()
        assert sealing.seal() == 1
        assert log.ask("SELECT index FROM log.leaf WHERE event = %s", held) == [(5,)]
        sealing.publish()
    assert log.is_whole()


def test_a_transaction_that_took_its_seq_before_it_had_an_id_is_not_skipped(log: Log) -> None:
    """Row 44: what a snapshot knows of transaction ids would not tell of this one."""
    url = log.database.config.database_url
    with log.sealing() as sealing, psycopg.connect(log.database.owner_url) as slow, psycopg.connect(url) as other:
        slow.execute("LOCK TABLE ledger.event IN ROW EXCLUSIVE MODE")
        taken = slow.execute("SELECT nextval('ledger.event_seq_seq')").fetchone()
        assert taken is not None
        for _ in range(3):  # beyond what a sequence logs ahead, whose logging needs a transaction id
            raw_tell(other)
        other.commit()
        for _ in range(3):
            sealing.seal()
        slow.execute(
            "INSERT INTO ledger.event (id, seq, type, subject, at, bytes) OVERRIDING SYSTEM VALUE"
            " VALUES (gen_random_uuid(), %s, 'test.late', 'x', now(), '{}')",
            taken,
        )
        slow.commit()
        assert sealing.seal() == 1
    assert log.unsealed() == 0


def test_gaps_of_what_was_rolled_back_are_closed_and_looked_at_no_more(log: Log) -> None:
    url = log.database.config.database_url
    with log.sealing() as sealing, psycopg.connect(url) as gone:
        raw_tell(gone)
        log.tell(4)
        sealing.seal()
        lows, _ = sealing._unsealed.bounds
        assert len(lows) == 2, "the gap and what is to come"
        gone.rollback()
        sealing.seal()
        sealing.seal()
        lows, highs = sealing._unsealed.bounds
        last = log.ask("SELECT max(seq) FROM ledger.event")[0][0]
        assert (lows, highs) == ([last + 1], [SEQ_MAX])


def test_a_restarted_sealer_finds_what_was_held_open_before_it_began(log: Log) -> None:
    url = log.database.config.database_url
    with psycopg.connect(url) as slow:
        with log.sealing() as sealing:
            raw_tell(slow)
            log.tell(3)
            sealing.seal()
            sealing.publish()
        with log.sealing() as sealing:
            sealing.seal()
            log.tell(2)
            sealing.seal()
            sealing.publish()
            slow.commit()
        with log.sealing() as sealing:
            assert sealing.seal() == 1
            sealing.publish()
    assert log.unsealed() == 0
    assert log.is_whole()


def test_events_of_one_look_keep_the_order_in_which_they_were_told(log: Log) -> None:
    told = [subject for _ in range(4) for subject in log.tell()]
    log.seal()
    rows = log.ask("SELECT e.subject FROM log.leaf l JOIN ledger.event e ON e.id = l.event ORDER BY l.index")
    assert [subject for (subject,) in rows] == [str(one) for one in told]


@given(st.lists(st.tuples(st.sampled_from(["commit", "roll back", "hold"]), st.integers(0, 5)), max_size=40))
def test_open_ranges_never_lose_an_event_that_is_still_to_come(acts: list[tuple[str, int]]) -> None:
    """Against a model: writers take seqs, end later in any order, and the sealer looks in between."""
    unsealed, seq, living, visible, sealed = Unsealed(), 0, dict[int, int](), set[int](), set[int]()

    def look() -> None:
        may_close = unsealed.watch(seq, [str(one) for one in living])
        found = [
            one for one in sorted(visible - sealed) if any(a <= one <= b for a, b in zip(*unsealed.bounds, strict=True))
        ]
        assert set(found) == visible - sealed
        unsealed.sealed(found)
        sealed.update(found)
        if may_close:
            unsealed.close()

    for act, which in acts:
        if act == "hold":
            seq += 1
            living[seq] = seq
        elif living:
            ended = living.pop(sorted(living)[which % len(living)])
            visible |= {ended} if act == "commit" else set()
        if which % 2:
            look()
    living.clear()
    for _ in range(3):
        look()
    assert unsealed.bounds == ([seq + 1], [SEQ_MAX])
    assert unsealed.settled == seq


def test_a_thousand_gaps_are_bridged_and_nothing_is_lost() -> None:
    unsealed = Unsealed()
    unsealed.watch(10_000, ["somebody"])
    unsealed.sealed(range(2, 10_000, 2))
    lows, highs = unsealed.bounds
    assert len(lows) == 1_000
    assert all(any(low <= odd <= high for low, high in zip(lows, highs, strict=True)) for odd in range(1, 10_000, 2))


def test_what_a_seal_reads_does_not_grow_with_the_log(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan made while the log was empty must not read all of it for each event once it is not."""
    monkeypatch.setattr(sealer, "BATCH", 50)
    log.tell(1_000)
    with log.database.superuser() as owner:
        owner.execute("VACUUM ANALYZE log.leaf, ledger.event")  # now the planner knows that it is empty
    with log.sealing() as sealing:
        while sealing.seal():
            pass
        assert sealing.size == 1_000
        sealing._ask("SELECT pg_stat_force_next_flush()")
    read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'leaf_event_once'"
    assert log.ask(read)[0][0] <= 1_000


# -- one sealer -------------------------------------------------------------------------------------------------------


def test_a_second_sealer_is_told_and_changes_nothing(log: Log, another_database: TestDatabase) -> None:
    log.tell()
    with log.sealing() as first:
        with pytest.raises(Taken), log.sealing():
            pass
        assert first.seal() == 1
    with log.sealing() as next_one:
        assert next_one.size == 1


def test_a_second_process_waits_until_the_first_has_ended(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.tell()
    first_stop, second_stop = threading.Event(), threading.Event()
    first, second = (threading.Thread(target=log.sealer().run, args=[stop]) for stop in (first_stop, second_stop))
    first.start()
    try:
        waiting_for(lambda: log.published.checkpoint() is not None)
        second.start()
        waiting_for(lambda: "log_taken" in caplog.text)
        log.tell()
        first_stop.set()
        first.join()
        log.tell()
        waiting_for(lambda: log.checkpoint().size == 3)
    finally:
        first_stop.set()
        second_stop.set()
        first.join()
        second.join()
    assert log.is_whole()


def test_a_sealer_whose_database_went_on_without_it_gives_no_place_twice(log: Log) -> None:
    log.tell(2)
    with log.sealing() as stale:
        stale.seal()
        log.tell()
        with log.database.app_engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT * FROM log.seal(2, '{{1}}', '{{{SEQ_MAX}}}', 10)")
        log.tell()
        with pytest.raises(Moved):
            stale.seal()
    log.seal()
    assert log.is_whole()
    assert log.unsealed() == 0


# -- killed -----------------------------------------------------------------------------------------------------------

VICTIM = """
import os, signal, sys
from pathlib import Path
from wallet import db
from wallet.log import keyring
from wallet.log.published import PublishedLog
from wallet.log.sealer import Sealer
url, var, point = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
def step(name):
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)
made = Sealer(db.engine(url), PublishedLog(keyring.folder(var)), keyring.keys(var), keyring.signer(var), step=step)
made.start()
made.seal()
made.publish()
"""


@pytest.mark.parametrize("point", STEPS)
def test_killed_at_any_step_it_goes_on_where_it_was(log: Log, point: str) -> None:
    """Row 105: nothing is lost, nothing has two places, and what was published before is a beginning of what comes."""
    log.tell(TILE_WIDTH + 5)
    before = log.seal()
    assert before is not None
    log.tell(TILE_WIDTH)
    command = [sys.executable, "-c", VICTIM, log.database.config.database_url, str(log.var_dir), point]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert log.checkpoint().size in (before.size, before.size + TILE_WIDTH)
    log.tell(3)
    waiting_for(lambda: not log.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s", sealer.LOCK))
    log.seal()
    assert log.checkpoint().size == before.size + TILE_WIDTH + 3
    assert log.unsealed() == 0
    assert log.is_whole()
    proof = log.published.consistency(before.size, log.checkpoint().size)
    merkle.check_consistency(before.size, before.root, log.checkpoint().size, log.checkpoint().root, proof)
    kept = log.ask("SELECT size FROM log.checkpoint ORDER BY size")
    assert kept[-1] == (log.checkpoint().size,)


# -- restored ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def yesterday(log: Log) -> Iterator[None]:
    """The leaves, events and checkpoints that come within the block are gone after it, as from an older dump."""
    seq, size = log.ask("SELECT (SELECT max(seq) FROM ledger.event), (SELECT max(index) FROM log.leaf)")[0]
    yield
    with log.database.superuser() as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM ledger.event WHERE seq > %s", [seq])
        owner.execute("DELETE FROM log.leaf WHERE index > %s", [size])
        owner.execute("DELETE FROM log.checkpoint WHERE size > %s", [size + 1])


def test_after_a_restore_nothing_is_sealed_and_posting_stops(log: Log) -> None:
    """Row 119, and the reason: a place that was published must never be given to another event."""
    with City(log.database) as city:
        hoa, binh = city.citizen(available=1_000), city.citizen("Trần Văn Bình")
        log.seal()
        with yesterday(log):
            log.tell(4)
            log.seal()
        promised = log.published.checkpoint()
        log.tell()
        with pytest.raises(Behind) as told, log.sealing():
            pass
        assert told.value.code == "log_behind"
        refused = city.send(hoa, binh, 1)
        assert (refused.status, refused.json()["code"]) == (503, "posting_stopped")
        assert refused.headers["content-type"] == "application/problem+json"
        claimed_first = hoa.send(
            "DELETE", f"/v1/keys/{hoa.key.public.id}", hoa.order("key_revoke", key=hoa.key.public.id)
        )
        assert (claimed_first.status, claimed_first.json()["code"]) == (503, "posting_stopped")
        assert city.available(hoa) == 1_000, "reading goes on"
    assert log.published.checkpoint() == promised
    assert log.unsealed() == 1


def test_an_upgrade_does_not_open_what_the_sealer_has_stopped(log: Log) -> None:
    from wallet.run import migrate

    with City(log.database) as city:
        hoa, binh = city.citizen(available=1_000), city.citizen("Trần Văn Bình")
        db.unit(city.engine, lambda unit: unit.exec_driver_sql("SELECT log.stop_posting()"))
        migrate.upgrade(log.database.config.migrator_database_url or "")
        assert city.send(hoa, binh, 1).json()["code"] == "posting_stopped"


def test_the_workers_jobs_wait_while_posting_is_stopped(log: Log) -> None:
    with City(log.database) as city:
        hoa, binh = city.citizen(available=1_000), city.citizen("Trần Văn Bình")
        city.hold(hoa, binh, 100, lapses_in_s=1)
        db.unit(city.engine, lambda unit: unit.exec_driver_sql("SELECT log.stop_posting()"))
        worker, stop = Worker(city.config), threading.Event()
        waiting_for(lambda: _is_over(log))
        with pytest.raises(PostingStopped):
            worker.lapse()
        thread = threading.Thread(target=worker.run, args=[stop])
        thread.start()
        stop.wait(0.5)
        assert thread.is_alive()
        stop.set()
        thread.join()
        worker.database.dispose()


def _is_over(log: Log) -> bool:
    return bool(log.ask("SELECT lapses_at < now() FROM ledger.live_hold")[0][0])


def test_leaves_that_were_rewritten_are_not_signed_again(log: Log) -> None:
    """Row 120: an honest sealer contradicts the database, not its own word."""
    log.tell(5)
    log.seal()
    shutil.rmtree(log.published.folder / "tile")
    with log.database.superuser() as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE ledger.event SET bytes = '{}' WHERE id = (SELECT event FROM log.leaf WHERE index = 2)")
    with pytest.raises(Rewritten), log.sealing():
        pass
    assert log.ask("SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'posting_stopped'") == [("O",)]


def test_a_checkpoint_by_another_key_is_not_gone_on_from(log: Log, tmp_path: Path) -> None:
    log.tell()
    log.seal()
    other = Log(log.database, tmp_path)
    (log.published.folder / published.CHECKPOINT).write_bytes(
        other.keys.sign(log.checkpoint(), other.sealer()._signer).encode()
    )
    with pytest.raises(Contradicted) as told, log.sealing():
        pass
    assert told.value.code == "log_contradicted"


# -- tiles are derived ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["all", "partial", "full", "bundle", "checkpoint too"])
def test_tiles_that_were_lost_or_damaged_are_written_anew_with_the_same_root(log: Log, damage: str) -> None:
    log.tell(TILE_WIDTH + 7)
    log.seal()
    folder, promised = log.published.folder, log.published.checkpoint()
    spoilt = {"partial": "tile/0/001.p/7", "full": "tile/0/000", "bundle": "tile/entries/001.p/7"}
    if damage in spoilt:
        path = folder / spoilt[damage]
        path.write_bytes(path.read_bytes()[:-1])
    else:
        shutil.rmtree(folder / "tile")
    if damage == "checkpoint too":
        (folder / "checkpoint").unlink()
    log.tell()
    with log.sealing(anew=damage == "full") as sealing:
        if damage != "checkpoint too":
            assert log.published.checkpoint() == promised
            assert log.bundled() == log.entries()
        sealing.seal()
        sealing.publish()
    assert log.is_whole()


def test_partial_tiles_that_wider_ones_replaced_are_removed(log: Log) -> None:
    for count in (3, 4, TILE_WIDTH):
        log.tell(count)
        log.seal()
    left = sorted(str(path.relative_to(log.published.folder)) for path in log.published.folder.rglob("tile/**/*.p/*"))
    assert left == ["tile/0/001.p/7", "tile/1/000.p/1", "tile/entries/001.p/7"]


# -- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "deed",
    [
        "SELECT log.publish(99, sha256(''), '', 0)",
        "SELECT log.publish(1, sha256(''), '', 0)",
        "SELECT * FROM log.seal(0, '{1}', '{9}', 10)",
        "SELECT * FROM log.seal(7, '{1}', '{9}', 10)",
    ],
)
def test_the_database_itself_refuses_a_place_or_checkpoint_out_of_turn(log: Log, deed: str) -> None:
    log.tell(3)
    log.seal()
    with pytest.raises(sa.exc.DBAPIError) as refused, log.database.app_engine.begin() as unit:
        unit.exec_driver_sql(deed)
    assert getattr(refused.value.orig, "sqlstate", None) == "TT002"
