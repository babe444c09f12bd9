"""Ids and keys of the demo city: derived from its seed, so that a load that was cut off finds what it made.

Danger  Whoever reads this file can derive every demo key: see `wallet.demo.loading.refuse`.
"""

import hashlib
from uuid import UUID

from wallet.crypto import PrivateKey
from wallet.demo.people import SEED
from wallet.ids import HolderId, OrderId


def holder_id(name: str) -> HolderId:
    """Return the id of a holder of the demo."""
    return HolderId(_uuid("holder", name))


def order_id(name: str) -> OrderId:
    """Return the id of an order of the demo."""
    return OrderId(_uuid("order", name))


def key(name: str) -> PrivateKey:
    """Return the key of a principal, or of a citizen by phone number."""
    return PrivateKey.derive(f"{SEED}:{name}".encode())


def _uuid(what: str, name: str) -> UUID:
    digest = hashlib.sha256(f"{SEED}\0{what}\0{name}".encode()).digest()
    return UUID(bytes=digest[:16], version=4)
