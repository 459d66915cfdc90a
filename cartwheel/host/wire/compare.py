"""Texts on the host now, which a plan is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.request import Request
from cartwheel.host.wire.timer import Timer


@dataclass(frozen=True)
class Present:
    """Texts of files by path (None: no such file) and of releases by name; the application's units
    that are running, and those that are stopping; the timers that are here, and the next time of
    each that was asked for (None: its zone is not known here)."""

    files: Dict[str, Optional[str]]
    releases: Dict[str, Dict[str, str]]
    running: Tuple[str, ...]
    stopping: Tuple[str, ...]
    timers: Dict[str, Timer] = field(default_factory=dict)
    following: Dict[str, Optional[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Compare(Request[Present]):
    """Read these files, and the files of these releases outside their virtual environments; compute
    the next times of `timers`."""

    op = "compare"
    files: Tuple[str, ...]
    releases: Tuple[str, ...]
    timers: Dict[str, Timer] = field(default_factory=dict)
