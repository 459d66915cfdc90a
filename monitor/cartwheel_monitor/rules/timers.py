"""A timer's run failed, or is late."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.host.wire.look import TimerLook
from cartwheel_monitor.language import _
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import TIMER, Subject, Verdict

_FAILED = ("failed", "timeout", "cut")


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """A timer that somebody has paused is well."""
    seen = look.seen
    for app in seen.apps if seen else ():
        for one in app.timers:
            subject = Subject(TIMER.name, app.app, look.host, one.name)
            problem: str | None = ""
            if seen and not one.paused and not app.stopped:
                problem = _problem(one, seen.time, around.limits)
            yield Verdict(subject, look.at, problem, app.release)


def _problem(one: TimerLook, now: float, limits: Limits) -> str | None:
    if one.due is not None and now - one.due > limits.timer_late_seconds:
        return _("timer {name} is {minutes} minutes late").format(
            name=one.name, minutes=round((now - one.due) / 60)
        )
    if one.result in _FAILED:
        how = (
            _("run {number} of timer {name} failed: {detail}")
            if one.detail
            else _("run {number} of timer {name} failed")
        )
        return how.format(number=one.number, name=one.name, detail=one.detail)
    return None if one.result == "running" else ""
