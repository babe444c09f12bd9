"""Finding: an auditor has some id or code from a paper, and wants what it belongs to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

ACCOUNTS_MAX: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What an id or code leads to."""

    what: Literal["entry", "account"]
    id: UUID
    kind: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An account with what it has posted and holds, in whole đồng on its normal side."""

    id: UUID
    code: str
    normal: str
    holder: UUID | None
    chuong: str | None
    tieu_muc: str | None
    dia_ban: str | None
    status: str
    opened_at: datetime
    posted: int
    held: int


_BY_ID: Final = """
    SELECT 'entry' AS what, e.id, e.kind, 'entry' AS how FROM ledger.entry e WHERE e.id = %(id)s
    UNION ALL SELECT 'account', a.id, a.code, 'account' FROM ledger.account a WHERE a.id = %(id)s
    UNION ALL SELECT 'account', a.id, a.code, 'holder' FROM ledger.account a WHERE a.holder = %(id)s
    UNION ALL SELECT 'entry', e.id, e.kind, 'authority' FROM ledger.entry e WHERE e.authority = %(id)s
    UNION ALL SELECT 'entry', e.id, e.kind, 'order' FROM ledger.authority u JOIN ledger.entry e ON e.authority = u.id
              WHERE u.order_id = %(id)s
    UNION ALL SELECT 'entry', e.id, e.kind, 'bill' FROM ledger.entry e WHERE e.settles = %(id)s
    UNION ALL SELECT 'entry', v.entry, v.type, 'event' FROM ledger.event v WHERE v.id = %(id)s AND v.entry IS NOT NULL
    LIMIT %(rows)s
"""
_BY_CODE: Final = """
    SELECT 'entry' AS what, e.id, e.kind, 'bill' AS how FROM bills.bill b JOIN ledger.entry e ON e.settles = b.id
    WHERE b.code = %(code)s
    UNION ALL SELECT 'account', a.id, a.code, 'agency' FROM bills.agency g JOIN ledger.account a ON a.holder = g.holder
              WHERE g.code = %(code)s
    LIMIT %(rows)s
"""


def hits(connection: sa.Connection, *, id: UUID | None = None, code: str = "") -> list[Hit]:
    """Return what an id (of an entry, account, holder, order, authority, bill or event) or a code (of a bill or an agency)
    leads to.
    """
    asked: dict[str, Any] = {"id": id, "code": code, "rows": ACCOUNTS_MAX}
    return [Hit(**row._mapping) for row in connection.exec_driver_sql(_BY_ID if id else _BY_CODE, asked)]


def account(connection: sa.Connection, id: UUID) -> Held | None:
    """Return an account."""
    row = connection.exec_driver_sql(f"{_ACCOUNTS} WHERE a.id = %s", (id,)).one_or_none()
    return Held(**row._mapping) if row else None


def largest(connection: sa.Connection, code: str) -> list[Held]:
    """Return the accounts of a line of the chart with the most posted, some of them."""
    rows = connection.exec_driver_sql(
        f"{_ACCOUNTS} WHERE a.code = %s ORDER BY b.posted DESC, a.id LIMIT %s", (code, ACCOUNTS_MAX)
    )
    return [Held(**row._mapping) for row in rows]


_ACCOUNTS: Final = """
    SELECT a.id, a.code, a.normal, a.holder, a.chuong, a.tieu_muc, a.dia_ban, a.status, a.opened_at, b.posted, b.held
    FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id
"""
