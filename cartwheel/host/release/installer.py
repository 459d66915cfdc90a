"""What installs packages on this host: pip or uv, each in a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Protocol, Tuple

from cartwheel.host.release import installer_pip, installer_uv
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.installing import Installing


class Installer(Protocol):
    """A program and its arguments and variables; the caller decides the user and the folder."""

    name: str

    def index(self) -> Dict[str, str]:
        """Variables that name its indexes. Raises OpError("install-failed") for a configuration
        file of the host that cannot be read."""

    def install(self, python: str, lock: Path, *, cached: bool) -> List[str]:
        """Install exactly the lock's packages, by their hashes, for this interpreter. The lock is
        complete: nothing is resolved. Not `cached`: the download cache is not used."""

    def forget(self, names: List[str], /) -> List[str]:
        """Remove these from its cache; empty if it does not cache local files."""

    def check(self, python: str) -> List[str]:
        """Check that the installed packages fit together; exit status 1 if they do not."""

    def ask(self) -> List[str]:
        """Ask the index for the package that standard input names."""

    def explain(self, output: str) -> Optional[Tuple[str, str]]:
        """(slug, one line): why it failed, if that is about packages or an index."""

    def mismatch(self, output: str) -> str:
        """The packages that do not fit together, in one line."""


def of(chosen: Installing) -> Installer:
    """The installer that the settings choose. Raises OpError("no-uv")."""
    named = {name: value.reveal() for name, value in chosen.index.items()}
    if chosen.program == "pip":
        return installer_pip.Pip(chosen.pip_version, named)
    found = installer_uv.find(chosen.uv_version, chosen.user)
    if found is None:
        why = "deploy.installer is uv, and this host has no uv that its user can run"
        raise OpError("no-uv", why)
    return installer_uv.Uv(found.path, named)
