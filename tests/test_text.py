"""Text of people: folded for search, masked for strangers, refused where it could deceive."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet import text
from wallet.identity import holders


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("Huế", "hue"),
        ("Đặng Thị Hồng Ngọc", "dang thi hong ngoc"),
        ("ĐẶNG  THỊ\tHỒNG", "dang thi hong"),
        (unicodedata.normalize("NFD", "Nguyễn Hữu Thọ"), "nguyen huu tho"),
        ("Ưng Bửu-Kỳ (Huế)", "ung buu ky hue"),
        ("000.00.32.H57-261121-0001", "000 00 32 h57 261121 0001"),
        ("%_\\'", ""),
        ("", ""),
        ("İSTANBUL", "istanbul"),
    ],
)
def test_a_name_is_found_without_its_accents(written: str, folded: str) -> None:
    assert text.fold(written) == folded
    assert text.fold_code(written) == folded.replace(" ", "")


@given(st.text())
def test_folded_text_is_letters_digits_and_single_spaces_and_folds_to_itself(written: str) -> None:
    """Row 23: nothing is left in it that a search could take for a pattern."""
    folded = text.fold(written)
    assert all(char.isascii() and (char.isalnum() or char == " ") for char in folded)
    assert folded == " ".join(folded.split())
    assert text.fold(folded) == folded
    assert text.fold(unicodedata.normalize("NFD", written)) == text.fold(unicodedata.normalize("NFC", written))


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("Nguyễn Thị Hồng Nhung", "N***** T** H*** Nhung"),
        ("Hoa", "Hoa"),
        ("Lê Hoa", "L* Hoa"),
        ("", ""),
    ],
)
def test_a_strangers_eye_sees_the_given_name_only(name: str, masked: str) -> None:
    assert text.mask(name) == masked


def test_a_phone_number_is_masked_but_for_three_digits() -> None:
    assert text.mask_phone("0912345678") == "•••••••678"


@given(st.text(max_size=60))
def test_plain_text_is_short_composed_and_visible_or_refused(written: str) -> None:
    """Row 25: no control, no bidi override, no zero-width letter."""
    try:
        plain = text.plain(written, chars_max=40, param="x")
    except text.BadText:
        return
    assert 1 <= len(plain) <= 40
    assert plain == unicodedata.normalize("NFC", plain) == " ".join(plain.split())
    assert not {unicodedata.category(char) for char in plain} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert text.plain(plain, chars_max=40, param="x") == plain


@pytest.mark.parametrize(
    "nasty", ["", "   ", "a\x00b", "a\u202eb", "a\u200bb", "\u2066x", "a\nb", "x" * 41, "\ue000", "\u2028"]
)
def test_text_that_could_deceive_is_refused(nasty: str) -> None:
    with pytest.raises(text.BadText) as refused:
        text.plain(nasty, chars_max=40, param="label")
    assert refused.value.param == "label"


def test_text_may_be_empty_only_where_that_is_meant() -> None:
    assert text.plain("  ", chars_max=5, param="memo", empty=True) == ""
    assert text.plain("Đi  chợ", chars_max=7, param="memo") == "Đi chợ"


@pytest.mark.parametrize("typed", ["0912345678", "+84912345678", "84912345678", "0912 345 678", "(091) 234-56.78"])
def test_a_phone_number_is_read_however_it_is_spaced(typed: str) -> None:
    assert holders.phone_number(typed) == "0912345678"


@pytest.mark.parametrize(
    "typed",
    ["", "091234567", "09123456789", "1912345678", "+85912345678", "０912345678", "0912345678\n", "a", "0" * 500],
)
def test_what_is_no_vietnamese_number_is_refused(typed: str) -> None:
    with pytest.raises(holders.BadPhone):
        holders.phone_number(typed)
