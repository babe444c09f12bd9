"""Tools that others wrote and that must agree with ours: found, or installed from Debian when that is allowed.

`python -m tests.tools` says which there are; without one it says loudly what will be skipped, and still succeeds:
whether a skip is a failure is decided in tests/conftest.py.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import chromium

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "var" / "test" / "golang"
"""What Go made of tests/golang, kept until the source or Go changes."""

GOPATH = Path("/usr/share/gocode")
"""Where Debian puts the sources of Go's packages; nothing is downloaded."""

BUILD_S_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program, whether it is here, and the Debian packages that bring it."""

    name: str
    packages: tuple[str, ...]
    is_here: Callable[[], bool]

    def need(self) -> None:
        """Skip the test that needs it when it is missing."""
        if not self.is_here():
            pytest.skip(f"no {self.name}: apt-get install {' '.join(self.packages)}")


GO = Tool(
    name="Go with golang.org/x/mod",
    packages=("golang-go", "golang-golang-x-mod-dev"),
    is_here=lambda: shutil.which("go") is not None and (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir(),
)
OPENSSL = Tool(name="openssl", packages=("openssl",), is_here=lambda: shutil.which("openssl") is not None)
HLEDGER = Tool(name="hledger", packages=("hledger",), is_here=lambda: shutil.which("hledger") is not None)
TOOLS = (GO, OPENSSL, HLEDGER)


def go_program(name: str) -> Path:
    """Build tests/golang/NAME.go, or find what an earlier run built. Skips the test without Go."""
    GO.need()
    environ = {
        "PATH": os.environ["PATH"],
        "GOPATH": str(GOPATH),
        "GOCACHE": str(BUILT / "cache"),
        "GO111MODULE": "off",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    source = ROOT / "tests" / "golang" / f"{name}.go"
    version = subprocess.run(["go", "version"], env=environ, capture_output=True, check=True).stdout
    program = BUILT / f"{name}-{hashlib.sha256(version + source.read_bytes()).hexdigest()[:16]}"
    if not program.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")  # two workers may build at once; the last one's stays
        built = subprocess.run(
            ["go", "build", "-o", str(unfinished), str(source)],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_S_MAX,
        )
        assert built.returncode == 0, built.stderr
        unfinished.replace(program)
    return program


def main() -> int:
    missing = [tool for tool in TOOLS if not tool.is_here()]
    why = chromium.install(*(package for tool in missing for package in tool.packages)) if missing else None
    for tool in TOOLS:
        if tool.is_here():
            print(f"Tests compare with {tool.name}.")
        else:
            line, what = "*" * 78, f"NO {tool.name.upper()}: WHAT IT SHOULD CONFIRM WILL BE SKIPPED."
            print(f"{line}\n* {what}\n* {why}\n{line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
