"""What a plan is compared with: the texts that the host has now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Present:
    """Texts of files by path (None where there is none) and of releases by name; units of the
    application that run, and that still end."""

    files: Dict[str, Optional[str]]
    releases: Dict[str, Dict[str, str]]
    running: Tuple[str, ...]
    stopping: Tuple[str, ...]


@dataclass(frozen=True)
class Compare(Request[Present]):
    """Read these files, and what stands beside the virtual environments of these releases."""

    op = "compare"
    files: Tuple[str, ...]
    releases: Tuple[str, ...]
