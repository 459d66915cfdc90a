"""Run one command of a person's own against a lab host, with one fault at one point."""

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
    """How the command ended, the points it came by, and the one that was struck."""

    code: int
    points: tuple[Point, ...]
    struck: Point | None


def run(
    host: LabHost, project: Path, words: Sequence[str], where: Where, fault: Fault | None
) -> Outcome:
    """Run `fab WORDS -H host` in the project, in this terminal; the first point that `where`
    means is struck. Without a fault the points are only recorded.

    What does not end by itself is mended afterwards. Raises LabError.
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
            fault.mend(host)
        harness.uninstall(host)
    points = tuple(taps.session.points) if taps.session is not None else ()
    return Outcome(code, points, met[0] if met else None)


def at(text: str = "", nth: int = 1) -> Where:
    """The `nth` point that holds this text."""
    seen = [0]

    def where(point: Point, _number: int) -> bool:
        seen[0] += text in point.label
        return text in point.label and seen[0] == nth

    return where


def message(number: int, direction: str) -> Where:
    """The how-manieth message in that direction (`host` or `operator`), from 1."""
    return lambda point, this: point.stream == f"to the {direction}" and this == number


def call(number: int) -> Where:
    """The how-manieth change of a file, or program that is run, on the host, from 1."""
    return lambda point, this: not point.is_message and this == number
