"""README: what it shows runs, and what it lists is what the code has."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import databases
from tests.conftest import ROOT, LiveServer, serve
from tests.make import City
from wallet import city, signing, transfers, words
from wallet.bills import proof as bills_proof
from wallet.config import Config
from wallet.crypto import PublicKey
from wallet.demo import fixed, loading, people
from wallet.ledger import questions as ledger_questions
from wallet.run import welcome

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
DECISIONS = ROOT / "docs" / "decisions"
PAPERS = (ROOT / "README.md", ROOT / "SECURITY.md", *sorted(DECISIONS.glob("*.md")))

PAYER = "Nguyễn Hữu Minh"
"""Who signs in README's example."""


def block(kind: str, holding: str = "") -> str:
    """The one block of a kind that holds a text."""
    found = [text for name, text in BLOCKS if name == kind and holding in text]
    assert len(found) == 1, f"README has {len(found)} blocks of {kind} with {holding!r}"
    return str(found[0])


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that follows a heading of columns."""
    table = README.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def words_table() -> str:
    """The table of words as README must have it."""
    lines = [f"| {word} | {term['vi']} | {term['means']} |" for word, term in words.terms().items()]
    return "\n".join(["| Word | Tiếng Việt | Meaning |", "|---|---|---|", *lines])


# -- the example --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running_demo(template, postgres, worker, tmp_path_factory) -> Iterator[tuple[LiveServer, Path]]:
    """A small demo city at work, and a folder in which README's relative paths lead to it."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "var").mkdir()
    with (
        databases.copy_of(template, f"{worker}_readme", server=postgres, folder=folder / "var") as database,
        serve(database, workers=1) as server,
    ):
        loading.load(config=server.config, log=lambda _: None, citizens=20)
        yield server, folder


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if name != "VAR_DIR"}
    environ = {**given, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True)


def test_the_python_example_pays_once_and_the_shell_gets_the_same_bytes(running_demo) -> None:
    server, folder = running_demo
    paid = "SELECT count(*) FROM ledger.entry WHERE kind = 'bill_payment'"
    with server.database.superuser() as connection:
        (before,) = connection.execute(paid).fetchone()

    example = run(["-c", block("python")], folder)

    assert example.returncode == 0, example.stderr
    status, answer = example.stdout.strip().split(" ", 1)
    assert status == "201"
    python, *arguments = shlex.split(block("sh", "wallet.client"))
    assert python == ".venv/bin/python"
    shell = run(arguments, folder)
    assert (shell.returncode, shell.stdout.strip()) == (0, answer)
    assert shell.stderr.strip() == "HTTP 201, answered before: these are the stored bytes"
    with server.database.superuser() as connection:
        (after,) = connection.execute(paid).fetchone()
    assert after - before == len(json.loads(answer)["bills"]) == 1


def test_a_spoilt_posting_is_named_as_readme_shows_it(running_demo) -> None:
    server, folder = running_demo
    environ = {**os.environ, "AUDIT_DATABASE_URL": server.config.audit_database_url}
    prove = [sys.executable, "-m", "market.prove"]
    assert run(["-c", block("python")], folder).returncode == 0
    proved = subprocess.run(prove, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert proved.returncode == 0, proved.stdout

    with server.database.superuser() as connection:
        connection.execute("ALTER TABLE ledger.posting DISABLE TRIGGER append_only")
        connection.execute(
            "UPDATE ledger.posting SET amount = amount - 1 WHERE line = 1 AND entry ="
            " (SELECT id FROM ledger.entry WHERE kind = 'bill_payment' ORDER BY posted_at DESC LIMIT 1)"
        )
    spoilt = subprocess.run(prove, cwd=ROOT, env=environ, capture_output=True, text=True)

    shown = block("text", "NOT PROVED").splitlines()
    assert spoilt.returncode == 1
    named = [line.split("\t")[0] for line in spoilt.stdout.splitlines()]
    # A question that joins the proof may name the same fault once more.
    assert not Counter(line.split("\t")[0] for line in shown[:-1]) - Counter(named)
    assert spoilt.stderr.startswith(f"NOT PROVED: {len(named)} differences in ")
    assert shown[-1].startswith(f"NOT PROVED: {len(shown) - 1} differences in ")


def test_the_request_shown_verifies_with_the_demo_key() -> None:
    head, body = block("http").split("\n\n", 1)
    request, *lines = head.splitlines()
    method, target, _ = request.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    content = body.replace("\n", "").encode()
    order = json.loads(content)

    def find(id: str) -> PublicKey | None:
        key = fixed.key("minh").public
        return key if key.id == id else None

    message = signing.Message(method, f"http://{headers['host']}{target}", headers)
    signing.verify(message, key=find, body=content, now=datetime.fromtimestamp(int(order["created"]), UTC))
    assert headers["content-length"] == str(len(content))
    assert headers["idempotency-key"] == f'"{order["id"]}"'
    assert order["aud"] == f"http://{headers['host']}"


# -- what make run says -------------------------------------------------------------------------------------


def test_readme_shows_the_rooms_and_the_sign_ins_that_make_run_prints() -> None:
    shown = block("text", "Sign in as")
    width = max(len(path) for path, _ in welcome.ROOMS)
    here = city.load(ROOT / "city.toml")
    for path, what in welcome.ROOMS:
        assert f"    {path:<{width}}  {what}\n" in shown
    named = [one for one in people.principals(here) if one.pin]
    table = shown.split("name\n")[1].splitlines()
    assert len(table) == len(named)
    for line, one in zip(table, named, strict=True):
        more = here.agencies[one.agency].name if one.agency else one.also
        who = f"{one.name}, {more}" if more else one.name
        assert re.split(r" {2,}", line.strip()) == [str(one.role), one.phone, one.pin, who]


def test_the_demo_offers_what_the_two_minutes_ask_for() -> None:
    here = city.load(ROOT / "city.toml")
    lan, ha = (next(one for one in people.principals(here) if one.slug == slug) for slug in ("lan", "ha"))
    tour = " ".join(README.split("## Two minutes")[1].split("\n## ")[0].split())
    assert lan.name in tour
    assert str(lan.phone) in tour
    assert ha.name in tour
    assert ha.agency is not None
    (asked,) = (one for one in here.procedures_of(ha.agency) if one.name in tour)
    assert [bool(item.amount) for item in asked.items_on(datetime.now(UTC).date())] == [True, True]
    assert any(one.name == PAYER for one in people.principals(here))


def test_the_tour_names_pages_and_buttons_as_they_are_written() -> None:
    tour = " ".join(README.split("## Two minutes")[1].split("\n## ")[0].split())
    templates = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "wallet/web/templates").glob("*.html"))
    procedures = {one.name for one in city.load(ROOT / "city.toml").procedures.values()}
    quoted = {text for text in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", tour) if text not in procedures}
    assert quoted
    assert [text for text in quoted if text not in templates] == []


# -- lists --------------------------------------------------------------------------------------------------


def test_the_table_of_words_is_the_glossary() -> None:
    shown = re.search(r"<!-- words:[^\n]*-->\n(.*)<!-- /words -->", README, re.DOTALL)
    assert shown
    assert shown[1].strip() == words_table(), f"README's table of words must be:\n\n{words_table()}"


def _asked_of_the_environment(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if re.fullmatch(r"[A-Z]{3,}(_[A-Z]+)*", text)}


def test_the_table_of_configuration_is_what_the_program_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {name.strip("`"): default for name, default, _ in rows("| Variable |")}
    internal = {"LAUNCHER_PID"}  # from the launcher to its children
    read = _asked_of_the_environment("wallet/config.py") | _asked_of_the_environment("wallet/run/gunicorn_conf.py")
    assert set(shown) == read - internal

    url = "postgresql://u:p@localhost/d"
    monkeypatch.chdir(tmp_path)  # where no city has run
    read_by = Config.from_env({"DATABASE_URL": url, "AUDIT_DATABASE_URL": url, "SERVER_SECRET": "ab" * 32})
    assert shown["PORT"] == f"`{read_by.port}`"
    assert shown["PUBLIC_ORIGIN"] == f"`{read_by.public_origin}`"
    assert shown["LIVE_PORT"].endswith(f"`{read_by.live_port}`")
    assert shown["LIVE_ORIGIN"] == f"`{read_by.live_origin}`"
    assert shown["VAR_DIR"] == f"`{read_by.var_dir}`"
    assert shown["CITY_FILE"] == f"`{read_by.city_file}`"
    assert shown["DEMO"].startswith(f"`{int(read_by.demo)}`")


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = "".join(path.read_text(encoding="utf-8") for path in PAPERS)
    shell = "".join(text for kind, text in BLOCKS if kind == "sh")
    commands = re.findall(r"`make ([a-z-]+)", told) + re.findall(r"^make ([a-z-]+)", shell, re.MULTILINE)
    assert {"run", "test", "prove", "lint", "bench"} <= set(commands) <= targets


def test_every_floor_shown_is_a_floor_of_the_house() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    floors = next(one for one in tools["contracts"] if one["name"] == "floors of wallet")["layers"]
    shown = [
        re.match(r"wallet/((?:[a-z]+ {2})*[a-z]+)(?: {3,}|$)", line)
        for line in block("text", "wsgi.py").splitlines()
        if line.startswith("wallet/")
    ]
    assert [set(line[1].split()) for line in shown if line] == [set(re.findall(r"[a-z]+", floor)) for floor in floors]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)
def test_every_file_named_exists(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|sql|toml|js|html|md|po|txt|json|css))`", text)
    named += re.findall(r"`((?:wallet|bench|tests|migrations|docs)/[\w/]+)`", text)
    missing = [link for link in links if not (path.parent / link).exists()]
    missing += [
        name for name in named if not name.startswith("var/") and not (ROOT / name).exists() and not _somewhere(name)
    ]
    assert missing == []


def _somewhere(name: str) -> bool:
    """Whether a bare file name is that of a file of the house."""
    return "/" not in name and any(True for _ in (ROOT / "wallet").rglob(name))


def test_every_step_from_door_to_row_names_a_function_that_is_there() -> None:
    steps = README.split("from door to row:\n", 1)[1].split("\n\n| To add", 1)[0]
    named = re.findall(r"`([\w/]+\.(?:py|sql))` `([\w.]+)`", steps)
    assert len(named) >= 10
    for file, name in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        begins = f"FUNCTION {name}(" if file.endswith(".sql") else f"def {name}("
        assert begins in source, f"{file} has no {name}"


def test_a_transfer_leaves_rows_in_the_tables_that_are_shown_and_in_no_other(city: City) -> None:
    def tables() -> dict[str, str]:
        with city.database.superuser() as owner:
            names = owner.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace IN"
                " (SELECT oid FROM pg_namespace WHERE nspname IN ('bills', 'identity', 'ledger', 'person'))"
            ).fetchall()
            return {
                name: str(
                    owner.execute(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {name} t").fetchone()
                )
                for (name,) in names
            }

    hoa, binh = citizens = city.citizen(available=5_000), city.citizen("Trần Văn Bình")
    before = tables()
    given = {"payer": hoa.account, "payee": binh.account, "amount": "4000", "memo": "cảm ơn"}
    assert hoa.act("/v1/transfers", "transfer", **given).status == 201
    after = tables()
    assert {one.strip("`") for one, _ in rows("| It leaves in |")} == {
        name for name in after if after[name] != before[name]
    }
    assert [city.available(one) for one in citizens] == [1_000, 4_000]


def test_every_difference_shown_is_a_code_of_the_proof() -> None:
    shown = {line.split("\t")[0] for line in block("text", "NOT PROVED").splitlines()[:-1]}
    assert shown
    assert shown <= {*ledger_questions.QUESTIONS, *bills_proof.QUESTIONS, *transfers.QUESTIONS}


def test_the_picture_is_there_and_light() -> None:
    assert 20_000 < (ROOT / "docs" / "citizen.png").stat().st_size < 200_000


# -- decisions ----------------------------------------------------------------------------------------------


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    records = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    listed = re.findall(r"^- \[(\d{4}) ([^\]]+)\]\(([^)]+)\)$", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    titles = {path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in records}
    assert {file: f"# {number} {title}" for number, title, file in listed} == titles


def test_each_decision_has_context_decision_and_consequences() -> None:
    for path in DECISIONS.glob("0*.md"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"^\*\*(\w+)\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name
