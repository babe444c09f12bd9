"""Orders given as the doors take them: the same schemas, bytes, verbs and stored answers, no server.

Words   ordered: by an officer or the operator, as through a form · signed: by a key, and verified as if it
        had come over the wire.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa

from wallet import canonical, orders, signing
from wallet.client import Client
from wallet.crypto import PrivateKey, PublicKey
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId, epoch
from wallet.ledger import Claim, Evidence, Plan
from wallet.ledger.tables import authority
from wallet.refusal import Refusal
from wallet.web import fields
from wallet.web.fields import AnswerSchema, OrderSchema

ORDER_LIFE: Final = timedelta(minutes=15)
"""As the pages say in the orders that they sign."""

STATUS_DONE: Final = 201


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A door of the signed API: its schemas, its path, and as what one goes through it here."""

    asks: OrderSchema
    answers: AnswerSchema
    role: Role
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of the demo: `own` are its members beside the header, `verb` decides it.

    `now` is the instant that stands in the order, `origin` the service's.
    """

    door: Door
    own: Mapping[str, Any]
    verb: Callable[[sa.Connection, Claim, Any], Plan]
    signer: HolderId
    order: OrderId
    origin: str
    now: datetime

    def content(self) -> bytes:
        """Spell the order with its header: the bytes that are signed and kept."""
        header = {
            "v": "1",
            "aud": self.origin,
            "created": str(epoch(self.now)),
            "expires": str(epoch(self.now + ORDER_LIFE)),
            "id": str(self.order),
            "kind": self.door.asks.kind_name,
            "signer": str(self.signer),
        }
        return canonical.dumps({**self.own, **header})


def is_done(database: sa.Engine, signer: HolderId, order: OrderId) -> bool:
    """Say whether an earlier load has carried out an order."""
    query = sa.select(sa.true()).where(authority.c.signer == signer, authority.c.order_id == order)
    with database.connect() as connection:
        return connection.execute(query).scalar() or False


def ordered(
    database: sa.Engine, order: Order, *, kind: Literal["officer_order", "session_order"] = "officer_order"
) -> dict[str, Any]:
    """Carry out an order without a signature: an officer's, the operator's, or a citizen's by a form; return its answer."""
    evidence = Evidence(
        kind=kind,
        signer=order.signer,
        order_id=order.order,
        order_kind=order.door.asks.kind_name,
        content=order.content(),
    )
    return json.loads(_carry_out(database, order, evidence))  # type: ignore[no-any-return]


def signed(database: sa.Engine, order: Order, *, key: PrivateKey) -> None:
    """Sign an order, verify the signature as the door would, and carry the order out."""
    content, public = order.content(), key.public

    def find(key_id: str) -> PublicKey | None:
        return public if key_id == public.id else None

    client = Client(
        origin=order.origin,
        key=key,
        holder=str(order.signer),
        clock_ahead_s=time.time() - order.now.timestamp(),
    )
    headers = client.headers("POST", order.door.path, content)
    message = signing.Message(
        "POST", order.origin + order.door.path, {name.lower(): text for name, text in headers.items()}
    )
    proof = signing.verify(message, key=find, body=content, now=order.now)
    evidence = Evidence(
        kind="signed_order",
        signer=order.signer,
        order_id=order.order,
        order_kind=order.door.asks.kind_name,
        content=content,
        key_id=proof.key.id,
        signature_base=proof.base,
        signature=proof.signature,
    )
    _carry_out(database, order, evidence)


def _carry_out(database: sa.Engine, order: Order, evidence: Evidence) -> bytes:
    """Read an order from its bytes and carry it out; a refusal is a bug of the demo and stops the load."""
    document = canonical.loads(evidence.content)
    _, asked = fields.read(order.door.asks, document, audience=order.origin, now=order.now)

    def complain(refusal: Refusal) -> bytes:
        raise AssertionError(f"{order.door.asks.kind_name} {order.own} is refused: {refusal.code} {refusal.facts}")

    outcome = orders.carry_out(
        database,
        evidence,
        admits=frozenset({order.door.role}),
        decide=lambda unit, claim: order.verb(unit, claim, asked),
        spell=lambda answer: canonical.dumps(order.door.answers.dump(answer)),
        spell_refusal=complain,
        status=STATUS_DONE,
        now=order.now,
        at_once=evidence.kind == "signed_order",
    )
    return outcome.body
