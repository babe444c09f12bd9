"""The guard: puts the embedded database away when its launcher was killed and could not.

The launcher holds the other end of our standard input. When it is gone, by whatever death, reading ends, and
we stop the cluster unless somebody else uses it. After an orderly end there is nothing left to stop.
"""

import os
import signal
import sys

from wallet.run.environment import embedded
from wallet.run.faults import Fault


def main() -> int:
    """Wait for the end of the launcher."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    try:
        embedded(os.environ).stop_if_unused()
    except Fault:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
