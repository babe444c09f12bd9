"""Refunds that no card would take may go to their payer's wallet, by an operator's order; one that went all the same is told.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep which entry gave the money to the wallet, and let the ledger book it."""
    op.execute(SETTLED)
    op.execute(FLOW)
    op.execute(REASON)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


# Deferred, because a verb decides before its plan is posted, in one unit.
SETTLED = """
ALTER TABLE cards.refund
    ADD COLUMN settled_entry UUID,
    ADD CONSTRAINT refund_settled_entry_once UNIQUE (settled_entry),
    ADD CONSTRAINT refund_settled_check CHECK (settled_entry IS NULL OR state = 'failed'),
    ADD CONSTRAINT refund_settled_entry_fkey FOREIGN KEY(settled_entry) REFERENCES ledger.entry (id) DEFERRABLE INITIALLY DEFERRED;
COMMENT ON COLUMN cards.refund.settled_entry IS 'what gave it to the payer''s wallet when no card would take it';
CREATE INDEX refund_owed_idx ON cards.refund (made_at) WHERE state = 'failed' AND settled_entry IS NULL;
"""

FLOW = """
INSERT INTO ledger.flow (kind, authority, order_kind, debit, credit, debit_of) VALUES
    ('card_refund_settled', 'officer_order', 'card_refund_settle', 'refunds_payable', 'wallet', 'house');
"""

REASON = """
ALTER TABLE cards.quarantine
    DROP CONSTRAINT quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN ('unknown', 'denied', 'other_account', 'wrong_mode', 'amount_differs', 'currency_differs', 'id_differs', 'state_differs'));
"""
