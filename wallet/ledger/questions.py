"""What the proof of the ledger asks the database: one question for each code, as data.

An answer is a row for each difference: about what, and what differs. No row: no difference.
"""

from typing import Final

QUESTIONS: Final[dict[str, str]] = {
    # What stored balances say against what the postings come to.
    "balance_differs": """
        WITH moved AS (
            SELECT x.account, sum(x.amount) AS amount FROM (
                SELECT debit AS account, amount FROM ledger.posting UNION ALL SELECT credit, -amount FROM ledger.posting
            ) AS x GROUP BY x.account
        )
        SELECT a.id, format('stored %s, postings come to %s', b.posted,
                            CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * coalesce(m.amount, 0))
        FROM ledger.account a
        LEFT JOIN ledger.balance_now b ON b.account = a.id
        LEFT JOIN moved m ON m.account = a.id
        WHERE b.posted IS DISTINCT FROM CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * coalesce(m.amount, 0)""",
    "floor_broken": """
        SELECT a.id, format('available %s is below the floor %s', b.posted - b.held, a.floor)
        FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id WHERE b.posted - b.held < a.floor""",
    "floor_differs": """
        SELECT a.id, format('account %s, balance row %s, chart %s', a.floor, b.floor, c.floor)
        FROM ledger.account a JOIN ledger.balance b ON b.account = a.id JOIN ledger.chart c ON c.code = a.code
        WHERE a.floor IS DISTINCT FROM b.floor OR a.floor IS DISTINCT FROM c.floor OR a.normal <> c.normal""",
    "held_differs": """
        SELECT b.account, format('held %s, holds come to %s', b.held, coalesce(h.held, 0)) FROM ledger.balance b
        LEFT JOIN (SELECT h.account, sum(h.amount - coalesce(r.gone, 0)) AS held FROM ledger.hold h
                   LEFT JOIN (SELECT r.hold, sum(r.captured + r.released) AS gone FROM ledger.resolution r GROUP BY r.hold) AS r
                        ON r.hold = h.id
                   GROUP BY h.account) AS h ON h.account = b.account
        WHERE b.held <> coalesce(h.held, 0)""",
    "trial_balance_differs": """
        SELECT 'trial balance', format('debit accounts %s, credit accounts %s', t.debit, t.credit)
        FROM (SELECT coalesce(sum(b.posted) FILTER (WHERE a.normal = 'debit'), 0) AS debit,
                     coalesce(sum(b.posted) FILTER (WHERE a.normal = 'credit'), 0) AS credit
              FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id) AS t
        WHERE t.debit <> t.credit""",
    # Nothing hangs in the air.
    "posting_orphan": """
        SELECT p.entry, format('line %s', p.line) FROM ledger.posting p
        LEFT JOIN ledger.entry e ON e.id = p.entry
        LEFT JOIN ledger.account d ON d.id = p.debit
        LEFT JOIN ledger.account c ON c.id = p.credit
        WHERE e.id IS NULL OR d.id IS NULL OR c.id IS NULL""",
    "posting_unsound": """
        SELECT entry, format('line %s: amount %s', line, amount) FROM ledger.posting
        WHERE amount NOT BETWEEN 1 AND 1000000000000000 OR debit = credit""",
    "outcome_orphan": """
        SELECT o.authority, o.status::text FROM ledger.outcome o LEFT JOIN ledger.authority a ON a.id = o.authority WHERE a.id IS NULL""",
    "content_orphan": """
        SELECT c.authority, 'words of no order' FROM person.order_content c LEFT JOIN ledger.authority a ON a.id = c.authority
        WHERE a.id IS NULL""",
    "event_orphan": """
        SELECT v.id, v.type FROM ledger.event v
        LEFT JOIN ledger.authority a ON a.id = v.authority LEFT JOIN ledger.entry e ON e.id = v.entry
        WHERE v.authority IS NOT NULL AND a.id IS NULL OR v.entry IS NOT NULL AND e.id IS NULL""",
    "delta_orphan": """
        SELECT d.id, d.account::text FROM ledger.delta d LEFT JOIN ledger.balance b ON b.account = d.account
        WHERE b.account IS NULL""",
    "entry_empty": """
        SELECT e.id, e.kind FROM ledger.entry e WHERE NOT EXISTS (SELECT 1 FROM ledger.posting p WHERE p.entry = e.id)""",
    # Each authority and its entries, both ways.
    "entry_without_authority": """
        SELECT e.id, e.kind FROM ledger.entry e LEFT JOIN ledger.authority a ON a.id = e.authority WHERE a.id IS NULL""",
    "authority_without_outcome": """
        SELECT a.id, a.order_kind FROM ledger.authority a LEFT JOIN ledger.outcome o ON o.authority = a.id
        WHERE o.authority IS NULL""",
    # Each posting fits a flow: from where to where, on whose word, out of whose account.
    "posting_without_flow": """
        SELECT p.entry, format('line %s: %s, %s to %s by a %s to %s of %s', p.line, e.kind, d.code, c.code, a.kind,
                               a.order_kind, a.signer)
        FROM ledger.posting p
        JOIN ledger.entry e ON e.id = p.entry JOIN ledger.authority a ON a.id = e.authority
        JOIN ledger.account d ON d.id = p.debit JOIN ledger.account c ON c.id = p.credit
        LEFT JOIN ledger.flow f ON f.kind = e.kind AND f.authority = a.kind AND f.order_kind = a.order_kind
                               AND f.debit = d.code AND f.credit = c.code
        WHERE f.kind IS NULL
           OR CASE f.debit_of WHEN 'signer' THEN d.holder IS DISTINCT FROM a.signer
                              WHEN 'house' THEN d.holder IS NOT NULL
                              WHEN 'staff' THEN d.holder IS DISTINCT FROM a.signer AND NOT EXISTS
                                                (SELECT 1 FROM identity.staff s WHERE s.holder = a.signer AND s.merchant = d.holder
                                                                                  AND s.since <= a.at AND coalesce(s.until > a.at, true))
                              WHEN 'payee' THEN (SELECT sum(CASE x.credit WHEN d.id THEN x.amount ELSE -x.amount END) FROM ledger.posting x
                                                 WHERE x.entry = e.id AND d.id IN (x.debit, x.credit)) < 0
                              WHEN 'mandate' THEN NOT EXISTS (SELECT 1 FROM ledger.charge c JOIN ledger.mandate m ON m.authority = c.mandate
                                                              WHERE c.entry = e.id AND m.account = d.id)
                              WHEN 'office' THEN NOT EXISTS (SELECT 1 FROM identity.role r WHERE r.holder = a.signer
                                                             AND r.role = 'officer' AND r.agency = d.holder)
                              ELSE NOT EXISTS (SELECT 1 FROM ledger.resolution r JOIN ledger.hold h ON h.id = r.hold
                                               WHERE r.entry = e.id AND h.account = d.id AND h.payee = c.id) END""",
    "posting_instant_differs": """
        SELECT p.entry, format('line %s', p.line) FROM ledger.posting p JOIN ledger.entry e ON e.id = p.entry
        WHERE p.effective_at <> e.effective_at OR p.posted_at <> e.posted_at""",
    "entry_unnamed": """
        SELECT e.id, 'its authority does not name it' FROM ledger.entry e
        LEFT JOIN ledger.outcome o ON o.authority = e.authority WHERE e.id <> ALL (coalesce(o.entries, '{}'))""",
    "outcome_entry_missing": """
        SELECT o.authority, n.id::text FROM ledger.outcome o CROSS JOIN LATERAL unnest(o.entries) AS n (id)
        LEFT JOIN ledger.entry e ON e.id = n.id AND e.authority = o.authority WHERE e.id IS NULL""",
    "refusal_wrote": """
        SELECT o.authority, o.code FROM ledger.outcome o
        WHERE o.code IS NOT NULL AND (EXISTS (SELECT 1 FROM ledger.entry e WHERE e.authority = o.authority)
                                      OR EXISTS (SELECT 1 FROM ledger.event v WHERE v.authority = o.authority))""",
    # Each thing done is told, and told as it was.
    "entry_untold": """
        SELECT e.id, e.kind FROM ledger.entry e WHERE NOT EXISTS (SELECT 1 FROM ledger.event v WHERE v.entry = e.id)""",
    "authority_untold": """
        SELECT a.id, a.order_kind FROM ledger.authority a JOIN ledger.outcome o ON o.authority = a.id
        WHERE o.code IS NULL AND NOT EXISTS (SELECT 1 FROM ledger.event v WHERE v.authority = a.id)""",
    "event_differs": """
        SELECT v.id, v.type FROM ledger.event v
        CROSS JOIN LATERAL (SELECT convert_from(v.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS t  -- read once: OFFSET keeps it whole
        WHERE t.said ->> 'id' <> v.id::text OR t.said ->> 'type' <> v.type OR t.said ->> 'subject' <> v.subject
           OR t.said ->> 'actor' <> coalesce(v.actor::text, '') OR t.said ->> 'v' <> '1'
           OR (t.said ->> 'at')::timestamptz <> v.at""",
    "event_entry_differs": """
        SELECT v.id, format('entry %s', v.entry) FROM ledger.event v
        CROSS JOIN LATERAL (SELECT convert_from(v.bytes, 'UTF8')::jsonb -> 'data' -> 'entry' AS said OFFSET 0) AS t
        LEFT JOIN ledger.entry e ON e.id = v.entry
        LEFT JOIN LATERAL (
            SELECT jsonb_agg(jsonb_build_object('debit', p.debit::text, 'credit', p.credit::text, 'amount', p.amount::text)
                             ORDER BY p.line) AS postings
            FROM ledger.posting p WHERE p.entry = v.entry) AS p ON true
        WHERE v.entry IS NOT NULL AND (
            e.id IS NULL OR t.said -> 'postings' IS DISTINCT FROM p.postings OR t.said ->> 'id' <> e.id::text
            OR t.said ->> 'kind' <> e.kind OR t.said ->> 'settles' <> coalesce(e.settles::text, '')
            OR t.said ->> 'reverses' <> coalesce(e.reverses::text, '') OR t.said ->> 'refunds' <> coalesce(e.refunds::text, '')
            OR (t.said ->> 'effective_at')::timestamptz <> e.effective_at)""",
    "event_order_differs": """
        SELECT v.id, v.type FROM ledger.event v
        CROSS JOIN LATERAL (SELECT convert_from(v.bytes, 'UTF8')::jsonb #> '{data,order}' AS said OFFSET 0) AS t
        LEFT JOIN ledger.authority a ON a.id = v.authority
        WHERE v.authority IS NOT NULL
          AND (t.said ->> 'authority' IS DISTINCT FROM a.id::text OR t.said ->> 'digest' IS DISTINCT FROM encode(a.digest, 'hex')
               OR v.actor IS DISTINCT FROM a.signer)""",
    # Holds: within their amount and their time, resolved once, and their payee's alone.
    "hold_exceeded": """
        SELECT h.id, format('amount %s, captured %s, released %s', h.amount, r.captured, r.released) FROM ledger.hold h
        CROSS JOIN LATERAL (SELECT sum(x.captured) AS captured, sum(x.released) AS released, bool_or(x.final) AS final
                            FROM ledger.resolution x WHERE x.hold = h.id) AS r
        WHERE r.captured + r.released > h.amount OR r.final AND r.captured + r.released <> h.amount""",
    "hold_live_differs": """
        SELECT h.id, CASE WHEN l.hold IS NULL THEN 'unresolved, and not in the working set'
                          WHEN l.lapses_at <> h.lapses_at THEN 'another instant in the working set' ELSE 'resolved, and still in it' END
        FROM ledger.hold h LEFT JOIN ledger.live_hold l ON l.hold = h.id
        WHERE (l.hold IS NOT NULL) = EXISTS (SELECT 1 FROM ledger.resolution r WHERE r.hold = h.id AND r.final)
           OR l.lapses_at <> h.lapses_at""",
    "hold_unsigned": """
        SELECT h.id, format('%s to %s of %s', a.kind, a.order_kind, a.signer) FROM ledger.hold h
        JOIN ledger.authority a ON a.id = h.authority JOIN ledger.account o ON o.id = h.account
        WHERE a.kind <> 'signed_order' OR a.order_kind <> 'hold' OR o.holder IS DISTINCT FROM a.signer""",
    "resolution_unlawful": """
        SELECT r.hold, format('%s by a %s to %s', r.kind, a.kind, a.order_kind) FROM ledger.resolution r
        JOIN ledger.hold h ON h.id = r.hold JOIN ledger.authority a ON a.id = r.authority
        JOIN ledger.account p ON p.id = h.payee
        WHERE CASE r.kind
              WHEN 'capture' THEN a.kind <> 'mandate' OR a.under <> h.authority OR a.signer IS DISTINCT FROM p.holder
                                  OR r.at >= h.lapses_at
              WHEN 'void' THEN a.kind <> 'signed_order' OR a.order_kind <> 'hold_void' OR a.signer IS DISTINCT FROM p.holder
                               OR r.at >= h.lapses_at
              ELSE a.kind <> 'rule_run' OR a.order_kind <> 'hold_lapse' OR r.at < h.lapses_at END""",
    "capture_differs": """
        SELECT coalesce(r.hold, e.id), format('resolution says %s, entry %s', r.captured, p.amount) FROM ledger.resolution r
        FULL JOIN (SELECT * FROM ledger.entry WHERE kind = 'capture') AS e ON e.id = r.entry
        LEFT JOIN LATERAL (SELECT sum(x.amount) AS amount FROM ledger.posting x WHERE x.entry = e.id) AS p ON true
        WHERE (e.id IS NOT NULL OR r.kind = 'capture') AND r.captured IS DISTINCT FROM p.amount""",
    "hold_untold": """
        SELECT h.id, 'hold.placed' FROM ledger.hold h WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = h.id::text AND v.type = 'hold.placed' AND v.authority = h.authority
              AND convert_from(v.bytes, 'UTF8')::jsonb -> 'data' @> jsonb_build_object(
                  'account', h.account::text, 'payee', h.payee::text, 'amount', h.amount::text)
              AND (convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,lapses_at}')::timestamptz = h.lapses_at)
        UNION ALL
        SELECT r.hold, r.kind FROM ledger.resolution r WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = r.hold::text AND v.authority = r.authority
              AND v.type = CASE r.kind WHEN 'capture' THEN 'hold.captured' WHEN 'void' THEN 'hold.voided' ELSE 'hold.lapsed' END)""",
    # Mandates: their holder's own, charged once, within their amount and their time, and never after a newer one.
    "mandate_unsigned": """
        SELECT m.authority, format('%s to %s of %s', a.kind, a.order_kind, a.signer) FROM ledger.mandate m
        JOIN ledger.authority a ON a.id = m.authority JOIN ledger.account w ON w.id = m.account
        WHERE a.kind <> 'signed_order' OR a.order_kind <> 'mandate' OR w.holder IS DISTINCT FROM a.signer""",
    "charge_unlawful": """
        SELECT c.mandate, format('charged at %s by a %s to %s', c.at, a.kind, a.order_kind) FROM ledger.charge c
        JOIN ledger.mandate m ON m.authority = c.mandate JOIN ledger.authority a ON a.id = c.authority
        WHERE a.kind <> 'mandate' OR a.order_kind <> 'charge' OR a.under <> c.mandate OR c.at < m.made_at OR c.at >= m.lapses_at
           OR (SELECT sum(p.amount) FROM ledger.posting p WHERE p.entry = c.entry AND p.debit = m.account) > m.cap
           OR EXISTS (SELECT 1 FROM ledger.mandate n WHERE n.account = m.account AND n.made_at > m.made_at AND n.made_at < c.at)""",
    "charge_differs": """
        SELECT coalesce(c.mandate, e.id), format('charged by entry %s', c.entry) FROM ledger.charge c
        FULL JOIN (SELECT e.id, e.authority FROM ledger.entry e JOIN ledger.authority a ON a.id = e.authority
                   WHERE a.order_kind = 'charge') AS e ON e.id = c.entry AND e.authority = c.authority
        WHERE c.mandate IS NULL OR e.id IS NULL""",
    "mandate_untold": """
        SELECT m.authority, 'mandate.signed' FROM ledger.mandate m WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = m.authority::text AND v.type = 'mandate.signed' AND v.authority = m.authority
              AND convert_from(v.bytes, 'UTF8')::jsonb -> 'data' @> jsonb_build_object('account', m.account::text, 'cap', m.cap::text))""",
    # Reversals and refunds: mirrored lines, together at most what was paid, of nothing that itself undoes.
    "undoing_unlinked": """
        SELECT e.id, e.kind FROM ledger.entry e
        LEFT JOIN ledger.entry o ON o.id = coalesce(e.reverses, e.refunds)
        WHERE (e.kind = 'reversal') <> (e.reverses IS NOT NULL) OR (e.kind = 'refund') <> (e.refunds IS NOT NULL)
           OR o.reverses IS NOT NULL OR o.refunds IS NOT NULL
           OR e.reverses IS NULL AND e.refunds IS NULL AND EXISTS (SELECT 1 FROM ledger.posting p WHERE p.entry = e.id AND p.of_line IS NOT NULL)""",
    "undoing_not_mirrored": """
        SELECT e.id, format('line %s', p.line) FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id
        LEFT JOIN ledger.posting o ON o.entry = coalesce(e.reverses, e.refunds) AND o.line = p.of_line
        WHERE (e.reverses IS NOT NULL OR e.refunds IS NOT NULL)
          AND (o.entry IS NULL OR o.debit <> p.credit OR o.credit <> p.debit)""",
    "undone_too_much": """
        SELECT o.entry, format('line %s: paid %s, given back %s', o.line, o.amount, sum(p.amount)) FROM ledger.entry e
        JOIN ledger.posting p ON p.entry = e.id
        JOIN ledger.posting o ON o.entry = coalesce(e.reverses, e.refunds) AND o.line = p.of_line
        GROUP BY o.entry, o.line, o.amount
        HAVING sum(p.amount) > o.amount OR bool_or(e.reverses IS NOT NULL) AND count(*) > 1""",
    "reversal_not_whole": """
        SELECT e.id, format('entry %s', e.reverses) FROM ledger.entry e
        WHERE e.reverses IS NOT NULL
          AND (SELECT array_agg((p.of_line, p.amount)::text ORDER BY p.of_line) FROM ledger.posting p WHERE p.entry = e.id)
              IS DISTINCT FROM
              (SELECT array_agg((o.line, o.amount)::text ORDER BY o.line) FROM ledger.posting o WHERE o.entry = e.reverses)""",
    # Limits: what the counters say is what was counted less what was given back.
    "limit_usage_differs": """
        WITH counted AS (
            SELECT coalesce(m.signer, a.signer) AS holder, c.bucket, c.starts, sum(c.amount) AS amount
            FROM ledger.outcome o JOIN ledger.authority a ON a.id = o.authority
            LEFT JOIN ledger.authority m ON m.id = a.under  -- a charge counts for who signed its mandate
            CROSS JOIN LATERAL jsonb_to_recordset(o.counted) AS c (bucket text, starts date, amount bigint)
            WHERE o.counted IS NOT NULL GROUP BY 1, 2, 3
        ), back AS (
            SELECT b.holder, b.bucket, b.starts, sum(b.amount) AS amount FROM (
                SELECT a.signer AS holder, c.bucket, c.starts, r.released AS amount
                FROM ledger.resolution r JOIN ledger.hold h ON h.id = r.hold JOIN ledger.outcome o ON o.authority = h.authority
                JOIN ledger.authority a ON a.id = o.authority
                CROSS JOIN LATERAL jsonb_to_recordset(o.counted) AS c (bucket text, starts date)
                UNION ALL
                SELECT a.signer, c.bucket, c.starts, c.amount
                FROM ledger.uncounted n JOIN ledger.outcome o ON o.authority = n.authority
                JOIN ledger.authority a ON a.id = o.authority
                CROSS JOIN LATERAL jsonb_to_recordset(o.counted) AS c (bucket text, starts date, amount bigint)
            ) AS b GROUP BY 1, 2, 3
        )
        SELECT coalesce(u.holder, c.holder), format('%s from %s: used %s, counted %s, given back %s', coalesce(u.bucket, c.bucket),
                                                    coalesce(u.starts, c.starts), u.used, c.amount, coalesce(b.amount, 0))
        FROM ledger.usage u
        FULL JOIN counted c ON c.holder = u.holder AND c.bucket = u.bucket AND c.starts = u.starts
        LEFT JOIN back b ON b.holder = c.holder AND b.bucket = c.bucket AND b.starts = c.starts
        WHERE u.used IS DISTINCT FROM (c.amount - coalesce(b.amount, 0))""",
    "limit_exceeded": """
        SELECT u.holder, format('%s from %s: used %s, cap %s', u.bucket, u.starts, u.used, c.cap) FROM ledger.usage u
        CROSS JOIN LATERAL (
            SELECT max(x.cap) AS cap
            FROM (SELECT a.id FROM ledger.authority a WHERE a.signer = u.holder AND a.under IS NULL
                  UNION ALL
                  SELECT c.authority FROM ledger.account w JOIN ledger.mandate m ON m.account = w.id
                  JOIN ledger.charge c ON c.mandate = m.authority WHERE w.holder = u.holder) AS a
            JOIN ledger.outcome o ON o.authority = a.id
            CROSS JOIN LATERAL jsonb_to_recordset(o.counted) AS x (bucket text, starts date, cap bigint)
            WHERE o.counted IS NOT NULL AND x.bucket = u.bucket AND x.starts = u.starts) AS c
        WHERE u.used > c.cap""",
    "uncounted_came_to_something": """
        SELECT n.authority, 'has entries or a hold, and does not count' FROM ledger.uncounted n
        WHERE EXISTS (SELECT 1 FROM ledger.entry e WHERE e.authority = n.authority)
           OR EXISTS (SELECT 1 FROM ledger.hold h WHERE h.authority = n.authority)""",
    # Periods: nothing came into one after it was closed, and what was sealed is what the postings come to.
    "period_late_entry": """
        SELECT e.id, format('effective %s, posted %s, period closed %s', e.effective_at, e.posted_at, p.closed_at)
        FROM ledger.period p JOIN ledger.entry e ON e.effective_at < ledger.day_start(p.ends + 1) AND e.posted_at > p.closed_at""",
    "period_trial_differs": """
        WITH moved AS (
            SELECT x.account, ledger.day_of(x.effective_at) AS day, sum(x.amount) AS amount FROM (
                SELECT p.debit AS account, p.amount, p.effective_at FROM ledger.posting p
                UNION ALL SELECT p.credit, -p.amount, p.effective_at FROM ledger.posting p
            ) AS x GROUP BY 1, 2
        ), line AS (
            SELECT a.code, a.normal, m.day, sum(m.amount) AS amount FROM moved m JOIN ledger.account a ON a.id = m.account
            GROUP BY a.code, a.normal, m.day
        ), total AS (
            SELECT d.id, l.code, sum(l.amount) AS balance FROM ledger.period d JOIN line l ON l.day <= d.ends GROUP BY d.id, l.code
        )
        SELECT coalesce(t.id, x.period), format('%s: sealed %s debit and %s credit, postings come to %s', coalesce(t.code, x.code),
                                                x.debit, x.credit, t.balance)
        FROM total t FULL JOIN ledger.trial x ON x.period = t.id AND x.code = t.code
        WHERE x.debit - x.credit IS DISTINCT FROM t.balance""",
    "snapshot_differs": """
        WITH last AS (SELECT ends, max(mark) AS mark FROM ledger.period GROUP BY ends ORDER BY ends DESC LIMIT 1),
        side AS (
            SELECT p.debit AS account, p.amount, p.effective_at, p.seq FROM ledger.posting p
            UNION ALL SELECT p.credit, -p.amount, p.effective_at, p.seq FROM ledger.posting p
        ), moved AS (
            SELECT s.account, coalesce(sum(s.amount) FILTER (WHERE s.effective_at < ledger.day_start(l.ends + 1)), 0) AS effective,
                   coalesce(sum(s.amount) FILTER (WHERE s.seq <= l.mark), 0) AS sequenced
            FROM side s CROSS JOIN last l GROUP BY s.account
        )
        SELECT a.id, format('snapshot %s and %s, postings come to %s and %s', h.effective, h.sequenced, m.effective, m.sequenced)
        FROM ledger.account a CROSS JOIN last l LEFT JOIN moved m ON m.account = a.id
        LEFT JOIN LATERAL (SELECT s.effective, s.sequenced FROM ledger.snapshot s WHERE s.account = a.id ORDER BY s.ends DESC LIMIT 1) AS h ON true
        WHERE (coalesce(h.effective, 0), coalesce(h.sequenced, 0)) IS DISTINCT FROM
              (CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * coalesce(m.effective, 0),
               CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * coalesce(m.sequenced, 0))""",
    "period_untold": """
        SELECT p.id, format('%s %s', p.kind, p.starts) FROM ledger.period p WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = p.id::text AND v.type = 'period.closed' AND v.authority = p.authority
              AND convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,digest}' = encode(p.digest, 'hex')
              AND convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,ends}' = p.ends::text
              AND convert_from(v.bytes, 'UTF8')::jsonb #> '{data,trial}' = (
                  SELECT coalesce(jsonb_agg(jsonb_build_object('code', t.code, 'debit', t.debit::text, 'credit', t.credit::text)
                                            ORDER BY t.code), '[]') FROM ledger.trial t WHERE t.period = p.id))""",
    # Accounts: in the state that their last move says, each move told.
    "account_status_differs": """
        SELECT a.id, format('is %s, was last moved to %s', a.status, m.status) FROM ledger.account a
        LEFT JOIN LATERAL (SELECT x.status FROM ledger.account_move x WHERE x.account = a.id ORDER BY x.line DESC LIMIT 1) AS m ON true
        WHERE a.status <> coalesce(m.status, 'open')""",
    "account_move_untold": """
        SELECT m.account, m.status FROM ledger.account_move m WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = m.account::text AND v.authority = m.authority
              AND v.type = 'account.' || CASE m.status WHEN 'open' THEN 'thawed' ELSE m.status END)""",
    "closed_not_empty": """
        SELECT a.id, format('posted %s, held %s', b.posted, b.held) FROM ledger.account a
        JOIN ledger.balance_now b ON b.account = a.id WHERE a.status = 'closed' AND (b.posted <> 0 OR b.held <> 0)""",
    # What was asked is what was kept.
    "digest_differs": """
        SELECT a.id, a.order_kind FROM ledger.authority a JOIN person.order_content c ON c.authority = a.id
        WHERE sha256(c.salt || c.bytes) <> a.digest""",
    "key_not_signers": """
        SELECT a.id, a.key_id FROM ledger.authority a LEFT JOIN identity.key k ON k.id = a.key_id
        WHERE a.key_id IS NOT NULL AND k.holder IS DISTINCT FROM a.signer""",
}

SINCE: Final[dict[str, tuple[str, str]]] = {
    "posting_orphan": ("ledger.posting p", "posted_at"),
    "posting_without_flow": ("ledger.posting p", "posted_at"),
    "posting_instant_differs": ("ledger.posting p", "posted_at"),
    "entry_empty": ("ledger.entry e", "posted_at"),
    "entry_without_authority": ("ledger.entry e", "posted_at"),
    "authority_without_outcome": ("ledger.authority a", "at"),
    "entry_unnamed": ("ledger.entry e", "posted_at"),
    "entry_untold": ("ledger.entry e", "posted_at"),
    "authority_untold": ("ledger.authority a", "at"),
    "event_orphan": ("ledger.event v", "at"),
    "event_differs": ("ledger.event v", "at"),
    "event_entry_differs": ("ledger.event v", "at"),
    "event_order_differs": ("ledger.event v", "at"),
    "resolution_unlawful": ("ledger.resolution r", "at"),
    "undoing_unlinked": ("ledger.entry e", "posted_at"),
    "undoing_not_mirrored": ("ledger.entry e", "posted_at"),
    "reversal_not_whole": ("ledger.entry e", "posted_at"),
    "account_move_untold": ("ledger.account_move m", "at"),
    "period_untold": ("ledger.period p", "closed_at"),
    "digest_differs": ("ledger.authority a", "at"),
    "key_not_signers": ("ledger.authority a", "at"),
}
"""What an incremental proof asks about new rows only: the table it goes over, and when a row of it came. A question that is
not named here is asked of everything: it is about the present, or small."""

BALANCES_SINCE: Final = """
    WITH moved AS (
        SELECT x.account, sum(x.amount) AS amount FROM (
            SELECT p.debit AS account, p.amount FROM ledger.posting p WHERE p.seq > %(mark)s
            UNION ALL SELECT p.credit, -p.amount FROM ledger.posting p WHERE p.seq > %(mark)s
        ) AS x GROUP BY x.account
    )
    SELECT a.id, format('stored %%s, proven %%s and postings since %%s', b.posted, coalesce(s.sequenced, 0), coalesce(m.amount, 0))
    FROM ledger.account a
    LEFT JOIN ledger.balance_now b ON b.account = a.id
    LEFT JOIN moved m ON m.account = a.id
    LEFT JOIN LATERAL (SELECT x.sequenced FROM ledger.snapshot x WHERE x.account = a.id AND x.ends <= %(ends)s
                       ORDER BY x.ends DESC LIMIT 1) AS s ON true
    WHERE b.posted IS DISTINCT FROM coalesce(s.sequenced, 0) + CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END * coalesce(m.amount, 0)"""
"""In an incremental proof in place of `balance_differs`: what was proven by the period's mark, and the postings since."""

WHOLE: Final = frozenset({"balance_differs", "snapshot_differs", "period_trial_differs", "posting_unsound"})
"""Asked by a full proof only: they go over every posting there ever was. An incremental one compares the digest instead."""

PROVEN: Final = """
    SELECT p.ends, min(p.mark) AS mark, min(p.closed_at) AS closed_at,
           (SELECT encode(sha256(convert_to(coalesce(string_agg(x.account || ':' || x.effective || ':' || x.sequenced, ','
                                                                ORDER BY x.account), ''), 'UTF8')), 'hex')
            FROM (SELECT DISTINCT ON (s.account) s.account, s.effective, s.sequenced FROM ledger.snapshot s
                  WHERE s.ends <= p.ends ORDER BY s.account, s.ends DESC) AS x) AS digest
    FROM ledger.period p WHERE %(ends)s::date IS NULL OR p.ends = %(ends)s::date
    GROUP BY p.ends ORDER BY p.ends DESC LIMIT 1"""
"""Where a proof can be gone on from: a closed period, its mark, and a digest of every account's snapshot by then. Of a day and
the month that ends with it the day, which was closed first: closing the month later changes nothing that was proven."""
