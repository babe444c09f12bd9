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

import psycopg
import sqlalchemy as sa

from bench.crew import Post, Prepare
from bench.fill import Payer
from wallet import clock, db, ids, ledger
from wallet import transfers as transfers_
from wallet.config import Config
from wallet.events import Event
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.jobs import Worker
from wallet.ledger import Claim, Entry, Evidence, Plan, Posting
from wallet.limits import TRANSFER, Limits
from wallet.money import Dong
from wallet.transfers import TransferOrder

LIMITS: Final = Limits(demo=True)
ADMITS: Final = frozenset({"citizen"})

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
    asked = TransferOrder(
        id=order, payer=AccountId(payer.account), payee=AccountId(payee), amount=Dong(amount), memo=""
    )

    def work(connection: sa.Connection) -> None:
        claim = Claim.of(evidence)
        plan = transfers_.send(connection, claim, asked, limits=LIMITS, now=now)
        body = _ANSWER % (b"%d" % amount, now.isoformat().encode(), str(plan.answer.entry).encode(), *parties[:3])
        found = ledger.post_order(connection, evidence, claim, plan, admits=ADMITS, status=201, body=body)
        assert found.state == "new"

    db.at_once(engine, work)


def batch(engine: sa.Engine, payer: Payer, payees: Sequence[UUID]) -> None:
    """Pay many from one account in one durable transaction: claim, batch, outcome."""
    order, now = OrderId(uuid4()), clock.now()
    evidence = Evidence(
        kind="signed_order",
        signer=HolderId(payer.holder),
        order_id=order,
        order_kind="batch_transfer",
        content=(
            _ORDER % (b"1", *[str(one).encode() for one in (order, payees[0], payer.account, payer.holder)])
        ).replace(b'"kind":"transfer"', b'"kind":"batch_transfer"'),
        key_id=payer.key_id,
        signature_base=_BASE % (str(order).encode(), payer.key_id.encode()),
        signature=secrets.token_bytes(64),
    )
    items = [ledger.BatchItem(payee=AccountId(payee), amount=Dong(1)) for payee in payees]

    def work(unit: sa.Connection) -> None:
        claim = Claim.of(evidence)
        assert ledger.claim(unit, evidence, claim).state == "new"
        counted = LIMITS.counts(unit, claim, {TRANSFER: len(items)}, now=now)
        paid = ledger.post_batch(
            unit,
            claim,
            kind="batch_transfer",
            payer=AccountId(payer.account),
            items=items,
            limits=counted,
            effective_at=now,
        )
        assert all(why is None for _, why in paid)
        ledger.conclude(unit, claim, status=201, body=b"{}", counted=counted)

    db.unit(engine, work)


def batches(config: Config, payer: Payer, payees: Sequence[UUID]) -> Prepare:
    """Return what the one client of a batch does: one payer pays all these payees at once."""

    @contextmanager
    def ready(number: int) -> Iterator[Post]:
        engine = db.engine(config.database_url, name=f"bench-batch-{number}")
        yield lambda: batch(engine, payer, payees)
        engine.dispose()

    return ready


MERCHANTS: Final = """
INSERT INTO ledger.flow (kind, authority, order_kind, debit, credit, debit_of) VALUES
    ('payment', 'signed_order', 'payment', 'wallet', 'merchant', 'signer'),
    ('payment', 'signed_order', 'payment', 'merchant', 'merchant_fee', 'payee') ON CONFLICT DO NOTHING;
WITH opened AS (
    INSERT INTO ledger.account (id, code, holder, normal, floor)
    SELECT gen_random_uuid(), 'merchant', a.holder, 'credit', 0 FROM ledger.account a WHERE a.code = 'wallet'
    RETURNING id, floor
) INSERT INTO ledger.balance (account, floor) SELECT id, floor FROM opened;
"""
"""Each payer of the bench has a stall as well, and pays a fee that no tariff asks for yet."""


def merchants(superuser_url: str) -> tuple[dict[UUID, UUID], UUID]:
    """Open a merchant's account for every payer; return them by the holder's wallet, and the account of the fees."""
    with psycopg.connect(superuser_url) as admin:
        admin.execute(MERCHANTS)
        pairs = admin.execute(
            "SELECT w.id, m.id FROM ledger.account m JOIN ledger.account w ON w.holder = m.holder AND w.code = 'wallet'"
            " WHERE m.code = 'merchant'"
        ).fetchall()
        fees = admin.execute("SELECT id FROM ledger.account WHERE code = 'merchant_fee'").fetchone()
    assert fees is not None
    return dict(pairs), fees[0]


def payments(config: Config, groups: Sequence[tuple[Sequence[Payer], Sequence[UUID]]], fees: UUID) -> Prepare:
    """Return what a client does: somebody of its group's payers pays one of its group's merchants, who bears a fee of one
    đồng netted in the same entry.
    """

    @contextmanager
    def ready(number: int) -> Iterator[Post]:
        engine, luck = db.engine(config.database_url, name=f"bench-{number}"), random.Random(number)
        payers, payees = groups[number]
        yield lambda: pay(engine, luck.choice(payers), luck.choice(payees), fees, luck.randrange(2, AMOUNT_MAX))
        engine.dispose()

    return ready


def pay(engine: sa.Engine, payer: Payer, merchant: UUID, fees: UUID, amount: int) -> None:
    """Carry out a signed payment to a merchant, with its fee, in one durable transaction."""
    order, now = OrderId(uuid4()), clock.now()
    parties = [str(one).encode() for one in (order, merchant, payer.account, payer.holder)]
    evidence = Evidence(
        kind="signed_order",
        signer=HolderId(payer.holder),
        order_id=order,
        order_kind="payment",
        content=(_ORDER % (b"%d" % amount, *parties)).replace(b'"kind":"transfer"', b'"kind":"payment"'),
        key_id=payer.key_id,
        signature_base=_BASE % (parties[0], payer.key_id.encode()),
        signature=secrets.token_bytes(64),
    )
    entry = Entry(
        id=EntryId(ids.new()),
        kind="payment",
        effective_at=now,
        postings=(
            Posting(debit=AccountId(payer.account), credit=AccountId(merchant), amount=Dong(amount)),
            Posting(debit=AccountId(merchant), credit=AccountId(fees), amount=Dong(1)),
        ),
    )
    told = Event(type="payment.made", subject=entry.id, entry=entry.id)

    def work(connection: sa.Connection) -> None:
        claim = Claim.of(evidence)
        counted = LIMITS.counts(connection, claim, {TRANSFER: amount}, now=now)
        plan = Plan(entries=(entry,), events=(told,), limits=counted, answer=None)
        body = _ANSWER % (b"%d" % amount, now.isoformat().encode(), str(entry.id).encode(), *parties[:3])
        found = ledger.post_order(connection, evidence, claim, plan, admits=ADMITS, status=201, body=body)
        assert found.state == "new"

    db.at_once(engine, work)


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
