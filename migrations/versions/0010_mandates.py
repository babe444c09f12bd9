"""Mandates: a citizen's one-time code for a till, and the one charge that is made under it.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the flow."""
    op.execute(TABLES)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


TABLES = """
CREATE TABLE ledger.mandate (
    authority UUID NOT NULL,
    account UUID NOT NULL,
    cap BIGINT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    lapses_at TIMESTAMP WITH TIME ZONE NOT NULL,
    code TEXT NOT NULL,
    CONSTRAINT mandate_pkey PRIMARY KEY (authority),
    CONSTRAINT mandate_code_once UNIQUE (code),
    CONSTRAINT mandate_cap_check CHECK (cap BETWEEN 1 AND 1000000000000000),
    CONSTRAINT mandate_lapses_check CHECK (lapses_at > made_at AND lapses_at <= made_at + '00:00:30'::interval),
    CONSTRAINT mandate_code_check CHECK (code ~ '^[0-9]{12}$'),
    CONSTRAINT mandate_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON TABLE ledger.mandate IS 'whoever names the code may charge the account once, at most cap, until then';
COMMENT ON COLUMN ledger.mandate.code IS 'drawn by who signs; worth nothing once it has lapsed';
CREATE INDEX mandate_account_idx ON ledger.mandate (account, made_at);

CREATE TABLE ledger.charge (
    mandate UUID NOT NULL,
    entry UUID NOT NULL,
    authority UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT charge_pkey PRIMARY KEY (mandate),
    CONSTRAINT charge_entry_once UNIQUE (entry),
    CONSTRAINT charge_mandate_fkey FOREIGN KEY(mandate) REFERENCES ledger.mandate (authority),
    CONSTRAINT charge_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id),
    CONSTRAINT charge_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON TABLE ledger.charge IS 'the one charge of a mandate';

ALTER TABLE ledger.flow DROP CONSTRAINT flow_debit_of_check;
ALTER TABLE ledger.flow ADD CONSTRAINT flow_debit_of_check CHECK (debit_of IN ('signer', 'office', 'hold', 'mandate', 'payee', 'house', 'staff'));
COMMENT ON COLUMN ledger.flow.debit_of IS 'whose account is debited: the signer''s, their office''s, the hold''s or mandate''s, the payee''s out of what the same entry pays them, the house''s, a merchant''s whose staff the signer is';
INSERT INTO ledger.flow (kind, authority, order_kind, debit, credit, debit_of) VALUES
    ('merchant_payment', 'mandate', 'charge', 'wallet', 'merchant', 'mandate');
"""
