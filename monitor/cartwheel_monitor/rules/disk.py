"""A disk is full, or will be within a day; or its inodes are, or it cannot be written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cartwheel.host.wire.look import DiskLook
from cartwheel_monitor.language import _
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import DISK, Subject, Verdict

Points = Sequence[tuple[float, float]]

_HOUR = 3600.0
_MIB = 1 << 20
# Spans over which a disk may have been filling.
SPANS = tuple(hours * _HOUR for hours in (1, 2, 3, 6, 12))
_PARTS = 6
# What has grown for an hour may be thought to grow for two more, not for a day: a backup grows
# fast, and ends.
_AHEAD = 2.0
# A whole day must be known: what comes and goes each night has then been seen once.
_LEAST_HISTORY = 25 * _HOUR
# What was about as low before, within the days that are known, is no news: a backup is a bit
# larger than that of the night before.
_NEWLY = 0.75
# No sixth of a span grows less than this part of the others: else it is a part of a larger thing
# that has begun or ended there.
_STEADY = 0.25


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """Of each file system that the host or an app needs."""
    for one in look.seen.disks if look.seen else ():
        subject = Subject(DISK.name, "", look.host, one.path)
        points = around.disks.get(one.path, ())
        is_down = subject in around.down
        yield Verdict(subject, look.at, _problem(one, points, look.at, around.limits, is_down))


def _problem(one: DiskLook, points: Points, now: float, limits: Limits, is_down: bool) -> str:
    ease = 1 + limits.margin if is_down else 1.0
    if one.read_only:
        return _("{path} is read-only").format(path=one.path)
    if one.inodes > 0 and one.free_inodes < one.inodes * limits.inodes_share * ease:
        return _("{path}: {percent} % of the inodes are free").format(
            path=one.path, percent=f"{100 * one.free_inodes / one.inodes:.0f}"
        )
    if one.size <= 0:
        return ""
    if one.free < min(one.size * limits.disk_share, limits.disk_bytes) * ease:
        return _("{path}: {percent} % is free ({mib} MiB)").format(
            path=one.path, percent=f"{100 * one.free / one.size:.0f}", mib=one.free // _MIB
        )
    left = full_in(points, one.free, now)
    if left is not None and left < limits.disk_hours * _HOUR * ease:
        return _("{path} will be full in {hours} hours; {mib} MiB are free").format(
            path=one.path, hours=f"{left / _HOUR:.1f}", mib=one.free // _MIB
        )
    return ""


def full_in(points: Points, free: float, now: float) -> float | None:
    """In how many seconds it is full if it goes on like this; None where nothing says so.

    A log is rotated, a cache is emptied, a backup comes and goes: so the most that was free in each
    sixth of a span must fall from one to the next, and it must be less than it ever was. By the
    shortest such span that says something: who has changed the pace goes on at the new one.
    """
    if not points or now - points[0][0] < _LEAST_HISTORY:
        return None
    # The same as below, for the longest span: hardly any disk comes further.
    if free >= _NEWLY * min(least for at, least in points if at < now - SPANS[-1]):
        return None
    for span in SPANS:
        slope = _slope(points, span, now)
        if slope is None:
            continue
        before = [least for at, least in points if at < now - span]
        left = free / slope
        if left <= span * _AHEAD and before and free < _NEWLY * min(before):
            return left
    return None


def _slope(points: Points, span: float, now: float) -> float | None:
    """Bytes a second by which it fills; None where it does not, all the time."""
    width = span / _PARTS
    most: list[float] = []
    for part in range(_PARTS):
        begins = now - span + part * width
        inside = [free for at, free in points if begins <= at < begins + width]
        if not inside:
            return None
        most.append(max(inside))
    steps = [earlier - later for earlier, later in zip(most, most[1:])]
    usual = sorted(steps)[len(steps) // 2]
    return usual / width if usual > 0 and min(steps) >= usual * _STEADY else None
