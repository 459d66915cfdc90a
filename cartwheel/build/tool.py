"""Runs a tool with a deadline and signs of life; returns its output as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cartwheel import programs
from cartwheel.errors import BuildError
from cartwheel.events import Emit
from cartwheel.programs import LateError


@dataclass(frozen=True)
class Finished:
    """How a tool ended. `output` is standard output, `log` standard error."""

    returncode: int
    output: str
    log: str

    def tail(self, lines: int = programs.TAIL_LINES) -> str:
        """The last lines of both, as text."""
        return programs.tail(self.output, self.log, lines)


def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline_seconds: float,
    emit: Emit,
    step: str,
) -> Finished:
    """Run `argv` to its end, with signs of life as progress of `step`.

    Raises BuildError("deadline") after `deadline_seconds`.
    """
    try:
        ended = programs.run(
            argv,
            env=env,
            cwd=cwd,
            deadline_seconds=deadline_seconds,
            on_wait=programs.progress_of(step, emit),
        )
    except LateError as error:
        raise BuildError(
            "deadline",
            f"{step} did not end within {deadline_seconds:.0f} s",
            detail=error.ended.tail(),
        ) from None
    return Finished(ended.status, programs.text(ended.output), programs.text(ended.errors))
