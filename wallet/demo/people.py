"""The people of the demo city: a thousand invented citizens, and the few whom a visitor signs in as.

What    Pure and deterministic: the same seed and the same city file give the same people on every machine.
Words   A citizen is a debtor on file; a principal is one of the named few, with a PIN or a key; a clerk
        issues an agency's bills and signs in nowhere.
Names   Family names in about the proportions of central Vietnam, with the old families of the former court,
        whose daughters bear other family names than their sons. All are drawn by lot and mean nobody.
Phones  All begin with 0600. Vietnamese mobile numbers begin with 03, 05, 07, 08 and 09, fixed lines with 02;
        numbers in 06 are given out to nobody (national numbering plan of 2014, confidence C), so that no
        message of a demo ever reaches a person.
"""

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from wallet.city import Agency, City

SEED: Final = "trang-tien-1"
"""Another seed is another city; its figure grows whenever the same seed would begin to give other people."""

CITIZENS: Final = 1_000

PHONE_PREFIX: Final = "0600"

Role = Literal["citizen", "officer", "agency", "auditor", "operator"]


_OWNER_NUMBERS: Final = 2_000
"""Shopkeepers' phone numbers stand behind the clerks' and before the citizens'."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FAMILIES: Final[tuple[tuple[str, str, float], ...]] = (  # of a son, of a daughter, how many in a thousand
    ("Nguyễn", "Nguyễn", 318),
    ("Trần", "Trần", 112),
    ("Lê", "Lê", 98),
    ("Hoàng", "Hoàng", 56),
    ("Phan", "Phan", 50),
    ("Phạm", "Phạm", 48),
    ("Võ", "Võ", 42),
    ("Hồ", "Hồ", 40),
    ("Đặng", "Đặng", 26),
    ("Trương", "Trương", 24),
    ("Ngô", "Ngô", 20),
    ("Đỗ", "Đỗ", 16),
    ("Bùi", "Bùi", 15),
    ("Dương", "Dương", 14),
    ("Huỳnh", "Huỳnh", 12),
    ("Đoàn", "Đoàn", 11),
    ("Cao", "Cao", 10),
    ("Mai", "Mai", 10),
    ("Hà", "Hà", 9),
    ("Lương", "Lương", 8),
    ("Châu", "Châu", 7),
    ("Văn", "Văn", 6),
    ("Đinh", "Đinh", 6),
    ("Thân", "Thân", 5),
    ("La", "La", 4),
    ("Tôn Thất", "Tôn Nữ", 13),
    ("Nguyễn Phước", "Công Tằng Tôn Nữ", 6),
    ("Nguyễn Khoa", "Nguyễn Khoa", 4),
    ("Hồ Đắc", "Hồ Đắc", 4),
    ("Vĩnh", "Công Huyền Tôn Nữ", 3),
    ("Bửu", "Huyền Tôn Nữ", 3),
)

_NO_MIDDLE: Final = frozenset({"Vĩnh", "Bửu"})
"""In these generations of the court's family the family name is the middle name as well."""

_COURT: Final = ("Tôn Nữ", "Tôn Thất")
"""Names that already hold what stands in the middle elsewhere: a daughter is no "Tôn Nữ Thị"."""

_MIDDLE_SON: Final = _words(
    "Văn Văn Văn Đức Minh Quang Hữu Ngọc Công Thanh Quốc Đình Xuân Bảo Gia Anh Tuấn Viết Phước Trọng Khắc Nhật Duy Hoài"
)
_MIDDLE_DAUGHTER: Final = (
    *_words("Thị Thị Thị Thị Ngọc Thanh Thu Minh Phương Bảo Khánh Diệu Như Quỳnh Mỹ Kim Thùy Hoài Cẩm"),
    *("Thị Thu", "Thị Mỹ", "Thị Diệu", "Thị Thanh", "Thị Ngọc", "Thị Kim"),
)
_GIVEN_SON: Final = _words(
    "Hùng Dũng Tuấn Minh Nam Phúc Khoa Long Huy Hải Sơn Thành Quân Bình Tâm Trung Đạt Tùng Khánh Vũ Phong "
    "Thắng Lâm Quý Tín Nhân Thiện Vinh Hiếu Lộc Toàn Hòa Kiên Cường Nghĩa An Đông Thuận Việt Duy"
)
_GIVEN_DAUGHTER: Final = _words(
    "Lan Hoa Hương Hạnh Trang Nga Thủy Phương Linh Nhung Hằng Yến Thảo My Nhi Trâm Vy Ngân Hiền Diệp Sương "
    "Hà Loan Mai Oanh Châu Quyên Uyên Tiên Thương Dung Xuân Trinh Thư Giang Lệ Tuyết Vân Thi Hậu"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Citizen:
    """An invented citizen: a name in Unicode form NFC, a sample phone number, and the code of an area."""

    name: str
    phone: str
    area: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """One of the named few.

    `slug` names the principal and seeds its key. A machine has no phone and no PIN; only citizens
    have a wallet. `agency` is the code of the agency that an officer or a machine works for; `also` says in words what
    else somebody does.
    """

    slug: str
    name: str
    role: Role
    phone: str | None = None
    pin: str | None = None
    agency: str | None = None
    area: str | None = None
    also: str | None = None


def citizens(city: City, *, count: int = CITIZENS, seed: str = SEED) -> tuple[Citizen, ...]:
    """Draw citizens: none shares a phone number with another or with a principal."""
    lot = Random(f"{seed}:people")
    areas = tuple(city.areas)
    numbers = lot.sample(range(100_000, 1_000_000), count)
    return tuple(
        Citizen(name=_name(lot), phone=f"{PHONE_PREFIX}{number}", area=lot.choice(areas)) for number in numbers
    )


def principals(city: City) -> tuple[Principal, ...]:
    """Return the named few: four citizens, officer and machine of two agencies, an auditor, two operators: what
    two officers must do, maker and checker, takes two.
    """
    first, second = _two_agencies(city)
    home = first.area or next(iter(city.areas))
    return (
        Principal(slug="lan", name="Trần Thị Ngọc Lan", role="citizen", phone="0600000101", pin="482915", area=home),
        Principal(
            slug="huong",
            name="Tôn Nữ Quỳnh Hương",
            role="citizen",
            phone="0600000102",
            pin="730264",
            area=home,
            also="chủ điểm bán (merchant's owner)",
        ),
        Principal(
            slug="minh",
            name="Nguyễn Hữu Minh",
            role="citizen",
            phone="0600000103",
            pin="591836",
            area=home,
            also="thu ngân của điểm bán (cashier)",
        ),
        Principal(slug="an", name="Hồ Văn An", role="citizen", phone="0600000104", pin="264079", area=home),
        Principal(
            slug="ha",
            name="Lê Thị Thu Hà",
            role="officer",
            phone="0600000201",
            pin="907153",
            agency=first.code,
        ),
        Principal(
            slug="dung",
            name="Phạm Quang Dũng",
            role="officer",
            phone="0600000202",
            pin="315870",
            agency=second.code,
        ),
        Principal(slug="may-1", name=f"Hệ thống của {first.short}", role="agency", agency=first.code),
        Principal(slug="may-2", name=f"Hệ thống của {second.short}", role="agency", agency=second.code),
        Principal(slug="khoi", name="Phan Đình Khôi", role="auditor", phone="0600000301", pin="846207"),
        Principal(slug="tam", name="Võ Thanh Tâm", role="operator", phone="0600000401", pin="618394"),
        Principal(slug="bao", name="Trương Quốc Bảo", role="operator", phone="0600000402", pin="940257"),
    )


def owners(count: int, *, seed: str = SEED) -> tuple[tuple[str, str], ...]:
    """Draw name and phone of people who own the demo's shops; their numbers stand before the citizens'."""
    lot = Random(f"{seed}:owners")
    return tuple((_name(lot), f"{PHONE_PREFIX}{_OWNER_NUMBERS + place:06}") for place in range(1, count + 1))


def clerks(city: City, *, seed: str = SEED) -> dict[str, str]:
    """Draw the name of a clerk for each agency, by the agency's code."""
    lot = Random(f"{seed}:clerks")
    return {code: _name(lot) for code in city.agencies}


def _two_agencies(city: City) -> tuple[Agency, Agency]:
    """Return the file's first agency and, of those that serve the whole city, the one that offers most."""
    first, *rest = city.agencies.values()
    other = [one for one in rest if one.area is None] or rest or [first]
    return first, max(other, key=lambda one: len(city.procedures_of(one.code)))


def _name(lot: Random) -> str:
    son, daughter, _ = lot.choices(_FAMILIES, weights=[weight for *_, weight in _FAMILIES])[0]
    if lot.random() < 0.5:
        middle = "" if son in _NO_MIDDLE else lot.choice(_MIDDLE_SON)
        return _joined(son, middle, lot.choice(_GIVEN_SON))
    middle = lot.choice(_MIDDLE_DAUGHTER)
    if daughter.endswith(_COURT):
        middle = middle.removeprefix("Thị").strip()
    return _joined(daughter, middle, lot.choice(_GIVEN_DAUGHTER))


def _joined(family: str, middle: str, given: str) -> str:
    """Join the parts, without a middle name that only repeats the given or the family name."""
    if given in middle.split() or middle in family.split():
        middle = ""
    return " ".join(part for part in (family, middle, given) if part)
