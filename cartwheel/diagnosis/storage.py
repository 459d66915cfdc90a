"""File systems that are full or read-only, or soon will be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cartwheel.diagnosis import followed
from cartwheel.diagnosis.cause import GUESSED, SOON, STOPS, Case, Cause
from cartwheel.diagnosis.units import size_text, span_text
from cartwheel.plan.refusals import MIN_FREE_BYTES, MIN_FREE_INODES

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Storage

# Less than this, and writes of an ordinary size fail now; above it, up to what a deploy needs (or
# 2 % of a small file system), it is nearly full.
_NOTHING_BYTES = 4 << 20
_NOTHING_INODES = 50
_SMALL_PART = 0.02
# Log rotation comes once a day: what fills the disk before the next one will not be stopped by it.
_SOON_HOURS = 24.0
# Growth in the last second alone may be a burst: it counts if the disk is full within this time.
_SOON_NOW_HOURS = 1.0
_MOST_SHOWN = 5
# A part of the room that is worth to be named first.
_BIG_PART = 0.2
_WRITTEN = ("the app", "its shared files", "the logs", "temporary files", "lasting temporary files")
_DATA = "'s data"
_FOLLOWS = followed.APP | {
    *("service-refuses", "service-full", "service-breaks", "service-read-only", "read-only"),
    *("web-errors-disk", "web-errors-permission", "boot"),
}


def causes(case: Case) -> Iterator[Cause]:
    """Each file system is judged alone."""
    for one in case.found.storage:
        if one.read_only:
            yield from _read_only(case, one)
        elif _has_few_bytes(one):
            yield _full(case, one)
        elif _has_few_inodes(one):
            yield _crowded(case, one)
        else:
            yield from _soon(case, one)


def _is_apps(one: Storage) -> bool:
    return "the app" in one.what


def _has_few_bytes(one: Storage) -> bool:
    least = MIN_FREE_BYTES if _is_apps(one) else min(MIN_FREE_BYTES, one.size * _SMALL_PART)
    return one.size > 0 and one.free < least


def _has_few_inodes(one: Storage) -> bool:
    """Some file systems (btrfs) count no inodes."""
    least = MIN_FREE_INODES if _is_apps(one) else min(MIN_FREE_INODES, one.inodes * _SMALL_PART)
    return one.inodes > 0 and one.free_inodes < least


def _named(one: Storage) -> str:
    return f"{one.path} ({', '.join(one.what[:3])})"


def _read_only(case: Case, one: Storage) -> Iterator[Cause]:
    needed = [what for what in one.what if what in _WRITTEN or what.endswith(_DATA)]
    if needed:
        yield Cause(
            "disk-read-only",
            f"the file system {one.path} is read-only: {', '.join(needed)}",
            f"`dmesg` on {case.host} says why; check the disk, then"
            f" `mount -o remount,rw {one.path}`",
            STOPS,
            explains=_FOLLOWS,
        )


def _full(case: Case, one: Storage) -> Cause:
    left = f"{size_text(one.free)} of {size_text(one.size)} left"
    is_over = one.free < _NOTHING_BYTES
    title = f"the disk is {'full' if is_over else 'nearly full'}: {_named(one)} has {left}"
    return Cause(
        "disk-full",
        title,
        _room(case, one),
        STOPS if is_over else GUESSED,
        (*_what_takes(one), *_what_grows(one)),
        explains=_FOLLOWS,
    )


def _crowded(case: Case, one: Storage) -> Cause:
    most = next(iter(one.crowded), "")
    todo = f"delete files that nobody needs in {most}" if most else "delete files nobody needs"
    return Cause(
        "inodes-full",
        f"no more files can be made on {_named(one)}: {one.free_inodes} of {one.inodes} inodes"
        f" left, {size_text(one.free)} free",
        f"{todo}; `fab prune -H {case.host}` removes old releases",
        STOPS if one.free_inodes < _NOTHING_INODES else GUESSED,
        tuple(f"{path}: {count} or more entries" for path, count in one.crowded.items()),
        explains=_FOLLOWS,
    )


def _soon(case: Case, one: Storage) -> Iterator[Cause]:
    hours = one.free / one.growth if one.growth else float("inf")
    now = one.free / one.growth_now if one.growth_now else float("inf")
    if hours >= _SOON_HOURS and now >= _SOON_NOW_HOURS:
        return
    left = min(hours, now if now < _SOON_NOW_HOURS else hours)
    yield Cause(
        "disk-soon",
        f"{_named(one)} will be full in about {span_text(left)}:"
        f" {size_text(one.free)} of {size_text(one.size)} left",
        _growing_todo(case, one),
        SOON,
        (*_what_grows(one), *_what_takes(one)),
    )


def _what_takes(one: Storage) -> Iterator[str]:
    for path, size in list(one.deleted.items())[:_MOST_SHOWN]:
        yield f"{size_text(size)} deleted, but still open: {path}"
    for path, size in list(one.largest.items())[:_MOST_SHOWN]:
        yield f"{size_text(size)} {path}"


def _what_grows(one: Storage) -> Iterator[str]:
    for path, size in list(one.growing.items())[:_MOST_SHOWN]:
        yield f"{path} grows by {size_text(size)} an hour"


def _room(case: Case, one: Storage) -> str:
    """What frees most, as a command where there is one."""
    prune = f"`fab prune -H {case.host}` removes old releases"
    deleted = next(iter(one.deleted.items()), ("", 0))
    largest = next(iter(one.largest.items()), ("", 0))
    used = max(1, one.size - one.free)
    steps = []
    if deleted[1] > used * _BIG_PART:
        steps.append(f"restart what holds {deleted[0]}: only then its room is free")
    if largest[1] > used * _BIG_PART:
        steps.append(_less_of(case, largest[0]))
    if not steps:
        steps.append(f"free some room on {one.path}")
    return "; ".join([*steps, prune] if _is_apps(one) else steps)


def _less_of(case: Case, path: str) -> str:
    if path.startswith("/var/log/journal"):
        return f"`journalctl --vacuum-size=200M` on {case.host} shortens systemd's journal"
    if path.startswith("/var/log/"):
        return f"`logrotate --force /etc/logrotate.conf` on {case.host}, or empty {path}"
    return f"look whether {path} is needed"


def _growing_todo(case: Case, one: Storage) -> str:
    path = next(iter(one.growing), "")
    if path.startswith("/var/log/"):
        return f"find out what writes so much to {path}; then rotate it (`logrotate --force`)"
    return f"find out what writes {path or 'there'}; `fab prune -H {case.host}` makes some room"
