-- Mandates: a holder's signed word that whoever names its code may charge their wallet, once, at most so much, until then. The
-- payee is not known when it is signed, so nothing is set aside; what is charged counts against the limits of who signed.
-- A holder's newer mandate ends the older ones: of all the codes that a phone has shown, the last is good.

-- write_mandates: write the mandate that a plan signs. However late a phone's clock puts its end, it is at most 30 s away.
-- Refuses: mandate_expired (on its way here), mandate_code_taken.
CREATE OR REPLACE FUNCTION ledger.write_mandates(p_authority uuid, p_kind text, p_order_kind text, p_signer uuid, p_plan jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    one record;
    v_made_at timestamptz;
BEGIN
    FOR one IN SELECT m.*, a.code AS line, a.holder, a.status
               FROM jsonb_to_recordset(p_plan -> 'mandates') AS m (account uuid, cap bigint, lapses_at timestamptz, code text)
               LEFT JOIN ledger.account a ON a.id = m.account LOOP
        IF (p_kind, p_order_kind, one.line, one.holder) IS DISTINCT FROM ('signed_order', 'mandate', 'wallet', p_signer) THEN
            RAISE EXCEPTION 'a mandate is its holder''s signed order, on their own wallet';
        ELSIF one.status <> 'open' THEN
            PERFORM ledger.refuse_shut(one.account, 'payer');
        END IF;
        -- A charge of an older one comes whole before this or finds it newer, and the instants say which.
        PERFORM 1 FROM ledger.mandate m WHERE m.account = one.account AND m.lapses_at > now() ORDER BY m.made_at FOR UPDATE;
        v_made_at := clock_timestamp();
        IF one.lapses_at <= v_made_at THEN
            PERFORM ledger.refused('mandate_expired', '{}');
        END IF;
        INSERT INTO ledger.mandate (authority, account, cap, made_at, lapses_at, code)
        VALUES (p_authority, one.account, one.cap, v_made_at, least(one.lapses_at, v_made_at + INTERVAL '30 seconds'), one.code)
        ON CONFLICT ON CONSTRAINT mandate_code_once DO NOTHING;
        IF NOT FOUND THEN
            PERFORM ledger.refused('mandate_code_taken', '{}');
        END IF;
    END LOOP;
END $$;

-- judge_charge: lock the mandate that a plan charges, say why it may not be, and return whose limits count.
-- Of two tills with one code the second waits here, and then finds it used.
-- Refuses: mandate_used, mandate_expired, mandate_replaced, mandate_exceeded, stale.
CREATE OR REPLACE FUNCTION ledger.judge_charge(p_authority uuid, p_plan jsonb) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_mandate record;
    v_taken record;
BEGIN
    SELECT m.*, u.signer, a.signer AS till INTO v_mandate
    FROM ledger.authority a JOIN ledger.mandate m ON m.authority = a.under JOIN ledger.authority u ON u.id = m.authority
    WHERE a.id = p_authority FOR UPDATE OF m;
    SELECT count(*) AS entries, min(e.id::text)::uuid AS entry, bool_and(e.kind = 'merchant_payment') AS pays,
           (SELECT sum(p.amount)::bigint FROM jsonb_to_recordset(p_plan -> 'postings') AS p (debit uuid, amount bigint)
            WHERE p.debit = v_mandate.account) AS amount,
           (SELECT bool_or(w.code = 'wallet') FROM jsonb_to_recordset(p_plan -> 'postings') AS p (debit uuid)
            JOIN ledger.account w ON w.id = p.debit WHERE p.debit <> v_mandate.account) AS others
    INTO v_taken FROM jsonb_to_recordset(p_plan -> 'entries') AS e (id uuid, kind text);
    IF (v_taken.entries = 1 AND v_taken.pays AND v_taken.amount > 0 AND v_taken.others IS NOT TRUE) IS NOT TRUE THEN
        RAISE EXCEPTION 'a charge is one entry out of the wallet of its mandate';
    ELSIF NOT EXISTS (SELECT 1 FROM jsonb_to_recordset(p_plan -> 'postings') AS p (debit uuid, credit uuid)
                      JOIN ledger.account w ON w.id = p.credit
                      WHERE p.debit = v_mandate.account AND (w.holder = v_mandate.till OR identity.serves(v_mandate.till, w.holder))) THEN
        PERFORM ledger.refused('stale', '{}');  -- who signed it has left the merchant meanwhile
    ELSIF EXISTS (SELECT 1 FROM ledger.charge c WHERE c.mandate = v_mandate.authority) THEN
        PERFORM ledger.refused('mandate_used', '{}');
    ELSIF EXISTS (SELECT 1 FROM ledger.mandate n WHERE n.account = v_mandate.account AND n.made_at > v_mandate.made_at) THEN
        PERFORM ledger.refused('mandate_replaced', '{}');
    ELSIF clock_timestamp() >= v_mandate.lapses_at THEN  -- whoever waited for the lock is judged when they have it
        PERFORM ledger.refused('mandate_expired', '{}');
    ELSIF v_taken.amount > v_mandate.cap THEN
        PERFORM ledger.refused('mandate_exceeded', jsonb_build_object('cap', v_mandate.cap));
    END IF;
    RETURN v_mandate.signer;
END $$;

-- write_charge: write that a mandate was charged, after its entry.
CREATE OR REPLACE FUNCTION ledger.write_charge(p_authority uuid, p_entry uuid) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO ledger.charge (mandate, entry, authority) SELECT a.under, p_entry, a.id FROM ledger.authority a WHERE a.id = p_authority;
$$;
