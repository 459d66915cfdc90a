"""Count what says the same, and keep a few of its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Sequence, Set, Tuple

from cartwheel.host.diagnose import folders
from cartwheel.host.wire.diagnosis import Sign

_MOST_SIGNS = 200
_LINE_CHARACTERS = 400


@dataclass
class _Count:
    count: int
    first: float
    last: float
    lines: Tuple[str, ...]
    processes: Set[str] = field(default_factory=set)
    reason: str = ""


class Tally:
    """Signs by their kind and what they are about; each keeps the lines of its newest message. It
    takes a bounded number of them, so that a log of nothing but different errors fills nothing."""

    def __init__(self) -> None:
        self._counts: Dict[Tuple[str, str], _Count] = {}

    def add(
        self,
        kind: str,
        about: str,
        at: float,
        lines: Sequence[str],
        count: int = 1,
        *,
        process: str = "",
        reason: str = "",
    ) -> None:
        """Count it once more, or `count` times. `process`: who said it, where `about` does not say
        it. `reason`: see `Sign`."""
        known = self._counts.get((kind, about))
        shown = tuple(one.strip()[:_LINE_CHARACTERS] for one in lines)
        if known is None:
            if len(self._counts) < _MOST_SIGNS:
                by = {process} if process else set()
                self._counts[kind, about] = _Count(count, at, at, shown, by, reason)
            return
        if process:
            known.processes.add(process)
        known.count += count
        known.first = min(known.first, at)
        if at >= known.last:
            known.last, known.lines, known.reason = at, shown, reason

    def number(self, kind: str) -> int:
        """Of how many things this kind was counted."""
        return sum(1 for one, _about in self._counts if one == kind)

    def join(self, kind: str) -> None:
        """Count what is about files of one folder as one."""
        shown = folders.joined([about for one, about in self._counts if one == kind])
        for path, name in shown.items():
            if name == path:
                continue
            one = self._counts.pop((kind, path))
            known = self._counts.setdefault((kind, name), one)
            if known is one:
                continue
            known.count += one.count
            known.first = min(known.first, one.first)
            known.processes |= one.processes
            if one.last >= known.last:
                known.last, known.lines = one.last, one.lines

    def signs(self) -> Tuple[Sign, ...]:
        """All that were counted, the most frequent first."""
        every = sorted(self._counts.items(), key=lambda one: -one[1].count)
        return tuple(
            Sign(
                *(kind, about, one.count, one.first, one.last, one.lines),
                processes=tuple(sorted(one.processes)),
                reason=one.reason,
            )
            for (kind, about), one in every
        )
