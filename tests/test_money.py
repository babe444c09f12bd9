"""Money: one spelling on the wire, grouped for people, and read out as receipts print it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wallet import money
from wallet.money import AMOUNT_MAX

SPOKEN = {
    0: "không",
    1: "một",
    4: "bốn",
    5: "năm",
    10: "mười",
    11: "mười một",
    14: "mười bốn",
    15: "mười lăm",
    20: "hai mươi",
    21: "hai mươi mốt",
    24: "hai mươi bốn",
    25: "hai mươi lăm",
    55: "năm mươi lăm",
    99: "chín mươi chín",
    100: "một trăm",
    101: "một trăm linh một",
    105: "một trăm linh năm",
    110: "một trăm mười",
    111: "một trăm mười một",
    115: "một trăm mười lăm",
    121: "một trăm hai mươi mốt",
    555: "năm trăm năm mươi lăm",
    1_000: "một nghìn",
    1_001: "một nghìn không trăm linh một",
    1_010: "một nghìn không trăm mười",
    1_100: "một nghìn một trăm",
    10_005: "mười nghìn không trăm linh năm",
    21_021: "hai mươi mốt nghìn không trăm hai mươi mốt",
    85_000: "tám mươi lăm nghìn",
    100_000: "một trăm nghìn",
    1_000_000: "một triệu",
    1_000_001: "một triệu không trăm linh một",
    1_001_005: "một triệu không trăm linh một nghìn không trăm linh năm",
    1_205_015: "một triệu hai trăm linh năm nghìn không trăm mười lăm",
    2_000_500: "hai triệu năm trăm",
    3_015_000: "ba triệu không trăm mười lăm nghìn",
    10**9: "một tỷ",
    2_000_000_005: "hai tỷ không trăm linh năm",
    1_000_020_000: "một tỷ không trăm hai mươi nghìn",
    1_234_567_890: "một tỷ hai trăm ba mươi bốn triệu năm trăm sáu mươi bảy nghìn tám trăm chín mươi",
    10**12: "một nghìn tỷ",
    10**15: "một triệu tỷ",
    9 * 10**14: "chín trăm nghìn tỷ",
}


@pytest.mark.parametrize(("amount", "words"), SPOKEN.items(), ids=map(str, SPOKEN))
def test_an_amount_is_read_out_as_in_vietnam(amount: int, words: str) -> None:
    spoken = money.in_words(amount)
    assert spoken.lower() == f"{words} đồng"
    assert spoken[0].isupper()


UNITS = {
    word: value for value, word in enumerate(["không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín"])
}
UNITS |= {"mốt": 1, "lăm": 5}


def heard(words: str) -> int:
    """Understand a number that is read out: a listener written apart from the speaker."""
    total = group = 0
    tokens = words.lower().removesuffix(" đồng").split()
    billions = 0
    for at, token in enumerate(tokens):
        if token in UNITS:
            after = tokens[at + 1] if at + 1 < len(tokens) else ""
            group += UNITS[token] * {"trăm": 100, "mươi": 10}.get(after, 1)
        elif token == "mười":
            group += 10
        elif token in ("nghìn", "triệu"):
            total += group * {"nghìn": 10**3, "triệu": 10**6}[token]
            group = 0
        elif token == "tỷ":
            billions, total, group = billions + total + group, 0, 0
        else:
            assert token in ("trăm", "mươi", "linh"), token
    return billions * 10**9 + total + group


@given(st.integers(0, AMOUNT_MAX))
@example(0)
@example(AMOUNT_MAX)
def test_what_is_read_out_is_heard_as_the_same_amount(amount: int) -> None:
    assert heard(money.in_words(amount)) == amount


def test_an_amount_below_zero_is_never_read_out() -> None:
    with pytest.raises(ValueError, match="never negative"):
        money.in_words(-1)


@given(st.integers(0, AMOUNT_MAX))
def test_an_amount_has_one_spelling_and_it_is_read_back(amount: int) -> None:
    assert money.parse(str(amount)) == amount


@given(st.text(st.sampled_from("0123456789+-_., eE٠١５²xn\n\t"), max_size=18))
@example("1000000000000001")
@example("5\n")
def test_any_text_is_an_amount_in_its_one_spelling_or_refused(text: str) -> None:
    """Rows 1 to 5."""
    try:
        amount = money.parse(text)
    except ValueError:
        assert not re.fullmatch(r"0|[1-9][0-9]*", text, re.ASCII) or int(text) > AMOUNT_MAX or text.endswith("\n")
    else:
        assert str(amount) == text
        assert 0 <= amount <= AMOUNT_MAX


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX))
def test_an_amount_is_grouped_by_dots_and_ends_with_its_sign(amount: int) -> None:
    shown = money.grouped(amount)
    assert re.fullmatch("\u2212?[0-9]{1,3}([.][0-9]{3})*\u00a0₫", shown)
    assert int(shown.removesuffix("\u00a0₫").replace(".", "").replace("\u2212", "-")) == amount


def test_a_million_and_a_quarter_is_printed_as_in_vietnam() -> None:
    assert money.grouped(1_250_000) == "1.250.000\u00a0₫"
