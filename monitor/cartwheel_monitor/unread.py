"""What a look could not read, and so says nothing about. Pure.

The host names it (host/watch/look.py): `units`, or `APP: requests`, or `late` for all that came
after. What is not known here may hide anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from cartwheel_monitor.subjects import PROCESS, RESTARTS, TIMER, Subject

_TIMER = "timer "
# Of these parts of an app the rest of the look is whole.
_ALONE = (
    "requests",
    "entries",
    "stopped.json",
    "frozen.json",
    "pending.json",
    "maintenance/on.json",
)


def app_of(what: str) -> str:
    """The application that it is a part of; "" for none."""
    app, colon, _part = what.partition(": ")
    return app if colon else ""


def hides(unread: Iterable[str], subject: Subject) -> bool:
    """Whether the subject may be there all the same where a look does not name it."""
    return any(_hides(one, subject) for one in unread)


def _hides(what: str, subject: Subject) -> bool:
    if what == "units":
        return subject.kind in (PROCESS.name, RESTARTS.name, TIMER.name)
    app = app_of(what)
    part = what.partition(": ")[2]
    if not app or part in _ALONE:
        return not app
    if part.startswith(_TIMER):
        return (subject.kind, subject.app, subject.about) == (TIMER.name, app, part[len(_TIMER) :])
    return subject.app == app
