"""How often a login may be tried: a table that all processes of the page share."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

MOST = 8
"""Failed tries for a name, or from an address, within SECONDS."""
SECONDS = 900.0
_BUSY_SECONDS = 5.0


class Tries:
    """Where the disk cannot be written, nobody is refused for too many tries: the web server's own
    limit (web.paths) still holds."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def are_too_many(self, *keys: str, now: float) -> bool:
        try:
            with closing(self._open()) as db:
                counts = [
                    db.execute(
                        "SELECT count(*) FROM tries WHERE key = ? AND at > ?", (key, now - SECONDS)
                    ).fetchone()[0]
                    for key in keys
                ]
        except (OSError, sqlite3.Error):
            return False
        return max(counts, default=0) >= MOST

    def failed(self, *keys: str, now: float) -> None:
        """Note a failed try."""
        try:
            with closing(self._open()) as db:
                db.execute("DELETE FROM tries WHERE at <= ?", (now - SECONDS,))
                db.executemany("INSERT INTO tries VALUES (?, ?)", [(key, now) for key in keys])
        except (OSError, sqlite3.Error):
            return

    def forget(self, *keys: str) -> None:
        """Forget the failed tries of somebody who has logged in."""
        try:
            with closing(self._open()) as db:
                db.executemany("DELETE FROM tries WHERE key = ?", [(key,) for key in keys])
        except (OSError, sqlite3.Error):
            return

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        db = sqlite3.connect(str(self._path), timeout=_BUSY_SECONDS, isolation_level=None)
        db.execute("CREATE TABLE IF NOT EXISTS tries (key TEXT NOT NULL, at REAL NOT NULL)")
        return db
