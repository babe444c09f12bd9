"""Text of people: folded for search, masked for strangers, refused where it could deceive."""

import re
import unicodedata
from typing import Final

from wallet.refusal import Refusal

NAME_CHARS_MAX: Final = 100
_SPACE = re.compile(r"\s+")
_FORBIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of control, format (bidi included), surrogate, private and unassigned characters."""
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing."""


class BadText(Refusal):
    """Empty, too long, or with characters that cannot be seen."""

    code = "text_not_plain"
    status = 422
    stored = False


def plain(text: str, *, chars_max: int, param: str, empty: bool = False) -> str:
    """Return `text` in NFC with single spaces, or refuse it.

    Raises:
        BadText: empty (unless allowed), longer than `chars_max`, or with control, format or bidi characters.
    """
    if any(unicodedata.category(char) in _FORBIDDEN or char in _BLANK for char in text):
        raise BadText(param=param)
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
