"""Merchants, whom they employ, their points, what they ask for, what was paid and what is to be given back.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the schema's tables; let the ledger pay merchants."""
    op.execute(IDENTITY)
    op.execute(TABLES)
    op.execute(CHART)
    op.execute(HOUSE_ACCOUNT)
    op.execute(FLOWS)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


# A merchant is a holder beside the people who work there; its own machines hold the role `merchant`.
IDENTITY = """
ALTER TABLE identity.holder DROP CONSTRAINT holder_kind_check;
ALTER TABLE identity.holder ADD CONSTRAINT holder_kind_check CHECK (kind IN ('person', 'agency', 'merchant', 'outside'));
ALTER TABLE identity.role DROP CONSTRAINT role_role_check;
ALTER TABLE identity.role ADD CONSTRAINT role_role_check CHECK (role IN ('citizen', 'officer', 'agency', 'merchant', 'auditor', 'operator'));

CREATE TABLE identity.staff (
    merchant UUID NOT NULL,
    holder UUID NOT NULL,
    role TEXT NOT NULL CONSTRAINT staff_role_check CHECK (role IN ('owner', 'manager', 'cashier')),
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE,
    CONSTRAINT staff_pkey PRIMARY KEY (merchant, holder, since),
    CONSTRAINT staff_until_check CHECK (until >= since),
    CONSTRAINT staff_two_holders_check CHECK (merchant <> holder),
    CONSTRAINT staff_merchant_fkey FOREIGN KEY(merchant) REFERENCES identity.holder (id),
    CONSTRAINT staff_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
COMMENT ON TABLE identity.staff IS 'who acts for a merchant, since when, and until when they did';
CREATE UNIQUE INDEX staff_one_in_force ON identity.staff (merchant, holder) WHERE until IS NULL;
CREATE INDEX staff_holder_idx ON identity.staff (holder);
"""

TABLES = """
CREATE SCHEMA market;

CREATE TABLE market.photo (
    digest TEXT NOT NULL CONSTRAINT photo_digest_check CHECK (digest ~ '^[0-9a-f]{64}$'),
    media TEXT NOT NULL CONSTRAINT photo_media_check CHECK (media IN ('image/jpeg', 'image/png', 'image/webp')),
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    bytes BYTEA NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT photo_pkey PRIMARY KEY (digest),
    CONSTRAINT photo_size_check CHECK (length(bytes) <= 300000 AND width BETWEEN 1 AND 4096 AND height BETWEEN 1 AND 4096)
);
COMMENT ON TABLE market.photo IS 'pictures that we encoded ourselves, by the SHA-256 of their bytes';

CREATE TABLE market.merchant (
    holder UUID NOT NULL,
    code TEXT NOT NULL CONSTRAINT merchant_code_check CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(code) <= 60),
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    tax_id TEXT CONSTRAINT merchant_tax_id_check CHECK (tax_id ~ '^[0-9]{10}(-[0-9]{3})?$|^[0-9]{12}$'),
    category TEXT NOT NULL CONSTRAINT merchant_category_check CHECK (category ~ '^[0-9]{4}$'),
    account UUID,
    state TEXT NOT NULL CONSTRAINT merchant_state_check CHECK (state IN ('applied', 'reviewed', 'returned', 'approved', 'refused', 'suspended')),
    applied_by UUID NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT merchant_pkey PRIMARY KEY (holder),
    CONSTRAINT merchant_code_once UNIQUE (code),
    CONSTRAINT merchant_account_once UNIQUE (account),
    CONSTRAINT merchant_account_check CHECK ((state IN ('approved', 'suspended')) = (account IS NOT NULL)),
    CONSTRAINT merchant_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id),
    CONSTRAINT merchant_applied_by_fkey FOREIGN KEY(applied_by) REFERENCES identity.holder (id)
);
COMMENT ON COLUMN market.merchant.category IS 'merchant category code, ISO 18245';
COMMENT ON COLUMN market.merchant.account IS 'where it is paid, from its approval on';
CREATE INDEX merchant_state_idx ON market.merchant (state, holder);

CREATE TABLE market.merchant_review (
    id UUID NOT NULL,
    merchant UUID NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    officer UUID NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT merchant_review_pkey PRIMARY KEY (id),
    CONSTRAINT merchant_review_legal_check CHECK ((from_state, to_state) IN (('applied', 'reviewed'), ('applied', 'returned'), ('reviewed', 'approved'), ('reviewed', 'returned'), ('reviewed', 'refused'), ('returned', 'applied'), ('approved', 'suspended'), ('suspended', 'approved'))),
    CONSTRAINT merchant_review_merchant_fkey FOREIGN KEY(merchant) REFERENCES market.merchant (holder),
    CONSTRAINT merchant_review_officer_fkey FOREIGN KEY(officer) REFERENCES identity.holder (id)
);
COMMENT ON COLUMN market.merchant_review.officer IS 'who moved it; of returned to applied, the applicant';
CREATE INDEX merchant_review_merchant_idx ON market.merchant_review (merchant, id);

CREATE TABLE market.location (
    id UUID NOT NULL,
    merchant UUID NOT NULL,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    area TEXT NOT NULL,
    lat INTEGER CONSTRAINT location_lat_check CHECK (lat BETWEEN -90000000 AND 90000000),
    lon INTEGER CONSTRAINT location_lon_check CHECK (lon BETWEEN -180000000 AND 180000000),
    photo TEXT,
    hours JSONB NOT NULL,
    closed_days DATE[] DEFAULT '{}' NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT location_pkey PRIMARY KEY (id),
    CONSTRAINT location_place_check CHECK ((lat IS NULL) = (lon IS NULL)),
    CONSTRAINT location_merchant_fkey FOREIGN KEY(merchant) REFERENCES market.merchant (holder),
    CONSTRAINT location_photo_fkey FOREIGN KEY(photo) REFERENCES market.photo (digest)
);
COMMENT ON COLUMN market.location.area IS 'code of the ward or commune (địa bàn)';
COMMENT ON COLUMN market.location.lat IS 'millionths of a degree';
COMMENT ON COLUMN market.location.lon IS 'millionths of a degree';
COMMENT ON COLUMN market.location.hours IS '{"1": [["06:00", "11:30"], ...], ... "7": []}: by day of the week from Monday; a day that is not named is closed';
CREATE INDEX location_merchant_idx ON market.location (merchant, id);

CREATE TABLE market.point (
    id UUID NOT NULL,
    location UUID NOT NULL,
    merchant UUID NOT NULL,
    serial TEXT NOT NULL CONSTRAINT point_serial_check CHECK (serial ~ '^[0-9A-HJKMNP-TV-Z]{8}$'),
    name TEXT NOT NULL,
    issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    sticker_version INTEGER DEFAULT 1 NOT NULL CONSTRAINT point_sticker_version_check CHECK (sticker_version >= 1),
    replaces UUID,
    CONSTRAINT point_pkey PRIMARY KEY (id),
    CONSTRAINT point_serial_once UNIQUE (serial),
    CONSTRAINT point_replaced_once UNIQUE (replaces),
    CONSTRAINT point_location_fkey FOREIGN KEY(location) REFERENCES market.location (id),
    CONSTRAINT point_merchant_fkey FOREIGN KEY(merchant) REFERENCES market.merchant (holder),
    CONSTRAINT point_replaces_fkey FOREIGN KEY(replaces) REFERENCES market.point (id)
);
COMMENT ON TABLE market.point IS 'acceptance points: a stall, a till, a kiosk';
COMMENT ON COLUMN market.point.replaces IS 'the revoked point in whose place this one stands';
CREATE INDEX point_merchant_idx ON market.point (merchant, id);
CREATE INDEX point_location_idx ON market.point (location);

CREATE TABLE market.invoice (
    id UUID NOT NULL,
    merchant UUID NOT NULL,
    point UUID NOT NULL,
    number TEXT NOT NULL CONSTRAINT invoice_number_check CHECK (number ~ '^[0-9A-HJKMNP-TV-Z]{10}$'),
    amount BIGINT NOT NULL CONSTRAINT invoice_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    memo TEXT NOT NULL,
    items JSONB DEFAULT '[]' NOT NULL,
    made_by UUID NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    cancelled_at TIMESTAMP WITH TIME ZONE,
    cancelled_by UUID,
    rest_of UUID,
    CONSTRAINT invoice_pkey PRIMARY KEY (id),
    CONSTRAINT invoice_number_once UNIQUE (number),
    CONSTRAINT invoice_rest_once UNIQUE (rest_of),
    CONSTRAINT invoice_expires_check CHECK (expires_at > made_at),
    CONSTRAINT invoice_cancelled_check CHECK ((cancelled_at IS NULL) = (cancelled_by IS NULL)),
    CONSTRAINT invoice_merchant_fkey FOREIGN KEY(merchant) REFERENCES market.merchant (holder),
    CONSTRAINT invoice_point_fkey FOREIGN KEY(point) REFERENCES market.point (id),
    CONSTRAINT invoice_made_by_fkey FOREIGN KEY(made_by) REFERENCES identity.holder (id),
    CONSTRAINT invoice_cancelled_by_fkey FOREIGN KEY(cancelled_by) REFERENCES identity.holder (id),
    CONSTRAINT invoice_rest_of_fkey FOREIGN KEY(rest_of) REFERENCES market.invoice (id)
);
COMMENT ON TABLE market.invoice IS 'what a merchant asks for at the counter; the entry that settles it, or a match, says that it is paid';
COMMENT ON COLUMN market.invoice.items IS '[{"product", "name", "unit", "price", "count", "amount"}], in the order of the till';
COMMENT ON COLUMN market.invoice.rest_of IS 'the invoice that was paid short, of which this asks for the rest';
CREATE INDEX invoice_point_idx ON market.invoice (point, made_at);
CREATE INDEX invoice_merchant_idx ON market.invoice (merchant, id);

CREATE TABLE market.payment (
    entry UUID NOT NULL,
    merchant UUID NOT NULL,
    point UUID NOT NULL,
    invoice UUID,
    payer UUID NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT payment_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    authority UUID NOT NULL,
    CONSTRAINT payment_pkey PRIMARY KEY (entry),
    CONSTRAINT payment_invoice_once UNIQUE (invoice)
);
COMMENT ON TABLE market.payment IS 'what was paid to merchants: written with the money, by the function that posts it';
COMMENT ON COLUMN market.payment.invoice IS 'the invoice that its entry settles; NULL of a payment to a point''s sticker';
COMMENT ON COLUMN market.payment.payer IS 'who signed';
CREATE INDEX payment_point_idx ON market.payment (point, at);
CREATE INDEX payment_merchant_idx ON market.payment (merchant, at);
CREATE INDEX payment_payer_idx ON market.payment (payer, at);

CREATE TABLE market.match (
    payment UUID NOT NULL,
    invoice UUID NOT NULL,
    how TEXT NOT NULL CONSTRAINT match_how_check CHECK (how IN ('exact', 'under', 'over', 'late', 'attached')),
    by UUID,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT match_pkey PRIMARY KEY (payment),
    CONSTRAINT match_invoice_once UNIQUE (invoice),
    CONSTRAINT match_by_check CHECK (how <> 'attached' OR by IS NOT NULL),
    CONSTRAINT match_payment_fkey FOREIGN KEY(payment) REFERENCES market.payment (entry),
    CONSTRAINT match_invoice_fkey FOREIGN KEY(invoice) REFERENCES market.invoice (id),
    CONSTRAINT match_by_fkey FOREIGN KEY(by) REFERENCES identity.holder (id)
);
COMMENT ON TABLE market.match IS 'which keyed invoice a payment to a sticker answers';
COMMENT ON COLUMN market.match.by IS 'the cashier who picked; NULL: there was only one';

CREATE TABLE market.resolution (
    payment UUID NOT NULL,
    how TEXT NOT NULL CONSTRAINT resolution_how_check CHECK (how IN ('rest_asked', 'excess_refunded', 'attached', 'accepted')),
    made UUID,
    by UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT resolution_pkey PRIMARY KEY (payment),
    CONSTRAINT resolution_made_check CHECK ((how = 'accepted') = (made IS NULL)),
    CONSTRAINT resolution_payment_fkey FOREIGN KEY(payment) REFERENCES market.payment (entry),
    CONSTRAINT resolution_by_fkey FOREIGN KEY(by) REFERENCES identity.holder (id)
);
COMMENT ON COLUMN market.resolution.made IS 'what came of it: the invoice for the rest, the refund''s entry, the invoice attached to';

CREATE TABLE market.refund_request (
    id UUID NOT NULL,
    merchant UUID NOT NULL,
    entry UUID NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT refund_request_amount_check CHECK (amount BETWEEN 1 AND 1000000000000000),
    reason TEXT NOT NULL,
    made_by UUID NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    pin BOOLEAN NOT NULL,
    approved_by UUID,
    refund UUID,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT refund_request_pkey PRIMARY KEY (id),
    CONSTRAINT refund_request_refund_once UNIQUE (refund),
    CONSTRAINT refund_request_one_end_check CHECK (refund IS NULL OR withdrawn_at IS NULL),
    CONSTRAINT refund_request_done_check CHECK ((refund IS NULL) = (approved_by IS NULL)),
    CONSTRAINT refund_request_merchant_fkey FOREIGN KEY(merchant) REFERENCES market.merchant (holder),
    CONSTRAINT refund_request_entry_fkey FOREIGN KEY(entry) REFERENCES market.payment (entry),
    CONSTRAINT refund_request_made_by_fkey FOREIGN KEY(made_by) REFERENCES identity.holder (id),
    CONSTRAINT refund_request_approved_by_fkey FOREIGN KEY(approved_by) REFERENCES identity.holder (id)
);
COMMENT ON TABLE market.refund_request IS 'a refund that somebody prepared: a cashier by their PIN, or anybody for a second person to order';
COMMENT ON COLUMN market.refund_request.pin IS 'whether its maker gave their PIN';
COMMENT ON COLUMN market.refund_request.approved_by IS 'whose signed order gave the money back';
COMMENT ON COLUMN market.refund_request.refund IS 'the entry that gave the money back';
CREATE INDEX refund_request_merchant_idx ON market.refund_request (merchant, id);
CREATE INDEX refund_request_entry_idx ON market.refund_request (entry);
"""

CHART = """
INSERT INTO ledger.chart (code, name, name_en, normal, floor, held_by) VALUES
    ('merchant', 'Phải trả điểm bán', 'Owed to merchants', 'credit', 0, 'holder'),
    ('merchant_fee', 'Phí thu của điểm bán', 'Fees from merchants', 'credit', NULL, 'house');
"""

HOUSE_ACCOUNT = """
WITH opened AS (
    INSERT INTO ledger.account (id, code, normal, floor)
    SELECT gen_random_uuid(), code, normal, floor FROM ledger.chart WHERE code = 'merchant_fee'
    RETURNING id, floor
)
INSERT INTO ledger.balance (account, floor) SELECT id, floor FROM opened;
"""

# `staff`: the debited account is the signer's own, or of a merchant that the signer serves.
FLOWS = """
ALTER TABLE ledger.flow DROP CONSTRAINT flow_debit_of_check;
ALTER TABLE ledger.flow ADD CONSTRAINT flow_debit_of_check CHECK (debit_of IN ('signer', 'office', 'hold', 'payee', 'house', 'staff'));
COMMENT ON COLUMN ledger.flow.debit_of IS 'whose account is debited: the signer''s, their office''s, the hold''s, the payee''s out of what the same entry pays them, the house''s, a merchant''s whose staff the signer is';
INSERT INTO ledger.flow (kind, authority, order_kind, debit, credit, debit_of) VALUES
    ('merchant_payment', 'signed_order', 'invoice_payment', 'wallet', 'merchant', 'signer'),
    ('merchant_payment', 'signed_order', 'point_payment', 'wallet', 'merchant', 'signer'),
    ('refund', 'signed_order', 'refund', 'merchant', 'wallet', 'staff');
"""
