"""Scanned: whatever a camera, a photo or fingers give is sorted into what can be done about it, and never fails."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market import banks, qr, scanned
from market.qr import fields, tlv
from market.qr.fields import Additional, Environment, Initiation, Kind, MerchantFields, Point, Service, VietQR
from market.qr.issues import Code
from market.scanned import (
    Address,
    BankCode,
    ConsumerCode,
    Damaged,
    ForeignCode,
    OneTimeCode,
    OurInvoice,
    OurPage,
    OurPoint,
    PersonCode,
    PersonPhone,
    Typed,
    Unknown,
)
from wallet.money import Dong

ORIGIN = "https://vi.hue.example"
MERCHANT, POINT = UUID(int=0x11), UUID(int=0x22)
VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "qr_vectors.json").read_text())["vectors"]

PLACE = Point(merchant=MERCHANT, point=POINT, kind=Kind.POINT, environment=Environment.DEMO)
STICKER = MerchantFields(
    initiation=Initiation.STATIC,
    point=PLACE,
    vietqr=VietQR(fields.DEMO_BIN, "1", Service.ACCOUNT),
    mcc="5812",
    currency="704",
    country="VN",
    name="BUN BO O XUAN",
    city="HUE",
)
INVOICE = replace(
    STICKER,
    initiation=Initiation.DYNAMIC,
    point=replace(PLACE, kind=Kind.INVOICE),
    amount=Dong(35_000),
    additional=Additional(bill_number="7Q2M4K9TXB"),
)


def sort(text: str, environment: Environment = Environment.DEMO) -> scanned.Scanned:
    return scanned.sort(text, origin=ORIGIN, environment=environment)


def signed_anew(text: str) -> str:
    """The text with a checksum that fits it, as whoever forges a code would write it."""
    return text[:-4] + tlv.crc(text[:-4])


def test_a_sticker_names_a_point_and_nothing_else() -> None:
    assert sort(qr.encode(STICKER)) == OurPoint(MERCHANT, POINT)


def test_an_invoice_names_its_number_and_what_it_claims() -> None:
    assert sort(qr.encode(INVOICE)) == OurInvoice(MERCHANT, POINT, "7Q2M4K9TXB", Dong(35_000))


def test_a_changed_code_of_ours_is_told_by_its_checksum() -> None:
    """Row 87: the amount changed, the checksum not."""
    assert sort(qr.encode(INVOICE).replace("35000", "95000")) == Damaged(Code.CRC_MISMATCH, ours=True)


def test_another_environments_code_is_told_as_such() -> None:
    """Row 87."""
    assert sort(qr.encode(STICKER), Environment.LIVE) == Damaged(Code.OTHER_ENVIRONMENT, ours=True)


def test_a_forged_member_in_our_template_is_refused() -> None:
    """Row 87: our template says nothing of a kind X."""
    assert sort(signed_anew(qr.encode(STICKER).replace("0301P", "0301X"))) == Damaged(Code.OWN_MALFORMED, ours=True)


def test_an_oversize_text_is_not_looked_into() -> None:
    """Row 87."""
    assert sort("00" * 1_500) == Damaged(Code.TOO_LONG, ours=False)


def test_a_real_bank_code_is_recognised_with_its_bank() -> None:
    said = MerchantFields(
        initiation=Initiation.STATIC,
        vietqr=VietQR("970436", "0123456789", Service.ACCOUNT),
        currency="704",
        country="VN",
    )
    found = sort(qr.encode(said))
    assert isinstance(found, BankCode)
    assert found.bank is not None
    assert (found.bank.name, found.account.account) == ("Vietcombank", "0123456789")
    unlisted = sort(qr.encode(replace(said, vietqr=VietQR("970499", "1", Service.ACCOUNT))))
    assert isinstance(unlisted, BankCode)
    assert unlisted.bank is None


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("  123 456 789 ", PersonCode("123456789")),
        ("0905 123 456", PersonPhone("0905 123 456")),
        ("+84905123456", PersonPhone("+84905123456")),
        ("TRANGTIEN:482173091562", OneTimeCode("482173091562")),
        ("4821 7309 1562", OneTimeCode("482173091562")),
        ("7q2m-4k9t", Typed("7q2m-4k9t")),
        ("7q2m 4k9t", Typed("7q2m 4k9t")),
        ("7Q2M4K9TXB", Typed("7Q2M4K9TXB")),
        (f"{ORIGIN}/q/7Q2M4K9T", Typed("7Q2M4K9T")),
        (f"{ORIGIN}/q/../../van-hanh", Unknown()),
        (f"{ORIGIN}/xac-minh/ABC?x=1", OurPage("/xac-minh/ABC?x=1")),
        (f"{ORIGIN}.evil.example/q/7Q2M4K9T", Address("vi.hue.example.evil.example")),
        ("https://vi.hue.example@evil.example/q/7Q2M4K9T", Address("evil.example")),
        ("https://vi.hué.example/q/7Q2M4K9T", Address("vi.xn--hu-cja.example")),
        ("http://vi.hue.example/q/7Q2M4K9T", Address("vi.hue.example")),
        ("javascript:alert(1)", Unknown()),
        ("https://[", Unknown()),
        ("xin chào", Unknown()),
        ("", Unknown()),
    ],
)
def test_what_is_typed_or_scanned_besides_is_known_for_what_it_is(text: str, is_: scanned.Scanned) -> None:
    """Row 88: no address is ever followed by itself."""
    assert sort(text) == is_


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one.get("id") or one.get("name"))
def test_every_published_code_is_explained_and_none_pays(vector: dict[str, Any]) -> None:
    found = sort(vector["payload"], Environment.LIVE)
    assert isinstance(found, BankCode | ForeignCode | ConsumerCode | Damaged | Unknown | Address | OurPage)


@settings(max_examples=30)
@given(st.text(alphabet="0123456789ABCDEF.:/ hQhtps@đ\u202e", max_size=120))
def test_no_text_makes_it_fail(text: str) -> None:
    sort(text)


def test_every_bank_is_listed_once_and_with_its_confidence() -> None:
    assert {bank.confidence for bank in banks._listed().values()} == {"B", "C"}
    assert banks.by_bin(fields.DEMO_BIN) is None
