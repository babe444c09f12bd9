"""Proof of the bills: what was paid is what was owed, to the account of each line's budget codes, and once."""

from typing import Final

from wallet import limits

QUESTIONS: Final[dict[str, str]] = {
    "bill_total_differs": """
        SELECT b.id, format('total %s, lines come to %s', b.total, l.total) FROM bills.bill b
        CROSS JOIN LATERAL (SELECT coalesce(sum(x.amount), 0) AS total FROM bills.bill_line x WHERE x.bill = b.id) AS l
        WHERE b.total <> l.total""",
    "bill_payment_differs": """
        SELECT e.settles, format('entry %s', e.id) FROM ledger.entry e
        WHERE e.settles IS NOT NULL AND e.kind <> 'merchant_payment'
          AND (SELECT array_agg((p.credit, p.amount)::text ORDER BY p.line) FROM ledger.posting p WHERE p.entry = e.id)
              IS DISTINCT FROM
              (SELECT array_agg((x.account, x.amount)::text ORDER BY x.line) FROM bills.bill_line x
               WHERE x.bill = e.settles AND x.amount > 0)""",
    "bill_payment_not_as_signed": """
        SELECT a.id, 'payer, bills or amounts are not those of the signed order' FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        JOIN person.order_content c ON c.authority = a.id
        CROSS JOIN LATERAL (SELECT convert_from(c.bytes, 'UTF8')::jsonb AS said OFFSET 0) AS s
        WHERE a.order_kind = 'bill_payment'
          AND (SELECT jsonb_agg(jsonb_build_array(x.bill, x.payer, x.amount) ORDER BY x.bill, x.payer)
               FROM (SELECT e.settles::text AS bill, p.debit::text AS payer, sum(p.amount)::text AS amount
                     FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id
                     WHERE e.authority = a.id GROUP BY e.settles, p.debit) AS x)
              IS DISTINCT FROM
              (SELECT jsonb_agg(jsonb_build_array(b ->> 'bill', s.said ->> 'payer', b ->> 'amount') ORDER BY b ->> 'bill')
               FROM jsonb_array_elements(s.said -> 'bills') AS b)""",
    "bill_payment_uncounted": f"""
        SELECT a.id, format('%s counted, of %s', coalesce(c.amount, 0), l.amount) FROM ledger.authority a
        JOIN ledger.outcome o ON o.authority = a.id AND o.code IS NULL
        CROSS JOIN LATERAL (SELECT sum(p.amount) AS amount FROM ledger.entry e JOIN ledger.posting p ON p.entry = e.id
                            WHERE e.authority = a.id) AS l
        CROSS JOIN LATERAL (SELECT sum(x.amount) AS amount
                            FROM jsonb_to_recordset(o.counted) AS x (bucket text, amount bigint)
                            WHERE x.bucket IN ({limits.counted_once()})) AS c
        WHERE a.order_kind = 'bill_payment' AND c.amount IS DISTINCT FROM l.amount""",  # noqa: S608 - names of ours
    "bill_settled_unknown": """
        SELECT e.settles, format('entry %s', e.id) FROM ledger.entry e LEFT JOIN bills.bill b ON b.id = e.settles
        WHERE e.settles IS NOT NULL AND e.kind <> 'merchant_payment' AND b.id IS NULL""",
    "bill_closed_and_paid": """
        SELECT b.id, b.state FROM bills.bill b JOIN ledger.entry e ON e.settles = b.id WHERE b.state <> 'issued'""",
    "bill_line_account_differs": """
        SELECT x.bill, format('line %s', x.line) FROM bills.bill_line x
        JOIN bills.bill b ON b.id = x.bill LEFT JOIN ledger.account a ON a.id = x.account
        WHERE (a.code, a.holder, a.chuong, a.tieu_muc, a.dia_ban)
              IS DISTINCT FROM ('agency', b.agency, x.chuong, x.tieu_muc, x.dia_ban)""",
    "bill_state_untold": """
        SELECT b.id, b.state FROM bills.bill b
        CROSS JOIN LATERAL (
            SELECT coalesce(max(split_part(v.type, '.', 2)) FILTER (WHERE v.type IN ('bill.cancelled', 'bill.superseded')),
                            max(split_part(v.type, '.', 2)) FILTER (WHERE v.type IN ('bill.issued', 'bill.waived'))) AS state
            FROM ledger.event v WHERE v.subject = b.id::text AND v.authority IS NOT NULL) AS t
        WHERE b.state <> t.state""",
    "bill_untold": """
        SELECT b.id, b.state FROM bills.bill b WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v
            WHERE v.subject = b.id::text AND v.type IN ('bill.issued', 'bill.waived') AND v.authority IS NOT NULL)""",
    "bill_event_differs": """
        SELECT b.id, v.type FROM bills.bill b
        JOIN ledger.event v ON v.subject = b.id::text AND v.type IN ('bill.issued', 'bill.waived')
        WHERE convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,total}' <> b.total::text
           OR convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,debtor}' <> b.debtor::text
           OR convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,version}' <> b.version::text""",
}
"""One question for each code, as in `wallet.ledger.proof`."""
