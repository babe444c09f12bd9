"""Fill: a plausible city in one database, by set-based SQL as the superuser, quickly, and so that it proves clean.

What    Citizens with a key and a wallet that a bank line topped up; agencies with accounts by budget line. Then, over the
        past days, transfers between wallets and bill payments of one to four lines, each with its authority, outcome,
        entry, postings and event, so that the tables have their true size. A few wallets are busy and so is one agency.
Not so  The orders' own bytes are left out, as if they had been erased, unless `signing` is given: then everything is a
        transfer, ordered and signed by its payer's own key. Bills are not made.
How     Rows are drawn into two staging tables and copied from there; `_COPY` is all that knows the ledger's columns. Foreign
        keys are not checked meanwhile, and the plain indexes are made anew afterwards.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, LiteralString, Protocol
from uuid import UUID

import psycopg
from psycopg import sql

DAYS: Final = 60
TOPUP: Final = 1_000_000_000
"""Đồng in each wallet at first: more than the busiest one pays in all."""
LINES: Final = 40
"""Agency accounts."""
TRANSFERS: Final = 0.4
"""Share of entries that are transfers; the rest pays bills."""
POSTINGS_OF_AN_ENTRY: Final = TRANSFERS + (1 - TRANSFERS) * 2.5
CHUNK: Final = 250_000
"""Entries drawn at a time: enough to be quick, few enough for the memory."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Payer:
    """Somebody of the city who can pay."""

    account: UUID
    holder: UUID
    key_id: str


class Signing(Protocol):
    """Whoever signs the orders of a filled city."""

    @property
    def keys(self) -> dict[str, list[str]]:
        """The wallets' P-256 keys: their thumbprints as `key_ids`, their points as `xs` and `ys`, in base64url."""

    def sign(self, admin: psycopg.Connection) -> None:
        """Write person.order_content for each transfer that is staged in fill.entry and fill.posting."""


_FOUND: Final = """
CREATE SCHEMA fill;
CREATE FUNCTION fill.made_up(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT rtrim(translate(encode(sha256(convert_to($1, 'UTF8')), 'base64'), '+/', '-_'), '=')
$$;
CREATE TABLE fill.wallet AS
    SELECT n::int AS n, uuidv7(%(before)s) AS holder, uuidv7(%(before)s) AS account, uuidv7(%(before)s) AS enrolled,
           coalesce(k.id, fill.made_up('key ' || n)) AS key_id, coalesce(k.x, fill.made_up('x ' || n)) AS x,
           coalesce(k.y, fill.made_up('y ' || n)) AS y
    FROM generate_series(0, %(wallets)s - 1) AS n
    LEFT JOIN unnest(%(key_ids)s::text[], %(xs)s::text[], %(ys)s::text[]) WITH ORDINALITY AS k (id, x, y, nth)
           ON k.nth = n + 1;
ALTER TABLE fill.wallet ADD PRIMARY KEY (n);
CREATE TABLE fill.line AS
    SELECT n::int AS n, uuidv7(%(before)s) AS holder, uuidv7(%(before)s) AS account
    FROM generate_series(0, %(lines)s - 1) AS n;
ALTER TABLE fill.line ADD PRIMARY KEY (n);
CREATE TABLE fill.bank AS SELECT uuidv7(%(before)s) AS holder;
CREATE UNLOGGED TABLE fill.entry (
    n BIGINT, at TIMESTAMPTZ, kind TEXT, authority UUID, authority_kind TEXT, signer UUID, order_id UUID, order_kind TEXT,
    key_id TEXT, entry UUID, effective_at TIMESTAMPTZ, event UUID, event_type TEXT, body TEXT
);
CREATE UNLOGGED TABLE fill.posting (entry UUID, n BIGINT, line SMALLINT, debit UUID, credit UUID, amount BIGINT);

CREATE FUNCTION fill.digest(uuid) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT sha256(c.salt || c.bytes) FROM person.order_content c WHERE c.authority = $1),
                    sha256(uuid_send($1)))
$$;

INSERT INTO identity.holder (id, kind, opened_at) SELECT holder, 'outside', now() + %(before)s FROM fill.bank;
INSERT INTO identity.holder (id, kind, opened_at) SELECT holder, 'agency', now() + %(before)s FROM fill.line;
INSERT INTO identity.holder (id, kind, opened_at) SELECT holder, 'person', now() + %(before)s FROM fill.wallet;
INSERT INTO person.person (holder, name, name_folded, phone)
    SELECT holder, 'Người Thử ' || n, 'nguoi thu ' || n, '08' || lpad(n::text, 8, '0') FROM fill.wallet;
INSERT INTO identity.key (id, holder, jwk, label, device, state, enrolled_at)
    SELECT key_id, holder, format('{"crv":"P-256","kty":"EC","x":"%%s","y":"%%s"}', x, y), 'bench', 'machine', 'active',
           now() + %(before)s FROM fill.wallet;
INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, digest, at)
    SELECT enrolled, 'possession', holder, gen_random_uuid(), 'key_enrol', sha256(uuid_send(enrolled)), now() + %(before)s
    FROM fill.wallet;
INSERT INTO ledger.outcome (authority, status, body, entries) SELECT enrolled, 201, '{}', '{}' FROM fill.wallet;
INSERT INTO ledger.event (id, type, subject, actor, authority, at, bytes)
    SELECT w.event, 'key.enrolled', w.key_id, w.holder, w.enrolled, now() + %(before)s, convert_to(format(
        '{"actor":"%%s","at":"%%s","data":{"holder":"%%s","jwk":{"crv":"P-256","kty":"EC","x":"%%s","y":"%%s"},'
        '"order":{"authority":"%%s","digest":"%%s","kind":"key_enrol"},"state":"active"},"id":"%%s","subject":"%%s",'
        '"type":"key.enrolled","v":"1"}',
        w.holder, to_char((now() + %(before)s) AT TIME ZONE 'UTC', %(instant)s), w.holder, w.x, w.y, w.enrolled,
        encode(sha256(uuid_send(w.enrolled)), 'hex'), w.event, w.key_id), 'UTF8')
    FROM (SELECT *, uuidv7(%(before)s) AS event FROM fill.wallet ORDER BY n) AS w;

INSERT INTO identity.role (holder, role) SELECT holder, 'citizen' FROM fill.wallet;
INSERT INTO ledger.event (id, type, subject, at, bytes)
    SELECT w.event, 'role.granted', w.holder::text, now() + %(before)s, convert_to(format(
        '{"actor":"","at":"%%s","data":{"agency":"","role":"citizen"},"id":"%%s","subject":"%%s","type":"role.granted",'
        '"v":"1"}', to_char((now() + %(before)s) AT TIME ZONE 'UTC', %(instant)s), w.event, w.holder), 'UTF8')
    FROM (SELECT holder, uuidv7(%(before)s) AS event FROM fill.wallet ORDER BY n) AS w;

INSERT INTO ledger.account (id, code, holder, normal, floor, opened_at)
    SELECT w.account, c.code, w.holder, c.normal, c.floor, now() + %(before)s
    FROM fill.wallet w, ledger.chart c WHERE c.code = 'wallet' ORDER BY w.n;
INSERT INTO ledger.account (id, code, holder, chuong, tieu_muc, dia_ban, normal, floor, opened_at)
    SELECT l.account, c.code, l.holder, '800', lpad((2700 + l.n)::text, 4, '0'), '48000', c.normal, c.floor,
           now() + %(before)s
    FROM fill.line l, ledger.chart c WHERE c.code = 'agency' ORDER BY l.n;
INSERT INTO ledger.balance (account, floor)
    SELECT a.id, a.floor FROM ledger.account a
    WHERE a.id IN (SELECT account FROM fill.line UNION SELECT account FROM fill.wallet);
"""

_TOPUPS: Final = """
INSERT INTO fill.entry
    SELECT w.n, now() + %(before)s, 'topup', uuidv7(%(before)s), 'outside_word', b.holder, gen_random_uuid(), 'bank_line',
           NULL, uuidv7(%(before)s), now() + %(before)s, uuidv7(%(before)s), 'topup.received', ''
    FROM fill.wallet w, fill.bank b WHERE w.n >= %(first)s AND w.n < %(first)s + %(entries)s ORDER BY w.n;
INSERT INTO fill.posting
    SELECT e.entry, e.n, 1, (SELECT id FROM ledger.account WHERE code = 'bank.guarantee'), w.account, %(topup)s
    FROM fill.entry e JOIN fill.wallet w ON w.n = e.n;
"""

# Who pays whom, drawn at random; the power makes the first of a list the busy ones.
_TRAFFIC: Final = """
CREATE TEMP TABLE drawn ON COMMIT DROP AS
    SELECT g AS n, %(began)s::timestamptz + %(step)s * g AS at, random() < %(transfers)s AS is_transfer,
           floor(%(wallets)s * power(random(), 1.5))::int AS payer,
           1 + floor(random() * (%(wallets)s - 1))::int AS further, 1 + floor(random() * 4)::int AS lines,
           floor(%(lines)s * power(random(), 3))::int AS line, random() < 0.01 AS is_late
    FROM generate_series(%(first)s, %(first)s + %(entries)s - 1) AS g;
INSERT INTO fill.entry
    SELECT d.n, d.at, k.kind, uuidv7(d.at - now()), 'signed_order', w.holder, gen_random_uuid(), k.kind, w.key_id,
           uuidv7(d.at - now()), d.at - CASE WHEN d.is_late THEN INTERVAL '1 day' ELSE INTERVAL '1 second' END,
           uuidv7(d.at - now()), CASE WHEN d.is_transfer THEN 'transfer.sent' ELSE 'bill.paid' END, repeat('x', 160)
    FROM drawn d JOIN fill.wallet w ON w.n = d.payer
    CROSS JOIN LATERAL (SELECT CASE WHEN d.is_transfer THEN 'transfer' ELSE 'bill_payment' END AS kind) AS k;
INSERT INTO fill.posting
    SELECT e.entry, d.n, 1, p.account, w.account, 1000 * (1 + floor(random() * 200))::bigint
    FROM drawn d JOIN fill.entry e ON e.n = d.n JOIN fill.wallet p ON p.n = d.payer
    JOIN fill.wallet w ON w.n = (d.payer + d.further) %% %(wallets)s
    WHERE d.is_transfer
    UNION ALL
    SELECT e.entry, d.n, x.line, p.account, l.account, 1000 * (1 + floor(random() * 100))::bigint
    FROM drawn d JOIN fill.entry e ON e.n = d.n JOIN fill.wallet p ON p.n = d.payer
    CROSS JOIN LATERAL generate_series(1, d.lines) AS x (line)
    JOIN fill.line l ON l.n = (d.line + x.line) %% %(lines)s
    WHERE NOT d.is_transfer;
"""

# From staging into the books, in the order in which they happened. All that knows the ledger's columns.
_COPY: Final = """
INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, key_id, digest, at)
    SELECT authority, authority_kind, signer, order_id, order_kind, key_id, fill.digest(authority), at
    FROM fill.entry ORDER BY n;
INSERT INTO ledger.entry (id, authority, kind, effective_at, posted_at)
    SELECT entry, authority, kind, effective_at, at FROM fill.entry ORDER BY n;
CREATE TEMP TABLE counted ON COMMIT DROP AS
    SELECT e.n, e.signer, c.bucket, date_trunc(c.period, e.at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS starts,
           p.amount
    FROM fill.entry e JOIN (SELECT n, sum(amount)::bigint AS amount FROM fill.posting GROUP BY n) AS p ON p.n = e.n
    JOIN (VALUES ('transfer', 'general_month', 'month'), ('transfer', 'step_up_day', 'day'),
                 ('bill_payment', 'general_month', 'month')) AS c (kind, bucket, period) ON c.kind = e.order_kind;
INSERT INTO ledger.outcome (authority, status, body, entries, counted)
    SELECT e.authority, 201,
           convert_to(format('{"entry":"%%s","order":"%%s","said":"%%s"}', e.entry, e.order_id, e.body), 'UTF8'),
           ARRAY[e.entry], c.said
    FROM fill.entry e
    LEFT JOIN (SELECT n, jsonb_agg(jsonb_build_object('bucket', bucket, 'starts', starts, 'amount', amount,
                                                      'cap', %(cap)s::bigint)) AS said
               FROM counted GROUP BY n) AS c ON c.n = e.n
    ORDER BY e.n;
INSERT INTO ledger.usage AS u (holder, bucket, starts, used)
    SELECT signer, bucket, starts, sum(amount) FROM counted GROUP BY 1, 2, 3
    ON CONFLICT (holder, bucket, starts) DO UPDATE SET used = u.used + EXCLUDED.used;
DROP TABLE counted;
INSERT INTO ledger.posting (entry, line, debit, credit, amount, effective_at, posted_at)
    SELECT p.entry, p.line, p.debit, p.credit, p.amount, e.effective_at, e.at
    FROM fill.posting p JOIN fill.entry e ON e.n = p.n ORDER BY p.n, p.line;
INSERT INTO ledger.event (id, type, subject, actor, authority, entry, at, bytes)
    SELECT e.event, e.event_type, e.entry::text, e.signer, e.authority, e.entry, e.at, convert_to(format(
        '{"actor":"%%s","at":"%%s","data":{"entry":{"effective_at":"%%s","id":"%%s","kind":"%%s","postings":[%%s],'
        '"refunds":"","reverses":"","settles":""},"order":{"authority":"%%s","digest":"%%s","kind":"%%s"}},"id":"%%s","subject":"%%s","type":"%%s",'
        '"v":"1"}',
        e.signer, to_char(e.at AT TIME ZONE 'UTC', %(instant)s), to_char(e.effective_at AT TIME ZONE 'UTC', %(instant)s),
        e.entry, e.kind, p.said, e.authority, encode(fill.digest(e.authority), 'hex'), e.order_kind, e.event, e.entry,
        e.event_type), 'UTF8')
    FROM fill.entry e
    JOIN (SELECT n, string_agg(format('{"amount":"%%s","credit":"%%s","debit":"%%s"}', amount, credit, debit), ','
                               ORDER BY line) AS said FROM fill.posting GROUP BY n) AS p ON p.n = e.n
    ORDER BY e.n;
TRUNCATE fill.entry, fill.posting;
"""

_BALANCES: Final = """
UPDATE ledger.balance b SET posted = CASE a.normal WHEN 'debit' THEN m.amount ELSE -m.amount END
FROM ledger.account a
JOIN (SELECT x.account, sum(x.amount)::bigint AS amount FROM (
          SELECT debit AS account, amount FROM ledger.posting UNION ALL SELECT credit, -amount FROM ledger.posting
      ) AS x GROUP BY x.account) AS m ON m.account = a.id
WHERE b.account = a.id;
"""

CAP: Final = 10**15
"""Of each limit: whose money it is was drawn without looking at what they had used."""

INSTANT: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
FILLED: Final = ("authority", "outcome", "entry", "posting", "event")


def city(
    superuser_url: str, *, wallets: int, postings: int, signing: Signing | None = None, say: Say = lambda _: None
) -> None:
    """Fill an empty, migrated database.

    Args:
        superuser_url: of that database.
        wallets: how many people, each with one wallet and 10^9 đồng.
        postings: how many there shall be beside the top-ups, to about one in a hundred.
        signing: signs each order; needs a key for each wallet.
        say: told how far it is.
    """
    began = datetime.now(UTC) - timedelta(days=DAYS)
    with psycopg.connect(superuser_url, autocommit=True) as admin, _quickly(admin):
        admin.execute("SELECT setseed(0.1121)")
        before = began - timedelta(hours=1) - datetime.now(UTC)
        common = {"before": before, "instant": INSTANT, "wallets": wallets, "lines": LINES, "topup": TOPUP, "cap": CAP}
        common |= signing.keys if signing else {"key_ids": [], "xs": [], "ys": []}
        _run(admin, _FOUND, common)
        for first in range(0, wallets, CHUNK):
            _run(admin, _TOPUPS + _COPY, {**common, "first": first, "entries": CHUNK})
        transfers = 1.0 if signing else TRANSFERS
        entries = round(postings / (1 if signing else POSTINGS_OF_AN_ENTRY))
        step = (timedelta(days=DAYS) - timedelta(hours=1)) / max(1, entries)
        traffic = {**common, "began": began, "step": step, "transfers": transfers}
        started = time.monotonic()
        for first in range(0, entries, CHUNK):
            chunk = min(CHUNK, entries - first)
            _run(admin, _TRAFFIC, {**traffic, "first": first, "entries": chunk})
            if signing:
                signing.sign(admin)
            _run(admin, _COPY, traffic)
            say(f"filled {first + chunk:,} of {entries:,} entries in {time.monotonic() - started:.0f} s")
        _run(admin, _BALANCES, {})
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")
        admin.execute("CHECKPOINT")


def payers(superuser_url: str, number: int) -> list[Payer]:
    """Return so many people of the city, the busiest first."""
    return [Payer(*row) for row in _rows(superuser_url, "SELECT account, holder, key_id FROM fill.wallet", number)]


def agency_lines(superuser_url: str) -> list[UUID]:
    """Return the agencies' accounts, the busiest first."""
    return [row[0] for row in _rows(superuser_url, "SELECT account FROM fill.line", LINES)]


def _rows(superuser_url: str, question: LiteralString, number: int) -> list[tuple[UUID, UUID, str]]:
    with psycopg.connect(superuser_url) as admin:
        return admin.execute(question + " ORDER BY n LIMIT %s", (number,)).fetchall()


def _run(admin: psycopg.Connection, script: str, values: dict[str, object]) -> None:
    """Run a script in one transaction, its values put in here: the server takes parameters in single queries only."""
    with admin.transaction():
        psycopg.ClientCursor(admin).execute(script, values)


@contextmanager
def _quickly(admin: psycopg.Connection) -> Iterator[None]:
    """Load without checking what is right by construction, and make the plain indexes anew afterwards."""
    for setting in ("synchronous_commit = off", "session_replication_role = replica", "maintenance_work_mem = '512MB'",
                    "work_mem = '128MB'"):  # fmt: skip
        admin.execute(f"SET {setting}")
    plain = admin.execute(
        """
        SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_namespace s ON s.oid = t.relnamespace
        WHERE s.nspname = 'ledger' AND t.relname = ANY (%s)
          AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
        """,
        (list(FILLED),),
    ).fetchall()
    for name, _ in plain:
        admin.execute(sql.SQL("DROP INDEX ledger.{}").format(sql.Identifier(name)))
    yield
    for _, definition in plain:
        admin.execute(definition)
