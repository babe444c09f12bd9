"""The oracle of signatures: what the library http-message-signatures says of a request, under the same policy.

It shares no line with wallet/signing.py. Where we are stricter than the library, `one_spelling` says so and nothing else.
"""

import hashlib
from base64 import b64encode
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import http_sf
from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)

from wallet.crypto import PublicKey
from wallet.signing import Message

ALGORITHMS = {"ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256, "ed25519": algorithms.ED25519}
COVERED = {
    True: {"@method", "@target-uri", "content-type", "content-digest", "idempotency-key"},
    False: {"@method", "@target-uri"},
}


def base_of(message: Message, signer: PublicKey, *, body: bytes | None, now: datetime) -> bytes | None:
    """Return the base that a request's signature verifies over, or None where it is to be refused."""
    try:
        (result,) = _Library(signer, now).verify(message, max_age=None, expect_tag="wallet-v1")
    except (InvalidSignature, ValueError):
        return None
    names = [str(name).strip('"') for name in result.covered_components if name != '"@signature-params"']
    if set(names) != COVERED[body is not None] or result.parameters.get("alg") != signer.alg:
        return None
    if body is not None:
        digest = b64encode(hashlib.sha256(body).digest()).decode()
        if message.headers["content-digest"] != f"sha-256=:{digest}:":
            return None
    if not one_spelling(message, names):
        return None
    return "\n".join(f"{name}: {value}" for name, value in result.covered_components.items()).encode()


def one_spelling(message: Message, names: list[str]) -> bool:
    """Say whether a request that the library takes is spelled in the one way that we take.

    One signature and nobody else's beside it; both fields as RFC 9651 writes them, without parameters of the signature
    itself; values without the white space that a server takes off; a method of letters; a URL of http or https with a
    path, and with neither credentials nor a fragment.
    """
    texts = [message.headers[name] for name in ("signature-input", "signature")]
    fields: list[Any] = [http_sf.parse(text.strip().encode(), tltype="dictionary") for text in texts]
    if [http_sf.ser(field) for field in fields] != texts or any(len(field) != 1 for field in fields):
        return False
    ((_, parameters),) = fields[1].values()
    url = urlsplit(message.url)
    plain = all(value.strip() == value for name, value in message.headers.items() if name in names)
    one_url = url.scheme in ("http", "https") and url.path != "" and "@" not in url.netloc and "#" not in message.url
    return not parameters and plain and one_url and message.method.isalpha()


class _Library(HTTPMessageVerifier):
    def __init__(self, signer: PublicKey, now: datetime) -> None:
        super().__init__(signature_algorithm=ALGORITHMS[signer.alg], key_resolver=_OneKey(signer))
        self.now = now.timestamp()

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        created, expires = sig_input.params.get("created"), sig_input.params.get("expires")
        if type(created) is not int or type(expires) is not int:
            raise InvalidSignature("created and expires are required")
        if created > self.now + 60 or expires < self.now or not 1 <= expires - created <= 300:
            raise InvalidSignature("outside the window")


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key: PublicKey) -> None:
        self.key = key

    def resolve_public_key(self, key_id: str) -> Any:
        return self.key._key if key_id == self.key.id else None
