"""When timers are due: cron's fields, changes of the clock, systemd's calendar."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as some

from cartwheel.host.schedule import calendar, cron, due, zones
from cartwheel.host.schedule.due import UTC

_MINUTE = timedelta(minutes=1)
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a smaller example would take minutes


def times(text: str, zone: tzinfo, begin: datetime, count: int) -> list[datetime]:
    found, at = [], begin
    for _number in range(count):
        following = due.following(cron.parse(text), zone, at)
        assert following is not None
        at = following
        found.append(at)
    return found


def shown(text: str, zone: str, begin: str, count: int = 3) -> list[str]:
    """The next times, in that zone, after this local time."""
    of = zones.zone(zone)
    start = datetime.fromisoformat(begin).replace(tzinfo=of)
    return [f"{one.astimezone(of):%a %Y-%m-%d %H:%M %Z}" for one in times(text, of, start, count)]


NEXT = {
    ("0 3 * * *", "UTC"): ["Mon 2026-11-30 03:00 UTC", "Tue 2026-12-01 03:00 UTC"],
    ("@hourly", "UTC"): ["Sun 2026-11-29 13:00 UTC", "Sun 2026-11-29 14:00 UTC"],
    ("*/20 * * * *", "UTC"): ["Sun 2026-11-29 12:20 UTC", "Sun 2026-11-29 12:40 UTC"],
    ("0 9-17/4 * * mon-fri", "UTC"): ["Mon 2026-11-30 09:00 UTC", "Mon 2026-11-30 13:00 UTC"],
    # date or weekday, where both are set; both, where one begins with *
    ("0 0 13 * fri", "UTC"): ["Fri 2026-12-04 00:00 UTC", "Fri 2026-12-11 00:00 UTC"],
    ("0 0 */10 * sun", "UTC"): ["Sun 2027-01-31 00:00 UTC", "Sun 2027-02-21 00:00 UTC"],
    ("0 0 29 2 *", "UTC"): ["Tue 2028-02-29 00:00 UTC", "Sun 2032-02-29 00:00 UTC"],
    ("30 4 1,15 JAN,Jul *", "UTC"): ["Fri 2027-01-01 04:30 UTC", "Fri 2027-01-15 04:30 UTC"],
    ("0 0 * * 7", "UTC"): ["Sun 2026-12-06 00:00 UTC", "Sun 2026-12-13 00:00 UTC"],
    ("0 0 * * fri-sun", "UTC"): ["Fri 2026-12-04 00:00 UTC", "Sat 2026-12-05 00:00 UTC"],
    ("@weekly", "America/New_York"): ["Sun 2026-12-06 00:00 EST", "Sun 2026-12-13 00:00 EST"],
}


@pytest.mark.parametrize("given", NEXT)
def test_what_cron_would_do(given: tuple[str, str]) -> None:
    text, zone = given
    assert shown(text, zone, "2026-11-29T12:00", 2) == NEXT[given]


def test_a_change_of_the_clock() -> None:
    """Forward in March at 02:00, back in October at 03:00."""
    berlin = "Europe/Berlin"
    assert shown("30 2 * * *", berlin, "2026-03-28T03:00") == [
        "Sun 2026-03-29 03:00 CEST",
        "Mon 2026-03-30 02:30 CEST",
        "Tue 2026-03-31 02:30 CEST",
    ]
    assert shown("15,45 2 * * *", berlin, "2026-03-28T03:00", 2) == [
        "Sun 2026-03-29 03:00 CEST",
        "Mon 2026-03-30 02:15 CEST",
    ], "both are past at once"
    assert shown("30 2 * * *", berlin, "2026-10-24T03:00") == [
        "Sun 2026-10-25 02:30 CEST",
        "Mon 2026-10-26 02:30 CET",
        "Tue 2026-10-27 02:30 CET",
    ]
    assert shown("30 * * * *", berlin, "2026-10-25T01:00", 4) == [
        "Sun 2026-10-25 01:30 CEST",
        "Sun 2026-10-25 02:30 CEST",
        "Sun 2026-10-25 02:30 CET",
        "Sun 2026-10-25 03:30 CET",
    ], "an hour has passed each time"
    assert shown("30 * * * *", berlin, "2026-03-29T01:00", 2) == [
        "Sun 2026-03-29 01:30 CET",
        "Sun 2026-03-29 03:30 CEST",
    ]


WRONG = {
    "": "has 0 fields instead of five",
    "0 3 * *": "has 4 fields instead of five: minute, hour, day of the month, month, day of the",
    "0 0 3 * * *": "has 6 fields",
    "60 * * * *": "minute `60`: 60 is not one of 0 to 59",
    "* 24 * * *": "hour `24`",
    "0 0 0 * *": "day of the month `0`",
    "0 0 1 13 *": "13 is not one of 1 to 12, or jan, feb",
    "0 0 * * monday": "monday is not one of 0 to 7, or sun, mon",
    "0 0 * * 8": "day of the week `8`",
    "*/90 * * * *": "a step is between 1 and 59: cron counts from 0 again",
    "*/0 * * * *": "a step is between 1 and 59",
    "5/15 * * * *": "write `5-59/15` or `5`",
    "0 22-6 * * *": "22-6 goes backwards; write two ranges",
    "0 0 * * sat-mon": "sat-mon goes backwards",
    "0 0 ? * mon": "write `*`",
    "0 0 L * *": "day of the month `L`: l is not one of 1 to 31",
    "0 0 * * 5#2": "expected `*`, numbers",
    "0 0 1,,2 * *": "day of the month `1,,2`",
    "*-5 * * * *": "minute `*-5`",
    "٣ * * * *": "minute `٣`",
    "0 0 30 2 *": "never comes",
    "0 0 31 2,4,6,9,11 *": "never comes",
    "@reboot": "@reboot is no time",
    "@fortnightly": "@fortnightly is unknown; known: @yearly",
    "every day": "has 2 fields",
    "CRON_TZ=UTC 0 3 * * *": "has 6 fields",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(WRONG[text])):
        cron.parse(text)


def test_zones() -> None:
    assert zones.zone("UTC") is UTC
    assert zones.zone("Asia/Kolkata") == ZoneInfo("Asia/Kolkata")
    assert zones.zone("").utcoffset(datetime.now()) is not None
    for unknown in ("Europe/Berlino", "../../etc/passwd", "europe"):
        with pytest.raises(ValueError, match=f"no time zone {re.escape(unknown)} on this host"):
            zones.zone(unknown)


# -- the same found the slow way, and by systemd


def _field(low: int, high: int) -> some.SearchStrategy[str]:
    number = some.integers(low, high)
    plain = some.lists(number, min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
    spans = some.tuples(number, number).map(lambda two: f"{min(two)}-{max(two)}")
    steps = some.integers(1, high - low).map(lambda step: f"*/{step}")
    return some.one_of(some.just("*"), some.just("*"), plain, spans, steps)


SCHEDULES = some.tuples(
    _field(0, 59), some.one_of(_field(0, 23), _field(0, 4)), _field(1, 28), some.just("*"),
    _field(0, 6),
).map(" ".join)  # fmt: skip
ZONES = some.sampled_from(
    (
        *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"),
        *("America/Santiago", "Pacific/Chatham", "Africa/Casablanca", "Asia/Beirut"),
    )
)
# Changes of the clocks of most of them, and any other day.
BEGINS = some.sampled_from(
    (
        *("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-04-04", "2026-09-05"),
        *("2026-10-03", "2026-09-26", "2026-02-14", "2026-06-30", "2026-12-30"),
    )
).map(lambda day: datetime.fromisoformat(day).replace(tzinfo=UTC))


def by_minutes(text: str, zone: tzinfo, begin: datetime, end: datetime) -> list[datetime]:
    """Look at the clock each minute, as a cron does."""
    seen: set[datetime] = set()
    found: list[datetime] = []
    sets = [_values(word, low) for word, low in zip(text.split(), (0, 0, 1, 1, 0), strict=True)]
    every_hour = sets[1] >= set(range(24))
    either = not any(text.split()[field].startswith("*") for field in (2, 4))
    at = begin - timedelta(days=1)
    before = _clock(at - _MINUTE, zone)
    while at <= end:
        clock = _clock(at, zone)
        skipped = [before + number * _MINUTE for number in range(1, (clock - before) // _MINUTE)]
        wanted = [one for one in [*skipped, clock] if _fits(sets, one, either=either)]
        if every_hour:
            wanted = [one for one in wanted if one == clock]
        elif seen.issuperset(wanted):
            wanted = []
        seen.update(wanted)
        if wanted and at > begin:
            found.append(at)
        before, at = clock, at + _MINUTE
    return found


def _clock(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _values(word: str, low: int) -> set[int]:
    if word == "*":
        return set(range(60))
    if word.startswith("*/"):
        return set(range(low, 60, int(word[2:])))
    begin, _, end = word.partition("-")
    return set(range(int(begin), int(end) + 1)) if end else set(map(int, word.split(",")))


def _fits(sets: list[set[int]], clock: datetime, *, either: bool) -> bool:
    minutes, hours, days, _months, weekdays = sets
    day = (clock.day in days, clock.isoweekday() % 7 in weekdays)
    return clock.minute in minutes and clock.hour in hours and (any(day) if either else all(day))


@settings(max_examples=40, deadline=None, phases=_PHASES)
@given(SCHEDULES, ZONES, BEGINS)
def test_every_minute_looked_at(text: str, name: str, begin: datetime) -> None:
    zone, schedule = zones.zone(name), cron.parse(text)
    end = begin + timedelta(days=2)
    expected = by_minutes(text, zone, begin, end)
    found, at = [], due.following(schedule, zone, begin)
    while at is not None and at <= end:
        found.append(at)
        assert due.preceding(schedule, zone, at) == at
        assert due.preceding(schedule, zone, at + timedelta(seconds=59)) == at
        at = due.following(schedule, zone, at)
    assert found == expected


def _elapses(lines: list[str], begin: datetime, end: datetime) -> set[datetime]:
    """When systemd would start the timer."""
    found: set[datetime] = set()
    for line in lines:
        at = begin
        while at <= end:
            done = subprocess.run(
                ["systemd-analyze", "calendar", "--iterations=40", f"--base-time=@{at:%s}", line],
                capture_output=True, text=True, check=False, env={"TZ": "UTC", "LANG": "C"},
            )  # fmt: skip
            assert done.returncode == 0, f"{line}: {done.stderr}"
            said = re.findall(r"(?:Next elapse|Iter. #\d+|\(in UTC\)): (.*) UTC", done.stdout)
            at = end + _MINUTE
            for text in said:
                at = datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
                found.add(at)
    return {one for one in found if begin < one <= end}


@settings(max_examples=10, deadline=None, phases=_PHASES)
@given(SCHEDULES, ZONES, BEGINS)
def test_systemd_misses_nothing(text: str, name: str, begin: datetime) -> None:
    """Around changes of the clock it may wake once too often; `due` decides."""
    zone, schedule = zones.zone(name), cron.parse(text)
    begin += timedelta(seconds=30)
    end = begin + timedelta(days=1, hours=12)
    wanted, at = set(), due.following(schedule, zone, begin)
    while at is not None and at <= end:
        wanted.add(at)
        at = due.following(schedule, zone, at)
    woken = _elapses(calendar.lines(schedule, zone, name), begin, end)
    assert wanted <= woken
    assert len(woken) <= len(wanted) + 60


def test_the_lines_are_as_people_write_them() -> None:
    berlin = zones.zone("Europe/Berlin")
    assert calendar.lines(cron.parse("0 3 * * *"), UTC, "UTC") == ["*-*-* 03:00:00 UTC"]
    assert calendar.lines(cron.parse("* * * * *"), UTC, "") == ["*-*-* *:*:00"]
    assert calendar.lines(cron.parse("5 4 1 * mon"), UTC, "") == [
        "*-*-01 04:05:00",
        "Mon *-*-* 04:05:00",
    ]
    assert calendar.lines(cron.parse("0 5 * 2 mon-fri"), berlin, "Europe/Berlin") == [
        "Mon,Tue,Wed,Thu,Fri *-02-* 05:00:00 Europe/Berlin"
    ]
    assert calendar.lines(cron.parse("30 2 * * *"), berlin, "Europe/Berlin") == [
        "*-*-* 02:30:00 Europe/Berlin",
        "Sun *-03-* 01:00:00 UTC",
        "Sun *-10-* 00:30:00 UTC",
    ]
