"""Scanned: what a citizen's camera, photo or fingers gave, sorted into what can be done about it. Pure.

What    A code of ours names whom to look up; everything else is explained. A person's own code, an address of ours and the
        code of an acceptance point in letters are read as well, since all of them get scanned or typed.
Rule    Nobody is paid by what a code says about itself: what leads to a payment here is an id or a serial, never a name.
Source  docs/decisions/0021 (which faults refuse a code), 0022 (our own template), 0053 (what becomes of a scanned text).
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from market import banks, qr
from market.banks import Bank
from market.qr.fields import (
    OWN_GUID,
    Account,
    ConsumerFields,
    Environment,
    ForeignAmount,
    Kind,
    MerchantFields,
    VietQR,
)
from market.qr.issues import TEXT_CHARS_MAX, Code, Issue, Level
from wallet.money import Dong

SERIAL_PATH: Final = "/q/"
"""Where a phone's own camera is led by an acceptance point's sticker."""

TAG_CHARS_MAX: Final = 40

ONE_TIME_PREFIX: Final = "TRANGTIEN:"
"""How a citizen's one-time code begins inside its symbol; capitals and digits make the smallest symbol."""

_PAYEE_CODE: Final = re.compile(r"(?:[0-9][ .\u00a0-]*){9}")
_ONE_TIME: Final = re.compile(r"(?:[0-9][ .\u00a0-]*){12}")
_PHONE: Final = re.compile(r"(?:\+84|0)(?:[ .\u00a0-]*[0-9]){9}")
_OWN_LETTERS: Final = re.compile(r"[0-9A-Za-z](?:[ \u00a0-]?[0-9A-Za-z]){7,9}")
"""Eight letters and digits are a point's serial, ten an invoice's number."""
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_SCHEMES: Final = {
    "A000000615": "DuitNow (Malaysia)",
    "A000000677": "PromptPay (Thái Lan)",
    "A0000006770101": "PromptPay (Thái Lan)",
    "A000000775": "VNPAY",
    "SG.PAYNOW": "PayNow (Singapore)",
    "ID.CO.QRIS.WWW": "QRIS (Indonesia)",
    "BR.GOV.BCB.PIX": "Pix (Brazil)",
    "HK.COM.HKICL": "FPS (Hồng Kông)",
}
"""Whose a template is, where its GUID is well known; others are shown as they are written."""

_CARDS: Final = {
    **dict.fromkeys(("02", "03"), "Visa"),
    **dict.fromkeys(("04", "05"), "Mastercard"),
    **dict.fromkeys(("11", "12"), "American Express"),
    **dict.fromkeys(("13", "14"), "JCB"),
    **dict.fromkeys(("15", "16"), "UnionPay"),
}
"""Tags that EMVCo gave to card schemes."""


@dataclass(frozen=True, slots=True)
class OurPoint:
    """The sticker of an acceptance point."""

    merchant: UUID
    point: UUID


@dataclass(frozen=True, slots=True)
class OurInvoice:
    """One invoice. The amount is what the code claims, to be compared with what was registered."""

    merchant: UUID
    point: UUID
    number: str
    amount: Dong


@dataclass(frozen=True, slots=True)
class Typed:
    """An acceptance point by its serial or an invoice by its number, as typed or as a sticker's address says it.

    `tag` is what that address bears to show that we printed it; empty of what was typed.
    """

    letters: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class PersonPhone:
    """A phone number, as typed."""

    typed: str


@dataclass(frozen=True, slots=True)
class PersonCode:
    """Nine digits: what a person shows to receive money."""

    digits: str


@dataclass(frozen=True, slots=True)
class OneTimeCode:
    """Somebody's code for paying at a till: only a till can use it."""

    digits: str


@dataclass(frozen=True, slots=True)
class OurPage:
    """An address of this service: a path, with its query."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BankCode:
    """A VietQR of a bank account. `bank` is None where the number is not listed; the rest is what the code says."""

    account: VietQR
    bank: Bank | None
    amount: Dong | ForeignAmount | None
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCode:
    """Any other merchant's code: of which schemes, and what it says about itself."""

    schemes: tuple[str, ...]
    country: str | None
    currency: str | None
    amount: Dong | ForeignAmount | None
    name: str | None
    city: str | None


@dataclass(frozen=True, slots=True)
class ConsumerCode:
    """A code that another wallet's customer shows to be charged."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address elsewhere, which is never opened; `host` is as it would be asked for, so that no letter deceives."""

    host: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """A payment code that nobody may be paid by; `ours` says whether it claims to be of this wallet."""

    code: Code
    ours: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing that we know."""


Scanned = (
    OurPoint
    | OurInvoice
    | Typed
    | PersonPhone
    | PersonCode
    | OneTimeCode
    | OurPage
    | BankCode
    | ForeignCode
    | ConsumerCode
    | Address
    | Damaged
    | Unknown
)


def sort(text: str, *, origin: str, environment: Environment) -> Scanned:
    """Say what a scanned or typed text is.

    Args:
        text: anything at all, of any length.
        origin: this service's public origin, "https://vi.hue.gov.vn".
        environment: where we run; the other one's codes are damaged here.

    Returns:
        One of the classes above; this never raises.
    """
    if len(text) > TEXT_CHARS_MAX:
        return Damaged(Code.TOO_LONG, ours=False)
    words = text.strip()
    if words.upper().startswith(ONE_TIME_PREFIX):
        return OneTimeCode(_digits(words[len(ONE_TIME_PREFIX) :]))
    if _PAYEE_CODE.fullmatch(words):
        return PersonCode(_digits(words))
    if _PHONE.fullmatch(words):
        return PersonPhone(words)
    if _ONE_TIME.fullmatch(words):
        return OneTimeCode(_digits(words))
    if _SCHEME.match(words):
        return _address(words, origin)
    if _OWN_LETTERS.fullmatch(words):
        return Typed(words)
    return _payment(words, environment) if words.startswith(("00", "hQ")) else Unknown()


def _digits(typed: str) -> str:
    return re.sub(r"[^0-9]", "", typed)


def _address(text: str, origin: str) -> Scanned:
    try:
        asked, own = urlsplit(text), urlsplit(origin)
        host = (asked.hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        return Unknown()
    if asked.scheme.lower() not in ("http", "https") or not host:
        return Unknown()
    if (asked.scheme.lower(), asked.netloc.lower()) != (own.scheme, own.netloc):
        return Address(host)
    if asked.path.startswith(SERIAL_PATH):
        serial = asked.path.removeprefix(SERIAL_PATH)
        tag = dict(parse_qsl(asked.query)).get("t", "")
        return Typed(serial, tag[:TAG_CHARS_MAX]) if _OWN_LETTERS.fullmatch(serial) else Unknown()
    return OurPage(asked.path + (f"?{asked.query}" if asked.query else ""))


def _payment(text: str, environment: Environment) -> Scanned:
    read = qr.decode(text, environment=environment)
    said = read.fields
    if isinstance(said, ConsumerFields):
        return Damaged(Code.CONSUMER_MALFORMED, ours=False) if read.refused else ConsumerCode()
    ours = said.point is not None or f"{len(OWN_GUID):02d}{OWN_GUID}" in text.lower()
    faults = sorted(read.issues, key=_weight)
    if faults and (ours or read.refused):
        return Damaged(faults[0].code, ours=ours)
    if said.point is not None:
        return _own(said)
    if said.vietqr is not None:
        return BankCode(account=said.vietqr, bank=banks.by_bin(said.vietqr.bin), amount=said.amount, name=said.name)
    return ForeignCode(
        schemes=tuple(dict.fromkeys(_scheme(one) for one in said.accounts)),
        country=said.country,
        currency=said.currency,
        amount=said.amount,
        name=said.name,
        city=said.city,
    )


_FIRST: Final = (Code.OTHER_ENVIRONMENT, Code.CRC_MISMATCH, Code.CRC_MALFORMED, Code.CRC_MISSING, Code.CRC_NOT_LAST)
"""Of several faults the one to tell a person: another city's code is whole, and a changed one's other faults follow."""


def _weight(issue: Issue) -> tuple[int, int]:
    place = _FIRST.index(issue.code) if issue.code in _FIRST else len(_FIRST)
    return place, 0 if issue.code.level is Level.REFUSAL else 1


def _own(said: MerchantFields) -> Scanned:
    point = said.point
    assert point is not None, "asked only of our own"
    if point.kind is Kind.POINT:
        return OurPoint(point.merchant, point.point)
    number = said.additional.bill_number if said.additional else None
    assert number is not None, "the codec refuses an invoice without its number"
    assert isinstance(said.amount, int), "the codec refuses an invoice without an amount in đồng"
    return OurInvoice(point.merchant, point.point, number, said.amount)


def _scheme(one: Account) -> str:
    guid = one.guid
    if guid is None:
        return _CARDS.get(one.tag, f"EMVCo {one.tag}")
    return _SCHEMES.get(guid.upper(), guid)
