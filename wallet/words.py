"""Words: the one glossary that feeds refusals, pages, exports and the README, Vietnamese first.

A refusal's text has three sentences: what happened (`title`), is my money safe (`safe`), what to do next (`next`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

Locale = Literal["vi", "en"]
LOCALES: Final[tuple[Locale, ...]] = ("vi", "en")

_FILE: Final = Path(__file__).with_name("words.toml")


@dataclass(frozen=True, slots=True)
class Text:
    """What a person is told about a refusal."""

    title: str
    safe: str
    next: str


@lru_cache(maxsize=1)
def _glossary() -> Mapping[str, Mapping[str, Mapping[str, Mapping[str, str] | str]]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def refusal(code: str, locale: Locale) -> Text:
    """Return the text of a refusal's code.

    Raises:
        KeyError: the glossary has none, which a test forbids.
    """
    text = _glossary()["refusal"][code][locale]
    assert not isinstance(text, str)
    return Text(**text)


def terms() -> Mapping[str, Mapping[str, str]]:
    """Return the glossary's terms: English word -> {"vi": ..., "means": ...}."""
    return _glossary()["term"]  # type: ignore[return-value]
