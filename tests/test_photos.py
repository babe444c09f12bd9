"""Photos: judged by their content, drawn anew, bounded; nothing of a file is kept but its picture."""

import io
import struct
import zlib

import pytest
from PIL import Image

from market import photos
from market.photos import NotAPhoto, PhotoTooLarge

SECRET = b"GPS 16.4637 N 107.5909 E"


def picture(format: str = "JPEG", size: tuple[int, int] = (60, 40), mode: str = "RGB", **options) -> bytes:
    out = io.BytesIO()
    image = Image.new(mode, size, 0 if mode in ("P", "L") else (200, 30, 60) + (128,) * (mode == "RGBA"))
    image.save(out, format, **options)
    return out.getvalue()


def opened(photo: photos.Photo) -> Image.Image:
    return Image.open(io.BytesIO(photo.bytes))


@pytest.mark.parametrize(
    ("format", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGBA")],
)
def test_a_picture_is_drawn_anew_as_webp(format, mode):
    large, small = photos.read(picture(format, mode=mode))
    assert opened(large).format == opened(small).format == "WEBP"
    assert (large.width, large.height) == opened(large).size == (60, 40)


def test_it_is_made_smaller_and_keeps_its_shape():
    large, small = photos.read(picture(size=(4000, 3000)))
    assert (large.width, large.height) == (1024, 768)
    assert (small.width, small.height) == (320, 240)
    assert len(large.bytes) <= photos.STORED_BYTES_MAX


def test_where_and_with_what_it_was_taken_is_gone_and_it_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = SECRET.decode()
    raw = picture(size=(60, 40), exif=exif, comment=SECRET)
    assert SECRET in raw
    large, small = photos.read(raw)
    assert (large.width, large.height) == (40, 60)
    for photo in (large, small):
        assert SECRET not in photo.bytes
        assert not opened(photo).getexif()


def test_what_hid_behind_a_picture_is_gone():
    raw = picture() + b"<script>alert(1)</script>" + SECRET
    assert b"script" not in photos.read(raw)[0].bytes
    text = io.BytesIO()
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "<script>alert(1)</script>")
    Image.new("RGB", (9, 9)).save(text, "PNG", pnginfo=info)
    assert b"script" not in photos.read(text.getvalue())[0].bytes


def test_the_same_picture_has_one_address():
    first, second = photos.read(picture())[0], photos.read(picture())[0]
    assert first.digest == second.digest
    assert len(first.digest) == 64


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        SVG,
        b"<html><script>alert(1)</script></html>",
        b"GIF89a" + bytes(40),
        b"%PDF-1.7 ",
        picture("BMP"),
        picture("TIFF"),
        picture("GIF"),
        picture()[:200],
        picture("PNG")[:60],
        b"\xff\xd8\xff\xe0" + SVG,
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        b"\xc5\xd0\xd3\xc6" + b"%!PS-Adobe-3.0 EPSF-3.0",
    ],
    ids=range(14),
)
def test_what_is_no_photo_is_refused_whatever_it_says_it_is(raw):
    with pytest.raises(NotAPhoto):
        photos.read(raw)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it is this large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(4001, 4000), (10_000, 10_000), (60_000, 60_000), (20_001, 1), (2**31 - 1, 1)])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(size):
    with pytest.raises((PhotoTooLarge, NotAPhoto)):
        photos.read(bomb(*size))


def test_too_many_bytes_are_refused_before_they_are_looked_at():
    with pytest.raises(PhotoTooLarge):
        photos.read(b"x" * (photos.BYTES_MAX + 1))
