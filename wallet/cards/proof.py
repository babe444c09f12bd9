"""Proof of the cards: each đồng that came in by card answers to the acquirer's word, once, and to what its holder signed."""

from typing import Final

QUESTIONS: Final[dict[str, str]] = {
    "card_receipt_unasked": """
        SELECT e.id, e.kind FROM ledger.entry e
        WHERE e.kind IN ('card_topup', 'card_receipt') AND NOT EXISTS (SELECT 1 FROM cards.payment p WHERE p.entry = e.id)""",
    "card_payment_differs": """
        SELECT p.id, format('%s of %s, entry %s', p.purpose, p.amount, p.entry) FROM cards.payment p
        LEFT JOIN ledger.entry e ON e.id = p.entry
        LEFT JOIN ledger.posting g ON g.entry = e.id
        LEFT JOIN ledger.account c ON c.id = g.credit
        WHERE p.entry IS NOT NULL
          AND (g.amount IS DISTINCT FROM p.amount
               OR CASE e.kind WHEN 'card_topup' THEN p.purpose <> 'topup' OR c.id <> p.target
                              WHEN 'card_receipt' THEN c.code <> 'card_pending' ELSE true END)""",
    "card_payment_not_as_said": """
        SELECT p.id, format('entry %s is not on the acquirer''s word that it took so much', p.entry) FROM cards.payment p
        JOIN ledger.entry e ON e.id = p.entry JOIN ledger.authority a ON a.id = e.authority
        LEFT JOIN person.order_content c ON c.authority = a.id
        WHERE a.kind <> 'outside_word' OR a.order_kind <> 'card_receipt'
           OR c.bytes IS NOT NULL AND (
              convert_from(c.bytes, 'UTF8')::jsonb ->> 'payment' IS DISTINCT FROM p.id::text
              OR convert_from(c.bytes, 'UTF8')::jsonb ->> 'amount' IS DISTINCT FROM p.amount::text
              OR convert_from(c.bytes, 'UTF8')::jsonb ->> 'acquirer' IS DISTINCT FROM p.acquirer
              OR convert_from(c.bytes, 'UTF8')::jsonb ->> 'state' IS DISTINCT FROM 'succeeded')""",
    "card_payment_twice": """
        SELECT convert_from(c.bytes, 'UTF8')::jsonb ->> 'payment', format('%s words brought its money in', count(*))
        FROM ledger.authority a JOIN person.order_content c ON c.authority = a.id
        WHERE a.kind = 'outside_word' AND a.order_kind = 'card_receipt'
        GROUP BY 1 HAVING count(*) > 1""",
    "card_payment_not_as_signed": """
        SELECT p.id, 'purpose, target or amount is not that of the signed order' FROM cards.payment p
        JOIN ledger.authority a ON a.id = p.authority
        LEFT JOIN person.order_content c ON c.authority = a.id
        WHERE a.kind <> 'signed_order' OR a.signer <> p.holder OR a.order_id <> p.order_id
           OR a.order_kind <> CASE p.purpose WHEN 'topup' THEN 'card_topup' ELSE 'card_payment' END
           OR c.bytes IS NOT NULL AND (
              convert_from(c.bytes, 'UTF8')::jsonb ->> 'amount' IS DISTINCT FROM p.amount::text
              OR coalesce(convert_from(c.bytes, 'UTF8')::jsonb ->> 'payee', convert_from(c.bytes, 'UTF8')::jsonb ->> 'target')
                 IS DISTINCT FROM p.target::text)""",
    "card_state_differs": """
        SELECT x.id, format('%s %s, last moved to %s', x.what, x.state, coalesce(m.state, x.first)) FROM (
            SELECT id, 'payment' AS what, state, 'created' AS first FROM cards.payment
            UNION ALL SELECT id, 'refund', state, 'created' FROM cards.refund
            UNION ALL SELECT id, 'dispute', state, 'told' FROM cards.dispute) AS x
        LEFT JOIN LATERAL (SELECT m.state FROM cards.move m WHERE m.subject = x.id ORDER BY m.line DESC LIMIT 1) AS m ON true
        WHERE x.state <> coalesce(m.state, x.first)""",
    "card_move_untold": """
        SELECT m.subject, format('%s to %s', m.what, m.state) FROM cards.move m
        WHERE NOT EXISTS (SELECT 1 FROM ledger.event v WHERE v.subject = m.subject::text
                          AND v.type = 'card_' || m.what || '.' || m.state AND v.at = m.at)""",
    "card_pending_differs": """
        SELECT 'card_pending', format('posted %s, owed back to cards %s', b.posted, coalesce(r.owed, 0) + coalesce(g.given, 0))
        FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id
        CROSS JOIN (SELECT sum(amount) AS owed FROM cards.refund WHERE entry IS NULL AND state <> 'failed') AS r
        CROSS JOIN (SELECT sum(p.amount) AS given FROM ledger.posting p JOIN ledger.entry e ON e.id = p.entry
                    JOIN ledger.account c ON c.id = p.credit AND c.code = 'card_pending'
                    WHERE e.kind IN ('refund', 'reversal')
                      AND NOT EXISTS (SELECT 1 FROM cards.refund x WHERE x.of_entry = e.id)) AS g
        WHERE a.code = 'card_pending' AND b.posted <> coalesce(r.owed, 0) + coalesce(g.given, 0)""",
    "card_refund_differs": """
        SELECT r.id, format('refund of %s, entry %s', r.amount, x.entry) FROM cards.refund r
        CROSS JOIN LATERAL (VALUES (r.entry, 'card_refund'), (r.failed_entry, 'card_refund_failed')) AS x (entry, kind)
        LEFT JOIN ledger.entry e ON e.id = x.entry LEFT JOIN ledger.posting g ON g.entry = e.id
        WHERE x.entry IS NOT NULL AND (e.kind IS DISTINCT FROM x.kind OR g.amount <> r.amount)""",
    "card_refund_settled_differs": """
        SELECT coalesce(r.id, e.id), format('refund of %s, entry %s', r.amount, e.id) FROM cards.refund r
        FULL JOIN (SELECT * FROM ledger.entry WHERE kind = 'card_refund_settled') AS e ON e.id = r.settled_entry
        LEFT JOIN cards.payment p ON p.id = r.payment
        LEFT JOIN ledger.posting g ON g.entry = e.id LEFT JOIN ledger.account c ON c.id = g.credit
        WHERE (r.settled_entry IS NOT NULL OR e.id IS NOT NULL)
          AND (r.amount, p.holder, 'wallet') IS DISTINCT FROM (g.amount, c.holder, c.code)""",
    "card_owed_differs": """
        SELECT 'refunds_payable', format('posted %s, owed %s', b.posted, coalesce(r.owed, 0))
        FROM ledger.account a JOIN ledger.balance_now b ON b.account = a.id
        CROSS JOIN (SELECT sum(amount) AS owed FROM cards.refund WHERE state = 'failed' AND settled_entry IS NULL) AS r
        WHERE a.code = 'refunds_payable' AND b.posted <> coalesce(r.owed, 0)""",
    "card_refund_too_much": """
        SELECT r.payment, format('paid %s, sent back %s', p.amount, sum(r.amount)) FROM cards.refund r
        JOIN cards.payment p ON p.id = r.payment GROUP BY r.payment, p.amount HAVING sum(r.amount) > p.amount""",
    "card_dispute_differs": """
        SELECT d.id, format('chargeback of %s, entry %s', d.amount, x.entry) FROM cards.dispute d
        CROSS JOIN LATERAL (VALUES (d.entry, 'card_dispute'), (d.won_entry, 'card_dispute_won')) AS x (entry, kind)
        LEFT JOIN ledger.entry e ON e.id = x.entry
        LEFT JOIN ledger.posting g ON g.entry = e.id AND g.line = 1
        WHERE x.entry IS NOT NULL AND (e.kind IS DISTINCT FROM x.kind OR g.amount <> d.amount)
           OR (d.state IN ('opened', 'won', 'lost')) <> (d.entry IS NOT NULL) OR (d.state = 'won') <> (d.won_entry IS NOT NULL)""",
    "card_line_fee_differs": """
        SELECT l.ref, format('fee %s, booked %s', l.fee - CASE l.kind WHEN 'fee' THEN l.amount ELSE 0 END, g.amount) FROM cards.line l
        LEFT JOIN ledger.entry e ON e.id = l.entry LEFT JOIN ledger.posting g ON g.entry = e.id AND g.line = 1
        WHERE l.fee - CASE l.kind WHEN 'fee' THEN l.amount ELSE 0 END
              <> coalesce(g.amount * CASE e.kind WHEN 'card_fee' THEN 1 ELSE -1 END, 0)""",
    "card_payout_differs": """
        SELECT o.ref, format('payout of %s, entry %s', o.amount, x.entry) FROM cards.payout o
        CROSS JOIN LATERAL (VALUES (o.entry, 'card_payout'), (o.failed_entry, 'card_payout_failed')) AS x (entry, kind)
        LEFT JOIN ledger.entry e ON e.id = x.entry LEFT JOIN ledger.posting g ON g.entry = e.id
        WHERE x.entry IS NOT NULL AND (e.kind IS DISTINCT FROM x.kind OR g.amount <> o.amount)""",
    "card_word_unkept": """
        SELECT e.id, e.kind FROM ledger.entry e
        WHERE e.kind IN ('card_refund', 'card_refund_failed', 'card_dispute', 'card_dispute_won', 'card_fee', 'card_fee_back',
                         'card_payout', 'card_payout_failed')
          AND NOT EXISTS (SELECT 1 FROM cards.refund r WHERE e.id IN (r.entry, r.failed_entry))
          AND NOT EXISTS (SELECT 1 FROM cards.dispute d WHERE e.id IN (d.entry, d.won_entry))
          AND NOT EXISTS (SELECT 1 FROM cards.line l WHERE l.entry = e.id)
          AND NOT EXISTS (SELECT 1 FROM cards.payout o WHERE e.id IN (o.entry, o.failed_entry))""",
}
"""What the proof of the books asks about cards, as in `wallet.ledger.questions`."""
