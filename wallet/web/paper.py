"""Paper: a payment's confirmation as a PDF on A5, with QR code, number and amount in words; stickers to be cut out of A4.

Words   What the page shows, in the same language, on sheets that keep. The file carries no signature of its own and asks for
        no trust: its QR code leads to the public page, and the receipt is what proves.
Safety  A text is drawn as it is, letter by letter: nothing in it is markup, a link or a field. The file has one revision and
        holds no script and no attachment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask_babel import gettext as _

from wallet import clock, drawing, money

if TYPE_CHECKING:
    from fpdf import FPDF

_FONTS: Final = Path(__file__).parent / "static" / "vendor" / "be-vietnam-pro"
_FACE: Final = "Be Vietnam Pro"

# Millimetres and points.
_A5: Final = (148, 210)
_MARGIN: Final = 10.0
_QR_SIDE: Final = 30.0
_FOOT: Final = 12.0
_GAP: Final = 0.8
_LABEL_WIDTH: Final = 34.0
_A6: Final = (105, 148.5)
_CUT: Final = 7.0
"""Kept free along the line where a sticker is cut."""
_PAY_SIDE: Final = 72.0
_CHECK_SIDE: Final = 26.0
_SMALL, _TEXT, _HEAD, _TITLE, _SUM = 7.0, 8.5, 9.5, 14.0, 20.0
_LEADING: Final = 0.5
"""Millimetres between lines for each point of a letter's height."""
_GREY: Final = 90
_SHEETS: Final = "\ue000\ue000"
"""In whose place the number of sheets is put, two digits wide: private, so nobody's text has it (`wallet.text.plain`)."""


def confirmation(page: Mapping[str, Any], *, city: str, demo: bool) -> bytes:
    """Write the confirmation of a payment that was done.

    Args:
        page: what the page is rendered from.
        city: the city's name.
        demo: whether the sheet must say that its data are invented.
    """
    transfer = page["kind"] == "transfer"
    title = _("Xác nhận chuyển tiền") if transfer else _("Xác nhận thanh toán")
    sheet = _Sheet(title, page, city=city, demo=demo)
    sheet.head(title, page, transfer=transfer)
    sheet.facts(_facts(page, transfer=transfer))
    for line in page.get("lines", ()):
        sheet.bill(line)
    sheet.backs(page.get("backs", ()))
    sheet.proof(page, transfer=transfer)
    return sheet.bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sticker:
    """What hangs where something is paid: `code` is scanned by the wallet, `check` opened by any phone's own camera."""

    name: str
    place: str
    serial: str
    code: str
    check: str


def stickers(sheets: Sequence[Sticker], *, city: str, demo: bool, at: datetime) -> bytes:
    """Write stickers to be cut out, four on a sheet of A4.

    Args:
        sheets: one for each sticker.
        city: the city's name.
        demo: whether each must say that its data are invented.
        at: when they were printed, in the document's own particulars.
    """
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    _faces(pdf)
    pdf.set_margin(0)
    pdf.set_auto_page_break(False)
    pdf.set_lang("vi")
    pdf.set_title(_("Tem thanh toán"))
    pdf.set_author(f"Tràng Tiền · {city}")
    pdf.creation_date = at
    for place, sheet in enumerate(sheets):
        if place % 4 == 0:
            pdf.add_page()
        _sticker(pdf, sheet, left=place % 2 * _A6[0], top=place % 4 // 2 * _A6[1], city=city, demo=demo)
    return bytes(pdf.output())


def _sticker(pdf: "FPDF", sheet: Sticker, *, left: float, top: float, city: str, demo: bool) -> None:
    pdf.set_draw_color(190)
    right, bottom = left + _A6[0], top + _A6[1]
    pdf.polygon([(left, top), (right, top), (right, bottom), (left, bottom)])  # where it is cut
    inner = left + _CUT
    width = _A6[0] - 2 * _CUT
    pdf.set_xy(inner, top + _CUT)

    def line(text: str, size: float, *, bold: bool = False, grey: bool = False, lines_max: int = 1) -> None:
        pdf.set_font(_FACE, "B" if bold else "", size)
        pdf.set_text_color(_GREY if grey else 0)
        lines: Any = pdf.multi_cell(width, size * _LEADING, text, align="C", dry_run=True, output="LINES")
        pdf.set_x(inner)
        pdf.multi_cell(width, size * _LEADING, "\n".join(lines[:lines_max]), align="C", new_x="LEFT", new_y="NEXT")

    line(f"Tràng Tiền · {city}" + (f" · DỮ LIỆU MẪU: {_('không có tiền thật')}" if demo else ""), _SMALL, grey=True)
    line(sheet.name, _TITLE, bold=True, lines_max=2)
    line(sheet.place, _TEXT, lines_max=2)
    top_of_code = pdf.get_y() + 2
    _symbol(
        pdf, sheet.code, left + (_A6[0] - _PAY_SIDE) / 2, top_of_code, _PAY_SIDE, correction=drawing.Correction.STICKER
    )
    pdf.set_xy(inner, top_of_code + _PAY_SIDE + 1)
    line(sheet.serial, _TITLE, bold=True)
    line(_("Quét bằng ví Tràng Tiền, so tên trên máy với tên in trên tem, rồi mới ký."), _TEXT, lines_max=2)
    top_of_check = top + _A6[1] - _CUT - _CHECK_SIDE
    _symbol(pdf, sheet.check, inner, top_of_check, _CHECK_SIDE)
    beside = inner + _CHECK_SIDE + 2
    pdf.set_xy(beside, top_of_check + 2)
    width = _A6[0] - _CUT - (beside - left)
    for text, size, bold in (
        (_("Kiểm tem này"), _HEAD, True),
        (_("Mở bằng máy ảnh của điện thoại. Trang phải hiện đúng tên trên và chữ “Tem thật”."), _SMALL, False),
        (sheet.check.partition("://")[2].partition("?")[0], _SMALL, False),
    ):
        pdf.set_x(beside)
        pdf.set_font(_FACE, "B" if bold else "", size)
        pdf.set_text_color(0)
        pdf.multi_cell(width, size * _LEADING, text, align="L", new_x="LEFT", new_y="NEXT")


def _symbol(
    pdf: "FPDF",
    text: str,
    left: float,
    top: float,
    side: float,
    *,
    correction: drawing.Correction = drawing.Correction.SCREEN,
) -> None:
    """Draw a symbol's dark modules, a row's neighbours in one piece so that no seam shows. `side` is that of the whole
    with its quiet zone.
    """
    rows = drawing.modules(text, correction=correction)
    one = side / len(rows)
    pdf.set_fill_color(0)
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            run = next((end for end in range(x, len(row)) if row[end] != row[x]), len(row)) - x
            if row[x]:
                pdf.rect(left + x * one, top + y * one, run * one, one, style="F")
            x += run


def _facts(page: Mapping[str, Any], *, transfer: bool) -> list[tuple[str, str]]:
    order = page["order"]
    facts = [(_("Số xác nhận"), page["number"])]
    if transfer:
        facts += [(_("Người nhận"), page["payee_name"])]
        facts += [(_("Lời nhắn"), page["memo"])] if page["memo"] else []
    if bought := page.get("bought"):
        facts += [(_("Trả cho"), bought.merchant), (_("Điểm bán"), f"{bought.point}, {bought.place}")]
        facts += [(_("Hoá đơn"), bought.number)] if bought.number else []
    facts += [(_("Người chuyển") if transfer else _("Người trả"), order["payer_name"])]
    facts += [(_("Từ ví"), order["payer_account"])] if order["payer_account"] else []
    facts += [(_("Tới ví"), page["payee_account"])] if transfer else []
    return [*facts, (_("Mã lệnh"), order["id"])]


class _Sheet:
    """A document in the making: each method writes one part below the one before."""

    def __init__(self, title: str, page: Mapping[str, Any], *, city: str, demo: bool) -> None:
        self._pdf = _document(city, demo=demo)
        self._pdf.set_title(f"{title} {page['number']}")
        self._pdf.set_author(f"Tràng Tiền · {city}")
        self._pdf.creation_date = page["order"]["at"]  # the same payment is the same file
        self._width = self._pdf.epw

    def bytes(self) -> bytes:
        return bytes(self._pdf.output())

    def head(self, title: str, page: Mapping[str, Any], *, transfer: bool) -> None:
        done = _("Đã chuyển xong lúc") if transfer else _("Đã trả xong lúc")
        at = page["order"]["at"].astimezone(clock.CITY_TIME).strftime("%d/%m/%Y %H:%M")
        self._line(title, size=_TITLE, bold=True, align="C")
        self._line(f"{done} {at}", grey=True, align="C")
        self._line(money.grouped(page["total"]), size=_SUM, bold=True, align="C")
        self._line(f"{_('Bằng chữ')}: {page['total_words']}", align="C")
        self._rule()

    def facts(self, facts: list[tuple[str, str]]) -> None:
        for name, value in facts:
            self._pair(name, value)
        self._rule()

    def bill(self, line: Mapping[str, Any]) -> None:
        """One bill: who is paid for what, line by line with its budget codes, and what was given back since."""
        self._line(line["agency"], size=_HEAD, bold=True)
        self._line(line["procedure"])
        about = f"{_('Hồ sơ')} {line['dossier']} · {_('Mã khoản')} {line['code']}"
        self._line(f"{about} · {_('Người phải nộp')}: {line['debtor_name']}", size=_SMALL, grey=True)
        self._pdf.ln(_GAP)
        for one in line["lines"]:
            self._amount(one["name"], one["amount"])
            item = f"{_('tiểu mục')} {one['tieu_muc']} {one['tieu_muc_name']}".rstrip()
            area = f"{_('địa bàn')} {one['area_name'] or one['dia_ban']}"
            self._line(f"{_('Chương')} {one['chuong']}, {item}, {area}", size=_SMALL, grey=True)
        self._amount(_("Cộng"), line["amount"], bold=True)
        for back in line["backs"]:
            self._amount(_("Đã hoàn ngày %(day)s", day=back["day"].strftime("%d/%m/%Y")), back["amount"])
        self._rule()

    def backs(self, backs: Sequence[Mapping[str, Any]]) -> None:
        """What went back of a payment to a merchant, each with its day."""
        for back in backs:
            self._amount(_("Đã hoàn ngày %(day)s", day=back["day"].strftime("%d/%m/%Y")), back["amount"])
        if backs:
            self._rule()

    def proof(self, page: Mapping[str, Any], *, transfer: bool) -> None:
        """The QR code and where it leads, kept together."""
        if self._pdf.will_page_break(_QR_SIDE + 2):
            self._pdf.add_page()
        top = self._pdf.get_y() + 1
        # The paper's own margin is as light as the symbol's: its dark modules begin where the text above does.
        quiet = self._code(page["address"], self._pdf.l_margin, top)
        left = self._pdf.l_margin + _QR_SIDE - quiet
        self._pdf.set_xy(left, top + quiet)
        said = (
            _("Trang này xác nhận tiền đã tới ví người nhận.")
            if transfer
            else _("Trang này xác nhận tiền đã tới điểm bán, không thay hoá đơn của người bán.")
            if page.get("bought")
            else _("Trang này xác nhận tiền đã được trả, chưa phải là biên lai điện tử của cơ quan thu.")
        )
        texts = (_("Quét mã để kiểm xác nhận này"), page["address"].partition("://")[2], said)
        for text, size, bold in zip(texts, (_HEAD, _SMALL, _SMALL), (True, False, False), strict=True):
            self._pdf.set_x(left)
            self._line(text, size=size, bold=bold, width=self._width - _QR_SIDE + quiet)

    # -- hands ---------------------------------------------------------------------------------------------

    def _line(
        self,
        text: str,
        *,
        size: float = _TEXT,
        bold: bool = False,
        grey: bool = False,
        align: str = "L",
        width: float = 0,
    ) -> None:
        self._face(size, bold=bold, grey=grey)
        self._pdf.multi_cell(width or self._width, size * _LEADING, text, align=align, new_x="LMARGIN", new_y="NEXT")

    def _pair(self, name: str, value: str) -> None:
        self._face(_TEXT, grey=True)
        self._pdf.cell(_LABEL_WIDTH, _TEXT * _LEADING, name)
        self._face(_TEXT)
        width = self._width - _LABEL_WIDTH
        self._pdf.multi_cell(width, _TEXT * _LEADING, value, align="R", new_x="LMARGIN", new_y="NEXT")

    def _amount(self, name: str, amount: int, *, bold: bool = False) -> None:
        self._face(_TEXT, bold=bold)
        sum_width = self._pdf.get_string_width(money.grouped(amount)) + 4
        self._pdf.multi_cell(self._width - sum_width, _TEXT * _LEADING, name, align="L", new_x="RIGHT", new_y="LAST")
        self._pdf.cell(sum_width, _TEXT * _LEADING, money.grouped(amount), align="R", new_x="LMARGIN", new_y="NEXT")

    def _face(self, size: float, *, bold: bool = False, grey: bool = False) -> None:
        self._pdf.set_font(_FACE, "B" if bold else "", size)
        self._pdf.set_text_color(_GREY if grey else 0)

    def _rule(self) -> None:
        y = self._pdf.get_y() + 1.5
        self._pdf.set_draw_color(190)
        self._pdf.line(self._pdf.l_margin, y, self._pdf.l_margin + self._width, y)
        self._pdf.set_y(y + 1.5)

    def _code(self, text: str, left: float, top: float) -> float:
        """Draw the symbol.

        Returns:
            How wide its quiet zone is; that of its left side lies in the margin.
        """
        rows = len(drawing.modules(text))
        quiet = drawing.QUIET_MODULES * _QR_SIDE / rows
        _symbol(self._pdf, text, left - quiet, top, _QR_SIDE)
        return quiet


def _document(city: str, *, demo: bool) -> "FPDF":
    # Half a second to import, which only who prints should wait for.
    from fpdf import FPDF

    class Document(FPDF):
        """A document that says on each sheet whose it is."""

        def header(self) -> None:
            self.set_font(_FACE, "", _SMALL)
            self.set_text_color(_GREY)
            mark = f" · DỮ LIỆU MẪU: {_('không có tiền thật')}" if demo else ""
            self.cell(0, _SMALL * _LEADING, f"Tràng Tiền · {city}{mark}", align="C", new_x="LMARGIN", new_y="NEXT")
            self.ln(2)

        def footer(self) -> None:
            self.set_y(-_FOOT + 3)
            self.set_font(_FACE, "", _SMALL)
            self.set_text_color(_GREY)
            self.cell(0, _SMALL * _LEADING, f"{self.page_no()} / {_SHEETS}", align="C")

    pdf = Document(format=_A5)
    _faces(pdf)
    pdf.alias_nb_pages(_SHEETS)
    pdf.set_margin(_MARGIN)
    pdf.set_auto_page_break(True, margin=_FOOT)
    pdf.set_lang("vi")
    pdf.add_page()
    return pdf


def _faces(pdf: "FPDF") -> None:
    pdf.add_font(_FACE, "", _FONTS / "be-vietnam-pro-400.ttf")
    pdf.add_font(_FACE, "B", _FONTS / "be-vietnam-pro-600.ttf")
    pdf.c_margin = 0
