"""The request whose answer every plan is made from: a host, and one application on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.journal import Setback
from cartwheel.host.wire.locking import Mark
from cartwheel.host.wire.marks import Maintenance, Stopped
from cartwheel.host.wire.process import Process
from cartwheel.host.wire.request import Request
from cartwheel.host.wire.tls import TlsThere
from cartwheel.host.wire.web import WebServing


@dataclass(frozen=True)
class Machine:
    """The host itself. `system` is the name of its operating system, `systemd` its major version
    (None: init is not systemd), `time` the host's clock, `boot_id` as in `Who`."""

    machine: str
    system: str
    libc: str
    libc_version: str
    cpus: int
    time: float
    boot_id: str
    systemd: Optional[int]
    ipv6: bool


@dataclass(frozen=True)
class Interpreter:
    """The app's Python: its path, and the real place of its standard library. `in_home`: the unit
    must not hide home directories. `obstacle`: why the app's user cannot run it, if it cannot."""

    path: str
    version: str
    stdlib: str
    in_home: bool
    obstacle: str


@dataclass(frozen=True)
class Server:
    """One site of the web server: its server names, its TCP ports, and the ports where it is the
    default server."""

    file: str
    ports: Tuple[int, ...]
    names: Tuple[str, ...]
    default_ports: Tuple[int, ...]


@dataclass(frozen=True)
class Release:
    """A complete release, read from its manifest; "" for what an earlier version did not write.
    `content` is the release's name without the counter of a rebuild, `name` is the application's,
    `python` has path and version of its interpreter, `variables` and `placed` (the application's
    files of configuration) are keyed digests by name, `processes` are those besides web, and
    `job_seconds` are the time limits of its timers' jobs. `prefix`: as in its manifest."""

    release: str
    version: str
    content: str
    name: str
    wheel_sha256: str
    python: Optional[Tuple[str, str]]
    variables: Dict[str, str]
    placed: Dict[str, str]
    processes: Dict[str, Process] = field(default_factory=dict)
    job_seconds: Dict[str, float] = field(default_factory=dict)
    prefix: Optional[str] = None


@dataclass(frozen=True)
class App:
    """The application on this host. `digest_key`: the fleet's key for digests of secrets; None if
    the host is not set up. `releases`: oldest first. `spoilt`: releases that no deploy may use
    any more, each with the reason. `settings`: keyed digests of the settings that the live release
    was deployed with, if known. `carried`: the files in the live release's wheel, if asked for.
    `assigned`: what runs here; `down`: what of it is not up. `locked`: a session is at work.
    `pending`: a switch is not confirmed. `stopped_processes`: those that somebody has stopped.
    `maintenance`: who closed the site for visitors. `premise`: a digest of everything that a plan
    is made from. `setbacks`: of releases, by content."""

    digest_key: Optional[Hidden]
    current: Optional[str]
    content: Optional[str]
    serving: Optional[Instance]
    down: Tuple[str, ...]
    rollback: Optional[str]
    releases: Tuple[Release, ...]
    spoilt: Dict[str, str]
    settings: Optional[Dict[str, str]]
    assigned: Assigned
    carried: Tuple[str, ...]
    wheels: Tuple[str, ...]
    leftovers: Tuple[str, ...]
    locked: bool
    pending: bool
    stopped: Optional[Stopped]
    stopped_processes: Dict[str, Stopped]
    maintenance: Optional[Maintenance]
    freeze: Optional[Mark]
    premise: str
    seq: int
    setbacks: Dict[str, Setback] = field(default_factory=dict)


@dataclass(frozen=True)
class Uv:
    """A uv that the app's user can run; `version` is "" for the host's own."""

    path: str
    version: str


@dataclass(frozen=True)
class Facts:
    """`python` is None if that version is not there; `no_python` says why. `files`: SHA-256 of the
    files that were asked for. `web_server`: its version, `web`: its state. `ports`: the listening
    program by port. `pips`: the installed versions of pip. `tls`: None if the host has nothing of
    it. `certbot`: whether it is installed. `users`: keyed digests of the files of users of the
    site's paths, by name. `brotli`: whether the web server can send .br files. `listens`: the ports
    that files of others let it listen on. `connections`: as in `Installed`. `prepared_for`: the
    kind that setup has prepared, or "". `other_site`: the application's site with another kind,
    or ""."""

    host: Machine
    python: Optional[Interpreter]
    no_python: str
    app: App
    files: Dict[str, Optional[str]]
    web_server: Optional[str]
    web: WebServing
    servers: Tuple[Server, ...]
    ports: Dict[str, str]
    free_bytes: int
    free_inodes: int
    pips: Tuple[str, ...]
    uv: Optional[Uv]
    tls: Optional[TlsThere] = None
    certbot: bool = False
    users: Dict[str, str] = field(default_factory=dict)
    brotli: bool = False
    listens: Tuple[int, ...] = ()
    connections: Optional[int] = None
    prepared_for: str = ""
    other_site: str = ""


@dataclass(frozen=True)
class AskFacts(Request[Facts]):
    """Ask for facts of the host and the application. `python`: the wanted interpreter, a path or a
    version. `files`: paths to compute digests of. `carried`: whether to list the files of the
    live release's wheel. `uv_version`: the preferred one of this host's uv versions. `web_server`:
    the kind that the facts are about."""

    op = "probe"
    python: str
    user: str
    files: Tuple[str, ...]
    carried: bool
    uv_version: str
    web_server: str
