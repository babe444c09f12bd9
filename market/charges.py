"""Charges: what a till takes by the one-time code that a customer shows, under the mandate that they signed with it.

Words   The till signs the charge, the customer has signed the mandate: together they are what authorises the entry.
Money   Whole đồng, at most the mandate's cap, once, within its half minute; counted against the customer's limits as if
        they had signed the payment themselves. An invoice that the charge names is paid by it, to the đồng.
Safety  A guess finds one of a thousand living codes once in 10^8; codes that nobody signed are counted all the same.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from market import invoices, payments, registry, tables
from wallet import ids, mandates
from wallet.events import Event
from wallet.identity import attempts
from wallet.identity.attempts import Limit
from wallet.ids import AuthorityId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Guard, Plan, Posting
from wallet.ledger.refusals import MandateExceeded, MandateExpired, MandateReplaced, MandateUsed
from wallet.ledger.tables import authority
from wallet.limits import Limits
from wallet.mandates import Standing
from wallet.money import Dong

WRONG_CODES: Final = Limit("till-codes", 30, timedelta(hours=1))
"""Codes that nobody signed, by one cashier: fingers slip, and a thousand guesses an hour are no slip."""

QUESTIONS: Final[dict[str, str]] = {
    "charge_not_as_signed": """
        SELECT a.id, 'point, amount, code or invoice is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        LEFT JOIN ledger.mandate m ON m.authority = a.under
        LEFT JOIN market.payment p ON p.authority = a.id
        WHERE a.order_kind = 'charge'
          AND (p.point::text, p.amount::text, m.code, coalesce(p.invoice::text, ''))
              IS DISTINCT FROM (s.said ->> 'point', s.said ->> 'amount', s.said ->> 'code',
                                coalesce(s.said ->> 'invoice', ''))""",
    "charge_by_stranger": """
        SELECT a.id, format('%s did not serve %s', a.signer, p.merchant) FROM ledger.authority a
        JOIN market.payment p ON p.authority = a.id
        WHERE a.order_kind = 'charge' AND a.signer <> p.merchant
          AND NOT EXISTS (SELECT 1 FROM identity.staff s WHERE s.holder = a.signer AND s.merchant = p.merchant
                                                           AND s.since <= a.at AND coalesce(s.until > a.at, true))""",
}
"""What the proof of the books asks about charges, as in `wallet.ledger.proof`."""


class TooManyCodes(attempts.TooMany):
    """This cashier has named too many codes that nobody signed."""

    code = "mandate_codes_too_many"
    status = 429
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeOrder:
    """What a cashier signed: so much, at this point, by the code that the customer shows, for that invoice or for none."""

    id: OrderId
    point: UUID
    amount: Dong
    code: str
    invoice: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What was done. Who the customer is stays between them and us."""

    order: OrderId
    entry: EntryId
    point: UUID
    invoice: UUID | None
    amount: Dong
    mandate: AuthorityId
    effective_at: datetime


def count_unknown(database: sa.Engine, order: ChargeOrder, signer: HolderId, *, now: datetime) -> None:
    """Count a code that nobody ever signed against the cashier who names it.

    Raises:
        mandates.Mistyped: said before anything is counted.
        TooManyCodes.
    """
    code = mandates.read_code(order.code)
    with database.connect() as connection:
        known = mandates.by_code(connection, code)
    if known is None:
        try:
            attempts.count(database, [(WRONG_CODES, str(signer))], now=now)
        except attempts.TooMany as over:
            raise TooManyCodes(param="code", **over.facts) from None


def charge(unit: sa.Connection, claim: Claim, order: ChargeOrder, *, limits: Limits, now: datetime) -> Plan:
    """Decide a charge: the amount from the customer's wallet to the merchant's account, under the customer's mandate.

    Args:
        unit: read from without a lock; the plan's guard and the ledger look again under theirs.
        claim: whose order it is: somebody who serves the point's merchant, or the merchant's own machine.
        order: the amount in whole đồng, at least 1.
        limits: in force; the customer's are counted, by the key that signed the mandate.
        now: aware UTC, read once at the door.

    Raises:
        registry.PointNotFound: no such point, or the signer does not serve its merchant; which of the two is not said.
        registry.PointClosed, mandates.Mistyped, mandates.NotFound, what an invoice refuses, StepUpRequired; of
        `ledger.refusals` MandateUsed, MandateReplaced, MandateExpired, MandateExceeded, too little available, a limit,
        a frozen wallet.
    """
    point = registry.point_by_id(unit, order.point)
    if point is None or registry.role_of(unit, point.merchant, claim.signer) is None:
        raise registry.PointNotFound(param="point")
    payee = point.must_be_open()
    found = _chargeable(mandates.by_code(unit, mandates.read_code(order.code)), order.amount, now=now)
    invoice = _payable(unit, order, now=now) if order.invoice else None
    entry = Entry(
        id=EntryId(ids.new()),
        kind=payments.KIND,
        effective_at=now,
        settles=invoice,
        postings=(Posting(debit=found.account, credit=payee, amount=order.amount),),
    )
    told = Event(
        type="invoice.paid" if invoice else "point.paid",
        subject=invoice or point.id,
        entry=entry.id,
        data={"merchant": str(point.merchant), "point": str(point.id)},
    )
    customer = replace(claim, signer=found.holder, key_id=found.key_id)
    return Plan(
        entries=(entry,),
        events=(told,),
        limits=limits.counts(unit, customer, {payments.PURCHASE: order.amount}, now=now),
        under=found.mandate,
        guard=Guard(function=f"market.pay_{'invoice' if invoice else 'point'}", extra=(invoice or point.id,)),
        answer=Charged(
            order=order.id,
            entry=entry.id,
            point=order.point,
            invoice=invoice,
            amount=order.amount,
            mandate=found.mandate,
            effective_at=now,
        ),
    )


def _payable(unit: sa.Connection, order: ChargeOrder, *, now: datetime) -> UUID:
    """Return the invoice that a charge pays, if it stands at the charge's point, can be paid, and asks for this amount.

    Raises:
        invoices.NotFound, Paid, Cancelled, Expired; payments.InvoiceDiffers.
    """
    assert order.invoice is not None, "asked of a charge that names one"
    invoice = invoices.by_id(unit, order.invoice)
    if invoice is None or invoice.point != order.point:
        raise invoices.NotFound(param="invoice")
    invoice.must_be_payable(now)
    if invoice.amount != order.amount:
        raise payments.InvoiceDiffers(param="amount", invoice=str(invoice.id), amount=str(invoice.amount))
    return invoice.id


def _chargeable(found: Standing | None, amount: Dong, *, now: datetime) -> Standing:
    if found is None:
        raise mandates.NotFound(param="code")
    match found.state(now):
        case "charged":
            raise MandateUsed(param="code")
        case "replaced":
            raise MandateReplaced(param="code")
        case "expired":
            raise MandateExpired(param="code")
        case _ if amount > found.cap:
            raise MandateExceeded(param="amount", cap=str(found.cap))
    return found


def made(connection: sa.Connection, order: OrderId, *, signer: HolderId, point: UUID) -> tuple[EntryId, Dong] | None:
    """Return the entry and the amount (whole đồng) of a charge that its signer made at a point; None if there is none."""
    row = connection.execute(
        sa.select(tables.payment.c.entry, tables.payment.c.amount)
        .join(authority, authority.c.id == tables.payment.c.authority)
        .where(
            authority.c.signer == signer,
            authority.c.order_id == order,
            authority.c.order_kind == "charge",
            tables.payment.c.point == point,
        )
    ).one_or_none()
    return (EntryId(row.entry), Dong(row.amount)) if row else None
