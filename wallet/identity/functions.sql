-- Identity's few functions; re-applied by every upgrade, after the tables and before the ledger's, which calls two of them.

-- Called by the ledger's functions, as the owner and under their search_path, and by nobody else: to set one anew at every call
-- costs more than the look.
-- signer: is this a key that the signer may use, and what are their roles? For a new order the key must be active, and it stays
-- alive until this transaction ends: revoking takes FOR UPDATE. For an order known already any key they ever had will do.
CREATE OR REPLACE FUNCTION identity.signer(p_key_id text, p_signer uuid, p_new boolean, OUT alive boolean, OUT roles text[])
LANGUAGE plpgsql AS $$
BEGIN
    IF p_key_id IS NOT NULL AND p_new THEN
        SELECT true, ARRAY(SELECT r.role FROM identity.role r WHERE r.holder = p_signer ORDER BY r.role) INTO alive, roles
        FROM identity.key k WHERE k.id = p_key_id AND k.holder = p_signer AND k.state = 'active' FOR SHARE OF k;
        alive := FOUND;
        RETURN;
    END IF;
    alive := p_key_id IS NULL
             OR EXISTS (SELECT 1 FROM identity.key WHERE id = p_key_id AND holder = p_signer AND state <> 'pending');
    roles := ARRAY(SELECT r.role FROM identity.role r WHERE r.holder = p_signer ORDER BY r.role);
END $$;

-- agency_of: whose officer is this?
CREATE OR REPLACE FUNCTION identity.agency_of(p_holder uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    SELECT agency FROM identity.role WHERE holder = p_holder AND role = 'officer';
$$;

-- serves: does this holder act for that merchant?
CREATE OR REPLACE FUNCTION identity.serves(p_holder uuid, p_merchant uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM identity.staff WHERE holder = p_holder AND merchant = p_merchant AND until IS NULL);
$$;

-- is_outside: is this holder an outside party, whose word the books record?
CREATE OR REPLACE FUNCTION identity.is_outside(p_holder uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM identity.holder WHERE id = p_holder AND kind = 'outside');
$$;

-- lock_holder: one enrolment of a holder at a time, until this transaction ends. The application may not update holders, so
-- it could not lock the row itself.
CREATE OR REPLACE FUNCTION identity.lock_holder(p_holder uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    SELECT 1 FROM identity.holder WHERE id = p_holder FOR NO KEY UPDATE;
$$;

-- count_attempt: count one try against a bucket and return the count so far in its window. Atomic: a hundred at once count
-- to a hundred. The window starts with its first try.
CREATE OR REPLACE FUNCTION identity.count_attempt(p_bucket text, p_now timestamptz, p_window interval) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    INSERT INTO identity.attempt AS a (bucket, count, resets_at) VALUES (p_bucket, 1, p_now + p_window)
    ON CONFLICT (bucket) DO UPDATE SET
        count = CASE WHEN a.resets_at <= p_now THEN 1 ELSE a.count + 1 END,
        resets_at = CASE WHEN a.resets_at <= p_now THEN p_now + p_window ELSE a.resets_at END
    RETURNING count;
$$;

-- masked_names: people's names as an auditor may see them: of every word but the last, its first letter. The audit role cannot
-- read the names themselves, so no page of an auditor's can show one by mistake.
CREATE OR REPLACE FUNCTION identity.masked_names(p_holders uuid[]) RETURNS TABLE (holder uuid, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    SELECT p.holder, (
        SELECT string_agg(CASE WHEN w.place = w.words THEN w.word ELSE left(w.word, 1) || repeat('*', length(w.word) - 1) END,
                          ' ' ORDER BY w.place)
        FROM (SELECT x.word, x.place, count(*) OVER () AS words
              FROM regexp_split_to_table(btrim(p.name), '\s+') WITH ORDINALITY AS x (word, place)) AS w)
    FROM person.person p WHERE p.holder = ANY (p_holders);
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA identity FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA identity FROM wallet_app;
REVOKE ALL ON person.person FROM wallet_app;
GRANT USAGE ON SCHEMA identity, person TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA identity TO wallet_app;
GRANT INSERT ON identity.holder, identity.role TO wallet_app;
GRANT INSERT, UPDATE (state, revoked_at) ON identity.key TO wallet_app;
GRANT INSERT, DELETE ON identity.pin TO wallet_app;
GRANT INSERT, UPDATE (seen_at), DELETE ON identity.known_device, identity.session TO wallet_app;
GRANT INSERT, UPDATE, DELETE ON identity.one_time_code, identity.attempt TO wallet_app;
GRANT SELECT, INSERT ON person.person TO wallet_app;
-- Who served a merchant stays on record.
GRANT INSERT, UPDATE (until) ON identity.staff TO wallet_app;
-- A payee code ends and never goes: a code that was printed once must not lead to somebody else later.
GRANT INSERT, UPDATE (ended_at) ON identity.payee_code TO wallet_app;
GRANT SELECT, INSERT, UPDATE (serial, made_at, ended_at) ON person.receipt_link TO wallet_app;
-- An auditor checks signatures against keys and roles, and the words of each order (which may hold a name and a phone: see
-- person.order_content); no PIN, code or session, and not the list of people.
GRANT SELECT ON identity.holder, identity.role, identity.staff, identity.key TO wallet_audit;
GRANT EXECUTE ON FUNCTION identity.masked_names(uuid[]) TO wallet_audit;
GRANT EXECUTE ON FUNCTION identity.lock_holder(uuid),
    identity.count_attempt(text, timestamptz, interval) TO wallet_app;
