"""The interface of a kind of package manager, as setup uses it."""

from __future__ import annotations

from typing import List, Protocol, Sequence, Tuple

from cartwheel.host.system.context import Context


class PackageManager(Protocol):
    """One kind; an object without state. Package names are those of its distributions."""

    # The program by which a host shows that it has this kind, e.g. `apt-get`.
    command: str
    # Packages that a host needs in addition to its web server: `ss`, certificates.
    base_packages: Tuple[str, ...]
    # Lines for sh that install `python3` on a host without it.
    python_script: str

    def missing(self, names: Sequence[str]) -> List[str]:
        """Those that are not installed."""

    def install(self, ctx: Context, names: Sequence[str]) -> None:
        """Install them; wait for another running package manager. Raises OpError("packages") with
        the package manager's reason."""

    def python(self, version: str) -> List[str]:
        """The packages that bring this Python with its venv module."""

    def rest_of(self, python: str, version: str) -> List[str]:
        """The packages with the parts of the standard library that the distribution splits off;
        `python` is the interpreter's file name, e.g. `python3.11`."""
