"""Accounts, as their holders see them: posted, held, available, and the statement.

Words   posted: what the entries come to · held: set aside · available = posted − held; never a bare "balance".
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import states
from wallet.events import Event
from wallet.ids import AccountId, AuthorityId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Move, Plan, balances, chart
from wallet.ledger.refusals import AccountIs, FrozenByOperator
from wallet.refusal import Refusal

PAGE_ROWS_MAX: Final = 100

QUESTIONS: Final[dict[str, str]] = {
    "account_move_not_as_signed": """
        SELECT a.id, 'account or state is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.kind = 'signed_order' AND a.order_kind IN ('account_freeze', 'account_thaw', 'account_close')
          AND (SELECT jsonb_agg(jsonb_build_array(m.account::text, m.status)) FROM ledger.account_move m
               WHERE m.authority = a.id)
              IS DISTINCT FROM
              jsonb_build_array(jsonb_build_array(s.said ->> 'account', CASE a.order_kind
                  WHEN 'account_freeze' THEN 'frozen' WHEN 'account_thaw' THEN 'open' ELSE 'closed' END))""",
}
"""What the proof of the books asks about wallets frozen, thawed and closed, as in `wallet.ledger.questions`."""


class NotFound(Refusal):
    """No account of the caller's with that id."""

    code = "account_not_found"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account and its exact balance at one instant. Amounts are whole đồng on the account's normal side."""

    id: AccountId
    holder: HolderId
    code: str
    chuong: str | None
    tieu_muc: str | None
    dia_ban: str | None
    status: str
    posted: int
    held: int

    @property
    def available(self) -> int:
        """What may leave the account."""
        return self.posted - self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What never changes about an account: who holds it and its place in the chart."""

    holder: HolderId | None
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One posting as seen from one account: positive is money in. `seq` is the key to page by."""

    seq: int
    entry: EntryId
    authority: AuthorityId
    order: UUID
    signer: HolderId
    kind: str
    settles: UUID | None
    effective_at: datetime
    posted_at: datetime
    counterparty: AccountId
    amount: int
    posted: int
    """What the account had posted with this posting: the running balance, in the order of posting."""


_ACCOUNT: Final = (
    "SELECT a.id, a.holder, a.code, a.chuong, a.tieu_muc, a.dia_ban, a.status, b.posted, b.held"
    " FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id"
)


def of(connection: sa.Connection, holder: HolderId) -> list[Account]:
    """Return every account of a holder, each balance exact in the one statement that reads them all."""
    rows = connection.exec_driver_sql(
        _ACCOUNT + " WHERE a.holder = %s ORDER BY a.code, a.chuong, a.tieu_muc, a.dia_ban, a.id", (holder,)
    )
    return [Account(**row._mapping) for row in rows]


def read(connection: sa.Connection, account: AccountId, *, holder: HolderId) -> Account:
    """Return an account of `holder`, its balance exact in one statement: the row plus the deltas not yet folded.

    Raises:
        NotFound: there is none, or it is somebody else's; which of the two is not said.
    """
    row = connection.exec_driver_sql(
        _ACCOUNT + " WHERE a.id = %s AND a.holder = %s",
        (account, holder),
    ).one_or_none()
    if row is None:
        raise NotFound(param="account")
    return Account(**row._mapping)


def wallet_of(connection: sa.Connection, holder: HolderId) -> Account | None:
    """Return a holder's wallet, if they have opened one."""
    row = connection.exec_driver_sql(
        _ACCOUNT + " WHERE a.holder = %s AND a.code = %s",
        (holder, chart.WALLET),
    ).one_or_none()
    return Account(**row._mapping) if row else None


def owner(connection: sa.Connection, account: AccountId) -> Owner | None:
    """Return who holds an account. Asked of the database once: this never changes."""
    found = _remembered(account)
    if not found:
        row = connection.exec_driver_sql(
            "SELECT holder, code FROM ledger.account WHERE id = %s", (account,)
        ).one_or_none()
        if row is None:
            return None
        found.append(Owner(holder=row.holder, code=row.code))
    return found[0]


@lru_cache(maxsize=50_000)
def _remembered(account: AccountId) -> list[Owner]:  # noqa: ARG001 - the key of the cache
    """Return the cache's place for an account: empty until it is known, so that "none" is never remembered."""
    return []


def payer(connection: sa.Connection, account: AccountId, *, signer: HolderId) -> AccountId:
    """Return the wallet that money shall leave, if it is the signer's own.

    Raises:
        NotFound.
    """
    found = owner(connection, account)
    if found is None or found.holder != signer or found.code != chart.WALLET:
        raise NotFound(param="payer")
    return account


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What one entry did to an account, all its postings together. `seq` is the key to page by."""

    seq: int
    entry: EntryId
    order: UUID
    signer: HolderId
    kind: str
    settles: UUID | None
    effective_at: datetime
    counterparty: AccountId
    amount: int


_POSTINGS_OF_AN_ENTRY: Final = 256
"""How far an entry's postings can reach beyond a page; the ledger writes no more in a unit."""


def movements(connection: sa.Connection, account: AccountId, *, before: int | None, rows_max: int) -> list[Movement]:
    """Return what entries did to an account, newest first, `rows_max` of those with a key below `before`.

    An entry's key is its first posting's, and its amount is summed over all of them, so none is split between pages.
    """
    rows = connection.exec_driver_sql(
        """
        WITH near AS (
            (SELECT entry FROM ledger.posting WHERE debit = %(account)s AND seq < %(before)s
             ORDER BY seq DESC LIMIT %(near)s)
            UNION
            (SELECT entry FROM ledger.posting WHERE credit = %(account)s AND seq < %(before)s
             ORDER BY seq DESC LIMIT %(near)s)
        ), whole AS (
            SELECT p.entry, min(p.seq) AS seq,
                   sum(CASE WHEN (p.debit = a.id) = (a.normal = 'debit') THEN p.amount ELSE -p.amount END)::bigint AS amount,
                   (array_agg(CASE WHEN p.debit = a.id THEN p.credit ELSE p.debit END ORDER BY p.seq))[1] AS counterparty
            FROM near
            JOIN ledger.account a ON a.id = %(account)s
            JOIN ledger.posting p ON p.entry = near.entry AND (p.debit = a.id OR p.credit = a.id)
            GROUP BY p.entry
        )
        SELECT w.seq, w.entry, u.order_id AS "order", u.signer, e.kind, e.settles, e.effective_at, w.counterparty, w.amount
        FROM whole w
        JOIN ledger.entry e ON e.id = w.entry
        JOIN ledger.authority u ON u.id = e.authority
        WHERE w.seq < %(before)s
        ORDER BY w.seq DESC LIMIT %(rows)s
        """,
        {
            "account": account,
            "before": before if before is not None else 2**63 - 1,
            "near": rows_max + _POSTINGS_OF_AN_ENTRY,
            "rows": rows_max,
        },
    )
    return [Movement(**row._mapping) for row in rows]


def statement(
    connection: sa.Connection,
    account: AccountId,
    *,
    rows_max: int,
    before: int | None = None,
    after: int | None = None,
) -> list[StatementRow]:
    """Return an account's postings with the running balance, `rows_max` of those with a key below `before`, newest first;
    or with a key above `after`, oldest first.

    Two index scans, one for each side, merged: as quick on the millionth page as on the first. The running balance is
    read once, for the page's newest row, and goes on from there.
    """
    assert 1 <= rows_max <= PAGE_ROWS_MAX + 1, "the door bounds the page"
    assert before is None or after is None, "a page goes one way"
    # Constants of ours: which way the page goes.
    way, order = ("<", "DESC") if after is None else (">", "ASC")
    key = after if after is not None else before if before is not None else 2**63 - 1
    rows = connection.exec_driver_sql(
        f"""
        WITH side AS (
            (SELECT seq, entry, credit AS counterparty, amount, 'debit' AS side FROM ledger.posting
             WHERE debit = %(account)s AND seq {way} %(key)s ORDER BY seq {order} LIMIT %(rows)s)
            UNION ALL
            (SELECT seq, entry, debit, amount, 'credit' FROM ledger.posting
             WHERE credit = %(account)s AND seq {way} %(key)s ORDER BY seq {order} LIMIT %(rows)s)
        ), page AS (
            SELECT s.seq, s.entry, s.counterparty, CASE WHEN s.side = a.normal THEN s.amount ELSE -s.amount END AS amount
            FROM side s JOIN ledger.account a ON a.id = %(account)s ORDER BY s.seq {order} LIMIT %(rows)s
        ), newest AS (
            SELECT ledger.posted_through(%(account)s, max(seq)) AS posted FROM page
        )
        SELECT p.seq, p.entry, e.authority, u.order_id AS "order", u.signer, e.kind, e.settles, e.effective_at,
               e.posted_at, p.counterparty, p.amount,
               (newest.posted - coalesce(sum(p.amount) OVER (ORDER BY p.seq DESC ROWS BETWEEN UNBOUNDED PRECEDING
                                                             AND 1 PRECEDING), 0))::bigint AS posted
        FROM page p CROSS JOIN newest
        JOIN ledger.entry e ON e.id = p.entry
        JOIN ledger.authority u ON u.id = e.authority
        ORDER BY p.seq {order}
        """,  # noqa: S608 - two constants of ours
        {"account": account, "key": key, "rows": rows_max},
    )
    return [StatementRow(**row._mapping) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """What an account came to at an instant. Whole đồng on its normal side; held only of the books as they stood."""

    account: AccountId
    by: balances.By
    at: datetime
    posted: int


def as_of(connection: sa.Connection, account: Account, at: datetime, *, by: balances.By) -> AsOf:
    """Return what an account had posted as of an instant, that instant included."""
    return AsOf(account=account.id, by=by, at=at, posted=balances.as_of(connection, account.id, at, by=by))


# -- frozen, thawed, closed -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOrder:
    """What a holder signed, or an operator ordered: freeze, thaw or close an account."""

    id: OrderId
    account: AccountId
    status: Literal["open", "frozen", "closed"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """An account in its new state."""

    order: OrderId
    account: AccountId
    status: str


def move(unit: sa.Connection, claim: Claim, order: MoveOrder, *, now: datetime) -> Plan:  # noqa: ARG001 - as every verb
    """Decide a holder's own order to freeze, thaw or close their wallet.

    Raises:
        NotFound, FrozenByOperator. The ledger looks again under lock, and refuses with AccountIs, AccountNotEmpty.
    """
    payer(unit, order.account, signer=claim.signer)
    if order.status == "open" and _frozen_by(unit, order.account) not in (None, claim.signer):
        raise FrozenByOperator(param="account")
    return _moved(unit, order)


def move_by_operator(unit: sa.Connection, claim: Claim, order: MoveOrder, *, now: datetime) -> Plan:  # noqa: ARG001
    """Decide an operator's order to freeze or thaw somebody's wallet; the reason stays in the order's bytes.

    Raises:
        NotFound: no wallet.
    """
    found = owner(unit, order.account)
    if found is None or found.code != chart.WALLET:
        raise NotFound(param="account")
    return _moved(unit, order)


def _moved(unit: sa.Connection, order: MoveOrder) -> Plan:
    was = unit.exec_driver_sql("SELECT status FROM ledger.account WHERE id = %s", (order.account,)).scalar_one()
    event = states.move(states.ACCOUNT, was, order.status)
    if event is None:
        raise AccountIs(param="account", account=str(order.account))
    return Plan(
        moves=(Move(account=order.account, status=order.status),),
        events=(Event(type=event, subject=order.account),),
        answer=Moved(order=order.id, account=order.account, status=order.status),
    )


def frozen_by_other(connection: sa.Connection, account: Account) -> bool:
    """Say whether an account is frozen by somebody else than its holder: then its holder cannot thaw it."""
    return account.status == "frozen" and _frozen_by(connection, account.id) != account.holder


def _frozen_by(connection: sa.Connection, account: AccountId) -> HolderId | None:
    signer: HolderId | None = connection.exec_driver_sql(
        "SELECT u.signer FROM ledger.account_move m JOIN ledger.authority u ON u.id = m.authority"
        " WHERE m.account = %s AND m.status = 'frozen' ORDER BY m.line DESC LIMIT 1",
        (account,),
    ).scalar_one_or_none()
    return signer
