"""What setup needs of a package manager: the interface of a kind."""

from __future__ import annotations

from typing import List, Protocol, Sequence, Tuple

from cartwheel.host.system.context import Context


class PackageManager(Protocol):
    """One kind; an object without state. Names are those of its distributions."""

    @property
    def command(self) -> str:
        """The program by which a host shows that it has this kind, e.g. `apt-get`."""

    @property
    def base_packages(self) -> Tuple[str, ...]:
        """What a host needs beside its web server, also to be looked at: `ss`, certificates."""

    @property
    def python_script(self) -> str:
        """Lines for sh that install `python3` where the host has none yet."""

    def missing(self, names: Sequence[str]) -> List[str]:
        """Those that are not installed."""

    def install(self, ctx: Context, names: Sequence[str]) -> None:
        """Install them, and wait for another run of it. Raises OpError("packages") with its own
        reason."""

    def python(self, version: str) -> List[str]:
        """The packages that bring this Python with its venv module."""

    def rest_of(self, python: str, version: str) -> List[str]:
        """The packages with what the distribution took out of the standard library of an
        interpreter: `python` is its file's name, e.g. `python3.11`."""
