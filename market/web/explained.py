"""Explained: what a person is told about a code that leads to no payment here: what it is, and what to do with it.

Rule    Names and amounts out of a code are shown as what the code says, never as who would be paid.
"""

from dataclasses import dataclass
from typing import Final

from flask_babel import gettext as _

from market.qr.fields import ForeignAmount
from market.qr.issues import Code
from market.scanned import Address, BankCode, ConsumerCode, Damaged, ForeignCode, OneTimeCode, OurPage, Scanned
from wallet import money, words
from wallet.money import Dong
from wallet.refusal import Refusal
from wallet.web.problems import locale

_CURRENCIES: Final = {
    "116": "KHR",
    "156": "CNY",
    "344": "HKD",
    "356": "INR",
    "360": "IDR",
    "392": "JPY",
    "410": "KRW",
    "418": "LAK",
    "458": "MYR",
    "702": "SGD",
    "704": "VND",
    "764": "THB",
    "840": "USD",
    "901": "TWD",
    "978": "EUR",
    "986": "BRL",
}
"""ISO 4217 of those whose codes are met here; another is shown by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What the page says. `facts` are a code's own words, `copy` what may be copied, `tone` one of info, warn, bad."""

    title: str
    text: str
    next: str
    tone: str = "info"
    facts: tuple[tuple[str, str], ...] = ()
    copy: str = ""
    link: tuple[str, str] | None = None


def explain(found: Scanned) -> Explained:
    """Say what a code is that nobody is paid by here."""
    match found:
        case Damaged():
            return _damaged(found)
        case BankCode():
            return _bank(found)
        case ForeignCode():
            return _foreign(found)
        case ConsumerCode():
            return Explained(
                title=_("Đây là mã trả tiền của khách hàng một ví khác."),
                text=_("Mã này để người bán quét, không phải để trả tiền vào."),
                next=_("Xin quét mã của điểm bán."),
            )
        case OneTimeCode():
            return Explained(
                title=_("Đây là mã trả tiền một lần của một người mua."),
                text=_("Chỉ quầy thu tiền mới dùng được mã này, trong nửa phút."),
                next=_("Nếu quý vị bán hàng, xin mở trang quầy rồi quét lại."),
            )
        case OurPage(path):
            return Explained(
                title=_("Đây là một trang của Tràng Tiền."),
                text=_("Mở trang này không làm tiền của quý vị thay đổi."),
                next="",
                link=(path, _("Mở trang")),
            )
        case Address(host):
            return Explained(
                title=_("Đây là địa chỉ của một trang web khác."),
                text=_("Chúng tôi không mở trang lạ: mã dán ở quầy hàng dẫn ra trang web thường là lừa đảo."),
                next=_("Xin hỏi người bán mã Tràng Tiền của điểm bán."),
                tone="warn",
                facts=((_("Tên miền"), host),),
            )
        case _:
            return Explained(
                title=_("Chúng tôi không nhận ra mã này."),
                text=_("Đây không phải mã của điểm bán, hoá đơn hay người nhận tiền."),
                next=_("Xin quét lại, hoặc nhập mã 8 ký tự in trên tem."),
            )


def refused(refusal: Refusal) -> Explained:
    """Say what stands in the way of a code of ours, in the words of its refusal."""
    told = words.refusal(refusal.code, locale())
    return Explained(title=told.title, text=told.safe, next=told.next, tone="bad")


def _damaged(found: Damaged) -> Explained:
    title, text = _fault(found.code)
    following = (
        _("Xin đừng trả theo mã này và báo cho người bán: tem có thể đã bị dán đè hoặc sửa.")
        if found.ours
        else _("Tiền của quý vị chưa bị trừ. Xin quét lại ở chỗ đủ sáng, hoặc hỏi người bán mã khác.")
    )
    if found.code in (Code.OTHER_ENVIRONMENT, Code.TOO_LONG):
        following = _("Tiền của quý vị chưa bị trừ. Xin hỏi người bán mã đang dùng.")
    return Explained(title=title, text=text, next=following, tone="bad")


def _fault(code: Code) -> tuple[str, str]:
    match code:
        case Code.OTHER_ENVIRONMENT:
            return _("Mã này thuộc một hệ thống khác."), _("Mã của bản mẫu không trả được ở bản thật, và ngược lại.")
        case Code.TOO_LONG | Code.LONG:
            return _("Mã này quá dài, không phải mã thanh toán."), _("Mã thanh toán không dài quá 512 ký tự.")
        case Code.CRC_MISMATCH | Code.CRC_MALFORMED | Code.CRC_MISSING | Code.CRC_NOT_LAST | Code.CRC_LOWER_CASE:
            return _("Nội dung mã đã bị thay đổi."), _("Số kiểm tra ở cuối mã không khớp với phần còn lại.")
        case Code.AMOUNT_MALFORMED | Code.AMOUNT_ZERO | Code.AMOUNT_NOT_WHOLE | Code.TIP_MALFORMED:
            return _("Số tiền ghi trong mã không hợp lệ."), _("Số tiền phải là số đồng nguyên, lớn hơn 0.")
        case Code.TAG_REPEATED | Code.PAYEE_REPEATED:
            return _("Mã ghi lặp, không rõ tiền sẽ tới ai."), _("Một mã chỉ được có một người nhận.")
        case Code.HIDDEN_TEXT:
            return _("Mã có ký tự ẩn."), _("Trong mã có ký tự không nhìn thấy được, thường dùng để đánh lừa.")
        case Code.OWN_MALFORMED | Code.OWN_CONTRADICTS:
            return _("Mã mang tên Tràng Tiền nhưng không đúng mẫu."), _("Mã của chúng tôi không được viết như vậy.")
        case _:
            return _("Mã thanh toán bị hỏng."), _("Các phần của mã không khớp nhau, nên không đọc chắc được.")


def _bank(found: BankCode) -> Explained:
    number, bank = found.account.bin, found.bank
    name = bank.name if bank else _("Chưa rõ (số nhận diện %(bin)s)", bin=number)
    facts = [(_("Ngân hàng"), name), (_("Số tài khoản"), found.account.account)]
    if bank and bank.confidence != "B":
        facts[0] = (facts[0][0], _("%(bank)s (chưa kiểm chứng đủ)", bank=name))
    facts += _says(found.name, None, found.amount, None)
    return Explained(
        title=_("Đây là mã chuyển khoản ngân hàng (VietQR)."),
        text=_("Ví Tràng Tiền chưa trả được vào tài khoản ngân hàng. Tiền của quý vị chưa bị trừ."),
        next=_("Xin quét mã này bằng ứng dụng ngân hàng, hoặc hỏi người bán mã Tràng Tiền."),
        facts=tuple(facts),
        copy=found.account.account,
    )


def _foreign(found: ForeignCode) -> Explained:
    currency = _CURRENCIES.get(found.currency or "", found.currency)
    facts = [(_("Hệ thống"), ", ".join(found.schemes))] if found.schemes else []
    if found.country:
        facts.append((_("Nước"), found.country))
    facts += _says(found.name, found.city, found.amount, currency)
    return Explained(
        title=_("Đây là mã thanh toán của hệ thống khác."),
        text=_("Ví Tràng Tiền chưa nối với hệ thống này. Tiền của quý vị chưa bị trừ."),
        next=_("Xin trả bằng ứng dụng của hệ thống ấy, hoặc hỏi người bán mã Tràng Tiền."),
        facts=tuple(facts),
    )


def _says(
    name: str | None, city: str | None, amount: Dong | ForeignAmount | None, currency: str | None
) -> list[tuple[str, str]]:
    facts = []
    if name:
        facts.append((_("Tên ghi trong mã"), f"{name}, {city}" if city else name))
    if isinstance(amount, ForeignAmount):
        facts.append((_("Số tiền ghi trong mã"), f"{amount.text} {currency or ''}".strip()))
    elif amount is not None:
        facts.append((_("Số tiền ghi trong mã"), money.grouped(amount)))
    return facts
