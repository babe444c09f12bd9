"""The log, published: checkpoint and hash tiles for everybody, entry bundles for auditors, cosignatures from witnesses.

Source  c2sp.org/tlog-tiles, whose layout below `/log/` this is. A bundle holds the events' bytes: ids and amounts, no names.
"""

import logging
from typing import Final

from flask import Blueprint, Response, request

from wallet import db
from wallet.identity.roles import Role
from wallet.log import cosigned, keyring
from wallet.log.checkpoint import Checkpoint
from wallet.log.cosigned import NotCosigned, UnknownCheckpoint
from wallet.log.merkle import TILE_LEVELS, TILE_WIDTH, BadTile, Tile
from wallet.log.note import Note
from wallet.log.published import NotPublished, PublishedLog
from wallet.refusal import Refusal
from wallet.web.gate import admits, caller
from wallet.web.problems import NoSuchPage
from wallet.web.state import state

log = logging.getLogger("wallet")

door = Blueprint("tiles", __name__)

_NEWEST: Final = "public, max-age=1"
_FULL: Final = "public, max-age=31536000, immutable"
_PARTIAL: Final = "public, max-age=60"
"""What it holds does not change, but it goes once there is a wider one; a full one too, until a checkpoint covers it."""


class CosignatureWrong(Refusal):
    """What was handed in is no checkpoint that this log and a witness known to it have signed."""

    code = "cosignature_wrong"
    status = 422
    stored = False


class CheckpointUnknown(Refusal):
    """This log has not published that checkpoint, or not yet."""

    code = "checkpoint_unknown"
    status = 409
    stored = False


def published() -> PublishedLog:
    """Return the log as this service publishes it."""
    return PublishedLog(keyring.folder(state().config.var_dir))


@door.get("/log/checkpoint")
@admits("anyone")
def checkpoint() -> Response:
    """Give the newest checkpoint, as the log signed it."""
    signed = published().checkpoint()
    if signed is None:
        raise NoSuchPage
    return _public(Response(signed, content_type="text/plain; charset=utf-8"), _NEWEST)


@door.get("/log/tile/<int:level>/<path:place>")
@admits("anyone")
def tile(level: int, place: str) -> Response:
    """Give a tile of hashes, from which anybody computes proofs."""
    wanted, data = _read(f"tile/{level}/{place}")
    return _public(_octets(data), _FULL if wanted.width == TILE_WIDTH and _is_promised(wanted) else _PARTIAL)


@door.get("/log/tile/entries/<path:place>")
@admits(Role.AUDITOR)
def bundle(place: str) -> Response:
    """Give a bundle of entries to an auditor."""
    caller()
    return _octets(_read(f"tile/entries/{place}")[1])


@door.post("/log/cosignatures")
@admits("anyone")
def cosign() -> Response:
    """Take a checkpoint that a witness has cosigned; who hands it in does not matter, the signatures do."""
    raw, var_dir = request.get_data(), state().config.var_dir
    try:
        by = db.unit(state().app, lambda unit: cosigned.accept(unit, raw, var_dir))
    except NotCosigned:
        raise CosignatureWrong from None
    except UnknownCheckpoint as unknown:
        if unknown.forked:
            log.critical("log_forked: a witness hands in a checkpoint signed by this log that it never published")
        raise CheckpointUnknown from None
    log.info("cosigned by %s", ", ".join(by))
    return Response(status=204)


def _read(path: str) -> tuple[Tile, bytes]:
    try:
        wanted = Tile.parse(path)
        if request.path != f"/log/{wanted.path}":  # 00 is also a number, and no level
            raise NoSuchPage
        return wanted, published().tile(wanted)
    except (BadTile, NotPublished):
        raise NoSuchPage from None


def _is_promised(full: Tile) -> bool:
    """Say whether the newest checkpoint covers a full tile: until then a restored database may yet fill it otherwise."""
    signed = published().checkpoint()
    leaves = (full.index + 1) * TILE_WIDTH << TILE_LEVELS * full.level
    return signed is not None and leaves <= Checkpoint.parse(Note.parse(signed).text).size


def _octets(data: bytes) -> Response:
    return Response(data, content_type="application/octet-stream")


def _public(response: Response, fresh: str) -> Response:
    response.headers["Cache-Control"] = fresh
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
