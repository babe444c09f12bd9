"""The check of a receipt in the browser: the same codes as the offline verifier, line by line, and nothing sent anywhere."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import memory_log, pages, test_log_evidence
from tests.conftest import free_port
from tests.make import City, Signer
from tests.memory_log import MemoryLog
from tests.pages import House
from tests.test_log_evidence import KEYS, SPOILT, Maker, bill_payment
from wallet.crypto import PrivateKey
from wallet.log import claims, evidence
from wallet.log.checkpoint import LogKeys

pytestmark = pytest.mark.browser

ASK = """async ([some, keys]) => {
    const { verify } = await import("/static/js/evidence.js");
    const told = [];
    for (const text of some) {
        const holds = [];
        const said = await verify(new TextEncoder().encode(text), keys, (code) => holds.push(code)).catch(String);
        told.push([said.code ?? said, said.proved ?? null, holds]);
    }
    return told;
}"""


@dataclass
class Here:
    house: House
    log: MemoryLog
    hoa: Signer
    order: str
    page: Page

    def receipt(self) -> dict[str, Any]:
        said: dict[str, Any] = self.hoa.get(f"/v1/orders/{self.order}/receipt").json()
        return said

    def asked(self, some: list[dict[str, Any]], keys: LogKeys = KEYS) -> list[Any]:
        """What the page's own module says of these."""
        told: list[Any] = self.page.evaluate(ASK, [[json.dumps(one) for one in some], str(keys)])
        return told

    def choose(self, folder: Path, said: Any) -> Page:
        """Choose a file on the page, as a person does."""
        file = folder / "bang-chung.json"
        file.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
        self.page.goto("/xac-minh")
        expect(self.page.locator("body")).to_have_attribute("data-check", "ready")
        self.page.locator("#file").set_input_files(file)
        return self.page


@pytest.fixture(scope="module")
def here(database, browser) -> Iterator[Here]:
    port = free_port()
    with City(database, origin=f"http://localhost:{port}") as city, pages.house_here(city, browser, port) as house:
        assert city.app is not None
        log = MemoryLog.of(f"localhost:{port}/log")
        memory_log.give(city.app, log)
        hoa = city.citizen("Nguyễn Thị Hồng Hoa", available=900_000)
        bills = [city.bill(debtor=hoa, amounts=[1_250_000, 5_000][1:]), city.bill(debtor=hoa, amounts=[20_000])]
        paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[one.seen for one in bills])
        assert paid.status == 201, paid.body
        log.seal(city.engine)
        page = house.context().new_page()
        page.goto("/xac-minh")
        yield Here(house, log, hoa, paid.json()["order"], page)


# -- the module -------------------------------------------------------------------------------------------------------


def test_the_browser_names_what_is_spoilt_by_the_same_codes(here: Here) -> None:
    """Every spoilt receipt that the offline verifier's tests have."""
    told = here.asked([spoil(Maker()) for _, _, spoil in SPOILT])
    differ = [
        (name, claim.code, code)
        for (claim, name, _), (code, _, _) in zip(SPOILT, told, strict=True)
        if code != claim.code
    ]
    assert differ == []


def test_the_browser_tells_the_same_claims_in_the_same_order(here: Here) -> None:
    ed25519 = PrivateKey.generate_ed25519()
    some = [
        Maker().receipt(),
        bill_payment().receipt(),
        Maker(ed25519).receipt(),
        Maker().statement(),
        Maker().statement("refusal"),
    ]
    for said, (code, proved, holds) in zip(some, here.asked(some), strict=True):
        report = evidence.verify(json.dumps(said).encode(), KEYS)
        assert (code, proved) == ("", report.status == claims.PROVED)
        assert holds == [one.claim.code for one in report.checked]


def test_the_browser_judges_entries_as_the_offline_verifier_does(here: Here) -> None:
    some = []
    for change in (
        test_log_evidence.amount_in_the_leaf, test_log_evidence.payee_in_the_leaf, test_log_evidence.payer_in_the_leaf,
        test_log_evidence.posting_more, test_log_evidence.posting_less, test_log_evidence.entry_of_another_kind,
        test_log_evidence.entry_that_undoes, test_log_evidence.entry_twice, test_log_evidence.no_entry,
        test_log_evidence.money_moved_by_an_order_that_moves_none,
    ):  # fmt: skip
        made = Maker()
        change(made)
        some.append(made.receipt())
    for own in ({"amount": "24000"}, {"amount": "+25000"}, {"version": "2"}):
        paid = bill_payment()
        paid.order["bills"][0] |= own
        some.append(paid.receipt())
    assert {code for code, _, _ in here.asked(some)} == {claims.ENTRY.code}


def test_the_browser_reads_rotated_keys(here: Here) -> None:
    keys, _ = test_log_evidence.rotated()
    other = Maker()
    other.order["memo"] = "khác"
    told = here.asked([Maker().receipt(), bill_payment().receipt(), other.receipt()], keys)
    assert [code for code, _, _ in told] == ["", claims.IN_FORCE.code, claims.ROOT.code]


def test_real_receipts_of_every_kind_prove_in_the_browser(here: Here) -> None:
    city, hoa, binh = here.house.city, here.hoa, here.house.city.citizen("Trần Văn Bình")
    orders = [here.order, city.send(hoa, binh, 5_000).json()["order"]]
    hold = city.hold(hoa, binh, 900)
    captured = city.capture(binh, hold, 100).json()["order"]
    orders += [city.move(hoa, kind).json()["order"] for kind in ("freeze", "thaw")]
    here.log.seal(city.engine)
    some = [hoa.get(f"/v1/orders/{order}/receipt").json() for order in orders]
    some.append(binh.get(f"/v1/orders/{captured}/receipt").json())
    assert [(code, proved) for code, proved, _ in here.asked(some, here.log.keys())] == [("", True)] * len(some)


# -- the page ---------------------------------------------------------------------------------------------------------


def test_a_visitor_checks_a_receipt_and_nothing_leaves_the_browser(here: Here, tmp_path: Path) -> None:
    sent: list[str] = []
    page = here.choose(tmp_path, here.receipt())
    page.on("request", lambda asked: sent.append(asked.url))
    expect(page.locator("#verdict-title")).to_contain_text("ĐÚNG")
    expect(page.locator("#verdict")).to_have_class("note note-ok")
    page.locator("#checked-more summary").click()
    assert page.locator("#checked li.good").count() > 20
    assert page.locator("#checked li.false").count() == 0
    expect(page.locator("#checked li").nth(9)).to_contain_text("Chữ ký của người ra lệnh khớp với khoá công khai")
    page.locator("#file").set_input_files(tmp_path / "bang-chung.json")
    expect(page.locator("body")).to_have_attribute("data-verified", "receipt")
    assert sent == []


def test_a_false_receipt_is_shown_with_its_code_and_the_claim_that_fails(here: Here, tmp_path: Path) -> None:
    said = here.receipt()
    said["order"]["bytes"] = said["order"]["bytes"].replace('"amount":"20000"', '"amount":"2000"')
    page = here.choose(tmp_path, said)
    expect(page.locator("#verdict-title")).to_contain_text(claims.BODY.vi)
    expect(page.locator("#verdict-detail")).to_have_text("Mã: signature_body_differs")
    expect(page.locator("#checked li.false")).to_be_visible()


def test_an_acknowledgement_is_called_a_promise_and_no_proof(here: Here, tmp_path: Path) -> None:
    order = here.house.city.send(here.hoa, here.house.city.citizen("Lê Thị Cúc"), 7).json()["order"]
    page = here.choose(tmp_path, here.hoa.get(f"/v1/orders/{order}/receipt").json())
    expect(page.locator("#verdict-title")).to_contain_text("CHỈ LÀ LỜI HỨA")
    expect(page.locator("#verdict")).to_have_class("note note-warn")


def test_keys_from_elsewhere_are_what_counts(here: Here, tmp_path: Path) -> None:
    page = here.choose(tmp_path, here.receipt())
    expect(page.locator("body")).to_have_attribute("data-verified", "receipt")
    page.locator("#keys-more summary").click()
    stranger = MemoryLog.of(here.log.keys().origin)
    for keys, outcome in (
        (str(stranger.keys()), claims.SIGNED.code),
        ("nothing", "unable"),
        (str(here.log.keys()), "receipt"),
    ):
        page.locator("#keys").fill(keys)
        page.locator("#keys").blur()
        expect(page.locator("body")).to_have_attribute("data-verified", outcome)


def test_a_browser_without_ed25519_says_so_and_gives_no_verdict(here: Here, tmp_path: Path) -> None:
    context = here.house.context()
    context.add_init_script("""
        const real = crypto.subtle.importKey.bind(crypto.subtle);
        crypto.subtle.importKey = (form, key, how, ...more) => (how?.name ?? how) === "Ed25519"
            ? Promise.reject(new DOMException("no", "NotSupportedError")) : real(form, key, how, ...more);
    """)
    lone = Here(here.house, here.log, here.hoa, here.order, context.new_page())
    page = lone.choose(tmp_path, here.receipt())
    expect(page.locator("#verdict-title")).to_contain_text("chưa kiểm được chữ ký Ed25519")
    expect(page.locator("body")).to_have_attribute("data-verified", "unable")


def test_what_is_in_a_file_is_never_markup(here: Here, tmp_path: Path) -> None:
    """Row 25."""
    maker = Maker()
    maker.order["memo"] = maker.order["id"] = "<img src=x onerror=alert(1)>"
    page = here.choose(tmp_path, maker.receipt())
    expect(page.locator("#verdict")).to_be_visible()
    assert page.locator("#checked img").count() == 0
    page = here.choose(tmp_path, "<script>alert(1)</script>")
    expect(page.locator("#verdict-detail")).to_have_text("Mã: receipt_unreadable")


def test_the_code_on_the_confirmation_leads_a_stranger_to_its_public_page(here: Here) -> None:
    mine = here.house.enters(here.hoa, path=f"/xac-nhan/{here.order}")
    shown = mine.locator(".receipt-check .code").inner_text()
    here.page.goto(f"http://{shown}")
    expect(here.page.locator("h1")).to_have_text("Xác nhận thanh toán")
    expect(here.page.locator("#total")).to_have_text("25.000\u00a0₫")
    assert "Hoa" not in here.page.locator("main").inner_text()
    mine.locator("#make-link").click()
    link = mine.locator("#link").inner_text()
    here.page.goto(link)
    expect(here.page.locator("#payer")).to_have_text("Nguyễn Thị Hồng Hoa")
    mine.locator("#end-link").click()
    expect(mine.locator("#make-link")).to_be_visible()
    answer = here.page.goto(link)
    assert answer is not None
    assert answer.status == 404
