"""The worker process: what runs behind the pages. `python -m wallet.run.worker` until SIGTERM or Ctrl-C."""

import os
import signal
import sys
import threading

import wsgi
from wallet.config import Config, ConfigError
from wallet.run.lifeline import die_with_parent


def main() -> int:
    """Run the jobs until told to stop."""
    die_with_parent(int(os.environ["LAUNCHER_PID"]) if "LAUNCHER_PID" in os.environ else None)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        worker = wsgi.create_worker(Config.from_env(os.environ))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    worker.run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
