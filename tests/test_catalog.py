"""The catalog: who may offer and change what, prices as dated events, and what a spreadsheet does."""

from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from market import registry
from market.catalog import products, search, tables
from market.catalog.draft import BadName, BadPrice, name, price
from tests.make import City
from tests.stalls import Stall, Stalls, draft
from wallet.money import Dong
from wallet.text import HiddenCharacter


@pytest.fixture(scope="module")
def stalls(database):
    with City(database) as city:
        yield Stalls(city)


@pytest.fixture(scope="module")
def stall(stalls: Stalls) -> Stall:
    return stalls.stall("Quầy mè xửng cô Bé")


def row(stall: Stall, product: UUID):
    with stall.city.engine.connect() as connection:
        return connection.execute(sa.select(tables.product).where(tables.product.c.id == product)).one()


def prices(stall: Stall, product: UUID) -> list[int]:
    own = tables.price_change.c
    with stall.city.engine.connect() as connection:
        return list(
            connection.execute(sa.select(own.price).where(own.product == product).order_by(own.version)).scalars()
        )


def told(stall: Stall, product: object) -> list[str]:
    with stall.city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT type FROM ledger.event WHERE subject = %s ORDER BY seq", (str(product),)
        )
        return [each.type for each in rows]


# ---- who may do what ------------------------------------------------------------------------------------------------


def test_an_owner_and_a_manager_offer_and_change_a_cashier_says_what_is_sold_out(stall):
    manager, cashier = stall.employs("manager"), stall.employs("cashier")
    product = stall.offers("Mè xửng dẻo 200 g", by=manager)
    stall.puts("Mè xửng giòn 200 g", product=product, version=1, by=stall.owner)
    stall.sells_out(product, by=cashier)
    assert (row(stall, product).sold_out, row(stall, product).version) == (True, 3)
    with pytest.raises(registry.NotYours):
        stall.puts("Mè xửng rẻ", product=product, version=3, by=cashier)
    with pytest.raises(registry.NotYours):
        stall.archives(product, by=cashier)
    assert row(stall, product).name == "Mè xửng giòn 200 g"


def test_whoever_works_elsewhere_or_no_longer_changes_nothing(stalls, stall):
    """Rows 82 and 85."""
    product, other, former = stall.offers("Kẹo cau"), stalls.stall("Quầy bên cạnh"), stall.employs("manager")
    with stall.city.engine.begin() as unit:
        unit.exec_driver_sql("UPDATE identity.staff SET until = now() WHERE holder = %s", (UUID(former.holder),))
    for stranger in (other.owner, former, stall.city.citizen()):
        with pytest.raises(registry.MerchantNotFound):
            stall.puts("Kẹo khác", product=product, version=1, by=stranger)
        with pytest.raises(registry.MerchantNotFound):
            stall.sells_out(product, by=stranger)
    with pytest.raises(products.NotFound):
        other.puts("Kẹo của tôi", product=product, version=1)
    assert row(stall, product).name == "Kẹo cau"


def test_two_at_one_stall_do_not_undo_each_others_work(stall):
    product = stall.offers("Tôm chua 500 g")
    stall.puts("Tôm chua ít cay 500 g", product=product, version=1)
    with pytest.raises(products.Changed) as refused:
        stall.puts("Tôm chua cũ", product=product, version=1)
    assert refused.value.facts == {"version": "2"}


def test_a_number_is_one_products_and_is_made_where_none_is_given(stall):
    first = stall.offers("Trà atisô", sku="TCD-1")
    with pytest.raises(products.SkuTaken):
        stall.offers("Trà gừng", sku="TCD-1")
    assert row(stall, first).sku == "TCD-1"
    assert row(stall, stall.offers("Trà sen")).sku.startswith("SP-")


# ---- prices ---------------------------------------------------------------------------------------------------------


def test_each_price_is_a_dated_event_told_once(stall):
    product = stall.offers("Nón lá bài thơ", price=60_000)
    stall.puts("Nón lá bài thơ", product=product, version=1, price=65_000)
    stall.puts("Nón lá bài thơ Tây Hồ", product=product, version=2, price=65_000)
    assert prices(stall, product) == [60_000, 65_000]
    expected = ["product.offered", "product.priced", "product.changed", "product.priced", "product.changed"]
    assert told(stall, product) == expected


def test_a_price_cannot_change_without_being_written_down_nor_what_is_written(stall):
    """The database writes it, whoever changes the product and however."""
    product = stall.offers("Dầu tràm 50 ml", price=80_000)
    with psycopg.connect(stall.city.config.database_url, autocommit=True) as app:
        app.execute("UPDATE market.product SET price = 90000, version = 2 WHERE id = %s", [product])
        for statement in (
            "INSERT INTO market.price_change SELECT id, 9, now(), 1, unit, changed_by FROM market.product LIMIT 1",
            "UPDATE market.price_change SET price = 1",
            "DELETE FROM market.price_change",
            "UPDATE market.product SET taken_down = true",
            "UPDATE market.product SET merchant_open = true",
            "DELETE FROM market.product",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)
    assert prices(stall, product) == [80_000, 90_000]


@pytest.mark.parametrize(
    ("typed", "amount"),
    [("35000", 35_000), ("35.000", 35_000), ("35,000 đ", 35_000), ("1.250.000₫", 1_250_000), ("35000.00", 35_000)],
)
def test_a_price_is_read_as_people_and_spreadsheets_write_it(typed, amount):
    assert price(typed) == amount


@pytest.mark.parametrize(
    "typed", ["", "0", "-5", "35.5", "1e6", "١٢", "NaN", "35 000", "10000000001", "=1+1", "3.50.000"]
)
def test_what_is_no_price_is_refused(typed):
    with pytest.raises(BadPrice):
        price(typed)


def test_a_name_has_something_to_be_found_by_and_nothing_hidden():
    with pytest.raises(BadName):
        name("!!! …")
    with pytest.raises(HiddenCharacter):
        name("Mè xửng\u202egnux")
    assert name("  Mè   xửng ") == "Mè xửng"


# ---- shown or not ---------------------------------------------------------------------------------------------------


def test_a_suspended_merchants_products_are_shown_no_more_and_again_when_it_is_approved_again(stalls):
    stall = stalls.stall("Quầy tạm nghỉ")
    product = stall.offers("Bánh phu thê Kiểm Tra")

    def shown() -> bool:
        with stall.city.engine.connect() as connection:
            return search.product(connection, product) is not None

    assert shown()
    stalls.move(stall, "suspended")
    assert not shown()
    late = stall.offers("Bánh in Kiểm Tra")
    assert not row(stall, late).merchant_open
    stalls.move(stall, "approved")
    assert shown()
    assert row(stall, late).merchant_open


def test_what_a_merchant_that_is_not_approved_offers_is_seen_by_nobody(stalls):
    stall = stalls.stall("Quầy chờ duyệt", approved=False)
    stall.offers("Món chờ duyệt")
    assert stalls.names("món chờ duyệt") == []


def test_an_archived_product_is_kept_and_found_no_more(stalls, stall):
    product = stall.offers("Mứt gừng xăm Kim Long")
    stall.archives(product)
    assert stalls.names("mut gung xam kim long") == []
    assert prices(stall, product) == [25_000]


# ---- a file ---------------------------------------------------------------------------------------------------------


def test_a_file_adds_changes_and_leaves_alone_by_number(stalls):
    stall = stalls.stall("Quầy nhập tệp")
    first = [draft("Mè xửng", sku="A1"), draft("Kẹo gừng", sku="A2"), draft("Mứt bí", sku="A3")]
    assert stall.imports(first).answer.added == 3
    second = [first[0], replace(first[1], price=Dong(30_000)), draft("Hạt sen", sku="A4")]
    answer = stall.imports(second).answer
    assert (answer.added, answer.changed, answer.same) == (1, 1, 1)
    with stall.city.engine.connect() as connection:
        known = products._by_sku(connection, stall.holder, ["A1", "A2", "A3", "A4"])
    assert {sku: one.version for sku, one in known.items()} == {"A1": 1, "A2": 2, "A3": 1, "A4": 1}
    assert prices(stall, known["A2"].id) == [25_000, 30_000]
    assert told(stall, stall.holder)[-2:] == ["product.imported", "product.imported"]


def test_a_file_by_a_cashier_or_a_stranger_does_nothing(stall):
    for helper, refusal in (
        (stall.employs("cashier"), registry.NotYours),
        (stall.city.citizen(), registry.MerchantNotFound),
    ):
        with pytest.raises(refusal):
            stall.imports([draft("Lén", sku="X1")], by=helper)


def test_the_books_are_still_proved(stalls, stall):
    stall.offers(f"Món {uuid4().hex[:6]}")
    assert stalls.city.differences() == []
