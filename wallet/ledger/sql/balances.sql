-- Balances: folding, and what an account came to at any instant.

-- The exact balance in one plain statement: the row plus the deltas not yet folded, in one snapshot.
CREATE OR REPLACE VIEW ledger.balance_now AS
    SELECT b.account, b.posted + coalesce((SELECT sum(d.amount) FROM ledger.delta d WHERE d.account = b.account), 0)::bigint
           AS posted, b.held
    FROM ledger.balance b;

-- fold: move the deltas of at most p_accounts accounts after p_after into their balance rows. Rows that somebody else has
-- locked are passed over: they fold themselves when they spend. Returns how many deltas went, and the account to go on after
-- (NULL: the end was reached), so that a worker goes round and no account waits for ever.
CREATE OR REPLACE FUNCTION ledger.fold(p_after uuid, p_accounts integer, OUT folded bigint, OUT last uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    waiting uuid[];
    locked uuid[];
BEGIN
    SELECT array_agg(w.account) INTO waiting
    FROM (SELECT DISTINCT d.account FROM ledger.delta d WHERE p_after IS NULL OR d.account > p_after
          ORDER BY d.account LIMIT p_accounts) AS w;
    last := CASE WHEN cardinality(waiting) = p_accounts THEN waiting[p_accounts] END;
    SELECT array_agg(l.account) INTO locked
    FROM (SELECT b.account FROM ledger.balance b WHERE b.account = ANY (waiting) ORDER BY b.account FOR NO KEY UPDATE SKIP LOCKED) AS l;
    WITH gone AS (DELETE FROM ledger.delta d WHERE d.account = ANY (locked) RETURNING d.account, d.amount),
         sums AS (SELECT gone.account, sum(gone.amount)::bigint AS amount, count(*) AS deltas FROM gone GROUP BY gone.account),
         moved AS (UPDATE ledger.balance b SET posted = b.posted + s.amount FROM sums s WHERE b.account = s.account
                   RETURNING s.deltas)
    SELECT coalesce(sum(moved.deltas), 0) INTO folded FROM moved;
END $$;

-- base_of: the last period that had ended by an instant: its last day, the instant after it, and its mark.
CREATE OR REPLACE FUNCTION ledger.base_of(p_at timestamptz, OUT ends date, OUT after timestamptz, OUT mark bigint)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(p.ends), DATE '-infinity'), coalesce(ledger.day_start(max(p.ends) + 1), '-infinity'), coalesce(max(p.mark), 0)
    FROM ledger.period p WHERE p.ends < ledger.day_of(p_at)
$$;

-- settled_by: a seq beyond which no posting takes effect by an instant, nor is recorded by it: what had been given out when the
-- first period that ends with its day or later was closed. Nothing takes effect in a closed period; and for what was recorded, the
-- closing has to be ten minutes later than the instant, which is longer than any unit lives.
CREATE OR REPLACE FUNCTION ledger.settled_by(p_at timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT p.seq_at_close FROM ledger.period p WHERE p.ends >= ledger.day_of(p_at) AND p.closed_at >= p_at + INTERVAL '10 minutes'
                     ORDER BY p.ends, p.seq_at_close LIMIT 1), 9223372036854775807)
$$;

-- posted_effective: what an account had posted at an instant of the world: all entries effective up to and including it.
-- From the snapshot of the last period that ended by then, and the postings between that period's mark (see `close_period`) and the
-- closing of the instant's own day: as quick for a day long past as for today.
CREATE OR REPLACE FUNCTION ledger.posted_effective(p_account uuid, p_at timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT s.effective FROM ledger.snapshot s WHERE s.account = a.id AND s.ends <= base.ends ORDER BY s.ends DESC LIMIT 1), 0)
         + CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END
         * (coalesce((SELECT sum(p.amount) FROM ledger.posting p WHERE p.debit = a.id AND p.seq > base.mark AND p.seq <= base.settled
                      AND p.effective_at >= base.after AND p.effective_at <= p_at), 0)
            - coalesce((SELECT sum(p.amount) FROM ledger.posting p WHERE p.credit = a.id AND p.seq > base.mark AND p.seq <= base.settled
                        AND p.effective_at >= base.after AND p.effective_at <= p_at), 0))::bigint
    FROM ledger.account a CROSS JOIN (SELECT b.*, ledger.settled_by(p_at) AS settled FROM ledger.base_of(p_at) AS b OFFSET 0) AS base
    WHERE a.id = p_account
$$;

-- posted_recorded: what an account had posted in the books as they stood at an instant of the database's clock.
CREATE OR REPLACE FUNCTION ledger.posted_recorded(p_account uuid, p_at timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT s.sequenced FROM ledger.snapshot s WHERE s.account = a.id AND s.ends <= base.ends ORDER BY s.ends DESC LIMIT 1), 0)
         + CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END
         * (coalesce((SELECT sum(p.amount) FROM ledger.posting p WHERE p.debit = a.id AND p.seq > base.mark AND p.seq <= base.settled
                      AND p.posted_at <= p_at), 0)
            - coalesce((SELECT sum(p.amount) FROM ledger.posting p WHERE p.credit = a.id AND p.seq > base.mark AND p.seq <= base.settled
                        AND p.posted_at <= p_at), 0))::bigint
    FROM ledger.account a CROSS JOIN (SELECT b.*, ledger.settled_by(p_at) AS settled FROM ledger.base_of(p_at) AS b OFFSET 0) AS base
    WHERE a.id = p_account
$$;

-- posted_through: what an account had posted with its posting p_seq: the running balance of a statement's line.
CREATE OR REPLACE FUNCTION ledger.posted_through(p_account uuid, p_seq bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT s.sequenced FROM ledger.snapshot s WHERE s.account = a.id AND s.ends <= base.ends ORDER BY s.ends DESC LIMIT 1), 0)
         + CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END
         * (coalesce((SELECT sum(p.amount) FROM ledger.posting p WHERE p.debit = a.id AND p.seq > base.mark AND p.seq <= p_seq), 0)
            - coalesce((SELECT sum(p.amount) FROM ledger.posting p WHERE p.credit = a.id AND p.seq > base.mark AND p.seq <= p_seq), 0))::bigint
    FROM ledger.account a
    CROSS JOIN (SELECT coalesce(max(x.ends), DATE '-infinity') AS ends, coalesce(max(x.mark), 0) AS mark
                FROM ledger.period x WHERE x.mark <= p_seq) AS base
    WHERE a.id = p_account
$$;
