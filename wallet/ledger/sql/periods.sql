-- Periods: closing a day or a month seals its trial balance; nothing takes effect in a closed period any more.

-- close_period: close a period and everything before it; for a claimed order, in its transaction. ------------------------
-- Closing takes the lock of every day that was still open, alone: a posting that has begun is waited for, one that comes after
-- sees the period closed. (Tried without: sealed 0, actual 100.)
--   mark  the greatest seq that had been given out well before the period's end. All up to it are in the books by now; every
--         posting effective after the period came later and has a greater one. So balances at an instant after the period
--         are the snapshot and the postings beyond the mark, and nothing else need be read.
-- Returns the trial balance at the period's end, by effective time. Refuses: period_open, period_closed.
CREATE OR REPLACE FUNCTION ledger.close_period(p_id uuid, p_authority uuid, p_kind text, p_starts date, p_ends date)
RETURNS TABLE (code text, debit bigint, credit bigint, digest bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    v_end CONSTANT timestamptz := ledger.day_start(p_ends + 1);  -- exclusive
    v_first CONSTANT date := ledger.day_of(now() - INTERVAL '401 days');  -- nothing older can be posted
    v_base record;
    v_mark bigint;
    v_digest bytea;
BEGIN
    IF (SELECT a.order_kind FROM ledger.authority a WHERE a.id = p_authority) IS DISTINCT FROM 'period_close' THEN
        RAISE EXCEPTION 'a period is closed by an order to close it';
    END IF;
    -- Ten minutes: longer than any unit lives that read its clock before midnight.
    IF now() < v_end + INTERVAL '10 minutes' THEN
        PERFORM ledger.refused('period_open', jsonb_build_object('ends', p_ends));
    END IF;
    PERFORM pg_advisory_xact_lock(7202, 0);  -- one closing at a time
    IF EXISTS (SELECT 1 FROM ledger.period p WHERE p.kind = p_kind AND p.starts = p_starts)
       OR EXISTS (SELECT 1 FROM ledger.period p WHERE p.ends > p_ends OR p.ends = p_ends AND p_kind = 'day') THEN
        PERFORM ledger.refused('period_closed', jsonb_build_object('day', p_ends));
    END IF;
    SELECT coalesce(max(p.ends), DATE '-infinity') AS ends, coalesce(max(p.mark), 0) AS mark,
           coalesce(ledger.day_start(max(p.ends) + 1), '-infinity') AS after
    INTO v_base FROM ledger.period p;
    PERFORM pg_advisory_xact_lock(7201, d.day - DATE '2000-01-01')
    FROM generate_series(0, p_ends - greatest(v_base.ends + 1, v_first)) AS n,
         LATERAL (SELECT greatest(v_base.ends + 1, v_first) + n AS day) AS d ORDER BY d.day;

    v_mark := greatest(v_base.mark, (SELECT coalesce(max(p.seq_at_close), 0) FROM ledger.period p WHERE p.closed_at <= v_end - INTERVAL '2 minutes'));
    IF v_base.ends = p_ends THEN
        v_mark := v_base.mark;  -- a month after its last day: the day's snapshot is the month's
    ELSE
        WITH side AS (
            SELECT p.debit AS account, p.amount, p.seq, p.effective_at FROM ledger.posting p WHERE p.seq > v_base.mark
            UNION ALL
            SELECT p.credit, -p.amount, p.seq, p.effective_at FROM ledger.posting p WHERE p.seq > v_base.mark
        ), moved AS (
            SELECT s.account,
                   coalesce(sum(s.amount) FILTER (WHERE s.effective_at >= v_base.after AND s.effective_at < v_end), 0) AS effective,
                   coalesce(sum(s.amount) FILTER (WHERE s.seq <= v_mark), 0) AS sequenced
            FROM side s
            WHERE s.effective_at >= v_base.after AND s.effective_at < v_end OR s.seq <= v_mark
            GROUP BY s.account
        )
        INSERT INTO ledger.snapshot (account, ends, effective, sequenced)
        SELECT m.account, p_ends,
               coalesce(l.effective, 0) + CASE a.normal WHEN 'debit' THEN m.effective ELSE -m.effective END,
               coalesce(l.sequenced, 0) + CASE a.normal WHEN 'debit' THEN m.sequenced ELSE -m.sequenced END
        FROM moved m JOIN ledger.account a ON a.id = m.account
        LEFT JOIN LATERAL (SELECT s.effective, s.sequenced FROM ledger.snapshot s WHERE s.account = m.account ORDER BY s.ends DESC LIMIT 1) AS l ON true;
    END IF;
    SELECT sha256(convert_to(coalesce(string_agg(x.account || ':' || x.effective, ',' ORDER BY x.account), ''), 'UTF8')) INTO v_digest
    FROM (SELECT DISTINCT ON (s.account) s.account, s.effective FROM ledger.snapshot s ORDER BY s.account, s.ends DESC) AS x;

    INSERT INTO ledger.period (id, kind, starts, ends, mark, seq_at_close, closed_at, digest, authority)
    VALUES (p_id, p_kind, p_starts, p_ends, v_mark,
            coalesce(pg_sequence_last_value(pg_get_serial_sequence('ledger.posting', 'seq')::regclass), 0), clock_timestamp(),
            v_digest, p_authority);
    RETURN QUERY
    WITH held AS (
        SELECT DISTINCT ON (s.account) s.account, s.effective FROM ledger.snapshot s ORDER BY s.account, s.ends DESC
    ), total AS (
        SELECT a.code, a.normal, sum(h.effective)::bigint AS posted FROM held h JOIN ledger.account a ON a.id = h.account GROUP BY a.code, a.normal
    ), made AS (
        INSERT INTO ledger.trial (period, code, debit, credit)
        SELECT p_id, t.code, CASE WHEN (t.normal = 'debit') = (t.posted >= 0) THEN abs(t.posted) ELSE 0 END,
               CASE WHEN (t.normal = 'debit') = (t.posted >= 0) THEN 0 ELSE abs(t.posted) END
        FROM total t RETURNING trial.code, trial.debit, trial.credit
    )
    SELECT m.code, m.debit, m.credit, v_digest FROM made m ORDER BY m.code;
END $$;
