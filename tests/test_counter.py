"""The counter's doors: what came in, held against what was asked, told to who works there and to nobody else. Row 82."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from market import speech, takings, tally
from market.live import Counters
from tests.counters import Counter, Stall
from tests.logs import Log
from tests.make import City, Signer
from wallet import clock, db
from wallet.identity import sessions
from wallet.ids import HolderId
from wallet.live import ticket


@pytest.fixture
def stall(city: City) -> Iterator[Stall]:
    made = Stall(city)
    yield made
    made.close()


@pytest.fixture
def owner(city: City) -> Signer:
    return city.citizen("Trần Văn Chủ")


@pytest.fixture
def cashier(city: City) -> Signer:
    return city.citizen("Lê Thị Quầy")


@pytest.fixture
def counter(stall: Stall, owner: Signer, cashier: Signer) -> Counter:
    return stall.counter(owner=owner, cashier=cashier)


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
    ("amount", "how", "said", "difference"),
    [
        (35_000, None, "exact", 0),
        (35_000, "exact", "exact", 0),
        (30_000, "under", "under", 5_000),
        (40_000, "over", "over", 5_000),
        (35_000, "late", "exact", 0),
    ],
)
def test_a_payment_is_held_against_what_was_asked(
    city: City,
    stall: Stall,
    counter: Counter,
    cashier: Signer,
    amount: int,
    how: str | None,
    said: str,
    difference: int,
) -> None:
    invoice = stall.invoice(counter, 35_000, by=cashier)
    entry = stall.paid(counter, amount, invoice=invoice, how=how)
    with city.engine.connect() as connection:
        (found,) = takings.recent(connection, counter.id)
    assert (found.entry, found.invoice, found.asked) == (entry, invoice, 35_000)
    assert (found.said, found.difference, found.late) == (said, difference, how == "late")
    told = found.told(b"s" * 32)
    assert told["words"] == speech.words_of(told["clips"])
    assert (told["amount"], told["difference"]) == (str(amount), str(difference))


def test_a_payment_that_answers_no_invoice_was_received_and_no_more(city: City, stall: Stall, counter: Counter) -> None:
    stall.paid(counter, 12_000)
    with city.engine.connect() as connection:
        (found,) = takings.recent(connection, counter.id)
    assert (found.said, found.asked, found.difference) == ("received", None, 0)
    assert found.told(b"s" * 32)["words"] == "Đã nhận mười hai nghìn đồng"


def test_the_list_is_of_this_point_newest_first_and_not_without_end(
    city: City, stall: Stall, counter: Counter, owner: Signer
) -> None:
    other = stall.counter(owner=owner)
    stall.paid(other, 1_000)
    for n in range(takings.RECENT_MAX + 2):
        stall.paid(counter, 1_000 + n)
    with city.engine.connect() as connection:
        found = takings.recent(connection, counter.id)
    assert [one.amount for one in found] == [1_021 - n for n in range(takings.RECENT_MAX)]


# -- the doors --------------------------------------------------------------------------------------------------------


def test_a_cashier_sees_takings_and_only_the_owner_a_days_total(
    city: City, stall: Stall, counter: Counter, owner: Signer, cashier: Signer
) -> None:
    stall.paid(counter, 35_000)
    stall.paid(counter, 15_000, at=clock.now() - timedelta(hours=25))
    by_cashier = ask(city, cashier, f"{counter.path}/thu").get_json()
    by_owner = ask(city, owner, f"{counter.path}/thu").get_json()
    assert [one["amount"] for one in by_cashier["takings"]] == ["35000", "15000"]
    assert "total" not in by_cashier
    assert by_owner["total"] == {"amount": "35000", "count": 1}
    page = ask(city, cashier, counter.path).text
    assert 'id="total-sum"' not in page
    assert 'id="total-sum"' in ask(city, owner, counter.path).text


@pytest.mark.parametrize(("tail", "method"), [("", "GET"), ("/thu", "GET"), ("/phieu", "POST")])
def test_who_does_not_work_there_finds_no_counter(
    city: City, stall: Stall, counter: Counter, tail: str, method: str
) -> None:
    """Row 82: nor does somebody who works elsewhere, or who asks for a point that is none."""
    stranger = city.citizen("Võ Văn Lạ")
    stall.counter(owner=stranger)
    assert ask(city, stranger, counter.path + tail, method=method).status_code == 404
    assert ask(city, stranger, f"/ban-hang/quay/{uuid4()}{tail}", method=method).status_code == 404


def test_a_list_that_has_not_changed_is_not_sent_again(
    city: City, stall: Stall, counter: Counter, cashier: Signer
) -> None:
    first = ask(city, cashier, f"{counter.path}/thu")
    etag = first.headers["ETag"]
    again = ask(city, cashier, f"{counter.path}/thu", **{"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    stall.paid(counter, 1_000)
    changed = ask(city, cashier, f"{counter.path}/thu", **{"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


def test_the_page_may_connect_to_the_streams_and_to_nobody_else(city: City, counter: Counter, cashier: Signer) -> None:
    policy = ask(city, cashier, counter.path).headers["Content-Security-Policy"]
    assert f"connect-src 'self' {city.config.live_origin};" in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_leave_to_listen_names_the_point_and_who_asked(city: City, counter: Counter, cashier: Signer) -> None:
    address = urlsplit(ask(city, cashier, f"{counter.path}/phieu", method="POST").get_json()["stream"])
    assert f"{address.scheme}://{address.netloc}" == city.config.live_origin
    (text,) = parse_qs(address.query)["ticket"]
    given = ticket.open(text, secret=city.config.server_secret, now=clock.now())
    assert (given.topic, given.holder) == (counter.id, UUID(cashier.holder))


# -- what leaves tell ---------------------------------------------------------------------------------------------------


def test_the_leaves_of_payments_tell_their_own_point_in_order(
    city: City, stall: Stall, counter: Counter, owner: Signer
) -> None:
    """By the auditors' role, which can only read."""
    other = stall.counter(owner=owner)
    log = Log(city.database)
    log.tell(2)
    log.seal()
    low = int(log.ask("SELECT count(*) FROM log.leaf")[0][0])
    entries = [stall.paid(counter, amount) for amount in (1_000, 2_000, 3_000)]
    elsewhere = stall.paid(other, 9_000)
    log.seal()
    source = Counters(city.config.server_secret)
    with city.audit.connect() as connection:
        told = source.between(connection, low, low + 4, [counter.id])
        both = source.between(connection, low, low + 4, [counter.id, other.id])
        missed = source.missed(connection, counter.id, low, low + 4, 2)
        assert source.between(connection, low + 4, low + 9, [counter.id]) == []
    assert [(one.index, one.data["entry"]) for one in told] == [(low + n, str(entries[n])) for n in range(3)]
    assert [one.data["entry"] for one in both] == [*map(str, entries), str(elsewhere)]
    assert [one.data["amount"] for one in missed] == ["2000", "3000"]
    assert told[0].data["tally"] == tally.of(entries[0], secret=city.config.server_secret)
