"""Search: what a newcomer types, found among everything that is offered; and what lies in a category, a place, a stall.

How     In tiers, the next only where the one before leaves room on the page: every word exact; the last word begun
        ("me xu"); and only when nothing was found so far, every word with one slip ("me sung"), then all words but one
        ("mua me xung"). Within a tier what is there comes before what is sold out, and a shorter name, being nearer to
        what was asked, before a longer. Without words: the newest first.
Words   A key is where a page ended: tier, and the place in its order. The next page begins after it, whatever was
        added or sold out meanwhile.
Limits  Only what is listed by an approved merchant is found. Words, candidates and rows are bounded; nothing that was typed
        is a pattern, so % and _ are letters like others.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from market import hours
from market.catalog import terms
from market.hours import Hours
from wallet import clock, db, text
from wallet.ids import HolderId

ROWS_MAX: Final = 100
CANDIDATES_MAX: Final = 64
"""Terms that a mistyped word may mean."""
STALLS_MAX: Final = 6
GATHERED_MAX: Final = 1_000
"""Matches that are gathered and sorted: some 4 ms. Of more, the first of the order are found by walking it: with so many
among a hundred thousand that takes about as long, and with more less, unless they lie far back in the order.
"""

EXACT, BEGUN, SLIP, LOOSE = 1, 2, 3, 4
NEWEST: Final = 0

_KEY: Final = re.compile(r"([0-4])\.([01])\.([0-9]{1,3})\.([0-9a-f]{32})", re.ASCII)


_SHOWN: Final = "NOT p.archived AND NOT p.taken_down AND p.merchant_open"


class BadKey(ValueError):
    """Not a key that a page of ours ended with."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where a page ended."""

    tier: int
    sold_out: bool
    words: int
    id: UUID

    def spelled(self) -> str:
        """Spell it for an address."""
        return f"{self.tier}.{int(self.sold_out)}.{self.words}.{self.id.hex}"

    @classmethod
    def read(cls, spelled: str) -> "Key":
        """Read it back.

        Raises:
            BadKey.
        """
        found = _KEY.fullmatch(spelled)
        if found is None:
            raise BadKey(spelled)
        return cls(int(found[1]), found[2] == "1", int(found[3]), UUID(hex=found[4]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is searched for. `area` is the code of a ward or commune; `open_now`: at places that are open at the time."""

    query: str = ""
    category: str = ""
    area: str = ""
    merchant: UUID | None = None
    open_now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a merchant sells."""

    id: UUID
    name: str
    address: str
    area: str
    lat: int | None
    lon: int | None
    hours: Hours | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A product that is shown, with who sells it and where."""

    id: UUID
    merchant: HolderId
    merchant_code: str
    merchant_name: str
    name: str
    description: str
    category: str
    price: int
    unit: str
    gtin: str | None
    photo: str | None
    small: str | None
    sold_out: bool
    changed_at: datetime
    places: tuple[Place, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of products. `tier` is how near the first of them is to what was asked; `next` is None on the last page."""

    rows: tuple[Found, ...]
    next: Key | None
    tier: int


def products(
    connection: sa.Connection, wanted: Wanted, *, now: datetime, after: Key | None = None, rows_max: int = 24
) -> Page:
    """Return a page of what is wanted, the nearest first."""
    assert 1 <= rows_max <= ROWS_MAX, "a page is bounded"
    words = terms.asked(wanted.query)
    if wanted.query.strip() and not words:
        return Page(rows=(), next=None, tier=EXACT)
    keys: list[Key] = []
    for tier, condition in _tiers(connection, words, wanted, after, keys):
        keys += _keys(
            connection, wanted, tier, condition, after if after and after.tier == tier else None, rows_max, keys, now
        )
        if len(keys) > rows_max:
            break
    more, keys = len(keys) > rows_max, keys[:rows_max]
    rows = _rows(connection, [key.id for key in keys])
    return Page(rows=rows, next=keys[-1] if more else None, tier=keys[0].tier if keys else EXACT)


def product(connection: sa.Connection, id: UUID) -> Found | None:
    """Return a product that is shown, or None."""
    rows = _rows(connection, [id])
    return rows[0] if rows else None


def stalls(connection: sa.Connection, query: str, *, rows_max: int = STALLS_MAX) -> list[tuple[str, str]]:
    """Return code and name of the merchants whose name has every word that was typed, at its beginning or within."""
    words = text.fold(query).split()[: terms.ASKED_MAX]
    if not words or max(map(len, words)) < 2:
        return []
    conditions = " AND ".join(f"' ' || m.name_folded LIKE %(w{place})s" for place in range(len(words)))
    rows = connection.exec_driver_sql(
        f"SELECT m.code, m.name FROM market.merchant m WHERE m.state = 'approved' AND {conditions}"  # noqa: S608 - marks only
        " ORDER BY length(m.name_folded), m.code LIMIT %(rows)s",
        {f"w{place}": f"% {word}%" for place, word in enumerate(words)} | {"rows": rows_max},
    )
    return [(row.code, row.name) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A merchant as the market shows it."""

    id: HolderId
    code: str
    name: str
    category: str
    places: tuple[Place, ...]


def stall(connection: sa.Connection, *, code: str = "", id: UUID | None = None) -> Stall | None:
    """Return an approved merchant by its code or its id, or None."""
    row = connection.exec_driver_sql(
        "SELECT holder, code, name, category FROM market.merchant"
        " WHERE (code = %(code)s OR holder = %(id)s) AND state = 'approved'",
        {"code": code, "id": id},
    ).one_or_none()
    if row is None:
        return None
    places = _places(connection, [row.holder])
    return Stall(
        id=row.holder, code=row.code, name=row.name, category=row.category, places=tuple(places.get(row.holder, ()))
    )


def sitemap_parts(connection: sa.Connection, *, rows_max: int) -> list[UUID]:
    """Return the first id of each part of the list of all shown products."""
    rows = connection.exec_driver_sql(
        f"""
        SELECT id FROM (SELECT p.id, row_number() OVER (ORDER BY p.id) AS place FROM market.product p WHERE {_SHOWN}) AS each
        WHERE place %% %(rows)s = 1 OR %(rows)s = 1 ORDER BY id
        """,  # noqa: S608 - a constant
        {"rows": rows_max},
    )
    return [row.id for row in rows]


def sitemap(connection: sa.Connection, *, start: UUID, rows_max: int) -> list[tuple[UUID, datetime]]:
    """Return ids of shown products from `start` on, and when they changed, in the order of their ids."""
    rows = connection.exec_driver_sql(
        f"SELECT p.id, p.changed_at FROM market.product p WHERE {_SHOWN} AND p.id >= %(start)s"  # noqa: S608 - a constant
        " ORDER BY p.id LIMIT %(rows)s",
        {"start": start, "rows": rows_max},
    )
    return [(row.id, row.changed_at) for row in rows]


def stall_codes(connection: sa.Connection, *, rows_max: int) -> list[str]:
    """Return the codes of approved merchants that have something to show."""
    rows = connection.exec_driver_sql(
        f"""
        SELECT m.code FROM market.merchant m WHERE m.state = 'approved'
          AND EXISTS (SELECT FROM market.product p WHERE p.merchant = m.holder AND {_SHOWN})
        ORDER BY m.holder LIMIT %(rows)s
        """,  # noqa: S608 - a constant
        {"rows": rows_max},
    )
    return [row.code for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A category of products, in the order of the market's page."""

    code: str
    name: str
    name_en: str


def categories(connection: sa.Connection) -> list[Category]:
    """Return the categories in their order."""
    rows = connection.exec_driver_sql("SELECT code, name, name_en FROM market.category ORDER BY place")
    return [Category(**row._mapping) for row in rows]


# ---- tiers ----------------------------------------------------------------------------------------------------------

_Condition = tuple[str, dict[str, Any]]


def _tiers(
    connection: sa.Connection, words: list[str], wanted: Wanted, after: Key | None, found: list[Key]
) -> Iterator[tuple[int, _Condition]]:
    """Yield each tier to look in, beginning with the one that the last page ended in."""
    begin = after.tier if after else EXACT
    always = [terms.of_category(wanted.category)] if wanted.category else []
    if not words:
        yield NEWEST, ("", {})
        return
    if begin <= EXACT:
        yield EXACT, ("p.terms @> %(words)s", {"words": words + always})
    if begin <= BEGUN:
        begun = [*words[:-1], terms.begun(words[-1]), *always]
        yield BEGUN, ("p.terms @> %(begun)s AND NOT p.terms @> %(words)s", {"begun": begun, "words": words})
    if found or (after and begin < SLIP):
        return  # a slip is looked for only when what was typed is nowhere
    if begin <= SLIP:
        meant = {f"w{place}": sorted({word, *_slips(connection, word)}) for place, word in enumerate(words)}
        meant[f"w{len(words) - 1}"].append(terms.begun(words[-1]))
        each = [f"p.terms && %({mark})s" for mark in meant]
        yield SLIP, (" AND ".join([*each, *(["p.terms @> %(always)s"] if always else [])]), meant | {"always": always})
    if found or len(words) == 1 or (after and begin < LOOSE):
        return
    without_one = {f"x{place}": words[:place] + words[place + 1 :] + always for place in range(len(words))}
    yield LOOSE, (" OR ".join(f"p.terms @> %({mark})s" for mark in without_one), without_one)


def _slips(connection: sa.Connection, word: str) -> list[str]:
    """Return the terms that are one slip from a word."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT term FROM market.term_key WHERE key = ANY (%(keys)s)", {"keys": terms.keys(word)}
    )
    return terms.near(word, [row.term for row in rows])[:CANDIDATES_MAX]


# ---- rows -----------------------------------------------------------------------------------------------------------


def _keys(
    connection: sa.Connection,
    wanted: Wanted,
    tier: int,
    condition: _Condition,
    after: Key | None,
    rows_max: int,
    found: Sequence[Key],
    now: datetime,
) -> list[Key]:
    """Return where in a tier's order the page's products lie, one more than it shows."""
    where, values = condition
    inside, outside, more = _filters(wanted, tier, now)
    values = values | more | {"most": rows_max + 1 - len(found)}
    order = "p.id DESC" if tier == NEWEST else "p.sold_out, p.words, p.id"
    if after is not None:
        values |= {"s": after.sold_out, "n": after.words, "i": after.id}
        inside.append("p.id < %(i)s" if tier == NEWEST else "(p.sold_out, p.words, p.id) > (%(s)s, %(n)s, %(i)s)")
    # Conditions and order are ours, values are parameters.
    shown = f"FROM market.product p WHERE {' AND '.join([_SHOWN, *inside])}"
    page = f"ORDER BY {order} LIMIT %(most)s"
    if tier == NEWEST:
        asked = "".join(f" AND {one}" for one in outside)
        rows = db.planned_anew(connection, f"SELECT {_KEY_COLUMNS} {shown}{asked} {page}", values)
        return [Key(tier, *row) for row in rows]
    # The planner thinks the matches of terms to lie evenly along the order, and would walk it to the end for want of them.
    # So they are gathered first, unless they are so many that the walk is short; what else is asked is asked in order.
    hits = f"SELECT {_KEY_COLUMNS}, p.merchant {shown} AND ({where})"
    hits += f" ORDER BY {order}" if outside else f" LIMIT {GATHERED_MAX + 1}"
    asked = f" WHERE {' AND '.join(outside)}" if outside else ""
    columns = f"{_KEY_COLUMNS}, (SELECT count(*) FROM hit)"  # noqa: S608
    gathered = f"WITH hit AS MATERIALIZED ({hits}) SELECT {columns} FROM hit p{asked} {page}"  # noqa: S608
    rows = db.planned_anew(connection, gathered, values)
    if rows and rows[0][-1] > GATHERED_MAX and not outside:
        rows = db.planned_anew(connection, f"SELECT {_KEY_COLUMNS}, 0 {shown} AND ({where}) {page}", values)
    return [Key(tier, *row[:-1]) for row in rows]


_KEY_COLUMNS: Final = "p.sold_out, p.words, p.id"


def _filters(wanted: Wanted, tier: int, now: datetime) -> tuple[list[str], list[str], dict[str, Any]]:
    """Return what is asked of products themselves, what of their sellers' places, and the values of both."""
    inside: list[str] = []
    values: dict[str, Any] = {}
    if wanted.category and tier == NEWEST:
        inside.append("p.category = %(category)s")
        values["category"] = wanted.category
    if wanted.merchant:
        inside.append("p.merchant = %(merchant)s")
        values["merchant"] = wanted.merchant
    places = ["l.merchant = p.merchant", "l.ended_at IS NULL"]
    if wanted.area:
        places.append("l.area = %(area)s")
        values["area"] = wanted.area
    if wanted.open_now:
        places.append("market.is_open(l.hours, l.closed_days, %(day)s, %(minute)s, %(late)s)")
        values |= _moment(now)
    asked = f"EXISTS (SELECT FROM market.location l WHERE {' AND '.join(places)})"
    return inside, [asked] if len(places) > 2 else [], values


def _moment(now: datetime) -> dict[str, Any]:
    """Spell an instant as the hours of a place do: the day, the minute of it, and that minute as the night before counts."""
    day = clock.day_of(now)
    since = now - clock.day_bounds(day)[0]
    minutes = since // timedelta(minutes=1)
    spelled = [f"{hours:02}:{minutes % 60:02}" for hours in (minutes // 60, minutes // 60 + 24)]
    return {"day": day, "minute": spelled[0], "late": spelled[1]}


def _rows(connection: sa.Connection, ids: list[UUID]) -> tuple[Found, ...]:
    """Return shown products by id, in that order, with their sellers' places: two statements for a page."""
    if not ids:
        return ()
    rows = connection.exec_driver_sql(
        f"""
        SELECT p.id, p.merchant, m.code AS merchant_code, m.name AS merchant_name, p.name, p.description, p.category,
               p.price, p.unit, p.gtin, p.photo, p.small, p.sold_out, p.changed_at
        FROM market.product p JOIN market.merchant m ON m.holder = p.merchant
        WHERE p.id = ANY (%(ids)s) AND {_SHOWN}
        """,  # noqa: S608 - a constant
        {"ids": ids},
    ).all()
    places = _places(connection, list({row.merchant for row in rows}))
    found = {row.id: Found(**row._mapping, places=tuple(places.get(row.merchant, ()))) for row in rows}
    return tuple(found[each] for each in ids if each in found)


def _places(connection: sa.Connection, merchants: list[UUID]) -> dict[UUID, list[Place]]:
    rows = connection.exec_driver_sql(
        """
        SELECT id, merchant, name, address, area, lat, lon, hours::text AS week, closed_days FROM market.location
        WHERE merchant = ANY (%(merchants)s) AND ended_at IS NULL ORDER BY merchant, id
        """,
        {"merchants": merchants},
    )
    places: dict[UUID, list[Place]] = {}
    for row in rows:
        week = hours.read(row.week, tuple(row.closed_days)) if row.week else None
        places.setdefault(row.merchant, []).append(
            Place(id=row.id, name=row.name, address=row.address, area=row.area, lat=row.lat, lon=row.lon, hours=week)
        )
    return places
