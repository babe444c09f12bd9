"""Spreadsheets: a merchant's products as CSV, in and out; every bad cell is named before anything is written.

What    One file in, judged whole: the line as the spreadsheet counts it, the column, a stable code. Nothing is guessed.
        What we write we read again: an export, mended and sent back, changes only what was mended.
Danger  A cell that begins with = + - @ is a formula to a spreadsheet. Ours are written defused, and read with the apostrophe
        that defused them taken off again.
Source  RFC 4180; OWASP, CSV Injection. Vietnamese Excel separates by semicolons and marks UTF-8 by its BOM.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from market.catalog import draft, units
from market.catalog.draft import Categories, Draft
from wallet import text
from wallet.exports.tables import BOM, defused
from wallet.refusal import Refusal

BYTES_MAX: Final = 512 * 1024
ROWS_MAX: Final = 500
"""What one order writes; a larger shop sends several files."""
CELL_CHARS_MAX: Final = 4000
FAULTS_MAX: Final = 200
"""Faults that are named; whoever has more has sent another kind of file."""

COLUMNS: Final = {
    "sku": "Mã hàng",
    "name": "Tên hàng",
    "category": "Loại",
    "price": "Giá",
    "unit": "Đơn vị",
    "gtin": "Mã vạch",
    "sold_out": "Còn hàng",
    "description": "Mô tả",
}
NEEDED: Final = ("sku", "name", "category", "price", "unit")

_CALLED: Final = {
    **{text.fold(title): field for field, title in COLUMNS.items()},
    **{text.fold(field.replace("_", " ")): field for field in COLUMNS},
    "ma": "sku", "ma hang hoa": "sku", "ten": "name", "ten san pham": "name", "loai hang": "category", "nhom": "category",
    "gia ban": "price", "don gia": "price", "dvt": "unit", "don vi tinh": "unit", "gtin": "gtin", "ean": "gtin",
    "barcode": "gtin", "in stock": "sold_out", "ghi chu": "description",
}  # fmt: skip
_ENCODINGS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_FORMULA: Final = frozenset("=+-@＝＋－＠")


class SheetTooLarge(Refusal):
    """More than BYTES_MAX bytes or ROWS_MAX rows."""

    code = "sheet_too_large"
    status = 413
    stored = False


class SheetUnreadable(Refusal):
    """Not CSV in UTF-8 (or UTF-16 with its mark): another program's file, or letters of an old code page."""

    code = "sheet_unreadable"
    status = 422
    stored = False


class SheetColumns(Refusal):
    """A column is missing, stands there twice, or is none of ours; `columns` names them."""

    code = "sheet_columns_wrong"
    status = 422
    stored = False


class RowTwice(Refusal):
    """Another line has the same product number."""

    code = "sheet_row_twice"
    status = 422


class MissingCell(Refusal):
    """A cell that must say something is empty, or the line is shorter than the head."""

    code = "sheet_cell_missing"
    status = 422


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one cell: the line as a spreadsheet counts, the column's title, and the refusal."""

    line: int
    column: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file says: drafts in order, and every bad cell."""

    drafts: tuple[Draft, ...]
    faults: tuple[Fault, ...]


def read(raw: bytes, *, known: Categories) -> Sheet:
    """Read a file of products.

    Raises:
        SheetTooLarge, SheetUnreadable, SheetColumns: the file as a whole; bad cells are `faults`.
    """
    if len(raw) > BYTES_MAX:
        raise SheetTooLarge(param="sheet")
    lines = _lines(_decoded(raw))
    head = next(lines, None)
    if head is None:
        raise SheetUnreadable(param="sheet")
    fields = _fields(head[1])
    drafts: list[Draft] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for line, cells in lines:
        values, wrong = _row(line, fields, cells, known)
        sku = values.get("sku")
        if sku is not None and sku in seen:
            wrong.append(Fault(line, COLUMNS["sku"], RowTwice(param="sku", line=str(seen[sku]))))
        elif sku is not None:
            seen[sku] = line
        faults += wrong
        if not wrong:
            drafts.append(Draft(**values))
        if len(seen) > ROWS_MAX:
            raise SheetTooLarge(param="sheet")
        if len(faults) > FAULTS_MAX:
            break
    if not drafts and not faults:
        raise SheetUnreadable(param="sheet")
    return Sheet(tuple(drafts), tuple(faults))


def write(drafts: Iterable[Draft], *, names: dict[str, str]) -> Iterator[str]:
    """Yield products as CSV that `read` reads, a row at a time.

    Args:
        drafts: the products.
        names: category code → name.
    """
    yield BOM + _line(list(COLUMNS.values()))
    for one in drafts:
        yield _line(
            [
                one.sku,
                one.name,
                names[one.category],
                one.price,
                units.UNITS[one.unit].name,
                one.gtin,
                "hết" if one.sold_out else "còn",
                one.description,
            ]
        )


def _line(cells: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([defused(cell) for cell in cells])
    return out.getvalue()


def _decoded(raw: bytes) -> str:
    encoding = next((encoding for mark, encoding in _ENCODINGS if raw.startswith(mark)), "utf-8")
    try:
        spelled = raw.decode(encoding)
    except UnicodeDecodeError:
        raise SheetUnreadable(param="sheet") from None
    if "\0" in spelled:
        raise SheetUnreadable(param="sheet")
    return spelled


def _lines(spelled: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that say anything, each with the number of the line that it begins on."""
    first = spelled.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(spelled, newline=""), delimiter=separator, strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error:  # a quote that never ends, a NUL, a cell longer than the module reads
        raise SheetUnreadable(param="sheet") from None


def _fields(head: list[str]) -> list[str]:
    """Return which field each column is.

    Raises:
        SheetColumns.
    """
    fields = [_CALLED.get(text.fold(title), "") for title in head]
    while fields and not fields[-1] and not head[len(fields) - 1].strip():
        fields.pop()  # separators that a spreadsheet left behind the last column
    strange = [head[place].strip()[:40] for place, field in enumerate(fields) if not field or field in fields[:place]]
    missing = [COLUMNS[field] for field in NEEDED if field not in fields]
    if strange or missing:
        raise SheetColumns(param="sheet", columns=", ".join(missing + strange)[:200])
    return fields


def _row(line: int, fields: list[str], cells: list[str], known: Categories) -> tuple[dict[str, Any], list[Fault]]:
    """Read one row: what its good cells say, and what is wrong with the others."""
    values: dict[str, Any] = {"gtin": "", "sold_out": False, "description": ""}
    faults = []
    for place, field in enumerate(fields):
        typed = _restored(cells[place]) if place < len(cells) else ""
        try:
            if field in NEEDED and not typed.strip():
                raise MissingCell(param=field)
            if len(typed) > CELL_CHARS_MAX:
                raise text.BadText(param=field)
            values[field] = draft.read(field, typed, known=known)
        except Refusal as refusal:
            faults.append(Fault(line, COLUMNS[field], refusal))
    return values, faults


def _restored(cell: str) -> str:
    """Take off the apostrophe that defused a cell when it was written."""
    return cell[1:] if cell[:1] == "'" and cell[1:].lstrip()[:1] in _FORMULA else cell
