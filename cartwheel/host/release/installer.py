"""What installs packages on this host: pip or uv, each in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Protocol, Tuple

from cartwheel.host.release import installer_pip, installer_uv
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.installing import Installing


class Installer(Protocol):
    """A program, told where it looks for packages; who runs it decides as whom and where."""

    name: str

    def index(self) -> Dict[str, str]:
        """Variables that say where it looks. Raises OpError("install-failed") for a file of the
        host's that cannot be read."""

    def install(self, python: str, lock: Path, *, cached: bool) -> List[str]:
        """Install exactly what the lock names, by its hashes, for this interpreter. The lock is
        complete: nothing is resolved here. Not `cached`: no download is kept or looked for."""

    def forget(self, names: List[str], /) -> List[str]:
        """Take these out of its cache; empty where it keeps nothing that came as a file."""

    def check(self, python: str) -> List[str]:
        """Whether what is installed fits together; it ends with 1 where it does not."""

    def ask(self) -> List[str]:
        """Ask the index for the package that standard input names."""

    def explain(self, output: str) -> Optional[Tuple[str, str]]:
        """(slug, one line) of why it failed, where that is about packages or an index."""

    def mismatch(self, output: str) -> str:
        """What does not fit together, in one line."""


def of(chosen: Installing) -> Installer:
    """The installer that the settings choose. Raises OpError("no-uv")."""
    named = {name: value.reveal() for name, value in chosen.index.items()}
    if chosen.program == "pip":
        return installer_pip.Pip(chosen.pip_version, named)
    program = installer_uv.find(chosen.uv_version, chosen.user)
    if program is None:
        raise OpError(
            "no-uv", "deploy.installer is uv, and this host has no uv that its user can run"
        )
    return installer_uv.Uv(program, named)
