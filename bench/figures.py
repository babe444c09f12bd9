"""Figures: what a bench found, printed as a table and written to `var/bench.json`."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from wallet.run import environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value beside its peer from the same run; `ratio` is value / peer_value."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


def against(name: str, value: float, unit: str, peer: str, peer_value: float) -> Figure:
    """Make a figure beside its peer."""
    ratio = round(value / peer_value, 3) if peer_value else None
    return Figure(name=name, value=round(value, 3), unit=unit, peer=peer, peer_value=round(peer_value, 3), ratio=ratio)


def folder() -> Path:
    """Return where the figures are kept: VAR_DIR."""
    return environment.var_dir(os.environ).absolute()


def report(figures: list[Figure], file: Path) -> None:
    """Print the table and write the file."""
    print(f"{'figure':34} {'value':>12} {'unit':8} {'peer':28} {'its value':>12} {'ratio':>7}")
    for one in figures:
        peer_value = "" if one.peer_value is None else f"{one.peer_value:,.2f}"
        ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
        print(f"{one.name:34} {one.value:12,.2f} {one.unit:8} {one.peer or '':28} {peer_value:>12} {ratio:>7}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(one) for one in figures], indent=1) + "\n")
    print(f"written to {file}")
