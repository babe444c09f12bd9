"""The ledger's tables, as SQLAlchemy sees them; their rules stand in the migrations and in `functions.sql`.

Why no foreign key runs from a posting or a delta to its account: the check would take a share lock on the account's
row, and a treasury that everyone pays would become one hot row. `execute` joins the account before it writes, and
`prove` looks for orphans.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from wallet.db import metadata

_instant = sa.DateTime(timezone=True)

chart = sa.Table(
    "chart",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_en", sa.Text, nullable=False),
    sa.Column("normal", sa.Text, sa.CheckConstraint("normal IN ('debit', 'credit')", name="normal"), nullable=False),
    sa.Column("floor", sa.BigInteger, comment="least available balance in đồng on the normal side; NULL: none"),
    sa.Column("held_by", sa.Text, sa.CheckConstraint("held_by IN ('house', 'holder', 'budget')", name="held_by"),
              nullable=False),
    schema="ledger",
)  # fmt: skip

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("code", sa.Text, sa.ForeignKey(chart.c.code), nullable=False),
    sa.Column("holder", sa.Uuid),
    sa.Column("chuong", sa.Text),
    sa.Column("tieu_muc", sa.Text),
    sa.Column("dia_ban", sa.Text),
    sa.Column("currency", sa.Text, sa.CheckConstraint("currency = 'VND'", name="currency"), nullable=False,
              server_default="VND"),
    sa.Column("normal", sa.Text, nullable=False),
    sa.Column("floor", sa.BigInteger),
    sa.Column("status", sa.Text, sa.CheckConstraint("status IN ('open', 'frozen', 'closed')", name="status"),
              nullable=False, server_default="open"),
    sa.Column("opened_at", _instant, nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("code", "holder", "chuong", "tieu_muc", "dia_ban", name="account_once",
                        postgresql_nulls_not_distinct=True),
    sa.Index("account_holder_idx", "holder"),
    schema="ledger",
)  # fmt: skip

balance = sa.Table(
    "balance",
    metadata,
    sa.Column("account", sa.Uuid, sa.ForeignKey(account.c.id), primary_key=True),
    sa.Column("posted", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("held", sa.BigInteger, sa.CheckConstraint("held >= 0", name="held"), nullable=False, server_default="0"),
    sa.Column("floor", sa.BigInteger, comment="the account's, repeated so that a CHECK can stand under it"),
    sa.CheckConstraint("floor IS NULL OR posted - held >= floor", name="floor"),
    schema="ledger",
)

delta = sa.Table(
    "delta",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("account", sa.Uuid, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="đồng on the account's normal side"),
    sa.Index("delta_account_idx", "account"),
    schema="ledger",
)

authority = sa.Table(
    "authority",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("signer", sa.Uuid, nullable=False),
    sa.Column("order_id", sa.Uuid, nullable=False),
    sa.Column("order_kind", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text),
    sa.Column("digest", sa.LargeBinary, nullable=False, comment="SHA-256(salt || order bytes)"),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("signer", "order_id", name="authority_once"),
    sa.CheckConstraint("kind IN ('signed_order', 'possession', 'officer_order', 'session_order', 'outside_word')",
                       name="kind"),
    sa.CheckConstraint("(kind = 'signed_order') = (key_id IS NOT NULL)", name="signed_by_key"),
    schema="ledger",
)  # fmt: skip

outcome = sa.Table(
    "outcome",
    metadata,
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), primary_key=True),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("code", sa.Text, comment="the refusal's; NULL: carried out"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("entries", ARRAY(sa.Uuid), nullable=False),
    sa.CheckConstraint("code IS NULL OR entries = '{}'", name="refused_wrote_nothing"),
    schema="ledger",
)

entry = sa.Table(
    "entry",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("effective_at", _instant, nullable=False),
    sa.Column("posted_at", _instant, nullable=False, server_default=sa.func.now()),
    sa.Column("settles", sa.Uuid, comment="what this entry settles, once for ever: a bill"),
    sa.UniqueConstraint("settles", name="entry_settles_once"),
    sa.Index("entry_authority_idx", "authority"),
    schema="ledger",
)

posting = sa.Table(
    "posting",
    metadata,
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id), primary_key=True),
    sa.Column("line", sa.SmallInteger, primary_key=True),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("debit", sa.Uuid, nullable=False),
    sa.Column("credit", sa.Uuid, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.CheckConstraint("amount BETWEEN 1 AND 1000000000000000", name="amount"),
    sa.CheckConstraint("debit <> credit", name="two_accounts"),
    sa.Index("posting_debit_seq_idx", "debit", "seq"),
    sa.Index("posting_credit_seq_idx", "credit", "seq"),
    schema="ledger",
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("actor", sa.Uuid),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id)),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id)),
    sa.Column("at", _instant, nullable=False),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
    sa.CheckConstraint("octet_length(bytes) <= 65535", name="leaf_size"),
    sa.UniqueConstraint("seq", name="event_seq_key"),
    sa.Index("event_subject_idx", "subject", "seq"),
    sa.Index("event_authority_idx", "authority"),
    sa.Index("event_entry_idx", "entry"),
    schema="ledger",
)

order_content = sa.Table(
    "order_content",
    metadata,
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), primary_key=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
    sa.Column("signature_base", sa.LargeBinary),
    sa.Column("signature", sa.LargeBinary),
    schema="person",
    comment="what was asked, word for word; deleting a row shreds it, the ledger keeps a salted hash",
)
