"""Proof of the ledger: recompute everything from the first posting and name every difference by a stable code.

What    Each check is one question to the database, or one walk over it, and yields what it found wrong. All of them look
        at one snapshot, so a city at work can be proved.
Words   A difference is a code, the thing it is about, and what differs. No difference: the books are proved.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from wallet import crypto, signing
from wallet.ledger import questions
from wallet.ledger.questions import QUESTIONS, SINCE


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it must be."""

    code: str
    subject: str
    detail: str


IN_FLIGHT: Final = timedelta(hours=1)
"""A row may have been on its way when the period was closed; this is longer than any unit lives."""

TICK: Final = 1000

_STREAMED: Final = {"yield_per": 1000}
"""Rows by the thousand: the books need not fit into memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What an earlier proof has proven, and a later one goes on from: everything up to a closed period's mark."""

    ends: date
    mark: int
    closed_at: datetime
    digest: str


def base(connection: sa.Connection, *, ends: date | None = None) -> Base | None:
    """Return the base that the newest closed period makes, or the one that ends on a day."""
    row = connection.exec_driver_sql(questions.PROVEN, {"ends": ends}).one_or_none()
    return Base(**row._mapping) if row else None


def differences(
    connection: sa.Connection, questions: dict[str, str], *, since: datetime | None = None
) -> Iterator[Difference]:
    """Ask questions and yield each difference that the database names; with `since`, of rows that came since then.

    Bytes that were tampered with until the database itself cannot read them leave a question without an answer; that is
    named as well, and the other questions are still asked.
    """
    for code, question in questions.items():
        try:
            with connection.begin_nested():
                rows = connection.exec_driver_sql(*_narrowed(code, question, since)).all()
        except sa.exc.DataError as fault:
            yield Difference("question_unanswered", code, str(fault.orig).partition("\n")[0])
            continue
        for subject, detail in rows:
            yield Difference(code, str(subject), str(detail))


def _narrowed(code: str, question: str, since: datetime | None) -> tuple[str, dict[str, Any]]:
    """Have a question go over new rows only, where it is about rows that never change."""
    question = question.replace("%", "%%")
    if since is None or code not in SINCE:
        return question, {}
    (table, alias), column = SINCE[code][0].split(), SINCE[code][1]
    fresh = f"FROM (SELECT * FROM {table} WHERE {column} >= %(since)s) AS {alias}"  # noqa: S608 - constants of ours
    return question.replace(f"FROM {table} {alias}", fresh, 1), {"since": since}


@dataclass(frozen=True, slots=True)
class Part:
    """One of so many parts of the rows, about equal: by the last byte of their ids, which is random."""

    number: int = 0
    of: int = 1


WHOLE: Final = Part()


def contents(
    connection: sa.Connection,
    *,
    since: Base | None = None,
    part: Part = WHOLE,
    tick: Callable[[int], None] = lambda _: None,
) -> Iterator[Difference]:
    """Yield each difference in what is stored word for word: orders with their signatures, and events.

    Args:
        connection: of the audit role.
        since: what an earlier proof has proven; None: from the first.
        part: which rows; the rest are somebody else's.
        tick: told how many more rows were looked at.
    """
    came = since.closed_at - IN_FLIGHT if since else None
    yield from signatures(connection, since=came, part=part, tick=tick)
    yield from events(connection, since=came, part=part, tick=tick)


def _ticking(rows: Iterable[Any], tick: Callable[[int], None]) -> Iterator[Any]:
    for number, row in enumerate(rows, start=1):
        yield row
        if number % TICK == 0:
            tick(TICK)


def signatures(
    connection: sa.Connection,
    *,
    since: datetime | None = None,
    part: Part = WHOLE,
    tick: Callable[[int], None] = lambda _: None,
) -> Iterator[Difference]:
    """Verify every signed order anew: the key's own thumbprint, the signature over its base, the base over the bytes, the
    bytes against the row. An order whose content was shredded can no longer be verified and is no difference.
    """
    rows = connection.exec_driver_sql(
        """
        SELECT a.id, a.kind, a.signer, a.order_id, a.order_kind, a.key_id, k.jwk, c.bytes, c.signature_base, c.signature
        FROM ledger.authority a JOIN person.order_content c ON c.authority = a.id
        LEFT JOIN identity.key k ON k.id = a.key_id
        WHERE (%(since)s::timestamptz IS NULL OR a.at >= %(since)s)
          AND get_byte(uuid_send(a.id), 15) %% %(of)s = %(number)s
        """,
        {"since": since, "number": part.number, "of": part.of},
        execution_options=_STREAMED,
    )
    for row in _ticking(rows, tick):
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
            key = crypto.public_key_of(row.jwk) if row.jwk else crypto.public_key(said["key"])
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


def events(
    connection: sa.Connection,
    *,
    since: datetime | None = None,
    part: Part = WHOLE,
    tick: Callable[[int], None] = lambda _: None,
) -> Iterator[Difference]:
    """Look whether each event's bytes are canonical, so that hashing them again gives the same leaf for ever."""
    rows = connection.exec_driver_sql(
        "SELECT id, bytes FROM ledger.event WHERE (%(since)s::timestamptz IS NULL OR at >= %(since)s)"
        " AND get_byte(uuid_send(id), 15) %% %(of)s = %(number)s",
        {"since": since, "number": part.number, "of": part.of},
        execution_options=_STREAMED,
    )
    for row in _ticking(rows, tick):
        raw = bytes(row.bytes)
        try:
            spelled = json.dumps(json.loads(raw), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        except ValueError:
            yield Difference("event_unreadable", str(row.id), hashlib.sha256(raw).hexdigest())
            continue
        if spelled != raw:
            yield Difference("event_not_canonical", str(row.id), hashlib.sha256(raw).hexdigest())


def ledger(connection: sa.Connection, *, since: Base | None = None) -> Iterator[Difference]:
    """Prove the ledger from the first posting; with `since`, from what an earlier proof has proven.

    An incremental proof looks at every row that came since, at everything that is about the present (balances, floors,
    holds, limits), and that the snapshot it stands on is still the one that was proven.
    """
    came = since.closed_at - IN_FLIGHT if since else None
    if since is None:
        yield from differences(connection, QUESTIONS)
    else:
        now = base(connection, ends=since.ends)
        if now != since:
            yield Difference("proven_base_differs", since.ends.isoformat(), f"proven {since}, now {now}")
            return
        for account, detail in connection.exec_driver_sql(
            questions.BALANCES_SINCE, {"mark": since.mark, "ends": since.ends}
        ):
            yield Difference("balance_differs", str(account), detail)
        asked = {code: question for code, question in QUESTIONS.items() if code not in questions.WHOLE}
        yield from differences(connection, asked, since=came)


def counts(connection: sa.Connection) -> dict[str, int]:
    """Return how much was looked at."""
    tables = ("account", "authority", "outcome", "entry", "posting", "event")
    question = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM ledger.{table}" for table in tables)  # noqa: S608
    return {name: int(count) for name, count in connection.exec_driver_sql(question)}
