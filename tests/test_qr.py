"""QR: published codes meet their class, forged ones are refused with a code, and what is written reads back."""

import base64
import json
import string
import uuid
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market import qr
from market.qr import fields as say
from market.qr.fields import Environment, MerchantFields
from market.qr.issues import TEXT_CHARS_MAX, Code, Issue, Level
from wallet.money import Dong

VECTORS = json.loads((Path(__file__).parent / "qr_vectors.json").read_text(encoding="utf-8"))["vectors"]
MERCHANT_VECTORS = [vector for vector in VECTORS if "ber_tlv" not in vector["expected_fields"]]


def by_id(vector: dict[str, Any]) -> str:
    return str(vector["id"])


def crc(data: bytes) -> str:
    """CRC-16/CCITT-FALSE bit by bit, so that the module is not checked by its own library."""
    register = 0xFFFF
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ (0x1021 if register & 0x8000 else 0)) & 0xFFFF
    return f"{register:04X}"


def tlv(*pairs: tuple[str, str]) -> str:
    return "".join(f"{tag}{len(value):02d}{value}" for tag, value in pairs)


def sealed(text: str) -> str:
    return text + "6304" + crc((text + "6304").encode())


VIETQR = ("38", tlv(("00", "A000000727"), ("01", tlv(("00", "970436"), ("01", "0011001234567"))), ("02", "QRIBFTTA")))


def code(**values: str) -> str:
    """A sound dynamic VietQR of 120,000 ₫, with root tags replaced ("t54") or left out (empty)."""
    root = {"00": "01", "01": "12", VIETQR[0]: VIETQR[1], "53": "704", "54": "120000", "58": "VN"}
    root |= {name[1:]: value for name, value in values.items()}
    return sealed(tlv(*((tag, value) for tag, value in root.items() if value)))


def merchant(decoded: qr.Decoded) -> MerchantFields:
    assert isinstance(decoded.fields, MerchantFields)
    return decoded.fields


# -- published codes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=by_id)
def test_a_published_code_meets_its_class(vector: dict[str, Any]) -> None:
    decoded = qr.decode(vector["payload"])
    match vector["class"]:
        case "accept":
            assert decoded.issues == ()
        case "accept-with-warning":
            assert decoded.issues
            assert not decoded.refused
        case "reject-crc":
            assert decoded.refused
            assert Code.CRC_MISMATCH in decoded.codes
        case "reject-structure":
            assert decoded.refused
            assert Code.STRUCTURE in decoded.codes
        case other:
            pytest.fail(other)


def told(read: MerchantFields) -> dict[str, Any]:
    """What was read, in the words of the published file; nothing that is absent."""
    amount = read.amount.text if isinstance(read.amount, say.ForeignAmount) else read.amount
    additional = {one.name: getattr(read.additional, one.name, None) for one in dataclass_fields(say.Additional)}
    said = {
        "point_of_initiation": read.initiation,
        "mcc": read.mcc,
        "currency": read.currency,
        "amount": None if amount is None else str(amount),
        "country": read.country,
        "merchant_name": read.name,
        "merchant_city": read.city,
        "postal_code": read.postal_code,
        "tip_indicator": read.tip and read.tip.kind,
        "vietqr": read.vietqr
        and {"bin": read.vietqr.bin, "account": read.vietqr.account, "service": read.vietqr.service},
        "additional_data": {name: value for name, value in additional.items() if value},
        "language_template": read.local
        and {name: getattr(read.local, name) for name in ("language", "name", "city") if getattr(read.local, name)},
        "other": [list(pair) for pair in read.other],
        "merchant_account_info": {
            one.tag: {"raw": one.value, "sub": one.parts} if one.tag >= "26" else one.value for one in read.accounts
        },
    }
    return {name: value for name, value in said.items() if value}


def expected(vector: dict[str, Any]) -> dict[str, Any]:
    """The published fields without what is told by issues instead, and NAPAS's template told once."""
    said = {name: value for name, value in vector["expected_fields"].items() if value}
    for name in ("payload_format_indicator", "crc", "additional_data_error"):
        said.pop(name, None)
    accounts = dict(said.get("merchant_account_info", {}))
    for tag, one in list(accounts.items()):
        if isinstance(one, dict):
            if one["sub"].get("00") == "A000000727":
                del accounts[tag]
            else:
                accounts[tag] = {"raw": one["raw"], "sub": one["sub"]}
    said["merchant_account_info"] = accounts
    if "vietqr" in said:
        said["vietqr"] = {name: said["vietqr"][name] for name in ("bin", "account", "service")}
    return {name: value for name, value in said.items() if value}


@pytest.mark.parametrize("vector", MERCHANT_VECTORS, ids=by_id)
def test_a_published_code_is_read_to_its_published_fields(vector: dict[str, Any]) -> None:
    read = merchant(qr.decode(vector["payload"]))
    assert told(read) == expected(vector)


# sg-nodejs has a label of 28 characters, which is read for others' sake and not written
WRITABLE = [vector for vector in MERCHANT_VECTORS if vector["class"] == "accept" and vector["id"] != "sg-nodejs"]


@pytest.mark.parametrize("vector", WRITABLE, ids=by_id)
def test_an_accepted_code_is_written_again_with_the_same_meaning(vector: dict[str, Any]) -> None:
    decoded = qr.decode(vector["payload"])
    again = qr.encode(merchant(decoded))
    assert qr.decode(again).fields == decoded.fields
    assert sorted(again[:-4]) == sorted(vector["payload"][:-4])


def test_a_code_that_a_consumer_shows_is_read_to_its_published_objects() -> None:
    vector = next(vector for vector in VECTORS if "ber_tlv" in vector["expected_fields"])

    def plain(one: say.BerObject) -> list[Any]:
        return [one.tag, [plain(inner) for inner in one.inner] if one.inner else one.value.hex().upper()]

    read = qr.decode(vector["payload"]).fields
    assert isinstance(read, say.ConsumerFields)
    assert read.version == "CPV01"
    assert [plain(one) for one in read.objects] == vector["expected_fields"]["ber_tlv"]
    assert "1234567890123458" not in repr(read), "a card number is nothing for logs"


# -- forged, damaged, strange: row 87 -----------------------------------------------------------------------


def test_the_code_that_the_forgeries_start_from_is_sound() -> None:
    decoded = qr.decode(code())
    assert decoded.issues == decoded.notes == ()
    assert merchant(decoded).amount == 120_000


@pytest.mark.parametrize(
    ("amount", "wrong"),
    [
        ("0", Code.AMOUNT_ZERO),
        ("0.", Code.AMOUNT_ZERO),
        ("-1", Code.AMOUNT_MALFORMED),
        ("-0", Code.AMOUNT_MALFORMED),
        ("+5", Code.AMOUNT_MALFORMED),
        ("NaN", Code.AMOUNT_MALFORMED),
        ("Infinity", Code.AMOUNT_MALFORMED),
        ("1e3", Code.AMOUNT_MALFORMED),
        ("1_000", Code.AMOUNT_MALFORMED),
        ("50 000", Code.AMOUNT_MALFORMED),
        (" 5", Code.AMOUNT_MALFORMED),
        ("5\n", Code.AMOUNT_MALFORMED),
        ("1,5", Code.AMOUNT_MALFORMED),
        (".5", Code.AMOUNT_MALFORMED),
        (".", Code.AMOUNT_MALFORMED),
        ("1.2.3", Code.AMOUNT_MALFORMED),
        ("007", Code.AMOUNT_MALFORMED),
        ("0x10", Code.AMOUNT_MALFORMED),
        ("١٢", Code.AMOUNT_MALFORMED),
        ("１２０", Code.AMOUNT_MALFORMED),
        ("²", Code.AMOUNT_MALFORMED),
        ("12345678901234", Code.AMOUNT_MALFORMED),
        ("1.5", Code.AMOUNT_NOT_WHOLE),
        ("50000.00", Code.AMOUNT_NOT_WHOLE),
    ],
)
def test_a_strange_amount_is_refused_and_is_no_amount(amount: str, wrong: Code) -> None:
    """Rows 1 to 4 and 6, in a code."""
    decoded = qr.decode(code(t54=amount))
    assert decoded.refused
    assert wrong in decoded.codes
    assert merchant(decoded).amount is None


def test_the_amount_with_a_point_that_napas_prints_as_good_is_whole_dong() -> None:
    decoded = qr.decode(code(t54="50000."))
    assert decoded.issues == ()
    assert merchant(decoded).amount == 50_000


@pytest.mark.parametrize("amount", ["98.73", "50.00", "100", "0.1", "5."])
def test_an_amount_in_another_currency_stays_its_exact_text_and_is_noted(amount: str) -> None:
    decoded = qr.decode(code(t53="764", t54=amount))
    assert merchant(decoded).amount == say.ForeignAmount(amount)
    assert [note.code for note in decoded.notes] == [Code.CURRENCY_FOREIGN]
    assert decoded.issues == ()


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"t53": ""}, Code.CURRENCY_MISSING),
        ({"t53": "VND"}, Code.CURRENCY_MALFORMED),
        ({"t53": "٧٠٤"}, Code.CURRENCY_MALFORMED),
        ({"t01": "13"}, Code.INITIATION_UNKNOWN),
        ({"t38": ""}, Code.ACCOUNT_MISSING),
        ({"t52": "54１１"}, Code.MCC_MALFORMED),
        ({"t56": "5000"}, Code.TIP_MALFORMED),
        ({"t55": "04"}, Code.TIP_MALFORMED),
        ({"t55": "02"}, Code.TIP_MALFORMED),
        ({"t55": "02", "t57": "5"}, Code.TIP_MALFORMED),
        ({"t55": "01", "t56": "5000"}, Code.TIP_MALFORMED),
        ({"t55": "02", "t56": "5000", "t57": "5"}, Code.TIP_MALFORMED),
        ({"t55": "03", "t57": "0.00"}, Code.TIP_MALFORMED),
        ({"t55": "03", "t57": "100"}, Code.TIP_MALFORMED),
        ({"t55": "03", "t57": "5%"}, Code.TIP_MALFORMED),
        ({"t55": "02", "t56": "-5000"}, Code.AMOUNT_MALFORMED),
        ({"t55": "02", "t56": "0.5"}, Code.AMOUNT_NOT_WHOLE),
        ({"t62": "0899"}, Code.STRUCTURE),
        ({"t62": tlv(("01", "1"), ("01", "2"))}, Code.TAG_REPEATED),
        ({"t64": "00"}, Code.STRUCTURE),
        ({"t27": VIETQR[1].replace("0011001234567", "0099009999999")}, Code.PAYEE_REPEATED),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, str], wrong: Code) -> None:
    decoded = qr.decode(code(**values))
    assert decoded.refused
    assert wrong in decoded.codes


@pytest.mark.parametrize(
    ("values", "wrong", "where"),
    [
        ({"t58": ""}, Code.COUNTRY_MISSING, "58"),
        ({"t58": "vn"}, Code.COUNTRY_MALFORMED, "58"),
        ({"t00": "02"}, Code.VERSION_UNKNOWN, "00"),
        ({"t59": "CHO DONG BA"}, None, ""),
        ({"t59": "Chợ Đông Ba"}, Code.NOT_ASCII, "59"),
        ({"t59": "N" * 26}, Code.VALUE_TOO_LONG, "59"),
        ({"t60": "C" * 16}, Code.VALUE_TOO_LONG, "60"),
        ({"t61": "1" * 11}, Code.VALUE_TOO_LONG, "61"),
        ({"t52": "5411", "t60": "HUE"}, Code.MERCHANT_INCOMPLETE, "59"),
        ({"t52": "5411", "t59": "MAI"}, Code.MERCHANT_INCOMPLETE, "60"),
        ({"t01": "11"}, Code.VIETQR_STATIC_AMOUNT, "54"),
        ({"t62": tlv(("09", "AA"))}, Code.ADDITIONAL_MALFORMED, "62.09"),
        ({"t62": tlv(("09", "X"))}, Code.ADDITIONAL_MALFORMED, "62.09"),
        ({"t62": tlv(("10", "3" * 21))}, Code.VALUE_TOO_LONG, "62.10"),
        ({"t62": tlv(("11", "12"))}, Code.ADDITIONAL_MALFORMED, "62.11"),
        ({"t62": tlv(("12", "x"))}, Code.TAG_RESERVED, "62.12"),
        ({"t62": tlv(("08", "tiền chợ"))}, Code.NOT_ASCII, "62.08"),
        ({"t64": tlv(("00", "VI"))}, Code.LANGUAGE_INCOMPLETE, "64"),
        ({"t64": tlv(("00", "vi"), ("01", "ợ" * 26))}, Code.VALUE_TOO_LONG, "64.01"),
        ({"t64": tlv(("00", "vi"), ("01", "Mai"), ("03", "x"))}, Code.TAG_RESERVED, "64.03"),
        ({"t65": "x"}, Code.TAG_RESERVED, "65"),
        ({"t80": tlv(("01", "x"))}, Code.GUID_MISSING, "80"),
        ({"t27": tlv(("00", "shop"))}, Code.GUID_MALFORMED, "27.00"),
        ({"t64": tlv(("00", "vi"), ("01", "a\u202eb"))}, Code.HIDDEN_TEXT, ""),
        ({"t38": tlv(("00", "A000000727"), ("02", "QRIBFTTA"))}, Code.VIETQR_MALFORMED, "38.01"),
        ({"t38": VIETQR[1].replace("970436", "97043６")}, Code.VIETQR_MALFORMED, "38.01"),
        ({"t38": VIETQR[1].replace("QRIBFTTA", "QRIBFTTX")}, Code.VIETQR_SERVICE, "38.02"),
    ],
)
def test_a_small_breach_is_flagged_where_it_is_and_no_more(
    values: dict[str, str], wrong: Code | None, where: str
) -> None:
    decoded = qr.decode(code(**values))
    assert decoded.issues == ((Issue(wrong, where),) if wrong else ())
    assert not decoded.refused


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", Code.NOT_PAYMENT),
        ("https://vi-du.vn/tra-tien?so-tien=5", Code.NOT_PAYMENT),
        ("\ufeff" + code(), Code.NOT_PAYMENT),
        ("5303704" + code(), Code.NOT_PAYMENT),
        ("0", Code.NOT_PAYMENT),
        ("00", Code.STRUCTURE),
        ("0002", Code.STRUCTURE),
        ("000²01", Code.STRUCTURE),
        ("00٠٢01", Code.STRUCTURE),
        ("0099" + "9" * 98, Code.STRUCTURE),
        (code()[:-8], Code.CRC_MISSING),
        (code()[:-1], Code.STRUCTURE),
        (code()[:-4] + "ZZZZ", Code.CRC_MALFORMED),
        (code()[:-4] + "１２３４", Code.CRC_MALFORMED),
        (code() + "5802VN", Code.TAG_REPEATED),
        (code() + "5902AB", Code.CRC_NOT_LAST),
        (code() + "\n", Code.STRUCTURE),
        (code().replace("120000", "920000"), Code.CRC_MISMATCH),
        (code().replace("0011001234567", "0011001234568"), Code.CRC_MISMATCH),
        (sealed(code()[:-8] + tlv(("54", "1"))), Code.TAG_REPEATED),
        (sealed(code()[:-8] + tlv(VIETQR)), Code.TAG_REPEATED),
        (sealed(code()[:-8] + "5900")[:-4] + "0000", Code.CRC_MISMATCH),
        ("000201" + "\ud800", Code.NOT_TEXT),
        ("000201" * 2_000, Code.TOO_LONG),
        ("00" + "ợ" * (TEXT_CHARS_MAX // 2), Code.TOO_LONG),
        ("0" * 10_000_000, Code.TOO_LONG),
    ],
)
def test_a_text_that_is_no_sound_code_is_refused(text: str, wrong: Code) -> None:
    decoded = qr.decode(text)
    assert decoded.refused
    assert wrong in decoded.codes


def test_two_thousand_nested_tags_are_refused() -> None:
    """Nested by true lengths as far as two digits go, and by lying lengths beyond."""
    lying = sealed("000201" + "2699" * 2_000)
    assert qr.decode(lying).refused
    within = sealed("000201" + "2699" * 700)
    assert len(within) < TEXT_CHARS_MAX
    assert Code.STRUCTURE in qr.decode(within).codes
    true = ""
    while len(true) <= 95:
        true = tlv(("26", true))
    assert Code.GUID_MISSING in qr.decode(sealed(tlv(("00", "01"), ("26", true), ("53", "704"), ("58", "VN")))).codes


def test_nested_consumer_objects_are_refused_beyond_the_depth_of_the_standard() -> None:
    def nest(depth: int) -> str:
        inner = b"\x4f\x01A"
        for _ in range(depth):
            inner = b"\x61\x82" + len(inner).to_bytes(2, "big") + inner
        return base64.b64encode(b"\x85\x05CPV01" + inner).decode()

    assert qr.decode(nest(2)).issues == ()
    assert Code.CONSUMER_MALFORMED in qr.decode(nest(3)).codes
    assert Code.CONSUMER_MALFORMED in qr.decode(nest(500)).codes
    assert Code.TOO_LONG in qr.decode(nest(2_000)).codes


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"\x85\x05CPV01", Code.CONSUMER_MALFORMED),
        (b"\x85\x05CPV02\x61\x03\x4f\x01A", Code.VERSION_UNKNOWN),
        (b"\x85\x05CPV01\x61", Code.CONSUMER_MALFORMED),
        (b"\x85\x05CPV01\x61\x85", Code.CONSUMER_MALFORMED),
        (b"\x85\x05CPV01\x61\x82\x01", Code.CONSUMER_MALFORMED),
        (b"\x85\x05CPV01\x61\x7f", Code.CONSUMER_MALFORMED),
        (b"\x85\x05CPV01\x9f", Code.CONSUMER_MALFORMED),
        (b"\x85\x05CPV01\x9f\x81\x81\x81\x01\x00", Code.CONSUMER_MALFORMED),
    ],
)
def test_a_broken_consumer_code_is_flagged(data: bytes, wrong: Code) -> None:
    assert wrong in qr.decode(base64.b64encode(data).decode()).codes


def test_a_consumer_code_with_strange_base64_is_refused() -> None:
    assert qr.decode("hQVDUFYwMW!").refused
    assert qr.decode("hQVDUFYwM").refused


def test_a_code_of_another_length_than_scanners_must_read_is_flagged() -> None:
    long = sealed(code()[:-8] + tlv(*((str(tag), tlv(("00", "vn.vi-du"), ("01", "x" * 80))) for tag in range(80, 86))))
    assert qr.decode(long).issues == (Issue(Code.LONG),)


def test_a_template_is_known_by_its_guid_and_not_by_its_tag() -> None:
    """Laos writes its own template at NAPAS's tag 38; NAPAS's at another tag is NAPAS's."""
    lao = tlv(("00", "A005266284662577"), ("01", "27710418"))
    read = merchant(qr.decode(code(t38=lao)))
    assert read.vietqr is None
    assert read.accounts == (say.Account("38", lao),)
    assert read.accounts[0].guid == "A005266284662577"
    moved = merchant(qr.decode(code(t38="", t51=VIETQR[1])))
    assert moved.vietqr == say.VietQR("970436", "0011001234567", say.Service.ACCOUNT)
    assert moved.accounts == ()


# -- ours ---------------------------------------------------------------------------------------------------

STALL = say.Point(
    merchant=uuid.UUID("019a0000-0000-7000-8000-000000000001"),
    point=uuid.UUID("019a0000-0000-7000-8000-000000000002"),
    kind=say.Kind.POINT,
    environment=Environment.LIVE,
)
STICKER = MerchantFields(
    initiation=say.Initiation.STATIC,
    point=STALL,
    mcc="5411",
    currency=say.VND,
    country="VN",
    name="ME XUNG SONG HUONG",
    city="HUE",
    local=say.Local("vi", "Mè xửng Sông Hương", "Huế"),
)
INVOICE = replace(
    STICKER,
    initiation=say.Initiation.DYNAMIC,
    point=replace(STALL, kind=say.Kind.INVOICE),
    amount=Dong(85_000),
    additional=say.Additional(bill_number="HD-000017", terminal_label="QUAY 2"),
)


@pytest.mark.parametrize("said", [STICKER, INVOICE], ids=["sticker", "invoice"])
def test_our_own_code_is_read_back_without_issue(said: MerchantFields) -> None:
    text = qr.encode(said)
    decoded = qr.decode(text)
    assert decoded.fields == said
    assert decoded.issues == decoded.notes == ()
    assert text[-4:] == crc(text[:-4].encode())


def test_the_text_of_our_sticker_is_what_it_was_when_the_first_were_printed() -> None:
    """Stickers hang for years: whoever changes this breaks every one of them."""
    template = "0012vn.trangtien0132019a00000000700080000000000000010232019a00000000700080000000000000020301P0401L"
    names = "0002vi0118Mè xửng Sông Hương0203Huế"
    root = f"00020101021126{len(template)}{template}5204541153037045802VN5918ME XUNG SONG HUONG6003HUE64{len(names)}{names}"
    assert qr.encode(STICKER) == sealed(root)


def test_a_demo_code_is_refused_in_a_real_city_and_a_real_one_in_a_demo() -> None:
    """Row 87: a code of another environment."""
    demo = replace(STICKER, point=replace(STALL, environment=Environment.DEMO))
    assert qr.decode(qr.encode(demo)).codes == {Code.OTHER_ENVIRONMENT}
    assert qr.decode(qr.encode(demo)).refused
    assert qr.decode(qr.encode(demo), environment=Environment.DEMO).issues == ()
    assert qr.decode(qr.encode(STICKER), environment=Environment.DEMO).refused


def test_a_vietqr_of_the_demo_s_bank_is_refused_in_a_real_city() -> None:
    demo = MerchantFields(
        initiation=say.Initiation.STATIC,
        vietqr=say.VietQR(say.DEMO_BIN, "0123456789", say.Service.ACCOUNT),
        currency=say.VND,
        country="VN",
    )
    assert qr.decode(qr.encode(demo)).codes == {Code.OTHER_ENVIRONMENT}
    assert qr.decode(qr.encode(demo), environment=Environment.DEMO).issues == ()
    real = [vector["expected_fields"].get("vietqr", {}).get("bin") for vector in MERCHANT_VECTORS]
    assert say.DEMO_BIN not in real


OWN = {"00": "vn.trangtien", "01": STALL.merchant.hex, "02": STALL.point.hex, "03": "P", "04": "L"}


@pytest.mark.parametrize(
    "change",
    [
        {"01": ""},
        {"02": ""},
        {"03": ""},
        {"04": ""},
        {"01": STALL.merchant.hex.replace("a", "A")},
        {"01": STALL.merchant.hex[:-1] + "g"},
        {"02": STALL.point.hex[:-1]},
        {"03": "Q"},
        {"03": "p"},
        {"04": "T"},
        {"04": "", "05": "L"},
    ],
    ids=str,
)
def test_our_own_template_admits_nothing_missing_or_strange(change: dict[str, str]) -> None:
    members = {tag: value for tag, value in (OWN | change).items() if value}
    decoded = qr.decode(code(t01="11", t54="", t38="", t26=tlv(*members.items())))
    assert decoded.refused
    assert Code.OWN_MALFORMED in decoded.codes
    assert merchant(decoded).point is None


def test_our_own_template_is_ours_at_any_tag_and_in_capitals() -> None:
    members = tlv(*(OWN | {"00": "VN.TRANGTIEN"}).items())
    decoded = qr.decode(code(t01="11", t54="", t38="", t45=members))
    assert decoded.issues == ()
    assert merchant(decoded).point == STALL


@pytest.mark.parametrize(
    "said",
    [
        replace(STICKER, initiation=say.Initiation.DYNAMIC),
        replace(STICKER, initiation=None),
        replace(STICKER, amount=Dong(1)),
        replace(STICKER, currency="764"),
        replace(STICKER, country="LA"),
        replace(INVOICE, initiation=say.Initiation.STATIC),
        replace(INVOICE, amount=None),
        replace(INVOICE, additional=None),
        replace(INVOICE, additional=say.Additional(purpose="x")),
    ],
)
def test_our_own_code_that_contradicts_its_kind_is_refused_and_never_written(said: MerchantFields) -> None:
    with pytest.raises(qr.Unwritable) as refused:
        qr.encode(said)
    assert Code.OWN_CONTRADICTS in {issue.code for issue in refused.value.issues}


def test_one_code_names_one_payee_of_ours() -> None:
    other = tlv(*(OWN | {"01": uuid.uuid4().hex}).items())
    decoded = qr.decode(code(t01="11", t54="", t38="", t26=tlv(*OWN.items()), t27=other))
    assert Code.PAYEE_REPEATED in decoded.codes
    assert decoded.refused


# -- written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (replace(INVOICE, amount=Dong(0)), Code.AMOUNT_ZERO),
        (replace(INVOICE, amount=Dong(-5)), Code.AMOUNT_MALFORMED),
        (replace(INVOICE, amount=Dong(10**13)), Code.AMOUNT_MALFORMED),
        (replace(INVOICE, amount=say.ForeignAmount("1.5")), Code.AMOUNT_NOT_WHOLE),
        (replace(STICKER, name="Mè xửng"), Code.NOT_ASCII),
        (replace(STICKER, name="N" * 100), Code.VALUE_TOO_LONG),
        (replace(STICKER, local=say.Local("vi", "\ud800")), Code.NOT_TEXT),
        (replace(STICKER, local=say.Local("vi", "Huế\u202e")), Code.HIDDEN_TEXT),
        (replace(STICKER, tip=say.Tip(say.TipKind.ASK, Dong(5))), Code.TIP_MALFORMED),
        (replace(STICKER, accounts=(say.Account("26", tlv(("00", "vn.vi-du"))),)), Code.TAG_REPEATED),
        (replace(INVOICE, additional=say.Additional(bill_number="7" * 26)), Code.LABEL_LONG),
        (replace(STICKER, vietqr=say.VietQR("97043", "1", say.Service.ACCOUNT)), Code.VIETQR_MALFORMED),
        (replace(STICKER, point=None), Code.ACCOUNT_MISSING),
    ],
)
def test_what_would_not_read_back_clean_is_not_written(said: MerchantFields, wrong: Code) -> None:
    with pytest.raises(qr.Unwritable) as refused:
        qr.encode(said)
    assert wrong in {issue.code for issue in refused.value.issues}


def test_what_would_read_back_as_something_else_is_not_written() -> None:
    for said in (
        replace(STICKER, name=""),
        replace(INVOICE, additional=replace(INVOICE.additional or say.Additional(), more=(("08", "x"),))),
        replace(STICKER, additional=say.Additional()),
    ):
        with pytest.raises(qr.Unwritable):
            qr.encode(said)


# -- properties ---------------------------------------------------------------------------------------------


def ascii_text(chars_max: int, chars_min: int = 1) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=chars_min, max_size=chars_max)


LETTERS = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
DIGITS = st.text(string.digits, min_size=1)
DONG = st.integers(min_value=1, max_value=10**13 - 1).map(Dong)
DECIMALS = st.tuples(st.integers(0, 10**9), st.integers(1, 99)).map(
    lambda pair: say.ForeignAmount(f"{pair[0]}.{pair[1]:02d}")
)
PERCENTS = st.tuples(st.integers(0, 99), st.integers(1, 99)).map(lambda pair: f"{pair[0]}.{pair[1]:02d}")
VIETQRS = st.builds(
    say.VietQR,
    st.integers(0, 999_998).map(lambda number: f"{number:06d}"),
    st.text(string.ascii_letters + string.digits, min_size=1, max_size=19),
    st.sampled_from(say.Service),
)
POINTS = st.builds(
    say.Point,
    merchant=st.uuids(),
    point=st.uuids(),
    kind=st.sampled_from(say.Kind),
    environment=st.sampled_from(Environment),
)
LOCALS = st.builds(
    say.Local,
    st.text(string.ascii_letters, min_size=2, max_size=2),
    st.text(LETTERS, min_size=1, max_size=25),
    st.none() | st.text(LETTERS, min_size=1, max_size=15),
)
FOREIGN_ACCOUNTS = st.lists(
    st.builds(say.Account, st.integers(2, 25).map(lambda tag: f"{tag:02d}"), st.text(LETTERS, min_size=1, max_size=99))
    | st.builds(
        say.Account,
        st.sampled_from(["27", "31", "45", "51"]),
        st.text(LETTERS, min_size=1, max_size=60).map(lambda value: tlv(("00", "vn.vi-du.qr"), ("07", value))),
    ),
    max_size=2,
    unique_by=lambda account: account.tag,
).map(lambda accounts: tuple(sorted(accounts, key=lambda account: account.tag)))


@st.composite
def payment_codes(draw: st.DrawFn) -> MerchantFields:
    """Fields that make a code: ours, NAPAS's or somebody else's, in đồng or not."""
    point = draw(st.none() | POINTS)
    currency = say.VND if point else draw(st.sampled_from([say.VND, "764", "840"]))
    amounts: st.SearchStrategy[say.Amount] = DONG if currency == say.VND else DECIMALS
    vietqr = draw(st.none() | VIETQRS)
    accounts = draw(FOREIGN_ACCOUNTS)
    if not (point or vietqr or accounts):
        vietqr = draw(VIETQRS)
    invoice = point is not None and point.kind is say.Kind.INVOICE
    static = point is not None and not invoice
    label = st.none() | ascii_text(20)
    additional = say.Additional(
        bill_number=draw(ascii_text(25) if invoice else label),
        purpose=draw(label),
        customer_label=draw(st.none() | st.just("***")),
        consumer_data_request=draw(st.sampled_from([None, "A", "ME", "EMA"])),
        tax_id=draw(st.none() | st.just("3300101235")),
        more=draw(st.sampled_from([(), (("50", "x"),)])),
    )
    tips = st.one_of(
        st.none(),
        st.just(say.Tip(say.TipKind.ASK)),
        amounts.map(lambda fee: say.Tip(say.TipKind.FIXED, fee)),
        PERCENTS.map(lambda percent: say.Tip(say.TipKind.PERCENT, percent=percent)),
    )
    return MerchantFields(
        initiation=say.Initiation.STATIC if static else say.Initiation.DYNAMIC,
        point=point,
        vietqr=vietqr,
        accounts=accounts,
        mcc=draw(st.none() | st.text(string.digits, min_size=4, max_size=4)),
        currency=currency,
        amount=None if static else draw(amounts if invoice else st.none() | amounts),
        tip=draw(tips),
        country="VN",
        name=draw(ascii_text(25)),
        city=draw(ascii_text(15)),
        postal_code=draw(st.none() | ascii_text(10)),
        additional=additional if additional != say.Additional() else None,
        local=draw(st.none() | LOCALS),
        other=draw(st.sampled_from([(), (("80", tlv(("00", "vn.vi-du"), ("01", "x"))),)])),
    )


@given(payment_codes())
def test_what_is_written_is_read_back(said: MerchantFields) -> None:
    environment = said.point.environment if said.point else Environment.LIVE
    decoded = qr.decode(qr.encode(said), environment=environment)
    assert decoded.fields == said
    assert {issue.code for issue in decoded.issues} <= {Code.LONG}


@given(st.text() | st.text(string.digits).map(lambda digits: "000201" + digits))
def test_whatever_is_scanned_is_answered_and_never_raises(text: str) -> None:
    decoded = qr.decode(text)
    assert decoded.refused == any(issue.code.level is Level.REFUSAL for issue in decoded.issues)


@given(st.text(st.characters(exclude_categories=())), st.booleans())
def test_whatever_is_sealed_with_a_right_checksum_is_answered(text: str, whole: bool) -> None:
    """A checksum is no signature: whoever forges a code also counts it."""
    data = text.encode(errors="replace").decode()
    value = data[:90]
    qr.decode(
        sealed(tlv(("00", "01"), ("38", value), ("62", value), ("64", value))) if whole else sealed("000201" + data)
    )


@given(st.binary(max_size=300))
def test_whatever_a_consumer_shows_is_answered(data: bytes) -> None:
    decoded = qr.decode(base64.b64encode(b"\x85\x05CPV01" + data).decode())
    assert isinstance(decoded.fields, say.ConsumerFields)


@given(payment_codes(), st.data())
def test_one_character_changed_is_never_accepted(said: MerchantFields, data: st.DataObject) -> None:
    """Row 87: the checksum finds every single change within 16 bits; a wider one it finds but for one in 65,536."""
    text = qr.encode(said)
    at = data.draw(st.integers(0, len(text) - 1))
    old = text[at]
    new = data.draw(st.sampled_from([char for char in string.digits + string.ascii_uppercase if char != old]))
    environment = said.point.environment if said.point else Environment.LIVE
    if old.isascii():  # one byte for one byte
        assert qr.decode(text[:at] + new + text[at + 1 :], environment=environment).issues != ()


# -- index of codes -----------------------------------------------------------------------------------------


def test_every_issue_code_has_a_weight_and_one_sentence() -> None:
    for one in Code:
        assert one.value == one.name.lower()
        assert isinstance(one.level, Level)
        assert one.meaning.endswith(".")
        assert len(one.meaning) > 10
    assert len({one.meaning for one in Code}) == len(Code)
