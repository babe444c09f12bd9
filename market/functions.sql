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

-- pay_invoice: `ledger.post_order` for a payment of an invoice that was decided without a lock. The invoice is locked first and
-- must still be what the decision saw: new, at a point that is open. If not, the plan is stale.
CREATE OR REPLACE FUNCTION market.pay_invoice(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea, p_invoice uuid,
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_invoice market.invoice;
    v_carried record;
BEGIN
    SELECT * INTO v_invoice FROM market.invoice i WHERE i.id = p_invoice FOR NO KEY UPDATE;
    -- A statement of its own: in the one that locks, it would miss what was committed while we waited.
    IF NOT market.awaits_payment(v_invoice) THEN
        RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = 'stale', DETAIL = '{}';
    END IF;
    v_carried := ledger.carry_order(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base,
                                    p_signature, p_under, p_admits, p_plan, p_status, p_body);
    state := v_carried.state;
    status := v_carried.status;
    body := v_carried.body;
    IF state = 'new' THEN
        INSERT INTO market.payment (entry, merchant, point, invoice, payer, amount, authority)
        SELECT e.id, v_invoice.merchant, v_invoice.point, v_invoice.id, p.holder, v_invoice.amount, p_authority
        FROM ledger.entry e JOIN ledger.posting x ON x.entry = e.id AND x.line = 1 JOIN ledger.account p ON p.id = x.debit
        WHERE e.id = (p_plan -> 'entries' -> 0 ->> 'id')::uuid;
    END IF;
END $$;

-- lock_invoice: lock an invoice that a card has paid and return what it asks for and where that goes; no row if it cannot be paid.
CREATE OR REPLACE FUNCTION market.lock_invoice(p_invoice uuid) RETURNS TABLE (merchant uuid, point uuid, account uuid, amount bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
DECLARE
    v_invoice market.invoice;
BEGIN
    SELECT * INTO v_invoice FROM market.invoice i WHERE i.id = p_invoice FOR NO KEY UPDATE;
    -- A statement of its own: in the one that locks, it would miss what was committed while we waited.
    IF NOT market.awaits_payment(v_invoice) THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT m.holder, v_invoice.point, m.account, v_invoice.amount FROM market.merchant m WHERE m.holder = v_invoice.merchant;
END $$;

-- keep_card_payment: keep what a card paid to a merchant, in the unit that posted it on its acquirer's word.
CREATE OR REPLACE FUNCTION market.keep_card_payment(p_entry uuid, p_payer uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = market, pg_temp AS $$
    INSERT INTO market.payment (entry, merchant, point, invoice, payer, amount, authority)
    SELECT e.id, i.merchant, i.point, i.id, p_payer, i.amount, e.authority
    FROM ledger.entry e JOIN ledger.authority a ON a.id = e.authority AND a.kind = 'outside_word' AND a.order_kind = 'card_receipt'
    JOIN market.invoice i ON i.id = e.settles
    WHERE e.id = p_entry AND e.kind = 'merchant_payment';
$$;

-- pay_point: `ledger.post_order` for a payment to a point's sticker; keeps it, and matches it with what the cashier has keyed.
CREATE OR REPLACE FUNCTION market.pay_point(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea, p_point uuid,
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_entry uuid := (p_plan -> 'entries' -> 0 ->> 'id')::uuid;
    v_amount bigint;
    v_carried record;
    v_done text;
BEGIN
    IF NOT market.takes_payments(p_point) THEN
        RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = 'stale', DETAIL = '{}';
    END IF;
    -- Before the ledger's locks, as everywhere: invoices, then counters, then accounts.
    PERFORM 1 FROM market.candidates(p_point, now()) c JOIN market.invoice i ON i.id = c.invoice ORDER BY i.id FOR NO KEY UPDATE OF i;
    v_carried := ledger.carry_order(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base,
                                    p_signature, p_under, p_admits, p_plan, p_status, p_body);
    state := v_carried.state;
    status := v_carried.status;
    body := v_carried.body;
    IF state = 'new' THEN
        INSERT INTO market.payment (entry, merchant, point, payer, amount, authority)
        SELECT v_entry, t.merchant, t.id, p.holder, x.amount, p_authority
        FROM market.point t, ledger.posting x JOIN ledger.account p ON p.id = x.debit
        WHERE t.id = p_point AND x.entry = v_entry AND x.line = 1
        RETURNING amount INTO v_amount;
        v_done := market.match_payment(v_entry, p_point, v_amount);
    END IF;
END $$;

-- takes_payments: can this point be paid? Without a lock: a payment that was decided just before a revocation is one made before it.
CREATE OR REPLACE FUNCTION market.takes_payments(p_point uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = market, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM market.point t JOIN market.merchant m ON m.holder = t.merchant
                   WHERE t.id = p_point AND t.revoked_at IS NULL AND m.state = 'approved');
$$;

-- is_settled: has somebody paid this invoice, by itself or through the sticker?
CREATE OR REPLACE FUNCTION market.is_settled(p_invoice uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = market, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM ledger.entry e WHERE e.settles = p_invoice)
        OR EXISTS (SELECT 1 FROM market.match m WHERE m.invoice = p_invoice);
$$;

-- awaits_payment: can this invoice, as it was locked, be paid now? An invoice that there is not cannot.
CREATE OR REPLACE FUNCTION market.awaits_payment(p_invoice market.invoice) RETURNS boolean
LANGUAGE sql STABLE SET search_path = market, pg_temp AS $$
    SELECT p_invoice.id IS NOT NULL AND p_invoice.cancelled_at IS NULL AND p_invoice.expires_at > now()
       AND NOT market.is_settled(p_invoice.id) AND market.takes_payments(p_invoice.point);
$$;

-- candidates: what a payment to a point's sticker may be the answer to: what was keyed there and is neither settled nor taken
-- back. `live` until it expires; a quarter of an hour longer it is still recognised, as paid late.
CREATE OR REPLACE FUNCTION market.candidates(p_point uuid, p_at timestamptz) RETURNS TABLE (invoice uuid, amount bigint, live boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = market, pg_temp AS $$
    SELECT i.id, i.amount, i.expires_at > p_at FROM market.invoice i
    WHERE i.point = p_point AND i.made_at > p_at - INTERVAL '25 hours' AND i.expires_at > p_at - INTERVAL '15 minutes'
      AND i.cancelled_at IS NULL AND NOT market.is_settled(i.id);
$$;

-- match_payment: match a payment to a sticker with the one invoice that it can be meant for; where there are two, the cashier
-- picks. The same amount goes before another, also where it has just expired; of the same amount, what is live goes first.
CREATE OR REPLACE FUNCTION market.match_payment(p_payment uuid, p_point uuid, p_amount bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
DECLARE
    v_found record;
    v_how text;
BEGIN
    SELECT count(*) FILTER (WHERE c.live AND c.amount = p_amount) AS exact, count(*) FILTER (WHERE c.live) AS live,
           count(*) FILTER (WHERE NOT c.live AND c.amount = p_amount) AS late
    INTO v_found FROM market.candidates(p_point, now()) c;
    IF v_found.exact = 1 THEN
        v_how := 'exact';
    ELSIF v_found.exact = 0 AND v_found.late = 1 THEN
        v_how := 'late';
    ELSIF v_found.exact = 0 AND v_found.late = 0 AND v_found.live = 1 THEN
        v_how := 'other';
    ELSE
        RETURN NULL;
    END IF;
    INSERT INTO market.match (payment, invoice, how)
    SELECT p_payment, c.invoice, CASE WHEN v_how <> 'other' THEN v_how WHEN p_amount < c.amount THEN 'under' ELSE 'over' END
    FROM market.candidates(p_point, now()) c
    WHERE c.live = (v_how <> 'late') AND (v_how = 'other' OR c.amount = p_amount);
    RETURN v_how;
END $$;

-- attach: match a payment to a sticker with the invoice that a cashier picked. Returns how, or why not: 'absent' (no such
-- payment and invoice of one merchant), 'matched' (the payment answers one already), 'settled', 'cancelled'.
CREATE OR REPLACE FUNCTION market.attach(p_payment uuid, p_invoice uuid, p_by uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
DECLARE
    v_invoice market.invoice;
    v_payment market.payment;
    v_how text;
BEGIN
    SELECT * INTO v_invoice FROM market.invoice i WHERE i.id = p_invoice FOR NO KEY UPDATE;
    SELECT * INTO v_payment FROM market.payment p WHERE p.entry = p_payment;
    IF v_invoice.id IS NULL OR v_payment.entry IS NULL OR v_payment.merchant <> v_invoice.merchant
       OR NOT identity.serves(p_by, v_invoice.merchant) AND p_by <> v_invoice.merchant THEN
        RETURN 'absent';
    ELSIF v_payment.invoice IS NOT NULL OR EXISTS (SELECT 1 FROM market.match m WHERE m.payment = p_payment) THEN
        RETURN 'matched';
    ELSIF market.is_settled(p_invoice) THEN
        RETURN 'settled';
    ELSIF v_invoice.cancelled_at IS NOT NULL THEN
        RETURN 'cancelled';
    END IF;
    v_how := CASE WHEN v_payment.amount < v_invoice.amount THEN 'under' WHEN v_payment.amount > v_invoice.amount THEN 'over'
                  WHEN v_payment.at < v_invoice.made_at THEN 'attached' WHEN v_payment.at >= v_invoice.expires_at THEN 'late'
                  ELSE 'exact' END;
    INSERT INTO market.match (payment, invoice, how, by) VALUES (p_payment, p_invoice, v_how, p_by);
    RETURN v_how;
END $$;

-- refund: `ledger.post_order` for giving back a part of what was paid to a merchant. A request that it carries out must still be
-- open. What is over and goes back exactly is resolved by it.
CREATE OR REPLACE FUNCTION market.refund(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea, p_payment uuid, p_request uuid, p_given bigint,
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_request market.refund_request;
    v_carried record;
    v_entry uuid := (p_plan -> 'entries' -> 0 ->> 'id')::uuid;
    v_given bigint;
BEGIN
    -- One refund of a payment at a time: what was given back already decides whether a second person is needed.
    PERFORM 1 FROM ledger.entry e WHERE e.id = p_payment FOR NO KEY UPDATE;
    SELECT coalesce(sum(x.amount), 0) INTO v_given FROM ledger.entry e JOIN ledger.posting x ON x.entry = e.id
    WHERE e.refunds = p_payment;
    IF p_request IS NOT NULL THEN
        SELECT * INTO v_request FROM market.refund_request r WHERE r.id = p_request FOR NO KEY UPDATE;
    END IF;
    IF v_given <> p_given OR v_request.refund IS NOT NULL OR v_request.withdrawn_at IS NOT NULL OR v_request.expires_at <= now() THEN
        RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = 'stale', DETAIL = '{}';
    END IF;
    v_carried := ledger.carry_order(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base,
                                    p_signature, p_under, p_admits, p_plan, p_status, p_body);
    state := v_carried.state;
    status := v_carried.status;
    body := v_carried.body;
    IF state = 'new' THEN
        UPDATE market.refund_request SET refund = v_entry, approved_by = p_signer WHERE id = p_request;
        INSERT INTO market.resolution (payment, how, made, by, at)
        SELECT p_payment, 'excess_refunded', v_entry, p_signer, now()
        FROM market.match m JOIN market.payment p ON p.entry = m.payment JOIN market.invoice i ON i.id = m.invoice
        WHERE m.payment = p_payment AND m.how = 'over'
          AND p.amount - i.amount = (p_plan -> 'postings' -> 0 ->> 'amount')::bigint
        ON CONFLICT (payment) DO NOTHING;
    END IF;
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
GRANT EXECUTE ON FUNCTION
    market.move_merchant(uuid, uuid, text, uuid, text, timestamptz, uuid),
    market.pay_invoice(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid, text[], jsonb, smallint, bytea, uuid),
    market.pay_point(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid, text[], jsonb, smallint, bytea, uuid),
    market.attach(uuid, uuid, uuid),
    market.refund(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid, text[], jsonb, smallint, bytea, uuid, uuid,
                  bigint)
TO wallet_app;
GRANT EXECUTE ON FUNCTION market.lock_invoice(uuid), market.keep_card_payment(uuid, uuid) TO wallet_app;
