"""Profile: where the microseconds of a signed request go, step by step, in one process, without a database.

How     `python -m bench.profile` prints the table of docs/performance.md; `--calls` adds what cProfile sees of a payment.
        The requests are made by gunicorn's own parser from the bytes that a client sends. The unit is left out: it is
        PostgreSQL's time, and `make bench` measures it.
Noise   CPU time of this process, in short rounds that take turns, the least of each step's: a neighbour on the same
        core slows some rounds and never quickens one. The last column is in P-256 checks, to compare machines by.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from unittest import mock
from uuid import uuid4

import flask
from flask import Flask
from gunicorn.config import Config as Gunicorn  # type: ignore[import-untyped]
from gunicorn.http import get_parser, wsgi  # type: ignore[import-untyped]

from bench.http_payment import request
from wallet import canonical, db, signing
from wallet.client import Client
from wallet.config import Config
from wallet.crypto import PrivateKey
from wallet.ledger import guard
from wallet.orders import Outcome
from wallet.web import act, app, bills, fields, gate
from wallet.web.state import now

ROUNDS: Final = 60
ROUND_S: Final = 0.01

ORIGIN: Final = "http://localhost:8000"
PEER: Final = ("127.0.0.1", 50_000)
_GUNICORN: Final = Gunicorn()

P256: Final = "the P-256 check itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a request, and how deep it stands below what it is part of."""

    name: str
    call: Callable[[], object]
    depth: int = 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where a signed request's time goes.")
    parser.add_argument("--calls", action="store_true", help="also what cProfile sees of a payment")
    chosen = parser.parse_args()
    with prepared() as steps:
        took = cpu_us(steps)
        print(f"{'step':56} {'CPU µs':>8} {'P-256':>7}")
        for step in steps:
            spent = took[step.name]
            print(f"{'  ' * step.depth + step.name:56} {spent:8.1f} {spent / took[P256]:7.2f}")
        if chosen.calls:
            _print_calls(next(step.call for step in steps if step.name == "payment, all but its unit"))
    return 0


def cpu_us(steps: list[Step]) -> dict[str, float]:
    """Return the CPU time of each step in microseconds: the least of its rounds' means."""
    number = {step.name: max(1, round(ROUND_S / _mean_s(step.call, 20))) for step in steps}
    least = dict.fromkeys(number, float("inf"))
    for _ in range(ROUNDS):
        for step in steps:
            least[step.name] = min(least[step.name], _mean_s(step.call, number[step.name]))
    return {name: seconds * 1e6 for name, seconds in least.items()}


def _mean_s(call: Callable[[], object], number: int) -> float:
    began = time.process_time()
    for _ in range(number):
        call()
    return (time.process_time() - began) / number


@contextmanager
def prepared() -> Iterator[list[Step]]:
    """Have each step of a signed payment of one bill ready to be called again and again."""
    service = without_database()
    client = Client(origin=ORIGIN, key=PrivateKey.generate(), holder=str(uuid4()), account=str(uuid4()))
    service.extensions["wallet"].keys[client.key.public.id] = client.key.public
    seen = {"bill": str(uuid4()), "version": "1", "amount": "20000"}
    body = client.order("bill_payment", payer=client.account, bills=[seen])
    payment, verify = (request(client, path, body) for path in ("/v1/bill-payments", "/v1/verify"))
    done = Outcome(status=201, body=canonical.dumps({"order": str(uuid4()), "total": "20000"}), replayed=False)
    with (
        mock.patch.object(act, "carry_out", new=_says(done)),
        service.request_context(environ_of(payment)),
    ):
        service.preprocess_request()
        yield [
            Step(name="gunicorn's parser: bytes to environ", call=lambda: environ_of(payment)),
            Step(name="/healthz: Flask and our hooks", call=_answered(service, b"GET /healthz HTTP/1.1\r\n\r\n", 200)),
            Step(name="verify-only route", call=_answered(service, verify, 204)),
            Step(name="payment, all but its unit", call=_answered(service, payment, 201)),
            *_parts(client, body, done),
        ]


def _says(done: Outcome) -> Callable[..., Outcome]:
    """Return what stands in for the unit: it says at once what came of every order."""

    def carry_out(*_args: object, **_more: object) -> Outcome:
        return done

    return carry_out


def _answered(service: Flask, raw: bytes, status: int) -> Callable[[], None]:
    """Return a call of the application with this request, which has to be answered with `status`."""
    made = environ_of(raw)
    body = raw.partition(b"\r\n\r\n")[2]

    def start_response(line: str, _headers: Any, _info: Any = None) -> Any:
        if not line.startswith(str(status)):
            raise SystemExit(f"answered {line}")

    def call() -> None:
        answer: Any = service.wsgi_app(made | {"wsgi.input": BytesIO(body)}, start_response)
        b"".join(answer)
        answer.close()

    return call


def _parts(client: Client, body: bytes, done: Outcome) -> list[Step]:
    """Return the parts of a payment, to be called in the middle of its request."""
    message, document, schema = gate.message(), canonical.loads(body), act.one(bills.BillPaymentOrderSchema)
    proof, response = gate.signed(body), act.reply(done)
    parts: list[tuple[int, str, Callable[[], object]]] = [
        (1, "before the door: clock, request id", gate.enter),
        (1, "content type, length, body, idempotency key", _heard(body)),
        (1, "target and headers as they were sent", gate.message),
        (1, "signature", lambda: signing.verify(message, key=gate.find_key, body=body, now=now())),
        (2, P256, lambda: proof.key.verifies(proof.signature, proof.base)),
        (2, "SHA-256 of the body", lambda: signing.check_digest(message, body)),
        (1, "canonical or nothing", lambda: canonical.loads(body)),
        (1, "schema to frozen order", lambda: fields.read(schema, document, audience=client.origin, now=now())),
        (1, "reply", lambda: act.reply(done)),
        (1, "after the door: headers", lambda: gate.leave(response)),
    ]
    return [Step(name=name, call=call, depth=depth) for depth, name, call in parts]


def _heard(body: bytes) -> Callable[[], object]:
    """Return a call that reads the request's body from the start each time."""
    made = flask.request.environ

    def call() -> None:
        made["wsgi.input"] = BytesIO(body)
        act.order_body()
        act._idempotency_key()

    return call


def environ_of(raw: bytes) -> dict[str, Any]:
    """Make a request's environ as gunicorn does."""
    asked = next(get_parser(_GUNICORN, iter([raw]), PEER))
    _, made = wsgi.create(asked, None, PEER, ("127.0.0.1", 8000), _GUNICORN)
    return dict(made)


def without_database() -> Flask:
    """Make the application; nothing that is measured here asks its database."""
    config = Config(
        port=8000,
        public_origin=ORIGIN,
        database_url="postgresql://nobody@localhost/none",
        migrator_database_url=None,
        audit_database_url="postgresql://nobody@localhost/none",
        var_dir=Path("var"),
        city_file=Path(__file__).parents[1] / "city.toml",
        demo=True,
        server_secret=bytes(32),
    )
    with mock.patch.object(db, "engine"), mock.patch.object(guard, "check"):
        return app.create(config)


def _print_calls(call: Callable[[], object]) -> None:
    """Print what cProfile sees: which functions, and how often; their times are swollen by the tracing."""
    with cProfile.Profile() as profile:
        for _ in range(500):
            call()
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    raise SystemExit(main())
