"""What systemd knows of Cartwheel's units, and which locks are held, as any user may ask.

Here and in the other files of this room as little as possible is imported: the program runs every
few seconds on every host, and half of its time would be imports. That is why it starts programs
itself, and knows some names of `layout` by heart (a test compares them).
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Iterable

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",  # in which systemctl then prints times
}
_MOST_BYTES = 1 << 20
_SECONDS = 3.0
_PROPERTIES = (
    "Id,ActiveState,SubState,Result,NRestarts,MainPID,MemoryCurrent,StateChangeTimestampMonotonic,"
    "LastTriggerUSec,NextElapseUSecRealtime"
)
_AT_REST = ("inactive", "failed")
# A line of proc(5)'s /proc/locks: the holder of flock(2), by device and inode.
_LOCK = re.compile(r"\d+: FLOCK +ADVISORY +WRITE +\S+ ([0-9a-f]+):([0-9a-f]+):(\d+) ")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.\d+)? UTC")

Properties = dict[str, str]


class Unknown(Exception):
    """It could not be read; why."""


def ask(argv: list[str], seconds: float = _SECONDS) -> str:
    """What a program prints, MOST_BYTES of it. Raises Unknown."""
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawnp(
            argv[0],
            argv,
            _ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writing, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )
    except OSError as error:
        os.close(reading)
        raise Unknown(f"{argv[0]}: {error.strerror}") from None
    finally:
        os.close(writing)
    text, is_late = _read(reading, seconds)
    os.close(reading)
    if is_late:
        os.kill(pid, signal.SIGKILL)
    if is_late or ended(pid) != 0:
        why = f"did not answer within {seconds:g} s" if is_late else "does not answer"
        raise Unknown(f"{argv[0]} {why}")
    return text.decode("utf-8", "replace")


def ended(pid: int) -> int | None:
    """How a child ended that has nothing left to say; None if it hangs."""
    for _number in range(100):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    return None


def _read(fd: int, seconds: float) -> tuple[bytes, bool]:
    """All that comes until the end, and whether the time was up before."""
    end, text = time.monotonic() + seconds, b""
    while len(text) < _MOST_BYTES:
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            return text, True
        piece = os.read(fd, 1 << 16)
        if not piece:
            return text, False
        text += piece
    return text, True


def listing() -> dict[str, str]:
    """All units of Cartwheel that systemd has loaded: their ActiveState by name. Raises Unknown."""
    words = ("list-units", "--all", "--plain", "--no-legend", "--no-pager", "cartwheel-*")
    rows = [line.replace("●", " ").split() for line in ask(["systemctl", *words]).splitlines()]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def states(units: Iterable[str]) -> dict[str, Properties]:
    """The properties of these units, by name. Raises Unknown."""
    wanted = sorted(set(units))
    if not wanted:
        return {}
    blocks = ask(["systemctl", "show", "--property=" + _PROPERTIES, "--", *wanted]).split("\n\n")
    found = (dict(line.partition("=")[::2] for line in one.splitlines()) for one in blocks)
    return {one["Id"]: one for one in found if "Id" in one}


def is_up(state: str) -> bool:
    """Whether a unit with this ActiveState is at work, beginning or ending."""
    return state not in _AT_REST and state != ""


def has_session(units: Iterable[str], app: str) -> bool:
    """Whether one of these is a run of Cartwheel that changes the app."""
    pattern = re.compile(rf"cartwheel-session-{re.escape(app)}-[0-9a-f]+\.service")
    return any(pattern.fullmatch(unit) for unit in units)


def locks() -> set[tuple[int, int, int]]:
    """The files that somebody has locked for himself: major and minor device, and inode."""
    try:
        with open("/proc/locks", encoding="ascii") as file:
            found = map(_LOCK.match, file)
            return {
                (int(one[1], 16), int(one[2], 16), int(one[3])) for one in found if one is not None
            }
    except OSError:
        return set()


def is_locked(path: str, held: set[tuple[int, int, int]]) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino) in held


def time_of(text: str) -> float | None:
    """A time as systemctl prints it (Mon 2026-11-30 17:04:00 UTC); None for anything else."""
    found = _TIME.search(text)
    if found is None:
        return None
    from datetime import datetime, timezone

    year, month, day, hour, minute, second = map(int, found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()


def memory(properties: Properties) -> int | None:
    """What a unit uses, in bytes; where systemd does not count it, what its processes have in
    memory, with what they share."""
    counted = properties.get("MemoryCurrent", "")
    if counted.isdigit() and int(counted) < 1 << 62:
        return int(counted)
    return _resident(int(properties.get("MainPID") or 0)) or None


def _resident(pid: int) -> int:
    found, waiting = 0, [pid] if pid else []
    page = os.sysconf("SC_PAGE_SIZE")
    for _number in range(500):  # processes
        if not waiting:
            break
        pid = waiting.pop()
        words = text_of(f"/proc/{pid}/statm").split()
        found += int(words[1]) * page if len(words) > 1 else 0
        waiting += map(int, text_of(f"/proc/{pid}/task/{pid}/children").split())
    return found


def text_of(path: str, most: int = 1 << 16) -> str:
    """The beginning of a small file; "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""
