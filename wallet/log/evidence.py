"""Evidence: a receipt verified by whoever has the file and the log's key; no database, no network, nobody's word.

    python -m wallet.log.evidence verify receipt.json --log-key KEY

Words   A receipt holds an order as its signer gave it, the events that it caused, each with its place in the log, and a
        checkpoint that the log has signed. Every claim that follows from these is looked at in one order (`claims.CLAIMS`),
        and the first that is false ends the matter.
        An acknowledgement promises that events will be in the log; a refusal says that there are none. Both are statements
        under the log's key whose first line can begin no checkpoint.
        What no receipt can show, because it takes the whole log: that the key was not revoked before the order, and that
        nothing else was done in the order's name.
Needs   `cryptography` and the standard library.
"""

import argparse
import io
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from wallet.log import as_ordered, claims, merkle, note, statement
from wallet.log.checkpoint import BadCheckpoint, BadLogKeys, Checkpoint, KeyNotInForce, LogKeys
from wallet.log.claims import LOCALES, Claim, False_, Locale
from wallet.log.note import BadKey, BadNote, BadSignature, Note, NotSigned, VerifierKey
from wallet.log.signed_order import Key, SignedOrder, check_base, host, read_base, read_order, strings, unb64
from wallet.log.visible import visible

RECEIPT: Final = "receipt"
KINDS: Final = (RECEIPT, statement.ACKNOWLEDGEMENT, statement.REFUSAL)

BYTES_MAX: Final = 8 * 1024 * 1024
"""Twenty bills at the longest leaf there can be, with room; a file beyond it is not read."""

SALT_BYTES: Final = 16

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

_LAST_S: Final = 253_402_300_799
"""The last second that can be written with a year of four digits; a witness may claim a later one."""

SLACK: Final = timedelta(seconds=60)
"""The order's times are its signer's clock, the event's is the database's; the door allows as much (`wallet.signing`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An event's bytes as a text and, where it is sealed, its place in the log and the proof of it."""

    text: str
    index: int = -1
    proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt as it was read; nothing of it is verified yet. `note` is a checkpoint, or the statement."""

    kind: str
    order: SignedOrder
    events: tuple[Leaf, ...]
    enrolment: tuple[Leaf, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim that holds, and what of."""

    claim: Claim
    about: str = ""


@dataclass(slots=True, kw_only=True)
class Report:
    """What was looked at: the claims that hold, in order, and the first that does not."""

    kind: str = ""
    checked: list[Checked] = field(default_factory=list)
    false: False_ | None = None

    @property
    def status(self) -> int:
        """Return the exit status: 0 only for a proof."""
        if self.false is not None:
            return self.false.claim.status
        return claims.PROVED if self.kind == RECEIPT else claims.WORD_ONLY

    def holds(self, claim: Claim, about: str = "") -> None:
        """Note that a claim holds."""
        self.checked.append(Checked(claim, about))


def verify(raw: bytes, keys: LogKeys, *, witnesses: Sequence[VerifierKey] = (), witnesses_min: int = 0) -> Report:
    """Verify a receipt, an acknowledgement or a refusal.

    Args:
        raw: the file's bytes.
        keys: every key of the log, got from elsewhere than the receipt.
        witnesses: cosigners whom the reader knows.
        witnesses_min: how many of them must have cosigned the checkpoint.
    """
    report = Report()
    try:
        receipt = read(raw)
        report.kind = receipt.kind
        report.holds(claims.READABLE, receipt.kind)
        order = _check_order(report, receipt.order, keys)
        events = _check_events(report, receipt, order)
        if receipt.kind == RECEIPT:
            _check_enrolment(report, receipt, order)
            _check_log(report, receipt, keys, witnesses, witnesses_min)
        else:
            _check_statement(report, receipt, order, events, keys)
    except False_ as false:
        report.false = false
    return report


# ---- reading --------------------------------------------------------------------------------------------------------


def read(raw: bytes) -> Receipt:
    """Read a receipt's file.

    Raises:
        False_: receipt_unreadable.
    """
    try:
        if len(raw) > BYTES_MAX:
            raise ValueError("too long")
        said = strings(raw.decode())
        kind, order = said["kind"], said["order"]
        if said["v"] != "1" or kind not in KINDS:
            raise ValueError(f"version {said['v']!r}, kind {kind!r}")
        own = {RECEIPT: {"enrolment", "events", "checkpoint"}, statement.REFUSAL: {"statement"}}
        if set(said) != {"v", "kind", "order"} | own.get(kind, {"events", "statement"}):
            raise ValueError("members that do not belong there, or are missing")
        if set(order) != {"bytes", "salt", "signature_base", "signature", "key"}:
            raise ValueError("the order's members are not those of an order")
        salt = unb64(order["salt"])
        if len(salt) != SALT_BYTES:
            raise ValueError(f"the salt has {SALT_BYTES} bytes, so that salt and order join in one way only")
        return Receipt(
            kind=kind,
            order=SignedOrder(
                content=_text(order["bytes"]).encode(),
                salt=salt,
                base=_text(order["signature_base"]),
                signature=unb64(order["signature"]),
                jwk={name: _text(value) for name, value in order["key"].items()},
            ),
            events=_leaves(said.get("events", []), sealed=kind == RECEIPT),
            enrolment=_leaves(said.get("enrolment", []), sealed=True),
            note=_text(said["checkpoint" if kind == RECEIPT else "statement"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise False_(claims.READABLE, str(fault)) from None


def _leaves(some: object, *, sealed: bool) -> tuple[Leaf, ...]:
    read = []
    for one in _list(some):
        if set(one) != ({"bytes", "index", "proof"} if sealed else {"bytes"}):
            raise ValueError("the members of an event are not those of an event")
        if not sealed:
            read.append(Leaf(text=_text(one["bytes"])))
            continue
        if not _INDEX.fullmatch(index := _text(one["index"])):
            raise ValueError("an index is a whole number")
        read.append(Leaf(text=_text(one["bytes"]), index=int(index), proof=tuple(map(unb64, _list(one["proof"])))))
    return tuple(read)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


# ---- the order and its signature ------------------------------------------------------------------------------------


def _check_order(report: Report, signed: SignedOrder, keys: LogKeys) -> dict[str, Any]:
    order = read_order(signed.content)
    report.holds(claims.ORDER, f"{order['kind']} {order['id']}")
    key = Key.read(signed.jwk)
    report.holds(claims.KEY, f"{key.alg} {key.id}")
    said = read_base(signed.base)
    report.holds(claims.BASE)
    check_base(said, order, signed.content, key)
    for claim in (claims.PURPOSE, claims.SIGNERS_KEY, claims.BODY, claims.ORDER_ID, claims.AUDIENCE):
        report.holds(claim)
    if not key.verifies(signed.signature, signed.base.encode()):
        raise False_(claims.SIGNATURE, f"not made by {key.id}")
    report.holds(claims.SIGNATURE, order["signer"])
    if host(order["aud"]) != keys.origin.partition("/")[0]:
        raise False_(claims.SERVICE, f"the order is for {order['aud']}, the log is {keys.origin}")
    report.holds(claims.SERVICE, order["aud"])
    return order


# ---- the events -----------------------------------------------------------------------------------------------------


def _check_events(report: Report, receipt: Receipt, order: Mapping[str, Any]) -> list[dict[str, Any]]:
    if receipt.kind == statement.REFUSAL:
        return []
    events = [_event(leaf) for leaf in receipt.events]
    report.holds(claims.EVENT, ", ".join(event["type"] for event in events))
    named = [event["data"].get("order") or {} for event in events]
    if any(one.get("digest") != receipt.order.digest for one in named) or not events:
        raise False_(claims.DIGEST, f"the order's digest is {receipt.order.digest}")
    report.holds(claims.DIGEST, receipt.order.digest)
    for event, one in zip(events, named, strict=True):
        if (event["actor"], one.get("kind")) != (order["signer"], order["kind"]):
            raise False_(claims.ACTOR, f"the event names {event['actor'] or 'nobody'} and {one.get('kind')}")
    report.holds(claims.ACTOR, order["signer"])
    _check_window(report, order, events)
    if not as_ordered.judge(order, events):
        raise False_(claims.ENTRY, "the events are not what the order said, or not all of it")
    report.holds(claims.ENTRY, f"{order['kind']}, {as_ordered.moved(events)} VND")
    return events


def _event(leaf: Leaf) -> dict[str, Any]:
    try:
        event = strings(leaf.text)
        texts = all(isinstance(event[name], str) for name in ("v", "id", "type", "at", "subject", "actor"))
        if not texts or event["v"] != "1" or not isinstance(event["data"], dict):
            raise ValueError("not an event of version 1")
        _instant(event["at"])
        if not isinstance(event["data"].get("order", {}), dict):
            raise ValueError("it does not name an order as events do")
    except KeyError as fault:
        raise False_(claims.EVENT, f"it has no {fault}") from None
    except ValueError as fault:
        raise False_(claims.EVENT, str(fault)) from None
    return event


def _check_window(report: Report, order: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    begins = datetime.fromtimestamp(int(order["created"]), UTC) - SLACK
    ends = datetime.fromtimestamp(int(order["expires"]), UTC) + SLACK
    for event in events:
        if not begins <= _instant(event["at"]) <= ends:
            raise False_(claims.WINDOW, f"the event is of {event['at']}, the order's time is {begins} to {ends}")
    report.holds(claims.WINDOW, events[0]["at"])


def _instant(text: str) -> datetime:
    if not _INSTANT.fullmatch(text):
        raise ValueError("an instant is spelled otherwise")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


# ---- the key --------------------------------------------------------------------------------------------------------


def _check_enrolment(report: Report, receipt: Receipt, order: Mapping[str, Any]) -> None:
    """The key was enrolled for the signer, and let in by an older device where it had to be."""
    leaves = receipt.enrolment
    if order["kind"] == "key_enrol" and not leaves:
        leaves = receipt.events  # the key's own enrolment, which it signed itself
    state, key = "", dict(receipt.order.jwk)
    for event in map(_event, leaves):
        data, said = event["data"], event["type"]
        if event["subject"] != Key.read(key).id:
            raise False_(claims.ENROLMENT, f"{said} is about another key")
        if said == "key.enrolled" and not state and (data.get("jwk"), data.get("holder")) == (key, order["signer"]):
            state = str(data.get("state"))
        elif said == "key.approved" and state == "pending":
            state = "active"
        else:
            raise False_(claims.ENROLMENT, f"{said} does not say so")
    if state != "active" and (leaves != receipt.events or not state):
        raise False_(claims.ENROLMENT, f"the key is {state or 'nobody’s'}")
    report.holds(claims.ENROLMENT, order["signer"])


# ---- the log --------------------------------------------------------------------------------------------------------


def _check_log(
    report: Report, receipt: Receipt, keys: LogKeys, witnesses: Sequence[VerifierKey], witnesses_min: int
) -> None:
    checkpoint = _check_checkpoint(report, receipt.note.encode(), keys, witnesses, witnesses_min)
    for leaf in (*receipt.enrolment, *receipt.events):
        try:
            merkle.check_inclusion(leaf.text.encode(), leaf.index, checkpoint.size, leaf.proof, checkpoint.root)
        except (merkle.BadProof, merkle.EntryTooLong) as fault:
            raise False_(claims.LEAF, f"leaf {leaf.index} of {checkpoint.size}: {fault}") from None
        report.holds(claims.LEAF, f"{leaf.index} < {checkpoint.size}")
    if any(key.index >= event.index for key in receipt.enrolment for event in receipt.events):
        raise False_(claims.KEY_FIRST, "its leaf stands behind the order's")
    report.holds(claims.KEY_FIRST)


def _check_checkpoint(
    report: Report, raw: bytes, keys: LogKeys, witnesses: Sequence[VerifierKey], witnesses_min: int
) -> Checkpoint:
    """The note is a checkpoint of this log, signed by the key in force at its size and by so many witnesses."""
    try:
        checkpoint = Checkpoint.parse(Note.parse(raw).text)
    except (BadNote, BadCheckpoint) as fault:
        raise False_(claims.NOTE, str(fault)) from None
    report.holds(claims.NOTE, f"{checkpoint.origin}, {checkpoint.size}")
    if checkpoint.origin != keys.origin:
        raise False_(claims.LOG, f"it is of {checkpoint.origin}, not {keys.origin}")
    report.holds(claims.LOG, checkpoint.origin)
    refutes = {NotSigned: claims.SIGNED, BadSignature: claims.NOTE_SIGNATURE, KeyNotInForce: claims.IN_FORCE}
    try:
        opened = keys.open(raw, witnesses)
    except (BadNote, BadCheckpoint) as fault:
        raise False_(refutes.get(type(fault), claims.ROOT), str(fault)) from None
    key = keys.in_force(checkpoint.size).key
    for claim in (claims.SIGNED, claims.NOTE_SIGNATURE, claims.IN_FORCE, claims.ROOT):
        report.holds(claim, f"{key.name}+{key.id.hex()}" if claim is claims.SIGNED else "")
    if len(opened.witnesses) < witnesses_min:
        raise False_(claims.WITNESSES, f"{len(opened.witnesses)} of {witnesses_min}")
    for one in opened.witnesses:
        at = datetime.fromtimestamp(min(one.time_s or 0, _LAST_S), UTC)
        report.holds(claims.WITNESSES, f"{one.by.name}, {at:%Y-%m-%dT%H:%M:%SZ}")
    return checkpoint


# ---- the operator's word --------------------------------------------------------------------------------------------


def _check_statement(
    report: Report,
    receipt: Receipt,
    order: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    keys: LogKeys,
) -> None:
    try:
        parsed = Note.parse(receipt.note.encode())
        said = statement.parse(parsed.text)
    except (BadNote, statement.BadStatement) as fault:
        raise False_(claims.WORD, str(fault)) from None
    report.holds(claims.WORD, parsed.text.partition("\n")[0])
    try:
        signed = parsed.verified([one.key for one in keys.keys])
    except BadNote as fault:
        claim = claims.WORD_SIGNATURE if isinstance(fault, BadSignature) else claims.WORD_SIGNED
        raise False_(claim, str(fault)) from None
    report.holds(claims.WORD_SIGNED, f"{signed[0].by.name}+{signed[0].by.id.hex()}")
    report.holds(claims.WORD_SIGNATURE)
    leaves = tuple(merkle.leaf_hash(leaf.text.encode()) for leaf in receipt.events)
    about = (keys.origin, receipt.kind, order["signer"], order["id"], receipt.order.digest, leaves)
    if (said.origin, said.kind, said.signer, said.order, said.digest, said.leaves) != about:
        raise False_(claims.WORD_ORDER, "another order, other events or another log")
    if events and said.by > _promised(events):
        raise False_(claims.WORD_ORDER, f"a promise of more than {statement.PROMISED_S} s: {said.by}")
    report.holds(claims.WORD_ORDER, f"{said.about} {said.at}" + (f" → {said.by}" if events else ""))


def _promised(events: Sequence[Mapping[str, Any]]) -> str:
    """By when the log has to have what happened first."""
    first = min(_instant(one["at"]) for one in events)
    return (first + timedelta(seconds=statement.PROMISED_S)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# ---- the command ----------------------------------------------------------------------------------------------------

VERDICTS: Final[Mapping[str, Mapping[Locale, str]]] = {
    RECEIPT: {
        "vi": "ĐÚNG: lệnh này do khoá của người ký ký, và việc nó làm đã nằm trong nhật ký.",
        "en": "PROVED: the signer's key signed this order, and what it did is in the log.",
    },
    statement.ACKNOWLEDGEMENT: {
        "vi": "CHỈ LÀ LỜI HỨA, chưa phải bằng chứng: bên vận hành hứa sẽ ghi việc này vào nhật ký. Xin tải lại tệp sau.",
        "en": "A PROMISE, not a proof: the operator promises to have this in the log in time. Fetch the receipt again.",
    },
    statement.REFUSAL: {
        "vi": "CHỈ LÀ LỜI XÁC NHẬN, không phải bằng chứng: bên vận hành nói lệnh bị từ chối và không có tiền nào chuyển đi.",
        "en": "THE OPERATOR'S WORD, not a proof: it says that the order was refused and that no money moved.",
    },
}
_FALSE: Final[Mapping[Locale, str]] = {"vi": "SAI", "en": "FALSE"}


def lines(report: Report, locale: Locale) -> list[str]:
    """Spell a report: a line for each claim that was looked at, then the verdict. No text of the file makes a line."""
    told = [f"✓ {one.claim.says(locale)}{f' ({visible(one.about)})' if one.about else ''}" for one in report.checked]
    if report.false is None:
        return [*told, VERDICTS[report.kind][locale]]
    claim = report.false.claim
    return [*told, f"✗ {claim.says(locale)}", f"{_FALSE[locale]} {claim.code}: {visible(report.false.detail)}"]


def log_keys(text: str) -> LogKeys:
    """Read `--log-key`: a verifier key, or a file with a line for each key that the log has had.

    Raises:
        BadLogKeys, note.BadKey, OSError.
    """
    path = Path(text)
    return LogKeys.parse(path.read_text(encoding="utf-8") if "+" not in text or path.exists() else text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify a file and say line by line what was looked at. Returns the exit status that `--help` explains."""
    parser = argparse.ArgumentParser(
        prog="python -m wallet.log.evidence",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Verify a payment's receipt without a network.",
        epilog="exit status:\n"
        f"  {claims.PROVED}  proved\n  {claims.USAGE}  wrong usage, or the log's keys cannot be read\n"
        f"  {claims.WORD_ONLY}  all true, and only the operator's word: a promise or a refusal, no proof\n"
        + "".join(f"  {one.status} {one.code}\n" for one in claims.CLAIMS),
    )
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("verify", help="verify a receipt, an acknowledgement or a refusal")
    asked.add_argument("receipt", type=Path, help="the file that was downloaded")
    asked.add_argument(
        "--log-key", required=True, help="the log's verifier key, or a file of all its keys, oldest first"
    )
    asked.add_argument("--witness", action="append", default=[], help="a witness's verifier key; may be repeated")
    asked.add_argument("--witnesses", type=int, default=0, help="how many of them must have cosigned")
    asked.add_argument("--lang", choices=LOCALES, default="vi", help="language of what is printed")
    given = parser.parse_args(arguments)
    try:
        keys, raw = log_keys(given.log_key), given.receipt.read_bytes()
        witnesses = [VerifierKey.parse(one) for one in given.witness]
        if any(one.algorithm != note.COSIGNATURE for one in witnesses):
            raise BadKey("a witness's key is a cosigner's")
    except (BadLogKeys, BadKey, OSError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return claims.USAGE
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot write Vietnamese still gets the codes
    report = verify(raw, keys, witnesses=witnesses, witnesses_min=given.witnesses)
    print("\n".join(lines(report, given.lang)))
    return report.status


if __name__ == "__main__":
    raise SystemExit(main())
