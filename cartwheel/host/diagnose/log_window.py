"""The part of a large log that a time needs, read within bounds: all of it where it is small, else
its newest part and blocks that are spread evenly over the rest."""

from __future__ import annotations

import os
import re
import stat
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from cartwheel.host.diagnose.found import Window
from cartwheel.host.look import log_files
from cartwheel.host.system import files

# The time of a line; None where it names none.
TimeOf = Callable[[str], Optional[float]]

_LOOK_BYTES = 32 << 10  # some lines of it have a time; a line of a web server has 32 KB at most
_CHUNK_BYTES = 4 << 20
_GZ_SECONDS = 0.6  # for what is packed: it can be read from its beginning only
_GZ_BYTES = 16 << 20
_MOST_FILES = 8


@dataclass(frozen=True)
class Bounds:
    """How much is read: everything up to `whole` bytes, else `newest` bytes of the end, and
    `spread` bytes in blocks of `block` before."""

    whole: int
    newest: int
    spread: int
    block: int


@dataclass(frozen=True)
class Part:
    """Whole lines; each of them stands for `weight` lines of the log."""

    data: bytes
    weight: float


@dataclass(frozen=True)
class Stretch:
    """Bytes of one file: of an open one, or of what was packed."""

    fd: int
    begin: int
    end: int
    data: Optional[bytes] = None

    def read(self, begin: int, end: int) -> bytes:
        if self.data is not None:
            return self.data[begin:end]
        return os.pread(self.fd, max(0, end - begin), begin)

    def lines(self, begin: int, end: int) -> bytes:
        """The whole lines that begin and end between these places."""
        before = min(1, begin - self.begin)
        data = self.read(begin - before, end)
        if before:
            data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
        return data[: data.rfind(b"\n") + 1]


@dataclass(frozen=True)
class Log:
    """What the files of a log have of a time, the oldest first. `unread`: why some is missing."""

    stretches: Tuple[Stretch, ...]
    unread: Tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return sum(one.end - one.begin for one in self.stretches)


@contextmanager
def opened(path: Path, window: Window, time_of: TimeOf, packed: bool = True) -> "Iterator[Log]":
    """The log in this time, with the rotated files that it needs; without `packed` none that is
    compressed. Its files stay open meanwhile."""
    found: List[Stretch] = []
    unread: List[str] = []
    fds: List[int] = []
    try:
        for file in (path, *log_files.rotated(path)[:_MOST_FILES]):
            if file.suffix == ".gz" and not packed:
                break
            try:
                fd = os.open(str(file), files.READ_FILE)
            except FileNotFoundError:
                continue
            except OSError as error:
                unread.append(f"{file}: {error.strerror}")
                continue
            fds.append(fd)
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                unread.append(f"{file}: it is no file")
                continue
            if status.st_mtime < window.since:
                break  # neither this one nor an older one was written to since
            whole = Stretch(fd, 0, status.st_size)
            if file.suffix == ".gz":
                data, complete = unpacked(fd)
                whole = Stretch(-1, 0, len(data), data)
                if not complete:
                    unread.append(f"{file}: only a part of it was read")
            begin = _first_at(whole, window.since, time_of)
            end = _first_at(whole, window.until, time_of, begin)
            if end > begin:
                found.append(Stretch(whole.fd, begin, end, whole.data))
            if begin > 0:
                break
        yield Log(tuple(reversed(found)), tuple(unread))
    finally:
        for fd in fds:
            os.close(fd)


def _first_at(file: Stretch, wanted: float, time_of: TimeOf, low: int = 0) -> int:
    """Where the first line of that time, or a later one, begins; by bisection."""
    high = file.end
    while high - low > _LOOK_BYTES:
        middle = (low + high) // 2
        place, at = _time_after(file, middle, time_of)
        if at is None:  # no time within a whole look: only what is before it can be searched
            high = middle
        elif at < wanted:
            low = place
        else:
            high = middle
    begin = low
    for line in file.read(low, high + _LOOK_BYTES).splitlines(keepends=True):
        at = time_of(line.decode("utf-8", "replace"))
        if at is not None and at >= wanted:
            break
        begin += len(line)
    return min(begin, file.end)


def _time_after(file: Stretch, place: int, time_of: TimeOf) -> Tuple[int, Optional[float]]:
    """The first line after that place that has a time."""
    data = file.read(place, place + _LOOK_BYTES)
    at = data.find(b"\n") + 1
    while 0 < at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            break
        found = time_of(data[at:end].decode("utf-8", "replace"))
        if found is not None:
            return place + at, found
        at = end + 1
    return place, None


def unpacked(fd: int) -> Tuple[bytes, bool]:
    """The end of a packed file, within bounds, and whether it is its end."""
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    deadline = time.monotonic() + _GZ_SECONDS
    kept: List[bytes] = []
    size, at = 0, 0
    while time.monotonic() < deadline:
        packed = os.pread(fd, 256 << 10, at)
        if not packed:
            return b"".join(kept), True
        at += len(packed)
        try:
            kept.append(unpack.decompress(packed, _GZ_BYTES))
        except zlib.error:
            break
        size += len(kept[-1])
        while size - len(kept[0]) > _GZ_BYTES:
            size -= len(kept.pop(0))
    return b"".join(kept), False


def parts(log: Log, bounds: Bounds, deadline: float) -> List[Part]:
    """What is read of a log, in the order of time as far as `deadline` (monotonic) allows."""
    if log.size <= bounds.whole:
        return [Part(one.lines(one.begin, one.end), 1.0) for one in log.stretches]
    found: List[Part] = []
    left = bounds.newest
    before: List[Stretch] = []
    for one in reversed(log.stretches):
        cut = max(one.begin, one.end - left)
        if cut < one.end:
            found.insert(0, Part(one.lines(cut, one.end), 1.0))
            left -= one.end - cut
        if cut > one.begin:
            before.insert(0, Stretch(one.fd, one.begin, cut, one.data))
    return _spread(before, bounds, deadline) + found


def _spread(before: List[Stretch], bounds: Bounds, deadline: float) -> List[Part]:
    size = sum(one.end - one.begin for one in before)
    count = max(1, bounds.spread // bounds.block)
    # In this order what the deadline leaves out is spread evenly too.
    order = sorted(range(count), key=lambda number: -(number & -number) if number else -count)
    read: Dict[int, bytes] = {}
    for number in order:
        if read and time.monotonic() > deadline:
            break
        place = size * number // count
        for one in before:
            length = one.end - one.begin
            if place < length:
                begin = one.begin + place
                read[number] = one.lines(begin, min(one.end, begin + bounds.block))
                break
            place -= length
    total = sum(len(data) for data in read.values())
    weight = max(1.0, size / total) if total else 1.0
    return [Part(read[number], weight) for number in sorted(read)]


def matching(
    log: Log, newest: int, pattern: "re.Pattern[bytes]", most: int, deadline: float
) -> Optional[List[bytes]]:
    """Every line with `pattern` before the `newest` bytes of a log; None if there are more than
    `most`, or not all of it could be read in time."""
    found: List[bytes] = []
    left = newest
    for one in reversed(log.stretches):
        end = max(one.begin, one.end - left)
        left -= one.end - end
        at = one.begin
        while at < end:
            if time.monotonic() > deadline:
                return None
            data = one.read(at, min(end, at + _CHUNK_BYTES))
            if not data:
                break
            whole = data.rfind(b"\n") + 1 or len(data)
            for match in pattern.finditer(data, 0, whole):
                begin = data.rfind(b"\n", 0, match.start()) + 1
                found.append(data[begin : data.find(b"\n", match.end()) + 1])
                if len(found) > most:
                    return None
            at += whole
    return found
