"""The proof of the log: a clean one has no finding, and each kind of tampering is named by its code. Rows 116 to 121.

What the proof cannot see by itself, because everything was rewritten and signed anew with the real key, is named by a
checkpoint that somebody saved; `test_log_witness` has the same deeds before a witness.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests import databases
from tests.logs import Log, forged
from wallet import db, prove
from wallet.log import keyring, merkle, note
from wallet.log import proof as log_proof
from wallet.log.checkpoint import Checkpoint
from wallet.log.merkle import TILE_WIDTH
from wallet.log.note import FileSigner, Note
from wallet.log.proof import Shown
from wallet.log.published import PublishedLog
from wallet.run.postgres import Cluster

ROOT = Path(__file__).parents[1]
WITNESS = FileSigner.of_seed("auditor.example/w1", bytes(range(32)), note.COSIGNATURE)


@dataclass(frozen=True, kw_only=True)
class Story:
    """A log of three checkpoints, the middle one cosigned, with a full tile and a partial one."""

    log: Log
    root: sa.Engine
    first: bytes


@pytest.fixture(scope="module")
def story(template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("log-proof")
    with databases.copy_of(template, f"{worker}_logproof", server=postgres, folder=folder) as database:
        log = Log(database)
        notes: list[bytes] = []
        for count in (10, TILE_WIDTH, 30):
            log.tell(count, ago=timedelta(hours=1))  # so long ago that they must be sealed
            log.seal()
            notes.append(log.published.checkpoint() or b"")
        (log.published.folder / keyring.WITNESSES).write_text(f"{WITNESS.key}\n")
        line = note.cosign(Note.parse(notes[1]).text, WITNESS, time_s=1_795_230_000).line.strip()
        db.unit(
            database.app_engine,
            lambda unit: unit.exec_driver_sql(
                "SELECT log.cosign(%s, %s, %s)", (10 + TILE_WIDTH, WITNESS.key.name, line)
            ),
        )
        with database.superuser() as owner:
            owner.execute("SET session_replication_role = replica")
            owner.execute("UPDATE log.checkpoint SET sealed_at = sealed_at - interval '1 hour'")
        root = db.engine(database.owner_url)
        yield Story(log=log, root=root, first=notes[0])
        root.dispose()


class Tampering:
    """A superuser at work in the database, without any guard, and on a copy of the files; nothing of it stays."""

    def __init__(self, story: Story, connection: sa.Connection, var_dir: Path) -> None:
        self.connection = connection
        self.log = story.log
        self.var_dir = var_dir
        shutil.copytree(keyring.folder(story.log.var_dir), keyring.folder(var_dir))
        self.files = PublishedLog(keyring.folder(var_dir))

    def run(self, *statements: str, **values: Any) -> None:
        for statement in statements:
            assert self.connection.exec_driver_sql(statement, values).rowcount != 0, f"it changed nothing: {statement}"

    def codes(self, *, saved: tuple[bytes, ...] = (), since: Checkpoint | None = None) -> set[str]:
        return {one.code for one in prove.log(self.connection, Shown.read(self.var_dir), saved=saved, since=since)}

    def entries(self) -> list[bytes]:
        rows = self.connection.exec_driver_sql(
            "SELECT e.bytes FROM log.leaf l JOIN ledger.event e ON e.id = l.event ORDER BY l.index"
        )
        return [bytes(row[0]) for row in rows]

    def rewrite(self) -> None:
        """Everything that the operator has, made to fit the database as it is now, and signed with the real key."""
        shutil.rmtree(self.files.folder / "tile")
        (self.files.folder / "checkpoint").unlink()
        forged(self.log, self.files.folder, self.entries())
        tree = merkle.Tree()
        sizes = set(self.connection.exec_driver_sql("SELECT size FROM log.checkpoint").scalars())
        for entry in self.entries():
            tree.append(entry)
            if tree.size in sizes:
                signed = note.sign(
                    Checkpoint(self.log.keys.origin, tree.size, tree.root()).text, keyring.signer(self.log.var_dir)
                )
                self.run(
                    "UPDATE log.checkpoint SET root = %(root)s, note = %(note)s WHERE size = %(size)s",
                    root=tree.root(),
                    note=signed.encode(),
                    size=tree.size,
                )
        self.connection.exec_driver_sql("DELETE FROM log.checkpoint WHERE size > %s", (tree.size,))
        self.connection.exec_driver_sql("DELETE FROM log.cosignature")


@pytest.fixture
def tamper(story: Story, tmp_path: Path) -> Iterator[Tampering]:
    with story.root.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        yield Tampering(story, connection, tmp_path)
        transaction.rollback()


def test_a_clean_log_proves(story: Story) -> None:
    with prove.snapshot(story.log.database.audit_engine).connect() as connection:
        shown = Shown.read(story.log.var_dir)
        assert log_proof.has_begun(connection, shown)
        assert list(prove.log(connection, shown, saved=[story.first])) == []


def test_a_log_of_any_size_proves_from_any_checkpoint(tamper: Tampering, story: Story) -> None:
    keys = story.log.keys
    for (raw,) in tamper.connection.exec_driver_sql("SELECT note FROM log.checkpoint").all():
        assert tamper.codes(since=keys.open(bytes(raw)).checkpoint) == set()


EVENT_AT = "(SELECT event FROM log.leaf WHERE index = {})"
SLIPPED_IN = (
    "INSERT INTO ledger.event (id, type, subject, at, bytes)"
    " VALUES (gen_random_uuid(), 'x', 'x', now() - interval '1 day', '{}')"
)
ALONE = "ALTER TABLE log.leaf DROP CONSTRAINT leaf_event_once"

DEEDS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "an event's bytes are changed (row 116)": (
        (f"UPDATE ledger.event SET bytes = '{{}}' WHERE id = {EVENT_AT.format(5)}",),
        {"leaf_differs", "tile_differs", "bundle_differs", "checkpoint_root_differs"},
    ),
    "an event in the partial tile is changed": (
        (f"UPDATE ledger.event SET bytes = '{{}}' WHERE id = {EVENT_AT.format(290)}",),
        {"leaf_differs", "bundle_differs", "checkpoint_root_differs"},
    ),
    "an event is deleted (row 117)": (
        (f"DELETE FROM ledger.event WHERE id = {EVENT_AT.format(280)}",),
        {"leaf_orphan", "leaf_differs", "bundle_differs", "checkpoint_root_differs"},
    ),
    "a back-dated event is slipped in without a leaf (row 118)": (
        (SLIPPED_IN,),
        {"event_unsealed"},
    ),
    "a leaf is taken away": (
        ("DELETE FROM log.leaf WHERE index = 100",),
        {"event_unsealed", "leaf_gap"},
    ),
    "the last leaves are truncated (row 119)": (
        ("DELETE FROM log.leaf WHERE index >= 290",),
        {"event_unsealed", "log_truncated"},
    ),
    "the last leaves are truncated with their events and checkpoints (row 119)": (
        (
            "DELETE FROM ledger.event WHERE id IN (SELECT event FROM log.leaf WHERE index >= 266)",
            "DELETE FROM log.leaf WHERE index >= 266",
            "DELETE FROM log.checkpoint WHERE size > 266",
        ),
        {"log_truncated"},
    ),
    "two leaves are reordered": (
        (
            ALONE,
            "UPDATE log.leaf SET index = -1 - index WHERE index IN (270, 271)",
            "UPDATE log.leaf SET index = CASE index WHEN -271 THEN 271 ELSE 270 END WHERE index < 0",
        ),
        {"leaf_differs", "bundle_differs", "checkpoint_root_differs"},
    ),
    "a leaf is duplicated in another's place": (
        (ALONE, f"UPDATE log.leaf SET event = {EVENT_AT.format(270)} WHERE index = 271"),
        {"event_unsealed", "leaf_twice", "leaf_differs", "bundle_differs", "checkpoint_root_differs"},
    ),
    "a leaf is duplicated at the end": (
        (ALONE, f"INSERT INTO log.leaf (index, event) SELECT max(index) + 1, {EVENT_AT.format(3)} FROM log.leaf"),
        {"leaf_twice"},
    ),
    "a recorded root is changed": (
        ("UPDATE log.checkpoint SET root = sha256('x') WHERE size = 266",),
        {"checkpoint_differs"},
    ),
    "a recorded note is another's": (
        ("UPDATE log.checkpoint SET note = (SELECT note FROM log.checkpoint WHERE size = 10) WHERE size = 266",),
        {"checkpoint_differs", "checkpoint_root_differs", "cosignature_invalid"},
    ),
    "a recorded note is no note": (
        ("UPDATE log.checkpoint SET note = 'x' WHERE size = 10",),
        {"checkpoint_unsigned"},
    ),
    "a cosignature is spoilt": (
        ("UPDATE log.cosignature SET line = overlay(line placing 'AAAA' from 60)",),
        {"cosignature_invalid"},
    ),
    "a cosignature is of no checkpoint": (
        (
            "ALTER TABLE log.cosignature DROP CONSTRAINT cosignature_size_fkey",
            "UPDATE log.cosignature SET size = 11",
        ),
        {"cosignature_orphan"},
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_each_tampering_with_the_database_is_named(tamper: Tampering, deed: str) -> None:
    statements, codes = DEEDS[deed]
    tamper.connection.exec_driver_sql("ALTER TABLE log.leaf DROP CONSTRAINT leaf_index_check")
    for statement in statements:
        tamper.connection.exec_driver_sql(statement.replace("%", "%%"))
    assert tamper.codes() == codes


def spoil(path: str, change: Callable[[bytes], bytes | None]) -> Callable[[Path], None]:
    def deed(folder: Path) -> None:
        changed = change((folder / path).read_bytes())
        (folder / path).unlink() if changed is None else (folder / path).write_bytes(changed)

    return deed


FILES: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "a full tile": (spoil("tile/0/000", lambda data: data[:-1] + bytes([data[-1] ^ 1])), {"leaf_differs"}),
    "a full tile's length": (spoil("tile/0/000", lambda data: data[:-32]), {"tile_differs"}),
    "a full tile is gone": (spoil("tile/0/000", lambda _: None), {"tile_missing"}),
    "a partial tile is gone": (spoil("tile/0/001.p/40", lambda _: None), {"tile_missing"}),
    "a tile above": (spoil("tile/1/000.p/1", lambda data: bytes(32)), {"tile_differs"}),
    "a bundle": (spoil("tile/entries/000", lambda data: data.replace(b"told", b"sold", 1)), {"bundle_differs"}),
    "a bundle is cut off": (spoil("tile/entries/001.p/40", lambda data: data[:-1]), {"bundle_differs"}),
    "a bundle is gone": (spoil("tile/entries/000", lambda _: None), {"bundle_missing"}),
    "the checkpoint is gone": (spoil("checkpoint", lambda _: None), {"checkpoint_unpublished"}),
    "the checkpoint's signature": (
        spoil("checkpoint", lambda data: data.replace(b"\n296\n", b"\n297\n")),
        {"checkpoint_unsigned", "checkpoint_unpublished"},
    ),
    "the list of keys is gone": (
        spoil("keys", lambda _: None),
        {"checkpoint_unsigned", "checkpoint_unpublished"},
    ),
}


@pytest.mark.parametrize("deed", FILES)
def test_each_tampering_with_what_is_published_is_named(tamper: Tampering, deed: str) -> None:
    change, codes = FILES[deed]
    change(tamper.files.folder)
    assert tamper.codes() == codes


@pytest.mark.parametrize("deed", ["the last leaves are truncated with their events and checkpoints (row 119)",
                                  "two leaves are reordered", "an event's bytes are changed (row 116)"])  # fmt: skip
def test_what_was_rewritten_whole_and_signed_anew_is_named_by_a_saved_checkpoint(
    tamper: Tampering, deed: str, story: Story
) -> None:
    """Row 120: the real key was used, so no proof of the log alone can see it."""
    saved = story.log.published.checkpoint() or b""
    tamper.connection.exec_driver_sql("ALTER TABLE log.leaf DROP CONSTRAINT leaf_index_check")
    for statement in DEEDS[deed][0]:
        tamper.connection.exec_driver_sql(statement)
    tamper.rewrite()
    assert tamper.codes() == set()
    shorter = "truncated" in deed
    assert tamper.codes(saved=(saved,)) == {"log_truncated" if shorter else "saved_checkpoint_differs"}
    since = tamper.codes(since=story.log.keys.open(saved).checkpoint)
    assert since == {"log_truncated" if shorter else "proven_checkpoint_differs"}


def test_another_view_that_was_signed_for_somebody_else_is_named_by_their_checkpoint(
    tamper: Tampering, tmp_path: Path
) -> None:
    """Row 121: split view."""
    other = forged(
        tamper.log, tmp_path / "other", [*tamper.entries()[:100], b'{"for":"the agency"}', *tamper.entries()[101:]]
    )
    assert tamper.codes(saved=(other.checkpoint() or b"",)) == {"saved_checkpoint_differs"}


def test_a_saved_checkpoint_that_the_log_never_signed_proves_nothing_against_it(tamper: Tampering) -> None:
    text = replace(tamper.log.checkpoint(), root=bytes(32)).text
    stranger = note.sign(text, FileSigner.generate(tamper.log.keys.origin))
    assert tamper.codes(saved=(stranger.encode(),)) == {"checkpoint_unsigned"}


def test_the_command_proves_books_and_log_and_remembers_what_it_proved(story: Story, tmp_path: Path) -> None:
    log, config = story.log, story.log.database.config
    environ = {"AUDIT_DATABASE_URL": config.audit_database_url, "VAR_DIR": str(log.var_dir), "PATH": "/usr/bin"}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "market.prove", *more]
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)

    assert run().returncode == 0
    assert (log.var_dir / "proven.checkpoint").read_bytes() == log.published.checkpoint()
    assert run("--incremental").returncode == 0
    other = tmp_path / "saved"
    other.write_bytes(forged(log, tmp_path / "forged", [b"{}"] * 40).checkpoint() or b"")
    caught = run("--checkpoint", str(other))
    assert (caught.returncode, caught.stdout.split("\t")[0]) == (1, "saved_checkpoint_differs")


def test_a_city_without_a_log_is_told_so_and_its_books_are_proved(fresh_database: databases.TestDatabase) -> None:
    config = fresh_database.config
    environ = {"AUDIT_DATABASE_URL": config.audit_database_url, "VAR_DIR": str(config.var_dir), "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-m", "market.prove"], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (done.returncode, "no log yet; no difference" in done.stdout) == (0, True)
