"""Speech: what a counter says aloud, as a list of short recorded clips.

Words   A clip is one recorded word or pair of words; `CLIPS` names them all. A sentence is the clips that are played one
        after the other. Amounts are read by `wallet.money`, as on every receipt: ear and eye are told the same.
Money   Whole đồng.
"""

from collections.abc import Sequence
from typing import Final, Literal

from wallet import money
from wallet.text import fold

Said = Literal["received", "exact", "under", "over"]
"""What is said of a payment: that it came; that it is what was asked, less, or more."""

_DIGITS: Final = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
_PAIRS: Final = (*(f"{digit} mươi" for digit in _DIGITS[2:]), *(f"{digit} trăm" for digit in _DIGITS))
"""Recorded together: one breath instead of two, so that an amount does not sound like single words."""
_ALONE: Final = ("mười", "mốt", "lăm", "linh", "nghìn", "triệu", "tỷ", "đồng")
_PHRASES: Final[dict[Said, str]] = {
    "received": "đã nhận",
    "exact": "đã nhận đủ",
    "under": "còn thiếu",
    "over": "khách trả thừa",
}
CHIME: Final = "chuong"
"""The sound that comes before the words: two tones, and no recording of anybody's."""


def _name(words: str) -> str:
    """Name a clip's file. Only "mốt" folds to the name of another clip ("một")."""
    return "mot-s" if words == "mốt" else fold(words).replace(" ", "-")


WORDS: Final[dict[str, str]] = {_name(words): words for words in (*_DIGITS, *_PAIRS, *_ALONE, *_PHRASES.values())}
"""The clips that are words, by file name."""

SUFFIX: Final = ".mp3"
"""Of a clip's file: what every browser plays."""

CLIPS: Final = (CHIME, *WORDS)
"""Every clip, by file name without its suffix."""


def amount(dong: int) -> list[str]:
    """Return the clips that read an amount out.

    Raises:
        ValueError: a negative amount.
    """
    said = money.syllables(dong)
    clips, at = [], 0
    while at < len(said):
        pair = " ".join(said[at : at + 2])
        words = pair if pair in _PAIRS else said[at]
        clips.append(_name(words))
        at += len(words.split(" "))
    return clips


def sentence(said: Said, received: int, difference: int = 0) -> list[str]:
    """Return the clips that tell of a payment: what came and, where it is not what was asked, by how much.

    Args:
        said: how the payment compares with what was asked.
        received: whole đồng that came.
        difference: whole đồng that are missing ("under") or too many ("over").
    """
    first: Said = "exact" if said == "exact" else "received"
    told = [CHIME, _name(_PHRASES[first]), *amount(received)]
    if said in ("under", "over"):
        told += [_name(_PHRASES[said]), *amount(difference)]
    return told


def words_of(clips: Sequence[str]) -> str:
    """Return what clips say, for screens and for who cannot hear: the chime says nothing."""
    phrases = [_PHRASES["under"], _PHRASES["over"]]
    text = ""
    for clip in clips:
        if clip != CHIME:
            text += (", " if WORDS[clip] in phrases else " " if text else "") + WORDS[clip]
    return text[:1].upper() + text[1:]
