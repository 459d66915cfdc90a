"""The web server's logs of a site, also rotated ones."""

from __future__ import annotations

import contextlib
import gzip
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Iterator, List, Tuple

from cartwheel.host.look.log_lines import Line, Wanted, send
from cartwheel.host.system import children
from cartwheel.host.system.context import Context
from cartwheel.host.web.server import WebServer

_BLOCK_BYTES = 256 << 10
_LINE_BYTES = 64 << 10
_POLLED_LINES = 5000
_FOLLOW_SECONDS = 365 * 86400.0


@dataclass
class SiteLog:
    """One file of the web server."""

    path: Path
    source: str
    web: WebServer
    _end: int = field(default=0, init=False)  # bytes of it that `last` has seen

    @property
    def sources(self) -> Tuple[str, ...]:
        return (self.source,)

    def last(self, ctx: Context, wanted: Wanted, most: int) -> List[Line]:
        """Read backwards, the newest file first, until there are enough."""
        found: List[Line] = []
        later = time.time()
        for number, text in enumerate(self._backwards()):
            if number % _POLLED_LINES == 0:
                ctx.poll()
            line = self._line(text, later)
            later = line.at
            if len(found) >= most or (wanted.since is not None and line.at < wanted.since):
                break
            if wanted(line):
                found.append(line)
        return found[::-1]

    def follow(self, ctx: Context, wanted: Wanted) -> None:
        def tell(text: str) -> None:
            line = self._line(text, time.time())
            if wanted(line):
                send(ctx, line)

        argv = ["tail", "-F", "-c", f"+{self._end + 1}", "--", str(self.path)]
        children.ask(argv, ctx=ctx, timeout_seconds=_FOLLOW_SECONDS, on_line=tell)

    def _backwards(self) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            # A line that is just being written is for `follow`.
            self._end = _end_of_lines(file)
            yield from _lines_before(file, self._end)
        for path in rotated(self.path):
            # It may be rotated once more meanwhile.
            with contextlib.suppress(FileNotFoundError, EOFError, gzip.BadGzipFile):
                if path.suffix == ".gz":
                    with gzip.open(path, "rb") as packed:
                        yield from map(_text, reversed(packed.read().splitlines()))
                else:
                    with path.open("rb") as file:
                        yield from _lines_before(file, _end_of_lines(file))

    def _line(self, text: str, later: float) -> Line:
        """`later`: the time of the line after it, for a line that names none."""
        at, grave = self.web.look_at(text)
        return Line(later if at is None else at, self.source, text, grave)


def rotated(path: Path) -> List[Path]:
    """Older files of a log, newest first: NAME.1, NAME.2.gz, ... (logrotate(8))."""
    found = {}
    for one in path.parent.glob(path.name + ".*"):
        match = re.fullmatch(r"\.(\d+)(\.gz)?", one.name[len(path.name) :])
        if match:
            found[int(match.group(1))] = one
    return [found[number] for number in sorted(found)]


def _end_of_lines(file: IO[bytes]) -> int:
    """Where the last whole line ends."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _LINE_BYTES))
    last = file.read(_LINE_BYTES)
    return size - len(last) + last.rfind(b"\n") + 1


def _lines_before(file: IO[bytes], end: int) -> Iterator[str]:
    """The lines before this place, the last one first."""
    rest = b""
    while end > 0:
        begin = max(0, end - _BLOCK_BYTES)
        file.seek(begin)
        block = file.read(end - begin) + rest
        lines = block.split(b"\n")
        rest = lines.pop(0) if begin else b""
        yield from (_text(line) for line in reversed(lines) if line)
        end = begin


def _text(line: bytes) -> str:
    return line[:_LINE_BYTES].decode("utf-8", "replace")
