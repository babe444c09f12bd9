"""The witness: cosigns a log that grows, and names every way in which one can lie to it. Rows 119, 120, 121, 130."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import LiveServer
from tests.databases import TestDatabase
from tests.logs import Log, forged
from wallet.log import keyring, note, witness
from wallet.log.merkle import TILE_WIDTH, Tile
from wallet.log.note import FileSigner, Note
from wallet.log.published import NotPublished, PublishedLog
from wallet.log.witness import (
    Forked,
    Misconduct,
    NotTaken,
    Reply,
    Shrunk,
    Unproven,
    Unreachable,
    Unready,
    Unsigned,
    Witness,
)

ROOT = Path(__file__).parents[1]
NOW_S = 1_795_230_000
SIGNER = FileSigner.of_seed("auditor.example/w1", bytes(range(32)), note.COSIGNATURE)


class Web:
    """A log's address, behind which a test puts one folder or another."""

    def __init__(self, shown: PublishedLog) -> None:
        self.shown = shown
        self.handed_in: list[bytes] = []
        self.answers: list[int] = []
        self.withheld: set[str] = set()

    def __call__(self, url: str, body: bytes | None, bytes_max: int) -> Reply:
        path = url.removeprefix("http://log.example/log/")
        if body is not None:
            self.handed_in.append(body)
            return Reply(self.answers.pop(0) if self.answers else 204, b"")
        if path == "checkpoint":
            return Reply(200, self.shown.checkpoint() or b"")
        try:
            return Reply(404, b"") if path in self.withheld else Reply(200, self.shown.tile(Tile.parse(path)))
        except NotPublished:
            return Reply(404, b"")


@pytest.fixture
def log(fresh_database: TestDatabase) -> Log:
    made = Log(fresh_database)
    made.tell(7)
    made.seal()
    return made


@pytest.fixture
def web(log: Log) -> Web:
    return Web(log.published)


@pytest.fixture
def auditor(log: Log, web: Web, tmp_path: Path) -> Witness:
    """A witness that has seen the log's first seven leaves."""
    folder = tmp_path / "auditor"
    folder.mkdir()
    made = Witness("http://log.example/log", log.keys, SIGNER, folder / "state", http=web)
    assert made.look(time_s=NOW_S) == log.checkpoint()
    return made


def grown(log: Log, count: int = 3) -> None:
    log.tell(count)
    log.seal()


# -- a log that keeps its word ----------------------------------------------------------------------------------------


def test_a_log_that_grows_is_cosigned_each_time(log: Log, web: Web, auditor: Witness) -> None:
    for count in (1, 5, TILE_WIDTH, 2 * TILE_WIDTH + 1):
        grown(log, count)
        assert auditor.look(time_s=NOW_S + count) == log.checkpoint()
        opened = log.keys.open(web.handed_in[-1], [SIGNER.key])
        assert opened.checkpoint == log.checkpoint()
        assert [one.time_s for one in opened.witnesses] == [NOW_S + count]


def test_nothing_new_is_cosigned_no_more(web: Web, auditor: Witness) -> None:
    assert auditor.look(time_s=NOW_S + 9) is None
    assert len(web.handed_in) == 1


def test_what_was_cosigned_is_remembered_before_it_is_handed_in(log: Log, web: Web, auditor: Witness) -> None:
    grown(log)
    web.answers = [500]
    with pytest.raises(NotTaken):
        auditor.look(time_s=NOW_S + 1)
    kept = auditor.remembered()
    assert kept is not None
    assert kept.checkpoint == log.checkpoint()
    assert auditor.look(time_s=NOW_S + 2) is None
    assert web.handed_in[-1] == web.handed_in[-2], "it is handed in again as it was signed"


def test_a_service_that_has_not_recorded_its_checkpoint_yet_is_asked_again(
    log: Log, web: Web, auditor: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    grown(log)
    web.answers = [409, 409, 204]
    auditor.look(time_s=NOW_S + 1)
    assert (len(web.handed_in), waited) == (4, [1, 1])


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one(log: Log, web: Web, auditor: Witness) -> None:
    grown(log, TILE_WIDTH)
    web.withheld = {"tile/0/000.p/7"}
    assert auditor.look(time_s=NOW_S + 1) == log.checkpoint()


def test_a_rotated_key_is_followed_with_the_new_list_and_refused_without(log: Log, web: Web, auditor: Witness) -> None:
    """Row 130."""
    keyring.rotate(log.var_dir, log.checkpoint())
    grown(log)
    with pytest.raises(Unsigned):
        auditor.look(time_s=NOW_S + 1)
    informed = Witness(auditor.url, keyring.keys(log.var_dir), SIGNER, auditor.state, http=web)
    assert informed.look(time_s=NOW_S + 1) is not None


# -- a log that lies --------------------------------------------------------------------------------------------------


def lied_to(auditor: Witness, kind: type[Misconduct]) -> None:
    """The witness says which lie it was, cosigns nothing, and keeps both notes."""
    before, http = auditor.state.read_bytes(), auditor._http
    assert isinstance(http, Web)
    handed_in = len(http.handed_in)
    with pytest.raises(kind) as told:
        auditor.look(time_s=NOW_S + 1)
    assert type(told.value) is kind
    assert auditor.state.read_bytes() == before
    assert len(http.handed_in) == handed_in
    evidence = [auditor.state.with_name(f"state.{kind.code}.{which}") for which in ("before", "now")]
    if kind is not Unsigned:
        assert [auditor.keys.open(one.read_bytes()).checkpoint.origin for one in evidence] == [auditor.keys.origin] * 2


def test_the_last_leaves_are_truncated(log: Log, web: Web, auditor: Witness, tmp_path: Path) -> None:
    """Row 119."""
    web.shown = forged(log, tmp_path / "short", log.bundled()[:-2])
    lied_to(auditor, Shrunk)


@pytest.mark.parametrize("further", [0, 1, TILE_WIDTH])
def test_everything_is_rewritten_and_signed_anew_with_the_real_key(
    log: Log, web: Web, auditor: Witness, tmp_path: Path, further: int
) -> None:
    """Row 120: to whoever remembers nothing, this log is perfect."""
    log.tell(further)
    log.seal()
    entries = log.bundled()
    entries[3] = entries[3].replace(b"test.told", b"test.sold")
    web.shown = forged(log, tmp_path / "rewritten", entries)
    unwary = Witness(auditor.url, log.keys, SIGNER, tmp_path / "fresh", http=web)
    assert unwary.look(time_s=NOW_S) is not None
    web.handed_in.clear()
    lied_to(auditor, Forked)


def test_two_leaves_are_reordered_under_a_larger_tree(log: Log, web: Web, auditor: Witness, tmp_path: Path) -> None:
    grown(log)
    entries = log.bundled()
    entries[1], entries[2] = entries[2], entries[1]
    web.shown = forged(log, tmp_path / "reordered", entries)
    lied_to(auditor, Forked)


def test_a_leaf_is_duplicated_under_a_larger_tree(log: Log, web: Web, auditor: Witness, tmp_path: Path) -> None:
    entries = log.bundled()
    web.shown = forged(log, tmp_path / "twice", [*entries[:4], entries[3], *entries[4:]])
    lied_to(auditor, Forked)


def test_two_witnesses_are_shown_different_views(log: Log, web: Web, auditor: Witness, tmp_path: Path) -> None:
    """Row 121: each view alone is perfect; who compares what both cosigned has two roots of one size."""
    shared = log.bundled()
    other_web = Web(forged(log, tmp_path / "b", [*shared, b'{"for":"the agency"}']))
    agency_signer = FileSigner.of_seed("agency.example/w1", bytes(range(1, 33)), note.COSIGNATURE)
    agency = Witness(auditor.url, log.keys, agency_signer, tmp_path / "agency", http=other_web)
    agency.look(time_s=NOW_S)
    web.shown = forged(log, tmp_path / "a", [*shared, b'{"for":"the auditor"}'])
    auditor.look(time_s=NOW_S)
    web.shown = other_web.shown  # they compare
    lied_to(auditor, Forked)


@pytest.mark.parametrize("lie", ["another root", "tiles of another log", "tiles withheld", "tiles cut short"])
def test_a_checkpoint_that_the_tiles_do_not_lead_to_is_not_cosigned(
    log: Log, web: Web, auditor: Witness, tmp_path: Path, lie: str
) -> None:
    grown(log)
    honest = log.bundled()
    shown = forged(log, tmp_path / "shown", honest)
    if lie == "another root":
        text = replace(log.checkpoint(), root=bytes(32)).text
        (shown.folder / "checkpoint").write_bytes(note.sign(text, keyring.signer(log.var_dir)).encode())
    elif lie == "tiles of another log":
        other = forged(log, tmp_path / "other", [b"{}"] * len(honest))
        (shown.folder / "tile/0/000.p/10").write_bytes(other.tile(Tile(0, 0, 10)))
    elif lie == "tiles withheld":
        web.withheld = {"tile/0/000.p/10"}
    else:
        (shown.folder / "tile/0/000.p/10").write_bytes(bytes(32))
    web.shown = shown
    lied_to(auditor, Unproven)


@pytest.mark.parametrize("shown", [b"", b"hello", b"x" * 200_000, "another key", "another log", "flipped"])
def test_what_the_log_s_key_has_not_signed_is_no_checkpoint(
    log: Log, web: Web, auditor: Witness, tmp_path: Path, shown: bytes | str
) -> None:
    """Row 127."""
    if isinstance(shown, str):
        name = "other.example/log" if shown == "another log" else log.keys.origin
        text = replace(log.checkpoint(), origin=name).text
        raw = note.sign(text, FileSigner.generate(name)).encode()
        shown = raw if shown != "flipped" else (log.published.checkpoint() or b"").replace(b"\n7\n", b"\n8\n")
    folder = tmp_path / "shown"
    folder.mkdir()
    (folder / "checkpoint").write_bytes(shown)
    web.shown = PublishedLog(folder)
    lied_to(auditor, Unsigned)


def test_lines_of_strangers_under_a_checkpoint_do_not_spoil_what_is_remembered(
    log: Log, web: Web, auditor: Witness, tmp_path: Path
) -> None:
    """As many as a note may have, so that with the witness's own they would be one too many."""
    grown(log)
    honest = log.published.checkpoint() or b""
    key = FileSigner.generate("stranger.example").key
    lines = "".join(note.Signature(f"s{n}.example", key.id, bytes(64)).line for n in range(note.SIGNATURES_MAX - 1))
    shown = tmp_path / "shown"
    shutil.copytree(log.published.folder, shown)
    (shown / "checkpoint").write_bytes(honest + lines.encode())
    web.shown = PublishedLog(shown)
    assert auditor.look(time_s=NOW_S + 1) == log.checkpoint()
    assert auditor.look(time_s=NOW_S + 2) is None, "the state can be read"


# -- the witness itself -----------------------------------------------------------------------------------------------


def test_a_damaged_state_is_not_forgotten_but_said(auditor: Witness) -> None:
    for spoilt in (b"", auditor.state.read_bytes().replace(b"\n7\n", b"\n6\n")):
        auditor.state.write_bytes(spoilt)
        with pytest.raises(Unready):
            auditor.look(time_s=NOW_S)


def test_a_state_that_this_witness_did_not_sign_is_not_its_own(log: Log, auditor: Witness) -> None:
    auditor.state.write_bytes(log.published.checkpoint() or b"")
    with pytest.raises(Unready):
        auditor.look(time_s=NOW_S)


def command(folder: Path, url: str, *more: str) -> list[str]:
    files = {name: str(folder / name) for name in ("log-keys", "key", "state")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    return ["--log", url, *options, *more]


def test_each_lie_and_trouble_has_its_code_and_status(
    log: Log, web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "log-keys").write_text(str(log.keys))

    def run(url: str = "http://log.example/log", *more: str) -> tuple[int, str]:
        status = witness.main(command(folder, url, *more), http=web)
        return status, capsys.readouterr().err.partition("\t")[0]

    assert run() == (2, "witness_unready")
    assert run("file:///etc/passwd", "--make-key", "auditor.example/w1") == (2, "witness_unready")
    assert run("http://log.example/log", "--make-key", "auditor.example/w1") == (0, "")
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    web.answers = [422]
    grown(log)
    assert run() == (3, "cosignature_refused")
    entries = log.bundled()
    web.shown = forged(log, tmp_path / "short", entries[:-2])
    assert run() == (1, "log_shrunk")
    assert run("http://log.example/log", "--every", "0.01") == (1, "log_shrunk"), "it does not go on after a lie"
    web.shown = forged(log, tmp_path / "other", [b"{}", *entries])
    assert run() == (1, "log_forked")
    assert sorted(path.name for path in folder.glob("state.*")) == [
        "state.log_forked.before",
        "state.log_forked.now",
        "state.log_shrunk.before",
        "state.log_shrunk.now",
    ]


def test_a_log_that_does_not_answer_proves_nothing() -> None:
    with pytest.raises(Unreachable):
        witness.over_http("http://127.0.0.1:9/log/checkpoint", None, 10)


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 186\r\n\r\nlocalhost:8000/log\n7\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nlocalhost",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 186\r\n\r\n{",
    ],
)
def test_an_answer_that_is_cut_off_proves_nothing(answer: bytes) -> None:
    """No network's fault is a lie of the log's."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Unreachable):
            witness.over_http(f"http://127.0.0.1:{server.getsockname()[1]}/log/checkpoint", None, 1000)
        thread.join()


def test_what_a_service_answers_is_told_on_one_line(
    log: Log, web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log-keys").write_text(str(log.keys))

    def refusing(url: str, body: bytes | None, bytes_max: int) -> Reply:
        return web(url, body, bytes_max) if body is None else Reply(422, b"\x1b[2J\rcosigned 7\n")

    asked = command(tmp_path, "http://log.example/log", "--make-key", "auditor.example/w1")
    assert witness.main(asked, http=refusing) == 3
    assert capsys.readouterr().err.splitlines() == ["cosignature_refused\tstatus 422: \\x1b[2J\\rcosigned 7\\n"]


def test_a_witness_needs_cryptography_and_nothing_else() -> None:
    """It runs where nobody has installed the wallet."""
    code = """
import sys, importlib.metadata
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = sys.stdlib_module_names | {"wallet", "cryptography", "_cffi_backend", "cffi"}
        if top not in known:
            raise ImportError(f"{name} is not on an auditor's machine")
sys.meta_path.insert(0, Refuse())
import wallet.log.witness
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- over the wire ----------------------------------------------------------------------------------------------------


def test_a_witness_cosigns_the_running_service_and_catches_it_rewriting(
    live_server: LiveServer, tmp_path: Path
) -> None:
    """The real processes: the service serves the folder that the sealer writes; the witness knows only its address."""
    log = Log(live_server.database)
    log.tell(300)
    log.seal()
    (tmp_path / "log-keys").write_text(str(log.keys))
    program = [sys.executable, "-m", "wallet.log.witness"]
    options = command(tmp_path, f"{live_server.origin}/log", "--make-key", "auditor.example/w1")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *options], cwd=ROOT, capture_output=True, text=True, timeout=60)

    unknown = run()
    assert (unknown.returncode, unknown.stderr.partition("\t")[0]) == (3, "cosignature_refused")
    (log.published.folder / keyring.WITNESSES).write_text(unknown.stdout.split()[1] + "\n")
    assert run().returncode == 0
    assert log.ask("SELECT size, witness FROM log.cosignature") == [(300, "auditor.example/w1")]
    log.tell(5)
    log.seal()
    assert run().returncode == 0
    assert log.ask("SELECT size FROM log.cosignature ORDER BY 1") == [(300,), (305,)]
    kept = Note.parse((tmp_path / "state").read_bytes())
    assert len(kept.signatures) == 2

    entries = log.bundled()
    forged(log, log.published.folder, [json.dumps({"n": number}).encode() for number in range(len(entries) + 4)])
    caught = run()
    assert (caught.returncode, caught.stderr.partition("\t")[0]) == (1, "log_forked")
