"""What the engine reports while it works. `cartwheel/terminal/` decides how a person sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cartwheel.errors import CartwheelError
from cartwheel.host.wire.messages import State

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `host` is empty for the operator's machine. `seconds` is how long the step took, on its
    last event only.
    """

    step: str
    state: State
    detail: str = ""
    host: str = ""
    seconds: float | None = None


Emit = Callable[[Event], None]


def silent(_event: Event) -> None:
    """An `Emit` for callers that do not listen."""


def timed(
    emit: Emit,
    step: str,
    work: Callable[[], T],
    host: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Do a step, and report its start, its result and its duration."""
    started = clock()
    emit(Event(step, "start", host=host))
    try:
        answer = work()
    except CartwheelError as error:
        emit(Event(step, "failed", error.message, host, clock() - started))
        raise
    emit(Event(step, _ended(answer), "", host, clock() - started))
    return answer


def _ended(answer: object) -> State:
    """The state of a step that succeeded: its answer may say what changed."""
    changed = getattr(answer, "changed", None)
    if not isinstance(changed, bool):
        return "done"
    return "changed" if changed else "unchanged"
