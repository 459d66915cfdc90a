"""systemd starts a process again and again: it crashes, or does not come up.

A worker that gunicorn replaces (`max_requests`) is no restart: the process stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.language import _
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import RESTARTS, Subject, Verdict


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """By what systemd counted in the last minutes."""
    for app in look.seen.apps if look.seen else ():
        for one in app.processes:
            about = f"{one.process} {one.label}".strip()
            subject = Subject(RESTARTS.name, app.app, look.host, about)
            count = around.restarts.get((app.app, one.process, one.label), 0)
            problem = ""
            if count >= around.limits.restarts and not app.stopped:
                problem = _("process {name} was started {count} times in {minutes} minutes").format(
                    name=one.process or "web",
                    count=count,
                    minutes=round(around.limits.restart_seconds / 60),
                )
            yield Verdict(subject, look.at, problem, app.release)
