"""What the watcher knows just now, as JSON: for `fab monitor.status`."""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List

from cartwheel_monitor import language, messages
from cartwheel_monitor.desk import Desk
from cartwheel_monitor.observations import Look
from cartwheel_monitor.records import Json, of_silence
from cartwheel_monitor.subjects import Subject

FORMAT = 1
_MOST_UNREAD = 3


def of(desks: Iterable[Desk], unread: Dict[str, str], now: float) -> Dict[str, Json]:
    """All projects together. `unread`: lists that could not be read, and why. `problems` are all of
    the monitor itself, `project_problems` those of what it keeps and tells of each project."""
    every = list(desks)
    problems: List[Json] = [f"its list {name} is not read: {why}" for name, why in unread.items()]
    by_project = {one.listed.project: one.problems() for one in every}
    return {
        "format": FORMAT,
        "time": now,
        "problems": [*problems, *(text for texts in by_project.values() for text in texts)],
        "project_problems": {project: [*texts] for project, texts in by_project.items()},
        "hosts": {one.listed.project: [host.name for host in one.listed.hosts] for one in every},
        "targets": [row for desk in every for row in _targets(desk)],
        "open": [row for desk in every for row in _open(desk)],
        "projects": {one.listed.project: one.itself() for one in every},
        "silences": [row for desk in every for row in _silences(desk)],
    }


def _targets(desk: Desk) -> Iterator[Json]:
    down = desk.judge.down
    for site in desk.listed.sites:
        probe = desk.probes.get(site.url)
        state = "down" if Subject("site", site.app, "", site.url) in down else "well"
        yield {
            "project": desk.listed.project,
            "name": site.url,
            "state": state if probe else "not asked yet",
            "at": probe.at if probe else None,
            "detail": _detail(probe.problem, probe.seconds) if probe else "",
        }
    for host in desk.listed.hosts:
        look = desk.looks.get(host.name)
        bad = [one for one in down if one.host == host.name]
        yield {
            "project": desk.listed.project,
            "name": host.name,
            "state": "not looked at yet" if look is None else "trouble" if bad else "well",
            "at": look.at if look else None,
            "detail": _of_look(look) if look else "",
        }


def _of_look(look: Look) -> str:
    unread = look.seen.unread if look.seen else {}
    parts = [f"not read: {what}: {why}" for what, why in sorted(unread.items())]
    if len(parts) > _MOST_UNREAD:
        parts[_MOST_UNREAD:] = [f"{len(parts) - _MOST_UNREAD} more"]
    return "; ".join((_detail(look.problem, look.seconds), *parts))


def _detail(problem: str, seconds: float) -> str:
    return problem or f"{seconds * 1000:.0f} ms"


def _open(desk: Desk) -> Iterator[Json]:
    for one in desk.judge.book.open.values():
        with language.within(desk.listed.language):
            title = messages.title(one)
        yield {
            "project": desk.listed.project,
            "number": one.number,
            "title": title,
            "began": one.began,
            "told": one.told is not None,
        }


def _silences(desk: Desk) -> Iterator[Json]:
    for one in desk.judge.silences:
        yield {"project": desk.listed.project, **of_silence(one)}
