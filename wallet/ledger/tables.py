"""The ledger's tables, as SQLAlchemy sees them; their rules stand in the migrations and in `sql/`.

Why no foreign key runs from a posting or a delta to its account: the check would take a share lock on the account's
row, and a treasury that everyone pays would become one hot row. `post` joins the account before it writes, and `prove`
looks for orphans. Nor from what one statement writes together (order and content, entry and postings, events, outcome):
nobody else can write these tables, and each check is a query of its own.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

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
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("account", sa.Uuid, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="đồng on the account's normal side"),
    sa.PrimaryKeyConstraint("account", "id", name="delta_pkey"),
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
    sa.Column("under", sa.Uuid, sa.ForeignKey("ledger.authority.id"),
              comment="the signed mandate that this charge draws on"),
    sa.UniqueConstraint("signer", "order_id", name="authority_once"),
    sa.CheckConstraint("kind IN ('signed_order', 'mandate', 'officer_order', 'rule_run', 'outside_word', 'possession',"
                       " 'session_order')", name="kind"),
    sa.CheckConstraint("(kind IN ('signed_order', 'mandate')) = (key_id IS NOT NULL)", name="signed_by_key"),
    sa.CheckConstraint("(kind = 'mandate') = (under IS NOT NULL)", name="mandate"),
    schema="ledger",
)  # fmt: skip

outcome = sa.Table(
    "outcome",
    metadata,
    sa.Column("authority", sa.Uuid, primary_key=True),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("code", sa.Text, comment="the refusal's; NULL: carried out"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("entries", ARRAY(sa.Uuid), nullable=False),
    sa.Column("counted", JSONB, comment="what was counted against limits: [{bucket, starts, amount, cap}]"),
    sa.CheckConstraint("code IS NULL OR entries = '{}'", name="refused_wrote_nothing"),
    schema="ledger",
)

entry = sa.Table(
    "entry",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("authority", sa.Uuid, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("effective_at", _instant, nullable=False),
    sa.Column("posted_at", _instant, nullable=False, server_default=sa.func.now()),
    sa.Column("settles", sa.Uuid, comment="what this entry settles, once for ever: a bill"),
    sa.Column("reverses", sa.Uuid, sa.ForeignKey("ledger.entry.id"),
              comment="the entry that this one undoes whole, once for ever"),
    sa.Column("refunds", sa.Uuid, sa.ForeignKey("ledger.entry.id"),
              comment="the entry of which this one gives a part back"),
    sa.Index("entry_settles_once", "settles", unique=True, postgresql_where=sa.text("settles IS NOT NULL")),
    sa.Index("entry_reverses_once", "reverses", unique=True, postgresql_where=sa.text("reverses IS NOT NULL")),
    sa.CheckConstraint("reverses IS NULL OR refunds IS NULL", name="one_link"),
    sa.Index("entry_authority_idx", "authority"),
    sa.Index("entry_refunds_idx", "refunds", postgresql_where=sa.text("refunds IS NOT NULL")),
    schema="ledger",
)  # fmt: skip

posting = sa.Table(
    "posting",
    metadata,
    sa.Column("entry", sa.Uuid, primary_key=True),
    sa.Column("line", sa.SmallInteger, primary_key=True),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("debit", sa.Uuid, nullable=False),
    sa.Column("credit", sa.Uuid, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("of_line", sa.SmallInteger, comment="the line of the reversed or refunded entry that this gives back"),
    # Its entry's, repeated so that a balance as of an instant reads one table.
    sa.Column("effective_at", _instant, nullable=False),
    sa.Column("posted_at", _instant, nullable=False),
    sa.CheckConstraint("amount BETWEEN 1 AND 1000000000000000", name="amount"),
    sa.CheckConstraint("debit <> credit", name="two_accounts"),
    sa.Index("posting_seq_brin", "seq", postgresql_using="brin"),
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
    sa.Column("authority", sa.Uuid),
    sa.Column("entry", sa.Uuid),
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
    sa.Column("authority", sa.Uuid, primary_key=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
    sa.Column("signature_base", sa.LargeBinary),
    sa.Column("signature", sa.LargeBinary),
    schema="person",
    comment="what was asked, word for word; deleting a row shreds it, the ledger keeps a salted hash",
)

hold = sa.Table(
    "hold",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), nullable=False),
    sa.Column("account", sa.Uuid, nullable=False),
    sa.Column("payee", sa.Uuid, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("placed_at", _instant, nullable=False, server_default=sa.func.now()),
    sa.Column("lapses_at", _instant, nullable=False),
    sa.CheckConstraint("amount BETWEEN 1 AND 1000000000000000", name="amount"),
    sa.CheckConstraint("account <> payee", name="two_accounts"),
    sa.CheckConstraint("lapses_at > placed_at", name="lapses"),
    sa.Index("hold_account_idx", "account", "placed_at"),
    sa.Index("hold_authority_idx", "authority"),
    schema="ledger",
    comment="money set aside by a signed mandate: cap, payee, expiry",
)

live_hold = sa.Table(
    "live_hold",
    metadata,
    sa.Column("hold", sa.Uuid, sa.ForeignKey(hold.c.id), primary_key=True),
    sa.Column("lapses_at", _instant, nullable=False),
    sa.Index("live_hold_lapses_idx", "lapses_at"),
    schema="ledger",
    comment="the holds not yet resolved: a working set",
)

resolution = sa.Table(
    "resolution",
    metadata,
    sa.Column("hold", sa.Uuid, sa.ForeignKey(hold.c.id), primary_key=True),
    sa.Column("line", sa.SmallInteger, primary_key=True),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('capture', 'void', 'lapse')", name="kind"), nullable=False),
    sa.Column("captured", sa.BigInteger, nullable=False),
    sa.Column("released", sa.BigInteger, nullable=False,
              comment="what went back to available; only the last resolution of a hold releases"),
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id)),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), nullable=False),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("entry", name="resolution_entry_once"),
    sa.CheckConstraint("captured >= 0 AND (kind = 'capture') = (captured > 0)", name="captured"),
    sa.CheckConstraint("released >= 0 AND (final OR released = 0)", name="released"),
    sa.CheckConstraint("final OR kind = 'capture'", name="whole"),
    sa.CheckConstraint("(kind = 'capture') = (entry IS NOT NULL)", name="entry"),
    sa.Index("resolution_final_once", "hold", unique=True, postgresql_where=sa.text("final")),
    sa.Index("resolution_authority_idx", "authority"),
    schema="ledger",
)  # fmt: skip

mandate = sa.Table(
    "mandate",
    metadata,
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), primary_key=True),
    sa.Column("account", sa.Uuid, nullable=False),
    sa.Column("cap", sa.BigInteger, nullable=False),
    sa.Column("made_at", _instant, nullable=False, server_default=sa.func.now()),
    sa.Column("lapses_at", _instant, nullable=False),
    sa.Column("code", sa.Text, nullable=False, comment="drawn by who signs; worth nothing once it has lapsed"),
    sa.UniqueConstraint("code", name="mandate_code_once"),
    sa.CheckConstraint("cap BETWEEN 1 AND 1000000000000000", name="cap"),
    sa.CheckConstraint("lapses_at > made_at AND lapses_at <= made_at + '00:00:30'::interval", name="lapses"),
    sa.CheckConstraint("code ~ '^[0-9]{12}$'", name="code"),
    sa.Index("mandate_account_idx", "account", "made_at"),
    schema="ledger",
    comment="whoever names the code may charge the account once, at most cap, until then",
)

charge = sa.Table(
    "charge",
    metadata,
    sa.Column("mandate", sa.Uuid, sa.ForeignKey(mandate.c.authority), primary_key=True),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id), nullable=False),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), nullable=False),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("entry", name="charge_entry_once"),
    schema="ledger",
    comment="the one charge of a mandate",
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("holder", sa.Uuid, primary_key=True),
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("starts", sa.Date, primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False, comment="đồng counted in the bucket since the day it starts"),
    sa.CheckConstraint("used >= 0", name="used"),
    schema="ledger",
)

uncounted = sa.Table(
    "uncounted",
    metadata,
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), primary_key=True),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    schema="ledger",
    comment="orders of which nothing came: what they counted against limits was given back whole",
)

period = sa.Table(
    "period",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('day', 'month')", name="kind"), nullable=False),
    sa.Column("starts", sa.Date, nullable=False),
    sa.Column("ends", sa.Date, nullable=False),
    sa.Column("mark", sa.BigInteger, nullable=False,
              comment="postings effective after the period have a greater seq; those up to it are in the snapshot"),
    sa.Column("seq_at_close", sa.BigInteger, nullable=False),
    sa.Column("closed_at", _instant, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False,
              comment="SHA-256 of the balances of all accounts at its end, by effective time"),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), nullable=False),
    sa.UniqueConstraint("kind", "starts", name="period_once"),
    sa.CheckConstraint("CASE kind WHEN 'day' THEN ends = starts ELSE starts = date_trunc('month', starts)::date"
                       " AND ends = (starts + INTERVAL '1 month')::date - 1 END", name="shape"),
    sa.Index("period_ends_idx", "ends"),
    schema="ledger",
)  # fmt: skip

trial = sa.Table(
    "trial",
    metadata,
    sa.Column("period", sa.Uuid, sa.ForeignKey(period.c.id), primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("debit", sa.BigInteger, nullable=False),
    sa.Column("credit", sa.BigInteger, nullable=False),
    schema="ledger",
)

snapshot = sa.Table(
    "snapshot",
    metadata,
    sa.Column("account", sa.Uuid, primary_key=True),
    sa.Column("ends", sa.Date, primary_key=True),
    sa.Column("effective", sa.BigInteger, nullable=False,
              comment="posted by all entries effective up to the period's end, on the normal side"),
    sa.Column("sequenced", sa.BigInteger, nullable=False,
              comment="posted by all postings up to the period's mark, on the normal side"),
    schema="ledger",
)  # fmt: skip

account_move = sa.Table(
    "account_move",
    metadata,
    sa.Column("account", sa.Uuid, primary_key=True),
    sa.Column("line", sa.SmallInteger, primary_key=True),
    sa.Column("was", sa.Text, nullable=False),
    sa.Column("status", sa.Text, sa.CheckConstraint("status IN ('open', 'frozen', 'closed')", name="status"),
              nullable=False),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), nullable=False),
    sa.Column("at", _instant, nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("(was, status) IN (('open', 'frozen'), ('frozen', 'open'), ('open', 'closed'),"
                       " ('frozen', 'closed'))", name="legal"),
    sa.Index("account_move_authority_idx", "authority"),
    schema="ledger",
)  # fmt: skip

flow = sa.Table(
    "flow",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("authority", sa.Text, primary_key=True),
    sa.Column("order_kind", sa.Text, primary_key=True),
    sa.Column("debit", sa.Text, sa.ForeignKey(chart.c.code), primary_key=True),
    sa.Column("credit", sa.Text, sa.ForeignKey(chart.c.code), primary_key=True),
    sa.Column("debit_of", sa.Text,
              sa.CheckConstraint("debit_of IN ('signer', 'office', 'hold', 'mandate', 'payee', 'house', 'staff')",
                                 name="debit_of"),
              nullable=False,
              comment="whose account is debited: the signer's, their office's, the hold's or mandate's, the payee's out of"
                      " what the same entry pays them, the house's, a merchant's whose staff the signer is"),
    schema="ledger",
)  # fmt: skip
