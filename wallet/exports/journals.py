"""The books as plain-text accounting: journals that beancount and hledger take as they are.

What    Every account, every entry, and last the balance that the books store for each account and each line of the chart, as
        assertions: a tool that accepts the journal has added up every posting itself and come to the same đồng.
        Dates are the city's days on which entries took effect. Text that people wrote stays out, so nothing in a journal can
        be read as anything but what it is.
Source  beancount 3 (Beancount Language Syntax), hledger 1.25 and later (hledger_journal).
"""

from collections.abc import Iterator
from typing import Final

from wallet.exports.books import Account, Books, Entry

CURRENCY: Final = "VND"


def beancount(books: Books, *, title: str) -> Iterator[str]:
    """Yield the journal for beancount, in pieces."""
    first, last = books.first_day().isoformat(), books.day_after().isoformat()
    yield f'option "title" "{_quoted(title)}"\noption "operating_currency" "{CURRENCY}"\n\n'
    yield f"{first} commodity {CURRENCY}\n\n"
    for row in books.trial():
        name = books.line(row.code)
        yield f'{first} open {name} {CURRENCY}\n  code: "{row.code}"\n'
    for account in _below(books):
        yield f"{first} open {account.name} {CURRENCY}\n"
    yield "\n"
    for entry in books.entries():
        yield _beancount(entry)
    yield "\n; What the books store; each line is checked against the postings above.\n"
    for row in books.trial():
        yield f"{last} balance {books.line(row.code)} {row.debit - row.credit} {CURRENCY}\n"
    for account in _below(books):
        yield f"{last} balance {account.name} {account.signed} {CURRENCY}\n"


def _beancount(entry: Entry) -> str:
    links = "".join(f" ^{id}" for id in (entry.settles, entry.reverses, entry.refunds) if id)
    lines = [
        f'{entry.day} * "{_quoted(entry.kind)}"{links}',
        *(f'  {name}: "{value}"' for name, value in _said(entry)),
    ]
    for posting in entry.postings:
        lines += [
            f"  {posting.debit}  {posting.amount} {CURRENCY}",
            f"  {posting.credit}  -{posting.amount} {CURRENCY}",
        ]
    return "\n".join(lines) + "\n\n"


def hledger(books: Books, *, title: str) -> Iterator[str]:
    """Yield the journal for hledger, in pieces; it passes `hledger check --strict`."""
    last = books.day_after().isoformat()
    yield f"; {' '.join(title.split())}\ncommodity 1000. {CURRENCY}\n\n"
    for row in books.trial():
        yield f"account {books.line(row.code)}  ; code:{row.code}\n"
    for account in _below(books):
        yield f"account {account.name}\n"
    yield "\n"
    for entry in books.entries():
        yield _hledger(entry)
    yield "; What the books store; each line is checked against the postings above.\n"
    for row in books.trial():
        yield _asserted(last, books.line(row.code), row.debit - row.credit, "=*")
    for account in _below(books):
        yield _asserted(last, account.name, account.signed, "=")


def _hledger(entry: Entry) -> str:
    links = [
        (name, str(id))
        for name, id in (("settles", entry.settles), ("reverses", entry.reverses), ("refunds", entry.refunds))
        if id
    ]
    lines = [f"{entry.day} * {entry.kind}", *(f"    ; {name}:{value}" for name, value in (*_said(entry), *links))]
    for posting in entry.postings:
        lines += [
            f"    {posting.debit}    {posting.amount} {CURRENCY}",
            f"    {posting.credit}    -{posting.amount} {CURRENCY}",
        ]
    return "\n".join(lines) + "\n\n"


def _asserted(day: str, name: str, amount: int, sign: str) -> str:
    return f"{day} * balance\n    {name}    0 {CURRENCY} {sign} {amount} {CURRENCY}\n\n"


def _below(books: Books) -> Iterator[Account]:
    """Yield the accounts that stand below their line of the chart; the house's own are the line itself."""
    return (one for one in books.accounts() if one.name != books.line(one.code))


def _said(entry: Entry) -> list[tuple[str, str]]:
    said = [
        ("entry", str(entry.id)),
        ("authority", str(entry.authority)),
        ("word", entry.authority_kind),
        ("order", entry.order_kind),
        ("signer", str(entry.signer)),
        ("effective", entry.effective_at.isoformat()),
        ("posted", entry.posted_at.isoformat()),
    ]
    return said if entry.leaf is None else [*said, ("leaf", str(entry.leaf))]


def _quoted(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
