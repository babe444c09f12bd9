"""The demo city's merchants: sixty that people of Huế would recognise, entered through the verbs, once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

import market.proof
from market import hours, merchants, points, registry
from market.demo import merchants as demo
from tests.databases import TestDatabase
from tests.make import ROOT
from wallet import clock, prove
from wallet.city import load as load_city
from wallet.demo import people
from wallet.demo.enter import Load
from wallet.demo.marks import Begun
from wallet.identity import holders


@pytest.fixture(scope="module")
def entered(template, postgres, worker, tmp_path_factory) -> Iterator[TestDatabase]:
    from tests import databases

    folder = tmp_path_factory.mktemp("market_demo")
    with databases.copy_of(template, f"{worker}_market_demo", server=postgres, folder=folder) as made:
        made = replace(made, config=replace(made.config, city_file=ROOT / "city.toml"))
        enter(made)
        yield made


def enter(database: TestDatabase) -> None:
    begun = Begun(at=clock.now().replace(microsecond=0), origin=database.config.public_origin)
    demo.enter(Load(database_url=database.config.database_url, city_file=database.config.city_file, begun=begun))


def count(engine: sa.Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_the_file_names_sixty_merchants_with_a_hundred_and_ten_points_all_over_the_city() -> None:
    shops = demo.shops()
    assert (len(shops), sum(len(shop.points) for shop in shops)) == (60, 110)
    assert len({shop.name for shop in shops}) == len({shop.slug for shop in shops}) == 60
    assert {shop.category for shop in shops} <= set(merchants.CATEGORIES)
    assert {shop.area for shop in shops} <= set(load_city(ROOT / "city.toml").areas)
    assert len({shop.area for shop in shops}) >= 10
    assert max(Counter(shop.category for shop in shops).values()) <= 15
    for shop in shops:
        assert len(shop.name) <= points.NAME_CHARS_MAX
        assert len(set(shop.points)) == len(shop.points)
        hours.check(shop.hours, param="hours")


def test_each_is_approved_by_two_officers_and_can_be_paid(entered: TestDatabase) -> None:
    with entered.app_engine.connect() as connection:
        found = demo.ids(connection)
        assert set(found) == {shop.slug for shop in demo.shops()}
        for shop in demo.shops():
            merchant = merchants.by_id(connection, found[shop.slug])
            assert merchant is not None
            assert (merchant.name, merchant.state) == (shop.name, "approved")
            here = registry.points_of(connection, merchant.holder)
            assert sorted(point.name for point in here) == sorted(shop.points)
            assert all(point.open and point.account for point in here)
            reviews = merchants.reviews(connection, merchant.holder)
            assert len({review.officer for review in reviews}) == len(reviews) == 2


def test_the_first_belongs_to_somebody_whom_a_visitor_can_sign_in_as(entered: TestDatabase) -> None:
    with entered.app_engine.connect() as connection:
        phones = {one.slug: one.phone for one in people.principals(load_city(ROOT / "city.toml"))}
        served = {}
        for slug in (demo.OWNER, demo.CASHIER):
            person = holders.by_phone(connection, phones[slug] or "")
            assert person is not None
            served[slug] = [(one.name, str(role)) for one, role in merchants.served_by(connection, person.holder)]
    name = demo.shops()[0].name
    assert served == {demo.OWNER: [(name, "owner")], demo.CASHIER: [(name, "cashier")]}


def test_entered_again_it_finds_what_is_there_and_the_books_prove(entered: TestDatabase) -> None:
    tables = (
        "market.merchant",
        "market.point",
        "identity.staff",
        "ledger.authority",
        "ledger.event",
        "identity.holder",
    )
    before = {table: count(entered.app_engine, table) for table in tables}
    with entered.app_engine.connect() as connection:
        at = connection.exec_driver_sql("SELECT min(made_at) FROM market.merchant").scalar_one()
    demo.enter(
        Load(
            database_url=entered.config.database_url,
            city_file=entered.config.city_file,
            begun=Begun(at=at, origin=entered.config.public_origin),
        )
    )
    assert {table: count(entered.app_engine, table) for table in tables} == before
    with prove.snapshot(entered.audit_engine).connect() as connection:
        assert list(prove.books(connection, more=market.proof.QUESTIONS)) == []
