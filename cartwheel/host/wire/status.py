"""The request of `fab status`: what should serve on a host, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Tuple

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.locking import Mark
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.pending import Pending
from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Disk:
    """The file system of the application's folder."""

    free_bytes: int
    free_inodes: int
    read_only: bool


@dataclass(frozen=True)
class WebServing:
    """The web server's unit, by systemd's words; whether the application's site and the token of
    our own probes are there."""

    active: str
    unit_file: str
    site: bool
    token: bool


@dataclass(frozen=True)
class Serving:
    """The instance that should serve: its unit, by systemd's words, and its processes. `problem`
    is what was wrong with its own answer, `front` with the one through the web server; "" if
    nothing."""

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
class Status:
    """`release` is what should serve; without one there is no `serving`. `content` is its name
    without the counter of a release that was made anew, `not_whole` what it lacks, `rollback`
    where a rollback goes. `cut_off` is what the last deploy was for, where that was cut off.
    `last` is the last line of the journal, and `pending` the mark of a switch that is not
    confirmed (all of it is empty where the mark is damaged)."""

    release: Optional[str]
    content: Optional[str]
    version: str
    current: Optional[str]
    not_whole: str
    rollback: Optional[str]
    cut_off: Optional[str]
    cut_off_content: Optional[str]
    last: Optional[Entry]
    set_up: bool
    stopped: Optional[Stopped]
    pending: Optional[Pending]
    lock: Optional[Mark]
    freeze: Optional[Mark]
    leftovers: Tuple[str, ...]
    also_running: Tuple[str, ...]
    stopping: Tuple[str, ...]
    web_server: WebServing = field(metadata={"key": "nginx"})  # as `fab status --json` has it
    boot: str
    boot_unit: str
    disk: Disk
    serving: Optional[Serving]


@dataclass(frozen=True)
class AskStatus(Request[Status]):
    """Ask how the application is, by the `probe`, and through the web server on the port
    `listen`."""

    op = "status"
    probe: Probe
    listen: int
