"""Codes that a consumer shows and a till scans: base64 of BER-TLV, recognised and read, never written here.

Source  EMVCo QRCPS consumer-presented mode 1.1 (tags 85, 61 to 64); base standard of Việt Nam: QĐ 2525/QĐ-NHNN, 2024.
"""

import base64
from typing import Final

from market.qr.fields import BerObject, ConsumerFields
from market.qr.issues import Code, Issue

PREFIX: Final = "hQVDUFYw"
"""Base64 of tag 85, length 5, "CPV0": how every consumer's code begins."""

_DEPTH_MAX: Final = 3
"""The standard nests two deep (62 holds 64); more is refused before it is read."""

_TAG_BYTES_MAX: Final = 3
_APPLICATION: Final = "61"


class _Malformed(ValueError):
    """The bytes do not add up."""


def read(text: str) -> tuple[ConsumerFields, list[Issue]]:
    """Read a consumer's code; a malformed one yields no objects and one refusal."""
    try:
        objects = _objects(base64.b64decode(text, validate=True), depth=1)
    except ValueError:  # binascii.Error is one, and so is our own
        return ConsumerFields("", ()), [Issue(Code.CONSUMER_MALFORMED)]
    version = objects[0].value.decode("ascii", "replace")
    issues = []
    if version != "CPV01":
        issues.append(Issue(Code.VERSION_UNKNOWN, "85"))
    if not any(one.tag == _APPLICATION for one in objects):
        issues.append(Issue(Code.CONSUMER_MALFORMED, _APPLICATION))
    return ConsumerFields(version, objects), issues


def _objects(data: bytes, *, depth: int) -> tuple[BerObject, ...]:
    if depth > _DEPTH_MAX:
        raise _Malformed
    found = []
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        length, at = _length(data, at)
        if at + length > len(data):
            raise _Malformed
        value, at = data[at : at + length], at + length
        if tag[0] & 0x20:  # constructed
            found.append(BerObject(tag.hex().upper(), inner=_objects(value, depth=depth + 1)))
        else:
            found.append(BerObject(tag.hex().upper(), value))
    return tuple(found)


def _tag(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 1
    if data[at] & 0x1F == 0x1F:  # the tag goes on while the highest bit is set
        while end < len(data) and data[end] & 0x80:
            end += 1
        end += 1
    if end > len(data) or end - at > _TAG_BYTES_MAX:
        raise _Malformed
    return data[at:end], end


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise _Malformed
    first = data[at]
    if first < 0x80:
        return first, at + 1
    more = first - 0x80
    if more not in (1, 2) or at + 1 + more > len(data):
        raise _Malformed
    return int.from_bytes(data[at + 1 : at + 1 + more], "big"), at + 1 + more
