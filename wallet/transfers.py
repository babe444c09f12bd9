"""Transfers: money moved from one wallet to another, at once.

Words   An order is what was asked; a transfer is what was done, and is never edited.
Money   Whole đồng, at least one. There is no fee.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from wallet import accounts, ids
from wallet.events import Event
from wallet.ids import AccountId, EntryId, OrderId
from wallet.ledger import Claim, Entry, Plan, Posting, chart
from wallet.limits import TRANSFER, Limits, uncounted
from wallet.money import Dong
from wallet.refusal import Refusal

MEMO_CHARS_MAX: Final = 140
"""Two lines on a phone."""

QUESTIONS: Final[dict[str, str]] = {
    "transfer_not_as_signed": """
        SELECT a.id, 'payer, payee or amount is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.order_kind = 'transfer'
          AND (SELECT jsonb_agg(jsonb_build_array(p.debit::text, p.credit::text, p.amount::text))
               FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id WHERE e.authority = a.id)
              IS DISTINCT FROM
              jsonb_build_array(jsonb_build_array(s.said ->> 'payer', s.said ->> 'payee', s.said ->> 'amount'))""",
    "transfer_uncounted": uncounted(
        "transfer",
        TRANSFER,
        amount="SELECT sum(p.amount), min(e.effective_at) FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id"
        " WHERE e.authority = a.id",
    ),
}
"""What the proof of the books asks about transfers, as in `wallet.ledger.proof`."""


class SameAccount(Refusal):
    """Payer and payee are one and the same account."""

    code = "transfer_same_account"
    status = 422


class PayeeNotFound(Refusal):
    """The payee is no wallet."""

    code = "payee_not_found"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOrder:
    """What a payer signed."""

    id: OrderId
    payer: AccountId
    payee: AccountId
    amount: Dong
    memo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What was done. The memo stays in the order's bytes, which can be erased; an outcome cannot."""

    order: OrderId
    entry: EntryId
    payer: AccountId
    payee: AccountId
    amount: Dong
    effective_at: datetime


def send(unit: sa.Connection, claim: Claim, order: TransferOrder, *, limits: Limits, now: datetime) -> Plan:
    """Decide a transfer: the amount from the payer's wallet to the payee's, in one entry.

    Args:
        unit: read from without a lock, and only what never changes; the ledger looks at the rest under its locks.
        claim: whose order it is.
        order: the amount in whole đồng, at least 1.
        limits: in force.
        now: aware UTC, read once at the door.

    Raises:
        SameAccount, accounts.NotFound, PayeeNotFound, StepUpRequired. The ledger then refuses with one of
        `ledger.refusals`: a limit, a frozen or closed account of either, too little available.
    """
    if order.payer == order.payee:
        raise SameAccount(param="payee")
    payer = accounts.payer(unit, order.payer, signer=claim.signer)
    payee = accounts.owner(unit, order.payee)
    if payee is None or payee.code != chart.WALLET:
        raise PayeeNotFound(param="payee")
    entry = Entry(
        id=EntryId(ids.new()),
        kind="transfer",
        effective_at=now,
        postings=(Posting(debit=payer, credit=order.payee, amount=order.amount),),
    )
    done = Transfer(
        order=order.id,
        entry=entry.id,
        payer=payer,
        payee=order.payee,
        amount=order.amount,
        effective_at=now,
    )
    sent = Event(type="transfer.sent", subject=entry.id, entry=entry.id)
    counted = limits.counts(unit, claim, {TRANSFER: order.amount}, now=now)
    return Plan(entries=(entry,), events=(sent,), limits=counted, answer=done)
