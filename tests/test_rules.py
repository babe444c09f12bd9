"""Rules of law and price as dated data: which holds on which day, and what a file that contradicts itself is told."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.make import ROOT
from wallet import city as cities
from wallet import rules
from wallet.rules import RuleError

SPOKEN = """
[uses]
transfer = "Chuyển tiền"
"""


def row(code: str = "one_day", *, since: str = "2026-01-01", value: int = 5, uses: str = '["transfer"]') -> str:
    return f"""
[[limit]]
code = "{code}"
title = "Hạn mức"
title_en = "Limit"
window = "day"
uses = {uses}
effect = "refuse"
value = {value}
from = {since}
source = "a circular"
confidence = "A"
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A file of rules of the test's own, read in place of ours."""
    written = tmp_path / "rules.toml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "FILE", written)
        rules.limits.cache_clear()
        rules.uses.cache_clear()
        yield written
    rules.limits.cache_clear()
    rules.uses.cache_clear()


def test_a_rule_holds_from_its_first_day_and_until_the_next_row_of_its_code(file: Path) -> None:
    file.write_text(SPOKEN + row(value=5) + row(since="2026-03-01", value=9) + row("other", since="2026-02-01"))
    held = {day: {rule.code: rule.value for rule in rules.limits_on(day)} for day in map(date.fromisoformat, DAYS)}
    assert list(held.values()) == [{}, {"one_day": 5}, {"one_day": 5, "other": 5}, {"one_day": 9, "other": 5}]


DAYS = ("2025-12-31", "2026-01-01", "2026-02-28", "2026-03-01")


def test_the_order_of_rows_in_the_file_decides_nothing(file: Path) -> None:
    file.write_text(SPOKEN + row(since="2026-03-01", value=9) + row(value=5))
    assert [rule.value for rule in rules.limits_on(date(2026, 4, 1))] == [9]


def test_two_rows_of_one_limit_on_one_day_are_a_contradiction(file: Path) -> None:
    file.write_text(SPOKEN + row(value=5) + row(value=6))
    with pytest.raises(RuleError, match="two rows of one limit on one day"):
        rules.limits()


def test_a_use_that_is_not_listed_is_a_fault_of_the_file(file: Path) -> None:
    file.write_text(SPOKEN + row(uses='["transfer", "gambling"]'))
    with pytest.raises(RuleError, match="gambling"):
        rules.limits()


def test_our_rules_are_those_of_the_law_as_we_read_it() -> None:
    """Circular 40/2024 and 41/2025: 100 M a month, essential payments apart with 300 M; Decision 2345: 10 M and 20 M."""
    today = {rule.code: rule for rule in rules.limits_on(date(2026, 11, 22))}
    assert {code: (rule.window, rule.effect, rule.value) for code, rule in today.items()} == {
        "general_month": ("month", "refuse", 100_000_000),
        "essential_month": ("month", "refuse", 300_000_000),
        "step_up_order": ("order", "step_up", 10_000_000),
        "step_up_day": ("day", "step_up", 20_000_000),
        "new_device_day": ("day", "refuse", 5_000_000),
    }
    assert not today["general_month"].uses & today["essential_month"].uses
    by_card = {"topup", "card"}  # money that comes in, or that no wallet is charged for
    assert today["general_month"].uses | today["essential_month"].uses == set(rules.uses()) - by_card
    assert today["step_up_order"].uses == today["step_up_day"].uses == {"transfer", "topup"}
    assert today["new_device_day"].uses == set(rules.uses())
    assert today["new_device_day"].only == "new_device"


def test_the_essential_limit_is_not_older_than_its_circular() -> None:
    before = date(2025, 11, 1) - timedelta(days=1)
    assert "essential_month" not in {rule.code for rule in rules.limits_on(before)}


def test_every_rule_cites_its_source_and_says_how_sure_it_is() -> None:
    for rule in rules.limits():
        assert len(rule.source) > 20, rule.code
        assert rule.confidence, rule.code
        assert rule.title != rule.title_en


def test_every_procedure_of_the_city_is_of_a_use_that_a_limit_counts() -> None:
    used = set(cities.load(ROOT / "city.toml").uses.values())
    assert used <= set(rules.uses())
    assert {"public_service", "road"} <= used
