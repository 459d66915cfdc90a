"""Kernel locks of open files: they end with their holder, however that ends (flock(2))."""

from __future__ import annotations

import fcntl
import time
from typing import Callable

_POLL_SECONDS = 0.1
# A process that only checks a lock holds it for an instant: at first, retry more often.
LOOK_SECONDS = 0.3
_LOOK_POLL_SECONDS = 0.01


def take(fd: int, seconds: float, waiting: Callable[[float], None] = lambda _waited: None) -> bool:
    """Take the lock within this many seconds; False if somebody else keeps it longer. Before each
    pause `waiting` is called with the seconds waited."""
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            waited = time.monotonic() - began
        if waited >= seconds:
            return False
        waiting(waited)
        pause = _LOOK_POLL_SECONDS if waited < LOOK_SECONDS else _POLL_SECONDS
        time.sleep(min(pause, seconds - waited))
