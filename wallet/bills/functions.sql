-- Bills: what a payment must see under lock, in one round trip; re-applied by every upgrade.

-- lock_bills: lock bills in id order until this transaction ends, then read them. The read is a
-- statement of its own: with the lock in the same statement it would miss an entry that was committed while we waited.
CREATE OR REPLACE FUNCTION bills.lock_bills(p_bills uuid[], p_holder uuid, p_now timestamptz)
RETURNS TABLE (id uuid, code text, agency uuid, debtor uuid, dossier text, procedure text, total bigint, version integer,
               state text, due date, expires date, settled_by uuid, granted boolean, accounts uuid[], amounts bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bills, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM bills.bill b WHERE b.id = ANY (p_bills) ORDER BY b.id FOR NO KEY UPDATE;
    RETURN QUERY SELECT * FROM bills.read_bills(p_bills, p_holder, p_now);
END $$;

-- read_bills: bills, what has settled them, and whether the holder may pay them for somebody else; without a lock.
-- In plpgsql, so that it is planned once in a connection and not at every payment, and row by row, so that it cannot be planned to
-- read a table whole.
CREATE OR REPLACE FUNCTION bills.read_bills(p_bills uuid[], p_holder uuid, p_now timestamptz)
RETURNS TABLE (id uuid, code text, agency uuid, debtor uuid, dossier text, procedure text, total bigint, version integer,
               state text, due date, expires date, settled_by uuid, granted boolean, accounts uuid[], amounts bigint[])
LANGUAGE plpgsql STABLE SET search_path = bills, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    FOR nth IN 1 .. cardinality(p_bills) LOOP
        RETURN QUERY
        SELECT b.id, b.code, b.agency, b.debtor, b.dossier, b.procedure, b.total, b.version, b.state, b.due, b.expires,
               (SELECT e.id FROM ledger.entry e WHERE e.settles = b.id),
               EXISTS (SELECT 1 FROM bills.payer_grant g WHERE g.bill = b.id AND g.holder = p_holder AND g.until > p_now),
               ARRAY(SELECT x.account FROM bills.bill_line x WHERE x.bill = b.id AND x.amount > 0 ORDER BY x.line),
               ARRAY(SELECT x.amount FROM bills.bill_line x WHERE x.bill = b.id AND x.amount > 0 ORDER BY x.line)
        FROM bills.bill b WHERE b.id = p_bills[nth];
    END LOOP;
END $$;

-- pay_order: `ledger.post_order` for a payment of bills that was decided without a lock. The bills are locked first and must
-- still be what the decision saw: issued and not settled (nothing else about a bill ever changes). If not, the plan is stale.
CREATE OR REPLACE FUNCTION bills.pay_order(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea, p_bills uuid[],
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bills, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_state text;
    v_carried record;
BEGIN
    FOR nth IN 1 .. cardinality(p_bills) LOOP  -- given in the order of their locks
        SELECT b.state INTO v_state FROM bills.bill b WHERE b.id = p_bills[nth] FOR NO KEY UPDATE;
        -- A statement of its own: in the one that locks, it would miss an entry that was committed while we waited.
        IF v_state IS DISTINCT FROM 'issued' OR EXISTS (SELECT 1 FROM ledger.entry e WHERE e.settles = p_bills[nth]) THEN
            RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = 'stale', DETAIL = '{}';
        END IF;
    END LOOP;
    v_carried := ledger.carry_order(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base,
                                    p_signature, p_under, p_admits, p_plan, p_status, p_body);
    state := v_carried.state;
    status := v_carried.status;
    body := v_carried.body;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bills FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA bills FROM wallet_app;
GRANT USAGE ON SCHEMA bills TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA bills TO wallet_app, wallet_audit;
GRANT INSERT ON bills.agency, bills.bill, bills.bill_line TO wallet_app;
GRANT UPDATE (state, closed_at, close_reason) ON bills.bill TO wallet_app;
GRANT INSERT, UPDATE (until) ON bills.payer_grant TO wallet_app;
GRANT EXECUTE ON FUNCTION bills.lock_bills(uuid[], uuid, timestamptz), bills.read_bills(uuid[], uuid, timestamptz),
    bills.pay_order(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid, text[], jsonb, smallint, bytea, uuid[])
TO wallet_app;
