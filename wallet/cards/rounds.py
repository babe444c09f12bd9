"""Rounds: what the worker does for cards, again and again. Any number may: each step is done once, or is a question."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from wallet import db
from wallet.cards import asking, disputes, lines, linked, notices, payments, refunds
from wallet.cards.payments import Payment
from wallet.cards.till import Till
from wallet.gates.acquirer import AcquirerError, Busy, InDoubt
from wallet.ledger.refusals import PostingStopped
from wallet.refusal import Refusal

log = logging.getLogger("wallet.cards")

AT_ONCE_MAX: Final = 50
"""Things of a kind in one round: a round with an acquirer that is away ends soon, and other jobs get their turn."""
UNBEGUN: Final = timedelta(seconds=5)
"""After this long, whoever ordered a payment and should have asked for it has ended before they could."""
ASK_FIRST: Final = timedelta(seconds=4)
ASK_SHARE: Final = 10
"""A thing is asked about again after a tenth of its age, at the soonest after ASK_FIRST."""


def soon(till: Till, *, now: datetime) -> None:
    """Carry on what is under way: notices, payments, refunds and linkings."""
    round_ = _Round(now)
    with till.database.connect() as connection:
        told = notices.waiting(connection, till.name, rows_max=AT_ONCE_MAX)
        open_ = payments.standing(connection, payments.OPEN, rows_max=AT_ONCE_MAX)
    for ref in told:
        round_.step(notices.handle, till, ref)
    for one in open_:
        round_.step(_carry_on, till, one)
    _refunds(till, round_, now=now)
    with till.database.connect() as connection:
        linkings = linked.due(connection, before=now - ASK_FIRST, rows_max=AT_ONCE_MAX)
    for linking in linkings:
        round_.step(linked.ask, till, linking)
    db.unit(till.database, lambda unit: linked.give_up(unit, now=now))


def later(till: Till, *, now: datetime) -> None:
    """Read the acquirer's account: lines with their fees, payouts, chargebacks, and what it told while our door was shut."""
    round_ = _Round(now)
    with till.database.connect() as connection:
        denied = disputes.standing(connection, till.name)
    round_.step(lines.read, till)
    round_.step(lines.read_payouts, till)
    for ref in denied:
        round_.step(_dispute, till, ref)
    round_.step(notices.catch_up, till)


@dataclass(slots=True)
class _Round:
    """A round's steps. Once the acquirer does not answer, the rest wait for the next round: each would wait for it anew."""

    now: datetime
    away: bool = False

    def step(self, do: Callable[..., object], *given: object) -> None:
        """Take a step, which may fail for its own reasons."""
        if self.away:
            return
        try:
            do(*given, now=self.now)
        except (InDoubt, Busy) as fault:
            log.warning("the acquirer is away: %s", fault)
            self.away = True
        except AcquirerError as fault:
            log.warning("the acquirer: %s", fault)
        except PostingStopped:
            raise
        except Refusal as refusal:  # of the books: it waits for a later round, and must not hold up the others
            log.exception("what the acquirer said could not be booked: %s", refusal.code)


def _carry_on(till: Till, one: Payment, *, now: datetime) -> None:
    """Do the next thing for an open payment: begin it, ask about it, or give it up."""
    if one.state == "created" and one.called_at is None:
        if one.expires_at <= now:
            asking.give_up(till, one.id, now=now)
        elif one.made_at + UNBEGUN <= now:
            asking.start(till, one.id, now=now)
    elif one.state == "created" and one.ref is None:
        if one.called_at is not None and one.called_at + asking.ANSWER_MAX <= now:
            asking.doubt(till, one.id, now=now)
    elif one.expires_at <= now and one.state in ("created", "requires_action"):
        asking.give_up(till, one.id, now=now)
    elif _due(one.asked_at or one.called_at or one.made_at, one.made_at, now=now):
        asking.inquire(till, one.id, cause="inquiry", now=now)


def _dispute(till: Till, ref: str, *, now: datetime) -> None:
    disputes.record(till, till.acquirer.dispute(ref), cause="inquiry", now=now)


def _ask_refund(till: Till, refund: UUID, *, now: datetime) -> None:
    refunds.inquire(till, refund, cause="inquiry", now=now)


def _refunds(till: Till, round_: _Round, *, now: datetime) -> None:
    db.unit(till.database, lambda unit: refunds.take_up(unit, now=now))
    with till.database.connect() as connection:
        back = refunds.standing(connection, rows_max=AT_ONCE_MAX)
    for one in back:
        if one.state == "created" and one.called_at is None:
            round_.step(refunds.send, till, one.id)
        elif one.state == "created":
            if one.called_at is not None and one.called_at + refunds.ANSWER_MAX <= now:
                refunds.doubt(till, one.id, now=now)
        elif _due(one.asked_at or one.made_at, one.made_at, now=now):
            round_.step(_ask_refund, till, one.id)


def _due(asked: datetime, made: datetime, *, now: datetime) -> bool:
    """Say whether it is time to ask again: less often the longer it takes."""
    return now - asked >= max(ASK_FIRST, (now - made) / ASK_SHARE)
