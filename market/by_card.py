"""Invoices paid by card: what the wallet's cards ask of something that they can pay.

Money   Card money on its way goes to the merchant's account, in the unit that brings it in, if the invoice is still
        new and its point open; if not, the wallet sends it back to the card.
"""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from market import invoices, registry
from market.payments import KIND
from wallet import ids
from wallet.cards.till import Due
from wallet.events import Event
from wallet.ids import AccountId, EntryId, HolderId
from wallet.ledger import Entry, Posting
from wallet.money import Dong


class InvoiceTarget:
    """An invoice, which whoever has seen it may pay."""

    def price(self, connection: sa.Connection, target: UUID, *, holder: HolderId, now: datetime) -> Dong:
        """Return what the invoice asks for.

        Raises:
            invoices.NotFound, Paid, Cancelled, Expired; registry.PointClosed.
        """
        invoice = invoices.by_id(connection, target)
        if invoice is None:
            raise invoices.NotFound(param="target")
        invoice.must_be_payable(now)
        point = registry.point_by_id(connection, invoice.point)
        assert point is not None, "an invoice is issued at a point"
        point.must_be_open()
        return invoice.amount

    def settle(
        self, unit: sa.Connection, target: UUID, *, holder: HolderId, amount: Dong, source: AccountId, now: datetime
    ) -> Due | None:
        """Lock the invoice and return the entry that pays it; None if it is paid, cancelled or run out, or its point
        closed."""
        found = unit.exec_driver_sql(
            "SELECT merchant, point, account, amount FROM market.lock_invoice(%s)", (target,)
        ).one_or_none()
        if found is None or found.amount != amount:
            return None
        entry = Entry(
            id=EntryId(ids.new()),
            kind=KIND,
            effective_at=now,
            settles=target,
            postings=(Posting(debit=source, credit=AccountId(found.account), amount=amount),),
        )
        said = {"merchant": str(found.merchant), "payer": str(holder), "point": str(found.point)}
        return Due(entry, Event(type="invoice.paid", subject=target, entry=entry.id, data=said))

    def keep(self, unit: sa.Connection, entry: EntryId, *, holder: HolderId) -> None:
        """Keep the payment for the merchant to see, with whose card it was."""
        unit.exec_driver_sql("SELECT market.keep_card_payment(%s, %s)", (entry, holder))
