"""Receipts through their door: who is given one, what it holds, and that it verifies with nothing but the log's key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests import memory_log
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.memory_log import MemoryLog
from wallet.canonical import Json
from wallet.client import NoReceipt, Reply
from wallet.crypto import PrivateKey
from wallet.ids import HolderId
from wallet.log import claims, evidence, note, statement
from wallet.log.note import Note


@dataclass
class Town:
    city: City
    log: MemoryLog
    hoa: Signer
    binh: Signer

    def receipt(self, signer: Signer, order: str) -> Reply:
        return signer.get(f"/v1/orders/{order}/receipt")

    def transfer(self, amount: int = 1_000, memo: str = "tiền chợ") -> str:
        """An order that was carried out."""
        own = {"payer": self.hoa.account, "payee": self.binh.account, "amount": str(amount), "memo": memo}
        reply = self.hoa.act("/v1/transfers", "transfer", **own)
        assert reply.status == 201, reply.body
        return str(reply.json()["order"])

    def status(self, raw: bytes) -> int:
        return evidence.verify(raw, self.log.keys()).status


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[Town]:
    with City(database) as city:
        assert city.app is not None
        log = MemoryLog.of("localhost:8000/log")
        assert city.config.public_origin == "http://localhost:8000"
        memory_log.give(city.app, log)
        yield Town(city, log, city.citizen("Nguyễn Thị Hoa", available=900_000), city.citizen("Trần Văn Bình"))


def test_a_sealed_order_has_a_receipt_that_verifies_with_the_logs_key_alone(town: Town) -> None:
    order = town.transfer()
    town.log.seal(town.city.engine)
    reply = town.receipt(town.hoa, order)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.headers["cache-control"] == "no-store"
    report = evidence.verify(reply.body, town.log.keys())
    assert (report.false, report.kind, report.status) == (None, "receipt", claims.PROVED)
    said = reply.json()
    assert json.loads(said["order"]["bytes"])["memo"] == "tiền chợ"
    (event,) = said["events"]
    assert json.loads(event["bytes"])["data"]["entry"]["postings"] == [
        {"debit": town.hoa.account, "credit": town.binh.account, "amount": "1000"}
    ]


def test_the_client_verifies_the_receipt_of_the_very_order_that_it_sent(town: Town) -> None:
    own = {"payer": town.hoa.account, "payee": town.binh.account, "amount": "1000", "memo": ""}
    sent = town.hoa.order("transfer", **own)
    assert town.hoa.insist("/v1/transfers", sent).status == 201
    town.log.seal(town.city.engine)
    raw, report = town.hoa.receipt(sent, town.log.keys())
    assert report.status == claims.PROVED
    assert json.loads(raw)["order"]["bytes"].encode() == sent
    never_sent = sent.replace(b'"1000"', b'"1"')
    with pytest.raises(NoReceipt, match="of another order"):
        town.hoa.receipt(never_sent, town.log.keys())
    with pytest.raises(NoReceipt, match="404"):
        town.hoa.receipt(town.hoa.order("transfer", **own), town.log.keys())


def test_every_kind_of_signed_order_has_a_receipt_that_verifies(town: Town) -> None:
    """What moves money, what undoes it, what holds it, and what moves none."""
    city, hoa, binh = town.city, town.hoa, town.binh
    machine = city.machine()
    bills = [city.bill(debtor=hoa, amounts=[20_000, 5_000]), city.bill(debtor=hoa, amounts=[7_000])]
    paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[one.seen for one in bills]).json()
    first, second = (one["entry"] for one in paid["bills"])
    back = machine.act("/v1/refunds", "refund", entry=first, lines=[{"line": "2", "amount": "4000"}], reason="thừa")
    undone = machine.act("/v1/reversals", "reverse", entry=second, reason="nhầm")
    hold = hoa.act(
        "/v1/holds", "hold", payer=hoa.account, payee=binh.account, amount="9000",
        lapses_at=str(int(json.loads(hoa.order("x"))["created"]) + 3600),
    )  # fmt: skip
    captured = city.capture(binh, hold.json()["hold"], 2_000)
    voided = city.void(binh, hold.json()["hold"])
    frozen, thawed = city.move(hoa, "freeze"), city.move(hoa, "thaw")
    town.log.seal(city.engine)
    done = [(hoa, paid["order"]), (machine, back), (machine, undone), (hoa, hold), (binh, captured), (binh, voided),
            (hoa, frozen), (hoa, thawed)]  # fmt: skip
    for signer, one in done:
        order = one if isinstance(one, str) else one.json()["order"]
        report = evidence.verify(town.receipt(signer, order).body, town.log.keys())
        assert (report.false, report.status) == (None, claims.PROVED), report.false


def test_a_key_that_enrolled_itself_and_the_one_that_let_it_in_have_receipts(town: Town) -> None:
    citizen = town.city.citizen("Lê Thị Mới")
    fresh = town.city.signer(HolderId(UUID(citizen.holder)), PrivateKey.generate())
    own: dict[str, Json] = {"key": dict(fresh.key.public.jwk), "label": "Máy", "device": "machine", "code": ""}
    enrolled = fresh.act("/v1/keys", "key_enrol", **own)
    approved = citizen.act(f"/v1/keys/{fresh.key.public.id}/approvals", "key_approve", key=fresh.key.public.id)
    assert (enrolled.status, approved.status) == (201, 201)
    town.log.seal(town.city.engine)
    with town.city.engine.connect() as connection:
        asked = "SELECT order_id, order_kind FROM ledger.authority WHERE signer = %s AND order_kind LIKE 'key_%%'"
        orders = {row.order_kind: row.order_id for row in connection.exec_driver_sql(asked, (citizen.holder,))}
    for kind in ("key_enrol", "key_approve"):
        reply = town.receipt(citizen, str(orders[kind]))
        assert town.status(reply.body) == claims.PROVED, (kind, evidence.verify(reply.body, town.log.keys()).false)


def test_a_key_let_in_by_an_older_device_is_proved_by_both_events(town: Town) -> None:
    citizen = town.city.citizen("Lê Thị Hai Máy", available=10_000)
    fresh = town.city.signer(HolderId(UUID(citizen.holder)), PrivateKey.generate())
    fresh.account = citizen.account
    own: dict[str, Json] = {"key": dict(fresh.key.public.jwk), "label": "Máy", "device": "machine", "code": ""}
    assert fresh.act("/v1/keys", "key_enrol", **own).status == 201
    assert (
        citizen.act(f"/v1/keys/{fresh.key.public.id}/approvals", "key_approve", key=fresh.key.public.id).status == 201
    )
    sent = town.city.send(fresh, town.binh, 10)
    assert sent.status == 201, sent.body
    town.log.seal(town.city.engine)
    said = town.receipt(citizen, sent.json()["order"]).json()
    assert [json.loads(one["bytes"])["type"] for one in said["enrolment"]] == ["key.enrolled", "key.approved"]
    assert town.status(json.dumps(said).encode()) == claims.PROVED
    said["enrolment"].pop()
    report = evidence.verify(json.dumps(said).encode(), town.log.keys())
    assert report.status == claims.ENROLMENT.status


def test_an_order_not_sealed_yet_is_acknowledged_with_a_promise_of_ten_seconds(town: Town) -> None:
    town.log.seal(town.city.engine)
    order = town.transfer()
    reply = town.receipt(town.hoa, order)
    said = statement.parse(Note.parse(reply.json()["statement"].encode()).text)
    assert (said.kind, said.order, said.signer) == ("acknowledgement", order, town.hoa.holder)
    happened = datetime.fromisoformat(json.loads(reply.json()["events"][0]["bytes"])["at"])
    assert datetime.fromisoformat(said.by) - happened == timedelta(seconds=10)
    later = statement.parse(Note.parse(town.receipt(town.hoa, order).json()["statement"].encode()).text)
    assert (later.by, later.at > said.at) == (said.by, True), "asked again, it promises nothing later"
    report = evidence.verify(reply.body, town.log.keys())
    assert (report.false, report.status) == (None, claims.WORD_ONLY)
    town.log.seal(town.city.engine)
    assert town.status(town.receipt(town.hoa, order).body) == claims.PROVED


def test_a_promise_of_more_than_ten_seconds_is_none(town: Town) -> None:
    town.log.seal(town.city.engine)
    said = town.receipt(town.hoa, town.transfer()).json()
    promised = statement.parse(Note.parse(said["statement"].encode()).text)
    longer = replace(promised, by=promised.by.replace("202", "203", 1))
    said["statement"] = note.sign(longer.text, town.log.signer()).encode().decode()
    report = evidence.verify(json.dumps(said).encode(), town.log.keys())
    assert report.false is not None
    assert report.false.claim is claims.WORD_ORDER
    assert "more than 10 s" in report.false.detail


def test_a_leaf_that_no_checkpoint_covers_yet_is_not_called_sealed(town: Town) -> None:
    town.log.seal(town.city.engine)
    before, order = town.log.raw, town.transfer()
    town.log.seal(town.city.engine)
    town.log.raw = before
    assert town.receipt(town.hoa, order).json()["kind"] == "acknowledgement"
    town.log.raw = None
    assert town.receipt(town.hoa, order).json()["kind"] == "acknowledgement"
    town.log.seal(town.city.engine)
    assert town.receipt(town.hoa, order).json()["kind"] == "receipt"


def test_a_refused_order_gets_the_logs_word_that_it_was_refused_and_no_proof(town: Town) -> None:
    poor = town.city.citizen("Lê Văn Nghèo")
    order = poor.order("transfer", payer=poor.account, payee=town.hoa.account, amount="5", memo="")
    assert poor.insist("/v1/transfers", order).status == 402
    town.log.seal(town.city.engine)
    reply = town.receipt(poor, json.loads(order)["id"])
    said = reply.json()
    assert (said["kind"], set(said)) == ("refusal", {"v", "kind", "order", "statement"})
    assert statement.parse(Note.parse(said["statement"].encode()).text).about == "insufficient_funds"
    report = evidence.verify(reply.body, town.log.keys())
    assert (report.false, report.status) == (None, claims.WORD_ONLY)


def test_nobody_but_the_signer_is_given_a_receipt(town: Town) -> None:
    """Row 82: another's order, the payee's included, is not there."""
    order = town.transfer()
    for signer in (town.binh, town.city.operator(), town.city.officer(), town.city.machine()):
        reply = town.receipt(signer, order)
        assert (reply.status, reply.json()["code"]) == (404, "order_not_found")
    for unknown in (str(uuid4()), "nothing", order.upper()):
        assert town.receipt(town.hoa, unknown).json()["code"] == "order_not_found"
    assert town.city.app is not None
    assert town.city.app.test_client().get(f"/v1/orders/{order}/receipt").status_code == 401


def test_a_shredded_order_has_no_receipt(town: Town) -> None:
    order = town.transfer(memo="xoá tôi đi")
    town.log.seal(town.city.engine)
    with town.city.database.superuser() as owner:
        asked = (
            "DELETE FROM person.order_content c USING ledger.authority a WHERE a.id = c.authority AND a.order_id = %s"
        )
        assert owner.execute(asked, [order]).rowcount == 1
    assert town.receipt(town.hoa, order).status == 404


def test_an_order_given_without_a_key_has_no_receipt(town: Town) -> None:
    with town.city.engine.connect() as connection:
        asked = "SELECT order_id FROM ledger.authority WHERE signer = %s AND order_kind = 'key_admit'"
        order = connection.exec_driver_sql(asked, (town.hoa.holder,)).scalar_one()
    reply = town.receipt(town.hoa, str(order))
    assert (reply.status, reply.json()["code"]) == (409, "receipt_unsigned")


def test_without_a_log_there_is_no_receipt_and_nothing_else_is_lost(town: Town) -> None:
    order = town.transfer()
    assert town.city.app is not None
    memory_log.give(town.city.app, None)
    try:
        reply = town.receipt(town.hoa, order)
        assert (reply.status, reply.json()["code"]) == (503, "receipt_no_log")
        assert town.hoa.get(f"/v1/orders/{order}").status == 200
    finally:
        memory_log.give(town.city.app, town.log)
