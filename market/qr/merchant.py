"""Codes that a merchant shows: the root of the code, its amounts and its checksum.

Money   An amount is at most 13 characters, digits with at most one point, not zero and without leading zeros. In đồng
        nothing may follow the point ("50000." is NAPAS's own example of a good amount, "50000.00" has the wrong exponent).
Source  EMVCo QRCPS merchant-presented mode 1.1, chapter 4; NAPAS "Quy định về định dạng VietQR" 1.0, 5.2.6 to 5.2.15.
"""

import re
from typing import Final

from market.qr import fields, templates, tlv
from market.qr.fields import Amount, Environment, ForeignAmount, Initiation, Kind, MerchantFields, Tip, TipKind
from market.qr.issues import Code, Issue
from wallet.money import Dong

_CRC: Final = re.compile(r"[0-9A-Fa-f]{4}")
_MCC: Final = re.compile(r"[0-9]{4}")
_CURRENCY: Final = re.compile(r"[0-9]{3}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]*))?")
_AMOUNT_CHARS_MAX: Final = 13
_PERCENT: Final = re.compile(r"(?=.*[1-9])[0-9]{1,2}(?:\.[0-9]{0,2})?")
"""00.01 to 99.99."""
_POSTAL_CHARS_MAX: Final = 10


def read(text: str, *, environment: Environment) -> tuple[MerchantFields, list[Issue]]:
    """Read a merchant's code as far as it holds together.

    Args:
        text: with UTF-8 bytes and of a bounded length, which `decode` has seen to.
        environment: where we run; another environment's code of ours is refused.
    """
    parts, issues = tlv.split(text)
    values = {part.tag: part.value for part in parts if part.value}
    issues += _checksum(text, parts)
    if values.get("00") != "01":
        issues.append(Issue(Code.VERSION_UNKNOWN, "00"))
    found = templates.accounts(values)
    issues += found.issues
    currency = _currency(values.get("53"), issues)
    read_ = MerchantFields(
        initiation=_initiation(values.get("01"), issues),
        point=found.point,
        vietqr=found.vietqr,
        accounts=tuple(found.others),
        mcc=_matched(values.get("52"), _MCC, Issue(Code.MCC_MALFORMED, "52"), issues),
        currency=currency,
        amount=_amount(values.get("54"), currency, "54", issues),
        tip=_tip(values, currency, issues),
        country=_country(values.get("58"), issues),
        name=_plain(values.get("59"), templates.NAME_CHARS_MAX, "59", issues),
        city=_plain(values.get("60"), templates.CITY_CHARS_MAX, "60", issues),
        postal_code=_plain(values.get("61"), _POSTAL_CHARS_MAX, "61", issues),
        additional=templates.additional(values.get("62"), issues),
        local=templates.local(values.get("64"), issues),
        other=_other(values, issues),
    )
    return read_, issues + _together(read_, environment)


def _checksum(text: str, parts: list[tlv.Part]) -> list[Issue]:
    part = next((part for part in parts if part.tag == "63"), None)
    if part is None:
        return [Issue(Code.CRC_MISSING, "63")]
    issues = []
    if part.start + len(part.value) != len(text):
        issues.append(Issue(Code.CRC_NOT_LAST, "63"))
    counted = tlv.crc(text[: part.start])
    if not _CRC.fullmatch(part.value):
        issues.append(Issue(Code.CRC_MALFORMED, "63"))
    elif part.value.upper() != counted:
        issues.append(Issue(Code.CRC_MISMATCH, "63"))
    elif part.value != counted:
        issues.append(Issue(Code.CRC_LOWER_CASE, "63"))
    return issues


def _matched(value: str | None, pattern: re.Pattern[str], issue: Issue, issues: list[Issue]) -> str | None:
    if value is None or pattern.fullmatch(value):
        return value
    issues.append(issue)
    return None


def _plain(value: str | None, chars_max: int, where: str, issues: list[Issue]) -> str | None:
    return templates.limit(templates.ascii_only(value, where, issues), chars_max, where, issues)


def _initiation(value: str | None, issues: list[Issue]) -> Initiation | None:
    if value is None:  # as in Brazil's codes
        return None
    if value in list(Initiation):
        return Initiation(value)
    issues.append(Issue(Code.INITIATION_UNKNOWN, "01"))
    return None


def _currency(value: str | None, issues: list[Issue]) -> str | None:
    if value is None:
        issues.append(Issue(Code.CURRENCY_MISSING, "53"))
    elif value != fields.VND and _CURRENCY.fullmatch(value):
        issues.append(Issue(Code.CURRENCY_FOREIGN, "53"))
    return _matched(value, _CURRENCY, Issue(Code.CURRENCY_MALFORMED, "53"), issues)


def _country(value: str | None, issues: list[Issue]) -> str | None:
    if value is None:
        issues.append(Issue(Code.COUNTRY_MISSING, "58"))
    elif not _COUNTRY.fullmatch(value):
        issues.append(Issue(Code.COUNTRY_MALFORMED, "58"))
    return value


def _amount(value: str | None, currency: str | None, where: str, issues: list[Issue]) -> Amount | None:
    if value is None:
        return None
    match = _AMOUNT.fullmatch(value)
    if not match or len(value) > _AMOUNT_CHARS_MAX:
        issues.append(Issue(Code.AMOUNT_MALFORMED, where))
    elif not value.strip("0."):
        issues.append(Issue(Code.AMOUNT_ZERO, where))
    elif currency != fields.VND:
        return ForeignAmount(value)
    elif match[2]:
        issues.append(Issue(Code.AMOUNT_NOT_WHOLE, where))
    else:
        return Dong(int(match[1]))
    return None


def _tip(values: dict[str, str], currency: str | None, issues: list[Issue]) -> Tip | None:
    said, fixed, percent = values.get("55"), values.get("56"), values.get("57")
    if said is None and fixed is None and percent is None:
        return None
    fits = (
        said in list(TipKind) and (said == TipKind.FIXED) == bool(fixed) and (said == TipKind.PERCENT) == bool(percent)
    )
    if said is None or not fits or (percent and not _PERCENT.fullmatch(percent)):
        issues.append(Issue(Code.TIP_MALFORMED, "55"))
        return None
    fee = _amount(fixed, currency, "56", issues)
    return None if fixed and fee is None else Tip(TipKind(said), fee, percent)


def _other(values: dict[str, str], issues: list[Issue]) -> tuple[tuple[str, str], ...]:
    for tag in sorted(values):
        if "65" <= tag <= "79":
            issues.append(Issue(Code.TAG_RESERVED, tag))
        elif tag >= "80":
            templates.template(values[tag], tag, issues)
    return tuple(sorted((tag, value) for tag, value in values.items() if tag >= "65"))


def _together(read_: MerchantFields, environment: Environment) -> list[Issue]:
    """Return what is wrong between fields that are right one by one."""
    issues = []
    if read_.mcc is not None and (read_.name is None or read_.city is None):
        issues.append(Issue(Code.MERCHANT_INCOMPLETE, "59" if read_.name is None else "60"))
    if read_.vietqr and read_.initiation is Initiation.STATIC and read_.amount is not None:
        issues.append(Issue(Code.VIETQR_STATIC_AMOUNT, "54"))
    if read_.vietqr and read_.vietqr.bin == fields.DEMO_BIN and environment is not Environment.DEMO:
        issues.append(Issue(Code.OTHER_ENVIRONMENT))
    if read_.point and read_.point.environment is not environment:
        issues.append(Issue(Code.OTHER_ENVIRONMENT))
    if read_.point and not _fits_kind(read_, read_.point.kind):
        issues.append(Issue(Code.OWN_CONTRADICTS))
    return issues


def _fits_kind(read_: MerchantFields, kind: Kind) -> bool:
    """Say whether a code of ours is what its kind promises: a sticker without an amount, or an invoice with all of it."""
    if read_.currency != fields.VND or read_.country != "VN":
        return False
    if kind is Kind.POINT:
        return read_.initiation is Initiation.STATIC and read_.amount is None
    numbered = read_.additional is not None and read_.additional.bill_number is not None
    return read_.initiation is Initiation.DYNAMIC and read_.amount is not None and numbered
