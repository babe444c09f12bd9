"""Text messages. The demo's provider is a folder: one file for each message, in `var/outbox`, newest last by name.

A real provider is another function of this shape; until the city has a contract with one, only the demo can send.
"""

from datetime import datetime

from wallet import clock
from wallet.config import Config
from wallet.refusal import Refusal


class NoProvider(Refusal):
    """Outside the demo there is nobody yet who sends messages; a code on our own disk would help nobody."""

    code = "sms_unavailable"
    status = 503
    stored = False


def send(config: Config, phone: str, message: str, *, now: datetime) -> None:
    """Send a message to a phone. Called after the unit that caused it has committed.

    Raises:
        NoProvider: not the demo.
    """
    if not config.demo:
        raise NoProvider
    outbox = config.var_dir / "outbox"
    outbox.mkdir(parents=True, exist_ok=True)
    stamp = now.astimezone(clock.CITY_TIME).strftime("%Y%m%dT%H%M%S.%f")
    path = outbox / f"{stamp}-{phone}.txt"
    path.touch(mode=0o600)
    path.write_text(message + "\n", encoding="utf-8")


def one_time_code(code: str, locale: str) -> str:
    """Word the message that carries a one-time code."""
    if locale == "en":
        return f"Trang Tien: your code is {code}, good for 10 minutes. Never tell it to anybody, not even to us."
    return f"Tràng Tiền: mã xác nhận của quý vị là {code}, có hiệu lực 10 phút. Không đọc mã này cho bất kỳ ai."


def new_device(check_code: str, locale: str) -> str:
    """Word the message that tells of a new device; in our words only, never in those of whoever enrols it."""
    if locale == "en":
        return (
            f"Trang Tien: a new device ({check_code}) asks to sign for your wallet. Not you? Call the hotline at once."
        )
    return (
        f"Tràng Tiền: có máy mới ({check_code}) xin ký cho ví của quý vị. Nếu không phải quý vị, xin gọi tổng đài ngay."
    )
