"""How numbers, times and states are written for people, in the language of the request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cartwheel_monitor.language import _, _n, labelled, listed
from cartwheel_monitor.messages import hosts_text, span
from cartwheel_monitor.run_kinds import run_kind

_KILO = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTE = 60
__all__ = ("labelled", "listed")
NOTHING = "\u2013"
"""What stands where there is no value."""


def moment(at: float) -> str:
    """A time in the zone of this machine."""
    return _written("%Y-%m-%d %H:%M", time.localtime, at)


def instant(at: float) -> str:
    """The same for programs (ISO 8601, UTC)."""
    return _written("%Y-%m-%dT%H:%M:%SZ", time.gmtime, at)


def day(at: float) -> str:
    """A day of the bars, which is UTC's."""
    return _written("%Y-%m-%d", time.gmtime, at)


def _written(form: str, split: Callable[[float], time.struct_time], at: float) -> str:
    """`?` for a time that a host wrote and no calendar has."""
    try:
        return time.strftime(form, split(at))
    except (OverflowError, ValueError, OSError):
        return "?"


def zone() -> str:
    return time.strftime("%Z", time.localtime())


def ago(at: float, now: float) -> str:
    seconds = now - at
    if abs(seconds) < _MINUTE:
        return _("just now")
    if seconds < 0:
        return _("in {span}").format(span=span(-seconds))
    return _("{span} ago").format(span=span(seconds))


def size(bytes_: float) -> str:
    """`1.5 GiB`"""
    unit = 0
    while bytes_ >= _KILO and unit < len(_UNITS) - 1:
        bytes_ /= _KILO
        unit += 1
    return f"{bytes_:.1f} {_UNITS[unit]}" if unit else f"{bytes_:.0f} B"


def seconds(value: float | None) -> str:
    """A duration of a request: `83 ms`, `1.2 s`."""
    if value is None:
        return NOTHING
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def percent(share: float | None, digits: int = 2) -> str:
    return NOTHING if share is None else f"{share * 100:.{digits}f} %"


def mark(name: str) -> str:
    """What an operator has done to an app on a host (fleet.MARKS)."""
    return {
        "locked": _("a run works on it"),
        "pending": _("a switch is not confirmed"),
        "frozen": _("deploys are frozen"),
        "closed": _("in maintenance"),
        "stopped": _("stopped"),
    }[name]


def state(name: str) -> str:
    """A day's state (health.State)."""
    return {
        "unknown": _("nothing known"),
        "well": _("well"),
        "some": _("some trouble"),
        "bad": _("much trouble"),
    }[name]


def hosts(count: int) -> str:
    return _n("{count} host", "{count} hosts", count)


def number(value: float | None, digits: int | None = None) -> str:
    """`1,234`, `12.3`, `0.25`: with `digits` decimals, else with about three significant digits."""
    if value is None:
        return NOTHING
    if digits is None:
        size_ = abs(value)
        digits = next((n for n, least in enumerate((100, 10)) if size_ >= least), 2)
    return f"{value:,.{digits}f}"


def rate(value: float | None, digits: int | None = None) -> str:
    """`12.3/s`"""
    return NOTHING if value is None else _("{number}/s").format(number=number(value, digits))


def part_of_time(at: float, seconds: float) -> str:
    """From when to when, in the zone of this machine: `2026-11-30 12:00 to 18:00`."""
    begins, ends = moment(at), moment(at + seconds)
    if begins[:10] == ends[:10]:
        ends = ends[11:]
    return _("{begins} to {ends}").format(begins=begins, ends=ends)


def clock(at: float) -> str:
    """An hour in the zone of this machine: `14:00`."""
    return time.strftime("%H:%M", time.localtime(at))


def date(at: float) -> str:
    """A day of this machine's zone, without the year: `11-30`."""
    return time.strftime("%m-%d", time.localtime(at))


def run(kind: str) -> str:
    """What a run did (Entry.kind); what this version does not know, as it is."""
    return run_kind(kind) if kind else _("something")


def outcome(name: str) -> str:
    """How something ended: a run on a host, a timer's job, a record."""
    return {
        "": _("begun"),
        "confirmed": _("confirmed"),
        "unchanged": _("unchanged"),
        "done": _("done"),
        "failed": _("failed"),
        "reverted": _("rolled back"),
        "killed": _("was killed"),
        "begun": _("did not end"),
        "running": _("still running"),
        "timeout": _("took too long"),
        "cut": _("was cut off"),
        "deployed": _("deployed"),
        "prepared": _("prepared"),
        "attention": _("needs attention"),
        "not-tried": _("not tried"),
        "alive": _("still running"),
        "ended": _("ended"),
    }.get(name, name)


def untold(problem: str) -> str:
    """Why a messenger has not taken a message (deliveries.problem)."""
    return _("given up") if problem == "given up" else problem


def mood(name: str) -> str:
    """How such an end is coloured, beside its text."""
    if name in ("failed", "reverted", "killed", "timeout", "cut", "attention"):
        return "bad"
    return "warn" if name in ("running", "begun", "alive", "not-tried") else ""


def process(active: str) -> str:
    """The state of a process (systemd's ActiveState)."""
    return {
        "active": _("runs"),
        "reloading": _("is reloading"),
        "activating": _("is starting"),
        "deactivating": _("is stopping"),
        "inactive": _("does not run"),
        "failed": _("failed"),
    }.get(active, active or _("not known"))


def change(how: str) -> str:
    """How a part of one release differs from that of another."""
    return {"added": _("added"), "removed": _("removed"), "changed": _("changed")}[how]


def part(name: str) -> str:
    """What a release has (fields of ReleaseLook)."""
    return {
        "packages": _("Packages"),
        "settings": _("Settings"),
        "variables": _("Variables"),
        "files": _("Files of configuration"),
        "processes": _("Processes"),
        "timers": _("Timers"),
    }[name]


def took(value: float | None) -> str:
    """A duration of a run."""
    if value is None:
        return NOTHING
    return seconds(value) if value < _MINUTE else span(value)


def exact(at: float) -> str:
    """A time to the second, in the zone of this machine."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def event(state: str) -> str:
    """The state of a step in the record of a run."""
    return {
        "start": _("begins"),
        "progress": _("goes on"),
        "done": _("done"),
        "unchanged": _("unchanged"),
        "changed": _("changed"),
        "failed": _("failed"),
        "note": _("note"),
    }.get(state, state)


def named(hosts: Sequence[str]) -> str:
    """`web1, web2, web3 and 37 more`"""
    return hosts_text(hosts)
