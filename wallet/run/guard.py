"""The guard: puts the embedded database away when its launcher was killed and could not.

The launcher holds the other end of our standard input. When it is gone, by whatever death, reading ends, and
we stop the cluster unless somebody else uses it. After an orderly end there is nothing left to stop.
"""

import os
import signal
import sys
import time
from typing import Final

from wallet.run.environment import embedded
from wallet.run.faults import Fault

DYING_S_MAX: Final = 5
"""A dying process lets go of our pipe a moment before it lets go of its lock. Who holds the lock longer uses
it."""


def main() -> int:
    """Wait for the end of the launcher."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    cluster = embedded(os.environ)
    deadline = time.monotonic() + DYING_S_MAX
    try:
        while not cluster.stop_if_unused() and time.monotonic() < deadline:
            time.sleep(0.1)
    except Fault:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
