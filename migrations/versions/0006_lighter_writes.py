"""Fewer index entries for each payment, and a function that took arrays takes one account.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the indexes."""
    op.execute(CHANGES)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


CHANGES = """
-- Two indexes of one table of short-lived rows become one.
ALTER TABLE ledger.delta DROP CONSTRAINT delta_pkey;
ALTER TABLE ledger.delta ADD CONSTRAINT delta_pkey PRIMARY KEY (account, id);
DROP INDEX ledger.delta_account_idx;

-- Most entries settle and reverse nothing: they need no place in an index of those that do.
ALTER TABLE ledger.entry DROP CONSTRAINT entry_settles_once;
CREATE UNIQUE INDEX entry_settles_once ON ledger.entry (settles) WHERE settles IS NOT NULL;
ALTER TABLE ledger.entry DROP CONSTRAINT entry_reverses_once;
CREATE UNIQUE INDEX entry_reverses_once ON ledger.entry (reverses) WHERE reverses IS NOT NULL;

-- Functions whose shape changed go.
DROP FUNCTION IF EXISTS ledger.draw(uuid[], bigint[], bigint[]);
DROP FUNCTION IF EXISTS ledger.carry_out(uuid, jsonb, smallint, bytea);

-- An account as a plan meets it; `ledger.give` keeps one for each account that the plan names.
CREATE TYPE ledger.side AS (
    account uuid, code text, holder uuid, normal text, floor bigint, status text, posted bigint, net bigint, held bigint);
"""
