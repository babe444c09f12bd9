"""Logs: one JSON object a line on stderr, each with its request id; never a body, a PIN, a code or a key."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final

from flask import g, has_request_context, request
from sqlalchemy.exc import DBAPIError

_EXTRAS: Final = ("code", "status", "sqlstate", "holder")


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
            line["trace"] = self._trace(record.exc_info)
        return json.dumps(line, ensure_ascii=False)

    def _trace(self, info: Any) -> str:
        """Spell a trace; of a driver's error without its text, which quotes values (a phone, a name)."""
        _, fault, trace = info
        if not isinstance(fault, DBAPIError):
            return self.formatException(info)
        named = getattr(getattr(fault.orig, "diag", None), "constraint_name", None)
        return "".join(traceback.format_tb(trace)) + f"{type(fault.orig).__name__} constraint={named}"


def to_stderr() -> None:
    """Send our own logs to stderr as JSON; calling it again changes nothing."""
    ours = logging.getLogger("wallet")
    if not any(isinstance(handler.formatter, _Json) for handler in ours.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Json())
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False
