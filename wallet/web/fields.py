"""Fields and the schema of every order: strict, and refusing what it does not know."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from wallet import ids, money
from wallet.ids import HolderId, OrderId
from wallet.refusal import Refusal

ORDER_LIFE_MAX: Final = timedelta(days=1)
"""How long an order may wait to be executed: a phone that was without a network for a day."""

ORDER_SKEW: Final = timedelta(seconds=60)

EPOCH_MAX: Final = 253_402_300_799
"""The last second of the year 9999."""


class Invalid(Refusal):
    """A field is unknown, missing or not of its form; `errors` names each."""

    code = "order_invalid"
    status = 422
    stored = False


class WrongAudience(Refusal):
    """The order was signed for another service: a test order never moves real money."""

    code = "order_audience"
    status = 422
    stored = False


class WrongWindow(Refusal):
    """The order's own window is empty, too long, or begins in the future."""

    code = "order_window"
    status = 422
    stored = False


class SpelledField(fields.String):
    """A string that says something: subclasses read it."""

    def read(self, text: str) -> Any:
        """Read the text, or raise ValidationError."""
        return text

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        """Read a value. A string goes straight to `read` where nothing else was asked of the field: marshmallow's own way
        there, through its hooks and validators, is a fifth of what it costs to load an order.
        """
        if type(value) is str and not (self.validators or self.pre_load or self.post_load):
            return self.read(value)
        return super().deserialize(value, attr, data, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        return self.read(super()._deserialize(value, attr, data, **kwargs))


class DongField(SpelledField):
    """An amount: a decimal string of whole đồng, "0" only where zero is meant."""

    def __init__(self, *, zero: bool = False, **kwargs: Any) -> None:
        kwargs["metadata"] = {
            "description": "Whole đồng as a decimal string.",
            "pattern": "^(0|[1-9][0-9]{0,15})$" if zero else "^[1-9][0-9]{0,15}$",
            "example": "85000",
        } | kwargs.pop("metadata", {})
        super().__init__(**kwargs)
        self.zero = zero

    def read(self, text: str) -> Any:
        """Read an amount."""
        try:
            amount = money.parse(text)
        except ValueError as fault:
            raise ValidationError("not an amount: a decimal string of whole đồng, up to 10^15") from fault
        if amount == 0 and not self.zero:
            raise ValidationError("not an amount: at least one đồng")
        return amount

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else str(value)


class SignedDongField(fields.String):
    """An amount in an answer that may be negative: whole đồng on the account's normal side."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["metadata"] = {
            "description": "Signed whole đồng as a decimal string.",
            "pattern": "^(0|-?[1-9][0-9]{0,18})$",
            "example": "-85000",
        } | kwargs.pop("metadata", {})
        super().__init__(**kwargs)

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else str(value)


class IdField(SpelledField):
    """A UUID in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["metadata"] = {"format": "uuid"} | kwargs.pop("metadata", {})
        super().__init__(**kwargs)

    def read(self, text: str) -> Any:
        """Read a UUID."""
        try:
            return ids.parse(text)
        except ValueError as fault:
            raise ValidationError("not a UUID in lower case") from fault

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else str(value)


class EpochField(SpelledField):
    """An instant: whole seconds since 1970 as a decimal string."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["metadata"] = {"description": "Seconds since 1970 as a decimal string.", "example": "1795258800"}
        super().__init__(**kwargs)

    def read(self, text: str) -> Any:
        """Read an instant."""
        try:
            seconds = int(money.parse(text))
        except ValueError as fault:
            raise ValidationError("not whole seconds since 1970") from fault
        if seconds > EPOCH_MAX:
            raise ValidationError("not whole seconds since 1970")
        return datetime.fromtimestamp(seconds, UTC)


class InstantField(fields.String):
    """An instant in an answer: RFC 3339 in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["metadata"] = {"format": "date-time"}
        super().__init__(**kwargs)

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def day(text: str) -> date:
    """Read a day in its one spelling, 2026-11-21, of the years that a city has to do with.

    Raises:
        ValueError: another spelling of ISO 8601, or a year before 2000 or after 2100.
    """
    read = date.fromisoformat(text)
    if read.isoformat() != text or not 2000 <= read.year <= 2100:
        raise ValueError("not a day: yyyy-mm-dd")
    return read


class DayField(SpelledField):
    """A calendar day of the city: 2026-11-21. Empty reads as none where it may be left out."""

    def __init__(self, **kwargs: Any) -> None:
        form = {"pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"} if "load_default" in kwargs else {"format": "date"}
        kwargs["metadata"] = form | kwargs.pop("metadata", {})
        super().__init__(**kwargs)

    def read(self, text: str) -> Any:
        """Read a day."""
        if text == "" and not self.required:
            return None
        try:
            return day(text)
        except ValueError as fault:
            raise ValidationError("not a day: yyyy-mm-dd") from fault

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return value.isoformat() if value else value


class CountField(SpelledField):
    """A small whole number as a decimal string."""

    def read(self, text: str) -> Any:
        """Read a number."""
        try:
            number = int(money.parse(text))
        except ValueError as fault:
            raise ValidationError("not a whole number") from fault
        if not 1 <= number <= 1_000_000:
            raise ValidationError("not a whole number from 1")
        return number

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else str(value)


class Strict(Schema):
    """A schema that refuses what it does not know."""

    class Meta:
        unknown = RAISE


class AnswerSchema(Schema):
    """A schema of what we answer."""

    class Meta:
        unknown = EXCLUDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What every order says beside its own matter."""

    id: OrderId
    signer: HolderId
    created: datetime
    expires: datetime


class OrderSchema(Strict):
    """The members that every order has. Subclasses add their own and say how to make the order of them."""

    kind_name: ClassVar[str]

    v = fields.String(required=True, validate=validate.Equal("1"), metadata={"description": "Version of the form."})
    aud = SpelledField(required=True, metadata={"description": "The service's public origin."})
    created = EpochField(required=True)
    expires = EpochField(required=True)
    id = IdField(required=True, metadata={"description": "Made and kept by the client before it sends."})
    kind = SpelledField(required=True, metadata={"description": "What kind of order this is."})
    signer = IdField(required=True, metadata={"description": "The holder whose key signs."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> Any:
        """Make the frozen order of its own members."""
        raise AssertionError(f"{type(self).__name__} makes no order of {id} {own}")


def read(schema: OrderSchema, document: Mapping[str, Any], *, audience: str, now: datetime) -> tuple[Header, Any]:
    """Read an order: its header, held against this service and the clock, and the frozen order.

    Raises:
        Invalid, WrongAudience, WrongWindow, and refusals of the order's own text fields.
    """
    try:
        loaded = schema.load(document)
    except ValidationError as fault:
        raise invalid(fault) from None
    header = Header(
        id=OrderId(loaded.pop("id")),
        signer=HolderId(loaded.pop("signer")),
        created=loaded.pop("created"),
        expires=loaded.pop("expires"),
    )
    if loaded.pop("aud") != audience:
        raise WrongAudience(param="aud")
    if loaded.pop("kind") != schema.kind_name:
        raise Invalid(param="kind", errors=f"kind: must be {schema.kind_name}")
    loaded.pop("v")
    life = header.expires - header.created
    if not timedelta(0) < life <= ORDER_LIFE_MAX or header.created > now + ORDER_SKEW:
        raise WrongWindow(param="expires")
    return header, schema.make(header.id, loaded)


def invalid(fault: ValidationError) -> Invalid:
    """Turn marshmallow's tree of messages into one refusal that names the first field and tells of all."""
    told = list(_flat(fault.messages))
    return Invalid(param=told[0][0] or None, errors="; ".join(f"{path}: {text}" for path, text in told[:20]))


def _flat(messages: Any, path: str = "") -> Any:
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            if name == "_schema":
                yield from _flat(inner, path)
            else:
                yield from _flat(inner, f"{path}.{name}"[:200] if path else str(name)[:200])
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flat(inner, path)
    else:
        yield path, str(messages)


def uuid_or_none(text: str) -> UUID | None:
    """Read a UUID from a page's form or address, or None."""
    try:
        return ids.parse(text)
    except ValueError:
        return None
