"""django-hordak from here: its own virtual environment in var/bench-venv, and its program as a subject to be measured.

It and everything it brings are pinned; installed once, over the network, and left there for the next run.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from wallet.run.faults import Fault

PINNED: Final = (
    "django-hordak==2.0.0",
    "Django==5.2.19",
    "psycopg[binary]==3.3.9",
    "asgiref==3.13.0",
    "babel==2.18.0",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "diff-match-patch==20241021",
    "dj-database-url==3.1.2",
    "django-extensions==4.1",
    "django-import-export==4.4.3",
    "django-js-asset==5.0.0",
    "django-money==3.6.2",
    "django-mptt==0.20.0",
    "idna==3.20",
    "py-moneyed==3.0",
    "requests==2.34.2",
    "sqlparse==0.6.1",
    "tablib==3.10.0",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
)

INSTALL_S_MAX: Final = 180
ROOT: Final = Path(__file__).parents[2]


def install(folder: Path) -> Path:
    """Have the peer's virtual environment; returns its Python.

    Raises:
        Fault: it cannot be installed, for want of a network most likely; with pip's own last line.
    """
    python, stamp = folder / "bin" / "python", folder / "pinned.txt"
    wanted = "\n".join(PINNED) + "\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print("Installing django-hordak into", folder, "…", flush=True)
    try:
        venv.create(folder, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *PINNED]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        raise Fault(f"django-hordak cannot be installed: {error}.") from error
    if done.returncode:
        raise Fault(
            f"django-hordak cannot be installed: {(done.stderr.strip() or 'pip gave no reason').splitlines()[-1]}"
        )
    stamp.write_text(wanted)
    return python


class Hordak:
    """The peer's program, with its tables made in the peers' database.

    Args:
        python: of its own virtual environment.
        url: of the peers' database.
        accounts: how many it makes.
    """

    def __init__(self, python: Path, url: str, accounts: int) -> None:
        environ = {**os.environ, "DATABASE_URL": url, "ACCOUNTS": str(accounts), "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [str(python), "-m", "bench.peers.hordak_ledger"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def crew(self, clients: int) -> "HordakCrew":
        """Return so many of its clients as one subject."""
        return HordakCrew(self, clients)

    def ask(self, clients: int, seconds: float) -> float:
        """Have it measure one slice."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"clients": clients, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return float(self._answer()["rate"])

    def close(self) -> None:
        """End it."""
        self.process.communicate()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Fault(f"the django-hordak peer ended with {self.process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer


class HordakCrew:
    """So many clients of the peer."""

    def __init__(self, peer: Hordak, clients: int) -> None:
        self.name = "hordak"
        self.peer = peer
        self.clients = clients

    def slice(self, seconds: float) -> float:
        """Let them post for so long; return transactions a second."""
        return self.peer.ask(self.clients, seconds)

    def close(self) -> None:
        """Nothing: the program is closed as a whole."""


def try_install(folder: Path) -> Path | None:
    """Install the peer, or say loudly that the run goes on without it."""
    try:
        return install(folder)
    except Fault as fault:
        print(f"\n*** NO FIGURES OF django-hordak IN THIS RUN: {fault} ***\n", file=sys.stderr, flush=True)
        return None
