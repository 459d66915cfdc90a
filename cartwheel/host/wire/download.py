"""Files that a host needs, and where it downloads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from cartwheel.host.wire.hidden import Hidden


@dataclass(frozen=True)
class File:
    """A file, identified by its content."""

    filename: str
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where hosts download a published file. `login` is a name and a password for that server."""

    url: str
    size_bytes: int
    timeout_seconds: float
    login: Optional[Tuple[str, Hidden]] = None
