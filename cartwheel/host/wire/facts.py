"""The request that every plan is made from: a host, and one application on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.locking import Mark
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Machine:
    """The host itself. `system` is its name for people, `systemd` the major version of what is
    init here (None: it is not systemd), `time` the host's clock, `boot_id` as in `Who`."""

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
    """The app's Python. `path` is what it is called; `prefix`, `stdlib` and `executable` are where
    it really is. `in_home`: a unit must not hide homes. `obstacle`: why the app's user cannot run
    it; "" if it can."""

    path: str
    version: str
    prefix: str
    stdlib: str
    executable: str
    in_home: bool
    obstacle: str


@dataclass(frozen=True)
class Server:
    """One site of the web server: the names and the TCP ports that it answers to, and
    those ports where it answers to names that no server has."""

    file: str
    ports: Tuple[int, ...]
    names: Tuple[str, ...]
    default_ports: Tuple[int, ...]


@dataclass(frozen=True)
class Release:
    """A complete release, by its manifest: "" for what an earlier version did not write down.
    `content` is its name without the counter of one that was made anew, `name` the application's
    own, `python` its interpreter's path and version, `variables` are the keyed digests of its
    variables, by name."""

    release: str
    version: str
    content: str
    name: str
    wheel_sha256: str
    python: Optional[Tuple[str, str]]
    variables: Dict[str, str]


@dataclass(frozen=True)
class App:
    """The application on this host. `digest_key`: the fleet's key for digests of secrets; None
    where the host is not set up. `releases` are in order, the oldest first; `spoilt` are those
    that no deploy may use any more, each with what is wrong; `settings` are the keyed digests of
    those that the serving one was deployed with, where that is known. `carried`: the files that the wheel
    of the serving release had, where that matters. `locked`: a session is at work; `pending`: a
    switch is not confirmed. `premise`: a digest of what a plan is made from."""

    digest_key: Optional[Hidden]
    current: Optional[str]
    content: Optional[str]
    serving: Optional[Instance]
    is_up: bool
    rollback: Optional[str]
    releases: Tuple[Release, ...]
    spoilt: Dict[str, str]
    settings: Optional[Dict[str, str]]
    carried: Tuple[str, ...]
    wheels: Tuple[str, ...]
    leftovers: Tuple[str, ...]
    locked: bool
    pending: bool
    stopped: Optional[Stopped]
    freeze: Optional[Mark]
    premise: str
    seq: int


@dataclass(frozen=True)
class Uv:
    """A uv that the app's user can run."""

    path: str
    version: str


@dataclass(frozen=True)
class Facts:
    """`python` is None where there is none of the version; `no_python` says why. `files` are the
    SHA-256 of those that were asked for, `web_server` is its version, `ports` the programs that
    listen, by port. `pips` are the versions of pip that are there."""

    host: Machine
    python: Optional[Interpreter]
    no_python: str
    app: App
    files: Dict[str, Optional[str]]
    web_server: Optional[str]
    servers: Tuple[Server, ...]
    ports: Dict[str, str]
    free_bytes: int
    free_inodes: int
    pips: Tuple[str, ...]
    uv: Optional[Uv]


@dataclass(frozen=True)
class AskFacts(Request[Facts]):
    """Look at the host and at the application. `python` is the wanted interpreter, a path or a
    version; `files` are paths whose digests matter; `carried`: whether it matters what files the
    serving release's wheel had; `uv_version`: the one to prefer of those on this host."""

    op = "probe"
    python: str
    user: str
    files: Tuple[str, ...]
    carried: bool
    uv_version: str
