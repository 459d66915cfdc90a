"""What happened in the last minutes, by the looks: requests, restarts, free disk space."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from cartwheel.host.wire.look import BOUNDS, AppLook, Requests
from cartwheel_monitor.observations import Look, Traffic

_DAY = 86400.0
_FINE_SECONDS = 300.0
_COARSE_SECONDS = 3600.0
TRAIL_SECONDS = 8 * _DAY
"""Logs are rotated each week: more than one."""


class Window:
    """The requests of the last seconds, by app and host."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: dict[tuple[str, str], deque[tuple[float, Requests]]] = {}

    def add(self, host: str, at: float, app: AppLook) -> None:
        """What a look saw. What it counts of a long absence is not of the last minutes."""
        found = app.requests
        if found is not None and found.seconds <= self._seconds:
            self._samples.setdefault((app.app, host), deque()).append((at, found))

    def traffic(self, now: float, app: str, host: str) -> dict[tuple[str, str], Traffic]:
        """Of this host; and of all hosts together, as "", with the first of them only: bad looks
        are counted, and forty hosts make forty looks in the time of one."""
        if not self._is_fresh(app, host, now):
            return {}
        found = {(app, host): _one_after_another(self._fresh(app, host, now), self._seconds)}
        hosts = [each for name, each in self._samples if name == app]
        hosts = [each for each in hosts if self._is_fresh(app, each, now)]
        if host == min(hosts):
            every = (self._fresh(app, each, now) for each in hosts)
            found[app, ""] = _side_by_side(
                [_one_after_another(each, self._seconds) for each in every]
            )
        return found

    def _is_fresh(self, app: str, host: str, now: float) -> bool:
        samples = self._samples.get((app, host))
        return bool(samples) and samples[-1][0] > now - self._seconds  # type: ignore[index]  # has some

    def _fresh(self, app: str, host: str, now: float) -> Sequence[Requests]:
        samples = self._samples[app, host]
        while samples and samples[0][0] <= now - self._seconds:
            samples.popleft()
        return [one for _at, one in samples]


def _one_after_another(samples: Sequence[Requests], most_seconds: float) -> Traffic:
    seconds = min(sum(one.seconds for one in samples), most_seconds)
    return Traffic(seconds, *_sums(samples))


def _side_by_side(every: Sequence[Traffic]) -> Traffic:
    return Traffic(max(one.seconds for one in every), *_sums(every))


def _sums(every: Sequence[Requests | Traffic]) -> tuple[int, int, tuple[int, ...]]:
    times = (one.times for one in every if len(one.times) == len(BOUNDS) + 1)
    return (
        sum(one.count for one in every),
        sum(one.failed for one in every),
        tuple(map(sum, zip(*times))),
    )


class Restarts:
    """How often systemd started a process again in the last seconds, on one host."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[tuple[str, str, str], deque[tuple[float, int]]] = {}

    def add(self, look: Look, before: Look | None) -> dict[tuple[str, str, str], int]:
        """The counts after a look. What happened in an absence is not of the last minutes; a count
        that fell is another instance."""
        counts: dict[tuple[str, str, str], int] = {}
        for app in look.seen.apps if look.seen else ():
            old = before.app(app.app) if before else None
            known = {(one.process, one.label): one.restarts for one in old.processes} if old else {}
            for one in app.processes:
                key = (app.app, one.process, one.label)
                more = one.restarts - known.get((one.process, one.label), one.restarts)
                happened = self._seen.setdefault(key, deque())
                if before and more > 0 and look.at - before.at <= self._seconds:
                    happened.append((look.at, more))
                while happened and happened[0][0] <= look.at - self._seconds:
                    happened.popleft()
                counts[key] = sum(each for _at, each in happened)
        for key in set(self._seen) - set(counts):
            del self._seen[key]
        return counts


class Trail:
    """The least that was free of a disk, in intervals: of a day fine ones, before that hours."""

    def __init__(self, points: Iterable[tuple[float, float]] = ()) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._fine: deque[tuple[float, float]] = deque()
        for at, free in points:
            self.add(at, free)

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """Oldest first."""
        return (*self._points, *self._fine)

    def add(self, at: float, free: float) -> None:
        """What a look saw. A time before the last one is left out."""
        if self._fine and at < self._fine[-1][0]:
            return
        _least(self._fine, at, free, _FINE_SECONDS)
        while self._fine and self._fine[0][0] < at - _DAY:
            _least(self._points, *self._fine.popleft(), _COARSE_SECONDS)
        while self._points and self._points[0][0] < at - TRAIL_SECONDS:
            self._points.popleft()


def _least(points: deque[tuple[float, float]], at: float, free: float, seconds: float) -> None:
    """Add to the interval that it belongs to; a point stands at its interval's begin."""
    begins = at - at % seconds
    if points and points[-1][0] >= begins:
        points[-1] = (points[-1][0], min(points[-1][1], free))
    else:
        points.append((begins, free))
