"""The tally: two characters that stand on the payer's screen and on the counter's, and on no other payment's but by chance.

Words   A tally was a stick that was split in two: who holds one half knows the other. A picture of somebody else's
        confirmation, or of one's own from last week, shows another one.
Safety  A keyed MAC of the ledger entry. The entry's id is made when the money is posted, and the key never leaves the
        service, so nobody has a payment's tally before it is one. 625 of them: a guess is seen to be wrong 624 times.
"""

import hmac
from typing import Final
from uuid import UUID

LETTERS: Final = "ACDEFGHJKLMNPQRTUVWXY3479"
"""None looks like another: of B and 8, I and 1, O and 0, S and 5, Z and 2, G and 6, one at most."""

_PURPOSE: Final = b"tally v1\0"


def of(entry: UUID, *, secret: bytes) -> str:
    """Return the tally of a payment.

    Args:
        entry: the ledger entry that paid.
        secret: the service's own.
    """
    key = hmac.digest(secret, _PURPOSE, "sha256")
    drawn = int.from_bytes(hmac.digest(key, entry.bytes, "sha256"))
    first, second = divmod(drawn % len(LETTERS) ** 2, len(LETTERS))
    return LETTERS[first] + LETTERS[second]
