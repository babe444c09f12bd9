"""A citizen in a browser links a card, tops up through 3-D Secure and pays a bill by card, on the processor's own pages."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from tests import pages
from tests.acquirers import NUMBERS, StripeBench, stripe_bench
from tests.conftest import free_port
from tests.databases import TestDatabase
from tests.make import City
from tests.pages import House
from wallet import clock
from wallet.cards import rounds
from wallet.cards.bills import BillTarget
from wallet.cards.till import Till

pytestmark = pytest.mark.browser


@pytest.fixture
def bench() -> Iterator[StripeBench]:
    with stripe_bench() as made:
        made.clock.at = int(clock.now().timestamp())
        yield made


@pytest.fixture
def house(fresh_database: TestDatabase, browser, bench: StripeBench) -> Iterator[House]:
    port = free_port()
    with City(fresh_database, origin=f"http://localhost:{port}") as city:
        known = city.service.extensions["wallet"]
        till = Till(
            database=known.app,
            acquirer=bench.acquirer,
            origin=known.config.public_origin,
            targets={"bill": BillTarget()},
        )
        city.service.extensions["wallet"] = replace(known, till=till)
        with pages.house_here(city, browser, port) as made:
            yield made


def test_a_card_is_linked_tops_up_and_pays_a_bill(house: House, bench: StripeBench) -> None:
    till = house.city.service.extensions["wallet"].till
    hoa = house.city.citizen("Nguyễn Thị Hoa")
    bill = house.city.bill(debtor=hoa, amounts=[35_000])
    page = house.enters(hoa, device=True, path="/the")
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)

    page.get_by_role("button", name="Liên kết thẻ").click()
    page.locator("#card-page").click()
    enter(page, "good")
    rounds_until(till, page, "Thẻ đã được liên kết")

    page.goto("/nap-tien")
    page.get_by_label("Số tiền").fill("200.000")
    page.get_by_role("button", name="Tiếp tục").click()
    expect(page.locator("#card-name")).to_contain_text("4242")
    page.get_by_role("link", name="Sửa lại lệnh").first.click()
    page.get_by_label("Thẻ khác").check()
    page.get_by_role("button", name="Tiếp tục").click()
    page.get_by_role("button", name="Ký và nạp 200.000").click()
    expect(page.locator("#card-payment")).to_have_attribute("data-state", "requires_action")
    expect(page.locator("[data-until]")).to_contain_text("còn")
    page.locator("#card-page").click()
    enter(page, "secure", passing=True)
    rounds_until(till, page, "Đã nạp 200.000")
    assert house.city.available(hoa) == 200_000

    page.goto(f"/thanh-toan?b={bill.id}")
    page.get_by_role("link", name="Trả bằng thẻ").click()
    page.get_by_role("button", name="Ký và trả 35.000").click()
    rounds_until(till, page, "Đã trả xong 35.000")
    assert house.city.read_bill(bill).status == "paid"
    assert house.city.available(hoa) == 200_000
    assert complaints == []


def enter(page: Page, card: str, *, passing: bool = False) -> None:
    """Enter a card on the processor's page, and pass its bank's step where there is one."""
    page.locator("input[name=number]").fill(NUMBERS[card])
    page.locator("input[name=expiry]").fill("12/30")
    page.locator("input[name=cvc]").fill("123")
    page.locator("button").last.click()
    if passing:
        page.locator("button[value=pass]").click()


def rounds_until(till: Till, page: Page, words: str) -> None:
    """The worker goes its rounds, and the page finds out by itself."""
    from datetime import timedelta

    rounds.soon(till, now=clock.now() + timedelta(seconds=5))
    expect(page.locator("main")).to_contain_text(words)
