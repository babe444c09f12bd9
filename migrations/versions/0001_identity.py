"""Holders, their names, codes, PINs, sessions, roles and keys.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the schema's tables."""
    op.execute(TABLES)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


TABLES = """
CREATE SCHEMA identity;
CREATE SCHEMA person;

CREATE TABLE identity.attempt (
    bucket TEXT NOT NULL,
    count INTEGER NOT NULL,
    resets_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT attempt_pkey PRIMARY KEY (bucket)
);

CREATE TABLE identity.holder (
    id UUID NOT NULL,
    kind TEXT NOT NULL CONSTRAINT holder_kind_check CHECK (kind IN ('person', 'agency', 'outside')),
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT holder_pkey PRIMARY KEY (id)
);

CREATE TABLE identity.one_time_code (
    id UUID NOT NULL,
    purpose TEXT NOT NULL,
    phone TEXT NOT NULL,
    hash BYTEA NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE NOT NULL,
    verified_at TIMESTAMP WITH TIME ZONE,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT one_time_code_pkey PRIMARY KEY (id)
);
CREATE INDEX one_time_code_phone_idx ON identity.one_time_code (phone, purpose, sent_at);

CREATE TABLE identity.key (
    id TEXT NOT NULL,
    holder UUID NOT NULL,
    jwk TEXT NOT NULL,
    label TEXT NOT NULL,
    device TEXT NOT NULL CONSTRAINT key_device_check CHECK (device IN ('browser', 'machine')),
    state TEXT NOT NULL CONSTRAINT key_state_check CHECK (state IN ('pending', 'active', 'revoked')),
    enrolled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT key_pkey PRIMARY KEY (id),
    CONSTRAINT key_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
COMMENT ON COLUMN identity.key.id IS 'RFC 7638 thumbprint';
CREATE INDEX key_holder_idx ON identity.key (holder);

CREATE TABLE identity.known_device (
    holder UUID NOT NULL,
    device_hash BYTEA NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT known_device_pkey PRIMARY KEY (holder, device_hash),
    CONSTRAINT known_device_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);

CREATE TABLE identity.pin (
    holder UUID NOT NULL,
    hash TEXT NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pin_pkey PRIMARY KEY (holder),
    CONSTRAINT pin_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);

CREATE TABLE identity.role (
    holder UUID NOT NULL,
    role TEXT NOT NULL CONSTRAINT role_role_check CHECK (role IN ('citizen', 'officer', 'agency', 'auditor', 'operator')),
    agency UUID,
    CONSTRAINT role_pkey PRIMARY KEY (holder, role),
    CONSTRAINT role_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id),
    CONSTRAINT role_agency_fkey FOREIGN KEY(agency) REFERENCES identity.holder (id)
);
COMMENT ON COLUMN identity.role.agency IS 'whose officer or machine this is';

CREATE TABLE identity.session (
    token_hash BYTEA NOT NULL,
    holder UUID NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (token_hash),
    CONSTRAINT session_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
CREATE INDEX session_holder_idx ON identity.session (holder);

CREATE TABLE person.person (
    holder UUID NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    phone TEXT,
    CONSTRAINT person_pkey PRIMARY KEY (holder),
    CONSTRAINT person_phone_once UNIQUE (phone),
    CONSTRAINT person_holder_fkey FOREIGN KEY(holder) REFERENCES identity.holder (id)
);
CREATE INDEX person_name_folded_idx ON person.person (name_folded);
"""
