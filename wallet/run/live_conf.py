"""How gunicorn serves the streams: as the pages, but for what is named here. Everything else comes from wallet/config.py."""

import os

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
    post_fork,
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

# Streams do not end by themselves; a page that is hung up on comes back and misses nothing.
graceful_timeout = 1
proc_name = f"{pages.proc_name}-live"
