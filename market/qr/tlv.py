"""Tag, length, value: the grammar of a merchant-presented code and its checksum.

Words   A data object is a two-digit tag, a two-digit length and that many characters; a template's value is data objects.
Source  EMVCo QRCPS merchant-presented mode 1.1, chapter 3; NAPAS "Quy định về định dạng VietQR" 1.0 (09/2021), 5.1 and
        5.2.15. Lengths count code points and the checksum covers UTF-8 bytes: docs/decisions/0020.
"""

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from market.qr.issues import Code, Issue

VALUE_CHARS_MAX: Final = 99
"""Two digits of length hold no more."""

_HEAD: Final = re.compile(r"[0-9]{4}")  # [0-9] and not \d, which also takes Arabic-Indic digits


class TooLong(ValueError):
    """The value of this tag is longer than two digits can say."""


@dataclass(frozen=True, slots=True)
class Part:
    """One data object. `start` is where its value begins in the text it was read from."""

    tag: str
    value: str
    start: int


def split(text: str, where: str = "") -> tuple[list[Part], list[Issue]]:
    """Read data objects one after another; nothing is nested here, so no depth of tags can exhaust the stack.

    Args:
        text: a whole code, or the value of one template.
        where: the path of that template, for the issues.

    Returns:
        The objects up to the first that does not add up, and what is wrong. Of a repeated tag the first is kept.
    """
    parts: dict[str, Part] = {}
    issues: list[Issue] = []
    at = 0
    while at < len(text):
        head = _HEAD.match(text, at)
        end = at + 4 + int(text[at + 2 : at + 4]) if head else 0
        if not head or end > len(text):
            issues.append(Issue(Code.STRUCTURE, where))
            break
        part = Part(text[at : at + 2], text[at + 4 : end], at + 4)
        path = join(where, part.tag)
        if not part.value:
            issues.append(Issue(Code.EMPTY_VALUE, path))
        if part.tag in parts:
            issues.append(Issue(Code.TAG_REPEATED, path))
        parts.setdefault(part.tag, part)
        at = end
    return list(parts.values()), issues


def write(pairs: Iterable[tuple[str, str | None]]) -> str:
    """Write data objects in the order given; a value of None or "" is left out.

    Raises:
        TooLong: a value longer than 99 characters.
    """
    written = []
    for tag, value in pairs:
        if value:
            if len(value) > VALUE_CHARS_MAX:
                raise TooLong(tag)
            written.append(f"{tag}{len(value):02d}{value}")
    return "".join(written)


def join(where: str, tag: str) -> str:
    """Return the path of a tag within a template."""
    return f"{where}.{tag}" if where else tag


def crc(text: str) -> str:
    """Return the CRC-16/CCITT-FALSE of the UTF-8 bytes as four capital hexadecimal digits.

    Polynomial 1021, initial value FFFF, nothing reflected: what the standard library calls crc_hqx.
    """
    return f"{binascii.crc_hqx(text.encode(), 0xFFFF):04X}"
