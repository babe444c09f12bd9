"""GET /v1/accounts/{id} and its statement."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from flask import Blueprint, Response, request
from marshmallow import fields

from wallet import accounts
from wallet.identity.roles import Role
from wallet.ids import AccountId
from wallet.web.act import answer
from wallet.web.fields import AnswerSchema, DongField, IdField, InstantField, uuid_or_none
from wallet.web.gate import admits, caller
from wallet.web.openapi import described
from wallet.web.problems import Unparseable
from wallet.web.state import state

door = Blueprint("accounts", __name__)

_ROWS: Final = re.compile(r"[1-9][0-9]{0,3}")
_CURSOR: Final = re.compile(r"[1-9][0-9]{0,18}")
ROWS_DEFAULT: Final = 50


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
    amount = fields.Function(lambda row: str(row.amount), metadata={"description": "Signed whole đồng."})
    effective_at = InstantField()
    posted_at = InstantField()


class StatementSchema(AnswerSchema):
    """A page of a statement, newest first."""

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
@described(answers=StatementSchema, query={"rows": "1 to 100, default 50.", "cursor": "`next` of the page before."})
def statement(account: str) -> Response:
    """Read an account's postings, newest first, paged by key."""
    who = caller()
    rows_max, before = page_size(ROWS_DEFAULT, accounts.PAGE_ROWS_MAX), cursor("statement")
    with state().app.connect() as connection:
        found = accounts.read(connection, _account(account), holder=who.agency or who.holder)
        rows = accounts.statement(connection, found.id, before=int(before) if before else None, rows_max=rows_max + 1)
    more = len(rows) > rows_max
    rows = rows[:rows_max]
    page = {"rows": rows, "next": spell_cursor("statement", str(rows[-1].seq)) if more else ""}
    return answer(StatementSchema, page)


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
