"""Signatures: our reading of the one profile, held against the library that reads them all."""

import contextlib
import re
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import http_sf
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.oracle import base_of
from wallet import signing
from wallet.crypto import PrivateKey
from wallet.refusal import Refusal
from wallet.signing import ORDER_COMPONENTS, READ_COMPONENTS, Message, content_digest

NOW = datetime(2026, 11, 21, 3, 5, tzinfo=UTC)
AT = int(NOW.timestamp())
KEYS = {key.public.alg: key for key in (PrivateKey.derive(b"tests"), PrivateKey.generate_ed25519())}
ORIGIN = "http://localhost:8000"
BODY = b'{"amount":"1"}'


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request before it is signed: what a test may spoil."""

    key: PrivateKey
    method: str = "POST"
    target: str = "/v1/transfers"
    body: bytes | None = BODY
    label: str = "sig1"
    covered: tuple[str, ...] = tuple(f'"{name}"' for name in ORDER_COMPONENTS)
    parameters: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        return ORIGIN + self.target

    @property
    def stated(self) -> str:
        return f"({' '.join(self.covered)})" + "".join(self.parameters)


def parameters_of(key: PrivateKey, created: int = AT, expires: int = AT + 300) -> tuple[str, ...]:
    id, alg = key.public.id, key.public.alg
    return (f";created={created}", f";expires={expires}", f';keyid="{id}"', f';alg="{alg}"', ';tag="wallet-v1"')


def order(key: PrivateKey = KEYS["ecdsa-p256-sha256"], **changes: Any) -> Asked:
    """An honest order."""
    headers = (
        ("content-type", "application/json"),
        ("content-digest", content_digest(BODY)),
        ("idempotency-key", '"0197b0a4-0000-7000-8000-000000000000"'),
    )
    asked: Asked = replace(Asked(key=key, parameters=parameters_of(key), headers=headers), **changes)
    return asked


def read(key: PrivateKey = KEYS["ecdsa-p256-sha256"], **changes: Any) -> Asked:
    """An honest signed GET."""
    covered = tuple(f'"{name}"' for name in READ_COMPONENTS)
    asked: Asked = replace(
        Asked(key=key, method="GET", body=None, covered=covered, parameters=parameters_of(key)), **changes
    )
    return asked


def signed(asked: Asked, *, stated: str | None = None, over: str | None = None) -> Message:
    """Sign a request as somebody would who means what is spoilt in it.

    Args:
        stated: what is sent as the signature's parameters.
        over: what is signed as them.
    """
    stated = asked.stated if stated is None else stated
    known = {'"@method"': asked.method, '"@target-uri"': asked.url}
    known |= {f'"{name}"': value for name, value in asked.headers}
    covered = re.findall(r'"[^"]*"', stated.partition(")")[0])
    lines = [f"{name}: {known.get(name, '')}" for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {stated if over is None else over}'])
    value = b64encode(asked.key.sign(base.encode("latin-1", "replace"))).decode()
    spelled = {"signature-input": f"{asked.label}={stated}", "signature": f"{asked.label}=:{value}:"}
    return Message(asked.method, asked.url, dict(asked.headers) | spelled)


def ours(asked: Asked, message: Message) -> bytes | None:
    """Return the base that we verify, or None where we refuse."""
    public = asked.key.public
    try:
        done = signing.verify(message, key=lambda id: public if id == public.id else None, body=asked.body, now=NOW)
    except Refusal:
        return None
    return done.base


def same(asked: Asked, message: Message) -> bytes | None:
    """Assert that the library and we agree on a request, and return the base."""
    theirs = base_of(message, asked.key.public, body=asked.body, now=NOW)
    assert ours(asked, message) == theirs, message
    return theirs


# -- what is to be taken --------------------------------------------------------------------------------------------

NONCE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
TARGET = st.from_regex(r"\A(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,30}\Z")
KEY = st.sampled_from(sorted(KEYS)).map(KEYS.__getitem__)


@st.composite
def honest(draw: Any) -> Asked:
    """Orders and reads in every form that the profile allows."""
    key = draw(KEY)
    asked: Asked = draw(st.sampled_from((order, read)))(key)
    created = AT + draw(st.integers(-299, 60))
    expires = draw(st.integers(max(AT, created + 1), created + 300))
    parameters = list(parameters_of(key, created, expires))
    if draw(st.booleans()):
        parameters.append(f";nonce={http_sf.ser(draw(NONCE))}")
    return replace(
        asked,
        target=f"/{draw(TARGET)}",
        label=draw(st.from_regex(r"\A[a-z*][a-z0-9_.*-]{0,9}\Z")),
        covered=tuple(draw(st.permutations(asked.covered))),
        parameters=tuple(draw(st.permutations(parameters))),
    )


@given(honest())
@settings(max_examples=100)
def test_every_honest_form_is_taken_with_the_librarys_base(asked: Asked) -> None:
    """In any order of components and parameters, with any label, nonce and target."""
    assert same(asked, signed(asked)) is not None


# -- what is not ----------------------------------------------------------------------------------------------------

ODD = st.sampled_from(
    [*' ";,=():\\\t\n\r\x00\x7f-0*', "é", "//", "==", "sig1", ";created=1", '"', '"@method"', ";keyid=1", "?1", ";a"]
) | st.characters(max_codepoint=0xFF)


@st.composite
def spoilt(draw: Any, text: str) -> str:
    """Put in, take out, double, swap or replace something in a text, up to three times."""
    for _ in range(draw(st.integers(1, 3))):
        at, to = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        to = min(to, at + draw(st.sampled_from((0, 1, 1, 12))))
        put = draw(ODD | st.just(text[at:to] * 2) | st.just("") | st.just(text[at:to].swapcase()))
        text = text[:at] + put + text[to:]
    return text


@given(honest(), st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_whoever_signs_spoilt_parameters_is_read_as_the_library_reads_them(asked: Asked, data: Any) -> None:
    """The signer means them: the signature is over the spoilt text, or over what the library makes of it."""
    stated = data.draw(spoilt(asked.stated))
    over = stated
    if data.draw(st.booleans()):
        with contextlib.suppress(http_sf.StructuredFieldError, ValueError):
            over = http_sf.ser(http_sf.parse(f"s={stated}".encode(), tltype="dictionary"))[2:]
    same(asked, signed(asked, stated=stated, over=over))


@given(honest(), st.data())
@settings(max_examples=100)
def test_a_value_that_was_spoilt_before_signing_is_read_as_the_library_reads_it(asked: Asked, data: Any) -> None:
    """Method, target and headers, as a client of another mind would have them."""
    what = data.draw(st.sampled_from(("method", "target", "headers")))
    if what == "headers" and asked.headers:
        at = data.draw(st.integers(0, len(asked.headers) - 1))
        headers = list(asked.headers)
        name, value = headers[at]
        headers[at : at + 1] = data.draw(st.sampled_from(([], [(name, data.draw(spoilt(value)))])))
        asked = replace(asked, headers=tuple(headers))
    elif what == "method":
        asked = replace(asked, method=data.draw(spoilt(asked.method)))
    else:
        asked = replace(asked, target="/" + data.draw(spoilt(asked.target)))
    same(asked, signed(asked))


@given(honest(), st.data())
@settings(max_examples=100)
def test_what_is_spoilt_on_the_way_is_refused_by_both(asked: Asked, data: Any) -> None:
    """One of the headers, the method or the target is not what was signed."""
    message = signed(asked)
    what = data.draw(st.sampled_from([*message.headers, "method", "url"]))
    if what == "method":
        other = replace(message, method=data.draw(spoilt(message.method)))
    elif what == "url":
        other = replace(message, url=f"{ORIGIN}/{data.draw(spoilt(asked.target))}")
    else:
        headers = dict(message.headers) | {what: data.draw(spoilt(message.headers[what]))}
        other = replace(message, headers=headers)
    if same(asked, other) is not None:
        # Only the label and headers that are not covered say nothing: a changed one of those is no change.
        assert (other.method, other.url) == (message.method, message.url)


@given(honest(), st.sampled_from(("created", "expires", "keyid", "alg", "tag")), st.integers(-400, 400))
@settings(max_examples=100)
def test_a_parameter_left_out_moved_or_doubled_is_judged_alike(asked: Asked, name: str, by: int) -> None:
    """Windows of any length around now, and parameters that are missing or said twice."""
    at = next(i for i, text in enumerate(asked.parameters) if text.startswith(f";{name}"))
    rest = (*asked.parameters[:at], *asked.parameters[at + 1 :])
    moved = f";{name}={AT + by}" if name in ("created", "expires") else asked.parameters[at].replace('"', "", 1)
    for parameters in (rest, (*rest, moved), (*asked.parameters, asked.parameters[at]), (*asked.parameters, moved)):
        other = replace(asked, parameters=parameters)
        same(other, signed(other))


@pytest.mark.parametrize(
    ("input", "signature"),
    [
        ("{input}", "{signature}"),
        ("{input}, x=()", "{signature}, x=:AAAA:"),
        ('{input}, x=("@method");tag="other"', "{signature}, x=:AAAA:"),
        ("{input},{input}", "{signature},{signature}"),
        ("{input} ", "{signature}"),
        ("{input}", "{signature};a=1"),
        ("{input}", "{signature};a"),
        ("{input}", " {signature}"),
        ("x{input}", "{signature}"),
        ("{input}", "{signature}{signature}"),
        ("{input};a", "{signature}"),
        ("", "{signature}"),
        ("{input}", ""),
    ],
)
def test_the_two_headers_say_one_thing_in_one_way(input: str, signature: str) -> None:
    """A second signature, parameters of the signature, another label: none of these, whoever's they are."""
    asked = order()
    message = signed(asked)
    stated, made = message.headers["signature-input"], message.headers["signature"]
    headers = dict(message.headers) | {
        "signature-input": input.replace("{input}", stated),
        "signature": signature.replace("{signature}", made),
    }
    taken = same(asked, replace(message, headers=headers))
    assert (taken is not None) == (headers == message.headers)


@pytest.mark.parametrize("last", range(64))
def test_a_signature_has_one_spelling_in_base64(last: int) -> None:
    """Unused bits of the last letter, and padding left out, are another text for the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    asked = order()
    message = signed(asked)
    made = message.headers["signature"]
    for other in (made[:-4] + alphabet[last] + "==:", made[:-4] + alphabet[last] + ":"):
        taken = same(asked, replace(message, headers=dict(message.headers) | {"signature": other}))
        assert (taken is not None) == (other == made)


@given(st.text(max_size=60), st.text(max_size=60))
@example('sig1=("@method"', "sig1=:")
@example("sig1=()" + ";created=1" * 800, "sig1=:AAAA:")
def test_any_two_headers_are_a_signature_or_a_refusal(input: str, signature: str) -> None:
    """Never another exception, whatever they say."""
    asked = order()
    message = signed(asked)
    spelled = {"signature-input": input, "signature": signature}
    with pytest.raises(Refusal):
        signing.verify(
            replace(message, headers=dict(message.headers) | spelled),
            key=lambda _: asked.key.public,
            body=BODY,
            now=NOW,
        )


def test_refusals_have_their_order() -> None:
    """The first that applies is told: missing, unknown, coverage, window, invalid, digest."""
    key = KEYS["ecdsa-p256-sha256"]
    late = parameters_of(key, AT - 600, AT - 400)

    def refused(asked: Asked, *, known: bool = True, body: bytes = BODY) -> str:
        public = asked.key.public if known else None
        with pytest.raises(Refusal) as caught:
            signing.verify(signed(asked), key=lambda _: public, body=body, now=NOW)
        return caught.value.code

    few = order(covered=order().covered[:2], parameters=late)
    other = order(parameters=parameters_of(key), key=KEYS["ed25519"])
    assert refused(order(parameters=late[:2], covered=few.covered), known=False) == "signature_missing"
    assert refused(few, known=False) == "signature_key_unknown"
    assert refused(few) == "signature_coverage"
    assert refused(replace(other, parameters=late)) == "signature_window"
    assert refused(other, body=b"{}") == "signature_invalid"
    assert refused(order(), body=b"{}") == "content_digest"
