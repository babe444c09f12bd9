"""Bills as something that a card can pay."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from wallet import ids
from wallet.bills import pay
from wallet.cards.till import Due
from wallet.events import Event
from wallet.ids import AccountId, BillId, EntryId, HolderId
from wallet.ledger import Entry, Posting
from wallet.money import Dong


class BillTarget:
    """A bill: each of its lines to the agency's account of its budget codes, as from a wallet."""

    def price(self, connection: sa.Connection, target: UUID, *, holder: HolderId, now: datetime) -> Dong:
        """Return what the bill costs.

        Raises:
            bills.refusals: NotFound, Cancelled, Superseded, Expired, Waived, Paid.
        """
        return pay.quote(connection, BillId(target), holder=holder, now=now).total

    def settle(
        self, unit: sa.Connection, target: UUID, *, holder: HolderId, amount: Dong, source: AccountId, now: datetime
    ) -> Due | None:
        """Lock the bill and return the entry that pays it; None if it is paid, closed or run out meanwhile. Whether `holder`
        may pay it was judged when they ordered.
        """
        quote = pay.quote_locked(unit, BillId(target), now=now)
        if quote is None or quote.total != amount:
            return None
        entry = Entry(
            id=EntryId(ids.new()),
            kind="bill_payment",
            effective_at=now,
            settles=target,
            postings=tuple(Posting(debit=source, credit=account, amount=part) for account, part in quote.lines),
        )
        data = {"payer": str(holder), "version": str(quote.version)}
        return Due(entry, Event(type="bill.paid", subject=target, entry=entry.id, data=data))

    def keep(self, unit: sa.Connection, entry: EntryId, *, holder: HolderId) -> None:
        """Keep nothing beside the entry, which settles the bill."""
