"""Drawing: a text as a QR symbol, in SVG for pages and print, or as modules for paper.

Source  ISO/IEC 18004: a quiet zone of four modules, error correction M (15 %) or Q (25 %).
"""

from enum import StrEnum
from typing import Final

import segno

QUIET_MODULES: Final = 4
"""Light modules around the symbol that ISO/IEC 18004 asks for; without them cameras miss it next to other print."""


class Correction(StrEnum):
    """How much of a symbol may be lost: M on a screen, Q on a sticker that sun and hands wear off."""

    SCREEN = "m"
    STICKER = "q"


def draw(text: str, *, correction: Correction = Correction.SCREEN) -> str:
    """Return one SVG element without a size of its own, dark on a light ground that covers the quiet zone too.

    Args:
        text: what a scanner shall read; written as UTF-8, like the checksum of payment codes.
        correction: the least error correction; more is taken where it costs no larger symbol.

    Raises:
        ValueError: longer than one symbol holds at this correction (2,331 bytes at M, 1,663 at Q).
    """
    return _symbol(text, correction).svg_inline(
        border=QUIET_MODULES, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
    )


def draw_file(text: str, *, correction: Correction = Correction.SCREEN) -> str:
    """Return the same symbol as a document of its own, for an address that gives nothing but the picture.

    Raises:
        ValueError: as `draw`.
    """
    drawn = draw(text, correction=correction)
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def modules(text: str, *, correction: Correction = Correction.SCREEN) -> list[list[bool]]:
    """Return the same symbol as rows of modules, dark ones True, with its quiet zone: for paper.

    Raises:
        ValueError: as `draw`.
    """
    rows = _symbol(text, correction).matrix_iter(border=QUIET_MODULES)
    return [[bool(module) for module in row] for row in rows]


def _symbol(text: str, correction: Correction) -> segno.QRCode:
    return segno.make_qr(text, error=correction, encoding="utf-8")
