"""What is kept of a probe or a look: the columns of schema.py. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cartwheel.host.wire.look import RUNNING, AppLook
from cartwheel_monitor.observations import Look, Probe
from cartwheel_monitor.schema import TIMES

Value = float


@dataclass(frozen=True)
class Row:
    """What was seen at a time. A site has no `host`, a host as a whole no `app`; `about` is a
    file system, or one site of several."""

    app: str
    host: str
    about: str
    at: float
    values: Mapping[str, Value]


def of_probe(probe: Probe) -> Row:
    values = {
        "looks": 1,
        "bad": int(bool(probe.problem)),
        "probe_seconds": round(probe.seconds, 4),
        "probe_longest": round(probe.seconds, 4),
    }
    return Row(probe.app, "", probe.site, probe.at, values)


def of_look(look: Look, before: Look | None) -> Iterator[Row]:
    """`before`: the last answered look at it, for what has changed since."""
    seen = look.seen
    if seen is None:
        yield Row("", look.host, "", look.at, {"looks": 1, "bad": 1})
        return
    whole = {
        "looks": 1,
        "bad": 0,
        "memory": seen.memory,
        "memory_available": seen.memory_available,
        "load": seen.load,
        "cpus": seen.cpus,
    }
    yield Row("", look.host, "", look.at, whole)
    for disk in seen.disks:
        sizes = {
            "size": disk.size,
            "free": disk.free,
            "inodes": disk.inodes,
            "free_inodes": disk.free_inodes,
        }
        yield Row("", look.host, disk.path, look.at, sizes)
    for app in seen.apps:
        values = dict(_of_app(app, before.app(app.app) if before else None))
        yield Row(app.app, look.host, "", look.at, values)


def _of_app(app: AppLook, before: AppLook | None) -> Iterator[tuple[str, Value]]:
    down = sum(one.active not in RUNNING for one in app.processes)
    is_meant = app.closed or app.stopped
    yield "looks", 1
    yield "bad", int(not is_meant and bool(down or app.front or app.problem))
    yield "down", down
    known = {(one.process, one.label): one.restarts for one in before.processes} if before else {}
    more = (one.restarts - known.get((one.process, one.label), one.restarts)
            for one in app.processes)  # fmt: skip
    yield "restarts", sum(max(0, each) for each in more)
    memory = [one.memory for one in app.processes if one.memory is not None]
    if memory:
        yield "memory_used", sum(memory)
    if app.requests is not None:
        yield "seconds", app.requests.seconds
        yield "requests", app.requests.count
        yield "failed", app.requests.failed
        if app.requests.took is not None:
            yield "request_seconds", app.requests.took
        yield from zip(TIMES, app.requests.times)
