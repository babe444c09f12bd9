"""What the proof of the books asks of the market: what was paid is what was asked for, and was paid to whom it says.

Source  docs: `wallet.ledger.questions` for the form of a question: each row is a difference's subject and its detail.
"""

from typing import Final

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

QUESTIONS: Final = (POINTS,)
