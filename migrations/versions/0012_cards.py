"""Cards: who is known to which acquirer, what was asked of it, what it said; and the accounts that card money passes through.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the schema's tables; let the ledger book what an acquirer tells."""
    op.execute(LEDGER)
    op.execute(TABLES)
    op.execute(CHART)
    op.execute(HOUSE_ACCOUNTS)
    op.execute(FLOWS)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


# What an order counted against limits and nothing came of is given back, once.
LEDGER = """
CREATE TABLE ledger.uncounted (
    authority UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT uncounted_pkey PRIMARY KEY (authority),
    CONSTRAINT uncounted_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id)
);
COMMENT ON TABLE ledger.uncounted IS 'orders of which nothing came: what they counted against limits was given back whole';
"""

TABLES = """
CREATE SCHEMA cards;

CREATE TABLE cards.customer (
    holder UUID NOT NULL,
    acquirer TEXT NOT NULL,
    id UUID NOT NULL,
    ref TEXT,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT customer_pkey PRIMARY KEY (holder, acquirer),
    CONSTRAINT customer_id_once UNIQUE (id),
    CONSTRAINT customer_ref_once UNIQUE (acquirer, ref),
    CONSTRAINT customer_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
COMMENT ON TABLE cards.customer IS 'holders as an acquirer knows them';
COMMENT ON COLUMN cards.customer.id IS 'ours, by which the acquirer is asked to make it once';
COMMENT ON COLUMN cards.customer.ref IS 'the acquirer''s';

CREATE TABLE cards.linking (
    id UUID NOT NULL,
    holder UUID NOT NULL,
    acquirer TEXT NOT NULL,
    ref TEXT,
    page TEXT,
    state TEXT NOT NULL CONSTRAINT linking_state_check CHECK (state IN ('created', 'open', 'succeeded', 'cancelled')),
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT linking_pkey PRIMARY KEY (id),
    CONSTRAINT linking_ref_once UNIQUE (acquirer, ref),
    CONSTRAINT linking_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
COMMENT ON TABLE cards.linking IS 'cards on their way to be linked, on the acquirer''s page';
CREATE INDEX linking_open_idx ON cards.linking (made_at) WHERE state IN ('created', 'open');

CREATE TABLE cards.card (
    id UUID NOT NULL,
    holder UUID NOT NULL,
    acquirer TEXT NOT NULL,
    ref TEXT NOT NULL,
    brand TEXT NOT NULL,
    last4 TEXT NOT NULL CONSTRAINT card_last4_check CHECK (last4 ~ '^[0-9]{4}$'),
    exp_month SMALLINT NOT NULL CONSTRAINT card_exp_month_check CHECK (exp_month BETWEEN 1 AND 12),
    exp_year SMALLINT NOT NULL,
    fingerprint TEXT NOT NULL,
    linked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    removed_at TIMESTAMP WITH TIME ZONE,
    is_default BOOLEAN NOT NULL,
    CONSTRAINT card_pkey PRIMARY KEY (id),
    CONSTRAINT card_ref_once UNIQUE (acquirer, ref),
    CONSTRAINT card_default_is_linked_check CHECK (removed_at IS NULL OR NOT is_default),
    CONSTRAINT card_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
COMMENT ON TABLE cards.card IS 'linked cards as they may be shown: never a number';
CREATE INDEX card_holder_idx ON cards.card (holder, id);
CREATE UNIQUE INDEX card_one_default ON cards.card (holder) WHERE is_default;

CREATE TABLE cards.payment (
    id UUID NOT NULL,
    holder UUID NOT NULL,
    order_id UUID NOT NULL,
    authority UUID NOT NULL,
    purpose TEXT NOT NULL CONSTRAINT payment_purpose_check CHECK (purpose IN ('topup', 'bill', 'invoice')),
    target UUID NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT payment_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    acquirer TEXT NOT NULL,
    card UUID,
    locale TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT payment_state_check CHECK (state IN ('created', 'requires_action', 'processing', 'succeeded', 'failed', 'cancelled', 'in_doubt')),
    ref TEXT,
    page TEXT,
    brand TEXT,
    last4 TEXT,
    failure TEXT,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    called_at TIMESTAMP WITH TIME ZONE,
    asked_at TIMESTAMP WITH TIME ZONE,
    entry UUID,
    CONSTRAINT payment_pkey PRIMARY KEY (id),
    CONSTRAINT payment_order_once UNIQUE (holder, order_id),
    CONSTRAINT payment_ref_once UNIQUE (acquirer, ref),
    CONSTRAINT payment_entry_once UNIQUE (entry),
    CONSTRAINT payment_credited_check CHECK ((state = 'succeeded') = (entry IS NOT NULL)),
    CONSTRAINT payment_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id),
    CONSTRAINT payment_authority_fkey FOREIGN KEY(authority) REFERENCES ledger.authority (id),
    CONSTRAINT payment_card_fkey FOREIGN KEY(card) REFERENCES cards.card (id),
    CONSTRAINT payment_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id)
);
COMMENT ON TABLE cards.payment IS 'what holders ordered to be paid by card';
COMMENT ON COLUMN cards.payment.order_id IS 'the signed order''s, unique for its signer';
COMMENT ON COLUMN cards.payment.target IS 'the wallet''s account, the bill or the invoice';
COMMENT ON COLUMN cards.payment.card IS 'the linked card that was chosen, if one was';
COMMENT ON COLUMN cards.payment.ref IS 'the acquirer''s';
COMMENT ON COLUMN cards.payment.page IS 'where the person has something to do';
COMMENT ON COLUMN cards.payment.expires_at IS 'when it is given up if it was not paid';
COMMENT ON COLUMN cards.payment.called_at IS 'when the acquirer was asked to charge: once, by whoever set this';
COMMENT ON COLUMN cards.payment.asked_at IS 'when the acquirer was last asked where it stands';
COMMENT ON COLUMN cards.payment.entry IS 'what brought the money in';
CREATE INDEX payment_open_idx ON cards.payment (made_at) WHERE state IN ('created', 'requires_action', 'processing', 'in_doubt');
CREATE INDEX payment_target_idx ON cards.payment (target);

CREATE TABLE cards.refund (
    id UUID NOT NULL,
    payment UUID NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT refund_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    cause TEXT NOT NULL CONSTRAINT refund_cause_check CHECK (cause IN ('not_payable', 'wallet_shut', 'given_back')),
    of_entry UUID,
    state TEXT NOT NULL CONSTRAINT refund_state_check CHECK (state IN ('created', 'pending', 'succeeded', 'failed', 'in_doubt')),
    ref TEXT,
    failure TEXT,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    called_at TIMESTAMP WITH TIME ZONE,
    asked_at TIMESTAMP WITH TIME ZONE,
    entry UUID,
    failed_entry UUID,
    CONSTRAINT refund_pkey PRIMARY KEY (id),
    CONSTRAINT refund_of_entry_once UNIQUE (of_entry),
    CONSTRAINT refund_ref_once UNIQUE (ref),
    CONSTRAINT refund_entry_once UNIQUE (entry),
    CONSTRAINT refund_failed_entry_once UNIQUE (failed_entry),
    CONSTRAINT refund_of_entry_check CHECK ((cause = 'given_back') = (of_entry IS NOT NULL)),
    CONSTRAINT refund_failed_check CHECK ((state = 'failed') = (failed_entry IS NOT NULL)),
    CONSTRAINT refund_payment_fkey FOREIGN KEY(payment) REFERENCES cards.payment (id),
    CONSTRAINT refund_of_entry_fkey FOREIGN KEY(of_entry) REFERENCES ledger.entry (id),
    CONSTRAINT refund_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id),
    CONSTRAINT refund_failed_entry_fkey FOREIGN KEY(failed_entry) REFERENCES ledger.entry (id)
);
COMMENT ON TABLE cards.refund IS 'money on its way back to the card that paid';
COMMENT ON COLUMN cards.refund.of_entry IS 'the payee''s entry that gave the money back';
COMMENT ON COLUMN cards.refund.entry IS 'what let the money go to the card';
COMMENT ON COLUMN cards.refund.failed_entry IS 'what owes it otherwise';
CREATE INDEX refund_payment_idx ON cards.refund (payment);

CREATE TABLE cards.dispute (
    id UUID NOT NULL,
    acquirer TEXT NOT NULL,
    ref TEXT NOT NULL,
    payment UUID NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT dispute_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    reason TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT dispute_state_check CHECK (state IN ('told', 'inquiry', 'closed', 'opened', 'won', 'lost')),
    evidence_due TIMESTAMP WITH TIME ZONE,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    entry UUID,
    won_entry UUID,
    CONSTRAINT dispute_pkey PRIMARY KEY (id),
    CONSTRAINT dispute_ref_once UNIQUE (acquirer, ref),
    CONSTRAINT dispute_entry_once UNIQUE (entry),
    CONSTRAINT dispute_won_entry_once UNIQUE (won_entry),
    CONSTRAINT dispute_payment_fkey FOREIGN KEY(payment) REFERENCES cards.payment (id),
    CONSTRAINT dispute_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id),
    CONSTRAINT dispute_won_entry_fkey FOREIGN KEY(won_entry) REFERENCES ledger.entry (id)
);
COMMENT ON TABLE cards.dispute IS 'chargebacks';
COMMENT ON COLUMN cards.dispute.entry IS 'what the chargeback took';
COMMENT ON COLUMN cards.dispute.won_entry IS 'what came back';
CREATE INDEX dispute_payment_idx ON cards.dispute (payment);

CREATE TABLE cards.move (
    subject UUID NOT NULL,
    line SMALLINT NOT NULL,
    what TEXT NOT NULL,
    was TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT move_pkey PRIMARY KEY (subject, line),
    CONSTRAINT move_legal_check CHECK ((what, was, state) IN (('payment', 'created', 'requires_action'), ('payment', 'created', 'processing'), ('payment', 'created', 'succeeded'), ('payment', 'created', 'failed'), ('payment', 'created', 'cancelled'), ('payment', 'created', 'in_doubt'), ('payment', 'requires_action', 'processing'), ('payment', 'requires_action', 'succeeded'), ('payment', 'requires_action', 'failed'), ('payment', 'requires_action', 'cancelled'), ('payment', 'requires_action', 'in_doubt'), ('payment', 'processing', 'requires_action'), ('payment', 'processing', 'succeeded'), ('payment', 'processing', 'failed'), ('payment', 'processing', 'cancelled'), ('payment', 'processing', 'in_doubt'), ('payment', 'in_doubt', 'requires_action'), ('payment', 'in_doubt', 'processing'), ('payment', 'in_doubt', 'succeeded'), ('payment', 'in_doubt', 'failed'), ('payment', 'in_doubt', 'cancelled'), ('payment', 'failed', 'requires_action'), ('payment', 'failed', 'processing'), ('payment', 'failed', 'succeeded'), ('payment', 'failed', 'cancelled'), ('payment', 'cancelled', 'processing'), ('payment', 'cancelled', 'succeeded'), ('refund', 'created', 'pending'), ('refund', 'created', 'succeeded'), ('refund', 'created', 'failed'), ('refund', 'created', 'in_doubt'), ('refund', 'in_doubt', 'created'), ('refund', 'in_doubt', 'pending'), ('refund', 'in_doubt', 'succeeded'), ('refund', 'in_doubt', 'failed'), ('refund', 'pending', 'succeeded'), ('refund', 'pending', 'failed'), ('refund', 'succeeded', 'failed'), ('dispute', 'told', 'inquiry'), ('dispute', 'told', 'closed'), ('dispute', 'told', 'opened'), ('dispute', 'told', 'won'), ('dispute', 'told', 'lost'), ('dispute', 'inquiry', 'closed'), ('dispute', 'inquiry', 'opened'), ('dispute', 'inquiry', 'won'), ('dispute', 'inquiry', 'lost'), ('dispute', 'opened', 'won'), ('dispute', 'opened', 'lost'), ('dispute', 'lost', 'won')))
);
COMMENT ON TABLE cards.move IS 'each change of a payment''s, refund''s or dispute''s state';
COMMENT ON COLUMN cards.move.cause IS 'what made it move: the acquirer''s word, our asking, time';

CREATE TABLE cards.notice (
    acquirer TEXT NOT NULL,
    ref TEXT NOT NULL,
    about TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    id UUID,
    amount BIGINT,
    currency TEXT,
    live BOOLEAN NOT NULL,
    account TEXT,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL CONSTRAINT notice_state_check CHECK (state IN ('received', 'handled', 'quarantined')),
    handled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT notice_pkey PRIMARY KEY (acquirer, ref)
);
COMMENT ON TABLE cards.notice IS 'what an acquirer told on its own, each once';
COMMENT ON COLUMN cards.notice.id IS 'ours, as the notice says';
COMMENT ON COLUMN cards.notice.account IS 'whose it is, where it is not ours';
CREATE INDEX notice_waiting_idx ON cards.notice (received_at) WHERE state = 'received';

CREATE TABLE cards.quarantine (
    id UUID NOT NULL,
    acquirer TEXT NOT NULL,
    about TEXT NOT NULL,
    subject TEXT NOT NULL,
    notice TEXT,
    payment UUID,
    reason TEXT NOT NULL CONSTRAINT quarantine_reason_check CHECK (reason IN ('unknown', 'denied', 'other_account', 'wrong_mode', 'amount_differs', 'currency_differs', 'id_differs')),
    said JSONB NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    resolved_at TIMESTAMP WITH TIME ZONE,
    resolved_by UUID,
    how TEXT CONSTRAINT quarantine_how_check CHECK (how IN ('asked_again', 'set_aside')),
    CONSTRAINT quarantine_pkey PRIMARY KEY (id),
    CONSTRAINT quarantine_resolved_check CHECK ((resolved_at IS NULL) = (how IS NULL)),
    CONSTRAINT quarantine_payment_fkey FOREIGN KEY(payment) REFERENCES cards.payment (id),
    CONSTRAINT quarantine_resolved_by_fkey FOREIGN KEY(resolved_by) REFERENCES identity.holder (id)
);
COMMENT ON TABLE cards.quarantine IS 'what is not believed until a person has looked';
COMMENT ON COLUMN cards.quarantine.subject IS 'the acquirer''s ref of what it is about';
CREATE UNIQUE INDEX quarantine_once ON cards.quarantine (acquirer, subject, reason) WHERE resolved_at IS NULL;

CREATE TABLE cards.payout (
    acquirer TEXT NOT NULL,
    ref TEXT NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT payout_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    state TEXT NOT NULL CONSTRAINT payout_state_check CHECK (state IN ('pending', 'in_transit', 'paid', 'failed', 'cancelled')),
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    arrives_at TIMESTAMP WITH TIME ZONE NOT NULL,
    entry UUID,
    failed_entry UUID,
    CONSTRAINT payout_pkey PRIMARY KEY (acquirer, ref),
    CONSTRAINT payout_entry_once UNIQUE (entry),
    CONSTRAINT payout_failed_entry_once UNIQUE (failed_entry),
    CONSTRAINT payout_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id),
    CONSTRAINT payout_failed_entry_fkey FOREIGN KEY(failed_entry) REFERENCES ledger.entry (id)
);
COMMENT ON TABLE cards.payout IS 'what an acquirer sent to our bank';

CREATE TABLE cards.line (
    acquirer TEXT NOT NULL,
    ref TEXT NOT NULL,
    kind TEXT NOT NULL,
    raw_kind TEXT NOT NULL,
    amount BIGINT NOT NULL,
    fee BIGINT NOT NULL,
    net BIGINT NOT NULL,
    source TEXT NOT NULL,
    payment UUID,
    refund UUID,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    available_at TIMESTAMP WITH TIME ZONE NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    entry UUID,
    CONSTRAINT line_pkey PRIMARY KEY (acquirer, ref),
    CONSTRAINT line_entry_once UNIQUE (entry),
    CONSTRAINT line_net_check CHECK (net = amount - fee),
    CONSTRAINT line_entry_fkey FOREIGN KEY(entry) REFERENCES ledger.entry (id)
);
COMMENT ON TABLE cards.line IS 'our account at an acquirer, line by line; its sum is what the acquirer owes us';
COMMENT ON COLUMN cards.line.payment IS 'ours, as the line says or its ref tells';
COMMENT ON COLUMN cards.line.refund IS 'ours, as the line says';
COMMENT ON COLUMN cards.line.entry IS 'what booked its fee';
CREATE INDEX line_at_idx ON cards.line (acquirer, at);
"""

CHART = """
INSERT INTO ledger.chart (code, name, name_en, normal, floor, held_by) VALUES
    ('stripe.clearing', 'Phải thu từ đơn vị xử lý thẻ', 'Owed to us by the card processor', 'debit', NULL, 'house'),
    ('bank.operating', 'Tài khoản hoạt động', 'Operating account at the bank', 'debit', NULL, 'house'),
    ('card_pending', 'Tiền thẻ chờ xử lý', 'Card money on its way', 'credit', 0, 'house'),
    ('refunds_payable', 'Tiền hoàn chưa trả được', 'Refunds that no card would take', 'credit', 0, 'house'),
    ('card_fee', 'Phí xử lý thẻ', 'Card processing fees', 'debit', NULL, 'house'),
    ('dispute_loss', 'Tổn thất do tra soát thẻ', 'Lost to chargebacks', 'debit', NULL, 'house');
"""

HOUSE_ACCOUNTS = """
WITH opened AS (
    INSERT INTO ledger.account (id, code, normal, floor)
    SELECT gen_random_uuid(), code, normal, floor FROM ledger.chart
    WHERE code IN ('stripe.clearing', 'bank.operating', 'card_pending', 'refunds_payable', 'card_fee', 'dispute_loss')
    RETURNING id, floor
)
INSERT INTO ledger.balance (account, floor) SELECT id, floor FROM opened;
"""

# What costs us a card's money or a fee is made good to the guarantee account out of our own, in the same entry.
FLOWS = """
INSERT INTO ledger.flow (kind, authority, order_kind, debit, credit, debit_of) VALUES
    ('card_topup', 'outside_word', 'card_receipt', 'stripe.clearing', 'wallet', 'house'),
    ('card_receipt', 'outside_word', 'card_receipt', 'stripe.clearing', 'card_pending', 'house'),
    ('bill_payment', 'outside_word', 'card_receipt', 'card_pending', 'agency', 'house'),
    ('merchant_payment', 'outside_word', 'card_receipt', 'card_pending', 'merchant', 'house'),
    ('card_refund', 'outside_word', 'card_refund', 'card_pending', 'stripe.clearing', 'house'),
    ('card_refund_failed', 'outside_word', 'card_refund', 'stripe.clearing', 'refunds_payable', 'house'),
    ('card_refund_failed', 'outside_word', 'card_refund', 'card_pending', 'refunds_payable', 'house'),
    ('card_dispute', 'outside_word', 'card_dispute', 'dispute_loss', 'stripe.clearing', 'house'),
    ('card_dispute', 'outside_word', 'card_dispute', 'bank.guarantee', 'bank.operating', 'house'),
    ('card_dispute_won', 'outside_word', 'card_dispute', 'stripe.clearing', 'dispute_loss', 'house'),
    ('card_dispute_won', 'outside_word', 'card_dispute', 'bank.operating', 'bank.guarantee', 'house'),
    ('card_fee', 'outside_word', 'card_line', 'card_fee', 'stripe.clearing', 'house'),
    ('card_fee', 'outside_word', 'card_line', 'bank.guarantee', 'bank.operating', 'house'),
    ('card_fee_back', 'outside_word', 'card_line', 'stripe.clearing', 'card_fee', 'house'),
    ('card_fee_back', 'outside_word', 'card_line', 'bank.operating', 'bank.guarantee', 'house'),
    ('card_payout', 'outside_word', 'card_payout', 'bank.guarantee', 'stripe.clearing', 'house'),
    ('card_payout_failed', 'outside_word', 'card_payout', 'stripe.clearing', 'bank.guarantee', 'house'),
    ('refund', 'officer_order', 'refund', 'agency', 'card_pending', 'office'),
    ('refund', 'signed_order', 'refund', 'agency', 'card_pending', 'signer'),
    ('reversal', 'officer_order', 'reverse', 'agency', 'card_pending', 'office'),
    ('reversal', 'signed_order', 'reverse', 'agency', 'card_pending', 'signer'),
    ('refund', 'signed_order', 'refund', 'merchant', 'card_pending', 'staff'),
    ('reversal', 'signed_order', 'reverse', 'merchant', 'card_pending', 'staff');
"""
