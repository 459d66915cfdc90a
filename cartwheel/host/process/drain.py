"""Let an instance that no longer gets traffic finish what it has."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Optional

from cartwheel.host.system import children

# Stopping at once under load lost 117 of 488 requests: a connection can still be on its
# way while the link moves.
MIN_SECONDS = 1.0
QUIET_SECONDS = 0.5
_POLL_SECONDS = 0.05
_CALL_SECONDS = 10.0


def wait_until_quiet(path: Path, *, timeout_seconds: float, since: Optional[float] = None) -> bool:
    """Wait until the socket's accept queue has been empty for half a second, at least one
    second after it got no more traffic: at `since` (time.monotonic), or now. False if it never
    was within `timeout_seconds`."""
    started = time.monotonic()
    moved = started if since is None else since
    quiet_since: Optional[float] = None
    while True:
        now = time.monotonic()
        if queue_length(path) > 0:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif now - moved >= MIN_SECONDS and now - quiet_since >= QUIET_SECONDS:
            return True
        if now - started > timeout_seconds:
            return False
        time.sleep(_POLL_SECONDS)


def queue_length(path: Path) -> int:
    """Connections that wait to be accepted on a listening unix socket (`ss -xl`, Recv-Q)."""
    done = children.ask(["ss", "-H", "-x", "-l", "src", str(path)], timeout_seconds=_CALL_SECONDS)
    # Netid State Recv-Q Send-Q Address ...
    rows = [line.split() for line in done.output.splitlines()]
    return sum(int(row[2]) for row in rows if len(row) > 4 and row[4] == str(path))
