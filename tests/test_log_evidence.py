"""The offline verifier: each field of a receipt spoilt, and the code that names it; on a laptop with `cryptography` alone.

What is spoilt is otherwise as good as whoever spoils it can make it: signed by the keys that an insider has.
"""

import hashlib
import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.memory_log import MemoryLog
from wallet import canonical, signing
from wallet.crypto import PrivateKey
from wallet.log import claims, evidence, merkle, note, statement
from wallet.log.checkpoint import Checkpoint, LogKey, LogKeys
from wallet.log.claims import Claim
from wallet.log.note import FileSigner
from wallet.log.statement import Statement

ROOT = Path(__file__).parents[1]
ORIGIN = "wallet.example.vn/log"
AUD = "https://wallet.example.vn"
HOA, BINH = "01a20076-6896-795a-ab64-c8903fde183e", "01a20076-6896-795a-ab64-c8903fde1111"
PAYER, PAYEE, AGENCY = (f"01a20076-689c-7f3e-aeac-3d223b3ee{place:03}" for place in (1, 2, 3))
ORDER = "a211e946-18ee-4732-bf85-3242e00cec10"
BILLS = ["01a20076-8b11-7e48-b22c-245875458079", "01a20076-8b11-7e48-b22c-245875458080"]
ENTRY = "01a2007d-87bd-705a-bfef-7d981b7f8a25"
CREATED = 1_795_304_099
AT = "2026-11-21T23:35:02.123456Z"
SALT = bytes(range(16))
LOG = FileSigner.of_seed(ORIGIN, bytes(range(32)))
NEXT = FileSigner.of_seed(ORIGIN, bytes(range(1, 33)))
OTHER_LOG = FileSigner.of_seed("other.example.vn/log", bytes(range(2, 34)))
WITNESS = FileSigner.of_seed("kiem-toan.example.vn", bytes(range(3, 35)), note.COSIGNATURE)
KEYS = LogKeys((LogKey(LOG.key),))
KEY = PrivateKey.derive(b"hoa")
FILLER = [b"leaf %d" % at for at in range(9)]


class Maker:
    """A receipt in the making. Change a part and everything that rests on it is made anew, by the real keys."""

    def __init__(self, key: PrivateKey = KEY, kind: str = "transfer") -> None:
        self.key = key
        self.order: dict[str, Any] = {
            "v": "1", "aud": AUD, "created": str(CREATED), "expires": str(CREATED + 900), "id": ORDER, "kind": kind,
            "signer": HOA, "payer": PAYER, "payee": PAYEE, "amount": "85000", "memo": "tiền chợ",
        }  # fmt: skip
        self.base: dict[str, str] = {}
        """Lines and parameters of the base that are not as they should be."""
        self.components = list(signing.ORDER_COMPONENTS)
        self.entries: list[dict[str, Any]] = [
            {
                "id": ENTRY, "kind": "transfer", "effective_at": AT, "settles": "", "reverses": "", "refunds": "",
                "postings": [{"debit": PAYER, "credit": PAYEE, "amount": "85000"}],
            }
        ]  # fmt: skip
        self.event: dict[str, Any] = {"v": "1", "type": "transfer.sent", "at": AT, "subject": ENTRY, "actor": HOA}
        self.data: dict[str, Any] = {}
        self.named: dict[str, str] = {}
        self.jwk: dict[str, str] = dict(key.public.jwk)
        self.enrolled: list[dict[str, Any]] = [
            {
                "v": "1", "id": HOA, "type": "key.enrolled", "at": AT, "subject": key.public.id, "actor": HOA,
                "data": {"device": "browser", "holder": HOA, "jwk": dict(key.public.jwk), "state": "active"},
            }
        ]  # fmt: skip
        self.enrolled_last = False
        self.signer, self.keys, self.cosigners = LOG, KEYS, [WITNESS]

    @property
    def content(self) -> bytes:
        return canonical.dumps(self.order)

    def base_text(self) -> str:
        lines = {
            "@method": "POST", "@target-uri": f"{self.order['aud']}/v1/transfers", "content-type": "application/json",
            "content-digest": signing.content_digest(self.content), "idempotency-key": f'"{self.order["id"]}"',
            "created": str(CREATED), "expires": str(CREATED + 300), "keyid": self.key.public.id,
            "alg": self.key.public.alg, "tag": signing.TAG,
        } | self.base  # fmt: skip
        covered = " ".join(f'"{name}"' for name in self.components)
        stated = f"({covered});created={lines['created']};expires={lines['expires']}" + "".join(
            f';{name}="{lines[name]}"' for name in ("keyid", "alg", "tag") if lines[name]
        )
        return "\n".join([f'"{name}": {lines[name]}' for name in self.components] + [f'"@signature-params": {stated}'])

    def events(self) -> list[bytes]:
        digest = hashlib.sha256(SALT + self.content).hexdigest()
        named = {"authority": ENTRY, "digest": digest, "kind": self.order["kind"]} | self.named
        made = []
        for place, entry in enumerate(self.entries or [{}]):
            data = {"order": named} | ({"entry": entry} if entry else {}) | self.data
            made.append(canonical.dumps(self.event | {"id": f"{ENTRY[:-2]}{place:02}", "data": data}))
        return made

    def body(self) -> dict[str, Any]:
        base = self.base_text()
        return {
            "v": "1",
            "order": {
                "bytes": self.content.decode(),
                "salt": b64(SALT),
                "signature_base": base,
                "signature": b64(self.key.sign(base.encode())),
                "key": self.jwk,
            },
        }

    def receipt(self) -> dict[str, Any]:
        """A receipt in a log of some leaves."""
        log = MemoryLog(self.signer, self.keys, list(FILLER))
        enrolled, told = [canonical.dumps(one) for one in self.enrolled], self.events()
        log.entries += told + enrolled if self.enrolled_last else enrolled + told
        log.entries += FILLER
        log.publish(*self.cosigners)
        assert log.raw is not None

        def leaf(entry: bytes) -> dict[str, Any]:
            index = log.entries.index(entry)
            proof = [b64(one) for one in log.inclusion(index, len(log.entries))]
            return {"bytes": entry.decode(), "index": str(index), "proof": proof}

        return self.body() | {
            "kind": "receipt",
            "enrolment": [leaf(one) for one in enrolled],
            "events": [leaf(one) for one in told],
            "checkpoint": log.raw.decode(),
        }

    def statement(self, kind: str = "acknowledgement", **changes: Any) -> dict[str, Any]:
        """An acknowledgement or a refusal."""
        told = self.events() if kind == "acknowledgement" else []
        said = {
            "kind": kind, "origin": ORIGIN, "signer": HOA, "order": ORDER, "about": "transfer", "at": AT,
            "digest": hashlib.sha256(SALT + self.content).hexdigest(), "by": AT if told else "",
            "leaves": tuple(merkle.leaf_hash(one) for one in told),
        } | changes  # fmt: skip
        signed = note.sign(Statement(**said).text, self.signer).encode().decode()
        events = {"events": [{"bytes": one.decode()} for one in told]} if told else {}
        return self.body() | {"kind": kind, "statement": signed} | events


def b64(value: bytes) -> str:
    return b64encode(value).decode()


def verify(said: dict[str, Any], keys: LogKeys = KEYS, **options: Any) -> evidence.Report:
    return evidence.verify(json.dumps(said).encode(), keys, **options)


def flipped(text: str) -> str:
    """Base64 of other bytes of the same length."""
    return ("B" if text[0] == "A" else "A") + text[1:]


# -- what is honest ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, PrivateKey.generate_ed25519()], ids=["P-256", "Ed25519"])
def test_an_honest_receipt_proves(key: PrivateKey) -> None:
    report = verify(Maker(key).receipt(), witnesses=[WITNESS.key], witnesses_min=1)
    assert (report.false, report.status) == (None, claims.PROVED)
    told = [one.claim for one in report.checked]
    assert [claim for claim in claims.CLAIMS if claim in told] == [
        claim for claim in claims.CLAIMS if not claim.code.startswith("statement")
    ]


def test_each_claim_is_told_once_it_was_looked_at_and_the_first_false_one_ends_it() -> None:
    said = Maker().receipt()
    said["order"]["signature"] = flipped(said["order"]["signature"])
    report = verify(said)
    assert report.false is not None
    assert report.false.claim is claims.SIGNATURE
    assert [one.claim for one in report.checked][-1] is claims.AUDIENCE
    assert claims.DIGEST not in [one.claim for one in report.checked]


def bill_payment() -> Maker:
    made = Maker(kind="bill_payment")
    bills = [{"bill": bill, "version": "1", "amount": "25000"} for bill in BILLS]
    made.order = {k: v for k, v in made.order.items() if k not in ("payee", "amount", "memo")} | {"bills": bills}
    postings = [{"debit": PAYER, "credit": AGENCY, "amount": amount} for amount in ("20000", "5000")]
    empty = made.entries[0] | {"kind": "bill_payment", "postings": postings}
    made.entries = [empty | {"id": bill, "settles": bill} for bill in BILLS]
    made.data = {"version": "1"}
    return made


def test_a_payment_of_bills_proves_when_each_bill_is_settled_whole() -> None:
    assert verify(bill_payment().receipt()).status == claims.PROVED


def test_the_statuses_and_codes_differ_and_none_is_taken_by_something_else() -> None:
    assert len({one.code for one in claims.CLAIMS}) == len({one.status for one in claims.CLAIMS}) == len(claims.CLAIMS)
    assert {claims.PROVED, 1, claims.USAGE, claims.WORD_ONLY} & {one.status for one in claims.CLAIMS} == set()
    assert max(one.status for one in claims.CLAIMS) < 126  # which shells keep for themselves


# -- what is spoilt ---------------------------------------------------------------------------------------------------

Spoil = Callable[[Maker], dict[str, Any]]
SPOILT: list[tuple[Claim, str, Spoil]] = []


def spoilt(claim: Claim) -> Callable[[Spoil], Spoil]:
    def register(spoil: Spoil) -> Spoil:
        SPOILT.append((claim, spoil.__name__, spoil))
        return spoil

    return register


def edit(made: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Change one field of a finished receipt."""
    spoilt = deepcopy(made)
    at: Any = spoilt
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        at = at[step]
    at[last] = value(at[last]) if callable(value) else value
    return spoilt


def field(claim: Claim, path: str, value: Any, made: Callable[[Maker], dict[str, Any]] = Maker.receipt) -> None:
    """One field of the file, and nothing else, is another."""
    shown = "made" if callable(value) else str(value)[:20]
    SPOILT.append((claim, f"{path}={shown}", lambda maker: edit(made(maker), path, value)))


field(claims.READABLE, "v", "2")
field(claims.READABLE, "v", 1)
field(claims.READABLE, "kind", "invoice")
field(claims.READABLE, "order", {})
field(claims.READABLE, "order.salt", "AAEC")
field(claims.READABLE, "order.salt", lambda salt: salt + "\n")
field(claims.READABLE, "order.signature", "no base64")
field(claims.READABLE, "order.key", "text")
field(claims.READABLE, "order.key", {"x": ["y"]})
field(claims.READABLE, "events", "text")
field(claims.READABLE, "events.0.index", "07")
field(claims.READABLE, "events.0.index", "-1")
field(claims.READABLE, "events.0.index", "١٢")
field(claims.READABLE, "events.0.proof", ["no base64"])
field(claims.READABLE, "checkpoint", ["text"])
field(claims.ORDER, "order.bytes", "{}")
field(claims.ORDER, "order.bytes", lambda text: text.replace('"v":"1"', '"v":"2"'))
field(claims.ORDER, "order.bytes", lambda text: text.replace('"v":"1"', '"v":"1","amount":"1"'))
field(claims.ORDER, "order.bytes", lambda text: text.replace('"85000"', "85000"))
field(claims.KEY, "order.key.x", "AAAA")
field(claims.KEY, "order.key.y", lambda y: flipped(y))
field(claims.KEY, "order.key.kty", "RSA")
field(claims.KEY, "order.key", {"crv": "Ed25519", "kty": "OKP", "x": "AQ" + "A" * 41})
field(claims.BASE, "order.signature_base", "")
field(claims.BASE, "order.signature_base", lambda base: base.replace('"@method": POST\n', ""))
field(claims.BASE, "order.signature_base", lambda base: base + "\n")
field(claims.BASE, "order.signature_base", lambda base: base.replace("POST", "PÓST"))
field(claims.BODY, "order.bytes", lambda text: text.replace('"85000"', '"95000"'))
field(claims.BODY, "order.bytes", lambda text: text.replace("tiền chợ", "tiền"))
field(claims.BODY, "order.bytes", lambda text: " " + text)
field(claims.SIGNATURE, "order.signature", flipped)
field(claims.SIGNATURE, "order.signature_base", lambda base: base.replace("POST", "PUT"))
field(claims.DIGEST, "order.salt", flipped)
field(claims.DIGEST, "events", [])
field(claims.EVENT, "events.0.bytes", lambda text: text.replace('"v":"1"', '"v":"2"'))
field(claims.EVENT, "events.0.bytes", "[]")
field(claims.EVENT, "events.0.bytes", lambda text: text.replace(AT, "2026-11-22"))
field(claims.EVENT, "events.0.bytes", lambda text: text.replace('{"actor"', '{"actor":"","actor"'))
field(claims.ENROLMENT, "enrolment", [])
field(claims.NOTE, "checkpoint", "")
field(claims.NOTE, "checkpoint", lambda text: text.replace("\n20\n", "\n020\n"))
field(claims.NOTE_SIGNATURE, "checkpoint", lambda text: text.replace("\n20\n", "\n21\n"))
field(claims.LOG, "checkpoint", lambda text: text.replace(f"{ORIGIN}\n20", "other.example.vn/log\n20"))
field(claims.SIGNED, "checkpoint", lambda text: text.replace(f"— {ORIGIN}", "— somebody"))
field(claims.LEAF, "events.0.index", "12")
field(claims.LEAF, "events.0.index", "99")
field(claims.LEAF, "events.0.proof.0", flipped)
field(claims.LEAF, "events.0.proof", lambda proof: proof[:-1])
field(claims.LEAF, "events.0.proof", lambda proof: [*proof, proof[0]])
field(claims.LEAF, "enrolment.0.proof.1", flipped)
field(claims.LEAF, "events.0.bytes", lambda text: text.replace(ENTRY[:-2] + "00", ENTRY[:-2] + "07"))
field(claims.LEAF, "enrolment.0.bytes", lambda text: text.replace('"browser"', '"machine"'))
field(claims.WORD, "statement", "", Maker.statement)
field(claims.WORD, "statement", lambda text: text.replace("order ", "order  "), Maker.statement)
field(claims.WORD_SIGNED, "statement", lambda text: text.replace(f"— {ORIGIN}", "— somebody"), Maker.statement)
field(claims.WORD_SIGNATURE, "statement", lambda text: text.replace("about transfer", "about refund"), Maker.statement)
field(claims.READABLE, "events.0", {"bytes": "{}", "index": "1", "proof": []}, Maker.statement)
field(
    claims.WORD_ORDER,
    "events.0.bytes",
    lambda text: text.replace('"transfer.sent"', '"transfer.went"'),
    Maker.statement,
)


@spoilt(claims.READABLE)
def a_member_too_many(made: Maker) -> dict[str, Any]:
    return made.receipt() | {"paid": "yes"}


@spoilt(claims.READABLE)
def a_member_is_missing(made: Maker) -> dict[str, Any]:
    said = made.receipt()
    del said["enrolment"]
    return said


@spoilt(claims.READABLE)
def a_receipt_that_calls_itself_a_refusal(made: Maker) -> dict[str, Any]:
    return made.receipt() | {"kind": "refusal"}


@spoilt(claims.BASE)
def the_digest_was_not_covered(made: Maker) -> dict[str, Any]:
    """Row 49."""
    made.components.remove("content-digest")
    return made.receipt()


@spoilt(claims.BASE)
def no_algorithm_was_stated(made: Maker) -> dict[str, Any]:
    made.base = {"alg": ""}
    return made.receipt()


@spoilt(claims.PURPOSE)
def a_signature_made_for_a_login(made: Maker) -> dict[str, Any]:
    """Row 58."""
    made.base = {"tag": "login-v1"}
    return made.receipt()


@spoilt(claims.SIGNERS_KEY)
def a_signature_that_names_another_key(made: Maker) -> dict[str, Any]:
    made.base = {"keyid": PrivateKey.derive(b"binh").public.id}
    return made.receipt()


@spoilt(claims.SIGNERS_KEY)
def another_algorithm_is_stated(made: Maker) -> dict[str, Any]:
    """Row 51."""
    made.base = {"alg": "hmac-sha256"}
    return made.receipt()


@spoilt(claims.SIGNERS_KEY)
def the_payers_key_is_swapped_in_the_file(made: Maker) -> dict[str, Any]:
    made.jwk = dict(PrivateKey.derive(b"binh").public.jwk)
    return made.receipt()


@spoilt(claims.BODY)
def a_signature_over_another_order(made: Maker) -> dict[str, Any]:
    made.base = {"content-digest": signing.content_digest(b"another order")}
    return made.receipt()


@spoilt(claims.ORDER_ID)
def a_signature_sent_under_another_id(made: Maker) -> dict[str, Any]:
    made.base = {"idempotency-key": f'"{HOA}"'}
    return made.receipt()


@spoilt(claims.AUDIENCE)
def an_order_of_the_test_service_sent_to_the_real_one(made: Maker) -> dict[str, Any]:
    made.order["aud"] = "https://test.example.vn"
    made.base = {"@target-uri": f"{AUD}/v1/transfers"}
    return made.receipt()


@spoilt(claims.AUDIENCE)
def sent_to_a_service_whose_name_only_begins_alike(made: Maker) -> dict[str, Any]:
    made.base = {"@target-uri": f"{AUD}.evil.example/v1/transfers"}
    return made.receipt()


@spoilt(claims.SERVICE)
def an_order_for_another_service_in_this_log(made: Maker) -> dict[str, Any]:
    made.order["aud"] = "https://test.example.vn"
    return made.receipt()


@spoilt(claims.DIGEST)
def the_event_of_another_order_of_the_same_signer(made: Maker) -> dict[str, Any]:
    made.named = {"digest": "00" * 32}
    return made.receipt()


@spoilt(claims.DIGEST)
def an_event_that_names_no_order(made: Maker) -> dict[str, Any]:
    made.data = {"order": {}}
    return made.receipt()


@spoilt(claims.ACTOR)
def the_event_names_somebody_else(made: Maker) -> dict[str, Any]:
    made.event["actor"] = BINH
    return made.receipt()


@spoilt(claims.ACTOR)
def the_event_names_another_kind_of_order(made: Maker) -> dict[str, Any]:
    made.named = {"kind": "hold"}
    return made.receipt()


@spoilt(claims.WINDOW)
def an_order_carried_out_after_its_time(made: Maker) -> dict[str, Any]:
    made.event["at"] = "2026-11-22T03:35:02.123456Z"
    return made.receipt()


@spoilt(claims.WINDOW)
def an_order_carried_out_before_it_was_made(made: Maker) -> dict[str, Any]:
    made.event["at"] = "2026-11-20T03:35:02.123456Z"
    return made.receipt()


def amount_in_the_leaf(made: Maker) -> None:
    made.entries[0]["postings"][0]["amount"] = "95000"


def payee_in_the_leaf(made: Maker) -> None:
    made.entries[0]["postings"][0]["credit"] = AGENCY


def payer_in_the_leaf(made: Maker) -> None:
    made.entries[0]["postings"][0]["debit"] = AGENCY


def posting_more(made: Maker) -> None:
    made.entries[0]["postings"] *= 2


def posting_less(made: Maker) -> None:
    made.entries[0]["postings"] = []


def entry_of_another_kind(made: Maker) -> None:
    made.entries[0]["kind"] = "topup"


def entry_that_undoes(made: Maker) -> None:
    made.entries[0]["reverses"] = HOA


def entry_twice(made: Maker) -> None:
    made.entries *= 2


def no_entry(made: Maker) -> None:
    made.entries = []


def money_moved_by_an_order_that_moves_none(made: Maker) -> None:
    made.order["kind"] = "key_approve"


@pytest.mark.parametrize(
    "change",
    [
        amount_in_the_leaf, payee_in_the_leaf, payer_in_the_leaf, posting_more, posting_less, entry_of_another_kind,
        entry_that_undoes, entry_twice, no_entry, money_moved_by_an_order_that_moves_none,
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_an_entry_that_is_not_what_was_signed_is_named(change: Callable[[Maker], None]) -> None:
    """Rows 116 to 118: the insider writes the leaf and the tree anew, and the signer's order stands against it."""
    made = Maker()
    change(made)
    false = verify(made.receipt()).false
    assert false is not None
    assert false.claim is claims.ENTRY


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "24000"}, {"amount": "+25000"}, {"version": "2"}, {"bill": HOA},
    ],
    ids=str,
)  # fmt: skip
def test_a_bill_paid_otherwise_than_it_was_signed_is_named(change: dict[str, str]) -> None:
    made = bill_payment()
    made.order["bills"][0] |= change
    false = verify(made.receipt()).false
    assert false is not None
    assert false.claim is claims.ENTRY


def test_one_bill_of_two_is_not_the_payment() -> None:
    made = bill_payment()
    made.entries.pop()
    false = verify(made.receipt()).false
    assert false is not None
    assert false.claim is claims.ENTRY
    wrong = bill_payment()
    wrong.entries[0]["postings"][1] = wrong.entries[0]["postings"][1] | {"debit": PAYEE}
    assert (found := verify(wrong.receipt()).false) is not None
    assert found.claim is claims.ENTRY


@spoilt(claims.ENROLMENT)
def a_key_enrolled_for_somebody_else(made: Maker) -> dict[str, Any]:
    """Row 56: an insider signs with another's key, or with one that nobody enrolled."""
    made.enrolled[0]["data"]["holder"] = BINH
    return made.receipt()


@spoilt(claims.ENROLMENT)
def the_enrolment_of_another_key(made: Maker) -> dict[str, Any]:
    made.enrolled[0]["subject"] = PrivateKey.derive(b"binh").public.id
    return made.receipt()


@spoilt(claims.ENROLMENT)
def the_enrolment_shows_another_key(made: Maker) -> dict[str, Any]:
    made.enrolled[0]["data"]["jwk"] = dict(PrivateKey.derive(b"binh").public.jwk)
    return made.receipt()


@spoilt(claims.ENROLMENT)
def a_key_that_nobody_let_in(made: Maker) -> dict[str, Any]:
    made.enrolled[0]["data"]["state"] = "pending"
    return made.receipt()


@spoilt(claims.ENROLMENT)
def a_key_that_was_revoked(made: Maker) -> dict[str, Any]:
    made.enrolled.append(made.enrolled[0] | {"id": BINH, "type": "key.revoked", "data": {}})
    return made.receipt()


@spoilt(claims.KEY_FIRST)
def a_key_enrolled_after_the_order(made: Maker) -> dict[str, Any]:
    made.enrolled_last = True
    return made.receipt()


@spoilt(claims.LOG)
def the_checkpoint_of_another_log(made: Maker) -> dict[str, Any]:
    made.signer, made.keys = OTHER_LOG, LogKeys((LogKey(OTHER_LOG.key),))
    return made.receipt()


@spoilt(claims.SIGNED)
def a_checkpoint_that_a_stranger_signed_in_the_logs_name(made: Maker) -> dict[str, Any]:
    """Row 127: the same name, another key id."""
    made.signer, made.keys = NEXT, LogKeys((LogKey(NEXT.key),))
    return made.receipt()


@spoilt(claims.NOTE_SIGNATURE)
def a_second_line_of_the_logs_key_that_it_did_not_make(made: Maker) -> dict[str, Any]:
    def doubled(text: str) -> str:
        key = made.signer.key
        return text + note.Signature(key.name, key.id, bytes(64)).line

    return edit(made.receipt(), "checkpoint", doubled)


@spoilt(claims.NOTE)
def a_line_whose_name_has_a_blank_in_it(made: Maker) -> dict[str, Any]:
    return edit(made.receipt(), "checkpoint", lambda text: f"{text}— next\x85line AAAAAAAA\n")


@spoilt(claims.NOTE)
def a_checkpoint_of_no_leaves_with_a_root(made: Maker) -> dict[str, Any]:
    return edit(made.receipt(), "checkpoint", lambda text: re.sub(r"\n\d+\n", "\n0\n", text, count=1))


@spoilt(claims.EVENT)
def an_order_carried_out_in_the_year_0(made: Maker) -> dict[str, Any]:
    made.event["at"] = "0000-11-21T03:35:02.123456Z"
    return made.receipt()


@spoilt(claims.WORD_ORDER)
def a_promise_about_another_order(made: Maker) -> dict[str, Any]:
    return made.statement(order=HOA)


@spoilt(claims.WORD_ORDER)
def a_promise_of_another_log(made: Maker) -> dict[str, Any]:
    return made.statement(origin="wallet.example.vn/log2")


@spoilt(claims.WORD_ORDER)
def a_promise_of_other_leaves(made: Maker) -> dict[str, Any]:
    return made.statement(leaves=(merkle.leaf_hash(b"another"),))


@spoilt(claims.WORD)
def a_promise_without_leaves(made: Maker) -> dict[str, Any]:
    return made.statement(leaves=(), by="")


@spoilt(claims.WORD_SIGNED)
def a_promise_signed_by_a_stranger(made: Maker) -> dict[str, Any]:
    made.signer = NEXT
    return made.statement()


@spoilt(claims.WORD)
def a_checkpoint_in_the_place_of_a_promise(made: Maker) -> dict[str, Any]:
    """Row 58: what the log signs as a checkpoint is no statement."""
    return made.statement() | {"statement": made.receipt()["checkpoint"]}


@spoilt(claims.NOTE)
def a_promise_in_the_place_of_a_checkpoint(made: Maker) -> dict[str, Any]:
    return made.receipt() | {"checkpoint": made.statement()["statement"]}


@pytest.mark.parametrize(("claim", "name", "spoil"), SPOILT, ids=[f"{one.code}-{name}" for one, name, _ in SPOILT])
def test_a_spoilt_receipt_is_named_by_its_code(claim: Claim, name: str, spoil: Spoil) -> None:
    report = verify(spoil(Maker()))
    assert report.false is not None, name
    assert (report.false.claim.code, report.status) == (claim.code, claim.status), report.false.detail


def test_every_code_has_a_receipt_that_is_spoilt_so() -> None:
    elsewhere = {claims.ENTRY, claims.IN_FORCE, claims.ROOT, claims.WITNESSES}
    assert {claim for claim, _, _ in SPOILT} | elsewhere == set(claims.CLAIMS)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", b"null", b'{"v":"1","v":"1"}', b"[" * 100_000, b"x" * (evidence.BYTES_MAX + 1), b'{"v":NaN}'],
    ids=["empty", "no UTF-8", "null", "twice", "deep", "long", "NaN"],
)
def test_bytes_that_are_no_receipt_are_named_and_never_trip_the_verifier(raw: bytes) -> None:
    """Rows 6, 9 and 14."""
    assert evidence.verify(raw, KEYS).status == claims.READABLE.status


# -- keys and witnesses -----------------------------------------------------------------------------------------------


def rotated() -> tuple[LogKeys, Checkpoint]:
    """The log's keys after LOG was retired with the checkpoint that a receipt has."""
    last = Checkpoint.parse(note.Note.parse(Maker().receipt()["checkpoint"].encode()).text)
    return KEYS.rotated(NEXT.key, last), last


def test_a_receipt_of_before_a_rotation_still_proves() -> None:
    """Row 130."""
    keys, _ = rotated()
    assert verify(Maker().receipt(), keys).status == claims.PROVED


def test_a_receipt_forged_with_a_retired_key_does_not() -> None:
    """Row 130: of a later size, and of the last size with another root."""
    keys, _ = rotated()
    longer = Maker()
    longer.enrolled.append(longer.enrolled[0] | {"id": BINH})  # one leaf more
    false = verify(longer.receipt(), keys).false
    assert (false and false.claim) is claims.ENROLMENT  # looked at first
    forged = bill_payment().receipt()  # two leaves where the transfer had one: a larger tree
    assert (false := verify(forged, keys).false) is not None
    assert false.claim is claims.IN_FORCE
    other = Maker()
    other.order["memo"] = "khác"
    assert (false := verify(other.receipt(), keys).false) is not None
    assert false.claim is claims.ROOT


def test_as_many_witnesses_as_are_asked_for_must_have_cosigned() -> None:
    other = FileSigner.of_seed("bao-chi.example.vn", bytes(range(4, 36)), note.COSIGNATURE)
    said = Maker().receipt()
    assert verify(said, witnesses=[WITNESS.key, other.key], witnesses_min=1).status == claims.PROVED
    assert verify(said, witnesses=[WITNESS.key, other.key], witnesses_min=2).status == claims.WITNESSES.status
    assert verify(said, witnesses_min=1).status == claims.WITNESSES.status
    lone = Maker()
    lone.cosigners = []
    assert verify(lone.receipt(), witnesses=[WITNESS.key], witnesses_min=1).status == claims.WITNESSES.status


# -- the operator's word ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["acknowledgement", "refusal"])
def test_a_true_statement_is_the_operators_word_and_no_proof(kind: str) -> None:
    report = verify(Maker().statement(kind, about="transfer" if kind == "acknowledgement" else "funds_insufficient"))
    assert (report.false, report.status) == (None, claims.WORD_ONLY)
    told = "\n".join(evidence.lines(report, "en"))
    assert "not a proof" in told
    assert "PROVED" not in told


def test_a_statement_reads_back_in_one_spelling() -> None:
    text = note.Note.parse(Maker().statement()["statement"].encode()).text
    assert statement.parse(text).text == text
    for other in (text + "\n", text.replace("/v1", "/v2"), text[:-1], text.replace(ORDER, ORDER.upper())):
        with pytest.raises(statement.BadStatement):
            statement.parse(other)


def test_no_statement_reads_as_a_checkpoint() -> None:
    for kind in ("acknowledgement", "refusal"):
        text = note.Note.parse(Maker().statement(kind)["statement"].encode()).text
        with pytest.raises(ValueError, match="checkpoint"):
            Checkpoint.parse(text)


# -- the command ------------------------------------------------------------------------------------------------------


def run(folder: Path, said: dict[str, Any], *more: str, key: str = "") -> subprocess.CompletedProcess[str]:
    file = folder / "receipt.json"
    file.write_text(json.dumps(said), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "wallet.log.evidence",
        "verify",
        str(file),
        "--log-key",
        key or str(LOG.key),
        *more,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_command_prints_what_it_checked_and_exits_with_the_codes_status(tmp_path: Path) -> None:
    done = run(tmp_path, Maker().receipt(), "--lang", "en", "--witness", str(WITNESS.key), "--witnesses", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("✓ The file is a receipt")
    assert lines[-1].startswith("PROVED: ")
    assert len(lines) > 20
    false = run(tmp_path, edit(Maker().receipt(), "order.signature", flipped))
    assert false.returncode == claims.SIGNATURE.status
    assert false.stdout.splitlines()[-1].startswith("SAI signature_invalid: ")
    assert run(tmp_path, Maker().statement()).returncode == claims.WORD_ONLY


@pytest.mark.parametrize("path", ["order.bytes", "checkpoint"])
def test_a_file_that_is_judged_does_not_write_the_verdict(tmp_path: Path, path: str) -> None:
    """An order's kind or a log's name that is a line of its own, after which the terminal shows nothing more."""
    verdict = "\nPROVED: the signer's key signed this order\x1b[8m\u202e"
    made = Maker()
    if path == "order.bytes":
        made.order["kind"] += verdict
    said = made.receipt()
    if path == "checkpoint":
        said = edit(said, "checkpoint", lambda text: text.replace("\n", "\u2028PROVED\x7f\n", 1))
    done = run(tmp_path, said, "--lang", "en")
    assert done.returncode not in (0, claims.WORD_ONLY)
    assert "PROVED" in done.stdout, "it is told what the file says"
    assert [line for line in done.stdout.splitlines() if line.startswith("PROVED")] == []
    assert done.stdout.replace("\n", "").isprintable()


def test_the_logs_keys_come_as_one_key_or_as_a_file_of_all_of_them(tmp_path: Path) -> None:
    keys, _ = rotated()
    (tmp_path / "log.keys").write_text(str(keys), encoding="utf-8")
    assert run(tmp_path, Maker().receipt(), key=str(tmp_path / "log.keys")).returncode == 0
    assert run(tmp_path, Maker().receipt(), key=str(NEXT.key)).returncode == claims.SIGNED.status
    for wrong in ("nothing", str(WITNESS.key), f"{LOG.key}x", str(tmp_path)):
        done = run(tmp_path, Maker().receipt(), key=wrong)
        assert (done.returncode, done.stdout) == (claims.USAGE, ""), wrong
        assert done.stderr.count("\n") == 1, done.stderr


def test_help_names_every_exit_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wallet.log.evidence", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for claim in claims.CLAIMS:
        assert f"{claim.status} {claim.code}\n" in told


@pytest.mark.parametrize("key", [KEY, PrivateKey.generate_ed25519()], ids=["P-256", "Ed25519"])
def test_verifying_needs_no_library_but_cryptography_and_no_network(tmp_path: Path, key: PrivateKey) -> None:
    """Every other package of the project is as good as not installed, every socket too, and a receipt verifies."""
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(Maker(key).receipt()), encoding="utf-8")
    program = f"""
import sys, importlib.metadata as metadata
for name, packages in metadata.packages_distributions().items():
    if not {{"cryptography", "cffi", "pycparser"}} & set(packages):
        sys.modules.setdefault(name, None)
sys.modules["socket"] = sys.modules["sqlite3"] = None
from wallet.log import evidence
assert evidence.main(["verify", {str(file)!r}, "--log-key", {str(LOG.key)!r}]) == 0
print(*sorted(name for name, module in sys.modules.items() if module and name.startswith("wallet.")))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = "as_ordered checkpoint claims evidence merkle note signed_order statement visible"
    assert done.stdout.splitlines()[-1].split() == [
        "wallet.crypto",
        "wallet.log",
        *(f"wallet.log.{name}" for name in ours.split()),
    ]
