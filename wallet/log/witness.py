"""The witness: `python -m wallet.log.witness`, run by an auditor on a machine of their own. It takes nothing on trust.

What    It remembers the last checkpoint that it verified. It fetches the newest one, computes from the log's tiles whether
        that one begins with what it remembers, and only then cosigns it and hands the cosignature in. One who rewrites the
        log and signs it anew with its real key is caught by whoever remembers.
Words   A fork: two checkpoints that the log signed and no tree has both of. Both are kept as evidence.
Codes   log_forked, log_shrunk, log_unsigned, log_unproven: misconduct, status 1, with the evidence beside the state.
        log_unreachable, cosignature_refused: status 3; with --every it is said and tried again. witness_unready: status 2.
Source  c2sp.org/tlog-tiles, c2sp.org/tlog-cosignature. Needs Python and the package `cryptography`.
"""

import argparse
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wallet.log import merkle, note
from wallet.log.checkpoint import BadCheckpoint, BadLogKeys, Checkpoint, LogKeys, Opened
from wallet.log.merkle import HASH_BYTES, BadProof, BadTile, Tile, TiledNodes
from wallet.log.note import BadKey, BadNote, FileSigner, Note, Signer
from wallet.log.visible import visible

TIMEOUT_S: Final = 20
TILE_BYTES_MAX: Final = merkle.TILE_WIDTH * HASH_BYTES
HANDED_IN_TRIES: Final = 5
"""The service learns of its newest checkpoint a moment after the world does."""


class Unwitnessed(Exception):
    """The checkpoint was not cosigned; `code` and `status` are stable."""

    code: str
    status: int


class Misconduct(Unwitnessed):
    """The log has broken a promise that it signed, or does not show that it kept it."""

    status = 1


class Forked(Misconduct):
    """The log signed two checkpoints that no tree has both of."""

    code = "log_forked"


class Shrunk(Misconduct):
    """The log shows fewer leaves than it signed before."""

    code = "log_shrunk"


class Unsigned(Misconduct):
    """What the log shows as its checkpoint is none that its key in force has signed."""

    code = "log_unsigned"


class Unproven(Misconduct):
    """The log's tiles do not lead to the checkpoint that it shows, or are withheld."""

    code = "log_unproven"


class Unreachable(Unwitnessed):
    """The log did not answer: that proves nothing."""

    code = "log_unreachable"
    status = 3


class NotTaken(Unwitnessed):
    """The service did not take the cosignature; it stands beside the state, and may be handed in by anybody."""

    code = "cosignature_refused"
    status = 3


class Unready(Unwitnessed):
    """The witness's own keys or state cannot be used."""

    code = "witness_unready"
    status = 2


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP."""

    status: int
    body: bytes


Http = Callable[[str, bytes | None, int], Reply]
"""Gets an address, or posts bytes to it, and reads at most so many of the answer's. Raises Unreachable."""


def over_http(url: str, body: bytes | None, bytes_max: int) -> Reply:
    """Ask the real log."""
    headers = {"Content-Type": "text/plain; charset=utf-8"} if body is not None else {}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - main admits http and https only
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            reply = Reply(answer.status, answer.read(bytes_max + 1))
            promised = answer.headers.get("Content-Length", "")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unreachable(f"{url}: {error!r}") from error
    if promised.isdecimal() and len(reply.body) < min(int(promised), bytes_max + 1):
        raise Unreachable(f"{url}: cut off after {len(reply.body)} of {promised} bytes")
    return reply


class Witness:
    """A witness of one log.

    Args:
        url: the log's address, without a slash at its end.
        keys: the log's keys, which the witness was given by other ways than that address.
        signer: the witness's own key.
        state: where the last verified checkpoint is kept, as the note that it was.
        http: how the log is asked.
    """

    def __init__(self, url: str, keys: LogKeys, signer: Signer, state: Path, *, http: Http = over_http) -> None:
        self.url = url
        self.keys = keys
        self.signer = signer
        self.state = state
        self._http = http
        self._handed_in = False

    def remembered(self) -> Opened | None:
        """Return what was verified last; None: nothing yet.

        Raises:
            Unready: the state is damaged, or is another log's or witness's.
        """
        if not self.state.exists():
            return None
        try:
            kept = self.keys.open(self.state.read_bytes(), [self.signer.key])
        except (BadNote, BadCheckpoint) as fault:
            raise Unready(f"{self.state}: {fault}") from fault
        if not kept.witnesses:
            raise Unready(f"{self.state}: this witness has not signed it")
        return kept

    def look(self, *, time_s: int) -> Checkpoint | None:
        """Verify the newest checkpoint against the remembered one, remember it, cosign it and hand it in.

        Args:
            time_s: now, POSIX seconds.

        Returns:
            The checkpoint that was cosigned; None when it is the remembered one.

        Raises:
            Forked, Shrunk, Unsigned, Unproven, Unreachable, NotTaken, Unready.
        """
        old = self.remembered()
        new = self._newest()
        if old is not None and new.checkpoint == old.checkpoint:
            if not self._handed_in:  # or was it? Another process may have been stopped before
                self._hand_in(old.note)
            return None
        if old is not None:
            self._compare(old, new)
        cosigned = self._by_the_log(new.note).add(note.cosign(new.note.text, self.signer, time_s=time_s))
        self._keep(self.state, cosigned)  # before anybody hears of it: what was cosigned is never forgotten
        self._hand_in(cosigned)
        return new.checkpoint

    def _by_the_log(self, shown: Note) -> Note:
        """Drop the lines of others: with ours they could be more than a note may have, and the state unreadable."""
        known = {(one.key.name, one.key.id) for one in self.keys.keys}
        return replace(shown, signatures=tuple(one for one in shown.signatures if (one.name, one.id) in known))

    def _newest(self) -> Opened:
        reply = self._get("checkpoint", note.NOTE_BYTES_MAX)
        if reply.status != 200:
            raise Unreachable(f"{self.url}/checkpoint: status {reply.status}")
        try:
            return self.keys.open(reply.body)
        except (BadNote, BadCheckpoint) as fault:
            raise Unsigned(str(fault)) from fault

    def _compare(self, old: Opened, new: Opened) -> None:
        was, now = old.checkpoint, new.checkpoint
        if now.size < was.size:
            raise self._evidence(Shrunk(f"{was.size} leaves were signed, {now.size} are shown"), old, new)
        if now.size == was.size:
            raise self._evidence(Forked(f"two roots of {now.size} leaves were signed"), old, new)
        nodes = TiledNodes(now.size, self._tile)
        try:
            merkle.check_consistency(
                was.size, was.root, now.size, now.root, merkle.consistency_proof(nodes, was.size, now.size)
            )
        except BadTile as fault:
            raise self._evidence(Unproven(str(fault)), old, new) from fault
        except BadProof as fault:
            if merkle.root(nodes, now.size) != now.root:
                raise self._evidence(Unproven("the tiles lead to another root than was signed"), old, new) from fault
            forked = Forked(f"the tree of {now.size} leaves does not begin with the {was.size} that were signed")
            raise self._evidence(forked, old, new) from fault

    def _tile(self, tile: Tile) -> bytes:
        """Fetch a tile; where a partial one is gone, the full one that has replaced it."""
        for wanted in (tile, Tile(tile.level, tile.index)):
            reply = self._get(wanted.path, TILE_BYTES_MAX)
            if reply.status == 200:
                return reply.body
            if reply.status not in (404, 410):
                raise Unreachable(f"{self.url}/{wanted.path}: status {reply.status}")
        raise BadTile(f"{tile.path} is withheld")

    def _get(self, path: str, bytes_max: int) -> Reply:
        return self._http(f"{self.url}/{path}", None, bytes_max)

    def _hand_in(self, cosigned: Note) -> None:
        self._handed_in = False
        for left in reversed(range(HANDED_IN_TRIES)):
            reply = self._http(f"{self.url}/cosignatures", cosigned.encode(), note.NOTE_BYTES_MAX)
            if reply.status == 204:
                self._handed_in = True
                return
            if reply.status != 409 or not left:
                raise NotTaken(f"status {reply.status}: {reply.body[:300].decode(errors='replace')}")
            time.sleep(1)

    def _evidence(self, reason: Misconduct, old: Opened, new: Opened) -> Misconduct:
        """Keep both notes: each bears the log's signature, and together they convict it."""
        for which, one in (("before", old), ("now", new)):
            self._keep(self.state.with_name(f"{self.state.name}.{reason.code}.{which}"), one.note)
        return reason

    @staticmethod
    def _keep(path: Path, kept: Note) -> None:
        aside = path.with_name(f".{path.name}.new")
        with open(aside, "wb") as file:
            file.write(kept.encode())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# ---- the command ----------------------------------------------------------------------------------------------------


def own_key(path: Path, name: str | None) -> FileSigner:
    """Read the witness's key; make it under `name` if there is none.

    Raises:
        Unready.
    """
    try:
        if name is not None and not path.exists():
            made = FileSigner.generate(name, note.COSIGNATURE)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(made.secret_text() + "\n")
        signer = FileSigner.parse(path.read_text(encoding="utf-8").strip())
    except (OSError, BadKey) as fault:
        raise Unready(f"{path}: {fault}") from fault
    if signer.key.algorithm != note.COSIGNATURE:
        raise Unready(f"{path}: not a cosigner's key")
    return signer


def _log_keys(path: Path) -> LogKeys:
    try:
        return LogKeys.parse(path.read_text(encoding="utf-8"))
    except (OSError, BadLogKeys, BadKey) as fault:
        raise Unready(f"{path}: {fault}") from fault


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wallet.log.witness", description="Witness a log.")
    parser.add_argument("--log", required=True, metavar="URL", help="the log's address: https://wallet.example.vn/log")
    parser.add_argument("--log-keys", required=True, type=Path, metavar="FILE", help="the log's keys, a line each")
    parser.add_argument("--key", required=True, type=Path, metavar="FILE", help="the witness's own private key")
    parser.add_argument("--make-key", metavar="NAME", help="make that key under this name, if there is none")
    parser.add_argument("--state", required=True, type=Path, metavar="FILE", help="the last checkpoint verified")
    parser.add_argument(
        "--every", type=float, metavar="S", help="go on, looking every S seconds; without it, look once"
    )
    return parser


def main(arguments: Sequence[str] = tuple(sys.argv[1:]), *, http: Http = over_http) -> int:
    """Look once, or again and again until the log misbehaves; returns the status."""
    asked = _parser().parse_args(arguments)
    try:
        if not asked.log.startswith(("http://", "https://")):
            raise Unready(f"--log {asked.log}: not an address of a web server")
        signer = own_key(asked.key, asked.make_key)
        witness = Witness(asked.log.rstrip("/"), _log_keys(asked.log_keys), signer, asked.state, http=http)
    except Unready as reason:
        return _told(reason)
    _say(f"witness {signer.key}")
    while True:
        status = _look(witness)
        if asked.every is None or status in (Misconduct.status, Unready.status):
            return status
        time.sleep(asked.every)


def _look(witness: Witness) -> int:
    try:
        seen = witness.look(time_s=int(time.time()))
    except Unwitnessed as reason:
        return _told(reason)
    _say(f"cosigned {seen.size} {seen.root.hex()}" if seen else "nothing new")
    return 0


def _told(reason: Unwitnessed) -> int:
    print(f"{reason.code}\t{visible(str(reason))}", file=sys.stderr, flush=True)
    return reason.status


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
