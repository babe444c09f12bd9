"""The market's tables: merchants, their places and points, what they ask for, what was paid, what goes back.

Whether an invoice is paid is not stored: the ledger entry that settles it says so, or the match with a payment to a sticker.
Who works for a merchant stands in `identity.staff`, because the ledger asks it; it is named here for convenience.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from wallet.db import metadata
from wallet.identity.tables import holder, staff

__all__ = [
    "invoice",
    "location",
    "match",
    "merchant",
    "merchant_review",
    "payment",
    "photo",
    "point",
    "refund_request",
    "resolution",
    "staff",
]

_instant = sa.DateTime(timezone=True)

_AMOUNT: Final = "amount BETWEEN 1 AND 1000000000000000"
_LETTERS: Final = "0-9A-HJKMNP-TV-Z"
"""Crockford's: no I, L, O, U, which are misread."""

photo = sa.Table(
    "photo",
    metadata,
    sa.Column("digest", sa.Text, sa.CheckConstraint("digest ~ '^[0-9a-f]{64}$'", name="digest"), primary_key=True),
    sa.Column("media", sa.Text,
              sa.CheckConstraint("media IN ('image/jpeg', 'image/png', 'image/webp')", name="media"), nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
    sa.Column("made_at", _instant, nullable=False),
    sa.CheckConstraint(
        "length(bytes) <= 300000 AND width BETWEEN 1 AND 4096 AND height BETWEEN 1 AND 4096", name="size"
    ),
    schema="market",
    comment="pictures that we encoded ourselves, by the SHA-256 of their bytes",
)  # fmt: skip

merchant = sa.Table(
    "merchant",
    metadata,
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("code", sa.Text,
              sa.CheckConstraint("code ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(code) <= 60", name="code"),
              nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_folded", sa.Text, nullable=False),
    sa.Column("tax_id", sa.Text,
              sa.CheckConstraint("tax_id ~ '^[0-9]{10}(-[0-9]{3})?$|^[0-9]{12}$'", name="tax_id")),
    sa.Column("category", sa.Text, sa.CheckConstraint("category ~ '^[0-9]{4}$'", name="category"), nullable=False,
              comment="merchant category code, ISO 18245"),
    sa.Column("account", sa.Uuid, comment="where it is paid, from its approval on"),
    sa.Column("state", sa.Text,
              sa.CheckConstraint("state IN ('applied', 'reviewed', 'returned', 'approved', 'refused', 'suspended')",
                                 name="state"),
              nullable=False),
    sa.Column("applied_by", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("made_at", _instant, nullable=False),
    sa.UniqueConstraint("code", name="merchant_code_once"),
    sa.UniqueConstraint("account", name="merchant_account_once"),
    sa.CheckConstraint("(state IN ('approved', 'suspended')) = (account IS NOT NULL)", name="account"),
    sa.Index("merchant_state_idx", "state", "holder"),
    schema="market",
)  # fmt: skip

merchant_review = sa.Table(
    "merchant_review",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("merchant", sa.Uuid, sa.ForeignKey(merchant.c.holder), nullable=False),
    sa.Column("from_state", sa.Text, nullable=False),
    sa.Column("to_state", sa.Text, nullable=False),
    sa.Column("officer", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False,
              comment="who moved it; of returned to applied, the applicant"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", _instant, nullable=False),
    sa.CheckConstraint(
        "(from_state, to_state) IN (('applied', 'reviewed'), ('applied', 'returned'), ('reviewed', 'approved'),"
        " ('reviewed', 'returned'), ('reviewed', 'refused'), ('returned', 'applied'), ('approved', 'suspended'),"
        " ('suspended', 'approved'))",
        name="legal",
    ),
    sa.Index("merchant_review_merchant_idx", "merchant", "id"),
    schema="market",
)  # fmt: skip

location = sa.Table(
    "location",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("merchant", sa.Uuid, sa.ForeignKey(merchant.c.holder), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("area", sa.Text, nullable=False, comment="code of the ward or commune (địa bàn)"),
    sa.Column("lat", sa.Integer, sa.CheckConstraint("lat BETWEEN -90000000 AND 90000000", name="lat"),
              comment="millionths of a degree"),
    sa.Column("lon", sa.Integer, sa.CheckConstraint("lon BETWEEN -180000000 AND 180000000", name="lon"),
              comment="millionths of a degree"),
    sa.Column("photo", sa.Text, sa.ForeignKey(photo.c.digest)),
    sa.Column("hours", JSONB, nullable=False,
              comment='{"1": [["06:00", "11:30"], ...], ... "7": []}: by day of the week from Monday; a day that is not'
                      " named is closed"),
    sa.Column("closed_days", ARRAY(sa.Date), nullable=False, server_default="{}"),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("ended_at", _instant),
    sa.CheckConstraint("(lat IS NULL) = (lon IS NULL)", name="place"),
    sa.Index("location_merchant_idx", "merchant", "id"),
    schema="market",
)  # fmt: skip

point = sa.Table(
    "point",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("location", sa.Uuid, sa.ForeignKey(location.c.id), nullable=False),
    sa.Column("merchant", sa.Uuid, sa.ForeignKey(merchant.c.holder), nullable=False),
    sa.Column("serial", sa.Text, sa.CheckConstraint(f"serial ~ '^[{_LETTERS}]{{8}}$'", name="serial"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("issued_at", _instant, nullable=False),
    sa.Column("revoked_at", _instant),
    sa.Column("sticker_version", sa.Integer, sa.CheckConstraint("sticker_version >= 1", name="sticker_version"),
              nullable=False, server_default="1"),
    sa.Column("replaces", sa.Uuid, sa.ForeignKey("market.point.id"),
              comment="the revoked point in whose place this one stands"),
    sa.UniqueConstraint("serial", name="point_serial_once"),
    sa.UniqueConstraint("replaces", name="point_replaced_once"),
    sa.Index("point_merchant_idx", "merchant", "id"),
    sa.Index("point_location_idx", "location"),
    schema="market",
    comment="acceptance points: a stall, a till, a kiosk",
)  # fmt: skip

invoice = sa.Table(
    "invoice",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("merchant", sa.Uuid, sa.ForeignKey(merchant.c.holder), nullable=False),
    sa.Column("point", sa.Uuid, sa.ForeignKey(point.c.id), nullable=False),
    sa.Column("number", sa.Text, sa.CheckConstraint(f"number ~ '^[{_LETTERS}]{{10}}$'", name="number"), nullable=False),
    sa.Column("amount", sa.BigInteger, sa.CheckConstraint(_AMOUNT, name="amount"), nullable=False),
    sa.Column("memo", sa.Text, nullable=False),
    sa.Column("items", JSONB, nullable=False, server_default="[]",
              comment='[{"product", "name", "unit", "price", "count", "amount"}], in the order of the till'),
    sa.Column("made_by", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("expires_at", _instant, nullable=False),
    sa.Column("cancelled_at", _instant),
    sa.Column("cancelled_by", sa.Uuid, sa.ForeignKey(holder.c.id)),
    sa.Column("rest_of", sa.Uuid, sa.ForeignKey("market.invoice.id"),
              comment="the invoice that was paid short, of which this asks for the rest"),
    sa.UniqueConstraint("number", name="invoice_number_once"),
    sa.UniqueConstraint("rest_of", name="invoice_rest_once"),
    sa.CheckConstraint("expires_at > made_at", name="expires"),
    sa.CheckConstraint("(cancelled_at IS NULL) = (cancelled_by IS NULL)", name="cancelled"),
    sa.Index("invoice_point_idx", "point", "made_at"),
    sa.Index("invoice_merchant_idx", "merchant", "id"),
    schema="market",
    comment="what a merchant asks for at the counter; the entry that settles it, or a match, says that it is paid",
)  # fmt: skip

payment = sa.Table(
    "payment",
    metadata,
    sa.Column("entry", sa.Uuid, primary_key=True),
    sa.Column("merchant", sa.Uuid, nullable=False),
    sa.Column("point", sa.Uuid, nullable=False),
    sa.Column("invoice", sa.Uuid,
              comment="the invoice that its entry settles; NULL of a payment to a point's sticker"),
    sa.Column("payer", sa.Uuid, nullable=False, comment="who signed"),
    sa.Column("amount", sa.BigInteger, sa.CheckConstraint(_AMOUNT, name="amount"), nullable=False),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    sa.Column("authority", sa.Uuid, nullable=False),
    sa.UniqueConstraint("invoice", name="payment_invoice_once"),
    sa.Index("payment_point_idx", "point", "at"),
    sa.Index("payment_merchant_idx", "merchant", "at"),
    sa.Index("payment_payer_idx", "payer", "at"),
    schema="market",
    comment="what was paid to merchants: written with the money, by the function that posts it",
)  # fmt: skip

match = sa.Table(
    "match",
    metadata,
    sa.Column("payment", sa.Uuid, sa.ForeignKey(payment.c.entry), primary_key=True),
    sa.Column("invoice", sa.Uuid, sa.ForeignKey(invoice.c.id), nullable=False),
    sa.Column("how", sa.Text,
              sa.CheckConstraint("how IN ('exact', 'under', 'over', 'late', 'attached')", name="how"), nullable=False),
    sa.Column("by", sa.Uuid, sa.ForeignKey(holder.c.id), comment="the cashier who picked; NULL: there was only one"),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("invoice", name="match_invoice_once"),
    sa.CheckConstraint("how <> 'attached' OR by IS NOT NULL", name="by"),
    schema="market",
    comment="which keyed invoice a payment to a sticker answers",
)  # fmt: skip

resolution = sa.Table(
    "resolution",
    metadata,
    sa.Column("payment", sa.Uuid, sa.ForeignKey(payment.c.entry), primary_key=True),
    sa.Column("how", sa.Text,
              sa.CheckConstraint("how IN ('rest_asked', 'excess_refunded', 'attached', 'accepted')", name="how"),
              nullable=False),
    sa.Column("made", sa.Uuid,
              comment="what came of it: the invoice for the rest, the refund's entry, the invoice attached to"),
    sa.Column("by", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("at", _instant, nullable=False),
    sa.CheckConstraint("(how = 'accepted') = (made IS NULL)", name="made"),
    schema="market",
)  # fmt: skip

refund_request = sa.Table(
    "refund_request",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("merchant", sa.Uuid, sa.ForeignKey(merchant.c.holder), nullable=False),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(payment.c.entry), nullable=False),
    sa.Column("amount", sa.BigInteger, sa.CheckConstraint(_AMOUNT, name="amount"), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made_by", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("expires_at", _instant, nullable=False),
    sa.Column("pin", sa.Boolean, nullable=False, comment="whether its maker gave their PIN"),
    sa.Column("approved_by", sa.Uuid, sa.ForeignKey(holder.c.id), comment="whose signed order gave the money back"),
    sa.Column("refund", sa.Uuid, comment="the entry that gave the money back"),
    sa.Column("withdrawn_at", _instant),
    sa.UniqueConstraint("refund", name="refund_request_refund_once"),
    sa.CheckConstraint("refund IS NULL OR withdrawn_at IS NULL", name="one_end"),
    sa.CheckConstraint("(refund IS NULL) = (approved_by IS NULL)", name="done"),
    sa.Index("refund_request_merchant_idx", "merchant", "id"),
    sa.Index("refund_request_entry_idx", "entry"),
    schema="market",
    comment="a refund that somebody prepared: a cashier by their PIN, or anybody for a second person to order",
)  # fmt: skip
