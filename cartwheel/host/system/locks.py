"""Kernel locks: they end with their holder, so nobody ever has to remove one by hand."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping, Optional

from cartwheel.host import layout
from cartwheel.host.system import flock
from cartwheel.host.system.context import REPORT_SECONDS, Context, OpError, disk_full
from cartwheel.host.wire.messages import Json, Table

_SHARED_PATIENCE_SECONDS = 120.0


class Lock:
    """A held lock. The kernel lock is what counts; only its holder may unlink the file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def acquire(
    path: Path, holder: Mapping[str, Json], *, wait_seconds: float, ctx: Optional[Context] = None
) -> Lock:
    """Take the lock within `wait_seconds`, or OpError("locked") that names who holds it.

    `holder` (owner, message, since) is written into the file for those who are refused.
    """
    # `held_by` takes a shared lock for an instant, which must not refuse anybody.
    end = time.monotonic() + max(wait_seconds, flock.LOOK_SECONDS)
    while True:
        fd = _open(path)
        if fd is not None:
            try:
                _wait_for(fd, path, end, ctx)
                if _is_at(fd, path):
                    _sign(fd, holder)
                    return Lock(fd)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        # An uninstall removed the file or its folder meanwhile: this lock is void.
        if time.monotonic() >= end:
            raise OpError("locked", "locked by " + describe(read_holder(path)))


def _open(path: Path) -> Optional[int]:
    """The lock's file, made if it is missing; None if its folder was just removed."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # O_CLOEXEC: a child that outlives this process must not keep the lock.
        fd = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return None
    except FileExistsError:  # the folder existed for mkdir(2), but not for the check after it
        if os.path.lexists(str(path.parent)) and not path.parent.is_dir():
            raise
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OpError("not-ours", f"{path} is not a file; it was left unchanged")
    return fd


def _sign(fd: int, holder: Mapping[str, Json]) -> None:
    """Write the holder's name. On a full disk the lock is held without a name."""
    os.fchmod(fd, 0o600)  # anybody who can open it could also lock it (flock(2))
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(holder).encode(), 0)
    except OSError as error:
        if not disk_full(error):
            raise


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(str(path)))
    except FileNotFoundError:
        return False


def discard(path: Path) -> None:
    """Remove a lock's file. Only the holder may; a waiting process then makes it again."""
    path.unlink(missing_ok=True)


def _wait_for(fd: int, path: Path, end: float, ctx: Optional[Context]) -> None:
    reported = -REPORT_SECONDS  # the first time at once

    def waiting(waited: float) -> None:
        nonlocal reported
        if ctx is not None:
            ctx.poll()
            if waited - reported >= REPORT_SECONDS:
                reported = waited
                ctx.emit("lock", "progress", "waiting for " + describe(read_holder(path)))

    if not flock.take(fd, end - time.monotonic(), waiting):
        raise OpError("locked", "locked by " + describe(read_holder(path)))


def read_holder(path: Path) -> Optional[Table]:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def describe(holder: Optional[Mapping[str, Json]]) -> str:
    if not holder:
        return "another process"
    text = "{} since {}".format(holder.get("owner", "somebody"), holder.get("since", "?"))
    return text + (" ({})".format(holder["message"]) if holder.get("message") else "")


def held_by(path: Path) -> Optional[Table]:
    """Who holds the lock now; None if nobody does. Changes nothing."""
    try:
        fd = os.open(str(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_holder(path) or {"owner": "another process"}
    finally:
        os.close(fd)
    return None


@contextmanager
def shared_parts(ctx: Optional[Context] = None) -> Iterator[None]:
    """The short lock for what applications share on a host: web server, apt, systemd's units."""
    holder = {"owner": "cartwheel", "since": time.strftime("%H:%M:%S")}
    lock = acquire(layout.HOST_LOCK, holder, wait_seconds=_SHARED_PATIENCE_SECONDS, ctx=ctx)
    try:
        yield
    finally:
        lock.release()
