"""Requests that make a release on a host, in order; none touches the live release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional, Tuple

from cartwheel.host.wire.download import File, Source
from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.manifest import Manifest, Python
from cartwheel.host.wire.request import Done, Request
from cartwheel.host.wire.served import Served


@dataclass(frozen=True)
class BringTool(Request[Done]):
    """Unpack this host's pip or uv; it is sent along, or downloaded from `source`."""

    op = "tool"
    tool: Literal["pip", "uv"]
    version: str
    wheel: File
    source: Optional[Source]


@dataclass(frozen=True)
class Upload(Request[Done]):
    """Put a wheel into the cache; it is sent along, or downloaded from `source`."""

    op = "upload"
    wheel: File
    source: Optional[Source]


@dataclass(frozen=True)
class MakeVenv(Request[Done]):
    """Make an empty virtual environment, owned by the app's user for now."""

    op = "venv"
    release: str
    user: str
    python: Python


@dataclass(frozen=True)
class Install(Request[Done]):
    """Install exactly the `lock` and the `wheels` from the cache; the application's wheel is first.
    `lock_beside`: the lines of the lock that name the other wheels."""

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
class PlacedFile:
    """A file of the application's configuration in the release. `link`: its name in `shared/`,
    which leads to it; `variable`: that of the application with its path; "" for none. `secret`:
    whether it holds a secret."""

    content: Hidden
    mode: int
    owner: Literal["root", "app"]
    link: str
    variable: str
    secret: bool


@dataclass(frozen=True)
class Configure(Request[Done]):
    """Write the release's own files, its variables, and the application's files; make its
    `folders` outside, and `locks` for processes that never run twice. `has_static`: one of its
    variables leads to the folder that a command will fill. `digest` identifies them."""

    op = "configure"
    release: str
    user: str
    files: Dict[str, str]
    env: Dict[str, Hidden]
    placed: Dict[str, PlacedFile]
    folders: Tuple[str, ...]
    locks: Tuple[str, ...]
    has_static: bool
    digest: str


@dataclass(frozen=True)
class TestSite(Request[Done]):
    """Let the web server test these changes of its files, as if they were made, where the host has
    the release already and `Verify` does not."""

    op = "site-test"
    site_changes: Dict[str, Optional[str]]
    server_names: Tuple[str, ...]


@dataclass(frozen=True)
class MakeStatic(Request[Done]):
    """Fill the release's folder of static files by the `command` of this `setting`, as the app's
    user; then give it to root."""

    op = "static"
    release: str
    user: str
    setting: str
    command: str
    timeout_seconds: float


@dataclass(frozen=True)
class Verify(Request[Done]):
    """Check everything that can be checked before the release runs. `programs`: of its processes
    besides web and of its timers, by setting; "" for one that a variable names. `zones`: the time
    zones of timers, by setting; "" for the host's own."""

    op = "verify"
    release: str
    installing: Installing
    entry: str
    served: Served
    import_seconds: float
    site_changes: Dict[str, Optional[str]]
    server_names: Tuple[str, ...]
    programs: Dict[str, str]
    zones: Dict[str, str]


@dataclass(frozen=True)
class Complete(Request[Done]):
    """Make the release durable, and write its manifest; the host adds its own part to that."""

    op = "complete"
    manifest: Manifest


@dataclass(frozen=True)
class Abandon(Request[Done]):
    """Record that preparing the release failed, and why; remove it if it is `fresh`."""

    op = "abandon"
    kind: str
    release: str
    version: str
    fresh: bool
    reason: str
    log: str
    commit: str
