"""Find a Chromium for the browser tests, or install Debian's package when that is allowed.

`python -m tests.chromium` prints where it is; without one it says loudly what will be skipped, and still
succeeds: whether a skip is a failure is decided in tests/conftest.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_S_MAX = 900


def find() -> Path | None:
    """Return the browser's program, or None."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    return None


def _become_root() -> list[str] | None:
    """What to put before a command so that it runs as root; None when we may not."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def install(*packages: str) -> str | None:
    """Install Debian packages. Returns why not, or None when it is done."""
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        return f"this system has no apt-get; install {names} by its own means"
    root = _become_root()
    if root is None:
        return f"only root may install it: sudo apt-get install {names}"
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        print(f"Installing {names}: apt-get {' '.join(step)} …", flush=True)
        try:
            done = subprocess.run(
                [*root, *quiet, *step],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=INSTALL_S_MAX,
            )
        except subprocess.TimeoutExpired:
            return f"apt-get {step[0]} took longer than {INSTALL_S_MAX} s"
        if done.returncode and step != ["update"]:
            return f"apt-get {step[0]} failed: {(done.stdout.strip().splitlines() or ['no reason given'])[-1]}"
    return None


def main() -> int:
    found = find()
    if found is None:
        why = install("chromium")
        found = find()
        if found is None:
            line = "*" * 78
            print(
                f"{line}\n* NO CHROMIUM: EVERY BROWSER TEST WILL BE SKIPPED.\n* {why}\n{line}",
                file=sys.stderr,
            )
            return 0
    print(f"Browser tests use {found}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
