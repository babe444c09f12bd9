"""Fields: what a payment code says, apart from how it is written.

Words   Initiation: static (one sticker, many payments) or dynamic (one payment). A template belongs to whoever its GUID
        names, whatever tag it has. Our own template is a Point: which merchant, which acceptance point, what kind of code.
Money   Whole đồng for currency 704. An amount in another currency stays the exact decimal text it was: no float, no Dong.
Source  EMVCo QRCPS merchant-presented mode 1.1, chapter 4; NAPAS "Quy định về định dạng VietQR" 1.0 (09/2021), chapter 5.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from market.qr import tlv
from wallet.money import Dong

VND: Final = "704"
"""ISO 4217 number of the đồng, whose exponent is 0."""

NAPAS_GUID: Final = "A000000727"
"""NAPAS's application id. Laos uses tag 38 too, under another GUID: hence the GUID decides and not the tag."""

VIETQR_TAG: Final = "38"
"""Where NAPAS has its template written; read, it may have any tag from 26 to 51."""

OWN_GUID: Final = "vn.trangtien"
"""Ours: a reversed domain, as EMVCo asks of whoever has no AID; see docs/decisions/0022 before another city changes it."""

OWN_TAG: Final = "26"
"""Where we write our template: the first that EMVCo leaves free."""

DEMO_BIN: Final = "999999"
"""The bank of a demo's VietQR, so that no real money can follow one. National bank numbers are 9 and the country's
ISO 3166 number (Việt Nam: 9704..); 900 to 999 are given to no country."""


class Initiation(StrEnum):
    """Tag 01: whether a code is for many payments or for one."""

    STATIC = "11"
    DYNAMIC = "12"


class Service(StrEnum):
    """What NAPAS moves money to: an account or a card."""

    ACCOUNT = "QRIBFTTA"
    CARD = "QRIBFTTC"


class Kind(StrEnum):
    """Kind of our own code: an acceptance point's sticker, or one invoice (whose number is 62.01)."""

    POINT = "P"
    INVOICE = "I"


class Environment(StrEnum):
    """Whether our own code moves money or was made by a demo city."""

    LIVE = "L"
    DEMO = "D"


class TipKind(StrEnum):
    """Tag 55: the payer is asked for a tip, or a fee is added: fixed (56) or in per cent (57)."""

    ASK = "01"
    FIXED = "02"
    PERCENT = "03"


@dataclass(frozen=True, slots=True)
class ForeignAmount:
    """An amount in another currency: its exact decimal text, "50.00"."""

    text: str


Amount = Dong | ForeignAmount


@dataclass(frozen=True, slots=True)
class Account:
    """Someone else's merchant account information, tags 02 to 51, as it was written."""

    tag: str
    value: str

    @property
    def guid(self) -> str | None:
        """Return whose template it is, or None for a plain value or a template that does not say."""
        return self.parts.get("00") if self.tag >= "26" else None

    @property
    def parts(self) -> dict[str, str]:
        """Return the template's members by tag; empty for a plain value (tags below 26)."""
        return {part.tag: part.value for part in tlv.split(self.value)[0]} if self.tag >= "26" else {}


@dataclass(frozen=True, slots=True)
class VietQR:
    """NAPAS's template: six digits of the bank, account or card, and which of both it is."""

    bin: str
    account: str
    service: Service | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Our own template. Who is paid is looked up by these ids in our registry, never read from the code."""

    merchant: UUID
    point: UUID
    kind: Kind
    environment: Environment


@dataclass(frozen=True, slots=True)
class Tip:
    """What the payer adds: `fixed` goes with TipKind.FIXED, `percent` ("3", "00.50") with TipKind.PERCENT."""

    kind: TipKind
    fixed: Amount | None = None
    percent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Additional:
    """Tag 62. "***" asks the payer for the value. `more` are tags 12 to 99 as they were written."""

    bill_number: str | None = None
    mobile_number: str | None = None
    store_label: str | None = None
    loyalty_number: str | None = None
    reference_label: str | None = None
    customer_label: str | None = None
    terminal_label: str | None = None
    purpose: str | None = None
    consumer_data_request: str | None = None
    tax_id: str | None = None
    channel: str | None = None
    more: tuple[tuple[str, str], ...] = ()


ADDITIONAL_TAGS: Final = {
    "01": "bill_number",
    "02": "mobile_number",
    "03": "store_label",
    "04": "loyalty_number",
    "05": "reference_label",
    "06": "customer_label",
    "07": "terminal_label",
    "08": "purpose",
    "09": "consumer_data_request",
    "10": "tax_id",
    "11": "channel",
}
"""Members of 62 by their tags."""


@dataclass(frozen=True, slots=True)
class Local:
    """Tag 64: the merchant's name and city in another language (two letters), with its own letters."""

    language: str
    name: str
    city: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantFields:
    """What a merchant-presented code says. Everything may be absent, since a damaged code was scanned as well."""

    initiation: Initiation | None = None
    point: Point | None = None
    vietqr: VietQR | None = None
    accounts: tuple[Account, ...] = ()
    """Everyone else's, in ascending order of tags."""
    mcc: str | None = None
    currency: str | None = None
    amount: Amount | None = None
    tip: Tip | None = None
    country: str | None = None
    name: str | None = None
    city: str | None = None
    postal_code: str | None = None
    additional: Additional | None = None
    local: Local | None = None
    other: tuple[tuple[str, str], ...] = ()
    """Tags 65 to 99 as they were written, ascending."""


@dataclass(frozen=True, slots=True)
class BerObject:
    """One BER-TLV object of a consumer's code: `tag` in capital hexadecimal; a template has `inner` and no value."""

    tag: str
    value: bytes = field(default=b"", repr=False)  # tag 5A is a card number: not for logs
    inner: tuple["BerObject", ...] = ()


@dataclass(frozen=True, slots=True)
class ConsumerFields:
    """What a consumer-presented code says: its version ("CPV01") and its objects."""

    version: str
    objects: tuple[BerObject, ...]
