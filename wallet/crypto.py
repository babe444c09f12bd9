"""Keys, signatures and secrets: the only file that imports a cryptographic library.

Words   A key id is the RFC 7638 thumbprint of the public key, so it can never name another key.
        A PIN is kept as argon2id, a one-time code as a keyed hash, a session token as a plain hash of 256 random bits.
        argon2 and nacl are imported where they are used: an auditor's laptop verifies the log with `cryptography` alone.
Source  RFC 7517/7638 (JWK, thumbprint), RFC 9421 section 3.3 (algorithms), RFC 9106 (argon2id).
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

if TYPE_CHECKING:
    import argon2

ECDSA_P256: Final = "ecdsa-p256-sha256"
ED25519: Final = "ed25519"

_COORDINATE = 32
_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())
_P256_MEMBERS = {"crv", "kty", "x", "y"}
_ED25519_MEMBERS = {"crv", "kty", "x"}


class BadKey(ValueError):
    """A JWK that is no usable public key: wrong type, wrong members, off the curve or of small order."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verified public key: its algorithm in RFC 9421's names, its id, and the JWK that it was read from."""

    alg: str
    id: str
    jwk: Mapping[str, str]
    _key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Say whether `signature` is this key's over `message` (ECDSA as raw r||s, 64 bytes)."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                if len(signature) != 2 * _COORDINATE:
                    return False
                der = encode_dss_signature(_int(signature[:_COORDINATE]), _int(signature[_COORDINATE:]))
                self._key.verify(der, message, _ECDSA_SHA256)
        except InvalidSignature:
            return False
        return True


def check_code(key_id: str) -> str:
    """Return the six letters by which two screens are compared: the thumbprint's first 30 bits, in capitals."""
    letters = [char for char in key_id.upper() if char.isalnum()]
    return "".join(letters[:3]) + "-" + "".join(letters[3:6])


class PrivateKey:
    """A signing key held by this process: for the small client, the demo and the tests. The service holds none."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> "PrivateKey":
        """Make a new P-256 key, the kind every browser has."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def generate_ed25519(cls) -> "PrivateKey":
        """Make a new Ed25519 key, for servers."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def derive(cls, seed: bytes) -> "PrivateKey":
        """Make the P-256 key that belongs to a seed: the demo city is the same on every machine."""
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        scalar = int.from_bytes(hashlib.sha512(b"trang-tien-demo-key\0" + seed).digest(), "big") % (order - 1) + 1
        return cls(ec.derive_private_key(scalar, ec.SECP256R1()))

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, str]) -> "PrivateKey":
        """Read a private JWK.

        Raises:
            BadKey: not a P-256 or Ed25519 private key.
        """
        try:
            if jwk.get("crv") == "Ed25519":
                return cls(ed25519.Ed25519PrivateKey.from_private_bytes(_unb64(jwk["d"])))
            numbers = ec.EllipticCurvePublicNumbers(_int(_unb64(jwk["x"])), _int(_unb64(jwk["y"])), ec.SECP256R1())
            return cls(ec.EllipticCurvePrivateNumbers(_int(_unb64(jwk["d"])), numbers).private_key())
        except (KeyError, ValueError) as fault:
            raise BadKey("not a private key") from fault

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return public_key(_public_members(self._key.public_key()))

    def jwk(self) -> dict[str, str]:
        """Return the private JWK: whoever reads it can sign."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            secret = self._key.private_bytes_raw()
        else:
            secret = self._key.private_numbers().private_value.to_bytes(_COORDINATE, "big")
        return {**self.public.jwk, "d": _b64(secret)}

    def sign(self, message: bytes) -> bytes:
        """Sign: ECDSA as raw r||s (64 bytes), or Ed25519."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        r, s = decode_dss_signature(self._key.sign(message, _ECDSA_SHA256))
        return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")


def public_key(jwk: Mapping[str, str]) -> PublicKey:
    """Read a public JWK of exactly the members that RFC 7638 hashes.

    Raises:
        BadKey: RSA, another curve, a private member, off the curve, or an Ed25519 point of small order, with which
            every message verifies in common libraries.
    """
    try:
        members = set(jwk)
        if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256" and members == _P256_MEMBERS:
            x, y = _coordinate(jwk["x"]), _coordinate(jwk["y"])
            key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey = ec.EllipticCurvePublicNumbers(
                _int(x), _int(y), ec.SECP256R1()
            ).public_key()
            return PublicKey(ECDSA_P256, thumbprint(jwk), dict(jwk), key)
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519" and members == _ED25519_MEMBERS:
            from nacl.bindings import crypto_core_ed25519_is_valid_point

            point = _coordinate(jwk["x"])
            if not crypto_core_ed25519_is_valid_point(point):
                raise BadKey("an Ed25519 point of small order")
            key = ed25519.Ed25519PublicKey.from_public_bytes(point)
            return PublicKey(ED25519, thumbprint(jwk), dict(jwk), key)
    except (KeyError, TypeError, ValueError) as fault:
        raise BadKey("not a public key that we take") from fault
    raise BadKey("not a public key that we take")


@lru_cache(maxsize=20_000)
def public_key_of(jwk_text: str) -> PublicKey:
    """Read a stored public JWK; remembered, because the same few keys sign again and again."""
    return public_key(json.loads(jwk_text))


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the RFC 7638 SHA-256 thumbprint, base64url without padding."""
    return _b64(hashlib.sha256(jwk_text(jwk).encode()).digest())


def jwk_text(jwk: Mapping[str, str]) -> str:
    """Spell a public JWK as RFC 7638 hashes it: required members, sorted, no spaces."""
    return json.dumps(dict(jwk), sort_keys=True, separators=(",", ":"))


# ---- Ed25519 over raw bytes, for the log -----------------------------------------------------------------------------

_FIELD: Final = 2**255 - 19
_SMALL_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER: Final = frozenset({0, 1, _FIELD - 1, _SMALL_ORDER_8, _FIELD - _SMALL_ORDER_8})
"""The y of every point whose order divides 8; under such a key, signatures can be made that fit any message."""


def ed25519_is_strong(public: bytes) -> bool:
    """Say whether 32 bytes are the canonical encoding of a point that is not of small order."""
    y = int.from_bytes(public, "little") & (2**255 - 1)  # the top bit is the sign of x
    return len(public) == _COORDINATE and y < _FIELD and y not in _SMALL_ORDER


def ed25519_verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether `signature` is over `message` by a strong `public` key (RFC 8032, 32 bytes)."""
    if not ed25519_is_strong(public):
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def ed25519_public(seed: bytes) -> bytes:
    """Return the public key of a private one, each 32 bytes."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """Sign with a private key of 32 bytes; the signature has 64."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).sign(message)


# ---- secrets of people ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _pins() -> "argon2.PasswordHasher":
    """Return the hasher: argon2id with RFC 9106's low-memory parameters, the library's default."""
    import argon2

    return argon2.PasswordHasher()


def hash_pin(pin: str) -> str:
    """Hash a PIN with argon2id; some 50 ms on purpose."""
    return _pins().hash(pin)


def pin_matches(hashed: str, pin: str) -> bool:
    """Compare a PIN with its hash, in the same time whether or not it matches."""
    import argon2

    try:
        return _pins().verify(hashed, pin)
    except argon2.exceptions.VerifyMismatchError:
        return False


@lru_cache(maxsize=1)
def nobodys_pin() -> str:
    """Return the hash compared against when nobody has that phone number, so that the answer takes as long."""
    return hash_pin("no such holder")


def token_hash(token: str) -> bytes:
    """Hash a session token of full entropy for storage."""
    return hashlib.sha256(token.encode()).digest()


def code_hash(secret: bytes, purpose: str, subject: str, code: str) -> bytes:
    """Hash a one-time code under the server's secret, bound to its purpose and subject."""
    return hmac.new(secret, f"{purpose}\0{subject}\0{code}".encode(), hashlib.sha256).digest()


def _public_members(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> dict[str, str]:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {"crv": "Ed25519", "kty": "OKP", "x": _b64(key.public_bytes_raw())}
    numbers = key.public_numbers()
    x, y = (_b64(value.to_bytes(_COORDINATE, "big")) for value in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _coordinate(text: str) -> bytes:
    value = _unb64(text)
    if len(value) != _COORDINATE or _b64(value) != text:
        raise BadKey("a coordinate is 32 bytes in base64url without padding")
    return value


def _int(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _b64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
