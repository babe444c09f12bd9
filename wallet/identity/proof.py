"""Proof of identity: every key and role was told of, is in the state that was told, and signed only while it was alive."""

from typing import Final

QUESTIONS: Final[dict[str, str]] = {
    "key_untold": """
        SELECT k.id, format('%s of %s', k.device, k.holder) FROM identity.key k WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = k.id AND v.type = 'key.enrolled' AND v.authority IS NOT NULL
              AND convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,holder}' = k.holder::text
              AND convert_from(v.bytes, 'UTF8')::jsonb #> '{data,jwk}' = k.jwk::jsonb)""",
    "key_state_untold": """
        SELECT k.id, format('is %s, was told to be %s', k.state, t.state) FROM identity.key k
        CROSS JOIN LATERAL (
            SELECT CASE WHEN bool_or(v.type = 'key.revoked') THEN 'revoked'
                        WHEN bool_or(v.type = 'key.approved') THEN 'active'
                        ELSE min(convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,state}') END AS state
            FROM ledger.event v WHERE v.subject = k.id AND v.type LIKE 'key.%') AS t
        WHERE k.state <> t.state""",
    "key_used_dead": """
        SELECT a.id, format('%s, by key %s', a.order_kind, a.key_id) FROM ledger.authority a
        JOIN ledger.event r ON r.subject = a.key_id AND r.type = 'key.revoked' AND r.authority IS DISTINCT FROM a.id
        JOIN ledger.event v ON v.authority = a.id AND v.seq > r.seq""",
    "role_untold": """
        SELECT r.holder, r.role FROM identity.role r WHERE NOT EXISTS (
            SELECT 1 FROM ledger.event v WHERE v.subject = r.holder::text AND v.type = 'role.granted'
              AND convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,role}' = r.role
              AND convert_from(v.bytes, 'UTF8')::jsonb #>> '{data,agency}' = coalesce(r.agency::text, ''))""",
    "outside_word_by_insider": """
        SELECT a.id, format('signed by a %s', h.kind) FROM ledger.authority a LEFT JOIN identity.holder h ON h.id = a.signer
        WHERE a.kind = 'outside_word' AND h.kind IS DISTINCT FROM 'outside'""",
}
"""One question for each code, as in `wallet.ledger.proof`. An event's order tells what came first: whoever uses a key and
whoever revokes it tell of it while they hold its lock."""
