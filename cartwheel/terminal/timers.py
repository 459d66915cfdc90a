"""Timers as rows. Nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from cartwheel.terminal.format import minute

if TYPE_CHECKING:
    from cartwheel.host.wire.timer import Run, Timers, TimerState

HEADS = ("TIMER", "SCHEDULE", "NEXT", "RUN", "BEGAN", "TOOK", "ENDED")
SHOWN_RUNS = 5


def names(some: Iterable[Timers]) -> set[str]:
    """The timers that these hosts have."""
    return {timer.name for one in some for timer in one.timers}


def rows(one: Timers, listed: Collection[str], most: int = SHOWN_RUNS) -> Iterator[tuple[str, ...]]:
    """The timers of a host, each with at most this many of its last runs; those that another host
    has, which is not `listed`; the last jobs of those that have left this host."""
    for timer in one.timers:
        first = (timer.name, timer.timer.key, _next(timer, is_stopped=one.stopped is not None))
        runs = [_run(run) for run in timer.runs[:most]] or [("-", "-", "-", "-")]
        yield (*first, *runs[0])
        yield from (("", "", "", *run) for run in runs[1:])
    for name, host in one.elsewhere.items():
        if name not in listed:
            yield (name, "-", f"on {host}" if host else "not known", "-", "-", "-", "-")
    for name, run in one.last_jobs.items():
        yield (name, "-", "none, its last run", *_run(run))


def _next(timer: TimerState, *, is_stopped: bool) -> str:
    if timer.paused:
        return f"paused by {timer.paused.who}"
    if is_stopped:
        return "stopped"
    return minute(timer.following) if timer.active else "does not run"


def _run(run: Run) -> tuple[str, ...]:
    took = (run.ended or time.time()) - run.started
    how = f"{run.result}: {run.detail}" if run.detail else run.result
    asked = f", asked for by {run.who}" if run.who else ""
    is_over = run.ended is not None or run.result == "running"
    return (str(run.number), minute(run.started), f"{took:.0f} s" if is_over else "-", how + asked)
