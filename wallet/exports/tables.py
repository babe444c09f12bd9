"""The books as tables: CSV that a spreadsheet shows and never executes.

Why     A cell that begins with = + - or @ is a formula to a spreadsheet, and with it whoever wrote a name or a reason would
        act on the auditor's computer. Text that begins so is led by an apostrophe; numbers of ours are numbers.
Source  OWASP, CSV Injection; RFC 4180.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from wallet.exports.books import Books

Cell: TypeAlias = object

_FORMULA: Final = frozenset("=+-@＝＋－＠")
"""What begins a formula; the wide forms too, which some spreadsheets take for the narrow ones."""
_CONTROL: Final = frozenset("\t\r\n")

BOM: Final = "\ufeff"
"""Without it Excel reads Vietnamese as another alphabet."""


def defused(value: Cell) -> str:
    """Spell a cell. Text that a spreadsheet would take for a formula, whatever blanks lead it, gets an apostrophe."""
    if value is None:
        return ""
    spelled = str(value)
    if isinstance(value, int):
        return spelled
    is_formula = spelled.lstrip()[:1] in _FORMULA or spelled[:1] in _CONTROL
    return f"'{spelled}" if spelled and is_formula else spelled


def lines(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """Yield a table as CSV, a row at a time."""
    out = _Line()
    writer = csv.writer(out)
    writer.writerow(head)
    yield BOM + out.text
    for row in rows:
        writer.writerow([defused(cell) for cell in row])
        yield out.text


class _Line:
    """What csv.writer writes to: remembers the last row."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


TRIAL: Final = ("code", "name", "account", "debit", "credit")
ACCOUNTS: Final = (
    "id", "account", "code", "normal", "holder", "agency", "chuong", "tieu_muc", "dia_ban", "status", "opened_at",
    "posted", "held",
)  # fmt: skip
ENTRIES: Final = (
    "entry", "line", "kind", "effective_at", "posted_at", "authority", "word", "order", "signer", "settles", "reverses",
    "refunds", "leaf", "debit", "debit_id", "credit", "credit_id", "amount",
)  # fmt: skip


def trial(books: Books) -> Iterator[str]:
    """Yield the trial balance."""
    rows = ((row.code, row.name, books.line(row.code), row.debit, row.credit) for row in books.trial())
    return lines(TRIAL, rows)


def accounts(books: Books) -> Iterator[str]:
    """Yield every account with its balance."""
    rows = (
        (
            one.id, one.name, one.code, one.normal, one.holder, one.agency, one.chuong, one.tieu_muc, one.dia_ban,
            one.status, one.opened_at.isoformat(), one.posted, one.held,
        )
        for one in books.accounts()
    )  # fmt: skip
    return lines(ACCOUNTS, rows)


def entries(books: Books) -> Iterator[str]:
    """Yield every posting with its entry."""
    rows = (
        (
            one.id, posting.line, one.kind, one.effective_at.isoformat(), one.posted_at.isoformat(), one.authority,
            one.authority_kind, one.order_kind, one.signer, one.settles, one.reverses, one.refunds, one.leaf, posting.debit,
            posting.debit_id, posting.credit, posting.credit_id, posting.amount,
        )
        for one in books.entries()
        for posting in one.postings
    )  # fmt: skip
    return lines(ENTRIES, rows)
