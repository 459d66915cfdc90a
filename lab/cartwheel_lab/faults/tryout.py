"""Run one `fab` command against a lab host, with one fault at one point (`fab lab.fault`)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cartwheel_lab import LabHost
from cartwheel_lab.faults import harness, kinds
from cartwheel_lab.faults.harness import Where
from cartwheel_lab.faults.kinds import Fault
from cartwheel_lab.faults.points import Point

COMMAND_SECONDS = 1800.0


@dataclass(frozen=True)
class Outcome:
    """How the command ended, the points that it passed, and the one that was struck."""

    code: int
    points: tuple[Point, ...]
    struck: Point | None


def run(
    host: LabHost, project: Path, words: Sequence[str], where: Where, fault: Fault | None
) -> Outcome:
    """Run `fab WORDS -H host` in the project, in this terminal, and strike the first point that
    `where` selects. Without a fault, only record the points.

    A fault that does not end by itself is undone afterwards. Raises LabError.
    """
    harness.install(host)
    met: list[Point] = []

    def here(point: Point, number: int) -> bool:
        if fault is None or not fault.can_hit(point) or not where(point, number):
            return False
        met.append(point)
        return True

    try:
        with harness.on(host) as taps:
            command = [sys.executable, "-m", "fabric", *words, "-H", host.name]
            process = subprocess.Popen(command, cwd=project)
            if fault is not None:
                taps.aim(here, kinds.strike_with(fault, host, process.pid))
            code = process.wait(COMMAND_SECONDS)
    finally:
        if fault is not None:
            fault.undo(host)
        harness.uninstall(host)
    points = tuple(taps.session.points) if taps.session is not None else ()
    return Outcome(code, points, met[0] if met else None)


def at(text: str = "", nth: int = 1) -> Where:
    """The `nth` point that contains this text."""
    seen = [0]

    def where(point: Point, _number: int) -> bool:
        seen[0] += text in point.label
        return text in point.label and seen[0] == nth

    return where


def message(number: int, direction: str) -> Where:
    """The message with this number, from 1, in this direction (`host` or `operator`)."""
    return lambda point, this: point.stream == f"to the {direction}" and this == number


def call(number: int) -> Where:
    """The call on the host with this number, from 1: a change of a file, or a program's start."""
    return lambda point, this: not point.is_message and this == number
