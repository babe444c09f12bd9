"""Drafts: a product as its seller writes it, read field by field, alike for a form, an order and a row of a spreadsheet."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from market.catalog import gtin, tables, units
from wallet import money, text
from wallet.money import Dong
from wallet.refusal import Refusal

NAME_CHARS_MAX: Final = 120
DESCRIPTION_CHARS_MAX: Final = 1000
SKU_CHARS_MAX: Final = 40
PRICE_MAX: Final = 10**10

_PRICE: Final = re.compile(
    r"([0-9]{1,3}(?:[.,][0-9]{3})+|[0-9]{1,11})(?:[.,]0+)?\s*(?:₫|đ|đồng|vnđ|vnd)?", re.IGNORECASE
)
_LINES: Final = re.compile(r"[\r\n\t]+")
_YES: Final = frozenset({"", "1", "x", "co", "con", "con hang", "yes", "y", "true"})
_NO: Final = frozenset({"0", "het", "het hang", "khong", "no", "n", "false"})


class BadName(Refusal):
    """Nothing in it that could be searched for: no letter and no digit."""

    code = "product_name_wrong"
    status = 422


class BadPrice(Refusal):
    """Not a whole number of đồng from 1 to ten thousand million: 35000 or 35.000."""

    code = "product_price_wrong"
    status = 422


class UnknownUnit(Refusal):
    """Not one of the units."""

    code = "product_unit_unknown"
    status = 422


class UnknownCategory(Refusal):
    """Not one of the categories, neither by code nor by name."""

    code = "product_category_unknown"
    status = 422


class BadStock(Refusal):
    """Neither yes nor no: whether there is any left."""

    code = "product_stock_wrong"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a seller says of a product."""

    sku: str
    name: str
    category: str
    price: Dong
    unit: str
    gtin: str
    sold_out: bool
    description: str


Categories = Mapping[str, str]
"""Folded code or name → code."""


def categories(connection: sa.Connection) -> Categories:
    """Return what categories may be called."""
    rows = connection.execute(sa.select(tables.category)).all()
    return {text.fold(called): row.code for row in rows for called in (row.code, row.name, row.name_en)}


def read(field: str, typed: str, *, known: Categories) -> Any:
    """Read one field of a draft.

    Raises:
        text.BadText, BadName, BadPrice, UnknownUnit, UnknownCategory, BadStock, gtin.BadGtin: with the field as param.
    """
    match field:
        case "sku":
            return text.plain(typed, chars_max=SKU_CHARS_MAX, param="sku", empty=True)
        case "name":
            return name(typed)
        case "category":
            return category(typed, known)
        case "price":
            return price(typed)
        case "unit":
            return unit(typed)
        case "gtin":
            return gtin.read(typed)
        case "sold_out":
            return not in_stock(typed)
        case "description":
            return text.plain(_LINES.sub(" ", typed), chars_max=DESCRIPTION_CHARS_MAX, param="description", empty=True)
    raise AssertionError(f"a draft has no {field}")


def name(typed: str) -> str:
    """Read a name.

    Raises:
        text.BadText, BadName.
    """
    spelled = text.plain(typed, chars_max=NAME_CHARS_MAX, param="name")
    if not text.fold(spelled):
        raise BadName(param="name")
    return spelled


def price(typed: str) -> Dong:
    """Read a price as people and spreadsheets write it: 35000, 35.000, "35,000 đ", 35000.0; never a part of a đồng.

    Raises:
        BadPrice.
    """
    found = _PRICE.fullmatch(typed.strip())
    amount = int(re.sub(r"[.,]", "", found[1])) if found else 0
    if not 1 <= amount <= PRICE_MAX:
        raise BadPrice(param="price")
    return money.parse(str(amount))


def unit(typed: str) -> str:
    """Read a unit by its code or by what it is called.

    Raises:
        UnknownUnit.
    """
    found = units.of(typed)
    if found is None:
        raise UnknownUnit(param="unit")
    return found.code


def category(typed: str, known: Categories) -> str:
    """Read a category by its code or its name, with or without accents.

    Raises:
        UnknownCategory.
    """
    code = known.get(text.fold(typed))
    if code is None:
        raise UnknownCategory(param="category")
    return code


def in_stock(typed: str) -> bool:
    """Read whether there is any left; an empty cell says yes.

    Raises:
        BadStock.
    """
    said = text.fold(typed)
    if said not in _YES | _NO:
        raise BadStock(param="sold_out")
    return said in _YES
