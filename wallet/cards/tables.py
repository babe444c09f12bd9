"""The tables of cards: who is known to which acquirer, what was asked of it, what it said, and what came of that.

What is money stands in the ledger; these rows say which of the acquirer's things each entry answers to.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from wallet.db import metadata
from wallet.identity.tables import holder
from wallet.ledger.tables import authority, entry
from wallet.states import CARD_DISPUTE, CARD_PAYMENT, CARD_REFUND

_instant = sa.DateTime(timezone=True)
_LEGAL = ", ".join(
    f"('{what}', '{was}', '{to}')"
    for what, moves in (("payment", CARD_PAYMENT), ("refund", CARD_REFUND), ("dispute", CARD_DISPUTE))
    for was, to in moves
)


def _amount() -> sa.Column[Any]:
    within = sa.CheckConstraint("amount BETWEEN 1 AND 1000000000000000", name="amount")
    return sa.Column("amount", sa.BigInteger, within, nullable=False)


def _state(*states: str) -> sa.Column[Any]:
    said = ", ".join(f"'{state}'" for state in states)
    return sa.Column("state", sa.Text, sa.CheckConstraint(f"state IN ({said})", name="state"), nullable=False)


customer = sa.Table(
    "customer",
    metadata,
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), primary_key=True),
    sa.Column("acquirer", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, nullable=False, comment="ours, by which the acquirer is asked to make it once"),
    sa.Column("ref", sa.Text, comment="the acquirer's"),
    sa.Column("made_at", _instant, nullable=False),
    sa.UniqueConstraint("id", name="customer_id_once"),
    sa.UniqueConstraint("acquirer", "ref", name="customer_ref_once"),
    schema="cards",
    comment="holders as an acquirer knows them",
)

linking = sa.Table(
    "linking",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("acquirer", sa.Text, nullable=False),
    sa.Column("ref", sa.Text),
    sa.Column("page", sa.Text),
    _state("created", "open", "succeeded", "cancelled"),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("asked_at", _instant),
    sa.UniqueConstraint("acquirer", "ref", name="linking_ref_once"),
    sa.Index("linking_open_idx", "made_at", postgresql_where=sa.text("state IN ('created', 'open')")),
    schema="cards",
    comment="cards on their way to be linked, on the acquirer's page",
)

card = sa.Table(
    "card",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("acquirer", sa.Text, nullable=False),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("brand", sa.Text, nullable=False),
    sa.Column("last4", sa.Text, sa.CheckConstraint("last4 ~ '^[0-9]{4}$'", name="last4"), nullable=False),
    sa.Column("exp_month", sa.SmallInteger, sa.CheckConstraint("exp_month BETWEEN 1 AND 12", name="exp_month"),
              nullable=False),
    sa.Column("exp_year", sa.SmallInteger, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("linked_at", _instant, nullable=False),
    sa.Column("removed_at", _instant),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.UniqueConstraint("acquirer", "ref", name="card_ref_once"),
    sa.CheckConstraint("removed_at IS NULL OR NOT is_default", name="default_is_linked"),
    sa.Index("card_holder_idx", "holder", "id"),
    sa.Index("card_one_default", "holder", unique=True, postgresql_where=sa.text("is_default")),
    schema="cards",
    comment="linked cards as they may be shown: never a number",
)  # fmt: skip

payment = sa.Table(
    "payment",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("holder", sa.Uuid, sa.ForeignKey(holder.c.id), nullable=False),
    sa.Column("order_id", sa.Uuid, nullable=False, comment="the signed order's, unique for its signer"),
    sa.Column("authority", sa.Uuid, sa.ForeignKey(authority.c.id), nullable=False),
    sa.Column("purpose", sa.Text, sa.CheckConstraint("purpose IN ('topup', 'bill', 'invoice')", name="purpose"),
              nullable=False),
    sa.Column("target", sa.Uuid, nullable=False, comment="the wallet's account, the bill or the invoice"),
    _amount(),
    sa.Column("acquirer", sa.Text, nullable=False),
    sa.Column("card", sa.Uuid, sa.ForeignKey("cards.card.id"), comment="the linked card that was chosen, if one was"),
    sa.Column("locale", sa.Text, nullable=False),
    _state("created", "requires_action", "processing", "succeeded", "failed", "cancelled", "in_doubt"),
    sa.Column("ref", sa.Text, comment="the acquirer's"),
    sa.Column("page", sa.Text, comment="where the person has something to do"),
    sa.Column("brand", sa.Text),
    sa.Column("last4", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("expires_at", _instant, nullable=False, comment="when it is given up if it was not paid"),
    sa.Column("called_at", _instant, comment="when the acquirer was asked to charge: once, by whoever set this"),
    sa.Column("asked_at", _instant, comment="when the acquirer was last asked where it stands"),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id), comment="what brought the money in"),
    sa.UniqueConstraint("holder", "order_id", name="payment_order_once"),
    sa.UniqueConstraint("acquirer", "ref", name="payment_ref_once"),
    sa.UniqueConstraint("entry", name="payment_entry_once"),
    sa.CheckConstraint("(state = 'succeeded') = (entry IS NOT NULL)", name="credited"),
    sa.Index("payment_open_idx", "made_at",
             postgresql_where=sa.text("state IN ('created', 'requires_action', 'processing', 'in_doubt')")),
    sa.Index("payment_target_idx", "target"),
    schema="cards",
    comment="what holders ordered to be paid by card",
)  # fmt: skip

refund = sa.Table(
    "refund",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("payment", sa.Uuid, sa.ForeignKey(payment.c.id), nullable=False),
    _amount(),
    sa.Column("cause", sa.Text, sa.CheckConstraint("cause IN ('not_payable', 'wallet_shut', 'given_back')", name="cause"),
              nullable=False),
    sa.Column("of_entry", sa.Uuid, sa.ForeignKey(entry.c.id), comment="the payee's entry that gave the money back"),
    _state("created", "pending", "succeeded", "failed", "in_doubt"),
    sa.Column("ref", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("called_at", _instant),
    sa.Column("asked_at", _instant),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id), comment="what let the money go to the card"),
    sa.Column("failed_entry", sa.Uuid, sa.ForeignKey(entry.c.id), comment="what owes it otherwise"),
    sa.Column("settled_entry", sa.Uuid, sa.ForeignKey(entry.c.id, deferrable=True, initially="DEFERRED"),
              comment="what gave it to the payer's wallet when no card would take it"),
    sa.UniqueConstraint("of_entry", name="refund_of_entry_once"),
    sa.UniqueConstraint("ref", name="refund_ref_once"),
    sa.UniqueConstraint("entry", name="refund_entry_once"),
    sa.UniqueConstraint("failed_entry", name="refund_failed_entry_once"),
    sa.UniqueConstraint("settled_entry", name="refund_settled_entry_once"),
    sa.CheckConstraint("(cause = 'given_back') = (of_entry IS NOT NULL)", name="of_entry"),
    sa.CheckConstraint("(state = 'failed') = (failed_entry IS NOT NULL)", name="failed"),
    sa.CheckConstraint("settled_entry IS NULL OR state = 'failed'", name="settled"),
    sa.Index("refund_payment_idx", "payment"),
    sa.Index("refund_owed_idx", "made_at", postgresql_where=sa.text("state = 'failed' AND settled_entry IS NULL")),
    schema="cards",
    comment="money on its way back to the card that paid",
)  # fmt: skip

dispute = sa.Table(
    "dispute",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("acquirer", sa.Text, nullable=False),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("payment", sa.Uuid, sa.ForeignKey(payment.c.id), nullable=False),
    _amount(),
    sa.Column("reason", sa.Text, nullable=False),
    _state("told", "inquiry", "closed", "opened", "won", "lost"),
    sa.Column("evidence_due", _instant),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id), comment="what the chargeback took"),
    sa.Column("won_entry", sa.Uuid, sa.ForeignKey(entry.c.id), comment="what came back"),
    sa.UniqueConstraint("acquirer", "ref", name="dispute_ref_once"),
    sa.UniqueConstraint("entry", name="dispute_entry_once"),
    sa.UniqueConstraint("won_entry", name="dispute_won_entry_once"),
    sa.Index("dispute_payment_idx", "payment"),
    schema="cards",
    comment="chargebacks",
)

move = sa.Table(
    "move",
    metadata,
    sa.Column("subject", sa.Uuid, primary_key=True),
    sa.Column("line", sa.SmallInteger, primary_key=True),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("was", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False, comment="what made it move: the acquirer's word, our asking, time"),
    sa.Column("at", _instant, nullable=False),
    sa.CheckConstraint(f"(what, was, state) IN ({_LEGAL})", name="legal"),
    schema="cards",
    comment="each change of a payment's, refund's or dispute's state",
)

notice = sa.Table(
    "notice",
    metadata,
    sa.Column("acquirer", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, primary_key=True),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("id", sa.Uuid, comment="ours, as the notice says"),
    sa.Column("amount", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("account", sa.Text, comment="whose it is, where it is not ours"),
    sa.Column("at", _instant, nullable=False),
    sa.Column("received_at", _instant, nullable=False),
    _state("received", "handled", "quarantined"),
    sa.Column("handled_at", _instant),
    sa.Index("notice_waiting_idx", "received_at", postgresql_where=sa.text("state = 'received'")),
    schema="cards",
    comment="what an acquirer told on its own, each once",
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("acquirer", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, comment="the acquirer's ref of what it is about"),
    sa.Column("notice", sa.Text),
    sa.Column("payment", sa.Uuid, sa.ForeignKey(payment.c.id)),
    sa.Column("reason", sa.Text,
              sa.CheckConstraint("reason IN ('unknown', 'denied', 'other_account', 'wrong_mode', 'amount_differs',"
                                 " 'currency_differs', 'id_differs')", name="reason"),
              nullable=False),
    sa.Column("said", JSONB, nullable=False),
    sa.Column("at", _instant, nullable=False),
    sa.Column("resolved_at", _instant),
    sa.Column("resolved_by", sa.Uuid, sa.ForeignKey(holder.c.id)),
    sa.Column("how", sa.Text, sa.CheckConstraint("how IN ('asked_again', 'set_aside')", name="how")),
    sa.CheckConstraint("(resolved_at IS NULL) = (how IS NULL)", name="resolved"),
    sa.Index("quarantine_once", "acquirer", "subject", "reason", unique=True,
             postgresql_where=sa.text("resolved_at IS NULL")),
    schema="cards",
    comment="what is not believed until a person has looked",
)  # fmt: skip

payout = sa.Table(
    "payout",
    metadata,
    sa.Column("acquirer", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, primary_key=True),
    _amount(),
    _state("pending", "in_transit", "paid", "failed", "cancelled"),
    sa.Column("made_at", _instant, nullable=False),
    sa.Column("arrives_at", _instant, nullable=False),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id)),
    sa.Column("failed_entry", sa.Uuid, sa.ForeignKey(entry.c.id)),
    sa.UniqueConstraint("entry", name="payout_entry_once"),
    sa.UniqueConstraint("failed_entry", name="payout_failed_entry_once"),
    schema="cards",
    comment="what an acquirer sent to our bank",
)

line = sa.Table(
    "line",
    metadata,
    sa.Column("acquirer", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("raw_kind", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("fee", sa.BigInteger, nullable=False),
    sa.Column("net", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("payment", sa.Uuid, comment="ours, as the line says or its ref tells"),
    sa.Column("refund", sa.Uuid, comment="ours, as the line says"),
    sa.Column("at", _instant, nullable=False),
    sa.Column("available_at", _instant, nullable=False),
    sa.Column("read_at", _instant, nullable=False),
    sa.Column("entry", sa.Uuid, sa.ForeignKey(entry.c.id), comment="what booked its fee"),
    sa.UniqueConstraint("entry", name="line_entry_once"),
    sa.CheckConstraint("net = amount - fee", name="net"),
    sa.Index("line_at_idx", "acquirer", "at"),
    schema="cards",
    comment="our account at an acquirer, line by line; its sum is what the acquirer owes us",
)
