"""Requests that prepare a host, and keep Cartwheel's files on it up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class Changes:
    """What changed, as text."""

    changes: Tuple[str, ...]


@dataclass(frozen=True)
class Setup(Request[Changes]):
    """Prepare the host. `python`: the wanted interpreter, a path or a version. `web_server`:
    install one, of this `kind`. `balancer`: also make the folders of a balancer. `host_files`: the
    texts of the boot unit and the log rotation, by path."""

    op = "setup"
    user: str
    group: str
    python: str
    packages: Tuple[str, ...]
    web_server: bool
    kind: str
    balancer: bool
    listen: int
    host_files: Dict[str, str]


@dataclass(frozen=True)
class Refresh(Request[Done]):
    """Update Cartwheel's files on the host to this version, and the host's key to the fleet's if
    one is given. `has_web`: visitors come here."""

    op = "refresh"
    host_files: Dict[str, str]
    digest_key: Hidden
    has_web: bool


@dataclass(frozen=True)
class Installed:
    """The packages that were missing."""

    installed: Tuple[str, ...]


@dataclass(frozen=True)
class InstallPackages(Request[Installed]):
    """Install system packages."""

    op = "packages"
    packages: Tuple[str, ...]
