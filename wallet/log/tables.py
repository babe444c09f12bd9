"""The log's tables, as SQLAlchemy sees them; who writes them stands in `functions.sql`."""

import sqlalchemy as sa

from wallet.db import metadata

_instant = sa.DateTime(timezone=True)

leaf = sa.Table(
    "leaf",
    metadata,
    sa.Column("index", sa.BigInteger, sa.CheckConstraint("index >= 0", name="index"), primary_key=True,
              autoincrement=False),
    sa.Column("event", sa.Uuid, nullable=False),
    sa.UniqueConstraint("event", name="leaf_event_once"),
    schema="log",
    comment="the gapless place of each event; the leaf is the event's bytes",
)  # fmt: skip

checkpoint = sa.Table(
    "checkpoint",
    metadata,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("root", sa.LargeBinary, sa.CheckConstraint("octet_length(root) = 32", name="root"), nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
    sa.Column("sealed_at", _instant, nullable=False, server_default=sa.func.now()),
    sa.Column("settled", sa.BigInteger, nullable=False,
              comment="no event up to this seq is, or will ever be, without a leaf below this size"),
    schema="log",
)  # fmt: skip

cosignature = sa.Table(
    "cosignature",
    metadata,
    sa.Column("size", sa.BigInteger, sa.ForeignKey(checkpoint.c.size), primary_key=True, autoincrement=False),
    sa.Column("witness", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, nullable=False, comment="the signature line, without its newline"),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    schema="log",
)
