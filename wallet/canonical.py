"""Canonical JSON: the one spelling of an object that people sign and that we store and hash.

Source  RFC 8785 (JCS). We narrow it: no numbers, no booleans, no nulls; every scalar is a string, so that browser and
        server cannot disagree about a number.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
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
    """Spell a value canonically.

    The standard library writes in C what the RFC asks, but for one thing: it sorts names by code point and the RFC by
    UTF-16, which differ where a character beyond the first 65,536 stands (an emoji). Such values take the slow road.

    Raises:
        ValueError: a lone surrogate.
    """
    text = _encode(value)
    return rfc8785.dumps(value) if _BEYOND_UTF_16.search(text) else text.encode()


def loads(raw: bytes) -> dict[str, Any]:
    """Parse the bytes of an order, or refuse them: canonical or nothing.

    Raises:
        NotJson, NotString, NotCanonical.
    """
    try:
        value = _decode(raw.decode())
    except (ValueError, RecursionError):
        raise NotJson from None
    if not isinstance(value, dict):
        raise NotJson
    _only_strings(value.values(), DEPTH_MAX - 1)
    try:
        canonical = dumps(value)
    except ValueError:  # a lone surrogate
        raise NotJson from None
    if canonical != raw:
        raise NotCanonical
    return value


def _number(_text: str) -> None:
    """Read any number as what is no string, so that the whole body is parsed before it is refused for that."""


def _not_a_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _only_strings(members: Iterable[Any], depth: int) -> None:
    for member in members:
        if isinstance(member, str):
            continue
        if not isinstance(member, (dict, list)):
            raise NotString
        if depth == 0:
            raise NotJson
        _only_strings(member.values() if isinstance(member, dict) else member, depth - 1)


_decode = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_not_a_number).decode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode
_BEYOND_UTF_16 = re.compile("[\U00010000-\U0010ffff]")
