"""The audit room and the operations room: the trial balance now and then, events, closed periods, limits, frozen wallets,
and recovery of somebody who lost all devices.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from tests import pages
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, error_at, value_of, words_of
from wallet import clock, crypto, ids, lookup, periods, rules
from wallet.identity.roles import Role
from wallet.ids import HolderId
from wallet.money import grouped
from wallet.web import gate

RIGHT = "284619"


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    """One application for this module: making it takes longer than most tests here."""
    with City(database) as made, pages.quick_hashes():
        yield made


@pytest.fixture
def auditor(city: City) -> Visitor:
    return Visitor(city).enter(city.person("Hoàng Thị Kiểm", Role.AUDITOR))


@pytest.fixture
def operator(city: City) -> Visitor:
    return Visitor(city).enter(city.person("Vũ Minh Tâm", Role.OPERATOR))


@pytest.fixture
def hoa(city: City) -> Signer:
    """Somebody who has a wallet, money, a PIN and a browser that signs."""
    with city.engine.begin() as unit:
        unit.exec_driver_sql("DELETE FROM identity.attempt")
    signer = city.citizen(available=70_000, device="browser")
    city.with_pin(signer, RIGHT)
    return signer


# -- what they see ------------------------------------------------------------------------------------------------


def test_auditor_and_operator_see_that_debit_equals_credit(
    city: City, auditor: Visitor, operator: Visitor, hoa: Signer
) -> None:
    bill = city.bill(debtor=hoa, amounts=[25_000])
    assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
    for visitor, path in ((auditor, "/kiem-toan"), (operator, "/van-hanh")):
        reply = visitor.get(path)
        rows = [
            [
                re.sub(r"\D", "", re.sub(r"<[^>]+>", "", cell))
                for cell in re.findall(r'(?s)<td class="right num">(.*?)</td>', row)
            ]
            for row in re.findall(r"(?s)<tr>(.*?)</tr>", reply.text)
        ]
        *accounts, total = [[int(cell or 0) for cell in row] for row in rows if row]
        assert len(accounts) >= 3
        assert [sum(side) for side in zip(*accounts, strict=True)] == total
        assert total[0] == total[1] > 0
        assert "Nợ bằng Có" in words_of(reply)


def test_auditor_and_operator_see_the_newest_events_first_and_can_read_on(
    city: City, auditor: Visitor, operator: Visitor, hoa: Signer
) -> None:
    made = [city.bill(debtor=hoa) for _ in range(12)]
    for visitor, path in ((auditor, "/kiem-toan/su-kien"), (operator, "/van-hanh/su-kien")):
        seen: list[tuple[str, str]] = []
        following: str | None = path
        while following and len(seen) < 120:
            reply = visitor.get(following)
            assert reply.status_code == 200
            seen += re.findall(r'<th scope="row"><code>([a-z.]+)</code></th><td class="code">([^<]+)</td>', reply.text)
            link = re.search(rf'href="({path}\?cursor=[^"]+)"', reply.text)
            following = link.group(1) if link else None
        assert ("bill.issued", str(made[-1].id)) in seen[:3]
        assert len(seen) > 50
        for nonsense in ("x", "%00", "-1", "e" * 200):
            assert visitor.get(f"{path}?cursor={nonsense}").status_code == 400


def test_an_event_names_nobody(auditor: Visitor, hoa: Signer) -> None:
    """The auditor reads ids; whose they are is in the one schema that the audit role may not read."""
    shown = auditor.get("/kiem-toan/su-kien").text
    assert hoa.name not in shown
    assert hoa.phone not in shown
    assert hoa.holder in shown


def test_the_auditor_can_write_nothing(city: City, auditor: Visitor, hoa: Signer) -> None:
    """Neither by a door of the pages, nor by a signed order, nor with the role that the pages read the books with."""
    assert city.app is not None
    bill = city.bill(debtor=hoa)
    for rule in city.app.url_map.iter_rules():
        view: Any = city.app.view_functions[rule.endpoint]
        if "POST" not in (rule.methods or ()) or rule.rule.startswith("/v1/") or view.admits == gate.ANYONE:
            continue
        if rule.rule == "/kiem-toan/hien-ten":  # the one order that is an auditor's own: it moves nothing, and is told
            continue
        path = re.sub(r"<[^>]+>", str(bill.id), rule.rule)
        assert auditor.post(path, {"order_id": str(uuid4()), "reason": "Thử", "phone": hoa.phone}).status_code == 403, (
            path
        )
    signer = city.person("Hoàng Văn Soát", Role.AUDITOR)
    orders: dict[str, tuple[str, dict[str, Any]]] = {
        "/v1/transfers": ("transfer", {"payer": hoa.account, "payee": str(uuid4()), "amount": "1", "memo": ""}),
        "/v1/bill-payments": ("bill_payment", {"payer": hoa.account, "bills": [bill.seen]}),
        f"/v1/bills/{bill.id}/cancel": ("bill_cancel", {"bill": str(bill.id), "reason": "Thử"}),
    }
    for path, (kind, own) in orders.items():
        assert signer.act(path, kind, **own).status == 403, path
    with city.audit.connect() as connection:
        for statement in (
            "DELETE FROM ledger.entry",
            "UPDATE bills.bill SET total = 0",
            "SELECT name FROM person.person",
        ):
            with pytest.raises(Exception, match=r"permission denied|read-only"):
                connection.exec_driver_sql(statement)
            connection.rollback()
    assert city.available(hoa) == 70_000
    assert city.read_bill(bill).status == "due"


# -- as of an instant ---------------------------------------------------------------------------------------------


def total_of(reply: TestResponse) -> int:
    """Return what the debit side of a shown trial balance comes to; 0 where the page says that there is nothing."""
    shown = re.search(r'(?s)<tfoot>.*?<td class="right num">(.*?)</td>', reply.text)
    return int(re.sub(r"\D", "", shown.group(1))) if shown else 0


def test_the_trial_balance_as_of_an_instant_counts_by_when_it_happened_or_by_when_it_was_written(
    fresh_database: TestDatabase,
) -> None:
    with City(fresh_database) as city:
        hoa = city.citizen(available=70_000)
        auditor = Visitor(city).enter(city.person("Hoàng Thị Kiểm", Role.AUDITOR))
        now = clock.now()
        city.top_up(hoa, 1_000)
        city.top_up(hoa, 30_000, effective_at=now - timedelta(days=3))
        two_days_ago = clock.day_of(now) - timedelta(days=2)
        shown = {by: auditor.get(f"/kiem-toan?day={two_days_ago}&by={by}") for by in ("effective", "posted")}
        assert [total_of(shown[by]) for by in ("effective", "posted")] == [30_000, 0]
        assert f"Tính tới hết ngày {two_days_ago:%d/%m/%Y}, theo lúc có hiệu lực." in words_of(shown["effective"])
        assert "Tới lúc đó sổ chưa có bút toán nào." in words_of(shown["posted"])
        assert total_of(auditor.get("/kiem-toan")) == 101_000
        for by in ("effective", "posted"):
            assert total_of(auditor.get(f"/kiem-toan?day={clock.day_of(clock.now())}&by={by}")) == 101_000
        local = (now - timedelta(days=3)).astimezone(clock.CITY_TIME)
        before, after = local - timedelta(minutes=2), local + timedelta(minutes=2)
        at = [auditor.get(f"/kiem-toan?day={one:%Y-%m-%d}&time={one:%H:%M}") for one in (before, after)]
        assert [total_of(one) for one in at] == [0, 30_000], "the form is in the city's time, to the minute"


@pytest.mark.parametrize(
    "asked",
    ["day=hôm+qua", "day=2026-02-30", "day=9999-12-31", "day=1999-01-01", "time=10:05", "day=2020-01-01&time=25:00"],
)
def test_an_instant_that_is_none_is_named_at_its_field(operator: Visitor, asked: str) -> None:
    refused = operator.get(f"/van-hanh?{asked}")
    assert refused.status_code == 400
    assert error_at(refused, "day")
    tomorrow = clock.day_of(clock.now()) + timedelta(days=1)
    assert "đã qua" in error_at(operator.get(f"/van-hanh?day={tomorrow}"), "day")


# -- periods ------------------------------------------------------------------------------------------------------


def closable() -> date:
    """The last day that can be closed: right after midnight, the one before yesterday."""
    return clock.day_of(clock.now() - periods.GRACE - timedelta(minutes=1)) - timedelta(days=1)


def closing(operator: Visitor, kind: str, starts: date) -> dict[str, str]:
    """The form of the page that asks once more, as a browser sends it."""
    page = operator.get(f"/van-hanh/ky/khoa?period={kind}&starts={starts}")
    assert page.status_code == 200, words_of(page)
    return {name: value_of(page, name) or "" for name in ("order_id", "period", "starts")}


def test_an_operator_closes_a_day_once_and_the_auditor_reads_what_was_sealed(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        hoa = city.citizen(available=70_000)
        auditor = Visitor(city).enter(city.person("Hoàng Thị Kiểm", Role.AUDITOR))
        operator = Visitor(city).enter(city.person("Vũ Minh Tâm", Role.OPERATOR))
        day = closable()
        city.top_up(hoa, 30_000, effective_at=clock.day_bounds(day)[0])
        assert "Chưa khoá kỳ nào." in words_of(auditor.get("/kiem-toan/ky"))
        form = closing(operator, "day", day)
        assert "Đã khoá thì không mở lại được." in words_of(operator.get(f"/van-hanh/ky/khoa?period=day&starts={day}"))
        done = [operator.post("/van-hanh/ky/khoa", form) for _ in range(2)]
        assert [reply.status_code for reply in done] == [303, 303], words_of(done[0])
        assert done[0].location == done[1].location
        assert city.count("ledger.period") == 1
        for visitor, path in ((auditor, "/kiem-toan/ky"), (operator, "/van-hanh/ky")):
            shown = visitor.get(path)
            assert f"Ngày {day:%d/%m/%Y}" in words_of(shown)
            assert "30.000 ₫" in words_of(shown).replace("\xa0", " ")
            assert done[0].location.partition("#")[2] in shown.text
            assert re.search(r"<code>[0-9a-f]{64}</code>", shown.text)
        assert "period.closed" in auditor.get("/kiem-toan/su-kien").text
        again = operator.post("/van-hanh/ky/khoa", form | {"order_id": str(ids.new())})
        assert (again.status_code, "Kỳ này đã khoá sổ." in words_of(again)) == (409, True)
        assert value_of(again, "order_id") is None, "what is closed has no button"
        assert city.differences() == []


def test_a_period_that_is_not_over_or_is_none_is_refused_in_words(fresh_database: TestDatabase) -> None:
    with City(fresh_database) as city:
        operator = Visitor(city).enter(city.person("Vũ Minh Tâm", Role.OPERATOR))
        today = clock.day_of(clock.now())
        asked = [
            ("day", today, 409, "Kỳ này chưa kết thúc"),
            ("month", today.replace(day=1), 409, "Kỳ này chưa kết thúc"),
            ("month", date(2026, 1, 2), 422, "Một tháng bắt đầu từ ngày mồng một."),
        ]
        for kind, starts, status, said in asked:
            form = {"order_id": str(ids.new()), "period": kind, "starts": starts.isoformat()}
            refused = operator.post("/van-hanh/ky/khoa", form)
            assert (refused.status_code, said in words_of(refused)) == (status, True), words_of(refused)
        for spoilt in ({"period": "year"}, {"starts": "hôm qua"}, {"order_id": "x"}, {"starts": "9999-12-31"}):
            form = {"order_id": str(ids.new()), "period": "day", "starts": "2026-01-01"} | spoilt
            assert operator.post("/van-hanh/ky/khoa", form).status_code == 400, spoilt
        assert "Chưa khoá được" in words_of(operator.get(f"/van-hanh/ky/khoa?period=day&starts={today}"))
        assert city.count("ledger.period") == 0


def test_older_periods_are_on_the_next_page_and_a_month_stands_before_its_last_day(
    fresh_database: TestDatabase,
) -> None:
    with City(fresh_database) as city:
        operator = Visitor(city).enter(city.person("Vũ Minh Tâm", Role.OPERATOR))
        end = closable().replace(day=1) - timedelta(days=1)
        days = [end - timedelta(days=back) for back in range(34, -1, -1)]
        for kind, starts in [*(("day", one) for one in days), ("month", end.replace(day=1))]:
            form = {"order_id": str(ids.new()), "period": kind, "starts": starts.isoformat()}
            assert operator.post("/van-hanh/ky/khoa", form).status_code == 303
        pages_, following = [], "/van-hanh/ky"
        while following:
            reply = operator.get(following)
            pages_.append(re.findall(r'<th scope="row">(.*?)</th>', reply.text))
            link = re.search(r'href="(/van-hanh/ky\?truoc=[^"]+)"', reply.text)
            following = link.group(1) if link else ""
        assert [len(one) for one in pages_] == [32, 4]
        wanted = [f"Tháng {end:%m/%Y}", *(f"Ngày {one:%d/%m/%Y}" for one in reversed(days))]
        assert [*pages_[0], *pages_[1]] == wanted
        assert operator.get("/van-hanh/ky?truoc=x").status_code == 400


def test_the_auditor_is_offered_no_way_to_close_a_period_and_has_none(auditor: Visitor) -> None:
    """Row 86: the auditor writes nothing."""
    shown = auditor.get("/kiem-toan/ky")
    assert shown.status_code == 200
    assert "/ky/khoa" not in shown.text
    assert 'method="post" action="/van-hanh' not in shown.text
    form = {"order_id": str(ids.new()), "period": "day", "starts": closable().isoformat()}
    for path in ("/van-hanh/ky/khoa", "/kiem-toan/ky/khoa", "/kiem-toan/ky"):
        assert auditor.post(path, form).status_code in (403, 404, 405), path
    for path in (
        "/van-hanh/ky",
        "/van-hanh/ky/khoa?period=day&starts=2026-01-01",
        "/van-hanh/quy-tac",
        "/van-hanh/khoa-vi",
    ):
        assert auditor.get(path).status_code == 403, path


# -- limits -------------------------------------------------------------------------------------------------------


def test_an_operator_reads_every_limit_with_its_source_and_how_sure_we_are(operator: Visitor) -> None:
    shown = words_of(operator.get("/van-hanh/quy-tac")).replace("\xa0", " ")
    for rule in rules.limits():
        for text in (rule.title, grouped(rule.value), f"{rule.since:%d/%m/%Y}", rule.source_vi, rule.confidence_vi):
            assert text.replace("\xa0", " ") in shown, (rule.code, text)
        assert rule.source_vi != rule.source
        assert rule.source in words_of(operator.get("/van-hanh/quy-tac", **{"Accept-Language": "en"}))


# -- frozen wallets -----------------------------------------------------------------------------------------------


def move(operator: Visitor, what: str, phone: str, reason: str = "Công an yêu cầu bằng văn bản") -> TestResponse:
    order = value_of(operator.get("/van-hanh/khoa-vi"), "order_id")
    return operator.post("/van-hanh/khoa-vi", {"order_id": order, "move": what, "phone": phone, "reason": reason})


def pays(city: City, hoa: Signer) -> int:
    bill = city.bill(debtor=hoa)
    return hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status


def test_an_operator_freezes_a_wallet_and_only_an_operator_thaws_it(city: City, operator: Visitor, hoa: Signer) -> None:
    done = move(operator, "freeze", hoa.phone)
    assert done.status_code == 200, words_of(done)
    assert "Đã khoá ví này." in words_of(done)
    assert pays(city, hoa) == 403
    visitor = Visitor(city).enter(hoa)
    page = visitor.get("/thiet-bi")
    assert "Ví này do đơn vị vận hành tạm khoá." in words_of(page)
    assert "mo-khoa-vi" not in page.text
    refused = visitor.post("/thiet-bi/mo-khoa-vi", {"order_id": str(ids.new())})
    assert (refused.status_code, "Ví này do đơn vị vận hành tạm khoá." in words_of(refused)) == (403, True)
    assert pays(city, hoa) == 403
    again = move(operator, "freeze", hoa.phone)
    assert (again.status_code, 'role="alert"' in again.text) == (409, True)
    assert "Đã mở khoá ví này." in words_of(move(operator, "thaw", hoa.phone))
    assert pays(city, hoa) == 201
    assert city.differences() == []


def test_the_operator_who_freezes_sees_no_more_of_its_holder_than_tells_a_mistyped_number(
    operator: Visitor, city: City
) -> None:
    """Row 84: no full name, no balance, no account, no bills."""
    nhung = city.citizen("Nguyễn Thị Hồng Nhung", available=7_654_321)
    shown = move(operator, "freeze", nhung.phone)
    assert "N***** T** H*** Nhung" in words_of(shown)
    for private in (nhung.name, nhung.phone, nhung.account, nhung.holder, "7.654.321"):
        assert private not in shown.text.replace("\xa0", " "), private


def test_the_same_form_twice_freezes_once_and_leaves_its_reason_in_the_books(city: City, hoa: Signer) -> None:
    tam = city.person("Vũ Minh Tâm", Role.OPERATOR)
    operator = Visitor(city).enter(tam)
    form = {
        "order_id": value_of(operator.get("/van-hanh/khoa-vi"), "order_id") or "",
        "move": "freeze",
        "phone": hoa.phone,
        "reason": "Chủ ví báo mất máy",
    }
    assert [operator.post("/van-hanh/khoa-vi", form).status_code for _ in range(2)] == [200, 200]
    with city.engine.connect() as connection:
        content = lookup.content(connection, signer=HolderId(UUID(tam.holder)), order=UUID(form["order_id"]))
    assert "Chủ ví báo mất máy" in content.decode()
    assert operator.post("/van-hanh/khoa-vi", form | {"move": "thaw"}).status_code == 422, "another order, the same id"
    assert pays(city, hoa) == 403


@pytest.mark.parametrize(
    ("phone", "reason", "status", "field"),
    [
        ("12", "Lý do", 422, "phone"),
        ("of nobody", "Lý do", 404, "phone"),
        (None, " ", 422, "reason"),
        (None, "x" * 301, 422, "reason"),
    ],
)
def test_a_freeze_with_a_fault_says_which_and_changes_nothing(
    city: City, operator: Visitor, hoa: Signer, phone: str | None, reason: str, status: int, field: str
) -> None:
    phone = city.phone() if phone == "of nobody" else phone or hoa.phone
    refused = move(operator, "freeze", phone, reason)
    assert refused.status_code == status
    assert error_at(refused, field)
    assert reason in refused.text
    assert pays(city, hoa) == 201


# -- recovery -----------------------------------------------------------------------------------------------------


def recover(operator: Visitor, phone: str, reason: str = "Đã đối chiếu căn cước tại quầy") -> TestResponse:
    order = value_of(operator.get("/van-hanh/khoi-phuc"), "order_id")
    return operator.post("/van-hanh/khoi-phuc", {"order_id": order, "phone": phone, "reason": reason})


def ticket_in(reply: TestResponse) -> str:
    """Return the code that the operator hands over."""
    found = re.search(r'id="ticket">(\d{6})<', reply.text)
    assert found, words_of(reply)
    return found.group(1)


def states_of(city: City, signer: Signer) -> list[str]:
    with city.engine.connect() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT state FROM identity.key WHERE holder = %s AND device = 'browser' ORDER BY enrolled_at",
                (UUID(signer.holder),),
            ).scalars()
        )


def test_an_operator_recovers_somebody_who_lost_every_device_and_the_money_stays(
    city: City, operator: Visitor, hoa: Signer
) -> None:
    lost = Visitor(city, device="the-phone-that-fell-into-the-river")
    assert lost.sign_in(hoa, RIGHT).status_code == 303
    done = recover(operator, hoa.phone)
    assert done.status_code == 200, words_of(done)
    assert "Đã thu hồi mọi khoá của người này." in words_of(done)
    ticket = ticket_in(done)
    assert ticket not in operator.get("/van-hanh/khoi-phuc").text, "it is shown once, to be handed over"

    # Keys, PIN and sessions are gone.
    assert states_of(city, hoa) == ["revoked"]
    assert lost.get("/lich-su").location.startswith("/dang-nhap")
    assert lost.sign_in(hoa, RIGHT).status_code == 403
    bill = city.bill(debtor=hoa)
    refused = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
    assert (refused.status, refused.json()["code"]) == (401, "signature_key")

    # The wallet is opened again by phone, under the same name, and keeps the money.
    again = Visitor(city)
    again.post("/mo-vi", {"phone": hoa.phone})
    assert again.post("/mo-vi/ma", {"code": pages.code_in(city.config.var_dir, hoa.phone)}).location == "/mo-vi/pin"
    opened = again.get("/mo-vi/pin")
    assert hoa.name in opened.text
    wanted = {"name": "Một Người Khác", "pin": "739402", "pin2": "739402"}
    without = again.post("/mo-vi/pin", wanted | {"ticket": f"{(int(ticket) + 1) % 1_000_000:06d}"})
    assert without.status_code == 403, "a text to the phone alone opens nothing"
    assert error_at(without, "ticket")
    reply = again.post("/mo-vi/pin", wanted | {"ticket": ticket})
    assert (reply.status_code, reply.location) == (303, "/thiet-bi"), words_of(reply)
    home = words_of(again.get("/")).replace("\xa0", " ")
    assert "70.000 ₫" in home
    assert "Một Người Khác" not in home

    # The next device enrols as the first, with the code that came with the opening.
    code = again.cookie("enrol")
    key = crypto.PrivateKey.generate()
    device = city.signer(UUID(hoa.holder), key, name=hoa.name, phone=hoa.phone)  # type: ignore[arg-type]
    device.account = hoa.account
    jwk = dict(key.public.jwk)
    enrolled = again.act(device, "/v1/keys", "key_enrol", key=jwk, label="Máy mới", device="browser", code=code)
    assert enrolled.get_json()["state"] == "active", enrolled.text
    paid = device.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen])
    assert paid.status == 201, paid.body
    assert city.available(device) == 50_000
    assert city.differences() == []


def test_a_recovery_leaves_its_operator_and_reason_in_the_books(city: City, hoa: Signer) -> None:
    tam = city.person("Vũ Minh Tâm", Role.OPERATOR)
    operator = Visitor(city).enter(tam)
    order = value_of(operator.get("/van-hanh/khoi-phuc"), "order_id") or ""
    reason = f"Căn cước số ...{hoa.phone[-4:]}, đã gọi lại"
    done = operator.post("/van-hanh/khoi-phuc", {"order_id": order, "phone": hoa.phone, "reason": reason})
    assert done.status_code == 200
    assert "holder.recovered" in operator.get("/van-hanh/su-kien").text
    with city.engine.connect() as connection:
        content = lookup.content(connection, signer=HolderId(UUID(tam.holder)), order=UUID(order))
    assert reason in content.decode()


def test_the_same_recovery_form_twice_is_one_recovery(city: City, operator: Visitor, hoa: Signer) -> None:
    order = value_of(operator.get("/van-hanh/khoi-phuc"), "order_id")
    form = {"order_id": order, "phone": hoa.phone, "reason": "Đã đối chiếu căn cước"}
    assert operator.post("/van-hanh/khoi-phuc", form).status_code == 200
    city.with_pin(hoa, RIGHT)  # the person is back already
    visitor = Visitor(city, device="the-new-phone-of-this-person")
    assert visitor.sign_in(hoa, RIGHT).status_code == 303
    again = operator.post("/van-hanh/khoi-phuc", form)
    assert again.status_code == 409
    assert 'id="ticket"' not in again.text, "the ticket that was handed over stays the one that counts"
    assert visitor.get("/lich-su").status_code == 200, "the copy of the form has undone nothing"


@pytest.mark.parametrize(
    ("phone", "reason", "field"),
    [("", "Đã đối chiếu", "phone"), ("12", "Đã đối chiếu", "phone"), (None, "", "reason"), (None, "x" * 301, "reason")],
)
def test_a_recovery_with_a_fault_says_which_and_keeps_what_was_typed(
    city: City, operator: Visitor, hoa: Signer, phone: str | None, reason: str, field: str
) -> None:
    phone = hoa.phone if phone is None else phone
    refused = recover(operator, phone, reason)
    assert refused.status_code == 422
    assert error_at(refused, field)
    assert value_of(refused, "phone") == phone
    assert reason in refused.text
    assert states_of(city, hoa) == ["active"]


def test_nobody_is_recovered_who_has_no_wallet(city: City, operator: Visitor) -> None:
    refused = recover(operator, city.phone())
    assert refused.status_code == 404
    assert 'role="alert"' in refused.text


def test_only_an_operator_recovers(city: City, auditor: Visitor, hoa: Signer) -> None:
    form = {"order_id": str(uuid4()), "phone": hoa.phone, "reason": "Thử"}
    for visitor in (auditor, Visitor(city).enter(city.officer()), Visitor(city).enter(hoa)):
        assert visitor.get("/van-hanh/khoi-phuc").status_code == 403
        assert visitor.post("/van-hanh/khoi-phuc", form).status_code == 403
    assert Visitor(city).post("/van-hanh/khoi-phuc", form).status_code == 401
    assert states_of(city, hoa) == ["active"]
