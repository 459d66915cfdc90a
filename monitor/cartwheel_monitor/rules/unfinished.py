"""A switch that nobody confirmed, on which no run works: the host could not go back by itself."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.language import _
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import UNFINISHED, Subject, Verdict


def verdicts(look: Look, _around: Around) -> Iterator[Verdict]:
    """By the mark that a switch leaves until it is confirmed."""
    for app in look.seen.apps if look.seen else ():
        problem = ""
        if app.pending and not app.locked:
            problem = _("a switch is not confirmed, and no run works on it")
        subject = Subject(UNFINISHED.name, app.app, look.host)
        yield Verdict(subject, look.at, problem, app.release)
