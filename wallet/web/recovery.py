"""The schema of an operator's recovery order; it comes by a form only."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from wallet import text
from wallet.identity import holders
from wallet.ids import OrderId
from wallet.recovery import REASON_CHARS_MAX, RecoverOrder
from wallet.web.fields import AnswerSchema, IdField, OrderSchema


class RecoverOrderSchema(OrderSchema):
    """Revoke a person's lost devices."""

    kind_name = "holder_recover"

    phone = fields.String(required=True)
    reason = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> RecoverOrder:
        """Make the frozen order."""
        reason = text.plain(own["reason"], chars_max=REASON_CHARS_MAX, param="reason")
        return RecoverOrder(id=id, phone=holders.phone_number(own["phone"]), reason=reason)


class RecoveredSchema(AnswerSchema):
    """What was done."""

    order = IdField()
    holder = IdField()
    keys = fields.List(fields.String())
