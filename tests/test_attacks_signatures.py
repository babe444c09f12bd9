"""Signatures that are missing, altered, borrowed, old or made for something else: nobody moves money with them."""

import contextlib
import hashlib
import hmac
import re
import socket
import threading
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from uuid import UUID, uuid4

import pytest

from tests.attack import books, digest_of, forged, nothing_moved, refused
from tests.conftest import LiveServer, serve
from tests.databases import TestDatabase
from tests.make import City, Signer
from wallet import canonical, clock, signing
from wallet.client import Reply
from wallet.crypto import PrivateKey, public_key
from wallet.ids import HolderId
from wallet.refusal import Refusal
from wallet.signing import ORDER_COMPONENTS, Message

SEND = "/v1/transfers"

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def town(database: TestDatabase) -> Iterator[City]:
    with City(database) as made:
        yield made


@pytest.fixture(scope="module")
def hoa(town: City) -> Signer:
    return town.citizen(available=1_000_000)


@pytest.fixture(scope="module")
def binh(town: City) -> Signer:
    return town.citizen("Trần Văn Bình", available=1_000_000)


def transfer(payer: Signer, payee: Signer, amount: int = 1) -> bytes:
    return payer.order("transfer", payer=payer.account, payee=payee.account, amount=str(amount), memo="")


# -- missing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [("Signature",), ("Signature-Input",), ("Signature", "Signature-Input")])
def test_an_order_without_a_signature_is_refused(
    town: City, hoa: Signer, binh: Signer, missing: tuple[str, ...]
) -> None:
    """Row 46: at every door that takes orders, known kind or not."""
    for method, path in orders_doors(town):
        content = transfer(hoa, binh)
        headers = {k: v for k, v in hoa.headers(method, path, content).items() if k not in missing}
        with nothing_moved(town):
            reply = hoa.send_with(method, path, content, headers)
        if path == "/v1/keys":  # this one asks for the new key itself, first
            refused(reply, 422, "order_invalid")
        else:
            refused(reply, 401, "signature_missing")
            assert reply.headers["www-authenticate"] == 'Signature tag="wallet-v1"'


def orders_doors(city: City) -> list[tuple[str, str]]:
    """Every route under /v1 that takes an order."""
    assert city.app is not None
    return [
        (method, re.sub(r"<\w+>", str(uuid4()), rule.rule))
        for rule in city.app.url_map.iter_rules()
        for method in (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
        if rule.rule.startswith("/v1/")
    ]


def test_every_reading_door_asks_for_a_signature(town: City, hoa: Signer) -> None:
    """Row 46: nothing under /v1 is read by nobody, but what everybody may read: the market's goods."""
    assert town.app is not None
    rules = [
        rule
        for rule in town.app.url_map.iter_rules()
        if rule.rule.startswith("/v1/") and "GET" in (rule.methods or ()) and not rule.rule.startswith("/v1/catalog/")
    ]
    assert len(rules) >= 5
    for rule in rules:
        path = re.sub(r"<\w+>", str(uuid4()), rule.rule)
        refused(hoa.send_with("GET", path, None, {}), 401, "signature_missing")
        refused(hoa.send_with("GET", path, None, {"Signature": "sig1=:AAAA:"}), 401, "signature_missing")
        guesser = town.app.test_client()
        guesser.set_cookie("session", "guessed", domain="localhost")
        guessed = guesser.get(path, base_url=hoa.origin)
        assert (guessed.status_code, guessed.json["code"]) == (401, "signed_out")  # type: ignore[index]


@pytest.mark.parametrize(
    ("input", "signature"),
    [
        ("", ""),
        ("sig1", "sig1"),
        ("sig1=()", "sig1=::"),
        ("sig1=1", "sig1=1"),
        ('sig1=();keyid="x"', "sig1=:AAAA:"),
        ("sig1=(", "sig1=:A"),
        ("\xff", "\xff"),
        ("{input}", "sig1=:AAAA:"),
        ("{input}", "sig1=AAAA"),
        ("{input}", 'sig1="AAAA"'),
        ("{input}", "sig1=?1"),
        ("{input}", "sig2={value}"),
        ("{input}, sig2=()", "sig1={value}"),
        ("{input}, {input2}", "sig1={value}, sig2={value}"),
        ("{input}, x={input}", "sig1={value}"),
        ("{input};;", "sig1={value}"),
        ("{input};keyid=1", "sig1={value}"),
        ("{input};created=999999999999999", "sig1={value}"),
        ("{input};created=-1", "sig1={value}"),
        ("{input};created=1.5", "sig1={value}"),
        ("{input};expires=99999999999999999999", "sig1={value}"),
        ("{input};nonce=:AAAA:", "sig1={value}"),
        ("{bare}", "sig1={value}"),
    ],
)
def test_signature_headers_that_are_none_are_refused(
    town: City, hoa: Signer, binh: Signer, input: str, signature: str
) -> None:
    """Rows 46 and 47: malformed structured fields, unknown labels, a second signature, parameters of another type."""
    content = transfer(hoa, binh)
    honest = hoa.headers("POST", SEND, content)
    stated, value = honest["Signature-Input"], honest["Signature"].removeprefix("sig1=")
    bare = stated.split(";")[0]
    spelled = {"{input2}": "sig2" + stated[4:], "{input}": stated, "{value}": value, "{bare}": bare}
    for name, text in spelled.items():
        input, signature = input.replace(name, text), signature.replace(name, text)
    with nothing_moved(town):
        reply = hoa.send_with("POST", SEND, content, honest | {"Signature-Input": input, "Signature": signature})
    assert reply.status == 401, reply.body
    refused(reply, 401, reply.json()["code"])


# -- altered ------------------------------------------------------------------------------------------------


def flipped(text: str, at: int) -> str:
    """The same text with another letter of its kind at one place."""
    char = text[at]
    other = str((int(char) + 1) % 10) if char.isdigit() else ("b" if char == "a" else "a")
    return text[:at] + other + text[at + 1 :]


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize(
    "part",
    [
        "Content-Digest",
        "Idempotency-Key",
        "Signature",
        "created",
        "expires",
        "keyid",
        "alg",
        "tag",
        "label",
        "components",
    ],
)
def test_a_changed_byte_in_what_is_signed_is_refused(
    town: City, hoa: Signer, binh: Signer, part: str, where: str
) -> None:
    """Row 47."""
    content = transfer(hoa, binh)
    headers = hoa.headers("POST", SEND, content)
    name = part if part in headers else "Signature-Input"
    patterns = {
        "Content-Digest": r":(.{43})=:",
        "Idempotency-Key": r'"([0-9a-f-]*)"',
        "Signature": r"sig1=:(.{80})",
        "label": r"^(sig1)",
        "components": r'\("([^)]*)"\)',
    }
    found = re.search(patterns.get(part, rf';{part}="?([^";]*)'), headers[name])
    assert found is not None
    start, end = found.span(1)
    at = {"first": start, "middle": (start + end) // 2, "last": end - 1}[where]
    while headers[name][at] in '-@ "_':
        at -= 1
    spoilt = headers | {name: flipped(headers[name], at)}
    assert spoilt != headers
    with nothing_moved(town):
        reply = hoa.send_with("POST", SEND, content, spoilt)
        assert reply.status in (400, 401), reply.body
        refused(reply, reply.status, reply.json()["code"])


def test_every_byte_of_the_body_counts(town: City, hoa: Signer, binh: Signer) -> None:
    """Row 47: whichever is changed, added or left out, the digest that was signed is another's."""
    content = transfer(hoa, binh)
    headers = hoa.headers("POST", SEND, content)
    spoilt = [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(0, len(content), 7)]
    spoilt += [content[:-1], content + b" ", content.replace(b'"amount":"1"', b'"amount":"9"'), b""]
    with nothing_moved(town):
        for body in spoilt:
            refused(hoa.send_with("POST", SEND, body, headers), 401, "content_digest")


def test_a_signature_is_good_for_one_method_and_one_target_only(town: City, hoa: Signer, binh: Signer) -> None:
    """Row 47: @method and @target-uri, the query included."""
    content = transfer(hoa, binh)
    with nothing_moved(town):
        for values in ({"@method": "PUT"}, {"@method": "post"}, {"@target-uri": hoa.origin + "/v1/bill-payments"}):
            headers = forged(hoa, "POST", SEND, content, values=values)
            refused(hoa.send_with("POST", SEND, content, headers), 401, "signature_invalid")
        headers = hoa.headers("POST", SEND, content)
        for target in (f"{SEND}?x=1", f"{SEND}?"):
            refused(hoa.send_with("POST", target, content, headers), 401, "signature_invalid")
        for host in ("http://localhost", "https://localhost:8000", "http://LOCALHOST:8000", "http://localhost.:8000"):
            headers = forged(hoa, "POST", SEND, content, values={"@target-uri": host + SEND})
            refused(hoa.send_with("POST", SEND, content, headers), 401, "signature_invalid")
    statement = f"/v1/accounts/{hoa.account}/statement"
    headers = hoa.headers("GET", statement, None)
    assert hoa.send_with("GET", statement, None, headers).status == 200
    refused(hoa.send_with("GET", f"{statement}?rows=100", None, headers), 401, "signature_invalid")
    assert hoa.send_with("HEAD", statement, None, headers).status == 401


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("left_out", ORDER_COMPONENTS)
def test_what_must_be_covered_must_be_covered(
    town: City, hoa: Signer, binh: Signer, method: str, left_out: str
) -> None:
    """Row 49: a signature that verifies, over less than the policy asks or over more, is none."""
    content = transfer(hoa, binh)
    less = [name for name in ORDER_COMPONENTS if name != left_out]
    with nothing_moved(town):
        headers = forged(hoa, "POST", SEND, content, components=less)
        refused(hoa.send_with("POST", SEND, content, headers), 401, "signature_coverage")
        headers = forged(hoa, "POST", SEND, content, components=[*ORDER_COMPONENTS, "@authority"])
        reply = hoa.send_with("POST", SEND, content, headers)
        assert (reply.status, reply.json()["code"] in ("signature_coverage", "signature_invalid")) == (401, True)
        headers = forged(hoa, "POST", SEND, content, components=[*ORDER_COMPONENTS, left_out])
        assert hoa.send_with("POST", SEND, content, headers).status == 401
    if left_out.startswith("@"):
        path = f"/v1/accounts/{hoa.account}"
        headers = forged(hoa, "GET", path, None, components=[name for name in less if name.startswith("@")])
        refused(hoa.send_with("GET", path, None, headers), 401, "signature_coverage")


@pytest.mark.parametrize(
    "alike", ['"@method";req', '"@target-uri";sf', '"content-digest";bs', '"@query-param";name="x"']
)
def test_a_component_with_parameters_is_another_component(town: City, hoa: Signer, binh: Signer, alike: str) -> None:
    """Row 49: it would be covered in another form than the one that is checked."""
    content = transfer(hoa, binh)
    name = alike.split('"')[1]
    headers = forged(hoa, "POST", SEND, content)
    headers["Signature-Input"] = headers["Signature-Input"].replace(f'"{name}"', alike)
    if alike not in headers["Signature-Input"]:
        headers["Signature-Input"] = headers["Signature-Input"].replace('"@method"', alike)
    with nothing_moved(town):
        assert hoa.send_with("POST", SEND, content, headers).status == 401


@pytest.mark.parametrize(
    "digest",
    [
        None,
        "",
        "sha-256=::",
        "sha-256=:AAAA:",
        "md5=:{md5}:",
        "sha=:{sha1}:",
        "sha-512=:{sha512}:",
        "sha-256=:{sha256}:, sha-512=:AAAA:",
        "sha-512=:{sha512}:, sha-256=:{sha256}:",
        "sha-256=:{sha256}:, sha-256=:{sha256}:",
        "SHA-256=:{sha256}:",
        "sha-256={sha256}",
        'sha-256="{sha256}"',
        "sha-256=:{sha256}:;a=1",
        "sha-256=:{other}:",
        " sha-256=:{hex}:",
    ],
)
def test_a_digest_that_is_not_one_sha_256_of_the_body_is_refused(
    town: City, hoa: Signer, binh: Signer, digest: str | None
) -> None:
    """Row 50: although its signature is the signer's own."""
    content = transfer(hoa, binh)
    spelled = (digest or "").replace("{hex}", hashlib.sha256(content).hexdigest())
    for name in ("md5", "sha1", "sha512", "sha256"):
        spelled = spelled.replace(f"{{{name}}}", b64encode(hashlib.new(name, content).digest()).decode())
    spelled = spelled.replace("{other}", b64encode(hashlib.sha256(b"other").digest()).decode())
    headers = forged(hoa, "POST", SEND, content, headers={"Content-Digest": spelled})
    if digest is None:
        del headers["Content-Digest"]
    with nothing_moved(town):
        reply = hoa.send_with("POST", SEND, content, headers)
        assert reply.status == 401, reply.body
        assert reply.json()["code"] in ("content_digest", "signature_invalid")
        refused(reply, 401, reply.json()["code"])


# -- algorithms and keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alg",
    [
        '"hmac-sha256"',
        '"ed25519"',
        '"none"',
        '"rsa-v1_5-sha256"',
        '"rsa-pss-sha512"',
        '"ecdsa-p384-sha384"',
        '""',
        "1",
        None,
    ],
)
def test_another_algorithm_than_the_keys_own_is_refused(town: City, hoa: Signer, binh: Signer, alg: str | None) -> None:
    """Row 51: also where the signature itself would verify."""
    content = transfer(hoa, binh)
    headers = forged(hoa, "POST", SEND, content, says={"alg": alg})
    with nothing_moved(town):
        reply = hoa.send_with("POST", SEND, content, headers)
        refused(reply, 401, reply.json()["code"])


def test_the_public_key_is_no_secret_to_sign_with(town: City, hoa: Signer, binh: Signer) -> None:
    """Row 51: HMAC under the bytes of the public key, in several spellings, is not a signature."""
    content = transfer(hoa, binh)

    class Hmac(PrivateKey):
        secret = b""

        def sign(self, message: bytes) -> bytes:
            return hmac.new(self.secret, message, hashlib.sha256).digest()

    jwk = hoa.key.public.jwk
    impostor = Hmac(hoa.key._key)
    for secret in (b"", jwk["x"].encode(), hoa.key.public.id.encode(), b64decode(jwk["x"] + "=", b"-_")):
        impostor.secret = secret
        for alg in ('"hmac-sha256"', '"ecdsa-p256-sha256"'):
            headers = forged(hoa, "POST", SEND, content, key=impostor, says={"alg": alg})
            with nothing_moved(town):
                assert hoa.send_with("POST", SEND, content, headers).status == 401


def enrolment(signer: Signer, key: PrivateKey, jwk: dict[str, str] | None = None, **own: str) -> bytes:
    given = {"label": "Máy lạ", "device": "machine", "code": ""} | own
    return signer.order("key_enrol", key=jwk or dict(key.public.jwk), **given)


def enrol(signer: Signer, key: PrivateKey, jwk: dict[str, str] | None = None, **own: str) -> Reply:
    """Send an enrolment signed by the key itself, whatever it says that the key is."""
    content = enrolment(signer, key, jwk, **own)
    return signer.send_with("POST", "/v1/keys", content, forged(signer_of(signer, key), "POST", "/v1/keys", content))


def signer_of(signer: Signer, key: PrivateKey) -> Signer:
    return Signer(origin=signer.origin, key=key, holder=signer.holder, account=signer.account, app=signer.app)


def _b64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
"""Every Ed25519 encoding of a point of order 1, 2, 4 or 8: with such a key any signature may verify for any message."""


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_an_ed25519_key_of_small_order_is_never_enrolled(town: City, hoa: Signer, point: str) -> None:
    """Row 52: with the signature 01 || 00*63 it would verify for every message, and its holder could deny all of them."""
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": _b64(bytes.fromhex(point))}
    content = enrolment(hoa, hoa.key, jwk)
    headers = forged(hoa, "POST", "/v1/keys", content, says={"alg": '"ed25519"'})
    headers["Signature"] = f"sig1=:{b64encode(bytes([1, *[0] * 63])).decode()}:"
    with nothing_moved(town):
        document = refused(hoa.send_with("POST", "/v1/keys", content, headers), 422, "order_invalid")
    assert document["param"] == "key"


def test_a_key_of_another_kind_is_never_enrolled(town: City, hoa: Signer) -> None:
    """Row 51: RSA, other curves, symmetric keys, points off the curve, private members, embedded addresses."""
    honest = dict(PrivateKey.generate().public.jwk)
    wrong: list[dict[str, str]] = [
        {"kty": "RSA", "n": _b64(bytes([0xC1] * 256)), "e": "AQAB"},
        {"kty": "oct", "k": "AAAA"},
        honest | {"crv": "P-384"},
        honest | {"crv": "secp256k1"},
        honest | {"kty": "OKP"},
        honest | {"y": honest["x"]},
        honest | {"x": _b64(bytes(32)), "y": _b64(bytes(32))},
        honest | {"x": honest["x"] + "="},
        honest | {"x": honest["x"][:-1]},
        honest | {"x": "AA" + honest["x"]},
        honest | {"x": "+/" + honest["x"][2:]},
        honest | {"x": ""},
        {**PrivateKey.generate().jwk()},
        honest | {"jku": "https://evil.example/keys"},
        honest | {"x5u": "https://evil.example/cert"},
        honest | {"alg": "none"},
        honest | {"kid": "x"},
        {name: value for name, value in honest.items() if name != "y"},
        {},
    ]
    with nothing_moved(town):
        for jwk in wrong:
            refused(enrol(hoa, hoa.key, jwk or {"x": ""}), 422, "order_invalid")
        for odd in ("key", ["key"], {"crv": ["P-256"], "kty": "EC", "x": honest["x"], "y": honest["y"]}):
            content = hoa.order("key_enrol", key=odd, label="x", device="machine", code="")
            refused(hoa.send("POST", "/v1/keys", content), 422, "order_invalid")


def test_a_malleable_twin_of_a_signature_is_a_replay_and_nothing_more(town: City, hoa: Signer, binh: Signer) -> None:
    """Rows 48 and 54: (r, n − s) verifies as well, but an order is known by its signer and id, not by its signature."""
    content = transfer(hoa, binh, 3)
    headers = hoa.headers("POST", SEND, content)
    raw = b64decode(headers["Signature"].removeprefix("sig1=:").removesuffix(":"))
    twin = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    other = headers | {"Signature": f"sig1=:{b64encode(twin).decode()}:"}
    first = hoa.send_with("POST", SEND, content, other)
    assert first.status == 201
    with nothing_moved(town):
        for again in (headers, other, headers):
            reply = hoa.send_with("POST", SEND, content, again)
            assert (reply.status, reply.body) == (201, first.body)


def test_an_ed25519_client_pays_like_any_other(town: City, hoa: Signer, binh: Signer) -> None:
    """And its key signs nothing under the other algorithm's name."""
    server = town.signer(HolderId(UUID(hoa.holder)), PrivateKey.generate_ed25519())
    server.account = hoa.account
    town.enrol(server)
    before = books(town)
    assert server.send("POST", SEND, transfer(server, binh, 5)).status == 201
    assert books(town)["ledger.entry"] == before["ledger.entry"] + 1
    content = transfer(server, binh, 5)
    headers = forged(server, "POST", SEND, content, says={"alg": '"ecdsa-p256-sha256"'})
    with nothing_moved(town):
        reply = server.send_with("POST", SEND, content, headers)
        refused(reply, 401, reply.json()["code"])
    assert town.differences() == []


def test_a_key_signs_for_its_own_holder_only(town: City, hoa: Signer, binh: Signer) -> None:
    """Row 56: neither another's order, nor under another's key id, nor from another's account."""
    content = transfer(hoa, binh)
    with nothing_moved(town):
        refused(binh.send("POST", SEND, content), 401, "signature_key")
        claimed = forged(hoa, "POST", SEND, content, key=binh.key)
        refused(hoa.send_with("POST", SEND, content, claimed), 401, "signature_invalid")
        stranger = signer_of(hoa, PrivateKey.generate())
        refused(stranger.send("POST", SEND, content), 401, "signature_key_unknown")
    theirs = binh.order("transfer", payer=hoa.account, payee=binh.account, amount="1", memo="")
    with nothing_moved(town, outcomes=1):
        refused(binh.send("POST", SEND, theirs), 404, "account_not_found")


def test_a_key_that_waits_for_approval_signs_nothing(town: City, binh: Signer) -> None:
    """Row 56: not yet valid."""
    holder = town.citizen("Lê Thị Cúc", available=100)
    key = PrivateKey.generate()
    assert enrol(holder, key).json()["state"] == "pending"
    pending = signer_of(holder, key)
    approve = pending.order("key_approve", key=key.public.id)
    with nothing_moved(town):
        refused(pending.send("POST", SEND, transfer(pending, binh)), 401, "signature_key")
        refused(pending.send("POST", f"/v1/keys/{key.public.id}/approvals", approve), 401, "signature_key")
        refused(pending.get(f"/v1/accounts/{holder.account}"), 401, "signature_key")


def test_a_revoked_key_signs_nothing_any_more(town: City, binh: Signer) -> None:
    """Row 56: what it signed before and sends now is refused as well; what it had done stands, and that alone is told."""
    holder = town.citizen("Lê Thị Cúc", available=100)
    done, signed_before = transfer(holder, binh), transfer(holder, binh)
    assert holder.send("POST", SEND, done).status == 201
    headers = holder.headers("POST", SEND, signed_before)
    id = holder.key.public.id
    assert holder.insist(f"/v1/keys/{id}", holder.order("key_revoke", key=id), method="DELETE").status == 200
    with nothing_moved(town):
        refused(holder.send_with("POST", SEND, signed_before, headers), 401, "signature_key")
        refused(holder.send("POST", SEND, transfer(holder, binh)), 401, "signature_key")
        assert holder.send("POST", SEND, done).headers["idempotent-replayed"] == "true"
        refused(holder.get(f"/v1/accounts/{holder.account}"), 401, "signature_key")


def test_a_key_revoked_between_signing_and_commit_moves_nothing(town: City, binh: Signer) -> None:
    """Row 56: the order stands behind the revocation's lock, and is judged by what was committed before it."""
    holder = town.citizen("Lê Thị Cúc", available=100)
    content, replies = transfer(holder, binh), []
    with nothing_moved(town), town.database.superuser() as watcher:
        with town.database.superuser() as other, other.transaction():
            other.execute("UPDATE identity.key SET state = 'revoked' WHERE id = %s", [holder.key.public.id])
            sending = threading.Thread(target=lambda: replies.append(holder.send("POST", SEND, content)))
            sending.start()
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            deadline = time.monotonic() + 20
            while watcher.execute(waiting).fetchone() != (1,):
                assert time.monotonic() < deadline, "the order waits for the key"
                time.sleep(0.01)
        sending.join(timeout=20)
        refused(replies[0], 401, "signature_key")
        watcher.execute("UPDATE identity.key SET state = 'active' WHERE id = %s", [holder.key.public.id])
    assert holder.send("POST", SEND, content).status == 201  # no outcome was stored, so the order may come again


# -- windows and purposes -----------------------------------------------------------------------------------


def test_a_signature_outside_its_window_is_refused(town: City, hoa: Signer, binh: Signer) -> None:
    """Row 57: from the future, from the past, backwards, empty, longer than five minutes, ten years ahead, no window."""
    now, content = int(time.time()), transfer(hoa, binh)
    wrong = [
        (3600, 3900),
        (-3600, -3300),
        (62, 300),
        (-301, -2),
        (0, 0),
        (0, -1),
        (0, 301),
        (-10, 291),
        (0, 315_360_000),
    ]
    windows: list[dict[str, str | None]] = [{"created": str(now + a), "expires": str(now + b)} for a, b in wrong]
    windows += [{"created": None}, {"expires": None}, {"created": None, "expires": None}]
    with nothing_moved(town):
        for says in windows:
            reply = hoa.send_with("POST", SEND, content, forged(hoa, "POST", SEND, content, says=says))
            refused(reply, 401, "signature_window")
    for created, expires in ((-280, 20), (50, 300), (-5, 290), (0, 30)):
        says = {"created": str(now + created), "expires": str(now + expires)}
        assert hoa.send_with("POST", SEND, content, forged(hoa, "POST", SEND, content, says=says)).status == 201


@pytest.mark.parametrize("tag", ['"webhook-v1"', '"wallet-v2"', '"WALLET-V1"', '"wallet-v1 "', '""', "wallet-v1", None])
def test_a_signature_made_for_another_purpose_is_none(town: City, hoa: Signer, binh: Signer, tag: str | None) -> None:
    """Row 58: the tag keeps a webhook's, a checkpoint's or a login's signature from meaning an order."""
    content = transfer(hoa, binh)
    with nothing_moved(town):
        reply = hoa.send_with("POST", SEND, content, forged(hoa, "POST", SEND, content, says={"tag": tag}))
        refused(reply, 401, reply.json()["code"])


@pytest.mark.parametrize(
    "aud",
    [
        "https://test.example",
        "http://localhost",
        "http://localhost:8001",
        "http://localhost:8000/",
        "HTTP://LOCALHOST:8000",
        "",
        "*",
        "http://localhost:8000 ",
    ],
)
def test_an_order_for_another_service_moves_nothing_here(town: City, hoa: Signer, binh: Signer, aud: str) -> None:
    """Row 58: a test order never moves real money, even if somebody signs it anew for this target."""
    content = canonical.dumps({**canonical.loads(transfer(hoa, binh)), "aud": aud})
    with nothing_moved(town):
        refused(hoa.send("POST", SEND, content), 422, "order_audience")


def test_raw_signatures_of_other_things_never_verify_as_orders(town: City, hoa: Signer, binh: Signer) -> None:
    """Row 58: a signature over the body alone, over its hash, or over a note, is not one over the signature base."""
    content = transfer(hoa, binh)
    headers = hoa.headers("POST", SEND, content)
    for other in (content, hashlib.sha256(content).digest(), b"wallet-v1\0" + content, b"", b"tree\n5\nhash\n"):
        signature = b64encode(hoa.key.sign(other)).decode()
        with nothing_moved(town):
            spoilt = headers | {"Signature": f"sig1=:{signature}:"}
            refused(hoa.send_with("POST", SEND, content, spoilt), 401, "signature_invalid")


def test_the_verifier_refuses_whatever_a_stranger_sends_it() -> None:
    """Row 47: also headers that no HTTP server would let through end in a refusal, never in an exception of a library."""
    key = PrivateKey.generate()
    client = Signer(origin="http://localhost:8000", key=key, holder=str(uuid4()))
    content = client.order("any")
    honest = {k.lower(): v for k, v in client.headers("POST", SEND, content).items()}
    public = public_key(key.public.jwk)
    now = clock.now()

    def verify(headers: dict[str, str]) -> signing.Signed:
        message = Message("POST", client.origin + SEND, headers)
        return signing.verify(message, key=lambda id: public if id == public.id else None, body=content, now=now)

    assert verify(honest).base.endswith(honest["signature-input"].removeprefix("sig1=").encode())
    stated = honest["signature-input"]
    for name in ("signature-input", "signature"):
        for text in (
            stated * 50,
            "\x00",
            "\n",
            "sig1=" + "(" * 5_000,
            "é",
            "💰",
            '"' * 100,
            stated.replace("sig1", "💰"),
        ):
            with pytest.raises(Refusal):
                verify(honest | {name: text + (f';keyid="{public.id}"' if name == "signature-input" else "")})


# -- the wire -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(database: TestDatabase) -> Iterator[LiveServer]:
    with serve(database) as server:
        yield server


@pytest.fixture(scope="module")
def wire(live: LiveServer, database: TestDatabase) -> Iterator[City]:
    with City(database, origin=live.origin, in_process=False) as made:
        yield made


@pytest.fixture(scope="module")
def cuc(wire: City) -> Signer:
    return wire.citizen("Lê Thị Cúc", available=1_000_000)


def raw(live: LiveServer, lines: list[str], body: bytes = b"") -> Reply:
    """Send exactly these lines and this body; read one reply."""
    with socket.create_connection(("127.0.0.1", live.config.port), timeout=10) as line:
        line.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        with contextlib.suppress(OSError):  # it may have answered and gone
            line.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := line.recv(65_536):
            received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return Reply(int(status.split()[1]), headers, rest)


def request(live: LiveServer, method: str, target: str, headers: dict[str, str], body: bytes, *more: str) -> Reply:
    lines = [f"{method} {target} HTTP/1.1", f"Host: localhost:{live.config.port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return raw(live, [*lines, f"Content-Length: {len(body)}", *more], body)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/%74ransfers",
        "/v1/transfers%3F",
        "/v1%2Ftransfers",
        "/v1//transfers",
        "//v1/transfers",
        "/./v1/transfers",
        "/v1/transfers/",
        "/v1/transfers;a=1",
        "/v1/transfers?",
        "/v1/transfers?a=1",
        "/v1/x/../transfers",
        "/V1/transfers",
        "/v1/transfer%73",
        "/v1/transfers%00",
        "/v1/transfers%20",
        "http://localhost/v1/transfers",
        "*",
        "/v1/transfers#x",
    ],
)
def test_a_signature_for_one_spelling_of_a_target_is_none_for_another(
    live: LiveServer, wire: City, cuc: Signer, target: str
) -> None:
    """Row 60: the raw target is what is verified, whatever the framework makes of it."""
    content = transfer(cuc, cuc)
    with nothing_moved(wire):
        reply = request(live, "POST", target, cuc.headers("POST", SEND, content), content)
    assert reply.status in (308, 400, 401, 404, 405), (reply.status, reply.body)


def test_a_target_in_another_spelling_is_good_when_it_is_what_was_signed(
    live: LiveServer, wire: City, cuc: Signer
) -> None:
    """Row 60: the same door under an escaped letter, signed as it is sent."""
    payee = wire.citizen()
    before = books(wire)
    content = transfer(cuc, payee)
    reply = request(live, "POST", "/v1/%74ransfers", cuc.headers("POST", "/v1/%74ransfers", content), content)
    assert reply.status == 201
    assert books(wire)["ledger.entry"] == before["ledger.entry"] + 1


@pytest.mark.parametrize("name", ["Content-Digest", "Idempotency-Key", "Content-Type", "Signature", "Signature-Input"])
@pytest.mark.parametrize("second", ["same", "other"])
def test_a_header_sent_twice_is_refused(live: LiveServer, wire: City, cuc: Signer, name: str, second: str) -> None:
    """Row 62: whichever of the two one would take."""
    payee = wire.citizen()
    content = transfer(cuc, payee)
    headers = cuc.headers("POST", SEND, content)
    value = headers[name] if second == "same" else forged(cuc, "POST", SEND, transfer(cuc, payee, 2)).get(name, "x")
    if name.startswith("Signature") and second == "same":
        value = value.replace("sig1", "sig2")
    with nothing_moved(wire):
        for more in ([f"{name}: {value}"], [f"{name.upper()}: {value}"]):
            reply = request(live, "POST", SEND, headers, content, *more)
            if reply.headers["content-type"] == "text/html":  # the server itself has refused it
                assert reply.status == 400
            else:
                assert reply.status in (400, 401, 415)
                refused(reply, reply.status, reply.json()["code"])


@pytest.mark.parametrize("name", ["Content_Digest", "Idempotency_Key", "Signature_Input", "CONTENT_DIGEST"])
def test_an_underscore_is_no_hyphen(live: LiveServer, wire: City, cuc: Signer, name: str) -> None:
    """Row 63: such a header neither stands in for a missing one nor spoils the one that is there."""
    payee = wire.citizen()
    content = transfer(cuc, payee)
    headers = cuc.headers("POST", SEND, content)
    real = next(key for key in headers if key.lower() == name.lower().replace("_", "-"))
    without = {key: value for key, value in headers.items() if key != real}
    with nothing_moved(wire):
        reply = request(live, "POST", SEND, without, content, f"{name}: {headers[real]}")
        assert reply.status in (400, 401), reply.body
    assert request(live, "POST", SEND, headers, content, f"{name}: spoof").status == 201


def test_nobody_in_front_is_believed(live: LiveServer, wire: City, cuc: Signer) -> None:
    """Row 64: forwarded hosts, schemes, prefixes and addresses change nothing that is verified or answered."""
    lies = [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Port: 1",
    ]
    lies += ["X-Forwarded-Prefix: /evil", "Forwarded: for=1.2.3.4;host=evil.example;proto=https", "X-Real-IP: 1.2.3.4"]
    lies += ["Script-Name: /evil", "X-Original-URL: /v1/keys", "X-HTTP-Method-Override: DELETE"]
    payee = wire.citizen()
    content = transfer(cuc, payee)
    reply = request(live, "POST", SEND, cuc.headers("POST", SEND, content), content, *lies)
    assert reply.status == 201
    elsewhere = Signer(origin="https://evil.example", key=cuc.key, holder=cuc.holder, account=cuc.account)
    content = transfer(elsewhere, payee)
    with nothing_moved(wire):
        reply = request(live, "POST", SEND, elsewhere.headers("POST", SEND, content), content, *lies)
        refused(reply, 401, "signature_invalid")
    assert "evil" not in request(live, "GET", "/dang-nhap", {}, b"", *lies).body.decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost:1", "[", "a b", "", "localhost:99999", "x" * 300, "\xff", "//"]
)
def test_a_host_header_decides_nothing(live: LiveServer, wire: City, cuc: Signer, host: str) -> None:
    """Rows 60 and 64: the service knows its own origin; a strange Host is refused or ignored, and is never a bug."""
    payee = wire.citizen()
    content = transfer(cuc, payee)
    headers = cuc.headers("POST", SEND, content)
    lines = [f"POST {SEND} HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Length: {len(content)}"]
    reply = raw(live, [*lines, *(f"{name}: {value}" for name, value in headers.items())], content)
    assert reply.status in (201, 400), (reply.status, reply.body)
    assert "evil" not in reply.body.decode("latin-1")
    page = raw(live, ["GET /quay HTTP/1.1", f"Host: {host}", "Connection: close"])
    assert page.status in (302, 400), (page.status, page.body)
    assert "evil" not in page.headers.get("location", "")


def test_a_wrong_clock_is_told_the_right_time(live: LiveServer, wire: City, cuc: Signer) -> None:
    """Row 57: the problem carries the service's Date, and the small client corrects itself and signs again."""
    payee = wire.citizen()
    for hours in (1, -1):
        wrong = signer_of(cuc, cuc.key)
        wrong.clock_ahead_s = hours * 3600.0
        content = transfer(cuc, payee)
        reply = wrong.send("POST", SEND, content)
        refused(reply, 401, "signature_window")
        assert abs(parsedate_to_datetime(reply.headers["date"]).timestamp() - time.time()) < 60
        assert wrong.insist(SEND, content).status == 201


def test_a_chunked_body_is_held_to_the_same_measure(live: LiveServer, wire: City, cuc: Signer) -> None:
    """Rows 14 and 50: no length stated; the digest still covers what arrived, and there is still a largest body."""
    payee = wire.citizen()
    content = transfer(cuc, payee)
    lines = [f"POST {SEND} HTTP/1.1", f"Host: localhost:{live.config.port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in cuc.headers("POST", SEND, content).items()]
    lines += ["Transfer-Encoding: chunked"]

    def chunked(*parts: bytes) -> bytes:
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))

    with nothing_moved(wire):
        refused(raw(live, lines, chunked(content, b" ")), 401, "content_digest")
        reply = raw(live, lines, chunked(*[b"x" * 8_192] * 8, b"x"))
        refused(reply, 413, "body_too_large")
        assert raw(live, [*lines, f"Content-Length: {len(content)}"], chunked(content)).status == 400
    assert raw(live, lines, chunked(content[:50], content[50:])).status == 201


def test_a_body_cut_short_moves_nothing(live: LiveServer, wire: City, cuc: Signer) -> None:
    """Row 47: the connection ends before the body does."""
    content = transfer(cuc, wire.citizen())
    lines = [f"POST {SEND} HTTP/1.1", f"Host: localhost:{live.config.port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in cuc.headers("POST", SEND, content).items()]
    with nothing_moved(wire):
        reply = raw(live, [*lines, f"Content-Length: {len(content)}"], content[:-5])
        assert reply.status in (400, 401), reply.body


def test_a_query_in_a_signed_read_counts_as_it_was_sent(live: LiveServer, wire: City, cuc: Signer) -> None:
    """Row 60: escaped or not, what stands on the wire is what was signed."""
    path = f"/v1/accounts/{cuc.account}/statement"
    for target, signed, status in (
        (f"{path}?rows=%31", f"{path}?rows=%31", 200),
        (f"{path}?rows=1", f"{path}?rows=%31", 401),
        (f"{path}?rows=%31", f"{path}?rows=1", 401),
        (f"{path}?rows=1&rows=2", f"{path}?rows=1&rows=2", 200),
    ):
        assert request(live, "GET", target, cuc.headers("GET", signed, None), b"").status == status


def test_a_digest_is_spelled_as_rfc_9530_prints_it() -> None:
    """RFC 9530's own example."""
    assert digest_of(b'{"hello": "world"}') == "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
