"""Fields: a string is read the short way, and everything else marshmallow's way."""

from typing import Any

import pytest
from marshmallow import ValidationError, validate

from wallet.web.fields import CountField, DayField, DongField, EpochField, IdField, SpelledField, Strict

ID = "0197b0a4-0000-7000-8000-000000000000"


class Every(Strict):
    id = IdField(required=True)
    amount = DongField(required=True)
    at = EpochField(required=True)
    day = DayField(load_default="")
    count = CountField(required=True)
    short = SpelledField(required=True, validate=validate.Length(1, 3))


HONEST = {"id": ID, "amount": "1", "at": "1795258800", "day": "2026-11-21", "count": "2", "short": "abc"}
WRONG = {"id": ID.upper(), "amount": "01", "at": "-1", "day": "21/11/2026", "count": "0", "short": "abcd"}


def test_what_is_honest_is_read() -> None:
    read = Every().load(HONEST)
    assert [str(value) for value in read.values()] == [ID, "1", "2026-11-21 11:00:00+00:00", "2026-11-21", "2", "abc"]


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_field_says_what_is_wrong_and_only_that(name: str) -> None:
    """Also where it has a validator, which the short way would not ask."""
    with pytest.raises(ValidationError) as caught:
        Every().load(HONEST | {name: WRONG[name]})
    assert list(caught.value.messages_dict) == [name]


@pytest.mark.parametrize("name", sorted(HONEST))
@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, ["1"], {"a": "1"}])
def test_what_is_no_string_is_refused_by_every_field(name: str, value: Any) -> None:
    """Row 8: also below the check that an order has no other scalars."""
    with pytest.raises(ValidationError) as caught:
        Every().load(HONEST | {name: value})
    assert list(caught.value.messages_dict) == [name]


def test_what_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        Every().load({"day": "", "more": "1"})
    assert set(caught.value.messages_dict) == {"id", "amount", "at", "count", "short", "more"}


def test_hooks_of_a_field_are_called() -> None:
    def shout(text: str) -> str:
        return text.upper()

    assert SpelledField(post_load=shout).deserialize("a") == "A"
    assert SpelledField(pre_load=shout).deserialize("a") == "A"
