"""`release.json`: what a complete release is made of, as its own folder says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.health import Probe


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
class Manifest:
    """Earlier versions say less. `content` is the name without the counter of a release that was
    made anew, `name` the application's own. `beside` are the SHA-256 of wheels that travelled with
    the application's, by name. `closed`: nobody but the app reads its code. `seq` is the order,
    `created` is for people only. `files` are the SHA-256 of the release's own, `packages` what
    lies in its site-packages."""

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
    env: Dict[str, Variable] = field(default_factory=dict)
    files: Dict[str, str] = field(default_factory=dict)
    packages: Tuple[str, ...] = ()
