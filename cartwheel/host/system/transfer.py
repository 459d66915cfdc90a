"""How far a transfer of bytes is, as text: size, share, speed, time left. Pure; used on both
sides."""

from __future__ import annotations

import time
from collections import deque
from typing import Callable, Deque, Optional, Tuple

_EVERY_SECONDS = 1.0
_WINDOW_SECONDS = 5.0  # the speed is that of so long
_MEGABYTE = 1e6


class Transfer:
    """One transfer of `size_bytes`, which begins now; `verb` is what happened to its bytes."""

    def __init__(
        self, size_bytes: int, verb: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size_bytes
        self._verb = verb
        self._clock = clock
        self._seen: Deque[Tuple[float, int]] = deque([(clock(), 0)])
        self._told = clock()

    def report(self, done_bytes: int) -> Optional[str]:
        """How far it is, once a second; None in between."""
        now = self._clock()
        if now - self._told < _EVERY_SECONDS:
            return None
        self._told = now
        self._seen.append((now, done_bytes))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()
        return self._text(now, done_bytes)

    def _text(self, now: float, done: int) -> str:
        size = max(self._size, done)
        share = 100 * done // size if size else 100
        text = f"{done / _MEGABYTE:.1f} of {size / _MEGABYTE:.1f} MB {self._verb} ({share} %)"
        since, before = self._seen[0]
        speed = (done - before) / (now - since)
        if speed <= 0:
            return f"{text}, stalled"
        left = (size - done) / speed
        return f"{text}, {_speed(speed)}, {_left(left)} left"


def _speed(bytes_per_second: float) -> str:
    if bytes_per_second < _MEGABYTE:
        return f"{bytes_per_second / 1e3:.0f} kB/s"
    return f"{bytes_per_second / _MEGABYTE:.1f} MB/s"


def _left(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
