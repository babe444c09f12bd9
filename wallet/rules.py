"""Rules: law and price as dated data, each with its citation and how sure of it we are. They stand in `rules.toml`.

Source  Each row names its own.
"""

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Literal

from wallet.money import Dong

FILE: Final = Path(__file__).with_name("rules.toml")

Window = Literal["order", "day", "month"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """How much may leave a wallet: the rule's code names its bucket in the books, also when its value changes."""

    code: str
    title: str
    title_en: str
    window: Window
    uses: frozenset[str]
    only: str
    effect: Literal["refuse", "step_up"]
    value: Dong
    since: date
    source: str
    source_vi: str
    confidence: str
    confidence_vi: str


class RuleError(ValueError):
    """`rules.toml` contradicts itself."""


@cache
def limits() -> tuple[LimitRule, ...]:
    """Return every limit there was or will be, in the file's order.

    Raises:
        RuleError: a use that is not listed, or two rows of one code on one day.
    """
    said = tomllib.loads(FILE.read_text(encoding="utf-8"))
    rules = tuple(
        LimitRule(
            code=row["code"],
            title=row["title"],
            title_en=row["title_en"],
            window=row["window"],
            uses=frozenset(row["uses"]),
            only=row.get("only", ""),
            effect=row["effect"],
            value=Dong(row["value"]),
            since=row["from"],
            source=row["source"],
            source_vi=row.get("source_vi", row["source"]),
            confidence=row["confidence"],
            confidence_vi=row.get("confidence_vi", row["confidence"]),
        )
        for row in said["limit"]
    )
    unknown = {use for rule in rules for use in rule.uses} - set(said["uses"])
    if unknown:
        raise RuleError(f"rules.toml: uses that are not listed: {', '.join(sorted(unknown))}")
    if len({(rule.code, rule.since) for rule in rules}) < len(rules):
        raise RuleError("rules.toml: two rows of one limit on one day")
    return rules


@cache
def uses() -> dict[str, str]:
    """Return what money that leaves a wallet is used for: code and Vietnamese name."""
    return dict(tomllib.loads(FILE.read_text(encoding="utf-8"))["uses"])


@lru_cache(maxsize=64)
def limits_on(day: date) -> tuple[LimitRule, ...]:
    """Return the limits that hold on a day: of each code the newest row that had begun."""
    newest: dict[str, LimitRule] = {}
    for rule in sorted(limits(), key=lambda rule: rule.since):
        if rule.since <= day:
            newest[rule.code] = rule
    return tuple(newest.values())
