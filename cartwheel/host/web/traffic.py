"""What the first upstream said to real requests, from the site's own log.

The front door alone is blind: the backup answers for a dead release, and visitors see 200.
So only the first upstream of a request counts, and only requests that were passed on to it
after the switch. The lines are those of the kind's own template; a log of another format, or
none at all, says nothing.
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Optional, Tuple

from cartwheel.host.system import files
from cartwheel.host.web.server import WebServer

# Of one look at one file. A site that writes more between two looks is judged by a sample.
READ_BYTES = 1 << 20
_FILES = 3  # while a log is rotated the old one is still written to
# How improbable failures must be, were the true share no more than the limit.
_CHANCE = 0.01


@dataclass(frozen=True)
class Share:
    """The number of requests, and of those that failed with 5xx."""

    requests: int = 0
    failed: int = 0

    @property
    def percent(self) -> float:
        return 100.0 * self.failed / self.requests if self.requests else 0.0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.requests + other.requests, self.failed + other.failed)


def count(web: WebServer, lines: Iterable[bytes], upstream: str, since: float) -> Share:
    """The requests that were passed on to `upstream` first, from the time `since` on."""
    statuses = [
        request.status
        for request in map(web.request, lines)
        if request is not None and request.upstream == upstream and request.passed_on >= since
    ]
    return Share(len(statuses), sum(1 for status in statuses if status >= 500))


def complaint(
    now: Share, before: Share, *, max_error_percent: float, error_min_requests: int
) -> str:
    """Says that too many requests failed since the switch; "" if not.

    What failed before the switch is not the new release's fault: its share is added to the
    limit. A few requests must fail clearly, so that chance does not roll a host back: by
    Chernoff's bound the failures must have a chance below 1 % were the share at the limit.
    """
    if now.requests < max(1, error_min_requests):
        return ""
    base = before.percent if before.requests >= max(1, error_min_requests) else 0.0
    limit = max_error_percent + base
    if now.percent <= limit or _chance(now, limit / 100.0) >= _CHANCE:
        return ""
    told = f"{now.failed} of {now.requests} requests ({now.percent:.0f} %) failed with 5xx"
    told += f", the limit is {limit:.0f} %"
    if base:
        told += f" ({base:.0f} % failed before the switch)"
    return told


def _chance(share: Share, limit: float) -> float:
    """Upper bound (Chernoff) of the probability of this many failures at the true share `limit`."""
    part = share.failed / share.requests
    if limit <= 0.0:
        return 0.0
    distance = part * math.log(part / limit)
    if part < 1.0:
        distance += (1.0 - part) * math.log((1.0 - part) / (1.0 - limit))
    return math.exp(-share.requests * distance)


def tail(path: Path) -> List[bytes]:
    """The last whole lines of a log, READ_BYTES of it at most; none where there is no log."""
    file = _File.open(path)
    if file is None:
        return []
    try:
        return file.lines()
    finally:
        file.close()


class Log:
    """The lines that are written to a log from now on, also while it is rotated or emptied.

    A log that cannot be read has none: whether requests fail is then not known.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: List[_File] = []
        file = _File.open(path)
        if file is not None:
            file.skip()
            self._files.append(file)

    def lines(self) -> List[bytes]:
        """The lines written since the last call."""
        self._follow()
        return [line for file in self._files for line in file.lines()]

    def _follow(self) -> None:
        file = _File.open(self._path)
        if file is None:
            return
        if any(known.key == file.key for known in self._files):
            file.close()
            return
        self._files.append(file)
        while len(self._files) > _FILES:
            self._files.pop(0).close()

    def close(self) -> None:
        while self._files:
            self._files.pop().close()


class _File:
    """One open file of a log, and how far it was read."""

    def __init__(self, fd: int, key: Tuple[int, int]) -> None:
        self._fd = fd
        self.key = key
        self._at = 0
        self._rest = b""

    @classmethod
    def open(cls, path: Path) -> "Optional[_File]":
        try:
            fd = os.open(str(path), files.READ_FILE)
        except OSError:
            return None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            return None
        return cls(fd, (status.st_dev, status.st_ino))

    def skip(self) -> None:
        self._at = os.fstat(self._fd).st_size

    def lines(self) -> List[bytes]:
        """The whole lines that came; the newest READ_BYTES of them at most."""
        size = os.fstat(self._fd).st_size
        if size < self._at:  # emptied in place
            self._at, self._rest = 0, b""
        torn = size - self._at > READ_BYTES
        if torn:
            self._at, self._rest = size - READ_BYTES, b""
        try:
            data = os.pread(self._fd, READ_BYTES, self._at)
        except OSError:
            return []
        self._at += len(data)
        found = (self._rest + data).split(b"\n")
        # A line is whole with its end; it has some 32 KB at most.
        self._rest = found.pop()[-READ_BYTES:]
        return found[1:] if torn else found

    def close(self) -> None:
        os.close(self._fd)
