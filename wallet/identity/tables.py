"""The tables of identity, and the one schema that holds what names a person: `person`."""

import sqlalchemy as sa

from wallet.db import metadata

_instant = sa.DateTime(timezone=True)

holder = sa.Table(
    "holder",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('person', 'agency', 'merchant', 'outside')", name="kind"),
              nullable=False),
    sa.Column("opened_at", _instant, nullable=False),
    schema="identity",
)  # fmt: skip

person = sa.Table(
    "person",
    metadata,
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_folded", sa.Text, nullable=False),
    sa.Column("phone", sa.Text),
    sa.UniqueConstraint("phone", name="person_phone_once"),
    sa.Index("person_name_folded_idx", "name_folded"),
    schema="person",
)

role = sa.Table(
    "role",
    metadata,
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("role", sa.Text,
              sa.CheckConstraint("role IN ('citizen', 'officer', 'agency', 'merchant', 'auditor', 'operator')",
                                 name="role"),
              primary_key=True),
    sa.Column("agency", sa.Uuid, sa.ForeignKey(holder.c.id), comment="whose officer or machine this is"),
    schema="identity",
)  # fmt: skip

staff = sa.Table(
    "staff",
    metadata,
    sa.Column("merchant", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("role", sa.Text, sa.CheckConstraint("role IN ('owner', 'manager', 'cashier')", name="role"),
              nullable=False),
    sa.Column("since", _instant, primary_key=True),
    sa.Column("until", _instant),
    sa.CheckConstraint("until >= since", name="until"),
    sa.CheckConstraint("merchant <> holder", name="two_holders"),
    sa.Index("staff_one_in_force", "merchant", "holder", unique=True, postgresql_where=sa.text("until IS NULL")),
    sa.Index("staff_holder_idx", "holder"),
    schema="identity",
    comment="who acts for a merchant, since when, and until when they did",
)  # fmt: skip

key = sa.Table(
    "key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, comment="RFC 7638 thumbprint"),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("jwk", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("device", sa.Text, sa.CheckConstraint("device IN ('browser', 'machine')", name="device"),
              nullable=False),
    sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('pending', 'active', 'revoked')", name="state"),
              nullable=False),
    sa.Column("enrolled_at", _instant, nullable=False),
    sa.Column("revoked_at", _instant),
    sa.Index("key_holder_idx", "holder"),
    schema="identity",
)  # fmt: skip

session = sa.Table(
    "session",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("opened_at", _instant, nullable=False),
    sa.Column("seen_at", _instant, nullable=False),
    sa.Index("session_holder_idx", "holder"),
    schema="identity",
)

pin = sa.Table(
    "pin",
    metadata,
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("set_at", _instant, nullable=False),
    schema="identity",
)

one_time_code = sa.Table(
    "one_time_code",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("phone", sa.Text, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("sent_at", _instant, nullable=False),
    sa.Column("verified_at", _instant),
    sa.Column("used_at", _instant),
    sa.Index("one_time_code_phone_idx", "phone", "purpose", "sent_at"),
    schema="identity",
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("resets_at", _instant, nullable=False),
    schema="identity",
)

known_device = sa.Table(
    "known_device",
    metadata,
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("device_hash", sa.LargeBinary, primary_key=True),
    sa.Column("seen_at", _instant, nullable=False),
    schema="identity",
)

payee_code = sa.Table(
    "payee_code",
    metadata,
    sa.Column("code", sa.Text, sa.CheckConstraint("code ~ '^[0-9]{9}$'", name="digits"), primary_key=True,
              comment="eight random digits and a check digit; never given out twice"),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("ended_at", _instant),
    sa.Index("payee_code_one_living", "holder", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
    schema="identity",
)  # fmt: skip

receipt_link = sa.Table(
    "receipt_link",
    metadata,
    sa.Column("authority", sa.Uuid, sa.ForeignKey("ledger.authority.id"), primary_key=True),
    sa.Column("serial", sa.Integer, sa.CheckConstraint("serial > 0", name="serial"), nullable=False,
              comment="which of the links to this payment lives; the token is made of it, and stands nowhere"),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("ended_at", _instant),
    schema="person",
)  # fmt: skip
