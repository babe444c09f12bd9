"""Units: by what a product is sold and priced, as people say it, as a spreadsheet has it and as machines name it.

Source  Codes for machines: UN/ECE Recommendation 20 (HGM, hectogram, is the market's "lạng").
"""

import unicodedata
from dataclasses import dataclass
from typing import Final

from wallet import text


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: our code, its Vietnamese and English name, and the code that other systems know it by, where
    there is one that we are sure of.
    """

    code: str
    name: str
    name_en: str
    machine: str = ""


_ALL: Final = (
    Unit("piece", "cái", "piece", "C62"),
    Unit("kg", "kg", "kg", "KGM"),
    Unit("bunch", "bó", "bunch"),
    Unit("lang", "lạng", "100 g", "HGM"),
    Unit("pack", "gói", "pack"),
    Unit("box", "hộp", "box"),
    Unit("bag", "túi", "bag"),
    Unit("bottle", "chai", "bottle"),
    Unit("jar", "hũ", "jar"),
    Unit("litre", "lít", "litre", "LTR"),
    Unit("bowl", "tô", "bowl"),
    Unit("plate", "đĩa", "plate"),
    Unit("glass", "ly", "glass"),
    Unit("portion", "phần", "portion"),
    Unit("animal", "con", "animal"),
    Unit("fruit", "trái", "fruit"),
    Unit("ten", "chục", "ten"),
    Unit("pair", "đôi", "pair", "PR"),
    Unit("set", "bộ", "set", "SET"),
    Unit("metre", "mét", "metre", "MTR"),
    Unit("sheet", "tờ", "sheet"),
    Unit("turn", "lượt", "time"),
)

UNITS: Final = {unit.code: unit for unit in _ALL}

_SPELLED: Final = {unit.name: unit.code for unit in _ALL}
"""By the exact word: "bó" and "bộ", "tô" and "tờ" are one without their accents."""

_SPOKEN: Final = {
    "quyen": "piece", "chiec": "piece", "kilogram": "kg", "kilo": "kg", "ki": "kg", "can": "kg", "ky": "kg",
    "lon": "jar", "bich": "bag", "qua": "fruit", "suat": "portion", "cap": "pair", "nam": "bunch",
    **{text.fold(name): unit.code for unit in reversed(_ALL) for name in (unit.code, unit.name, unit.name_en)},
}  # fmt: skip
"""What people write for a unit, folded. The market's "cân" weighs what the shop's "kg" weighs."""


def of(spoken: str) -> Unit | None:
    """Return the unit that a word means, also without accents where that leaves it clear, or None."""
    spelled = unicodedata.normalize("NFC", spoken).strip().lower()
    code = _SPELLED.get(spelled) or _SPOKEN.get(text.fold(spoken))
    return UNITS[code] if code else None
