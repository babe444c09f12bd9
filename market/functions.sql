-- The market's functions and grants; re-applied by every upgrade, after the ledger's, which they call.

-- move_merchant: move a merchant to another state and keep who did it. The one way by which a merchant's state changes.
-- Two officers: whoever approves, refuses or reinstates is not who moved it to where it stands. And
-- nobody judges a merchant that they work for.
-- Returns where it stood, and 'moved', or why not: 'absent', 'illegal', 'same_officer'.
CREATE OR REPLACE FUNCTION market.move_merchant(
    p_id uuid, p_merchant uuid, p_to text, p_officer uuid, p_reason text, p_at timestamptz, p_account uuid,
    OUT stood text, OUT came text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
DECLARE
    v_last uuid;
BEGIN
    SELECT m.state INTO stood FROM market.merchant m WHERE m.holder = p_merchant FOR NO KEY UPDATE;
    IF stood IS NULL THEN
        came := 'absent';
        RETURN;
    END IF;
    IF (stood, p_to) NOT IN (('applied', 'reviewed'), ('applied', 'returned'), ('reviewed', 'approved'), ('reviewed', 'returned'),
                             ('reviewed', 'refused'), ('returned', 'applied'), ('approved', 'suspended'), ('suspended', 'approved')) THEN
        came := 'illegal';
        RETURN;
    END IF;
    SELECT r.officer INTO v_last FROM market.merchant_review r WHERE r.merchant = p_merchant ORDER BY r.at DESC, r.id DESC LIMIT 1;
    IF p_to <> 'applied' AND identity.serves(p_officer, p_merchant)
       OR (stood, p_to) IN (('reviewed', 'approved'), ('reviewed', 'refused'), ('suspended', 'approved')) AND v_last = p_officer THEN
        came := 'same_officer';
        RETURN;
    END IF;
    INSERT INTO market.merchant_review (id, merchant, from_state, to_state, officer, reason, at)
    VALUES (p_id, p_merchant, stood, p_to, p_officer, p_reason, p_at);
    UPDATE market.merchant SET state = p_to, account = coalesce(p_account, account) WHERE holder = p_merchant;
    came := 'moved';
END $$;

-- Append-only, under the grants as well as by them. --------------------------------------------------------------------
DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['merchant_review', 'payment', 'match', 'resolution'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON market.%I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', one);
    END LOOP;
END $$;

-- Of an invoice only its end is written later: what was asked for never changes.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA market FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA market FROM wallet_app;
GRANT USAGE ON SCHEMA market TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA market TO wallet_app, wallet_audit;
GRANT INSERT, DELETE ON market.photo TO wallet_app;
GRANT INSERT ON market.merchant, market.location, market.point, market.invoice, market.resolution TO wallet_app;
GRANT UPDATE (name, name_folded, tax_id, category) ON market.merchant TO wallet_app;
GRANT UPDATE (name, address, area, lat, lon, photo, hours, closed_days, ended_at) ON market.location TO wallet_app;
GRANT UPDATE (name, revoked_at, sticker_version) ON market.point TO wallet_app;
GRANT UPDATE (cancelled_at, cancelled_by) ON market.invoice TO wallet_app;
GRANT INSERT, UPDATE (withdrawn_at) ON market.refund_request TO wallet_app;
GRANT EXECUTE ON FUNCTION market.move_merchant(uuid, uuid, text, uuid, text, timestamptz, uuid) TO wallet_app;
