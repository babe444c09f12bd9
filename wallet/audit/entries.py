"""One entry with everything it stands on: its postings, whose word, the words, the signature, the leaf, the proof.

How     Each claim is checked anew where it is shown, with what the audit role can read: nothing is believed because it is in
        a row. A check that cannot be made (the words were shredded, the leaf is not sealed yet) says so instead of passing.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa

from wallet import crypto
from wallet.exports import leaves
from wallet.exports.leaves import Log
from wallet.ids import EntryId
from wallet.log import merkle
from wallet.refusal import Refusal

Passed = Literal["yes", "no", "cannot tell"]

_SIGNED: Final = ("signed_order", "mandate")

HIDDEN: Final = frozenset({"memo", "name", "phone", "debtor_name", "debtor_phone", "detail", "code", "label"})
"""Members of orders that name a person or that a person wrote to another: an auditor sees that they are there."""

_MASK: Final = "•••"


class NotFound(Refusal):
    """There is no such entry or account in the books."""

    code = "audit_not_found"
    status = 404
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An account as a posting names it."""

    account: UUID
    code: str
    holder: UUID | None
    chuong: str | None
    tieu_muc: str | None
    dia_ban: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One debit with one credit, in whole đồng."""

    line: int
    debit: Side
    credit: Side
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that was checked just now, by its code."""

    code: str
    passed: Passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An event's place in the log, with the proof that leads from it to the newest checkpoint."""

    event: UUID
    type: str
    at: datetime
    spelled: str
    index: int | None
    hash: str
    proof: tuple[str, ...]
    size: int | None
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """The authority that an entry stands on. `content` is the order, word for word, but for what names a person."""

    id: UUID
    kind: str
    order_kind: str
    order: UUID
    signer: UUID
    at: datetime
    digest: str
    under: UUID | None
    content: Mapping[str, Any] | None
    signature_base: str | None
    signature: str | None
    key_id: str | None
    jwk: Mapping[str, str] | None
    key_state: str | None
    enrolled_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry and what it stands on."""

    id: UUID
    kind: str
    effective_at: datetime
    posted_at: datetime
    settles: UUID | None
    reverses: UUID | None
    refunds: UUID | None
    undone_by: tuple[UUID, ...]
    postings: tuple[Posting, ...]
    word: Word
    leaves: tuple[Leaf, ...]
    checks: tuple[Check, ...]

    @property
    def amount(self) -> int:
        """What its postings come to, in whole đồng."""
        return sum(posting.amount for posting in self.postings)


def find(connection: sa.Connection, id: EntryId, *, log: Log) -> Found:
    """Return an entry, checked.

    Args:
        connection: of the audit role.
        id: the entry's.
        log: the published log.

    Raises:
        NotFound.
    """
    row = connection.exec_driver_sql(_ENTRY, {"id": id}).one_or_none()
    if row is None:
        raise NotFound(param="entry")
    postings = _postings(connection, id)
    told = connection.exec_driver_sql(_EVENTS, {"id": id}).all()
    found = tuple(_leaf(one, log) for one in told)
    return Found(
        id=row.id,
        kind=row.kind,
        effective_at=row.effective_at,
        posted_at=row.posted_at,
        settles=row.settles,
        reverses=row.reverses,
        refunds=row.refunds,
        undone_by=tuple(row.undone_by or ()),
        postings=postings,
        word=_word(row),
        leaves=found,
        checks=tuple(_checks(row, postings, told, found)),
    )


_ENTRY: Final = """
    SELECT e.*, u.id AS word, u.kind AS word_kind, u.order_kind, u.order_id, u.signer, u.key_id, u.digest, u.at, u.under,
           c.salt, c.bytes, c.signature_base, c.signature, k.jwk, k.holder AS key_holder, k.state AS key_state,
           k.enrolled_at, k.revoked_at,
           ARRAY(SELECT x.id FROM ledger.entry x WHERE x.reverses = e.id OR x.refunds = e.id ORDER BY x.id) AS undone_by
    FROM ledger.entry e
    JOIN ledger.authority u ON u.id = e.authority
    LEFT JOIN person.order_content c ON c.authority = u.id
    LEFT JOIN identity.key k ON k.id = u.key_id
    WHERE e.id = %(id)s
"""
_EVENTS: Final = """
    SELECT v.id, v.type, v.at, v.bytes, l.index FROM ledger.event v LEFT JOIN log.leaf l ON l.event = v.id
    WHERE v.entry = %(id)s ORDER BY v.seq
"""
_POSTINGS: Final = """
    SELECT p.line, p.amount, p.debit, d.code AS d_code, d.holder AS d_holder, d.chuong AS d_chuong, d.tieu_muc AS d_tieu_muc,
           d.dia_ban AS d_dia_ban, p.credit, c.code AS c_code, c.holder AS c_holder, c.chuong AS c_chuong,
           c.tieu_muc AS c_tieu_muc, c.dia_ban AS c_dia_ban
    FROM ledger.posting p JOIN ledger.account d ON d.id = p.debit JOIN ledger.account c ON c.id = p.credit
    WHERE p.entry = %(id)s ORDER BY p.line
"""


def _postings(connection: sa.Connection, id: EntryId) -> tuple[Posting, ...]:
    return tuple(
        Posting(
            line=row.line,
            debit=Side(
                account=row.debit, code=row.d_code, holder=row.d_holder, chuong=row.d_chuong, tieu_muc=row.d_tieu_muc,
                dia_ban=row.d_dia_ban,
            ),
            credit=Side(
                account=row.credit, code=row.c_code, holder=row.c_holder, chuong=row.c_chuong, tieu_muc=row.c_tieu_muc,
                dia_ban=row.c_dia_ban,
            ),
            amount=row.amount,
        )
        for row in connection.exec_driver_sql(_POSTINGS, {"id": id})
    )  # fmt: skip


def _word(row: Any) -> Word:
    return Word(
        id=row.word,
        kind=row.word_kind,
        order_kind=row.order_kind,
        order=row.order_id,
        signer=row.signer,
        at=row.at,
        digest=bytes(row.digest).hex(),
        under=row.under,
        content=_without_names(json.loads(bytes(row.bytes))) if row.bytes is not None else None,
        signature_base=bytes(row.signature_base).decode() if row.signature_base is not None else None,
        signature=_b64(bytes(row.signature)) if row.signature is not None else None,
        key_id=row.key_id,
        jwk=json.loads(row.jwk) if row.jwk else None,
        key_state=row.key_state,
        enrolled_at=row.enrolled_at,
        revoked_at=row.revoked_at,
    )


def _without_names(said: Any) -> Any:
    """Return an order's members with those hidden that name a person, however deep."""
    if isinstance(said, dict):
        return {name: _MASK if name in HIDDEN and one else _without_names(one) for name, one in said.items()}
    return [_without_names(one) for one in said] if isinstance(said, list) else said


def _leaf(row: Any, log: Log) -> Leaf:
    spelled = bytes(row.bytes)
    promise = leaves.promised(log)
    if promise and (row.index is None or row.index >= promise.checkpoint.size):
        promise = None  # it waits for its place, or for a checkpoint that covers it
    proof = merkle.inclusion_proof(promise.nodes, row.index, promise.checkpoint.size) if promise else []
    return Leaf(
        event=row.id,
        type=row.type,
        at=row.at,
        spelled=spelled.decode(),
        index=row.index,
        hash=_b64(merkle.leaf_hash(spelled)),
        proof=tuple(_b64(one) for one in proof),
        size=promise.checkpoint.size if promise else None,
        root=_b64(promise.checkpoint.root) if promise else "",
    )


def _checks(row: Any, postings: tuple[Posting, ...], told: Any, found: tuple[Leaf, ...]) -> list[Check]:
    checks = [Check(code="told", passed=_passed(any(_tells(bytes(one.bytes), row, postings) for one in told)))]
    content = bytes(row.bytes) if row.bytes is not None else None
    if content is None:
        checks.append(Check(code="digest", passed="cannot tell"))
    else:
        digest = hashlib.sha256(bytes(row.salt) + content).digest()
        checks.append(Check(code="digest", passed=_passed(digest == bytes(row.digest))))
    if row.word_kind in _SIGNED:
        checks += _signature_checks(row, content)
    checks.append(Check(code="leaf", passed=_proven(found)))
    return checks


def _signature_checks(row: Any, content: bytes | None) -> list[Check]:
    if row.signature is None or row.jwk is None:
        return [Check(code=code, passed="cannot tell") for code in ("signature", "covers", "key")]
    base = bytes(row.signature_base)
    signed = crypto.public_key_of(row.jwk).verifies(bytes(row.signature), base)
    covered: Passed = "cannot tell"
    if content is not None:
        line = f'"content-digest": sha-256=:{_b64(hashlib.sha256(content).digest())}:'
        covered = _passed(line in base.decode().split("\n"))
    alive = row.enrolled_at <= row.at and (row.revoked_at is None or row.at <= row.revoked_at)
    return [
        Check(code="signature", passed=_passed(signed)),
        Check(code="covers", passed=covered),
        Check(code="key", passed=_passed(alive and row.key_holder == row.signer)),
    ]


def _tells(spelled: bytes, row: Any, postings: tuple[Posting, ...]) -> bool:
    """Say whether an event tells of this very entry, posting by posting."""
    said = json.loads(spelled)["data"].get("entry", {})
    told = [(one["debit"], one["credit"], one["amount"]) for one in said.get("postings", ())]
    ours = [(str(one.debit.account), str(one.credit.account), str(one.amount)) for one in postings]
    return (said.get("id"), said.get("kind"), told) == (str(row.id), row.kind, ours)


def _proven(found: tuple[Leaf, ...]) -> Passed:
    """Verify each leaf's proof as a stranger would: from its bytes to the checkpoint's root."""
    if not found or any(leaf.size is None for leaf in found):
        return "cannot tell"
    for leaf in found:
        assert leaf.index is not None, "a leaf that is in a tree has a place"
        assert leaf.size is not None, "asked above"
        proof = [_unb64(one) for one in leaf.proof]
        try:
            merkle.check_inclusion(leaf.spelled.encode(), leaf.index, leaf.size, proof, _unb64(leaf.root))
        except merkle.BadProof:
            return "no"
    return "yes"


def _passed(is_so: bool) -> Passed:
    return "yes" if is_so else "no"


def _b64(value: bytes) -> str:
    return b64encode(value).decode()


def _unb64(text: str) -> bytes:
    return b64decode(text)
