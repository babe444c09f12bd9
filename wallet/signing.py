"""Signed requests: RFC 9421 verification under one strict policy.

Words   A signature base is the exact text that was signed; it is kept with what it caused.
Source  RFC 9421 (signatures), RFC 9530 (Content-Digest), RFC 7638 (key ids). The library verifies; the policy is ours:
        which components are covered, how long a signature lives, and which key may use which algorithm.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)

from wallet.crypto import ECDSA_P256, ED25519, PublicKey
from wallet.refusal import Refusal

TAG: Final = "wallet-v1"
"""Keeps a signature made for another purpose (a log checkpoint, a webhook, a login) from meaning an order."""

WINDOW_S_MAX: Final = 300
"""How long a signature's headers live; a retry signs anew."""

SKEW_S: Final = 60
"""How far ahead of ours a client's clock may run."""

ORDER_COMPONENTS: Final = ("@method", "@target-uri", "content-type", "content-digest", "idempotency-key")
READ_COMPONENTS: Final = ("@method", "@target-uri")

_ALGORITHMS: Final = {ECDSA_P256: algorithms.ECDSA_P256_SHA256, ED25519: algorithms.ED25519}
_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:")
_KEY_ID = re.compile(r'(?:^|;)keyid="([A-Za-z0-9_-]{43})"(?:;|$)')


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
    """A request as it stood on the wire: method, absolute URL with the raw target, single-valued headers."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A verified signature: whose key, over which base."""

    key: PublicKey
    base: bytes
    signature: bytes


def key_id(message: Message) -> str:
    """Read which key claims to have signed.

    Raises:
        Missing.
    """
    found = _KEY_ID.search(message.headers.get("signature-input", ""))
    if found is None or "signature" not in message.headers:
        raise Missing
    return found.group(1)


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
    signer = key(key_id(message))
    if signer is None:
        raise UnknownKey
    verifier = _Verifier(signer, now=now)
    try:
        results = verifier.verify(message, max_age=None, expect_tag=TAG)
    except _OutsideWindow:
        raise Window from None
    except InvalidSignature:
        raise Invalid from None
    if len(results) != 1 or verifier.labels != 1:
        raise Missing
    (result,) = results
    components = ORDER_COMPONENTS if body is not None else READ_COMPONENTS
    covered = {name.strip('"') for name in result.covered_components if name != '"@signature-params"'}
    if covered != set(components) or result.parameters.get("alg") != signer.alg:
        raise Coverage
    if body is not None:
        check_digest(message, body)
    base = "\n".join(f"{name}: {value}" for name, value in result.covered_components.items())
    return Signed(key=signer, base=base.encode(), signature=verifier.signature)


def check_digest(message: Message, body: bytes) -> None:
    """Hold a body against its Content-Digest.

    Raises:
        Digest.
    """
    stated = message.headers.get("content-digest", "")
    if not _DIGEST.fullmatch(stated) or stated != content_digest(body):
        raise Digest


def content_digest(body: bytes) -> str:
    """Spell the Content-Digest of a body."""
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


class _OutsideWindow(InvalidSignature):
    pass


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key: PublicKey) -> None:
        self.key = key

    def resolve_public_key(self, key_id: str) -> Any:
        return self.key.library_key if key_id == self.key.id else None

    def resolve_private_key(self, key_id: str) -> Any:
        raise AssertionError("a verifier never signs")


class _Verifier(HTTPMessageVerifier):
    """The library's verifier with our clock and our window; remembers what the library does not return."""

    def __init__(self, key: PublicKey, *, now: datetime) -> None:
        super().__init__(signature_algorithm=_ALGORITHMS[key.alg], key_resolver=_OneKey(key))
        self.now = now
        self.signature = b""
        self.labels = 0

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        del max_age  # ours is the window below
        created, expires = sig_input.params.get("created"), sig_input.params.get("expires")
        if type(created) is not int or type(expires) is not int:
            raise _OutsideWindow("created and expires are required")
        now = self.now.astimezone(UTC).timestamp()
        if not 0 < expires - created <= WINDOW_S_MAX or created > now + SKEW_S or expires < now:
            raise _OutsideWindow("outside the window")

    def _get_sig_inputs_and_signatures(self, message: Any, **expected: Any) -> Any:
        parsed: Any = super()._get_sig_inputs_and_signatures
        for label, sig_input, signature in parsed(message, **expected):
            self.labels += 1
            self.signature = signature.value
            yield label, sig_input, signature
