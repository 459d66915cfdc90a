"""Names an instance: its release, its process, its slot."""

from __future__ import annotations

from dataclasses import dataclass

WEB = "web"


@dataclass(frozen=True, order=True)
class Instance:
    """One process of a release, running or not. Its slot distinguishes it from instances of the
    same process and release that are still stopping."""

    process: str
    release: str
    slot: str
