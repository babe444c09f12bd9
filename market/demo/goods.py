"""What the stalls of the demo city sell: drawn from `products.toml`, the same at each load, and imported by their owners
as they would import a spreadsheet of their own: one order a stall.

Words   A kind is what is sold, such as mè xửng; a good is a kind with its variant and its size, as it stands at a stall.
"""

import hashlib
import random
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from market.catalog import gtin, products, sheet
from market.catalog.draft import Draft
from market.web.goods import ImportedSchema, ImportOrderSchema
from wallet import text
from wallet.demo import fixed, give
from wallet.demo.enter import Load, quick
from wallet.demo.people import SEED
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.money import Dong

PRODUCTS: Final = 1_500

SOLD_OUT: Final = 0.04
WITH_GTIN: Final = 0.3
"""Of what is packed."""
PACKED: Final = frozenset({"pack", "box", "bag", "bottle", "jar"})

SELLS: Final[Mapping[str, tuple[str, ...]]] = {
    "5411": ("gao-do-kho", "mam-gia-vi", "rau-cu", "gia-dung"),
    "5422": ("thit-ca", "mam-gia-vi"),
    "5441": ("dac-san", "banh"),
    "5462": ("banh",),
    "5499": ("dac-san", "mam-gia-vi", "trai-cay", "tra-ca-phe", "gao-do-kho"),
    "5812": ("mon-an", "banh"),
    "5814": ("tra-ca-phe", "banh", "mon-an"),
    "5651": ("ao-dai",),
    "5691": ("ao-dai",),
    "5712": ("gia-dung",),
    "5732": ("gia-dung",),
    "5912": ("tinh-dau",),
    "5942": ("sach-qua",),
    "5947": ("sach-qua", "thu-cong", "dac-san", "tinh-dau"),
    "5950": ("thu-cong",),
    "5970": ("thu-cong",),
    "5992": ("hoa-huong",),
    "5999": ("rau-cu", "trai-cay", "hoa-huong", "gia-dung"),
}
"""Which categories a trader of a merchant category code sells."""

SERVES: Final[Mapping[str, tuple[str, ...]]] = {
    "4111": ("Thuyền rồng",),
    "4121": ("Xích lô",),
    "5661": ("Giày, dép", "Guốc mộc"),
    "5691": ("May vá", "Giặt ủi"),
    "5942": ("In ấn",),
    "5999": ("Sửa xe", "In ấn"),
    "7011": ("Phòng nghỉ",),
    "7230": ("Cắt tóc",),
    "7523": ("Gửi xe",),
    "7922": ("Vé",),
}
"""By their kind's name: nobody who parks motorbikes cuts hair."""

_DOOR: Final = give.Door(asks=ImportOrderSchema(), answers=ImportedSchema(), role=Role.CITIZEN, path="/ban-hang/nhap")


@dataclass(frozen=True, slots=True)
class Good:
    """A good that any stall may sell; its price lies between two."""

    kind: str
    name: str
    category: str
    unit: str
    low: int
    high: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """A merchant of the demo and who signs for it."""

    merchant: HolderId
    owner: HolderId
    code: str
    name: str
    category: str


@lru_cache(maxsize=1)
def goods() -> tuple[Good, ...]:
    """Return every good of the demo."""
    file = Path(__file__).with_name("products.toml")
    return tuple(good for kind in tomllib.loads(file.read_text(encoding="utf-8"))["kind"] for good in _of_kind(kind))


def plan(traders: Sequence[Trader], *, total: int = PRODUCTS) -> dict[str, list[Draft]]:
    """Draw what each trader sells, by code: as evenly as what they deal in allows, `total` in all if there is so much."""
    chosen: dict[str, list[Good]] = {one.code: [] for one in traders}
    waiting = {one.code: iter(_stock(one)) for one in traders}
    left = total
    while waiting and left:
        for code in list(waiting)[:left]:
            good = next(waiting[code], None)
            if good is None:
                del waiting[code]
            else:
                chosen[code].append(good)
                left -= 1
    return {one.code: _at_stall(one, chosen[one.code]) for one in traders}


def enter(load: Load) -> None:
    """Stock the demo's stalls."""
    engine = quick(load.database_url)
    try:
        stock(engine, origin=load.begun.origin, now=load.begun.at)
    finally:
        engine.dispose()


def stock(database: sa.Engine, *, origin: str, now: datetime, total: int = PRODUCTS) -> None:
    """Have each approved merchant's owner import what it sells; what an earlier load has imported stands."""
    traders = _traders(database)
    for one, drafts in zip(traders, plan(traders, total=total).values(), strict=True):
        order = fixed.order_id(f"goods:{one.code}")
        if drafts and not give.is_done(database, one.owner, order):
            _import(database, one, drafts, origin=origin, now=now)


def _import(database: sa.Engine, trader: Trader, drafts: list[Draft], *, origin: str, now: datetime) -> None:
    content = "".join(sheet.write(drafts, names={one.category: one.category for one in drafts}))
    order = give.Order(
        door=_DOOR,
        own={
            "merchant": str(trader.merchant),
            "digest": hashlib.sha256(content.encode()).hexdigest(),
            "rows": str(len(drafts)),
        },
        verb=partial(products.import_all, drafts=drafts, now=now),
        signer=trader.owner,
        order=fixed.order_id(f"goods:{trader.code}"),
        origin=origin,
        now=now,
    )
    give.ordered(database, order, kind="session_order")


def _traders(database: sa.Engine) -> list[Trader]:
    with database.connect() as connection:
        rows = connection.exec_driver_sql(
            """
            SELECT DISTINCT ON (m.code) m.holder AS merchant, s.holder AS owner, m.code, m.name, m.category
            FROM market.merchant m
            JOIN identity.staff s ON s.merchant = m.holder AND s.role = 'owner' AND s.until IS NULL
            WHERE m.state = 'approved' ORDER BY m.code, s.since, s.holder
            """
        )
        return [Trader(**row._mapping) for row in rows]


def _stock(trader: Trader) -> Iterator[Good]:
    """Yield what a trader may sell: first what its name promises, then the rest as the seed has it."""
    categories, services = SELLS.get(trader.category, ()), SERVES.get(trader.category, ())
    own = [good for good in goods() if good.category in categories or good.kind in services]
    _draw(trader).shuffle(own)
    promised = [good for good in goods() if _promises(trader, good) and (good in own or " " in good.kind)]
    return iter([*promised, *(good for good in own if good not in promised)])


def _promises(trader: Trader, good: Good) -> bool:
    """Say whether a trader's name begins to name a kind: "Bún bò mệ Kéo" promises bún bò Huế."""
    head = " ".join(text.fold(good.kind).split()[:2])
    return f" {head} " in f" {text.fold(trader.name)} "


def _at_stall(trader: Trader, own: Iterable[Good]) -> list[Draft]:
    """Give each good the stall's number, price and stock."""
    draw = _draw(trader)
    dearness = draw.random()
    return [
        Draft(
            sku=f"{number:03}",
            name=good.name,
            category=good.category,
            price=_round(good.low + (good.high - good.low) * (dearness + draw.random()) / 2),
            unit=good.unit,
            gtin=_own_number(trader, number) if good.unit in PACKED and draw.random() < WITH_GTIN else "",
            sold_out=draw.random() < SOLD_OUT,
            description=good.text,
        )
        for number, good in enumerate(own, start=1)
    ]


def _of_kind(kind: Mapping[str, Any]) -> Iterator[Good]:
    low, high = kind["price"]
    for variant in kind.get("variants", [""]):
        for size, times in kind.get("sizes", [("", 1.0)]):
            yield Good(
                kind=kind["name"],
                name=" ".join(part for part in (kind["name"], variant, size) if part),
                category=kind["category"],
                unit=kind["unit"],
                low=round(low * times),
                high=round(high * times),
                text=kind["text"],
            )


def _draw(trader: Trader) -> random.Random:
    return random.Random(f"{SEED}:goods:{trader.code}")


def _round(price: float) -> Dong:
    """Round a price as a stall does: to 500 below a hundred thousand, else to 5,000."""
    step = 500 if price < 100_000 else 5_000
    return Dong(max(step, round(price / step) * step))


def _own_number(trader: Trader, number: int) -> str:
    """Make a GTIN-13 of the range that shops print themselves (20 to 29), so that no real packet has it."""
    digits = int.from_bytes(hashlib.sha256(f"{trader.code}:{number}".encode()).digest()[:5])
    body = f"2{digits % 10**11:011}"
    return body + gtin.check_digit(body)
