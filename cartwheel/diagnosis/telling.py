"""Sentences that several rules need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Sign

_SHOWN_CHARACTERS = 200
# As systemd writes them behind their number.
SIGNALS = frozenset(("KILL", "SEGV", "ABRT", "BUS", "ILL", "FPE", "HUP", "QUIT", "SYS", "XCPU"))


def times(count: int) -> str:
    """`once`, `twice`, `17 times`."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def path(about: str) -> str:
    """What a sign is about that is about a file, or about files of a folder."""
    if not about.startswith("/"):
        return "a file"
    return f"files in {about[:-2]}" if about.endswith("/*") else about


def short(text: str) -> str:
    """A text that fits on a line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 3]}..."


def lines(signs: Iterable[Sign]) -> tuple[str, ...]:
    """The lines of all of them, without repetitions, each with the number of its sign if that was
    seen more than once."""
    return tuple(dict.fromkeys(_lines(signs)))


def _lines(signs: Iterable[Sign]) -> Iterator[str]:
    for sign in signs:
        for number, line in enumerate(sign.lines):
            counted = f" ({times(sign.count)})" if number == 0 and sign.count > 1 else ""
            yield short(line) + counted


def count(signs: Iterable[Sign]) -> int:
    """How often all of them were seen."""
    return sum(one.count for one in signs)


def first(signs: Iterable[Sign]) -> float:
    """When one of them was seen first."""
    return min(one.first for one in signs)


def last(signs: Iterable[Sign]) -> float:
    """When one of them was seen last."""
    return max(one.last for one in signs)
