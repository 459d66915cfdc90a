"""Processes as rows and lines. Nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cartwheel.telling import age_text
from cartwheel.terminal.format import local_time

if TYPE_CHECKING:
    from cartwheel.host.wire.processes import Processes, Row

HEADS = ("PROCESS", "STATE", "RELEASE", "SINCE", "MEMORY", "RESTARTS", "NOTES")
_MEGABYTE_BITS = 20
_DAY_SECONDS = 86400.0


def rows(one: Processes) -> Iterator[tuple[str, ...]]:
    """One row for each instance of a host."""
    return map(_row, one.instances)


def _row(one: Row) -> tuple[str, ...]:
    return (
        f"{one.process}@{one.instance}",
        one.state,
        one.release,
        age_text(one.since_seconds),
        f"{one.memory_bytes >> _MEGABYTE_BITS} MB" if one.memory_bytes else "-",
        str(one.restarts),
        "; ".join(_notes(one)),
    )


def _notes(one: Row) -> Iterator[str]:
    if one.until_seconds is not None:
        yield _until(one.until_seconds)
    if one.ended and one.ended != "success":
        yield one.ended
    if one.stopped is not None:
        why = f": {one.stopped.message}" if one.stopped.message else ""
        yield f"stopped by {one.stopped.who} since {one.stopped.since}{why}"


def draining_lines(draining: Iterable[Row]) -> Iterator[str]:
    """`2 worker of 1.4.0.7f3a1c02 finish their jobs, until 14:32:10 at most`."""
    alike: dict[tuple[str, str], list[float]] = {}
    for one in draining:
        alike.setdefault((one.process, one.release), []).append(one.until_seconds or 0.0)
    for (process, release), seconds in alike.items():
        count = len(seconds)
        who = f"{count} {process}" if count > 1 else process
        work = "finish their jobs" if count > 1 else "finishes its job"
        yield f"{who} of {release} {work}, {_until(max(seconds))}"


def connections_text(count: int) -> str:
    """What the old release of a switch still had when it was asked to stop."""
    noun, were = ("connections", "were") if count > 1 else ("connection", "was")
    return (
        f"{count} {noun} of the old release {were} still open (websockets, streams or long"
        " requests); those still open after deploy.drain_seconds are closed"
    )


def _until(seconds: float) -> str:
    form = "%H:%M:%S" if seconds < _DAY_SECONDS else "%Y-%m-%d %H:%M"
    return f"until {local_time(time.time() + seconds, form)} at most"
