"""What a review found, held for good: errands, recovery, plans that draw on strangers, forms sent twice, whole sums."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from tests.attack import nothing_moved
from tests.make import STATION, City, Signer
from tests.pages import MovedClock, Visitor, code_in, error_at, value_of, words_of
from wallet import canonical, clock, crypto, db, ids, ledger, orders
from wallet.events import Event
from wallet.identity import attempts, holders, keys
from wallet.identity.roles import Role, grant
from wallet.ids import AccountId, AuthorityId, EntryId, HolderId, HoldId, OrderId
from wallet.ledger import (
    BatchItem,
    Capture,
    Claim,
    Entry,
    Evidence,
    Hold,
    Insufficient,
    Plan,
    Posting,
    Release,
    chart,
    verbs,
)
from wallet.ledger.refusals import KeyDead, RefundTooLarge
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
    """Claim and post as a broken web process could: with any evidence, and without asking a verb."""
    id = OrderId(uuid4())
    evidence = Evidence(
        kind=kind,  # type: ignore[arg-type]
        signer=signer,
        order_id=id,
        order_kind=order_kind,
        content=canonical.dumps({"id": str(id), "kind": order_kind, "signer": str(signer)}),
        key_id=key,
    )
    admits = frozenset(str(role) for role in Role)

    def work(connection: sa.Connection) -> None:
        ledger.post_order(connection, evidence, Claim.of(evidence), plan, admits=admits, status=201, body=b"{}")

    db.at_once(town.engine, work)


def drawn(
    debit: str,
    credit: str,
    amount: int,
    *,
    kind: str = "transfer",
    of_line: int | None = None,
    under: AuthorityId | None = None,
    **links: Any,
) -> Plan:
    """A plan of one entry of one posting; `links` are the entry's own members."""
    payer, payee = AccountId(UUID(debit)), AccountId(UUID(credit))
    posting = Posting(debit=payer, credit=payee, amount=Dong(amount), of_line=of_line)
    effective_at = links.pop("effective_at", clock.now())
    entry = Entry(id=EntryId(ids.new()), kind=kind, effective_at=effective_at, postings=(posting,), **links)
    told = Event(type="forged", subject=entry.id, entry=entry.id)
    return Plan(entries=(entry,), events=(told,), answer={}, under=under)


def authority_of(town: City, order: str) -> AuthorityId:
    with town.engine.connect() as connection:
        id = connection.exec_driver_sql("SELECT id FROM ledger.authority WHERE order_id = %s", (order,)).scalar_one()
    return AuthorityId(id)


@contextlib.contextmanager
def refused_as_a_bug(town: City, why: str) -> Iterator[None]:
    """Assert that the database itself says no, in these words, and that not even the order was taken."""
    with nothing_moved(town), pytest.raises(sa.exc.DBAPIError) as refused:
        yield
    assert isinstance(refused.value.orig, psycopg.errors.RaiseException), refused.value
    assert why in str(refused.value.orig)


def no_flow(kind: str, order_kind: str) -> str:
    return f"no flow lets a {kind} to {order_kind} post this"


@dataclass(frozen=True, kw_only=True)
class Square:
    """Hoa has money; a thief has a key and friends in every office."""

    hoa: Signer
    thief: Signer
    bank: HolderId
    officer: Signer

    @property
    def theft(self) -> Plan:
        return drawn(self.hoa.account, self.thief.account, 50_000)


@pytest.fixture
def square(town: City) -> Square:
    bank = db.unit(town.engine, lambda unit: holders.register(unit, kind="outside", now=clock.now()))
    db.unit(town.engine, lambda unit: grant(unit, bank, Role.OPERATOR, now=clock.now()))
    return Square(hoa=town.citizen(available=50_000), thief=town.citizen(), bank=bank, officer=town.officer())


def test_money_leaves_a_wallet_only_by_its_holders_signed_order(town: City, square: Square) -> None:
    hoa, thief = square.hoa, square.thief
    with refused_as_a_bug(town, no_flow("signed_order", "transfer")):
        executed(town, holder_of(thief), "signed_order", square.theft, key=thief.key.public.id)
    with refused_as_a_bug(town, no_flow("outside_word", "transfer")):
        executed(town, square.bank, "outside_word", square.theft)
    with refused_as_a_bug(town, no_flow("outside_word", "bank_line")):
        executed(town, square.bank, "outside_word", square.theft, order_kind="bank_line")
    with refused_as_a_bug(town, no_flow("session_order", "transfer")):
        executed(town, holder_of(hoa), "session_order", square.theft)
    with refused_as_a_bug(town, no_flow("officer_order", "transfer")):
        executed(town, holder_of(square.officer), "officer_order", square.theft)
    with refused_as_a_bug(town, no_flow("rule_run", "transfer")):
        executed(town, holder_of(hoa), "rule_run", square.theft)
    for order_kind in ("refund", "reverse"):  # what an officer may order, but of their office's money
        theft = drawn(hoa.account, thief.account, 50_000, kind="refund" if order_kind == "refund" else "reversal")
        with refused_as_a_bug(town, no_flow("officer_order", order_kind)):
            executed(town, holder_of(square.officer), "officer_order", theft, order_kind=order_kind)
    assert town.available(hoa) == 50_000


def test_an_order_in_anothers_name_needs_the_others_key(town: City, square: Square) -> None:
    """A signature is looked at at the door; that the key is the signer's, and alive, by the database."""
    with nothing_moved(town), pytest.raises(KeyDead):
        executed(town, holder_of(square.hoa), "signed_order", square.theft, key=square.thief.key.public.id)
    with nothing_moved(town), pytest.raises(sa.exc.IntegrityError, match="authority_signed_by_key_check"):
        executed(town, holder_of(square.hoa), "signed_order", square.theft)
    assert town.available(square.hoa) == 50_000


@pytest.mark.parametrize(
    "order_kind",
    ["bill_lookup", "bill_payment", "batch_transfer", "refund", "reverse", "hold", "hold_capture", "key_enrol"],
)
def test_an_order_to_do_one_thing_pays_for_nothing_else(town: City, square: Square, order_kind: str) -> None:
    """An honest look-up, signed, is no authority to empty its signer's wallet."""
    hoa = square.hoa
    with refused_as_a_bug(town, no_flow("signed_order", order_kind)):
        executed(town, holder_of(hoa), "signed_order", square.theft, key=hoa.key.public.id, order_kind=order_kind)
    assert town.available(hoa) == 50_000


def test_nobody_mints_money_by_a_transfer_of_their_own(town: City, square: Square) -> None:
    """A transfer draws on its signer's wallet, and on no house or agency account."""
    thief = square.thief
    bill = town.bill(debtor=square.hoa, amounts=[20_000])
    assert (
        square.hoa.act("/v1/bill-payments", "bill_payment", payer=square.hoa.account, bills=[bill.seen]).status == 201
    )
    with town.engine.connect() as connection:
        budget = connection.exec_driver_sql(
            "SELECT account FROM bills.bill_line WHERE bill = %s", (bill.id,)
        ).scalar_one()
    for source in (town.house(chart.BANK_GUARANTEE), town.house(chart.BANK_COLLECTION), budget):
        for kind, order_kind in (
            ("transfer", "transfer"),
            ("topup", "transfer"),
            ("topup", "bank_line"),
            ("refund", "refund"),
        ):
            minted = drawn(str(source), thief.account, 20_000, kind=kind)
            with refused_as_a_bug(town, no_flow("signed_order", order_kind)):
                executed(town, holder_of(thief), "signed_order", minted, key=thief.key.public.id, order_kind=order_kind)
    assert town.available(thief) == 0


def test_a_mandate_draws_only_by_a_capture_of_its_hold(town: City, square: Square) -> None:
    """An entry that calls itself a capture and captures nothing would need no hold, and no consent."""
    hoa, thief = square.hoa, square.thief
    anything = authority_of(
        town, hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=thief.account, amount="1").json()["order"]
    )
    bare = drawn(hoa.account, thief.account, 1_000, kind="capture", under=anything)
    with refused_as_a_bug(town, no_flow("mandate", "hold_capture")):
        executed(town, holder_of(thief), "mandate", bare, key=thief.key.public.id, order_kind="hold_capture")
    hold = placed(hoa, thief, 1_000)
    under = authority_of(town, hold["order"])
    honest = drawn(hoa.account, thief.account, 1_000, kind="capture", under=under)
    captured = Capture(hold=HoldId(UUID(hold["hold"])), entry=honest.entries[0].id, final=True)
    beside = drawn(hoa.account, thief.account, 30_000, kind="capture")
    both = replace(
        honest, captures=(captured,), entries=honest.entries + beside.entries, events=honest.events + beside.events
    )
    with refused_as_a_bug(town, no_flow("mandate", "hold_capture")):
        executed(town, holder_of(thief), "mandate", both, key=thief.key.public.id, order_kind="hold_capture")
    lawful = thief.act(
        f"/v1/holds/{hold['hold']}/captures", "hold_capture", hold=hold["hold"], amount="1000", final="true"
    )
    assert lawful.status == 201, lawful.body
    assert (town.available(hoa), town.available(thief)) == (48_999, 1_001)


def placed(payer: Signer, payee: Signer, amount: int) -> dict[str, Any]:
    lapses_at = str(int((clock.now() + timedelta(hours=1)).timestamp()))
    given = {"payer": payer.account, "payee": payee.account, "amount": str(amount), "lapses_at": lapses_at}
    reply = payer.act("/v1/holds", "hold", **given)
    assert reply.status == 201, reply.body
    document: dict[str, Any] = reply.json()
    return document


HELD = "a hold is placed on a wallet by its holder's signed order, for another wallet"
RESOLVED = "a hold is captured and voided by its payee, and lapses by rule at its time"


def test_a_hold_is_placed_by_the_holders_signed_order_alone(town: City, square: Square) -> None:
    hoa, thief = square.hoa, square.thief

    def plan(account: str, payee: str) -> Plan:
        hold = Hold(
            id=HoldId(ids.new()),
            account=AccountId(UUID(account)),
            payee=AccountId(UUID(payee)),
            amount=Dong(1_000),
            lapses_at=clock.now() + timedelta(hours=1),
        )
        return Plan(holds=(hold,), events=(Event(type="forged", subject=hold.id),), answer={})

    own, house = plan(hoa.account, thief.account), str(town.house(chart.BANK_GUARANTEE))
    with refused_as_a_bug(town, HELD):
        executed(town, holder_of(thief), "signed_order", own, key=thief.key.public.id, order_kind="hold")
    with refused_as_a_bug(town, HELD):
        executed(town, holder_of(hoa), "session_order", own, order_kind="hold")
    with refused_as_a_bug(town, HELD):
        executed(town, holder_of(hoa), "signed_order", own, key=hoa.key.public.id, order_kind="transfer")
    for other in (plan(house, hoa.account), plan(hoa.account, house), plan(hoa.account, str(uuid4()))):
        with refused_as_a_bug(town, HELD):
            executed(town, holder_of(hoa), "signed_order", other, key=hoa.key.public.id, order_kind="hold")


def test_a_hold_is_resolved_by_its_payee_or_by_its_time(town: City, square: Square) -> None:
    hoa, thief, binh = square.hoa, square.thief, town.citizen("Trần Văn Bình")
    hold, other = placed(hoa, binh, 1_000), placed(hoa, thief, 1_000)
    id = HoldId(UUID(hold["hold"]))

    def capture(payee: Signer, under: str) -> Plan:
        plan = drawn(hoa.account, payee.account, 1_000, kind="capture", under=authority_of(town, under))
        return replace(plan, captures=(Capture(hold=id, entry=plan.entries[0].id, final=True),))

    def release(kind: Any) -> Plan:
        return Plan(releases=(Release(hold=id, kind=kind),), events=(Event(type="forged", subject=id),), answer={})

    mandates = [
        (thief, capture(thief, hold["order"])),  # to the thief
        (thief, capture(binh, hold["order"])),  # by the thief, to its payee
        (binh, capture(binh, other["order"])),  # under another's mandate
    ]
    for who, plan in mandates:
        with refused_as_a_bug(town, RESOLVED):
            executed(town, holder_of(who), "mandate", plan, key=who.key.public.id, order_kind="hold_capture")
    for who in (thief, hoa):
        with refused_as_a_bug(town, RESOLVED):
            executed(
                town, holder_of(who), "signed_order", release("void"), key=who.key.public.id, order_kind="hold_void"
            )
    with refused_as_a_bug(town, RESOLVED):  # before its time
        executed(town, orders.RULE, "rule_run", release("lapse"), order_kind="hold_lapse")
    with refused_as_a_bug(town, RESOLVED):
        executed(town, holder_of(hoa), "signed_order", release("lapse"), key=hoa.key.public.id, order_kind="hold_lapse")
    assert hoa.get(f"/v1/holds/{id}").json()["state"] == "held"


def test_an_office_gives_back_only_what_it_was_paid_and_to_whom_it_was_paid(town: City, square: Square) -> None:
    """An officer's order is not signed, so that what it may do stands in the ledger."""
    hoa, thief, officer, stranger = square.hoa, square.thief, square.officer, town.officer(STATION)
    bill = town.bill(debtor=hoa, amounts=[20_000])
    paid = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[bill.seen]).json()["bills"][0][
        "entry"
    ]
    entry = EntryId(UUID(paid))
    with town.engine.connect() as connection:
        budget = str(
            connection.exec_driver_sql("SELECT credit FROM ledger.posting WHERE entry = %s", (entry,)).scalar_one()
        )
    for kind, order_kind in (("refund", "refund"), ("reversal", "reverse")):
        link: Any = {"refunds" if kind == "refund" else "reverses": entry}
        crossed: Any = {"reverses" if kind == "refund" else "refunds": entry}
        for unlinked in (
            drawn(budget, thief.account, 20_000, kind=kind),
            drawn(budget, hoa.account, 20_000, kind=kind, of_line=1, **crossed),
        ):
            with refused_as_a_bug(town, no_flow("officer_order", order_kind)):
                executed(town, holder_of(officer), "officer_order", unlinked, order_kind=order_kind)
        for elsewhere in (
            drawn(budget, thief.account, 20_000, kind=kind, of_line=1, **link),
            drawn(budget, hoa.account, 20_000, kind=kind, of_line=2, **link),
            drawn(budget, hoa.account, 20_000, kind=kind, **link),
        ):
            with refused_as_a_bug(town, "mirrors lines of the entry that it undoes"):
                executed(town, holder_of(officer), "officer_order", elsewhere, order_kind=order_kind)
        with refused_as_a_bug(town, no_flow("officer_order", order_kind)):
            executed(
                town,
                holder_of(stranger),
                "officer_order",
                drawn(budget, hoa.account, 20_000, kind=kind, of_line=1, **link),
                order_kind=order_kind,
            )
    with refused_as_a_bug(town, "mirrors lines of the entry that it undoes"):
        part = drawn(budget, hoa.account, 19_999, kind="reversal", of_line=1, reverses=entry)
        executed(town, holder_of(officer), "officer_order", part, order_kind="reverse")
    back = drawn(budget, hoa.account, 20_000, kind="refund", of_line=1, refunds=entry)
    executed(town, holder_of(officer), "officer_order", back, order_kind="refund")
    again = drawn(budget, hoa.account, 1, kind="refund", of_line=1, refunds=entry)
    with nothing_moved(town), pytest.raises(RefundTooLarge):
        executed(town, holder_of(officer), "officer_order", again, order_kind="refund")
    assert town.available(hoa) == 50_000


def test_an_ordinary_entry_undoes_nothing(town: City, square: Square) -> None:
    """A transfer that called itself a reversal would use up the one that an entry has."""
    hoa, thief = square.hoa, square.thief
    paid = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=thief.account, amount="5").json()["entry"]
    links: tuple[Any, ...] = ({"reverses": EntryId(UUID(paid))}, {"refunds": EntryId(UUID(paid))})
    for link in links:
        posing = drawn(thief.account, hoa.account, 5, of_line=1, **link)
        with refused_as_a_bug(town, no_flow("signed_order", "transfer")):
            executed(town, holder_of(thief), "signed_order", posing, key=thief.key.public.id)


@pytest.mark.parametrize("off", [timedelta(minutes=2), timedelta(days=-401)], ids=["to come", "long past"])
def test_an_entry_takes_effect_about_when_it_is_posted(town: City, square: Square, off: timedelta) -> None:
    hoa = square.hoa
    odd = drawn(hoa.account, square.thief.account, 1, effective_at=clock.now() + off)
    with refused_as_a_bug(town, "neither in the future nor more than 400 days ago"):
        executed(town, holder_of(hoa), "signed_order", odd, key=hoa.key.public.id)


def test_a_plan_that_no_unit_should_carry_is_refused(
    town: City, square: Square, monkeypatch: pytest.MonkeyPatch
) -> None:
    hoa, thief = square.hoa, square.thief
    one = drawn(hoa.account, thief.account, 1)
    monkeypatch.setattr("wallet.ledger.plan.POSTINGS_MAX", 1_000)
    long = replace(one, entries=(replace(one.entries[0], postings=one.entries[0].postings * 257),))
    with refused_as_a_bug(town, "a plan has at most 256 postings"):
        executed(town, holder_of(hoa), "signed_order", long, key=hoa.key.public.id)
    empty = replace(one, entries=(replace(one.entries[0], postings=()),))
    with refused_as_a_bug(town, "an entry has at least one posting"):
        executed(town, holder_of(hoa), "signed_order", empty, key=hoa.key.public.id)


def test_an_order_is_carried_out_once_also_by_a_broken_process(town: City, square: Square) -> None:
    """Posting once more on the authority of an order that has its outcome is undone whole."""
    hoa, thief = square.hoa, square.thief
    done = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=thief.account, amount="5").json()
    again = replace(
        Claim.of(
            Evidence(
                kind="signed_order",
                signer=holder_of(hoa),
                order_id=OrderId(uuid4()),
                order_kind="transfer",
                content=b"",
            )
        ),
        authority=authority_of(town, done["order"]),
    )
    for work in (
        lambda unit: ledger.post(unit, again, drawn(hoa.account, thief.account, 5), status=201, body=b"{}"),
        lambda unit: ledger.refuse(unit, again, Insufficient(), body=b"{}"),
    ):
        with nothing_moved(town), pytest.raises(sa.exc.IntegrityError, match="outcome_pkey"):
            db.unit(town.engine, work)
    assert town.available(hoa) == 49_995


def test_a_batch_pays_out_of_its_signers_wallet_alone(town: City, square: Square) -> None:
    """Whoever calls for a batch names the payer; the ledger looks whose order it is, and an order to do what."""
    hoa, thief = square.hoa, square.thief
    cases: list[tuple[Signer, Any, str, str]] = [
        (thief, "signed_order", "batch_transfer", hoa.account),
        (hoa, "signed_order", "transfer", hoa.account),
        (hoa, "session_order", "batch_transfer", hoa.account),
        (thief, "signed_order", "batch_transfer", str(town.house(chart.BANK_GUARANTEE))),
    ]
    for who, kind, order_kind, payer in cases:
        id, key = OrderId(uuid4()), who.key.public.id if kind == "signed_order" else None
        evidence = Evidence(
            kind=kind, signer=holder_of(who), order_id=id, order_kind=order_kind, content=b"{}", key_id=key
        )
        batch = functools.partial(batched, evidence=evidence, payer=payer, payee=thief)
        with nothing_moved(town), pytest.raises(sa.exc.DBAPIError) as refused:
            db.unit(town.engine, batch)
        assert isinstance(refused.value.orig, psycopg.errors.NoDataFound), refused.value
    assert town.available(hoa) == 50_000


def batched(unit: sa.Connection, *, evidence: Evidence, payer: str, payee: Signer) -> None:
    claim, item = Claim.of(evidence), BatchItem(payee=AccountId(UUID(payee.account)), amount=Dong(5))
    ledger.claim(unit, evidence, claim)
    ledger.post_batch(
        unit,
        claim,
        kind="batch_transfer",
        payer=AccountId(UUID(payer)),
        items=[item],
        limits=(),
        effective_at=clock.now(),
    )


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
    minted = drawn(str(town.house(chart.BANK_GUARANTEE)), thief.account, 1_000_000, kind="topup")
    for order_kind in ("transfer", "bank_line"):
        with refused_as_a_bug(town, "an outside party's word is an outside party's"):
            executed(town, holder_of(thief), "outside_word", minted, order_kind=order_kind)
    assert town.available(thief) == 0


def test_a_plan_posts_to_its_own_entries_only(town: City) -> None:
    hoa, other = town.citizen(available=50_000), town.citizen()
    paid = hoa.act("/v1/transfers", "transfer", payer=hoa.account, payee=other.account, amount="1000").json()
    plan = drawn(hoa.account, other.account, 1)
    old = EntryId(UUID(paid["entry"]))
    told = Event(type="forged", subject=old, entry=old)
    with refused_as_a_bug(town, "a plan tells of its own entries only"):
        executed(
            town,
            holder_of(hoa),
            "signed_order",
            Plan(entries=plan.entries, events=(*plan.events, told), answer={}),
            key=hoa.key.public.id,
        )
    spelled = verbs._spelled
    own, strange = (f'"entry": "{id}", "line"' for id in (plan.entries[0].id, old))
    with pytest.MonkeyPatch.context() as patch, refused_as_a_bug(town, no_flow("signed_order", "transfer")):
        patch.setattr(verbs, "_spelled", lambda *given: spelled(*given).replace(own, strange))
        executed(town, holder_of(hoa), "signed_order", plan, key=hoa.key.public.id)


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
    assert [row.split(",")[-4:] for row in rows] == [["1", "3000", "0", "3000"]]


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
    assert crypto.check_code(machine.key.public.id) in told
