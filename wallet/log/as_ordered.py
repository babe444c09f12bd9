"""As ordered: whether the events of an order did what its signer signed, judged from the two texts alone.

Money   Amounts are compared as the decimal strings that they are; each has one spelling.
Words   A kind of order that moves money has a judge here. An order of any other kind may not have moved any.
        What an order leaves open (the account of an agency behind a bill) the log says alone, and nobody here judges it.
        Nor can these texts show that there is no further event in the order's name: that takes the whole log, and `prove`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Event = Mapping[str, Any]
Judge = Callable[[Mapping[str, Any], Sequence[Event]], bool]

_AMOUNT: Final = re.compile(r"[1-9][0-9]{0,15}")


def judge(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    """Say whether `events`, all that an order caused, are what it said. What cannot be read is not as ordered."""
    judged = _JUDGES.get(order["kind"], _moved_nothing)
    try:
        return bool(events) and moved(events) >= 0 and judged(order, events)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def moved(events: Sequence[Event]) -> int:
    """Return how many đồng the events moved.

    Raises:
        KeyError, TypeError, ValueError: an entry cannot be read.
    """
    return sum(_dong(amount) for event in events if "entry" in event["data"] for _, _, amount in _moves(event))


def _entry(event: Event) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = event["data"]["entry"]
    return entry


def _moves(event: Event) -> list[tuple[str, str, str]]:
    """Return an entry's postings: debit, credit, amount."""
    return [(one["debit"], one["credit"], one["amount"]) for one in _entry(event)["postings"]]


def _moved_nothing(_order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    return not any("entry" in event["data"] for event in events)


def _transfer(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    (event,) = events
    asked = (order["payer"], order["payee"], order["amount"])
    return _entry(event)["kind"] == "transfer" and _moves(event) == [asked] and not _undoes(event)


def _merchant_payment(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    """So much, to the account that was signed; an invoice is settled by it, a point's sticker settles nothing."""
    (event,) = events
    asked = (order["payer"], order["payee"], order["amount"])
    named = _entry(event)["settles"] == order["invoice"] if "invoice" in order else event["subject"] == order["point"]
    return _entry(event)["kind"] == "merchant_payment" and _moves(event) == [asked] and named and not _undoes(event)


def _bill_payment(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    """Each bill that was signed is settled by one entry, whole, at the version that was seen; and nothing else is."""
    return sorted(_settled(order["payer"], event) for event in events) == sorted(
        (one["bill"], one["version"], _dong(one["amount"])) for one in order["bills"]
    )


def _settled(payer: str, event: Event) -> tuple[str, str, int]:
    entry = _entry(event)
    if entry["kind"] != "bill_payment" or _undoes(event) or any(debit != payer for debit, _, _ in _moves(event)):
        raise ValueError("not a payment out of the payer's wallet")
    return entry["settles"], event["data"]["version"], sum(_dong(amount) for _, _, amount in _moves(event))


def _dong(text: str) -> int:
    if not _AMOUNT.fullmatch(text):
        raise ValueError("no amount")
    return int(text)


def _undoes(event: Event) -> bool:
    return bool(_entry(event)["reverses"] or _entry(event)["refunds"])


def _refund(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    (event,) = events
    back = [amount for _, _, amount in _moves(event)]
    return _entry(event)["refunds"] == order["entry"] and back == [one["amount"] for one in order["lines"]]


def _reverse(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    (event,) = events
    return bool(_entry(event)["reverses"] == order["entry"])


def _hold(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    (event,) = events
    said = event["data"]
    asked = (order["payer"], order["payee"], order["amount"])
    return "entry" not in said and (said["account"], said["payee"], said["amount"]) == asked


def _hold_capture(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    (event,) = events
    ((_, _, amount),) = _moves(event)
    return (event["subject"], event["data"]["final"], amount) == (order["hold"], order["final"], order["amount"])


def _hold_void(order: Mapping[str, Any], events: Sequence[Event]) -> bool:
    (event,) = events
    return "entry" not in event["data"] and event["subject"] == order["hold"]


_JUDGES: Final[Mapping[str, Judge]] = {
    "transfer": _transfer,
    "bill_payment": _bill_payment,
    "invoice_payment": _merchant_payment,
    "point_payment": _merchant_payment,
    "refund": _refund,
    "reverse": _reverse,
    "hold": _hold,
    "hold_capture": _hold_capture,
    "hold_void": _hold_void,
}
