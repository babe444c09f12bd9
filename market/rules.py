"""The market's own rules, as dated data. They stand in `rules.toml`."""

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

from wallet.money import Dong

FILE: Final = Path(__file__).with_name("rules.toml")

REFUND_SECOND_PERSON: Final = "refund_second_person"
"""From this amount on, all refunds of a payment together, one person prepares and another orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """An amount from which on something else is asked for."""

    code: str
    title: str
    title_en: str
    value: Dong
    since: date
    source: str
    confidence: str


@cache
def thresholds() -> tuple[Threshold, ...]:
    """Return every threshold there was or will be, in the file's order."""
    said = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        Threshold(
            code=row["code"],
            title=row["title"],
            title_en=row["title_en"],
            value=Dong(row["value"]),
            since=row["from"],
            source=row["source"],
            confidence=row["confidence"],
        )
        for row in said["threshold"]
    )


def threshold_on(code: str, day: date) -> Threshold:
    """Return the threshold that holds on a day: the newest row that had begun.

    Raises:
        ValueError: none had begun.
    """
    begun = [one for one in thresholds() if one.code == code and one.since <= day]
    return max(begun, key=lambda one: one.since)
