"""`make soak`: what the suite does for seconds, for as long as SOAK_S says (600 when it says nothing).

Each part proves the books it has filled, round by round; the first that fails ends it with its own report.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SECONDS: Final = float(os.environ.get("SOAK_S", "") or "600")
PARTS: Final = {"tests/test_concurrency.py": 0.45, "tests/test_crashes.py": 0.35}
"""What runs by the clock, and its share of it."""

MACHINE: Final = "tests/test_ledger_machine.py"
"""Runs by examples, so it is run again and again with other ones for the rest of the time."""


def run(seconds: float, *arguments: str) -> None:
    """Run tests; raise when they fail."""
    command = [sys.executable, "-m", "pytest", "-s", *arguments]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "SOAK_S": str(seconds)}, check=True)


def main() -> int:
    """Run every part; 0 when none of them found anything."""
    ends = time.monotonic() + SECONDS
    try:
        for part, share in PARTS.items():
            run(SECONDS * share, "-m", "soak", part)
        seed = int(time.time())
        while (ROOT / MACHINE).exists() and time.monotonic() < ends:
            run(0, f"--hypothesis-seed={seed}", MACHINE)
            seed += 1
    except subprocess.CalledProcessError as failed:
        return failed.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
