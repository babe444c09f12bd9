"""The links by which a holder shows a payment, payer and dossier included, to whom they choose.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute(TABLES)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


TABLES = """
CREATE TABLE person.receipt_link (
    authority UUID NOT NULL,
    serial INTEGER NOT NULL CONSTRAINT receipt_link_serial_check CHECK (serial > 0),
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT receipt_link_pkey PRIMARY KEY (authority),
    CONSTRAINT receipt_link_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON COLUMN person.receipt_link.serial IS
    'which of the links to this payment lives; the token is made of it, and stands nowhere';
"""
