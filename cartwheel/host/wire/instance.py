"""Which process of which release, and which of its instances."""

from __future__ import annotations

from dataclasses import dataclass

WEB = "web"


@dataclass(frozen=True, order=True)
class Instance:
    """One process of a release, running or not. Its slot tells it from those of the same process
    and release that still end."""

    process: str
    release: str
    slot: str
