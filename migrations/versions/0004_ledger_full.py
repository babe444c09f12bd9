"""The ledger at full strength: holds, reversals and refunds, flows as data, limits, periods, account moves.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns; fill what postings repeat of their entry."""
    op.execute(RENAMED)
    op.execute(LOOSENED)
    op.execute(AUTHORITY)
    op.execute(ENTRY)
    op.execute(POSTING)
    op.execute(HOLDS)
    op.execute(LIMITS)
    op.execute(PERIODS)
    op.execute(MOVES)
    op.execute(FLOWS)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


# Functions whose shape changed go; `wallet/ledger/sql` holds what came instead. Nothing was released with the old ones.
RENAMED = """
DROP FUNCTION IF EXISTS ledger.execute(uuid, jsonb, smallint, bytea);
DROP FUNCTION IF EXISTS ledger.fold(integer);
DROP FUNCTION IF EXISTS ledger.claim(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea);
DROP FUNCTION IF EXISTS identity.hold_key(text, uuid);
DROP FUNCTION IF EXISTS identity.owns_key(text, uuid);
DROP FUNCTION IF EXISTS identity.roles_of(uuid);
"""

# What the hot path writes beside each other in one statement is not checked again, row by row: nobody else can write these
# tables, and `prove` looks for what hangs in the air.
LOOSENED = """
ALTER TABLE ledger.entry DROP CONSTRAINT entry_authority_fkey;
ALTER TABLE ledger.outcome DROP CONSTRAINT outcome_authority_fkey;
ALTER TABLE ledger.posting DROP CONSTRAINT posting_entry_fkey;
ALTER TABLE ledger.event DROP CONSTRAINT event_authority_fkey;
ALTER TABLE ledger.event DROP CONSTRAINT event_entry_fkey;
ALTER TABLE person.order_content DROP CONSTRAINT order_content_authority_fkey;
"""

AUTHORITY = """
ALTER TABLE ledger.authority ADD COLUMN under UUID CONSTRAINT authority_under_fkey REFERENCES ledger.authority (id);
COMMENT ON COLUMN ledger.authority.under IS 'the signed mandate that this charge draws on';
ALTER TABLE ledger.authority DROP CONSTRAINT authority_kind_check;
ALTER TABLE ledger.authority ADD CONSTRAINT authority_kind_check CHECK (kind IN ('signed_order', 'mandate', 'officer_order', 'rule_run', 'outside_word', 'possession', 'session_order'));
ALTER TABLE ledger.authority DROP CONSTRAINT authority_signed_by_key_check;
ALTER TABLE ledger.authority ADD CONSTRAINT authority_signed_by_key_check CHECK ((kind IN ('signed_order', 'mandate')) = (key_id IS NOT NULL));
ALTER TABLE ledger.authority ADD CONSTRAINT authority_mandate_check CHECK ((kind = 'mandate') = (under IS NOT NULL));
ALTER TABLE ledger.outcome ADD COLUMN counted JSONB;
COMMENT ON COLUMN ledger.outcome.counted IS 'what was counted against limits: [{bucket, starts, amount, cap}]';
"""

ENTRY = """
ALTER TABLE ledger.entry ADD COLUMN reverses UUID CONSTRAINT entry_reverses_fkey REFERENCES ledger.entry (id);
ALTER TABLE ledger.entry ADD COLUMN refunds UUID CONSTRAINT entry_refunds_fkey REFERENCES ledger.entry (id);
ALTER TABLE ledger.entry ADD CONSTRAINT entry_reverses_once UNIQUE (reverses);
ALTER TABLE ledger.entry ADD CONSTRAINT entry_one_link_check CHECK (reverses IS NULL OR refunds IS NULL);
COMMENT ON COLUMN ledger.entry.reverses IS 'the entry that this one undoes whole, once for ever';
COMMENT ON COLUMN ledger.entry.refunds IS 'the entry of which this one gives a part back';
CREATE INDEX entry_refunds_idx ON ledger.entry (refunds) WHERE refunds IS NOT NULL;
"""

# A posting repeats its entry's two instants, so that a balance as of an instant reads one table.
POSTING = """
ALTER TABLE ledger.posting ADD COLUMN of_line SMALLINT;
ALTER TABLE ledger.posting ADD COLUMN effective_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE ledger.posting ADD COLUMN posted_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN ledger.posting.of_line IS 'the line of the reversed or refunded entry that this gives back';
ALTER TABLE ledger.posting DISABLE TRIGGER USER;
UPDATE ledger.posting p SET effective_at = e.effective_at, posted_at = e.posted_at FROM ledger.entry e WHERE e.id = p.entry;
ALTER TABLE ledger.posting ENABLE TRIGGER USER;
ALTER TABLE ledger.posting ALTER COLUMN effective_at SET NOT NULL, ALTER COLUMN posted_at SET NOT NULL;
CREATE INDEX posting_seq_brin ON ledger.posting USING brin (seq);
"""

HOLDS = """
CREATE TABLE ledger.hold (
    id UUID NOT NULL,
    authority UUID NOT NULL,
    account UUID NOT NULL,
    payee UUID NOT NULL,
    amount BIGINT NOT NULL,
    placed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    lapses_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT hold_pkey PRIMARY KEY (id),
    CONSTRAINT hold_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    CONSTRAINT hold_two_accounts_check CHECK (account <> payee),
    CONSTRAINT hold_lapses_check CHECK (lapses_at > placed_at),
    CONSTRAINT hold_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON TABLE ledger.hold IS 'money set aside by a signed mandate: cap, payee, expiry';
CREATE INDEX hold_account_idx ON ledger.hold (account, placed_at);
CREATE INDEX hold_authority_idx ON ledger.hold (authority);

CREATE TABLE ledger.live_hold (
    hold UUID NOT NULL,
    lapses_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT live_hold_pkey PRIMARY KEY (hold),
    CONSTRAINT live_hold_hold_fkey FOREIGN KEY(hold) REFERENCES ledger.hold (id)
);
COMMENT ON TABLE ledger.live_hold IS 'the holds not yet resolved: a working set';
CREATE INDEX live_hold_lapses_idx ON ledger.live_hold (lapses_at);

CREATE TABLE ledger.resolution (
    hold UUID NOT NULL,
    line SMALLINT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT resolution_kind_check CHECK (kind IN ('capture', 'void', 'lapse')),
    captured BIGINT NOT NULL,
    released BIGINT NOT NULL,
    final BOOLEAN NOT NULL,
    entry UUID,
    authority UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT resolution_pkey PRIMARY KEY (hold, line),
    CONSTRAINT resolution_entry_once UNIQUE (entry),
    CONSTRAINT resolution_captured_check CHECK (captured >= 0 AND (kind = 'capture') = (captured > 0)),
    CONSTRAINT resolution_released_check CHECK (released >= 0 AND (final OR released = 0)),
    CONSTRAINT resolution_whole_check CHECK (final OR kind = 'capture'),
    CONSTRAINT resolution_entry_check CHECK ((kind = 'capture') = (entry IS NOT NULL)),
    CONSTRAINT resolution_hold_fkey FOREIGN KEY(hold) REFERENCES ledger.hold (id),
    CONSTRAINT resolution_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id),
    CONSTRAINT resolution_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON COLUMN ledger.resolution.released IS 'what went back to available; only the last resolution of a hold releases';
CREATE UNIQUE INDEX resolution_final_once ON ledger.resolution (hold) WHERE final;
CREATE INDEX resolution_authority_idx ON ledger.resolution (authority);
"""

LIMITS = """
CREATE TABLE ledger.usage (
    holder UUID NOT NULL,
    bucket TEXT NOT NULL,
    starts DATE NOT NULL,
    used BIGINT NOT NULL,
    CONSTRAINT usage_pkey PRIMARY KEY (holder, bucket, starts),
    CONSTRAINT usage_used_check CHECK (used >= 0)
);
COMMENT ON COLUMN ledger.usage.used IS 'đồng counted in the bucket since the day it starts';
ALTER TABLE ledger.usage SET (fillfactor = 80);
"""

PERIODS = """
CREATE TABLE ledger.period (
    id UUID NOT NULL,
    kind TEXT NOT NULL CONSTRAINT period_kind_check CHECK (kind IN ('day', 'month')),
    starts DATE NOT NULL,
    ends DATE NOT NULL,
    mark BIGINT NOT NULL,
    seq_at_close BIGINT NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    digest BYTEA NOT NULL,
    authority UUID NOT NULL,
    CONSTRAINT period_pkey PRIMARY KEY (id),
    CONSTRAINT period_once UNIQUE (kind, starts),
    CONSTRAINT period_shape_check CHECK (CASE kind WHEN 'day' THEN ends = starts
        ELSE starts = date_trunc('month', starts)::date AND ends = (starts + INTERVAL '1 month')::date - 1 END),
    CONSTRAINT period_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON COLUMN ledger.period.mark IS 'postings effective after the period have a greater seq; those up to it are in the snapshot';
COMMENT ON COLUMN ledger.period.digest IS 'SHA-256 of the balances of all accounts at its end, by effective time';
CREATE INDEX period_ends_idx ON ledger.period (ends);

CREATE TABLE ledger.trial (
    period UUID NOT NULL,
    code TEXT NOT NULL,
    debit BIGINT NOT NULL,
    credit BIGINT NOT NULL,
    CONSTRAINT trial_pkey PRIMARY KEY (period, code),
    CONSTRAINT trial_period_fkey FOREIGN KEY(period) REFERENCES ledger.period (id)
);

CREATE TABLE ledger.snapshot (
    account UUID NOT NULL,
    ends DATE NOT NULL,
    effective BIGINT NOT NULL,
    sequenced BIGINT NOT NULL,
    CONSTRAINT snapshot_pkey PRIMARY KEY (account, ends)
);
COMMENT ON COLUMN ledger.snapshot.effective IS 'posted by all entries effective up to the period''s end, on the normal side';
COMMENT ON COLUMN ledger.snapshot.sequenced IS 'posted by all postings up to the period''s mark, on the normal side';
"""

MOVES = """
CREATE TABLE ledger.account_move (
    account UUID NOT NULL,
    line SMALLINT NOT NULL,
    was TEXT NOT NULL,
    status TEXT NOT NULL CONSTRAINT account_move_status_check CHECK (status IN ('open', 'frozen', 'closed')),
    authority UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT account_move_pkey PRIMARY KEY (account, line),
    CONSTRAINT account_move_legal_check CHECK ((was, status) IN (('open', 'frozen'), ('frozen', 'open'), ('open', 'closed'), ('frozen', 'closed'))),
    CONSTRAINT account_move_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
CREATE INDEX account_move_authority_idx ON ledger.account_move (authority);
"""

# Which entries there are: under whose authority, from where to where, and whose account is debited. A plan's posting that fits
# no row is refused as a bug; `prove` asks the same of every posting in the books.
FLOWS = """
CREATE TABLE ledger.flow (
    kind TEXT NOT NULL,
    authority TEXT NOT NULL,
    order_kind TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    debit_of TEXT NOT NULL CONSTRAINT flow_debit_of_check CHECK (debit_of IN ('signer', 'office', 'hold', 'payee', 'house')),
    CONSTRAINT flow_pkey PRIMARY KEY (kind, authority, order_kind, debit, credit),
    CONSTRAINT flow_debit_fkey FOREIGN KEY(debit) REFERENCES ledger.chart (code),
    CONSTRAINT flow_credit_fkey FOREIGN KEY(credit) REFERENCES ledger.chart (code)
);
COMMENT ON COLUMN ledger.flow.debit_of IS 'whose account is debited: the signer''s, their office''s, the hold''s, the payee''s out of what the same entry pays them, the house''s';
INSERT INTO ledger.flow (kind, authority, order_kind, debit, credit, debit_of) VALUES
    ('topup', 'outside_word', 'bank_line', 'bank.guarantee', 'wallet', 'house'),
    ('transfer', 'signed_order', 'transfer', 'wallet', 'wallet', 'signer'),
    ('batch_transfer', 'signed_order', 'batch_transfer', 'wallet', 'wallet', 'signer'),
    ('bill_payment', 'signed_order', 'bill_payment', 'wallet', 'agency', 'signer'),
    ('capture', 'mandate', 'hold_capture', 'wallet', 'wallet', 'hold'),
    ('refund', 'signed_order', 'refund', 'wallet', 'wallet', 'signer'),
    ('refund', 'signed_order', 'refund', 'agency', 'wallet', 'signer'),
    ('refund', 'officer_order', 'refund', 'agency', 'wallet', 'office'),
    ('reversal', 'signed_order', 'reverse', 'wallet', 'wallet', 'signer'),
    ('reversal', 'signed_order', 'reverse', 'agency', 'wallet', 'signer'),
    ('reversal', 'officer_order', 'reverse', 'agency', 'wallet', 'office'),
    ('collection_sweep', 'rule_run', 'collection_sweep', 'bank.collection', 'bank.guarantee', 'house'),
    ('collection_sweep', 'rule_run', 'collection_sweep', 'bank.guarantee', 'bank.collection', 'house');
"""
