"""Requests that make a release on a host, in their order; none touches what serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional, Tuple

from cartwheel.host.wire.download import File, Source
from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.manifest import Manifest, Python
from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class BringTool(Request[Done]):
    """Unpack the one pip or uv of this host; it is sent along, or fetched from `source`."""

    op = "tool"
    tool: Literal["pip", "uv"]
    version: str
    wheel: File
    source: Optional[Source]


@dataclass(frozen=True)
class Upload(Request[Done]):
    """Keep a wheel in the cache; it is sent along, or fetched from `source`."""

    op = "upload"
    wheel: File
    source: Optional[Source]


@dataclass(frozen=True)
class MakeVenv(Request[Done]):
    """Make an empty virtual environment, for now the user's."""

    op = "venv"
    release: str
    user: str
    python: Python


@dataclass(frozen=True)
class Install(Request[Done]):
    """Install exactly the `lock` and the `wheels` in the cache, the application's first;
    `lock_beside` are the lines of the lock that name the others."""

    op = "install"
    release: str
    python: Python
    lock: str
    lock_sha256: str
    lock_beside: str
    wheels: Tuple[File, ...]
    installing: Installing
    timeout_seconds: float


@dataclass(frozen=True)
class Configure(Request[Done]):
    """Write the release's own files and its variables. `digest` tells these from others."""

    op = "configure"
    release: str
    user: str
    files: Dict[str, str]
    env: Dict[str, Hidden]
    digest: str


@dataclass(frozen=True)
class Verify(Request[Done]):
    """Check everything that can be known before it runs."""

    op = "verify"
    release: str
    installing: Installing
    entry: str
    static_dir: Optional[str]
    import_seconds: float
    site_changes: Dict[str, Optional[str]]
    server_names: Tuple[str, ...]


@dataclass(frozen=True)
class Complete(Request[Done]):
    """Make the release durable, and write its manifest, of which the host adds what it knows."""

    op = "complete"
    manifest: Manifest


@dataclass(frozen=True)
class Abandon(Request[Done]):
    """Note that preparing the release failed, and why; one that is `fresh` goes."""

    op = "abandon"
    kind: str
    release: str
    version: str
    fresh: bool
    reason: str
    log: str
