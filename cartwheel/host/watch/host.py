"""The host as a whole: its memory, its load, its file systems."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

from cartwheel.host.watch.units import text_of

PLACES = ("/", "/boot", "/var", "/var/lib", "/var/log", "/var/tmp", "/tmp", "/run", "/srv")
Table = dict[str, object]


def look() -> Table:
    memory = dict(_memory())
    return {
        "booted": booted(),
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "memory": memory.get("MemTotal", 0),
        "memory_available": memory.get("MemAvailable", 0),
    }


def booted() -> float:
    return round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME), 1)


def _memory() -> Iterator[tuple[str, int]]:
    for line in text_of("/proc/meminfo").splitlines():
        name, _colon, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            yield name, int(words[0]) * 1024


def disks(places: Iterable[str]) -> Iterator[Table]:
    """The file systems of these places; each once, by the place where it is mounted."""
    seen: set[int] = set()
    for place in places:
        try:
            device = os.stat(place).st_dev
            if device in seen:
                continue
            seen.add(device)
            yield _disk(_mount_of(place, device))
        except OSError:  # it is not there
            continue


def _disk(path: str) -> Table:
    status = os.statvfs(path)
    size = status.f_frsize or status.f_bsize
    return {
        "path": path,
        "size": status.f_blocks * size,
        "free": status.f_bavail * size,
        "inodes": status.f_files,
        "free_inodes": status.f_favail,
        "read_only": bool(status.f_flag & os.ST_RDONLY),
    }


def _mount_of(place: str, device: int) -> str:
    while place != "/":
        parent = os.path.dirname(place)
        if os.stat(parent).st_dev != device:
            return place
        place = parent
    return place
