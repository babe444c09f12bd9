"""The tables of bills. Whether a bill is paid is not stored here: the ledger entry that settles it says so."""

import sqlalchemy as sa

from wallet.db import metadata
from wallet.identity.tables import holder

_instant = sa.DateTime(timezone=True)

agency = sa.Table(
    "agency",
    metadata,
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("code", sa.Text, nullable=False),
    sa.UniqueConstraint("code", name="agency_code_once"),
    schema="bills",
)

bill = sa.Table(
    "bill",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("code", sa.Text, nullable=False, comment="what a person reads out or types to find the bill"),
    sa.Column("agency", sa.Uuid, sa.ForeignKey(agency.c.holder), nullable=False),
    sa.Column("debtor", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("dossier", sa.Text, nullable=False),
    sa.Column("dossier_folded", sa.Text, nullable=False),
    sa.Column("procedure", sa.Text, nullable=False),
    sa.Column("total", sa.BigInteger, sa.CheckConstraint("total >= 0", name="total"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text,
              sa.CheckConstraint("state IN ('issued', 'waived', 'cancelled', 'superseded')", name="state"),
              nullable=False),
    sa.Column("supersedes", sa.Uuid, sa.ForeignKey("bills.bill.id")),
    sa.Column("due", sa.Date, nullable=False),
    sa.Column("expires", sa.Date),
    sa.Column("issued_at", _instant, nullable=False),
    sa.Column("closed_at", _instant),
    sa.Column("close_reason", sa.Text),
    sa.UniqueConstraint("code", name="bill_code_once"),
    sa.UniqueConstraint("supersedes", name="bill_superseded_once"),
    sa.CheckConstraint("(state = 'waived') = (total = 0) OR state IN ('cancelled', 'superseded')",
                       name="zero_is_waived"),
    sa.CheckConstraint("expires IS NULL OR expires >= due", name="expires_after_due"),
    sa.Index("bill_debtor_idx", "debtor", "id"),
    sa.Index("bill_agency_idx", "agency", "id"),
    schema="bills",
)  # fmt: skip

bill_line = sa.Table(
    "bill_line",
    metadata,
    sa.Column("bill", sa.Uuid, sa.ForeignKey(bill.c.id), primary_key=True),
    sa.Column("line", sa.SmallInteger, primary_key=True),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, sa.CheckConstraint("amount >= 0", name="amount"), nullable=False),
    sa.Column("chuong", sa.Text, nullable=False),
    sa.Column("tieu_muc", sa.Text, nullable=False),
    sa.Column("dia_ban", sa.Text, nullable=False),
    sa.Column("account", sa.Uuid, nullable=False, comment="the agency's account of this budget line"),
    schema="bills",
)

payer_grant = sa.Table(
    "payer_grant",
    metadata,
    sa.Column("bill", sa.Uuid, sa.ForeignKey(bill.c.id), primary_key=True),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("until", _instant, nullable=False),
    schema="bills",
    comment="who proved to know a bill's code and a detail of its debtor, and may pay it until then",
)
