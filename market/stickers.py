"""Stickers: what hangs at a point, and how anybody finds out whether it is one of ours.

Words   A tag is a keyed MAC over the point and its sticker's version, printed inside the address of a second code that any
        phone's own camera opens. It shows that we printed this sticker, for this point, as the latest: not that nobody has
        pasted another payment code over the first. Who is paid stands in the registry, and there the page looks.
"""

import hashlib
import hmac
from enum import StrEnum
from typing import Final

from market.registry import SERIAL_LETTERS, Point

TAG_CHARS: Final = 16
"""80 bits: each guess is a request."""


class Verdict(StrEnum):
    """What a tag says of a sticker."""

    GENUINE = "genuine"
    STALE = "stale"
    FALSE = "false"
    NONE = "none"


def tag(point: Point, *, secret: bytes, version: int | None = None) -> str:
    """Return the tag of a point's sticker, of its present version unless another is named."""
    said = f"sticker\0{point.merchant}\0{point.id}\0{version or point.sticker_version}".encode()
    number = int.from_bytes(hmac.new(secret, said, hashlib.sha256).digest()[:10])
    return "".join(SERIAL_LETTERS[number >> 5 * place & 31] for place in reversed(range(TAG_CHARS)))


def judge(point: Point, given: str, *, secret: bytes) -> Verdict:
    """Say what a tag on a sticker is worth: that of an older version is stale, any other false."""
    if not given:
        return Verdict.NONE
    typed = given.upper().encode(errors="replace")
    for version in range(point.sticker_version, 0, -1):
        if hmac.compare_digest(tag(point, secret=secret, version=version).encode(), typed):
            return Verdict.GENUINE if version == point.sticker_version else Verdict.STALE
    return Verdict.FALSE


def address(point: Point, *, origin: str, secret: bytes) -> str:
    """Return the address on a sticker, which a phone's own camera opens."""
    return f"{origin}/q/{point.serial}?t={tag(point, secret=secret)}"


def spaced(serial: str) -> str:
    """Spell a serial as it is printed: two halves, easier to compare."""
    return f"{serial[:4]}-{serial[4:]}"
