-- The ledger's verbs. Re-applied by every upgrade, so each stands here once, as it is today; a signature is frozen, a
-- changed one gets a new name. Each runs as the owner (SECURITY DEFINER) with a search_path that ends in pg_temp: the
-- application may EXECUTE these and read, nothing more.

-- claim: take an order, or find what already came of it. --------------------------------------------------------------
-- In a round trip: insert the order (waiting for a twin in flight), hold its key alive until commit, and read the outcome
-- of an earlier claim in a statement of its own, so with a snapshot taken after the wait.
--   state  'new'       claimed now; the caller decides and executes or refuses, in this transaction
--          'known'     carried out or refused before: status and body are what was answered
--          'differs'   this signer used this order id for other bytes
--          'key_dead'  the key is unknown, not the signer's or, for a new order, not active
CREATE OR REPLACE FUNCTION ledger.claim(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea)
RETURNS TABLE (state text, authority uuid, posted_at timestamptz, roles text[], status smallint, body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    claimed boolean;
BEGIN
    posted_at := now();
    IF p_kind = 'outside_word' AND NOT identity.is_outside(p_signer) THEN
        RAISE EXCEPTION 'an outside party''s word is an outside party''s';
    END IF;
    INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, key_id, digest)
    VALUES (p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, sha256(p_salt || p_bytes))
    ON CONFLICT ON CONSTRAINT authority_once DO NOTHING;
    claimed := FOUND;

    -- A new order asks for a living key; what came of an old one is told to any key the signer ever had, so that also the
    -- order that revoked a key can be asked again.
    IF p_key_id IS NOT NULL AND NOT (CASE WHEN claimed THEN identity.hold_key(p_key_id, p_signer)
                                          ELSE identity.owns_key(p_key_id, p_signer) END) THEN
        state := 'key_dead';
        RETURN NEXT;
        RETURN;
    END IF;
    roles := identity.roles_of(p_signer);

    IF claimed THEN
        INSERT INTO person.order_content (authority, salt, bytes, signature_base, signature)
        VALUES (p_authority, p_salt, p_bytes, p_base, p_signature);
        state := 'new';
        authority := p_authority;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT a.id, CASE WHEN a.digest = sha256(c.salt || p_bytes) THEN 'known' ELSE 'differs' END, o.status, o.body
    INTO STRICT authority, state, status, body
    FROM ledger.authority a
    JOIN ledger.outcome o ON o.authority = a.id
    LEFT JOIN person.order_content c ON c.authority = a.id
    WHERE a.signer = p_signer AND a.order_id = p_order_id;
    RETURN NEXT;
END $$;

-- execute: carry out a plan: post, tell the events, store the answer. -------------------------------------------------
-- p_plan  {"entries":  [{"id", "kind", "effective_at", "settles"}],
--          "postings": [{"entry", "line", "debit", "credit", "amount"}],
--          "events":   [{"id", "type", "subject", "actor", "entry", "bytes"}]}
-- Nothing is returned when it is done. A row is a refusal, found under the lock, before anything was written:
--   'insufficient'  the account would fall below its floor       'not_open'  the account is frozen or closed
--   'too_large'     the account would hold more than half of what its number can hold
-- Each account's net effect is computed first. Only a net decrease of a floored account locks its balance; every other
-- effect is one inserted delta, so a treasury that everyone pays is no hot row and opposed transfers cannot deadlock.
CREATE OR REPLACE FUNCTION ledger.execute(p_authority uuid, p_plan jsonb, p_status smallint, p_body bytea)
RETURNS TABLE (refusal text, account uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    drawn uuid[];        -- floored accounts with a net decrease, in id order: the ones to lock
    drawn_net bigint[];
    given uuid[];        -- all other accounts with a net effect: a delta each
    given_net bigint[];
    touched integer;
    stranger uuid;
    order_kind text;
    order_signer uuid;
    ordered text;
    swollen uuid;
    folded_accounts uuid[];
    folded_sums bigint[];
BEGIN
    SELECT a.kind, a.signer, a.order_kind INTO STRICT order_kind, order_signer, ordered
    FROM ledger.authority a WHERE a.id = p_authority;
    IF EXISTS (SELECT 1 FROM (SELECT x.entry FROM jsonb_to_recordset(p_plan -> 'postings') AS x (entry uuid)
                              UNION ALL
                              SELECT x.entry FROM jsonb_to_recordset(p_plan -> 'events') AS x (entry uuid)) AS named
               WHERE named.entry IS NOT NULL
                 AND named.entry NOT IN (SELECT x.id FROM jsonb_to_recordset(p_plan -> 'entries') AS x (id uuid))) THEN
        RAISE EXCEPTION 'a plan posts to and tells of its own entries only';
    END IF;
    IF jsonb_array_length(p_plan -> 'postings') > 0 THEN
        IF order_kind NOT IN ('signed_order', 'outside_word') THEN
            RAISE EXCEPTION 'only a signed order or an outside party''s word moves money, not a %', order_kind;
        END IF;
        IF order_kind = 'signed_order'
           AND (ordered NOT IN ('transfer', 'bill_payment')
                OR EXISTS (SELECT 1 FROM jsonb_to_recordset(p_plan -> 'entries') AS x (kind text) WHERE x.kind <> ordered)) THEN
            RAISE EXCEPTION 'an order to % moves no money of that kind', ordered;
        END IF;
        IF jsonb_array_length(p_plan -> 'postings') > 256 THEN
            RAISE EXCEPTION 'a plan has at most 256 postings';
        END IF;
        WITH effect AS (
            SELECT s.id, sum(CASE WHEN (s.side = a.normal) THEN s.amount ELSE -s.amount END)::bigint AS net,
                   a.floor, a.status, abs(b.posted) AS magnitude,
                   bool_or(s.side = 'debit'
                           AND CASE order_kind WHEN 'signed_order' THEN a.code <> 'wallet' OR a.holder <> order_signer
                                               ELSE a.code NOT LIKE 'bank.%' END) AS not_theirs
            FROM jsonb_to_recordset(p_plan -> 'postings') AS p (debit uuid, credit uuid, amount bigint)
            CROSS JOIN LATERAL (VALUES (p.debit, 'debit', p.amount), (p.credit, 'credit', p.amount)) AS s (id, side, amount)
            LEFT JOIN ledger.account a ON a.id = s.id
            LEFT JOIN ledger.balance b ON b.account = s.id
            GROUP BY s.id, a.floor, a.status, b.posted
        )
        SELECT count(*) FILTER (WHERE effect.status IS NULL),
               array_agg(id ORDER BY id) FILTER (WHERE floor IS NOT NULL AND net < 0),
               array_agg(net ORDER BY id) FILTER (WHERE floor IS NOT NULL AND net < 0),
               array_agg(id) FILTER (WHERE (floor IS NULL OR net > 0) AND net <> 0),
               array_agg(net) FILTER (WHERE (floor IS NULL OR net > 0) AND net <> 0),
               min(CASE WHEN effect.status <> 'open' THEN id::text END)::uuid,
               min(CASE WHEN magnitude + abs(net) > 4000000000000000000 THEN id::text END)::uuid,
               min(CASE WHEN not_theirs THEN id::text END)::uuid
        INTO touched, drawn, drawn_net, given, given_net, account, swollen, stranger
        FROM effect;
        IF touched > 0 THEN
            RAISE EXCEPTION 'a posting names an account that does not exist';
        END IF;
        IF stranger IS NOT NULL THEN
            RAISE EXCEPTION 'money leaves % only by its holder''s signed order, and comes in only from a bank', stranger;
        END IF;
        IF account IS NOT NULL THEN
            refusal := 'not_open';
            RETURN NEXT;
            RETURN;
        END IF;
        IF swollen IS NOT NULL THEN
            refusal := 'too_large';
            account := swollen;
            RETURN NEXT;
            RETURN;
        END IF;

        IF drawn IS NOT NULL THEN
            PERFORM 1 FROM ledger.balance b WHERE b.account = ANY (drawn) ORDER BY b.account FOR UPDATE;
            -- A statement of its own, after the lock: nobody else folds these accounts now, and credits still in flight
            -- are simply not seen yet.
            WITH gone AS (DELETE FROM ledger.delta d WHERE d.account = ANY (drawn) RETURNING d.account, d.amount),
                 sums AS (SELECT gone.account, sum(gone.amount)::bigint AS amount FROM gone GROUP BY gone.account)
            SELECT array_agg(sums.account), array_agg(sums.amount) INTO folded_accounts, folded_sums FROM sums;

            SELECT n.account, CASE WHEN a.status <> 'open' THEN 'not_open' ELSE 'insufficient' END
            INTO account, refusal
            FROM unnest(drawn, drawn_net) AS n (account, net)
            JOIN ledger.balance b ON b.account = n.account
            JOIN ledger.account a ON a.id = n.account
            LEFT JOIN unnest(folded_accounts, folded_sums) AS f (account, amount) ON f.account = n.account
            WHERE a.status <> 'open' OR b.posted - b.held + coalesce(f.amount, 0) + n.net < b.floor
            ORDER BY n.account LIMIT 1;

            UPDATE ledger.balance b SET posted = b.posted + c.amount
            FROM (SELECT u.account, sum(u.amount)::bigint AS amount
                  FROM (SELECT * FROM unnest(folded_accounts, folded_sums)
                        UNION ALL
                        SELECT * FROM unnest(drawn, drawn_net) WHERE refusal IS NULL) AS u (account, amount)
                  GROUP BY u.account) AS c
            WHERE b.account = c.account;
            IF refusal IS NOT NULL THEN
                RETURN NEXT;
                RETURN;
            END IF;
        END IF;

        INSERT INTO ledger.delta (account, amount) SELECT * FROM unnest(given, given_net);
    END IF;

    INSERT INTO ledger.entry (id, authority, kind, effective_at, settles)
    SELECT e.id, p_authority, e.kind, e.effective_at, e.settles
    FROM jsonb_to_recordset(p_plan -> 'entries') AS e (id uuid, kind text, effective_at timestamptz, settles uuid);

    INSERT INTO ledger.posting (entry, line, debit, credit, amount)
    SELECT p.entry, p.line, p.debit, p.credit, p.amount
    FROM jsonb_to_recordset(p_plan -> 'postings')
         AS p (entry uuid, line smallint, debit uuid, credit uuid, amount bigint);

    INSERT INTO ledger.event (id, type, subject, actor, authority, entry, at, bytes)
    SELECT v.id, v.type, v.subject, v.actor, p_authority, v.entry, now(), convert_to(v.bytes, 'UTF8')
    FROM jsonb_to_recordset(p_plan -> 'events')
         AS v (id uuid, type text, subject text, actor uuid, entry uuid, bytes text);

    INSERT INTO ledger.outcome (authority, status, body, entries)
    VALUES (p_authority, p_status, p_body,
            ARRAY(SELECT e.id FROM jsonb_to_recordset(p_plan -> 'entries') AS e (id uuid)));
END $$;

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

-- fold: move deltas into their balance rows, for at most p_accounts accounts; returns how many deltas went. -------------
-- Rows that somebody else has locked are passed over: they fold themselves when they spend.
CREATE OR REPLACE FUNCTION ledger.fold(p_accounts integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    one uuid;
    gone bigint;
    total bigint;
    folded bigint := 0;
BEGIN
    FOR one IN SELECT DISTINCT d.account FROM ledger.delta d ORDER BY d.account LIMIT p_accounts LOOP
        PERFORM 1 FROM ledger.balance b WHERE b.account = one FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            WITH taken AS (DELETE FROM ledger.delta d WHERE d.account = one RETURNING d.amount)
            SELECT count(*), sum(taken.amount)::bigint INTO gone, total FROM taken;
            IF gone > 0 THEN
                UPDATE ledger.balance b SET posted = b.posted + total WHERE b.account = one;
                folded := folded + gone;
            END IF;
        END IF;
    END LOOP;
    RETURN folded;
END $$;

-- Append-only, under the grants as well as by them. --------------------------------------------------------------------
CREATE OR REPLACE FUNCTION ledger.append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.authority
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.outcome
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.posting
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();
-- An order's content may be deleted (that is how a person's data is shredded), never changed.
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON person.order_content
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();

-- What can be read by whom, and what may be called. ---------------------------------------------------------------------
-- The exact balance in one plain statement: the row plus the deltas not yet folded, in one snapshot.
CREATE OR REPLACE VIEW ledger.balance_now AS
    SELECT b.account, b.posted + coalesce((SELECT sum(d.amount) FROM ledger.delta d WHERE d.account = b.account), 0)::bigint
           AS posted, b.held
    FROM ledger.balance b;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger, person TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO wallet_app, wallet_audit;
GRANT SELECT ON person.order_content TO wallet_app, wallet_audit;
GRANT EXECUTE ON FUNCTION
    ledger.claim(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea),
    ledger.execute(uuid, jsonb, smallint, bytea),
    ledger.refuse(uuid, smallint, text, bytea),
    ledger.tell(uuid, text, text, uuid, timestamptz, bytea),
    ledger.open_account(uuid, text, uuid, text, text, text),
    ledger.fold(integer)
TO wallet_app;
