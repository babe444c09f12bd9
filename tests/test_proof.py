"""The proof of the books: clean books prove, and each kind of tampering is named by its code.

Each test tampers as the superuser, in a transaction in which no trigger stands guard, proves there, and rolls back.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests import databases
from tests.databases import TestDatabase
from tests.make import STATION, City, Seen, Signer
from wallet import db, prove, transfers
from wallet.bills import proof as bills
from wallet.crypto import PrivateKey
from wallet.identity import proof as identity
from wallet.ids import HolderId
from wallet.ledger import questions
from wallet.run.postgres import Cluster

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Story:
    """A small city's books in which every kind of thing has happened: enough for each question to have an answer."""

    database: TestDatabase
    root: sa.Engine
    hoa: Signer
    binh: Signer
    paid: Seen
    due: Seen
    cancelled: Seen
    transfer: str
    payment: str
    """Ids of the orders."""


@pytest.fixture(scope="module")
def story(template: str, postgres: Cluster, worker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("proof")
    with (
        databases.copy_of(template, f"{worker}_proof", server=postgres, folder=folder) as database,
        City(database) as city,
    ):
        hoa, binh = city.citizen(available=500_000), city.citizen("Trần Văn Bình", available=100)
        paid, due, cancelled = (city.bill(debtor=hoa, amounts=[20_000, 5_000]) for _ in range(3))
        other = city.bill(debtor=hoa, agency=STATION)
        order = {"bill": str(cancelled.id), "reason": "Lập nhầm"}
        assert city.officer().act(f"/v1/bills/{cancelled.id}/cancel", "bill_cancel", **order).status == 201
        payment = hoa.act("/v1/bill-payments", "bill_payment", payer=hoa.account, bills=[paid.seen, other.seen])
        given = {"payer": hoa.account, "payee": binh.account, "amount": "7", "memo": "cảm ơn"}
        transfer = hoa.act("/v1/transfers", "transfer", **given)
        refused = binh.act(
            "/v1/transfers", "transfer", **given | {"payer": binh.account, "payee": hoa.account, "amount": "999"}
        )
        assert (payment.status, transfer.status, refused.status) == (201, 201, 402)
        machine = city.signer(HolderId(UUID(hoa.holder)), PrivateKey.generate())
        enrolment = machine.order("key_enrol", key=dict(machine.key.public.jwk), label="Máy", device="machine", code="")
        assert machine.send("POST", "/v1/keys", enrolment).status == 201
        root = db.engine(database.owner_url)
        yield Story(
            database=database,
            root=root,
            hoa=hoa,
            binh=binh,
            paid=paid,
            due=due,
            cancelled=cancelled,
            transfer=transfer.json()["order"],
            payment=payment.json()["order"],
        )
        root.dispose()


class Tampering:
    """A superuser at work, without any guard; nothing of it stays."""

    def __init__(self, story: Story, connection: sa.Connection) -> None:
        self.connection = connection
        self.names: dict[str, Any] = {
            "hoa": story.hoa.account,
            "binh": story.binh.account,
            "hoa_holder": story.hoa.holder,
            "binh_holder": story.binh.holder,
            "hoa_key": story.hoa.key.public.id,
            "binh_key": story.binh.key.public.id,
            "paid": story.paid.id,
            "due": story.due.id,
            "cancelled": story.cancelled.id,
            "new": uuid4(),
            "nobody": uuid4(),
        }
        self.names["transfer"] = self.one("SELECT id FROM ledger.authority WHERE order_id = %(id)s", id=story.transfer)
        self.names["payment"] = self.one("SELECT id FROM ledger.authority WHERE order_id = %(id)s", id=story.payment)
        self.names["refused"] = self.one("SELECT authority FROM ledger.outcome WHERE code = 'insufficient_funds'")
        self.names["entry"] = self.one("SELECT id FROM ledger.entry WHERE authority = %(transfer)s")
        self.names["guarantee"] = self.one("SELECT id FROM ledger.account WHERE code = 'bank.guarantee'")

    def one(self, statement: str, **more: Any) -> Any:
        return self.connection.exec_driver_sql(statement, {**self.names, **more}).scalar_one()

    def run(self, *statements: str, **more: Any) -> None:
        for statement in statements:
            done = self.connection.exec_driver_sql(statement, {**self.names, **more})
            assert done.rowcount != 0, f"it changed nothing: {statement}"

    def codes(self) -> set[str]:
        return {difference.code for difference in prove.books(self.connection)}


@pytest.fixture
def tamper(story: Story) -> Iterator[Tampering]:
    with story.root.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        yield Tampering(story, connection)
        transaction.rollback()


def test_clean_books_prove(story: Story) -> None:
    with prove.snapshot(story.database.audit_engine).connect() as connection:
        assert list(prove.books(connection)) == []


def test_folding_changes_nothing_that_is_proved(tamper: Tampering) -> None:
    tamper.run("SELECT ledger.fold(NULL, 1000)")
    assert tamper.one("SELECT count(*) FROM ledger.delta") == 0
    assert tamper.codes() == set()


def test_a_shredded_order_is_no_difference(tamper: Tampering) -> None:
    """A person's data may be erased; the ledger keeps a salted hash."""
    tamper.run("DELETE FROM person.order_content WHERE authority = %(payment)s")
    assert tamper.codes() == set()


SET_EVENT = "UPDATE ledger.event SET bytes = convert_to({}, 'UTF8') WHERE entry = %(entry)s"
TEXT = "convert_from(bytes, 'UTF8')"
SET_ORDER = "UPDATE person.order_content SET bytes = convert_to({}, 'UTF8') WHERE authority = %(transfer)s"
NEW_ENTRY = (
    "INSERT INTO ledger.entry (id, authority, kind, effective_at, posted_at)"
    " VALUES (%(new)s, %(transfer)s, 'transfer', '2020-01-01Z', '2020-01-01Z')"
)
NEW_POSTING = (
    "INSERT INTO ledger.posting (entry, line, debit, credit, amount) VALUES (%(new)s, 1, %(hoa)s, %(binh)s, 1000)"
)
NEW_AUTHORITY = (
    "INSERT INTO ledger.authority (id, kind, signer, order_id, order_kind, digest)"
    " VALUES (%(new)s, 'officer_order', %(hoa_holder)s, %(new)s, 'transfer', '')"
)

DEED = tuple[tuple[str, ...], set[str]]

DEEDS: dict[str, DEED] = {
    # -- amounts and balances
    "the amount of a posting is changed (row 116)": (
        ("UPDATE ledger.posting SET amount = amount + 1 WHERE entry = %(entry)s",),
        {"balance_differs", "event_entry_differs", "transfer_not_as_signed"},
    ),
    "an amount is changed everywhere but in what was signed (row 116)": (
        (
            "UPDATE ledger.posting SET amount = 8 WHERE entry = %(entry)s",
            "UPDATE ledger.balance SET posted = posted - 1 WHERE account = %(hoa)s",
            "UPDATE ledger.balance SET posted = posted + 1 WHERE account = %(binh)s",
            SET_EVENT.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),
        ),
        {"transfer_not_as_signed"},
    ),
    "the payee is changed everywhere but in what was signed": (
        (
            "UPDATE ledger.posting SET credit = %(guarantee)s, debit = %(hoa)s WHERE entry = %(entry)s",
            "INSERT INTO ledger.delta (account, amount) VALUES (%(binh)s, -7), (%(guarantee)s, -7)",
            SET_EVENT.format(f"replace({TEXT}, %(binh)s, %(guarantee)s::text)"),
        ),
        {"transfer_not_as_signed"},
    ),
    "two postings that cancel out are deleted (row 117)": (
        ("DELETE FROM ledger.posting WHERE entry = %(entry)s",),
        {"balance_differs", "entry_empty", "event_entry_differs", "transfer_not_as_signed"},
    ),
    "a back-dated, balanced entry is slipped in (row 118)": (
        (NEW_ENTRY, NEW_POSTING),
        {"balance_differs", "entry_unnamed", "entry_untold", "transfer_not_as_signed"},
    ),
    "an entry is slipped in with balances, outcome and event of its own (row 118)": (
        (
            NEW_ENTRY,
            NEW_POSTING,
            "UPDATE ledger.balance SET posted = posted - 1000 WHERE account = %(hoa)s",
            "UPDATE ledger.balance SET posted = posted + 1000 WHERE account = %(binh)s",
            "UPDATE ledger.outcome SET entries = entries || %(new)s WHERE authority = %(transfer)s",
            "UPDATE ledger.event SET entry = %(new)s WHERE entry = %(entry)s",
        ),
        {"entry_untold", "event_entry_differs", "transfer_not_as_signed"},
    ),
    "a stored balance is changed": (
        ("UPDATE ledger.balance SET posted = posted + 1 WHERE account = %(hoa)s",),
        {"balance_differs", "trial_balance_differs"},
    ),
    "two stored balances are changed alike": (
        ("UPDATE ledger.balance SET posted = posted + 1 WHERE account IN (%(hoa)s, %(guarantee)s)",),
        {"balance_differs"},
    ),
    "a balance row is deleted": (
        ("DELETE FROM ledger.balance WHERE account = %(hoa)s",),
        {"balance_differs", "trial_balance_differs"},
    ),
    "a delta is deleted": (
        ("DELETE FROM ledger.delta WHERE account = %(binh)s",),
        {"balance_differs", "trial_balance_differs"},
    ),
    "a delta belongs to nobody": (
        ("INSERT INTO ledger.delta (account, amount) VALUES (%(nobody)s, 5)",),
        {"delta_orphan"},
    ),
    "a wallet is below its floor": (
        (
            "ALTER TABLE ledger.balance DROP CONSTRAINT balance_floor_check",
            "UPDATE ledger.balance SET posted = -1 WHERE account = %(hoa)s",
        ),
        {"balance_differs", "floor_broken", "trial_balance_differs"},
    ),
    "a wallet's floor is lowered": (
        ("UPDATE ledger.account SET floor = -1000000 WHERE id = %(hoa)s",),
        {"floor_differs"},
    ),
    "the floor under the CHECK is lifted": (
        ("UPDATE ledger.balance SET floor = NULL WHERE account = %(hoa)s",),
        {"floor_differs"},
    ),
    "an account changes sides": (
        ("UPDATE ledger.account SET normal = 'debit' WHERE id = %(hoa)s",),
        {"balance_differs", "floor_differs", "trial_balance_differs"},
    ),
    "money is held without a hold": (
        ("UPDATE ledger.balance SET held = 1 WHERE account = %(hoa)s",),
        {"held_unexplained"},
    ),
    "a posting names an account that is none": (
        ("UPDATE ledger.posting SET credit = %(nobody)s WHERE entry = %(entry)s",),
        {"balance_differs", "event_entry_differs", "posting_orphan", "transfer_not_as_signed"},
    ),
    "a posting is left without its entry": (
        ("UPDATE ledger.posting SET entry = %(nobody)s WHERE entry = %(entry)s",),
        {"entry_empty", "event_entry_differs", "posting_orphan", "transfer_not_as_signed"},
    ),
    "a posting of nothing": (
        (
            "ALTER TABLE ledger.posting DROP CONSTRAINT posting_amount_check",
            "UPDATE ledger.posting SET amount = 0 WHERE entry = %(entry)s",
        ),
        {"balance_differs", "event_entry_differs", "posting_unsound", "transfer_not_as_signed"},
    ),
    # -- authorities and outcomes
    "an entry loses its authority": (
        ("UPDATE ledger.entry SET authority = %(nobody)s WHERE id = %(entry)s",),
        {"entry_without_authority", "entry_unnamed", "outcome_entry_missing", "transfer_not_as_signed"},
    ),
    "an entry moves to another's authority": (
        ("UPDATE ledger.entry SET authority = %(payment)s WHERE id = %(entry)s",),
        {
            "entry_unnamed",
            "outcome_entry_missing",
            "bill_payment_not_as_signed",
            "transfer_not_as_signed",
            "entry_not_of_order",
        },
    ),
    "an outcome is deleted": (
        ("DELETE FROM ledger.outcome WHERE authority = %(transfer)s",),
        {"authority_without_outcome", "entry_unnamed"},
    ),
    "an outcome names no entry": (
        ("UPDATE ledger.outcome SET entries = '{{}}' WHERE authority = %(transfer)s",),
        {"entry_unnamed"},
    ),
    "an outcome names an entry that is not there": (
        ("UPDATE ledger.outcome SET entries = entries || %(nobody)s WHERE authority = %(transfer)s",),
        {"outcome_entry_missing"},
    ),
    "something done is made a refusal": (
        ("UPDATE ledger.outcome SET code = 'insufficient_funds', entries = '{{}}' WHERE authority = %(transfer)s",),
        {"entry_unnamed", "refusal_wrote"},
    ),
    "a refusal is made something done": (
        ("UPDATE ledger.outcome SET code = NULL WHERE authority = %(refused)s",),
        {"authority_untold", "transfer_not_as_signed"},
    ),
    "an authority nobody gave": (
        (NEW_AUTHORITY,),
        {"authority_without_outcome"},
    ),
    "a signed order is passed off as an outside word": (
        ("UPDATE ledger.authority SET kind = 'outside_word', key_id = NULL WHERE id = %(transfer)s",),
        {"drawn_unsigned", "outside_word_by_insider"},
    ),
    "a signed order is passed off as an officer's": (
        ("UPDATE ledger.authority SET kind = 'officer_order', key_id = NULL WHERE id = %(transfer)s",),
        {"drawn_unsigned", "entry_unsigned"},
    ),
    # -- events
    "an event is deleted": (
        ("DELETE FROM ledger.event WHERE entry = %(entry)s",),
        {"authority_untold", "entry_untold"},
    ),
    "an event tells of another entry": (
        ("UPDATE ledger.event SET entry = %(nobody)s WHERE entry = %(entry)s",),
        {"entry_untold", "event_entry_differs"},
    ),
    "an event's amount is changed": (
        (SET_EVENT.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),),
        {"event_entry_differs"},
    ),
    "an event's instant is changed": (
        ("UPDATE ledger.event SET at = at - interval '1 day' WHERE entry = %(entry)s",),
        {"event_differs"},
    ),
    "an event's actor is changed": (
        ("UPDATE ledger.event SET actor = %(binh_holder)s WHERE entry = %(entry)s",),
        {"event_differs", "event_order_differs"},
    ),
    "an event names another order": (
        ("UPDATE ledger.event SET authority = %(payment)s WHERE entry = %(entry)s",),
        {"authority_untold", "event_order_differs"},
    ),
    "an event is spelled anew": (
        (SET_EVENT.format(f"{TEXT}::jsonb::text"),),
        {"event_not_canonical"},
    ),
    "an event is no JSON any more": (
        (SET_EVENT.format(f"left({TEXT}, -1)"),),
        {"event_unreadable", "question_unanswered"},
    ),
    "an event is no text any more": (
        ("UPDATE ledger.event SET bytes = '\\xff00' WHERE entry = %(entry)s",),
        {"event_unreadable", "question_unanswered"},
    ),
    # -- orders and keys
    "the amount in an order's bytes is changed": (
        (SET_ORDER.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),),
        {"digest_differs", "signature_covers_other", "transfer_not_as_signed"},
    ),
    "an order's bytes are changed together with their digest": (
        (
            SET_ORDER.format(f'replace({TEXT}, \'"amount":"7"\', \'"amount":"8"\')'),
            (
                "UPDATE ledger.authority a SET digest = sha256(c.salt || c.bytes) FROM person.order_content c"
                " WHERE c.authority = a.id AND a.id = %(transfer)s"
            ),
        ),
        {"event_order_differs", "signature_covers_other", "transfer_not_as_signed"},
    ),
    "an order's bytes and its signature base are changed alike": (
        (
            SET_ORDER.format(f'replace({TEXT}, \'"memo":"cảm ơn"\', \'"memo":"khác"\')'),
            (
                "UPDATE person.order_content SET signature_base = convert_to(regexp_replace("
                " convert_from(signature_base, 'UTF8'), 'sha-256=:[^:]*:',"
                " 'sha-256=:' || encode(sha256(bytes), 'base64') || ':'), 'UTF8') WHERE authority = %(transfer)s"
            ),
        ),
        {"digest_differs", "signature_invalid"},
    ),
    "an order is no JSON any more": (
        (SET_ORDER.format("'x'"),),
        {"digest_differs", "order_unreadable", "question_unanswered"},
    ),
    "an order is passed off as another's": (
        ("UPDATE ledger.authority SET order_id = %(new)s WHERE id = %(transfer)s",),
        {"order_differs"},
    ),
    "a signature is swapped": (
        (
            (
                "UPDATE person.order_content SET signature = (SELECT signature FROM person.order_content"
                " WHERE authority = %(payment)s) WHERE authority = %(transfer)s"
            ),
        ),
        {"signature_invalid"},
    ),
    "a signature and its base are taken from another order": (
        (
            (
                "UPDATE person.order_content SET (signature, signature_base) = (SELECT signature, signature_base"
                " FROM person.order_content WHERE authority = %(payment)s) WHERE authority = %(transfer)s"
            ),
        ),
        {"signature_covers_other"},
    ),
    "the key under an order is swapped for another's": (
        ("UPDATE ledger.authority SET key_id = %(binh_key)s WHERE id = %(transfer)s",),
        {"key_not_signers", "signature_invalid"},
    ),
    "a key's material is swapped": (
        (
            (
                "UPDATE identity.key SET jwk = (SELECT jwk FROM identity.key WHERE id = %(binh_key)s)"
                " WHERE id = %(hoa_key)s"
            ),
        ),
        {"key_differs", "signature_invalid", "key_untold"},
    ),
    "a key is made another's": (
        ("UPDATE identity.key SET holder = %(binh_holder)s WHERE id = %(hoa_key)s",),
        {"key_not_signers", "key_untold"},
    ),
    "a key is deleted": (
        ("DELETE FROM identity.key WHERE id = %(hoa_key)s",),
        {"key_missing", "key_not_signers"},
    ),
    # -- bills
    "a bill's line is changed after it was paid": (
        ("UPDATE bills.bill_line SET amount = amount + 1 WHERE bill = %(paid)s AND line = 1",),
        {"bill_payment_differs", "bill_total_differs"},
    ),
    "a bill's price is changed everywhere but in what was signed": (
        (
            "UPDATE bills.bill_line SET amount = amount + 1 WHERE bill = %(paid)s AND line = 1",
            "UPDATE bills.bill SET total = total + 1 WHERE id = %(paid)s",
            (
                "UPDATE ledger.posting p SET amount = amount + 1 FROM ledger.entry e"
                " WHERE e.id = p.entry AND e.settles = %(paid)s AND p.line = 1"
            ),
            "UPDATE ledger.balance SET posted = posted - 1 WHERE account = %(hoa)s",
            (
                "UPDATE ledger.balance SET posted = posted + 1"
                " WHERE account = (SELECT account FROM bills.bill_line WHERE bill = %(paid)s AND line = 1)"
            ),
            (
                "UPDATE ledger.event SET bytes = convert_to(replace(replace(convert_from(bytes, 'UTF8'),"
                ' \'"amount":"20000"\', \'"amount":"20001"\'), \'"total":"25000"\', \'"total":"25001"\'), \'UTF8\')'
                " WHERE subject = %(paid)s::text"
            ),
        ),
        {"bill_payment_not_as_signed"},
    ),
    "an unpaid bill's total is changed": (
        ("UPDATE bills.bill SET total = 1 WHERE id = %(due)s",),
        {"bill_event_differs", "bill_total_differs"},
    ),
    "a bill's debtor is changed": (
        ("UPDATE bills.bill SET debtor = %(binh_holder)s WHERE id = %(due)s",),
        {"bill_event_differs"},
    ),
    "a paid bill is cancelled": (
        ("UPDATE bills.bill SET state = 'cancelled' WHERE id = %(paid)s",),
        {"bill_closed_and_paid", "bill_state_untold"},
    ),
    "a cancelled bill is passed off as the one that was paid": (
        ("UPDATE ledger.entry SET settles = %(cancelled)s WHERE settles = %(paid)s",),
        {"bill_closed_and_paid", "bill_payment_not_as_signed", "event_entry_differs"},
    ),
    "a payment settles a bill that is none": (
        ("UPDATE ledger.entry SET settles = %(nobody)s WHERE settles = %(paid)s",),
        {"bill_payment_differs", "bill_payment_not_as_signed", "bill_settled_unknown", "event_entry_differs"},
    ),
    "a line's money is led to another account": (
        ("UPDATE bills.bill_line SET account = %(binh)s WHERE bill = %(due)s",),
        {"bill_line_account_differs"},
    ),
    "a line's budget code is changed": (
        ("UPDATE bills.bill_line SET tieu_muc = '9999' WHERE bill = %(due)s",),
        {"bill_line_account_differs"},
    ),
    "a cancelled bill is opened again": (
        ("UPDATE bills.bill SET state = 'issued' WHERE id = %(cancelled)s",),
        {"bill_state_untold"},
    ),
    # -- keys and roles
    "a key is slipped in": (
        (
            (
                "INSERT INTO identity.key (id, holder, jwk, label, device, state, enrolled_at)"
                " SELECT 'slipped', holder, jwk, label, device, 'active', now() FROM identity.key"
                " WHERE holder = %(hoa_holder)s LIMIT 1"
            ),
        ),
        {"key_untold"},
    ),
    "a waiting key is let in without a word": (
        ("UPDATE identity.key SET state = 'active' WHERE holder = %(hoa_holder)s AND state = 'pending'",),
        {"key_state_untold"},
    ),
    "a key's revocation is dated back before what it signed": (
        (
            (
                "INSERT INTO ledger.event (id, seq, type, subject, at, bytes) OVERRIDING SYSTEM VALUE"
                " SELECT %(new)s, 0, 'key.revoked', k.id, now(), convert_to('{{}}', 'UTF8') FROM identity.key k"
                " WHERE k.holder = %(hoa_holder)s AND k.state = 'active'"
            ),
            "UPDATE identity.key SET state = 'revoked' WHERE holder = %(hoa_holder)s AND state = 'active'",
        ),
        {"key_used_dead"},
    ),
    "a role is given in silence": (
        ("INSERT INTO identity.role (holder, role) VALUES (%(hoa_holder)s, 'auditor')",),
        {"role_untold"},
    ),
    "the bank's word turns out to be somebody else's": (
        ("UPDATE identity.holder SET kind = 'person' WHERE kind = 'outside'",),
        {"outside_word_by_insider"},
    ),
    "an order to do one thing stands for another": (
        ("UPDATE ledger.authority SET order_kind = 'bill_payment' WHERE id = %(transfer)s",),
        {"entry_not_of_order", "order_differs", "bill_payment_not_as_signed"},
    ),
    "a bill appears from nowhere": (
        (
            (
                "INSERT INTO bills.bill SELECT %(new)s, 'AAAAA-AAAAA', agency, debtor, dossier, dossier_folded, procedure,"
                " 0, 1, 'waived', NULL, due, expires, issued_at FROM bills.bill WHERE id = %(due)s"
            ),
        ),
        {"bill_untold"},
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_tampering_is_named(tamper: Tampering, deed: str) -> None:
    """Rows 116 to 118 and their kin: named by exactly these codes, so that an auditor knows where to look."""
    statements, expected = DEEDS[deed]
    tamper.run(*(statement.replace("{{}}", "{}") for statement in statements))
    assert tamper.codes() == expected


def test_every_code_of_the_proof_is_provoked_by_a_deed() -> None:
    """A question that no tampering answers might as well not be asked."""
    provoked = set().union(*(codes for _, codes in DEEDS.values()))
    source = Path(proof.__file__).read_text(encoding="utf-8")
    spoken = set(re.findall(r'Difference\("(\w+)"', source))
    asked = {*questions.QUESTIONS, *identity.QUESTIONS, *bills.QUESTIONS, *transfers.QUESTIONS}
    assert len(spoken) >= 8
    assert provoked == asked | spoken


def prove_in_a_shell(database: TestDatabase) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "wallet.prove"],
        cwd=ROOT,
        env={"AUDIT_DATABASE_URL": database.config.audit_database_url, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_prove_says_which_difference_and_exits_with_1(fresh_database: TestDatabase) -> None:
    """It reads as the auditor, who can write nothing."""
    with City(fresh_database) as city:
        hoa = city.citizen(available=100)
    clean = prove_in_a_shell(fresh_database)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert re.fullmatch(
        r"Proved from the first posting in [0-9.]+ s: .* 1 entry, 1 posting, .*; no difference\.\n", clean.stdout
    )
    with fresh_database.superuser() as owner:
        owner.execute("UPDATE ledger.balance SET posted = posted + 1 WHERE account = %s", [hoa.account])
    spoilt = prove_in_a_shell(fresh_database)
    assert spoilt.returncode == 1
    assert f"balance_differs\t{hoa.account}\tstored 101, postings come to 100" in spoilt.stdout
    assert "trial_balance_differs\t" in spoilt.stdout
    assert "NOT PROVED: 2 differences" in spoilt.stderr


def test_the_proof_reads_one_snapshot_while_the_city_works(story: Story) -> None:
    """What happens while the books are proved is proved the next time."""
    with (
        prove.snapshot(story.database.audit_engine).connect() as connection,
        City(story.database) as city,
    ):
        before = proof.counts(connection)
        given = {"payer": story.hoa.account, "payee": story.binh.account, "amount": "1", "memo": ""}
        story_hoa = city.signer(HolderId(UUID(story.hoa.holder)), story.hoa.key)
        assert story_hoa.send("POST", "/v1/transfers", story_hoa.order("transfer", **given)).status == 201
        assert list(prove.books(connection)) == []
        assert proof.counts(connection) == before
