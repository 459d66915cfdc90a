"""`fab diagnose`: ask the hosts for evidence, and judge it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cartwheel import writing
from cartwheel.commands.ask import taken
from cartwheel.commands.scene import Scene
from cartwheel.diagnosis.cause import Case
from cartwheel.diagnosis.ranking import Ranked, ranked
from cartwheel.errors import UsageError
from cartwheel.fleet.sessions import Result
from cartwheel.host.wire.diagnosis import Diagnose, Diagnosis
from cartwheel.plan.switching import asking_status


@dataclass(frozen=True)
class Judged:
    """A host's evidence, and what it means: the likeliest cause first."""

    found: Diagnosis
    causes: tuple[Ranked, ...]


def diagnose(scene: Scene, ago_seconds: float, *, texts: bool) -> dict[str, Result[Judged]]:
    """What is wrong on each host, by its evidence of the last `ago_seconds`, or why that cannot be
    had; with `texts` the evidence has the newest lines of the logs too."""
    asked = Diagnose(ago_seconds, asking_status(scene.settings), texts)
    return taken(scene, asked, _judged)


def _judged(host: str, one: Diagnosis) -> Judged:
    # The host's clock was read before it looked; what a look takes is no error of the clock.
    off = one.time + one.took_seconds - time.time()
    return Judged(one, tuple(ranked(Case(host, one, off))))


def write(path: Path, data: bytes) -> None:
    """Write the bundle. Raises UsageError."""
    try:
        writing.pour(path, data)
    except OSError as error:
        raise UsageError("usage", f"--out {path}: {error.strerror}") from error
