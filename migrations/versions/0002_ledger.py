"""The ledger: accounts, balances and deltas, authorities and outcomes, entries and postings, events.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the schema's tables."""
    op.execute(TABLES)
    op.execute(CHART)
    op.execute(HOUSE_ACCOUNTS)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


TABLES = """
CREATE SCHEMA ledger;

CREATE TABLE ledger.authority (
    id UUID NOT NULL,
    kind TEXT NOT NULL CONSTRAINT authority_kind_check CHECK (kind IN ('signed_order', 'possession', 'officer_order', 'session_order', 'outside_word')),
    signer UUID NOT NULL,
    order_id UUID NOT NULL,
    order_kind TEXT NOT NULL,
    key_id TEXT,
    digest BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT authority_pkey PRIMARY KEY (id),
    CONSTRAINT authority_once UNIQUE (signer, order_id),
    CONSTRAINT authority_signed_by_key_check CHECK ((kind = 'signed_order') = (key_id IS NOT NULL))
);
COMMENT ON COLUMN ledger.authority.digest IS 'SHA-256(salt || order bytes)';

CREATE TABLE ledger.chart (
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    normal TEXT NOT NULL CONSTRAINT chart_normal_check CHECK (normal IN ('debit', 'credit')),
    floor BIGINT,
    held_by TEXT NOT NULL CONSTRAINT chart_held_by_check CHECK (held_by IN ('house', 'holder', 'budget')),
    CONSTRAINT chart_pkey PRIMARY KEY (code)
);
COMMENT ON COLUMN ledger.chart.floor IS 'least available balance in đồng on the normal side; NULL: none';

CREATE TABLE ledger.delta (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account UUID NOT NULL,
    amount BIGINT NOT NULL,
    CONSTRAINT delta_pkey PRIMARY KEY (id)
);
COMMENT ON COLUMN ledger.delta.amount IS 'đồng on the account''s normal side';
CREATE INDEX delta_account_idx ON ledger.delta (account);

CREATE TABLE ledger.account (
    id UUID NOT NULL,
    code TEXT NOT NULL,
    holder UUID,
    chuong TEXT,
    tieu_muc TEXT,
    dia_ban TEXT,
    currency TEXT DEFAULT 'VND' NOT NULL CONSTRAINT account_currency_check CHECK (currency = 'VND'),
    normal TEXT NOT NULL,
    floor BIGINT,
    status TEXT DEFAULT 'open' NOT NULL CONSTRAINT account_status_check CHECK (status IN ('open', 'frozen', 'closed')),
    opened_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_once UNIQUE NULLS NOT DISTINCT (code, holder, chuong, tieu_muc, dia_ban),
    CONSTRAINT account_code_fkey FOREIGN KEY(code) REFERENCES ledger.chart (code)
);
CREATE INDEX account_holder_idx ON ledger.account (holder);

CREATE TABLE ledger.entry (
    id UUID NOT NULL,
    authority UUID NOT NULL,
    kind TEXT NOT NULL,
    effective_at TIMESTAMP WITH TIME ZONE NOT NULL,
    posted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    settles UUID,
    CONSTRAINT entry_pkey PRIMARY KEY (id),
    CONSTRAINT entry_settles_once UNIQUE (settles),
    CONSTRAINT entry_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON COLUMN ledger.entry.settles IS 'what this entry settles, once for ever: a bill';
CREATE INDEX entry_authority_idx ON ledger.entry (authority);

CREATE TABLE ledger.outcome (
    authority UUID NOT NULL,
    status SMALLINT NOT NULL,
    code TEXT,
    body BYTEA NOT NULL,
    entries UUID[] NOT NULL,
    CONSTRAINT outcome_pkey PRIMARY KEY (authority),
    CONSTRAINT outcome_refused_wrote_nothing_check CHECK (code IS NULL OR entries = '{}'),
    CONSTRAINT outcome_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON COLUMN ledger.outcome.code IS 'the refusal''s; NULL: carried out';

CREATE TABLE person.order_content (
    authority UUID NOT NULL,
    salt BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    signature_base BYTEA,
    signature BYTEA,
    CONSTRAINT order_content_pkey PRIMARY KEY (authority),
    CONSTRAINT order_content_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON TABLE person.order_content IS 'what was asked, word for word; deleting a row shreds it, the ledger keeps a salted hash';

CREATE TABLE ledger.balance (
    account UUID NOT NULL,
    posted BIGINT DEFAULT '0' NOT NULL,
    held BIGINT DEFAULT '0' NOT NULL CONSTRAINT balance_held_check CHECK (held >= 0),
    floor BIGINT,
    CONSTRAINT balance_pkey PRIMARY KEY (account),
    CONSTRAINT balance_floor_check CHECK (floor IS NULL OR posted - held >= floor),
    CONSTRAINT balance_account_fkey FOREIGN KEY(account) REFERENCES ledger.account (id)
);
COMMENT ON COLUMN ledger.balance.floor IS 'the account''s, repeated so that a CHECK can stand under it';

CREATE TABLE ledger.event (
    id UUID NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor UUID,
    authority UUID,
    entry UUID,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    bytes BYTEA NOT NULL,
    CONSTRAINT event_pkey PRIMARY KEY (id),
    CONSTRAINT event_leaf_size_check CHECK (octet_length(bytes) <= 65535),
    CONSTRAINT event_seq_key UNIQUE (seq),
    CONSTRAINT event_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id),
    CONSTRAINT event_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id)
);
CREATE INDEX event_authority_idx ON ledger.event (authority);
CREATE INDEX event_entry_idx ON ledger.event (entry);
CREATE INDEX event_subject_idx ON ledger.event (subject, seq);

CREATE TABLE ledger.posting (
    entry UUID NOT NULL,
    line SMALLINT NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    debit UUID NOT NULL,
    credit UUID NOT NULL,
    amount BIGINT NOT NULL,
    CONSTRAINT posting_pkey PRIMARY KEY (entry, line),
    CONSTRAINT posting_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    CONSTRAINT posting_two_accounts_check CHECK (debit <> credit),
    CONSTRAINT posting_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id)
);
CREATE INDEX posting_credit_seq_idx ON ledger.posting (credit, seq);
CREATE INDEX posting_debit_seq_idx ON ledger.posting (debit, seq);
"""

# The chart of accounts of the project's design, section 5, as far as money moves yet.
CHART = """
INSERT INTO ledger.chart (code, name, name_en, normal, floor, held_by) VALUES
    ('bank.guarantee', 'Tài khoản đảm bảo thanh toán', 'Guarantee account at the bank', 'debit', NULL, 'house'),
    ('bank.collection', 'Tài khoản thu hộ', 'Collection account at the bank', 'debit', NULL, 'house'),
    ('wallet', 'Ví của người dùng', 'Wallets', 'credit', 0, 'holder'),
    ('agency', 'Phải trả cơ quan thu', 'Collected for agencies', 'credit', 0, 'budget');
"""

HOUSE_ACCOUNTS = """
WITH opened AS (
    INSERT INTO ledger.account (id, code, normal, floor)
    SELECT gen_random_uuid(), code, normal, floor FROM ledger.chart WHERE held_by = 'house'
    RETURNING id, floor
)
INSERT INTO ledger.balance (account, floor) SELECT id, floor FROM opened;
"""
