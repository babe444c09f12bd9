-- Charges: what a till takes by a customer's one-time code. Re-applied by every upgrade, after the ledger's and the market's.

-- charge_order: `ledger.post_order` for a charge that was decided without a lock. The point must still be open, the signer must
-- still serve its merchant, and an invoice must still wait for its payment; if not, the plan is stale. The code itself is judged
-- by the ledger, under the mandate's lock.
CREATE OR REPLACE FUNCTION market.charge_order(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea, p_point uuid, p_invoice uuid,
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_merchant uuid;
    v_account uuid;
    v_invoice market.invoice;
    v_carried record;
BEGIN
    SELECT m.holder, m.account INTO v_merchant, v_account
    FROM market.point p JOIN market.merchant m ON m.holder = p.merchant
    WHERE p.id = p_point AND p.revoked_at IS NULL AND m.state = 'approved' FOR SHARE OF p, m;
    IF p_invoice IS NOT NULL THEN
        SELECT i.* INTO v_invoice FROM market.invoice i WHERE i.id = p_invoice FOR NO KEY UPDATE;
    END IF;
    IF v_account IS NULL OR p_signer <> v_merchant AND NOT identity.serves(p_signer, v_merchant)
       OR p_invoice IS NOT NULL AND (v_invoice.point IS DISTINCT FROM p_point OR v_invoice.cancelled_at IS NOT NULL
                                     OR v_invoice.amount <> (p_plan #>> '{postings,0,amount}')::bigint
                                     OR v_invoice.expires_at <= now()
                                     OR EXISTS (SELECT 1 FROM ledger.entry e WHERE e.settles = p_invoice)
                                     OR EXISTS (SELECT 1 FROM market.match x WHERE x.invoice = p_invoice)) THEN
        RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = 'stale', DETAIL = '{}';
    END IF;
    IF (p_plan #>> '{postings,0,credit}')::uuid IS DISTINCT FROM v_account
       OR (p_plan #>> '{entries,0,settles}')::uuid IS DISTINCT FROM p_invoice THEN
        RAISE EXCEPTION 'a charge pays the merchant of its point, and what it settles is its invoice';
    END IF;
    v_carried := ledger.carry_order(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base,
                                    p_signature, p_under, p_admits, p_plan, p_status, p_body);
    state := v_carried.state;
    status := v_carried.status;
    body := v_carried.body;
    IF state = 'new' THEN
        INSERT INTO market.payment (entry, merchant, point, invoice, payer, amount, authority)
        SELECT (p_plan #>> '{entries,0,id}')::uuid, v_merchant, p_point, p_invoice, m.signer, (p_plan #>> '{postings,0,amount}')::bigint,
               p_authority
        FROM ledger.authority m WHERE m.id = p_under;
    END IF;
END $$;

REVOKE ALL ON FUNCTION market.charge_order(
    uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid, text[], jsonb, smallint, bytea, uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION market.charge_order(
    uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid, text[], jsonb, smallint, bytea, uuid, uuid) TO wallet_app;
