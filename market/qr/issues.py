"""Issues: what is wrong with a scanned code, each with a stable code and one sentence.

Words   A refusal makes a code worth nothing: nobody may be paid by it. A warning is a breach of the standard that still
        lets one see what was meant. A note is no fault of the code, but says why it is not for this wallet.
Rule    A value once released keeps its meaning; new ones are added, none is used again for something else.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self


class Level(StrEnum):
    """How much an issue weighs."""

    NOTE = "note"
    WARNING = "warning"
    REFUSAL = "refusal"


class Code(StrEnum):
    """The index of issue codes: the value is stable, `level` is its weight, `meaning` one sentence about it."""

    level: Level
    meaning: str

    def __new__(cls, value: str, level: Level, meaning: str) -> Self:
        """Make a member that is its own text and carries its weight and its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.level = level
        member.meaning = meaning
        return member

    # the text as a whole
    TOO_LONG = "too_long", Level.REFUSAL, "Longer than any one QR symbol can hold."
    LONG = "long", Level.WARNING, "Longer than the 512 characters that every scanner must read."
    NOT_TEXT = "not_text", Level.REFUSAL, "Holds half a character (a lone surrogate), so it has no UTF-8 bytes."
    HIDDEN_TEXT = "hidden_text", Level.WARNING, "Holds control, format or bidi characters that nobody can see."
    NOT_PAYMENT = (
        "not_payment",
        Level.REFUSAL,
        "Is no payment code: it begins neither as a merchant's nor a consumer's.",
    )

    # data objects
    STRUCTURE = "structure", Level.REFUSAL, "Tags, lengths and values do not add up."
    TAG_REPEATED = "tag_repeated", Level.REFUSAL, "One tag occurs twice, and readers differ about which one counts."
    EMPTY_VALUE = "empty_value", Level.WARNING, "A data object has no value; its length must be 01 to 99."
    VALUE_TOO_LONG = "value_too_long", Level.WARNING, "A value is longer than its field allows."
    LABEL_LONG = "label_long", Level.NOTE, "A label in 62 is longer than 25 characters, which banks in use let pass."
    NOT_ASCII = "not_ascii", Level.WARNING, "A value that must be plain ASCII has other characters."
    TAG_RESERVED = "tag_reserved", Level.WARNING, "A tag that EMVCo keeps for its own future use."

    # checksum
    CRC_MISSING = "crc_missing", Level.REFUSAL, "There is no checksum."
    CRC_MALFORMED = "crc_malformed", Level.REFUSAL, "The checksum is not four hexadecimal digits."
    CRC_MISMATCH = "crc_mismatch", Level.REFUSAL, "The checksum does not fit: the text was changed or misprinted."
    CRC_NOT_LAST = "crc_not_last", Level.REFUSAL, "Something follows the checksum, which does not protect it."
    CRC_LOWER_CASE = "crc_lower_case", Level.WARNING, "The checksum fits but is written in lower case."

    # root fields
    VERSION_UNKNOWN = "version_unknown", Level.WARNING, "The payload format indicator is not 01."
    INITIATION_UNKNOWN = "initiation_unknown", Level.REFUSAL, "The point of initiation is neither 11 nor 12."
    MCC_MALFORMED = "mcc_malformed", Level.REFUSAL, "The merchant category is not four ASCII digits."
    CURRENCY_MISSING = "currency_missing", Level.REFUSAL, "No currency: an amount would mean nothing."
    CURRENCY_MALFORMED = "currency_malformed", Level.REFUSAL, "The currency is not three ASCII digits."
    CURRENCY_FOREIGN = (
        "currency_foreign",
        Level.NOTE,
        "Priced in another currency than the đồng; no đồng amount is known.",
    )
    AMOUNT_MALFORMED = "amount_malformed", Level.REFUSAL, "The amount is not plain ASCII digits with at most one point."
    AMOUNT_ZERO = "amount_zero", Level.REFUSAL, "The amount is zero."
    AMOUNT_NOT_WHOLE = "amount_not_whole", Level.REFUSAL, "An amount in đồng has decimals; the đồng has none."
    TIP_MALFORMED = "tip_malformed", Level.REFUSAL, "Tip or fee (55 to 57) contradict each other or are out of range."
    COUNTRY_MISSING = "country_missing", Level.WARNING, "No country."
    COUNTRY_MALFORMED = "country_malformed", Level.WARNING, "The country is not two capital letters."
    MERCHANT_INCOMPLETE = (
        "merchant_incomplete",
        Level.WARNING,
        "A merchant's code (52) lacks its name (59) or city (60).",
    )

    # templates
    ACCOUNT_MISSING = "account_missing", Level.REFUSAL, "No tag from 02 to 51: nobody to pay."
    PAYEE_REPEATED = "payee_repeated", Level.REFUSAL, "Two templates of one scheme name two payees."
    GUID_MISSING = "guid_missing", Level.WARNING, "A template does not say whose it is (00)."
    GUID_MALFORMED = (
        "guid_malformed",
        Level.WARNING,
        "A template's owner is neither an AID, a UUID nor a reversed domain.",
    )
    ADDITIONAL_MALFORMED = "additional_malformed", Level.WARNING, "A value of the additional data (62) breaks its form."
    LANGUAGE_INCOMPLETE = (
        "language_incomplete",
        Level.WARNING,
        "The language template (64) lacks its language or the name.",
    )

    # VietQR
    VIETQR_MALFORMED = "vietqr_malformed", Level.WARNING, "A NAPAS template lacks a bank or account, or misspells one."
    VIETQR_EXTRA = (
        "vietqr_extra",
        Level.WARNING,
        "Something is left over in the NAPAS beneficiary: its lengths are off.",
    )
    VIETQR_SERVICE = "vietqr_service", Level.WARNING, "A NAPAS template without QRIBFTTA (account) or QRIBFTTC (card)."
    VIETQR_STATIC_AMOUNT = (
        "vietqr_static_amount",
        Level.WARNING,
        "A static VietQR fixes an amount, so it pays again and again.",
    )

    # ours
    OWN_MALFORMED = "own_malformed", Level.REFUSAL, "Our own template lacks a member or has a strange one."
    OWN_CONTRADICTS = (
        "own_contradicts",
        Level.REFUSAL,
        "Our own code's kind does not fit its initiation, amount or number.",
    )
    OTHER_ENVIRONMENT = "other_environment", Level.REFUSAL, "A demo's code in a real city, or a real one in a demo."

    # shown by a consumer
    CONSUMER_MALFORMED = (
        "consumer_malformed",
        Level.REFUSAL,
        "A consumer's code whose base64 or BER-TLV does not add up.",
    )


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with one code. `where` is the path of its tag, "38.01"; empty for the text as a whole."""

    code: Code
    where: str = ""


TEXT_CHARS_MAX: Final = 2953
"""Bytes in the largest QR symbol (version 40, level L; ISO/IEC 18004 table 7): more was never scanned from one."""

LONG_CHARS: Final = 512
"""What EMVCo advises as the most for one merchant-presented code."""
