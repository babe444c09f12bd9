-- Bills: what a payment must see under lock, in one round trip; re-applied by every upgrade.

-- lock_bills: lock bills in id order until this transaction ends, then read them and what has settled them. The read is a
-- statement of its own: with the lock in the same statement it would miss an entry that was committed while we waited.
CREATE OR REPLACE FUNCTION bills.lock_bills(p_bills uuid[], p_holder uuid, p_now timestamptz)
RETURNS TABLE (id uuid, code text, agency uuid, debtor uuid, dossier text, procedure text, total bigint, version integer,
               state text, due date, expires date, settled_by uuid, granted boolean, accounts uuid[], amounts bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = bills, pg_temp AS $$
BEGIN
    PERFORM 1 FROM bills.bill b WHERE b.id = ANY (p_bills) ORDER BY b.id FOR NO KEY UPDATE;
    RETURN QUERY
    SELECT b.id, b.code, b.agency, b.debtor, b.dossier, b.procedure, b.total, b.version, b.state, b.due, b.expires,
           (SELECT e.id FROM ledger.entry e WHERE e.settles = b.id),
           EXISTS (SELECT 1 FROM bills.payer_grant g WHERE g.bill = b.id AND g.holder = p_holder AND g.until > p_now),
           l.accounts, l.amounts
    FROM bills.bill b
    CROSS JOIN LATERAL (SELECT array_agg(x.account ORDER BY x.line) AS accounts, array_agg(x.amount ORDER BY x.line) AS amounts
                        FROM bills.bill_line x WHERE x.bill = b.id AND x.amount > 0) AS l
    WHERE b.id = ANY (p_bills)
    ORDER BY b.id;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bills FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA bills FROM wallet_app;
GRANT USAGE ON SCHEMA bills TO wallet_app, wallet_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA bills TO wallet_app, wallet_audit;
GRANT INSERT ON bills.agency, bills.bill, bills.bill_line TO wallet_app;
GRANT UPDATE (state, closed_at, close_reason) ON bills.bill TO wallet_app;
GRANT INSERT, UPDATE (until) ON bills.payer_grant TO wallet_app;
GRANT EXECUTE ON FUNCTION bills.lock_bills(uuid[], uuid, timestamptz) TO wallet_app;
