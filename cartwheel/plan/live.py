"""What one look at a host says of an application: a row that people read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.host.wire.look import BOUNDS, RUNNING

if TYPE_CHECKING:
    from cartwheel.host.wire.look import AppLook, DiskLook, HostLook, Requests

_FULL = 0.1  # less free room or inodes is worth a word


@dataclass(frozen=True)
class Live:
    """An application on a host just now. `rate`: requests a second; `failed`: the share of 5xx;
    `usual` and `slow`: upper bounds of the median and the 95th percentile, in seconds."""

    release: str
    since: float | None
    state: str
    rate: float | None
    failed: float | None
    usual: float | None
    slow: float | None
    memory: int | None
    notes: tuple[str, ...]


def live(look: HostLook, app: str) -> Live | None:
    """The row of the application; None where it is not on this host."""
    found = next((one for one in look.apps if one.app == app), None)
    if found is None:
        return None
    counted = found.requests
    seen = counted if counted and counted.count else None
    memory = [one.memory for one in found.processes if one.memory is not None]
    return Live(
        release=found.release,
        since=found.since,
        state=_state(found),
        rate=counted.count / counted.seconds if counted and counted.seconds else None,
        failed=seen.failed / seen.count if seen else None,
        usual=quantile(seen, 0.5) if seen else None,
        slow=quantile(seen, 0.95) if seen else None,
        memory=sum(memory) if memory else None,
        notes=tuple(_notes(look, found)),
    )


def quantile(requests: Requests, share: float) -> float | None:
    """The upper bound of the interval in which this share of the requests ends; None where it took
    longer than the last bound, or is not known."""
    wanted, seen = share * sum(requests.times), 0
    for bound, count in zip(BOUNDS, requests.times, strict=False):
        seen += count
        if count and seen >= wanted:
            return bound
    return None


def _state(app: AppLook) -> str:
    if not app.release:
        return "not deployed"
    if app.stopped:
        return "stopped"
    down = [one for one in app.processes if one.active not in RUNNING]
    if app.front or any(one.process == "web" for one in down):
        return "UNHEALTHY"
    return "AT RISK" if down else "healthy"


def _notes(look: HostLook, app: AppLook) -> Iterator[str]:
    yield from filter(None, (app.problem, app.front))
    for one in app.processes:
        if one.active not in RUNNING:
            yield f"{one.process}@{one.label} is {one.active}"
        elif one.restarts:
            yield f"{one.process}@{one.label} restarted {one.restarts} times"
    for timer in app.timers:
        if timer.result not in ("", "done", "running"):
            yield f"timer {timer.name}: {timer.result}"
        elif timer.due is not None:
            yield f"timer {timer.name} is late"
    marks = {
        "a run holds the lock": app.locked,
        "frozen": app.frozen,
        "closed for visitors": app.closed,
        "a switch is not confirmed": app.pending,
    }
    yield from (text for text, holds in marks.items() if holds)
    yield from (text for disk in look.disks if (text := _of_disk(disk)))
    for what, why in look.unread.items():
        owner, colon, part = what.partition(": ")
        if not colon or owner == app.app:
            yield f"not read: {part if colon else what}: {why}"


def _of_disk(disk: DiskLook) -> str:
    if disk.read_only:
        return f"{disk.path} is read-only"
    if min(_part(disk.free, disk.size), _part(disk.free_inodes, disk.inodes)) < _FULL:
        return f"{disk.path}: {disk.free >> 20} MB, {disk.free_inodes} inodes free"
    return ""


def _part(free: int, size: int) -> float:
    return free / size if size else 1.0
