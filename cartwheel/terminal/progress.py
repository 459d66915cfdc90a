"""Which steps are running: for the live view, and for signs of life of a quiet run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cartwheel.events import Event

_LOOKING = frozenset(("connect", "probe", "lock", "examine", "look again"))
OPERATOR = "here"  # the operator's machine in a list of hosts


@dataclass(frozen=True)
class Running:
    """A step that began at `since` (of a monotonic clock) and has not ended. One without a start
    event (not `begun`) ends with the next event of its host."""

    host: str
    step: str
    since: float
    detail: str = ""
    begun: bool = True


class Progress:
    """Takes events; knows what runs, what failed, and how long each host took."""

    def __init__(self) -> None:
        self._running: dict[str, list[Running]] = {}
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._busy: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._touched: set[str] = set()

    def take(self, event: Event, now: float) -> None:
        """A host's steps nest: a step that ends also ends the steps that began inside it."""
        host = event.host
        self._first.setdefault(host, now)
        self._last[host] = now
        if host and event.step not in _LOOKING:
            self._touched.add(host)
        steps = self._running.setdefault(host, [])
        if event.state != "note":
            steps[:] = [one for one in steps if one.begun or one.step == event.step]
        begun = [n for n, one in enumerate(steps) if one.step == event.step]
        if event.state == "start":
            steps.append(Running(host, event.step, now, event.detail))
        elif event.state == "progress":
            if begun:
                steps[begun[-1]] = replace(steps[begun[-1]], detail=event.detail)
            else:
                steps.append(Running(host, event.step, now, event.detail, begun=False))
        elif event.state != "note":
            if event.state == "failed":
                inside = steps[-1].step if begun else event.step
                self._failed.setdefault(host, inside)
            if begun:
                if begun[-1] == 0:
                    self._busy[host] = self._busy.get(host, 0.0) + now - steps[0].since
                del steps[begun[-1] :]

    def seconds_in(self, event: Event, now: float) -> float | None:
        """How long the step took that ends with this event; None if none does."""
        if event.state in ("start", "progress", "note"):
            return None
        steps = self._running.get(event.host, [])
        begun = [one.since for one in steps if one.step == event.step]
        return now - begun[-1] if begun else None

    def innermost(self) -> Iterator[Running]:
        """The innermost running step of every host that has one."""
        for steps in list(self._running.values()):
            if steps:
                yield steps[-1]

    def step_of(self, host: str) -> str:
        """The step that failed on a host, or else its current one."""
        steps = self._running.get(host)
        return self._failed.get(host) or (steps[-1].step if steps else "")

    def seconds_of(self, host: str) -> float | None:
        """Seconds from a host's first event to its last one."""
        return self._last[host] - self._first[host] if host in self._first else None

    def busy_seconds(self, host: str) -> float:
        """How long a host was working on its steps, without waiting for others."""
        return self._busy.get(host, 0.0)

    def hosts_touched(self) -> tuple[str, ...]:
        """The hosts on which more was begun than connecting, reading and waiting for a lock."""
        return tuple(host for host in self._first if host in self._touched)
