"""A small client of the signed API: it makes orders, signs them, and retries with the same bytes until it has an answer.

    from wallet.client import Client
    me = Client.of_demo("var/demo.json", role="citizen")
    bill = me.get("/v1/bills").json()["rows"][0]
    seen = {"bill": bill["id"], "version": bill["version"], "amount": bill["total"]}
    reply = me.act("/v1/bill-payments", "bill_payment", payer=me.account, bills=[seen])

From a shell:  python -m wallet.client [--as NAME | --me FILE] get PATH | send PATH FILE | receipt FILE --log-key KEY | key
               python -m wallet.client --me FILE enrol --at ORIGIN --holder ID --code CODE --label TEXT

Words   An order's bytes are made once and kept; a retry signs the headers anew, never the body.
Source  RFC 9421 (signatures), RFC 9530 (Content-Digest), RFC 8785 (canonical JSON).
"""

import argparse
import http.client
import json
import os
import sys
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from wallet import canonical, crypto, signing
from wallet.canonical import Json
from wallet.crypto import PrivateKey
from wallet.log import evidence
from wallet.log.checkpoint import LogKeys
from wallet.log.evidence import Report

ORDER_LIFE_S: Final = 900
TRIES: Final = 5
"""How often an order is sent before the client gives up; its outcome can still be asked for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class NoAnswer(Exception):
    """The service did not answer; whether the order was carried out is not known. Send the same bytes again."""


class NoReceipt(Exception):
    """The service gave no receipt of this order."""


@dataclass(slots=True, kw_only=True)
class Client:
    """Somebody who can sign: a holder with a key.

    `seconds` is how long one answer is waited for. `clock_ahead_s` corrects a wrong clock; the service's Date sets it.
    """

    origin: str
    key: PrivateKey
    holder: str
    account: str = ""
    seconds: float = 10.0
    clock_ahead_s: float = field(default=0.0)

    @classmethod
    def of_demo(cls, file: str | Path, *, role: str = "citizen", name: str | None = None) -> "Client":
        """Return the client of one of the demo's people, by role or by name."""
        demo = json.loads(Path(file).read_text())
        for one in demo["principals"]:
            if one.get("jwk") and (one["name"] == name if name else one["role"] == role):
                key = PrivateKey.from_jwk(one["jwk"])
                return cls(origin=demo["base_url"], key=key, holder=one["holder"], account=one.get("account") or "")
        raise LookupError(f"nobody in {file} is {name or role} and has a key")

    @classmethod
    def of_file(cls, file: str | Path) -> "Client":
        """Return the client that a machine keeps in a file of its own (see `made`)."""
        me = json.loads(Path(file).read_text())
        return cls(origin=me["origin"], key=PrivateKey.from_jwk(me["jwk"]), holder=me["holder"])

    @classmethod
    def made(cls, file: Path, *, origin: str, holder: str) -> "Client":
        """Make a key for a holder, and keep it in a new file that only its owner may read.

        Raises:
            FileExistsError: a key that may be enrolled somewhere is not written over.
        """
        made = cls(origin=origin, key=PrivateKey.generate(), holder=holder)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as kept:
            json.dump({"origin": origin, "holder": holder, "jwk": made.key.jwk()}, kept)
        return made

    def enrol(self, label: str, *, code: str = "") -> Reply:
        """Offer this machine's key; it signs nothing until somebody who speaks for its holder has let it in.

        `code` stands on the page of a merchant's owner.
        """
        jwk = dict(self.key.public.jwk)
        return self.act("/v1/keys", "key_enrol", key=jwk, label=label, device="machine", code=code)

    def order(self, kind: str, **own: Json) -> bytes:
        """Make an order's bytes. Keep them before you send them: they are the order."""
        now = int(time.time() - self.clock_ahead_s)
        return canonical.dumps(
            {
                **own,
                "v": "1",
                "aud": self.origin,
                "created": str(now),
                "expires": str(now + ORDER_LIFE_S),
                "id": str(uuid4()),
                "kind": kind,
                "signer": self.holder,
            }
        )

    def act(self, path: str, kind: str, **own: Json) -> Reply:
        """Make an order, send it, and send it again until there is an answer.

        Raises:
            NoAnswer.
        """
        return self.insist(path, self.order(kind, **own))

    def insist(self, path: str, content: bytes, *, method: str = "POST") -> Reply:
        """Send an order's bytes until there is an answer: lost replies, 503 and a wrong clock are tried again.

        Raises:
            NoAnswer: after TRIES tries.
        """
        for attempt in range(TRIES):
            if attempt:
                time.sleep(0.2 * 2**attempt)
            try:
                reply = self.send(method, path, content)
            except (OSError, http.client.HTTPException):
                continue
            if reply.status == 401 and reply.json().get("code") == "signature_window":
                self._set_clock(reply)
            elif reply.status != 503:
                return reply
        raise NoAnswer(f"{method} {path}")

    def get(self, path: str) -> Reply:
        """Send a signed GET."""
        return self.send("GET", path, None)

    def receipt(self, content: bytes, keys: LogKeys) -> tuple[bytes, Report]:
        """Fetch the receipt of an order that was sent, and verify it with the log's keys; a true receipt of another order is
        no receipt of this one.

        Args:
            content: the order's bytes, as they were sent.
            keys: every key of the log, got from elsewhere than the service.

        Returns:
            The receipt's bytes, to be kept, and what was checked of them.

        Raises:
            NoReceipt: the service gave none, or one of another order.
        """
        reply = self.get(f"/v1/orders/{json.loads(content)['id']}/receipt")
        if reply.status != 200:
            raise NoReceipt(f"HTTP {reply.status}: {reply.json().get('code')}")
        report = evidence.verify(reply.body, keys)
        if report.false is None and reply.json()["order"]["bytes"].encode() != content:
            raise NoReceipt("it is the receipt of another order")
        return reply.body, report

    def send(self, method: str, path: str, content: bytes | None) -> Reply:
        """Sign and send one request, once.

        Raises:
            OSError, http.client.HTTPException: no answer came.
        """
        headers = self.headers(method, path, content)
        where = urlsplit(self.origin)
        kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        connection = kind(where.hostname or "", where.port, timeout=self.seconds)
        try:
            connection.request(method, path, body=content, headers=headers)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def headers(self, method: str, path: str, content: bytes | None) -> dict[str, str]:
        """Return the headers that sign a request."""
        values = {"@method": method, "@target-uri": self.origin + path}
        headers: dict[str, str] = {}
        if content is not None:
            order_id = json.loads(content)["id"]
            headers = {
                "Content-Type": "application/json",
                "Content-Digest": signing.content_digest(content),
                "Idempotency-Key": f'"{order_id}"',
            }
            values |= {name.lower(): value for name, value in headers.items()}
        components = signing.READ_COMPONENTS if content is None else signing.ORDER_COMPONENTS
        created = int(time.time() - self.clock_ahead_s)
        public = self.key.public
        covered = " ".join(f'"{name}"' for name in components)
        parameters = (
            f'({covered});created={created};expires={created + signing.WINDOW_S_MAX};keyid="{public.id}"'
            f';alg="{public.alg}";tag="{signing.TAG}"'
        )
        lines = [f'"{name}": {values[name]}' for name in components]
        base = "\n".join([*lines, f'"@signature-params": {parameters}'])
        signature = b64encode(self.key.sign(base.encode())).decode()
        return headers | {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{signature}:"}

    def _set_clock(self, reply: Reply) -> None:
        if "date" in reply.headers:
            self.clock_ahead_s = time.time() - parsedate_to_datetime(reply.headers["date"]).timestamp()


def main(arguments: list[str]) -> int:
    """Run the command line: 0 when the service said yes, 1 when it refused, 2 when it did not answer."""
    parser = argparse.ArgumentParser(prog="python -m wallet.client", description="A small client of the signed API.")
    parser.add_argument("--demo", default=str(Path(os.environ.get("VAR_DIR", "var")) / "demo.json"))
    parser.add_argument("--as", dest="name", default=None, help="whose name in the demo; the first citizen otherwise")
    parser.add_argument("--me", type=Path, help="a machine's own file, which `enrol` makes")
    does = parser.add_subparsers(dest="does", required=True)
    enrol = does.add_parser("enrol", help="make a key, keep it in --me, and offer it")
    enrol.add_argument("--at", required=True, help="the service's origin")
    enrol.add_argument("--holder", required=True, help="whose machine this is")
    enrol.add_argument("--label", required=True, help="by which its owner will know it")
    enrol.add_argument("--code", default="", help="the code on the page of a merchant's owner")
    get = does.add_parser("get", help="a signed GET")
    get.add_argument("path")
    send = does.add_parser("send", help="send the bytes of an order again, as they stand in a file")
    send.add_argument("path")
    send.add_argument("file", type=Path)
    receipt = does.add_parser("receipt", help="fetch the receipt of the order in a file, and verify it")
    receipt.add_argument("file", type=Path)
    receipt.add_argument("--log-key", required=True, help="the log's key, or a file with all that it had")
    does.add_parser("key", help="print whose key signs")
    chosen = parser.parse_args(arguments)
    if chosen.does == "enrol" and chosen.me is None:
        parser.error("enrol needs --me FILE, where the key is kept")
    try:
        me = _me(chosen)
        content = chosen.file.read_bytes() if "file" in chosen else b""
    except (OSError, LookupError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return 2
    if chosen.does == "key":
        print(me.key.public.id)
        return 0
    if chosen.does == "receipt":
        return _receipt(me, content, chosen.log_key)
    try:
        reply = _reply(me, chosen, content)
    except (NoAnswer, OSError) as fault:
        print(f"no answer: {fault}", file=sys.stderr)
        return 2
    replayed = ", answered before: these are the stored bytes" if "idempotent-replayed" in reply.headers else ""
    print(f"HTTP {reply.status}{replayed}", file=sys.stderr)
    sys.stdout.write(reply.body.decode() + "\n")
    return 0 if reply.status < 400 else 1


def _me(chosen: argparse.Namespace) -> Client:
    if chosen.me is None:
        return Client.of_demo(chosen.demo, name=chosen.name)
    if chosen.does == "enrol" and not chosen.me.exists():
        return Client.made(chosen.me, origin=chosen.at, holder=chosen.holder)
    me = Client.of_file(chosen.me)
    if chosen.does == "enrol" and (me.origin, me.holder) != (chosen.at, chosen.holder):
        raise ValueError(f"{chosen.me} holds the key of {me.holder} at {me.origin}: name another file")
    return me


def _reply(me: Client, chosen: argparse.Namespace, content: bytes) -> Reply:
    if chosen.does == "enrol":
        print(f"compare on the owner's page: {crypto.check_code(me.key.public.id)}", file=sys.stderr)
        return me.enrol(chosen.label, code=chosen.code)
    return me.get(chosen.path) if chosen.does == "get" else me.insist(chosen.path, content)


def _receipt(me: Client, content: bytes, log_key: str) -> int:
    """Print a receipt and what was checked of it; 0 when it is a proof, else the status of the claim that is false."""
    try:
        raw, report = me.receipt(content, evidence.log_keys(log_key))
    except (NoReceipt, OSError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return 2
    print(*evidence.lines(report, "en"), sep="\n", file=sys.stderr)
    sys.stdout.write(raw.decode() + "\n")
    return report.status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
