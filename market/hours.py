"""Opening hours: when a place is open in a week, on which days it is shut, and what that comes to now.

Words   A week has seven days from Monday; a day up to SPANS_MAX spans, each from a minute of the day to a later one, so
        that a stall may close at noon. A span that passes midnight ends after 24:00: 18:00 to 26:00. No span: shut.
Time    The city's own; it has had no summer time since 1975.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Self

from wallet import clock
from wallet.refusal import Refusal

DAYS: Final = tuple("1234567")
"""From Monday, as ISO 8601 counts."""
SPANS_MAX: Final = 3
DAY: Final = 24 * 60
LAST: Final = DAY + 6 * 60
"""A night stall closes by six in the morning."""

_CLOCK: Final = re.compile(r"([0-9]{1,2})[:hHgG.]([0-9]{2})?", re.ASCII)
_STORED: Final = re.compile(r"[0-3][0-9]:[0-5][0-9]", re.ASCII)
_SPAN: Final = re.compile(r"\s*([0-9:hHgG.]+)\s*(?:-|–|—|đến|den|to)\s*([0-9:hHgG.]+)\s*")

Span = tuple[int, int]


class HoursWrong(Refusal):
    """Not hours such as 7:00-11:30, 14:00-21:00; or spans that overlap, run backwards or are too many."""

    code = "location_hours"
    status = 422
    stored = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A week of spans, Monday first, and days of the calendar that are shut whatever the week says."""

    week: tuple[tuple[Span, ...], ...]
    closed: frozenset[date] = frozenset()

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None, closed: Iterable[date | str] = ()) -> Self | None:
        """Read what is stored: {"1": [["07:00", "21:00"]], …}; None where nothing was ever said."""
        if not stored:
            return None
        week = tuple(tuple((_minute(a), _minute(b)) for a, b in stored.get(day, ())) for day in DAYS)
        days = frozenset(day if isinstance(day, date) else date.fromisoformat(day) for day in closed)
        return cls(week=week, closed=days)

    def stored(self) -> dict[str, list[list[str]]]:
        """Spell the week as it is stored."""
        return {
            day: [[spell(a), spell(b)] for a, b in spans] for day, spans in zip(DAYS, self.week, strict=True) if spans
        }

    def spans(self, day: date) -> tuple[Span, ...]:
        """Return when it is open on a day."""
        return () if day in self.closed else self.week[day.weekday()]

    def closes_at(self, now: datetime) -> datetime | None:
        """Return when it closes, if it is open now; a span of the night before may still run."""
        today = clock.day_of(now)
        for day in (today - timedelta(days=1), today):
            start, _ = clock.day_bounds(day)
            for begins, ends in self.spans(day):
                if start + timedelta(minutes=begins) <= now < start + timedelta(minutes=ends):
                    return start + timedelta(minutes=ends)
        return None

    def opens_at(self, now: datetime) -> datetime | None:
        """Return when it opens next, within a week; None where it does not."""
        today = clock.day_of(now)
        for ahead in range(8):
            day = today + timedelta(days=ahead)
            start, _ = clock.day_bounds(day)
            for begins, _ends in self.spans(day):
                if start + timedelta(minutes=begins) > now:
                    return start + timedelta(minutes=begins)
        return None


@lru_cache(maxsize=2_000)
def read(spelled: str, closed: tuple[date, ...] = ()) -> Hours | None:
    """Read a week as the database spells it. Thousands of places keep the same few, so that each is read once."""
    return Hours.of(json.loads(spelled), closed)


def read_day(typed: str, *, param: str) -> tuple[Span, ...]:
    """Read a day as people write it: "7:00-11:30, 14h-21h", "18:00-2:00" past midnight; nothing or "nghỉ": shut.

    Raises:
        HoursWrong.
    """
    if typed.strip().lower() in ("", "nghỉ", "nghi", "đóng cửa", "closed", "-"):
        return ()
    spans = [_span(part, param) for part in typed.split(",")]
    in_order = all(before[1] < after[0] for before, after in pairwise(spans))
    if len(spans) > SPANS_MAX or not in_order:
        raise HoursWrong(param=param)
    return tuple(spans)


def spell_day(spans: Sequence[Span]) -> str:
    """Spell a day's spans as `read_day` reads them, by the clock."""
    return ", ".join(f"{spell(a % DAY)}-{spell(b % DAY if b > DAY else b)}" for a, b in spans)


def check(stored: Mapping[str, Sequence[Sequence[str]]], *, param: str) -> None:
    """Refuse a stored week that says what `read_day` never would.

    Raises:
        HoursWrong.
    """
    if not set(stored) <= set(DAYS):
        raise HoursWrong(param=param)
    for spans in stored.values():
        if any(len(span) != 2 or not all(map(_STORED.fullmatch, span)) for span in spans):
            raise HoursWrong(param=param)
        found = [(_minute(begins), _minute(ends)) for begins, ends in spans]
        if any(not begins < ends <= LAST or begins >= DAY for begins, ends in found):
            raise HoursWrong(param=param)
        if len(found) > SPANS_MAX or any(before[1] >= after[0] for before, after in pairwise(found)):
            raise HoursWrong(param=param)


def spell(minute: int) -> str:
    """Spell a minute of a day: 420 → 07:00, 1560 → 26:00."""
    return f"{minute // 60:02}:{minute % 60:02}"


def _minute(spelled: str) -> int:
    return int(spelled[:2]) * 60 + int(spelled[3:])


def _span(typed: str, param: str) -> Span:
    both = _SPAN.fullmatch(typed)
    if both is None:
        raise HoursWrong(param=param)
    begins, ends = (_typed_minute(clock_time, param) for clock_time in both.groups())
    if ends <= begins:
        ends += DAY
    if begins >= DAY or ends > LAST:
        raise HoursWrong(param=param)
    return begins, ends


def _typed_minute(typed: str, param: str) -> int:
    found = _CLOCK.fullmatch(typed) or _CLOCK.fullmatch(typed + ":")
    if found is None or int(found[1]) > DAY // 60 or int(found[2] or 0) > 59:
        raise HoursWrong(param=param)
    minute = int(found[1]) * 60 + int(found[2] or 0)
    if minute > DAY:
        raise HoursWrong(param=param)
    return minute
