"""The timers of a host, and what the runs of one printed. Changes nothing."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Iterator, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process import timers as units
from cartwheel.host.state import assignment, timers
from cartwheel.host.system import files, locks, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.assigned import held_timer
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.timer import AskTimers, ReadRun, Run, Timer, Timers, TimerState

_POLL_SECONDS = 0.3
_CHUNK_BYTES = 64 << 10
_LOST = "nobody noted its end: the host lost its power, or the job was killed with its dispatcher"


def look(ctx: Context, request: AskTimers) -> Timers:
    """The timers that are on this host, with their runs."""
    return here(ctx.at)


def here(at: Layout) -> Timers:
    holders, mine = assignment.read(at).holders, timers.here(at)
    others = {name: holders.get(held_timer(name)) for name in timers.known(at) if name not in mine}
    elsewhere = {name: host for name, host in others.items() if host is not None}
    last = {name: timers.runs(at, name)[-1:] for name, _ in systemd.jobs(at) if name not in mine}
    last_jobs = {name: runs[0] for name, runs in last.items() if runs}
    stopped = files.read_record(Stopped, at.stopped)
    return Timers(tuple(states(at)), stopped, elsewhere, last_jobs)


def states(at: Layout) -> Iterator[TimerState]:
    known = timers.here(at)
    down = units.down(at)
    under_way = dict(systemd.jobs(at)) if known else {}
    for name, timer in known.items():
        yield _state(at, name, timer, is_active=name not in down, is_under_way=name in under_way)


def _state(
    at: Layout, name: str, timer: Timer, *, is_active: bool, is_under_way: bool
) -> TimerState:
    paused = timers.paused(at, name)
    return TimerState(
        name=name,
        timer=timer,
        active=is_active,
        following=None if paused else timers.following(timer, time.time()),
        paused=paused,
        runs=tuple(reversed(_runs(at, name, is_under_way=is_under_way))),
    )


def _runs(at: Layout, name: str, *, is_under_way: bool) -> List[Run]:
    """The runs; one without an end is under way only if it is the last, and somebody is at it."""
    found = timers.runs(at, name)
    goes_on = is_under_way or locks.held_by(at.timers / name / "lock") is not None
    return [
        replace(run, result="cut", detail=_LOST)
        if run.ended is None and not (goes_on and run is found[-1])
        else run
        for run in found
    ]


def output(ctx: Context, request: ReadRun) -> Run:
    """Send what a run printed; with `follow` until it has ended. Raises OpError("no-timer") and
    ("no-run")."""
    at, name = ctx.at, request.name
    run = _wanted(at, name, request.number)
    printing = _Printing(ctx, timers.running_output(at, name))
    while run.result == "running":
        if run.release:  # before that, the file may be an earlier run's
            printing.pass_on()
        if not request.follow:
            return run
        ctx.pause(_POLL_SECONDS)
        run = _wanted(at, name, run.number)
    if not printing.finish():
        with suppress(FileNotFoundError):
            _send(ctx, timers.output(at, name, run.number).read_bytes())
    return run


def _wanted(at: Layout, name: str, number: Optional[int]) -> Run:
    if not (at.timers / name).is_dir():
        raise OpError("no-timer", f"this host has had no timer {name}")
    under_way = name in dict(systemd.jobs(at))
    found = _runs(at, name, is_under_way=under_way)
    chosen = [run for run in found if number in (None, run.number)]
    if not chosen:
        which = f"run {number}" if number else "run yet"
        kept = f"kept: {found[0].number} to {found[-1].number}" if found else "none is kept"
        raise OpError("no-run", f"there is no {which} of the timer {name}; {kept}")
    return chosen[-1]


class _Printing:
    """Lines of a file that is still written, and that may be cut at its beginning meanwhile."""

    def __init__(self, ctx: Context, path: Path) -> None:
        self._ctx = ctx
        self._path = path
        self._fd: Optional[int] = None
        self._position = 0
        self._rest = b""

    def pass_on(self) -> None:
        if self._fd is None:
            with suppress(FileNotFoundError):
                self._fd = os.open(str(self._path), os.O_RDONLY | os.O_CLOEXEC)
        if self._fd is None:
            return
        if os.fstat(self._fd).st_size < self._position:
            self._position = 0
        while text := os.pread(self._fd, _CHUNK_BYTES, self._position):
            self._position += len(text)
            whole, newline, self._rest = (self._rest + text).rpartition(b"\n")
            _send(self._ctx, whole + newline)

    def finish(self) -> bool:
        """Pass on the rest; False if there never was such a file to read."""
        if self._fd is None:
            return False
        self.pass_on()
        _send(self._ctx, self._rest)
        os.close(self._fd)
        return True


def _send(ctx: Context, text: bytes) -> None:
    for line in text.decode("utf-8", "replace").splitlines():
        ctx.emit("output", "note", line)
