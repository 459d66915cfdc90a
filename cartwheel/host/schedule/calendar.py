"""A schedule as systemd's OnCalendar= (systemd.time(7)); pure.

systemd leaves out a time that clocks skip, and all of an hour that they show twice. Lines in UTC
wake the timer then. `due` decides what is due, so an extra line does no harm.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Collection, Dict, Iterator, List, Set, Tuple

from cartwheel.host.schedule import due
from cartwheel.host.schedule.cron import Schedule

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_IN_ORDER = (1, 2, 3, 4, 5, 6, 0)  # systemd's weeks begin on Monday
# The rules of summer time repeat by month and weekday; these years have them all.
_FROM, _UNTIL = datetime(2026, 1, 1, tzinfo=due.UTC), datetime(2040, 1, 1, tzinfo=due.UTC)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def lines(schedule: Schedule, zone: tzinfo, name: str) -> List[str]:
    """The values of OnCalendar=. `name`: of the zone; "": the host's own."""
    clock = f"{_listed(schedule.hours, 24)}:{_listed(schedule.minutes, 60)}:00"
    clock += f" {name}" if name else ""
    months = _listed(schedule.months, 12)
    date = f"*-{months}-{_listed(schedule.days, 31)}"
    if schedule.either:
        days = [date, f"{_named(schedule.weekdays)}*-{months}-*"]
    else:
        days = [f"{_named(schedule.weekdays)}{date}"]
    return [f"{day} {clock}" for day in days] + _at_jumps(schedule, zone)


def _listed(numbers: Collection[int], all_of: int) -> str:
    if len(numbers) == all_of:
        return "*"
    return ",".join(f"{number:02d}" for number in sorted(numbers))


def _named(weekdays: Collection[int]) -> str:
    """Nothing for all of them."""
    if len(weekdays) == len(_WEEKDAYS):
        return ""
    return ",".join(_WEEKDAYS[number] for number in _IN_ORDER if number in weekdays) + " "


def _at_jumps(schedule: Schedule, zone: tzinfo) -> List[str]:
    """The times around changes of the clock, by month and weekday."""
    found: Dict[Tuple[int, int, int], Set[int]] = {}
    for at in _jumps(zone):
        for one in _missed(schedule, zone, at):
            key = (one.month, one.isoweekday() % len(_WEEKDAYS), one.hour)
            found.setdefault(key, set()).add(one.minute)
    return [
        f"{_WEEKDAYS[weekday]} *-{month:02d}-* {hour:02d}:{_listed(minutes, 60)}:00 UTC"
        for (month, weekday, hour), minutes in sorted(found.items())
    ]


def _jumps(zone: tzinfo) -> Iterator[datetime]:
    """When the zone's offset changes."""
    at = _FROM
    while at < _UNTIL:
        if at.astimezone(zone).utcoffset() != (at + _DAY).astimezone(zone).utcoffset():
            yield due.jump(zone, at, at + _DAY)
        at += _DAY


def _missed(schedule: Schedule, zone: tzinfo, at: datetime) -> Iterator[datetime]:
    """What is due, on any day, because of what clocks skip or show twice at this change."""
    before, after = (
        (one.astimezone(zone).utcoffset() or timedelta()) for one in (at - _MINUTE, at)
    )
    shown = (at + min(before, after)).replace(tzinfo=None)
    end = (at + max(before, after)).replace(tzinfo=None)
    while shown < end:
        if shown.hour in schedule.hours and shown.minute in schedule.minutes:
            yield from due.instants(zone, shown, twice=schedule.every_hour)
        shown += _MINUTE
