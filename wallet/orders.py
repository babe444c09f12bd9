"""Orders: from a verified request to an outcome that sticks.

Words   An order is identified by (signer, id). Its first executed outcome, refusals included, is stored and given to every
        retry, byte for byte, also after the order's window has passed.
        An order that lapsed before it was executed is refused once and for all, so its signer knows it never will be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from wallet import db, ledger
from wallet.ledger import Claim, Evidence, Plan
from wallet.refusal import Refusal


class KeyDead(Refusal):
    """The key is unknown, revoked, not yet approved, or not the signer's."""

    code = "signature_key"
    status = 401
    stored = False


class IdReused(Refusal):
    """This signer used this order id for other bytes."""

    code = "order_id_reused"
    status = 422
    stored = False


class NotAdmitted(Refusal):
    """The caller's role does not admit this act."""

    code = "role_not_admitted"
    status = 403
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
) -> Outcome:
    """Claim an order, decide it, carry out the plan or store the refusal: money, event and answer together or not at all.

    A refusal rolls the deciding unit back whole and is stored by a unit of its own, so that whatever the verb had
    touched, "a refusal has written nothing but its outcome". If a twin got an outcome in between, that one is answered.

    Args:
        database: the application's engine.
        evidence: the order's bytes and who signed them, verified.
        admits: the roles that may do this.
        decide: the verb; runs inside the unit, may run again.
        spell: spells the plan's answer as the stored bytes.
        spell_refusal: spells a refusal's problem document.
        status: of an answer that was carried out.
        now: the door's clock.

    Raises:
        Refusal: those that store nothing (KeyDead, IdReused, NotAdmitted).
    """

    def execute(unit: sa.Connection) -> Outcome:
        claim, known = _claim(unit, evidence, admits)
        if known:
            return known
        if evidence.expires is not None and now > evidence.expires:
            raise Lapsed
        plan = decide(unit, claim)
        body = spell(plan.answer)
        ledger.execute(unit, claim, plan, status=status, body=body)
        return Outcome(status=status, body=body, replayed=False)

    try:
        return db.unit(database, execute)
    except Refusal as refusal:
        if not refusal.stored:
            raise
        refused, body = refusal, spell_refusal(refusal)

    def refuse(unit: sa.Connection) -> Outcome:
        claim, known = _claim(unit, evidence, admits)
        if known:
            return known
        ledger.refuse(unit, claim, refused, body=body)
        return Outcome(status=refused.status, body=body, replayed=False)

    return db.unit(database, refuse)


def _claim(unit: sa.Connection, evidence: Evidence, admits: frozenset[str]) -> tuple[Claim, Outcome | None]:
    claim = ledger.claim(unit, evidence)
    if claim.state == "key_dead":
        raise KeyDead
    if not claim.roles & admits:
        raise NotAdmitted
    if claim.state == "differs":
        raise IdReused(param="id")
    if claim.state == "known":
        assert claim.status is not None, "a known order has an outcome"
        assert claim.body is not None, "a known order has an outcome"
        return claim, Outcome(status=claim.status, body=claim.body, replayed=True)
    return claim, None
