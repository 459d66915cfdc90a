"""The file systems: what is free, what takes the room, and what grows."""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from cartwheel.host.diagnose import log_growth
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.system.context import Context
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.diagnosis import Storage

# All walks end by then, the longer one where room is short; what grows is measured after them.
_WALK_SECONDS, _LONG_WALK_SECONDS = 0.8, 1.6
_TREE_SECONDS = 0.4
_TREE_ENTRIES = 20_000
_SAMPLE_SECONDS = 1.5
_MOST = 6
_LEAST_BYTES = 1 << 20
_WRITTEN_SECONDS = 900.0  # what was not written to for longer does not grow now
_HOUR = 3600.0
# A burst is no growth: a file must have grown for this long at its present rate. A log goes on
# growing; an upload, a download or a file of sort(1) ends some time.
_STEADY_LOG_SECONDS, _STEADY_SECONDS = 5.0, 60.0
_LOG = re.compile(r"\A/var/log/|(?:\A|[._/-])(?:logs?|out|err|jsonl)(?:[._-]?\d+)?\Z")
_MOST_WRITTEN = 40
_MOST_LINKS = 30_000
_SHARED_MEMORY = ("/memfd:", "/SYSV", "/dev/zero", "/[aio]", "/i915")
# Where data of services and users gathers; looked at only where room or inodes are short.
_SHORT = 0.1
_MORE = ("/var/lib", "/var/cache", "/var/spool", "/var/crash", "/home", "/root", "/opt", "/srv")
# Only packages fill these.
_STATIC = ("/usr", "/etc", "/boot", "/proc", "/sys", "/dev")
_DATABASES = {
    "PostgreSQL's data": "/var/lib/postgresql",
    "MySQL's data": "/var/lib/mysql",
    "Redis's data": "/var/lib/redis",
    "RabbitMQ's data": "/var/lib/rabbitmq",
    "MongoDB's data": "/var/lib/mongodb",
}


@dataclass
class _Disk:
    """One file system, and what was found on it."""

    path: str
    what: List[str]
    device: int
    files: Dict[str, int] = field(default_factory=dict)
    folders: Dict[str, int] = field(default_factory=dict)
    entries: Dict[str, int] = field(default_factory=dict)
    written: Dict[str, int] = field(default_factory=dict)
    deleted: Dict[str, int] = field(default_factory=dict)


def look(ctx: Context, window: Window) -> Found:
    """All file systems that the app, its web server and the logs use."""
    began = time.monotonic()
    disks = _disks(ctx)
    unread = [*_walk(ctx, disks, began)]
    first = time.monotonic()
    before = {path: size for disk in disks for path, size in disk.written.items()}
    _add_deleted(disks)
    time.sleep(max(0.0, first + _SAMPLE_SECONDS - time.monotonic()))
    passed = time.monotonic() - first
    now = {path: (_size(path) - size) / passed for path, size in before.items()}
    found = tuple(_storage(disk, now, window.until) for disk in disks)
    return Found(storage=found, unread=tuple(unread))


def _disks(ctx: Context) -> List[_Disk]:
    """Each file system once, with what is on it."""
    at = ctx.at
    places = {
        "the app": str(at.root),
        "its shared files": str(at.shared),
        "the logs": "/var/log",
        "temporary files": "/tmp",
        "lasting temporary files": "/var/tmp",
        "sockets": "/run",
        "gunicorn's heartbeats": "/dev/shm",
        "the web server's temporary files": f"/var/lib/{web_server(at).name}",
        **_DATABASES,
        "the system": "/",
    }
    found: Dict[int, _Disk] = {}
    for what, path in places.items():
        try:
            about = os.stat(path)
        except OSError:
            continue
        disk = found.setdefault(about.st_dev, _Disk(mount_of(path), [], about.st_dev))
        disk.what.append(what)
    return list(found.values())


def mount_of(path: str) -> str:
    """The folder at which the file system of `path` is mounted."""
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


# --- what takes the room ------------------------------------------------------------------


def _walk(ctx: Context, disks: List[_Disk], began: float) -> Iterator[str]:
    """Add what is in the folders that grow; yields what there was no time for."""
    by_device = {disk.device: disk for disk in disks}
    short = [disk.path for disk in disks if _is_short(disk.path)]
    tops = [str(ctx.at.shared), "/var/log", "/var/tmp", "/tmp"]
    if short:
        tops = list(dict.fromkeys((*tops, str(ctx.at.root), *_MORE, *short)))
    end = began + (_LONG_WALK_SECONDS if short else _WALK_SECONDS)
    for top in tops:
        until = min(end, time.monotonic() + _TREE_SECONDS)
        below = top.rstrip("/") + "/"
        skip = (*_STATIC, *(one for one in tops if one != top and one.startswith(below)))
        if not walk(top, by_device, until, skip):
            yield f"files: not all of {top}"


def walk(top: str, disks: "Dict[int, _Disk]", until: float, skip: Tuple[str, ...] = ()) -> bool:
    """Add all files below `top`, without other file systems; whether there was time for all. A
    folder says on which it is: files of an overlay may name the one below."""
    waiting = [(top, _device_of(top))]
    seen, recent = 0, time.time() - _WRITTEN_SECONDS
    while waiting:
        folder, device = waiting.pop()
        disk, count = disks.get(device), 0
        if disk is None:
            continue
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    count, seen = count + 1, seen + 1
                    if time.monotonic() > until or seen > _TREE_ENTRIES:
                        disk.entries[folder] = count
                        return False
                    try:
                        about = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if stat.S_ISDIR(about.st_mode):
                        if entry.path not in skip:
                            waiting.append((entry.path, about.st_dev))
                    elif stat.S_ISREG(about.st_mode):
                        _add(disk, top, entry.path, about, recent)
        except OSError:
            continue
        disk.entries[folder] = count
    return True


def _device_of(path: str) -> int:
    """The file system of a folder, or of the nearest folder above that is there."""
    while True:
        try:
            return os.stat(path).st_dev
        except OSError:
            if path in ("/", ""):
                return -1
            path = os.path.dirname(path)


def _add(disk: _Disk, top: str, path: str, about: os.stat_result, recent: float) -> None:
    size = about.st_blocks * 512  # a sparse file, /var/log/lastlog, takes less than its size
    below = path[len(top) :].lstrip("/").split("/")
    folder = os.path.join(top, *below[:1]) if len(below) > 1 else top
    disk.folders[folder] = disk.folders.get(folder, 0) + size
    if size >= _LEAST_BYTES:
        disk.files[path] = size
        # systemd's journal keeps within its own limits (journald.conf(5)).
        if about.st_mtime >= recent and not path.startswith("/var/log/journal/"):
            disk.written[path] = about.st_size


def _is_short(path: str) -> bool:
    try:
        about = os.statvfs(path)
    except OSError:
        return False
    room = about.f_bavail < about.f_blocks * _SHORT
    return room or about.f_favail < about.f_files * _SHORT


def _add_deleted(disks: List[_Disk]) -> None:
    """Files without a name that take room as long as a process has them open."""
    by_device = {disk.device: disk for disk in disks}
    seen, links = set(), 0
    for process in filter(str.isdigit, os.listdir("/proc")):
        folder = f"/proc/{process}/fd"
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            links += 1
            if links > _MOST_LINKS:
                return
            try:
                target = os.readlink(f"{folder}/{name}")
                if not target.endswith(" (deleted)") or not target.startswith("/"):
                    continue
                about = os.stat(f"{folder}/{name}")
            except OSError:
                continue
            key, size = (about.st_dev, about.st_ino), about.st_blocks * 512
            if key in seen or size < _LEAST_BYTES:
                continue
            seen.add(key)
            path = target[: -len(" (deleted)")]
            disk = by_device.get(_device_of(os.path.dirname(path)))
            # Memory that is shared between processes has such names too, of no folder.
            if disk is None or not stat.S_ISREG(about.st_mode) or path.startswith(_SHARED_MEMORY):
                continue
            disk.deleted[f"{path} (open in {_program(process)}, process {process})"] = size


def _program(process: str) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a program"


# --- what grows ---------------------------------------------------------------------------


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def steady_seconds(path: str) -> float:
    """How long it must have grown at its present rate, so that it will go on."""
    return _STEADY_LOG_SECONDS if _LOG.search(path) else _STEADY_SECONDS


def _storage(disk: _Disk, rates: Dict[str, float], until: float) -> Storage:
    about = os.statvfs(disk.path)
    hourly: Dict[str, int] = {}
    now: Dict[str, int] = {}
    written = sorted(disk.written.items(), key=lambda one: -one[1])
    for path, size in written[:_MOST_WRITTEN]:
        rate = rates.get(path, 0.0)
        if rate > 0 and size / rate >= steady_seconds(path):
            now[path] = int(rate * _HOUR)
        grown = log_growth.bytes_an_hour(path, until)
        if grown is not None and grown > 0:
            hourly[path] = int(grown)
    growing = {path: max(hourly.get(path, 0), now.get(path, 0)) for path in {*hourly, *now}}
    result = Storage(
        path=disk.path,
        what=tuple(disk.what),
        size=about.f_blocks * about.f_frsize,
        free=about.f_bavail * about.f_frsize,
        inodes=about.f_files,
        free_inodes=about.f_favail,
        read_only=bool(about.f_flag & os.ST_RDONLY),
    )
    return replace(
        result,
        growth=float(sum(hourly.values())) if hourly else None,
        growth_now=float(sum(now.values())) if now else None,
        growing=_top(growing),
        largest=_top(_parts(disk.files, disk.folders)),
        deleted=_top(disk.deleted),
        crowded=_top({path: count for path, count in disk.entries.items() if count >= 1000}),
    )


def _parts(files: Dict[str, int], folders: Dict[str, int]) -> Dict[str, int]:
    """The largest files, and the folders that are large by many smaller ones."""
    most = dict(sorted(files.items(), key=lambda one: -one[1])[:_MOST])
    for folder, size in folders.items():
        inside = sum(one for path, one in most.items() if path.startswith(folder + "/"))
        if size >= _LEAST_BYTES and size - inside > inside:
            most[folder + "/"] = size
    return most


def _top(sizes: Dict[str, int]) -> Dict[str, int]:
    return dict(sorted(sizes.items(), key=lambda one: -one[1])[:_MOST])
