"""Coming in: PINs, one-time codes, sessions, and forms from elsewhere. Rows 69 to 76 of the register of attacks."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from werkzeug.routing import Rule

from tests import pages
from tests.databases import TestDatabase
from tests.make import City, Signer
from tests.pages import Visitor, error_at, words_of
from wallet import clock, crypto
from wallet.identity import attempts, codes, pins, sessions
from wallet.identity.pins import TrivialPin
from wallet.identity.roles import Role

RIGHT = "284619"
WRONG = "518273"


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    """One application for this module: making it takes longer than most tests here."""
    with City(database) as made, pages.quick_hashes():
        yield made


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> pages.MovedClock:
    """The service's clock, to be set ahead."""
    made = pages.MovedClock()
    monkeypatch.setattr(clock, "now", made)
    return made


@pytest.fixture
def town(city: City) -> City:
    """A city whose one network address has no tries behind it."""
    with city.engine.begin() as unit:
        unit.exec_driver_sql("DELETE FROM identity.attempt")
    return city


@pytest.fixture
def hoa(town: City) -> Signer:
    signer = town.citizen(available=50_000)
    town.with_pin(signer, RIGHT)
    return signer


def try_pins(visitor: Visitor, signer: Signer, tries: int, pin: str = WRONG) -> list[int]:
    return [visitor.sign_in(signer, pin).status_code for _ in range(tries)]


# -- PINs ----------------------------------------------------------------------------------------------------


def test_the_right_pin_opens_a_session_and_a_wrong_one_does_not(town: City, hoa: Signer) -> None:
    visitor = Visitor(town)
    refused = visitor.sign_in(hoa, WRONG)
    assert refused.status_code == 403
    assert visitor.cookie("session") is None
    let_in = visitor.sign_in(hoa, RIGHT)
    assert (let_in.status_code, let_in.location) == (303, "/")
    assert hoa.name in visitor.get("/").text


def test_of_a_hundred_guesses_at_once_only_a_few_are_checked(
    town: City, hoa: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 69: the try is counted and committed before the PIN is looked at, from one device as from many."""
    checked: list[str] = []
    lock = threading.Lock()

    def counted(hashed: str, pin: str) -> bool:
        with lock:
            checked.append(pin)
        return False

    monkeypatch.setattr(crypto, "pin_matches", counted)
    answers: list[int] = []
    guesses = iter(range(100))

    def guess(device: str | None) -> None:
        while True:
            with lock:
                number = next(guesses, None)
            if number is None:
                return
            stranger = Visitor(town, device=device or f"a-device-of-its-own-{number:04d}")
            answers.append(stranger.sign_in(hoa, f"{number:06d}").status_code)

    for device, most in (
        ("the-one-and-same-device", attempts.PIN_BY_DEVICE.tries),
        (None, attempts.PIN_BY_STRANGERS.tries),
    ):
        checked.clear()
        answers.clear()
        guesses = iter(range(100))
        threads = [threading.Thread(target=guess, args=(device,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 100
        assert set(answers) == {403, 429}
        assert len(checked) == answers.count(403) <= most
        with town.engine.begin() as unit:
            unit.exec_driver_sql("DELETE FROM identity.attempt")


def test_once_locked_the_right_pin_is_refused_too_until_the_time_is_over(
    town: City, hoa: Signer, moved: pages.MovedClock
) -> None:
    """Row 69: a lock that the right PIN opens would tell which it is."""
    visitor = Visitor(town, device="a-phone-that-is-not-known-yet")
    assert try_pins(visitor, hoa, 6) == [403] * 5 + [429]
    locked = visitor.sign_in(hoa, RIGHT)
    assert locked.status_code == 429
    assert "Đã thử quá nhiều lần." in words_of(locked)
    moved.ahead = attempts.PIN_BY_DEVICE.window + timedelta(seconds=1)
    assert visitor.sign_in(hoa, RIGHT).status_code == 303


def test_strangers_wrong_pins_do_not_lock_the_holders_own_device(town: City, hoa: Signer) -> None:
    """Row 70: a lockout is no weapon against the holder."""
    own = Visitor(town)
    assert own.sign_in(hoa, RIGHT).status_code == 303
    own.post("/dang-xuat")
    for number in range(4):
        try_pins(Visitor(town, device=f"a-strangers-device-{number:02d}"), hoa, 4)
    assert Visitor(town, device="another-strangers-device").sign_in(hoa, RIGHT).status_code == 429
    assert own.sign_in(hoa, RIGHT).status_code == 303


def test_guesses_at_many_wallets_from_one_address_end_too(town: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 69: one PIN tried at many phones is a search all the same."""
    monkeypatch.setattr(crypto, "pin_matches", lambda hashed, pin: False)
    visitor = Visitor(town)
    statuses = [
        visitor.post("/dang-nhap", {"phone": f"07{number:08d}", "pin": WRONG}).status_code
        for number in range(attempts.PIN_BY_ADDRESS.tries + 5)
    ]
    assert statuses == [403] * attempts.PIN_BY_ADDRESS.tries + [429] * 5


def test_an_unknown_phone_and_a_wrong_pin_are_answered_alike(
    town: City, hoa: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are the same, and a hash is computed for nobody as well: the time tells nothing either."""
    hashed: list[str] = []
    right = crypto.pin_matches

    def noted(against: str, pin: str) -> bool:
        hashed.append(against)
        return right(against, pin)

    monkeypatch.setattr(crypto, "pin_matches", noted)
    known, unknown = (
        Visitor(town).sign_in(hoa, WRONG),
        Visitor(town).post("/dang-nhap", {"phone": town.phone(), "pin": WRONG}),
    )
    assert known.status_code == unknown.status_code == 403
    assert words_of(known) == words_of(unknown)
    assert len(hashed) == 2
    assert {one.split("$")[1:4][0] for one in hashed} == {"argon2id"}
    assert len({tuple(one.split("$")[1:4]) for one in hashed}) == 1, "the same parameters, so the same time"


@pytest.mark.parametrize("phone", ["", "12345", "0912345", "abc", "+8491234567890", "09123456789", "٠٩١٢٣٤٥٦٧٨"])
def test_a_phone_number_that_is_none_is_refused_at_its_field(town: City, phone: str) -> None:
    refused = Visitor(town).post("/dang-nhap", {"phone": phone, "pin": WRONG})
    assert refused.status_code == 422
    assert error_at(refused, "phone")


def test_a_phone_number_may_be_written_as_people_write_it(town: City, hoa: Signer) -> None:
    bare = hoa.phone[1:]
    for written in (
        f"+84{bare}",
        f"84 {bare}",
        f"{hoa.phone[:4]} {hoa.phone[4:7]} {hoa.phone[7:]}",
        f"0{bare[:3]}.{bare[3:]}",
    ):
        assert Visitor(town).post("/dang-nhap", {"phone": written, "pin": RIGHT}).status_code == 303


TRIVIAL = {
    "one digit": ("000000", "111111", "999999"),
    "a run": ("123456", "012345", "234567", "345678", "890123", "654321", "987654", "543210"),
    "a pattern": ("121212", "373737", "123123", "246246", "112233", "998877"),
    "a date of birth": ("010190", "311299", "150785", "900101", "851207"),
    "the phone's digits": ("091256", "567890"),
}


@pytest.mark.parametrize("pin", [pin for some in TRIVIAL.values() for pin in some])
def test_a_pin_that_anybody_would_try_first_is_refused(pin: str) -> None:
    """Row 71: runs, repeats, dates of birth, and the phone's own digits."""
    with pytest.raises(TrivialPin):
        pins.acceptable(pin, phone="0912567890")


@pytest.mark.parametrize("pin", ["284619", "907153", "482915", "739402", "108399"])
def test_a_pin_that_is_hard_to_guess_is_taken(pin: str) -> None:
    assert pins.acceptable(pin, phone="0912345678") == pin


def test_a_pin_is_hashed_slowly_on_purpose() -> None:
    """RFC 9106's second choice: argon2id with 64 MiB. The other tests here use less."""
    assert pages.REAL_HASHER.hash(RIGHT).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_no_pin_ever_stands_in_a_page_an_address_or_a_log(
    town: City, hoa: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 71: a PIN that was typed is not shown again, not in an error either."""
    visitor = Visitor(town)
    caplog.set_level(0)
    for pin in (WRONG, RIGHT):
        reply = visitor.sign_in(hoa, pin)
        assert pin not in reply.text
        assert pin not in (reply.location or "")
        assert pin not in caplog.text
    assert (
        visitor.get(f"/dang-nhap?phone={hoa.phone}&pin={RIGHT}").text.count(RIGHT) <= 1
    )  # in the language form's `next`


# -- opening a wallet --------------------------------------------------------------------------------------------


def begin(visitor: Visitor, phone: str) -> str:
    """Ask for a code and return it."""
    reply = visitor.post("/mo-vi", {"phone": phone})
    assert (reply.status_code, reply.location) == (303, "/mo-vi/ma"), words_of(reply)
    return pages.code_in(visitor.city.config.var_dir, phone)


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_a_wallet_is_opened_by_phone_code_and_pin_and_the_session_is_there_at_once(town: City) -> None:
    visitor, phone = Visitor(town), town.phone()
    code = begin(visitor, phone)
    assert visitor.post("/mo-vi/ma", {"code": code}).location == "/mo-vi/pin"
    opened = visitor.post("/mo-vi/pin", {"name": "  Đỗ   Thị Mai ", "pin": RIGHT, "pin2": RIGHT})
    assert (opened.status_code, opened.location) == (303, "/thiet-bi")
    assert "Đỗ Thị Mai" in visitor.get("/").text
    assert visitor.cookie("opening") is None


def test_a_pin_typed_differently_or_trivial_is_refused_at_its_field_and_the_name_is_kept(town: City) -> None:
    visitor, phone = Visitor(town), town.phone()
    visitor.post("/mo-vi/ma", {"code": begin(visitor, phone)})
    for pin, pin2, field in ((RIGHT, WRONG, "pin2"), ("123456", "123456", "pin"), ("12345", "12345", "pin")):
        refused = visitor.post("/mo-vi/pin", {"name": "Đỗ Thị Mai", "pin": pin, "pin2": pin2})
        assert refused.status_code == 422
        assert error_at(refused, field)
        assert pages.value_of(refused, "name") == "Đỗ Thị Mai"
        assert not pages.value_of(refused, "pin")
    refused = visitor.post("/mo-vi/pin", {"name": "", "pin": RIGHT, "pin2": RIGHT})
    assert error_at(refused, "name")
    assert visitor.post("/mo-vi/pin", {"name": "Đỗ Thị Mai", "pin": RIGHT, "pin2": RIGHT}).status_code == 303


def test_a_code_is_good_once(town: City) -> None:
    """Row 73: the same code lets nobody in a second time, not on the same device and not on another."""
    first, second, phone = Visitor(town), Visitor(town), town.phone()
    code = begin(first, phone)
    second.client.set_cookie("opening", first.cookie("opening") or "", domain="localhost")
    assert first.post("/mo-vi/ma", {"code": code}).location == "/mo-vi/pin"
    again = second.post("/mo-vi/ma", {"code": code})
    assert again.location != "/mo-vi/pin"
    assert first.post("/mo-vi/pin", {"name": "Đỗ Thị Mai", "pin": RIGHT, "pin2": RIGHT}).status_code == 303
    # Nor does the errand that it opened lead anywhere once the wallet is open.
    late = second.post("/mo-vi/pin", {"name": "Kẻ Gian", "pin": WRONG, "pin2": WRONG})
    assert late.location == "/mo-vi"
    assert second.cookie("session") is None


def test_a_code_is_good_for_ten_minutes(town: City, moved: pages.MovedClock) -> None:
    """Row 73."""
    visitor, phone = Visitor(town), town.phone()
    code = begin(visitor, phone)
    moved.ahead = codes.LIFE + timedelta(seconds=1)
    late = visitor.post("/mo-vi/ma", {"code": code})
    assert late.location != "/mo-vi/pin"
    assert visitor.get("/mo-vi/pin").location == "/mo-vi"


def test_a_verified_code_is_good_for_ten_minutes_more(town: City, moved: pages.MovedClock) -> None:
    visitor, phone = Visitor(town), town.phone()
    visitor.post("/mo-vi/ma", {"code": begin(visitor, phone)})
    moved.ahead = codes.LIFE + timedelta(seconds=1)
    late = visitor.post("/mo-vi/pin", {"name": "Đỗ Thị Mai", "pin": RIGHT, "pin2": RIGHT})
    assert late.location == "/mo-vi"
    assert visitor.cookie("session") is None


def test_only_the_newest_code_counts(town: City) -> None:
    visitor, phone = Visitor(town), town.phone()
    old = begin(visitor, phone)
    new = begin(visitor, phone)
    if old != new:
        assert visitor.post("/mo-vi/ma", {"code": old}).status_code == 403
    assert visitor.post("/mo-vi/ma", {"code": new}).location == "/mo-vi/pin"


def test_a_code_for_one_purpose_serves_no_other(town: City, hoa: Signer) -> None:
    """Row 73: the code that lets a device in opens no wallet, and the one that opens a wallet lets no device in."""
    visitor = Visitor(town).enter(hoa)
    visitor.post("/thiet-bi/ma")
    for_device = pages.code_in(town.config.var_dir, hoa.phone)
    for_wallet = begin(visitor, hoa.phone)
    if for_device == for_wallet:  # one time in a million
        return
    assert visitor.post("/mo-vi/ma", {"code": for_device}).status_code == 403
    key = crypto.PrivateKey.generate()
    device = town.signer(hoa_id(hoa), key, name=hoa.name, phone=hoa.phone)
    order = {"key": dict(key.public.jwk), "label": "Máy mới", "device": "browser"}
    refused = visitor.act(device, "/v1/keys", "key_enrol", **order, code=for_wallet)
    assert refused.get_json()["code"] == "one_time_code_wrong"
    assert Visitor(town).act(device, "/v1/keys", "key_enrol", **order, code=for_device).status_code == 401
    assert visitor.act(device, "/v1/keys", "key_enrol", **order, code=for_device).get_json()["state"] == "active"


def hoa_id(signer: Signer):
    return UUID(signer.holder)


def test_codes_are_guessed_at_five_times_and_no_more(town: City) -> None:
    """Row 73: a million codes, five tries; then the right one is refused as well."""
    visitor, phone = Visitor(town), town.phone()
    code = begin(visitor, phone)
    statuses = [visitor.post("/mo-vi/ma", {"code": other_than(code)}).status_code for _ in range(5)]
    assert statuses == [403] * 5
    assert visitor.post("/mo-vi/ma", {"code": code}).status_code == 429


def test_a_phone_is_not_flooded_with_codes(town: City) -> None:
    visitor, phone = Visitor(town), town.phone()
    statuses = [visitor.post("/mo-vi", {"phone": phone}).status_code for _ in range(attempts.CODE_SENT.tries + 2)]
    assert statuses == [303] * attempts.CODE_SENT.tries + [429] * 2


def test_asking_for_a_code_tells_nobody_who_has_a_wallet(town: City, hoa: Signer) -> None:
    known, unknown = Visitor(town), Visitor(town)
    for visitor, phone in ((known, hoa.phone), (unknown, f"{town.phone()[:7]}{hoa.phone[7:]}")):
        begin(visitor, phone)
    assert words_of(known.get("/mo-vi/ma")) == words_of(unknown.get("/mo-vi/ma"))


def test_a_wallet_that_has_a_pin_is_not_opened_again_by_a_stolen_sim(town: City, hoa: Signer) -> None:
    """Row 73: a code to the phone alone replaces no PIN and opens no session."""
    visitor = Visitor(town)
    visitor.post("/mo-vi/ma", {"code": begin(visitor, hoa.phone)})
    refused = visitor.post("/mo-vi/pin", {"name": hoa.name, "pin": WRONG, "pin2": WRONG})
    assert refused.status_code == 409
    assert visitor.cookie("session") is None
    assert Visitor(town).sign_in(hoa, RIGHT).status_code == 303


# -- sessions ----------------------------------------------------------------------------------------------------


def test_signing_in_makes_a_new_token_whatever_was_there(town: City, hoa: Signer) -> None:
    """Row 74: a token that somebody put there beforehand is worth nothing afterwards."""
    visitor, planted = Visitor(town), "planted-by-somebody-else-0123456789abcdef"
    visitor.client.set_cookie("session", planted, domain="localhost")
    visitor.sign_in(hoa, RIGHT)
    first = visitor.cookie("session")
    assert first
    assert first != planted
    visitor.sign_in(hoa, RIGHT)
    assert visitor.cookie("session") not in (first, planted)
    fixed = Visitor(town)
    fixed.client.set_cookie("session", planted, domain="localhost")
    assert fixed.get("/lich-su").location.startswith("/dang-nhap")


def test_signing_out_ends_the_session_on_the_server(town: City, hoa: Signer) -> None:
    """Row 74: who kept the cookie keeps nothing."""
    visitor = Visitor(town)
    visitor.sign_in(hoa, RIGHT)
    token = visitor.cookie("session") or ""
    out = visitor.post("/dang-xuat")
    assert (out.status_code, out.location) == (303, "/")
    assert visitor.cookie("session") is None
    thief = Visitor(town)
    thief.client.set_cookie("session", token, domain="localhost")
    assert thief.get("/lich-su").location.startswith("/dang-nhap")
    assert thief.get(f"/v1/orders/{uuid4()}").status_code == 401


def test_the_token_itself_is_in_no_table(town: City, hoa: Signer) -> None:
    visitor = Visitor(town)
    visitor.sign_in(hoa, RIGHT)
    token = (visitor.cookie("session") or "").encode()
    with town.engine.connect() as connection:
        hashes = connection.exec_driver_sql("SELECT token_hash FROM identity.session").scalars().all()
    assert crypto.token_hash(token.decode()) in [bytes(one) for one in hashes]
    assert token not in [bytes(one) for one in hashes]


def cookies_set(reply) -> dict[str, str]:
    return {line.split("=", 1)[0]: line for line in reply.headers.getlist("Set-Cookie")}


def test_cookies_are_for_this_site_and_for_no_script(town: City, hoa: Signer) -> None:
    """Row 74."""
    line = cookies_set(Visitor(town).sign_in(hoa, RIGHT))["session"]
    assert "HttpOnly" in line
    assert "SameSite=Lax" in line
    assert "Path=/" in line
    assert "Domain" not in line


def test_behind_tls_every_cookie_is_bound_to_the_host(database) -> None:
    """Row 74: `__Host-` and Secure wherever the origin is https."""
    with City(database, origin="https://vi.hue.example") as secure:
        hoa = secure.citizen()
        secure.with_pin(hoa, RIGHT)
        visitor = Visitor(secure)
        reply = visitor.sign_in(hoa, RIGHT)
        assert reply.status_code == 303, words_of(reply)
        assert set(cookies_set(reply)) == {"__Host-session", "__Host-device"}
        for line in cookies_set(reply).values():
            assert "Secure" in line
            assert "Path=/" in line
            assert "Domain" not in line
        assert "max-age=" in reply.headers["Strict-Transport-Security"]
        assert hoa.name in visitor.get("/").text
        plain = Visitor(secure)
        plain.client.set_cookie("session", visitor.cookie("__Host-session") or "", domain="vi.hue.example")
        assert hoa.name not in plain.get("/").text, "a cookie that any subdomain could set counts for nothing"


def test_a_session_ends_when_nobody_has_looked_for_half_an_hour(
    town: City, hoa: Signer, moved: pages.MovedClock
) -> None:
    visitor = Visitor(town).enter(hoa)
    moved.ahead = sessions.IDLE - timedelta(minutes=2)
    assert visitor.get("/lich-su").status_code == 200
    moved.ahead += sessions.IDLE - timedelta(minutes=2)
    assert visitor.get("/lich-su").status_code == 200, "looking keeps it alive"
    moved.ahead += sessions.IDLE + timedelta(seconds=1)
    assert visitor.get("/lich-su").location == "/dang-nhap?next=/lich-su"


def test_a_session_ends_after_its_whole_life_however_busy(town: City, hoa: Signer, moved: pages.MovedClock) -> None:
    visitor = Visitor(town).enter(hoa)
    while moved.ahead < sessions.LIFE - timedelta(minutes=20):
        moved.ahead += timedelta(minutes=20)
        assert visitor.get("/lich-su").status_code == 200
    moved.ahead = sessions.LIFE + timedelta(seconds=1)
    assert visitor.get("/lich-su").location.startswith("/dang-nhap")
    assert visitor.post("/nop-thay", {"code": "x", "detail": "1"}).status_code == 401


def test_pages_of_somebody_are_kept_by_no_cache(town: City, hoa: Signer) -> None:
    visitor = Visitor(town).enter(hoa)
    for path in ("/", "/lich-su", "/thiet-bi"):
        assert visitor.get(path).headers["Cache-Control"] == "no-store"


# -- forms from elsewhere ------------------------------------------------------------------------------------------


def unsafe_pages(city: City) -> list[Rule]:
    """What a form could be sent to; neither the signed API nor the log's witnesses nor the card processor have to do with a
    cookie.
    """
    assert city.app is not None
    return [
        rule
        for rule in city.app.url_map.iter_rules()
        if rule.methods
        and rule.methods - {"GET", "HEAD", "OPTIONS"}
        and not rule.rule.startswith(("/v1/", "/log/", "/stripe/"))
    ]


@pytest.mark.parametrize("role", [None, Role.CITIZEN, Role.OFFICER, Role.OPERATOR])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8001"},
        {"Origin": "http://localhost:8000.evil.example"},
        {"Origin": "", "Referer": "http://localhost:8000/"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=["none", "foreign", "null", "other port", "longer", "referer only", "fetch metadata"],
)
def test_a_form_from_elsewhere_is_refused_at_every_page(town: City, role: Role | None, headers: dict[str, str]) -> None:
    """Row 75, the sign-in included: nobody is signed in as somebody else behind their back."""
    visitor = Visitor(town)
    if role:
        visitor.enter(town.officer() if role == Role.OFFICER else town.person("Trần Văn Ba", role))
    rules = unsafe_pages(town)
    assert len(rules) >= 10
    for rule in rules:
        path = re.sub(r"<[^>]+>", str(uuid4()), rule.rule)
        reply = visitor.client.post(
            path,
            data={"phone": "0912345678"},
            base_url=town.config.public_origin,
            headers={name: value for name, value in headers.items() if value},
        )
        assert reply.status_code == 403, path
        assert "Set-Cookie" not in reply.headers, path
        assert "cross_site" in reply.text, path


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_a_cookie_alone_moves_no_money_whatever_the_form_pretends(town: City, hoa: Signer, kind: str | None) -> None:
    """Row 75: what a form on another site can send under /v1 is never an order, signed in or not."""
    visitor = Visitor(town).enter(hoa)
    bill = town.bill(debtor=hoa)
    order = hoa.order("bill_payment", payer=hoa.account, bills=[bill.seen])
    for origin in ("https://evil.example", town.config.public_origin):
        headers = {"Origin": origin} | ({"Content-Type": kind} if kind else {})
        reply = visitor.client.post(
            "/v1/bill-payments", data=order, base_url=town.config.public_origin, headers=headers
        )
        assert reply.status_code == 415, reply.text
    unsigned = visitor.client.post(
        "/v1/bill-payments",
        data=order,
        base_url=town.config.public_origin,
        headers={"Content-Type": "application/json"},
    )
    assert 400 <= unsigned.status_code < 500
    assert town.available(hoa) == 50_000
    assert town.read_bill(bill).status == "due"


def test_no_page_can_be_framed_or_opened_with_a_hold_on_it(town: City, hoa: Signer) -> None:
    """Row 76: the confirm sheet in somebody's frame would be pressed unseen."""
    visitor, bill = Visitor(town).enter(hoa), town.bill(debtor=hoa)
    for path in ("/", f"/thanh-toan?b={bill.id}", "/thiet-bi", "/dang-nhap", "/khong-co"):
        headers = visitor.get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Referrer-Policy"] == "same-origin", path


def test_pages_that_sign_let_no_text_become_a_script(town: City, hoa: Signer) -> None:
    """Row 81: a key that cannot be taken out could still be used by a script that got in."""
    visitor, bill = Visitor(town).enter(hoa), town.bill(debtor=hoa)
    for path in ("/", f"/thanh-toan?b={bill.id}", "/thiet-bi"):
        policy = visitor.get(path).headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "trusted-types 'none'" in policy
        assert "unsafe" not in policy


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
    "/\t/evil.example", "/\n/evil.example", " //evil.example", "http:evil.example", "///evil.example", "/%0d%0aX: 1\r\n",
]  # fmt: skip


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_sent_to_another_site_after_signing_in_or_choosing_a_language(
    town: City, hoa: Signer, wanted: str
) -> None:
    visitor = Visitor(town)
    signed_in = visitor.post("/dang-nhap", {"phone": hoa.phone, "pin": RIGHT, "next": wanted})
    assert (signed_in.status_code, signed_in.location) == (303, "/")
    assert Visitor(town).post("/ngon-ngu", {"locale": "en", "next": wanted}).location == "/"
    shown = Visitor(town).get(f"/dang-nhap?{urlencode({'next': wanted})}")
    assert not pages.value_of(shown, "next", action="/dang-nhap")


def test_whoever_was_asked_to_sign_in_goes_on_to_where_they_were_going(town: City, hoa: Signer) -> None:
    visitor, bill = Visitor(town), town.bill(debtor=hoa)
    asked = visitor.get(f"/thanh-toan?b={bill.id}")
    assert asked.status_code == 302
    wanted = pages.value_of(visitor.get(asked.location), "next", action="/dang-nhap")
    assert wanted == "/thanh-toan?b=" + str(bill.id)
    assert visitor.post("/dang-nhap", {"phone": hoa.phone, "pin": RIGHT, "next": wanted}).location == wanted


def test_the_language_is_remembered_and_only_one_that_there_is(town: City) -> None:
    visitor = Visitor(town)
    assert visitor.post("/ngon-ngu", {"locale": "en", "next": "/mo-vi"}).location == "/mo-vi"
    assert '<html lang="en">' in visitor.get("/").text
    visitor.post("/ngon-ngu", {"locale": "fr"})
    assert '<html lang="en">' in visitor.get("/").text
    visitor.post("/ngon-ngu", {"locale": "vi"})
    assert '<html lang="vi">' in visitor.get("/", **{"Accept-Language": "en"}).text


def test_every_role_comes_home_to_its_own_room_and_is_let_into_no_other(town: City) -> None:
    rooms = {"/lich-su": Role.CITIZEN, "/quay": Role.OFFICER, "/kiem-toan": Role.AUDITOR, "/van-hanh": Role.OPERATOR}
    people = {
        Role.CITIZEN: town.citizen(),
        Role.OFFICER: town.officer(),
        Role.AUDITOR: town.person("Hoàng Thị Kiểm", Role.AUDITOR),
        Role.OPERATOR: town.person("Vũ Minh Tâm", Role.OPERATOR),
    }
    for role, person in people.items():
        visitor = Visitor(town).enter(person)
        for path, owner in rooms.items():
            assert visitor.get(path).status_code == (200 if owner == role else 403), (role, path)
