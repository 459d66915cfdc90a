"""Let an instance that no longer gets traffic finish its requests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import List, Optional

from cartwheel.host.system import children

# Stopping at once under load lost 117 of 488 requests: a connection may still arrive while the
# link moves.
MIN_SECONDS = 1.0
QUIET_SECONDS = 0.5
_POLL_SECONDS = 0.05
_CALL_SECONDS = 10.0


class Quiet:
    """Whether an instance is quiet: for half a second no connection has waited on its socket, and
    for at least one second it got no traffic, since `moved` (by time.monotonic) or since now.

    `open`: the connections that it still had when it was asked to stop."""

    def __init__(self, socket: Path, moved: Optional[float] = None) -> None:
        self._socket = socket
        self._moved = time.monotonic() if moved is None else moved
        self._empty_since: Optional[float] = None
        self.open = 0

    def look(self) -> bool:
        """Look once. Earlier looks count unless one since then found a waiting connection."""
        if queue_length(self._socket) > 0:
            self._empty_since = None
            return False
        now = time.monotonic()
        if self._empty_since is None:
            self._empty_since = now
        return now - self._moved >= MIN_SECONDS and now - self._empty_since >= QUIET_SECONDS

    def wait(self, timeout_seconds: float) -> bool:
        """Look until it is quiet; False if it is not quiet within this time."""
        end = time.monotonic() + timeout_seconds
        while not self.look():
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def count(self) -> None:
        """Count what is `open`. The web server closes a connection with its answer, and none came
        since the traffic moved: these requests have been under way since before that."""
        self.open = open_connections(self._socket)


def queue_length(path: Path) -> int:
    """The number of connections that wait on a listening unix socket (`ss -xl`, Recv-Q)."""
    return sum(int(row[2]) for row in _rows(path, "-l"))


def open_connections(path: Path) -> int:
    """The number of connections that were accepted on a unix socket and are still open."""
    return len(_rows(path, "state", "established"))


def _rows(path: Path, *which: str) -> List[List[str]]:
    """What `ss` shows of these sockets of this path, in columns."""
    done = children.ask(["ss", "-H", "-x", *which, "src", str(path)], timeout_seconds=_CALL_SECONDS)
    # Netid State Recv-Q Send-Q Address ...; no State where only one is asked for.
    rows = [line.split() for line in done.output.splitlines()]
    return [row for row in rows if str(path) in row[3:5]]
