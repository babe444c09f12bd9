"""GTIN: the number under the bars on a packet, and its check digit.

Source  GS1 General Specifications, section 7.9.1: from the right, digits count 3 and 1 in turn; the check digit fills up
        to the next ten. GTIN-8, -12, -13 and -14 are one number with leading zeros. Numbers that begin with 02 or 20 to 29
        (GTIN-13) are a shop's own, which the weighing counter prints, and welcome too.
"""

import re
from typing import Final

from wallet.refusal import Refusal

LENGTHS: Final = (8, 12, 13, 14)
_SPACED: Final = re.compile(r"[ \-]")
_DIGITS: Final = re.compile(r"[0-9]+")


class BadGtin(Refusal):
    """Not 8, 12, 13 or 14 digits, or its last digit does not fit the others: one was misread."""

    code = "product_gtin_wrong"
    status = 422


def read(typed: str) -> str:
    """Return a GTIN's digits as they are printed, spaces and hyphens left out; "" where none was typed.

    Raises:
        BadGtin.
    """
    digits = _SPACED.sub("", typed.strip())
    if not digits:
        return ""
    if not _DIGITS.fullmatch(digits) or len(digits) not in LENGTHS or set(digits) == {"0"}:
        raise BadGtin(param="gtin")
    if check_digit(digits[:-1]) != digits[-1]:
        raise BadGtin(param="gtin")
    return digits


def check_digit(body: str) -> str:
    """Return the digit that completes a GTIN of any length: "629104150021" → "3"."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)
