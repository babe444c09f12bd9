"""Text of people: folded for search, masked for strangers, refused where it could deceive."""

import re
import unicodedata
from typing import Final

from wallet.refusal import Refusal

NAME_CHARS_MAX: Final = 100
_SPACE = re.compile(r"\s+")
_FORBIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of control, format (bidi included), surrogate, private and unassigned characters."""
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that are drawn as nothing."""


class BadText(Refusal):
    """Empty, or too long."""

    code = "text_not_plain"
    status = 422
    stored = False


class HiddenCharacter(BadText):
    """A character that cannot be seen, or that turns the direction of writing: what is read would not be what is meant.

    Source: Unicode TR 36 and "Trojan Source" (CVE-2021-42574).
    """

    code = "text_hidden_character"


def plain(text: str, *, chars_max: int, param: str, empty: bool = False) -> str:
    """Return `text` in NFC with single spaces, or refuse it. How it was composed before is no fault: phones differ.

    Raises:
        HiddenCharacter: with control, format or bidi characters; it names the first.
        BadText: empty (unless allowed), or longer than `chars_max`.
    """
    hidden = next((char for char in text if unicodedata.category(char) in _FORBIDDEN or char in _BLANK), None)
    if hidden is not None:
        raise HiddenCharacter(param=param, character=f"U+{ord(hidden):04X}")
    spelled = _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()
    if len(spelled) > chars_max or not (spelled or empty):
        raise BadText(param=param)
    return spelled


def fold(text: str) -> str:
    """Fold for search: lower case, no accents, đ as d, only letters and digits and single spaces: "Huế" → "hue"."""
    bare = "".join(char for char in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(char))
    return " ".join(re.findall(r"[a-z0-9]+", bare.replace("đ", "d")))


def fold_code(text: str) -> str:
    """Fold a code for search: as `fold`, without spaces, so that dots and hyphens may be left out."""
    return fold(text).replace(" ", "")


def mask(name: str) -> str:
    """Mask a person's name for somebody who need not know it: "Nguyễn Thị Hồng Nhung" → "N***** T** H*** Nhung"."""
    words = name.split()
    return " ".join([word[0] + "*" * (len(word) - 1) for word in words[:-1]] + words[-1:])


def mask_phone(phone: str) -> str:
    """Mask a phone number but for its last three digits."""
    return "•" * (len(phone) - 3) + phone[-3:]
