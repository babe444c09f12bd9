"""Canonical JSON: one spelling of every order, and nothing but strings in it."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from wallet import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ORDERS = st.dictionaries(
    TEXT,
    st.recursive(
        TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
    ),
)


def depth(value: Any) -> int:
    if isinstance(value, str):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max((depth(one) for one in inner), default=0)


@given(ORDERS.filter(lambda order: depth(order) <= canonical.DEPTH_MAX))
@example({"\U0001f600": "€", "\ufb33": "ö", "\x80": "\x7f", "\r": "\n", "1": "</script>", "": ""})
def test_what_is_spelled_canonically_is_read_back_and_spelled_alike(order) -> None:
    raw = canonical.dumps(order)
    assert canonical.loads(raw) == order
    assert canonical.dumps(canonical.loads(raw)) == raw
    assert json.loads(raw) == order


@given(ORDERS)
@example({"\U0001f600": "1", "\ue000": "2", "a": "3"})
@example({"a": ["\U0001f600", {"\x00": "\x1f\x7f\u2028\u2029</"}]})
def test_our_spelling_is_that_of_the_rfcs_library(order) -> None:
    """Whichever of the two roads it takes."""
    assert canonical.dumps(order) == rfc8785.dumps(order)


@given(ORDERS.filter(lambda order: depth(order) <= canonical.DEPTH_MAX and order), st.data())
def test_every_other_spelling_of_the_same_is_refused(order, data) -> None:
    """Row 10: spaces, escapes, another order of the members."""
    raw = canonical.dumps(order)
    other = data.draw(
        st.sampled_from(
            [
                json.dumps(order).encode(),
                json.dumps(order, ensure_ascii=False, indent=1).encode(),
                b" " + raw,
                raw + b"\n",
                json.dumps(dict(reversed(json.loads(raw).items())), ensure_ascii=False, separators=(",", ":")).encode(),
            ]
        )
    )
    if other != raw:
        with pytest.raises(canonical.NotCanonical):
            canonical.loads(other)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_order_or_a_refusal(raw: bytes) -> None:
    """Never another exception, whatever comes over the wire."""
    try:
        value = canonical.loads(raw)
    except (canonical.NotJson, canonical.NotString, canonical.NotCanonical):
        return
    assert canonical.dumps(value) == raw


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(TEXT, inner, min_size=1, max_size=2),
        max_leaves=4,
    )
)
def test_a_scalar_that_is_no_string_is_refused_wherever_it_stands(value: object) -> None:
    """Row 8: so that no two parsers can disagree about a number."""
    raw = json.dumps({"a": value}, separators=(",", ":")).encode()
    with pytest.raises(canonical.NotString if depth_of(value) < canonical.DEPTH_MAX else canonical.NotJson):
        canonical.loads(raw)


def depth_of(value: object) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(depth_of(one) for one in (value.values() if isinstance(value, dict) else value))


@pytest.mark.parametrize("levels", [canonical.DEPTH_MAX, canonical.DEPTH_MAX + 1, 100_000])
def test_an_order_nests_so_deep_and_no_deeper(levels: int) -> None:
    """Row 14."""
    raw = b'{"a":' * levels + b'""' + b"}" * levels
    if levels <= canonical.DEPTH_MAX:
        assert depth(canonical.loads(raw)) == levels
    else:
        with pytest.raises(canonical.NotJson):
            canonical.loads(raw)


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b'{"a":"1","a":"1"}', canonical.NotCanonical),
        (b'{"b":"1","a":"1"}', canonical.NotCanonical),
        (b'{"a":"\\u0041"}', canonical.NotCanonical),
        (b'{"a":"\\/"}', canonical.NotCanonical),
        (b'{"a":1_000}', canonical.NotJson),
        (b'{"a":01}', canonical.NotJson),
        (b'{"a":NaN}', canonical.NotJson),
        (b'{"a":-Infinity}', canonical.NotJson),
        (b'{"a":1e400}', canonical.NotString),
        (b'{"a":' + b"9" * 5_000 + b"}", canonical.NotString),
        (b'{"a":"\\ud800"}', canonical.NotJson),
        (b"\xef\xbb\xbf{}", canonical.NotJson),
        (b"[]", canonical.NotJson),
        (b"", canonical.NotJson),
        (b"{}x", canonical.NotJson),
    ],
)
def test_each_fault_has_its_refusal(raw: bytes, refusal: type[Exception]) -> None:
    """Rows 6, 9 and 10."""
    with pytest.raises(refusal):
        canonical.loads(raw)


def test_members_are_sorted_by_utf_16_as_rfc_8785_asks() -> None:
    """The RFC's own example: a surrogate pair sorts before U+FB33, although its code point is higher."""
    order = {"\ufb33": "Hebrew Letter Dalet With Dagesh", "\U0001f600": "Emoji", "\u20ac": "Euro", "1": "One"}
    assert list(json.loads(canonical.dumps(order))) == ["1", "\u20ac", "\U0001f600", "\ufb33"]
