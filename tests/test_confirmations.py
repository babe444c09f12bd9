"""Confirmations: the number that anybody may look up, the link that shows more, and what neither ever shows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import memory_log
from tests.databases import TestDatabase
from tests.make import STATION, WARD, City, Seen, Signer
from tests.memory_log import MemoryLog
from tests.test_attacks_amounts import Page
from wallet import confirmations, ids
from wallet.ids import AuthorityId


@dataclass
class Town:
    city: City
    hoa: Signer
    page: Page
    bills: list[Seen]
    order: str
    number: str

    @property
    def public(self) -> str:
        return f"/xac-minh/{self.number}"

    def numbered(self, order: str) -> str:
        with self.city.engine.connect() as connection:
            asked = "SELECT id FROM ledger.authority WHERE order_id = %s"
            id = connection.exec_driver_sql(asked, (order,)).scalar_one()
        return confirmations.number(AuthorityId(id)).replace("-", "")

    def link(self) -> str | None:
        """The living link as the holder's page shows it."""
        found = re.search(r'id="link">([^<]+)<', self.page.get(f"/xac-nhan/{self.order}").text)
        return found[1].removeprefix(self.city.config.public_origin) if found else None

    def do(self, what: str = "") -> int:
        answer = self.page.post(f"/xac-nhan/{self.order}/lien-ket{what}", order_id=str(ids.new()))
        return int(answer.status_code)

    def visit(self, path: str):
        """As somebody whom nobody knows."""
        assert self.city.app is not None
        return self.city.app.test_client().get(path, base_url=self.city.config.public_origin)


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[Town]:
    with City(database) as city:
        hoa = city.citizen("Nguyễn Thị Hồng Hoa", available=900_000)
        bills = [city.bill(debtor=hoa, amounts=[20_000, 5_000]), city.bill(debtor=hoa, agency=STATION, amounts=[7_000])]
        paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[one.seen for one in bills])
        made = Town(city, hoa, Page(city, hoa), bills, paid.json()["order"], "")
        made.number = made.numbered(made.order)
        yield made


# -- numbers ----------------------------------------------------------------------------------------------------------


@given(st.uuids())
def test_a_number_reads_back_however_it_is_typed(id: UUID) -> None:
    number = confirmations.number(id)
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{6}", number)
    for typed in (number, number.lower(), number.replace("-", " "), number.replace("0", "O").replace("1", "l")):
        assert confirmations.read_number(typed) == id


@pytest.mark.parametrize("typed", ["", "0", "U" * 26, "Z" * 26, "0" * 27, "٠" * 26, "0" * 25, "{{7*7}}", "0" * 10_000])
def test_what_is_no_number_is_not_found(typed: str) -> None:
    with pytest.raises(confirmations.NumberNotFound):
        confirmations.read_number(typed)


# -- what anybody sees ------------------------------------------------------------------------------------------------


def test_anybody_sees_amount_agencies_date_and_state_and_nobodys_name(town: Town) -> None:
    answer = town.visit(town.public)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    words = answer.text
    agencies = town.city.city.agencies
    bill = town.city.read_bill(town.bills[0])
    for shown in ("Xác nhận thanh toán", "32.000\u00a0₫", "Đã trả xong", agencies[WARD].name, agencies[STATION].name):
        assert shown in words, shown
    hidden = (
        "Hoa",
        town.hoa.phone,
        bill.dossier,
        bill.code,
        bill.procedure,
        town.order,
        town.hoa.account,
        town.hoa.holder,
    )
    assert [one for one in hidden if one in words] == []
    assert "Biên lai" not in words


def test_the_pages_title_is_never_that_of_the_agencys_receipt(town: Town) -> None:
    for path in (town.public, f"/xac-nhan/{town.order}"):
        words = town.page.get(path).text
        assert "<h1>Xác nhận thanh toán</h1>" in words
        assert "chưa phải là biên lai điện tử" in words


def test_a_transfer_shows_its_amount_and_neither_party(town: Town) -> None:
    binh = town.city.citizen("Trần Văn Bình")
    sent = town.city.send(town.hoa, binh, 12_345).json()
    words = town.visit(f"/xac-minh/{town.numbered(sent['order'])}").text
    assert "12.345\u00a0₫" in words
    assert "Xác nhận chuyển tiền" in words
    assert [one for one in ("Bình", "Hoa", binh.account, town.hoa.account) if one in words] == []


def test_the_state_follows_what_is_given_back(town: Town) -> None:
    hoa, city = town.hoa, town.city
    bill, machine = city.bill(debtor=hoa, amounts=[10_000]), city.machine()
    paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).json()
    number, entry = town.numbered(paid["order"]), paid["bills"][0]["entry"]
    for back, said in (("4000", "Đã hoàn lại 4.000"), ("6000", "Đã hoàn lại toàn bộ")):
        lines = [{"line": "1", "amount": back}]
        assert machine.act("/v1/refunds", "refund", entry=entry, lines=lines, reason="thừa").status == 201
        assert said in town.visit(f"/xac-minh/{number}").text
    whole = city.bill(debtor=hoa, amounts=[9_000])
    paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[whole.seen]).json()
    assert machine.act("/v1/reversals", "reverse", entry=paid["bills"][0]["entry"], reason="nhầm").status == 201
    assert "Đã hoàn lại toàn bộ" in town.visit(f"/xac-minh/{town.numbered(paid['order'])}").text


def test_an_order_that_paid_nothing_has_no_public_page(town: Town) -> None:
    """Refused, of another kind, or never there: all alike."""
    poor = town.city.citizen("Lê Văn Nghèo")
    order = poor.order("transfer", payer=poor.account, payee=town.hoa.account, amount="5", memo="")
    assert poor.insist("/v1/transfers", order).status == 402
    held = town.city.hold(town.hoa, poor, 10)
    assert held
    with town.city.engine.connect() as connection:
        asked = "SELECT id FROM ledger.authority WHERE order_kind IN ('hold', 'key_admit', 'transfer') AND signer = %s"
        found = [row.id for row in connection.exec_driver_sql(asked, (poor.holder,))]
        found += [row.id for row in connection.exec_driver_sql(asked, (town.hoa.holder,)) if row.id not in found][:1]
    answers = {(town.visit(f"/xac-minh/{confirmations.number(id)}").status_code) for id in [found[0], ids.new()]}
    assert answers == {404}
    assert town.visit("/xac-minh/nothing").status_code == 404


def test_a_number_is_found_by_typing_it(town: Town) -> None:
    typed = confirmations.number(confirmations.read_number(town.number)).lower()
    answer = town.visit(f"/xac-minh?so={typed}")
    assert (answer.status_code, answer.headers["Location"]) == (303, town.public)
    wrong = town.visit("/xac-minh?so=%3Cscript%3E")
    assert wrong.status_code == 404
    assert "<script>" not in wrong.text.split("<main")[1].split('type="application/json"')[0]
    assert town.visit("/xac-minh").status_code == 200


# -- the link ---------------------------------------------------------------------------------------------------------


def test_a_link_shows_payer_and_dossier_until_its_holder_ends_it(town: Town) -> None:
    assert town.link() is None
    assert town.do() == 303
    link = town.link()
    assert link is not None
    bill = town.city.read_bill(town.bills[0])
    words = town.visit(link).text
    assert "Nguyễn Thị Hồng Hoa" in words
    assert bill.dossier in words
    assert town.hoa.phone not in words
    assert town.do() == 303  # a fresh one: what was given out is dead
    fresh = town.link()
    assert fresh not in (None, link)
    assert town.visit(link).status_code == 404
    assert town.visit(str(fresh)).status_code == 200
    assert town.do("/huy") == 303
    assert town.link() is None
    assert town.visit(str(fresh)).status_code == 404
    assert town.visit(town.public).status_code == 200


def test_a_wrong_token_is_answered_as_no_link_and_no_number_are(town: Town) -> None:
    """Row 82."""
    town.do()
    link = str(town.link())
    other = town.numbered(town.city.send(town.hoa, town.city.citizen("Lê Thị Cúc"), 5).json()["order"])
    wrong = (link[:-1], link + "A", link.lower(), f"/xac-minh/{other}/{link.rsplit('/', 1)[1]}", f"{town.public}/é")
    texts = {re.sub(r"[0-9a-f]{16}", "", town.visit(path).text.split("<main")[1]) for path in wrong}
    assert {town.visit(path).status_code for path in wrong} == {404}
    assert len(texts) == 1


def test_a_token_stands_nowhere_in_the_database(town: Town) -> None:
    town.do()
    token = str(town.link()).rsplit("/", 1)[1]
    with town.city.database.superuser() as owner:
        tables = owner.execute(
            "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables"
            " WHERE table_schema IN ('person', 'ledger', 'identity')"
        ).fetchall()
        for (table,) in tables:
            rows = owner.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s", [f"%{token}%"]).fetchone()
            assert rows == (0,), table


def test_nobody_makes_or_ends_a_link_to_anothers_payment(town: Town) -> None:
    binh = Page(town.city, town.city.citizen("Trần Văn Bình"))
    town.do()
    before = town.link()
    for what in ("", "/huy"):
        answer = binh.post(f"/xac-nhan/{town.order}/lien-ket{what}", order_id=str(ids.new()))
        assert answer.status_code == 404
    assert town.link() == before
    for file in ("", "/xac-nhan.pdf", "/bang-chung.json", "/lenh.json"):
        answer = binh.get(f"/xac-nhan/{town.order}{file}")
        assert town.number not in answer.text
        assert answer.status_code == (404 if file else 200)  # the page says that nothing is known of such an order


def test_making_a_link_is_an_event_and_a_form_sent_twice_makes_one(town: Town) -> None:
    id = str(ids.new())
    before = town.city.count("ledger.event")
    for _ in range(2):
        assert town.page.post(f"/xac-nhan/{town.order}/lien-ket", order_id=id).status_code == 303
    assert town.city.count("ledger.event") == before + 1
    assert town.city.differences() == []


def test_the_receipt_is_offered_where_there_is_a_log(town: Town) -> None:
    assert town.city.app is not None
    path = f"/xac-nhan/{town.order}/bang-chung.json"
    assert path not in town.page.get(f"/xac-nhan/{town.order}").text
    memory_log.give(town.city.app, MemoryLog.of("localhost:8000/log"))
    try:
        assert path in town.page.get(f"/xac-nhan/{town.order}").text
        answer = town.page.get(path)
        assert answer.json["kind"] == "acknowledgement"
        assert "attachment" in answer.headers["Content-Disposition"]
    finally:
        memory_log.give(town.city.app, None)
