"""Orders: from a verified request to an outcome that sticks.

Words   An order is identified by (signer, id). Its first executed outcome, refusals included, is stored and given to every
        retry, byte for byte, also after the order's window has passed.
        An order that lapsed before it was executed is refused once and for all, so its signer knows it never will be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast
from uuid import UUID, uuid5

import sqlalchemy as sa

from wallet import canonical, db, ledger
from wallet.canonical import Json
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Evidence, Found, Plan
from wallet.ledger.refusals import KeyDead, NotAdmitted, Stale
from wallet.refusal import Refusal


class IdReused(Refusal):
    """This signer used this order id for other bytes."""

    code = "order_id_reused"
    status = 422
    stored = False


class Lapsed(Refusal):
    """The order's own window has passed and it was never executed; now it never will be."""

    code = "order_lapsed"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an order: status and bytes as first answered; `replayed` says that it was answered before."""

    status: int
    body: bytes
    replayed: bool


def carry_out(
    database: sa.Engine,
    evidence: Evidence,
    *,
    admits: frozenset[str],
    decide: Callable[[sa.Connection, Claim], Plan],
    spell: Callable[[object], bytes],
    spell_refusal: Callable[[Refusal], bytes],
    status: int,
    now: datetime,
    at_once: bool = False,
) -> Outcome:
    """Claim an order, decide it, carry out the plan or store the refusal: money, event and answer together or not at all.

    A refusal rolls the deciding unit back whole and is stored by a unit of its own, so that whatever the verb had
    touched, "a refusal has written nothing but its outcome". If a twin got an outcome in between, that one is answered.

    Args:
        database: the application's engine.
        evidence: the order's bytes and who signed them, verified.
        admits: the roles that may do this.
        decide: the verb; may run again. It runs inside the unit or, with `at_once`, before its only statement: then it
            reads and writes nothing, and what it stands on is checked under lock by the ledger or by its plan's guard.
        spell: spells the plan's answer as the stored bytes.
        spell_refusal: spells a refusal's problem document.
        status: of an answer that was carried out.
        now: the door's clock.
        at_once: whether claim and plan go to the database as one statement.

    Raises:
        Refusal: those that store nothing (KeyDead, IdReused, NotAdmitted).
    """

    def execute(unit: sa.Connection) -> Outcome:
        claim = Claim.of(evidence)
        known = _claim(unit, evidence, claim, admits)
        if known:
            return known
        _live(evidence, now)
        plan = decide(unit, claim)
        body = spell(plan.answer)
        ledger.post(unit, claim, plan, status=status, body=body)
        return Outcome(status=status, body=body, replayed=False)

    def execute_at_once(connection: sa.Connection) -> Outcome:
        claim = Claim.of(evidence)
        _live(evidence, now)
        plan = decide(connection, claim)
        body = spell(plan.answer)
        found = ledger.post_order(connection, evidence, claim, plan, admits=admits, status=status, body=body)
        return _known(found) or Outcome(status=status, body=body, replayed=False)

    try:
        if at_once:
            return _while_stale(lambda: db.at_once(database, execute_at_once))
        return _while_stale(lambda: db.unit(database, execute))
    except Refusal as refusal:
        if not refusal.stored:
            raise
        refused, body = refusal, spell_refusal(refusal)

    def refuse(unit: sa.Connection) -> Outcome:
        claim = Claim.of(evidence)
        known = _claim(unit, evidence, claim, admits)
        if known:
            return known
        ledger.refuse(unit, claim, refused, body=body)
        return Outcome(status=refused.status, body=body, replayed=False)

    return db.unit(database, refuse)


RULE: Final = HolderId(UUID("00000000-0000-7000-8000-000000000000"))
"""Whose order a run of a rule is: the service's own, which signs nothing and holds no account."""

RULE_DONE: Final = 200

_RUNS: Final = UUID("0b6b8cb5-6d0e-5b6f-8d3e-3f6f5b0f3a10")


def run_rule(
    database: sa.Engine,
    rule: str,
    key: str,
    *,
    decide: Callable[[sa.Connection, Claim], Plan],
    now: datetime,
    at_once: bool = True,
) -> Outcome:
    """Carry out a dated rule about `key`, once: however many workers run it, it is one order with one outcome.

    Args:
        database: the application's engine.
        rule: the rule's code, which is the kind of its order.
        key: what this run is about: a day, a hold.
        decide: as in `carry_out`; its plan's answer is a JSON object.
        now: the process's clock.
        at_once: as in `carry_out`.
    """
    order = OrderId(uuid5(_RUNS, f"{rule}:{key}"))
    said = {"id": str(order), "key": key, "kind": rule, "signer": str(RULE), "v": "1"}
    evidence = Evidence(kind="rule_run", signer=RULE, order_id=order, order_kind=rule, content=canonical.dumps(said))
    return carry_out(
        database,
        evidence,
        admits=frozenset(),
        decide=decide,
        spell=lambda answer: canonical.dumps(cast("Json", answer)),
        spell_refusal=lambda refusal: canonical.dumps({"code": refusal.code, **refusal.facts}),
        status=RULE_DONE,
        now=now,
        at_once=at_once,
    )


def _live(evidence: Evidence, now: datetime) -> None:
    if evidence.expires is not None and now > evidence.expires:
        raise Lapsed


def _while_stale(work: Callable[[], Outcome]) -> Outcome:
    """Decide anew while what the decision stood on keeps changing, a bounded number of times."""
    for left in reversed(range(db.UNIT_TRIES)):
        try:
            return work()
        except Stale:
            if left == 0:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _claim(unit: sa.Connection, evidence: Evidence, claim: Claim, admits: frozenset[str]) -> Outcome | None:
    """Claim an order in a unit; return its outcome if it has one."""
    found = ledger.claim(unit, evidence, claim)
    if found.state == "key_dead":
        raise KeyDead
    if evidence.kind != "rule_run" and not found.roles & admits:
        raise NotAdmitted
    return _known(found)


def _known(found: Found) -> Outcome | None:
    if found.state == "differs":
        raise IdReused(param="id")
    if found.state == "new":
        return None
    assert found.status is not None, "a known order has an outcome"
    assert found.body is not None, "a known order has an outcome"
    return Outcome(status=found.status, body=found.body, replayed=True)
