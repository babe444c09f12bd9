"""Receipts: what the signer of an order takes home, so that they need not trust whoever runs the service.

Words   A receipt is an order as it was signed, the events that it caused, and the proof that these stand in the log; it is
        verified by `wallet.log.evidence` or by the page that does the same. Until the events are sealed there is an
        acknowledgement instead: the log's signed promise to have them within ten seconds. An order that was refused told
        of no event, so nothing of it will ever be in the log; its receipt is the log's signed word that it was refused.
Safety  Nobody but the signer is given a receipt: it holds the order's bytes.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import sqlalchemy as sa

from wallet import canonical, lookup
from wallet.canonical import Json
from wallet.events import instant
from wallet.identity import tables as identity
from wallet.ids import HolderId
from wallet.ledger.tables import authority, event, order_content, outcome
from wallet.log import keyring, merkle, note, published
from wallet.log.checkpoint import Checkpoint, LogKeys
from wallet.log.note import Note
from wallet.log.published import PublishedLog
from wallet.log.statement import ACKNOWLEDGEMENT, PROMISED_S, REFUSAL, Statement
from wallet.refusal import Refusal

VERSION: Final = "1"
RECEIPT: Final = "receipt"
KEY_EVENTS: Final = ("key.enrolled", "key.approved")
"""What lets a key in, of all that is told about it."""


class Unsigned(Refusal):
    """The order was given in a session, without a signature: there is nothing that could be verified without trust."""

    code = "receipt_unsigned"
    status = 409
    stored = False


class NoLog(Refusal):
    """The log is not there yet, or not to be read just now."""

    code = "receipt_no_log"
    status = 503
    stored = False


# ---- the log, as a receipt needs it ---------------------------------------------------------------------------------


class Log(Protocol):
    """What a receipt takes from the log. Keys are asked for each time: they may be rotated while this process lives."""

    def leaves(self, connection: sa.Connection, events: Sequence[UUID], /) -> Mapping[UUID, int]:
        """Return where each of these events that is sealed has its leaf."""
        ...

    def checkpoint(self, connection: sa.Connection, above: int, /) -> bytes | None:
        """Return a published checkpoint of more than `above` leaves, with its cosignatures; None: there is none yet."""
        ...

    def inclusion(self, index: int, size: int, /) -> Sequence[bytes]:
        """Prove that leaf `index` is in the published tree of `size`."""
        ...

    def keys(self) -> LogKeys:
        """Return every key that the log has had.

        Raises:
            NoLog.
        """
        ...

    def signer(self) -> note.Signer:
        """Return who signs for the log today.

        Raises:
            NoLog.
        """
        ...


@dataclass(frozen=True, slots=True)
class CityLog:
    """The service's own log, as it is sealed in the database, published below VAR_DIR and signed with the key there."""

    var_dir: Path

    def leaves(self, connection: sa.Connection, events: Sequence[UUID], /) -> Mapping[UUID, int]:
        """Return where each of these events that is sealed has its leaf."""
        return published.leaves(connection, events)

    def checkpoint(self, connection: sa.Connection, above: int, /) -> bytes | None:
        """Return the newest cosigned checkpoint that covers leaf `above`; before a witness has seen it, the newest one."""
        return published.cosigned(connection, above=above)

    def inclusion(self, index: int, size: int, /) -> Sequence[bytes]:
        """Prove a leaf from the published tiles.

        Raises:
            NoLog: they are not there just now.
        """
        try:
            return PublishedLog(keyring.folder(self.var_dir)).inclusion(index, size)
        except published.NotPublished:
            raise NoLog from None

    def keys(self) -> LogKeys:
        """Return every key that the log has had.

        Raises:
            NoLog.
        """
        try:
            return keyring.keys(self.var_dir)
        except keyring.NoKey:
            raise NoLog from None

    def signer(self) -> note.Signer:
        """Return who signs for the log today.

        Raises:
            NoLog.
        """
        try:
            return keyring.signer(self.var_dir)
        except keyring.NoKey:
            raise NoLog from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Where events are in the log, and that they are: by event, its leaf and inclusion proof; all under one checkpoint."""

    checkpoint: bytes
    places: Mapping[UUID, tuple[int, Sequence[bytes]]]


def proof_of(log: Log, connection: sa.Connection, events: Sequence[UUID]) -> Proof | None:
    """Prove events by one checkpoint, a cosigned one where there is; None while one of them is not under any yet."""
    leaves = log.leaves(connection, events)
    raw = log.checkpoint(connection, max(leaves.values())) if len(leaves) == len(events) else None
    if raw is None:
        return None
    size = Checkpoint.parse(Note.parse(raw).text).size
    return Proof(checkpoint=raw, places={id: (index, log.inclusion(index, size)) for id, index in leaves.items()})


# ---- the receipt ----------------------------------------------------------------------------------------------------


def of(connection: sa.Connection, log: Log | None, *, signer: HolderId, order: UUID, now: datetime) -> bytes:
    """Return the receipt of a signer's order, or what stands in for it, as canonical JSON.

    Args:
        connection: any that may read the ledger.
        log: where the events are, or will be; None where there is none.
        signer: whose order it is; nobody else is given its bytes.
        order: the order's id.
        now: the door's clock: what an acknowledgement counts its ten seconds from.

    Raises:
        lookup.NotFound: never arrived, another's, or shredded. Unsigned. NoLog.
    """
    row = _order(connection, signer, order)
    if log is None:
        raise NoLog
    own: dict[str, Json] = {"v": VERSION, "order": _spelled_order(row)}
    if row.code is not None:
        return canonical.dumps(own | {"kind": REFUSAL, "statement": _refusal(log, row, now=now)})
    told = connection.execute(
        sa.select(event.c.id, event.c.bytes).where(event.c.authority == row.authority).order_by(event.c.seq)
    ).all()
    enrolled = connection.execute(
        sa.select(event.c.id, event.c.bytes)
        .where(event.c.subject == row.key_id, event.c.type.in_(KEY_EVENTS), event.c.seq < _first_of(row.authority))
        .order_by(event.c.seq)
    ).all()
    proof = proof_of(log, connection, [one.id for one in (*enrolled, *told)])
    if proof is None:
        leaves = [{"bytes": one.bytes.decode()} for one in told]
        promise = _acknowledgement(log, row, [one.bytes for one in told], now=now)
        return canonical.dumps(own | {"kind": ACKNOWLEDGEMENT, "events": leaves, "statement": promise})
    return canonical.dumps(
        own
        | {
            "kind": RECEIPT,
            "enrolment": [_spelled_leaf(one, proof) for one in enrolled],
            "events": [_spelled_leaf(one, proof) for one in told],
            "checkpoint": proof.checkpoint.decode(),
        }
    )


def _order(connection: sa.Connection, signer: HolderId, order: UUID) -> Any:
    """Read a signed order with its key.

    Raises:
        lookup.NotFound, Unsigned.
    """
    row = connection.execute(
        sa.select(
            authority.c.id.label("authority"), authority.c.signer, authority.c.order_id, authority.c.order_kind,
            authority.c.key_id, order_content.c.salt, order_content.c.bytes, order_content.c.signature_base,
            order_content.c.signature, outcome.c.code, identity.key.c.jwk,
        )
        .join(order_content, order_content.c.authority == authority.c.id)
        .join(outcome, outcome.c.authority == authority.c.id)
        .outerjoin(identity.key, identity.key.c.id == authority.c.key_id)
        .where(authority.c.signer == signer, authority.c.order_id == order)
    ).one_or_none()  # fmt: skip
    if row is None:
        raise lookup.NotFound(param="order")
    if row.signature is None:
        raise Unsigned(param="order")
    return row


def _first_of(authority: UUID) -> Any:
    return sa.select(sa.func.min(event.c.seq)).where(event.c.authority == authority).scalar_subquery()


def _spelled_order(row: Any) -> Json:
    # A key that signed its own enrolment is named by the order alone.
    key = json.loads(row.jwk) if row.jwk else canonical.loads(row.bytes)["key"]
    return {
        "bytes": row.bytes.decode(),
        "salt": _b64(row.salt),
        "signature_base": row.signature_base.decode(),
        "signature": _b64(row.signature),
        "key": key,
    }


def _spelled_leaf(one: Any, proof: Proof) -> Json:
    index, path = proof.places[one.id]
    return {"bytes": one.bytes.decode(), "index": str(index), "proof": [_b64(beside) for beside in path]}


def _acknowledgement(log: Log, row: Any, events: Sequence[bytes], *, now: datetime) -> str:
    leaves = tuple(merkle.leaf_hash(one) for one in events)
    # Counted from when it happened: a log that stands still cannot put its promise off by giving it anew.
    happened = min(datetime.fromisoformat(json.loads(one)["at"]) for one in events)
    by = instant(happened + timedelta(seconds=PROMISED_S))
    return _signed(log, row, ACKNOWLEDGEMENT, row.order_kind, now=now, by=by, leaves=leaves)


def _refusal(log: Log, row: Any, *, now: datetime) -> str:
    return _signed(log, row, REFUSAL, row.code, now=now)


def _signed(log: Log, row: Any, kind: str, about: str, *, now: datetime, **promise: Any) -> str:
    said = Statement(
        kind=kind,
        origin=log.keys().origin,
        signer=str(row.signer),
        order=str(row.order_id),
        digest=hashlib.sha256(row.salt + row.bytes).hexdigest(),
        about=about,
        at=instant(now),
        **promise,
    )
    return note.sign(said.text, log.signer()).encode().decode()


def _b64(value: bytes) -> str:
    return b64encode(value).decode()
