"""Claims: what a receipt says of itself, one by one, each with the code that names it when it is false.

Words   A claim's code and exit status never change their meaning; a new claim gets new ones. Both verifiers, the one in
        Python and the one in the browser, tell these codes and no others.
        A receipt proves. An acknowledgement and a refusal are the operator's signed word: they bind the operator, and
        prove nothing about the books.
"""

from dataclasses import dataclass
from typing import Final, Literal

Locale = Literal["vi", "en"]
LOCALES: Final[tuple[Locale, ...]] = ("vi", "en")


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that is true or false of a receipt: its code, the exit status that says it is false, and its words."""

    code: str
    status: int
    vi: str
    en: str

    def says(self, locale: Locale) -> str:
        """Return the claim as a sentence."""
        return self.vi if locale == "vi" else self.en


class False_(Exception):  # noqa: N801 - what it is called in words; `False` is taken
    """A claim does not hold; `detail` says what was found instead, in English and without judging why."""

    def __init__(self, claim: Claim, detail: str) -> None:
        super().__init__(f"{claim.code}: {detail}")
        self.claim, self.detail = claim, detail


READABLE: Final = Claim(
    "receipt_unreadable", 10,
    "Tệp bằng chứng đúng khuôn dạng",
    "The file is a receipt of the form we know",
)  # fmt: skip
ORDER: Final = Claim(
    "order_unreadable", 11,
    "Lệnh đọc được, chỉ theo một cách",
    "The order can be read, in one way only",
)  # fmt: skip
KEY: Final = Claim(
    "key_unreadable", 12,
    "Khoá công khai là khoá P-256 hoặc Ed25519 dùng được",
    "The public key is a usable P-256 or Ed25519 key",
)  # fmt: skip
BASE: Final = Claim(
    "signature_base_unreadable", 13,
    "Phần được ký đúng khuôn dạng RFC 9421 và gồm đủ các mục bắt buộc",
    "What was signed has the form of RFC 9421 and covers all that it must",
)  # fmt: skip
PURPOSE: Final = Claim(
    "signature_purpose_differs", 14,
    "Chữ ký được tạo để ra lệnh cho ví, không cho việc khác",
    "The signature was made to give a wallet an order and for nothing else",
)  # fmt: skip
SIGNERS_KEY: Final = Claim(
    "signature_key_differs", 15,
    "Chữ ký nêu đúng mã của khoá này (RFC 7638)",
    "The signature names this very key by its id (RFC 7638)",
)  # fmt: skip
BODY: Final = Claim(
    "signature_body_differs", 16,
    "Chữ ký bao trùm đúng từng byte của lệnh này",
    "The signature covers the very bytes of this order",
)  # fmt: skip
ORDER_ID: Final = Claim(
    "signature_order_differs", 17,
    "Mã lệnh trong chữ ký là mã của lệnh này",
    "The order's id in the signature is this order's",
)  # fmt: skip
AUDIENCE: Final = Claim(
    "signature_audience_differs", 18,
    "Lệnh được gửi tới đúng dịch vụ mà người ký đã nêu",
    "The order was sent to the service that its signer named",
)  # fmt: skip
SIGNATURE: Final = Claim(
    "signature_invalid", 19,
    "Chữ ký của người ra lệnh khớp với khoá công khai",
    "The signer's signature fits the public key",
)  # fmt: skip
SERVICE: Final = Claim(
    "log_of_other_service", 20,
    "Nhật ký là của chính dịch vụ mà người ký đã nêu",
    "The log is that of the service that the signer named",
)  # fmt: skip
EVENT: Final = Claim(
    "event_unreadable", 21,
    "Sự kiện trong nhật ký đọc được, chỉ theo một cách",
    "The event in the log can be read, in one way only",
)  # fmt: skip
DIGEST: Final = Claim(
    "event_order_differs", 22,
    "Sự kiện mang dấu băm của lệnh này: SHA-256(muối ‖ lệnh)",
    "The event carries this order's digest: SHA-256(salt ‖ order)",
)  # fmt: skip
ACTOR: Final = Claim(
    "event_signer_differs", 23,
    "Sự kiện nêu đúng người ký và loại lệnh",
    "The event names the signer and the kind of order",
)  # fmt: skip
WINDOW: Final = Claim(
    "event_outside_window", 24,
    "Lệnh được thực hiện trong thời hạn mà người ký đặt ra",
    "The order was carried out within the time that its signer set",
)  # fmt: skip
ENTRY: Final = Claim(
    "entry_not_as_ordered", 25,
    "Bút toán làm đúng điều đã ký: từ ví nào, trả gì, bao nhiêu",
    "The entry does what was signed: out of which wallet, for what, how much",
)  # fmt: skip
ENROLMENT: Final = Claim(
    "key_not_enrolled", 26,
    "Nhật ký ghi rằng khoá này là của người ký và đã được chấp nhận",
    "The log tells that this key is the signer's and was let in",
)  # fmt: skip
NOTE: Final = Claim(
    "checkpoint_unreadable", 27,
    "Điểm chốt của nhật ký đọc được",
    "The log's checkpoint can be read",
)  # fmt: skip
LOG: Final = Claim(
    "checkpoint_of_other_log", 28,
    "Điểm chốt là của nhật ký cần kiểm",
    "The checkpoint is that of the log in question",
)  # fmt: skip
SIGNED: Final = Claim(
    "checkpoint_not_signed", 29,
    "Điểm chốt có chữ ký của nhật ký",
    "The checkpoint has the log's signature",
)  # fmt: skip
NOTE_SIGNATURE: Final = Claim(
    "checkpoint_signature_invalid", 30,
    "Mọi chữ ký đã biết dưới điểm chốt đều khớp",
    "Each known signature under the checkpoint fits",
)  # fmt: skip
IN_FORCE: Final = Claim(
    "checkpoint_key_not_in_force", 31,
    "Khoá đã ký điểm chốt đang có hiệu lực ở cỡ nhật ký này",
    "The key that signed the checkpoint was in force at this size of the log",
)  # fmt: skip
ROOT: Final = Claim(
    "checkpoint_root_differs", 32,
    "Điểm chốt không trái với lần đổi khoá của nhật ký",
    "The checkpoint does not contradict the log's change of keys",
)  # fmt: skip
LEAF: Final = Claim(
    "leaf_not_in_log", 33,
    "Từng byte của sự kiện là một lá trong cây của điểm chốt",
    "The very bytes of the event are a leaf in the checkpoint's tree",
)  # fmt: skip
KEY_FIRST: Final = Claim(
    "key_enrolled_later", 34,
    "Khoá đã có trong nhật ký trước lệnh",
    "The key stood in the log before the order",
)  # fmt: skip
WITNESSES: Final = Claim(
    "witnesses_too_few", 35,
    "Đủ số người chứng đã đồng ký điểm chốt",
    "As many witnesses as were asked for have cosigned the checkpoint",
)  # fmt: skip
WORD: Final = Claim(
    "statement_unreadable", 36,
    "Lời cam kết của bên vận hành đọc được",
    "The operator's statement can be read",
)  # fmt: skip
WORD_SIGNED: Final = Claim(
    "statement_not_signed", 37,
    "Lời cam kết có chữ ký của nhật ký",
    "The statement has the log's signature",
)  # fmt: skip
WORD_SIGNATURE: Final = Claim(
    "statement_signature_invalid", 38,
    "Chữ ký dưới lời cam kết khớp",
    "The signature under the statement fits",
)  # fmt: skip
WORD_ORDER: Final = Claim(
    "statement_of_other_order", 39,
    "Lời cam kết nói về đúng lệnh này và đúng những sự kiện này",
    "The statement is about this order and about these events",
)  # fmt: skip

CLAIMS: Final = (
    READABLE, ORDER, KEY, BASE, PURPOSE, SIGNERS_KEY, BODY, ORDER_ID, AUDIENCE, SIGNATURE, SERVICE, EVENT, DIGEST, ACTOR,
    WINDOW, ENTRY, ENROLMENT, NOTE, LOG, SIGNED, NOTE_SIGNATURE, IN_FORCE, ROOT, LEAF, KEY_FIRST, WITNESSES, WORD,
    WORD_SIGNED, WORD_SIGNATURE, WORD_ORDER,
)  # fmt: skip
"""Every claim there is, in the order in which they are looked at."""

PROVED: Final = 0
USAGE: Final = 2
"""The command line or the file of keys is not as it should be; argparse says so too."""
WORD_ONLY: Final = 4
"""All that the file claims is true, and it is the operator's word and no proof: what asks for a proof must not pass it."""
