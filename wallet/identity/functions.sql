-- Identity's few functions; re-applied by every upgrade, after the tables and before the ledger's, which calls two of them.

-- hold_key: is this the signer's active key? If so it stays alive until this transaction ends: revoking takes FOR UPDATE.
CREATE OR REPLACE FUNCTION identity.hold_key(p_key_id text, p_signer uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = identity, pg_temp AS $$
BEGIN
    PERFORM 1 FROM identity.key WHERE id = p_key_id AND holder = p_signer AND state = 'active' FOR SHARE;
    RETURN FOUND;
END $$;

-- lock_holder: one enrolment of a holder at a time, until this transaction ends. The application may not update holders, so
-- it could not lock the row itself.
CREATE OR REPLACE FUNCTION identity.lock_holder(p_holder uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    SELECT 1 FROM identity.holder WHERE id = p_holder FOR NO KEY UPDATE;
$$;

CREATE OR REPLACE FUNCTION identity.roles_of(p_holder uuid) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = identity, pg_temp AS $$
    SELECT coalesce(array_agg(role ORDER BY role), '{}') FROM identity.role WHERE holder = p_holder;
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA identity FROM PUBLIC;
GRANT USAGE ON SCHEMA identity, person TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA identity TO wallet_app;
GRANT INSERT ON identity.holder, identity.role TO wallet_app;
GRANT INSERT, UPDATE ON identity.key, identity.pin, identity.known_device TO wallet_app;
GRANT INSERT, UPDATE, DELETE ON identity.session, identity.one_time_code, identity.attempt TO wallet_app;
GRANT DELETE ON identity.pin, identity.known_device TO wallet_app;
GRANT SELECT, INSERT, UPDATE ON person.person TO wallet_app;
-- An auditor checks signatures against keys and roles; nobody's name, PIN, code or session.
GRANT SELECT ON identity.holder, identity.role, identity.key TO wallet_audit;
GRANT EXECUTE ON FUNCTION identity.hold_key(text, uuid), identity.lock_holder(uuid), identity.roles_of(uuid),
    identity.count_attempt(text, timestamptz, interval) TO wallet_app;
