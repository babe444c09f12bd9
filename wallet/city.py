"""The city: its name, colours, areas, agencies, budget lines and procedures, read from one `city.toml`.

Words   area: a ward or commune (địa bàn) · agency: who issues bills (cơ quan) · chương, tiểu mục: the chapter
        and the sub-item of the State budget that a fee is booked under · procedure: a public service (thủ tục
        hành chính) · item: one fee or charge of a procedure, dated.
Money   Whole đồng. 0 is a fee that is free of charge; None is an amount that the officer states.
Source  Each amount names its citation and how sure we are of it: A the primary text was read, B an
        independent secondary source, C one weak source, an inference or a sample.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeVar, cast

from wallet.money import AMOUNT_MAX

Confidence = Literal["A", "B", "C"]

TEXT_MAX: Final = 300
"""The longest name or citation: several lines on a phone, and still one line in a log."""

CONTRAST_MIN: Final = 4.5
"""WCAG 2.2, success criterion 1.4.3: normal text against its ground."""

_WHITE: Final = "#ffffff"

_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,39}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_CONFIDENCES: Final = ("A", "B", "C")


class CityError(Exception):
    """A city file that cannot be used.

    Args:
        path: the file.
        faults: one line for each fault, in the order of the file as far as it has one.
    """

    def __init__(self, path: Path, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{path}: {fault}" for fault in self.faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """The city's one colour on light or on dark pages, each as #rrggbb.

    brand and its deeper shade strong are grounds of white text on both; on light pages they are the text of links
    and headings as well, where dark pages mix brand with white. soft is a tinted ground, on_brand the text upon
    brand.
    """

    brand: str
    strong: str
    soft: str
    on_brand: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A ward or commune, by its five digits in the State's list."""

    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """An agency that issues bills; `area` where it serves one ward or commune only."""

    code: str
    name: str
    short: str
    kind: str
    chuong: str
    area: str | None
    confidence: Confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class TieuMuc:
    """A sub-item of the State budget's list of revenues."""

    code: str
    name: str
    confidence: Confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One fee or charge of a procedure, as it stands from valid_from to valid_to (both included).

    The amount is in whole đồng: 0 is free of charge, None is stated by the officer at issue.
    """

    code: str
    name: str
    tieu_muc: str
    amount: int | None
    citation: str
    confidence: Confidence
    valid_from: date
    valid_to: date | None

    def in_force(self, day: date) -> bool:
        """Say whether the item stands on that day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """A public service and what it costs; `items` holds every dated row, `items_on` those of one day.

    `use` is what a limit of `rules.toml` calls its payment.
    """

    code: str
    name: str
    field: str
    agencies: tuple[str, ...]
    items: tuple[Item, ...]
    confidence: Confidence
    use: str = "public_service"

    def items_on(self, day: date) -> tuple[Item, ...]:
        """Return the items in force on that day, in the order of the file."""
        return tuple(item for item in self.items if item.in_force(day))


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Everything that makes this city this city. The mappings are by code, in the order of the file."""

    name: str
    short_name: str
    wallet_name: str
    province_code: str
    national_code: str
    hotline: str
    hotline_sample: bool
    light: Colours
    dark: Colours
    areas: Mapping[str, Area]
    agencies: Mapping[str, Agency]
    tieu_muc: Mapping[str, TieuMuc]
    procedures: Mapping[str, Procedure]

    @property
    def uses(self) -> dict[str, str]:
        """Return, by procedure, what a limit calls its payment."""
        return {one.code: one.use for one in self.procedures.values()}

    def procedures_of(self, agency: str) -> tuple[Procedure, ...]:
        """Return the procedures that an agency offers, in the order of the file."""
        return tuple(one for one in self.procedures.values() if agency in one.agencies)

    def css(self) -> str:
        """Return the colours as custom properties, light first, then dark by the reader's preference."""
        dark = _properties(self.dark)
        return f":root{{{_properties(self.light)}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def load(path: Path) -> City:
    """Read and check a city file.

    Raises:
        CityError: the file cannot be read, is not TOML, or has faults; it names each of them in one line.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise CityError(path, [f"cannot be read: {fault.strerror}"]) from fault
    except UnicodeDecodeError as fault:
        raise CityError(path, ["is not UTF-8"]) from fault
    except tomllib.TOMLDecodeError as fault:
        raise CityError(path, [f"is not TOML: {fault}"]) from fault
    faults: list[str] = []
    city = _city(_Table("the file", raw, faults))
    if faults:
        raise CityError(path, faults)
    return city


def contrast(one: str, other: str) -> float:
    """Return the WCAG 2.2 contrast ratio of two #rrggbb colours, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


# ---- reading, fault by fault -------------------------------------------------------------------------------


T = TypeVar("T")


class _Coded(Protocol):
    @property
    def code(self) -> str: ...


Coded = TypeVar("Coded", bound=_Coded)


class _Table:
    """One table of the file, read key by key: a fault is noted, and a harmless value stands in to the end."""

    def __init__(self, where: str, raw: Mapping[str, Any], faults: list[str]) -> None:
        self.where = where
        self.faults = faults
        self._raw = dict(raw)

    def fault(self, text: str) -> None:
        self.faults.append(f"{self.where}: {text}")

    def close(self) -> None:
        """Note every key that nothing has asked for."""
        for key in self._raw:
            self.fault(f"unknown key {key!r}")

    def has(self, key: str) -> bool:
        return key in self._raw

    def take(self, key: str, kind: type[T], instead: T) -> T:
        """Take a value of exactly this type: TOML's true is no number here."""
        if key not in self._raw:
            self.fault(f"{key} is missing")
            return instead
        value = self._raw.pop(key)
        if type(value) is not kind:
            self.fault(f"{key} must be {_KINDS[kind]}, not {value!r}")
            return instead
        return value

    def text(self, key: str) -> str:
        value = self.take(key, str, "?")
        if not value or value != value.strip() or len(value) > TEXT_MAX:
            self.fault(f"{key} must be 1 to {TEXT_MAX} characters without spaces around them")
        if not unicodedata.is_normalized("NFC", value):
            self.fault(f"{key} must be in Unicode form NFC")
        if any(unicodedata.category(letter).startswith("C") for letter in value):
            self.fault(f"{key} must have no control characters")
        return value

    def digits(self, key: str, count: int) -> str:
        value = self.take(key, str, "0" * count)
        if not re.fullmatch(f"[0-9]{{{count}}}", value):
            self.fault(f"{key} must be {count} digits in quotes, not {value!r}")
        return value

    def code(self, key: str = "code") -> str:
        value = self.take(key, str, "?")
        if value != "?" and not _CODE.fullmatch(value):
            self.fault(f"{key} must be letters, digits, dot, dash or underscore, not {value!r}")
        return value

    def codes(self, key: str) -> tuple[str, ...]:
        values = self.take(key, list, []) if self.has(key) else []
        if any(type(value) is not str for value in values):
            self.fault(f"{key} must be a list of codes in quotes")
            return ()
        return tuple(values)

    def confidence(self) -> Confidence:
        value = self.take("confidence", str, "C")
        if value not in _CONFIDENCES:
            self.fault(f"confidence must be A, B or C, not {value!r}")
        return cast("Confidence", value)

    def colour(self, key: str) -> str:
        value = self.take(key, str, _WHITE)
        if not _COLOUR.fullmatch(value):
            self.fault(f"{key} must be a colour like #5b2a86, not {value!r}")
            return ""
        return value

    def table(self, key: str, where: str) -> "_Table":
        return _Table(where, self.take(key, dict, {}), self.faults)

    def tables(self, key: str, where: str) -> "list[_Table]":
        """Take a list of tables; each is named in faults by its code, or by its place where it has none."""
        found = []
        for place, raw in enumerate(self.take(key, list, []), start=1):
            if type(raw) is dict:
                named = raw.get("code")
                name = f"{where} {named}" if isinstance(named, str) else f"{where} no. {place}"
                found.append(_Table(name, raw, self.faults))
            else:
                self.fault(f"{key} no. {place} must be a table")
        return found


_KINDS: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    date: "a date like 2026-01-01",
    list: "a list",
    dict: "a table",
}


def _city(file: _Table) -> City:
    head = file.table("city", "[city]")
    areas = _by_code(file.tables("area", "area"), _area)
    tieu_muc = _by_code(file.tables("tieu_muc", "tieu_muc"), _tieu_muc)
    agencies = _by_code(file.tables("agency", "agency"), lambda table: _agency(table, areas))
    procedures = _by_code(file.tables("procedure", "procedure"), lambda table: _procedure(table, agencies, tieu_muc))
    city = City(
        name=head.text("name"),
        short_name=head.text("short_name"),
        wallet_name=head.text("wallet_name"),
        province_code=head.digits("province_code", 2),
        national_code=head.code("national_code"),
        hotline=head.text("hotline"),
        hotline_sample=head.take("hotline_sample", bool, True),
        light=_colours(head.table("light", "[city.light]"), upon_soft="strong"),
        dark=_colours(head.table("dark", "[city.dark]"), upon_soft="on_brand"),
        areas=areas,
        agencies=agencies,
        tieu_muc=tieu_muc,
        procedures=procedures,
    )
    head.close()
    file.close()
    return city


def _by_code(tables: list[_Table], read: Callable[[_Table], Coded]) -> Mapping[str, Coded]:
    found: dict[str, Coded] = {}
    for table in tables:
        one = read(table)
        table.close()
        if one.code in found:
            table.fault("stands twice")
        found[one.code] = one
    return MappingProxyType(found)


def _area(table: _Table) -> Area:
    return Area(code=table.digits("code", 5), name=table.text("name"))


def _tieu_muc(table: _Table) -> TieuMuc:
    return TieuMuc(code=table.digits("code", 4), name=table.text("name"), confidence=table.confidence())


def _agency(table: _Table, areas: Mapping[str, Area]) -> Agency:
    area = table.digits("area", 5) if table.has("area") else None
    if area is not None and area not in areas:
        table.fault(f"area {area} is not among the areas")
    return Agency(
        code=table.code(),
        name=table.text("name"),
        short=table.text("short"),
        kind=table.code("kind"),
        chuong=table.digits("chuong", 3),
        area=area,
        confidence=table.confidence(),
    )


def _procedure(table: _Table, agencies: Mapping[str, Agency], tieu_muc: Mapping[str, TieuMuc]) -> Procedure:
    procedure = Procedure(
        code=table.code(),
        name=table.text("name"),
        field=table.text("field"),
        agencies=_offered_by(table, agencies),
        items=tuple(_item(item, tieu_muc) for item in table.tables("items", f"{table.where}, item")),
        confidence=table.confidence(),
        use=table.text("use") if table.has("use") else "public_service",
    )
    if not procedure.items:
        table.fault("has no items")
    _check_dates(table, procedure.items)
    return procedure


def _offered_by(table: _Table, agencies: Mapping[str, Agency]) -> tuple[str, ...]:
    """Resolve `agencies` (codes) and `kinds` (all of a kind) to agency codes, in the order of the file."""
    codes, kinds = table.codes("agencies"), table.codes("kinds")
    for code in codes:
        if code not in agencies:
            table.fault(f"agency {code} is not among the agencies")
    for kind in kinds:
        if all(agency.kind != kind for agency in agencies.values()):
            table.fault(f"no agency is of kind {kind!r}")
    offered = tuple(one.code for one in agencies.values() if one.code in codes or one.kind in kinds)
    if not codes and not kinds:
        table.fault("no agency offers it: agencies or kinds is missing")
    return offered


def _item(table: _Table, tieu_muc: Mapping[str, TieuMuc]) -> Item:
    item = Item(
        code=table.code(),
        name=table.text("name"),
        tieu_muc=table.digits("tieu_muc", 4),
        amount=_amount(table),
        citation=table.text("citation"),
        confidence=table.confidence(),
        valid_from=table.take("valid_from", date, date.min),
        valid_to=table.take("valid_to", date, date.max) if table.has("valid_to") else None,
    )
    if item.tieu_muc not in tieu_muc:
        table.fault(f"tieu_muc {item.tieu_muc} is not among the tieu_muc")
    if item.valid_to is not None and item.valid_to < item.valid_from:
        table.fault("valid_to is before valid_from")
    table.close()
    return item


def _amount(table: _Table) -> int | None:
    """Take exactly one of `amount` and `variable = true`."""
    if table.has("variable"):
        if not table.take("variable", bool, True):
            table.fault("variable is only ever true; leave it out where the amount is fixed")
        if table.has("amount"):
            table.fault("has both an amount and variable")
            table.take("amount", int, 0)
        return None
    amount = table.take("amount", int, 0)
    if not 0 <= amount <= AMOUNT_MAX:
        table.fault(f"amount must be 0 to {AMOUNT_MAX} whole đồng, not {amount}")
    return amount


def _check_dates(table: _Table, items: tuple[Item, ...]) -> None:
    """An item's code may stand again with later dates, but never twice on one day."""
    for place, item in enumerate(items):
        for earlier in items[:place]:
            last = min(item.valid_to or date.max, earlier.valid_to or date.max)
            if item.code == earlier.code and max(item.valid_from, earlier.valid_from) <= last:
                table.fault(f"item {item.code} stands twice on the same day")


def _colours(table: _Table, *, upon_soft: Literal["strong", "on_brand"]) -> Colours:
    """Take the colours of light or dark pages, and hold them against each other and against white."""
    shades = {name: table.colour(name) for name in ("brand", "strong", "soft", "on_brand")}
    table.close()
    for text, ground in (("white", "brand"), ("white", "strong"), ("on_brand", "brand"), (upon_soft, "soft")):
        above, below = shades.get(text, _WHITE), shades[ground]
        if above and below and (ratio := contrast(above, below)) < CONTRAST_MIN:
            told = f"{text} {above} on {ground} {below}"
            table.fault(f"{told} has a contrast of {ratio:.2f}:1, below {CONTRAST_MIN}:1")
    return Colours(**shades)


def _properties(colours: Colours) -> str:
    return (
        f"--brand:{colours.brand};--brand-strong:{colours.strong};"
        f"--brand-soft:{colours.soft};--on-brand:{colours.on_brand}"
    )


def _luminance(colour: str) -> float:
    """Return the relative luminance as WCAG 2.2 defines it, from 0 to 1."""
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
