"""Texts on the host now, which a plan is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Present:
    """Texts of files by path (None: no such file) and of releases by name; the application's units
    that are running, and those that are stopping."""

    files: Dict[str, Optional[str]]
    releases: Dict[str, Dict[str, str]]
    running: Tuple[str, ...]
    stopping: Tuple[str, ...]


@dataclass(frozen=True)
class Compare(Request[Present]):
    """Read these files, and the files of these releases outside their virtual environments."""

    op = "compare"
    files: Tuple[str, ...]
    releases: Tuple[str, ...]
