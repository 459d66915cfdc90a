"""The results of building, and the platform of a lock."""

from __future__ import annotations

import platform as machine_facts
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Platform:
    """What wheels must fit: the app's interpreter and the host's machine."""

    python: str  # full version, "3.11.2"
    libc: str  # "glibc" or "musl"
    libc_version: str  # "2.36"
    machine: str  # "x86_64", "aarch64" (uname -m)


def operator_platform() -> Platform:
    """The platform of this machine. `libc` is the system's name if it is not Linux."""
    libc, version = machine_facts.libc_ver()
    if sys.platform == "linux":
        libc = "glibc" if libc == "glibc" else "musl"
    else:
        libc, version = sys.platform, ""
    return Platform(machine_facts.python_version(), libc, version or "1.2", machine_facts.machine())


@dataclass(frozen=True)
class Artifact:
    """The application, ready to install. `source_digest` covers the content of every input."""

    name: str  # distribution name, normalised (PEP 503)
    version: str
    wheel: Path
    wheel_sha256: str
    source_digest: str
    references: tuple[str, ...] = ()  # NAME @ ADDRESS; `file:` is relative to the source's folder
    commit: str = ""  # of the source (see `commit`), on which nothing depends
    left_out: tuple[str, ...] = ()  # files of a plain folder, and folders with a slash at the end


@dataclass(frozen=True)
class Lock:
    """Every package that a host of `platform` gets, with hashes; the app itself is not in it.

    `wheels` are packages with their own source, built here: they are uploaded like the app's.
    """

    platform: Platform
    text: str  # pip's requirements format with --hash: what hosts take from indexes
    sha256: str  # of text
    wheels: tuple[Artifact, ...] = ()

    @property
    def text_beside(self) -> str:
        """Lines for `wheels`, so that the release's lock names everything that is installed."""
        return "".join(
            f"{one.name}=={one.wheel.name.split('-')[1]} \\\n    --hash=sha256:{one.wheel_sha256}\n"
            for one in self.wheels
        )
