"""The audit room: what an auditor looks up, examines and takes home, and what they never see or do."""

import contextlib
import csv
import hashlib
import html
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from tests import databases, lived, pages
from tests.databases import TestDatabase
from tests.lived import Lived
from tests.logs import Log
from tests.make import STATION, WARD, City, Signer
from tests.pages import Visitor, words_of
from wallet import clock, ids, periods, text
from wallet.audit import budget, exceptions, names, safeguarding, sampling
from wallet.audit.sampling import Frame
from wallet.exports import verify
from wallet.exports.books import Books, snapshot
from wallet.identity import attempts
from wallet.identity.roles import Role
from wallet.ids import AccountId
from wallet.ledger import balances
from wallet.run.postgres import Cluster
from wallet.web import charts

ROOM = "/kiem-toan"
PAGES = (
    "",
    "/tra-cuu",
    "/tra-cuu?ma=wallet",
    "/tra-cuu?ma=agency",
    "/tra-cuu?q={payment}",
    "/tai-khoan/{account}",
    "/but-toan/{payment}",
    "/but-toan/{transfer}",
    "/but-toan/{refund}",
    "/but-toan/{reversal}",
    "/but-toan/{capture}",
    "/but-toan/{late}",
    "/hien-ten?holder={holder}",
    "/bao-dam",
    "/ngan-sach?theo=tieu_muc",
    "/mau?hat=2026&den={yesterday}",
    *(f"/ngoai-le?ds={name}" for name in exceptions.LISTS),
    "/xuat",
    "/ky",
    "/su-kien",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A city that something happened in, its sealed log, and an auditor at the door."""

    city: City
    database: TestDatabase
    life: Lived
    log: Log
    auditor: Signer

    def visitor(self) -> Visitor:
        return Visitor(self.city).enter(self.auditor)

    def paths(self) -> list[str]:
        life = self.life
        named = {
            "payment": life.payment, "transfer": life.transfer, "refund": life.refund, "reversal": life.reversal,
            "capture": life.capture, "late": life.late, "account": life.hoa.account, "holder": life.hoa.holder,
            "yesterday": (clock.day_of(clock.now()) - timedelta(days=1)).isoformat(),
        }  # fmt: skip
        return [ROOM + path.format(**named) for path in PAGES]


@pytest.fixture(scope="module")
def room(template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    var_dir = tmp_path_factory.mktemp("var")
    with (
        databases.copy_of(template, f"{worker}_room", server=postgres, folder=var_dir) as database,
        City(database) as city,
        pages.quick_hashes(),
    ):
        life, log = lived.live(city), Log(database)
        auditor = city.person("Hoàng Thị Kiểm", Role.AUDITOR)
        log.seal()
        yield Room(city=city, database=database, life=life, log=log, auditor=auditor)


@pytest.fixture
def visitor(room: Room) -> Visitor:
    with room.city.engine.begin() as unit:
        unit.exec_driver_sql("DELETE FROM identity.attempt")
    return room.visitor()


def cells(reply: TestResponse) -> list[list[str]]:
    """The rows of a page's tables as they are read."""
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", reply.text)
    return [
        [
            " ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split())
            for cell in re.findall(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>", row)
        ]
        for row in re.findall(r"(?s)<tr[^>]*>(.*?)</tr>", body)
    ]


def dong(shown: str) -> int:
    """An amount as it is shown."""
    return int(re.sub(r"[^\d-]", "", shown.replace("\u2212", "-")) or 0)


def table(reply: TestResponse) -> list[dict[str, str]]:
    assert reply.status_code == 200, reply.text
    return list(csv.DictReader(io.StringIO(reply.get_data(as_text=True).removeprefix("\ufeff"))))


# -- who may, and what is never shown -----------------------------------------------------------------------------------


def test_every_page_of_the_room_shows_names_masked(room: Room, visitor: Visitor) -> None:
    """Row 84: an auditor needs to tell people apart, not to know them."""
    life = room.life
    secrets = [life.hoa.name, life.hoa.phone, life.binh.name, life.binh.phone]
    assert text.mask(life.hoa.name) == "N***** T** H*** Hoa"
    seen = 0
    for path in room.paths():
        reply = visitor.get(path)
        assert reply.status_code == 200, path
        assert not [secret for secret in secrets if secret in html.unescape(reply.text)], path
        seen += "N***** T** H*** Hoa" in reply.text
    assert seen >= 6, "the masked name is shown where somebody is meant"


def test_the_pages_are_for_auditors_only(room: Room) -> None:
    """Row 82: for everybody else they are not there to be read."""
    others = [room.life.hoa, room.city.officer(), room.city.person("Vũ Minh Tâm", Role.OPERATOR)]
    for other in others:
        guest = Visitor(room.city).enter(other)
        for path in (*room.paths(), f"{ROOM}/xuat/mang-ve.zip", f"{ROOM}/ngan-sach.csv"):
            assert guest.get(path).status_code == 403, path
        assert guest.post(f"{ROOM}/hien-ten", {"holder": room.life.hoa.holder}).status_code == 403
    assert Visitor(room.city).get(f"{ROOM}/xuat/mang-ve.zip").status_code == 302


def test_the_rooms_database_role_writes_nothing_and_reads_no_name(room: Room) -> None:
    """Row 86: underneath the pages, whatever a page should ever ask."""
    statements = [
        "INSERT INTO ledger.event (id, type, subject, at, bytes) VALUES (gen_random_uuid(), 'x', 'x', now(), '')",
        "UPDATE ledger.posting SET amount = 1",
        "DELETE FROM log.leaf",
        "TRUNCATE ledger.entry",
        "SELECT name FROM person.person",
        "SELECT phone FROM person.person",
        "SELECT log.stop_posting()",
        f"SELECT ledger.tell('{uuid4()}', 'x', 'x', NULL, now(), '')",
        "CREATE TABLE public.x (y int)",
        "CREATE TEMPORARY TABLE x (y int)",
    ]
    with room.city.audit.connect() as connection:
        for statement in statements:
            with pytest.raises(sa.exc.DBAPIError, match="permission denied"):
                connection.exec_driver_sql(statement)
            connection.rollback()


def test_a_write_by_the_auditor_is_refused_and_logged(
    room: Room, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 86."""
    caplog.set_level("INFO", logger="wallet")
    before = room.city.count("ledger.event")
    reply = visitor.post("/van-hanh/khoa-vi", {"phone": room.life.hoa.phone, "reason": "Thử", "move": "freeze"})
    assert reply.status_code == 403
    assert room.city.count("ledger.event") == before
    logged = [record for record in caplog.records if getattr(record, "code", "") == "role_not_admitted"]
    assert [getattr(record, "holder", "") for record in logged] == [room.auditor.holder]


def test_masking_in_the_database_is_masking_in_the_pages(room: Room) -> None:
    """One rule, two places: an auditor's database masks by itself what other pages mask in Python."""
    people = ["Nguyễn Thị Hồng Nhung", "Hoa", "Lê  Văn Ấn", "Công Tằng Tôn Nữ Hỷ Khương", "A B"]
    made = {UUID(room.city.person(name, Role.CITIZEN).holder): text.mask(name) for name in people}
    with room.city.audit.connect() as connection:
        assert names.masked(connection, [*made, uuid4()]) == made
        assert names.masked(connection, []) == {}


# -- a name -------------------------------------------------------------------------------------------------------------


def ask(visitor: Visitor, holder: str, reason: str = "Đối chiếu giấy uỷ quyền số 12") -> TestResponse:
    form = visitor.get(f"{ROOM}/hien-ten?holder={holder}")
    order = re.search(r'name="order_id" value="([^"]+)"', form.text)
    assert order is not None
    return visitor.post(f"{ROOM}/hien-ten", {"holder": holder, "order_id": order[1], "reason": reason})


def revealed(room: Room) -> list[Any]:
    with room.city.engine.connect() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT v.subject, v.actor, v.bytes, o.body, c.bytes AS said FROM ledger.event v"
                " JOIN ledger.outcome o ON o.authority = v.authority"
                " JOIN person.order_content c ON c.authority = v.authority"
                " WHERE v.type = 'name.revealed' ORDER BY v.seq"
            )
        )


def test_a_name_is_shown_for_a_reason_and_the_books_say_to_whom(room: Room, visitor: Visitor) -> None:
    """The event names the two, the order keeps the reason, and neither keeps the name."""
    hoa, before = room.life.hoa, len(revealed(room))
    reply = ask(visitor, hoa.holder)
    assert reply.status_code == 200
    assert hoa.name in words_of(reply)
    told = revealed(room)[before:]
    assert [(one.subject, str(one.actor)) for one in told] == [(hoa.holder, room.auditor.holder)]
    assert "giấy uỷ quyền số 12" in bytes(told[0].said).decode()
    for kept in (told[0].bytes, told[0].body):
        assert hoa.name not in bytes(kept).decode()
        assert "uỷ quyền" not in bytes(kept).decode()
    rows = cells(visitor.get(f"{ROOM}/ngoai-le?ds=revealed"))
    assert ["N***** T** H*** Hoa", "H**** T** Kiểm"] in [[row[1], row[2]] for row in rows if len(row) == 5]
    assert room.city.differences() == []


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301, "a\u202eb"])
def test_without_a_reason_no_name_is_shown(room: Room, visitor: Visitor, reason: str) -> None:
    before = len(revealed(room))
    reply = ask(visitor, room.life.hoa.holder, reason)
    assert reply.status_code == 422
    assert room.life.hoa.name not in html.unescape(reply.text)
    assert 'id="e-reason"' in reply.text
    assert len(revealed(room)) == before


def test_the_same_form_shows_a_name_once(room: Room, visitor: Visitor) -> None:
    """A form that is sent again, or kept for later, tells nothing that the books do not."""
    holder = room.life.binh.holder
    given = {"holder": holder, "order_id": str(ids.new()), "reason": "Đối chiếu"}
    assert room.life.binh.name in words_of(visitor.post(f"{ROOM}/hien-ten", given))
    again = visitor.post(f"{ROOM}/hien-ten", given)
    assert again.status_code == 409
    assert room.life.binh.name not in html.unescape(again.text)
    other = visitor.post(f"{ROOM}/hien-ten", given | {"holder": room.life.hoa.holder})
    assert other.status_code == 422, "the same order of other bytes"
    assert room.life.hoa.name not in html.unescape(other.text)


def test_names_shown_in_a_day_are_few(room: Room, visitor: Visitor) -> None:
    """Thirty, and the right reason is refused after them: nobody walks through the list of people."""
    bucket = f"{names.REVEALED.name}:{room.auditor.holder}"
    with room.city.engine.begin() as unit:
        unit.exec_driver_sql(
            "SELECT identity.count_attempt(%s, now(), interval '1 day') FROM generate_series(1, %s)",
            (bucket, names.REVEALED.tries),
        )
    reply = ask(visitor, room.life.hoa.holder)
    assert (reply.status_code, room.life.hoa.name in html.unescape(reply.text)) == (429, False)
    assert attempts.TooMany.code == "too_many_attempts"


def test_an_agency_or_nobody_has_no_name_to_show(room: Room, visitor: Visitor) -> None:
    for holder in (str(room.city.agency(WARD)), str(uuid4())):
        shown = visitor.get(f"{ROOM}/hien-ten?holder={holder}")
        assert "Mã này không phải của một người." in words_of(shown)
        given = {"holder": holder, "order_id": str(ids.new()), "reason": "Thử"}
        assert visitor.post(f"{ROOM}/hien-ten", given).status_code == 404
    assert visitor.get(f"{ROOM}/hien-ten?holder=x").status_code == 404


def test_the_way_back_stays_in_the_room(room: Room, visitor: Visitor) -> None:
    holder = room.life.hoa.holder
    for evil in ("//evil.example", "https://evil.example", "/kiem-toan/\nX", "javascript:alert(1)", "/van-hanh"):
        page = visitor.client.get(
            f"{ROOM}/hien-ten", query_string={"holder": holder, "ve": evil}, base_url=visitor.origin
        )
        assert 'class="back' not in page.text, evil


# -- looking up ---------------------------------------------------------------------------------------------------------


def test_any_id_on_a_paper_leads_to_what_it_belongs_to(room: Room, visitor: Visitor) -> None:
    life = room.life
    with room.city.engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT u.id, u.order_id, v.id AS event FROM ledger.entry e JOIN ledger.authority u ON u.id = e.authority"
            " JOIN ledger.event v ON v.entry = e.id WHERE e.id = %s", (UUID(life.transfer),)
        ).one()  # fmt: skip
    entry, wallet = f"{ROOM}/but-toan/{life.transfer}", f"{ROOM}/tai-khoan/{life.hoa.account}"
    for asked, expected in (
        (life.transfer, entry), (life.transfer.upper(), entry), (row.id, entry), (row.order_id, entry), (row.event, entry),
        (life.hoa.account, wallet), (life.hoa.holder, wallet), (life.paid.id, f"{ROOM}/but-toan/{life.payment}"),
        (life.paid.code, f"{ROOM}/but-toan/{life.payment}"), (life.paid.code.lower(), f"{ROOM}/but-toan/{life.payment}"),
    ):  # fmt: skip
        assert f'href="{expected}"' in visitor.get(f"{ROOM}/tra-cuu?q={asked}").text, asked
    for nothing in (uuid4(), "x", "%25", "'; DROP TABLE ledger.entry; --", "\x00", "đ" * 500):
        for name in ("q", "ma"):
            reply = visitor.client.get(f"{ROOM}/tra-cuu", query_string={name: nothing}, base_url=visitor.origin)
            assert reply.status_code == 200, (name, nothing)


def test_a_statement_has_every_posting_with_the_balance_after_it_and_goes_both_ways(
    room: Room, visitor: Visitor
) -> None:
    """Each page's amounts lead from one balance to the next; forth and back are the same pages."""
    city = room.city
    payer, payee = city.citizen("Đỗ Văn Nhiều", available=1_000_000), city.citizen("Lý Thị Nhận")
    for number in range(1, 121):
        assert city.send(payer, payee, number).status == 201
    path = f"{ROOM}/tai-khoan/{payer.account}"
    forth: list[list[str]] = []
    following: str | None = path
    seen = []
    while following:
        reply = visitor.get(following)
        rows = [row for row in cells(reply) if len(row) == 5][1:]
        seen.append(rows)
        forth += rows
        older = re.search(rf'href="({path}\?cursor=[^"]+)"', reply.text)
        newer = re.search(rf'href="({path}\?sau=[^"]+)"', reply.text)
        if len(seen) == 3:
            assert newer is not None
            back = [row for row in cells(visitor.get(newer[1])) if len(row) == 5][1:]
            assert back == seen[1]
        following = older[1] if older else None
    assert [len(page) for page in seen] == [50, 50, 21]
    amounts, balance = [dong(row[3]) for row in forth], [dong(row[4]) for row in forth]
    assert amounts == [*(-number for number in range(120, 0, -1)), 1_000_000]
    assert balance[0] == city.available(payer)
    for later in range(len(forth) - 1):
        assert balance[later] - amounts[later] == balance[later + 1]
    for nonsense in ("cursor=x", "sau=x", "sau=-1", f"sau={'9' * 30}"):
        assert visitor.get(f"{path}?{nonsense}").status_code == 400
    for nobody in (uuid4(), "x"):
        assert visitor.get(f"{ROOM}/tai-khoan/{nobody}").status_code == 404


# -- an entry -----------------------------------------------------------------------------------------------------------


def verdicts(reply: TestResponse) -> list[str]:
    return re.findall(r'<li class="(passed|failed|unsure)">', reply.text)


def test_an_entry_is_shown_with_all_it_stands_on_and_each_claim_is_checked(room: Room, visitor: Visitor) -> None:
    life = room.life
    for entry, count in ((life.transfer, 6), (life.payment, 6), (life.refund, 6), (life.capture, 6), (life.late, 3)):
        reply = visitor.get(f"{ROOM}/but-toan/{entry}")
        assert verdicts(reply) == ["passed"] * count, entry
        assert "Mọi kiểm tra đều khớp" in words_of(reply)
    reply = visitor.get(f"{ROOM}/but-toan/{life.transfer}")
    shown = html.unescape(reply.text)
    assert life.hoa.key.public.id in shown
    assert f'"x": "{life.hoa.key.public.jwk["x"]}"' in shown
    assert '"content-digest"' in shown
    assert '"memo": ""' in shown
    assert f"/ {room.log.checkpoint().size}" in words_of(reply)


def test_what_people_wrote_in_an_order_is_masked(room: Room, visitor: Visitor) -> None:
    """A memo is between two people; a refund's reason is for whoever examines it."""
    life = room.life
    given = {"payer": life.hoa.account, "payee": life.binh.account, "amount": "11", "memo": "thuốc của mẹ"}
    sent = life.hoa.act("/v1/transfers", "transfer", **given)
    shown = html.unescape(visitor.get(f"{ROOM}/but-toan/{sent.json()['entry']}").text)
    assert "thuốc" not in shown
    assert '"memo": "•••"' in shown
    assert "Thu thừa" in html.unescape(visitor.get(f"{ROOM}/but-toan/{life.refund}").text)


def test_an_entry_that_waits_for_its_place_says_so_and_does_not_pass(room: Room, visitor: Visitor) -> None:
    life = room.life
    sent = room.city.send(life.hoa, life.binh, 12).json()["entry"]
    reply = visitor.get(f"{ROOM}/but-toan/{sent}")
    assert verdicts(reply) == [*["passed"] * 5, "unsure"]
    assert "Chưa niêm phong" in words_of(reply)
    room.log.seal()
    assert verdicts(visitor.get(f"{ROOM}/but-toan/{sent}")) == ["passed"] * 6


TAMPERED = {
    "the amount": ("UPDATE ledger.posting SET amount = amount + 1 WHERE entry = %(entry)s", {"told"}),
    "the payee": (
        """UPDATE ledger.posting SET credit = (SELECT id FROM ledger.account WHERE code = 'bank.collection')
        WHERE entry = %(entry)s""",
        {"told"},
    ),
    "the kind": ("UPDATE ledger.entry SET kind = 'topup' WHERE id = %(entry)s", {"told"}),
    "the order's words": (
        """UPDATE person.order_content
        SET bytes = convert_to(replace(convert_from(bytes, 'UTF8'), '"13"', '"14"'), 'UTF8')
        WHERE authority = (SELECT authority FROM ledger.entry WHERE id = %(entry)s)""",
        {"digest", "covers"},
    ),
    "the signature": (
        """UPDATE person.order_content SET signature = set_byte(signature, 3, get_byte(signature, 3) # 1)
        WHERE authority = (SELECT authority FROM ledger.entry WHERE id = %(entry)s)""",
        {"signature"},
    ),
    "the payer's key": (
        """UPDATE identity.key SET jwk = (SELECT jwk FROM identity.key WHERE holder = %(other)s)
        WHERE holder = %(payer)s""",
        {"signature"},
    ),
    "whose key it is": ("UPDATE identity.key SET holder = %(other)s WHERE holder = %(payer)s", {"key"}),
    "when the key ended": (
        "UPDATE identity.key SET state = 'revoked', revoked_at = enrolled_at WHERE holder = %(payer)s",
        {"key"},
    ),
    "the leaf": (
        "UPDATE ledger.event SET bytes = bytes || convert_to(' ', 'UTF8') WHERE entry = %(entry)s",
        {"leaf"},
    ),
    "the leaf's place": (
        """UPDATE log.leaf SET index = 1000000 WHERE index = 0;
        UPDATE log.leaf SET index = 0 WHERE event = (SELECT id FROM ledger.event WHERE entry = %(entry)s)""",
        {"leaf"},
    ),
}
CODES = ("told", "digest", "signature", "covers", "key", "leaf")


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_was_tampered_with_does_not_pass(fresh_database: TestDatabase, what: str) -> None:
    """As superuser, past every grant and trigger: the page names the claim that no longer holds, and no other."""
    statement, failing = TAMPERED[what]
    with City(fresh_database) as city:
        hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
        sent = city.send(hoa, binh, 13).json()["entry"]
        Log(fresh_database).seal()
        page = Visitor(city).enter(city.person("Hoàng Thị Kiểm", Role.AUDITOR))
        path = f"{ROOM}/but-toan/{sent}"
        assert verdicts(page.get(path)) == ["passed"] * 6
        with fresh_database.superuser() as owner:
            owner.execute("SET session_replication_role = replica")
            given = {"entry": sent, "payer": hoa.holder, "other": binh.holder}
            for one in statement.split(";\n"):
                owner.execute(one, given)
        found = dict(zip(CODES, verdicts(page.get(path)), strict=True))
        assert {code for code, verdict in found.items() if verdict == "failed"} == failing
        assert "Có điều không khớp" in words_of(page.get(path))


def test_words_that_were_shredded_leave_the_entry_and_say_so(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
        sent = city.send(hoa, binh, 13).json()["entry"]
        with fresh_database.superuser() as owner:
            owner.execute(
                "DELETE FROM person.order_content WHERE authority = (SELECT authority FROM ledger.entry WHERE id = %s)",
                [sent],
            )
        page = Visitor(city).enter(city.person("Hoàng Thị Kiểm", Role.AUDITOR)).get(f"{ROOM}/but-toan/{sent}")
        assert "Lời lệnh đã huỷ theo yêu cầu" in words_of(page)
        assert verdicts(page) == ["passed", *["unsure"] * 5]


# -- safeguarding -------------------------------------------------------------------------------------------------------


def test_safeguarding_by_day_is_plain_arithmetic_over_all_postings(room: Room) -> None:
    """Each day's end, recomputed from the first posting without any of our queries; closed periods make no difference."""
    city, today = room.city, clock.day_of(clock.now())
    city.close_period(today - timedelta(days=2))
    with city.audit.connect() as connection:
        days = safeguarding.report(connection, first=today - timedelta(days=6), last=today, now=clock.now())
        postings = connection.exec_driver_sql(
            "SELECT p.amount, p.effective_at, d.code AS debit, c.code AS credit FROM ledger.posting p"
            " JOIN ledger.account d ON d.id = p.debit JOIN ledger.account c ON c.id = p.credit"
        ).all()
        current = safeguarding.standing(connection, now=clock.now())
    assert [clock.day_of(day.at) for day in days] == [today - timedelta(days=back) for back in range(6, -1, -1)]
    for day in days:
        until = [one for one in postings if one.effective_at <= day.at]
        net = {
            code: sum(one.amount * ((one.debit == code) - (one.credit == code)) for one in until)
            for code in ("bank.guarantee", "wallet", "bank.collection", "agency")
        }
        expected = (net["bank.guarantee"], -net["wallet"], net["bank.collection"], -net["agency"])
        assert (day.guarantee, day.covered, day.collection, day.agencies) == expected
        assert day.is_short == (net["bank.guarantee"] + net["wallet"] < 0)
    assert (current.guarantee, current.covered) == (days[-1].guarantee, days[-1].covered)
    assert len({day.covered for day in days}) >= 2, "something moved in these days"


def test_a_shortage_is_named_with_its_cause_until_it_is_made_good(fresh_database: TestDatabase) -> None:
    """What is given back after the sweep is missing in the guarantee account until the next one."""
    with City(fresh_database) as city:
        hoa, ward = city.citizen(available=100_000), city.machine(WARD)
        bill = city.bill(debtor=hoa, amounts=[60_000])
        assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
        today = clock.day_of(clock.now())
        periods.sweep(city.engine, today, now=clock.now())
        page = Visitor(city).enter(city.person("Hoàng Thị Kiểm", Role.AUDITOR))
        assert "Không ngày nào thiếu" in words_of(page.get(f"{ROOM}/bao-dam"))
        with city.engine.connect() as connection:
            entry = connection.exec_driver_sql(
                "SELECT id FROM ledger.entry WHERE settles = %s", (bill.id,)
            ).scalar_one()
        back = ward.act(
            "/v1/refunds", "refund", entry=str(entry), lines=[{"line": "1", "amount": "700"}], reason="Thừa"
        )
        assert back.status == 201, back.body
        short = page.get(f"{ROOM}/bao-dam")
        told = words_of(short)
        assert "Đang thiếu" in told
        assert "1 ngày thiếu trong khoảng này." in told
        with city.audit.connect() as connection:
            *_, day = safeguarding.report(connection, first=today, last=today, now=clock.now())
        assert {one.kind: one.effect for one in day.causes} == {
            "bill_payment": 60_000, "collection_sweep": -60_000, "refund": -700,
        }  # fmt: skip
        assert day.carried + sum(one.effect for one in day.causes) == day.margin == -700
        assert "Hoàn tiền: \u2212700\u00a0₫ (1 bút toán)".replace("\u00a0", " ") in told.replace("\u00a0", " ")
        row = table(page.get(f"{ROOM}/bao-dam.csv"))[-1]
        assert (row["chenh_lech"], row["bao_dam"], row["phai_bao_dam"]) == ("-700", "40000", "40700")
        assert "refund -700 (1)" in row["nguyen_nhan"]
        assert short.text.count('class="below"') == 1
        periods.sweep(city.engine, today + timedelta(days=1), now=clock.now())
        assert "Không ngày nào thiếu" in words_of(page.get(f"{ROOM}/bao-dam"))


# -- the budget ---------------------------------------------------------------------------------------------------------


def test_takings_by_budget_line_are_what_the_postings_say(room: Room, visitor: Visitor) -> None:
    today = clock.day_of(clock.now())
    with room.city.audit.connect() as connection:
        found = budget.lines(connection, first=today, last=today)
        for one in found:
            taken, given = connection.exec_driver_sql(
                "SELECT coalesce(sum(amount) FILTER (WHERE credit = %(id)s), 0),"
                " coalesce(sum(amount) FILTER (WHERE debit = %(id)s), 0) FROM ledger.posting",
                {"id": one.account},
            ).one()
            assert (one.taken, one.given_back, one.net) == (taken, given, taken - given)
            assert one.owed == balances.as_of(connection, AccountId(one.account), clock.now(), by="effective")
    assert sum(one.taken for one in found) == 25_001
    assert sum(one.given_back for one in found) == 401
    shown = [row for row in cells(visitor.get(f"{ROOM}/ngan-sach")) if len(row) == 8][1:]
    assert len(shown) == len(found)
    spelled = table(visitor.get(f"{ROOM}/ngan-sach.csv"))
    assert sum(int(row["con_lai"]) for row in spelled) == 24_600
    assert {row["co_quan"] for row in spelled} == {WARD, STATION}


def test_days_before_anything_was_taken_show_only_what_is_owed(room: Room, visitor: Visitor) -> None:
    spelled = table(visitor.get(f"{ROOM}/ngan-sach.csv?tu=2020-01-01&den=2020-01-31"))
    assert [row["da_thu"] for row in spelled] == ["0"] * len(spelled)
    assert sum(int(row["phai_tra"]) for row in spelled) == 24_600


# -- samples ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def frame(room: Room) -> Frame:
    today = clock.day_of(clock.now())
    return Frame(first=today, last=today)


def drawn(room: Room, frame: Frame, seed: str, size: int, method: Any) -> sampling.Sample:
    with room.city.audit.connect() as connection:
        return sampling.draw(connection, frame, seed=seed, size=size, method=method)


def population(room: Room) -> list[tuple[UUID, int]]:
    with room.city.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT entry, sum(amount)::bigint AS amount FROM ledger.posting GROUP BY entry"
        )
        return sorted((row.entry, row.amount) for row in rows)


def test_the_same_seed_draws_the_same_sample_and_another_one_another(room: Room, frame: Frame) -> None:
    for method in ("number", "money"):
        first = drawn(room, frame, "Huế 2026", 20, method)
        assert first == drawn(room, frame, "Huế 2026", 20, method)
        assert first.drawn != drawn(room, frame, "Huế 2027", 20, method).drawn


def test_a_sample_by_number_is_what_anybody_computes_from_the_seed(room: Room, frame: Frame) -> None:
    """With SHA-256 and a list of ids, and nothing of ours."""
    everything = population(room)
    ranked = sorted((hashlib.sha256(f"hạt:{id}".encode()).hexdigest(), id) for id, _ in everything)
    found = drawn(room, frame, "hạt", 25, "number")
    assert [(one.rank, one.entry) for one in found.drawn] == ranked[:25]
    assert (found.count, found.total) == (len(everything), sum(amount for _, amount in everything))
    assert len(drawn(room, frame, "hạt", 200, "number").drawn) == min(200, len(everything))


@pytest.mark.parametrize("size", [1, 7, 25, 200])
def test_a_sample_by_money_hits_every_interval_once(room: Room, frame: Frame, size: int) -> None:
    """Recomputed đồng by đồng: the n-th hit lies in the entry that covers it; what is larger than the interval is in."""
    everything, seed = population(room), "tiền"
    total = sum(amount for _, amount in everything)
    interval = total // size
    start = int.from_bytes(hashlib.sha256(f"{seed}:start".encode()).digest()[:8], "big") % interval
    expected: dict[UUID, int] = {}
    for number in range(size):
        place, passed = start + number * interval, 0
        for id, amount in everything:
            if passed <= place < passed + amount:
                expected[id] = expected.get(id, 0) + 1
            passed += amount
    found = drawn(room, frame, seed, size, "money")
    assert (found.interval, found.start) == (interval, start)
    assert {one.entry: one.hits for one in found.drawn} == expected
    assert sum(expected.values()) == size
    assert {id for id, amount in everything if amount > interval} <= set(expected)


def test_a_sample_is_of_days_that_are_over(room: Room, visitor: Visitor) -> None:
    today = clock.day_of(clock.now())
    for path in ("/mau", "/mau.csv"):
        reply = visitor.get(f"{ROOM}{path}?hat=x&den={today}")
        assert reply.status_code == (400 if path == "/mau" else 422)
    assert "ngày chưa hết thì mẫu còn đổi" in words_of(visitor.get(f"{ROOM}/mau?hat=x&den={today}"))


# -- exceptions ---------------------------------------------------------------------------------------------------------


def listed(room: Room, name: str, **more: Any) -> list[exceptions.Row]:
    today = clock.day_of(clock.now())
    with room.city.audit.connect() as connection:
        found = list(exceptions.rows(connection, name, first=today - timedelta(days=9), last=today, **more))
        counted = exceptions.counts(connection, first=today - timedelta(days=9), last=today, **more)
    assert counted[name] == len(found)
    return found


def test_each_exception_list_has_what_it_says(room: Room) -> None:
    life, city = room.life, room.city
    assert [str(row.id) for row in listed(room, "reversed")] == [life.reversal]
    [refunded] = listed(room, "refunded")
    assert (str(refunded.id), refunded.amount, str(refunded.other)) == (life.refund, 400, life.payment)
    assert life.late in {row.id for row in listed(room, "large")}
    assert life.late not in {row.id for row in listed(room, "large", threshold=12_000_002)}
    assert [row.id for row in listed(room, "back_dated")] == [life.late]
    assert life.transfer in {str(row.id) for row in listed(room, "round")}
    assert life.transfer in {str(row.id) for row in listed(room, "new_key")}, "the payer's key is minutes old"
    assert listed(room, "by_office") == []
    payer, payee = city.citizen("Mai Văn Chia", available=30_000_000), city.citizen("Phan Thị Gom")
    for _ in range(3):
        assert city.send(payer, payee, 4_000_000).status == 201
    split = [row for row in listed(room, "split") if str(row.id) == payer.account]
    assert [(row.amount, str(row.other), row.kind) for row in split] == [(12_000_000, payee.account, "3×")]
    assert city.move(payee, "freeze").status == 200
    assert [(str(row.id), row.kind) for row in listed(room, "frozen")] == [(payee.account, "by_holder")]


@pytest.mark.parametrize(
    ("local", "is_night"), [("22:59:59", False), ("23:00", True), ("04:59:59", True), ("05:00", False)]
)
def test_night_is_the_citys(fresh_database: TestDatabase, local: str, is_night: bool) -> None:
    """From 23:00 to 05:00 in Huế, whatever the server's clock is set to."""
    with City(fresh_database) as city:
        hoa, binh = city.citizen(available=100), city.citizen("Trần Văn Bình")
        sent = city.send(hoa, binh, 5).json()["entry"]
        at = datetime.combine(clock.day_of(clock.now()), time.fromisoformat(local), clock.CITY_TIME)
        with fresh_database.superuser() as owner:
            owner.execute("SET session_replication_role = replica")
            owner.execute(
                "UPDATE ledger.authority SET at = %s WHERE id = (SELECT authority FROM ledger.entry WHERE id = %s)",
                [at, sent],
            )
        day = clock.day_of(clock.now())
        with city.audit.connect() as connection:
            found = {str(row.id) for row in exceptions.rows(connection, "night", first=day, last=day)}
    assert (sent in found) == is_night


def test_an_exception_list_is_a_table_that_a_spreadsheet_cannot_execute(room: Room, visitor: Visitor) -> None:
    rows = table(visitor.get(f"{ROOM}/ngoai-le.csv?ds=large"))
    assert str(room.life.late) in {row["ma"] for row in rows}
    for name in exceptions.LISTS:
        reply = visitor.get(f"{ROOM}/ngoai-le.csv?ds={name}")
        assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
        for row in table(reply):
            assert not [cell for cell in row.values() if cell[:1] in "=+@" and cell]
    for wrong in ("x", "", "large'--"):
        assert visitor.get(f"{ROOM}/ngoai-le.csv?ds={wrong}").status_code == 404
    assert visitor.get(f"{ROOM}/ngoai-le?ds=x").status_code == 404


@pytest.mark.parametrize(
    "query",
    ["tu=x", "den=2026-13-01", "tu=2026-11-02&den=2026-11-01", "den=2099-01-01", "tu=2020-01-01&den=2022-01-01"],
)
def test_days_that_cannot_be_meant_are_named_at_their_field(room: Room, visitor: Visitor, query: str) -> None:
    for page in ("bao-dam", "ngan-sach", "mau", "ngoai-le"):
        reply = visitor.get(f"{ROOM}/{page}?{query}")
        assert reply.status_code == 400, page
        assert re.search(r'id="e-(tu|den)"', reply.text), page
    for name in ("bao-dam", "ngan-sach", "mau"):
        assert visitor.get(f"{ROOM}/{name}.csv?{query}").status_code == 422


def test_amounts_that_are_none_are_named_at_their_field(room: Room, visitor: Visitor) -> None:
    assert 'id="e-nguong"' in visitor.get(f"{ROOM}/ngoai-le?nguong=1e9").text
    assert 'id="e-co"' in visitor.get(f"{ROOM}/mau?hat=1&co=0").text
    assert 'id="e-co"' in visitor.get(f"{ROOM}/mau?hat=1&co=²").text
    assert visitor.get(f"{ROOM}/ngoai-le?nguong=12.000.001&ds=large").status_code == 200


# -- taking home --------------------------------------------------------------------------------------------------------


def test_every_export_comes_through_the_door(room: Room, visitor: Visitor) -> None:
    for name, begins in (
        ("so.beancount", 'option "title"'), ("so.journal", "; Tràng Tiền"), ("bang-can-doi.csv", "\ufeffcode,"),
        ("tai-khoan.csv", "\ufeffid,"), ("but-toan.csv", "\ufeffentry,"), ("la.ndjson", '{"origin":'),
    ):  # fmt: skip
        reply = visitor.get(f"{ROOM}/xuat/{name}")
        assert reply.status_code == 200, name
        assert reply.get_data(as_text=True).startswith(begins)
        assert f'filename="{name.partition(".")[0]}-20' in reply.headers["Content-Disposition"]
        assert reply.headers["Cache-Control"] == "no-store"
    whole = visitor.get(f"{ROOM}/xuat/mang-ve.zip")
    with zipfile.ZipFile(io.BytesIO(whole.data)) as archive:
        assert archive.testzip() is None
        assert {"verify.py", "checkpoint", "la.ndjson", "SHA256SUMS"} <= set(archive.namelist())
        assert archive.read("log-keys.txt").decode() == str(room.log.keys)
    for nothing in ("x", "so.beancount.exe", "..%2f..%2fsecret", "README.txt"):
        assert visitor.get(f"{ROOM}/xuat/{nothing}").status_code == 404


def test_a_bundle_fits_its_checkpoint_although_the_log_grows_meanwhile(
    room: Room, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rows 44 and 125: the sealer publishes every second; a checkpoint younger than the snapshot would lack its leaves."""

    @contextlib.contextmanager
    def overtaken(database: sa.Engine) -> Iterator[Books]:
        with snapshot(database) as books:
            assert room.city.send(room.life.hoa, room.life.binh, 3).status == 201
            room.log.seal()
            yield books

    monkeypatch.setattr("wallet.web.exports.snapshot", overtaken)
    before = room.log.checkpoint().size
    whole = visitor.get(f"{ROOM}/xuat/mang-ve.zip")
    assert room.log.checkpoint().size > before
    with zipfile.ZipFile(io.BytesIO(whole.data)) as archive:
        archive.extractall(tmp_path / "home")
    keys = tmp_path / "khoa.txt"
    keys.write_text(str(room.log.keys))
    assert verify.main([str(tmp_path / "home"), "--log-key", str(keys)]) == 0


def test_books_too_large_for_a_browser_are_not_begun(
    room: Room, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wallet.web.exports.ENTRIES_MAX", 1)
    assert "make export" in words_of(visitor.get(f"{ROOM}/xuat"))
    assert visitor.get(f"{ROOM}/xuat/mang-ve.zip").status_code == 404


# -- drawings -----------------------------------------------------------------------------------------------------------


def test_a_drawing_is_to_scale() -> None:
    drawn_ = charts.columns([100, -50, 0, 1])
    assert [one.below for one in drawn_.columns] == [False, True, False, False]
    heights = [one.height for one in drawn_.columns]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert heights[0] + heights[1] == pytest.approx(charts.COLUMNS_PX, abs=0.2)
    assert (heights[2], heights[3]) == (0, 2), "nothing is drawn as nothing, and little as something"
    assert drawn_.columns[0].y + heights[0] == pytest.approx(drawn_.zero, abs=0.2)
    assert drawn_.columns[1].y == pytest.approx(drawn_.zero, abs=0.2)
    assert charts.columns([]).columns == ()
    assert charts.shares([50, 0, 200, -3]) == [25, 0, 100, 0]
    assert charts.line([0, 10], most=10) == "0.0,100.0 50.0,100.0 50.0,4.0 100.0,4.0"


def test_no_page_of_the_room_has_a_script_or_style_of_its_own(room: Room, visitor: Visitor) -> None:
    """The policy is strict, and what is drawn is drawn without either."""
    for path in room.paths():
        reply = visitor.get(path)
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert not re.search(r"<style|style=|onclick|<script(?![^>]*\bsrc=)", reply.text), path
