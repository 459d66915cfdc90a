"""Requests about what only one host of a fleet has: an exclusive process, or a timer.

A host gives it up before another one takes it. What each host has is in `assigned.json`, which is
durable before anything is stopped or started: whatever is cut off in between, nobody starts it
without having taken it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Optional

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class Record:
    """What a host knows of a timer, so that another one goes on with it. Of the times that were due
    until `since`, all are done with; None: it knows of none. `paused`: by whom."""

    since: Optional[float] = None
    paused: Optional[Stopped] = None

    @staticmethod
    def last(records: "Iterable[Record]") -> "Record":
        """The record of the host that had it last. To resume a timer counts as well, so of two that
        know the same the paused one is newer."""
        return max(records, key=lambda one: (one.since or 0.0, one.paused is not None))


@dataclass(frozen=True)
class Given:
    """It has ended here. `changed`: whether the host is different afterwards."""

    changed: bool
    record: Record = Record()


@dataclass(frozen=True)
class LetGo(Request[Given]):
    """Write down that another host is to have it, stop it here, and answer once it has ended. The
    same for a host that does not have it. A timer's job is not asked to stop: it ends by itself."""

    op = "let-go"
    name: str
    to: str


@dataclass(frozen=True)
class Take(Request[Done]):
    """Write down that this host, `me` for the others, has it; start it, and wait until it is ready.
    Nobody else may have it. `stopped`: who has stopped it, wherever it was; then it does not start
    here either. A timer goes on from the `record`."""

    op = "take"
    name: str
    me: str
    probe: Probe
    stopped: Optional[Stopped] = None
    record: Record = Record()
