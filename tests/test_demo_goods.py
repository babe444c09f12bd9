"""What the demo's stalls sell: known to the catalog, spread over the stalls, the same at each load."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from market.catalog import draft, gtin, units
from market.catalog.products import new_sku
from market.demo import goods
from market.demo.goods import SELLS, SERVES, Trader
from tests.make import City
from tests.stalls import Stalls
from wallet import clock
from wallet.ids import HolderId


def trader(number: int, category: str, name: str = "Quầy") -> Trader:
    holder = HolderId(uuid4())
    return Trader(merchant=holder, owner=holder, code=f"quay-{number}", name=name, category=category)


TRADERS = [
    trader(number, category) for number, category in enumerate([*SELLS, *SERVES, "5499", "5812", "5947", "5411"])
]


@pytest.fixture(scope="module")
def city(database):
    with City(database) as made:
        yield made


def test_every_good_is_one_that_the_catalog_takes(city):
    with city.engine.connect() as connection:
        known = set(draft.categories(connection).values())
    for good in goods.goods():
        assert draft.name(good.name) == good.name
        assert good.category in known
        assert good.unit in units.UNITS
        assert 0 < good.low <= good.high
    names = [good.name for good in goods.goods()]
    assert len(names) == len(set(names)) >= 700


def test_it_is_spread_evenly_and_all_is_given_out():
    planned = goods.plan(TRADERS, total=600)
    sizes = [len(drafts) for drafts in planned.values()]
    assert sum(sizes) == 600
    assert max(sizes) <= 60
    for drafts in planned.values():
        assert len({one.sku for one in drafts}) == len({one.name for one in drafts}) == len(drafts)
        assert all(gtin.read(one.gtin) == one.gtin for one in drafts)


def test_the_same_seed_draws_the_same_market():
    assert goods.plan(TRADERS, total=200) == goods.plan(TRADERS, total=200)


def test_a_stall_sells_first_what_its_name_promises():
    (drafts,) = goods.plan([trader(1, "5812", "Quán bún bò Huế mệ Kéo")], total=3).values()
    assert all(one.name.startswith("Bún bò Huế") for one in drafts)


def test_everybody_deals_in_something_and_nobody_in_what_is_not_theirs():
    kinds = {good.kind for good in goods.goods()}
    categories = {good.category for good in goods.goods()}
    assert {kind for kinds_ in SERVES.values() for kind in kinds_} <= kinds
    assert {category for some in SELLS.values() for category in some} <= categories
    for one in TRADERS:
        (drafts,) = goods.plan([one], total=5).values()
        assert drafts, one.category


def test_owners_import_it_once_and_a_newcomer_finds_me_xung(city):
    stalls = Stalls(city)
    stalls.stall("Đặc sản mè xửng Thử Nghiệm")
    with city.engine.begin() as unit:
        before = unit.execute(sa.text("SELECT count(*) FROM market.product")).scalar_one()
    goods.stock(city.engine, origin=city.config.public_origin, now=clock.now(), total=200)
    with city.engine.connect() as connection:
        after = connection.execute(sa.text("SELECT count(*) FROM market.product")).scalar_one()
    assert after > before
    goods.stock(city.engine, origin=city.config.public_origin, now=clock.now(), total=200)
    assert city.count("market.product") == after
    assert any("Mè xửng" in name for name in stalls.names("me xung"))
    assert city.differences() == []


def test_a_product_without_a_number_gets_one():
    assert new_sku(uuid4()) != new_sku(uuid4())
