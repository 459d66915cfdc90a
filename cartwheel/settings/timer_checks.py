"""Checks of [timers]: commands, schedules and time zones."""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Iterator

from cartwheel.host.schedule import cron
from cartwheel.settings import command_words
from cartwheel.settings.layers import Key, Problem, why_not
from cartwheel.settings.toml_tables import Settings


def problems(settings: Settings) -> Iterator[Problem]:
    """Every mistake in the timers, by the key of its setting."""
    for name, timer in settings.timers.items():
        key: Key = ("timers", name)
        if wrong := why_not(command_words.parse, timer.command):
            yield (*key, "command"), wrong
        if wrong := why_not(cron.parse, timer.schedule):
            yield (*key, "schedule"), wrong
        if timer.on is not None and timer.hosts == "all":
            yield (*key, "on"), 'is the host of a timer that one host runs; set hosts = "one"'
        if timer.zone is not None and (wrong := _zone_problem(timer.zone)):
            yield (*key, "zone"), wrong


def _zone_problem(name: str) -> str:
    """ "" if there is such a zone, or if this machine has no list of them: then hosts decide."""
    known = zoneinfo.available_timezones()
    if not known or name in known:
        return ""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, 1)
    hint = f"did you mean {by_lower[near[0]]}?" if near else "expected one like Europe/Berlin"
    return f"there is no time zone {name}; {hint}"
