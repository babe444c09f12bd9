"""The catalog's tables, as the migrations make them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from market.catalog.units import UNITS
from market.tables import merchant, photo
from wallet.db import metadata
from wallet.identity.tables import holder

_instant = sa.DateTime(timezone=True)
_codes = ", ".join(f"'{code}'" for code in UNITS)
_shown = sa.text("NOT archived AND NOT taken_down AND merchant_open")

category = sa.Table(
    "category",
    metadata,
    sa.Column("code", sa.Text, sa.CheckConstraint("code ~ '^[a-z]+(-[a-z]+)*$'", name="code"), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_en", sa.Text, nullable=False),
    sa.Column("place", sa.SmallInteger, nullable=False),
    sa.UniqueConstraint("place", name="category_place_once"),
    schema="market",
    comment="of products; a merchant's own category is another matter",
)

product = sa.Table(
    "product",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("merchant", sa.Uuid, sa.ForeignKey(merchant.c.holder), nullable=False),
    sa.Column("sku", sa.Text, sa.CheckConstraint("length(sku) BETWEEN 1 AND 40", name="sku"), nullable=False,
              comment="the merchant's own number of it, by which a spreadsheet finds it again"),
    sa.Column("name", sa.Text, sa.CheckConstraint("length(name) BETWEEN 1 AND 120", name="name"), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("category", sa.Text, sa.ForeignKey(category.c.code), nullable=False),
    sa.Column("price", sa.BigInteger, sa.CheckConstraint("price BETWEEN 1 AND 10000000000", name="price"),
              nullable=False),
    sa.Column("unit", sa.Text, sa.CheckConstraint(f"unit IN ({_codes})", name="unit"), nullable=False),
    sa.Column("gtin", sa.Text, sa.CheckConstraint("gtin ~ '^([0-9]{8}|[0-9]{12}|[0-9]{13}|[0-9]{14})$'", name="gtin")),
    sa.Column("photo", sa.Text, sa.ForeignKey(photo.c.digest)),
    sa.Column("small", sa.Text, sa.ForeignKey(photo.c.digest)),
    sa.Column("sold_out", sa.Boolean, nullable=False),
    sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("taken_down", sa.Boolean, nullable=False, server_default=sa.text("false"),
              comment="what the last takedown says; set by its trigger alone"),
    sa.Column("merchant_open", sa.Boolean, nullable=False,
              comment="whether its merchant is approved; set by triggers alone, so that a search need not look"),
    sa.Column("version", sa.Integer, sa.CheckConstraint("version >= 1", name="version"), nullable=False),
    sa.Column("words", sa.SmallInteger, nullable=False,
              comment="how many words its name has: the fewer, the nearer to what was asked"),
    sa.Column("terms", ARRAY(sa.Text), nullable=False,
              comment="what it is found by: folded words of its name, their beginnings, neighbours joined, category, GTIN"),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("changed_at", _instant, nullable=False),
    sa.Column("changed_by", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.UniqueConstraint("merchant", "sku", name="product_sku_once"),
    sa.CheckConstraint("(photo IS NULL) = (small IS NULL)", name="two_sizes"),
    sa.Index("product_terms_idx", "terms", postgresql_using="gin"),
    sa.Index("product_found_idx", "sold_out", "words", "id", postgresql_where=_shown),
    sa.Index("product_category_idx", "category", "id", postgresql_where=_shown),
    sa.Index("product_newest_idx", "id", postgresql_where=_shown),
    sa.Index("product_merchant_idx", "merchant", "id"),
    sa.Index("product_changed_idx", "changed_at", "id"),
    schema="market",
)  # fmt: skip

price_change = sa.Table(
    "price_change",
    metadata,
    sa.Column("product", sa.Uuid, sa.ForeignKey(product.c.id), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("since", _instant, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("by", sa.Uuid, nullable=False),
    schema="market",
    comment="each price that a product ever had, and since when; written by the trigger of market.product alone",
)

takedown = sa.Table(
    "takedown",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("product", sa.Uuid, sa.ForeignKey(product.c.id), nullable=False),
    sa.Column("hides", sa.Boolean, nullable=False),
    sa.Column("cause", sa.Text,
              sa.CheckConstraint("cause IN ('forbidden', 'counterfeit', 'misleading', 'price', 'photo', 'other', 'none')",
                                 name="cause"), nullable=False),
    sa.Column("reason", sa.Text, sa.CheckConstraint("length(reason) BETWEEN 1 AND 300", name="reason"), nullable=False),
    sa.Column("officer", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("at", _instant, nullable=False),
    sa.CheckConstraint("hides = (cause <> 'none')", name="hides_for_a_cause"),
    sa.Index("takedown_product_idx", "product", "at"),
    schema="market",
    comment="what an officer decided about a product: hidden for a cause, or shown (again, or still)",
)  # fmt: skip

report = sa.Table(
    "report",
    metadata,
    sa.Column("product", sa.Uuid, sa.ForeignKey(product.c.id), primary_key=True),
    sa.Column("reporter", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("cause", sa.Text,
              sa.CheckConstraint("cause IN ('forbidden', 'counterfeit', 'misleading', 'price', 'photo', 'other')",
                                 name="cause"), nullable=False),
    sa.Column("note", sa.Text, sa.CheckConstraint("length(note) <= 300", name="note"), nullable=False),
    sa.Column("at", _instant, primary_key=True),
    sa.Index("report_at_idx", "at"),
    schema="market",
    comment="what somebody says is wrong with a product; open until an officer decides about it later",
)  # fmt: skip

term = sa.Table(
    "term",
    metadata,
    sa.Column("term", sa.Text, primary_key=True),
    schema="market",
    comment="every term that a product was ever found by",
)

term_key = sa.Table(
    "term_key",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("term", sa.Text, primary_key=True),
    schema="market",
    comment="a term, and it without each of its letters: terms one slip apart share a key",
)
