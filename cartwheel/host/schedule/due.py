"""The times at which a schedule is due in a time zone; pure.

A schedule that names hours is due once for each such time on a clock: if the clock is set forward
past it, when that happens; if the clock shows it twice, the first time. A schedule of every hour
is due whenever the clock shows it.
"""

from __future__ import annotations

import functools
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Iterator, List, Optional

from cartwheel.host.schedule.cron import Schedule

# Between two 29ths of February.
_MOST_DAYS = 8 * 366 + 2
_DAY = timedelta(days=1)
UTC = timezone.utc


def following(schedule: Schedule, zone: tzinfo, after: datetime) -> Optional[datetime]:
    """The first time after this one, in UTC."""
    day = after.astimezone(zone).date() - _DAY
    for _number in range(_MOST_DAYS):
        later = [one for one in _on(schedule, zone, day) if one > after]
        if later:
            return min(later)
        day += _DAY
    return None


def preceding(schedule: Schedule, zone: tzinfo, until: datetime) -> Optional[datetime]:
    """The last time until this one, in UTC."""
    day = until.astimezone(zone).date() + _DAY
    for _number in range(_MOST_DAYS):
        earlier = [one for one in _on(schedule, zone, day) if one <= until]
        if earlier:
            return max(earlier)
        day -= _DAY
    return None


@functools.lru_cache(maxsize=8)
def _on(schedule: Schedule, zone: tzinfo, day: date) -> List[datetime]:
    """All times on a day of the zone's calendar."""
    if not schedule.is_on(day):
        return []
    clocks = [time(hour, minute) for hour in schedule.hours for minute in schedule.minutes]
    return [
        one
        for clock in clocks
        for one in instants(zone, datetime.combine(day, clock), twice=schedule.every_hour)
    ]


def instants(zone: tzinfo, shown: datetime, *, twice: bool) -> Iterator[datetime]:
    """When the zone's clocks show this; see the top of this module."""
    first, second = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) == shown:
        yield first
        if twice and second != first:
            yield second
    elif not twice:
        yield jump(zone, min(first, second), max(first, second))


def jump(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """When, between these times, the zone's offset changes."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
