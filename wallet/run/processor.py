"""The stand-in processor's process: `python -m wallet.run.processor` until SIGTERM or Ctrl-C. In the demo only.

It is another company's machine: it is told where the wallet listens and its own folder, and no secret of the wallet's.
"""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from wallet.config import Config
from wallet.demo.processor import standin
from wallet.demo.processor.server import Processor
from wallet.run.lifeline import die_with_parent


def is_used(config: Config) -> bool:
    """Whether this service takes its cards over the stand-in of its own folder."""
    base = config.stripe.api_base if config.stripe else None
    return base is not None and base == standin.kept(config.var_dir).base


def child_environ(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the process."""
    names = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONUNBUFFERED")
    known = {name: environ[name] for name in names if name in environ}
    return {**known, "VAR_DIR": str(config.var_dir), "PUBLIC_ORIGIN": config.public_origin}


def main() -> int:
    """Serve until told to stop."""
    die_with_parent(int(os.environ["LAUNCHER_PID"]) if "LAUNCHER_PID" in os.environ else None)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        processor = Processor(standin.settings(Path(os.environ["VAR_DIR"]), os.environ["PUBLIC_ORIGIN"]))
    except OSError as error:
        print(f"The stand-in processor cannot listen: {error.strerror}.", file=sys.stderr)
        return 1
    threading.Thread(target=processor.http.serve_forever, daemon=True).start()
    processor.deliver_until(stop)
    processor.http.shutdown()
    processor.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
