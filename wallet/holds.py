"""Holds: money set aside for a payee, captured whole or in parts, voided by the payee, or given back when its time is over.

Words   A hold is its holder's signed mandate: a cap, a payee, an expiry. A capture is an entry under that mandate, by the
        payee's order. Whoever is to be paid lets go of a hold; its payer waits for its time, which they chose.
Money   Whole đồng. available = posted − held; what is captured leaves both, what is released leaves held.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from wallet import accounts, ids, orders, states
from wallet.events import Event, instant
from wallet.ids import AccountId, AuthorityId, EntryId, HolderId, HoldId, OrderId
from wallet.ledger import Capture, Claim, Entry, Hold, Plan, Posting, Release, chart
from wallet.limits import TRANSFER, Limits, uncounted
from wallet.money import Dong
from wallet.refusal import Refusal
from wallet.transfers import PayeeNotFound, SameAccount

LIFE_MAX: Final = timedelta(days=7)
"""A market order is handed over or given up within a week."""

LAPSED_AT_ONCE: Final = 100
"""Holds that one round of the worker releases; the next round takes the rest."""

QUESTIONS: Final[dict[str, str]] = {
    "hold_not_as_signed": """
        SELECT a.id, 'payer, payee or amount is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.order_kind = 'hold'
          AND (SELECT jsonb_agg(jsonb_build_array(h.account::text, h.payee::text, h.amount::text))
               FROM ledger.hold h WHERE h.authority = a.id)
              IS DISTINCT FROM
              jsonb_build_array(jsonb_build_array(s.said ->> 'payer', s.said ->> 'payee', s.said ->> 'amount'))""",
    "hold_uncounted": uncounted(
        "hold",
        TRANSFER,
        amount="SELECT h.amount, h.placed_at FROM ledger.hold h WHERE h.authority = a.id",
    ),
    "hold_end_not_as_signed": """
        SELECT h.id, format('ends %s, signed to end %s', h.lapses_at, to_timestamp((s.said ->> 'lapses_at')::numeric))
        FROM ledger.hold h JOIN person.order_content c ON c.authority = h.authority
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE extract(epoch FROM h.lapses_at) IS DISTINCT FROM (s.said ->> 'lapses_at')::numeric""",
    "capture_not_as_signed": """
        SELECT a.id, 'hold, amount or end is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.order_kind = 'hold_capture'
          AND (SELECT jsonb_agg(jsonb_build_array(r.hold::text, r.captured::text)) FROM ledger.resolution r
               WHERE r.authority = a.id AND r.kind = 'capture' AND (r.final OR s.said ->> 'final' = 'false'))
              IS DISTINCT FROM jsonb_build_array(jsonb_build_array(s.said ->> 'hold', s.said ->> 'amount'))""",
    "void_not_as_signed": """
        SELECT a.id, 'the hold is not that of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.order_kind = 'hold_void'
          AND (SELECT jsonb_agg(r.hold::text) FROM ledger.resolution r WHERE r.authority = a.id AND r.kind = 'void')
              IS DISTINCT FROM jsonb_build_array(s.said ->> 'hold')""",
}
"""What the proof of the books asks about holds, as in `wallet.ledger.questions`."""


class NotFound(Refusal):
    """No hold of the caller's with that id."""

    code = "hold_not_found"
    status = 404


class LifeWrong(Refusal):
    """A hold ends in the future, and within seven days."""

    code = "hold_life"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOrder:
    """What a payer signed."""

    id: OrderId
    payer: AccountId
    payee: AccountId
    amount: Dong
    lapses_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOrder:
    """What a payee signed: take so much of a hold; `final` gives the rest back."""

    id: OrderId
    hold: HoldId
    amount: Dong
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidOrder:
    """What a payee signed: let go of a hold."""

    id: OrderId
    hold: HoldId


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A hold as its payer and its payee see it. Amounts are whole đồng; remaining = amount − captured − released."""

    id: HoldId
    authority: AuthorityId
    payer: AccountId
    payee: AccountId
    payer_holder: HolderId
    payee_holder: HolderId
    amount: Dong
    captured: int
    released: int
    state: str
    placed_at: datetime
    lapses_at: datetime

    @property
    def remaining(self) -> int:
        """What can still be captured."""
        return self.amount - self.captured - self.released


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A hold that was placed."""

    order: OrderId
    hold: HoldId
    payer: AccountId
    payee: AccountId
    amount: Dong
    lapses_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What was taken of a hold, and the entry that took it."""

    order: OrderId
    hold: HoldId
    entry: EntryId
    amount: Dong
    final: bool
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided:
    """A hold that was let go."""

    order: OrderId
    hold: HoldId


def place(unit: sa.Connection, claim: Claim, order: HoldOrder, *, limits: Limits, now: datetime) -> Plan:
    """Decide a hold: the amount stays in the payer's wallet and is no longer available.

    Args:
        unit: read from without a lock, and only what never changes.
        claim: whose order it is.
        order: the amount in whole đồng, at least 1; ends within LIFE_MAX.
        limits: in force; a hold counts when it is placed.
        now: aware UTC, read once at the door.

    Raises:
        SameAccount, accounts.NotFound, PayeeNotFound, LifeWrong, StepUpRequired; then one of `ledger.refusals`.
    """
    if order.payer == order.payee:
        raise SameAccount(param="payee")
    if not now < order.lapses_at <= now + LIFE_MAX:
        raise LifeWrong(param="lapses_at")
    payer = accounts.payer(unit, order.payer, signer=claim.signer)
    payee = accounts.owner(unit, order.payee)
    if payee is None or payee.code != chart.WALLET:
        raise PayeeNotFound(param="payee")
    hold = Hold(id=HoldId(ids.new()), account=payer, payee=order.payee, amount=order.amount, lapses_at=order.lapses_at)
    told = Event(
        type="hold.placed",
        subject=hold.id,
        data={
            "account": str(payer),
            "amount": str(order.amount),
            "lapses_at": instant(order.lapses_at),
            "payee": str(order.payee),
        },
    )
    return Plan(
        holds=(hold,),
        events=(told,),
        limits=limits.counts(unit, claim, {TRANSFER: order.amount}, now=now),
        answer=Placed(
            order=order.id,
            hold=hold.id,
            payer=payer,
            payee=order.payee,
            amount=order.amount,
            lapses_at=order.lapses_at,
        ),
    )


def capture(unit: sa.Connection, claim: Claim, order: CaptureOrder, *, now: datetime) -> Plan:
    """Decide a capture: an entry from the hold's account to its payee, under the payer's mandate.

    Raises:
        NotFound: no hold, or the signer is not its payee. Then one of `ledger.refusals`: resolved, lapsed, more than
            remains, a frozen account.
    """
    hold = _for_payee(unit, order.hold, claim)
    entry = Entry(
        id=EntryId(ids.new()),
        kind="capture",
        effective_at=now,
        postings=(Posting(debit=hold.payer, credit=hold.payee, amount=order.amount),),
    )
    return Plan(
        entries=(entry,),
        captures=(Capture(hold=hold.id, entry=entry.id, final=order.final),),
        under=hold.authority,
        events=(
            Event(type=states.HOLD_CAPTURED, subject=hold.id, entry=entry.id, data={"final": str(order.final).lower()}),
        ),
        answer=Captured(
            order=order.id, hold=hold.id, entry=entry.id, amount=order.amount, final=order.final, effective_at=now
        ),
    )


def void(unit: sa.Connection, claim: Claim, order: VoidOrder, *, now: datetime) -> Plan:  # noqa: ARG001 - as every verb
    """Decide a void: what remains of the hold is available to its payer again.

    Raises:
        NotFound: no hold, or the signer is not its payee. Then HoldResolved, HoldLapsed.
    """
    hold = _for_payee(unit, order.hold, claim)
    return Plan(
        releases=(Release(hold=hold.id, kind="void"),),
        events=(Event(type=states.HOLD_VOIDED, subject=hold.id),),
        answer=Voided(order=order.id, hold=hold.id),
    )


_STANDING: Final = """
    SELECT h.id, h.authority, h.account AS payer, h.payee, a.holder AS payer_holder, p.holder AS payee_holder, h.amount,
           coalesce(r.captured, 0)::bigint AS captured, coalesce(r.released, 0)::bigint AS released,
           CASE WHEN r.kind IS NULL THEN 'held' WHEN r.kind = 'capture' THEN 'captured' WHEN r.kind = 'void' THEN 'voided'
                ELSE 'lapsed' END AS state,
           h.placed_at, h.lapses_at
    FROM ledger.hold h
    JOIN ledger.account a ON a.id = h.account
    JOIN ledger.account p ON p.id = h.payee
    LEFT JOIN LATERAL (SELECT sum(x.captured) AS captured, sum(x.released) AS released,
                              max(x.kind) FILTER (WHERE x.final) AS kind
                       FROM ledger.resolution x WHERE x.hold = h.id) AS r ON true
"""


def read(connection: sa.Connection, hold: HoldId, *, holder: HolderId) -> Standing:
    """Return a hold to its payer or its payee.

    Raises:
        NotFound: there is none, or it is other people's; which of the two is not said.
    """
    row = connection.exec_driver_sql(
        _STANDING + " WHERE h.id = %s AND %s IN (a.holder, p.holder)", (hold, holder)
    ).one_or_none()
    if row is None:
        raise NotFound(param="hold")
    return Standing(**row._mapping)


def of(connection: sa.Connection, account: AccountId, *, rows_max: int) -> list[Standing]:
    """Return an account's holds, newest first."""
    rows = connection.exec_driver_sql(
        _STANDING + " WHERE h.account = %s ORDER BY h.placed_at DESC, h.id LIMIT %s", (account, rows_max)
    )
    return [Standing(**row._mapping) for row in rows]


def _for_payee(connection: sa.Connection, hold: HoldId, claim: Claim) -> Standing:
    found = read(connection, hold, holder=claim.signer)
    if found.payee_holder != claim.signer:
        raise NotFound(param="hold")
    return found


# -- their time is over -----------------------------------------------------------------------------------------------


def lapse_due(database: sa.Engine, *, now: datetime) -> int:
    """Release the holds whose time is over, each in a unit of its own; returns how many lapsed.

    A hold that was captured or voided meanwhile is left as it is: exactly one of them wins, under the hold's lock.
    """
    with database.connect() as connection:
        due = connection.exec_driver_sql(
            "SELECT hold FROM ledger.live_hold WHERE lapses_at <= now() ORDER BY lapses_at LIMIT %s", (LAPSED_AT_ONCE,)
        ).scalars()
        waiting = [HoldId(hold) for hold in due]
    return sum(_lapse(database, hold, now=now) for hold in waiting)


def _lapse(database: sa.Engine, hold: HoldId, *, now: datetime) -> bool:
    def decide(_unit: sa.Connection, _claim: Claim) -> Plan:
        told = Event(type=states.HOLD_LAPSED, subject=hold)
        return Plan(releases=(Release(hold=hold, kind="lapse"),), events=(told,), answer={"hold": str(hold)})

    outcome = orders.run_rule(database, "hold_lapse", str(hold), decide=decide, now=now)
    return outcome.status == orders.RULE_DONE and not outcome.replayed
