"""What the launcher prints when the city is up: where it is, where to look, who to sign in as."""

import json
from collections.abc import Mapping
from typing import Any, Final

from wallet.config import DEMO_KEYS_FILE, Config

ROOMS: Final = (
    ("/", "người dân: số dư, khoản phải nộp, thanh toán (citizen)"),
    ("/cho", "chợ: tìm hàng, tìm quầy (market, for anybody)"),
    ("/ban-hang", "điểm bán: quầy thu tiền, mã QR, hoàn tiền (merchant)"),
    ("/quay", "quầy của cơ quan: lập và tra khoản thu (agency desk)"),
    ("/kiem-toan", "kiểm toán: bảng cân đối, nhật ký (auditor)"),
    ("/van-hanh", "vận hành (operator)"),
    ("/docs", "the signed API, readable; /openapi.json for machines"),
)

NAMED_MAX: Final = 12
"""More would scroll the address off the screen; all are in the file."""


def text(config: Config) -> str:
    """Return the lines to print."""
    lines = ["", f"  Tràng Tiền: {config.public_origin}", ""]
    width = max(len(path) for path, _ in ROOMS)
    lines += [f"    {path:<{width}}  {what}" for path, what in ROOMS]
    principals = _principals(config) if config.demo else []
    if principals:
        lines += ["", "  Sign in as (DỮ LIỆU MẪU, invented people):", ""]
        lines += _table([("role", "phone", "PIN", "name"), *map(_row, principals[:NAMED_MAX])])
        lines += [
            "",
            f"  With keys: {config.var_dir / DEMO_KEYS_FILE}. SMS codes: {config.var_dir / 'outbox'}.",
        ]
    if config.stripe and config.stripe.api_base:
        lines += [f"  Card processor (giả lập, a stand-in): {config.stripe.api_base}"]
    lines += [f"  Logs: {config.var_dir / 'log'}. Prove the books: make prove. Ctrl-C stops everything.", ""]
    return "\n".join(lines)


def _principals(config: Config) -> list[Mapping[str, Any]]:
    """The people that the demo city wrote down, those who can sign in by PIN only."""
    path = config.var_dir / DEMO_KEYS_FILE
    if not path.exists():
        return []
    principals: list[Mapping[str, Any]] = json.loads(path.read_text()).get("principals", [])
    return [principal for principal in principals if principal.get("pin")]


def _row(principal: Mapping[str, Any]) -> tuple[str, str, str, str]:
    name = str(principal.get("name", ""))
    more = principal.get("agency_name") or principal.get("agency") or principal.get("also")
    return (
        str(principal.get("role", "")),
        str(principal.get("phone", "")),
        str(principal.get("pin", "")),
        f"{name}, {more}" if more else name,
    )


def _table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "    " + "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
