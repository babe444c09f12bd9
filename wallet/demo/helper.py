"""The second process of a load: orders its share of the bills, for as long as the first one lives.

The first line of standard input says what to do; when the input ends, whoever started us is gone.
"""

import json
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path
from uuid import UUID

from wallet.demo.enter import HELPERS, Entering, Load
from wallet.demo.marks import Begun
from wallet.ids import HolderId


def main() -> None:
    """Do what standard input says."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the launcher, which lets the load end
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    load = Load(
        database_url=task["database_url"],
        city_file=Path(task["city_file"]),
        begun=Begun(at=datetime.fromisoformat(task["at"]), origin=task["origin"]),
        citizens=task["citizens"],
    )
    desks = {code: HolderId(UUID(holder)) for code, holder in task["desks"].items()}
    entering = Entering(load)
    try:
        entering.bills(desks, share=HELPERS)
    finally:
        entering.close()
    sys.stdout.flush()
    os._exit(0)  # the thread still reads, and the interpreter would wait for its lock on the input


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
