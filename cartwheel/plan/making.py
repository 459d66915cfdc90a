"""The part of a plan that makes a release on a host that does not have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build.products import Artifact, Lock
from cartwheel.hidden import Hidden
from cartwheel.host.wire.manifest import STATIC_ROOT

if TYPE_CHECKING:
    from cartwheel.host.wire.download import Source
    from cartwheel.host.wire.facts import Interpreter
    from cartwheel.host.wire.installing import Installing
    from cartwheel.host.wire.making import PlacedFile
    from cartwheel.host.wire.process import Process
    from cartwheel.host.wire.served import Served
    from cartwheel.host.wire.timer import Timer


@dataclass(frozen=True)
class Delivery:
    """One file that the host needs. It is sent along from `path`, or the host downloads it from the
    fleet's store (`source`); with neither, the host has it already."""

    name: str
    version: str
    filename: str
    sha256: str
    path: Path | None = None
    source: Source | None = None


@dataclass(frozen=True)
class Packages:
    """What is installed, and how: the application, its lock, and its index."""

    application: Artifact
    lock: Lock
    installing: Installing
    timeout_seconds: float


@dataclass(frozen=True)
class Variable:
    """A variable of the application's environment, its source, and the keyed digest that shows a
    later plan whether its value changed."""

    value: Hidden
    source: str
    digest: str


@dataclass(frozen=True)
class StaticCommand:
    """The command that makes a release's own static files, and its setting."""

    setting: str
    command: str
    timeout_seconds: float


@dataclass(frozen=True)
class Making:
    """How a release is made on a host that does not have it. `content` is its name without the
    counter of a rebuild."""

    content: str
    python: Interpreter
    entry: str
    served: Served
    server_names: tuple[str, ...]
    prefix: str
    import_seconds: float
    packages: Packages
    deliveries: tuple[Delivery, ...]  # the application's wheel first
    files: Mapping[str, str]  # the release's own files, by name
    variables: Mapping[str, Variable]
    created: str  # for display only; the order is the journal's sequence
    tool: Delivery | None = None  # pip, if the host lacks this version
    folders: tuple[str, ...] = ()  # of the application, outside of the release
    processes: Mapping[str, Process] = field(default_factory=dict)  # besides web
    timers: Mapping[str, Timer] = field(default_factory=dict)
    static: StaticCommand | None = None
    placed: Mapping[str, PlacedFile] = field(default_factory=dict, repr=False)
    placed_digests: Mapping[str, str] = field(default_factory=dict)  # for a later plan

    @property
    def noted(self) -> dict[str, tuple[str, str]]:
        """Source and keyed digest of each variable, also of those with the path of a file, by its
        name: what differs between releases, without any value."""
        found = {name: (one.source, one.digest) for name, one in self.variables.items()}
        for name, one in self.placed.items():
            if one.variable:
                found[one.variable] = (f"file {name}", self.placed_digests[name])
        if self.static is not None:
            found[STATIC_ROOT] = ("web.static", "")
        return found
