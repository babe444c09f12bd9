"""The ledger's verbs: the Python face of `functions.sql`. Each joins the caller's unit and is one round trip."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import events, ids
from wallet.canonical import Json
from wallet.events import Event
from wallet.ids import AccountId, AuthorityId, EventId, HolderId, OrderId
from wallet.ledger.plan import Entry, Plan
from wallet.refusal import Refusal

SALT_BYTES: Final = 16


class Insufficient(Refusal):
    """The account's available balance is less than what leaves it."""

    code = "insufficient_funds"
    status = 402


class NotOpen(Refusal):
    """The account is frozen or closed."""

    code = "account_not_open"
    status = 403


class TooLarge(Refusal):
    """The account would come to more than an account can hold: 4 × 10^18 đồng, half of a BIGINT."""

    code = "balance_too_large"
    status = 422


_REFUSED: Final = {"insufficient": Insufficient, "not_open": NotOpen, "too_large": TooLarge}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What authorises an act, word for word: the order's bytes and, where it is signed, the proof of who signed.

    A "possession" is signed by the very key that it enrols, so by no key known yet. A "session_order" was given on a page
    by somebody signed in, an "officer_order" likewise by an officer or operator; neither moves money.
    `signer` is whose order it is and scopes its id; `expires` is when the order lapses if it was never executed.
    """

    kind: Literal["signed_order", "possession", "officer_order", "session_order", "outside_word"]
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
    """What `claim` found: a new claim to decide, or what came of this order before."""

    state: Literal["new", "known", "differs", "key_dead"]
    authority: AuthorityId
    signer: HolderId
    roles: frozenset[str]
    order_kind: str
    digest: bytes
    posted_at: datetime
    status: int | None
    body: bytes | None


def claim(unit: sa.Connection, evidence: Evidence) -> Claim:
    """Take an order for this unit, or find its outcome; waits for a twin of the same order that is in flight."""
    authority, salt = ids.new(), secrets.token_bytes(SALT_BYTES)
    row = unit.exec_driver_sql(
        "SELECT state, authority, posted_at, roles, status, body"
        " FROM ledger.claim(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            authority,
            evidence.kind,
            evidence.signer,
            evidence.order_id,
            evidence.order_kind,
            evidence.key_id,
            salt,
            evidence.content,
            evidence.signature_base,
            evidence.signature,
        ),
    ).one()
    return Claim(
        state=row.state,
        authority=AuthorityId(row.authority or authority),
        signer=evidence.signer,
        roles=frozenset(row.roles or ()),
        order_kind=evidence.order_kind,
        digest=hashlib.sha256(salt + evidence.content).digest(),
        posted_at=row.posted_at,
        status=row.status,
        body=row.body,
    )


def execute(unit: sa.Connection, claim: Claim, plan: Plan, *, status: int, body: bytes) -> None:
    """Carry out a plan: post its entries, tell its events, store the answer; in one call.

    Args:
        unit: the unit in which `claim` was made.
        claim: a new claim.
        plan: what the verb decided.
        status: the HTTP status of the answer, stored with it.
        body: the answer's bytes, given to every retry as they are.

    Raises:
        Insufficient, NotOpen, TooLarge: found before anything was written. The caller rolls the unit back.
    """
    entries = {entry.id: entry for entry in plan.entries}
    document = {
        "entries": [
            {
                "id": str(entry.id),
                "kind": entry.kind,
                "effective_at": entry.effective_at.isoformat(),
                "settles": str(entry.settles) if entry.settles else None,
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
            }
            for entry in plan.entries
            for line, posting in enumerate(entry.postings, start=1)
        ],
        "events": [_event(event, claim, entries.get(event.entry) if event.entry else None) for event in plan.events],
    }
    refused = unit.exec_driver_sql(
        "SELECT refusal, account FROM ledger.execute(%s, %s::jsonb, %s::smallint, %s)",
        (claim.authority, json.dumps(document), status, body),
    ).first()
    if refused is not None:
        raise _REFUSED[refused.refusal](account=str(refused.account))


def refuse(unit: sa.Connection, claim: Claim, refusal: Refusal, *, body: bytes) -> None:
    """Store a refusal as the outcome of a newly claimed order."""
    unit.exec_driver_sql(
        "SELECT ledger.refuse(%s, %s::smallint, %s, %s)", (claim.authority, refusal.status, refusal.code, body)
    )


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


def fold(unit: sa.Connection, *, accounts: int) -> int:
    """Move the deltas of at most so many accounts into their balance rows; returns how many deltas went."""
    return int(unit.exec_driver_sql("SELECT ledger.fold(%s)", (accounts,)).scalar_one())


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
            "postings": [
                {"debit": str(p.debit), "credit": str(p.credit), "amount": str(p.amount)} for p in entry.postings
            ],
        }
    id = EventId(ids.new())
    spelled = events.envelope(event, id=id, at=claim.posted_at, actor=claim.signer, data=data)
    return {
        "id": str(id),
        "type": event.type,
        "subject": str(event.subject),
        "actor": str(claim.signer),
        "entry": str(event.entry) if event.entry else None,
        "bytes": spelled.decode(),
    }
