"""Charts: the geometry of drawings that the server makes. A template draws them as SVG beside the table of the same figures.

Why     No script, so they stand on paper, on a page without JavaScript and under the strictest policy; some hundred bytes
        each. Widths are shares of the page in percent, so that no text is ever scaled with a drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

COLUMNS_PX: Final = 160
"""How high a drawing of columns is."""

_GAP: Final = 0.25
"""How much of a column's place is left empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: x and width in percent, y and height in pixels; below the line where its value is below zero."""

    x: float
    width: float
    y: float
    height: float
    below: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns over and under a line that stands at `zero` pixels."""

    zero: float
    columns: tuple[Column, ...]


def columns(values: Sequence[int]) -> Columns:
    """Draw a column for each value, on one scale; a value that is not zero is never too small to be seen."""
    high, low = max([0, *values]), min([0, *values])
    scale = COLUMNS_PX / ((high - low) or 1)
    zero = high * scale
    place = 100 / max(len(values), 1)
    drawn = []
    for number, value in enumerate(values):
        height = max(abs(value) * scale, 2.0) if value else 0.0
        y = min(zero, COLUMNS_PX - height) if value < 0 else max(zero - height, 0.0)
        x, width = (number + _GAP / 2) * place, place * (1 - _GAP)
        drawn.append(
            Column(x=round(x, 3), width=round(width, 3), y=round(y, 1), height=round(height, 1), below=value < 0)
        )
    return Columns(zero=round(zero, 1), columns=tuple(drawn))


def line(values: Sequence[int], *, most: int) -> str:
    """Draw values as the points of a line in a square of 100 by 100; steps, because a balance stands until it moves.

    Args:
        values: oldest first, from 0 to most.
        most: the largest value of all lines in the square.
    """
    step = 100 / max(len(values), 1)
    points = []
    for number, value in enumerate(values):
        y = round(100 - 96 * value / (most or 1), 2)
        points += [f"{round(number * step, 2)},{y}", f"{round((number + 1) * step, 2)},{y}"]
    return " ".join(points)


def shares(values: Sequence[int]) -> list[float]:
    """Return each value as percent of the largest one."""
    most = max([1, *values])
    return [round(100 * max(value, 0) / most, 2) for value in values]
