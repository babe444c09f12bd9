"""Signed requests: RFC 9421 verification under one strict policy.

Words   A signature base is the exact text that was signed; it is kept with what it caused.
Source  RFC 9421 (signatures), RFC 9530 (Content-Digest), RFC 9651 (how their fields are spelled), RFC 7638 (key ids).
        Of all that RFC 9421 allows we take one profile, so small that a few patterns read it: one signature, in the one
        spelling that RFC 9651 gives it, over exactly the components named here, in any order. The tests hold every
        answer against the library http-message-signatures (docs/decisions/0026-one-profile-of-signatures.md).
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wallet.crypto import PublicKey
from wallet.refusal import Refusal

TAG: Final = "wallet-v1"
"""Keeps a signature made for another purpose (a log checkpoint, a webhook, a login) from meaning an order."""

WINDOW_S_MAX: Final = 300
"""How long a signature's headers live; a retry signs anew."""

SKEW_S: Final = 60
"""How far ahead of ours a client's clock may run."""

ORDER_COMPONENTS: Final = ("@method", "@target-uri", "content-type", "content-digest", "idempotency-key")
READ_COMPONENTS: Final = ("@method", "@target-uri")

HEADERS: Final = ("signature-input", "signature", "content-type", "content-digest", "idempotency-key")
"""All that is read of a request's headers."""

_TAG: Final = f'"{TAG}"'

# RFC 9651 section 4.1: the one way to write a key, an integer and a string, so that what was sent is what was signed.
_LABEL: Final = r"(?P<label>[a-z*][a-z0-9_.*-]*)"
_INTEGER: Final = r"(?:0|-?[1-9][0-9]{0,14})"
_STRING: Final = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_INPUT: Final = re.compile(
    rf"{_LABEL}=(?P<stated>\((?P<covered>[^()]*)\)"
    rf"(?P<parameters>(?:;(?:created|expires)={_INTEGER}|;(?:keyid|alg|tag|nonce)={_STRING})*))"
)
_PARAMETER: Final = re.compile(rf";([a-z]+)=({_INTEGER}|{_STRING})")
_KEY_ID: Final = re.compile(r'"([A-Za-z0-9_-]{43})"')
# Sixty-four bytes, which both algorithms make; the last letter leaves no bit of base64 unused.
_SIGNATURE: Final = re.compile(rf"{_LABEL}=:(?P<value>[A-Za-z0-9+/]{{85}}[AQgw]==):")

# What may stand in the base: printable ASCII without a line's end, so that no value can pass for another line.
_METHOD: Final = re.compile(r"[A-Z]+")
_URL_CHARS: Final = r"[A-Za-z0-9._~!$&'()*+,;=:@/?-]*"
_ORIGIN: Final = r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
_TARGET_URI: Final = re.compile(rf"{_ORIGIN}/{_URL_CHARS}(?:%[0-9A-Fa-f]{{2}}{_URL_CHARS})*")
_FIELD: Final = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")


class Missing(Refusal):
    """No signature, or headers that are no signature of ours: a label too many, no tag, no key id."""

    code = "signature_missing"
    status = 401
    stored = False


class Coverage(Refusal):
    """The signature does not cover exactly what the policy asks."""

    code = "signature_coverage"
    status = 401
    stored = False


class Window(Refusal):
    """Outside the signature's window: the client's clock is wrong, or the signature is old. Sign again."""

    code = "signature_window"
    status = 401
    stored = False


class Invalid(Refusal):
    """The signature does not verify."""

    code = "signature_invalid"
    status = 401
    stored = False


class Digest(Refusal):
    """Content-Digest is absent, not one SHA-256, or not the body's."""

    code = "content_digest"
    status = 401
    stored = False


class UnknownKey(Refusal):
    """No key with that id."""

    code = "signature_key_unknown"
    status = 401
    stored = False


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it stood on the wire: method, absolute URL with the raw target, and those of HEADERS that it has."""

    method: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A verified signature: whose key, over which base."""

    key: PublicKey
    base: bytes
    signature: bytes


def verify(
    message: Message,
    *,
    key: Callable[[str], PublicKey | None],
    body: bytes | None,
    now: datetime,
) -> Signed:
    """Verify a request's signature under the policy.

    Args:
        message: the request, with its raw target.
        key: finds a public key by its id.
        body: the raw body of an order; None for a signed GET.
        now: the door's clock.

    Raises:
        Missing, UnknownKey, Coverage, Window, Invalid, Digest: in this order of precedence.
    """
    claim = _read(message.headers)
    signer = key(claim.key_id)
    if signer is None:
        raise UnknownKey
    if claim.alg is None or sorted(claim.covered) != (_READ if body is None else _ORDER):
        raise Coverage
    if not claim.holds(now.timestamp()):
        raise Window
    base = _base(message, claim)
    if claim.alg != f'"{signer.alg}"' or not signer.verifies(claim.signature, base):
        raise Invalid
    if body is not None:
        check_digest(message, body)
    return Signed(key=signer, base=base, signature=claim.signature)


def check_digest(message: Message, body: bytes) -> None:
    """Hold a body against its Content-Digest.

    Raises:
        Digest.
    """
    if message.headers.get("content-digest") != content_digest(body):
        raise Digest


def content_digest(body: bytes) -> str:
    """Spell the Content-Digest of a body."""
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


# ---- what the two headers say -----------------------------------------------------------------------------------------

_ORDER: Final = sorted(f'"{name}"' for name in ORDER_COMPONENTS)
_READ: Final = sorted(f'"{name}"' for name in READ_COMPONENTS)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What Signature-Input and Signature claim, before anything of it is believed."""

    stated: str
    """`@signature-params` as it was sent: the last line of the base."""
    covered: list[str]
    key_id: str
    alg: str | None
    created: int | None
    expires: int | None
    signature: bytes

    def holds(self, now_s: float) -> bool:
        """Say whether the signature lives now: begun, not over, and for no longer than WINDOW_S_MAX."""
        if self.created is None or self.expires is None:
            return False
        return (
            0 < self.expires - self.created <= WINDOW_S_MAX and self.created <= now_s + SKEW_S <= self.expires + SKEW_S
        )


def _read(headers: Mapping[str, str]) -> _Claim:
    """Read the two headers of a signature.

    Raises:
        Missing.
    """
    given = _INPUT.fullmatch(headers.get("signature-input", ""))
    made = _SIGNATURE.fullmatch(headers.get("signature", ""))
    if given is None or made is None or given["label"] != made["label"]:
        raise Missing
    pairs = _PARAMETER.findall(given["parameters"])
    parameters = dict(pairs)
    key_id = _KEY_ID.fullmatch(parameters.get("keyid", ""))
    if len(parameters) < len(pairs) or key_id is None or parameters.get("tag") != _TAG:
        raise Missing
    return _Claim(
        stated=given["stated"],
        covered=given["covered"].split(" "),
        key_id=key_id[1],
        alg=parameters.get("alg"),
        created=int(parameters["created"]) if "created" in parameters else None,
        expires=int(parameters["expires"]) if "expires" in parameters else None,
        signature=b64decode(made["value"]),
    )


# ---- the base -----------------------------------------------------------------------------------------------------------


def _base(message: Message, claim: _Claim) -> bytes:
    """Spell the signature base (RFC 9421 section 2.5): a line for each covered component, in the signer's order.

    Raises:
        Invalid: a component is not there, or could be taken for something else than itself.
    """
    lines = [f"{name}: {_value(message, name)}" for name in claim.covered]
    lines.append(f'"@signature-params": {claim.stated}')
    return "\n".join(lines).encode("ascii")


def _value(message: Message, component: str) -> str:
    form, value = _FIELD, message.headers.get(component.strip('"'))
    if component == '"@method"':
        form, value = _METHOD, message.method
    elif component == '"@target-uri"':
        form, value = _TARGET_URI, message.url
    if value is None or form.fullmatch(value) is None:
        raise Invalid
    return value
