"""What the monitor has seen: an answer of a site from outside, or a look at a host."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Protocol

from cartwheel.host.wire.look import AppLook, HostLook
from cartwheel_monitor.limits import DEFAULTS, Limits
from cartwheel_monitor.subjects import Subject


@dataclass(frozen=True)
class Probe:
    """One answer of a site. `at`: when it was there; `status`: None where none came; `problem`: why
    it is no good answer, "" for nothing. `site`: its address, where an app has several. `until`,
    `valid_from`: of the certificate that it showed."""

    app: str
    at: float
    status: int | None
    seconds: float
    problem: str = ""
    site: str = ""
    until: float | None = None
    valid_from: float | None = None


@dataclass(frozen=True)
class Look:
    """One look at a host. `at`: when the answer was there, by the monitor's clock; `seconds`: how
    long it took; `seen`: None where there was no answer, and then `problem` says why."""

    host: str
    at: float
    seen: HostLook | None
    problem: str = ""
    seconds: float = 0.0

    def app(self, name: str) -> AppLook | None:
        """What it says of an application."""
        for one in self.seen.apps if self.seen else ():
            if one.app == name:
                return one
        return None


@dataclass(frozen=True)
class Traffic:
    """Requests of a span of time. `times`: how many in each interval of look.BOUNDS."""

    seconds: float = 0.0
    count: int = 0
    failed: int = 0
    times: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        return self.failed / self.count if self.count else 0.0


@dataclass(frozen=True)
class Usual:
    """What an app does on other days; None: not known yet. `share` of 5xx; `p95` at this hour."""

    share: float | None = None
    p95: float | None = None


class History(Protocol):
    """What the rules ask the store. It never raises: what it does not know is None or empty."""

    def usual(self, app: str, host: str, at: float) -> Usual:
        """`host`: "" for all of them."""

    def disk(self, host: str, path: str, until: float) -> tuple[tuple[float, float], ...]:
        """Free bytes of the last days, (time, the least around it), oldest first."""


class NoHistory:
    """Knows nothing."""

    def usual(self, app: str, host: str, at: float) -> Usual:  # noqa: ARG002 - a History
        return Usual()

    def disk(self, host: str, path: str, until: float) -> tuple[tuple[float, float], ...]:  # noqa: ARG002 - a History
        return ()


@dataclass(frozen=True)
class Around:
    """What the rules may know beside a look.

    `before`: the last look that was answered. `others`: the last answered look at each other host.
    `down`: the subjects that are down now. `traffic`: of the last minutes, by app and host ("":
    all hosts), `usual` likewise. `restarts`: of the last minutes, by app, process and label.
    `disks`: free bytes of the last days by path. `unended`: by app, what the journal began and has
    not ended.
    """

    before: Look | None = None
    others: Mapping[str, Look] = field(default_factory=dict)
    down: Set[Subject] = frozenset()
    traffic: Mapping[tuple[str, str], Traffic] = field(default_factory=dict)
    usual: Mapping[tuple[str, str], Usual] = field(default_factory=dict)
    restarts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    disks: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    unended: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = DEFAULTS
