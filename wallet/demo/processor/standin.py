"""Where a checkout's stand-in listens and by which keys it and the wallet know each other: `processor.json` in VAR_DIR."""

import json
import os
import secrets
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from wallet.demo.processor.server import Settings

KEPT: Final = "processor.json"
STATE: Final = "processor.db"
WEBHOOK: Final = "/stripe/events"
"""Where the wallet takes the processor's events."""


PORTS: Final = range(20_000, 30_000)
"""Below the ports that systems give to outgoing connections, so that it seldom has to move between two starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """What both sides must know of a stand-in."""

    port: int
    api_key: str
    webhook_secret: str

    @property
    def base(self) -> str:
        """Where it answers. By number and not by the name localhost, whose cookies are the wallet's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What the wallet is told of it."""
        return {
            "STRIPE_API_KEY": self.api_key,
            "STRIPE_WEBHOOK_SECRETS": self.webhook_secret,
            "STRIPE_API_BASE": self.base,
        }


def kept(folder: Path) -> StandIn:
    """Return the stand-in of a folder; the first time its keys and its port are made."""
    path = folder / KEPT
    if not path.exists():
        made = StandIn(
            port=_some_port(),
            api_key=f"sk_test_{secrets.token_hex(16)}",
            webhook_secret=f"whsec_{secrets.token_hex(16)}",
        )
        folder.mkdir(parents=True, exist_ok=True)
        _keep(path, made)
    return StandIn(**json.loads(path.read_text()))


def on_a_free_port(folder: Path, *, never: Collection[int] = ()) -> StandIn:
    """Return the stand-in of a folder after moving it, if another program has its port or the wallet wants it.

    Only the launcher calls this, when none of its processes is up yet.
    """
    found = kept(folder)
    if found.port in never or not _is_free(found.port):
        found = replace(found, port=_some_port(never))
        _keep(folder / KEPT, found)
    return found


def settings(folder: Path, origin: str) -> Settings:
    """Return how the stand-in of a folder is to be served for a wallet at this origin."""
    found = kept(folder)
    return Settings(
        port=found.port,
        api_key=found.api_key,
        webhook_url=f"{origin}{WEBHOOK}",
        webhook_secret=found.webhook_secret,
        file=folder / STATE,
    )


def _some_port(never: Collection[int] = ()) -> int:
    return next(port for port in iter(lambda: secrets.choice(PORTS), None) if port not in never and _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


def _keep(path: Path, found: StandIn) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(found), file)
    fresh.replace(path)
