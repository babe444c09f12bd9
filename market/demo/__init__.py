"""The demo city's market, entered through the real verbs after its people (see `wallet.demo`)."""

from market.demo import merchants
from wallet.demo.enter import Load

__all__ = ["enter"]


def enter(load: Load) -> None:
    """Enter what the demo's merchants are; what an earlier load has entered is found, not made again."""
    merchants.enter(load)
