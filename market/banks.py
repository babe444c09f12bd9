"""Banks: whose the first six digits of a VietQR account are, with confidence. For explaining, never for paying."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("banks.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """A bank or wallet as people know it; `confidence` as in wallet/rules.toml."""

    bin: str
    name: str
    confidence: str


def by_bin(bin: str) -> Bank | None:
    """Return the bank with this number, or None: a number that is not listed stays a number."""
    return _listed().get(bin)


@cache
def _listed() -> dict[str, Bank]:
    with _FILE.open("rb") as source:
        rows = [Bank(**row) for row in tomllib.load(source)["bank"]]
    listed = {bank.bin: bank for bank in rows}
    assert len(listed) == len(rows), "a bank's number is listed once"
    return listed
