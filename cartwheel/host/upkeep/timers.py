"""Run a timer's job now; pause and resume timers."""

from __future__ import annotations

import time
import uuid

from cartwheel.host.layout import Layout
from cartwheel.host.process import timers as units
from cartwheel.host.state import journal, releases, timers
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context, OpError, boottime
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.timer import PauseTimer, ResumeTimer, Run, RunTimer

_BEGIN_SECONDS = 20.0
_POLL_SECONDS = 0.1


def run(ctx: Context, request: RunTimer) -> Run:
    """Let the dispatcher start the job, as for a run that is due, also while the timer is paused.

    Raises OpError("no-timer"), ("stopped") and ("timer-busy").
    """
    at, name = ctx.at, request.name
    _refuse_unknown(at, name)
    if at.stopped.exists():
        raise OpError("stopped", f"{at.app} is stopped, and its timers with it")
    _refuse_busy(at, name)
    question = Run(number=0, started=time.time(), who=ctx.about.who, asked=uuid.uuid4().hex)
    timers.ask(at, name, question)
    systemd.start(ctx, at.dispatcher_unit(name).name)
    end = boottime() + _BEGIN_SECONDS
    while boottime() < end:
        for one in timers.runs(at, name):
            if one.asked == question.asked:
                return one
        ctx.pause(_POLL_SECONDS)
    timers.forget_asked(at, name)
    _refuse_busy(at, name)
    log = systemd.log(at.dispatcher_unit(name).name, 25, question.started)
    raise OpError("start-failed", f"the dispatcher of the timer {name} did not start it", log=log)


def _refuse_busy(at: Layout, name: str) -> None:
    if units.is_under_way(at, name):
        raise OpError("timer-busy", f"the job of the timer {name} is under way")


def _refuse_unknown(at: Layout, name: str) -> None:
    known = timers.here(at)
    if name not in known:
        there = ", ".join(known) or "none"
        raise OpError("no-timer", f"the timer {name} is not on this host; timers here: {there}")


def pause(ctx: Context, request: PauseTimer) -> Done:
    """Raises OpError("no-timer")."""
    at, name, about = ctx.at, request.name, ctx.about
    _refuse_unknown(at, name)
    if timers.paused(at, name):
        return Done(changed=False)
    timers.pause(at, name, Stopped(about.who, about.message, time.strftime("%F %T")))
    _note(ctx, "timer.pause", name)
    return Done(changed=True)


def resume(ctx: Context, request: ResumeTimer) -> Done:
    """Times that passed meanwhile are not made up. Raises OpError("no-timer")."""
    at, name = ctx.at, request.name
    _refuse_unknown(at, name)
    if not timers.paused(at, name):
        return Done(changed=False)
    timers.count_from_now(at, name, timers.here(at)[name])
    timers.resume(at, name)
    _note(ctx, "timer.resume", name)
    return Done(changed=True)


def _note(ctx: Context, kind: str, name: str) -> None:
    at, about = ctx.at, ctx.about
    why = f"{name}: {about.message}" if about.message else name
    release = releases.pointed(at.current)
    done = Entry(kind=kind, release=release, result="done", who=about.who, message=why)
    journal.append(at.journal, done)
