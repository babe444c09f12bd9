"""The books as exports read them: accounts under names that accountants' tools take, and entries one after the other.

Words   A name is made of components that beancount takes: each begins with a capital or a digit, and has only letters,
        digits and dashes. hledger takes all that beancount takes.
Money   Whole đồng; a signed amount is positive on the debit side, as both tools have it.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from wallet import clock
from wallet.bills import agencies
from wallet.ledger import balances
from wallet.ledger.balances import TrialRow

ROWS_FETCHED: Final = 500
"""How many rows of a stream are in memory at a time."""

_ROOTS: Final[Mapping[str, str]] = {
    "capital": "Equity",
    "merchant_fee": "Income",
    "card_fee": "Expenses",
    "dispute_loss": "Expenses",
    "write_off": "Expenses",
}
"""Lines of the chart that are neither asset nor liability (the project's design, section 5); what the others are, their
normal side says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as an export shows it: its name, and what it has posted on its normal side."""

    id: UUID
    name: str
    code: str
    normal: str
    holder: UUID | None
    agency: str
    chuong: str
    tieu_muc: str
    dia_ban: str
    status: str
    opened_at: datetime
    posted: int
    held: int

    @property
    def signed(self) -> int:
        """What it has posted, positive on the debit side."""
        return self.posted if self.normal == "debit" else -self.posted


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One debit with one credit, by the names of the accounts and by their ids."""

    line: int
    debit: str
    debit_id: UUID
    credit: str
    credit_id: UUID
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry with its postings and whose word it stands on."""

    id: UUID
    kind: str
    effective_at: datetime
    posted_at: datetime
    authority: UUID
    authority_kind: str
    order_kind: str
    signer: UUID
    settles: UUID | None
    reverses: UUID | None
    refunds: UUID | None
    leaf: int | None
    postings: tuple[Posting, ...]

    @property
    def day(self) -> date:
        """The city's day on which it took effect."""
        return clock.day_of(self.effective_at)


@contextmanager
def snapshot(database: sa.Engine) -> Iterator["Books"]:
    """Read the books in one read-only snapshot, for as long as it takes.

    Args:
        database: of the audit role; any that may read will do.
    """
    engine = database.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        # Whoever reads a stream slowly keeps the snapshot open; an export that hangs altogether ends with its process.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '10min'")
        yield Books(connection)


class Books:
    """The books of one snapshot."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self._agencies = agencies.codes(connection)
        self._named = self._few_names()

    @property
    def taken_at(self) -> datetime:
        """The database's clock when the snapshot was taken."""
        at: datetime = self.connection.exec_driver_sql("SELECT now()").scalar_one()
        return at

    def first_day(self) -> date:
        """Return the first day on which anything took effect or an account was opened: every account exists since then."""
        found = self.connection.exec_driver_sql(
            "SELECT least((SELECT min(effective_at) FROM ledger.entry), (SELECT min(opened_at) FROM ledger.account))"
        ).scalar_one()
        return clock.day_of(found)

    def day_after(self) -> date:
        """Return the day at whose beginning everything in the snapshot has taken effect."""
        found = self.connection.exec_driver_sql(
            "SELECT greatest(now(), (SELECT max(effective_at) FROM ledger.entry))"
        ).scalar_one()
        return clock.day_of(found) + timedelta(days=1)

    def trial(self) -> list[TrialRow]:
        """Return the trial balance."""
        return balances.trial_balance(self.connection)

    def entry_count(self) -> int:
        """Return how many entries there are."""
        return int(self.connection.exec_driver_sql("SELECT count(*) FROM ledger.entry").scalar_one())

    def accounts(self) -> Iterator[Account]:
        """Yield every account with its balance as it is stored, whatever its postings come to."""
        for row in self.stream(
            """
            SELECT a.*, b.posted, b.held FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id ORDER BY a.id
            """
        ):
            yield Account(
                id=row.id,
                name=self.name(row.id, row.code),
                code=row.code,
                normal=row.normal,
                holder=row.holder,
                agency=self._agencies.get(row.holder, "") if row.holder else "",
                chuong=row.chuong or "",
                tieu_muc=row.tieu_muc or "",
                dia_ban=row.dia_ban or "",
                status=row.status,
                opened_at=row.opened_at,
                posted=int(row.posted),
                held=int(row.held),
            )

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in the order of their ids, which begin with the time at which they were made."""
        rows = self.stream(
            """
            SELECT e.*, u.kind AS authority_kind, u.order_kind, u.signer, p.line, p.amount,
                   p.debit, d.code AS debit_code, p.credit, c.code AS credit_code,
                   (SELECT min(l.index) FROM ledger.event v JOIN log.leaf l ON l.event = v.id WHERE v.entry = e.id) AS leaf
            FROM ledger.entry e
            JOIN ledger.authority u ON u.id = e.authority
            JOIN ledger.posting p ON p.entry = e.id
            JOIN ledger.account d ON d.id = p.debit
            JOIN ledger.account c ON c.id = p.credit
            ORDER BY e.id, p.line
            """
        )
        for _, lines in groupby(rows, key=lambda row: row.id):
            yield self._entry(list(lines))

    def name(self, account: UUID, code: str) -> str:
        """Return the name of an account of this line of the chart."""
        return self._named.get(account) or f"{line_name(code, self._normal[code])}:{_id_component(account)}"

    def line(self, code: str) -> str:
        """Return the name that a line of the chart has: its accounts' common beginning."""
        return line_name(code, self._normal[code])

    def stream(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Yield a statement's rows through a cursor of the server's, a few at a time."""
        options = {"stream_results": True, "max_row_buffer": ROWS_FETCHED}
        with self.connection.exec_driver_sql(statement, dict(parameters or {}), execution_options=options) as rows:
            for some in rows.partitions(ROWS_FETCHED):
                yield from some

    def _entry(self, rows: list[Any]) -> Entry:
        first = rows[0]
        return Entry(
            id=first.id,
            kind=first.kind,
            effective_at=first.effective_at,
            posted_at=first.posted_at,
            authority=first.authority,
            authority_kind=first.authority_kind,
            order_kind=first.order_kind,
            signer=first.signer,
            settles=first.settles,
            reverses=first.reverses,
            refunds=first.refunds,
            leaf=first.leaf,
            postings=tuple(
                Posting(
                    line=row.line,
                    debit=self.name(row.debit, row.debit_code),
                    debit_id=row.debit,
                    credit=self.name(row.credit, row.credit_code),
                    credit_id=row.credit,
                    amount=row.amount,
                )
                for row in rows
            ),
        )

    def _few_names(self) -> dict[UUID, str]:
        """Name the accounts that have names of their own: the house's, and one for each budget line of an agency. They are
        a few thousand; wallets are named after their ids.
        """
        self._normal: dict[str, str] = {
            row.code: row.normal
            for row in self.connection.exec_driver_sql("SELECT code, normal FROM ledger.chart").all()
        }
        rows = self.connection.exec_driver_sql(
            "SELECT a.* FROM ledger.account a JOIN ledger.chart c ON c.code = a.code"
            " WHERE c.held_by <> 'holder' ORDER BY a.id"
        ).all()
        named: dict[UUID, str] = {}
        taken: set[str] = set()
        for row in rows:
            name = line_name(row.code, row.normal)
            if row.holder is not None:
                agency = self._agencies.get(row.holder) or str(row.holder)
                name += f":{component(agency)}:C{row.chuong}-M{row.tieu_muc}-D{row.dia_ban}"
            if name in taken:  # two codes that differ in what a name cannot show
                name += f":{_id_component(row.id)}"
            taken.add(name)
            named[row.id] = name
        return named


def line_name(code: str, normal: str) -> str:
    """Return the name of a line of the chart: "bank.guarantee" is Assets:Bank:Guarantee."""
    root = _ROOTS.get(code) or ("Assets" if normal == "debit" else "Liabilities")
    return ":".join([root, *(component(part) for part in code.split("."))])


def component(text: str) -> str:
    """Return text as a component of a name; what a component cannot show becomes a dash."""
    spelled = re.sub(r"[^0-9A-Za-z-]", "-", text)
    return spelled[:1].upper() + spelled[1:] if re.match(r"[0-9A-Za-z]", spelled) else f"X{spelled}"


def _id_component(id: UUID) -> str:
    return f"A-{id}"
