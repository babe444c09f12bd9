"""Export the configured books: `make export ARGS="so.zip"`. It reads as the audit role; the ending says what is wanted.

    so.zip          the bundle to take home
    so.beancount    a journal for beancount
    so.journal      a journal for hledger
    la.ndjson       the log's leaves, each with its proof

For books that are too large to wait for in a browser: it streams, and takes as long as it takes.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wallet import city, db
from wallet.config import postgres_url
from wallet.exports import bundle, journals, leaves
from wallet.exports.books import Books, snapshot
from wallet.exports.leaves import Promise
from wallet.log import keyring
from wallet.log.published import PublishedLog

ENDINGS = (".zip", ".beancount", ".journal", ".ndjson")


def pieces(books: Books, promise: Promise | None, ending: str, *, log_keys: str, title: str) -> Iterator[bytes]:
    """Yield the export that an ending asks for.

    Args:
        books: the snapshot, taken after the promise was asked for.
        promise: the log's.
        ending: one of ENDINGS.
        log_keys: a line for each key that the log has had.
        title: whose books they are.
    """
    if ending == ".zip":
        parts = bundle.parts(books, promise, log_keys=log_keys, title=title)
        yield from bundle.zipped(parts, at=books.taken_at)
        return
    texts: dict[str, Iterable[str]] = {
        ".beancount": journals.beancount(books, title=title),
        ".journal": journals.hledger(books, title=title),
        ".ndjson": leaves.ndjson(books, promise, proofs=True),
    }
    yield from (text.encode() for text in texts[ending])


def _log_keys(var_dir: Path) -> str:
    try:
        return str(keyring.keys(var_dir))
    except keyring.NoKey:
        return ""


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> int:
    """Write the export to a file that is not there yet, and say how large it is."""
    parser = argparse.ArgumentParser(prog="make export", description="Export the books for other people's tools.")
    parser.add_argument("file", type=Path, help=f"a new file that ends in {', '.join(ENDINGS)}")
    asked = parser.parse_args(arguments)
    if asked.file.suffix not in ENDINGS:
        parser.error(f"the file's ending says what is wanted: {', '.join(ENDINGS)}")
    url = postgres_url("AUDIT_DATABASE_URL", os.environ.get("AUDIT_DATABASE_URL", ""))
    var_dir = Path(os.environ.get("VAR_DIR", "var"))
    title = f"Tràng Tiền · {city.load(Path(os.environ.get('CITY_FILE', 'city.toml'))).name}"
    promise = leaves.promised(PublishedLog(keyring.folder(var_dir)))
    database = db.engine(url, name="export")
    try:
        with snapshot(database) as books, asked.file.open("xb") as out:
            for piece in pieces(books, promise, asked.file.suffix, log_keys=_log_keys(var_dir), title=title):
                out.write(piece)
            print(f"{asked.file}: {books.entry_count()} entries, {out.tell():,} bytes.")
    except FileExistsError:
        print(f"{asked.file} is there already.", file=sys.stderr)
        return 1
    finally:
        database.dispose()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
