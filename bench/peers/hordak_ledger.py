"""A ledger by django-hordak, as its documentation writes one; run by `bench.peers.hordak` in an environment of its own.

Protocol  DATABASE_URL, ACCOUNTS in the environment. Says a line of JSON when it is ready. Then each line that comes in,
          {"clients": 16, "seconds": 1.0}, is answered by a line {"rate": 812.3} in transactions a second.
Note      Hordak keeps no balance and no floor: its triggers check that a transaction's legs sum to zero.
"""

import json
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import django  # type: ignore[import-not-found]
from django.conf import settings  # type: ignore[import-not-found]

from bench.crew import Crew, Post

CURRENCY = "EUR"
"""Its own; the converter that it brings along does not know VND. Nothing is converted here."""


def configure(url: str) -> None:
    """Set Django up: psycopg 3, a connection that is kept, durable as the server is."""
    parts = urlsplit(url)
    settings.configure(
        DEBUG=False,
        USE_TZ=True,
        SECRET_KEY="unused",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "djmoney", "hordak"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DEFAULT_CURRENCY=CURRENCY,
        CURRENCIES=(CURRENCY,),
        HORDAK_DECIMAL_PLACES=0,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": unquote(parts.path.lstrip("/")),
                "USER": unquote(parts.username or ""),
                "PASSWORD": unquote(parts.password or ""),
                "HOST": parts.hostname,
                "PORT": parts.port,
                "CONN_MAX_AGE": None,
            }
        },
    )
    django.setup()


def make_accounts(number: int) -> list[int]:
    """Migrate and make so many root accounts; returns their ids."""
    from django.core.management import call_command  # type: ignore[import-not-found]
    from django.db import connections  # type: ignore[import-not-found]
    from hordak.models import Account, AccountType  # type: ignore[import-not-found]

    call_command("migrate", verbosity=0)
    # Each a tree of its own, with the numbers that `save` would work out one by one.
    made = Account.objects.bulk_create(
        Account(
            name=f"Ví {n}", type=AccountType.liability, currencies=[CURRENCY], lft=1, rght=2, tree_id=n + 1, level=0
        )
        for n in range(number)
    )
    connections.close_all()  # the clients are forked from here
    return [account.pk for account in made]


def crew(clients: int, accounts: list[int]) -> Crew:
    """Return clients that each post between accounts of their own."""
    share = len(accounts) // clients

    @contextmanager
    def ready(number: int) -> Iterator[Post]:
        from django.db import connection, transaction
        from hordak.models import Account, Leg, Transaction
        from moneyed import Money  # type: ignore[import-not-found]

        luck = random.Random(number)
        mine = list(Account.objects.filter(pk__in=accounts[number * share : (number + 1) * share]))

        def once() -> None:
            payer, payee = luck.sample(mine, 2)
            amount = Money(luck.randrange(1, 1_000), CURRENCY)
            with transaction.atomic():
                moved = Transaction.objects.create()
                Leg.objects.create(transaction=moved, account=payer, debit=amount)
                Leg.objects.create(transaction=moved, account=payee, credit=amount)

        yield once
        connection.close()

    return Crew(f"hordak {clients}", clients, ready)


def main() -> None:
    """Serve slices until the input ends."""
    configure(os.environ["DATABASE_URL"])
    accounts = make_accounts(int(os.environ["ACCOUNTS"]))
    say({"ready": len(accounts)})
    crews: dict[int, Crew] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        clients = asked["clients"]
        if clients not in crews:
            crews[clients] = crew(clients, accounts)
        say({"rate": crews[clients].slice(asked["seconds"])})
    for one in crews.values():
        one.close()


def say(what: dict[str, Any]) -> None:
    """Answer one line."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
