"""Writing: fields as the text of a merchant-presented code, in ascending order of tags.

Rule    What is written here is only handed out after it was read back: see `encode`.
"""

from market.qr import fields, tlv
from market.qr.fields import Additional, Amount, ForeignAmount, Local, MerchantFields, Point, Tip, VietQR


def write(said: MerchantFields) -> str:
    """Return the text with its checksum, whatever the fields say.

    Raises:
        tlv.TooLong: a value longer than 99 characters.
        UnicodeEncodeError: half a character, which has no UTF-8 bytes.
    """
    text = tlv.write(_pairs(said)) + "6304"
    return text + tlv.crc(text)


def _pairs(said: MerchantFields) -> list[tuple[str, str | None]]:
    accounts = [(account.tag, account.value) for account in said.accounts]
    if said.point:
        accounts.append((fields.OWN_TAG, _point(said.point)))
    if said.vietqr:
        accounts.append((fields.VIETQR_TAG, _vietqr(said.vietqr)))
    return [
        ("00", "01"),
        ("01", said.initiation),
        *sorted(accounts),
        ("52", said.mcc),
        ("53", said.currency),
        ("54", _amount(said.amount)),
        *_tip(said.tip),
        ("58", said.country),
        ("59", said.name),
        ("60", said.city),
        ("61", said.postal_code),
        ("62", _additional(said.additional)),
        ("64", _local(said.local)),
        *said.other,
    ]


def _point(point: Point) -> str:
    ids = [("01", point.merchant.hex), ("02", point.point.hex)]
    return tlv.write([("00", fields.OWN_GUID), *ids, ("03", point.kind), ("04", point.environment)])


def _vietqr(vietqr: VietQR) -> str:
    beneficiary = tlv.write([("00", vietqr.bin), ("01", vietqr.account)])
    return tlv.write([("00", fields.NAPAS_GUID), ("01", beneficiary), ("02", vietqr.service)])


def _amount(amount: Amount | None) -> str | None:
    if amount is None:
        return None
    return amount.text if isinstance(amount, ForeignAmount) else str(amount)


def _tip(tip: Tip | None) -> list[tuple[str, str | None]]:
    return [("55", tip.kind), ("56", _amount(tip.fixed)), ("57", tip.percent)] if tip else []


def _additional(additional: Additional | None) -> str | None:
    if additional is None:
        return None
    named = [(tag, getattr(additional, name)) for tag, name in fields.ADDITIONAL_TAGS.items()]
    return tlv.write([*named, *additional.more])


def _local(local: Local | None) -> str | None:
    return tlv.write([("00", local.language), ("01", local.name), ("02", local.city)]) if local else None
