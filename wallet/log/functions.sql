-- The log in the database: events are given their places, checkpoints and cosignatures are kept. Re-applied by every upgrade.

-- horizon: the greatest seq that any event has taken so far, and the transactions that may have taken one and still be alive.
-- Once all of those have ended, no event up to that seq will ever appear again that cannot be seen already. Whoever inserts an
-- event locks the table before it takes a seq, and lets go after its commit can be seen; so the seq is read first and the
-- locks after it. (By transaction ids it would not be safe: a seq can be taken before the transaction has one.)
CREATE OR REPLACE FUNCTION log.horizon(OUT seq bigint, OUT writers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = log, pg_temp AS $$
BEGIN
    seq := coalesce(pg_sequence_last_value('ledger.event_seq_seq'), 0);
    writers := ARRAY(
        SELECT DISTINCT l.virtualtransaction FROM pg_locks l
        WHERE l.locktype = 'relation' AND l.relation = 'ledger.event'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          AND l.pid IS DISTINCT FROM pg_backend_pid()
    );
END $$;

-- seal: give the next places to committed events that have none, in the order of seq, and return them.
--   p_first        the place to begin with; refused (TT002) unless it is the next one, so that a sealer which remembers
--                  another log than the database has never gives a place twice
--   p_lows, p_highs  ranges of seq in which such events may be, both ends included, ascending
--   p_max          at most so many
-- Whoever follows the log (wallet/live) is notified once for all of them: a notification in the unit of each payment would make
-- the units wait for one another, since the database hands notifications out in the order of commits.
CREATE OR REPLACE FUNCTION log.seal(p_first bigint, p_lows bigint[], p_highs bigint[], p_max integer)
RETURNS TABLE (index bigint, seq bigint, bytes bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = log, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_next CONSTANT bigint := coalesce((SELECT max(l.index) + 1 FROM log.leaf l), 0);
BEGIN
    IF p_first <> v_next THEN
        RAISE EXCEPTION 'the next leaf is %, not %', v_next, p_first USING ERRCODE = 'TT002';
    END IF;
    RETURN QUERY
    WITH unsealed AS MATERIALIZED (
        SELECT p_first + row_number() OVER (ORDER BY f.seq) - 1 AS index, f.seq, f.id, f.bytes
        FROM (
            SELECT e.seq, e.id, e.bytes
            FROM unnest(p_lows, p_highs) AS r (low, high)
            CROSS JOIN LATERAL (
                SELECT x.seq, x.id, x.bytes FROM ledger.event x
                -- Not as NOT EXISTS: a plan made while the log was short would read all of it for each event.
                WHERE x.seq BETWEEN r.low AND r.high AND (SELECT l.index FROM log.leaf l WHERE l.event = x.id) IS NULL
                ORDER BY x.seq LIMIT p_max
            ) AS e
            LIMIT p_max
        ) AS f
    ), placed AS (
        INSERT INTO log.leaf (index, event) SELECT u.index, u.id FROM unsealed u
    )
    SELECT u.index, u.seq, u.bytes FROM unsealed u ORDER BY u.index;
    IF FOUND THEN
        PERFORM pg_notify('log_sealed', '');
    END IF;
END $$;

-- publish: keep a checkpoint that was published. It is of leaves that there are, and larger than every one before.
CREATE OR REPLACE FUNCTION log.publish(p_size bigint, p_root bytea, p_note bytea, p_settled bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = log, pg_temp AS $$
BEGIN
    IF p_size > coalesce((SELECT max(l.index) + 1 FROM log.leaf l), 0)
       OR p_size <= coalesce((SELECT max(c.size) FROM log.checkpoint c), 0) THEN
        RAISE EXCEPTION 'a checkpoint of % leaves is out of turn', p_size USING ERRCODE = 'TT002';
    END IF;
    INSERT INTO log.checkpoint (size, root, note, settled) VALUES (p_size, p_root, p_note, p_settled);
END $$;

-- cosign: keep a witness's cosignature; the first one of each witness stays. Says whether the checkpoint is known.
CREATE OR REPLACE FUNCTION log.cosign(p_size bigint, p_witness text, p_line text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = log, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM log.checkpoint c WHERE c.size = p_size) THEN
        RETURN false;
    END IF;
    INSERT INTO log.cosignature (size, witness, line) VALUES (p_size, p_witness, p_line) ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

-- stop_posting: draw the bolt. Whoever runs the service opens it, as the owner, when log and books are whole again.
CREATE OR REPLACE FUNCTION log.stop_posting() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = log, pg_temp AS $$
    ALTER TABLE ledger.authority ENABLE TRIGGER posting_stopped;
$$;

-- Append-only, and who may do what.
DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['leaf', 'checkpoint', 'cosignature'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.%I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', one);
    END LOOP;
END $$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA log FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA log FROM wallet_app, wallet_audit;
GRANT USAGE ON SCHEMA log TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA log TO wallet_app, wallet_audit;
GRANT EXECUTE ON FUNCTION
    log.horizon(), log.seal(bigint, bigint[], bigint[], integer), log.publish(bigint, bytea, bytea, bigint),
    log.cosign(bigint, text, text), log.stop_posting()
TO wallet_app;
