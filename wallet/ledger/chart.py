"""The chart of accounts this slice uses, by the names that the code calls them; the rows stand in the migration.

Source  The project's design, section 5. Later issues add theirs by migration.
"""

from typing import Final

BANK_GUARANTEE: Final = "bank.guarantee"
"""Asset: the guarantee account, one đồng for each in a wallet (Circular 40/2024)."""

BANK_COLLECTION: Final = "bank.collection"
"""Asset: money collected for agencies, kept apart by law."""

WALLET: Final = "wallet"
"""Liability: what we owe a holder; floored at zero."""

MERCHANT: Final = "merchant"
"""Liability: what we owe a merchant for what was paid at its points; floored at zero."""

MERCHANT_FEE: Final = "merchant_fee"
"""Income: what merchants pay us."""

AGENCY: Final = "agency"
"""Liability: what we have collected for an agency under one budget line (chương, tiểu mục, địa bàn)."""

STRIPE_CLEARING: Final = "stripe.clearing"
"""Asset: what Stripe owes us; the sum of its balance transactions."""

BANK_OPERATING: Final = "bank.operating"
"""Asset: our own money, which bears fees and losses."""

CARD_PENDING: Final = "card_pending"
"""Liability: card money that is neither with its payee nor back on its card yet; floored at zero."""

REFUNDS_PAYABLE: Final = "refunds_payable"
"""Liability: refunds that no card would take."""

CARD_FEE: Final = "card_fee"
"""Expense: what processors keep."""

DISPUTE_LOSS: Final = "dispute_loss"
"""Expense: what chargebacks took."""
