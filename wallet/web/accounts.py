"""GET /v1/accounts/{id} and its statement."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final, Literal

from flask import Blueprint, Response, request
from marshmallow import fields

from wallet import accounts
from wallet.accounts import MoveOrder
from wallet.identity.roles import Role
from wallet.ids import AccountId, HolderId, OrderId
from wallet.refusal import Refusal
from wallet.web.act import act, answer
from wallet.web.fields import (
    AnswerSchema,
    DongField,
    IdField,
    InstantField,
    OrderSchema,
    SignedDongField,
    uuid_or_none,
)
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.problems import Unparseable
from wallet.web.state import now, state

door = Blueprint("accounts", __name__)

_ROWS: Final = re.compile(r"[1-9][0-9]{0,3}")
_CURSOR: Final = re.compile(r"[1-9][0-9]{0,18}")
ROWS_DEFAULT: Final = 50
_ORDERS: Final = {"newest": "before", "oldest": "after"}
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z", re.ASCII)


EPOCH_YEAR: Final = 2000


class InstantWrong(Refusal):
    """Not an instant of the past in RFC 3339, in UTC."""

    code = "instant_wrong"
    status = 400
    stored = False


class AccountSchema(AnswerSchema):
    """An account and its exact balance. available = posted − held."""

    id = IdField()
    holder = IdField()
    code = fields.String()
    chuong = fields.String(allow_none=True, metadata={"description": "Of an agency's budget line; null otherwise."})
    tieu_muc = fields.String(allow_none=True)
    dia_ban = fields.String(allow_none=True)
    status = fields.String()
    posted = DongField()
    held = DongField()
    available = DongField()


class AsOfSchema(AnswerSchema):
    """What an account had posted as of an instant."""

    account = IdField()
    by = fields.String(metadata={"description": "effective or posted"})
    at = InstantField()
    posted = SignedDongField()


class LimitSchema(AnswerSchema):
    """A limit and what is used of it in its present period, holds included."""

    code = fields.String()
    title = fields.String()
    title_en = fields.String()
    window = fields.String(metadata={"description": "order, day or month, in the city's calendar"})
    effect = fields.String(metadata={"description": "refuse, or step_up: a stronger proof is asked for"})
    cap = DongField()
    used = DongField(zero=True)
    remaining = DongField(zero=True)
    renews_at = InstantField(allow_none=True)
    source = fields.String(metadata={"description": "The rule's citation."})
    confidence = fields.String()


class LimitsSchema(AnswerSchema):
    """The limits that stand on a wallet."""

    account = IdField()
    rows = fields.List(fields.Nested(LimitSchema))


class MoveSchema(OrderSchema):
    """Change the state of the signer's wallet."""

    status: ClassVar[Literal["open", "frozen", "closed"]]

    account = IdField(required=True, metadata={"description": "The signer's wallet account."})

    def make(self, id: OrderId, own: Mapping[str, Any]) -> MoveOrder:
        """Make the frozen order."""
        return MoveOrder(id=id, account=own["account"], status=self.status)


class FreezeSchema(MoveSchema):
    """Freeze the signer's wallet."""

    kind_name = "account_freeze"
    status = "frozen"


class ThawSchema(MoveSchema):
    """Thaw the signer's wallet."""

    kind_name = "account_thaw"
    status = "open"


class CloseSchema(MoveSchema):
    """Close the signer's wallet, which is empty, for good."""

    kind_name = "account_close"
    status = "closed"


class MovedSchema(AnswerSchema):
    """An account in its new state."""

    order = IdField()
    account = IdField()
    status = fields.String()


class AccountsSchema(AnswerSchema):
    """The caller's accounts."""

    rows = fields.List(fields.Nested(AccountSchema))


class StatementRowSchema(AnswerSchema):
    """One posting, seen from this account: a positive amount came in."""

    entry = IdField()
    order = IdField()
    kind = fields.String()
    settles = IdField(allow_none=True, metadata={"description": "The bill that the entry settles."})
    counterparty = IdField()
    amount = SignedDongField()
    posted = SignedDongField(metadata={"description": "The running balance, in the order of posting."})
    effective_at = InstantField()
    posted_at = InstantField()


class StatementSchema(AnswerSchema):
    """A page of a statement, in the order that was asked for."""

    rows = fields.List(fields.Nested(StatementRowSchema))
    next = fields.String(metadata={"description": "Give it as `cursor` for the next page; empty on the last."})


@door.get("/v1/accounts")
@admits(Role.CITIZEN, Role.AGENCY)
@described(answers=AccountsSchema)
def list_accounts() -> Response:
    """List the caller's accounts: a citizen's wallet, an agency's budget lines."""
    who = caller()
    with state().app.connect() as connection:
        found = accounts.of(connection, who.agency or who.holder)
    return answer(AccountsSchema, {"rows": found})


@door.get("/v1/accounts/<account>")
@admits(Role.CITIZEN, Role.AGENCY)
@described(answers=AccountSchema)
def read(account: str) -> Response:
    """Read one of the caller's accounts: posted, held, available."""
    who = caller()
    with state().app.connect() as connection:
        found = accounts.read(connection, _account(account), holder=who.agency or who.holder)
    return answer(AccountSchema, found)


@door.get("/v1/accounts/<account>/statement")
@admits(Role.CITIZEN, Role.AGENCY)
@described(
    answers=StatementSchema,
    query={
        "rows": "1 to 100, default 50.",
        "order": "`newest` (default) or `oldest` first.",
        "cursor": "`next` of the page before, in the same order.",
    },
)
def statement(account: str) -> Response:
    """Read an account's postings with the running balance, newest or oldest first, paged by key."""
    who = caller()
    order = request.args.get("order", "newest")
    if order not in _ORDERS:
        raise Unparseable(param="order")
    rows_max, key = page_size(ROWS_DEFAULT, accounts.PAGE_ROWS_MAX), cursor("statement")
    beyond = {_ORDERS[order]: int(key) if key else 0 if order == "oldest" else None}
    with state().app.connect() as connection:
        found = accounts.read(connection, _account(account), holder=who.agency or who.holder)
        rows = accounts.statement(connection, found.id, rows_max=rows_max + 1, **beyond)
    more = len(rows) > rows_max
    rows = rows[:rows_max]
    page = {"rows": rows, "next": spell_cursor("statement", str(rows[-1].seq)) if more else ""}
    return answer(StatementSchema, page)


@door.get("/v1/accounts/<account>/as-of")
@admits(Role.CITIZEN, Role.AGENCY)
@described(
    answers=AsOfSchema,
    query={
        "at": "An instant: 2026-11-21T03:05:00Z.",
        "by": "`effective` (default): all that had happened by then, as known"
        " today; `posted`: the books as they stood then.",
    },
)
def as_of(account: str) -> Response:
    """Read what an account had posted as of an instant, that instant included."""
    who, at = caller(), instant("at")
    by = request.args.get("by", "effective")
    if by not in ("effective", "posted"):
        raise Unparseable(param="by")
    with state().app.connect() as connection:
        found = accounts.read(connection, _account(account), holder=who.agency or who.holder)
        came_to = accounts.as_of(connection, found, at, by="posted" if by == "posted" else "effective")
    return answer(AsOfSchema, came_to)


@door.get("/v1/accounts/<account>/limits")
@admits(Role.CITIZEN)
@described(answers=LimitsSchema)
def limits(account: str) -> Response:
    """Read the limits that stand on a wallet: what is used of each, what remains, when it renews."""
    who = caller()
    with state().app.connect() as connection:
        found = accounts.read(connection, _account(account), holder=who.holder)
        rows = state().limits.standings(connection, found.holder, now=now())
    return answer(LimitsSchema, {"account": found.id, "rows": rows})


@door.post("/v1/accounts/<account>/freeze")
@admits(Role.CITIZEN)
@described(asks=FreezeSchema, answers=MovedSchema, status=200)
def freeze(account: str) -> Response:
    """Freeze the caller's wallet: nothing leaves or reaches it until it is thawed."""
    return act(FreezeSchema, accounts.move, MovedSchema, status=200, check=partial(_same, account), at_once=True)


@door.post("/v1/accounts/<account>/thaw")
@admits(Role.CITIZEN)
@described(asks=ThawSchema, answers=MovedSchema, status=200)
def thaw(account: str) -> Response:
    """Thaw a wallet that its holder froze."""
    return act(ThawSchema, accounts.move, MovedSchema, status=200, check=partial(_same, account), at_once=True)


@door.post("/v1/accounts/<account>/close")
@admits(Role.CITIZEN)
@described(asks=CloseSchema, answers=MovedSchema, status=200)
def close(account: str) -> Response:
    """Close an empty wallet for good."""
    return act(CloseSchema, accounts.move, MovedSchema, status=200, check=partial(_same, account), at_once=True)


def _same(account: str, order: MoveOrder, _signer: HolderId) -> None:
    """Refuse an order that names another account than the address does."""
    if order.account != _account(account):
        raise accounts.NotFound(param="account")


def _account(text: str) -> AccountId:
    found = uuid_or_none(text)
    if found is None:
        raise accounts.NotFound(param="account")
    return AccountId(found)


def page_size(default: int, most: int) -> int:
    """Read how many rows a page shall have.

    Raises:
        Unparseable: not a number from 1 to `most`.
    """
    text = request.args.get("rows", str(default))
    if not _ROWS.fullmatch(text) or int(text) > most:
        raise Unparseable(param="rows")
    return int(text)


def instant(name: str) -> datetime:
    """Read an instant of the past from the address, in UTC.

    Raises:
        InstantWrong: another spelling, no such day, or in the future.
    """
    text = request.args.get(name, "")
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InstantWrong(param=name) from None
    if at > now() or at.year < EPOCH_YEAR:
        raise InstantWrong(param=name)
    return at


def cursor(purpose: str) -> str | None:
    """Read the key that a page begins after. What a cursor names is checked again under the caller's own account, so a
    forged one shows nothing that an honest one would not.

    Raises:
        Unparseable: not a cursor of ours for this listing.
    """
    text = request.args.get("cursor", "")
    if not text:
        return None
    try:
        kind, _, key = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(":")
    except ValueError:
        raise Unparseable(param="cursor") from None
    if kind != purpose or not key or spell_cursor(purpose, key) != text:
        raise Unparseable(param="cursor")
    if purpose == "statement" and (not _CURSOR.fullmatch(key) or int(key) >= 2**63):
        raise Unparseable(param="cursor")
    return key


def spell_cursor(purpose: str, key: str) -> str:
    """Spell a key as an opaque cursor."""
    return urlsafe_b64encode(f"{purpose}:{key}".encode()).rstrip(b"=").decode()
