"""Which target is due: every one in its own time, and none twice at once.

A target that hangs keeps its own slot; all others go on. After a start the targets are spread over
the first interval, so that they do not all come at once for ever.
"""

from __future__ import annotations

import heapq
import threading
from typing import Dict, Generic, Iterable, List, Optional, Tuple, TypeVar

T = TypeVar("T")


class Schedule(Generic[T]):
    """Targets by when they are due. All its methods may be called from any thread."""

    def __init__(self) -> None:
        self._due: Dict[T, Optional[float]] = {}  # None while it is looked at
        self._heap: List[Tuple[float, int, T]] = []
        self._count = 0
        self._lock = threading.Lock()

    def set_targets(self, targets: Iterable[T], now: float, every: float) -> None:
        """Watch exactly these; new ones are spread over the next interval."""
        with self._lock:
            wanted = list(dict.fromkeys(targets))
            for gone in set(self._due) - set(wanted):
                del self._due[gone]
            fresh = [one for one in wanted if one not in self._due]
            for number, one in enumerate(fresh):
                self._plan(one, now + every * number / len(fresh))

    def take(self, now: float) -> Optional[T]:
        """The target that has been due longest, for the caller to look at; None where none is."""
        with self._lock:
            while self._heap and self._heap[0][0] <= now:
                due, _, target = heapq.heappop(self._heap)
                if self._due.get(target) == due:  # else it is watched no more, or was planned anew
                    self._due[target] = None
                    return target
            return None

    def done(self, target: T, due: float) -> None:
        """It was looked at; it is due again at that time."""
        with self._lock:
            if target in self._due:
                self._plan(target, due)

    def _plan(self, target: T, due: float) -> None:
        self._due[target] = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, target))
