"""What a host says to a monitor that may only read: one answer to one look.

Times are in seconds since the epoch by the host's clock, sizes in bytes. The monitor may be of
another version than the host: it reads with defaults, and asks `protocol` first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.request import Request

PROTOCOL = 1
"""Grows when a field changes its meaning; a new field with a default does not count."""
BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""The upper bounds of `Requests.times`, in seconds; the last place is for all that took longer."""

RUNNING = ("active", "reloading", "refreshing")
"""The states of systemd (`ProcessLook.active`) in which a process runs."""


@dataclass(frozen=True)
class ProcessLook:
    """One instance that should run. `active`, `result`: in systemd's words. `restarts`: by systemd
    since it was started; `since`: when it became what it is."""

    process: str = ""
    label: str = ""
    active: str = ""
    result: str = ""
    restarts: int = 0
    since: Optional[float] = None
    memory: Optional[int] = None


@dataclass(frozen=True)
class TimerLook:
    """A timer. `result`: of its last run ("": none yet; `running`); `due`: when its job should have
    begun and has not, None where it is not late."""

    name: str = ""
    result: str = ""
    detail: str = ""
    number: int = 0
    began: Optional[float] = None
    due: Optional[float] = None
    paused: bool = False


@dataclass(frozen=True)
class Requests:
    """Requests of visitors that ended since the last look: how many, how many with 5xx, and how
    many in each interval of BOUNDS. `took`: how long they took together, in seconds; earlier
    versions do not say it."""

    seconds: float = 0.0
    count: int = 0
    failed: int = 0
    times: Tuple[int, ...] = ()
    took: Optional[float] = None


@dataclass(frozen=True)
class ReleaseLook:
    """What a release is made of, by its manifest. `packages`: versions by name. `settings`,
    `variables`, `files`: keyed digests by name, which say whether a value is another, and nothing
    more. `processes`, `timers`: their declarations by name, as text; what is behind ` #` differs
    where the command does."""

    release: str = ""
    version: str = ""
    commit: str = ""
    created: str = ""
    who: str = ""
    message: str = ""
    python: str = ""
    packages: Dict[str, str] = field(default_factory=dict)
    settings: Dict[str, str] = field(default_factory=dict)
    variables: Dict[str, str] = field(default_factory=dict)
    files: Dict[str, str] = field(default_factory=dict)
    processes: Dict[str, str] = field(default_factory=dict)
    timers: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AppLook:
    """An application on this host. `release` should be live ("": none); `locked`: a run of
    Cartwheel holds its lock, or one's session still runs; `closed`: in maintenance; `stopped`: by
    `fab stop`; `frozen`: by `fab lock.hold`; `pending`: a switch that nobody has confirmed and no
    run works on. `front`: what is wrong with the answer through the web server on loopback, ""
    for nothing, None where it was not asked (no web here).
    `entries`: of its journal since the last look; `past`: in a first look, the last ones before it,
    which are no news. `live`: what the live release is made of, in the
    first look, and after something was deployed or rolled back. `locked_since`: when the lock was
    taken, None where that is not known.
    `until`, `valid_from`: when the certificate ends that is served, and began; None without HTTPS.
    `problem`: why its state cannot be read, "" for nothing."""

    app: str = ""
    release: str = ""
    version: str = ""
    since: Optional[float] = None
    locked: bool = False
    closed: bool = False
    stopped: bool = False
    frozen: bool = False
    pending: bool = False
    front: Optional[str] = None
    processes: Tuple[ProcessLook, ...] = ()
    timers: Tuple[TimerLook, ...] = ()
    entries: Tuple[Entry, ...] = ()
    requests: Optional[Requests] = None
    until: Optional[float] = None
    valid_from: Optional[float] = None
    problem: str = ""
    live: Optional[ReleaseLook] = None
    locked_since: Optional[float] = None
    past: Tuple[Entry, ...] = ()


@dataclass(frozen=True)
class DiskLook:
    """A file system that the host or an app needs."""

    path: str = ""
    size: int = 0
    free: int = 0
    inodes: int = 0
    free_inodes: int = 0
    read_only: bool = False


@dataclass(frozen=True)
class HostLook:
    """The whole answer. `cursor`: to be sent with the next look; one word. `unread`: what could not
    be read, and why. No rule reads `version` and `booted`: they are for people."""

    protocol: int = 0
    version: str = ""
    time: float = 0.0
    booted: float = 0.0
    cpus: int = 0
    load: float = 0.0
    memory: int = 0
    memory_available: int = 0
    disks: Tuple[DiskLook, ...] = ()
    apps: Tuple[AppLook, ...] = ()
    cursor: str = ""
    unread: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AskLook(Request[HostLook]):
    """The same look for an operator's session. `cursor`: of the last answer, "" for a first one."""

    op = "look"
    cursor: str
