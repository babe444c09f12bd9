"""The two marks of the demo in the books: when its load began, and that it is done."""

import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from wallet import canonical, db, ledger
from wallet.demo import fixed
from wallet.demo.people import SEED
from wallet.events import Event
from wallet.identity import holders
from wallet.ids import OrderId
from wallet.ledger import Claim, Evidence, Plan
from wallet.ledger.tables import authority, outcome

_US = fixed.holder_id("demo")
_BEGUN = fixed.order_id("begun")
_LOADED = fixed.order_id("loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The instant that all dates turn around, and the service's origin that stands in every order."""

    at: datetime
    origin: str


def is_begun(database: sa.Engine) -> bool:
    """Say whether a load has ever begun here."""
    with database.connect() as connection:
        return _known(connection, _BEGUN) is not None


def is_loaded(database: sa.Engine) -> bool:
    """Say whether a load is done: one look at an index."""
    with database.connect() as connection:
        return _known(connection, _LOADED) is not None


def begun(database: sa.Engine, begin: Begun) -> Begun:
    """Return how the load began: like this, or as an earlier one that was cut off has marked."""

    def work(unit: sa.Connection) -> Begun:
        known = _known(unit, _BEGUN)
        if known is None:
            holders.register(unit, kind="outside", now=begin.at, id=_US)
            _mark(unit, _BEGUN, "demo.begun", begin)
        return known or begin

    return db.unit(database, work)


def loaded(database: sa.Engine, done: Begun) -> None:
    """Mark that the load is done."""
    db.unit(database, lambda unit: _mark(unit, _LOADED, "demo.loaded", done))


def _known(connection: sa.Connection, order: OrderId) -> Begun | None:
    """Return what a mark holds, if it is there."""
    body = connection.execute(
        sa.select(outcome.c.body)
        .join(authority, authority.c.id == outcome.c.authority)
        .where(authority.c.signer == _US, authority.c.order_id == order)
    ).scalar()
    if body is None:
        return None
    held = json.loads(body)
    return Begun(at=datetime.fromisoformat(held["at"]), origin=held["origin"])


def _mark(unit: sa.Connection, order: OrderId, kind: str, mark: Begun) -> None:
    held = {"at": mark.at.isoformat(), "origin": mark.origin, "seed": SEED}
    content = canonical.dumps({**held, "v": "1", "id": str(order), "kind": kind, "signer": str(_US)})
    evidence = Evidence(kind="outside_word", signer=_US, order_id=order, order_kind=kind, content=content)
    claim = Claim.of(evidence)
    ledger.claim(unit, evidence, claim)
    told = Event(type=kind, subject=_US, data={"seed": SEED})
    plan = Plan(events=(told,), answer=None)
    ledger.post(unit, claim, plan, status=200, body=canonical.dumps(held))
