"""Handlers of signals that raise an exception: never where that would leave a lock taken for ever.

An exception that comes while Python's own code takes or gives back a lock loses that lock. A thread
that needs it then waits for ever, and so does everybody who waits for that thread
(https://github.com/python/cpython/issues/74174). A handler that needs such a lock itself would wait
for the code that it has interrupted.
"""

from __future__ import annotations

import concurrent.futures
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

AGAIN = signal.SIGALRM
"""The signal that comes instead of one that was postponed; it needs the same handler."""

_WITH_LOCKS = (Path(threading.__file__), *Path(concurrent.futures.__file__).parent.glob("*.py"))
_FILES = frozenset((__file__, *map(str, _WITH_LOCKS)))
# Here threads wait, and give back what they have when an exception comes.
_WAITING = frozenset(("wait", "join", "_wait_for_tstate_lock"))
_AGAIN_SECONDS = 0.002


class Handler:
    """Calls `handle` in the main thread, as soon as it is at no lock; not while it is called."""

    def __init__(self, handle: Callable[[], None]) -> None:
        self._handle = handle
        self._is_handling = False
        self._is_postponed = False

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        self._is_postponed = self._is_handling or _is_at_a_lock(frame)
        if self._is_postponed:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        self._is_handling = True
        try:
            self._handle()
        finally:
            self._is_handling = False

    def forget(self) -> None:
        """What was postponed does not come any more."""
        if self._is_postponed:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _is_at_a_lock(frame: FrameType | None) -> bool:
    if frame is None:
        return False
    return frame.f_code.co_filename in _FILES and frame.f_code.co_name not in _WAITING
