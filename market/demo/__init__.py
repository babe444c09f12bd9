"""The demo city's market, entered through the real verbs after its people (see `wallet.demo.loading`)."""

from market.demo import goods, merchants
from wallet.demo.enter import Load

__all__ = ["enter"]


def enter(load: Load) -> None:
    """Enter the demo's merchants and what they sell; what an earlier load has entered is found, not made again."""
    merchants.enter(load)
    goods.enter(load)
