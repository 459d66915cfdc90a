"""A line of a log, a choice of lines, and the interface of a log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Iterable, List, Optional, Protocol, Sequence, Tuple

from cartwheel.host.process.parts import named
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.output import ReadLogs


@dataclass(frozen=True)
class Line:
    """`at` is in seconds since the epoch. `by`: the instance that wrote the line, if that is known;
    `release`: its release, or the one that a line of the history is about."""

    at: float
    source: str
    text: str
    error: bool = False
    release: Optional[str] = None
    by: Optional[Instance] = None

    @property
    def process(self) -> str:
        return self.by.process if self.by else ""


class Wanted:
    """Which lines a request is for; `now` is this host's time, `is_of` says whether a release is
    the one that is asked for."""

    def __init__(
        self, request: ReadLogs, sources: Sequence[str], now: float, is_of: Callable[[str], bool]
    ) -> None:
        self._sources = frozenset(sources)
        self._request = request
        self._is_of = is_of
        self.since = None if request.ago_seconds is None else now - request.ago_seconds
        try:
            # As `journalctl --grep`: without capitals they do not matter.
            case = re.IGNORECASE if request.pattern == request.pattern.lower() else 0
            self._pattern = re.compile(request.pattern, case)
        except re.error as error:
            raise OpError("usage", f"--grep {request.pattern}: {error}") from None

    def any_of(self, sources: Iterable[str]) -> bool:
        return not self._sources.isdisjoint(sources)

    def all_of(self, sources: Iterable[str]) -> bool:
        """Whether every line with one of these sources is wanted, apart from its time."""
        asked = self._request
        return self._sources.issuperset(sources) and not (
            asked.pattern or asked.errors or asked.release or asked.processes
        )

    def __call__(self, line: Line) -> bool:
        asked = self._request
        return (
            line.source in self._sources
            and (self.since is None or line.at >= self.since)
            and (line.error or not asked.errors)
            and (not asked.release or (line.release is not None and self._is_of(line.release)))
            and (not asked.processes or line.process in asked.processes)
            and self._pattern.search(line.text) is not None
        )


class Log(Protocol):
    """Lines of one or several sources that are read together."""

    @property
    def sources(self) -> Tuple[str, ...]:
        """All that its lines may be from."""

    def last(self, ctx: Context, wanted: Wanted, most: int) -> List[Line]:
        """The last wanted lines, oldest first."""

    def follow(self, ctx: Context, wanted: Wanted) -> None:
        """Send lines that are written after `last`, until contact is lost."""


def send(ctx: Context, line: Line) -> None:
    process = named(line.by) if line.by is not None and line.by.process != WEB else ""
    ctx.emit("log", "note", line.text, source=line.source, at=line.at, process=process)
