"""Stalls: a market as large as a measurement wants, by COPY as the superuser, quickly, and so that it proves clean.

What    Merchants, each approved by two officers, with an account, a place, hours and an owner; products from the goods
        of the demo, told apart by who makes them, so that the vocabulary grows as a city's does; acceptance points.
Not so  Nobody ordered any of it: no order and no event tells of it.
How     Foreign keys and triggers sleep meanwhile; what the triggers would have written is written here. The catalog's plain
        indexes are made anew afterwards.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

from market.catalog import terms
from market.demo import goods
from market.demo.goods import Good
from market.registry import SERIAL_CHARS, SERIAL_LETTERS
from wallet import ids, text

Say = Callable[[str], None]

SOLD_OUT: Final = 0.05
MADE_BY_SOMEBODY: Final = 0.7
"""Share of the goods that carry their maker's name."""
AGO: Final = timedelta(days=60)
AREAS: Final = 40

_TITLES: Final = ("cô", "mệ", "o", "chú", "bà", "dì", "anh", "chị")
_GIVEN: Final = (
    "Lan", "Hoa", "Hương", "Bé", "Gái", "Lý", "Liên", "Thủy", "Sen", "Cúc", "Mai", "Đào", "Tý", "Sửu", "Dần", "Mão", "Thìn",
    "Tỵ", "Ngọ", "Mùi", "Thân", "Dậu", "Tuất", "Hợi", "Ba", "Tư", "Năm", "Sáu", "Bảy", "Tám", "Chín", "Út", "Nở", "Gấm",
    "Tâm", "Hiền", "Hậu", "Quý", "Phước", "Lộc", "Thọ", "An", "Bình", "Khánh", "Vân", "Hạnh", "Nhàn", "Thảo",
    "Quỳnh", "Diệp",
)  # fmt: skip
_DAY: Final = {str(day): [["05:30", "11:00"], ["13:30", "19:00"]] for day in range(1, 8)}
_NIGHT: Final = {str(day): [["17:00", "26:00"]] for day in range(1, 8)}

_INDEXES: Final = """
SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace s ON s.oid = t.relnamespace
WHERE s.nspname = 'market' AND t.relname IN ('product', 'term_key')
  AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""


@dataclass(frozen=True, slots=True)
class _Merchant:
    id: UUID
    owner: UUID
    account: UUID
    place: UUID
    name: str


def fill(superuser_url: str, *, merchants: int, products: int, points: int = 0, say: Say = lambda _: None) -> None:
    """Add so many merchants, products and acceptance points to a migrated database, whatever it holds.

    Args:
        superuser_url: of that database.
        merchants: all of them approved.
        products: spread over them.
        points: each merchant has one, as far as they go.
        say: told how far it is.
    """
    draw, at = random.Random(f"stalls:{merchants}:{products}"), datetime.now(UTC) - AGO
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        with _quickly(admin), admin.transaction():
            made = _merchants(admin, draw, merchants, at)
            say(f"{merchants:,} merchants")
            _points(admin, draw, made[:points], at)
            _products(admin, draw, made, products, at)
            say(f"{products:,} products")
        admin.execute("VACUUM ANALYZE market.product, market.term, market.term_key, market.merchant, market.location")


def _merchants(admin: psycopg.Connection, draw: random.Random, number: int, at: datetime) -> list[_Merchant]:
    officers = [ids.new() for _ in range(2)]
    made = [
        _Merchant(ids.new(), ids.new(), ids.new(), ids.new(), f"Gian {_maker(draw)} {place}") for place in range(number)
    ]
    _copy(admin, "identity.holder (id, kind, opened_at)", [(officer, "person", at) for officer in officers])
    _copy(admin, "identity.holder (id, kind, opened_at)", [(one.owner, "person", at) for one in made])
    _copy(admin, "identity.holder (id, kind, opened_at)", [(one.id, "merchant", at) for one in made])
    _copy(
        admin,
        "ledger.account (id, code, holder, normal, floor, opened_at)",
        [(one.account, "merchant", one.id, "credit", 0, at) for one in made],
    )
    _copy(admin, "ledger.balance (account, floor)", [(one.account, 0) for one in made])
    _copy(
        admin,
        "market.merchant (holder, code, name, name_folded, category, account, state, applied_by, made_at)",
        [
            (one.id, text.fold(one.name).replace(" ", "-") + f"-{one.id.hex[-6:]}", one.name, text.fold(one.name), "5499",
             one.account, "approved", one.owner, at)
            for one in made
        ],
    )  # fmt: skip
    moves = (("applied", "reviewed"), ("reviewed", "approved"))
    _copy(
        admin,
        "market.merchant_review (id, merchant, from_state, to_state, officer, reason, at)",
        [
            (ids.new(), one.id, was, to, officer, "đủ giấy tờ", at + timedelta(hours=place))
            for one in made
            for place, ((was, to), officer) in enumerate(zip(moves, officers, strict=True))
        ],
    )
    _copy(
        admin,
        "identity.staff (merchant, holder, role, since)",
        [(one.id, one.owner, "owner", at) for one in made],
    )
    hours = [json.dumps(week) for week in (_DAY, _DAY, _DAY, _NIGHT)]
    _copy(
        admin,
        "market.location (id, merchant, name, address, area, hours, made_at)",
        [
            (one.place, one.id, "Chợ", f"{draw.randrange(1, 300)} Trần Hưng Đạo", f"{draw.randrange(AREAS):05}",
             draw.choice(hours), at)
            for one in made
        ],
    )  # fmt: skip
    return made


def _points(admin: psycopg.Connection, draw: random.Random, made: Sequence[_Merchant], at: datetime) -> None:
    _copy(
        admin,
        "market.point (id, location, merchant, serial, name, issued_at)",
        [
            (ids.new(), one.place, one.id, "".join(draw.choices(SERIAL_LETTERS, k=SERIAL_CHARS)), "Quầy 1", at)
            for one in made
        ],
    )


def _products(
    admin: psycopg.Connection, draw: random.Random, made: Sequence[_Merchant], number: int, at: datetime
) -> None:
    known: set[str] = set()
    stock = goods.goods()

    def rows() -> Iterator[tuple[Any, ...]]:
        for place in range(number):
            merchant, good = made[place % len(made)], draw.choice(stock)
            name = _named(draw, good)
            own = terms.terms(name, category=good.category)
            known.update(terms.plain(name))
            yield (
                ids.new(), merchant.id, f"{place // len(made):04}", name, good.text, good.category,
                draw.randrange(good.low, good.high + 1), good.unit, draw.random() < SOLD_OUT, True, 1,
                len(terms.words(name)), own, at, at, merchant.owner,
            )  # fmt: skip

    _copy(
        admin,
        "market.product (id, merchant, sku, name, description, category, price, unit, sold_out, merchant_open, version,"
        " words, terms, made_at, changed_at, changed_by)",
        rows(),
    )
    admin.execute(
        "INSERT INTO market.price_change (product, version, since, price, unit, by)"
        " SELECT p.id, p.version, p.changed_at, p.price, p.unit, p.changed_by FROM market.product p"
        " ON CONFLICT DO NOTHING"
    )
    words = sorted(known)
    admin.execute("INSERT INTO market.term (term) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [words])
    keys = [(key, term) for term in words for key in terms.keys(term)]
    admin.execute(
        "INSERT INTO market.term_key (key, term) SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING",
        [[key for key, _ in keys], [term for _, term in keys]],
    )


def _named(draw: random.Random, good: Good) -> str:
    return f"{good.name} {_maker(draw)}" if draw.random() < MADE_BY_SOMEBODY else good.name


def _maker(draw: random.Random) -> str:
    return f"{draw.choice(_TITLES)} {draw.choice(_GIVEN)}"


def _copy(admin: psycopg.Connection, into: str, rows: Sequence[tuple[Any, ...]] | Iterator[tuple[Any, ...]]) -> None:
    with admin.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _quickly(admin: psycopg.Connection) -> Iterator[None]:
    """Load without checking what is right by construction, and make the plain indexes anew afterwards."""
    for setting in ("synchronous_commit = off", "session_replication_role = replica", "maintenance_work_mem = '256MB'"):
        admin.execute(f"SET {setting}".encode())
    plain = admin.execute(_INDEXES).fetchall()
    for name, _ in plain:
        admin.execute(sql.SQL("DROP INDEX market.{}").format(sql.Identifier(name)))
    try:
        yield
    finally:
        for _, definition in plain:
            admin.execute(definition)
        admin.execute("RESET session_replication_role")
