"""Asking: the calls that charge a card, once each, and the inquiries that find out what came of them.

Rule    A payment is asked for once, by whoever set `called_at`. When its answer is lost it is in doubt, and only ever asked
        about; if the acquirer still knows nothing of it after `CERTAIN_AFTER`, it never came to be. Should it come
        all the same, its money is booked as any other.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from wallet import db
from wallet.cards import linked, payments, settling, tables
from wallet.cards.payments import Payment
from wallet.cards.till import Till
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import Charge

log = logging.getLogger("wallet.cards")

ANSWER_MAX: Final = timedelta(minutes=1)
"""A call that has not been recorded after this long has no answer: longer than the gate waits for one."""
PAGE_MIN: Final = timedelta(minutes=30)
"""The shortest that an acquirer keeps a page open; where less is left, we close it ourselves."""
SINCE: Final = timedelta(minutes=5)
"""How far before its order a payment is looked for: the acquirer's clock is not ours."""


def start(till: Till, payment: UUID, *, now: datetime) -> None:
    """Ask the acquirer for a payment that was ordered, unless somebody did before."""
    if not _take(till, payment, now=now):
        return
    with till.database.connect() as connection:
        ours = payments.by_id(connection, payment)
    try:
        seen = till.acquirer.begin_payment(_charge(till, ours, now=now))
    except gate.InDoubt as fault:
        log.warning("payment %s is in doubt: %s", payment, fault)
        _move(till, payment, "in_doubt", cause="no_answer", now=now)
    except gate.Busy:
        _put_back(till, payment)
    except gate.Rejected as fault:
        log.warning("payment %s was rejected: %s", payment, fault)
        _move(till, payment, "failed", cause=fault.code[:60], now=now)
    else:
        settling.record(till, payment, seen, cause="answer", now=now)


def inquire(till: Till, payment: UUID, *, cause: str, now: datetime, ref: str | None = None) -> bool:
    """Ask where a payment stands, and record the answer. Changes nothing at the acquirer.

    Args:
        till: who is asked.
        payment: ours.
        cause: why: inquiry, notice, operator.
        now: the process's clock.
        ref: what the acquirer calls it, where a notice says so.

    Returns:
        Whether it knows the payment and what it says was believed.

    Raises:
        AcquirerError: no answer; ask again later. gate.Unknown: it knows no payment of that `ref`.
    """
    with till.database.connect() as connection:
        ours = payments.by_id(connection, payment)
        customer = linked.customer_ref(connection, till.name, ours.holder)
    _asked(till, payment, now=now)
    known = ref or ours.ref
    if known is not None:
        seen: gate.Payment | None = till.acquirer.payment(known)
    elif customer is None:
        seen = None
    else:
        seen = till.acquirer.find_payment(id=ours.id, customer=customer, since=ours.made_at - SINCE)
    if seen is not None:
        return settling.record(till, payment, seen, cause=cause, now=now)
    if ours.called_at is not None and ours.called_at + gate.CERTAIN_AFTER <= now:
        _move(till, payment, "cancelled", cause="never_came", now=now)
    return False


def give_up(till: Till, payment: UUID, *, now: datetime) -> None:
    """Give up a payment whose person did not come back, at the acquirer first, and record where it now stands: paid perhaps.

    Raises:
        AcquirerError.
    """
    with till.database.connect() as connection:
        ours = payments.by_id(connection, payment)
    if ours.ref is not None:
        _asked(till, payment, now=now)
        settling.record(till, payment, till.acquirer.cancel_payment(ours.ref), cause="expired", now=now)
    elif ours.called_at is None and _take(till, payment, now=now):
        _move(till, payment, "cancelled", cause="expired", now=now)


def doubt(till: Till, payment: UUID, *, now: datetime) -> None:
    """Put in doubt a payment that was asked for by a process that ended before it recorded the answer."""
    _move(till, payment, "in_doubt", cause="no_answer", now=now)


def _charge(till: Till, ours: Payment, *, now: datetime) -> Charge:
    """Spell what a card is asked to pay.

    Raises:
        AcquirerError: the holder could not be made known to it.
    """
    with till.database.connect() as connection:
        card = sa.select(tables.card.c.ref).where(tables.card.c.id == ours.card)
        ref = connection.execute(card).scalar_one_or_none() if ours.card else None
    back = f"{till.origin}/the/lenh/{ours.order}"
    try:
        customer = linked.customer(till, ours.holder, now=now)
    except gate.InDoubt as fault:
        raise gate.Busy(str(fault)) from fault  # no card was touched
    return Charge(
        id=ours.id,
        customer=customer,
        amount=ours.amount,
        card=ref,
        back_to=back,
        given_up=back,
        about={"purpose": ours.purpose},
        until=ours.expires_at if ours.expires_at - now >= PAGE_MIN else None,
        locale=ours.locale,
    )


def _take(till: Till, payment: UUID, *, now: datetime) -> bool:
    """Become the one who asks for a payment; False if somebody is already."""
    table = tables.payment
    mine = (
        sa.update(table)
        .where(table.c.id == payment, table.c.called_at.is_(None), table.c.state == "created")
        .values(called_at=now)
    )
    return bool(_unit(till, lambda unit: unit.execute(mine).rowcount))


def _put_back(till: Till, payment: UUID) -> None:
    """Let somebody else ask for a payment later: the acquirer has done nothing."""
    table = tables.payment
    back = sa.update(table).where(table.c.id == payment, table.c.state == "created").values(called_at=None)
    _unit(till, lambda unit: unit.execute(back))


def _asked(till: Till, payment: UUID, *, now: datetime) -> None:
    said = sa.update(tables.payment).where(tables.payment.c.id == payment).values(asked_at=now)
    _unit(till, lambda unit: unit.execute(said))


def _move(till: Till, payment: UUID, to: str, *, cause: str, now: datetime) -> None:
    _unit(till, lambda unit: payments.move(unit, "payment", payment, to, cause=cause, now=now))


def _unit(till: Till, work: Callable[[sa.Connection], Any]) -> Any:
    return db.unit(till.database, work)
