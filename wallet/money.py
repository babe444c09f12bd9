"""Money: whole đồng, and how an amount is written on the wire and read by people.

Words   Dong is an amount in whole đồng; there is no smaller unit in use and no float anywhere.
Money   1 ≤ a moved amount ≤ AMOUNT_MAX. JSON carries it as a decimal string.
"""

import re
from typing import Final, NewType

Dong = NewType("Dong", int)

AMOUNT_MAX: Final = Dong(10**15)
"""The largest amount of one posting: far above any bill, far below what a BIGINT sum of millions can hold."""

# [0-9] and not \\d: \\d also admits Arabic-Indic and other digits that int() would happily read.
_AMOUNT = re.compile(r"0|[1-9][0-9]{0,15}")


def parse(text: str) -> Dong:
    """Read a decimal string of whole đồng in its one canonical form: "0" or digits with no leading zero.

    Raises:
        ValueError: any other form (sign, spaces, separators, exponent, non-ASCII digits) or above AMOUNT_MAX.
    """
    if not _AMOUNT.fullmatch(text):
        raise ValueError("not a canonical whole number of đồng")
    amount = int(text)
    if amount > AMOUNT_MAX:
        raise ValueError("above the largest amount")
    return Dong(amount)


def grouped(amount: int) -> str:
    """Write an amount for people, grouped as in Vietnam, with the sign of the currency: 1.250.000 ₫."""
    return counted(amount) + "\u00a0₫"


def counted(number: int) -> str:
    """Write a whole number for people, grouped as in Vietnam: 1.250.000."""
    return f"{number:,}".replace(",", ".").replace("-", "\u2212")


_DIGITS: Final = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
_SCALES: Final = ((), ("nghìn",), ("triệu",))


def in_words(amount: int) -> str:
    """Read an amount in Vietnamese words, as receipts print it: 1_205_015 → "Một triệu hai trăm linh năm nghìn ...".

    Raises:
        ValueError: a negative amount.
    """
    text = " ".join(syllables(amount))
    return text[0].upper() + text[1:]


def syllables(amount: int) -> tuple[str, ...]:
    """Read an amount syllable by syllable: what `in_words` writes and a counter speaks. Vietnamese puts a space between
    syllables, so these are the smallest parts of both.

    Raises:
        ValueError: a negative amount.
    """
    if amount < 0:
        raise ValueError("amounts in words are never negative")
    return (*_read(amount), "đồng")


def _read(number: int) -> list[str]:
    if number >= 10**9:  # Vietnamese counts on by billions: "một nghìn tỷ", "một tỷ tỷ"
        head, tail = divmod(number, 10**9)
        return [*_read(head), "tỷ", *(_groups(tail, after=True) if tail else ())]
    return _groups(number, after=False)


def _groups(number: int, *, after: bool) -> list[str]:
    """Read a number below 10^9; `after` says that something stands before it, so leading zeros are read."""
    if number == 0:
        return [_DIGITS[0]]
    parts: list[str] = []
    for power in (2, 1, 0):
        group = number // 1000**power % 1000
        if group:
            parts += [*_hundreds(group, full=after or bool(parts)), *_SCALES[power]]
    return parts


def _hundreds(number: int, *, full: bool) -> list[str]:
    hundreds, rest = divmod(number, 100)
    tens, units = divmod(rest, 10)
    words = [_DIGITS[hundreds], "trăm"] if hundreds or full else []
    if tens == 0:
        if units:
            words += ["linh", _DIGITS[units]] if words else [_DIGITS[units]]
        return words
    words += ["mười"] if tens == 1 else [_DIGITS[tens], "mươi"]
    if units == 1 and tens > 1:
        words.append("mốt")
    elif units == 5:
        words.append("lăm")
    elif units:
        words.append(_DIGITS[units])
    return words
