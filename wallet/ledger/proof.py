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


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it must be."""

    code: str
    subject: str
    detail: str


_STREAMED: Final = {"yield_per": 1000}
"""Rows by the thousand: the books need not fit into memory."""

Check = Callable[[sa.Connection], Iterator[Difference]]

QUESTIONS: Final[dict[str, str]] = {
    # What stored balances say against what the postings come to.
    "balance_differs": """
        WITH moved AS (
            SELECT x.account, sum(x.amount) AS amount FROM (
                SELECT debit AS account, amount FROM ledger.posting UNION ALL SELECT credit, -amount FROM ledger.posting
            ) AS x GROUP BY x.account
        )
        SELECT a.id, format('stored %s, postings come to %s', b.posted,
                            CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * coalesce(m.amount, 0))
        FROM ledger.account a
        LEFT JOIN ledger.balance_now b ON b.account = a.id
        LEFT JOIN moved m ON m.account = a.id
        WHERE b.posted IS DISTINCT FROM CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * coalesce(m.amount, 0)""",
    "floor_broken": """
        SELECT a.id, format('available %s is below the floor %s', b.posted - b.held, a.floor)
        FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id WHERE b.posted - b.held < a.floor""",
    "floor_differs": """
        SELECT a.id, format('account %s, balance row %s, chart %s', a.floor, b.floor, c.floor)
        FROM ledger.account a JOIN ledger.balance b ON b.account = a.id JOIN ledger.chart c ON c.code = a.code
        WHERE a.floor IS DISTINCT FROM b.floor OR a.floor IS DISTINCT FROM c.floor OR a.normal <> c.normal""",
    "held_unexplained": """
        SELECT account, format('held %s without a hold', held) FROM ledger.balance WHERE held <> 0""",
    "trial_balance_differs": """
        SELECT 'trial balance', format('debit accounts %s, credit accounts %s', t.debit, t.credit)
        FROM (SELECT coalesce(sum(b.posted) FILTER (WHERE a.normal = 'debit'), 0) AS debit,
                     coalesce(sum(b.posted) FILTER (WHERE a.normal = 'credit'), 0) AS credit
              FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id) AS t
        WHERE t.debit <> t.credit""",
    # Nothing hangs in the air.
    "posting_orphan": """
        SELECT p.entry, format('line %s', p.line) FROM ledger.posting p
        LEFT JOIN ledger.entry e ON e.id = p.entry
        LEFT JOIN ledger.account d ON d.id = p.debit
        LEFT JOIN ledger.account c ON c.id = p.credit
        WHERE e.id IS NULL OR d.id IS NULL OR c.id IS NULL""",
    "posting_unsound": """
        SELECT entry, format('line %s: amount %s', line, amount) FROM ledger.posting
        WHERE amount NOT BETWEEN 1 AND 1000000000000000 OR debit = credit""",
    "delta_orphan": """
        SELECT d.id, d.account::text FROM ledger.delta d LEFT JOIN ledger.balance b ON b.account = d.account
        WHERE b.account IS NULL""",
    "entry_empty": """
        SELECT e.id, e.kind FROM ledger.entry e WHERE NOT EXISTS (SELECT 1 FROM ledger.posting p WHERE p.entry = e.id)""",
    # Each authority and its entries, both ways.
    "entry_without_authority": """
        SELECT e.id, e.kind FROM ledger.entry e LEFT JOIN ledger.authority a ON a.id = e.authority WHERE a.id IS NULL""",
    "authority_without_outcome": """
        SELECT a.id, a.order_kind FROM ledger.authority a LEFT JOIN ledger.outcome o ON o.authority = a.id
        WHERE o.authority IS NULL""",
    "entry_unsigned": """
        SELECT e.id, a.kind FROM ledger.entry e JOIN ledger.authority a ON a.id = e.authority
        WHERE a.kind NOT IN ('signed_order', 'outside_word')""",
    "entry_not_of_order": """
        SELECT e.id, format('%s by an order to %s', e.kind, a.order_kind) FROM ledger.entry e
        JOIN ledger.authority a ON a.id = e.authority
        WHERE a.kind = 'signed_order' AND (e.kind <> a.order_kind OR e.kind NOT IN ('transfer', 'bill_payment'))""",
    "entry_unnamed": """
        SELECT e.id, 'its authority does not name it' FROM ledger.entry e
        LEFT JOIN ledger.outcome o ON o.authority = e.authority WHERE e.id <> ALL (coalesce(o.entries, '{}'))""",
    "outcome_entry_missing": """
        SELECT o.authority, n.id::text FROM ledger.outcome o CROSS JOIN LATERAL unnest(o.entries) AS n (id)
        LEFT JOIN ledger.entry e ON e.id = n.id AND e.authority = o.authority WHERE e.id IS NULL""",
    "refusal_wrote": """
        SELECT o.authority, o.code FROM ledger.outcome o
        WHERE o.code IS NOT NULL AND (EXISTS (SELECT 1 FROM ledger.entry e WHERE e.authority = o.authority)
                                      OR EXISTS (SELECT 1 FROM ledger.event v WHERE v.authority = o.authority))""",
    # Each thing done is told, and told as it was.
    "entry_untold": """
        SELECT e.id, e.kind FROM ledger.entry e WHERE NOT EXISTS (SELECT 1 FROM ledger.event v WHERE v.entry = e.id)""",
    "authority_untold": """
        SELECT a.id, a.order_kind FROM ledger.authority a JOIN ledger.outcome o ON o.authority = a.id
        WHERE o.code IS NULL AND NOT EXISTS (SELECT 1 FROM ledger.event v WHERE v.authority = a.id)""",
    "event_differs": """
        WITH told AS (SELECT v.*, convert_from(v.bytes, 'UTF8')::jsonb AS said FROM ledger.event v)
        SELECT t.id, t.type FROM told t
        WHERE t.said ->> 'id' <> t.id::text OR t.said ->> 'type' <> t.type OR t.said ->> 'subject' <> t.subject
           OR t.said ->> 'actor' <> coalesce(t.actor::text, '') OR t.said ->> 'v' <> '1'
           OR (t.said ->> 'at')::timestamptz <> t.at""",
    "event_entry_differs": """
        WITH told AS (SELECT v.entry, v.id, convert_from(v.bytes, 'UTF8')::jsonb -> 'data' -> 'entry' AS said
                      FROM ledger.event v WHERE v.entry IS NOT NULL)
        SELECT t.id, format('entry %s', t.entry) FROM told t
        LEFT JOIN ledger.entry e ON e.id = t.entry
        LEFT JOIN LATERAL (
            SELECT jsonb_agg(jsonb_build_object('debit', p.debit::text, 'credit', p.credit::text, 'amount', p.amount::text)
                             ORDER BY p.line) AS postings
            FROM ledger.posting p WHERE p.entry = t.entry) AS p ON true
        WHERE e.id IS NULL OR t.said -> 'postings' IS DISTINCT FROM p.postings OR t.said ->> 'id' <> e.id::text
           OR t.said ->> 'kind' <> e.kind OR t.said ->> 'settles' <> coalesce(e.settles::text, '')
           OR (t.said ->> 'effective_at')::timestamptz <> e.effective_at""",
    "event_order_differs": """
        SELECT v.id, v.type FROM ledger.event v LEFT JOIN ledger.authority a ON a.id = v.authority
        WHERE v.authority IS NOT NULL
          AND (convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,order,authority}' IS DISTINCT FROM a.id::text
               OR convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,order,digest}' IS DISTINCT FROM encode(a.digest, 'hex')
               OR v.actor IS DISTINCT FROM a.signer)""",
    # What was asked is what was kept, and nobody's money goes without their asking.
    "drawn_unsigned": """
        SELECT e.id, format('%s %s, drawn by %s of %s', d.code, d.id, a.kind, a.signer) FROM ledger.posting p
        JOIN ledger.account d ON d.id = p.debit
        JOIN ledger.entry e ON e.id = p.entry JOIN ledger.authority a ON a.id = e.authority
        WHERE CASE a.kind WHEN 'signed_order' THEN d.code <> 'wallet' OR d.holder IS DISTINCT FROM a.signer
                          ELSE d.code NOT LIKE 'bank.%' END""",
    "digest_differs": """
        SELECT a.id, a.order_kind FROM ledger.authority a JOIN person.order_content c ON c.authority = a.id
        WHERE sha256(c.salt || c.bytes) <> a.digest""",
    "key_not_signers": """
        SELECT a.id, a.key_id FROM ledger.authority a LEFT JOIN identity.key k ON k.id = a.key_id
        WHERE a.key_id IS NOT NULL AND k.holder IS DISTINCT FROM a.signer""",
}
"""One question for each code. Its answer is a row for each difference: about what, and what differs."""


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
        if row.kind not in ("signed_order", "possession"):
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
