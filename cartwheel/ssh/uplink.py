"""Limits the uploads of a run: their number at once, and their bytes per second together."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Self


class Uplink:
    """Gives turns to uploads in the order of their requests. Safe for threads."""

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
        """A place in the queue, as a context manager: leaving it gives the place back."""
        return Turn(self)

    def reserve(self, size_bytes: int) -> float:
        """Seconds to wait before this many bytes may be sent; all uploads share the rate."""
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
        """Wait for the turn, at most `seconds` or until it is woken; whether it has come."""
        self._stirred.wait(seconds)
        return self.has_come

    def pause(self, seconds: float) -> None:
        """Sleep until it is woken, at most `seconds`."""
        self._woken.wait(seconds)

    def wake(self) -> None:
        """The upload was cancelled; wake everyone who waits for it."""
        self._woken.set()
        self._stirred.set()

    def _come(self) -> None:
        self.has_come = True
        self._stirred.set()
