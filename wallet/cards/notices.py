"""Notices: what an acquirer tells on its own. Each is kept once, then what it is about is read again; that is believed.

Rule    A notice of another account, in the wrong mode, of something that is none of ours, or of an amount or currency unlike
        ours goes to quarantine. Late, repeated and out of order, it does no more than make us ask.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wallet import db
from wallet.cards import asking, disputes, lines, linked, payments, quarantine, refunds, settling, tables
from wallet.cards.quarantine import Reason
from wallet.cards.till import CURRENCY, Till
from wallet.gates import acquirer as gate
from wallet.gates.acquirer import About, Notice
from wallet.ids import HolderId
from wallet.refusal import Refusal

log = logging.getLogger("wallet.cards")

MISSED: Final = timedelta(days=7)
"""How far back what was told is asked for when nothing was heard: longer than an acquirer repeats itself."""


class NotGenuine(Refusal):
    """The notice was not signed by the processor, or too long ago, or cannot be read."""

    code = "card_notice_not_genuine"
    status = 400
    stored = False


def receive(till: Till, body: bytes, headers: Mapping[str, str], *, now: datetime) -> str | None:
    """Keep a notice that came to our door; returns its ref, or None if it was kept before.

    Raises:
        NotGenuine: it has no effect.
    """
    try:
        notice = till.acquirer.read_notice(body, headers, now=now)
    except gate.NotGenuine as fault:
        log.warning("a notice is not genuine: %s", fault)
        raise NotGenuine from fault
    return notice.ref if keep(till, notice, now=now) else None


def keep(till: Till, notice: Notice, *, now: datetime) -> bool:
    """Keep a notice, once; returns whether it was new."""
    row = {
        "acquirer": till.name,
        "ref": notice.ref,
        "about": str(notice.about),
        "kind": notice.kind,
        "subject": notice.subject,
        "id": notice.id,
        "amount": notice.amount,
        "currency": notice.currency,
        "live": notice.live,
        "account": notice.account,
        "at": notice.at,
        "received_at": now,
        "state": "received",
    }
    put = insert(tables.notice).values(**row).on_conflict_do_nothing().returning(tables.notice.c.ref)
    return db.unit(till.database, lambda unit: unit.execute(put).scalar()) is not None


def handle(till: Till, ref: str, *, now: datetime) -> None:
    """Do what a kept notice gives reason to: read again what it is about. Done twice, it changes nothing twice.

    Raises:
        gate.InDoubt, gate.Busy: the acquirer does not answer; the notice stays to be handled.
    """
    table = tables.notice
    mine = (table.c.acquirer == till.name, table.c.ref == ref)
    with till.database.connect() as connection:
        kept = connection.execute(sa.select(table).where(*mine, table.c.state == "received")).one_or_none()
    if kept is None:
        return
    doubtful = _doubtful(till, kept)
    if doubtful is None:
        try:
            doubtful = _read_again(till, kept, now=now)
        except gate.Rejected as fault:
            log.warning("notice %s of %s: %s", ref, kept.subject, fault)
            doubtful = Doubtful("denied", None)

    def done(unit: sa.Connection) -> None:
        state = "handled" if doubtful is None else "quarantined"
        unit.execute(sa.update(table).where(*mine, table.c.state == "received").values(state=state, handled_at=now))
        if doubtful is not None:
            said = {"amount": str(kept.amount), "currency": str(kept.currency), "kind": kept.kind}
            quarantine.put(
                unit,
                till.name,
                doubtful.reason,
                said=said,
                now=now,
                about=kept.about,
                subject=kept.subject,
                notice=ref,
                payment=doubtful.payment,
            )

    db.unit(till.database, done)


def waiting(connection: sa.Connection, acquirer: str, *, rows_max: int) -> list[str]:
    """Return the refs of notices that nobody has handled yet, oldest first."""
    table = tables.notice
    query = sa.select(table.c.ref).where(table.c.acquirer == acquirer, table.c.state == "received")
    return list(connection.execute(query.order_by(table.c.received_at).limit(rows_max)).scalars())


def catch_up(till: Till, *, now: datetime) -> int:
    """Ask for what was told while our door was shut; returns how many notices were new.

    Raises:
        AcquirerError.
    """
    with till.database.connect() as connection:
        last = connection.execute(
            sa.select(sa.func.max(tables.notice.c.at)).where(tables.notice.c.acquirer == till.name)
        ).scalar()
    since = max(last - timedelta(hours=1), now - MISSED) if last else now - MISSED
    return sum(keep(till, notice, now=now) for notice in till.acquirer.notices(since=since))


class Doubtful(NamedTuple):
    """Why a notice is not believed, and the payment that it may be about."""

    reason: Reason
    payment: UUID | None


def _doubtful(till: Till, kept: Any) -> Doubtful | None:
    """Say what of a notice is unlike us or our payment, before anything is asked."""
    if kept.account is not None:
        return Doubtful("other_account", None)
    if kept.live != till.acquirer.live:
        return Doubtful("wrong_mode", None)
    if kept.about != About.PAYMENT:
        return None
    with till.database.connect() as connection:
        ours = payments.of_ref(connection, till.name, ref=kept.subject, id=kept.id)
    if ours is None:
        return Doubtful("unknown", None)
    if kept.currency is not None and kept.currency != CURRENCY:
        return Doubtful("currency_differs", ours.id)
    if kept.amount is not None and kept.amount != ours.amount:
        return Doubtful("amount_differs", ours.id)
    return None


def _read_again(till: Till, kept: Any, *, now: datetime) -> Doubtful | None:
    """Read again what a notice is about."""
    match kept.about:
        case About.PAYMENT:
            _payment_again(till, kept, now=now)
        case About.REFUND:
            return _refund_again(till, kept, now=now)
        case About.DISPUTE:
            disputes.record(till, till.acquirer.dispute(kept.subject), cause="notice", now=now)
        case About.PAYOUT:
            lines.record_payout(till, till.acquirer.payout(kept.subject), now=now)
        case About.LINKING if kept.id is not None:
            linked.ask(till, kept.id, now=now)
    return None


def _payment_again(till: Till, kept: Any, *, now: datetime) -> None:
    with till.database.connect() as connection:
        ours = payments.of_ref(connection, till.name, ref=kept.subject, id=kept.id)
    assert ours is not None, "it was there when the notice was held against it"
    asking.inquire(till, ours.id, cause="notice", now=now, ref=kept.subject)


def _refund_again(till: Till, kept: Any, *, now: datetime) -> Doubtful | None:
    with till.database.connect() as connection:
        ours = refunds.of_ref(connection, till.name, ref=kept.subject, id=kept.id)
    if ours is None:
        return Doubtful("unknown", None)
    refunds.record(till, ours.id, till.acquirer.refund(kept.subject), cause="notice", now=now)
    return None


def ask_again(till: Till, item: UUID, *, by: HolderId, now: datetime) -> bool:
    """Read again what a thing in quarantine is about, for an operator; if it is believed now, it leaves quarantine.

    Raises:
        quarantine.NotFound. gate.AcquirerError: no answer, or a denial; the thing stays where it is.
    """
    with till.database.connect() as connection:
        one = quarantine.read(connection, item)
    believed = _believed(till, one, now=now)
    if believed:
        db.unit(till.database, lambda unit: quarantine.resolve(unit, item, how="asked_again", by=by, now=now))
    return believed


def _believed(till: Till, one: quarantine.Item, *, now: datetime) -> bool:
    if one.notice is not None and one.reason in ("other_account", "wrong_mode"):
        return False  # whatever we read ourselves is of our own account and mode
    if one.about == About.DISPUTE:
        return disputes.record(till, till.acquirer.dispute(one.subject), cause="operator", now=now)
    if one.about != About.PAYMENT:
        return False
    if one.payment is not None:
        return asking.inquire(till, one.payment, cause="operator", now=now, ref=one.subject)
    seen = till.acquirer.payment(one.subject)
    with till.database.connect() as connection:
        ours = payments.of_ref(connection, till.name, ref=seen.ref, id=seen.id)
    return ours is not None and settling.record(till, ours.id, seen, cause="operator", now=now)
