"""Test cards: what each number does, as docs.stripe.com/testing lists them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCard:
    """What a card does when it is charged. `decline` is (code, decline code)."""

    brand: str = "visa"
    decline: tuple[str, str] | None = None
    secure: bool = False
    """It asks for 3-D Secure each time."""
    links: bool = True
    """It can be linked, though a charge may be declined."""
    disputes: bool = False
    """Its holder disputes at once."""
    refund: str = "succeeded"
    """How a refund begins; `pending` succeeds later, `failed` comes back."""


def _declined(code: str = "card_declined", why: str = "", *, links: bool = False) -> TestCard:
    return TestCard(decline=(code, why or code), links=links)


CARDS: Final = {
    "4242424242424242": TestCard(),
    "4000056655665556": TestCard(),
    "5555555555554444": TestCard(brand="mastercard"),
    "3566002020360505": TestCard(brand="jcb"),
    "378282246310005": TestCard(brand="amex"),
    "6200000000000005": TestCard(brand="unionpay"),
    "4000002760003184": TestCard(secure=True),
    "4000000000003220": TestCard(secure=True),
    "4000008400001629": TestCard(secure=True, decline=("card_declined", "generic_decline")),
    "4000000000000002": _declined(why="generic_decline"),
    "4000000000000341": _declined(why="generic_decline", links=True),
    "4000000000009995": _declined(why="insufficient_funds"),
    "4000000000009987": _declined(why="lost_card"),
    "4000000000009979": _declined(why="stolen_card"),
    "4000000000006975": _declined(why="card_velocity_exceeded"),
    "4000000000000119": _declined("processing_error"),
    "4000000000000069": _declined("expired_card"),
    "4000000000000127": _declined("incorrect_cvc"),
    "4000000000000259": TestCard(disputes=True),
    "4000000000005126": TestCard(refund="failed"),
    "4000000000007726": TestCard(refund="pending"),
}


def known(number: str) -> TestCard | None:
    """Return what a number does; None for a number that is no test card."""
    return CARDS.get(number)
