"""What every page promises: it fits, it can be touched, read and heard, it is small, and it speaks to nobody else.

Each page is visited once, without a cache, and measured in every way; the tests read the measures.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Page, expect

from market import refunds, stickers
from market.by_card import InvoiceTarget
from market.catalog import takedowns
from market.catalog.takedowns import ReportOrder
from tests import databases, pages, selling
from tests.conftest import free_port
from tests.make import STATION, City, Signer
from tests.pages import House
from tests.pretend import Pretend
from tests.stalls import Stall, acts
from wallet import canonical, clock, confirmations, db, payees, periods
from wallet.cards import asking, disputes, linked, quarantine, rounds
from wallet.cards.bills import BillTarget
from wallet.cards.till import Target, Till
from wallet.confirmations import LinkOrder
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.money import Dong
from wallet.payees import CodeOrder
from wallet.periods import CloseOrder

pytestmark = pytest.mark.browser

LATE_MS = 150
"""For what a page asks for after it has loaded: more than any of ours takes to begin."""

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
SIZES = {"360×640": (360, 640), "390×844": (390, 844), "1280×800": (1280, 800)}
PAGE_BYTES_MAX = 150_000
TARGET_PX = 48
REASON = "Lập nhầm hồ sơ"
MEMO = "Tiền điện và nước tháng mười một của cả nhà, cùng với phần của bác Hai"

# Wider than the window, although nothing in it scrolls by itself: what sticks out is named.
OVERFLOW = """() => {
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= wide) return [];
    return [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > wide + 1
        && !one.closest(".table-wrap")).slice(0, 5).map((one) => one.outerHTML.slice(0, 120)).concat("scrolls");
}"""

# Controls, not links that stand in a sentence. A box with a label is touched by its label.
SMALL_TARGETS = """(least) => {
    const box = (one) => {
        const own = one.getBoundingClientRect();
        const label = one.matches("input[type=checkbox], input[type=radio]") && one.closest("label");
        return label ? label.getBoundingClientRect() : own;
    };
    const inText = (one) => one.matches("a") && getComputedStyle(one).display === "inline"
        && one.parentElement.matches("p, dd, li, span, small, strong, td, th, h1, h2, h3, code");
    return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
        .filter((one) => one.checkVisibility() && !one.closest(".skip, .sr") && !one.matches(".skip, .sr") && !inText(one))
        .filter((one) => { const { width, height } = box(one); return Math.max(width, height) && height < least - 0.5; })
        .map((one) => { const { width, height } = box(one);
            return `${Math.round(width)}×${Math.round(height)} ${one.outerHTML.slice(0, 110)}`; });
}"""

VIETNAMESE = re.compile(r"\S*[ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ]\S*", re.IGNORECASE)


class OwnWords(HTMLParser):
    """Collect a page's words outside of what agencies and people wrote, which stays Vietnamese in every language."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "circle", "rect", "hr", "img"})
    SILENT = frozenset({"script", "style", "code"})

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.silent: list[bool] = [False]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        silent = self.silent[-1] or tag in self.SILENT or named.get("lang") == "vi"
        if not silent:
            self.texts += [named[name] or "" for name in ("aria-label", "placeholder", "title", "alt") if name in named]
        if tag not in self.VOID:
            self.silent.append(silent)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and len(self.silent) > 1:
            self.silent.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent[-1]:
            self.texts.append(data)


PAGES: dict[str, tuple[str, str]] = {
    "welcome": ("nobody", "/"),
    "open: phone": ("nobody", "/mo-vi"),
    "open: code": ("opening", "/mo-vi/ma"),
    "open: PIN": ("opened", "/mo-vi/pin"),
    "sign in": ("nobody", "/dang-nhap"),
    "API": ("nobody", "/docs"),
    "problem": ("nobody", "/khong-co-trang-nay"),
    "home": ("citizen", "/"),
    "home, empty": ("newcomer", "/"),
    "home, frozen": ("frozen", "/"),
    "bill, due": ("citizen", "/khoan-nop/{due}"),
    "bill, overdue": ("citizen", "/khoan-nop/{overdue}"),
    "bill, expired": ("citizen", "/khoan-nop/{expired}"),
    "bill, paid": ("citizen", "/khoan-nop/{paid}"),
    "bill, refunded": ("frozen", "/khoan-nop/{refunded}"),
    "bill, waived": ("citizen", "/khoan-nop/{waived}"),
    "bill, cancelled": ("citizen", "/khoan-nop/{cancelled}"),
    "bill, superseded": ("citizen", "/khoan-nop/{superseded}"),
    "bill, of nobody": ("citizen", "/khoan-nop/{nothing}"),
    "confirm sheet": ("citizen", "/thanh-toan?b={due}&b={station}"),
    "confirm sheet, short": ("newcomer", "/thanh-toan?b={large}"),
    "confirm sheet, paid": ("citizen", "/thanh-toan?b={paid}"),
    "confirmation": ("citizen", "/xac-nhan/{order}"),
    "confirmation, refunded": ("frozen", "/xac-nhan/{refunded_order}"),
    "confirmation, refused": ("citizen", "/xac-nhan/{refused}"),
    "confirmation, unknown": ("citizen", "/xac-nhan/{nothing}"),
    "check": ("nobody", "/xac-minh"),
    "check, mistyped": ("nobody", "/xac-minh?so=khong+phai"),
    "check, paid": ("nobody", "/xac-minh/{number}"),
    "check, refunded, by link": ("nobody", "/xac-minh/{refunded_number}/{token}"),
    "check, transfer": ("nobody", "/xac-minh/{sent_number}"),
    "history": ("citizen", "/lich-su"),
    "history, empty": ("newcomer", "/lich-su"),
    "history, refunded": ("frozen", "/lich-su"),
    "pay for another": ("citizen", "/nop-thay"),
    "send": ("citizen", "/chuyen-tien"),
    "send, to somebody": ("citizen", "/chuyen-tien?payee={payee}&amount=9876543210&memo={memo}"),
    "send, nothing there": ("newcomer", "/chuyen-tien?payee={nothing}"),
    "send, sheet": ("citizen", "/chuyen-tien/xac-nhan?payee={payee}&amount=1234567890&memo={memo}"),
    "send, sheet without a key": ("payee", "/chuyen-tien/xac-nhan?payee={citizen}&amount=5000"),
    "send, short": ("citizen", "/chuyen-tien/xac-nhan?payee={payee}&amount=99999999999"),
    "transfer confirmation": ("citizen", "/xac-nhan/{sent}"),
    "receive": ("citizen", "/nhan-tien"),
    "receive, no code yet": ("newcomer", "/nhan-tien"),
    "selling": ("seller", "/ban-hang"),
    "selling, nothing yet": ("newcomer", "/ban-hang"),
    "selling, apply": ("newcomer", "/ban-hang/dang-ky"),
    "selling, merchant": ("seller", "/ban-hang/diem/{shop}"),
    "selling, returned": ("newcomer", "/ban-hang/diem/{returned}"),
    "selling, place": ("seller", "/ban-hang/diem/{shop}/noi-ban?l={place}"),
    "selling, invoices": ("seller", "/ban-hang/diem/{shop}/yeu-cau"),
    "selling, payments": ("seller", "/ban-hang/diem/{shop}/khoan-thu"),
    "selling, refund": ("seller", "/ban-hang/diem/{shop}/hoan/{sold}"),
    "selling, refunds": ("seller", "/ban-hang/diem/{shop}/hoan"),
    "scan": ("citizen", "/quet"),
    "scan, amount": ("citizen", "/quet/diem/{serial}"),
    "scan, sheet": ("citizen", "/quet/xac-nhan?diem={serial}&so-tien=1234567890"),
    "scan, sheet of an invoice": ("citizen", "/quet/xac-nhan?hoa-don={asked}"),
    "scan, confirmation": ("citizen", "/xac-nhan/{bought}"),
    "one-time code": ("citizen", "/ma-thanh-toan"),
    "one-time code, charge": ("seller", "/ban-hang/quay/{till}/ma-khach"),
    "market": ("nobody", "/cho"),
    "market, found": ("citizen", "/cho?q=me+xung&mo=1"),
    "market, near": ("nobody", "/cho?q=me+sugn"),
    "market, nothing": ("nobody", "/cho?q=zzzz"),
    "market, stall": ("nobody", "/cho/gian/{shop}"),
    "market, product": ("citizen", "/cho/san-pham/{product}"),
    "selling, products": ("seller", "/ban-hang/san-pham?gian={shop}"),
    "selling, product": ("seller", "/ban-hang/san-pham/{product}"),
    "selling, new product": ("seller", "/ban-hang/san-pham/moi?gian={shop}"),
    "selling, spreadsheet": ("seller", "/ban-hang/nhap?gian={shop}"),
    "selling, refund to sign": ("seller", "/ban-hang/diem/{shop}/hoan/ky/{prepared}"),
    "selling, machines": ("seller", "/ban-hang/diem/{shop}/may"),
    "sticker": ("nobody", "/q/{serial}"),
    "sticker, genuine": ("nobody", "{checked}"),
    "merchants": ("operator", "/van-hanh/diem-ban?trang-thai=approved"),
    "merchant, application": ("operator", "/van-hanh/diem-ban/{applied}"),
    "cards": ("citizen", "/the"),
    "cards, none": ("newcomer", "/the"),
    "card, being linked": ("citizen", "/the/lien-ket/{linking}"),
    "top up": ("citizen", "/nap-tien"),
    "top up, sheet": ("citizen", "/nap-tien/xac-nhan?amount=1234567"),
    "bill by card, sheet": ("citizen", "/thanh-toan-the?b={due}"),
    "invoice by card, sheet": ("citizen", "/thanh-toan-the?cho=invoice&b={to_pay}"),
    "card payment, to confirm": ("citizen", "/the/lenh/{begun}"),
    "card payment, in doubt": ("citizen", "/the/lenh/{doubtful}"),
    "card payment, failed": ("citizen", "/the/lenh/{declined}"),
    "card payment, paid": ("citizen", "/the/lenh/{topped}"),
    "card payment, of an invoice": ("citizen", "/the/lenh/{bought_by_card}"),
    "operator, cards": ("operator", "/van-hanh/the"),
    "operator, tie-out of cards": ("operator", "/van-hanh/the/doi-soat"),
    "devices": ("citizen", "/thiet-bi"),
    "devices, frozen": ("frozen", "/thiet-bi"),
    "devices, none": ("newcomer", "/thiet-bi"),
    "devices, code": ("newcomer", "/thiet-bi?ma=1"),
    "desk": ("officer", "/quay"),
    "desk, found": ("officer", "/quay?q=000.00"),
    "desk, nothing found": ("officer", "/quay?q=zzzz"),
    "desk, issue": ("officer", "/quay/lap"),
    "desk, issue lines": ("officer", "/quay/lap?procedure={procedure}"),
    "desk, replace": ("officer", "/quay/lap?supersedes={due}"),
    "desk, bill": ("officer", "/quay/khoan/{due}"),
    "desk, paid bill": ("officer", "/quay/khoan/{paid}"),
    "desk, refunded bill": ("officer", "/quay/khoan/{refunded}"),
    "desk, today": ("officer", "/quay/hom-nay"),
    "desk, a day without takings": ("officer", "/quay/hom-nay?ngay=2020-01-02"),
    "audit, balance": ("auditor", "/kiem-toan"),
    "audit, balance then": ("auditor", "/kiem-toan?day={closed}&by=posted"),
    "audit, balance at no instant": ("auditor", "/kiem-toan?day=2999-01-01"),
    "audit, periods": ("auditor", "/kiem-toan/ky"),
    "audit, no periods": ("auditor", "/kiem-toan/ky?truoc=2020-01-02"),
    "audit, events": ("auditor", "/kiem-toan/su-kien"),
    "audit, look-up": ("auditor", "/kiem-toan/tra-cuu?ma=agency"),
    "audit, look-up, found": ("auditor", "/kiem-toan/tra-cuu?q={payment_entry}"),
    "audit, look-up, nothing": ("auditor", "/kiem-toan/tra-cuu?q={nothing}"),
    "audit, account": ("auditor", "/kiem-toan/tai-khoan/{citizen}"),
    "audit, entry": ("auditor", "/kiem-toan/but-toan/{payment_entry}"),
    "audit, no entry": ("auditor", "/kiem-toan/but-toan/{nothing}"),
    "audit, a name": ("auditor", "/kiem-toan/hien-ten?holder={citizen_holder}&ve=/kiem-toan/tra-cuu"),
    "audit, safeguarding": ("auditor", "/kiem-toan/bao-dam"),
    "audit, budget": ("auditor", "/kiem-toan/ngan-sach?theo=dia_ban"),
    "audit, sample": ("auditor", "/kiem-toan/mau?hat=2026"),
    "audit, sample of days to come": ("auditor", "/kiem-toan/mau?hat=2026&den=2099-01-01"),
    "audit, exceptions": ("auditor", "/kiem-toan/ngoai-le?ds=large"),
    "audit, no exceptions": ("auditor", "/kiem-toan/ngoai-le?ds=night&tu=2020-01-02&den=2020-01-03"),
    "audit, exports": ("auditor", "/kiem-toan/xuat"),
    "operator, balance": ("operator", "/van-hanh"),
    "operator, periods": ("operator", "/van-hanh/ky"),
    "operator, close a day": ("operator", "/van-hanh/ky/khoa?period=day&starts={closable}"),
    "operator, close a closed day": ("operator", "/van-hanh/ky/khoa?period=day&starts={closed}"),
    "operator, events": ("operator", "/van-hanh/su-kien"),
    "operator, limits": ("operator", "/van-hanh/quy-tac"),
    "operator, freeze": ("operator", "/van-hanh/khoa-vi"),
    "operator, recovery": ("operator", "/van-hanh/khoi-phuc"),
    "operator, reported products": ("operator", "/van-hanh/san-pham?q=me+xung"),
    "operator, product": ("operator", "/van-hanh/san-pham/{product}"),
    "not admitted": ("auditor", "/quay"),
}
COMPILING = {"scan", "one-time code, charge"}
"""The pages that read codes, with WebAssembly where the browser reads none. They sign nothing."""

EXPECTED_STATUS = {
    "problem": 404,
    "check, mistyped": 404,
    "bill, of nobody": 404,
    "not admitted": 403,
    "audit, balance at no instant": 400,
    "audit, no entry": 404,
    "audit, sample of days to come": 400,
}


@dataclass(slots=True, kw_only=True)
class Furnished:
    """A house with somebody of each kind in it, each in a browser of their own, and bills in every state."""

    house: House
    people: dict[str, Signer]
    rooms: dict[str, Page]
    named: dict[str, str]

    def path(self, name: str) -> str:
        return PAGES[name][1].format(**self.named)


@dataclass(slots=True, kw_only=True)
class Visit:
    """What a visit to a page measured."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    badge: bool = False
    bytes: int = 0
    said: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    overflow: dict[str, list[str]] = field(default_factory=dict)
    small: dict[str, list[str]] = field(default_factory=dict)
    axe: list[str] = field(default_factory=list)
    words: str = ""


@pytest.fixture(scope="module")
def furnished(template, postgres, worker, tmp_path_factory, browser) -> Iterator[Furnished]:
    """Served from this process, so that its till can be a pretended one."""
    port, folder = free_port(), tmp_path_factory.mktemp("design")
    with (
        databases.copy_of(template, f"{worker}_design", server=postgres, folder=folder) as database,
        City(database, origin=f"http://localhost:{port}") as city,
        pages.house_here(city, browser, port) as house,
    ):
        yield furnish(house)


def furnish(house: House) -> Furnished:
    city = house.city
    long_name = "Công Tằng Tôn Nữ Hoàng Thị Phương Nguyên"
    people = {
        "citizen": city.citizen(long_name, available=9_876_543_210),
        "newcomer": city.citizen("Lê Văn Bình"),
        "frozen": city.citizen("Hồ Thị Mai", available=2_500_000),
        "officer": city.officer(),
        "auditor": house.staff(Role.AUDITOR, "Hoàng Thị Kiểm"),
        "operator": house.staff(Role.OPERATOR, "Vũ Minh Tâm"),
    }
    hoa, now = people["citizen"], clock.now()
    today = clock.day_of(now)
    old = now - timedelta(days=40)
    due = city.bill(debtor=hoa, amounts=[1_250_000, 5_000])
    bills = {
        "due": due,
        "station": city.bill(debtor=hoa, amounts=[110_000], agency=STATION),
        "overdue": city.bill(debtor=hoa, issued=old, due=today - timedelta(days=9)),
        "expired": city.bill(debtor=hoa, issued=old, due=today - timedelta(days=9), expires=today - timedelta(days=2)),
        "paid": city.bill(debtor=hoa, amounts=[97_531_000]),
        "other": city.bill(debtor=hoa, agency=STATION),
        "refunded": city.bill(debtor=people["frozen"], amounts=[1_250_000, 0, 5_000]),
        "waived": city.bill(debtor=hoa, amounts=[0]),
        "cancelled": city.bill(debtor=hoa),
        "superseded": city.bill(debtor=hoa),
        "large": city.bill(debtor=people["newcomer"], amounts=[7_000_000]),
    }
    city.bill(debtor=hoa, amounts=[30_000], supersedes=bills["superseded"].id)
    cancelled = bills["cancelled"].id
    people["officer"].act(f"/v1/bills/{cancelled}/cancel", "bill_cancel", bill=str(cancelled), reason=REASON)
    payment = [bills["paid"].seen, bills["other"].seen]
    paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=payment)
    assert paid.status == 201, paid.body
    refused = str(uuid4())
    order = canonical.loads(hoa.order("bill_payment", payer=hoa.account, bills=payment)) | {"id": refused}
    again = hoa.send("POST", "/v1/bill-payments", canonical.dumps(order))
    assert again.status == 409, again.body
    frozen = people["frozen"]
    later = frozen.act("/v1/bill-payments", "bill_payment", payer=frozen.account, bills=[bills["refunded"].seen])
    back = [{"line": "1", "amount": "1000000"}, {"line": "2", "amount": "5000"}]
    assert later.status == 201, later.body
    entry = later.json()["bills"][0]["entry"]
    given = city.machine().act("/v1/refunds", "refund", entry=entry, lines=back, reason=REASON)
    assert given.status == 201, given.body
    done = frozen.act(f"/v1/accounts/{frozen.account}/freeze", "account_freeze", account=frozen.account)
    assert done.status == 200, done.body
    closing = CloseOrder(id=OrderId(uuid4()), kind="day", starts=today - timedelta(days=3))
    city.officer_order(
        HolderId(UUID(people["operator"].holder)),
        "period_close",
        lambda unit, claim: periods.close(unit, claim, closing, now=now),
    )
    payee = city.citizen("Nguyễn Phước Vĩnh Hoàng Bảo Long", available=9_000)
    people["payee"] = payee
    sent = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=payee.account, amount="1234567", memo=MEMO)
    assert sent.status == 201, sent.body
    code = CodeOrder(id=OrderId(uuid4()))
    city.officer_order(
        HolderId(UUID(hoa.holder)), "payee_code_make", lambda unit, claim: payees.renew(unit, claim, code, now=now)
    )
    procedure = max(city.city.procedures_of("H57.40"), key=lambda one: len(one.items))
    named = {name: str(bill.id) for name, bill in bills.items()}
    named |= {"payee": payee.account, "citizen": hoa.account, "memo": MEMO, "sent": sent.json()["order"]}
    named |= {"refunded_order": later.json()["order"], "closed": closing.starts.isoformat()}
    named |= {"closable": (closing.starts + timedelta(days=1)).isoformat()}
    named |= {"payment_entry": paid.json()["bills"][0]["entry"], "citizen_holder": hoa.holder}
    named |= {"order": paid.json()["order"], "refused": refused, "nothing": str(uuid4()), "procedure": procedure.code}
    named |= numbers(city, frozen, later.json()["order"])
    named |= {"number": number(city, hoa, paid.json()["order"]), "sent_number": number(city, hoa, sent.json()["order"])}
    people["seller"], sold = selling_of(city, people["newcomer"], hoa)
    named |= sold | cards_of(city, hoa, invoice=sold["to_buy"])
    rooms = {
        name: house.context(reduced_motion="reduce").new_page() for name in (*people, "nobody", "opening", "opened")
    }
    for room in rooms.values():
        room.add_init_script(
            "window.setInterval = () => 0;"
        )  # a page that loads itself anew is gone while it is measured
    for name, signer in people.items():
        house.sign_in(rooms[name].context, signer)
    house.enrol(rooms["citizen"], hoa)
    for name in ("opening", "opened"):
        page, phone = rooms[name], city.phone()
        page.goto("/mo-vi")
        page.locator("#f-phone").fill(phone)
        page.locator("main form button").click()
        page.wait_for_url("**/mo-vi/ma")
        if name == "opened":
            page.locator("#f-code").fill(house.code_for(phone))
            page.locator("main form button").click()
            page.wait_for_url("**/mo-vi/pin")
    return Furnished(house=house, people=people, rooms=rooms, named=named)


def goods_of(city: City, shop: selling.Shop, reporter: Signer) -> UUID:
    """Products with everything that may be long, one of them reported; its id."""
    stall = Stall(city=city, holder=HolderId(shop.merchant), code=shop.code, name=shop.name, owner=shop.owner)
    long = "Mè xửng dẻo đậu phộng nguyên hạt gói giấy dầu loại đặc biệt hộp quà mang đi xa 1 kg"
    product = stall.offers(long, price=1_250_000, unit="portion", description=f"{MEMO}. {MEMO}.", gtin="4006381333931")
    stall.sells_out(stall.offers("Mè xửng"))
    order = ReportOrder(id=OrderId(uuid4()), product=product, cause="misleading", note=MEMO)
    acts(city, reporter, "product_report", takedowns.report, order)
    return product


def selling_of(city: City, newcomer: Signer, payer: Signer) -> tuple[Signer, dict[str, str]]:
    """A shop with something of everything, its owner, and another's application that was returned."""
    shop = selling.shop(city, "Mè xửng, kẹo cau và đặc sản Huế Cầu Gia Hội")
    for _ in range(2):
        shop.asks(1_234_567, memo=MEMO)
    shop.pay(payer, shop.asks(9_876_543))
    bought = shop.pay(payer, shop.asks(19_000)).json()
    assert shop.refund(bought["entry"], 4_000).status == 201
    kiosk = shop.issue_point("Quầy ngoài chợ Đông Ba, lầu chuông, sạp 112")
    shop.asks(45_000, point=kiosk)
    shop.pay_sticker(payer, 54_000, point=kiosk)
    shop.asks(45_000, point=kiosk)
    sold = shop.pay_sticker(payer, 40_000, point=kiosk).json()["entry"]
    shop.pay_sticker(payer, 7_000_000, point=shop.issue_point())
    order = refunds.RequestOrder(id=OrderId(uuid4()), entry=sold, amount=Dong(5_000), reason=REASON, pin=False)
    ask = shop.act("refund_request", lambda unit, claim: refunds.ask(unit, claim, order, now=clock.now()))
    applied = selling.apply(city, newcomer, "Quán cơm chay Diệu Đế")
    selling.judge(city, city.person("Trương Quốc Bảo", Role.OPERATOR), applied.merchant, "returned", REASON)
    address = stickers.address(shop.point, origin="", secret=city.config.server_secret)
    return shop.owner, {
        "shop": shop.code,
        "product": str(goods_of(city, shop, payer)),
        "place": str(shop.location),
        "sold": sold,
        "prepared": str(ask.request),
        "serial": shop.point.serial,
        "checked": address,
        "returned": applied.code,
        "applied": str(applied.merchant),
        "asked": shop.invoice(35_000, memo=MEMO).json()["number"],
        "to_pay": shop.asks(46_000, memo=MEMO),
        "to_buy": shop.asks(46_000, memo=MEMO),
        "bought": bought["order"],
        "till": str(kiosk),
    }


def cards_of(city: City, hoa: Signer, *, invoice: str) -> dict[str, str]:
    """A till, a linked card and one on its way, payments in every state, a chargeback, and what an operator must look at."""
    known, acquirer, now = city.service.extensions["wallet"], Pretend(), clock.now()
    targets: dict[str, Target] = {"bill": BillTarget(), "invoice": InvoiceTarget()}
    till = Till(database=known.app, acquirer=acquirer, origin=known.config.public_origin, targets=targets)
    city.service.extensions["wallet"] = replace(known, till=till)
    holder = HolderId(UUID(hoa.holder))
    made = linked.begin(till, holder, locale="vi", now=now)
    acquirer.link(made)
    linked.ask(till, made.id, now=now)
    told: dict[str, str] = {"linking": str(linked.begin(till, holder, locale="vi", now=now).id)}

    def order(name: str, amount: int, fault: str = "", **of: str) -> UUID:
        acquirer.faults += [fault] if fault else []
        said = {"amount": str(amount), "card": ""} | (of or {"payee": hoa.account})
        kind, path = ("card_payment", "/v1/card-payments") if of else ("card_topup", "/v1/topups")
        begun = hoa.act(path, kind, **said)
        assert begun.status == 201, begun.body
        told[name] = begun.json()["order"]
        return UUID(begun.json()["payment"])

    def paid(payment: UUID) -> None:
        acquirer.pay(payment)
        asking.inquire(till, payment, cause="notice", now=now)

    order("begun", 1_234_567)
    order("doubtful", 50_000, fault="lost")
    declined = order("declined", 75_000)
    acquirer.decline(declined)
    asking.inquire(till, declined, cause="notice", now=now)
    topped = order("topped", 9_876_543)
    paid(topped)
    paid(order("bought_by_card", 46_000, purpose="invoice", target=invoice))
    disputes.record(till, acquirer.deny(topped), cause="notice", now=now)
    twice = city.bill(debtor=hoa, amounts=[20_000])
    for payment in [order("twice", 20_000, purpose="bill", target=str(twice.id)) for _ in range(2)]:
        paid(payment)
    acquirer.faults.append("rejected")
    rounds.soon(till, now=now)
    said = {"amount": "1234567", "currency": "vnd", "state": "succeeded"}
    strange = partial(quarantine.put, said=said, now=now, about="payment", subject="pi_3QxJ9kLkdIwHu7ix1aBcDeFg")
    db.unit(known.app, lambda unit: strange(unit, "stripe", "unknown"))
    return told


def number(city: City, signer: Signer, order: str) -> str:
    with city.engine.connect() as connection:
        found = confirmations.authority_of(connection, signer=HolderId(UUID(signer.holder)), order=UUID(order))
    assert found is not None
    return confirmations.number(found).replace("-", "")


def numbers(city: City, signer: Signer, order: str) -> dict[str, str]:
    """A payment's number, and the token of the link that its payer has made."""
    wanted = LinkOrder(id=OrderId(uuid4()), order=OrderId(UUID(order)), living=True)
    city.officer_order(
        HolderId(UUID(signer.holder)),
        "receipt_link",
        lambda unit, claim: confirmations.link(unit, claim, wanted, now=clock.now()),
    )
    named = number(city, signer, order)
    with city.engine.connect() as connection:
        id, secret = confirmations.read_number(named), city.config.server_secret
        token = confirmations.token(connection, id, secret=secret)
    assert token is not None
    return {"refunded_number": named, "token": token}


VISITED = list(PAGES) if os.environ.get("PAGES") == "all" else list(PAGES)[::12]
"""A browser takes some two seconds for a page. Every twelfth one is visited in each run; `make pages` visits them all."""


@pytest.fixture(scope="module", params=VISITED)
def visit(request: pytest.FixtureRequest, furnished: Furnished) -> Visit:
    """Visit a page once and measure it in every way."""
    room, _ = PAGES[request.param]
    return measure(furnished.rooms[room], furnished.house.origin, furnished.path(request.param))


def measure(page: Page, origin: str, path: str) -> Visit:
    seen = Visit()
    listeners = {
        "console": lambda line: seen.said.append(line.text) if line.type in ("error", "warning") else None,
        "pageerror": lambda fault: seen.said.append(str(fault)),
        "request": lambda asked: (
            seen.elsewhere.append(asked.url) if not asked.url.startswith((origin, "data:")) else None
        ),
    }
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    loaded: list[int] = []
    wire.on("Network.loadingFinished", lambda told: loaded.append(int(told["encodedDataLength"])))
    for event, listener in listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]
    page.set_viewport_size({"width": 390, "height": 844})
    answer = page.goto(path, wait_until="load")
    assert answer is not None
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(LATE_MS)
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    seen.status, seen.headers, seen.bytes = answer.status, answer.headers, sum(loaded)
    wire.detach()
    seen.badge = page.get_by_text("DỮ LIỆU MẪU", exact=True).first.is_visible()
    for name, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        seen.overflow[name] = page.evaluate(OVERFLOW)
        seen.small[name] = page.evaluate(SMALL_TARGETS, TARGET_PX)
    page.set_viewport_size({"width": 360, "height": 640})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    seen.overflow["360×640 at 200 %"] = page.evaluate(OVERFLOW)
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate(AXE)
    for scheme, only in (("light", None), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        seen.axe += [f"{scheme}: {fault}" for fault in serious(page, only)]
    page.emulate_media(color_scheme="light")
    words = OwnWords()
    words.feed(page.request.get(path, headers={"Accept-Language": "en"}).text())
    seen.words = " ".join(words.texts)
    return seen


def serious(page: Page, only: list[str] | None = None) -> list[str]:
    """Return axe's serious and critical findings."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if only:
        options["runOnly"] = only
    found = page.evaluate("(options) => axe.run(document, options).then((told) => told.violations)", options)
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


# -- every page -----------------------------------------------------------------------------------------------


def test_no_page_scrolls_sideways_also_at_twice_the_text(visit: Visit) -> None:
    assert {size: found for size, found in visit.overflow.items() if found} == {}


def test_every_control_is_large_enough_for_a_thumb(visit: Visit) -> None:
    assert {size: found for size, found in visit.small.items() if found} == {}


def test_axe_has_nothing_serious_to_say_in_light_and_dark(visit: Visit) -> None:
    assert visit.axe == []


def test_a_page_without_a_cache_is_small(visit: Visit) -> None:
    assert 1_000 < visit.bytes <= PAGE_BYTES_MAX


def test_a_page_runs_under_its_policy_without_a_complaint_and_asks_nobody_else(
    visit: Visit, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["visit"]
    expected = EXPECTED_STATUS.get(name, 200)
    assert visit.status == expected
    policy = visit.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "" if name in COMPILING else "unsafe")
    noise = [line for line in visit.said if not (expected != 200 and f"status of {expected}" in line)]
    assert noise == []
    assert visit.elsewhere == []


def test_the_demo_says_on_every_page_that_its_data_are_samples(visit: Visit) -> None:
    assert visit.badge


def test_a_page_in_english_has_no_vietnamese_of_our_own(visit: Visit, furnished: Furnished) -> None:
    """What people and agencies wrote stays as they wrote it; so do the city's names and its money's."""
    city, words = furnished.house.city.city, visit.words
    written = [one.name for table in (city.agencies, city.procedures, city.areas) for one in table.values()]
    people = [one.name for one in furnished.people.values()]
    columns = ["“còn”", "“hết”"]  # as they stand in a spreadsheet's column
    for name in sorted(
        [*written, *people, *columns, "Tràng Tiền", "Máy của tôi", REASON, MEMO, "QĐ-NHNN", "đồng"],
        key=len,
        reverse=True,
    ):
        words = words.replace(name, "")
    assert VIETNAMESE.findall(words) == []
    assert len(words.split()) > 20


# -- by hand and on paper -------------------------------------------------------------------------------------


def focused(page: Page) -> str:
    return str(
        page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.tagName")
    )


def tab_to(page: Page, selector: str, *, presses_max: int = 40) -> None:
    """Press Tab until an element has the focus, which must be visible wherever it rests."""
    for _ in range(presses_max):
        page.keyboard.press("Tab")
        shown = page.evaluate("""() => {
            const one = document.activeElement, style = getComputedStyle(one);
            return one === document.body || parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none"
                || style.boxShadow !== "none" || one.closest("label")?.matches(":focus-within");
        }""")
        assert shown, f"the focus on {focused(page)} cannot be seen"
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"{selector} is not reached by Tab")


def test_somebody_with_a_keyboard_only_signs_in_chooses_a_bill_and_pays(furnished: Furnished) -> None:
    house, city = furnished.house, furnished.house.city
    hoa = city.citizen(available=100_000)
    pin = city.with_pin(hoa)
    first, second = city.bill(debtor=hoa), city.bill(debtor=hoa, amounts=[7_000])
    page = house.enters(hoa, device=True, shape=pages.DESK)
    page.context.clear_cookies(name="session")
    page.goto("/dang-nhap")
    tab_to(page, "#f-phone")
    page.keyboard.type(hoa.phone)
    tab_to(page, "#f-pin", presses_max=1)
    page.keyboard.type(pin)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{house.origin}/")
    expect(page.locator("#choose-button")).to_be_disabled()
    tab_to(page, f'input[value="{second.id}"]')
    page.keyboard.press("Space")
    expect(page.locator("#choose-sum")).to_have_text("7.000 ₫")
    tab_to(page, "#choose-button")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{pages.sheet(second)}")
    pages.ready(page)
    tab_to(page, "#pay-button")
    page.keyboard.press("Enter")
    pages.confirmed(page)
    assert [city.read_bill(bill).status for bill in (first, second)] == ["due", "paid"]


def test_the_first_tab_leads_past_the_bar_to_the_content(furnished: Furnished) -> None:
    page = furnished.rooms["citizen"]
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_the_confirmation_of_two_bills_prints_on_one_sheet_of_a5(furnished: Furnished) -> None:
    page = furnished.rooms["citizen"]
    page.goto(furnished.path("confirmation"))
    page.emulate_media(media="print")
    for hidden in (".tabs", ".menu", ".back", ".actions"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.get_by_text("DỮ LIỆU MẪU", exact=True).first).to_be_visible()
    page.emulate_media(media="null")
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    boxes = {tuple(float(side) for side in box.split()) for box in re.findall(rb"/MediaBox\s*\[([^\]]+)\]", printed)}
    [(_, _, width, height)] = boxes
    assert (round(width / 72 * 25.4), round(height / 72 * 25.4)) == (148, 210)


def test_motion_stops_for_whoever_asked_for_less_of_it(furnished: Furnished) -> None:
    page = furnished.rooms["citizen"]
    page.goto(furnished.path("confirmation, unknown"))
    moving = page.evaluate("document.getAnimations().filter((one) => one.playState === 'running').length")
    assert moving == 0


def test_no_page_needs_a_script_or_style_inside_itself(furnished: Furnished) -> None:
    """The policy forbids both; a page that tried would say so, and an attribute that is ignored is a bug all the same."""
    for name, (room, _) in PAGES.items():
        if room in ("opening", "opened"):
            continue
        html = furnished.rooms[room].request.get(furnished.path(name)).text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html), name
        for script in re.findall(r"<script[^>]*>", html):
            data = re.search(r'type="application/(ld\+)?json"', script)
            assert "src=" in script or data, (name, script)
        assert furnished.house.origin in html, name
