"""The health check of the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Probe:
    """How to ask the application, and which answers are good (settings: health)."""

    sparse = True  # an earlier version's `recover` does not know `also`
    path: str
    host: str
    scheme: str
    status: int
    count: int
    span_seconds: float
    deadline_seconds: float
    timeout_seconds: float
    also: Tuple[str, ...] = ()
