"""Verify an audit bundle offline: python3 verify.py [FOLDER] --log-key KEY

It reads the files of an unpacked bundle and nothing else: no network, no database, none of the service's code. It needs
Python 3.11 and the package `cryptography`. Take the log's key from elsewhere than the bundle (the city's gazette, a
witness): whoever made the bundle could have put any key in it.

What it checks, in this order; it stops at the first that fails, prints the code and exits with 1:

    file_differs          a file is not the one that SHA256SUMS names, is missing, or is read here and not named there
    checkpoint_missing    the bundle has no checkpoint: nothing of it is sealed
    checkpoint_unsigned   the log's key in force did not sign the checkpoint
    checkpoint_behind     the checkpoint is older than one that you saved earlier (--seen)
    leaf_out_of_place     the leaves are not numbered 0, 1, 2 … up to the checkpoint's size
    seen_differs          the leaves do not begin with those of the checkpoint that you saved earlier (--seen)
    root_differs          the leaves do not come to the checkpoint's root: something was changed, left out or put in
    entry_unsound         a leaf tells of an entry with an amount below 1 or an account on both sides
    entry_twice           two leaves tell of one entry
    entry_differs         an entry of but-toan.csv is not the one that its leaf tells of
    entry_without_leaf    an entry of but-toan.csv has a leaf that the log does not have
    entry_unsealed        an entry has no leaf although later ones have: it was not told when it was posted
    leaf_without_entry    a leaf tells of an entry that but-toan.csv does not have
    balance_differs       an account's balance is not what its postings come to
    trial_differs         the trial balance is not what the accounts come to, or debit is not credit
    journal_differs       so.beancount or so.journal tells of other entries than but-toan.csv, or has a line of another sort
    bundle_unreadable     a file is not of the form that it should have

Source  RFC 6962 section 2.1, c2sp.org/signed-note, c2sp.org/tlog-checkpoint. Money is whole đồng.
"""

import argparse
import csv
import hashlib
import json
import re
import sqlite3
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Differs(Exception):
    """A false claim: its code, and where."""

    def __init__(self, code: str, where: str) -> None:
        super().__init__(f"{code}: {where}")


def visible(text: str) -> str:
    """Spell what is not printed as itself as Python does: a false bundle must not write the verdict itself."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object whose names stand there once, so that nobody reads it otherwise."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return dict(pairs)


# ---- files ----------------------------------------------------------------------------------------------------------


FILES = (
    "verify.py", "log-keys.txt", "checkpoint", "la.ndjson", "bang-can-doi.csv", "tai-khoan.csv", "but-toan.csv",
    "so.beancount", "so.journal", "khoa-cong-khai.ndjson",
)  # fmt: skip
"""What a bundle is made of, beside what only people read."""


def check_files(folder: Path) -> int:
    """Compare each file with its sum."""
    sums = folder / "SHA256SUMS"
    if not sums.exists():
        raise Differs("file_differs", "SHA256SUMS is missing")
    lines = sums.read_text(encoding="utf-8").splitlines()
    for line in lines:
        expected, _, name = line.partition("  ")
        path = folder / name
        if path.resolve().parent != folder.resolve() or not path.is_file():
            raise Differs("file_differs", f"{name} is missing")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise Differs("file_differs", name)
    named = {line.partition("  ")[2] for line in lines}
    for name in FILES:
        if name not in named and (folder / name).exists():
            raise Differs("file_differs", f"SHA256SUMS does not name {name}")
    return len(lines)


def table(path: Path) -> Iterator[dict[str, str]]:
    """Yield a CSV's rows by their columns' names; an apostrophe before a formula's sign is taken off again."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: re.sub(r"^'(?=\s*[=+\-@＝＋－＠]|[\t\r\n])", "", cell) for name, cell in row.items()}


# ---- the checkpoint -------------------------------------------------------------------------------------------------


Seen = tuple[int, bytes]
"""Size and root of a checkpoint that was saved earlier."""


def check_checkpoint(folder: Path, keys: str, seen: str | None) -> tuple[int, bytes, str, Seen | None]:
    """Verify that the log's key in force at its size signed the checkpoint. Returns size, root, origin and what was seen.

    Args:
        folder: the bundle.
        keys: a line for each key the log has had, oldest first: VKEY, or VKEY until SIZE ROOT.
        seen: a checkpoint of earlier, which the tree must at least be as large as.
    """
    path = folder / "checkpoint"
    if not path.exists():
        raise Differs("checkpoint_missing", "nothing in this bundle is sealed")
    raw = path.read_text(encoding="utf-8")
    origin, size, root = read_checkpoint(raw)
    text, _, signatures = raw.partition("\n\n")
    key = key_in_force(keys, size, root)
    name, id, public = key
    if name != origin:
        raise Differs("checkpoint_unsigned", f"the key is {name}'s, the checkpoint {origin}'s")
    for line in signatures.splitlines():
        signer, _, encoded = line.removeprefix("— ").partition(" ")
        signature = b64decode(encoded)
        if signer == name and signature[:4] == id and verifies(public, signature[4:], f"{text}\n".encode()):
            break
    else:
        raise Differs("checkpoint_unsigned", f"{name} did not sign it")
    if seen is not None:
        old_origin, old_size, old_root = read_checkpoint(seen)
        if old_origin != origin or old_size > size or (old_size == size and old_root != root):
            raise Differs("checkpoint_behind", f"you have seen {old_size} leaves, here are {size}")
        return size, root, origin, (old_size, old_root)
    return size, root, origin, None


def read_checkpoint(note: str) -> tuple[str, int, bytes]:
    """Read origin, size and root of a signed note."""
    origin, size, root = note.split("\n\n")[0].splitlines()[:3]
    return origin, int(size), b64decode(root, validate=True)


def key_in_force(keys: str, size: int, root: bytes) -> tuple[str, bytes, bytes]:
    """Return name, id and public key of the one key that may have signed for a tree of this size."""
    for line in keys.strip().splitlines():
        key, *retired = line.split()
        if not retired or size <= int(retired[1]):
            if retired and size == int(retired[1]) and root != b64decode(retired[2]):
                raise Differs("checkpoint_unsigned", "the log ended with another root when this key was retired")
            name, _, encoded = key.split("+", 2)
            algorithm_and_key = b64decode(encoded)
            if algorithm_and_key[0] != 1:
                raise Differs("checkpoint_unsigned", "not an Ed25519 key of a log")
            id = hashlib.sha256(name.encode() + b"\n" + algorithm_and_key).digest()[:4]
            return name, id, algorithm_and_key[1:]
    raise Differs("checkpoint_unsigned", "no key is in force at this size")


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether an Ed25519 signature holds."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# ---- the leaves -----------------------------------------------------------------------------------------------------


SEALED_WITHIN = timedelta(minutes=1)
"""An entry is sealed within seconds; one that is much older than the newest leaf, and has none, was never told."""


class Root:
    """The root of a tree that grows: of the whole subtrees at its right edge, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self.edge: list[bytes] = []

    def add(self, entry: bytes) -> None:
        """Add a leaf."""
        whole, self.size, rest = hashlib.sha256(b"\0" + entry).digest(), self.size + 1, self.size
        while rest & 1:
            whole, rest = hashlib.sha256(b"\1" + self.edge.pop() + whole).digest(), rest >> 1
        self.edge.append(whole)

    def value(self) -> bytes:
        """Return the root."""
        if not self.edge:
            return hashlib.sha256(b"").digest()
        whole = self.edge[-1]
        for beside in reversed(self.edge[:-1]):
            whole = hashlib.sha256(b"\1" + beside + whole).digest()
        return whole


def check_leaves(folder: Path, size: int, root: bytes, seen: Seen | None, kept: sqlite3.Connection) -> datetime | None:
    """Compute the root from all leaves, on the way also the one that was seen earlier, and keep what each tells of an entry.
    Returns when the newest event happened.
    """
    tree, newest = Root(), None
    with (folder / "la.ndjson").open(encoding="utf-8") as file:
        next(file, None)  # the checkpoint, which stands in a file of its own
        for line in file:
            leaf = json.loads(line)
            if leaf["index"] != tree.size:
                raise Differs("leaf_out_of_place", f"{leaf['index']} where {tree.size} should be")
            spelled = leaf["event"].encode()
            tree.add(spelled)
            if seen and seen[0] == tree.size and seen[1] != tree.value():
                raise Differs("seen_differs", f"the first {tree.size} leaves are not those that you have seen")
            event = json.loads(spelled, object_pairs_hook=once)
            keep_entry(event, leaf["index"], kept)
            at = datetime.fromisoformat(event["at"])
            newest = max(newest, at) if newest else at
    if tree.size != size:
        raise Differs("leaf_out_of_place", f"{tree.size} leaves, the checkpoint says {size}")
    if tree.value() != root:
        raise Differs("root_differs", f"the leaves come to {b64encode(tree.value()).decode()}")
    return newest


def keep_entry(event: dict[str, Any], index: int, kept: sqlite3.Connection) -> None:
    """Keep the digest of an entry that an event tells of."""
    entry = event["data"].get("entry")
    if not isinstance(entry, dict) or "postings" not in entry:
        return
    postings = [(one["debit"], one["credit"], int(one["amount"])) for one in entry["postings"]]
    if not postings or any(amount < 1 or debit == credit for debit, credit, amount in postings):
        raise Differs("entry_unsound", f"leaf {index}")
    links = (entry["settles"], entry["reverses"], entry["refunds"])
    authority = event["data"].get("order", {}).get("authority", "")
    at = datetime.fromisoformat(entry["effective_at"])
    told = digest(entry["id"], entry["kind"], at, links, authority, event["actor"], postings)
    try:
        kept.execute("INSERT INTO told VALUES (?, ?, ?)", (entry["id"], index, told))
    except sqlite3.IntegrityError:
        raise Differs("entry_twice", f"entry {entry['id']}, leaf {index}") from None


def digest(
    id: str,
    kind: str,
    effective_at: datetime,
    links: tuple[str, str, str],
    authority: str,
    signer: str,
    postings: list[tuple[str, str, int]],
) -> bytes:
    """Hash what an entry says: both a leaf and the table must say the same."""
    at = effective_at.astimezone(UTC).isoformat()
    said = json.dumps([id, kind, at, list(links), authority, signer, [list(one) for one in postings]])
    return hashlib.sha256(said.encode()).digest()


# ---- the books ------------------------------------------------------------------------------------------------------


class Entries:
    """What the table of entries comes to: by account, as a journal must tell it, and how many there are.

    `sums` has debits positive. `names` are the accounts' as the postings call them. `said` is a digest of every entry as
    both journals must tell it.
    """

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self.count = self.unsealed = 0
        self.said = hashlib.sha256()

    def add(self, rows: list[dict[str, str]]) -> None:
        """Count an entry and its postings."""
        self.count += 1
        first, postings = rows[0], list[tuple[str, int]]()
        for row in rows:
            for side, sign in (("debit", 1), ("credit", -1)):
                id, name, amount = row[f"{side}_id"], row[side], sign * int(row["amount"])
                self.sums[id] = self.sums.get(id, 0) + amount
                postings.append((name, amount))
                if self.names.setdefault(id, name) != name:
                    raise Differs("entry_differs", f"entry {first['entry']}: account {id} has two names")
        day = (datetime.fromisoformat(first["effective_at"]).astimezone(UTC) + CITY_OFFSET).date().isoformat()
        links = [first[name] for name in LINKS if first[name]]
        told = [(tag, first[column]) for tag, column in TAGS if first[column]]
        self.said.update(spelled(day, first["kind"], links, told, postings))


def check_entries(folder: Path, size: int, newest: datetime | None, kept: sqlite3.Connection) -> Entries:
    """Compare each entry with its leaf, and add up what all of them come to."""
    entries = Entries()
    rows: list[dict[str, str]] = []

    def finish() -> None:
        if rows:
            entries.add(rows)
            entries.unsealed += check_entry(rows, size, newest, kept)
            rows.clear()

    for row in table(folder / "but-toan.csv"):
        if rows and row["entry"] != rows[0]["entry"]:
            finish()
        rows.append(row)
    finish()
    left = kept.execute("SELECT entry, leaf FROM told ORDER BY leaf LIMIT 1").fetchone()
    if left:
        raise Differs("leaf_without_entry", f"entry {left[0]}, leaf {left[1]}")
    return entries


def check_entry(rows: list[dict[str, str]], size: int, newest: datetime | None, kept: sqlite3.Connection) -> bool:
    """Compare one entry with its leaf. Says whether it was not sealed yet when the checkpoint was signed."""
    first = rows[0]
    if not first["leaf"] or int(first["leaf"]) >= size:
        if newest is not None and datetime.fromisoformat(first["posted_at"]) < newest - SEALED_WITHIN:
            raise Differs("entry_unsealed", f"entry {first['entry']}, posted {first['posted_at']}")
        return True
    found = kept.execute(
        "DELETE FROM told WHERE entry = ? AND leaf = ? RETURNING digest", (first["entry"], int(first["leaf"]))
    ).fetchone()
    if found is None:
        raise Differs("entry_without_leaf", f"entry {first['entry']}, leaf {first['leaf']}")
    links = (first["settles"], first["reverses"], first["refunds"])
    at = datetime.fromisoformat(first["effective_at"])
    postings = [(row["debit_id"], row["credit_id"], int(row["amount"])) for row in rows]
    if digest(first["entry"], first["kind"], at, links, first["authority"], first["signer"], postings) != found[0]:
        raise Differs("entry_differs", f"entry {first['entry']}, leaf {first['leaf']}")
    return False


def check_balances(folder: Path, entries: Entries) -> int:
    """Compare each account's balance and name with its postings', and the trial balance with them. Returns how many accounts
    there are.
    """
    sums, lines, named = dict(entries.sums), dict[str, int](), set[str]()
    for row in table(folder / "tai-khoan.csv"):
        signed = int(row["posted"]) * (1 if row["normal"] == "debit" else -1)
        if signed != sums.pop(row["id"], 0):
            raise Differs("balance_differs", f"account {row['id']}")
        if entries.names.get(row["id"], row["account"]) != row["account"] or row["account"] in named:
            raise Differs("balance_differs", f"account {row['id']} has another's name, or two")
        lines[row["code"]] = lines.get(row["code"], 0) + signed
        named.add(row["account"])
    if sums:
        raise Differs("balance_differs", f"account {next(iter(sums))} has postings and does not exist")
    debits = credits = 0
    for row in table(folder / "bang-can-doi.csv"):
        debit, credit = int(row["debit"]), int(row["credit"])
        debits, credits = debits + debit, credits + credit
        if debit - credit != lines.pop(row["code"], 0):
            raise Differs("trial_differs", row["code"])
    if debits != credits or lines:
        raise Differs("trial_differs", f"debit {debits}, credit {credits}")
    return len(named)


# ---- the journals ---------------------------------------------------------------------------------------------------

CITY_OFFSET = timedelta(hours=7)
"""A journal counts by the days of Vietnam."""

LINKS = ("settles", "reverses", "refunds")
TAGS = (
    ("entry", "entry"), ("authority", "authority"), ("word", "word"), ("order", "order"), ("signer", "signer"),
    ("effective", "effective_at"), ("posted", "posted_at"), ("leaf", "leaf"),
)  # fmt: skip
"""What a journal says beside an entry's postings, by the table's columns."""

JOURNALS = {
    "so.beancount": (
        r'([0-9-]{10}) \* "([a-z_]+)"((?: \^[0-9a-f-]{36})*)',
        r'  ([a-z]+): "([^"]*)"',
        r"  ([A-Z][A-Za-z0-9:-]+)  (-?[0-9]+) VND",
        (
            r'(option "(title|operating_currency)" ".*"|[0-9-]{10} (commodity|open [A-Za-z0-9:-]+) VND|  code: "[a-z_.]+"'
            r"|;.*|[0-9-]{10} balance [A-Za-z0-9:-]+ -?[0-9]+ VND)?"
        ),
    ),
    "so.journal": (
        r"([0-9-]{10}) \* (?!balance$)([a-z_]+)()",
        r"    ; ([a-z]+):(.*)",
        r"    ([A-Z][A-Za-z0-9:-]+)    (-?[0-9]+) VND",
        (
            r"(commodity 1000\. VND|account [A-Za-z0-9:-]+(  ; code:[a-z_.]+)?|;.*|[0-9-]{10} \* balance"
            r"|    [A-Z][A-Za-z0-9:-]+    0 VND =\*? -?[0-9]+ VND)?"
        ),
    ),
}
"""Of each journal the forms of an entry's head, of what is said about it, of a posting, and of every other line."""


def spelled(
    day: str, kind: str, links: list[str], told: list[tuple[str, str]], postings: list[tuple[str, int]]
) -> bytes:
    """Spell an entry as both the table and a journal tell it."""
    return json.dumps([day, kind, links, told, postings]).encode() + b"\n"


def check_journal(folder: Path, name: str, entries: Entries) -> None:
    """Compare a journal with the table, entry for entry, without any tool for it. That what it asserts at its end is so is
    for its tool to say.
    """
    head, tag, posting, other = (re.compile(form) for form in JOURNALS[name])
    said = hashlib.sha256()
    first: tuple[str, str] | None = None  # of the entry that is being read: its day and kind
    links, told, postings = list[str](), list[tuple[str, str]](), list[tuple[str, int]]()
    with (folder / name).open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            text = line.removesuffix("\n")
            if first and (found := tag.fullmatch(text)):
                if found[1] in LINKS:
                    links.append(found[2])
                else:
                    told.append((found[1], found[2]))
            elif first and (found := posting.fullmatch(text)):
                postings.append((found[1], int(found[2])))
            elif not first and (found := head.fullmatch(text)):
                first = (found[1], found[2])
                links, told, postings = [one[1:] for one in found[3].split()], [], []
            elif not other.fullmatch(text) or (first and text):
                raise Differs("journal_differs", f"{name}, line {number}: {text[:80]}")
            elif first:
                said.update(spelled(*first, links, told, postings))
                first = None
    if first or said.digest() != entries.said.digest():
        raise Differs("journal_differs", f"{name} tells of other entries than but-toan.csv")


def read_keys(said: str) -> str:
    """Read what `--log-key` names: a key as it is, or a file with a line for each key that the log has had."""
    path = Path(said)
    if "+" in said and not path.exists():
        return said
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise Differs("log_key_unreadable", f"{said}: {fault.strerror}") from fault


def main(arguments: list[str] | None = None) -> int:
    """Check everything and say what was checked."""
    parser = argparse.ArgumentParser(description="Verify an audit bundle offline.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent, help="the unpacked bundle")
    parser.add_argument("--log-key", required=True, help="the log's key, or a file with all that it had; not from here")
    parser.add_argument("--seen", type=Path, help="a checkpoint that you saved earlier")
    asked = parser.parse_args(arguments)
    folder = asked.folder
    try:
        log_keys = read_keys(asked.log_key)
        print(f"files        {check_files(folder)} as SHA256SUMS names them")
        seen = asked.seen.read_text(encoding="utf-8") if asked.seen else None
        size, root, origin, earlier = check_checkpoint(folder, log_keys, seen)
        print(f"checkpoint   {origin}, {size} leaves, signed by the log's key")
        kept = sqlite3.connect("")  # a file that SQLite makes when it must, and removes
        kept.execute("CREATE TABLE told (entry TEXT PRIMARY KEY, leaf INTEGER, digest BLOB) WITHOUT ROWID")
        newest = check_leaves(folder, size, root, earlier, kept)
        print(f"leaves       {size} of {size} come to the checkpoint's root")
        entries = check_entries(folder, size, newest, kept)
        sealed = entries.count - entries.unsealed
        print(f"entries      {sealed} as their leaves tell of them; {entries.unsealed} younger than the checkpoint")
        print(
            f"balances     {check_balances(folder, entries)} accounts are what their postings come to; debit is credit"
        )
        for name in JOURNALS:
            check_journal(folder, name, entries)
        print(f"journals     {' and '.join(JOURNALS)} tell of the same entries")
    except Differs as fault:
        print(visible(str(fault)), file=sys.stderr)
        return 1
    except (
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, OSError, csv.Error,
        sqlite3.Error,
    ) as fault:  # fmt: skip
        print(visible(f"bundle_unreadable: {type(fault).__name__}: {fault}"), file=sys.stderr)
        return 1
    print("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
