-- What the ledger's other files stand on. The first of them.
-- The functions of the hot path set two things for themselves. plan_cache_mode: their statements are planned once in a
-- connection and not, because an array looked short, at every call (planning them took longer than running them).
-- enable_seqscan: a plan that was made while a table was small must not read it whole when it is large.
-- Both, the search_path and the owner's rights are set once, by the function that the application calls; what that one calls in
-- turn (take, carry_out, draw …) sets nothing, is granted to nobody, and names everything with its schema. A frame that sets
-- them costs as much as several statements.

-- refused: say an anticipated no from within. The transaction goes back whole, so a refusal has written nothing; the code
-- and the facts travel in the error, and the caller stores the refusal as the order's outcome in a transaction of its own.
CREATE OR REPLACE FUNCTION ledger.refused(p_code text, p_facts jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'TT001', MESSAGE = p_code, DETAIL = p_facts::text;
END $$;

-- day_of, day_start: the city's calendar day of an instant, and the instant at which a day begins (UTC+7 all year).
CREATE OR REPLACE FUNCTION ledger.day_of(p_at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (p_at AT TIME ZONE INTERVAL '7 hours')::date $$;
CREATE OR REPLACE FUNCTION ledger.day_start(p_day date) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT p_day::timestamp AT TIME ZONE INTERVAL '7 hours' $$;

-- stamped: an event's bytes: what the caller spelled, around the one thing that only the database knows.
CREATE OR REPLACE FUNCTION ledger.stamped(p_head text, p_tail text) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT convert_to(p_head || to_char(now() AT TIME ZONE INTERVAL '0', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || p_tail, 'UTF8')
$$;
