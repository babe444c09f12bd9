"""How long it takes to prove a million entries, and how much memory: `make bench ARGS=prove`.

What    A city of transfers alone, each ordered and signed by its payer's own key, so that every signature is one more
        P-256 check and nothing is left out. Then `python -m market.prove` as an auditor calls it.
How     Orders are signed by as many processes as there are processors. Memory is the most that the proof's processes
        together had for themselves (Pss), looked at five times a second; PostgreSQL's is not in it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg

from bench import fill
from bench.figures import Figure
from bench.place import own_database
from wallet import crypto, signing
from wallet.run import environment
from wallet.run.faults import Fault

ENTRIES: Final = 1_000_000
WALLETS: Final = 1_000
SLICE: Final = 5_000
LOOK_EVERY_S: Final = 0.2
SALT: Final = b"\0" * 16
"""Of every order here: nobody's data is kept from anybody by it."""

_ORDER: Final = (
    '{"amount":"%s","aud":"http://localhost:8000","created":"1795230000","expires":"1795230900","id":"%s",'
    '"kind":"transfer","memo":"","payee":"%s","payer":"%s","signer":"%s","v":"1"}'
)
_BASE: Final = """\
"@method": POST
"@target-uri": http://localhost:8000/v1/transfers
"content-type": application/json
"content-digest": %s
"idempotency-key": "%s"
"@signature-params": ("@method" "@target-uri" "content-type" "content-digest" "idempotency-key");created=1795230000;\
expires=1795230300;keyid="%s";alg="ecdsa-p256-sha256";tag="wallet-v1\""""

_Staged = tuple[UUID, UUID, UUID, str, UUID, UUID, int]
_Signed = tuple[UUID, bytes, bytes, bytes]


class Signers:
    """A key for each wallet, and processes that sign with them."""

    def __init__(self, wallets: int, pool: ProcessPoolExecutor) -> None:
        self._seeds = {_key(seed).public.id: seed for seed in (number.to_bytes(32) for number in range(1, wallets + 1))}
        self._pool = pool

    @property
    def keys(self) -> dict[str, list[str]]:
        """As `fill.Signing` says."""
        public = [_key(seed).jwk() for seed in self._seeds.values()]
        return {"key_ids": list(self._seeds), "xs": [one["x"] for one in public], "ys": [one["y"] for one in public]}

    def sign(self, admin: psycopg.Connection) -> None:
        """As `fill.Signing` says."""
        staged = admin.execute(
            "SELECT e.authority, e.signer, e.order_id, e.key_id, p.debit, p.credit, p.amount"
            " FROM fill.entry e JOIN fill.posting p ON p.n = e.n"
        ).fetchall()
        slices = [staged[low : low + SLICE] for low in range(0, len(staged), SLICE)]
        copy = "COPY person.order_content (authority, salt, bytes, signature_base, signature) FROM STDIN"
        with admin.cursor().copy(copy) as rows:
            for signed in self._pool.map(_sign, slices, [self._seeds] * len(slices)):
                for authority, content, base, signature in signed:
                    rows.write_row((authority, SALT, content, base, signature))


def _sign(staged: list[_Staged], seeds: dict[str, bytes]) -> list[_Signed]:
    return list(_signed(staged, {id: _key(seeds[id]) for id in {one[3] for one in staged}}))


def _signed(staged: list[_Staged], keys: dict[str, crypto.PrivateKey]) -> Iterator[_Signed]:
    for authority, signer, order, key_id, payer, payee, amount in staged:
        content = (_ORDER % (amount, order, payee, payer, signer)).encode()
        base = (_BASE % (signing.content_digest(content), order, key_id)).encode()
        yield authority, content, base, keys[key_id].sign(base)


def _key(seed: bytes) -> crypto.PrivateKey:
    return crypto.PrivateKey.derive(seed)


def measure(entries: int = ENTRIES, wallets: int = WALLETS) -> list[Figure]:
    """Fill a city, prove it, and return the figures.

    Raises:
        Fault: the proof found a difference.
    """
    with own_database("_prove") as (config, url):
        with ProcessPoolExecutor() as pool:
            fill.city(url, wallets=wallets, postings=entries, signing=Signers(wallets, pool), say=print)
        took, most = _proved(environment.child_environ(config, os.environ))
    name = f"log.prove_{entries // 1_000_000}m" if entries >= 1_000_000 else f"log.prove_{entries}"
    return [
        Figure(name=name, value=round(took, 1), unit="s"),
        Figure(name=f"{name}.memory", value=round(most / 2**20, 1), unit="MiB"),
        Figure(name=f"{name}.rate", value=round(entries / took), unit="1/s"),
    ]


def _proved(environ: dict[str, str]) -> tuple[float, int]:
    """Run the proof; return the seconds it took and the most bytes it had."""
    began, most = time.monotonic(), 0
    with subprocess.Popen([sys.executable, "-m", "market.prove"], env=environ, stdout=subprocess.PIPE) as proof:
        while proof.poll() is None:
            most = max(most, sum(_memory(process) for process in _family(proof.pid)))
            time.sleep(LOOK_EVERY_S)
        took = time.monotonic() - began
        assert proof.stdout is not None, "it was piped"
        said = proof.stdout.read().decode()
    if proof.returncode:
        raise Fault(f"the filled books do not prove: {said[:500]}")
    return took, most


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _memory(pid: int) -> int:
    """Return a process's proportional set size in bytes; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
