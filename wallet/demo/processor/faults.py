"""What goes wrong on command: each fault for the next so many requests or events that it fits."""

from dataclasses import dataclass
from typing import Final

from wallet.demo.processor.store import Store
from wallet.demo.processor.wire import wrong

OF_REQUESTS: Final = {
    "lose_request": "nothing is done and nothing answered",
    "lose_reply": "it is done, and nothing answered",
    "hang": "it is done, and answered so many seconds later",
    "error_before": "nothing is done; 500",
    "error_after": "it is done; 500",
    "rate_limit": "nothing is done; 429",
    "die_before": "the processor is killed before it begins",
    "die_within": "the processor is killed before it commits",
    "die_after": "the processor is killed after it has committed and before it answers",
}
OF_EVENTS: Final = {
    "duplicate": "the event is delivered twice",
    "late": "the event is delivered so many seconds later",
    "drop": "the event is never delivered",
    "shuffle": "what is due at once is delivered newest first",
}
EVERY: Final = {**OF_REQUESTS, **OF_EVENTS}


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault, with its seconds where it has some."""

    kind: str
    value: float


def switch(store: Store, *, kind: str, at: str = "", times: int = 1, value: float = 0) -> None:
    """Have a fault happen.

    Args:
        store: of the processor.
        kind: one of `EVERY`.
        at: the beginning of what it fits: "POST /v1/refunds", or an event's type; empty fits all.
        times: how often; 0 takes the fault back.
        value: seconds.

    Raises:
        ApiError: no such kind.
    """
    if kind not in EVERY:
        raise wrong("kind", f"one of {', '.join(EVERY)}")
    with store.unit():
        store.run("DELETE FROM fault WHERE kind = ? AND at = ?", kind, at)
        if times:
            store.run("INSERT INTO fault (kind, at, times, value) VALUES (?, ?, ?, ?)", kind, at, times, value)


def take(store: Store, kinds: dict[str, str], what: str) -> Fault | None:
    """Return the oldest fault of these kinds that fits, once less."""
    with store.unit():
        for number, kind, at, times, value in store.run("SELECT number, kind, at, times, value FROM fault ORDER BY 1"):
            if kind in kinds and what.startswith(at):
                store.run("UPDATE fault SET times = times - 1 WHERE number = ?", number)
                if times <= 1:
                    store.run("DELETE FROM fault WHERE number = ?", number)
                return Fault(kind, value)
    return None
