"""How the application is asked whether it is well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Probe:
    """How the application is asked, and what counts as well (settings: health)."""

    sparse = True  # the `recover` of an earlier version does not know `also`
    path: str
    host: str
    scheme: str
    status: int
    count: int
    span_seconds: float
    deadline_seconds: float
    timeout_seconds: float
    also: Tuple[str, ...] = ()
