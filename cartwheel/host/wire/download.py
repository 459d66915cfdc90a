"""Files that a host needs, and where it fetches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from cartwheel.host.wire.hidden import Hidden


@dataclass(frozen=True)
class File:
    """A file by its content."""

    filename: str
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where hosts fetch a published file. `login`, a name and a password, is for that server."""

    url: str
    size_bytes: int
    timeout_seconds: float
    login: Optional[Tuple[str, Hidden]] = None
