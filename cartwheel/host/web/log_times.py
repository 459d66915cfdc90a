"""The times that lines of access logs name, in the formats that web servers offer."""

from __future__ import annotations

import calendar
import contextlib
import functools
import re
import time
from typing import Optional

_ISO = re.compile(r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)([+-]\d\d):?(\d\d)\]")
_COMMON = re.compile(r"\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)\]")
_ZONED = ((_ISO, "%Y-%m-%dT%H:%M:%S"), (_COMMON, "%d/%b/%Y:%H:%M:%S"))


def zoned(line: str) -> Optional[float]:
    """The time with a zone that a line of an access log has (seconds since the epoch)."""
    for pattern, form in _ZONED:
        found = pattern.search(line)
        if found:
            return _zoned(found.group(1), found.group(2), found.group(3), form)
    return None


@functools.lru_cache(maxsize=256)
def _zoned(text: str, hours: str, minutes: str, form: str) -> Optional[float]:
    with contextlib.suppress(ValueError):
        east = int(hours) * 3600 + int(hours[0] + minutes) * 60
        return float(calendar.timegm(time.strptime(text, form)) - east)
    return None


@functools.lru_cache(maxsize=256)
def local(text: str, form: str) -> Optional[float]:
    """A time in the host's time zone."""
    with contextlib.suppress(ValueError, OverflowError):
        return time.mktime(time.strptime(text, form))
    return None
