-- Posting: the one way by which money moves.

-- Two locks are shared by whoever posts and taken for itself alone by whoever closes. Advisory, in class 7201: key 0 is the
-- accounts' state (closing an account), key n a day (closing a period). Each is shared before what it guards is read.

-- hold_open: share the locks of the days on which a plan takes effect, then look that none of them is in a closed period.
-- (An assignment is computed without a query of its own, so on the hot path it stands where a PERFORM might.)
CREATE OR REPLACE FUNCTION ledger.hold_open(p_first timestamptz, p_last timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_locked text;
BEGIN
    IF p_last > now() + INTERVAL '1 minute' OR p_first < now() - INTERVAL '400 days' THEN
        RAISE EXCEPTION 'an entry takes effect neither in the future nor more than 400 days ago';
    END IF;
    FOR day IN (ledger.day_of(p_first) - DATE '2000-01-01') .. (ledger.day_of(p_last) - DATE '2000-01-01') LOOP
        v_locked := pg_advisory_xact_lock_shared(7201, day);
    END LOOP;
    IF EXISTS (SELECT 1 FROM ledger.period p WHERE p.ends >= ledger.day_of(p_first)) THEN
        PERFORM ledger.refused('period_closed', jsonb_build_object('day', ledger.day_of(p_first)));
    END IF;
END $$;

-- carry_out, post: carry out the plan of a claimed order: count limits, post, resolve holds, tell the events, store the answer. ---
-- p_plan  {"entries":   [{"id", "kind", "effective_at", "settles", "reverses", "refunds"}],
--          "postings":  [{"entry", "line", "debit", "credit", "amount", "of_line"}],
--          "events":    [{"id", "type", "subject", "entry", "head", "tail"}],   head || our instant || tail are its bytes
--          "limits":    [{"bucket", "starts", "amount", "cap"}],                 optional, as the four below
--          "holds":     [{"id", "account", "payee", "amount", "lapses_at"}],
--          "captures":  [{"hold", "entry", "final"}],
--          "releases":  [{"hold", "kind"}],
--          "moves":     [{"account", "status"}]}
-- Each account's net effect is computed first. Only a net decrease of what a floored account has available locks its
-- balance; every other effect is one inserted delta, so a treasury that everyone pays is no hot row and opposed transfers
-- cannot deadlock. Locks are taken in one order: undone entry, hold, limit counters, accounts by id.
-- Refuses: limit_exceeded, not_open, too_large, insufficient, period_closed, and what the parts below refuse.
CREATE OR REPLACE FUNCTION ledger.carry_out(p_authority uuid, p_plan jsonb, p_status smallint, p_body bytea) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_kind text;
    v_order_kind text;
    v_signer uuid;
    v_office uuid;
    v_moves CONSTANT boolean := jsonb_array_length(p_plan -> 'postings') > 0;
    v_at timestamptz;
    v_earliest timestamptz;
    v_latest timestamptz;
    v_done text;
    judged record;
    held_accounts uuid[];
    held_nets bigint[];
    told integer;
BEGIN
    SELECT a.kind, a.order_kind, a.signer INTO STRICT v_kind, v_order_kind, v_signer
    FROM ledger.authority a WHERE a.id = p_authority;
    IF v_kind = 'officer_order' THEN
        v_office := identity.agency_of(v_signer);
    END IF;
    IF v_moves OR p_plan ? 'holds' THEN
        -- Before any account's state is read, or a payment that saw an account open would reach it closed.
        v_done := pg_advisory_xact_lock_shared(7201, 0);
    END IF;
    -- First the locks against closing, then the look: whoever looked before waiting would pay an account closed meanwhile. And before
    -- any counter or hold is locked: a closing waits for the day's transfers, which may wait for such a counter.
    IF v_moves THEN
        FOR number IN 0 .. jsonb_array_length(p_plan -> 'entries') - 1 LOOP
            v_at := p_plan -> 'entries' -> number ->> 'effective_at';
            v_earliest := least(v_earliest, v_at);
            v_latest := greatest(v_latest, v_at);
        END LOOP;
        v_done := ledger.hold_open(v_earliest, v_latest);
    END IF;
    IF p_plan ?| ARRAY['holds', 'captures', 'releases'] THEN
        SELECT h.accounts, h.nets INTO held_accounts, held_nets FROM ledger.judge_holds(p_authority, p_plan) AS h;
    END IF;
    IF v_moves OR held_accounts IS NOT NULL THEN
        -- One pass over the plan: does each posting fit a flow of the chart, and what does each account come to?
        WITH entry AS (
            SELECT * FROM jsonb_to_recordset(p_plan -> 'entries')
            AS x (id uuid, kind text, effective_at timestamptz, reverses uuid, refunds uuid)
        ), line AS (
            SELECT p.entry, p.debit, p.credit, p.amount, e.reverses, e.refunds, f.debit_of,
                   d.code AS debit_code, d.normal AS debit_normal, d.floor AS debit_floor, d.status AS debit_status,
                   c.normal AS credit_normal, c.floor AS credit_floor, c.status AS credit_status,
                   f.kind IS NOT NULL AND (e.kind = 'reversal') = (e.reverses IS NOT NULL) AND (e.kind = 'refund') = (e.refunds IS NOT NULL)
                   AND CASE f.debit_of
                       WHEN 'signer' THEN d.holder = v_signer
                       WHEN 'office' THEN d.holder = v_office
                       WHEN 'house' THEN d.holder IS NULL
                       -- a hold's account is looked at by judge_holds, of every entry that captures
                       WHEN 'hold' THEN EXISTS (SELECT 1 FROM jsonb_to_recordset(p_plan -> 'captures') AS k (entry uuid) WHERE k.entry = e.id)
                       ELSE true END AS fits
            FROM jsonb_to_recordset(p_plan -> 'postings') AS p (entry uuid, debit uuid, credit uuid, amount bigint)
            LEFT JOIN entry e ON e.id = p.entry
            LEFT JOIN ledger.account d ON d.id = p.debit
            LEFT JOIN ledger.account c ON c.id = p.credit
            LEFT JOIN ledger.flow f ON f.kind = e.kind AND f.authority = v_kind AND f.order_kind = v_order_kind
                                   AND f.debit = d.code AND f.credit = c.code
        ), unpaid AS (
            -- Whoever bears a fee bears it out of what the same entry pays them.
            SELECT 1 FROM line JOIN line x ON x.entry = line.entry AND line.debit IN (x.debit, x.credit)
            WHERE line.debit_of = 'payee' GROUP BY line.entry, line.debit
            HAVING sum(CASE x.credit WHEN line.debit THEN x.amount ELSE -x.amount END) < 0
        ), side AS (
            SELECT debit AS id, debit_floor AS floor, debit_status AS status, 0::bigint AS held,
                   CASE debit_normal WHEN 'debit' THEN amount ELSE -amount END AS net FROM line
            UNION ALL
            SELECT credit, credit_floor, credit_status, 0, CASE credit_normal WHEN 'credit' THEN amount ELSE -amount END FROM line
            UNION ALL
            SELECT a.id, a.floor, CASE WHEN h.net < 0 THEN 'open' ELSE a.status END, h.net, 0
            FROM unnest(held_accounts, held_nets) AS h (account, net) JOIN ledger.account a ON a.id = h.account
        ), effect AS (
            SELECT id, floor, max(status) AS status, sum(net)::bigint AS net, sum(held)::bigint AS held,
                   floor IS NOT NULL AND (sum(net) < sum(held) OR bool_or(held <> 0)) AS draws
            FROM side GROUP BY id, floor
        )
        SELECT (SELECT count(*) FROM line WHERE fits IS NOT TRUE) + (SELECT count(*) FROM unpaid) AS misfits,
               (SELECT count(*) FROM line) AS lines,
               (SELECT bool_or(reverses IS NOT NULL OR refunds IS NOT NULL) FROM line) AS undoes,
               array_agg(e.id ORDER BY e.id) FILTER (WHERE draws) AS drawn,
               array_agg(e.net ORDER BY e.id) FILTER (WHERE draws) AS drawn_nets,
               array_agg(e.held ORDER BY e.id) FILTER (WHERE draws) AS drawn_helds,
               array_agg(e.id) FILTER (WHERE NOT draws AND e.net <> 0) AS given,
               array_agg(e.net) FILTER (WHERE NOT draws AND e.net <> 0) AS given_nets,
               min(CASE WHEN NOT draws AND e.status <> 'open' THEN e.id::text END)::uuid AS shut,
               min(CASE WHEN abs(b.posted) + abs(e.net) > 4000000000000000000 THEN e.id::text END)::uuid AS swollen
        INTO judged
        FROM effect e LEFT JOIN ledger.balance b ON b.account = e.id;
        IF judged.misfits > 0 THEN
            RAISE EXCEPTION 'no flow lets a % to % post this', v_kind, v_order_kind;
        ELSIF judged.lines > 256 THEN
            RAISE EXCEPTION 'a plan has at most 256 postings';
        ELSIF judged.shut IS NOT NULL THEN
            PERFORM ledger.refuse_shut(judged.shut, 'payee');
        ELSIF judged.swollen IS NOT NULL THEN
            PERFORM ledger.refused('too_large', jsonb_build_object('account', judged.swollen));
        END IF;
        IF judged.undoes THEN
            PERFORM ledger.judge_undoing(p_plan);
        END IF;
        IF p_plan ? 'limits' THEN
            v_done := ledger.count_limits(v_signer, p_plan -> 'limits');
        END IF;
        IF judged.drawn IS NOT NULL THEN
            v_done := ledger.draw(judged.drawn, judged.drawn_nets, judged.drawn_helds);
        END IF;
        IF judged.given IS NOT NULL THEN
            INSERT INTO ledger.delta (account, amount) SELECT * FROM unnest(judged.given, judged.given_nets);
        END IF;

        WITH made AS (
            INSERT INTO ledger.entry (id, authority, kind, effective_at, settles, reverses, refunds)
            SELECT e.id, p_authority, e.kind, e.effective_at, e.settles, e.reverses, e.refunds
            FROM jsonb_to_recordset(p_plan -> 'entries')
                 AS e (id uuid, kind text, effective_at timestamptz, settles uuid, reverses uuid, refunds uuid)
            RETURNING id, effective_at, posted_at
        )
        INSERT INTO ledger.posting (entry, line, debit, credit, amount, of_line, effective_at, posted_at)
        SELECT p.entry, p.line, p.debit, p.credit, p.amount, p.of_line, made.effective_at, made.posted_at
        FROM jsonb_to_recordset(p_plan -> 'postings')
             AS p (entry uuid, line smallint, debit uuid, credit uuid, amount bigint, of_line smallint)
        JOIN made ON made.id = p.entry ORDER BY p.entry, p.line;  -- a statement pages by seq, and an entry's lines go in order
        IF held_accounts IS NOT NULL THEN
            PERFORM ledger.write_holds(p_authority, p_plan);
        END IF;
    ELSIF jsonb_array_length(p_plan -> 'entries') > 0 THEN
        RAISE EXCEPTION 'an entry has at least one posting';
    END IF;
    IF p_plan ? 'moves' THEN
        PERFORM ledger.move_accounts(p_authority, p_plan -> 'moves');
    END IF;

    INSERT INTO ledger.event (id, type, subject, actor, authority, entry, at, bytes)
    SELECT v.id, v.type, v.subject, v_signer, p_authority, v.entry, now(), ledger.stamped(v.head, v.tail)
    FROM jsonb_to_recordset(p_plan -> 'events') AS v (id uuid, type text, subject text, entry uuid, head text, tail text)
    WHERE v.entry IS NULL OR EXISTS (SELECT 1 FROM ledger.entry e WHERE e.id = v.entry AND e.authority = p_authority);
    GET DIAGNOSTICS told = ROW_COUNT;
    IF told < jsonb_array_length(p_plan -> 'events') THEN
        RAISE EXCEPTION 'a plan tells of its own entries only';
    END IF;

    INSERT INTO ledger.outcome (authority, status, body, entries, counted)
    VALUES (p_authority, p_status, p_body,
            ARRAY(SELECT (e ->> 'id')::uuid FROM jsonb_array_elements(p_plan -> 'entries') AS e), p_plan -> 'limits');
END $$;

CREATE OR REPLACE FUNCTION ledger.post(p_authority uuid, p_plan jsonb, p_status smallint, p_body bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
    SELECT ledger.carry_out(p_authority, p_plan, p_status, p_body)
$$;

-- carry_order, post_order: claim an order and carry out its plan, in one call that is a transaction of its own. --------------------
-- For an order whose plan needs no lock to be decided. An order that was claimed before is answered as `claim` finds it.
-- Refuses, besides what `post` does: key_dead, not_admitted.
CREATE OR REPLACE FUNCTION ledger.carry_order(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea,
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql AS $$
DECLARE
    v_roles text[];
    v_done text;
BEGIN
    SELECT t.state, t.roles, t.status, t.body INTO state, v_roles, status, body
    FROM ledger.take(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id,
                     p_salt, p_bytes, p_base, p_signature, p_under) AS t;
    IF state = 'key_dead' THEN
        PERFORM ledger.refused('key_dead', '{}');
    ELSIF p_kind <> 'rule_run' AND NOT v_roles && p_admits THEN
        PERFORM ledger.refused('not_admitted', '{}');
    ELSIF state = 'new' THEN
        v_done := ledger.carry_out(p_authority, p_plan, p_status, p_body);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ledger.post_order(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea,
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    SELECT o.state, o.status, o.body INTO state, status, body
    FROM ledger.carry_order(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base,
                            p_signature, p_under, p_admits, p_plan, p_status, p_body) AS o;
END $$;

-- refuse_shut: refuse for an account that was seen frozen or closed. One that is open by now was frozen when it was seen.
CREATE OR REPLACE FUNCTION ledger.refuse_shut(p_account uuid, p_side text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.refused(p_side || '_' || CASE a.status WHEN 'open' THEN 'frozen' ELSE a.status END, jsonb_build_object('account', a.id))
    FROM ledger.account a WHERE a.id = p_account;
END $$;

-- draw: lock the balances that decrease, fold their deltas into them, and take what leaves, if it is there.
-- Three statements, on purpose: whoever sums deltas in the statement that locks sees those of before the wait.
CREATE OR REPLACE FUNCTION ledger.draw(p_accounts uuid[], p_nets bigint[], p_helds bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    folded uuid[];
    folded_sums bigint[];
    drawn integer;
    short record;
BEGIN
    PERFORM 1 FROM ledger.balance b WHERE b.account = ANY (p_accounts) ORDER BY b.account FOR NO KEY UPDATE;

    WITH gone AS (DELETE FROM ledger.delta d WHERE d.account = ANY (p_accounts) RETURNING d.account, d.amount),
         sums AS (SELECT gone.account, sum(gone.amount)::bigint AS amount FROM gone GROUP BY gone.account)
    SELECT array_agg(sums.account), array_agg(sums.amount) INTO folded, folded_sums FROM sums;

    -- A hold's release is welcome on a frozen account; nothing else is.
    UPDATE ledger.balance b SET posted = b.posted + n.net + coalesce(f.amount, 0), held = b.held + n.held
    FROM unnest(p_accounts, p_nets, p_helds) AS n (account, net, held)
    JOIN ledger.account a ON a.id = n.account AND (a.status = 'open' OR n.net = 0 AND n.held < 0)
    LEFT JOIN unnest(folded, folded_sums) AS f (account, amount) ON f.account = n.account
    WHERE b.account = n.account AND b.posted - b.held + coalesce(f.amount, 0) + n.net - n.held >= b.floor;
    GET DIAGNOSTICS drawn = ROW_COUNT;
    IF drawn = cardinality(p_accounts) THEN
        RETURN;
    END IF;

    SELECT a.id, a.status INTO short
    FROM unnest(p_accounts, p_nets, p_helds) AS n (account, net, held)
    JOIN ledger.account a ON a.id = n.account
    JOIN ledger.balance b ON b.account = n.account
    LEFT JOIN unnest(folded, folded_sums) AS f (account, amount) ON f.account = n.account
    WHERE a.status <> 'open' AND (n.net <> 0 OR n.held >= 0)
       OR n.net - n.held < 0 AND b.posted - b.held + coalesce(f.amount, 0) + n.net - n.held < b.floor
    ORDER BY a.status = 'open', n.account LIMIT 1;
    IF short.status <> 'open' THEN
        PERFORM ledger.refuse_shut(short.id, 'payer');
    END IF;
    PERFORM ledger.refused('insufficient', jsonb_build_object('account', short.id));
END $$;

-- count_limits: count amounts in the holder's buckets, each under its row's lock, and refuse what would exceed a cap.
CREATE OR REPLACE FUNCTION ledger.count_limits(p_holder uuid, p_limits jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    over record;
BEGIN
    WITH asked AS (
        SELECT * FROM jsonb_to_recordset(p_limits) AS x (bucket text, starts date, amount bigint, cap bigint)
    ), counted AS (
        INSERT INTO ledger.usage AS u (holder, bucket, starts, used)
        SELECT p_holder, a.bucket, a.starts, a.amount FROM asked a ORDER BY a.bucket, a.starts
        ON CONFLICT ON CONSTRAINT usage_pkey DO UPDATE SET used = u.used + excluded.used
        RETURNING u.bucket, u.starts, u.used
    )
    SELECT c.bucket, c.used - a.amount AS used, a.cap INTO over
    FROM counted c JOIN asked a ON a.bucket = c.bucket AND a.starts = c.starts
    WHERE c.used > a.cap ORDER BY c.bucket LIMIT 1;
    IF FOUND THEN
        PERFORM ledger.refused('limit_exceeded', jsonb_build_object('limit', over.bucket, 'used', over.used, 'cap', over.cap));
    END IF;
END $$;

-- give_back: uncount an amount in each bucket where it was counted, in the period in which it was counted. The counters are
-- locked in the order in which count_limits does; an UPDATE by itself takes them as they come.
CREATE OR REPLACE FUNCTION ledger.give_back(p_holder uuid, p_counted jsonb, p_amount bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT 1 FROM ledger.usage u JOIN jsonb_to_recordset(p_counted) AS c (bucket text, starts date)
                                   ON u.bucket = c.bucket AND u.starts = c.starts
    WHERE p_amount > 0 AND u.holder = p_holder ORDER BY u.bucket, u.starts FOR NO KEY UPDATE OF u;
    UPDATE ledger.usage u SET used = u.used - p_amount
    FROM jsonb_to_recordset(p_counted) AS c (bucket text, starts date)
    WHERE p_amount > 0 AND u.holder = p_holder AND u.bucket = c.bucket AND u.starts = c.starts;
$$;

-- judge_undoing: may these entries be reversed, or these parts of them given back? Each line at most whole, under the
-- original's lock; a reversal undoes all of an entry of which nothing was given back yet; what undoes is not undone.
CREATE OR REPLACE FUNCTION ledger.judge_undoing(p_plan jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM 1 FROM ledger.entry o
    WHERE o.id IN (SELECT coalesce(e.reverses, e.refunds) FROM jsonb_to_recordset(p_plan -> 'entries') AS e (reverses uuid, refunds uuid))
    ORDER BY o.id FOR NO KEY UPDATE;

    SELECT x.id, x.code INTO wrong
    FROM (SELECT o.id, CASE
              WHEN o.reverses IS NOT NULL OR o.refunds IS NOT NULL THEN 'not_reversible'
              WHEN EXISTS (SELECT 1 FROM ledger.entry r WHERE r.reverses = o.id) THEN 'reversed'
              WHEN e.reverses IS NOT NULL AND EXISTS (SELECT 1 FROM ledger.entry r WHERE r.refunds = o.id) THEN 'refunded' END AS code
          FROM jsonb_to_recordset(p_plan -> 'entries') AS e (reverses uuid, refunds uuid)
          JOIN ledger.entry o ON o.id = coalesce(e.reverses, e.refunds)) AS x
    WHERE x.code IS NOT NULL LIMIT 1;
    IF FOUND THEN
        PERFORM ledger.refused(wrong.code, jsonb_build_object('entry', wrong.id));
    END IF;

    WITH back AS (
        SELECT coalesce(e.reverses, e.refunds) AS original, p.of_line, p.debit, p.credit, sum(p.amount) AS amount,
               bool_or(e.reverses IS NOT NULL) AS whole
        FROM jsonb_to_recordset(p_plan -> 'entries') AS e (id uuid, reverses uuid, refunds uuid)
        JOIN jsonb_to_recordset(p_plan -> 'postings')
             AS p (entry uuid, debit uuid, credit uuid, amount bigint, of_line smallint) ON p.entry = e.id
        WHERE e.reverses IS NOT NULL OR e.refunds IS NOT NULL
        GROUP BY 1, 2, 3, 4
    ), line AS (
        SELECT b.*, o.amount AS paid, o.debit = b.credit AND o.credit = b.debit AS mirrors,
               (SELECT coalesce(sum(g.amount), 0) FROM ledger.entry r JOIN ledger.posting g ON g.entry = r.id AND g.of_line = b.of_line
                WHERE r.refunds = b.original) AS given
        FROM back b LEFT JOIN ledger.posting o ON o.entry = b.original AND o.line = b.of_line
    )
    SELECT l.original, l.of_line, l.paid - l.given AS remains, l.mirrors,
           l.whole AND (l.amount <> l.paid OR (SELECT count(*) FROM ledger.posting o WHERE o.entry = l.original)
                                           <> (SELECT count(*) FROM line x WHERE x.original = l.original)) AS partial
    INTO wrong
    FROM line l WHERE l.mirrors IS NOT TRUE OR l.given + l.amount > l.paid
                   OR l.whole AND (l.amount <> l.paid OR (SELECT count(*) FROM ledger.posting o WHERE o.entry = l.original)
                                                       <> (SELECT count(*) FROM line x WHERE x.original = l.original))
    ORDER BY l.mirrors IS TRUE, l.of_line LIMIT 1;
    IF FOUND THEN
        IF wrong.mirrors IS NOT TRUE OR wrong.partial THEN
            RAISE EXCEPTION 'a reversal or refund mirrors lines of the entry that it undoes';
        END IF;
        PERFORM ledger.refused('refund_too_large', jsonb_build_object('entry', wrong.original, 'line', wrong.of_line, 'remains', wrong.remains));
    END IF;
END $$;

-- move_accounts: freeze, thaw or close accounts. A frozen account's payer waits on its balance row; a closed one is empty for
-- good, so closing waits for every posting that may still have seen it open, and lets none begin meanwhile.
-- A holder moves their own accounts only, and does not thaw what somebody else froze: the verb has read so without a lock.
CREATE OR REPLACE FUNCTION ledger.move_accounts(p_authority uuid, p_moves jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_by record;
    move record;
    v_was text;
    v_holder uuid;
    v_now record;
BEGIN
    SELECT a.kind, a.signer INTO STRICT v_by FROM ledger.authority a WHERE a.id = p_authority;
    FOR move IN SELECT * FROM jsonb_to_recordset(p_moves) AS m (account uuid, status text) ORDER BY m.account LOOP
        IF move.status = 'closed' THEN
            PERFORM pg_advisory_xact_lock(7201, 0);
        END IF;
        PERFORM 1 FROM ledger.balance b WHERE b.account = move.account FOR NO KEY UPDATE;
        SELECT a.status, a.holder INTO STRICT v_was, v_holder FROM ledger.account a WHERE a.id = move.account FOR NO KEY UPDATE;
        IF (v_was, move.status) NOT IN (('open', 'frozen'), ('frozen', 'open'), ('open', 'closed'), ('frozen', 'closed')) THEN
            PERFORM ledger.refused('account_' || v_was, jsonb_build_object('account', move.account));
        END IF;
        IF v_by.kind IN ('signed_order', 'session_order') AND v_by.signer IS DISTINCT FROM v_holder THEN
            RAISE EXCEPTION 'a holder moves their own accounts';
        ELSIF v_by.kind IN ('signed_order', 'session_order') AND v_was = 'frozen' AND move.status = 'open' AND v_by.signer <> (
            SELECT u.signer FROM ledger.account_move m JOIN ledger.authority u ON u.id = m.authority
            WHERE m.account = move.account ORDER BY m.line DESC LIMIT 1) THEN
            PERFORM ledger.refused('frozen_by_operator', jsonb_build_object('account', move.account));
        END IF;
        SELECT b.posted, b.held INTO v_now FROM ledger.balance_now b WHERE b.account = move.account;
        IF move.status = 'closed' AND (v_now.posted <> 0 OR v_now.held <> 0) THEN
            PERFORM ledger.refused('account_not_empty', jsonb_build_object('account', move.account, 'posted', v_now.posted, 'held', v_now.held));
        END IF;
        UPDATE ledger.account a SET status = move.status WHERE a.id = move.account;
        INSERT INTO ledger.account_move (account, line, was, status, authority)
        SELECT move.account, coalesce(max(m.line), 0) + 1, v_was, move.status, p_authority
        FROM ledger.account_move m WHERE m.account = move.account;
    END LOOP;
END $$;

-- post_batch: many transfers from one account in one call, each an entry and an event of its own; for a claimed order. ---
-- Items are paid in the order given for as long as the running total stays within what is available; a payee that is not
-- open, the payer itself or an unknown account is passed over. One set-based check under the payer's lock, never an
-- exception per item. The limits are asked for the whole batch and count what was paid. The caller then stores the outcome
-- with `conclude`. Returns an item's refusal at its place:
--   NULL: paid · 'insufficient' · 'payee_frozen' · 'payee_closed' · 'payee_unknown'
CREATE OR REPLACE FUNCTION ledger.post_batch(
    p_authority uuid, p_kind text, p_effective_at timestamptz, p_payer uuid, p_limits jsonb,
    p_entries uuid[], p_payees uuid[], p_amounts bigint[], p_events uuid[], p_type text, p_heads text[], p_tails text[])
RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_order record;
    v_available bigint;
    v_refusals text[];
    v_paid integer[];
    v_total bigint;
BEGIN
    SELECT a.signer, a.kind, a.order_kind, p.code INTO STRICT v_order
    FROM ledger.authority a JOIN ledger.account p ON p.id = p_payer AND p.holder = a.signer
    WHERE a.id = p_authority
      AND EXISTS (SELECT 1 FROM ledger.flow f WHERE f.kind = p_kind AND f.authority = a.kind AND f.order_kind = a.order_kind
                                                AND f.debit = p.code AND f.debit_of = 'signer');
    IF p_effective_at > now() + INTERVAL '1 minute' OR p_effective_at < now() - INTERVAL '400 days' THEN
        RAISE EXCEPTION 'an entry takes effect neither in the future nor more than 400 days ago';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7201, 0);
    PERFORM ledger.hold_open(p_effective_at, p_effective_at);
    PERFORM ledger.count_limits(v_order.signer, p_limits);
    PERFORM ledger.draw(ARRAY[p_payer], ARRAY[0::bigint], ARRAY[0::bigint]);  -- locks and folds; takes nothing yet
    SELECT b.posted - b.held - b.floor INTO v_available FROM ledger.balance b WHERE b.account = p_payer;

    SELECT array_agg(CASE WHEN NOT i.payable THEN 'payee_' || CASE WHEN i.status IN ('frozen', 'closed') THEN i.status ELSE 'unknown' END
                          WHEN i.running > v_available THEN 'insufficient' END ORDER BY i.item)
    INTO v_refusals
    FROM (SELECT n.item, a.status, n.payable, sum(n.amount) FILTER (WHERE n.payable) OVER (ORDER BY n.item) AS running
          FROM (SELECT x.item, x.amount, x.payee,
                       EXISTS (SELECT 1 FROM ledger.account a JOIN ledger.balance b ON b.account = a.id
                               JOIN ledger.flow f ON f.kind = p_kind AND f.authority = v_order.kind AND f.order_kind = v_order.order_kind
                                                 AND f.debit = v_order.code AND f.credit = a.code
                               WHERE a.id = x.payee AND a.id <> p_payer AND a.status = 'open'
                                 AND abs(b.posted) + x.amount <= 4000000000000000000) AS payable
                FROM unnest(p_payees, p_amounts) WITH ORDINALITY AS x (payee, amount, item)) AS n
          LEFT JOIN ledger.account a ON a.id = n.payee) AS i;
    SELECT array_agg(n.item), coalesce(sum(p_amounts[n.item]), 0) INTO v_paid, v_total
    FROM unnest(v_refusals) WITH ORDINALITY AS n (refusal, item) WHERE n.refusal IS NULL;

    UPDATE ledger.balance b SET posted = b.posted - v_total WHERE b.account = p_payer;
    PERFORM ledger.give_back(v_order.signer, p_limits, (SELECT sum(n.amount) FROM unnest(p_amounts) AS n (amount))::bigint - v_total);
    INSERT INTO ledger.delta (account, amount)
    SELECT p_payees[i], sum(p_amounts[i]) FROM unnest(v_paid) AS i GROUP BY p_payees[i];
    INSERT INTO ledger.entry (id, authority, kind, effective_at)
    SELECT p_entries[i], p_authority, p_kind, p_effective_at FROM unnest(v_paid) AS i;
    INSERT INTO ledger.posting (entry, line, debit, credit, amount, effective_at, posted_at)
    SELECT p_entries[i], 1, p_payer, p_payees[i], p_amounts[i], p_effective_at, now() FROM unnest(v_paid) AS i;
    INSERT INTO ledger.event (id, type, subject, actor, authority, entry, at, bytes)
    SELECT p_events[i], p_type, p_entries[i]::text, v_order.signer, p_authority, p_entries[i], now(), ledger.stamped(p_heads[i], p_tails[i])
    FROM unnest(v_paid) AS i;
    RETURN v_refusals;
END $$;

-- conclude: store the outcome of a batch, naming every entry that it made, and tell of it: also of one that paid nobody.
CREATE OR REPLACE FUNCTION ledger.conclude(p_authority uuid, p_status smallint, p_body bytea, p_counted jsonb, p_event jsonb)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    INSERT INTO ledger.event (id, type, subject, actor, authority, at, bytes)
    SELECT v.id, v.type, v.subject, a.signer, a.id, now(), ledger.stamped(v.head, v.tail)
    FROM jsonb_to_record(p_event) AS v (id uuid, type text, subject text, head text, tail text)
    JOIN ledger.authority a ON a.id = p_authority;
    INSERT INTO ledger.outcome (authority, status, body, entries, counted)
    SELECT p_authority, p_status, p_body, ARRAY(SELECT e.id FROM ledger.entry e WHERE e.authority = p_authority ORDER BY e.id), p_counted;
$$;
