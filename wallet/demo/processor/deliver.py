"""Events on their way to the webhook: signed anew for each try, tried again until they are taken."""

import hashlib
import hmac
import http.client
import json
import time
from typing import Final
from urllib.parse import urlsplit

from wallet.demo.processor import faults
from wallet.demo.processor.store import Thing
from wallet.demo.processor.world import World

PAUSES_S: Final = (1, 2, 5, 10, 30, 60, 300, 1_800, 3_600)
"""Between tries; the last repeats, for three days as Stripe does. The first ones are shorter than Stripe's."""

GIVE_UP_S: Final = 3 * 86_400
TIMEOUT_S: Final = 20


def signature(body: bytes, secret: str, at: int) -> str:
    """Return the Stripe-Signature header of a body."""
    mac = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


def due(world: World, *, now: float) -> list[tuple[int, Thing, int]]:
    """Return what is to be delivered now: its number, the event, and how often it was tried."""
    rows = world.store.run(
        "SELECT number, event, tries FROM delivery WHERE done = 0 AND due <= ? ORDER BY number LIMIT 50", now
    )
    if len(rows) > 1 and faults.take(world.store, {"shuffle": ""}, ""):
        rows.reverse()
    return [(number, world.need(event, "event"), tries) for number, event, tries in rows]


def deliver(world: World, *, url: str, secret: str, now: float | None = None) -> int:
    """Deliver what is due; return how many the webhook took.

    Args:
        world: the processor.
        url: of the webhook.
        secret: that signs, whsec_….
        now: seconds of the machine's clock, for the pauses.
    """
    now = time.time() if now is None else now
    taken = 0
    for number, event, tries in due(world, now=now):
        if tries == 0 and (fault := faults.take(world.store, _BEFORE, event["type"])):
            _put_off(world, number, fault, now=now)
            continue
        times = 2 if faults.take(world.store, {"duplicate": ""}, event["type"]) else 1
        status = 0
        for _ in range(times):
            status = _post(world, url, secret, event)
        _note(world, number, event, tries, status, now=now)
        taken += 200 <= status < 300
    return taken


_BEFORE: Final = {"late": "", "drop": ""}


def _put_off(world: World, number: int, fault: faults.Fault, *, now: float) -> None:
    if fault.kind == "drop":
        world.store.run("UPDATE delivery SET done = 1 WHERE number = ?", number)
    else:
        world.store.run("UPDATE delivery SET due = ? WHERE number = ?", now + fault.value, number)


def _note(world: World, number: int, event: Thing, tries: int, status: int, *, now: float) -> None:
    is_done = 200 <= status < 300 or world.clock() - event["created"] > GIVE_UP_S
    pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
    world.store.run(
        "UPDATE delivery SET done = ?, status = ?, tries = tries + 1, due = ? WHERE number = ?",
        int(is_done),
        status,
        now + pause,
        number,
    )


def _post(world: World, url: str, secret: str, event: Thing) -> int:
    """Return the webhook's status; 0 if there was none."""
    target = urlsplit(url)
    body = json.dumps(event, ensure_ascii=False).encode()
    connection = http.client.HTTPConnection(target.hostname or "", target.port or 80, timeout=TIMEOUT_S)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature(body, secret, world.clock()),
        "User-Agent": "Stripe/1.0 (stand-in)",
    }
    try:
        connection.request("POST", target.path or "/", body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
