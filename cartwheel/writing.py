"""Writes files on this machine, completely or not at all.

Only files are ever replaced: a link is followed (people link their known_hosts into a
repository of their own), and a device, a pipe, a socket or a folder is never replaced.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


class NotAFileError(OSError):
    """The path is not a file; `strerror` says what it is."""


def place_of(path: Path) -> Path:
    """The file that `path` means, behind any links; it may still be missing.

    Raises NotAFileError if it is not a file, and OSError for links that form a loop.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return path.resolve()
    if not stat.S_ISREG(mode):
        what = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotAFileError(errno.EEXIST, f"it is {what}, not a file", str(path))
    return path.resolve()


def write(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Write `data` to the file by one rename; a reader sees the old content or all of the new.

    A new file gets `mode` (less the umask), an existing one keeps its own. Raises OSError.
    """
    place = place_of(path)
    temporary = place.with_name(f".{place.name[:100]}.{secrets.token_hex(6)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            if place.exists():
                os.fchmod(fd, stat.S_IMODE(place.stat().st_mode))
            file.write(data)
            file.flush()
            if durable:
                os.fsync(fd)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync(place.parent)


def pour(path: Path, data: bytes) -> None:
    """Like `write`, but also to a device or a pipe that the user has named (`--out /dev/stdout`).

    Raises OSError, also for a pipe that nobody reads.
    """
    try:
        write(path, data, mode=0o666)
    except NotAFileError:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(fd, True)
        with os.fdopen(fd, "wb") as file:
            file.write(data)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
