"""Templates: what stands inside tags 26 to 51, 62 and 64, and the rules of each.

Rule    A template is known by its GUID and never by its tag. Ours admits no member that it does not know.
Source  EMVCo QRCPS merchant-presented mode 1.1, tables 4.1 to 4.7; NAPAS "Quy định về định dạng VietQR" 1.0, 5.2.3.2.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from market.qr import fields, tlv
from market.qr.fields import Account, Additional, Environment, Kind, Local, Point, Service, VietQR
from market.qr.issues import Code, Issue

_GUID: Final = re.compile(r"[0-9A-Fa-f]{10,32}|(?:[0-9A-Za-z-]+\.)+[0-9A-Za-z-]+")
"""An application id of 5 to 16 bytes, a UUID without hyphens, or a reversed domain."""

_BIN: Final = re.compile(r"[0-9]{6}")
_ACCOUNT: Final = re.compile(r"[0-9A-Za-z]{1,19}")  # wallets use letters too: 99ZP24009M07248267
_ID: Final = re.compile(r"[0-9a-f]{32}")
_ASCII: Final = re.compile(r"[\x20-\x7e]*")
_REQUEST: Final = re.compile(r"(?!.*(.).*\1)[AME]{1,3}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2}")

LABEL_CHARS_MAX: Final = 25
NAME_CHARS_MAX: Final = 25
CITY_CHARS_MAX: Final = 15
_TAX_ID_CHARS_MAX: Final = 20
_CHANNEL_CHARS: Final = 3


@dataclass(slots=True)
class Accounts:
    """Tags 02 to 51 sorted out: ours, NAPAS's and everyone else's."""

    point: Point | None = None
    vietqr: VietQR | None = None
    others: list[Account] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def accounts(values: dict[str, str]) -> Accounts:
    """Sort out merchant account information by GUID; `values` are the root's, by tag."""
    found = Accounts()
    tags = sorted(tag for tag in values if "02" <= tag <= "51")
    if not tags:
        found.issues.append(Issue(Code.ACCOUNT_MISSING))
    for tag in tags:
        _account(found, tag, values[tag])
    return found


def _account(found: Accounts, tag: str, value: str) -> None:
    members = template(value, tag, found.issues) if tag >= "26" else {}
    known: Point | VietQR | None = None
    match members.get("00", "").upper():
        case guid if guid == fields.NAPAS_GUID.upper():
            known = _vietqr(members, tag, found.issues)
        case guid if guid == fields.OWN_GUID.upper():
            known = _point(members, tag, found.issues)
    match known:
        case None:
            found.others.append(Account(tag, value))
        case Point() if found.point is None:
            found.point = known
        case VietQR() if found.vietqr is None:
            found.vietqr = known
        case _:
            found.issues.append(Issue(Code.PAYEE_REPEATED, tag))


def template(value: str, where: str, issues: list[Issue]) -> dict[str, str]:
    """Read a template that must begin with a GUID; what is wrong is added to `issues`. Returns members by tag."""
    parts, wrong = tlv.split(value, where)
    issues += wrong
    members = {part.tag: part.value for part in parts if part.value}
    guid = members.get("00")
    if guid is None:
        issues.append(Issue(Code.GUID_MISSING, where))
    elif not _GUID.fullmatch(guid):
        issues.append(Issue(Code.GUID_MALFORMED, tlv.join(where, "00")))
    return members


def _vietqr(members: dict[str, str], where: str, issues: list[Issue]) -> VietQR | None:
    beneficiary = tlv.join(where, "01")
    parts, wrong = tlv.split(members.get("01", ""), beneficiary)
    inner = {part.tag: part.value for part in parts}
    bank, account = inner.get("00", ""), inner.get("01", "")
    service = next((one for one in Service if one == members.get("02")), None)
    if service is None:
        issues.append(Issue(Code.VIETQR_SERVICE, tlv.join(where, "02")))
    if not (_BIN.fullmatch(bank) and _ACCOUNT.fullmatch(account)):
        issues += [*wrong, Issue(Code.VIETQR_MALFORMED, beneficiary)]
        return None
    # NAPAS's own printed sample 6.1.1 has such a leftover: bank and account can still be shown (decision 0021)
    issues += [issue for issue in wrong if issue.code is not Code.STRUCTURE]
    if len(wrong) > 0 or set(inner) != {"00", "01"}:
        issues.append(Issue(Code.VIETQR_EXTRA, beneficiary))
    return VietQR(bank, account, service)


def _point(members: dict[str, str], where: str, issues: list[Issue]) -> Point | None:
    merchant, point = members.get("01", ""), members.get("02", "")
    kind, environment = members.get("03"), members.get("04")
    whole = set(members) == {"00", "01", "02", "03", "04"} and _ID.fullmatch(merchant) and _ID.fullmatch(point)
    if not whole or kind not in list(Kind) or environment not in list(Environment):
        issues.append(Issue(Code.OWN_MALFORMED, where))
        return None
    return Point(merchant=UUID(merchant), point=UUID(point), kind=Kind(kind), environment=Environment(environment))


def additional(value: str | None, issues: list[Issue]) -> Additional | None:
    """Read tag 62; what is wrong is added to `issues`."""
    if value is None:
        return None
    parts, wrong = tlv.split(value, "62")
    issues += wrong
    values = {part.tag: part.value for part in parts if part.value}
    named = {name: values[tag] for tag, name in fields.ADDITIONAL_TAGS.items() if tag in values}
    for tag in values:
        issues += _additional_issues(tag, values[tag])
    more = tuple(sorted((tag, one) for tag, one in values.items() if tag not in fields.ADDITIONAL_TAGS))
    return Additional(**named, more=more)


def _additional_issues(tag: str, value: str) -> list[Issue]:
    where = tlv.join("62", tag)
    if tag not in fields.ADDITIONAL_TAGS:
        return [Issue(Code.TAG_RESERVED, where)] if tag < "50" else []
    codes = [] if _ASCII.fullmatch(value) else [Code.NOT_ASCII]
    match tag:
        case "09" if not _REQUEST.fullmatch(value):
            codes.append(Code.ADDITIONAL_MALFORMED)
        case "10" if len(value) > _TAX_ID_CHARS_MAX:
            codes.append(Code.VALUE_TOO_LONG)
        case "11" if len(value) != _CHANNEL_CHARS:
            codes.append(Code.ADDITIONAL_MALFORMED)
        case label if label <= "08" and len(value) > LABEL_CHARS_MAX:
            codes.append(Code.LABEL_LONG)
    return [Issue(code, where) for code in codes]


def local(value: str | None, issues: list[Issue]) -> Local | None:
    """Read tag 64; what is wrong is added to `issues`."""
    if value is None:
        return None
    parts, wrong = tlv.split(value, "64")
    issues += wrong
    values = {part.tag: part.value for part in parts if part.value}
    issues += [Issue(Code.TAG_RESERVED, tlv.join("64", tag)) for tag in values if tag > "02"]
    language, name, city = values.get("00", ""), values.get("01", ""), values.get("02")
    if not _LANGUAGE.fullmatch(language) or not name:
        issues.append(Issue(Code.LANGUAGE_INCOMPLETE, "64"))
        return None
    limit(name, NAME_CHARS_MAX, "64.01", issues)
    limit(city, CITY_CHARS_MAX, "64.02", issues)
    return Local(language, name, city)


def limit(value: str | None, chars_max: int, where: str, issues: list[Issue]) -> str | None:
    """Return `value`, having noted in `issues` if it is longer than its field allows."""
    if value is not None and len(value) > chars_max:
        issues.append(Issue(Code.VALUE_TOO_LONG, where))
    return value


def ascii_only(value: str | None, where: str, issues: list[Issue]) -> str | None:
    """Return `value`, having noted in `issues` if it has other characters than printable ASCII."""
    if value is not None and not _ASCII.fullmatch(value):
        issues.append(Issue(Code.NOT_ASCII, where))
    return value
