"""What a merchant's people and the officers order on pages: the schemas of those orders and of what is answered."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from marshmallow import fields, validate

from market import hours, merchants, points, refunds
from market.merchants import ApplyOrder, JudgeOrder, StaffOrder
from market.points import LocationOrder, PointMoveOrder, PointOrder
from market.refunds import RequestOrder, WithdrawOrder
from market.registry import StaffRole
from wallet import text
from wallet.ids import EntryId, HolderId, OrderId
from wallet.web.fields import AnswerSchema, DongField, IdField, InstantField, OrderSchema, day, uuid_or_none


class ApplySchema(OrderSchema):
    """Ask to sell, or mend an application that was returned."""

    kind_name = "merchant_apply"

    name = fields.String(required=True)
    category = fields.String(required=True)
    tax_id = fields.String(load_default="")
    merchant = fields.String(load_default="")

    def make(self, id: OrderId, own: Mapping[str, Any]) -> ApplyOrder:
        """Make the frozen order."""
        merchant = uuid_or_none(own["merchant"])
        return ApplyOrder(
            id=id,
            name=text.plain(own["name"], chars_max=merchants.NAME_CHARS_MAX, param="name"),
            category=own["category"],
            tax_id=own["tax_id"].strip(),
            merchant=HolderId(merchant) if merchant else None,
        )


class JudgeSchema(OrderSchema):
    """Move an application, or a merchant."""

    kind_name = "merchant_judge"

    merchant = IdField(required=True)
    to = fields.String(
        required=True, validate=validate.OneOf(("reviewed", "returned", "approved", "refused", "suspended"))
    )
    reason = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> JudgeOrder:
        """Make the frozen order; only a step forward needs no reason."""
        optional = own["to"] in ("reviewed", "approved")
        reason = text.plain(own["reason"], chars_max=merchants.REASON_CHARS_MAX, param="reason", empty=optional)
        return JudgeOrder(id=id, merchant=own["merchant"], to=own["to"], reason=reason)


class MovedMerchantSchema(AnswerSchema):
    """Where a merchant stands."""

    order = IdField()
    merchant = IdField()
    code = fields.String()
    state = fields.String()


class StaffSchema(OrderSchema):
    """Say who works for a merchant, as what; without a role, who no longer does."""

    kind_name = "merchant_staff"

    merchant = IdField(required=True)
    phone = fields.String(required=True)
    role = fields.String(load_default="", validate=validate.OneOf(("", *StaffRole)))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> StaffOrder:
        """Make the frozen order."""
        role = StaffRole(own["role"]) if own["role"] else None
        return StaffOrder(id=id, merchant=own["merchant"], phone=own["phone"], role=role)


class StaffChangedSchema(AnswerSchema):
    """Who works for a merchant now, as what."""

    order = IdField()
    merchant = IdField()
    holder = IdField()
    role = fields.String()


class LocationSchema(OrderSchema):
    """Describe a place. Hours: by day of the week from "1", a list of [from, to]."""

    kind_name = "location"

    merchant = IdField(required=True)
    location = fields.String(load_default="")
    name = fields.String(required=True)
    address = fields.String(required=True)
    area = fields.String(required=True)
    hours = fields.Dict(
        keys=fields.String(), values=fields.List(fields.List(fields.String())), required=True, allow_none=False
    )
    closed_days = fields.List(fields.String(), load_default=list, validate=validate.Length(max=60))
    lat = fields.String(load_default="")
    lon = fields.String(load_default="")

    def make(self, id: OrderId, own: Mapping[str, Any]) -> LocationOrder:
        """Make the frozen order.

        Raises:
            hours.HoursWrong: a day that is none. text.BadText: half a position.
        """
        lat, lon = _micro(own["lat"], 90), _micro(own["lon"], 180)
        if (lat is None) != (lon is None):
            raise text.BadText(param="lat")
        return LocationOrder(
            id=id,
            merchant=own["merchant"],
            location=uuid_or_none(own["location"]),
            name=text.plain(own["name"], chars_max=points.NAME_CHARS_MAX, param="name"),
            address=text.plain(own["address"], chars_max=points.ADDRESS_CHARS_MAX, param="address"),
            area=own["area"],
            hours=own["hours"],
            closed_days=tuple(_day(said) for said in own["closed_days"]),
            lat=lat,
            lon=lon,
        )


def _day(said: str) -> date:
    try:
        return day(said)
    except ValueError:
        raise hours.HoursWrong(param="closed_days") from None


def _micro(said: str, most: int) -> int | None:
    """Read degrees such as "16.4674" as millionths; empty is none."""
    if not said.strip():
        return None
    try:
        value = round(float(said) * 1_000_000)
    except (ValueError, OverflowError):
        raise text.BadText(param="lat") from None
    if not -most * 1_000_000 <= value <= most * 1_000_000:
        raise text.BadText(param="lat")
    return value


class LocationKeptSchema(AnswerSchema):
    """A place as it was kept."""

    order = IdField()
    location = IdField()


class PointSchema(OrderSchema):
    """Set up a point at a place."""

    kind_name = "point"

    location = IdField(required=True)
    name = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> PointOrder:
        """Make the frozen order."""
        name = text.plain(own["name"], chars_max=points.NAME_CHARS_MAX, param="name")
        return PointOrder(id=id, location=own["location"], name=name)


class _PointMoveSchema(OrderSchema):
    point = IdField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> PointMoveOrder:
        """Make the frozen order."""
        return PointMoveOrder(id=id, point=own["point"])


class PointRevokeSchema(_PointMoveSchema):
    """Revoke a point for good."""

    kind_name = "point_revoke"


class PointReplaceSchema(_PointMoveSchema):
    """Put another point in the place of one."""

    kind_name = "point_replace"


class PointReprintSchema(_PointMoveSchema):
    """Make a point's older stickers stale."""

    kind_name = "point_reprint"


class PointIssuedSchema(AnswerSchema):
    """A point as it stands."""

    order = IdField()
    point = IdField()
    serial = fields.String()
    sticker_version = fields.Integer(as_string=True)


class RefundRequestSchema(OrderSchema):
    """Prepare a refund. Whether a PIN was given is the door's to know: the PIN itself is part of no order."""

    kind_name = "refund_request"

    entry = IdField(required=True)
    amount = DongField(required=True)
    reason = fields.String(required=True)
    pin = fields.String(required=True, validate=validate.OneOf(("given", "none")))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> RequestOrder:
        """Make the frozen order."""
        return RequestOrder(
            id=id,
            entry=EntryId(own["entry"]),
            amount=own["amount"],
            reason=text.plain(own["reason"], chars_max=refunds.REASON_CHARS_MAX, param="reason"),
            pin=own["pin"] == "given",
        )


class RequestedSchema(AnswerSchema):
    """A refund that was prepared."""

    order = IdField()
    request = IdField()
    entry = IdField()
    amount = DongField()
    expires_at = InstantField()


class RefundWithdrawSchema(OrderSchema):
    """Withdraw a prepared refund."""

    kind_name = "refund_withdraw"

    request = IdField(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> WithdrawOrder:
        """Make the frozen order."""
        return WithdrawOrder(id=id, request=own["request"])


class WithdrawnSchema(AnswerSchema):
    """A prepared refund that will not be."""

    order = IdField()
    request = IdField()


def read_hours(given: Mapping[str, str]) -> dict[str, list[list[str]]]:
    """Read opening hours as a form gives them: "6:00-11:30, 13:00-18:00" for each day; an empty day is closed.

    Raises:
        hours.HoursWrong: at the day's field.
    """
    typed = {day: hours.read_day(given.get(f"hours_{day}", "")[:100], param=f"hours_{day}") for day in hours.DAYS}
    return {day: [[hours.spell(begins), hours.spell(ends)] for begins, ends in spans] for day, spans in typed.items()}


def spell_hours(week: Mapping[str, list[list[str]]]) -> dict[str, str]:
    """Spell opening hours as a form shows them, by the name of the field."""
    found = hours.Hours.of(week)
    spans = found.week if found else ((),) * len(hours.DAYS)
    return {f"hours_{day}": hours.spell_day(each) for day, each in zip(hours.DAYS, spans, strict=True)}
