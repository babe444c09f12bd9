"""The market's doors, handed to the application by the front door. They stand beside the wallet's and below nobody."""

from pathlib import Path
from typing import Final

from market import refunds
from market.by_card import InvoiceTarget
from market.web import admitting, charges, counter, present, purchases, scan, selling, stickers, tills
from wallet.web.app import Wing

DOORS: Final = (
    admitting,
    charges,
    counter,
    present,
    scan,
    selling,
    stickers,
    tills,
)  # fmt: skip

WING: Final = Wing(
    name="market",
    folder=Path(__file__).parent,
    doors=DOORS,
    refund=refunds.refund,
    purchases=purchases.of,
    targets={"invoice": InvoiceTarget()},
)
