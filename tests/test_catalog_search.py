"""Search: what a newcomer types finds what is meant, the nearest first; pages neither repeat nor lose."""

import unicodedata
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market import hours
from market.catalog import gtin, search, terms, units
from market.catalog.search import Wanted
from tests.make import City
from tests.stalls import Stalls
from wallet import clock

NOON = datetime(2026, 11, 23, 5, tzinfo=UTC)
"""A Monday, twelve o'clock in Huế."""

SOLD = (
    ("Mè xửng dẻo 200 g", "dac-san"),
    ("Mè xửng", "dac-san"),
    ("Mè xửng giòn gừng 400 g", "dac-san"),
    ("Trà cung đình Huế", "tra-ca-phe"),
    ("Bún bò Huế đặc biệt", "mon-an"),
    ("Bún bò Huế", "mon-an"),
    ("Gia vị bún bò Huế", "mam-gia-vi"),
    ("Nón lá bài thơ", "thu-cong"),
    ("Áo dài tím Huế", "ao-dai"),
    ("Tôm chua Huế", "dac-san"),
    ("Bánh bột lọc lá chuối", "banh"),
    ("Đậu đỏ", "gao-do-kho"),
    ("100% cốt dừa_tươi", "gia-dung"),
)


@pytest.fixture(scope="module")
def stalls(database):
    with City(database) as city:
        made = Stalls(city)
        stall = made.stall("Quầy mè xửng Nam Thuận", area="19777")
        for name, category in SOLD:
            stall.offers(name, category=category)
        yield made


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("me xung", "Mè xửng"),
        ("mè xửng", "Mè xửng"),
        ("MÈ XỬNG", "Mè xửng"),
        (unicodedata.normalize("NFD", "mè xửng"), "Mè xửng"),  # decomposed, as some phones send it
        ("mexung", "Mè xửng"),
        ("me xu", "Mè xửng"),
        ("me xưng", "Mè xửng"),
        ("me sung", "Mè xửng"),
        ("me xugn", "Mè xửng"),
        ("xung me", "Mè xửng"),
        ("mua me xung", "Mè xửng"),
        ("bun bo hue", "Bún bò Huế"),
        ("bunbohue", "Bún bò Huế"),
        ("trà cungdinh", "Trà cung đình Huế"),
        ("tra cung dihn", "Trà cung đình Huế"),
        ("dac biet", "Bún bò Huế đặc biệt"),
        ("đặc biệt", "Bún bò Huế đặc biệt"),
        ("dau do", "Đậu đỏ"),
        ("banh bot loc", "Bánh bột lọc lá chuối"),
        ("ao dai", "Áo dài tím Huế"),
        ("non la", "Nón lá bài thơ"),
        ("tom chua hue", "Tôm chua Huế"),
    ],
)
def test_a_newcomer_who_types_this_finds_that_first(stalls, typed, first):
    assert stalls.names(typed)[0] == first


@pytest.mark.parametrize(
    "typed", ["zzzz", "%", "_", "'; DROP TABLE market.product; --", "\\", "*", "()", "me xung" * 0 + "   !"]
)
def test_what_is_nowhere_finds_nothing_and_no_letter_is_a_pattern(stalls, typed):
    """Row 23."""
    assert stalls.names(typed) == []


def test_a_slip_is_looked_for_only_when_what_was_typed_is_nowhere(stalls):
    """Who asks for bún does not get bánh."""
    assert all("Bún" in name or "bún" in name for name in stalls.names("bun"))


def test_what_is_sold_out_comes_last(stalls):
    stall = stalls.stall("Quầy hết hàng")
    gone, there = stall.offers("Dzèng khăn"), stall.offers("Dzèng khăn choàng đỏ dài")
    stall.sells_out(gone)
    assert stalls.names("dzeng khan") == ["Dzèng khăn choàng đỏ dài", "Dzèng khăn"]
    stall.sells_out(gone, left=True)
    assert stalls.names("dzeng khan")[0] == "Dzèng khăn"
    assert there


def test_a_packets_number_finds_it_whole_and_with_leading_zeros(stalls):
    stall = stalls.stall("Quầy mã vạch")
    stall.offers("Nước mắm có mã", gtin="036000291452")
    for typed in ("036000291452", "0036000291452"):
        assert stalls.names(typed) == ["Nước mắm có mã"]


def test_pages_neither_repeat_nor_lose_also_when_something_is_sold_out_between(stalls):
    stall = stalls.stall("Quầy nhiều trang")
    made = [stall.offers(f"Pháp lam số {number}") for number in range(25)]
    seen: list[UUID] = []
    key, pages = None, 0
    with stall.city.engine.connect() as connection:
        while True:
            page = search.products(connection, Wanted(query="phap lam"), now=NOON, after=key, rows_max=7)
            seen += [one.id for one in page.rows]
            key, pages = page.next, pages + 1
            if key is None:
                break
            assert search.Key.read(key.spelled()) == key
    assert (len(seen), set(seen), pages) == (25, set(made), 4)


def test_a_page_of_a_category_without_words_is_the_newest_first(stalls):
    stall = stalls.stall("Quầy mới")
    made = [stall.offers(f"Ô che {number}", category="gia-dung") for number in range(3)]
    with stall.city.engine.connect() as connection:
        page = search.products(connection, Wanted(category="gia-dung", merchant=stall.holder), now=NOON, rows_max=2)
        rest = search.products(
            connection, Wanted(category="gia-dung", merchant=stall.holder), now=NOON, after=page.next
        )
    assert [one.id for one in (*page.rows, *rest.rows)] == made[::-1]


@pytest.mark.parametrize(
    "forged", ["", "1", "9.0.1." + "0" * 32, "1.0.1." + "g" * 32, "1.0.1.\u0661" + "0" * 31, "1.0.9999." + "0" * 32]
)
def test_a_forged_key_is_refused(forged):
    """Row 22."""
    with pytest.raises(search.BadKey):
        search.Key.read(forged)


def test_by_category_place_and_whether_it_is_open_now(stalls):
    day = {str(each): [["06:00", "11:00"], ["13:00", "19:00"]] for each in range(1, 8)}
    night = {str(each): [["18:00", "26:00"]] for each in range(1, 8)}
    by_day, by_night = (
        stalls.stall("Quầy ngày", area="19753", hours=day),
        stalls.stall("Quầy đêm", area="19774", hours=night),
    )
    by_day.offers("Cháo lươn ngày", category="mon-an")
    by_night.offers("Cháo lươn đêm", category="mon-an")

    def found(**wanted):
        return set(stalls.names("chao luon", **wanted))

    both = {"Cháo lươn ngày", "Cháo lươn đêm"}
    assert found() == found(category="mon-an") == both
    assert found(category="banh") == set()
    assert found(area="19753") == {"Cháo lươn ngày"}
    at = {
        "14:00": {"Cháo lươn ngày"},
        "12:00": set(),
        "18:30": both,
        "01:30": {"Cháo lươn đêm"},
        "02:00": set(),
        "10:59": {"Cháo lươn ngày"},
    }
    for spelled, expected in at.items():
        hour, minute = map(int, spelled.split(":"))
        moment = clock.day_bounds(clock.day_of(NOON))[0] + timedelta(hours=hour, minutes=minute)
        assert found(open_now=True, now=moment) == expected, spelled
        # the same by the other book: what a page says of one place
        for stall, name in ((by_day, "Cháo lươn ngày"), (by_night, "Cháo lươn đêm")):
            with stall.city.engine.connect() as connection:
                found_stall = search.stall(connection, code=stall.code)
            assert found_stall
            assert found_stall.places[0].hours
            assert (found_stall.places[0].hours.closes_at(moment) is not None) == (name in expected), (spelled, name)


def test_a_day_that_is_shut_is_shut_whatever_the_week_says(stalls):
    stall = stalls.stall("Quầy nghỉ lễ", closed=(clock.day_of(NOON),))
    stall.offers("Mứt nghỉ lễ")
    assert stalls.names("mut nghi le", open_now=True, now=NOON) == []
    assert stalls.names("mut nghi le", open_now=True, now=NOON + timedelta(days=1)) == ["Mứt nghỉ lễ"]


def test_a_stall_is_found_by_words_of_its_name(stalls):
    with stalls.city.engine.connect() as connection:
        found = [name for _, name in search.stalls(connection, "nam thuan")]
        assert found == ["Quầy mè xửng Nam Thuận"]
        assert search.stalls(connection, "%") == search.stalls(connection, "") == []


# ---- the pure parts -------------------------------------------------------------------------------------------------


@given(st.text(alphabet="abcdđêx ", min_size=0, max_size=30))
def test_a_name_is_found_by_each_of_its_own_terms(name):
    for word in terms.asked(name):
        assert word in terms.plain(name)
        assert word in terms.terms(name)


@given(
    st.text(alphabet="abcde", min_size=4, max_size=10), st.integers(0, 9), st.sampled_from("abcdef"), st.integers(0, 3)
)
def test_one_slip_shares_a_key_and_is_near(word, place, letter, kind):
    """Each of Damerau's four slips is found through deletions alone."""
    place %= len(word)
    slip = [
        word[:place] + word[place + 1 :],
        word[:place] + letter + word[place:],
        word[:place] + letter + word[place + 1 :],
        word[:place] + word[place + 1 : place + 2] + word[place : place + 1] + word[place + 2 :],
    ][kind]
    assert set(terms.keys(word)) & set(terms.keys(slip))
    assert terms.near(slip, [word]) == [word]


@given(st.text(alphabet="ab", max_size=7), st.text(alphabet="ab", max_size=7))
def test_near_is_the_distance_of_damerau_up_to_one(a, b):
    assert bool(terms.near(a, [b])) == (len(a) >= 2 and len(b) >= 2 and _distance(a, b) <= 1)


def _distance(a: str, b: str) -> int:
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[j] = min(row[j], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


@pytest.mark.parametrize(
    "number", ["4006381333931", "96385074", "036000291452", "10614141000415", " 4006381-333931 ", "2000000000015"]
)
def test_a_gtin_with_the_right_check_digit_is_read(number):
    """GS1 General Specifications, and a shop's own number."""
    assert gtin.read(number).isdigit()


@pytest.mark.parametrize(
    "number",
    [
        "4006381333932",
        "4006381333391",
        "12345",
        "0000000000000",
        "٤٠٠٦٣٨١٣٣٣٩٣١",
        "8.93E+12",
        "400638133393X",
        "1" * 15,
    ],
)
def test_a_misread_gtin_is_refused(number):
    with pytest.raises(gtin.BadGtin):
        gtin.read(number)


def test_every_unit_is_known_by_what_it_is_called():
    for unit in units.UNITS.values():
        assert units.of(unit.name) == units.of(unit.name.upper()) == unit
    assert units.of("kí") is units.UNITS["kg"]
    assert units.of("thùng") is None


@pytest.mark.parametrize(
    ("typed", "spans", "spelled"),
    [
        ("7-11:30, 14h-21h", ((420, 690), (840, 1260)), "07:00-11:30, 14:00-21:00"),
        ("18:00 – 2:00", ((1080, 1560),), "18:00-02:00"),
        ("0:00-24:00", ((0, 1440),), "00:00-24:00"),
        ("nghỉ", (), ""),
        ("", (), ""),
    ],
)
def test_hours_are_read_as_people_write_them_and_read_again_as_they_are_spelled(typed, spans, spelled):
    assert hours.read_day(typed, param="mon") == spans
    assert hours.spell_day(spans) == spelled
    assert hours.read_day(spelled, param="mon") == spans


@pytest.mark.parametrize(
    "typed", ["7", "25:00-26:00", "7:60-8:00", "7:00-7:00", "7-9, 8-10", "14-21, 7-11", "1-2, 3-4, 5-6, 7-8", "٧-٩"]
)
def test_hours_that_cannot_be_meant_are_refused(typed):
    with pytest.raises(hours.HoursWrong):
        hours.read_day(typed, param="mon")


def test_hours_say_when_a_place_opens_next():
    shop = hours.Hours(
        week=(((420, 690),), (), (), (), (), (), ()), closed=frozenset({clock.day_of(NOON) + timedelta(days=7)})
    )
    assert shop.opens_at(NOON) is None  # next Monday is shut
    assert shop.opens_at(NOON - timedelta(hours=6)) == clock.day_bounds(clock.day_of(NOON))[0] + timedelta(hours=7)
    assert hours.Hours.of(shop.stored(), shop.closed) == shop
