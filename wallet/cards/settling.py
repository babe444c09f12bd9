"""Settling: what an acquirer says of a payment, held against what was ordered, and booked once.

Money   A top-up goes from what the acquirer owes us to the wallet. Money for a bill or invoice comes in as card money on its
        way and, in the same unit, goes to its payee if it is still to be paid; if not, it is owed back to the card.
Rule    Nothing is believed that differs from the order in id, amount, currency or mode: it goes to quarantine.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from wallet import db, ids
from wallet.canonical import Json
from wallet.cards import payments, quarantine, tables
from wallet.cards.payments import Payment
from wallet.cards.quarantine import Reason
from wallet.cards.till import CURRENCY, Till, book, clearing, house, word
from wallet.events import Event
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import PaymentState
from wallet.ids import AccountId, EntryId
from wallet.ledger import Entry, Plan, Posting, chart
from wallet.ledger.refusals import PayeeClosed, PayeeFrozen

_SHUT: Final = "wallet_shut"
_NOT_PAYABLE: Final = "not_payable"


def record(till: Till, payment: UUID, seen: gate.Payment, *, cause: str, now: datetime) -> bool:
    """Record what the acquirer says of a payment, in one unit; money that it took is booked, once.

    Args:
        till: whose word it is.
        payment: ours.
        seen: read from the acquirer just now; never what a notice said.
        cause: what made us ask: answer, notice, inquiry.
        now: the process's clock.

    Returns:
        Whether it was believed; otherwise it is in quarantine.
    """
    try:
        return db.unit(till.database, lambda unit: _record(unit, till, payment, seen, cause=cause, shut=False, now=now))
    except (PayeeFrozen, PayeeClosed):
        # The wallet was shut between the look and the posting: the money goes back to the card.
        return db.unit(till.database, lambda unit: _record(unit, till, payment, seen, cause=cause, shut=True, now=now))


def _record(
    unit: sa.Connection, till: Till, payment: UUID, seen: gate.Payment, *, cause: str, shut: bool, now: datetime
) -> bool:
    ours = payments.locked(unit, payment)
    unlike = _unlike(ours, seen, live=till.acquirer.live)
    if unlike is not None:
        said = {"amount": str(seen.amount), "currency": seen.currency, "id": str(seen.id or ""), "state": seen.state}
        quarantine.put(
            unit,
            till.name,
            unlike,
            said=said | {"received": str(seen.received)},
            now=now,
            about="payment",
            subject=seen.ref,
            payment=ours.id,
        )
        return False
    _keep(unit, ours, seen, now=now)
    if ours.entry is not None:
        return True  # it stays credited; money is taken back by refunds and disputes, which are told of their own
    if seen.state == PaymentState.SUCCEEDED:
        _settle(unit, till, ours, seen, cause=cause, shut=shut, now=now)
    elif seen.state != ours.state and seen.state != PaymentState.CREATED:
        payments.move(unit, "payment", ours.id, str(seen.state), cause=cause, now=now)
    return True


def _unlike(ours: Payment, seen: gate.Payment, *, live: bool) -> Reason | None:
    """Say what in the acquirer's word is unlike the order, if anything."""
    if seen.id != ours.id:
        return "id_differs"
    if seen.live != live:
        return "wrong_mode"
    if seen.currency != CURRENCY:
        return "currency_differs"
    taken = seen.received if seen.state == PaymentState.SUCCEEDED else ours.amount
    return "amount_differs" if (seen.amount, taken) != (ours.amount, ours.amount) else None


def _keep(unit: sa.Connection, ours: Payment, seen: gate.Payment, *, now: datetime) -> None:
    """Keep the acquirer's ref, page, and what the person may know of the card and of why it failed."""
    unit.execute(
        sa.update(tables.payment)
        .where(tables.payment.c.id == ours.id)
        .values(
            ref=seen.ref,
            page=seen.page,
            brand=seen.card.brand if seen.card else ours.brand,
            last4=seen.card.last4 if seen.card else ours.last4,
            failure=str(seen.failure) if seen.failure else None,
            asked_at=now,
        )
    )


def _settle(
    unit: sa.Connection, till: Till, ours: Payment, seen: gate.Payment, *, cause: str, shut: bool, now: datetime
) -> None:
    source = clearing(unit, till.name)
    plan = _credited(unit, till, ours, source, now=now) if not shut else None
    receipt = plan.entries[0].id if plan else EntryId(ids.new())
    if plan is None:
        plan = _pending(ours, receipt, Posting(debit=source, credit=_on_its_way(unit), amount=ours.amount), now=now)
        back = _SHUT if ours.purpose == payments.TOPUP else _NOT_PAYABLE
        unit.execute(
            sa.insert(tables.refund).values(
                id=ids.new(), payment=ours.id, amount=ours.amount, cause=back, state="created", made_at=now
            )
        )
    said: dict[str, Json] = {
        "amount": str(ours.amount),
        "currency": seen.currency,
        "payment": str(ours.id),
        "state": "succeeded",
    }
    first = book(unit, till, word(till, "card_receipt", str(ours.id), said), plan, now=now)
    assert first, "a payment without an entry was never booked"
    for paid in plan.entries[1:]:
        till.targets[ours.purpose].keep(unit, paid.id, holder=ours.holder)
    moved = payments.move(unit, "payment", ours.id, "succeeded", cause=cause, now=now, entry=receipt)
    assert moved, f"every state but succeeded can become it: {ours.state}"


def _credited(unit: sa.Connection, till: Till, ours: Payment, source: AccountId, *, now: datetime) -> Plan | None:
    """Return what pays the wallet, or the payee through card money on its way; None where the money must go back."""
    if ours.purpose == payments.TOPUP:
        status = unit.exec_driver_sql("SELECT status FROM ledger.account WHERE id = %s", (ours.target,)).scalar_one()
        if status != "open":
            return None
        posting = Posting(debit=source, credit=AccountId(ours.target), amount=ours.amount)
        entry = Entry(id=EntryId(ids.new()), kind="card_topup", effective_at=now, postings=(posting,))
        return Plan(entries=(entry,), events=(_received(ours, entry.id),), answer={"entry": str(entry.id)})
    waiting = _on_its_way(unit)
    due = till.targets[ours.purpose].settle(
        unit, ours.target, holder=ours.holder, amount=ours.amount, source=waiting, now=now
    )
    if due is None:
        return None
    receipt = EntryId(ids.new())
    plan = _pending(ours, receipt, Posting(debit=source, credit=waiting, amount=ours.amount), now=now)
    answer = {"entry": str(receipt), "paid": str(due.entry.id)}
    return Plan(entries=(*plan.entries, due.entry), events=(*plan.events, due.event), answer=answer)


def _pending(ours: Payment, receipt: EntryId, posting: Posting, *, now: datetime) -> Plan:
    entry = Entry(id=receipt, kind="card_receipt", effective_at=now, postings=(posting,))
    return Plan(entries=(entry,), events=(_received(ours, receipt),), answer={"entry": str(receipt)})


def _received(ours: Payment, entry: EntryId) -> Event:
    data = {"holder": str(ours.holder), "purpose": ours.purpose, "target": str(ours.target)}
    return Event(type="card_payment.received", subject=ours.id, entry=entry, data=data)


def _on_its_way(unit: sa.Connection) -> AccountId:
    return house(unit, chart.CARD_PENDING)
