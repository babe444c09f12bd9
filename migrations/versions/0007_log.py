"""The log: the place of each event, the checkpoints that were published, and what witnesses cosigned.

Revision ID: 0007
Revises: 0005
"""

from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the schema, its tables, and the bolt that stops posting while it is drawn."""
    op.execute(TABLES)
    op.execute(BOLT)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


# A leaf has no foreign key to its event: the check would be a query for each of ten thousand leaves a second, nobody but
# `log.seal` writes here, and `prove` looks for leaves without an event.
TABLES = """
CREATE SCHEMA log;

CREATE TABLE log.leaf (
    index BIGINT NOT NULL CONSTRAINT leaf_index_check CHECK (index >= 0),
    event UUID NOT NULL,
    CONSTRAINT leaf_pkey PRIMARY KEY (index),
    CONSTRAINT leaf_event_once UNIQUE (event)
);
COMMENT ON TABLE log.leaf IS 'the gapless place of each event; the leaf is the event''s bytes';

CREATE TABLE log.checkpoint (
    size BIGINT NOT NULL,
    root BYTEA NOT NULL CONSTRAINT checkpoint_root_check CHECK (octet_length(root) = 32),
    note BYTEA NOT NULL,
    sealed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    settled BIGINT NOT NULL,
    CONSTRAINT checkpoint_pkey PRIMARY KEY (size)
);
COMMENT ON COLUMN log.checkpoint.settled IS 'no event up to this seq is, or will ever be, without a leaf below this size';

CREATE TABLE log.cosignature (
    size BIGINT NOT NULL,
    witness TEXT NOT NULL,
    line TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT cosignature_pkey PRIMARY KEY (size, witness),
    CONSTRAINT cosignature_size_fkey FOREIGN KEY(size) REFERENCES log.checkpoint (size)
);
COMMENT ON COLUMN log.cosignature.line IS 'the signature line, without its newline';
"""

# The bolt costs a payment nothing while it is not drawn. It is made here and not with the functions, because an upgrade that
# makes it anew would also open it.
BOLT = """
CREATE FUNCTION log.refuse_posting() RETURNS trigger LANGUAGE plpgsql SET search_path = log, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = 'posting_stopped', DETAIL = '{}';
END $$;
CREATE TRIGGER posting_stopped BEFORE INSERT ON ledger.authority FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_posting();
ALTER TABLE ledger.authority DISABLE TRIGGER posting_stopped;
"""
