"""How gunicorn serves the pages and the API. Everything else comes from wallet/config.py."""

import os
from typing import Any

from wallet.config import port_of
from wallet.run.lifeline import die_with_parent

# This machine only. A city puts its own TLS proxy in front.
bind = [f"127.0.0.1:{port_of(os.environ)}"]

# A worker does one request at a time and answers in milliseconds; two keep two cores busy. WEB_CONCURRENCY
# overrides. docs/performance.md holds it against threads.
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "sync"

# The application is made once and the workers are forked from it: one that died is back at once, and they share what they
# only read. It keeps no connection that two of them could use (wallet.web.app.create).
preload_app = True

# Longer than the longest wait for a lock and a statement (wallet/db.py); a worker that exceeds it is stuck.
timeout = 30
# Ctrl-C takes seconds, also while somebody reads slowly.
graceful_timeout = 5

# Nobody in front of us is trusted to say who asks or how: X-Forwarded-* and SCRIPT_NAME are as good as not
# sent.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
header_map = "drop"

# A signed order is small; its headers are some 600 bytes.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# No socket by which others could steer the server.
control_socket_disable = True

# Workers beat in memory: a slow disk must not look like a stuck worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # a folder, not a guessable file

accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
proc_name = "trang-tien"


def on_starting(_server: Any) -> None:
    """The master goes with the launcher."""
    die_with_parent(int(os.environ["LAUNCHER_PID"]) if "LAUNCHER_PID" in os.environ else None)


def post_fork(_server: Any, worker: Any) -> None:
    """A worker goes with its master."""
    die_with_parent(worker.ppid)
