"""Purchases: payments to merchants as their payers see them: who by the registry, where, and what came back."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from market import tally
from wallet.web import views
from wallet.web.state import Back, Purchase, state

_BOUGHT: Final = """
    SELECT e.id AS asked, p.entry, coalesce(u.order_id, a.order_id) AS order, coalesce(u.signer, a.signer) AS signer,
           m.name AS merchant, t.name AS point, l.name AS place, l.address, i.number, coalesce(i.memo, '') AS memo
    FROM ledger.entry e
    JOIN market.payment p ON p.entry = coalesce(e.refunds, e.reverses, e.id)
    JOIN ledger.authority a ON a.id = p.authority
    LEFT JOIN ledger.authority u ON u.id = a.under
    JOIN market.merchant m ON m.holder = p.merchant
    JOIN market.point t ON t.id = p.point
    JOIN market.location l ON l.id = t.location
    LEFT JOIN market.invoice i ON i.id = p.invoice
    WHERE e.id = ANY(%s::uuid[])
"""

_BACK: Final = """
    SELECT coalesce(e.refunds, e.reverses) AS paid, e.effective_at AS at, sum(x.amount)::bigint AS amount
    FROM ledger.entry e JOIN ledger.posting x ON x.entry = e.id
    WHERE e.refunds = ANY(%(paid)s::uuid[]) OR e.reverses = ANY(%(paid)s::uuid[])
    GROUP BY e.id ORDER BY e.effective_at, e.id
"""


def of(connection: sa.Connection, entries: Collection[UUID]) -> Mapping[UUID, Purchase]:
    """Find purchases by the entries that paid them, or that gave back a part of them; others are left out."""
    if not entries:
        return {}
    rows = connection.exec_driver_sql(_BOUGHT, (_array(entries),)).all()
    if not rows:
        return {}
    backs = defaultdict(list)
    for row in connection.exec_driver_sql(_BACK, {"paid": _array({row.entry for row in rows})}):
        backs[row.paid].append(Back(at=row.at, amount=row.amount))
    written = views.memos(connection, [(row.signer, row.order) for row in rows])
    return {
        row.asked: Purchase(
            order=row.order,
            merchant=row.merchant,
            point=row.point,
            place=f"{row.place}, {row.address}" if row.place != row.merchant else row.address,
            number=row.number,
            memo=row.memo or written.get((row.signer, row.order), ""),
            tally=tally.of(row.entry, secret=state().config.server_secret),
            backs=tuple(backs[row.entry]),
        )
        for row in rows
    }


def _array(ids: Collection[UUID]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"
