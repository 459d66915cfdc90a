"""Requests of visitors since the last look, counted in the access log of an app's site."""

from __future__ import annotations

import bisect
import os
import stat

from cartwheel.host.watch import sites
from cartwheel.host.watch.front import AGENT

# Of one look. A site that writes more in that time is judged by the newest of it.
MOST_BYTES = 4 << 20
# As in wire/look.py, whose records would take longer to import than this takes to count.
BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_SWITCHED = 101  # a websocket, which may be open for hours
_CLOSED = 503


class Log:
    """The log of one site. `inode`, `offset`: the place after what was read."""

    def __init__(self, kind: sites.Kind, app: str) -> None:
        self._path = kind.log(app)
        self._line = kind.line
        self.inode, self.offset = 0, 0
        self.unread = ""

    def skip(self) -> None:
        """Go to its end."""
        fd = _opened(self._path)
        if fd is not None:
            status = os.fstat(fd)
            self.inode, self.offset = status.st_ino, status.st_size
            os.close(fd)

    def since(self, inode: int, offset: int) -> dict[str, object] | None:
        """Count what was written since that place; None where the log cannot be read, or has
        another format. The fields are those of `wire.look.Requests`."""
        fd = _opened(self._path)
        if fd is None:
            self.unread = f"{self._path} cannot be read"
            return None
        try:
            status = os.fstat(fd)
            pieces = []
            if status.st_ino != inode:
                pieces.append(self._rest_of_old(inode, offset))
                offset = 0
            elif status.st_size < offset:  # emptied in place
                offset = 0
            text = self._read(fd, offset, status.st_size)
            self.inode = status.st_ino
            return self._counted(b"".join([*pieces, text]))
        finally:
            os.close(fd)

    def _rest_of_old(self, inode: int, offset: int) -> bytes:
        """What was written to the file before it was rotated. (logrotate's delaycompress)"""
        fd = _opened(self._path + ".1")
        if fd is None:
            return b""
        try:
            status = os.fstat(fd)
            return self._read(fd, offset, status.st_size) if status.st_ino == inode else b""
        finally:
            os.close(fd)

    def _read(self, fd: int, offset: int, size: int) -> bytes:
        """Whole lines from this place on."""
        begin = max(offset, size - MOST_BYTES)
        if begin > offset:
            self.unread = f"the oldest {begin - offset >> 20} MB of {size - offset >> 20} MB"
        text = os.pread(fd, size - begin, begin) if size > begin else b""
        if begin > offset:
            text = text.partition(b"\n")[2]
            begin = size - len(text)
        whole = text[: text.rfind(b"\n") + 1]
        self.offset = begin + len(whole)
        return whole

    def _counted(self, text: bytes) -> dict[str, object] | None:
        count, failed, times, lines, took = 0, 0, [0] * (len(BOUNDS) + 1), 0, 0.0
        for found in self._line.finditer(text):
            lines += 1
            status = int(found["status"])
            if found["probe"] == b"1" or found["agent"] == AGENT.encode():
                continue
            is_passed_on = found["upstream"] not in (b"", b"-")
            if status == _SWITCHED or (status == _CLOSED and not is_passed_on):
                continue  # the latter: somebody has closed the site
            count += 1
            failed += status >= 500
            seconds = sites.seconds(found)
            took += seconds
            times[bisect.bisect_left(BOUNDS, seconds)] += 1
        if text and not lines:
            self.unread = f"{self._path} has a format of its own"
            return None
        return {"count": count, "failed": failed, "times": times, "took": round(took, 3)}


def _opened(path: str) -> int | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return fd
