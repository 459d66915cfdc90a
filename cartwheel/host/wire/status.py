"""The request of `fab status`: what should be live on a host, and whether it is healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.locking import Mark
from cartwheel.host.wire.marks import Maintenance, Stopped
from cartwheel.host.wire.pending import Pending
from cartwheel.host.wire.request import Request
from cartwheel.host.wire.timer import TimerState
from cartwheel.host.wire.tls import TlsState
from cartwheel.host.wire.web import WebServing


@dataclass(frozen=True)
class Disk:
    """The file system of the application's folder."""

    free_bytes: int
    free_inodes: int
    read_only: bool


@dataclass(frozen=True)
class Serving:
    """The instance that should serve: its unit, in systemd's words, and its processes. `problem` is
    about its own answer, `front` about the answer through the web server; "" means none."""

    age_seconds: Optional[float]
    active: str
    sub: str
    result: str
    workers: int
    suspended: int
    memory_bytes: Optional[int]
    restarts: int
    main_pid: int
    problem: str
    front: str
    healthy: bool


@dataclass(frozen=True)
class Running:
    """An instance besides web that should run. `label`: its slot and number; `problem`: in
    systemd's words, "" for none."""

    process: str
    label: str
    active: str
    problem: str


@dataclass(frozen=True)
class Status:
    """`release` should be live; `serving` is its web, if that runs here, `processes` are its
    others, `timers` have their last run. `content`: its name without the counter of a rebuild.
    `commit`: as in its manifest.
    `not_whole`: what it lacks. `rollback`: the rollback target. `cut_off`: the release of the
    last deploy, if that was interrupted. `last`: the journal's last line. `pending`: the mark of
    a switch that is not confirmed (with empty fields if it is damaged). `assigned`: what runs
    here; `exclusive`: what of the live release only one host may have. `stopped_processes`: those
    that somebody has stopped. `tls`: how the site is served over TLS; None: not at all.
    `maintenance`: who closed the site for visitors."""

    release: Optional[str]
    content: Optional[str]
    version: str
    commit: str
    current: Optional[str]
    not_whole: str
    rollback: Optional[str]
    cut_off: Optional[str]
    cut_off_content: Optional[str]
    last: Optional[Entry]
    set_up: bool
    stopped: Optional[Stopped]
    stopped_processes: Dict[str, Stopped]
    pending: Optional[Pending]
    lock: Optional[Mark]
    freeze: Optional[Mark]
    leftovers: Tuple[str, ...]
    also_running: Tuple[str, ...]
    stopping: Tuple[str, ...]
    web_server: WebServing
    boot: str
    boot_unit: str
    disk: Disk
    serving: Optional[Serving]
    processes: Tuple[Running, ...]
    assigned: Assigned
    exclusive: Tuple[str, ...]
    timers: Tuple[TimerState, ...]
    tls: Optional[TlsState] = None
    maintenance: Optional[Maintenance] = None


@dataclass(frozen=True)
class AskStatus(Request[Status]):
    """Check the application's health with the `probe`, directly and through the web server on the
    port `listen`."""

    op = "status"
    probe: Probe
    listen: int
