"""Keys and secrets: thumbprints by the RFC, signatures that verify for what was signed and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet import crypto
from wallet.crypto import BadKey, PrivateKey

P256 = PrivateKey.derive(b"one")
ED25519 = PrivateKey.from_jwk(
    {"kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": ""}
)
KEYS = pytest.mark.parametrize("key", [P256, ED25519], ids=["P-256", "Ed25519"])


def test_a_key_id_is_the_thumbprint_that_rfc_8037_prints() -> None:
    """RFC 8037, appendix A.3, with the key of A.1."""
    assert ED25519.public.jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert ED25519.public.id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@KEYS
def test_a_key_goes_out_and_comes_back_the_same(key: PrivateKey) -> None:
    assert PrivateKey.from_jwk(key.jwk()).public.id == key.public.id
    assert crypto.public_key(key.public.jwk).id == key.public.id
    assert crypto.public_key_of(crypto.jwk_text(key.public.jwk)).id == key.public.id
    assert "d" not in key.public.jwk
    assert json.loads(crypto.jwk_text(key.public.jwk)) == key.public.jwk


@settings(max_examples=30)
@given(st.binary(max_size=100), st.integers(0, 511), st.sampled_from([P256, ED25519]))
def test_a_signature_is_good_for_its_bytes_only(message: bytes, bit: int, key: PrivateKey) -> None:
    """Row 47."""
    signature = key.sign(message)
    assert len(signature) == 64
    assert key.public.verifies(signature, message)
    assert not key.public.verifies(signature, message + b"\0")
    spoilt = bytearray(signature)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert not key.public.verifies(bytes(spoilt), message)


@settings(max_examples=30)
@given(st.binary(max_size=130), st.sampled_from([P256, ED25519]))
def test_whatever_claims_to_be_a_signature_is_answered(signature: bytes, key: PrivateKey) -> None:
    """Row 46: garbage of any length is a no, never an exception."""
    assert not key.public.verifies(signature, b"message")


@pytest.mark.parametrize(
    "signature", [b"", bytes(64), b"\xff" * 64, bytes(63), bytes(65), b"\x30\x06\x02\x01\x01\x02\x01\x01"]
)
def test_degenerate_signatures_verify_nothing(signature: bytes) -> None:
    for key in (P256, ED25519):
        assert not key.public.verifies(signature, b"")


def test_a_signature_of_one_kind_is_none_of_the_other() -> None:
    """Row 51."""
    assert not P256.public.verifies(ED25519.sign(b"x"), b"x")
    assert not ED25519.public.verifies(P256.sign(b"x"), b"x")


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "d", "n", "e", "k", "alg"]),
        st.text(max_size=45) | st.none() | st.integers(),
    )
)
def test_any_object_is_a_public_key_or_refused(jwk: dict) -> None:
    """Row 51."""
    with pytest.raises(BadKey):
        crypto.public_key(jwk)


@pytest.mark.parametrize(
    "change",
    [
        {"d": "AAAA"},
        {"kid": "x"},
        {"x": "A" * 43},
        {"x": "=" * 43},
        {"y": None},
        {"kty": "RSA"},
        {"crv": "P-521"},
        {"x": "é" * 43},
    ],
)
def test_a_public_key_is_exactly_its_members_and_on_its_curve(change: dict[str, str]) -> None:
    with pytest.raises(BadKey):
        crypto.public_key({**P256.public.jwk, **change})


def test_a_derived_key_is_the_same_everywhere_and_another_for_another_seed() -> None:
    assert PrivateKey.derive(b"one").public.id == P256.public.id
    assert PrivateKey.derive(b"two").public.id != P256.public.id


def test_a_pin_is_kept_as_argon2id_and_salted() -> None:
    """RFC 9106; OWASP ASVS 11.4."""
    one, other = crypto.hash_pin("284619"), crypto.hash_pin("284619")
    assert one != other
    assert one.startswith("$argon2id$")
    assert crypto.pin_matches(one, "284619")
    assert not crypto.pin_matches(one, "284618")
    assert not crypto.pin_matches(one, "")


def test_a_one_time_code_is_hashed_for_its_purpose_and_person_under_the_secret() -> None:
    """Rows 73 and 128: a stolen table of hashes cannot be tried out without the server's secret."""
    hashes = {
        crypto.code_hash(secret, purpose, phone, code)
        for secret in (b"a" * 32, b"b" * 32)
        for purpose in ("open", "enrol")
        for phone in ("0912345678", "0912345679")
        for code in ("000000", "000001")
    }
    assert len(hashes) == 16


def test_a_session_token_is_kept_as_its_hash() -> None:
    assert crypto.token_hash("token") != crypto.token_hash("Token")
    assert b"token" not in crypto.token_hash("token")
