-- Cards: how a payment's, refund's or dispute's state changes; re-applied by every upgrade, after the ledger's, which it calls.

-- move: move a payment, refund or dispute to another state and keep what made it move. The one way by which their states change.
-- A payment that nothing came of gives back what it counted against limits. `p_entry` is what brought a payment's money in, or
-- what owes a failed refund otherwise.
-- Returns where it stood; NULL if the move is not legal, and then nothing has changed.
CREATE OR REPLACE FUNCTION cards.move(p_what text, p_subject uuid, p_to text, p_cause text, p_at timestamptz, p_entry uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = cards, pg_temp AS $$
DECLARE
    v_was text;
    v_authority uuid;
BEGIN
    IF p_what = 'payment' THEN
        SELECT x.state, x.authority INTO STRICT v_was, v_authority FROM cards.payment x WHERE x.id = p_subject FOR NO KEY UPDATE;
    ELSIF p_what = 'refund' THEN
        SELECT x.state INTO STRICT v_was FROM cards.refund x WHERE x.id = p_subject FOR NO KEY UPDATE;
    ELSE
        SELECT x.state INTO STRICT v_was FROM cards.dispute x WHERE x.id = p_subject FOR NO KEY UPDATE;
    END IF;
    BEGIN
        INSERT INTO cards.move (subject, line, what, was, state, cause, at)
        SELECT p_subject, coalesce(max(m.line), 0) + 1, p_what, v_was, p_to, p_cause, p_at FROM cards.move m WHERE m.subject = p_subject;
    EXCEPTION WHEN check_violation THEN
        RETURN NULL;
    END;
    IF p_what = 'payment' THEN
        UPDATE cards.payment x SET state = p_to, entry = p_entry WHERE x.id = p_subject;
        IF p_to IN ('failed', 'cancelled') THEN
            PERFORM ledger.uncount(v_authority);
        END IF;
    ELSIF p_what = 'refund' THEN
        UPDATE cards.refund x SET state = p_to, failed_entry = p_entry WHERE x.id = p_subject;
    ELSE
        UPDATE cards.dispute x SET state = p_to WHERE x.id = p_subject;
    END IF;
    RETURN v_was;
END $$;

-- Append-only, under the grants as well as by them. --------------------------------------------------------------------
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON cards.move
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA cards FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA cards FROM wallet_app;
GRANT USAGE ON SCHEMA cards TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA cards TO wallet_app, wallet_audit;
GRANT INSERT ON cards.customer, cards.linking, cards.card, cards.payment, cards.refund, cards.dispute, cards.notice,
    cards.quarantine, cards.payout, cards.line TO wallet_app;
GRANT UPDATE (ref) ON cards.customer TO wallet_app;
GRANT UPDATE (ref, page, state, asked_at) ON cards.linking TO wallet_app;
GRANT UPDATE (ref, exp_month, exp_year, removed_at, is_default) ON cards.card TO wallet_app;
GRANT UPDATE (ref, page, brand, last4, failure, called_at, asked_at) ON cards.payment TO wallet_app;
GRANT UPDATE (ref, failure, called_at, asked_at, entry, settled_entry) ON cards.refund TO wallet_app;
GRANT UPDATE (evidence_due, entry, won_entry) ON cards.dispute TO wallet_app;
GRANT UPDATE (state, handled_at) ON cards.notice TO wallet_app;
GRANT UPDATE (resolved_at, resolved_by, how) ON cards.quarantine TO wallet_app;
GRANT UPDATE (state, arrives_at, entry, failed_entry) ON cards.payout TO wallet_app;
GRANT UPDATE (entry) ON cards.line TO wallet_app;
GRANT EXECUTE ON FUNCTION cards.move(text, uuid, text, text, timestamptz, uuid) TO wallet_app;
