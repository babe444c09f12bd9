"""Terms: what of a product's name is searched for, so that accents, case, lost spaces and one slip do not hide it.

Words   A term is a folded word ("xung" of "Mè xửng"), or up to NEIGHBOURS words written as one ("mexung"): people type so.
        "^xu" says that a word begins so, "@banh" that the product is of that category: one array answers every question.
        A key of a term is the term itself or the term without one letter. Two terms that differ by one letter changed, lost,
        added or swapped with its neighbour share a key, so candidates are found by equality, and `near` decides.
Why     The database needs neither ICU nor an extension for it; a city's vocabulary stays small however many products it has.
Source  Damerau, "A technique for computer detection and correction of spelling errors" (CACM 7/3, 1964): those four slips
        are four fifths of all. Finding them through deletions alone: Mor and Fraenkel (1982).
"""

from collections.abc import Iterable
from typing import Final

from wallet import text

NEIGHBOURS: Final = 3
"""As many words may be typed without a space between them: "trà cungdinh", "bunbohue"."""

WORDS_MAX: Final = 16
"""Words of a name that are searched for; a longer name is found by its beginning."""

ASKED_MAX: Final = 6
"""Words of a search that count. Each narrows what is found; nobody needs a seventh."""

TERM_CHARS_MAX: Final = 24

SLIP_CHARS_MIN: Final = 3
"""Of shorter words a slip makes another word: "mè", "mì", "me" are three things to eat."""

GTIN_DIGITS: Final = 14


def words(name: str) -> list[str]:
    """Return a name's folded words: "Mè xửng Thiên Hương" → me, xung, thien, huong."""
    return [word[:TERM_CHARS_MAX] for word in text.fold(name).split()[:WORDS_MAX]]


def terms(name: str, *, category: str = "", gtin: str = "") -> list[str]:
    """Return all that a product is found by, in order, each once: terms, beginnings of words, its category, its number."""
    spelled = words(name)
    found = {begun(word[:length]) for word in spelled for length in range(1, len(word))} | set(plain(name, gtin=gtin))
    return sorted(found | ({of_category(category)} if category else set()))


def begun(word: str) -> str:
    """Spell that a word begins so, and goes on."""
    return f"^{word}"


def of_category(code: str) -> str:
    """Spell that a product is of a category."""
    return f"@{code}"


def plain(name: str, *, gtin: str = "") -> list[str]:
    """Return the terms themselves: what may be typed whole, and so may be mistyped."""
    spelled = words(name)
    found = {
        "".join(spelled[start : start + length])
        for length in range(1, NEIGHBOURS + 1)
        for start in range(len(spelled) - length + 1)
    }
    if gtin:
        found.add(gtin.zfill(GTIN_DIGITS))
    return sorted(term for term in found if len(term) <= TERM_CHARS_MAX)


def asked(query: str) -> list[str]:
    """Return the words of a search, each once, as many as count. Digits of a packet are spelled as it is stored."""
    wanted = list(dict.fromkeys(words(query)))[:ASKED_MAX]
    if len(wanted) == 1 and wanted[0].isdigit() and len(wanted[0]) in (8, 12, 13):
        return [wanted[0].zfill(GTIN_DIGITS)]
    return wanted


def keys(term: str) -> list[str]:
    """Return a term's keys: itself and, where a slip may have happened, itself without each of its letters."""
    if len(term) < SLIP_CHARS_MIN or term.isdigit():
        return [term]
    return sorted({term, *(term[:place] + term[place + 1 :] for place in range(len(term)))})


def near(typed: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that are one slip from what was typed, or none, in order."""
    return sorted({term for term in candidates if _one_slip(typed, term)})


def _one_slip(typed: str, term: str) -> bool:
    """Say whether one letter changed, lost, added or swapped with its neighbour makes one of the other."""
    short, long = sorted((typed, term), key=len)
    if len(long) - len(short) > 1 or len(short) < SLIP_CHARS_MIN - 1:
        return False
    same = next((place for place, char in enumerate(short) if char != long[place]), len(short))
    if len(short) < len(long):
        return short[same:] == long[same + 1 :]
    if short[same + 1 :] == long[same + 1 :]:
        return True
    swapped = short[same + 1 : same + 2] + short[same : same + 1]
    return swapped == long[same : same + 2] and short[same + 2 :] == long[same + 2 :]
