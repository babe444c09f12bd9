"""The ledger's verbs: the Python face of the functions in `sql/`. Each is one round trip.

How     An order is claimed, decided and posted. Where the decision needs locks of its own, `claim` and `post` are two calls
        of one unit; where it does not, `post_order` does both in a single statement that is its own transaction.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from wallet import db, events, ids
from wallet.canonical import Json
from wallet.events import Event
from wallet.ids import AccountId, AuthorityId, EntryId, EventId, HolderId, OrderId, PeriodId
from wallet.ledger import refusals
from wallet.ledger.balances import Total
from wallet.ledger.plan import Count, Entry, Plan, Posting
from wallet.money import Dong
from wallet.refusal import Refusal

SALT_BYTES: Final = 16

_REFUSED_SQLSTATE: Final = "TT001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What authorises an act, word for word: the order's bytes and, where it is signed, the proof of who signed.

    A "possession" is signed by the very key that it enrols, so by no key known yet. A "session_order" was given on a page
    by somebody signed in, an "officer_order" likewise by an officer or operator, a "rule_run" by a dated rule.
    `signer` is whose order it is and scopes its id; `expires` is when the order lapses if it was never executed.
    """

    kind: Literal["signed_order", "possession", "officer_order", "session_order", "rule_run", "outside_word"]
    signer: HolderId
    order_id: OrderId
    order_kind: str
    content: bytes
    expires: datetime | None = None
    key_id: str | None = None
    signature_base: bytes | None = None
    signature: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An order about to be claimed: what it will be known by in the books, and the salted hash that the log will keep."""

    authority: AuthorityId
    signer: HolderId
    order_kind: str
    key_id: str | None
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Give an order its authority's id and its salt."""
        salt = secrets.token_bytes(SALT_BYTES)
        return cls(
            authority=AuthorityId(ids.new()),
            signer=evidence.signer,
            order_kind=evidence.order_kind,
            key_id=evidence.key_id,
            salt=salt,
            digest=hashlib.sha256(salt + evidence.content).digest(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What claiming an order found: "new", or what came of it before."""

    state: Literal["new", "known", "differs", "key_dead"]
    status: int | None
    body: bytes | None
    roles: frozenset[str] = frozenset()


def claim(unit: sa.Connection, evidence: Evidence, claim: Claim) -> Found:
    """Take an order for this unit, or find its outcome; waits for a twin of the same order that is in flight."""
    row = unit.exec_driver_sql(
        "SELECT state, roles, status, body FROM ledger.claim(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        _spelled_claim(evidence, claim, None),
    ).one()
    return Found(state=row.state, roles=frozenset(row.roles or ()), status=row.status, body=row.body)


def post(unit: sa.Connection, claim: Claim, plan: Plan, *, status: int, body: bytes) -> None:
    """Carry out a plan: count limits, post its entries, tell its events, store the answer; in one call.

    Args:
        unit: the unit in which `claim` was claimed.
        claim: a new claim.
        plan: what the verb decided.
        status: the HTTP status of the answer, stored with it.
        body: the answer's bytes, given to every retry as they are.

    Raises:
        One of `refusals`. The unit goes back whole.
    """
    assert (plan.under, plan.guard) == (None, None), "decided without a lock: goes through post_order"
    with _refusals(plan.limits):
        unit.exec_driver_sql(
            "SELECT ledger.post(%s, %s::jsonb, %s::smallint, %s)",
            (claim.authority, _spelled(plan, claim), status, body),
        )


def post_order(
    connection: sa.Connection,
    evidence: Evidence,
    claim: Claim,
    plan: Plan,
    *,
    admits: frozenset[str],
    status: int,
    body: bytes,
) -> Found:
    """Claim an order and carry out its plan in one statement, or find what came of it before.

    Args:
        connection: an autocommitting one: the statement is the transaction.
        admits: the roles that may do this.

    Raises:
        One of `refusals`: nothing was written, not even the claim. Stale: the plan's guard asks for a new plan.
    """
    function, extra = (plan.guard.function, plan.guard.extra) if plan.guard else ("ledger.post_order", ())
    marks = ", ".join(["%s"] * (11 + 1) + ["%s::jsonb", "%s::smallint", "%s"] + ["%s"] * len(extra))
    with _refusals(plan.limits):
        state, known_status, known_body = db.call(
            connection,
            f"SELECT state, status, body FROM {function}({marks})",  # noqa: S608 - the name is a constant of ours
            (*_spelled_claim(evidence, claim, plan), list(admits), _spelled(plan, claim), status, body, *extra),
        )
    return Found(state=state, status=known_status, body=known_body)


def refuse(unit: sa.Connection, claim: Claim, refusal: Refusal, *, body: bytes) -> None:
    """Store a refusal as the outcome of a newly claimed order."""
    unit.exec_driver_sql(
        "SELECT ledger.refuse(%s, %s::smallint, %s, %s)", (claim.authority, refusal.status, refusal.code, body)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One recipient of a batch."""

    payee: AccountId
    amount: Dong


def post_batch(
    unit: sa.Connection,
    claim: Claim,
    *,
    kind: str,
    payer: AccountId,
    items: Sequence[BatchItem],
    limits: tuple[Count, ...],
    effective_at: datetime,
) -> list[tuple[EntryId, str | None]]:
    """Pay many from one account in one call: an entry and an event for each recipient, an outcome for each item.

    Items are paid in their order while the running total stays within what is available. `conclude` then stores the
    outcome, in the same unit.

    Returns:
        For each item its entry and None, or its entry's unused id and why it was passed over: "insufficient",
        "payee_frozen", "payee_closed", "payee_unknown".

    Raises:
        One of `refusals`, for the batch as a whole.
    """
    entries, told = [EntryId(ids.new()) for _ in items], [EventId(ids.new()) for _ in items]
    head, tails = _paid_each(claim, kind, effective_at, payer, items, entries, told)
    with _refusals(limits):
        refused: list[str | None] = unit.exec_driver_sql(
            "SELECT ledger.post_batch(%s, %s, %s, %s, %s::jsonb, %s::uuid[], %s::uuid[], %s::bigint[], %s::uuid[], %s,"
            " string_to_array(%s, chr(10)), string_to_array(%s, chr(10)))",
            (
                claim.authority,
                kind,
                effective_at,
                payer,
                json.dumps(_spelled_limits(limits)),
                _array(entries),
                _array(item.payee for item in items),
                _array(item.amount for item in items),
                _array(told),
                f"{kind}.paid",
                "\n".join([head] * len(items)),  # JSON escapes the characters that end a line
                "\n".join(tails),
            ),
        ).scalar_one()
    return list(zip(entries, refused, strict=True))


def conclude(unit: sa.Connection, claim: Claim, *, status: int, body: bytes, counted: tuple[Count, ...]) -> None:
    """Store the outcome of a batch and tell of it: the outcome names every entry that the batch made, the event what was
    answered, by its SHA-256.
    """
    told = Event(
        type=f"{claim.order_kind}.concluded",
        subject=claim.authority,
        data={"answer": hashlib.sha256(body).hexdigest(), "status": str(status)},
    )
    unit.exec_driver_sql(
        "SELECT ledger.conclude(%s, %s::smallint, %s, %s::jsonb, %s::jsonb)",
        (claim.authority, status, body, json.dumps(_spelled_limits(counted)), json.dumps(_event(told, claim, None))),
    )


def close_period(
    unit: sa.Connection, claim: Claim, *, period: PeriodId, kind: str, starts: date, ends: date
) -> tuple[list[Total], bytes]:
    """Close a period and everything before it, for a claimed order to do so; what tells of it is posted after.

    Returns:
        The trial balance at the period's end, and the SHA-256 of all accounts' balances then.

    Raises:
        refusals.PeriodOpen, PeriodClosed.
    """
    with _refusals():
        rows = unit.exec_driver_sql(
            "SELECT code, debit, credit, digest FROM ledger.close_period(%s, %s, %s, %s, %s)",
            (period, claim.authority, kind, starts, ends),
        ).all()
    totals = [Total(code=row.code, debit=int(row.debit), credit=int(row.credit)) for row in rows]
    digest = bytes(rows[0].digest) if rows else hashlib.sha256(b"").digest()
    return totals, digest


def tell(unit: sa.Connection, event: Event, *, actor: UUID | None, at: datetime) -> None:
    """Record an event that no order caused."""
    id = EventId(ids.new())
    unit.exec_driver_sql(
        "SELECT ledger.tell(%s, %s, %s, %s, %s, %s)",
        (id, event.type, str(event.subject), actor, at, events.envelope(event, id=id, at=at, actor=actor)),
    )


def open_account(
    unit: sa.Connection,
    code: str,
    *,
    holder: HolderId | None = None,
    chuong: str | None = None,
    tieu_muc: str | None = None,
    dia_ban: str | None = None,
) -> AccountId:
    """Open an account of the chart, or find the one this holder (and budget line) has already."""
    return AccountId(
        unit.exec_driver_sql(
            "SELECT ledger.open_account(%s, %s, %s, %s, %s, %s)",
            (ids.new(), code, holder, chuong, tieu_muc, dia_ban),
        ).scalar_one()
    )


def fold(unit: sa.Connection, *, after: UUID | None = None, accounts: int) -> tuple[int, UUID | None]:
    """Move the deltas of at most so many accounts into their balance rows.

    Returns:
        How many deltas went, and the account to go on after; None when the end was reached.
    """
    row = unit.exec_driver_sql("SELECT folded, last FROM ledger.fold(%s, %s)", (after, accounts)).one()
    return int(row.folded), row.last


# -- spelling -------------------------------------------------------------------------------------------------


def _spelled_claim(evidence: Evidence, claim: Claim, plan: Plan | None) -> tuple[Any, ...]:
    under = plan.under if plan else None
    return (
        claim.authority,
        "mandate" if under else evidence.kind,
        evidence.signer,
        evidence.order_id,
        evidence.order_kind,
        evidence.key_id,
        claim.salt,
        evidence.content,
        evidence.signature_base,
        evidence.signature,
        under,
    )


def _spelled(plan: Plan, claim: Claim) -> str:
    """Spell a plan as `ledger.post` reads it; parts that are empty are left out, and cost nothing."""
    entries = {entry.id: entry for entry in plan.entries}
    document: dict[str, Any] = {
        "entries": [
            {
                "id": str(entry.id),
                "kind": entry.kind,
                "effective_at": entry.effective_at.isoformat(),
                **_links(entry),
            }
            for entry in plan.entries
        ],
        "postings": [
            {
                "entry": str(entry.id),
                "line": line,
                "debit": str(posting.debit),
                "credit": str(posting.credit),
                "amount": posting.amount,
                "of_line": posting.of_line,
            }
            for entry in plan.entries
            for line, posting in enumerate(entry.postings, start=1)
        ],
        "events": [_event(event, claim, entries.get(event.entry) if event.entry else None) for event in plan.events],
    }
    if plan.limits:
        document["limits"] = _spelled_limits(plan.limits)
    if plan.holds:
        document["holds"] = [
            {
                "id": str(hold.id),
                "account": str(hold.account),
                "payee": str(hold.payee),
                "amount": hold.amount,
                "lapses_at": hold.lapses_at.isoformat(),
            }
            for hold in plan.holds
        ]
    if plan.captures:
        document["captures"] = [
            {"hold": str(one.hold), "entry": str(one.entry), "final": one.final} for one in plan.captures
        ]
    if plan.releases:
        document["releases"] = [{"hold": str(one.hold), "kind": one.kind} for one in plan.releases]
    if plan.mandates:
        document["mandates"] = [
            {"account": str(one.account), "cap": one.cap, "lapses_at": one.lapses_at.isoformat(), "code": one.code}
            for one in plan.mandates
        ]
    if plan.moves:
        document["moves"] = [{"account": str(one.account), "status": one.status} for one in plan.moves]
    return json.dumps(document)


def _links(entry: Entry) -> dict[str, str]:
    named = {"settles": entry.settles, "reverses": entry.reverses, "refunds": entry.refunds}
    return {name: str(id) for name, id in named.items() if id is not None}


def _array(values: Iterable[object]) -> str:
    """Spell an array of ids or amounts; the driver looks at each element for what to escape, and these have nothing."""
    return "{" + ",".join(map(str, values)) + "}"


def _spelled_limits(limits: Sequence[Count]) -> list[dict[str, Any]]:
    """Spell counts in the order in which the ledger locks their counters."""
    return [
        {"bucket": one.bucket, "starts": one.starts.isoformat(), "amount": one.amount, "cap": one.cap}
        for one in sorted(limits, key=lambda one: (one.bucket, one.starts))
    ]


def _paid_each(
    claim: Claim,
    kind: str,
    effective_at: datetime,
    payer: AccountId,
    items: Sequence[BatchItem],
    entries: Sequence[EntryId],
    told: Sequence[EventId],
) -> tuple[str, list[str]]:
    """Spell the event of each item: one is spelled whole, and the others differ from it in three ids and an amount."""
    posting = Posting(debit=payer, credit=AccountId(ids.new()), amount=Dong(1))
    model = Entry(id=EntryId(ids.new()), kind=kind, effective_at=effective_at, postings=(posting,))
    event = _event(Event(type=f"{kind}.paid", subject=model.id, entry=model.id), claim, model)
    form = event["tail"].replace("%", "%%").replace('"amount":"1"', '"amount":"%(amount)d"')
    for name, id in (("event", event["id"]), ("entry", str(model.id)), ("payee", str(posting.credit))):
        form = form.replace(id, f"%({name})s")
    return event["head"], [
        form % {"event": id, "entry": entry, "payee": item.payee, "amount": item.amount}
        for id, entry, item in zip(told, entries, items, strict=True)
    ]


def _event(event: Event, claim: Claim, entry: Entry | None) -> dict[str, Any]:
    """Finish a drafted event: with the order's salted hash, and the entry in full where it tells of one."""
    data: dict[str, Json] = {
        "order": {"authority": str(claim.authority), "digest": claim.digest.hex(), "kind": claim.order_kind}
    }
    if entry is not None:
        data["entry"] = {
            "id": str(entry.id),
            "kind": entry.kind,
            "effective_at": events.instant(entry.effective_at),
            "settles": str(entry.settles or ""),
            "reverses": str(entry.reverses or ""),
            "refunds": str(entry.refunds or ""),
            "postings": [
                {"debit": str(p.debit), "credit": str(p.credit), "amount": str(p.amount)} for p in entry.postings
            ],
        }
    id = EventId(ids.new())
    head, tail = events.halves(event, id=id, actor=claim.signer, data=data)
    return {
        "id": str(id),
        "type": event.type,
        "subject": str(event.subject),
        "entry": str(event.entry) if event.entry else None,
        "head": head,
        "tail": tail,
    }


class _refusals:  # noqa: N801 - reads as a verb: with _refusals():
    """Turn what the database refused into the refusal that it names."""

    def __init__(self, limits: tuple[Count, ...] = ()) -> None:
        self.limits = limits

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, DBAPIError) and getattr(fault.orig, "sqlstate", None) == _REFUSED_SQLSTATE:
            diagnosis: Any = fault.orig.diag  # type: ignore[union-attr]
            facts: dict[str, Any] = json.loads(diagnosis.message_detail)
            renews = {one.bucket: events.instant(one.renews_at) for one in self.limits}
            if facts.get("limit") in renews:
                facts["renews_at"] = renews[facts["limit"]]
            raise refusals.of(diagnosis.message_primary, facts) from None
