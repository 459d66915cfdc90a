"""Runs a tool with a deadline and signs of life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cartwheel.errors import BuildError
from cartwheel.events import Emit
from cartwheel.programs import Ended, LateError, progress_of, run


def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline_seconds: float,
    emit: Emit,
    step: str,
) -> Ended:
    """Run `argv` to its end, with signs of life as progress of `step`.

    Raises BuildError("deadline") after `deadline_seconds`.
    """
    waiting = progress_of(step, emit)
    try:
        return run(argv, env=env, cwd=cwd, deadline_seconds=deadline_seconds, on_wait=waiting)
    except LateError as error:
        message = f"{step} did not end within {deadline_seconds:.0f} s"
        raise BuildError("deadline", message, detail=error.ended.tail()) from None
