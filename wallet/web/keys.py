"""POST /v1/keys, POST /v1/keys/{id}/approvals, DELETE /v1/keys/{id}."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, request
from marshmallow import fields, validate

from wallet import crypto, db, text
from wallet.crypto import BadKey, PublicKey
from wallet.gates import sms
from wallet.identity import attempts, codes, holders, keys, roles, sessions
from wallet.identity.keys import EnrolOrder, KeyOrder
from wallet.identity.roles import Role
from wallet.ids import HolderId, OrderId
from wallet.web.act import act
from wallet.web.fields import AnswerSchema, Invalid, OrderSchema, Strict
from wallet.web.gate import SESSION_COOKIE, admits, cookie
from wallet.web.openapi import described
from wallet.web.problems import SignedOut, locale
from wallet.web.state import now, state

door = Blueprint("keys", __name__)

KEY_ID: Final = "^[A-Za-z0-9_-]{43}$"


class JwkSchema(Strict):
    """A public JWK with exactly the members that RFC 7638 hashes."""

    crv = fields.String(required=True, validate=validate.OneOf(["P-256", "Ed25519"]))
    kty = fields.String(required=True, validate=validate.OneOf(["EC", "OKP"]))
    x = fields.String(required=True)
    y = fields.String()


class KeyEnrolSchema(OrderSchema):
    """Enrol the key that signs this very request."""

    kind_name = "key_enrol"

    key = fields.Nested(JwkSchema, required=True)
    label = fields.String(required=True, metadata={"description": "By which its holder will know it."})
    device = fields.String(required=True, validate=validate.OneOf(["browser", "machine"]))
    code = fields.String(
        load_default="",
        validate=validate.Length(max=10),
        metadata={
            "description": "The one-time code of a first browser; for a merchant's machine the one on its owner's page;"
            " empty: an active key shall approve."
        },
    )

    def make(self, id: OrderId, own: Mapping[str, Any]) -> EnrolOrder:
        """Make the frozen order."""
        label = text.plain(own["label"], chars_max=keys.LABEL_CHARS_MAX, param="label")
        return EnrolOrder(id=id, key=own_key({"key": own["key"]}), label=label, device=own["device"], code=own["code"])


class KeyOrderSchema(OrderSchema):
    """An order about one key, named in the path and, so that the signature covers it twice, in the body."""

    key = fields.String(required=True, validate=validate.Regexp(KEY_ID))

    def make(self, id: OrderId, own: Mapping[str, Any]) -> KeyOrder:
        """Make the frozen order."""
        return KeyOrder(id=id, key=own["key"])


class KeyApproveSchema(KeyOrderSchema):
    """Let a pending key in."""

    kind_name = "key_approve"


class KeyRevokeSchema(KeyOrderSchema):
    """Revoke a key for ever."""

    kind_name = "key_revoke"


class KeySchema(AnswerSchema):
    """A key and its state."""

    id = fields.String(metadata={"description": "RFC 7638 thumbprint."})
    state = fields.String(validate=validate.OneOf(["pending", "active", "revoked"]))


def own_key(document: Mapping[str, Any]) -> PublicKey:
    """Read the key out of an enrolment.

    Raises:
        Invalid: no public key that we take.
    """
    jwk = document.get("key")
    try:
        if not isinstance(jwk, dict):
            raise BadKey
        return crypto.public_key(jwk)
    except BadKey:
        raise Invalid(param="key", errors="key: not a P-256 or Ed25519 public key") from None


@door.post("/v1/keys")
@admits(*Role)
@described(asks=KeyEnrolSchema, answers=KeySchema, status=201)
def enrol() -> Response:
    """Enrol a key, by a request that the key itself signs."""
    enrolled: list[EnrolOrder] = []

    def check(order: EnrolOrder, signer: HolderId) -> None:
        enrolled.append(order)
        if order.device == "machine":
            _must_be_welcome(order, signer)
        attempts.count(state().app, [(attempts.KEYS_OFFERED, str(signer))], now=now())
        if order.device == "browser":
            # A browser enrols from a page of its holder's; a stranger could else spend their tries and their places.
            with state().app.begin() as unit:
                who = sessions.find(unit, request.cookies.get(cookie(SESSION_COOKIE), ""), now=now())
            if who is None or who.holder != signer:
                raise SignedOut
        if order.device == "browser" and order.code:
            attempts.count(state().app, [(attempts.CODE_TRIED, f"enrol:{signer}")], now=now())

    verb = partial(keys.enrol, secret=state().config.server_secret)
    response = act(KeyEnrolSchema, verb, KeySchema, check=check, possession=own_key)
    if response.status_code == 201 and "Idempotent-Replayed" not in response.headers:
        _notify(enrolled[0])
    return response


def _must_be_welcome(order: EnrolOrder, signer: HolderId) -> None:
    """Refuse a merchant's machine without the code on its owner's page: a merchant's id stands in every code it shows.

    Raises:
        codes.WrongCode: not counted, so that nobody else's tries keep the real machine out. A guess is one in 10¹¹.
    """
    with state().app.connect() as connection:
        is_merchant = any(one.role == Role.MERCHANT for one in roles.of(connection, signer))
    if is_merchant and not keys.is_welcome(order.code, signer, secret=state().config.server_secret, now=now()):
        raise codes.WrongCode(param="code")


@door.post("/v1/keys/<key>/approvals")
@admits(*(role for role in Role if role != Role.MERCHANT))
@described(asks=KeyApproveSchema, answers=KeySchema, status=201)
def approve(key: str) -> Response:
    """Let a pending key in, signed by an active one of the same holder; a merchant's machines, its owner lets in."""
    return act(KeyApproveSchema, keys.approve, KeySchema, check=partial(_same, key))


@door.delete("/v1/keys/<key>")
@admits(*Role)
@described(asks=KeyRevokeSchema, answers=KeySchema, status=200)
def revoke(key: str) -> Response:
    """Revoke a key, signed by any active one of the same holder, itself included."""
    response = act(KeyRevokeSchema, keys.revoke, KeySchema, status=200, check=partial(_same, key))
    if response.status_code == 200 and "Idempotent-Replayed" not in response.headers:
        # Whoever held the revoked device may be signed in on it: only the page that revoked stays open.
        token = request.cookies.get(cookie(SESSION_COOKIE), "")
        db.unit(state().app, lambda unit: sessions.close_others_of_key(unit, key, token))
    return response


def _same(path: str, order: KeyOrder, _: HolderId) -> None:
    if path != order.key:
        raise Invalid(param="key", errors="key: not the one in the path")


def _notify(order: EnrolOrder) -> None:
    """Tell the holder's phone of a new device, after the fact is committed."""
    with state().app.connect() as connection:
        key = keys.by_id(connection, order.key.id)
        person = holders.by_id(connection, key.holder) if key else None
    if person is None or person.phone is None:
        return
    with suppress(attempts.TooMany, sms.NoProvider):  # the enrolment is done; its message may fail
        attempts.count(state().app, [(attempts.DEVICE_TOLD, person.phone)], now=now())
        sms.send(state().config, person.phone, sms.new_device(crypto.check_code(order.key.id), locale()), now=now())
