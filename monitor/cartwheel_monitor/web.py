"""The web process: whether the watcher is well."""

from __future__ import annotations

import time
from typing import Callable, Iterable, List, Tuple

from cartwheel_monitor.places import Places

_LATE_SECONDS = 60.0
Start = Callable[[str, List[Tuple[str, str]]], object]


def app(_environ: "dict[str, object]", start_response: Start) -> Iterable[bytes]:
    """200 where the watcher's loop has run in the last minute, else 503."""
    try:
        late = time.time() - Places.here().status.stat().st_mtime > _LATE_SECONDS
    except OSError:
        late = True
    status, text = ("503 Service Unavailable", "late") if late else ("200 OK", "ok")
    start_response(status, [("Content-Type", "text/plain")])
    return [text.encode() + b"\n"]
