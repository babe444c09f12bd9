"""Signed orders, as whoever knows nothing but the order's bytes, the signature and the key can check them.

Words   The signature base is the text that was signed. It says which bytes the order had, for which service, and with which
        key, so nothing of it is believed before it is held against the order itself.
Source  RFC 9421 (signature base), RFC 9530 (Content-Digest), RFC 7638 (key ids). What `wallet.signing` asks of a request is
        asked here of its base once more, by other code, which needs `cryptography` alone.
"""

import hashlib
import json
import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wallet import crypto
from wallet.log import claims
from wallet.log.claims import False_

TAG: Final = "wallet-v1"
COMPONENTS: Final = ("@method", "@target-uri", "content-type", "content-digest", "idempotency-key")
HEADER: Final = ("v", "aud", "created", "expires", "id", "kind", "signer")
"""What every order says, each a string."""

DEPTH_MAX: Final = 8
ED25519_MEMBERS: Final = {"crv", "kty", "x"}

_PARAMS: Final = '"@signature-params": '
_STRING: Final = r'"[ !#-\[\]-~]*"'
_STATED: Final = re.compile(
    rf"\(([^()]*)\)((?:;(?:created|expires)=[1-9][0-9]{{0,14}}|;(?:keyid|alg|tag|nonce)={_STRING})*)"
)
_PARAMETER: Final = re.compile(rf";([a-z]+)=({_STRING}|[0-9]+)")
_SECONDS: Final = re.compile(r"[1-9][0-9]{0,10}")
_ORIGIN: Final = re.compile(r"https?://((?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrder:
    """An order with all that its signer gave, as it stands in a receipt; nothing of it is verified yet."""

    content: bytes
    salt: bytes
    base: str
    signature: bytes
    jwk: Mapping[str, str]

    @property
    def digest(self) -> str:
        """What the ledger and the log keep of the order, in hex."""
        return hashlib.sha256(self.salt + self.content).hexdigest()


def strings(text: str, *, depth: int = DEPTH_MAX) -> dict[str, Any]:
    """Parse a JSON object whose scalars are all strings and whose names stand there once: it can be read in one way only.

    Raises:
        ValueError.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_int=_no_number, parse_float=_no_number, parse_constant=_no_number
        )
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(value, dict):
        raise ValueError("no object")
    _only_strings(value, depth)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)


def _no_number(_text: str) -> Any:
    raise ValueError("a number stands where a string belongs")


def _only_strings(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()  # half a character has no bytes that could have been hashed
        return
    if not isinstance(value, (dict, list)) or not depth:
        raise ValueError("not a string, or too deep")
    for name in value if isinstance(value, dict) else ():
        name.encode()
    for member in value.values() if isinstance(value, dict) else value:
        _only_strings(member, depth - 1)


def read_order(content: bytes) -> dict[str, Any]:
    """Read an order's bytes.

    Raises:
        False_: order_unreadable.
    """
    try:
        order = strings(content.decode())
    except ValueError as fault:
        raise False_(claims.ORDER, str(fault)) from None
    missing = [name for name in HEADER if not isinstance(order.get(name), str)]
    if missing or order["v"] != "1" or not all(_SECONDS.fullmatch(order[name]) for name in ("created", "expires")):
        raise False_(claims.ORDER, f"not an order of version 1, or without {', '.join(missing) or 'its times'}")
    return order


@dataclass(frozen=True, slots=True)
class Key:
    """A signer's public key."""

    alg: str
    id: str
    _p256: crypto.PublicKey | None
    _ed25519: bytes

    @classmethod
    def read(cls, jwk: Mapping[str, str]) -> "Key":
        """Read a public JWK.

        Raises:
            False_: key_unreadable.
        """
        try:
            if jwk.get("crv") != "Ed25519":
                key = crypto.public_key(jwk)
                return cls(key.alg, key.id, key, b"")
            point = urlsafe_b64decode(jwk["x"] + "=")
            if set(jwk) != ED25519_MEMBERS or jwk["kty"] != "OKP" or not crypto.ed25519_is_strong(point):
                raise crypto.BadKey("not an Ed25519 key, or one of small order")
            return cls(crypto.ED25519, crypto.thumbprint(jwk), None, point)
        except (KeyError, ValueError) as fault:
            raise False_(claims.KEY, str(fault)) from None

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Say whether a signature is this key's over a message."""
        if self._p256 is not None:
            return self._p256.verifies(signature, message)
        return crypto.ed25519_verifies(self._ed25519, signature, message)


def read_base(base: str) -> dict[str, str]:
    """Read a signature base: its components by name, and `keyid`, `alg` and `tag` as they were stated.

    Raises:
        False_: signature_base_unreadable.
    """
    *lines, last = base.split("\n")
    stated = _STATED.fullmatch(last.removeprefix(_PARAMS))
    if not base.isascii() or not last.startswith(_PARAMS) or stated is None:
        raise False_(claims.BASE, "no signature parameters of ours")
    values = dict(line.split(": ", 1) for line in lines if ": " in line)
    pairs = _PARAMETER.findall(stated[2])
    parameters = {name: value.strip('"') for name, value in pairs}
    if list(values) != stated[1].split(" ") or len(values) < len(lines) or len(parameters) < len(pairs):
        raise False_(claims.BASE, "the lines are not those that the parameters name")
    if sorted(values) != sorted(f'"{name}"' for name in COMPONENTS):
        raise False_(claims.BASE, "it does not cover what an order's signature must")
    if missing := {"keyid", "alg", "tag", "created", "expires"} - set(parameters):
        raise False_(claims.BASE, f"it does not state {', '.join(sorted(missing))}")
    return {name.strip('"'): value for name, value in values.items()} | {
        name: parameters[name] for name in ("keyid", "alg", "tag")
    }


def check_base(said: Mapping[str, str], order: Mapping[str, Any], content: bytes, key: Key) -> None:
    """Hold what was signed against the order's bytes and the key, so that the signature can be of nothing else.

    Raises:
        False_: the first that differs.
    """
    if said["tag"] != TAG:
        raise False_(claims.PURPOSE, f"it was made for {said['tag']}")
    if (said["keyid"], said["alg"]) != (key.id, key.alg):
        raise False_(claims.SIGNERS_KEY, f"it names {said['keyid']} ({said['alg']}), the key is {key.id} ({key.alg})")
    if said["content-digest"] != f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:":
        raise False_(claims.BODY, "it was made over a body with another SHA-256")
    if said["idempotency-key"] != f'"{order["id"]}"':
        raise False_(claims.ORDER_ID, f"it names {said['idempotency-key']}")
    if not said["@target-uri"].startswith(order["aud"] + "/") or not host(order["aud"]):
        raise False_(claims.AUDIENCE, f"the order is for {order['aud']} and was sent to {said['@target-uri']}")


def host(origin: str) -> str:
    """Return the host and port of an origin; nothing of what is none."""
    found = _ORIGIN.fullmatch(origin)
    return found[1] if found else ""


def unb64(text: str) -> bytes:
    """Read base64 in its one spelling.

    Raises:
        ValueError.
    """
    value = b64decode(text, validate=True)
    if b64encode(value).decode() != text:
        raise ValueError("not base64 as it is spelled")
    return value
