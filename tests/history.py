"""Histories: what many clients asked and what they were told, held against the books.

Words   A history is one device's own record, written line by line, before it asks and after it was answered, so that a
        device that is killed has still said what it asked.
        Means: what an order comes to if it is carried out, as its device knew when it asked.
Check   Every acknowledged order is in the books once, with the acknowledged bytes and what it means; every refused one wrote
        nothing else; every other one is there at most once, and then whole; nothing is there that nobody asked for; and
        each account comes to what it had and what the histories say, no đồng more or less.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

Key = tuple[str, str]
"""Signer and order id: what makes an order the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What an order comes to: postings as (debit, credit, đồng), holds as (account, payee, đồng), resolutions as (hold,
    kind, đồng captured), moves of accounts as (account, state).

    `partly`: only those of its postings that the answer names by number are made.
    """

    postings: tuple[tuple[str, str, int], ...] = ()
    holds: tuple[tuple[str, str, int], ...] = ()
    resolves: tuple[tuple[str, str, int], ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    partly: bool = False

    def spelled(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("postings", "holds", "resolves", "moves", "partly")}

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Means":
        lists = {name: tuple(tuple(one) for one in said[name]) for name in ("postings", "holds", "resolves", "moves")}
        return cls(**lists, partly=said["partly"])

    def made(self, body: bytes) -> "Means":
        """What is made of it when this is the answer."""
        if not self.partly:
            return self
        paid = [int(number) for number in json.loads(body)["paid"]]
        return Means(postings=tuple(self.postings[number] for number in paid))


@dataclass(slots=True, kw_only=True)
class Asked:
    """One order, by however many devices it was sent, and all that they were told."""

    kind: str
    content: bytes
    means: Means
    answers: set[tuple[int, bytes]] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Tries that brought no answer, after which the same bytes were sent again."""

    @property
    def done(self) -> bool:
        """Whether somebody was told that it was carried out."""
        return any(status < 400 for status, _ in self.answers)

    @property
    def refused(self) -> str | None:
        """The code with which it was refused, if it was."""
        return next((json.loads(body)["code"] for status, body in self.answers if status >= 400), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An order as it stands in the books."""

    kind: str
    status: int
    code: str | None
    body: bytes
    content: bytes
    means: Means
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All orders, and each account's posted and held đồng with its normal side."""

    orders: dict[Key, Row]
    balances: dict[str, tuple[int, int, str]]


History = dict[Key, Asked]

_ORDERS = """
    SELECT a.signer::text, a.order_id::text, a.order_kind AS kind, o.status, o.code, o.body, c.bytes AS content,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(p.debit, p.credit, p.amount)), '[]')
            FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id WHERE e.authority = a.id) AS postings,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(h.account, h.payee, h.amount)), '[]')
            FROM ledger.hold h WHERE h.authority = a.id) AS holds,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(r.hold, r.kind, r.captured)), '[]')
            FROM ledger.resolution r WHERE r.authority = a.id) AS resolves,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(m.account, m.status)), '[]')
            FROM ledger.account_move m WHERE m.authority = a.id) AS moves,
           (SELECT count(*) FROM ledger.event v WHERE v.authority = a.id) AS events
    FROM ledger.authority a LEFT JOIN ledger.outcome o ON o.authority = a.id
    LEFT JOIN person.order_content c ON c.authority = a.id
    WHERE a.kind <> 'rule_run'
"""
_BALANCES = """
    SELECT a.id::text, a.normal, b.posted, b.held FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id
"""


def books(engine: sa.Engine) -> Books:
    """Read the books, in one snapshot."""
    with engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
        found = {}
        for row in connection.exec_driver_sql(_ORDERS):
            parts = {name: getattr(row, name) for name in ("postings", "holds", "resolves", "moves")}
            found[row.signer, row.order_id] = Row(
                kind=row.kind,
                status=row.status,
                code=row.code,
                body=bytes(row.body),
                content=bytes(row.content),
                means=Means.of({**parts, "partly": False}),
                events=row.events,
            )
        balances = {row.id: (row.posted, row.held, row.normal) for row in connection.exec_driver_sql(_BALANCES)}
    return Books(orders=found, balances=balances)


def read(folder: Path) -> History:
    """Put the histories of all devices together: an order that two of them sent is one order."""
    asked: History = {}
    for file in sorted(folder.glob("*.jsonl")):
        keys: dict[int, Key] = {}
        for line in file.read_text().splitlines():
            said = json.loads(line)
            number = said["n"]
            if "ask" in said:
                one = said["ask"]
                keys[number] = (one["signer"], one["id"])
                made = Asked(kind=one["kind"], content=one["content"].encode(), means=Means.of(one["means"]))
                known = asked.setdefault(keys[number], made)
                assert (known.content, known.means) == (made.content, made.means), "the devices themselves are sound"
            elif "got" in said:
                status, body = said["got"]
                asked[keys[number]].answers.add((status, body.encode()))
            elif "lost" in said:
                asked[keys[number]].lost.append(said["lost"])
            else:
                asked[keys[number]].failures.append(said["failed"])
    return asked


def failures(asked: History) -> list[str]:
    """What reached a caller that never may: a deadlock, a serialisation failure, a bug."""
    return [f"{one.kind}: {failure}" for one in asked.values() for failure in one.failures]


def differences(asked: History, before: Books, after: Books) -> Iterator[str]:
    """Hold histories against the books before and after, and name every difference."""
    new = {key: row for key, row in after.orders.items() if key not in before.orders}
    for key in new.keys() - asked.keys():
        yield f"in the books and never asked: {new[key].kind} {key[1]}"
    for key, one in asked.items():
        row = new.get(key)
        if row is None:
            if one.answers:
                yield f"acknowledged and not in the books: {one.kind} {key[1]} {one.answers}"
        else:
            yield from (f"{what}: {one.kind} {key[1]}" for what in _order(one, row))
    yield from _balances(asked, new, before, after)


def _order(one: Asked, row: Row) -> Iterator[str]:
    if one.answers - {(row.status, row.body)}:
        yield "answered otherwise than stored"
    if row.content != one.content:
        yield "other bytes than were asked"
    if row.code is not None:
        if row.means != Means() or row.events:
            yield "refused, and wrote"
        return
    if _sorted(row.means) != _sorted(one.means.made(row.body)):
        yield "carried out otherwise than asked"


def _sorted(means: Means) -> list[Counter[Any]]:
    """An order's parts, however they are arranged. A capture that takes all is told by its amount alone."""
    return [Counter(means.postings), Counter(means.holds), Counter(means.resolves), Counter(means.moves)]


def _balances(asked: History, new: dict[Key, Row], before: Books, after: Books) -> Iterator[str]:
    """Each account's posted by what the histories say of the orders that the books carried out. What was held is the holds'
    own sum, which `prove` recomputes.
    """
    expected = Counter({account: posted for account, (posted, _, _) in before.balances.items()})
    for key, one in asked.items():
        if key not in new or new[key].code is not None:
            continue
        for debit, credit, amount in one.means.made(new[key].body).postings:
            expected[debit] += amount if after.balances[debit][2] == "debit" else -amount
            expected[credit] += amount if after.balances[credit][2] == "credit" else -amount
    for account, (posted, held, _) in after.balances.items():
        if posted != expected[account]:
            yield f"account {account}: posted {posted}, by the histories {expected[account]}"
        if held < 0:
            yield f"account {account}: held {held}"
