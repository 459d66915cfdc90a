"""One line of a host's history: what was done, by whom, with what result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Entry:
    """`seq` is the order and `at` the time (seconds since the epoch, for display only); the journal
    sets both. `from_`: the live release before a switch. `switch`: the switch's id. `since`: when
    the app was stopped, as text. Earlier versions and other operations write less."""

    sparse = True
    seq: Optional[int] = None
    at: Optional[float] = None
    kind: Optional[str] = None
    release: Optional[str] = None
    version: Optional[str] = None
    result: Optional[str] = None
    who: Optional[str] = None
    message: Optional[str] = None
    from_: Optional[str] = None
    switch: Optional[str] = None
    since: Optional[str] = None
    reason: Optional[str] = None
