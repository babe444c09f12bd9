"""The API's doors: which request does what, once for each idempotency key, and with the faults that are switched on."""

import hashlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from wallet.demo.processor import books, faults, intents
from wallet.demo.processor.store import Thing
from wallet.demo.processor.wire import ApiError, expanded, fields
from wallet.demo.processor.world import World

KEYS_KEPT_S: Final = 86_400
"""After a day a key is forgotten, and a request with it is a new one."""

Door = Callable[[World, Thing, str], Thing]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. A status of 0 is no answer at all: the connection is closed."""

    status: int
    body: Thing
    replayed: bool = False


def _customer(world: World, params: Thing, _: str) -> Thing:
    made = world.make("customer", metadata=params.get("metadata", {}), email=params.get("email"), name=None)
    world.tell("customer.created", made)
    return made


def _reader(object: str) -> Door:
    return lambda world, _, id: world.need(id, object)


def _lister(object: str, url: str, *equal: str) -> Door:
    return lambda world, params, _: world.listing(object, params, url=url, equal=equal)


def _cards_of(world: World, params: Thing, id: str) -> Thing:
    world.need(id, "customer")
    url = f"/v1/customers/{id}/payment_methods"
    return world.listing("payment_method", {**params, "customer": id}, url=url, equal=("customer", "type"))


def _session(world: World, _: Thing, id: str) -> Thing:
    return intents.now_of(world, world.need(id, "checkout.session"))


def _sessions(world: World, params: Thing, _: str) -> Thing:
    intents.expire_overdue(world)
    equal = ("customer", "payment_intent", "status")
    return world.listing("checkout.session", params, url="/v1/checkout/sessions", equal=equal)


def _pay(world: World, params: Thing, id: str) -> Thing:
    intent = world.need(id, "payment_intent")
    return intents.confirm(world, intent, params)


DOORS: Final[tuple[tuple[str, str, Door], ...]] = (
    ("POST", "customers", _customer),
    ("GET", "customers/:id", _reader("customer")),
    ("GET", "customers/:id/payment_methods", _cards_of),
    ("POST", "payment_methods", lambda world, params, _: intents.make_method(world, params.get("card", {}))),
    ("GET", "payment_methods/:id", _reader("payment_method")),
    (
        "POST",
        "payment_methods/:id/attach",
        lambda world, params, id: intents.attach(world, world.need(id, "payment_method"), str(params.get("customer"))),
    ),
    ("POST", "payment_methods/:id/detach", lambda world, _, id: intents.detach(world, id)),
    ("POST", "payment_intents", lambda world, params, _: intents.make_intent(world, params)),
    ("GET", "payment_intents", _lister("payment_intent", "/v1/payment_intents", "customer")),
    ("GET", "payment_intents/:id", _reader("payment_intent")),
    ("POST", "payment_intents/:id/confirm", _pay),
    ("POST", "payment_intents/:id/cancel", lambda world, _, id: intents.cancel(world, id)),
    ("GET", "setup_intents/:id", _reader("setup_intent")),
    ("POST", "checkout/sessions", lambda world, params, _: intents.make_session(world, params)),
    ("GET", "checkout/sessions", _sessions),
    ("GET", "checkout/sessions/:id", _session),
    ("POST", "checkout/sessions/:id/expire", lambda world, _, id: intents.expire(world, id)),
    ("GET", "charges/:id", _reader("charge")),
    ("POST", "refunds", lambda world, params, _: books.refund(world, params)),
    ("GET", "refunds", _lister("refund", "/v1/refunds", "payment_intent", "charge")),
    ("GET", "refunds/:id", _reader("refund")),
    ("GET", "disputes", _lister("dispute", "/v1/disputes", "payment_intent", "charge")),
    ("GET", "disputes/:id", _reader("dispute")),
    ("POST", "disputes/:id", lambda world, params, id: books.answer_dispute(world, id, params)),
    ("POST", "disputes/:id/close", lambda world, _, id: books.end_dispute(world, id, won=False)),
    ("GET", "balance", lambda world, _, __: books.balance(world)),
    ("GET", "balance_transactions", lambda world, params, _: books.lines(world, params)),
    ("GET", "balance_transactions/:id", _reader("balance_transaction")),
    ("POST", "payouts", lambda world, params, _: books.pay_out(world, params)),
    ("GET", "payouts", _lister("payout", "/v1/payouts", "status")),
    ("GET", "payouts/:id", _reader("payout")),
    ("GET", "events", _lister("event", "/v1/events", "type")),
    ("GET", "events/:id", _reader("event")),
)

KNOWN: Final = {
    "customers": "metadata email name",
    "payment_methods": "type card metadata",
    "payment_intents": "amount currency customer payment_method allowed_payment_method_types confirm return_url metadata "
    "description setup_future_usage",
    "payment_intents/:id/confirm": "payment_method return_url",
    "payment_intents/:id/cancel": "cancellation_reason",
    "checkout/sessions": "mode currency customer client_reference_id line_items payment_intent_data setup_intent_data "
    "success_url cancel_url locale expires_at metadata allowed_payment_method_types",
    "refunds": "charge payment_intent amount reason metadata",
}
"""The parameters that this stand-in honours; another is refused, as Stripe refuses what it does not know. A parameter
that would be ignored silently could hide a mistake: `payment_method_types`, for one, is gone since version Endive."""

_ROUTES: Final = tuple(
    (
        method,
        re.compile("/v1/" + path.replace(":id", "(?P<id>[A-Za-z0-9_]+)")),
        door,
        KNOWN[path].split() if method == "POST" and path in KNOWN else None,
    )
    for method, path, door in DOORS
)


class Api:
    """The API of one account."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._under_way: set[str] = set()
        self._guard = threading.Lock()

    def answer(self, method: str, path: str, form: str, *, key: str | None = None) -> Answer:
        """Do what a request asks, or what a fault makes of it."""
        fault = faults.take(self.world.store, faults.OF_REQUESTS, f"{method} {path}")
        kind = fault.kind if fault else ""
        if kind == "die_before":
            die()
        if kind == "lose_request":
            return Answer(0, {})
        if kind == "rate_limit":
            return _refused(ApiError(429, "rate_limit", "Too many requests.", kind="rate_limit_error"))
        try:
            with self._alone(key):
                answer = self._once(method, path, form, key=key if method == "POST" else None, kind=kind)
        except ApiError as error:
            return _refused(error)
        if kind == "die_after":
            die()
        if kind == "hang" and fault is not None:
            time.sleep(fault.value)
        return Answer(0, {}) if kind == "lose_reply" else answer

    @contextmanager
    def _alone(self, key: str | None) -> Iterator[None]:
        """Refuse a request whose twin is still under way."""
        with self._guard:
            if key and key in self._under_way:
                text = "There is currently another in-progress request using this Stripe-Idempotency-Key."
                raise ApiError(409, "idempotency_key_in_use", text, kind="idempotency_error")
            if key:
                self._under_way.add(key)
        try:
            yield
        finally:
            if key:
                self._under_way.discard(key)

    def _once(self, method: str, path: str, form: str, *, key: str | None, kind: str) -> Answer:
        params = fields(form)
        request = f"{method} {path} {hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()}"
        store = self.world.store
        try:
            with store.unit():
                if key and (former := self._former(key, request)):
                    return former
                answer = _FAILED if kind == "error_before" else self._do(method, path, params)
                answer = _FAILED if kind == "error_after" else answer
                if key:
                    self._keep(key, request, answer)
                if kind == "die_within":
                    die()
                return answer
        except ApiError as error:
            if key and _began(error):
                self._keep(key, request, _refused(error))
            raise

    def _do(self, method: str, path: str, params: Thing) -> Answer:
        paths = params.pop("expand", [])
        for verb, pattern, door, honoured in _ROUTES:
            if verb == method and (found := pattern.fullmatch(path)):
                for name in params:
                    if honoured is not None and name not in honoured:
                        raise ApiError(400, "parameter_unknown", f"Received unknown parameter: {name}", param=name)
                result = door(self.world, params, found.groupdict().get("id", ""))
                return _answer_of(self.world, path, result, list(paths))
        raise ApiError(404, "url_invalid", f"Unrecognized request URL ({method}: {path}).")

    def _former(self, key: str, request: str) -> Answer | None:
        """Return the answer that the key had within a day.

        Raises:
            ApiError: to another request.
        """
        self.world.store.run("DELETE FROM answer WHERE at <= ?", self.world.clock() - KEYS_KEPT_S)
        rows = self.world.store.run("SELECT request, status, body FROM answer WHERE key = ?", key)
        if not rows:
            return None
        before, status, body = rows[0]
        if before != request:
            text = "Keys for idempotent requests can only be used with the same parameters they were first used with."
            raise ApiError(400, "idempotency_key_reused", text, kind="idempotency_error")
        return Answer(status, json.loads(body), replayed=True)

    def _keep(self, key: str, request: str, answer: Answer) -> None:
        self.world.store.run(
            "INSERT INTO answer (key, request, at, status, body) VALUES (?, ?, ?, ?, ?)",
            key,
            request,
            self.world.clock(),
            answer.status,
            json.dumps(answer.body),
        )


_FAILED: Final = Answer(500, {"error": {"type": "api_error", "message": "An unknown error occurred"}})


def _refused(error: ApiError) -> Answer:
    return Answer(error.status, error.body)


def _began(error: ApiError) -> bool:
    """Whether the request was carried out as far as this error: only then is it kept under its key."""
    code = str(error.body["error"]["code"])
    return error.body["error"]["type"] != "idempotency_error" and not code.startswith(("parameter_", "resource_"))


def _answer_of(world: World, path: str, result: Thing, paths: list[str]) -> Answer:
    shown = public(expanded(result, paths, world.store.get))
    is_try = re.fullmatch(r"/v1/payment_intents(/\w+/confirm)?", path) is not None
    error = result.get("last_payment_error")
    if is_try and error and result["status"] == "requires_payment_method":
        return Answer(402, {"error": {**public(error), "payment_intent": shown}})
    return Answer(200, shown)


def public(thing: Any) -> Any:
    """Return what may be shown of a thing: without what the stand-in knows for itself."""
    if isinstance(thing, dict):
        return {key: public(value) for key, value in thing.items() if not key.startswith("_")}
    if isinstance(thing, list):
        return [public(each) for each in thing]
    return thing


def die() -> None:
    """End at once, as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)
