"""What the stand-in remembers, in one SQLite file."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

Thing = dict[str, Any]
"""An object as the API shows it."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thing (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, object TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS thing_object ON thing (object, number);
CREATE TABLE IF NOT EXISTS answer (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, at INTEGER NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS delivery (
  number INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  status INTEGER, done INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (done, due);
CREATE TABLE IF NOT EXISTS fault (
  number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, at TEXT NOT NULL, times INTEGER NOT NULL,
  value REAL NOT NULL
);
"""


class Store:
    """The file. One thread at a time works in it, inside `unit`; what a unit did is there at once or not at all."""

    def __init__(self, path: Path | str) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; a power cut may
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def unit(self) -> Iterator[None]:
        """Do all of it or nothing. Units within a unit are part of it."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def put(self, thing: Thing) -> Thing:
        """Keep a thing as it is now; its place in lists stays."""
        self.run(
            "INSERT INTO thing (id, object, body) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            thing["id"],
            thing["object"],
            json.dumps(thing, ensure_ascii=False),
        )
        return thing

    def get(self, id: str) -> Thing | None:
        """Return a thing, or None."""
        rows = self.run("SELECT body FROM thing WHERE id = ?", id)
        return json.loads(rows[0][0]) if rows else None

    def newest(self, kind: str) -> Iterator[Thing]:
        """Yield things of a kind, newest first."""
        for (body,) in self.run("SELECT body FROM thing WHERE object = ? ORDER BY number DESC", kind):
            yield json.loads(body)

    def close(self) -> None:
        """Put the file away."""
        with self._lock:
            self._connection.close()
