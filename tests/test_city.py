"""The city file: what it holds, and one clear line for each fault."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from wallet.city import CityError, contrast, load

HERE = Path(__file__).resolve().parent.parent / "city.toml"

SMALL = """
[city]
name = "Thành phố Mẫu"
short_name = "Mẫu"
wallet_name = "Ví Mẫu"
province_code = "99"
national_code = "H99"
hotline = "1900 0000 (số mẫu)"
hotline_sample = true

[city.light]
brand = "#6b2f8a"
strong = "#4c1d66"
soft = "#f3eaf8"
on_brand = "#ffffff"

[city.dark]
brand = "#5b2a76"
strong = "#43195b"
soft = "#35203f"
on_brand = "#ffffff"

[[area]]
code = "99001"
name = "Phường Một"

[[agency]]
code = "H99.1"
name = "Ủy ban nhân dân phường Một"
short = "UBND phường Một"
kind = "phuong"
chuong = "805"
area = "99001"
confidence = "C"

[[tieu_muc]]
code = "2716"
name = "Phí chứng thực"
confidence = "B"

[[procedure]]
code = "2.000884"
name = "Chứng thực chữ ký"
field = "Chứng thực"
kinds = ["phuong"]
confidence = "B"

[[procedure.items]]
code = "CK"
name = "Phí chứng thực chữ ký"
tieu_muc = "2716"
amount = 10_000
citation = "Thông tư 226/2016/TT-BTC, Điều 4"
confidence = "B"
valid_from = 2017-01-01
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "city.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_demo_city_has_its_forty_wards_and_communes() -> None:
    names = [area.name for area in load(HERE).areas.values()]

    assert len([name for name in names if name.startswith("Phường ")]) == 21
    assert len([name for name in names if name.startswith("Xã ")]) == 19


def test_the_demo_city_offers_some_forty_procedures_by_every_one_of_its_agencies() -> None:
    city = load(HERE)

    assert len(city.agencies) >= 14
    assert len(city.procedures) >= 40
    assert all(city.procedures_of(code) for code in city.agencies)


def test_the_demo_city_has_free_fixed_and_stated_amounts_with_their_citations() -> None:
    items = [item for procedure in load(HERE).procedures.values() for item in procedure.items]

    assert len([item for item in items if item.amount == 0]) >= 5
    assert len([item for item in items if item.amount is None]) >= 5
    assert len([item for item in items if item.amount]) >= 20
    assert all(item.citation for item in items)


def test_the_demo_city_says_that_its_hotline_is_a_sample() -> None:
    city = load(HERE)

    assert city.hotline_sample
    assert "mẫu" in city.hotline


def test_another_city_is_read_from_its_own_file(written: Callable[[str], Path]) -> None:
    city = load(written(SMALL))

    assert city.name == "Thành phố Mẫu"
    assert city.agencies["H99.1"].chuong == "805"
    assert city.procedures["2.000884"].agencies == ("H99.1",)
    assert city.procedures["2.000884"].items[0].amount == 10_000


def test_the_mappings_cannot_be_changed(written: Callable[[str], Path]) -> None:
    city = load(written(SMALL))

    with pytest.raises(TypeError):
        city.areas["99002"] = city.areas["99001"]  # type: ignore[index]


def test_the_colours_are_custom_properties_for_light_and_for_dark(written: Callable[[str], Path]) -> None:
    light, dark = load(written(SMALL)).css().splitlines()

    assert light == ":root{--brand:#6b2f8a;--brand-strong:#4c1d66;--brand-soft:#f3eaf8;--on-brand:#ffffff}"
    assert dark.startswith("@media (prefers-color-scheme:dark){:root{--brand:#5b2a76;")


def test_an_item_may_stand_again_with_later_dates(written: Callable[[str], Path]) -> None:
    again = SMALL[SMALL.index("[[procedure.items]]") :].replace("10_000", "12_000")
    again = again.replace("valid_from = 2017-01-01", "valid_from = 2027-01-01")
    first = SMALL.replace("valid_from = 2017-01-01", "valid_from = 2017-01-01\nvalid_to = 2026-12-31")

    procedure = load(written(first + "\n" + again)).procedures["2.000884"]

    assert [item.amount for item in procedure.items_on(date(2016, 12, 31))] == []
    assert [item.amount for item in procedure.items_on(date(2026, 12, 31))] == [10_000]
    assert [item.amount for item in procedure.items_on(date(2027, 1, 1))] == [12_000]


FAULTS = {
    "an unknown key": (
        'short_name = "Mẫu"',
        'short_name = "Mẫu"\nmotto = "x"',
        "[city]: unknown key 'motto'",
    ),
    "an unknown table": ("[[area]]", "[[ward]]\n[[area]]", "the file: unknown key 'ward'"),
    "a missing key": ('name = "Phường Một"', "", "area 99001: name is missing"),
    "a wrong type": ('name = "Phường Một"', "name = 1", "area 99001: name must be a text, not 1"),
    "true as a number": (
        "amount = 10_000",
        "amount = true",
        "item CK: amount must be a whole number, not True",
    ),
    "a broken amount": ("amount = 10_000", "amount = 10_000.5", "must be a whole number, not 10000.5"),
    "a negative amount": ("amount = 10_000", "amount = -1", "amount must be 0 to"),
    "an endless amount": ("amount = 10_000", "amount = 1_000_000_000_000_001", "amount must be 0 to"),
    "no amount": ("amount = 10_000", "", "procedure 2.000884, item CK: amount is missing"),
    "two amounts": ("amount = 10_000", "amount = 1\nvariable = true", "has both an amount and variable"),
    "an unmapped tiểu mục": (
        'tieu_muc = "2716"',
        'tieu_muc = "9999"',
        "tieu_muc 9999 is not among the tieu_muc",
    ),
    "no citation": (
        'citation = "Thông tư 226/2016/TT-BTC, Điều 4"',
        'citation = ""',
        "citation must be 1 to 300",
    ),
    "an unsure confidence": (
        'confidence = "B"\nvalid',
        'confidence = "X"\nvalid',
        "must be A, B or C, not 'X'",
    ),
    "dates upside down": ("2017-01-01", "2017-01-01\nvalid_to = 2016-01-01", "valid_to is before valid_from"),
    "an agency without chương": ('chuong = "805"\n', "", "agency H99.1: chuong is missing"),
    "a chương of two digits": (
        'chuong = "805"',
        'chuong = "80"',
        "chuong must be 3 digits in quotes, not '80'",
    ),
    "digits of another script": ('chuong = "805"', 'chuong = "٨٠٥"', "chuong must be 3 digits"),
    "an unknown area": ('area = "99001"', 'area = "99002"', "area 99002 is not among the areas"),
    "an unknown agency": ('kinds = ["phuong"]', 'agencies = ["H9"]', "agency H9 is not among the agencies"),
    "an unknown kind": ('kinds = ["phuong"]', 'kinds = ["quan"]', "no agency is of kind 'quan'"),
    "a procedure of nobody": ('kinds = ["phuong"]\n', "", "no agency offers it"),
    "a bad colour": ('soft = "#f3eaf8"', 'soft = "tím"', "[city.light]: soft must be a colour like #5b2a86"),
    "a pale colour": (
        'brand = "#6b2f8a"',
        'brand = "#b48ac8"',
        "[city.light]: white #ffffff on brand #b48ac8 has a contrast",
    ),
    "a pale colour on dark pages": ("#5b2a76", "#c79be0", "[city.dark]: white #ffffff on brand #c79be0"),
    "a dark tint on light pages": ("#f3eaf8", "#6b2f8a", "[city.light]: strong #4c1d66 on soft #6b2f8a"),
    "a light tint on dark pages": ("#35203f", "#f3eaf8", "[city.dark]: on_brand #ffffff on soft #f3eaf8"),
    "dark text on a dark button": ('on_brand = "#ffffff"', 'on_brand = "#1d1825"', "on_brand #1d1825 on brand"),
    "decomposed letters": ("Phường Một", "Phươ\u0300ng Một", "area 99001: name must be in Unicode form NFC"),
    "a hidden letter": ("Phường Một", "Phường\u202e Một", "area 99001: name must have no control characters"),
    "spaces around": ("Phường Một", " Phường Một", "area 99001: name must be 1 to 300 characters"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_in_one_line(name: str, written: Callable[[str], Path]) -> None:
    before, after, told = FAULTS[name]
    assert before in SMALL

    with pytest.raises(CityError) as raised:
        load(written(SMALL.replace(before, after, 1)))

    assert [line for line in raised.value.faults if told in line], raised.value.faults
    assert len(str(raised.value).splitlines()) == len(raised.value.faults)


@pytest.mark.parametrize("table", ["[[area]]", "[[agency]]", "[[tieu_muc]]", "[[procedure]]"])
def test_a_code_stands_once(table: str, written: Callable[[str], Path]) -> None:
    rows = SMALL[SMALL.index(table) :].split("\n[[")
    twice = "\n[[".join(rows[: 2 if table == "[[procedure]]" else 1])

    with pytest.raises(CityError, match="stands twice"):
        load(written(SMALL + "\n" + twice))


def test_an_item_stands_once_on_a_day(written: Callable[[str], Path]) -> None:
    again = SMALL[SMALL.index("[[procedure.items]]") :].replace("2017-01-01", "2020-01-01")

    with pytest.raises(CityError, match="item CK stands twice on the same day"):
        load(written(SMALL + "\n" + again))


def test_every_fault_is_named_at_once(written: Callable[[str], Path]) -> None:
    wrong = SMALL.replace('chuong = "805"\n', "").replace("amount = 10_000", "amount = -5")

    with pytest.raises(CityError) as raised:
        load(written(wrong))

    assert len(raised.value.faults) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"[city", "is not TOML"), (b'name = "\xff"', "is not UTF-8"), (b"", "city is missing")],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "city.toml"
    path.write_bytes(content)

    with pytest.raises(CityError, match=told):
        load(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CityError, match="cannot be read: No such file"):
        load(tmp_path / "city.toml")


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#ffffff", "#777777") == contrast("#777777", "#ffffff")
