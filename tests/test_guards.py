"""What a review found, held for good: errands, recovery, plans that draw on strangers, forms sent twice, whole sums."""

import contextlib
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from tests.make import City, Signer
from tests.pages import MovedClock, Visitor, code_in, error_at, value_of, words_of
from wallet import canonical, clock, db, ids, ledger
from wallet.events import Event
from wallet.identity import attempts, holders, keys
from wallet.identity.roles import Role
from wallet.ids import AccountId, EntryId, HolderId, OrderId
from wallet.ledger import Claim, Entry, Evidence, Plan, Posting, chart
from wallet.money import Dong

PIN = "284619"


@pytest.fixture
def town(city: City) -> City:
    with city.engine.begin() as unit:
        unit.exec_driver_sql("DELETE FROM identity.attempt")
    return city


def holder_of(signer: Signer) -> HolderId:
    return HolderId(UUID(signer.holder))


# -- a code opens the errand that asked for it, and no other -----------------------------------------------------------


def test_a_code_typed_by_one_browser_opens_nothing_in_another_that_waits_on_the_same_phone(town: City) -> None:
    """Row 73: a stranger lays a wait beside the victim's and has them type the code."""
    phone, victim, stranger = town.phone(), Visitor(town), Visitor(town)
    stranger.post("/mo-vi", {"phone": phone})
    victim.post("/mo-vi", {"phone": phone})
    typed = victim.post("/mo-vi/ma", {"code": code_in(town.config.var_dir, phone)})
    assert (typed.status_code, typed.location) == (303, "/mo-vi/pin")
    assert victim.get("/mo-vi/pin").status_code == 200
    assert stranger.get("/mo-vi/pin").status_code == 303


def test_a_later_wait_of_a_stranger_does_not_take_the_victims_code(town: City) -> None:
    phone, victim, stranger = town.phone(), Visitor(town), Visitor(town)
    victim.post("/mo-vi", {"phone": phone})
    stranger.post("/mo-vi", {"phone": phone})
    typed = victim.post("/mo-vi/ma", {"code": code_in(town.config.var_dir, phone)})
    assert typed.status_code == 403
    assert stranger.get("/mo-vi/pin").status_code == 303


# -- recovery ----------------------------------------------------------------------------------------------------------


def recovered(town: City, hoa: Signer) -> str:
    """Recover somebody and return the ticket that the operator sees."""
    operator = Visitor(town).enter(town.person("Võ Thanh Tâm", Role.OPERATOR))
    form = operator.get("/van-hanh/khoi-phuc")
    done = operator.post(
        "/van-hanh/khoi-phuc",
        {"order_id": value_of(form, "order_id"), "phone": hoa.phone, "reason": "Đã xem căn cước"},
    )
    assert done.status_code == 200, words_of(done)
    return done.text.split('id="ticket">')[1][:6]


def test_after_recovery_a_text_alone_does_not_open_the_wallet_and_the_ticket_does(town: City) -> None:
    """Row 78: who holds the stolen phone reads its texts."""
    hoa = town.citizen(available=70_000)
    town.with_pin(hoa, PIN)
    ticket = recovered(town, hoa)
    visitor = Visitor(town)
    visitor.post("/mo-vi", {"phone": hoa.phone})
    visitor.post("/mo-vi/ma", {"code": code_in(town.config.var_dir, hoa.phone)})
    pins = {"pin": "591836", "pin2": "591836"}
    refused = visitor.post("/mo-vi/pin", pins | {"ticket": "000000" if ticket != "000000" else "111111"})
    assert refused.status_code == 403
    assert "Mã khôi phục không đúng" in error_at(refused, "ticket")
    opened = visitor.post("/mo-vi/pin", pins | {"ticket": ticket})
    assert (opened.status_code, opened.location) == (303, "/thiet-bi")
    assert "70.000" in words_of(visitor.get("/"))
    assert town.differences() == []


def test_recovery_revokes_also_what_calls_itself_a_machine(town: City) -> None:
    hoa = town.citizen(available=70_000)  # her key is a machine's
    town.with_pin(hoa, PIN)
    recovered(town, hoa)
    refused = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=town.citizen().account, amount="1")
    assert (refused.status, refused.json()["code"]) == (401, "signature_key")


# -- the ledger refuses what no verb would plan ----------------------------------------------------------------------------


def executed(
    town: City, signer: HolderId, kind: str, plan: Plan, *, key: str | None = None, order_kind: str = "transfer"
) -> None:
    """Claim and execute as a broken web process could."""
    id = OrderId(uuid4())
    evidence = Evidence(
        kind=kind,  # type: ignore[arg-type]
        signer=signer,
        order_id=id,
        order_kind=order_kind,
        content=canonical.dumps({"id": str(id), "kind": order_kind, "signer": str(signer)}),
        key_id=key,
    )

    def work(unit: sa.Connection) -> None:
        claim = Claim.of(evidence)
        ledger.claim(unit, evidence, claim)
        ledger.post(unit, claim, plan, status=201, body=b"{}")

    db.unit(town.engine, work)


def drawn(debit: str, credit: str, amount: int) -> Plan:
    entry = Entry(
        id=EntryId(ids.new()),
        kind="transfer",
        effective_at=clock.now(),
        postings=(Posting(debit=AccountId(UUID(debit)), credit=AccountId(UUID(credit)), amount=Dong(amount)),),
    )
    return Plan(entries=(entry,), events=(Event(type="forged", subject=entry.id, entry=entry.id),), answer={})


def test_money_leaves_a_wallet_only_by_its_holders_signed_order(town: City) -> None:
    hoa, thief = town.citizen(available=50_000), town.citizen()
    theft = drawn(hoa.account, thief.account, 50_000)
    with pytest.raises(sa.exc.DBAPIError) as by_stranger:
        executed(town, holder_of(thief), "signed_order", theft, key=thief.key.public.id)
    assert "only by its holder's signed order" in str(by_stranger.value)
    bank = db.unit(town.engine, lambda unit: holders.register(unit, kind="outside", now=clock.now()))
    with pytest.raises(sa.exc.DBAPIError) as by_bank:
        executed(town, bank, "outside_word", theft)
    assert "only by its holder's signed order" in str(by_bank.value)
    with pytest.raises(sa.exc.DBAPIError) as by_session:
        executed(town, holder_of(hoa), "session_order", theft)
    assert "only a signed order" in str(by_session.value)
    assert town.available(hoa) == 50_000


def test_an_order_to_do_one_thing_pays_for_nothing_else(town: City) -> None:
    """An honest look-up, signed, is no authority to empty its signer's wallet."""
    hoa, thief = town.citizen(available=50_000), town.citizen()
    theft = drawn(hoa.account, thief.account, 50_000)
    with pytest.raises(sa.exc.DBAPIError) as refused:
        executed(town, holder_of(hoa), "signed_order", theft, key=hoa.key.public.id, order_kind="bill_lookup")
    assert "moves no money" in str(refused.value)
    assert town.available(hoa) == 50_000


def test_nobody_mints_money_by_a_transfer_of_their_own(town: City) -> None:
    """A transfer draws on its signer's wallet, and on no house or agency account."""
    thief = town.citizen()
    minted = drawn(str(town.house(chart.BANK_GUARANTEE)), thief.account, 777_000)
    with pytest.raises(sa.exc.DBAPIError) as refused:
        executed(town, holder_of(thief), "signed_order", minted, key=thief.key.public.id)
    assert "only by its holder's signed order" in str(refused.value)
    assert town.available(thief) == 0


def test_one_refused_address_does_not_use_up_everybodys_tries(town: City) -> None:
    """Row 70: counting stops at the first bucket that is over."""
    narrow = attempts.Limit("narrow", 2, timedelta(minutes=1))
    broad = attempts.Limit("broad", 5, timedelta(minutes=1))
    for _ in range(20):
        with contextlib.suppress(attempts.TooMany):
            attempts.count(town.engine, [(narrow, "here"), (broad, "all")], now=clock.now())
    attempts.count(town.engine, [(narrow, "there"), (broad, "all")], now=clock.now())


def test_an_outside_partys_word_is_an_outside_partys(town: City) -> None:
    thief = town.citizen()
    minted = drawn(str(town.house(chart.BANK_GUARANTEE)), thief.account, 1_000_000)
    with pytest.raises(sa.exc.DBAPIError) as refused:
        executed(town, holder_of(thief), "outside_word", minted)
    assert "outside party" in str(refused.value)
    assert town.available(thief) == 0


def test_a_plan_posts_to_its_own_entries_only(town: City) -> None:
    hoa, other = town.citizen(available=50_000), town.citizen()
    paid = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=other.account, amount="1000").json()
    plan = drawn(hoa.account, other.account, 1)
    old = EntryId(UUID(paid["entry"]))
    told = Event(type="forged", subject=old, entry=old)
    with pytest.raises(sa.exc.DBAPIError) as refused:
        executed(
            town,
            holder_of(hoa),
            "signed_order",
            Plan(entries=plan.entries, events=(*plan.events, told), answer={}),
            key=hoa.key.public.id,
        )
    assert "its own entries only" in str(refused.value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identity.key SET holder = holder",
        "UPDATE identity.key SET jwk = jwk",
        "UPDATE identity.pin SET hash = hash",
        "UPDATE person.person SET phone = phone",
        "UPDATE identity.role SET role = role",
        "UPDATE bills.bill SET total = total",
        "UPDATE bills.bill SET debtor = debtor",
        "DELETE FROM identity.key",
        "DELETE FROM person.order_content",
    ],
)
def test_the_application_may_not_change_who_is_who_or_what_is_owed(town: City, statement: str) -> None:
    with town.engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError) as refused:
        connection.exec_driver_sql(statement)
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)


# -- forms and retries -----------------------------------------------------------------------------------------------------


def test_the_same_form_sent_again_later_is_one_bill(town: City, monkeypatch: pytest.MonkeyPatch) -> None:
    hoa, officer = town.citizen(), town.officer()
    desk = Visitor(town).enter(officer)
    procedure = next(iter(town.city.procedures_of("H57.40")))
    item = procedure.items[0]
    form = {
        "order_id": value_of(desk.get("/quay/lap"), "order_id"),
        "procedure": procedure.code,
        "debtor_name": hoa.name,
        "debtor_phone": hoa.phone,
        "dossier": "000.00.40.H57-261122-0007",
        "area": town.area(),
        "due": "2099-01-31",
        "item_code[]": item.code,
        "amount[]": str((item.amount or 3_000) * 2),
    }
    first = desk.post("/quay/lap", form)
    assert first.status_code == 303, words_of(first)
    later = MovedClock()
    later.ahead = timedelta(seconds=2)
    monkeypatch.setattr(clock, "now", later)
    again = desk.post("/quay/lap", form)
    assert (again.status_code, again.location) == (303, first.location)
    assert len(hoa.get("/v1/bills").json()["rows"]) == 1


def test_a_key_that_revoked_itself_can_ask_again_what_came_of_it(town: City) -> None:
    hoa = town.citizen()
    order = hoa.order("key_revoke", key=hoa.key.public.id)
    path = f"/v1/keys/{hoa.key.public.id}"
    first, again = hoa.send("DELETE", path, order), hoa.send("DELETE", path, order)
    assert (first.status, first.json()["state"]) == (200, "revoked")
    assert (again.status, again.body) == (first.status, first.body)


def test_nobody_uses_up_the_tries_of_another(town: City) -> None:
    """A lookup signed with my key in your name is refused before it is counted."""
    victim, stranger = town.citizen(), town.citizen()
    bill = town.bill(debtor=town.citizen("Trần Văn Bình"))
    stranger.holder = victim.holder
    for _ in range(25):
        refused = stranger.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail="0000")
        assert (refused.status, refused.json()["code"]) == (401, "signature_key")
    honest = victim.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail="0000")
    assert (honest.status, honest.json()["code"]) == (404, "bill_lookup_failed")


def test_a_browser_enrols_only_from_a_page_of_its_holder(town: City) -> None:
    """Row 79, and nobody fills another's places for waiting keys."""
    hoa = town.citizen()
    refused = hoa.act(
        "/v1/keys",
        "key_enrol",
        code="",
        device="browser",
        key=dict(hoa.key.public.jwk),
        label="Máy lạ",
    )
    assert (refused.status, refused.json()["code"]) == (401, "signed_out")


def test_a_code_as_long_as_a_book_is_a_wrong_code(town: City) -> None:
    visitor = Visitor(town).enter(town.citizen())
    refused = visitor.post("/nop-thay", {"code": "7" * 20_000, "detail": "1" * 5_000})
    assert refused.status_code == 404


# -- pages that add up -----------------------------------------------------------------------------------------------------


def test_a_bill_of_many_lines_is_one_movement_with_its_whole_sum(town: City) -> None:
    hoa = town.citizen(available=100_000)
    bill = town.bill(debtor=hoa, amounts=[1_000] * 12)
    assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
    visitor = Visitor(town).enter(hoa)
    for page in ("/", "/lich-su"):
        assert "−12.000" in words_of(visitor.get(page)), page


def test_a_bill_of_two_lines_on_one_budget_line_is_taken_once(town: City) -> None:
    hoa = town.citizen(available=100_000)
    agency = [  # one that no other test takes money for
        code
        for code in town.city.agencies
        if any(
            item.amount is None for one in town.city.procedures_of(code) for item in one.items_on(clock.now().date())
        )
    ][-1]
    bill = town.bill(debtor=hoa, amounts=[1_000, 2_000], agency=agency)
    assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).status == 201
    desk = Visitor(town).enter(town.officer(agency))
    rows = desk.get("/quay/hom-nay.csv").text.strip().splitlines()[1:]
    assert [row.split(",")[-2:] for row in rows] == [["1", "3000"]]


def test_home_shows_the_newest_bill_after_many_paid_ones(town: City) -> None:
    hoa = town.citizen(available=1_000_000)
    for _ in range(6):
        seen = [town.bill(debtor=hoa, amounts=[1_000]).seen for _ in range(2)]
        assert hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=seen).status == 201
    newest = town.bill(debtor=hoa, amounts=[7_777])
    page = Visitor(town).enter(hoa).get("/")
    assert f'value="{newest.id}"' in page.text
    assert page.text.count('name="b"') == 1


def test_a_stranger_who_may_pay_learns_no_id_of_the_debtor(town: City) -> None:
    hoa, helper = town.citizen("Nguyễn Thị Hoa"), town.citizen("Trần Văn Bình")
    bill = town.bill(debtor=hoa)
    let_in = helper.act("/v1/bill-lookups", "bill_lookup", code=bill.code, detail=hoa.phone[-4:])
    assert let_in.status == 201, let_in.body
    shown = helper.get(f"/v1/bills/{bill.id}").json()
    assert shown["debtor"] is None
    assert shown["debtor_name"] != hoa.name


def test_a_new_device_is_told_of_in_our_words_only(town: City) -> None:
    hoa = town.citizen()
    with town.engine.connect() as connection:
        assert keys.of(connection, holder_of(hoa))
    machine = town.signer(holder_of(hoa), type(hoa.key).generate(), name=hoa.name, phone=hoa.phone)
    done = machine.act(
        "/v1/keys",
        "key_enrol",
        code="",
        device="machine",
        key=dict(machine.key.public.jwk),
        label="TRUNG THUONG goi 0900",
    )
    assert (done.status, done.json()["state"]) == (201, "pending")
    told = max((town.config.var_dir / "outbox").glob(f"*-{hoa.phone}.txt")).read_text(encoding="utf-8")
    assert "TRUNG THUONG" not in told
    assert keys.check_code(machine.key.public.id) in told
