"""A merchant's machines: its own tills and systems, let in and shut out by its owner.

Words   A machine makes its key itself and enrols it as the merchant's (`POST /v1/keys`). The key signs nothing until the
        owner has let it in; from then on it may do what a manager may.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from market import registry
from market.registry import StaffRole
from wallet.identity import keys
from wallet.identity.keys import Key
from wallet.ids import HolderId, OrderId
from wallet.ledger import Claim, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineOrder:
    """What an owner orders of one of the merchant's keys."""

    id: OrderId
    merchant: HolderId
    key: str


def of(connection: sa.Connection, merchant: HolderId, *, now: datetime) -> list[Key]:
    """Return a merchant's machines, newest first; not those that nobody let in in time."""
    return [key for key in keys.of(connection, merchant) if key.state != "pending" or keys.waits(key, now)]


def let_in(unit: sa.Connection, claim: Claim, order: MachineOrder, *, now: datetime) -> Plan:
    """Decide to let a machine in that waits.

    Raises:
        registry.MerchantNotFound, NotYours: the signer is not the owner. keys.NotFound, NotPending.
    """
    registry.must(unit, order.merchant, claim.signer, StaffRole.OWNER)
    return keys.let_in(unit, order.merchant, order.key, now=now)


def shut_out(unit: sa.Connection, claim: Claim, order: MachineOrder, *, now: datetime) -> Plan:
    """Decide to shut a machine out for ever.

    Raises:
        registry.MerchantNotFound, NotYours: the signer is not the owner. keys.NotFound, Revoked.
    """
    registry.must(unit, order.merchant, claim.signer, StaffRole.OWNER)
    return keys.shut_out(unit, order.merchant, order.key, now=now)
