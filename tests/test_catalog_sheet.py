"""Spreadsheets in and out: every bad cell is named, nothing is guessed, and nothing we write acts in a spreadsheet."""

import csv
import io

import pytest

from market.catalog import sheet
from market.catalog.sheet import SheetColumns, SheetTooLarge, SheetUnreadable
from tests.stalls import draft
from wallet.refusal import Refusal

KNOWN = {"dac san hue": "dac-san", "dac san": "dac-san", "mon an": "mon-an"}
NAMES = {"dac-san": "Đặc sản Huế", "mon-an": "Món ăn"}
HEAD = "Mã hàng,Tên hàng,Loại,Giá,Đơn vị,Mã vạch,Còn hàng,Mô tả"


def read(text: str, *, encoding: str = "utf-8") -> sheet.Sheet:
    return sheet.read(text.encode(encoding), known=KNOWN)


def faults(*lines: str) -> set[tuple[int, str, str]]:
    found = read("\n".join([HEAD, *lines])).faults
    return {(fault.line, fault.column, fault.refusal.code) for fault in found}


def test_a_good_file_is_read():
    (one, two) = read(
        f"{HEAD}\nA1,Mè xửng,Đặc sản Huế,25.000,gói,4006381333931,còn,Kẹo mè\nA2,Bún bò,mon an,35000 đ,tô,,hết,\n"
    ).drafts
    assert one == draft("Mè xửng", sku="A1", gtin="4006381333931", description="Kẹo mè")
    assert (two.sku, two.price, two.unit, two.sold_out, two.category) == ("A2", 35_000, "bowl", True, "mon-an")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_file_may_come_from_any_spreadsheet(encoding, separator, newline):
    lines = [["Ma hang", "TÊN HÀNG", "loại", "giá bán", "ĐVT"], ["A1", "Mè xửng, dẻo; ngon", "đặc sản", "25000", "gói"]]
    text = newline.join(separator.join(f'"{cell}"' if len(cell) > 14 else cell for cell in line) for line in lines)
    (one,) = read(text, encoding=encoding).drafts
    assert (one.sku, one.name) == ("A1", "Mè xửng, dẻo; ngon")


def test_every_bad_cell_is_named_by_the_line_and_column_that_the_spreadsheet_shows():
    assert faults(
        "A1,Mè xửng,Đặc sản Huế,25.000,gói,,,",
        "A2,,Đặc sản Huế,hai mươi,gói,4006381333932,,",
        'A3,"Kẹo\u202e",Đồ lạ,1.5,thùng,,chắc còn,',
        "",
        "A1,Kẹo cau,Đặc sản Huế,20000,gói,,,",
        "A4,Thiếu ô",
    ) == {
        (3, "Tên hàng", "sheet_cell_missing"),
        (3, "Giá", "product_price_wrong"),
        (3, "Mã vạch", "product_gtin_wrong"),
        (4, "Tên hàng", "text_hidden_character"),
        (4, "Loại", "product_category_unknown"),
        (4, "Giá", "product_price_wrong"),
        (4, "Đơn vị", "product_unit_unknown"),
        (4, "Còn hàng", "product_stock_wrong"),
        (6, "Mã hàng", "sheet_row_twice"),
        (7, "Loại", "sheet_cell_missing"),
        (7, "Giá", "sheet_cell_missing"),
        (7, "Đơn vị", "sheet_cell_missing"),
    }


def test_a_cell_of_several_lines_does_not_shift_the_lines_that_are_named():
    assert faults('A1,Mè xửng,dac san,25000,gói,,,"hai\ndòng"', "A2,Kẹo,dac san,x,gói") == {
        (4, "Giá", "product_price_wrong")
    }


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b"", SheetUnreadable),
        (b"\x00\x01\x02", SheetUnreadable),
        (b"PK\x03\x04" + bytes(range(256)), SheetUnreadable),
        ("Mã hàng,Tên".encode("utf-16-le"), SheetUnreadable),
        ("Mã hàng;Tên hàng".encode("cp1258", "replace") + b"\xff", SheetUnreadable),
        (HEAD.encode(), SheetUnreadable),
        (b"Ten hang,Loai,Gia,Don vi\nA,b,c,d", SheetColumns),
        ((HEAD + ",Giá").encode(), SheetColumns),
        ((HEAD + ",Mật khẩu\n").encode(), SheetColumns),
        (f'{HEAD}\nA1,"không bao giờ hết'.encode(), SheetUnreadable),
        (b"x" * (sheet.BYTES_MAX + 1), SheetTooLarge),
        ("\n".join([HEAD, *(f"A{n},Mè,dac san,1,gói" for n in range(sheet.ROWS_MAX + 1))]).encode(), SheetTooLarge),
    ],
)
def test_a_file_that_is_none_is_refused_whole(raw: bytes, refusal: type[Refusal]):
    with pytest.raises(refusal):
        sheet.read(raw, known=KNOWN)


def test_what_we_write_we_read_again():
    drafts = [
        draft("=HYPERLINK(1)", sku="-A1", description="+84 905, 'nháy', \"kép\"", gtin="4006381333931"),
        draft("'Tên có nháy", sku="@A2", price=1_250_000, sold_out=True, unit="bunch"),
    ]
    text = "".join(sheet.write(drafts, names=NAMES))
    assert read(text).drafts == tuple(drafts)


def test_no_cell_that_we_write_is_a_formula():
    """Row 25: CSV cells that a spreadsheet would execute."""
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", " =cmd|'/c calc'!A0"]
    text = "".join(sheet.write([draft(name, sku=f"A{n}") for n, name in enumerate(evil)], names=NAMES))
    for line in list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))[1:]:
        assert all(cell.lstrip()[:1] not in "=+-@＝" or cell == "" for cell in line), line
