"""Photos: a picture that somebody sent, judged by its content and drawn anew, so that nothing else of it is kept.

What    Only JPEG, PNG and WebP are opened; what a file is called or says it is does not matter. It is decoded, turned
        upright, made smaller and encoded again as WebP: position, camera, comments and what hid behind the picture are gone.
        An SVG is a document that can carry a script, and is refused.
Danger  A small file may unpack to gigabytes (a decompression bomb), so its size in pixels is read first, and bounded.
Words   A photo is addressed by the SHA-256 of its bytes, which therefore never change. Its `small` is for lists.
Source  OWASP File Upload Cheat Sheet.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy.dialects.postgresql import insert

from market import tables
from wallet.refusal import Refusal

BYTES_MAX: Final = 10 * 1024 * 1024
"""A telephone's picture takes 3 to 8 MB."""
STORED_BYTES_MAX: Final = 300_000

EDGE_PX: Final = 1024
SMALL_PX: Final = 320
PIXELS_MAX: Final = 16_000_000
"""What may be unpacked whole: 48 MB."""
JPEG_PIXELS_MAX: Final = 120_000_000
"""A JPEG is decoded at an eighth of its size where that is enough, so the largest cameras' may come."""
EDGE_PX_MAX: Final = 20_000

_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_QUALITIES: Final = (80, 65, 50)
MEDIA: Final = "image/webp"


class NotAPhoto(Refusal):
    """Not a JPEG, PNG or WebP picture, whatever its name says, or a broken one."""

    code = "photo_unreadable"
    status = 422
    stored = False


class PhotoTooLarge(Refusal):
    """Too many bytes, or too many pixels."""

    code = "photo_too_large"
    status = 413
    stored = False


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture as we drew it."""

    digest: str
    width: int
    height: int
    bytes: bytes


def read(raw: bytes) -> tuple[Photo, Photo]:
    """Return a picture that was sent, drawn anew, and a small one for lists.

    Raises:
        NotAPhoto, PhotoTooLarge.
    """
    if len(raw) > BYTES_MAX:
        raise PhotoTooLarge(param="photo")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of a bomb before it refuses one
            return _drawn(raw)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise PhotoTooLarge(param="photo") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, Warning, ArithmeticError, LookupError):
        # What Pillow's decoders raise over damaged or lying files; they were written for honest ones.
        raise NotAPhoto(param="photo") from None


def keep(unit: sa.Connection, photo: Photo, *, now: datetime) -> None:
    """Keep a photo; one that is there already stays as it is."""
    unit.execute(
        insert(tables.photo)
        .values(
            digest=photo.digest, media=MEDIA, width=photo.width, height=photo.height, bytes=photo.bytes, made_at=now
        )
        .on_conflict_do_nothing()
    )


def find(connection: sa.Connection, digest: str) -> tuple[str, bytes] | None:
    """Return the media type and the bytes of a photo, or None."""
    photo = tables.photo.c
    row = connection.execute(sa.select(photo.media, photo.bytes).where(photo.digest == digest)).one_or_none()
    return (row.media, row.bytes) if row else None


def _drawn(raw: bytes) -> tuple[Photo, Photo]:
    with Image.open(io.BytesIO(raw), formats=_FORMATS) as opened:
        width, height = opened.size
        is_jpeg = opened.format in ("JPEG", "MPO")
        if width * height > (JPEG_PIXELS_MAX if is_jpeg else PIXELS_MAX) or max(width, height) > EDGE_PX_MAX:
            raise PhotoTooLarge(param="photo")
        if is_jpeg:
            opened.draft("RGB", (EDGE_PX, EDGE_PX))
            if opened.size[0] * opened.size[1] > PIXELS_MAX:
                raise PhotoTooLarge(param="photo")
        upright = ImageOps.exif_transpose(opened)
        flat = _on_white(upright)
    flat.thumbnail((EDGE_PX, EDGE_PX))
    small = flat.copy()
    small.thumbnail((SMALL_PX, SMALL_PX))
    return _encoded(flat), _encoded(small)


def _on_white(image: Image.Image) -> Image.Image:
    """Return the picture in RGB; what was transparent is white. A new image carries no metadata."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        seen = image.convert("RGBA")
        flat = Image.new("RGB", image.size, "white")
        flat.paste(seen, mask=seen.getchannel("A"))
        return flat
    flat = Image.new("RGB", image.size)
    flat.paste(image.convert("RGB"))
    return flat


def _encoded(image: Image.Image) -> Photo:
    for quality in _QUALITIES:
        out = io.BytesIO()
        image.save(out, "WEBP", quality=quality, method=4)
        if out.tell() <= STORED_BYTES_MAX:
            break
    else:
        raise PhotoTooLarge(param="photo")  # noise, at every quality
    made = out.getvalue()
    return Photo(hashlib.sha256(made).hexdigest(), image.width, image.height, made)
