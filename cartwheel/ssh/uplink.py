"""This machine's line as the uploads of a run share it: so many at once, so many bytes a second."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Self


class Uplink:
    """Gives turns to uploads, first come, first served. Safe for threads."""

    def __init__(
        self,
        at_once: int,
        bytes_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = at_once
        self._rate = bytes_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: collections.deque[Turn] = collections.deque()
        self._next_at = 0.0

    def turn(self) -> Turn:
        """A place in the queue, to be used as a context manager: leaving it gives it back."""
        return Turn(self)

    def reserve(self, size_bytes: int) -> float:
        """Seconds to wait before so many bytes may be sent; all uploads share the rate."""
        if self._rate is None:
            return 0.0
        with self._lock:
            now = self._clock()
            begins_at = max(now, self._next_at)
            self._next_at = begins_at + size_bytes / self._rate
        return begins_at - now

    def _enter(self, turn: Turn) -> None:
        with self._lock:
            self._waiting.append(turn)
            self._admit()

    def _leave(self, turn: Turn) -> None:
        with self._lock:
            if turn.has_come:
                self._free += 1
                self._admit()
            else:
                self._waiting.remove(turn)

    def _admit(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft()._come()


class Turn:
    """One upload's place in the queue."""

    def __init__(self, uplink: Uplink) -> None:
        self.has_come = False
        self._uplink = uplink
        self._stirred = threading.Event()
        self._woken = threading.Event()

    def __enter__(self) -> Self:
        self._uplink._enter(self)
        return self

    def __exit__(self, *_failure: object) -> None:
        self._uplink._leave(self)

    def wait(self, seconds: float) -> bool:
        """Whether it has come, at the latest after `seconds` or when it is woken."""
        self._stirred.wait(seconds)
        return self.has_come

    def pause(self, seconds: float) -> None:
        """Sleep, unless it is woken."""
        self._woken.wait(seconds)

    def wake(self) -> None:
        """Its upload is off: whoever waits for anything here need not."""
        self._woken.set()
        self._stirred.set()

    def _come(self) -> None:
        self.has_come = True
        self._stirred.set()
