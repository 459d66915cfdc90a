"""Rules about requests: of the host that was looked into, and now and then of the whole app."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Around, Look, Traffic, Usual
from cartwheel_monitor.subjects import Kind, Subject, Verdict

# What is wrong with the requests, by what is usual: "" for nothing, None where that is not known;
# the last argument: whether it was wrong before.
Problem = Callable[[Traffic, Usual, Limits, bool], "str | None"]


def verdicts(kind: Kind, problem: Problem, look: Look, around: Around) -> Iterator[Verdict]:
    """Of each app on this host; and as host "" of all its hosts, where their requests were added up
    (recent.Window)."""
    for app in look.seen.apps if look.seen else ():
        every = ("",) if (app.app, "") in around.traffic else ()
        for host in (look.host, *every):
            subject = Subject(kind.name, app.app, host)
            traffic = around.traffic.get((app.app, host))
            is_down = subject in around.down
            if traffic is not None:
                usual = around.usual.get((app.app, host), Usual())
                found = problem(traffic, usual, around.limits, is_down)
                yield Verdict(subject, look.at, found, app.release)
            elif app.requests is not None or is_down:
                yield Verdict(subject, look.at, None, app.release)
