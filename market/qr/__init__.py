"""QR: the text of payment codes, read and written. Pure: no database, no clock, nothing beyond the standard library.

What    `decode` reads EMVCo merchant-presented codes (VietQR, ours and other countries') and recognises consumer-presented
        ones. `encode` writes merchant-presented ones.
Rule    `decode` never raises: whatever was scanned comes back as fields and issues. `encode` writes only what `decode`
        reads back equal and without issue, and raises `Unwritable` otherwise.
Rule    A checksum is no signature. Nobody is paid by what a code says about itself: a payee is looked up in our registry
        by `fields.point`, and only if `issues` is empty. Names and cities in a code are for explaining foreign ones.
Source  docs/decisions/0020 (lengths and checksum), 0021 (levels of issues), 0022 (our own template).
"""

import unicodedata
from dataclasses import dataclass
from typing import Final

from market.qr import consumer, fields, merchant, tlv, writing
from market.qr.fields import ConsumerFields, Environment, MerchantFields
from market.qr.issues import LONG_CHARS, TEXT_CHARS_MAX, Code, Issue, Level

_HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Zl", "Zp"})
"""Unicode categories of control, format (bidi included), private and line-breaking characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a scanned text says, and what is wrong with it.

    `fields` of a refused code are what could still be made out of it, for explaining it and for nothing else. `notes`
    are issues that are no fault of the code.
    """

    fields: MerchantFields | ConsumerFields
    issues: tuple[Issue, ...] = ()
    notes: tuple[Issue, ...] = ()

    @property
    def refused(self) -> bool:
        """Say whether nobody may be paid by this code."""
        return any(issue.code.level is Level.REFUSAL for issue in self.issues)

    @property
    def codes(self) -> frozenset[Code]:
        """Return the codes of all issues and notes."""
        return frozenset(issue.code for issue in self.issues + self.notes)


class Unwritable(ValueError):
    """These fields make no code that could be read back: a mistake of the caller, who has checked people's input.

    Args:
        issues: what `decode` found; empty when the fields cannot be told apart from others (an empty template).
    """

    def __init__(self, issues: tuple[Issue, ...] = ()) -> None:
        super().__init__(", ".join(f"{issue.code}@{issue.where}" for issue in issues) or "would not read back equal")
        self.issues = issues


def decode(text: str, *, environment: Environment = Environment.LIVE) -> Decoded:
    """Read what a camera, a file or a person gave.

    Args:
        text: anything at all, of any length.
        environment: where we run. A demo's code is refused unless the caller says that this is a demo, and the reverse.

    Returns:
        The fields that could be read and the issues; this never raises.
    """
    unreadable = _unreadable(text)
    if unreadable:
        return Decoded(fields=MerchantFields(), issues=(Issue(unreadable),))
    read: MerchantFields | ConsumerFields
    if text.startswith(consumer.PREFIX):
        read, found = consumer.read(text)
    else:
        read, found = merchant.read(text, environment=environment)
    if len(text) > LONG_CHARS:
        found.append(Issue(Code.LONG))
    if any(unicodedata.category(char) in _HIDDEN for char in text):
        found.append(Issue(Code.HIDDEN_TEXT))
    once = tuple(dict.fromkeys(found))
    return Decoded(
        fields=read,
        issues=tuple(issue for issue in once if issue.code.level is not Level.NOTE),
        notes=tuple(issue for issue in once if issue.code.level is Level.NOTE),
    )


def _unreadable(text: str) -> Code | None:
    """Return why a text is not even looked at, or None."""
    if len(text) > TEXT_CHARS_MAX:
        return Code.TOO_LONG
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Code.NOT_TEXT
    if size > TEXT_CHARS_MAX:
        return Code.TOO_LONG
    return None if text.startswith(("00", consumer.PREFIX)) else Code.NOT_PAYMENT


def encode(said: MerchantFields) -> str:
    """Write a merchant-presented code, ready to be drawn.

    Args:
        said: complete fields. Amounts in whole đồng with currency "704".

    Returns:
        The text with its checksum, which `decode` reads back to equal fields.

    Raises:
        Unwritable: the fields contradict each other or a standard, or would not read back.
    """
    try:
        text = writing.write(said)
    except UnicodeEncodeError as error:
        raise Unwritable((Issue(Code.NOT_TEXT),)) from error
    except tlv.TooLong as error:
        raise Unwritable((Issue(Code.VALUE_TOO_LONG, str(error)),)) from error
    back = decode(text, environment=_environment(said))
    wrong = tuple(issue for issue in back.issues + back.notes if issue.code is not Code.CURRENCY_FOREIGN)
    if wrong or back.fields != said:
        raise Unwritable(wrong)
    return text


def _environment(said: MerchantFields) -> Environment:
    if said.point:
        return said.point.environment
    return Environment.DEMO if said.vietqr and said.vietqr.bin == fields.DEMO_BIN else Environment.LIVE
