"""Logs: one JSON object a line on stderr, each with its request id; never a body, a PIN, a code or a key."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

from flask import g, has_request_context, request

_EXTRAS: Final = ("code", "status", "sqlstate")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if has_request_context():
            line |= {"request_id": g.get("request_id", ""), "method": request.method, "endpoint": request.endpoint}
        line |= {name: vars(record)[name] for name in _EXTRAS if name in vars(record)}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def to_stderr() -> None:
    """Send our own logs to stderr as JSON; calling it again changes nothing."""
    ours = logging.getLogger("wallet")
    if not any(isinstance(handler.formatter, _Json) for handler in ours.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Json())
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False
