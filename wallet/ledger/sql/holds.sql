-- Holds: money set aside by its holder's signed mandate (cap, payee, expiry), and what becomes of it. A hold is resolved by
-- captures up to its amount; its last capture, its void or its lapse releases the rest, once. `live_hold` is the working set
-- of holds not yet resolved, and its row is the lock that a capture, a void and a lapse race for.

-- judge_holds: lock the holds that a plan resolves, say what may not be, give limits back what is released, and return the
-- change of each account's held amount.
-- Refuses: hold_resolved, hold_lapsed, hold_exceeded, payee_frozen, payee_closed.
CREATE OR REPLACE FUNCTION ledger.judge_holds(p_authority uuid, p_plan jsonb, OUT accounts uuid[], OUT nets bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    v_order record;
    one record;
BEGIN
    SELECT a.kind, a.order_kind, a.signer, a.under INTO STRICT v_order FROM ledger.authority a WHERE a.id = p_authority;

    FOR one IN SELECT h.*, a.code, a.holder, p.status AS payee_status, p.code AS payee_code
               FROM jsonb_to_recordset(p_plan -> 'holds') AS h (id uuid, account uuid, payee uuid, amount bigint, lapses_at timestamptz)
               LEFT JOIN ledger.account a ON a.id = h.account LEFT JOIN ledger.account p ON p.id = h.payee LOOP
        IF (v_order.kind, v_order.order_kind, one.code, one.holder, one.payee_code)
           IS DISTINCT FROM ('signed_order', 'hold', 'wallet', v_order.signer, 'wallet') THEN
            RAISE EXCEPTION 'a hold is placed on a wallet by its holder''s signed order, for another wallet';
        ELSIF one.payee_status <> 'open' THEN
            PERFORM ledger.refuse_shut(one.payee, 'payee');
        ELSIF one.lapses_at <= now() THEN
            PERFORM ledger.refused('hold_lapsed', jsonb_build_object('hold', one.id));  -- on its way here
        END IF;
    END LOOP;

    PERFORM 1 FROM ledger.live_hold l
    WHERE l.hold IN (SELECT r.hold FROM ledger.resolved_by(p_plan) AS r) ORDER BY l.hold FOR UPDATE;
    FOR one IN SELECT r.*, h.id, h.authority, h.lapses_at, h.amount - r.before AS remains, l.hold IS NOT NULL AS live,
                      o.counted, m.signer,
                      CASE r.kind
                          WHEN 'capture' THEN v_order.kind = 'mandate' AND v_order.under = h.authority AND v_order.signer = p.holder
                          WHEN 'void' THEN v_order.kind = 'signed_order' AND v_order.order_kind = 'hold_void' AND v_order.signer = p.holder
                          ELSE v_order.kind = 'rule_run' AND v_order.order_kind = 'hold_lapse' AND now() >= h.lapses_at
                      END AS allowed
               FROM ledger.resolved_by(p_plan) AS r
               LEFT JOIN ledger.hold h ON h.id = r.hold
               LEFT JOIN ledger.live_hold l ON l.hold = r.hold
               LEFT JOIN ledger.account p ON p.id = h.payee
               LEFT JOIN ledger.authority m ON m.id = h.authority
               LEFT JOIN ledger.outcome o ON o.authority = h.authority ORDER BY r.hold LOOP
        IF (one.id IS NOT NULL AND one.fits AND one.allowed) IS NOT TRUE THEN
            RAISE EXCEPTION 'a hold is captured and voided by its payee, and lapses by rule at its time';
        ELSIF NOT one.live THEN
            PERFORM ledger.refused('hold_resolved', jsonb_build_object('hold', one.hold));
        ELSIF one.kind <> 'lapse' AND now() >= one.lapses_at THEN
            PERFORM ledger.refused('hold_lapsed', jsonb_build_object('hold', one.hold));
        ELSIF one.captured > one.remains THEN
            PERFORM ledger.refused('hold_exceeded', jsonb_build_object('hold', one.hold, 'remains', one.remains));
        END IF;
        IF one.final THEN
            PERFORM ledger.give_back(one.signer, one.counted, one.remains - one.captured);
        END IF;
    END LOOP;

    SELECT array_agg(x.account), array_agg(x.net) INTO accounts, nets
    FROM (SELECT n.account, sum(n.net)::bigint AS net
          FROM (SELECT h.account, h.amount AS net FROM jsonb_to_recordset(p_plan -> 'holds') AS h (account uuid, amount bigint)
                UNION ALL
                SELECT h.account, -CASE WHEN r.final THEN h.amount - r.before ELSE r.captured END
                FROM ledger.resolved_by(p_plan) AS r JOIN ledger.hold h ON h.id = r.hold) AS n
          GROUP BY n.account) AS x;
END $$;

-- resolved_by: what a plan does to holds. Read after their lock: `before` is what was captured of each until now; a capture is
-- final when the plan says so or when it takes all that remains; `fits` says that its entry goes from the hold's account to
-- its payee and nowhere else.
CREATE OR REPLACE FUNCTION ledger.resolved_by(p_plan jsonb)
RETURNS TABLE (hold uuid, kind text, entry uuid, captured bigint, before bigint, final boolean, fits boolean)
LANGUAGE sql STABLE AS $$
    SELECT c.hold, 'capture', c.entry, t.captured, b.before, c.final OR t.captured = h.amount - b.before, t.fits
    FROM jsonb_to_recordset(p_plan -> 'captures') AS c (hold uuid, entry uuid, final boolean)
    LEFT JOIN ledger.hold h ON h.id = c.hold
    CROSS JOIN LATERAL (SELECT coalesce(sum(r.captured), 0)::bigint AS before FROM ledger.resolution r WHERE r.hold = c.hold) AS b
    CROSS JOIN LATERAL (SELECT sum(p.amount)::bigint AS captured, bool_and(p.debit = h.account AND p.credit = h.payee) AS fits
                        FROM jsonb_to_recordset(p_plan -> 'postings') AS p (entry uuid, debit uuid, credit uuid, amount bigint)
                        WHERE p.entry = c.entry) AS t
    UNION ALL
    SELECT v.hold, v.kind, NULL, 0, (SELECT coalesce(sum(r.captured), 0)::bigint FROM ledger.resolution r WHERE r.hold = v.hold), true, true
    FROM jsonb_to_recordset(p_plan -> 'releases') AS v (hold uuid, kind text);
$$;

-- write_holds: write the holds that a plan places and the resolutions that it makes, already judged and under their locks.
CREATE OR REPLACE FUNCTION ledger.write_holds(p_authority uuid, p_plan jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH placed AS (
        INSERT INTO ledger.hold (id, authority, account, payee, amount, lapses_at)
        SELECT h.id, p_authority, h.account, h.payee, h.amount, h.lapses_at
        FROM jsonb_to_recordset(p_plan -> 'holds') AS h (id uuid, account uuid, payee uuid, amount bigint, lapses_at timestamptz)
        RETURNING id, lapses_at
    )
    INSERT INTO ledger.live_hold (hold, lapses_at) SELECT id, lapses_at FROM placed;

    WITH made AS (
        INSERT INTO ledger.resolution (hold, line, kind, captured, released, final, entry, authority)
        SELECT r.hold, (SELECT count(*) + 1 FROM ledger.resolution x WHERE x.hold = r.hold), r.kind, r.captured,
               CASE WHEN r.final THEN h.amount - r.before - r.captured ELSE 0 END, r.final, r.entry, p_authority
        FROM ledger.resolved_by(p_plan) AS r JOIN ledger.hold h ON h.id = r.hold
        RETURNING hold, final
    )
    DELETE FROM ledger.live_hold l USING made WHERE made.final AND l.hold = made.hold;
END $$;
