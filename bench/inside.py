"""Where the microseconds of an order go inside the database: `python -m bench.inside`.

How     Each part is called by itself, as the superuser, in a transaction of its own, and PostgreSQL's own account of its
        processor time (`log_executor_stats`) is read: the median of many calls. Waiting for the disk is not in it.
"""

import json
import re
import sys
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import sqlalchemy as sa

from bench import fill, ours
from bench.fill import Payer
from bench.place import own_database
from wallet import clock, db
from wallet.config import ConfigError
from wallet.ids import AccountId, HolderId, OrderId
from wallet.ledger import Claim, Evidence, Plan, verbs
from wallet.money import Dong
from wallet.run.faults import Fault
from wallet.transfers import TransferOrder, send

CALLS: Final = 300
WARM: Final = 20
_USER: Final = re.compile(r"([0-9.]+) s user, ([0-9.]+) s system")


def main() -> int:
    """Fill a small city, measure, print."""
    try:
        with own_database("_inside") as (config, url):
            fill.city(url, wallets=100, postings=0)
            people = fill.payers(url, 100)
            engine = db.engine(config.database_url, name="bench-inside")
            with psycopg.connect(url, autocommit=True) as admin, engine.connect() as connection:
                for name, micros in measure(admin, connection, people).items():
                    print(f"{micros:8.0f} µs  {name}")
            engine.dispose()
    except (Fault, ConfigError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


def measure(admin: psycopg.Connection[Any], connection: sa.Connection, people: list[Payer]) -> dict[str, float]:
    """Return the median processor time of each part, in microseconds."""
    told: list[str] = []
    admin.add_notice_handler(lambda notice: told.append(notice.message_detail or ""))
    admin.execute(
        "SET client_min_messages = log; SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan;"
    )
    admin.execute("SET enable_seqscan = off; SET search_path = ledger, pg_temp")
    payer, payee = people[0], people[1].account

    def median(call: Callable[[], Callable[[], object]]) -> float:
        for number in range(CALLS + WARM):
            ready = call()
            if number == WARM:
                told.clear()
            if number >= WARM:
                admin.execute("SET log_executor_stats = on")
            ready()
            admin.execute("SET log_executor_stats = off")
        times = sorted(sum(map(float, found.groups())) * 1e6 for one in told if (found := _USER.search(one)))
        return times[len(times) // 2]

    def taken() -> tuple[tuple[Any, ...], Claim, Plan]:
        evidence, claim, plan = _order(connection, payer, payee)
        return verbs._spelled_claim(evidence, claim, plan), claim, plan

    def whole() -> Callable[[], object]:
        head, claim, plan = taken()
        marks = ", ".join(["%s"] * 12 + ["%s::jsonb", "%s::smallint", "%s"])
        given = (*head, ["citizen"], verbs._spelled(plan, claim), 201, b"{}")
        return lambda: admin.execute(f"SELECT ledger.carry_order({marks})", given, prepare=True)

    def take() -> Callable[[], object]:
        head, _, _ = taken()
        return lambda: admin.execute(f"SELECT ledger.take({', '.join(['%s'] * 11)})", head, prepare=True)

    def carry_out() -> Callable[[], object]:
        head, claim, plan = taken()
        admin.execute(f"SELECT ledger.take({', '.join(['%s'] * 11)})", head, prepare=True)
        given = (claim.authority, payer.holder, verbs._spelled(plan, claim))
        statement = "SELECT ledger.carry_out(%s, 'signed_order', 'transfer', %s, %s::jsonb, 201::smallint, ''::bytea)"
        return lambda: admin.execute(statement, given, prepare=True)

    def part(statement: str, *given: Any) -> Callable[[], Callable[[], object]]:
        return lambda: lambda: admin.execute(statement, given, prepare=True)

    _, _, plan = taken()
    limits = json.dumps(verbs._spelled_limits(plan.limits))
    account = payer.account
    return {
        "a whole transfer (carry_order)": median(whole),
        "· the order taken: insert, key held, roles, words kept (take)": median(take),
        "· the plan carried out (carry_out)": median(carry_out),
        "·· the day held open": median(part("SELECT ledger.hold_open(now(), now())")),
        "·· the limits counted": median(part("SELECT ledger.count_limits(%s, %s::jsonb)", payer.holder, limits)),
        "·· the payer locked, folded, compared": median(
            part("SELECT ledger.draw(%s::uuid, -1::bigint, 0::bigint)", account)
        ),
        "· one row read by its key, for scale": median(part("SELECT 1 FROM ledger.account WHERE id = %s", account)),
    }


def _order(connection: sa.Connection, payer: Payer, payee: UUID) -> tuple[Evidence, Claim, Plan]:
    order, now = OrderId(uuid4()), clock.now()
    evidence = Evidence(
        kind="signed_order",
        signer=HolderId(payer.holder),
        order_id=order,
        order_kind="transfer",
        content=b"x" * 400,
        key_id=payer.key_id,
        signature_base=b"y" * 500,
        signature=b"z" * 64,
    )
    claim = Claim.of(evidence)
    asked = TransferOrder(id=order, payer=AccountId(payer.account), payee=AccountId(payee), amount=Dong(1), memo="")
    return evidence, claim, send(connection, claim, asked, limits=ours.LIMITS, now=now)


if __name__ == "__main__":
    raise SystemExit(main())
