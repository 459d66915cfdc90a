"""A process of the live release does not run, or the app does not answer on its host."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.host.wire.look import RUNNING, AppLook, ProcessLook
from cartwheel_monitor.language import _
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import PROCESS, Subject, Verdict

FRONT = "front"
STATE = "state"


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """Of an app that `fab stop` has stopped nothing needs to run."""
    seen = look.seen
    for app in seen.apps if seen else ():
        release = app.release
        for one in app.processes:
            about = Subject(PROCESS.name, app.app, look.host, f"{one.process} {one.label}".strip())
            now = seen.time if seen else look.at
            yield Verdict(about, look.at, _of_process(one, app, now, around.limits), release)
        if app.front is not None:
            about = Subject(PROCESS.name, app.app, look.host, FRONT)
            yield Verdict(about, look.at, _of_front(app), release)
        about = Subject(PROCESS.name, app.app, look.host, STATE)
        yield Verdict(about, look.at, app.problem, release)


def _of_process(one: ProcessLook, app: AppLook, now: float, limits: Limits) -> str | None:
    if app.stopped or one.active in RUNNING:
        return ""
    name = one.process or "web"
    if one.active == "activating" and one.since and now - one.since < limits.start_seconds:
        return None  # it is starting
    result = f" ({one.result})" if one.result not in ("", "success") else ""
    return _("process {name} is {state}").format(name=name, state=(one.active or "?") + result)


def _of_front(app: AppLook) -> str | None:
    if app.stopped or not app.front:
        return ""
    if app.closed:
        return None  # visitors see the page of the maintenance
    return _("it does not answer through its own web server: {why}").format(why=app.front)
