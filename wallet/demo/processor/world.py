"""What every part of the stand-in works with: the store, the clock, and how things are made, changed and told."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from wallet.demo.processor.store import Store, Thing
from wallet.demo.processor.wire import missing

PREFIX: Final = {
    "customer": "cus",
    "payment_method": "pm",
    "payment_intent": "pi",
    "setup_intent": "seti",
    "checkout.session": "cs_test",
    "charge": "ch",
    "refund": "re",
    "dispute": "du",
    "payout": "po",
    "balance_transaction": "txn",
    "event": "evt",
}

LIST_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class World:
    """One processor's account, in test mode. `base` is the address of its pages and its API."""

    store: Store
    clock: Callable[[], int]
    base: str

    def make(self, object: str, /, **values: Any) -> Thing:
        """Make a thing and keep it."""
        head = {"id": f"{PREFIX[object]}_{secrets.token_hex(12)}", "object": object, "created": self.clock()}
        return self.store.put({**head, "livemode": False, **values})

    def need(self, id: object, object: str, *, param: str = "id") -> Thing:
        """Return a thing of a kind.

        Raises:
            ApiError: there is none.
        """
        thing = self.store.get(str(id))
        if thing is None or thing["object"] != object:
            raise missing(id, param)
        return thing

    def change(self, thing: Thing, **values: Any) -> Thing:
        """Change a thing in place, and keep it."""
        thing.update(values)
        return self.store.put(thing)

    def tell(self, kind: str, thing: Thing) -> None:
        """Record an event that shows the thing as it is now, to be delivered after the unit."""
        shown = {key: value for key, value in thing.items() if not key.startswith("_")}
        event = self.make(
            "event",
            type=kind,
            api_version="2026-10-28.endive",
            data={"object": shown},
            pending_webhooks=1,
            request={"id": None, "idempotency_key": None},
        )
        self.store.run("INSERT INTO delivery (event, due) VALUES (?, 0)", event["id"])

    def listing(self, object: str, params: Thing, *, url: str, equal: Iterable[str] = ()) -> Thing:
        """Return a page of a list as the API pages it: newest first, from `starting_after` or up to `ending_before`."""
        things = [t for t in self.store.newest(object) if all(_meets(t, name, params) for name in (*equal, "created"))]
        size = min(int(params.get("limit", 10)), LIST_MAX)
        ids = [t["id"] for t in things]
        if "ending_before" in params:
            end = ids.index(self.need(params["ending_before"], object)["id"])
            start = max(end - size, 0)
            more = start > 0
        else:
            start = (
                ids.index(self.need(params["starting_after"], object)["id"]) + 1 if "starting_after" in params else 0
            )
            end = start + size
            more = end < len(ids)
        return {"object": "list", "url": url, "has_more": more, "data": things[start:end]}


def _meets(thing: Thing, name: str, params: Thing) -> bool:
    wanted = params.get(name)
    if wanted is None:
        return True
    if isinstance(wanted, dict):
        tests: dict[str, Callable[[int, int], bool]] = {
            "gte": int.__ge__,
            "gt": int.__gt__,
            "lte": int.__le__,
            "lt": int.__lt__,
        }
        return all(tests[how](int(thing[name]), int(value)) for how, value in wanted.items())
    return bool(thing.get(name) == wanted)
