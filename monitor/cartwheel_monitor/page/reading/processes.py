"""The processes and timers of an application, by the last look at each host."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

from cartwheel.host.wire.look import AppLook, ProcessLook, TimerLook
from cartwheel_monitor import remembered
from cartwheel_monitor.page.reading import looks
from cartwheel_monitor.page.reading.projects import Project

UP = ("active", "reloading")


@dataclass(frozen=True)
class OnHost:
    """`at`: when the host was looked at for this, None for never; `problem`: why it was not again.
    `said`: whether it said something of the app. `marks`: of `stopped` and `closed`."""

    host: str
    at: Optional[float]
    problem: str
    said: bool
    marks: tuple[str, ...]
    processes: tuple[ProcessLook, ...]
    timers: tuple[TimerLook, ...]


@dataclass(frozen=True)
class Processes:
    """`schedules`: of the timers of the live release, by name, where that is known. `trouble`: why
    nothing of it can be read."""

    hosts: tuple[OnHost, ...] = ()
    schedules: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def timers(self) -> list[tuple[str, OnHost, TimerLook]]:
        """All timers with their hosts, by name."""
        found = [(each.name, one, each) for one in self.hosts for each in one.timers]
        return sorted(found, key=lambda one: (one[0], one[1].host))


def read(project: Project) -> Processes:
    """What is known of each host of the project."""
    try:
        every = looks.of_hosts(project)
        return Processes(tuple(map(_on_host, every)), _schedules(project, every))
    except (OSError, sqlite3.Error) as error:
        return Processes(trouble=str(error))


def _schedules(project: Project, every: list[looks.Seen]) -> dict[str, str]:
    live = {one.app.release for one in every if one.app is not None}
    found: dict[str, str] = {}
    if project.store.exists():
        with project.reading() as db:
            for name in sorted(live):
                made = remembered.release(db, project.name, name)
                found.update(made.timers if made is not None else {})
    return {name: text.partition(" #")[0] for name, text in found.items()}


def _on_host(one: looks.Seen) -> OnHost:
    app = one.app or AppLook()
    problem = one.last.problem or app.problem
    return OnHost(
        one.host,
        looks.moment(one.last.seen_at),
        problem,
        one.app is not None,
        tuple(mark for mark in ("stopped", "closed") if getattr(app, mark)),
        tuple(replace(each, since=looks.moment(each.since)) for each in app.processes),
        tuple(
            replace(each, began=looks.moment(each.began), due=looks.moment(each.due))
            for each in app.timers
        ),
    )
