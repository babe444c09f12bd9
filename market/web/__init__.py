"""The market's doors, handed to the application by the front door. They stand beside the wallet's and below nobody."""

from pathlib import Path
from typing import Final

from market import refunds
from market.by_card import InvoiceTarget
from market.web import (
    admitting,
    catalog,
    charges,
    counter,
    goods,
    machines,
    present,
    purchases,
    scan,
    selling,
    shopping,
    stickers,
    takedowns,
    tills,
)
from wallet.web.app import Wing

DOORS: Final = (
    admitting,
    catalog,
    charges,
    counter,
    goods,
    machines,
    present,
    scan,
    selling,
    shopping,
    stickers,
    takedowns,
    tills,
)  # fmt: skip

WING: Final = Wing(
    name="market",
    folder=Path(__file__).parent,
    doors=DOORS,
    refund=refunds.refund,
    purchases=purchases.of,
    targets={"invoice": InvoiceTarget()},
    shows={"invoice": scan.show_invoice},
)
