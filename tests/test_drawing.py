"""Drawing: what is drawn is scanned by a reader of other make, also when a part of it is worn off."""

import re
import xml.etree.ElementTree as ET

import pytest
import zxingcpp

from market import qr
from tests.test_qr import INVOICE, STICKER
from wallet.drawing import QUIET_MODULES, Correction, draw

TEXTS = {"sticker": qr.encode(STICKER), "invoice": qr.encode(INVOICE), "short": "000201", "letters": "Huế 最佳运输"}
DARK, LIGHT = 0, 255
PIXELS = 4
"""Of one module's side."""


def modules(svg: str) -> list[bytearray]:
    """Paint the SVG's one stroked path on its light ground, one byte a module."""
    root = ET.fromstring(svg)
    _, _, width, height = (int(side) for side in root.attrib["viewBox"].split())
    ground, path = root
    assert ground.attrib == {"fill": "#fff", "d": f"M0 0h{width}v{height}h-{width}z"}
    assert path.attrib["stroke"] == "#000"
    rows = [bytearray([LIGHT]) * width for _ in range(height)]
    x, y = 0.0, 0.0
    for verb, numbers in re.findall(r"([Mmh])([-\d. ]+)", path.attrib["d"]):
        steps = [float(number) for number in numbers.split()]
        if verb == "h":
            row = rows[int(y)]  # the stroke is one unit wide and runs along the middle of its row
            row[int(x) : int(x + steps[0])] = bytearray([DARK]) * int(steps[0])
            x += steps[0]
        else:
            x, y = (steps[0], steps[1]) if verb == "M" else (x + steps[0], y + steps[1])
    return rows


def scan(rows: list[bytearray]) -> list[str]:
    image = bytearray()
    for row in rows:
        image += bytes(byte for byte in row for _ in range(PIXELS)) * PIXELS
    shape = (len(rows) * PIXELS, len(rows[0]) * PIXELS)
    return [found.text for found in zxingcpp.read_barcodes(memoryview(bytes(image)).cast("B", shape))]


@pytest.mark.parametrize("correction", Correction)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_is_drawn_is_scanned_as_it_was_written(text: str, correction: Correction) -> None:
    assert scan(modules(draw(text, correction=correction))) == [text]


def test_the_quiet_zone_is_light_and_of_four_modules() -> None:
    rows = modules(draw(TEXTS["sticker"]))
    edge = QUIET_MODULES
    inner = [row[edge:-edge] for row in rows[edge:-edge]]
    assert all(byte == LIGHT for row in rows[:edge] + rows[-edge:] for byte in row)
    assert all(byte == LIGHT for row in rows for byte in row[:edge] + row[-edge:])
    assert inner[0][:7] == bytearray([DARK]) * 7, "the finder begins right where the quiet zone ends"


@pytest.mark.parametrize(("correction", "survives"), [(Correction.SCREEN, False), (Correction.STICKER, True)])
def test_a_sticker_bears_more_wear_than_a_screen(correction: Correction, survives: bool) -> None:
    """A lost block of a sixth of the modules in the middle: more than M mends and less than Q does."""
    rows = modules(draw(TEXTS["sticker"], correction=correction))
    size = len(rows) - 2 * QUIET_MODULES
    side = round(size * 0.41)
    start = QUIET_MODULES + size // 2 - side // 2
    for row in rows[start : start + side]:
        row[start : start + side] = bytearray([LIGHT]) * side
    assert (scan(rows) == [TEXTS["sticker"]]) is survives


def test_our_codes_fit_a_symbol_that_a_cheap_phone_reads() -> None:
    """Not more than 65 modules (version 12): 3 mm each fill a hand's breadth."""
    for name in ("sticker", "invoice"):
        assert len(modules(draw(TEXTS[name]))) - 2 * QUIET_MODULES <= 65


def test_markup_in_a_text_is_drawn_and_never_written_into_the_page() -> None:
    svg = draw('"><script>alert(1)</script>')
    assert "script" not in svg
    assert scan(modules(svg)) == ['"><script>alert(1)</script>']


def test_a_text_beyond_one_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        draw("x" * 2_400)
