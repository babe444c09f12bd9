"""Proof of the ledger: recompute everything from the first posting and name every difference by a stable code.

What    Each check is one question to the database, or one walk over it, and yields what it found wrong. All of them look
        at one snapshot, so a city at work can be proved.
Words   A difference is a code, the thing it is about, and what differs. No difference: the books are proved.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from wallet import crypto, signing
from wallet.ledger.questions import QUESTIONS


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it must be."""

    code: str
    subject: str
    detail: str


_STREAMED: Final = {"yield_per": 1000}
"""Rows by the thousand: the books need not fit into memory."""

Check = Callable[[sa.Connection], Iterator[Difference]]


def differences(connection: sa.Connection, questions: dict[str, str]) -> Iterator[Difference]:
    """Ask questions and yield each difference that the database names.

    Bytes that were tampered with until the database itself cannot read them leave a question without an answer; that is
    named as well, and the other questions are still asked.
    """
    for code, question in questions.items():
        try:
            with connection.begin_nested():
                rows = connection.exec_driver_sql(question.replace("%", "%%")).all()
        except sa.exc.DataError as fault:
            yield Difference("question_unanswered", code, str(fault.orig).partition("\n")[0])
            continue
        for subject, detail in rows:
            yield Difference(code, str(subject), str(detail))


def signatures(connection: sa.Connection) -> Iterator[Difference]:
    """Verify every signed order anew: the key's own thumbprint, the signature over its base, the base over the bytes, the
    bytes against the row. An order whose content was shredded can no longer be verified and is no difference.
    """
    rows = connection.exec_driver_sql(
        """
        SELECT a.id, a.kind, a.signer, a.order_id, a.order_kind, a.key_id, k.jwk, c.bytes, c.signature_base, c.signature
        FROM ledger.authority a JOIN person.order_content c ON c.authority = a.id
        LEFT JOIN identity.key k ON k.id = a.key_id
        """,
        execution_options=_STREAMED,
    )
    for row in rows:
        content = bytes(row.bytes)
        try:
            said = json.loads(content)
            stated = (said["signer"], said["id"], said["kind"])
        except (ValueError, KeyError, TypeError):
            yield Difference("order_unreadable", str(row.id), row.order_kind)
            continue
        if stated != (str(row.signer), str(row.order_id), row.order_kind):
            yield Difference("order_differs", str(row.id), "signer, id or kind is not the row's")
        if row.kind not in ("signed_order", "mandate", "possession"):
            continue
        try:
            jwk = json.loads(row.jwk) if row.jwk else said["key"]
            key = crypto.public_key(jwk)
        except (ValueError, KeyError):
            yield Difference("key_missing", str(row.id), str(row.key_id))
            continue
        if row.key_id is not None and key.id != row.key_id:
            yield Difference("key_differs", str(row.id), str(row.key_id))
        base = bytes(row.signature_base or b"")
        if not key.verifies(bytes(row.signature or b""), base):
            yield Difference("signature_invalid", str(row.id), row.order_kind)
        elif not _covers(base, content):
            yield Difference("signature_covers_other", str(row.id), row.order_kind)


def _covers(base: bytes, content: bytes) -> bool:
    """Say whether a signature base covers exactly these bytes."""
    line = f'"content-digest": {signing.content_digest(content)}'.encode()
    return line in base.split(b"\n")


def events(connection: sa.Connection) -> Iterator[Difference]:
    """Look whether each event's bytes are canonical, so that hashing them again gives the same leaf for ever."""
    rows = connection.exec_driver_sql("SELECT id, bytes FROM ledger.event", execution_options=_STREAMED)
    for row in rows:
        raw = bytes(row.bytes)
        try:
            spelled = json.dumps(json.loads(raw), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        except ValueError:
            yield Difference("event_unreadable", str(row.id), hashlib.sha256(raw).hexdigest())
            continue
        if spelled != raw:
            yield Difference("event_not_canonical", str(row.id), hashlib.sha256(raw).hexdigest())


def ledger(connection: sa.Connection) -> Iterator[Difference]:
    """Prove the ledger."""
    yield from differences(connection, QUESTIONS)
    yield from signatures(connection)
    yield from events(connection)


def counts(connection: sa.Connection) -> dict[str, int]:
    """Return how much was looked at."""
    tables = ("account", "authority", "outcome", "entry", "posting", "event")
    question = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM ledger.{table}" for table in tables)  # noqa: S608
    return {name: int(count) for name, count in connection.exec_driver_sql(question)}
