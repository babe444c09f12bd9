"""Codes: what the registry knows of a point or an invoice, as the text of a QR code that any wallet can read.

Rule    Ours looks the payee up by the ids in our own template. Name, city and category are for other apps to show.
        A demo's code carries a VietQR of a bank that does not exist, so that no real money can follow it.
Source  docs/decisions/0022.
"""

import re
from typing import Final
from uuid import UUID

from market import qr
from market.qr import fields, templates
from market.qr.fields import Additional, Environment, Initiation, Kind, Local, MerchantFields, Service, VietQR
from market.registry import Point
from wallet import text
from wallet.money import Dong

COUNTRY: Final = "VN"
_PLAIN: Final = re.compile(r"[^A-Z0-9 .&'-]+")


def of_point(point: Point, *, city: str, demo: bool) -> str:
    """Return the text of a point's sticker: any amount, many times."""
    return qr.encode(_fields(point, Kind.POINT, Initiation.STATIC, city=city, demo=demo))


def of_invoice(point: Point, *, number: str, amount: Dong, city: str, demo: bool) -> str:
    """Return the text of an invoice's code: this amount, once."""
    return qr.encode(
        _fields(point, Kind.INVOICE, Initiation.DYNAMIC, city=city, demo=demo, number=number, amount=amount)
    )


def environment(*, demo: bool) -> Environment:
    """Return which city's codes are to be read and written."""
    return Environment.DEMO if demo else Environment.LIVE


def plain(said: str, chars_max: int) -> str:
    """Return a text in capitals without accents, as codes carry names: "Mè xửng Thiên Hương" → "ME XUNG THIEN HUONG"."""
    return " ".join(_PLAIN.sub(" ", text.fold(said).upper()).split())[:chars_max].strip() or "HUE"


def _fields(
    point: Point,
    kind: Kind,
    initiation: Initiation,
    *,
    city: str,
    demo: bool,
    number: str | None = None,
    amount: Dong | None = None,
) -> MerchantFields:
    name = " ".join(point.merchant_name.split())[: templates.NAME_CHARS_MAX].strip()
    return MerchantFields(
        initiation=initiation,
        point=fields.Point(
            merchant=UUID(str(point.merchant)), point=point.id, kind=kind, environment=environment(demo=demo)
        ),
        vietqr=VietQR(fields.DEMO_BIN, point.serial, Service.ACCOUNT) if demo else None,
        mcc=point.category,
        currency=fields.VND,
        amount=amount,
        country=COUNTRY,
        name=plain(point.merchant_name, templates.NAME_CHARS_MAX),
        city=plain(city, templates.CITY_CHARS_MAX),
        additional=Additional(bill_number=number, terminal_label=point.serial),
        local=Local("vi", name),
    )
