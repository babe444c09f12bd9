"""How gunicorn serves the streams: as the pages, but for what is named here. Everything else comes from wallet/config.py."""

import os
import resource
import signal
from typing import Any, Final

from wallet.config import live_port_of
from wallet.run import gunicorn_conf as pages
from wallet.run.gunicorn_conf import (  # noqa: F401 - gunicorn reads every name that stands in this file
    accesslog,
    control_socket_disable,
    errorlog,
    forwarded_allow_ips,
    forwarder_headers,
    header_map,
    limit_request_field_size,
    limit_request_fields,
    limit_request_line,
    loglevel,
    on_starting,
    secure_scheme_headers,
    timeout,
    worker_tmp_dir,
)

bind = [f"127.0.0.1:{live_port_of(os.environ)}"]

# One event loop holds every stream: a second process would follow the log a second time for nothing.
workers = 1
worker_class = "asgi"
asgi_loop = "asyncio"
asgi_lifespan = "on"

graceful_timeout = pages.graceful_timeout
proc_name = f"{pages.proc_name}-live"

_FILES: Final = 4_096
"""Twice as many as there may be streams (wallet/live/hub.py); many systems start a process with leave for 1,024."""


def post_fork(server: Any, worker: Any) -> None:
    """The worker goes with its master, and may open a file for each stream."""
    pages.post_fork(server, worker)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def post_worker_init(worker: Any) -> None:
    """Told to stop, hang up at once: streams do not end by themselves, and a page that comes back misses nothing."""
    worker.loop.add_signal_handler(signal.SIGTERM, worker.handle_quit_signal)
