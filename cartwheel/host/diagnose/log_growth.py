"""How fast a log grows, by the times of its own lines: nobody has looked at it before."""

from __future__ import annotations

import calendar
import os
import re
import stat
import time
from typing import IO, Optional

from cartwheel.host.system import files

_HOUR = 3600.0
# A file that is younger counts as if it were that old: the burst of a few seconds is no growth.
_LEAST_SECONDS = 600.0
_STEPS = 24
_NEAR_BYTES = 64 << 10
_LINE_BYTES = 16 << 10
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_COMMON = re.compile(rb"\[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\]")
_ISO = re.compile(
    rb"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?"
)
_WORDS = re.compile(rb"\b(\d\d?) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d)")
_SYSLOG = re.compile(rb"^(?:\[\w{3} )?(\w{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d)")


def bytes_an_hour(path: str, now: float) -> Optional[float]:
    """How much was written to it in the last hour; None where its lines do not say."""
    try:
        with open(path, "rb", opener=_opened) as log:
            about = os.fstat(log.fileno())
            if not stat.S_ISREG(about.st_mode):
                return None
            size = about.st_size
            begin = _next_time(log, 0, size, now)
            if begin is None:
                return _since_rotation(path, size, now)
            at, first = begin
            if first < now - _HOUR:
                return float(size - _position(log, size, now - _HOUR, now))
    except OSError:
        return None
    return (size - at) * _HOUR / max(now - first, _LEAST_SECONDS)


def _opened(path: str, _flags: int) -> int:
    """Any user may have made it, and put something else in its place meanwhile."""
    return os.open(path, files.READ_FILE)


def _position(log: "IO[bytes]", size: int, wanted: float, now: float) -> int:
    """The begin of the first line that is not before the time, to some lines."""
    low, high = 0, size
    for _step in range(_STEPS):
        if high - low < _NEAR_BYTES:
            break
        middle = (low + high) // 2
        found = _next_time(log, middle, high, now)
        if found is None or found[1] >= wanted:
            high = middle
        else:
            low = max(found[0], low + 1)
    return high


def _next_time(log: "IO[bytes]", start: int, end: int, now: float) -> "Optional[tuple[int, float]]":
    """The first line from there on that has a time, and the time."""
    log.seek(start)
    text = log.read(min(_LINE_BYTES, max(0, end - start)))
    at = start
    for number, line in enumerate(text.split(b"\n")):
        # What is read from the middle of a file begins in the middle of a line.
        when = time_of(line, now) if number or not start else None
        if when is not None:
            return at, when
        at += len(line) + 1
    return None


def time_of(line: bytes, now: float) -> Optional[float]:
    """The time at the begin of a line of a log, in the formats that programs on hosts have."""
    head = line[:300]
    try:
        return _common(head) or _iso(head) or _words(head) or _syslog(head, now)
    except (ValueError, OverflowError):
        return None


def _common(head: bytes) -> Optional[float]:
    """As web servers write it."""
    found = _COMMON.search(head)
    if not found:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    number = _MONTHS.get(month.decode("ascii", "replace"))
    if number is None:
        return None
    clock = (int(hour), int(minute), int(second))
    off = int(hours) * 3600 + int(minutes) * 60
    at = calendar.timegm((int(year), number, int(day), *clock, 0, 0, 0))
    return float(at - off if sign == b"+" else at + off)


def _iso(head: bytes) -> Optional[float]:
    found = _ISO.search(head)
    if not found:
        return None
    *numbers, zone = found.groups()
    year, month, day, hour, minute, second = map(int, numbers)
    fields = (year, month, day, hour, minute, second, 0, 0, -1)
    if zone is None:
        return time.mktime(fields)
    if zone == b"Z":
        return float(calendar.timegm(fields))
    off = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return float(calendar.timegm(fields) - (off if zone[:1] == b"+" else -off))


def _words(head: bytes) -> Optional[float]:
    """As Redis writes it."""
    found = _WORDS.search(head)
    number = _MONTHS.get(found.group(2).decode("ascii", "replace")) if found else None
    if not found or number is None:
        return None
    day, year, hour, minute, second = (int(found.group(place)) for place in (1, 3, 4, 5, 6))
    return time.mktime((year, number, day, hour, minute, second, 0, 0, -1))


def _syslog(head: bytes, now: float) -> Optional[float]:
    """It has no year: the last one that has this day."""
    found = _SYSLOG.search(head)
    number = _MONTHS.get(found.group(1).decode("ascii", "replace")) if found else None
    if not found or number is None:
        return None
    day, hour, minute, second = (int(found.group(place)) for place in range(2, 6))
    year = time.localtime(now).tm_year
    at = time.mktime((year, number, day, hour, minute, second, 0, 0, -1))
    if at > now + 86400:
        at = time.mktime((year - 1, number, day, hour, minute, second, 0, 0, -1))
    return at


def _since_rotation(path: str, size: int, now: float) -> Optional[float]:
    """Where lines have no times: it is as old as the last rotation."""
    try:
        rotated = os.stat(path + ".1").st_mtime
    except OSError:
        return None
    return size * _HOUR / max(now - rotated, _LEAST_SECONDS)
