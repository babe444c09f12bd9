"""The counter's doors: what came in, held against what was asked, told to who works there and to nobody else. Row 82."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from market import speech, takings, tally
from market.live import Counters
from market.registry import StaffRole
from tests import selling
from tests.databases import TestDatabase
from tests.logs import Log
from tests.make import City, Signer
from tests.selling import Shop
from wallet import clock, db
from wallet.client import Reply
from wallet.identity import sessions
from wallet.ids import HolderId
from wallet.live import ticket


@pytest.fixture(scope="module")
def city(database: TestDatabase) -> Iterator[City]:
    with City(database) as made:
        yield made


@pytest.fixture(scope="module")
def hoa(city: City) -> Signer:
    return city.citizen("Nguyễn Thị Hoa", available=9_000_000)


@pytest.fixture(scope="module")
def shop(city: City) -> Shop:
    return selling.shop(city)


@pytest.fixture(scope="module")
def cashier(shop: Shop) -> Signer:
    return shop.employ()


@pytest.fixture
def point(shop: Shop) -> UUID:
    """A point at which nobody has paid yet."""
    return shop.issue_point()


def at(point: UUID, tail: str = "") -> str:
    return f"/ban-hang/quay/{point}{tail}"


def paid(reply: Reply) -> UUID:
    """The entry of a payment that was done."""
    assert reply.status == 201, reply.body
    return UUID(reply.json()["entry"])


def ask(city: City, who: Signer, path: str, *, method: str = "GET", **headers: str) -> TestResponse:
    """Open an address as somebody who is signed in."""
    assert city.app is not None
    token = db.unit(city.engine, lambda unit: sessions.open(unit, HolderId(UUID(who.holder)), now=clock.now()))
    with city.app.test_client() as browser:
        browser.set_cookie("session", token)
        return browser.open(path, method=method, headers={"Origin": city.config.public_origin, **headers})


# -- the tally --------------------------------------------------------------------------------------------------------


def test_a_tally_is_two_letters_of_the_entry_and_of_the_secret() -> None:
    entry = UUID("01936c5e-7b00-7000-8000-000000000001")
    drawn = {tally.of(UUID(int=entry.int + n), secret=b"s" * 32) for n in range(5_000)}
    assert len(drawn) > 600, "nearly all of the 625"
    assert all(len(one) == 2 and set(one) <= set(tally.LETTERS) for one in drawn)
    assert tally.of(entry, secret=b"s" * 32) == tally.of(entry, secret=b"s" * 32)
    assert (
        sum(tally.of(UUID(int=n), secret=b"s" * 32) == tally.of(UUID(int=n), secret=b"t" * 32) for n in range(900)) < 9
    )


def test_no_letter_of_a_tally_looks_like_another() -> None:
    for pair in ("B8", "I1", "O0", "S5", "Z2", "G6"):
        assert not set(pair) <= set(tally.LETTERS)
    assert len(set(tally.LETTERS)) == len(tally.LETTERS) == 25


# -- takings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "said", "difference"), [(35_000, "exact", 0), (30_000, "under", 5_000), (40_000, "over", 5_000)]
)
def test_a_payment_to_the_sticker_is_held_against_what_the_cashier_keyed(
    city: City, shop: Shop, point: UUID, hoa: Signer, amount: int, said: str, difference: int
) -> None:
    invoice = shop.asks(35_000, point=point)
    entry = paid(shop.pay_sticker(hoa, amount, point=point))
    with city.engine.connect() as connection:
        (found,) = takings.recent(connection, point)
        assert takings.waiting(connection, point, now=clock.now()) == []
    assert (found.entry, found.invoice, found.asked) == (entry, UUID(invoice), 35_000)
    assert (found.said, found.difference, found.late) == (said, difference, False)
    told = found.told(b"s" * 32)
    assert told["words"] == speech.words_of(told["clips"])
    assert (told["amount"], told["difference"]) == (str(amount), str(difference))


def test_an_invoice_paid_by_its_own_code_is_exact(city: City, shop: Shop, point: UUID, hoa: Signer) -> None:
    invoice = shop.asks(12_000, point=point)
    with city.engine.connect() as connection:
        assert [one.amount for one in takings.waiting(connection, point, now=clock.now())] == [12_000]
    shop.pay(hoa, invoice)
    with city.engine.connect() as connection:
        (found,) = takings.recent(connection, point)
    assert (found.invoice, found.said, found.how) == (UUID(invoice), "exact", None)


def test_a_payment_that_may_answer_two_invoices_was_received_and_no_more(
    city: City, shop: Shop, point: UUID, hoa: Signer
) -> None:
    first, second = shop.asks(12_000, point=point), shop.asks(12_000, point=point)
    shop.pay_sticker(hoa, 12_000, point=point)
    with city.engine.connect() as connection:
        (found,) = takings.recent(connection, point)
        open_ = takings.waiting(connection, point, now=clock.now())
    assert (found.said, found.asked, found.difference) == ("received", None, 0)
    assert found.told(b"s" * 32)["words"] == "Đã nhận mười hai nghìn đồng"
    assert [str(one.id) for one in open_] == [second, first], "the cashier picks"


def test_the_list_is_of_this_point_newest_first_and_not_without_end(
    city: City, shop: Shop, point: UUID, hoa: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takings, "RECENT_MAX", 3)
    shop.pay_sticker(hoa, 9_000)
    for n in range(5):
        shop.pay_sticker(hoa, 1_000 + n, point=point)
    with city.engine.connect() as connection:
        found = takings.recent(connection, point)
    assert [one.amount for one in found] == [1_004, 1_003, 1_002]


# -- the doors --------------------------------------------------------------------------------------------------------


def test_a_cashier_sees_takings_and_only_the_owner_a_days_total(city: City, cashier: Signer, hoa: Signer) -> None:
    shop = selling.shop(city, "Nón lá Tây Hồ")
    shop.appoint(cashier, StaffRole.CASHIER)
    point = shop.points[0]
    entry = paid(shop.pay_sticker(hoa, 15_000))
    with city.database.superuser() as owner:  # a day and an hour ago
        owner.execute("ALTER TABLE market.payment DISABLE TRIGGER append_only")
        owner.execute("UPDATE market.payment SET at = at - interval '25 hours' WHERE entry = %s", [entry])
        owner.execute("ALTER TABLE market.payment ENABLE TRIGGER append_only")
    shop.pay_sticker(hoa, 35_000, point=shop.issue_point("Quầy 2"))
    shop.pay_sticker(hoa, 1_000)
    by_cashier = ask(city, cashier, at(point, "/thu")).get_json()
    by_owner = ask(city, shop.owner, at(point, "/thu")).get_json()
    assert [one["amount"] for one in by_cashier["takings"]] == ["1000", "15000"]
    assert "total" not in by_cashier
    assert by_owner["total"] == {"amount": "36000", "count": 2}
    assert 'id="total-sum"' not in ask(city, cashier, at(point)).text
    assert 'id="total-sum"' in ask(city, shop.owner, at(point)).text


@pytest.mark.parametrize(("tail", "method"), [("", "GET"), ("/thu", "GET"), ("/phieu", "POST"), ("/ma/{}.svg", "GET")])
def test_who_does_not_work_there_finds_no_counter(city: City, shop: Shop, tail: str, method: str) -> None:
    """Row 82: nor does somebody who works elsewhere, or who asks for a point that is none."""
    elsewhere = selling.shop(city, "Tinh dầu tràm").owner
    tail = tail.format(shop.asks(1_000))
    for point in (shop.points[0], uuid4()):
        assert ask(city, elsewhere, at(point, tail), method=method).status_code == 404


def test_a_list_that_has_not_changed_is_not_sent_again(
    city: City, shop: Shop, point: UUID, cashier: Signer, hoa: Signer
) -> None:
    first = ask(city, cashier, at(point, "/thu"))
    etag = first.headers["ETag"]
    again = ask(city, cashier, at(point, "/thu"), **{"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    shop.pay_sticker(hoa, 1_000, point=point)
    changed = ask(city, cashier, at(point, "/thu"), **{"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


def test_a_code_is_drawn_while_it_can_be_paid_and_where_it_was_asked_for(
    city: City, shop: Shop, point: UUID, cashier: Signer, hoa: Signer
) -> None:
    invoice = shop.asks(21_000, point=point)
    drawn = ask(city, cashier, at(point, f"/ma/{invoice}.svg"))
    assert (drawn.status_code, drawn.mimetype) == (200, "image/svg+xml")
    assert drawn.text.startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    assert ask(city, cashier, at(shop.points[0], f"/ma/{invoice}.svg")).status_code == 404, "not at another point"
    shop.pay(hoa, invoice)
    assert ask(city, cashier, at(point, f"/ma/{invoice}.svg")).status_code == 409


def test_the_page_may_connect_to_the_streams_and_to_nobody_else(city: City, shop: Shop, cashier: Signer) -> None:
    policy = ask(city, cashier, at(shop.points[0])).headers["Content-Security-Policy"]
    assert f"connect-src 'self' {city.config.live_origin};" in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_leave_to_listen_names_the_point_and_who_asked(city: City, shop: Shop, cashier: Signer) -> None:
    given = ask(city, cashier, at(shop.points[0], "/phieu"), method="POST").get_json()["stream"]
    address = urlsplit(given)
    assert f"{address.scheme}://{address.netloc}" == city.config.live_origin
    (text,) = parse_qs(address.query)["ticket"]
    read = ticket.open(text, secret=city.config.server_secret, now=clock.now())
    assert (read.topic, read.holder) == (shop.points[0], UUID(cashier.holder))


# -- what leaves tell ---------------------------------------------------------------------------------------------------


def test_the_leaves_of_payments_tell_their_own_point_in_order(city: City, shop: Shop, point: UUID, hoa: Signer) -> None:
    """By the auditors' role, which can only read."""
    other = shop.issue_point()
    invoice = shop.asks(2_000, point=point)
    log = Log(city.database)
    log.seal()
    low = int(log.ask("SELECT count(*) FROM log.leaf")[0][0])
    entries = [
        paid(shop.pay(hoa, invoice)),
        *(paid(shop.pay_sticker(hoa, amount, point=point)) for amount in (3_000, 4_000)),
    ]
    elsewhere = paid(shop.pay_sticker(hoa, 9_000, point=other))
    log.seal()
    source = Counters(city.config.server_secret)
    with city.audit.connect() as connection:
        told = source.between(connection, low, low + 4, [point])
        both = source.between(connection, low, low + 4, [point, other])
        missed = source.missed(connection, point, low, low + 4, 2)
        assert source.between(connection, low + 4, low + 9, [point]) == []
    assert [(one.index, one.data["entry"]) for one in told] == [(low + n, str(entries[n])) for n in range(3)]
    assert [one.data["entry"] for one in both] == [*map(str, entries), str(elsewhere)]
    assert [one.data["amount"] for one in missed] == ["3000", "4000"]
    assert told[0].data["tally"] == tally.of(entries[0], secret=city.config.server_secret)
