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
--          "limits":    [{"bucket", "starts", "amount", "cap"}],                 optional, as the five below
--          "holds":     [{"id", "account", "payee", "amount", "lapses_at"}],
--          "captures":  [{"hold", "entry", "final"}],
--          "releases":  [{"hold", "kind"}],
--          "mandates":  [{"account", "cap", "lapses_at", "code"}],
--          "moves":     [{"account", "status"}]}
-- Each account's net effect is computed first. Only a net decrease of what a floored account has available locks its
-- balance; every other effect is one inserted delta, so a treasury that everyone pays is no hot row and opposed transfers
-- cannot deadlock. Locks are taken in one order: undone entry, hold or mandate, limit counters, accounts by id.
-- Refuses: limit_exceeded, not_open, too_large, insufficient, period_closed, and what the parts below refuse.
CREATE OR REPLACE FUNCTION ledger.carry_out(
    p_authority uuid, p_kind text, p_order_kind text, p_signer uuid, p_plan jsonb, p_status smallint, p_body bytea) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_part jsonb;
    v_entries uuid[];
    v_kinds text[];
    v_effective timestamptz[];
    v_first timestamptz;
    v_last timestamptz;
    v_undoes boolean := false;
    v_held uuid[];
    v_held_nets bigint[];
    v_drawn record;
    v_counts uuid := p_signer;
    v_done text;
BEGIN
    FOR nth IN 0 .. jsonb_array_length(p_plan -> 'entries') - 1 LOOP
        v_part := p_plan -> 'entries' -> nth;
        v_entries := v_entries || (v_part ->> 'id')::uuid;
        v_kinds := v_kinds || (v_part ->> 'kind');
        v_effective := v_effective || (v_part ->> 'effective_at')::timestamptz;
        v_first := least(v_first, v_effective[nth + 1]);
        v_last := greatest(v_last, v_effective[nth + 1]);
        v_undoes := v_undoes OR v_part ?| ARRAY['reverses', 'refunds'];
        IF (v_part ->> 'kind' = 'reversal', v_part ->> 'kind' = 'refund') <> (v_part ? 'reverses', v_part ? 'refunds') THEN
            RAISE EXCEPTION 'no flow lets a % to % post this', p_kind, p_order_kind;  -- one that undoes names what, and no other does
        END IF;
    END LOOP;

    IF v_entries IS NOT NULL OR p_plan ? 'holds' THEN
        -- First the locks against closing, then the look: whoever looked before waiting would pay an account closed meanwhile. And
        -- before any counter or hold is locked: a closing waits for the day's transfers, which may wait for such a counter.
        v_done := pg_advisory_xact_lock_shared(7201, 0);
    END IF;
    IF v_entries IS NOT NULL THEN
        v_done := ledger.hold_open(v_first, v_last);
    END IF;
    IF p_plan ?| ARRAY['holds', 'captures', 'releases'] THEN
        SELECT h.accounts, h.nets INTO v_held, v_held_nets FROM ledger.judge_holds(p_authority, p_plan) AS h;
    END IF;
    IF p_order_kind = 'charge' THEN
        v_counts := ledger.judge_charge(p_authority, p_plan);  -- whose money it is, whose limits count
    END IF;
    IF v_entries IS NOT NULL OR v_held IS NOT NULL THEN
        v_drawn := ledger.give(p_plan, v_entries, v_kinds, p_kind, p_order_kind, p_signer, v_held, v_held_nets);
        IF v_undoes THEN
            PERFORM ledger.judge_undoing(p_plan);
        END IF;
        IF p_plan ? 'limits' THEN
            v_done := ledger.count_limits(v_counts, p_plan -> 'limits');
        END IF;
        FOR nth IN 1 .. coalesce(cardinality(v_drawn.accounts), 0) LOOP
            v_done := ledger.draw(v_drawn.accounts[nth], v_drawn.nets[nth], v_drawn.helds[nth]);
        END LOOP;
    ELSIF p_plan ? 'limits' THEN  -- an order that moves nothing yet, such as one that a card shall pay
        v_done := ledger.count_limits(p_signer, p_plan -> 'limits');
    END IF;
    IF v_entries IS NOT NULL THEN
        FOR nth IN 1 .. cardinality(v_entries) LOOP
            v_part := p_plan -> 'entries' -> nth - 1;
            INSERT INTO ledger.entry (id, authority, kind, effective_at, settles, reverses, refunds)
            VALUES (v_entries[nth], p_authority, v_kinds[nth], v_effective[nth],
                    (v_part ->> 'settles')::uuid, (v_part ->> 'reverses')::uuid, (v_part ->> 'refunds')::uuid);
        END LOOP;
        -- In the plan's order: a statement pages by seq, and an entry's lines go in order.
        FOR nth IN 0 .. jsonb_array_length(p_plan -> 'postings') - 1 LOOP
            v_part := p_plan -> 'postings' -> nth;
            INSERT INTO ledger.posting (entry, line, debit, credit, amount, of_line, effective_at, posted_at)
            VALUES ((v_part ->> 'entry')::uuid, (v_part ->> 'line')::smallint, (v_part ->> 'debit')::uuid, (v_part ->> 'credit')::uuid,
                    (v_part ->> 'amount')::bigint, (v_part ->> 'of_line')::smallint,
                    v_effective[array_position(v_entries, (v_part ->> 'entry')::uuid)], now());
        END LOOP;
    ELSIF jsonb_array_length(p_plan -> 'postings') > 0 THEN
        RAISE EXCEPTION 'a posting belongs to an entry of its plan';
    END IF;
    IF v_held IS NOT NULL THEN
        PERFORM ledger.write_holds(p_authority, p_plan);
    END IF;
    IF p_order_kind = 'charge' THEN
        v_done := ledger.write_charge(p_authority, v_entries[1]);
    ELSIF p_plan ? 'mandates' THEN
        v_done := ledger.write_mandates(p_authority, p_kind, p_order_kind, p_signer, p_plan);
    END IF;
    IF p_plan ? 'moves' THEN
        PERFORM ledger.move_accounts(p_authority, p_plan -> 'moves');
    END IF;

    FOR nth IN 0 .. jsonb_array_length(p_plan -> 'events') - 1 LOOP
        v_part := p_plan -> 'events' -> nth;
        IF (v_part ->> 'entry') IS NOT NULL AND array_position(v_entries, (v_part ->> 'entry')::uuid) IS NULL THEN
            RAISE EXCEPTION 'a plan tells of its own entries only';
        END IF;
        INSERT INTO ledger.event (id, type, subject, actor, authority, entry, at, bytes)
        VALUES ((v_part ->> 'id')::uuid, v_part ->> 'type', v_part ->> 'subject', p_signer, p_authority, (v_part ->> 'entry')::uuid, now(),
                ledger.stamped(v_part ->> 'head', v_part ->> 'tail'));
    END LOOP;

    INSERT INTO ledger.outcome (authority, status, body, entries, counted)
    VALUES (p_authority, p_status, p_body, coalesce(v_entries, '{}'), p_plan -> 'limits');
END $$;

-- give: pay the accounts that a plan only adds to, each by a delta, and return those that must be drawn from, in the order of
-- their locks. Each posting must fit a flow of the chart. What holds set aside and release counts in.
-- One posting after the other: most plans have one or two, and rows found by their keys cost a tenth of what a set-based look at
-- the plan takes to start.
CREATE OR REPLACE FUNCTION ledger.give(
    p_plan jsonb, p_entries uuid[], p_kinds text[], p_kind text, p_order_kind text, p_signer uuid, p_held uuid[], p_held_nets bigint[],
    OUT accounts uuid[], OUT nets bigint[], OUT helds bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    posting jsonb;
    v_entry uuid;
    debit ledger.side;
    credit ledger.side;
    v_flow text;
    fits boolean;
    told uuid[] := '{}';
    fee_entries uuid[];
    fee_accounts uuid[];
    named uuid[] := '{}';
    sides ledger.side[] := '{}';
    d integer;
    c integer;
BEGIN
    IF jsonb_array_length(p_plan -> 'postings') > 256 THEN
        RAISE EXCEPTION 'a plan has at most 256 postings';
    END IF;
    FOR nth IN 1 .. coalesce(cardinality(p_held), 0) LOOP
        named := named || p_held[nth];
        sides := sides || ledger.side_of(p_held[nth], p_held_nets[nth]);
    END LOOP;
    FOR nth IN 0 .. jsonb_array_length(p_plan -> 'postings') - 1 LOOP
        posting := p_plan -> 'postings' -> nth;
        v_entry := posting ->> 'entry';
        d := array_position(named, (posting ->> 'debit')::uuid);
        IF d IS NULL THEN
            named := named || (posting ->> 'debit')::uuid;
            d := cardinality(named);
            sides[d] := ledger.side_of(named[d], 0);
        END IF;
        c := array_position(named, (posting ->> 'credit')::uuid);
        IF c IS NULL THEN
            named := named || (posting ->> 'credit')::uuid;
            c := cardinality(named);
            sides[c] := ledger.side_of(named[c], 0);
        END IF;
        debit := sides[d];
        credit := sides[c];
        SELECT f.debit_of INTO v_flow FROM ledger.flow f
        WHERE f.kind = p_kinds[array_position(p_entries, v_entry)] AND f.authority = p_kind AND f.order_kind = p_order_kind
          AND f.debit = debit.code AND f.credit = credit.code;
        fits := CASE v_flow
            WHEN 'signer' THEN debit.holder = p_signer
            WHEN 'office' THEN p_kind = 'officer_order' AND debit.holder = identity.agency_of(p_signer)
            WHEN 'house' THEN debit.holder IS NULL
            WHEN 'staff' THEN debit.holder = p_signer OR identity.serves(p_signer, debit.holder)
            -- a hold's account is looked at by judge_holds, of every entry that captures
            WHEN 'hold' THEN (SELECT bool_or(k.entry = v_entry) FROM jsonb_to_recordset(p_plan -> 'captures') AS k (entry uuid))
            WHEN 'payee' THEN true
            -- so is a mandate's, by judge_charge
            WHEN 'mandate' THEN p_kind = 'mandate' AND p_order_kind = 'charge' END;
        IF fits IS NOT TRUE THEN
            RAISE EXCEPTION 'no flow lets a % to % post this', p_kind, p_order_kind;
        END IF;
        IF v_flow = 'payee' THEN
            fee_entries := fee_entries || v_entry;
            fee_accounts := fee_accounts || debit.account;
        END IF;
        told := told || v_entry;
        sides[d].net := debit.net + CASE debit.normal WHEN 'debit' THEN 1 ELSE -1 END * (posting ->> 'amount')::bigint;
        sides[c].net := credit.net + CASE credit.normal WHEN 'credit' THEN 1 ELSE -1 END * (posting ->> 'amount')::bigint;
    END LOOP;
    IF NOT p_entries <@ told THEN
        RAISE EXCEPTION 'an entry has at least one posting';
    ELSIF fee_entries IS NOT NULL THEN
        PERFORM ledger.judge_fees(p_plan, fee_entries, fee_accounts);
    END IF;

    FOR nth IN 1 .. cardinality(sides) LOOP
        credit := sides[nth];
        IF credit.floor IS NOT NULL AND (credit.net < credit.held OR credit.held <> 0) THEN
            accounts := accounts || credit.account;
            nets := nets || credit.net;
            helds := helds || credit.held;
        ELSIF credit.status <> 'open' THEN
            PERFORM ledger.refuse_shut(credit.account, 'payee');
        ELSIF abs(credit.posted) + abs(credit.net) > 4000000000000000000 THEN
            PERFORM ledger.refused('too_large', jsonb_build_object('account', credit.account));
        ELSIF credit.net <> 0 THEN
            INSERT INTO ledger.delta (account, amount) VALUES (credit.account, credit.net);
        END IF;
    END LOOP;
    IF cardinality(accounts) > 1 THEN
        SELECT array_agg(x.account ORDER BY x.account), array_agg(x.net ORDER BY x.account), array_agg(x.held ORDER BY x.account)
        INTO accounts, nets, helds FROM unnest(accounts, nets, helds) AS x (account, net, held);
    END IF;
END $$;

-- side_of: an account as a plan meets it, before anything moved.
CREATE OR REPLACE FUNCTION ledger.side_of(p_account uuid, p_held bigint) RETURNS ledger.side
LANGUAGE plpgsql AS $$
DECLARE
    side ledger.side;
BEGIN
    SELECT a.id, a.code, a.holder, a.normal, a.floor, a.status, b.posted, 0, p_held INTO side
    FROM ledger.account a JOIN ledger.balance b ON b.account = a.id WHERE a.id = p_account;
    RETURN side;
END $$;

-- judge_fees: whoever bears a fee bears it out of what the same entry pays them.
CREATE OR REPLACE FUNCTION ledger.judge_fees(p_plan jsonb, p_entries uuid[], p_accounts uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM unnest(p_entries, p_accounts) AS f (entry, account)
        JOIN jsonb_to_recordset(p_plan -> 'postings') AS p (entry uuid, debit uuid, credit uuid, amount bigint)
          ON p.entry = f.entry AND f.account IN (p.debit, p.credit)
        GROUP BY f.entry, f.account HAVING sum(CASE p.credit WHEN f.account THEN p.amount ELSE -p.amount END) < 0
    ) THEN
        RAISE EXCEPTION 'no flow lets a fee be more than what is paid';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ledger.post(p_authority uuid, p_plan jsonb, p_status smallint, p_body bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
    SELECT ledger.carry_out(p_authority, a.kind, a.order_kind, a.signer, p_plan, p_status, p_body)
    FROM ledger.authority a WHERE a.id = p_authority
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
    v_taken record;
    v_done text;
BEGIN
    v_taken := ledger.take(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id,
                           p_salt, p_bytes, p_base, p_signature, p_under);
    state := v_taken.state;
    status := v_taken.status;
    body := v_taken.body;
    IF state = 'key_dead' THEN
        PERFORM ledger.refused('key_dead', '{}');
    ELSIF p_kind <> 'rule_run' AND NOT v_taken.roles && p_admits THEN
        PERFORM ledger.refused('not_admitted', '{}');
    ELSIF state = 'new' THEN
        v_done := ledger.carry_out(p_authority, p_kind, p_order_kind, p_signer, p_plan, p_status, p_body);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ledger.post_order(
    p_authority uuid, p_kind text, p_signer uuid, p_order_id uuid, p_order_kind text, p_key_id text,
    p_salt bytea, p_bytes bytea, p_base bytea, p_signature bytea, p_under uuid,
    p_admits text[], p_plan jsonb, p_status smallint, p_body bytea,
    OUT state text, OUT status smallint, OUT body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_carried record;
BEGIN
    v_carried := ledger.carry_order(p_authority, p_kind, p_signer, p_order_id, p_order_kind, p_key_id, p_salt, p_bytes, p_base,
                                    p_signature, p_under, p_admits, p_plan, p_status, p_body);
    state := v_carried.state;
    status := v_carried.status;
    body := v_carried.body;
END $$;

-- refuse_shut: refuse for an account that was seen frozen or closed. One that is open by now was frozen when it was seen.
CREATE OR REPLACE FUNCTION ledger.refuse_shut(p_account uuid, p_side text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.refused(p_side || '_' || CASE a.status WHEN 'open' THEN 'frozen' ELSE a.status END, jsonb_build_object('account', a.id))
    FROM ledger.account a WHERE a.id = p_account;
END $$;

-- draw: take from an account what leaves it or is set aside, if it is there.
-- Deltas only add to a floored account. So where its row by itself has enough there is nothing to fold, and the update that locks
-- the row is the check.
CREATE OR REPLACE FUNCTION ledger.draw(p_account uuid, p_net bigint, p_held bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
    v_enough boolean;
    v_done text;
BEGIN
    UPDATE ledger.balance b SET posted = b.posted + p_net, held = b.held + p_held
    WHERE b.account = p_account AND b.posted - b.held + p_net - p_held >= b.floor;
    v_enough := FOUND;
    IF NOT v_enough THEN
        v_done := ledger.fold_own(p_account);
        UPDATE ledger.balance b SET posted = b.posted + p_net, held = b.held + p_held
        WHERE b.account = p_account AND b.posted - b.held + p_net - p_held >= b.floor;
        v_enough := FOUND;
    END IF;
    -- Whoever freezes an account locks its balance first, so its state is read after that lock. A hold's release is welcome on a
    -- frozen account; nothing else is.
    SELECT a.status INTO v_status FROM ledger.account a WHERE a.id = p_account;
    IF v_status <> 'open' AND (p_net <> 0 OR p_held >= 0) THEN
        PERFORM ledger.refuse_shut(p_account, 'payer');
    ELSIF NOT v_enough THEN
        PERFORM ledger.refused('insufficient', jsonb_build_object('account', p_account));
    END IF;
END $$;

-- fold_own: lock an account's balance and move its deltas into it.
-- Two statements, on purpose: whoever sums deltas in the statement that locks sees those of before the wait.
CREATE OR REPLACE FUNCTION ledger.fold_own(p_account uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM ledger.balance b WHERE b.account = p_account FOR NO KEY UPDATE;
    WITH gone AS (DELETE FROM ledger.delta d WHERE d.account = p_account RETURNING d.amount)
    UPDATE ledger.balance b SET posted = b.posted + s.amount
    FROM (SELECT sum(gone.amount)::bigint AS amount FROM gone) AS s WHERE b.account = p_account AND s.amount IS NOT NULL;
END $$;

-- count_limits: count amounts in the holder's buckets, each under its row's lock, and refuse what would exceed a cap.
CREATE OR REPLACE FUNCTION ledger.count_limits(p_holder uuid, p_limits jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    one jsonb;
    counted bigint;
BEGIN
    FOR nth IN 0 .. jsonb_array_length(p_limits) - 1 LOOP  -- spelled in the order of their locks
        one := p_limits -> nth;
        INSERT INTO ledger.usage AS u (holder, bucket, starts, used)
        VALUES (p_holder, one ->> 'bucket', (one ->> 'starts')::date, (one ->> 'amount')::bigint)
        ON CONFLICT ON CONSTRAINT usage_pkey DO UPDATE SET used = u.used + excluded.used
        RETURNING u.used INTO counted;
        IF counted > (one ->> 'cap')::bigint THEN
            PERFORM ledger.refused('limit_exceeded', jsonb_build_object(
                'limit', one ->> 'bucket', 'used', counted - (one ->> 'amount')::bigint, 'cap', (one ->> 'cap')::bigint));
        END IF;
    END LOOP;
END $$;

-- give_back: uncount an amount, or with NULL all that was counted, in each bucket where it was counted, in the period in which it
-- was counted. The counters are locked in the order in which count_limits does, whatever the database's collation; an UPDATE by
-- itself takes them as they come.
CREATE OR REPLACE FUNCTION ledger.give_back(p_holder uuid, p_counted jsonb, p_amount bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT 1 FROM ledger.usage u JOIN jsonb_to_recordset(p_counted) AS c (bucket text, starts date)
                                   ON u.bucket = c.bucket AND u.starts = c.starts
    WHERE p_amount IS DISTINCT FROM 0 AND u.holder = p_holder ORDER BY u.bucket COLLATE "C", u.starts FOR NO KEY UPDATE OF u;
    UPDATE ledger.usage u SET used = u.used - coalesce(p_amount, c.amount)
    FROM jsonb_to_recordset(p_counted) AS c (bucket text, starts date, amount bigint)
    WHERE p_amount IS DISTINCT FROM 0 AND u.holder = p_holder AND u.bucket = c.bucket AND u.starts = c.starts;
$$;

-- uncount: give back all that an order counted against limits, once, because nothing came of it. Part of the functions that
-- know so; an order that has entries or holds came to something.
CREATE OR REPLACE FUNCTION ledger.uncount(p_authority uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_order record;
BEGIN
    SELECT a.signer, o.counted, o.entries INTO STRICT v_order
    FROM ledger.authority a JOIN ledger.outcome o ON o.authority = a.id WHERE a.id = p_authority;
    IF v_order.entries <> '{}' OR EXISTS (SELECT 1 FROM ledger.hold h WHERE h.authority = p_authority) THEN
        RAISE EXCEPTION 'what an order did is not uncounted';
    END IF;
    INSERT INTO ledger.uncounted (authority) VALUES (p_authority) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM ledger.give_back(v_order.signer, v_order.counted, NULL);
    END IF;
END $$;

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
    PERFORM ledger.fold_own(p_payer);
    PERFORM ledger.refuse_shut(p_payer, 'payer') FROM ledger.account a WHERE a.id = p_payer AND a.status <> 'open';
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
