"""`release.json` in a complete release's folder: what the release is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.process import Process
from cartwheel.host.wire.timer import Timer

PLACED = "files"
"""The folder of the application's files of configuration in a release."""
MADE = "static"
"""The folder of static files that a command of the application makes in a release."""
STATIC_ROOT = "STATIC_ROOT"
"""The variable of the application with its path."""


@dataclass(frozen=True)
class Python:
    """The interpreter that a release was made with."""

    path: str = ""
    version: str = ""
    stdlib: str = ""


@dataclass(frozen=True)
class Variable:
    """Where a variable comes from, and the keyed digest of its value."""

    source: str = "?"
    digest: str = ""


@dataclass(frozen=True)
class Placed:
    """A file of the application's configuration: the keyed digest of all that distinguishes it, and
    whether it holds a secret."""

    digest: str = ""
    secret: bool = True


@dataclass(frozen=True)
class Manifest:
    """Earlier versions wrote less. `content`: the release's name without the counter of a rebuild.
    `name`: the application's. `beside`: SHA-256 of the wheels sent with the application's, by name.
    `closed`: only the app can read its code. `seq` is the order, `created` is for display only.
    `commit`: of the source in git, with `-dirty` at its end if there were other changes.
    `placed`: the application's files of configuration. `processes`: those besides web.
    `timers`: by name. `files`: SHA-256 of the release's own files. `packages`: the entries of its
    site-packages. `static`: the digest of what its command made; "" without one. `prefix`: the path
    of its site that it is below; None where an earlier version did not say."""

    release: str = ""
    seq: int = 0
    name: str = ""
    version: str = ""
    content: str = ""
    wheel_sha256: str = ""
    lock_sha256: str = ""
    beside: Dict[str, str] = field(default_factory=dict)
    closed: bool = False
    python: Python = Python()
    entry: str = ""
    probe: Optional[Probe] = None
    cartwheel: str = ""
    created: str = ""
    who: str = ""
    message: str = ""
    commit: str = ""
    env: Dict[str, Variable] = field(default_factory=dict)
    placed: Dict[str, Placed] = field(default_factory=dict)
    processes: Dict[str, Process] = field(default_factory=dict)
    timers: Dict[str, Timer] = field(default_factory=dict)
    files: Dict[str, str] = field(default_factory=dict)
    packages: Tuple[str, ...] = ()
    static: str = ""
    prefix: Optional[str] = None
