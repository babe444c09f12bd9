"""Our ledger as a subject: what a web worker asks of it once an order is verified, through the same Python face.

Each call brings the order's bytes and the proof of who signed it, and leaves authority, outcome, entry, postings, event and
balances behind, in one durable transaction. The signature is of the right size and of nobody: checking it is the door's.
"""

import multiprocessing
import random
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa

from bench.crew import Post, Prepare
from bench.fill import Payer
from wallet import clock, db, ids, ledger
from wallet.config import Config
from wallet.events import Event
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.jobs import Worker
from wallet.ledger import Entry, Evidence, Plan, Posting
from wallet.money import Dong

AMOUNT_MAX: Final = 1_000
"""Đồng of a measured payment: nobody of the city runs dry."""

_BASE: Final = b"""\
"@method": POST
"@target-uri": http://localhost:8000/v1/transfers
"content-type": application/json
"content-digest": sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:
"idempotency-key": "%s"
"@signature-params": ("@method" "@target-uri" "content-type" "content-digest" "idempotency-key");created=1795230000;\
expires=1795230300;keyid="%s";alg="ecdsa-p256-sha256";tag="wallet-v1\""""

_ORDER: Final = (
    b'{"amount":"%s","aud":"http://localhost:8000","created":"1795230000","expires":"1795230900","id":"%s",'
    b'"kind":"transfer","memo":"","payee":"%s","payer":"%s","signer":"%s","v":"1"}'
)
_ANSWER: Final = b'{"amount":"%s","effective_at":"%s","entry":"%s","order":"%s","payee":"%s","payer":"%s"}'


def transfers(config: Config, groups: Sequence[tuple[Sequence[Payer], Sequence[UUID]]]) -> Prepare:
    """Return what a client does: somebody of its group's payers pays one of its group's payees.

    Args:
        config: of the application's role.
        groups: one for each client: payers and the accounts they pay.
    """

    @contextmanager
    def ready(number: int) -> Iterator[Post]:
        engine, luck = db.engine(config.database_url, name=f"bench-{number}"), random.Random(number)
        payers, payees = groups[number]

        def once() -> None:
            payer, payee = luck.choice(payers), luck.choice(payees)
            while payee == payer.account:
                payee = luck.choice(payees)
            transfer(engine, payer, payee, luck.randrange(1, AMOUNT_MAX))

        yield once
        engine.dispose()

    return ready


def transfer(engine: sa.Engine, payer: Payer, payee: UUID, amount: int) -> None:
    """Carry out a signed transfer, in one durable transaction."""
    order, now = OrderId(uuid4()), clock.now()
    parties = [str(one).encode() for one in (order, payee, payer.account, payer.holder)]
    evidence = Evidence(
        kind="signed_order",
        signer=HolderId(payer.holder),
        order_id=order,
        order_kind="transfer",
        content=_ORDER % (b"%d" % amount, *parties),
        key_id=payer.key_id,
        signature_base=_BASE % (parties[0], payer.key_id.encode()),
        signature=secrets.token_bytes(64),
    )
    entry = Entry(
        id=EntryId(ids.new()),
        kind="transfer",
        effective_at=now,
        postings=(Posting(debit=AccountId(payer.account), credit=AccountId(payee), amount=Dong(amount)),),
    )
    told = Event(type="transfer.sent", subject=entry.id, entry=entry.id)
    plan = Plan(entries=(entry,), events=(told,), answer=None)
    body = _ANSWER % (b"%d" % amount, now.isoformat().encode(), str(entry.id).encode(), *parties[:3])

    def work(unit: sa.Connection) -> None:
        claim = ledger.claim(unit, evidence)
        assert claim.state == "new"
        ledger.execute(unit, claim, plan, status=201, body=body)

    db.unit(engine, work)


@contextmanager
def worker(config: Config) -> Iterator[None]:
    """Have the service's own worker at its jobs while the block runs: folding is part of the price."""
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    process = context.Process(target=_work, args=(config, stop), daemon=True)
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def _work(config: Config, stop: threading.Event) -> None:
    Worker(config).run(stop)
