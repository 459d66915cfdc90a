"""The points where a fault can strike: every message and every change of a host's files, by name.

A point is named after its event, without the parts that differ from run to run, and numbered by
occurrence. So it is the same point in the next run, whatever came before it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cartwheel_lab.faults.syscalls import Call

Direction = Literal["to the host", "to the operator"]

CHANGES = frozenset(("execve", "rename", "unlink", "rmdir", "symlink"))
SYNCS = frozenset(("fsync", "syncfs"))
GROWS = frozenset(("create", "mkdir", "symlink"))
"""Calls that need disk space."""

# Repeated events (a poll, the files of a tree) are struck this many times in a row, then ever
# more rarely: the 4th, 8th, 16th, ... time.
_FIRST_TIMES = 3

_TIME_DEPENDENT = ("beat", "alive", "noise")
_VARYING = (
    (re.compile(r"(?<=releases/)(\.gone-)?[0-9][^/ ]*"), r"\1RELEASE"),
    # The files of a tree.
    (re.compile(r"(/\.gone-[^/ ]+/|/venv/|/\.new-(?=\d))[^ ]+"), r"\1..."),
    (re.compile(r"(?<=-)\d+-[a-z0-9_]{8}"), "#"),
    (re.compile(r"\b\d[\w.]*[._-][0-9a-f]{8}\b"), "RELEASE"),
    (re.compile(r"(cartwheel-(?:session|verify)-[\w.-]+-)[0-9a-f]{8}"), r"\1#"),
    (re.compile(r"(/\.verify\.[\w.-]+\.)[0-9a-f]{8}"), r"\1#"),
    (re.compile(r"\.cartwheel-\d+"), ".cartwheel-#"),
    (re.compile(r"(systemd-(?:analyze-raw|analyze-|temporary-))[A-Za-z0-9]{6}"), r"\1#"),
    (re.compile(r"(?<=/)(tmp|pip-[a-z-]+-|\.tmp)[a-z0-9_]{8}"), r"\1#"),
    (re.compile(r"(?<=/tmp/)[a-z0-9_]{8}\b"), "#"),
    (re.compile(r"\+g[0-9a-f]{12}"), "+#"),
    (re.compile(r"(?<=[./])[0-9a-f]{12}(?=\.json)"), "#"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "SET"),
    (re.compile(r"[0-9a-f]{16,}"), "#"),
    (re.compile(r"\d{5,}"), "#"),
)
_LOADER = "CARTWHEEL-"  # in the line that starts the host side (ssh/bundle.py)
# Programs that only read.
_LOOKS = re.compile(
    r" runs (systemctl (show|list-units|is-)|systemctl$|ss\b|nginx( -|$)|apache2ctl( -|$)|uname|ldd"
    r"|journalctl|python import|systemd-analyze)"
)
_SHOWN_CHARACTERS = 150


@dataclass(frozen=True)
class Point:
    """One moment of a deploy. `nth` counts the points with the same label, from 1."""

    kind: str
    """`message`, or the system call."""
    label: str
    nth: int = 1

    @property
    def is_message(self) -> bool:
        return self.kind == "message"

    @property
    def stream(self) -> str:
        """The stream in which it is counted: the messages of its direction, or the calls."""
        return self.label.partition(":")[0] if self.is_message else "calls"

    @property
    def changes(self) -> bool:
        """Whether something on the host is different afterwards (apart from what a crash loses)."""
        return self.kind in CHANGES and not _LOOKS.search(self.label)

    def __str__(self) -> str:
        return self.label if self.nth == 1 else f"{self.label} ({self.nth})"


@dataclass
class Counting:
    """Numbers the occurrences of each label, in one run."""

    seen: Counter[str] = field(default_factory=Counter)

    def point(self, kind: str, label: str) -> Point:
        self.seen[label] += 1
        return Point(kind, label, self.seen[label])


def message_label(
    direction: Direction, header: Mapping[str, Any], operations: Mapping[int, str]
) -> str | None:
    """What a frame says; None for frames that a timer sends. `operations`: by request id."""
    kind = header["t"]
    event = header.get("event", {})
    if kind in _TIME_DEPENDENT or event.get("state") == "progress":
        return None
    what = [header.get("op") or operations.get(header.get("id", -1), "")]
    if kind == "event":
        what += [str(event.get("step", "")), str(event.get("state", ""))]
    return plain(" ".join([f"{direction}:", kind, *(word for word in what if word)]))


def call_label(call: Call) -> str:
    """Which program makes which call on which files, or which command it runs."""
    if call.kind == "execve":
        return plain(f"{program(call.words())} runs {' '.join(_meaning(call.argv))}")
    return plain(f"{program(call.words())}: {call.kind} {' -> '.join(call.paths)}")


def program(words: Sequence[str]) -> str:
    """The program of a command line: the host side, or one of its children."""
    return " ".join(_meaning(words)[:2])


def _meaning(words: Sequence[str]) -> list[str]:
    """A command line without options and folders; a Python program is named by its script."""
    if any(_LOADER in word for word in words):
        return ["host side"]
    said = [word for word in words if not word.startswith("-")] or ["?"]
    first = said[0].rsplit("/", 1)[-1]
    if first.startswith("python") and len(said) > 1:
        return ["python", said[1].rsplit("/", 1)[-1] if "/" in said[1] else said[1], *said[2:]]
    return [first, *said[1:]]


def plain(text: str) -> str:
    """The text without the parts that differ from run to run."""
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return text[:_SHOWN_CHARACTERS]


def messages(points: Iterable[Point]) -> list[Point]:
    return [point for point in points if point.is_message]


def calls(points: Iterable[Point]) -> list[Point]:
    """The calls that a fault can hit, without most of the repetitions."""
    kinds = CHANGES | SYNCS | GROWS
    return [point for point in points if point.kind in kinds and _is_distinct(point.nth)]


def _is_distinct(nth: int) -> bool:
    return nth <= _FIRST_TIMES or nth & (nth - 1) == 0
