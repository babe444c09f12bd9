-- Guards: what is append-only, what can be read by whom, and what may be called. The last of the ledger's files.

-- Append-only, under the grants as well as by them. --------------------------------------------------------------------
CREATE OR REPLACE FUNCTION ledger.append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['authority', 'outcome', 'entry', 'posting', 'event', 'hold', 'resolution', 'period', 'trial',
                               'snapshot', 'account_move', 'mandate', 'charge', 'uncounted'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.%I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', one);
    END LOOP;
END $$;
-- An order's content may be deleted (that is how a person's data is shredded), never changed.
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON person.order_content
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();

-- What can be read by whom, and what may be called. ---------------------------------------------------------------------
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger, person TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO wallet_app, wallet_audit;
GRANT SELECT ON person.order_content TO wallet_app, wallet_audit;
GRANT EXECUTE ON FUNCTION
    ledger.claim(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid),
    ledger.post(uuid, jsonb, smallint, bytea),
    ledger.post_order(uuid, text, uuid, uuid, text, text, bytea, bytea, bytea, bytea, uuid, text[], jsonb, smallint, bytea),
    ledger.post_batch(uuid, text, timestamptz, uuid, jsonb, uuid[], uuid[], bigint[], uuid[], text, text[], text[]),
    ledger.conclude(uuid, smallint, bytea, jsonb, jsonb),
    ledger.close_period(uuid, uuid, text, date, date),
    ledger.refuse(uuid, smallint, text, bytea),
    ledger.tell(uuid, text, text, uuid, timestamptz, bytea),
    ledger.open_account(uuid, text, uuid, text, text, text),
    ledger.fold(uuid, integer)
TO wallet_app;
-- Pure questions, which run with the caller's own rights.
GRANT EXECUTE ON FUNCTION
    ledger.day_of(timestamptz), ledger.day_start(date), ledger.base_of(timestamptz), ledger.settled_by(timestamptz),
    ledger.posted_effective(uuid, timestamptz), ledger.posted_recorded(uuid, timestamptz), ledger.posted_through(uuid, bigint)
TO wallet_app, wallet_audit;
