"""What the proof of the books asks of the market: what was paid is what was asked for, and was paid to whom it says.

Source  docs: `wallet.ledger.questions` for the form of a question: each row is a difference's subject and its detail.
"""

from typing import Final

from market import charges, rules

POINTS: Final[dict[str, str]] = {
    "point_astray": """
        SELECT p.id, 'stands at a place of another merchant' FROM market.point p
        JOIN market.location l ON l.id = p.location WHERE l.merchant <> p.merchant""",
    "merchant_account_differs": """
        SELECT m.holder, 'is paid into an account that is not its own' FROM market.merchant m
        LEFT JOIN ledger.account a ON a.id = m.account AND a.code = 'merchant' AND a.holder = m.holder
        WHERE m.account IS NOT NULL AND a.id IS NULL""",
    "merchant_state_differs": """
        SELECT m.holder, format('%s; its reviews say %s', m.state, coalesce(r.to_state, 'applied')) FROM market.merchant m
        LEFT JOIN LATERAL (SELECT x.to_state FROM market.merchant_review x WHERE x.merchant = m.holder
                           ORDER BY x.at DESC, x.id DESC LIMIT 1) AS r ON true
        WHERE m.state <> coalesce(r.to_state, 'applied')""",
    "merchant_one_officer": """
        SELECT r.merchant, format('%s by %s alone', r.to_state, r.officer) FROM market.merchant_review r
        JOIN LATERAL (SELECT x.officer FROM market.merchant_review x WHERE x.merchant = r.merchant AND (x.at, x.id) < (r.at, r.id)
                      ORDER BY x.at DESC, x.id DESC LIMIT 1) AS b ON true
        WHERE (r.from_state, r.to_state) IN (('reviewed', 'approved'), ('reviewed', 'refused'), ('suspended', 'approved'))
          AND b.officer = r.officer""",
}

PAYMENTS: Final[dict[str, str]] = {
    "merchant_payment_not_as_signed": """
        SELECT a.id, 'invoice, point, payer, payee or amount are not those of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.order_kind IN ('invoice_payment', 'point_payment')
          AND (SELECT jsonb_agg(jsonb_build_array(coalesce(e.settles::text, p.point::text), x.debit::text, x.credit::text, x.amount::text))
               FROM ledger.entry e JOIN ledger.posting x ON x.entry = e.id LEFT JOIN market.payment p ON p.entry = e.id
               WHERE e.authority = a.id)
              IS DISTINCT FROM
              jsonb_build_array(jsonb_build_array(s.said ->> CASE a.order_kind WHEN 'invoice_payment' THEN 'invoice' ELSE 'point' END,
                                                  s.said ->> 'payer', s.said ->> 'payee', s.said ->> 'amount'))""",
    "invoice_settled_differs": """
        SELECT e.settles, format('entry %s', e.id) FROM ledger.entry e
        LEFT JOIN market.invoice i ON i.id = e.settles LEFT JOIN market.merchant m ON m.holder = i.merchant
        WHERE e.kind = 'merchant_payment' AND e.settles IS NOT NULL
          AND (SELECT array_agg((p.credit, p.amount)::text) FROM ledger.posting p WHERE p.entry = e.id)
              IS DISTINCT FROM ARRAY[(m.account, i.amount)::text]""",
    "invoice_cancelled_and_paid": """
        SELECT i.id, 'cancelled' FROM market.invoice i
        WHERE i.cancelled_at IS NOT NULL AND (EXISTS (SELECT 1 FROM ledger.entry e WHERE e.settles = i.id)
                                              OR EXISTS (SELECT 1 FROM market.match m WHERE m.invoice = i.id))""",
    "invoice_untold": """
        SELECT i.id, i.number FROM market.invoice i WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = i.id::text AND v.type = 'invoice.issued'
                AND convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,amount}' = i.amount::text
                AND convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,point}' = i.point::text)""",
    "merchant_payment_differs": """
        SELECT coalesce(e.id, p.entry), CASE WHEN e.id IS NULL THEN 'no entry' WHEN p.entry IS NULL THEN 'not kept' ELSE 'kept otherwise' END
        FROM (SELECT e.* FROM ledger.entry e WHERE e.kind = 'merchant_payment') AS e
        FULL JOIN market.payment p ON p.entry = e.id
        LEFT JOIN ledger.posting x ON x.entry = e.id AND x.line = 1
        LEFT JOIN ledger.account d ON d.id = x.debit LEFT JOIN ledger.account c ON c.id = x.credit
        LEFT JOIN market.point t ON t.id = p.point
        WHERE (p.merchant, p.merchant, p.payer, p.amount, p.authority) IS DISTINCT FROM
              (c.holder, t.merchant, coalesce(d.holder, (SELECT k.holder FROM cards.payment k JOIN ledger.entry r ON r.id = k.entry
                                                         WHERE r.authority = e.authority AND d.code = 'card_pending')),
               x.amount, e.authority)
           OR p.invoice IS DISTINCT FROM e.settles""",
}

MATCHES: Final[dict[str, str]] = {
    "match_differs": """
        SELECT m.payment, format('%s: %s paid, %s asked', m.how, p.amount, i.amount) FROM market.match m
        JOIN market.payment p ON p.entry = m.payment JOIN market.invoice i ON i.id = m.invoice
        WHERE p.merchant <> i.merchant OR p.invoice IS NOT NULL OR EXISTS (SELECT 1 FROM ledger.entry e WHERE e.settles = i.id)
           OR (m.by IS NULL AND p.point <> i.point)
           OR CASE m.how WHEN 'under' THEN p.amount >= i.amount WHEN 'over' THEN p.amount <= i.amount ELSE p.amount <> i.amount END
           OR (m.how = 'late') <> (p.amount = i.amount AND p.at >= i.expires_at)""",
    "resolution_differs": """
        SELECT r.payment, r.how FROM market.resolution r JOIN market.payment p ON p.entry = r.payment
        LEFT JOIN market.match m ON m.payment = r.payment LEFT JOIN market.invoice i ON i.id = m.invoice
        LEFT JOIN market.invoice n ON n.id = r.made
        WHERE CASE r.how
                  WHEN 'rest_asked' THEN (m.how, n.rest_of, n.amount) IS DISTINCT FROM ('under', i.id, i.amount - p.amount)
                  WHEN 'excess_refunded' THEN m.how IS DISTINCT FROM 'over' OR NOT EXISTS (
                      SELECT 1 FROM ledger.entry e JOIN ledger.posting x ON x.entry = e.id
                      WHERE e.id = r.made AND e.refunds = p.entry AND x.amount = p.amount - i.amount)
                  ELSE m.how IS NULL END""",
}

_THRESHOLDS: Final = ", ".join(
    f"(DATE '{one.since.isoformat()}', {one.value}::bigint)"
    for one in rules.thresholds()
    if one.code == rules.REFUND_SECOND_PERSON
)

REFUNDS: Final[dict[str, str]] = {
    "refund_request_differs": """
        SELECT r.id, 'says another refund than was made' FROM market.refund_request r
        WHERE r.refund IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM ledger.entry e JOIN ledger.posting x ON x.entry = e.id JOIN ledger.authority a ON a.id = e.authority
            WHERE e.id = r.refund AND e.refunds = r.entry AND x.amount = r.amount AND a.signer = r.approved_by)""",
    # What a payment's refunds had come to with this one, against the threshold of the refund's own day.
    "refund_one_person": f"""
        SELECT e.id, format('%s given back by one person', g.total) FROM market.payment p JOIN ledger.entry e ON e.refunds = p.entry
        CROSS JOIN LATERAL (SELECT sum(x.amount) AS total FROM ledger.entry b JOIN ledger.posting x ON x.entry = b.id
                            WHERE b.refunds = p.entry AND (b.posted_at, b.id) <= (e.posted_at, e.id)) AS g
        CROSS JOIN LATERAL (SELECT t.value FROM (VALUES {_THRESHOLDS}) AS t (since, value)
                            WHERE t.since <= ledger.day_of(e.effective_at) ORDER BY t.since DESC LIMIT 1) AS t
        WHERE g.total >= t.value AND NOT EXISTS (SELECT 1 FROM market.refund_request r
                                                 WHERE r.refund = e.id AND r.made_by <> r.approved_by)""",  # noqa: S608 - ours
}

QUESTIONS: Final = (POINTS, PAYMENTS, MATCHES, REFUNDS, charges.QUESTIONS)
