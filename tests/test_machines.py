"""A merchant's machine: it makes its key, its owner lets it in, it asks for payments, its owner shuts it out."""

import json
import stat
from collections.abc import Iterator
from datetime import timedelta

import pytest

from market.registry import StaffRole
from tests import selling
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, quick_hashes, value_of, words_of
from tests.selling import Shop
from wallet import client, clock, crypto, ids
from wallet.client import Reply
from wallet.crypto import PrivateKey
from wallet.identity import keys

PIN = "284619"


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    with City(database) as city:
        yield city
        assert city.differences() == []


@pytest.fixture(scope="module")
def shop(city: City) -> Shop:
    made = selling.shop(city, "Kiosk gửi xe Thương Bạc")
    city.with_pin(made.owner, PIN)
    return made


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    with quick_hashes():
        yield


def machine_of(city: City, shop: Shop) -> Signer:
    """A machine that has offered its key."""
    machine = city.signer(shop.merchant, PrivateKey.generate())
    reply = machine.enrol("Máy 1", code=code_of(city, shop))
    assert (reply.status, reply.json()["state"]) == (201, "pending")
    return machine


def code_of(city: City, shop: Shop, *, days: int = 0) -> str:
    day = clock.day_of(clock.now()) + timedelta(days=days)
    return keys.welcome(shop.merchant, day, secret=city.config.server_secret)


def press(shop: Shop, owner: Visitor, key: str, move: str, *, pin: str = PIN):
    page = owner.get(f"/ban-hang/diem/{shop.code}/may")
    order = value_of(page, "order_id") or str(ids.new())  # no button is left where every machine is shut out
    return owner.post(f"/ban-hang/diem/{shop.code}/may", {"order_id": order, "key": key, "move": move, "pin": pin})


def test_a_machine_signs_from_when_its_owner_lets_it_in_until_they_shut_it_out(city: City, shop: Shop) -> None:
    machine, owner = machine_of(city, shop), Visitor(city).enter(shop.owner)
    assert shop.invoice(5_000, by=machine).status == 401
    page = owner.get(f"/ban-hang/diem/{shop.code}/may")
    assert "Chờ cho phép" in words_of(page)
    assert crypto.check_code(machine.key.public.id) in words_of(page)
    assert str(shop.merchant) in page.text

    assert press(shop, owner, machine.key.public.id, "let_in").status_code == 303
    assert shop.read(shop.asks(5_000, by=machine))["state"] == "new"
    assert "Đang ký được" in words_of(owner.get(f"/ban-hang/diem/{shop.code}/may"))

    assert press(shop, owner, machine.key.public.id, "shut_out").status_code == 303
    assert shop.invoice(5_000, by=machine).status == 401
    again = press(shop, owner, machine.key.public.id, "shut_out")
    assert again.status_code == 409
    assert "đã bị khoá" in words_of(again) or "thu hồi" in words_of(again)
    assert press(shop, owner, machine.key.public.id, "let_in").status_code == 409


def test_a_session_without_the_pin_lets_nothing_in(city: City, shop: Shop) -> None:
    """Row 79."""
    machine, owner = machine_of(city, shop), Visitor(city).enter(shop.owner)
    for wrong in ("", "000000"):
        refused = press(shop, owner, machine.key.public.id, "let_in", pin=wrong)
        assert refused.status_code in (401, 403, 422)
        assert "PIN" in words_of(refused)
    assert shop.invoice(5_000, by=machine).status == 401


def test_a_stranger_who_knows_the_merchants_id_takes_no_place_of_its_machines(city: City, shop: Shop) -> None:
    """A code of another merchant, of the day before yesterday, or none; and however often, the real machine comes in."""
    other = selling.shop(city, "Quán bên cạnh")
    wrong = ["", "AAAAAAAA", code_of(city, other), code_of(city, shop, days=-2)]
    for code in wrong * 8:
        stranger = city.signer(shop.merchant, PrivateKey.generate())
        reply = stranger.enrol("Máy lạ", code=code)
        assert (reply.status, reply.json()["code"]) == (403, "one_time_code_wrong"), reply.body
    assert (
        city.signer(shop.merchant, PrivateKey.generate()).enrol("Máy", code=code_of(city, shop, days=-1)).status == 201
    )


def test_nobody_but_the_owner_lets_a_machine_in(city: City, shop: Shop) -> None:
    """Row 82: neither a manager, nor another merchant's owner, nor the machine itself or one that is in already."""
    waits, inside = machine_of(city, shop), machine_of(city, shop)
    press(shop, Visitor(city).enter(shop.owner), inside.key.public.id, "let_in")
    other = selling.shop(city, "Quán khác")
    city.with_pin(other.owner, PIN)
    path = f"/ban-hang/diem/{shop.code}/may"
    for person in (shop.employ(StaffRole.MANAGER, "Trần Quản Lý"), other.owner):
        assert Visitor(city).enter(person).get(path).status_code in (403, 404)
    theirs = Visitor(city).enter(other.owner)
    page = theirs.get(f"/ban-hang/diem/{other.code}/may")
    form = {"order_id": value_of(page, "order_id") or str(ids.new()), "key": waits.key.public.id}
    form |= {"move": "let_in", "pin": PIN}
    assert theirs.post(f"/ban-hang/diem/{other.code}/may", form).status_code == 404
    key = waits.key.public.id
    assert waits.act(f"/v1/keys/{key}/approvals", "key_approve", key=key).status == 401
    approved = inside.act(f"/v1/keys/{key}/approvals", "key_approve", key=key)
    assert approved.status == 403, approved.body
    assert shop.invoice(5_000, by=waits).status == 401


def test_a_form_that_makes_no_sense_is_refused(city: City, shop: Shop) -> None:
    owner = Visitor(city).enter(shop.owner)
    assert press(shop, owner, "x", "sell").status_code == 400
    assert press(shop, owner, "x", "let_in").status_code == 422
    assert press(shop, owner, "\0" * 43, "shut_out").status_code == 422
    assert press(shop, owner, "x" * 43, "shut_out").status_code == 404


def test_the_command_line_makes_a_key_once_keeps_it_for_its_owner_and_offers_it(
    city: City, shop: Shop, tmp_path, monkeypatch, capsys
) -> None:
    def in_process(self, method, path, content) -> Reply:
        answer = city.service.test_client(use_cookies=False).open(
            path, method=method, data=content, headers=self.headers(method, path, content), base_url=self.origin
        )
        return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.data)

    monkeypatch.setattr(client.Client, "send", in_process)
    file, origin = tmp_path / "may.json", city.config.public_origin
    given = ["--me", str(file), "enrol", "--at", origin, "--holder", str(shop.merchant), "--label", "Máy 2"]
    given += ["--code", code_of(city, shop)]
    assert client.main(given) == 0
    said = capsys.readouterr()
    kept = json.loads(file.read_text())
    key = PrivateKey.from_jwk(kept["jwk"]).public.id
    assert json.loads(said.out) == {"id": key, "state": "pending"}
    assert crypto.check_code(key) in said.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert client.main(given) == 1  # the same key again: it is enrolled
    assert json.loads(file.read_text()) == kept
    elsewhere = [*given[:4], "http://localhost:1", *given[5:]]
    assert client.main(elsewhere) == 2  # that file holds the key of another service
    press(shop, Visitor(city).enter(shop.owner), key, "let_in")
    invoice = shop.asks(7_000)
    capsys.readouterr()
    assert client.main(["--me", str(file), "get", f"/v1/invoices/{invoice}"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "new"
    with pytest.raises(SystemExit):
        client.main(["enrol", "--at", origin, "--holder", str(shop.merchant), "--label", "Máy 3"])
