"""What the log publishes: files that Go accepts, doors, proofs, cosignatures, keys; and what is done to it by hand."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.databases import TestDatabase
from tests.logs import ORIGIN, Log, go
from tests.make import City
from wallet.client import Reply
from wallet.identity.roles import Role
from wallet.log import keyring, merkle, note, published
from wallet.log.checkpoint import Checkpoint, KeyNotInForce
from wallet.log.keyring import NoKey
from wallet.log.merkle import BUNDLES, TILE_WIDTH, Tile
from wallet.log.note import BadKey, FileSigner, Note
from wallet.log.published import NotPublished
from wallet.log.replay import NotReplayable
from wallet.log.sealer import Behind
from wallet.run import log as by_hand
from wallet.run.faults import Fault

WITNESS = FileSigner.of_seed("auditor.example/w1", bytes(range(32)), note.COSIGNATURE)
STRANGER = FileSigner.of_seed("stranger.example/w1", bytes(range(1, 33)), note.COSIGNATURE)


@pytest.fixture
def log(fresh_database: TestDatabase) -> Log:
    return Log(fresh_database)


# -- files ------------------------------------------------------------------------------------------------------------


def test_go_accepts_the_log_of_a_city_as_it_grows(log: Log) -> None:
    """golang.org/x/mod's note and tlog rebuild the tree from our bundles and compare every tile and proof."""
    olds: list[tuple[int, bytes]] = []
    with City(log.database) as city:
        hoa, binh = city.citizen(available=100_000), city.citizen("Trần Văn Bình")
        for _ in range(3):
            assert city.send(hoa, binh, 10).status == 201
            bill = city.bill(debtor=hoa)
            hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
            log.tell(150)
            log.seal()
            assert "hold" in go(log, olds=tuple(olds))
            olds.append((log.checkpoint().size, log.checkpoint().root))
    assert len(log.bundled()) > 450


def test_the_log_has_a_leaf_of_every_kind_of_event_and_none_with_a_name(log: Log) -> None:
    with City(log.database) as city:
        hoa, binh = city.citizen("Nguyễn Thị Độc Nhất", available=100_000), city.citizen("Trần Văn Bình")
        city.send(hoa, binh, 10)
        city.capture(binh, city.hold(hoa, binh, 50), 20, final=True)
        hoa.send("DELETE", f"/v1/keys/{hoa.key.public.id}", hoa.order("key_revoke", key=hoa.key.public.id))
        log.seal()
    bundled = log.bundled()
    types = {json.loads(entry)["type"] for entry in bundled}
    assert types == {kind for (kind,) in log.ask("SELECT DISTINCT type FROM ledger.event")}
    assert {
        "key.enrolled",
        "key.revoked",
        "role.granted",
        "transfer.sent",
        "hold.captured",
        "holder.registered",
    } <= types
    assert not any("Độc Nhất".encode() in entry or hoa.phone.encode() in entry for entry in bundled)


def test_proofs_from_tiles_verify_for_every_leaf_and_every_earlier_checkpoint(log: Log) -> None:
    checkpoints: list[Checkpoint] = []
    for count in (1, 2, TILE_WIDTH - 3, 1, 40):
        log.tell(count)
        log.seal()
        checkpoints.append(log.checkpoint())
    entries = log.entries()
    for checkpoint in checkpoints:
        for index in range(0, checkpoint.size, 7):
            proof = log.published.inclusion(index, checkpoint.size)
            merkle.check_inclusion(entries[index], index, checkpoint.size, proof, checkpoint.root)
    for old in checkpoints:
        for new in checkpoints[checkpoints.index(old) :]:
            proof = log.published.consistency(old.size, new.size)
            merkle.check_consistency(old.size, old.root, new.size, new.root, proof)


def test_a_partial_tile_that_is_gone_is_the_beginning_of_the_wider_one(log: Log) -> None:
    log.tell(5)
    log.seal()
    partial = {tile: log.published.tile(tile) for tile in (Tile(0, 0, 5), Tile(BUNDLES, 0, 5))}
    for count in (4, TILE_WIDTH):
        log.tell(count)
        log.seal()
        assert {tile: log.published.tile(tile) for tile in partial} == partial
    for missing in (Tile(0, 1, 200), Tile(0, 2), Tile(3, 0, 1), Tile(BUNDLES, 9)):
        with pytest.raises(NotPublished):
            log.published.tile(missing)


def test_nothing_is_published_before_the_first_leaf(log: Log) -> None:
    assert log.seal() is None
    assert log.published.checkpoint() is None
    with db_connection(log) as connection:
        assert published.cosigned(connection) is None


def db_connection(log: Log):
    return log.database.app_engine.connect()


def test_places_are_told_of_what_is_sealed_and_of_nothing_else(log: Log) -> None:
    log.tell(2)
    log.seal()
    log.tell()
    ids = [UUID(json.loads(bytes(raw))["id"]) for (raw,) in log.ask("SELECT bytes FROM ledger.event ORDER BY seq")]
    with db_connection(log) as connection:
        assert published.leaves(connection, ids) == {ids[0]: 0, ids[1]: 1}
        assert published.leaves(connection, [uuid4()]) == {}


# -- doors ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def city(log: Log) -> Iterator[City]:
    with City(log.database) as made:
        yield made


def get(city: City, path: str) -> Reply:
    assert city.app is not None
    answer = city.app.test_client().get(path)
    return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.data)


def test_checkpoint_and_tiles_are_everybodys_and_say_how_long_they_keep(log: Log, city: City) -> None:
    assert get(city, "/log/checkpoint").status == 404
    log.tell(TILE_WIDTH + 3)
    log.seal()
    size = log.checkpoint().size
    signed, full = get(city, "/log/checkpoint"), get(city, "/log/tile/0/000")
    partial = get(city, f"/log/tile/0/001.p/{size - TILE_WIDTH}")
    assert (signed.body, signed.headers["content-type"]) == (log.published.checkpoint(), "text/plain; charset=utf-8")
    assert [len(full.body), len(partial.body)] == [TILE_WIDTH * 32, (size - TILE_WIDTH) * 32]
    assert [one.headers["cache-control"] for one in (signed, full, partial)] == [
        "public, max-age=1",
        "public, max-age=31536000, immutable",
        "public, max-age=60",
    ]
    assert {one.headers["access-control-allow-origin"] for one in (signed, full, partial)} == {"*"}


def test_a_full_tile_is_kept_for_ever_once_a_checkpoint_covers_it(log: Log, city: City) -> None:
    """A place that nobody has promised yet may be given otherwise after a restore; a cache must not hold on to it."""
    log.tell(3)
    log.seal()
    with log.sealing() as sealer:
        log.tell(TILE_WIDTH)
        sealer.seal()
        assert get(city, "/log/tile/0/000").headers["cache-control"] == "public, max-age=60"
        sealer.publish()
    assert get(city, "/log/tile/0/000").headers["cache-control"].endswith("immutable")


@pytest.mark.parametrize(
    "path",
    ["tile/0/0", "tile/00/000", "tile/0/x000/000", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/000.p/01", "tile/9/000",
     "tile/64/000", "tile/0/../../log.key", "tile/0/%2e%2e/keys", "keys", "witnesses", "sealer.lock", "web.log",
     "tile/-1/000", "../log.key", ".checkpoint.new"],
)  # fmt: skip
def test_nothing_else_below_the_log_is_served(log: Log, city: City, path: str) -> None:
    """Row 60: one spelling of each path; the folder's other files are nobody's."""
    log.tell(TILE_WIDTH)
    log.seal()
    assert get(city, f"/log/{path}").status in (404, 405)


def test_bundles_are_an_auditors(log: Log, city: City) -> None:
    log.tell()
    log.seal()
    path = f"/log/tile/entries/000.p/{log.checkpoint().size}"
    assert get(city, path).status == 401
    assert city.citizen().get(path).status == 403
    log.seal()
    reply = city.person("Trần Thị Soát", Role.AUDITOR).get(path)
    assert reply.status == 200
    assert merkle.unpack(reply.body, int(path.rpartition("/")[2])) == log.entries()[: int(path.rpartition("/")[2])]
    assert reply.headers["cache-control"] == "no-store"


def cosigned_note(log: Log, *witnesses: FileSigner, time_s: int = 1_795_230_000) -> bytes:
    raw = log.published.checkpoint()
    assert raw is not None
    parsed = Note.parse(raw)
    return parsed.add(*(note.cosign(parsed.text, one, time_s=time_s) for one in witnesses)).encode()


def post(city: City, body: bytes) -> Reply:
    assert city.app is not None
    answer = city.app.test_client().post("/log/cosignatures", data=body, content_type="text/plain")
    return Reply(answer.status_code, dict(answer.headers), answer.data)


def test_a_known_witness_s_cosignature_is_kept_and_shown_with_the_checkpoint(log: Log, city: City) -> None:
    (log.published.folder / keyring.WITNESSES).write_text(f"{WITNESS.key}\n")
    log.tell()
    log.seal()
    raw = cosigned_note(log, WITNESS, STRANGER)
    assert post(city, raw).status == 204
    assert post(city, cosigned_note(log, WITNESS, time_s=1_795_239_999)).status == 204, "the first one stays"
    size = log.checkpoint().size
    log.tell()
    log.seal()
    with db_connection(log) as connection:
        note_ = published.cosigned(connection)
        assert note_ is not None
        opened = log.keys.open(note_, [WITNESS.key])
        assert (opened.checkpoint.size, [one.time_s for one in opened.witnesses]) == (size, [1_795_230_000])
        newer = published.cosigned(connection, above=size)
        assert newer is not None
        assert log.keys.open(newer, [WITNESS.key]).witnesses == ()
        assert published.cosigned(connection, above=log.checkpoint().size) is None


def test_what_no_known_witness_cosigned_is_refused(log: Log, city: City) -> None:
    log.tell()
    log.seal()
    mine = cosigned_note(log, WITNESS)
    assert (post(city, mine).status, post(city, mine).json()["code"]) == (422, "cosignature_wrong"), (
        "nobody is known yet"
    )
    (log.published.folder / keyring.WITNESSES).write_text(f"{WITNESS.key}\n")
    spoilt = bytearray(mine)
    spoilt[-10] ^= 1
    for body in (b"", b"x" * 200_000, log.published.checkpoint() or b"", cosigned_note(log, STRANGER), bytes(spoilt)):
        assert post(city, body).status in (413, 422)
    assert log.ask("SELECT count(*) FROM log.cosignature") == [(0,)]


def test_a_cosignature_of_a_checkpoint_that_was_never_published_is_evidence(
    log: Log, city: City, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 121: somebody signed another view with the log's own key and showed it to a witness."""
    (log.published.folder / keyring.WITNESSES).write_text(f"{WITNESS.key}\n")
    log.tell(3)
    log.seal()
    text = replace(log.checkpoint(), root=bytes(32)).text
    signed = note.sign(text, keyring.signer(log.var_dir))
    reply = post(city, signed.add(note.cosign(text, WITNESS, time_s=1_795_230_000)).encode())
    assert (reply.status, reply.json()["code"]) == (409, "checkpoint_unknown")
    assert "log_forked" in caplog.text


# -- keys -------------------------------------------------------------------------------------------------------------


def run(log: Log, command: str, origin: str | None = None) -> str:
    return by_hand.COMMANDS[command](log.database.config, argparse.Namespace(command=command, origin=origin))


def test_a_rotated_key_signs_on_old_checkpoints_verify_and_the_log_tells_of_it(log: Log) -> None:
    """Row 130."""
    log.tell(3)
    log.seal()
    old, former = log.published.checkpoint(), keyring.signer(log.var_dir)
    assert old is not None
    run(log, "rotate")
    rotated = keyring.keys(log.var_dir)
    assert [one.last_size for one in rotated.keys] == [3, None]
    log.seal()
    assert log.checkpoint().size == 4
    rotated.open(old)
    assert json.loads(log.bundled()[-1])["data"]["keys"] == str(rotated)
    assert json.loads(log.bundled()[-1])["type"] == "log.key_rotated"
    with pytest.raises(KeyNotInForce):
        rotated.open(note.sign(log.checkpoint().text, former).encode())
    by_hand.tell_of_rotation(log.database.app_engine, rotated)
    assert log.unsealed() == 0, "it is told once"


def test_a_rotation_that_was_cut_short_is_finished(log: Log) -> None:
    log.tell()
    log.seal()
    kept = (log.var_dir / "log.key").read_text()
    keyring.rotate(log.var_dir, log.checkpoint())
    fresh = (log.var_dir / "log.key").read_text()
    (log.var_dir / "log.key.next").write_text(fresh)
    (log.var_dir / "log.key").write_text(kept)
    assert keyring.signer(log.var_dir).secret_text() == fresh.strip()
    assert (log.var_dir / "log.key").read_text() == fresh
    (log.var_dir / "log.key").write_text(kept)
    with pytest.raises(NoKey):
        keyring.signer(log.var_dir)


def test_the_private_key_is_its_owner_s_only_and_outside_the_demo_nobody_makes_it(log: Log, tmp_path: Path) -> None:
    from wallet.run import sealer

    assert (log.var_dir / "log.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(NoKey, match=r"wallet\.run\.log make"):
        sealer.of(replace(log.database.config, demo=False, var_dir=tmp_path)).__enter__()
    with sealer.of(replace(log.database.config, var_dir=tmp_path)) as made:
        made.check()
    assert keyring.keys(tmp_path).origin == ORIGIN


# -- after a restore --------------------------------------------------------------------------------------------------


def forget(log: Log, *, from_index: int, events: bool) -> None:
    """What a replica that lagged, or an older dump, does not have."""
    with log.database.superuser() as owner:
        owner.execute("SET session_replication_role = replica")
        if events:
            owner.execute(
                "DELETE FROM ledger.event WHERE id IN (SELECT event FROM log.leaf WHERE index >= %s)", [from_index]
            )
        owner.execute("DELETE FROM log.leaf WHERE index >= %s", [from_index])
        owner.execute("DELETE FROM log.checkpoint WHERE size > %s", [from_index])


def is_stopped(log: Log) -> bool:
    return log.ask("SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'posting_stopped'") == [("O",)]


def test_leaves_are_replayed_and_posting_opens_when_no_event_was_lost(log: Log, city: City) -> None:
    hoa, binh = city.citizen(available=1_000), city.citizen("Trần Văn Bình")
    log.seal()
    known = log.checkpoint().size
    city.send(hoa, binh, 1)
    log.seal()
    size, places = log.checkpoint().size, log.ask("SELECT index, event FROM log.leaf ORDER BY index")
    forget(log, from_index=known, events=False)
    with pytest.raises(Behind), log.sealing():
        pass
    assert "posting is open" in run(log, "replay")
    assert log.ask("SELECT index, event FROM log.leaf ORDER BY index") == places
    assert city.send(hoa, binh, 1).status == 201
    log.seal()
    assert log.checkpoint().size > size
    assert log.is_whole()


def test_lost_events_come_back_as_leaves_and_posting_waits_for_somebody(log: Log, city: City) -> None:
    hoa, binh = city.citizen(available=1_000), city.citizen("Trần Văn Bình")
    log.seal()
    known = log.checkpoint().size
    city.send(hoa, binh, 1)
    log.seal()
    bundled, rows = (
        log.bundled(),
        log.ask("SELECT id, type, subject, actor, authority, entry, at FROM ledger.event ORDER BY 1"),
    )
    forget(log, from_index=known, events=True)
    with pytest.raises(Behind), log.sealing():
        pass
    said = run(log, "replay")
    assert f"{len(bundled) - known} events had been lost" in said
    assert (log.var_dir / "lost-events.ndjson").read_bytes().splitlines() == bundled[known:]
    assert log.ask("SELECT id, type, subject, actor, authority, entry, at FROM ledger.event WHERE type <> 'log.replayed'"
                   " ORDER BY 1") == rows  # fmt: skip
    assert is_stopped(log)
    log.seal()
    assert log.bundled()[: len(bundled)] == bundled, "no place was given twice"
    assert run(log, "open") == "Posting is open."
    assert city.send(hoa, binh, 1).status == 201
    assert {json.loads(one)["type"] for one in log.bundled()[len(bundled) :]} == {"log.replayed"}


def test_bundles_that_were_tampered_with_are_not_replayed(log: Log) -> None:
    log.tell(4)
    log.seal()
    forget(log, from_index=2, events=True)
    path = log.published.folder / "tile/entries/000.p/4"
    path.write_bytes(path.read_bytes().replace(b"test.told", b"test.sold"))
    with pytest.raises(NotReplayable):
        run(log, "replay")
    assert log.ask("SELECT count(*) FROM log.leaf") == [(2,)]


def test_posting_is_not_opened_while_leaves_are_missing(log: Log) -> None:
    log.tell(4)
    log.seal()
    forget(log, from_index=2, events=True)
    with pytest.raises(Fault, match="4 leaves are published and the database has 2"):
        run(log, "open")


def test_another_log_may_begin_and_names_the_last_checkpoint_of_the_former(log: Log, city: City) -> None:
    hoa, binh = city.citizen(available=1_000), city.citizen("Trần Văn Bình")
    log.seal()
    known = log.checkpoint().size
    city.send(hoa, binh, 1)
    log.seal()
    last, former_keys = log.checkpoint(), keyring.keys(log.var_dir)
    forget(log, from_index=known, events=True)
    with pytest.raises(Behind), log.sealing():
        pass
    with pytest.raises(Fault):
        run(log, "succeed", ORIGIN)
    assert "Posting is open" in run(log, "succeed", "localhost:8000/log2")
    log.seal()
    assert log.checkpoint().origin == "localhost:8000/log2"
    told = json.loads(log.bundled()[known])
    assert (told["type"], told["subject"], told["data"]["checkpoint"]) == ("log.succeeded", ORIGIN, last.text)
    kept = log.published.folder / "former" / "1"
    former_keys.open((kept / "checkpoint").read_bytes())
    assert (kept / keyring.KEYS).read_text() == str(former_keys)
    log.keys = keyring.keys(log.var_dir)
    assert log.is_whole()
    assert city.send(hoa, binh, 1).status != 503


def test_a_log_is_not_put_away_for_one_that_cannot_begin(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that no key can bear, one that a log has had before, a database that nobody may open: all stays as it was."""
    log.tell(2)
    log.seal()
    last = log.checkpoint()
    for nameless in ("localhost:8000/log 2", "log+2", "log\n2", ""):
        with pytest.raises(BadKey):
            run(log, "succeed", nameless)
    assert log.checkpoint() == last
    assert "Posting is open" in run(log, "succeed", "localhost:8000/log2")
    log.seal()
    with pytest.raises(Fault, match="would take it for a fork"):
        run(log, "succeed", ORIGIN)
    config = replace(log.database.config, migrator_database_url=None)
    with pytest.raises(Fault, match="MIGRATOR_DATABASE_URL"):
        by_hand.succeed(config, argparse.Namespace(origin="localhost:8000/log3"))
    assert log.checkpoint().origin == "localhost:8000/log2"


def test_what_is_done_by_hand_waits_for_no_sealer_but_is_refused_beside_one(
    log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wallet.log.shelf import Shelf

    config = log.database.config
    for name, value in (
        ("DATABASE_URL", config.database_url),
        ("AUDIT_DATABASE_URL", config.audit_database_url),
        ("MIGRATOR_DATABASE_URL", config.migrator_database_url or ""),
        ("VAR_DIR", str(config.var_dir)),
        ("CITY_FILE", str(config.city_file)),
    ):
        monkeypatch.setenv(name, value)
    with Shelf(log.published.folder).alone():
        assert by_hand.main(["rebuild"]) == 1
    assert "sealer is at work" in capsys.readouterr().err
    log.tell(2)
    log.seal()
    assert by_hand.main(["rebuild"]) == 0
    assert by_hand.main(["rotate"]) == 0
    assert by_hand.main(["rotate"]) == 1, "nothing was published since"
