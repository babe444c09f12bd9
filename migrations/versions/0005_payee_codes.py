"""The codes by which holders are paid without giving out their phone number.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute(TABLES)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


TABLES = """
CREATE TABLE identity.payee_code (
    code TEXT NOT NULL CONSTRAINT payee_code_digits_check CHECK (code ~ '^[0-9]{9}$'),
    holder UUID NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT payee_code_pkey PRIMARY KEY (code),
    CONSTRAINT payee_code_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
COMMENT ON COLUMN identity.payee_code.code IS 'eight random digits and a check digit; never given out twice';
CREATE UNIQUE INDEX payee_code_one_living ON identity.payee_code (holder) WHERE ended_at IS NULL;
"""
