"""Canonical JSON: the one spelling of an object that people sign and that we store and hash.

Source  RFC 8785 (JCS). We narrow it: no numbers, no booleans, no nulls; every scalar is a string, so that browser and
        server cannot disagree about a number.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import rfc8785

from wallet.refusal import Refusal

DEPTH_MAX: Final = 8
"""An order nests two levels; eight leaves room and keeps a parser's stack out of an attacker's hands."""

Json = str | Sequence["Json"] | Mapping[str, "Json"]


class NotJson(Refusal):
    """The body is not one JSON object of strings, arrays and objects."""

    code = "json_unparseable"
    status = 400
    stored = False


class NotString(Refusal):
    """Somewhere stands a number, a boolean or null: every scalar of an order is a string."""

    code = "json_not_string"
    status = 422
    stored = False


class NotCanonical(Refusal):
    """The body parses, but is not the RFC 8785 spelling of what it says."""

    code = "json_not_canonical"
    status = 400
    stored = False


def dumps(value: Json) -> bytes:
    """Spell a value canonically."""
    return rfc8785.dumps(value)


def loads(raw: bytes) -> dict[str, Any]:
    """Parse the bytes of an order, or refuse them: canonical or nothing.

    Raises:
        NotJson, NotString, NotCanonical.
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_int=_number, parse_float=_number, parse_constant=_not_a_number)
    except (ValueError, RecursionError):
        raise NotJson from None
    if not isinstance(value, dict):
        raise NotJson
    _only_strings(value, DEPTH_MAX)
    try:
        canonical = rfc8785.dumps(value)
    except ValueError:  # a lone surrogate, say
        raise NotJson from None
    if canonical != raw:
        raise NotCanonical
    return value


def _number(_text: str) -> None:
    """Read any number as what is no string, so that the whole body is parsed before it is refused for that."""


def _not_a_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _only_strings(value: Any, depth: int) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, dict | list):
        raise NotString
    if depth == 0:
        raise NotJson
    for member in value.values() if isinstance(value, dict) else value:
        _only_strings(member, depth - 1)
