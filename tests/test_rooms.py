"""The audit room and the operations room: the trial balance, the events, and recovery of somebody who lost all devices."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from tests import pages
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, error_at, value_of, words_of
from wallet import crypto, lookup
from wallet.identity.roles import Role
from wallet.ids import HolderId
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
