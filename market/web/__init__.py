"""The market's doors, handed to the application by the front door. They stand beside the wallet's and below nobody."""

from pathlib import Path
from typing import Final

from market.web import catalog, goods, shopping, stickers, takedowns
from wallet.web.app import Wing

DOORS: Final = (
    catalog,
    goods,
    shopping,
    stickers,
    takedowns,
)  # fmt: skip

WING: Final = Wing(name="market", folder=Path(__file__).parent, doors=DOORS)
