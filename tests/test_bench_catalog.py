"""The market filled for measurements: searches find what is there, nothing is left undone, and the books prove."""

from bench import catalog, stalls
from tests.make import City
from tests.stalls import Stalls


def test_a_filled_market_is_one_that_is_searched_and_proved(fresh_database):
    with fresh_database.superuser() as admin:
        asked = "SELECT indexname FROM pg_indexes WHERE schemaname = 'market' ORDER BY 1"
        before = admin.execute(asked).fetchall()
    stalls.fill(fresh_database.owner_url, merchants=20, points=10, products=300)
    with fresh_database.superuser() as admin:
        assert admin.execute(asked).fetchall() == before
    with City(fresh_database) as city:
        assert [city.count(f"market.{name}") for name in ("merchant", "point", "product")] == [20, 10, 300]
        assert city.count("market.price_change") == 300
        assert Stalls(city).names("me xung")
        assert city.differences() == []
        took = catalog.times(city.config, 20)
    assert len(took) == 20
    assert took == sorted(took)
