-- The ledger's verbs stand in this folder, each once, as it is today, and are re-applied by every upgrade; a signature is
-- frozen, a changed one gets a new name. Each runs as the owner (SECURITY DEFINER) with a search_path that ends in pg_temp:
-- the application may EXECUTE what guards.sql grants and read, nothing more.
-- This file: orders taken, refused or merely told of; accounts opened.

-- take, claim: take an order, or find what already came of it. --------------------------------------------------------------
-- Inserts the order (waiting for a twin in flight), holds its key alive until commit, and reads the outcome of an earlier
-- claim in a statement of its own, so with a snapshot taken after the wait.
--   state  'new'       claimed now; the caller posts or refuses, in this transaction
--          'known'     carried out or refused before: status and body are what was answered
--          'differs'   this signer used this order id for other bytes
--          'key_dead'  the key is unknown, not the signer's or, for a new order, not active
CREATE OR REPLACE FUNCTION ledger.take(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    OUT state text, OUT roles text[], OUT status smallint, OUT body bytea)
LANGUAGE plpgsql AS $$
DECLARE
    claimed boolean;
    signer record;
BEGIN
    IF p_kind = 'outside_word' AND NOT identity.is_outside(p_signer) THEN
        RAISE EXCEPTION 'an outside party''s word is an outside party''s';
    END IF;
    INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, key_id, digest, under)
    VALUES (p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, sha256(p_salt || p_bytes), p_under)
    ON CONFLICT ON CONSTRAINT authority_once DO NOTHING;
    claimed := FOUND;

    -- A new order asks for a living key; what came of an old one is told to any key the signer ever had, so that also the
    -- order that revoked a key can be asked again.
    signer := identity.signer(p_key_id, p_signer, claimed);
    roles := signer.roles;
    IF NOT signer.alive THEN
        state := 'key_dead';
    ELSIF claimed THEN
        INSERT INTO person.order_content (authority, salt, bytes, signature_base, signature)
        VALUES (p_authority, p_salt, p_bytes, p_base, p_signature);
        state := 'new';
    ELSE
        SELECT CASE WHEN a.digest = sha256(c.salt || p_bytes) THEN 'known' ELSE 'differs' END, o.status, o.body
        INTO STRICT state, status, body
        FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id
        LEFT JOIN person.order_content c ON c.authority = a.id
        WHERE a.signer = p_signer AND a.order_id = p_order_id;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ledger.claim(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    OUT state text, OUT roles text[], OUT status smallint, OUT body bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
    SELECT t.state, t.roles, t.status, t.body
    FROM ledger.take(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base, p_signature, p_under) AS t
$$;

-- refuse: store a refusal as the outcome of a claimed order; it has written nothing else. ----------------------------
CREATE OR REPLACE FUNCTION ledger.refuse(p_authority uuid, p_status smallint, p_code text, p_body bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    INSERT INTO ledger.outcome (authority, status, code, body, entries) VALUES (p_authority, p_status, p_code, p_body, '{}');
$$;

-- tell: record an event that no order caused (a wallet opened, a PIN set). ---------------------------------------------
CREATE OR REPLACE FUNCTION ledger.tell(p_id uuid, p_type text, p_subject text, p_actor uuid, p_at timestamptz, p_bytes bytea)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    INSERT INTO ledger.event (id, type, subject, actor, at, bytes) VALUES (p_id, p_type, p_subject, p_actor, p_at, p_bytes);
$$;

-- open_account: open an account of the chart, or find the one that is there. ------------------------------------------
CREATE OR REPLACE FUNCTION ledger.open_account(
    p_id uuid, p_code text, p_holder uuid, p_chuong text, p_tieu_muc text, p_dia_ban text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    line ledger.chart;
    found_id uuid;
BEGIN
    SELECT * INTO STRICT line FROM ledger.chart WHERE code = p_code;
    IF (line.held_by = 'house') <> (p_holder IS NULL) OR (line.held_by = 'budget') <> (p_tieu_muc IS NOT NULL)
       OR (line.held_by = 'budget') <> (p_chuong IS NOT NULL) OR (line.held_by = 'budget') <> (p_dia_ban IS NOT NULL) THEN
        RAISE EXCEPTION 'account % is held by %', p_code, line.held_by;
    END IF;
    INSERT INTO ledger.account (id, code, holder, chuong, tieu_muc, dia_ban, normal, floor)
    VALUES (p_id, p_code, p_holder, p_chuong, p_tieu_muc, p_dia_ban, line.normal, line.floor)
    ON CONFLICT ON CONSTRAINT account_once DO NOTHING;
    IF FOUND THEN
        INSERT INTO ledger.balance (account, floor) VALUES (p_id, line.floor);
        RETURN p_id;
    END IF;
    SELECT id INTO STRICT found_id FROM ledger.account
    WHERE code = p_code AND holder IS NOT DISTINCT FROM p_holder AND chuong IS NOT DISTINCT FROM p_chuong
      AND tieu_muc IS NOT DISTINCT FROM p_tieu_muc AND dia_ban IS NOT DISTINCT FROM p_dia_ban;
    RETURN found_id;
END $$;
