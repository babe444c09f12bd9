"""Act: what every signed door does between the request and the verb, and between the outcome and the reply."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

from flask import Response, request
from marshmallow import Schema

from wallet import canonical, lookup, orders
from wallet.crypto import PublicKey
from wallet.identity import keys
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.ledger import Evidence
from wallet.ledger.refusals import KeyDead
from wallet.orders import Outcome
from wallet.web import fields, gate, problems
from wallet.web.fields import OrderSchema
from wallet.web.state import Verb, now, state

SomeSchema = TypeVar("SomeSchema", bound=Schema)


BODY_BYTES_MAX: Final = 64 * 1024
"""An order of twenty bills takes 3 kB."""

TIME_ORDERED: Final = 7
"""The version of UUID that begins with its milliseconds (RFC 9562)."""

_IDEMPOTENCY_KEY: Final = re.compile(r'"([0-9a-f-]{36})"')


def act(
    asks: type[OrderSchema],
    verb: Verb,
    answers: type[Schema],
    *,
    status: int = 201,
    check: Callable[[Any, HolderId], None] | None = None,
    possession: Callable[[Any], PublicKey] | None = None,
    at_once: bool = False,
) -> Response:
    """Carry out a signed order: bytes in, the stored outcome out.

    Args:
        asks: the order's schema.
        verb: decides it, inside the unit.
        answers: spells what was done.
        status: of the answer when it was carried out.
        check: a check with a count of its own, made and committed before the unit.
        possession: reads the key that signs its own enrolment out of the document; no enrolled key is asked for.
        at_once: whether the verb decides without a lock, so that claim and plan are one statement.

    Raises:
        Refusal: those that store nothing.
    """
    body = order_body()
    stated_id = _idempotency_key()
    document: Mapping[str, Any] | None = None
    if possession is None:
        proof = gate.signed(body)
    else:
        document = canonical.loads(body)
        own = possession(document)
        proof = gate.signed(body, key=lambda id: own if id == own.id else None)
    document = document or canonical.loads(body)
    header, order = fields.read(one(asks), document, audience=state().config.public_origin, now=now())
    if str(header.id) != stated_id:
        raise problems.Unparseable(param="Idempotency-Key")
    if check is not None and _undecided(header.signer, header.id):
        if possession is None and _holder_of(proof.key.id) != header.signer:
            raise KeyDead  # before anything is counted against a signer whom nobody has proven
        check(order, header.signer)
    evidence = Evidence(
        kind="possession" if possession else "signed_order",
        signer=header.signer,
        order_id=header.id,
        order_kind=asks.kind_name,
        content=body,
        expires=header.expires,
        key_id=None if possession else proof.key.id,
        signature_base=proof.base,
        signature=proof.signature,
    )
    return reply(carry_out(evidence, order, verb, answers, admits=gate.admitted(), status=status, at_once=at_once))


def session_acts(
    asks: type[OrderSchema],
    document: Mapping[str, Any],
    verb: Verb,
    answers: type[Schema],
    *,
    signer: HolderId,
    id: OrderId,
    at_once: bool = False,
) -> Outcome:
    """Carry out an order given through a form by who is signed in: the same bytes, schema and verb, without a signature.

    Money moves this way only by an officer's order, out of their own agency's accounts (the ledger's flows).

    Args:
        document: the order's own members; the header is added here.
        signer: who is signed in.
        id: came with the form, so that a form sent twice is carried out once.
        at_once: as in `act`.
    """
    # The form's own id says when it was made, so that the same form sent again spells the same bytes.
    if id.version != TIME_ORDERED:
        raise problems.Unparseable(param="order_id")
    created = id.int >> 80
    whole = {
        **document,
        "v": "1",
        "aud": state().config.public_origin,
        "created": str(created // 1000),
        "expires": str(created // 1000 + int(fields.ORDER_LIFE_MAX.total_seconds())),
        "id": str(id),
        "kind": asks.kind_name,
        "signer": str(signer),
    }
    header, order = fields.read(one(asks), whole, audience=state().config.public_origin, now=now())
    evidence = Evidence(
        kind="session_order" if gate.admitted() == {Role.CITIZEN} else "officer_order",
        signer=signer,
        order_id=header.id,
        order_kind=asks.kind_name,
        content=canonical.dumps(whole),
        expires=header.expires,
    )
    return carry_out(evidence, order, verb, answers, admits=gate.admitted(), status=201, at_once=at_once)


def carry_out(
    evidence: Evidence,
    order: Any,
    verb: Verb,
    answers: type[Schema],
    *,
    admits: frozenset[str],
    status: int,
    at_once: bool = False,
) -> Outcome:
    """Hand an order to `orders.carry_out`, with the door's spelling."""
    return orders.carry_out(
        state().app,
        evidence,
        admits=admits,
        decide=lambda unit, claim: verb(unit, claim, order, now=now()),
        spell=lambda answer: canonical.dumps(one(answers).dump(answer)),
        spell_refusal=problems.spell,
        status=status,
        now=now(),
        at_once=at_once,
    )


def reply(outcome: Outcome) -> Response:
    """Answer an outcome, byte for byte as it is stored."""
    kind = problems.PROBLEM_JSON if outcome.status >= 400 else "application/json"
    response = Response(outcome.body, outcome.status, content_type=kind)
    if outcome.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def answer(schema: type[Schema], thing: Any) -> Response:
    """Answer what was read."""
    return Response(canonical.dumps(one(schema).dump(thing)), content_type="application/json")


@cache
def one(schema: type[SomeSchema]) -> SomeSchema:
    """Return the one instance of a schema: making it copies every field, loading and dumping do not change it."""
    return schema()


def order_body() -> bytes:
    """Return the raw body of an order.

    Raises:
        problems.WrongType, TooLarge: decided by the headers, before a byte is read.
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") != "application/json" or "HTTP_CONTENT_ENCODING" in environ:
        raise problems.WrongType(param="Content-Type")
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise problems.TooLarge
    # gunicorn ends the body where it ends; another server's Flask holds to its length.
    stream = environ["wsgi.input"] if environ.get("wsgi.input_terminated") else request.stream
    body: bytes = stream.read(BODY_BYTES_MAX + 1)
    if len(body) > BODY_BYTES_MAX:
        raise problems.TooLarge
    return body


def _undecided(signer: HolderId, order: OrderId) -> bool:
    """Say whether an order has no outcome yet; one that has is answered with it, whatever a check would count."""
    with state().app.connect() as connection:
        try:
            lookup.outcome(connection, signer=signer, order=order)
        except lookup.NotFound:
            return True
    return False


def _holder_of(key_id: str) -> HolderId | None:
    with state().app.connect() as connection:
        return keys.alive(connection, key_id)


def _idempotency_key() -> str:
    found = _IDEMPOTENCY_KEY.fullmatch(request.environ.get("HTTP_IDEMPOTENCY_KEY", ""))
    if found is None:
        raise problems.Unparseable(param="Idempotency-Key")
    return found.group(1)
