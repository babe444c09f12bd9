"""The people of the demo city are invented, well formed, and the same everywhere."""

import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from wallet.city import City, load
from wallet.demo.people import PHONE_PREFIX, citizens, clerks, principals


@pytest.fixture(scope="module")
def city() -> City:
    return load(Path(__file__).resolve().parent.parent / "city.toml")


def test_the_same_seed_gives_the_same_people(city: City) -> None:
    assert citizens(city) == citizens(city)
    assert clerks(city) == clerks(city)


def test_another_seed_gives_other_people(city: City) -> None:
    assert citizens(city, seed="another") != citizens(city)


def test_the_first_citizen_stays_the_first(city: City) -> None:
    """A change here is another city on every machine: then the seed's figure must grow."""
    first = citizens(city)[0]

    assert (first.name, first.phone) == ("Lê Bảo An", "0600815931")


def test_there_are_a_thousand_and_each_has_a_phone_of_their_own(city: City) -> None:
    phones = [one.phone for one in citizens(city)]
    named = [one.phone for one in principals(city) if one.phone]

    assert len(phones) == 1_000
    assert len({*phones, *named}) == len(phones) + len(named)


def test_every_phone_lies_in_the_range_that_is_given_out_to_nobody(city: City) -> None:
    phones = [one.phone for one in citizens(city)]
    phones += [one.phone for one in principals(city) if one.phone]

    assert all(len(phone) == 10 and phone.isascii() and phone.isdigit() for phone in phones)
    assert all(phone.startswith(PHONE_PREFIX) for phone in phones)
    assert PHONE_PREFIX[:2] not in {"02", "03", "05", "07", "08", "09"}


def test_names_are_composed_letters_and_single_spaces(city: City) -> None:
    names = [one.name for one in citizens(city)] + [one.name for one in principals(city)]
    names += clerks(city).values()

    assert all(unicodedata.is_normalized("NFC", name) for name in names)
    assert all(name == " ".join(name.split()) for name in names)
    assert all(len(one.name.split()) >= 2 for one in citizens(city))


def test_family_names_are_as_common_as_in_life(city: City) -> None:
    names = [one.name for one in citizens(city)]
    families = Counter(name.split()[0] for name in names)

    assert [family for family, _ in families.most_common(3)] == ["Nguyễn", "Trần", "Lê"]
    assert 250 < families["Nguyễn"] < 400
    assert any("Tôn Nữ" in name for name in names)
    assert any(name.startswith("Tôn Thất") for name in names)


def test_no_name_repeats_a_word_of_itself(city: City) -> None:
    names = [one.name for one in citizens(city)]

    assert [name for name in names if len(set(name.split())) < len(name.split())] == []


def test_no_daughter_of_the_court_is_called_thi(city: City) -> None:
    names = [one.name for one in citizens(city)]

    assert [name for name in names if "Tôn Nữ Thị" in name] == []


def test_citizens_live_in_areas_of_the_city(city: City) -> None:
    areas = {one.area for one in citizens(city)}

    assert areas == set(city.areas)


def test_the_named_few_fill_every_role(city: City) -> None:
    roles = Counter(one.role for one in principals(city))

    assert roles == {"citizen": 4, "officer": 2, "agency": 2, "auditor": 1, "operator": 2}


def test_officers_and_machines_serve_the_same_two_agencies(city: City) -> None:
    of_role = {role: {one.agency for one in principals(city) if one.role == role} for role in ("officer", "agency")}

    assert of_role["officer"] == of_role["agency"]
    assert len(of_role["officer"]) == 2
    assert of_role["officer"] <= set(city.agencies)


def test_one_officer_serves_a_ward_and_one_the_whole_city(city: City) -> None:
    served = [city.agencies[one.agency] for one in principals(city) if one.role == "officer" and one.agency]

    assert [one.area is None for one in served] == [False, True]


def test_people_have_pins_and_machines_have_none(city: City) -> None:
    for one in principals(city):
        assert (one.pin is None) == (one.role == "agency") == (one.phone is None)


def test_no_pin_is_trivial(city: City) -> None:
    """The usual guesses: repeated, counting, in the phone number, a year or a birthday."""
    pins = [(one.pin, one.phone) for one in principals(city) if one.pin and one.phone]

    assert len({pin for pin, _ in pins}) == len(pins)
    for pin, phone in pins:
        assert len(pin) == 6
        assert pin.isascii()
        assert pin.isdigit()
        assert len(set(pin)) >= 4
        assert pin not in phone
        steps = {int(after) - int(before) for before, after in pairwise(pin)}
        assert len(steps) > 2
        assert not 1900 <= int(pin[2:]) <= 2030
        assert not 1900 <= int(pin[:4]) <= 2030
        day, month = int(pin[:2]), int(pin[2:4])
        assert not (1 <= day <= 31 and 1 <= month <= 12)
