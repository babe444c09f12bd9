"""Keys: the first browser comes in by a code, every other key by an older one; revoked is revoked."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.attack import forged, nothing_moved, refused
from tests.make import City, Signer
from wallet import clock, crypto, db
from wallet.canonical import Json
from wallet.client import Reply
from wallet.crypto import PrivateKey
from wallet.identity import codes, holders, keys, roles, sessions
from wallet.identity.roles import Role
from wallet.ids import HolderId

ENROL = "/v1/keys"


def newcomer(city: City, name: str = "Nguyễn Thị Hoa") -> Signer:
    """A citizen with a wallet and no key yet."""
    now, phone = clock.now(), city.phone()

    def work(unit) -> tuple[HolderId, UUID]:
        holder = holders.register_person(unit, name=name, phone=phone, now=now)
        return holder, holders.open_wallet(unit, holder, now=now)

    holder, account = db.unit(city.engine, work)
    signer = city.signer(holder, PrivateKey.generate(), name=name, phone=phone)
    signer.account = str(account)
    return signer


def code_for(city: City, signer: Signer, *, purpose: str = keys.ENROL, minutes_ago: float = 0) -> str:
    """Have a one-time code sent to somebody's phone."""
    then, secret = clock.now() - timedelta(minutes=minutes_ago), city.config.server_secret
    return db.unit(
        city.engine, lambda unit: codes.make(unit, secret=secret, purpose=purpose, phone=signer.phone, now=then)
    )[1]


def another(city: City, signer: Signer) -> Signer:
    """The same person at another machine, with a key of its own."""
    other = city.signer(HolderId(UUID(signer.holder)), PrivateKey.generate(), name=signer.name, phone=signer.phone)
    other.account = signer.account
    return other


def order(signer: Signer, code: str = "", *, device: str = "browser", label: str = "Máy của tôi", **own: Json) -> bytes:
    given: dict[str, Json] = {"key": dict(signer.key.public.jwk), "label": label, "device": device, "code": code}
    return signer.order("key_enrol", **given | own)


def send(city: City, signer: Signer, content: bytes, *, headers: dict[str, str] | None = None) -> Reply:
    """Send an enrolment as a page of its holder's does: with the session in which they are signed in."""
    holder = HolderId(UUID(signer.holder))
    try:
        token = db.unit(city.engine, lambda unit: sessions.open(unit, holder, now=clock.now()))
    except sa.exc.IntegrityError:  # nobody
        token = "none"
    signed = headers or signer.headers("POST", ENROL, content)
    return signer.send_with("POST", ENROL, content, signed | {"Cookie": f"session={token}"})


def enrol(city: City, signer: Signer, code: str = "", *, device: str = "browser") -> Reply:
    return send(city, signer, order(signer, code, device=device))


def approve(signer: Signer, key: str) -> Reply:
    return signer.act(f"/v1/keys/{key}/approvals", "key_approve", key=key)


def revoke(signer: Signer, key: str) -> Reply:
    return signer.insist(f"/v1/keys/{key}", signer.order("key_revoke", key=key), method="DELETE")


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def told(city: City, signer: Signer) -> list[str]:
    """The types of events about somebody's key, in their order."""
    with city.engine.connect() as connection:
        question = "SELECT type FROM ledger.event WHERE subject = %s ORDER BY seq"
        return list(connection.exec_driver_sql(question, (signer.key.public.id,)).scalars())


# -- coming in ----------------------------------------------------------------------------------------------


def test_the_first_browser_comes_in_by_its_code_and_signs_at_once(city: City) -> None:
    hoa = newcomer(city)
    refused(hoa.get(f"/v1/accounts/{hoa.account}"), 401, "signature_key_unknown")
    reply = enrol(city, hoa, code_for(city, hoa))
    assert (reply.status, reply.json()) == (201, {"id": hoa.key.public.id, "state": "active"})
    assert city.available(hoa) == 0
    assert told(city, hoa) == ["key.enrolled"]
    assert city.differences() == []


def test_the_holders_phone_is_told_of_a_new_device_once(city: City) -> None:
    hoa = newcomer(city)
    content = order(hoa, code_for(city, hoa))
    replies = [send(city, hoa, content) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].body == replies[1].body
    sent = [path.read_text() for path in Path(city.config.var_dir, "outbox").glob(f"*{hoa.phone}*")]
    assert len(sent) == 1
    assert crypto.check_code(hoa.key.public.id) in sent[0]


def test_a_second_browser_waits_for_the_first_even_with_a_code(city: City) -> None:
    hoa = newcomer(city)
    assert enrol(city, hoa, code_for(city, hoa)).status == 201
    for code in ("", code_for(city, hoa), "000000"):
        second = another(city, hoa)
        assert enrol(city, second, code).json()["state"] == "pending"
        refused(second.get(f"/v1/accounts/{hoa.account}"), 401, "signature_key")
        approved = approve(hoa, second.key.public.id)
        assert (approved.status, approved.json()["state"]) == (201, "active")
        assert city.available(second) == 0
        assert told(city, second) == ["key.enrolled", "key.approved"]
    assert city.differences() == []


def test_a_machines_key_never_comes_in_by_a_code(city: City) -> None:
    """And it does not count as the older device that a first browser would have to ask."""
    hoa = newcomer(city)
    machine = another(city, hoa)
    code = code_for(city, hoa)
    assert enrol(city, machine, code, device="machine").json()["state"] == "pending"
    assert enrol(city, hoa, code).json()["state"] == "active"


@pytest.mark.parametrize(
    "code", ["wrong", "old", "replaced", "of another purpose", "of another phone", "", "12345", "٠٠٠٠٠٠"]
)
def test_a_code_that_is_not_the_newest_of_this_phone_lets_nobody_in(city: City, code: str) -> None:
    """Row 73: wrong, ten minutes old, replaced by a newer one, sent for something else or to somebody else."""
    hoa = newcomer(city)
    given = {
        "wrong": lambda: wrong(code_for(city, hoa)),
        "old": lambda: code_for(city, hoa, minutes_ago=10.1),
        "replaced": lambda: [code_for(city, hoa, minutes_ago=2), code_for(city, hoa, minutes_ago=1)][0],
        "of another purpose": lambda: code_for(city, hoa, purpose="open"),
        "of another phone": lambda: code_for(city, newcomer(city)),
    }.get(code, lambda: code)()
    if given == "":
        assert enrol(city, hoa).json()["state"] == "pending"
        return
    with nothing_moved(city):
        refused(enrol(city, hoa, given), 403, "one_time_code_wrong")
    refused(hoa.get(f"/v1/accounts/{hoa.account}"), 401, "signature_key_unknown")


def test_a_code_is_good_for_one_key(city: City) -> None:
    """Row 73: not again after the first browser has gone."""
    hoa = newcomer(city)
    code = code_for(city, hoa)
    assert enrol(city, hoa, code).json()["state"] == "active"
    assert revoke(hoa, hoa.key.public.id).status == 200
    with nothing_moved(city):
        refused(enrol(city, another(city, hoa), code), 403, "one_time_code_wrong")
    assert enrol(city, another(city, hoa), code_for(city, hoa)).json()["state"] == "active"


def test_codes_are_tried_five_times_and_then_the_right_one_is_refused_too(city: City) -> None:
    """Row 69."""
    hoa = newcomer(city)
    code = code_for(city, hoa)
    for _ in range(5):
        refused(enrol(city, hoa, wrong(code)), 403, "one_time_code_wrong")
    with nothing_moved(city):
        reply = enrol(city, hoa, code)
        refused(reply, 429, "too_many_attempts")
    assert reply.headers["retry-after"] == "600"


def test_a_burst_of_guesses_is_at_most_five_checks(city: City) -> None:
    """Row 69: counted before they are checked, so that a hundred at once are no hundred guesses."""
    hoa = newcomer(city)
    code = code_for(city, hoa)
    replies = at_once([lambda: enrol(city, another(city, hoa), wrong(code))] * 12)
    answered = sorted(reply.status for reply in replies)
    assert answered == [403] * 5 + [429] * 7


def test_of_two_first_browsers_at_once_one_is_let_in(city: City) -> None:
    """The same code from two machines at the same instant: one is active, the other waits for it."""
    hoa = newcomer(city)
    code = code_for(city, hoa)
    replies = at_once([partial(enrol, city, another(city, hoa), code) for _ in range(4)])
    assert sorted(reply.json()["state"] for reply in replies) == ["active", "pending", "pending", "pending"]


def at_once(calls: list[Callable[[], Reply]]) -> list[Reply]:
    """Make calls from threads that all begin together."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(call) for call in calls]]


def test_keys_that_wait_are_limited(city: City) -> None:
    hoa = newcomer(city)
    assert enrol(city, hoa, code_for(city, hoa)).status == 201
    waiting = [another(city, hoa) for _ in range(keys.PENDING_MAX)]
    assert [enrol(city, one).json()["state"] for one in waiting] == ["pending"] * keys.PENDING_MAX
    more = another(city, hoa)
    content = order(more)
    with nothing_moved(city):
        refused(send(city, more, content), 409, "key_too_many_pending")
    assert approve(hoa, waiting[0].key.public.id).status == 201
    assert send(city, more, content).json()["state"] == "pending", "what was refused kept nothing and may come again"


# -- whose key ----------------------------------------------------------------------------------------------


def test_nobody_enrols_a_key_that_they_do_not_hold(city: City) -> None:
    """Row 56: an enrolment is signed by the key that it enrols."""
    hoa, binh = newcomer(city), newcomer(city, "Trần Văn Bình")
    theirs = order(binh, code_for(city, binh), key=dict(hoa.key.public.jwk))
    with nothing_moved(city):
        refused(send(city, binh, theirs), 401, "signature_key_unknown")
        claimed = forged(hoa, "POST", ENROL, theirs, key=binh.key)
        refused(send(city, binh, theirs, headers=claimed), 401, "signature_invalid")


def test_a_key_is_enrolled_once_in_its_life(city: City) -> None:
    """Neither again, nor by somebody else who holds it as well, nor after it was revoked."""
    hoa, binh = newcomer(city), newcomer(city, "Trần Văn Bình")
    assert enrol(city, hoa, code_for(city, hoa)).status == 201
    binh.key = hoa.key
    with nothing_moved(city):
        refused(enrol(city, hoa), 409, "key_enrolled")
        refused(enrol(city, binh, code_for(city, binh)), 409, "key_enrolled")
    assert revoke(hoa, hoa.key.public.id).status == 200
    with nothing_moved(city):
        refused(enrol(city, hoa), 409, "key_enrolled")


def test_a_refused_enrolment_does_not_use_up_the_code(city: City) -> None:
    """A refusal has written nothing but its outcome."""
    hoa, binh = newcomer(city), newcomer(city, "Trần Văn Bình")
    assert enrol(city, hoa, code_for(city, hoa)).status == 201
    code, own = code_for(city, binh), binh.key
    binh.key = hoa.key
    refused(enrol(city, binh, code), 409, "key_enrolled")
    binh.key = own
    assert enrol(city, binh, code).json()["state"] == "active"


def test_nobody_enrols_for_a_holder_that_is_none(city: City) -> None:
    ghost = city.signer(HolderId(uuid4()), PrivateKey.generate())
    with nothing_moved(city):
        refused(enrol(city, ghost, "123456"), 401, "signed_out")
        refused(enrol(city, ghost, device="machine"), 403, "role_not_admitted")


def test_a_browser_enrols_only_from_a_page_of_its_holders(city: City) -> None:
    """A stranger who knows a holder's id spends neither their tries of the code nor their places in the queue."""
    hoa, binh = newcomer(city), newcomer(city, "Trần Văn Bình")
    code = code_for(city, hoa)
    stranger = another(city, hoa)
    with nothing_moved(city):
        for _ in range(7):
            refused(stranger.send("POST", ENROL, order(stranger, wrong(code))), 401, "signed_out")
            refused(stranger.send("POST", ENROL, order(stranger)), 401, "signed_out")
        theirs = db.unit(city.engine, lambda unit: sessions.open(unit, HolderId(UUID(binh.holder)), now=clock.now()))
        content = order(stranger, code)
        headers = stranger.headers("POST", ENROL, content) | {"Cookie": f"session={theirs}"}
        refused(stranger.send_with("POST", ENROL, content, headers), 401, "signed_out")
    assert enrol(city, hoa, code).json()["state"] == "active"


# -- approving and revoking ---------------------------------------------------------------------------------


def test_every_illegal_move_of_a_key_is_refused(city: City) -> None:
    """Row 43: pending → active → revoked, pending → revoked, and nothing else."""
    hoa = newcomer(city)
    assert enrol(city, hoa, code_for(city, hoa)).status == 201
    second, third = another(city, hoa), another(city, hoa)
    assert [enrol(city, one).status for one in (second, third)] == [201, 201]
    active, waiting = second.key.public.id, third.key.public.id
    assert approve(hoa, active).status == 201
    with nothing_moved(city, outcomes=1):
        refused(approve(hoa, active), 409, "key_not_pending")
    assert revoke(hoa, active).json() == {"id": active, "state": "revoked"}
    assert revoke(hoa, waiting).json() == {"id": waiting, "state": "revoked"}
    with nothing_moved(city, outcomes=4):
        for key in (active, waiting):
            refused(revoke(hoa, key), 409, "key_revoked")
            refused(approve(hoa, key), 409, "key_not_pending")
    assert told(city, second) == ["key.enrolled", "key.approved", "key.revoked"]
    assert told(city, third) == ["key.enrolled", "key.revoked"]
    assert city.differences() == []


def test_a_key_revokes_itself_and_is_told_so_again_but_does_nothing_more(city: City) -> None:
    """Row 27: also the order that killed its own key can be asked again after a lost reply."""
    hoa = newcomer(city)
    assert enrol(city, hoa, code_for(city, hoa)).status == 201
    content = hoa.order("key_revoke", key=hoa.key.public.id)
    path = f"/v1/keys/{hoa.key.public.id}"
    first = hoa.send("DELETE", path, content)
    assert first.status == 200
    with nothing_moved(city):
        again = hoa.send("DELETE", path, content)
        assert (again.status, again.body) == (200, first.body)
        refused(hoa.send("DELETE", path, hoa.order("key_revoke", key=hoa.key.public.id)), 401, "signature_key")


def test_the_key_in_the_path_is_the_key_in_the_order(city: City) -> None:
    """Row 47: what is signed twice must be said once."""
    hoa = newcomer(city)
    assert enrol(city, hoa, code_for(city, hoa)).status == 201
    second = another(city, hoa)
    assert enrol(city, second).status == 201
    mine, other = hoa.key.public.id, second.key.public.id
    with nothing_moved(city):
        for method, path, kind in (
            ("POST", f"/v1/keys/{mine}/approvals", "key_approve"),
            ("DELETE", f"/v1/keys/{mine}", "key_revoke"),
        ):
            refused(hoa.send(method, path, hoa.order(kind, key=other)), 422, "order_invalid")
        for odd in ("", "x", other + "\n", "*" * 43, other[:-1]):
            refused(hoa.act(f"/v1/keys/{other}/approvals", "key_approve", key=odd), 422, "order_invalid")


@pytest.mark.parametrize(
    ("own", "code"),
    [
        ({"label": ""}, "text_not_plain"),
        ({"label": "x" * 61}, "text_not_plain"),
        ({"label": "a\u202eb"}, "text_hidden_character"),
        ({"device": "phone"}, "order_invalid"),
        ({"device": ""}, "order_invalid"),
    ],
)
def test_a_label_or_device_that_is_none_is_refused(city: City, own: dict[str, str], code: str) -> None:
    hoa = newcomer(city)
    with nothing_moved(city):
        reply = send(city, hoa, order(hoa, **own))
        refused(reply, 422, code)


def test_two_screens_can_compare_six_letters_of_a_key() -> None:
    assert crypto.check_code("abc-def_GHIJ") == "ABC-DEF"
    seen = {crypto.check_code(PrivateKey.generate().public.id) for _ in range(200)}
    assert len(seen) == 200
    assert all(len(code) == 7 and code[3] == "-" and code.replace("-", "").isalnum() for code in seen)


def test_whoever_has_no_citizens_role_enrols_too(city: City) -> None:
    """An officer's browser comes in the same way, by a code to the officer's phone."""
    now, phone = clock.now(), city.phone()

    def work(unit) -> HolderId:
        holder = holders.register_person(unit, name="Phạm Kiểm", phone=phone, now=now)
        roles.grant(unit, holder, Role.AUDITOR, now=now)
        return holder

    auditor = city.signer(db.unit(city.engine, work), PrivateKey.generate(), phone=phone)
    assert enrol(city, auditor, code_for(city, auditor)).json()["state"] == "active"
