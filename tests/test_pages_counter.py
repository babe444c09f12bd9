"""The counter in a browser: the success sign and its sound come of a payment that was told, and of nothing else."""

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import pages
from tests.conftest import serve_live
from tests.counters import Counter, Stall
from tests.logs import Log
from tests.make import Signer
from tests.pages import House
from wallet.log.sealer import Sealer
from wallet.run.postgres import Cluster

pytestmark = pytest.mark.browser


@dataclass(slots=True)
class Shop:
    """A counter that is served, its stream, and the sealer in the test's own hands."""

    house: House
    stall: Stall
    counter: Counter
    owner: Signer
    live: "subprocess.Popen[bytes]"
    sealer: Sealer

    def pays(self, amount: int, **more: Any) -> str:
        """A customer pays, and the sealer gives the payment its place in the log."""
        entry = self.stall.paid(self.counter, amount, **more)
        self.sealer.seal()
        return str(entry)

    def opens(self, **options: Any) -> Page:
        """Open the counter in a fresh browser, and wait until it hears."""
        page = self.house.enters(self.owner, path=self.counter.path, **options)
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        return page


@pytest.fixture(scope="module")
def shop(
    template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Shop]:
    with pages.house(template, postgres, worker, tmp_path_factory.mktemp("counter"), browser) as house:
        owner = house.city.citizen("Trần Văn Chủ")
        stall = Stall(house.city)
        counter = stall.counter(owner=owner)
        log = Log(house.city.database)
        with serve_live(house.city.config) as live, log.sealing() as sealer:
            yield Shop(house, stall, counter, owner, live, sealer)
        stall.close()


@pytest.fixture(scope="module")
def page(shop: Shop) -> Page:
    return shop.opens()


@pytest.fixture
def till(shop: Shop, page: Page) -> Page:
    """The one page of these tests, opened anew."""
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    return page


@pytest.fixture
def till_of_its_own(shop: Shop) -> Iterator[Page]:
    """For a test that leaves the page useless to others."""
    opened = shop.opens()
    yield opened
    shop.live.send_signal(signal.SIGCONT)
    opened.context.close()


def spoken(page: Page) -> int:
    return int(page.locator("body").get_attribute("data-spoken") or 0)


def dong(amount: int) -> str:
    return f"{amount:,}".replace(",", ".") + "\u00a0₫"


def waits_for(shop: Shop, page: Page, amount: int) -> Any:
    """Have the counter show the code of an invoice: as after a reload, when it remembers the one it had made."""
    made = shop.stall.invoice(shop.counter, amount, by=shop.owner)
    page.evaluate(
        "([point, kept]) => sessionStorage.setItem(`counter-${point}`, JSON.stringify(kept))",
        [str(shop.counter.id), {"id": str(made), "amount": str(amount), "ends": 900_000}],
    )
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-view", "code")
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    return made


@pytest.mark.parametrize(
    ("amount", "how", "word", "more"),
    [
        (35_000, None, "ĐỦ", "Khách đã trả đủ."),
        (30_000, "under", "THIẾU", f"Còn thiếu {dong(5_000)} so với {dong(35_000)}."),
        (40_000, "over", "THỪA", f"Thừa {dong(5_000)} so với {dong(35_000)}."),
    ],
)
def test_what_was_asked_and_what_came_fill_the_screen_once(
    shop: Shop, till: Page, amount: int, how: str | None, word: str, more: str
) -> None:
    invoice = waits_for(shop, till, 35_000)
    expect(till.locator("#result-word")).to_be_hidden()
    shop.pays(amount, invoice=invoice, how=how)
    expect(till.locator("#result-word")).to_have_text(word)
    expect(till.locator("#result-amount")).to_have_text(dong(amount))
    expect(till.locator("#result-more")).to_have_text(more)
    expect(till.locator("#told")).to_contain_text(" nghìn đồng")
    assert len(till.locator("#result-tally").inner_text()) == 2
    assert spoken(till) == 1
    till.keyboard.press("Enter")  # "Xong" has the focus
    expect(till.locator("body")).to_have_attribute("data-view", "keypad")
    expect(till.locator(".taking").first).to_contain_text(word)


def test_the_words_are_played_clip_by_clip_and_again_on_demand(shop: Shop, till: Page) -> None:
    till.evaluate(
        "() => { const start = AudioBufferSourceNode.prototype.start;"
        " AudioBufferSourceNode.prototype.start = function (at) {"
        " (window.played ??= []).push([at, this.buffer.duration]);"
        " document.body.dataset.played = played.length; return start.call(this, at); }; }"
    )
    till.locator('[data-key="1"]').click()  # a touch lets sound begin
    expect(till.locator("body")).to_have_attribute("data-sound", "on")
    shop.pays(21_000)
    expect(till.locator("body")).to_have_attribute("data-played", "6")  # chuông, đã nhận, hai mươi, mốt, nghìn, đồng
    played = till.evaluate("played")
    assert all(after[0] >= before[0] + before[1] - 1e-6 for before, after in pairwise(played)), "one after the other"
    till.locator("#again").click()
    expect(till.locator("body")).to_have_attribute("data-played", "12")
    assert till.evaluate("played.slice(6).map(([, seconds]) => seconds)") == [seconds for _, seconds in played]


def test_offline_is_unconfirmed_and_never_a_success_and_what_was_missed_is_told_on_return(
    shop: Shop, till: Page
) -> None:
    invoice = waits_for(shop, till, 35_000)
    till.context.set_offline(True)
    expect(till.locator("#unconfirmed")).to_be_visible()
    expect(till.locator("#unconfirmed")).to_contain_text("CHƯA XÁC NHẬN")
    shop.pays(35_000, invoice=invoice)
    shop.pays(7_000)
    expect(till.locator("#state-words")).to_have_text("Chưa xác nhận")
    assert till.locator("#result-word").is_hidden()
    assert spoken(till) == 0
    till.context.set_offline(False)
    expect(till.locator("#result-word")).to_have_text("ĐỦ")
    expect(till.locator("#unconfirmed")).to_be_hidden()
    expect(till.locator(".taking")).not_to_have_count(1)
    assert spoken(till) == 1, "what was waited for is said; what came while nobody stood here is listed"


def test_a_success_sign_goes_when_the_connection_does(shop: Shop, till: Page) -> None:
    """A screen that stayed green could be shown to the next cashier, or pointed at by the next customer."""
    shop.pays(1_000)
    expect(till.locator("#result-word")).to_be_visible()
    till.context.set_offline(True)
    expect(till.locator("#result-word")).to_be_hidden()
    expect(till.locator("#unconfirmed")).to_be_visible()
    till.context.set_offline(False)
    expect(till.locator("body")).to_have_attribute("data-state", "live")
    assert till.locator("#result-word").is_hidden(), "it is not shown anew"
    assert spoken(till) == 1


def test_nothing_is_said_twice_however_often_it_is_told(shop: Shop, till: Page) -> None:
    shop.pays(2_000)
    expect(till.locator("#result-amount")).to_have_text(dong(2_000))
    till.locator("#done").click()
    till.context.set_offline(True)
    till.context.set_offline(False)  # the stream begins again where it was, and the list is asked for as well
    expect(till.locator("body")).to_have_attribute("data-state", "live")
    shop.pays(3_000)
    expect(till.locator("#result-amount")).to_have_text(dong(3_000))
    assert spoken(till) == 2
    till.reload()
    expect(till.locator("body")).to_have_attribute("data-state", "live")
    assert spoken(till) == 0
    assert till.locator("#result-word").is_hidden()


def test_without_beats_the_page_asks_and_without_answers_it_says_so(shop: Shop, till_of_its_own: Page) -> None:
    """The process of streams hangs; the service itself still answers. Then that falls silent as well."""
    page = till_of_its_own
    page.clock.install()
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    shop.live.send_signal(signal.SIGSTOP)
    page.clock.run_for(6_000)
    expect(page.locator("body")).to_have_attribute("data-state", "polling")
    shop.stall.paid(shop.counter, 4_000)
    page.clock.run_for(3_000)
    expect(page.locator("#result-amount")).to_have_text(dong(4_000))
    assert spoken(page) == 1
    page.route("**/thu", lambda route: route.abort())
    page.clock.run_for(10_000)
    expect(page.locator("body")).to_have_attribute("data-state", "unconfirmed")
    expect(page.locator("#unconfirmed")).to_be_visible()
    assert till.locator("#result-word").is_hidden()
    shop.live.send_signal(signal.SIGCONT)
    page.clock.run_for(3_000)
    shop.sealer.seal()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    assert spoken(page) == 1, "the stream tells it too, and it is known"


def test_an_ended_session_is_said_and_confirms_nothing(shop: Shop, till_of_its_own: Page) -> None:
    page = till_of_its_own
    page.context.clear_cookies()
    page.context.set_offline(True)
    page.context.set_offline(False)
    expect(page.locator("#unconfirmed-signed-out")).to_be_visible()
    expect(page.locator("#state-words")).to_have_text("Đã hết phiên")


def test_the_keypad_is_worked_by_keys_and_by_thumb(till: Page) -> None:
    for stroke in ("3", "5", "0", "0", "0", "0", "Backspace"):
        till.keyboard.press(stroke)
    expect(till.locator("#amount")).to_have_text(dong(35_000))
    till.keyboard.press("Escape")
    expect(till.locator("#ask")).to_be_disabled()
    for stroke in ("0", "4", "000", "back"):
        till.locator(f'[data-key="{stroke}"]').click()
    expect(till.locator("#amount")).to_have_text(dong(400))
    expect(till.locator("#no-key")).to_be_visible()
    till.keyboard.press("Enter")
    expect(till.locator("#problem")).to_be_visible()
