"""Bills: agencies, bills and their lines, and who may pay for another.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the schema's tables."""
    op.execute(TABLES)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


TABLES = """
CREATE SCHEMA bills;

CREATE TABLE bills.agency (
    holder UUID NOT NULL,
    code TEXT NOT NULL,
    CONSTRAINT agency_pkey PRIMARY KEY (holder),
    CONSTRAINT agency_code_once UNIQUE (code),
    CONSTRAINT agency_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);

CREATE TABLE bills.bill (
    id UUID NOT NULL,
    code TEXT NOT NULL,
    agency UUID NOT NULL,
    debtor UUID NOT NULL,
    dossier TEXT NOT NULL,
    dossier_folded TEXT NOT NULL,
    procedure TEXT NOT NULL,
    total BIGINT NOT NULL CONSTRAINT bill_total_check CHECK (total >= 0),
    version INTEGER NOT NULL,
    state TEXT NOT NULL CONSTRAINT bill_state_check CHECK (state IN ('issued', 'waived', 'cancelled', 'superseded')),
    supersedes UUID,
    due DATE NOT NULL,
    expires DATE,
    issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    close_reason TEXT,
    CONSTRAINT bill_pkey PRIMARY KEY (id),
    CONSTRAINT bill_code_once UNIQUE (code),
    CONSTRAINT bill_superseded_once UNIQUE (supersedes),
    CONSTRAINT bill_zero_is_waived_check CHECK ((state = 'waived') = (total = 0) OR state IN ('cancelled', 'superseded')),
    CONSTRAINT bill_expires_after_due_check CHECK (expires IS NULL OR expires >= due),
    CONSTRAINT bill_agency_fkey FOREIGN KEY(agency) REFERENCES bills.agency (holder),
    CONSTRAINT bill_debtor_fkey FOREIGN KEY(debtor) REFERENCES identity.holder (id),
    CONSTRAINT bill_supersedes_fkey FOREIGN KEY(supersedes) REFERENCES bills.bill (id)
);
COMMENT ON COLUMN bills.bill.code IS 'what a person reads out or types to find the bill';
CREATE INDEX bill_agency_idx ON bills.bill (agency, id);
CREATE INDEX bill_debtor_idx ON bills.bill (debtor, id);

CREATE TABLE bills.bill_line (
    bill UUID NOT NULL,
    line SMALLINT NOT NULL,
    item TEXT NOT NULL,
    name TEXT NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT bill_line_amount_check CHECK (amount >= 0),
    chuong TEXT NOT NULL,
    tieu_muc TEXT NOT NULL,
    dia_ban TEXT NOT NULL,
    account UUID NOT NULL,
    CONSTRAINT bill_line_pkey PRIMARY KEY (bill, line),
    CONSTRAINT bill_line_bill_fkey FOREIGN KEY(bill) REFERENCES bills.bill (id)
);
COMMENT ON COLUMN bills.bill_line.account IS 'the agency''s account of this budget line';

CREATE TABLE bills.payer_grant (
    bill UUID NOT NULL,
    holder UUID NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT payer_grant_pkey PRIMARY KEY (bill, holder),
    CONSTRAINT payer_grant_bill_fkey FOREIGN KEY(bill) REFERENCES bills.bill (id),
    CONSTRAINT payer_grant_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
COMMENT ON TABLE bills.payer_grant IS 'who proved to know a bill''s code and a detail of its debtor, and may pay it until then';
"""
