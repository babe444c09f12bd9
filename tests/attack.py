"""What every attack must end in: a clear problem document, and books in which nothing moved."""

import contextlib
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from tests.make import City, Signer
from wallet import signing, words
from wallet.client import Reply
from wallet.crypto import PrivateKey
from wallet.signing import ORDER_COMPONENTS, READ_COMPONENTS

TRACE = re.compile(rb'Traceback|File "|sqlalchemy|psycopg|ledger\.|line \d+, in', re.IGNORECASE)
"""What a caller must never read: it would be a bug explained to a stranger."""

STORED = ("ledger.authority", "ledger.outcome", "person.order_content")
"""Where a refusal that sticks leaves one row each."""

WRITTEN = (
    "ledger.entry",
    "ledger.posting",
    "ledger.event",
    "ledger.account",
    "ledger.account_move",
    "ledger.hold",
    "ledger.live_hold",
    "ledger.resolution",
    "ledger.mandate",
    "ledger.charge",
    "ledger.period",
    "ledger.snapshot",
    "bills.bill",
    "identity.key",
)
"""Where only something done leaves rows."""


def refused(reply: Reply, status: int, code: str, *, locale: words.Locale = "vi") -> dict[str, Any]:
    """Assert that a reply is this refusal as RFC 9457 asks, with its three sentences, and explains no bug."""
    assert (reply.status, _code(reply)) == (status, code), reply.body[:500]
    assert reply.headers["content-type"] == "application/problem+json"
    assert not TRACE.search(reply.body), reply.body[:500]
    document: dict[str, Any] = reply.json()
    text = words.refusal(code, locale)
    assert (document["title"], document["safe"], document["next"]) == (text.title, text.safe, text.next)
    assert document["status"] == status
    assert document["type"].endswith(f"/docs#{code}")
    assert re.fullmatch(r"[0-9a-f]{16}", document["request_id"])
    return document


def _code(reply: Reply) -> str:
    if reply.headers.get("content-type") not in ("application/problem+json", "application/json"):
        return reply.body[:200].decode(errors="replace")
    return str(reply.json().get("code"))


FINGERPRINTS = {
    "balances": "md5(string_agg(concat_ws(' ', account, posted, held), ',' ORDER BY account)) FROM ledger.balance_now",
    "limits": "md5(string_agg(concat_ws(' ', holder, bucket, starts, used), ',' ORDER BY holder, bucket, starts))"
    " FROM ledger.usage",
    "states": "md5(string_agg(concat_ws(' ', id, status), ',' ORDER BY id)) FROM ledger.account",
}
"""What is written over: every balance, every limit's counter, every account's state."""


def books(city: City) -> dict[str, Any]:
    """Count everything that is ever written, and take the fingerprint of what is written over."""
    counts = [f"(SELECT count(*) FROM {table})" for table in STORED + WRITTEN]
    prints = [f"(SELECT {fingerprint})" for fingerprint in FINGERPRINTS.values()]
    with city.engine.connect() as connection:
        row = connection.exec_driver_sql(f"SELECT {', '.join(counts + prints)}").one()
    return dict(zip((*STORED, *WRITTEN, *FINGERPRINTS), row, strict=True))


@contextlib.contextmanager
def nothing_moved(city: City, *, outcomes: int = 0) -> Iterator[None]:
    """Assert that what happens inside writes nothing but so many stored refusals."""
    before = books(city)
    yield
    assert books(city) == before | {table: before[table] + outcomes for table in STORED}


def forged(
    signer: Signer,
    method: str,
    path: str,
    content: bytes | None,
    *,
    key: PrivateKey | None = None,
    components: Sequence[str] | None = None,
    says: dict[str, str | None] | None = None,
    values: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    label: str = "sig1",
) -> dict[str, str]:
    """Sign a request as the small client does, but for what the attacker changes before signing.

    Args:
        key: signs instead of the signer's own.
        components: are covered instead of the policy's.
        says: signature parameters, spelled; None leaves one out.
        values: what the base claims a component to be.
        headers: sent with the request, and signed where covered.
        label: of the signature.
    """
    honest = signer.headers(method, path, content)
    given = re.fullmatch(r"sig1=\(.*\)(.*)", honest["Signature-Input"])
    assert given is not None
    parameters = dict(part.split("=", 1) for part in given[1].split(";")[1:])
    spelled = {name: value for name, value in {**parameters, **(says or {})}.items() if value is not None}
    covered = components or (READ_COMPONENTS if content is None else ORDER_COMPONENTS)
    named = " ".join(f'"{name}"' for name in covered)
    stated = f"({named})" + "".join(f";{name}={value}" for name, value in spelled.items())
    sent = {name: value for name, value in honest.items() if not name.startswith("Signature")} | (headers or {})
    known = {"@method": method, "@target-uri": signer.origin + path} | {k.lower(): v for k, v in sent.items()}
    known |= values or {}
    lines = [f'"{name}": {known.get(name, "")}' for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {stated}'])
    signature = b64encode((key or signer.key).sign(base.encode())).decode()
    return sent | {"Signature-Input": f"{label}={stated}", "Signature": f"{label}=:{signature}:"}


def digest_of(content: bytes) -> str:
    """Spell the Content-Digest of a body."""
    return signing.content_digest(content)
