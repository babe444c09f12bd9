"""Rules and tariffs are told in the log when they change, and only then."""

import json
from dataclasses import replace
from datetime import date

import pytest

from tests.databases import TestDatabase
from tests.make import City
from wallet import city as cities
from wallet import clock, db, inforce, rules
from wallet.city import Item, Procedure
from wallet.jobs import Worker


@pytest.fixture
def town(fresh_database: TestDatabase):
    with City(fresh_database) as made:
        yield made


def tell(town: City, city: cities.City | None = None) -> int:
    return db.unit(town.engine, lambda unit: inforce.tell_changes(unit, city or town.city, now=clock.now()))


def told(town: City) -> list[dict]:
    with town.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT bytes FROM ledger.event WHERE type = 'rules.changed' ORDER BY seq")
        return [json.loads(bytes(row[0])) for row in rows]


def with_item(city: cities.City, procedure: Procedure, *items: Item) -> cities.City:
    return replace(city, procedures={**city.procedures, procedure.code: replace(procedure, items=items)})


def test_at_first_everything_is_told_with_its_source(town: City) -> None:
    worker = Worker(town.config)
    assert worker.tell_rules() == len(told(town)) > 1
    worker.database.dispose()
    rows = {key: row for event in told(town) for key, row in event["data"]["rows"].items()}
    assert set(rows) == set(inforce.limits()) | set(inforce.tariffs(town.city))
    assert all(row.get("source") or row.get("citation") for row in rows.values())


def test_what_did_not_change_is_not_told_again(town: City) -> None:
    assert tell(town) > 0
    assert tell(town) == 0


def test_a_tariff_that_changes_or_goes_is_told_by_its_row_alone(town: City) -> None:
    tell(town)
    before = len(told(town))
    procedure = next(iter(town.city.procedures.values()))
    item = procedure.items[0]
    dearer = with_item(town.city, procedure, replace(item, amount=(item.amount or 0) + 1))
    assert tell(town, dearer) == 1
    key = f"{procedure.code}:{item.code}:{item.valid_from.isoformat()}"
    event = told(town)[before]
    assert (event["subject"], list(event["data"]["rows"]), event["data"]["gone"]) == ("tariffs", [key], [])
    assert event["data"]["rows"][key]["amount"] == str((item.amount or 0) + 1)
    assert tell(town, with_item(town.city, procedure)) == 1
    assert told(town)[-1]["data"] == {"gone": [key], "rows": {}}
    assert tell(town) == 1, "it came back, as it was"
    assert tell(town) == 0


def test_a_limit_that_changes_is_told(town: City, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(town)
    changed = (replace(rules.limits()[0], since=date(2027, 1, 1)), *rules.limits()[1:])
    monkeypatch.setattr(rules, "limits", lambda: changed)
    assert tell(town) == 1
    assert told(town)[-1]["subject"] == "limits"
    assert told(town)[-1]["data"]["gone"] != []


def test_a_large_city_s_tariffs_fit_into_leaves(town: City) -> None:
    """Row 126."""
    procedure = next(iter(town.city.procedures.values()))
    many = tuple(replace(procedure.items[0], code=f"I{number}", citation="x" * 300) for number in range(420))
    assert tell(town, with_item(town.city, procedure, *many)) >= 9
    assert tell(town, with_item(town.city, procedure, *many)) == 0
