"""/v1/bills and /v1/bill-payments."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Blueprint, Response
from marshmallow import fields, validate

from wallet import text
from wallet.bills import find, issue, pay, refusals
from wallet.bills.find import LookupOrder
from wallet.bills.issue import BillOrder, CancelOrder, LineOrder
from wallet.bills.pay import BillPaymentOrder, BillSeen
from wallet.identity import holders
from wallet.identity.roles import Role
from wallet.ids import BillId, HolderId, OrderId
from wallet.web.accounts import cursor, page_size, spell_cursor
from wallet.web.act import act, answer
from wallet.web.fields import (
    AnswerSchema,
    CountField,
    DayField,
    DongField,
    IdField,
    InstantField,
    Invalid,
    OrderSchema,
    Strict,
    uuid_or_none,
)
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.problems import Unparseable
from wallet.web.state import now, state

door = Blueprint("bills", __name__)

ROWS_DEFAULT = 50


class DebtorSchema(Strict):
    """Whom a bill is for."""

    name = fields.String(required=True)
    phone = fields.String(required=True)


class BillLineSchema(Strict):
    """A line. Empty chương and tiểu mục take what the agency and the item are mapped to."""

    item = fields.String(required=True, validate=validate.Length(1, 40))
    amount = DongField(required=True, zero=True)
    chuong = fields.String(load_default="")
    tieu_muc = fields.String(load_default="")
    dia_ban = fields.String(required=True)


class BillOrderSchema(OrderSchema):
    """Issue a bill; `supersedes` replaces another by it."""

    kind_name = "bill_issue"

    debtor = fields.Nested(DebtorSchema, required=True)
    dossier = fields.String(required=True)
    procedure = fields.String(required=True)
    lines = fields.List(fields.Nested(BillLineSchema), required=True, validate=validate.Length(1, issue.LINES_MAX))
    due = DayField(required=True)
    expires_on = DayField(load_default="", metadata={"description": "Last day it can be paid; empty: always."})
    supersedes = fields.String(load_default="")

    def make(self, id: OrderId, own: Mapping[str, Any]) -> BillOrder:
        """Make the frozen order."""
        supersedes = uuid_or_none(own["supersedes"])
        if own["supersedes"] and supersedes is None:
            raise Invalid(param="supersedes", errors="supersedes: not a UUID in lower case")
        return BillOrder(
            id=id,
            debtor_name=text.plain(own["debtor"]["name"], chars_max=text.NAME_CHARS_MAX, param="debtor"),
            debtor_phone=holders.phone_number(own["debtor"]["phone"]),
            dossier=text.plain(own["dossier"], chars_max=issue.DOSSIER_CHARS_MAX, param="dossier"),
            procedure=own["procedure"],
            due=own["due"],
            expires=own["expires_on"] or None,
            supersedes=BillId(supersedes) if supersedes else None,
            lines=tuple(LineOrder(**line) for line in own["lines"]),
        )


class IssuedSchema(AnswerSchema):
    """A bill that was issued."""

    order = IdField()
    bill = IdField()
    code = fields.String(metadata={"description": "What a person types to find the bill."})
    state = fields.String(metadata={"description": "issued, or waived when its total is zero"})
    version = CountField()
    total = DongField()
    due = DayField()


class CancelOrderSchema(OrderSchema):
    """Cancel a bill that nobody has paid."""

    kind_name = "bill_cancel"

    bill = IdField(required=True)
    reason = fields.String(required=True)

    def make(self, id: OrderId, own: Mapping[str, Any]) -> CancelOrder:
        """Make the frozen order."""
        reason = text.plain(own["reason"], chars_max=issue.REASON_CHARS_MAX, param="reason")
        return CancelOrder(id=id, bill=own["bill"], reason=reason)


class CancelledSchema(AnswerSchema):
    """A bill that was cancelled."""

    order = IdField()
    bill = IdField()
    state = fields.String()


class BillSeenSchema(Strict):
    """A bill as the payer saw it."""

    bill = IdField(required=True)
    version = CountField(required=True)
    amount = DongField(required=True)


class BillPaymentOrderSchema(OrderSchema):
    """Pay bills of one or several agencies, all or nothing."""

    kind_name = "bill_payment"

    payer = IdField(required=True, metadata={"description": "The signer's wallet account."})
    bills = fields.List(fields.Nested(BillSeenSchema), required=True, validate=validate.Length(1, pay.BILLS_MAX))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> BillPaymentOrder:
        """Make the frozen order."""
        bills = tuple(BillSeen(**seen) for seen in own["bills"])
        if len({seen.bill for seen in bills}) < len(bills):
            raise Invalid(param="bills", errors="bills: one of them stands there twice")
        return BillPaymentOrder(id=id, payer=own["payer"], bills=bills)


class BillPaidSchema(AnswerSchema):
    """One bill of a payment."""

    bill = IdField()
    code = fields.String()
    entry = IdField()
    amount = DongField()


class BillPaymentSchema(AnswerSchema):
    """A payment that was done: one entry per bill."""

    order = IdField()
    payer = IdField()
    total = DongField()
    effective_at = InstantField()
    bills = fields.List(fields.Nested(BillPaidSchema))


class LineSchema(AnswerSchema):
    """A line of a bill."""

    name = fields.String()
    amount = DongField()
    chuong = fields.String()
    tieu_muc = fields.String()
    dia_ban = fields.String()


class BillSchema(AnswerSchema):
    """A bill as it is today."""

    id = IdField()
    code = fields.String()
    agency = IdField()
    debtor = IdField(allow_none=True, metadata={"description": "Null to a stranger who may pay."})
    debtor_name = fields.String()
    dossier = fields.String()
    procedure = fields.String()
    total = DongField()
    version = CountField()
    status = fields.String()
    due = DayField()
    expires = DayField(allow_none=True)
    issued_at = InstantField()
    supersedes = IdField(allow_none=True)
    superseded_by = IdField(allow_none=True)
    paid_at = InstantField(allow_none=True)
    lines = fields.List(fields.Nested(LineSchema))


class BillsSchema(AnswerSchema):
    """A page of bills in the order of issue."""

    rows = fields.List(fields.Nested(BillSchema))
    next = fields.String(metadata={"description": "Give it as `cursor` for the next page; empty on the last."})


class LookupOrderSchema(OrderSchema):
    """Name another's bill by its code and the last four digits of the debtor's phone, to be let in to pay it."""

    kind_name = "bill_lookup"

    code = fields.String(required=True, validate=validate.Length(1, 40))
    detail = fields.String(required=True, validate=validate.Length(1, 10))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> LookupOrder:
        """Make the frozen order."""
        return LookupOrder(id=id, code=own["code"], detail=own["detail"])


class LookupSchema(AnswerSchema):
    """The bill that was found; `GET /v1/bills/{id}` shows it now."""

    order = IdField()
    bill = IdField()


@door.post("/v1/bill-lookups")
@admits(Role.CITIZEN)
@described(asks=LookupOrderSchema, answers=LookupSchema, status=201)
def look_up() -> Response:
    """Be let in to another's bill by its code and a detail of its debtor. Guesses are counted and limited."""

    def count(order: LookupOrder, signer: HolderId) -> None:
        find.count_lookup(state().app, signer, order.code, now=now())

    return act(LookupOrderSchema, find.let_in, LookupSchema, check=count)


@door.get("/v1/bills/<bill>")
@admits(Role.CITIZEN, Role.OFFICER, Role.AGENCY)
@described(answers=BillSchema)
def read_bill(bill: str) -> Response:
    """Read a bill that the caller may see. Another's debtor is shown masked."""
    who = caller()
    key = uuid_or_none(bill)
    with state().app.connect() as connection:
        if key is None:
            found = []
        elif who.agency is not None:
            found = [one for one in find.by_ids(connection, [key], now=now()) if one.agency == who.agency]
        else:
            found = find.visible(connection, [key], who.holder, now=now())
    if not found:
        raise refusals.NotFound(param="bill")
    (one,) = found
    if who.agency is None and one.debtor != who.holder:
        one = replace(one, debtor=None, debtor_name=text.mask(one.debtor_name))
    return answer(BillSchema, one)


@door.post("/v1/bills")
@admits(Role.OFFICER, Role.AGENCY)
@described(asks=BillOrderSchema, answers=IssuedSchema, status=201)
def issue_bill() -> Response:
    """Issue a bill of the caller's agency, or replace one."""
    return act(BillOrderSchema, partial(issue.issue, city=state().city), IssuedSchema)


@door.get("/v1/bills")
@admits(Role.CITIZEN, Role.OFFICER, Role.AGENCY)
@described(answers=BillsSchema, query={"rows": "1 to 100, default 50.", "cursor": "`next` of the page before."})
def list_bills() -> Response:
    """List bills: a citizen's own, or the caller's agency's. A view for people; a bill that was being issued while you
    paged may lie on a page you have passed, so whoever must miss nothing reads the events.
    """
    who = caller()
    rows_max, after = page_size(ROWS_DEFAULT, find.PAGE_ROWS_MAX), cursor("bills")
    key = uuid_or_none(after) if after else None
    if after and key is None:
        raise Unparseable(param="cursor")
    with state().app.connect() as connection:
        if who.agency is not None:
            rows = find.of_agency(connection, who.agency, now=now(), after=key, rows_max=rows_max + 1)
        else:
            rows = find.of_debtor(connection, who.holder, now=now(), after=key, rows_max=rows_max + 1)
    more = len(rows) > rows_max
    rows = rows[:rows_max]
    return answer(BillsSchema, {"rows": rows, "next": spell_cursor("bills", str(rows[-1].id)) if more else ""})


@door.post("/v1/bills/<bill>/cancel")
@admits(Role.OFFICER, Role.AGENCY)
@described(asks=CancelOrderSchema, answers=CancelledSchema, status=201)
def cancel_bill(bill: str) -> Response:
    """Cancel a bill of the caller's agency that nobody has paid."""

    def same(order: CancelOrder, _: HolderId) -> None:
        if str(order.bill) != bill:
            raise Invalid(param="bill", errors="bill: not the one in the path")

    return act(CancelOrderSchema, partial(issue.cancel, city=state().city), CancelledSchema, check=same)


@door.post("/v1/bill-payments")
@admits(Role.CITIZEN)
@described(asks=BillPaymentOrderSchema, answers=BillPaymentSchema, status=201)
def pay_bills() -> Response:
    """Pay bills under one signature: one entry per bill, all or nothing."""
    verb = partial(pay.pay, limits=state().limits, uses=state().city.uses)
    return act(BillPaymentOrderSchema, verb, BillPaymentSchema, at_once=True)
